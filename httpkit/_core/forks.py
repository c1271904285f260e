"""What a forked child replaces: locks, and the state that other threads left behind.

Only the thread that forked exists in the child. A lock that another thread held is never released
there, and what another thread was fetching never arrives.

Rule: `reset_after_fork` acquires no lock that an earlier thread may hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:

    class Resettable(Protocol):
        """An object that threads share, and that a forked child must reset."""

        def reset_after_fork(self) -> None:
            """Replace the locks, and forget what other threads were doing."""
            ...


_watched: WeakSet[Resettable] = WeakSet()


def call_after_fork(reset: Callable[[], object]) -> None:
    """Call a function in every child that is forked from now on."""
    if sys.platform != "win32" and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)


class SafeLock:
    """A lock that a forked child replaces: a thread that is not there may have held it."""

    def __init__(self) -> None:
        self._lock = Lock()
        watch(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def reset_after_fork(self) -> None:
        """Replace the lock."""
        self._lock = Lock()


def watch(shared: Resettable) -> None:
    """Reset an object in every child that is forked while it exists."""
    _watched.add(shared)


def _reset_all() -> None:
    for shared in list(_watched):
        shared.reset_after_fork()


call_after_fork(_reset_all)
