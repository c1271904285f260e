"""Which version of a file an answer holds, and which part of it.

Rule: no I/O here, and no file: only what header fields say (RFC 9110 sections 8.8, 13, 14).
"""

import email.utils
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

_CONTENT_RANGE = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
# RFC 9110 section 8.8.3: strong. Spaces are sent, too; a control character cannot be sent back.
_STRONG = re.compile(r"\"[\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Which version of a file bytes belong to.

    Attributes:
        validator: A strong ETag or a Last-Modified that is old enough, for If-Range; None
            when the server gives neither.
        etag: As sent; None when not.
        modified: Last-Modified as sent; None when not.
        total: Bytes of the whole; None when the server does not say.
        content_type: As sent, without parameters; None when not.
        source: What stands for the URL; None when that is not known.
    """

    validator: str | None = None
    etag: str | None = None
    modified: str | None = None
    total: int | None = None
    content_type: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, response: requests.Response, source: str) -> "FileVersion":
        """Return what an answer says of its file."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        length = response.headers.get("content-length", "")
        is_total = _LENGTH.fullmatch(length) and response.status_code != 206
        return cls(
            validator=None if is_encoded(response) else _validator(response),
            etag=response.headers.get("etag"),
            modified=response.headers.get("last-modified"),
            total=int(length) if is_total and not is_encoded(response) else None,
            content_type=media_type or None,
            source=source,
        )

    def mismatch(self, other: "FileVersion", total: int | None) -> str | None:
        """Say why an answer is of another version than this one; None when it may be of it.

        Args:
            other: The answer's.
            total: The size of the whole that its Content-Range gives.
        """
        if self.total is not None and total is not None and self.total != total:
            return "the file has another size now"
        if self.etag and other.etag and self.etag != other.etag:
            return "the file has another ETag now"
        if self.modified and other.modified and self.modified != other.modified:
            return "the file has another date now"
        return None


def stand_for(url: str) -> str:
    """Return what stands for a URL where it must not be written: a hash leads nowhere.

    The query is left out, because the signature in it is another one each time.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]  # the request refuses it


def span(response: requests.Response) -> tuple[int, int | None] | None:
    """Return the first byte of a 206 and the total, None if unknown; None if it says nothing."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if found is None:
        return None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def is_encoded(response: requests.Response) -> bool:
    """Say whether the body is compressed on top of what the file is."""
    return response.headers.get("content-encoding", "identity").lower() != "identity"


def is_chunked(response: requests.Response) -> bool:
    """Say whether the end of the body can be seen without a length."""
    return "chunked" in response.headers.get("transfer-encoding", "").lower()


def timestamp(date: str | None) -> float | None:
    """Return a date field as seconds since the epoch; None when it is no date."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def http_date(moment: float) -> str:
    """Spell seconds since the epoch as a date field."""
    return email.utils.formatdate(moment, usegmt=True)


def _validator(response: requests.Response) -> str | None:
    """Return what If-Range may hold: a strong validator (RFC 9110 section 8.8)."""
    etag = response.headers.get("etag", "")
    if etag:  # two different versions may share a weak one
        return etag if _STRONG.fullmatch(etag) else None
    modified, sent = response.headers.get("last-modified", ""), response.headers.get("date")
    with suppress(ValueError, TypeError):
        age = email.utils.parsedate_to_datetime(sent or "") - email.utils.parsedate_to_datetime(
            modified
        )
        # Section 8.8.2.2: strong when the server could not have changed it in the same second.
        return modified if age.total_seconds() >= 1 and modified.isprintable() else None
    return None
