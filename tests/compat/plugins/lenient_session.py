"""Pytest plugin that puts httpkit's session in the place of `requests.Session`.

Rule: the swap happens on import, because `pytest -p lenient_session` imports this file before any
conftest or test module can bind the class it replaces.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import requests

import httpkit

PLAIN_SESSION = requests.sessions.Session
SWAPPED_PACKAGES = frozenset({"requests", "tests"})


class LenientSession(httpkit.Session):
    """Session the suite gets wherever it asks for `requests.Session`.

    It is public and at module level because the suite pickles sessions, by qualified name.
    """

    strict = False
    made: ClassVar[int] = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        LenientSession.made += 1
        super().__init__(*args, **kwargs)


def find_plain_names() -> list[tuple[ModuleType, str]]:
    """Find each name in requests and in its tests that still means requests' own class."""
    return [
        (module, name)
        for path, module in list(sys.modules.items())
        if path.partition(".")[0] in SWAPPED_PACKAGES
        for name, value in list(vars(module).items())
        if value is PLAIN_SESSION
    ]


def swap_sessions() -> None:
    """Bind every such name to LenientSession, the ones `requests.get` goes through included."""
    for module, name in find_plain_names():
        setattr(module, name, LenientSession)


swap_sessions()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the proof of the swap goes."""
    parser.addoption("--sessions-made", type=Path, help="file for the number of sessions made")


def pytest_collection_finish() -> None:
    """Refuse to run tests that would use requests' own class and so prove nothing.

    Raises:
        pytest.UsageError: A test module reached the plain class all the same.
    """
    names = [f"{module.__name__}.{name}" for module, name in find_plain_names()]
    if names:
        raise pytest.UsageError(f"still requests' own Session: {', '.join(names)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write how many sessions the suite made: none means that the swap did not take."""
    file: Path | None = session.config.getoption("--sessions-made")
    if file is not None:
        file.write_text(str(LenientSession.made), encoding="ascii")
