"""The one place where a request becomes a response.

    request -> prepare_request -> send -> (delivery) -> dispatch

`request` knows what the call asked for, `prepare_request` what may go where, `send` starts
the clock, and `delivery` does the redirects, retries and attempts.
"""

from __future__ import annotations

import copy
import logging
import operator
import warnings
from collections import OrderedDict
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from http.cookiejar import CookieJar
from typing import Any, Self, TypeVar, Unpack, cast, overload

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.models import Request
from requests.structures import CaseInsensitiveDict
from urllib3.util import Retry

from httpkit._client import delivery, environment, pickling, preparation, settings
from httpkit._client.api_methods import ApiMethods
from httpkit._client.transfer_methods import Transfers
from httpkit._core import header_fields, models, redaction, upstream, urls
from httpkit._core.clock import CLOCK
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
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.request import Call, PreparedRequest
from httpkit._messages.response import Response, adopt, is_response
from httpkit._policy import dispatch, redirects
from httpkit._policy.auth import NO_AUTH, Strategy, refreshable, resigner
from httpkit._policy.limits import Budget, HostThrottle, RateLimit, RateLimiter
from httpkit._policy.options import (
    JsonOptions,
    SessionOptions,
    StatusTable,
    Table,
    check_known,
    fields_of,
    proxies_of,
)
from httpkit._policy.retry import RetryPolicy, as_policy
from httpkit._transport.adapter import Adapter
from httpkit._version import __version__

T = TypeVar("T")


class Session(ApiMethods, Transfers):
    """A requests.Session that is finished: base URL, credentials, retries, typed errors.

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
        secret_headers: Names of further headers, parameters and fields to hide from view.
        strict: False gives requests' own defaults: no timeout, deadline, retry, limits or
            raising, and its rules for redirects, netrc and credentials.

    Raises:
        ConfigurationError: A setting is out of its bounds.
        InvalidURL: base_url is no absolute URL, or has a query.

    A session may be shared among threads once it is set up: requests, retries and cookies
    are safe; changing `headers`, `auth` or adapters while requests run is not.
    """

    verify: bool | str
    base_url: str | None = None
    timeout: Timeout = (5, 60)
    deadline: float | None = 300
    retry: RetryPolicy | int | None = RetryPolicy()
    on_status: StatusTable = None
    raise_for_status: bool = True
    max_body: int | None = 1 << 30
    rate_limit: RateLimit = None
    trusted_origins: Sequence[str] = ()
    allow_http_auth: bool = False
    redirect_body: bool = False
    secret_headers: Sequence[str] = ()
    strict: bool = True

    _class_keywords: Mapping[str, Any] = {}
    _last_call: tuple[tuple[Any, ...], Call] | None = None
    _pace: RateLimiter | None = None
    _shares_pool: bool = False

    def __init_subclass__(cls, **keywords: Unpack[SessionOptions]) -> None:
        super().__init_subclass__()
        given: dict[str, Any] = {n: settings.own(n, value) for n, value in keywords.items()}
        check_known(given)
        settings.check(given)
        inherited: dict[str, Any] = {}
        for parent in reversed(cls.__mro__[1:]):
            inherited = settings.merged(inherited, vars(parent).get("_class_keywords", {}))
        theirs = {name: given.pop(name) for name in settings.REQUESTS_SETTINGS if name in given}
        if cls.strict:  # as class attributes requests would overwrite them
            own = vars(cls).keys() & settings.REQUESTS_SETTINGS
            theirs |= {n: vars(cls)[n] for n in own if not isinstance(vars(cls)[n], property)}
        inherited = settings.merged(inherited, theirs)
        cls._class_keywords = inherited
        for name, value in given.items():
            setattr(cls, name, value)

    def __init__(
        self,
        base_url: str | NotGiven | None = NOT_GIVEN,
        *,
        auth: Auth = None,
        headers: HeadersLike = None,
        params: Mapping[str, Any] | None = None,
        cookies: Cookies = None,
        proxies: Mapping[str, str] | None = None,
        verify: Verify = None,
        cert: Cert = None,
        timeout: Timeout | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
        retry: RetryPolicy | int | NotGiven | None = NOT_GIVEN,
        on_status: StatusTable | NotGiven = NOT_GIVEN,
        raise_for_status: bool | NotGiven = NOT_GIVEN,
        max_body: int | NotGiven | None = NOT_GIVEN,
        rate_limit: RateLimit | NotGiven = NOT_GIVEN,
        trusted_origins: Sequence[str] | NotGiven = NOT_GIVEN,
        allow_http_auth: bool | NotGiven = NOT_GIVEN,
        redirect_body: bool | NotGiven = NOT_GIVEN,
        secret_headers: Sequence[str] | NotGiven = NOT_GIVEN,
        strict: bool | NotGiven = NOT_GIVEN,
    ) -> None:
        super().__init__()
        given = {
            "base_url": base_url,
            "timeout": timeout,
            "deadline": deadline,
            "retry": retry,
            "on_status": on_status,
            "raise_for_status": raise_for_status,
            "max_body": max_body,
            "rate_limit": rate_limit,
            "trusted_origins": trusted_origins,
            "allow_http_auth": allow_http_auth,
            "redirect_body": redirect_body,
            "secret_headers": secret_headers,
            "strict": strict,
        }
        self._configure({n: value for n, value in given.items() if value is not NOT_GIVEN})
        if self.strict:
            self._mount_ours()
        fields = header_fields.Outgoing(self.headers)  # a subclass may have none
        if self.strict and "User-Agent" in fields:
            fields["User-Agent"] = f"httpkit/{__version__} {fields['User-Agent']}"
        self.headers: CaseInsensitiveDict[str] = fields
        self.cookies: RequestsCookieJar = header_fields.Jar(is_strict=self.strict)
        self._budget, self._host_throttle = Budget(), HostThrottle()
        ours = {
            "auth": auth,
            "headers": headers,
            "params": params,
            "cookies": cookies,
            "proxies": proxies,
            "verify": verify,
            "cert": cert,
        }
        self._take(self._class_keywords)
        self._take(ours)
        pickling.watch(self)

    def _mount_ours(self) -> None:
        """Put our adapters in the place of requests' own; a mixin may have mounted others."""
        for prefix, mounted in list(self.adapters.items()):
            if type(mounted) is HTTPAdapter:
                self.mount(prefix, Adapter.replacing(mounted, _MOST_IDLE))

    def _configure(self, given: Mapping[str, Any]) -> None:
        """Store the settings given here and check all that are in force.

        They go straight into the instance's dict: a subclass may have a read-only property
        of the same name (github3's `timeout`), which then keeps its own meaning.
        """
        self.__dict__.update({n: settings.own(n, value) for n, value in given.items()})
        if not self.strict:
            inherited = {n: v for n, v in settings.LENIENT.items() if self._is_default(n)}
            self.__dict__.update(inherited)
        # What every session has by default was found good once: saves 6 us a session.
        cls, own = type(self), self.__dict__
        changed = {
            name: self._stored(name)
            for name, default in _DEFAULTS
            if (own[name] if name in own else getattr(cls, name)) is not default
        }
        settings.check({name: value for name, value in changed.items() if value is not None})
        self._paced(changed.get("rate_limit"))  # now: threads and clones must share one
        redaction.remember_names(changed.get("secret_headers") or ())

    def _is_default(self, name: str) -> bool:
        classes = type(self).__mro__
        given = [vars(cls) for cls in classes[: classes.index(Session)]]
        return not any(name in names for names in [self.__dict__, *given])

    def _stored(self, name: str) -> Any:
        """Return a setting; None for a subclass's property, which may not be ready yet."""
        value = self.__dict__.get(name, getattr(type(self), name))
        return None if isinstance(value, property) else value

    def _take(self, keywords: Mapping[str, Any]) -> None:
        """Apply what requests assigns in its own constructor: mappings are merged."""
        given = {name: value for name, value in keywords.items() if value is not None}
        settings.check(given)
        for name, value in given.items():
            if name in {"cookies", "headers", "params", "proxies"}:
                self._add(name, value)
            else:
                setattr(self, name, value)

    def _add(self, name: str, value: Any) -> None:
        """Add a mapping to one of requests' own containers."""
        if name == "cookies":
            self.cookies = self._jar()
            upstream.merge_cookies(self.cookies, preparation.as_jar(value))
            return
        if getattr(self, name) is None:
            setattr(self, name, header_fields.Outgoing() if name == "headers" else {})
        is_added = False
        with suppress(TypeError, AttributeError, ValueError):
            getattr(self, name).update(value)
            is_added = True
        if not is_added:  # not raised from that error: it may hold a credential
            raise ConfigurationError(f"{name}= must map names to values")

    def __repr__(self) -> str:
        place = f" {redaction.redact_url(self.base_url)}" if self.base_url else ""
        who = self.auth
        if isinstance(who, Strategy):
            place += f" auth={who!r}"
        elif who:
            place += f" auth={type(who).__name__}"
        return f"<{type(self).__name__}{place}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is sent for it."""
        from httpkit._display import cards
        from httpkit._resources.resource import declared

        def facts() -> cards.Facts:
            who = self.auth
            signer = repr(who) if isinstance(who, Strategy) else type(who).__name__
            held = {name: getattr(self, name, each) for name, each in declared(type(self)).items()}
            return cards.facts_of_session(self, signer if who else "none", held)

        return cards.of_facts(self, facts)

    def with_options(self, **overrides: Unpack[SessionOptions]) -> Self:
        """Return a clone with some settings changed; pool and cookies are shared.

        Args:
            **overrides: The keywords of the constructor. Headers, parameters and proxies are
                added to the present ones.

        Raises:
            ConfigurationError: A setting is out of its bounds.
        """
        changes: dict[str, Any] = dict(overrides)
        check_known(changes)
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.__dict__.pop(pickling.TOKEN, None)
        twin._shares_pool = True
        twin._copy_containers()
        theirs = {name: changes.pop(name) for name in settings.REQUESTS_SETTINGS if name in changes}
        if "auth" in theirs:
            settings.check({"auth": theirs["auth"]})
            twin.auth = theirs.pop("auth")  # None takes the session's auth away
        twin._configure(changes)
        twin._take(theirs)
        pickling.watch(twin)
        return twin

    def _copy_containers(self) -> None:
        """Have containers of its own, which are None where they were; cookies are shared."""
        held = self.__dict__
        if held.get("headers") is not None:
            held["headers"] = header_fields.Outgoing(fields_of(held["headers"]))
        held.update({n: copy.copy(held[n]) for n in ("params", "proxies") if n in held})
        if hooks := held.get("hooks"):
            held["hooks"] = {event: list(preparation.as_hooks(h)) for event, h in hooks.items()}

    def _jar(self) -> RequestsCookieJar:
        """Return the session's cookies as a jar; one that is thrown away where they are None."""
        held: Any = self.cookies
        return cast("RequestsCookieJar", preparation.as_jar(held))

    def close(self) -> None:
        """Close the connections; a clone made by `with_options` leaves them to its origin."""
        if not self._shares_pool and self.adapters is not None:  # pyright: ignore[reportUnnecessaryComparison]  # a caller may take them away
            super().close()

    def mount(self, prefix: str, adapter: Any) -> None:
        """Register an adapter for URLs with a prefix; safe while other threads send."""
        retries = _own_retries(adapter)
        if retries and self._stored("retry") is not None:
            warnings.warn(
                f"the adapter for {prefix} retries up to {retries} times for each of httpkit's"
                " own attempts: pass retry=None or an adapter without max_retries",
                stacklevel=2,
            )
        # Longest prefix first, in a new dict: readers never see one that changes.
        adapters = OrderedDict(self.adapters or {})
        adapters[prefix] = adapter
        if prefix not in (self.adapters or {}):
            adapters = OrderedDict(
                [(p, adapters[p]) for p in sorted(adapters, key=len, reverse=True)]
            )
        self.adapters: MutableMapping[str, BaseAdapter] = adapters

    def __getstate__(self) -> dict[str, Any]:
        """Return the whole state, credentials included: a pickled session is a credential.

        With `strict=False` a subclass's own attributes stay behind, unless `__attrs__` names
        them, as in requests: they may be executors and locks.
        """
        state = {**super().__getstate__(), **self.__dict__, "_shares_pool": False}
        state.pop("_last_call", None)
        if self.strict:
            return state
        kept = {*self.__attrs__, *_OF_OURS}
        return {name: value for name, value in state.items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.pop(pickling.TOKEN, None)
        pickling.watch(self)
        redaction.remember_names(self._stored("secret_headers") or ())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle so that one process makes one session of the same pickle, however often."""
        return pickling.reduce(self)

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def prepare_request(self, request: requests.Request) -> PreparedRequest:
        """Merge a request with the session's settings and sign it.

        To an origin that is not the session's, only what the request itself holds is sent,
        with the harmless ones of the session's headers.

        Raises:
            InvalidURL: The URL is relative without a base, or climbs out of the base.
        """
        asked = request.__dict__.get("call") or self._call()
        if not self.strict:
            return self._prepare_leniently(request, asked)
        return preparation.prepare(request, self, asked)

    def _prepare_leniently(self, request: requests.Request, asked: Call) -> PreparedRequest:
        signer = request.auth if request.auth is not None else self.auth
        is_ours = isinstance(signer, Strategy)
        joined = Request()
        joined.__dict__.update(request.__dict__)
        if self.base_url is not None:
            joined.url = urls.join(self.base_url, preparation.as_text(request.url))
        if is_ours:
            joined.auth = NO_AUTH
        prepared = PreparedRequest.adopt(super().prepare_request(joined), masks=False)
        prepared.call = asked._replace(
            home=frozenset({urls.origin(prepared.url or "")}),
            sign=resigner(signer),
            is_signed=True,
            refreshable=refreshable(signer),
            token_transport=self,
        )
        if is_ours:  # last: it may have to ask for a token, and the call says how
            prepared.prepare_auth(signer)
        return prepared

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
        if not self.strict:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        explicit = proxies_of(self.proxies, proxies) if self.proxies or proxies else {}
        return {
            "proxies": self._proxies(url, explicit),
            "stream": self.stream if stream is None else stream,
            "verify": self._trusted(verify),
            "cert": self.cert if cert is None else cert,
        }

    def _trusted(self, verify: Any) -> Any:
        """Return whom to trust; None, and a session's None, are the default."""
        if verify is None:
            verify = self.verify
        if verify is None or verify is True:
            return (environment.ca_bundle() if self.trust_env else None) or True
        return verify

    def _proxies(self, url: str, explicit: dict[str, Any]) -> dict[str, Any]:
        no_proxy = explicit.get("no_proxy")
        ambient = environment.proxies(url, no_proxy) if self.trust_env else {}
        return preparation.merge_proxies(url, explicit, ambient)

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: dict[str, str] | None
    ) -> dict[str, str]:
        """Return the proxies for a redirected request: said here, else by the environment.

        Each hop is judged by itself: the environment may have a proxy for one host, and
        none for the next.
        """
        if not self.strict:
            return super().rebuild_proxies(prepared_request, proxies)
        call = getattr(prepared_request, "call", None) or Call()
        explicit = proxies or {} if call.proxies is None else dict(call.proxies)
        # The adapter adds it for the proxy in use; a copied one might meet another proxy.
        prepared_request.headers.pop("Proxy-Authorization", None)
        return self._proxies(prepared_request.url or "", dict(explicit))

    def rebuild_method(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Set the method of a redirected request: GET after a 303, and after a POST's 301, 302."""
        if not self.strict:
            super().rebuild_method(prepared_request, response)
            return
        method = prepared_request.method or "GET"
        prepared_request.method = redirects.method_after(response.status_code, method)

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Say whether a redirect leaves the origins that may see the session's credentials.

        A subclass that overrides it decides for the hosts that it names.
        """
        if not self.strict:
            return super().should_strip_auth(old_url, new_url)
        places = {urls.origin(old_url), urls.origin(new_url)}
        return len(places) > 1 and not places <= preparation.allowed_origins(self, old_url)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take Authorization from a redirected request that leaves the session's origins.

        What a subclass leaves there, or puts there, is sent; netrc is not asked again.
        """
        if not self.strict:
            super().rebuild_auth(prepared_request, response)
        elif self.should_strip_auth(response.url, prepared_request.url or ""):
            prepared_request.headers.pop("Authorization", None)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> Response:
        """Send a prepared request, with retries, redirects and the deadline of its call.

        It never raises for a status.

        Args:
            request: From `prepare_request`, or prepared elsewhere and then sent as it is.
            **kwargs: requests' own: stream, timeout, verify, cert, proxies, allow_redirects.

        Raises:
            RequestException: There is no answer; the error says after how many attempts.
            ValueError: It is not a prepared request.
        """
        if isinstance(request, Request):  # pyright: ignore[reportUnnecessaryIsInstance]  # a common slip
            raise ValueError("You can only send PreparedRequests.")  # noqa: TRY004  # requests' own class and words
        started = CLOCK.monotonic()
        outer = delivery.ATTEMPTING.set(False)  # a hook may send within another attempt
        try:
            response = self._deliver(request, kwargs)
        except requests.RequestException as error:
            redaction.scrub(error, keeps_foreign=not self.strict)
            if isinstance(error.response, RequestsResponse):
                adopt(error.response)  # ours hides credentials, also in a pickle
            raise
        finally:
            delivery.ATTEMPTING.reset(outer)
        if type(response) is not Response and not is_response(response):
            return cast("Response", response)
        response.__dict__["elapsed_total"] = CLOCK.monotonic() - started
        # A class that overrides send, a cache say, sets a class of its own on what we return.
        if _is_ours(response) or type(self).send is not Session.send:
            return cast("Response", response)
        return adopt(response)

    def _deliver(
        self, request: requests.PreparedRequest, kwargs: dict[str, Any]
    ) -> requests.Response:
        mine = self._ours(request)
        if not mine.hooks:
            mine.hooks = {"response": []}  # a caller may take them away
        call: Call = mine.call or Call()
        asked = (call.retry, call.deadline, call.max_body, call.refreshable, self.rate_limit)
        is_plain = not self.strict and asked == (None,) * 5
        # A 101 is for the caller to read from: requests gives its connection back to the pool.
        if is_plain and "upgrade" not in (request.headers or {}):
            kwargs.setdefault("timeout", self.timeout)
            plain: Any = self._transmit()
            if log_records.REQUESTS.isEnabledFor(logging.DEBUG):
                plain = log_records.noting(plain)
            with delivery.notify_sources():
                return cast("requests.Response", plain(request, **kwargs))
        follows = kwargs.pop("allow_redirects", True)
        self._complete(kwargs, mine)
        if not call.allow_http_auth:
            preparation.refuse_plain_http(mine)
        parcel = self._parcel(mine, kwargs, follows=follows and self.strict)
        if not self.strict:
            return self._follow_leniently(parcel, request, follows=follows)
        if follows:
            return parcel.follow()
        response = parcel.send_with_retries()
        if not call.follows:
            response.__dict__["_next"] = parcel.peek(response)  # what `.next` returns
        return response

    def _complete(self, options: dict[str, Any], request: PreparedRequest) -> None:
        """Add what the caller of `send` left out."""
        if self.strict and ("verify" not in options or options["verify"] is None):
            options["verify"] = self._trusted(None)
        for name in _SENDING:
            if name not in options:
                options[name] = getattr(self, name)
        if "proxies" not in options:
            explicit = proxies_of(self.proxies)
            options["proxies"] = self._proxies(request.url or "", explicit)
        if options["timeout"] is not _GOOD_TIMEOUT:
            settings.check({"timeout": options["timeout"]})

    def _ours(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return the request as one that knows its call, and note that it is being sent."""
        if not isinstance(request, PreparedRequest) or request.call is None:
            return self._adopted(request)  # a copy
        mine = request.copy()
        if request.call.sign is None:
            return mine
        call = request.call
        # The signature made at prepare serves the first attempt only: it may have expired
        # by the time the same request is sent again.
        request.call = call._replace(is_signed=False)
        # requests' own redirects, or a caller's hand, may have led it away from home.
        is_same_origin = urls.origin(mine.url or "") in call.home
        mine.call = call if is_same_origin else call._replace(sign=None)
        return mine

    def _adopted(self, request: requests.PreparedRequest) -> PreparedRequest:
        """Return a request that was prepared elsewhere as one of ours; its own stay as they are."""
        if isinstance(request, PreparedRequest) and request.call is not None:
            return request
        mine = PreparedRequest.adopt(request, masks=self.strict)
        request.__dict__["body_start"] = mine.body_start  # should it be sent again
        place, home = urls.origin(mine.url or ""), preparation.allowed_origins(self, mine.url or "")
        is_same_origin = place in home
        jar = upstream.jar_of(mine)
        mine.call = self._call()._replace(
            home=home if is_same_origin else frozenset({place}),
            uses_session=is_same_origin,
            cookies=jar if isinstance(jar, RequestsCookieJar) else None,
        )
        return mine

    def _follow_leniently(
        self, parcel: delivery.Delivery, request: requests.PreparedRequest, *, follows: bool
    ) -> requests.Response:
        """Follow redirects by requests' own rules; it sends each hop through `send`."""
        response = parcel.send_with_retries()
        if not follows:
            following = self.resolve_redirects(
                response, request, yield_requests=True, **parcel.options
            )
            response.__dict__["_next"] = next(following, None)
            return response
        history: list[requests.Response] = [
            response,
            *self.resolve_redirects(response, request, **parcel.options),
        ]
        response = history.pop()
        if history:
            response.history = history
        return response

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
        options: dict[str, Any] = {
            "stream": stream, "timeout": timeout, "verify": verify, "cert": cert, **adapter_kwargs
        }  # fmt: skip
        if not self.strict:
            yield from super().resolve_redirects(
                resp, req, proxies=proxies, yield_requests=yield_requests, **options
            )
            return
        if delivery.ATTEMPTING.get():  # requests' own send looks for `.next`: it is found later
            return
        mine = self._adopted(req)
        parcel = self._parcel(mine.copy(), {**options, "proxies": proxies or {}}, follows=True)
        if yield_requests:
            if (onward := parcel.peek(resp)) is not None:
                yield onward
            return
        yield from parcel.iter_redirects(resp)

    def _parcel(
        self, request: PreparedRequest, options: dict[str, Any], *, follows: bool
    ) -> delivery.Delivery:
        """Return what delivers a request of its own: its clock is started."""
        transmit = super().send if type(self.cookies) is header_fields.Jar else self._transmit()
        is_stock = getattr(transmit, "__func__", None) is requests.sessions.Session.send
        return delivery.Delivery(
            session=self,
            transmit=transmit,
            may_send_fast=is_stock and type(self).send is Session.send,
            request=delivery.begin(request, request.call or Call(), follows=follows),
            options=options,
            budget=self._budget,
            host_throttle=self._host_throttle,
            pace=self._paced(self.rate_limit),
            is_strict=self.strict,
        )

    def _transmit(self) -> Any:
        """Return what sends once: of whoever comes next, for a mixin may have one.

        requests stores the cookies of a response in a jar, without looking whether it is one.
        """
        held: Any = self.cookies
        if isinstance(held, CookieJar):
            return super().send
        jar = self._jar()
        if held is not None:  # names and texts: what the server sets is kept with them
            self.cookies = jar
            return super().send
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, cookies=jar)
        return super(Session, twin).send

    def _paced(self, rate_limit: RateLimit) -> RateLimiter | None:
        """Return what keeps a rate; another one after another rate was assigned."""
        if rate_limit is None:
            return None
        if self._pace is None or self._pace.rate_limit != rate_limit:
            self._pace = RateLimiter(rate_limit)
        return self._pace

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a response redirects to; None for others, and inside an attempt."""
        if resp.status_code not in _REDIRECTS or delivery.ATTEMPTING.get():
            return None
        try:
            return super().get_redirect_target(resp)
        except UnicodeError:  # neither UTF-8 nor Latin-1: as it came
            return resp.headers["location"]

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
            redirect_body: Whether the body may follow a redirect to another origin.
            allow_http_auth: Whether credentials may travel unencrypted.

        Raises:
            StatusError: The status is an error that nothing handles.
            RequestException: There is no answer, or none that can be read.
            ValueError: An argument cannot work; nothing was sent.
        """
        asked = (retry, deadline, max_body, redirect_body, allow_http_auth)
        call = self._call(() if asked == _NOTHING_ASKED else asked)
        tables = self._tables(on_status)
        raises = self.raise_for_status if raise_for_status is NOT_GIVEN else raise_for_status
        if proxies is not None or (raises is not True and raises is not False):
            settings.check({"raise_for_status": raises, "proxies": proxies})
        call = call._replace(
            ends_at=None if call.deadline is None else CLOCK.monotonic() + call.deadline,
            proxies=proxies_of(self.proxies, proxies),
            follows=bool(allow_redirects and self.strict),
        )
        if idempotency_key is not None:
            headers = _with_key(headers, idempotency_key, call)
        if json is not None and self.strict:
            json = models.encode(json)
        drafted = _draft(
            call,
            method=method,
            url=self._filled(url, path),
            headers=headers,
            files=files,
            data=data or {},
            json=json,
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
        if not _is_ours(response):
            if not is_response(response):  # send may be a mock
                return response
            response = adopt(response)
        return self._dispatched(response, tables, raises=raises, limit=call.max_body)

    def _call(self, given: tuple[Any, ...] = ()) -> Call:
        """Return what a call asks for: what it gives, else what the session says.

        Args:
            given: A value for each of `_CALL_SETTINGS`, or none at all.
        """
        asked: tuple[Any, ...] = _call_settings(self)
        if given:
            pairs = zip(given, asked, strict=True)
            asked = tuple([own if value is NOT_GIVEN else value for value, own in pairs])
        kept = self._last_call
        # The very same objects were found good: saves 7 us.
        if kept is None or any(map(operator.is_not, kept[0], asked)):
            named: dict[str, Any] = dict(zip(_CALL_SETTINGS, asked, strict=True))
            settings.check(named)
            policy = as_policy(named["retry"])
            kept = asked, Call()._replace(**{**named, "retry": policy})
            self.__dict__["_last_call"] = kept
        return kept[1]

    def _tables(self, on_status: Any) -> tuple[dispatch.StatusDispatch[Any] | None, ...]:
        """Return the tables to ask, the session's last; None turns them off."""
        if on_status is None:
            return ()
        own = dispatch.as_dispatch(self.on_status)
        return (own,) if on_status is NOT_GIVEN else (dispatch.as_dispatch(on_status), own)

    def _filled(self, url: str | bytes, path: Mapping[str, object] | None) -> str:
        if path is None and type(url) is str and "{" not in url:
            return url
        text = preparation.as_text(url)
        return urls.fill(text, path) if self.strict or path is not None else text

    def _prepared(self, drafted: requests.Request, call: Call) -> PreparedRequest:
        try:
            prepared: requests.PreparedRequest = self.prepare_request(drafted)
        except requests.RequestException as error:
            # requests puts the whole URL into its messages.
            redaction.scrub(error, keeps_foreign=not self.strict)
            raise
        ours = self._adopted(prepared)
        if ours.call is None or _kept(ours.call) != _kept(call):  # another prepare_request lost it
            asked = dict(zip(_KEPT, _kept(call), strict=True))
            ours.call = (ours.call or call)._replace(**asked)
        return ours

    def _dispatched(
        self,
        response: Response,
        tables: tuple[dispatch.StatusDispatch[Any] | None, ...],
        *,
        raises: bool,
        limit: int | None,
    ) -> Any:
        """Return what the first table that knows the status makes of the answer."""
        status = response.status_code
        table = handler = None
        for table in tables:
            if table and (handler := table.find(status)):
                break
        if status >= 400 and (handler or raises):
            delivery.receive_error(response, limit)
        if handler is None:
            if raises and status >= 400:
                response.raise_for_status()
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

    def _whole_url(self, url: str | bytes, path: Mapping[str, object] | None) -> str:
        return urls.join(self.base_url, self._filled(url, path))

    def _homes_of(self, url: str) -> frozenset[urls.Origin]:
        """Return the origins that may have what is meant for a URL."""
        return preparation.allowed_origins(self, url) | {urls.origin(url)}


def _draft(call: Call, *, method: Any, headers: Any, **parts: Any) -> requests.Request:
    """Return a request with these parts, which knows its call.

    Raises:
        ConfigurationError: The method is no token, or another part is of no use.
    """
    if type(method) is not str or method not in _METHODS:
        if isinstance(method, bytes):
            method = method.decode("latin-1")
        if not isinstance(method, str) or not header_fields.is_name(method):
            raise ConfigurationError(f"method={method!r} is no HTTP method")
        method = method.upper()
    try:
        drafted = Request(method, headers=dict(headers or {}), **parts)
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"an argument cannot be used: {error}") from error
    drafted.__dict__["call"] = call
    return drafted


def _is_ours(response: requests.Response) -> bool:
    """Say at a glance that there is nothing to adopt."""
    return type(response) is Response and not response.history


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _own_retries(adapter: Any) -> int:
    policy = getattr(adapter, "max_retries", None)
    if not isinstance(policy, Retry):
        return 0
    kinds = (policy.total, policy.connect, policy.read, policy.status, policy.other)
    return int(max([count or 0 for count in kinds]))


def _with_key(headers: HeadersLike, key: bool | str, call: Call) -> HeadersLike:
    """Add an idempotency key to a call's headers, if one is asked for."""
    if key is False:
        return headers
    if not key:
        raise ConfigurationError("idempotency_key is empty")
    policy = call.retry or RetryPolicy()
    if key is True:
        import uuid

        key = str(uuid.uuid4())
    return {**(headers or {}), policy.idempotency_header: key}


redaction.guard_logs()

# Connections to a host that are kept open: requests' 10 make the other 22 of 32 threads connect
# anew for each request. Room for one costs a microsecond when a host is first met.
_MOST_IDLE = 100
_GOOD_TIMEOUT = Session.timeout
_CALL_SETTINGS = ("retry", "deadline", "max_body", "redirect_body", "allow_http_auth")
_NOTHING_ASKED = (NOT_GIVEN,) * len(_CALL_SETTINGS)
_call_settings = operator.attrgetter(*_CALL_SETTINGS)
_KEPT = (*_CALL_SETTINGS, "ends_at", "proxies")
_kept = operator.attrgetter(*_KEPT)
_SENDING = ("timeout", "stream", "verify", "cert")
_SETTINGS = (
    *_CALL_SETTINGS, "base_url", "timeout", "on_status", "raise_for_status", "rate_limit",
    "trusted_origins", "secret_headers", "strict",
)  # fmt: skip
_DEFAULTS = [(name, vars(Session)[name]) for name in _SETTINGS]
# What a session of ours holds beside what requests pickles.
_OF_OURS = (*_SETTINGS, "_budget", "_host_throttle", "_pace", "_shares_pool")
