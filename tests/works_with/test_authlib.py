"""Authlib's sessions as bases of ours, and its auth on ours: what it signs is retried and stays."""
# ruff: noqa: E402 -- the file is skipped where these packages are missing

import json
import time
from urllib.parse import parse_qs

import pytest

import httpkit
from tests.support.interop import require

requests_client = require("authlib.integrations.requests_client")
jwt = require("joserfc.jwt")

from joserfc.jwk import OctKey

SECRET = "0123456789abcdef0123456789abcdef"


class Client(requests_client.OAuth2Session, httpkit.Session):
    """What Authlib adds, over our session."""


class ServiceAccount(requests_client.AssertionSession, httpkit.Session):
    """A service that signs a JWT for each token (RFC 7523)."""


@pytest.fixture
def client(sandbox):
    with Client(sandbox.client_id, sandbox.client_secret) as session:
        session.fetch_token(f"{sandbox.url}/token", grant_type="client_credentials")
        yield session


def test_a_token_is_fetched_and_sent(client, sandbox):
    response = client.get(f"{sandbox.url}/bearer/posts/1")

    assert (response.json()["id"], type(response)) == (1, httpkit.Response)
    sent = sandbox.requests[-1].headers["Authorization"]
    assert sent == f"Bearer {client.token['access_token']}"


def test_a_request_is_retried_with_its_token(client, sandbox):
    response = client.get(f"{sandbox.url}/bearer/flaky/a")

    assert response.attempts == 3
    assert {seen.headers["Authorization"] for seen in sandbox.attempts("a")} == {
        f"Bearer {client.token['access_token']}"
    }


def test_an_error_is_one_of_ours(client, sandbox):
    with pytest.raises(httpkit.NotFoundError):
        client.get(f"{sandbox.url}/bearer/posts/99")


def test_a_token_stops_at_a_redirect_to_another_host(client, sandbox):
    client.get(f"{sandbox.url}/bearer/redirect/other/echo")

    assert sandbox.requests[-1].path == "/echo"
    assert "Authorization" not in sandbox.requests[-1].headers


def test_an_expired_token_is_refreshed_first(sandbox):
    stored = []
    token = {
        "access_token": "old", "token_type": "Bearer", "refresh_token": sandbox.refresh_token,
        "expires_at": int(time.time()) - 5,
    }  # fmt: skip
    with Client(
        sandbox.client_id, sandbox.client_secret, token=token,
        token_endpoint=f"{sandbox.url}/token",
        update_token=lambda new, **_: stored.append(new["access_token"]),
    ) as session:  # fmt: skip
        response = session.get(f"{sandbox.url}/bearer/posts/1")

    assert response.json()["id"] == 1
    assert stored == [session.token["access_token"]] != ["old"]


def test_its_auth_signs_for_our_session(sandbox, client):
    auth = requests_client.OAuth2Auth(dict(client.token))
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        response = api.get("flaky/b")
        api.get(f"{sandbox.other_url}/echo")

    assert response.attempts == 3
    assert "Authorization" not in sandbox.requests[-1].headers


def test_a_refused_token_request_is_authlibs_error(sandbox):
    with Client(sandbox.client_id, "wrong") as session:
        session.raise_for_status = False
        with pytest.raises(requests_client.OAuthError, match="invalid_client"):
            session.fetch_token(f"{sandbox.url}/token", grant_type="client_credentials")


def test_a_service_account_signs_for_each_token(raw_server, make_response):
    granted = {"access_token": "t-1", "token_type": "Bearer", "expires_in": 3600}
    server = raw_server(
        make_response("503 Service Unavailable", retry_after="0"),
        make_response(body=json.dumps(granted).encode(), content_type="application/json"),
        make_response(body=b"[]", content_type="application/json"),
    )
    key = OctKey.import_key(SECRET)
    with ServiceAccount(
        f"{server.url}/token", issuer="robot", subject="ada", audience=f"{server.url}/token",
        header={"alg": "HS256"}, key=key,
    ) as api:  # fmt: skip
        assert api.get(f"{server.url}/things").json() == []

    refused, asked, signed = server.requests
    form = parse_qs(asked.partition(b"\r\n\r\n")[2].decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], key).claims
    assert (claims["iss"], claims["sub"]) == ("robot", "ada")
    assert b"Authorization: Bearer t-1" in signed
    assert refused.partition(b"\r\n\r\n")[2] == asked.partition(b"\r\n\r\n")[2]
