"""Sources made of other sources: with a checksum, or a range of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from httpkit._diagnostics.errors import TransferError
from httpkit._messages import checksums
from httpkit._messages.sources import Source, skip_bytes


class ChecksummedSource:
    """A source whose bytes must have a checksum before the last of them is sent."""

    def __init__(self, source: Source, expected: checksums.Expected) -> None:
        self.source = source
        self._expected = expected
        self.size: int | None = source.size
        self.not_replayable_reason: str | None = source.not_replayable_reason
        self.name: str | None = source.name

    @property
    def fingerprint(self) -> Sequence[int | str]:
        """The source's."""
        return self.source.fingerprint

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end.

        Raises:
            ChecksumError: The bytes are not those that the checksum was made of.
        """
        hashers = checksums.Hashers([self._expected.algorithm])
        pending = b""
        for block in self.source.blocks():
            hashers.update(block)
            if pending:
                yield from skip_bytes(start, iter((pending,)))
            start = max(0, start - len(pending))
            pending = block
        hashers.compare([self._expected])
        if start < len(pending):
            yield pending[start:]


class Slice:
    """The bytes of a source from an offset up to another."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self._source = source
        self._start = start
        self.size: int = stop - start
        self.not_replayable_reason: str | None = source.not_replayable_reason
        self.name: str | None = source.name

    @property
    def fingerprint(self) -> Sequence[int | str]:
        """The source's."""
        return self._source.fingerprint

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end."""
        blocks: Any = self._source.blocks(self._start + start)
        left = self.size - start
        try:
            while left > 0:
                block = next(blocks, b"")[:left]
                if not block:
                    raise TransferError(f"the source ended {left} bytes early")
                left -= len(block)
                yield block
        finally:
            blocks.close()
