"""requests-toolbelt's adapters, sessions and helpers, on our session, while a server fails."""

import hashlib
import ssl
import threading

import pytest
import requests
import trustme
from requests_toolbelt.adapters.fingerprint import FingerprintAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter
from requests_toolbelt.adapters.source import SourceAddressAdapter
from requests_toolbelt.adapters.ssl import SSLAdapter
from requests_toolbelt.cookies.forgetful import ForgetfulCookieJar
from requests_toolbelt.downloadutils import stream, tee
from requests_toolbelt.sessions import BaseUrlSession
from requests_toolbelt.streaming_iterator import StreamingIterator
from requests_toolbelt.threaded.pool import Pool
from requests_toolbelt.utils import dump

import httpkit

BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"


# ---- BaseUrlSession


class Blog(BaseUrlSession, httpkit.Session):
    """toolbelt's base URL, our delivery: what a project that has the one gets of the other."""


def test_a_base_url_session_retries_and_keeps_its_own_way_to_join(sandbox):
    with Blog(f"{sandbox.url}/flaky/deep/") as api:
        below = api.get("a")
        beside = api.get("/flaky/b")

    assert (below.attempts, beside.attempts) == (3, 3)
    assert len(sandbox.attempts("deep/a")) == len(sandbox.attempts("b")) == 3


def test_a_base_url_session_raises_typed_errors(sandbox):
    with Blog(f"{sandbox.url}/") as api, pytest.raises(httpkit.NotFoundError):
        api.get("posts/99")

    assert [request.path for request in sandbox.requests] == ["/posts/99"]


def test_a_base_url_session_sends_credentials_to_its_origin(sandbox):
    with Blog(f"{sandbox.url}/") as api:
        api.auth = httpkit.BearerAuth("t0ken-of-the-blog")
        api.get("echo")
        api.get(f"{sandbox.other_url}/echo")

    told = [request.headers.get("Authorization") for request in sandbox.requests]
    assert told == ["Bearer t0ken-of-the-blog", None]


# ---- adapters


def test_a_source_address_is_used_for_every_attempt(raw_server):
    callers = []

    def replying(reply):
        def serve(connection):
            callers.append(connection.getpeername()[0])
            connection.sendall(reply)

        return serve

    server = raw_server(replying(BUSY), replying(FINE))

    with httpkit.Session(server.url) as api:
        api.mount("http://", SourceAddressAdapter("127.0.0.2"))
        response = api.get("x")

    assert (response.text, response.attempts) == ("hi", 2)
    assert callers == ["127.0.0.2", "127.0.0.2"]


def test_a_keep_alive_adapter_is_called_for_every_attempt(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.mount("http://", TCPKeepAliveAdapter(idle=20, count=5, interval=5))
        response = api.get("flaky/a")

    assert (response.status_code, response.attempts) == (200, 3)
    assert len(sandbox.attempts("a")) == 3


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secured(raw_server, authority, tmp_path):
    """Start a server over TLS for a name; give it, its certificate's SHA-256 and whom to trust."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)

    def start(name, *answers):
        certificate = authority.issue_cert(name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
        server = raw_server(*answers, tls=context)
        return server, hashlib.sha256(der).hexdigest(), str(bundle)

    return start


def test_a_pinned_certificate_is_checked_at_every_attempt(secured):
    server, fingerprint, bundle = secured("127.0.0.1", BUSY, FINE)

    with httpkit.Session(server.url, verify=bundle) as api:
        api.mount("https://", FingerprintAdapter(fingerprint))
        response = api.get("x")

    assert (response.text, response.attempts) == ("hi", 2)


def test_another_certificate_than_the_pinned_one_is_an_error_at_once(secured):
    server, fingerprint, bundle = secured("127.0.0.1", FINE)
    wrong = fingerprint.translate(str.maketrans("0123456789", "1234567890"))

    with httpkit.Session(server.url, verify=bundle, auth=httpkit.BearerAuth("t0ken-1234")) as api:
        api.mount("https://", FingerprintAdapter(wrong))
        with pytest.raises(requests.exceptions.SSLError) as caught:
            api.get("x")

    assert (caught.value.attempts, server.requests) == (1, [])


def test_the_host_header_names_whom_the_certificate_is_for(secured):
    server, _, bundle = secured("shop.test", BUSY, FINE)

    with httpkit.Session(server.url, verify=bundle) as api:
        api.mount("https://", HostHeaderSSLAdapter())
        response = api.get("x", headers={"Host": "shop.test"})
        with pytest.raises(requests.exceptions.SSLError):
            api.get("x", headers={"Host": "evil.test"})

    assert (response.text, response.attempts) == ("hi", 2)
    assert [b"Host: shop.test\r\n" in request for request in server.requests] == [True, True]


def test_an_ssl_adapter_chooses_the_protocol(secured):
    server, _, bundle = secured("127.0.0.1", BUSY, FINE)

    with httpkit.Session(server.url, verify=bundle) as api:
        api.mount("https://", SSLAdapter(ssl.PROTOCOL_TLS_CLIENT))
        response = api.get("x")

    assert (response.text, response.attempts) == ("hi", 2)


# ---- bodies and cookies


def test_a_streaming_iterator_is_sent_once_and_the_error_says_why(sandbox):
    body = StreamingIterator(6, iter([b"abc", b"def"]))

    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.ServiceUnavailableError) as e:
        api.put("flaky/a", data=body)

    assert [seen.body for seen in sandbox.attempts("a")] == [b"abcdef"]
    assert "only once" in e.value.stop_reason


def test_a_jar_that_drops_cookies_drops_them_on_the_fast_path_too(raw_server, make_response):
    server = raw_server(make_response(set_cookie="sid=1", connection="keep-alive"))

    with httpkit.Session(server.url) as api:
        api.cookies = ForgetfulCookieJar()
        for _ in range(3):
            api.get("x")

    assert [b"sid=" in request for request in server.requests] == [False] * 3
    assert server.connections == 1


# ---- helpers


@pytest.mark.parametrize("way", [stream.stream_response_to_file, "tee"], ids=["stream", "tee"])
def test_a_streamed_response_is_written_whole(sandbox, tmp_path, way):
    path = tmp_path / "bytes.bin"

    with httpkit.Session(sandbox.url) as api, api.get("bytes/70000", stream=True) as response:
        if way == "tee":
            blocks = b"".join(tee.tee_to_file(response, str(path)))
        else:
            way(response, path=str(path))
            blocks = None
        expected = api.get("bytes/70000").content

    assert path.read_bytes() == expected
    assert blocks in {None, expected}


def test_a_dump_shows_every_hop_also_of_a_connection_that_was_open(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.get("echo")
        written = dump.dump_all(api.get("redirect/chain/1")).decode()

    assert "< GET /redirect/chain/1 HTTP/1.1\r\n" in written
    assert "> HTTP/1.1 302 Found\r\n" in written
    assert "< GET /echo HTTP/1.1\r\n" in written
    assert "> HTTP/1.1 200 OK\r\n" in written


def test_a_pool_of_toolbelts_makes_sessions_of_ours(sandbox):
    urls = [f"{sandbox.url}/flaky/{key}" for key in "abcd"]

    made = threading.Event()  # its threads begin before they are whole

    def make():
        api = httpkit.Session()
        api.hooks["response"].append(lambda *_, **__: made.wait(5) and None)
        return api

    pool = Pool.from_urls(urls, num_processes=2, session=make)
    made.set()
    pool.join_all()

    assert [(r.response.status_code, r.response.attempts) for r in pool.responses()] == [
        (200, 3)
    ] * 4
    assert list(pool.exceptions()) == []
    assert [len(sandbox.attempts(key)) for key in "abcd"] == [3] * 4
