"""Tokens from an authorization server: OAuth 2.0 without a browser (RFC 6749).

    TokenAuth              any grant: a function of the caller's fetches the token
    ClientCredentialsAuth  a service's own access
    RefreshTokenAuth       a user's permission that was given before

Rule: a client's secret and a refresh token go to `token_url`, and nowhere else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack, cast
from urllib.parse import quote_plus, urlsplit

import requests

from httpkit._client.session import Session
from httpkit._core import header_fields, redaction, urls
from httpkit._core.classes import public
from httpkit._core.clock import CLOCK, Deadline
from httpkit._core.given import is_mapping, is_tuple
from httpkit._core.types import TokenTransport
from httpkit._diagnostics.base_errors import check_seconds
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.call import call_of
from httpkit._messages.request import PreparedRequest
from httpkit._oauth import token_cache
from httpkit._oauth.token_cache import TokenCache, TokenSet
from httpkit._oauth.token_request import LARGEST_RESPONSE, Form, request_token, session_for_tokens
from httpkit._policy import forwarding, strategies
from httpkit._policy.auth import NO_AUTH, Strategy
from httpkit._policy.strategies import BasicAuth, Secret

ClientAuth: TypeAlias = Literal["basic", "post"]
Fields: TypeAlias = tuple[tuple[str, Secret], ...]

_SECRET, _REFRESH = "client_secret", "refresh_token"
_CLIENT_CREDENTIALS, _ASSERTION = "client_credentials", "client_assertion"  # RFC 7521 section 4.2

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_CLIENT_ID = re.compile(r"[^\x00-\x1f\x7f]+")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x22\x24-\x7e]+")  # RFC 8707 section 2


class TokenOptions(TypedDict, total=False):
    """The keywords that every strategy with a token endpoint takes."""

    scope: str | Sequence[str] | None
    audience: str | None
    resource: str | Sequence[str] | None
    leeway: float
    client_auth: ClientAuth
    extra: Mapping[str, Secret] | None
    allow_http: bool
    header: str
    scheme: str


class ClientOptions(TokenOptions, total=False):
    """The keywords of `ClientCredentialsAuth`."""

    grant_type: str


class RefreshOptions(TokenOptions, total=False):
    """The keywords of `RefreshTokenAuth`."""

    on_refresh: Callable[[TokenSet], object] | None


class _CachedTokenAuth(Strategy):
    """A strategy that signs with one token for all threads, until it expires or is rejected."""

    leeway: float
    header: str
    scheme: str
    _cache: TokenCache

    @property
    def can_change(self) -> bool:
        """Whether another token can be fetched: always."""
        return True

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it; fetch a token if there is none.

        Raises:
            TokenError: The authorization server grants none.
            RequestException: It cannot be reached, or not within the deadline of the call.
            ConfigurationError: A secret from a callable or the environment is missing.
        """
        call = call_of(r)
        token = self._cache.token(
            partial(self._fetch, call.credentials.token_transport),
            self._notify,
            leeway=self.leeway,
            deadline=call.deadline or Deadline.start(call.options.deadline),
        )
        r.headers[self.header] = f"{self.scheme} {token}".lstrip()
        hook = _ResponseHook(self)
        if not isinstance(r, PreparedRequest) and hook not in r.hooks["response"]:
            r.register_hook("response", hook)  # a plain session reports no 401
        return r

    def reject(self, request: requests.PreparedRequest) -> None:
        """Forget the token, if it is the one of this request: the server responded with 401."""
        self._cache.reject(self._token_of(request))

    def accept(self, request: requests.PreparedRequest) -> None:
        """Note that the server accepted the token of this request."""
        self._cache.accept(self._token_of(request))

    def _token_of(self, request: requests.PreparedRequest) -> str:
        value = str(request.headers.get(self.header, ""))
        return value.removeprefix(f"{self.scheme} ") if self.scheme else value

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        """Fetch tokens within so many seconds, by the adapters of a session."""
        raise NotImplementedError

    def _notify(self, granted: TokenSet) -> None:
        """Pass on new tokens before they are used."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the configuration; the process that unpickles it fetches a token of its own."""
        return {part.name: getattr(self, part.name) for part in _fields(self) if part.compare}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = {p.name: cast("Any", p.default_factory)() for p in _fields(self) if not p.compare}
        self.__dict__.update(state, **fresh)


def _fields(strategy: Any) -> tuple[Field[Any], ...]:
    return fields(strategy)


@public
@dataclass(frozen=True, repr=False)
class TokenAuth(_CachedTokenAuth):
    """A bearer token that a function of yours fetches, for any grant (RFC 6749 section 4.5).

    The first request fetches the token, in one thread while others wait, and all that share this
    object use it. It is replaced `min(leeway, expires_in / 2)` seconds before it expires, and once
    when the API responds with 401, if the request can be sent again.

    Args:
        fetch: Called with a session and the previous TokenSet (None at first); returns a TokenSet,
            or the access token as a str, which is used until it is rejected. The session has the
            adapters, proxies and certificates of the one that is being signed, sends nothing else
            of it, and ends with its deadline. `TokenSet.from_response` reads a token response.
            What it raises is raised unchanged.
        leeway: Seconds before its end at which a token is replaced, 0 or more.
        on_refresh: Called with each TokenSet before it is used. What it raises ends the call. None
            calls nothing.
        header: The header field that takes the token, such as "X-Amz-Access-Token".
        scheme: What is put before the token, such as "Zoho-oauthtoken"; "" for nothing.

    Raises:
        ConfigurationError: fetch or on_refresh cannot be called, leeway is negative, or header or
            scheme cannot be sent.
    """

    fetch: Callable[[Session, TokenSet | None], TokenSet | str]
    _: KW_ONLY
    leeway: float = 30
    on_refresh: Callable[[TokenSet], object] | None = None
    header: str = "Authorization"
    scheme: str = "Bearer"
    _cache: TokenCache = field(default_factory=TokenCache, init=False, compare=False)

    def __post_init__(self) -> None:
        if not callable(self.fetch):
            raise ConfigurationError(f"fetch={self.fetch!r} cannot be called")
        check_seconds("leeway", self.leeway)
        _check_callback(self.on_refresh)
        _check_header(self.header, self.scheme)

    def __repr__(self) -> str:
        return f"TokenAuth({getattr(self.fetch, '__qualname__', type(self.fetch).__name__)})"

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        began = CLOCK.monotonic()
        with session_for_tokens(token_transport, deadline=within) as session:
            granted = token_cache.check(self.fetch(session, self._cache.latest))
        return granted, CLOCK.monotonic() - began

    def _notify(self, granted: TokenSet) -> None:
        if self.on_refresh is not None:
            self.on_refresh(granted)


@dataclass(frozen=True, repr=False)
class _GrantAuth(_CachedTokenAuth):
    """What the grants have in common: the client, what it requests, and the token endpoint."""

    token_url: str
    client_id: str
    _: KW_ONLY
    scope: str | Sequence[str] | None = None
    audience: str | None = None
    resource: str | Sequence[str] | None = None
    leeway: float = 30
    client_auth: ClientAuth = "basic"
    extra: Mapping[str, Secret] | Fields | None = None
    allow_http: bool = False
    header: str = "Authorization"
    scheme: str = "Bearer"
    _cache: TokenCache = field(default_factory=TokenCache, init=False, compare=False)

    def __post_init__(self) -> None:
        _check_flag("allow_http", self.allow_http)
        _check_header(self.header, self.scheme)
        _check_token_url(self.token_url, allows_http=self.allow_http)
        _matching(_CLIENT_ID, self.client_id, "client_id")
        object.__setattr__(self, "scope", _as_scope(self.scope))
        object.__setattr__(self, "resource", _as_resources(self.resource))
        object.__setattr__(self, "extra", _as_fields(self.extra))
        if self.audience is not None:
            _matching(_CLIENT_ID, self.audience, "audience")
        check_seconds("leeway", self.leeway)
        if self.client_auth not in ("basic", "post"):
            raise ConfigurationError(f"client_auth={self.client_auth!r} must be 'basic' or 'post'")

    def _exchange(
        self, grant: Form, secret: str | None, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        """Send a token request; return what it grants, and the seconds since it was sent."""
        requested = [("scope", self.scope), ("audience", self.audience)]
        requested += [("resource", resource) for resource in self.resource or ()]
        form = [*grant, *((name, str(value)) for name, value in requested if value is not None)]
        further = cast("Fields", self.extra or ())
        form += [(name, _hidden(value, f"extra[{name!r}]")) for name, value in further]
        signer: Strategy = NO_AUTH
        if secret is not None and self.client_auth == "basic":
            # RFC 6749 section 2.3.1: both are form-encoded before they become Basic.
            signer = BasicAuth(quote_plus(self.client_id), quote_plus(secret))
        else:
            form.append(("client_id", self.client_id))
            form += [] if secret is None else [("client_secret", secret)]
        with session_for_tokens(
            token_transport, max_body=LARGEST_RESPONSE, allow_http_auth=self.allow_http
        ) as session:
            return request_token(session, self.token_url, form, signer, within)


@dataclass(frozen=True, slots=True, repr=False)
class _ResponseHook:
    """A response hook for plain requests that notifies a strategy of a 401.

    A pickled response holds its request with its hooks: the strategy stays behind.
    """

    strategy: Strategy | None

    def __call__(self, response: requests.Response, **_: Any) -> None:
        if self.strategy is not None:
            notify = self.strategy.reject if response.status_code == 401 else self.strategy.accept
            notify(response.request)

    def __reduce__(self) -> tuple[Any, ...]:
        return _ResponseHook, (None,)


@public
@dataclass(frozen=True, repr=False)
class ClientCredentialsAuth(_GrantAuth):
    """A bearer token from OAuth 2.0 client credentials (RFC 6749 section 4.4).

    The first request fetches the token, in one thread while others wait, and all that share this
    object use it. It is replaced `min(leeway, expires_in / 2)` seconds before its
    end, and once when the API responds with 401, if the request can be sent again.

    Args:
        token_url: The token endpoint: https, or http on this machine.
        client_id: As registered with the authorization server.
        client_secret: A str, or a callable that is called for every token. None for a client that
            has none: one that signs an assertion (`extra={"client_assertion": ...}`, RFC 7523), or
            a public client with another `grant_type`.
        scope: The requested scope, separated by spaces or in a sequence; None sends none.
        audience: The API that the token is for, if the server requires it; None sends none.
        resource: The URI, or URIs, of the API (RFC 8707); None sends none.
        leeway: Seconds before its end at which a token is replaced, 0 or more.
        client_auth: How the client identifies itself: "basic" in a header, "post" in the form.
        grant_type: Another grant that needs no more than form fields, such as Zoom's
            "account_credentials".
        extra: Further fields of the form; a callable is called for every token. They are compared,
            and masked as secrets. None adds none.
        allow_http: Whether token_url may be plain http beyond this machine.
        header: The header field that takes the token, such as "X-Amz-Access-Token".
        scheme: What is put before the token, such as "Zoho-oauthtoken"; "" for nothing.

    Raises:
        ConfigurationError: token_url is not https, an argument cannot be sent, or nothing proves
            who the client is.
    """

    client_secret: Secret | None
    _: KW_ONLY
    grant_type: str = _CLIENT_CREDENTIALS

    def __post_init__(self) -> None:
        super().__post_init__()
        _matching(_CLIENT_ID, self.grant_type, "grant_type")
        if self.client_secret is not None:
            _check_secret(self.client_secret, _SECRET)
            return
        names = {name for name, _ in cast("Fields", self.extra or ())}
        if self.grant_type == _CLIENT_CREDENTIALS and _ASSERTION not in names:
            raise ConfigurationError(
                "client_secret is None: pass it, or client_assertion in extra="
            )

    @classmethod
    def from_env(
        cls, token_url: str, client_id: str, client_secret: str, **options: Unpack[ClientOptions]
    ) -> Self:
        """Read the client's id and secret from the environment variables of these names.

        The secret is read for every token; the id now.

        Raises:
            ConfigurationError: One of them is not set or empty, or as for the class.
        """
        client = strategies.secret_from_env(client_id)()
        return cls(token_url, client, strategies.secret_from_env(client_secret), **options)

    def __repr__(self) -> str:
        secret = self.client_secret
        shown = None if secret is None else strategies.describe_secret(secret)
        return f"ClientCredentialsAuth({_redacted_client(self)}, {shown})"

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        grant = [("grant_type", self.grant_type)]
        secret = None if self.client_secret is None else _hidden(self.client_secret, _SECRET)
        return self._exchange(grant, secret, token_transport, within)


@public
@dataclass(frozen=True, repr=False)
class RefreshTokenAuth(_GrantAuth):
    """A bearer token from an OAuth 2.0 refresh token (RFC 6749 section 6).

    Tokens are fetched and replaced as by `ClientCredentialsAuth`. Where the server replaces the
    refresh token with each use, this object uses the new one, and `on_refresh` can store it for the
    next process. Two objects must not share such a refresh token.

    Args:
        token_url: The token endpoint: https, or http on this machine.
        client_id: As registered with the authorization server.
        refresh_token: A str, or a callable that is called for every token, such as one that reads
            what `on_refresh` stored.
        client_secret: A str, or a callable that is called for every token; None for a public
            client.
        scope: A part of the granted scope, separated by spaces or in a sequence; None is all.
        audience: The API that the token is for, if the server requires it; None sends none.
        resource: The URI, or URIs, of the API (RFC 8707); None sends none.
        leeway: Seconds before its end at which a token is replaced, 0 or more.
        client_auth: How the client identifies itself: "basic" in a header, "post" in the form.
        extra: Further fields of the form; a callable is called for every token. They are compared,
            and masked as secrets. None adds none.
        allow_http: Whether token_url may be plain http beyond this machine.
        header: The header field that takes the token, such as "X-Amz-Access-Token".
        scheme: What is put before the token, such as "Zoho-oauthtoken"; "" for nothing.
        on_refresh: Called with each TokenSet before it is used; its refresh_token is the one
            to use next. What it raises ends the call. None calls nothing.

    Raises:
        ConfigurationError: token_url is not https, or an argument cannot be sent.
    """

    refresh_token: Secret
    client_secret: Secret | None = None
    _: KW_ONLY
    on_refresh: Callable[[TokenSet], object] | None = None
    # What the server put in place of the refresh token that was given: a callable that returns
    # another one than before is believed, one that returns the same is behind.
    _latest: dict[str, str] = field(default_factory=dict[str, str], init=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_secret(self.refresh_token, _REFRESH)
        if self.client_secret is not None:
            _check_secret(self.client_secret, _SECRET)
        _check_callback(self.on_refresh)

    @classmethod
    def from_env(
        cls,
        token_url: str,
        client_id: str,
        refresh_token: str,
        client_secret: str | None = None,
        **options: Unpack[RefreshOptions],
    ) -> Self:
        """Read id, refresh token and secret from the environment variables of these names.

        A refresh token that the server replaces is replaced in memory, not in the environment.

        Raises:
            ConfigurationError: One of them is not set or empty, or as for the class.
        """
        client = strategies.secret_from_env(client_id)()
        secret = None if client_secret is None else strategies.secret_from_env(client_secret)
        return cls(token_url, client, strategies.secret_from_env(refresh_token), secret, **options)

    def __repr__(self) -> str:
        token = strategies.describe_secret(self.refresh_token)
        return f"RefreshTokenAuth({_redacted_client(self)}, {token})"

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        given = _hidden(self.refresh_token, _REFRESH)
        latest = redaction.Hidden(self._latest.get(given, given))
        secret = self.client_secret
        granted, age = self._exchange(
            [("grant_type", "refresh_token"), ("refresh_token", latest)],
            None if secret is None else _hidden(secret, _SECRET),
            token_transport,
            within,
        )
        following = granted.refresh_token or latest
        self._latest.clear()
        self._latest[given] = following
        return replace(granted, refresh_token=following), age

    def _notify(self, granted: TokenSet) -> None:
        if self.on_refresh is not None:
            self.on_refresh(granted)


def _hidden(secret: Secret, what: str) -> redaction.Hidden:
    return redaction.Hidden(strategies.text_of(secret, what))


def _check_callback(callback: object) -> None:
    if callback is not None and not callable(callback):
        raise ConfigurationError(f"on_refresh={callback!r} cannot be called")


def _check_header(header: object, scheme: object) -> None:
    """Refuse a header field or a scheme that cannot be sent (RFC 9110 section 5.6.2)."""
    for what, value in (("header", header), ("scheme", scheme)):
        is_name = isinstance(value, str) and header_fields.is_name(value)
        if not is_name and (what, value) != ("scheme", ""):
            raise ConfigurationError(f"{what}={redaction.shown(value)} cannot be sent")


def _check_flag(name: str, flag: object) -> None:
    if not isinstance(flag, bool):
        raise ConfigurationError(f"{name}={flag!r} must be True or False")


def _check_token_url(url: object, *, allows_http: bool) -> None:
    """Refuse a URL to which a secret must not go.

    Raises:
        ConfigurationError: It is not absolute, not https, or holds userinfo or a fragment.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"token_url must be a str, not {type(url).__name__}")
    redacted = urls.redacted(url)
    try:
        scheme, host, _ = urls.origin(url)
    except requests.exceptions.InvalidURL as error:
        raise ConfigurationError(f"token_url={redacted} cannot be parsed") from error
    if not urls.is_absolute(url) or not host or scheme not in urls.DEFAULT_PORTS:
        raise ConfigurationError(f"token_url={redacted} must be an absolute https URL")
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError(f"token_url={redacted} holds a user name or password")
    if "#" in url:  # RFC 6749 section 3.2
        raise ConfigurationError(f"token_url={redacted} cannot have a fragment")
    if not allows_http and not forwarding.is_private(url):
        raise ConfigurationError(
            f"token_url={redacted} would take the secret unencrypted: use https, or allow_http=True"
        )


def _check_secret(secret: Secret, what: str) -> None:
    if not callable(secret):
        strategies.text_of(secret, what)


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(f"{what}={redaction.shown(value)} cannot be sent")
    return value


def _each(value: object, what: str) -> list[Any]:
    if isinstance(value, (bytes, bytearray)) or not isinstance(value, Sequence) or not value:
        shown = redaction.shown(cast("object", value))
        raise ConfigurationError(f"{what}={shown} must be a str or several, or None")
    return list(cast("Sequence[Any]", value))


def _as_scope(scope: str | Sequence[str] | None) -> str | None:
    """Write a scope as the RFC does: names separated by one space."""
    if scope is None:
        return None
    names = _each(scope.split() if isinstance(scope, str) else scope, "scope")
    return " ".join(_matching(_SCOPE, name, "scope") for name in names)


def _as_resources(resource: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if resource is None:
        return None
    uris = _each([resource] if isinstance(resource, str) else resource, "resource")
    return tuple(_matching(_RESOURCE, uri, "resource") for uri in uris)


def _as_fields(extra: Any) -> Fields:
    """Return further form fields as pairs, which compare and hash.

    Raises:
        ConfigurationError: They are no mapping, name what has a keyword, or cannot be sent.
    """
    if extra is None:
        return ()
    pairs: Any = extra.items() if is_mapping(extra) else extra
    if not is_mapping(extra) and not is_tuple(extra):  # a tuple is what a copy was made of
        raise ConfigurationError("extra must map the names of form fields to str or callables")
    for name, value in pairs:
        _matching(_CLIENT_ID, name, "extra's name")
        if name in _OF_KEYWORDS:
            raise ConfigurationError(f"extra cannot hold {name!r}: it has a keyword of its own")
        _check_secret(value, f"extra[{name!r}]")
    return tuple(pairs)


_OF_KEYWORDS = frozenset({
    "grant_type", "client_id", "client_secret", "refresh_token", "scope", "audience", "resource",
})  # fmt: skip


def _redacted_client(strategy: _GrantAuth) -> str:
    return f"{redaction.redact_url(strategy.token_url)!r}, {strategy.client_id!r}"
