"""Which names a download may write to beside its target.

One download has `<name>.part`, and the lock on its sidecar. Any other that runs at the same time
has a temporary part, `<name>.<number>.part`, whose sidecar is locked, too, and says that it is
temporary. Nobody resumes there: where its process was killed, whoever comes later removes it.

Rule: what is removed was locked before, and is marked as temporary: another file may have the name.
"""

import os
import pathlib
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from httpkit._transfers import sidecar
from httpkit._transfers.bytes_file import DEFAULT_MODE, FLAGS
from httpkit._transfers.destination import derived, max_stem_length
from httpkit._transfers.file_locks import (
    NoLocksError,
    close_locked,
    close_unlocked,
    is_same_file,
    open_descriptor,
    remove,
    try_lock,
)

# Numbers that nobody uses before a search ends: downloads that ended left gaps between others.
_LONGEST_GAP = 4


@dataclass(frozen=True, slots=True)
class PartLock:
    """The right to write to a part.

    Attributes:
        stem: What the names of its files begin with.
        descriptor: Of its sidecar, open and locked.
        is_private: Whether it is a temporary part.
    """

    stem: str
    descriptor: int
    is_private: bool


def acquire(target: pathlib.Path) -> PartLock:
    """Lock the usual part of a file, or a temporary one where somebody has that.

    Raises:
        OSError: The folder cannot be written.
    """
    stem = usual_stem(target)
    try:
        lock = _open_locked(_sidecar_path(target, stem))
        if lock is not None:
            return PartLock(stem, lock, is_private=False)
        return _acquire_temporary(target)
    except NoLocksError:  # nobody can say whether a temporary part is in use: it has its own name
        _remove_empty(_sidecar_path(target, stem))
        stem = derived(target.name, uuid.uuid4().hex[:8], max_stem_length(target.parent))
        lock = os.open(_sidecar_path(target, stem), FLAGS | os.O_EXCL, DEFAULT_MODE)
        return PartLock(stem, lock, is_private=True)


def remove_abandoned(target: pathlib.Path) -> None:
    """Remove the temporary parts of processes that were killed."""
    limit, gap = max_stem_length(target.parent), 0
    for number in count(1):
        try:
            _remove_if_abandoned(target, _temporary_stem(target, number, limit))
            gap = 0
        except OSError:  # there is none, it is somebody else's, or nothing can be locked
            gap += 1
        if gap == _LONGEST_GAP:
            return


def _acquire_temporary(target: pathlib.Path) -> PartLock:
    limit = max_stem_length(target.parent)
    for number in count(1):
        stem = _temporary_stem(target, number, limit)
        if (lock := _open_free(target, stem)) is not None:
            with _closing_on_error(lock):
                _remove_bytes(lock, target, stem)
                sidecar.overwrite(lock, sidecar.TEMPORARY)
            return PartLock(stem, lock, is_private=True)
    raise AssertionError  # pragma: no cover  # `count` does not end


def _open_free(target: pathlib.Path, stem: str) -> int | None:
    """Open and lock the sidecar of a temporary part; None where somebody else has the name.

    Raises:
        OSError: The folder cannot be written.
    """
    path = _sidecar_path(target, stem)
    if not os.path.lexists(path) and _has_bytes(target, stem):
        return None  # no sidecar beside somebody else's file
    try:
        if (lock := _open_locked(path)) is None:
            return None
        with _closing_on_error(lock):
            is_free = _is_free(lock, target, stem)
    except OSError as error:
        if isinstance(error, NoLocksError) or not os.path.lexists(path):
            raise
        return None  # a folder, say, or a link
    if is_free:
        return lock
    os.close(lock)
    return None


def _remove_if_abandoned(target: pathlib.Path, stem: str) -> None:
    path = _sidecar_path(target, stem)
    lock = _open_and_lock(path, FLAGS & ~os.O_CREAT)
    if lock is None:
        return
    with _closing_on_error(lock):
        is_own = is_same_file(lock, path) and _is_free(lock, target, stem)
        if is_own:
            _remove_bytes(lock, target, stem)
    close_locked(lock, path, is_removed=is_own)


@contextmanager
def _closing_on_error(descriptor: int) -> Generator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _is_free(lock: int, target: pathlib.Path, stem: str) -> bool:
    """Return whether a locked sidecar is that of a temporary part, or of none so far."""
    text = sidecar.read_text(lock)
    return text == sidecar.TEMPORARY or not (text or _has_bytes(target, stem))


def _has_bytes(target: pathlib.Path, stem: str) -> bool:
    return any(map(os.path.lexists, _bytes_paths(target, stem)))


def _remove_bytes(lock: int, target: pathlib.Path, stem: str) -> None:
    """Remove what is beside a locked sidecar that is marked: before the mark there is nothing."""
    if sidecar.read_text(lock) == sidecar.TEMPORARY:
        for path in _bytes_paths(target, stem):
            remove(path)


def _bytes_paths(target: pathlib.Path, stem: str) -> list[pathlib.Path]:
    return [target.with_name(f"{stem}.{end}") for end in ("part", "part.new", "part.new.json")]


def _open_locked(path: pathlib.Path) -> int | None:
    """Open and lock a file; None when another process has it."""
    while True:
        descriptor = _open_and_lock(path, FLAGS)
        # The process that had it may have removed it between our open and our lock.
        if descriptor is None or is_same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _open_and_lock(path: pathlib.Path, flags: int) -> int | None:
    descriptor = open_descriptor(path, flags, DEFAULT_MODE)
    try:
        is_locked = try_lock(descriptor)
    except NoLocksError:
        os.close(descriptor)
        raise
    if is_locked:
        return descriptor
    close_unlocked(descriptor, path)
    return None


def _remove_empty(path: pathlib.Path) -> None:
    if path.stat().st_size == 0:
        remove(path)


def _sidecar_path(target: pathlib.Path, stem: str) -> pathlib.Path:
    return target.with_name(f"{stem}.part.json")


def usual_stem(target: pathlib.Path) -> str:
    """Return what the names of a file's part begin with: the same in every process."""
    name = os.path.normcase(target.name)  # other names of the same file, on Windows
    octets, limit = os.fsencode(name), max_stem_length(target.parent)
    if len(octets) <= limit:
        return target.name
    return derived(target.name, blake2b(octets, digest_size=8).hexdigest(), limit)


def _temporary_stem(target: pathlib.Path, number: int, limit: int) -> str:
    return derived(target.name, f"{number:08x}", limit)
