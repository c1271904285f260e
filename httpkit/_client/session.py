"""A call from its arguments to its response, step by step.

    request -> prepare_request -> merge_environment_settings -> send -> outcome_of

`request` knows what the call sets, `preparation` decides what is sent where, `sending` sends
a prepared request, and `outcome` lets a handler have the response. `configuration` holds the
settings, `modes` what differs under `strict=False`, `delivery` redirects, retries and attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import requests
from requests.models import Request

from httpkit._client import preparation, settings
from httpkit._client.api_methods import ApiMethods
from httpkit._client.sending import SendingSession
from httpkit._client.transfer_methods import TransferMethods
from httpkit._core.classes import public
from httpkit._core.clock import Deadline
from httpkit._core.given import NOT_GIVEN, NotGiven
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.call import Call, CallOptions
from httpkit._messages.request import PreparedRequest
from httpkit._messages.response import Response, adopt, is_response
from httpkit._policy.retry import RetryPolicy

if TYPE_CHECKING:
    from httpkit._client import outcome
    from httpkit._core import error_redaction, types
    from httpkit._policy import dispatch, keywords
else:
    outcome = ImportedLater("httpkit._client.outcome")
    dispatch = ImportedLater("httpkit._policy.dispatch")
    error_redaction = ImportedLater("httpkit._core.error_redaction")
    keywords = ImportedLater("httpkit._policy.keywords")
    types = ImportedLater("httpkit._core.types")

T = TypeVar("T")


@public
class Session(ApiMethods, TransferMethods, SendingSession):
    """A requests.Session with base URL, credentials, safe retries and typed errors built in.

    Every keyword can also be set in the class statement (`class Blog(Session, headers=…)`), and
    those below `cert` as class attributes (`timeout = 10`). Keywords of a call take precedence over
    those of the instance, and these over the class. Containers are copied.

    Args:
        base_url: Relative URLs are appended to it, and credentials are bound to its origin. None:
            every URL must be absolute, and credentials are sent to its origin.
        auth: A strategy, a (user, password) tuple, any `AuthBase` or callable; None for none.
        headers: Sent with every request to the session's origin, over requests' defaults.
        params: Query parameters sent with every request to the session's origin.
        cookies: A dict or a jar of initial cookies.
        proxies: A mapping of schemes to proxy URLs; takes precedence over the environment.
        verify: False, the path of a CA bundle or an SSLContext, which take precedence over the
            environment; True, the default, uses the bundle of REQUESTS_CA_BUNDLE if it is set.
        cert: Path of a client certificate, or (certificate, key).
        timeout: Seconds to connect and between bytes, or (connect, read), above 0; None off.
        deadline: Seconds for a whole call with all its attempts, redirects and its body,
            above 0; None off. A streamed body is not counted.
        retry: A RetryPolicy, or a number of attempts; None is off.
        on_status: A mapping or StatusDispatch, used after that of the call; its handlers may only
            raise or return a Response. None is off.
        raise_for_status: Whether an error status without a handler raises a StatusError.
        max_body: The most bytes of a body read into memory, above 0; None off. Streams are
            not limited, but each line and each event of one is.
        rate_limit: The most requests to each host: "10/s", "100/min", a number a second, or a
            limiter of pyrate-limiter; it applies to every attempt. None is off.
        trusted_origins: URLs of further origins that may see the session's credentials.
        allow_http_auth: Whether credentials may be sent unencrypted beyond loopback.
        redirect_body: Whether a request body may follow a redirect to another origin.
        secret_headers: Names of further headers, parameters and fields to mask.
        shown: Names of further headers and parameters to show in messages, logs and reprs.
        error_reason: Called with an error response; returns its message, for `.detail` and the
            error, or None to search for it as usual. An exception of it becomes a note.
        strict: False gives requests' own defaults: no timeout, deadline, retry, limits or
            raising, and its rules for redirects, netrc and credentials.

    Raises:
        ConfigurationError: A setting is out of its bounds.
        InvalidURL: base_url is not an absolute URL, or has a query.

    A session may be shared among threads once it is set up: requests, retries and cookies
    are safe; changing `headers`, `auth` or adapters while requests run is not.
    """

    # ---- A call

    @overload  # type: ignore[override]  # positional parameters after data are for old callers
    def request(
        self,
        method: str,
        url: str | bytes,
        params: types.Params = None,
        data: types.Data = None,
        *,
        on_status: None = None,
        **options: Unpack[keywords.JsonOptions],
    ) -> Response: ...
    @overload
    def request(
        self,
        method: str,
        url: str | bytes,
        params: types.Params = None,
        data: types.Data = None,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.JsonOptions],
    ) -> Response | T: ...
    def request(
        self,
        method: str,
        url: str | bytes,
        params: types.Params = None,
        data: types.Data = None,
        headers: types.HeadersLike = None,
        cookies: types.Cookies = None,
        files: types.Files = None,
        auth: types.Auth = None,
        timeout: types.Timeout | NotGiven = NOT_GIVEN,
        allow_redirects: bool = True,
        proxies: dict[str, str] | None = None,
        hooks: types.Hooks = None,
        stream: bool | None = None,
        verify: types.Verify = None,
        cert: types.Cert = None,
        json: types.Json = None,
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
            headers: Take precedence over the session's; a value of None removes one.
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
            json: A JSON value, or a dataclass, attrs, msgspec or pydantic object.
            on_status: A mapping or StatusDispatch, used before that of the session; None uses
                neither.
            path: Values for the `{name}` placeholders of the URL, percent-encoded.
            raise_for_status: Whether an error status without a handler raises.
            retry: A RetryPolicy or a number of attempts; None is off.
            deadline: Seconds for the whole call; None is off.
            max_body: The most bytes of the body read into memory; None is off.
            idempotency_key: True creates a key, a str is the key; all attempts send the same one,
                so any method may be repeated. None and False send none.
            idempotent: True retries a request of any method like a GET, False never retries it.
                None decides by the method and the idempotency key.
            redirect_body: Whether the body may follow a redirect to another origin.
            allow_http_auth: Whether credentials may be sent unencrypted.

        Raises:
            StatusError: The status is an error status without a handler.
            RequestException: There is no response, or none that can be read.
            ValueError: An argument is invalid; nothing was sent.
        """
        tables = self._tables(on_status)
        call_settings = (retry, deadline, max_body, redirect_body, allow_http_auth)
        options = self._call_options(() if call_settings == _NOTHING_GIVEN else call_settings)
        raises = self.raise_for_status if raise_for_status is NOT_GIVEN else raise_for_status
        if idempotent is not None:
            settings.check({"idempotent": idempotent})
        if proxies is not None or (raises is not True and raises is not False):
            settings.check({"raise_for_status": raises, "proxies": proxies})
        call = Call(
            options,
            Deadline.start(options.deadline),
            settings.proxies_of(self.proxies, proxies) if proxies or self.proxies else {},
            idempotent=idempotent,
        )
        if idempotency_key is not None:
            headers = preparation.with_key(headers, idempotency_key, options)
        if path or type(url) is not str or "{" in url:
            url = self._mode.fill(preparation.as_text(url), path)
        drafted = self._draft(
            call,
            method=method,
            url=url,
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
        limit, base = options.max_body, self.base_url
        return outcome.outcome_of(response, tables, raises=raises, limit=limit, base_url=base)

    def _tables(self, on_status: Any) -> outcome.Tables:
        """Return the status tables, the session's last; None turns them off."""
        if on_status is None or (on_status is NOT_GIVEN and self.on_status is None):
            return ()
        session_table = dispatch.as_dispatch(self.on_status)
        if on_status is NOT_GIVEN:
            return (session_table,)
        return dispatch.as_dispatch(on_status), session_table

    def _draft(self, call: Call, *, method: Any, headers: Any, **parts: Any) -> requests.Request:
        """Return a request with these parts, which knows its call.

        Raises:
            ConfigurationError: The method is no token, or another part cannot be used.
        """
        if type(method) is not str or method not in preparation.UPPER_METHODS:
            method = preparation.checked_method(method)
        try:
            drafted: Any = Request(method, headers=dict(headers or {}), **parts)
        except (TypeError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"an argument cannot be used: {error}") from error
        drafted.call = call
        made: requests.Request = drafted
        return made

    def _prepared(self, drafted: requests.Request, call: Call) -> PreparedRequest:
        """Prepare a request of `request`, whatever class overrides `prepare_request`."""
        try:
            prepared: requests.PreparedRequest = self.prepare_request(drafted)
        except (requests.RequestException, UnicodeError) as error:
            # requests puts the whole URL, or a header's value, into its messages.
            error_redaction.scrub(error, keeps_third_party=self._mode.keeps_third_party)
            raise
        adopted = prepared if type(prepared) is PreparedRequest else self._adopted(prepared)
        prepared_call = adopted.call or call
        is_same = prepared_call.options is call.options and prepared_call.proxies is call.proxies
        # Another prepare_request may have lost it.
        if not is_same or prepared_call.deadline is not call.deadline:
            adopted.call = call.replace(
                credentials=prepared_call.credentials, hooks=prepared_call.hooks
            )
        return adopted

    # ---- Preparing

    def prepare_request(self, request: requests.Request) -> PreparedRequest:
        """Merge a request with the session's settings and sign it.

        To another origin than the session's, only the request's own headers and parameters are
        sent, and the harmless headers of the session.

        Raises:
            InvalidURL: The URL is relative without a base, or leads outside it.
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

        Settings of the call and the session take precedence over the environment; in requests, the
        environment takes precedence over the session. With `verify=True`, the bundle of the
        environment is used, as in requests.
        """
        return self._mode.environment(self, url, proxies, stream, verify, cert)


_NOTHING_GIVEN = (NOT_GIVEN,) * len(CallOptions.__slots__)
