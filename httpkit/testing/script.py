"""Scripted responses in the order that a test lists them, and what each attempt sent.

The only module that imports `responses`.

Rule: nothing reaches a socket. A request that matches no script goes to the mock below, or is
refused.
"""

import json as jsonlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.structures
import urllib3

from httpkit._core import clock as clock_module
from httpkit._core import redaction
from httpkit._core.given import as_text
from httpkit._core.lazy import ImportedLater
from httpkit._core.types import Json
from httpkit._diagnostics.errors import ConfigurationError

if TYPE_CHECKING:
    import responses
else:
    responses = ImportedLater("responses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A scripted response.

    Args:
        status: 200 to 599.
        json: A value that is sent as JSON, with its content type; None sends `body`.
        body: The body; text is sent as UTF-8.
        headers: Header fields; Content-Length is added.
        cut_at: Bytes of the body after which the connection breaks, fewer than its length; None
            sends all of it.

    Raises:
        ConfigurationError: `json` and `body` are both given, or a number is out of bounds.
    """

    status: int = 200
    json: Json = None
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut_at: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"status={self.status!r} must be a number, 200 to 599")
        if self.json is not None and self.body:
            raise ConfigurationError("a Reply has json= or body=, not both")
        if self.cut_at is not None and not 0 <= self.cut_at < len(self._whole()):
            raise ConfigurationError(f"cut_at={self.cut_at!r} is not within the body")

    def _whole(self) -> bytes:
        body = self.body if self.json is None else jsonlib.dumps(self.json)
        return body.encode("utf-8") if isinstance(body, str) else body

    def sent(self) -> tuple[bytes, dict[str, str]]:
        """Return the bytes that arrive, and the header fields."""
        whole = self._whole()
        fields = {"Content-Length": str(len(whole))}
        if self.json is not None:
            fields["Content-Type"] = "application/json"
        return whole[: self.cut_at], {**fields, **self.headers}


@dataclass(frozen=True, slots=True, repr=False)
class Attempt:
    """A request as it was sent; its repr shows neither headers nor body, for they hold secrets.

    Attributes:
        method: The method.
        url: The whole URL, as sent.
        headers: The header fields; names are looked up in any case.
        body: The whole body; empty when there was none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        where = redaction.redact_url(self.url)
        return f"<Attempt {self.method} {where}, {len(self.body)} bytes>"

    @property
    def json(self) -> Any:
        """The body, decoded as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return jsonlib.loads(self.body)


Scripted: TypeAlias = (
    "int | Reply | Exception | type[Exception] | Callable[[Attempt], int | Reply | Exception]"
)


class Script:
    """Scripted responses to requests, in order and without a server; it records what was sent.

    A scripted response is a status, a `Reply`, an exception or its class, which is raised, or a
    callable that gets the `Attempt` and returns one of these. A request after the last response
    raises AssertionError, and so does leaving the script with responses that were not used.

    It is built on `responses`. A script may be nested in mocks of `responses` or in another
    script, which get the requests that it does not match. Other requests raise ConnectionError,
    as in `responses`; none is sent.

    >>> with Script(503, Reply(json={"id": 1})) as script, no_waiting():
    ...     with httpkit.Session("https://api.example.com") as api:
    ...         api.get("users/1").json()
    ...     len(script.attempts)
    {'id': 1}
    2

    Args:
        *responses: In the order of the requests; without any, no request may be sent.
        method: The method that the script matches; None matches any.
        url: The absolute URL that it matches, with any query unless it has one; or a pattern
            that is searched for. None matches any.

    Raises:
        ConfigurationError: A response is invalid, the URL is relative, or the package
            `responses` is not installed.
    """

    def __init__(
        self,
        *responses: Scripted,
        method: str | None = None,
        url: str | re.Pattern[str] | None = None,
    ) -> None:
        for response in responses:
            _check(response)
        if isinstance(url, str) and "://" not in url:
            raise ConfigurationError(f"url={url!r} must be absolute: a script knows no session")
        self._responses = [Reply(status=r) if isinstance(r, int) else r for r in responses]
        self._method = method.upper() if method else None
        self._url = url
        self._used = 0
        self._sent: dict[int, Attempt] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Script {self._used} of {len(self._responses)} responses used>"

    def __enter__(self) -> Self:
        _enter(self)
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        _leave(self)
        if exc_type is None and self._used != len(self._responses):
            raise AssertionError(self._summary())

    def _summary(self) -> str:
        sent = "".join(f"\n  {attempt!r}" for attempt in self.attempts)
        return (
            f"the script has {len(self._responses)} responses, but got {self._used} requests{sent}"
        )

    @property
    def attempts(self) -> Sequence[Attempt]:
        """The requests that were sent so far, in order."""
        with self._lock:
            return [self._sent[number] for number in sorted(self._sent)]

    def assert_identical(self, *, headers: Sequence[str] = ("Idempotency-Key",)) -> None:
        """Assert that each attempt sent the same: method, URL, body, and these headers.

        Args:
            headers: Names of header fields that must be equal on all attempts, or missing on all.

        Raises:
            AssertionError: One differs from the first, or nothing was sent.
        """
        if not self.attempts:
            raise AssertionError("nothing was sent")
        first, *others = self.attempts
        for number, other in enumerate(others, 2):
            parts = ["method", "url", "body"]
            differing = [part for part in parts if getattr(first, part) != getattr(other, part)]
            differing += [n for n in headers if first.headers.get(n) != other.headers.get(n)]
            if differing:
                raise AssertionError(f"attempt {number} differs in {', '.join(differing)}")

    def matches(self, request: requests.PreparedRequest) -> bool:
        """Return whether the script has responses for this request."""
        url = request.url or ""
        if self._method is not None and request.method != self._method:
            return False
        if isinstance(self._url, re.Pattern):
            return self._url.search(url) is not None
        return self._url is None or _same_target(url, self._url)

    def respond(self, request: requests.PreparedRequest) -> Reply:
        """Return the next response, for a request.

        Raises:
            AssertionError: There is none left.
            Exception: The scripted response is an exception.
        """
        with self._lock:
            number = self._used
            self._used += 1
        sent = Attempt(
            method=request.method or "",
            url=request.url or "",
            headers=requests.structures.CaseInsensitiveDict(
                {n: as_text(v) for n, v in request.headers.items()}
            ),
            body=_read(request.body),
        )
        with self._lock:
            self._sent[number] = sent
        if number >= len(self._responses):
            raise AssertionError(self._summary())
        return _resolved(self._responses[number], sent, request)


def _check(response: object) -> None:
    if isinstance(response, int) and not isinstance(response, bool):
        Reply(status=response)
    elif isinstance(response, type) and not issubclass(response, Exception):
        raise ConfigurationError(
            f"{response.__name__} is not a scripted response: not an exception class"
        )
    elif not isinstance(response, (Reply, Exception)) and not callable(response):
        raise ConfigurationError(
            f"{response!r} is not a scripted response: "
            "give a status, a Reply, an exception or a callable"
        )


def _resolved(response: Any, sent: Attempt, request: requests.PreparedRequest) -> Reply:
    """Return a scripted response as a `Reply`, or raise it."""
    if isinstance(response, type):
        response = response(f"scripted for {sent.method} {redaction.redact_url(sent.url)}")
    elif not isinstance(response, (int, Reply, Exception)):
        response = response(sent)
    if isinstance(response, requests.RequestException):
        response.request = response.request or request
    if isinstance(response, Exception):
        raise response
    return response if isinstance(response, Reply) else Reply(status=response)


def _same_target(url: str, scripted: str) -> bool:
    found, wanted = urlsplit(url), urlsplit(scripted)
    return (
        found[:2] == wanted[:2]
        and (found.path or "/") == (wanted.path or "/")
        and (not wanted.query or found.query == wanted.query)
    )


def _read(body: Any) -> bytes:
    """Read a body to its end, as an adapter does."""
    if body is None or isinstance(body, (bytes, str)):
        return (body or b"") if not isinstance(body, str) else body.encode("utf-8")
    return b"".join(_read(block) for block in body)


@dataclass(slots=True, eq=False)
class _Layer:
    """A mock of `responses`, shared by scripts that were entered without another mock between.

    Threads may enter and leave scripts in any order: the mock stays until the last one leaves.
    """

    scripts: list[Script]
    mock: "responses.RequestsMock"
    send: object = None

    def find(self, request: requests.PreparedRequest) -> Script | None:
        """Return the script that was entered last of those that match a request."""
        return next((s for s in reversed(list(self.scripts)) if s.matches(request)), None)


_layers: list[_Layer] = []


def _enter(script: Script) -> None:
    with clock_module.TESTING:
        if any(script in layer.scripts for layer in _layers):
            raise ConfigurationError("this script is already entered")
        if not _layers or requests.adapters.HTTPAdapter.send is not _layers[-1].send:
            _layers.append(_new_layer())
        _layers[-1].scripts.append(script)


def _leave(script: Script) -> None:
    with clock_module.TESTING:
        layer = next(layer for layer in _layers if script in layer.scripts)
        layer.scripts.remove(script)
        if not layer.scripts:
            _layers.remove(layer)
            layer.mock.stop()


def _new_layer() -> _Layer:
    """Install a mock in front of the current adapter.

    Raises:
        ConfigurationError: responses is not installed.
    """
    try:
        import responses
    except ImportError as error:
        raise ConfigurationError(
            "Script needs responses: pip install 'requests-httpkit[testing]'"
        ) from error

    class Scripted(responses.BaseResponse):
        def matches(self, request: requests.PreparedRequest) -> tuple[bool, str]:
            return layer.find(request) is not None, "no script matches it"

        def get_response(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse:
            script = layer.find(request)
            if script is None:  # another thread left it in between
                raise requests.ConnectionError("Connection refused by Responses: a script was left")
            reply = script.respond(request)
            body, fields = reply.sent()
            made = responses.Response(
                request.method or "", request.url or "", body=body, status=reply.status,
                headers=fields, content_type=None,
            )  # fmt: skip
            return made.get_response(request)

    class Others(responses.PassthroughResponse):
        def matches(self, request: requests.PreparedRequest) -> tuple[bool, str]:
            return layer.find(request) is None, ""

    below: Any = requests.adapters.HTTPAdapter.send
    mock = responses.RequestsMock(assert_all_requests_are_fired=False, real_adapter_send=below)
    layer = _Layer([], mock)
    mock.add(Scripted("ANY", "http://any"))
    # A mock is installed already, not the network.
    if getattr(below, "__module__", None) != requests.adapters.HTTPAdapter.__module__:
        mock.add(Others("ANY", "http://any"))
    mock.start()
    layer.send = requests.adapters.HTTPAdapter.send
    return layer
