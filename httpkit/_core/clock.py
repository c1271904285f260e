"""The clock that judges: a test that moves it moves every deadline, pause, rate and token.

Rule: what decides by the time asks `CLOCK`. What measures a transfer, or how long a socket is
waited for, asks `time`: a test must not change that.
"""

import random
import sys
import threading
import time
from collections.abc import Callable


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
