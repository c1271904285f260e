"""What the author of an SDK needs in tests: a server, scripts, and waits that take no time."""

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
    """A clock that goes on as usual, and jumps over what a test would have to wait for.

    While it is entered, waits pass at once, and everything that is judged by the time follows
    it, in all threads of the process: deadlines, retries, pauses that a server asked for, rates,
    and the ends of tokens. The random factor of a wait is 1. Timeouts of real sockets, and the
    clocks of servers and of other libraries, are left alone.

    A wait that has passed is over for its own thread alone, so that 8 threads that wait for
    ten seconds each wait for ten; `advance` moves the clock for all.

    >>> with FakeClock() as clock, Sandbox() as sandbox:
    ...     with httpkit.Session(sandbox.url) as api:
    ...         api.get("flaky/key", params={"fail": 2}).attempts
    ...     clock.waits
    3
    [1.0, 2.0]

    Attributes:
        waits: The waits that passed, in seconds, in the order they began.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._advanced = 0.0
        self._passed = threading.local()  # seconds of waits that each thread was spared

    def __repr__(self) -> str:
        return f"<FakeClock {self._advanced:g} s ahead, {len(self.waits)} waits>"

    def __enter__(self) -> Self:
        with process_clock.TESTING:
            _in_force.append(self)
            _apply()
        return self

    def __exit__(self, *_: object) -> None:
        with (
            process_clock.TESTING
        ):  # the last one entered: another thread may leave before its turn
            del _in_force[len(_in_force) - 1 - _in_force[::-1].index(self)]
            _apply()

    def advance(self, seconds: float) -> None:
        """Move the clock on, for all threads; no wait is recorded.

        Raises:
            ConfigurationError: It is negative, or no finite number.
        """
        if not 0 <= seconds < math.inf:
            raise ConfigurationError(f"seconds={seconds!r} must be a number, 0 or more")
        with process_clock.TESTING:
            self._advanced += seconds

    def monotonic(self) -> float:
        """Return what deadlines, rates and tokens are judged by, in seconds."""
        return time.monotonic() + self._advanced + self._spared()

    def time(self) -> float:
        """Return the seconds since the epoch: what dates in answers are judged by."""
        return time.time() + self._advanced + self._spared()

    def sleep(self, seconds: float) -> None:
        """Let a wait pass at once, for this thread."""
        self.waits.append(seconds)
        self._passed.seconds = self._spared() + seconds

    def _spared(self) -> float:
        seconds: float = getattr(self._passed, "seconds", 0.0)
        return seconds


_in_force: list[FakeClock] = []


def _apply() -> None:
    """Put the clock in force that was entered last; the real one after the last was left."""
    now = Clock()
    if _in_force:
        fake = _in_force[-1]
        now = Clock(fake.monotonic, fake.time, fake.sleep, jitter=lambda: 1.0)
    CLOCK.monotonic, CLOCK.wall = now.monotonic, now.wall
    CLOCK.sleep, CLOCK.jitter = now.sleep, now.jitter


@contextmanager
def recorded_waits() -> Generator[list[float]]:
    """Let waits pass at once, and record them in seconds: the `waits` of a `FakeClock`.

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
    """Let waits pass at once, for all threads of the process."""
    with FakeClock():
        yield
