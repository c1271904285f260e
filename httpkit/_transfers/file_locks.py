"""What differs between systems for a file that several processes know.

A lock ends with its process. Windows renames and removes no file that somebody has open.
"""

import errno
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TypeVar

T = TypeVar("T")

# What says that somebody has the lock; Windows' are the third and the fourth, and wine says 0.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK, 0})
# Windows' access denied and sharing violation: a virus scanner looks at a file that was just
# written. `os.open` gives no such number.
_LOCK_ERRORS = frozenset({5, 32})
# Seconds to wait for it, and between two attempts.
_LONGEST_WAIT, _STEP = 1.0, 0.05

if sys.platform == "win32":
    import msvcrt

    # Others cannot read locked bytes on Windows: this one is far behind the end of the file.
    _LOCKED_BYTE = 1 << 30

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class NoLocksError(OSError):
    """The file system has no locks."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; return False when another process has the lock.

    Raises:
        NoLocksError: The file system has none.
    """
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise NoLocksError(error.errno, error.strerror) from error
    return True


# On Windows, threads that open, rename and replace the same file refuse one another.
_ONE_AT_A_TIME = threading.Lock() if os.name == "nt" else nullcontext()


def retry_while_locked(action: Callable[[], T]) -> T:
    """Call a function again for about a second while Windows says that a file is in use.

    Raises:
        OSError: It still is, or the system refuses for another reason.
    """
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            with _ONE_AT_A_TIME:
                return action()
        except OSError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
        time.sleep(_STEP)


def is_locked(error: OSError) -> bool:
    """Return whether Windows may say that somebody has a file open."""
    number: int | None = getattr(error, "winerror", None)
    return number in _LOCK_ERRORS or (
        number is None and os.name == "nt" and error.errno == errno.EACCES
    )


def open_descriptor(path: pathlib.Path, flags: int, mode: int) -> int:
    """Open a file, as `os.open` does."""
    return retry_while_locked(lambda: os.open(path, flags, mode))


def check_replaceable(path: pathlib.Path) -> None:
    """Refuse a file that another program has open so that it cannot be replaced.

    Raises:
        OSError: On Windows; elsewhere every file can be replaced.
    """
    if os.name == "nt" and path.exists():
        retry_while_locked(lambda: path.rename(path))  # needs the same rights, and changes nothing


def remove(path: pathlib.Path) -> None:
    """Remove a file if that is possible."""
    with suppress(OSError):
        retry_while_locked(path.unlink)


def close_locked(descriptor: int, path: pathlib.Path, *, is_removed: bool) -> None:
    """Close a locked file, and remove it.

    On POSIX systems it is removed while it is locked: whoever opened it before notices. Windows
    removes closed files only, and none that somebody has opened meanwhile: it is emptied first,
    and who could not lock it removes it (`close_unlocked`).
    """
    is_windows = os.name == "nt"
    if is_removed and not is_windows:
        remove(path)
    if is_removed and is_windows:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    os.close(descriptor)
    if is_removed and is_windows:
        with suppress(OSError):
            path.unlink()


def close_unlocked(descriptor: int, path: pathlib.Path) -> None:
    """Close a file that somebody else has locked.

    On Windows it is removed if it is empty: whoever had the lock could not remove it while it was
    open here. A file that is still in use there cannot be removed.
    """
    os.close(descriptor)
    if os.name == "nt":
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def is_same_file(descriptor: int, path: pathlib.Path) -> bool:
    """Return whether a path is that of an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
