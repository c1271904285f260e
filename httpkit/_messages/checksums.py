"""Digests of files: the caller's checksum, and those that a server announces."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from httpkit._core.lazy import pattern
from httpkit._diagnostics.errors import ChecksumError, ConfigurationError, TransferError

# Bytes of one read of the file: few enough to stay in a processor's cache while they are hashed.
_BLOCK = 1 << 18

# RFC 9530 section 5 and the registry: the names in fields, and hashlib's.
_FIELD_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "md5": "md5", "sha": "sha1"}
_ITEM = pattern(r"([a-z0-9*._-]+)\s*=\s*:([A-Za-z0-9+/=]*):")


class Hash(Protocol):
    """What hashlib makes."""

    @property
    def digest_size(self) -> int:
        """How many bytes the digest has."""
        ...

    def update(self, data: bytes, /) -> None:
        """Hash bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the digest so far."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """A digest that a file must have.

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
    """Return the digests a response announces for the whole file, the strongest first.

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


def announced_digests(
    headers: Mapping[str, str], *, is_whole: bool
) -> tuple[tuple[str, str, str], ...]:
    """Return the strongest digest a response announces, as a FileVersion holds it; () for none."""
    strongest = announced(headers, is_whole=is_whole)[:1]
    return tuple((one.algorithm, one.hexdigest, one.source) for one in strongest)


def of_file(file: BinaryIO, expected: Sequence[Expected]) -> dict[str, str]:
    """Hash a file from where it stands; return algorithm to digest.

    Raises:
        ChecksumError: One differs.
        OSError: The file cannot be read.
    """
    hashers = Hashers([one.algorithm for one in expected])
    while block := file.read(_BLOCK):
        hashers.update(block)
    hashers.compare(expected)
    return hashers.hexdigests()


def _field(value: str, source: str) -> list[Expected]:
    return [
        Expected(algorithm, digest, source)
        for name, encoded in _ITEM.findall(value.lower() and value)
        if (algorithm := _FIELD_ALGORITHMS.get(name.lower())) and (digest := _hex(encoded))
    ]


def content_digest(expected: Expected) -> str | None:
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
    """The digests of what was written so far, one for each algorithm that is expected."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {algorithm: _new(algorithm) for algorithm in algorithms}

    @property
    def algorithms(self) -> set[str]:
        """Which digests these are."""
        return set(self._hashes)

    def update(self, block: bytes) -> None:
        """Hash a block that was written."""
        for digest in self._hashes.values():
            digest.update(block)

    def hexdigests(self) -> dict[str, str]:
        """Return algorithm to digest."""
        return {algorithm: digest.hexdigest() for algorithm, digest in self._hashes.items()}

    def compare(self, expected: Iterable[Expected]) -> None:
        """Compare digests.

        Raises:
            ChecksumError: One differs.
        """
        digests = self.hexdigests()
        for wanted in expected:
            if (found := digests.get(wanted.algorithm)) not in {None, wanted.hexdigest}:
                raise ChecksumError(
                    f"{wanted.algorithm} is {found}, but {wanted.source} says {wanted.hexdigest}"
                )

    def close(self) -> None:
        """Stop hashing."""


class FileHashers(Hashers):
    """The digests of a file that is being written, by a thread that reads behind the writer.

    Neither reading nor hashing holds the interpreter's lock: 1 GiB with sha256 took 0.9 times
    curl's time, and twice curl's when the writer hashed itself (2026-11-21). What is on the disk
    is hashed, not what was written to it.

    Args:
        algorithms: hashlib's names.
        read: Returns so many bytes from an offset of the file.
        size: How many bytes are there already.
    """

    def __init__(
        self, algorithms: Iterable[str], read: Callable[[int, int], bytes], size: int
    ) -> None:
        super().__init__(algorithms)
        self._read = read
        self._size, self._hashed = size, 0
        self._is_closing = False
        self._failure: Exception | None = None
        self._grown = threading.Condition()
        self._thread: threading.Thread | None = None

    def update(self, block: bytes) -> None:
        """Note that a block was written."""
        with self._grown:
            self._size += len(block)
            self._grown.notify()
        if self._hashes and self._thread is None and self._size - self._hashed > _BLOCK:
            self._thread = threading.Thread(
                target=self._follow, name="httpkit-checksum", daemon=True
            )
            self._thread.start()

    def hexdigests(self) -> dict[str, str]:
        """Hash what is left, and return algorithm to digest.

        Raises:
            TransferError: The file cannot be read, or was truncated.
        """
        self.close()
        if self._failure is not None:
            raise TransferError(f"the file cannot be hashed: {self._failure}") from self._failure
        while self._hashes and self._hashed < self._size:
            self._hash_next()
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
                self._hash_next()
        except Exception as error:  # noqa: BLE001  # `hexdigests` raises it
            self._failure = error

    def _has_more(self) -> bool:
        with self._grown:
            self._grown.wait_for(lambda: self._is_closing or self._size - self._hashed >= _BLOCK)
            return not self._is_closing

    def _hash_next(self) -> None:
        block = self._read(self._hashed, min(_BLOCK, self._size - self._hashed))
        if not block:
            raise TransferError(f"the file ends after {self._hashed} of {self._size} bytes")
        super().update(block)
        self._hashed += len(block)
