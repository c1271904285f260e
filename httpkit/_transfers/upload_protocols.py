"""How two upload protocols spell their requests, and read what arrived.

`content-range` is what Google, YouTube and OneDrive speak, `tus` is tus.io's, 1.0.
Rule: only the server's own word counts as arrived.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urljoin, urlsplit

import requests

from httpkit._core import header_fields, urls
from httpkit._core.types import is_mapping
from httpkit._core.urls import Origin
from httpkit._diagnostics import errors
from httpkit._diagnostics.errors import ConfigurationError, RedirectError, TransferError
from httpkit._messages.body import ReplayableBody
from httpkit._messages.response import Response
from httpkit._messages.sources import Source
from httpkit._transfers.upload import Send, UploadSettings

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})", re.IGNORECASE)
_NEXT_RANGE = re.compile(r"([0-9]{1,18})-[0-9]*")
_METADATA_KEY = re.compile(r"[!-+\--~]+")
_NOT_UNDERSTOOD = frozenset({400, 405, 411, 501})
_COUNT = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Offset:
    """What a server says it has.

    Attributes:
        size: Bytes from the beginning.
        final: The answer that ends the upload; None while it goes on.
    """

    size: int
    final: Response | None = None


class UploadProtocol(Protocol):
    """How a protocol spells its three requests."""

    def create(self) -> str:
        """Begin an upload; return its address."""
        ...

    def send(self, place: str, body: ReplayableBody | bytes, start: int) -> Response:
        """Send bytes from a position."""
        ...

    def ask(self, place: str) -> Response:
        """Ask how much arrived."""
        ...

    def read(self, response: Response) -> Offset | None:
        """Read how much arrived; None when the answer does not say."""
        ...


@dataclass(frozen=True, slots=True)
class UploadExchange:
    """What the requests of one upload have in common.

    Attributes:
        send: Sends one request.
        options: The caller's, for the first request.
        settings: What the caller wants.
        content: The bytes.
        media_type: Of the file.
        size: Bytes of the file.
        url: Where uploads begin, whole.
        homes: The origins that may have the body, and what the call itself holds.
        may_leave: Whether the body may go elsewhere, without the rest.
    """

    send: Send
    options: Mapping[str, Any]
    settings: UploadSettings
    content: Source
    media_type: str
    size: int
    url: str
    homes: frozenset[Origin]
    may_leave: bool

    def first(self, fields: Mapping[str, str], **changed: Any) -> Response:
        """Send the request that creates the upload; an error status is raised."""
        headers: dict[str, Any] = {**fields, **(self.options.get("headers") or {})}
        asked: dict[str, Any] = {
            **self.options,
            "headers": headers,
            "on_status": None,
            "raise_for_status": True,
        }
        return self.send(self.settings.method or "POST", **{**asked, **changed})

    def later(self, method: str, place: str, fields: Mapping[str, str], **changed: Any) -> Response:
        """Send another request of the upload, to the address the server gave."""
        asked = {name: v for name, v in self.options.items() if name not in _OF_THE_FIRST}
        given: dict[str, Any] = dict(self.options.get("headers") or {})
        if urls.origin(place) not in self.homes:  # it gets the body, and nothing else
            given = header_fields.forwardable(given)
            asked = {name: v for name, v in asked.items() if name not in {"auth", "cookies"}}
        else:
            place = _with_userinfo(place, self.url)
        own = {name.lower() for name in (*fields, *header_fields.CONTENT_FIELDS)}
        headers = {**{n: v for n, v in given.items() if n.lower() not in own}, **fields}
        asked |= {"headers": headers, "on_status": None, "raise_for_status": False}
        return self.send(method, place, **{**asked, "allow_redirects": False, **changed})

    def check_place(self, place: str) -> None:
        """Refuse an address at which the body has no business.

        Raises:
            RedirectError: It belongs to another origin.
        """
        if not self.may_leave and urls.origin(place) not in self.homes:
            raise RedirectError(
                f"the server wants the upload at {urls.format_origin(urls.origin(place))}: pass"
                " redirect_body=True, or add it to trusted_origins, if it may have it"
            )


def _with_userinfo(place: str, url: str) -> str:
    """Return an address with the user and password of a URL: it never has its own."""
    userinfo, at, _ = urlsplit(url).netloc.rpartition("@")
    parts = urlsplit(place)
    return parts._replace(netloc=f"{userinfo}{at}{parts.netloc}").geturl()


# What belongs to the request that creates an upload.
_OF_THE_FIRST = frozenset({"params", "path", "headers", "idempotency_key"})


class _ContentRange:
    """RFC 9110 section 14.4 put to another use; 308 is "resume incomplete"."""

    def __init__(self, exchange: UploadExchange) -> None:
        self._exchange = exchange
        self._total = exchange.size

    def create(self) -> str:
        """Ask for an address; what is known of the file goes along as JSON."""
        fields = {
            "X-Upload-Content-Type": self._exchange.media_type,
            "X-Upload-Content-Length": str(self._total),
        }
        about: Any = self._exchange.settings.data
        if about is None:
            response = self._exchange.first(fields, data=b"")
        else:
            response = self._exchange.first(fields, json=dict(about))
        place = response.headers.get("location") or _member(response, "uploadUrl")
        return _absolute(response, place)

    def send(self, place: str, body: ReplayableBody | bytes, start: int) -> Response:
        size = len(body) if isinstance(body, bytes) else cast("int", body.len)
        span = f"{start}-{start + size - 1}" if size else "*"
        fields = {"Content-Range": f"bytes {span}/{self._total}"}
        return self._exchange.later("PUT", place, fields, data=body, retry=None)

    def ask(self, place: str) -> Response:
        fields = {"Content-Range": f"bytes */{self._total}"}
        response = self._exchange.later("PUT", place, fields, data=b"")
        if response.status_code in _NOT_UNDERSTOOD:  # OneDrive is asked with a GET
            response = self._exchange.later("GET", place, {})
        return response

    def read(self, response: Response) -> Offset | None:
        status = response.status_code
        if status == 308:
            field = response.headers.get("range")
            found = _RANGE.fullmatch(field.strip()) if field else None
            if field and not found:
                return None
            return Offset(int(found[1]) + 1 if found else 0)
        if not 200 <= status < 300:
            return None
        # OneDrive says 202, and what it misses.
        missing = _member(response, "nextExpectedRanges")
        if isinstance(missing, list) and missing:
            found = _NEXT_RANGE.fullmatch(str(cast("Any", missing[0])))
            return Offset(int(found[1])) if found else None
        return Offset(self._total, response)


_TUS_VERSION = {"Tus-Resumable": "1.0.0"}


class _Tus:
    """The core protocol of tus 1.0, and its creation extension."""

    def __init__(self, exchange: UploadExchange) -> None:
        self._exchange = exchange
        self._total = exchange.size

    def create(self) -> str:
        fields = {**_TUS_VERSION, "Upload-Length": str(self._total)}
        if described := self._described():
            fields["Upload-Metadata"] = described
        response = self._exchange.first(fields, data=b"")
        return _absolute(response, response.headers.get("location"))

    def _described(self) -> str:
        settings, name = self._exchange.settings, self._exchange.content.name
        about: dict[str, object] = {"filetype": self._exchange.media_type}
        if settings.filename or name:
            about["filename"] = settings.filename or name
        about |= dict(cast("Any", settings.data or {}))
        if not all(_METADATA_KEY.fullmatch(key) for key in about):
            raise ConfigurationError("a key of data= holds a space, a comma or no ASCII")
        return ",".join(
            f"{key} {b64encode(str(value).encode()).decode('ascii')}"
            for key, value in about.items()
        )

    def send(self, place: str, body: ReplayableBody | bytes, start: int) -> Response:
        fields = {
            **_TUS_VERSION,
            "Upload-Offset": str(start),
            "Content-Type": "application/offset+octet-stream",
        }
        return self._exchange.later("PATCH", place, fields, data=body, retry=None)

    def ask(self, place: str) -> Response:
        return self._exchange.later("HEAD", place, _TUS_VERSION)

    def read(self, response: Response) -> Offset | None:
        field = response.headers.get("upload-offset", "").strip()
        if not 200 <= response.status_code < 300 or not _COUNT.fullmatch(field):
            return None
        size = int(field)
        return Offset(size, response if size == self._total else None)


UPLOAD_PROTOCOLS: dict[str, Callable[[UploadExchange], UploadProtocol]] = {
    "content-range": _ContentRange,
    "tus": _Tus,
}


def _absolute(response: Response, place: object) -> str:
    """Return the address that the server gave, resolved against the request's.

    Raises:
        TransferError: It gave none, or no legible one.
    """
    what = errors.describe(response.request, response.url)
    if not isinstance(place, str) or not place.strip():
        raise TransferError(f"{what}: {response.status_code} names no address for the upload")
    base = urlsplit(response.url)
    here = base._replace(netloc=base.netloc.rpartition("@")[2]).geturl()
    with suppress(ValueError):  # brackets that hold no IPv6 address, say
        named, whole = urlsplit(place.strip()), urljoin(here, place.strip())
        if is_address(whole) and (named.netloc or not named.scheme):
            return whole
    raise RedirectError(f"{what} names no address to which an upload may go")


def is_address(url: str) -> bool:
    """Say whether an upload may go to a URL: http or https, a host, no userinfo, and text."""
    try:
        url.encode("utf-8")  # JSON can spell half of a pair, which no request can hold
        parts = urlsplit(url)
        urls.origin(url)
    except (ValueError, requests.RequestException):
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _member(response: Response, name: str) -> Any:
    if "json" not in response.headers.get("content-type", "").lower():
        return None
    try:
        document: Any = response.json()
    except errors.DecodeError:
        return None
    return document.get(name) if is_mapping(document) else None
