"""What a caller sees of a response.

`reading` reads its body, `streams` gives lines and events of it, and `decode_errors` says why it
could not be decoded.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import requests
import urllib3
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidURL, JSONDecodeError, StreamConsumedError
from requests.structures import CaseInsensitiveDict

from httpkit._core import header_fields, upstream, urls
from httpkit._core.classes import public
from httpkit._core.lazy import ImportedLater
from httpkit._core.upstream import RequestsResponse

if TYPE_CHECKING:
    from httpkit._core import (
        credentials,
        curl,
        documents,
        models,
        redaction,
        server_sent_events,
    )
    from httpkit._diagnostics import error_reasons, errors
    from httpkit._messages import decode_errors, reading, streams
else:
    reading = ImportedLater("httpkit._messages.reading")
    streams = ImportedLater("httpkit._messages.streams")
    decode_errors = ImportedLater("httpkit._messages.decode_errors")
    errors = ImportedLater("httpkit._diagnostics.errors")
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

# From here on reading JSON is saved more time than importing msgspec takes (4 ms, 2026-11).
_WORTH_AN_IMPORT = 1 << 18


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
            most = reading.LARGEST_ERROR_BODY
            raise errors.BodyTooLargeError(
                f"the error body is larger than {most} bytes: use stream=True", response=self
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
            # "hex" would fail with any class of error.
            self.encoding = reading.known_encoding(self.encoding)
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
            for chunk in reading.translated_all(self, chunks):
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
                reading.receive(self, limit=reading.LARGEST_ERROR_BODY, check=None)
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
            decode_errors.mask(self, error)
            raise decode_errors.not_json(self, error.msg, error.doc, error.pos) from error
        except (RecursionError, ValueError) as error:  # too deep, no text, too many digits
            decode_errors.mask(self, error)
            raise decode_errors.not_json(self, type(error).__name__) from error

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
        decoding = decode_errors.decoding
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
            yield from super().iter_content(reading.BLOCK)
            return
        yield from reading.available_blocks(self.raw, decode=True)

    def lines(self) -> Iterator[str]:
        """Return the lines of a text as they arrive, without their ends: LF, CR LF or CR.

        Text is decoded by the charset of the response, UTF-8 without one; undecodable bytes become
        U+FFFD.

        Raises:
            BodyTooLargeError: A line is larger than `max_body`.
            RequestException: As `blocks`.
        """
        return streams.lines_of(self)

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
        return streams.json_lines_of(self, model)

    def events(self) -> Iterator[server_sent_events.Event]:
        """Return the server-sent events as they arrive.

        A last event without its blank line is given where Content-Length or chunks prove the body
        whole, and dropped where only the end of the connection ends it.

        Raises:
            DecodeError: The body is not an event stream.
            BodyTooLargeError: An event, or a line of one, is larger than `max_body`.
            RequestException: As `blocks`.
        """
        return streams.events_of(self, server_sent_events.StreamState())

    def mismatch(self, model: object, why: str) -> errors.DecodeError:
        """Return the error that says why this body is not of a model."""
        return decode_errors.mismatch(self, model, why)

    def decode_error(self, message: str, doc: str = "", pos: int = 0) -> errors.DecodeError:
        """Return an error about this body, redacted; it is not raised here."""
        return decode_errors.decode_error(self, message, doc, pos)

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


def is_handed_over(raw: Any) -> bool:
    """Say whether a 101 has left the connection of a response to another protocol."""
    is_switching = getattr(raw, "status", None) == HTTPStatus.SWITCHING_PROTOCOLS
    return is_switching and upstream.connection_of(raw) is not None
