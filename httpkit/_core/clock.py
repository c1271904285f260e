"""The clock that judges, and the deadline of a call: the value that its waits are clipped to.

A test that moves the clock moves every deadline, pause, rate and token.

Rule: what decides by the time asks `CLOCK`. What measures a transfer, or how long a socket is
waited for, asks `time`: a test must not change that.
"""

from __future__ import annotations

import math
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from httpkit._core.given import is_tuple


def _wall() -> float:
    return time.time()  # looked up each time: tools that freeze dates replace it


def _jitter() -> float:
    return random.uniform(0.5, 1)  # noqa: S311  # spreads load, guards nothing


def sleep_in_slices(seconds: float) -> None:
    """Sleep so that a signal handler runs within a quarter of a second."""
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, 0.25))


class Clock:
    """What time it is, and how waits pass; `httpkit.testing` replaces it.

    Attributes:
        monotonic: Returns seconds that are never set back, and go on while `sleep` waits.
        wall: Returns seconds since the epoch.
        sleep: Called with the seconds to wait.
        jitter: Returns the random factor of a wait, 0.5 to 1.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = _wall,
        # On Windows a signal that another thread sends wakes no sleep.
        sleep: Callable[[float], None] = sleep_in_slices if sys.platform == "win32" else time.sleep,
        jitter: Callable[[], float] = _jitter,
    ) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self.sleep = sleep
        self.jitter = jitter


CLOCK = Clock()
TESTING = threading.Lock()
"""Held while a test replaces the clock or the network: made here, so that it is a real lock."""

# Seconds. Windows' clock has steps of 15.6 ms before Python 3.13, and waits there end as much too
# early: a wait that was clipped to the deadline and timed out must find that it passed.
CLOCK_STEP = 0.016 if sys.platform == "win32" else 0.0


class Deadline:  # made in a third of a frozen dataclass's time
    """When a call must be over.

    Attributes:
        seconds: How long the whole call may take, above 0; None is no limit.
        ends_at: When it must be over, on the monotonic clock; infinity is no limit.
    """

    __slots__ = ("ends_at", "seconds")

    def __init__(self, seconds: float | None = None, ends_at: float = math.inf) -> None:
        self.seconds: Final = seconds
        self.ends_at: Final = ends_at

    @classmethod
    def start(cls, seconds: float | None) -> Deadline:
        """Return a deadline so many seconds from now; None is no limit."""
        return NO_DEADLINE if seconds is None else cls(seconds, CLOCK.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left, 0 or less once it passed; infinity without a limit."""
        if self.seconds is None:
            return math.inf
        left = self.ends_at - CLOCK.monotonic()
        return left if left > CLOCK_STEP else min(left, 0.0)

    def clip(self, seconds: float | None) -> float | None:
        """Return the seconds that one wait may take; None is no limit.

        Raises:
            TimeoutError: Nothing is left.
        """
        if self.seconds is None:
            return seconds
        left = self.ends_at - CLOCK.monotonic()
        if left <= CLOCK_STEP:
            raise TimeoutError("the deadline passed")
        return left if seconds is None else min(seconds, left)

    def clip_timeout(self, timeout: Any) -> Any:
        """Return what requests takes as a timeout, no part of it longer than what is left.

        Args:
            timeout: Seconds, (connect, read), None for off, or urllib3's Timeout.

        Raises:
            TimeoutError: Nothing is left.
        """
        if self.seconds is None:
            return timeout
        if hasattr(timeout, "connect_timeout"):  # urllib3's own
            clipped = timeout.clone()
            clipped.total = self.clip(clipped.total)
            return clipped
        pair: tuple[Any, ...] = timeout if is_tuple(timeout) else (timeout, timeout)
        connect, read = pair
        return self.clip(connect), self.clip(read)


NO_DEADLINE = Deadline()
