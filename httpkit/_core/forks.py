"""What a forked child makes anew: locks, and what other threads were about to do.

Only the thread that forked is in the child. A lock that another one held stays held there for
ever, and what another one waited for or was fetching never comes.

Rule: to renew takes no lock that an earlier thread may hold.
"""

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet


class Resettable(Protocol):
    """What threads share, and a forked child cannot use as it is."""

    def renew(self) -> None:
        """Replace the locks, and forget what other threads were doing."""
        ...


_watched: "WeakSet[Resettable]" = WeakSet()


def call_after_fork(renew: Callable[[], object]) -> None:
    """Call a function in every child that is forked from now on."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=renew)


def watch(thing: Resettable) -> None:
    """Renew a thing in every child that is forked while it lives."""
    _watched.add(thing)


def _reset_all() -> None:
    for thing in list(_watched):
        thing.renew()


call_after_fork(_reset_all)
