"""Whom a session trusts, what it says when it does not, and addresses of IPv6."""

import contextlib
import datetime as dt
import pickle
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import trustme
from requests.exceptions import SSLError

import httpkit
from httpkit._core import hints
from tests.support.platforms import ENDLESS, LATE, SHORT
from tests.support.sockets import hang_up

HOST = "127.0.0.1"
TODAY = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def folder(authority, tmp_path_factory) -> Path:
    """Hold ca.pem, and the client certificates mine.pem, theirs.pem and old.pem."""
    path = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(path / "ca.pem")
    clients = {
        "mine": authority.issue_cert("client.test"),
        "theirs": trustme.CA().issue_cert("client.test"),
        "old": authority.issue_cert(
            "client.test", not_before=TODAY - 9 * DAY, not_after=TODAY - DAY
        ),
    }
    for name, certificate in clients.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(path / f"{name}.pem")
        certificate.private_key_pem.write_to_path(path / f"{name}.key")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(path / f"{name}.crt", append=True)
    return path


@pytest.fixture
def session(folder) -> Iterator[Callable]:
    """Make sessions that trust the authority; they are closed by themselves."""
    with contextlib.ExitStack() as sessions:

        def make(base_url: str, **options) -> httpkit.Session:
            options = {"verify": str(folder / "ca.pem"), "timeout": 5, **options}
            return sessions.enter_context(httpkit.Session(base_url, **options))

        yield make


def context(certificate: trustme.LeafCert, **attributes) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def said(error: BaseException) -> str:
    return "\n".join([str(error), *error.__notes__])


@pytest.fixture(params=["GET", "POST"])
def method(request) -> str:
    return request.param


# Whom it trusts


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_private_authority_is_trusted_by_its_file(
    raw_server, make_response, authority, session, version
):
    tls = context(authority.issue_cert(HOST), minimum_version=version, maximum_version=version)
    server = raw_server(make_response(body=b"hi", connection="keep-alive"), tls=tls)

    api = session(server.url)
    bodies = [api.get("x").content, api.post("x", data=b"order").content]

    assert (bodies, server.connections) == ([b"hi", b"hi"], 1)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_private_authority_is_trusted_by_the_environment(
    raw_server, make_response, authority, session, folder, monkeypatch, name
):
    server = raw_server(make_response(), tls=context(authority.issue_cert(HOST)))
    monkeypatch.setenv(name, str(folder / "ca.pem"))

    response = session(server.url, verify=None).get("x")

    assert response.status_code == 200


def test_verify_false_warns(raw_server, make_response, authority, session):
    server = raw_server(make_response(), tls=context(authority.issue_cert("other.test")))

    with pytest.warns(Warning, match="Unverified HTTPS request"):
        response = session(server.url, verify=False).get("x")

    assert response.status_code == 200


def test_verify_false_warns_for_each_request(raw_server, make_response, authority, session):
    tls = context(authority.issue_cert("other.test"))
    server = raw_server(make_response(connection="keep-alive"), tls=tls)
    api = session(server.url, verify=False)

    for _ in range(3):  # all but the first over a connection that is open
        with pytest.warns(Warning, match="Unverified HTTPS request"):
            api.get("x")

    assert server.connections == 1


def test_verifying_nothing_once_does_not_stick(raw_server, make_response, authority, session):
    tls = context(authority.issue_cert("other.test"))
    server = raw_server(make_response(connection="keep-alive"), tls=tls)
    api = session(server.url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api.get("x", verify=False)

    with pytest.raises(SSLError):
        api.get("x")

    assert len(server.requests) == 1


# Whom it does not


def without_intermediate(authority: trustme.CA) -> ssl.SSLContext:
    certificate = authority.create_child_ca().issue_cert(HOST)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = certificate.cert_chain_pems[0]
    with certificate.private_key_pem.tempfile() as key, leaf.tempfile() as chain:
        made.load_cert_chain(chain, key)
    return made


def of_old_versions(authority: trustme.CA) -> ssl.SSLContext:
    made = context(authority.issue_cert(HOST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    made.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL will not play an old server
    return made


UNTRUSTED = {
    "another host": (
        lambda authority: context(authority.issue_cert("other.test")),
        "the certificate is for another name",
    ),
    "another address": (
        lambda authority: context(authority.issue_cert("127.0.0.2")),
        "the certificate is for another name",
    ),
    "expired": (
        lambda authority: context(
            authority.issue_cert(HOST, not_before=TODAY - 9 * DAY, not_after=TODAY - DAY)
        ),
        "the certificate has expired",
    ),
    "not yet valid": (
        lambda authority: context(authority.issue_cert(HOST, not_before=TODAY + DAY)),
        "the certificate is not valid yet",
    ),
    "another authority": (
        lambda _: context(trustme.CA().issue_cert(HOST)),
        "give its certificates as verify=",
    ),
    "no intermediate": (without_intermediate, "forgot to send an intermediate one"),
    "TLS 1.1": (of_old_versions, "supports no TLS version from 1.2 on"),
}


@pytest.mark.parametrize(("make", "words"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_server_that_is_not_trusted_gets_nothing_and_is_not_tried_again(
    raw_server, make_response, authority, session, waits, method, make, words
):
    server = raw_server(make_response(), tls=make(authority))
    api = session(server.url, auth=httpkit.BearerAuth("t0ken-9f86d081"))

    with pytest.raises(SSLError) as caught:
        api.request(method, "x", idempotency_key=True)

    error = caught.value
    assert words in said(error)
    assert (error.attempts, waits, server.requests) == (1, [], [])
    assert error.request.url == f"{server.url}/x"
    assert "t0ken" not in said(error)
    assert pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__


def self_signed(folder: Path) -> ssl.SSLContext:
    """An authority's own certificate, in the place of a server's."""
    authority = trustme.CA()
    authority.private_key_pem.write_to_path(folder / "self.key")
    authority.cert_pem.write_to_path(folder / "self.crt")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "self.crt", folder / "self.key")
    return made


def test_a_certificate_that_signed_itself_is_not_trusted(
    raw_server, make_response, session, waits, tmp_path
):
    server = raw_server(make_response(), tls=self_signed(tmp_path))

    with pytest.raises(SSLError) as caught:
        session(server.url).get("x")

    assert "self-signed certificate" in str(caught.value)
    assert "give its certificates as verify=" in said(caught.value)
    assert (caught.value.attempts, waits, server.requests) == (1, [], [])


def test_plain_http_on_the_port_of_https_is_reported(raw_server, waits, session, method):
    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n")

    with listening(refuse) as port, pytest.raises(SSLError) as caught:
        session(f"https://{HOST}:{port}").request(method, "x")

    assert "no TLS on this port" in said(caught.value)
    assert (caught.value.attempts, waits) == (1, [])


def test_https_on_the_port_of_http_is_an_error_and_a_post_not_tried_again(
    raw_server, make_response, authority, waits
):
    server = raw_server(make_response(), tls=context(authority.issue_cert(HOST)))
    plain = server.url.replace("https:", "http:")

    with httpkit.Session(plain) as api, pytest.raises(requests.ConnectionError) as caught:
        api.post("x", data=b"order")

    assert (caught.value.attempts, waits, server.requests) == (1, [], [])


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection until the test is over; give the port."""
    with socket.create_server((HOST, 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=once, args=(connection,), daemon=True).start()

        def once(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        hang_up(listener)


@pytest.mark.parametrize("setting", ["verify", "cert"])
def test_a_file_that_is_not_there_is_named(
    raw_server, make_response, authority, session, waits, setting
):
    server = raw_server(make_response(), tls=context(authority.issue_cert(HOST)))

    with pytest.raises(requests.RequestException, match=r"missing\.pem") as caught:
        session(server.url, **{setting: "missing.pem"}).get("x")

    assert (caught.value.attempts, waits, server.connections) == (1, [], 0)


# Client certificates


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def demanding(request, raw_server, make_response, authority):
    """A server that wants a client certificate."""
    version = ssl.TLSVersion[request.param]
    tls = context(authority.issue_cert(HOST), minimum_version=version, maximum_version=version)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    return raw_server(make_response(body=b"hi"), tls=tls)


@pytest.mark.parametrize("names", ["mine.pem", ("mine.crt", "mine.key")], ids=["file", "files"])
def test_a_client_certificate_opens_the_door(demanding, session, folder, method, names):
    cert = str(folder / names) if isinstance(names, str) else tuple(str(folder / n) for n in names)

    response = session(demanding.url, cert=cert).request(method, "x")

    assert (response.content, demanding.refusals) == (b"hi", [])


@pytest.mark.parametrize(
    ("name", "words"),
    [(None, "wants a client certificate"), ("theirs", "refused the client certificate"),
     ("old", "refused the client certificate")],
    ids=["missing", "wrong", "expired"],
)  # fmt: skip
def test_a_refused_client_certificate_is_reported_and_not_retried(
    demanding, session, folder, waits, method, name, words
):
    options = {} if name is None else {"cert": str(folder / f"{name}.pem")}

    with pytest.raises(SSLError) as caught:
        session(demanding.url, **options).request(method, "x", data=b"order")

    assert words in said(caught.value)
    assert (caught.value.attempts, waits, demanding.requests) == (1, [], [])


def test_a_clients_certificate_of_one_call_is_not_used_for_the_next(demanding, session, folder):
    api = session(demanding.url, retry=None)
    api.get("x", cert=str(folder / "mine.pem"))

    with pytest.raises(SSLError):
        api.get("x")

    assert len(demanding.requests) == 1


# What breaks


def end_the_handshake(connection: socket.socket) -> None:
    connection.recv(65536)  # later than the handshake begins: before, ssl leaks the socket


def test_a_handshake_that_is_cut_was_never_sent_and_is_tried_again(session, waits, method):
    with listening(end_the_handshake) as port, pytest.raises(SSLError) as caught:
        session(f"https://{HOST}:{port}").request(method, "x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (3, 2)


def test_a_handshake_that_stalls_ends_with_the_deadline(session):
    started = time.monotonic()

    with listening(stay_silent) as port, pytest.raises(httpkit.DeadlineExceededError):
        session(f"https://{HOST}:{port}", deadline=SHORT).get("x")

    assert time.monotonic() - started < LATE


def stay_silent(connection: socket.socket) -> None:
    connection.settimeout(ENDLESS)
    while connection.recv(65536):
        pass


def test_a_body_that_ends_without_close_notify_raises(
    raw_server, authority, session, waits, make_response
):
    head = b"HTTP/1.1 200 OK\r\n\r\nhalf of "
    server = raw_server(head, tls=context(authority.issue_cert(HOST)))

    with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        session(server.url).post("x", data=b"order")

    assert (caught.value.attempts, waits, len(server.requests)) == (1, [], 1)


def test_a_body_that_ends_without_close_notify_is_requested_again_by_get(
    raw_server, authority, session, make_response
):
    replies = (b"HTTP/1.1 200 OK\r\n\r\nhalf of ", make_response(body=b"the whole"))
    server = raw_server(*replies, tls=context(authority.issue_cert(HOST)))

    response = session(server.url).get("x")

    assert (response.content, response.attempts) == (b"the whole", 2)


def test_a_response_before_the_end_of_an_upload_is_read(
    raw_server, authority, session, make_response
):
    tls = context(authority.issue_cert(HOST))

    def refuse(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(make_response("413 Content Too Large", b"1 MB at most"))
            threading.Event().wait(0.1)  # a reset must not overtake the response

    with listening(refuse) as port, pytest.raises(httpkit.ClientError) as caught:
        session(f"https://{HOST}:{port}").post("x", data=bytes(8 << 20))

    assert (caught.value.status_code, caught.value.detail) == (413, "1 MB at most")


@pytest.mark.parametrize("code", [0, 1, 99], ids=["none", "unspecified", "of the future"])
def test_an_unknown_cause_gets_no_hint(code):
    cause = ssl.SSLCertVerificationError("something new")
    cause.verify_code = code
    error = SSLError(cause)

    assert hints.advise(error) is None


def test_nothing_is_advised_for_other_errors():
    assert hints.advise(requests.ConnectionError(ssl.SSLError(1, "CERTIFICATE_REQUIRED"))) is None


# Addresses of IPv6


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.fixture(params=["http", "https"])
def six(request, raw_server, make_response, authority):
    """A server on the loopback of IPv6."""
    tls = context(authority.issue_cert("::1")) if request.param == "https" else None
    reply = make_response(body=b"hi", connection="keep-alive")
    return raw_server(reply, host="::1", tls=tls)


@needs_ipv6
def test_an_address_of_ipv6_is_a_base_url(six, session):
    api = session(f"{six.url}/v1")

    bodies = [api.get("users").content, api.post("/users", json={}).content]

    assert (bodies, six.connections) == ([b"hi", b"hi"], 1)
    assert six.requests[0].startswith(b"GET /v1/users HTTP/1.1\r\nHost: [::1]:%d\r\n" % six.port)


@needs_ipv6
def test_credentials_are_bound_to_an_address_of_ipv6(six, sandbox, session):
    api = session(six.url, auth=httpkit.BearerAuth("t0ken"))

    api.get("x")
    api.get(f"{sandbox.url}/echo")

    assert b"\r\nAuthorization: Bearer t0ken\r\n" in six.requests[0]
    assert "authorization" not in sandbox.requests[0].headers


@needs_ipv6
def test_another_format_of_an_ipv6_address_is_another_origin(raw_server, make_response, session):
    server = raw_server(make_response(), host="::1")

    session(server.url, auth=httpkit.BearerAuth("t0ken")).get(
        server.url.replace("[::1]", "[0:0:0:0:0:0:0:1]")
    )

    assert b"Authorization" not in server.requests[0]


@needs_ipv6
def test_a_redirect_from_ipv6_to_ipv4_leaves_credentials_behind(
    raw_server, make_response, sandbox, session
):
    server = raw_server(make_response("302 Found", location=f"{sandbox.url}/echo"), host="::1")

    session(server.url, auth=httpkit.BearerAuth("t0ken")).get("x")

    assert b"Authorization" in server.requests[0]
    assert "authorization" not in sandbox.requests[0].headers


@needs_ipv6
def test_a_proxy_has_an_address_of_ipv6(raw_server, make_response, session):
    proxy = raw_server(make_response(body=b"hi"), host="::1")

    response = session("http://h.test", proxies={"http": proxy.url}).get("x")

    assert response.content == b"hi"
    assert proxy.requests[0].startswith(b"GET http://h.test/x HTTP/1.1\r\nHost: h.test\r\n")


@needs_ipv6
@pytest.mark.parametrize("six", ["https"], indirect=True)
def test_a_tunnel_leads_to_an_address_of_ipv6(six, raw_server, session):
    def lead(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("::1", six.port)) as server:
            threading.Thread(target=pump, args=(connection, server), daemon=True).start()
            pump(server, connection)

    proxy = raw_server(lead, host="::1")

    response = session(six.url, proxies={"https": proxy.url}).get("x")

    assert response.content == b"hi"
    assert proxy.requests[0].startswith(b"CONNECT [::1]:%d " % six.port)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


@needs_ipv6
def test_no_proxy_can_name_an_address_of_ipv6(six, proxies_of_nobody, session, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxies_of_nobody)
    monkeypatch.setenv("no_proxy", "::1,[::1]")

    assert session(six.url).get("x").content == b"hi"


@pytest.fixture
def proxies_of_nobody() -> str:
    with socket.create_server((HOST, 0)) as probe:
        return f"http://{HOST}:{probe.getsockname()[1]}"
