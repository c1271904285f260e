"""From a file to a request: of any size, with flat memory, and the same bytes each time."""

import mimetypes
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, cast

from httpkit._core import header_fields
from httpkit._core.filenames import sendable
from httpkit._core.given import is_mapping
from httpkit._core.types import SupportsItems, SupportsRead
from httpkit._diagnostics.base_errors import check_count
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._diagnostics.progress import ProgressLike, Reporter, check_progress
from httpkit._messages import checksums, multipart
from httpkit._messages.body import ReplayableBody
from httpkit._messages.derived_sources import ChecksummedSource, DerivedSource
from httpkit._messages.response import Response
from httpkit._messages.sources import (
    BytesSource,
    FileSource,
    IterableSource,
    PathSource,
    Source,
)
from httpkit._transfers.speed_limits import RateLimiter, block_size, check_speeds

UploadSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | SupportsRead[bytes]
    | Iterable[bytes]
    | Callable[[], Iterable[bytes]]
)
Fields: TypeAlias = SupportsItems[str, object] | Iterable[tuple[str, object]] | None
ResumableProtocol: TypeAlias = Literal["content-range", "tus", "ietf"]
Send: TypeAlias = Callable[..., Response]
"""Sends one request; given a method and the keywords of `Session.request`."""

PROTOCOLS = ("content-range", "tus", "ietf")
# RFC 9110 section 8.3.1.
_MEDIA_TYPE = re.compile(
    r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+(\s*;\s*[\w!#$%&'*+.^`|~-]+=(\"[^\"]*\"|[^\s;\"]+))*",
    re.ASCII,
)
# What mimetypes calls an encoding is here the type: the bytes are sent as they are.
_COMPRESSED = {
    "gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz",
    "br": "application/x-brotli", "compress": "application/x-compress",
}  # fmt: skip
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """The options of an upload; `Session.upload` explains each."""

    method: str | None = None
    field: str | None = None
    data: Fields = None
    filename: str | None = None
    content_type: str | None = None
    size: int | None = None
    checksum: str | None = None
    progress: ProgressLike = None
    resumable: ResumableProtocol | None = None
    state: str | os.PathLike[str] | None = None
    chunk_size: int | None = None
    max_stalls: int = 5
    max_rate: float | None = None

    def __post_init__(self) -> None:
        check_count("size", self.size, is_optional=True)
        check_count("chunk_size", self.chunk_size, least=1, is_optional=True)
        check_count("max_stalls", self.max_stalls)
        check_speeds(None, self.max_rate)
        if self.resumable is not None and self.resumable not in PROTOCOLS:
            raise ConfigurationError(f"resumable={self.resumable!r} must be one of {PROTOCOLS}")
        self._check_combinations()
        if self.content_type is not None and not is_media_type(self.content_type):
            raise ConfigurationError(
                f"content_type={self.content_type!r} is not a valid media type"
            )
        if self.checksum is not None:
            checksums.parse(self.checksum)
        if isinstance(self.filename, str):
            object.__setattr__(self, "filename", sendable(self.filename))
        check_progress(self.progress)

    def _check_combinations(self) -> None:
        """Refuse what would have no effect."""
        without = {
            "state=, chunk_size=": "resumable=",
            "data=": "field=, the name of the file's field",
            "field=": "no resumable=: a form is sent at once",
        }
        wrong = {
            "state=, chunk_size=": self.resumable is None and (self.state or self.chunk_size),
            "data=": self.resumable is None and self.data is not None and self.field is None,
            "field=": self.resumable is not None and self.field is not None,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ConfigurationError(f"{name} goes with {without[name]}")
        for name in ("field", "state"):
            if getattr(self, name) is not None and not str(getattr(self, name)):
                raise ConfigurationError(f"{name}= is empty")


def is_media_type(text: object) -> bool:
    """Return whether a text may be sent as a Content-Type."""
    is_one = isinstance(text, str) and _MEDIA_TYPE.fullmatch(text)
    return bool(is_one) and header_fields.is_value(cast("str", text))


@cache
def _standard_types() -> mimetypes.MimeTypes:
    """Return Python's own table, without what Windows' registry or /etc/mime.types change."""
    return mimetypes.MimeTypes()


def guess_type(name: str | None) -> str:
    """Return the media type of a file by its name, as it is on the disk."""
    guessed, encoding = _standard_types().guess_type(name or "", strict=False)
    if not (guessed or encoding):
        guessed, encoding = mimetypes.guess_type(name or "", strict=False)
    if encoding:
        return _COMPRESSED.get(encoding, _UNKNOWN_TYPE)
    return guessed or _UNKNOWN_TYPE


def upload(
    send: Send, source: UploadSource, settings: UploadSettings, options: Mapping[str, Any]
) -> Response:
    """Send a file in one request.

    Args:
        send: Sends it, with the retries that its body allows.
        source: Where the bytes come from.
        settings: All else.
        options: The keywords of `Session.request` that the caller gave.

    Raises:
        TransferError: The source cannot be read, or is not what it was.
        ChecksumError: It does not add up to `checksum`.
    """
    content = throttled(open_source(source, settings), settings.max_rate)
    name = settings.filename or content.name
    reporter = Reporter(settings.progress, name or "upload")
    headers = dict(options.get("headers") or {})
    media_type = settings.content_type or guess_type(name)
    if settings.field:
        part = multipart.field_of(settings.field, content, settings.filename, media_type)
        body = multipart.encode([*multipart.values(settings.data), part], reporter)
        headers = {n: value for n, value in headers.items() if n.lower() != "content-type"}
        headers["Content-Type"] = body.content_type
    else:
        body = ReplayableBody([content], listener=reporter)
        headers = {**describe(settings, media_type, headers), **headers}
    method = settings.method or ("POST" if settings.field else "PUT")
    try:
        # Nothing to send needs no stream, but the source may object.
        data = body if body.len != 0 else b"".join(content.blocks())
        return send(method, **{**options, "headers": headers, "data": data})
    finally:
        body.close()
        reporter.finish()


def describe(settings: UploadSettings, media_type: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that say what a raw body is; those given by the caller stay."""
    fields: dict[str, str] = {}
    if settings.content_type or "content-type" not in {name.lower() for name in given}:
        fields["Content-Type"] = media_type
    if settings.checksum and (
        digest := checksums.content_digest(checksums.parse(settings.checksum))
    ):
        fields["Content-Digest"] = digest
    return fields


def open_source(source: UploadSource, settings: UploadSettings) -> Source:
    """Return what gives the bytes, checked as far as that can be done before they are sent.

    Raises:
        ConfigurationError: It is nothing that bytes come from.
        TransferError: It cannot be read, or is shorter than announced.
    """
    content = _source_of(source, settings.size)
    return (
        ChecksummedSource(content, checksums.parse(settings.checksum))
        if settings.checksum
        else content
    )


def throttled(source: Source, max_rate: float | None) -> Source:
    """Return a source that gives its bytes no faster than a rate; None is as fast as it can."""
    return source if max_rate is None else _ThrottledSource(source, max_rate)


class _ThrottledSource(DerivedSource):
    """Gives the bytes of a source in small blocks, no faster than a rate."""

    def __init__(self, source: Source, max_rate: float) -> None:
        super().__init__(source)
        self._limiter = RateLimiter(max_rate)
        self._block_size = block_size(max_rate)

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset to the end."""
        for block in self.source.blocks(start):
            for offset in range(0, len(block), self._block_size):
                piece = block[offset : offset + self._block_size]
                self._limiter.wait(len(piece))
                yield piece


def _source_of(source: Any, size: int | None) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return PathSource(_path(cast("Any", source)), size)
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(cast("Any", source))
        if size is not None and size != len(content):
            raise ConfigurationError(f"size={size}, but there are {len(content)} bytes")
        return BytesSource(content)
    if hasattr(source, "read"):
        return FileSource(source, size)
    if callable(source) or (hasattr(source, "__iter__") and not is_mapping(source)):
        return IterableSource(cast("Any", source), size)
    raise ConfigurationError(
        f"{type(source).__name__} cannot be uploaded: pass a path, bytes, a file, an iterable of"
        " bytes, or a callable that returns one"
    )


def _path(source: Any) -> pathlib.Path:
    text: object = cast("object", os.fspath(source))
    if not isinstance(text, str):
        raise ConfigurationError("a path must be text: bytes are sent as they are")
    return pathlib.Path(text)
