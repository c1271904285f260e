"""A body that is sent whole on every attempt: its sources are opened again each time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import requests

    from httpkit._messages.sources import Source


class SourceError(Exception):
    """A source failed while it was sent; it carries the error that says why.

    It is not an OSError: urllib3 would take that for the connection's and retry. The
    error it carries is marked as `of_source`: it may be a ConnectionError, but not of ours.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
        error.of_source = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a mark


class ProgressListener(Protocol):
    """What is told how much of a body was sent."""

    def begin(self, done: int, total: int | None) -> None:
        """Say where an attempt begins."""
        ...

    def advance(self, size: int) -> None:
        """Say that so many bytes more were sent."""
        ...


class ReplayableBody:
    """A body made of bytes and sources; each iteration gives all of it, from the beginning.

    It has `len` and no `read`: so requests declares its length and urllib3 sends block by block.

    Attributes:
        content_type: What the body is; None leaves it to the caller.
    """

    def __init__(
        self,
        pieces: Sequence[bytes | Source],
        *,
        content_type: str | None = None,
        listener: ProgressListener | None = None,
    ) -> None:
        self.content_type = content_type
        self._pieces = pieces
        self._listener = listener
        self._open: Iterator[bytes] | None = None

    def __repr__(self) -> str:
        size = "unknown" if self.len is None else self.len
        return f"<{type(self).__name__} of {size} bytes>"

    @property
    def len(self) -> int | None:
        """How many bytes there are; None when nobody knows before the end."""
        sizes = [len(p) if isinstance(p, bytes) else p.size for p in self._pieces]
        return None if None in sizes else sum(cast("list[int]", sizes))

    @property
    def not_replayable_reason(self) -> str | None:
        """Why it cannot be sent twice, in words; None when it can."""
        reasons = (
            None if isinstance(piece, bytes) else piece.not_replayable_reason
            for piece in self._pieces
        )
        return next(filter(None, reasons), None)

    def __iter__(self) -> Iterator[bytes]:
        self.close()
        self._open = self._give()
        return self._open

    def close(self) -> None:
        """Close the files that an attempt left open."""
        if self._open is not None:
            cast("Any", self._open).close()
            self._open = None

    def _give(self) -> Iterator[bytes]:
        with _as_source_error():
            if self._listener:
                self._listener.begin(0, self.len)
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                self._advance(len(piece))
                continue
            blocks = piece.blocks()
            while block := _next(blocks):
                yield block
                self._advance(len(block))

    def _advance(self, size: int) -> None:
        if self._listener:
            with _as_source_error():
                self._listener.advance(size)


def _next(blocks: Iterator[bytes]) -> bytes | None:
    with _as_source_error():
        return next(blocks, None)
    return None


@contextmanager
def _as_source_error() -> Generator[None]:
    try:
        yield
    except Exception as error:
        raise SourceError(error) from error


class ReadableBody:
    """A replayable body as a file, for an auth that reads the body to sign it."""

    def __init__(self, body: ReplayableBody) -> None:
        self._body = body
        self._blocks: Iterator[bytes] | None = None
        self._rest = b""
        self._offset = 0

    @property
    def len(self) -> int | None:
        """How many bytes there are; None when that is not known."""
        return self._body.len

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset.

        Raises:
            UnsupportedOperation: It is relative to an end that is not known.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset}.get(whence, self.len)
        if base is None:
            raise io.UnsupportedOperation("the size of the body is not known")
        self.close()
        self._offset = base + offset
        return self._offset

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, or all that are left.

        Raises:
            TransferError: The source cannot be read, or is not what it was.
        """
        wanted = -1 if size is None else size
        blocks = [self._rest]
        received = len(self._rest)
        while wanted < 0 or received < wanted:
            block = self._next()
            if not block:
                break
            blocks.append(block)
            received += len(block)
        data = b"".join(blocks)
        got = data if wanted < 0 else data[:wanted]
        self._rest = data[len(got) :]
        self._offset += len(got)
        return got

    def close(self) -> None:
        """Close the files that reading left open."""
        self._blocks, self._rest = None, b""
        self._body.close()

    def _next(self) -> bytes | None:
        try:
            if self._blocks is None:
                self._blocks = iter(self._body)
                self._skip(self._blocks, self._offset)
                if self._rest:
                    block, self._rest = self._rest, b""
                    return block
            return next(self._blocks, None)
        except SourceError as error:
            raise error.error from None  # the very same error

    def _skip(self, blocks: Iterator[bytes], size: int) -> None:
        while size > 0 and (block := next(blocks, b"")):
            self._rest = block[size:]
            size -= len(block)


def sign(
    auth: Callable[..., Any],
    request: requests.PreparedRequest,
    body: ReplayableBody,
) -> requests.PreparedRequest:
    """Have an auth sign a request whose body it may read, as a file or not at all.

    Raises:
        TypeError: The auth takes bytes only; a note says what to do.
    """
    readable = ReadableBody(body)
    request.body = readable  # a file, as requests takes it
    try:
        signed: requests.PreparedRequest = auth(request)
    except TypeError as error:
        error.add_note(
            f"{type(auth).__name__} does not read this body: pass the body as bytes, or an auth"
            " that reads files with read()"
        )
        raise
    finally:
        readable.close()
        if request.body is readable:
            request.body = body
    if signed.body is readable:
        signed.body = body
    return signed
