"""Packages that only the interoperability tests need: without them, those tests are skipped."""

from types import ModuleType

import pytest

INSTALL = "pip install -e '.[interop]'"


def require(name: str) -> ModuleType:
    """Import a package of the `interop` extra, or skip the test or the file that needs it.

    Args:
        name: Dotted name of a module. One of httpkit is never skipped.

    Raises:
        ModuleNotFoundError: It is a module of httpkit.
    """
    if name.partition(".")[0] == "httpkit":
        raise ModuleNotFoundError(name=name)
    return pytest.importorskip(name, reason=f"{name} is not installed: {INSTALL}")
