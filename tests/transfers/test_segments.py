"""A file that is fetched in parallel ranges is the same file, with the same guards."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import pytest

import httpkit
from httpkit._core.validators import FileVersion
from httpkit.testing import FakeClock
from tests.support.file_responses import (
    STRONG,
    TODAY,
    YESTERDAY,
    coded,
    field,
    files,
    noise,
    part_of,
    ranges,
    respond,
    whole,
)
from tests.support.platforms import PATIENCE
from tests.support.sockets import Acceptor, read_request

BODY, OTHER = noise(5, 4_000_000), noise(6, 4_000_000)
OPTIONS = {"segments": 4, "min_segment": 100_000}


def asked(connection_request):
    """Return the first and the last byte of a Range; None for the whole file."""
    text = field(connection_request, "range")
    if not text:
        return None
    first, _, last = text.removeprefix("bytes=").partition("-")
    return int(first), int(last) if last else None


def part_response(body, first, last, cut=None, **fields):
    last = len(body) - 1 if last is None else last
    span = f"bytes {first}-{last}/{len(body)}"
    content = body[first : last + 1]
    head = {"content_length": str(len(content)), "content_range": span, **STRONG, **fields}
    return respond("206 Partial Content", content[:cut], **head)


class RangeServer:
    """A server that knows ranges, with a function that may change what a range gets.

    Attributes:
        requests: The requests, in the order in which they arrived.
    """

    def __init__(self, change=None, reply=None):
        self._change = change or (lambda _first: None)
        self._reply = reply or self._send
        self.requests = []
        self._acceptor = Acceptor(self._serve)
        self.url = f"http://127.0.0.1:{self._acceptor.port}"

    def close(self):
        self._acceptor.__exit__()

    def _serve(self, connection):
        received = read_request(connection)
        self.requests.append(received)
        self._reply(connection, asked(received))

    def _send(self, connection, span):
        changed = self._change(span[0] if span else None)
        if isinstance(changed, bytes):
            connection.sendall(changed)
        elif span is None:
            connection.sendall(whole(BODY, changed, **STRONG))
        else:
            connection.sendall(part_response(BODY, *span, changed))


@pytest.fixture
def range_server():
    """Start a RangeServer."""
    with ExitStack() as stack:

        def start(*arguments, **options):
            server = RangeServer(*arguments, **options)
            stack.callback(server.close)
            return server

        yield start


def test_a_file_in_segments_is_the_file(api, dest, range_server):
    server = range_server()
    heard = []

    done = api.download(
        server.url, dest, progress=lambda p: heard.append((p.done, p.total)), **OPTIONS
    )

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]
    assert done.size == len(BODY)
    assert done.verified
    assert heard[-1] == (len(BODY), len(BODY))
    spans = sorted(asked(request) or (0, None) for request in server.requests)
    overlapping = [(10**6, 2_004_095), (2 * 10**6, 3_004_095), (3 * 10**6, 3_999_999)]
    assert spans == [(0, None), *overlapping]
    conditions = {field(request, "if-range") for request in server.requests}
    assert conditions == {None, '"v1"'}


def test_progress_ends_at_the_total_however_threads_take_turns(api, sandbox, tmp_path):
    """A block that arrived while an attempt began was counted twice or not at all."""
    ends = []

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(40):
            heard = []
            api.download(
                f"{sandbox.url}/bytes/400000", tmp_path / str(number),
                segments=4, min_segment=1000, progress=lambda p, heard=heard: heard.append(p.done),
            )  # fmt: skip
            ends.append(heard[-1])
    finally:
        sys.setswitchinterval(interval)

    assert set(ends) == {400_000}


def test_segments_are_fetched_at_the_same_time(api, dest, range_server):
    together = threading.Barrier(3)

    def wait(first):
        if first is not None:
            together.wait(5)

    api.download(range_server(wait).url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY


def test_a_digest_covers_all_segments(api, dest, range_server):
    digest = hashlib.sha256(BODY).hexdigest()

    done = api.download(range_server().url, dest, checksum=f"sha256:{digest}", **OPTIONS)

    assert done.digests == {"sha256": digest}


def cut_each_range_once():
    known, guard = set(), threading.Lock()

    def cut(first):
        with guard:
            is_new = first not in known
            known.add(first)
        return 30_000 if is_new else None

    return cut


def once(change, *offsets):
    """Change what ranges from these offsets get, each once."""
    left = list(offsets)

    def act(first):
        if first not in left:
            return None
        left.remove(first)
        return change(first)

    return lambda: act


MEGA = 10**6
KEYS = ["00000000", "ffffffff"]  # no hash of a version is one of them
REPLIES = {
    "cut": cut_each_range_once,
    "429": once(lambda _: respond("429 Too Many", b""), MEGA, 3 * MEGA),
    "503": once(lambda _: respond("503 Busy", b""), MEGA, 2 * MEGA, 3 * MEGA),
    "range ignored": lambda: lambda first: whole(BODY, **STRONG) if first else None,
    "another range": once(lambda first: part_response(BODY, first + 1, None), MEGA, 2 * MEGA),
    "no range": once(lambda first: respond("206 X", BODY[first:], **STRONG), MEGA, 3 * MEGA),
    "nothing": once(lambda _: b"", 2 * MEGA),
}


@pytest.mark.parametrize("make", REPLIES.values(), ids=REPLIES)
def test_whatever_a_segment_gets_the_file_is_right(dest, range_server, make):
    server = range_server(make())

    with httpkit.Session(timeout=5, retry=None) as api:
        api.download(server.url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]


def test_a_segment_of_another_version_is_not_taken(api, dest, range_server):
    changed = threading.Event()

    def change(first):
        if first == 2 * 10**6 and not changed.is_set():
            changed.set()
            return part_response(OTHER, first, 2_999_999, etag='"v2"')
        return None

    api.download(range_server(change).url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert changed.is_set()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("cap", [2048, 4096, 50_000])
def test_ranges_that_the_server_caps_are_joined(api, dest, range_server, cap):
    """A range of no new byte was requested without end."""

    def change(first):
        if first and 2 * MEGA - 5000 < first < 2 * MEGA + 20_000:
            return part_response(BODY, first, first + cap - 1)
        return None

    api.download(range_server(change).url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY


@pytest.mark.timeout(30)
@pytest.mark.parametrize("got", [0, 50], ids=["nothing", "a part"])
def test_a_connection_lost_where_a_lost_segment_begins_costs_no_more(api, dest, range_server, got):
    """The segment had fewer bytes than were compared with it: the download failed for good."""
    is_lost, cuts = threading.Event(), [got] if got else []

    def reply(connection, span):
        if span is None:
            connection.sendall(whole(BODY, MEGA, **STRONG))
            assert is_lost.wait(PATIENCE)
            connection.sendall(BODY[MEGA : MEGA + 100])
        elif span[0] == MEGA and cuts:
            connection.sendall(part_response(BODY, *span, cuts.pop()))
        elif span[0] == MEGA:
            connection.sendall(respond("404 Not Found", b""))
            is_lost.set()
        else:
            connection.sendall(part_response(BODY, *span))

    server = range_server(reply=reply)

    with FakeClock():
        api.download(server.url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY


@pytest.mark.timeout(30)
def test_ranges_without_a_byte_are_given_up(api, dest, range_server):
    def change(first):
        span = f"bytes {first}-{first}/{len(BODY)}"
        return respond("206 X", b"", content_range=span, **STRONG) if first else None

    server = range_server(change)

    with FakeClock(), pytest.raises(httpkit.IncompleteError):
        api.download(server.url, dest, **OPTIONS)

    assert part_of(dest).read_bytes() == BODY[:1_004_096]
    assert len(server.requests) < 20


CHANGED = {
    "at each segment": [MEGA, 2 * MEGA, 3 * MEGA],
    "at the first": [MEGA],
    "at the second": [2 * MEGA],
    "at the last": [3 * MEGA],
}


@pytest.mark.parametrize("offsets", CHANGED.values(), ids=CHANGED)
def test_another_file_of_the_same_etag_and_size_is_not_joined(api, dest, range_server, offsets):
    """The file was replaced in place, and its ETag stayed: two files were spliced."""

    def change(first):
        return part_response(OTHER, first, min(first + 1_004_095, 3_999_999))

    server = range_server(once(change, *offsets)())

    api.download(server.url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]


# Another file in the middle of the last segment, where no overlap reaches.
MIXED = OTHER[:3_200_000] + BODY[3_200_000:3_210_000] + OTHER[3_210_000:]


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ({"last_modified": YESTERDAY}, {"last_modified": TODAY}),
        [{"repr_digest": f"sha-256=:{coded('sha256', body)}:"} for body in (OTHER, MIXED)],
    ],
    ids=["date", "digest"],
)
@pytest.mark.parametrize("first_known", [MEGA, 3 * MEGA])
def test_what_one_segment_says_of_the_file_holds_for_all(
    api, dest, range_server, said, other, first_known
):
    """Only the first response was compared, and it said less than those of the segments."""
    is_known = threading.Event()

    def change(first):
        if first is None:
            return whole(OTHER, **STRONG)
        if first == first_known:
            is_known.set()
        is_known.wait(PATIENCE)
        if first >= 2_990_000:
            return part_response(MIXED, first, 3_999_999, **other)
        return part_response(OTHER, first, first + 1_004_095, **said)

    api.download(range_server(change).url, dest, **OPTIONS)

    assert dest.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, OPTIONS),
        ({"etag": 'W/"v1"'}, OPTIONS),
        (STRONG, {"segments": 4}),
        (STRONG, {"segments": 1, "min_segment": 1}),
    ],
    ids=["no validator", "weak validator", "too small", "one"],
)
def test_a_file_that_cannot_or_need_not_be_split_is_fetched_at_once(
    api, dest, raw_server, fields, options
):
    server = raw_server(whole(BODY, **fields))

    api.download(server.url, dest, **options)

    assert dest.read_bytes() == BODY
    assert ranges(server) == [None]


CHILD = """
import sys, httpkit
with httpkit.Session(timeout=60) as api:
    api.download(sys.argv[1], sys.argv[2], segments=4, min_segment=100_000)
"""


@pytest.mark.parametrize("segments", [1, 4])
def test_segments_are_resumed_after_a_kill(api, dest, range_server, segments):
    is_open = threading.Event()

    def reply(connection, span):
        if is_open.is_set():
            connection.sendall(part_response(BODY, *span) if span else whole(BODY, **STRONG))
            return
        cut = 500_000
        connection.sendall(part_response(BODY, *span, cut) if span else whole(BODY, cut, **STRONG))
        is_open.wait(PATIENCE)

    server = range_server(reply=reply)
    path = str(Path(httpkit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, str(dest)], env={**os.environ, "PYTHONPATH": path}
    )
    until = time.monotonic() + PATIENCE
    while (
        time.monotonic() < until
        and sum(path.stat().st_size for path in dest.parent.glob("*.part*[0-9t]")) < 1_500_000
    ):
        threading.Event().wait(0.02)
    process.kill()
    process.wait()
    is_open.set()
    before = len(server.requests)

    done = api.download(server.url, dest, segments=segments, min_segment=100_000)

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]
    assert done.fetched < len(BODY) * 0.6
    assert len(server.requests) - before >= 4


@pytest.mark.parametrize("segments", [1, 4])
def test_segments_of_another_version_are_not_used(api, dest, range_server, segments):
    left = [dest.with_name(f"file.bin.part.{key}.1500000-4000000") for key in KEYS]
    for path in left:
        path.write_bytes(OTHER[1_500_000:])
    server = range_server(once(lambda _: whole(BODY, 10**6, **STRONG), None)())

    api.download(server.url, dest, segments=segments, min_segment=100_000)

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize(("free", "is_enough"), [(1_999_999, False), (2_000_000, True)])
def test_bytes_in_segments_need_no_second_room(
    api, dest, range_server, monkeypatch, free, is_enough
):
    part_of(dest).write_bytes(BODY[: 10**6])
    version = FileVersion('"v1"', '"v1"', None, len(BODY))
    dest.with_name("file.bin.part.json").write_text(json.dumps(asdict(version)))
    key = blake2b(b'"v1"\n4000000', digest_size=4).hexdigest()
    for start in (10**6, 2 * 10**6):
        name = f"file.bin.part.{key}.{start}-{start + 10**6}"
        dest.with_name(name).write_bytes(BODY[start : start + 10**6])
    usage = shutil.disk_usage(dest.parent)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    if not is_enough:  # the segments are dropped, which brings no room on this disk
        with pytest.raises(httpkit.TransferError, match="3000000 bytes are missing"):
            api.download(range_server().url, dest)
        return
    done = api.download(range_server().url, dest)

    assert dest.read_bytes() == BODY
    assert done.fetched < 1_200_000


@pytest.mark.parametrize(("free", "count"), [(5_004_095, 1), (5_004_096, 4)])
def test_a_file_is_split_only_where_a_segment_has_room_twice(
    api, dest, range_server, monkeypatch, free, count
):
    usage = shutil.disk_usage(dest.parent)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    server = range_server()

    api.download(server.url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert len(server.requests) == count


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("resume", [True, False])
def test_segments_are_used_where_the_part_has_no_byte(api, dest, range_server, segments, resume):
    part_of(dest).touch()
    version = FileVersion('"v1"', '"v1"', None, len(BODY))
    dest.with_name("file.bin.part.json").write_text(json.dumps(asdict(version)))
    key = blake2b(b'"v1"\n4000000', digest_size=4).hexdigest()
    dest.with_name(f"file.bin.part.{key}.2000000-4000000").write_bytes(BODY[2 * 10**6 :])

    done = api.download(
        range_server().url, dest, resume=resume, segments=segments, min_segment=100_000
    )

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]
    assert (done.fetched < 3_100_000) is resume


@pytest.mark.parametrize("moved", [1_000_000, 1_300_000, 1_999_999, 2_000_000, 2_500_000])
def test_a_kill_while_a_segment_is_moved_costs_no_byte(api, dest, range_server, moved):
    part_of(dest).write_bytes(BODY[:moved])
    version = FileVersion('"v1"', '"v1"', None, len(BODY))
    dest.with_name("file.bin.part.json").write_text(json.dumps(asdict(version)))
    key = blake2b(b'"v1"\n4000000', digest_size=4).hexdigest()
    dest.with_name(f"file.bin.part.{key}.1000000-2000000").write_bytes(BODY[10**6 : 2 * 10**6])
    digest = hashlib.sha256(BODY).hexdigest()
    server = range_server()

    done = api.download(server.url, dest, checksum=f"sha256:{digest}")

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]
    firsts = [asked(request)[0] for request in server.requests]
    assert max(moved, 2 * 10**6) - firsts[-1] in {2048, 4096}
    assert done.digests == {"sha256": digest}


@pytest.mark.parametrize("letter", ["a", "é", "😀"])
@pytest.mark.parametrize("size", [203, 204, 255])
def test_segments_have_names_beside_the_longest(api, tmp_path, range_server, letter, size):
    name = (letter * size).encode()[:size].decode(errors="ignore")

    api.download(range_server().url, tmp_path / name, **OPTIONS)

    assert (tmp_path / name).read_bytes() == BODY
    assert files(tmp_path) == [name]


def test_an_interrupt_keeps_the_segments(api, dest, range_server):
    server = range_server()

    def press(_progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.download(server.url, dest, progress=press, **OPTIONS)
    assert not dest.exists()

    api.download(server.url, dest, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert files(dest.parent) == ["file.bin"]
    assert not part_of(dest).exists()


def test_a_callable_for_progress_is_called_from_one_thread(api, dest, range_server):
    threads = set()

    def note(_progress):
        threads.add(threading.get_ident())

    api.download(range_server(cut_each_range_once()).url, dest, progress=note, **OPTIONS)

    assert threads == {threading.get_ident()}


def test_segments_share_the_rate(api, dest, range_server):
    with FakeClock():
        began = time.monotonic()
        api.download(range_server().url, dest, max_rate=1_000_000, **OPTIONS)

    assert dest.read_bytes() == BODY
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("options", [{"segments": 0}, {"segments": "4"}, {"min_segment": 0}])
def test_an_invalid_number_of_segments_is_refused(api, dest, raw_server, options):
    server = raw_server(whole(BODY))

    with pytest.raises(httpkit.ConfigurationError):
        api.download(server.url, dest, **options)

    assert server.requests == []
