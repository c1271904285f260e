"""What a forked child replaces: locks, connections, and the state that other threads left behind.

Only the thread that forked exists in the child. A lock that another thread held is never released
there, and what another thread was fetching never arrives. A child keeps its sessions, but none of
the parent's sockets: two processes that read from one socket take each other's responses.

Rule: `reset_after_fork` acquires no lock that an earlier thread may hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet, WeakValueDictionary

from requests.adapters import HTTPAdapter

from httpkit._core import upstream
from httpkit._core.header_fields import Jar

if TYPE_CHECKING:
    import requests

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


# ---- Sessions

_sessions: WeakValueDictionary[int, requests.Session] = WeakValueDictionary()
# What the parent's threads may hold locked for ever is kept rather than torn down: a pool
# that is garbage takes its lock to close its sockets.
_inherited: list[object] = []


class OfSession:
    """State that the threads of a session share: an attribute of it, which its child resets."""

    def __init__(self) -> None:
        self._lock = Lock()

    def reset_after_fork(self) -> None:
        """Replace the lock: a thread that is not here any more may have held it at the fork."""
        self._lock = Lock()


def watch_session(session: requests.Session) -> None:
    """Reset a session in every child that is forked while it exists: connections and locks."""
    _sessions[id(session)] = session  # by id: a subclass may compare by value


def is_watched(found: object) -> bool:
    """Say whether something is a session of ours."""
    return _sessions.get(id(found)) is found


def _reset_sessions() -> None:
    sessions = list(_sessions.values())
    mounted: list[Mapping[str, object]] = [session.adapters or {} for session in sessions]
    adapters = {id(adapter): adapter for each in mounted for adapter in each.values()}
    for adapter in adapters.values():
        if isinstance(adapter, HTTPAdapter):
            _reset_pools(adapter)
    for session in sessions:
        if isinstance(session.cookies, Jar):
            session.cookies.reset_lock()
        for shared in vars(session).values():
            if isinstance(shared, OfSession):
                shared.reset_after_fork()


def _reset_pools(adapter: HTTPAdapter) -> None:
    managers = [adapter.poolmanager, *adapter.proxy_manager.values()]
    _inherited.extend(managers)
    adapter.__setstate__(adapter.__getstate__())  # as a pickle does: new pools, nothing else
    for manager in managers:
        _close_idle(manager)


def _close_idle(manager: Any) -> None:
    """Close the child's copies of idle sockets, past the locks; the parent's stay open."""
    for pool in upstream.pools_of(manager):
        idle: Iterable[Any] = getattr(getattr(pool, "pool", None), "queue", ())
        for sock in [getattr(connection, "sock", None) for connection in idle]:
            if sock is not None:
                sock.close()  # no shutdown, which the parent would notice


call_after_fork(_reset_sessions)
