"""Who runs our calls elsewhere: in the background, or in other processes."""

import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import pytest
import requests
from fake_server import FakeServer, Response

import httpkit
from tests.support.interop import require

joblib = require("joblib")
get_reusable_executor = require("joblib.externals.loky").get_reusable_executor
FuturesSession = require("requests_futures.sessions").FuturesSession


class Counting(FakeServer):
    """Fails twice for each path, then answers; notes the ports that called."""

    def __init__(self):
        super().__init__()
        self.callers = set()
        self.lock = threading.Lock()

    def serve(self, handler):
        with self.lock:
            self.callers.add(handler.client_address)
        super().serve(handler)

    def respond(self, seen):
        with self.lock:
            times = sum(other.path == seen.path for other in self.requests)
        is_fine = times > 2 or not seen.path.startswith("/flaky/")
        return Response(200 if is_fine else 503, {"path": seen.path})


@pytest.fixture
def server():
    with Counting() as server:
        yield server


# ---- requests-futures


def test_a_call_in_the_background_is_retried_and_raises_as_ours_does(sandbox):
    with (
        httpkit.Session(sandbox.url, auth=httpkit.BearerAuth("t0ken")) as api,
        FuturesSession(session=api, max_workers=4) as futures,
    ):
        good = [futures.get(f"flaky/{key}") for key in "abcd"]
        bad = futures.get("posts/99")
        replies = [future.result() for future in as_completed(good)]
        with pytest.raises(httpkit.NotFoundError):
            bad.result()

    assert [(response.attempts, type(response)) for response in replies] == [
        (3, httpkit.Response)
    ] * 4
    assert [len(sandbox.attempts(key)) for key in "abcd"] == [3] * 4
    assert {request.headers["Authorization"] for request in sandbox.requests} == {"Bearer t0ken"}


def test_a_background_call_takes_our_keywords(sandbox):
    with (
        httpkit.Session(sandbox.url) as api,
        FuturesSession(session=api, max_workers=2) as futures,
    ):
        future = futures.get("posts/99", on_status={404: lambda _: "absent"})

        assert future.result() == "absent"


def test_a_session_in_the_background_goes_to_other_processes(server):
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
        httpkit.Session(server.url) as api,
        FuturesSession(executor=pool, session=api) as futures,
    ):
        replies = [futures.get(f"posts/{n}").result() for n in range(5)]

    assert [response.json()["path"] for response in replies] == [f"/posts/{n}" for n in range(5)]
    assert all(isinstance(response, httpkit.Response) for response in replies)
    assert len(server.callers) == 1


class InBackground(FuturesSession, httpkit.Session):
    pass


def test_a_session_of_both_classes_retries_and_leaves_statuses_to_the_caller(sandbox):
    # It calls requests' own request, past ours: dispatch and typed errors are left out.
    with InBackground(base_url=sandbox.url, max_workers=2) as futures:
        flaky, absent = futures.get("flaky/a").result(), futures.get("posts/99").result()

    assert (flaky.attempts, len(sandbox.attempts("a"))) == (3, 3)
    assert absent.status_code == 404
    with pytest.raises(requests.HTTPError):
        absent.raise_for_status()


# ---- joblib


def test_joblib_spreads_calls_over_processes_that_keep_their_connections(server):
    with httpkit.Session(server.url) as api:
        get = api.resource("posts").get
        try:
            found = joblib.Parallel(n_jobs=2)(joblib.delayed(get)(n) for n in range(40))
        finally:
            get_reusable_executor().shutdown(wait=True)

    assert [item["path"] for item in found] == [f"/posts/{n}" for n in range(40)]
    assert sorted(request.path for request in server.requests) == sorted(
        item["path"] for item in found
    )
    assert len(server.callers) <= 2


def test_joblib_on_threads_shares_the_session(server):
    with httpkit.Session(server.url) as api:
        run = joblib.Parallel(n_jobs=4, backend="threading")
        replies = run(joblib.delayed(api.get)(f"flaky/{n}") for n in range(8))

    assert [response.attempts for response in replies] == [3] * 8
    assert len(server.requests) == 24
    assert len(server.callers) <= 4
