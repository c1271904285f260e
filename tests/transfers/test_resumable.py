"""An upload that is cut goes on from what the server has, and ends with the file, byte for byte."""

import base64
import hashlib
import io
import json
import os
import random
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit._diagnostics.errors import ChecksumError, IncompleteError, RedirectError, TransferError
from tests.support.platforms import ON_WINDOWS, PATIENCE, only_on_windows

GRAIN = 256 << 10
TOKEN = "t0ken-of-the-session"
CUT = object()

# What the system says; Windows says only that there is no such file.
TOO_LONG = "too long"


def noise(seed, size):
    """Return bytes that look random and are the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


BODY = noise(1, 4 * GRAIN + 1000)


def spell(status, body=b"", **fields):
    head = {"content-length": str(len(body)), "connection": "close"}
    head |= {name.replace("_", "-"): str(value) for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


class Received:
    """A request as it arrived."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split()
        pairs = (line.partition(":") for line in lines)
        self.fields = {name.lower(): value.strip() for name, _, value in pairs}


class ScriptedUpload:
    """A server of one upload, in either protocol, that does what a script wants.

    Attributes:
        protocol: "content-range" or "tus".
        script: What the n-th request gets in place of the right answer: bytes; a number of
            bytes of its body to keep before hanging up; or a function of the request.
        content: What arrived.
        created: How often an upload was begun.
    """

    def __init__(self, raw_server, protocol, script=None):
        self.protocol, self.script = protocol, dict(script or {})
        self.content, self.total, self.created = b"", None, 0
        self.upload_path = "/place/{}"
        self._raw = raw_server(self._reply)
        self.url = self._raw.url

    @property
    def seen(self):
        return [Received(raw) for raw in self._raw.requests]

    @property
    def steps(self):
        """What each request was: its method, and the position it names."""
        return [
            (seen.method, seen.fields.get("upload-offset") or seen.fields.get("content-range"))
            for seen in self.seen
        ]

    def _reply(self, connection):
        seen = self.seen[-1]
        act = self.script.pop(len(self._raw.requests), None)
        act = act(seen) if callable(act) else act
        if isinstance(act, bytes):
            connection.sendall(act)
        elif act is not CUT:
            self._answer(connection, seen, act)

    def _answer(self, connection, seen, kept):
        is_tus = self.protocol == "tus"
        if seen.method == "POST":
            field = "upload-length" if is_tus else "x-upload-content-length"
            self.content, self.total = b"", int(seen.fields[field])
            self.created += 1
            location = self.upload_path.format(self.created)
            connection.sendall(spell("201 Created" if is_tus else "200 OK", location=location))
            return
        if seen.target != self.upload_path.format(self.created) and self.upload_path[0] == "/":
            connection.sendall(spell("404 Not Found"))
            return
        if not self._keep(seen, kept):
            connection.sendall(spell("409 Conflict" if is_tus else "416 Range Not Satisfiable"))
        elif kept is None:
            connection.sendall(self._state())

    def _keep(self, seen, kept):
        if seen.method == "HEAD" or seen.fields.get("content-range", "").startswith("bytes */"):
            return True
        start = seen.fields.get("upload-offset") or seen.fields["content-range"][6:]
        if int(start.partition("-")[0]) != len(self.content):
            return False
        self.content += seen.body[:kept]
        return True

    def _state(self):
        size = len(self.content)
        if self.protocol == "tus":
            return spell("204 No Content", upload_offset=size)
        if size == self.total:
            return spell("201 Created", b"{}", content_type="application/json")
        fields = {"range": f"bytes=0-{size - 1}"} if size else {}
        return spell("308 Resume Incomplete", **fields)


both = pytest.mark.parametrize("protocol", ["content-range", "tus"])


@pytest.fixture
def path(tmp_path):
    """A file that holds BODY."""
    file = tmp_path / "film.mp4"
    file.write_bytes(BODY)
    return file


@pytest.fixture
def state(tmp_path):
    return tmp_path / "upload.state"


# From beginning to end


@both
def test_an_upload_arrives_whole_in_one_request(api, raw_server, path, protocol):
    server = ScriptedUpload(raw_server, protocol)

    response = api.upload(server.url, path, resumable=protocol)

    first, second = server.seen
    assert server.content == BODY
    assert response.status_code == (204 if protocol == "tus" else 201)
    assert (first.method, first.body, second.target) == ("POST", b"", "/place/1")
    assert second.fields["content-length"] == str(len(BODY))
    if protocol == "tus":
        about = dict(pair.split() for pair in first.fields["upload-metadata"].split(","))
        steps = {name: base64.b64decode(value).decode() for name, value in about.items()}
        assert steps == {"filetype": "video/mp4", "filename": "film.mp4"}
        assert first.fields["upload-length"] == str(len(BODY))
        assert {seen.fields["tus-resumable"] for seen in (first, second)} == {"1.0.0"}
        assert (second.method, second.fields["upload-offset"]) == ("PATCH", "0")
        assert second.fields["content-type"] == "application/offset+octet-stream"
    else:
        assert first.fields["x-upload-content-type"] == "video/mp4"
        assert first.fields["x-upload-content-length"] == str(len(BODY))
        assert second.method == "PUT"
        assert second.fields["content-range"] == f"bytes 0-{len(BODY) - 1}/{len(BODY)}"


@both
def test_an_upload_arrives_whole_in_chunks(api, raw_server, path, protocol):
    server = ScriptedUpload(raw_server, protocol)

    api.upload(server.url, path, resumable=protocol, chunk_size=2 * GRAIN)

    assert server.content == BODY
    assert [len(seen.body) for seen in server.seen] == [0, 2 * GRAIN, 2 * GRAIN, 1000]


@both
def test_a_file_of_zero_bytes_is_uploaded_too(api, raw_server, protocol):
    server = ScriptedUpload(raw_server, protocol)

    api.upload(server.url, b"", resumable=protocol)

    assert (server.created, server.content) == (1, b"")
    if protocol == "content-range":  # only the answer to a PUT says that there is a file now
        assert server.steps[1:] == [("PUT", "bytes */0")]


def source_of(source_type, body, folder):
    if source_type in {"path", "file"}:
        (folder / "source").write_bytes(b"head" * (source_type == "file") + body)
    if source_type == "file":
        file = (folder / "source").open("rb")
        file.seek(4)
        return file
    if source_type == "path":
        return folder / "source"
    return body if source_type == "bytes" else lambda: iter([body[:9], body[9:]])


@pytest.mark.parametrize("seed", range(8))
def test_wherever_it_is_cut_the_file_arrives(api, raw_server, tmp_path, seed):
    dice = random.Random(seed)  # noqa: S311  # no secret: the same in every run
    protocol = ["content-range", "tus"][seed % 2]
    body = noise(seed, dice.randrange(1, 3 * GRAIN))
    cuts = sorted(dice.sample(range(2, 14, 2), 3))
    kept = [dice.choice([0, 1, dice.randrange(len(body)), len(body)]) for _ in cuts]
    server = ScriptedUpload(raw_server, protocol, zip(cuts, kept, strict=True))
    source = source_of(["path", "file", "bytes", "callable"][seed // 2], body, tmp_path)
    chunk = dice.choice([None, GRAIN])

    api.upload(server.url, source, resumable=protocol, chunk_size=chunk, size=len(body))

    assert server.content == body
    assert server.created == 1
    if hasattr(source, "close"):
        source.close()


@pytest.mark.parametrize(
    ("url", "protocol"), [("resumable/k", "content-range"), ("tus/k", "tus")], ids=["range", "tus"]
)
def test_only_what_is_missing_is_sent_again(sandbox, path, url, protocol):
    drop = 70_000

    with httpkit.Session(sandbox.url, timeout=5) as api:
        api.upload(f"{url}?drop={drop}&times=2", path, resumable=protocol)
        there = api.get(url).content

    assert there == BODY
    sent = [len(request.body) for request in sandbox.requests if request.body]
    assert sent == [len(BODY), len(BODY) - drop, len(BODY) - 2 * drop]


@both
def test_an_upload_whose_last_response_is_lost_is_complete(api, raw_server, path, protocol):
    server = ScriptedUpload(raw_server, protocol, {2: len(BODY)})

    response = api.upload(server.url, path, resumable=protocol)

    assert response.ok
    assert server.content == BODY
    assert len(server.seen) == 3


def test_onedrive_says_in_json_what_it_misses(api, raw_server, path):
    def begin(seen):
        server.created, server.total = 1, len(BODY)
        return onedrive("200 OK", uploadUrl=f"{server.url}/place/1")

    def onedrive(status, **members):
        return spell(status, json.dumps(members).encode(), content_type="application/json")

    def take(seen):
        server.content += seen.body[:-10]  # it may take less than it was sent
        return onedrive("202 Accepted", nextExpectedRanges=[f"{len(server.content)}-"])

    server = ScriptedUpload(raw_server, "content-range", {1: begin, 2: take, 3: take})

    response = api.upload(
        server.url, path, resumable="content-range", chunk_size=2 * GRAIN, data={"name": "é"}
    )

    assert server.content == BODY
    assert response.status_code == 201
    assert json.loads(server.seen[0].body) == {"name": "é"}


# What a server may say in between


@pytest.mark.parametrize(
    ("protocol", "status"),
    [
        ("tus", "408 Timeout"), ("tus", "409 Conflict"), ("content-range", "412 Failed"),
        ("content-range", "416 Range"), ("tus", "423 Locked"), ("content-range", "502 Bad"),
    ],
)  # fmt: skip
def test_a_server_out_of_sync_is_queried(api, raw_server, path, protocol, status):
    server = ScriptedUpload(raw_server, protocol, {3: spell(status)})

    api.upload(server.url, path, resumable=protocol, chunk_size=2 * GRAIN)

    assert server.content == BODY
    assert server.created == 1
    assert server.steps[3] == ("HEAD", None) or server.steps[3][1] == f"bytes */{len(BODY)}"


@both
def test_a_busy_server_is_given_the_time_it_wants(api, raw_server, waits, path, protocol):
    server = ScriptedUpload(raw_server, protocol, {2: spell("503 Busy", retry_after=7)})

    api.upload(server.url, path, resumable=protocol)

    assert server.content == BODY
    assert waits == [7]


@pytest.mark.parametrize(
    ("protocol", "status"), [("tus", "404 Not Found"), ("content-range", "410 Gone")]
)
def test_an_upload_that_the_server_lost_is_begun_again(api, raw_server, path, protocol, status):
    server = ScriptedUpload(raw_server, protocol, {3: spell(status)})

    api.upload(server.url, path, resumable=protocol, chunk_size=2 * GRAIN)

    assert server.content == BODY
    assert server.created == 2


def test_an_upload_that_the_server_lost_late_is_not_given_up(api, raw_server):
    server = ScriptedUpload(raw_server, "tus", {10: spell("404 Not Found")})

    api.upload(server.url, BODY[:1000], resumable="tus", chunk_size=100, max_stalls=3)

    assert server.content == BODY[:1000]


def test_a_rejection_is_reported(api, raw_server, path):
    server = ScriptedUpload(raw_server, "tus", {2: spell("403 Forbidden")})

    with pytest.raises(httpkit.ForbiddenError):
        api.upload(server.url, path, resumable="tus")

    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("protocol", "reply"),
    [
        ("content-range", spell("308 Resume", range=f"bytes=0-{2 * GRAIN}")),
        ("content-range", spell("308 Resume", range="bytes=5-9")),
        ("content-range", spell("308 Resume", range="bytes=0-x")),
        ("content-range", spell("200 OK")),
        ("tus", spell("200 OK", upload_offset=2 * GRAIN + 1)),
        ("tus", spell("200 OK", upload_offset=-1)),
        ("tus", spell("200 OK")),
        ("tus", spell("307 Temporary Redirect", location="/elsewhere", upload_offset=5)),
    ],
    ids=[
        "more than sent", "not from 0", "no number", "whole after a part", "more than sent, tus",
        "negative, tus", "nothing said, tus", "redirect, tus",
    ],
)  # fmt: skip
def test_a_server_that_makes_no_sense_is_not_believed(api, raw_server, path, protocol, reply):
    server = ScriptedUpload(raw_server, protocol, {2: reply})

    with pytest.raises(TransferError):
        api.upload(server.url, path, resumable=protocol, chunk_size=2 * GRAIN)

    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("protocol", "reply"),
    [("content-range", spell("201 Created")), ("tus", spell("200 OK", upload_offset=len(BODY)))],
    ids=["content-range", "tus"],
)
def test_a_server_that_claims_what_nobody_sent_is_not_believed(
    api, raw_server, path, protocol, reply
):
    server = ScriptedUpload(raw_server, protocol, {2: CUT, 3: reply})

    with pytest.raises(TransferError):
        api.upload(server.url, path, resumable=protocol, chunk_size=GRAIN)

    assert len(server.content) < len(BODY)


@both
def test_nothing_new_is_borne_so_often(api, raw_server, waits, path, protocol):
    server = ScriptedUpload(raw_server, protocol, dict.fromkeys(range(2, 50), spell("423 Locked")))

    with pytest.raises(IncompleteError, match=f"0 of {len(BODY)} bytes") as caught:
        api.upload(server.url, path, resumable=protocol, max_stalls=3, retry=None)

    assert caught.value.attempts == len(server.seen) - 1 == 4
    assert len(waits) == 3


def test_with_no_patience_the_first_cut_is_the_last(api, raw_server, path):
    server = ScriptedUpload(raw_server, "tus", {2: 1000})

    with pytest.raises(IncompleteError, match="state="):
        api.upload(server.url, path, resumable="tus", max_stalls=0)

    assert len(server.seen) == 2


# Where it goes


def test_a_relative_address_is_resolved(api, raw_server, path):
    server = ScriptedUpload(raw_server, "tus")
    server.upload_path = "place/{}"

    api.upload(f"{server.url}/v1/files", path, resumable="tus")

    assert server.content == BODY
    assert server.seen[1].target == "/v1/place/1"


def test_an_upload_that_the_server_loses_repeatedly_is_given_up(api, raw_server):
    server = ScriptedUpload(
        raw_server, "tus", dict.fromkeys(range(3, 40, 3), spell("404 Not Found"))
    )

    with pytest.raises(IncompleteError):
        api.upload(server.url, BODY[:1000], resumable="tus", chunk_size=100, max_stalls=2)

    assert server.created == 3


@pytest.mark.parametrize("auth", [None, httpkit.BearerAuth(TOKEN)], ids=["of the URL", "own"])
def test_a_url_with_a_password_has_relatives_too(raw_server, auth):
    server = ScriptedUpload(raw_server, "tus")

    with httpkit.Session(server.url.replace("//", "//user:word@"), auth=auth) as api:
        api.upload("files", BODY[:9], resumable="tus")

    assert server.content == BODY[:9]
    assert len({seen.fields["authorization"] for seen in server.seen}) == 1


@pytest.mark.parametrize(
    ("protocol", "place"),
    [
        ("tus", None), ("content-range", None), ("tus", "http://127.0.0.1:1/x"),
        ("content-range", "http://127.0.0.1:1/x"), ("tus", "javascript:alert(1)"),
        ("content-range", "http://user:pass@{host}/x"), ("tus", "ftp://{host}/x"),
    ],
    ids=["none", "none, range", "foreign", "foreign, range", "javascript", "userinfo", "ftp"],
)  # fmt: skip
def test_an_address_where_the_body_has_no_business_gets_nothing(
    api, raw_server, path, protocol, place
):
    fields = {} if place is None else {"location": place}

    def begin(seen):
        host = server.url.removeprefix("http://")
        return spell("201 Created", **{n: v.format(host=host) for n, v in fields.items()})

    server = ScriptedUpload(raw_server, protocol, {1: begin})

    with pytest.raises(TransferError if place is None else RedirectError):
        api.upload(server.url, path, resumable=protocol)

    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("of_session", "of_call"),
    [
        ({"auth": httpkit.BearerAuth(TOKEN)}, {}),
        ({"headers": {"X-API-Key": TOKEN}}, {}),
        ({"cookies": {"sid": TOKEN}}, {}),
        ({}, {"auth": httpkit.BearerAuth(TOKEN)}),
        ({}, {"headers": {"X-API-Key": TOKEN}}),
        ({}, {"cookies": {"sid": TOKEN}}),
    ],
    ids=[
        "session auth", "session header", "session cookie", "call auth", "call header",
        "call cookie",
    ],
)  # fmt: skip
@pytest.mark.parametrize("has_base", [True, False], ids=["base URL", "no base URL"])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not strict"])
def test_credentials_go_to_no_address_of_another_origin(
    raw_server, path, of_session, of_call, has_base, strict
):
    elsewhere, server = ScriptedUpload(raw_server, "tus"), ScriptedUpload(raw_server, "tus")
    elsewhere.created, elsewhere.total = 1, len(BODY)
    server.upload_path = f"{elsewhere.url}/place/{{}}"

    base = server.url if has_base else None
    with httpkit.Session(base, timeout=5, strict=strict, **of_session) as api:
        api.upload(f"{server.url}/files", path, resumable="tus", redirect_body=True, **of_call)

    assert TOKEN in str(server.seen[0].fields)
    assert elsewhere.content == BODY
    assert [TOKEN in str(seen.fields) for seen in elsewhere.seen] == [False]


def test_a_trusted_origin_may_have_the_upload(raw_server, path):
    elsewhere, server = ScriptedUpload(raw_server, "tus"), ScriptedUpload(raw_server, "tus")
    elsewhere.created, elsewhere.total = 1, len(BODY)
    server.upload_path = f"{elsewhere.url}/place/{{}}"

    with httpkit.Session(server.url, timeout=5, trusted_origins=[elsewhere.url]) as api:
        api.upload("files", path, resumable="tus")

    assert elsewhere.content == BODY


@both
def test_each_request_carries_what_belongs_to_it(raw_server, path, protocol):
    server = ScriptedUpload(raw_server, protocol, {2: 1000})

    with httpkit.Session(server.url, timeout=5, auth=httpkit.BearerAuth(TOKEN)) as api:
        api.upload(
            "{name}/files", path, resumable=protocol, path={"name": "a b"}, params={"q": "1"},
            headers={"X-Trace": "7", "Content-Type": "text/plain"},
        )  # fmt: skip

    first, *later = server.seen
    assert len(later) == 3
    assert first.target == "/a%20b/files?q=1"
    assert {seen.target for seen in later} == {"/place/1"}
    assert {seen.fields["authorization"] for seen in server.seen} == {f"Bearer {TOKEN}"}
    assert {seen.fields["x-trace"] for seen in server.seen} == {"7"}
    assert "text/plain" not in [seen.fields.get("content-type") for seen in later]


def test_a_key_of_the_first_request_is_not_that_of_the_others(api, raw_server, path):
    server = ScriptedUpload(raw_server, "tus")

    api.upload(server.url, path, resumable="tus", idempotency_key="one", chunk_size=2 * GRAIN)

    first, *later = server.seen
    assert first.fields["idempotency-key"] == "one"
    assert [seen.fields.get("idempotency-key") for seen in later] == [None] * 3


def test_what_is_known_of_a_file_cannot_add_to_itself(api, raw_server):
    server = ScriptedUpload(raw_server, "tus")

    with suppress(ValueError):  # refusing it is fine, too
        api.upload(server.url, BODY[:9], resumable="tus", data={"a b3duZXI=,owner": "x"})

    for seen in server.seen[:1]:
        assert "owner" not in seen.fields["upload-metadata"]


# In the next call, and in the next process


def interrupt(api, server, source, protocol, state, **options):
    """Upload half of a source, and leave the state file of it."""
    with pytest.raises(IncompleteError):
        api.upload(server.url, source, resumable=protocol, state=state, max_stalls=0, **options)


@both
def test_the_next_call_goes_on(api, raw_server, path, state, protocol):
    server = ScriptedUpload(raw_server, protocol, {2: 300_000})
    interrupt(api, server, path, protocol, state)
    mode = stat.S_IMODE(state.stat().st_mode)
    heard = []

    api.upload(
        server.url, str(path), resumable=protocol, state=str(state),
        progress=lambda p: heard.append((p.done, p.total, p.resumed_from)),
    )  # fmt: skip

    assert ON_WINDOWS or mode == 0o600
    assert (server.content, server.created) == (BODY, 1)
    assert [len(seen.body) for seen in server.seen[3:]] == [len(BODY) - 300_000]
    assert not state.exists()
    assert heard[0] == (300_000, len(BODY), 300_000)
    assert heard[-1] == (len(BODY), len(BODY), 300_000)


def test_the_state_file_does_not_contain_the_endpoint(api, raw_server, path, state):
    server = ScriptedUpload(raw_server, "tus", {2: 1000})
    server.upload_path = "/place/{}"

    with pytest.raises(IncompleteError):
        api.upload(
            f"{server.url}/secret-endpoint?key=s3cret", path, resumable="tus", state=state,
            max_stalls=0,
        )  # fmt: skip

    assert "secret-endpoint" not in state.read_text()
    assert "s3cret" not in state.read_text()


OTHER = noise(2, len(BODY))


def rewritten(path):
    path.write_bytes(OTHER)
    os.utime(path, (1, 1))
    return path


def in_the_same_instant(path):
    facts = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return path


def sum_of(body):
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize(
    ("before", "after", "sums"),
    [
        (lambda path: path, rewritten, (None, None)),
        (lambda path: path, in_the_same_instant, (sum_of(BODY), sum_of(OTHER))),
        (lambda path: path.open("rb"), lambda path: rewritten(path).open("rb"), (None, None)),
        (lambda _: BODY, lambda _: OTHER, (None, None)),
        (lambda _: io.BytesIO(BODY), lambda _: io.BytesIO(OTHER), (None, None)),
        (lambda _: lambda: [BODY], lambda _: lambda: [OTHER], (None, None)),
        (lambda _: lambda: [BODY], lambda _: lambda: [OTHER], (sum_of(BODY), sum_of(OTHER))),
    ],
    ids=[
        "path",
        "path and checksum",
        "open file",
        "bytes",
        "BytesIO",
        "callable",
        "callable and checksum",
    ],
)
def test_a_source_that_changed_is_uploaded_from_its_beginning(
    api, raw_server, path, state, before, after, sums
):
    server = ScriptedUpload(raw_server, "tus", {2: 300_000})
    source = before(path)
    interrupt(api, server, source, "tus", state, size=len(BODY), checksum=sums[0])
    other = after(path)

    api.upload(server.url, other, resumable="tus", state=state, size=len(BODY), checksum=sums[1])

    for file in (source, other):
        if hasattr(file, "close"):
            file.close()
    assert server.content == OTHER
    assert server.created == 2


@pytest.mark.parametrize(
    "tamper",
    [
        lambda state: state.write_text("{"),
        lambda state: state.write_bytes(b"\xff\xfe"),
        lambda state: edit(state, upload_url="javascript:alert(1)"),
    ],
    ids=["cut", "no text", "javascript"],
)  # fmt: skip
def test_a_state_that_makes_no_sense_is_of_no_use(api, raw_server, path, state, tamper):
    server = ScriptedUpload(raw_server, "content-range", {2: 300_000})
    interrupt(api, server, path, "content-range", state)
    tamper(state)

    api.upload(server.url, path, resumable="content-range", state=state)

    assert (server.content, server.created) == (BODY, 2)


def edit(state, **members):
    state.write_text(json.dumps({**json.loads(state.read_text()), **members}))


@both
def test_a_state_cannot_send_the_upload_elsewhere(raw_server, path, state, protocol):
    elsewhere = ScriptedUpload(raw_server, protocol)
    server = ScriptedUpload(raw_server, protocol, {2: 300_000})
    with httpkit.Session(server.url, timeout=5, auth=httpkit.BearerAuth(TOKEN)) as api:
        interrupt(api, server, path, protocol, state)
        edit(state, upload_url=f"{elsewhere.url}/place/1")

        api.upload(server.url, path, resumable=protocol, state=state)

    assert elsewhere.seen == []
    assert (server.content, server.created) == (BODY, 2)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (lambda folder: folder, "is not a regular file"),
        (lambda folder: folder / ("a" * 300), TOO_LONG),
        (lambda folder: folder / ("a" * 300) / "state.json", TOO_LONG),
        (lambda folder: folder / "no" / "folder", "does not exist"),
        pytest.param(lambda folder: folder / "nul.txt", "device", marks=only_on_windows),
        pytest.param(lambda folder: folder / "ab:c", "not allow", marks=only_on_windows),
        (lambda _: "a\0b", "path cannot contain"),
        (lambda _: b"state.json", "as text"),
        (lambda _: 5, "as text"),
    ],
    ids=[
        "folder",
        "long",
        "long folder",
        "no folder",
        "device",
        "stream",
        "NUL",
        "bytes",
        "number",
    ],
)
def test_a_state_that_can_be_no_file_is_an_error_before_a_byte(
    api, raw_server, path, tmp_path, state, words
):
    server = ScriptedUpload(raw_server, "tus")

    with pytest.raises((TransferError, httpkit.ConfigurationError), match=words):
        api.upload(server.url, path, resumable="tus", state=state(tmp_path))

    assert server.created == 0


def test_a_state_that_cannot_be_written_stops_the_upload(api, raw_server, path, tmp_path):
    server = ScriptedUpload(raw_server, "tus")
    state = tmp_path / ("a" * 255)  # what it is written to first has a longer name

    with pytest.raises(TransferError, match="cannot be written"):
        api.upload(server.url, path, resumable="tus", state=state)

    assert server.content == b""


def test_another_protocol_does_not_go_on(api, raw_server, path, state):
    server = ScriptedUpload(raw_server, "tus", {2: 300_000})
    interrupt(api, server, path, "tus", state)
    server.protocol = "content-range"

    api.upload(server.url, path, resumable="content-range", state=state)

    assert [seen.method for seen in server.seen[2:]] == ["POST", "PUT"]
    assert server.content == BODY


def test_another_endpoint_does_not_go_on(api, raw_server, path, state):
    server, other = (
        ScriptedUpload(raw_server, "tus", {2: 300_000}),
        ScriptedUpload(raw_server, "tus"),
    )
    interrupt(api, server, path, "tus", state)

    api.upload(other.url, path, resumable="tus", state=state)

    assert (other.content, len(server.seen)) == (BODY, 2)


CHILD = """
import sys, httpkit
url, path, protocol, state = sys.argv[1:]
with httpkit.Session(timeout=60) as api:
    api.upload(url, path, resumable=protocol, state=state)
"""


@both
def test_another_process_goes_on_after_a_kill(api, raw_server, path, state, protocol):
    is_reached, is_over = threading.Event(), threading.Event()

    def hang(seen):
        server.content += seen.body[:300_000]
        is_reached.set()
        is_over.wait(PATIENCE)
        return CUT

    server = ScriptedUpload(raw_server, protocol, {2: hang})
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, path, protocol, state],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(httpkit.__file__).parents[1])},
    )
    while not is_reached.wait(0.05) and process.poll() is None:
        pass
    process.kill()
    _, steps = process.communicate(timeout=PATIENCE)
    is_over.set()

    api.upload(server.url, path, resumable=protocol, state=state)

    assert is_reached.is_set(), steps
    assert (server.content, server.created) == (BODY, 1)
    assert server.seen[2].method == ("HEAD" if protocol == "tus" else "PUT")
    assert [len(seen.body) for seen in server.seen[3:]] == [len(BODY) - 300_000]
    assert not state.exists()


# What is refused before anything is sent


@pytest.mark.parametrize(
    ("make", "size"), [(iter, 2), (lambda blocks: lambda: blocks, None)], ids=["once", "no size"]
)
def test_what_cannot_begin_again_is_refused(api, raw_server, make, size):
    server, blocks = ScriptedUpload(raw_server, "tus"), [b"a", b"b"]
    source = make(blocks)

    with pytest.raises(ValueError, match=r"only once|size="):
        api.upload(server.url, source, resumable="tus", size=size)

    assert server.seen == []
    assert list(source() if callable(source) else source) == blocks


@pytest.mark.parametrize(
    "options", [{"chunk_size": GRAIN + 1}, {"state": "/no/such/folder/state"}], ids=str
)
def test_what_cannot_work_is_refused(api, raw_server, path, options):
    server = ScriptedUpload(raw_server, "content-range")

    with pytest.raises((ValueError, TransferError)):
        api.upload(server.url, path, resumable="content-range", **options)

    assert server.seen == []


@pytest.mark.parametrize(
    ("protocol", "source_type"), [("tus", "path"), ("content-range", "file"), ("tus", "callable")]
)
def test_a_right_checksum_changes_nothing(api, raw_server, tmp_path, protocol, source_type):
    server = ScriptedUpload(raw_server, protocol)
    source = source_of(source_type, BODY, tmp_path)
    size = len(BODY) if source_type == "callable" else None

    api.upload(server.url, source, resumable=protocol, checksum=sum_of(BODY), size=size)

    if hasattr(source, "close"):
        source.close()
    assert server.content == BODY


@both
def test_with_a_wrong_checksum_nothing_is_sent(api, raw_server, path, protocol):
    server = ScriptedUpload(raw_server, protocol)

    with pytest.raises(ChecksumError):
        api.upload(server.url, path, resumable=protocol, checksum=sum_of(OTHER))

    assert server.seen == []


@pytest.mark.parametrize(
    ("protocol", "how"), [("tus", "shrinks"), ("content-range", "is rewritten")]
)
def test_a_source_that_changes_on_the_way_never_arrives(api, raw_server, path, protocol, how):
    def change(seen):
        if how == "shrinks":
            os.truncate(path, 3 * GRAIN)
        else:
            rewritten(path)

    server = ScriptedUpload(raw_server, protocol, {2: change})

    with pytest.raises(TransferError):
        api.upload(server.url, path, resumable=protocol, chunk_size=2 * GRAIN)

    assert server.content == BODY[: 2 * GRAIN]


def test_a_source_that_fails_is_no_interruption(api, raw_server, waits):
    def give():
        yield BODY[:1000]
        raise requests.ConnectionError("mine")

    server = ScriptedUpload(raw_server, "tus")

    with pytest.raises(TransferError, match="mine"):
        api.upload(server.url, give, resumable="tus", size=len(BODY))

    assert waits == []


def test_progress_that_fails_is_no_interruption(api, raw_server, waits, path):
    def fail(_):
        raise requests.ConnectionError("mine")

    server = ScriptedUpload(raw_server, "tus")

    with pytest.raises(requests.ConnectionError, match="mine"):
        api.upload(server.url, path, resumable="tus", progress=fail)

    assert waits == []
    assert server.content == b""


def test_onedrive_is_queried_by_its_own_protocol(api, raw_server, path):
    grain, steps = 320 << 10, "application/json"
    ranges = [b'{"nextExpectedRanges": ["%d-"]}' % size for size in (0, grain)]
    body = path.read_bytes()
    server = raw_server(
        spell("200 OK", b'{"uploadUrl": "/place"}', content_type=steps),
        None,
        spell("400 Bad Request"),
        spell("200 OK", ranges[1], content_type=steps),
        spell("201 Created", b"{}", content_type=steps),
    )

    api.upload(server.url, path, resumable="content-range")

    seen = [Received(raw) for raw in server.requests]
    assert [each.method for each in seen] == ["POST", "PUT", "PUT", "GET", "PUT"]
    assert seen[-1].body == body[grain:]


# When is an upload complete?

JSON, PAGE = {"content_type": "application/json"}, {"content_type": "text/html"}


@pytest.mark.parametrize(
    "reply",
    [
        spell("202 Accepted"),
        spell("202 Accepted", b"{}", **JSON),
        spell("202 Accepted", b'{"nextExpectedRanges": "0-"}', **JSON),
        spell("200 OK", b'{"nextExpectedRanges": []}', **JSON),
        spell("201 Created", b'{"nextExpectedRanges": []}', **JSON),
        spell("200 OK", b'{"expirationDateTime": "2030-01-01T00:00:00Z"}', **JSON),
        spell("200 OK", b"<html>Please log in", **PAGE),
        spell("200 OK", b"\n<!DOCTYPE html><title>Sign in</title>"),
        spell("200 OK", b'{"error": {"code": 401, "message": "expired"}}', **JSON),
        spell("201 Created", b'{"errors": ["quota"], "id": null}', **JSON),
        spell("203 Non-Authoritative Information", b"Please log in"),
        spell("206 Partial Content", b""),
        spell("200 OK"),
        spell("204 No Content", content_type="application/json"),
        spell("200 OK", b'{"ok": false}', **JSON),
        spell("202 Accepted", b'{"nextExpectedRanges": ["5-", null]}', **JSON),
    ],
    ids=[
        "202", "202 and JSON", "no list", "200 []", "201 []", "a session", "a login page",
        "an untyped page", "an error", "errors", "203", "206", "nothing", "204", "not ok",
        "no range",
    ],
)  # fmt: skip
def test_an_upload_without_an_item_is_not_a_success(api, raw_server, path, state, reply):
    server = raw_server(spell("200 OK", location="/place"), reply)

    with pytest.raises(TransferError):
        api.upload(server.url, path, resumable="content-range", state=state, max_stalls=1)

    assert state.exists()


@pytest.mark.parametrize(
    "reply",
    [
        spell("200 OK", etag='"v1"'),
        spell("201 Created"),
        spell("204 No Content", location="/files/1"),
        spell("200 OK", b"token", content_type="text/plain"),
    ],
    ids=["etag", "201", "location", "text"],
)
def test_an_upload_is_complete_where_the_server_names_what_it_stored(api, raw_server, path, reply):
    server = raw_server(spell("200 OK", location="/place"), reply)

    api.upload(server.url, path, resumable="content-range")

    assert len(server.requests) == 2


@pytest.mark.parametrize("reply", [spell("200 OK"), spell("204 No Content")], ids=["200", "204"])
@pytest.mark.parametrize("arrived", [0, 1000, len(BODY)])
def test_an_empty_success_is_followed_by_a_query(api, raw_server, path, reply, arrived):
    """A gateway's empty 200 was taken for the end of the upload."""
    server = ScriptedUpload(raw_server, "content-range")

    def swallow(seen):
        server.content += seen.body[:arrived]
        return reply

    server.script[2] = swallow

    response = api.upload(server.url, path, resumable="content-range")

    assert server.content == BODY
    assert response.status_code == 201
    assert server.steps[2] == ("PUT", f"bytes */{len(BODY)}")


def test_onedrive_may_list_what_it_misses_in_any_order(api, raw_server, path):
    missing = json.dumps({"nextExpectedRanges": [f"{3 * GRAIN}-", f" {GRAIN} - {2 * GRAIN - 1}"]})
    server = raw_server(
        spell("200 OK", location="/place"),
        spell("202 Accepted", missing.encode(), **JSON),
        spell("201 Created", b'{"id": "1"}', **JSON),
    )

    api.upload(server.url, path, resumable="content-range")

    assert Received(server.requests[-1]).body == BODY[GRAIN:]


def test_a_200_for_the_first_chunk_does_not_complete_an_upload(api, raw_server, path):
    server = raw_server(spell("200 OK", location="/place"), spell("200 OK", b"{}", **JSON))

    with pytest.raises(TransferError, match=f"but {GRAIN} were sent"):
        api.upload(server.url, path, resumable="content-range", chunk_size=GRAIN)


def test_a_status_query_by_get_is_complete_only_with_an_item(api, raw_server, path):
    start = [spell("200 OK", location="/place"), None, spell("400 Bad Request")]
    item = spell("200 OK", b'{"id": "1", "name": "film.mp4"}', **JSON)

    done = api.upload(raw_server(*start, item).url, path, resumable="content-range")
    with pytest.raises(TransferError, match="does not say how much"):
        api.upload(
            raw_server(*start, spell("200 OK", b'{"a": 1}', **JSON)).url,
            path,
            resumable="content-range",
        )

    assert done.json()["id"] == "1"


def test_another_upload_under_the_same_url_is_not_resumed(api, raw_server, path):
    server = raw_server(
        spell("201 Created", location="/place"),
        None,
        spell("204 No Content", upload_offset=10, upload_length=11),
    )

    with pytest.raises(TransferError, match="does not say how much"):
        api.upload(server.url, path, resumable="tus")


def test_an_error_names_the_state_file(api, raw_server, path, state):
    server = raw_server(spell("201 Created", location="/place"), None)

    with pytest.raises(IncompleteError, match=state.name):
        api.upload(server.url, path, resumable="tus", state=state, max_stalls=0)


def test_an_error_does_not_advise_to_trust_where_the_upload_goes(api, raw_server, path):
    server = raw_server(spell("200 OK", location="http://127.0.0.2/place"))

    with pytest.raises(RedirectError, match="redirect_body=True") as caught:
        api.upload(server.url, path, resumable="content-range")

    assert "trusted_origins" not in str(caught.value)


# The IETF draft


class IetfServer:
    """A server of one upload after draft-ietf-httpbis-resumable-upload.

    Attributes:
        content: What arrived.
        cuts: How many bytes of the n-th PATCH are kept before it hangs up.
    """

    def __init__(self, raw_server, cuts=()):
        self.content, self.is_complete, self.cuts = b"", False, list(cuts)
        self._raw = raw_server(self._reply)
        self.url = self._raw.url

    @property
    def requests(self):
        return [Received(raw) for raw in self._raw.requests]

    def _reply(self, connection):
        request = self.requests[-1]
        if request.method == "POST":
            connection.sendall(spell("201 Created", location="/place", upload_complete="?0"))
        elif request.method == "HEAD":
            complete = "?1" if self.is_complete else "?0"
            connection.sendall(
                spell("204 No Content", upload_offset=len(self.content), upload_complete=complete)
            )
        elif int(request.fields["upload-offset"]) != len(self.content):
            connection.sendall(spell("409 Conflict"))
        else:
            self._append(connection, request)

    def _append(self, connection, request):
        cut = self.cuts.pop(0) if self.cuts else None
        self.content += request.body[:cut]
        if cut is None:
            self.is_complete = request.fields["upload-complete"] == "?1"
            complete = "?1" if self.is_complete else "?0"
            connection.sendall(
                spell("200 OK", upload_offset=len(self.content), upload_complete=complete)
            )


@pytest.mark.parametrize("chunk_size", [None, 1000_000])
@pytest.mark.parametrize("cuts", [(), (0,), (5000, 70_000)], ids=["whole", "at 0", "twice"])
def test_an_upload_by_the_ietf_draft_arrives_whole(api, raw_server, path, cuts, chunk_size):
    server = IetfServer(raw_server, cuts)

    response = api.upload(server.url, path, resumable="ietf", chunk_size=chunk_size)

    assert server.content == BODY
    assert server.is_complete
    assert response.status_code == 200
    first = server.requests[0].fields
    assert (first["upload-complete"], first["upload-length"]) == ("?0", str(len(BODY)))
    assert first["upload-draft-interop-version"].isdigit()
    patches = [request.fields for request in server.requests if request.method == "PATCH"]
    assert {fields["content-type"] for fields in patches} == {"application/partial-upload"}


def test_an_upload_may_be_told_often_how_far_it_is(api, raw_server, path):
    """More than 16 interim responses were refused, and the draft has one for each step."""
    steps = b"".join(
        b"HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Offset: %d\r\n\r\n" % size
        for size in range(0, len(BODY), 1000)
    )
    created = spell("201 Created", location="/place")
    server = raw_server(created, steps + spell("201 Created", upload_complete="?1"))

    api.upload(server.url, path, resumable="ietf")

    assert Received(server.requests[-1]).target == "/place"
    assert len(server.requests) == 2


def test_an_ietf_upload_is_completed_by_the_response_of_the_application(api, raw_server, path):
    item = spell("201 Created", b'{"id": 7}', **JSON)
    server = raw_server(spell("201 Created", location="/place"), item)

    response = api.upload(server.url, path, resumable="ietf")

    assert response.json() == {"id": 7}


@pytest.mark.parametrize(
    "reply",
    [
        spell("200 OK", b"<html>Please log in", **PAGE),
        spell("200 OK", b"<!doctype HTML>"),
        spell("200 OK", b'{"error": "expired"}', **JSON),
    ],
    ids=["a login page", "an untyped page", "an error"],
)
def test_a_page_or_an_error_does_not_complete_an_ietf_upload(api, raw_server, path, state, reply):
    server = raw_server(spell("201 Created", location="/place"), reply)

    with pytest.raises(TransferError, match="does not say how much"):
        api.upload(server.url, path, resumable="ietf", state=state)

    assert state.exists()


def test_an_ietf_upload_that_ends_early_is_not_a_success(api, raw_server, path):
    server = raw_server(
        spell("201 Created", location="/place"),
        spell("204 No Content", upload_offset=5, upload_complete="?1"),
    )

    with pytest.raises(IncompleteError):
        api.upload(server.url, path, resumable="ietf", max_stalls=1)
