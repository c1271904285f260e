"""Winsock's errors, by number: what requests' users catch, and retried as on other systems.

wine reports Linux's errors, so those of Windows are raised where the socket is called. On other
systems they are the errors that mean the same.
"""

import errno
import math
import socket

import pytest
import requests

import httpkit
from tests.support.platforms import ON_WINDOWS

ELSEWHERE = {
    10013: errno.EACCES, 10051: errno.ENETUNREACH, 10053: errno.ECONNABORTED,
    10054: errno.ECONNRESET, 10055: errno.ENOBUFS, 10058: errno.EPIPE, 10060: errno.ETIMEDOUT,
    10061: errno.ECONNREFUSED, 10065: errno.EHOSTUNREACH, 10050: errno.ENETDOWN,
}  # fmt: skip
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"


def winsock(code: int) -> OSError:
    """Return the error that Python raises for a number of Winsock's."""
    if ON_WINDOWS:
        return OSError(0, f"error {code}", None, code)
    return OSError(ELSEWHERE[code], f"error {code}")


@pytest.fixture
def failing(monkeypatch):
    """Let methods of every socket that is not of a server raise an error of Winsock's."""

    def fail(*methods: str, code: int, after: int = 0, times: float = math.inf) -> None:
        calls = []

        def patch(method):
            stock = getattr(socket.socket, method)

            def call(sock, *arguments):
                if getattr(sock, "is_of_client", method == "connect"):
                    calls.append(method)
                    if after < len(calls) <= after + times:
                        raise winsock(code)
                return stock(sock, *arguments)

            monkeypatch.setattr(socket.socket, method, call)

        for method in methods:
            patch(method)

    return fail


class ClientSocket(socket.socket):
    """A socket that the test can tell from those of its servers."""

    is_of_client = True


@pytest.fixture
def api(monkeypatch):
    """A session whose sockets can be told from those of servers."""
    from urllib3.util import connection

    monkeypatch.setattr(connection.socket, "socket", ClientSocket)
    with httpkit.Session(timeout=5) as session:
        yield session


@pytest.mark.parametrize("code", [10013, 10050, 10051, 10055, 10061, 10065])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_is_not_made_is_a_connection_error_and_retried(
    api, raw_server, failing, code, method
):
    server = raw_server(HEAD)
    failing("connect", code=code)

    with pytest.raises(requests.ConnectionError, match=f"error {code}") as caught:
        api.request(method, server.url)

    assert not isinstance(caught.value, requests.Timeout)
    assert caught.value.attempts == 3
    assert server.requests == []


def test_a_connection_that_times_out_in_the_system_is_a_connect_timeout(api, raw_server, failing):
    server = raw_server(HEAD)
    failing("connect", code=10060)

    with pytest.raises(requests.ConnectTimeout) as caught:
        api.post(server.url)

    assert caught.value.attempts == 3


@pytest.mark.parametrize("code", [10053, 10054, 10058])
@pytest.mark.parametrize(("method", "attempts"), [("GET", 3), ("POST", 1)])
def test_a_connection_that_is_lost_is_a_connection_error(
    api, raw_server, failing, code, method, attempts
):
    server = raw_server(HEAD)
    failing("recv", "recv_into", code=code)

    with pytest.raises(requests.ConnectionError, match=f"error {code}") as caught:
        api.request(method, server.url)

    assert not isinstance(caught.value, requests.Timeout)
    assert caught.value.attempts == attempts


@pytest.mark.parametrize(("method", "attempts"), [("GET", 3), ("POST", 1)])
def test_a_connection_that_the_system_gives_up_is_a_read_timeout(
    api, raw_server, failing, method, attempts
):
    server = raw_server(HEAD)
    failing("recv", "recv_into", code=10060)

    with pytest.raises(requests.ReadTimeout) as caught:
        api.request(method, server.url)

    assert caught.value.attempts == attempts


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (10053, requests.exceptions.ChunkedEncodingError),
        (10054, requests.exceptions.ChunkedEncodingError),
        (10060, requests.ReadTimeout),
    ],
)
def test_a_stream_that_breaks_raises_what_requests_raises(api, raw_server, failing, code, error):
    server = raw_server(HEAD + b"some")
    failing("recv_into", code=code, after=1)

    with api.get(server.url, stream=True) as response, pytest.raises(error):
        response.content  # noqa: B018  # reads it


@pytest.mark.parametrize("code", [10053, 10054])
def test_the_response_to_an_upload_that_was_cut_off_is_read(
    api, raw_server, make_response, failing, code
):
    """A server that refuses a body may respond and hang up before it has all of it."""
    server = raw_server(make_response("413 Content Too Large", connection="close"))
    failing("send", code=code, after=1)

    with pytest.raises(httpkit.StatusError) as caught:
        api.post(server.url, data=bytes(2_000_000))

    assert caught.value.status_code == 413


@pytest.mark.parametrize("code", [10053, 10054, 10060])
def test_a_download_goes_on_after_a_lost_connection(api, sandbox, tmp_path, failing, code):
    failing("recv", "recv_into", code=code, after=2, times=1)

    done = api.download(f"{sandbox.url}/bytes/3000000", tmp_path / "film")

    assert (done.size, done.verified, done.attempts) == (3_000_000, True, 2)
    assert (tmp_path / "film").read_bytes() == api.get(f"{sandbox.url}/bytes/3000000").content
