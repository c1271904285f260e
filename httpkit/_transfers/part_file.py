"""The file that a download writes to before it is whole.

`<name>.part` holds the bytes; its size is the progress, so that a killed process loses
nothing. `<name>.part.json` says, from before the first byte, of what the bytes are a part.
Rule: no URL is stored: a signed one is a credential.
"""

import errno
import json
import os
import pathlib
import shutil
import uuid
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, Protocol, Self

from httpkit._core.filenames import printable
from httpkit._core.header_fields import is_value
from httpkit._core.validators import FileVersion
from httpkit._diagnostics.errors import TransferError
from httpkit._transfers.destination import cannot_write, translated

try:
    import fcntl
except ImportError:  # Windows: two writers to one name are not kept apart there
    fcntl = None  # type: ignore[assignment]

# Bytes, of the 255 that common file systems take: ".part.json" needs 10 of them.
_LONGEST_NAME = 245
# Enough to notice another version or a tail of zeros; little enough to fetch twice.
OVERLAP = 4096


class Sink(Protocol):
    """Where a download puts its bytes."""

    identity: FileVersion | None

    @property
    def size(self) -> int:
        """How many bytes are there."""
        ...

    def write(self, block: bytes) -> None:
        """Append bytes."""
        ...

    def read_at(self, position: int, size: int) -> bytes:
        """Return bytes that are there; of a caller's file the last OVERLAP only."""
        ...

    def restart(self, identity: FileVersion) -> None:
        """Drop what is there; what follows is of this version."""
        ...


class Part:
    """A part file, opened and locked.

    Attributes:
        path: Where it is; beside the final name, so that renaming it is atomic.
        identity: What its bytes are a part of; None when that is not known.
        is_shared: Whether another process is writing the usual one, so that this is another.
    """

    def __init__(self, path: pathlib.Path, descriptor: int, *, is_shared: bool) -> None:
        self.path = path
        self.is_shared = is_shared
        self._descriptor = descriptor
        self._sidecar = path.with_name(f"{path.name}.json")
        self.identity = self._load()

    @classmethod
    def open(cls, target: pathlib.Path) -> Self:
        """Open the part of a file, or a part of its own where another process writes that.

        Raises:
            TransferError: The folder does not exist or cannot be written.
        """
        usual = target.with_name(f"{_stem(target.name)}.part")
        with translated(usual):
            descriptor = _lock(usual)
            if descriptor is not None:
                return cls(usual, descriptor, is_shared=False)
            own = target.with_name(f"{target.name[:50]}.{uuid.uuid4().hex[:8]}.part")
            return cls(own, os.open(own, _FLAGS | os.O_EXCL, 0o666), is_shared=True)

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return os.fstat(self._descriptor).st_size

    def write(self, block: bytes) -> None:
        """Append bytes.

        Raises:
            TransferError: The disk is full, or the file cannot be written; what is there stays.
        """
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read_at(self, position: int, size: int) -> bytes:
        """Return so many bytes from a position.

        Raises:
            TransferError: The disk does not give them back.
        """
        with translated(self.path):
            return os.pread(self._descriptor, size, position)

    def restart(self, identity: FileVersion) -> None:
        """Drop what is there; what follows is of this version."""
        with translated(self.path):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        with translated(self._sidecar):
            self._sidecar.write_text(json.dumps(asdict(identity)), "utf-8")
        self.identity = identity

    def check_space(self, needed: int) -> None:
        """Refuse a file that the disk has no room for.

        Raises:
            TransferError: There is less room than the bytes that are missing.
        """
        free: int | None = None
        with suppress(OSError):
            free = shutil.disk_usage(self.path.parent).free
        # TransferError is an OSError, too: within the block it would be lost.
        if free is not None and needed > free:
            raise TransferError(
                f"{needed} bytes are missing, but {printable(self.path.parent)} has {free} free"
            )

    def finish(self, target: pathlib.Path, *, sync: bool, is_new: bool) -> bool:
        """Give the whole file its final name, at once; say whether it could have it.

        Args:
            target: The name.
            sync: Whether to wait until the disk has the bytes.
            is_new: Whether a file that appeared meanwhile keeps the name.
        """
        try:
            if sync:
                os.fsync(self._descriptor)
            if is_new:
                self._take(target)
            else:
                self.path.replace(target)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_write(target, error) from error
        with suppress(OSError):  # the file is whole
            self._sidecar.unlink()
        return True

    def _take(self, target: pathlib.Path) -> None:
        """Move to a name that must be free.

        Raises:
            FileExistsError: It is not.
        """
        try:
            target.hardlink_to(self.path)  # unlike a rename it replaces nothing
        except FileExistsError:
            raise
        except OSError:
            # FAT and some file systems over the network have no links. To look first leaves a
            # moment in which a file may appear; to reserve the name could leave an empty file.
            if target.exists():
                raise FileExistsError(target) from None  # it is not about links
            self.path.replace(target)
        else:
            self.path.unlink()

    def discard(self) -> None:
        """Remove the part: its bytes are wrong."""
        with suppress(OSError):
            self.path.unlink()
        with suppress(OSError):
            self._sidecar.unlink()

    def close(self) -> None:
        """Let go of the file; an empty part is removed.

        Raises:
            TransferError: Bytes that were written got lost on the way to the disk.
        """
        if self._descriptor < 0:
            return
        if (self.size == 0 or self.is_shared) and self._is_mine():
            self.discard()
        descriptor, self._descriptor = self._descriptor, -1
        with translated(self.path):  # NFS may notice a full disk only now
            os.close(descriptor)

    def _is_mine(self) -> bool:
        return _same_file(self._descriptor, self.path)

    def _load(self) -> FileVersion | None:
        try:
            identity = FileVersion(**json.loads(self._sidecar.read_text("utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts: tuple[Any, ...] = (
            identity.validator,
            identity.etag,
            identity.modified,
            identity.source,
        )
        is_legible = all(
            text is None or (isinstance(text, str) and is_value(text)) for text in texts
        )
        total: Any = identity.total
        is_count = total is None or (isinstance(total, int) and total >= 0)
        return identity if is_legible and is_count else None


def _stem(name: str) -> str:
    """Return what the names of a file's part begin with: the same in every process."""
    octets = os.fsencode(name)
    if len(octets) <= _LONGEST_NAME:
        return name
    return f"{name[:50]}.{blake2b(octets, digest_size=8).hexdigest()}"


# No link is followed: in a shared folder it could lead to somebody else's file.
_FLAGS = (
    os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
)


def _lock(path: pathlib.Path) -> int | None:
    """Open and lock a file; None when another process has it."""
    while True:
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return None
            raise
        # The one who had it may have renamed it between our open and our lock.
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _same_file(descriptor: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


class Stream:
    """A caller's file object as a sink: it resumes within a call, not across processes."""

    def __init__(self, file: Any) -> None:
        self.identity: FileVersion | None = None
        self._file = file
        self._start = _position(file)
        self._tail = b""
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, block: bytes) -> None:
        """Append bytes; the caller's file raises its own errors."""
        view = memoryview(block)
        while view:  # a raw file takes what it can, and says how much that was
            written = self._file.write(view)
            view = view[written if isinstance(written, int) else len(view) :]
        self._size += len(block)
        self._tail = (self._tail + block)[-OVERLAP:] if len(block) < OVERLAP else block[-OVERLAP:]

    def read_at(self, position: int, size: int) -> bytes:
        """Return bytes from a position, from memory: the file may not be readable."""
        start = len(self._tail) - (self._size - position)
        return self._tail[start : start + size]

    def restart(self, identity: FileVersion) -> None:
        """Go back to where the file was.

        Raises:
            TransferError: It cannot go back, and bytes of another version are in it.
        """
        self.identity = identity
        if not self._size:
            return
        if self._start is None:
            raise TransferError("the file it is written to cannot be rewound")
        self._file.seek(self._start)
        self._file.truncate()
        self._size, self._tail = 0, b""


def _position(file: Any) -> int | None:
    try:
        return int(file.tell()) if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None
