"""The connections and their pools: deadlines on the socket, answers by the letter.

    pool -> connection -> Message (wire) -> HTTPResponse (incoming)

Rule: beside `incoming` and `express`, only here is urllib3's private interface touched. Where it
is not as expected, another version or somebody's patch, requests' own path serves in our place.
"""

from __future__ import annotations

import errno
import io
import math
import queue
import select
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection as StandardConnection
from http.client import HTTPException, ResponseNotReady
from http.client import HTTPResponse as StandardResponse
from typing import Any

import urllib3
from urllib3 import connection as stock
from urllib3 import connectionpool
from urllib3.exceptions import (
    ConnectTimeoutError,
    EmptyPoolError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import connection as dialling

from httpkit._core import interrupts, waits
from httpkit._core.clock import CLOCK
from httpkit._core.hints import TUNNEL_FAILED
from httpkit._transport import _upstream, raw_response
from httpkit._transport.http1 import EXCHANGE, Exchange, Message, SocketReader, parse_options

# As they were at import: whoever patches them, VCR say, shall be heard.
_STOCK_CLASSES = (stock.HTTPConnection, stock.HTTPSConnection)
_CREATE_CONNECTION = getattr(dialling, "create_connection", None)
_SSL_TRANSPORT: type[Any] = _upstream.SSL_TRANSPORT or ssl.SSLSocket
# As http.client says it.
_IDLE = "Idle"
# urllib3 sends files in blocks of 16 KiB, which takes twice the time of this (1 GiB over
# loopback, 2026-11); with more, nothing is gained.
BLOCK = 128 << 10
# A proxy that says one of these may lead there a moment later.
_PASSING = frozenset({"408", "429", "500", "502", "503", "504"})
# Seconds after which a server, or a firewall before it, may have forgotten an idle connection
# without a word: Apache keeps one for 5 s, nginx for 75, load balancers of AWS for 60; Go's client
# keeps it for 90 (2026-11). A request that is not retried is not risked on it.
_LONGEST_IDLE = 60.0
# A server that hung up while it was sent to; the last is what Windows says.
_HUNG_UP = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)
_STOCK_CREATE = dialling.create_connection
_OPTION_FIELDS = frozenset({"connection", "proxy-connection"})
# A reason phrase beyond this is no reason but a page.
_LONGEST_REASON = 100


def _as_large(data: Any) -> memoryview | None:
    """Return bytes that take more than one send; None for anything else."""
    if not issubclass(type(data), (bytes, bytearray, memoryview)):
        return None
    view = memoryview(data)
    return view.cast("B") if view.nbytes > BLOCK and view.c_contiguous else None


class HTTPConnection(stock.HTTPConnection):
    """A connection whose every wait ends with the deadline of the exchange it is in."""

    response_class: type[StandardResponse] = Message
    timeout: float | None
    sock: Any
    # What `converse` hears by; it serves one answer after the other.
    receiver: io.BufferedReader | None = None
    # Says at once whether something came, or it hung up: saves 2 us each time.
    _poller: Any = None
    # When it was put into its pool, on the monotonic clock; infinity before that.
    idle_since: float = math.inf
    # What the Connection field of the request says.
    _asked: frozenset[str] = frozenset()

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; all of them within the deadline.

        Resolving the name cannot be interrupted.
        """
        exchange = EXCHANGE.get()
        if dialling.create_connection is not _CREATE_CONNECTION:
            return super()._new_conn()
        try:
            sock = self._create_socket(exchange)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise _connecting_timed_out(self) from error
        except OSError as error:
            raise _not_connected(self, error) from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock

    def _create_socket(self, exchange: Exchange) -> socket.socket:
        host = self._dns_host.strip("[]")
        _check_labels(host)
        family = dialling.allowed_gai_family()
        failure = OSError("the name has no address")
        create: Callable[..., socket.socket] = dialling.create_connection
        if waits.IS_SLICED and create is _STOCK_CREATE:
            create = _create_interruptible
        for *_, place in socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM):
            limit = exchange.deadline.clip(self.timeout)
            address = str(place[0]), int(place[1])
            try:
                sock = create(address, limit, self.source_address, self.socket_options)
            except OSError as error:
                interrupts.hide(error)
                failure = error
                continue
            try:
                sock.settimeout(exchange.deadline.clip(self.timeout))  # for the handshake
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
            self._connect()
        except (TimeoutError, ReadTimeoutError) as error:
            raise _connecting_timed_out(self) from error
        except ConnectionError as error:
            raise _not_connected(self, error) from error
        except ssl.SSLError as error:
            error.is_unsent = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # the retry policy asks
            raise
        if isinstance(self.sock, (ssl.SSLSocket, _SSL_TRANSPORT)):
            # The standard library takes a cut for an end unless told not to.
            self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # public, but not in the stubs

    def _connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            interrupts.hide(error)
            raise

    def _tunnel(self) -> None:
        exchange = EXCHANGE.get()
        outer = EXCHANGE.set(Exchange(exchange.deadline, self.timeout))
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
        self.sock.settimeout(exchange.deadline.clip(self.timeout))  # for the handshake within

    def send(self, data: Any) -> None:
        """Send bytes: the server must take some within each read timeout, all by the deadline.

        urllib3 gives the whole of what it sends at once one connect timeout.

        Raises:
            ReadTimeoutError: The server took nothing for so long.
        """
        if self.sock is None and self.auto_open:  # pyright: ignore[reportUnnecessaryComparison]  # it starts as None
            self.connect()
        try:
            self._send(data, EXCHANGE.get())
        except ssl.SSLEOFError as error:
            # As without TLS: urllib3 then looks for an answer. A server may say why it hung
            # up, in an alert or with a status, and that is worth more than that it did.
            raise BrokenPipeError(errno.EPIPE, "the server closed the TLS connection") from error
        except ConnectionAbortedError as error:  # as Windows calls it: WSAECONNABORTED
            raise BrokenPipeError(errno.EPIPE, "the server closed the connection") from error
        except TimeoutError as error:
            raise _sending_timed_out(self) from error

    def _send(self, data: Any, exchange: Exchange) -> None:
        try:
            self._apply(exchange)
            if (view := _as_large(data)) is None:
                super().send(data)
                return
            sys.audit("http.client.send", self, data)
            sock: Any = self.sock
            while view:  # `sendall` has one timeout for all of it
                sent = waits.send(sock, view) if waits.IS_SLICED else sock.send(view)
                view = view[sent:]
                self._apply(exchange)
        except Exception as error:
            interrupts.hide(error)  # urllib3 ignores a broken pipe
            raise

    def _apply(self, exchange: Exchange) -> None:
        limit = exchange.deadline.clip(exchange.send_timeout)
        if limit != self.sock.gettimeout():
            self.sock.settimeout(limit)

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
    ) -> None:
        """Send a request; what its Connection field says is for this connection, too."""
        self._asked = _connection_options(headers or {})
        super().request(method, url, body, headers, **options)

    def getresponse(self) -> raw_response.HTTPResponse:  # type: ignore[override]
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
        message: Any = self._read_head()
        return raw_response.HTTPResponse(
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

    def _read_head(self) -> Any:
        asked = self._asked
        if not asked:
            return StandardConnection.getresponse(self)
        present = EXCHANGE.get()
        exchange = Exchange(
            present.deadline,
            present.send_timeout,
            present.is_repeatable,
            closes="close" in asked,
            upgrades={"upgrade", "Upgrade"} <= asked,
        )
        outer = EXCHANGE.set(exchange)
        try:
            return StandardConnection.getresponse(self)
        finally:
            EXCHANGE.reset(outer)

    def converse(
        self, request: bytes, method: str, target: str, exchange: Exchange
    ) -> raw_response.HTTPResponse:
        """Send a whole request over an open connection, and read the head of its answer.

        Raises: as `send` and `getresponse`.
        """
        try:
            self.sock.settimeout(exchange.deadline.clip(exchange.send_timeout))
            sys.audit("http.client.send", self, request)
            if waits.IS_SLICED:
                waits.send_all(self.sock, request)
            else:
                self.sock.sendall(request)
        except (*_HUNG_UP, ssl.SSLEOFError) as error:
            interrupts.hide(error)  # else the answer may have come before
        except TimeoutError as error:
            raise _sending_timed_out(self) from error
        self.timeout = exchange.send_timeout
        if (receiver := self.receiver) is None:
            receiver = SocketReader(self.sock, exchange, is_persistent=True).makefile("rb")
            self.receiver, self._poller = receiver, _poller_of(self.sock)
        receiver.raw.renew(exchange, exchange.send_timeout)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a Wire
        message = Message.following(receiver, method)
        message.begin()
        shutdown = self.sock.shutdown
        if message.will_close:  # the message keeps what it needs, as in http.client
            message.wire.keep()
            self.sock = None
            self.close()
        else:
            self.__dict__["_HTTPConnection__response"] = message
        # As the constructor of its class would make it; saves 9 us.
        response: Any = raw_response.HTTPResponse.__new__(raw_response.HTTPResponse)
        response.__dict__.update(
            raw_response.BLANK,
            status=message.status,
            version=message.version,
            reason=message.reason,
            chunked=message.chunked,
            length_remaining=message.length,
            _request_url=target,
            _fp=message,
            _original_response=message,
            _sock_shutdown=shutdown,
            _decoded_buffer=raw_response.new_buffer(),
        )
        made: raw_response.HTTPResponse = response
        return made

    def close(self) -> None:
        """Close the connection, and what is left of an answer."""
        super().close()
        self.receiver = self._poller = None

    def is_idle(self) -> bool:
        """Say whether it is open and in step, so that a request may follow."""
        if self.__dict__["_HTTPConnection__state"] != _IDLE or self.debuglevel:
            return False
        return self.is_connected if self._poller is None else not self._poller.poll(0)

    def is_stale(self) -> bool:
        """Say whether it was idle for so long that it may be dead without a sign of it."""
        return CLOCK.monotonic() - self.idle_since > _LONGEST_IDLE

    def authority(self) -> str:
        """Return what its Host fields say."""
        return self.host if self.port == self.default_port else f"{self.host}:{self.port}"


def _create_interruptible(
    address: tuple[str, int], seconds: float | None, source: Any, options: Any
) -> socket.socket:
    """Connect as urllib3 does; Ctrl-C ends the wait on Windows too."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options or ():
            sock.setsockopt(*option)
        if source:
            sock.bind(source)
        waits.connect(sock, address, seconds)
    except BaseException:
        sock.close()
        raise
    return sock


def _poller_of(sock: Any) -> Any:
    """Return what watches a socket; None where the system, or who replaced its parts, has none."""
    if not hasattr(select, "poll"):
        return None
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return poller


def _connection_options(headers: Mapping[Any, Any]) -> frozenset[str]:
    """Return the connection options of a request in lower case; "Upgrade" is for that field."""
    found: set[str] = set()
    for name, value in headers.items():
        key, said = (
            each.decode("latin-1") if isinstance(each, bytes) else str(each)
            for each in (name, value)
        )
        if key.lower() in _OPTION_FIELDS:
            found |= parse_options(said)
        elif key.lower() == "upgrade":
            found.add("Upgrade")
    return frozenset(found - {"keep-alive"})


def _connecting_timed_out(connection: Any) -> ConnectTimeoutError:
    text = f"Connection to {connection.host} timed out. (connect timeout={connection.timeout})"
    return ConnectTimeoutError(connection, text)


def _not_connected(connection: Any, error: OSError) -> NewConnectionError:
    return NewConnectionError(connection, f"Failed to establish a new connection: {error}")


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


class Waiting(queue.LifoQueue[Any]):
    """The connections that nobody uses, of a pool in which a request waits for one."""

    def _put(self, item: Any) -> None:
        if item is not None:
            item.idle_since = CLOCK.monotonic()
        super()._put(item)


class Idle(queue.LifoQueue[Any]):
    """The connections that nobody uses, the last that was used first.

    Saves 4 us a request, and 100 when a pool of a hundred is made: taking from a list and
    adding to it need no lock. So nobody can wait for one, either.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002  # the queue's
        """Add a connection. Raises: Full."""
        if 0 < self.maxsize <= len(self.queue):
            raise queue.Full
        if item is not None:
            item.idle_since = CLOCK.monotonic()
        self.queue.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002  # the queue's
        """Take the last one out. Raises: Empty."""
        try:
            return self.queue.pop()
        except IndexError:
            raise queue.Empty from None


def _notify(waiting: Any) -> None:
    """Let go on whoever waits at the queue of a closed pool, to which nothing comes back."""
    with suppress(queue.Full):
        waiting.put(None, block=False)


class _Lending(connectionpool.HTTPConnectionPool):
    QueueCls: Any
    # Whether its manager no longer has it.
    is_disposed: bool = False

    def __init__(self, host: str, port: int | None = None, **keywords: Any) -> None:
        self.QueueCls = Waiting if keywords.get("block") else Idle
        super().__init__(host, port, **keywords)

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Take a connection; one that was idle for long is renewed where it matters."""
        connection = self._take(timeout)
        is_ours = isinstance(connection, HTTPConnection)
        if is_ours and not EXCHANGE.get().is_repeatable and connection.is_stale():
            connection.close()  # it connects again by itself
        return connection

    def _take(self, timeout: float | None) -> Any:
        """Take a connection; with `pool_block`, wait for one no longer than the deadline."""
        waiting = self.pool
        if not self.block or waiting is None:
            return super()._get_conn(timeout)
        try:
            connection = super()._get_conn(EXCHANGE.get().deadline.clip(timeout))
        except (EmptyPoolError, TimeoutError) as error:  # urllib3 lends none in return for this
            raise EmptyPoolError(
                self, f"all {waiting.maxsize} connections to {self.host} stayed in use"
            ) from error
        if self.pool is None:
            _notify(waiting)
        return connection

    def close(self) -> None:
        """Close the idle connections; who waits for one of the others gets one of its own."""
        waiting = self.pool
        super().close()
        if self.block and waiting is not None:
            _notify(waiting)

    def put_back(self, line: Any) -> None:
        """Put a connection back; None stands for one that was closed."""
        self._put_conn(line)

    def release(self, line: Any, response: raw_response.HTTPResponse) -> None:
        """Put a connection back whose answer has been read."""
        held: dict[str, Any] = vars(response)
        if held["_original_response"].must_close:
            line.close()
        held["_pool"] = self
        self._put_conn(line)

    def attach(self, line: HTTPConnection, response: raw_response.HTTPResponse) -> None:
        """Leave a connection to an answer, which gives it back at its end."""
        vars(response).update(_pool=self, _connection=line)


class HTTPConnectionPool(_Lending, connectionpool.HTTPConnectionPool):
    """A pool of our connections, or of those that somebody put in the place of urllib3's."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections; VCR and its like patch the stock pool's."""
        current: Any = connectionpool.HTTPConnectionPool.ConnectionCls
        return HTTPConnection if current is _STOCK_CLASSES[0] else current


class HTTPSConnectionPool(_Lending, connectionpool.HTTPSConnectionPool):
    """The same, with TLS."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections."""
        current: Any = connectionpool.HTTPSConnectionPool.ConnectionCls
        return HTTPSConnection if current is _STOCK_CLASSES[1] else current


@cache
def socks_pools() -> dict[str, Any]:
    """Return pools of connections that are ours, but for PySocks, which opens them."""
    from urllib3.contrib import socks

    class Connection(HTTPConnection, socks.SOCKSConnection):
        def _new_conn(self) -> Any:
            """Connect; each wait for the proxy's answers has the connect timeout."""
            _check_labels(self.host.strip("[]"))
            sock = super(HTTPConnection, self)._new_conn()  # theirs, not ours
            sock.settimeout(EXCHANGE.get().deadline.clip(self.timeout))  # for the handshake
            return sock

    class SecureConnection(Connection, HTTPSConnection, socks.SOCKSHTTPSConnection):
        pass

    class Pool(_Lending, socks.SOCKSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(_Lending, socks.SOCKSHTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


def install(manager: Any) -> None:
    """Give a manager our pools, unless urllib3 lacks a name or somebody gave it others."""
    if not _upstream.SUPPORTED:
        _upstream.report()
    elif manager.pool_classes_by_scheme == _upstream.POOL_CLASSES:
        manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        manager.pools.dispose_func = dispose


def dispose(pool: Any) -> None:
    """Note that a manager no longer has a pool: it was cleared, or there were too many."""
    pool.is_disposed = True
