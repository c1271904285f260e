"""urllib3's connections, with deadlines on the socket and a strict parser.

pool (pools) -> connection -> Message (http1) -> HTTPResponse (raw_response)
"""

from __future__ import annotations

import errno
import math
import select
import socket
import ssl
import sys
from collections.abc import Mapping
from functools import cached_property
from http.client import HTTPConnection as StandardConnection
from http.client import HTTPException, ResponseNotReady
from http.client import HTTPResponse as StandardResponse
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3 import connection as stock
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import connection as connection_util

from httpkit._core import waits
from httpkit._core.clock import CLOCK, Deadline
from httpkit._core.lazy import ImportedLater
from httpkit._transport import _upstream, raw_response
from httpkit._transport.head import (
    Framing,
    Head,
    frame,
    parse_options,
    parse_plain_head,
    read_head,
)
from httpkit._transport.http1 import Message
from httpkit._transport.socket_reader import EXCHANGE, UNLIMITED, Exchange, SocketReader

if TYPE_CHECKING:
    from httpkit._core import hints, interrupts
else:
    interrupts = ImportedLater("httpkit._core.interrupts")
    hints = ImportedLater("httpkit._core.hints")

# As it was at import: a patch is noticed.
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
    # What the fast path reads one response after the other from, and the buffer over it.
    reader: SocketReader | None = None
    buffered: Any = None
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
        check_labels(host)
        family = connection_util.allowed_gai_family()
        failure = OSError("the name has no address")
        found = socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM)
        for *parameters, _, address in found:
            limit = exchange.deadline.clip(self.timeout)
            try:
                sock = self._connected_socket(parameters, address, limit)
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

    def _connected_socket(
        self, parameters: Any, address: Any, limit: float | None
    ) -> socket.socket:
        """Connect to one address; urllib3 would look it up once more.

        Args:
            parameters: Family, type and protocol of the socket.
            address: What it is connected to.
            limit: Seconds for it; None is no limit.
        """
        sock = socket.socket(*parameters)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(limit)
            if self.source_address:
                sock.bind(self.source_address)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

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
            self._apply(exchange.deadline, exchange.send_timeout)
            if (view := _as_large(data)) is None:
                super().send(data)
                return
            sys.audit("http.client.send", self, data)
            sock: Any = self.sock
            while view:  # `sendall` has one timeout for all of it
                sent = waits.send(sock, view) if waits.IS_SLICED else sock.send(view)
                view = view[sent:]
                self._apply(exchange.deadline, exchange.send_timeout)
        except Exception as error:
            interrupts.hide(error)  # urllib3 ignores a broken pipe
            raise

    def _apply(self, deadline: Deadline, timeout: float | None) -> None:
        limit = deadline.clip(timeout)
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

    def exchange(
        self,
        method: str,
        target: str,
        message: tuple[str, bytes],
        deadline: Deadline,
        timeout: float | None,
    ) -> tuple[Head, Framing, bytes]:
        """Send a whole request over an open connection, and read the head of its response.

        The bytes of the body that came with the head are returned, too.

        Args:
            method: The request's.
            target: Of its request line.
            message: The lines of its fields but Host, and its body.
            deadline: Of the call.
            timeout: Seconds to send it, and for the head of the response; None is no limit.

        Raises:
            ReadTimeoutError: The server accepted nothing within the timeout.
            HTTPException: The head is malformed.
            OSError: The connection failed.
        """
        fields, body = message
        lines = f"{method} {target} HTTP/1.1\r\nHost: {self.authority}\r\n{fields}\r\n"
        reader = self.send_whole(lines.encode("latin-1") + body, deadline, timeout)
        received = reader.receive()
        parsed = parse_plain_head(received)
        if parsed is None:
            reader.push_back(received)
            parsed = read_head(self.buffered), b""
        head, rest = parsed
        return head, frame(head, method, closes=False), rest

    def send_whole(self, request: bytes, deadline: Deadline, timeout: float | None) -> SocketReader:
        """Send a whole request over an open connection; return what its response is read from.

        Raises:
            ReadTimeoutError: The server accepted nothing within the timeout.
            OSError: The connection failed.
        """
        try:
            self._apply(deadline, timeout)
            sys.audit("http.client.send", self, request)
            if waits.IS_SLICED:
                waits.send_all(self.sock, request)
            else:
                self.sock.sendall(request)
        except (*_HUNG_UP, ssl.SSLEOFError) as error:
            interrupts.hide(error)  # the response may have arrived before
        except TimeoutError as error:
            raise _sending_timed_out(self) from error
        self.timeout = timeout
        if (reader := self.reader) is None:
            reader = self.reader = SocketReader(self.sock, UNLIMITED, is_persistent=True)
            self.buffered, self._poller = reader.makefile("rb"), _poller_of(self.sock)
        reader.start_message(Exchange(deadline, timeout))
        return reader

    def attach(self, message: Message, raw: raw_response.HTTPResponse) -> None:
        """Let an unread response hold the connection, which it releases at its end."""
        vars(raw).update(_connection=self)
        if message.will_close:  # the response keeps the socket, as in http.client
            message.reader.keep_open()
            self.sock = None
            self.close()
        else:
            self.__dict__["_HTTPConnection__response"] = message

    def close(self) -> None:
        """Close the connection and its reader."""
        super().close()
        self.reader = self.buffered = self._poller = None

    def is_free(self) -> bool:
        """Return whether no response is pending, and nobody wants to see what is sent."""
        return self.__dict__["_HTTPConnection__state"] == _IDLE and not self.debuglevel

    def is_alive(self) -> bool:
        """Return whether it is open, and the server did not close it."""
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
    if sys.platform == "win32" or not hasattr(select, "poll"):
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


def check_labels(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:  # it would quote the name, and requests does not handle it
        raise LocationParseError(f"'{host}', label empty or too long") from None


def _no_tunnel(connection: HTTPConnection, error: Exception) -> Exception:
    """Return the error for a proxy that opened no tunnel; a transient one is a failed connect."""
    text = str(error)
    if not text.startswith(hints.TUNNEL_FAILED):
        return NewConnectionError(connection, f"invalid response of the proxy to CONNECT: {text}")
    status, _, reason = text.removeprefix(hints.TUNNEL_FAILED).partition(" ")
    reason = "".join(c if c.isprintable() else " " for c in reason[:_LONGEST_REASON])
    text = f"{hints.TUNNEL_FAILED}{status} {reason}".rstrip()
    return NewConnectionError(connection, text) if status in _TRANSIENT else OSError(text)


class _TunnelResponse(Message):
    """The response to CONNECT: http.client accepts only 200."""

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line; any 2xx opens the tunnel (RFC 9110 section 9.3.6)."""
        version, status, reason = super()._read_status()
        return version, 200 if 200 <= status < 300 else status, reason


class HTTPSConnection(HTTPConnection, stock.HTTPSConnection):
    """The same, with TLS."""
