"""Requests that the Sandbox received, and responses that it sends.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import responses as reason_phrases
from typing import Any, TypeVar
from urllib.parse import urlencode

_Number = TypeVar("_Number", int, float)
Pairs = tuple[tuple[str, str], ...]

# Bytes. Enough for any upload a test makes, small enough to be held in memory by every thread.
LARGEST_BODY = 64 * 1024 * 1024
# Lines or events. Each is a chunk and a system call, and together they are held in memory.
LONGEST_STREAM = 100_000


class Headers(Mapping[str, str]):
    """Header fields by name in any case; a repeated field is joined, RFC 9110 section 5.3."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, tuple[str, str]] = {}
        for name, value in pairs:
            earlier = self._fields.get(name.lower())
            whole = f"{earlier[1]}, {value}" if earlier else value
            self._fields[name.lower()] = (name, whole)

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)


@dataclass(frozen=True, slots=True, repr=False)
class SeenRequest:
    """A request as the server received it.

    Its repr shows neither headers nor query, because they hold secrets.

    Attributes:
        method: The method, in the case it was sent.
        path: The path exactly as on the request line: percent-encoded, without the query.
        query: Each query parameter, decoded, with all its values.
        headers: The header fields; names are looked up in any case.
        body: The whole body, after any transfer coding is undone.
        port: The port it arrived at, which tells `url` from `other_url`.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    port: int

    def __repr__(self) -> str:
        return f"<SeenRequest {self.method} {self.path}, {len(self.body)} bytes>"

    @property
    def json(self) -> Any:
        """Decode the body.

        Raises:
            ValueError: The body is empty or not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """A response to be sent.

    Attributes:
        pause: Seconds before each byte of the body; 0 sends it whole.
        drop: Bytes of the body after which to hang up; a shorter one is sent whole.
        is_chunked: Send each line in a chunk of its own, without a Content-Length.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Pairs = ()
    pause: float = 0
    drop: int = sys.maxsize
    is_chunked: bool = False


def as_json(value: object, *, status: int = 200, headers: Pairs = ()) -> Response:
    """Return a JSON document."""
    return Response(status, json.dumps(value).encode(), "application/json", headers)


def problem(status: int, detail: str, *, headers: Pairs = (), **members: object) -> Response:
    """Return a problem document (RFC 9457)."""
    document = {"type": "about:blank", "title": reason(status), "status": status, "detail": detail}
    body = json.dumps({**document, **members}).encode()
    return Response(status, body, "application/problem+json", headers)


def reason(status: int) -> str:
    """Return the reason phrase of a status."""
    return reason_phrases.get(status, "Unassigned")


def html(title: str, *, status: int = 200) -> Response:
    """Return an HTML page."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status, page.encode(), "text/html; charset=utf-8")


def pattern(size: int, *, first: int = 0) -> Response:
    """Return so many bytes, which count up from `first` and start at 0 again after 255."""
    body = (bytes(range(256)) * (size // 256 + 2))[first : first + size]
    return Response(200, body, "application/octet-stream")


def read_number(
    text: str, name: str, read: Callable[[str], _Number], *, least: int = 0, most: int
) -> _Number:
    """Read a number of the request.

    Raises:
        RejectedError: It is not a number, or out of bounds.
    """
    with suppress(ValueError):
        number = read(text)
        if least <= number <= most:  # nan and inf fail here
            return number
    raise RejectedError(400, f"{name} must be a number from {least} to {most}, not {text!r}")


def number_parameter(
    request: SeenRequest, name: str, default: _Number, *, least: int = 0, most: int = sys.maxsize
) -> _Number:
    """Read a query parameter as a number of the default's type.

    Raises:
        RejectedError: It is not a number, or out of bounds.
    """
    text = request.query.get(name, [str(default)])[0]
    return read_number(text, name, type(default), least=least, most=most)


class RejectedError(Exception):
    """An error that is sent to the client as a problem document."""

    def __init__(self, status: int, detail: str, *, headers: Pairs = (), **members: object) -> None:
        super().__init__(detail)
        self.response: Response = problem(status, detail, headers=headers, **members)


def decoded(body: bytes) -> Any:
    """Decode JSON, or return None; a body nested too deeply to decode is not JSON either."""
    with suppress(ValueError, RecursionError):
        return json.loads(body)


def with_query(path: str, query: Mapping[str, Iterable[object]]) -> str:
    """Return a path, or a URL, with a query if there is one."""
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
