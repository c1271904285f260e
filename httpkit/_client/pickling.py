"""How a session crosses into another process by pickle.

A pickle carries the whole state. Two hundred tasks of a pool carry it two hundred times, and
each process makes one session of them, with the connections that it keeps open.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from httpkit._client.configuration import PICKLE_TOKEN
from httpkit._core import forks

# A worker of a pool serves a handful of sessions; each holds connections open.
_MOST_RESTORED = 32
# The attribute of a session that was made and has no state yet: the lock of those who fill it.
_UNFILLED = "_pickle_hollow"


class PicklableSession(Protocol):
    """What crossing needs of a session."""

    __dict__: dict[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        """Return the whole state."""
        ...

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state over."""
        ...


_restored: OrderedDict[str, PicklableSession] = OrderedDict()
_lock = forks.SafeLock()


def reduce(session: PicklableSession) -> tuple[Any, ...]:
    """Return how a pickle makes this session again, and by which name it knows it.

    The state comes after the session, and not as an argument of what makes it: its parts may
    hold the session (a resource, a hook that is its method), and find it made already.
    """
    state = session.__getstate__()
    state.pop(PICKLE_TOKEN, None)
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
        session.__dict__[_UNFILLED] = threading.RLock()
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
    token: str = session.__dict__.setdefault(PICKLE_TOKEN, os.urandom(16).hex())
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
    return isinstance(error, (pickle.PicklingError, AttributeError))  # this, until Python 3.13


def _serialized(value: object, met: list[PicklableSession]) -> bytes:
    """Return a pickle with the names of sessions in their place; adds these to those met."""
    file = io.BytesIO()
    _Pickler(file, met).dump(value)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, met: list[PicklableSession]) -> None:
        super().__init__(file)
        self._met = met

    def reducer_override(self, obj: Any) -> Any:
        """Return what stands for an object; `pickle` asks for all that are no plain values."""
        if not forks.is_watched(obj):
            return NotImplemented
        session = cast("PicklableSession", obj)
        if not any(one is session for one in self._met):
            self._met.append(session)
        return str, (_token(session),)


def _forget_unfilled() -> None:
    """Forget, in a forked child, the sessions that a thread of the parent was filling."""
    for name, session in list(_restored.items()):
        if _UNFILLED in session.__dict__:
            del _restored[name]


forks.call_after_fork(_forget_unfilled)
