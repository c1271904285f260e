"""From a prepared request to its response: `send`, and requests' hooks for redirects.

    send -> _copy_of -> _complete -> Delivery

Whose request it is, with which settings it goes, and what delivers it is found out here; how it
is delivered, with attempts and redirects, stands in `delivery`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any

import requests
from requests.cookies import RequestsCookieJar
from requests.models import Request

from httpkit._client import environment, settings
from httpkit._client.attempt import raising_source_errors, transmit
from httpkit._client.configuration import ConfiguredSession
from httpkit._client.delivery import Delivery
from httpkit._core import upstream
from httpkit._core.clock import CLOCK, Deadline
from httpkit._core.lazy import ImportedLater
from httpkit._core.upstream import RequestsResponse
from httpkit._diagnostics import loggers
from httpkit._messages.call import NO_CALL, Call, Credentials
from httpkit._messages.request import PreparedRequest
from httpkit._messages.response import Response, adopt, is_response
from httpkit._policy import forwarding

if TYPE_CHECKING:
    from httpkit._core import error_redaction
    from httpkit._diagnostics import log_records
    from httpkit._policy import trust
else:
    log_records = ImportedLater("httpkit._diagnostics.log_records")
    trust = ImportedLater("httpkit._policy.trust")
    error_redaction = ImportedLater("httpkit._core.error_redaction")

_GOOD_TIMEOUT = ConfiguredSession.timeout
# The keywords of `send` that a session has settings for, beside `proxies`.
_OF_SESSION = ("timeout", "stream", "verify", "cert")


class SendingSession(ConfiguredSession):
    """A session that sends prepared requests."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> Response:
        """Send a prepared request, with retries, redirects and the deadline of its call.

        It never raises for a status.

        Args:
            request: From `prepare_request`, or prepared elsewhere and then sent as it is.
            **kwargs: requests' own: stream, timeout, verify, cert, proxies, allow_redirects.

        Raises:
            RequestException: There is no response; the error says after how many attempts.
            ValueError: It is not a prepared request.
        """
        if type(request) is not PreparedRequest and isinstance(request, Request):  # a common slip
            raise ValueError("You can only send PreparedRequests.")  # requests' own class and words
        started = CLOCK.monotonic()
        response: Any
        try:
            deliver: Callable[..., Any] = self._deliver
            if loggers.REQUESTS.isEnabledFor(logging.DEBUG):
                deliver = log_records.logging_call(deliver)
            response = deliver(request, kwargs)
        except (requests.RequestException, UnicodeError) as error:
            error_redaction.scrub(error, keeps_third_party=self._mode.keeps_third_party)
            failed = getattr(error, "response", None)
            if isinstance(failed, RequestsResponse):
                adopt(failed)  # ours hides credentials, also in a pickle
            raise
        is_ours = type(response) is Response
        if is_ours or is_response(response):  # else it is a mock's
            response.__dict__["elapsed_total"] = CLOCK.monotonic() - started
            if response.status_code >= 400 and self.error_reason is not None:
                response.__dict__["_error_reason"] = self.error_reason
        # A class that overrides send, a cache say, sets a class of its own on what we return.
        if (is_ours and not response.history) or type(self).send is not SendingSession.send:
            return response  # type: ignore[no-any-return]  # `request` adopts it
        return adopt(response)

    def _deliver(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        prepared, mode = self._copy_of(request), self._mode
        if mode.sends_plainly is not None and mode.sends_plainly(self, prepared):
            return self._send_plainly(request, options)
        follows = options.pop("allow_redirects", True)
        self._complete(options, prepared)
        forwarding.refuse_plain_http(prepared)
        return mode.send(
            self._delivery(prepared, options, follows=follows), request, follows=follows
        )

    def _send_plainly(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        """Send as requests does: no feature of httpkit is used."""
        options.setdefault("timeout", self.timeout)
        send: Any = self._send_of_requests()
        with raising_source_errors():
            return send(request, **options)

    def _copy_of(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return a request that knows its call, and that the caller does not send again."""
        if type(request) is not PreparedRequest or request.call is None:
            return self._adopted(request)
        credentials = request.call.credentials
        if (
            credentials.sign is None
            and request.call.deadline is not None
            and not request.is_attempt
        ):
            return request  # made for this call, and nobody else's
        prepared = request.copy()
        prepared.is_attempt = False  # a hook may send the request of the response that it was given
        if credentials.sign is None:
            return prepared
        # The signature made at prepare serves the first attempt only: it may have expired
        # by the time the same request is resent.
        request.is_signed = False
        # requests' own redirects, or a caller's hand, may have led it to another origin.
        if not forwarding.is_allowed(prepared.url or "", credentials.allowed_origins):
            prepared.call = request.call.replace(credentials=credentials.replace(sign=None))
        return prepared

    def _adopted(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return a request that was prepared elsewhere as one of ours; its own stay as they are."""
        if isinstance(request, PreparedRequest) and request.call is not None:
            return request
        prepared = PreparedRequest.adopt(request, masks=not self._mode.keeps_third_party)
        request.__dict__["body_start"] = prepared.body_start  # should it be resent
        scope, jar = forwarding.scope_of(self, prepared.url or ""), upstream.jar_of(prepared)
        credentials = Credentials(
            allowed_origins=scope.allowed_origins,
            uses_session=scope.uses_session,
            cookies=jar if isinstance(jar, RequestsCookieJar) else None,
        )
        prepared.call = Call(self._call_options(), credentials=credentials)
        return prepared

    def _complete(self, options: dict[str, Any], request: PreparedRequest) -> None:
        """Add what the caller of `send` left out, and check what was given."""
        if options.get("verify") is None:
            self._mode.complete_trust(self, options)
        for name in _OF_SESSION:
            if name not in options:
                options[name] = getattr(self, name)
        if "proxies" not in options:
            explicit, url = settings.proxies_of(self.proxies), request.url or ""
            options["proxies"] = environment.proxies_for(url, explicit, trust_env=self.trust_env)
        if options["timeout"] is not _GOOD_TIMEOUT:
            settings.check({"timeout": options["timeout"]})
        verify = options["verify"]
        is_plain = verify is True or verify is False or trust.is_path(verify)
        if options["cert"] is not None or not is_plain:
            self._mode.check_trust(options)

    def _delivery(
        self, request: PreparedRequest, options: dict[str, Any], *, follows: bool
    ) -> Delivery:
        """Return what delivers a request of its own: its deadline is started."""
        if not request.hooks:
            request.hooks = {"response": []}  # a caller may take them away
        call = request.call or NO_CALL
        if call.deadline is None:
            call = call.replace(deadline=Deadline.start(call.options.deadline))
            request.call = call
        mode, rate_limit, send = self._mode, self.rate_limit, self._send_of_requests()
        is_stock = getattr(send, "__func__", None) is requests.sessions.Session.send
        is_fast = is_stock and type(self).send is SendingSession.send
        return Delivery(
            session=self,
            read=mode.read,
            keeps_third_party=mode.keeps_third_party,
            transmit=partial(transmit, self, send, is_fast=is_fast),
            request=request,
            call=call,
            options=options,
            follows_redirects=mode.follows_redirects and (follows or call.is_hop),
            budget=self._budget,
            host_throttle=self._host_throttle,
            rate_limiter=None if rate_limit is None else self._limiter_of(rate_limit),
        )

    def _send_of_requests(self) -> Callable[..., requests.Response]:
        """Return `send` of the class after ours, which may be a mixin's.

        requests stores the cookies of a response in a jar, without looking whether it is one.
        """
        cookies: Any = self.cookies
        sender = self
        if cookies is None:  # cookies are off: those of a response go into a jar that is dropped
            sender = object.__new__(type(self))
            sender.__dict__.update(self.__dict__, cookies=self._jar())
        elif not isinstance(cookies, CookieJar):  # names and texts: a response's are added to them
            self.cookies: RequestsCookieJar = self._jar()
        return super(SendingSession, sender).send

    # ---- Redirects: requests' hooks, which subclasses may override

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a response redirects to; None for others, and inside an attempt."""
        if not 300 <= (resp.status_code or 0) < 400 or _is_in_attempt(resp.request):
            return None
        try:
            return super().get_redirect_target(resp)
        except UnicodeError:  # neither UTF-8 nor Latin-1: as it came
            return resp.headers["location"]

    def resolve_redirects(
        self,
        resp: requests.Response,
        req: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
        yield_requests: bool = False,
        **adapter_kwargs: Any,
    ) -> Generator[Any, None, None]:
        """Follow redirects by hand, by the rules of `send`; with the signature of requests."""
        if _is_in_attempt(req):  # requests' own send looks for `.next`: it is found later
            return
        options: dict[str, Any] = {
            "stream": stream, "timeout": timeout, "verify": verify, "cert": cert,
            "proxies": proxies or {}, **adapter_kwargs,
        }  # fmt: skip

        def deliver() -> Delivery:
            return self._delivery(self._adopted(req).copy(), options, follows=True)

        yield from self._mode.resolve_redirects(
            self, deliver, resp, req, options, yield_requests=yield_requests
        )

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: dict[str, str] | None
    ) -> dict[str, str]:
        """Return the proxies for a redirected request: those given, else those of the environment.

        They are chosen for each redirect: the environment may have a proxy for one host, and none
        for the next.
        """
        return self._mode.rebuild_proxies(self, prepared_request, proxies)

    def rebuild_method(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Set the method of a redirected request: GET after a 303, and after a POST's 301, 302."""
        self._mode.rebuild_method(self, prepared_request, response)

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Say whether a redirect leaves the origins that may see the session's credentials.

        A subclass that overrides it decides for the hosts that it names.
        """
        return self._mode.should_strip_auth(self, old_url, new_url)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take Authorization from a redirected request that leaves the session's origins.

        What a subclass leaves there, or puts there, is sent; netrc is not read again.
        """
        self._mode.rebuild_auth(self, prepared_request, response)


def _is_in_attempt(request: requests.PreparedRequest | None) -> bool:
    """Say whether a request is being sent right now, and requests must not look further."""
    return getattr(request, "is_attempt", False)
