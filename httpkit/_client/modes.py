"""What differs between httpkit's own rules and those of requests (`strict=False`).

A session looks its mode up once for each step; nothing else asks whether it is strict.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol, cast

import requests
from requests.models import Request

from httpkit._client import environment, preparation
from httpkit._client.delivery import Delivery
from httpkit._core import models, upstream, urls
from httpkit._messages.call import Call, Credentials, call_of
from httpkit._messages.request import PreparedRequest
from httpkit._messages.response import receive
from httpkit._policy import forwarding, redirects, trust
from httpkit._policy.auth import NO_AUTH, Strategy, refreshable, resigner
from httpkit._policy.options import proxies_of
from httpkit._version import __version__


class Boundary(requests.Session):
    """The last class of ours: what follows it is requests, or a mixin of a caller's."""


class Host(preparation.Owner, environment.TrustHolder, Protocol):
    """What a mode needs of a session."""

    stream: bool
    cert: Any
    strict: bool

    @property
    def rate_limit(self) -> Any:
        """The most requests to each host."""
        ...

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Say whether credentials must not go from one URL to the other."""
        ...

    def resolve_redirects(
        self, resp: requests.Response, req: requests.PreparedRequest, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """Follow redirects by hand."""
        ...


class StrictMode:
    """httpkit's rules."""

    defaults: Mapping[str, object] = {}
    # Whether class attributes stand for what requests assigns in its own constructor.
    keeps_class_attributes: bool = True
    has_own_adapters: bool = True
    # Whether a pickle carries attributes that neither httpkit nor `__attrs__` names.
    pickles_everything: bool = True
    # Whether the words of errors that mocks and foreign adapters raise stay as they are.
    keeps_foreign: bool = False
    judges_cookies: bool = True
    # Whether a delivery follows redirects; otherwise requests does, hop by hop through `send`.
    follows_redirects: bool = True

    @staticmethod
    def user_agent(stock: str) -> str:
        """Return the User-Agent of a session."""
        return f"httpkit/{__version__} {stock}"

    # ---- A request

    @staticmethod
    def fill(url: str, path: Mapping[str, object] | None) -> str:
        """Return a URL with its placeholders filled."""
        return urls.fill(url, path)

    @staticmethod
    def encode(json: object) -> object:
        """Return what JSON can say of a value."""
        return models.encode(json)

    def prepare(self, session: Host, request: requests.Request, call: Call) -> PreparedRequest:
        """Merge a request with the session's settings and sign it."""
        return preparation.prepare(request, session, call)

    def environment(
        self,
        session: Host,
        url: Any,
        proxies: Any,
        stream: bool | None,
        verify: Any,
        cert: Any,
    ) -> dict[str, Any]:
        """Complete a call's settings from the session and the environment."""
        explicit = proxies_of(session.proxies, proxies) if session.proxies or proxies else {}
        return {
            "proxies": environment.proxies_for(url, explicit, trust_env=session.trust_env),
            "stream": session.stream if stream is None else stream,
            "verify": environment.trusted(session, verify),
            "cert": session.cert if cert is None else cert,
        }

    def complete(self, session: Host, options: dict[str, Any]) -> None:
        """Say whom to trust, where the caller of `send` did not."""
        options["verify"] = environment.trusted(session, None)

    @staticmethod
    def check_trust(options: dict[str, Any]) -> None:
        """Check a `verify` that is no bool, and a client certificate; write paths as str."""
        options["verify"] = trust.as_verify(options["verify"])
        options["cert"] = trust.as_cert(options["cert"])
        trust.check_together(options["verify"], options["cert"])

    # ---- Redirects

    def rebuild_proxies(
        self,
        session: Host,
        request: requests.PreparedRequest,
        proxies: dict[str, str] | None,
    ) -> dict[str, str]:
        """Return the proxies for a redirected request; each hop is judged by itself."""
        call = call_of(request)
        explicit = proxies or {} if call.proxies is None else call.proxies
        # The adapter adds it for the proxy in use; a copied one might meet another proxy.
        request.headers.pop("Proxy-Authorization", None)
        return environment.proxies_for(request.url or "", explicit, trust_env=session.trust_env)

    def rebuild_method(
        self, _: Host, request: requests.PreparedRequest, response: requests.Response, /
    ) -> None:
        """Set the method of a redirected request."""
        request.method = redirects.method_after(response.status_code, request.method or "GET")

    def should_strip_auth(self, session: Host, old_url: str, new_url: str) -> bool:
        """Say whether a redirect leaves the origins that may see the credentials."""
        allowed = forwarding.allowed_origins(session, old_url)
        stays = all(forwarding.is_allowed(url, allowed) for url in (old_url, new_url))
        return not stays and urls.origin(old_url) != urls.origin(new_url)

    def rebuild_auth(
        self, session: Host, request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take Authorization from a redirected request that leaves the session's origins."""
        if session.should_strip_auth(response.url, request.url or ""):
            request.headers.pop("Authorization", None)

    def resolve_redirects(
        self,
        _: Host,
        deliver: Callable[[], Delivery],
        response: requests.Response,
        __: requests.PreparedRequest,
        ___: dict[str, Any],
        /,
        *,
        yield_requests: bool,
    ) -> Generator[Any, None, None]:
        """Follow redirects for a caller who does it by hand."""
        if not yield_requests:
            yield from deliver().iter_redirects(response)
        elif (onward := deliver().next_request(response)) is not None:
            yield onward

    # ---- Sending

    def sends_plainly(self, _: Host, __: PreparedRequest, /) -> bool:
        """Say whether requests' own `send` does all that is asked for."""
        return False

    def send(
        self, _: Host, delivery: Delivery, __: requests.PreparedRequest, /, *, follows: bool
    ) -> requests.Response:
        """Send a request, and what its redirects ask for."""
        if follows:
            return delivery.follow()
        response = delivery.send_with_retries()
        if not delivery.follows_redirects:
            upstream.set_next(response, delivery.next_request(response))
        return response

    def read(
        self, response: requests.Response, limit: int | None, check: Callable[[], None]
    ) -> None:
        """Read a body into memory, within its bounds."""
        receive(response, limit=limit, check=check)


class CompatibleMode(StrictMode):
    """requests' own rules, its bugs included; only what is shown stays redacted."""

    defaults: Mapping[str, object] = {
        "timeout": None,
        "deadline": None,
        "retry": None,
        "raise_for_status": False,
        "max_body": None,
        "allow_http_auth": True,
        "redirect_body": True,
    }
    keeps_class_attributes = False
    has_own_adapters = False
    pickles_everything = False
    keeps_foreign = True
    judges_cookies = False
    follows_redirects = False

    @staticmethod
    def user_agent(stock: str) -> str:
        """Return requests' own."""
        return stock

    @staticmethod
    def fill(url: str, path: Mapping[str, object] | None) -> str:
        """Return a URL with its placeholders filled, if there are values for them."""
        return url if path is None else urls.fill(url, path)

    @staticmethod
    def encode(json: object) -> object:
        """Return the value: requests says what it cannot encode."""
        return json

    def prepare(self, session: Host, request: requests.Request, call: Call) -> PreparedRequest:
        """Prepare as requests does; a strategy of ours signs last."""
        signer: Any = request.auth if request.auth is not None else session.auth
        is_ours = isinstance(signer, Strategy)
        joined = Request()
        joined.__dict__.update(request.__dict__)
        if session.base_url is not None:
            joined.url = urls.join(session.base_url, preparation.as_text(request.url))
        if is_ours:
            joined.auth = NO_AUTH
        prepared = PreparedRequest.adopt(_stock(session).prepare_request(joined), masks=False)
        prepared.call = call._replace(
            credentials=Credentials(
                allowed_origins=frozenset({urls.origin(prepared.url or "")}),
                sign=resigner(signer),
                is_signed=True,
                refreshable=refreshable(signer),
                token_transport=session,
            )
        )
        if is_ours:  # last: it may have to ask for a token, and the call says how
            prepared.prepare_auth(signer)
        return prepared

    def environment(
        self,
        session: Host,
        url: Any,
        proxies: Any,
        stream: bool | None,
        verify: Any,
        cert: Any,
    ) -> dict[str, Any]:
        """Let the environment beat the session, as requests does."""
        return _stock(session).merge_environment_settings(url, proxies, stream, verify, cert)

    def complete(self, session: Host, options: dict[str, Any]) -> None:
        """Add nothing."""

    @staticmethod
    def check_trust(options: dict[str, Any]) -> None:
        """Take what requests takes."""

    def rebuild_proxies(
        self,
        session: Host,
        request: requests.PreparedRequest,
        proxies: dict[str, str] | None,
    ) -> dict[str, str]:
        """Rebuild the proxies as requests does."""
        return _stock(session).rebuild_proxies(request, proxies)

    def rebuild_method(
        self, session: Host, request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Set the method as requests does."""
        _stock(session).rebuild_method(request, response)

    def should_strip_auth(self, session: Host, old_url: str, new_url: str) -> bool:
        """Say what requests says."""
        return _stock(session).should_strip_auth(old_url, new_url)

    def rebuild_auth(
        self, session: Host, request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Rebuild the credentials as requests does, netrc included."""
        _stock(session).rebuild_auth(request, response)

    def resolve_redirects(
        self,
        session: Host,
        _: Callable[[], Delivery],
        response: requests.Response,
        request: requests.PreparedRequest,
        options: dict[str, Any],
        /,
        *,
        yield_requests: bool,
    ) -> Generator[Any, None, None]:
        """Follow redirects as requests does."""
        if isinstance(request, PreparedRequest) and not yield_requests:
            request = request.copy()  # requests sends copies of it
            request.call = call_of(request)._replace(is_hop=True)
        yield from _stock(session).resolve_redirects(
            response, request, yield_requests=yield_requests, **options
        )

    def sends_plainly(self, session: Host, request: PreparedRequest) -> bool:
        """Say whether nothing of ours is asked for."""
        call = call_of(request)
        asked = call.options.retry, call.options.deadline, call.options.max_body
        is_plain = asked == (None, None, None) and session.rate_limit is None
        # A 101 is for the caller to read from: requests gives its connection back to the pool.
        is_upgrade = "upgrade" in (request.headers or {})
        return is_plain and call.credentials.refreshable is None and not is_upgrade

    def send(
        self,
        session: Host,
        delivery: Delivery,
        request: requests.PreparedRequest,
        *,
        follows: bool,
    ) -> requests.Response:
        """Follow redirects by requests' own rules: each hop goes through `Session.send`."""
        response = delivery.send_with_retries()
        if not follows:
            following = session.resolve_redirects(
                response, request, yield_requests=True, **delivery.options
            )
            upstream.set_next(response, next(following, None))
            return response
        history: list[requests.Response] = [
            response,
            *session.resolve_redirects(response, request, **delivery.options),
        ]
        response = history.pop()
        if history:
            response.history = history
        return response

    def read(
        self, response: requests.Response, limit: int | None, check: Callable[[], None]
    ) -> None:
        """Read a body as requests does, unless the call has a bound."""
        if limit is None:
            _ = response.content
        else:
            receive(response, limit=limit, check=check)


STRICT = StrictMode()
COMPATIBLE = CompatibleMode()


def mode_of(holder: Any) -> StrictMode:
    """Return the mode of a session, or of a class of sessions."""
    return STRICT if holder.strict else COMPATIBLE


def _stock(session: Host) -> requests.Session:
    """Return the session as the class after ours sees it: requests, or a mixin before it."""
    return cast("requests.Session", super(Boundary, cast("Any", session)))  # pyright: ignore[reportUnnecessaryCast]  # mypy wants it
