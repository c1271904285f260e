"""What a caller sees of a response, and how its body is read."""

from __future__ import annotations

import codecs
import json
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import requests
import urllib3
from requests.cookies import RequestsCookieJar
from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    InvalidURL,
    JSONDecodeError,
    ReadTimeout,
    SSLError,
    StreamConsumedError,
)
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import DecodeError as URLLib3DecodeError
from urllib3.exceptions import HTTPError as URLLib3Error
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.exceptions import SSLError as URLLib3SSLError

from httpkit._core import header_fields, upstream, urls
from httpkit._core.classes import public
from httpkit._core.lazy import ImportedLater
from httpkit._core.upstream import RequestsResponse
from httpkit._messages.call import call_of

if TYPE_CHECKING:
    from httpkit._core import (
        credentials,
        curl,
        documents,
        error_redaction,
        interrupts,
        models,
        redaction,
        server_sent_events,
    )
    from httpkit._diagnostics import error_reasons, errors
else:
    errors = ImportedLater("httpkit._diagnostics.errors")
    interrupts = ImportedLater("httpkit._core.interrupts")
    error_redaction = ImportedLater("httpkit._core.error_redaction")
    redaction = ImportedLater("httpkit._core.redaction")
    credentials = ImportedLater("httpkit._core.credentials")
    curl = ImportedLater("httpkit._core.curl")
    documents = ImportedLater("httpkit._core.documents")
    models = ImportedLater("httpkit._core.models")
    server_sent_events = ImportedLater("httpkit._core.server_sent_events")
    error_reasons = ImportedLater("httpkit._diagnostics.error_reasons")

T = TypeVar("T")
# Beginnings by which requests takes a body for another encoding than UTF-8.
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_UTF_8 = frozenset({"utf-8", "utf8"})

# One system call reads at most this much; `read1` returns sooner, so a deadline is seen.
_BLOCK = 1 << 16
# Enough for every error document; a hostile server must not fill the memory with one.
LARGEST_ERROR_BODY = 1 << 20
# Reading this much is cheaper than a new connection; more is not worth waiting for.
_LARGEST_DRAIN = 1 << 16
# From here on reading JSON is saved more time than importing msgspec takes (4 ms, 2026-11).
_WORTH_AN_IMPORT = 1 << 18
# What a DecodeError holds of a document, in characters.
_LONGEST_DOC = 200
_MOST_DRAIN_BLOCKS = 16


@public
class Response(requests.Response):
    """A requests.Response with its number of attempts, and with decoding into models.

    Attributes:
        attempts: Number of times the request was sent for this response, 1 or more.
        stop_reason: Why it was not sent again, in words; None after a plain success.
        elapsed_total: Seconds from the start of the call to here: all attempts, waits and
            redirects, and the body where it was read into memory.
        credentials_withheld: Why the session's credentials were not sent; None when they were.
    """

    encoding: str | None
    attempts: int = 1
    stop_reason: str | None = None
    elapsed_total: float = 0.0
    credentials_withheld: str | None = None
    _is_cut: bool = False
    _failure: requests.RequestException | None = None
    _is_abandoned: bool = False
    _was_closed: bool = False

    __attrs__: list[str] = [  # noqa: RUF012  # requests declares it so
        *requests.Response.__attrs__,
        "attempts",
        "stop_reason",
        "elapsed_total",
        "credentials_withheld",
        "_is_cut",
    ]

    def __repr__(self) -> str:
        reason = f" {redaction.redact_text(str(self.reason))}" if self.reason else ""
        return f"<Response [{self.status_code}{reason}]>"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Show a line to those who look at the value itself; nothing is read for it."""
        from httpkit._display import cards

        printer.text(cards.line(self))

    def _repr_html_(self) -> str:
        """Return a card for a notebook; a body that nobody has read yet is not read for it."""
        from httpkit._display import cards

        def make() -> str:
            credentials.remember(self)  # a server may repeat what it was sent
            return cards.of_response(self)

        return cards.make_card(self, make)

    @property
    def raw(self) -> Any:
        """What the body is read from: urllib3's response, or what a mock puts in its place.

        Where a small body arrived whole with its head it is made on first use.
        """
        state = self.__dict__
        if "raw" not in state and (make := state.get("_make_raw")) is not None:
            state.setdefault("raw", make())  # another thread may have made it meanwhile
        return state.get("raw")

    @raw.setter
    def raw(self, raw: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # requests' own attribute, made late
        self.__dict__["raw"] = raw
        self.__dict__.pop("_make_raw", None)

    @property
    def cookies(self) -> RequestsCookieJar:
        """Return what the server set with this response."""
        jar: RequestsCookieJar | None = self.__dict__.get("cookies")
        if jar is None:
            jar = self.__dict__["cookies"] = header_fields.Jar()
        return jar

    @cookies.setter
    def cookies(self, jar: RequestsCookieJar) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # requests' own attribute, made late
        self.__dict__["cookies"] = jar

    @property
    def content(self) -> bytes:
        """Return the body in bytes.

        Raises:
            BodyTooLargeError: It is an error's body over 1 MiB, of which the rest was not read.
        """
        if self._is_cut:
            raise errors.BodyTooLargeError(
                f"the error body is larger than {LARGEST_ERROR_BODY} bytes: use stream=True",
                response=self,
            )
        if self._failure is not None:
            raise self._failure
        return super().content

    @property
    def apparent_encoding(self) -> str | None:
        """The encoding that the bytes of the body look like; None while there is no body."""
        content: Any = self.content  # None in an empty response
        return None if content is None else super().apparent_encoding

    @overload
    def iter_content(
        self, chunk_size: int | None = 1, decode_unicode: Literal[False] = False
    ) -> Iterator[bytes]: ...
    @overload
    def iter_content(
        self, chunk_size: int | None = 1, *, decode_unicode: Literal[True]
    ) -> Iterator[str | bytes]: ...
    def iter_content(
        self, chunk_size: int | None = 1, decode_unicode: Any = False
    ) -> Iterator[Any]:
        """Return the body in blocks, as requests does; a stream that broke off stays broken.

        Raises:
            RequestException: The body cannot be read to its end; also when it is read again.
        """
        if self._is_cut:
            _ = self.content
        if self._failure is not None:
            raise self._failure
        if decode_unicode and self.encoding is not None:
            self.encoding = _known(self.encoding)  # "hex" would fail with any class of error
        chunks: Iterator[Any] = super().iter_content(chunk_size, decode_unicode)
        return chunks if upstream.is_consumed(self) else self._guarded(chunks)

    def close(self) -> None:
        """Free the connection; the rest of the body can no longer be read."""
        if isinstance(self.raw, urllib3.BaseHTTPResponse) and not upstream.is_consumed(self):
            self._was_closed = True
            self._is_abandoned = self._is_abandoned or not self.raw.closed
        if is_handed_over(self.raw):
            self.raw.close()  # or requests would put the connection back
        super().close()

    def _guarded(self, chunks: Iterator[Any]) -> Iterator[Any]:
        try:
            self._check_open()
            for chunk in translated_all(self, chunks):
                yield chunk
                self._check_open()
        except requests.RequestException as error:
            errors.annotate(
                error, self.request, attempts=self.attempts, seconds=0.0, stop_reason=None
            )
            self._failure = error
            self.close()
            raise

    def _check_open(self) -> None:
        if self._is_abandoned:  # urllib3 would take it for the end of the body
            raise StreamConsumedError("the response was closed before its body was read")

    @property
    def next(self) -> requests.PreparedRequest | None:
        """The request that follows a redirect, unsent; None for other responses."""
        return upstream.next_of(self)

    @property
    def ok(self) -> bool:
        """Say whether the status is below 400."""
        return (self.status_code or 0) < 400  # None in an empty response

    @property
    def text(self) -> str:
        """Return the body as text; undecodable bytes become U+FFFD."""
        try:
            return super().text
        except (UnicodeError, ValueError):  # a charset that is no text encoding
            return self.content.decode("utf-8", "replace")

    @property
    def problem(self) -> error_reasons.Problem | None:
        """Return the members of an RFC 9457 problem document; None for any other body."""
        return error_reasons.read_problem(self)

    def raise_for_status(self) -> None:
        """Raise the StatusError for a status of 400 or more.

        Raises:
            StatusError: Its most specific subclass, with the server's error message.
        """
        if self.status_code >= 400:
            if upstream.content_of(self) is False:  # streamed: its words are wanted now
                receive(self, limit=LARGEST_ERROR_BODY, check=None)
            raise errors.from_response(self, errors.class_for(self.status_code))

    def json(self, **kwargs: Any) -> Any:
        """Decode the body as JSON, as leniently as requests does; `decode` is strict.

        Raises:
            DecodeError: It is not JSON; the message says what it is instead.
        """
        try:
            if not kwargs and self._is_plain_json(body := self.content):
                if len(body) >= _WORTH_AN_IMPORT or "msgspec" in sys.modules:
                    # Here, and not later by name: it takes a microsecond less.
                    from httpkit._core.models import UNPARSED, parsed

                    value = parsed(body)
                    if value is not UNPARSED:
                        return value
                try:
                    return json.loads(body.decode())  # saves 8 us
                except (UnicodeDecodeError, json.JSONDecodeError):
                    return super().json()  # more leniently, or with requests' own error
            return super().json(**kwargs)
        except JSONDecodeError as error:
            _mask(self, error)
            raise self._not_json(error.msg, error.doc, error.pos) from error
        except (RecursionError, ValueError) as error:  # too deep, no text, too many digits
            _mask(self, error)
            raise self._not_json(type(error).__name__) from error

    def _is_plain_json(self, body: bytes) -> bool:
        """Return whether requests would decode a body as UTF-8, with the standard library."""
        if upstream.json_module() is not json or not body:
            return False
        if (encoding := self.encoding) is not None:
            return encoding.lower() in _UTF_8
        return not body.startswith(_BYTE_ORDER_MARKS) and b"\0" not in body[:4]

    def decode(self, model: Callable[..., T], *, at: str | None = None) -> T:
        """Decode the body, strict JSON in UTF-8, into a model.

        Args:
            model: A dataclass, TypedDict, attrs, msgspec or pydantic class, a generic such as
                `list[Post]`, or any callable given the parsed JSON.
            at: The dotted path of what is decoded ("data.user"); None: the whole body.

        Raises:
            DecodeError: It is not JSON, has nothing at the path, or is not of the model; the
                message names the field.
        """
        if at is None:
            with decoding(self, model):
                return models.decode(self.content, model)
        with decoding(self, model):
            body = documents.json_at(self.content, at)
        with decoding(self, model, lambda error: f"{error} (looking at {at!r})"):
            return models.decode(body, model)

    def blocks(self) -> Iterator[bytes]:
        """Return the decoded body in blocks, as they arrive; the connection is always freed.

        Raises:
            ReadTimeout: The server stopped sending.
            ChunkedEncodingError: The body was cut short or its framing is broken.
            ContentDecodingError: Its compression is broken.
        """
        if self._failure is not None or isinstance(upstream.content_of(self), bytes):
            yield self.content
            return
        if upstream.is_consumed(self):
            raise StreamConsumedError(request=self.request)
        try:
            yield from self._guarded(self._body_blocks())
        finally:
            self.close()  # first: it closes a connection that is half read, and keeps it after
            upstream.mark_consumed(self)

    def _body_blocks(self) -> Iterator[bytes]:
        if not isinstance(self.raw, urllib3.BaseHTTPResponse):
            yield from super().iter_content(_BLOCK)
            return
        yield from available_blocks(self.raw, decode=True)

    def lines(self) -> Iterator[str]:
        """Return the lines of a text as they arrive, without their ends: LF, CR LF or CR.

        Text is decoded by the charset of the response, UTF-8 without one; undecodable bytes become
        U+FFFD.

        Raises:
            BodyTooLargeError: A line is larger than `max_body`.
            RequestException: As `blocks`.
        """
        return server_sent_events.split_lines(
            self.blocks(), self._charset(), self._size_check("line")
        )

    def _size_check(self, what: str) -> server_sent_events.CheckSize:
        """Return what refuses a line or an event over the call's `max_body`."""
        limit: int | None = call_of(self.request).options.max_body

        def check(size: int) -> None:
            if limit is not None and size > limit:
                self.close()
                raise errors.BodyTooLargeError(
                    f"a {what} of the stream is larger than max_body={limit} bytes", response=self
                )

        return check

    def _charset(self) -> str:
        # requests says ISO-8859-1 for a text without a charset, RFC 2616; RFC 7231 withdrew it.
        is_named = "charset" in self.headers.get("content-type", "").lower()
        is_guess = self.encoding == "ISO-8859-1" and not is_named
        return "utf-8" if is_guess else _known(self.encoding)

    @overload
    def json_lines(self, model: None = None) -> Iterator[Any]: ...
    @overload
    def json_lines(self, model: Callable[..., T]) -> Iterator[T]: ...
    def json_lines(self, model: Callable[..., Any] | None = None) -> Iterator[Any]:
        """Return the documents of a newline-delimited JSON stream as they arrive.

        Args:
            model: As for `decode`; None: what JSON says. Empty lines are passed over.

        Raises:
            DecodeError: A line is not JSON or not of the model; the message has its number.
            BodyTooLargeError: A line is larger than `max_body`.
        """
        wanted: Callable[..., Any] = model or cast("Callable[..., Any]", Any)
        lines = server_sent_events.split_blocks(self.blocks(), self._size_check("line"))
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield models.decode(line, wanted)
            except models.MismatchError as error:
                self.close()  # the error holds this generator, and the rest may never end
                _mask(self, error)
                what = errors.describe(self.request, self.url)
                raise self.decode_error(
                    f"line {number} of the response to {what} cannot be decoded: {error}",
                    line[:_LARGEST_DRAIN].decode("utf-8", "replace"),
                ) from error

    def events(self) -> Iterator[server_sent_events.Event]:
        """Return the server-sent events as they arrive.

        A last event without its blank line is given where Content-Length or chunks prove the body
        whole, and dropped where only the end of the connection ends it.

        Raises:
            DecodeError: The body is not an event stream.
            BodyTooLargeError: An event, or a line of one, is larger than `max_body`.
            RequestException: As `blocks`.
        """
        return events_of(self, server_sent_events.StreamState())

    def mismatch(self, model: object, why: str) -> errors.DecodeError:
        """Return the error that says why this body is not of a model."""
        if not self.content:
            return self._not_json("empty body")
        name: str = getattr(model, "__name__", repr(model))
        what = errors.describe(self.request, self.url)
        article = "an" if name[:1].lower() in "aeiou" else "a"
        wanted = "JSON" if model is object else f"{article} {name}"
        why = self._with_words(why)
        return self.decode_error(f"the response to {what} is not {wanted}: {why}")

    def _with_words(self, why: str) -> str:
        """Return why a body is not what it should be, with what the server says in place of it."""
        said = error_reasons.of_success(self)
        return f"{why}; {said}" if said else why

    def _not_json(self, why: str, doc: str = "", pos: int = 0) -> errors.DecodeError:
        what = errors.describe(self.request, self.url)
        if not self.content:
            why = f"the body is empty ({self.status_code} {self.reason or ''}".rstrip() + ")"
        else:
            content_type = self.headers.get("content-type", "no content type")
            start = redaction.redact_start(_text_of(self.content[:200], self.encoding), 40)
            quoted = f"beginning {start!r}" if start else "binary data"
            why = self._with_words(f"{why} at position {pos} of {content_type}, {quoted}")
        return self.decode_error(f"the response to {what} is not JSON: {why}", doc, pos)

    def decode_error(self, message: str, doc: str = "", pos: int = 0) -> errors.DecodeError:
        """Return an error about this body, redacted; it is not raised here."""
        error = errors.DecodeError(
            redaction.redact_text(message),
            redaction.redact_start(doc, _LONGEST_DOC),
            min(pos, _LONGEST_DOC, len(doc)),
            response=self,
        )
        error.attempts = self.attempts
        return error

    def urljoin(self, reference: str) -> str:
        """Return the absolute URL of a reference that the server gave (RFC 3986 section 5).

        A relative URL of a request is appended to the base URL; a Location, or a link in a body,
        is relative to this response: `api.get(response.urljoin(response.headers["Location"]))`.

        Args:
            reference: As the server wrote it: absolute, a path, or relative.

        Raises:
            InvalidURL: It leads to no http(s) URL, holds a user name or password, or cannot be
                parsed.
        """
        if not isinstance(reference, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidURL(f"the reference must be a str, not {type(reference).__name__}")
        try:
            return urls.resolve(self.url, reference)
        except InvalidURL:
            redacted = urls.redacted(reference)
        raise InvalidURL(f"the reference {redacted} cannot be resolved")

    def to_curl(self, *, secrets: bool = False) -> str:
        """Return the request of this response as a curl command, to paste into a POSIX shell.

        It sends the same method, header fields and body. A body that is streamed, large, or
        kept out of sight is to be put into a file, which a comment names. Proxies and
        certificates are not told.

        Args:
            secrets: Whether credentials are shown, so that the command works; otherwise they
                are masked. What a pickle has masked stays so.
        """
        return curl.command(self.request, secrets=secrets)

    def __copy__(self) -> Response:
        """Return a copy that keeps what a pickle hides."""
        clone = type(self).__new__(type(self))
        clone.__dict__.update(self.__dict__)
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """Return a state without credentials: request, address and cookies are redacted."""
        is_lost = self._is_abandoned and not upstream.is_consumed(self)  # nothing is left to read
        was_closed = self._was_closed and self._failure is None
        state: dict[str, Any] = {}
        if not is_lost:
            try:
                state = super().__getstate__()
            except requests.RequestException:
                if not was_closed:
                    raise
                is_lost = True  # closed early, after a wrong line say: that error must pickle
        state = state or {name: getattr(self, name, None) for name in self.__attrs__}
        state["url"] = redaction.redact_url(self.url or "")
        state["headers"] = header_fields.Headers(redaction.redact_headers(self.headers))
        state["cookies"] = type(self.cookies)()
        state["_is_cut"] = self._is_cut or is_lost or self._failure is not None
        state["reason"] = redaction.redact_text(str(self.reason)) if self.reason else self.reason
        return {
            name: redaction.redact_bytes(value) if isinstance(value, bytes) else value
            for name, value in state.items()
        }


# Python's own, which no server means; they warn of escapes that are none.
_ESCAPES = frozenset({"unicode-escape", "raw-unicode-escape"})


def _known(encoding: str | None) -> str:
    name = encoding or "utf-8"
    try:
        if codecs.lookup(name).name.replace("_", "-") in _ESCAPES:
            return "utf-8"
        b"\xff".decode(name, "replace")  # also refuses what is no text encoding, such as hex
    except (LookupError, ValueError):
        return "utf-8"
    return name


def _text_of(start: bytes, encoding: str | None) -> str:
    """Return the beginning of a body as text, less a character that is cut; "" for no text."""
    for name in ("utf-8", _known(encoding)):  # requests takes text without a charset for Latin-1
        text = start.decode(name, "replace").rstrip("\ufffd")
        if all(c != "\ufffd" and (c.isprintable() or c.isspace()) for c in text):
            return text
    return ""


# Connections and sockets, and what is set anew when a response is restored.
_UNPICKLED = frozenset({"raw", "connection", "_failure", *upstream.UNPICKLED_NAMES})

_adopted: dict[type[requests.Response], type[Response]] = {requests.Response: Response}


def is_response(found: object) -> bool:
    """Say whether something is a response, and none of the mocks that claim to be one."""
    return issubclass(type(found), RequestsResponse)


def adopt(response: requests.Response) -> Response:
    """Turn a response, in place, into one of ours; its history too.

    A class of somebody else (a cache's, say) is kept as a base, so that its own
    attributes still work. What only stands for a response, as a mock does, stays as it is.
    """
    cls = type(response)
    if not is_response(response):
        return cast("Response", response)
    if not issubclass(cls, Response):
        response.__class__ = _adopted.get(cls) or _join_classes(cls)
        # With a repr that hides what a server sets.
        headers, jar = response.__dict__.get("headers"), response.__dict__.get("cookies")
        if type(headers) is CaseInsensitiveDict:
            response.headers = header_fields.Headers(headers)
        if type(jar) is RequestsCookieJar:
            jar.__class__ = header_fields.Jar
    for past in response.__dict__.get("history") or ():
        if not isinstance(past, Response):  # each once: histories share their beginnings
            adopt(past)
    return cast("Response", response)


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def successful(response: requests.Response) -> Response:
    """Return a final response, as one of ours.

    Raises:
        StatusError: It is an error, which a session's table gave back.
        RedirectError: It is a redirect that was not followed.
    """
    ours = adopt(response)
    ours.raise_for_status()
    if ours.status_code in _REDIRECTS:
        raise errors.RedirectError(
            f"{errors.describe(ours.request, ours.url)}: {ours.status_code} was not followed",
            response=ours,
        )
    return ours


def _join_classes(cls: type[requests.Response]) -> type[Response]:
    def reduce(self: Response) -> tuple[Any, ...]:
        state = self.__getstate__()  # first: it reads the body
        names = self.__dict__.keys() - _UNPICKLED - state.keys()
        return _restore, (cls,), {**{name: self.__dict__[name] for name in names}, **state}

    joined = type(cls.__name__, (Response, cls), {"__reduce__": reduce})
    return _adopted.setdefault(cls, cast("type[Response]", joined))


def _restore(cls: type[requests.Response]) -> Response:
    response = cls.__new__(cls)
    response.__dict__.setdefault("history", [])
    return adopt(response)


def receive(
    response: requests.Response,
    *,
    limit: int | None,
    check: Callable[[], None] | None,
) -> None:
    """Read the whole body into `response.content`.

    Args:
        response: Its body may have been read already, by a hook.
        limit: The most bytes of decoded body; None for no limit. An error's body is cut at
            1 MiB instead of refused, because its status is worth more than its body; for the
            same reason one that cannot be decoded fails only when it is requested.
        check: Called between blocks; raises when the time is up.

    Raises:
        BodyTooLargeError: The body is larger than the limit.
        ReadTimeout: The server stopped sending.
        ChunkedEncodingError: The body was cut short or its framing is broken.
        ContentDecodingError: Its compression is broken.
        SSLError: The TLS stream is broken.
    """
    raw = response.raw
    if upstream.content_of(response) is not False:
        return
    if not isinstance(raw, urllib3.BaseHTTPResponse):
        _ = response.content
        return
    is_error = response.status_code >= 400
    most = min(limit or LARGEST_ERROR_BODY, LARGEST_ERROR_BODY) if is_error else limit
    try:
        body, is_whole = translated(response, lambda: _read(raw, most, check))
    except ContentDecodingError as broken:
        if not is_error:
            raise
        raw.close()
        upstream.keep_content(response, b"")
        response.__dict__["_failure"] = broken
        return
    if not is_whole:
        raw.close()
        if not is_error:
            error = errors.BodyTooLargeError(
                f"the body is larger than max_body={most} bytes: stream it, or raise the limit",
                response=response,
            )
            response.__dict__["_failure"] = error
            upstream.mark_consumed(response)
            raise error
        response.__dict__["_is_cut"] = True
    upstream.keep_content(response, body)


def events_of(
    response: Response, state: server_sent_events.StreamState
) -> Iterator[server_sent_events.Event]:
    """Return the server-sent events of a stream that earlier responses began.

    Raises:
        DecodeError: The body is not an event stream.
    """
    state.has_fields = False
    is_empty = True

    def watched() -> Iterator[bytes]:
        nonlocal is_empty
        for block in response.blocks():
            is_empty = is_empty and not block
            yield block

    is_framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    yield from server_sent_events.parse(
        watched(),
        response._size_check("line or event"),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module
        state=state,
        is_framed=is_framed,
    )
    content_type = response.headers.get("content-type", "no content type")
    if not (is_empty or state.has_fields or content_type.lower().startswith("text/event-stream")):
        what = errors.describe(response.request, response.url)
        raise response.decode_error(
            f"the response to {what} is not an event stream: {content_type}"
        )


def must_be_streamed(raw: urllib3.BaseHTTPResponse) -> bool:
    """Say whether `read1` would go around what urllib3's own `stream` heeds.

    http.client knows chunks only where the field says "chunked" and nothing else, and not
    "identity, chunked". What a cache puts in its place (CacheControl) hears of `read` alone,
    and would store the body without what other methods read. What VCR records has a `read1` that
    takes no `decode_content`.
    """
    if not isinstance(raw, urllib3.BaseHTTPResponse):  # pyright: ignore[reportUnnecessaryIsInstance]  # a mock's
        return True
    message = upstream.message_of(raw)
    is_wrapped = message is not None and not hasattr(message.__class__, "read1")
    return is_wrapped or raw.headers.get("transfer-encoding", "chunked").lower() != "chunked"


def available_blocks(
    raw: urllib3.BaseHTTPResponse, *, decode: bool, size: int = _BLOCK
) -> Iterator[bytes]:
    """Give a body in blocks as they come in: `read1` returns with what there is."""
    if must_be_streamed(raw):
        yield from raw.stream(size, decode_content=decode)
        return
    while block := raw.read1(size, decode_content=decode):
        yield block


def _read(
    raw: urllib3.BaseHTTPResponse, most: int | None, check: Callable[[], None] | None
) -> tuple[bytes, bool]:
    """Return the body, or its first bytes when it is larger, and whether it is whole."""
    if _is_read_whole(raw, most):  # saves 10 us, and half the time of a mebibyte
        return cast("Any", raw).read_rest(), True
    blocks: list[bytes] = []
    size = 0
    for block in available_blocks(raw, decode=True):
        blocks.append(block)
        size += len(block)
        if most is not None and size > most:
            return b"".join(blocks)[:most], False
        if check:
            check()
    raw.release_conn()
    return b"".join(blocks), True


def _is_read_whole(raw: urllib3.BaseHTTPResponse, most: int | None) -> bool:
    """Say whether a body can be read in one go: its size is known, and its reads keep the time."""
    size = upstream.remaining_length(raw)
    return (
        size is not None
        and (most is None or size <= most)
        and getattr(raw, "keeps_deadline", False)
        and "content-encoding" not in raw.headers
    )


def translated(response: requests.Response, read: Callable[[], T]) -> T:
    """Read, with urllib3's errors as requests' classes; a timeout is a Timeout."""
    request = response.request
    try:
        return revealing(read)
    except requests.RequestException:  # some of requests' own are urllib3's, too
        raise
    except ReadTimeoutError as error:
        raise ReadTimeout(error, request=request) from error
    except (URLLib3DecodeError, zlib.error) as error:  # zlib's own from the flush of a decoder
        raise ContentDecodingError(error, request=request) from error
    except URLLib3SSLError as error:
        raise SSLError(error, request=request) from error
    except (ProtocolError, ValueError) as error:  # a negative chunk size is a ValueError
        raise ChunkedEncodingError(error, request=request) from error
    except URLLib3Error as error:
        raise requests.ConnectionError(error, request=request) from error


def revealing(read: Callable[[], T]) -> T:
    """Call a function that reads from a socket; raise what a signal handler raised meanwhile."""
    try:
        return read()
    except Exception as error:
        interrupts.reveal(error)
        raise


def _mask(response: Response, error: Exception) -> None:
    """Mask credentials in an error about a body, which may repeat those of the request."""
    credentials.remember(response)
    error_redaction.scrub(error)


@contextmanager
def decoding(
    response: Response,
    model: object,
    where: Callable[[models.MismatchError], str] = str,
) -> Generator[None, None, None]:
    """Raise what does not match the model as an error about the response.

    Args:
        response: What is decoded.
        model: What it is decoded into.
        where: Returns what the error says of the mismatch.

    Raises:
        DecodeError: It is not JSON, or not of the model.
    """
    try:
        yield
    except models.MismatchError as error:
        _mask(response, error)  # validators quote what they refuse
        raise response.mismatch(model, where(error)) from error
    except models.UnsupportedModelError as error:
        raise errors.ConfigurationError(str(error), response=response) from error


def translated_all(response: requests.Response, chunks: Iterator[T]) -> Iterator[T]:
    """Give what an iterator of requests gives, with its errors as `translated` has them."""
    while True:
        try:
            chunk = translated(response, lambda: next(chunks, None))
        except requests.ConnectionError as error:
            cause = error.args[0] if error.args else None
            if isinstance(cause, ReadTimeoutError):  # requests calls it a ConnectionError
                raise ReadTimeout(cause, request=response.request) from error
            raise
        if chunk is None:
            return
        yield chunk


def is_handed_over(raw: Any) -> bool:
    """Say whether a 101 has left the connection of a response to another protocol."""
    is_switching = getattr(raw, "status", None) == HTTPStatus.SWITCHING_PROTOCOLS
    return is_switching and upstream.connection_of(raw) is not None


def drain(response: requests.Response, check: Callable[[], None] | None) -> None:
    """Free the connection of a response nobody will read, for reuse where that is cheap.

    The body is not decoded; what fits into 64 KiB is kept as `.content`. A server that
    drips is left alone after a few blocks.

    Args:
        response: It is closed in any case.
        check: Called between blocks; raises when the time is up.
    """
    if upstream.content_of(response) is not False:
        return
    raw, body = response.raw, b""
    if isinstance(raw, urllib3.BaseHTTPResponse):
        try:
            body = _read_raw(raw, check)
        except (URLLib3Error, OSError, RuntimeError) as error:
            interrupts.reveal(error)
            body = b""
        finally:
            response.close()
    upstream.keep_content(response, body)


def _read_raw(raw: urllib3.BaseHTTPResponse, check: Callable[[], None] | None) -> bytes:
    declared = raw.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > _LARGEST_DRAIN:
        return b""
    blocks: list[bytes] = []
    for block in available_blocks(raw, decode=False):
        blocks.append(block)
        if len(blocks) >= _MOST_DRAIN_BLOCKS or sum(map(len, blocks)) > _LARGEST_DRAIN:
            return b""
        if check:
            check()
    raw.release_conn()
    return b"" if raw.headers.get("content-encoding") else b"".join(blocks)
