"""Connections that are waited for, closed under way, or left by their server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import httpkit
from httpkit._transport.adapter import Adapter

SHORT, LONG = 0.3, 10


@pytest.fixture
def keeping(raw_server, make_response):
    """A server that keeps its connections open."""
    return raw_server(make_response(body=b"hi", connection="keep-alive"))


class ClosedMeanwhile(Adapter):
    """Closes its pools as another thread may: after one was chosen, before it is used."""

    times = 1

    def get_connection_with_tls_context(self, *args, **options):
        pool = super().get_connection_with_tls_context(*args, **options)
        if self.times:
            self.times -= 1
            self.close()
        return pool


@pytest.mark.parametrize("warm", [False, True], ids=["no connection", "a connection is open"])
def test_a_post_whose_pool_is_closed_meanwhile_is_sent_once(keeping, warm):
    with httpkit.Session(keeping.url, retry=None) as api:
        api.mount("http://", adapter := ClosedMeanwhile())
        adapter.times = 0
        for _ in range(warm):
            api.get("warm")
        adapter.times = 1

        got = api.post("x", data=b"order").content

    assert got == b"hi"
    assert sum(request.startswith(b"POST") for request in keeping.requests) == 1


def test_a_pool_that_is_closed_again_and_again_is_an_error_and_no_circle(keeping):
    with httpkit.Session(keeping.url, retry=None) as api:
        api.mount("http://", adapter := ClosedMeanwhile())
        adapter.times = 1000

        with pytest.raises(requests.ConnectionError, match="closed"):
            api.get("x")

    assert keeping.requests == []


def test_threads_send_while_another_closes(sandbox):
    done = threading.Event()

    def close(api):
        while not done.is_set():
            api.close()
            time.sleep(0.0005)

    with httpkit.Session(sandbox.url, retry=None) as api, ThreadPoolExecutor(9) as pool:
        pool.submit(close, api)
        calls = [pool.submit(api.post, "echo", json={"id": n}) for n in range(200)]
        try:
            statuses = {call.result(LONG).status_code for call in calls}
        finally:
            done.set()

    assert statuses == {200}


# A pool that may not grow


def crowded(url, **options):
    """Return a session of one connection, for which the others wait."""
    api = httpkit.Session(url, retry=None, **options)
    api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
    return api


def test_waiting_for_a_connection_ends_with_the_deadline(keeping):
    with crowded(keeping.url) as api, api.get("held", stream=True):
        started = time.monotonic()

        with pytest.raises(httpkit.DeadlineExceededError) as caught:
            api.get("x", deadline=SHORT)

    assert isinstance(caught.value.__cause__, requests.ConnectTimeout)
    assert SHORT <= time.monotonic() - started < LONG
    assert len(keeping.requests) == 1


def test_a_released_connection_is_used_by_a_waiting_thread(keeping):
    with crowded(keeping.url, deadline=LONG) as api, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: api.get(f"{n}").content, range(40)))

    assert answers == [b"hi"] * 40
    assert keeping.connections == 1


def test_closing_wakes_threads_that_wait_for_a_connection(keeping):
    with crowded(keeping.url, deadline=LONG) as api, ThreadPoolExecutor(3) as pool:
        held = api.get("held", stream=True)
        waiting = [pool.submit(api.get, f"{n}") for n in range(3)]
        time.sleep(0.05)  # no one sees a thread that waits
        api.close()
        answers = [call.result(LONG).content for call in waiting]

        assert held.content == b"hi"
    assert answers == [b"hi"] * 3


# Without retries


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_server_closed_meanwhile_is_replaced_without_a_retry(
    raw_server, make_response, method
):
    # As servers do after a while: they said to keep it, and hang up in silence.
    reply = make_response(body=b"hi", connection="keep-alive")
    server = raw_server(lambda connection: connection.sendall(reply))
    with httpkit.Session(server.url, retry=None) as api:
        for _ in range(3):
            assert api.request(method, "x", data=b"order").content == b"hi"
            time.sleep(0.02)

    assert len(server.requests) == server.connections == 3
