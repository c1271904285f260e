"""What the author of an SDK needs in tests: a real server, and waits that take no time."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from httpkit import retry
from httpkit.sandbox import Sandbox, SeenRequest

__all__ = ["Sandbox", "SeenRequest", "no_waiting", "recorded_waits"]


@contextmanager
def recorded_waits() -> Generator[list[float]]:
    """Let the waits between attempts pass at once, and record them in seconds.

    It holds for all threads of the process, and the random factor is 1, so that the waits
    are the same in every run. A wait that has passed is over for its own thread alone: what
    makes 8 threads wait is recorded 8 times.

    >>> with recorded_waits() as waits, Sandbox() as sandbox:
    ...     with httpkit.Session(sandbox.url) as api:
    ...         api.get("flaky/key", params={"fail": 2}).attempts
    ...     waits
    3
    [1.0, 2.0]
    """
    waits: list[float] = []
    passed = _Passed()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        passed.seconds += seconds

    before = replace(retry.WAITING)
    retry.WAITING.sleep, retry.WAITING.jitter = sleep, lambda: 1.0
    retry.WAITING.clock = lambda: time.monotonic() + passed.seconds
    try:
        yield waits
    finally:
        retry.WAITING.sleep, retry.WAITING.jitter = before.sleep, before.jitter
        retry.WAITING.clock = before.clock


class _Passed(threading.local):
    """Seconds of waits that each thread was spared."""

    seconds = 0.0


@contextmanager
def no_waiting() -> Generator[None]:
    """Let the waits between attempts pass at once, for all threads of the process."""
    with recorded_waits():
        yield
