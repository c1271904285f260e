"""A real HTTP server on loopback, for tutorials and for the tests of your own client.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules, so that it can
judge httpkit from outside.

>>> from urllib.request import urlopen
>>> with Sandbox() as sandbox:
...     urlopen(sandbox.url + "/status/200").read()
b'{}'

| Route | Response |
|---|---|
| `/posts`, `/posts/1`, `/users` | stored objects: GET, POST, PUT, PATCH, DELETE; see `Sandbox` |
| `/users/1/posts`, `/users/1/posts/2` | the posts whose `userId` is 1, of any two collections |
| `/wrapped/posts?_limit=2&_cursor=...` | a page with `items total has_more next_cursor next` |
| `/bearer/...`, `/basic/...`, `/key/...` | 401, or the rest of the path with the right credential |
| `/token?expires_in=60` | a token for `/bearer`, by the OAuth 2.0 grants; see `Sandbox` |
| `/echo/...` | what the server received, as JSON |
| `/status/503?retry_after=2&request_id=r1` | that status, with Retry-After and X-Request-Id |
| `/status/503?kind=problem` | its body, also object, json, html, text or empty |
| `/flaky/KEY?fail=2&status=503&then=200` | the first `fail` requests fail; `status=drop` hangs up |
| `/slow?seconds=1`, `/drip?seconds=1&bytes=10` | a late status line, a slow body |
| `/redirect?to=URL&status=302`, `/redirect/other/PATH` | there, or the same path on `other_url` |
| `/redirect/loop`, `/redirect/chain/3` | a redirect loop, `/echo` after 3 hops |
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

import io
import socket
import socketserver
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Self
from urllib.parse import parse_qs

from httpkit.testing.sandbox.messages import (
    LARGEST_BODY,
    Headers,
    RejectedError,
    Response,
    SeenRequest,
    read_number,
    reason,
)
from httpkit.testing.sandbox.routes import BUILT_IN, respond
from httpkit.testing.sandbox.store import Site
from httpkit.testing.sandbox.streams import Reader, Writer

__all__ = ["Sandbox", "SeenRequest"]

# RFC 9110 sections 15.3.5 and 15.4.5: these end at the header section.
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# RFC 9110 section 5.5: a field value holds none of these; a query must not add header lines.
_NO_BREAKS = str.maketrans("\r\n\0", "   ")

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


class Sandbox:
    """A server on two loopback ports that starts in milliseconds and writes nothing to disk.

    A POST stores an object, or each of a list; with an Idempotency-Key it stores once, and its
    repeats get the first response again. A query parameter of a collection filters, except `_page`
    (from 1), `_offset` (from 0) and `_limit` (10 unless given): any of them returns one page with
    an RFC 8288 Link header and X-Total-Count. A stored object has an ETag, and a change with
    another one in If-Match is refused. A new post needs a title.

    `/token` grants client_credentials and refresh_token (RFC 6749) to the client, whose secret is
    in the header or in the form. `/bearer` accepts what it granted for `expires_in` seconds, an
    hour unless asked for. A refresh token serves once, and the response holds the next one.

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
        if taken := sorted(given.keys() & BUILT_IN):
            raise ValueError(f"{taken[0]!r} is a built-in route; rename the collection")
        self.token = token
        self.user = user
        self.password = password
        self.api_key = api_key
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = refresh_token
        self._site = Site(self, given)
        self._running = ExitStack()

    def __repr__(self) -> str:
        return f"<Sandbox {self.url if self._site.ports else 'not started'}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Bind both ports and serve them; does nothing if the sandbox is started.

        Returns:
            The sandbox itself.

        Raises:
            OSError: No loopback port is free.
        """
        if not self._site.ports:
            with ExitStack() as stack:
                self._site.closing.open()
                stack.callback(self._site.closing.release)
                servers = [stack.enter_context(_Server(self._site)) for _ in range(2)]
                self._site.ports = tuple(server.port for server in servers)
                self._running = stack.pop_all()
        return self

    def close(self) -> None:
        """Close every connection at once, also within a response, and release both ports.

        Returns when the last thread has ended. `requests` stays readable, and `start()` opens
        the sandbox again on new ports.
        """
        self._running.close()
        self._site.ports = ()

    @property
    def url(self) -> str:
        """The origin to send requests to, on a port of 127.0.0.1 that was free.

        Raises:
            NotStartedError: The sandbox is not started (a RuntimeError and AttributeError).
        """
        return self._site.origin(0)

    @property
    def other_url(self) -> str:
        """A second origin with the same routes and the same stored objects.

        Raises:
            NotStartedError: The sandbox is not started (a RuntimeError and AttributeError).
        """
        return self._site.origin(1)

    @property
    def requests(self) -> list[SeenRequest]:
        """A copy of what was received on both ports, oldest first."""
        with self._site.lock:
            return list(self._site.requests)

    @property
    def seen(self) -> list[SeenRequest]:
        """The same as `requests`: its name before 0.2."""
        return self.requests

    def attempts(self, key: str) -> list[SeenRequest]:
        """Return what `/flaky/KEY` received, oldest first.

        Args:
            key: The rest of the path, decoded.
        """
        with self._site.lock:
            return list(self._site.attempts.get(key, ()))

    def revoke_tokens(self) -> None:
        """Revoke every token that `/token` has granted."""
        with self._site.lock:
            self._site.granted.clear()

    def clear(self) -> None:
        """Drop requests, flaky counts, keys and granted tokens; restore the stored objects."""
        self._site.reset()


_Accepted = socket.socket | tuple[bytes, socket.socket]


class _Server(socketserver.ThreadingTCPServer):
    """One port, and every thread it has started.

    Not http.server.HTTPServer, whose bind asks DNS for a name; and not serve_forever(), which sees
    a shutdown only after its poll interval.
    """

    request_queue_size = 128  # the default of 5 makes 32 clients at once wait for a SYN retry

    def __init__(self, site: Site) -> None:
        self.site = site
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
        for thread in self.threads:
            thread.join()

    def accept(self) -> None:
        while not self.site.closing.is_set():
            self.handle_request()

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


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, records them, sends responses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, request: _Accepted, address: object, server: _Server, *, site: Site) -> None:
        self.site = site
        self.port = server.port
        super().__init__(request, address, server)

    def setup(self) -> None:
        """Use streams that end when the sandbox closes."""
        super().setup()
        self.connection.settimeout(0)  # not blocking
        self.rfile = io.BufferedReader(Reader(self.connection, self.site.closing))
        self.wfile = Writer(self.connection, self.site.closing)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: `Sandbox.requests` is the log."""

    def _serve(self) -> None:
        try:
            body = self._body()
        except RejectedError as error:
            self._send(replace(error.response, headers=(("Connection", "close"),)))
            # RFC 9112 section 9.6: closing with unread bytes would lose the response in a reset.
            self.connection.shutdown(socket.SHUT_WR)
            while self.rfile.read(65536):
                pass
            return
        # Not self.path, in which http.server has replaced leading slashes by one.
        path, _, query = self.requestline.split()[1].partition("?")
        headers = Headers(self.headers.items())
        decoded = parse_qs(query, keep_blank_values=True)
        request = SeenRequest(self.command, path, decoded, headers, body, self.port)
        with self.site.lock:
            self.site.requests.append(request)
        self._send(respond(self.site, request))

    # http.server finds these by name.
    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - its names, not ours
    do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = _serve  # noqa: N815 - its names, not ours

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        text = self.headers.get("Content-Length", "0")
        return self._exactly(read_number(text, "Content-Length", int, most=sys.maxsize), before=0)

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
        return read_number(text, "a chunk size", lambda digits: int(digits, 16), most=sys.maxsize)

    def _exactly(self, size: int, *, before: int) -> bytes:
        if before + size > LARGEST_BODY:
            raise RejectedError(413, f"the body is larger than {LARGEST_BODY} bytes")
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionAbortedError("the client hung up within the body")
        return body

    def _send(self, response: Response) -> None:
        headers = [*response.headers]
        if response.status not in _BODILESS:
            headers.append(("Content-Type", response.content_type))
            length = ("Content-Length", str(len(response.body)))
            headers.append(("Transfer-Encoding", "chunked") if response.is_chunked else length)
        self.send_response(response.status, reason(response.status))
        for name, value in headers:
            # http.server writes Latin-1; what is not ASCII goes out as UTF-8.
            self.send_header(name, value.translate(_NO_BREAKS).encode().decode("latin-1"))
        self.end_headers()
        if self.command != "HEAD" and response.status not in _BODILESS:
            self._send_body(response)

    def _send_body(self, response: Response) -> None:
        body = response.body[: response.drop]
        for piece in _pieces(response, body):
            if response.pause:
                self.site.closing.wait(response.pause)
            framed = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(framed if response.is_chunked else piece)
        if len(body) < len(response.body):
            self.close_connection = True
        elif response.is_chunked:
            self.wfile.write(b"0\r\n\r\n")


def _pieces(response: Response, body: bytes) -> Iterable[bytes]:
    if response.pause:
        return (body[offset : offset + 1] for offset in range(len(body)))
    return body.splitlines(keepends=True) if response.is_chunked else [body]
