"""urllib3's connections and pools with deadlines on the socket and a strict parser.

    pool -> connection -> Message (http1) -> HTTPResponse (raw_response)

Where urllib3 lacks a name of `_upstream`, or a class is patched, urllib3's own are used.
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
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, cached_property
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
from urllib3.util import connection as connection_util

from httpkit._core import interrupts, waits
from httpkit._core.clock import CLOCK
from httpkit._core.hints import TUNNEL_FAILED
from httpkit._transport import _upstream, raw_response
from httpkit._transport.http1 import EXCHANGE, Exchange, Message, SocketReader, parse_options

# As they were at import: a patch by VCR, say, is noticed.
_STOCK_CLASSES = (stock.HTTPConnection, stock.HTTPSConnection)
_CREATE_CONNECTION = getattr(connection_util, "create_connection", None)
_SSL_TRANSPORT: type[Any] = _upstream.SSL_TRANSPORT or ssl.SSLSocket
# http.client's state of a connection without an open response.
_IDLE = "Idle"
# urllib3 sends files in blocks of 16 KiB, which takes twice the time of this (1 GiB over
# loopback, 2026-11); with more, nothing is gained.
BLOCK = 128 << 10
# After these statuses a proxy may connect a moment later.
_TRANSIENT = frozenset({"408", "429", "500", "502", "503", "504"})
# Seconds after which a server, or a firewall, may have dropped an idle connection silently: Apache
# keeps one for 5 s, nginx for 75, AWS load balancers for 60; Go's client keeps it for 90 (2026-11).
# A request that is not retried needs a fresher connection.
_LONGEST_IDLE = 60.0
# The server closed the connection during a send; the last is Windows' error.
_HUNG_UP = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)
_OPTION_FIELDS = frozenset({"connection", "proxy-connection"})
# Characters of a reason phrase in a message.
_LONGEST_REASON = 100


def _as_large(data: Any) -> memoryview | None:
    """Return bytes that take more than one send; None for anything else."""
    if not issubclass(type(data), (bytes, bytearray, memoryview)):
        return None
    view = memoryview(data)
    return view.cast("B") if view.nbytes > BLOCK and view.c_contiguous else None


class HTTPConnection(stock.HTTPConnection):
    """A connection whose every wait ends with the deadline of its current request."""

    response_class: type[StandardResponse] = Message
    timeout: float | None
    sock: Any
    # What `exchange` reads from: one response after the other.
    reader: io.BufferedReader | None = None
    # Tells whether bytes or the end arrived; saves 2 us for each request.
    _poller: Any = None
    # When it was put into its pool, on the monotonic clock; infinity before that.
    idle_since: float = math.inf
    # The connection options of the request.
    _options_sent: frozenset[str] = frozenset()

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that accepts; all of them within the deadline.

        Resolving the name cannot be interrupted.
        """
        exchange = EXCHANGE.get()
        if connection_util.create_connection is not _CREATE_CONNECTION:
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
        family = connection_util.allowed_gai_family()
        failure = OSError("the name has no address")
        for *_, place in socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM):
            limit = exchange.deadline.clip(self.timeout)
            address = str(place[0]), int(place[1])
            try:
                sock = connection_util.create_connection(
                    address, limit, self.source_address, self.socket_options
                )
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
            del failure  # its traceback refers to this frame

    def connect(self) -> None:
        """Connect, through a tunnel and with TLS where configured.

        Raises:
            ConnectTimeoutError: It took too long; no request was sent.
            NewConnectionError: The connection failed; no request was sent.
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
            # Else the standard library takes a truncation for the end.
            self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # public, but not in the stubs

    def _connect(self) -> None:
        try:
            waits.call(super().connect, self.close)
        except Exception as error:
            interrupts.hide(error)
            raise

    def _tunnel(self) -> None:
        exchange = EXCHANGE.get()
        outer = EXCHANGE.set(Exchange(exchange.deadline, self.timeout))
        self.response_class = _TunnelResponse
        try:
            super()._tunnel()
        except (TimeoutError, ssl.SSLError):
            raise
        except (HTTPException, OSError) as error:
            self.close()  # or urllib3 takes it for a failure of the server
            raise _no_tunnel(self, error) from None  # it may contain control characters
        finally:
            self.response_class = Message
            EXCHANGE.reset(outer)
        self.sock.settimeout(exchange.deadline.clip(self.timeout))  # for the TLS handshake

    def send(self, data: Any) -> None:
        """Send bytes: each block within the read timeout, all within the deadline.

        urllib3 applies one connect timeout to all of them.

        Raises:
            ReadTimeoutError: The server accepted nothing for so long.
        """
        if self.sock is None and self.auto_open:  # pyright: ignore[reportUnnecessaryComparison]  # it starts as None
            self.connect()
        try:
            self._send(data, EXCHANGE.get())
        except ssl.SSLEOFError as error:
            # As without TLS: urllib3 then reads the response. A status or an alert of the server
            # says more than the broken connection.
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
        """Send a request, and note its connection options."""
        self._options_sent = _connection_options(headers or {})
        super().request(method, url, body, headers, **options)

    def getresponse(self) -> raw_response.HTTPResponse:  # type: ignore[override]
        """Read the head of the response.

        Raises:
            HTTPException: It is malformed.
            TimeoutError: It did not arrive within the read timeout or the deadline.
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
        sent = self._options_sent
        if not sent:
            return StandardConnection.getresponse(self)
        present = EXCHANGE.get()
        exchange = Exchange(
            present.deadline,
            present.send_timeout,
            is_repeatable=present.is_repeatable,
            closes="close" in sent,
            upgrades={"upgrade", "Upgrade"} <= sent,
        )
        outer = EXCHANGE.set(exchange)
        try:
            return StandardConnection.getresponse(self)
        finally:
            EXCHANGE.reset(outer)

    def send_whole(self, request: bytes, exchange: Exchange) -> io.BufferedReader:
        """Send a whole request over an open connection; return what its response is read from.

        Raises:
            ReadTimeoutError: The server accepted nothing within the timeout.
            OSError: The connection failed.
        """
        try:
            limit = exchange.deadline.clip(exchange.send_timeout)
            self.sock.settimeout(limit)
            sys.audit("http.client.send", self, request)
            if waits.IS_SLICED:
                waits.send_all(self.sock, request)
            else:
                self.sock.sendall(request)
        except (*_HUNG_UP, ssl.SSLEOFError) as error:
            interrupts.hide(error)  # the response may have arrived before
        except TimeoutError as error:
            raise _sending_timed_out(self) from error
        self.timeout = exchange.send_timeout
        if (reader := self.reader) is None:
            reader = SocketReader(self.sock, exchange, is_persistent=True).makefile("rb")
            self.reader, self._poller = reader, _poller_of(self.sock)
        reader.raw.start_message(exchange, exchange.send_timeout, limit)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a SocketReader
        return reader

    def set_response(self, message: Message) -> None:
        """Note whose response is pending; one that ends with the connection keeps the socket."""
        if message.will_close:  # as in http.client
            message.reader.keep_open()
            self.sock = None
            self.close()
        else:
            self.__dict__["_HTTPConnection__response"] = message

    def close(self) -> None:
        """Close the connection and its reader."""
        super().close()
        self.reader = self._poller = None

    def is_idle(self) -> bool:
        """Return whether it is open and no response is pending."""
        if self.__dict__["_HTTPConnection__state"] != _IDLE or self.debuglevel:
            return False
        return self.is_connected if self._poller is None else not self._poller.poll(0)

    def is_stale(self) -> bool:
        """Return whether it was idle so long that the server may have dropped it."""
        return CLOCK.monotonic() - self.idle_since > _LONGEST_IDLE

    @cached_property
    def authority(self) -> str:
        """Return the value of the Host field."""
        return self.host if self.port == self.default_port else f"{self.host}:{self.port}"


def _poller_of(sock: Any) -> Any:
    """Return a poll object for a socket; None on systems without one."""
    if not hasattr(select, "poll"):
        return None
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return poller


def _connection_options(headers: Mapping[Any, Any]) -> frozenset[str]:
    """Return the connection options of a request in lower case, and "Upgrade" for that field."""
    found: set[str] = set()
    for name, value in headers.items():
        key, text = (
            each.decode("latin-1") if isinstance(each, bytes) else str(each)
            for each in (name, value)
        )
        if key.lower() in _OPTION_FIELDS:
            found |= parse_options(text)
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
    except UnicodeError:  # it would quote the name, and requests does not handle it
        raise LocationParseError(f"'{host}', label empty or too long") from None


def _no_tunnel(connection: HTTPConnection, error: Exception) -> Exception:
    """Return the error for a proxy that opened no tunnel; a transient one is a failed connect."""
    text = str(error)
    if not text.startswith(TUNNEL_FAILED):
        return NewConnectionError(connection, f"invalid response of the proxy to CONNECT: {text}")
    status, _, reason = text.removeprefix(TUNNEL_FAILED).partition(" ")
    reason = "".join(c if c.isprintable() else " " for c in reason[:_LONGEST_REASON])
    text = f"{TUNNEL_FAILED}{status} {reason}".rstrip()
    return NewConnectionError(connection, text) if status in _TRANSIENT else OSError(text)


class _TunnelResponse(Message):
    """The response to CONNECT: http.client accepts only 200."""

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line; any 2xx opens the tunnel (RFC 9110 section 9.3.6)."""
        version, status, reason = super()._read_status()
        return version, 200 if 200 <= status < 300 else status, reason


class HTTPSConnection(HTTPConnection, stock.HTTPSConnection):
    """The same, with TLS."""


class BlockingQueue(queue.LifoQueue[Any]):
    """The idle connections of a pool that blocks."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        # Threads whose wait was interrupted: urllib3 gives back what they never got.
        self._interrupted: set[int] = set()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the last one out. Raises: Empty."""
        try:
            return waits.item(super().get, timeout) if block else super().get(block)
        except queue.Empty:
            raise
        except BaseException:
            self._interrupted.add(threading.get_ident())
            raise

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a connection. Raises: Full."""
        if item is None and threading.get_ident() in self._interrupted:
            self._interrupted.discard(threading.get_ident())
            return
        super().put(item, block, timeout)

    def _put(self, item: Any) -> None:
        if item is not None:
            item.idle_since = CLOCK.monotonic()
        super()._put(item)


class IdleQueue(queue.LifoQueue[Any]):
    """The idle connections of a pool that does not block, the last used first.

    Saves 4 us for each request, and 100 us for a pool of a hundred: a list needs no lock.
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
    """Wake one thread that waits for a connection of a pool that was closed."""
    with suppress(queue.Full):
        waiting.put(None, block=False)


class _PoolMixin(connectionpool.HTTPConnectionPool):
    QueueCls: Any
    # Whether its manager no longer has it.
    is_disposed: bool = False

    def __init__(self, host: str, port: int | None = None, **keywords: Any) -> None:
        self.QueueCls = BlockingQueue if keywords.get("block") else IdleQueue
        super().__init__(host, port, **keywords)

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Return a connection; a stale one is reopened if the request is not retried."""
        connection = self._take(timeout)
        is_ours = isinstance(connection, HTTPConnection)
        if is_ours and not EXCHANGE.get().is_repeatable and connection.is_stale():
            connection.close()  # it connects again by itself
        return connection

    def _take(self, timeout: float | None) -> Any:
        """Return a connection; with `pool_block`, wait for one until the deadline."""
        waiting = self.pool
        if not self.block or waiting is None:
            return super()._get_conn(timeout)
        try:
            connection = super()._get_conn(EXCHANGE.get().deadline.clip(timeout))
        except (EmptyPoolError, TimeoutError) as error:  # urllib3 handles only its own
            raise EmptyPoolError(
                self, f"all {waiting.maxsize} connections to {self.host} stayed in use"
            ) from error
        if self.pool is None:
            _notify(waiting)
        return connection

    def close(self) -> None:
        """Close the idle connections; threads that wait for one open their own."""
        waiting = self.pool
        super().close()
        if self.block and waiting is not None:
            _notify(waiting)

    def put_connection(self, connection: Any) -> None:
        """Put a connection into the pool; None stands for a closed one."""
        self._put_conn(connection)

    def release(self, connection: Any, response: raw_response.HTTPResponse) -> None:
        """Put a connection into the pool whose response has been read."""
        held: dict[str, Any] = vars(response)
        if held["_original_response"].must_close:
            connection.close()
        held["_pool"] = self
        self._put_conn(connection)

    def attach(self, connection: HTTPConnection, response: raw_response.HTTPResponse) -> None:
        """Let a response hold its connection, which it releases at its end."""
        vars(response).update(_pool=self, _connection=connection)


class HTTPConnectionPool(_PoolMixin, connectionpool.HTTPConnectionPool):
    """A pool of our connections, or of the class that replaced urllib3's."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections; VCR and its like patch the stock pool's."""
        current: Any = connectionpool.HTTPConnectionPool.ConnectionCls
        return HTTPConnection if current is _STOCK_CLASSES[0] else current


class HTTPSConnectionPool(_PoolMixin, connectionpool.HTTPSConnectionPool):
    """The same, with TLS."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  # urllib3's name
        """Return the class of new connections."""
        current: Any = connectionpool.HTTPSConnectionPool.ConnectionCls
        return HTTPSConnection if current is _STOCK_CLASSES[1] else current


@cache
def socks_pools() -> dict[str, Any]:
    """Return pools of our connections that PySocks opens."""
    from urllib3.contrib import socks

    class Connection(HTTPConnection, socks.SOCKSConnection):
        def _new_conn(self) -> Any:
            """Connect; each wait for the proxy has the connect timeout."""
            _check_labels(self.host.strip("[]"))
            sock = super(HTTPConnection, self)._new_conn()  # PySocks connects
            sock.settimeout(EXCHANGE.get().deadline.clip(self.timeout))  # for the handshake
            return sock

    class SecureConnection(Connection, HTTPSConnection, socks.SOCKSHTTPSConnection):
        pass

    class Pool(_PoolMixin, socks.SOCKSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(_PoolMixin, socks.SOCKSHTTPSConnectionPool):
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
    """Note that a manager dropped a pool: it was cleared, or there were too many."""
    pool.is_disposed = True
