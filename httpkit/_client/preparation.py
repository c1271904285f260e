"""What of a session goes into a request, depending on where the request goes.

Rule: an origin that is not the session's gets what the call itself holds, and of the
session's headers the harmless ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import requests
from requests.cookies import RequestsCookieJar, cookiejar_from_dict
from requests.exceptions import InvalidHeader, InvalidURL

from httpkit._client import environment, settings
from httpkit._core import header_fields, upstream, urls
from httpkit._core.given import is_list, is_mapping, is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._core.urls import Origin
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.call import Call, CallOptions, Credentials
from httpkit._messages.request import PreparedRequest, check_headers
from httpkit._policy import forwarding
from httpkit._policy.auth import NO_AUTH, Signer, as_signer, login_signer, refreshable, resigner
from httpkit._policy.retry import RetryPolicy

if TYPE_CHECKING:
    from httpkit._core import types, values
else:
    values = ImportedLater("httpkit._core.values")
    types = ImportedLater("httpkit._core.types")


if TYPE_CHECKING:

    class Owner(types.TokenTransport, types.CredentialHolder, Protocol):
        """What preparing a request needs of a session."""

        auth: types.Auth
        cookies: Any
        headers: Any
        hooks: Any
        params: Any
        proxies: Any
        trust_env: bool


def with_key(
    headers: types.HeadersLike, key: bool | str, options: CallOptions
) -> types.HeadersLike:
    """Add an idempotency key to a call's headers, if one is requested."""
    if key is False:
        return headers
    if not key:
        raise ConfigurationError("idempotency_key is empty")
    policy = options.retry or RetryPolicy()
    if key is True:
        import uuid

        key = str(uuid.uuid4())
    return {**(headers or {}), policy.idempotency_header: key}


def prepare(owner: Owner, request: requests.Request, given_call: Call) -> PreparedRequest:
    """Merge a request with a session's settings and sign it.

    Args:
        owner: The session.
        request: From a call, or from a caller's hand.
        given_call: What the call sets; the result's call knows of the credentials, too.

    Raises:
        InvalidURL: The URL is relative without a base, or leads outside it.
        ConfigurationError: The auth is none, or a secret cannot be sent.
        TokenError: The authorization server gives no token.
    """
    hooks = _merge_hooks(request.hooks, owner.hooks)
    url = urls.join(owner.base_url, as_text(request.url))
    if "%" in url:
        url = urls.encode_stray_percent(url)
    scope = forwarding.scope_of(owner, url)
    fields: Any = owner.headers
    if type(fields) is not header_fields.RequestHeaders:  # nearly never
        fields = settings.fields_of(fields)
    sent = fields if scope.uses_session else forwarding.harmless(fields)
    headers = merge_headers(sent, request.headers)
    cookies: Any = owner.cookies
    is_bare = type(cookies) is header_fields.Jar and not cookies and not request.cookies
    jar = None if is_bare else _cookies(request, cookies, scope)
    signer, uses_netrc = _signer(request, owner, url, scope, headers)
    method: Any = request.method
    prepared = PreparedRequest.unprepared()
    prepared.is_signed = True
    prepared.call = Call(
        given_call.options,
        given_call.deadline,
        given_call.proxies,
        Credentials(
            allowed_origins=scope.allowed_origins,
            uses_session=scope.uses_session,
            cookies=_call_cookies(request) if request.cookies else None,
            sign=None if signer is NO_AUTH else resigner(signer),
            refreshable=None if signer is NO_AUTH else refreshable(signer),
            token_transport=owner,
            netrc=_netrc if uses_netrc else None,
            withheld_reason=None
            if scope.uses_session
            else _withheld_reason(owner, fields, sent, url),
        ),
        as_hooks(hooks.get("response")) if hooks else (),
        idempotent=given_call.idempotent,
    )
    prepared.method = method if method in UPPER_METHODS else _as_method(method)
    params = owner.params if scope.uses_session else None
    if params or request.params:
        params = merge_params(params, request.params)
    prepared.prepare_url(url, params or None)  # an empty mapping of any class is none
    prepared.headers = headers
    if jar is not None:
        prepared.prepare_cookies(jar)
    data = format_data(request.data) if request.data else request.data
    prepared.prepare_body(data, request.files, request.json)
    if headers.unchecked:
        headers.check(check_headers)
    if signer is not NO_AUTH:  # it may have to ask for a token, and the call says how
        prepared.prepare_auth(signer)
    if hooks:
        prepared.prepare_hooks(hooks)
    return prepared


UPPER_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def checked_method(method: object) -> str:
    """Return a method in upper case.

    Raises:
        ConfigurationError: It is no token.
    """
    text = method.decode("latin-1") if isinstance(method, bytes) else method
    if not isinstance(text, str) or not header_fields.is_name(text):
        raise ConfigurationError(f"method={text!r} is an invalid HTTP method")
    return text.upper()


def _as_method(method: Any) -> str:
    text: str = method.decode("ascii") if isinstance(method, bytes) else method or "GET"
    return text.upper()


def _merge_hooks(call_hooks: Any, session_hooks: Any) -> dict[str, Any]:
    """Return a request's own hooks if it has any for a response, else the session's."""
    merged: dict[str, Any]
    if session_hooks is None or session_hooks.get("response") == []:
        merged = call_hooks or {}
    elif call_hooks is None or call_hooks.get("response") == []:
        merged = session_hooks or {}
    else:
        merged = {
            n: hook for n, hook in {**session_hooks, **call_hooks}.items() if hook is not None
        }
    return {} if merged == _NO_HOOKS else merged


_NO_HOOKS: dict[str, list[types.Hook]] = {"response": []}


def as_hooks(hooks: Any) -> tuple[types.Hook, ...]:
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
    scope: forwarding.Scope,
    headers: header_fields.RequestHeaders,
) -> tuple[Signer, bool]:
    """Return what signs the request, and whether netrc has to be read for it.

    NO_AUTH stands for nothing: for None requests would look around.

    Args:
        request: Its own auth comes first.
        owner: The session.
        url: Where it goes.
        scope: Whose credentials may go there.
        headers: All that are sent.
    """
    given = owner.auth if request.auth is None and scope.uses_session else request.auth
    if given:
        return as_signer(given), False
    # A call that says None takes the session's field away, and wants no other in its place.
    is_named = request.headers and any(map(_is_authorization, request.headers))
    if is_named or "authorization" in headers.by_name:
        return NO_AUTH, False
    if "@" in url and (user_and_password := upstream.user_and_password(url)):
        return login_signer(user_and_password), False
    ambient = environment.password(url) if owner.trust_env and scope.is_private else None
    # Where the session's auth was withheld, netrc has no say in what follows.
    return login_signer(ambient) if ambient else NO_AUTH, owner.trust_env and not owner.auth


def _netrc(url: str) -> tuple[str, str] | None:
    """Return the login that netrc has for a URL's host, if nobody can read it on the way."""
    return environment.password(url) if forwarding.is_private(url) else None


def _is_authorization(name: object) -> bool:
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.lower() == "authorization"


def _cookies(
    request: requests.Request, session_cookies: Any, scope: forwarding.Scope
) -> RequestsCookieJar | None:
    """Return the session's cookies with the call's over them; None where there are none."""
    session_cookies = as_jar(session_cookies)
    if not scope.uses_session:
        session_cookies = _set_by(session_cookies, scope.origin)
    if not (request.cookies or session_cookies):
        return None
    jar = RequestsCookieJar()
    upstream.merge_cookies(jar, session_cookies)
    if (call_cookies := _call_cookies(request)) is not None:
        upstream.merge_cookies(jar, call_cookies)
    return jar


def _set_by(jar: CookieJar, origin: Origin) -> RequestsCookieJar:
    """Return the cookies that an origin set itself, which it may have back."""
    theirs = header_fields.Jar()
    for cookie in jar:
        source = header_fields.set_by(cookie)
        if source is not None and urls.origin(source) == origin:
            theirs.set_cookie(cookie)
    return theirs


def _call_cookies(request: requests.Request) -> RequestsCookieJar | None:
    if not request.cookies:
        return None
    # Merging a dict into a jar would keep the session's cookie of the same name.
    given = request.cookies
    jar = RequestsCookieJar()
    upstream.merge_cookies(jar, as_jar(given))
    return jar


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
            values = dict(cookies)
            # requests before 2.34 fails on others when the Cookie field is written.
            if all(value is None or isinstance(value, str) for value in values.values()):
                jar = cookiejar_from_dict(values)
    if jar is None:  # not raised from that error: it may hold a cookie
        raise ConfigurationError("cookies= must map names to texts, or be a jar")
    return jar


def _withheld_reason(
    owner: Owner, fields: Mapping[str, Any], sent: Mapping[str, Any], url: str
) -> str | None:
    """Return why the session's credentials were not sent; None when it has none."""
    has_credentials = owner.auth or owner.params or as_jar(owner.cookies)
    if not has_credentials and len(sent) == len(fields):
        return None
    origin = urls.format_origin(urls.origin(url))
    return f"the session's credentials were withheld from {origin} (see trusted_origins)"


# ---- The session's values and the call's


def format_params(params: Any) -> Any:
    """Write the values of parameters as JSON has them; requests writes "True".

    Raises:
        ConfigurationError: They are not pairs, or a value cannot be a parameter.
    """
    if params is None or isinstance(params, (str, bytes)):
        return params
    try:
        if hasattr(params, "items"):
            return {name: _format("params", name, value) for name, value in params.items()}
        return [(name, _format("params", name, value)) for name, value in params]
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"params={type(params).__name__} must be pairs") from error


def format_data(data: Any) -> Any:
    """Write the values of a form as JSON has them; other bodies stay as they are.

    Raises:
        ConfigurationError: A value cannot be a field of a form.
    """
    if is_mapping(data):
        return {name: _format("data", name, value) for name, value in data.items()}
    if is_list(data) and all(is_tuple(pair) and len(pair) == 2 for pair in data):
        return [(name, _format("data", name, value)) for name, value in data]
    return data


def _format(where: str, name: object, value: Any) -> Any:
    try:
        return values.format_values(value)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {name!r} {error}") from error


def merge_params(session: Any, call: Any) -> Any:
    """Put the session's parameters before the call's; None in a call's mapping removes one.

    Args:
        session: A mapping, pairs or text; None is none.
        call: Likewise.
    """
    if not session and not call:
        return None
    call = format_params(call)
    if not session:
        return call
    session = format_params(session)
    if not call:
        return session
    if is_mapping(session) and is_mapping(call):
        merged = {**session, **call}
        return {name: value for name, value in merged.items() if value is not None}
    if isinstance(session, (str, bytes)) or isinstance(call, (str, bytes)):
        return f"{_as_query(session)}&{_as_query(call)}"
    return [*_as_pairs(session), *_as_pairs(call)]


def _as_pairs(params: Any) -> list[tuple[Any, Any]]:
    return list(params.items() if is_mapping(params) else params)


def _as_query(params: Any) -> str:
    if isinstance(params, bytes):
        return params.decode("utf-8")
    return params if isinstance(params, str) else urlencode(_as_pairs(params), doseq=True)


def merge_headers(
    session: Mapping[str, Any], call: Mapping[str, Any] | None
) -> header_fields.RequestHeaders:
    """Put the call's headers over the session's; None in the call removes one."""
    if isinstance(session, header_fields.RequestHeaders):
        if session.unchecked:
            with suppress(InvalidHeader):  # the call may take it away; it gets what is left
                session.check(check_headers)
        merged = session.copy()
    else:
        merged = header_fields.RequestHeaders(session)
    if call:
        try:
            merged.update(call)
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError("headers= must map names to values") from error
    return merged.without_none() if merged.unchecked else merged
