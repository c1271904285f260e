"""Tokens from an authorization server: when they are asked for, by whom, and what is shown."""

import copy
import itertools
import json
import pickle
import subprocess
import sys
import threading
import time
import traceback
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote_plus

import pytest
import requests
from requests.adapters import HTTPAdapter

import httpkit
from httpkit import ClientCredentialsAuth, RefreshTokenAuth, TokenError, TokenSet
from httpkit._core import redaction
from httpkit._core.clock import CLOCK, NO_DEADLINE

SECRET = "c4n4ry-client-s3cret"
REFRESH = "c4n4ry-refresh-t0ken"
TOKEN = "c4n4ry-access-t0ken"
_NUMBERS = itertools.count(1)


def client(sandbox, query="", **options):
    return ClientCredentialsAuth(
        f"{sandbox.url}/token{query}", sandbox.client_id, sandbox.client_secret, **options
    )


def refresher(sandbox, query="", **options):
    return RefreshTokenAuth(
        f"{sandbox.url}/token{query}",
        sandbox.client_id,
        sandbox.refresh_token,
        sandbox.client_secret,
        **options,
    )


BOTH = pytest.mark.parametrize("make", [client, refresher], ids=["client", "refresh"])


def requested(sandbox):
    """Return what the token endpoint received."""
    return [request for request in sandbox.requests if request.path == "/token"]


def form(observed):
    return parse_qs(observed.body.decode(), strict_parsing=True)


def grant(response, token=TOKEN, **members):
    """Spell the answer of a token endpoint; a member of None is left out."""
    whole = {"access_token": token, "token_type": "Bearer", "expires_in": 60, **members}
    body = json.dumps({name: value for name, value in whole.items() if value is not None})
    return response(body=body.encode(), content_type="application/json")


def printed(error):
    """Return all that can be read of an error, of what it came from, and of their pickles."""
    shown = [*traceback.format_exception(error), repr(error), str(vars(error))]
    pending, observed = [error], set()
    while pending:
        one = pending.pop()
        if not isinstance(one, BaseException) or id(one) in observed:
            continue
        observed.add(id(one))
        request = getattr(one, "request", None)
        shown += [str(one.args), str(vars(request) if request is not None else "")]
        pending += [one.__cause__, one.__context__, *one.args]
    return "\n".join(shown) + pickle.dumps(error).decode("latin-1")


@pytest.fixture
def secret():
    """A value that no other test has made known."""
    return f"canary-{next(_NUMBERS)}-xyzzy"


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, and that goes on from there."""
    held, begun = SimpleNamespace(now=1000.0), time.monotonic()
    monkeypatch.setattr(CLOCK, "monotonic", lambda: held.now + time.monotonic() - begun)
    return held


def at_once(work, threads=20):
    """Run work in threads that begin together; return what each returned."""
    barrier = threading.Barrier(threads)

    def begin(number):
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


# When a token is asked for


@BOTH
def test_a_token_is_fetched_by_the_first_request_and_kept(sandbox, make):
    auth = make(sandbox)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        before = list(sandbox.requests)
        replies = [api.get("posts/1") for _ in range(3)]

    assert before == []
    assert [request.path for request in sandbox.requests] == ["/token", *["/bearer/posts/1"] * 3]
    assert [response.attempts for response in replies] == [1, 1, 1]


@BOTH
def test_20_threads_without_a_token_fetch_once(sandbox, make):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=make(sandbox)) as api:
        statuses = at_once(lambda _: api.get("posts/1").status_code)

    assert statuses == [200] * 20
    assert len(requested(sandbox)) == 1


@BOTH
def test_20_threads_with_an_expired_token_fetch_once(sandbox, make, clock):
    auth = make(sandbox)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")
        clock.now += 3601
        sandbox.clear()
        statuses = at_once(lambda _: api.get("posts/1").status_code)

    assert statuses == [200] * 20
    assert len(requested(sandbox)) == 1
    assert len(sandbox.requests) == 21


@BOTH
def test_20_threads_with_a_revoked_token_fetch_once(sandbox, make):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=make(sandbox)) as api:
        api.get("posts/1")
        sandbox.clear()
        statuses = at_once(lambda _: api.get("posts/1").status_code)

    assert statuses == [200] * 20
    assert len(requested(sandbox)) == 1


def test_an_api_that_rejects_every_token_costs_the_authorization_server_one_more(sandbox):
    with httpkit.Session(f"{sandbox.url}", auth=client(sandbox), raise_for_status=False) as api:
        api.get("echo")
        statuses = at_once(lambda _: [api.get("status/401").status_code for _ in range(5)])

    assert statuses == [[401] * 5] * 20
    assert len(requested(sandbox)) == 2


def test_after_a_rest_a_rejected_token_is_replaced_again(sandbox, clock):
    auth = client(sandbox)
    with httpkit.Session(sandbox.url, auth=auth, raise_for_status=False) as api:
        for seconds in (0, 4.9, 0.2):
            clock.now += seconds
            api.get("status/401")

    assert len(requested(sandbox)) == 3


@pytest.mark.parametrize(
    ("expires_in", "leeway", "still_kept", "renewed"),
    [
        (3600, 30, 3569, 3571),
        ("3600", 30, 3569, 3571),
        (3600.5, 30.5, 3569, 3571),
        (" 3600 ", 0, 3599, 3601),
        (10, 30, 4.9, 5.1),
        (10**400, 30, 1e18, None),
        (1e308, 30, 1e18, None),
        (None, 30, 1e18, None),
        (True, 30, 1e18, None),
        ("soon", 30, 1e18, None),
        ("1_0", 30, 1e18, None),
        ([10], 30, 1e18, None),
        (float("nan"), 30, 1e18, None),
        (0, 30, 1e18, None),
        ("0", 30, 1e18, None),
        (-1, 30, 1e18, None),
        ("-5", 30, 1e18, None),
        (-(10**400), 30, 1e18, None),
    ],
    ids=lambda value: repr(value)[:10],
)
def test_a_token_is_renewed_in_time(
    raw_server, make_response, expires_in, leeway, still_kept, renewed, clock
):
    server = raw_server(grant(make_response, expires_in=expires_in))
    auth = ClientCredentialsAuth(server.url, "client", SECRET, leeway=leeway)

    def requests_after(seconds):
        clock.now = 1000.0 + seconds
        auth(requests.PreparedRequest.copy(prepared))
        return len(server.requests)

    prepared = requests.Request("GET", "https://api.test/").prepare()
    assert requests_after(0) == 1
    assert still_kept is None or requests_after(still_kept) == 1
    assert renewed is None or requests_after(renewed) == 2


def test_a_token_that_cannot_be_renewed_early_serves_to_its_end(sandbox, waits, clock):
    auth = client(sandbox, "?expires_in=100")
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")
        sandbox.client_secret = "changed"
        replies = []
        for now in (1080, 1085, 1091, 1099):
            clock.now = now
            replies.append(api.get("posts/1").status_code)
        clock.now = 1101
        with pytest.raises(TokenError):
            api.get("posts/1")

    assert replies == [200] * 4
    # The first, and one each at 1080, 1091 (half of what was left) and 1099, and after the end.
    assert len(requested(sandbox)) == 5


def test_no_thread_waits_while_a_token_is_refreshed_early(raw_server, make_response, clock):
    entered, leave = threading.Event(), threading.Event()

    def slow(connection):
        entered.set()
        leave.wait(10)
        connection.sendall(grant(make_response, "second-token"))

    server = raw_server(grant(make_response, "first-token"), slow)
    auth = ClientCredentialsAuth(server.url, "client", SECRET)
    prepared = requests.Request("GET", "https://api.test/").prepare()
    auth(prepared)
    clock.now += 31

    refreshable = threading.Thread(target=auth, args=(prepared.copy(),))
    refreshable.start()
    assert entered.wait(10)
    other = auth(prepared.copy())
    leave.set()
    refreshable.join(10)

    assert other.headers["Authorization"] == "Bearer first-token"
    assert auth(prepared.copy()).headers["Authorization"] == "Bearer second-token"


def test_renewing_early_does_not_cost_a_call_its_deadline(raw_server, make_response, clock):
    leave = threading.Event()
    tokens = raw_server(grant(make_response), lambda _: leave.wait(10))
    server = raw_server(make_response())
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth) as api:
        api.get("x")
        clock.now += 31
        status = api.get("x", deadline=1).status_code
    leave.set()

    assert (status, len(tokens.requests)) == (200, 2)


def test_a_token_ages_from_when_it_was_requested(clock):
    auth = ClientCredentialsAuth("https://auth.test/", "client", SECRET)
    fetched = []

    def fetch(_):
        fetched.append(clock.now)
        return TokenSet("t-1", expires_in=100.0), 40.0

    for now in (1000.0, 1059.0, 1061.0):
        clock.now = now
        auth._cache.token(fetch, leeway=0, deadline=NO_DEADLINE)

    assert fetched == [1000.0, 1061.0]


def test_a_rejected_token_is_replaced_once_and_that_is_no_retry(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox), retry=None) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()
        response = api.post("posts", json={"title": "Again"})

    assert (response.status_code, response.attempts) == (201, 1)
    assert sandbox.requests[-1].json == {"title": "Again"}
    assert [request.method for request in sandbox.requests] == [
        "POST",
        "GET",
        "POST",
        "POST",
        "POST",
    ]


def test_a_body_that_cannot_be_sent_again_is_not_but_the_next_call_has_a_new_token(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox)) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()
        with pytest.raises(httpkit.UnauthorizedError):
            api.post("echo", data=iter([b"one", b"two"]))
        response = api.post("echo", data=iter([b"one", b"two"]))

    assert response.json()["body"] == "onetwo"
    assert len(requested(sandbox)) == 2


def test_a_streamed_response_comes_with_the_new_token(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox)) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()
        with api.get("lines", stream=True) as response:
            lines = list(response.lines())

    assert lines == ["line 1", "line 2", "line 3"]


def test_every_attempt_has_the_token_of_its_time(sandbox, clock):
    auth = client(sandbox, "?expires_in=10")

    def later(_):
        clock.now += 6

    policy = httpkit.RetryPolicy(on_retry=later)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth, retry=policy) as api:
        api.get("flaky/key?fail=2")

    sent = {observed.headers["authorization"] for observed in sandbox.attempts("key")}
    assert (len(sent), len(requested(sandbox))) == (3, 3)


# Who shares a token


def test_clones_of_a_session_share_the_token(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox)) as api:
        api.get("posts/1")
        api.with_options(timeout=3, headers={"X-Clone": "1"}).get("posts/1")

    assert len(requested(sandbox)) == 1


def test_equal_strategies_do_not_share_a_token(sandbox):
    for _ in range(2):
        with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox)) as api:
            api.get("posts/1")

    assert len(requested(sandbox)) == 2


@BOTH
@pytest.mark.parametrize("again", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy])
def test_a_pickle_holds_no_token_and_fetches_anew(sandbox, make, again):
    auth = make(sandbox)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        token = api.get("posts/1").request.headers["Authorization"].removeprefix("Bearer ")
        sandbox.refresh_token = auth.refresh_token if make is refresher else ""
        twin = again(auth)
        held = pickle.dumps(auth)
        api.with_options(auth=twin).get("posts/1")

    assert twin == auth
    assert token.encode() not in held
    assert len(requested(sandbox)) == 2


FORK = """
import os, sys, threading
import httpkit
from httpkit.testing import Sandbox

with Sandbox() as sandbox:
    auth = httpkit.ClientCredentialsAuth(
        sandbox.url + "/token", sandbox.client_id, sandbox.client_secret)
    auth._cache._lock.acquire()  # as another thread may hold it
    auth._cache._running = object()
    child = os.fork()
    if not child:
        with httpkit.Session(sandbox.url + "/bearer", auth=auth, deadline=5) as api:
            os._exit(api.get("posts/1").status_code - 200)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (ran.stdout, ran.stderr) == ("0\n", "")


# What is sent to the authorization server


@pytest.mark.parametrize("client_secret", ["plain-secret", "a:b c/+é%&=", "100%"])
def test_basic_credentials_are_form_encoded_first(raw_server, make_response, client_secret):
    server = raw_server(grant(make_response))
    auth = ClientCredentialsAuth(server.url, "client:ö", client_secret)

    auth(requests.Request("GET", "https://api.test/").prepare())

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    encoded = head.split(b"Authorization: Basic ")[1].split(b"\r\n")[0]
    pair = b64decode(encoded).decode("ascii")
    assert [unquote_plus(part) for part in pair.split(":")] == ["client:ö", client_secret]
    assert body == b"grant_type=client_credentials"
    assert b"Accept: application/json" in head


def test_post_puts_the_client_into_the_form_alone(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox, client_auth="post")) as api:
        api.get("posts/1")

    sent = requested(sandbox)[0]
    assert "authorization" not in sent.headers
    assert form(sent) == {
        "grant_type": ["client_credentials"],
        "client_id": [sandbox.client_id],
        "client_secret": [sandbox.client_secret],
    }


def test_a_public_client_says_who_it_is_in_the_form(raw_server, make_response):
    server = raw_server(grant(make_response))
    auth = RefreshTokenAuth(server.url, "app", REFRESH)

    auth(requests.Request("GET", "https://api.test/").prepare())

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"authorization" not in head.lower()
    assert parse_qs(body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [REFRESH],
        "client_id": ["app"],
    }


@pytest.mark.parametrize("make", [client, refresher], ids=["client", "refresh"])
def test_what_the_token_is_for_goes_into_the_form(sandbox, make):
    auth = make(
        sandbox,
        scope=["read", "write:all"],
        audience="https://api.test/",
        resource=["https://api.test/a", "urn:b"],
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")

    sent = form(requested(sandbox)[0])
    assert (sent["scope"], sent["audience"]) == (["read write:all"], ["https://api.test/"])
    assert sent["resource"] == ["https://api.test/a", "urn:b"]


def test_the_query_of_the_token_url_is_kept(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox, "?expires_in=9")) as api:
        api.get("posts/1")

    assert requested(sandbox)[0].query == {"expires_in": ["9"]}


@pytest.mark.parametrize("strict", [True, False])
def test_the_token_request_has_nothing_of_the_session_that_is_a_credential(
    sandbox, monkeypatch, tmp_path, strict
):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ada password lovelace")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    session = {
        "headers": {"X-API-Key": "of-the-session", "User-Agent": "sdk/1"},
        "params": {"key": "of-the-session"},
        "cookies": {"sid": "of-the-session"},
        "strict": strict,
    }
    auth = client(sandbox, client_auth="post")
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth, **session) as api:
        api.get("posts/1")

    sent = requested(sandbox)[0]
    assert "of-the-session" not in f"{dict(sent.headers)} {sent.query} {sent.body!r}"
    assert "authorization" not in sent.headers
    assert "sdk/1" not in sent.headers["user-agent"]


def test_netrc_is_not_used_at_the_token_endpoint(sandbox, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ada password lovelace")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    requests.get(f"{sandbox.url}/bearer", auth=client(sandbox, client_auth="post"), timeout=5)

    assert "authorization" not in requested(sandbox)[0].headers


def test_a_session_that_ignores_the_environment_does_so_for_tokens(sandbox, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox)) as api:
        api.trust_env = False
        status = api.get("posts/1").status_code

    assert status == 200


class Recording(HTTPAdapter):
    """An adapter that notes how it was asked to send."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.closed = 0

    def send(self, request, **kwargs):
        self.sent.append((request.url, kwargs["verify"], kwargs["cert"]))
        return super().send(request, **{**kwargs, "verify": True, "cert": None})

    def close(self):
        self.closed += 1
        super().close()


@pytest.mark.parametrize("strict", [True, False])
def test_the_token_request_goes_by_the_way_of_the_session(sandbox, tmp_path, strict):
    adapter, bundle = Recording(), str(tmp_path)
    with httpkit.Session(
        f"{sandbox.url}/bearer", auth=client(sandbox), verify=bundle, cert="c.pem", strict=strict
    ) as api:
        api.mount("http://", adapter)
        api.get("posts/1")
        api.get("posts/2")
        closed_in_between = adapter.closed

    assert adapter.sent[0] == (f"{sandbox.url}/token", bundle, "c.pem")
    assert (len(adapter.sent), closed_in_between) == (3, 0)


@pytest.mark.parametrize("strict", [True, False])
def test_the_token_request_goes_through_the_sessions_proxy(raw_server, make_response, strict):
    proxy = raw_server(grant(make_response), make_response())
    auth = ClientCredentialsAuth("http://127.0.0.1:1/token", "client", SECRET)
    with httpkit.Session(
        "http://127.0.0.1:1", auth=auth, proxies={"http": proxy.url}, strict=strict
    ) as api:
        api.get("x")

    assert proxy.requests[0].startswith(b"POST http://127.0.0.1:1/token ")
    assert f"Authorization: Bearer {TOKEN}".encode() in proxy.requests[1]


def test_the_token_stays_with_the_origin_of_the_session(sandbox):
    with httpkit.Session(sandbox.url, auth=client(sandbox)) as api:
        api.get("redirect/other/echo")

    first, last = (request for request in sandbox.requests if request.path != "/token")
    assert first.headers["authorization"].startswith("Bearer ")
    assert "authorization" not in last.headers


def test_it_goes_with_other_strategies(sandbox):
    auth = client(sandbox) & httpkit.APIKeyAuth("key-1")
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()
        api.get("posts/1")

    assert sandbox.requests[-1].headers["x-api-key"] == "key-1"
    assert "x-api-key" not in requested(sandbox)[0].headers
    assert len(requested(sandbox)) == 2


# Without a session of ours


@BOTH
def test_it_works_with_plain_requests(sandbox, make):
    auth = make(sandbox)

    replies = [requests.get(f"{sandbox.url}/bearer/posts/1", auth=auth) for _ in range(2)]  # noqa: S113  # loopback

    assert [response.status_code for response in replies] == [200, 200]
    assert len(requested(sandbox)) == 1


def test_after_a_401_plain_requests_get_another_token_the_next_time(sandbox):
    auth = client(sandbox)
    with requests.Session() as plain:
        plain.auth = auth
        statuses = []
        for _ in range(4):
            statuses.append(plain.get(f"{sandbox.url}/bearer/posts/1").status_code)
            if len(statuses) == 2:
                sandbox.revoke_tokens()

    assert statuses == [200, 200, 401, 200]


def test_a_pickled_response_of_plain_requests_holds_no_client_secret(sandbox):
    auth = ClientCredentialsAuth(
        f"{sandbox.url}/token", sandbox.client_id, lambda: sandbox.client_secret
    )
    response = requests.get(f"{sandbox.url}/bearer/posts/1", auth=auth, timeout=5)

    pickled = pickle.dumps(response)

    assert sandbox.client_secret.encode() not in pickled
    hook = pickle.loads(pickled).request.hooks["response"][0]
    assert hook(response) is None


def test_a_lenient_session_refreshes_a_rejected_token(sandbox):
    with httpkit.Session(f"{sandbox.url}/bearer", auth=client(sandbox), strict=False) as api:
        statuses = [api.get("posts/1").status_code]
        sandbox.revoke_tokens()
        statuses.append(api.get("posts/1").status_code)

    assert statuses == [200, 200]


# When there is no token

NO_TOKEN = {
    "an error": (
        "400 Bad Request",
        b'{"error": "invalid_scope", "error_description": "no such scope"}',
        "application/json",
        "responded 400 invalid_scope: no such scope$",
        ("invalid_scope", "no such scope"),
    ),
    "an error without words": (
        "401 Unauthorized",
        b'{"error": "invalid_client"}',
        "application/json",
        "responded 401 invalid_client$",
        ("invalid_client", None),
    ),
    "200 with an error": (
        "200 OK",
        b'{"ok": false, "error": "invalid_auth"}',
        "application/json",
        "responded 200 invalid_auth$",
        ("invalid_auth", None),
    ),
    "an error of another kind": (
        "403 Forbidden",
        b'{"error": {"message": "blocked"}}',
        "application/json",
        "responded 403: blocked$",
        (None, None),
    ),
    "a page of an error": (
        "403 Forbidden",
        b"<html><title>Access denied</title></html>",
        "text/html",
        "responded 403: Access denied$",
        (None, None),
    ),
    "a page": (
        "200 OK",
        b"<html><title>Log in</title></html>",
        "text/html",
        "responded 200 with text/html, no JSON object$",
        (None, None),
    ),
    "nothing": ("200 OK", b"", "application/json", "no JSON object$", (None, None)),
    "no content": ("204 No Content", b"", "text/plain", "no JSON object$", (None, None)),
    "JSON cut short": (
        "200 OK",
        b'{"access_token": "' + TOKEN.encode(),
        "application/json",
        "no JSON object$",
        (None, None),
    ),
    "a form with an error": (
        "200 OK",
        b"error=bad_code&error_description=The+code+has+expired",
        "application/x-www-form-urlencoded",
        "responded 200 bad_code: The code has expired$",
        ("bad_code", "The code has expired"),
    ),
    "a form in a page": (
        "200 OK",
        f"access_token={TOKEN}&token_type=bearer".encode(),
        "text/html",
        "no JSON object$",
        (None, None),
    ),
    "a bare token": ("200 OK", TOKEN.encode(), "text/plain", "no JSON object$", (None, None)),
    "a list": ("200 OK", b"[1]", "application/json", "no JSON object$", (None, None)),
    "JSON too deep": (
        "200 OK",
        b"[" * 100_000,
        "application/json",
        "no JSON object$",
        (None, None),
    ),
    "no text": ("200 OK", b"\xff\xfe\xfd", "application/json", "no JSON object$", (None, None)),
    "no token": (
        "200 OK",
        b'{"token_type": "bearer"}',
        "application/json",
        "with no legible access_token$",
        (None, None),
    ),
    "no token but a reason": (
        "200 OK",
        b'{"errcode": 40013, "errmsg": "invalid appid"}',
        "application/json",
        "with no legible access_token: invalid appid$",
        (None, None),
    ),
    "a token in another place": (
        "200 OK",
        f'{{"data": {{"value": "{TOKEN}"}}}}'.encode(),
        "application/json",
        "with no legible access_token$",
        (None, None),
    ),
    "several tokens in another place": (
        "200 OK",
        f'[{{"value": "{TOKEN}"}}, {{"value": "x{TOKEN}"}}]'.encode(),
        "application/json",
        "no JSON object$",
        (None, None),
    ),
    "a redirect": ("302 Found", b"", "text/plain", "responded 302 with a redirect", (None, None)),
    "too much": (
        "200 OK",
        b'{"access_token": "' + b"x" * (1 << 20) + b'"}',
        "application/json",
        "has more than 1048576 bytes$",
        (None, None),
    ),
    "too much of an error": (
        "400 Bad Request",
        b'{"error": "' + b"x" * (1 << 21) + b'"}',
        "application/json",
        "responded 400",
        (None, None),
    ),
}


@pytest.mark.parametrize(
    ("status", "body", "token_type", "message", "detail"), NO_TOKEN.values(), ids=NO_TOKEN
)
def test_a_response_without_a_token_is_a_typed_error(
    raw_server, make_response, status, body, token_type, message, detail
):
    elsewhere = raw_server(grant(make_response))
    server = raw_server(
        make_response(status, body, content_type=token_type, location=elsewhere.url)
    )
    auth = ClientCredentialsAuth(f"{server.url}/token", "client", SECRET)
    with (
        httpkit.Session("http://127.0.0.1:1", auth=auth) as api,
        pytest.raises(TokenError, match=message) as caught,
    ):
        api.get("x")

    error = caught.value
    assert (error.error, error.error_description) == detail
    assert (error.attempts, error.response) == (0, None)
    assert error.status_code in {0, int(status[:3])}
    assert (len(server.requests), elsewhere.requests) == (1, [])
    assert len(str(error)) < 500
    shown = printed(error)
    assert SECRET not in shown
    assert TOKEN not in shown
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "members",
    [
        {"token_type": "mac"},
        {"token_type": "DPoP"},
        {"token_type": "N_A"},
        {"access_token": ""},
        {"access_token": "two words"},
        {"access_token": "line\r\nX-Evil: 1"},
        {"access_token": "é"},
        {"access_token": 5},
        {"access_token": {"value": TOKEN}},
        {"refresh_token": 5},
        {"refresh_token": "two words"},
        {"error": "invalid_scope"},
    ],
    ids=str,
)
def test_a_token_that_cannot_be_used_is_refused(raw_server, make_response, members):
    server = raw_server(grant(make_response, **members))
    auth = ClientCredentialsAuth(server.url, "client", SECRET)
    with httpkit.Session("http://127.0.0.1:1", auth=auth) as api, pytest.raises(TokenError):
        api.get("x")

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "token_type",
    ["bearer", "BEARER", None, "", "bot", "User Access Token", "BearerToken", ["Bearer"], 5],
    ids=str,
)
def test_a_missing_or_unknown_token_type_means_bearer(raw_server, make_response, token_type):
    server = raw_server(grant(make_response, token_type=token_type))
    signed = ClientCredentialsAuth(server.url, "client", SECRET)(
        requests.Request("GET", "https://api.test/").prepare()
    )

    assert signed.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("failure", ["503 Busy", "500 Oops", "429 Slow down", None], ids=str)
def test_the_token_request_is_repeated_after_a_passing_failure(
    raw_server, make_response, waits, failure
):
    bad = None if failure is None else make_response(failure)
    tokens = raw_server(bad, bad, grant(make_response))
    server = raw_server(make_response())
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth, retry=None) as api:
        response = api.get("x")

    assert (response.attempts, len(tokens.requests), len(waits)) == (1, 3, 2)


def test_a_token_request_that_breaks_is_not_multiplied_either(raw_server, make_response):
    tokens, server = raw_server(grant(make_response), None), raw_server(make_response("401 No"))
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with (
        httpkit.Session(server.url, auth=auth) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert (len(tokens.requests), len(server.requests)) == (1 + 3, 1)
    assert caught.value.stop_reason == "it could not be signed"
    assert SECRET not in printed(caught.value)


@pytest.mark.parametrize("from_prepare", [True, False], ids=["first", "after a 401"])
def test_a_failing_token_request_is_not_multiplied_by_the_retries_of_the_call(
    raw_server, make_response, from_prepare
):
    first = [] if from_prepare else [grant(make_response)]
    tokens = raw_server(*first, make_response("503 Busy", retry_after="1"))
    server = raw_server(make_response("401 No"))
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth) as api, pytest.raises(TokenError) as caught:
        api.get("x")

    assert (len(tokens.requests), len(server.requests)) == (3 + len(first), len(first))
    assert (caught.value.status_code, caught.value.retry_after) == (503, 1)
    assert caught.value.attempts == len(first)


def test_a_long_retry_after_of_the_authorization_server_is_reported(
    raw_server, make_response, waits
):
    tokens = raw_server(make_response("429 Slow down", retry_after="600"))
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session("http://127.0.0.1:1", auth=auth) as api, pytest.raises(TokenError) as no:
        api.get("x")

    assert (no.value.retry_after, len(tokens.requests), waits) == (600, 1, [])


@pytest.mark.parametrize("client_auth", ["basic", "post"])
@pytest.mark.parametrize("plain", [True, False], ids=["plain requests", "session"])
def test_an_authorization_server_that_is_down_is_a_connection_error(client_auth, plain, secret):
    auth = ClientCredentialsAuth("http://127.0.0.1:1/t", "client", secret, client_auth=client_auth)
    token_type = requests.Session if plain else httpkit.Session
    with token_type() as api, pytest.raises(requests.ConnectionError) as caught:
        api.get("http://127.0.0.1:1/x", auth=auth)

    shown = printed(caught.value)
    assert "POST http://127.0.0.1:1/t: 3 attempts" in shown
    assert secret not in shown
    assert b64encode(f"client:{secret}".encode()).decode() not in shown


@pytest.mark.parametrize("client_auth", ["basic", "post"])
def test_a_slow_authorization_server_is_bounded_by_the_deadline_of_the_call(
    raw_server, client_auth, secret
):
    leave = threading.Event()
    tokens = raw_server(lambda _: leave.wait(10))
    auth = ClientCredentialsAuth(tokens.url, "client", secret, client_auth=client_auth)
    with (
        httpkit.Session("http://127.0.0.1:1", auth=auth) as api,
        pytest.raises(httpkit.DeadlineExceededError) as caught,
    ):
        api.get("x", deadline=0.3)
    leave.set()

    assert len(tokens.requests) == 1
    assert secret not in printed(caught.value)


def test_the_time_for_a_token_counts_for_the_deadline(raw_server, make_response):
    left = []

    def slow(connection):
        threading.Event().wait(0.3)
        connection.sendall(grant(make_response))

    class Noting(HTTPAdapter):
        def send(self, request, **options):
            left.append(options["timeout"])
            return super().send(request, **options)

    tokens, server = raw_server(slow), raw_server(make_response())
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth) as api:
        api.mount(server.url, Noting())
        api.get("x", deadline=20, timeout=20)

    ((_, seconds),) = left
    assert 0 < seconds <= 20 - 0.3


def test_a_thread_waits_for_anothers_token_no_longer_than_its_own_deadline(
    raw_server, make_response
):
    entered, leave = threading.Event(), threading.Event()

    def slow(connection):
        entered.set()
        leave.wait(10)
        connection.sendall(grant(make_response))

    tokens, server = raw_server(slow), raw_server(make_response())
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth) as api, ThreadPoolExecutor(1) as pool:
        patient = pool.submit(api.get, "patient")
        assert entered.wait(10)
        with pytest.raises(httpkit.DeadlineExceededError, match="another thread"):
            api.get("hasty", deadline=0.1)
        leave.set()
        assert patient.result(10).status_code == 200

    assert [received.split()[1] for received in server.requests] == [b"/patient"]


def test_a_thread_in_a_hurry_does_not_spoil_it_for_the_others(raw_server, make_response):
    entered, leave = threading.Event(), threading.Event()

    def slow(_):
        entered.set()
        leave.wait(10)

    tokens, server = raw_server(slow, grant(make_response)), raw_server(make_response())
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session(server.url, auth=auth) as api, ThreadPoolExecutor(1) as pool:
        hasty = pool.submit(api.get, "hasty", deadline=0.5)
        assert entered.wait(10)
        patient = api.get("patient")
        leave.set()
        with pytest.raises(httpkit.DeadlineExceededError):
            hasty.result(10)

    assert (patient.status_code, len(tokens.requests)) == (200, 2)


def test_those_who_wait_share_the_failure(raw_server, make_response):
    all_in = threading.Event()

    def refuse(connection):
        all_in.wait(10)
        connection.sendall(make_response("400 No", b'{"error": "invalid_client"}'))

    tokens = raw_server(refuse)
    auth = ClientCredentialsAuth(tokens.url, "client", SECRET)
    with httpkit.Session("http://127.0.0.1:1", auth=auth) as api:

        def ask(number):
            if number == 0:
                threading.Timer(0.3, all_in.set).start()
            try:
                api.get("x")
            except TokenError as error:
                return error

        errors = at_once(ask)

    assert [error.error for error in errors] == ["invalid_client"] * 20
    assert len({id(error) for error in errors}) == 20
    assert len(tokens.requests) == 1


def test_an_interrupted_fetch_is_taken_over(raw_server, make_response):
    auth = ClientCredentialsAuth("http://127.0.0.1:1/token", "client", SECRET)

    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        auth._cache.token(interrupted, leeway=0, deadline=NO_DEADLINE)
    token = auth._cache.token(lambda _: (TokenSet("t-2"), 0.0), leeway=0, deadline=NO_DEADLINE)

    assert token == "t-2"


# Refresh tokens


def test_a_refresh_token_that_is_replaced_is_gone_on_with(sandbox):
    first = sandbox.refresh_token
    with httpkit.Session(f"{sandbox.url}/bearer", auth=refresher(sandbox)) as api:
        for _ in range(3):
            api.get("posts/1")
            sandbox.revoke_tokens()

    used = [form(observed)["refresh_token"][0] for observed in requested(sandbox)]
    assert used[0] == first
    assert len(set(used)) == 3


def test_a_refresh_token_that_is_not_replaced_stays(raw_server, make_response):
    server = raw_server(grant(make_response, expires_in=1e-9))
    observed = []
    auth = RefreshTokenAuth(server.url, "app", REFRESH, on_refresh=observed.append)
    prepared = requests.Request("GET", "https://api.test/").prepare()

    auth(prepared)
    auth(prepared)

    assert all(f"refresh_token={REFRESH}".encode() in body for body in server.requests)
    assert [tokens.refresh_token for tokens in observed] == [REFRESH] * 2


def test_on_refresh_is_called_before_a_new_token_is_used(sandbox):
    detail = []

    def store(tokens):
        detail.append((tokens, [request.path for request in sandbox.requests]))

    with httpkit.Session(f"{sandbox.url}/bearer", auth=refresher(sandbox, on_refresh=store)) as api:
        api.get("posts/1")

    ((tokens, before),) = detail
    assert before == ["/token"]
    assert tokens.refresh_token == sandbox.refresh_token
    assert sandbox.requests[-1].headers["authorization"] == f"Bearer {tokens.access_token}"
    assert (tokens.expires_in, tokens.scope) == (3600, None)


def test_a_store_that_is_called_for_each_token_has_the_latest(sandbox):
    store = {"token": sandbox.refresh_token}
    auth = RefreshTokenAuth(
        f"{sandbox.url}/token",
        sandbox.client_id,
        lambda: store["token"],
        sandbox.client_secret,
        on_refresh=lambda tokens: store.update(token=tokens.refresh_token),
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        for _ in range(3):
            api.get("posts/1")
            sandbox.revoke_tokens()

    assert store["token"] == sandbox.refresh_token
    assert len(requested(sandbox)) == 3


def test_a_variable_that_is_behind_is_not_gone_back_to(sandbox, monkeypatch):
    monkeypatch.setenv("CLIENT_ID", sandbox.client_id)
    monkeypatch.setenv("CLIENT_SECRET", sandbox.client_secret)
    monkeypatch.setenv("REFRESH_TOKEN", sandbox.refresh_token)
    auth = RefreshTokenAuth.from_env(
        f"{sandbox.url}/token", "CLIENT_ID", "REFRESH_TOKEN", "CLIENT_SECRET", scope="a"
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        for _ in range(3):
            api.get("posts/1")
            sandbox.revoke_tokens()

    assert len(requested(sandbox)) == 3
    assert "$REFRESH_TOKEN" in repr(auth)


def test_a_store_that_fails_ends_the_call_and_the_tokens_are_kept(sandbox):
    def fail(_):
        raise OSError("the disk is full")

    with httpkit.Session(f"{sandbox.url}/bearer", auth=refresher(sandbox, on_refresh=fail)) as api:
        with pytest.raises(OSError, match="disk is full"):
            api.get("posts/1")
        status = api.get("posts/1").status_code

    assert status == 200
    assert len(requested(sandbox)) == 1


def test_a_store_that_needs_the_token_itself_gets_an_error(sandbox):
    def store(_):
        api.post("posts", json={"title": "a token"})

    with (
        httpkit.Session(f"{sandbox.url}/bearer", auth=refresher(sandbox, on_refresh=store)) as api,
        pytest.raises(httpkit.ConfigurationError, match="on_refresh made a request"),
    ):
        api.get("posts/1")


def test_a_refresh_token_that_is_used_up_says_so(sandbox):
    auth = refresher(sandbox)
    sandbox.refresh_token = "another"
    with (
        httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api,
        pytest.raises(TokenError) as caught,
    ):
        api.get("posts/1")

    assert caught.value.error == "invalid_grant"


# Values, and what they show


def both(url="https://auth.test/token", **options):
    return [
        ClientCredentialsAuth(url, "app", SECRET, **options),
        RefreshTokenAuth(url, "app", REFRESH, SECRET, **options),
    ]


def test_strategies_compare_and_hash_by_value():
    assert both() == both()
    assert both(scope="a b") == both(scope=["a", "b"])
    assert both(resource="https://a.test/") == both(resource=("https://a.test/",))
    assert both() != both(leeway=5)
    assert len({*both(), *both(), *both(audience="x")}) == 4


@pytest.mark.parametrize("number", [0, 1], ids=["client", "refresh"])
def test_a_strategy_shows_where_it_asks_and_no_secret(number):
    auth = both("https://auth.test/token?api_key=hush-hush")[number]

    assert repr(auth).endswith("('https://auth.test/token?api_key=***', 'app', ***)")
    with pytest.raises(AttributeError):
        auth.client_id = "other"


def test_tokens_show_no_secret():
    assert repr(TokenSet(TOKEN, REFRESH, 60.0)) == "TokenSet(***, expires_in=60)"
    assert repr(TokenSet(TOKEN)) == "TokenSet(***)"


def test_a_strategy_from_the_environment_pickles_the_variables_name(sandbox, monkeypatch):
    monkeypatch.setenv("CLIENT_ID", sandbox.client_id)
    monkeypatch.setenv("CLIENT_SECRET", f" {sandbox.client_secret}\n")
    auth = ClientCredentialsAuth.from_env(
        f"{sandbox.url}/token", "CLIENT_ID", "CLIENT_SECRET", leeway=5
    )
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        status = api.get("posts/1").status_code

    assert (status, "$CLIENT_SECRET" in repr(auth)) == (200, True)
    assert sandbox.client_secret.encode() not in pickle.dumps(auth)
    monkeypatch.delenv("CLIENT_SECRET")
    with pytest.raises(httpkit.ConfigurationError, match="CLIENT_SECRET is not set"):
        ClientCredentialsAuth.from_env("https://a.test/", "CLIENT_ID", "CLIENT_SECRET")


def test_a_secret_that_cannot_be_had_is_an_error_before_anything_is_sent(sandbox):
    auth = ClientCredentialsAuth(f"{sandbox.url}/token", "app", lambda: "")
    with (
        httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api,
        pytest.raises(httpkit.ConfigurationError, match="client_secret is empty"),
    ):
        api.get("posts/1")

    assert sandbox.requests == []


@pytest.mark.parametrize(
    "members",
    [
        lambda s: {"error": "invalid_client", "error_description": f"{s} is wrong"},
        lambda s: {"error": s},
        lambda s: {"detail": [s, s]},
    ],
    ids=["description", "code", "elsewhere"],
)
def test_a_secret_that_the_authorization_server_repeats_is_masked(
    raw_server, make_response, members, secret
):
    body = json.dumps(members(secret)).encode()
    server = raw_server(make_response("401 No", body, content_type="application/json"))
    auth = ClientCredentialsAuth(server.url, "app", secret, client_auth="post")
    with httpkit.Session("http://127.0.0.1:1", auth=auth) as api, pytest.raises(TokenError) as no:
        api.get("x")

    assert secret not in printed(no.value)


def test_tokens_are_masked_from_the_moment_they_arrive(raw_server, make_response, secret):
    server = raw_server(grant(make_response, secret, refresh_token=f"r-{secret}"))
    auth = RefreshTokenAuth(server.url, "app", REFRESH)

    auth(requests.Request("GET", "https://api.test/").prepare())

    assert redaction.redact_values(f"{secret} and r-{secret}") == "*** and ***"


def test_tokens_that_the_api_repeats_are_masked(raw_server, make_response, secret):
    tokens = raw_server(grant(make_response, secret))
    server = raw_server(make_response("400 No", f"the token {secret} is odd".encode()))
    auth = ClientCredentialsAuth(tokens.url, "app", SECRET)
    with (
        httpkit.Session(server.url, auth=auth) as api,
        pytest.raises(httpkit.BadRequestError) as caught,
    ):
        api.get("x")

    assert secret not in f"{caught.value} {pickle.dumps(caught.value)!r}"


@pytest.mark.parametrize(
    "options",
    [
        {"token_url": "http://auth.test/token"},
        {"token_url": "https://user:hush-hush@auth.test/token"},
        {"token_url": "https://auth.test/token#here"},
        {"token_url": "auth.test/token"},
        {"token_url": "/token"},
        {"token_url": "ftp://auth.test/token"},
        {"token_url": "https://"},
        {"token_url": "https://[auth/token"},
        {"token_url": ""},
        {"token_url": b"https://auth.test/token"},
        {"token_url": None},
        {"client_id": ""},
        {"client_id": "two\nlines"},
        {"client_id": None},
        {"client_secret": ""},
        {"client_secret": b"bytes"},
        {"client_secret": 5},
        {"scope": ""},
        {"scope": []},
        {"scope": ["two words"]},
        {"scope": 'quo"te'},
        {"scope": b"bytes"},
        {"scope": 5},
        {"scope": {"a"}},
        {"audience": ""},
        {"audience": 5},
        {"resource": "relative/path"},
        {"resource": "https://a.test/#fragment"},
        {"resource": []},
        {"resource": 5},
        {"leeway": -1},
        {"leeway": float("nan")},
        {"leeway": "30"},
        {"leeway": True},
        {"client_auth": "jwt"},
        {"client_auth": ["basic"]},
        {"client_auth": None},
        {"extra": "account_id=1"},
        {"extra": {"account_id": 5}},
        {"extra": {"": "x"}},
        {"extra": {"scope": "read"}},
        {"extra": {"client_secret": "x"}},
        {"allow_http": "yes"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_at_once(options):
    given = {"token_url": "https://auth.test/token", "client_id": "app", "client_secret": "s"}

    for make in (ClientCredentialsAuth, lambda **o: RefreshTokenAuth(refresh_token=REFRESH, **o)):
        if make is not ClientCredentialsAuth and options == {"client_secret": None}:
            continue
        with pytest.raises(httpkit.ConfigurationError) as refusal:
            make(**{**given, **options})
        assert "hush-hush" not in str(refusal.value)


@pytest.mark.parametrize("options", [{"refresh_token": ""}, {"on_refresh": 5}], ids=str)
def test_a_refresh_that_cannot_work_is_refused_at_once(options):
    given = {"token_url": "https://auth.test/token", "client_id": "app", "refresh_token": REFRESH}

    with pytest.raises(httpkit.ConfigurationError):
        RefreshTokenAuth(**{**given, **options})


@pytest.mark.parametrize(
    "url",
    ["http://localhost:1/t", "http://[::1]:1/t", "http://127.0.0.1/t", "https://a.test/t?x=1"],
)
def test_http_is_permitted_on_this_machine(url):
    assert both(url)


def test_a_token_that_is_refused_shows_no_secret_in_the_locals_of_a_traceback(sandbox):
    secret = "c4n4ry-cl13nt-s3cret"
    auth = ClientCredentialsAuth(f"{sandbox.url}/token", "nobody", secret)

    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(TokenError) as caught:
        api.get("posts/1")

    shown = [  # what crash reporters, rich and `pytest -l` print
        repr(value)
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if frame.f_globals["__name__"].startswith("httpkit.")
        for value in frame.f_locals.values()
    ]
    assert shown
    assert not any(secret in text for text in shown)


def test_an_error_says_why_a_rejected_token_was_not_replaced(sandbox):
    auth = ClientCredentialsAuth(f"{sandbox.url}/token", sandbox.client_id, sandbox.client_secret)
    with httpkit.Session(f"{sandbox.url}/bearer", auth=auth) as api:
        api.get("posts/1")
        sandbox.revoke_tokens()

        with pytest.raises(httpkit.UnauthorizedError) as caught:
            api.post("posts", data=iter([b"{}"]))

    assert "read only once" in (caught.value.stop_reason or "")
