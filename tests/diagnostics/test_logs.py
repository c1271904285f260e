"""What a log says of a request, at which level, and what it costs who wants none."""

import io
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import requests

import httpkit
from httpkit._core.clock import CLOCK, Clock
from httpkit._diagnostics import log_records
from httpkit.testing import FakeClock, Reply, Script, no_waiting
from tests.support.interop import require

URL = "https://api.example.com"
ROOT = logging.getLogger("httpkit")


class Kept(logging.Handler):
    """Keeps the records; caplog's list is another one before the test begins."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def records(caplog):
    """All records of httpkit so far."""
    caplog.set_level(logging.DEBUG, "httpkit")
    kept = Kept()
    ROOT.addHandler(kept)
    yield kept.records
    ROOT.removeHandler(kept)


def field(records, name, event):
    """Return one field of the records of an event."""
    return [getattr(r, f"httpkit_{name}") for r in records if r.httpkit_event == event]


def texts(records, logger):
    return [record.getMessage() for record in records if record.name == f"httpkit.{logger}"]


# ---- what is said


def test_a_call_is_one_record_whatever_it_took(records):
    with (
        Script(503, requests.ConnectionError("reset"), Reply(json={"id": 1})),
        httpkit.Session(URL) as api,
    ):
        api.put("users/1?token=s3cr3t", json={})

    url = f"{URL}/users/1?token=***"
    (call,) = [r for r in records if r.httpkit_event == "call"]
    assert (call.httpkit_attempt, call.httpkit_status, call.httpkit_error) == (3, 200, None)
    assert (call.httpkit_method, call.httpkit_url, call.httpkit_bytes) == ("PUT", url, 9)
    assert 0 <= call.httpkit_seconds < 60
    assert call.levelno == logging.DEBUG
    assert call.getMessage().startswith(f"PUT {url}: 200 in ")
    assert call.getMessage().endswith(" s, 9 bytes (3 attempts)")
    assert field(records, "status", "retry") == [503, None]
    assert field(records, "error", "retry") == [None, "ConnectionError"]


def test_a_call_that_fails_is_one_record(records):
    with (
        Script(500, requests.ReadTimeout("too slow")),
        httpkit.Session(URL, retry=2) as api,
        pytest.raises(requests.ReadTimeout),
    ):
        api.get("x")

    (call,) = [r for r in records if r.httpkit_event == "call"]
    assert (call.httpkit_attempt, call.httpkit_status) == (2, None)
    assert (call.httpkit_error, call.httpkit_reason) == ("ReadTimeout", "all 2 attempts were made")
    assert call.getMessage().startswith(f"GET {URL}/x: ReadTimeout: too slow in ")
    assert call.getMessage().endswith(" s (2 attempts)")


def test_a_refused_redirect_is_the_end_of_its_call(records):
    with (
        Script(Reply(status=302, headers={"Location": "ftp://elsewhere.example/"})),
        httpkit.Session(URL) as api,
        pytest.raises(httpkit.RedirectError),
    ):
        api.get("x")

    assert field(records, "url", "call") == [f"{URL}/x"]
    assert field(records, "error", "call") == ["RedirectError"]


def test_every_record_has_every_field(records):
    with Script(503, 200), httpkit.Session(URL) as api:
        api.get("x")

    names = {f"httpkit_{name}" for name in log_records.FIELDS}
    assert len(records) == 2
    assert all(names <= vars(record).keys() for record in records)


def test_calls_are_logged_on_the_fast_path_and_beside_it(sandbox, records):
    with httpkit.Session(sandbox.url) as api:
        for _ in range(2):
            api.get("bytes/100")
        with api.get("bytes/100", stream=True):
            pass

    assert field(records, "bytes", "call") == [100, 100, None]
    assert field(records, "status", "call") == [200] * 3


@pytest.mark.parametrize(
    ("reply", "level", "wait"),
    [
        (500, logging.INFO, 0.5),
        (Reply(status=429, headers={"Retry-After": "8"}), logging.INFO, 8.0),
        (Reply(status=503, headers={"Retry-After": "60"}), logging.WARNING, 60.0),
    ],
    ids=["soon", "as asked", "a program that stands still"],
)
def test_a_retry_is_information_and_a_long_wait_a_warning(records, reply, level, wait):
    with Script(reply, 200), httpkit.Session(URL) as api:
        api.get("x")

    assert [r.levelno for r in records if r.httpkit_event == "retry"] == [level]
    assert field(records, "wait", "retry") == [wait]
    assert field(records, "attempt", "retry") == [1]
    assert (
        f"GET {URL}/x: retrying in {wait:.2f} s after attempt 1: " in texts(records, "retries")[0]
    )


def test_a_retry_says_what_went_wrong_at_the_bottom(records):
    with (
        httpkit.Session("http://127.0.0.1:9", retry=2) as api,
        pytest.raises(requests.ConnectionError),
    ):
        api.get("x")

    assert field(records, "error", "retry") == ["ConnectionError"]
    assert "Connection refused" in field(records, "reason", "retry")[0]
    assert "HTTPConnectionPool" not in texts(records, "retries")[0]


def test_the_error_that_the_caller_was_handling_is_not_logged(records):
    try:
        {}["of the caller"]
    except KeyError:
        with (
            httpkit.Session("http://127.0.0.1:9", retry=1) as api,
            pytest.raises(requests.ConnectionError),
        ):
            api.get("x")

    assert "of the caller" not in "".join(texts(records, "requests"))


def test_an_error_of_our_own_keeps_its_message(records):
    error = httpkit.BodyTooLargeError("too much")
    error.__cause__ = OSError("what is below")
    with (
        Script(error),
        httpkit.Session(URL) as api,
        pytest.raises(httpkit.BodyTooLargeError),
    ):
        api.get("x")

    assert "BodyTooLargeError: too much in " in texts(records, "requests")[0]


def test_a_failure_without_a_message_is_named(records):
    with (
        Script(requests.ReadTimeout()),
        httpkit.Session(URL, retry=None) as api,
        pytest.raises(requests.ReadTimeout),
    ):
        api.get("x")

    assert f"GET {URL}/x: ReadTimeout in " in texts(records, "requests")[0]


def test_the_message_of_a_failure_is_logged_without_secrets(records):
    words = f"cannot read {URL}/x?token=s3cr3t-1, Authorization: Bearer s3cr3t-2"
    with Script(requests.ReadTimeout(words), 200), httpkit.Session(URL) as api:
        api.get("x")

    assert "cannot read" in texts(records, "retries")[0]
    assert "s3cr3t" not in "".join(f"{vars(record)}" for record in records)


def test_long_text_is_cut(records):
    with (
        Script(requests.ReadTimeout("x" * 10_000)),
        httpkit.Session(URL, retry=None) as api,
        pytest.raises(requests.ReadTimeout),
    ):
        api.get("x")

    assert len(texts(records, "requests")[0]) < 500


def test_the_end_of_retries_says_why(records):
    with Script(500), httpkit.Session(URL) as api, pytest.raises(httpkit.InternalServerError):
        api.post("x")

    (reason,) = field(records, "reason", "call")
    assert reason == "POST is not repeated after 500 without an idempotency key"
    assert f"0 bytes ({reason})" in texts(records, "requests")[0]


@pytest.mark.parametrize(("seconds", "level"), [(5, logging.INFO), (50, logging.WARNING)])
def test_a_pause_that_the_host_requested_is_logged(records, seconds, level):
    with (
        Script(Reply(status=429, headers={"Retry-After": str(seconds)}), 200),
        httpkit.Session(URL) as api,
    ):
        api.get("x", retry=1, raise_for_status=False)
        api.get("y")

    assert [r.levelno for r in records if r.httpkit_event == "pause"] == [level]
    assert field(records, "wait", "pause") == [pytest.approx(seconds, abs=4)]
    assert texts(records, "retries")[-1].endswith(" s: the server asked to wait")


def test_a_wait_for_the_rate_limit_is_logged_at_debug(records):
    with Script(200, 200), httpkit.Session(URL, rate_limit="1/min") as api:
        api.get("x")
        api.get("x")

    assert [r.levelno for r in records if r.httpkit_event == "pause"] == [logging.DEBUG]
    assert field(records, "reason", "pause") == ["rate_limit='1/min'"]


def test_a_redirect_log_names_the_target_and_what_is_withheld(sandbox, records):
    auth = httpkit.BearerAuth("s3cr3t-token")
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.get("redirect", params={"to": f"{sandbox.other_url}/echo?token=s3cr3t-2"})

    (text,) = [t for t in texts(records, "requests") if "302" in t]
    assert f"302 redirects to GET {sandbox.other_url}/echo?token=***; " in text
    assert field(records, "status", "redirect") == [302]
    assert field(records, "reason", "redirect") == [f"GET {sandbox.other_url}/echo?token=***"]
    assert field(records, "status", "call") == [200]
    last = texts(records, "requests")[-1]
    assert f"(1 redirect to {sandbox.other_url}/echo?token=***; " in last


def test_tokens_and_new_signatures_are_logged(sandbox, records):
    auth = httpkit.ClientCredentialsAuth(
        f"{sandbox.url}/token?expires_in=60", sandbox.client_id, sandbox.client_secret
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()
        api.get("posts/1")

    assert texts(records, "auth") == [
        f"POST {sandbox.url}/token?expires_in=60: fetched a token, expires in 60 s",
        f"POST {sandbox.url}/token?expires_in=60: fetched a token, expires in 60 s",
        f"GET {sandbox.url}/bearer/posts/1: signed again after 401",
    ]
    assert {r.levelno for r in records if r.name == "httpkit.auth"} == {logging.INFO}


def test_a_token_without_a_lifetime_is_logged(sandbox, raw_server, make_response, records):
    body = b'{"access_token": "t-1", "token_type": "Bearer"}'
    server = raw_server(make_response(body=body, content_type="application/json"))
    auth = httpkit.ClientCredentialsAuth(server.url, "me", "s3cr3t-word")
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.get("status/200")

    assert texts(records, "auth") == [f"POST {server.url}/: fetched a token"]


def test_a_resumed_download_is_logged(sandbox, records, tmp_path):
    url = f"{sandbox.url}/bytes/100000?drop=60000"
    with httpkit.Session(sandbox.url) as api:
        api.download("bytes/100000?drop=60000", tmp_path / "file")

    assert field(records, "bytes", "resume") == [60_000]
    assert field(records, "error", "resume") == ["ChunkedEncodingError"]
    (text,) = texts(records, "transfers")
    assert text.startswith(f"download of {url}: resuming at byte 60000 in 0.50 s after: ")


def test_a_download_that_continues_an_earlier_call_is_logged(sandbox, records, tmp_path):
    with httpkit.Session(sandbox.url) as api:
        with pytest.raises(httpkit.IncompleteError):
            api.download("bytes/100000?drop=4000", tmp_path / "file", max_stalls=0, resume=True)
        api.download("bytes/100000", tmp_path / "file", resume="force")

    assert texts(records, "transfers")[-1] == (
        f"download of {sandbox.url}/bytes/100000: resuming at byte 4000"
    )


def test_a_resumed_upload_is_logged(sandbox, records, tmp_path):
    state = tmp_path / "state"
    with httpkit.Session(sandbox.url, retry=None) as api:
        with pytest.raises(httpkit.IncompleteError):
            api.upload(
                "tus/key?drop=40&times=1", b"x" * 100, resumable="tus", state=state, max_stalls=0
            )
        api.upload("tus/key?drop=40&times=1", b"x" * 100, resumable="tus", state=state)

    output = texts(records, "transfers")
    location = f"upload of {sandbox.url}/tus/key?drop=40&times=1: resuming at byte "
    assert output == [f"{location}40"]


def test_a_lenient_session_logs_calls_too(sandbox, records):
    with httpkit.Session(sandbox.url, strict=False) as api:
        api.get("/redirect/chain/2")
        api.get("/redirect/chain/2", deadline=30)
    with (
        httpkit.Session("http://127.0.0.1:9", strict=False) as api,
        pytest.raises(requests.ConnectionError),
    ):
        api.get("x")

    assert field(records, "status", "call") == [200, 200, None]


# ---- many threads


def logged_waits(records, level=logging.INFO):
    """Return the messages about waits that a log of this level has."""
    return [r for r in records if r.name == "httpkit.retries" and r.levelno >= level]


def all_at_once(call, threads=32):
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(threads)))


@pytest.fixture
def _real_clock(waits, monkeypatch):
    """Let waits pass: a recorded wait moves the clock of every thread."""
    real = Clock()
    for name in ("monotonic", "wall", "sleep"):
        monkeypatch.setattr(CLOCK, name, getattr(real, name))


@pytest.mark.usefixtures("_real_clock")
def test_threads_that_a_server_asks_to_wait_log_one_wait(raw_server, make_response, records):
    refused = make_response("429 Too Many Requests", retry_after="1")
    together = Barrier(32)

    def refuse(connection):
        together.wait(30)  # all of them are on their way when the first is refused
        connection.sendall(refused)

    server = raw_server(*[refuse] * 32, make_response())
    with httpkit.Session(server.url) as api:
        all_at_once(lambda number: api.get(f"items/{number}"))

    assert [wait.httpkit_wait for wait in logged_waits(records)] == [pytest.approx(1, abs=0.2)]
    assert len(field(records, "url", "call")) == 32


@pytest.mark.usefixtures("_real_clock")
def test_threads_that_find_a_host_paused_log_one_wait(sandbox, records):
    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/key", params={"fail": 1, "retry_after": 1}, retry=1, raise_for_status=False)
        all_at_once(lambda _: api.get("posts/1"))

    assert [wait.httpkit_event for wait in logged_waits(records)] == ["pause"]
    assert len(field(records, "url", "call")) == 33


def test_a_longer_wait_and_another_host_are_logged_again(sandbox, records):
    clock = FakeClock()
    with clock, httpkit.Session(sandbox.url) as api:
        for seconds in (2, 30):
            api.get(f"flaky/{seconds}", params={"fail": 1, "retry_after": seconds})
        api.get(f"{sandbox.other_url}/flaky/key", params={"fail": 1, "retry_after": 5})

    assert [round(wait.httpkit_wait) for wait in logged_waits(records)] == [2, 30, 5]


@pytest.mark.usefixtures("_real_clock")
def test_threads_that_wait_for_a_rate_log_one_wait(sandbox, records):
    with httpkit.Session(sandbox.url, rate_limit=62.5) as api:  # one each 16 ms
        all_at_once(lambda _: api.get("posts/1"))

    assert field(records, "reason", "pause") == ["rate_limit=62.5"]
    assert len(field(records, "url", "call")) == 32


# ---- when nobody listens


def test_nothing_is_made_for_who_wants_nothing(monkeypatch, caplog, sandbox, tmp_path):
    made = []
    caplog.set_level(logging.ERROR, "httpkit")
    monkeypatch.setattr(log_records, "_write", lambda *a, **k: made.append(a))
    auth = httpkit.ClientCredentialsAuth(
        f"{sandbox.url}/token", sandbox.client_id, sandbox.client_secret
    )
    with httpkit.Session(sandbox.url, auth=auth, rate_limit="1/s") as api:
        api.get("bearer/posts/1")
        sandbox.revoke_tokens()
        api.get("bearer/posts/1")
        api.get("flaky/key?fail=1&retry_after=1")
        api.get("redirect/chain/1")
        api.get("status/500", raise_for_status=False)
        api.download("bytes/100000?drop=60000", tmp_path / "file")

    assert made == []


PROGRAM = """
import logging
import httpkit
from httpkit.testing import Script, no_waiting
SETUP
with Script(503, 500), no_waiting(), httpkit.Session("https://api.example.com") as api:
    api.post("x", raise_for_status=False, idempotency_key=True, retry=2)
"""


@pytest.mark.parametrize(
    ("setup", "lines"),
    [
        ("", 0),
        ("logging.basicConfig(level='INFO')", 1),
        ("logging.basicConfig(level='DEBUG')", 2),
        ("logging.basicConfig(); httpkit.log_requests('DEBUG')", 2),
        ("logging.basicConfig(); httpkit.log_requests()", 1),
    ],
)
def test_a_program_prints_what_it_asked_for_once(setup, lines):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("SETUP", setup)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (0, "")
    assert len([li for li in ran.stderr.splitlines() if "api.example.com" in li]) == lines


# ---- to see it


def state():
    return ROOT.level, list(ROOT.handlers)


@pytest.fixture(autouse=True)
def _left_as_found():
    before = state()
    yield
    httpkit.log_requests(None)
    assert state() == before


def say(text):
    log_records.REQUESTS.debug(text)


def test_a_block_shows_the_log_until_its_end(capsys):
    with httpkit.log_requests():
        say("one")
    say("two")

    printed = capsys.readouterr()
    assert printed.err.endswith(" one\n")
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_an_exception_ends_it_too(capsys):
    with pytest.raises(ZeroDivisionError), httpkit.log_requests():
        raise ZeroDivisionError
    say("one")

    assert capsys.readouterr().err == ""


def test_each_call_prints_one_line(sandbox, capsys):
    auth = httpkit.ClientCredentialsAuth(
        f"{sandbox.url}/token", sandbox.client_id, sandbox.client_secret
    )
    with no_waiting(), httpkit.Session(sandbox.url) as api, httpkit.log_requests():
        api.get("flaky/key", params={"fail": 2})
        api.get("redirect/chain/3")
        api.get("bearer/posts/1", auth=auth)  # asks for a token first

    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2].removesuffix(":") for line in lines] == [
        f"{sandbox.url}/flaky/key?fail=2",
        f"{sandbox.url}/redirect/chain/3",
        f"{sandbox.url}/token",
        f"{sandbox.url}/bearer/posts/1",
    ]
    assert "(3 attempts)" in lines[0]
    assert f"(3 redirects to {sandbox.url}/echo)" in lines[1]


def test_a_level_prints_every_record_from_it_on(sandbox, capsys):
    with no_waiting(), httpkit.Session(sandbox.url) as api, httpkit.log_requests("DEBUG"):
        api.get("flaky/key", params={"fail": 1})

    first, second = capsys.readouterr().err.splitlines()
    assert "after attempt 1: 503" in first
    assert "(2 attempts)" in second


def test_a_long_wait_is_printed_when_it_begins(sandbox, capsys):
    with no_waiting(), httpkit.Session(sandbox.url) as api, httpkit.log_requests():
        api.get("flaky/key", params={"fail": 1, "retry_after": 50})

    first, second = capsys.readouterr().err.splitlines()
    assert "retrying in 50.00 s after attempt 1: 503" in first
    assert "(2 attempts)" in second


def test_a_plain_call_holds_until_the_next_one(capsys):
    httpkit.log_requests()
    httpkit.log_requests()
    say("one")
    httpkit.log_requests(None)
    say("two")

    assert capsys.readouterr().err.count("\n") == 1


def test_blocks_nest_within_a_plain_call(capsys):
    inner_stream = io.StringIO()
    httpkit.log_requests()
    say("before")
    with httpkit.log_requests(stream=inner_stream):
        say("in the block")
        with httpkit.log_requests(None):
            say("nowhere")
        with httpkit.log_requests(logging.INFO):
            say("too little")
    say("after")

    printed = capsys.readouterr().err
    assert [line.split()[-1] for line in printed.splitlines()] == ["before", "after"]
    assert inner_stream.getvalue().endswith(" in the block\n")
    assert inner_stream.getvalue().count("\n") == 1


def test_blocks_end_in_any_order(capsys):
    first, second = httpkit.log_requests(), httpkit.log_requests()
    first = httpkit.log_requests().__enter__()
    second = httpkit.log_requests().__enter__()
    first.__exit__()
    say("one")
    second.__exit__()
    httpkit.log_requests(None)

    assert capsys.readouterr().err.count("\n") == 1


def test_the_level_of_the_caller_is_put_back():
    ROOT.setLevel(logging.ERROR)
    try:
        with httpkit.log_requests():
            assert log_records.REQUESTS.isEnabledFor(logging.DEBUG)
        assert ROOT.level == logging.ERROR
    finally:
        ROOT.setLevel(logging.NOTSET)


def test_a_stream_that_breaks_does_not_break_the_program(capsys):
    closed = io.StringIO()
    closed.close()
    with httpkit.log_requests(stream=closed):
        say("one")

    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.parametrize("level", ["LOUD", 1.5, object()], ids=["word", "float", "object"])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(httpkit.ConfigurationError, match="not a level of logging"):
        httpkit.log_requests(level)


def test_a_notebook_shows_it_below_the_cell():
    cell = (
        "import httpkit\nfrom httpkit.testing import Script\nhttpkit.log_requests()\n"
        "with Script(200), httpkit.Session('https://api.example.com') as api: api.get('x')\n"
        "None"
    )
    nbformat = require("nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])

    require("nbclient").NotebookClient(book, timeout=60, kernel_name="python3").execute()

    printed = "".join(o.text for o in book.cells[0].outputs if o.output_type == "stream")
    assert "GET https://api.example.com/x: 200 in 0." in printed
