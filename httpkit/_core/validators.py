"""Which version of a file a response holds, and which bytes of it.

Rule: no I/O here, and no file: only what header fields say (RFC 9110 sections 8.8, 13, 14).
"""

import email.utils
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import requests

_CONTENT_RANGE = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
# RFC 9110 section 8.8.3, and spaces, which servers do send; a control character cannot be sent.
_STRONG = re.compile(r"\"[\x20\x21\x23-\x7e\x80-\xff]*\"")
_WEAK = re.compile(r"W/\".*\"", re.DOTALL)

Digest: TypeAlias = tuple[str, str, str]
"""The algorithm, as hashlib names it; the hexadecimal digest; the header field it came from."""
Relation: TypeAlias = Literal["same", "other", "unknown"]


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Which version of a file bytes belong to, and what is known of it.

    Attributes:
        validator: A strong ETag or a Last-Modified that is old enough, for If-Range; None
            when the server gives neither.
        etag: As sent; None when not.
        modified: Last-Modified as sent; None when not.
        total: Bytes of the whole; None when the server does not say.
        content_type: In lower case, without parameters; None when not sent.
        source: A hash of the URL without its query; None when the URL is not compared.
        digests: The digests of the whole that the server announced.
        is_decoded: Whether a Content-Encoding was undone, so that no range fits the bytes.
    """

    validator: str | None = None
    etag: str | None = None
    modified: str | None = None
    total: int | None = None
    content_type: str | None = None
    source: str | None = None
    digests: tuple[Digest, ...] = ()
    is_decoded: bool = False

    @classmethod
    def of(
        cls,
        response: requests.Response,
        source: str | None,
        *,
        digests: tuple[Digest, ...] = (),
        is_decoded: bool = False,
    ) -> "FileVersion":
        """Return what a response says of its file."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return cls(
            validator=None if is_decoded else _validator(response),
            etag=response.headers.get("etag"),
            modified=response.headers.get("last-modified"),
            total=None if is_decoded else _total(response),
            content_type=media_type or None,
            source=source,
            digests=() if is_decoded else digests,
            is_decoded=is_decoded,
        )

    def relation(self, other: "FileVersion") -> Relation:
        """Compare the validators of two versions; "unknown" where they have none in common."""
        for own, its in ((self.etag, other.etag), (self.modified, other.modified)):
            if own and its:
                return "same" if _without_prefix(own) == _without_prefix(its) else "other"
        return "unknown"

    @property
    def is_strong(self) -> bool:
        """Whether it has a validator that no other version has."""
        return self.validator is not None or (self.etag or "").startswith('"')

    def is_certain_of(self, other: "FileVersion") -> bool:
        """Return whether the other version is this one, and only this one has a validator."""
        is_silent = self.validator is not None and other.validator is None
        return is_silent and self.relation(other) == "same"

    def mismatch(self, other: "FileVersion") -> str | None:
        """Return why a 206 belongs to another version than this; None when it may belong to it."""
        if self.total is not None and other.total is not None and self.total != other.total:
            return "the file has another size now"
        if self.etag and other.etag and self.etag != other.etag:
            return "the file has another ETag now"
        if self.modified and other.modified and self.modified != other.modified:
            return "the file has another date now"
        if self.is_decoded != other.is_decoded:
            return "the file has another Content-Encoding now"
        digests = {algorithm: digest for algorithm, digest, _ in self.digests}
        if any(digests.get(algorithm, digest) != digest for algorithm, digest, _ in other.digests):
            return "the file has another digest now"
        return None

    def merge(self, other: "FileVersion") -> "FileVersion":
        """Return this version with what only the other one knows (RFC 9110 section 15.3.7)."""
        missing = {
            field.name: getattr(other, field.name)
            for field in fields(self)
            if getattr(self, field.name) in {None, ()}
        }
        return replace(self, **missing)


def _without_prefix(etag: str) -> str:
    """Return an ETag for the weak comparison (RFC 9110 section 8.8.3.2)."""
    return etag.removeprefix("W/")


def source_hash(url: str) -> str:
    """Return a hash that stands for a URL where the URL itself must not be written.

    The query is left out, because the signature in it differs each time.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}"
    # "surrogatepass": the request itself refuses such a URL later.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of a file a 206 holds (RFC 9110 section 14.4).

    Attributes:
        first: The offset of the first byte.
        last: The offset of the last byte.
        total: Bytes of the whole; None when the server does not know.
    """

    first: int
    last: int
    total: int | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all bytes of the file, as far as the server says."""
        return self.first == 0 and self.total in {None, self.last + 1}


def content_range(response: requests.Response) -> ContentRange | None:
    """Return the range of a response; None when its Content-Range is missing or invalid.

    That of a body with several ranges is invalid, too (RFC 9110 section 15.3.7.2).
    """
    media_type = response.headers.get("content-type", "").strip().lower()
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if found is None or media_type.startswith("multipart/byteranges"):
        return None
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    is_valid = first <= last and (total is None or last < total)
    return ContentRange(first, last, total) if is_valid else None


def is_chunked(response: requests.Response) -> bool:
    """Return whether the end of the body can be seen without a length."""
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def timestamp(date: str | None) -> float | None:
    """Return a date field as seconds since the epoch; None when it is not a date."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def http_date(moment: float) -> str:
    """Format seconds since the epoch as a date field."""
    return email.utils.formatdate(moment, usegmt=True)


def _total(response: requests.Response) -> int | None:
    if response.status_code == 206:
        found = content_range(response)
        return found.total if found else None
    length = response.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def _validator(response: requests.Response) -> str | None:
    """Return what If-Range may hold: a strong validator (RFC 9110 sections 8.8 and 13.1.5)."""
    etag = response.headers.get("etag", "")
    if _STRONG.fullmatch(etag):
        return etag
    if _WEAK.fullmatch(etag):  # two versions may share it, and a date must not stand in for it
        return None
    modified, sent = response.headers.get("last-modified", ""), response.headers.get("date")
    with suppress(ValueError, TypeError):
        age = email.utils.parsedate_to_datetime(sent or "") - email.utils.parsedate_to_datetime(
            modified
        )
        # Section 8.8.2.2: strong when the server could not have changed it in the same second.
        return modified if age.total_seconds() >= 1 and modified.isprintable() else None
    return None
