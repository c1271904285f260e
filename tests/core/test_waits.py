"""Waits in slices, as on Windows: `interrupt_main` wakes no system call on any platform."""

import _thread
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit._core import waits
from tests.support.sockets import Acceptor

LONGEST = 5.0  # seconds of any wait here, far beyond the second that is promised
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
    """Press Ctrl-C in 0.2 seconds; the block must end within a second."""
    timer = threading.Timer(0.2, _thread.interrupt_main)
    before = time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert time.monotonic() - before < 1.2
    finally:
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
