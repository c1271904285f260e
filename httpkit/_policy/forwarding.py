"""Which origins may see what a request carries: one decision, made for every request here.

First requests and redirects ask, and so do the next pages of a list, polled operations, created
items and the steps of an upload, whose URLs a server gave.

Rule: an origin that is not allowed gets the harmless header fields, and no credential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from httpkit._core import urls
from httpkit._core.disclosure import FORWARDABLE
from httpkit._core.urls import Origin

# The keywords of a call that are credentials, or are known to one server alone.
_CREDENTIALS = frozenset({"auth", "cookies", "cert", "idempotency_key"})


class CredentialHolder(Protocol):
    """A session, whose credentials are bound to origins."""

    _bound_origins: frozenset[Origin] | None

    @property
    def base_url(self) -> str | None:
        """What relative URLs are appended to."""
        ...

    @property
    def trusted_origins(self) -> Sequence[str]:
        """Further origins that may see the session's credentials."""
        ...

    def with_options(self, *, strict: bool) -> Any:
        """Return a clone with other settings."""
        ...


S = TypeVar("S", bound=CredentialHolder)


def allowed_origins(session: CredentialHolder, url: str) -> frozenset[Origin]:
    """Return the origins that may see a session's credentials on a call to a URL.

    Args:
        session: Its base URL and trusted origins; without a base URL the caller points its
            credentials to the origin of each URL.
        url: Absolute, as the caller gave it.
    """
    bound = session._bound_origins  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # declared above
    if bound is not None:
        return bound
    return urls.allowed_origins(session.base_url, url, session.trusted_origins)


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
    return {name: value for name, value in headers.items() if name.lower() in FORWARDABLE}


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
    left["headers"] = forwardable(left.get("headers") or {}, url, allowed)
    bound = session.with_options(strict=True)  # requests' rules would send them
    bound._bound_origins = allowed  # noqa: SLF001  # declared above
    return bound, left
