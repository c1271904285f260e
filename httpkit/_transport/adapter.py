"""requests' adapter over our connections, with deadlines and a cache of pools.

Adapter -> pool -> connection (connections) -> Message (http1) -> HTTPResponse (raw_response)
"""

from __future__ import annotations

import ssl
import sys
from base64 import b64encode
from collections.abc import Mapping
from copy import copy
from http.client import HTTPResponse as StandardResponse
from types import FunctionType
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote_to_bytes, urlsplit
from weakref import ref

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3 import HTTPHeaderDict, poolmanager
from urllib3.exceptions import (
    ClosedPoolError,
    EmptyPoolError,
)

from httpkit._core import upstream
from httpkit._core.clock import NO_DEADLINE
from httpkit._core.given import is_tuple
from httpkit._core.lazy import ImportedLater, pattern
from httpkit._core.urls import PLAIN_ORIGIN
from httpkit._messages.call import call_of
from httpkit._messages.request import PreparedRequest, is_repeatable
from httpkit._transport import _upstream, raw_response
from httpkit._transport.connections import BLOCK
from httpkit._transport.fast_objects import make_response
from httpkit._transport.head import Head
from httpkit._transport.pools import dispose, install, socks_pools
from httpkit._transport.socket_reader import EXCHANGE, Exchange

if TYPE_CHECKING:
    from httpkit._core import interrupts
else:
    interrupts = ImportedLater("httpkit._core.interrupts")

_PLAIN_ORIGIN = pattern(PLAIN_ORIGIN)
# Types of `verify` and `cert` that are hashable and cannot change.
CERTIFICATES = frozenset({bool, str, type(None)})
# Pools that other threads close while one call looks for a connection; more are an error.
# On a busy machine 10 did not suffice for a thread beside one that closes every half millisecond.
_MOST_CLOSED = 100
# The steps of urllib3's pool manager from a URL to its pool.
_LOOKING_UP = ("connection_from_host", "connection_from_context", "connection_from_pool_key")
# Mutable containers among a manager's settings.
_MUTABLE = frozenset({list, set, HTTPHeaderDict})
_NONE_KNOWN: Mapping[Any, ref[Any]] = {}


class Adapter(HTTPAdapter):
    """The HTTPAdapter of requests, with the same arguments, over httpkit's connections."""

    # A manager, its container of pools, its settings, and weak references to its pools by origin
    # and certificates. One tuple, so that no thread adds pools of earlier settings.
    _known: Any = None, None, {}, {}

    @classmethod
    def replacing(cls, stock: HTTPAdapter, maxsize: int) -> Self:
        """Return an adapter that replaces a new one of requests; saves 3 us for each session.

        Args:
            stock: Unused; the adapter takes over its settings and its pool manager.
            maxsize: The most idle connections to a host, 1 or more.
        """
        if not _upstream.SUPPORTED:
            return cls(pool_maxsize=maxsize)
        adapter = cls.__new__(cls)
        adapter.__dict__.update(stock.__dict__, _pool_maxsize=maxsize)
        pool_settings: dict[str, Any] = adapter.poolmanager.connection_pool_kw
        pool_settings["maxsize"] = maxsize
        pool_settings.setdefault("blocksize", BLOCK)
        install(adapter.poolmanager)
        return adapter

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        """Create the pools."""
        pool_kwargs.setdefault("blocksize", BLOCK)
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        install(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return the pools of a proxy."""
        is_new = proxy not in self.proxy_manager
        proxy_kwargs.setdefault("blocksize", BLOCK)
        try:
            manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        except InvalidSchema as error:  # requests' message lacks the remedy
            raise InvalidSchema(
                "a SOCKS proxy needs PySocks: pip install 'requests[socks]'"
            ) from error
        if is_new and not proxy.lower().startswith("socks"):
            install(manager)
        elif is_new and _upstream.SUPPORTED:
            manager.pool_classes_by_scheme = socks_pools()
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the header fields for a proxy: its user and password.

        In UTF-8 where they are not Latin-1, which is all that requests can send (RFC 7617).
        """
        try:
            return super().proxy_headers(proxy)
        except UnicodeEncodeError:  # it holds the password
            login = urlsplit(proxy)
            credentials = unquote_to_bytes(f"{login.username or ''}:{login.password or ''}")
        return {"Proxy-Authorization": f"Basic {b64encode(credentials).decode()}"}

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        """Return the pool for a request. Raises: as requests does."""
        if proxies:  # requests takes "proxy:3128" for the scheme "proxy"
            proxies = {name: _with_scheme(url) for name, url in proxies.items()}
        if isinstance(verify, ssl.SSLContext) or (is_tuple(cert) and len(cert) == 3):
            return self._pool_with(request, verify, proxies, cert)
        found = None if proxies else _PLAIN_ORIGIN.match(request.url or "")
        is_plain = type(verify) in CERTIFICATES and type(cert) in CERTIFICATES
        is_plain = is_plain and _upstream.SUPPORTED and self._finds_pools_as_requests()
        if found is None or not is_plain:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self.pool_at(found[0], request, verify, cert)

    def _pool_with(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any, cert: Any
    ) -> Any:
        """Return the pool for a context of the caller's, or a key with a password.

        requests knows neither, and would put them into one pool with what it knows.
        """
        is_context = isinstance(verify, ssl.SSLContext)
        known, certificate = (True, None) if is_context else (verify, cert[:2])
        address, settings = self.build_connection_pool_key_attributes(request, known, certificate)
        settings = {"ssl_context": verify} if is_context else {**settings, "key_password": cert[2]}
        proxy = upstream.select_proxy(request.url or "", proxies or {})
        manager: Any = self.poolmanager
        if proxy:
            manager = self.proxy_manager_for(proxy)
        return manager.connection_from_host(**address, pool_kwargs=settings)

    def _finds_pools_as_requests(self) -> bool:
        """Return whether no subclass and no patch chooses pools differently."""
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
        """Return the pool for an origin, from a cache; saves 35 us.

        A manager that is full, of another class or changed is asked each time: a full one closes
        the pool that was used least recently.

        Args:
            origin: As in the request's URL.
            request: Is sent there without a proxy.
            verify: True, False or a path.
            cert: A path; None is none.

        Raises: as requests does.
        """
        key, current = (origin, verify, cert), self.poolmanager
        manager, container, settings, known = self._known
        is_same = manager is current and container is current.pools
        if not is_same or settings != current.__dict__:
            manager, container, known = current, current.pools, _NONE_KNOWN
            settings = _snapshot(vars(current))
        if key in known and len(known) < max(2, self._pool_connections):
            pool = known[key]()
            if pool is not None and pool.pool is not None and not pool.is_disposed:
                return pool
        pool = super().get_connection_with_tls_context(request, verify, {}, cert)
        if not _is_followed(current) or not hasattr(pool, "is_disposed"):
            return pool
        # A new mapping: threads share the old one.
        alive = {k: entry for k, entry in known.items() if entry() is not None}
        self._known = manager, container, settings, {**alive, key: ref(pool)}
        return pool

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return requests' response for urllib3's."""
        message = getattr(resp, "_original_response", None)
        is_ours = isinstance(req, PreparedRequest) and isinstance(message, StandardResponse)
        is_ours = is_ours and _upstream.SUPPORTED
        if not is_ours or not is_as_defined(HTTPAdapter.build_response, HTTPAdapter):
            return super().build_response(req, resp)
        by_name = {n.lower(): (n, resp.headers[n]) for n in resp.headers}
        head = Head(resp.version, resp.status, resp.reason, [], by_name)
        return make_response(self, req, head, raw=resp)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Set the certificates of a connection, also for a proxy that is reached by https.

        requests looks at the URL alone, and sends http requests, with the proxy's password, to
        such a proxy over unverified TLS.
        """
        proxy = getattr(conn, "proxy", None)
        if not url.lower().startswith("https") and getattr(proxy, "scheme", "") == "https":
            url, cert = str(proxy), None  # a client certificate is for the server
        if isinstance(verify, ssl.SSLContext):
            return  # it holds whom it trusts, and loading more would change it
        super().cert_verify(conn, url, verify, cert)
        if is_tuple(cert) and len(cert) == 3:
            conn.key_password = cert[2]

    def close(self) -> None:
        """Close the idle connections, also of pools that a response still holds.

        urllib3 closes a pool when nobody holds it any more; an error that is kept refers to it.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for pool in upstream.pools_of(manager):
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
        exchange = Exchange(
            call_of(request).deadline or NO_DEADLINE,
            raw_response.read_timeout_of(timeout),
            is_repeatable=is_repeatable(request),
        )
        outer = EXCHANGE.set(exchange)
        try:
            return self._send(request, stream, timeout, verify, cert, proxies)
        except Exception as error:
            interrupts.reveal(error)
            raise
        finally:
            EXCHANGE.reset(outer)

    def _send(self, request: requests.PreparedRequest, *options: Any) -> requests.Response:
        closed = 0
        while True:
            try:
                return super().send(request, *options)
            except requests.ConnectionError as error:
                # Another thread closed the pool before the first byte was sent: there is a new one.
                closed += 1
                is_closed = error.args and isinstance(error.args[0], ClosedPoolError)
                if not is_closed or closed > _MOST_CLOSED:
                    raise
            except EmptyPoolError as error:
                raise requests.ConnectTimeout(error, request=request) from error


Adapter.__module__ = "httpkit"  # its public name, for pickles and tracebacks


def _is_followed(manager: Any) -> bool:
    """Return whether a manager finds pools as urllib3 does, and marks those that it drops."""
    return (
        type(manager) is poolmanager.PoolManager
        and vars(manager).keys().isdisjoint(_LOOKING_UP)  # a test may patch an instance
        and getattr(manager.pools, "dispose_func", None) is dispose
    )


def _with_scheme(proxy: Any) -> Any:
    is_bare = isinstance(proxy, str) and proxy and "/" not in proxy
    return f"http://{proxy}" if is_bare else proxy


def _snapshot(value: Any) -> Any:
    """Return a copy of settings; their containers may be changed in place."""
    if type(value) is dict:
        return {n: _snapshot(each) for n, each in cast("dict[str, Any]", value).items()}
    return copy(value) if type(value) in _MUTABLE else value


def is_as_defined(function: object, owner: type) -> bool:
    """Return whether a function is the original: a wrapper may copy its names, not its globals."""
    names = globals() if owner is Adapter else vars(sys.modules[owner.__module__])
    return (
        type(function) is FunctionType
        and function.__globals__ is names
        and not hasattr(function, "__wrapped__")
    )
