"""verify=, cert= and proxies=: what is taken, what is refused, and what is never mixed."""

import base64
import codecs
import pickle
import ssl
from pathlib import Path

import pytest
import requests
import trustme
from cryptography.hazmat.primitives import serialization

import httpkit
from httpkit._core import netrc_bytes, redaction
from httpkit._policy import trust

PASSWORD = "c4n4ry-pass"


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """ca.pem, other.pem (of another authority), client.pem and an encrypted client.key."""
    folder = tmp_path_factory.mktemp("trust")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    client = authority.issue_cert("client.test")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    (folder / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
    )
    return folder


@pytest.fixture
def served(raw_server, make_response, authority):
    """The URL of a server with a certificate of the authority."""

    def make(*, demands_client=False, responses=4):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        if demands_client:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        return raw_server(*[make_response(body=b"hi")] * responses, tls=context).url

    return make


@pytest.mark.parametrize(
    "verify",
    ["", "  ", 0, 1, b"ca.pem", [], ("ca.pem",), object()],
    ids=lambda verify: repr(verify).partition(" at ")[0],
)
def test_a_verify_of_another_type_is_refused_and_does_not_switch_verification_off(verify, nobody):
    with pytest.raises(httpkit.ConfigurationError, match="verify="):
        httpkit.Session(verify=verify)
    with httpkit.Session(nobody) as api:
        with pytest.raises(httpkit.ConfigurationError, match="verify="):
            api.get("x", verify=verify)
        api.verify = verify
        with pytest.raises(httpkit.ConfigurationError, match="verify="):
            api.get("x")


@pytest.mark.parametrize(
    "cert",
    [
        "", ("a",), ("a", "b", "c", "d"), ("a", ""), ("a", None), 5, ["a", "b"],
        ("a", "b", 5), ("", "b", "c"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_cert_of_another_form_is_refused(cert, nobody):
    with pytest.raises(httpkit.ConfigurationError, match="cert must be a path"):
        httpkit.Session(cert=cert)
    with (
        httpkit.Session(nobody) as api,
        pytest.raises(httpkit.ConfigurationError, match="cert must be a path"),
    ):
        api.get("x", cert=cert)


def test_two_paths_never_share_a_pool(served, files):
    url = served()
    with httpkit.Session(url, retry=None) as api:
        assert api.get("x", verify=files / "ca.pem").text == "hi"
        with pytest.raises(requests.exceptions.SSLError):
            api.get("x", verify=files / "other.pem")
        assert api.get("x", verify=str(files / "ca.pem")).text == "hi"


def test_a_context_is_trusted_and_not_changed(served, files):
    context = ssl.create_default_context(cafile=str(files / "ca.pem"))
    held = context.cert_store_stats()
    with httpkit.Session(served(), verify=context, retry=None) as api:
        assert api.get("x").text == "hi"

    assert context.cert_store_stats() == held
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_two_contexts_never_share_a_pool(served, files):
    good = ssl.create_default_context(cafile=str(files / "ca.pem"))
    other = ssl.create_default_context(cafile=str(files / "other.pem"))
    with httpkit.Session(served(), retry=None) as api:
        assert api.get("x", verify=good).text == "hi"
        with pytest.raises(requests.exceptions.SSLError):
            api.get("x", verify=other)
        with pytest.raises(requests.exceptions.SSLError):
            api.get("x")


def test_an_encrypted_key_is_opened_by_its_password(served, files):
    url = served(demands_client=True)
    options = {"verify": files / "ca.pem", "retry": None}
    with httpkit.Session(url, **options) as api:
        cert = (files / "client.pem", files / "client.key", PASSWORD)
        assert api.get("x", cert=cert).text == "hi"
        with pytest.raises(requests.exceptions.SSLError) as caught:
            api.get("x", cert=(*cert[:2], "wrong-password"))

    assert "wrong-password" not in f"{caught.value}{caught.value.__cause__}"


def test_a_client_certificate_beside_a_context_is_refused(nobody, files):
    context = ssl.create_default_context()
    with (
        httpkit.Session(nobody, verify=context, cert=files / "client.pem") as api,
        pytest.raises(httpkit.ConfigurationError, match="load_cert_chain"),
    ):
        api.get("x")


# Proxies


@pytest.mark.parametrize(
    "password", ["p#ss", "p/ss", "p?ss", "p\\ss", "p[ss", "#", "/?#[]", "a@b#c", "12#4"]
)
@pytest.mark.parametrize("given", ["session", "call", "attribute", "environment"])
def test_a_proxy_whose_password_is_not_encoded_is_refused_by_name(
    monkeypatch, caplog, password, given
):
    caplog.set_level(1)
    url = f"http://user:{password}-c4n4ry@proxy.test:3128"
    proxies = {"https": url}
    if given == "environment":
        monkeypatch.setenv("HTTPS_PROXY", url)

    def send():
        with httpkit.Session(
            "https://api.test", retry=None, proxies=proxies if given == "session" else None
        ) as api:
            if given == "attribute":
                api.proxies = proxies
            api.get("x", proxies=proxies if given == "call" else None)

    with pytest.raises(httpkit.ConfigurationError) as caught:
        send()

    assert "proxy.test:3128" in str(caught.value)
    assert "percent-encode" in str(caught.value)
    assert "c4n4ry" not in f"{caught.value} {caplog.text}"


@pytest.mark.parametrize(
    "url", ["http://", "http://h:port", "http://h:99999", "http://a b", "http://[::1", "//", "h:0"]
)
def test_a_proxy_that_cannot_be_parsed_is_refused(url):
    with pytest.raises(httpkit.ConfigurationError, match="cannot be parsed"):
        httpkit.Session(proxies={"http": url})


@pytest.mark.parametrize(
    "url",
    [
        "http://user:p%23ss@proxy.test:3128", "proxy.test:3128", "http://[::1]:3128",
        "socks5h://user:pw@proxy.test", "https://proxy.test/", "http://user@proxy.test", "",
    ],
)  # fmt: skip
def test_a_proxy_that_can_be_used_is_taken(url):
    with httpkit.Session(proxies={"http": url, "no_proxy": "a.test,10.0.0.0/8"}) as api:
        assert api.proxies["http"] == url


@pytest.mark.parametrize("text", ["http://user:p#c4n4ry@h:80/x", "https://u:a/b?c4n4ry@h"])
def test_a_raw_password_in_a_text_is_masked(text):
    assert "c4n4ry" not in redaction.redact_text(f"Failed to parse: {text}")


@pytest.mark.parametrize("text", ["https://h:8080/@me", "https://h/a:b/@me", "see http://h/x:y@z"])
def test_an_at_sign_in_a_path_is_no_password(text):
    assert redaction.redact_text(text) == text


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excepted"),
    [
        ("api.test:8080", "http://api.test:8080/x", True),
        ("api.test:8080", "http://api.test/x", False),
        ("api.test:443", "https://api.test/x", True),
        ("[::1]:8080", "http://[::1]:8080/x", True),
        ("[::1]:8080", "http://[::1]:81/x", False),
        ("::1", "http://[0:0:0:0:0:0:0:1]/x", True),
        ("fd00::/8", "http://[fd12::7]/x", True),
        ("fd00::/8", "http://[fe80::7]/x", False),
        ("10.0.0.0/8", "http://10.1.2.3/x", True),
        ("10.0.0.0/8", "http://11.1.2.3/x", False),
        ("a.test, .corp.test:8443", "https://x.corp.test:8443/x", True),
        ("*.corp.test:8443", "https://x.corp.test:8443/x", True),
        ("*.corp.test", "https://x.corp.test/x", True),
        ("*.corp.test", "https://xcorp.test/x", False),
        ("corp.test:8443", "https://mycorp.test:8443/x", False),
        ("://,::::,[,a:b:c", "https://api.test/x", False),
        ("api.test.", "https://api.test/x", True),
        ("api.test", "https://api.test./x", True),
        ("b\u00fccher.test", "https://xn--bcher-kva.test/x", True),
        ("xn--bcher-kva.test", "https://b\u00fccher.test/x", True),
        (".B\u00dcCHER.test:443", "https://a.xn--bcher-kva.test/x", True),
        ("a.test api.test", "https://api.test/x", True),
        ("b\u00fccher..test", "https://api.test/x", False),
    ],
)
def test_no_proxy_names_addresses_networks_and_ports(monkeypatch, no_proxy, url, is_excepted):
    assert trust.is_excepted(url, no_proxy) == is_excepted
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with httpkit.Session() as api:
        settings = api.merge_environment_settings(url, {}, None, None, None)

    assert (settings["proxies"].get(url.partition(":")[0]) is None) == is_excepted


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("nothing", [None, {}, [], (), ""], ids=repr)
def test_empty_proxies_are_none_whatever_their_type(sandbox, nothing, strict):
    """As in requests."""
    with httpkit.Session(sandbox.url, strict=strict) as api:
        api.proxies = nothing

        assert api.get("echo", proxies=nothing).ok


# netrc


def test_a_netrc_that_is_not_utf_8_is_read(sandbox, monkeypatch, tmp_path):
    path = tmp_path / "netrc"
    path.write_bytes(
        b"# caf\xe9\nmachine other.test login a password b\n"
        b"machine 127.0.0.1 login user password sandbox-password\n"
    )
    monkeypatch.setenv("NETRC", str(path))
    with httpkit.Session(sandbox.url) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_netrc_that_an_editor_of_windows_saved_is_read(sandbox, monkeypatch, tmp_path, encoding):
    path = tmp_path / "netrc"
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    path.write_bytes(mark + "machine 127.0.0.1 login ada password b".encode(encoding))
    monkeypatch.setenv("NETRC", str(path))
    with httpkit.Session(sandbox.url) as api:
        api.get("echo")

    sent = sandbox.requests[0].headers["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"ada:b"


@pytest.mark.parametrize(
    ("content", "login"),
    [
        (b"machine h login u password p", ("u", "p")),
        (b"machine x login a password b\ndefault login u password p", ("u", "p")),
        (b'machine h\n  user u\n  account a\n  password "p w"\n', ("u", "p w")),
        (
            b"macdef init\nmachine h login no password no\n\nmachine h login u password p",
            ("u", "p"),
        ),
        (b"machine h password p\xe9 login u", ("u", "p\u00e9")),
        (b"machine x login u password p", None),
        (b"machine", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_the_login_of_a_host_is_found(content, login):
    assert netrc_bytes.login_for("h", content) == login


def test_a_password_of_netrc_is_in_no_error(monkeypatch, tmp_path, nobody):
    path = Path(tmp_path / "netrc")
    path.write_bytes(b"machine x login a password c4n4ry-netrc \xe9")
    monkeypatch.setenv("NETRC", str(path))
    with (
        httpkit.Session(nobody, retry=None) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert "c4n4ry" not in f"{caught.value!r}{caught.value.__context__!r}"


@pytest.mark.parametrize(
    "url", ["http:/badproxyurl:3128", "http://:8080", "https://", "http:///x:1"]
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_proxy_url_that_cannot_be_used_raises_what_requests_raises(strict, url):
    with (
        httpkit.Session("http://127.0.0.1/", strict=strict) as api,
        pytest.raises(requests.exceptions.InvalidProxyURL) as caught,
    ):
        api.get("x", proxies={"http": url})

    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
