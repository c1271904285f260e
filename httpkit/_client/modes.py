"""What differs between httpkit's own rules and those of requests (`strict=False`).

A session looks its mode up once for each step; nothing else asks whether it is strict. The rules
of httpkit stand here, and those of requests in `compatible`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, dataclass_transform

import requests

from httpkit import __version__
from httpkit._client import environment, preparation
from httpkit._client.delivery import Delivery
from httpkit._core.lazy import ImportedLater
from httpkit._messages.call import Call, call_of
from httpkit._messages.request import PreparedRequest
from httpkit._policy import forwarding

if TYPE_CHECKING:
    from httpkit._client import compatible
    from httpkit._core import models, placeholders
    from httpkit._messages import reading
    from httpkit._policy import redirects, trust
else:
    reading = ImportedLater("httpkit._messages.reading")
    compatible = ImportedLater("httpkit._client.compatible")
    trust = ImportedLater("httpkit._policy.trust")
    redirects = ImportedLater("httpkit._policy.redirects")
    models = ImportedLater("httpkit._core.models")
    placeholders = ImportedLater("httpkit._core.placeholders")


class Boundary(requests.Session):
    """The last class of ours: what follows it is requests, or a mixin of a caller's."""


if TYPE_CHECKING:

    class Host(preparation.Owner, environment.SettingsHolder, Protocol):
        """What a mode needs of a session."""

        strict: bool

        @property
        def rate_limit(self) -> Any:
            """The most requests to each host."""
            ...

        def should_strip_auth(self, old_url: str, new_url: str) -> bool:
            """Say whether credentials must not go from one URL to the other."""
            ...


Prepared = requests.PreparedRequest
Options = dict[str, Any]
Responses = Generator[Any, None, None]


@dataclass_transform(kw_only_default=True)
class _Rules:
    """Made by keywords: a NamedTuple compiles each of its annotations at import."""

    def __init__(self, **rules: Any) -> None:
        vars(self).update(rules)


class Mode(_Rules):
    """One set of rules.

    Attributes:
        defaults: Settings that differ from those of the class.
        keeps_class_attributes: Whether class attributes stand for what requests assigns in its
            own constructor.
        mounts_adapters: Whether our adapters replace those of requests.
        pickles_everything: Whether a pickle carries attributes that neither httpkit nor
            `__attrs__` names.
        keeps_third_party: Whether the messages of errors that mocks and others raise stay as
            they are.
        validates_cookies: Whether the cookies of a response are validated by RFC 6265bis.
        follows_redirects: Whether a delivery follows redirects; otherwise requests does, hop by
            hop through `send`.
        user_agent: Returns the User-Agent of a session.
        fill: Returns a URL with its placeholders filled.
        encode: Returns what JSON can say of a value.
        prepare: Merges a request with the session's settings and signs it.
        environment: Completes a call's settings from the session and the environment.
        complete_trust: Adds whom to trust, where the caller of `send` did not.
        check_trust: Checks `verify` and `cert`, and writes paths as str.
        sends_plainly: Says whether requests' own `send` does all that is requested; None: never.
        send: Sends a request, and its redirects.
        read: Reads a body into memory, within its bounds.
        resolve_redirects: Follows redirects for a caller who does it by hand.
        rebuild_proxies: Returns the proxies for a redirected request.
        rebuild_method: Sets the method of a redirected request.
        should_strip_auth: Says whether a redirect leaves the origins that may see the credentials.
        rebuild_auth: Takes Authorization from a redirected request where that is so.
    """

    defaults: Mapping[str, object]
    keeps_class_attributes: bool
    mounts_adapters: bool
    pickles_everything: bool
    keeps_third_party: bool
    validates_cookies: bool
    follows_redirects: bool
    user_agent: Callable[[str], str]
    fill: Callable[[str, Mapping[str, object] | None], str]
    encode: Callable[[object], object]
    prepare: Callable[[Host, requests.Request, Call], PreparedRequest]
    environment: Callable[[Host, Any, Any, bool | None, Any, Any], Options]
    complete_trust: Callable[[Host, Options], None]
    check_trust: Callable[[Options], None]
    sends_plainly: Callable[[Host, PreparedRequest], bool] | None
    send: _Send
    read: Callable[[requests.Response, int | None, Callable[[], None]], None]
    resolve_redirects: _ResolveRedirects
    rebuild_proxies: Callable[[Host, Prepared, dict[str, str] | None], dict[str, str]]
    rebuild_method: Callable[[Host, Prepared, requests.Response], None]
    should_strip_auth: Callable[[Host, str, str], bool]
    rebuild_auth: Callable[[Host, Prepared, requests.Response], None]


if TYPE_CHECKING:

    class _Send(Protocol):
        def __call__(
            self, delivery: Delivery, given: Prepared, /, *, follows: bool
        ) -> requests.Response: ...

    class _ResolveRedirects(Protocol):
        def __call__(
            self,
            session: Host,
            deliver: Callable[[], Delivery],
            response: requests.Response,
            request: Prepared,
            options: Options,
            /,
            *,
            yield_requests: bool,
        ) -> Responses: ...


def mode_of(holder: Any) -> Mode:
    """Return the mode of a session, or of a class of sessions."""
    return STRICT if holder.strict else compatible.COMPATIBLE


# ---- httpkit's rules


def _own_user_agent(stock: str) -> str:
    return f"httpkit/{__version__} {stock}"


def _fill(url: str, path: Mapping[str, object] | None) -> str:
    return placeholders.fill(url, path)


def _encode(json: object) -> object:
    return models.encode(json)


def _complete_trust(session: Host, options: Options) -> None:
    options["verify"] = environment.trusted(session, None)


def _check_trust(options: Options) -> None:
    options["verify"] = trust.as_verify(options["verify"])
    options["cert"] = trust.as_cert(options["cert"])
    trust.check_together(options["verify"], options["cert"])


def _read(response: requests.Response, limit: int | None, check: Callable[[], None]) -> None:
    reading.receive(response, limit=limit, check=check)


def _resolve_redirects(
    _: Host,
    deliver: Callable[[], Delivery],
    response: requests.Response,
    __: Prepared,
    ___: Options,
    /,
    *,
    yield_requests: bool,
) -> Responses:
    if not yield_requests:
        yield from deliver().iter_redirects(response)
    elif (following := deliver().next_request(response)) is not None:
        yield following


def _rebuild_proxies(
    session: Host, request: Prepared, proxies: dict[str, str] | None
) -> dict[str, str]:
    """Decide for each hop."""
    call = call_of(request)
    explicit = proxies or {} if call.proxies is None else call.proxies
    # The adapter adds it for the proxy in use; a copied one might meet another proxy.
    request.headers.pop("Proxy-Authorization", None)
    return environment.proxies_for(request.url or "", explicit, trust_env=session.trust_env)


def _rebuild_method(_: Host, request: Prepared, response: requests.Response) -> None:
    request.method = redirects.method_after(response.status_code, request.method or "GET")


def _should_strip_auth(session: Host, old_url: str, new_url: str) -> bool:
    return not forwarding.is_allowed(new_url, forwarding.allowed_origins(session, old_url))


def _rebuild_auth(session: Host, request: Prepared, response: requests.Response) -> None:
    if session.should_strip_auth(response.url, request.url or ""):
        request.headers.pop("Authorization", None)


STRICT = Mode(
    defaults={},
    keeps_class_attributes=True,
    mounts_adapters=True,
    pickles_everything=True,
    keeps_third_party=False,
    validates_cookies=True,
    follows_redirects=True,
    user_agent=_own_user_agent,
    fill=_fill,
    encode=_encode,
    prepare=preparation.prepare,
    environment=environment.complete,
    complete_trust=_complete_trust,
    check_trust=_check_trust,
    sends_plainly=None,
    send=Delivery.send,
    read=_read,
    resolve_redirects=_resolve_redirects,
    rebuild_proxies=_rebuild_proxies,
    rebuild_method=_rebuild_method,
    should_strip_auth=_should_strip_auth,
    rebuild_auth=_rebuild_auth,
)
