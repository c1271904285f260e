"""One function over many items: order, bounds, errors, interrupts, executors, progress."""

import contextvars
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import httpkit
from httpkit._resources import parallel
from httpkit.testing import Sandbox
from tests.support.platforms import PATIENCE

ROOT = Path(httpkit.__file__).parents[1]


def wait_until(holds):
    """Wait for what other threads are about to do."""
    ends_at = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.002)


def crew():
    """Count the threads of mappings."""
    return sum(thread.name == "httpkit-map" for thread in threading.enumerate())


class Gate:
    """A function that tells who entered, and keeps them until it is opened."""

    def __init__(self):
        self.entered = []
        self.opened = threading.Event()

    def __call__(self, item):
        self.entered.append(item)
        assert self.opened.wait(10)
        return item


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()
    wait_until(lambda: crew() == 0)


# ---- results


def test_results_come_in_the_order_of_the_items(sandbox, api):
    posts = api.resource("posts")

    found = list(api.map(posts.get, [3, 1, 2, 1], workers=4))

    assert [post["id"] for post in found] == [3, 1, 2, 1]
    assert sorted(request.path for request in sandbox.requests) == [
        "/posts/1", "/posts/1", "/posts/2", "/posts/3",
    ]  # fmt: skip


def test_results_come_as_they_are_done(api, gate):
    def work(item):
        return gate(item) if item == 0 else item

    results = api.map(work, range(4), workers=2, ordered=False)
    first = [next(results) for _ in range(3)]
    gate.opened.set()

    assert (sorted(first), list(results)) == ([1, 2, 3], [0])


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("workers", [1, 3, 32])
def test_each_item_is_called_once(api, ordered, workers):
    called = []

    def call(item):
        called.append(item)
        return item

    results = list(api.map(call, range(500), workers=workers, ordered=ordered))

    assert (results == list(range(500))) or not ordered
    assert Counter(results) == Counter(called) == Counter(range(500))


def test_no_items_give_no_results(api):
    assert list(api.map(abs, [])) == []


def test_the_workers_work_at_once(api):
    together = threading.Barrier(8)

    results = list(api.map(lambda n: together.wait(10) is not None and n, range(8), workers=8))

    assert results == list(range(8))


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_than_the_workers_work_at_once(api, workers):
    busy, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.001)
        with lock:
            busy -= 1

    list(api.map(work, range(50), workers=workers))

    assert most == workers


# ---- laziness and bounds


def test_nothing_is_called_before_the_first_result_is_read(api):
    pulled = []

    api.map(pytest.fail, (pulled.append(n) for n in range(3)))

    assert pulled == []


@pytest.mark.parametrize("ordered", [True, False])
def test_an_endless_source_is_pulled_only_as_far_as_results_are_taken(api, ordered):
    pulled = []
    items = (pulled.append(n) or n for n in itertools.count())

    with closing(api.map(abs, items, workers=3, ordered=ordered)) as results:
        for _ in range(10):
            next(results)
        time.sleep(0.02)

    assert 10 <= len(pulled) <= 9 + 4 * 3


def test_a_slow_first_call_does_not_fill_the_memory(api, gate):
    called = []

    def work(item):
        called.append(item)
        return gate(item) if item == 0 else item

    results = api.map(work, itertools.count(), workers=2)
    reader = threading.Thread(target=next, args=(results,))
    reader.start()
    wait_until(lambda: len(called) == 8)
    time.sleep(0.02)

    assert len(called) == 8
    gate.opened.set()
    reader.join(10)
    results.close()


@pytest.mark.parametrize("items", [range(1), itertools.count()], ids=["one", "endless"])
def test_a_result_that_was_handed_out_is_not_kept(api, items):
    class Big:
        pass

    with closing(api.map(lambda _: Big(), items, workers=1)) as results:
        kept = weakref.ref(next(results))
        gc.collect()

        wait_until(lambda: kept() is None)  # its thread may be just about to let go


# ---- errors


def test_the_first_error_is_raised_and_says_for_which_item(api):
    posts = api.resource("posts")

    with pytest.raises(httpkit.NotFoundError) as caught:
        list(api.map(posts.get, [1, 2, 99, 3]))

    assert caught.value.__notes__[-1] == "for item [2]: 99"


def test_after_an_error_nothing_more_is_begun(api, gate):
    def work(item):
        if item == 0:
            wait_until(lambda: len(gate.entered) == 1)  # the other worker is at 1
            raise ZeroDivisionError
        return gate(item)

    with pytest.raises(ZeroDivisionError):
        list(api.map(work, range(100), workers=2))
    gate.opened.set()
    wait_until(lambda: crew() == 0)

    assert len(gate.entered) <= 2


def test_errors_are_returned_in_order(api):
    posts = api.resource("posts")

    one, missing, two = api.map(posts.get, [1, 99, 2], errors="return")

    assert (one["id"], two["id"]) == (1, 2)
    assert isinstance(missing, httpkit.NotFoundError)
    assert missing.__notes__ == ["for item [1]: 99"]


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_an_interrupt_of_a_call_is_never_returned(api, errors):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(api.map(interrupt, [1], errors=errors))


def test_an_error_of_the_items_is_raised_as_it_is(api):
    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(api.map(abs, items()))


@pytest.mark.parametrize("errors", ["raise", "return"])
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "as done"])
def test_what_was_begun_is_given_before_an_error_of_the_items(api, ordered, errors):
    def items():
        yield from (1, 2, 3)
        raise LookupError("no more")

    given = []
    with pytest.raises(LookupError, match="no more"):
        given.extend(api.map(abs, items(), workers=4, ordered=ordered, errors=errors))

    assert sorted(given) == [1, 2, 3]


def test_items_that_failed_are_not_called_again(api):
    class Failing:
        requested = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.requested += 1
            if self.requested == 3:
                raise LookupError("once")
            return self.requested

    items = Failing()
    with pytest.raises(LookupError, match="once"):
        list(api.map(abs, items, workers=4))

    assert items.requested == 3


def test_what_was_begun_is_given_before_an_executor_refuses_more(api):
    def items():
        yield from (1, 2)
        pool.shutdown(wait=False)
        yield 3

    given = []
    with ThreadPoolExecutor(2) as pool, pytest.raises(RuntimeError, match="after shutdown"):
        given.extend(api.map(abs, items(), executor=pool))

    assert given == [1, 2]


def test_an_interrupt_of_the_items_is_raised_at_once(api, gate):
    def items():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(api.map(gate, items()))

    gate.opened.set()


@pytest.mark.parametrize("errors", ["raise", "return"])
def test_an_error_that_takes_no_notes_is_the_error_all_the_same(api, errors):
    class Closed(Exception):  # noqa: N818  # as a caller may name it
        __notes__ = "none"

    def fail(_):
        raise Closed

    results = api.map(fail, [1], errors=errors)
    if errors == "raise":
        with pytest.raises(Closed):
            list(results)
    else:
        assert isinstance(next(results), Closed)


class Unspeakable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("item", "note"),
    [
        ({"id": 7, "password": "canary-password-1"}, "{'id': 7, 'password': \"***\"}"),
        ("https://u:canary-2@h/?token=canary-3", "'https://h/?token=***"),
        ("x" * 5000, f"'{'x' * 198}…"),
        (Unspeakable(), "<Unspeakable>"),
    ],
    ids=["a password", "a URL", "a long one", "no repr"],
)
def test_the_note_shows_no_secret_and_not_too_much(api, item, note):
    def fail(_):
        raise ValueError

    (error,) = api.map(fail, [item], errors="return")

    assert error.__notes__[0].startswith(f"for item [0]: {note}")
    assert "canary" not in error.__notes__[0]
    assert len(error.__notes__[0]) <= 220


# ---- leaving early


def test_closing_cancels_what_is_not_begun(api, gate):
    def work(item):
        return item if item == 0 else gate(item)

    results = api.map(work, itertools.count(), workers=2)
    next(results)
    wait_until(lambda: len(gate.entered) == 2)
    started = time.monotonic()
    results.close()

    assert time.monotonic() - started < 5
    gate.opened.set()
    wait_until(lambda: crew() == 0)
    assert sorted(gate.entered) == [1, 2]


@pytest.mark.parametrize("end", ["to the end", "an error", "closed", "dropped"])
def test_no_thread_is_left_behind(api, end):
    before = threading.active_count()
    results = api.map(lambda n: 1 // (n - 50), range(200 if end == "an error" else 40), workers=16)

    if end == "to the end":
        list(results)
        assert threading.active_count() == before
    elif end == "an error":
        with pytest.raises(ZeroDivisionError):
            list(results)
    else:
        next(results)
        results.close()
    del results

    wait_until(lambda: threading.active_count() == before)


def test_no_more_threads_are_started_than_there_are_items(api, gate):
    results = api.map(gate, range(3), workers=100)
    reader = threading.Thread(target=list, args=(results,))
    reader.start()
    wait_until(lambda: len(gate.entered) == 3)

    assert crew() == 3
    gate.opened.set()
    reader.join(10)


INTERRUPTED = """
import signal
import sys
import httpkit
# A shell starts what it runs in the background with the signal ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
with httpkit.Session(sys.argv[1], timeout=60) as api:
    try:
        for _ in api.map(api.get, ["slow?seconds=30"] * 100, workers=4, ordered=sys.argv[2] == "1"):
            print("a result")
    except KeyboardInterrupt:
        print("stopped")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("ordered", ["1", "0"], ids=["ordered", "as they are done"])
def test_an_interrupt_stops_at_once(sandbox, ordered):
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, sandbox.url, ordered],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        wait_until(lambda: len(sandbox.requests) == 4)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        output = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()

    assert output == ("stopped\n", "")
    assert child.returncode == 0
    assert time.monotonic() - started < 5
    assert len(sandbox.requests) == 4


# ---- executors


def name_of_thread(_):
    return threading.current_thread().name


@pytest.mark.parametrize("ordered", [True, False])
def test_an_executor_of_the_callers_is_used_and_left_running(api, ordered):
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
        me = api.map(name_of_thread, range(20), executor=pool, ordered=ordered)
        names = set(me)

        assert names <= {"mine_0", "mine_1"}
        assert pool.submit(abs, -1).result() == 1
    assert crew() == 0


def test_an_executor_is_given_few_calls_ahead():
    class Lazy:
        """Runs a call when its result is asked for; never more than a few may wait for it."""

        waiting = most = 0

        def submit(self, fn, item):
            Lazy.waiting += 1
            Lazy.most = max(Lazy.most, Lazy.waiting)

            class Later(Future):
                def exception(self, timeout=None):
                    Lazy.waiting -= 1
                    self.set_result(fn(item))

            return Later()

    results = list(httpkit.Session().map(abs, range(100), workers=2, executor=Lazy()))

    assert (results, Lazy.most) == (list(range(100)), 8)


def test_calls_run_in_the_context_of_their_reader(api):
    trace = contextvars.ContextVar("trace")
    trace.set("mine")

    assert set(api.map(lambda _: trace.get(), range(4))) == {"mine"}


def test_more_threads_than_requests_would_keep_connections_for_connect_once(sandbox, caplog):
    caplog.set_level("DEBUG", logger="urllib3.connectionpool")
    together = threading.Barrier(32)

    with httpkit.Session(sandbox.url) as api:
        list(api.map(lambda _: together.wait(10) and api.get("posts"), range(320), workers=32))

    assert caplog.text.count("Starting new HTTP connection") <= 32
    assert "pool is full" not in caplog.text


# ---- progress


def test_a_progress_callable_counts_items(api):
    reported = []

    list(api.map(abs, range(7), progress=lambda p: reported.append((p.done, p.total))))

    assert (reported[0], reported[-1]) == ((0, 7), (7, 7))


def test_items_without_a_length_have_no_total(api):
    totals = set()

    list(api.map(abs, (n for n in range(3)), progress=lambda p: totals.add(p.total)))

    assert totals == {None}


BAR = """
import httpkit
list(httpkit.Session().map(abs, range(2000), progress=True))
"""


def test_the_bar_counts_items():
    ran = subprocess.run(
        [sys.executable, "-c", BAR], capture_output=True, text=True, cwd=ROOT, check=True,
        env={**os.environ, "HTTPKIT_PROGRESS": "on"},
    )  # fmt: skip

    assert "2000/2000" in ran.stderr
    assert "it/s" in ran.stderr
    assert "abs: 100%" in ran.stderr


def test_an_error_closes_the_bar(api):
    class Bar:
        total, n, closed = None, 0, False

        def update(self, n=1):
            self.n += n

    bar = Bar()

    with pytest.raises(ZeroDivisionError):
        list(api.map(lambda n: 1 // (n - 2), range(5), workers=1, progress=bar))

    assert (bar.total, bar.n) == (5, 2)


# ---- what cannot work


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0}, {"workers": -1}, {"workers": 1.5}, {"workers": True}, {"workers": None},
        {"executor": object()}, {"errors": "ignore"}, {"progress": 5}, {"fn": None},
        {"items": 5}, {"items": None},
    ],
    ids=lambda wrong: str(wrong).partition(" at ")[0],  # no address: workers compare the ids
)  # fmt: skip
def test_invalid_arguments_are_refused_before_the_first_result_is_read(api, wrong):
    (name,) = wrong

    with pytest.raises(httpkit.ConfigurationError, match=f"{name}="):
        api.map(**{"fn": abs, "items": [1], **wrong})


# ---- the promise: what threads may share


@pytest.fixture
def shared():
    with Sandbox() as sandbox:
        yield sandbox


def test_thirty_two_threads_keep_their_cookies_options_and_attempts_apart(shared):
    policy = httpkit.RetryPolicy(budget=None)
    together = threading.Barrier(32)

    def work(number):
        together.wait(10)
        mine = api.with_options(headers={"X-Number": str(number)}, timeout=number + 1)
        for turn in range(5):
            received = mine.get(f"echo/{number}", cookies={"own": str(number)}).json()
            assert received["headers"]["X-Number"] == str(number)
            assert f"own={number}" in received["headers"]["Cookie"]
            mine.get("cookies/set", params={f"n{number}-{turn}": str(number)})
        response = api.get(f"flaky/{number}", params={"fail": number % 3})
        assert response.attempts == number % 3 + 1
        assert "X-Number" not in api.headers
        return number

    with httpkit.Session(shared.url, retry=policy) as api:
        assert list(api.map(work, range(32), workers=32)) == list(range(32))
        cookies = api.cookies.get_dict()

    assert cookies == {f"n{n}-{turn}": str(n) for n in range(32) for turn in range(5)}


def test_thirty_two_threads_share_one_budget(shared):
    policy = httpkit.RetryPolicy(attempts=10, budget=50, statuses={500})  # ten retries

    with httpkit.Session(shared.url, retry=policy) as api:
        errors = list(api.map(api.get, ["status/500"] * 32, workers=32, errors="return"))

    assert len(shared.requests) == 32 + 10
    assert all(isinstance(error, httpkit.InternalServerError) for error in errors)
    assert any("budget" in error.stop_reason for error in errors)


def test_the_number_in_flight_is_the_documented_one():
    assert parallel._IN_FLIGHT == 4
    assert "4 * workers" in httpkit.Session.map.__doc__
