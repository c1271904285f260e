"""requests-oauthlib on our session, judged by oauthlib's own server while it fails."""
# ruff: noqa: E402 -- the file is skipped where these packages are missing

from urllib.parse import urlencode

import pytest
from fake_server import FakeServer, Response

import httpkit
from httpkit._policy.auth import Strategy
from tests.support.interop import require

require("requests_oauthlib")

from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth1, OAuth1Session, OAuth2Session

SECRETS = ("the-consumer-secret", "the-token-secret")


# ---- OAuth 1


class Validator(RequestValidator):
    """Knows one consumer and one token, and takes a nonce once."""

    enforce_ssl = False
    nonce_length = 8, 64
    client_key_length = access_token_length = 3, 32
    dummy_client = "dummy"

    def __init__(self):
        super().__init__()
        self.nonces = []

    def validate_client_key(self, client_key, request):
        return client_key == "consumer"

    def validate_timestamp_and_nonce(self, client_key, timestamp, nonce, request, **_):
        is_new = nonce not in self.nonces
        self.nonces.append(nonce)
        return is_new

    def get_client_secret(self, client_key, request):
        return SECRETS[0]

    def get_access_token_secret(self, client_key, token, request):
        return SECRETS[1]


class Signed(FakeServer):
    """Wants OAuth 1 signatures (RFC 5849), and fails as often as it is told first."""

    def __init__(self):
        super().__init__()
        self.validator = Validator()
        self.endpoint = SignatureOnlyEndpoint(self.validator)
        self.failures = 0
        self.verdicts = []

    def respond(self, seen):
        url = f"{self.url}{seen.path}?{urlencode(seen.query, doseq=True)}".removesuffix("?")
        headers = {
            "Authorization": seen.headers.get("authorization", ""),
            "Content-Type": seen.headers.get("content-type", ""),
        }
        is_valid, _ = self.endpoint.validate_request(url, seen.method, seen.body.decode(), headers)
        self.verdicts.append(is_valid)
        if len(self.verdicts) <= self.failures:
            return Response(503)
        return Response(200 if is_valid else 401, {"ok": is_valid})


@pytest.fixture
def signed():
    with Signed() as server:
        yield server


def sign():
    return OAuth1("consumer", SECRETS[0], "the-token", SECRETS[1])


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("GET", {"params": {"a": "b c", "n": "1"}}),
        ("POST", {"data": {"item": "tea & cake"}}),
        ("PUT", {"json": {"item": "tea"}}),
    ],
    ids=["query", "form", "JSON"],
)
def test_an_oauth_1_signature_is_good(signed, method, options):
    with httpkit.Session(signed.url, auth=sign()) as api:
        response = api.request(method, "orders", **options)

    assert (response.json(), signed.verdicts) == ({"ok": True}, [True])
    assert SECRETS[0] not in repr(api)


def test_a_clone_for_one_call_is_signed_too(signed):
    with httpkit.Session(signed.url) as api:
        api.with_options(auth=sign()).get("orders")
        api.get("orders", auth=sign())

    assert signed.verdicts == [True, True]


def test_an_attempt_repeats_a_third_party_signature_with_its_nonce(signed):
    """As in requests it is applied once; a server that notes nonces refuses the second attempt."""
    signed.failures = 1

    with (
        httpkit.Session(signed.url, auth=sign()) as api,
        pytest.raises(httpkit.UnauthorizedError) as caught,
    ):
        api.get("orders")

    assert (caught.value.attempts, signed.verdicts) == (2, [True, False])
    assert signed.validator.nonces[0] == signed.validator.nonces[1]


class SignedAnew(Strategy):
    """Any AuthBase, applied before every attempt: the recipe of the compatibility page."""

    def __init__(self, auth):
        self._auth = auth

    def __call__(self, request):
        request.headers.pop("Authorization", None)
        return self._auth(request)


@pytest.mark.parametrize(
    ("method", "options"),
    [("GET", {"params": {"a": "b c"}}), ("PUT", {"data": {"item": "tea & cake"}})],
    ids=["query", "form"],
)
def test_a_strategy_signs_every_attempt_with_a_new_nonce(signed, method, options):
    signed.failures = 2

    with httpkit.Session(signed.url, auth=SignedAnew(sign())) as api:
        response = api.request(method, "orders", **options)

    assert (response.attempts, signed.verdicts) == (3, [True, True, True])
    assert len(set(signed.validator.nonces)) == 3


def test_an_oauth_1_signature_stays_at_its_origin(signed, sandbox):
    with httpkit.Session(signed.url, auth=sign()) as api:
        api.get(f"{sandbox.url}/echo")

    assert "authorization" not in {name.lower() for name in sandbox.requests[0].headers}


class SignedSession(OAuth1Session, httpkit.Session):
    pass


def test_an_oauth_1_session_is_a_session_of_ours_by_inheritance(signed):
    with SignedSession("consumer", SECRETS[0], "the-token", SECRETS[1]) as api:
        api.auth = SignedAnew(api.auth)
        signed.failures = 1
        response = api.get(f"{signed.url}/orders")

    assert (type(response), response.attempts) == (httpkit.Response, 2)
    assert signed.verdicts == [True, True]


# ---- OAuth 2


class AuthorisedSession(OAuth2Session, httpkit.Session):
    pass


@pytest.fixture
def authorised(sandbox, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # to this machine
    client = BackendApplicationClient(sandbox.client_id)
    with AuthorisedSession(client=client, base_url=f"{sandbox.url}/bearer") as api:
        api.fetch_token(f"{sandbox.url}/token", client_secret=sandbox.client_secret)
        yield api


def test_an_oauth_2_session_fetches_a_token_and_sends_it(authorised, sandbox):
    response = authorised.get("posts/1")

    assert (response.json()["id"], response.attempts) == (1, 1)
    assert [request.path for request in sandbox.requests] == ["/token", "/bearer/posts/1"]
    assert sandbox.requests[1].headers["Authorization"] == f"Bearer {authorised.access_token}"


def test_an_oauth_2_session_repeats_and_raises_as_ours_does(authorised, sandbox):
    response = authorised.get("flaky/a")
    with pytest.raises(httpkit.NotFoundError):
        authorised.get("posts/99")

    assert response.attempts == 3
    assert len(sandbox.attempts("a")) == 3


def test_the_token_of_an_oauth_2_session_stops_at_a_redirect_to_another_host(authorised, sandbox):
    authorised.get("redirect/other/echo")

    assert sandbox.requests[-1].path == "/echo"
    assert "Authorization" not in sandbox.requests[-1].headers


def test_resources_work_on_an_oauth_2_session(authorised):
    posts = authorised.resource("posts")

    assert [post["id"] for post in posts.list()] == [1, 2, 3]


def test_a_token_is_renewed_by_an_oauth_2_session(sandbox, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    tokens = []
    token = {
        "access_token": "old", "token_type": "Bearer", "expires_in": -5,
        "refresh_token": sandbox.refresh_token,
    }  # fmt: skip

    with AuthorisedSession(
        sandbox.client_id, token=token, token_updater=tokens.append,
        auto_refresh_url=f"{sandbox.url}/token", base_url=f"{sandbox.url}/bearer",
    ) as api:  # fmt: skip
        client = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        response = api.get("posts/1", **client)

    assert response.json()["id"] == 1
    assert [renewed["access_token"] != "old" for renewed in tokens] == [True]
