"""The recipes of the documentation at work: what the servers saw of them."""

import re
import ssl
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import trustme
from fake_proxy import PASSWORD, USER, FakeProxy
from fake_server import FakeServer, Response
from fake_services import FakeLogin, FakeReceiver, FakeShop

import httpkit
from tests.support.interop import require

PAGE = (Path(__file__).parents[2] / "docs/guides/recipes.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {
    title: BLOCK.findall(text)
    for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
}
PRELUDE = "import httpkit\nshop = httpkit.Session('https://shop.example.com')\n"


@pytest.fixture
def recipe(monkeypatch, tmp_path):
    """Run a section of the page: `recipe("JSON-RPC", {host: url})` gives its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # to this machine
    made = []

    def run(title, hosts):
        names = {"__name__": "example"}
        for block in (PRELUDE, *SECTIONS[title]):
            for host, location in hosts.items():
                block = block.replace(host, location)  # noqa: PLW2901  # text by text
            exec(compile(block, "<recipe>", "exec"), names)  # noqa: S102  # our own page
        made.extend(value for value in names.values() if isinstance(value, requests.Session))
        return names

    yield run
    for session in made:
        session.close()


@pytest.fixture
def fakes():
    with ExitStack() as stack:
        yield lambda cls: stack.enter_context(cls())


def test_a_login_keeps_its_cookies_and_echoes_the_token(recipe, fakes):
    shop = fakes(FakeShop)

    recipe("Form login with CSRF tokens", {"https://shop.example.com": shop.url})

    assert [(request.method, request.path) for request in shop.requests] == [
        ("GET", "/login"), ("POST", "/login"), ("POST", "/orders")
    ]  # fmt: skip
    assert [request.headers.get("x-csrftoken") for request in shop.requests] == [
        None, "first-0001", "first-0001"
    ]  # fmt: skip
    assert shop.requests[1].form == {"username": "ada", "password": "sandbox-password"}
    assert "sessionid=s3ss10n" in shop.requests[2].headers["cookie"]


def test_a_refused_login_is_an_error_without_the_password(recipe, fakes):
    shop = fakes(FakeShop)
    names = recipe("Form login with CSRF tokens", {"https://shop.example.com": shop.url})

    with (
        names["Shop"](auth=names["EchoCSRF"]()) as again,
        pytest.raises(httpkit.UnauthorizedError, match="Wrong name or password") as caught,
    ):
        again.log_in("ada", "wr0ng-passw0rd")

    assert "wr0ng-passw0rd" not in repr(caught.value)
    assert shop.logins == 1


def test_xml_is_read_in_its_own_encoding_and_sent_as_bytes(recipe, fakes, sandbox, capsys):
    shop = fakes(FakeShop)
    hosts = {
        "https://shop.example.com": shop.url,
        "https://api.example.com/v1": f"{sandbox.url}/bearer",
    }

    recipe("XML", hosts)

    assert capsys.readouterr().out == "1 café\n2 tea\n"
    assert (
        sandbox.requests[0].body
        == b"<?xml version='1.0' encoding='utf-8'?>\n<order item=\"tea\" />"
    )
    assert sandbox.requests[0].headers["content-type"] == "application/xml"


def test_json_rpc_results_are_in_the_order_of_the_calls(recipe, fakes, capsys):
    shop = fakes(FakeShop)

    recipe("JSON-RPC", {"https://shop.example.com": shop.url})

    assert capsys.readouterr().out == "19\n[2, -2]\n-32601 Method not found\n"
    assert [[call["id"] for call in request.json] for request in shop.requests] == [
        [1],
        [2, 3],
        [4],
    ]
    assert shop.requests[1].json[1] == {
        "jsonrpc": "2.0", "id": 3, "method": "subtract", "params": [1, 3]
    }  # fmt: skip


def test_a_webhook_is_signed_before_every_attempt_and_keeps_its_name(recipe, fakes, monkeypatch):
    receiver = fakes(FakeReceiver)
    clock = iter(range(1_800_000_000, 1_900_000_000, 60))
    monkeypatch.setattr("time.time", lambda: next(clock))

    names = recipe("Signed webhooks", {"https://hooks.example.com": receiver.url})

    first, second = receiver.requests
    assert names["response"].attempts == 2
    assert first.body == second.body == b'{"type": "order.paid", "data": {"id": 1}}'
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_1"
    assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert list(receiver.received) == ["msg_1"]


def test_a_code_becomes_tokens_and_each_refresh_token_is_used_once(recipe, fakes, sandbox):
    login = fakes(FakeLogin)
    hosts = {
        "https://login.example.com": login.url,
        "https://api.example.com/v1": f"{sandbox.url}/bearer",
    }

    require("authlib")
    names = recipe("OAuth 2.0 login with Authlib", hosts)

    assert [request.path for request in login.requests] == ["/authorize", "/token", "/token"]
    assert login.requests[0].query["code_challenge_method"] == ["S256"]
    assert [request.form["grant_type"] for request in login.requests[1:]] == [
        "authorization_code", "refresh_token"
    ]  # fmt: skip
    assert login.requests[2].form["refresh_token"] == "refresh-token-1"
    assert names["stored"] == {"refresh_token": "refresh-token-2"}
    assert {request.headers["authorization"] for request in sandbox.requests} == {
        "Bearer sandbox-token"
    }


GRANTED = {"access_token": "sandbox-token", "token_type": "Bearer", "expires_in": 3600}


class FakeGrants(FakeServer):
    """An authorization server that grants what is in `next`, and keeps the forms."""

    def respond(self, received):
        raise AssertionError(received)


def hosts_of(server, sandbox):
    return {
        "https://login.example.com": server.url,
        "https://api.example.com/v1": f"{sandbox.url}/bearer",
    }


def test_a_device_login_waits_for_the_user(recipe, fakes, sandbox, capsys):
    login = fakes(FakeGrants)
    device = {
        "device_code": "device-code-1", "user_code": "WDJB-MJHT", "interval": 0,
        "verification_uri": "https://login.example.com/device",
    }  # fmt: skip
    login.next = [
        Response(200, device),
        Response(400, {"error": "authorization_pending"}),
        Response(200, GRANTED),
    ]

    recipe("OAuth 2.0 device login", hosts_of(login, sandbox))

    assert "enter WDJB-MJHT" in capsys.readouterr().out
    assert [received.path for received in login.requests] == ["/device", "/token", "/token"]
    assert login.requests[2].form["device_code"] == "device-code-1"


@pytest.mark.parametrize("status", [400, 200], ids=["RFC 8628", "GitHub"])
def test_a_device_login_slows_down_and_ends_when_it_is_denied(
    recipe, fakes, sandbox, monkeypatch, status
):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    login = fakes(FakeGrants)
    device = {
        "device_code": "device-code-1", "user_code": "WDJB-MJHT", "interval": 3,
        "verification_uri": "https://login.example.com/device",
    }  # fmt: skip
    states = ["authorization_pending", "slow_down", "access_denied"]
    login.next = [
        Response(200, device),
        *[Response(status, {"error": state}) for state in states],
    ]

    with pytest.raises(httpkit.TokenError) as caught:
        recipe("OAuth 2.0 device login", hosts_of(login, sandbox))

    assert caught.value.error == "access_denied"
    assert waits == [3, 3, 8]


def test_a_client_without_a_secret_signs_an_assertion(recipe, fakes, sandbox):
    jwt = require("joserfc.jwt")
    login = fakes(FakeGrants)
    login.next = [Response(200, GRANTED)]

    names = recipe("OAuth 2.0 client assertion", hosts_of(login, sandbox))

    form = login.requests[0].form
    assert (form["grant_type"], form["client_id"]) == ("client_credentials", "my-app")
    assert jwt.decode(form["client_assertion"], names["key"]).claims["sub"] == "my-app"
    assert "client_secret" not in form
    assert "authorization" not in login.requests[0].headers


def test_a_service_account_signs_its_assertion(recipe, fakes, sandbox):
    jwt = require("joserfc.jwt")
    login = fakes(FakeGrants)
    login.next = [Response(200, GRANTED)]

    names = recipe("OAuth 2.0 JWT bearer", hosts_of(login, sandbox))

    form = login.requests[0].form
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.decode(form["assertion"], names["key"]).claims["iss"] == "my-service"


def test_a_token_is_exchanged_for_another(recipe, fakes, sandbox):
    login = fakes(FakeGrants)
    login.next = [Response(200, {"access_token": "sandbox-token", "token_type": "Bearer"})]

    recipe("OAuth 2.0 token exchange", hosts_of(login, sandbox))

    assert login.requests[0].form["subject_token"] == "token-of-the-caller"
    assert login.requests[0].headers["authorization"].startswith("Basic ")


def test_slack_rotates_its_tokens(recipe, fakes, sandbox):
    login = fakes(FakeGrants)
    slack = {"ok": True, "token_type": "bot", "refresh_token": "xoxe-1-second"}
    login.next = [Response(200, {**GRANTED, **slack})]

    names = recipe("Slack token rotation", hosts_of(login, sandbox))

    assert login.requests[0].form["refresh_token"] == "xoxe-1-first"
    assert login.requests[0].form["client_secret"] == "app-secret"
    assert names["stored"] == {"refresh_token": "xoxe-1-second"}


def test_a_proxy_gets_its_password_and_the_server_does_not(recipe, fakes, sandbox):
    proxy = fakes(FakeProxy)
    hosts = {
        "proxy.example.com:3128": proxy.url.removeprefix("http://"),
        "https://api.example.com/v1": f"{sandbox.url}/bearer",
    }

    recipe("Proxy with a password", hosts)

    assert proxy.passed == 1
    assert proxy.requests[0].path == f"{sandbox.url}/bearer/posts/1"
    assert "proxy-authorization" not in sandbox.requests[0].headers
    assert sandbox.requests[0].headers["authorization"] == "Bearer sandbox-token"


# ---- the proxy, over TLS


class SecureServer(FakeServer):
    """A server over TLS, with a certificate of the test's own."""

    authority = trustme.CA()

    def __init__(self):
        super().__init__()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http://", "https://")

    def respond(self, received):
        return Response(200, {"path": received.path})


@pytest.fixture
def through(fakes, tmp_path):
    """Give a proxy, a server over TLS, and a session that goes through one to the other."""
    proxy, server = fakes(FakeProxy), fakes(SecureServer)
    bundle = tmp_path / "ca.pem"
    server.authority.cert_pem.write_to_path(bundle)

    def session(password):
        location = proxy.url.removeprefix("http://")
        gate = f"http://{USER}:{quote(password, safe='')}@{location}"
        return httpkit.Session(
            server.url, proxies={"https": gate}, verify=str(bundle),
            auth=httpkit.BearerAuth("tok-en-of-the-server"),
        )  # fmt: skip

    return proxy, server, session


def test_a_tunnel_hides_the_token_from_the_proxy_and_the_password_from_the_server(through):
    proxy, server, session = through

    with session(PASSWORD) as api:
        path = api.get("orders").json()["path"]

    assert (path, proxy.passed) == ("/orders", 1)
    assert proxy.requests[0].method == "CONNECT"
    assert "authorization" not in proxy.requests[0].headers
    assert "proxy-authorization" not in server.requests[0].headers
    assert server.requests[0].headers["authorization"] == "Bearer tok-en-of-the-server"


def test_a_proxy_that_refuses_a_tunnel_is_not_retried_and_its_password_is_masked(through, waits):
    proxy, server, session = through

    with session("wr0ng:passw0rd") as api, pytest.raises(requests.exceptions.ProxyError) as caught:
        api.get("orders")

    reported = f"{caught.value!r} {caught.value.__notes__} {api!r}"
    assert "407" in reported
    assert not re.search("wr0ng|passw0rd", reported)
    assert (len(proxy.requests), len(server.requests), waits) == (1, 0, [])


def test_a_proxy_that_refuses_plain_http_is_a_407_without_the_password(fakes, sandbox):
    proxy = fakes(FakeProxy)
    location = proxy.url.removeprefix("http://")
    gate = f"http://{USER}:wr0ngpassw0rd@{location}"

    with (
        httpkit.Session(sandbox.url, proxies={"http": gate}) as api,
        pytest.raises(httpkit.ClientError) as caught,
    ):
        api.get("posts")

    assert (caught.value.status_code, len(proxy.requests), sandbox.requests) == (407, 1, [])
    assert "wr0ngpassw0rd" not in f"{caught.value!r} {api!r}"
