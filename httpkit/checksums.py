"""What a file's bytes must add up to: the caller's checksum, and the server's own fields."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from httpkit.errors import ChecksumError, ConfigurationError

# RFC 9530 section 5 and the registry: the names in fields, and hashlib's.
_FIELD_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "md5": "md5", "sha": "sha1"}
_ITEM = re.compile(r"([a-z0-9*._-]+)\s*=\s*:([A-Za-z0-9+/=]*):")


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


def _hex(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).hex() or None
    except (binascii.Error, ValueError):
        return None


class Sums:
    """The sums of what was written so far, one for each algorithm that is expected."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {algorithm: _new(algorithm) for algorithm in algorithms}

    @property
    def algorithms(self) -> set[str]:
        """Which sums these are."""
        return set(self._hashes)

    def update(self, block: bytes) -> None:
        """Add a block."""
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
