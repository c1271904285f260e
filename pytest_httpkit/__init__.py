"""Fixtures for the tests of an SDK, by way of pytest's entry point `pytest11`.

Rule: nothing of httpkit is imported before a fixture is used. pytest loads this module at every
start wherever httpkit is installed, before a coverage tool starts to measure; so it is a package
of its own, whose import does not run `httpkit/__init__.py`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import re

    from httpkit.testing import FakeClock, Sandbox, Script
    from httpkit.testing.script import Scripted


class StartScript(Protocol):
    """The type of the fixture `httpkit_script`."""

    def __call__(
        self,
        *responses: "Scripted",
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
    """A clock that skips waits and that a test can move: a `FakeClock`."""
    from httpkit.testing import FakeClock

    with FakeClock() as clock:
        yield clock


@pytest.fixture
def httpkit_waits() -> Iterator[list[float]]:
    """The waits between attempts in seconds: recorded and skipped."""
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
    """Start a script: `httpkit_script(503, 200)`; the test must use all responses."""
    from httpkit.testing import Script

    with ExitStack() as scripts:

        def start(
            *responses: "Scripted",
            method: str | None = None,
            url: "str | re.Pattern[str] | None" = None,
        ) -> Script:
            return scripts.enter_context(Script(*responses, method=method, url=url))

        yield start
