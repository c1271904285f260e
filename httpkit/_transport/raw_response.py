"""urllib3's response, `response.raw`, with checks that its body is complete."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

import urllib3
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    ProtocolError,
    ReadTimeoutError,
    ResponseNotChunked,
    SSLError,
)

from httpkit._core.given import is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._messages.response import is_handed_over
from httpkit._transport import _upstream
from httpkit._transport.http1 import Message, without_traceback
from httpkit._transport.socket_reader import UNLIMITED

if TYPE_CHECKING:
    from httpkit._core import interrupts
    from httpkit._messages import reading
else:
    reading = ImportedLater("httpkit._messages.reading")
    interrupts = ImportedLater("httpkit._core.interrupts")

# Codings that urllib3 decodes with another package, and the extra that installs it.
_DECODERS = {"br": "brotli", "zstd": "zstd"}
_MultiDecoder: Any = _upstream.find("urllib3.response.MultiDecoder")
_GzipDecoder: Any = _upstream.find("urllib3.response.GzipDecoder")
_NOT_WHOLE = "the compressed body is truncated, or followed by other data"


class _RaiseFailure:
    """Raises what an earlier read has raised, and keeps what this one raises.

    As a generator function it would take a microsecond more for each read.
    """

    __slots__ = ("_response",)

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def __enter__(self) -> None:
        if self._response.failure is not None:
            raise without_traceback(self._response.failure)

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            interrupts.reveal(error)
        if isinstance(error, HTTPError):
            self._response.failure = without_traceback(error)


class HTTPResponse(urllib3.HTTPResponse):
    """urllib3's response that requires the end of its body, also of compressed content.

    After a read that failed every read fails: urllib3 takes the connection that was closed after
    the error for the end of the body.

    Attributes:
        failure: What a read has raised; None if none failed.
    """

    length_remaining: int | None
    _is_decodable: bool = False
    failure: HTTPError | None = None

    @property
    def headers(self) -> urllib3.HTTPHeaderDict:
        """The fields as urllib3 has them, made on first use: 1 us each."""
        state: dict[str, Any] = vars(self)
        if state["headers"] is None:
            message: Any = self._original_response
            state["headers"] = urllib3.HTTPHeaderDict(message.fields)
        return state["headers"]  # type: ignore[no-any-return]

    @headers.setter
    def headers(self, headers: urllib3.HTTPHeaderDict) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # urllib3 has an attribute
        vars(self)["headers"] = headers

    @property
    def by_name(self) -> dict[str, tuple[str, str]]:
        """Name and value by name in lower case; values of the same name are joined."""
        return self._original_response.by_name  # type: ignore[union-attr, no-any-return]

    @property
    def keeps_deadline(self) -> bool:
        """Whether reads end with the deadline of the call; those of a stream do not."""
        message: Any = self._original_response
        return isinstance(message, Message) and message.reader.exchange is not UNLIMITED

    def read_rest(self) -> bytes:
        """Read the rest of an unencoded body of known size. Raises: as `read`."""
        message: Any = self._fp
        block = self._receive(message.read)
        self.length_remaining = 0
        return block

    def _receive(self, read: Callable[[], bytes]) -> bytes:
        """Read from the message, not by way of urllib3."""
        block = reading.revealing(lambda: self._read_with_errors(read))
        message: Any = self._original_response
        if message.isclosed():
            self.release_conn()
        self._uncached_read_occurred = True
        self._fp_bytes_read += len(block)
        return block

    def _read_with_errors(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except BaseException:
            with self._error_catcher():  # raises urllib3's errors, and closes
                raise

    def lift_deadline(self, timeout: Any) -> None:
        """Remove the deadline from the rest of the body, which is read as a stream.

        Args:
            timeout: Seconds to wait for each block, as requests takes it.
        """
        message = self._original_response
        if isinstance(message, Message):
            message.reader.exchange = UNLIMITED
            if not isinstance(timeout, urllib3.Timeout):
                message.reader.timeout = read_timeout_of(timeout)
            if is_handed_over(self):
                message.reader.hand_over()

    def release_conn(self) -> None:
        """Release the connection; one with unread bytes is closed first."""
        message, connection = self._original_response, self._connection
        if connection is not None and isinstance(message, Message):
            if message.length == 0:  # notices unexpected bytes
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
        """Read as urllib3 does. Raises: DecodeError also for truncated compressed content."""
        is_all = amt is None or amt < 0
        with _RaiseFailure(self):
            try:
                block = super().read(amt, decode_content, cache_content)
            except (ProtocolError, ReadTimeoutError, SSLError):
                if is_all or not len(self._decoded_buffer):
                    raise
                return self._decoded_buffer.get(cast("int", amt))  # the next read raises
            if is_all or (not block and amt):
                self._require_end()
        return block

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read as urllib3 does. Raises: DecodeError also for truncated compressed content."""
        with _RaiseFailure(self):
            block = super().read1(amt, decode_content)
            if not block and amt != 0:
                self._require_end()
        return block

    def stream(
        self, amt: int | None = 1 << 16, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Read as urllib3 does. Raises: DecodeError also for truncated compressed content."""
        with _RaiseFailure(self):
            yield from super().stream(amt, decode_content)
            if amt != 0:
                self._require_end()

    def __iter__(self) -> Generator[bytes]:
        """Iterate over the lines of the decoded body; after stopping early no read works.

        urllib3 would continue behind lines that it had read and not given out.
        """
        try:
            yield from super().__iter__()
        except GeneratorExit:
            self.failure = ProtocolError("iteration over the lines of the body stopped early")
            raise

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Iterate over the chunks as they arrive, as urllib3 does, with our framing.

        After stopping early any method reads on; urllib3 closes the connection.

        Raises:
            ResponseNotChunked: It is not chunked.
            ProtocolError: The framing is broken or truncated.
            DecodeError: The compressed content is broken or truncated.
        """
        if not self.chunked:
            raise ResponseNotChunked("the response is not chunked")
        self._init_decoder()
        most = None if amt is None or amt < 0 else amt
        with _RaiseFailure(self):
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

    def _init_decoder(self) -> None:
        """Make the decoder as urllib3 does, which fails for a list with an unknown coding.

        Those that nobody knows ("identity", "aws-chunked") are as if they were not there.
        """
        codings = self.headers.get("content-encoding", "")
        if self._decoder is None and "," in codings:
            given = [coding.strip().lower() for coding in codings.split(",")]
            known = [coding for coding in given if coding in self.CONTENT_DECODERS]
            if known and known != given:
                self._decoder = _MultiDecoder(",".join(known))
        super()._init_decoder()

    def _raw_read(self, amt: int | None = None, *, read1: bool = False) -> bytes:
        """Read as urllib3 does, which takes a closed response for a complete one."""
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
        """Decode as urllib3 does, which returns content undecoded if it lacks the decoder."""
        if data and decode_content and not self._is_decodable:
            _require_decoders(self.headers.get("content-encoding", ""))
            self._is_decodable = True
        if self._decoder is not None:
            _begin_next_member(self._decoder)
        return super()._decode(data, decode_content, flush_decoder, max_length)

    def _flush_decoder(self) -> bytes:
        """Flush as urllib3 does, with errors of zlib as DecodeError: Python 3.14 raises some."""
        try:
            return super()._flush_decoder()
        except zlib.error as error:
            raise DecodeError(_NOT_WHOLE, error) from error

    def _next_chunk(self, most: int | None) -> bytes:
        message: Any = self._fp
        return self._receive(lambda: message.read_chunk(most))

    def _require_end(self) -> None:
        """Raise for a truncated body, and for compressed content without an end of its own."""
        self._check_message()
        if not self._has_decoded_content or not self._fp_bytes_read:  # an empty body is complete
            return
        if not _is_whole(self._decoder):
            raise DecodeError(_NOT_WHOLE)


def _require_decoders(content_encoding: str) -> None:
    """Raise for a coding that an optional package would decode; unknown ones pass."""
    for coding in re.split(r"[,\s]+", content_encoding.lower()):
        extra = _DECODERS.get(coding)
        if extra and coding not in urllib3.HTTPResponse.CONTENT_DECODERS:
            raise DecodeError(f"the body is encoded as {coding}: pip install 'urllib3[{extra}]'")


def _begin_next_member(decoder: Any) -> None:
    """Begin the next member of gzip, if the last read ended exactly where a member ends.

    urllib3 2.8.0 gives the rest to the decompressor that has ended. Python 3.13.18 and 3.14.10
    append it to the rest that is there already: the member would be decoded again and again.
    """
    for part in getattr(decoder, "_decoders", ()):
        _begin_next_member(part)
    if type(decoder) is _GzipDecoder and decoder.has_unconsumed_tail and decoder._obj.eof:  # noqa: SLF001
        decoder._state = _upstream.OTHER_MEMBERS  # noqa: SLF001
        decoder._obj = zlib.decompressobj(16 + zlib.MAX_WBITS)  # noqa: SLF001  # as urllib3 has it


def _is_whole(decoder: Any) -> bool:
    """Return whether a decoder has seen the end of its input, and nothing after it."""
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


def lift_deadline(raw: object, timeout: Any) -> None:
    """Remove the deadline from a body that is read as a stream, if the connection is ours.

    Args:
        raw: `raw` of a requests.Response.
        timeout: Seconds to wait for each block, as requests takes it.
    """
    if isinstance(raw, HTTPResponse):
        raw.lift_deadline(timeout)


def read_timeout_of(timeout: Any) -> float | None:
    """Return the read timeout of a timeout as requests takes it."""
    if isinstance(timeout, urllib3.Timeout):
        timeout = getattr(timeout, "_read", None)  # its property needs a clock that runs
    elif is_tuple(timeout):
        timeout = timeout[1] if len(timeout) == 2 else None
    return timeout if isinstance(timeout, (int, float)) else None
