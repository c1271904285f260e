"""Waits in slices, as on Windows: `interrupt_main` wakes no system call on any platform."""

import _thread
import contextvars
import errno
import gc
import signal
import socket
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit import Adapter
from httpkit._core import waits
from tests.support.sockets import Acceptor, Listener

# Seconds of any wait here. One is promised, and a busy machine may take a few.
LONGEST, AT_ONCE = 20.0, 5.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


@pytest.fixture(autouse=True)
def _sliced(monkeypatch):
    monkeypatch.setattr(waits, "IS_SLICED", True)


def deaf(connection: socket.socket) -> None:
    """Read the request, and send nothing."""
    connection.recv(65536)
    connection.recv(65536)


def half(connection: socket.socket) -> None:
    """Send a part of the body."""
    connection.recv(65536)
    connection.sendall(HEAD + b"half")
    connection.recv(65536)


def take_nothing(connection: socket.socket) -> None:
    """Leave what is sent in the buffers of the sockets."""
    stopped.wait(LONGEST)


stopped = threading.Event()


@contextmanager
def interrupted():
    """Press Ctrl-C in 0.2 seconds; the block must end then, not with the wait.

    Without garbage collection: what is raised within a finalizer, or in Hypothesis' callback, is
    lost.
    """
    timer = threading.Timer(0.2, _thread.interrupt_main)
    before = time.monotonic()
    gc.disable()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - before < AT_ONCE
    finally:
        gc.enable()
        timer.join()


def get(api, _):
    api.get("x")


def read(api, _):
    with api.get("x", stream=True) as response:
        list(response.iter_content(1))


def download(api, folder):
    api.download("x", folder / "film")


def upload(api, folder):
    path = folder / "film.mp4"
    path.write_bytes(bytes(20_000_000))
    api.upload("x", path)


def post(api, _):
    api.post("x", data=bytes(20_000_000))


def mapped(api, _):
    list(api.map(lambda number: api.get(f"{number}").status_code, range(4)))


def unordered(api, _):
    list(api.map(lambda number: api.get(f"{number}").status_code, range(4), ordered=False))


@pytest.mark.parametrize(
    ("serve", "call"),
    [
        (deaf, get),
        (half, get),
        (half, read),
        (half, download),
        (take_nothing, upload),
        (take_nothing, post),
        (deaf, mapped),
        (deaf, unordered),
    ],
    ids=lambda function: function.__name__,
)
def test_ctrl_c_ends_a_wait_within_a_second(serve, call, tmp_path: Path):
    stopped.clear()
    with (
        Acceptor(serve) as server,
        httpkit.Session(f"http://127.0.0.1:{server.port}", timeout=LONGEST, retry=None) as api,
    ):
        with interrupted():
            call(api, tmp_path)
        stopped.set()


def test_ctrl_c_ends_a_wait_for_a_connection(busy):
    with httpkit.Session(busy, timeout=LONGEST, retry=None) as api, interrupted():
        api.get("x")


@pytest.mark.parametrize("path", ["https://127.0.0.1:{0}", "https://other.test"])
def test_ctrl_c_ends_a_handshake_with_a_server_or_a_proxy(path):
    with Acceptor(deaf) as server:
        proxies = {"https": f"http://127.0.0.1:{server.port}"} if "other" in path else {}
        with (
            httpkit.Session(path.format(server.port), timeout=LONGEST, retry=None) as api,
            interrupted(),
        ):
            api.get("x", proxies=proxies)


def test_ctrl_c_ends_the_lookup_of_a_name(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answered.wait(LONGEST) and [])
    with httpkit.Session("http://name.test", timeout=LONGEST, retry=None) as api, interrupted():
        api.get("x")

    answered.set()


def test_ctrl_c_ends_the_wait_for_a_connection_of_a_full_pool():
    """urllib3 would give back a connection that it never got, which the pool has no room for."""
    with (
        Acceptor(half) as server,
        httpkit.Session(f"http://127.0.0.1:{server.port}", timeout=LONGEST, retry=None) as api,
    ):
        api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
        with api.get("x", stream=True), interrupted():
            api.get("y")
        api.get("z", stream=True).close()


def test_a_connection_that_is_made_after_ctrl_c_is_closed(monkeypatch):
    left = threading.Event()
    stock = socket.getaddrinfo

    def late(*arguments):
        assert left.wait(LONGEST)
        return stock(*arguments)

    server = Listener(b"")
    with (
        Acceptor(server) as acceptor,
        httpkit.Session(f"http://localhost:{acceptor.port}", timeout=LONGEST, retry=None) as api,
    ):
        monkeypatch.setattr(socket, "getaddrinfo", late)
        with interrupted():
            api.get("x")
        left.set()

        assert server.was_left.wait(LONGEST)


def test_a_call_in_another_thread_has_the_context_and_raises_the_same():
    name = contextvars.ContextVar("name", default="other")
    name.set("own")

    def fail():
        raise LookupError(name.get(), threading.current_thread() is threading.main_thread())

    with pytest.raises(LookupError) as caught:
        waits.call(fail, fail)

    assert caught.value.args == ("own", False)


def test_a_lost_connection_is_not_waited_for_again():
    calls = []

    def lost(_: object) -> int:
        calls.append(1)
        raise TimeoutError(errno.ETIMEDOUT, "the connection was lost")

    ours, theirs = socket.socketpair()
    ours.settimeout(LONGEST)
    with ours, theirs, pytest.raises(TimeoutError, match="lost"):
        waits.socket_call(ours, lost, None)

    assert len(calls) == 1


def test_a_future_that_runs_its_call_when_it_is_asked_has_a_result():
    asked = []

    class Lazy(futures.Future):
        def exception(self, timeout=None):
            asked.append(timeout)
            self.set_result("made")

    lazy = Lazy()

    assert waits.result(lazy) is None
    assert (lazy.result(), len(asked)) == ("made", 1)


def test_a_result_that_comes_after_slices_is_waited_for():
    future = futures.Future()
    threading.Timer(0.6, future.set_exception, [error := ValueError()]).start()

    assert waits.result(future) is error


def test_a_timeout_error_of_a_signal_handler_ends_the_wait_for_a_result(monkeypatch):
    def alarm(*_: object) -> None:
        raise TimeoutError("the soft limit")

    before = signal.signal(signal.SIGINT, alarm)
    try:
        threading.Timer(0.1, _thread.interrupt_main).start()
        with pytest.raises(TimeoutError, match="the soft limit"):
            waits.result(futures.Future())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_response_that_comes_after_several_slices_is_read(raw_server, monkeypatch):
    monkeypatch.setattr(waits, "_SLICE", 0.01)

    def slow(connection: socket.socket) -> None:
        for piece in (HEAD, b"nine", b" byte"):
            threading.Event().wait(0.05)
            connection.sendall(piece)

    with httpkit.Session(raw_server(slow).url, timeout=LONGEST) as api:
        response = api.get("x")

    assert response.content == b"nine byte"


def test_a_timeout_of_several_slices_is_still_a_timeout(raw_server, monkeypatch):
    monkeypatch.setattr(waits, "_SLICE", 0.01)
    with (
        httpkit.Session(raw_server(deaf).url, timeout=0.1, retry=None) as api,
        pytest.raises(requests.ReadTimeout),
    ):
        api.get("x")


def test_a_refused_connection_is_still_refused(nobody):
    with (
        httpkit.Session(nobody, retry=None) as api,
        pytest.raises(requests.ConnectionError, match="refused"),
    ):
        api.get("x")


def test_a_connection_that_takes_too_long_still_times_out(busy, monkeypatch):
    monkeypatch.setattr(waits, "_SLICE", 0.01)
    with (
        httpkit.Session(busy, timeout=(0.1, LONGEST), retry=None) as api,
        pytest.raises(requests.ConnectTimeout),
    ):
        api.get("x")


def test_the_timeout_of_a_socket_is_kept():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(3)
        theirs.sendall(b"x")

        waits.socket_call(ours, ours.recv_into, bytearray(1))

        assert ours.gettimeout() == 3


def test_other_threads_do_not_wait_in_slices(monkeypatch):
    monkeypatch.setattr(waits, "_SLICE", 0.0)  # the main thread would never see a wait end
    happened = threading.Event()
    threading.Timer(0.05, happened.set).start()
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(waits.event(happened, LONGEST)))

    waiting.start()
    waiting.join()

    assert found == [True]


def test_a_body_larger_than_a_slice_of_sending_arrives_whole(sandbox, monkeypatch):
    monkeypatch.setattr(waits, "_SLICE", 0.001)
    with httpkit.Session(sandbox.url) as api:
        api.get("empty")
        api.post("echo", data=bytes(3_000_000))

    assert sandbox.requests[-1].body == bytes(3_000_000)
