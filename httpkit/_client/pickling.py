"""How a session crosses into another process: by pickle, or by fork.

A pickle carries the whole state. Two hundred tasks of a pool carry it two hundred times, and
each process makes one session of them, with the connections that it keeps open. A forked
child keeps its sessions, but none of the parent's sockets: two processes that read from one
socket take each other's responses.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Protocol, cast

from requests.adapters import HTTPAdapter
from requests.sessions import Session

from httpkit._core import forks, upstream
from httpkit._core.header_fields import Jar

# A worker of a pool serves a handful of sessions; each holds connections open.
_MOST_RESTORED = 32
# Attributes of a session that a pickle leaves behind.
TOKEN = "_pickle_token"  # noqa: S105  # the name of an attribute
# The attribute of a session that was made and has no state yet: the lock of those who fill it.
_UNFILLED = "_pickle_hollow"


if TYPE_CHECKING:

    class PicklableSession(Protocol):
        """What crossing needs of a session."""

        adapters: Any
        cookies: Any
        __dict__: dict[str, Any]

        def __getstate__(self) -> dict[str, Any]:
            """Return the whole state."""
            ...

        def __setstate__(self, state: dict[str, Any]) -> None:
            """Take a state over."""
            ...


_restored: OrderedDict[str, PicklableSession] = OrderedDict()
_lock = Lock()
_alive: weakref.WeakValueDictionary[int, PicklableSession] = weakref.WeakValueDictionary()


def reduce(session: PicklableSession) -> tuple[Any, ...]:
    """Return how a pickle makes this session again, and by which name it knows it.

    The state comes after the session, and not as an argument of what makes it: its parts may
    hold the session (a resource, a hook that is its method), and find it made already.
    """
    state = session.__getstate__()
    state.pop(TOKEN, None)
    fingerprint, unpicklable = _fingerprint(session, state)
    name = f"{_token(session)}-{fingerprint}"
    made_of = (type(session), name, *_unpicklable_reasons(session, unpicklable))
    return restore, made_of, state, None, None, fill


def _unpicklable_reasons(
    session: PicklableSession, unpicklable: Sequence[str]
) -> tuple[Callable[[], None], ...]:
    """Return what goes ahead of attributes that hold a lambda, to say which they are.

    `pickle` refuses a function that is in no module by its name, and this name is a message;
    cloudpickle and its like send any function, and with it those attributes. Nobody tells
    `__reduce__` which of them asks.
    """
    if not unpicklable:
        return ()

    def mismatch() -> None:
        pass

    holders = " and ".join(f"{type(session).__name__}.{name}" for name in unpicklable)
    mismatch.__qualname__ = (
        f"{holders}, holding a lambda or local function: define it in a module, or use cloudpickle"
    )
    return (mismatch,)


def restore(cls: type[PicklableSession], name: str, *_: object) -> PicklableSession:
    """Return the session that this process made of the same pickle before, else an unfilled one.

    Threads that load the same pickle at once get the same one, and one of them fills it.
    """
    with _lock:
        known = _restored.get(name)
        if known is not None and type(known) is cls:  # a class may have been defined anew
            _restored.move_to_end(name)
            return known
        session = cls.__new__(cls)
        session.__dict__[_UNFILLED] = RLock()
        _restored[name] = session
        while len(_restored) > _MOST_RESTORED:
            _restored.popitem(last=False)
    return session


def fill(session: PicklableSession, state: dict[str, Any]) -> None:
    """Give a session its state, unless another thread has or it is an older one."""
    lock = session.__dict__.get(_UNFILLED)
    if lock is None:
        return
    with lock:
        if _UNFILLED in session.__dict__:
            session.__setstate__(state)
            session.__dict__.pop(_UNFILLED, None)


def _token(session: PicklableSession) -> str:
    token: str = session.__dict__.setdefault(TOKEN, os.urandom(16).hex())
    return token  # one, whichever thread is first


def _fingerprint(session: PicklableSession, state: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Tell states apart, so that a session that was changed is not taken for its former self.

    The sessions that it holds are written after it, each once: they may hold it in turn.

    Returns:
        The fingerprint, and the session's attributes that hold a function without a module.
    """
    digest = hashlib.blake2b(digest_size=16)
    met = [session]
    unpicklable: list[str] = []
    for current in met:  # it grows meanwhile
        serializable = state if current is session else current.__getstate__()
        for name, value in sorted(serializable.items()):
            digest.update(name.encode())
            try:
                digest.update(_serialized(value, met))
            except Exception as error:  # noqa: BLE001  # whatever a class of the caller's raises
                # While the session lives nobody else has its id.
                digest.update(f"{os.getpid()} {id(value)}".encode())
                if current is session and _is_unnamed(error):
                    unpicklable.append(name)
    return digest.hexdigest(), unpicklable


def _is_unnamed(error: Exception) -> bool:
    """Say whether it is what `pickle` raises for a lambda, or a function made in a function."""
    from pickle import PicklingError

    return isinstance(error, (PicklingError, AttributeError))  # this, until Python 3.13


def _serialized(value: object, met: list[PicklableSession]) -> bytes:
    """Return a pickle with the names of sessions in their place; adds these to those met."""
    from httpkit._client import pickler

    def stand_for(obj: object) -> Any:
        if not isinstance(obj, Session) or _alive.get(id(obj)) is not obj:
            return NotImplemented
        session = cast("PicklableSession", obj)
        if not any(one is session for one in met):
            met.append(session)
        return str, (_token(session),)

    return pickler.dumps(value, stand_for)


# ---- forks

# What the parent's threads may hold locked for ever is kept rather than torn down: a pool
# that is garbage takes its lock to close its sockets.
_inherited: list[object] = []


def watch(session: PicklableSession) -> None:
    """Let go of a session's connections in children of a fork."""
    _alive[id(session)] = session  # by id: a subclass may compare by value


def _detach() -> None:
    global _lock  # noqa: PLW0603  # a thread that is not in the forked child may hold the old one
    _lock = Lock()
    for name, session in list(_restored.items()):
        if _UNFILLED in session.__dict__:  # by a thread that is not here
            del _restored[name]
    sessions = list(_alive.values())
    mounted: list[Mapping[str, object]] = [session.adapters or {} for session in sessions]
    adapters = {id(adapter): adapter for each in mounted for adapter in each.values()}
    for adapter in adapters.values():
        if isinstance(adapter, HTTPAdapter):
            _reset(adapter)
    for session in sessions:
        if isinstance(session.cookies, Jar):
            session.cookies.reset_lock()


def _reset(adapter: HTTPAdapter) -> None:
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


forks.call_after_fork(_detach)
