"""How a session crosses into another process: by pickle, or by fork.

A pickle carries the whole state. Two hundred tasks of a pool carry it two hundred times, and
each process makes one session of them, with the connections that it keeps open. A forked
child keeps its sessions, but none of the parent's sockets: two processes that read from one
socket take each other's answers.
"""

import hashlib
import os
import pickle
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, Protocol

from requests.adapters import HTTPAdapter

from httpkit._headers import Jar

# A worker of a pool serves a handful of sessions; each holds connections open.
_MOST_RESTORED = 32
# Attributes of a session that a pickle leaves behind.
TOKEN = "_pickle_token"  # noqa: S105  # the name of an attribute


class Traveller(Protocol):
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


_restored: OrderedDict[str, Traveller] = OrderedDict()
_lock = Lock()


def reduce(session: Traveller) -> tuple[Callable[..., Traveller], tuple[Any, ...]]:
    """Return how a pickle makes this session again, and by which name it knows it."""
    state = session.__getstate__()
    state.pop(TOKEN, None)
    token = session.__dict__.setdefault(TOKEN, uuid.uuid4().hex)  # one, whichever thread is first
    return restore, (type(session), f"{token}-{_fingerprint(state)}", state)


def restore(kind: type[Traveller], name: str, state: dict[str, Any]) -> Traveller:
    """Return the session that this process made of the same pickle before, else a new one."""
    if (known := _known(kind, name)) is not None:
        return known
    session = kind.__new__(kind)
    session.__setstate__(state)
    with _lock:
        # The first of several threads wins; a class that was defined anew has no first yet.
        known = _restored.get(name)
        if known is not None and type(known) is kind:
            return known
        _restored[name] = session
        while len(_restored) > _MOST_RESTORED:
            _restored.popitem(last=False)
    return session


def _known(kind: type[Traveller], name: str) -> Traveller | None:
    with _lock:
        known = _restored.get(name)
        if type(known) is not kind:
            return None
        _restored.move_to_end(name)
        return known


def _fingerprint(state: Mapping[str, Any]) -> str:
    """Tell states apart, so that a session that was changed is not taken for its former self."""
    seen = hashlib.blake2b(digest_size=16)
    for name, value in sorted(state.items()):
        seen.update(name.encode())
        seen.update(_spelling(value))
    return seen.hexdigest()


def _spelling(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # noqa: BLE001  # whatever a class of the caller's raises
        # A lambda, say, which cloudpickle sends; while the session lives nobody else has its id.
        return f"{os.getpid()} {id(value)}".encode()


# ---- forks

_alive: weakref.WeakValueDictionary[int, Traveller] = weakref.WeakValueDictionary()
# What the parent's threads may hold locked for ever is kept rather than torn down: a pool
# that is garbage takes its lock to close its sockets.
_left_behind: list[object] = []


def watch(session: Traveller) -> None:
    """Let go of a session's connections in children of a fork."""
    _alive[id(session)] = session  # by id: a subclass may compare by value


def _let_go() -> None:
    global _lock  # noqa: PLW0603  # a thread that is not in the forked child may hold the old one
    _lock = Lock()
    sessions = list(_alive.values())
    adapters = {id(a): a for session in sessions for a in session.adapters.values()}
    for adapter in adapters.values():
        if isinstance(adapter, HTTPAdapter):
            _reset(adapter)
    for session in sessions:
        if isinstance(session.cookies, Jar):
            session.cookies.renew_lock()


def _reset(adapter: HTTPAdapter) -> None:
    managers = [adapter.poolmanager, *adapter.proxy_manager.values()]
    _left_behind.extend(managers)
    adapter.__setstate__(adapter.__getstate__())  # as a pickle does: new pools, nothing else
    for manager in managers:
        _close_idle(manager)


def _close_idle(manager: Any) -> None:
    """Close the child's copies of idle sockets, past the locks; the parent's stay open."""
    pools: Iterable[Any] = getattr(getattr(manager, "pools", None), "_container", {}).values()
    for pool in pools:
        idle: Iterable[Any] = getattr(getattr(pool, "pool", None), "queue", ())
        for held in [getattr(connection, "sock", None) for connection in idle]:
            if held is not None:
                held.close()  # no shutdown, which the parent would notice


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_let_go)
