"""How upload protocols format their requests, and read how much arrived.

`content-range` is what Google, YouTube and OneDrive use, `tus` is tus.io's, 1.0, and `ietf` is
the draft of Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload).

Rule: only what the server says counts as arrived, and an upload is whole when the server says so.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urljoin, urlsplit

import requests

from httpkit._core import header_fields, types, urls
from httpkit._core.given import is_mapping
from httpkit._core.urls import Origin
from httpkit._diagnostics import errors
from httpkit._diagnostics.errors import ConfigurationError, RedirectError, TransferError
from httpkit._messages.body import ReplayableBody
from httpkit._messages.response import Response
from httpkit._messages.sources import Source
from httpkit._policy import forwarding
from httpkit._transfers.documents import format_of
from httpkit._transfers.upload import UploadSettings

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})", re.IGNORECASE)
_NEXT_RANGE = re.compile(r"\s*([0-9]{1,18})\s*-\s*[0-9]*\s*")
_METADATA_KEY = re.compile(r"[!-+\--~]+")
_NOT_UNDERSTOOD = frozenset({400, 405, 411, 501})
_COUNT = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Offset:
    """How much of an upload arrived, as the server says.

    Attributes:
        size: Bytes from the beginning.
        final: The response that completes the upload; None while it is not complete.
    """

    size: int
    final: Response | None = None


class UploadProtocol(Protocol):
    """How a protocol formats its three requests."""

    def create(self) -> str:
        """Begin an upload; return its URL."""
        ...

    def send(self, url: str, body: ReplayableBody | bytes, start: int) -> Response:
        """Send bytes from an offset."""
        ...

    def query(self, url: str) -> Response:
        """Query how much arrived."""
        ...

    def read(self, response: Response) -> Offset | None:
        """Read how much arrived; None when the response does not say."""
        ...


class UploadClient(types.CredentialHolder, Protocol):
    """What a resumable upload needs of a session."""

    @property
    def request(self) -> Callable[..., Any]:
        """Send one request; see `Session.request`."""
        ...


@dataclass(frozen=True, slots=True)
class UploadContext:
    """What the requests of one upload have in common.

    Attributes:
        session: Sends the requests.
        given_url: Where uploads begin, as the caller gave it.
        options: The caller's, for the first request.
        settings: What the caller wants of the upload.
        content: The bytes.
        media_type: Of the file.
        size: Bytes of the file.
        url: Where uploads begin, absolute.
        allowed_origins: The origins that may have the body and the credentials.
        redirect_body: Whether others may have the body, without credentials.
    """

    session: UploadClient
    given_url: str | bytes
    options: Mapping[str, Any]
    settings: UploadSettings
    content: Source
    media_type: str
    size: int
    url: str
    allowed_origins: frozenset[Origin]
    redirect_body: bool

    def first(self, fields: Mapping[str, str], **changed: Any) -> Response:
        """Send the request that creates the upload; an error status is raised."""
        headers: dict[str, Any] = {**fields, **(self.options.get("headers") or {})}
        call_options: dict[str, Any] = {
            **self.options,
            "headers": headers,
            "on_status": None,
            "raise_for_status": True,
        }
        method = self.settings.method or "POST"
        response: Response = self.session.request(
            method, self.given_url, **{**call_options, **changed}
        )
        return response

    def later(self, method: str, url: str, fields: Mapping[str, str], **changed: Any) -> Response:
        """Send another request of the upload, to the URL that the server gave."""
        of_all = {name: v for name, v in self.options.items() if name not in _OF_THE_FIRST}
        session, call_options = forwarding.for_link(self.session, of_all, url, self.allowed_origins)
        if forwarding.is_allowed(url, self.allowed_origins):
            url = _with_userinfo(url, self.url)
        own = {name.lower() for name in (*fields, *header_fields.CONTENT_FIELDS)}
        given: Mapping[str, Any] = call_options.get("headers") or {}
        headers = {**{n: v for n, v in given.items() if n.lower() not in own}, **fields}
        call_options |= {"headers": headers, "on_status": None, "raise_for_status": False}
        sent: dict[str, Any] = {**call_options, "allow_redirects": False, **changed}
        response: Response = session.request(method, url, **sent)
        return response

    def check_url(self, url: str) -> None:
        """Refuse a URL that must not have the body.

        Raises:
            RedirectError: It is of another origin, and `redirect_body` is off.
        """
        if not (self.redirect_body or forwarding.is_allowed(url, self.allowed_origins)):
            raise RedirectError(
                f"the server wants the upload at {urls.format_origin(urls.origin(url))}: pass"
                " redirect_body=True to send it there, without credentials"
            )


def _with_userinfo(url: str, first: str) -> str:
    """Return a URL with the user and password of the first one: it never has its own."""
    userinfo, at, _ = urlsplit(first).netloc.rpartition("@")
    parts = urlsplit(url)
    return parts._replace(netloc=f"{userinfo}{at}{parts.netloc}").geturl()


# What belongs to the request that creates an upload.
_OF_THE_FIRST = frozenset({"params", "path", "idempotency_key"})


class _ContentRange:
    """Content-Range on requests (RFC 9110 section 14.5); 308 is "resume incomplete"."""

    def __init__(self, context: UploadContext) -> None:
        self._context = context
        self._total = context.size

    def create(self) -> str:
        """Ask for a URL; what is known of the file goes along as JSON."""
        fields = {
            "X-Upload-Content-Type": self._context.media_type,
            "X-Upload-Content-Length": str(self._total),
        }
        about: Any = self._context.settings.data
        if about is None:
            response = self._context.first(fields, data=b"")
        else:
            response = self._context.first(fields, json=dict(about))
        url = response.headers.get("location") or _document(response).get("uploadUrl")
        return _absolute(response, url)

    def send(self, url: str, body: ReplayableBody | bytes, start: int) -> Response:
        size = len(body) if isinstance(body, bytes) else cast("int", body.len)
        span = f"{start}-{start + size - 1}" if size else "*"
        fields = {"Content-Range": f"bytes {span}/{self._total}"}
        return self._context.later("PUT", url, fields, data=body, retry=None)

    def query(self, url: str) -> Response:
        fields = {"Content-Range": f"bytes */{self._total}"}
        response = self._context.later("PUT", url, fields, data=b"")
        if response.status_code in _NOT_UNDERSTOOD:  # OneDrive is asked with a GET
            response = self._context.later("GET", url, {})
        return response

    def read(self, response: Response) -> Offset | None:
        if response.status_code == 308:
            return _after_range(response.headers.get("range"))
        if not 200 <= response.status_code < 300:
            return None
        document = _document(response)
        if "nextExpectedRanges" in document:  # OneDrive: it lists what is missing
            return self._after_missing(document["nextExpectedRanges"])
        return Offset(self._total, response) if _is_item(response, document) else None

    def _after_missing(self, missing: object) -> Offset | None:
        if not isinstance(missing, list):
            return None
        found = [_NEXT_RANGE.fullmatch(str(one)) for one in cast("list[object]", missing)]
        if None in found:
            return None
        # In any order; an empty list: all arrived, but there is no item yet.
        return Offset(min((int(one[1]) for one in found if one), default=self._total))


def _after_range(field: str | None) -> Offset | None:
    found = _RANGE.fullmatch(field.strip()) if field else None
    if field and not found:
        return None
    return Offset(int(found[1]) + 1 if found else 0)


# Members of the session of an upload, which OneDrive describes until there is an item.
_OF_A_SESSION = frozenset({"uploadUrl", "expirationDateTime"})


def _is_item(response: Response, document: Mapping[str, Any]) -> bool:
    """Return whether a success completes an upload: 202 only says that something was accepted.

    The response to a GET must describe the item: anything may be at a URL.
    """
    is_get = response.request.method == "GET"
    is_session = not _OF_A_SESSION.isdisjoint(document) and "id" not in document
    is_named = response.status_code == 201 or bool(response.content) or _is_stored(response)
    is_described = "id" in document if is_get else is_named and not _is_failure(response, document)
    return response.status_code in _COMPLETE and is_described and not is_session


# 202 and 203 (a proxy's version of a response) do not say that the server has the file.
_COMPLETE = frozenset({200, 201, 204})
# What names the stored file where there is no content: a validator is sent for what was stored as
# it was sent (RFC 9110 section 9.3.4), as Cloud Storage's XML API does, and Location for an item.
_OF_AN_ITEM = ("etag", "last-modified", "location", "content-location")


def _is_stored(response: Response) -> bool:
    """Return whether a success without content names what was stored: any gateway sends one."""
    return any(response.headers.get(name) for name in _OF_AN_ITEM)


def _is_failure(response: Response, document: Mapping[str, Any]) -> bool:
    """Return whether a success is a page of HTML, a login page perhaps, or an error in JSON."""
    is_page = "html" in response.headers.get("content-type", "").lower()
    is_error = bool(document.get("error") or document.get("errors"))
    is_denied = False in (document.get("ok"), document.get("success"))
    return is_page or is_error or is_denied or format_of(response.content) == "html"


_TUS_VERSION = {"Tus-Resumable": "1.0.0"}


class _Tus:
    """The core protocol of tus 1.0, and its creation extension."""

    def __init__(self, context: UploadContext) -> None:
        self._context = context
        self._total = context.size

    def create(self) -> str:
        fields = {**_TUS_VERSION, "Upload-Length": str(self._total)}
        if described := self._described():
            fields["Upload-Metadata"] = described
        response = self._context.first(fields, data=b"")
        return _absolute(response, response.headers.get("location"))

    def _described(self) -> str:
        settings, name = self._context.settings, self._context.content.name
        about: dict[str, object] = {"filetype": self._context.media_type}
        if settings.filename or name:
            about["filename"] = settings.filename or name
        about |= dict(cast("Any", settings.data or {}))
        if not all(_METADATA_KEY.fullmatch(key) for key in about):
            raise ConfigurationError("a key of data= holds a space, a comma or no ASCII")
        return ",".join(
            f"{key} {b64encode(str(value).encode()).decode('ascii')}"
            for key, value in about.items()
        )

    def send(self, url: str, body: ReplayableBody | bytes, start: int) -> Response:
        fields = {
            **_TUS_VERSION,
            "Upload-Offset": str(start),
            "Content-Type": "application/offset+octet-stream",
        }
        return self._context.later("PATCH", url, fields, data=body, retry=None)

    def query(self, url: str) -> Response:
        return self._context.later("HEAD", url, _TUS_VERSION)

    def read(self, response: Response) -> Offset | None:
        size = _count(response, "upload-offset")
        length = _count(response, "upload-length")
        is_other = length is not None and length != self._total
        if size is None or is_other or not 200 <= response.status_code < 300:
            return None
        return Offset(size, response if size == self._total else None)


# The draft that changed the protocol last; servers of another one ignore what they do not know.
_IETF_VERSION = {"Upload-Draft-Interop-Version": "8"}


class _Ietf:
    """draft-ietf-httpbis-resumable-upload: creation without content, then PATCH and HEAD."""

    def __init__(self, context: UploadContext) -> None:
        self._context = context
        self._total = context.size

    def create(self) -> str:
        fields = {
            **_IETF_VERSION,
            "Upload-Complete": "?0",
            "Upload-Length": str(self._total),
            "Content-Type": self._context.media_type,
        }
        response = self._context.first(fields, data=b"")
        return _absolute(response, response.headers.get("location"))

    def send(self, url: str, body: ReplayableBody | bytes, start: int) -> Response:
        size = len(body) if isinstance(body, bytes) else cast("int", body.len)
        fields = {
            **_IETF_VERSION,
            "Upload-Offset": str(start),
            "Upload-Complete": "?1" if start + size == self._total else "?0",
            "Content-Type": "application/partial-upload",
        }
        return self._context.later("PATCH", url, fields, data=body, retry=None)

    def query(self, url: str) -> Response:
        return self._context.later("HEAD", url, _IETF_VERSION)

    def read(self, response: Response) -> Offset | None:
        if not 200 <= response.status_code < 300:
            return None
        size = _count(response, "upload-offset")
        complete = response.headers.get("upload-complete", "").strip()
        is_patch = response.request.method == "PATCH"
        if complete == "?1" and size in {None, self._total}:
            return Offset(self._total, response)
        sent = response.request.headers.get("Upload-Complete")
        if is_patch and sent == "?1" and not complete and size in {None, self._total}:
            # The response to the request that completes the upload is the application's own.
            is_failure = _is_failure(response, _document(response))
            return None if is_failure else Offset(self._total, response)
        return None if size is None else Offset(size)


UPLOAD_PROTOCOLS: dict[str, Callable[[UploadContext], UploadProtocol]] = {
    "content-range": _ContentRange,
    "tus": _Tus,
    "ietf": _Ietf,
}


def _count(response: Response, name: str) -> int | None:
    field = response.headers.get(name, "").strip()
    return int(field) if _COUNT.fullmatch(field) else None


def _absolute(response: Response, url: object) -> str:
    """Return the URL that the server gave, resolved against the request's.

    Raises:
        TransferError: It gave none.
        RedirectError: It gave an invalid one.
    """
    what = errors.describe(response.request, response.url)
    if not isinstance(url, str) or not url.strip():
        raise TransferError(f"{what}: {response.status_code} names no URL for the upload")
    base = urlsplit(response.url)
    here = base._replace(netloc=base.netloc.rpartition("@")[2]).geturl()
    with suppress(ValueError):  # brackets that hold no IPv6 address, say
        named, whole = urlsplit(url.strip()), urljoin(here, url.strip())
        if is_upload_url(whole) and (named.netloc or not named.scheme):
            return whole
    raise RedirectError(f"{what} names no URL to which an upload may go")


def is_upload_url(url: str) -> bool:
    """Return whether an upload may go to a URL: http or https, a host, no userinfo, and text."""
    try:
        url.encode("utf-8")  # JSON can hold half of a surrogate pair, which no request can
        parts = urlsplit(url)
        urls.origin(url)
    except (ValueError, requests.RequestException):
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _document(response: Response) -> Mapping[str, Any]:
    """Return the JSON object in a response; an empty one when it holds none."""
    if "json" not in response.headers.get("content-type", "").lower():
        return {}
    try:
        document: Any = response.json()
    except errors.DecodeError:
        return {}
    return document if is_mapping(document) else {}
