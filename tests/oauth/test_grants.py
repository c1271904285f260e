"""Other grants: further form fields, and tokens that a function of the caller's fetches."""

import json
import pickle
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
import requests

import httpkit
from httpkit import ClientCredentialsAuth, RefreshTokenAuth, TokenAuth, TokenSet
from httpkit._core.clock import CLOCK

TOKEN = "c4n4ry-access-t0ken"
SECRET = "c4n4ry-client-s3cret"


def granting(response, token=TOKEN, **members):
    body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **members}
    return response(body=json.dumps(body).encode(), content_type="application/json")


def form_of(received):
    return parse_qs(received.partition(b"\r\n\r\n")[2].decode(), strict_parsing=True)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, and that goes on from there."""
    held, begun = SimpleNamespace(now=1000.0), time.monotonic()
    monkeypatch.setattr(CLOCK, "monotonic", lambda: held.now + time.monotonic() - begun)
    return held


# Forms


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded; charset=utf-8", "text/plain", ""]
)
def test_a_token_is_read_from_a_form(raw_server, make_response, content_type):
    body = f"access_token={TOKEN}&scope=repo%2Cgist&token_type=bearer".encode()
    server = raw_server(make_response(body=body, content_type=content_type))
    signed = ClientCredentialsAuth(server.url, "client", SECRET)(
        requests.Request("GET", "https://api.test/").prepare()
    )

    assert signed.headers["Authorization"] == f"Bearer {TOKEN}"


def test_another_grant_goes_by_its_type_and_further_fields(raw_server, make_response):
    server = raw_server(granting(make_response))
    auth = ClientCredentialsAuth(
        server.url, "client", SECRET,
        grant_type="account_credentials", extra={"account_id": "acc-1"},
    )  # fmt: skip

    auth(requests.Request("GET", "https://api.test/").prepare())

    assert form_of(server.requests[0]) == {
        "grant_type": ["account_credentials"], "account_id": ["acc-1"],
    }  # fmt: skip


def test_a_further_field_that_is_a_callable_is_called_for_every_token(raw_server, make_response):
    server = raw_server(granting(make_response), granting(make_response))
    assertions = iter(["assertion-one", "assertion-two"])
    auth = ClientCredentialsAuth(
        server.url, "client", SECRET, extra={"assertion": lambda: next(assertions)}
    )

    for _ in range(2):
        signed = auth(requests.Request("GET", "https://api.test/").prepare())
        auth.reject(signed)

    assert [form_of(received)["assertion"] for received in server.requests] == [
        ["assertion-one"], ["assertion-two"],
    ]  # fmt: skip


def test_further_fields_are_compared_and_not_shown():
    def make(value):
        return ClientCredentialsAuth("https://a.test/t", "app", SECRET, extra={"account": value})

    assert make("one-account") == make("one-account")
    assert hash(make("one-account")) == hash(make("one-account"))
    assert make("one-account") != make("other-account")
    assert "one-account" not in repr(make("one-account"))
    assert pickle.loads(pickle.dumps(make("one-account"))) == make("one-account")


def test_what_a_server_repeats_of_a_further_field_is_masked(raw_server, make_response):
    body = b'{"error": "invalid_grant", "error_description": "bad code-of-the-device-1"}'
    server = raw_server(make_response("400 Bad Request", body, content_type="application/json"))
    auth = ClientCredentialsAuth(
        server.url, "client", SECRET, extra={"device_code": "code-of-the-device-1"}
    )

    with pytest.raises(httpkit.TokenError, match=r"bad \*\*\*"):
        auth(requests.Request("GET", "https://api.test/").prepare())


def test_a_client_without_a_secret_sends_a_new_assertion_for_every_token(raw_server, make_response):
    server = raw_server(*[granting(make_response, f"{TOKEN}-{n}") for n in (1, 2)])
    assertions = iter(["c4n4ry-ass3rtion-1", "c4n4ry-ass3rtion-2"])
    auth = ClientCredentialsAuth(
        server.url, "client", None, extra={"client_assertion": lambda: next(assertions)}
    )
    request = requests.Request("GET", "https://api.test/").prepare()
    auth.reject(auth(request))

    auth(request)

    forms = [form_of(received) for received in server.requests]
    assert [form["client_assertion"] for form in forms] == [
        ["c4n4ry-ass3rtion-1"],
        ["c4n4ry-ass3rtion-2"],
    ]
    assert [form["client_id"] for form in forms] == [["client"]] * 2
    assert not any(b"client_secret" in received for received in server.requests)
    assert not any(b"Authorization:" in received for received in server.requests)
    assert "c4n4ry" not in repr(auth)


@pytest.mark.parametrize("extra", [None, {}, {"assertion": "x"}], ids=repr)
def test_a_missing_secret_is_refused_unless_something_else_proves_the_client(extra):
    with pytest.raises(httpkit.ConfigurationError, match="client_secret is None: pass it"):
        ClientCredentialsAuth("https://a.test/token", "client", None, extra=extra)


def test_a_public_client_may_use_another_grant(raw_server, make_response):
    server = raw_server(granting(make_response))
    auth = ClientCredentialsAuth(
        server.url, "client", None, grant_type="urn:x", extra={"assertion": "x"}
    )

    auth(requests.Request("GET", "https://api.test/").prepare())

    assert form_of(server.requests[0])["client_id"] == ["client"]


@pytest.mark.parametrize(
    "document",
    [
        {"data": {"access_token": TOKEN}},
        {"access_token": f"{TOKEN}\r\n"},
        {"access_token": TOKEN, "token_type": "DPoP"},
        {"access_token": TOKEN, "refresh_token": 5},
        {"access_token": TOKEN, "error": "slow_down"},
    ],
    ids=["nested", "line break", "another type", "refresh token", "error"],
)
def test_no_variable_of_a_traceback_holds_a_token_that_cannot_be_used(
    raw_server, make_response, document
):
    body = json.dumps(document).encode()
    server = raw_server(make_response(body=body, content_type="application/json"))
    auth = ClientCredentialsAuth(server.url, "client", SECRET)

    with httpkit.Session(server.url, auth=auth) as api, pytest.raises(httpkit.TokenError) as caught:
        api.get("posts/1")

    shown = [
        repr(value)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if frame.f_globals["__name__"].startswith("httpkit.")
        for value in frame.f_locals.values()
    ]
    assert shown
    assert [text for text in shown if TOKEN in text] == []


HEADERS = {
    "Amazon": ({"header": "X-Amz-Access-Token", "scheme": ""}, "x-amz-access-token", "{}"),
    "Zoho": ({"scheme": "Zoho-oauthtoken"}, "authorization", "Zoho-oauthtoken {}"),
    "both": ({"header": "X-Auth", "scheme": "Token"}, "x-auth", "Token {}"),
}


@pytest.mark.parametrize(("options", "name", "value"), HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("grant", ["client", "refresh", "function"])
def test_a_token_is_sent_as_an_api_takes_it_and_replaced_after_a_401(
    raw_server, make_response, grant, options, name, value
):
    tokens = [f"{TOKEN}-{n}" for n in (1, 2)]
    login = raw_server(*[granting(make_response, token) for token in tokens])
    server = raw_server(make_response("401 Unauthorized"), make_response(body=b"{}"))
    strategies = {
        "client": lambda: ClientCredentialsAuth(login.url, "client", SECRET, **options),
        "refresh": lambda: RefreshTokenAuth(login.url, "client", "r3fr3sh", **options),
        "function": lambda: TokenAuth(lambda _, previous: tokens[previous is not None], **options),
    }
    auth = strategies[grant]()

    with httpkit.Session(server.url, auth=auth) as api:
        response = api.get("orders")

    received = [
        dict(
            line.lower().split(": ", 1)
            for line in request.decode().partition("\r\n\r\n")[0].split("\r\n")[1:]
        )
        for request in server.requests
    ]
    assert [fields.get(name) for fields in received] == [
        value.format(token).lower() for token in tokens
    ]
    assert all(name == "authorization" or "authorization" not in fields for fields in received)
    assert TOKEN not in response.to_curl()
    assert TOKEN not in repr(auth)


def test_a_token_in_a_header_of_its_own_stays_with_its_origin(raw_server, make_response):
    other = raw_server(make_response(body=b"{}"))
    server = raw_server(make_response("302 Found", location=other.url + "/x"))
    auth = TokenAuth(lambda *_: TOKEN, header="X-Amz-Access-Token", scheme="")

    with httpkit.Session(server.url, auth=auth) as api:
        api.get("orders")

    assert TOKEN.encode() in server.requests[0]
    assert TOKEN.encode() not in other.requests[0]


@pytest.mark.parametrize(
    "options", [{"header": ""}, {"header": "X Y"}, {"header": None}, {"scheme": "a b"},
                {"scheme": None}, {"scheme": "Bearer\n"}], ids=repr,
)  # fmt: skip
def test_a_header_or_scheme_that_cannot_be_sent_is_refused(options):
    with pytest.raises(httpkit.ConfigurationError, match="cannot be sent"):
        TokenAuth(lambda *_: TOKEN, **options)
    with pytest.raises(httpkit.ConfigurationError, match="cannot be sent"):
        ClientCredentialsAuth("https://a.test/token", "client", SECRET, **options)


def test_a_refresh_takes_further_fields(raw_server, make_response):
    server = raw_server(granting(make_response))
    auth = RefreshTokenAuth(server.url, "client", "refresh-me-1", extra={"tenant": "acme"})

    auth(requests.Request("GET", "https://api.test/").prepare())

    assert form_of(server.requests[0])["tenant"] == ["acme"]


def test_plain_http_is_allowed_where_asked_for():
    with pytest.raises(httpkit.ConfigurationError, match="allow_http=True"):
        ClientCredentialsAuth("http://auth.test/token", "app", SECRET)

    assert ClientCredentialsAuth("http://auth.test/token", "app", SECRET, allow_http=True)


# A function of the caller's


def fetching(sandbox, **options):
    """Return a strategy that fetches tokens of the sandbox, and what its function was given."""
    given = []

    def fetch(session, previous):
        given.append(previous)
        response = session.post(
            f"{sandbox.url}/token",
            data={"grant_type": "client_credentials"},
            auth=(sandbox.client_id, sandbox.client_secret),
        )
        return TokenSet.from_response(response)

    return TokenAuth(fetch, **options), given


def test_a_function_fetches_one_token_for_many_threads(sandbox):
    auth, given = fetching(sandbox)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: api.get("posts/1").status_code, range(24)))

    assert statuses == [200] * 24
    assert given == [None]


def test_a_token_of_a_function_is_replaced_early(sandbox, clock):
    auth, given = fetching(sandbox, leeway=60)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        for seconds in (0, 3500, 45):
            clock.now += seconds
            api.get("posts/1")

    assert len(given) == 2
    assert given[1].expires_in == 3600


def test_a_rejected_token_of_a_function_is_replaced_once(sandbox):
    tokens = iter(["revoked-token-1", "sandbox-token"])
    auth = TokenAuth(lambda _session, _previous: next(tokens))
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        response = api.get("posts/1")

    assert (response.status_code, response.attempts) == (200, 1)


def test_the_session_of_a_function_holds_no_credentials_of_the_other(sandbox):
    received = {}

    def fetch(session, _):
        received.update(session.get(f"{sandbox.url}/echo").json()["headers"])
        return "sandbox-token"

    own = {"headers": {"X-Key": "key-of-mine"}, "cookies": {"sid": "sid-of-mine"}}
    with httpkit.Session(f"{sandbox.url}/bearer", auth=TokenAuth(fetch), **own) as api:
        api.get("posts/1")

    assert {"X-Key", "Cookie", "Authorization"}.isdisjoint(name.title() for name in received)


def test_the_session_of_a_function_sends_by_the_adapters_of_the_other(sandbox):
    class Counting(requests.adapters.HTTPAdapter):
        urls = ()

        def send(self, request, **options):
            self.urls += (request.url,)
            return super().send(request, **options)

    auth, _ = fetching(sandbox)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        adapter = Counting()
        api.mount("http://", adapter)
        api.get("posts/1")

    assert [url.rpartition("/")[2] for url in adapter.urls] == ["token", "1"]


def test_what_a_function_raises_is_raised_unchanged(sandbox):
    class LoginNeededError(Exception):
        pass

    error = LoginNeededError("log in again")

    def fetch(*_):
        raise error

    with (
        httpkit.Session(sandbox.url, auth=TokenAuth(fetch)) as api,
        pytest.raises(LoginNeededError) as caught,
    ):
        api.get("echo")

    assert caught.value is error
    assert sandbox.requests == []


def test_a_function_that_fails_early_leaves_a_token_that_is_valid(sandbox, clock):
    results = iter([TokenSet("sandbox-token", expires_in=3600)])

    def fetch(*_):
        for tokens in results:
            return tokens
        raise LookupError

    with httpkit.Session(f"{sandbox.url}/bearer", auth=TokenAuth(fetch, leeway=60)) as api:
        api.get("posts/1")
        clock.now += 3560
        assert api.get("posts/1").status_code == 200
        clock.now += 60
        with pytest.raises(LookupError):
            api.get("posts/1")


@pytest.mark.parametrize("lifetime", [0, -1, None, float("nan")])
def test_a_token_without_a_usable_lifetime_is_kept_until_it_is_rejected(sandbox, clock, lifetime):
    fetched = []

    def fetch(*_):
        fetched.append(1)
        return TokenSet("sandbox-token", expires_in=lifetime)

    with httpkit.Session(f"{sandbox.url}/bearer", auth=TokenAuth(fetch)) as api:
        for _ in range(3):
            clock.now += 1e6
            api.get("posts/1")

    assert len(fetched) == 1


def test_new_tokens_of_a_function_are_passed_on(sandbox):
    stored = []
    auth, _ = fetching(sandbox, on_refresh=stored.append)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")

    assert [tokens.expires_in for tokens in stored] == [3600]


def test_the_deadline_of_the_call_bounds_the_session_of_a_function(raw_server, make_response):
    gate = threading.Event()
    server = raw_server(lambda _: gate.wait(20))
    auth = TokenAuth(lambda session, _: session.get(server.url).text)
    began = time.monotonic()
    with (
        httpkit.Session("https://api.test", auth=auth, deadline=0.3) as api,
        pytest.raises(requests.Timeout),
    ):
        api.get("x")
    gate.set()

    assert time.monotonic() - began < 10


@pytest.mark.parametrize("result", [None, 5, b"bytes", "", "two words", "line\r\nbreak", {}])
def test_a_result_that_is_no_token_is_refused(sandbox, result):
    auth = TokenAuth(lambda *_: result)

    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(httpkit.ConfigurationError):
        api.get("echo")


@pytest.mark.parametrize(
    "options", [{"fetch": "token"}, {"leeway": -1}, {"on_refresh": 5}], ids=str
)
def test_a_function_that_cannot_work_is_refused_at_once(options):
    with pytest.raises(httpkit.ConfigurationError):
        TokenAuth(**{"fetch": fetching, **options})


def test_a_strategy_with_a_function_compares_by_it_and_pickles_without_a_token(sandbox):
    auth = TokenAuth(returns_a_token)
    auth(requests.Request("GET", "https://api.test/").prepare())

    twin = pickle.loads(pickle.dumps(auth))

    assert twin == auth == TokenAuth(returns_a_token) != TokenAuth(returns_a_token, leeway=5)
    assert b"sandbox-token" not in pickle.dumps(auth)
    assert repr(auth) == "TokenAuth(returns_a_token)"


def returns_a_token(*_):
    return "sandbox-token"
