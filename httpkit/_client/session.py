"""A call from its arguments to its response, step by step.

    request -> prepare_request -> send -> (delivery) -> dispatch

`request` knows what the call asked for, `prepare_request` decides what is sent where, `send`
delivers a prepared request. `configuration` holds the settings, `modes` what differs under
`strict=False`, `delivery` redirects, retries and attempts.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Generator, Mapping
from http.cookiejar import CookieJar
from typing import Any, TypeVar, Unpack, overload

import requests
from requests.cookies import RequestsCookieJar
from requests.models import Request

from httpkit._client import preparation, settings
from httpkit._client.api_methods import ApiMethods
from httpkit._client.attempt import Transmit, raising_source_errors, receive_error
from httpkit._client.configuration import ConfiguredSession
from httpkit._client.delivery import Delivery
from httpkit._client.environment import proxies_for
from httpkit._client.transfer_methods import TransferMethods
from httpkit._core import header_fields, redaction, upstream, urls
from httpkit._core.clock import CLOCK
from httpkit._core.deadline import Deadline
from httpkit._core.public import public
from httpkit._core.types import (
    NOT_GIVEN,
    Auth,
    Cert,
    Cookies,
    Data,
    Files,
    HeadersLike,
    Hooks,
    Json,
    NotGiven,
    Params,
    RequestsResponse,
    Timeout,
    Verify,
)
from httpkit._diagnostics import log_records
from httpkit._diagnostics.errors import ConfigurationError, NotFoundError, add_note
from httpkit._messages.call import NO_CALL, Call, CallOptions, Credentials
from httpkit._messages.request import PreparedRequest
from httpkit._messages.response import Response, adopt, is_response
from httpkit._policy import dispatch, forwarding
from httpkit._policy.options import JsonOptions, Table, proxies_of
from httpkit._policy.retry import RetryPolicy, as_policy

T = TypeVar("T")


@public
class Session(ApiMethods, TransferMethods):
    """A requests.Session with base URL, credentials, safe retries and typed errors built in.

    Every keyword can also be set in the class statement (`class Blog(Session, headers=…)`),
    and those below `cert` as class attributes (`timeout = 10`). A call's own keyword beats
    the instance's, which beats the class's. Containers are copied.

    Args:
        base_url: Where relative URLs are appended, and the origin that credentials are bound
            to. None: every URL is absolute, and credentials go where each is pointed.
        auth: A strategy, a (user, password) tuple, any `AuthBase` or callable; None for none.
        headers: Sent with every request to the session's origin, over requests' defaults.
        params: Query parameters sent with every request to the session's origin.
        cookies: A dict or a jar to begin with.
        proxies: Scheme to proxy URL; beats the environment.
        verify: False or the path of a CA bundle, which beat the environment; True, the default,
            trusts the bundle of REQUESTS_CA_BUNDLE where it is set.
        cert: Path of a client certificate, or (certificate, key).
        timeout: Seconds to connect and between bytes, or (connect, read), above 0; None off.
        deadline: Seconds for a whole call with all its attempts, redirects and its body,
            above 0; None off. A streamed body is not counted.
        retry: A RetryPolicy, or a number of attempts; None is off.
        on_status: A table or StatusDispatch asked after the call's own; it may only raise or
            return a Response. None is off.
        raise_for_status: Whether an error status without a handler raises a StatusError.
        max_body: The most bytes of a body read into memory, above 0; None off. Streams are
            not limited, but each line and each event of one is.
        rate_limit: The most requests to each host: "10/s", "100/min", a number a second, or
            a limiter of pyrate-limiter; every attempt waits for its turn. None is off.
        trusted_origins: URLs of further origins that may see the session's credentials.
        allow_http_auth: Whether credentials may travel unencrypted beyond loopback.
        redirect_body: Whether a request body may follow a redirect to another origin.
        secret_headers: Names of further headers, parameters and fields to mask.
        shown: Names of further headers and parameters to show in messages, logs and reprs.
        error_reason: Called with an error response; returns what it says, for `.detail` and the
            message, or None to look for it as usual. What it raises becomes a note.
        strict: False gives requests' own defaults: no timeout, deadline, retry, limits or
            raising, and its rules for redirects, netrc and credentials.

    Raises:
        ConfigurationError: A setting is out of its bounds.
        InvalidURL: base_url is no absolute URL, or has a query.

    A session may be shared among threads once it is set up: requests, retries and cookies
    are safe; changing `headers`, `auth` or adapters while requests run is not.
    """

    # ---- A call

    @overload  # type: ignore[override]  # positional parameters after data are for old callers
    def request(
        self,
        method: str,
        url: str | bytes,
        params: Params = None,
        data: Data = None,
        *,
        on_status: None = None,
        **options: Unpack[JsonOptions],
    ) -> Response: ...
    @overload
    def request(
        self,
        method: str,
        url: str | bytes,
        params: Params = None,
        data: Data = None,
        *,
        on_status: Table[T],
        **options: Unpack[JsonOptions],
    ) -> Response | T: ...
    def request(
        self,
        method: str,
        url: str | bytes,
        params: Params = None,
        data: Data = None,
        headers: HeadersLike = None,
        cookies: Cookies = None,
        files: Files = None,
        auth: Auth = None,
        timeout: Timeout | NotGiven = NOT_GIVEN,
        allow_redirects: bool = True,
        proxies: dict[str, str] | None = None,
        hooks: Hooks = None,
        stream: bool | None = None,
        verify: Verify = None,
        cert: Cert = None,
        json: Json = None,
        *,
        on_status: Any = NOT_GIVEN,
        path: Mapping[str, object] | None = None,
        raise_for_status: bool | NotGiven = NOT_GIVEN,
        retry: RetryPolicy | int | NotGiven | None = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
        max_body: int | NotGiven | None = NOT_GIVEN,
        idempotency_key: bool | str | None = None,
        idempotent: bool | None = None,
        redirect_body: bool | NotGiven = NOT_GIVEN,
        allow_http_auth: bool | NotGiven = NOT_GIVEN,
    ) -> Any:
        """Send a request and return its response, or what the handler of its status returns.

        Args:
            method: Any method; it is sent in upper case.
            url: Relative to base_url, to which it is appended; or absolute.
            params: Query parameters, after the session's; a value of None leaves one out.
            data: A mapping or pairs (sent as a form), bytes, text, a file or an iterable.
            headers: Over the session's; a value of None takes one away.
            cookies: Sent on this call only.
            files: Files for a multipart form.
            auth: Instead of the session's; None is the session's, NO_AUTH signs nothing.
            timeout: Seconds to connect and between bytes, or (connect, read); None is off.
            allow_redirects: Whether redirects are followed.
            proxies: Scheme to proxy URL, over the session's.
            hooks: Called with every response, of each attempt.
            stream: Whether to leave the body unread: use the response in a `with`.
            verify: False, True, or the path of a CA bundle; None is the session's.
            cert: A client certificate, or (certificate, key); None is the session's.
            json: What JSON can say, or a dataclass, attrs, msgspec or pydantic object.
            on_status: A table or StatusDispatch asked before the session's; None asks no
                table at all.
            path: Values for the `{name}` placeholders of the URL, percent-encoded.
            raise_for_status: Whether an error status without a handler raises.
            retry: A RetryPolicy or a number of attempts; None is off.
            deadline: Seconds for the whole call; None is off.
            max_body: The most bytes of the body read into memory; None is off.
            idempotency_key: True makes a key, a str is one; the server sees the same for all
                attempts, so that any method may be repeated. None and False send none.
            idempotent: True lets a request of any method be retried as a GET is, False forbids
                to retry it. None decides by the method and the idempotency key.
            redirect_body: Whether the body may follow a redirect to another origin.
            allow_http_auth: Whether credentials may be sent unencrypted.

        Raises:
            StatusError: The status is an error that nothing handles.
            RequestException: There is no response, or none that can be read.
            ValueError: An argument cannot work; nothing was sent.
        """
        asked = (retry, deadline, max_body, redirect_body, allow_http_auth)
        options = self._call_options(() if asked == _NOTHING_ASKED else asked)
        tables = self._tables(on_status)
        raises = self.raise_for_status if raise_for_status is NOT_GIVEN else raise_for_status
        if idempotent is not None:
            settings.check({"idempotent": idempotent})
        if proxies is not None or (raises is not True and raises is not False):
            settings.check({"raise_for_status": raises, "proxies": proxies})
        call = Call(
            options,
            Deadline.start(options.deadline),
            proxies_of(self.proxies, proxies),
            idempotent=idempotent,
        )
        if idempotency_key is not None:
            headers = _with_key(headers, idempotency_key, options)
        drafted = _draft(
            call,
            method=method,
            url=self._filled(url, path) if path or type(url) is not str or "{" in url else url,
            headers=headers,
            files=files,
            data=data or {},
            json=None if json is None else self._mode.encode(json),
            params=params or {},
            auth=auth,
            cookies=cookies,
            hooks=hooks,
        )
        prepared = self._prepared(drafted, call)
        merged = self.merge_environment_settings(prepared.url, proxies or {}, stream, verify, cert)
        response = self.send(
            prepared,
            timeout=self.timeout if timeout is NOT_GIVEN else timeout,
            allow_redirects=allow_redirects,
            **merged,
        )
        if type(response) is not Response or response.history:
            if not is_response(response):  # send may be a mock
                return response
            response = adopt(response)
        if response.status_code < 400 and not tables:
            return response
        return self._dispatched(response, tables, raises=raises, limit=options.max_body)

    def _call_options(self, given: tuple[Any, ...] = ()) -> CallOptions:
        """Return what a call asks for: what it gives, else what the session says.

        Args:
            given: A value for each of `CallOptions`, or none at all.
        """
        asked: tuple[Any, ...] = _own_options(self)
        if given:
            pairs = zip(given, asked, strict=True)
            asked = tuple([own if value is NOT_GIVEN else value for value, own in pairs])
        last = self._last_options
        # The very same objects were found good: saves 7 us.
        if last is None or any(map(operator.is_not, last[0], asked)):
            named: dict[str, Any] = dict(zip(CallOptions._fields, asked, strict=True))
            settings.check(named)
            last = (
                asked,
                CallOptions._make(
                    as_policy(value) if name == "retry" else value for name, value in named.items()
                ),
            )
            self.__dict__["_last_options"] = last
        return last[1]

    def _tables(self, on_status: Any) -> tuple[dispatch.StatusDispatch[Any] | None, ...]:
        """Return the tables to ask, the session's last; None turns them off."""
        if on_status is None or (on_status is NOT_GIVEN and self.on_status is None):
            return ()
        own = dispatch.as_dispatch(self.on_status)
        return (own,) if on_status is NOT_GIVEN else (dispatch.as_dispatch(on_status), own)

    def _filled(self, url: str | bytes, path: Mapping[str, object] | None) -> str:
        return self._mode.fill(preparation.as_text(url), path)

    def _prepared(self, drafted: requests.Request, call: Call) -> PreparedRequest:
        """Prepare a request of `request`, whatever class overrides `prepare_request`."""
        try:
            prepared: requests.PreparedRequest = self.prepare_request(drafted)
        except requests.RequestException as error:
            # requests puts the whole URL into its messages.
            redaction.scrub(error, keeps_foreign=self._mode.keeps_foreign)
            raise
        ours = prepared if type(prepared) is PreparedRequest else self._adopted(prepared)
        held = ours.call or call
        if held[:3] != call[:3]:  # another prepare_request lost it
            ours.call = call._replace(credentials=held.credentials, hooks=held.hooks)
        return ours

    def _dispatched(
        self,
        response: Response,
        tables: tuple[dispatch.StatusDispatch[Any] | None, ...],
        *,
        raises: bool,
        limit: int | None,
    ) -> Any:
        """Return what the first table that knows the status makes of the response."""
        status = response.status_code
        table = handler = None
        for table in tables:
            if table and (handler := table.find(status)):
                break
        if status >= 400 and (handler or raises):
            receive_error(response, limit)
        if handler is None:
            if raises and status >= 400:
                self._raise(response)
            return response
        try:
            result = handler(response)
        except BaseException:
            response.close()
            raise
        if table is tables[-1] and not isinstance(result, RequestsResponse):
            raise ConfigurationError(
                f"the session's on_status returned {type(result).__name__} for {status}: a"
                " session's table may only raise or return a Response",
                response=response,
            )
        return result

    def _raise(self, response: Response) -> None:
        """Raise the error of a status; a URL that doubles the base path is worth a note."""
        try:
            response.raise_for_status()
        except NotFoundError as error:
            sent = (response.history or [response])[0].request.url or ""
            if urls.doubles_base(self.base_url, sent):
                add_note(
                    error,
                    "the URL repeats the path of base_url, to which relative URLs are appended:"
                    " resolve what the server gave with response.urljoin()",
                )
            raise

    # ---- Preparing

    def prepare_request(self, request: requests.Request) -> PreparedRequest:
        """Merge a request with the session's settings and sign it.

        To an origin that is not the session's, only what the request itself holds is sent,
        with the harmless ones of the session's headers.

        Raises:
            InvalidURL: The URL is relative without a base, or climbs out of the base.
        """
        call = request.__dict__.get("call") or Call(self._call_options())
        return self._mode.prepare(self, request, call)

    def merge_environment_settings(
        self,
        url: Any,
        proxies: Any,
        stream: bool | None,
        verify: Any,
        cert: Any,
    ) -> dict[str, Any]:
        """Complete a call's settings from the session and the environment.

        What the call or the session says beats the environment; in requests the environment
        beats the session. `verify=True` says nothing that the environment could contradict: its
        bundle is used, as in requests.
        """
        return self._mode.environment(self, url, proxies, stream, verify, cert)

    def _adopted(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return a request that was prepared elsewhere as one of ours; its own stay as they are."""
        if isinstance(request, PreparedRequest) and request.call is not None:
            return request
        mine = PreparedRequest.adopt(request, masks=not self._mode.keeps_foreign)
        request.__dict__["body_start"] = mine.body_start  # should it be resent
        url = mine.url or ""
        allowed = forwarding.allowed_origins(self, url)
        is_same_origin = forwarding.is_allowed(url, allowed)
        jar = upstream.jar_of(mine)
        credentials = Credentials(
            allowed_origins=allowed if is_same_origin else frozenset({urls.origin(url)}),
            uses_session=is_same_origin,
            cookies=jar if isinstance(jar, RequestsCookieJar) else None,
        )
        mine.call = Call(self._call_options(), credentials=credentials)
        return mine

    # ---- Sending

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
            send: Callable[..., Any] = self._send
            if log_records.REQUESTS.isEnabledFor(logging.DEBUG):
                send = log_records.logging_call(send)
            response = send(request, kwargs)
        except requests.RequestException as error:
            redaction.scrub(error, keeps_foreign=self._mode.keeps_foreign)
            if isinstance(error.response, RequestsResponse):
                adopt(error.response)  # ours hides credentials, also in a pickle
            raise
        is_ours = type(response) is Response
        if is_ours or is_response(response):  # else it is a mock's
            response.__dict__["elapsed_total"] = CLOCK.monotonic() - started
            if response.status_code >= 400 and self.error_reason is not None:
                response.__dict__["_error_reason"] = self.error_reason
        # A class that overrides send, a cache say, sets a class of its own on what we return.
        if (is_ours and not response.history) or type(self).send is not Session.send:
            return response  # type: ignore[no-any-return]  # `request` adopts it
        return adopt(response)

    def _send(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        mine, mode = self._copied(request), self._mode
        if mode.sends_plainly(self, mine):
            options.setdefault("timeout", self.timeout)
            send: Any = self._transmit().send
            with raising_source_errors():
                return send(request, **options)
        follows = options.pop("allow_redirects", True)
        self._complete(options, mine)
        preparation.refuse_plain_http(mine)
        delivery = self._delivery(mine, options, follows=follows)
        return mode.send(self, delivery, request, follows=follows)

    def _copied(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return a request that knows its call, and that the caller does not send again."""
        if type(request) is not PreparedRequest or request.call is None:
            return self._adopted(request)
        held = request.call.credentials
        if held.sign is None and request.call.deadline is not None and not request.is_attempt:
            return request  # made for this call, and nobody else's
        mine = request.copy()
        mine.is_attempt = False  # a hook may send the request of the response that it was given
        if held.sign is None:
            return mine
        # The signature made at prepare serves the first attempt only: it may have expired
        # by the time the same request is resent.
        request.call = request.call._replace(credentials=held._replace(is_signed=False))
        # requests' own redirects, or a caller's hand, may have led it to another origin.
        if not forwarding.is_allowed(mine.url or "", held.allowed_origins):
            mine.call = request.call._replace(credentials=held._replace(sign=None))
        return mine

    def _complete(self, options: dict[str, Any], request: PreparedRequest) -> None:
        """Add what the caller of `send` left out."""
        if options.get("verify") is None:
            self._mode.complete(self, options)
        for name in _SENDING:
            if name not in options:
                options[name] = getattr(self, name)
        if "proxies" not in options:
            explicit = proxies_of(self.proxies)
            options["proxies"] = proxies_for(request.url or "", explicit, trust_env=self.trust_env)
        if options["timeout"] is not _GOOD_TIMEOUT:
            settings.check({"timeout": options["timeout"]})
        verify = options["verify"]
        if (verify is not True and verify is not False) or options["cert"] is not None:
            self._mode.check_trust(options)

    def _delivery(
        self, request: PreparedRequest, options: dict[str, Any], *, follows: bool
    ) -> Delivery:
        """Return what delivers a request of its own: its deadline is started."""
        if not request.hooks:
            request.hooks = {"response": []}  # a caller may take them away
        call = request.call or NO_CALL
        if call.deadline is None:
            call = call._replace(deadline=Deadline.start(call.options.deadline))
            request.call = call
        mode, rate_limit = self._mode, self.rate_limit
        return Delivery(
            session=self,
            mode=mode,
            transmit=self._transmit(),
            request=request,
            call=call,
            options=options,
            follows_redirects=mode.follows_redirects and (follows or call.is_hop),
            budget=self._budget,
            host_throttle=self._host_throttle,
            rate_limiter=None if rate_limit is None else self._limiter_of(rate_limit),
        )

    def _transmit(self) -> Transmit:
        """Return what sends once: `send` of the class after ours, which may be a mixin's.

        requests stores the cookies of a response in a jar, without looking whether it is one.
        """
        held: Any = self.cookies
        sender = self
        if held is None:  # cookies are off: those of a response go into a jar that is dropped
            sender = object.__new__(type(self))
            sender.__dict__.update(self.__dict__, cookies=self._jar())
        elif not isinstance(held, CookieJar):  # names and texts: a response's are added to them
            self.cookies: RequestsCookieJar = self._jar()
        send = super(Session, sender).send
        is_stock = getattr(send, "__func__", None) is requests.sessions.Session.send
        return Transmit(self, send, is_fast=is_stock and type(self).send is Session.send)

    # ---- Redirects: requests' hooks, which subclasses may override

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a response redirects to; None for others, and inside an attempt."""
        if resp.status_code not in _REDIRECTS or _is_in_attempt(resp.request):
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
        """Follow redirects by hand, with the care that `send` takes; requests' own signature."""
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
        """Return the proxies for a redirected request: said here, else by the environment.

        Each hop is judged by itself: the environment may have a proxy for one host, and
        none for the next.
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

        What a subclass leaves there, or puts there, is sent; netrc is not asked again.
        """
        self._mode.rebuild_auth(self, prepared_request, response)

    # ---- For transfers

    def _whole_url(self, url: str | bytes, path: Mapping[str, object] | None) -> str:
        return urls.join(self.base_url, self._filled(url, path))


def _is_in_attempt(request: requests.PreparedRequest | None) -> bool:
    """Say whether a request is being sent right now, and requests must not look further."""
    return getattr(request, "is_attempt", False)


def _draft(call: Call, *, method: Any, headers: Any, **parts: Any) -> requests.Request:
    """Return a request with these parts, which knows its call.

    Raises:
        ConfigurationError: The method is no token, or another part cannot be used.
    """
    if type(method) is not str or method not in _METHODS:
        if isinstance(method, bytes):
            method = method.decode("latin-1")
        if not isinstance(method, str) or not header_fields.is_name(method):
            raise ConfigurationError(f"method={method!r} is an invalid HTTP method")
        method = method.upper()
    try:
        drafted = Request(method, headers=dict(headers or {}), **parts)
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"an argument cannot be used: {error}") from error
    drafted.__dict__["call"] = call
    return drafted


def _with_key(headers: HeadersLike, key: bool | str, options: CallOptions) -> HeadersLike:
    """Add an idempotency key to a call's headers, if one is asked for."""
    if key is False:
        return headers
    if not key:
        raise ConfigurationError("idempotency_key is empty")
    policy = options.retry or RetryPolicy()
    if key is True:
        import uuid

        key = str(uuid.uuid4())
    return {**(headers or {}), policy.idempotency_header: key}


redaction.guard_logs()

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GOOD_TIMEOUT = ConfiguredSession.timeout
_NOTHING_ASKED = (NOT_GIVEN,) * len(CallOptions._fields)
_own_options = operator.attrgetter(*CallOptions._fields)
_SENDING = ("timeout", "stream", "verify", "cert")
