"""Where a Location may lead, and what may be forwarded there.

Rule: a redirect to another origin carries nothing that the caller bound to the first one,
and what was dropped on the way does not come back.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import requests
import requests.auth
import requests.cookies

from httpkit._core import header_fields, upstream, urls
from httpkit._diagnostics import errors
from httpkit._messages.call import Call, call_of
from httpkit._messages.request import Body, PreparedRequest
from httpkit._policy import forwarding
from httpkit._policy.auth import login_signer

# RFC 9110 sections 15.4.2 to 15.4.4: only POST becomes GET on 301 and 302; 303 asks for GET.
_TO_GET = {301: frozenset({"POST"}), 302: frozenset({"POST"})}
# Ask for the very same request (RFC 9110 sections 15.4.8 and 15.4.9).
_SAME_REQUEST = frozenset({307, 308})


class Rebuilder(Protocol):
    """What a redirect needs of a session: hooks of requests that a subclass may override."""

    cookies: Any

    def rebuild_method(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Set the method of the redirected request."""
        ...

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take Authorization away, leave it, or set another."""
        ...

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Say whether credentials must not go from one URL to the other."""
        ...


def follow(
    response: requests.Response,
    request: PreparedRequest,
    call: Call,
    location: str,
    session: Rebuilder,
) -> PreparedRequest:
    """Return the request that follows a redirect.

    Args:
        response: The redirect.
        request: The request that was redirected.
        call: What the call allows, and which origins may see its credentials.
        location: The Location, as text.
        session: Its cookies are sent where they belong, and its hooks are called.

    Raises:
        RedirectError: The target is no http(s) URL or holds userinfo, or the body may not or
            cannot be sent there.
    """
    target = _target(response, request, location)
    following = request.copy()
    following.url = target
    session.rebuild_method(following, response)
    is_allowed = forwarding.is_allowed(target, call.credentials.allowed_origins)
    _rebuild_body(
        following, response, call, is_same=following.method == request.method, stays=is_allowed
    )
    may_sign = _rebuild_auth(following, response, session, is_allowed=is_allowed)
    if not is_allowed:
        call = _with_netrc(
            _withhold_credentials(following, call, may_sign=may_sign), following, response
        )
    elif not may_sign:
        call = call.replace(credentials=call.credentials.replace(sign=None))
    _sign_digest(following)
    jar = _cookies(following, response, call, session.cookies)
    following.headers.pop("Cookie", None)
    following.prepare_cookies(jar)
    following.call, following.is_signed = call.replace(is_hop=True), False
    return following


def _withhold_credentials(request: PreparedRequest, call: Call, *, may_sign: bool) -> Call:
    """Take from a request what must not leave the session's origins; return what it asks now.

    Args:
        request: The redirected one.
        call: What it asked before.
        may_sign: Whether a subclass of the session lets its auth go there.
    """
    target = request.url or ""
    dropped = _strip(request, call, keeps_hooks=may_sign)
    credentials = call.credentials
    if not may_sign:
        dropped = dropped or credentials.sign is not None
        credentials = credentials.replace(sign=None)
    credentials = credentials.replace(
        allowed_origins=frozenset({urls.origin(target)} if may_sign else ()),
        uses_session=False,
        cookies=None,
        withheld_reason=credentials.withheld_reason
        or (_withheld_reason(target) if dropped else None),
    )
    return call.replace(credentials=credentials)


def _with_netrc(call: Call, request: PreparedRequest, response: requests.Response) -> Call:
    """Sign a request for another host with its login of netrc, if it has no other credentials."""
    target, credentials = request.url or "", call.credentials
    is_signed = credentials.sign is not None or "Authorization" in request.headers
    is_same_host = urls.origin(target)[1] == urls.origin(response.url)[1]
    if credentials.netrc is None or is_signed or is_same_host:
        return call
    if (login := credentials.netrc(target)) is None:
        return call
    request.prepare_auth(login_signer(login))
    return call.replace(
        credentials=credentials.replace(allowed_origins=frozenset({urls.origin(target)}))
    )


def _withheld_reason(target: str) -> str:
    origin = urls.format_origin(urls.origin(target))
    return f"credentials were withheld after a redirect to {origin} (see trusted_origins)"


def _target(response: requests.Response, request: PreparedRequest, location: str) -> str:
    try:
        parts = urlsplit(urls.resolve(response.url, location))
        if not parts.fragment:  # RFC 9110 section 10.2.2: the fragment is inherited
            parts = parts._replace(fragment=urlsplit(request.url or "").fragment)
        return upstream.requote(urlunsplit(parts))
    except requests.exceptions.InvalidURL as error:
        raise _redirect_error(response, f"its Location {error}") from error


def _redirect_error(response: requests.Response, why: str) -> errors.RedirectError:
    what = errors.describe(response.request, response.url)
    error = errors.RedirectError(
        f"the {response.status_code} redirect of {what} is not followed: {why}",
        response=response,
    )
    error.attempts = getattr(response, "attempts", 1)
    return error


def method_after(status: int, method: str) -> str:
    """Return the method of the request that follows a redirect.

    Args:
        status: Of the redirect.
        method: Of the request that was redirected.
    """
    if status == 303 and method != "HEAD":
        return "GET"
    return "GET" if method in _TO_GET.get(status, ()) else method


def _rebuild_body(
    request: PreparedRequest, response: requests.Response, call: Call, *, is_same: bool, stays: bool
) -> None:
    """Keep the body where it may be resent, else drop it and what describes it.

    Args:
        request: The redirected one.
        response: The redirect.
        call: What the call allows.
        is_same: Whether the method is that of the request before.
        stays: Whether the target may see what is meant for the session's origins.
    """
    if not is_same or response.status_code == 303:
        request.body = None
        request.body_start = Body()
    if request.body is not None:
        _keep_body(request, response, call, crosses=not stays)
    elif response.status_code not in _SAME_REQUEST:
        for name in header_fields.CONTENT_FIELDS:
            request.headers.pop(name, None)


def _rebuild_auth(
    request: PreparedRequest, response: requests.Response, session: Rebuilder, *, is_allowed: bool
) -> bool:
    """Call the session's hooks for its auth; say whether it may be signed there.

    A subclass that keeps Authorization for a host, or says that it is not to be stripped, has
    thought of it.
    """
    before = request.headers.get("Authorization")
    session.rebuild_auth(request, response)
    after = request.headers.get("Authorization")
    if before is None and after is None:  # signed by another field, or not at all
        is_signed = call_of(request).credentials.sign is not None
        past, target = response.url, request.url or ""
        return is_allowed or (is_signed and not session.should_strip_auth(past, target))
    return before == after


def _sign_digest(request: PreparedRequest) -> None:
    """Respond to a known Digest challenge for the URL of a redirected request.

    It covers the method and the URI (RFC 7616 section 3.4): the one before is for another
    request. Without a challenge the hook of the auth waits for one.
    """
    if not str(request.headers.get("Authorization", "")).lower().startswith("digest "):
        return
    del request.headers["Authorization"]
    signers = [getattr(hook, "__self__", None) for hook in request.hooks.get("response") or ()]
    for signer in signers:
        if isinstance(signer, requests.auth.HTTPDigestAuth):
            authorization = signer.build_digest_header(request.method or "GET", request.url or "")
            if authorization is not None:
                request.headers["Authorization"] = authorization
            return


def _keep_body(
    request: PreparedRequest, response: requests.Response, call: Call, *, crosses: bool
) -> None:
    if crosses and not call.options.redirect_body:
        raise _redirect_error(
            response,
            f"it would send the body of {request.method} to another origin (see redirect_body)",
        )
    if request.body_start.not_replayable_reason:
        raise _redirect_error(response, request.body_start.not_replayable_reason)


def _strip(request: PreparedRequest, call: Call, *, keeps_hooks: bool) -> bool:
    """Take away what must not leave the allowed origins; say whether there was any.

    Authorization was decided on before.
    """
    before, allowed = len(request.headers), call.credentials.allowed_origins
    authorization = request.headers.get("Authorization")
    fields = forwarding.forwardable(request.headers, request.url or "", allowed)
    request.headers = header_fields.RequestHeaders(fields)
    if authorization is not None:
        request.headers["Authorization"] = authorization
    if not keeps_hooks:  # Digest's would send the password's digest to another origin
        request.hooks = {"response": list(call.hooks)}
    return len(request.headers) < before


def _cookies(
    request: PreparedRequest,
    response: requests.Response,
    call: Call,
    session_jar: Any,
) -> requests.cookies.RequestsCookieJar:
    """Return what the next request may send.

    Away from the session's origins, an origin gets back what it set itself in this chain, and
    what another one set there for a whole domain (RFC 6265 sections 5.3 and 5.4).
    """
    jar = header_fields.Jar()
    if call.credentials.uses_session and session_jar is not None:
        upstream.merge_cookies(jar, session_jar)
    else:
        origin, shared = urls.origin(request.url or ""), header_fields.Jar()
        for past in [*response.history, response]:
            upstream.extract_cookies(shared, past.request, past.raw)
            if urls.origin(past.url) == origin:  # a jar does not tell ports apart
                upstream.extract_cookies(jar, past.request, past.raw)
        for cookie in shared:
            if cookie.domain_specified:
                jar.set_cookie(cookie)
    if call.credentials.cookies is not None:
        upstream.merge_cookies(jar, call.credentials.cookies)
    return jar


def check_progress(response: requests.Response, following: PreparedRequest) -> None:
    """Refuse to send what this chain has sent before.

    Raises:
        RedirectError: It is the very same request: the redirects run in a circle.
    """
    call = call_of(following)
    # Signed as it will be sent, unless asking for the signature has a price.
    credentials = call.credentials
    signed = (
        credentials.sign(following.copy())
        if credentials.sign and not credentials.refreshable
        else following
    )
    signature = _signature(signed)
    if any(_signature(past.request) == signature for past in [*response.history, response]):
        raise _redirect_error(
            response, f"redirect loop: it leads back to {errors.describe(following)}"
        )


def _signature(request: requests.PreparedRequest) -> tuple[object, ...]:
    url = (request.url or "").partition("#")[0]
    # Without its credentials a request is another one; tracing adds fields of its own.
    names = frozenset(name.lower() for name in request.headers) - {"traceparent", "tracestate"}
    return request.method, url, request.headers.get("Cookie"), names
