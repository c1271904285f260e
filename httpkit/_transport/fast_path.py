"""The fast path: a plain request, over a connection of its own pools.

    send -> _is_plain, _is_stock -> _serialize -> _check_out -> HTTPConnection.exchange

requests and urllib3 make two thousand function calls between `Session.send` and the socket, most
of them to find out that nothing special is requested. This module alone decides whether that is
so. Other requests take requests' own path.

Rule: whatever is bypassed here must be unpatched. A mock, a tracer or a patch of any method takes
effect with the next request.
"""

from __future__ import annotations

import logging
import operator
import queue
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Protocol

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import PoolManager, Retry, connection, connectionpool
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.exceptions import SSLError as URLLib3SSLError

from httpkit._core import header_fields, upstream
from httpkit._core.clock import NO_DEADLINE
from httpkit._core.given import is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._core.urls import PLAIN_URL
from httpkit._messages.call import NO_CALL
from httpkit._messages.request import PreparedRequest, is_repeatable
from httpkit._messages.response import Response
from httpkit._transport import _upstream, connections, pools
from httpkit._transport.adapter import CERTIFICATES, Adapter, is_as_defined
from httpkit._transport.fast_objects import make_message, make_raw, make_read_raw, make_response
from httpkit._transport.head import whole_body
from httpkit._transport.socket_reader import EXCHANGE, Exchange

if TYPE_CHECKING:
    from httpkit._core import interrupts
else:
    interrupts = ImportedLater("httpkit._core.interrupts")

# Methods of requests' adapter that ours replaces, and others that it does not.
_REPLACED = "send", "get_connection_with_tls_context", "build_response", "cert_verify"
_INHERITED = "build_connection_pool_key_attributes", "request_url", "add_headers"
_OF_ADAPTER = frozenset({*_REPLACED, *_INHERITED})
# Methods that the fast path bypasses: where they are looked up, in the most derived class, so that
# a patch of any base is seen; and where they are defined.
_BYPASSED: Sequence[tuple[type, type, tuple[str, ...]]] = (
    (requests.Session, requests.Session, ("send",)),
    (HTTPAdapter, HTTPAdapter, _REPLACED),
    (Adapter, Adapter, _REPLACED),
    (Adapter, HTTPAdapter, _INHERITED),
    (PoolManager, PoolManager, (
        "connection_from_host", "connection_from_context", "connection_from_pool_key",
    )),
    (pools.HTTPSConnectionPool, connectionpool.HTTPConnectionPool, (
        "urlopen", "_make_request", "_put_conn", "_validate_conn",
    )),
    (connectionpool.HTTPSConnectionPool, connectionpool.HTTPConnectionPool, ("_get_conn",)),
    (connection.HTTPSConnection, connection.HTTPConnection, ("request",)),
    (connections.HTTPSConnection, connection.HTTPConnection, ("putrequest", "putheader")),
    (connections.HTTPSConnection, connections.HTTPSConnection, (
        "request", "send", "getresponse",
    )),
    (connection.HTTPSConnection, HTTPConnection, ("endheaders", "_send_output", "send")),
    (HTTPConnection, HTTPConnection, ("request", "putrequest", "putheader", "getresponse")),
)  # fmt: skip
_CLASSES = [cls for cls, _, names in _BYPASSED for _ in names]
_OWNERS = [owner for _, owner, names in _BYPASSED for _ in names]
_NAMES = [name for _, _, names in _BYPASSED for name in names]

_POOLS = (pools.HTTPConnectionPool, pools.HTTPSConnectionPool)
_CONNECTIONS = (connections.HTTPConnection, connections.HTTPSConnection)
_TIMEOUTS = frozenset({tuple, float, int, type(None)})
# urllib3 adds the former where they are missing, and acts on the latter.
_EXPECTED = frozenset({"user-agent", "accept-encoding"})
_UNEXPECTED = frozenset({"host", "transfer-encoding", "proxy-connection"})
# The usual Connection field; the connection must act on any other.
_KEPT_ALIVE = "\r\nConnection: keep-alive\r\n"
# Bytes. A larger body is sent by the ordinary path; a smaller one with the head, at once.
_LARGEST_BODY = 1 << 16
_BODIES = frozenset({bytes, type(None)})
# Jars of other classes are given every response: they may read more than cookies.
_JARS = frozenset({RequestsCookieJar, header_fields.Jar})
_BODILESS = frozenset({"GET", "HEAD"})
# urllib3 checks any other.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SKIPPED = "@@@SKIP_HEADER@@@"  # urllib3 leaves out a field of this value


if TYPE_CHECKING:

    class Sender(Protocol):
        """What is needed of a session."""

        cookies: Any

        def get_adapter(self, url: str) -> BaseAdapter:
            """Return what sends to a URL; mocks and callers put theirs in its place."""
            ...


def send(
    session: Sender, request: PreparedRequest, options: Mapping[str, Any]
) -> tuple[Response, bool] | None:
    """Send a plain request by the fast path; None, with nothing sent, for any other.

    The body is read as well if it arrived with the head and is not to be streamed: the second
    value says so.

    Args:
        session: Whose adapter and cookies are used.
        request: Prepared and signed; it stays as it is.
        options: timeout, stream, verify, cert and proxies.

    Raises:
        RequestException: As requests does.
    """
    if (found := _find_connection(session, request, options)) is None:
        return None
    adapter, pool, connection, target, message = found
    timeout: Any = options["timeout"]
    read_timeout: Any = timeout[1] if timeout.__class__ is tuple else timeout
    call = request.call or NO_CALL
    pool.num_requests += 1
    started = time.perf_counter()
    try:
        head, framing, rest = connection.exchange(
            request.method, target, message, call.deadline or NO_DEADLINE, read_timeout
        )
    except BaseException as error:
        if (known := _discard(connection, pool, error, request, read_timeout)) is None:
            raise
        raise known from error
    elapsed = timedelta(seconds=time.perf_counter() - started)
    parsed = connection.buffered, request.method or "GET", head, framing
    of_raw = target, pool, connection.sock.shutdown, adapter.max_retries
    body = None if options["stream"] else whole_body(head, framing, rest, call.options.max_body)
    made: dict[str, Any]
    if body is None:
        connection.reader.push_back(rest)
        unread = make_message(*parsed)
        made = {"raw": make_raw(unread, *of_raw)}
        connection.attach(unread, made["raw"])
    else:
        make = partial(make_read_raw, *parsed, len(body), *of_raw)
        made = {"_make_raw": make, "_content": body, "_content_consumed": True}
        has_more = pool.scheme == "https" and connection.reader.has_decrypted()
        if framing.will_close or has_more or len(body) < len(rest):
            connection.close()  # what follows would be taken for the next response
        pool.put_connection(connection)
    response = make_response(adapter, request, head, elapsed, **made)
    if "set-cookie" in head.by_name or type(session.cookies) not in _JARS:
        _store_cookies(session.cookies, response)
    return response, body is not None


def _find_connection(
    session: Sender, request: PreparedRequest, options: Mapping[str, Any]
) -> tuple[Any, Any, Any, str, tuple[str, bytes]] | None:
    """Return an adapter, its pool, an open connection, and the target and message to send.

    None leaves the request to the ordinary path.

    Raises:
        RequestException: The connection cannot be opened.
    """
    url = PLAIN_URL.fullmatch(request.url or "") if _upstream.SUPPORTED else None
    if url is None:
        return None
    adapter: Any = session.get_adapter(url[0])
    if not (_is_plain(request, options) and _is_stock(adapter)):
        return None
    if (message := _serialize(request)) is None:
        return None
    if (checked_out := _check_out(adapter, url, request, options)) is None:
        return None
    return adapter, *checked_out, url[2], message


def _store_cookies(jar: Any, response: Response) -> None:
    if jar is not None:
        upstream.extract_cookies(jar, response.request, response.raw)


def _is_plain(request: PreparedRequest, options: Mapping[str, Any]) -> bool:
    """Return whether a request and its options need nothing of the ordinary path."""
    return (
        not request.hooks.get("response")  # they are called with what requests passes on
        and not options["proxies"]
        and type(options["timeout"]) in _TIMEOUTS  # urllib3's own has further parts
        and type(options["verify"]) in CERTIFICATES
        and type(options["cert"]) in CERTIFICATES
        and not connectionpool.log.isEnabledFor(logging.DEBUG)  # it logs each request
    )


def _is_stock(adapter: Any) -> bool:
    """Return whether an adapter, and all that is bypassed below it, is as it was defined."""
    return (
        type(adapter) is Adapter  # a subclass may do anything
        and adapter.__dict__.keys().isdisjoint(_OF_ADAPTER)  # a test may patch an instance
        and type(retries := adapter.max_retries) is Retry
        and not (retries.total or retries.read is not False or retries.status_forcelist)
        and type(adapter.poolmanager) is PoolManager
        and _is_unpatched()
    )


_unpatched: tuple[Any, ...] = (None,) * len(_NAMES)


def _is_unpatched() -> bool:
    """Return whether every bypassed method is as it was defined."""
    global _unpatched  # noqa: PLW0603  # the last that were found so; every thread finds the same
    current = tuple(map(getattr, _CLASSES, _NAMES))
    if all(map(operator.is_, current, _unpatched)):  # a wrapper may equal what it wraps
        return True
    if not all(map(is_as_defined, current, _OWNERS)):
        return False
    _unpatched = current
    return True


def _serialize(request: PreparedRequest) -> tuple[str, bytes] | None:
    """Return the header lines and the body as urllib3 sends them; None if it changes them.

    Saves 30 us, and a system call for a request with a body.
    """
    body: Any = request.body
    if type(body) is str:
        body = body.encode("utf-8")
    headers: Any = request.headers
    is_known = type(headers) is header_fields.RequestHeaders and type(body) in _BODIES
    if not is_known or request.method not in _METHODS:
        return None
    names = headers.names()
    has_length = "content-length" in names or (body is None and request.method in _BODILESS)
    if not has_length or not names >= _EXPECTED or not names.isdisjoint(_UNEXPECTED):
        return None
    fields = headers.serialize()
    if fields is None or _SKIPPED in fields or len(body or b"") > _LARGEST_BODY:
        return None
    if "connection" in names and _KEPT_ALIVE not in fields:
        return None
    return fields, body or b""


def _check_out(
    adapter: Any, url: re.Match[str], request: PreparedRequest, options: Mapping[str, Any]
) -> tuple[Any, Any] | None:
    """Return the pool of an origin and a connection that is open; None for the ordinary path.

    Args:
        adapter: Whose pools are used.
        url: Of the request; its first group is the origin.
        request: Prepared and signed.
        options: timeout, verify and cert.

    Raises:
        RequestException: The connection cannot be opened.
    """
    try:
        pool = adapter.pool_at(url[1], request, options["verify"], options["cert"])
        if type(pool) not in _POOLS or pool.block:  # a thread may wait for the connection
            return None
        connection = pool.pool.get(block=False) or pool._new_conn()  # noqa: SLF001  # as urllib3 does
    except (ValueError, LocationValueError):  # the ordinary path raises the error
        return None
    except (queue.Empty, AttributeError):  # another thread closed the pool: it has no queue
        return None
    is_usable = type(connection) in _CONNECTIONS and connection.is_free()
    if is_usable and connection.is_stale() and not is_repeatable(request):
        connection.close()
    if is_usable and not connection.is_alive():
        connection.close()
        is_usable = _connect(adapter, pool, connection, url[0], request, options)
    if is_usable and (connection.is_verified or pool.scheme == "http"):
        return pool, connection
    pool.put_connection(connection)  # the ordinary path warns
    return None


def _connect(
    adapter: Any,
    pool: Any,
    connection: Any,
    url: str,
    request: PreparedRequest,
    options: Mapping[str, Any],
) -> bool:
    """Open a connection, with requests' errors; return False to leave it to the ordinary path."""
    timeout = options["timeout"]
    connection.timeout = timeout[0] if is_tuple(timeout) else timeout
    if pool.scheme == "https":
        if not options["verify"]:  # the ordinary path warns
            return False
        try:
            adapter.cert_verify(pool, url, options["verify"], options["cert"])
        except OSError:  # there is no such file: the ordinary path raises it
            return False
    call = request.call or NO_CALL
    outer = EXCHANGE.set(Exchange(call.deadline or NO_DEADLINE))
    try:
        connection.connect()
    except BaseException as error:
        if (known := _discard(connection, pool, error, request)) is None:
            raise
        raise known from error
    finally:
        EXCHANGE.reset(outer)
    return True


def _discard(
    connection: Any,
    pool: Any,
    error: BaseException,
    request: PreparedRequest,
    read_timeout: float | None = None,
) -> requests.RequestException | None:
    """Close a connection that failed, and return the error to raise; None for the error itself.

    As in urllib3 the pool gets a connection without a socket.
    """
    connection.close()
    pool.put_connection(None)
    if isinstance(error, Exception):
        interrupts.reveal(error)
    return _translated(error, pool, request, read_timeout)


def _translated(
    error: BaseException, pool: Any, request: PreparedRequest, read_timeout: float | None
) -> requests.RequestException | None:
    """Return the error that urllib3 and requests make of one; None for those they let pass."""
    if isinstance(error, TimeoutError):
        text = f"Read timed out. (read timeout={read_timeout})"
        error = ReadTimeoutError(pool, request.path_url, text)
    if isinstance(error, ReadTimeoutError):
        return requests.ReadTimeout(error, request=request)
    if isinstance(error, ssl.SSLError):
        error = URLLib3SSLError(error)
    if isinstance(error, (ConnectTimeoutError, URLLib3SSLError)):
        reason = MaxRetryError(pool, request.path_url, error)
        if isinstance(error, URLLib3SSLError):
            return requests.exceptions.SSLError(reason, request=request)
        is_timeout = not isinstance(error, NewConnectionError)
        cls = requests.ConnectTimeout if is_timeout else requests.ConnectionError
        return cls(reason, request=request)
    if isinstance(error, (OSError, HTTPException)):
        aborted = ProtocolError("Connection aborted.", error)
        return requests.ConnectionError(aborted, request=request)
    return None
