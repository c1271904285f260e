"""Modules and regular expressions that are made when they are first needed.

    if TYPE_CHECKING:
        from httpkit._core import curl
    else:
        curl = ImportedLater("httpkit._core.curl")

as `lazy import` will do. Annotations may name such a module: `typing.get_type_hints` imports it.
Forty patterns take 6 ms of `import httpkit` (2026-11), and most calls need a few.

Rule: a module that is imported so takes no name from a module that tests patch, nor derives a class
of it. Patterns here are for modules that are imported with the package.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["ImportedLater", "pattern"]


class ImportedLater:
    """Stands for a module that is imported when one of its names is asked for.

    The names of another package that is not installed are Any, for annotations.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            try:
                self._module = import_module(self._name)
            except ImportError:
                if self._name.startswith("httpkit."):
                    raise
                return Any
        return getattr(self._module, name)


if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern:  # noqa: N801  # called as `re.compile` is
        """A pattern as `re.compile` makes it; after its first use a method is as fast as there."""

        def __init__(self, source: str | bytes, flags: int = 0) -> None:
            self._arguments = source, flags

        def __getattr__(self, name: str) -> Any:
            found = getattr(re.compile(*self._arguments), name)
            self.__dict__[name] = found
            return found
