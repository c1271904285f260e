"""What the author of an SDK needs in tests: a real server, and waits that take no time."""

from collections.abc import Generator
from contextlib import contextmanager

from httpkit import retry
from httpkit.sandbox import Sandbox, SeenRequest

__all__ = ["Sandbox", "SeenRequest", "no_waiting", "recorded_waits"]


@contextmanager
def recorded_waits() -> Generator[list[float]]:
    """Let the waits between attempts pass at once, and record them in seconds.

    It holds for all threads of the process, and the random factor is 1, so that the waits
    are the same in every run.

    >>> with recorded_waits() as waits, Sandbox() as sandbox:
    ...     with httpkit.Session(sandbox.url) as api:
    ...         api.get("flaky/key", params={"fail": 2}).attempts
    ...     waits
    3
    [1.0, 2.0]
    """
    waits: list[float] = []
    before = (retry.WAITING.sleep, retry.WAITING.jitter)
    retry.WAITING.sleep, retry.WAITING.jitter = waits.append, lambda: 1.0
    try:
        yield waits
    finally:
        retry.WAITING.sleep, retry.WAITING.jitter = before


@contextmanager
def no_waiting() -> Generator[None]:
    """Let the waits between attempts pass at once, for all threads of the process."""
    with recorded_waits():
        yield
