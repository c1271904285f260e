"""The faults: what a server does, what a caller asks, and what must come of it.

A row is a name, the script of the first server, an act, and the contract: a value, or the class
of an error with words of its message. What holds for every row (typed, in time, nothing leaked,
nothing repeated, nothing left open) is checked by who plays it.

Acts take a client and the places, and speak to any client that works like requests.
"""

import gzip
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import requests
from requests import exceptions
from requests.auth import HTTPDigestAuth

import httpkit
from tests.support import fault_servers as say
from tests.support.fault_servers import (
    OTHER_URL,
    SERVER_URL,
    Reply,
    chunks,
    coded,
    dripping,
    endless,
    head,
    json,
    kept,
    moved,
    ok,
    reset,
    silence,
    text,
    then,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where an act may go.

    Attributes:
        server: The address of the server that the client's credentials belong to.
        other_server: The address of another.
        folder: An empty folder.
    """

    server: str
    other_server: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Gives:
    """The contract of a fault that must not matter: the value."""

    value: object


@dataclass(frozen=True, slots=True)
class Raises:
    """The contract of a fault that must be told: the class, and words of the message."""

    cls: type[Exception]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        name: What is wrong.
        server: The script of the first server.
        act: What the caller does.
        wanted: What must come of it.
        other_server: The script of the other server.
        options: Of the session.
        most: Requests that the first server may see at most.
        posts: POST and PATCH requests that it may see at most.
        hurries: Whether the limits are short, because the fault takes time.
        tls: Which certificate the first server has; None is plain HTTP.
        greeting: What it says before it is asked; then it closes.
        is_ours: Whether only httpkit has what is asked.
        is_plain: Whether the first server cannot speak TLS here, since the other server does not.
    """

    name: str
    server: Sequence[Reply]
    act: Callable[[Any, Places], object]
    wanted: Gives | Raises
    other_server: Sequence[Reply] = (ok(b"caught"),)
    options: Mapping[str, Any] = field(default_factory=dict)
    most: int = 3
    posts: int = 1
    hurries: bool = False
    tls: str | None = None
    greeting: Reply = b""
    is_ours: bool = False
    is_plain: bool = False

    @property
    def can_be_warm(self) -> bool:
        """Whether it can come over a connection that is open already."""
        is_reached = self.server != [b""] and self.greeting == b"" and self.act not in PROXIED
        return is_reached and self.tls in {None, "good"}

    @property
    def way(self) -> str:
        """Which way httpkit's first request goes over such a connection."""
        return "ordinary" if self.act in ROUNDABOUT else "short"


def fault(name: str, server: Any, act: Any, wanted: Any, **more: Any) -> Fault:
    """Spell a row: one response stands for a script, and a bare value or class for a contract."""
    if isinstance(wanted, type):
        wanted = Raises(wanted)
    elif not isinstance(wanted, (Gives, Raises)):
        wanted = Gives(wanted)
    if "other_server" in more:
        more["other_server"] = [more["other_server"]]
    if act in OURS:
        more["is_ours"] = True
    script = server if isinstance(server, list) else [server]
    return Fault(name, script, act, wanted, **more)


# What callers do

PASSWORD = "canary-4-password"  # apart: a traceback shows the lines that it goes through


def whole(reply: Any) -> bytes:
    reply.raise_for_status()
    return reply.content


def read(api, at):
    return whole(api.get(f"{at.server}/x"))


def stream(api, at):
    with api.get(f"{at.server}/x", stream=True) as reply:
        return b"".join(reply.iter_content(1000))


def twice(api, at):
    return [whole(api.get(f"{at.server}/{name}")) for name in "xy"]


def twice_with_a_pause(api, at):
    first = read(api, at)
    time.sleep(0.05)
    return [first, read(api, at)]


def head_and_read(api, at):
    api.head(f"{at.server}/x")
    return read(api, at)


def post(api, at):
    return whole(api.post(f"{at.server}/x", data=b"order"))


def post_with_a_key(api, at):
    return api.post("x", data=b"order", idempotency_key=True).content


def put(api, at):
    return whole(api.put(f"{at.server}/x", data=b"order"))


def put_pieces(api, at):
    return whole(api.put(f"{at.server}/x", data=iter([b"or", b"der"])))


def put_much(api, at):
    return whole(api.put(f"{at.server}/x", data=b"m" * (64 << 20)))


def delete(api, at):
    return whole(api.delete(f"{at.server}/x"))


def read_json(api, at):
    return api.get(f"{at.server}/x").json()


def read_text(api, at):
    return api.get(f"{at.server}/x").text


def decode(api, at):
    return api.get("x").decode(dict)


def read_lines(api, at):
    with api.get("x", stream=True) as reply:
        return list(reply.lines())


def read_json_lines(api, at):
    with api.get("x", stream=True) as reply:
        return list(reply.json_lines())


def read_events(api, at):
    with api.get("x", stream=True) as reply:
        return [event.data for event in reply.events()]


def read_on_after_leaving(api, at):
    with api.get(f"{at.server}/x", stream=True) as reply:
        parts = reply.iter_content(10)
        first = next(parts)
    return first + b"".join(parts)


def read_status(api, at):
    return api.get("x", raise_for_status=False).status_code


def save(api, at):
    """Download under the name that the caller gives."""
    path = at.folder / "file"
    if hasattr(api, "download"):
        api.download(f"{at.server}/x", path, max_stalls=1)
    else:
        with api.get(f"{at.server}/x", stream=True) as reply:
            reply.raise_for_status()
            with path.open("wb") as file:
                file.writelines(reply.iter_content(1 << 16))
    return path.read_bytes()


def save_as_named(api, at):
    """Download under the name that the server gives."""
    saved = api.download("x", at.folder).path
    assert saved.parent == at.folder
    return saved.name


def save_checked(api, at):
    return api.download("x", at.folder / "file", checksum="sha256:" + "0" * 64).size


def save_small(api, at):
    return api.download("x", at.folder / "file", max_size=1000).size


def page(api, at):
    return list(islice(api.paginate("x"), 50))


def page_by_cursor(api, at):
    pages = httpkit.CursorPages(cursor="next", param="cursor")
    return list(islice(api.paginate("x", pages, items_at="items"), 50))


def page_by_url(api, at):
    return list(islice(api.paginate("x", httpkit.NextURLPages("next"), items_at="items"), 50))


def page_by_number(api, at):
    return list(islice(api.paginate("x", httpkit.NumberedPages()), 5000))


def digest(api, at):
    return whole(api.get(f"{at.server}/x", auth=HTTPDigestAuth("user", PASSWORD)))


def client_credentials(api, at):
    auth = httpkit.ClientCredentialsAuth(f"{at.server}/token", "me", PASSWORD)
    return api.get(f"{at.server}/x", auth=auth).content


def through_the_proxy(api, at):
    return whole(api.get(f"{at.other_server}/x", proxies={"http": at.server}))


def tunnelled(api, at):
    location = at.other_server.replace("http:", "https:")
    return whole(api.get(f"{location}/x", proxies={"https": at.server}))


def through_a_proxy_with_a_password(api, at):
    proxy = at.server.replace("//", f"//user:{PASSWORD}@")
    return whole(api.get(f"{at.other_server}/x", proxies={"http": proxy}))


def go(location: str) -> Callable[[Any, Places], bytes]:
    def act(api: Any, at: Places) -> bytes:
        return whole(api.get(location.format(server=at.server, other_server=at.other_server)))

    act.__name__ = f"go to {location}"
    return act


def go_nowhere(api, at):
    return whole(api.get("http://127.0.0.1:1/x"))


def post_nowhere(api, at):
    return whole(api.post("http://127.0.0.1:1/x", data=b"order"))


OURS = frozenset(
    {
        post_with_a_key, decode, read_lines, read_json_lines, read_events, read_status,
        save_as_named, save_checked, save_small, page, page_by_cursor, page_by_url,
        page_by_number, client_credentials,
    }
)  # fmt: skip

PROXIED = frozenset({through_the_proxy, tunnelled, through_a_proxy_with_a_password})
# Pieces have no length, much is sent in blocks, and Digest has a hook.
ROUNDABOUT = frozenset({put_pieces, put_much, digest})

# Contracts that many rows share

Broken = requests.ConnectionError
Cut = exceptions.ChunkedEncodingError
Coding = exceptions.ContentDecodingError
Late = httpkit.DeadlineExceededError
Stalled = requests.ReadTimeout
NotJSON = httpkit.DecodeError
Loop = httpkit.RedirectError
Bad = requests.exceptions.InvalidURL
TLS = exceptions.SSLError

HURRY = {"hurries": True}
ONCE = {"retry": None}


def says(message: str, cls: type[Exception] = Broken) -> Raises:
    return Raises(cls, message)


GZIPPED = gzip.compress(b"hello " * 1000)
DEFLATED = zlib.compress(b"hello " * 1000)
PLAIN = b"hello " * 1000


def without_wrapper(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CONNECTION = [
    fault("nobody listens", b"", go_nowhere, Broken),
    fault("nobody listens to a POST", b"", post_nowhere, Broken),
    fault("no port can be 70000", b"", go("http://127.0.0.1:70000/x"), Bad),
    fault("a label of the host is too long", b"", go("http://" + "a" * 70 + ".x/"),
          says("label", requests.RequestException)),
    fault("a host without a name", b"", go("http:///x"), Bad),
    fault("closes at once", b"", read, says("aborted"), greeting=None, most=0),
    fault("closes at once on a POST", b"", post, says("aborted"), greeting=None, most=0),
    fault("resets at once", b"", read, Broken, greeting=reset, most=0),
    fault("closes without an answer", None, read, says("closed")),
    fault("closes without an answer to a POST", None, post, says("closed"), most=1),
    fault("closes once", [None, ok()], read, b"hello"),
    fault("resets without an answer", reset, read, Broken),
    fault("resets after a POST was committed", reset, post, Broken, most=1),
    fault("resets after a PUT once", [reset, ok()], put, b"hello"),
    fault("resets a PUT that can be read only once", reset, put_pieces, Broken, most=1),
    fault("resets within the head", then(b"HTTP/1.1 200 OK\r\nCont", reset), read, Broken),
    fault("resets within the body", then(head("Content-Length: 9") + b"hel", reset), read, Cut),
    fault("resets a POST within the answer", then(head("Content-Length: 9"), reset), post, Cut),
    fault("speaks SSH", b"", read, Broken, greeting=b"SSH-2.0-OpenSSH_9.9\r\n", most=0),
    fault("speaks SMTP", b"", read, Broken, greeting=b"220 mail ESMTP\r\n", most=0),
    fault("speaks TLS", b"", read, Broken, greeting=b"\x15\x03\x01\x00\x02\x02\x46", most=0),
    fault("speaks HTTP/2", b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",
          read, Broken),
    fault("speaks HTTP/0.9", b"<html>hello</html>", read, Broken),
    fault("sends zeros", bytes(1000), read, Broken),
    fault("sends line ends", b"\r\n" * 1000, read, Broken),
    fault("closes after 100", head(status="100 Continue"), read, Broken),
]  # fmt: skip

SLOW_CHAIN = [
    then(b"", lambda c, n=n: (say.until_left(c, 0.15), c.sendall(moved(f"/{n}"))))
    for n in range(40)
]
TIMING = [
    fault("never answers", silence, read, requests.Timeout, **HURRY),
    fault("never answers a POST", silence, post, requests.Timeout, most=1, **HURRY),
    fault("drips a status line", dripping(b"HTTP/1.1 200 "), read, requests.Timeout, **HURRY),
    fault("drips a field", dripping(head()[:-2] + b"X: "), read, requests.Timeout, **HURRY),
    fault("drips fields", dripping(head()[:-2], b"X: y\r\n"), read, requests.Timeout, **HURRY),
    fault("drips a field, once", dripping(head()[:-2] + b"X: "), read, Stalled, options=ONCE,
          most=1, **HURRY),
    fault("drips a status line, once", dripping(b"HTTP/1.1 200 "), post, Stalled, most=1, **HURRY),
    fault("stops within the head", then(b"HTTP/1.1 200", silence), read, requests.Timeout,
          **HURRY),
    fault("stops within the body", then(head("Content-Length: 9") + b"hel", silence), read,
          requests.Timeout, **HURRY),
    fault("stops within a stream", then(head("Content-Length: 9") + b"hel", silence), stream,
          Stalled, **HURRY),
    fault("stops within a POST's answer", then(head("Content-Length: 9"), silence), post,
          requests.Timeout, most=1, **HURRY),
    fault("stops within chunks", then(chunks(b"5\r\nhello\r\n"), silence), read,
          requests.Timeout, **HURRY),
    fault("drips a body", dripping(head("Content-Length: 999")), read, Late, **HURRY),
    fault("drips a body without end", dripping(head()), read, Late, **HURRY),
    fault("drips chunks", dripping(chunks(b""), b"1\r\nx\r\n"), read, Late, **HURRY),
    fault("drips a chunk's size", dripping(chunks(b""), b"0"), read, requests.Timeout, **HURRY),
    fault("drips an extension", dripping(chunks(b"5;")), stream, Stalled, **HURRY),
    fault("drips a trailer", dripping(chunks(b"0\r\nX: ")), stream, Stalled, **HURRY),
    fault("drips an error's body", dripping(head(status="404 Not Found")), read, Late, **HURRY),
    fault("drips a redirect's body", [dripping(head("Location: /y", status="302 Found")), ok()],
          read, requests.Timeout, **HURRY),
    fault("drips 100s", dripping(b"", head(status="100 Continue")), read, requests.RequestException,
          **HURRY),
    fault("drips gzip", dripping(head("Content-Encoding: gzip") + GZIPPED[:10], b"\0"), read,
          requests.RequestException, **HURRY),
    fault("redirects slowly", SLOW_CHAIN, read, Late, most=10, **HURRY),
    fault("takes nothing of a large body", [silence], put_much, requests.Timeout,
          greeting=lambda c: say.time.sleep(0.7), most=0, **HURRY),
    fault("asks to wait beyond the deadline",
          ok(b"", "Retry-After: 60", status="503 Service Unavailable"), read,
          httpkit.ServiceUnavailableError, most=1, **HURRY),
]  # fmt: skip

HEADERS = [
    fault("a folded field", head("X: a", " b", "Content-Length: 2") + b"hi", read, b"hi"),
    fault("a fold before any field", head(" b", "Content-Length: 2") + b"hi", read, says("folded")),
    fault("a folded length", head("Content-Length: 1", " 1") + b"hello world", read, Broken),
    fault("300 folds", head("X: a", *[" b"] * 300) + b"hi", read, says("larger")),
    fault("a space before the colon", head("Content-Length : 5") + b"hello", read, Broken),
    fault("a field without a colon", head("nocolon") + b"hi", read, Broken),
    fault("a field without a name", head(": a") + b"hi", read, Broken),
    fault("a name with a space", head("X Y: a") + b"hi", read, Broken),
    fault("a name of bytes", head("X\xff: a") + b"hi", read, Broken),
    fault("a NUL in a value", head("X: a\0b") + b"hi", read, Broken),
    fault("a bare CR in a value", head("X: a\rSet-Cookie: a=b") + b"hi", read, Broken),
    fault("300 fields", head(*["X: y"] * 300) + b"hi", read, says("larger")),
    fault("a field of 70 KB", head("X: " + "y" * 70_000) + b"hi", read, says("longer")),
    fault("a status line of 70 KB", b"HTTP/1.1 200 " + b"y" * 70_000, read, says("longer")),
    fault("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\nhi", read, Broken),
    fault("a status of four digits", b"HTTP/1.1 2000 OK\r\n\r\nhi", read, Broken),
    fault("a status of letters", b"HTTP/1.1 abc OK\r\n\r\nhi", read, Broken),
    fault("a status of Arabic digits", "HTTP/1.1 ٢٠٠ OK\r\n\r\nhi".encode(), read, Broken),
    fault("a status of 000", b"HTTP/1.1 000 OK\r\n\r\nhi", read, Broken),
    fault("a status of 999", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", read,
          httpkit.ServerError),
    fault("a version of 2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", read, Broken),
    fault("a version of 9.9", b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nhi", read, Broken),
    fault("ends within the head", b"HTTP/1.1 200 OK\r\nContent-Ty", read, says("closed")),
    fault("ends between fields", b"HTTP/1.1 200 OK\r\nX: y\r\n", read, says("closed")),
    fault("101 as the answer", head("Upgrade: x", status="101 Switching"), read, says("101")),
    fault("103 and then the end", head(status="103 Early Hints"), read, Broken),
    fault("30 interim answers", head(status="102 Processing") * 30 + ok(), read, says("interim")),
    fault("3 interim answers", head("Link: </>", status="103 Early Hints") * 3 + ok(), read,
          b"hello"),
    fault("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", read, b"hi"),
    fault("HTTP/1.0 without a length", b"HTTP/1.0 200 OK\r\n\r\nhi", read, b"hi"),
    fault("LF alone", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", read, b"hi"),
    fault("names in lower case", b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nhi", read, b"hi"),
    fault("a value of bytes", ok(b"hi", "X: \xff\xfe"), read, b"hi"),
    fault("a cookie that is none", ok(b"hi", "Set-Cookie: ;;==\xff; expires=never"), read, b"hi"),
    fault("a cookie of another host", [ok(b"hi", "Set-Cookie: a=b; Domain=example.com"), ok()],
          twice, [b"hi", b"hello"]),
    fault("a date that is none", ok(b"hi", "Date: tomorrow", "Expires: -1"), read, b"hi"),
    fault("a reason with markup", ok(b"", status="404 <b>\x1b[31mred"), read,
          httpkit.NotFoundError),
]  # fmt: skip

FRAMING = [
    fault("two lengths", head("Content-Length: 2", "Content-Length: 5") + b"hello", read, Broken),
    fault("two lengths in one field", head("Content-Length: 2, 5") + b"hello", read, Broken),
    fault("the same length twice", head("Content-Length: 5", "Content-Length: 5") + b"hello", read,
          b"hello"),
    fault("a negative length", head("Content-Length: -1") + b"hello", read, Broken),
    fault("a length with a plus", head("Content-Length: +5") + b"hello", read, Broken),
    fault("a length in words", head("Content-Length: five") + b"hello", read, Broken),
    fault("a length of 0x5", head("Content-Length: 0x5") + b"hello", read, Broken),
    fault("a length of 5.0", head("Content-Length: 5.0") + b"hello", read, Broken),
    fault("an empty length", head("Content-Length: ") + b"hello", read, Broken),
    fault("a length of 5000 digits", head("Content-Length: " + "9" * 5000) + b"hi", read, Broken),
    fault("a length that is an exabyte", head("Content-Length: " + "9" * 18) + b"hi", read, Cut),
    fault("a length and chunks", head("Content-Length: 5", "Transfer-Encoding: chunked")
          + b"5\r\nhello\r\n0\r\n\r\n", read, Broken),
    fault("a body that is cut", head("Content-Length: 9") + b"hello", read, Cut),
    fault("a body that is cut, of a POST", head("Content-Length: 9") + b"hello", post, Cut,
          most=1),
    fault("a stream that is cut", head("Content-Length: 9") + b"hello", stream, Cut),
    fault("a body that is cut once", [head("Content-Length: 9") + b"hello", ok()], read, b"hello"),
    fault("a body that never begins", head("Content-Length: 9"), read, Cut),
    fault("a coding of gzip", head("Transfer-Encoding: gzip") + GZIPPED, read, Broken),
    fault("chunks of gzip", head("Transfer-Encoding: gzip, chunked") + b"5\r\nhello\r\n0\r\n\r\n",
          read, Broken),
    fault("chunks of chunks", head("Transfer-Encoding: chunked, chunked"), read, Broken),
    fault("a coding nobody knows", head("Transfer-Encoding: xchunked") + b"hello", read, Broken),
    fault("a 204 with a body", [kept(b"hello", status="204 No Content"), ok()], twice,
          [b"", b"hello"]),
    fault("a 200 without a length", head("Connection: close") + b"hello", read, b"hello"),
]  # fmt: skip

CHUNKED = [
    fault(f"{name}, {how}", chunks(body), act, Cut)
    for name, body in {
        "a size below zero": b"-5\r\nhello\r\n0\r\n\r\n",
        "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
        "a size with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
        "a size in words": b"five\r\nhello\r\n0\r\n\r\n",
        "no size": b"\r\nhello\r\n0\r\n\r\n",
        "a size of a yottabyte": b"f" * 20 + b"\r\nhello\r\n0\r\n\r\n",
        "a size too small": b"2\r\nhello\r\n0\r\n\r\n",
        "a size too large": b"9\r\nhello\r\n0\r\n\r\n",
        "LF for CR LF": b"5\nhello\n0\n\n",
        "a NUL after a size": b"5\0\r\nhello\r\n0\r\n\r\n",
        "a long extension": b"5;" + b"x" * 9000 + b"\r\nhello\r\n0\r\n\r\n",
        "more extensions than data": (b"1;" + b"x" * 2000 + b"\r\nh\r\n") * 20 + b"0\r\n\r\n",
        "no last chunk": b"5\r\nhello\r\n",
        "no empty line at the end": b"5\r\nhello\r\n0\r\n",
        "a cut within a chunk": b"5\r\nhel",
        "a cut within a size": b"5\r\nhello\r\n5",
        "a trailer that is none": b"5\r\nhello\r\n0\r\nnocolon\r\n\r\n",
        "300 trailers": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    }.items()
    for how, act in (("read", read), ("streamed", stream))
]
CHUNKED += [
    fault("extensions", chunks(b'5;a="b"\r\nhello\r\n0;c\r\n\r\n'), read, b"hello"),
    fault("trailers", chunks(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), read, b"hello"),
    fault("chunks of one byte", chunks(b"1\r\nh\r\n" * 3000 + b"0\r\n\r\n"), read, b"h" * 3000),
    fault("no chunk but the last", chunks(b"0\r\n\r\n"), read, b""),
]

CODINGS = [
    fault("gzip that is cut", coded(GZIPPED[:-12]), read, Coding),
    fault("gzip without its sum", coded(GZIPPED[:-8]), read, Coding),
    fault("gzip that is cut, streamed", coded(GZIPPED[:-12]), stream, Coding),
    fault("gzip with a wrong sum", coded(GZIPPED[:-8] + bytes(8)), read, Coding),
    fault("gzip with a wrong byte", coded(GZIPPED[:12] + b"\xff" + GZIPPED[13:]), read, Coding),
    fault("gzip that is text", coded(b"hello"), read, Coding),
    fault("gzip and something else", coded(GZIPPED + b"hello"), read, Coding),
    fault("gzip and a second member", coded(GZIPPED + gzip.compress(b"you")), read, PLAIN + b"you"),
    fault("gzip and half a member", coded(GZIPPED + gzip.compress(b"you")[:-9]), read, Coding),
    fault("gzip of nothing", coded(b""), read, b""),
    fault(
        "gzip in an error",
        coded(b"hello", "gzip").replace(b"200 OK", b"404 No"),
        read,
        httpkit.NotFoundError,
    ),
    fault("x-gzip", coded(GZIPPED, "x-gzip"), read, PLAIN),
    fault("gzip twice", coded(gzip.compress(GZIPPED), "gzip, gzip"), read, PLAIN),
    fault("gzip twice, cut within", coded(gzip.compress(GZIPPED[:-9]), "gzip, gzip"), read, Coding),
    fault("fifty codings", coded(GZIPPED, ", ".join(["gzip"] * 50)), read, Coding),
    fault("deflate that is cut", coded(DEFLATED[:-9], "deflate"), read, Coding),
    fault("deflate without its sum", coded(DEFLATED[:-4], "deflate"), read, Coding),
    fault("deflate that is text", coded(b"hello", "deflate"), read, Coding),
    fault("deflate without a wrapper", coded(without_wrapper(PLAIN), "deflate"), read, PLAIN),
    fault("deflate", coded(DEFLATED, "deflate"), read, PLAIN),
    fault("a coding nobody knows", coded(b"hello", "zebra"), read, b"hello"),
    fault("a coding of identity", coded(b"hello", "identity"), read, b"hello"),
    fault("gzip by a 204", head("Content-Encoding: gzip", status="204 No Content"), read, b""),
    fault("gzip that is a POST's", coded(GZIPPED[:-12]), post, Coding, most=1),
]

DEEP = b"[" * 200_000
JSON = [
    fault("no body", json(b""), read_json, NotJSON),
    fault("no body by a 204", head(status="204 No Content"), read_json, says("empty", NotJSON)),
    fault("a page of HTML", text(b"<html>", "text/html"), read_json, says("text/html", NotJSON)),
    fault("a document that is cut", json(b'{"a": [1, 2'), read_json, NotJSON),
    fault("two documents", json(b'{"a": 1}{"b": 2}'), read_json, NotJSON),
    fault("single quotes", json(b"{'a': 1}"), read_json, NotJSON),
    fault("a nest without end", json(DEEP), read_json, NotJSON),
    fault("a number of 10,000 digits", json(b"9" * 10_000), read_json, NotJSON),
    fault("bytes that are no text", json(b'{"a": "\xff\xfe\xfd"}'), decode, NotJSON),
    fault("bytes of no text at all", json(bytes(range(256))), read_json, NotJSON),
    fault("NaN", json(b'{"a": NaN}'), decode, NotJSON),
    fault("a number too large", json(b'{"a": 1e999}'), decode, NotJSON),
    fault("a nest without end, decoded", json(DEEP), decode, NotJSON),
    fault("a lone surrogate", json(b'{"a": "\\ud800"}'), decode, NotJSON),
    fault("a BOM", json(b'\xef\xbb\xbf{"a": 1}'), decode, {"a": 1}),
    fault("a BOM, as requests takes it", json(b'\xef\xbb\xbf{"a": 1}'), read_json, NotJSON),
    fault("UTF-16", json('{"a": 1}'.encode("utf-16")), read_json, NotJSON),
    fault("UTF-16 that is cut", json('{"a": 1}'.encode("utf-16")[:-1]), read_json, NotJSON),
    fault("a charset that is none", text(b'{"a": 1}', "application/json; charset=none"), read_json,
          {"a": 1}),
    fault("a list for an object", json(b"[1]"), decode, says("dict", NotJSON)),
    fault("a wrong line of many", ok(b'{"a": 1}\n{"a"\n'), read_json_lines,
          says("line 2", NotJSON)),
    fault("lines that are cut", head("Content-Length: 99") + b'{"a": 1}\n{"a"', read_json_lines,
          Cut),
    fault("null in an error", json(b"null").replace(b"200 OK", b"400 No"), read,
          httpkit.BadRequestError),
    fault("a nest in an error", json(DEEP).replace(b"200 OK", b"400 No"), read,
          httpkit.BadRequestError),
    fault("no words in a problem", text(b'{"title": 7, "detail": [[]]}', "application/problem+json")
          .replace(b"200 OK", b"409 No"), read, httpkit.ConflictError),
]  # fmt: skip

TEXT = [
    fault(f"a charset of {charset}", text(b"hello", f"text/plain; charset={charset}"), read_text,
          "hello")
    for charset in ("none", "hex", "rot13", "base64", "zip", "undefined", "idna",
                    "'utf-8'", '"', "a\tb", "../../etc", "utf-8;charset=hex", "unicode_escape")
] + [
    fault("an escape of Python's", text(b"a\\", "text/plain; charset=unicode_escape"),
          read_lines, ["a\\"]),
    fault("bytes that are not UTF-8", text(b"h\xffi", "text/plain; charset=utf-8"), read_text,
          "h\ufffdi"),
    fault("UTF-16 that is cut", text(b"h\0i", "text/plain; charset=utf-16-le"), read_text,
          "h\ufffd"),
    fault("events that are no text", text(b"data: \xff\n\n", "text/event-stream"), read_events,
          ["\ufffd"]),
    fault("an event that is cut", text(b"data: a\n\ndata: b\n", "text/event-stream"), read_events,
          ["a", "b"]),
    fault("events of another charset",
          text(b"data: \xc3\xa9\n\n", "text/event-stream; charset=hex"), read_events, ["é"]),
    fault("lines of no charset", text(b"a\nb", "text/plain; charset=hex"), read_lines, ["a", "b"]),
    fault("reading on after leaving", ok(PLAIN), read_on_after_leaving, requests.RequestException),
]  # fmt: skip


def crossing(status: str, location: str = f"{OTHER_URL}/x") -> bytes:
    return moved(location, status)


PERMANENT = "301 Moved Permanently"
REDIRECTS = [
    fault("to itself", moved("/x"), read, Loop, most=1),
    fault("to and fro", [moved("/y"), moved("/x")], read, Loop),
    fault("on and on", [moved(f"/{n}") for n in range(40)], read, requests.TooManyRedirects,
          most=31),
    fault("to another origin", moved(f"{OTHER_URL}/x"), read, b"caught"),
    fault("to another origin, for good", crossing("308 Permanent Redirect"), read, b"caught"),
    fault("to another origin and back", [moved(f"{OTHER_URL}/x"), ok()], read, b"hello",
          other_server=moved(f"{SERVER_URL}/y")),
    fault("to another origin by //", moved("//" + OTHER_URL.partition("//")[2] + "/x"), read,
          b"caught", is_plain=True),
    fault("to another origin with a password", moved(OTHER_URL.replace("//", "//a:b@")), read, Loop,
          most=1),
    fault("to another origin by a backslash", moved("\\\\" + OTHER_URL.partition("//")[2]), read,
          requests.RequestException),
    fault("to another origin that asks who it is", moved(f"{OTHER_URL}/x"), read,
          httpkit.UnauthorizedError,
          other_server=ok(b"", 'WWW-Authenticate: Basic realm="x"', status="401 No")),
    fault("to another origin that asks for a digest", moved(f"{OTHER_URL}/x"), digest,
          httpkit.UnauthorizedError, other_server=ok(b"", 'WWW-Authenticate: Digest realm="x",'
          ' nonce="1", qop="auth"', status="401 No")),
    fault("a body to another origin", crossing("307 Temporary Redirect"), post, Loop, most=1),
    fault("a body to another origin, for good", crossing("308 Permanent Redirect"), put, Loop),
    fault("a POST to another origin by 303", crossing("303 See Other"), post, b"caught", most=1),
    fault("a body that can be read only once", [moved("/y", "307 Temporary Redirect"), ok()],
          put_pieces, Loop, most=1),
    fault("a PUT by 301", [moved("/y", PERMANENT), ok()], put, b"hello"),
    fault("a DELETE by 302", [moved("/y"), ok()], delete, b"hello"),
    fault("to a file", moved("file:///etc/passwd"), read, Loop, most=1),
    fault("to data", moved("data:text/plain,hello"), read, Loop, most=1),
    fault("to a script", moved("javascript:alert(1)"), read, Loop, most=1),
    fault("to FTP", moved("ftp://127.0.0.1/"), read, Loop, most=1),
    fault("to no port", moved("http://127.0.0.1:port/"), read, Loop, most=1),
    fault("to port 70000", moved("http://127.0.0.1:70000/"), read, Loop, most=1),
    fault("to half an address", moved("http://[::1/"), read, Loop, most=1),
    fault("to no host", moved("http:///x"), read, Loop, most=1),
    fault("to a host too long", moved("http://" + "a" * 300 + "/"), read, requests.RequestException,
          most=1),
    fault("to nothing", moved(""), read, b""),
    fault("to bytes", [moved("/\xff\xfe"), ok()], read, b"hello"),
    fault("to a space", [moved("/a b"), ok()], read, b"hello"),
    fault("without a place", ok(b"hello", status="302 Found"), read, b"hello"),
    fault("among many", ok(b"hello", status="300 Multiple Choices"), read, b"hello"),
    fault("to a cut answer", [moved("/y"), head("Content-Length: 9") + b"hi"], post, Cut, most=4),
    fault("to a 503 after a POST", [moved("/y", "303 See Other"), ok(b"", status="503 Busy")],
          post, httpkit.ServiceUnavailableError, most=4),
    fault("with a body that is gzip and is cut", [moved("/y").replace(b"Content-Length: 0",
          b"Content-Encoding: gzip\r\nContent-Length: 5") + b"\x1f\x8b\0\0\0", ok()], read,
          b"hello"),
]  # fmt: skip

DIGEST = 'WWW-Authenticate: Digest realm="x", nonce="1", qop="auth"'
TOKEN = b'{"access_token": "fresh-token-1", "token_type": "bearer", "expires_in": 60}'
AUTH = [
    fault("401 again and again", ok(b"", status="401 No"), read, httpkit.UnauthorizedError, most=1),
    fault("a digest that is refused", ok(b"", DIGEST, status="401 No"), digest,
          httpkit.UnauthorizedError, most=2),
    fault("a digest without a nonce", ok(b"", "WWW-Authenticate: Digest realm", status="401 No"),
          digest, says("Digest challenge", exceptions.InvalidHeader), most=1),
    fault("a digest of no algorithm", ok(b"", DIGEST + ", algorithm=NONE", status="401 No"),
          digest, httpkit.UnauthorizedError, most=2),
    fault("a challenge of bytes", ok(b"", "WWW-Authenticate: \xff\xfe", status="401 No"), digest,
          httpkit.UnauthorizedError, most=2),
    fault("an error that repeats the token", ok(b"bad token: Bearer canary-1-token",
          status="403 No"), read, httpkit.ForbiddenError),
    fault("a token that is HTML", text(b"<html>", "text/html"), client_credentials,
          httpkit.TokenError),
    fault("a token that is not there", json(b'{"token_type": "bearer"}'), client_credentials,
          httpkit.TokenError),
    fault("a token of another type", json(TOKEN.replace(b"bearer", b"mac")), client_credentials,
          httpkit.TokenError),
    fault("a token with a line end", json(TOKEN.replace(b"fresh", b"a\\nb")), client_credentials,
          requests.RequestException),
    fault("a token that is a number", json(TOKEN.replace(b'"fresh-token-1"', b"7")),
          client_credentials, httpkit.TokenError),
    fault("a token refused in words", ok(b'{"error": "invalid_client"}', status="401 No"),
          client_credentials, says("invalid_client", httpkit.TokenError)),
    fault("a token that is a nest", json(DEEP), client_credentials, httpkit.TokenError),
    fault("a token server that sends on", moved(f"{OTHER_URL}/token", "307 Temporary Redirect"),
          client_credentials, requests.RequestException),
    fault("a token that is rejected at once", [json(TOKEN), ok(b"", status="401 No"), json(TOKEN),
          ok(b"", status="401 No")], client_credentials, httpkit.UnauthorizedError, most=4,
          posts=2),
    fault("a token that expires at once", [json(TOKEN.replace(b"60", b"-9")), ok()],
          client_credentials, b"hello"),
]  # fmt: skip


def asking(after: str, status: str = "429 Too Many Requests") -> list[bytes]:
    return [ok(b"", f"Retry-After: {after}", status=status), ok()]


BUSY = "503 Service Unavailable"
RETRY = [
    *(
        fault(f"Retry-After of {after[:12]!r}", asking(after), read, b"hello")
        for after in ("0.5", "-5", "0", "soon", "1, 2", "1e0", "", "Fri, 31 Feb 2025 99:99:99 GMT",
                      "Sun, 06 Nov 1994 08:49:37 GMT", "\xff", "1" + "\t", "NaN", "-inf")
    ),
    *(
        fault(f"Retry-After of {after[:12]!r}, too long", asking(after), read,
              httpkit.TooManyRequestsError, most=1)
        for after in ("3600", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT")
    ),
    fault("500 again and again", ok(b"", status="500 No"), read, httpkit.InternalServerError),
    fault("502 to a POST", ok(b"", status="502 No"), post, httpkit.BadGatewayError, most=1),
    fault("503 to a POST", ok(b"", status=BUSY), post, httpkit.ServiceUnavailableError, most=1),
    fault("503 to a POST, with a time", asking("0", BUSY), post, b"hello", posts=2),
    fault("429 to a POST", asking("0"), post, b"hello", posts=2),
    fault("408 to a GET", [ok(b"", status="408 No"), ok()], read, b"hello"),
    fault("501 to a GET", ok(b"", status="501 No"), read, httpkit.ServerError, most=1),
    fault("504 to a POST with a key", [ok(b"", status="504 No"), ok()], post_with_a_key, b"hello",
          posts=2),
    fault("500 to a PUT that can be read only once", ok(b"", status="500 No"), put_pieces,
          httpkit.InternalServerError, most=1),
    fault("a cut after a 503", [ok(b"", status=BUSY), None, ok()], read, b"hello"),
    fault("503 with a body that is cut", [head("Content-Length: 9", status=BUSY) + b"x", ok()],
          read, b"hello"),
    fault("503 with a body that is no gzip", [coded(b"x").replace(b"200 OK", BUSY.encode()), ok()],
          read, b"hello"),
    fault("a malformed answer to a POST", b"HTTP/1.1 two\r\n\r\n", post, Broken, most=1),
]  # fmt: skip

UNENDING = head("Content-Type: text/plain", "Connection: close") + b"hello"
CERTIFICATE = says("certificate verify failed", TLS)
SECURE = [
    fault("a certificate of another host", ok(), read, CERTIFICATE, tls="of another host", most=0),
    fault("a certificate that has expired", ok(), read, CERTIFICATE, tls="expired", most=0),
    fault("a certificate of nobody", ok(), read, CERTIFICATE, tls="of nobody", most=0),
    fault("a certificate of nobody, for a POST", ok(), post, CERTIFICATE, tls="of nobody", most=0),
    fault("plain HTTP on the port of TLS", ok(), read, TLS, greeting=ok(status="400 Bad Request"),
          tls="good", most=0),
    fault("closes within the handshake", ok(), read, requests.ConnectionError, greeting=None,
          tls="good", most=0),
    fault("resets within the handshake", ok(), read, requests.ConnectionError,
          greeting=say.reset_when_spoken_to, tls="good", most=0),
    fault("noise for a handshake", ok(), read, requests.ConnectionError, greeting=bytes(500),
          tls="good", most=0),
    fault("silence for a handshake", ok(), read, requests.Timeout, greeting=silence, tls="good",
          most=0, **HURRY),
    fault("a cut without goodbye, no length", then(UNENDING, say.cut), read, Cut, tls="good"),
    fault("a cut without goodbye, streamed", then(UNENDING, say.cut), stream, Cut, tls="good"),
    fault("a cut without goodbye, with a length", then(kept(), say.cut), read, b"hello",
          tls="good"),
    fault("a cut within the body", then(head("Content-Length: 9") + b"hi", say.cut), read, Cut,
          tls="good"),
    fault("a cut within the head", then(b"HTTP/1.1 200 OK\r\nX", say.cut), read, Broken,
          tls="good"),
    fault("a goodbye and no length", UNENDING, read, b"hello", tls="good"),
    fault("down from https to http", moved(f"{OTHER_URL}/x"), read, b"caught", tls="good"),
    fault("a body down from https to http", crossing("307 Temporary Redirect"), post, Loop,
          tls="good", most=1),
]  # fmt: skip
PROXY = [
    fault("a tunnel is refused", ok(b"", status="407 Proxy Authentication Required"), tunnelled,
          exceptions.ProxyError),
    fault("a tunnel has no other end", ok(b"", status="502 Bad Gateway"), tunnelled,
          exceptions.ProxyError),
    fault("a tunnel is closed", None, tunnelled, requests.ConnectionError),
    fault("a tunnel is reset", reset, tunnelled, requests.ConnectionError),
    fault("a tunnel to noise", b"\0" * 100, tunnelled, requests.ConnectionError),
    fault("a tunnel breaks off", say.tunnel, tunnelled, requests.ConnectionError),
    fault("a tunnel with a redirect", moved(f"{OTHER_URL}/x"), tunnelled, exceptions.ProxyError),
    fault("a tunnel that drips", dripping(b"HTTP/1.1 200 "), tunnelled, requests.Timeout, **HURRY),
    fault("a tunnel with 300 fields", head(*["X: y"] * 300), tunnelled, requests.ConnectionError),
    fault("a proxy that is silent", silence, through_the_proxy, requests.Timeout, **HURRY),
    fault("a proxy that asks who it is", ok(b"", status="407 No"), through_the_proxy,
          httpkit.ClientError),
    fault("a proxy that cuts", head("Content-Length: 9") + b"hi", through_the_proxy, Cut),
    fault("a proxy with a password that closes", None, through_a_proxy_with_a_password,
          requests.ConnectionError),
    fault("a proxy that answers", ok(), through_the_proxy, b"hello"),
]  # fmt: skip

LARGE = bytes(range(256)) * 400
TAGGED = ('ETag: "1"', "Accept-Ranges: bytes")


def cut_file(*fields: str) -> bytes:
    return head(f"Content-Length: {len(LARGE)}", *fields) + LARGE[:60_000]


def part(first: int, total: object = len(LARGE), *fields: str, body: bytes | None = None) -> bytes:
    rest = LARGE[first:] if body is None else body
    span = f"Content-Range: bytes {first}-{len(LARGE) - 1}/{total}"
    return ok(rest, span, *fields, status="206 Partial Content")


def ranged(connection: Any) -> None:
    """Reply with the whole file; what went before was cut."""
    connection.sendall(ok(LARGE, *TAGGED))


DOWNLOAD = [
    fault("a file", ok(LARGE), save, LARGE),
    fault("a file that is cut", cut_file(), save, httpkit.IncompleteError),
    fault("a file that is cut once", [cut_file(*TAGGED), ok(LARGE, *TAGGED)], save, LARGE),
    fault("a file in cut chunks", chunks(b"5\r\nhello\r\n"), save, httpkit.IncompleteError),
    fault("a file that is reset", then(cut_file(), reset), save, httpkit.IncompleteError),
    fault("another version for the rest", [cut_file(*TAGGED), ok(b"other", 'ETag: "2"')], save,
          b"other"),
    fault("a rest without a range", [cut_file(*TAGGED), ok(b"rest", *TAGGED, status="206 Partial"),
          ok(LARGE)], save, LARGE),
    fault("a rest of another size", [cut_file(*TAGGED), part(0, 7, *TAGGED), ok(LARGE)], save,
          LARGE),
    fault("a rest that starts too late", [cut_file(*TAGGED), part(90_000, len(LARGE), *TAGGED),
          ok(LARGE)], save, LARGE),
    fault("a 206 nobody asked for", part(500), save, requests.RequestException),
    fault("a 204 for a file", head(status="204 No Content"), save, httpkit.TransferError),
    fault("a 416 for a file", ok(b"", status="416 No"), save, requests.RequestException),
    fault("a 404 for a file", ok(b"lost", status="404 No"), save, httpkit.NotFoundError),
    fault("a file of gzip that is cut", coded(GZIPPED[:-12]), save, requests.RequestException),
    fault("a file with a wrong digest", ok(LARGE, "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="), save,
          httpkit.ChecksumError),
    fault("a file that is not what was promised", ok(LARGE), save_checked, httpkit.ChecksumError),
    fault("a file that is too large", ok(LARGE), save_small, httpkit.BodyTooLargeError),
    fault("a file without end", endless(head(), b"x" * 1000), save_small,
          httpkit.BodyTooLargeError),
    fault("a file that stalls", then(cut_file(), silence), save, httpkit.IncompleteError, **HURRY),
]  # fmt: skip


def named(disposition: str) -> bytes:
    return ok(b"hello", f"Content-Disposition: {disposition}")


FILENAMES = [
    fault(f"a file named {name[:40]!r}", named(name), save_as_named, wanted)
    for name, wanted in {
        'attachment; filename="report.pdf"': "report.pdf",
        'attachment; filename="../../etc/passwd"': "passwd",
        'attachment; filename="..\\..\\boot.ini"': "boot.ini",
        'attachment; filename="/etc/passwd"': "passwd",
        'attachment; filename="C:\\boot.ini"': "boot.ini",
        'attachment; filename=".."': "download",
        'attachment; filename="."': "download",
        'attachment; filename=""': "x",
        'attachment; filename=".bashrc"': "bashrc",
        'attachment; filename="con.txt"': "_con.txt",
        'attachment; filename="a:b.txt"': "a_b.txt",
        'attachment; filename="trailing. . "': "trailing",
        "attachment; filename*=UTF-8''%2e%2e%2fa%00b.txt": "ab.txt",
        "attachment; filename*=UTF-8''na%C3%AFve.txt": "naïve.txt",
        "attachment; filename*=none''%61.txt; filename=b.txt": "b.txt",
        "attachment; filename*=UTF-8''%FF; filename=b.txt": "b.txt",
        "attachment; filename*=UTF-8''a%E2%80%AEtxt.exe": "atxt.exe",
        "attachment; filename": "x",
        "\xff\xfe;;;==": "x",
    }.items()
] + [
    fault("a file named far too long", named(f'attachment; filename="{"a" * 5000}.txt"'),
          save_as_named, "a" * 236 + ".txt"),
]  # fmt: skip

NEXT = f'Link: <{OTHER_URL}/x?page=2>; rel="next"'


def items(body: bytes, *fields: str) -> bytes:
    return ok(body, "Content-Type: application/json", *fields)


PAGES = [
    fault("a list that leads to itself", items(b'[{"id": 1}]', 'Link: </x>; rel="next"'), page,
          httpkit.PaginationError, most=3),
    fault("a list that leads to and fro",
          [items(b"[{}]", 'Link: </y>; rel="next"'), items(b"[{}]", 'Link: </x>; rel="next"')],
          page, httpkit.PaginationError),
    fault("a list that leads to another origin", items(b'[{"id": 1}]', NEXT), page,
          [{"id": 1}, {"id": 2}], other_server=items(b'[{"id": 2}]'), is_plain=True),
    fault("a list that leads to a file", items(b"[{}]", 'Link: <file:///etc/passwd>; rel="next"'),
          page, httpkit.PaginationError, most=1),
    fault("a list that leads to no port", items(b"[{}]", 'Link: <http://h:x/>; rel="next"'), page,
          httpkit.PaginationError, most=1),
    fault("a list that leads to a password", items(b"[{}]", 'Link: <http://a:b@h/>; rel="next"'),
          page, httpkit.PaginationError, most=1),
    fault("a link that is none", items(b"[{}]", 'Link: <<>;; rel=next, "'), page,
          httpkit.PaginationError),
    fault("a page that is no list", items(b'{"a": 1}'), page, requests.RequestException),
    fault("a page that is HTML", text(b"<html>", "text/html"), page, NotJSON),
    fault("a second page that is cut", [items(b"[{}]", 'Link: </y>; rel="next"'),
          head("Content-Length: 9") + b"["], page, Cut, most=4),
    fault("a second page that is refused", [items(b"[{}]", 'Link: </y>; rel="next"'),
          ok(b"", status="403 No")], page, httpkit.ForbiddenError),
    fault("a cursor that stays", items(b'{"items": [{}], "next": "a"}'), page_by_cursor,
          httpkit.PaginationError),
    fault("a cursor that is an object", items(b'{"items": [{}], "next": {}}'), page_by_cursor,
          httpkit.PaginationError),
    fault("items that are not there", items(b'{"next": null}'), page_by_cursor,
          requests.RequestException),
    fault("a next URL that is a number", items(b'{"items": [{}], "next": 7}'), page_by_url,
          requests.RequestException, most=50),
    fault("a next URL to another scheme", items(b'{"items": [{}], "next": "data:,"}'), page_by_url,
          httpkit.PaginationError, most=1),
    fault("the same page under every number", items(b'[{"id": 1}]'), page_by_number,
          httpkit.PaginationError),
]  # fmt: skip

FORGED = ok(b"forged")


def forge_a_moment_later(connection: Any) -> None:
    """Reply what no one asked for, as servers say 408 before they hang up."""
    time.sleep(0.01)
    connection.sendall(FORGED)


def in_two(whole: bytes) -> Reply:
    """Send the head, and then the body and something else together: in one record of TLS."""
    head_of_it, _, body = whole.partition(b"\r\n\r\n")

    def reply(connection: Any) -> None:
        connection.sendall(head_of_it + b"\r\n\r\n")
        time.sleep(0.02)
        connection.sendall(body + FORGED)
        silence(connection)

    return reply


KEPT_ALIVE = [
    fault("closed while it was idle", [kept(), then(b"", lambda c: None), ok()], twice,
          [b"hello", b"hello"]),
    fault("closed after the first", [then(kept(), lambda c: None), ok()], twice,
          [b"hello", b"hello"]),
    fault("reset after the first", [then(kept(), reset), ok()], twice, [b"hello", b"hello"]),
    fault("a second answer nobody asked for", [kept() + FORGED, ok(b"mine")], twice,
          [b"hello", b"mine"]),
    fault("an answer while it was idle", [then(kept(), forge_a_moment_later), ok(b"mine")],
          twice_with_a_pause, [b"hello", b"mine"]),
    fault("a goodbye while it was idle", [then(kept(), lambda c: time.sleep(0.01)), ok(b"mine")],
          twice_with_a_pause, [b"hello", b"mine"]),
    fault("a body after 204", [head("Connection: keep-alive", status="204 No Content") + FORGED,
          ok(b"mine")], twice, [b"", b"mine"]),
    fault("a body after 304", [head("Connection: keep-alive", status="304 Not Modified") + FORGED,
          ok(b"mine")], twice, [b"", b"mine"]),
    fault("a body to HEAD", [kept(FORGED), ok(b"mine")], head_and_read, b"mine"),
    fault("more than its length", [kept(b"hello").replace(b": 5", b": 2"), ok(b"mine")], twice,
          [b"he", b"mine"]),
    fault("more after chunks", [chunks(b"2\r\nhe\r\n0\r\n\r\n").replace(b"close", b"keep-alive")
          + FORGED, ok(b"mine")], twice, [b"he", b"mine"]),
    fault("a length too small for gzip", [kept(GZIPPED, "Content-Encoding: gzip") + FORGED,
          ok(b"mine")], twice, [PLAIN, b"mine"]),
    fault("more behind a body that came late", [in_two(kept()), ok(b"mine")], twice,
          [b"hello", b"mine"]),
    fault("more behind gzip that came late", [in_two(kept(GZIPPED, "Content-Encoding: gzip")),
          ok(b"mine")], twice, [PLAIN, b"mine"]),
    fault("a redirect and more", [kept(b"", "Location: /y", status="302 Found") + FORGED,
          ok(b"mine")], read, b"mine"),
    fault("a 503 and more", [kept(b"", status="503 No") + FORGED, ok(b"mine")], read, b"mine"),
    fault("said to stay, and closed", [ok().replace(b"close", b"Keep-Alive"), ok(b"mine")], twice,
          [b"hello", b"mine"]),
]  # fmt: skip

TABLE: Mapping[str, Sequence[Fault]] = {
    "connection": CONNECTION,
    "timing": TIMING,
    "headers": HEADERS,
    "framing": FRAMING,
    "chunked": CHUNKED,
    "codings": CODINGS,
    "JSON": JSON,
    "text": TEXT,
    "redirects": REDIRECTS,
    "auth": AUTH,
    "retry": RETRY,
    "TLS": SECURE,
    "proxy": PROXY,
    "download": DOWNLOAD,
    "filename": FILENAMES,
    "paging": PAGES,
    "keep-alive": KEPT_ALIVE,
}

BOMB = gzip.compress(bytes(10 << 20)) * 30  # 300 MiB in 300 KiB
SMALL = {"max_body": 1 << 20}
# What may cost no memory: each is played in a process of its own, which is measured.
HEAVY = [
    fault("a body without end", endless(head(), b"x"), read, httpkit.BodyTooLargeError,
          options=SMALL),
    fault("chunks without end", endless(chunks(b""), b"1000\r\n" + b"x" * 4096 + b"\r\n"), read,
          httpkit.BodyTooLargeError, options=SMALL),
    fault("an error without end", endless(head(status="404 No"), b"x"), read,
          httpkit.NotFoundError, options=SMALL),
    fault("a redirect without end", [endless(head("Location: /y", status="302 Found"), b"x"), ok()],
          read, b"hello", options=SMALL),
    fault("a bomb", coded(BOMB), read, httpkit.BodyTooLargeError, options=SMALL),
    fault("a bomb in an error", coded(BOMB).replace(b"200 OK", b"404 No"), read,
          httpkit.NotFoundError, options=SMALL),
    fault("a bomb in a redirect", [coded(BOMB).replace(b"200 OK", b"302 Found\r\nLocation: /y"),
          ok()], read, b"hello", options=SMALL),
    fault("a field without end", endless(head()[:-2] + b"X: ", b"x"), read, says("longer")),
    fault("fields without end", endless(head()[:-2], b"X: yyyyyyyyyyyyyyyyyyyyyyyy\r\n"), read,
          says("larger")),
    fault("interim answers without end", endless(b"", head(status="100 Continue")), read,
          says("interim")),
    fault("an extension without end", endless(chunks(b"5;"), b"x"), read, Cut),
    fault("trailers without end", endless(chunks(b"0\r\n"), b"X: yyyyyyyyyyyyyyyyyyyyyyyy\r\n"),
          read, Cut),
    fault("a line without end", endless(head(), b"x"), read_lines, httpkit.BodyTooLargeError,
          options=SMALL),
    fault("a JSON line without end", endless(head(), b"x"), read_json_lines,
          httpkit.BodyTooLargeError, options=SMALL),
    fault("an event without end", endless(head(), b"data: xxxxxxxxxxxxxxxxx\n"), read_events,
          httpkit.BodyTooLargeError, options=SMALL),
    fault("a line of an event without end", endless(head() + b"data: ", b"x"), read_events,
          httpkit.BodyTooLargeError, options=SMALL),
    fault("a bomb of a line", coded(BOMB), read_lines, httpkit.BodyTooLargeError, options=SMALL),
    fault("a file without end", endless(head(), b"x"), save_small, httpkit.BodyTooLargeError),
    fault("a file that is a bomb", coded(BOMB), save_small, httpkit.BodyTooLargeError),
    fault("a token without end", endless(head(), b"x"), client_credentials,
          requests.RequestException, options=SMALL),
]  # fmt: skip
