"""How much a host can bear: a pause it asked for holds for all, and a rate is kept."""

import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyrate_limiter
import pytest
import requests

import httpkit
from httpkit._core.clock import CLOCK
from httpkit._policy import limits, rate_limits


def in_a_thread(fn, *arguments, **options):
    """Call in a thread of its own, whose recorded waits have not passed for anybody else."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(fn, *arguments, **options).result()


def be_told_to_wait(api, *, status=429, seconds=5, **options):
    """Have one attempt get a Retry-After, and the next with success."""
    query = {"fail": 1, "status": status, "retry_after": seconds}
    return api.get("flaky/told", params=query, **options)


# ---- a host that asked for a pause


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_holds_back_every_thread_of_the_session(api, waits, status):
    be_told_to_wait(api, status=status)

    with ThreadPoolExecutor(8) as pool:
        gate = threading.Barrier(8)
        list(pool.map(lambda _: (gate.wait(10), api.get("posts")), range(8)))

    assert waits == pytest.approx([5] * 9, abs=1)


def test_nothing_is_sent_while_the_host_is_held_back(sandbox, api, monkeypatch):
    be_told_to_wait(api)
    seen_while_waiting = []
    monkeypatch.setattr(
        CLOCK,
        "sleep",
        lambda seconds: seen_while_waiting.append(len(sandbox.requests)) or time_passes(seconds),
    )
    passed = []
    monkeypatch.setattr(CLOCK, "monotonic", lambda: time.monotonic() + sum(passed))
    time_passes = passed.append

    in_a_thread(api.get, "posts")

    assert seen_while_waiting == [2]
    assert len(sandbox.requests) == 3


def test_the_thread_with_the_429_waits_once(api, waits):
    be_told_to_wait(api)
    api.get("posts")

    assert waits == [5]


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(lambda api, _: api.get("posts"), id="the same session"),
        pytest.param(lambda api, _: api.with_options(timeout=9).get("posts"), id="a clone"),
        pytest.param(lambda api, _: api.post("posts", json={"title": "x"}), id="a POST"),
    ],
)
def test_a_host_pause_applies_to(sandbox, api, waits, who):
    be_told_to_wait(api)

    in_a_thread(who, api, sandbox)

    assert waits == pytest.approx([5, 5], abs=1)


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(lambda api, box: api.get(f"{box.other_url}/posts"), id="another host"),
        pytest.param(
            lambda _, box: httpkit.Session(box.url).get("posts").close(), id="another session"
        ),
        pytest.param(lambda api, _: api.get("posts", retry=None), id="a call without retries"),
    ],
)
def test_a_host_pause_does_not_apply_to(sandbox, api, waits, who):
    be_told_to_wait(api)

    in_a_thread(who, api, sandbox)

    assert waits == [5]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({"status": 500, "retry_after": 5}, {}),
        ({"status": 503}, {}),
        ({"status": 429, "retry_after": 5}, {"retry": None}),
        ({"status": 429, "retry_after": 500}, {}),
        ({"status": 429, "retry_after": 5}, {"retry": httpkit.RetryPolicy(statuses={500})}),
    ],
    ids=["500", "no Retry-After", "no retries", "longer than is waited for", "not retried"],
)
def test_no_host_pause_follows(api, waits, query, options):
    api.get("flaky/told", params={"fail": 1, **query}, raise_for_status=False, **options)
    waits.clear()

    in_a_thread(api.get, "posts")

    assert waits == []


def test_a_403_that_says_when_to_come_back_holds_all_threads_back(api, waits):
    api.get("flaky/told", params={"fail": 1, "status": 403, "retry_after": 5})
    waits.clear()

    in_a_thread(api.get, "posts")

    assert len(waits) == 1


def test_a_host_pause_ends(api, waits):
    be_told_to_wait(api, seconds=0.01)
    time.sleep(0.02)  # the thread that was told has waited in the record only

    in_a_thread(api.get, "posts")

    assert len(waits) == 1


def test_host_pauses_that_are_over_are_dropped(monkeypatch):
    monkeypatch.setattr(limits, "MOST_HOSTS", 10)
    paused = limits.HostThrottle()

    for number in range(100):
        paused.extend(f"host-{number}", number, 1)

    assert len(paused.ends) <= 11


def test_a_longer_host_pause_extends_a_shorter_one_only():
    paused = limits.HostThrottle()

    paused.extend("h", 0, 10)
    paused.extend("h", 2, 3)

    assert paused.remaining("h", 4) == 6
    assert paused.remaining("other", 4) == 0
    assert paused.remaining("h", 10) == 0


def test_a_host_pause_longer_than_the_deadline_raises_at_once(sandbox, api, waits):
    be_told_to_wait(api, seconds=60)

    with pytest.raises(httpkit.DeadlineExceededError, match="asked to wait") as caught:
        in_a_thread(api.get, "posts", deadline=30)

    assert caught.value.attempts == 0
    assert len(sandbox.requests) == 2
    assert waits == [60]


def test_a_host_pause_that_begins_during_a_rate_limit_wait_is_kept(sandbox, monkeypatch):
    slept = []

    def sleep(seconds):
        if not slept:
            api._host_throttle.extend(host, CLOCK.monotonic() + seconds, 60)
        slept.append(seconds)

    host = sandbox.url.removeprefix("http://")
    monkeypatch.setattr(CLOCK, "sleep", sleep)
    monkeypatch.setattr(CLOCK, "monotonic", lambda: time.monotonic() + sum(slept))
    with httpkit.Session(sandbox.url, rate_limit="1/h", deadline=None) as api:
        api.get("posts")
        api.get("posts")

    assert slept == pytest.approx([3600, 60], abs=2)


# ---- a rate of one's own


def test_a_rate_is_kept(sandbox, waits):
    with httpkit.Session(sandbox.url, rate_limit="3/s") as api:
        for _ in range(7):
            api.get("posts")

    # Three at once, then a second later three more: the clock is real between the waits.
    assert sum(waits) == pytest.approx(2, abs=0.5)
    assert len(sandbox.requests) == 7


def test_no_span_of_a_second_holds_more_than_the_rate():
    pace = rate_limits.RateLimiter("10/s")

    moments = sorted(pace.wait("h", 100.0, 1e9) for _ in range(100))

    assert moments[0] == 0
    assert all(b - a >= 1 for a, b in zip(moments, moments[10:], strict=False))
    assert moments[-1] == pytest.approx(9, abs=0.1)


def test_a_number_that_is_not_whole_spaces_requests_evenly():
    pace = rate_limits.RateLimiter(2.5)

    moments = [pace.wait("h", 100.0, 1e9) for _ in range(6)]

    assert moments == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0], abs=0.02)


def test_each_attempt_counts(sandbox, waits):
    with httpkit.Session(sandbox.url, rate_limit="1/h", retry=3, deadline=None) as api:
        api.get("flaky/x", params={"fail": 2})

    assert sum(seconds > 3000 for seconds in waits) == 2


def test_each_host_has_a_rate_of_its_own(sandbox, waits):
    with httpkit.Session(rate_limit="1/h") as api:
        api.get(f"{sandbox.url}/posts")
        api.get(f"{sandbox.other_url}/posts")

    assert waits == []


def test_threads_and_clones_share_one_rate(sandbox, waits):
    with (
        httpkit.Session(sandbox.url, rate_limit="8/h", deadline=None) as api,
        ThreadPoolExecutor(16) as pool,
    ):
        clone = api.with_options(timeout=9)
        gate = threading.Barrier(16)
        list(pool.map(lambda n: (gate.wait(10), (api, clone)[n % 2].get("posts")), range(16)))

    assert len(waits) == 8
    assert waits == pytest.approx([3600] * 8, abs=10)


@pytest.mark.parametrize("how", ["attribute", "class keyword", "assigned", "clone", "not strict"])
def test_a_rate_can_be_set_wherever_a_setting_can(sandbox, waits, how):
    class Attribute(httpkit.Session):
        rate_limit = "1/h"

    class Keyword(httpkit.Session, rate_limit="1/h"):
        pass

    api = {
        "attribute": Attribute,
        "class keyword": Keyword,
        "not strict": lambda url: httpkit.Session(url, strict=False, rate_limit="1/h"),
    }.get(how, httpkit.Session)(sandbox.url)
    if how == "assigned":
        api.rate_limit = "1/h"
    if how == "clone":
        api = api.with_options(rate_limit="1/h")

    with api:
        api.get("posts", deadline=None)
        api.get("posts", deadline=None)

    assert waits == pytest.approx([3600], abs=5)


def test_none_is_off(sandbox, waits):
    with httpkit.Session(sandbox.url, rate_limit="1/h") as api:
        free = api.with_options(rate_limit=None)
        free.get("posts")
        free.get("posts")

    assert waits == []


def test_a_rate_limit_wait_beyond_the_deadline_raises_at_once(sandbox, waits):
    with httpkit.Session(sandbox.url, rate_limit="1/h", deadline=30) as api:
        api.get("posts")
        with pytest.raises(httpkit.DeadlineExceededError, match="its turn at rate_limit='1/h'"):
            api.get("posts")
        with pytest.raises(httpkit.DeadlineExceededError):  # the refused one took no place
            api.get("posts")

    assert waits == []
    assert len(sandbox.requests) == 1


def test_a_limiter_of_pyrate_limiter_is_called_for_each_host(sandbox):
    requested = []

    class Limiter:
        def try_acquire(self, name="", weight=1, blocking=True, timeout=-1):  # theirs
            requested.append((name, timeout > 200))
            return True

    with httpkit.Session(sandbox.url, rate_limit=Limiter()) as api:
        api.get("posts")
        api.get("posts", deadline=None)

    host = sandbox.url.removeprefix("http://")
    assert requested == [(host, True), (host, False)]


def test_a_real_limiter_that_is_full_runs_into_the_deadline(sandbox):
    bucket = pyrate_limiter.InMemoryBucket([pyrate_limiter.Rate(1, 3_600_000)])
    factory = pyrate_limiter.SingleBucketFactory(bucket, schedule_leak=False)
    limiter = pyrate_limiter.Limiter(factory)

    with httpkit.Session(sandbox.url, rate_limit=limiter, deadline=0.2) as api:
        api.get("posts")
        with pytest.raises(httpkit.DeadlineExceededError, match="its turn"):
            api.get("posts")

    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("raises", "error"),
    [(TimeoutError(), httpkit.DeadlineExceededError), (None, httpkit.ConfigurationError)],
    ids=["timeout", "asynchronous"],
)
def test_a_limiter_that_gives_no_permit(sandbox, raises, error):
    class Limiter:
        def try_acquire(self, name="", weight=1, blocking=True, timeout=-1):  # theirs
            if raises:
                raise raises

    with httpkit.Session(sandbox.url, rate_limit=Limiter()) as api, pytest.raises(error):
        api.get("posts")

    assert sandbox.requests == []


RATES = {
    "10/s": (10, 1), "100/min": (100, 60), "5000/hour": (5000, 3600), "10 per 2 s": (10, 2),
    "1 per day": (1, 86_400), " 7 / Seconds ": (7, 1), 7: (7, 1), 2.0: (2, 1), 0.25: (1, 4),
}  # fmt: skip


@pytest.mark.parametrize("form", RATES)
def test_a_rate_reads(form):
    rate = rate_limits.read_rate(form)

    assert (rate.requests, rate.seconds) == RATES[form]


@pytest.mark.parametrize(
    "rate_limit",
    ["", "10", "0/s", "1/0s", "10/ms", "1/fortnight", "-1/s", "1/s/s", 0, -1, float("nan"),
     float("inf"), 1e9, True, [], object()],
)  # fmt: skip
def test_what_is_no_rate_is_refused_at_once(rate_limit):
    with pytest.raises(httpkit.ConfigurationError, match="rate_limit="):
        httpkit.Session(rate_limit=rate_limit)


def test_without_pyrate_limiter_a_rate_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrate_limiter", None)

    with pytest.raises(httpkit.ConfigurationError, match=r"pip install .*\[rate-limit\]"):
        httpkit.Session(rate_limit="10/s")


def test_a_session_without_a_rate_does_not_import_pyrate_limiter():
    program = "import httpkit, sys; httpkit.Session(); print('pyrate_limiter' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert ran.stdout.strip() == b"False"


def test_a_rate_pickles_as_it_was_given():
    api = httpkit.Session(rate_limit="10/s")

    twin = pickle.loads(pickle.dumps(api))

    assert twin._rate_limiter.rate_limit == "10/s"
    assert twin._rate_limiter is not api._rate_limiter


def test_hosts_without_requests_are_dropped(monkeypatch):
    monkeypatch.setattr(rate_limits, "MOST_HOSTS", 10)
    pace = rate_limits.RateLimiter("1/s")

    for number in range(100):
        pace.wait(f"host-{number}", float(number), 1e9)

    assert len(pace._buckets) <= 11


def test_an_interrupt_ends_a_rate_limit_wait(sandbox, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    with httpkit.Session(sandbox.url, rate_limit="1/h", deadline=None) as api:
        api.get("posts")
        monkeypatch.setattr(CLOCK, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            api.get("posts")


def test_a_limiter_that_says_no_is_not_blamed_on_a_deadline_that_does_not_exist(sandbox):
    class Full:
        def try_acquire(self, name="", weight=1, blocking=True, timeout=-1):
            return False

    with (
        httpkit.Session(sandbox.url, rate_limit=Full(), deadline=None) as api,
        pytest.raises(requests.Timeout, match="rejected the request"),
    ):
        api.get("posts/1")

    assert sandbox.requests == []


# ---- the budget


def test_a_hundred_thousand_calls_that_get_through_never_spend_the_budget():
    budget = limits.Budget()
    capacity, cost = 500, limits.TRANSPORT_COST

    for number in range(100_000):
        spent = cost if number % 10 == 0 else 0
        assert not spent or budget.spend("host", spent, capacity)
        budget.refund("host", spent + limits.SUCCESS_GAIN)

    assert not budget.spent


def test_what_is_given_back_is_never_more_than_the_capacity():
    budget = limits.Budget()
    assert budget.spend("host", 5, 10)

    budget.refund("host", 1000)

    assert [budget.spend("host", 5, 10) for _ in range(3)] == [True, True, False]


def test_a_host_that_spent_nothing_has_nothing_to_get_back():
    budget = limits.Budget()

    budget.refund("host", 5)

    assert [budget.spend("host", 5, 5), budget.spend("host", 5, 5)] == [True, False]
