"""Where a download puts its bytes: what every destination can do, and a caller's file object."""

from typing import Any, Protocol

from httpkit._core.validators import FileVersion
from httpkit._diagnostics.errors import TransferError

# Bytes that are requested again when a download resumes: enough to notice another version or a
# tail of zeros, little enough to fetch twice.
OVERLAP = 4096


class Sink(Protocol):
    """Where a download puts its bytes."""

    @property
    def version(self) -> FileVersion | None:
        """What the bytes belong to; None when that is not known."""
        ...

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    @property
    def can_restart(self) -> bool:
        """Whether `restart` can work."""
        ...

    def write(self, block: bytes) -> None:
        """Append bytes."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset; of a caller's file the last OVERLAP only."""
        ...

    def learn(self, version: FileVersion) -> None:
        """Note what more is known of the bytes."""
        ...

    def restart(self, version: FileVersion) -> None:
        """Begin with the first byte of a version; what is there stays until that is whole."""
        ...

    def select(self) -> None:
        """Make those bytes current from which a download can resume best."""
        ...

    def reject(self, *, is_wrong: bool = False) -> None:
        """Note that the bytes do not fit the server's file, or have the wrong digest."""
        ...

    def discard(self) -> None:
        """Remove the bytes."""
        ...

    def close(self) -> None:
        """Close what was opened here."""
        ...


class FileObject:
    """A caller's file object: a download into it resumes within a call, not across processes."""

    def __init__(self, file: Any) -> None:
        self._version: FileVersion | None = None
        self._file = file
        self._start = _offset(file)
        self._tail = b""
        self._size = 0

    @property
    def version(self) -> FileVersion | None:
        """What the bytes belong to."""
        return self._version

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._size

    @property
    def can_restart(self) -> bool:
        """Whether the file can be rewound, or need not be."""
        return self._start is not None or not self._size

    def write(self, block: bytes) -> None:
        """Append bytes; the caller's file raises its own errors."""
        view = memoryview(block)
        while view:  # a raw file takes what it can, and returns how much that was
            written = self._file.write(view)
            view = view[written if isinstance(written, int) else len(view) :]
        self._size += len(block)
        self._tail = (self._tail + block)[-OVERLAP:] if len(block) < OVERLAP else block[-OVERLAP:]

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset, from memory: the file may not be readable."""
        start = len(self._tail) - (self._size - offset)
        return self._tail[start : start + size] if start >= 0 else b""

    def learn(self, version: FileVersion) -> None:
        """Note what more is known of the bytes."""
        self._version = version

    def restart(self, version: FileVersion) -> None:
        """Rewind the file to where it was.

        Raises:
            TransferError: It cannot be rewound, and bytes of another version are in it.
        """
        self._version = version
        if not self._size:
            return
        if self._start is None:
            raise TransferError("the file it is written to cannot be rewound")
        self._file.seek(self._start)
        self._file.truncate()
        self._size, self._tail = 0, b""

    def select(self) -> None:
        """Do nothing: there is one file."""

    def reject(self, *, is_wrong: bool = False) -> None:
        """Do nothing: the next restart rewinds the file."""

    def discard(self) -> None:
        """Rewind the file, where that is possible."""
        if self.can_restart:
            self.restart(FileVersion())

    def close(self) -> None:
        """Leave the file open: it is the caller's."""


def _offset(file: Any) -> int | None:
    try:
        return int(file.tell()) if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None
