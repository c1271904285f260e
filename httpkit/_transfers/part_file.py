"""The file that a download writes to before it is whole.

`<name>.part` holds the bytes; its size is the progress, so that a killed process loses nothing.
`<name>.part.json` holds the version they belong to, from before the first byte, and the lock.
A response that replaces them is written to `<name>.part.new` until it is whole.

Rule: no URL is stored (a signed one is a credential), and no file is renamed while it is open.
"""

import json
import os
import pathlib
import shutil
import stat
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Self

from httpkit._core.filenames import printable
from httpkit._core.validators import FileVersion
from httpkit._diagnostics.errors import TransferError
from httpkit._transfers import part_locks, sidecar
from httpkit._transfers.bytes_file import DEFAULT_MODE, FLAGS, BytesFile
from httpkit._transfers.destination import cannot_write, translated
from httpkit._transfers.file_locks import (
    check_replaceable,
    close_locked,
    remove,
    retry_while_locked,
)
from httpkit._transfers.part_locks import PartLock


class PartFile:
    """The bytes of a download that is not whole, opened and locked.

    Args:
        target: The file that it becomes.
        lock: The right to write to it; `open` acquires one.

    Attributes:
        is_private: Whether another process has the usual files, so that these are temporary.
        mode: The permissions of the file that is replaced; None when there is none.
    """

    def __init__(self, target: pathlib.Path, lock: PartLock) -> None:
        self.is_private = lock.is_private
        self._target = target
        self._lock = lock.descriptor
        self._sidecar_path = target.with_name(f"{lock.stem}.part.json")
        self.mode = _mode_of(target)
        self._is_replaced = False  # what was kept does not fit the server's file
        self._is_wrong = False  # what was kept has the wrong digest
        path = target.with_name(f"{lock.stem}.part")
        check_replaceable(path)  # it is renamed at the end
        self._kept = BytesFile(path, FLAGS, self.mode, sidecar.read(lock.descriptor))
        self._new: BytesFile | None = None
        self._current = self._kept
        self._open_replacement()

    @classmethod
    def open(cls, target: pathlib.Path) -> Self:
        """Open the part of a file, or a temporary one where another process has it.

        Raises:
            TransferError: The folder does not exist or cannot be written.
        """
        usual = target.with_name(f"{part_locks.usual_stem(target)}.part")
        with translated(usual), ExitStack() as stack:
            lock = part_locks.acquire(target)
            sidecar_path = target.with_name(f"{lock.stem}.part.json")
            is_removed = lock.is_private or os.fstat(lock.descriptor).st_size == 0
            stack.callback(close_locked, lock.descriptor, sidecar_path, is_removed=is_removed)
            part = cls(target, lock)
            stack.pop_all()
            return part

    @property
    def path(self) -> pathlib.Path:
        """Where the bytes are."""
        return self._current.path

    @property
    def usual_path(self) -> pathlib.Path:
        """Where the bytes are that no response has replaced, and segments beside them."""
        return self._kept.path

    @property
    def is_kept(self) -> bool:
        """Whether the current bytes stay when the part is closed."""
        if self._current is self._kept:
            return self._is_worth_keeping(self._kept)
        return self._is_replacement_kept(self._current)

    @property
    def is_usual(self) -> bool:
        """Whether the bytes are in the usual file, beside which segments may be."""
        return self._current is self._kept and not self.is_private

    @property
    def version(self) -> FileVersion | None:
        """What the bytes belong to; None when that is not known."""
        return self._current.version

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._current.size

    @property
    def can_restart(self) -> bool:
        """Whether `restart` can work: always."""
        return True

    def write(self, block: bytes) -> None:
        """Append bytes.

        Raises:
            TransferError: The disk is full, or the file cannot be written; what is there stays.
        """
        self._current.write(block)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset.

        Raises:
            TransferError: The disk does not give them back.
        """
        return self._current.read_at(offset, size)

    def learn(self, version: FileVersion) -> None:
        """Note what more is known of the bytes."""
        if version != self._current.version:
            self._save(version)

    def restart(self, version: FileVersion) -> None:
        """Begin with the first byte of a version.

        Bytes that an earlier response brought stay until the new ones are whole.
        """
        if self._current is self._kept and self._kept.size:
            self._new = self._new or self._create_replacement()
            self._current = self._new
        self._current.truncate()
        self._save(version)

    def reject(self, *, is_wrong: bool = False) -> None:
        """Note that the bytes do not fit the server's file, or have the wrong digest."""
        if self._current is self._kept:
            self._is_replaced = True
            self._is_wrong = is_wrong
        elif is_wrong:
            self._current.truncate()

    def select(self) -> None:
        """Make those bytes current from which a download can resume best."""
        new = self._new
        is_new = new is not None and new.size and (self._is_newer(new) or not self._kept.size)
        self._current = new if new is not None and is_new else self._kept

    def has_space(self, needed: int) -> bool:
        """Return whether so many bytes more fit on the disk, as far as that is known."""
        free = _free_space(self.path.parent)
        return free is None or needed <= free

    def check_space(self, needed: int) -> None:
        """Refuse a file that does not fit on the disk.

        Raises:
            TransferError: Less is free than the bytes that are missing.
        """
        free = _free_space(self.path.parent)
        if free is not None and needed > free:
            raise TransferError(
                f"{needed} bytes are missing, but {printable(self.path.parent)} has {free} free"
            )

    def is_equal(self, target: pathlib.Path) -> bool:
        """Return whether a file has the same bytes."""
        size, offset = self.size, 0
        with translated(target), target.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                return False
            while block := file.read(1 << 20):
                if block != self.read_at(offset, len(block)):
                    return False
                offset += len(block)
        return True

    def finish(self, *, sync: bool, is_new: bool) -> bool:
        """Give the whole file its final name, atomically; return whether it could have it.

        Args:
            sync: Whether to wait until the disk has the bytes.
            is_new: Whether a file that appeared meanwhile keeps the name.

        Raises:
            TransferError: The system refuses, or another program replaced the part.
        """
        current = self._current
        with translated(self.path):
            current.check_unchanged()
            if sync:
                os.fsync(current.descriptor)
            current.set_mode(self.mode)
            current.close()  # NFS may notice a full disk only now
        try:
            retry_while_locked(lambda: _move(current.path, self._target, is_new=is_new))
        except FileExistsError:
            current.remove()
            return False
        except OSError as error:
            raise cannot_write(self._target, error) from error
        for other in (self._kept, self._new):
            if other is not None and other is not current:
                other.discard()
        remove(self._new_sidecar_path)
        close_locked(self._lock, self._sidecar_path, is_removed=True)
        self._lock = -1
        return True

    def discard(self) -> None:
        """Remove the current bytes, and others with the wrong digest."""
        self._current.discard()
        if self._is_wrong:
            self._kept.discard()

    def close(self) -> None:
        """Close the files; those from which nothing can resume are removed.

        Raises:
            TransferError: Bytes that were written got lost on the way to the disk.
        """
        try:
            self._close()
        finally:
            part_locks.remove_abandoned(self._target)

    def _close(self) -> None:
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        is_kept = True
        try:
            self._close_replacement()
            is_kept = self._is_worth_keeping(self._kept) and not (self._is_wrong and self._new)
            with translated(self._kept.path):
                self._kept.close() if is_kept else self._kept.discard()
        finally:
            close_locked(lock, self._sidecar_path, is_removed=not is_kept)

    def _close_replacement(self) -> None:
        new = self._new
        if new is None:
            remove(self._new_sidecar_path)
            return
        if self._is_replacement_kept(new):
            with translated(new.path):
                new.close()
            return
        new.discard()
        remove(self._new_sidecar_path)
        self._new = None

    def _is_replacement_kept(self, new: "BytesFile") -> bool:
        return self._is_worth_keeping(new) and (self._is_newer(new) or not self._kept.size)

    def _is_worth_keeping(self, one: "BytesFile") -> bool:
        is_decoded = one.version is not None and one.version.is_decoded
        return bool(one.size) and not self.is_private and not is_decoded

    def _is_newer(self, new: "BytesFile") -> bool:
        """Return whether a replacement can be resumed, and is more than another copy."""
        if new.version is None or new.version.validator is None:
            return False
        kept = self._kept.version
        is_other = kept is None or kept.relation(new.version) != "same"
        return is_other or self._is_replaced or new.size > self._kept.size

    @property
    def _new_sidecar_path(self) -> pathlib.Path:
        return self._kept.path.with_name(f"{self._kept.path.name}.new.json")

    def _create_replacement(self) -> "BytesFile":
        path = self._kept.path.with_name(f"{self._kept.path.name}.new")
        with translated(path):
            return BytesFile(path, FLAGS, self.mode, None)

    def _open_replacement(self) -> None:
        """Open what an earlier run left of a replacement, if a download can resume there."""
        try:
            version = sidecar.parse(self._new_sidecar_path.read_bytes())
        except OSError:
            return
        self._new = self._create_replacement()
        self._new.version = version
        self.select()

    def _save(self, version: FileVersion) -> None:
        text = json.dumps(asdict(version)).encode() + b"\n"
        if self.is_private:
            pass  # its sidecar says so, and nothing resumes there
        elif self._current is self._kept:
            with translated(self._sidecar_path):
                sidecar.overwrite(self._lock, text)
        else:
            with translated(self._new_sidecar_path):
                descriptor = os.open(self._new_sidecar_path, FLAGS, DEFAULT_MODE)
                try:
                    sidecar.overwrite(descriptor, text)
                finally:
                    os.close(descriptor)
        self._current.version = version


def _free_space(folder: pathlib.Path) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def _mode_of(target: pathlib.Path) -> int | None:
    """Return the permissions of the file that is to be replaced; None when there is none."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return None


def _move(path: pathlib.Path, target: pathlib.Path, *, is_new: bool) -> None:
    """Rename a closed file.

    Raises:
        FileExistsError: The name must be free, and is not.
    """
    if os.name == "nt":
        _move_on_windows(path, target, is_new=is_new)
    elif not is_new:
        path.replace(target)
    else:
        _link(path, target)


def _move_on_windows(path: pathlib.Path, target: pathlib.Path, *, is_new: bool) -> None:
    if is_new:
        path.rename(target)  # replaces nothing there
        return
    mode = _mode_of(target)
    if mode is None or mode & stat.S_IWRITE:
        path.replace(target)
        return
    target.chmod(stat.S_IREAD | stat.S_IWRITE)  # else it is not replaced
    try:
        path.replace(target)
    finally:
        target.chmod(mode)


def _link(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        target.hardlink_to(path)  # unlike a rename it replaces nothing
    except FileExistsError:
        raise
    except OSError:
        # FAT and some network file systems have no links. To look first leaves a moment in which
        # a file may appear; to reserve the name could leave an empty file.
        if target.exists():
            raise FileExistsError(target) from None  # it is not about links
        path.replace(target)
    else:
        path.unlink()
