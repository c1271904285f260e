"""A response that is not the file never costs the bytes that arrived before."""

import gzip
import hashlib
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import httpkit
from httpkit._core.validators import ContentRange, FileVersion
from httpkit._diagnostics.errors import ChecksumError, IncompleteError, TransferError
from httpkit._transfers.admission import Existing, Restart, admit_rest, admit_whole
from httpkit._transfers.part_file import PartFile
from httpkit.testing import FakeClock
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
    honest,
    noise,
    part_of,
    ranges,
    respond,
    rest,
    whole,
)
from tests.support.platforms import PATIENCE

ZIP = {"content_type": "application/zip"}
LOGIN = b"<html>Please log in"
NOTHING_NEW = rest(OLD, HALF - 4096, 4096, **STRONG)
WHEN_NAMED = ["file.bin.part", "file.bin.part.json"]


@pytest.fixture
def interrupted(api, dest, raw_server):
    """Leave the first half of OLD in a part file, in an earlier call."""

    def leave(**fields):
        server = honest(raw_server, OLD, cuts=[HALF, 0], **{**ZIP, **fields})
        with pytest.raises(IncompleteError):
            api.download(server.url, dest, max_stalls=0)
        return server

    return leave


NOT_THE_FILE = {
    "a login page": whole(LOGIN, **HTML),
    "a login page with an ETag": whole(LOGIN, etag='"login"', **HTML),
    "JSON": whole(b'{"error": "expired"}', content_type="application/json"),
    "nothing": whole(b""),
    "nothing, of the type": whole(b"", **ZIP),
    "another size, no validator": whole(b"short", **ZIP),
    "another size, the same ETag": whole(b"short", **ZIP, **STRONG),
    "another size, a weak ETag": whole(b"short", **ZIP, etag='W/"5-login"'),
    "a login page of the type": whole(LOGIN, **ZIP, etag='"login"'),
    "a long page of the type": whole(b"\n<!DOCTYPE html>" + NEW, **ZIP, etag='"login"'),
    "a page in chunks": chunked(b"<HTML>", NEW, **ZIP, etag='"login"'),
    "JSON of the type": whole(b'{"error": "expired"}', **ZIP, etag='"1"', last_modified=TODAY),
    "XML of the type": whole(b'<?xml version="1.0"?><Error/>', **ZIP, etag='"1"'),
    "another type in a 206": rest(OLD, HALF - 4096, **STRONG, **HTML),
    "403": respond("403 Forbidden", LOGIN, **HTML),
    "204": respond("204 No Content", b"", content_length=None),
}


@pytest.mark.parametrize("sent", NOT_THE_FILE.values(), ids=NOT_THE_FILE)
@pytest.mark.parametrize("is_later_run", [True, False], ids=["later run", "same call"])
def test_a_response_that_is_not_the_file_leaves_the_part_alone(
    api, dest, raw_server, sent, is_later_run
):
    first = whole(OLD, HALF, **STRONG, **ZIP)
    server = raw_server(first, *([NOTHING_NEW] if is_later_run else []), sent)
    if is_later_run:
        with pytest.raises(IncompleteError):
            api.download(server.url, dest, max_stalls=0)

    with pytest.raises(httpkit.HTTPKitError):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert files(dest.parent) == WHEN_NAMED


PAGES = {
    "html": (b"<!doctype html><h1>Report</h1>", "text/html", LOGIN),
    "no doctype": (b"<h1>Report</h1>", "text/html", LOGIN),
    "json": (b'{"rows": [', "application/json", b'{"error": "expired"}'),
    "xml": (b'<?xml version="1.0"?><rows>', "text/xml", b'<?xml version="1.0"?><Error/>'),
}


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize(("begin", "media_type", "page"), PAGES.values(), ids=PAGES)
def test_a_short_page_with_an_etag_is_no_new_version_of_a_page(
    api, dest, raw_server, begin, media_type, page, is_chunked
):
    """A login page of the file's own type took the name of the file."""
    other = {"etag": '"login"', "content_type": media_type}
    server = raw_server(
        whole(begin + OLD, HALF, **STRONG, content_type=media_type),
        chunked(page, **other) if is_chunked else whole(page, **other),
    )

    with pytest.raises(TransferError, match=r"error document.*resume=False"):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == (begin + OLD)[:HALF]
    assert files(dest.parent) == WHEN_NAMED


@pytest.mark.parametrize(("begin", "media_type", "_page"), PAGES.values(), ids=PAGES)
def test_a_new_version_of_a_page_is_fetched(api, dest, raw_server, begin, media_type, _page):
    server = raw_server(
        whole(begin + OLD, HALF, **STRONG, content_type=media_type),
        whole(begin + NEW[:HALF], etag='"v2"', content_type=media_type),
    )

    api.download(server.url, dest)

    assert dest.read_bytes() == begin + NEW[:HALF]


def test_a_page_in_gzip_is_no_new_version(api, dest, raw_server):
    text = {"content_type": "text/plain"}
    page = whole(gzip.compress(LOGIN), content_encoding="gzip", etag='"login"', **text)
    server = raw_server(whole(OLD, HALF, **STRONG, **text), page)

    with pytest.raises(TransferError, match="error document"):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == OLD[:HALF]


def test_resume_false_takes_a_page(api, dest, raw_server, interrupted):
    interrupted()
    server = raw_server(whole(LOGIN, **ZIP, etag='"login"'))

    api.download(server.url, dest, resume=False)

    assert dest.read_bytes() == LOGIN


def test_a_chunked_page_of_the_same_type_leaves_the_part_alone(api, dest, raw_server):
    server = raw_server(whole(b"<p>" + OLD, HALF, **STRONG, **HTML), chunked(LOGIN, **HTML))

    with pytest.raises(IncompleteError):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == (b"<p>" + OLD)[:HALF]
    assert files(dest.parent) == WHEN_NAMED


@pytest.mark.parametrize("size", [10, HALF])
def test_an_error_names_the_bytes_that_are_kept(api, dest, raw_server, size):
    page = respond("200 OK", NEW[:size], content_length=None, **ZIP)
    server = raw_server(whole(OLD, HALF, **STRONG, **ZIP), page)

    with pytest.raises(IncompleteError) as caught:
        api.download(server.url, dest, max_stalls=1)

    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert f"kept in {part_of(dest)}: call again to resume" in str(caught.value)
    assert files(dest.parent) == WHEN_NAMED


def test_a_redirect_to_a_login_page_leaves_the_part_alone(api, dest, raw_server):
    login = raw_server(whole(LOGIN, **HTML))
    server = raw_server(
        whole(OLD, HALF, **STRONG, **ZIP),
        respond("302 Found", b"", location=f"{login.url}/login"),
    )

    with pytest.raises(TransferError, match=r"text/html.*resume=False"):
        api.download(server.url, dest)

    assert part_of(dest).read_bytes() == OLD[:HALF]


def test_the_download_resumes_after_the_login_page(api, dest, raw_server):
    server = raw_server(
        whole(OLD, HALF, **STRONG, **ZIP),
        whole(LOGIN, **HTML),
        rest(OLD, HALF - 4096, **STRONG),
    )
    with pytest.raises(TransferError):
        api.download(server.url, dest)

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.resumed_from == HALF
    assert files(dest.parent) == ["file.bin"]


def test_resume_false_takes_another_type(api, dest, raw_server):
    server = raw_server(whole(OLD, HALF, **STRONG, **ZIP), NOTHING_NEW, whole(LOGIN, **HTML))
    with pytest.raises(IncompleteError):
        api.download(server.url, dest, max_stalls=0)

    api.download(server.url, dest, resume=False)

    assert dest.read_bytes() == LOGIN
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("status", ["416 Range Not Satisfiable", "200 OK"])
def test_what_replaces_a_part_is_beside_it_until_it_is_whole(api, dest, raw_server, status):
    kept = []

    def replace(connection):
        connection.sendall(whole(NEW, HALF, etag='"v2"', **ZIP))
        part = dest.with_name("file.bin.part.new")
        until = time.monotonic() + 5
        while time.monotonic() < until and not (part.exists() and part.stat().st_size == HALF):
            threading.Event().wait(0.01)
        kept.append((part_of(dest).read_bytes(), part.read_bytes()))
        connection.sendall(NEW[HALF:])

    refusal = [respond(status, b"<html>", **HTML)] if status[0] == "4" else []
    server = raw_server(whole(OLD, HALF, **STRONG, **ZIP), *refusal, replace)

    api.download(server.url, dest)

    assert kept == [(OLD[:HALF], NEW[:HALF])]
    assert dest.read_bytes() == NEW
    assert files(dest.parent) == ["file.bin"]


def test_a_new_version_that_is_interrupted_is_resumed_by_the_next_call(api, dest, raw_server):
    server = raw_server(
        whole(OLD, HALF, **STRONG, **ZIP),
        whole(NEW, HALF + 1000, etag='"v2"', **ZIP),
        rest(NEW, HALF + 1000 - 4096, 0, etag='"v2"'),
        rest(NEW, HALF + 1000 - 4096, etag='"v2"'),
    )
    with pytest.raises(IncompleteError, match=r"part\.new"):
        api.download(server.url, dest, max_stalls=0)
    assert part_of(dest).read_bytes() == OLD[:HALF]

    done = api.download(server.url, dest)

    assert dest.read_bytes() == NEW
    assert done.resumed_from == HALF + 1000
    assert field(server.requests[-1], "if-range") == '"v2"'
    assert files(dest.parent) == ["file.bin"]


def test_a_replacement_with_the_wrong_digest_leaves_the_part_alone(api, dest, raw_server):
    server = raw_server(whole(OLD, HALF, **STRONG, **ZIP), whole(NEW, etag='"v2"', **ZIP))

    with pytest.raises(ChecksumError):
        api.download(server.url, dest, checksum=f"sha256:{hashlib.sha256(OLD).hexdigest()}")

    assert part_of(dest).read_bytes() == OLD[:HALF]
    assert files(dest.parent) == WHEN_NAMED


def test_a_part_of_another_url_is_replaced_only_by_a_whole_file(api, dest, interrupted, raw_server):
    interrupted()
    other = honest(raw_server, NEW, cuts=[HALF, 0], etag='"other"')

    with pytest.raises(IncompleteError):
        api.download(f"{other.url}/other", dest, max_stalls=0)

    assert part_of(dest).read_bytes() == OLD[:HALF]


CHILD = """
import sys, httpkit
with httpkit.Session(timeout=60) as api:
    api.download(sys.argv[1], sys.argv[2])
"""


def test_a_kill_during_the_replacement_leaves_the_part_alone(api, dest, interrupted, raw_server):
    interrupted()
    arrived = threading.Event()

    def hang(connection):
        connection.sendall(whole(NEW, HALF, etag='"v2"', **ZIP))
        arrived.wait(PATIENCE)

    server = raw_server(hang, rest(NEW, 0, etag='"v2"'))
    path = str(Path(httpkit.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, str(dest)], env={**os.environ, "PYTHONPATH": path}
    )
    replacement = dest.with_name("file.bin.part.new")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not (
        replacement.exists() and replacement.stat().st_size == HALF
    ):
        threading.Event().wait(0.01)
    process.kill()
    process.wait()
    arrived.set()
    kept = part_of(dest).read_bytes()

    api.download(server.url, dest)

    assert kept == OLD[:HALF]
    assert dest.read_bytes() == NEW
    assert files(dest.parent) == ["file.bin"]


# What was learnt from the first response


def test_a_lean_206_keeps_type_date_and_digest_of_the_first_response(api, dest, raw_server):
    digest = {"repr_digest": f"sha-256=:{coded('sha256', OLD)}:"}
    fields = {"last_modified": YESTERDAY, "date": TODAY, **STRONG, **ZIP, **digest}
    server = raw_server(whole(OLD, HALF, **fields), NOTHING_NEW, rest(OLD, HALF - 4096))
    with pytest.raises(IncompleteError):
        api.download(server.url, dest, max_stalls=0)

    done = api.download(
        server.url, dest, content_type="application/*", mtime=True, verify="require"
    )

    assert dest.stat().st_mtime == 1672653600
    assert done.digests == {"sha256": hashlib.sha256(OLD).hexdigest()}
    assert done.content_type == "application/zip"


def test_a_digest_announced_in_the_first_run_refuses_other_bytes(api, dest, raw_server):
    digest = {"repr_digest": f"sha-256=:{coded('sha256', OLD)}:"}
    corrupt = OLD[:-1] + bytes([OLD[-1] ^ 1])
    server = raw_server(
        whole(OLD, HALF, **STRONG, **digest),
        NOTHING_NEW,
        rest(corrupt, HALF - 4096),
        whole(corrupt),
    )
    with pytest.raises(IncompleteError):
        api.download(server.url, dest, max_stalls=0)

    with pytest.raises(ChecksumError):
        api.download(server.url, dest)

    assert not dest.exists()


def test_an_unasked_206_is_resumed(api, dest, raw_server):
    server = raw_server(rest(OLD, 0, HALF, **STRONG), rest(OLD, HALF - 4096, **STRONG))

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.verified
    assert ranges(server) == [None, f"bytes={HALF - 4096}-"]
    assert field(server.requests[1], "if-range") == '"v1"'


@pytest.mark.parametrize("cap", [1000, 10_000, 70_000])
def test_capped_206s_are_joined_without_waits(api, dest, raw_server, waits, cap):
    def reply(connection):
        first = int((field(server.requests[-1], "range") or "bytes=0-")[6:].rstrip("-"))
        last = min(first + cap, len(OLD)) - 1
        body = OLD[first : last + 1]
        span = f"bytes {first}-{last}/{len(OLD)}"
        connection.sendall(respond("206 Partial Content", body, content_range=span, **STRONG))

    server = raw_server(reply)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert len(waits) <= 1


@pytest.mark.parametrize("etag", ["v1", "'v1'", '"v1'])
def test_an_invalid_etag_does_not_hide_a_good_date(api, dest, raw_server, etag):
    fields = {"etag": etag, "last_modified": YESTERDAY, "date": TODAY}
    server = raw_server(whole(OLD, HALF, **fields), rest(OLD, HALF - 4096, **fields))

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert field(server.requests[1], "if-range") == YESTERDAY


@pytest.mark.parametrize("coding", ["x-gzip", "", "none", "aws-chunked", "UTF-8", "identity"])
def test_a_coding_that_is_not_undone_costs_nothing(api, tmp_path, raw_server, coding):
    dest = tmp_path / "a.tar.gz"
    fields = {"content_encoding": coding, **STRONG}
    server = raw_server(whole(OLD, HALF, **fields), rest(OLD, HALF - 4096, **fields))

    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.verified
    assert ranges(server) == [None, f"bytes={HALF - 4096}-"]


@pytest.mark.parametrize("resume", [True, "force"])
def test_decoded_bytes_are_neither_kept_nor_resumed(api, dest, raw_server, resume):
    packed = gzip.compress(OLD)
    fields = {"content_encoding": "gzip", **STRONG}
    server = raw_server(
        whole(packed, HALF, **fields), whole(packed, 0, **fields), whole(packed, **fields)
    )
    with pytest.raises(IncompleteError) as caught:
        api.download(server.url, dest, max_stalls=0, resume=resume)

    done = api.download(server.url, dest, resume=resume)

    assert "force" not in str(caught.value)
    assert dest.read_bytes() == OLD
    assert done.verified
    assert ranges(server) == [None, None, None]


# The file that is there already


@pytest.mark.parametrize("if_exists", ["skip", "update"])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"checksum": "sha256:" + "0" * 64}, ChecksumError),
        ({"expected_size": 5}, TransferError),
        ({"max_size": 5}, httpkit.BodyTooLargeError),
        ({"checksum": f"sha256:{hashlib.sha256(OLD).hexdigest()}"}, None),
    ],
    ids=["checksum", "expected_size", "max_size", "right"],
)
def test_a_file_that_is_there_is_checked(api, dest, raw_server, if_exists, options, error):
    dest.write_bytes(OLD)
    server = raw_server(respond("304 Not Modified", b"", content_length=None))

    if error:
        with pytest.raises(error):
            api.download(server.url, dest, if_exists=if_exists, **options)
    else:
        done = api.download(server.url, dest, if_exists=if_exists, **options)
        assert done.skipped
        assert done.verified

    assert dest.read_bytes() == OLD


def test_a_finished_cell_can_be_run_again(api, tmp_path, raw_server):
    server = raw_server(whole(OLD))
    first = api.download(f"{server.url}/a.bin", tmp_path)

    again = api.download(f"{server.url}/a.bin", tmp_path)

    assert again.path == first.path
    assert files(tmp_path) == ["a.bin"]


def test_a_file_of_the_same_size_and_other_content_is_not_replaced(api, tmp_path, raw_server):
    (tmp_path / "a.bin").write_bytes(NEW)
    server = raw_server(whole(OLD))

    with pytest.raises(TransferError, match="if_exists"):
        api.download(f"{server.url}/a.bin", tmp_path)

    assert (tmp_path / "a.bin").read_bytes() == NEW
    assert files(tmp_path) == ["a.bin"]


on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such thing")


@on_posix
def test_a_link_is_written_through(api, tmp_path, raw_server):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "real.bin").write_bytes(b"before")
    link = tmp_path / "link.bin"
    link.symlink_to(folder / "real.bin")

    done = api.download(raw_server(whole(OLD)).url, link)

    assert link.is_symlink()
    assert done.path == link
    assert (folder / "real.bin").read_bytes() == OLD
    assert files(folder) == ["real.bin"]


@on_posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_mode_of_a_replaced_file_is_kept(api, dest, raw_server, mode):
    dest.write_bytes(b"before")
    dest.chmod(mode)
    modes = []

    def watch(_progress):
        with suppress(FileNotFoundError):
            modes.append(stat.S_IMODE(part_of(dest).stat().st_mode))

    api.download(raw_server(whole(OLD)).url, dest, progress=watch)

    assert stat.S_IMODE(dest.stat().st_mode) == mode
    assert modes
    assert all(found & ~mode == 0 for found in modes)


@on_posix
def test_a_part_that_another_program_replaces_is_not_given_the_name(api, dest, raw_server):
    def replace(_progress):
        part_of(dest).unlink(missing_ok=True)
        part_of(dest).write_bytes(b"mine")

    with pytest.raises(TransferError, match="another program"):
        api.download(raw_server(whole(OLD)).url, dest, progress=replace)

    assert not dest.exists()
    assert part_of(dest).read_bytes() == b"mine"


# Requests and speeds


@pytest.mark.parametrize("name", ["Range", "range", "If-Range"])
def test_a_range_of_the_callers_is_refused_before_anything_is_sent(api, dest, raw_server, name):
    server = raw_server(whole(OLD))

    with pytest.raises(httpkit.ConfigurationError, match="Range"):
        api.download(server.url, dest, headers={name: "bytes=0-5"})

    assert server.requests == []


def test_an_accept_encoding_of_the_callers_is_sent(api, dest, raw_server):
    server = raw_server(whole(OLD))

    api.download(server.url, dest, headers={"accept-encoding": "gzip"})

    assert field(server.requests[0], "accept-encoding") == "gzip"


def test_a_callable_url_is_called_at_every_attempt(api, dest, raw_server):
    server = honest(raw_server, OLD, cuts=[HALF, HALF])
    urls = iter([f"{server.url}/{number}/a?sig={number}" for number in range(9)])

    done = api.download(lambda: next(urls), dest)

    assert dest.read_bytes() == OLD
    assert [line.split()[1] for line in server.requests] == [
        b"/0/a?sig=0", b"/1/a?sig=1", b"/2/a?sig=2",
    ]  # fmt: skip
    assert done.attempts == 3
    assert None not in ranges(server)[1:]


def test_a_callable_url_resumes_by_etag_in_the_next_call(api, dest, raw_server):
    server = honest(raw_server, OLD, cuts=[HALF, 0])
    with pytest.raises(IncompleteError):
        api.download(lambda: f"{server.url}/one", dest, max_stalls=0)

    done = api.download(lambda: f"{server.url}/two", dest)

    assert done.resumed_from == HALF
    assert dest.read_bytes() == OLD


def test_a_trickle_is_a_stall_and_then_an_error(api, dest, raw_server):
    with FakeClock() as clock:

        def trickle(connection):
            connection.settimeout(0.02)
            connection.sendall(whole(OLD, 0, **STRONG))
            for _ in range(100):
                connection.sendall(b"x")
                clock.advance(20)
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue

        with pytest.raises(TransferError, match="min_speed"):
            api.download(raw_server(trickle).url, dest, min_speed=100, max_stalls=0)

    assert not dest.exists()


def test_min_speed_0_is_off(api, dest, raw_server):
    api.download(raw_server(whole(OLD)).url, dest, min_speed=0)

    assert dest.read_bytes() == OLD


def test_max_rate_spreads_a_download_over_time(api, dest, raw_server):
    server = raw_server(whole(OLD))

    with FakeClock() as clock:
        api.download(server.url, dest, max_rate=10_000)

    assert dest.read_bytes() == OLD
    assert sum(clock.waits) == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"max_rate": 0}, {"max_rate": "fast"}, {"min_speed": -1}, {"min_speed": True},
        {"min_speed": float("nan")}, {"max_rate": 10, "min_speed": 11},
    ],
    ids=repr,
)  # fmt: skip
def test_an_invalid_speed_is_refused_before_anything_is_sent(api, dest, raw_server, options):
    server = raw_server(whole(OLD))

    with pytest.raises(httpkit.ConfigurationError):
        api.download(server.url, dest, **options)

    assert server.requests == []


# The table of admissions

KNOWN = FileVersion('"1"', '"1"', None, 100, "a/b")
SILENT = FileVersion(total=100)


@pytest.mark.parametrize(
    ("known", "found", "is_admitted"),
    [
        (None, FileVersion(total=0), True),
        (KNOWN, KNOWN, True),
        (KNOWN, SILENT, True),
        (KNOWN, FileVersion(total=99), False),
        (KNOWN, FileVersion(), True),
        (KNOWN, FileVersion(etag='"2"', total=99), True),
        (KNOWN, FileVersion(etag='"1"', total=99), False),
        (KNOWN, FileVersion(etag='"2"', total=0), True),
        (KNOWN, FileVersion(etag='"2"', content_type="c/d"), False),
        (KNOWN, FileVersion(etag='W/"2"', total=99), False),
        (KNOWN, FileVersion(etag='W/"2"', total=100), True),
        (KNOWN, FileVersion(etag='W/"1"', total=99), False),
        (KNOWN, FileVersion(modified=TODAY, total=99), False),
        (KNOWN, FileVersion(TODAY, modified=TODAY, total=99), True),
        (FileVersion(etag='W/"1"', total=100), FileVersion(etag='W/"2"', total=99), True),
        (SILENT, FileVersion(total=99), True),
        (SILENT, FileVersion(total=0), False),
    ],
)  # fmt: skip
def test_a_200_is_the_file_or_not(known, found, is_admitted):
    existing = Existing(known, 50)

    if not is_admitted:
        with pytest.raises(TransferError):
            admit_whole(existing, found)
        return
    admission = admit_whole(existing, found)
    assert (admission.offset, admission.is_whole) == (0, True)


@pytest.mark.parametrize(
    ("got", "found", "offset"),
    [
        (ContentRange(40, 99, 100), FileVersion(total=100), 40),
        (ContentRange(0, 99, 100), FileVersion(total=100), 0),
        (ContentRange(41, 99, 100), FileVersion(total=100), None),
        (ContentRange(40, 99, 101), FileVersion(total=101), None),
        (ContentRange(40, 99, 100), FileVersion(etag='"2"', total=100), None),
        (None, FileVersion(), None),
    ],
    ids=["rest", "earlier", "gap", "another total", "another ETag", "no Content-Range"],
)
def test_a_206_continues_the_file_or_not(got, found, offset):
    existing = Existing(KNOWN, 50, 0, 40)

    if offset is None:
        with pytest.raises(Restart):
            admit_rest(existing, found, got)
        return
    admission = admit_rest(existing, found, got)
    assert (admission.offset, admission.is_whole) == (offset, False)
    assert admission.version.content_type == "a/b"


def test_a_sidecar_that_is_cut_off_anywhere_is_read_or_ignored(tmp_path):
    target = tmp_path / "x"
    part = PartFile.open(target)
    part.restart(KNOWN)
    part.write(b"abc")
    part.close()
    sidecar = tmp_path / "x.part.json"
    text = sidecar.read_bytes()

    for size in range(len(text) + 1):
        sidecar.write_bytes(text[:size])
        part = PartFile.open(target)
        assert part.version in {None, KNOWN}
        part.close()

    sidecar.write_bytes(text + b'{"left of a longer text')
    part = PartFile.open(target)
    assert part.version == KNOWN
    part.close()


def test_large_replacements_are_hashed_from_their_first_byte(api, dest, raw_server):
    old, new = noise(8, 2 << 20), noise(9, 2 << 20)
    server = raw_server(whole(old, 1 << 20, **STRONG), whole(new, etag='"v2"'))

    done = api.download(server.url, dest, checksum=f"sha256:{hashlib.sha256(new).hexdigest()}")

    assert dest.read_bytes() == new
    assert done.digests == {"sha256": hashlib.sha256(new).hexdigest()}


@pytest.mark.parametrize("if_exists", ["skip", "update"])
def test_a_file_that_is_there_is_not_taken_for_verified(api, dest, raw_server, if_exists):
    dest.write_bytes(OLD)
    server = raw_server(respond("304 Not Modified", b""))

    with pytest.raises(TransferError, match="verify='require'"):
        api.download(server.url, dest, if_exists=if_exists, verify="require")

    assert dest.read_bytes() == OLD
    digest = hashlib.sha256(OLD).hexdigest()
    done = api.download(
        server.url, dest, if_exists=if_exists, verify="require", checksum=f"sha256:{digest}"
    )
    assert done.verified
