"""Every message on the troubleshooting page is met for real, and every message has its entry."""

import ast
import asyncio
import io
import json
import os
import pickle
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest
import requests
import trustme
from requests_toolbelt import MultipartEncoder

import httpkit
from httpkit._messages import checksums
from httpkit._messages.request import PreparedRequest
from httpkit._transport.adapter import Adapter
from httpkit.testing import FakeClock, Reply, Sandbox, Script
from tests.packaging.test_missing_packages import PROGRAM

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
ENTRIES = [
    *re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE),
    *re.findall(r"^\| `(.*?)` \|", PAGE, re.MULTILINE),
]


def pattern(entry: str) -> re.Pattern[str]:
    """Read the dots of an entry as anything."""
    return re.compile(".*".join(map(re.escape, entry.split("…"))), re.DOTALL)


def words(error: BaseException) -> str:
    """Return what a reader sees of an error, and of why it was not sent again."""
    parts = [str(error), *getattr(error, "__notes__", []), getattr(error, "stop_reason", None)]
    parts.append(str(error.__cause__ or ""))
    return "\n".join(part for part in parts if part)


class World:
    """What a case may use; sessions end with it."""

    def __init__(self, sandbox: Sandbox, raw: Any, response: Any, folder: Path, patch: Any) -> None:
        self.sandbox, self.raw, self.reply, self.folder = sandbox, raw, response, folder
        self.patch = patch
        self.url = sandbox.url
        self.open = ExitStack()

    def api(self, url: str | None = None, **options: Any) -> httpkit.Session:
        return self.open.enter_context(httpkit.Session(url or self.url, **options))

    def get(self, url: Any = "", **options: Any) -> Any:
        """Ask the sandbox."""
        return self.api().get(url, **options)

    def head(self, head: bytes, **options: Any) -> Any:
        """Ask a server that answers with these bytes."""
        return self.api(self.raw(head).url, retry=None).get("", **options)

    def body(self, body: bytes, **fields: str) -> Any:
        """Ask a server that answers with this body."""
        return self.api(self.raw(self.reply(body=body, **fields)).url, retry=None)

    def file(self, content: bytes = b"bytes") -> Path:
        path = self.folder / "source.bin"
        path.write_bytes(content)
        return path

    def free_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return probe.getsockname()[1]

    def tls(self, **options: Any) -> httpkit.Session:
        """Speak to a server whose certificate was issued with these options."""
        return self.secured(trustme.CA(), **options)

    def secured(self, signer: Any, trusted: Any = None, set_up: Any = None, **options: Any) -> Any:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signer.issue_cert(*options.pop("names", ["127.0.0.1"]), **options).configure_cert(made)
        if set_up:
            set_up(made)
        (trusted or signer).cert_pem.write_to_path(self.folder / "ca.pem")
        server = self.raw(self.reply(), tls=made)
        return self.api(server.url, verify=str(self.folder / "ca.pem"))


@pytest.fixture
def world(sandbox, raw_server, make_response, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = World(sandbox, raw_server, make_response, tmp_path, monkeypatch)
    with made.open:
        yield made


def once():
    """Return a body that can be read only once."""
    return iter([b"bytes"])


BOTH = ["http", "https"]
DAY = timedelta(days=1)


def now():
    return datetime.now(UTC)


# Statuses and credentials


def credentials_withheld(w):
    w.api(auth=httpkit.BearerAuth("secret-token")).get(f"{w.sandbox.other_url}/bearer/posts")


def withheld_by_a_redirect(w):
    w.api(auth=httpkit.BearerAuth("secret-token")).get("redirect/other/bearer/posts")


def token(w, url, **options):
    w.api(auth=httpkit.ClientCredentialsAuth(url, "me", "s3cret-of-mine", **options)).get("echo")


STATUSES = {
    "404 Not Found for …: …": lambda w: w.get("posts/99"),
    "the session's credentials were withheld from … (see trusted_origins)": credentials_withheld,
    "credentials were withheld after a redirect to … (see trusted_origins)": (
        withheld_by_a_redirect
    ),
    "refusing to send credentials (…) over plain HTTP to …: use https, or allow_http_auth=True": (
        lambda w: w.api("http://api.example.com", auth=httpkit.BearerAuth("t0ken")).get("users")
    ),
    "the environment variable … is not set or empty": (
        lambda _: httpkit.BearerAuth.from_env("NO_SUCH_TOKEN")
    ),
    "no token: … responded …": lambda w: token(w, f"{w.url}/token"),
    "…, no JSON object": lambda w: token(w, f"{w.url}/html"),
    "a redirect, and a client's secret does not follow one": (
        lambda w: token(w, f"{w.url}/redirect?to=/token&status=307")
    ),
    "a token whose token_type is not Bearer": lambda w: token(
        w, w.raw(w.reply(body=b'{"access_token": "a", "token_type": "mac"}')).url
    ),
    "no legible …": lambda w: token(w, w.raw(w.reply(body=b'{"token_type": "bearer"}')).url),
}

# Why it was not sent again


def rejected_with_a_body_of_one_reading(w):
    tokens = iter(["expired-token", "sandbox-token", "sandbox-token"])
    api = w.api(f"{w.url}/bearer", auth=httpkit.BearerAuth(lambda: next(tokens)))
    api.put("echo", data=once())


def unsigned(w):
    """Reject a token, when the server that could give another one is gone."""
    granted = b'{"access_token": "a-token", "token_type": "bearer"}'
    tokens = w.raw(w.reply(body=granted), None)
    auth = httpkit.ClientCredentialsAuth(tokens.url, "me", "s3cret-of-mine")
    w.api(w.raw(w.reply("401 No")).url, auth=auth).get("")


STOPS = {
    "all … attempts were made": lambda w: w.get("status/503"),
    "… is not repeated without an idempotency key: it may have arrived": (
        lambda w: w.api().post("flaky/a?status=drop", json={})
    ),
    "… is not repeated after … without an idempotency key": (
        lambda w: w.api().post("status/500", json={})
    ),
    "… is not retried": lambda w: w.secured(trustme.CA(), trusted=trustme.CA()).get(""),
    "not repeated: …": lambda w: w.api().put("flaky/a", data=once()),
    "not signed again: …": rejected_with_a_body_of_one_reading,
    "the server asks for … s, longer than max_retry_after=… s": (
        lambda w: w.get("status/503?retry_after=1000")
    ),
    "the deadline leaves no time for a wait of … s": lambda w: w.get("status/503", deadline=0.5),
    "the retry budget of … tokens for this host is spent": (
        lambda w: w.get("status/503", retry=httpkit.RetryPolicy(budget=1))
    ),
    "it could not be signed": unsigned,
}

# Time


class Full:
    """A limiter that has no place."""

    def try_acquire(self, name="", weight=1, blocking=True, timeout=-1):
        return False


def asked_to_wait(w):
    api = w.api(w.raw(w.reply("429 Slow", retry_after="100")).url)
    with pytest.raises(httpkit.TooManyRequestsError):
        api.get("", retry=httpkit.RetryPolicy(attempts=1))
    api.get("", deadline=5)


def dial(w, addresses):
    with w.patch.context() as patch:
        patch.setattr(socket, "getaddrinfo", addresses)
        w.api("http://nowhere.test", retry=None).get("")


def unknown(*_args):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def no_room(w):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as held:
        for _ in range(8):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        w.api(f"http://127.0.0.1:{full.getsockname()[1]}", retry=None, timeout=0.05).get("")


def takes_nothing(w):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        api = w.api(f"http://127.0.0.1:{deaf.getsockname()[1]}", retry=None, timeout=0.1)
        api.post("", data=bytes(1 << 24))


def late(w):
    """Wait for a token that another thread has asked for."""
    auth = httpkit.ClientCredentialsAuth(f"{w.url}/slow?seconds=0.5", "me", "s3cret-of-mine")
    api = w.api(auth=auth, timeout=5, retry=None)

    def ask():
        with suppress(requests.RequestException):
            api.get("echo")

    first = threading.Thread(target=ask)
    first.start()
    while not w.sandbox.requests:
        time.sleep(0.01)
    try:
        api.get("echo", deadline=0.1)
    finally:
        first.join(10)


def crowded(w):
    """Wait for the only connection, which a streamed response has."""
    api = w.api(retry=None)
    api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
    with api.get("bytes/1000", stream=True):
        api.get("posts", deadline=0.1)


TIME = {
    "the deadline of … s passed for …": lambda w: w.get("slow?seconds=9", deadline=0.1),
    "the deadline of … s leaves no time for …: nothing was sent for …": asked_to_wait,
    "rate_limit=… rejected the request: nothing was sent for …": (
        lambda w: w.api(rate_limit=Full(), deadline=None).get("posts")
    ),
    "… Read timed out…": lambda w: w.get("slow?seconds=9", timeout=0.05, retry=None),
    "… timed out. (connect timeout=…)": no_room,
    "all … connections to … stayed in use": crowded,
    "sending the request timed out": takes_nothing,
    "… Connection refused…": lambda w: w.api(f"http://127.0.0.1:{w.free_port()}").get(""),
    "… Failed to resolve …": lambda w: dial(w, unknown),
    "… the name has no address": lambda w: dial(w, lambda *_: []),
    "…, label empty or too long": lambda w: w.api("http://a..b").get(""),
    "the deadline passed…": late,
}

# What the answer holds


def unread(w):
    with w.get("bytes/100000", stream=True) as response:
        pass
    list(response.lines())


def told_without_extras(url, statement):
    """Raise what a process without any optional package says to a statement."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, url],
        input=json.dumps([statement]), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    raise ValueError(json.loads(ran.stdout)[statement])


ANSWERS = {
    "the response to … is not JSON: …": lambda w: w.get("html").json(),
    "the response to … is not …: …": lambda w: w.get("posts/1").decode(list[int]),
    "line … of the response to … cannot be decoded: …": lambda w: list(
        w.body(b'{"a": 1}\n{"a":').get("", stream=True).json_lines()
    ),
    "… and nothing was sent back; what was sent is not a …: …": lambda w: (
        w.body(b"").resource("posts", list[int]).create({"title": "a"})
    ),
    "the body is larger than max_body=… bytes: stream it, or raise the limit": (
        lambda w: w.get("bytes/100", max_body=10)
    ),
    "the error body is larger than … bytes: use stream=True": lambda w: (
        w.api(w.raw(w.reply("404 No", body=bytes(2 << 20))).url)
        .get("", raise_for_status=False)
        .content
    ),
    "a … of the stream is larger than max_body=… bytes": (
        lambda w: list(w.get("bytes/100", stream=True, max_body=10).lines())
    ),
    "the response was closed before its body was read": unread,
    "the compressed body is …": (
        lambda w: w.body(b"\x1f\x8b\x08\x00", content_encoding="gzip").get("")
    ),
    "the body is encoded as …: pip install 'urllib3[…]'": lambda w: told_without_extras(
        w.raw(w.reply(body=b"encoded", content_encoding="br")).url, "api.get('')"
    ),
    "… IncompleteRead(…": lambda w: w.get("truncated"),
}

# Answers that break the rules of HTTP

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def cut_in_tls(w):
    authority = trustme.CA()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    authority.cert_pem.write_to_path(w.folder / "ca.pem")

    def cut(connection):
        connection.sendall(OK + b"\r\nhalf")
        os.close(connection.detach())

    w.api(w.raw(cut, tls=made).url, verify=str(w.folder / "ca.pem"), retry=None).get("")


RULES = {
    "TLS ended without close_notify: the body may be truncated": cut_in_tls,
    "invalid HTTP status line": lambda w: w.head(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "the connection closed within a …": lambda w: w.head(OK + b"Content-Le"),
    "both Content-Length and Transfer-Encoding are present": lambda w: w.head(
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "Content-Length fields differ": lambda w: w.head(OK + b"Content-Length: 5, 6\r\n\r\n"),
    "invalid Content-Length": (lambda w: w.head(OK + b"Content-Length: +5\r\n\r\nhello")),
    "unsupported Transfer-Encoding: only a single chunked is supported": (
        lambda w: w.head(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    ),
    "invalid chunk size": lambda w: w.head(CHUNKED + b"+1\r\na\r\n0\r\n\r\n"),
    "invalid chunk: its data does not end with CRLF": lambda w: w.head(
        CHUNKED + b"1\r\nab\r\n0\r\n\r\n"
    ),
    "chunk extensions are larger than the data": lambda w: w.head(
        CHUNKED + b"".join(b"1;" + b"x" * 4000 + b"\r\na\r\n" for _ in range(20)) + b"0\r\n\r\n"
    ),
    "invalid header field name": (lambda w: w.head(OK + b"Bad Name: 1\r\n\r\n")),
    "invalid header field value: it contains NUL or a bare CR": lambda w: w.head(
        OK + b"A: b\x00c\r\n\r\n"
    ),
    "invalid header field: the first one is folded": lambda w: w.head(OK + b" a: b\r\n\r\n"),
    "a … is longer than … bytes": lambda w: w.head(OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n"),
    "a head is larger than … fields or … bytes": lambda w: w.head(OK + b"A: b\r\n" * 300 + b"\r\n"),
    "more than … interim responses": lambda w: w.head(b"HTTP/1.1 103 Early\r\n\r\n" * 20 + OK),
    "unexpected status 101: no protocol upgrade was requested": (
        lambda w: w.head(b"HTTP/1.1 101 Switching\r\n\r\n")
    ),
    "the Digest challenge in WWW-Authenticate cannot be met: …": lambda w: w.api(
        w.raw(w.reply("401 No", www_authenticate="Digest")).url
    ).get("", auth=requests.auth.HTTPDigestAuth("me", "s3cret-of-mine")),
}

# Redirects


def redirected(w, location, status="307 Elsewhere", **options):
    w.api(w.raw(w.reply(status, location=location)).url).post("", **options)


REDIRECTS = {
    "the … redirect of … is not followed: …": lambda w: redirected(w, "file:///etc/passwd"),
    "it would send the body of … to another origin (see redirect_body)": (
        lambda w: redirected(w, w.url, data=b"a")
    ),
    "redirect loop: it leads back to …": lambda w: w.get("redirect/loop"),
    "its Location …": lambda w: redirected(w, "http://user:pass@127.0.0.1/"),
    "the body (…) can be read only once": lambda w: redirected(w, "/", data=once()),
    "exceeded … redirects": lambda w: w.get("redirect/chain/40"),
    "…: … was not followed": (
        lambda w: w.api(w.raw(w.reply("302 Found")).url).resource("posts").get(1)
    ),
}

# TLS and proxies


def of_old_versions(made):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    made.set_ciphers("ALL:@SECLEVEL=0")


def asking_for_a_certificate(version, authority):
    def set_up(made):
        made.minimum_version = made.maximum_version = version
        made.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(made)

    return set_up


def with_a_certificate_of_another(w):
    authority = trustme.CA()
    certificate = trustme.CA().issue_cert("client.test")
    certificate.private_key_and_cert_chain_pem.write_to_path(w.folder / "mine.pem")
    set_up = asking_for_a_certificate(ssl.TLSVersion.TLSv1_2, authority)
    w.secured(authority, set_up=set_up).get("", cert=str(w.folder / "mine.pem"))


def without_a_certificate(w, version):
    authority = trustme.CA()
    w.secured(authority, set_up=asking_for_a_certificate(version, authority)).get("")


def through(w, proxy):
    w.api("https://h.test", proxies=dict.fromkeys(BOTH, proxy), retry=None).get("")


NOTES = {
    "the certificate has expired: its operator must renew it, …": lambda w: w.tls(
        not_before=now() - 9 * DAY, not_after=now() - DAY
    ).get(""),
    "the certificate is not valid yet: its operator must replace it, …": (
        lambda w: w.tls(not_before=now() + DAY).get("")
    ),
    "the certificate is for another name: call the server by a name that it holds": (
        lambda w: w.tls(names=["other.test"]).get("")
    ),
    "the authority that signed the certificate is not trusted here: …": (
        lambda w: w.secured(trustme.CA(), trusted=trustme.CA()).get("")
    ),
    "no TLS on this port: is the URL http:// instead of https://?": (
        lambda w: w.api(w.url.replace("http:", "https:")).get("")
    ),
    "the server supports no TLS version from 1.2 on: …": (
        lambda w: w.secured(trustme.CA(), set_up=of_old_versions).get("")
    ),
    "the server wants a client certificate: give one as cert='client.pem'": (
        lambda w: without_a_certificate(w, ssl.TLSVersion.TLSv1_3)
    ),
    "the server wants a client certificate (cert=), or unsafe ciphers": (
        lambda w: without_a_certificate(w, ssl.TLSVersion.TLSv1_2)
    ),
    "the server refused the client certificate that cert= names": with_a_certificate_of_another,
    "the proxy wants other credentials: …": (
        lambda w: through(w, w.raw(b"HTTP/1.1 407 Who\r\n\r\n").url)
    ),
    "the proxy refused to connect to the host: …": lambda w: through(
        w, w.raw(b"HTTP/1.1 403 No\r\n\r\n").url
    ),
    "invalid response of the proxy to CONNECT: …": lambda w: through(
        w, w.raw(b"what?\r\n\r\n").url
    ),
    "no proxy responds at this address: …": lambda w: through(
        w, f"http://127.0.0.1:{w.free_port()}"
    ),
}

# Downloads


def another_type(w):
    """Break off after 4 bytes, and come back as a page for people."""
    first = b'content-length: 8\r\netag: "1"\r\ncontent-type: application/zip\r\n\r\nhalf'
    then = b'content-length: 8\r\netag: "1"\r\ncontent-type: text/html\r\n\r\n<html>  '
    w.api(w.raw(OK + first, OK + then).url).download("", "file")


def began_anew(w):
    first = b'content-length: 8\r\netag: "1"\r\n\r\nhalf'
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0) as pipe:
        w.api(w.raw(OK + first).url).download("", pipe)


def of_type(w, **options):
    w.body(b"12345678", content_type="text/html").download("", "file", **options)


def of_unknown_size(w, **options):
    w.api(w.raw(CHUNKED + b"8\r\n12345678\r\n0\r\n\r\n").url).download("", "file", **options)


def sums(size, read):
    summed = checksums.FileHashers(["sha256"], read, size)
    summed.update(b"")
    summed.hexdigests()


def unreadable(*_args):
    raise OSError("the disk is gone")


def follow(w):
    del w
    sums(1 << 30, unreadable)


def in_the_way(w):
    (w.folder / "file.part").mkdir()
    w.api().download("bytes/10", "file")


def pipe(w):
    os.mkfifo(w.folder / "pipe")
    return w.folder / "pipe"


def another_size(w):
    whole = w.reply(body=b"x" * 10, etag='"1"')
    w.api(w.raw(whole[:-5], w.reply(body=b"")).url).download("", "file")


def page_of_the_type(w):
    whole = w.reply(body=b"x" * 100, etag='"1"')
    w.api(w.raw(whole[:-5], w.reply(body=b"<html>Log in", etag='"2"')).url).download("", "file")


def removed_part(w):
    def remove(_progress):
        Path("file.part").unlink(missing_ok=True)

    w.api().download("bytes/10", "file", progress=remove)


def too_slow(w):
    with httpkit.testing.FakeClock() as clock:

        def trickle(connection):
            connection.settimeout(0.02)
            connection.sendall(OK + b"content-length: 1000\r\n\r\n")
            for _ in range(100):
                connection.sendall(b"x")
                clock.advance(20)
                with suppress(TimeoutError):
                    connection.recv(1)
                    return

        w.api(w.raw(trickle).url).download("", "file", min_speed=1, max_stalls=0)


def taken(w):
    w.api().download("bytes/10?name=a.bin", w.folder)
    w.api().download("bytes/11?name=a.bin", w.folder)


DOWNLOADS = {
    "…: … bytes arrived in … attempts…": (
        lambda w: w.api().download("truncated", "file", max_stalls=1)
    ),
    "… exists: pass if_exists= 'replace', 'skip', 'rename' or 'update'": taken,
    "the folder … does not exist": lambda w: w.api().download("bytes/10", "no/such/file"),
    "the server sent …, not …": lambda w: of_type(w, content_type="image/*"),
    "the server sent … first, and … now": another_type,
    "the server sent … bytes without another validator, but the file has …: …": another_size,
    "the server sent a page or an error document…: …": page_of_the_type,
    "the response to … is not an event stream: …": lambda w: list(w.body(b"[]").get("").events()),
    "… was replaced by another program: call again": removed_part,
    "… bytes arrived in … seconds, fewer than min_speed=… a second": too_slow,
    "the file has … bytes, over max_size=…": lambda w: of_type(w, max_size=4),
    "the file has more than max_size=… bytes": lambda w: of_unknown_size(w, max_size=4),
    "the file has … bytes, not …": lambda w: of_type(w, expected_size=4),
    "the file has more than the expected … bytes": lambda w: of_unknown_size(w, expected_size=4),
    "… is not a regular file: pass another path, or a file object": (
        lambda w: w.api().download("bytes/10", pipe(w))
    ),
    "… is …, but … says …": lambda w: of_type(w, checksum=f"md5:{'0' * 32}"),
    "verify='require', but neither checksum= nor the server has one": (
        lambda w: of_type(w, verify="require")
    ),
    "verify='require', but … is there already and checksum= is not given:"
    " if_exists='replace' downloads it again": lambda w: w.api().download(
        "bytes/9", __file__, if_exists="skip", verify="require"
    ),
    "… bytes are missing, but … has … free": lambda w: w.api(
        w.raw(OK + f"content-length: {10**14}\r\n\r\n".encode()).url
    ).download("", "file"),
    "… cannot be written: …": in_the_way,
    "the file it is written to cannot be rewound": began_anew,
    "unexpected status … for …: it holds no file": (
        lambda w: w.api(w.raw(w.reply("204 None")).url).download("", "file")
    ),
    "the server says 304 (not modified), but there is no file": (
        lambda w: w.api(w.raw(w.reply("304 Same")).url).download("", "file")
    ),
    "the file cannot be hashed: …": follow,
    "the file ends after … of … bytes": lambda _: sums(10, lambda *_: b""),
}

# Uploads


def rewritten(w):
    path = w.file(bytes(3 << 20))

    def write(_progress):
        os.utime(path, (1, 1))

    w.api().upload("echo", path, progress=write)


def cut(w, path):
    with path.open("r+b") as file:
        w.api().upload("echo", file, size=4 << 20, progress=lambda _: os.truncate(path, 10))


def unblocking(w):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as pipe, os.fdopen(writing, "wb"):
        w.api().upload("echo", pipe)


def closed_meanwhile(w):
    file = w.file().open("rb")
    server = w.raw(w.reply("503 Busy"))
    policy = httpkit.RetryPolicy(on_retry=lambda _: file.close())
    w.api(server.url).put("", data=file, retry=policy)


def sent_twice(w):
    api = w.api()
    prepared = api.prepare_request(requests.Request("PUT", "echo", data=once()))
    api.send(prepared)
    api.send(prepared)


class Texts:
    """What can be read, and gives no bytes."""

    def read(self, _size=-1):
        return "text"


def changing(w):
    contents = iter([[b"one"], [b"two"]])
    w.api().upload("flaky/a", lambda: next(contents))


def failing():
    yield b"a"
    raise LookupError("no more")


def resumed(w, *answers, content=b"content", **options):
    server = w.raw(*answers)
    w.api(server.url, retry=None).upload(
        "", w.file(content), resumable="tus", max_stalls=0, **options
    )


def created(w, location="/files/1"):
    return w.reply("201 Created", location=location)


UPLOADS = {
    "it was sent before, and …": sent_twice,
    "the body could not be rewound": closed_meanwhile,
    "… changed while it was sent…": rewritten,
    "… early…": lambda w: cut(w, w.file(bytes(4 << 20))),
    "… cannot be read: …": lambda w: w.api().upload("echo", w.folder / "no-such-file"),
    "… gives other bytes than the first time": changing,
    "… gives more than size=… bytes": lambda w: w.api().upload("echo", [b"12345"], size=3),
    "… bytes, not size=…": lambda w: w.api().upload("echo", w.file(b"123"), size=5),
    "… is not a regular file: open it and pass the file object": (
        lambda w: w.api().upload("echo", Path("/dev/null"))
    ),
    "… has nothing to read now: it does not block": unblocking,
    "… gives …, not bytes: open it with 'rb'": lambda w: w.api().upload("echo", Texts()),
    "the source failed: …": lambda w: w.api().upload("echo", failing()),
    "… bytes arrived in … requests; …": lambda w: resumed(w, created(w), None),
    (
        "the server wants the upload at …: pass redirect_body=True to send it there, without"
        " credentials"
    ): lambda w: resumed(w, created(w, "http://127.0.0.2/files/1")),
    "… names no URL …": lambda w: resumed(w, w.reply("201 Created")),
    "… does not say how much of the upload arrived": (
        lambda w: resumed(w, created(w), w.reply("204 None"))
    ),
    "… bytes arrived, but … were sent": lambda w: resumed(
        w, created(w), w.reply("204 None", upload_offset="99999")
    ),
    "the folder of state=… does not exist": lambda w: resumed(w, created(w), state="no/such/file"),
}


# Lists


ONE, ANOTHER = b'[{"id": 1}]', b'[{"id": 2}]'


def listed(w, *bodies, pages=None, items_at=None, **fields):
    server = w.raw(*[w.reply(body=body, **fields) for body in bodies])
    return w.api(server.url).paginate("list", pages or httpkit.LinkPages(), items_at=items_at)


def failed(w, number):
    """Go through a list of which one page fails."""
    answers = [w.reply(body=ONE, link='<?page=2>; rel="next"'), w.reply("404 No")]
    api = w.api(w.raw(*answers[-number:]).url)
    return api.paginate("list")


def of_another_list(w):
    try:
        list(failed(w, 1))
    except httpkit.NotFoundError as error:
        w.api().paginate("posts").resume(error)


CURSOR = httpkit.CursorPages("next", "cursor", more="more")
FILMS = "query($after: String) { films(after: $after) { nodes { id } } }"
LISTS = {
    "page … of …: …": lambda w: list(listed(w, ONE, link='<?page=1>; rel="next"')),
    "it is the page before once more: the server takes no notice of …": (
        lambda w: list(listed(w, ONE, pages=httpkit.NumberedPages()))
    ),
    "pagination loop: the next page was requested before": lambda w: list(
        listed(w, ONE, ANOTHER, link='<?page=1>; rel="next"')
    ),
    "it is empty, as are … before it": lambda w: list(
        listed(
            w,
            *[f'{{"items": [], "next": "n{number}"}}'.encode() for number in range(1001)],
            pages=httpkit.CursorPages("next", "cursor"),
            items_at="items",
        )
    ),
    "the link to its next page is not followed: …": lambda w: list(
        listed(w, ONE, link='<file:///etc/passwd>; rel="next"')
    ),
    "it has more at … but no cursor at …": lambda w: list(
        w.body(b'{"items": [], "more": true}').paginate("list", CURSOR, items_at="items")
    ),
    "it has more at … but no link to the next page": lambda w: list(
        w.body(b'{"items": [], "more": true}').paginate(
            "list", httpkit.LinkPages(more="more"), items_at="items"
        )
    ),
    "its Link field has no link in angle brackets: …": lambda w: list(
        listed(w, ONE, link="/list?page=2; rel=next")
    ),
    "at … there is …, not the URL of the next page": lambda w: list(
        w.body(b'{"items": [], "next": 3}').paginate(
            "list", httpkit.NextURLPages(), items_at="items"
        )
    ),
    "at … there is …, not an array of links": lambda w: list(
        w.body(b'{"items": [], "links": {"next": "x"}}').paginate(
            "list", httpkit.NextURLPages("links", rel="next"), items_at="items"
        )
    ),
    "its next URL is relative, and there is no base at …": lambda w: list(
        w.body(b'{"items": [], "next": "x"}').paginate(
            "list", httpkit.NextURLPages(base="base"), items_at="items"
        )
    ),
    "invalid path …: …": lambda w: list(
        w.body(b'{"items": [], "links": [1]}').paginate(
            "list", httpkit.NextURLPages("links.next"), items_at="items"
        )
    ),
    "the connection at … has no … in its pageInfo: select pageInfo { … … }": (
        lambda w: list(
            w.body(b'{"data": {"films": {"nodes": []}}}').paginate_graphql(FILMS, at="films")
        )
    ),
    "the pages of this list have one URL: resume it with page.next_token": (
        lambda w: w.api().paginate("search", CURSOR, json={}).resume("search")
    ),
    "not a page.next_token of this list": (
        lambda w: w.api().paginate("search", CURSOR, json={}).resume('{"list": 1, "next": {}}')
    ),
    "json= has … where the pager puts …": lambda w: w.api().paginate("x", CURSOR, json=[1]),
    "into=… must be one of …": lambda _: httpkit.CursorPages("next", into="body"),
    "decode=… must be a callable": lambda w: w.api().paginate("x", decode="csv"),
    "paginate_graphql() takes a query, not a mutation": (
        lambda w: w.api().paginate_graphql("mutation { a(after: $after) }", at="a")
    ),
    "the query has no variable … for the cursor: cursor= is its name": (
        lambda w: w.api().paginate_graphql("{ films { nodes { id } } }", at="films")
    ),
    "at … there is no number": lambda w: list(
        w.body(b'{"items": [], "total": "many"}').paginate(
            "list", httpkit.NumberedPages(total="total"), items_at="items"
        )
    ),
    "at … there is no single value": lambda w: list(
        w.body(b'{"items": [], "next": [1]}').paginate("list", CURSOR, items_at="items")
    ),
    "at … there is …, not a cursor": lambda w: list(
        w.body(b'{"items": [], "next": []}').paginate("list", CURSOR, items_at="items")
    ),
    "at … there is neither true nor false": lambda w: list(
        w.body(b'{"items": [], "next": "c", "last": "maybe"}').paginate(
            "list", httpkit.CursorPages("next", "cursor", last="last"), items_at="items"
        )
    ),
    "its next link …": lambda w: list(
        w.body(b'{"items": [], "next": {"href": "/x", "method": "PUT"}}').paginate(
            "list", httpkit.NextURLPages("next"), items_at="items"
        )
    ),
    "its next link is of another origin, and merges with the list's document, which is not sent"
    " there": lambda w: list(
        w.body(
            b'{"items": [], "next": {"href": "https://other.test/x", "method": "POST",'
            b' "body": {"a": 1}, "merge": true}}'
        ).paginate(
            "list", httpkit.NextURLPages("next"), method="POST", json={"b": 1}, items_at="items"
        )
    ),
    "page … of …: Pages.resume(error) goes on with it": lambda w: list(failed(w, 2)),
    "…; items_at= says where the list is…": lambda w: list(w.api().paginate("posts/1")),
    "… names no page to go on from": lambda w: w.api().paginate("posts").resume(ValueError()),
    "… is about a page of …, not of …": of_another_list,
    "the list is at its end: its last page has no next_url": (
        lambda w: w.api().paginate("posts").resume(None)
    ),
}

# Resources, GraphQL, addresses


class Comments(httpkit.Resource[dict[str, Any]]):
    replies = httpkit.Resource("replies")


class Blog(httpkit.Session):
    comments = Comments("comments")


def blog(w):
    return w.open.enter_context(Blog(w.url))


def subclassed(base, name):
    return type("Mine", (base,), {name: httpkit.Resource("things")})


class Opaque:
    def __init__(self, one, other):
        self.both = one, other


class NotATime(datetime):
    """Is unequal to itself, as pandas' NaT."""

    def __ne__(self, _: object) -> bool:
        return True

    __hash__ = datetime.__hash__


@dataclass
class Holder:
    opaque: Opaque


def replying(w, status, body=b"", **fields):
    return w.api(w.raw(w.reply(status, body, **fields)).url, retry=None)


RESOURCES = {
    "… cannot be decoded: …": lambda _: httpkit.Resource("things", Holder),
    "… of … items failed for …: …": lambda w: (
        replying(w, "207 Multi-Status", b'[{"status": 422, "error": "no title"}]')
        .resource("posts")
        .create_many([{}])
    ),
    "id=… must be a str, an integer, a UUID or a date, not …": lambda w: (
        w.api().resource("posts").get(True)
    ),
    "… was accepted (…) and is not done yet: …": lambda w: (
        replying(w, "202 Accepted", location="/jobs/1").resource("posts").create({})
    ),
    "the response to … has … results for … items": lambda w: (
        replying(w, "207 Multi-Status", b"[]").resource("posts").create_many([{}])
    ),
    "the operation failed (…): …: …": lambda w: replying(
        w, "200 OK", b'{"status": "failed", "error": {"message": "no room"}}'
    ).poll("jobs/1"),
    "poll() takes a response or a URL, not …": lambda w: w.api().poll(7),
    "the response names no URL to poll: pass the URL of the operation": lambda w: (
        api := replying(w, "202 Accepted")
    ).poll(api.post("jobs")),
    "the response to … has no status: …": lambda w: w.api().poll("html", status_at="state"),
    "the operation is done without a result: …": lambda w: w.body(
        b'{"name": "operations/1", "done": true}'
    ).poll("operations/1", model=dict),
    "the … of …: it …": lambda w: (
        api := replying(w, "202 Accepted", location="ftp://a.test/jobs/1")
    ).poll(api.post("jobs")),
    "the operation is not done after … seconds…: poll(error.url) goes on waiting for it": (
        lambda w: replying(w, "200 OK", b'{"status": "running"}').poll(
            "jobs/1", interval=5, deadline=1
        )
    ),
    "…=… must be a collection of words": lambda w: w.api().poll("jobs/1", done="ready"),
    "the response to … has no ETag": lambda w: w.body(b"{}").resource("posts").fetch(1).etag,
    "…: reach it through an instance, or bind it with session.resource()": (
        lambda _: Blog.comments.get(1)
    ),
    "… is nested: choose an item of … first": lambda w: blog(w).comments.replies.get(1),
    "… is one item: call the collection's methods before choosing it": (
        lambda w: blog(w).comments(1).get(2)
    ),
    "… would hide what every session has: give it another name; its path stays …": (
        lambda _: subclassed(httpkit.Session, "headers")
    ),
    "…: every resource has a …": lambda _: subclassed(httpkit.Resource, "list"),
    "GraphQL error for …: …": lambda w: w.api().graphql("{ a }", url="graphql?errors=1"),
    "invalid GraphQL response to …: …": (lambda w: w.api().graphql("{ a }", url="invalid-json")),
    "path traversal: the URL … is outside base_url": lambda w: w.get("../admin"),
    "the URL … names another host: write it out with its scheme": (
        lambda w: w.get("//example.com/users")
    ),
    "the URL … needs …": lambda w: w.get("users/{id}"),
    "the URL … has no placeholder for …": lambda w: w.get("users", path={"id": 1}),
    "the path value … cannot be …": lambda w: w.get("users/{id}", path={"id": ""}),
    "the path value … is not text": lambda w: w.get("users/{id}", path={"id": "\ud800"}),
    "the URL … is relative and the session has no base_url": (
        lambda w: w.open.enter_context(httpkit.Session()).get("users")
    ),
    "No connection adapters were found for …": lambda w: w.get("ftp://example.com/file"),
    "base_url …": lambda _: httpkit.Session("example.com"),
}


# Your own tests


def scripted(*answers, times=1, **options):
    with Script(*answers, **options) as script, httpkit.Session("https://h.test") as api:
        for number in range(times):
            api.get("", retry=None, headers={"Idempotency-Key": str(number)})
        return script


def entered_twice(_):
    with Script() as script, script:
        pass


TESTS = {
    "the script has … responses, but got … requests…": lambda _: scripted(200, 200),
    "attempt … differs in …": lambda _: scripted(200, 200, times=2).assert_identical(),
    "nothing was sent": lambda _: Script().assert_identical(),
    "Connection refused by Responses…": lambda _: scripted(200, url="https://other.test/"),
    "this script is already entered": entered_twice,
}


# Other packages


def retrying_adapter(w):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        w.api().mount("https://", requests.adapters.HTTPAdapter(max_retries=3))


def without(w, module, use):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        w.patch.delitem(sys.modules, name)
    w.patch.setitem(sys.modules, module, None)
    use()


PACKAGES = {
    (
        "the adapter for … retries up to … times for each of httpkit's own attempts: pass"
        " retry=None or an adapter without max_retries"
    ): retrying_adapter,
    "rate_limit= needs pyrate-limiter: …": (
        lambda w: without(w, "pyrate_limiter", lambda: w.api(rate_limit="1/s").get("posts"))
    ),
    "Script needs responses: pip install 'requests-httpkit[testing]'": (
        lambda w: without(w, "responses", scripted)
    ),
    "a SOCKS proxy needs PySocks: pip install 'requests[socks]'": lambda w: told_without_extras(
        w.url, "api.get('', proxies={'http': 'socks5://127.0.0.1:9'})"
    ),
    "…, holding a lambda or local function: define it in a module, or use cloudpickle…": (
        lambda w: pickle.dumps(w.api(on_status={404: lambda _: None}))
    ),
    "to_pandas() needs pandas: pip install pandas": (
        lambda w: without(w, "pandas", w.api().paginate("posts").to_pandas)
    ),
    "to_polars() needs polars: pip install polars": (
        lambda w: without(w, "polars", w.api().paginate("posts").to_polars)
    ),
    "You can only send PreparedRequests.": (lambda w: w.api().send(requests.Request("GET", w.url))),
}


# An argument is refused


def mapped(w, **options):
    return w.api().map(print, [1], **options)


def uploaded(w, source=b"bytes", **options):
    return w.api().upload("echo", source, **options)


def downloaded(w, **options):
    return w.api().download("bytes/10", "file", **options)


def refresh(w):
    def store(_tokens):
        api.get("posts/1")

    auth = httpkit.RefreshTokenAuth(
        f"{w.url}/token",
        w.sandbox.client_id,
        w.sandbox.refresh_token,
        w.sandbox.client_secret,
        on_refresh=store,
    )
    api = w.api(f"{w.url}/bearer", auth=auth)
    api.get("posts/1")


def read_before(w):
    encoder = MultipartEncoder({"file": ("a.bin", io.BytesIO(bytes(100)))})
    encoder.read(10)
    w.api().post("echo", data=encoder)


class Later:
    """A limiter of the asynchronous kind."""

    def try_acquire(self, name="", weight=1, blocking=True, timeout=-1):
        future = asyncio.new_event_loop().create_future()
        future.get_loop().close()
        return future


class Demanding(httpkit.StatusError):
    def __init__(self, one, two):
        super().__init__(one, two)


def deep(levels):
    held: dict[str, Any] = {}
    for _ in range(levels):
        held = {"a": held}
    return held


def text_file(w):
    return w.open.enter_context(w.file().open(encoding="utf-8"))


def closed_file(w):
    file = w.file().open("rb")
    file.close()
    return file


def client(w, **options):
    return httpkit.ClientCredentialsAuth(f"{w.url}/token", "me", "s3cret-of-mine", **options)


REFUSED = {
    "unexpected keyword: …": lambda w: w.api().with_options(timeot=5),
    "… must be a number of seconds, …": lambda _: httpkit.Session(timeout=0),
    "timeout=… must be seconds or (connect, read)": lambda _: httpkit.Session(timeout=(1, 2, 3)),
    "… must be a whole number…": lambda _: httpkit.RetryPolicy(attempts=0),
    "retry=… must be a RetryPolicy, a count from 1, or None": (
        lambda _: httpkit.Session(retry=True)
    ),
    "… must be True or False": lambda _: httpkit.Session(redirect_body="yes"),
    "verify=… must be True, False, the path of a CA bundle or an ssl.SSLContext": (
        lambda _: httpkit.Session(verify="")
    ),
    "cert must be a path, (certificate, key) or (certificate, key, password)": (
        lambda _: httpkit.Session(cert="")
    ),
    "cert cannot be used with an ssl.SSLContext: call load_cert_chain() on the context": (
        lambda w: w.get("echo", verify=ssl.create_default_context(), cert="a.pem")
    ),
    "the proxy… for … has a URL that cannot be parsed: percent-encode the special characters of"
    " its user name and password, as %23 for #": (
        lambda _: httpkit.Session(proxies={"http": "http://u:p#q@h:80"})
    ),
    "… cannot name …: it holds credentials": lambda _: httpkit.Session(shown=["Cookie"]),
    "a secret must be a str of … characters or more": lambda _: httpkit.add_secret("abc"),
    "… must be a sequence of …": lambda _: httpkit.Session(secret_headers="X-Key"),
    "… must map …": lambda _: httpkit.Session(headers="Accept"),
    "… must be pairs": lambda w: w.get("echo", params=5),
    "params= cannot be sent: …": lambda w: PreparedRequest().prepare_url(w.url, 5),
    "… must be a set of …": lambda _: httpkit.RetryPolicy(methods="GET"),
    "… must hold … only": lambda _: httpkit.RetryPolicy(statuses=["503"]),
    "… cannot be called": lambda w: w.get("echo", on_status={404: "gone"}),
    "… is not a status, range, '4xx'-style class or 'default'…": (
        lambda w: w.get("echo", on_status={"x4x": print})
    ),
    "… can never match: final statuses are 200 to 599": (
        lambda w: w.get("echo", on_status={100: print})
    ),
    "raising() needs an exception class, not …": lambda _: httpkit.raising("gone"),
    (
        "the session's on_status returned … for …: a session's table may only raise or return a"
        " Response"
    ): lambda w: w.api(on_status={404: lambda _: None}).get("posts/99"),
    "… must take one argument, the message": (
        lambda w: w.get("posts/99", on_status={404: httpkit.raising(Demanding)})
    ),
    "… must be a str, not …": lambda w: w.get("echo", auth=httpkit.BearerAuth(5)),
    "base_url must be a str or None, not …": lambda _: httpkit.Session(5),
    "… is empty": lambda w: w.get("echo", idempotency_key=""),
    "… contains a character that cannot be sent": (
        lambda w: w.get("echo", auth=httpkit.BearerAuth("to ken"))
    ),
    "auth cannot be …: pass a strategy": lambda _: httpkit.Session(auth="token"),
    "requests sends pairs in Latin-1: use BasicAuth for others": (
        lambda w: w.get("echo", auth=("me", "пароль"))
    ),
    "auth=(user, password) must be two texts": lambda w: w.get("echo", auth=("me", 5)),
    "a user name cannot contain a colon (RFC 7617 section 2)": (
        lambda w: w.get("echo", auth=httpkit.BasicAuth("a:b", "s3cret-of-mine"))
    ),
    "user and password are both empty": lambda w: w.get("echo", auth=httpkit.BasicAuth("", "")),
    'the token must not begin with "Bearer": BearerAuth adds it': (
        lambda _: httpkit.BearerAuth("Bearer abc123")
    ),
    "where=… must be one of …": lambda _: httpkit.APIKeyAuth("key-of-mine", where="body"),
    "token_url=…": lambda _: httpkit.ClientCredentialsAuth("http://a.example/", "me", "s3cret"),
    "client_auth=… must be 'basic' or 'post'": lambda w: client(w, client_auth="header"),
    "fetch must return a TokenSet or a str, not …": (
        lambda w: w.get("echo", auth=httpkit.TokenAuth(lambda *_: 5))
    ),
    "fetch returned a token that cannot be sent in a header": (
        lambda w: w.get("echo", auth=httpkit.TokenAuth(lambda *_: "two words"))
    ),
    "client_secret is None: pass it, or client_assertion in extra=": (
        lambda w: httpkit.ClientCredentialsAuth("https://a.test/token", "client", None)
    ),
    "extra cannot hold …: it has a keyword of its own": (
        lambda w: client(w, extra={"scope": "read"})
    ),
    "… must be a str or several, or None": lambda w: client(w, scope=5),
    "… cannot be sent": lambda w: client(w, scope="naïve"),
    "on_refresh made a request that needs the token it is being told of": refresh,
    "idempotency_header=… is not a header name": (
        lambda _: httpkit.RetryPolicy(idempotency_header="a b")
    ),
    "hides its secret: pass get_secret_value()": lambda w: w.get(
        "echo", params={"a": pydantic.SecretStr("abcdefgh")}
    ),
    "it holds a secret that hides itself: pass get_secret_value()": lambda w: w.api().post(
        "echo",
        json=pydantic.create_model("M", s=pydantic.SecretStr)(s=pydantic.SecretStr("abcdefgh")),
    ),
    "is a nested mapping: name its members, or use form=True": lambda w: w.get(
        "echo", params={"a": {}}
    ),
    "is a …: name its members, or use form=True": lambda w: w.get("echo", params={"a": Holder(1)}),
    "is a …, which has no text": lambda w: w.get("echo", params={"a": object()}),
    "is not a time": lambda w: w.get("echo", params={"a": NotATime(2026, 1, 1)}),
    "method=… must be 'GET' or 'POST'": lambda _: httpkit.PageLink("x", method="PUT"),
    "json=… must be a mapping": lambda _: httpkit.PageLink("x", json=[]),
    "is a list within a list": lambda w: w.get("echo", params={"a": [[]]}),
    "is a …, which names nothing in a URL": lambda w: w.get("posts/{id}", path={"id": object()}),
    "the reference … cannot be resolved": lambda w: w.get("echo").urljoin("ftp://a.test/"),
    "wait= returned no number of seconds: …": lambda w: w.api(
        retry=httpkit.RetryPolicy(wait=lambda _: -1)
    ).get("status/503"),
    "method=… is an invalid HTTP method": lambda w: w.api().request("GET IT", "echo"),
    (
        "header … cannot be sent: it must be str or bytes, in Latin-1, without line breaks or"
        " leading space"
    ): lambda w: w.get("echo", headers={"X-Name": "a\nb"}),
    "… cannot name a header field": lambda w: w.get("echo", headers={"X Name": "a"}),
    "an argument cannot be used: …": lambda w: w.get("echo", hooks=5),
    "the body cannot be sent: …": lambda w: w.api().post("echo", data=[1, 2]),
    "json= cannot be sent: …": lambda w: w.api().post("echo", json=deep(200_000)),
    "Out of range float values are not JSON compliant…": (
        lambda w: w.api().post("echo", json={"a": float("nan")})
    ),
    "… cannot be sent as JSON: …": lambda w: w.api().post("echo", json=object()),
    "data=… is not a body": lambda w: w.api().post("echo", data=5),
    "data= is a file opened as text: open it in binary mode ('rb')": (
        lambda w: w.api().post("echo", data=text_file(w))
    ),
    "the body is not valid UTF-8": lambda w: w.api().post("echo", data="\ud800"),
    "a parameter is not valid UTF-8": lambda w: w.get("echo", params={"a": "\ud800"}),
    "the URL is not valid UTF-8": lambda w: w.get(b"\xff"),
    "the URL is None": lambda w: w.get(None),
    "the URL cannot be parsed": lambda w: w.get("http://[::1"),
    "files= holds an iterator: pass bytes or a file": (
        lambda w: w.api().post("echo", files={"a": once()})
    ),
    "… cannot be sent as a form: pass a dict or a model object": (
        lambda w: w.api().resource("echo", form=True).create([1])
    ),
    "a form cannot be nested this deep": (
        lambda w: w.api().resource("echo", form=True).create(deep(2000))
    ),
    "the … was read from already: make a new one": read_before,
    "query must be a GraphQL document, as text": lambda w: w.api().graphql(5),
    "url=… must be the endpoint, as text": lambda w: w.api().graphql("{ a }", url={"a": 1}),
    "rate_limit=… must be such as '10/s' or '100/min', …": (
        lambda _: httpkit.Session(rate_limit="often")
    ),
    "rate_limit= is an asynchronous limiter, and sessions are not": (
        lambda w: w.api(rate_limit=Later()).get("posts")
    ),
    "invalid pager …: pass an instance such as LinkPages()": (
        lambda w: w.api().paginate("posts", httpkit.LinkPages)
    ),
    "… must name …": lambda _: httpkit.CursorPages(""),
    "a resource needs a path, not …": lambda _: httpkit.Resource(""),
    "item_path=… must hold '{id}' once": lambda _: httpkit.Resource("posts", item_path="post"),
    "… must begin with '{id}' if id= is given, and only so": (
        lambda w: w.api().resource("posts").request("GET", "{id}/publish")
    ),
    "json= and data= are two bodies: pass one": (
        lambda w: w.api().resource("posts").request("POST", json={"a": 1}, data={"a": 1})
    ),
    "… is not a list of items: create(item) adds a single one": (
        lambda w: w.api().resource("posts").create_many({"title": "a"})
    ),
    "if_match=… must be an ETag or '*'": (
        lambda w: w.api().resource("posts").delete(1, if_match="")
    ),
    "executor=… has no submit()": lambda w: mapped(w, executor=5),
    "errors=… must be 'raise' or 'return'": lambda w: mapped(w, errors="ignore"),
    "items=… cannot be iterated over": lambda w: w.api().map(print, 5),
    "progress=… must be a bool, a callable or a bar": lambda w: mapped(w, progress=5),
    "…=… must be one of …": lambda w: downloaded(w, if_exists="ask"),
    "checksum=… like 'sha256:<hex digest>'": lambda w: downloaded(w, checksum="abc"),
    "a … checksum has … hexadecimal digits": lambda w: downloaded(w, checksum="sha256:abc"),
    "…=… must be a number of bytes a second, …": (lambda w: downloaded(w, min_speed="fast")),
    "max_rate=… is below min_speed=…": lambda w: downloaded(w, min_speed=9, max_rate=8),
    "a Range in headers= of download(): …": (
        lambda w: downloaded(w, headers={"Range": "bytes=0-1"})
    ),
    "… must be a path, as text": lambda w: w.api().download("bytes/10", b"file"),
    "… holds a character that a path cannot contain": (
        lambda w: w.api().download("bytes/10", "fi\0le")
    ),
    "the file is opened as text: open it in binary mode ('wb')": (
        lambda w: w.api().download("bytes/10", io.StringIO())
    ),
    "content_type=… must be a pattern, or several": lambda w: downloaded(w, content_type=5),
    "content_type=… is not a valid media type": lambda w: uploaded(w, content_type="picture"),
    "this download went into a file object and has no path": (
        lambda w: os.fspath(w.api().download("bytes/10", io.BytesIO()))
    ),
    (
        "… cannot be uploaded: pass a path, bytes, a file, an iterable of bytes, or a callable"
        " that returns one"
    ): lambda w: uploaded(w, 5),
    "a path must be text: bytes are sent as they are": lambda w: uploaded(w, BytesPath()),
    "size=…, but there are … bytes": lambda w: uploaded(w, size=99),
    "resumable=… must be one of …": lambda w: uploaded(w, resumable="ftp"),
    "… goes with …": lambda w: uploaded(w, state="upload.json"),
    "chunk_size must be a multiple of … bytes": (
        lambda w: uploaded(w, resumable="content-range", chunk_size=7)
    ),
    "a resumable upload must be able to begin again, but …": (
        lambda w: uploaded(w, once(), resumable="tus")
    ),
    "a key of data= holds a space, a comma or no ASCII": (
        lambda w: uploaded(w, resumable="tus", data={"a b": 1})
    ),
    "the file is opened as text: open it in binary mode ('rb')": (
        lambda w: uploaded(w, text_file(w))
    ),
    "the file is closed": lambda w: uploaded(w, closed_file(w)),
    "level=… is not a level of logging": lambda _: httpkit.log_requests("LOUD"),
    "the request is not prepared: it has no method or URL": (lambda _: PreparedRequest().to_curl()),
    "status=… must be a number, 200 to 599": lambda _: Script(100),
    "a Reply has json= or body=, not both": lambda _: Reply(json={}, body=b"{}"),
    "cut_at=… is not within the body": lambda _: Reply(body=b"1234", cut_at=4),
    "… is not a scripted response: give a status, a Reply, an exception or a callable": lambda _: (
        Script("200")
    ),
    "… is not a scripted response: not an exception class": lambda _: Script(str),
    "url=… must be absolute: a script knows no session": lambda _: Script(url="users"),
    "seconds=… must be a number, 0 or more": lambda _: FakeClock().advance(-1),
}


class BytesPath:
    def __fspath__(self):
        return b"path"


CASES = (
    STATUSES | STOPS | TIME | ANSWERS | RULES | REDIRECTS | NOTES | DOWNLOADS | UPLOADS | LISTS
) | (RESOURCES | TESTS | PACKAGES | REFUSED)


def test_every_entry_has_a_case_and_stands_once():
    assert sorted(ENTRIES) == sorted(CASES)


# What a call raises; and scripts, a lambda in a pickle (the last until Python 3.13), warnings.
RAISED = (
    *(requests.RequestException, ValueError, TypeError),
    *(AssertionError, pickle.PicklingError, AttributeError, UserWarning),
)


@pytest.mark.parametrize("entry", sorted(CASES))
def test_a_message_on_the_page_is_met(entry, world):
    with pytest.raises(RAISED) as caught:
        CASES[entry](world)

    assert pattern(entry).search(words(caught.value)), words(caught.value)


# Said only within the house, or translated on the way out.
INNER = {
    "MissingError",
    "UnsupportedModelError",  # becomes a ConfigurationError
    "UnresolvedModelError",  # likewise
    "MismatchError",  # why an answer is not of a model: the words after the colon
    "CappedError",  # why a download goes on: within "... bytes arrived in ..."
    "NotImplementedError",
    "TimeoutError",  # becomes a "Read timed out"
    "NewConnectionError",
    "ProtocolError",
    "BrokenPipeError",
    "AttributeError",  # of a name that is none
}
# What begins or ends with what is known at run time only; each has an entry by its other words.
COMPOSED = {
    "leads to a … URL": "its Location …",
    "has no host": "its Location …",
    "holds a user name or password": "its Location …",
    "cannot be parsed": "its Location …",
    "…: … arrived in … attempts… (…)": "…: … bytes arrived in … attempts…",
    "… of … bytes arrived": "…: … bytes arrived in … attempts…",
    "…, and …": "the file it is written to cannot be rewound",
    "no token: …": "no token: … responded …",
    "at … …": "at … there is no single value",
    "dest=… cannot be used: the path is too long for Windows, which takes … characters, those that"
    " name an unfinished file among them": "… holds a character that a path cannot contain",
    "encoding objects of type … is unsupported": "… cannot be sent as JSON: …",
    "Expected `…`, got `…`": "the response to … is not …: …",
    "Object missing required field `…`": "the response to … is not …: …",
    "…, which is not sent there": (
        "its next link is of another origin, and merges with the list's document, which is not sent"
        " there"
    ),
    "item_path=… must hold … once": "item_path=… must hold '{id}' once",
    "… must begin with … if id= is given, and only so": (
        "… must begin with '{id}' if id= is given, and only so"
    ),
    "the name has no address": "… the name has no address",
    "…=… cannot be used: …": "… holds a character that a path cannot contain",  # Windows'
    "…: …": "page … of …: …",
    "…: … …": "is a nested mapping: name its members, or use form=True",
    "params: … …": "is a nested mapping: name its members, or use form=True",
    "the path value … …": "is a …, which names nothing in a URL",
}


def spelled(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(spelled(part) or "…" for part in node.values)
    return None


def messages():
    """Return the messages with which the package makes its errors, by where they stand."""
    makers = {"decode_error", "_redirect_error", "_token_error", "_wrong", "_useless"} | vars(
        requests.exceptions
    ).keys()
    for path in sorted(Path(httpkit.__file__).parent.rglob("*.py")):
        if path.parent.name == "sandbox":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if name in makers or (name.endswith("Error") or name.startswith("Invalid")):
                texts = [spelled(argument) for argument in node.args]
                if name not in INNER:
                    yield from ((f"{path.name}:{node.lineno}", text) for text in texts if text)


def test_every_message_of_the_source_has_an_entry():
    known = [pattern(entry) for entry in ENTRIES]
    found = [(place, text) for place, text in messages() if " " in text]

    missing = [
        f"{place} {text}"
        for place, text in found
        if COMPOSED.get(text) not in ENTRIES and not any(one.search(text) for one in known)
    ]

    assert missing == []
    assert len(found) > 200
