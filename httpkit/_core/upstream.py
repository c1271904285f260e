"""Undocumented parts of requests that layers below the transport use, each with a fallback.

Nothing here raises where a name is missing. `_transport._upstream` lists all of the names, with
what the transport itself needs of urllib3 and http.client.
"""

from __future__ import annotations

import base64
import io
import json
import operator
import sys
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from http.cookiejar import CookieJar
from itertools import repeat
from typing import Any, Self, TypeAlias, Unpack
from urllib.parse import unquote, urlsplit

import requests
import requests.adapters
import requests.auth
import requests.cookies
import requests.exceptions
import requests.models
import requests.sessions
import requests.utils
import urllib3
from requests.auth import HTTPDigestAuth
from requests.cookies import RequestsCookieJar

# Taken here, for modules that are imported later, too: a test may have put others in their place.
RequestsResponse: TypeAlias = requests.Response
RequestsRequest: TypeAlias = requests.PreparedRequest
AuthBase: TypeAlias = requests.auth.AuthBase
BaseAdapter: TypeAlias = requests.adapters.BaseAdapter

# Any: what is looked up here is undocumented, and may be missing.
_cookies: Any = requests.cookies
_models: Any = requests.models
_sessions: Any = requests.sessions
_utils: Any = requests.utils
_standard: Any = urllib.request

# As it was at import: a replacement is noticed.
STANDARD_LOADS = json.loads
RESPONSE_NAMES = ("_content", "_content_consumed")
REQUEST_NAMES = ("_cookies", "_body_position")
# What of a response is set anew when it is restored from a pickle.
UNPICKLED_NAMES = ("_content_consumed", "_next")
# Whether requests keeps a body that was read where we know it.
KEEPS_CONTENT = vars(requests.Response()).keys() >= set(RESPONSE_NAMES)
# Whether requests keeps the jar of a request where we know it.
KNOWS_REQUEST = vars(requests.PreparedRequest()).keys() >= set(REQUEST_NAMES)


def content_of(response: requests.Response) -> Any:
    """Return the body that is in memory, bytes or None; False while it was not read."""
    if KEEPS_CONTENT:
        return response.__dict__.get("_content")
    if not getattr(response.raw, "closed", True):
        return False
    try:
        return RequestsResponse.content.__get__(response)
    except (requests.RequestException, RuntimeError):
        return b""


def keep_content(response: requests.Response, body: bytes) -> None:
    """Make these bytes the body of a response whose own was read or is not wanted."""
    if KEEPS_CONTENT:
        response.__dict__.update(_content=body, _content_consumed=True)
        return
    raw, response.raw = response.raw, io.BytesIO(body)
    _ = RequestsResponse.content.__get__(response)  # requests keeps what it reads
    response.raw = raw


def is_consumed(response: requests.Response) -> bool:
    """Return whether the body was read to its end, as far as requests noted it."""
    return bool(response.__dict__.get("_content_consumed"))


def mark_consumed(response: requests.Response) -> None:
    """Note that the body cannot be read any more."""
    response.__dict__["_content_consumed"] = True


def json_module() -> Any:
    """Return the module by which requests reads JSON; callers may replace it at any time."""
    return getattr(_models, "complexjson", json)


# Functions of requests that read the environment, where requests looks them up.
_READERS = (_sessions, _utils, _utils), ("get_environ_proxies", "getproxies", "proxy_bypass")
_STOCK_READERS = tuple(map(getattr, *_READERS, repeat(None)))
_STOCK_NETRC = getattr(_utils, "get_netrc_auth", None)


def reads_variables() -> bool:
    """Say whether requests finds proxies in the environment's variables alone.

    Nobody has put a function of his own in between, and the system has no other settings: macOS
    has some, which cannot be compared with earlier ones.
    """
    if sys.platform == "darwin":
        return False
    stock = _STOCK_READERS
    if sys.platform != "win32":
        stock = stock[0], _standard.getproxies_environment, _standard.proxy_bypass_environment
    return all(map(operator.is_, map(getattr, *_READERS, repeat(None)), stock))


def netrc_files() -> tuple[str, ...]:
    """Return the names of netrc in the home directory."""
    return tuple(getattr(_utils, "NETRC_FILES", (".netrc", "_netrc")))


def reads_netrc() -> bool:
    """Say whether nobody has put a function of his own in the place of the one for netrc."""
    return getattr(_utils, "get_netrc_auth", None) is _STOCK_NETRC


def netrc_auth(url: str) -> tuple[str, str] | None:
    """Return user and password of a URL's host in netrc; None when there are none."""
    if (stock := getattr(_utils, "get_netrc_auth", None)) is not None:
        found: tuple[str, str] | None = stock(url)
        return found
    signed = requests.Session().prepare_request(requests.Request("GET", url))
    scheme, _, token = str(signed.headers.get("Authorization", "")).partition(" ")
    if scheme != "Basic":
        return None
    user, _, password = base64.b64decode(token).decode("latin-1").partition(":")
    return user, password


def environment_proxies(url: str, no_proxy: str | None) -> dict[str, str]:
    """Return the proxies of the environment for a URL, by scheme.

    Args:
        url: Where the request goes.
        no_proxy: Hosts without a proxy, over the environment's; None for the environment's own.
    """
    if (stock := getattr(_sessions, "get_environ_proxies", None)) is not None:
        found: dict[str, str] = stock(url, no_proxy)
        return found
    explicit = {} if no_proxy is None else {"no_proxy": no_proxy}
    merged = requests.Session().merge_environment_settings(url, {**explicit}, None, None, None)
    return {name: proxy for name, proxy in merged["proxies"].items() if name not in explicit}


def select_proxy(url: str, proxies: Mapping[str, Any]) -> Any:
    """Return the proxy for a URL: of its scheme and host, its scheme, its host, or of all."""
    parts = urlsplit(url)
    keys = (f"{parts.scheme}://{parts.hostname}", parts.scheme, f"all://{parts.hostname}", "all")
    return next((proxies[key] for key in keys if key in proxies), None)


def user_and_password(url: str) -> tuple[str, str] | None:
    """Return the userinfo of a URL, decoded; None when it lacks one of the two."""
    parts = urlsplit(url)
    if parts.username is None or parts.password is None:
        return None
    return unquote(parts.username), unquote(parts.password)


def requote(url: str) -> str:
    """Return a URL whose illegal characters are percent-encoded."""
    if (stock := getattr(_utils, "requote_uri", None)) is not None:
        quoted: str = stock(url)
        return quoted
    return requests.Request("GET", url).prepare().url or url


class CookieFields:
    """A response as `http.cookiejar` reads it.

    Args:
        fields: The fields as `http.client.HTTPMessage` has them.
    """

    def __init__(self, fields: Any) -> None:
        self._fields = fields

    def info(self) -> Any:
        """Return the fields."""
        return self._fields


def extract_cookies(jar: CookieJar, request: requests.PreparedRequest, raw: Any) -> None:
    """Store the cookies that a response set.

    Args:
        jar: Any jar.
        request: What was sent.
        raw: urllib3's response; one without http.client's behind it sets none.
    """
    if (stock := getattr(_cookies, "extract_cookies_to_jar", None)) is not None:
        stock(jar, request, raw)
        return
    message = getattr(raw, "_original_response", None)
    if message is not None:
        sent = urllib.request.Request(request.url or "")  # noqa: S310  # it is not opened
        jar.extract_cookies(CookieFields(message.msg), sent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # of a response it reads `info` alone


def merge_cookies(jar: Any, cookies: Any) -> None:
    """Add cookies to a jar: a jar's over those that it has, a mapping's under them."""
    if (stock := getattr(_cookies, "merge_cookies", None)) is not None:
        stock(jar, cookies)
    else:
        jar.update(cookies)


class LateJarRequest(requests.PreparedRequest):
    """A prepared request whose jar is made when somebody looks for it, which saves 20 us."""

    @classmethod
    def unprepared(cls) -> Self:
        """Return a request of which nothing is prepared yet."""
        made = cls()
        drop_jar(made)
        return made

    @cached_property
    def _cookies(self) -> CookieJar:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # an attribute of requests', made late
        return RequestsCookieJar()


def drop_jar(request: requests.PreparedRequest) -> None:
    """Take the jar away that a request was prepared with."""
    request.__dict__.pop("_cookies", None)


def jar_of(request: requests.PreparedRequest) -> CookieJar | None:
    """Return the jar that a request was prepared with."""
    if KNOWS_REQUEST:
        jar: CookieJar | None = request._cookies  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no public way
        return jar
    return next((v for v in vars(request).values() if isinstance(v, CookieJar)), None)


def copy_jar(request: LateJarRequest, clone: LateJarRequest) -> None:
    """Give a copy of a request a jar of its own, if the request has one."""
    jar = request.__dict__.get("_cookies")
    if jar is not None:
        is_ours = isinstance(jar, RequestsCookieJar)
        copied = jar.copy() if is_ours else jar_of(requests.PreparedRequest.copy(request))
        clone.__dict__["_cookies"] = copied


def forget_challenge(signer: HTTPDigestAuth) -> None:
    """Drop the challenge that a digest signer keeps for this thread."""
    kept = getattr(signer, "_thread_local", None)
    if kept is not None:
        kept.__dict__.clear()
        signer.init_per_thread_state()


def message_of(raw: object) -> object:
    """Return what urllib3's response reads from; None where it has ended, or nobody knows."""
    return getattr(raw, "_fp", None)


def connection_of(raw: object) -> object:
    """Return the connection that urllib3's response holds; None when it holds none."""
    return getattr(raw, "_connection", None)


def remaining_length(raw: object) -> int | None:
    """Return the bytes of the body that were not read yet; None where that is unknown."""
    return getattr(raw, "length_remaining", None)


def next_of(response: requests.Response) -> requests.PreparedRequest | None:
    """Return the request that follows a redirect; None if there is none."""
    return response.__dict__.get("_next")


def set_next(response: requests.Response, request: requests.PreparedRequest | None) -> None:
    """Set the request that follows a redirect, which `.next` returns."""
    response.__dict__["_next"] = request


def pools_of(manager: object) -> list[Any]:
    """Return the pools of a manager, without its lock; none where they are kept elsewhere."""
    kept: Any = getattr(getattr(manager, "pools", None), "_container", {})
    return list(kept.values())


# ---- Names that requests imports for type checkers only, added to its modules.
# `typing.get_type_hints` evaluates the annotations of a base class in the module of that class.
# Without these names it raises NameError for every session, response and error. A name that a
# module already has stays as it is.


class _Aliases:
    """In place of `requests._types`, whose aliases exist for checkers only: each is Any."""

    def __getattr__(self, name: str) -> Any:
        return Any


_NAMES: dict[str, Any] = {
    "PreparedRequest": requests.PreparedRequest,
    "Request": requests.Request,
    "Response": requests.Response,
    "CookieJar": CookieJar,
    "RequestsCookieJar": requests.cookies.RequestsCookieJar,
    "BaseAdapter": requests.adapters.BaseAdapter,
    "HTTPAdapter": requests.adapters.HTTPAdapter,
    "HTTPConnectionPool": urllib3.HTTPConnectionPool,
    "_PoolManager": urllib3.PoolManager,
    "Self": Self,
    "Unpack": Unpack,
    "_t": _Aliases(),
}

for _module in (
    requests.adapters, requests.auth, requests.exceptions, requests.models, requests.sessions
):  # fmt: skip
    for _name, _value in _NAMES.items():
        vars(_module).setdefault(_name, _value)
