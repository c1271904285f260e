"""Which origins may see what a request carries: one decision, made for every request here.

First requests and redirects ask, and so do the next pages of a list, polled operations, created
items and the steps of an upload, whose URLs a server gave.

Rule: an origin that is not allowed gets the harmless header fields, and no credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from httpkit._core import urls
from httpkit._core.lazy import ImportedLater
from httpkit._core.urls import Origin
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.call import NO_CALL
from httpkit._messages.request import PreparedRequest

if TYPE_CHECKING:
    from typing import TypeVar

    from httpkit._core import disclosure, types

    S = TypeVar("S", bound=types.CredentialHolder)
else:
    types = ImportedLater("httpkit._core.types")
    disclosure = ImportedLater("httpkit._core.disclosure")

# The keywords of a call that are credentials, or are known to one server alone.
_CREDENTIALS = frozenset({"auth", "cookies", "cert", "idempotency_key"})
# Origins that are remembered; more of them come from a crawler, which gains nothing.
_MOST_KEPT = 256


class Scope:
    """Where a request goes, and who may see what it carries.

    Attributes:
        origin: Of its URL.
        allowed_origins: The origins that may see its credentials: those that may see the
            session's, if this is one of them; else this one alone, to which the caller pointed
            the credentials of the call.
        uses_session: Whether the session's credentials are among them.
        is_private: Whether nobody on the way can read what is sent.
    """

    __slots__ = ("allowed_origins", "is_private", "origin", "uses_session")

    def __init__(
        self,
        origin: Origin,
        allowed_origins: frozenset[Origin],
        *,
        uses_session: bool,
        is_private: bool,
    ) -> None:
        self.origin: Final = origin
        self.allowed_origins: Final = allowed_origins
        self.uses_session: Final = uses_session
        self.is_private: Final = is_private


def scope_of(session: types.CredentialHolder, url: str) -> Scope:
    """Return where a call goes, and who may see what it carries.

    Args:
        session: Its credentials belong to the origin of its base URL and the trusted ones;
            without a base URL, to the origin of each URL.
        url: Absolute, as the caller gave it.
    """
    found = urls.AUTHORITY.match(url)
    bound = session._bound_origins  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # declared above
    trusted = session.trusted_origins
    return _scope(
        url if found is None else found[0],
        session.base_url,
        tuple(trusted) if trusted else (),
        bound,
    )


@lru_cache(maxsize=_MOST_KEPT)
def _scope(
    url: str, base: str | None, trusted: tuple[str, ...], bound: frozenset[Origin] | None
) -> Scope:
    origin, allowed = urls.origin(url), bound
    if allowed is None:
        allowed = frozenset(map(urls.origin, (url if base is None else base, *trusted)))
    uses_session = origin in allowed
    visible_to = allowed if uses_session else frozenset({origin})
    return Scope(origin, visible_to, uses_session=uses_session, is_private=is_private(url))


def allowed_origins(session: types.CredentialHolder, url: str) -> frozenset[Origin]:
    """Return the origins that may see what a call to a URL carries."""
    return scope_of(session, url).allowed_origins


def is_allowed(url: str, allowed: frozenset[Origin]) -> bool:
    """Say whether a URL is of an origin that may see what a request carries."""
    return urls.origin(url) in allowed


def forwardable(
    headers: Mapping[str, Any], url: str, allowed: frozenset[Origin]
) -> Mapping[str, Any]:
    """Return the header fields that may be sent to a URL: all, or else the harmless ones."""
    return headers if is_allowed(url, allowed) else harmless(headers)


def harmless(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that every origin may see."""
    return {n: value for n, value in headers.items() if n.lower() in disclosure.FORWARDABLE}


def for_link(
    session: S, options: Mapping[str, Any], url: str, allowed: frozenset[Origin]
) -> tuple[S, dict[str, Any]]:
    """Return the session and the keywords of `request` for a URL that a server gave.

    Args:
        session: The caller's.
        options: The caller's keywords.
        url: Absolute.
        allowed: The origins that may see the credentials of both.
    """
    if is_allowed(url, allowed):
        return session, dict(options)
    left = {name: value for name, value in options.items() if name not in _CREDENTIALS}
    left["headers"] = harmless(left.get("headers") or {})
    bound = session.with_options(strict=True)  # requests' rules would send them
    bound._bound_origins = allowed  # noqa: SLF001  # declared above
    return bound, left


# ---- On the way


def is_private(url: str) -> bool:
    """Say whether nobody on the way can read what is sent to a URL."""
    found = urls.AUTHORITY.match(url)
    return _is_private(url if found is None else found[0])


@lru_cache(maxsize=_MOST_KEPT)
def _is_private(url: str) -> bool:
    scheme, host, _ = urls.origin(url)
    return scheme != "http" or urls.is_loopback(host)


def refuse_plain_http(request: PreparedRequest) -> None:
    """Refuse to send credentials where anybody on the way can read them.

    Raises:
        ConfigurationError: The request holds credentials, goes over plain http, and its call
            does not allow it.
    """
    call, url = request.call or NO_CALL, request.url or ""
    if call.options.allow_http_auth or is_private(url):
        return
    names = [*request.headers, *(name for name, _ in parse_qsl(urlsplit(url).query))]
    secret = next((n for n in names if disclosure.is_secret(n) and n != "Cookie"), None)
    if secret or call.credentials.sign:
        raise ConfigurationError(
            f"refusing to send credentials ({secret or 'auth'}) over plain HTTP to"
            f" {urls.format_origin(urls.origin(url))}: use https, or allow_http_auth=True"
        )
