"""The file under its final name is whole and verified, or absent; what arrived is kept."""

import errno
import gzip
import hashlib
import io
import os
import pickle
import random
import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit import BearerAuth
from httpkit._diagnostics.errors import (
    BodyTooLargeError,
    ChecksumError,
    IncompleteError,
    TransferError,
)
from httpkit._messages.checksums import FileHashers
from tests.support.file_responses import (
    HALF,
    HTML,
    NEW,
    OLD,
    STRONG,
    TODAY,
    YESTERDAY,
    chunked,
    coded,
    field,
    files,
    hanging,
    honest,
    noise,
    part_of,
    ranges,
    respond,
    rest,
    whole,
)
from tests.support.platforms import ON_WINDOWS, PATIENCE, not_on_windows


@pytest.fixture
def interrupted(api, dest, raw_server):
    """Leave the first half of OLD in a part file, as version "v1"."""

    def leave(**fields):
        server = honest(raw_server, OLD, cuts=[HALF, 0], **fields)
        with pytest.raises(IncompleteError):
            api.download(server.url, dest, max_stalls=0, resume="force")
        return server

    return leave


# One answer


def test_a_download_is_the_file_and_leaves_nothing_beside_it(api, dest, raw_server):
    server = raw_server(whole(OLD, content_type="application/zip; x=1", **STRONG))

    done = api.download(server.url + "/a?b=c", dest)

    assert Path(done).read_bytes() == OLD
    assert (done.path, done.size, done.fetched, done.attempts) == (dest, 100_000, 100_000, 1)
    assert (done.resumed_from, done.verified, done.skipped) == (0, True, False)
    assert (done.etag, done.content_type) == ('"v1"', "application/zip")
    assert files(dest.parent) == ["file.bin"]
    (received,) = server.requests
    assert received.startswith(b"GET /a?b=c ")
    assert field(received, "accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("sent", "expected", "is_verified"),
    [
        (whole(b""), b"", True),
        (chunked(OLD[:10], OLD[10:]), OLD, True),
        (respond("200 OK", OLD, content_length=None), OLD, False),
    ],
    ids=["zero bytes", "chunked", "close-delimited"],
)
def test_a_body_of_any_framing_is_saved(api, dest, raw_server, sent, expected, is_verified):
    done = api.download(raw_server(sent).url, dest)

    assert dest.read_bytes() == expected
    assert done.verified is is_verified
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize(
    "sent",
    [
        respond("404 Not Found", b"<html>", **HTML),
        respond("304 Not Modified", b"", content_length=None),
        respond("302 Found", b"elsewhere", location="http://127.0.0.1:1/"),
        respond("204 No Content", b"", content_length=None),
        respond("416 Range Not Satisfiable", b"no"),
        rest(OLD[:100], 0, content_range="bytes 0-99/100000"),
        rest(OLD, HALF),
    ],
    ids=["404", "304", "302", "204", "416", "a first part", "a last part"],
)
def test_an_unexpected_response_is_not_the_file(api, dest, raw_server, sent):
    server = raw_server(sent)

    with pytest.raises(requests.RequestException):
        api.download(server.url, dest, allow_redirects=False)

    assert not dest.exists()


@pytest.mark.parametrize(
    "option",
    [
        {"on_status": {404: lambda _: None}},
        {"raise_for_status": False},
        {"method": "POST"},
        {"json": {"a": 1}},
        {"data": b"a"},
        {"files": {"a": b"a"}},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_keyword_that_a_download_would_ignore_is_refused(api, dest, raw_server, option):
    server = raw_server(whole(NEW))
    (name,) = option

    with pytest.raises(TypeError, match=f"unexpected keyword: {name}"):
        api.download(server.url, dest, **option)
    with pytest.raises(TypeError, match=f"unexpected keyword: {name}"):
        api.events(server.url, **option)

    assert server.requests == []
    assert not dest.exists()


def test_a_persistent_416_is_tried_again_once(api, dest, raw_server):
    server = raw_server(respond("416 Range Not Satisfiable", b"no"))

    with pytest.raises(requests.RequestException):
        api.download(server.url, dest)

    assert len(server.requests) <= 2


def test_nonsense_in_fields_does_not_stop_a_download(api, dest, raw_server):
    fields = {"etag": '"\xe9"', "last_modified": "x", "date": "x", "content_md5": "x"}
    server = raw_server(whole(OLD, repr_digest="sha-256=:!!:, , x", **fields))

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


# Cut once: every kind of second answer


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([whole(NEW, etag='"v2"')], NEW),
        ([rest(OLD, 0, **STRONG)], OLD),
        ([rest(OLD, HALF + 1, **STRONG), whole(NEW)], NEW),
        ([rest(OLD + b"x", HALF - 4096, **STRONG), whole(NEW)], NEW),
        ([rest(OLD, HALF - 4096, content_range=None), whole(NEW)], NEW),
        ([rest(OLD, HALF - 4096, content_range="bytes 9" + "9" * 5000 + "-/1"), whole(NEW)], NEW),
        ([rest(OLD, HALF - 4096, etag='"v2"'), whole(NEW)], NEW),
        ([rest(NEW, HALF - 4096, **STRONG), whole(NEW)], NEW),
        ([rest(OLD, HALF - 4096, content_length=None), whole(NEW)], OLD),
        (
            [
                respond(
                    "206 Partial Content",
                    OLD[HALF - 4096 :] + b"more",
                    content_range=f"bytes {HALF - 4096}-99999/100000",
                ),
                whole(NEW),
            ],
            NEW,
        ),
        ([respond("416 No", b"<html>", **HTML), whole(NEW, content_type="a/b")], NEW),
        ([respond("503 Service Unavailable", b""), rest(OLD, 0)], OLD),
    ],
    ids=[
        "range ignored", "from 0", "a gap", "another total", "no Content-Range",
        "huge Content-Range", "another ETag", "other bytes", "no length", "too many bytes",
        "416 in HTML", "503",
    ],
)  # fmt: skip
def test_a_file_cut_once_ends_whole(api, dest, raw_server, answers, expected):
    server = raw_server(whole(OLD, HALF, **STRONG), *answers)

    done = api.download(server.url, dest)

    assert dest.read_bytes() == expected
    assert done.size == len(expected)
    assert files(dest.parent) == ["file.bin"]
    assert ranges(server)[:2] == [None, f"bytes={HALF - 4096}-"]
    assert field(server.requests[1], "if-range") == '"v1"'


def test_a_206_of_a_later_date_is_another_version(api, dest, raw_server):
    dates = {"date": TODAY, "last_modified": YESTERDAY}
    changed = OLD[:-10_000] + NEW[-10_000:]
    server = raw_server(
        whole(OLD, HALF, **dates),
        rest(changed[:-10] + NEW[:10], HALF - 4096, date=TODAY, last_modified=TODAY),
        whole(NEW),
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == NEW


@pytest.mark.parametrize("fields", [STRONG, {}], ids=["validator", "none"])
def test_a_cut_between_chunks_is_seen(api, dest, raw_server, fields):
    server = raw_server(chunked(OLD[:HALF], end=b"", **fields), chunked(OLD))

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.attempts == 2
    assert bool(ranges(server)[1]) is bool(fields)


def test_a_total_first_said_in_a_206_counts(api, dest, raw_server):
    first = HALF - 4096
    short = rest(OLD, first, content_range=f"bytes {first}-{first + 9999}/100000")
    body = short.partition(b"\r\n\r\n")[2][:10_000]
    server = raw_server(
        chunked(OLD[:HALF], end=b"", **STRONG),
        respond("206 X", body, content_range=f"bytes {first}-{first + 9999}/100000", **STRONG),
        rest(OLD, 0),
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


@pytest.mark.parametrize("resume", [True, False])
def test_an_early_close_every_few_bytes_only_costs_attempts(api, dest, raw_server, waits, resume):
    server = honest(raw_server, OLD, cuts=[*range(20_000, 80_000, 10_000)])

    done = api.download(server.url, dest, resume=resume)

    assert dest.read_bytes() == OLD
    assert done.attempts == len(server.requests) == len(waits) + 1
    assert any(ranges(server)) is resume


@pytest.mark.parametrize("seed", range(2))
def test_random_cuts_end_byte_identical(api, dest, raw_server, seed):
    chance = random.Random(seed)  # noqa: S311  # no secret
    body = chance.randbytes(chance.randrange(3_000_000))
    cuts = [chance.randrange(len(body) // 2) for _ in range(12)]
    server = honest(raw_server, body, cuts=cuts)

    done = api.download(server.url, dest, max_stalls=20)

    assert dest.read_bytes() == body
    assert files(dest.parent) == ["file.bin"]
    assert done.verified


def test_every_byte_that_came_before_a_stall_is_kept(api, dest, raw_server):
    size = 900_000  # beyond the first mebibyte less than one more may be fetched again
    body = noise(3, 2_000_000)
    server = raw_server(hanging(whole(body, size, **STRONG)), rest(body, 0, **STRONG))

    api.download(server.url, dest, timeout=0.1)

    assert dest.read_bytes() == body
    assert ranges(server) == [None, f"bytes={size - 4096}-"]


def test_every_byte_that_came_before_an_end_is_kept(api, dest, raw_server):
    size = 2_600_000
    body = noise(3, 4_000_000)
    server = honest(raw_server, body, cuts=[size])

    api.download(server.url, dest)

    assert dest.read_bytes() == body
    assert ranges(server) == [None, f"bytes={size - 4096}-"]


def test_a_server_that_brings_nothing_new_is_given_up(api, dest, raw_server, waits):
    server = raw_server(whole(OLD, HALF, **STRONG), rest(OLD, HALF - 4096, 0))

    with pytest.raises(IncompleteError, match="call again") as caught:
        api.download(server.url, dest, max_stalls=2)

    assert not dest.exists()
    assert str(part_of(dest)) in str(caught.value)
    assert "50000 of 100000" in str(caught.value)
    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert len(server.requests) in {3, 4}
    assert len(waits) == len(server.requests) - 1


def test_advice_to_call_again_is_given_only_where_it_helps(api, dest, raw_server):
    server = raw_server(whole(OLD, HALF))

    with pytest.raises(IncompleteError) as caught:
        api.download(server.url, dest, max_stalls=0)

    assert "force" in str(caught.value)


def test_progress_resets_the_count_of_stalls(api, dest, raw_server):
    nothing = [5_000, 5_000, 4096, 4096, 5_000, 4096, 4096, 5_000, 4096, 4096]
    server = honest(raw_server, OLD, cuts=nothing)

    api.download(server.url, dest, max_stalls=2)

    assert dest.read_bytes() == OLD


def test_a_refused_connection_is_the_sessions_error(api, dest, raw_server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(requests.ConnectionError):
        api.download(f"http://127.0.0.1:{port}/x", dest)

    assert files(dest.parent) == []


# Another run


@pytest.mark.parametrize(
    ("fields", "resume", "condition"),
    [
        ({}, True, '"v1"'),
        ({"etag": None, "last_modified": YESTERDAY, "date": TODAY}, True, YESTERDAY),
        ({"etag": None, "last_modified": TODAY, "date": TODAY}, True, "restart"),
        ({"etag": None, "last_modified": YESTERDAY}, True, "restart"),
        ({"etag": 'W/"v1"'}, True, "restart"),
        ({"etag": None}, True, "restart"),
        ({"etag": 'W/"v1"'}, "force", None),
        ({"etag": None}, "force", None),
        ({}, False, "restart"),
    ],
    ids=[
        "ETag", "Last-Modified", "too young", "no Date", "weak", "none", "weak, force",
        "none, force", "resume off",
    ],
)  # fmt: skip
def test_the_next_run_goes_on_where_the_version_is_certain(
    api, dest, interrupted, fields, resume, condition
):
    server = interrupted(**fields)
    before = len(server.requests)

    done = api.download(server.url, dest, resume=resume)

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]
    (received,) = server.requests[before:]
    is_resumed = condition != "restart"
    assert field(received, "range") == (f"bytes={HALF - 4096}-" if is_resumed else None)
    assert field(received, "if-range") == (condition if is_resumed else None)
    assert done.resumed_from == (HALF if is_resumed else 0)
    assert done.fetched == (HALF + 4096 if is_resumed else 100_000)


@pytest.mark.parametrize(("resume", "extra"), [(True, b""), ("force", b""), ("force", b"longer")])
def test_a_file_that_changed_between_runs_is_fetched_anew(
    api, dest, interrupted, raw_server, resume, extra
):
    interrupted(etag='"v1"' if resume is True else None)
    server = honest(raw_server, NEW + extra, etag='"v2"' if resume is True else None)

    done = api.download(server.url, dest, resume=resume)

    assert dest.read_bytes() == NEW + extra
    assert done.resumed_from == 0


@pytest.mark.parametrize(
    "left",
    [OLD, OLD + b"x" * 10_000, OLD[: HALF - 1000] + bytes(1000), OLD[:10], b""],
    ids=["whole", "too long", "zeros at its end", "shorter than the overlap", "empty"],
)
def test_any_part_file_ends_in_the_right_file(api, dest, interrupted, left):
    server = interrupted()
    part_of(dest).write_bytes(left)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"validator": 5}',
        b'{"validator": "a\\r\\nb: c"}',
        b'{"validator": "\\"v1\\"", "total": "x"}',
    ],
    ids=["number", "two lines", "total"],
)
def test_a_damaged_sidecar_costs_a_restart_at_most(api, dest, interrupted, text):
    server = interrupted()
    part_of(dest).with_name("file.bin.part.json").write_bytes(text)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


def test_neither_sidecar_nor_error_shows_the_signature_of_a_url(api, dest, raw_server):
    server = honest(raw_server, OLD, cuts=[HALF, 0])

    with pytest.raises(IncompleteError) as caught:
        api.download(server.url + "/f?X-Amz-Signature=hush&token=hush", dest, max_stalls=0)

    assert "hush" not in str(caught.value)
    for path in dest.parent.glob("*.json"):
        assert "hush" not in path.read_text()
        assert "127.0.0.1" not in path.read_text()
    assert files(dest.parent) == ["file.bin.part", "file.bin.part.json"]


def test_a_rejection_keeps_the_bytes_received_before_and_says_so(
    api, dest, interrupted, raw_server
):
    interrupted()
    server = raw_server(respond("403 Forbidden", b"expired"))

    with pytest.raises(httpkit.StatusError) as caught:
        api.download(server.url, dest)

    assert str(part_of(dest)) in "".join(caught.value.__notes__)
    assert part_of(dest).read_bytes() == OLD[:HALF]


def test_memory_stays_flat_when_a_206_starts_far_too_early(api, dest, interrupted, raw_server):
    interrupted(etag=None)
    size = 64 << 20
    os.truncate(part_of(dest), size)
    part_of(dest).with_name("file.bin.part.json").unlink()
    early = respond("206 Partial Content", bytes(100), content_length=str(size),
                  content_range=f"bytes 0-{size - 1}/{size}")  # fmt: skip
    server = raw_server(early)
    tracemalloc.start()

    with pytest.raises(IncompleteError):
        api.download(server.url, dest, resume="force", max_stalls=0)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


# Content codings


@pytest.mark.parametrize(
    ("name", "fields", "decode", "is_decoded"),
    [
        ("a.txt", {}, "auto", True),
        ("a.tar.gz", {}, "auto", False),
        ("a.bin", {"content_type": "application/gzip"}, "auto", False),
    ],
)
def test_an_unrequested_coding_is_decoded_unless_it_is_the_files_own(
    api, tmp_path, raw_server, name, fields, decode, is_decoded
):
    packed = gzip.compress(OLD)
    server = raw_server(whole(packed, content_encoding="gzip", **fields))

    api.download(server.url, tmp_path / name, decode=decode)

    assert (tmp_path / name).read_bytes() == (OLD if is_decoded else packed)


def test_a_coded_body_that_is_cut_is_fetched_anew(api, dest, raw_server):
    packed = gzip.compress(OLD)
    fields = {"content_encoding": "gzip", **STRONG}
    server = raw_server(whole(packed, HALF, **fields), whole(packed, **fields))

    api.download(server.url, dest, resume="force")

    assert dest.read_bytes() == OLD
    assert ranges(server) == [None, None]


def test_a_coded_body_in_tiny_chunks_is_decoded(api, dest, raw_server):
    packed = gzip.compress(OLD[:500])
    server = raw_server(
        chunked(*(packed[i : i + 1] for i in range(len(packed))), content_encoding="gzip")
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD[:500]


# Guards


def test_a_retry_requests_the_original_url_and_credentials_stay_at_their_origin(dest, raw_server):
    storage = honest(raw_server, OLD, cuts=[HALF])
    origin = raw_server(respond("302 Found", b"", location=f"{storage.url}/signed?key=1"))

    with httpkit.Session(origin.url, auth=BearerAuth("s3cret")) as api:
        api.download("file", dest)

    assert dest.read_bytes() == OLD
    assert ranges(storage) == [None, f"bytes={HALF - 4096}-"]
    assert [field(request, "authorization") for request in origin.requests] == ["Bearer s3cret"] * 2
    assert b"s3cret" not in b"".join(storage.requests)


def test_an_error_page_is_not_saved_as_data(api, dest, raw_server):
    server = raw_server(whole(b"<html>Please log in", **HTML))

    with pytest.raises(TransferError, match="text/html"):
        api.download(server.url, dest, content_type=("image/png", "audio/*"))

    assert files(dest.parent) == []
    assert len(server.requests) == 1


def test_a_wanted_type_matches_in_any_case_and_without_parameters(api, dest, raw_server):
    server = raw_server(whole(OLD, content_type="Image/PNG; q=1"))

    assert api.download(server.url, dest, content_type="image/*").size == len(OLD)


def test_a_type_that_changes_between_attempts_is_refused(api, dest, raw_server):
    server = raw_server(
        whole(OLD, HALF, content_type="application/zip", **STRONG), whole(b"<html>", **HTML)
    )

    with pytest.raises(TransferError, match="text/html"):
        api.download(server.url, dest)

    assert not dest.exists()
    assert part_of(dest).read_bytes() == OLD[:HALF]


@pytest.mark.parametrize("wanted", [None, "application/*"])
def test_the_type_of_a_416_is_not_the_files(api, dest, raw_server, wanted):
    server = raw_server(
        whole(OLD, HALF, content_type="application/zip", **STRONG),
        respond("416 Range Not Satisfiable", b"<html>", **HTML),
        whole(NEW, content_type="application/zip"),
    )

    api.download(server.url, dest, content_type=wanted)

    assert dest.read_bytes() == NEW


@pytest.mark.parametrize(
    ("sent", "options", "error"),
    [
        (whole(OLD), {"max_size": 99_999}, BodyTooLargeError),
        (chunked(OLD), {"max_size": 99_999}, BodyTooLargeError),
        (whole(gzip.compress(bytes(10**6)), content_encoding="gzip"),
         {"max_size": 10**5}, BodyTooLargeError),
        (whole(OLD), {"expected_size": 99_999}, TransferError),
        (chunked(OLD), {"expected_size": 100_001}, TransferError),
        (chunked(OLD), {"expected_size": 99_999}, TransferError),
    ],
    ids=["announced", "chunked", "bomb", "expected", "too little", "too much"],
)  # fmt: skip
def test_a_file_of_the_wrong_size_is_refused(api, dest, raw_server, sent, options, error):
    with pytest.raises(error):
        api.download(raw_server(sent).url, dest, **options)

    assert not dest.exists()


def test_too_many_bytes_for_a_stream_that_cannot_go_back_are_called_that(api, raw_server):
    with pytest.raises(BodyTooLargeError):
        api.download(raw_server(chunked(OLD[:HALF], OLD)).url, Unseekable(), max_size=60_000)


def test_a_file_of_just_the_right_size_is_taken(api, dest, raw_server):
    api.download(raw_server(chunked(OLD)).url, dest, max_size=100_000, expected_size=100_000)

    assert dest.read_bytes() == OLD


@pytest.mark.parametrize("limit", ["max_size", "expected_size"])
def test_an_endless_body_is_stopped_at_the_limit(api, dest, raw_server, limit):
    sent = []

    def endless(connection):
        connection.sendall(respond("200 OK", b"", content_length=None))
        while len(sent) < 300:
            connection.sendall(bytes(1 << 16))
            sent.append(1 << 16)

    server = raw_server(endless)

    with pytest.raises(requests.RequestException):
        api.download(server.url, dest, **{limit: 1000})

    assert not dest.exists()
    assert len(sent) < 300


# Digests

WRONG = [
    ({"checksum": "sha256:" + "0" * 64}, {}),
    ({}, {"repr_digest": f"crc=:AA==:, sha-512=:{coded('sha512', NEW)}:;q=1"}),
    ({}, {"content_digest": f"sha-256=:{coded('sha256', NEW)}:"}),
    ({}, {"content_md5": coded("md5", NEW)}),
]
SOURCES = ["checksum", "Repr-Digest", "Content-Digest", "Content-MD5"]


@pytest.mark.parametrize(("options", "fields"), WRONG, ids=SOURCES)
def test_wrong_bytes_twice_are_discarded(api, dest, raw_server, options, fields):
    server = raw_server(whole(OLD, **fields, **STRONG))

    with pytest.raises(ChecksumError):
        api.download(server.url, dest, **options)

    assert files(dest.parent) == []
    assert ranges(server) == [None, None]


def test_wrong_bytes_once_are_fetched_anew(api, dest, raw_server):
    wanted = hashlib.sha256(NEW).hexdigest()
    server = raw_server(whole(OLD, **STRONG), whole(NEW, **STRONG))

    done = api.download(server.url, dest, checksum=f"SHA-256:{wanted.upper()}")

    assert dest.read_bytes() == NEW
    assert done.digests == {"sha256": wanted}
    assert ranges(server) == [None, None]


def test_wrong_bytes_in_a_stream_that_cannot_go_back_are_a_checksum_error(api, raw_server):
    with pytest.raises(ChecksumError):
        api.download(raw_server(whole(OLD)).url, Unseekable(), checksum="md5:" + "0" * 32)


def test_verify_off_looks_at_no_field_of_the_server(api, dest, raw_server):
    server = raw_server(whole(OLD, repr_digest=f"sha-256=:{coded('sha256', NEW)}:"))

    assert api.download(server.url, dest, verify="off").digests == {}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"checksum": f"sha256:{hashlib.sha256(OLD).hexdigest()}"}, {}),
        ({}, {"repr_digest": f"sha-256=:{coded('sha256', OLD)}:"}),
        ({}, {"content_md5": coded("md5", OLD)}),
        ({}, {}),
    ],
    ids=["checksum", "Repr-Digest", "Content-MD5", "none"],
)
def test_verify_require_demands_a_digest(api, dest, raw_server, options, fields):
    server = raw_server(whole(OLD, **fields))

    if options or fields:
        done = api.download(server.url, dest, verify="require", **options)
        assert done.verified
        assert len(done.digests) == 1
    else:
        with pytest.raises(TransferError, match="checksum"):
            api.download(server.url, dest, verify="require")
        assert not dest.exists()


def test_verify_require_holds_in_a_resumed_run_too(api, dest, interrupted):
    server = interrupted()

    with pytest.raises(TransferError):
        api.download(server.url, dest, verify="require")

    assert not dest.exists()


def test_a_digest_covers_the_bytes_of_the_earlier_run(api, dest, interrupted):
    server = interrupted(repr_digest=f"sha-256=:{coded('sha256', OLD)}:")
    part_of(dest).write_bytes(NEW[:1000] + OLD[1000:HALF])

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.digests == {"sha256": hashlib.sha256(OLD).hexdigest()}


def test_a_digest_first_announced_in_a_206_counts(api, dest, raw_server):
    corrupt = OLD[:-1] + b"?" if OLD[-1:] != b"?" else OLD[:-1] + b"!"
    digest = {"repr_digest": f"sha-256=:{coded('sha256', OLD)}:"}
    server = raw_server(
        whole(corrupt, HALF, **STRONG),
        rest(corrupt, HALF - 4096, **STRONG, **digest),
        whole(OLD, **STRONG, **digest),
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


def test_a_body_whose_chunks_are_announced_oddly_is_read_as_chunks(api, dest, raw_server):
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(OLD), OLD)
    server = raw_server(
        respond("200 OK", body, content_length=None, transfer_encoding="identity, chunked")
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


@pytest.mark.parametrize("cut", [1, 8, 200], ids="{} bytes".format)
def test_a_compressed_body_without_its_end_is_no_file(api, dest, raw_server, cut):
    body = gzip.compress(OLD)[:-cut]
    server = raw_server(whole(body, content_encoding="gzip"))

    with pytest.raises(requests.exceptions.ContentDecodingError):
        api.download(server.url, dest)

    assert not dest.exists()


# Another URL


def test_a_part_of_another_url_is_not_continued(api, dest, interrupted, raw_server):
    interrupted()
    other = honest(raw_server, NEW)  # whose ETag is the same, as counters' are

    api.download(f"{other.url}/other", dest)

    assert dest.read_bytes() == NEW
    assert ranges(other) == [None]


def test_a_part_is_continued_under_another_signature(api, dest, raw_server):
    server = honest(raw_server, OLD, cuts=[HALF, 0])
    with pytest.raises(IncompleteError):
        api.download(f"{server.url}/f?sig=1", dest, max_stalls=0)

    done = api.download(f"{server.url}/f?sig=2", dest)

    assert dest.read_bytes() == OLD
    assert done.resumed_from == HALF


def test_a_name_comes_from_the_url_as_it_was_filled(api, tmp_path, raw_server):
    server = raw_server(whole(OLD))

    done = api.download(f"{server.url}/{{name}}", tmp_path, path={"name": "a b.bin"})

    assert done.path == tmp_path / "a b.bin"


# Sums of large files

LARGE, OTHER = noise(3, 3 << 20), noise(4, 3 << 20)
LARGE_SUM = hashlib.sha256(LARGE).hexdigest()


def sum_threads():
    return [thread for thread in threading.enumerate() if thread.name == "httpkit-checksum"]


@pytest.mark.parametrize("cuts", [[], [1 << 20], [300_000, 2 << 20]], ids=["whole", "cut", "cut 2"])
def test_a_large_file_is_added_up_while_it_arrives(api, dest, raw_server, cuts):
    server = honest(raw_server, LARGE, cuts=cuts)

    done = api.download(server.url, dest, checksum=f"sha256:{LARGE_SUM}")

    assert dest.read_bytes() == LARGE
    assert done.digests == {"sha256": LARGE_SUM}
    assert not sum_threads()


def test_a_sum_begins_anew_with_another_version(api, dest, raw_server):
    server = raw_server(whole(OTHER, 2 << 20, etag='"v0"'), whole(LARGE, **STRONG))

    done = api.download(server.url, dest, checksum=f"sha256:{LARGE_SUM}")

    assert dest.read_bytes() == LARGE
    assert done.digests == {"sha256": LARGE_SUM}
    assert len(server.requests) == 2


@pytest.mark.parametrize("size", [1000, 3 << 20], ids=["small", "large"])
def test_a_file_that_somebody_cuts_has_no_sum(size):
    sums = FileHashers(["sha256"], lambda position, count: LARGE[:1000][position:][:count], size)
    sums.update(b"x")

    with pytest.raises(TransferError, match=f"1000 of {size + 1}"):
        sums.hexdigests()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("mine")], ids=["interrupt", "error"])
def test_no_thread_outlives_a_download_that_breaks_off(api, dest, raw_server, error):
    def fail(progress):
        if progress.done:
            raise error

    with pytest.raises((KeyboardInterrupt, OSError)):
        api.download(
            raw_server(whole(LARGE)).url, dest, checksum=f"sha256:{LARGE_SUM}", progress=fail
        )

    assert not sum_threads()


# Names


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename=..\\..\\boot.ini", "boot.ini"),
        ("attachment; filename*=UTF-8''..%2F..%2Fna%C3%AFve%20file.txt", "naïve file.txt"),
        ("attachment; filename=a.txt; filename*=utf-8''b.txt", "b.txt"),
        ('attachment; filename="a \\"b\\".txt"', "a _b_.txt"),
        ("attachment; filename*=UTF-8''%E2%80%AEfdp.exe", "fdp.exe"),
        ("attachment; filename=nul.txt", "_nul.txt"),
        ('attachment; filename="end. . ."', "end"),
        (f"attachment; filename={'x' * 300}.tar", "x" * 236 + ".tar"),
        (None, "from url.txt"),
    ],
)
def test_a_server_chooses_a_name_but_never_a_folder(api, tmp_path, raw_server, disposition, name):
    server = raw_server(whole(OLD, content_disposition=disposition))

    done = api.download(server.url + "/a/from%20url.txt?x=/y", tmp_path)

    assert files(tmp_path) == [name]
    assert done.path == tmp_path / name


def test_a_name_comes_from_the_original_url_not_from_where_it_redirects(
    api, tmp_path, raw_server, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    storage = raw_server(whole(OLD))
    server = raw_server(respond("302 Found", b"", location=f"{storage.url}/blob/77"))

    done = api.download(server.url + "/wanted.txt")

    assert files(tmp_path) == ["wanted.txt"]
    assert Path(done).read_bytes() == OLD


def test_a_url_without_a_name_gives_download(api, tmp_path, raw_server):
    api.download(raw_server(whole(OLD)).url + "/%2e%2e/..%2f", tmp_path)

    assert files(tmp_path) == ["download"]


def test_a_part_in_a_folder_is_resumed_once_the_name_is_known(api, tmp_path, raw_server):
    server = honest(raw_server, OLD, cuts=[HALF, 0], content_disposition="x; filename=a.txt")
    with pytest.raises(IncompleteError):
        api.download(server.url, tmp_path, max_stalls=0)
    before = len(server.requests)

    done = api.download(server.url, tmp_path)

    assert done.resumed_from == HALF
    assert (tmp_path / "a.txt").read_bytes() == OLD
    assert ranges(server)[before:] == [None, f"bytes={HALF - 4096}-"]


# What is there already


@pytest.mark.parametrize("is_folder", [False, True], ids=["named file", "folder"])
@pytest.mark.parametrize("choice", [None, "replace", "error", "skip", "rename", "update"])
def test_if_exists_is_obeyed(api, dest, raw_server, choice, is_folder):
    dest.write_bytes(b"before")
    os.utime(dest, (1.6e9, 1.6e9))
    is_update = choice == "update"
    # A server that knows If-Modified-Since answers 304; the file is older in any case.
    fields = {"last_modified": "Sun, 13 Sep 2020 12:00:00 GMT"}
    server = raw_server(
        respond("304 Not Modified", b"", content_length=None)
        if is_update and not is_folder
        else whole(OLD, content_disposition="x; filename=file.bin", **fields)
    )
    is_error = choice == "error" or (choice is None and is_folder)

    if is_error:
        with pytest.raises(TransferError, match="if_exists"):
            api.download(server.url, dest.parent if is_folder else dest, if_exists=choice)
        done = None
    else:
        done = api.download(server.url, dest.parent if is_folder else dest, if_exists=choice)

    is_replaced = choice == "replace" or (choice is None and not is_folder)
    assert dest.read_bytes() == (OLD if is_replaced else b"before")
    if choice == "rename":
        assert Path(done).name == "file (1).bin"
        assert Path(done).read_bytes() == OLD
    else:
        assert files(dest.parent) == ["file.bin"]
    if choice in {"skip", "update"}:
        assert done.skipped
        assert (done.path, done.size) == (dest, 6)
    if not is_folder:
        assert len(server.requests) == (0 if choice in {"error", "skip"} else 1)
        asked = [field(request, "if-modified-since") for request in server.requests]
        assert any(asked) is is_update


def test_update_fetches_what_changed(api, dest, raw_server):
    dest.write_bytes(b"before")
    os.utime(dest, (1.6e9, 1.6e9))
    server = raw_server(whole(OLD))

    api.download(server.url, dest, if_exists="update")

    assert dest.read_bytes() == OLD
    assert field(server.requests[0], "if-modified-since") == "Sun, 13 Sep 2020 12:26:40 GMT"


def refuse_links(monkeypatch):
    """Be a file system that knows no links, such as that of a USB stick."""

    def link(*_args, **_options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_a_file_named_by_the_server_arrives_where_there_are_no_links(
    api, dest, raw_server, monkeypatch
):
    refuse_links(monkeypatch)

    api.download(raw_server(whole(OLD)).url + "/file.bin", dest.parent)

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("has_links", [False, True], ids=["no links", "links"])
@pytest.mark.parametrize("is_folder", [False, True], ids=["named file", "folder"])
def test_a_file_that_appears_meanwhile_is_not_replaced_by_error(
    api, dest, raw_server, is_folder, has_links, monkeypatch
):
    if not has_links:
        refuse_links(monkeypatch)

    def again(connection):
        dest.write_bytes(b"mine")
        connection.sendall(whole(OLD))

    server = raw_server(whole(OLD, HALF, content_disposition="x; filename=file.bin"), again)
    target, choice = (dest.parent, None) if is_folder else (dest, "error")

    with pytest.raises(TransferError, match="if_exists"):
        api.download(server.url, target, if_exists=choice)

    assert dest.read_bytes() == b"mine"


def test_a_failed_download_leaves_the_file_of_before_alone(api, dest, raw_server):
    dest.write_bytes(b"before")
    server = raw_server(whole(OLD, HALF))

    with pytest.raises(IncompleteError):
        api.download(server.url, dest, max_stalls=0)

    assert dest.read_bytes() == b"before"


def test_a_folder_that_does_not_exist_is_refused_before_a_byte(api, tmp_path, raw_server):
    server = raw_server(whole(OLD))

    with pytest.raises(TransferError, match="does not exist"):
        api.download(server.url, f"{tmp_path}/no/folder/")

    assert server.requests == []


def below_a_file(folder):
    (folder / "file").write_bytes(b"mine")
    return folder / "file" / "child"


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def part_is_a_folder(folder):
    (folder / "file.bin.part").mkdir()
    return folder / "file.bin"


@pytest.mark.parametrize("if_exists", [None, "skip", "rename", "update"])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda folder: folder / ("a" * 300), "too long"),
        (lambda folder: folder / ("a/" * 3000), "." if ON_WINDOWS else "too long"),
        (below_a_file, "does not exist"),
        pytest.param(pipe, "not a regular file", marks=not_on_windows("it has no mkfifo")),
        pytest.param(loop, "symbolic links", marks=not_on_windows("links need a privilege")),
        (part_is_a_folder, "Permission denied" if ON_WINDOWS else "Is a directory"),
    ],
    ids=["long name", "long path", "below a file", "pipe", "loop", "part is a folder"],
)
def test_a_path_that_the_system_refuses_is_an_error_before_a_byte(
    api, tmp_path, raw_server, place, words, if_exists
):
    dest = place(tmp_path)
    before = files(tmp_path)
    server = raw_server(whole(OLD))

    with pytest.raises((TransferError, httpkit.ConfigurationError), match=words) as caught:
        api.download(server.url, dest, if_exists=if_exists)

    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    assert server.requests == []
    assert files(tmp_path) == before


@contextmanager
def without_rights(folder):
    """Take the rights to a folder away; from root, too, to whom they are nothing."""
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


@not_on_windows("folders have access lists, not modes")
@pytest.mark.parametrize("if_exists", [None, "skip", "rename", "update"])
def test_a_folder_without_rights_is_an_error_before_a_byte(api, dest, raw_server, if_exists):
    server = raw_server(whole(OLD))

    with (
        without_rights(dest.parent),
        pytest.raises(TransferError, match=re.escape(f"{dest} cannot be written: Permission")),
    ):
        api.download(server.url, dest, if_exists=if_exists)

    assert server.requests == []


@pytest.mark.parametrize(
    ("dest", "words"),
    [
        ("a\0b", "path cannot contain"),
        pytest.param(
            "a\ud800", "path cannot contain", marks=not_on_windows("its names are UTF-16")
        ),
        (b"file.bin", "as text"), (5, "as text"), (io.StringIO(), "opened as text"),
    ],
    ids=["NUL", "surrogate", "bytes", "number", "text file"],
)  # fmt: skip
def test_what_is_no_destination_is_refused_before_a_byte(api, raw_server, dest, words):
    server = raw_server(whole(OLD))

    with pytest.raises(httpkit.ConfigurationError, match=words):
        api.download(server.url, dest)

    assert server.requests == []


@pytest.mark.parametrize("if_exists", [None, "replace", "skip", "rename", "update"])
def test_a_folder_where_the_file_should_be_is_left_alone(api, dest, raw_server, if_exists):
    dest.mkdir()
    server = raw_server(whole(OLD))

    with pytest.raises(TransferError, match="is not a regular file"):
        api.download(f"{server.url}/file.bin", dest.parent, if_exists=if_exists)

    assert files(dest.parent) == ["file.bin"]
    assert dest.is_dir()


@pytest.mark.parametrize("size", [245, 246, 250, 255])
def test_a_file_has_any_name_that_the_system_takes(api, tmp_path, raw_server, size):
    dest = tmp_path / ("a" * size)
    server = honest(raw_server, OLD, cuts=[HALF, 0])
    with pytest.raises(IncompleteError, match=re.escape(str(tmp_path))):
        api.download(server.url, dest, max_stalls=0)

    done = api.download(server.url, dest)

    assert done.resumed_from == HALF
    assert dest.read_bytes() == OLD
    assert files(tmp_path) == [dest.name]


@not_on_windows("it has no pread")
def test_a_disk_that_gives_nothing_back_is_a_transfer_error(
    api, dest, interrupted, raw_server, monkeypatch
):
    interrupted()

    def pread(*_args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", pread)

    with pytest.raises(TransferError, match="Input/output"):
        api.download(honest(raw_server, OLD).url, dest, resume="force")

    assert part_of(dest).stat().st_size == HALF


def test_bytes_that_are_lost_on_the_way_to_the_disk_are_noticed(api, dest, raw_server, monkeypatch):
    close = os.close

    def lose(descriptor):
        is_the_file = os.fstat(descriptor).st_size == len(OLD)
        close(descriptor)
        if is_the_file:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", lose)

    with pytest.raises(TransferError, match="Disk quota exceeded"):
        api.download(raw_server(whole(OLD)).url, dest)


def test_a_time_that_cannot_be_set_is_a_transfer_error(api, dest, raw_server, monkeypatch):
    def utime(*_args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "utime", utime)

    with pytest.raises(TransferError, match="not permitted"):
        api.download(raw_server(whole(OLD, last_modified=YESTERDAY)).url, dest, mtime=True)


def test_a_file_that_the_disk_has_no_room_for_is_refused_before_its_body(api, dest, raw_server):
    server = raw_server(respond("200 OK", b"", content_length=str(10**15)))

    with pytest.raises(TransferError, match=r"1000000000000000 bytes are missing, but .* free"):
        api.download(server.url, dest)

    assert len(server.requests) == 1
    assert files(dest.parent) == []


@pytest.mark.parametrize("is_wanted", [False, True])
def test_mtime_is_the_servers_only_when_wanted(api, dest, raw_server, is_wanted):
    api.download(raw_server(whole(OLD, last_modified=YESTERDAY)).url, dest, mtime=is_wanted)

    assert (dest.stat().st_mtime == 1672653600) is is_wanted


# File objects


class Unseekable(io.RawIOBase):
    """A pipe, as far as it can be told."""

    def __init__(self):
        super().__init__()
        self.got = b""

    def writable(self):
        return True

    def write(self, block):
        self.got += bytes(block)
        return len(block)


class Reluctant(Unseekable):
    """A raw file takes what it can and says how much that was."""

    def write(self, block):
        return super().write(block[:1000])


@pytest.mark.parametrize("kind", [Unseekable, Reluctant])
def test_a_file_object_that_cannot_seek_gets_the_bytes_once(api, raw_server, kind):
    server = honest(raw_server, OLD, cuts=[HALF])
    file = kind()

    done = api.download(server.url, file)

    assert file.got == OLD
    assert ranges(server) == [None, f"bytes={HALF - 4096}-"]
    assert (done.path, done.size, done.attempts) == (None, 100_000, 2)
    with pytest.raises(TypeError, match="no path"):
        os.fspath(done)


def test_a_file_object_is_written_from_where_it_stands(api, raw_server):
    server = raw_server(whole(OLD, HALF), whole(NEW))
    file = io.BytesIO()
    file.write(b"head")

    api.download(server.url, file)

    assert file.getvalue() == b"head" + NEW


def test_a_changed_file_is_not_appended_to_an_object_that_cannot_go_back(api, raw_server):
    server = raw_server(whole(OLD, HALF, **STRONG), whole(NEW, etag='"v2"'))
    file = Unseekable()

    with pytest.raises(TransferError):
        api.download(server.url, file)

    assert file.got == OLD[:HALF]


@not_on_windows("it has no /dev/full")
def test_a_full_disk_under_a_file_object_is_reported_and_not_retried(api, raw_server):
    server = raw_server(whole(OLD))

    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        api.download(server.url, full)

    assert len(server.requests) == 1


# Progress


class Bar:
    """What tqdm has."""

    def __init__(self):
        self.total, self.n = None, 0

    def update(self, n=1):
        self.n += n


def test_a_bar_is_moved_to_the_end_even_after_a_restart(api, dest, raw_server):
    bar = Bar()
    server = raw_server(whole(OLD, HALF), whole(NEW))

    api.download(server.url, dest, progress=bar)

    assert (bar.n, bar.total) == (100_000, 100_000)


def test_a_callable_hears_total_and_resumed_from(api, dest, interrupted):
    server = interrupted()
    heard = []

    api.download(
        server.url, dest, progress=lambda p: heard.append((p.done, p.total, p.resumed_from))
    )

    assert heard[0] == (HALF, 100_000, HALF)
    assert heard[-1] == (100_000, 100_000, HALF)


def test_progress_is_reported_ten_times_a_second_at_most(api, dest, raw_server):
    heard = []
    server = honest(raw_server, OLD, cuts=[10_000] * 10)
    began = time.monotonic()

    api.download(server.url, dest, progress=lambda p: heard.append(p.done))

    assert len(heard) <= 2 + (time.monotonic() - began) * 10


# Interruptions, processes and threads


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "at every report"])
def test_control_c_keeps_the_part_and_the_next_call_goes_on(api, dest, interrupted, times):
    server = interrupted()
    left = [KeyboardInterrupt] * times

    def press(_):
        if left:
            raise left.pop()

    with pytest.raises(KeyboardInterrupt):
        api.download(server.url, dest, progress=press)
    done = api.download(server.url, dest)

    assert done.resumed_from == HALF
    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


CHILD = """
import sys, httpkit
url, dest = sys.argv[1:3]
with httpkit.Session(timeout=60) as api:
    {before}
    print(api.download(url, dest).resumed_from, flush=True)
"""


def child(url, dest, before="pass"):
    path = str(Path(httpkit.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(before=before), url, str(dest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_another_process_goes_on_after_a_kill(api, dest, raw_server):
    body = noise(5, 4 << 20)
    server = raw_server(hanging(whole(body, 3 << 20, **STRONG)), rest(body, 0, **STRONG))
    process = child(server.url, dest)
    until, tick = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < until and not (
        part_of(dest).exists() and part_of(dest).stat().st_size >= 1 << 20
    ):
        tick.wait(0.01)
    process.kill()
    process.communicate()
    is_absent, kept = not dest.exists(), part_of(dest).stat().st_size

    done = api.download(server.url, dest)

    assert is_absent
    assert done.resumed_from == kept >= 1 << 20
    assert ranges(server) == [None, f"bytes={kept - 4096}-"]
    assert dest.read_bytes() == body


@not_on_windows("it has no limit of file sizes")
def test_a_file_size_limit_keeps_the_part_and_is_not_retried(dest, raw_server):
    server = honest(raw_server, OLD)
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"

    _, told = child(server.url, dest, before).communicate(timeout=PATIENCE)

    assert b"TransferError" in told
    assert b"cannot be written" in told
    assert len(server.requests) == 1
    assert not dest.exists()
    assert part_of(dest).read_bytes() == OLD[:30_000]


def test_two_processes_with_one_destination_end_with_a_whole_file(dest, raw_server):
    both = threading.Barrier(2)

    def reply(connection):
        connection.sendall(whole(OLD, HALF, **STRONG))
        both.wait(PATIENCE)
        connection.sendall(OLD[HALF:])

    server = raw_server(reply)

    processes = [child(server.url, dest) for _ in range(2)]
    told = [process.communicate(timeout=PATIENCE) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], told
    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("is_first_killed", [True, False], ids=["both killed", "one killed"])
def test_the_temporary_part_of_a_killed_process_is_removed(api, dest, raw_server, is_first_killed):
    """Nobody removed it: each kill left a file of any size."""
    is_sent, is_over = threading.Semaphore(0), threading.Event()

    def hang(connection):
        connection.sendall(whole(OLD, HALF, **STRONG))
        is_sent.release()
        is_over.wait(PATIENCE)
        connection.sendall(OLD[HALF:])

    server = raw_server(hang)
    processes = []
    for count in range(1, 4):  # one after another: the first has the usual part
        processes.append(child(server.url, dest))
        assert is_sent.acquire(timeout=PATIENCE)
        wait_until(lambda count=count: sizes(dest).count(HALF) == count)
    for process in processes[not is_first_killed :]:
        process.kill()
        process.communicate()
    before = files(dest.parent)
    is_over.set()

    if is_first_killed:
        server.responses = [rest(OLD, HALF - 4096, **STRONG)]
        assert api.download(server.url, dest).resumed_from == HALF
    processes[0].communicate(timeout=PATIENCE)

    temporary = [f"file.bin.0000000{number}.part" for number in (1, 2)]
    assert [name for name in before if name in temporary] == temporary, before
    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


def sizes(dest):
    return [path.stat().st_size for path in dest.parent.glob("*.part")]


def wait_until(is_true):
    until, tick = time.monotonic() + PATIENCE, threading.Event()
    while not is_true() and time.monotonic() < until:
        tick.wait(0.01)


def test_the_part_of_another_file_is_not_taken_for_a_temporary_one(api, dest, raw_server):
    """A file may be called so; its part is resumed."""
    other = dest.with_name("file.bin.00000001")
    server = honest(raw_server, OLD, cuts=[HALF, 0])
    with pytest.raises(IncompleteError):
        api.download(server.url, other, max_stalls=0)
    kept = files(dest.parent)

    download_twice_at_once(api, dest, raw_server)

    assert dest.read_bytes() == NEW
    assert files(dest.parent) == ["file.bin", *kept]
    assert api.download(server.url, other).resumed_from == HALF


def download_twice_at_once(api, dest, raw_server):
    both = threading.Barrier(2)

    def meet(connection):
        both.wait(PATIENCE)
        connection.sendall(whole(NEW, **STRONG))

    server = raw_server(meet)
    with ThreadPoolExecutor(2) as pool:  # one of them has a temporary part
        list(pool.map(lambda _: api.download(server.url, dest), range(2)))


@pytest.mark.parametrize(
    "own",
    [
        {"part": b"mine"},
        {"part.new": b"mine"},
        {"part.json": b"", "part.new": b"mine", "part.new.json": b"mine"},
        {"part.json": b"mine"},
    ],
    ids=["part", "replacement", "empty sidecar", "sidecar"],
)
def test_files_of_the_users_with_the_name_of_a_temporary_part_stay(api, dest, raw_server, own):
    paths = {dest.with_name(f"file.bin.00000001.{end}"): body for end, body in own.items()}
    for path, body in paths.items():
        path.write_bytes(body)

    download_twice_at_once(api, dest, raw_server)

    assert dest.read_bytes() == NEW
    assert {path: path.read_bytes() for path in paths} == paths
    assert files(dest.parent) == sorted(["file.bin", *(path.name for path in paths)])


@not_on_windows("it has other rules for links, and no such pipes")
@pytest.mark.parametrize(
    ("make", "arguments"), [("mkdir", []), ("mkfifo", []), ("symlink", ["nowhere"])]
)
def test_what_is_no_file_is_left_alone_by_temporary_parts(api, dest, raw_server, make, arguments):
    path = dest.with_name("file.bin.00000001.part.json")
    getattr(os, make)(*arguments, path)

    download_twice_at_once(api, dest, raw_server)

    assert dest.read_bytes() == NEW
    assert files(dest.parent) == ["file.bin", path.name]


@not_on_windows("its locks are another function's")
def test_a_file_system_without_locks_takes_downloads(api, dest, raw_server, monkeypatch):
    def refuse(_descriptor, _operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    server = raw_server(whole(OLD, **STRONG))

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


@not_on_windows("its locks are another function's")
def test_locks_that_run_out_take_downloads(api, dest, raw_server, monkeypatch):
    errors = [errno.EWOULDBLOCK]

    def refuse(_descriptor, _operation):
        raise OSError(errors.pop() if errors else errno.ENOLCK, "no lock")

    monkeypatch.setattr("fcntl.flock", refuse)
    server = raw_server(whole(OLD, **STRONG))

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


def test_many_threads_with_one_destination_end_with_a_whole_file(api, dest, raw_server):
    server = raw_server(whole(OLD, **STRONG))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: api.download(server.url, dest), range(24)))

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


# Arguments


@pytest.mark.parametrize(
    "options",
    [
        {"if_exists": "overwrite"}, {"verify": False}, {"checksum": "sha256:abc"},
        {"checksum": "shake_128:"}, {"checksum": b"md5:00"}, {"max_size": -1},
        {"max_stalls": None}, {"content_type": 5}, {"progress": 5}, {"decode": "gzip"},
    ],
    ids=lambda options: repr(options)[1:-1],
)  # fmt: skip
def test_an_argument_that_cannot_work_is_refused_before_a_byte_is_sent(
    api, dest, raw_server, options
):
    server = raw_server(whole(OLD))

    with pytest.raises(ValueError):
        api.download(server.url, dest, **options)

    assert server.requests == []
    assert files(dest.parent) == []


def test_stream_false_does_not_lose_the_body(api, dest, raw_server):
    server = raw_server(chunked(OLD))

    with suppress(ValueError):  # refusing it is fine, too
        api.download(server.url, dest, stream=False)

    assert not dest.exists() or dest.read_bytes() == OLD
