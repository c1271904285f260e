"""What came over the wire as requests knows it: `response.raw`, of which the end is demanded.

Rule: beside `connections` and `express`, only here is urllib3's private interface touched; what
is used of it is listed in `connections`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import urllib3
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    ProtocolError,
    ReadTimeoutError,
    ResponseNotChunked,
    SSLError,
)

from httpkit._core import interrupts
from httpkit._core.types import is_tuple
from httpkit._messages.response import is_handed_over
from httpkit._transport import _upstream
from httpkit._transport.http1 import UNLIMITED, Message, without_traceback

# Codings that urllib3 decodes when another package is there, and the extra that brings it.
_DECODERS = {"br": "brotli", "zstd": "zstd"}
_NOT_WHOLE = "the compressed content is cut, or followed by something else"


class _Lasting:
    """Raises again what a read before has raised, and remembers what this one raises.

    As a generator function it would take a microsecond more for each read.
    """

    __slots__ = ("_response",)

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def __enter__(self) -> None:
        if self._response.failure is not None:
            raise without_traceback(self._response.failure)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            interrupts.reveal(error)
        if isinstance(error, HTTPError):
            self._response.failure = without_traceback(error)


class HTTPResponse(urllib3.HTTPResponse):
    """urllib3's response, of which the end is demanded also of what was compressed.

    A read that failed fails again, whatever is asked next: urllib3 takes a connection that was
    closed after an error for the end of the body.

    Attributes:
        failure: What a read has raised; None while all went well.
    """

    length_remaining: int | None
    _is_decodable: bool = False
    failure: HTTPError | None = None

    @property
    def headers(self) -> urllib3.HTTPHeaderDict:
        """The fields as urllib3 has them; made when somebody looks, for 1 us each."""
        held: dict[str, Any] = vars(self)
        if held["headers"] is None:
            message: Any = self._original_response
            held["headers"] = urllib3.HTTPHeaderDict(message.fields)
        return held["headers"]  # type: ignore[no-any-return]

    @headers.setter
    def headers(self, headers: urllib3.HTTPHeaderDict) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # urllib3's own attribute, made late
        vars(self)["headers"] = headers

    @property
    def by_name(self) -> dict[str, tuple[str, str]]:
        """Name and value by name in lower case; values of the same name are joined."""
        return self._original_response.by_name  # type: ignore[union-attr, no-any-return]

    def take_arrived(self, most: int | None) -> bytes | None:
        """Return the body, if all of it came with the head, it is as it was, and no larger."""
        message: Any = self._original_response
        size = message.length
        if size is None or (most is not None and size > most):
            return None
        if "content-encoding" in message.by_name:
            return None
        block: bytes | None = message.take_arrived()
        if block is not None:
            self._fp_bytes_read, self.length_remaining = len(block), 0
            self._uncached_read_occurred = True
        return block

    @property
    def keeps_deadline(self) -> bool:
        """Whether no read outlasts the deadline of the call, which a stream's may."""
        message: Any = self._original_response
        return isinstance(message, Message) and message.wire.exchange is not UNLIMITED

    def read_at_once(self) -> bytes:
        """Read the rest of a body whose size is known, as it came; errors are those of `read`."""
        message: Any = self._fp
        block = self._receive(message.read)
        self.length_remaining = 0
        return block

    def _receive(self, read: Callable[[], bytes]) -> bytes:
        """Read from the message past urllib3."""
        try:
            block = read()
        except BaseException:
            with _revealing(), self._error_catcher():  # says it in urllib3's words, and closes
                raise
        message: Any = self._original_response
        if message.isclosed():
            self.release_conn()
        self._uncached_read_occurred = True
        self._fp_bytes_read += len(block)
        return block

    def lift_deadline(self, timeout: Any) -> None:
        """Let the rest of the body take its time: a caller reads it as a stream.

        Args:
            timeout: Seconds to wait for each block, as requests takes it.
        """
        message = self._original_response
        if isinstance(message, Message):
            message.wire.exchange = UNLIMITED
            if not isinstance(timeout, urllib3.Timeout):
                message.wire.timeout = read_part(timeout)
            if is_handed_over(self):
                message.wire.hand_over()

    def release_conn(self) -> None:
        """Give the connection back; one that is out of step is closed first."""
        message, connection = self._original_response, self._connection
        if connection is not None and isinstance(message, Message):
            if message.length == 0:  # nothing is left, but perhaps what nobody asked for
                message.read()
            if message.must_close or not message.isclosed():
                connection.close()
        super().release_conn()

    def read(
        self,
        amt: int | None = None,
        decode_content: bool | None = None,
        cache_content: bool = False,
    ) -> bytes:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        is_all = amt is None or amt < 0
        with _Lasting(self):
            try:
                block = super().read(amt, decode_content, cache_content)
            except (ProtocolError, ReadTimeoutError, SSLError):
                if is_all or not len(self._decoded_buffer):
                    raise
                return self._decoded_buffer.get(cast("int", amt))  # first; the next read raises
            if is_all or (not block and amt):
                self._require_end()
        return block

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        with _Lasting(self):
            block = super().read1(amt, decode_content)
            if not block and amt != 0:
                self._require_end()
        return block

    def stream(
        self, amt: int | None = 1 << 16, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        with _Lasting(self):
            yield from super().stream(amt, decode_content)
            if amt != 0:
                self._require_end()

    def __iter__(self) -> Generator[bytes]:
        """Give the lines of the decoded body; who stops early cannot read on.

        Lines that came and were not given are lost: urllib3 would go on behind them.
        """
        try:
            yield from super().__iter__()
        except GeneratorExit:
            self.failure = ProtocolError("the lines of the body were not read to their end")
            raise

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Give a chunked body as its chunks come in; urllib3's own way with our framing.

        Who stops early may read on, by any method: urllib3 closes the connection.

        Raises:
            ResponseNotChunked: It is not chunked.
            ProtocolError: The framing is broken or cut.
            DecodeError: The compression is broken or has no end.
        """
        if not self.chunked:
            raise ResponseNotChunked("the response is not chunked")
        self._init_decoder()
        most = None if amt is None or amt < 0 else amt
        with _Lasting(self):
            while most != 0:
                block = b""
                if not (self._decoder and self._decoder.has_unconsumed_tail):
                    block = self._next_chunk(most)
                    if not block:
                        break
                decoded = self._decode(block, decode_content, flush_decoder=False, max_length=most)
                if decoded:
                    yield decoded
            if most != 0:
                self._require_end()

    def _raw_read(self, amt: int | None = None, *, read1: bool = False) -> bytes:
        """Read as urllib3 does, which takes what is closed for complete."""
        self._check_message()
        return super()._raw_read(amt, read1=read1)

    def _check_message(self) -> None:
        message = self._original_response
        if isinstance(message, Message) and message.failure is not None:
            with self._error_catcher():
                message.check()

    def _decode(
        self,
        data: bytes,
        decode_content: bool | None,
        flush_decoder: bool,
        max_length: int | None = None,
    ) -> bytes:
        """Decode as urllib3 does, which gives out what it has no decoder for as it came."""
        if data and decode_content and not self._is_decodable:
            _require_decoders(self.headers.get("content-encoding", ""))
            self._is_decodable = True
        return super()._decode(data, decode_content, flush_decoder, max_length)

    def _flush_decoder(self) -> bytes:
        """Flush as urllib3 does, which lets errors of zlib pass: Python 3.14 has some."""
        try:
            return super()._flush_decoder()
        except zlib.error as error:
            raise DecodeError(_NOT_WHOLE, error) from error

    def _next_chunk(self, most: int | None) -> bytes:
        message: Any = self._fp
        return self._receive(lambda: message.read_chunk(most))

    def _require_end(self) -> None:
        """Refuse a body that broke off, and compressed content without its own end as its last."""
        self._check_message()
        if not self._has_decoded_content or not self._fp_bytes_read:  # no body at all is one
            return
        if not _is_whole(self._decoder):
            raise DecodeError(_NOT_WHOLE)


# What is the same in every response whose body is still to come.
BLANK: Mapping[str, Any] = vars(
    urllib3.HTTPResponse(b"", preload_content=False, decode_content=False)
) | {"_body": None, "headers": None, "version_string": "HTTP/1.1"}
new_buffer: Any = cast("Any", type(BLANK.get("_decoded_buffer")))


def _require_decoders(content_encoding: str) -> None:
    """Refuse what an optional dependency would decode; a coding unknown to urllib3 passes."""
    for coding in re.split(r"[,\s]+", content_encoding.lower()):
        extra = _DECODERS.get(coding)
        if extra and coding not in urllib3.HTTPResponse.CONTENT_DECODERS:
            raise DecodeError(f"the body is encoded as {coding}: pip install 'urllib3[{extra}]'")


def _is_whole(decoder: Any) -> bool:
    """Say whether a decoder has seen the end of what it decodes, and nothing after it."""
    if decoder is None:
        return True
    if parts := getattr(decoder, "_decoders", None):
        return all(_is_whole(part) for part in parts)
    if getattr(decoder, "_state", None) == _upstream.SWALLOW_DATA:
        return False
    engine = getattr(decoder, "_obj", None)
    if callable(is_finished := getattr(engine, "is_finished", None)):  # brotli
        return bool(is_finished())
    return bool(getattr(engine, "eof", True))


@contextmanager
def _revealing() -> Generator[None]:
    try:
        yield
    except Exception as error:
        interrupts.reveal(error)
        raise


def lift_deadline(raw: object, timeout: Any) -> None:
    """Let a body take its time, if it came over our connections: it is read as a stream.

    Args:
        raw: What a requests.Response has as `raw`.
        timeout: Seconds to wait for each block, as requests takes it.
    """
    if isinstance(raw, HTTPResponse):
        raw.lift_deadline(timeout)


def read_part(timeout: Any) -> float | None:
    """Return the read timeout of what requests takes for one."""
    if isinstance(timeout, urllib3.Timeout):
        timeout = getattr(timeout, "_read", None)  # its property needs a clock that runs
    elif is_tuple(timeout):
        timeout = timeout[1] if len(timeout) == 2 else None
    return timeout if isinstance(timeout, (int, float)) else None
