"""Whatever a server sends, the file is right, or the part is as it was."""

import gzip
import zlib

import pytest
import requests

from httpkit._diagnostics.errors import IncompleteError
from tests.support.file_responses import (
    HALF,
    HTML,
    NEW,
    OLD,
    STRONG,
    chunked,
    field,
    files,
    part_of,
    ranges,
    respond,
    rest,
    whole,
)

ZIP = {"content_type": "application/zip"}
LOGIN = b"<html>Please log in"
FIRST = HALF - 4096
WEAK = {"etag": 'W/"v1"'}


STATUSES = [
    201, 202, 203, 205, 207, 226, 300, 304, 305, 400, 401, 402, 404, 407, 408, 410, 412, 416, 418,
    423, 425, 429, 451, 500, 502, 503, 511, 520, 599,
]  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("is_later_run", [True, False], ids=["later run", "same call"])
def test_a_captive_portal_of_any_status_costs_nothing(api, dest, raw_server, status, is_later_run):
    portal = respond(f"{status} X", b"" if status == 304 else LOGIN, **HTML)
    lost = [rest(OLD, FIRST, 4096, **STRONG)] if is_later_run else []
    server = raw_server(whole(OLD, HALF, **STRONG, **ZIP), *lost, portal)
    if is_later_run:
        with pytest.raises(IncompleteError):
            api.download(server.url, dest, max_stalls=0)

    with pytest.raises(requests.RequestException):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert files(dest.parent) == ["file.bin.part", "file.bin.part.json"]
    server.responses = [rest(OLD, FIRST, **STRONG)]
    assert api.download(server.url, dest).resumed_from == HALF
    assert dest.read_bytes() == OLD


EMPTY = {
    "chunked": chunked(),
    "without a length": respond("200 OK", b"", content_length=None),
    "of length 0": whole(b""),
    "203": respond("203 Fine", b""),
    "206": respond("206 Part", b"", content_range=f"bytes {FIRST}-99999/100000"),
}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("fields", [STRONG, WEAK, {}], ids=["strong", "weak", "no validator"])
@pytest.mark.parametrize("is_chunked", [True, False], ids=["no total", "total"])
def test_no_bytes_are_not_the_file(api, dest, raw_server, empty, fields, is_chunked):
    cut = chunked(OLD[:HALF], end=b"", **fields) if is_chunked else whole(OLD, HALF, **fields)
    server = raw_server(cut, empty)

    with pytest.raises(requests.RequestException):
        api.download(server.url, dest, max_stalls=1)

    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert not dest.exists()


def test_a_new_version_may_be_empty(api, dest, raw_server):
    server = raw_server(whole(OLD, HALF, **STRONG), chunked(etag='"v2"'))

    done = api.download(server.url, dest)

    assert dest.read_bytes() == b""
    assert done.verified


def of_range(body, content_range, **fields):
    return respond("206 Part", body, content_range=content_range, **{**STRONG, **fields})


MANY = b"--b\r\nContent-Range: bytes 0-1/2\r\n\r\nxx\r\n--b--"
REST = OLD[FIRST:]
WRONG_PARTS = {
    "last byte behind the end": of_range(REST, f"bytes {FIRST}-100999/100000"),
    "more than its range": of_range(REST, f"bytes {FIRST}-{FIRST + 9999}/100000"),
    "less than its range": of_range(REST[:9999], f"bytes {FIRST}-99999/100000"),
    "another offset": of_range(OLD[FIRST + 1 :] + b"x", f"bytes {FIRST}-99999/100000"),
    "no range": of_range(REST, "bytes */100000"),
    "another unit": of_range(REST, f"items {FIRST}-99999/100000"),
    "swapped": of_range(REST, f"bytes 99999-{FIRST}/100000"),
    "several ranges": respond("206 Part", MANY, content_type="multipart/byteranges; boundary=b"),
    "several ranges and one": of_range(
        MANY, f"bytes {FIRST}-99999/100000", content_type="Multipart/ByteRanges; boundary=b"
    ),
    "compressed": of_range(
        gzip.compress(REST), f"bytes {FIRST}-99999/100000", content_encoding="gzip"
    ),
    "200": respond("200 OK", REST, content_range=f"bytes {FIRST}-99999/100000", **STRONG),
    "416, its total": respond("416 No", b"", content_range="bytes */100000"),
    "416, another total": respond("416 No", b"", content_range="bytes */10"),
}


@pytest.mark.parametrize("sent", WRONG_PARTS.values(), ids=WRONG_PARTS)
@pytest.mark.parametrize("is_chunked", [True, False], ids=["no total", "total"])
def test_a_wrong_part_never_gets_into_the_file(api, dest, raw_server, sent, is_chunked):
    def reply(connection):
        asked = field(server.requests[-1], "range")
        first = int(asked[6:].rstrip("-")) if asked else None
        connection.sendall(whole(OLD, **STRONG) if first is None else rest(OLD, first, **STRONG))

    fields = {**STRONG, **ZIP}
    cut = chunked(OLD[:HALF], end=b"", **fields) if is_chunked else whole(OLD, HALF, **fields)
    server = raw_server(cut, sent, reply)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("cap", [1000, 4096, 20_000])
@pytest.mark.parametrize("total", ["*", "100000"])
def test_a_part_is_the_end_only_where_no_byte_follows(api, dest, raw_server, cap, total):
    def reply(connection):
        first = int((field(server.requests[-1], "range") or "bytes=0-")[6:].rstrip("-"))
        body = OLD[first : first + cap]
        connection.sendall(of_range(body, f"bytes {first}-{first + len(body) - 1}/{total}"))

    server = raw_server(reply)

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.verified
    assert (ranges(server)[-1] == "bytes=99999-") is (total == "*")


def test_a_200_with_a_part_of_the_file_is_not_the_file(api, dest, raw_server):
    server = raw_server(respond("200 OK", NEW[:10], content_range="bytes 0-9/100000"))

    with pytest.raises(IncompleteError, match="part of the file"):
        api.download(server.url, dest)

    assert files(dest.parent) == []


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip, aws-chunked", gzip.compress), ("aws-chunked,gzip", gzip.compress),
        ("identity, GZIP", gzip.compress), ("gzip,", gzip.compress), ("utf-8, br2", bytes),
        ("8bit", bytes), ("null", bytes), ("*", bytes), ("deflate, identity", zlib.compress),
        ("none, deflate, x-gzip", lambda body: gzip.compress(zlib.compress(body))),
    ],
)  # fmt: skip
def test_an_unknown_coding_is_as_if_it_were_not_there(api, tmp_path, raw_server, coding, encode):
    text = b"hello,world\n" * 3000
    fields = {"content_encoding": coding, "content_type": "text/csv"}
    server = raw_server(whole(encode(text), **fields))

    done = api.download(server.url, tmp_path / "a.csv")

    assert (tmp_path / "a.csv").read_bytes() == text
    assert done.verified
    assert api.get(server.url).content == text
