"""Fixtures for the tests of an SDK, by way of pytest's entry point `pytest11`.

Rule: nothing of httpkit is imported before a fixture is used. pytest loads this module at every
start, for everybody who has httpkit installed; so it stands beside the package, of which not even
`__init__` must be imported before somebody begins to measure its coverage.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import re

    from httpkit.testing import FakeClock, Sandbox, Script
    from httpkit.testing.script import Answer


class StartScript(Protocol):
    """What `httpkit_script` is."""

    def __call__(
        self,
        *answers: "Answer",
        method: str | None = None,
        url: "str | re.Pattern[str] | None" = None,
    ) -> "Script":
        """Start a script that lasts until the end of the test; arguments as for `Script`."""
        ...


@pytest.fixture
def httpkit_sandbox() -> "Iterator[Sandbox]":
    """A real HTTP server on loopback, of the test's own: an `httpkit.testing.Sandbox`."""
    from httpkit.testing import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def httpkit_clock() -> "Iterator[FakeClock]":
    """A clock that a test moves, and over which waits pass at once: a `FakeClock`."""
    from httpkit.testing import FakeClock

    with FakeClock() as clock:
        yield clock


@pytest.fixture
def httpkit_waits() -> Iterator[list[float]]:
    """The waits between attempts in seconds: recorded, not slept."""
    from httpkit.testing import recorded_waits

    with recorded_waits() as waits:
        yield waits


@pytest.fixture
def httpkit_no_waiting() -> Iterator[None]:
    """Waits between attempts pass at once; for `pytest.mark.usefixtures`."""
    from httpkit.testing import no_waiting

    with no_waiting():
        yield


@pytest.fixture
def httpkit_script() -> Iterator[StartScript]:
    """Start a script: `httpkit_script(503, 200)`; its answers must be used up by the end."""
    from httpkit.testing import Script

    with ExitStack() as scripts:

        def start(
            *answers: "Answer",
            method: str | None = None,
            url: "str | re.Pattern[str] | None" = None,
        ) -> Script:
            return scripts.enter_context(Script(*answers, method=method, url=url))

        yield start
