"""What a file's bytes must add up to: the caller's checksum, and the server's own fields."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Protocol

from httpkit._core.patterns import pattern
from httpkit._diagnostics.errors import ChecksumError, ConfigurationError, TransferError

# What one read of the file takes: little enough to stay in a processor's cache while it is
# added up.
_BLOCK = 1 << 18

# RFC 9530 section 5 and the registry: the names in fields, and hashlib's.
_FIELD_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "md5": "md5", "sha": "sha1"}
_ITEM = pattern(r"([a-z0-9*._-]+)\s*=\s*:([A-Za-z0-9+/=]*):")


class Hash(Protocol):
    """What hashlib makes."""

    @property
    def digest_size(self) -> int:
        """How many bytes the sum has."""
        ...

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the sum so far."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """A sum that must come out.

    Attributes:
        algorithm: hashlib's name.
        hexdigest: In lower case.
        source: Where it comes from, for messages: "checksum=" or a field's name.
    """

    algorithm: str
    hexdigest: str
    source: str


def parse(checksum: str) -> Expected:
    """Read "sha256:<hex>".

    Raises:
        ConfigurationError: The algorithm is unknown, or the digest has not its length.
    """
    if not isinstance(checksum, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError("checksum= must be a str like 'sha256:<hex digest>'")
    algorithm, colon, digest = checksum.strip().partition(":")
    algorithm, digest = algorithm.lower().replace("-", ""), digest.strip().lower()
    if not colon or algorithm not in hashlib.algorithms_available or algorithm[:5] == "shake":
        raise ConfigurationError(f"checksum={checksum!r} must be like 'sha256:<hex digest>'")
    size = _new(algorithm).digest_size * 2
    if not re.fullmatch(f"[0-9a-f]{{{size}}}", digest):
        raise ConfigurationError(f"a {algorithm} checksum has {size} hexadecimal digits")
    return Expected(algorithm, digest, "checksum=")


def _new(algorithm: str) -> Hash:
    return hashlib.new(algorithm, usedforsecurity=False)


def announced(headers: Mapping[str, str], *, is_whole: bool) -> list[Expected]:
    """Return the sums a response announces for the whole file, the strongest first.

    Args:
        headers: The response's fields.
        is_whole: Whether the body is the whole file (200): Content-Digest and Content-MD5
            speak of this body, Repr-Digest of the file (RFC 9530 sections 2 and 3).
    """
    found = _field(headers.get("repr-digest", ""), "Repr-Digest")
    if is_whole:
        found += _field(headers.get("content-digest", ""), "Content-Digest")
        if (digest := _hex(headers.get("content-md5", ""))) and len(digest) == 32:
            found.append(Expected("md5", digest, "Content-MD5"))
    strength = list(_FIELD_ALGORITHMS.values())
    return sorted(found, key=lambda expected: strength.index(expected.algorithm))


def _field(value: str, source: str) -> list[Expected]:
    return [
        Expected(algorithm, digest, source)
        for name, encoded in _ITEM.findall(value.lower() and value)
        if (algorithm := _FIELD_ALGORITHMS.get(name.lower())) and (digest := _hex(encoded))
    ]


def spell(expected: Expected) -> str | None:
    """Return the value of a Content-Digest field; None where RFC 9530 has no such algorithm."""
    names = {algorithm: name for name, algorithm in _FIELD_ALGORITHMS.items()}
    if (name := names.get(expected.algorithm)) is None:
        return None
    return f"{name}=:{base64.b64encode(bytes.fromhex(expected.hexdigest)).decode('ascii')}:"


def _hex(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).hex() or None
    except (binascii.Error, ValueError):
        return None


class Hashers:
    """The sums of what was written so far, one for each algorithm that is expected."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {algorithm: _new(algorithm) for algorithm in algorithms}

    @property
    def algorithms(self) -> set[str]:
        """Which sums these are."""
        return set(self._hashes)

    def update(self, block: bytes) -> None:
        """Add a block, which was written."""
        for digest in self._hashes.values():
            digest.update(block)

    def hexdigests(self) -> dict[str, str]:
        """Return algorithm to digest."""
        return {algorithm: digest.hexdigest() for algorithm, digest in self._hashes.items()}

    def compare(self, expected: Iterable[Expected]) -> None:
        """Check the sums.

        Raises:
            ChecksumError: One of them is another.
        """
        digests = self.hexdigests()
        for wanted in expected:
            if (found := digests.get(wanted.algorithm)) not in {None, wanted.hexdigest}:
                raise ChecksumError(
                    f"{wanted.algorithm} is {found}, but {wanted.source} says {wanted.hexdigest}"
                )

    def close(self) -> None:
        """Stop adding up."""


class FileHashers(Hashers):
    """The sums of a file that is being written, by a thread that reads behind the writer.

    Neither reading nor hashing holds the interpreter's lock: 1 GiB with sha256 took 0.9 times
    curl's time, and twice curl's when the writer added up itself (2026-11-21). What is on the
    disk is added up, not what went there.

    Args:
        algorithms: hashlib's names.
        read: Returns so many bytes from a position of the file.
        size: How many bytes are there already.
    """

    def __init__(
        self, algorithms: Iterable[str], read: Callable[[int, int], bytes], size: int
    ) -> None:
        super().__init__(algorithms)
        self._read = read
        self._size, self._added = size, 0
        self._is_closing = False
        self._failure: Exception | None = None
        self._grown = Condition()
        self._thread: Thread | None = None

    def update(self, block: bytes) -> None:
        """Say that a block was written."""
        with self._grown:
            self._size += len(block)
            self._grown.notify()
        if self._hashes and self._thread is None and self._size - self._added > _BLOCK:
            self._thread = Thread(target=self._follow, name="httpkit-checksum", daemon=True)
            self._thread.start()

    def hexdigests(self) -> dict[str, str]:
        """Add up what is left, and return algorithm to digest.

        Raises:
            TransferError: The file cannot be read, or somebody cut it.
        """
        self.close()
        if self._failure is not None:
            raise TransferError(f"the sum of the file cannot be made: {self._failure}")
        while self._hashes and self._added < self._size:
            self._add()
        return super().hexdigests()

    def close(self) -> None:
        """End the thread, after the block it is at."""
        with self._grown:
            self._is_closing = True
            self._grown.notify()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        try:
            while self._has_more():
                self._add()
        except (OSError, TransferError) as error:
            self._failure = error

    def _has_more(self) -> bool:
        with self._grown:
            self._grown.wait_for(lambda: self._is_closing or self._size - self._added >= _BLOCK)
            return not self._is_closing

    def _add(self) -> None:
        block = self._read(self._added, min(_BLOCK, self._size - self._added))
        if not block:
            raise TransferError(f"the file ends after {self._added} of {self._size} bytes")
        super().update(block)
        self._added += len(block)
