"""Answers in the order a test wants them, and what each attempt sent.

The only importer of responses.

Rule: nothing reaches a socket. What no script is for goes to the mock below, or is refused.
"""

import json as json_room
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
from httpkit._core.types import ImportedLater, Json
from httpkit._diagnostics.errors import ConfigurationError

if TYPE_CHECKING:
    import responses
else:
    responses = ImportedLater("responses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer of a script.

    Args:
        status: 200 to 599.
        json: A body that JSON can say, with its content type; None: no such body.
        body: The body as it is; text is sent in UTF-8.
        headers: Header fields; Content-Length is there by itself.
        cut_at: Bytes of the body after which the connection breaks, fewer than it has; None
            sends it whole.

    Raises:
        ConfigurationError: There are two bodies, or a number is out of its bounds.
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
        body = self.body if self.json is None else json_room.dumps(self.json)
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
            ValueError: It is no JSON.
        """
        return json_room.loads(self.body)


Answer: TypeAlias = (
    "int | Reply | Exception | type[Exception] | Callable[[Attempt], int | Reply | Exception]"
)


class Script:
    """Answers requests one after the other, without a server, and keeps what was sent.

    An answer is a status, a `Reply`, an exception or its class, which is raised, or a callable
    that is given the `Attempt` and returns one of these. A request after the last answer is an
    AssertionError, and so is an answer that nobody asked for when the script is left.

    It works on `responses`: a script may stand within its mocks or another script, which get
    the requests that it is not for. Others are refused, as `responses` does; none is sent.

    >>> with Script(503, Reply(json={"id": 1})) as script, no_waiting():
    ...     with httpkit.Session("https://api.example.com") as api:
    ...         api.get("users/1").json()
    ...     len(script.attempts)
    {'id': 1}
    2

    Args:
        *answers: In the order they are given; none at all: nothing may be sent.
        method: The method that the script is for; None: any.
        url: The absolute URL that it is for, with any query unless it has one; or a pattern
            that is searched for. None: any.

    Raises:
        ConfigurationError: An answer is none, the URL is relative, or responses is missing.
    """

    def __init__(
        self,
        *answers: Answer,
        method: str | None = None,
        url: str | re.Pattern[str] | None = None,
    ) -> None:
        for response in answers:
            _check(response)
        if isinstance(url, str) and "://" not in url:
            raise ConfigurationError(f"url={url!r} must be absolute: a script knows no session")
        self._answers = [Reply(status=a) if isinstance(a, int) else a for a in answers]
        self._method = method.upper() if method else None
        self._url = url
        self._asked = 0
        self._sent: dict[int, Attempt] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Script {self._asked} of {len(self._answers)} answers>"

    def __enter__(self) -> Self:
        _enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _leave(self)
        if kind is None and self._asked != len(self._answers):
            raise AssertionError(self._tale())

    def _tale(self) -> str:
        sent = "".join(f"\n  {attempt!r}" for attempt in self.attempts)
        return f"the script has {len(self._answers)} answers, and {self._asked} requests came{sent}"

    @property
    def attempts(self) -> Sequence[Attempt]:
        """What was sent so far, in order."""
        with self._lock:
            return [self._sent[number] for number in sorted(self._sent)]

    def assert_identical(self, *, headers: Sequence[str] = ("Idempotency-Key",)) -> None:
        """Assert that each attempt sent the same: method, URL, body, and these headers.

        Args:
            headers: Names of header fields that must be the same; one may be missing, but then
                on every attempt.

        Raises:
            AssertionError: One differs from the first, or there was none at all.
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

    def is_for(self, request: requests.PreparedRequest) -> bool:
        """Say whether the script answers this request."""
        url = request.url or ""
        if self._method is not None and request.method != self._method:
            return False
        if isinstance(self._url, re.Pattern):
            return self._url.search(url) is not None
        return self._url is None or _is_at(url, self._url)

    def answer(self, request: requests.PreparedRequest) -> Reply:
        """Take the next answer for a request.

        Raises:
            AssertionError: There is none left.
            Exception: The answer is one.
        """
        with self._lock:
            number = self._asked
            self._asked += 1
        sent = Attempt(
            method=request.method or "",
            url=request.url or "",
            headers=requests.structures.CaseInsensitiveDict(
                {n: _as_text(v) for n, v in request.headers.items()}
            ),
            body=_read(request.body),
        )
        with self._lock:
            self._sent[number] = sent
        if number >= len(self._answers):
            raise AssertionError(self._tale())
        return _settled(self._answers[number], sent, request)


def _check(response: object) -> None:
    if isinstance(response, int) and not isinstance(response, bool):
        Reply(status=response)
    elif isinstance(response, type) and not issubclass(response, Exception):
        raise ConfigurationError(f"{response.__name__} is no answer: it is no exception")
    elif not isinstance(response, (Reply, Exception)) and not callable(response):
        raise ConfigurationError(
            f"{response!r} is no answer: give a status, a Reply, an exception, or a callable"
        )


def _settled(response: Any, sent: Attempt, request: requests.PreparedRequest) -> Reply:
    """Return what an answer comes down to, or raise it."""
    if isinstance(response, type):
        response = response(f"scripted for {sent.method} {redaction.redact_url(sent.url)}")
    elif not isinstance(response, (int, Reply, Exception)):
        response = response(sent)
    if isinstance(response, requests.RequestException):
        response.request = response.request or request
    if isinstance(response, Exception):
        raise response
    return response if isinstance(response, Reply) else Reply(status=response)


def _is_at(url: str, place: str) -> bool:
    found, wanted = urlsplit(url), urlsplit(place)
    return (
        found[:2] == wanted[:2]
        and (found.path or "/") == (wanted.path or "/")
        and (not wanted.query or found.query == wanted.query)
    )


def _as_text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read(body: Any) -> bytes:
    """Read a body to its end, as the wire would."""
    if body is None or isinstance(body, (bytes, str)):
        return (body or b"") if not isinstance(body, str) else body.encode("utf-8")
    return b"".join(_read(block) for block in body)


@dataclass(slots=True, eq=False)
class _Layer:
    """A mock of `responses`, shared by the scripts that were entered with no other between.

    Threads may enter and leave scripts in any order: the mock stays until the last one left.
    """

    scripts: list[Script]
    mock: "responses.RequestsMock"
    send: object = None

    def find(self, request: requests.PreparedRequest) -> Script | None:
        """Return the script that was entered last of those that a request is for."""
        return next((s for s in reversed(list(self.scripts)) if s.is_for(request)), None)


_layers: list[_Layer] = []


def _enter(script: Script) -> None:
    with clock_module.TESTING:
        if any(script in layer.scripts for layer in _layers):
            raise ConfigurationError("a script is entered once at a time")
        if not _layers or requests.adapters.HTTPAdapter.send is not _layers[-1].send:
            _layers.append(_laid())
        _layers[-1].scripts.append(script)


def _leave(script: Script) -> None:
    with clock_module.TESTING:
        layer = next(layer for layer in _layers if script in layer.scripts)
        layer.scripts.remove(script)
        if not layer.scripts:
            _layers.remove(layer)
            layer.mock.stop()


def _laid() -> _Layer:
    """Put a mock in front of what answers requests by now.

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
            return layer.find(request) is not None, "no script is for it"

        def get_response(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse:
            script = layer.find(request)
            if script is None:  # another thread left it just now
                raise requests.ConnectionError("Connection refused by Responses: a script was left")
            reply = script.answer(request)
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
    if (
        getattr(below, "__module__", None) != requests.adapters.HTTPAdapter.__module__
    ):  # a mock, not the network
        mock.add(Others("ANY", "http://any"))
    mock.start()
    layer.send = requests.adapters.HTTPAdapter.send
    return layer
