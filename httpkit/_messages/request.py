"""A prepared request that knows its call, and how its body is sent again."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Collection, ItemsView, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlencode

import requests
from requests.exceptions import UnrewindableBodyError
from requests.structures import CaseInsensitiveDict

from httpkit._core import header_fields, upstream
from httpkit._core.given import is_mapping, is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._core.urls import PLAIN_URL
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.call import Call, call_of

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from httpkit._core import curl, models, redaction, types
    from httpkit._messages import body as bodies
    from httpkit._messages import multipart
else:
    bodies = ImportedLater("httpkit._messages.body")
    types = ImportedLater("httpkit._core.types")
    redaction = ImportedLater("httpkit._core.redaction")
    curl = ImportedLater("httpkit._core.curl")
    models = ImportedLater("httpkit._core.models")
    multipart = ImportedLater("httpkit._messages.multipart")

_PLAIN_VALUES = frozenset({str, int, float})
_IN_MEMORY = (bytes, str, bytearray, memoryview)
_UNCHANGING = frozenset({bytes, str, type(None)})
_BODILESS = frozenset({"GET", "HEAD"})
_EMPTY = frozenset({dict, list})  # what stands for no data
_CONTAINERS = (list, tuple, set, frozenset, deque)


class Body:
    """How a request body can be sent a second time; copies of a request share it.

    Attributes:
        source: The body it is about: a caller may put another into a prepared request.
        start: Where a file-like body began; None for one that needs no rewinding.
        not_replayable_reason: Why it cannot be sent again, in words; None when it can.
        was_sent: Whether the first byte may have left.
    """

    __slots__ = ("not_replayable_reason", "source", "start", "was_sent")

    def __init__(
        self,
        source: object = None,
        start: int | None = None,
        not_replayable_reason: str | None = None,
    ) -> None:
        self.source: object = source
        self.start: int | None = start
        self.not_replayable_reason: str | None = not_replayable_reason
        self.was_sent: bool = False

    @classmethod
    def of(cls, body: object) -> Self:
        """Note where a body begins; call it before the first byte is read."""
        if body is None or issubclass(type(body), _IN_MEMORY):
            return cls(body)
        if is_replayable(body):
            return cls(body, not_replayable_reason=body.not_replayable_reason)
        name = type(body).__name__
        if hasattr(body, "seek") and hasattr(body, "tell"):
            try:
                return cls(body, start=_seekable_start(body))
            except (OSError, ValueError, AttributeError):
                return cls(body, not_replayable_reason=f"the body ({name}) cannot be rewound")
        is_reiterable = hasattr(body, "__iter__") and iter(cast("Any", body)) is not body
        if is_reiterable and not hasattr(body, "read"):
            return cls(body)
        return cls(body, not_replayable_reason=f"the body ({name}) can be read only once")

    def begin(self, body: object) -> None:
        """Make a body ready to be sent: a file is put back to its beginning.

        Raises:
            UnrewindableBodyError: It was sent, and cannot be sent again.
        """
        if self.not_replayable_reason:
            if self.was_sent:
                raise UnrewindableBodyError(f"it was sent before, and {self.not_replayable_reason}")
        elif self.start is not None:
            try:
                cast("Any", body).seek(self.start)
            except (OSError, ValueError) as error:
                raise UnrewindableBodyError("the body could not be rewound") from error
        self.was_sent = True


def is_replayable(body: object) -> TypeIs[bodies.ReplayableBody]:
    """Say whether a body is made of sources that are opened again for every attempt."""
    if body is None or issubclass(type(body), _IN_MEMORY):
        return False
    return isinstance(body, bodies.ReplayableBody)


def _seekable_start(body: Any) -> int:
    start: int = body.tell()
    body.seek(start)  # a pipe may tell, but not seek
    return start


def is_repeatable(request: requests.PreparedRequest) -> bool:
    """Say whether a request is retried when its connection is lost."""
    policy = call_of(request).options.retry
    if policy is None:
        return False
    body_start = getattr(request, "body_start", None)
    if isinstance(body_start, Body) and body_start.not_replayable_reason:
        return False
    return may_repeat(request, policy.methods, policy.idempotency_header)


def may_repeat(
    request: requests.PreparedRequest, methods: Collection[str], idempotency_header: str
) -> bool:
    """Say whether a request may be sent twice although the server may have acted.

    Args:
        request: Its call says so, its method is idempotent (RFC 9110 section 9.2.2), or it carries
            a key.
        methods: Those that the policy takes for idempotent.
        idempotency_header: Where the key is; "" is nowhere.
    """
    if (idempotent := call_of(request).idempotent) is not None:
        return idempotent
    fields = request.headers or ()  # a caller may take them away
    has_key = bool(idempotency_header) and idempotency_header in fields
    return has_key or (request.method or "GET") in methods


class PreparedRequest(upstream.LateJarRequest):
    """A prepared request that knows its call; copies keep it, pickles drop it."""

    headers: CaseInsensitiveDict[str | bytes]
    url: str | None
    call: Call | None = None
    body_start: Body = Body()
    # Whether it still carries the signature made at prepare.
    is_signed: bool = False
    # Whether it is being sent right now: requests must not look where its response leads.
    is_attempt: bool = False

    @classmethod
    def adopt(cls, request: requests.PreparedRequest, *, masks: bool = True) -> PreparedRequest:
        """Return a copy of a request as one of ours.

        Args:
            request: Anybody's.
            masks: Whether the repr of its headers hides credentials; mocks that quote them want
                requests' own.
        """
        adopted = cls()
        adopted.__dict__.update(request.copy().__dict__)
        if masks:
            adopted.headers = header_fields.RequestHeaders(request.headers)
        known = request.__dict__.get("body_start")
        is_known = isinstance(known, Body) and known.source is adopted.body
        adopted.body_start = cast("Body", known) if is_known else Body.of(adopted.body)
        return adopted

    def copy(self) -> PreparedRequest:
        """Return a copy with its own headers and cookies; hooks and body are shared."""
        clone = PreparedRequest.__new__(PreparedRequest)  # as copy.copy does
        clone.__dict__.update(self.__dict__)
        headers: Any = self.headers  # None before it is prepared
        clone.__dict__["headers"] = None if headers is None else headers.copy()
        upstream.copy_jar(self, clone)
        if clone.body_start.source is not clone.body:
            clone.body_start = Body.of(clone.body)
        return clone

    __copy__ = copy  # not by way of the pickle, which hides credentials

    def __deepcopy__(self, _: Any) -> PreparedRequest:
        return self.copy()

    def prepare_url(self, url: Any, params: Any) -> None:
        """Encode the URL with its parameters.

        Raises:
            InvalidURL: It cannot be parsed, or a parameter is no text.
        """
        is_text = True
        try:
            plain = _prepared_plainly(url, params)
            if plain is None:
                super().prepare_url(url, params)
            else:
                self.url = plain
        except UnicodeError:
            is_text = False
        except TypeError as error:
            raise ConfigurationError(f"params= cannot be sent: {error}") from error
        if not is_text:  # not raised above: a UnicodeError holds the text, secrets included
            raise requests.exceptions.InvalidURL("a parameter is not valid UTF-8")

    def prepare_headers(self, headers: Any) -> None:
        """Validate the header fields (RFC 9110 section 5.5); no message shows a value."""
        if isinstance(headers, header_fields.RequestHeaders):
            fields = headers.copy()
        else:
            check_headers(cast("Any", headers or {}).items())
            super().prepare_headers(headers)
            fields = header_fields.RequestHeaders(self.headers)
        fields.check(check_headers)
        self.headers = fields

    def prepare_cookies(self, cookies: Any) -> None:
        """Build the Cookie field and validate it.

        A cookie that a server set, and that a jar of requests' took although it cannot be sent,
        stays behind; one of the caller's own is refused.
        """
        if cookies is None:  # saves 20 us: the jar is made when somebody looks for it
            upstream.drop_jar(self)
            return
        is_new = "Cookie" not in self.headers
        super().prepare_cookies(cookies)
        if is_new and not header_fields.is_value(self.headers.get("Cookie", "")):
            self.headers.pop("Cookie")
            super().prepare_cookies(header_fields.without_invalid(upstream.jar_of(self) or ()))
        self._check_headers()

    def prepare_hooks(self, hooks: Any) -> None:
        """Register the hooks that there are."""
        if hooks and any(hooks.values()):  # saves 3 us
            super().prepare_hooks(hooks)

    def prepare_auth(self, auth: Any, url: Any = "") -> None:
        """Sign the request, and validate what a foreign auth wrote."""
        before = _fields_of_requests(self.headers)
        if not callable(auth):
            super().prepare_auth(auth, url)
        else:
            body, length = self.body, self.headers.get("Content-Length")
            signed = bodies.sign(auth, self, body) if is_replayable(body) else auth(self)
            if signed is not self:  # nearly never: saves 5 us
                self.__dict__.update(signed.__dict__)
            is_same = self.body is body and type(body) in _UNCHANGING
            if not is_same or self.headers.get("Content-Length") != length:  # the same for 3 us
                self.prepare_content_length(self.body)
        self._check_headers(before)

    def _check_headers(self, before: Collection[tuple[str, Any]] = ()) -> None:
        """Check what was set since the last time; an auth may have put other headers in place.

        Args:
            before: Fields that are requests' own responsibility: it has prepared them.
        """
        if isinstance(self.headers, header_fields.RequestHeaders):
            self.headers.check(check_headers)
        else:
            check_headers(field for field in self.headers.items() if field not in before)

    def prepare_body(self, data: Any, files: Any, json: Any = None) -> None:
        """Encode the body, and note where it begins.

        Raises:
            InvalidJSONError: `json` holds what JSON cannot say.
        """
        if not files and (data is None or (type(data) in _EMPTY and not data)):
            self._prepare_json(json)  # saves 12 us: nothing to look into
            return
        data, files = self._as_stream(_check_data(data), _check_files(files))
        is_text = True
        try:
            super().prepare_body(data, files, json)
        except (TypeError, AttributeError, RecursionError) as error:
            if json is None:
                raise ConfigurationError(f"the body cannot be sent: {error}") from error
            raise requests.exceptions.InvalidJSONError(f"json= cannot be sent: {error}") from error
        except UnicodeError:
            is_text = False
        except (ValueError, NotImplementedError) as error:
            if isinstance(error, requests.RequestException):
                raise
            raise ConfigurationError(f"the body cannot be sent: {error}") from error
        if not is_text:
            raise ConfigurationError("the body is not valid UTF-8")
        self.prepare_content_length(self.body)
        self.body_start = Body.of(self.body)

    def _prepare_json(self, value: Any) -> None:
        """Encode a value as requests does, and describe it in its order; None is no body."""
        body = None if value is None else _as_json(value)
        untyped: Any = self  # requests declares the type of a body
        untyped.body, self.body_start = body, Body(body)
        headers: Any = self.headers
        is_ours = type(headers) is header_fields.RequestHeaders
        put = headers.set_checked if is_ours else headers.__setitem__
        if not is_ours or "transfer-encoding" in headers.by_name:
            self.prepare_content_length(body)
        elif body:
            put("Content-Length", str(len(body)))
        # RFC 9110 section 8.6: also of none, but for a GET.
        elif self.method not in _BODILESS and "content-length" not in headers.by_name:
            put("Content-Length", "0")
        if body is not None and "content-type" not in headers:
            put("Content-Type", "application/json")

    def _as_stream(self, data: Any, files: Any) -> tuple[Any, Any]:
        """Make a body that can be sent again of large forms and of toolbelt's encoders."""
        files = multipart.with_sendable_names(files) if files else None
        if form := multipart.streamed(data, files) if files else None:
            data, files = form, None
        else:
            data = multipart.replayable(data)
        if is_replayable(data) and data.content_type:
            self.headers.setdefault("Content-Type", data.content_type)
        return data, files

    def prepare_content_length(self, body: Any) -> None:
        """Say how long the body is, or that it comes in chunks."""
        if isinstance(body, _CONTAINERS):
            # requests takes the number of blocks for the number of bytes.
            self.headers.pop("Content-Length", None)
            self.headers["Transfer-Encoding"] = "chunked"
        elif "Transfer-Encoding" in self.headers:
            self.headers.pop("Content-Length", None)  # RFC 9112 section 6.2: never both
        else:
            super().prepare_content_length(body)

    def to_curl(self, *, secrets: bool = False) -> str:
        """Return the request as a curl command, as `Response.to_curl` does."""
        return curl.command(self, secrets=secrets)

    def __getstate__(self) -> dict[str, Any]:
        """Return a state without credentials: a pickled request is for reading."""
        headers: Any = self.headers  # None before it is prepared
        return {
            "method": self.method,
            "url": None if self.url is None else redaction.redact_url(self.url),
            "headers": header_fields.Headers(redaction.redact_request_headers(headers or {})),
            "body": redaction.redact_body(
                self.body, str(self.headers.get("Content-Type", "") if headers else "")
            ),
            "hooks": cast("dict[str, list[types.Hook]]", {"response": []}),
            **dict.fromkeys(upstream.REQUEST_NAMES),
        }


def _fields_of_requests(headers: Any) -> Collection[tuple[str, Any]]:
    """Return the fields of headers that are not ours: ours know what was checked."""
    return () if isinstance(headers, header_fields.RequestHeaders) else list(headers.items())


def _as_json(value: Any) -> bytes:
    try:
        text: str | bytes = upstream.json_module().dumps(
            value, allow_nan=False, default=_json_default
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise requests.exceptions.InvalidJSONError(f"json= cannot be sent: {error}") from error
    return text if isinstance(text, bytes) else text.encode("utf-8")


def _json_default(value: Any) -> Any:
    """Return what JSON can say of an object within a document, such as a model or a time."""
    if is_mapping(value):
        return dict(value)
    encoded = models.encode(value)
    if encoded is value:
        raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
    return encoded


def _prepared_plainly(url: Any, params: Any) -> str | None:
    """Return a URL as requests would make it, where that takes no parsing; else None.

    Saves 21 us: nearly every URL comes out of all the parsing as it went in.
    """
    if type(url) is not str or not PLAIN_URL.fullmatch(url):
        return None
    # What requests decodes and encodes again, and the segments that it takes out.
    if "%" in url or "/." in url or url.count("//") > 1:
        return None
    query = _plain_query(params)
    if not query:
        return None if query is None else url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _plain_query(params: Any) -> str | None:
    """Return parameters of the simplest kind, encoded as requests does; None for any other."""
    if not params:
        return "" if params is None or type(params) in _EMPTY else None
    if type(params) is not dict:
        return None
    pairs = cast("dict[Any, Any]", params)
    is_plain = all(type(n) is str and type(v) in _PLAIN_VALUES for n, v in pairs.items())
    return urlencode(pairs) if is_plain else None


def _check_data(data: Any) -> Any:
    """Refuse what is no body; give buffers as bytes.

    Raises:
        ConfigurationError: It is a number, a range or text of a file opened as text.
    """
    if isinstance(data, io.StringIO):
        return data.read().encode("utf-8")
    if isinstance(data, io.TextIOBase):
        raise ConfigurationError("data= is a file opened as text: open it in binary mode ('rb')")
    if isinstance(data, (bool, int, float, range)):
        raise ConfigurationError(f"data={data!r} is not a body")
    if isinstance(data, ItemsView):
        return list(cast("Any", data))
    return _as_bytes(data)


def _as_bytes(data: Any) -> Any:
    """Return a buffer of wide items, an array of int say, as bytes; others as they are."""
    try:
        view = memoryview(data)
    except TypeError:
        return data
    return data if view.itemsize == 1 else bytes(view)


def _check_files(files: Any) -> Any:
    """Refuse part types and part headers that would inject lines into a multipart body.

    Raises:
        ConfigurationError: A content type, a header's name or its value cannot be sent.
    """
    for spec in _specs(files):
        content = spec[1] if is_tuple(spec) and len(spec) > 1 else spec
        if issubclass(type(content), Iterator) and not hasattr(content, "read"):
            raise ConfigurationError("files= holds an iterator: pass bytes or a file")
        if not is_tuple(spec):
            continue
        media_type, fields = (*spec[2:4], None, None)[:2]
        part: dict[str, Any] = {"Content-Type": media_type, **(fields or {})}
        for name, value in part.items():
            if value is not None and not (
                header_fields.is_name(str(name)) and header_fields.is_value(str(value))
            ):
                raise ConfigurationError(f"a part's {str(name)!r} cannot be sent")
    return files


def _specs(files: Any) -> list[Any]:
    try:
        return list(files.values()) if is_mapping(files) else [spec for _, spec in files or ()]
    except (TypeError, ValueError) as error:
        raise ConfigurationError("files= must map field names to files") from error


def check_headers(headers: Iterable[tuple[Any, Any]]) -> None:
    """Refuse fields that cannot be sent; requests' own message would print the value.

    Raises:
        InvalidHeader: A name is no token, or a value holds a line break or no Latin-1.
    """
    for name, value in headers:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if not isinstance(text, str) or not header_fields.is_name(text):
            raise requests.exceptions.InvalidHeader(f"{name!r} cannot name a header field")
        if not isinstance(value, (str, bytes)) or not header_fields.is_value(value):
            raise requests.exceptions.InvalidHeader(
                f"header {text!r} cannot be sent: it must be str or bytes, in Latin-1, without"
                " line breaks or leading space"
            )
