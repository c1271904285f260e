"""A body that is sent whole on every attempt: it opens again each time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from httpkit._messages.sources import Source


class SourceError(Exception):
    """A body broke off while it was sent; it carries the error that says why.

    It is no OSError, because urllib3 would take that for the connection's and send again. The
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
