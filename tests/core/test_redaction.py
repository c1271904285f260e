"""No credential is shown where people read: one canary, grepped for in every channel."""

import base64
import copy
import html
import itertools
import json
import logging
import pickle
import re
import time
import traceback
from urllib.parse import quote, quote_plus, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.cookies import RequestsCookieJar

import httpkit
from httpkit._core import redaction
from httpkit.testing import Sandbox

_NUMBERS = itertools.count(1)


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def fresh_sandbox():
    """A server of the test's own, for requests that may arrive after the client gave up."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def secret():
    """A value that no other test has made known, so that nothing hides it by chance."""
    return f"canary-{next(_NUMBERS)}-xyzzy"


def forms(secret):
    """The secret as it may be written: plain, encoded for a URL, or as basic credentials."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    return {secret, quote(secret, safe=""), quote_plus(secret), basic}


def found_in(secret, shown):
    """Return the spellings of the secret that are in a text or in bytes."""
    if isinstance(shown, bytes):
        return [form for form in forms(secret) if form.encode() in shown]
    return [form for form in forms(secret) if form in shown]


def printed(error):
    """Return all that a person sees of an error: traceback with chain and notes, str, repr."""
    return "\n".join(
        [
            *traceback.format_exception(error),
            str(error),
            repr(error),
            str(error.args),
            *getattr(error, "__notes__", []),
        ]
    )


def raised_by(call):
    with pytest.raises((requests.RequestException, ValueError)) as caught:
        call()
    return caught.value


# Where a secret can be: what the session is told, and what the call is told.

PLACES = {
    "bearer token": lambda s: ({"auth": httpkit.BearerAuth(s)}, {}),
    "callable token": lambda s: ({"auth": httpkit.BearerAuth(lambda: s)}, {}),
    "basic password": lambda s: ({"auth": httpkit.BasicAuth("user", s)}, {}),
    "basic user without password": lambda s: ({"auth": httpkit.BasicAuth(s)}, {}),
    "basic tuple": lambda s: ({"auth": ("user", s)}, {}),
    "call's tuple": lambda s: ({}, {"auth": ("user", s)}),
    "requests' basic": lambda s: ({"auth": requests.auth.HTTPBasicAuth("user", s)}, {}),
    "key in a header": lambda s: ({"auth": httpkit.APIKeyAuth(s)}, {}),
    "key in an odd header": lambda s: ({"auth": httpkit.APIKeyAuth(s, "X-Who")}, {}),
    "key in the query": lambda s: ({"auth": httpkit.APIKeyAuth(s, "who", "query")}, {}),
    "key in a cookie": lambda s: ({"auth": httpkit.APIKeyAuth(s, "who", "cookie")}, {}),
    "two strategies": lambda s: (
        {"auth": httpkit.BearerAuth("harmless-1") & httpkit.APIKeyAuth(s)},
        {},
    ),
    "session's headers": lambda s: ({"headers": {"X-API-Key": s}}, {}),
    "session's Authorization": lambda s: ({"headers": {"Authorization": f"Bearer {s}"}}, {}),
    "session's secret_headers": lambda s: (
        {"headers": {"X-Canary-Pin": s}, "secret_headers": ["X-Canary-Pin"]},
        {},
    ),
    "call's headers": lambda s: ({}, {"headers": {"Private-Token": s}}),
    "call's Authorization": lambda s: ({}, {"headers": {"authorization": f"Token {s}"}}),
    "bytes in a header": lambda s: ({}, {"headers": {"X-API-Key": s.encode()}}),
    "session's params": lambda s: ({"params": {"api_key": s}}, {}),
    "params": lambda s: ({}, {"params": {"access_token": s}}),
    "params named key": lambda s: ({}, {"params": {"a": 1, "key": s}}),
    "params in brackets": lambda s: ({}, {"params": {"user[password]": s}}),
    "secret_headers in params": lambda s: (
        {"secret_headers": ["canarypin"]},
        {"params": {"canarypin": s}},
    ),
    "session's cookies": lambda s: ({"cookies": {"sid": s}}, {}),
    "call's cookies": lambda s: ({}, {"cookies": {"sid": s}}),
    "form": lambda s: ({}, {"data": {"password": s}}),
    "form in brackets": lambda s: ({}, {"data": {"user[password]": s}}),
    "form as text": lambda s: ({}, {"data": f"a=1&client_secret={s}"}),
    "form as bytes": lambda s: ({}, {"data": f"a=1&client_secret=x,{s}".encode()}),
    "secret_headers in a form": lambda s: (
        {"secret_headers": ["canaryform"]},
        {"data": {"canaryform": s}},
    ),
    "JSON": lambda s: ({}, {"json": {"password": s}}),
    "JSON inside": lambda s: ({}, {"json": {"user": {"name": "u", "password": s}}}),
    "JSON list": lambda s: ({}, {"json": {"tokens": ["harmless-2", s]}}),
    "JSON object": lambda s: ({}, {"json": {"credentials": {"value": s}}}),
    "JSON with a quote": lambda s: ({}, {"json": {"password": f'a"{s}'}}),
    "JSON with a backslash": lambda s: ({}, {"json": {"password": f'a\\"{s}'}}),
    "secret_headers in JSON": lambda s: (
        {"secret_headers": ["canaryjson"]},
        {"json": {"canaryjson": s}},
    ),
    "multipart": lambda s: ({}, {"data": {"password": s}, "files": {"file": b"x"}}),
}
in_every_place = pytest.mark.parametrize("location", PLACES.values(), ids=PLACES)


def post(url, location, secret, path="status/200", **options):
    """POST with the secret in its place; whatever comes of it."""
    for_session, for_call = location(secret)
    with httpkit.Session(url, retry=None, **for_session) as api:
        return api.post(path, **for_call, **options)


def sent_to(sandbox):
    """Return all that the server received, as text."""
    return "\n".join(
        f"{request.path} {request.query} {dict(request.headers)} {request.body!r}"
        for request in sandbox.requests
    ).replace("\\", "")


@in_every_place
def test_a_secret_really_is_sent(sandbox, location, secret):
    post(sandbox.url, location, secret)

    alone = base64.b64encode(f"{secret}:".encode()).decode()
    assert found_in(secret, sent_to(sandbox)) or alone in sent_to(sandbox)


@in_every_place
def test_no_status_error_shows_a_secret(sandbox, location, secret):
    error = raised_by(lambda: post(sandbox.url, location, secret, "status/403"))

    assert found_in(secret, printed(error)) == []


@in_every_place
def test_no_pickled_status_error_holds_a_secret(sandbox, location, secret):
    error = raised_by(lambda: post(sandbox.url, location, secret, "status/403"))

    pickled = pickle.dumps(error)

    assert found_in(secret, pickled) == []


@in_every_place
def test_no_connection_error_shows_a_secret(nobody, location, secret):
    error = raised_by(lambda: post(nobody, location, secret))

    assert found_in(secret, printed(error)) == []


@in_every_place
def test_no_pickle_of_a_connection_error_holds_a_secret(nobody, location, secret):
    error = raised_by(lambda: post(nobody, location, secret))

    pickled = pickle.dumps(error)

    assert found_in(secret, pickled) == []


@in_every_place
def test_no_pickle_of_a_response_or_a_request_holds_a_secret(sandbox, location, secret):
    response = post(sandbox.url, location, secret)

    pickled = pickle.dumps([response.request, response])

    assert found_in(secret, pickled) == []


@in_every_place
def test_no_repr_of_a_session_and_its_parts_shows_a_secret(sandbox, location, secret):
    for_session, _ = location(secret)
    with httpkit.Session(sandbox.url, **for_session) as api:
        parts = [api, api.headers, api.cookies]
        parts += [api.auth] if isinstance(api.auth, httpkit.Strategy) else []

        shown = "\n".join(f"{part!r} {part!s} {part}" for part in parts)

    assert found_in(secret, shown) == []


@in_every_place
def test_no_repr_of_a_response_and_its_parts_shows_a_secret(sandbox, location, secret):
    response = post(sandbox.url, location, secret)
    parts = [response, response.request, response.request.headers, response.headers]

    shown = "\n".join(f"{part!r} {part!s} {part}" for part in parts)

    assert found_in(secret, shown) == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("slow?seconds=9", id="read timeout"),
        pytest.param("flaky/k?fail=9&status=drop", id="hung up"),
        pytest.param("truncated", id="truncated"),
        pytest.param("redirect?to=ftp://h/", id="bad redirect"),
        pytest.param("bytes/1000", id="too large"),
    ],
)
def test_no_other_error_of_a_call_shows_a_secret(fresh_sandbox, path, secret):
    with httpkit.Session(
        fresh_sandbox.url, params={"api_key": secret}, auth=httpkit.BearerAuth(secret), retry=None
    ) as api:
        error = raised_by(lambda: api.get(path, timeout=0.1, max_body=100))

    assert found_in(secret, printed(error)) == []
    assert found_in(secret, pickle.dumps(error)) == []


def test_a_redirect_loop_shows_no_secret(raw_server, make_response, secret):
    server = raw_server(make_response("302 Found", location=f"/?token={secret}"))
    with httpkit.Session(server.url) as api:
        error = raised_by(lambda: api.get("", params={"token": secret}))

    assert found_in(secret, printed(error)) == []
    assert found_in(secret, pickle.dumps(error)) == []


def test_a_deadline_error_shows_no_secret(fresh_sandbox, secret):
    with httpkit.Session(fresh_sandbox.url, params={"api_key": secret}, deadline=0.1) as api:
        error = raised_by(lambda: api.get("slow"))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize(
    "query",
    [
        "token=x,{}",
        "token=x){}",
        "token=x'{}",
        "token=x;{}",
        "a=1;token={}",
        "%74oken={}",
        "token={}#",
    ],
)
def test_no_connection_error_shows_a_secret_of_an_odd_query(nobody, query, secret):
    with httpkit.Session(retry=None) as api:
        error = raised_by(lambda: api.get(f"{nobody}/?{query.format(secret)}"))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize("path", ["status/200", "status/403"], ids=["success", "error"])
def test_the_userinfo_of_a_url_is_not_shown(sandbox, path, secret):
    url = sandbox.url.replace("//", f"//user:{secret}@")
    with httpkit.Session(retry=None, raise_for_status=False) as api:
        response = api.get(f"{url}/{path}")

    shown = f"{response!r} {response.request.headers!r}"
    if path == "status/403":
        shown += printed(raised_by(response.raise_for_status))
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    assert sandbox.requests[0].headers["authorization"] == f"Basic {basic}"
    assert (found_in(secret, shown), found_in(secret, pickle.dumps(response))) == ([], [])


def test_the_userinfo_of_a_dead_url_is_not_shown(nobody, secret):
    url = nobody.replace("//", f"//user:{secret}@")
    with httpkit.Session(retry=None) as api:
        error = raised_by(lambda: api.get(url))

    assert found_in(secret, printed(error)) == []
    assert found_in(secret, pickle.dumps(error)) == []


def test_the_userinfo_of_a_base_url_is_not_shown(sandbox, secret):
    url = sandbox.url.replace("//", f"//user:{secret}@")
    with httpkit.Session(url) as api:
        error = raised_by(lambda: api.get("posts/9"))

    assert found_in(secret, repr(api) + printed(error)) == []


def test_the_password_of_a_proxy_is_not_shown(nobody, secret):
    proxies = {"http": nobody.replace("//", f"//user:{secret}@")}
    with httpkit.Session(retry=None, proxies=proxies) as api:
        error = raised_by(lambda: api.get("http://api.invalid/"))

    assert found_in(secret, repr(api) + printed(error)) == []
    assert found_in(secret, pickle.dumps(error)) == []


# What the server says


ECHOES = {
    "JSON": lambda s: ("403 No", json.dumps({"message": f"bad key {s}"}), "application/json"),
    "problem": lambda s: ("403 No", json.dumps({"detail": f"{s}?"}), "application/problem+json"),
    "text": lambda s: ("403 No", f"the key {s} is unknown", "text/plain"),
    "page": lambda s: ("403 No", f"<title>no {s}</title>", "text/html"),
    "phrase": lambda s: (f"403 No {s}", "", "text/plain"),
}
HELD = {
    name: PLACES[name]
    for name in (
        "bearer token", "callable token", "basic password", "basic tuple", "call's tuple",
        "requests' basic", "key in a header", "key in an odd header", "key in the query",
        "key in a cookie", "two strategies", "session's headers", "call's Authorization",
    )
}  # fmt: skip


@pytest.mark.parametrize("location", HELD.values(), ids=HELD)
def test_a_secret_that_the_server_repeats_is_not_shown(raw_server, make_response, location, secret):
    status, body, content_type = ECHOES["JSON"](secret)
    server = raw_server(make_response(status, body.encode(), content_type=content_type))

    error = raised_by(lambda: post(server.url, location, secret))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_secret_is_not_shown_however_the_server_repeats_it(
    raw_server, make_response, echo, secret
):
    status, body, content_type = echo(secret)
    server = raw_server(make_response(status, body.encode(), content_type=content_type))

    error = raised_by(lambda: post(server.url, PLACES["basic password"], secret))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize("location", HELD.values(), ids=HELD)
def test_a_secret_in_a_request_id_is_not_shown(raw_server, make_response, location, secret):
    server = raw_server(make_response("403 No", x_request_id=f"r-{secret}"))

    error = raised_by(lambda: post(server.url, location, secret))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize(
    "location",
    [PLACES["bearer token"], PLACES["basic password"], PLACES["key in a header"]],
    ids=["bearer token", "basic password", "key in a header"],
)
def test_a_pickled_error_does_not_hold_the_secret_that_the_server_repeats(
    raw_server, make_response, location, echo, secret
):
    status, body, content_type = echo(secret)
    server = raw_server(make_response(status, body.encode(), content_type=content_type))
    error = raised_by(lambda: post(server.url, location, secret))

    pickled = pickle.dumps(error)

    assert found_in(secret, pickled) == []


def test_basic_credentials_that_the_server_repeats_are_not_shown(raw_server, make_response, secret):
    encoded = base64.b64encode(f"user:{secret}".encode()).decode()
    server = raw_server(make_response("401 No", f"what is {encoded} to me".encode()))

    error = raised_by(lambda: post(server.url, PLACES["basic password"], secret))

    assert found_in(secret, printed(error)) == []


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda response: response.json(), id="json"),
        pytest.param(lambda response: response.decode(dict), id="decode"),
    ],
)
@pytest.mark.parametrize("before", ["", "x" * 20, "x" * 33, '{"a": '], ids=len)
def test_a_decode_error_does_not_show_the_secret_that_the_server_repeats(
    raw_server, make_response, read, before, secret
):
    server = raw_server(make_response(body=f"{before}{secret}".encode()))
    response = post(server.url, PLACES["bearer token"], secret)

    error = raised_by(lambda: read(response))

    assert found_in(secret, printed(error)) == []
    assert secret[:10] not in str(error)


def test_a_model_that_quotes_what_it_refuses_does_not_show_the_secret(
    raw_server, make_response, secret
):
    class Picky:
        @classmethod
        def model_validate(cls, value):
            raise ValueError(f"id: not a number [input_value={value!r}]")

    server = raw_server(make_response(body=json.dumps({"id": secret}).encode()))
    response = post(server.url, PLACES["bearer token"], secret)

    error = raised_by(lambda: response.decode(Picky))

    assert found_in(secret, printed(error)) == []


def test_cookies_that_the_server_sets_are_not_shown(sandbox, secret):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("cookies/set", params={"sid": secret}, raise_for_status=False)
        parts = [api.cookies, response.cookies, response.headers]

    shown = [f"{part!r} {part!s}" for part in parts]

    assert response.cookies["sid"] == secret
    assert [found_in(secret, text) for text in shown] == [[], [], []]


def test_a_pickled_response_does_not_hold_the_cookies_that_it_sets(
    raw_server, make_response, secret
):
    server = raw_server(make_response(set_cookie=f"sid={secret}; Path=/"))
    with httpkit.Session(server.url) as api:
        response = api.get("")

    pickled = pickle.dumps(response)

    assert response.cookies["sid"] == secret
    assert found_in(secret, pickled) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("link", '<http://h/?page=2&api_key={}>; rel="next"'),
        ("content_location", "/posts?access_token={}"),
        ("refresh", "1; url=/?token={}"),
        ("x_api_key", "{}"),
        ("authentication_info", "token={}"),
    ],
)
def test_a_secret_in_a_header_of_the_response_is_not_shown(
    raw_server, make_response, field, value, secret
):
    server = raw_server(make_response(**{field: value.format(secret)}))
    with httpkit.Session(server.url) as api:
        response = api.get("")

    shown = repr(response.headers)

    assert found_in(secret, str(dict(response.headers)))
    assert (found_in(secret, shown), found_in(secret, pickle.dumps(response))) == ([], [])


def test_a_secret_that_a_redirect_passes_on_is_not_shown(raw_server, make_response, secret):
    server = raw_server(
        make_response("302 Found", location=f"/there?api_key={secret}", set_cookie=f"sid={secret}"),
        make_response(),
    )
    with httpkit.Session(server.url) as api:
        response = api.get("", params={"api_key": secret})

    shown = f"{response.history!r} {response.history[0].headers!r}"

    assert f"GET /there?api_key={secret} ".encode() in server.requests[1]
    assert (found_in(secret, shown), found_in(secret, pickle.dumps(response))) == ([], [])


@pytest.mark.parametrize(
    "location", ["ftp://user:{}@h/", "http://user:{}@127.0.0.1/", "ftp://h/?token={}", "http://[{}"]
)
def test_a_redirect_that_is_refused_does_not_show_its_secret(
    raw_server, make_response, location, secret
):
    server = raw_server(make_response("302 Found", location=location.format(secret)))
    with httpkit.Session(server.url) as api:
        error = raised_by(lambda: api.get("", params={"token": secret}))

    assert isinstance(error, httpkit.RedirectError)
    assert found_in(secret, printed(error)) == []


# Logs and events


def test_urllib3s_log_shows_no_secret_of_the_query(sandbox, secret, caplog):
    with caplog.at_level(logging.DEBUG), httpkit.Session(sandbox.url) as api:
        api.get("echo", params={"api_key": secret})

    assert found_in(secret, caplog.text) == []


def test_urllib3s_log_shows_no_key_of_a_strategy(sandbox, secret, caplog):
    auth = httpkit.APIKeyAuth(secret, "who", "query")
    with caplog.at_level(logging.DEBUG), httpkit.Session(sandbox.url, auth=auth) as api:
        api.get("echo")

    assert found_in(secret, caplog.text) == []


@pytest.mark.parametrize("failure", ["connection", "status"])
def test_a_retry_event_shows_no_secret(sandbox, nobody, failure, secret):
    events = []
    policy = httpkit.RetryPolicy(attempts=2, on_retry=lambda event: events.append(shown_of(event)))

    def shown_of(event):
        return f"{event!r} {event.url} {event.error} {event.error!r}"

    url = nobody if failure == "connection" else sandbox.url
    with httpkit.Session(url, params={"api_key": secret}, retry=policy) as api:
        raised_by(lambda: api.get("status/503"))

    assert [found_in(secret, shown) for shown in events] == [[]]


# Bad arguments


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(lambda s: httpkit.BearerAuth(f"{s}\r\nX: y"), id="line break in a token"),
        pytest.param(lambda s: httpkit.BearerAuth(f"{s} {s}"), id="space in a token"),
        pytest.param(lambda s: httpkit.BearerAuth(s.encode()), id="token in bytes"),
        pytest.param(lambda s: httpkit.BasicAuth("user", f"{s}\n"), id="line break in a password"),
        pytest.param(lambda s: httpkit.BasicAuth(f"user:{s}", "x"), id="colon in a user"),
        pytest.param(lambda s: httpkit.APIKeyAuth(f"{s}\n{s}"), id="line break in a key"),
        pytest.param(lambda s: httpkit.APIKeyAuth(f"{s};", "a", "cookie"), id="cookie with a ;"),
        pytest.param(
            lambda s: httpkit.Session(auth=s).get("http://127.0.0.1/"), id="auth is a str"
        ),
        pytest.param(lambda s: httpkit.Session(f"user:{s}@host/api"), id="base without scheme"),
        pytest.param(lambda s: httpkit.Session(f"//user:{s}@host/api"), id="base without http"),
        pytest.param(lambda s: httpkit.Session(f"https://user:{s}@[host/"), id="base, bad host"),
        pytest.param(lambda s: httpkit.Session(f"https://user:{s}@h:x/"), id="base, bad port"),
        pytest.param(lambda s: httpkit.Session(f"https://h/?token={s}"), id="base with a query"),
        pytest.param(
            lambda s: httpkit.Session(f"https://user:{s}@h/".encode()), id="base in bytes"
        ),
        pytest.param(
            lambda s: httpkit.Session(trusted_origins=[f"user:{s}@host"]), id="trusted origin"
        ),
        pytest.param(lambda s: httpkit.Session().get(f"user:{s}@host/x"), id="URL without scheme"),
        pytest.param(lambda s: httpkit.Session().get(f"/x?api_key={s}"), id="URL without base"),
        pytest.param(lambda s: httpkit.Session().get(f"ftp://user:{s}@h/?token={s}"), id="ftp"),
        pytest.param(lambda s: httpkit.Session().get(f"ftp://user:p@{s}@h/"), id="@ in a password"),
        pytest.param(lambda s: httpkit.Session().get(f"http://user:{s}@[h/"), id="bad host"),
        pytest.param(
            lambda s: httpkit.Session().get(f"http://user:{s}@h:99999999/"), id="bad port"
        ),
        pytest.param(lambda s: httpkit.Session().get(f"http://?token={s}"), id="no host"),
        pytest.param(
            lambda s: httpkit.Session("http://127.0.0.1").get(f"//u:{s}@h"), id="other host"
        ),
        pytest.param(
            lambda s: httpkit.Session("http://127.0.0.1").get(f"../x?token={s}"), id="climbs"
        ),
        pytest.param(
            lambda s: httpkit.Session("http://127.0.0.1").get(f"{{id}}?token={s}"),
            id="no path value",
        ),
        pytest.param(
            lambda s: httpkit.Session().prepare_request(requests.Request("GET", f"/x?token={s}")),
            id="prepare_request",
        ),
        pytest.param(
            lambda s: httpkit.Session().get("http://127.0.0.1/", headers={"X-Key": f"{s}\n"}),
            id="line break in a header",
        ),
        pytest.param(
            lambda s: httpkit.Session(headers={"X-Key": f" {s}"}).get("http://127.0.0.1/"),
            id="space before a header",
        ),
        pytest.param(
            lambda s: httpkit.Session(auth=httpkit.BearerAuth(s)).get("http://h.invalid/"),
            id="plain http",
        ),
        pytest.param(
            lambda s: httpkit.Session(auth=httpkit.BearerAuth(lambda: f"{s}\n{s}")).get(
                "http://127.0.0.1/"
            ),
            id="callable token with a line break",
        ),
    ],
)
def test_a_mistake_is_explained_without_its_secret(mistake, secret):
    error = raised_by(lambda: mistake(secret))

    assert found_in(secret, printed(error)) == []


# Reprs


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param(httpkit.BearerAuth, id="bearer"),
        pytest.param(lambda s: httpkit.BearerAuth(lambda: s), id="callable"),
        pytest.param(lambda s: httpkit.BasicAuth("user", s), id="basic"),
        pytest.param(httpkit.BasicAuth, id="basic without password"),
        pytest.param(httpkit.APIKeyAuth, id="key"),
        pytest.param(lambda s: httpkit.BearerAuth(s) & httpkit.APIKeyAuth(s), id="both"),
        pytest.param(lambda s: httpkit.BearerAuth(s) & ("user", s), id="with a tuple"),
    ],
)
def test_no_strategy_shows_what_it_holds(auth, secret):
    strategy = auth(secret)

    shown = f"{strategy!r} {strategy!s} {strategy} {[strategy]}"

    assert found_in(secret, shown) == []


def test_a_strategy_from_the_environment_shows_and_pickles_the_variables_name(monkeypatch, secret):
    monkeypatch.setenv("CANARY_TOKEN", secret)
    auth = httpkit.BearerAuth.from_env("CANARY_TOKEN")

    shown = repr(auth)

    assert shown == "BearerAuth($CANARY_TOKEN)"
    assert found_in(secret, pickle.dumps(auth)) == []


def test_a_session_from_the_environment_pickles_without_the_token(monkeypatch, secret):
    monkeypatch.setenv("CANARY_TOKEN", secret)
    with httpkit.Session(auth=httpkit.BearerAuth.from_env("CANARY_TOKEN")) as api:
        pickled = pickle.dumps(api)

    assert found_in(secret, pickled) == []


def test_headers_stay_masked_in_clones_and_copies(secret):
    with httpkit.Session(headers={"X-API-Key": secret}) as api:
        shown = f"{api.with_options(timeout=1).headers!r} {api.headers.copy()!r}"

    assert found_in(secret, shown) == []


def test_cookies_stay_masked_in_clones_and_copies(secret):
    with httpkit.Session(cookies={"sid": secret}) as api:
        shown = f"{api.with_options(timeout=1).cookies!r} {api.cookies.copy()!r}"

    assert found_in(secret, shown) == []


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "authorization", "Proxy-Authorization", "Cookie", "Set-Cookie",
        "X-Auth-Token", "PRIVATE-TOKEN", "X-Secret", "X-Password", "X-Passwd", "X-API-Key",
        "apikey", "api_key", "X-Credential", "X-Amz-Signature",
    ],
)  # fmt: skip
def test_headers_of_secret_names_show_the_name_only(name, secret):
    with httpkit.Session(headers={name: secret, "Accept": "text/plain"}) as api:
        shown = repr(api.headers)

    assert found_in(secret, shown) == []
    assert (name in shown, "'Accept': 'text/plain'" in shown) == (True, True)


def test_headers_of_harmless_names_are_shown():
    with httpkit.Session(headers={"If-Match": "v7", "X-Request-Id": "r-1"}) as api:
        shown = repr(api.headers)

    assert ("v7" in shown, "r-1" in shown) == (True, True)


@pytest.mark.parametrize(
    "name",
    [
        "Ocp-Apim-Subscription-Key", "X-Auth-Key", "CB-ACCESS-SIGN", "DD-APPLICATION-KEY",
        "X-Vault", "Authentication", "X-Shopify-Access", "X-Sid", "AccountKey", "X-Who",
    ],
)  # fmt: skip
def test_headers_of_unknown_names_show_the_name_only(name, secret):
    with httpkit.Session(headers={name: secret}) as api:
        shown = repr(api.headers)

    assert found_in(secret, shown) == []
    assert name in shown


def test_a_hidden_header_still_has_its_value(secret):
    with httpkit.Session(headers={"X-API-Key": secret}) as api:
        value = api.headers["x-api-key"]

    assert value == secret


def test_a_response_from_a_pickle_still_has_what_is_no_secret(sandbox, secret):
    auth = httpkit.BearerAuth(secret)
    with httpkit.Session(sandbox.url, auth=auth) as api:
        response = api.get("posts/1", params={"token": secret, "page": "2"})

    twin = pickle.loads(pickle.dumps(response))

    assert (twin.json(), twin.url) == (response.json(), f"{sandbox.url}/posts/1?token=***&page=2")
    assert (twin.request.method, twin.request.headers["Accept"]) == ("GET", "*/*")
    assert twin.headers["Content-Type"] == "application/json"


# Text and URLs


@pytest.mark.parametrize(
    "prose",
    [
        "password: must be at least 8 characters",
        "password: This field is required.",
        "body.token: field required",
        "invalid token",
        "the token has expired",
        "api key is missing",
        "api_key: required",
        "secret not found",
        "missing credentials",
        "signature mismatch",
        "Unexpected token '<' at position 0",
        "basic authentication is not enabled",
        "token authentication requires a header",
        "password_confirmation: doesn't match",
        "no user with id 12345678",
        "code: 404",
        '{"code": 404, "key": "name"}',
        '{"token": null}',
        "GET https://h/users/9?page=2&sort=name",
        "see https://docs.example.com/errors#token-expired",
    ],
)
def test_words_about_secrets_stay_readable(prose):
    assert redaction.redact_text(prose) == prose


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "authorization: Token {}",
        "{{'Authorization': 'Basic {}'}}",
        "Cookie: a=1; sid={}",
        "Set-Cookie: sid={}; Path=/",
        "sent Bearer {} to the server",
        '{{"password": "{}"}}',
        '{{"password":"{}"}}',
        '{{"password" : "x\\"{}"}}',
        "{{'api_key': '{}'}}",
        '{{"token": ["{}"]}}',
        '{{"access_token": "{}", "id": 1}}',
        '{{"token": "{}',
        "password={}",
        "PRODUCTION_ENVIRONMENT_SERVICE_ACCOUNT_API_TOKEN={}",
        '{{"production_environment_service_account_api_token_of_the_day": "{}"}}',
        'password="{}"',
        "password='{}'",
        "a=1&password={}&b=2",
        "user%5Bpassword%5D={}",
        "user[password]={}",
        "token=x,{}",
        "https://user:{}@h/x",
        "https://user:p@{}@h/x",
        "https://h/x?key={}",
        "https://h/x?a=1&sig={}",
        "https://h/cb?code={}&state=1",
        "https://h/cb#access_token={}",
        "token: {}",
        "X-API-Key: {}",
    ],
)
def test_secrets_in_a_text_are_masked(text, secret):
    shown = redaction.redact_text(text.format(secret))

    assert found_in(secret, shown) == []
    assert redaction.MASK in shown or "//h/" in shown


def test_a_masked_text_keeps_what_is_around_the_secret(secret):
    shown = redaction.redact_text(
        f"GET https://h/x?page=2&token={secret}&sort=name failed: no user 7"
    )

    assert shown == "GET https://h/x?page=2&token=***&sort=name failed: no user 7"


SPELLINGS = {
    "as it is": str,
    "percent-encoded": lambda value: quote(value, safe=""),
    "percent-encoded in lower case": lambda value: _lowered(quote(value, safe="")),
    "percent-encoded but for slashes": quote,
    "percent-encoded in part": lambda value: quote(value, safe="+ ").replace("%2F", "%2f"),
    "in a form": quote_plus,
    "in JSON": lambda value: json.dumps(value)[1:-1],
    "in JSON, as PHP has it": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "in JSON, as Go has it": lambda value: value.replace('"', '\\"').replace("&", "\\u0026"),
    "in HTML": html.escape,
}


def _lowered(text):
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_remembered_value_is_masked_in_every_encoding(spell):
    value = 'p/ss w+rd%ü-1&"~'
    redaction.remember(value)

    spelled = spell(value)

    assert redaction.redact_values(f"a {spelled} b") == "a *** b"
    assert redaction.redact_bytes(f"a {spelled} b".encode()) == b"a *** b"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"u", b"me", b"x-access-token:", b"{'t': '"])
@pytest.mark.parametrize("after", [b"", b"'", b"'}", b"'}}"])
def test_a_remembered_value_is_masked_in_base64_whatever_is_around_it(encode, before, after):
    value = "ghs?>~?16C7e42F292c6912E7710c838347Ae178B4a"
    redaction.remember(value)

    shown = redaction.redact_values(encode(before + value.encode() + after).decode())

    head, mask, tail = shown.partition(redaction.MASK)
    assert mask
    assert len(head) <= (len(before) * 8 + 5) // 6
    assert len(tail.rstrip("=")) <= (len(after) * 8 + 5) // 6 + 1


def test_what_is_deep_within_a_document_is_masked_whatever_it_is():
    shown = redaction.redact_json("[" * 600 + '{"token": "4711"}' + "]" * 600)

    assert "4711" not in shown
    assert shown.startswith("[" * 50)


def test_a_value_within_another_leaves_nothing_of_it():
    redaction.remember("inner-4711", "outer-inner-4711-outer")

    assert redaction.redact_values("a outer-inner-4711-outer b inner-4711") == "a *** b ***"
    assert redaction.redact_bytes(b"a outer-inner-4711-outer b inner-4711") == b"a *** b ***"


@pytest.fixture
def _nothing_forgotten():
    before = redaction._values.copy()
    yield
    redaction._values.clear()
    redaction._values.update(before)


@pytest.mark.usefixtures("_nothing_forgotten")
def test_a_process_that_rotates_tokens_forgets_those_that_were_not_used_for_long():
    for number in range(5000):
        redaction.remember(f"token-{number}", "kept-token")

    assert len(redaction._values) <= 1024
    assert redaction.redact_values("kept-token token-4999 token-0") == "*** *** token-0"


@pytest.mark.usefixtures("_nothing_forgotten")
def test_a_token_in_use_is_masked_after_many_others_displaced_it():
    redaction.remember("used-token")
    redaction.remember("used-token")
    for number in range(2000):
        redaction.remember(f"token-{number}")
    displaced = redaction.redact_values("used-token")

    redaction.remember("used-token")

    assert displaced == "used-token"
    assert redaction.redact_values("used-token") == "***"


@pytest.mark.usefixtures("_nothing_forgotten")
def test_the_last_token_is_masked_after_all_were_forgotten():
    redaction.remember("used-token")
    redaction._values.clear()

    redaction.remember("used-token")

    assert redaction.redact_values("used-token") == "***"


def test_a_token_that_a_server_repeats_in_base64_is_masked(raw_server, make_response):
    token = "tok/en+5eb63bbbe01eeed093cb22bb8f5acdc3"
    output = base64.b64encode(f"x:{token}".encode())
    server = raw_server(make_response("401 No", b"who is " + output))
    with httpkit.Session(server.url, auth=httpkit.BearerAuth(token)) as api:
        error = raised_by(lambda: api.get("x"))

    assert "who is " in str(error)
    assert output.decode()[4:40] not in str(error)


def test_the_words_around_a_credential_are_not_taken_for_one(raw_server, make_response, secret):
    caught_error = make_response(
        "401 Unauthorized", b"your session ended: send a Bearer or Digest credential"
    )
    server = raw_server(caught_error)
    headers = {"Authorization": f"Bearer {secret}", "Cookie": f"session={secret}; theme=credential"}
    with httpkit.Session(server.url, headers=headers, auth=httpkit.NO_AUTH) as api:
        raised_by(lambda: api.get(""))
        error = raised_by(lambda: api.get(""))

    assert error.detail == "your session ended: send a Bearer or Digest credential"


def test_a_plain_word_in_a_secret_header_stays_readable_elsewhere(sandbox):
    with httpkit.Session(sandbox.url, headers={"X-Token-Type": "quotidian"}) as api:
        raised_by(lambda: api.get("nothing-here"))
        error = raised_by(lambda: api.get("quotidian/9"))

    assert f"GET {sandbox.url}/quotidian/9" in str(error)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_of_a_request_can_still_be_sent(sandbox, copied, secret):
    with httpkit.Session(sandbox.url) as api:
        request = requests.Request("GET", "echo", headers={"X-API-Key": secret})
        api.send(copied(api.prepare_request(request)))

    assert sandbox.requests[0].headers["x-api-key"] == secret


def test_names_added_by_secret_headers_are_hidden_without_regard_to_case(secret):
    headers = {"x-canary-case": secret}
    with httpkit.Session(headers=headers, secret_headers=["X-Canary-CASE"]) as api:
        shown = repr(api.headers)

    assert found_in(secret, shown) == []


@pytest.mark.parametrize(
    ("unit", "times"), [("a.", 2000), ("token", 5000), ("a=&", 9000)], ids=["dots", "names", "form"]
)
def test_a_long_request_body_pickles_in_reasonable_time(unit, times):
    body = unit * times
    with httpkit.Session() as api:
        request = api.prepare_request(requests.Request("POST", "http://127.0.0.1/", data=body))
    began = time.process_time()

    pickle.dumps(request)

    assert time.process_time() - began < 2  # a search that backtracks takes minutes


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/x?page=2&token=S", "https://h/x?page=2&token=***"),
        ("https://h/x?token=S&token=S", "https://h/x?token=***&token=***"),
        ("https://h/x?token=", "https://h/x?token="),
        ("https://h/x?token", "https://h/x?token"),
        ("https://h/x?%74oken=S", "https://h/x?%74oken=***"),
        ("https://h/x?user%5Bpassword%5D=S", "https://h/x?user%5Bpassword%5D=***"),
        ("https://h/x?token=a;S", "https://h/x?token=***"),
        ("https://h/x?token=a;b=S&page=2", "https://h/x?token=***&page=2"),
        ("https://h/x?token=a=S", "https://h/x?token=***"),
        ("https://h/x?token=a?S", "https://h/x?token=***"),
        ("https://h/x?key=S&sig=S&code=S", "https://h/x?key=***&sig=***&code=***"),
        ("https://h/x?keys=a&monkey=b&zipcode=c", "https://h/x?keys=a&monkey=b&zipcode=c"),
        ("https://user:S@h:8443/x", "https://h:8443/x"),
        ("https://S@h/x", "https://h/x"),
        ("https://user:p@S@h/x", "https://h/x"),
        ("https://h/cb#access_token=S&state=1", "https://h/cb#access_token=***&state=1"),
        ("https://h/x#section-2", "https://h/x#section-2"),
        ("/x?token=S", "/x?token=***"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_its_secrets_and_otherwise_as_it_is(url, shown):
    assert redaction.redact_url(url) == shown


@pytest.mark.parametrize(
    "url", ["https://user:{}@[h/x", "https://[h/x?token={}", "https://h\u2100/?token={}"]
)
def test_a_url_that_cannot_be_parsed_is_shown_without_its_secrets(url, secret):
    assert found_in(secret, redaction.redact_url(url.format(secret))) == []


# Properties

_NAMES = st.sampled_from(
    [
        "token", "access_token", "refresh-token", "X-Token", "secret", "client_secret", "password",
        "passwd", "user[password]", "api_key", "apikey", "API-Key", "credential", "signature",
        "X-Amz-Signature", "key", "sig", "code", "KEY", "%74oken", "pass%77ord",
    ]
)  # fmt: skip
_VALUES = st.text(alphabet="abcXYZ019-_.~%/:@,;'\"()!*+= é", max_size=12)
_WORDS = st.text(alphabet="abc019-._~", max_size=6)
_CANARY = "cAnArY"
quietly = settings(deadline=None, database=None, max_examples=150)


@quietly
@given(
    name=_NAMES,
    before=_VALUES,
    after=_VALUES,
    others=st.lists(_WORDS, max_size=3),
    location=st.data(),
)
def test_no_url_shows_the_value_of_a_secret_parameter(name, before, after, others, location):
    value = quote(before, safe=":@/,;'()!*") + _CANARY + quote(after, safe=":@/,;'()!*")
    pairs = [f"{word}={word}" for word in others]
    pairs.insert(location.draw(st.integers(0, len(pairs))), f"{name}={value}")

    shown = redaction.redact_url(f"https://h:8443/{'/'.join(others)}?{'&'.join(pairs)}")

    assert _CANARY not in shown
    assert urlsplit(shown).netloc == "h:8443"


@quietly
@given(
    user=_WORDS,
    before=_VALUES,
    after=_VALUES,
    scheme=st.sampled_from(["http", "https", "ftp", "x"]),
)
def test_no_url_shows_its_userinfo(user, before, after, scheme):
    password = quote(before, safe=":,;'()!*@") + _CANARY + quote(after, safe=":,;'()!*@")

    shown = redaction.redact_url(f"{scheme}://{user}:{password}@h/x")

    assert shown == f"{scheme}://h/x"


@quietly
@given(name=st.sampled_from(["access_token", "id_token", "code"]), word=_WORDS)
def test_no_url_shows_a_secret_in_its_fragment(name, word):
    shown = redaction.redact_url(f"https://h/cb#state={word}&{name}={_CANARY}")

    assert _CANARY not in shown


@quietly
@given(st.lists(st.tuples(_WORDS.filter(bool), _WORDS), max_size=4))
def test_a_url_without_secrets_is_shown_as_it_is(pairs):
    url = "https://h/x" + ("?" if pairs else "") + "&".join(f"q{k}={v}" for k, v in pairs)

    assert redaction.redact_url(url) == url


@quietly
@given(st.text() | st.text(alphabet="htps:/?#[]@&=%;token. \n\x00", max_size=40))
def test_redacting_never_raises_and_is_settled_at_once(text):
    url, prose = redaction.redact_url(text), redaction.redact_text(text)

    assert (redaction.redact_url(url), redaction.redact_text(prose)) == (url, prose)


@quietly
@given(
    st.dictionaries(st.text(max_size=10), st.text(max_size=10) | st.binary(max_size=10), max_size=4)
)
def test_redacting_headers_keeps_every_name(headers):
    assert list(redaction.redact_headers(headers)) == list(headers)


def test_a_jar_of_the_callers_own_still_sends_its_cookies(sandbox, secret):
    jar = RequestsCookieJar()
    jar.set("sid", secret)
    with httpkit.Session(sandbox.url) as api:
        api.cookies = jar
        api.get("echo")

    assert sandbox.requests[0].headers["cookie"] == f"sid={secret}"


# One credential and the name of another

HELD_WORDS = [
    "password", "passwd", "api_key", "X-API-Key", "Bearer", "token=", "password=", "Authorization",
    "Authorization: ", "Cookie", "client_secret", "my_password", "access_token", "signature",
    '"password": "', "http://", "https://", "127.0.0.1", "h.example", "application/json", "/x?",
    "?api_key=", "&password=", "://user:", "hunter", "ter2-99", "123456", "user",
]  # fmt: skip
OTHER_SECRETS = [
    "password={}",
    "my_password={} and more",
    "a=1&password={}&b=2",
    "client_secret={}",
    '{{"password": "{}", "a": 1}}',
    "{{'api_key': '{}'}}",
    '{{"data": {{"my_password": "{}"}}}}',
    "Authorization: Bearer {}",
    "sent Bearer {} to the server",
    "Cookie: user=1; sid={}\r\nAccept: application/json",
    "HTTP/1.1 200 OK\r\nX-API-Key: {}\r\nAccept: application/json\r\n\r\nbody",
    "one line\nmy_password={}\nanother",
    "http://user:{}@h.example/x?api_key=1",
    "https://h.example/x?api_key={}&page=2",
    "https://h.example/cb#access_token={}",
    "<error>password={}</error>",
    "password: {}",
]


@pytest.mark.parametrize("held", HELD_WORDS)
@pytest.mark.parametrize("text", OTHER_SECRETS)
def test_a_remembered_value_unmasks_no_other(held, text):
    httpkit.BasicAuth("admin", held)(_request())

    shown = redaction.redact_text(text.format("hunter2-99"))

    assert ("hunter2" in shown, "99" in shown) == (False, False)


def _request():
    prepared = requests.PreparedRequest()
    prepared.prepare("GET", "http://127.0.0.1/")
    return prepared


@pytest.mark.parametrize("held", HELD_WORDS)
def test_a_remembered_value_unmasks_nothing_in_a_url_a_form_json_or_headers(held):
    redaction.remember(held)
    texts = [
        redaction.redact_url("https://user:hunter2-99@h.example/x?api_key=hunter2-99&page=2"),
        redaction.redact_query("a=1&my_password=hunter2-99&client_secret=hunter2-99"),
        redaction.redact_json('{"my_password": "hunter2-99", "a": [{"api_key": "hunter2-99"}]}'),
        str(redaction.redact_headers({"X-API-Key": "hunter2-99", "Authorization": b"hunter2-99"})),
        str(redaction.redact_document({"my_password": "hunter2-99", "a": ["password=hunter2-99"]})),
        str(redaction.redact_body("password=hunter2-99", "application/x-www-form-urlencoded")),
        str(redaction.redact_body(b"my_password=hunter2-99", "text/plain")),
    ]

    assert [text for text in texts if "99" in text] == []


@pytest.mark.parametrize("held", HELD_WORDS)
def test_a_remembered_value_does_not_break_the_structure_of_a_url(held):
    redaction.remember(held)

    parts = urlsplit(redaction.redact_url("https://api.h.example:8080/v1/items?page=2"))

    assert (parts.scheme, parts.netloc, parts.path) == (
        "https",
        "api.h.example:8080",
        "/v1/items",
    )


@pytest.mark.parametrize(
    "held",
    ["password", "token", "api_key", "Bearer", "key=", "http", "/", "application/json", "123", "x"],
)
def test_a_value_that_is_a_common_word_of_http_leaves_messages_readable(held):
    redaction.remember(held)
    message = (
        "401 Unauthorized for GET http://127.0.0.1:80/token?page=123: the password or the api_key"
        " of the Bearer token is wrong (application/json)"
    )

    assert redaction.redact_text(message) == message


@pytest.mark.parametrize("held", ["127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:8080"])
@pytest.mark.parametrize(
    "message",
    ["404 for GET http://127.0.0.1:8080/x", "Pool(host='127.0.0.1', port=8080): refused"],
)
def test_a_value_that_is_a_host_leaves_the_host_of_a_request_readable(held, message):
    redaction.remember(held)

    assert redaction.redact_text(message) == message


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["abcdefgh", "efghijkl"], "abcdefghijkl"),
        (["abcabc"], "abcabcabc"),
        (["inner-1", "outer-inner-1-outer"], "outer-inner-1-outer"),
        (["aaaaaa-b", "b-cccccc", "cccccc"], "aaaaaa-b-cccccc"),
    ],
)
def test_of_values_that_overlap_nothing_is_left(values, text):
    redaction.remember(*values)

    assert redaction.redact_text(f"a {text} z") == "a *** z"


@pytest.mark.parametrize(
    "value", ["p&ss=w:rd-1", "x;token=4711", "a password=4711", "u:p@4711/x", "key=4711&sig=1"]
)
def test_a_value_that_looks_like_a_name_with_another_is_masked_whole(value):
    redaction.remember(value)

    assert redaction.redact_text(f"wrong {value} here") == "wrong *** here"
    assert redaction.redact_url(f"https://h/x?q={value}").startswith("https://h/x?q=***")


@pytest.mark.parametrize("held", ["my_password", "12345678", "4567"])
def test_a_pickled_response_has_the_json_that_it_had_but_for_the_secrets(
    raw_server, make_response, held
):
    body = {"my_password": "hunter2", "id": 912345678, "n": 12345678, "on": True}
    server = raw_server(
        make_response(body=json.dumps(body).encode(), content_type="application/json")
    )
    with httpkit.Session(server.url, auth=httpkit.BearerAuth(held)) as api:
        twin = pickle.loads(pickle.dumps(api.get("")))

    assert "hunter2" not in twin.text or held != "my_password"
    assert (held in twin.text, twin.json()["on"]) == (held == "4567", True)


@pytest.mark.parametrize("channel", ["str", "repr", "notes", "pickle", "card", "curl", "log"])
@pytest.mark.parametrize("held", ["password", "my_password", "api_key", "user_token"])
def test_no_output_of_another_session_is_unmasked(raw_server, make_response, caplog, channel, held):
    httpkit.BasicAuth("admin", held)(_request())
    output = make_response(
        "403 my_password=hunter2-99", b"user_token=hunter2-99 my_password=hunter2-99"
    )
    server = raw_server(output)
    options = {  # apart from the call, whose lines a traceback shows
        "params": {"api_key": "hunter2-99"},
        "headers": {"X-User_Token": "hunter2-99", "Cookie": "user_token=hunter2-99"},
        "data": {"my_password": "hunter2-99", "user_token": "hunter2-99"},
    }
    with httpkit.Session(server.url, retry=None) as api, caplog.at_level(logging.DEBUG):
        error = raised_by(lambda: api.post("", **options))

    twin = pickle.loads(pickle.dumps(error))
    outputs = {
        "str": str(error),
        "repr": f"{error!r} {error.response!r} {error.response.headers!r} {error.detail}",
        "notes": printed(error),
        "pickle": f"{twin} {vars(twin.response.request)} {twin.response!r} {twin.response.headers}",
        "card": error._repr_html_(),
        "curl": error.to_curl(),
        "log": caplog.text,
    }
    assert "hunter2" not in outputs[channel]


# A text that is cut short


LONG = "".join(f"{n:x}" for n in range(30_000))[:60_000]


@pytest.mark.parametrize("length", [12, 50, 5000, 60_000])
@pytest.mark.parametrize("before", [0, 1, 30, 33, 90])
def test_a_value_that_the_end_of_an_excerpt_cuts_is_masked(length, before):
    secret = LONG[:length]
    redaction.remember(secret)

    start = redaction.redact_start("-" * before + secret + " and more", 40)

    assert secret[:8] not in start
    assert len(start) <= 40 + len(redaction.MASK)


def test_an_excerpt_that_cuts_no_value_stays_as_it_is():
    redaction.remember("unrelated-secret-value")

    assert redaction.redact_start("unrelated words and so on", 15) == "unrelated words"
    assert redaction.redact_start("ends in unrelated-s", 100) == "ends in unrelated-s"


# ---- values that a text cuts, or spells twice

HARD_VALUE = 'Pä"ßw\\ö9€rd-a+b/c=d&e<f>g%h#i?j'
SPELLINGS = {
    "plain": HARD_VALUE,
    "percent-encoded": quote(HARD_VALUE, safe=""),
    "percent-encoded twice": quote(quote(HARD_VALUE, safe=""), safe=""),
    "JSON": json.dumps(HARD_VALUE)[1:-1],
    "HTML": html.escape(HARD_VALUE),
    "Base64": base64.b64encode(f"me:{HARD_VALUE}".encode()).decode(),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_a_value_is_hidden_however_it_is_spelled_and_wherever_it_is_cut(spelled):
    redaction.remember(HARD_VALUE)

    whole = redaction.redact_text(f"bad {spelled}!")
    cuts = [redaction.redact_start(f"bad {spelled}!", 4 + n) for n in range(60, len(spelled) + 1)]

    # In Base64, what stands before the value among the same bytes is shown.
    assert re.fullmatch(r"bad [\w+/]{0,4}\*\*\*[\w+/=]{0,2}!", whole)
    assert [
        cut for cut in cuts if not re.fullmatch(r"bad [\w+/]{0,4}\*\*\*[\w+/=]{0,2}", cut)
    ] == []


@pytest.mark.parametrize("name", ["client_secret", "client-id", "code_verifier", "device_code"])
def test_a_value_that_is_a_word_of_oauth_does_not_hide_the_word(name):
    httpkit.APIKeyAuth(name)

    assert redaction.redact_text(f"invalid {name} given") == f"invalid {name} given"


@pytest.mark.parametrize(
    "token",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0TH",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-123456789012-1234567890123-abcdefghijklmnop",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "glpat-ABCDEFGHIJKLMNOPQRST",
    ],
)
def test_a_token_of_a_known_shape_is_hidden_without_a_name(token):
    assert redaction.redact_text(f"the key {token} has expired") == "the key *** has expired"


def test_words_that_look_like_the_beginning_of_a_token_are_shown():
    text = "eyJ is how a token begins; gh_pages, xox-files and risk_live_events are names"

    assert redaction.redact_text(text) == text


def test_an_input_field_of_a_page_hides_its_value():
    page = '<input type="hidden" name="csrf_token" value="aB3dE5"> <input name="q" value="shoes">'

    shown = redaction.redact_text(page)

    assert shown == page.replace("aB3dE5", "***")


def test_values_of_single_requests_displace_no_credential_of_a_session():
    redaction.remember("s3cret-of-the-session")
    for number in range(3000):
        redaction.remember_passing([f"signature-{number}-of-a-url"])

    text = "s3cret-of-the-session signature-7-of-a-url signature-2999-of-a-url"
    assert redaction.redact_text(text) == "*** signature-7-of-a-url ***"
    assert len(redaction._passing) <= 128
