"""The short way of a plain request over a connection that is open already.

    send -> _is_plain -> _spell -> _idle -> _converse

requests and urllib3 walk two thousand function calls from `Session.send` to the socket, nearly
all of them to find out that nothing special was asked for. What is plain is seen at a glance
here; everything else, and every first request to a host, takes their way.

Rule: nothing of theirs is passed over that somebody replaced. A mock, a tracer or a patch is
noticed at the next request. Beside `incoming` and `connections`, only here is urllib3's private
interface touched; without what `connections` lists of it there are no connections of ours, and
this way is never taken.
"""

from __future__ import annotations

import logging
import operator
import queue
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any, Protocol

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3 import PoolManager, Retry, connection, connectionpool
from urllib3.exceptions import LocationValueError, MaxRetryError, ProtocolError, ReadTimeoutError
from urllib3.exceptions import SSLError as WireSSLError

from httpkit._core import header_fields, interrupts, upstream
from httpkit._core.deadline import NO_DEADLINE
from httpkit._core.patterns import pattern
from httpkit._messages.request import PreparedRequest, is_repeatable
from httpkit._messages.response import Response
from httpkit._transport import _upstream, connections, raw_response
from httpkit._transport.adapter import CERTIFICATES, PLAIN_ORIGIN, Adapter, is_as_defined
from httpkit._transport.http1 import Exchange

_OF_ADAPTER = (
    "send", "get_connection_with_tls_context", "build_connection_pool_key_attributes",
    "cert_verify", "request_url", "add_headers", "build_response",
)  # fmt: skip
# What is not called on the short way: where it is looked up, in the class that inherits from most,
# so that a patch of any on the way is seen; and where it is defined.
_BYPASSED: Sequence[tuple[type, type, tuple[str, ...]]] = (
    (requests.Session, requests.Session, ("send",)),
    (HTTPAdapter, HTTPAdapter, _OF_ADAPTER),
    (Adapter, HTTPAdapter, (
        "build_connection_pool_key_attributes", "request_url", "add_headers",
    )),
    (Adapter, Adapter, (
        "send", "get_connection_with_tls_context", "build_response", "cert_verify",
    )),
    (PoolManager, PoolManager, (
        "connection_from_host", "connection_from_context", "connection_from_pool_key",
    )),
    (connections.HTTPSConnectionPool, connectionpool.HTTPConnectionPool, (
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
_CLASSES = [kind for kind, _, names in _BYPASSED for _ in names]
_OWNERS = [owner for _, owner, names in _BYPASSED for _ in names]
_NAMES = [name for _, _, names in _BYPASSED for name in names]

_POOLS = (connections.HTTPConnectionPool, connections.HTTPSConnectionPool)
_CONNECTIONS = (connections.HTTPConnection, connections.HTTPSConnection)
_TIMEOUTS = frozenset({tuple, float, int, type(None)})
# An origin without userinfo, and a target that no part of the way would spell otherwise.
_PLAIN_URL = pattern(
    rf"({PLAIN_ORIGIN})"
    r"(/(?!/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})+)?)"
)
# urllib3 adds fields of its own where the one kind is missing, and reads the others.
_EXPECTED = frozenset({"user-agent", "accept-encoding"})
_UNEXPECTED = frozenset({"host", "transfer-encoding", "proxy-connection"})
# What the field says in nearly every request; anything else is for the connection to obey.
_KEPT_ALIVE = "\r\nConnection: keep-alive\r\n"
# More is sent by `transport` as it comes; less is copied behind the head, for one system call.
_LARGEST_BODY = 1 << 16
_BODIES = frozenset({bytes, type(None)})
# Jars of other classes see every answer: they may read more of it than cookies.
_JARS = frozenset({RequestsCookieJar, header_fields.Jar})
_BODILESS = frozenset({"GET", "HEAD"})
# urllib3 judges any other: it ends up in the first line as it is.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SKIPPED = "@@@SKIP_HEADER@@@"  # urllib3's word for a field that it leaves out


class Sender(Protocol):
    """What is needed of a session."""

    cookies: Any

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return what sends to a URL; mocks and callers put theirs in its place."""
        ...


def send(session: Sender, request: PreparedRequest, options: Mapping[str, Any]) -> Response | None:
    """Send a request the short way; None, with nothing sent, when it needs the ordinary one.

    The body is read as well, where it came with the head and nobody wants it as a stream.

    Args:
        session: Whose adapter and cookies are used.
        request: Prepared and signed; it stays as it is.
        options: timeout, stream, verify, cert and proxies.

    Raises:
        RequestException: As requests does.
    """
    found = _PLAIN_URL.fullmatch(request.url or "") if _upstream.SUPPORTED else None
    if found is None:
        return None
    origin, target = found.groups()
    adapter: Any = session.get_adapter(found[0])
    if not _is_plain(request, adapter, options) or (message := _spell(request)) is None:
        return None
    try:
        pool = adapter.pool_at(origin, request, options["verify"], options["cert"])
    except (ValueError, LocationValueError):  # the ordinary way says what is wrong
        return None
    if (line := _idle(pool, request)) is None:
        return None
    started = time.perf_counter()
    raw = _converse(
        pool, line, request, target, message, raw_response.read_part(options["timeout"])
    )
    elapsed = timedelta(seconds=time.perf_counter() - started)
    raw.retries = adapter.max_retries
    most = -1 if options["stream"] or request.call is None else request.call.options.max_body
    body = raw.take_arrived(most)
    if body is None:
        pool.attach(line, raw)
    else:
        pool.release(line, raw)
    response: Response = adapter.response_to(request, raw, raw.by_name)
    response.elapsed = elapsed
    if body is not None:
        response.__dict__.update(_content=body, _content_consumed=True)
    jar = session.cookies
    if jar is not None and ("set-cookie" in raw.by_name or type(jar) not in _JARS):
        upstream.extract_cookies(jar, request, raw)
    return response


def _is_plain(request: PreparedRequest, adapter: Any, options: Mapping[str, Any]) -> bool:
    """Say whether the request asks for nothing that only the ordinary way can do."""
    return (
        type(adapter) is Adapter  # any other may do anything
        and adapter.__dict__.keys().isdisjoint(_OF_ADAPTER)  # where a test's patch may sit
        # A number may stand for one, and a subclass may do anything.
        and type(retries := adapter.max_retries) is Retry
        and not (retries.total or retries.read is not False or retries.status_forcelist)
        and type(adapter.poolmanager) is PoolManager  # another is asked once, by the other way
        and not request.hooks.get("response")  # they are called with what requests passes on
        and not options["proxies"]
        and type(options["timeout"]) in _TIMEOUTS  # urllib3's own has further parts
        and type(options["verify"]) in CERTIFICATES
        and type(options["cert"]) in CERTIFICATES
        and not connectionpool.log.isEnabledFor(logging.DEBUG)  # it has a line for each request
        and _is_unpatched()
    )


_unpatched: tuple[Any, ...] = (None,) * len(_NAMES)


def _is_unpatched() -> bool:
    """Say whether everything that is passed over is as it was defined."""
    global _unpatched  # noqa: PLW0603  # the last that was found so; every thread finds the same
    current = tuple(map(getattr, _CLASSES, _NAMES))
    if all(
        map(operator.is_, current, _unpatched)
    ):  # a wrapper may say that it equals what it wraps
        return True
    if not all(map(is_as_defined, current, _OWNERS)):
        return False
    _unpatched = current
    return True


def _spell(request: PreparedRequest) -> tuple[str, bytes] | None:
    """Return the fields as urllib3 spells them, and the body; None when it would add to them.

    Saves 30 us, and the second system call of a request with a body.
    """
    body: Any = request.body
    if type(body) is str:
        body = body.encode("utf-8")
    headers: Any = request.headers
    is_known = type(headers) is header_fields.Outgoing and type(body) in _BODIES
    if not is_known or request.method not in _METHODS:
        return None
    names = headers.names()
    is_sized = "content-length" in names or (body is None and request.method in _BODILESS)
    if not is_sized or not names >= _EXPECTED or not names.isdisjoint(_UNEXPECTED):
        return None
    fields = headers.spelled()
    if fields is None or _SKIPPED in fields or len(body or b"") > _LARGEST_BODY:
        return None
    if "connection" in names and _KEPT_ALIVE not in fields:
        return None
    return fields, body or b""


def _idle(pool: Any, request: PreparedRequest) -> Any:
    """Take a connection that may serve a request; None when there is none in good order."""
    if type(pool) not in _POOLS or pool.block:  # who waits for a connection must not lose one
        return None
    try:
        line = pool.pool.get(block=False)
    except (queue.Empty, AttributeError):  # closed, by another thread maybe, it has no queue
        return None
    is_ours = type(line) in _CONNECTIONS
    if is_ours and line.is_stale() and not is_repeatable(request):
        line.close()  # the other way opens it again
    is_ready = (
        is_ours
        and line.is_idle()
        and (line.is_verified or pool.scheme == "http")  # the other way warns of it
    )
    if is_ready:
        return line
    pool.put_back(line)
    return None


def _converse(
    pool: Any,
    line: Any,
    request: PreparedRequest,
    target: str,
    message: tuple[str, bytes],
    read_timeout: float | None,
) -> Any:
    """Send the request and read the head of its answer, with requests' errors.

    As in urllib3 a connection that failed is closed, and one without a socket put in its place.
    """
    fields, body = message
    method = request.method or "GET"
    head = f"{method} {target} HTTP/1.1\r\nHost: {line.authority()}\r\n{fields}\r\n"
    call = request.call
    deadline = call.deadline if call is not None else None
    exchange = Exchange(deadline or NO_DEADLINE, read_timeout)
    pool.num_requests += 1
    try:
        return line.converse(head.encode("latin-1") + body, method, target, exchange)
    except BaseException as error:
        line.close()
        pool.put_back(None)
        if isinstance(error, Exception):
            interrupts.reveal(error)
        known = _translated(error, pool, request, read_timeout)
        if known is None:
            raise
        raise known from error


def _translated(
    error: BaseException, pool: Any, request: PreparedRequest, read_timeout: float | None
) -> requests.RequestException | None:
    """Return the error that urllib3 and requests make of one; None for what they let pass."""
    if isinstance(error, TimeoutError):
        text = f"Read timed out. (read timeout={read_timeout})"
        error = ReadTimeoutError(pool, request.path_url, text)
    if isinstance(error, ReadTimeoutError):
        return requests.ReadTimeout(error, request=request)
    if isinstance(error, ssl.SSLError):
        refused = MaxRetryError(pool, request.path_url, WireSSLError(error))
        return requests.exceptions.SSLError(refused, request=request)
    if isinstance(error, (OSError, HTTPException)):
        aborted = ProtocolError("Connection aborted.", error)
        return requests.ConnectionError(aborted, request=request)
    return None
