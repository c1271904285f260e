"""The rules of requests, its bugs included (`strict=False`); only what is shown stays redacted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, cast

import requests

from httpkit._client import preparation
from httpkit._client.delivery import Delivery
from httpkit._client.modes import Boundary, Mode
from httpkit._core import placeholders, upstream, urls
from httpkit._messages.call import Call, Credentials, call_of
from httpkit._messages.reading import receive
from httpkit._messages.request import PreparedRequest
from httpkit._policy.auth import NO_AUTH, Strategy, refreshable, resigner

if TYPE_CHECKING:
    from httpkit._client.modes import Host, Options, Prepared, Responses


def _user_agent(stock: str) -> str:
    return stock


def _fill_if_given(url: str, path: Mapping[str, object] | None) -> str:
    return url if path is None else placeholders.fill(url, path)


def _leave(json: object) -> object:
    """Return the value: requests says what it cannot encode."""
    return json


def _prepare(session: Host, request: requests.Request, call: Call) -> PreparedRequest:
    """Prepare as requests does; a strategy of ours signs last."""
    signer: Any = request.auth if request.auth is not None else session.auth
    is_ours = isinstance(signer, Strategy)
    joined = copy(request)
    if session.base_url is not None:
        joined.url = urls.join(session.base_url, preparation.as_text(request.url))
    if is_ours:
        joined.auth = NO_AUTH
    prepared = PreparedRequest.adopt(_stock(session).prepare_request(joined), masks=False)
    prepared.call = call.replace(
        credentials=Credentials(
            allowed_origins=frozenset({urls.origin(prepared.url or "")}),
            sign=resigner(signer),
            refreshable=refreshable(signer),
            token_transport=session,
        )
    )
    prepared.is_signed = True
    if is_ours:  # last: it may have to ask for a token, and the call says how
        prepared.prepare_auth(signer)
    return prepared


def _environment(
    session: Host, url: Any, proxies: Any, stream: bool | None, verify: Any, cert: Any
) -> Options:
    """Let the environment beat the session, as requests does."""
    return _stock(session).merge_environment_settings(url, proxies, stream, verify, cert)


def _add_nothing(_: Host, __: Options) -> None:
    pass


def _check_nothing(_: Options) -> None:
    pass


def _sends_plainly(session: Host, request: PreparedRequest) -> bool:
    """Say whether no feature of httpkit is used."""
    call = call_of(request)
    limits = call.options.retry, call.options.deadline, call.options.max_body
    is_plain = limits == (None, None, None) and session.rate_limit is None
    # A 101 is for the caller to read from: requests gives its connection back to the pool.
    is_upgrade = "upgrade" in (request.headers or {})
    return is_plain and call.credentials.refreshable is None and not is_upgrade


def _send(delivery: Delivery, request: Prepared, /, *, follows: bool) -> requests.Response:
    """Follow redirects by requests' own rules: each hop goes through `Session.send`."""
    response, resolve = delivery.send_with_retries(), delivery.session.resolve_redirects
    if not follows:
        following = resolve(response, request, yield_requests=True, **delivery.options)
        upstream.set_next(response, next(following, None))
        return response
    history: list[requests.Response] = [response, *resolve(response, request, **delivery.options)]
    response = history.pop()
    if history:
        response.history = history
    return response


def _read(response: requests.Response, limit: int | None, check: Callable[[], None]) -> None:
    """Read a body as requests does, unless the call has a bound."""
    if limit is None:
        _ = response.content
    else:
        receive(response, limit=limit, check=check)


def _resolve_redirects(
    session: Host,
    _: Callable[[], Delivery],
    response: requests.Response,
    request: Prepared,
    options: Options,
    /,
    *,
    yield_requests: bool,
) -> Responses:
    if isinstance(request, PreparedRequest) and not yield_requests:
        request = request.copy()  # requests sends copies of it
        request.call = call_of(request).replace(is_hop=True)
    yield from _stock(session).resolve_redirects(
        response, request, yield_requests=yield_requests, **options
    )


def _rebuild_proxies(
    session: Host, request: Prepared, proxies: dict[str, str] | None
) -> dict[str, str]:
    return _stock(session).rebuild_proxies(request, proxies)


def _rebuild_method(session: Host, request: Prepared, response: requests.Response) -> None:
    _stock(session).rebuild_method(request, response)


def _should_strip_auth(session: Host, old_url: str, new_url: str) -> bool:
    return _stock(session).should_strip_auth(old_url, new_url)


def _rebuild_auth(session: Host, request: Prepared, response: requests.Response) -> None:
    """Rebuild the credentials as requests does, netrc included."""
    _stock(session).rebuild_auth(request, response)


def _stock(session: Host) -> requests.Session:
    """Return the session as the class after ours sees it: requests, or a mixin before it."""
    return cast("requests.Session", super(Boundary, cast("Any", session)))  # pyright: ignore[reportUnnecessaryCast]  # mypy wants it


COMPATIBLE = Mode(
    defaults={
        "timeout": None,
        "deadline": None,
        "retry": None,
        "raise_for_status": False,
        "max_body": None,
        "allow_http_auth": True,
        "redirect_body": True,
    },
    keeps_class_attributes=False,
    mounts_adapters=False,
    pickles_everything=False,
    keeps_third_party=True,
    validates_cookies=False,
    follows_redirects=False,
    user_agent=_user_agent,
    fill=_fill_if_given,
    encode=_leave,
    prepare=_prepare,
    environment=_environment,
    complete_trust=_add_nothing,
    check_trust=_check_nothing,
    sends_plainly=_sends_plainly,
    send=_send,
    read=_read,
    resolve_redirects=_resolve_redirects,
    rebuild_proxies=_rebuild_proxies,
    rebuild_method=_rebuild_method,
    should_strip_auth=_should_strip_auth,
    rebuild_auth=_rebuild_auth,
)
