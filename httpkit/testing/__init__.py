"""Tools for the tests of an SDK: a server, scripted responses, and a clock without waits."""

import math
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Self

from httpkit._core import clock as process_clock
from httpkit._core.clock import CLOCK, Clock
from httpkit._diagnostics.errors import ConfigurationError
from httpkit.testing.sandbox.server import Sandbox, SeenRequest
from httpkit.testing.script import Attempt, Reply, Script

__all__ = [
    "Attempt",
    "FakeClock",
    "Reply",
    "Sandbox",
    "Script",
    "SeenRequest",
    "no_waiting",
    "recorded_waits",
]


class FakeClock:
    """A clock that skips every wait.

    Inside its `with` block, waits take no time, and everything that depends on the time uses it, in
    all threads of the process: deadlines, retries, Retry-After, rate limits, and the expiry of
    tokens. The random factor of a wait is 1. Timeouts of real sockets, and the clocks of servers
    and of other libraries, do not change.

    A wait moves the clock of its own thread only: 8 threads that wait for ten seconds each are
    ten seconds ahead. `advance` moves the clock of all threads.

    >>> with FakeClock() as clock, Sandbox() as sandbox:
    ...     with httpkit.Session(sandbox.url) as api:
    ...         api.get("flaky/key", params={"fail": 2}).attempts
    ...     clock.waits
    3
    [1.0, 2.0]

    Attributes:
        waits: The waits that were skipped, in seconds, in the order they began.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._advanced = 0.0
        self._passed = threading.local()  # seconds of waits that each thread skipped

    def __repr__(self) -> str:
        return f"<FakeClock {self._advanced:g} s ahead, {len(self.waits)} waits>"

    def __enter__(self) -> Self:
        with process_clock.TESTING:
            _entered.append(self)
            _apply()
        return self

    def __exit__(self, *_: object) -> None:
        with process_clock.TESTING:
            # The last one entered: threads may leave in any order.
            del _entered[len(_entered) - 1 - _entered[::-1].index(self)]
            _apply()

    def advance(self, seconds: float) -> None:
        """Move the clock on, for all threads; no wait is recorded.

        Raises:
            ConfigurationError: It is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ConfigurationError(f"seconds={seconds!r} must be a number, 0 or more")
        with process_clock.TESTING:
            self._advanced += seconds

    def monotonic(self) -> float:
        """Return the time that deadlines, rates and tokens are measured with, in seconds."""
        return time.monotonic() + self._advanced + self._skipped()

    def time(self) -> float:
        """Return the seconds since the epoch: what dates in responses are compared with."""
        return time.time() + self._advanced + self._skipped()

    def sleep(self, seconds: float) -> None:
        """Skip a wait, for this thread."""
        self.waits.append(seconds)
        self._passed.seconds = self._skipped() + seconds

    def _skipped(self) -> float:
        seconds: float = getattr(self._passed, "seconds", 0.0)
        return seconds


_entered: list[FakeClock] = []


def _apply() -> None:
    """Install the clock that was entered last, or the real one after the last was left."""
    clock = Clock()
    if _entered:
        fake = _entered[-1]
        clock = Clock(fake.monotonic, fake.time, fake.sleep, jitter=lambda: 1.0)
    CLOCK.monotonic, CLOCK.wall = clock.monotonic, clock.wall
    CLOCK.sleep, CLOCK.jitter = clock.sleep, clock.jitter


@contextmanager
def recorded_waits() -> Generator[list[float]]:
    """Skip waits, and record them in seconds: the `waits` of a `FakeClock`.

    >>> with recorded_waits() as waits, Sandbox() as sandbox:
    ...     with httpkit.Session(sandbox.url) as api:
    ...         api.get("flaky/key", params={"fail": 2}).attempts
    ...     waits
    3
    [1.0, 2.0]
    """
    with FakeClock() as clock:
        yield clock.waits


@contextmanager
def no_waiting() -> Generator[None]:
    """Skip waits, in all threads of the process."""
    with FakeClock():
        yield
