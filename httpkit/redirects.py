"""Where a Location may lead, and what may travel there.

Rule: a redirect to another origin carries nothing that the caller bound to the first one,
and what was dropped on the way does not come back.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import requests
from requests.cookies import (
    RequestsCookieJar,
    extract_cookies_to_jar,
    merge_cookies,
)
from requests.exceptions import InvalidURL
from requests.utils import requote_uri

from httpkit import _headers, _urls, errors
from httpkit.request import Body, Call, PreparedRequest

# RFC 9110 sections 15.4.2 to 15.4.4: only POST becomes GET on 301 and 302; 303 asks for GET.
_TO_GET = {301: frozenset({"POST"}), 302: frozenset({"POST"})}


def follow(
    response: requests.Response,
    request: PreparedRequest,
    call: Call,
    location: str,
    session_jar: RequestsCookieJar,
) -> PreparedRequest:
    """Return the request that a redirect asks for.

    Args:
        response: The redirect.
        request: What it answers.
        call: What the call allows, and where its credentials are at home.
        location: The Location, as text.
        session_jar: The session's cookies.

    Raises:
        RedirectError: The target is no http(s) URL or holds userinfo, or the body may not or
            cannot be sent there.
    """
    target = _target(response, request, location)
    onward = request.copy()
    onward.url = target
    onward.method = _method(response.status_code, request.method or "GET")
    goes_home = _urls.origin(target) in call.home
    if onward.method != request.method or response.status_code == 303:
        _drop_body(onward)
    elif onward.body is not None:
        _keep_body(onward, response, call, crosses=not goes_home)
    if not goes_home:
        dropped = _strip(onward, call) or call.sign is not None
        call = call._replace(home=frozenset(), uses_session=False, cookies=None, sign=None)
        call = call._replace(withheld=call.withheld or (_why(target) if dropped else None))
    jar = _cookies(onward, response, call, session_jar)
    onward.headers.pop("Cookie", None)
    onward.prepare_cookies(jar)
    onward.call = call._replace(is_signed=False)
    return onward


def _why(target: str) -> str:
    place = _urls.spell_origin(_urls.origin(target))
    return f"credentials were withheld after a redirect to {place} (see trusted_origins)"


def _target(response: requests.Response, request: PreparedRequest, location: str) -> str:
    try:
        parts = urlsplit(_urls.resolve(response.url, location))
        if not parts.fragment:  # RFC 9110 section 10.2.2: the fragment is inherited
            parts = parts._replace(fragment=urlsplit(request.url or "").fragment)
        return requote_uri(urlunsplit(parts))
    except InvalidURL as error:
        raise _refusal(response, f"its Location {error}") from error


def _refusal(response: requests.Response, why: str) -> errors.RedirectError:
    what = errors.describe(response.request, response.url)
    error = errors.RedirectError(
        f"the {response.status_code} redirect of {what} is not followed: {why}",
        response=response,
    )
    error.attempts = getattr(response, "attempts", 1)
    return error


def _method(status: int, method: str) -> str:
    if status == 303 and method != "HEAD":
        return "GET"
    return "GET" if method in _TO_GET.get(status, ()) else method


def _drop_body(request: PreparedRequest) -> None:
    request.body = None
    request.body_start = Body()
    for name in _headers.CONTENT_FIELDS:
        request.headers.pop(name, None)


def _keep_body(
    request: PreparedRequest, response: requests.Response, call: Call, *, crosses: bool
) -> None:
    if crosses and not call.redirect_body:
        raise _refusal(
            response,
            f"it would send the body of {request.method} to another origin (see redirect_body)",
        )
    if request.body_start.refusal:
        raise _refusal(response, request.body_start.refusal)


def _strip(request: PreparedRequest, call: Call) -> bool:
    """Take away what must not leave home; say whether there was any."""
    before = len(request.headers)
    request.headers = _headers.Outgoing(_headers.travelling(request.headers))
    # Digest's hook would answer a stranger's challenge with the password.
    request.hooks = {"response": list(call.hooks)}
    return len(request.headers) < before


def _cookies(
    request: PreparedRequest,
    response: requests.Response,
    call: Call,
    session_jar: RequestsCookieJar,
) -> RequestsCookieJar:
    """Return what the next request may send.

    A jar knows hosts but not ports: away from the session's home an origin gets back only
    what it set itself in this chain.
    """
    jar = _headers.Jar()
    if call.uses_session:
        merge_cookies(jar, session_jar)
    else:
        origin = _urls.origin(request.url or "")
        for past in [*response.history, response]:
            if _urls.origin(past.url) == origin:
                extract_cookies_to_jar(jar, past.request, past.raw)
    if call.cookies is not None:
        merge_cookies(jar, call.cookies)
    return jar


def check_progress(response: requests.Response, onward: PreparedRequest) -> None:
    """Refuse to send what this chain has sent before.

    Raises:
        RedirectError: It is the very same request: the redirects run in a circle.
    """
    call = onward.call or Call()
    # Signed as it will be sent, unless asking for the signature has a price.
    signed = call.sign(onward.copy()) if call.sign and not call.renewing else onward
    signature = _signature(signed)
    if any(_signature(past.request) == signature for past in [*response.history, response]):
        raise _refusal(response, f"it leads back to {errors.describe(onward)}, in a circle")


def _signature(request: requests.PreparedRequest) -> tuple[object, ...]:
    url = (request.url or "").partition("#")[0]
    # Without its credentials a request is another one; tracing adds fields of its own.
    names = frozenset(name.lower() for name in request.headers) - {"traceparent", "tracestate"}
    return request.method, url, request.headers.get("Cookie"), names
