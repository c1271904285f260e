"""Whose eyes a credential is for: bound to an origin, judged by what each server received."""

from base64 import b64encode
from contextlib import suppress
from urllib.parse import quote, urlsplit

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPDigestAuth

import httpkit
from httpkit import APIKeyAuth, BearerAuth

# One canary for each place where a session can keep a credential.
CANARIES = {
    "auth": "c4n4ry-auth",
    "header": "c4n4ry-header",
    "param": "c4n4ry-param",
    "cookie": "c4n4ry-cookie",
}
EVERYTHING = set(CANARIES)
OWN = {
    "auth": BearerAuth(CANARIES["auth"]),
    "headers": {"X-Tenant": CANARIES["header"]},
    "params": {"tenant": CANARIES["param"]},
    "cookies": {"sid": CANARIES["cookie"]},
}


def canaries(observed):
    """Name the credentials that a request carried, wherever in it."""
    whole = str((observed.path, observed.query, dict(observed.headers), observed.body))
    return {name for name, value in CANARIES.items() if value in whole or basic(value) in whole}


def basic(password):
    """Spell what the pair ("ada", password) becomes in an Authorization field."""
    return b64encode(f"ada:{password}".encode()).decode()


def is_in(request, secret):
    """Say whether a prepared request carries a secret, as it is or as a password."""
    whole = str((request.url, dict(request.headers)))
    return secret in whole or basic(secret) in whole


def at(url, sandbox):
    """Return what one of the sandbox's origins received."""
    return [request for request in sandbox.requests if url.endswith(f":{request.port}")]


def leading_to(url, status=302):
    return f"/redirect?status={status}&to={quote(url, safe='')}"


@pytest.fixture
def api(sandbox):
    """A session of the sandbox's first origin, full of credentials."""
    with httpkit.Session(sandbox.url, **OWN, raise_for_status=False) as session:
        yield session


# At home


@pytest.mark.parametrize("form", ["{path}", "{url}{path}", "HTTP{rest}{path}"])
def test_the_origin_of_the_base_url_sees_every_credential(sandbox, api, form):
    url = form.format(path="/echo", url=sandbox.url, rest=sandbox.url.removeprefix("http"))

    api.get(url)

    assert canaries(sandbox.requests[0]) == EVERYTHING


def test_every_same_origin_attempt_sends_every_credential(sandbox, api):
    api.get("flaky/a?fail=2")

    assert [canaries(observed) for observed in sandbox.attempts("a")] == [EVERYTHING] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_same_origin_redirect_keeps_headers_cookies_and_auth(sandbox, api, status):
    api.get(leading_to("/echo", status))

    assert canaries(sandbox.requests[1]) == EVERYTHING - {"param"}


def test_the_parameters_of_a_redirect_are_its_own(sandbox, api):
    api.get(leading_to("/echo?page=2"))

    assert sandbox.requests[1].query == {"page": ["2"]}


def test_a_key_in_the_query_is_signed_again_after_a_same_origin_redirect(sandbox):
    with httpkit.Session(sandbox.url, auth=APIKeyAuth("k-1", "api_key", "query")) as api:
        api.get(leading_to("/echo"))

    assert sandbox.requests[1].query == {"api_key": ["k-1"]}


# Elsewhere


def redirected(status):
    return lambda api, origin, url: api.get(origin + leading_to(f"{url}/echo", status))


# Each gets a session, where to start ("" for the base URL), and the origin to end at.
WAYS_AWAY = {
    "absolute": lambda api, _, url: api.get(f"{url}/echo"),
    "absolute post": lambda api, _, url: api.post(f"{url}/echo", json={}),
    "absolute, prepared": lambda api, _, url: api.send(
        api.prepare_request(requests.Request("GET", f"{url}/echo"))
    ),
    "absolute, prepared by requests": lambda api, _, url: api.send(
        requests.Request("GET", f"{url}/echo").prepare()
    ),
    "absolute, prepared by requests, redirected there": lambda api, _, url: api.send(
        requests.Request("GET", url + leading_to("/echo")).prepare()
    ),
    "absolute, redirected there": lambda api, _, url: api.get(url + leading_to("/echo")),
    "absolute, retried there": lambda api, _, url: api.get(f"{url}/flaky/a?fail=2"),
    "absolute, refused there": lambda api, _, url: api.get(f"{url}/bearer"),
    "absolute, clone": lambda api, _, url: api.with_options(timeout=9).get(f"{url}/echo"),
    **{f"redirect {status}": redirected(status) for status in (301, 302, 303, 307, 308)},
    "redirect of head": lambda api, origin, url: api.head(
        origin + leading_to(f"{url}/echo"), allow_redirects=True
    ),
    "redirect of post": lambda api, origin, url: api.post(
        origin + leading_to(f"{url}/echo"), json={}
    ),
    "redirect without a scheme": lambda api, origin, url: api.get(
        origin + leading_to(url.removeprefix("http:") + "/echo")
    ),
    "redirect of a stream": lambda api, origin, url: api.get(
        origin + leading_to(f"{url}/echo"), stream=True
    ).close(),
    "redirect of a redirect": lambda api, origin, url: api.get(
        origin + leading_to(leading_to(f"{url}/echo"))
    ),
    "redirect, redirected there": lambda api, origin, url: api.get(
        origin + leading_to(url + leading_to("/echo"))
    ),
    "redirect, retried there": lambda api, origin, url: api.get(
        origin + leading_to(f"{url}/flaky/a?fail=2")
    ),
    "redirect, refused there": lambda api, origin, url: api.get(
        origin + leading_to(f"{url}/bearer")
    ),
    "redirect, cookies there": lambda api, origin, url: api.get(
        origin + leading_to(f"{url}/redirect?to=/cookies/set%3Fa=b")
    ),
    "redirect, next": lambda api, origin, url: api.send(
        api.get(origin + leading_to(f"{url}/echo"), allow_redirects=False).next
    ),
}
REDIRECTS_AWAY = {name: go for name, go in WAYS_AWAY.items() if name.startswith("redirect")}


@pytest.mark.parametrize("go", WAYS_AWAY.values(), ids=WAYS_AWAY)
def test_another_origin_sees_no_credential_of_the_session(sandbox, api, go):
    go(api, "", sandbox.other_url)

    carried = [canaries(observed) for observed in at(sandbox.other_url, sandbox)]
    assert carried
    assert carried == [set()] * len(carried)


@pytest.mark.parametrize(
    "auth",
    [BearerAuth(CANARIES["auth"]), APIKeyAuth(CANARIES["auth"]), ("ada", CANARIES["auth"])],
    ids=["bearer", "key", "tuple"],
)
@pytest.mark.parametrize("path", ["echo", "flaky/a?fail=1"], ids=["at once", "after a retry"])
def test_another_origin_sees_no_credential_when_redirects_are_resolved_by_hand(
    sandbox, api, auth, path
):
    away = leading_to(f"{sandbox.other_url}/{path}")
    first = api.get(away, auth=auth, allow_redirects=False)

    replies = list(api.resolve_redirects(first, first.request))

    assert [response.status_code for response in replies] == [200]
    assert not set().union(*map(canaries, at(sandbox.other_url, sandbox)))


@pytest.mark.parametrize(
    "auth",
    [
        APIKeyAuth(CANARIES["auth"]),
        APIKeyAuth(CANARIES["auth"], "key", "query"),
        APIKeyAuth(CANARIES["auth"], "key", "cookie"),
        BearerAuth(lambda: CANARIES["auth"]) & APIKeyAuth("other"),
    ],
    ids=["header", "query", "cookie", "both"],
)
@pytest.mark.parametrize(
    "way", ["absolute", "redirect 307", "redirect, refused there", "redirect, next"]
)
def test_another_origin_sees_no_key_wherever_it_is_put(sandbox, api, auth, way):
    api.auth = auth

    WAYS_AWAY[way](api, "", sandbox.other_url)

    assert canaries(at(sandbox.other_url, sandbox)[-1]) == set()


class Foreign(AuthBase):
    """Signs with a header of its own, and would answer any 401 with the secret."""

    def __call__(self, r):
        r.headers["X-Foreign"] = CANARIES["auth"]
        r.register_hook("response", self.answer_401)
        return r

    def answer_401(self, response, **options):
        if response.status_code != 401 or "x-again" in response.request.headers:
            return response
        _ = response.content
        again = response.request.copy()
        again.headers.update({"Authorization": CANARIES["auth"], "X-Again": "1"})
        return response.connection.send(again, **options)


@pytest.mark.parametrize("way", ["absolute, refused there", "redirect, refused there"])
def test_the_hook_of_a_third_party_auth_ignores_another_origin(sandbox, api, way):
    api.auth = Foreign()

    WAYS_AWAY[way](api, "", sandbox.other_url)

    assert [canaries(observed) for observed in at(sandbox.other_url, sandbox)] == [set()]


def test_the_hook_of_a_third_party_auth_responds_to_its_origin(sandbox, api):
    api.auth = Foreign()

    api.get("bearer")

    assert [request.headers.get("authorization") for request in sandbox.requests] == [
        None,
        CANARIES["auth"],
    ]


def test_a_digest_challenge_of_another_origin_is_ignored(raw_server, make_response):
    challenge = 'Digest realm="evil", nonce="n", qop="auth"'
    other_origin = raw_server(make_response("401 Unauthorized", www_authenticate=challenge))
    origin = raw_server(make_response("302 Found", location=f"{other_origin.url}/x"))
    auth = HTTPDigestAuth("ada", "pw")
    with httpkit.Session(origin.url, auth=auth, raise_for_status=False) as api:
        response = api.get("x")

    assert response.status_code == 401
    assert len(other_origin.requests) == 1


def test_credentials_do_not_come_back_when_a_chain_returns_to_its_origin(sandbox, api):
    back = leading_to(f"{sandbox.url}/echo")

    api.get(leading_to(sandbox.other_url + back))

    assert [canaries(request) for request in sandbox.requests] == [EVERYTHING, set(), set()]


def test_a_later_call_has_credentials_after_a_chain_that_returned_to_its_origin(sandbox, api):
    api.get(leading_to(sandbox.other_url + leading_to(f"{sandbox.url}/echo")))

    api.get("echo")

    assert canaries(sandbox.requests[-1]) == EVERYTHING


def test_harmless_headers_of_the_session_are_forwarded(sandbox, api):
    harmless = {
        "Accept": "text/csv",
        "Accept-Language": "de",
        "User-Agent": "blog/1",
        "traceparent": "00-1-1-00",
    }
    api.headers.update(harmless)

    api.get(f"{sandbox.other_url}/echo")
    api.get(leading_to(f"{sandbox.other_url}/echo"))

    for observed in at(sandbox.other_url, sandbox):
        assert {name: observed.headers[name] for name in harmless} == harmless


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com.evil.example/x",
        "https://api.example.com@evil.example/x",
        "https://api.example.com:443@evil.example/x",
        "https://api.example.com\\@evil.example/x",
        "https://api.example.com%2f@evil.example/x",
        "https://evil.example/x?@api.example.com",
        "https://evil.example#@api.example.com/x",
        "https://evil.example\\.api.example.com/x",
        "https://api.example.com./x",
        "https://api.example.com:8443/x",
        "https://API.example.co\u217f/x",
        "http://api.example.com/x",
        "http://api.example.com:443/x",
    ],
    ids=ascii,
)
def test_a_look_alike_host_gets_credentials_only_if_it_resolves_to_the_origin(url):
    with httpkit.Session("https://api.example.com", **OWN) as api:
        try:
            prepared = api.prepare_request(requests.Request("GET", url))
        except requests.RequestException:
            return

    # The parser of requests' adapter, which decides where the bytes go.
    target = urlsplit(prepared.url)
    goes_home = (target.scheme, target.hostname, target.port) == ("https", "api.example.com", None)
    assert ("c4n4ry" in str((prepared.url, dict(prepared.headers)))) == goes_home


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com:443/x",
        "HTTPS://API.Example.COM/x",
        "https://b\u00fccher.example/x",
        "https://xn--bcher-kva.example/x",
    ],
    ids=ascii,
)
def test_an_equivalent_origin_is_the_same_origin(url):
    bases = ["https://api.example.com", "https://b\u00fccher.example"]
    with httpkit.Session(bases["cher" in url], **OWN) as api:
        prepared = api.prepare_request(requests.Request("GET", url))

    assert prepared.headers["Authorization"] == f"Bearer {CANARIES['auth']}"


# Origins that are trusted, and none at all


@pytest.mark.parametrize("way", ["absolute", "redirect 302", "absolute, retried there"])
def test_a_trusted_origin_sees_headers_cookies_and_auth(sandbox, api, way):
    trusting = api.with_options(trusted_origins=[f"{sandbox.other_url}/any/path"])

    WAYS_AWAY[way](trusting, "", sandbox.other_url)

    expected = EVERYTHING - ({"param"} if way == "redirect 302" else set())
    assert {frozenset(canaries(observed)) for observed in at(sandbox.other_url, sandbox)} == {
        frozenset(expected)
    }


def test_a_class_can_trust_origins(sandbox):
    class Blog(httpkit.Session):
        trusted_origins = (sandbox.other_url,)

    with Blog(sandbox.url, **OWN) as api:
        api.get(f"{sandbox.other_url}/echo")

    assert canaries(sandbox.requests[0]) == EVERYTHING


def test_trust_is_not_handed_on(sandbox, raw_server, make_response):
    other_origin = raw_server(make_response())
    with httpkit.Session(sandbox.url, **OWN, trusted_origins=[sandbox.other_url]) as api:
        api.get(leading_to(sandbox.other_url + leading_to(other_origin.url)))

    assert b"c4n4ry" not in other_origin.requests[0]


def test_a_chain_among_trusted_origins_keeps_the_credentials(sandbox):
    with httpkit.Session(sandbox.url, **OWN, trusted_origins=[sandbox.other_url]) as api:
        api.get(leading_to(sandbox.other_url + leading_to(f"{sandbox.url}/echo")))

    assert [canaries(request) >= EVERYTHING - {"param"} for request in sandbox.requests] == [
        True
    ] * 3


@pytest.mark.parametrize(
    "origins",
    ["https://h.example", ["h.example"], ["//h.example"], ["https://"], [5], 5, [None]],
    ids=repr,
)
def test_trusted_origins_that_are_none_are_refused_at_once(origins):
    with pytest.raises(ValueError, match=r"trusted_origins|base_url|URL|scheme"):
        httpkit.Session("https://api.example.com", trusted_origins=origins)


def test_without_a_base_url_each_typed_origin_sees_the_credentials(sandbox):
    with httpkit.Session(**OWN) as api:
        api.get(f"{sandbox.url}/echo")
        api.get(f"{sandbox.other_url}/echo")

    assert [canaries(request) for request in sandbox.requests] == [EVERYTHING] * 2


@pytest.mark.parametrize("go", REDIRECTS_AWAY.values(), ids=REDIRECTS_AWAY)
def test_without_a_base_url_a_redirect_takes_no_credential_along(sandbox, go):
    with httpkit.Session(**OWN, raise_for_status=False) as api:
        go(api, sandbox.url, sandbox.other_url)

    assert canaries(sandbox.requests[0]) == EVERYTHING
    carried = [canaries(observed) for observed in at(sandbox.other_url, sandbox)]
    assert carried
    assert carried == [set()] * len(carried)


# Given on the call


FOR_THE_CALL = {
    "auth": BearerAuth(CANARIES["auth"]),
    "headers": {"X-Tenant": CANARIES["header"]},
    "params": {"tenant": CANARIES["param"]},
    "cookies": {"sid": CANARIES["cookie"]},
}


@pytest.fixture
def bare(sandbox):
    """A session of the sandbox's first origin that holds no credential."""
    with httpkit.Session(sandbox.url, raise_for_status=False) as session:
        yield session


def test_credentials_of_a_call_go_where_the_call_goes(sandbox, bare):
    bare.get(f"{sandbox.other_url}/echo", **FOR_THE_CALL)

    assert canaries(sandbox.requests[0]) == EVERYTHING


def test_credentials_of_a_call_follow_a_redirect_within_that_origin(sandbox, bare):
    bare.get(sandbox.other_url + leading_to("/echo"), **FOR_THE_CALL)

    assert canaries(sandbox.requests[1]) == EVERYTHING - {"param"}


@pytest.mark.parametrize("start", ["url", "other_url"])
def test_credentials_of_a_call_go_no_further(sandbox, raw_server, make_response, bare, start):
    other_origin = raw_server(make_response())

    bare.get(getattr(sandbox, start) + leading_to(other_origin.url), **FOR_THE_CALL)

    assert canaries(sandbox.requests[0]) == EVERYTHING
    assert b"c4n4ry" not in other_origin.requests[0]


def test_credentials_of_a_call_for_elsewhere_do_not_go_to_the_base_url(sandbox, bare):
    bare.get(sandbox.other_url + leading_to(f"{sandbox.url}/echo"), **FOR_THE_CALL)

    assert canaries(sandbox.requests[1]) == set()


def prepared_by_requests(url):
    return requests.Request("GET", url, **{**FOR_THE_CALL, "auth": None}).prepare()


@pytest.mark.parametrize("start", ["url", "other_url"])
def test_credentials_of_a_prepared_request_go_no_further(
    sandbox, raw_server, make_response, bare, start
):
    other_origin = raw_server(make_response())

    bare.send(prepared_by_requests(getattr(sandbox, start) + leading_to(other_origin.url)))

    assert canaries(sandbox.requests[0]) == EVERYTHING - {"auth"}
    assert b"c4n4ry" not in other_origin.requests[0]


@pytest.mark.parametrize("start", ["url", "other_url"])
def test_credentials_of_a_prepared_request_follow_a_redirect_within_its_origin(
    sandbox, bare, start
):
    bare.send(prepared_by_requests(getattr(sandbox, start) + leading_to("/echo")))

    assert canaries(sandbox.requests[1]) == {"header", "cookie"}


def test_credentials_of_a_prepared_request_for_elsewhere_do_not_go_to_the_base_url(sandbox, bare):
    bare.send(prepared_by_requests(sandbox.other_url + leading_to(f"{sandbox.url}/echo")))

    assert canaries(sandbox.requests[1]) == set()


def test_the_session_adds_nothing_to_what_the_call_holds_for_elsewhere(sandbox, api):
    api.get(f"{sandbox.other_url}/echo", auth=("ada", "pw"), cookies={"theme": "dark"})

    assert canaries(sandbox.requests[0]) == set()
    assert sandbox.requests[0].headers["cookie"] == "theme=dark"


def test_the_session_adds_nothing_when_what_the_call_holds_is_redirected(sandbox, api):
    api.get(sandbox.other_url + leading_to("/echo"), cookies={"theme": "dark"})

    assert sandbox.requests[1].headers["cookie"] == "theme=dark"


def test_a_cookie_of_the_call_beats_the_sessions(sandbox, api):
    api.get("cookies", cookies={"sid": "of-the-call"})

    assert sandbox.requests[0].headers["cookie"] == "sid=of-the-call"


def test_a_cookie_of_the_call_beats_the_sessions_after_a_redirect(sandbox, api):
    api.get(leading_to("/cookies"), cookies={"sid": "of-the-call"})

    assert sandbox.requests[1].headers["cookie"] == "sid=of-the-call"


def test_a_cookie_of_the_call_is_gone_on_the_next(sandbox, bare):
    bare.get("echo", cookies={"sid": "x"})
    bare.get("echo")

    assert [request.headers.get("cookie") for request in sandbox.requests] == ["sid=x", None]


def test_the_containers_of_the_caller_are_left_as_they_are(sandbox):
    given = {name: dict(OWN[name]) for name in ("headers", "params", "cookies")}
    with httpkit.Session(sandbox.url, **given) as api:
        api.get("echo", params={"a": "b"}, headers={"X-A": "b"}, cookies={"a": "b"})

    assert given == {name: OWN[name] for name in given}


# A 401 says so


def refused(api, url):
    with pytest.raises(httpkit.UnauthorizedError) as caught:
        api.get(url)
    return str(caught.value)


def test_a_401_of_another_origin_says_that_credentials_were_withheld(sandbox):
    with httpkit.Session(sandbox.url, **OWN) as api:
        message = refused(api, f"{sandbox.other_url}/bearer")

    assert f"credentials were withheld from {sandbox.other_url} (see trusted_origins)" in message


def test_a_401_after_a_redirect_says_that_credentials_were_withheld(sandbox):
    with httpkit.Session(sandbox.url, **OWN) as api:
        message = refused(api, leading_to(f"{sandbox.other_url}/bearer"))

    assert f"withheld after a redirect to {sandbox.other_url} (see trusted_origins)" in message


def test_a_401_of_a_chain_that_returned_to_its_origin_says_where_they_were_lost(sandbox):
    with httpkit.Session(sandbox.url, **OWN) as api:
        back = leading_to(f"{sandbox.url}/bearer")
        message = refused(api, leading_to(sandbox.other_url + back))

    assert f"withheld after a redirect to {sandbox.other_url}" in message


@pytest.mark.parametrize(
    ("own", "location"),
    [(OWN, "home"), ({}, "home"), ({}, "absolute"), ({}, "redirect")],
    ids=["wrong at home", "none at home", "none elsewhere", "none after a redirect"],
)
def test_a_401_does_not_claim_that_anything_was_withheld_when_nothing_was(sandbox, own, location):
    urls = {
        "home": "bearer",
        "absolute": f"{sandbox.other_url}/bearer",
        "redirect": leading_to(f"{sandbox.other_url}/bearer"),
    }
    with httpkit.Session(sandbox.url, **own) as api:
        message = refused(api, urls[location])

    assert "withheld" not in message


@pytest.mark.parametrize("status", [400, 409, 500])
def test_only_401_403_and_404_say_that_credentials_were_withheld(sandbox, status):
    own = {**OWN, "retry": None}
    with (
        httpkit.Session(sandbox.url, **own) as api,
        pytest.raises(httpkit.StatusError) as caught,
    ):
        api.get(f"{sandbox.other_url}/status/{status}")

    assert "withheld" not in str(caught.value)


def test_a_response_says_why_credentials_were_withheld(sandbox, api):
    origin, away = api.get("echo"), api.get(f"{sandbox.other_url}/echo")

    assert origin.credentials_withheld is None
    assert sandbox.other_url in away.credentials_withheld


# Plain http


@pytest.fixture
def internet():
    """Every URL answers 200, but for those that a test adds."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for scheme in ("http", "https"):
            mock.add(responses.GET, f"{scheme}://api.example.com/x")
            mock.add(responses.GET, f"{scheme}://other.example/x")
        for host in ("localhost", "127.0.0.1", "127.8.8.8:81", "[::1]", "api.localhost"):
            mock.add(responses.GET, f"http://{host}/x")
        yield mock


IN_THE_OPEN = {
    "bearer": {"auth": BearerAuth("s3cret")},
    "callable": {"auth": BearerAuth(lambda: "s3cret")},
    "tuple": {"auth": ("ada", "s3cret")},
    "key in a header": {"auth": APIKeyAuth("s3cret")},
    "key in the query": {"auth": APIKeyAuth("s3cret", "k", "query")},
    "key in a cookie": {"auth": APIKeyAuth("s3cret", "k", "cookie")},
    "both": {"auth": BearerAuth("s3cret") & APIKeyAuth("s3cret")},
    "header": {"headers": {"Authorization": "Bearer s3cret"}},
    "header in lower case": {"headers": {"authorization": "Bearer s3cret"}},
    "header of a key": {"headers": {"X-API-Key": "s3cret"}},
    "parameter of a key": {"params": {"api_key": "s3cret"}},
}
each_in_the_open = pytest.mark.parametrize("held", IN_THE_OPEN.values(), ids=IN_THE_OPEN)


def get_x(api, **options):
    return api.get("x", **options)


def send_x(api, **options):
    return api.send(api.prepare_request(requests.Request("GET", "x", **options)))


@each_in_the_open
@pytest.mark.parametrize("go", [get_x, send_x], ids=["get", "send"])
@pytest.mark.parametrize("holder", ["session", "call"])
def test_credentials_are_not_sent_over_plain_http(internet, held, go, holder):
    of_session, of_call = (held, {}) if holder == "session" else ({}, held)
    error = pytest.raises(httpkit.ConfigurationError, match="allow_http_auth")
    with httpkit.Session("http://api.example.com", **of_session) as api, error:
        go(api, **of_call)

    assert len(internet.calls) == 0


def test_userinfo_is_not_sent_over_plain_http(internet):
    with (
        httpkit.Session("http://ada:pw@api.example.com") as api,
        pytest.raises(httpkit.ConfigurationError) as caught,
    ):
        api.get("x")

    assert len(internet.calls) == 0
    assert "pw" not in str(caught.value)


def test_a_request_prepared_elsewhere_is_not_sent_over_plain_http_either(internet):
    prepared = requests.Request(
        "GET", "http://api.example.com/x", headers={"Authorization": "Bearer tok"}
    ).prepare()
    with httpkit.Session() as api, pytest.raises(httpkit.ConfigurationError):
        api.send(prepared)

    assert len(internet.calls) == 0


@each_in_the_open
def test_a_trusted_origin_sees_no_credential_over_plain_http(internet, held):
    internet.replace(
        responses.GET,
        "https://api.example.com/x",
        status=307,
        headers={"Location": "http://other.example/x"},
    )
    trusted = ["http://other.example"]
    error = suppress(httpkit.ConfigurationError, httpkit.RedirectError)
    with (
        httpkit.Session("https://api.example.com", trusted_origins=trusted, **held) as api,
        error,
    ):
        api.get("x")

    unencrypted = [call.request for call in internet.calls if call.request.url[:5] == "http:"]
    assert not [request for request in unencrypted if is_in(request, "s3cret")]


@each_in_the_open
def test_credentials_are_sent_over_plain_http_where_that_is_allowed(internet, held):
    with httpkit.Session("http://api.example.com", allow_http_auth=True, **held) as api:
        api.get("x")

    assert is_in(internet.calls[0].request, "s3cret")


class Intranet(httpkit.Session):
    allow_http_auth = True


@pytest.mark.parametrize(
    ("cls", "of_call"),
    [(Intranet, {}), (httpkit.Session, {"allow_http_auth": True})],
    ids=["class", "call"],
)
def test_a_class_or_a_call_can_allow_credentials_over_plain_http(internet, cls, of_call):
    with cls("http://api.example.com", auth=BearerAuth("tok")) as api:
        api.get("x", **of_call)

    assert internet.calls[0].request.headers["Authorization"] == "Bearer tok"


def test_a_call_can_refuse_what_the_session_allows(internet):
    with (
        httpkit.Session("http://api.example.com", allow_http_auth=True, **OWN) as api,
        pytest.raises(httpkit.ConfigurationError),
    ):
        api.get("x", allow_http_auth=False)

    assert len(internet.calls) == 0


@pytest.mark.parametrize(
    "base",
    [
        "https://api.example.com",
        "http://localhost",
        "http://127.0.0.1",
        "http://127.8.8.8:81",
        "http://[::1]",
        "http://api.localhost",
    ],
)
def test_https_and_loopback_may_see_credentials(internet, base):
    with httpkit.Session(base, auth=BearerAuth("tok")) as api:
        api.get("x")

    assert internet.calls[0].request.headers["Authorization"] == "Bearer tok"


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",  # noqa: S104 - an address to refuse, nothing is bound
        "127.evil.example",
        "notlocalhost",
        "10.0.0.1",
        "[::2]",
        "128.0.0.1",
    ],
)
def test_what_looks_like_loopback_may_not(internet, host):
    with (
        httpkit.Session(f"http://{host}", auth=BearerAuth("tok")) as api,
        pytest.raises(httpkit.ConfigurationError),
    ):
        api.get("x")

    assert len(internet.calls) == 0


def test_plain_http_without_credentials_is_nobodys_business(internet):
    with httpkit.Session("http://api.example.com", headers={"Accept": "text/csv"}) as api:
        response = api.get("x", auth=httpkit.NO_AUTH, params={"page": 1})

    assert response.status_code == 200


def test_a_cookie_that_a_server_set_over_plain_http_goes_back_to_it(internet):
    internet.replace(
        responses.GET, "http://api.example.com/x", headers={"Set-Cookie": "theme=dark"}
    )
    with httpkit.Session("http://api.example.com") as api:
        api.get("x")
        api.get("x")

    assert internet.calls[1].request.headers["Cookie"] == "theme=dark"


@pytest.mark.parametrize("held", [OWN, {"auth": ("ada", "c4n4ry-auth")}], ids=["all", "tuple"])
def test_a_redirect_from_https_to_http_takes_no_credential_along(internet, held):
    internet.replace(
        responses.GET,
        "https://api.example.com/x",
        status=302,
        headers={"Location": "http://api.example.com/x"},
    )
    with httpkit.Session("https://api.example.com", **held) as api:
        api.get("x")

    sent = internet.calls[1].request
    assert sent.url == "http://api.example.com/x"
    assert not [value for value in CANARIES.values() if is_in(sent, value)]


# The environment


@pytest.fixture
def netrc(monkeypatch, tmp_path):
    """A netrc that knows everybody."""
    file = tmp_path / "netrc"
    file.write_text(
        "machine 127.0.0.1 login of-netrc password hunter2\n"
        "default login of-default password hunter2\n"
    )
    monkeypatch.setenv("NETRC", str(file))


def test_netrc_is_used_without_another_auth(sandbox, netrc, bare):
    bare.get("echo")

    expected = b64encode(b"of-netrc:hunter2").decode()
    assert sandbox.requests[0].headers["authorization"] == f"Basic {expected}"


@pytest.mark.parametrize(
    ("of_session", "of_call", "expected"),
    [
        ({"auth": BearerAuth("mine")}, {}, "Bearer mine"),
        ({}, {"auth": BearerAuth("mine")}, "Bearer mine"),
        ({"headers": {"Authorization": "Bearer mine"}}, {}, "Bearer mine"),
        ({}, {"headers": {"Authorization": "Bearer mine"}}, "Bearer mine"),
        ({}, {"headers": {"authorization": "Bearer mine"}}, "Bearer mine"),
        ({}, {"headers": {"AUTHORIZATION": b"Bearer mine"}}, "Bearer mine"),
        ({"auth": APIKeyAuth("key")}, {}, None),
        ({}, {"auth": httpkit.NO_AUTH}, None),
        ({"auth": httpkit.NO_AUTH}, {}, None),
        ({}, {"headers": {"Authorization": None}}, None),
    ],
    ids=[
        "session's auth",
        "call's auth",
        "session's header",
        "call's header",
        "lower case",
        "bytes",
        "key",
        "NO_AUTH on the call",
        "NO_AUTH on the session",
        "header taken away",
    ],
)
def test_netrc_never_replaces_what_is_explicit(sandbox, netrc, of_session, of_call, expected):
    with httpkit.Session(sandbox.url, **of_session) as api:
        api.get("flaky/a?fail=1", **of_call)

    assert [request.headers.get("authorization") for request in sandbox.requests] == [expected] * 2


@pytest.mark.parametrize("auth", [httpkit.NO_AUTH, BearerAuth("mine")], ids=["none", "bearer"])
def test_netrc_is_never_used_for_the_target_of_a_redirect(sandbox, netrc, auth):
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.get(leading_to(f"{sandbox.other_url}/echo"))

    assert "authorization" not in sandbox.requests[1].headers


def test_netrc_credentials_go_no_further_than_their_origin(sandbox, netrc, bare):
    bare.get(leading_to(f"{sandbox.other_url}/echo"))

    assert ["authorization" in request.headers for request in sandbox.requests] == [True, False]


def test_netrc_is_not_used_for_plain_http(internet, netrc):
    with httpkit.Session("http://api.example.com") as api:
        api.get("x")

    assert "Authorization" not in internet.calls[0].request.headers


def test_netrc_is_not_used_without_trust_env(sandbox, netrc, bare):
    bare.trust_env = False

    bare.get("echo")

    assert "authorization" not in sandbox.requests[0].headers


class SocketReader(HTTPAdapter):
    """Notes how each request would be sent, and sends it."""

    def __init__(self):
        super().__init__()
        self.options = []

    def send(self, request, **options):
        self.options.append(options)
        return super().send(request, **options)


@pytest.mark.parametrize(
    ("of_session", "of_call", "expected"),
    [
        ({}, {}, "/of/the/environment"),
        ({"verify": False}, {}, False),
        ({"verify": "/of/the/session"}, {}, "/of/the/session"),
        ({"verify": True}, {}, "/of/the/environment"),
        ({}, {"verify": False}, False),
        ({}, {"verify": True}, "/of/the/environment"),
        ({}, {"verify": "/of/the/call"}, "/of/the/call"),
        ({"verify": False}, {"verify": True}, "/of/the/environment"),
        ({"verify": "/of/the/session"}, {"verify": False}, False),
        ({"verify": False}, {"verify": None}, False),
    ],
    ids=[
        "nothing said",
        "session False",
        "session path",
        "session True",
        "call False",
        "call True",
        "call path",
        "call True, session False",
        "call False, session path",
        "call None, session False",
    ],
)
def test_an_explicit_verify_beats_the_environment_on_every_hop(
    sandbox, monkeypatch, of_session, of_call, expected
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/the/environment")
    adapter = SocketReader()
    with httpkit.Session(sandbox.url, **of_session) as api:
        api.mount("http://", adapter)
        api.get(leading_to("/echo"), **of_call)

    assert [options["verify"] for options in adapter.options] == [expected] * 2


def test_a_verify_of_the_class_statement_beats_the_environment(sandbox, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/the/environment")
    adapter = SocketReader()
    intranet = type("Intranet", (httpkit.Session,), {}, verify="/of/the/class")
    with intranet(sandbox.url) as api:
        api.mount("http://", adapter)
        api.get("echo")

    assert adapter.options[0]["verify"] == "/of/the/class"


def through_proxy(received):
    return received.startswith(b"GET http://h.test/")


@pytest.mark.parametrize("name", ["http", "all", "http://h.test", "all://h.test"])
@pytest.mark.parametrize("holder", ["session", "call", "prepared"])
def test_an_explicit_proxy_beats_the_environment_on_every_hop(
    raw_server, make_response, monkeypatch, name, holder
):
    ambient = raw_server(make_response())
    mine = raw_server(make_response("302 Found", location="http://h.test/b"), make_response())
    monkeypatch.setenv("http_proxy", ambient.url)
    proxies = {name: mine.url}
    with httpkit.Session(proxies=None if holder == "call" else proxies) as api:
        if holder == "prepared":
            api.send(api.prepare_request(requests.Request("GET", "http://h.test/a")))
        else:
            api.get("http://h.test/a", proxies=proxies if holder == "call" else None)

    assert list(map(through_proxy, mine.requests)) == [True, True]
    assert ambient.requests == []


@pytest.mark.parametrize("holder", ["session", "call"])
def test_a_proxy_of_none_switches_the_environments_off_on_every_hop(
    sandbox, raw_server, make_response, monkeypatch, holder
):
    ambient = raw_server(make_response())
    monkeypatch.setenv("http_proxy", ambient.url)
    off = {"http": None}
    with httpkit.Session(sandbox.url, proxies=off if holder == "session" else None) as api:
        api.get(leading_to("/echo"), proxies=off if holder == "call" else None)

    assert len(sandbox.requests) == 2
    assert ambient.requests == []


def test_the_environments_proxy_is_used_when_nothing_is_said(
    raw_server, make_response, monkeypatch
):
    ambient = raw_server(make_response())
    monkeypatch.setenv("http_proxy", ambient.url)
    with httpkit.Session() as api:
        api.get("http://h.test/a")

    assert list(map(through_proxy, ambient.requests)) == [True]


def test_the_credentials_of_a_proxy_are_for_the_proxy(sandbox, raw_server, make_response):
    proxy = raw_server(make_response("302 Found", location=f"{sandbox.other_url}/echo"))
    proxies = {"http://h.test": proxy.url.replace("://", "://ada:pw@")}
    with httpkit.Session(proxies=proxies) as api:
        api.get("http://h.test/a")

    assert b"Proxy-Authorization: Basic" in proxy.requests[0]
    assert "proxy-authorization" not in sandbox.requests[0].headers


def test_a_redirect_to_a_host_of_no_proxy_goes_there_directly(
    sandbox, raw_server, make_response, monkeypatch
):
    proxy = raw_server(make_response("302 Found", location=f"{sandbox.url}/echo"), make_response())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", proxy.url)
    with httpkit.Session() as api:
        api.get("http://h.test/a")

    assert len(proxy.requests) == 1
    assert len(sandbox.requests) == 1


# Lenient, by strict=False


def seen_by(sandbox):
    """Return all that was received since the last time, but for what names the client."""
    observed = [
        (
            one.method,
            one.port,
            one.path,
            one.query,
            {name: value for name, value in one.headers.items() if name != "Host"},
            one.body,
        )
        for one in sandbox.requests
    ]
    sandbox.clear()
    return observed


LENIENT_CALLS = {
    "absolute url elsewhere": ("GET", "{other}/echo", {}),
    "redirect elsewhere": ("GET", "{url}/redirect/other/echo", {}),
    "redirect at home": ("GET", "{url}/redirect?to=/echo", {}),
    "redirected post": ("POST", "{url}/redirect/other/echo?status=307", {"data": b"body"}),
    "redirected delete": ("DELETE", "{url}/redirect/other/echo?status=302", {}),
    "redirected form": ("POST", "{url}/redirect/other/echo?status=302", {"data": {"a": "b"}}),
    "an error": ("GET", "{url}/status/500", {}),
    "an unavailable post": ("POST", "{url}/flaky/a", {"json": {"a": None}}),
    "a bool": ("GET", "{url}/echo", {"params": {"a": True, "b": None}}),
    "a header": ("GET", "{url}/echo", {"headers": {"Authorization": "Bearer mine"}}),
    "cookies": ("GET", "{url}/redirect?to=/cookies/set%3Fa=b", {"cookies": {"c": "d"}}),
    "a 401": ("GET", "{other}/bearer", {}),
}


def load_tuple(session):
    session.auth = ("ada", "pw")


def load_bearer(session):
    session.auth = BearerAuth(CANARIES["auth"])


def load_key(session):
    session.auth = APIKeyAuth(CANARIES["auth"])
    session.headers["X-Key"] = CANARIES["header"]
    session.cookies.set("sid", CANARIES["cookie"])


loads = pytest.mark.parametrize(
    "load", [load_tuple, load_bearer, load_key], ids=["tuple", "bearer", "key"]
)


@pytest.mark.parametrize("call", LENIENT_CALLS.values(), ids=LENIENT_CALLS)
@loads
def test_strict_false_sends_what_requests_sends(sandbox, netrc, load, call):
    method, template, options = call
    url = template.format(url=sandbox.url, other=sandbox.other_url)
    wires = []
    for cls in (requests.Session, lambda: httpkit.Session(strict=False)):
        with cls() as session:
            load(session)
            response = session.request(method, url, **options)
        wires.append((response.status_code, [*map(repr, response.history)], seen_by(sandbox)))

    theirs, ours = wires
    assert ours[0] == theirs[0]
    assert ours[2] == theirs[2]


@pytest.mark.parametrize(
    "setting",
    [{"retry": 2}, {"deadline": 30}, {"max_body": 1 << 20}],
    ids=["retry", "deadline", "max_body"],
)
@loads
def test_strict_false_with_a_setting_of_ours_still_sends_what_requests_sends(
    sandbox, load, setting
):
    wires = []
    for cls in (requests.Session, lambda: httpkit.Session(strict=False, **setting)):
        with cls() as session:
            load(session)
            session.get(f"{sandbox.url}/redirect/other/echo")
        wires.append(seen_by(sandbox))

    assert wires[1] == wires[0]


def test_strict_false_sends_credentials_over_plain_http(internet):
    with httpkit.Session("http://api.example.com", strict=False, auth=BearerAuth("tok")) as api:
        api.get("x")

    assert internet.calls[0].request.headers["Authorization"] == "Bearer tok"


def test_strict_false_lets_the_environment_beat_the_session(sandbox, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/the/environment")
    adapter = SocketReader()
    with httpkit.Session(sandbox.url, strict=False, verify=False) as api:
        api.mount("http://", adapter)
        api.get("echo")

    assert adapter.options[0]["verify"] == "/of/the/environment"
