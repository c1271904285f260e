"""The options of a download, and its result."""

import fnmatch
import os
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from httpkit._core.classes import public
from httpkit._core.filenames import printable
from httpkit._diagnostics.base_errors import check_count
from httpkit._diagnostics.errors import BodyTooLargeError, ConfigurationError, TransferError
from httpkit._diagnostics.progress import ProgressLike, check_progress
from httpkit._messages import checksums
from httpkit._transfers.speed_limits import check_speeds

IfExists: TypeAlias = Literal["replace", "error", "skip", "rename", "update"]
Resume: TypeAlias = bool | Literal["force"]
Verify: TypeAlias = Literal["auto", "require", "off"]


class Writable(Protocol):
    """A file object to download into."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""
        ...


Destination: TypeAlias = str | os.PathLike[str] | Writable | None

_IF_EXISTS = ("replace", "error", "skip", "rename", "update")
_VERIFY = ("auto", "require", "off")


@public
@dataclass(frozen=True, slots=True)
class Download:
    """A finished download; it works wherever a path does.

    Attributes:
        path: The file; None when the caller gave a file object.
        size: Bytes of the whole.
        fetched: Bytes that were received in this call, overlaps included.
        resumed_from: Bytes that were there when this call began.
        attempts: How many requests were sent, 0 when none was needed.
        elapsed: Seconds.
        digests: Algorithm to hexadecimal digest, of those that were checked.
        verified: Whether the end was seen: a length, chunked framing, or a digest.
        etag: The server's; None when it gave none.
        final_url: The URL after redirects, redacted; None when it was skipped.
        content_type: The server's, without parameters; None when it gave none.
        skipped: Whether the file existed already and nothing was fetched.
    """

    path: pathlib.Path | None
    size: int = 0
    fetched: int = 0
    resumed_from: int = 0
    attempts: int = 0
    elapsed: float = 0.0
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    verified: bool = False
    etag: str | None = None
    final_url: str | None = None
    content_type: str | None = None
    skipped: bool = False

    @property
    def rate(self) -> float:
        """Return the bytes a second of this call."""
        return self.fetched / self.elapsed if self.elapsed else 0.0

    def __fspath__(self) -> str:
        if self.path is None:
            raise TypeError("this download went into a file object and has no path")
        return str(self.path)

    def _repr_html_(self) -> str:
        """Return a card for a notebook."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        from httpkit._display.html import seconds_of, size_of

        yield (
            "file",
            printable(self.path, "utf-8") if self.path else "a file object",
        )
        yield "size", size_of(self.size)
        if self.skipped:
            yield "fetched", "nothing: it existed already"
            return
        yield "fetched", f"{size_of(self.fetched)} in {seconds_of(self.elapsed)}"
        yield "speed", f"{size_of(round(self.rate))} a second"
        if self.resumed_from:
            yield "resumed from", size_of(self.resumed_from)
        yield "requests", self.attempts
        yield "verified", "yes" if self.verified else "no: its length is unknown"
        yield from self.digests.items()
        if self.content_type:
            yield "type", self.content_type
        if self.final_url:
            yield "from", self.final_url


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """The options of a download; `Session.download` explains each."""

    if_exists: IfExists | None = None
    resume: Resume = True
    checksum: str | None = None
    verify: Verify = "auto"
    expected_size: int | None = None
    max_size: int | None = None
    content_type: str | tuple[str, ...] | None = None
    decode: bool | Literal["auto"] = "auto"
    segments: int = 1
    min_segment: int = 16 << 20
    max_stalls: int = 5
    min_speed: float | None = None
    max_rate: float | None = None
    progress: ProgressLike = None
    mtime: bool = False
    fsync: bool = False

    def __post_init__(self) -> None:
        choices = {
            "if_exists": (None, *_IF_EXISTS),
            "verify": _VERIFY,
            "resume": (True, False, "force"),
            "decode": (True, False, "auto"),
        }
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                listed = ", ".join(repr(choice) for choice in known)
                raise ConfigurationError(f"{name}={value!r} must be one of {listed}")
        for name in ("expected_size", "max_size"):
            check_count(name, getattr(self, name), is_optional=True)
        check_count("max_stalls", self.max_stalls)
        check_count("segments", self.segments, least=1)
        check_count("min_segment", self.min_segment, least=1)
        check_speeds(self.min_speed, self.max_rate)
        types: Any = self.content_type
        if types is not None and not isinstance(types, (str, tuple, list)):
            raise ConfigurationError(f"content_type={types!r} must be a pattern, or several")
        if self.checksum is not None:
            checksums.parse(self.checksum)
        check_progress(self.progress)

    def check_type(self, found: str | None) -> None:
        """Refuse a media type that is not wanted; None: the server sent none.

        Raises:
            TransferError: It does not match `content_type`.
        """
        wanted = self.content_type
        patterns = (wanted,) if isinstance(wanted, str) else wanted
        if patterns and not any(fnmatch.fnmatch(found or "", p.lower()) for p in patterns):
            raise TransferError(f"the server sent {found or 'no content type'}, not {wanted}")

    def check_total(self, total: int | None) -> None:
        """Refuse a file whose announced size is not wanted; None: the size is unknown.

        Raises:
            BodyTooLargeError: It has more bytes than `max_size`.
            TransferError: It has another size than `expected_size`.
        """
        limit, expected = self.max_size, self.expected_size
        if total is not None and limit is not None and total > limit:
            raise BodyTooLargeError(f"the file has {total} bytes, over max_size={limit}")
        if total is not None and expected is not None and total != expected:
            raise TransferError(f"the file has {total} bytes, not {expected}")

    def check_growth(self, size: int) -> None:
        """Refuse a file that grows beyond what is wanted, in bytes.

        Raises:
            BodyTooLargeError: It has more than `max_size`.
            TransferError: It has more than `expected_size`.
        """
        limit, expected = self.max_size, self.expected_size
        if limit is not None and size > limit:
            raise BodyTooLargeError(f"the file has more than max_size={limit} bytes")
        if expected is not None and size > expected:
            raise TransferError(f"the file has more than the expected {expected} bytes")
