"""The private and undocumented names of requests, urllib3 and http.client that httpkit uses.

This is the one list of them. Each is looked up without raising. Where a name is missing that our
connections need, `SUPPORTED` is False: sessions then send over requests' adapter and urllib3's
own connections, with all of our policy above them, and say so once in a log record.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from functools import cache
from http.client import HTTPConnection as StandardConnection
from http.client import HTTPResponse as StandardResponse
from importlib import import_module
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3 import connection, connectionpool, poolmanager

from httpkit._core import upstream

LOG = logging.getLogger("httpkit.transport")
_STOCK = "sessions use urllib3's own connections"
_READ_IN = {"requests": "2.34.2", "urllib3": "2.8.0", "http": "Python 3.11 to 3.14"}


class Names:
    """What is used of one class or module.

    Attributes:
        owner: Its dotted name.
        example: Makes something that has the names, an instance or the module.
        names: Those that are used.
        without: What happens where one of them is missing.
    """

    def __init__(
        self,
        owner: str,
        example: Callable[[], object],
        names: tuple[str, ...],
        without: str = _STOCK,
    ) -> None:
        self.owner = owner
        self.example = example
        self.names = names
        self.without = without

    @property
    def read_in(self) -> str:
        """The version in which they were read."""
        return _READ_IN[self.owner.partition(".")[0]]

    def missing(self) -> list[str]:
        """Return the names that are not there."""
        try:
            example = self.example()
        except (AttributeError, ImportError, TypeError):
            return list(self.names)
        return [name for name in self.names if not hasattr(example, name)]


class _NoSocket:
    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO()


def find(path: str) -> Any:
    """Return what has a dotted name, a module or its attribute; None where there is nothing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


# Names that are used, and the layers below the transport use by `_core.upstream`.
TABLE = (
    Names("urllib3.connection.HTTPConnection", lambda: connection.HTTPConnection("localhost"), (
        "_new_conn", "_tunnel", "_dns_host", "_response_options", "source_address",
        "socket_options", "is_connected",
    )),
    Names("urllib3.connectionpool.HTTPConnectionPool",
        lambda: connectionpool.HTTPConnectionPool("localhost"), (
        "_new_conn", "_get_conn", "_put_conn", "_make_request", "_validate_conn", "num_requests",
        "pool", "QueueCls", "ConnectionCls",
    )),
    Names("urllib3.response.HTTPResponse", urllib3.HTTPResponse, (
        "_error_catcher", "_raw_read", "_init_decoder", "_decoder", "_decode", "_flush_decoder",
        "_has_decoded_content", "_fp", "_fp_bytes_read", "_uncached_read_occurred",
        "_original_response", "_connection", "_pool", "_body", "length_remaining", "chunked",
        "_request_url", "_sock_shutdown", "_decoded_buffer", "_retries",
    )),
    Names("urllib3.response.GzipDecoder", find("urllib3.response.GzipDecoder"), (
        "_obj", "_state", "has_unconsumed_tail",
    )),
    Names("urllib3.response.MultiDecoder", lambda: find("urllib3.response.MultiDecoder")("gzip"), (
        "_decoders",
    )),
    Names("urllib3.response.GzipDecoderState",
        lambda: find("urllib3.response.GzipDecoderState"), ("OTHER_MEMBERS", "SWALLOW_DATA")),
    Names("urllib3.util.connection", lambda: find("urllib3.util.connection"), (
        "create_connection", "allowed_gai_family",
    )),
    Names("urllib3.util.ssltransport", lambda: find("urllib3.util.ssltransport"), (
        "SSLTransport",
    )),
    Names("urllib3.poolmanager", lambda: poolmanager, ("pool_classes_by_scheme",)),
    Names("urllib3.poolmanager.PoolManager", lambda: poolmanager.PoolManager(1), (
        "pools", "connection_pool_kw", "pool_classes_by_scheme", "connection_from_host",
        "connection_from_context", "connection_from_pool_key",
    )),
    Names("urllib3._collections.RecentlyUsedContainer",
        find("urllib3._collections.RecentlyUsedContainer"), ("_container",),
        "a forked process keeps copies of its parent's idle sockets"),
    Names("urllib3.util.timeout.Timeout", urllib3.Timeout, ("_read",),
        "a Timeout of urllib3's is not shortened to the deadline"),
    Names("http.client.HTTPConnection", lambda: StandardConnection("localhost"), (
        "_HTTPConnection__state", "_HTTPConnection__response", "_tunnel", "_send_output",
        "_http_vsn_str", "auto_open", "debuglevel",
    )),
    Names("http.client.HTTPResponse", lambda: StandardResponse(_NoSocket()), (  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # it asks for makefile only
        "_read_status", "_close_conn", "_method",
    )),
    Names("requests.models.Response", requests.Response, (*upstream.RESPONSE_NAMES, "_next")),
    Names("requests.models.PreparedRequest", requests.PreparedRequest, upstream.REQUEST_NAMES,
        "the jar of a request is found among its attributes"),
    Names("requests.models", lambda: find("requests.models"), ("complexjson",),
        "JSON is read and written by the standard library"),
    Names("requests.adapters.HTTPAdapter", HTTPAdapter, ("_pool_connections", "_pool_maxsize")),
    Names("requests.utils", lambda: find("requests.utils"), ("get_encoding_from_headers",)),
    Names("requests.utils", lambda: find("requests.utils"), ("get_netrc_auth", "NETRC_FILES"),
        "netrc is read by preparing a request with requests"),
    Names("requests.utils", lambda: find("requests.utils"), ("requote_uri",),
        "a redirect's URL is quoted by preparing a request with requests"),
    Names("requests.sessions", lambda: find("requests.sessions"), ("get_environ_proxies",),
        "proxies of the environment are asked of a session of requests"),
    Names("requests.cookies", lambda: find("requests.cookies"), (
        "extract_cookies_to_jar", "merge_cookies",
        ), "cookies are stored by http.cookiejar's interface"),
    Names("requests.auth.HTTPDigestAuth", lambda: HTTPDigestAuth("", ""), (
        "_thread_local",
        ), "an invalid challenge is kept for the thread"),
)  # fmt: skip

# What our connections lack here; nothing on versions that we know.
MISSING = [
    f"{each.owner}.{name}" for each in TABLE if each.without == _STOCK for name in each.missing()
]
SUPPORTED = not MISSING

# Looked up here, so that nothing is imported by a name that may not be there.
SSL_TRANSPORT: Any = find("urllib3.util.ssltransport.SSLTransport")
OTHER_MEMBERS: Any = getattr(find("urllib3.response.GzipDecoderState"), "OTHER_MEMBERS", None)
SWALLOW_DATA: Any = getattr(find("urllib3.response.GzipDecoderState"), "SWALLOW_DATA", None)
POOL_CLASSES: Any = getattr(poolmanager, "pool_classes_by_scheme", None)
get_encoding_from_headers: Callable[[Any], str | None] = find(
    "requests.utils.get_encoding_from_headers"
)


@cache
def report() -> None:
    """Log, once in a process, that sessions use urllib3's own connections, and why."""
    LOG.warning(
        "requests %s and urllib3 %s lack %s: %s, without deadlines on the socket, the checks for"
        " truncated bodies and the fast path",
        find("requests.__version__"), find("urllib3.__version__"), ", ".join(MISSING), _STOCK,
    )  # fmt: skip
