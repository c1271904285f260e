"""A clock that a test moves: whatever is judged by the time follows it, and real sockets do not."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

import httpkit
from httpkit._core import clock as clock_module
from httpkit._core.clock import CLOCK, Clock, Deadline, sleep_in_slices
from httpkit.testing import FakeClock, Reply, Script, no_waiting, recorded_waits

URL = "https://api.example.com"
REAL = Clock()
# Seconds that really pass in a test, on a machine that is busy with others.
SLACK = 6


@pytest.fixture
def waits():
    """None: the clock of this module's tests is their own, and real outside of it."""


@pytest.fixture
def clock(waits):
    with FakeClock() as fake:
        yield fake


def is_real():
    now = (CLOCK.monotonic, CLOCK.wall, CLOCK.sleep, CLOCK.jitter)
    return now == (REAL.monotonic, REAL.wall, REAL.sleep, REAL.jitter)


# ---- what follows it


def test_a_wait_moves_the_clock_and_is_recorded(clock):
    before = clock.monotonic(), clock.time()
    with Script(Reply(status=503, headers={"Retry-After": "90"}), 200), httpkit.Session(URL) as api:
        response = api.get("x")

    assert clock.waits == [90]
    assert clock.monotonic() - before[0] == pytest.approx(90, abs=SLACK)
    assert clock.time() - before[1] == pytest.approx(90, abs=SLACK)
    assert response.elapsed_total == pytest.approx(90, abs=SLACK)


def test_waits_use_up_a_deadline(clock):
    policy = httpkit.RetryPolicy(attempts=9)
    with (
        Script(500, 500, 500, 500),
        httpkit.Session(URL, retry=policy) as api,
        pytest.raises(httpkit.InternalServerError) as caught,
    ):
        api.get("x", deadline=5)

    assert clock.waits == [0.5, 1.0, 2.0]
    assert "the deadline leaves no time for a wait of 4.00 s" in caught.value.stop_reason


def test_a_slow_response_passes_a_deadline(clock):
    def slow(attempt):
        clock.advance(11)
        return Reply(body="late")

    with (
        Script(slow),
        httpkit.Session(URL) as api,
        pytest.raises(httpkit.DeadlineExceededError, match="deadline of 10 s passed"),
    ):
        api.get("x", deadline=10)


def test_a_deadline_passes_on_a_real_socket_while_the_body_comes(clock, raw_server):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        clock.advance(60)
        connection.sendall(b"def")

    with (
        httpkit.Session(raw_server(drip).url, retry=None) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x", deadline=50)


def test_a_pause_that_a_server_requested_ends_by_the_clock(clock):
    with (
        Script(Reply(status=429, headers={"Retry-After": "60"}), 200, 200),
        httpkit.Session(URL, retry=1) as api,
    ):
        assert api.get("x", raise_for_status=False).status_code == 429
        clock.advance(45)
        api.get("x")
        api.get("x")

    assert clock.waits == [pytest.approx(15, abs=SLACK)]


@pytest.mark.parametrize("advanced", [0, 86_400])
def test_a_date_in_a_response_is_read_by_the_clock(clock, advanced):
    clock.advance(advanced)
    reply = Reply(status=503, headers={"Retry-After": formatdate(clock.time() + 30, usegmt=True)})
    with Script(reply, 200), httpkit.Session(URL) as api:
        api.get("x")

    assert clock.waits == [pytest.approx(30, abs=SLACK)]


def test_a_rate_is_kept_by_the_clock(clock):
    with Script(200, 200, 200), httpkit.Session(URL, rate_limit="1/min") as api:
        api.get("x")
        clock.advance(40)
        api.get("x")
        api.get("x")

    assert clock.waits == pytest.approx([20, 60], abs=SLACK)


def test_a_token_ends_by_the_clock(clock, sandbox):
    auth = httpkit.ClientCredentialsAuth(
        f"{sandbox.url}/token?expires_in=3600", sandbox.client_id, sandbox.client_secret
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        for seconds in (0, 3500, 100):
            clock.advance(seconds)
            api.get("posts/1")

    paths = [request.path for request in sandbox.requests]
    assert [path == "/token" for path in paths] == [True, False, False, True, False]


def test_the_timeout_of_a_real_socket_is_not_moved(clock, raw_server, make_response):
    def slow(connection):
        time.sleep(0.05)
        connection.sendall(make_response())

    server = raw_server(slow)
    clock.advance(1e6)

    with httpkit.Session(server.url, timeout=5, retry=None) as api:
        assert api.get("x").status_code == 200


# ---- threads


def test_a_wait_is_over_for_its_own_thread_alone(clock):
    gate = threading.Barrier(4)
    with (
        Script(*[200] * 4),
        httpkit.Session(URL, deadline=10) as api,
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda _: (gate.wait(5), api.get("x"), CLOCK.sleep(100)), range(4)))

    assert clock.waits == [100] * 4
    assert clock.monotonic() - time.monotonic() == pytest.approx(0, abs=SLACK)


def test_advancing_moves_every_thread(clock):
    clock.advance(100)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(lambda: CLOCK.monotonic() - time.monotonic()).result()

    assert ahead == pytest.approx(100, abs=SLACK)


# ---- in and out


def test_clocks_nest_and_each_records_its_own(waits):
    with FakeClock() as outer:
        CLOCK.sleep(1)
        with FakeClock() as inner:
            CLOCK.sleep(2)
        CLOCK.sleep(3)

    assert (outer.waits, inner.waits) == ([1, 3], [2])
    assert is_real()


@pytest.mark.parametrize("aid", [FakeClock, recorded_waits, no_waiting])
def test_an_exception_puts_the_real_clock_back(waits, aid):
    received = []

    def interrupted():
        with aid():
            received.append(is_real())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert (received, is_real()) == ([False], True)


def test_whoever_leaves_first_takes_only_its_own_clock_away(waits):
    first, second = FakeClock(), FakeClock()
    first.__enter__()
    second.__enter__()

    first.__exit__()
    CLOCK.sleep(5)
    second.__exit__()

    assert (first.waits, second.waits) == ([], [5])
    assert is_real()


def test_a_clock_that_is_entered_twice_is_left_twice(waits):
    clock = FakeClock()
    with FakeClock(), clock, clock:
        pass

    assert is_real()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_clock_is_not_set_back(clock, seconds):
    with pytest.raises(httpkit.ConfigurationError, match="seconds="):
        clock.advance(seconds)


def test_a_clock_says_how_far_ahead_it_is(clock):
    clock.advance(90)

    assert repr(clock) == "<FakeClock 90 s ahead, 0 waits>"


def test_tools_that_freeze_dates_are_heard(waits, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 86_400.0)

    assert CLOCK.wall() == 86_400.0


def test_a_wait_that_ended_a_clock_step_early_is_a_passed_deadline(monkeypatch):
    monkeypatch.setattr(clock_module, "CLOCK_STEP", 0.016)  # as on Windows
    now = [100.0]
    monkeypatch.setattr(CLOCK, "monotonic", lambda: now[0])
    limit = Deadline.start(0.5)
    assert limit.clip(60) == 0.5

    now[0] += 0.5 - 0.0156

    assert limit.remaining() == 0
    with pytest.raises(TimeoutError):
        limit.clip(60)


def test_a_sleep_in_slices_lasts_as_long_as_it_should():
    before = time.monotonic()

    sleep_in_slices(0.3)

    assert 0.3 <= time.monotonic() - before < 2
