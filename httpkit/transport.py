"""The adapter and its connections: deadlines on the socket, answers by the letter.

    Adapter -> pool -> connection -> Message (wire) -> HTTPResponse

Rule: urllib3's private interface is touched here, and by `express`, which is given no
connections but ours. Where it is not as expected, another version or somebody's patch,
requests' own path serves in our place.
"""

import errno
import io
import queue
import re
import socket
import ssl
import sys
import zlib
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache, lru_cache
from http.client import HTTPConnection as StandardConnection
from http.client import HTTPException, ResponseNotReady
from http.client import HTTPResponse as StandardResponse
from types import FunctionType
from typing import Any, cast
from weakref import ref

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import InvalidSchema
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import connection as stock
from urllib3 import connectionpool, poolmanager
from urllib3 import response as stock_response
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    DecodeError,
    EmptyPoolError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    ResponseNotChunked,
)
from urllib3.util import connection as dialling
from urllib3.util.ssltransport import SSLTransport

from httpkit import _headers
from httpkit._typing import is_tuple
from httpkit.advice import TUNNEL_FAILED
from httpkit.request import Call, PreparedRequest
from httpkit.response import Response
from httpkit.wire import EXCHANGE, UNLIMITED, Exchange, Message, Wire

# As they were at import: whoever patches them, VCR say, shall be heard.
_GENUINE = (stock.HTTPConnection, stock.HTTPSConnection)
_DIAL = dialling.create_connection

# As http.client says it.
_IDLE = "Idle"

# urllib3 sends files in blocks of 16 KiB, which takes twice the time of this (1 GiB over
# loopback, 2026-11); with more, nothing is gained.
_BLOCK = 128 << 10
# A proxy that says one of these may lead there a moment later.
_PASSING = frozenset({"408", "429", "500", "502", "503", "504"})
# An origin without userinfo, before a path.
_PLAIN_ORIGIN = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?::[1-9][0-9]{0,4})?(?=/)")
_CERTIFICATES = frozenset({bool, str, type(None)})
# The steps of urllib3's pool manager from a URL to its pool.
_LOOKING_UP = ("connection_from_host", "connection_from_context", "connection_from_pool_key")
_NO_TIME = timedelta(0)
# Media types that are remembered.
_MOST_KEPT = 256
# Codings that urllib3 decodes when another package is there, and the extra that brings it.
_DECODERS = {"br": "brotli", "zstd": "zstd"}
# A reason phrase beyond this is no reason but a page.
_LONGEST_REASON = 100


class HTTPResponse(urllib3.HTTPResponse):
    """urllib3's response, of which the end is demanded also of what was compressed."""

    length_remaining: int | None
    _is_decodable: bool = False

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
        try:
            block: bytes = message.read()
        except BaseException:
            with self._error_catcher():  # says it in urllib3's words, and closes
                raise
        if message.isclosed():
            self.release_conn()
        self._uncached_read_occurred = True
        self._fp_bytes_read += len(block)
        self.length_remaining = 0
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

    def release_conn(self) -> None:
        """Give the connection back; one that is out of step is closed first."""
        message, connection = self._original_response, self._connection
        if connection is not None and isinstance(message, Message):
            if message.length == 0:  # nothing is left, but perhaps what nobody asked for
                message.read()
            if message.is_tainted or not message.isclosed():
                connection.close()
        super().release_conn()

    def read(
        self,
        amt: int | None = None,
        decode_content: bool | None = None,
        cache_content: bool = False,
    ) -> bytes:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        block = super().read(amt, decode_content, cache_content)
        if amt is None or amt < 0 or (not block and amt):
            self._demand_end()
        return block

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        block = super().read1(amt, decode_content)
        if not block and amt != 0:
            self._demand_end()
        return block

    def stream(
        self, amt: int | None = 1 << 16, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Read as urllib3 does. Raises: DecodeError also for compression without an end."""
        yield from super().stream(amt, decode_content)
        if amt != 0:
            self._demand_end()

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Give a chunked body as its chunks come in; urllib3's own way with our framing.

        Raises:
            ResponseNotChunked: It is not chunked.
            ProtocolError: The framing is broken or cut.
            DecodeError: The compression is broken or has no end.
        """
        if not self.chunked:
            raise ResponseNotChunked("the response is not chunked")
        self._init_decoder()
        most = None if amt is None or amt < 0 else amt
        with self._error_catcher():
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
            self._demand_end()

    def _decode(
        self,
        data: bytes,
        decode_content: bool | None,
        flush_decoder: bool,
        max_length: int | None = None,
    ) -> bytes:
        """Decode as urllib3 does, which gives out what it has no decoder for as it came."""
        if data and decode_content and not self._is_decodable:
            _demand_decoders(self.headers.get("content-encoding", ""))
            self._is_decodable = True
        return super()._decode(data, decode_content, flush_decoder, max_length)

    def _flush_decoder(self) -> bytes:
        """Flush as urllib3 does, which lets errors of zlib pass: Python 3.14 has some."""
        try:
            return super()._flush_decoder()
        except zlib.error as error:
            message = "the compressed content is cut, or followed by something else"
            raise DecodeError(message, error) from error

    def _next_chunk(self, most: int | None) -> bytes:
        message: Any = self._fp
        block: bytes = message.read_chunk(most)
        self._uncached_read_occurred = True
        self._fp_bytes_read += len(block)
        return block

    def _demand_end(self) -> None:
        """Refuse compressed content that stops before its own end, or goes on after it."""
        if not self._has_decoded_content or not self._fp_bytes_read:  # no body at all is one
            return
        if not _is_whole(self._decoder):
            raise DecodeError("the compressed content is cut, or followed by something else")


# What is the same in every response whose body is still to come.
_BLANK: Mapping[str, Any] = vars(
    urllib3.HTTPResponse(b"", preload_content=False, decode_content=False)
) | {"_body": None, "headers": None, "version_string": "HTTP/1.1"}
_new_buffer: Any = cast("Any", type(_BLANK["_decoded_buffer"]))


def _demand_decoders(content_encoding: str) -> None:
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
    if getattr(decoder, "_state", None) == stock_response.GzipDecoderState.SWALLOW_DATA:
        return False
    engine = getattr(decoder, "_obj", None)
    if callable(is_finished := getattr(engine, "is_finished", None)):  # brotli
        return bool(is_finished())
    return bool(getattr(engine, "eof", True))


def _as_large(data: Any) -> memoryview | None:
    """Return bytes that take more than one send; None for anything else."""
    if not issubclass(type(data), (bytes, bytearray, memoryview)):
        return None
    view = memoryview(data)
    return view.cast("B") if view.nbytes > _BLOCK and view.c_contiguous else None


class HTTPConnection(stock.HTTPConnection):
    """A connection whose every wait ends with the deadline of the exchange it is in."""

    response_class: type[StandardResponse] = Message
    timeout: float | None
    sock: Any
    # What `converse` hears by; it serves one answer after the other.
    receiver: io.BufferedReader | None = None

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; all of them within the deadline.

        Resolving the name cannot be interrupted.
        """
        exchange = EXCHANGE.get()
        if exchange.ends_at is None or dialling.create_connection is not _DIAL:
            return super()._new_conn()
        try:
            sock = self._dial(exchange)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(
                self, f"Connection to {self.host} timed out. (connect timeout={self.timeout})"
            ) from error
        except OSError as error:
            raise NewConnectionError(
                self, f"Failed to establish a new connection: {error}"
            ) from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock

    def _dial(self, exchange: Exchange) -> socket.socket:
        host = self._dns_host.strip("[]")
        _check_labels(host)
        family = dialling.allowed_gai_family()
        failure = OSError("the name has no address")
        for *_, place in socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM):
            limit = exchange.clip(self.timeout)
            try:
                sock = dialling.create_connection(
                    (str(place[0]), int(place[1])), limit, self.source_address, self.socket_options
                )
            except OSError as error:
                failure = error
                continue
            try:
                sock.settimeout(exchange.clip(self.timeout))  # for the handshake
            except TimeoutError:
                sock.close()
                raise
            return sock
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and with it itself

    def connect(self) -> None:
        """Connect, through a tunnel and with TLS where that is asked for.

        Raises:
            ConnectTimeoutError: It took too long: no request was sent.
            NewConnectionError: The connection broke: likewise.
        """
        try:
            super().connect()
        except (TimeoutError, ReadTimeoutError) as error:
            raise ConnectTimeoutError(
                self, f"Connection to {self.host} timed out. (connect timeout={self.timeout})"
            ) from error
        except ConnectionError as error:
            raise NewConnectionError(
                self, f"Failed to establish a new connection: {error}"
            ) from error
        except ssl.SSLError as error:
            error.is_unsent = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # the retry policy asks
            raise
        if isinstance(self.sock, (ssl.SSLSocket, SSLTransport)):
            # The standard library takes a cut for an end unless told not to.
            self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # public, but not in the stubs

    def _tunnel(self) -> None:
        exchange = EXCHANGE.get()
        outer = EXCHANGE.set(replace(exchange, send_timeout=self.timeout))
        self.response_class = _TunnelReply
        try:
            super()._tunnel()
        except (TimeoutError, ssl.SSLError):
            raise
        except (HTTPException, OSError) as error:
            self.close()  # or urllib3 takes it for a failure of the server
            raise _no_tunnel(self, error) from None  # it may hold control characters, or a page
        finally:
            self.response_class = Message
            EXCHANGE.reset(outer)
        self.sock.settimeout(exchange.clip(self.timeout))  # for the handshake within

    def send(self, data: Any) -> None:
        """Send bytes: the server must take some within each read timeout, all by the deadline.

        urllib3 gives the whole of what it sends at once one connect timeout.

        Raises:
            ReadTimeoutError: The server took nothing for so long.
        """
        if self.sock is None and self.auto_open:  # pyright: ignore[reportUnnecessaryComparison]  # it starts as None
            self.connect()
        exchange = EXCHANGE.get()
        try:
            self._apply(exchange)
            if (view := _as_large(data)) is None:
                super().send(data)
                return
            sys.audit("http.client.send", self, data)
            sock: Any = self.sock
            while view:  # `sendall` has one timeout for all of it
                view = view[sock.send(view) :]
                self._apply(exchange)
        except ssl.SSLEOFError as error:
            # As without TLS: urllib3 then looks for an answer. A server may say why it hung
            # up, in an alert or with a status, and that is worth more than that it did.
            raise BrokenPipeError(errno.EPIPE, "the server closed the TLS connection") from error
        except TimeoutError as error:
            raise _sending_timed_out(self) from error

    def _apply(self, exchange: Exchange) -> None:
        limit = exchange.clip(exchange.send_timeout)
        if limit != self.sock.gettimeout():
            self.sock.settimeout(limit)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Read the head of the answer.

        Raises:
            HTTPException: It is malformed.
            TimeoutError: It did not come whole within the read timeout, or the deadline passed.
        """
        options = self._response_options
        if options is None:
            raise ResponseNotReady
        self._response_options = None
        self.sock.settimeout(self.timeout)
        shutdown = getattr(self.sock, "shutdown", None)
        message: Any = StandardConnection.getresponse(self)
        return HTTPResponse(
            body=message,
            headers=urllib3.HTTPHeaderDict(message.fields),
            status=message.status,
            version=message.version,
            version_string=getattr(self, "_http_vsn_str", "HTTP/?"),
            reason=message.reason,
            preload_content=options.preload_content,
            decode_content=options.decode_content,
            original_response=message,
            enforce_content_length=options.enforce_content_length,
            request_method=options.request_method,
            request_url=options.request_url,
            sock_shutdown=shutdown,
        )

    def converse(
        self, request: bytes, method: str, target: str, exchange: Exchange
    ) -> HTTPResponse:
        """Send a whole request over an open connection, and read the head of its answer.

        Raises: as `send` and `getresponse`.
        """
        try:
            self.sock.settimeout(exchange.clip(exchange.send_timeout))
            sys.audit("http.client.send", self, request)
            self.sock.sendall(request)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass  # the answer may have come before
        except TimeoutError as error:
            raise _sending_timed_out(self) from error
        self.timeout = exchange.send_timeout
        if (receiver := self.receiver) is None:
            receiver = Wire(self.sock, exchange, is_lasting=True).makefile("rb")
            self.receiver = receiver
        receiver.raw.renew(exchange, exchange.send_timeout)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a Wire
        message = Message.following(receiver, method)
        message.begin()
        shutdown = self.sock.shutdown
        if message.will_close:  # the message keeps what it needs, as in http.client
            message.wire.keep()
            self.sock = self.receiver = None
            self.close()
        else:
            self.__dict__["_HTTPConnection__response"] = message
        # As the constructor of its class would make it; saves 9 us.
        answer: Any = HTTPResponse.__new__(HTTPResponse)
        answer.__dict__.update(
            _BLANK,
            status=message.status,
            version=message.version,
            reason=message.reason,
            chunked=message.chunked,
            length_remaining=message.length,
            _request_url=target,
            _fp=message,
            _original_response=message,
            _sock_shutdown=shutdown,
            _decoded_buffer=_new_buffer(),
        )
        return cast("HTTPResponse", answer)

    def close(self) -> None:
        """Close the connection, and what is left of an answer."""
        super().close()
        self.receiver = None

    def is_idle(self) -> bool:
        """Say whether it is open and in step, so that a request may follow."""
        state = self.__dict__.get("_HTTPConnection__state")
        return state == _IDLE and not self.debuglevel and self.is_connected

    def authority(self) -> str:
        """Return what its Host fields say."""
        return self.host if self.port == self.default_port else f"{self.host}:{self.port}"


def _sending_timed_out(connection: Any) -> ReadTimeoutError:
    return ReadTimeoutError(connection, "", "sending the request timed out")


def _check_labels(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:  # it would hold the name, and requests does not know it
        raise LocationParseError(f"'{host}', label empty or too long") from None


def _no_tunnel(connection: HTTPConnection, error: Exception) -> Exception:
    """Return what to raise for a proxy that led nowhere: what may pass is a failed connect."""
    said = str(error)
    if not said.startswith(TUNNEL_FAILED):
        return NewConnectionError(connection, f"the proxy's answer to CONNECT is none: {said}")
    status, _, reason = said.removeprefix(TUNNEL_FAILED).partition(" ")
    reason = "".join(c if c.isprintable() else " " for c in reason[:_LONGEST_REASON])
    said = f"{TUNNEL_FAILED}{status} {reason}".rstrip()
    return NewConnectionError(connection, said) if status in _PASSING else OSError(said)


class _TunnelReply(Message):
    """The answer to CONNECT: http.client knows but one status that opens a tunnel."""

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line; any 2xx does (RFC 9110 section 9.3.6)."""
        version, status, reason = super()._read_status()
        return version, 200 if 200 <= status < 300 else status, reason


class HTTPSConnection(HTTPConnection, stock.HTTPSConnection):
    """The same, with TLS."""


class _Idle(queue.LifoQueue[Any]):
    """The connections that nobody uses, the last that was used first.

    Saves 6 us a request, and 100 when a pool of a hundred is made: taking from a list and
    adding to it need no lock. So nobody can wait for one, either.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002  # the queue's
        """Add a connection. Raises: Full."""
        if 0 < self.maxsize <= len(self.queue):
            raise queue.Full
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002  # the queue's
        """Take the last one out. Raises: Empty."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None


def _wake(waiting: Any) -> None:
    """Let go on whoever waits at the queue of a closed pool, to which nothing comes back."""
    with suppress(queue.Full):
        waiting.put(None, block=False)


class _Lending(connectionpool.HTTPConnectionPool):
    QueueCls: Any

    def __init__(self, host: str, port: int | None = None, **keywords: Any) -> None:
        self.QueueCls = queue.LifoQueue if keywords.get("block") else _Idle
        super().__init__(host, port, **keywords)

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Take a connection; with `pool_block`, wait for one no longer than the deadline."""
        waiting = self.pool
        if not self.block or waiting is None:
            return super()._get_conn(timeout)
        try:
            connection = super()._get_conn(EXCHANGE.get().clip(timeout))
        except (EmptyPoolError, TimeoutError) as error:  # urllib3 lends none in return for this
            raise EmptyPoolError(
                self, f"all {waiting.maxsize} connections to {self.host} stayed in use"
            ) from error
        if self.pool is None:
            _wake(waiting)
        return connection

    def close(self) -> None:
        """Close the idle connections; who waits for one of the others gets one of its own."""
        waiting = self.pool
        super().close()
        if self.block and waiting is not None:
            _wake(waiting)

    def give_back(self, line: Any) -> None:
        """Put a connection back; None stands for one that was closed."""
        self._put_conn(line)

    def take_back(self, line: Any, answer: HTTPResponse) -> None:
        """Put a connection back whose answer has been read."""
        held: dict[str, Any] = vars(answer)
        if held["_original_response"].is_tainted:
            line.close()
        held["_pool"] = self
        self._put_conn(line)

    def lend(self, line: HTTPConnection, answer: HTTPResponse) -> None:
        """Leave a connection to an answer, which gives it back at its end."""
        vars(answer).update(_pool=self, _connection=line)


class HTTPConnectionPool(_Lending, connectionpool.HTTPConnectionPool):
    """A pool of our connections, or of those that somebody put in the place of urllib3's."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections; VCR and its like patch the stock pool's."""
        current: Any = connectionpool.HTTPConnectionPool.ConnectionCls
        return HTTPConnection if current is _GENUINE[0] else current


class HTTPSConnectionPool(_Lending, connectionpool.HTTPSConnectionPool):
    """The same, with TLS."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections."""
        current: Any = connectionpool.HTTPSConnectionPool.ConnectionCls
        return HTTPSConnection if current is _GENUINE[1] else current


@cache
def _socks_pools() -> dict[str, Any]:
    """Return pools of connections that are ours, but for PySocks, which opens them."""
    from urllib3.contrib import socks

    class Connection(HTTPConnection, socks.SOCKSConnection):
        def _new_conn(self) -> Any:
            """Connect; each wait for the proxy's answers has the connect timeout."""
            _check_labels(self.host.strip("[]"))
            sock = super(HTTPConnection, self)._new_conn()  # theirs, not ours
            sock.settimeout(EXCHANGE.get().clip(self.timeout))  # for the handshake with the server
            return sock

    class SecureConnection(Connection, HTTPSConnection, socks.SOCKSHTTPSConnection):
        pass

    class Pool(_Lending, socks.SOCKSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(_Lending, socks.SOCKSHTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class Adapter(HTTPAdapter):
    """requests' adapter over our connections; its arguments and its pickle are requests' own."""

    # Pools by origin and certificates, and the manager that lives by: it alone keeps them alive.
    _known_pools: Mapping[Any, ref[Any]] = {}
    _known_manager: Any = None

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Make the pools."""
        pool_kwargs.setdefault("blocksize", _BLOCK)
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        _furnish(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the pools of a proxy."""
        is_new = proxy not in self.proxy_manager
        proxy_kwargs.setdefault("blocksize", _BLOCK)
        try:
            manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        except InvalidSchema as error:  # requests says so much, but not what to do
            raise InvalidSchema(
                "a SOCKS proxy needs PySocks: pip install 'requests[socks]'"
            ) from error
        if is_new and not proxy.lower().startswith("socks"):
            _furnish(manager)
        elif is_new and _IS_SUPPORTED:
            manager.pool_classes_by_scheme = _socks_pools()
        return manager

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        """Return the pool for a request. Raises: as requests does."""
        found = None if proxies else _PLAIN_ORIGIN.match(request.url or "")
        is_plain = type(verify) in _CERTIFICATES and type(cert) in _CERTIFICATES
        if found is None or not is_plain or not self._finds_pools_as_requests():
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self.pool_at(found[0], request, verify, cert)

    def _finds_pools_as_requests(self) -> bool:
        """Say whether no subclass and no patch has another idea of which pool serves a request."""
        name, manager = "build_connection_pool_key_attributes", poolmanager.PoolManager
        return (
            name not in vars(self)
            and is_as_defined(getattr(type(self), name), HTTPAdapter)
            and is_as_defined(HTTPAdapter.get_connection_with_tls_context, HTTPAdapter)
            and all(is_as_defined(getattr(manager, name), manager) for name in _LOOKING_UP)
        )

    def pool_at(
        self, origin: str, request: requests.PreparedRequest, verify: Any, cert: Any
    ) -> Any:
        """Return the pool for an origin; saves 25 us for each time that it is asked for again.

        The manager closes the pool that was asked for the longest ago when there are too many:
        once it is full it is asked each time, to know which one that is.

        Args:
            origin: As the request's URL spells it.
            request: Goes there without a proxy.
            verify: True, False or a path.
            cert: A path; None is none.

        Raises: as requests does.
        """
        key, known = (origin, verify, cert), self._known_pools
        if self._known_manager is not self.poolmanager:  # a caller may put another in its place
            known = self._known_pools = {}
            self._known_manager = self.poolmanager
        if key in known and len(known) < max(2, self._pool_connections):
            pool = known[key]()
            if pool is not None and pool.pool is not None:
                return pool
        pool = super().get_connection_with_tls_context(request, verify, {}, cert)
        # A new mapping, so that no thread sees one that changes.
        alive = {k: held for k, held in known.items() if held() is not None}
        self._known_pools = {**alive, key: ref(pool)}
        return pool

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the response for what came over the wire."""
        message = getattr(resp, "_original_response", None)
        is_ours = isinstance(req, PreparedRequest) and isinstance(message, StandardResponse)
        if not is_ours or not is_as_defined(HTTPAdapter.build_response, HTTPAdapter):
            return super().build_response(req, resp)
        by_name = {n.lower(): (n, resp.headers[n]) for n in resp.headers}
        return self.response_to(req, resp, by_name)

    def response_to(
        self, request: requests.PreparedRequest, raw: Any, by_name: dict[str, tuple[str, str]]
    ) -> Response:
        """Return requests' response, and none of ours that is turned into one; saves 20 us.

        Args:
            request: It answers this.
            raw: urllib3's response.
            by_name: Its fields, name and value, by name in lower case.
        """
        answer = Response.__new__(Response)
        answer.__dict__.update(
            _content=False,
            _content_consumed=False,
            _next=None,
            status_code=raw.status,
            headers=_headers.Headers.over(by_name),
            raw=raw,
            url=request.url,
            encoding=_encoding(by_name.get("content-type")),
            history=[],
            reason=raw.reason,
            elapsed=_NO_TIME,
            request=request,
            connection=self,
        )
        if "set-cookie" in by_name:  # else the jar is made when somebody looks for it
            extract_cookies_to_jar(answer.cookies, request, raw)
        return answer

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Say whom a connection trusts: the server, or the proxy that is reached by https.

        requests looks at the URL alone, and to such a proxy sends plain requests, with the
        password for it, over TLS that nobody has verified.
        """
        proxy = getattr(conn, "proxy", None)
        if not url.lower().startswith("https") and getattr(proxy, "scheme", "") == "https":
            url, cert = str(proxy), None  # a client certificate is for the server
        super().cert_verify(conn, url, verify, cert)

    def close(self) -> None:
        """Close the idle connections, also of pools that a response still holds.

        urllib3 closes a pool when nobody holds it any more; an error that is kept does.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in list(manager.pools.keys()):
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request within the deadline of its call. Raises: as requests does."""
        call = getattr(request, "call", None)
        ends_at = call.ends_at if isinstance(call, Call) else None
        outer = EXCHANGE.set(Exchange(ends_at, read_part(timeout)))
        try:
            return super().send(request, stream, timeout, verify, cert, proxies)
        except requests.ConnectionError as error:
            if not (error.args and isinstance(error.args[0], ClosedPoolError)):
                raise
            # Another thread closed the pool between the choice of it and the first byte: there
            # is a new one by now.
            return super().send(request, stream, timeout, verify, cert, proxies)
        except EmptyPoolError as error:
            raise requests.ConnectTimeout(error, request=request) from error
        finally:
            EXCHANGE.reset(outer)


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
        timeout = timeout._read  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its property needs a clock that runs
    elif is_tuple(timeout):
        timeout = timeout[1] if len(timeout) == 2 else None
    return timeout if isinstance(timeout, (int, float)) else None


@lru_cache(maxsize=_MOST_KEPT)
def _encoding(field: tuple[str, str] | None) -> str | None:
    return get_encoding_from_headers(CaseInsensitiveDict([field] if field else []))


def is_as_defined(function: object, owner: type) -> bool:
    """Tell a function from its replacement: a wrapper may borrow its names, but not its globals."""
    return (
        type(function) is FunctionType
        and function.__globals__ is vars(sys.modules[owner.__module__])
        and not hasattr(function, "__wrapped__")
    )


# What of urllib3's private interface is used here, each on something that has it.
_USED: Mapping[object, tuple[str, ...]] = {
    stock.HTTPConnection("localhost"): (
        "_new_conn", "_tunnel", "_dns_host", "_response_options", "source_address",
        "socket_options", "auto_open", "is_connected", "_HTTPConnection__state",
        "_HTTPConnection__response",
    ),

    urllib3.HTTPResponse(): (
        "_error_catcher", "_init_decoder", "_decoder", "_decode", "_flush_decoder",
        "_has_decoded_content", "_fp",
        "_fp_bytes_read", "_uncached_read_occurred", "_original_response", "_connection",
        "length_remaining", "chunked", "_request_url", "_sock_shutdown", "_decoded_buffer",
    ),
    stock_response.GzipDecoderState: ("SWALLOW_DATA",),
}  # fmt: skip


def missing(used: Mapping[object, tuple[str, ...]]) -> list[str]:
    """Return the names that things lack although they are used here."""
    return [name for thing, names in used.items() for name in names if not hasattr(thing, name)]


_IS_SUPPORTED = not missing(_USED)


def _furnish(manager: Any) -> None:
    """Give a manager our pools, if urllib3 is as we know it and nobody gave it others."""
    if _IS_SUPPORTED and manager.pool_classes_by_scheme == poolmanager.pool_classes_by_scheme:
        manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
