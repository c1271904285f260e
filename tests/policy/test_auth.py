"""Who is calling: what each strategy sends, hides, refuses and renews."""

import copy
import dataclasses
import io
import pickle
from base64 import b64encode

import pytest
import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

import httpkit
from httpkit import APIKeyAuth, BasicAuth, BearerAuth

CANARY = "c4n4ry-s3cret"
DIGEST = 'Digest realm="sandbox", nonce="n0nce", qop="auth", algorithm=SHA-256'

STRATEGIES = {
    "basic": lambda secret: BasicAuth("ada", secret),
    "bearer": BearerAuth,
    "key in a header": APIKeyAuth,
    "key in the query": lambda secret: APIKeyAuth(secret, "api_key", "query"),
    "key in a cookie": lambda secret: APIKeyAuth(secret, "api_key", where="cookie"),
}
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


def basic(user, password):
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def signature(request):
    """Return what a request says of its caller, wherever it says it."""
    fields = ("Authorization", "X-API-Key", "Cookie")
    return (request.query.get("api_key", [None])[0], *map(request.headers.get, fields))


class Stamp(AuthBase):
    """A foreign strategy that counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, r):
        self.calls += 1
        r.headers["X-Stamp"] = f"stamp-{self.calls}"
        return r


class Tokens:
    """A callable that gives one token after the other, the last one for ever."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.tokens[min(self.calls, len(self.tokens)) - 1]


# What is sent


@pytest.mark.parametrize(
    ("user", "password"),
    [("ada", "lovelace"), ("naïve", "pässword €"), ("key-as-user", ""), ("", "only"), ("a", "b:c")],
)
def test_basic_auth_sends_user_and_password_in_utf_8(sandbox, user, password):
    with httpkit.Session(sandbox.url, auth=BasicAuth(user, password)) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["authorization"] == basic(user, password)


def test_a_bearer_token_goes_into_the_authorization_header(sandbox):
    with httpkit.Session(sandbox.url, auth=BearerAuth(sandbox.token)) as api:
        response = api.get("bearer/echo")

    assert response.status_code == 200
    assert sandbox.requests[0].headers["authorization"] == f"Bearer {sandbox.token}"


@pytest.mark.parametrize("token", ["  tok-1 ", "tok-1\n", "\ttok-1\r\n"], ids=repr)
def test_white_space_around_a_token_is_dropped(sandbox, token):
    with httpkit.Session(sandbox.url, auth=BearerAuth(token)) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["authorization"] == "Bearer tok-1"


@pytest.mark.parametrize("where", ["header", "query", "cookie"])
def test_an_api_key_is_accepted_wherever_it_is_put(sandbox, where):
    name = "X-API-Key" if where == "header" else "api_key"
    with httpkit.Session(sandbox.url, auth=APIKeyAuth(sandbox.api_key, name, where)) as api:
        response = api.get("key")

    assert response.json() == {"authenticated": True}


def test_an_api_key_goes_into_x_api_key_by_default(sandbox):
    with httpkit.Session(sandbox.url, auth=APIKeyAuth("k-1")) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["x-api-key"] == "k-1"


def test_an_api_key_can_have_a_header_of_any_name(sandbox):
    with httpkit.Session(sandbox.url, auth=APIKeyAuth("k-1", "Ocp-Subscription")) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["ocp-subscription"] == "k-1"


@pytest.mark.parametrize("key", ["a b", "a&b=c", "a+b", "ü/€", "50%", "#", "a%2Fb"])
def test_a_key_in_the_query_arrives_as_it_was_given(sandbox, key):
    with httpkit.Session(sandbox.url, auth=APIKeyAuth(key, "api key", "query")) as api:
        api.get("echo?x=1&y=a%20b", params={"z": "ü"})

    assert sandbox.requests[0].query == {"x": ["1"], "y": ["a b"], "z": ["ü"], "api key": [key]}


def test_a_key_in_the_query_replaces_a_parameter_of_its_name(sandbox):
    with httpkit.Session(sandbox.url, auth=APIKeyAuth("mine", "api_key", "query")) as api:
        api.get("echo?api%5Fkey=theirs#top")

    assert sandbox.requests[0].query == {"api_key": ["mine"]}


def test_a_key_in_a_cookie_joins_the_other_cookies(sandbox):
    auth = APIKeyAuth("mine", "api_key", "cookie")
    cookies = {"api_key": "old", "theme": "dark"}
    with httpkit.Session(sandbox.url, auth=auth, cookies=cookies) as api:
        response = api.get("cookies")

    assert response.json() == {"api_key": "mine", "theme": "dark"}


def test_a_tuple_is_basic_auth(sandbox):
    with httpkit.Session(sandbox.url, auth=(sandbox.user, sandbox.password)) as api:
        response = api.get("basic")

    assert response.json() == {"authenticated": True}


def test_userinfo_in_the_base_url_is_basic_auth(sandbox):
    base = sandbox.url.replace("://", f"://{sandbox.user}:{sandbox.password}@")
    with httpkit.Session(base) as api:
        response = api.get("basic")

    assert response.json() == {"authenticated": True}


def test_a_third_party_strategy_signs_once_for_all_attempts(sandbox):
    stamp = Stamp()
    with httpkit.Session(sandbox.url, auth=stamp) as api:
        api.get("flaky/a?fail=2")

    assert [observed.headers["x-stamp"] for observed in sandbox.attempts("a")] == ["stamp-1"] * 3


def test_a_plain_function_can_sign(sandbox):
    def sign(request):
        request.headers["X-Signed"] = request.method
        return request

    with httpkit.Session(sandbox.url, auth=sign) as api:
        api.delete("echo")

    assert sandbox.requests[0].headers["x-signed"] == "DELETE"


def test_digest_auth_of_requests_responds_to_its_challenge(raw_server, make_response):
    challenge = make_response("401 Unauthorized", www_authenticate=DIGEST)
    server = raw_server(challenge, make_response(body=b"in"))
    with httpkit.Session(server.url, auth=HTTPDigestAuth("ada", CANARY)) as api:
        response = api.put("door", data=b"knock")

    assert response.text == "in"
    assert len(server.requests) == 2
    assert b'uri="/door"' in server.requests[-1]
    assert all(received.endswith(b"\r\n\r\nknock") for received in server.requests)


def test_the_history_that_digest_makes_is_kept(raw_server, make_response):
    challenge = make_response("401 Unauthorized", www_authenticate=DIGEST)
    server = raw_server(challenge, make_response(body=b"in"))
    with httpkit.Session(server.url, auth=HTTPDigestAuth("ada", CANARY)) as api:
        response = api.get("door")

    assert [past.status_code for past in response.history] == [401]
    assert response.request.headers["Authorization"].startswith("Digest ")


def test_a_wrong_digest_password_ends_in_a_401(raw_server, make_response):
    server = raw_server(make_response("401 Unauthorized", www_authenticate=DIGEST))
    with (
        httpkit.Session(server.url, auth=HTTPDigestAuth("ada", CANARY)) as api,
        pytest.raises(httpkit.UnauthorizedError) as caught,
    ):
        api.get("door")

    assert len(server.requests) == 2
    assert CANARY not in str(caught.value)


@each_strategy
def test_a_strategy_works_with_plain_requests(sandbox, strategy):
    with requests.Session() as plain:
        plain.trust_env = False
        plain.get(sandbox.url + "/echo", auth=strategy(CANARY))

    expected = basic("ada", CANARY).removeprefix("Basic ")
    assert any(
        CANARY in str(part) or expected in str(part) for part in signature(sandbox.requests[0])
    )


# Which one signs


class Blog(httpkit.Session, auth=BearerAuth("of-the-class")):
    pass


@pytest.mark.parametrize(
    ("instance", "call", "expected"),
    [
        ({}, {}, "Bearer of-the-class"),
        ({"auth": None}, {"auth": None}, "Bearer of-the-class"),
        ({"auth": BearerAuth("of-the-instance")}, {}, "Bearer of-the-instance"),
        ({"auth": BearerAuth("of-the-instance")}, {"auth": None}, "Bearer of-the-instance"),
        ({}, {"auth": BearerAuth("of-the-call")}, "Bearer of-the-call"),
        ({}, {"auth": ("u", "p")}, basic("u", "p")),
        ({"auth": httpkit.NO_AUTH}, {}, None),
        ({"auth": httpkit.NO_AUTH}, {"auth": BearerAuth("of-the-call")}, "Bearer of-the-call"),
        ({}, {"auth": httpkit.NO_AUTH}, None),
    ],
    ids=[
        "class",
        "None is not given",
        "instance",
        "None on the call",
        "call",
        "tuple on the call",
        "none on the instance",
        "none but the call's",
        "none on the call",
    ],
)
def test_the_call_beats_the_instance_which_beats_the_class(sandbox, instance, call, expected):
    with Blog(sandbox.url, **instance) as api:
        api.get("echo", **call)

    assert sandbox.requests[0].headers.get("authorization") == expected


def test_auth_can_be_assigned(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.auth = BearerAuth("assigned")
        api.get("echo")

    assert sandbox.requests[0].headers["authorization"] == "Bearer assigned"


@pytest.mark.parametrize("none", [None, httpkit.NO_AUTH], ids=repr)
def test_a_clone_can_go_without_the_auth_of_its_origin(sandbox, none):
    with Blog(sandbox.url) as api:
        api.with_options(auth=none).get("echo")
        api.get("echo")

    assert [request.headers.get("authorization") for request in sandbox.requests] == [
        None,
        "Bearer of-the-class",
    ]


def test_no_auth_signs_none_of_the_attempts(sandbox):
    with Blog(sandbox.url) as api:
        api.get("flaky/a", auth=httpkit.NO_AUTH)

    assert [observed.headers.get("authorization") for observed in sandbox.attempts("a")] == [
        None
    ] * 3


@pytest.mark.parametrize(
    "both",
    [
        lambda: BearerAuth("tok") & APIKeyAuth("key"),
        lambda: APIKeyAuth("key") & BearerAuth("tok"),
        lambda: BearerAuth("tok") & APIKeyAuth("key") & Stamp(),
        lambda: Stamp() & BearerAuth("tok") & APIKeyAuth("key"),
        lambda: BearerAuth("tok") & (APIKeyAuth("key") & httpkit.NO_AUTH),
    ],
    ids=["two", "turned round", "foreign last", "foreign first", "nested"],
)
def test_and_applies_both_on_every_attempt(sandbox, both):
    with httpkit.Session(sandbox.url, auth=both()) as api:
        api.get("flaky/a?fail=1")

    assert [
        (observed.headers["authorization"], observed.headers["x-api-key"])
        for observed in sandbox.attempts("a")
    ] == [("Bearer tok", "key")] * 2


@pytest.mark.parametrize(
    "both",
    [lambda: ("ada", "pw") & APIKeyAuth("key"), lambda: APIKeyAuth("key") & ("ada", "pw")],
    ids=["first", "last"],
)
def test_and_takes_a_tuple_on_either_side(sandbox, both):
    with httpkit.Session(sandbox.url, auth=both()) as api:
        api.get("echo")

    headers = sandbox.requests[0].headers
    assert (headers["authorization"], headers["x-api-key"]) == (basic("ada", "pw"), "key")


@pytest.mark.parametrize(
    ("both", "expected"),
    [
        (lambda: ("ada", "pw") & BearerAuth("tok"), "Bearer tok"),
        (lambda: BearerAuth("tok") & ("ada", "pw"), basic("ada", "pw")),
    ],
    ids=["bearer last", "tuple last"],
)
def test_of_two_that_write_the_same_field_the_last_wins(sandbox, both, expected):
    with httpkit.Session(sandbox.url, auth=both()) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["authorization"] == expected


def test_a_third_party_auth_of_a_pair_signs_once_and_ours_each_time(sandbox):
    stamp, tokens = Stamp(), Tokens("t-1", "t-2")
    with httpkit.Session(sandbox.url, auth=BearerAuth(tokens) & stamp) as api:
        api.get("flaky/a?fail=1")

    assert [
        (observed.headers["authorization"], observed.headers["x-stamp"])
        for observed in sandbox.attempts("a")
    ] == [("Bearer t-1", "stamp-1"), ("Bearer t-2", "stamp-1")]


def test_digest_can_be_one_of_both(raw_server, make_response):
    challenge = make_response("401 Unauthorized", www_authenticate=DIGEST)
    server = raw_server(challenge, make_response())
    auth = APIKeyAuth("key") & HTTPDigestAuth("ada", CANARY)
    with httpkit.Session(server.url, auth=auth) as api:
        response = api.get("door")

    assert response.status_code == 200
    assert all(b"X-API-Key: key\r\n" in received for received in server.requests)


@pytest.mark.parametrize("other", [5, "token", None, ("ada",), ["ada", "pw"]], ids=repr)
def test_and_refuses_what_cannot_sign(other):
    with pytest.raises(httpkit.ConfigurationError):
        BearerAuth("tok") & other


# Asked for every attempt


@each_strategy
def test_a_callable_secret_is_called_for_every_attempt(sandbox, strategy):
    tokens = Tokens("tok-1", "tok-2", "tok-3")
    with httpkit.Session(sandbox.url, auth=strategy(tokens)) as api:
        api.get("flaky/a?fail=2")

    observed = [signature(attempt) for attempt in sandbox.attempts("a")]
    assert tokens.calls == 3
    assert len({str(one) for one in observed}) == 3


def test_a_bearer_callable_gives_each_attempt_its_token_in_order(sandbox):
    with httpkit.Session(sandbox.url, auth=BearerAuth(Tokens("t-1", "t-2", "t-3"))) as api:
        api.post("flaky/a?fail=2&status=429")

    assert [observed.headers["authorization"] for observed in sandbox.attempts("a")] == [
        "Bearer t-1",
        "Bearer t-2",
        "Bearer t-3",
    ]


def test_a_prepared_request_that_is_sent_again_is_signed_afresh(sandbox):
    with httpkit.Session(sandbox.url, auth=BearerAuth(Tokens("t-1", "t-2"))) as api:
        prepared = api.prepare_request(requests.Request("GET", "echo"))
        api.send(prepared)
        api.send(prepared)

    assert [request.headers["authorization"] for request in sandbox.requests] == [
        "Bearer t-1",
        "Bearer t-2",
    ]


def test_a_secret_that_cannot_be_had_is_an_error_before_anything_is_sent(sandbox, monkeypatch):
    monkeypatch.setenv("BLOG_TOKEN", CANARY)
    auth = BearerAuth.from_env("BLOG_TOKEN")
    monkeypatch.delenv("BLOG_TOKEN")
    with (
        httpkit.Session(sandbox.url, auth=auth) as api,
        pytest.raises(httpkit.ConfigurationError, match="BLOG_TOKEN is not set"),
    ):
        api.get("echo")

    assert sandbox.requests == []


@each_strategy
@pytest.mark.parametrize("bad", [CANARY.encode(), 5, None], ids=ascii)
def test_a_callable_that_gives_no_text_is_refused_before_anything_is_sent(sandbox, strategy, bad):
    with (
        httpkit.Session(sandbox.url, auth=strategy(lambda: bad)) as api,
        pytest.raises(httpkit.ConfigurationError) as refusal,
    ):
        api.get("echo")

    assert sandbox.requests == []
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    "auth",
    [
        BearerAuth(lambda: f"{CANARY}\r\nX-Evil: 1"),
        BasicAuth("ada", lambda: f"{CANARY}\r\nX-Evil: 1"),
        BasicAuth(lambda: f"{CANARY}\r\nX-Evil: 1"),
        BasicAuth(lambda: f"{CANARY}:"),
        APIKeyAuth(lambda: f"{CANARY}\r\nX-Evil: 1"),
        APIKeyAuth(lambda: f"{CANARY}\r\nX-Evil: 1", "api_key", "cookie"),
        BearerAuth(lambda: " "),
        APIKeyAuth(lambda: ""),
    ],
    ids=[
        "bearer",
        "basic",
        "basic user",
        "basic user with a colon",
        "header key",
        "cookie key",
        "white token",
        "empty key",
    ],
)
def test_a_callable_cannot_inject_a_header(sandbox, auth):
    with (
        httpkit.Session(sandbox.url, auth=auth) as api,
        pytest.raises(httpkit.ConfigurationError) as refusal,
    ):
        api.get("echo")

    assert sandbox.requests == []
    assert CANARY not in str(refusal.value)


# The environment


@pytest.mark.parametrize(
    "make",
    [
        BearerAuth.from_env,
        APIKeyAuth.from_env,
        lambda name: APIKeyAuth.from_env(name, name="api_key", where="query"),
        lambda name: BasicAuth.from_env("BLOG_USER", name),
        BasicAuth.from_env,
    ],
    ids=["bearer", "header key", "query key", "basic", "basic key"],
)
class TestFromEnv:
    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch):
        monkeypatch.setenv("BLOG_USER", "ada")
        monkeypatch.setenv("BLOG_SECRET", f" {CANARY}\n")

    def test_it_sends_the_variable_without_white_space(self, sandbox, make):
        with httpkit.Session(sandbox.url, auth=make("BLOG_SECRET")) as api:
            api.get("echo")

        assert signature(sandbox.requests[0]) in {
            (None, f"Bearer {CANARY}", None, None),
            (None, None, CANARY, None),
            (CANARY, None, None, None),
            (None, basic("ada", CANARY), None, None),
            (None, basic(CANARY, ""), None, None),
        }

    def test_it_follows_a_variable_that_changes(self, sandbox, monkeypatch, make):
        with httpkit.Session(sandbox.url, auth=make("BLOG_SECRET")) as api:
            api.get("echo")
            monkeypatch.setenv("BLOG_SECRET", "rotated-secret")
            api.get("echo")

        first, second = map(signature, sandbox.requests)
        assert first != second

    @pytest.mark.parametrize("value", [None, "", " \n"], ids=repr)
    def test_a_variable_without_a_value_is_named_at_once(self, monkeypatch, make, value):
        monkeypatch.delenv("BLOG_SECRET")
        if value is not None:
            monkeypatch.setenv("BLOG_SECRET", value)

        with pytest.raises(httpkit.ConfigurationError, match="BLOG_SECRET"):
            make("BLOG_SECRET")

    def test_its_pickle_holds_the_name_and_not_the_value(self, make):
        auth = make("BLOG_SECRET")

        pickled = pickle.dumps(auth)

        assert b"BLOG_SECRET" in pickled
        assert CANARY.encode() not in pickled
        assert pickle.loads(pickled) == auth

    def test_a_pickle_reads_the_variable_where_it_wakes_up(self, sandbox, monkeypatch, make):
        pickled = pickle.dumps(make("BLOG_SECRET"))
        monkeypatch.setenv("BLOG_SECRET", "of-the-worker")

        with httpkit.Session(sandbox.url, auth=pickle.loads(pickled)) as api:
            api.get("echo")

        shown = str(signature(sandbox.requests[0]))
        forms = ("of-the-worker", basic("ada", "of-the-worker"), basic("of-the-worker", ""))
        assert any(form in shown for form in forms)

    def test_its_repr_names_the_variable(self, make):
        shown = repr(make("BLOG_SECRET"))

        assert "$BLOG_SECRET" in shown
        assert CANARY not in shown


# Values


@each_strategy
class TestValues:
    def test_a_strategy_is_frozen(self, strategy):
        auth = strategy(CANARY)

        field = dataclasses.fields(auth)[-1].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(auth, field, "other")

    def test_strategies_compare_and_hash_by_value(self, strategy):
        same, other = strategy(CANARY), strategy("other-secret")

        assert strategy(CANARY) == same
        assert strategy(CANARY) != other
        assert len({strategy(CANARY), same, other}) == 2

    @pytest.mark.parametrize("show", [repr, str, "{}".format, "%r".__mod__, ascii])
    def test_a_strategy_shows_no_secret(self, strategy, show):
        auth = strategy(CANARY)

        assert CANARY not in show(auth)
        assert CANARY not in show(auth & auth)
        assert CANARY not in show({"auth": auth})

    def test_a_session_shows_no_secret(self, strategy):
        with httpkit.Session("https://api.example.com", auth=strategy(CANARY)) as api:
            assert CANARY not in repr(api)

    def test_a_strategy_pickles_and_copies(self, strategy):
        auth = strategy(CANARY)

        copies = [pickle.loads(pickle.dumps(auth)), copy.copy(auth), copy.deepcopy(auth)]

        assert copies == [auth] * 3

    def test_both_pickle_and_compare_by_value(self, strategy):
        both = strategy(CANARY) & APIKeyAuth("key")

        assert pickle.loads(pickle.dumps(both)) == both
        assert both == strategy(CANARY) & APIKeyAuth("key")
        assert both != APIKeyAuth("key") & strategy(CANARY)

    def test_signing_twice_is_signing_once(self, strategy):
        auth = strategy(CANARY)
        request = requests.Request(
            "GET", "https://h.example/x?api_key=old&b=%20c#top", cookies={"a": "b"}
        ).prepare()

        once = auth(request).copy()
        twice = auth(request)

        assert (twice.url, twice.headers) == (once.url, once.headers)
        assert twice is request


def test_no_auth_is_a_singleton():
    copies = [pickle.loads(pickle.dumps(httpkit.NO_AUTH)), copy.deepcopy(httpkit.NO_AUTH)]

    assert all(one is httpkit.NO_AUTH for one in copies)
    assert repr(httpkit.NO_AUTH) == "NO_AUTH"


def test_a_user_name_is_shown_unless_it_is_the_key():
    shown = [repr(BasicAuth("ada", CANARY)), repr(BasicAuth(CANARY))]

    assert "ada" in shown[0]
    assert CANARY not in "".join(shown)


def test_a_strategy_is_an_auth_base():
    assert isinstance(BearerAuth("tok") & APIKeyAuth("key"), AuthBase)
    assert isinstance(httpkit.NO_AUTH, AuthBase)


def test_a_pickled_session_still_signs(sandbox):
    with httpkit.Session(sandbox.url, auth=BearerAuth(sandbox.token)) as api:
        pickled = pickle.dumps(api)

    with pickle.loads(pickled) as woken:
        assert woken.get("bearer").status_code == 200


@pytest.mark.parametrize("token", ["Bearer abc123", "bearer abc123", " BEARER  abc123 "])
@pytest.mark.parametrize("is_callable", [False, True], ids=["text", "callable"])
def test_a_token_that_begins_with_its_scheme_is_refused_with_what_to_do(token, is_callable):
    def sign():
        auth = httpkit.BearerAuth((lambda: token) if is_callable else token)
        auth(requests.Request("GET", "https://api.test/").prepare())

    with pytest.raises(httpkit.ConfigurationError, match="BearerAuth adds it") as caught:
        sign()

    assert "abc123" not in str(caught.value)


# What cannot be sent


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: BearerAuth(""), id="empty token"),
        pytest.param(lambda: BearerAuth(" \n"), id="white token"),
        pytest.param(lambda: BearerAuth(None), id="token None"),
        pytest.param(lambda: BearerAuth(5), id="token number"),
        pytest.param(lambda: BearerAuth(CANARY.encode()), id="token bytes"),
        pytest.param(lambda: BearerAuth(f"{CANARY}\r\nX-Evil: 1"), id="token with a line break"),
        pytest.param(lambda: BearerAuth(f"{CANARY} {CANARY}"), id="token with a space"),
        pytest.param(lambda: BearerAuth(f"{CANARY}\x00"), id="token with a NUL"),
        pytest.param(lambda: BearerAuth(f"{CANARY}\u4e16"), id="token beyond Latin-1"),
        pytest.param(lambda: BearerAuth(f"{CANARY}\ud800"), id="token with a surrogate"),
        pytest.param(lambda: APIKeyAuth(""), id="empty key"),
        pytest.param(lambda: APIKeyAuth(None), id="key None"),
        pytest.param(lambda: APIKeyAuth(f"{CANARY}\n", where="query") & 5, id="key and a number"),
        pytest.param(lambda: APIKeyAuth(f"{CANARY}\r\nX: 1"), id="key with a line break"),
        pytest.param(lambda: APIKeyAuth(f"{CANARY};a", where="cookie"), id="cookie with a break"),
        pytest.param(lambda: APIKeyAuth(f"{CANARY},a", where="cookie"), id="cookie with a comma"),
        pytest.param(lambda: APIKeyAuth(f'"{CANARY}"', where="cookie"), id="cookie with quotes"),
        pytest.param(lambda: APIKeyAuth(f"{CANARY}\ud800", where="query"), id="query surrogate"),
        pytest.param(lambda: APIKeyAuth(CANARY, ""), id="no header name"),
        pytest.param(lambda: APIKeyAuth(CANARY, "", "query"), id="no parameter name"),
        pytest.param(lambda: APIKeyAuth(CANARY, "X Key"), id="header name with a space"),
        pytest.param(lambda: APIKeyAuth(CANARY, "X:Key"), id="header name with a colon"),
        pytest.param(lambda: APIKeyAuth(CANARY, "a=b", "cookie"), id="cookie name with ="),
        pytest.param(lambda: APIKeyAuth(CANARY, "X\r\nKey"), id="header name with a break"),
        pytest.param(lambda: APIKeyAuth(CANARY, 5), id="header name number"),
        pytest.param(lambda: APIKeyAuth(CANARY, 5, "query"), id="parameter name number"),
        pytest.param(lambda: APIKeyAuth(CANARY, "a\ud800", "query"), id="parameter surrogate"),
        pytest.param(lambda: APIKeyAuth(CANARY, where="body"), id="where nowhere"),
        pytest.param(lambda: APIKeyAuth(CANARY, where=None), id="where None"),
        pytest.param(lambda: APIKeyAuth(CANARY, where=["query"]), id="where a list"),
        pytest.param(lambda: BasicAuth("", ""), id="nobody"),
        pytest.param(lambda: BasicAuth(""), id="nobody, shorter"),
        pytest.param(lambda: BasicAuth(f"a:{CANARY}", "x"), id="user with a colon"),
        pytest.param(lambda: BasicAuth(None, CANARY), id="user None"),
        pytest.param(lambda: BasicAuth(b"ada", CANARY), id="user bytes"),
        pytest.param(lambda: BasicAuth("ada", None), id="password None"),
        pytest.param(lambda: BasicAuth("ada", 5), id="password number"),
        pytest.param(lambda: BasicAuth("ada", CANARY.encode()), id="password bytes"),
        pytest.param(lambda: BasicAuth("ada", f"{CANARY}\n"), id="password with a line break"),
        pytest.param(lambda: BasicAuth("ada\x00", CANARY), id="user with a NUL"),
        pytest.param(lambda: BasicAuth("ada", f"{CANARY}\ud800"), id="password with a surrogate"),
        pytest.param(lambda: BearerAuth.from_env(""), id="variable without a name"),
        pytest.param(lambda: BearerAuth.from_env("A\x00B"), id="variable with a NUL"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_the_constructor_without_showing_it(make):
    with pytest.raises(httpkit.ConfigurationError) as caught:
        make()

    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param(CANARY, id="str"),
        pytest.param(5, id="int"),
        pytest.param([CANARY, CANARY], id="list"),
        pytest.param((CANARY,), id="one"),
        pytest.param((CANARY, CANARY, CANARY), id="three"),
        pytest.param((CANARY, None), id="no password"),  # requests would send "None"
        pytest.param((7, CANARY), id="a number"),
        pytest.param({"token": CANARY}, id="dict"),
    ],
)
def test_what_is_no_auth_is_refused_before_anything_is_sent(sandbox, auth):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.ConfigurationError) as caught:
        api.get("echo", auth=auth)

    assert sandbox.requests == []
    assert CANARY not in str(caught.value)


def test_a_header_value_may_hold_a_scheme_and_a_space(sandbox):
    auth = APIKeyAuth("Token abc-123", "Authorization")
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.get("echo")

    assert sandbox.requests[0].headers["authorization"] == "Token abc-123"


# A 401


def rotating(sandbox, name):
    """Return a strategy whose first secret is stale, and the path that tells."""
    secret = {"basic": sandbox.password, "bearer": sandbox.token}.get(name, sandbox.api_key)
    tokens = Tokens("stale-secret", secret)
    strategies = {
        "basic": (BasicAuth(sandbox.user, tokens), "basic"),
        "bearer": (BearerAuth(tokens), "bearer"),
        "header key": (APIKeyAuth(tokens), "key"),
        "query key": (APIKeyAuth(tokens, "api_key", "query"), "key"),
        "cookie key": (APIKeyAuth(tokens, "api_key", "cookie"), "key"),
        "both": (APIKeyAuth(tokens) & BearerAuth("tok"), "key"),
    }
    return strategies[name]


@pytest.mark.parametrize(
    "name", ["basic", "bearer", "header key", "query key", "cookie key", "both"]
)
@pytest.mark.parametrize("retry", [None, 1, 3], ids=["no retries", "one attempt", "three"])
def test_a_rejected_secret_that_changed_is_replaced_outside_the_attempt_count(
    sandbox, waits, name, retry
):
    auth, door = rotating(sandbox, name)
    with httpkit.Session(sandbox.url, auth=auth, retry=retry) as api:
        response = api.get(f"{door}/echo")

    assert (response.status_code, response.attempts, len(sandbox.requests)) == (200, 1, 2)
    assert waits == []


def test_a_rejected_user_that_changed_is_replaced(sandbox):
    auth = BasicAuth(Tokens("stale-user", sandbox.user), sandbox.password)
    with httpkit.Session(sandbox.url, auth=auth) as api:
        response = api.get("basic/echo")

    assert (response.attempts, len(sandbox.requests)) == (1, 2)
    assert repr(auth) == "BasicAuth(<callable>, ***)"


def test_a_variable_that_was_rotated_meanwhile_is_read_again(sandbox, monkeypatch):
    monkeypatch.setenv("BLOG_TOKEN", "stale-token")
    auth = BearerAuth.from_env("BLOG_TOKEN")
    with httpkit.Session(sandbox.url, auth=auth) as api:
        prepared = api.prepare_request(requests.Request("GET", "bearer"))
        monkeypatch.setenv("BLOG_TOKEN", sandbox.token)
        response = api.send(prepared)

    assert (response.status_code, len(sandbox.requests)) == (200, 2)


def test_a_secret_that_is_rejected_again_and_again_ends_the_call(sandbox):
    tokens = Tokens(*(f"wrong-{n}" for n in range(99)))
    with (
        httpkit.Session(sandbox.url, auth=BearerAuth(tokens), retry=5) as api,
        pytest.raises(httpkit.UnauthorizedError) as caught,
    ):
        api.get("bearer")

    assert [request.headers["authorization"] for request in sandbox.requests] == [
        "Bearer wrong-0",
        "Bearer wrong-1",
    ]
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    "auth",
    [
        BearerAuth("wrong"),
        BearerAuth(lambda: "wrong"),
        BearerAuth(lambda: "wrong") & APIKeyAuth(lambda: "key"),
        ("ada", "wrong"),
        httpkit.NO_AUTH,
        None,
    ],
    ids=["fixed", "same again", "both same again", "tuple", "NO_AUTH", "none"],
)
def test_a_rejected_secret_that_has_not_changed_is_not_sent_again(sandbox, auth):
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(httpkit.UnauthorizedError):
        api.get("bearer")

    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: {"data": b"knock knock"}, id="bytes"),
        pytest.param(lambda: {"data": io.BytesIO(b"knock knock")}, id="file"),
        pytest.param(lambda: {"json": "knock knock"}, id="json"),
        pytest.param(lambda: {"files": {"f": b"knock knock"}}, id="multipart"),
    ],
)
def test_the_body_goes_out_again_whole_with_the_new_secret(sandbox, body):
    auth = BearerAuth(Tokens("stale-token", sandbox.token))
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.post("bearer/echo", **body())

    first, second = sandbox.requests
    assert first.body == second.body
    assert b"knock knock" in second.body


def test_a_body_that_can_be_read_only_once_is_not_sent_again(sandbox):
    auth = BearerAuth(Tokens("stale-token", sandbox.token))
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(httpkit.UnauthorizedError):
        api.post("bearer/echo", data=iter([b"knock ", b"knock"]))

    assert [request.body for request in sandbox.requests] == [b"knock knock"]


def test_a_renewed_secret_does_not_use_up_a_retry(raw_server, make_response):
    server = raw_server(*map(make_response, ["401 No", "503 Busy", "503 Busy", "200 OK"]))
    auth = BearerAuth(Tokens("t-1", "t-2", "t-3", "t-4"))
    with httpkit.Session(server.url, auth=auth, retry=3) as api:
        response = api.get("x")

    assert (response.status_code, response.attempts, len(server.requests)) == (200, 3, 4)


def test_a_secret_is_renewed_once_for_all_attempts(raw_server, make_response):
    server = raw_server(*map(make_response, ["401 No", "503 Busy", "401 No", "200 OK"]))
    auth = BearerAuth(Tokens("t-1", "t-2", "t-3", "t-4"))
    with (
        httpkit.Session(server.url, auth=auth, retry=3) as api,
        pytest.raises(httpkit.UnauthorizedError),
    ):
        api.get("x")

    assert len(server.requests) == 3


def test_a_streamed_response_comes_with_the_renewed_secret(sandbox):
    auth = BearerAuth(Tokens("stale-token", sandbox.token))
    with (
        httpkit.Session(sandbox.url, auth=auth) as api,
        api.get("bearer/bytes/100", stream=True) as response,
    ):
        body = response.content

    assert (len(body), len(sandbox.requests)) == (100, 2)


def test_a_secret_is_renewed_before_dispatch_sees_the_401(sandbox):
    auth = BearerAuth(Tokens("stale-token", sandbox.token))
    with httpkit.Session(sandbox.url, auth=auth) as api:
        result = api.get("bearer", on_status={200: lambda _: "in", 401: lambda _: "out"})

    assert result == "in"


def test_http_basic_auth_of_requests_is_never_renewed(sandbox):
    auth = HTTPBasicAuth("ada", "wrong")
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(httpkit.UnauthorizedError):
        api.get("basic")

    assert len(sandbox.requests) == 1


def test_a_pair_of_bytes_is_sent_as_it_is_and_hidden(sandbox):
    with httpkit.Session(sandbox.url, auth=(b"ada", CANARY.encode())) as api:
        error = httpkit._diagnostics.errors.from_response(api.get("echo"), httpkit.StatusError)

    sent = sandbox.requests[0].headers["authorization"]
    assert sent == requests.auth._basic_auth_str("ada", CANARY)
    assert CANARY not in httpkit._core.redaction.redact_text(f"{error} {CANARY}")


# A strategy of the caller's own


class Numbered(httpkit.Strategy):
    """Signs with a token that it makes up, and with another after a rejection."""

    can_change = True

    def __init__(self):
        self.number = 1

    def __call__(self, request):
        request.headers["X-Token"] = f"t-{self.number}"
        return request

    def reject(self, request):
        self.number += request.headers["X-Token"] == f"t-{self.number}"


def tokens_of(server):
    return [head.partition(b"X-Token: ")[2][:3].decode() for head in server.requests]


def test_a_strategy_of_the_callers_signs_again_after_a_401(raw_server, make_response):
    server = raw_server(make_response("401 No"), make_response())

    with httpkit.Session(server.url, auth=Numbered()) as api:
        response = api.get("x")

    assert (tokens_of(server), response.attempts) == (["t-1", "t-2"], 1)


def test_a_strategy_of_the_callers_signs_every_attempt_and_goes_with_others(
    raw_server, make_response
):
    class Counting(httpkit.Strategy):
        def __init__(self):
            self.signed = 0

        def __call__(self, request):
            self.signed += 1
            request.headers["X-Token"] = f"t-{self.signed}"
            return request

    server = raw_server(make_response("503 Busy"), make_response("503 Busy"), make_response())

    with httpkit.Session(server.url, auth=Counting() & APIKeyAuth(CANARY), retry=3) as api:
        api.get("x")

    assert len(set(tokens_of(server))) == 3
    assert all(f"X-API-Key: {CANARY}".encode() in head for head in server.requests)


def test_a_pair_beyond_latin_1_is_refused_without_showing_it(sandbox):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.ConfigurationError) as caught:
        api.get("echo", auth=("ada", f"世{CANARY}"))

    assert sandbox.requests == []
    assert CANARY not in repr(caught.value)


def test_a_login_of_a_url_beyond_latin_1_is_sent_in_utf_8(sandbox):
    url = sandbox.url.replace("//", "//me:пароль@")

    with httpkit.Session() as api:
        api.get(f"{url}/echo")

    assert sandbox.requests[0].headers["authorization"] == "Basic " + b64encode(
        "me:пароль".encode()
    ).decode("ascii")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda secret: httpkit.APIKeyAuth("X-API-Key", f"{secret} "),
        lambda secret: httpkit.ClientCredentialsAuth("https://h/t", f"{secret}\n", "me"),
        lambda secret: httpkit.ClientCredentialsAuth("https://h/t", "me", "s", scope=f"{secret}é"),
        lambda secret: httpkit.StatusDispatch({400: secret}),
        lambda secret: httpkit.Session("https://h").get("{token}", path=("token", secret)),
    ],
    ids=["key as name", "secret as id", "secret as scope", "handler", "path"],
)
def test_a_secret_at_the_place_of_another_argument_is_not_shown(mistake):
    with pytest.raises(ValueError) as caught:  # of several classes
        mistake(f"{CANARY}-{CANARY} 9")

    assert CANARY not in str(caught.value)
