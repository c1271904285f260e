"""Sources made of other sources: with a checksum, or a range of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from httpkit._diagnostics.errors import TransferError
from httpkit._messages import checksums
from httpkit._messages.sources import Source, skip_bytes


class DerivedSource:
    """What is the same for a source and for one made of it; a subclass gives the bytes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size: int | None = source.size
        self.not_replayable_reason: str | None = source.not_replayable_reason
        self.name: str | None = source.name

    @property
    def fingerprint(self) -> Sequence[int | str]:
        """The source's."""
        return self.source.fingerprint


class ChecksummedSource(DerivedSource):
    """A source whose bytes must have a checksum before the last of them is sent."""

    def __init__(self, source: Source, expected: checksums.Expected) -> None:
        super().__init__(source)
        self._expected = expected

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


class Slice(DerivedSource):
    """The bytes of a source from an offset up to another."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        super().__init__(source)
        self._start = start
        self._length = stop - start
        self.size = self._length

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end."""
        blocks: Any = self.source.blocks(self._start + start)
        left = self._length - start
        try:
            while left > 0:
                block = next(blocks, b"")[:left]
                if not block:
                    raise TransferError(f"the source ended {left} bytes early")
                left -= len(block)
                yield block
        finally:
            blocks.close()
