"""Sources of the bytes that are sent, which can be read again for every attempt.

Rule: an iteration gives the same bytes as the one before it, or an error; never fewer.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pathlib
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast
from zlib import crc32

from httpkit._core.filenames import printable, sendable
from httpkit._diagnostics.errors import ConfigurationError, TransferError

# One read and one send. Blocks of 1 MiB took 0.7 of curl's time on the loopback, and urllib3's
# own of 16 KiB 1.7 (2026-11-21).
BLOCK = 1 << 20


class Source(Protocol):
    """Where bytes to be sent come from.

    Attributes:
        size: How many there are; None when nobody knows before the end.
        not_replayable_reason: Why they cannot be given twice, in words; None when they can.
        name: The name of the file, for the form or the guess of its type; None without one.
        fingerprint: What changes when the bytes do, as far as that is known.
    """

    @property
    def size(self) -> int | None:
        """How many bytes there are."""
        ...

    @property
    def not_replayable_reason(self) -> str | None:
        """Why they cannot be given twice."""
        ...

    @property
    def name(self) -> str | None:
        """The name of the file."""
        ...

    @property
    def fingerprint(self) -> Sequence[int | str]:
        """What changes when the bytes do."""
        ...

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end, each time anew.

        Raises:
            TransferError: They are not what they were, or cannot be read.
        """
        ...


class BytesSource:
    """Bytes in memory."""

    not_replayable_reason: str | None = None
    name: str | None = None

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._content)

    @property
    def fingerprint(self) -> list[int | str]:
        """What changes when the bytes do."""
        return [hashlib.sha256(self._content).hexdigest()]

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end."""
        for offset in range(start, self.size, BLOCK):
            yield self._content[offset : offset + BLOCK]


class PathSource:
    """A file by its path: opened for every attempt, and the same each time.

    Args:
        path: Of a regular file.
        size: The first bytes of it to send; None: all, and it must not grow meanwhile.

    Raises:
        TransferError: It cannot be read, is not a regular file, or has less than `size` bytes.
    """

    not_replayable_reason: str | None = None

    def __init__(self, path: pathlib.Path, size: int | None = None) -> None:
        self._path = path
        with self._opened() as file:
            self._stat = os.fstat(file.fileno())
            has_no_size = self._stat.st_size == 0 and bool(_read(file, 1, path))  # as in /proc
        if has_no_size or not stat.S_ISREG(self._stat.st_mode):
            raise TransferError(
                f"{printable(path)} is not a regular file: open it and pass the file object"
            )
        if size is not None and size > self._stat.st_size:
            raise TransferError(
                f"{printable(path)} has {self._stat.st_size} bytes, not size={size}"
            )
        self._may_grow = size is not None
        self.size: int = self._stat.st_size if size is None else size

    @property
    def name(self) -> str:
        """The last part of the path, as text that can be sent."""
        return sendable(self._path.name)

    @property
    def fingerprint(self) -> list[int | str]:
        """What changes when the file does."""
        return [self._stat.st_size, self._stat.st_mtime_ns]

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end.

        Raises:
            TransferError: The file is another one, or of another size, than at first.
        """
        with self._opened() as file:
            self._check(file)
            file.seek(start)
            left = self.size - start
            while left > 0:
                block = _read(file, min(BLOCK, left), self._path)
                left -= len(block)
                if left <= 0:  # the last block is held back from a body that is not whole
                    self._check(file)
                if not block:
                    raise TransferError(
                        f"{printable(self._path)} ends {left} bytes early: it was cut"
                    )
                yield block

    @contextmanager
    def _opened(self) -> Generator[io.FileIO]:
        try:
            # Not buffered: blocks are larger than any buffer.
            file = io.FileIO(self._path, "rb", opener=_open_nonblocking)
        except (OSError, ValueError) as error:
            what, reason = printable(self._path), printable(_reason(self._path, error))
            raise TransferError(f"{what} cannot be read: {reason}") from error
        with file:
            yield file

    def _check(self, file: io.FileIO) -> None:
        now = os.fstat(file.fileno())
        is_other = (now.st_dev, now.st_ino) != (self._stat.st_dev, self._stat.st_ino)
        has_other_size = now.st_size != self._stat.st_size and not self._may_grow
        is_rewritten = now.st_mtime_ns != self._stat.st_mtime_ns and not self._may_grow
        if is_other or has_other_size or is_rewritten:
            raise TransferError(
                f"{printable(self._path)} changed while it was sent"
                f" ({self._stat.st_size} bytes at first, {now.st_size} now)"
            )


def _reason(path: pathlib.Path, error: OSError | ValueError) -> object:
    """Return why a file cannot be opened, in the system's words."""
    reason = getattr(error, "strerror", None) or error
    if isinstance(error, PermissionError) and os.name == "nt":
        # Windows' only word for a folder, a file that somebody else holds, and missing rights.
        folder, held = os.strerror(errno.EISDIR), "another program may have it open"
        return folder if path.is_dir() else f"{reason}; {held}"
    return reason


def _open_nonblocking(path: str, flags: int) -> int:
    # A pipe that nobody writes to must not hang; a regular file does not mind.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _readable(what: object) -> Generator[None]:
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise TransferError(f"{printable(what)} cannot be read: {reason}") from error


def _read(file: Any, size: int, what: object) -> bytes:
    with _readable(what):
        block: object = file.read(size)
    if block is None:
        raise TransferError(f"{printable(what)} has nothing to read now: it does not block")
    if not isinstance(block, (bytes, bytearray, memoryview)):
        raise TransferError(
            f"{printable(what)} gives {type(block).__name__}, not bytes: open it with 'rb'"
        )
    return bytes(cast("Any", block))


class FileSource:
    """A file object, from its current position.

    Args:
        file: Opened in binary mode.
        size: How many bytes to send; None: up to its end, and it must not grow meanwhile.

    Raises:
        ConfigurationError: It is opened as text, or closed.
        TransferError: It has less than `size` bytes.
    """

    def __init__(self, file: Any, size: int | None = None) -> None:
        if isinstance(file, io.TextIOBase) or hasattr(file, "encoding"):
            raise ConfigurationError("the file is opened as text: open it in binary mode ('rb')")
        if getattr(file, "closed", False):
            raise ConfigurationError("the file is closed")
        self._file = file
        self._start = _position(file)
        self.not_replayable_reason: str | None = None
        self._was_read = self._may_grow = False
        self._repeat_check = _RepeatCheck()
        self.size = size
        if self._start is None:
            self.not_replayable_reason = f"the source ({type(file).__name__}) can be read only once"
            return
        there, self._file_facts = self._remaining(), _file_facts(file)
        if size is not None and size > there:
            raise TransferError(f"{self._what} has {there} bytes, not size={size}")
        self._may_grow = size is not None
        self.size = there if size is None else size

    @property
    def name(self) -> str | None:
        """The name of its file; None for what has none."""
        name = getattr(self._file, "name", None)
        is_file = isinstance(name, str) and name[:1] + name[-1:] != "<>"
        last = os.path.basename(cast("str", name)) if is_file else None  # noqa: PTH119  # a str
        return None if last is None else sendable(last)

    @property
    def fingerprint(self) -> list[int | str]:
        """When the file was written, and where it begins; of what is not a file, its digest."""
        return [self._start or 0, *(_file_facts(self._file) or [_hash(self)])]

    @property
    def _what(self) -> str:
        return printable(self.name or type(self._file).__name__)

    def _remaining(self) -> int:
        with _readable(self._what):
            end = self._file.seek(0, os.SEEK_END)
            end = self._file.tell() if end is None else end  # mmap's returns nothing
            self._file.seek(self._start)
            return int(max(0, end - cast("int", self._start)))

    def _check(self) -> None:
        if self._may_grow or self._start is None:
            return
        with _readable(self._what):
            offset = self._file.tell()
            is_same = self._remaining() == self.size and _file_facts(self._file) == self._file_facts
            self._file.seek(offset)
        if not is_same:
            raise TransferError(f"{self._what} changed while it was sent")

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end.

        Raises:
            TransferError: It was read before and cannot go back, or is not what it was.
        """
        if self.not_replayable_reason and self._was_read:
            raise TransferError(f"it was sent before, and {self.not_replayable_reason}")
        self._was_read = True
        self._check()
        if self._start is not None:
            with _readable(self._what):
                self._file.seek(self._start + start)
        if self.size is not None:
            blocks = self._counted(self.size - start)
            # What has no date may have been written to; a span of it is not looked at.
            is_dated = bool(_file_facts(self._file)) or start > 0
            yield from blocks if is_dated else self._repeat_check.checked(blocks)
            return
        while block := _read(self._file, BLOCK, self._what):
            yield block

    def _counted(self, left: int) -> Iterator[bytes]:
        while left > 0:
            block = _read(self._file, min(BLOCK, left), self._what)
            if not block:
                raise TransferError(f"{self._what} ends {left} bytes early: it was cut")
            left -= len(block)
            if left <= 0:  # the last block is held back from a body that is not whole
                self._check()
            yield block


def _file_facts(file: Any) -> list[int | str]:
    """Return what changes when somebody writes a file; nothing for what is not a file."""
    try:
        stat = os.fstat(file.fileno())
    except (OSError, ValueError, AttributeError):
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _position(file: Any) -> int | None:
    try:
        start = file.tell()
        file.seek(start)  # a pipe may tell, but not seek
    except (OSError, ValueError, AttributeError):
        return None
    return int(start)


class IterableSource:
    """An iterable of blocks, or a callable that makes one for every attempt.

    Args:
        source: What gives bytes.
        size: How many it gives in total; None when that is not known.
    """

    name: str | None = None

    def __init__(
        self, source: Iterable[bytes] | Callable[[], Iterable[bytes]], size: int | None = None
    ) -> None:
        self._source = source
        self.size = size
        is_iterator = not callable(source) and iter(source) is source
        why = f"the source ({type(source).__name__}) can be read only once"
        self.not_replayable_reason: str | None = why if is_iterator else None
        self._was_read = False
        self._repeat_check = _RepeatCheck()

    @property
    def fingerprint(self) -> list[int | str]:
        """The digest of the blocks."""
        return [_hash(self)]

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end.

        Raises:
            TransferError: It was read before, fails, gives more or less than `size`, or not
                what it gave before.
        """
        if self.not_replayable_reason and self._was_read:
            raise TransferError(f"it was sent before, and {self.not_replayable_reason}")
        self._was_read = True
        blocks = (
            self._given()
            if self.not_replayable_reason
            else self._repeat_check.checked(self._given())
        )
        yield from skip_bytes(start, _exactly(blocks, self.size, "the source"))

    def _given(self) -> Iterator[bytes]:
        blocks: Any = None
        try:
            blocks = self._source() if callable(self._source) else self._source
            for block in blocks:
                view = memoryview(cast("bytes", block)).cast("B")
                for offset in range(0, len(view), BLOCK):
                    yield bytes(view[offset : offset + BLOCK])
        except TransferError:
            raise
        except Exception as error:
            raise TransferError(f"the source failed: {type(error).__name__}: {error}") from error
        finally:
            if callable(self._source) and hasattr(blocks, "close"):
                blocks.close()


class _RepeatCheck:
    """The size and the checksum of what an iterable gave: it must give the same again."""

    def __init__(self) -> None:
        self._size = self._hash = 0
        self._is_whole = False

    def checked(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Give the blocks; the last is held back from a body that is another one.

        Raises:
            TransferError: It is.
        """
        known, known_hash, was_whole = self._size, self._hash, self._is_whole
        size = total = 0
        last = b""
        for block in blocks:
            if (
                size < known <= size + len(block)
                and crc32(block[: known - size], total) != known_hash
            ):
                raise _other()
            size, total = size + len(block), crc32(block, total)
            if was_whole and size > known:
                raise _other()
            if size > self._size:
                self._size, self._hash = size, total
            if last:
                yield last
            last = block
        if size < known:
            raise _other()
        self._is_whole = True
        if last:
            yield last


def _other() -> TransferError:
    return TransferError("the source gives other bytes than the first time")


def _hash(source: Source) -> str:
    digest = hashlib.sha256()
    for block in source.blocks():
        digest.update(block)
    return digest.hexdigest()


def skip_bytes(start: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Give blocks without their first bytes."""
    for block in blocks:
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))


def _exactly(blocks: Iterator[bytes], size: int | None, what: str) -> Iterator[bytes]:
    """Give exactly so many bytes; None gives all. The last block is held back until all is read.

    Raises:
        TransferError: There are more, or less.
    """
    left, last = size, b""
    for block in blocks:
        if left is not None:
            left -= len(block)
            if left < 0:
                raise TransferError(f"{what} gives more than size={size} bytes")
        if last:
            yield last
        last = block
    if left:
        raise TransferError(f"{what} ended {left} bytes early: {size} were announced")
    if last:
        yield last
