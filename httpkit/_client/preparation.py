"""What of a session goes into a request, depending on where the request goes.

Rule: an origin that is not the session's gets what the call itself holds, and of the
session's headers the harmless ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from http.cookiejar import CookieJar
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.cookies import RequestsCookieJar, cookiejar_from_dict
from requests.exceptions import InvalidURL

from httpkit._client import environment, settings
from httpkit._core import disclosure, header_fields, upstream, urls
from httpkit._core.types import Auth, Hook, TokenTransport, is_mapping
from httpkit._core.urls import Origin
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.call import NO_CALL, Call, Credentials
from httpkit._messages.request import PreparedRequest, check_headers
from httpkit._policy import forwarding
from httpkit._policy.auth import NO_AUTH, Signer, as_signer, refreshable, resigner
from httpkit._policy.options import fields_of


class Owner(TokenTransport, forwarding.CredentialHolder, Protocol):
    """What preparing a request needs of a session."""

    auth: Auth
    cookies: Any
    headers: Any
    hooks: Any
    params: Any
    proxies: Any
    trust_env: bool


def prepare(request: requests.Request, owner: Owner, asked: Call) -> PreparedRequest:
    """Merge a request with a session's settings and sign it.

    Args:
        request: From a call, or from a caller's hand.
        owner: The session.
        asked: What the call asked for; the result's call knows of the credentials, too.

    Raises:
        InvalidURL: The URL is relative without a base, or climbs out of the base.
        ConfigurationError: The auth is none, or a secret cannot be sent.
        TokenError: The authorization server gives no token.
    """
    url = urls.mend(urls.join(owner.base_url, as_text(request.url)))
    allowed, place = forwarding.allowed_origins(owner, url), urls.origin(url)
    is_same_origin = forwarding.is_allowed(url, allowed)
    fields = fields_of(owner.headers)
    signer, asks_netrc = _signer(
        request, owner, url, place, fields=fields if is_same_origin else None
    )
    hooks = _merge_hooks(request.hooks, owner.hooks)
    is_withheld = not is_same_origin and _holds_credentials(owner, fields)
    credentials = Credentials(
        allowed_origins=allowed if is_same_origin else frozenset((place,)),
        uses_session=is_same_origin,
        cookies=_own_cookies(request) if request.cookies else None,
        sign=None if signer is NO_AUTH else resigner(signer),
        is_signed=True,
        refreshable=None if signer is NO_AUTH else refreshable(signer),
        token_transport=owner,
        netrc=_netrc if asks_netrc else None,
        withheld=_why_credentials_withheld(url) if is_withheld else None,
    )
    own_hooks = as_hooks(hooks.get("response")) if hooks else ()
    call = Call(
        asked.options, asked.deadline, asked.proxies, credentials, own_hooks, asked.idempotent
    )
    method = request.method
    if method not in _UPPER_METHODS:
        method = _as_method(method)
    # With its call before it is signed: a strategy may ask for a token.
    prepared = PreparedRequest.blank(method, call)
    params = settings.merge_params(owner.params if is_same_origin else None, request.params)
    prepared.prepare_url(url, params)
    sent = forwarding.forwardable(fields, url, allowed)
    headers = settings.merge_headers(sent, request.headers)
    headers.check(check_headers)
    prepared.headers = headers
    if (jar := _cookies(request, owner, place, is_same_origin=is_same_origin)) is not None:
        prepared.prepare_cookies(jar)
    data = settings.format_data(request.data) if request.data else request.data
    prepared.prepare_body(data, request.files, request.json)
    if signer is not NO_AUTH:
        prepared.prepare_auth(signer)
    if headers.unchecked:  # since the body
        headers.check(check_headers)
    if hooks:
        prepared.prepare_hooks(hooks)
    return prepared


_UPPER_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _as_method(method: Any) -> str:
    text: str = method.decode("ascii") if isinstance(method, bytes) else method or "GET"
    return text.upper()


def _merge_hooks(own: Any, of_session: Any) -> dict[str, Any]:
    """Return a request's own hooks if it has any for a response, else the session's."""
    merged: dict[str, Any]
    if of_session is None or of_session.get("response") == []:
        merged = own or {}
    elif own is None or own.get("response") == []:
        merged = of_session or {}
    else:
        merged = {n: hook for n, hook in {**of_session, **own}.items() if hook is not None}
    return {} if merged == _NO_HOOKS else merged


_NO_HOOKS: dict[str, list[Hook]] = {"response": []}


def as_hooks(hooks: Any) -> tuple[Hook, ...]:
    """Return hooks as requests takes them: none, one, or several."""
    return () if not hooks else (hooks,) if callable(hooks) else tuple(hooks)


def as_text(url: object) -> str:
    """Return a URL as text, without the white space before it.

    Raises:
        ConfigurationError: It is None.
        InvalidURL: It is no text.
    """
    if url is None:
        raise ConfigurationError("the URL is None")
    if type(url) is str and url.isascii():
        return url if url[:1] > " " else url.lstrip()
    text: str | None
    try:
        text = url.decode("utf-8") if isinstance(url, bytes) else str(url)
        text.encode("utf-8")
    except UnicodeError:
        text = None
    if text is None:  # not raised above: a UnicodeError holds the text, secrets included
        raise InvalidURL("the URL is not valid UTF-8")
    return text.lstrip()


def _signer(
    request: requests.Request,
    owner: Owner,
    url: str,
    place: Origin,
    *,
    fields: Mapping[str, Any] | None,
) -> tuple[Signer, bool]:
    """Return what signs the request, and whether netrc was asked for it.

    NO_AUTH stands for nothing: for None requests would look around.

    Args:
        request: Its own auth comes first.
        owner: The session.
        url: Where it goes.
        place: The origin of that.
        fields: The session's header fields; None where its credentials must not go.
    """
    given = owner.auth if request.auth is None and fields is not None else request.auth
    if given:
        return as_signer(given), False
    if fields is not None and "Authorization" in fields:
        return NO_AUTH, False
    if request.headers and any(map(_is_authorization, request.headers)):
        return NO_AUTH, False
    if "@" in url and (user_and_password := upstream.user_and_password(url)):
        return as_signer(user_and_password), False
    ambient = environment.password(url) if owner.trust_env and _is_private(place) else None
    # Where the session's auth was withheld, netrc has no say in what follows.
    return as_signer(ambient) if ambient else NO_AUTH, owner.trust_env and not owner.auth


def _netrc(url: str) -> tuple[str, str] | None:
    """Return the login that netrc has for a URL's host, if nobody can read it on the way."""
    return environment.password(url) if is_private(url) else None


def _is_authorization(name: object) -> bool:
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.lower() == "authorization"


def _cookies(
    request: requests.Request, owner: Owner, place: Origin, *, is_same_origin: bool
) -> RequestsCookieJar | None:
    held = owner.cookies
    if type(held) is not header_fields.Jar:
        held = as_jar(held)
    if not is_same_origin:
        held = _set_by(held, place)
    if not request.cookies and (held is None or not _holds_any(held)):
        return None
    jar = RequestsCookieJar()
    if held is not None:
        upstream.merge_cookies(jar, held)
    if (own := _own_cookies(request)) is not None:
        upstream.merge_cookies(jar, own)
    return jar


def _set_by(jar: CookieJar, place: Origin) -> RequestsCookieJar | None:
    """Return the cookies that an origin set itself, which it may have back; None for none."""
    theirs = header_fields.Jar()
    for cookie in jar:
        source = header_fields.set_by(cookie)
        if source is not None and urls.origin(source) == place:
            theirs.set_cookie(cookie)
    return theirs if _holds_any(theirs) else None


def _holds_any(jar: CookieJar) -> bool:
    return next(iter(jar), None) is not None  # its length counts them all


def _own_cookies(request: requests.Request) -> RequestsCookieJar | None:
    if not request.cookies:
        return None
    # Merging a dict into a jar would keep the session's cookie of the same name.
    given = request.cookies
    own = RequestsCookieJar()
    upstream.merge_cookies(own, as_jar(given))
    return own


def as_jar(cookies: Any) -> CookieJar:
    """Return cookies as a jar; None is an empty one. requests would pass over what is no jar.

    Raises:
        ConfigurationError: They are neither a jar nor names with texts.
    """
    if isinstance(cookies, CookieJar):
        return cookies
    cookies = {} if cookies is None else cookies
    jar = None
    if is_mapping(cookies):
        with suppress(TypeError, AttributeError, ValueError):
            jar = cookiejar_from_dict(dict(cookies))
    if jar is None:  # not raised from that error: it may hold a cookie
        raise ConfigurationError("cookies= must map names to texts, or be a jar")
    return jar


def _holds_credentials(owner: Owner, fields: Mapping[str, Any]) -> bool:
    held = owner.auth or owner.params or _holds_any(as_jar(owner.cookies))
    return bool(held) or len(forwarding.harmless(fields)) < len(fields)


def _why_credentials_withheld(url: str) -> str:
    place = urls.format_origin(urls.origin(url))
    return f"the session's credentials were withheld from {place} (see trusted_origins)"


def is_private(url: str) -> bool:
    """Say whether nobody on the way can read what is sent to a URL."""
    return _is_private(urls.origin(url))


@lru_cache(maxsize=256)
def _is_private(place: Origin) -> bool:
    scheme, host, _ = place
    return scheme != "http" or urls.is_loopback(host)


def refuse_plain_http(prepared: PreparedRequest) -> None:
    """Refuse to send credentials where anybody on the way can read them.

    Raises:
        ConfigurationError: The request holds credentials, goes over plain http, and its call
            does not allow it.
    """
    call = prepared.call or NO_CALL
    if call.options.allow_http_auth or is_private(prepared.url or ""):
        return
    query = parse_qsl(urlsplit(prepared.url or "").query)
    names = [*prepared.headers, *(name for name, _ in query)]
    secret = next((n for n in names if disclosure.is_secret(n) and n != "Cookie"), None)
    if secret or call.credentials.sign:
        place = urls.format_origin(urls.origin(prepared.url or ""))
        raise ConfigurationError(
            f"refusing to send credentials ({secret or 'auth'}) over plain HTTP to {place}:"
            " use https, or allow_http_auth=True"
        )
