"""Whatever bytes a server sends: a result or a typed error, in time, and no secret is shown.

A run takes the same few hundred cases each time. HTTPKIT_FUZZ_CASES=20000 takes about so many in
all, and other ones each time; what it finds becomes an entry of CORPUS.
"""

import gzip
import io
import os
import pickle
import socket
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import httpkit
from httpkit._transport.adapter import Adapter
from httpkit.testing import no_waiting
from tests.fuzzing import fuzz_http1
from tests.support.sockets import hang_up

ASKED = int(os.environ.get("HTTPKIT_FUZZ_CASES", "0"))
# Seconds. A server that says nothing more is given up after SILENCE; a call that is not over
# after LONGEST hangs: the slowest takes three times SILENCE on an idle machine.
SILENCE = 0.05
LONGEST = 8.0
SECRET = "canary-4711-xyzzy"

pytestmark = [
    pytest.mark.timeout(60 + ASKED // 10),
    # The standard library's own words when a cookie's Max-Age is no float; the cookie is dropped.
    pytest.mark.filterwarnings("ignore:http.cookiejar bug!:UserWarning"),
]


def fuzzed(cases: int):
    """Take so many cases, the same ones each time; or those that were asked for, and others."""
    return settings(
        max_examples=cases,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )


# What a server may say


def reply(status: bytes = b"200 OK", *lines: bytes, body: bytes = b"") -> bytes:
    head = [b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body), b"", b""]
    return b"\r\n".join(head) + body


def chunked(*blocks: bytes, lines: tuple[bytes, ...] = ()) -> bytes:
    head = [b"HTTP/1.1 200 OK", *lines, b"Transfer-Encoding: chunked", b"", b""]
    parts = [b"%x\r\n%s\r\n" % (len(block), block) for block in (*blocks, b"")]
    return b"\r\n".join(head) + b"".join(parts)


TOKEN = SECRET.encode()
JSON = b"Content-Type: application/json"
PROBLEM = b"Content-Type: application/problem+json"
EVENTS = b"Content-Type: text/event-stream"
GZIP = b"Content-Encoding: gzip"
ITEMS = b'[{"id": 1, "title": "a"}, {"id": 2, "title": "\xc3\xa9"}]'
RAW_DEFLATE = zlib.compress(ITEMS)[2:-4]
CORPUS = [
    # documents
    reply(b"200 OK", JSON, body=ITEMS),
    reply(b"200 OK", JSON, body=b'{"id": 1, "title": "a", "tags": [null, 1e400, -0.0]}'),
    reply(b"200 OK", JSON, body=b'{"data": [{"id": 1}], "meta": {"next": "abc", "total": 3}}'),
    reply(b"200 OK", JSON, body=b"\xef\xbb\xbf" + ITEMS),
    reply(b"200 OK", JSON, body=b"[NaN, Infinity, 1" + b"0" * 400 + b"]"),
    reply(b"200 OK", JSON, body=b"[" * 2000),
    reply(b"200 OK", JSON, body=b'{"a":' * 1100 + b"1" + b"}" * 1100),
    reply(b"200 OK", JSON, body=b'["\\ud800", "\xff\xfe", "\\u0000"]'),
    reply(b"200 OK", JSON, body=b"1" * 5000),
    reply(
        b"200 OK", b"Content-Type: text/plain; charset=utf-16", body="a\n\u2028b".encode("utf-16")
    ),
    reply(b"200 OK", b"Content-Type: text/html; charset=hex", body=b"<title>x</title>zz"),
    reply(b"200 OK", b"Content-Type: text/plain; charset=idna", body=b"xn--\xff\n.."),
    reply(b"200 OK", b"Content-Type: text/plain; charset=utf-7", body=b"+2AA-\n+"),
    reply(b"200 OK", b"Content-Type: text/plain; charset=undefined", body=b"a\nb"),
    reply(b"200 OK", b"Content-Type: text/plain; charset=unicode_escape", body=b"\\N{a}\n\\x"),
    reply(b"204 No Content"),
    # streams
    chunked(b'{"id": 1}\n{"id"', b": 2}\n\n", b'{"id": 3}'),
    chunked(b"one\r", b"\ntwo\rthree\n", b"\xff\xfe", lines=(b"Content-Type: text/plain",)),
    chunked(
        b"\xef\xbb\xbfid: 7\nda", b"ta: x\ndata: y\r\n\r\n", b"retry: 99\n\n:c\n", lines=(EVENTS,)
    ),
    chunked(b'event: a\ndata: {"token": "' + TOKEN + b'"}\n\n', lines=(EVENTS,)),
    reply(b"200 OK", EVENTS, body=b"retry: " + b"9" * 400 + b"\nid: \x00\ndata\n\n"),
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end\nof it",
    # codings
    reply(b"200 OK", GZIP, body=gzip.compress(ITEMS, mtime=0)),
    reply(b"200 OK", GZIP, body=gzip.compress(ITEMS, mtime=0)[:-6]),
    reply(b"200 OK", GZIP, body=gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b", mtime=0)),
    reply(
        b"200 OK",
        GZIP,
        body=(gzip.compress(b"a\n", mtime=0) + b"\r\n" + gzip.compress(b"b", mtime=0))[:43],
    ),
    reply(b"200 OK", b"Content-Encoding: deflate", body=RAW_DEFLATE),
    reply(b"200 OK", b"Content-Encoding: deflate, gzip", body=gzip.compress(zlib.compress(ITEMS))),
    reply(b"200 OK", b"Content-Encoding: br", body=b"\x0b\x02\x80hello\x03"),
    reply(b"200 OK", b"Content-Encoding: zstd", body=b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00hi"),
    chunked(gzip.compress(ITEMS, mtime=0)[:9], gzip.compress(ITEMS, mtime=0)[9:], lines=(GZIP,)),
    # errors
    reply(
        b"404 " + TOKEN, JSON, body=b'{"message": "no ' + TOKEN + b'", "errors": [{"loc": [1]}]}'
    ),
    reply(
        b"422 No", PROBLEM, body=b'{"title": 1, "detail": ["' + TOKEN + b'", {}], "status": "x"}'
    ),
    reply(
        b"500 \xff\xfe", b"Content-Type: text/html", body=b"<title>" + TOKEN + b"&#x110000;</title>"
    ),
    reply(b"503 Busy", b"Retry-After: 1e999", b"X-Request-Id: r\t" + TOKEN, body=b"x"),
    reply(b"429 No", b"Retry-After: Wed, 99 Oct 99999999999999999999 07:28:00 GMT"),
    reply(
        b"400 No", JSON, body=b'{"error": "invalid_grant", "error_description": "' + TOKEN + b'"}'
    ),
    reply(b"401 No", b'WWW-Authenticate: Basic realm="' + TOKEN + b'"'),
    reply(b"599 Odd", GZIP, body=b"no gzip"),
    # redirects, links and cookies
    reply(b"302 Found", b"Location: /next?token=" + TOKEN),
    reply(b"307 Go", b"Location: //[::1]:99999/\xff"),
    reply(b"301 Go", b"Location: http://user:" + TOKEN + b"@127.0.0.1:1/"),
    reply(b"308 Go", b"Location: ?\xe2\x80\xa8#%zz"),
    reply(b"303 Go", b"Location: http://[v1.x]/"),
    reply(b"302 Go", b"Location: https://xn--a.\xc3\xa9/"),
    reply(
        b"200 OK",
        b"Link: <?page=2&token=" + TOKEN + b'>; rel="next", <http://[>;rel=last',
        body=ITEMS,
    ),
    reply(b"200 OK", b'Link: </>; rel=next; anchor="http://["', JSON, body=ITEMS),
    reply(
        b"200 OK", b"Set-Cookie: sid=" + TOKEN + b"; Path=/; Expires=Mon, 99-Foo-0000 99:99:99 GMT"
    ),
    reply(b"200 OK", b"Set-Cookie: a=b; Max-Age=9" + b"9" * 400),
    reply(b"200 OK", b"Set-Cookie: a=b; Max-Age=9" + b"9" * 20 + b"; Domain=[::1]; Version=x"),
    # files
    reply(b"200 OK", b'Content-Disposition: attachment; filename="../../e.txt"', body=b"file"),
    reply(b"200 OK", b"Content-Disposition: a; filename*=utf-8''%2e%2e%2fx%00%ed%a0%80", body=b"f"),
    reply(
        b"200 OK",
        b"Content-Disposition: x; filename=\"C:\\con.txt:s\"; filename*=idna''a",
        body=b"f",
    ),
    reply(b"200 OK", b'ETag: "x"', b"Last-Modified: 1", b"Date: Mon, 1 Jan 10000 0:0:0", body=b"f"),
    reply(b"200 OK", b"Repr-Digest: sha-256=:AAAA:, md5=:" + b"A" * 22 + b"==:", body=b"file"),
    reply(b"206 Part", b"Content-Range: bytes 0-3/9", b'ETag: "x"', body=b"file"),
    reply(b"206 Part", b"Content-Range: bytes 5-3/*", body=b"file"),
    reply(b"416 No", b"Content-Range: bytes */0"),
    reply(b"304 Same", b'ETag: W/"x"'),
    # grants, uploads and GraphQL
    reply(
        b"200 OK",
        JSON,
        body=b'{"access_token": "abc", "token_type": "Bearer", "expires_in": 1e999}',
    ),
    reply(b"200 OK", JSON, body=b'{"access_token": 7, "token_type": [], "scope": {}}'),
    reply(
        b"200 OK", JSON, body=b'{"data": null, "errors": [{"message": "no", "path": [1, null]}]}'
    ),
    reply(b"200 OK", JSON, body=b'{"errors": {"message": "' + TOKEN + b'"}}'),
    reply(
        b"201 Made", b"Location: /files/abc-" + TOKEN, b"Tus-Resumable: 1.0.0", b"Upload-Offset: 0"
    ),
    reply(b"204 No", b"Tus-Resumable: 1.0.0", b"Upload-Offset: 99999999999999999999"),
    reply(b"308 Go on", b"Range: bytes=0-1"),
    # framing
    reply(b"100 Continue")[:25] + b"\r\n" + reply(body=b"x"),
    b"HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n" * 3 + reply(body=b"x"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
    b"HTTP/9.9 999 \r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"",
]
# Without the redirects: the next request may meet the connection just as the server closes it.
ANSWERED_ONCE = [whole for whole in CORPUS if whole[9:10] != b"3" and len(whole) < 300]
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b" ", b"\t", b":", b";",
    b",", b'"', b"\\", b"%", b"%00", b"..", b"/", b"//", b"@", b"?", b"#", b"[", b"]", b"{", b"}",
    b"<", b">", b"=", b"-1", b"0", b"9" * 30, b"1e999", b"nan", b"null", b"true", b'""', b"[]",
    b"{}", b"chunked", b"gzip", b"deflate", b"br", b"zstd", b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Location: /a\r\n",
    b"Retry-After: 0\r\n", b"Connection: close\r\n", b"data: ", b"\n\n", b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n", b"http://[", b"\xef\xbb\xbf", TOKEN,
]  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What a server sends.

    Attributes:
        pieces: Sent one by one.
        stays: Whether it says nothing more then, instead of closing.
    """

    pieces: tuple[bytes, ...] = field(default=())
    stays: bool = False


@st.composite
def replies(draw: Any) -> Reply:
    """Take a reply of the corpus, change it in a few places, and cut it in pieces."""
    whole = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(whole)))
        end = at + draw(st.sampled_from([0, 0, 1, 2, 8, 64]))
        new = draw(
            st.sampled_from(TOKENS)
            | st.binary(max_size=6)
            | st.sampled_from([b"", whole[at:end] * 2])
        )
        whole = whole[:at] + new + whole[end:]
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    return Reply(tuple(pieces), stays=draw(st.integers(0, 29)) == 29)


# Opens a connection before the reply comes over it: the fast path of a plain request.
WARMING = b"GET /v1/warm-up"


class Server:
    """Answers every request with the same reply, one connection after the other."""

    def __init__(self) -> None:
        self.reply = Reply()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        hang_up(self._listener)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(2)
        while (received := self._receive(connection)).startswith(WARMING):
            connection.sendall(reply(b"200 OK", body=b"warm"))
        if received:
            self._reply(connection, self.reply)

    def _receive(self, connection: socket.socket) -> bytes:
        """Return the head of a request, and what came with it; nothing when there is none."""
        received = b""
        while b"\r\n\r\n" not in received:
            if not (block := connection.recv(65536)):
                return b""
            received += block
        return received

    def _reply(self, connection: socket.socket, reply: Reply) -> None:
        for number, piece in enumerate(reply.pieces):
            if number:
                time.sleep(0.0001)  # so that the client sees the pieces
            connection.sendall(piece)
        if reply.stays:
            while connection.recv(65536):
                pass
        else:  # at once, whatever of the request was not read
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.002)
            while connection.recv(65536):
                pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


# What a client makes of it


class Post(TypedDict):
    id: int
    title: str


def session(server: Server) -> httpkit.Session:
    """Return a session that knows the secret, and the way to this server alone."""
    api = httpkit.Session(
        f"{server.url}/v1",
        params={"api_key": SECRET},
        timeout=(5, SILENCE if server.reply.stays else LONGEST / 2),
        auth=httpkit.BearerAuth(SECRET),
        retry=None,
    )
    api.adapters.clear()
    api.mount(f"{server.url}/", Adapter())
    return api


def read_whole(api: httpkit.Session) -> object:
    with api.get("x", raise_for_status=False) as response:
        return look_at(response)


def read_error(api: httpkit.Session) -> object:
    return api.get("x").content


def read_with_retries(api: httpkit.Session) -> object:
    with api.with_options(retry=httpkit.RetryPolicy(attempts=2)) as again:
        return again.put("x", json={"password": SECRET}).content


def look_at(response: httpkit.Response) -> object:
    """Ask a response for everything it offers."""
    shown = [
        repr(part) for part in (response, response.headers, response.cookies, response.request)
    ]
    shown.append(repr(response.request.headers))
    assert_hidden("".join(shown))
    assert_hidden(pickle.dumps(response.request))
    pickle.loads(pickle.dumps(response))
    said: list[object] = [response.text, response.problem, response.content]
    for ask in (response.json, lambda: response.decode(dict), lambda: response.decode(list[Post])):
        try:
            said.append(ask())
        except httpkit.DecodeError as error:
            check(error)
    with suppress(requests.RequestException):
        said.append(response.links)
    return response.status_code, said


def read_blocks(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return b"".join(response.blocks())


def read_content(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return b"".join(response.iter_content(3))


def read_text(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return "".join(map(str, response.iter_content(5, decode_unicode=True)))


def read_lines(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return list(response.lines())


def read_json_lines(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return list(response.json_lines())


def read_typed_lines(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return list(response.json_lines(Post))


def read_events(api: httpkit.Session) -> object:
    with api.get("x", stream=True) as response:
        return list(response.events())


def download(api: httpkit.Session) -> object:
    with TemporaryDirectory() as place:
        folder = Path(place) / "into"
        folder.mkdir()
        outside = Path(place) / "x"
        try:
            done = api.download("x", folder, max_stalls=1, mtime=True)
        finally:
            assert not outside.exists()
            assert list(Path(place).iterdir()) == [folder]
            for path in folder.iterdir():
                assert path.is_file()
                assert not path.is_symlink()
                if path.suffix == ".json":
                    assert_hidden(path.read_bytes())
        assert_hidden(repr(done))
        assert done.path is not None
        assert done.path.parent == folder
        assert [path.name for path in folder.iterdir()] == [done.path.name]
        return done.path.name, done.path.read_bytes()


def download_more(api: httpkit.Session) -> object:
    with TemporaryDirectory() as place:
        target = Path(place) / "x.bin"
        target.with_name("x.bin.part").write_bytes(b"fi")
        try:
            api.download("x", target, max_stalls=1, resume="force", checksum="md5:" + "0" * 32)
        except requests.RequestException:
            assert not target.exists()
            raise
        raise AssertionError("nothing has this sum")


def download_into(api: httpkit.Session) -> object:
    file = io.BytesIO()
    api.download("x", file, max_stalls=1)
    return file.getvalue()


def upload_by_range(api: httpkit.Session) -> object:
    return api.upload("x", b"abc", resumable="content-range", max_stalls=1).content


def upload_by_tus(api: httpkit.Session) -> object:
    return api.upload("x", b"abc", resumable="tus", max_stalls=1).content


def page(api: httpkit.Session, pages: Any = None, **options: Any) -> object:
    pager = pages or httpkit.LinkPages()
    return list(islice(api.paginate("x", pager, **options), 20))


def page_by_cursor(api: httpkit.Session) -> object:
    return page(api, httpkit.CursorPages("meta.next", param="cursor"), items_at="data")


def page_by_url(api: httpkit.Session) -> object:
    return page(api, httpkit.NextURLPages("header:Link"), model=Post)


def page_by_number(api: httpkit.Session) -> object:
    return page(api, httpkit.NumberedPages(total="meta.total"), items_at="data")


def list_posts(api: httpkit.Session) -> object:
    return list(islice(api.resource("x", Post).list(), 20))


def get_post(api: httpkit.Session) -> object:
    return api.resource("x", Post).get(1, default=None)


def create_post(api: httpkit.Session) -> object:
    return api.resource("x", Post).create({"id": 1, "title": SECRET})


def run_graphql(api: httpkit.Session) -> object:
    return api.graphql("{ a }", {"password": SECRET})


def grant(api: httpkit.Session) -> object:
    auth = httpkit.ClientCredentialsAuth(f"{api.base_url}/token", "me", SECRET)
    with api.with_options(auth=auth, deadline=LONGEST / 2) as signed:
        return signed.get("x", raise_for_status=False).content


READERS: list[Callable[[httpkit.Session], object]] = [
    read_whole, read_error, read_with_retries, read_blocks, read_content, read_text, read_lines,
    read_json_lines, read_typed_lines, read_events, download, download_more, download_into,
    upload_by_range, upload_by_tus, page, page_by_cursor, page_by_url, page_by_number, list_posts,
    get_post, create_post, run_graphql, grant,
]  # fmt: skip
however_read = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)


def assert_hidden(shown: str | bytes) -> None:
    text = shown.decode("latin-1") if isinstance(shown, bytes) else shown
    assert SECRET not in text


def check(error: Exception) -> None:
    """An error is of requests' kind, or about an argument; it pickles, and tells no secret."""
    assert isinstance(error, (requests.RequestException, ValueError))
    assert not isinstance(error, UnicodeError)
    assert_hidden(f"{error!r} {error.args} {''.join(traceback.format_exception(error))}")
    link = getattr(error, "next_url", None)  # a server's own, kept for `Pages.resume`
    for name in ("next_url", "next_token"):
        if link and getattr(error, name, None) == link:
            error.__dict__[name] = None
    pickled = pickle.dumps(error)
    assert_hidden(pickled)
    assert type(pickle.loads(pickled)) is type(error)


def outcome(
    server: Server,
    reply: Reply,
    read: Callable[[httpkit.Session], object],
    *,
    is_warm: bool = False,
) -> object:
    """Return what a reader makes of a reply: a value, or the class of its error.

    With `is_warm` the reply comes over a connection that served another one before.
    """
    server.reply = reply
    started = time.monotonic()
    try:
        with session(server) as api:
            if is_warm:
                api.get("warm-up")
            return read(api)
    except requests.RequestException as error:
        check(error)
        return type(error)
    finally:
        assert time.monotonic() - started < LONGEST


@however_read
@fuzzed(max(10, ASKED // len(READERS)))
@given(sent=replies())
def test_any_response_is_a_value_or_a_typed_error(server, read, sent):
    with no_waiting():
        outcome(server, sent, read)


@however_read
def test_every_response_of_the_corpus_is_a_value_or_a_typed_error(server, read):
    with no_waiting():
        for whole in CORPUS if ASKED else CORPUS[READERS.index(read) % 3 :: 3]:
            outcome(server, Reply((whole,)), read)


def may_lead_on(sent: Reply) -> bool:
    """Say whether a second request may follow: over a connection that is being closed, a race."""
    return b"location" in b"".join(sent.pieces).lower()


@pytest.mark.parametrize("read", [read_whole, read_error, read_content, create_post])
@fuzzed(max(40, ASKED // 8))
@given(sent=replies().filter(lambda sent: not sent.stays and not may_lead_on(sent)))
def test_any_response_is_the_same_over_a_connection_that_is_open(server, read, sent):
    with no_waiting():
        assert outcome(server, sent, read, is_warm=True) == outcome(server, sent, read)


@pytest.mark.parametrize("read", [read_whole, read_error, read_content])
def test_every_response_of_the_corpus_is_the_same_over_a_connection_that_is_open(server, read):
    with no_waiting():
        for whole in CORPUS:
            if may_lead_on(Reply((whole,))):
                continue
            warm = outcome(server, Reply((whole,)), read, is_warm=True)
            assert (warm, whole) == (outcome(server, Reply((whole,)), read), whole)


@pytest.mark.parametrize("read", [read_blocks, read_events, read_whole][: None if ASKED else 1])
def test_a_response_that_comes_byte_by_byte_is_the_same(server, read):
    with no_waiting():
        for whole in ANSWERED_ONCE:
            pieces = tuple(whole[at : at + 1] for at in range(len(whole)))

            at_once = outcome(server, Reply((whole,)), read)
            slowly = outcome(server, Reply(pieces), read)

            assert (slowly, whole) == (at_once, whole)


def test_the_corpus_reads_the_same_in_pieces_and_on_a_persistent_connection():
    for whole in CORPUS:
        fuzz_http1.check(whole)


@pytest.mark.skipif(not ASKED, reason="takes a minute: HTTPKIT_FUZZ_CASES was not set")
@pytest.mark.timeout(600)
def test_a_response_that_is_cut_in_two_anywhere_is_the_same(server):
    with no_waiting():
        for whole in ANSWERED_ONCE:
            at_once = outcome(server, Reply((whole,)), read_blocks)
            for at in range(1, len(whole)):
                halves = Reply((whole[:at], whole[at:]))
                assert (outcome(server, halves, read_blocks), at) == (at_once, at)


@pytest.mark.parametrize("whole", [reply(body=b"abcdef"), chunked(b"abc", b"def", lines=(JSON,))])
def test_a_response_that_ends_early_is_never_a_value(server, whole):
    with no_waiting():
        for size in range(len(whole)):
            for read in (read_whole, read_blocks, download_into)[: None if ASKED else 2]:
                came = outcome(server, Reply((whole[:size],)), read)
                assert isinstance(came, type), f"{came!r} after {size} bytes"
                assert issubclass(came, requests.RequestException)
