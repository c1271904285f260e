"""Tokens from an authorization server: OAuth 2.0 without a browser (RFC 6749).

Rule: a client's secret and a refresh token go to `token_url`, and nowhere else.

The token request is a call of our own Session, with its retries, limits and errors. It shares
the adapters, proxies and certificates of the session whose request is signed, and nothing else.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack, cast
from urllib.parse import quote_plus, urlsplit

import requests

from httpkit._client import preparation
from httpkit._client.session import Session
from httpkit._core import redaction, urls
from httpkit._core.deadline import Deadline
from httpkit._core.redaction import causes
from httpkit._core.types import TokenTransport
from httpkit._diagnostics import log_records
from httpkit._diagnostics.checks import check_seconds
from httpkit._diagnostics.errors import (
    BodyTooLargeError,
    ConfigurationError,
    DeadlineExceededError,
    TokenError,
)
from httpkit._messages.call import call_of
from httpkit._messages.request import PreparedRequest
from httpkit._oauth import token_cache
from httpkit._oauth.token_cache import TokenCache, TokenSet
from httpkit._policy import auth
from httpkit._policy.auth import NO_AUTH, BasicAuth, Secret, Strategy
from httpkit._policy.retry import RetryPolicy

ClientAuth: TypeAlias = Literal["basic", "post"]
Form: TypeAlias = list[tuple[str, str]]

_SECRET, _REFRESH = "client_secret", "refresh_token"

# More is no token response, and must not fill the memory.
_LARGEST_ANSWER = 1 << 20
# A token that was granted and got lost on the way does no harm, and another is not asked for in
# vain. That holds for a refresh token too: if the server has replaced it, the new one is lost,
# and asking again is the only chance that it repeats its answer (RFC 9700 section 4.14.2).
_RETRY = RetryPolicy(methods={"POST"})

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


class RefreshOptions(TokenOptions, total=False):
    """The keywords of `RefreshTokenAuth`."""

    on_refresh: Callable[[TokenSet], object] | None


@dataclass(frozen=True, repr=False)
class _TokenAuth(Strategy):
    """What the grants have in common: the client, what it asks for, and the token it got."""

    token_url: str
    client_id: str
    _: KW_ONLY
    scope: str | Sequence[str] | None = None
    audience: str | None = None
    resource: str | Sequence[str] | None = None
    leeway: float = 30
    client_auth: ClientAuth = "basic"
    _keeper: TokenCache = field(default_factory=TokenCache, init=False, compare=False)

    def __post_init__(self) -> None:
        _check_token_url(self.token_url)
        _matching(_CLIENT_ID, self.client_id, "client_id")
        object.__setattr__(self, "scope", _as_scope(self.scope))
        object.__setattr__(self, "resource", _as_resources(self.resource))
        if self.audience is not None:
            _matching(_CLIENT_ID, self.audience, "audience")
        check_seconds("leeway", self.leeway)
        if self.client_auth not in ("basic", "post"):
            raise ConfigurationError(f"client_auth={self.client_auth!r} is neither basic nor post")

    @property
    def can_change(self) -> bool:
        """Whether another token may be had: always."""
        return True

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it; ask for a token if there is none.

        Raises:
            TokenError: The authorization server gives none.
            RequestException: It cannot be reached, or not within the deadline of the call.
            ConfigurationError: A secret from a callable or the environment cannot be had.
        """
        call = call_of(r)
        token = self._keeper.token(
            partial(self._fetch, call.credentials.token_transport),
            self._tell,
            leeway=self.leeway,
            deadline=call.deadline or Deadline.start(call.options.deadline),
        )
        r.headers["Authorization"] = f"Bearer {token}"
        hook = _ResponseHook(self)
        if not isinstance(r, PreparedRequest) and hook not in r.hooks["response"]:
            r.register_hook("response", hook)  # nobody else tells of a 401
        return r

    def reject(self, request: requests.PreparedRequest) -> None:
        """Forget the token, if it is the one of this request: the server answered 401."""
        self._keeper.reject(_token_of(request))

    def accept(self, request: requests.PreparedRequest) -> None:
        """Note that the token of this request is a good one."""
        self._keeper.accept(_token_of(request))

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        """Ask for tokens, by the way of a session; the grants differ here."""
        raise NotImplementedError

    def _tell(self, granted: TokenSet) -> None:
        """Be told of new tokens before they are used."""

    def _exchange(
        self, grant: Form, secret: str | None, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        """Send a token request; return what it grants, and the seconds since it was sent."""
        asked = [("scope", self.scope), ("audience", self.audience)]
        asked += [("resource", resource) for resource in self.resource or ()]
        form = [*grant, *((name, str(value)) for name, value in asked if value is not None)]
        signer: Strategy = NO_AUTH
        if secret is not None and self.client_auth == "basic":
            # RFC 6749 section 2.3.1: both are form-encoded before they become Basic.
            signer = BasicAuth(quote_plus(self.client_id), quote_plus(secret))
        else:
            form.append(("client_id", self.client_id))
            form += [] if secret is None else [("client_secret", secret)]
        return _ask(self.token_url, form, signer, token_transport, within)

    def __getstate__(self) -> dict[str, Any]:
        """Return what was configured; a token is fetched anew where a pickle wakes up."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.compare}

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = {p.name: cast("Any", p.default_factory)() for p in fields(self) if not p.compare}
        self.__dict__.update(state, **fresh)


@dataclass(frozen=True, slots=True, repr=False)
class _ResponseHook:
    """A response hook for plain requests that tells a strategy of its token's reception.

    A pickled response holds its request with its hooks: the strategy stays behind.
    """

    strategy: Strategy | None

    def __call__(self, response: requests.Response, **_: Any) -> None:
        if self.strategy is not None:
            judge = self.strategy.reject if response.status_code == 401 else self.strategy.accept
            judge(response.request)

    def __reduce__(self) -> tuple[Any, ...]:
        return _ResponseHook, (None,)


@dataclass(frozen=True, repr=False)
class ClientCredentialsAuth(_TokenAuth):
    """A service's own access to an API (RFC 6749 section 4.4), as a bearer token.

    The token is asked for by the first request, by one thread while others wait, and serves
    all that share this object. It is replaced `min(leeway, expires_in / 2)` seconds before its
    end, and once when the API answers 401, if the request can be sent again.

    Args:
        token_url: The token endpoint: https, or http on this machine.
        client_id: As registered with the authorization server.
        client_secret: A text, or a callable asked for every token.
        scope: What the token shall permit, separated by spaces or in a sequence; None leaves
            it to the server.
        audience: Whom the token is for, where the server wants it so; None names none.
        resource: The URI, or URIs, of the API (RFC 8707); None names none.
        leeway: Seconds before its end at which a token is replaced, 0 or more.
        client_auth: How the client says who it is: "basic" in a header, "post" in the form.

    Raises:
        ConfigurationError: token_url is not https, or an argument cannot be sent.
    """

    client_secret: Secret

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_secret(self.client_secret, _SECRET)

    @classmethod
    def from_env(
        cls, token_url: str, client_id: str, client_secret: str, **options: Unpack[TokenOptions]
    ) -> Self:
        """Read the client's id and secret from the environment variables of these names.

        The secret is read for every token; the id now.

        Raises:
            ConfigurationError: One of them is not set or empty, or as for the class.
        """
        who = auth.secret_from_env(client_id)()
        return cls(token_url, who, auth.secret_from_env(client_secret), **options)

    def __repr__(self) -> str:
        return f"ClientCredentialsAuth({_shown_client(self)}, {auth.shown(self.client_secret)})"

    def _fetch(
        self, token_transport: TokenTransport | None, within: float
    ) -> tuple[TokenSet, float]:
        grant = [("grant_type", "client_credentials")]
        return self._exchange(grant, _hidden(self.client_secret, _SECRET), token_transport, within)


@dataclass(frozen=True, repr=False)
class RefreshTokenAuth(_TokenAuth):
    """A user's permission that was given before (RFC 6749 section 6), as a bearer token.

    Tokens are fetched and replaced as by `ClientCredentialsAuth`. Where the server replaces
    the refresh token with each use, this object goes on with the new one, and `on_refresh`
    can store it for the next process. Two objects must not share such a refresh token.

    Args:
        token_url: The token endpoint: https, or http on this machine.
        client_id: As registered with the authorization server.
        refresh_token: A text, or a callable asked for every token, such as one that reads
            what `on_refresh` stored.
        client_secret: A text, or a callable asked for every token; None for a public client.
        scope: Less than was permitted, separated by spaces or in a sequence; None is all.
        audience: Whom the token is for, where the server wants it so; None names none.
        resource: The URI, or URIs, of the API (RFC 8707); None names none.
        leeway: Seconds before its end at which a token is replaced, 0 or more.
        client_auth: How the client says who it is: "basic" in a header, "post" in the form.
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
        if self.on_refresh is not None and not callable(self.on_refresh):
            raise ConfigurationError(f"on_refresh={self.on_refresh!r} cannot be called")

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
        who = auth.secret_from_env(client_id)()
        secret = None if client_secret is None else auth.secret_from_env(client_secret)
        return cls(token_url, who, auth.secret_from_env(refresh_token), secret, **options)

    def __repr__(self) -> str:
        return f"RefreshTokenAuth({_shown_client(self)}, {auth.shown(self.refresh_token)})"

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

    def _tell(self, granted: TokenSet) -> None:
        if self.on_refresh is not None:
            self.on_refresh(granted)


def _token_of(request: requests.PreparedRequest) -> str:
    return str(request.headers.get("Authorization", "")).removeprefix("Bearer ")


def _hidden(secret: Secret, what: str) -> redaction.Hidden:
    return redaction.Hidden(auth.text_of(secret, what))


def _ask(
    url: str, form: Form, signer: Strategy, token_transport: TokenTransport | None, within: float
) -> tuple[TokenSet, float]:
    """Send a token request; return what it grants, and the seconds since it was sent."""
    if within <= 0:
        raise DeadlineExceededError(f"the deadline passed before POST {redaction.redact_url(url)}")
    client = Session(retry=_RETRY, max_body=_LARGEST_ANSWER, raise_for_status=False)
    options: dict[str, Any] = {}
    if token_transport is not None:
        client.adapters = token_transport.adapters
        client.trust_env = False  # what the environment says is among the carrier's settings
        settings = token_transport.merge_environment_settings(url, {}, None, None, None)
        options = {name: settings[name] for name in ("verify", "cert", "proxies")}
    try:
        response = client.post(
            url,
            data=form,
            auth=signer,
            headers={"Accept": "application/json"},
            allow_redirects=False,
            deadline=within,
            **options,
        )
    except BodyTooLargeError:
        what = f"POST {redaction.redact_url(url)} answered with more than {_LARGEST_ANSWER} bytes"
    except requests.RequestException as error:
        _forget_requests(error)
        raise
    else:
        granted = token_cache.read(response)
        log_records.token(response.request, expires_in=granted.expires_in)
        return granted, response.elapsed.total_seconds()
    finally:
        if token_transport is None:  # otherwise the connections are the carrier's
            client.close()
    raise TokenError(f"no token: {what}")  # out of the handler: its error holds the answer


def _forget_requests(error: BaseException) -> None:
    """Take requests and answers off an error and what it came from: they hold the secret."""
    for cause in causes(error):
        if isinstance(cause, requests.RequestException):
            cause.request = cause.response = None
            cause.__dict__["attempts"] = 0  # of the caller's request


def _check_token_url(url: object) -> None:
    """Refuse a URL to which a secret must not go.

    Raises:
        ConfigurationError: It is not absolute, not https, or holds userinfo or a fragment.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"token_url must be a str, not {type(url).__name__}")
    shown = urls.shown(url)
    try:
        scheme, host, _ = urls.origin(url)
    except requests.exceptions.InvalidURL as error:
        raise ConfigurationError(f"token_url={shown} cannot be parsed") from error
    if not urls.is_absolute(url) or not host or scheme not in urls.DEFAULT_PORTS:
        raise ConfigurationError(f"token_url={shown} must be an absolute https URL")
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError(f"token_url={shown} holds a user name or password")
    if "#" in url:  # RFC 6749 section 3.2
        raise ConfigurationError(f"token_url={shown} cannot have a fragment")
    if not preparation.is_private(url):
        raise ConfigurationError(f"token_url={shown} would take the secret unencrypted: use https")


def _check_secret(secret: Secret, what: str) -> None:
    if not callable(secret):
        auth.text_of(secret, what)


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(f"{what}={value!r} cannot be sent")
    return value


def _each(value: object, what: str) -> list[Any]:
    if isinstance(value, (bytes, bytearray)) or not isinstance(value, Sequence) or not value:
        raise ConfigurationError(f"{what}={value!r} must be a str or several, or None")
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


def _shown_client(strategy: _TokenAuth) -> str:
    return f"{redaction.redact_url(strategy.token_url)!r}, {strategy.client_id!r}"
