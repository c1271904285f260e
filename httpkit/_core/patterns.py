"""Regular expressions that are compiled when they are first used.

Forty of them take 6 ms of `import httpkit` (2026-11), and most calls need a few.

Rule: for modules that are imported with the package.
"""

import re
from typing import TYPE_CHECKING, Any

__all__ = ["pattern"]

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
