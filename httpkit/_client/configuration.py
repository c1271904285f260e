"""The settings of a session: how they are given, checked, cloned, shown and pickled."""

from __future__ import annotations

import copy
import operator
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from urllib3.util import Retry

from httpkit._client import modes, preparation, settings
from httpkit._core import forks, header_fields, upstream, urls
from httpkit._core.given import NOT_GIVEN, NotGiven
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.call import CallOptions
from httpkit._policy.auth import Strategy
from httpkit._policy.limits import Budget, HostThrottle
from httpkit._policy.retry import RetryPolicy, as_policy
from httpkit._transport.adapter import Adapter

if TYPE_CHECKING:
    from httpkit._client import pickling
    from httpkit._core import disclosure, redaction, types
    from httpkit._policy import keywords, rate_limits, trust
else:
    pickling = ImportedLater("httpkit._client.pickling")
    disclosure = ImportedLater("httpkit._core.disclosure")
    types = ImportedLater("httpkit._core.types")
    redaction = ImportedLater("httpkit._core.redaction")
    rate_limits = ImportedLater("httpkit._policy.rate_limits")
    trust = ImportedLater("httpkit._policy.trust")
    keywords = ImportedLater("httpkit._policy.keywords")

# The attribute of a session by which its pickles know each other; they leave it behind.
PICKLE_TOKEN = "_pickle_token"  # noqa: S105  # the name of an attribute
_REQUESTS_INIT = requests.Session.__init__
# Connections to a host that are kept open: requests' 10 make the other 22 of 32 threads connect
# anew for each request. Room for one costs a microsecond when a host is first met.
_MOST_IDLE = 100


class _LateMode:
    """The mode of a session that was not set up: its constructor called that of requests alone.

    Not a data descriptor: the attribute of a session that was set up comes first.
    """

    def __init__(self, set_up: Callable[[Any], None]) -> None:
        self._set_up = set_up
        self._lock = forks.SafeLock()

    def __get__(self, session: Any, _: type) -> modes.Mode:
        if session is None:
            return modes.STRICT
        held = session.__dict__
        # "headers": requests' constructor was called. Setting up asks for the mode, too.
        if "headers" in held and held.get(_SET_UP_BY) != get_ident():
            with self._lock:
                if "_mode" not in held:
                    held[_SET_UP_BY] = get_ident()
                    try:
                        self._set_up(session)
                    finally:
                        del held[_SET_UP_BY]
        return modes.mode_of(session)


_SET_UP_BY = "_set_up_by"


class ConfiguredSession(modes.Boundary):
    """A requests.Session with the settings of ours."""

    verify: bool | str
    base_url: str | None = None
    timeout: types.Timeout = (5, 60)
    deadline: float | None = 300
    retry: RetryPolicy | int | None = RetryPolicy()
    on_status: keywords.StatusTable = None
    raise_for_status: bool = True
    max_body: int | None = 1 << 30
    rate_limit: rate_limits.RateLimit = None
    trusted_origins: Sequence[str] = ()
    allow_http_auth: bool = False
    redirect_body: bool = False
    secret_headers: Sequence[str] = ()
    shown: Sequence[str] = ()
    error_reason: keywords.ErrorReason | None = None
    strict: bool = True

    _class_keywords: Mapping[str, Any] = {}
    _last_options: tuple[tuple[Any, ...], CallOptions] | None = None
    _rate_limiter: rate_limits.RateLimiter | None = None
    # The only origins that may see its credentials; None: base_url's and the trusted ones.
    _bound_origins: frozenset[urls.Origin] | None = None
    _shares_pool: bool = False

    def __init_subclass__(cls, **options: Unpack[keywords.SessionOptions]) -> None:
        super().__init_subclass__()
        given: dict[str, Any] = {n: settings.copied(n, value) for n, value in options.items()}
        if given:
            keywords.check_known(given)
            settings.check(given)
        inherited: dict[str, Any] = {}
        for parent in reversed(cls.__mro__[1:]):
            if above := vars(parent).get("_class_keywords"):
                inherited = settings.merged(inherited, above)
        theirs = {name: given.pop(name) for name in settings.REQUESTS_SETTINGS if name in given}
        if modes.mode_of(cls).keeps_class_attributes:
            # requests' own constructor would overwrite them as class attributes
            redefined = vars(cls).keys() & settings.REQUESTS_SETTINGS
            theirs |= {n: vars(cls)[n] for n in redefined if not isinstance(vars(cls)[n], property)}
        inherited = settings.merged(inherited, theirs)
        cls._class_keywords = inherited
        for name, value in given.items():
            # A function is called with the response alone, as it is of a session's own.
            setattr(cls, name, staticmethod(value) if name == "error_reason" and value else value)

    def __init__(
        self,
        base_url: str | NotGiven | None = NOT_GIVEN,
        *,
        auth: types.Auth = None,
        headers: types.HeadersLike = None,
        params: Mapping[str, Any] | None = None,
        cookies: types.Cookies = None,
        proxies: Mapping[str, str] | None = None,
        verify: types.Verify = None,
        cert: types.Cert = None,
        timeout: types.Timeout | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
        retry: RetryPolicy | int | NotGiven | None = NOT_GIVEN,
        on_status: keywords.StatusTable | NotGiven = NOT_GIVEN,
        raise_for_status: bool | NotGiven = NOT_GIVEN,
        max_body: int | NotGiven | None = NOT_GIVEN,
        rate_limit: rate_limits.RateLimit | NotGiven = NOT_GIVEN,
        trusted_origins: Sequence[str] | NotGiven = NOT_GIVEN,
        allow_http_auth: bool | NotGiven = NOT_GIVEN,
        redirect_body: bool | NotGiven = NOT_GIVEN,
        secret_headers: Sequence[str] | NotGiven = NOT_GIVEN,
        shown: Sequence[str] | NotGiven = NOT_GIVEN,
        error_reason: keywords.ErrorReason | NotGiven | None = NOT_GIVEN,
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
            "shown": shown,
            "error_reason": error_reason,
            "strict": strict,
        }
        self._configure({n: value for n, value in given.items() if value is not NOT_GIVEN})
        self.__dict__["_mode"] = modes.mode_of(self)
        self._set_up()
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
        forks.watch_session(self)

    def _set_up(self) -> None:
        """Put what a session of ours holds in place of what requests made."""
        mode = self._mode
        if mode.mounts_adapters:
            self._mount_ours()
        fields = header_fields.RequestHeaders(self.headers)  # a subclass may have none
        if "User-Agent" in fields:
            fields["User-Agent"] = mode.user_agent(fields["User-Agent"])
        self.headers: CaseInsensitiveDict[str] = fields
        # Of a mixin's constructor it may be a jar that others have, too.
        is_new = super().__init__.__func__ is _REQUESTS_INIT  # type: ignore[attr-defined]
        self.cookies: RequestsCookieJar = header_fields.Jar.of(
            self.__dict__.get("cookies") if is_new else None, is_strict=mode.validates_cookies
        )
        state: dict[str, Any] = self.__dict__
        for name in ("params", "proxies"):
            if type(state.get(name)) is dict:
                state[name] = header_fields.Parameters(state[name])
        self._budget, self._host_throttle = Budget(), HostThrottle()

    def _ensure_set_up(self) -> None:
        """Complete a session whose constructor called that of requests alone."""
        _ = self._mode

    def _set_up_late(self) -> None:
        """Complete a session whose constructor called that of requests alone, as Authlib's does.

        What was assigned since counts before the keywords of the class.
        """
        stock = requests.Session()
        current = {name: self.__dict__[name] for name in settings.REQUESTS_SETTINGS}
        given = {name: value for name, value in current.items() if value != getattr(stock, name)}
        if "headers" in given:
            fields = settings.fields_of(current["headers"])
            given["headers"] = {n: v for n, v in fields.items() if stock.headers.get(n) != v}
        untyped: Any = self  # requests declares their types
        untyped.headers, untyped.params, untyped.cookies = stock.headers, {}, stock.cookies
        self._configure({})
        self._set_up()
        self._take(self._class_keywords)
        self._take(given)
        self.__dict__.update({name: None for name, value in current.items() if value is None})
        forks.watch_session(self)
        self.__dict__["_mode"] = modes.mode_of(self)  # last: other threads wait for it

    _mode = _LateMode(_set_up_late)

    def _mount_ours(self) -> None:
        """Put our adapters in the place of requests' own; a mixin may have mounted others."""
        ours = [
            (p, Adapter.replacing(a, _MOST_IDLE) if type(a) is HTTPAdapter else a)
            for p, a in self.adapters.items()
        ]
        if type(self).mount is ConfiguredSession.mount:
            self.adapters = OrderedDict(ours)  # in their places: `mount` sorts them anew
            return
        for prefix, adapter in ours:  # a subclass may do more with what is mounted
            if self.adapters.get(prefix) is not adapter:
                self.mount(prefix, adapter)

    def _configure(self, given: Mapping[str, Any]) -> None:
        """Store the settings given here and check all that are in force.

        They go straight into the instance's dict: a subclass may have a read-only property
        of the same name (github3's `timeout`), which then keeps its own meaning.
        """
        self.__dict__.update({n: settings.copied(n, value) for n, value in given.items()})
        mode = modes.mode_of(self)
        if mode.defaults:
            known = self._names_given()
            self.__dict__.update({n: v for n, v in mode.defaults.items() if n not in known})
        # What every session has by default was found good once: saves 6 us a session.
        cls, state = type(self), self.__dict__
        changed = {
            name: self._stored(name)
            for name, default in _DEFAULTS
            if (state[name] if name in state else getattr(cls, name)) is not default
        }
        settings.check({name: value for name, value in changed.items() if value is not None})
        self._limiter_of(changed.get("rate_limit"))  # now: threads and clones must share one
        _disclose(changed.get("secret_headers"), changed.get("shown"))

    def _names_given(self) -> set[str]:
        """Return the names that the instance and the classes below this one define."""
        classes = type(self).__mro__
        below = classes[: classes.index(ConfiguredSession)]
        return set[str]().union(self.__dict__, *map(vars, below))

    def _stored(self, name: str) -> Any:
        """Return a setting; None for a subclass's property, which may not be ready yet."""
        value = self.__dict__.get(name, getattr(type(self), name))
        return None if isinstance(value, property) else value

    def _take(self, options: Mapping[str, Any]) -> None:
        """Apply what requests assigns in its own constructor: mappings are merged."""
        given = {name: value for name, value in options.items() if value is not None}
        if not given:
            return
        settings.check(given)
        for name, value in given.items():
            if name in {"cookies", "headers", "params", "proxies"}:
                self._add(name, value)
            elif name == "cert" and self.strict:
                setattr(self, name, trust.as_cert(value))  # its password hides itself
            else:
                setattr(self, name, value)

    def _add(self, name: str, value: Any) -> None:
        """Add a mapping to one of requests' own containers."""
        if name == "cookies":
            self.cookies = self._jar()
            upstream.merge_cookies(self.cookies, preparation.as_jar(value))
            return
        if getattr(self, name) is None:
            setattr(self, name, header_fields.RequestHeaders() if name == "headers" else {})
        is_added = False
        with suppress(TypeError, AttributeError, ValueError):
            getattr(self, name).update(value)
            is_added = True
        if not is_added:  # not raised from that error: it may hold a credential
            raise ConfigurationError(f"{name}= must map names to values")

    def __repr__(self) -> str:
        details = f" {redaction.redact_url(self.base_url)}" if self.base_url else ""
        auth = self.auth
        if isinstance(auth, Strategy):
            details += f" auth={auth!r}"
        elif auth:
            details += f" auth={type(auth).__name__}"
        return f"<{type(self).__name__}{details}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is sent for it."""
        from httpkit._display import cards
        from httpkit._resources.endpoint import declared

        def facts() -> cards.Facts:
            who = self.auth
            signer = repr(who) if isinstance(who, Strategy) else type(who).__name__
            resources = {
                name: getattr(self, name, each) for name, each in declared(type(self)).items()
            }
            return cards.facts_of_session(self, signer if who else "none", resources)

        return cards.of_facts(self, facts)

    def with_options(self, **overrides: Unpack[keywords.SessionOptions]) -> Self:
        """Return a clone with some settings changed; pool and cookies are shared.

        Args:
            **overrides: The keywords of the constructor. Headers, parameters and proxies are
                added to the present ones.

        Raises:
            ConfigurationError: A setting is out of its bounds.
        """
        changes: dict[str, Any] = dict(overrides)
        keywords.check_known(changes)
        self._ensure_set_up()
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        clone.__dict__.pop(PICKLE_TOKEN, None)
        clone._shares_pool = True
        clone._copy_containers()
        theirs = {name: changes.pop(name) for name in settings.REQUESTS_SETTINGS if name in changes}
        if "auth" in theirs:
            settings.check({"auth": theirs["auth"]})
            clone.auth = theirs.pop("auth")  # None takes the session's auth away
        clone._configure(changes)
        clone.__dict__["_mode"] = modes.mode_of(clone)
        clone._take(theirs)
        forks.watch_session(clone)
        return clone

    def _copy_containers(self) -> None:
        """Have containers of its own, which are None where they were; cookies are shared."""
        state = self.__dict__
        if state.get("headers") is not None:
            state["headers"] = header_fields.RequestHeaders(settings.fields_of(state["headers"]))
        state.update({n: copy.copy(state[n]) for n in ("params", "proxies") if n in state})
        if hooks := state.get("hooks"):
            state["hooks"] = {event: list(preparation.as_hooks(h)) for event, h in hooks.items()}

    def _jar(self) -> RequestsCookieJar:
        """Return the session's cookies as a jar; one that is thrown away where they are None."""
        cookies: Any = self.cookies
        return cast("RequestsCookieJar", preparation.as_jar(cookies))

    def close(self) -> None:
        """Close the connections; a clone made by `with_options` leaves them to its original."""
        if not self._shares_pool and self.adapters is not None:  # pyright: ignore[reportUnnecessaryComparison]  # a caller may take them away
            super().close()

    def mount(self, prefix: str, adapter: Any) -> None:
        """Register an adapter for URLs with a prefix; safe while other threads send."""
        retries = _own_retries(adapter)
        if retries and self._stored("retry") is not None:
            warnings.warn(
                f"the adapter for {redaction.redact_text(prefix)} retries up to {retries} times"
                " for each of httpkit's own attempts: pass retry=None or an adapter without"
                " max_retries",
                stacklevel=2,
            )
        # Longest prefix first, in a new dict: readers never see one that changes.
        adapters: OrderedDict[str, Any] = OrderedDict(self.adapters or ())
        adapters[prefix] = adapter
        for shorter in [present for present in adapters if len(present) < len(prefix)]:
            adapters.move_to_end(shorter)
        self.adapters: MutableMapping[str, BaseAdapter] = adapters

    def __getstate__(self) -> dict[str, Any]:
        """Return the whole state, credentials included: a pickled session is a credential.

        With `strict=False` a subclass's own attributes stay behind, unless `__attrs__` names
        them, as in requests: they may be executors and locks.
        """
        self._ensure_set_up()
        state = {**super().__getstate__(), **self.__dict__, "_shares_pool": False}
        state.pop("_last_options", None)
        state.pop("_mode", None)
        if self._mode.pickles_everything:
            return state
        kept = {*self.__attrs__, *_STATE_NAMES}
        return {name: value for name, value in state.items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_mode"] = modes.mode_of(self)
        self.__dict__.pop(PICKLE_TOKEN, None)
        forks.watch_session(self)
        _disclose(self._stored("secret_headers"), self._stored("shown"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle so that one process makes one session of the same pickle, however often."""
        return pickling.reduce(self)

    def __copy__(self) -> Self:
        clone = type(self).__new__(type(self))
        clone.__setstate__(self.__getstate__())
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        clone = memo[id(self)] = type(self).__new__(type(self))
        clone.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return clone

    def _call_options(self, given: tuple[Any, ...] = ()) -> CallOptions:
        """Return what a call asks for: what it gives, else what the session says.

        Args:
            given: A value for each of `CallOptions`, or none at all.
        """
        effective: tuple[Any, ...] = _read_call_options(self)
        if given:
            pairs = zip(given, effective, strict=True)
            effective = tuple(
                [default if value is NOT_GIVEN else value for value, default in pairs]
            )
        last = self._last_options
        # The very same objects were found good: saves 7 us.
        if last is None or any(map(operator.is_not, last[0], effective)):
            options: dict[str, Any] = dict(zip(CallOptions.__slots__, effective, strict=True))
            settings.check(options)
            options["retry"] = as_policy(options["retry"])
            last = effective, CallOptions(**options)
            self.__dict__["_last_options"] = last
        return last[1]

    def _limiter_of(self, rate_limit: rate_limits.RateLimit) -> rate_limits.RateLimiter | None:
        """Return what keeps a rate; another one after another rate was assigned."""
        if rate_limit is None:
            return None
        if self._rate_limiter is None or self._rate_limiter.rate_limit != rate_limit:
            self._rate_limiter = rate_limits.RateLimiter(rate_limit)
        return self._rate_limiter


def _disclose(secret: Sequence[str] | None, shown: Sequence[str] | None) -> None:
    """Treat parts of these names as secrets, or as harmless, from now on."""
    if secret:
        disclosure.add_secret_names(secret)
    if shown:
        disclosure.add_shown_names(shown)


def _own_retries(adapter: Any) -> int:
    policy = getattr(adapter, "max_retries", None)
    if not isinstance(policy, Retry):
        return 0
    most = max(policy.total or 0, policy.connect or 0, policy.read or 0)
    return int(max(most, policy.status or 0, policy.other or 0))


_read_call_options = operator.attrgetter(*CallOptions.__slots__)
_SETTINGS = (
    "retry", "deadline", "max_body", "redirect_body", "allow_http_auth", "base_url", "timeout",
    "on_status", "raise_for_status", "rate_limit", "trusted_origins", "secret_headers",
    "shown", "error_reason", "strict",
)  # fmt: skip
_DEFAULTS = [(name, vars(ConfiguredSession)[name]) for name in _SETTINGS]
# What a session of ours holds beside what requests pickles.
_STATE_NAMES = (*_SETTINGS, "_budget", "_host_throttle", "_rate_limiter", "_shares_pool")
