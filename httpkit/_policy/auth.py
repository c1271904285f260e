"""Authentication: what a strategy is, and what may be given as `auth=`.

Every strategy is a `requests.auth.AuthBase`, so it works with plain requests too. Signing twice is
the same as signing once: a retried or redirected request is signed afresh. `strategies` has those
that users make.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import requests
from requests.auth import AuthBase

from httpkit._core.classes import public
from httpkit._core.given import is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError

if TYPE_CHECKING:
    from httpkit._policy import strategies
else:
    strategies = ImportedLater("httpkit._policy.strategies")

Signer: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]


@public
class Strategy(AuthBase):
    """The base class of auth strategies.

    A subclass defines `__call__(request)`, which signs the request in place and returns it,
    and must give the same request when called twice.
    """

    @property
    def can_change(self) -> bool:
        """Whether signing again may give another signature, as after a rejected token."""
        return False

    def reject(self, request: requests.PreparedRequest) -> None:
        """Note that the server responded with 401 to a request signed here.

        A strategy that keeps a token forgets it, if it is still the one of that request: the
        next signature asks for another.
        """

    def accept(self, request: requests.PreparedRequest) -> None:
        """Note that a request signed again after a 401 got another status."""

    @property
    def _resigner(self) -> Signer:
        """What signs a later attempt."""
        return self

    def __and__(self, other: object) -> strategies.CombinedAuth:
        """Apply both: `BearerAuth(token) & APIKeyAuth(key)`."""
        return strategies.CombinedAuth((self, as_signer(other)))

    def __rand__(self, other: object) -> strategies.CombinedAuth:
        return strategies.CombinedAuth((as_signer(other), self))


def as_signer(auth: object) -> Signer:
    """Return what requests would call: a (user, password) tuple is basic auth.

    Raises:
        ConfigurationError: It is neither a tuple of two nor callable.
    """
    if is_tuple(auth) and len(auth) == 2:
        return strategies.basic(*auth)
    if not callable(auth):
        raise ConfigurationError(f"auth cannot be {type(auth).__name__}: pass a strategy")
    return cast("Signer", auth)


def login_signer(login: tuple[str, str]) -> Signer:
    """Return what signs with the user and password of a URL or of netrc."""
    return strategies.basic(*login, is_ambient=True)


class _NoAuth(Strategy):
    """Sign nothing, and keep requests from looking into netrc."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it."""
        return r

    def __repr__(self) -> str:
        return "NO_AUTH"

    def __reduce__(self) -> str:
        return "NO_AUTH"


NO_AUTH: Strategy = _NoAuth()
"""Sign nothing on this call, whatever the session's auth is."""


def resigner(auth: object) -> Signer | None:
    """Return what signs a later attempt; None for auth that is applied once."""
    if not isinstance(auth, Strategy) or auth is NO_AUTH:
        return None
    return auth._resigner  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # of this module


def refreshable(auth: object) -> Strategy | None:
    """Return the strategy if it may sign differently after a 401; None for other auth."""
    return auth if isinstance(auth, Strategy) and auth.can_change else None
