"""Modules that are imported when something in them is first needed, as `lazy import` will do.

    if TYPE_CHECKING:
        from httpkit._core import curl
    else:
        curl = ImportedLater("httpkit._core.curl")

Annotations may name them: `typing.get_type_hints` imports them too.

Rule: what is imported so takes no name from a module that tests patch, nor derives a class of it.
"""

from importlib import import_module
from typing import Any


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
