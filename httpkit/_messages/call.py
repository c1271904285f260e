"""What one call asked for, and where its credentials may go; it stays with the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import requests
    from requests.cookies import RequestsCookieJar

    from httpkit._core import types
    from httpkit._core.clock import Deadline
    from httpkit._core.urls import Origin

# Classes with slots: a NamedTuple takes three times as long to make, and its class ten times as
# long to import. That their fields do not change, type checkers see.


class CallOptions:
    """The settings of a call: its own, or else those of its session.

    Attributes:
        retry: The RetryPolicy, whose module is above this one; None is off.
        deadline: Seconds for the whole call; None is off.
        max_body: The most bytes decoded into memory; None is off.
        redirect_body: Whether a body may follow a redirect to another origin.
        allow_http_auth: Whether credentials may be sent unencrypted.
    """

    __slots__ = ("retry", "deadline", "max_body", "redirect_body", "allow_http_auth")  # noqa: RUF023  # as given

    def __init__(
        self,
        retry: Any = None,
        deadline: float | None = None,
        max_body: int | None = None,
        redirect_body: bool = False,
        allow_http_auth: bool = False,
    ) -> None:
        self.retry: Final = retry
        self.deadline: Final = deadline
        self.max_body: Final = max_body
        self.redirect_body: Final = redirect_body
        self.allow_http_auth: Final = allow_http_auth


class _Changeable:
    """A value of which a copy with other fields can be made."""

    __slots__ = ()

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other fields."""
        twin = object.__new__(type(self))
        names: tuple[str, ...] = self.__slots__
        for name in names:
            setattr(twin, name, getattr(self, name))
        for name, value in changes.items():
            setattr(twin, name, value)
        return twin


class Credentials(_Changeable):
    """What authenticates a request, and which origins may see it.

    Attributes:
        allowed_origins: Who may see them; empty once they were withheld.
        uses_session: Whether the session's own credentials and cookies are among them.
        cookies: The call's own, over the session's; None when it has none.
        sign: Signs a request again; None when no strategy of ours is in use.
        refreshable: The strategy to be notified of a 401 before it signs again; None when
            another signature would be the same.
        token_transport: The session whose adapters, proxies and certificates a strategy's own
            requests use, such as one for a token; None when there is none.
        netrc: Returns the login that netrc has for a URL's host, to be asked at each redirect to
            another one; None where an auth was given, or the environment is not trusted.
        withheld_reason: Why credentials were not sent, for the message of an error; None when they
            were.
    """

    __slots__ = (
        "allowed_origins", "cookies", "netrc", "refreshable", "sign", "token_transport",
        "uses_session", "withheld_reason",
    )  # fmt: skip

    def __init__(
        self,
        *,
        allowed_origins: frozenset[Origin] = frozenset(),
        uses_session: bool = False,
        cookies: RequestsCookieJar | None = None,
        sign: Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None,
        refreshable: types.Refreshable | None = None,
        token_transport: types.TokenTransport | None = None,
        netrc: Callable[[str], tuple[str, str] | None] | None = None,
        withheld_reason: str | None = None,
    ) -> None:
        self.allowed_origins: Final = allowed_origins
        self.uses_session: Final = uses_session
        self.cookies: Final = cookies
        self.sign: Final = sign
        self.refreshable: Final = refreshable
        self.token_transport: Final = token_transport
        self.netrc: Final = netrc
        self.withheld_reason: Final = withheld_reason

    def __repr__(self) -> str:
        # The others hold secrets.
        origins, reason = self.allowed_origins, self.withheld_reason
        return f"Credentials(allowed_origins={origins!r}, withheld_reason={reason!r})"


_NO_OPTIONS = CallOptions()
_NO_CREDENTIALS = Credentials()


class Call(_Changeable):
    """One call, from its first request to the response of its last redirect.

    Attributes:
        options: Its settings.
        deadline: Started with the call; None before it is sent.
        proxies: Those of the session and the call, without the environment's; None when that
            is not known.
        credentials: What authenticates the present request.
        hooks: The caller's own, which see every response; not those that an auth registered.
        idempotent: Whether the request may be sent twice although the server may have acted;
            None leaves it to the method and the idempotency key.
        is_hop: Whether a redirect led here: whoever sent the first request follows the next one.
    """

    __slots__ = (
        "credentials", "deadline", "hooks", "idempotent", "is_hop", "options", "proxies",
    )  # fmt: skip

    def __init__(
        self,
        options: CallOptions = _NO_OPTIONS,
        deadline: Deadline | None = None,
        proxies: Mapping[str, Any] | None = None,
        credentials: Credentials = _NO_CREDENTIALS,
        hooks: tuple[types.Hook, ...] = (),
        *,
        idempotent: bool | None = None,
        is_hop: bool = False,
    ) -> None:
        self.options: Final = options
        self.deadline: Final = deadline
        self.proxies: Final = proxies
        self.credentials: Final = credentials
        self.hooks: Final = hooks
        self.idempotent: Final = idempotent
        self.is_hop: Final = is_hop

    def __repr__(self) -> str:
        # Proxies may hold a password.
        return f"Call(options={self.options!r}, credentials={self.credentials!r})"


NO_CALL = Call()


def call_of(request: object) -> Call:
    """Return the call that a request belongs to; one without settings for a foreign request."""
    call = getattr(request, "call", None)
    return call if isinstance(call, Call) else NO_CALL
