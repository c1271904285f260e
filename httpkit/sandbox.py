"""A real HTTP server on loopback, for tutorials and for the tests of your own client.

Rule: standard library only and nothing from httpkit, so that it can judge httpkit from outside.

>>> from urllib.request import urlopen
>>> with Sandbox() as sandbox:
...     urlopen(sandbox.url + "/status/200").read()
b'{}'

| Route | Answers |
|---|---|
| `/posts`, `/posts/1`, `/users` | stored objects: GET, POST, PUT, PATCH, DELETE; see `Sandbox` |
| `/users/1/posts`, `/users/1/posts/2` | the posts whose `userId` is 1, of any two collections |
| `/wrapped/posts?_limit=2&_cursor=...` | a page with `items total has_more next_cursor next` |
| `/bearer/...`, `/basic/...`, `/key/...` | 401, or the rest of the path when the secret is right |
| `/token?expires_in=60` | a token for `/bearer`, by the OAuth 2.0 grants; see `Sandbox` |
| `/echo/...` | what the server received, as JSON |
| `/status/503?retry_after=2&request_id=r1` | that status, with Retry-After and X-Request-Id |
| `/status/503?kind=problem` | its body, also object, json, html, text or empty |
| `/flaky/KEY?fail=2&status=503&then=200` | the first `fail` requests fail; `status=drop` hangs up |
| `/slow?seconds=1`, `/drip?seconds=1&bytes=10` | a late status line, a slow body |
| `/redirect?to=URL&status=302`, `/redirect/other/PATH` | there, or the same path on `other_url` |
| `/redirect/loop`, `/redirect/chain/3` | itself for ever, `/echo` after 3 hops |
| `/cookies`, `/cookies/set?name=value` | the cookies received, or set |
| `/bytes/100`, `/text?charset=latin-1`, `/html`, `/gzip`, `/empty` | bodies that are whole |
| `/bytes/100?version=1&etag=weak&digest=1&name=FILE` | a file, for Range and If-Range too |
| `/events?count=3`, `/lines?count=3`, `/json-lines?count=3` | streams, in chunks |
| `/bytes/100?drop=10`, and `drop` for each stream | hangs up after 10 bytes of each body |
| `/resumable/KEY`, `/tus/KEY` | uploads: POST begins one, GET shows what arrived |
| `/tus/KEY?drop=10&times=1` | keeps 10 bytes of the first body that is sent, and hangs up |
| `/graphql?errors=1&data=0&status=400` | the operation it received, as data, and as many errors |
| `/invalid-json`, `/truncated?bytes=10` | bodies that are broken |
"""

import gzip
import hashlib
import hmac
import json
import math
import re
import socket
import socketserver
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.client import responses as reason_phrases
from http.server import BaseHTTPRequestHandler
from secrets import token_hex
from typing import Any, Self, TypeVar, cast
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlencode

__all__ = ["Sandbox", "SeenRequest"]

_Choice = TypeVar("_Choice")
_Number = TypeVar("_Number", int, float)
_Pairs = tuple[tuple[str, str], ...]
_Row = dict[str, object]

# Bytes. Enough for any upload a test makes, small enough to be held in memory by every thread.
_LARGEST_BODY = 64 * 1024 * 1024
# Seconds. Longer than any test waits, and far below what Event.wait() accepts on any platform.
_LONGEST_WAIT = 3600
# Seconds. Longer than any token is granted for.
_LONGEST_LIFE = 10**9
# Lines or events. Each is a chunk and a system call, and together they are held in memory.
_LONGEST_STREAM = 100_000
# Seconds since the epoch: 2020-01-01, when version 0 of every file was last modified. RFC 9110
# section 8.8.2.2: a date is a strong validator only when it is well in the past.
_MODIFIED = 1_577_836_800
# RFC 9110 sections 15.3.5 and 15.4.5: these end at the header section.
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# RFC 9110 section 5.5: a field value holds none of these; a query must not add header lines.
_NO_BREAKS = str.maketrans("\r\n\0", "   ")
# RFC 9110 section 14.1.2, one range; a list of them may be ignored, and so may absurd numbers.
_RANGE = re.compile(r"bytes=(?=\d|-\d)(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
# The parameters of a collection that page or authenticate; every other one filters.
_PAGING = frozenset({"_page", "_offset", "_limit", "_cursor"})
_NOT_FILTERS = _PAGING | {"api_key"}
# The members a new object cannot go without, by collection.
_REQUIRED: Mapping[str, tuple[str, ...]] = {"posts": ("title",)}

_POSTS = (
    {"id": 1, "title": "First post", "body": "Hello, world", "userId": 1},
    {"id": 2, "title": "Second post", "body": "Still here", "userId": 1},
    {"id": 3, "title": "Third post", "body": "Good night", "userId": 2},
)
_USERS = (
    {"id": 1, "name": "Ada Lovelace", "email": "ada@example.com"},
    {"id": 2, "name": "Alan Turing", "email": "alan@example.com"},
)
_COLLECTIONS: Mapping[str, Iterable[Mapping[str, object]]] = {"posts": _POSTS, "users": _USERS}


class _Headers(Mapping[str, str]):
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


class Sandbox:
    """A server on two loopback ports that starts in milliseconds and leaves nothing behind.

    A POST stores an object, or each of a list; with an Idempotency-Key it stores once, and its
    repeats get the first answer again. A query parameter of a collection filters, except `_page`
    (from 1), `_offset` (from 0) and `_limit` (10 unless given): with any of them, the answer is one
    page with an RFC 8288 Link header and X-Total-Count. A stored object has an ETag, and a change
    with another one in If-Match is refused. A new post needs a title.

    `/token` grants client_credentials and refresh_token (RFC 6749) to the client, whose secret is
    in the header or in the form. `/bearer` accepts what it granted for `expires_in` seconds, an
    hour unless asked for. A refresh token serves once, and the answer holds the next one.

    Args:
        collections: The stored objects by route name, copied; None means three posts and two
            users. An object without an id gets the next integer.
        token: The bearer token that `/bearer` accepts.
        user: The user name that `/basic` accepts.
        password: The password that `/basic` accepts.
        api_key: The key that `/key` accepts as header X-API-Key, parameter or cookie api_key.
        client_id: The client that `/token` knows.
        client_secret: Its secret.
        refresh_token: The refresh token that `/token` accepts first.

    Attributes:
        token: As given; assign another to rotate it under a running client.
        user: As given.
        password: As given.
        api_key: As given.
        client_id: As given.
        client_secret: As given.
        refresh_token: The one that `/token` accepts next.

    Raises:
        ValueError: A collection has the name of a built-in route.
        TypeError: A stored object cannot be written as JSON.
    """

    def __init__(
        self,
        collections: Mapping[str, Iterable[Mapping[str, object]]] | None = None,
        *,
        token: str = "sandbox-token",  # noqa: S107 - made up, for loopback only
        user: str = "user",
        password: str = "sandbox-password",  # noqa: S107 - made up, for loopback only
        api_key: str = "sandbox-key",
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-client-secret",  # noqa: S107 - made up, for loopback only
        refresh_token: str = "sandbox-refresh-token",  # noqa: S107 - made up, for loopback only
    ) -> None:
        given = _COLLECTIONS if collections is None else collections
        if taken := sorted(given.keys() & {*_FIXED, *_LEAVES, *_BRANCHES}):
            raise ValueError(f"{taken[0]!r} is a built-in route; rename the collection")
        self.token = token
        self.user = user
        self.password = password
        self.api_key = api_key
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = refresh_token
        self._site = _Site(self, given)
        self._running = ExitStack()

    def __repr__(self) -> str:
        return f"<Sandbox {self.url if self._site.ports else 'not started'}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Bind both ports and answer; one that has started stays as it is.

        Returns:
            The sandbox itself.

        Raises:
            OSError: No loopback port is free.
        """
        if not self._site.ports:
            self._site.closing.clear()
            with ExitStack() as stack:
                servers = [stack.enter_context(_Server(self._site)) for _ in range(2)]
                self._site.ports = tuple(server.port for server in servers)
                self._running = stack.pop_all()
        return self

    def close(self) -> None:
        """Hang up on every client, answered or not, and release both ports.

        Returns when the last thread has ended. What was seen stays readable, and `start()` opens
        the sandbox again on new ports.
        """
        self._running.close()
        self._site.ports = ()

    @property
    def url(self) -> str:
        """The origin to send requests to, such as "http://127.0.0.1:49152".

        Raises:
            RuntimeError: The sandbox is not started.
        """
        return self._site.origin(0)

    @property
    def other_url(self) -> str:
        """A second origin with the same routes and the same stored objects.

        Raises:
            RuntimeError: The sandbox is not started.
        """
        return self._site.origin(1)

    @property
    def seen(self) -> list[SeenRequest]:
        """A copy of what was received on both ports, oldest first."""
        with self._site.lock:
            return list(self._site.seen)

    def attempts(self, key: str) -> list[SeenRequest]:
        """Return what `/flaky/<key>` received, oldest first.

        Args:
            key: The rest of the path, decoded.
        """
        with self._site.lock:
            return list(self._site.attempts.get(key, ()))

    def revoke_tokens(self) -> None:
        """Accept no longer what `/token` has granted."""
        with self._site.lock:
            self._site.granted.clear()

    def clear(self) -> None:
        """Forget requests, flaky counts, keys and granted tokens; restore the stored objects."""
        self._site.forget()


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response to be sent.

    Attributes:
        pause: Seconds before each byte of the body; 0 sends it whole.
        drop: Bytes of the body after which to hang up; a shorter one is sent whole.
        is_chunked: Send each line in a chunk of its own, without a Content-Length.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: _Pairs = ()
    pause: float = 0
    drop: int = sys.maxsize
    is_chunked: bool = False


def _json(value: object, *, status: int = 200, headers: _Pairs = ()) -> _Answer:
    return _Answer(status, json.dumps(value).encode(), "application/json", headers)


def _problem(status: int, detail: str, *, headers: _Pairs = (), **members: object) -> _Answer:
    """Describe a failure as RFC 9457 says."""
    kind = {"type": "about:blank", "title": _reason(status), "status": status, "detail": detail}
    body = json.dumps({**kind, **members}).encode()
    return _Answer(status, body, "application/problem+json", headers)


def _reason(status: int) -> str:
    return reason_phrases.get(status, "Unassigned")


def _html(title: str, *, status: int = 200) -> _Answer:
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return _Answer(status, page.encode(), "text/html; charset=utf-8")


def _pattern(size: int, *, first: int = 0) -> _Answer:
    body = (bytes(range(256)) * (size // 256 + 2))[first : first + size]
    return _Answer(200, body, "application/octet-stream")


def _selected(field: str, size: int) -> range | None:
    """Return the places that a Range field selects; None when the field is to be ignored."""
    match = _RANGE.fullmatch(field)
    if match is None:
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:  # the last bytes, as many as are named
        return range(size - min(last or 0, size), size)
    if last is None:
        return range(first, size)
    return range(first, min(last + 1, size)) if first <= last else None


def _digest(body: bytes) -> str:
    """Spell a Repr-Digest, RFC 9530."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


def _attachment(name: str) -> str:
    """Spell a Content-Disposition, RFC 6266; a name beyond ASCII as in RFC 8187."""
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    given = (
        f'filename="{escaped}"' if name.isascii() else f"filename*=UTF-8''{quote(name, safe='')}"
    )
    return f"attachment; {given}"


def _number(
    text: str, name: str, read: Callable[[str], _Number], *, least: int = 0, most: int
) -> _Number:
    with suppress(ValueError):
        number = read(text)
        if least <= number <= most:  # nan and inf fail here
            return number
    raise _RefusalError(400, f"{name} must be a number from {least} to {most}, not {text!r}")


def _asked(
    request: SeenRequest, name: str, default: _Number, *, least: int = 0, most: int = sys.maxsize
) -> _Number:
    """Read a query parameter as a number of the default's type."""
    text = request.query.get(name, [str(default)])[0]
    return _number(text, name, type(default), least=least, most=most)


class _RefusalError(Exception):
    """A request that gets a problem document, raised wherever the problem is found."""

    def __init__(
        self, status: int, detail: str, *, headers: _Pairs = (), **members: object
    ) -> None:
        super().__init__(detail)
        self.answer = _problem(status, detail, headers=headers, **members)


def _decoded(body: bytes) -> Any:
    """Decode JSON, or return None; a body nested too deeply to decode is not JSON either."""
    with suppress(ValueError, RecursionError):
        return json.loads(body)


def _with_query(path: str, query: Mapping[str, Iterable[object]]) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


class _Collection:
    """The stored objects of one route, by str(id); the caller holds the lock."""

    def __init__(self, name: str, rows: Iterable[_Row]) -> None:
        self.name = name
        self.rows: dict[str, _Row] = {}
        self.newest = 0
        self.first_answers: dict[str, _Answer] = {}
        for row in rows:
            self.keep({"id": self.newest + 1, **row})

    def keep(self, row: _Row) -> None:
        key = str(row["id"])
        self.rows[key] = row
        if key.isdecimal():
            self.newest = max(self.newest, int(key))

    def select(self, request: SeenRequest, within: _Row) -> _Answer:
        """Answer the rows that pass every filter, whole or one page of them."""
        filters, found = self.found(request, within)
        if not _PAGING & request.query.keys():
            return _json(found)
        limit = _asked(request, "_limit", 10, least=1)
        is_offset = "_offset" in request.query
        by, first, step = ("_offset", 0, limit) if is_offset else ("_page", 1, 1)
        here = _asked(request, by, first, least=first)
        start = here if is_offset else (here - 1) * limit
        neighbours = {
            "next": (here + step, start + limit < len(found)),
            "prev": (max(here - step, first), here > first),
        }
        path = f"{_origin(request)}{request.path}"
        links = ", ".join(
            f'<{_with_query(path, {**filters, by: [number], "_limit": [limit]})}>; rel="{rel}"'
            for rel, (number, exists) in neighbours.items()
            if exists
        )
        headers = (("X-Total-Count", str(len(found))), *((("Link", links),) if links else ()))
        return _json(found[start : start + limit], headers=headers)

    def wrap(self, request: SeenRequest) -> _Answer:
        """Answer one page of the rows in an object, with a cursor and a URL that lead on."""
        filters, found = self.found(request, {})
        limit = _asked(request, "_limit", 10, least=1)
        start = _asked(request, "_offset", 0)
        if cursor := request.query.get("_cursor", [""])[0]:
            start = _number(_read_cursor(cursor), "_cursor", int, most=sys.maxsize)
        end = start + limit
        following = b64encode(f"after {end}".encode()).decode() if end < len(found) else None
        query: dict[str, list[Any]] = {**filters, "_limit": [limit], "_cursor": [following]}
        page = {
            "items": found[start:end],
            "total": len(found),
            "has_more": following is not None,
            "next_cursor": following,
            "next": _with_query(f"{_origin(request)}{request.path}", query) if following else None,
        }
        return _json(page)

    def found(self, request: SeenRequest, within: _Row) -> tuple[dict[str, list[str]], list[_Row]]:
        """Return the filters of a query, and the rows that pass them."""
        filters = {name: v for name, v in request.query.items() if name not in _NOT_FILTERS}
        asked = {**filters, **{name: [str(value)] for name, value in within.items()}}
        found = [
            row
            for row in self.rows.values()
            if all(name in row and str(row[name]) in v for name, v in asked.items())
        ]
        return filters, found

    def create(self, request: SeenRequest, within: _Row) -> _Answer:
        """Store a new row, or several, once for each idempotency key."""
        key = request.headers.get("idempotency-key")
        if key in self.first_answers:
            return self.first_answers[key]
        many = _decoded(request.body)
        given = cast("list[object]", many if isinstance(many, list) else []) or [_object(request)]
        stored: list[_Row] = []
        for row in [self.checked(row) for row in given]:
            self.keep({**row, **within, "id": self.newest + 1})
            stored.append(self.rows[str(self.newest)])
        location = (("Location", f"{request.path}/{self.newest}"),)
        answer = _json(stored, status=201)
        if not isinstance(many, list):
            answer = _json(stored[0], status=201, headers=location)
        if key is not None:
            self.first_answers[key] = answer
        return answer

    def checked(self, row: object) -> _Row:
        if not isinstance(row, dict):
            raise _RefusalError(400, "the body must be a JSON object, or a list of them")
        given = cast("_Row", row)
        if missing := [name for name in _REQUIRED.get(self.name, ()) if not given.get(name)]:
            errors = [{"field": name, "message": "is required"} for name in missing]
            raise _RefusalError(422, f"{missing[0]} is required", errors=errors)
        return given

    def change(self, request: SeenRequest, key: str, within: _Row) -> _Answer:
        """Read, replace, merge or delete one row, if it is as If-Match says."""
        row = self.rows.get(key)
        if row is None or not within.items() <= row.items():
            raise _RefusalError(404, f"no {self.name} with id {key}")
        wanted = request.headers.get("if-match", "*")
        # RFC 9110 section 13.1.1: any one of the list, compared strongly.
        if wanted != "*" and _etag(row) not in {tag.strip() for tag in wanted.split(",")}:
            raise _RefusalError(412, f"{self.name} {key} has changed")
        if request.method == "DELETE":
            del self.rows[key]
            return _Answer(204)
        if request.method in {"PUT", "PATCH"}:
            kept = row if request.method == "PATCH" else within
            row = self.rows[key] = {**kept, **_object(request), "id": row["id"]}
        return _json(row, headers=(("ETag", _etag(row)),))


def _origin(request: SeenRequest) -> str:
    return f"http://{request.headers.get('host', f'127.0.0.1:{request.port}')}"


def _etag(row: _Row) -> str:
    return f'"{hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]}"'


def _read_cursor(cursor: str) -> str:
    with suppress(ValueError):
        return b64decode(cursor, validate=True).decode().removeprefix("after ")
    raise _RefusalError(400, "_cursor must be one that a page gave")


def _object(request: SeenRequest) -> _Row:
    value = _decoded(request.body)
    if not isinstance(value, dict):
        raise _RefusalError(400, "the body must be a JSON object")
    return cast("_Row", value)


class _Upload:
    """A file that arrives in pieces."""

    def __init__(self, total: int, cuts: int) -> None:
        self.total = total
        self.content = bytearray()
        self.cuts = cuts

    def take(self, body: bytes, *, at: int, drop: int) -> bool:
        """Append a piece, or its beginning; say whether it was taken whole."""
        if at != len(self.content) or at + len(body) > self.total:
            raise _RefusalError(409, f"{len(self.content)} of {self.total} bytes arrived")
        is_cut = bool(body) and self.cuts > 0
        self.cuts -= is_cut
        self.content += body[:drop] if is_cut else body
        return not is_cut

    def shown(self, *, status: int = 200) -> _Answer:
        digest = hashlib.sha256(self.content).hexdigest()
        return _json({"bytes": len(self.content), "sha256": digest}, status=status)


class _Site:
    """What both ports and all threads share."""

    def __init__(
        self, sandbox: Sandbox, collections: Mapping[str, Iterable[Mapping[str, object]]]
    ) -> None:
        # The secrets are read from the sandbox at each request, so that a test can rotate them.
        self.sandbox = sandbox
        # As text: copied, checked to be JSON, and untouched by what requests do to the rows.
        self.seed = json.dumps({name: [*map(dict, rows)] for name, rows in collections.items()})
        self.ports: tuple[int, ...] = ()
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        collections: dict[str, list[_Row]] = json.loads(self.seed)
        with self.lock:
            self.seen: list[SeenRequest] = []
            self.attempts: dict[str, list[SeenRequest]] = {}
            self.uploads: dict[str, _Upload] = {}
            # Access tokens, and when each ends on the monotonic clock.
            self.granted: dict[str, float] = {}
            self.collections = {name: _Collection(name, rows) for name, rows in collections.items()}

    def origin(self, index: int) -> str:
        if not self.ports:
            raise RuntimeError("the sandbox is not started; call start() or use it in a with block")
        return f"http://127.0.0.1:{self.ports[index]}"

    def wait(self, seconds: float) -> None:
        """Wait, or hang up as soon as the sandbox closes."""
        if self.closing.wait(seconds):
            raise ConnectionAbortedError("the sandbox closed")


_Accepted = socket.socket | tuple[bytes, socket.socket]


class _Server(socketserver.ThreadingTCPServer):
    """One port, and every connection and thread it has opened.

    Not http.server.HTTPServer, whose bind asks DNS for a name; and not serve_forever(), which sees
    a shutdown only after its poll interval.
    """

    request_queue_size = 128  # the default of 5 makes 32 clients at once wait for a SYN retry

    def __init__(self, site: _Site) -> None:
        self.site = site
        self.connections: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, site=site))
        self.port: int = self.socket.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, name="sandbox", daemon=True)
        self.acceptor.start()

    def __exit__(self, *_: object) -> None:
        self.site.closing.set()
        # A connection of our own wakes the acceptor on every platform; closing its socket does not.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.acceptor.join()
        self.server_close()
        with self.site.lock:
            for connection in self.connections:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    def accept(self) -> None:
        while not self.site.closing.is_set():
            self.handle_request()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections = [one for one in self.connections if one.fileno() >= 0] + [connection]
        return connection, address

    def process_request(self, request: _Accepted, client_address: object) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.threads = [one for one in self.threads if one.is_alive()] + [thread]
        thread.start()

    def finish_request(self, request: _Accepted, client_address: object) -> None:
        # A client that hangs up is no error here, nor is hanging up on one.
        with suppress(OSError):
            super().finish_request(request, client_address)

    def shutdown_request(self, request: _Accepted) -> None:
        # Under the lock, so that closing never shuts down a descriptor that was just reused.
        with self.site.lock:
            super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, keeps them, sends answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(
        self, request: _Accepted, address: object, server: _Server, *, site: _Site
    ) -> None:
        self.site = site
        self.port = server.port
        super().__init__(request, address, server)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `Sandbox.seen` is the log."""

    def _serve(self) -> None:
        try:
            body = self._body()
        except _RefusalError as refusal:
            self._send(replace(refusal.answer, headers=(("Connection", "close"),)))
            # RFC 9112 section 9.6: closing with unread bytes would reset the answer away.
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read(65536):
                pass
            return
        # Not self.path, in which http.server has replaced leading slashes by one.
        path, _, query = self.requestline.split()[1].partition("?")
        headers = _Headers(self.headers.items())
        decoded = parse_qs(query, keep_blank_values=True)
        request = SeenRequest(self.command, path, decoded, headers, body, self.port)
        with self.site.lock:
            self.site.seen.append(request)
        # RFC 9112 section 3.2.2: a server accepts the absolute form, which a proxy is sent.
        self._send(_Call(self.site, request, re.sub(r"^https?://[^/]*", "", path)).answer())

    # http.server finds these by name.
    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - its names, not ours
    do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = _serve  # noqa: N815 - its names, not ours

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        text = self.headers.get("Content-Length", "0")
        return self._exactly(_number(text, "Content-Length", int, most=sys.maxsize), before=0)

    def _chunks(self) -> Iterator[bytes]:
        """Yield the chunks, then skip the trailers, RFC 9112 section 7.1."""
        total = 0
        while size := self._chunk_size():
            yield self._exactly(size, before=total)
            total += size
            self.rfile.readline(65537)
        while self.rfile.readline(65537).strip():
            pass

    def _chunk_size(self) -> int:
        text = self.rfile.readline(65537).decode("latin-1").partition(";")[0].strip()
        return _number(text, "a chunk size", lambda digits: int(digits, 16), most=sys.maxsize)

    def _exactly(self, size: int, *, before: int) -> bytes:
        if before + size > _LARGEST_BODY:
            raise _RefusalError(413, f"the body is larger than {_LARGEST_BODY} bytes")
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionAbortedError("the client hung up within the body")
        return body

    def _send(self, answer: _Answer) -> None:
        headers = [*answer.headers]
        if answer.status not in _BODILESS:
            headers.append(("Content-Type", answer.content_type))
            length = ("Content-Length", str(len(answer.body)))
            headers.append(("Transfer-Encoding", "chunked") if answer.is_chunked else length)
        self.send_response(answer.status, _reason(answer.status))
        for name, value in headers:
            # http.server writes Latin-1; what is not ASCII goes out as UTF-8.
            self.send_header(name, value.translate(_NO_BREAKS).encode().decode("latin-1"))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in _BODILESS:
            self._send_body(answer)

    def _send_body(self, answer: _Answer) -> None:
        body = answer.body[: answer.drop]
        for piece in _pieces(answer, body):
            if answer.pause:
                self.site.wait(answer.pause)
            framed = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(framed if answer.is_chunked else piece)
        if len(body) < len(answer.body):
            self.close_connection = True
        elif answer.is_chunked:
            self.wfile.write(b"0\r\n\r\n")


def _pieces(answer: _Answer, body: bytes) -> Iterable[bytes]:
    if answer.pause:
        return (body[place : place + 1] for place in range(len(body)))
    return body.splitlines(keepends=True) if answer.is_chunked else [body]


@dataclass(frozen=True, slots=True)
class _Call:
    """One request on its way through the routes; `path` is what is left of its path."""

    site: _Site
    request: SeenRequest
    path: str

    def answer(self) -> _Answer:
        """Take one segment off the path and let the route of that name answer."""
        name, slash, rest = self.path.removeprefix("/").partition("/")
        name = unquote(name)
        inner = replace(self, path=slash + rest)
        try:
            if name in _BRANCHES:
                return _BRANCHES[name](inner)
            if name in _LEAVES and not inner.path:
                return _LEAVES[name](inner)
            if name in _FIXED and not inner.path:
                return _FIXED[name]
            return inner.collection(name)
        except _RefusalError as refusal:
            return refusal.answer

    def lost(self) -> _RefusalError:
        return _RefusalError(404, f"no such route: {self.request.path}")

    def asked(self, name: str, default: str) -> str:
        return self.request.query.get(name, [default])[0]

    def asked_status(self, name: str, default: int) -> int:
        return _asked(self.request, name, default, least=200, most=599)

    def asked_body(self) -> _Answer:
        return _pattern(_asked(self.request, "bytes", 10, most=_LARGEST_BODY))

    def asked_drop(self) -> int:
        return _asked(self.request, "drop", sys.maxsize)

    def chosen(self, name: str, choices: Mapping[str, _Choice], default: str) -> _Choice:
        choice = self.asked(name, default)
        if choice not in choices:
            raise _RefusalError(400, f"{name} must be one of {', '.join(choices)}")
        return choices[choice]

    def asked_seconds(self) -> float:
        return _asked(self.request, "seconds", 1.0, most=_LONGEST_WAIT)

    def collection(self, name: str, within: _Row | None = None) -> _Answer:
        if name not in self.site.collections:
            raise self.lost()
        if nested := re.fullmatch("/([^/]+)/([^/]+)((?:/[^/]+)?)", self.path):
            return self.nested(name, *map(unquote, nested.groups()[:2]), rest=nested[3])
        if not re.fullmatch("(/[^/]+)?", self.path):
            raise self.lost()
        allowed = _ITEM_METHODS if self.path else _COLLECTION_METHODS
        if self.request.method not in allowed:
            allow = (("Allow", ", ".join(allowed)),)
            detail = f"{self.request.method} is not one of {allow[0][1]}"
            raise _RefusalError(405, detail, headers=allow)
        with self.site.lock:
            collection = self.site.collections[name]
            if self.path:
                return collection.change(self.request, unquote(self.path[1:]), within or {})
            if self.request.method == "POST":
                return collection.create(self.request, within or {})
            return collection.select(self.request, within or {})

    def nested(self, name: str, key: str, inner: str, *, rest: str) -> _Answer:
        """Answer with what belongs to one row: `/users/1/posts` has the posts of userId 1."""
        if inner not in self.site.collections:
            raise self.lost()
        with self.site.lock:
            row = self.site.collections[name].rows.get(key)
        if row is None:
            raise _RefusalError(404, f"no {name} with id {key}")
        within = {f"{name.removesuffix('s')}Id": row["id"]}
        return replace(self, path=rest).collection(inner, within)

    def wrapped(self) -> _Answer:
        name = unquote(self.path[1:])
        if name not in self.site.collections:
            raise self.lost()
        with self.site.lock:
            return self.site.collections[name].wrap(self.request)

    def bearer(self) -> _Answer:
        given = self.credentials("bearer")
        with self.site.lock:
            is_granted = time.monotonic() < self.site.granted.get(given or "", -math.inf)
        expected = given if given and is_granted else self.site.sandbox.token
        return self.guarded("bearer", given, expected)

    def token(self) -> _Answer:
        """Grant a token, RFC 6749 sections 4.4 and 6."""
        if self.request.method != "POST":
            raise _RefusalError(405, "a token is asked for by POST", headers=(("Allow", "POST"),))
        form = parse_qs(self.request.body.decode("utf-8", "replace"), keep_blank_values=True)
        sandbox = self.site.sandbox
        # Encoding what is expected spares decoding what may be malformed.
        pair = f"{quote_plus(sandbox.client_id)}:{quote_plus(sandbox.client_secret)}"
        is_basic = self.credentials("basic") == b64encode(pair.encode()).decode()
        in_form = (form.get("client_id"), form.get("client_secret"))
        if not is_basic and in_form != ([sandbox.client_id], [sandbox.client_secret]):
            return _no_token("invalid_client", "the client or its secret is unknown")
        kind = form.get("grant_type", [""])[0]
        if kind not in {"client_credentials", "refresh_token"}:
            return _no_token("unsupported_grant_type", f"{kind} is not granted here")
        life = _asked(self.request, "expires_in", 3600.0, most=_LONGEST_LIFE)
        answer: _Row = {"access_token": token_hex(16), "token_type": "Bearer", "expires_in": life}
        with self.site.lock:
            if kind == "refresh_token":
                if form.get("refresh_token") != [sandbox.refresh_token]:
                    return _no_token("invalid_grant", "the refresh token is used up or unknown")
                answer["refresh_token"] = sandbox.refresh_token = token_hex(16)
            self.site.granted[str(answer["access_token"])] = time.monotonic() + life
        return _json(answer, headers=_NO_STORE)

    def basic(self) -> _Answer:
        pair = f"{self.site.sandbox.user}:{self.site.sandbox.password}"
        # Encoding what is expected spares decoding what may be malformed.
        return self.guarded("basic", self.credentials("basic"), b64encode(pair.encode()).decode())

    def key(self) -> _Answer:
        query = self.request.query.get("api_key", [None])[0]
        places = (self.request.headers.get("x-api-key"), query, self.cookies_sent().get("api_key"))
        given = next((key for key in places if key is not None), None)
        return self.guarded("key", given, self.site.sandbox.api_key)

    def credentials(self, scheme: str) -> str | None:
        named, _, value = self.request.headers.get("authorization", "").partition(" ")
        return value.strip() if named.lower() == scheme else None

    def guarded(self, lock: str, given: str | None, expected: str) -> _Answer:
        """Answer the rest of the path, or 401 unless the secret is right."""
        challenge, wanted = _CHALLENGES[lock]
        if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
            wrong = f"the {wanted.partition(' ')[2]} is not valid"
            detail = f"{wanted} is required" if given is None else wrong
            raise _RefusalError(401, detail, headers=(("WWW-Authenticate", challenge),))
        return self.answer() if self.path.strip("/") else _json({"authenticated": True})

    def echo(self) -> _Answer:
        request = self.request
        return _json(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": dict(request.headers),
                "body": request.body.decode("utf-8", "replace"),
                "json": _decoded(request.body),
                "bytes": len(request.body),
            }
        )

    def status(self) -> _Answer:
        return self.asked_for(_number(self.path[1:], "status", int, least=200, most=599))

    def asked_for(self, status: int) -> _Answer:
        """Answer with a status, and with the headers and the kind of body in the query."""
        detail = f"asked for {status}"
        kinds = {
            "problem": _problem(status, detail),
            "object": _json({}, status=status),
            "json": _json({"error": {"message": detail}}, status=status),
            "html": _html(f"{status} {_reason(status)}", status=status),
            "text": _Answer(status, detail.encode()),
            "empty": _Answer(status),
        }
        answer = self.chosen("kind", kinds, "problem" if status >= 400 else "object")
        query = self.request.query
        asked = [(field, query[name][0]) for name, field in _ASKED_HEADERS.items() if name in query]
        return replace(answer, headers=tuple(asked))

    def graphql(self) -> _Answer:
        """Answer a GraphQL operation with what was received: GraphQL over HTTP, by POST."""
        if self.request.method != "POST":
            raise _RefusalError(405, "GraphQL is a POST here", headers=(("Allow", "POST"),))
        body = _decoded(self.request.body)
        received = cast("_Row", body) if isinstance(body, dict) else {}
        is_operation = isinstance(received.get("query"), str)
        failures = _asked(self.request, "errors", 0, most=_LONGEST_STREAM)
        document: _Row = {"data": None}
        if is_operation and self.asked("data", "1") != "0":
            document["data"] = {
                name: received.get(name) for name in ("query", "variables", "operationName")
            }
        if not is_operation:
            document = {"errors": [{"message": "the body must be an object with a query"}]}
        elif failures:
            document["errors"] = [
                {"message": f"error {number}", "path": ["query"]}
                for number in range(1, failures + 1)
            ]
        knows = "application/graphql-response+json" in self.request.headers.get("accept", "")
        kind = "application/graphql-response+json" if knows else "application/json"
        status = self.asked_status("status", 200 if is_operation else 400)
        return replace(_json(document, status=status), content_type=kind)

    def flaky(self) -> _Answer:
        key = unquote(self.path[1:])
        if not key:
            raise self.lost()
        failures = _asked(self.request, "fail", 2)
        then = self.asked_status("then", 200)
        with self.site.lock:
            attempts = self.site.attempts.setdefault(key, [])
            attempts.append(self.request)
            count = len(attempts)
        if count > failures:
            received = len(self.request.body)
            return _json({"key": key, "attempts": count, "received": received}, status=then)
        if self.asked("status", "503") == "drop":
            raise ConnectionAbortedError("the client asked to be hung up on")
        return self.asked_for(self.asked_status("status", 503))

    def resumable(self) -> _Answer:
        """Speak Google's protocol: Content-Range up, 308 and Range down."""
        method, headers = self.request.method, self.request.headers
        if method == "POST":
            total = headers.get("x-upload-content-length", "0")
            self.begun(_number(total, "X-Upload-Content-Length", int, most=_LARGEST_BODY))
            return _json({}, headers=(("Location", self.same()),))
        upload = self.begun()
        if method != "PUT":
            return _Answer(200, bytes(upload.content), "application/octet-stream")
        first = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/\d+", headers.get("content-range", ""))
        if first is None:
            raise _RefusalError(400, "Content-Range is missing or illegible")
        self.take(upload, len(upload.content) if first[1] is None else int(first[1]))
        arrived = len(upload.content)
        if arrived == upload.total:
            return upload.shown(status=201)
        last = (("Range", f"bytes=0-{arrived - 1}"),) if arrived else ()
        return _Answer(308, headers=last)

    def tus(self) -> _Answer:
        """Speak the core of tus 1.0, and its creation extension."""
        method, headers = self.request.method, self.request.headers
        version = ("Tus-Resumable", "1.0.0")
        if method != "GET" and headers.get("tus-resumable") != version[1]:
            raise _RefusalError(412, "Tus-Resumable must be 1.0.0", headers=(version,))
        if method == "POST":
            total = headers.get("upload-length", "")
            self.begun(_number(total, "Upload-Length", int, most=_LARGEST_BODY))
            return _Answer(201, headers=(version, ("Location", self.same())))
        upload = self.begun()
        if method == "PATCH":
            self.take(
                upload,
                _number(headers.get("upload-offset", ""), "Upload-Offset", int, most=_LARGEST_BODY),
            )
        place = (version, ("Upload-Offset", str(len(upload.content))))
        if method == "GET":
            return _Answer(200, bytes(upload.content), "application/octet-stream")
        return _Answer(200 if method == "HEAD" else 204, headers=place)

    def begun(self, total: int | None = None) -> _Upload:
        """Return the upload of the key in the path, a new one when its size is given."""
        with self.site.lock:
            if total is not None:
                self.site.uploads[self.path] = _Upload(
                    total, _asked(self.request, "times", 1) if "drop" in self.request.query else 0
                )
            if self.path not in self.site.uploads:
                raise _RefusalError(404, "no such upload")
            return self.site.uploads[self.path]

    def take(self, upload: _Upload, at: int) -> None:
        with self.site.lock:
            is_whole = upload.take(self.request.body, at=at, drop=self.asked_drop())
        if not is_whole:
            raise ConnectionAbortedError("the client asked to be hung up on")

    def same(self) -> str:
        """Return the address of this very request."""
        return _with_query(self.request.path, self.request.query)

    def slow(self) -> _Answer:
        seconds = self.asked_seconds()
        self.site.wait(seconds)
        return _json({"seconds": seconds})

    def drip(self) -> _Answer:
        whole = self.asked_body()
        return replace(whole, pause=self.asked_seconds() / max(len(whole.body), 1))

    def truncated(self) -> _Answer:
        whole = self.asked_body()
        size = len(whole.body)
        return replace(whole, body=whole.body * 2, drop=size, headers=(("Connection", "close"),))

    def sized(self) -> _Answer:
        """Answer with a file of that size, or with a range of it."""
        size = _number(self.path[1:], "bytes", int, most=_LARGEST_BODY)
        version = _asked(self.request, "version", 0, most=255)
        whole = _pattern(size, first=version)
        fields = {
            "Accept-Ranges": "bytes",
            "ETag": self.chosen("etag", _ETAGS, "strong").format(f"{size}-{version}"),
            "Last-Modified": formatdate(_MODIFIED + version * 86_400, usegmt=True),
            "Repr-Digest": _digest(whole.body) if self.asked("digest", "0") == "1" else "",
            "Content-Disposition": _attachment(name) if (name := self.asked("name", "")) else "",
        }
        headers = tuple((name, value) for name, value in fields.items() if value)
        return self.ranged(replace(whole, headers=headers, drop=self.asked_drop()))

    def ranged(self, whole: _Answer) -> _Answer:
        """Answer with the range that is asked for, RFC 9110 section 14; whole without one."""
        asked, size = self.request.headers, len(whole.body)
        # RFC 9110 section 13.1.5: a weak ETag never matches, and a date only when it is the same.
        strong = {v for name, v in whole.headers if name in _VALIDATORS and not v.startswith("W/")}
        is_met = asked.get("if-range") in {None, *strong}
        is_ranged = self.request.method == "GET" and is_met
        part = _selected(asked.get("range", ""), size) if is_ranged else None
        if part is None:
            return whole
        if not part:
            unmet = (("Content-Range", f"bytes */{size}"),)
            raise _RefusalError(416, f"there are {size} bytes", headers=unmet)
        body = whole.body[part.start : part.stop]
        place = ("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        return replace(whole, status=206, body=body, headers=(*whole.headers, place))

    def streamed(self, *, content_type: str, opening: str = "", item: str) -> _Answer:
        """Answer with an item for each number from 1, in chunks."""
        count = _asked(self.request, "count", 3, most=_LONGEST_STREAM)
        body = opening + "".join(item.replace("#", str(n)) for n in range(1, count + 1))
        whole = _Answer(200, body.encode(), content_type, is_chunked=True)
        return replace(whole, drop=self.asked_drop())

    def text(self) -> _Answer:
        charset = self.asked("charset", "utf-8")
        with suppress(LookupError, ValueError):
            body = "naïve café".encode(charset, "replace")
            return _Answer(200, body, f"text/plain; charset={charset}")
        raise _RefusalError(400, f"charset must be one that Python knows, not {charset!r}")

    def cookies_sent(self) -> dict[str, str]:
        pairs = self.request.headers.get("cookie", "").split(";")
        return {name.strip(): v for name, equals, v in (p.partition("=") for p in pairs) if equals}

    def cookies(self) -> _Answer:
        if self.path not in {"", "/set"}:
            raise self.lost()
        new = {name: v[0] for name, v in self.request.query.items()} if self.path else {}
        headers = tuple(("Set-Cookie", f"{name}={value}; Path=/") for name, value in new.items())
        return _json({**self.cookies_sent(), **new}, headers=headers)

    def redirect(self) -> _Answer:
        name, _, rest = self.path.removeprefix("/").partition("/")
        if name not in _REDIRECTS:
            raise self.lost()
        to = _REDIRECTS[name](replace(self, path=rest))
        status = self.asked_status("status", 302)
        return _json({"to": to}, status=status, headers=(("Location", to),))

    def to_url(self) -> str:
        if "to" not in self.request.query:
            raise _RefusalError(400, "the query needs to=URL")
        return self.asked("to", "")

    def to_other(self) -> str:
        other = 1 - self.site.ports.index(self.request.port)
        query = {name: v for name, v in self.request.query.items() if name != "status"}
        return _with_query(f"{self.site.origin(other)}/{self.path}", query)

    def to_loop(self) -> str:
        return _with_query(self.request.path, self.request.query)

    def to_chain(self) -> str:
        hops = _number(self.path, "hops", int, least=1, most=1000)
        start = self.request.path.removesuffix(f"/redirect/chain/{self.path}")
        following = f"/redirect/chain/{hops - 1}" if hops > 1 else "/echo"
        return _with_query(start + following, self.request.query)


def _no_token(error: str, description: str) -> _Answer:
    """Refuse a token, RFC 6749 section 5.2."""
    is_unknown = error == "invalid_client"
    status = 401 if is_unknown else 400
    challenge = (("WWW-Authenticate", _CHALLENGES["basic"][0]),) if is_unknown else ()
    document = {"error": error, "error_description": description}
    return _json(document, status=status, headers=(*_NO_STORE, *challenge))


_Route = Callable[[_Call], _Answer]

# The routes that always answer the same.
_FIXED: Mapping[str, _Answer] = {
    "empty": _Answer(204),
    "gzip": _Answer(
        200,
        gzip.compress(b'{"gzipped": true}', mtime=0),
        "application/json",
        (("Content-Encoding", "gzip"),),
    ),
    "html": _html("Sandbox"),
    "invalid-json": _Answer(200, b'{"broken": ', "application/json"),
}
# The routes that end at their name.
_LEAVES: Mapping[str, _Route] = {
    "drip": _Call.drip,
    "events": partial(
        _Call.streamed,
        content_type="text/event-stream",
        opening=": the numbers from 1\nretry: 1000\n\n",
        item='id: #\nevent: number\ndata: {"number": #}\n\n',
    ),
    "graphql": _Call.graphql,
    "json-lines": partial(
        _Call.streamed, content_type="application/x-ndjson", item='{"number": #}\n'
    ),
    "lines": partial(_Call.streamed, content_type="text/plain; charset=utf-8", item="line #\n"),
    "slow": _Call.slow,
    "text": _Call.text,
    "token": _Call.token,
    "truncated": _Call.truncated,
}
# The routes to which the rest of the path means something.
_BRANCHES: Mapping[str, _Route] = {
    "basic": _Call.basic,
    "bearer": _Call.bearer,
    "bytes": _Call.sized,
    "cookies": _Call.cookies,
    "echo": _Call.echo,
    "flaky": _Call.flaky,
    "key": _Call.key,
    "redirect": _Call.redirect,
    "resumable": _Call.resumable,
    "status": _Call.status,
    "tus": _Call.tus,
    "wrapped": _Call.wrapped,
}
# Every other name is a collection, if there is one of that name.
_COLLECTION_METHODS = ("GET", "HEAD", "POST")
_ITEM_METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
_REDIRECTS: Mapping[str, Callable[[_Call], str]] = {
    "": _Call.to_url,
    "other": _Call.to_other,
    "loop": _Call.to_loop,
    "chain": _Call.to_chain,
}
# What a 401 says: its challenge, and what it asks for.
_CHALLENGES: Mapping[str, tuple[str, str]] = {
    "bearer": ('Bearer realm="sandbox"', "a bearer token"),
    "basic": ('Basic realm="sandbox", charset="UTF-8"', "a user name with its password"),
    "key": ('ApiKey realm="sandbox"', "an API key"),
}
# RFC 6749 section 5.1: a token is nothing for a cache.
_NO_STORE = (("Cache-Control", "no-store"),)
_VALIDATORS = frozenset({"ETag", "Last-Modified"})
# The ETags that a query can ask for.
_ETAGS: Mapping[str, str] = {"strong": '"{}"', "weak": 'W/"{}"', "none": ""}
# The headers that a query can ask for.
_ASKED_HEADERS: Mapping[str, str] = {"retry_after": "Retry-After", "request_id": "X-Request-Id"}
