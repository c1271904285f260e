"""What other people's code does with a session of requests, and does with ours as well."""

import base64
import concurrent.futures
import copy
import pickle
import ssl
import threading
from http.cookiejar import CookieJar
from types import SimpleNamespace
from typing import ClassVar
from unittest import mock
from urllib.parse import urlsplit

import pytest
import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import urlparse

import httpkit

STRICTNESS = pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])


class Echo(BaseAdapter):
    """Answers each request with 200, and keeps it."""

    def __init__(self, **fields):
        super().__init__()
        self.fields = fields
        self.requests = []
        self.options = []

    def send(self, request, **options):
        self.requests.append(request)
        self.options.append(options)
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response._content = b"{}"
        response.__dict__.update(self.fields)
        return response

    def close(self):
        pass


def echoing(strict=True, **options):
    session = httpkit.Session("https://api.test", strict=strict, **options)
    session.mount("https://", Echo())
    return session, session.adapters["https://"]


# ---- None in what requests holds

CONTAINERS = ("auth", "cert", "cookies", "headers", "hooks", "params", "proxies", "verify")


@STRICTNESS
@pytest.mark.parametrize("name", CONTAINERS)
def test_none_in_an_attribute_is_sent_as_nothing_and_stays_none(sandbox, strict, name):
    with httpkit.Session(sandbox.url, strict=strict) as session:
        setattr(session, name, None)
        response = session.get("echo", params={"a": "1"})

    assert response.json()["query"] == {"a": ["1"]}
    assert getattr(session, name) is None


@STRICTNESS
@pytest.mark.parametrize("name", CONTAINERS)
def test_none_in_an_attribute_is_no_obstacle_to_a_redirect(raw_server, make_response, strict, name):
    server = raw_server(moved(make_response, 302, "/y"), make_response())
    with httpkit.Session(server.url, strict=strict) as session:
        setattr(session, name, None)
        response = session.get("x")

    assert (response.url, getattr(session, name)) == (f"{server.url}/y", None)


@STRICTNESS
@pytest.mark.parametrize("name", CONTAINERS)
def test_none_in_an_attribute_survives_a_clone_a_copy_and_a_pickle(strict, name):
    session = httpkit.Session("https://api.test", strict=strict)
    setattr(session, name, None)

    twins = [session.with_options(), copy.copy(session), pickle.loads(pickle.dumps(session))]

    assert [getattr(twin, name) for twin in twins] == [None] * 3
    assert all(map(repr, [session, *twins]))
    assert all(twin._repr_html_() for twin in twins)


@STRICTNESS
@pytest.mark.parametrize("name", ["headers", "params", "proxies", "cookies"])
def test_a_clone_gets_what_a_session_with_none_lacks(strict, name):
    session, _ = echoing(strict)
    setattr(session, name, None)

    twin = session.with_options(**{name: {"https": "http://proxy.test"}})

    assert dict(getattr(twin, name)) == {"https": "http://proxy.test"}
    assert getattr(session, name) is None


@STRICTNESS
@pytest.mark.parametrize("name", ["headers", "params", "proxies", "hooks"])
def test_none_of_a_property_of_a_subclass_is_sent_as_nothing(strict, name):
    def ignore(self, value):
        pass

    kind = type("Bare", (httpkit.Session,), {name: property(lambda _: None, ignore)})
    session = kind("https://api.test", strict=strict)
    session.mount("https://", Echo())

    assert session.get("x").status_code == 200


@STRICTNESS
@pytest.mark.parametrize("name", ["headers", "params", "proxies", "hooks", "cookies", "auth"])
def test_none_of_a_class_attribute_is_as_if_it_was_not_there(strict, name):
    kind = type("Bare", (httpkit.Session,), {name: None, "strict": strict})
    session = kind("https://api.test")
    session.mount("https://", Echo())

    assert session.get("x").status_code == 200


@STRICTNESS
@pytest.mark.parametrize(
    "name", ["headers", "params", "proxies", "hooks", "cookies", "auth", "files", "data"]
)
def test_none_in_a_call_is_as_if_it_was_not_given(strict, name):
    session, recorder = echoing(strict)

    session.request("GET", "x", **{name: None})

    assert recorder.requests[0].url == "https://api.test/x"


@STRICTNESS
def test_merging_with_the_environment_takes_none_for_everything(strict):
    session, _ = echoing(strict)
    session.proxies = None

    merged = session.merge_environment_settings("https://api.test/x", None, None, None, None)

    assert {**merged, "proxies": dict(merged["proxies"] or {})} == {
        "proxies": {}, "stream": False, "verify": True, "cert": None,
    }  # fmt: skip


@STRICTNESS
def test_a_prepared_request_is_sent_with_none_for_proxies(sandbox, strict):
    with httpkit.Session(sandbox.url, strict=strict) as session:
        session.proxies = None
        prepared = session.prepare_request(requests.Request("GET", f"{sandbox.url}/echo"))
        sent = [session.send(prepared), session.send(prepared, proxies=None)]

    assert [response.status_code for response in sent] == [200, 200]


@STRICTNESS
def test_a_prepared_request_is_sent_without_hooks(sandbox, strict):
    with httpkit.Session(sandbox.url, strict=strict) as session:
        prepared = session.prepare_request(requests.Request("GET", f"{sandbox.url}/echo"))
        prepared.hooks = None
        sent = [session.send(prepared) for _ in range(2)]

    assert [response.status_code for response in sent] == [200, 200]


@STRICTNESS
def test_a_prepared_request_is_sent_without_headers(sandbox, strict):
    with httpkit.Session(sandbox.url, strict=strict) as session:
        prepared = session.prepare_request(requests.Request("GET", f"{sandbox.url}/echo"))
        prepared.headers = None
        sent = [session.send(prepared) for _ in range(2)]

    assert [response.status_code for response in sent] == [200, 200]


@STRICTNESS
def test_an_adapter_can_be_mounted_where_there_are_none(strict):
    session = httpkit.Session("https://api.test", strict=strict)
    session.adapters = None
    session.close()

    session.mount("https://", Echo())

    assert session.get("x").status_code == 200


def test_a_session_whose_verify_is_none_verifies():
    session, recorder = echoing()
    session.verify = None

    session.get("x")
    session.send(session.prepare_request(requests.Request("GET", "x")))

    assert [options["verify"] for options in recorder.options] == [True, True]


# ---- plain containers


@pytest.mark.parametrize(
    ("headers", "strict"),
    [
        ({"x-a": "1"}, True),
        ({"x-a": "1"}, False),
        ({"X-A": b"1"}, True),
        ({"X-A": b"1"}, False),
        ({b"X-A": "1"}, True),
        ({b"X-A": "1"}, False),
        ([("X-A", "1")], True),  # requests passes over pairs
    ],
)
def test_headers_are_sent_whatever_holds_them(sandbox, headers, strict):
    with httpkit.Session(sandbox.url, strict=strict) as session:
        session.headers = headers
        sent = session.get("echo").json()["headers"]

    assert {name.lower(): value for name, value in sent.items()}["x-a"] == "1"


def test_a_card_shows_no_value_of_headers_that_are_pairs():
    session, _ = echoing()
    session.headers = [("X-Key", "s3cret-0815")]

    assert "s3cret-0815" not in session._repr_html_()


def test_authorization_in_a_plain_dict_keeps_netrc_out(monkeypatch, tmp_path):
    path = tmp_path / "netrc"
    path.write_text("machine api.test login ada password lovelace\n")
    monkeypatch.setenv("NETRC", str(path))
    session, recorder = echoing()
    session.headers = {"authorization": "Token abc"}

    session.get("x")

    assert recorder.requests[0].headers["Authorization"] == "Token abc"


@pytest.mark.parametrize(
    ("of_session", "of_call", "query"),
    [
        ([("a", "1"), ("a", "2")], {"b": True}, "a=1&a=2&b=true"),
        ((("a", "1"),), [("b", "2")], "a=1&b=2"),
        ("a=1", {"b": "2"}, "a=1&b=2"),
        (b"a=1", b"b=2", "a=1&b=2"),
        ({"a": [1, 2]}, "b=3", "a=1&a=2&b=3"),
        ({"a": 1, "c": None}, None, "a=1"),
        ("a=1", None, "a=1"),
    ],
)
def test_parameters_are_added_whatever_holds_them(of_session, of_call, query):
    session, recorder = echoing()
    session.params = of_session

    session.get("x", params=of_call)

    assert urlsplit(recorder.requests[0].url).query == query


@pytest.mark.parametrize(("name", "value"), [("headers", 7), ("proxies", 7), ("cookies", 7)])
def test_what_is_no_container_is_refused_before_anything_is_sent(name, value):
    session, recorder = echoing()
    setattr(session, name, value)

    with pytest.raises(httpkit.ConfigurationError):
        session.get("x")

    assert recorder.requests == []


@STRICTNESS
def test_a_dict_of_cookies_is_sent_and_keeps_what_the_server_sets(
    raw_server, make_response, strict
):
    server = raw_server(make_response(set_cookie="b=2"), make_response())
    with httpkit.Session(server.url, strict=strict) as session:
        session.cookies = {"a": "1"}
        session.get("x")
        session.get("x")

    assert b"Cookie: a=1\r\n" in server.requests[0]
    assert isinstance(session.cookies, CookieJar)
    assert b"a=1" in server.requests[1]
    assert b"b=2" in server.requests[1]


def test_without_cookies_none_are_kept_and_none_sent(raw_server, make_response):
    server = raw_server(make_response(set_cookie="b=2", connection="keep-alive"))
    with httpkit.Session(server.url) as session:
        session.cookies = None
        responses_ = [session.get("x") for _ in range(3)]  # the first opens the connection

    assert b"Cookie" not in b"".join(server.requests)
    assert [dict(r.cookies) for r in responses_] == [{"b": "2"}] * 3


# ---- mocks

MOCKS = {
    "Mock": lambda: mock.Mock(status_code=200),
    "spec": lambda: mock.Mock(spec=requests.Response, status_code=200),
    "MagicMock": mock.MagicMock,
    "SimpleNamespace": lambda: SimpleNamespace(status_code=200),
    "object": object,
    "None": lambda: None,
}


@STRICTNESS
@pytest.mark.parametrize("make", MOCKS.values(), ids=MOCKS)
def test_what_a_replaced_send_returns_passes_untouched(strict, make):
    session = httpkit.Session("https://api.test", strict=strict)
    mocked = make()
    before = type(mocked), dict(getattr(mocked, "__dict__", {}))

    with mock.patch.object(session, "send", return_value=mocked):
        found = session.get("x")

    assert found is mocked
    assert type(found) is before[0]


@STRICTNESS
@pytest.mark.parametrize("make", [MOCKS["MagicMock"], MOCKS["spec"]], ids=["MagicMock", "spec"])
def test_what_a_replaced_send_of_the_class_returns_passes_untouched(strict, make):
    mocked = make()

    with mock.patch("httpkit.Session.send", return_value=mocked):
        found = httpkit.Session("https://api.test", strict=strict).get("x")

    assert found is mocked


@STRICTNESS
def test_the_response_of_a_mocked_error_passes_untouched(strict):
    mocked = mock.Mock(spec=requests.Response, status_code=500)
    before = type(mocked)
    session = httpkit.Session("https://api.test", strict=strict, retry=None)
    error = requests.HTTPError("mocked", response=mocked)
    session.mount("https://", mock.Mock(send=mock.Mock(side_effect=error), max_retries=0))

    with pytest.raises(requests.HTTPError) as caught:
        session.get("x")

    assert caught.value.response is mocked
    assert type(mocked) is before


STANDING_IN = {"status_code": 200, "history": [], "raw": None, "content": b"", "headers": {}}


@STRICTNESS
@pytest.mark.parametrize("options", [{}, {"retry": 3}, {"retry": None, "deadline": 5}], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda: SimpleNamespace(is_redirect=False, **STANDING_IN),
        lambda: mock.MagicMock(is_redirect=False, **STANDING_IN),
        lambda: mock.Mock(spec=requests.Response, is_redirect=False, **STANDING_IN),
    ],
    ids=["SimpleNamespace", "MagicMock", "spec"],
)
def test_a_response_of_a_third_party_adapter_is_unchanged(strict, options, make):
    session, mocked = httpkit.Session("https://api.test", strict=strict, **options), make()
    adapter = mock.Mock(send=mock.Mock(return_value=mocked), max_retries=0)
    session.mount("https://", adapter)

    found = session.get("x")

    assert (found is mocked, adapter.send.call_count) == (True, 1)


class Bare(requests.Response):
    """A response of a library of tests, without what requests' constructor sets."""

    def __init__(self):
        self.status_code, self._content, self.url = 200, b"hi", "https://api.test/x"


@STRICTNESS
def test_a_response_without_a_history_is_adopted(strict):
    session = httpkit.Session("https://api.test", strict=strict)

    with mock.patch.object(session, "send", return_value=Bare()):
        found = session.get("x")

    assert (found.content, isinstance(found, Bare)) == (b"hi", True)


# ---- pickles


class Pooled(httpkit.Session):
    """Holds what cannot be pickled, and names what is to be."""

    __attrs__: ClassVar = [*httpkit.Session.__attrs__, "label"]

    def __init__(self, **options):
        super().__init__(**options)
        self.executor = concurrent.futures.ThreadPoolExecutor(1)
        self.lock = threading.Lock()
        self.callback = lambda: None
        self.pending = set()
        self.label = "kept"


def test_a_bound_method_of_a_session_works_in_another_process(sandbox):
    session = Pooled(base_url=sandbox.url, strict=False)
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        future = pool.submit(session.get, "echo", params={"a": "1"})
        response = future.result(60)

    assert response.json()["query"] == {"a": ["1"]}


@pytest.mark.parametrize(
    "travel",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_lenient_session_takes_along_what_its_class_names(travel):
    session = Pooled(base_url="https://api.test", strict=False)
    session.headers["X-A"] = "1"

    twin = travel(session)

    assert (twin.headers["X-A"], twin.base_url, twin.strict) == ("1", "https://api.test", False)
    assert twin.label == "kept"
    assert not {"executor", "lock", "callback", "pending"} & vars(twin).keys()


def test_what_requests_pickles_of_a_session_must_be_picklable():
    session = httpkit.Session(strict=False)
    session.hooks = {"response": [lambda r, **_: r]}

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(session)


# ---- adapters


def test_lenient_adapters_are_requests_own():
    ours = httpkit.Session(strict=False).adapters
    theirs = requests.Session().adapters

    assert {
        p: (type(a), *a.__getstate__().values()) for p, a in ours.items()
    }.keys() == theirs.keys()
    for prefix, adapter in theirs.items():
        assert type(ours[prefix]) is HTTPAdapter
        for name in ("_pool_connections", "_pool_maxsize", "_pool_block"):
            assert getattr(ours[prefix], name) == getattr(adapter, name)


# ---- the words of other people's errors

WORDS = "call not registered: GET https://api.test/x?token=abcdef123456 password: hunter2hunter2"


@pytest.mark.parametrize("options", [{}, {"retry": 2}, {"deadline": 5}], ids=repr)
def test_the_message_of_an_error_of_a_third_party_adapter_stays(options):
    session = httpkit.Session("https://api.test", strict=False, **options)
    session.mount(
        "https://", mock.Mock(send=mock.Mock(side_effect=requests.ConnectionError(WORDS)))
    )

    with pytest.raises(requests.ConnectionError) as caught:
        session.get("x")

    assert str(caught.value) == WORDS


def test_the_message_of_an_error_of_a_mock_stays():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.get("https://api.test/x", body=requests.Timeout(WORDS))
        with pytest.raises(requests.Timeout) as caught:
            httpkit.Session("https://api.test", strict=False).get("x")

    assert str(caught.value) == WORDS


def test_the_secret_of_a_strategy_is_masked_in_an_error_of_a_mock():
    auth = httpkit.BearerAuth("s3cret-token-0815")
    session = httpkit.Session("https://api.test", auth=auth, strict=False)
    error = requests.ConnectionError("refused: s3cret-token-0815 for ?token=visible123")
    session.mount("https://", mock.Mock(send=mock.Mock(side_effect=error)))

    with pytest.raises(requests.ConnectionError) as caught:
        session.get("x")

    assert "s3cret-token-0815" not in str(caught.value)
    assert "visible123" in str(caught.value)


def test_the_message_of_an_error_of_requests_is_redacted_under_strict_false(nobody):
    with pytest.raises(requests.ConnectionError) as caught:
        httpkit.Session(nobody, strict=False).get("x?token=abcdef123456")

    assert "abcdef123456" not in str(caught.value)


def test_the_message_of_an_error_of_a_mock_is_redacted_by_default():
    session = httpkit.Session("https://api.test", retry=None)
    session.mount(
        "https://", mock.Mock(send=mock.Mock(side_effect=requests.ConnectionError(WORDS)))
    )

    with pytest.raises(requests.ConnectionError) as caught:
        session.get("x")

    assert "abcdef123456" not in str(caught.value)


def test_a_mock_that_quotes_the_headers_of_a_request_quotes_all_of_them():
    session, recorder = echoing(strict=False)

    session.get("x", headers={"X-Signature": "abc", "X-Plain": "1"})

    assert str(recorder.requests[0].headers) == str(dict(recorder.requests[0].headers))
    assert "'X-Signature': 'abc'" in str(recorder.requests[0].headers)


# ---- whom a session trusts


@pytest.fixture
def secure(raw_server, make_response, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    return raw_server(make_response(), tls=tls)


class Trusting(httpkit.Session, verify=True):
    """Says so in its class."""


def assigned(url):
    session = httpkit.Session(url)
    session.verify = True
    return session


def by_hand(url):
    session = httpkit.Session(url)
    session.request = lambda _, path: session.send(
        session.prepare_request(requests.Request("GET", path))
    )
    return session


TRUSTING = {
    "call": lambda url: httpkit.Session(url).get("x", verify=True),
    "session": lambda url: httpkit.Session(url, verify=True).get("x"),
    "attribute": lambda url: assigned(url).get("x"),
    "class": lambda url: Trusting(url).get("x"),
    "clone": lambda url: httpkit.Session(url).with_options(verify=True).get("x"),
    "call over False": lambda url: httpkit.Session(url, verify=False).get("x", verify=True),
    "send": lambda url: by_hand(url).request("GET", "x"),
}


@pytest.mark.parametrize("get", TRUSTING.values(), ids=TRUSTING)
def test_verify_true_trusts_the_bundle_of_the_environment(secure, bundle, monkeypatch, get):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)

    assert get(secure.url).status_code == 200


@pytest.mark.parametrize("get", TRUSTING.values(), ids=TRUSTING)
def test_verify_true_trusts_nobody_else(secure, get):
    with pytest.raises(requests.exceptions.SSLError):
        get(secure.url)

    assert secure.requests == []


def test_a_bundle_of_the_session_beats_that_of_the_environment(
    secure, bundle, monkeypatch, tmp_path
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))

    assert httpkit.Session(secure.url, verify=bundle).get("x").status_code == 200


# ---- redirects

CONTENT = {"Content-Type": "application/json", "Content-Language": "de", "Content-Encoding": "br"}


def moved(response, status, location):
    return response(f"{status} Moved", location=location)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same origin", "other origin"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("status", "keeps"), [(301, False), (302, False), (303, False), (307, True), (308, True)]
)
def test_a_redirect_that_sends_nothing_describes_nothing(
    raw_server, make_response, status, keeps, method, elsewhere
):
    target = raw_server(make_response())
    server = raw_server(
        moved(make_response, status, f"{target.url}/y" if elsewhere else "/y"), make_response()
    )

    with httpkit.Session(server.url, headers=CONTENT) as session:
        session.request(method, "x")

    head = (target if elsewhere else server).requests[-1].lower()
    assert [f"{name}:".lower().encode() in head for name in CONTENT] == [keeps] * 3


def test_a_redirect_that_sends_the_body_again_describes_it(raw_server, make_response):
    server = raw_server(moved(make_response, 302, "/y"), make_response())

    with httpkit.Session(server.url) as session:
        session.put("x", json={"a": 1})

    assert b"content-type: application/json" in server.requests[1].lower()
    assert server.requests[1].endswith(b'{"a":1}') or server.requests[1].endswith(b'{"a": 1}')


def test_a_put_without_a_body_says_so_after_a_redirect(raw_server, make_response):
    server = raw_server(moved(make_response, 302, "/y"), make_response())

    with httpkit.Session(server.url) as session:
        session.put("x")

    assert b"content-length: 0" in server.requests[1].lower()


class Earthdata(httpkit.Session):
    """As NASA publishes it for requests: the login host may see the password, and send back."""

    AUTH_HOST = "localhost"

    def rebuild_auth(self, prepared_request, response):
        headers, url = prepared_request.headers, prepared_request.url
        if "Authorization" in headers:
            hosts = {urlparse(response.request.url).hostname, urlparse(url).hostname}
            if len(hosts) > 1 and self.AUTH_HOST not in hosts:
                del headers["Authorization"]


class Naming(httpkit.Session):
    """Keeps credentials for one host."""

    def should_strip_auth(self, old_url, new_url):
        if urlsplit(new_url).hostname == "localhost":
            return False
        return super().should_strip_auth(old_url, new_url)


BASIC = b"Authorization: Basic " + base64.b64encode(b"ada:lovelace")


@pytest.fixture
def chain(raw_server, make_response):
    """A data host, which sends to a login host, which sends back."""
    data, login = raw_server(), raw_server()
    data.responses = [
        moved(make_response, 302, f"http://localhost:{login.port}/oauth"),
        make_response(body=b"hi"),
    ]
    login.responses = [moved(make_response, 302, f"{data.url}/login?code=1")]
    return data, login


def authorized(server):
    return [BASIC in request for request in server.requests]


@pytest.mark.parametrize("with_base", [True, False], ids=["base_url", "no base_url"])
@pytest.mark.parametrize("kind", [Earthdata, Naming])
def test_a_subclass_keeps_the_password_for_the_host_that_it_names(chain, kind, with_base):
    data, login = chain
    session = kind(data.url) if with_base else kind()
    with session:
        session.auth = ("ada", "lovelace")
        body = session.get(f"{data.url}/file").content

    assert body == b"hi"
    assert authorized(login) == [True]
    assert authorized(data)[0]


def test_the_session_of_nasa_sends_the_password_back_to_the_data(chain):
    data, _ = chain
    with Earthdata(data.url, auth=("ada", "lovelace")) as session:
        session.get("file")

    assert authorized(data) == [True, True]


@pytest.mark.parametrize("kind", [Earthdata, Naming])
def test_a_host_that_a_subclass_does_not_name_gets_no_password(raw_server, make_response, kind):
    other_server = raw_server(make_response(), host="127.0.0.2")
    data = raw_server(moved(make_response, 302, f"{other_server.url}/x"))
    with kind(data.url, auth=("ada", "lovelace")) as session:
        session.get("file")

    assert authorized(data) == [True]
    assert b"authorization" not in other_server.requests[0].lower()


def test_without_a_subclass_no_other_host_gets_a_password(chain):
    data, login = chain
    with httpkit.Session(data.url, auth=("ada", "lovelace")) as session:
        session.get("file")

    assert b"authorization" not in login.requests[0].lower()


def test_a_subclass_that_keeps_the_password_keeps_no_key_of_the_session(chain):
    data, login = chain
    with Earthdata(data.url, auth=("ada", "lovelace"), headers={"X-Api-Key": "abc"}) as session:
        session.cookies.set("sid", "secret", domain="localhost.local")
        session.get("file")

    assert authorized(login) == [True]
    assert b"x-api-key" not in login.requests[0].lower()
    assert b"sid" not in login.requests[0]


def test_should_strip_auth_is_called_for_a_key_in_a_header_too(chain):
    data, login = chain
    with Naming(data.url, auth=httpkit.APIKeyAuth("k3y-0815")) as session:
        session.get("file")

    assert b"X-API-Key: k3y-0815" in login.requests[0]


def test_a_subclass_may_put_another_credential_there(chain):
    data, login = chain

    class Other(httpkit.Session):
        def rebuild_auth(self, prepared_request, response):
            prepared_request.headers["Authorization"] = "Token of-the-login"

    with Other(data.url, auth=("ada", "lovelace")) as session:
        session.get("file")

    assert b"Authorization: Token of-the-login\r\n" in login.requests[0]


@pytest.mark.parametrize("auth", [("ada", "lovelace"), httpkit.BearerAuth("t0ken-0815")], ids=repr)
def test_a_subclass_may_take_credentials_away_within_an_origin(raw_server, make_response, auth):
    server = raw_server(moved(make_response, 302, "/public"), make_response())

    class Careful(httpkit.Session):
        def should_strip_auth(self, old_url, new_url):
            return new_url.endswith("/public")

    with Careful(server.url, auth=auth) as session:
        session.get("private")

    assert [b"Authorization: " in request for request in server.requests] == [True, False]


def test_a_subclass_decides_about_the_method(raw_server, make_response):
    server = raw_server(moved(make_response, 302, "/y"), make_response())

    class Stubborn(httpkit.Session):
        def rebuild_method(self, prepared_request, response):
            if response.status_code != 302:
                super().rebuild_method(prepared_request, response)

    with Stubborn(server.url) as session:
        session.post("x", data={"a": "1"})

    assert server.requests[1].startswith(b"POST /y ")
    assert server.requests[1].endswith(b"a=1")


def test_a_subclass_decides_about_the_target(raw_server, make_response):
    server = raw_server(make_response("200 OK", refresh="0; url=/y"), make_response(body=b"there"))

    class Refreshing(httpkit.Session):
        def get_redirect_target(self, resp):
            field = resp.headers.get("refresh", "")
            return field.partition("url=")[2] or super().get_redirect_target(resp)

    with Refreshing(server.url) as session:
        response = session.get("x")

    assert (response.content, len(response.history)) == (b"there", 1)


def test_a_subclass_decides_about_the_proxies(raw_server, make_response):
    server = raw_server(moved(make_response, 302, "/y"), make_response())
    seen = []

    class Proxied(httpkit.Session):
        def rebuild_proxies(self, prepared_request, proxies):
            seen.append(prepared_request.url)
            return super().rebuild_proxies(prepared_request, proxies)

    with Proxied(server.url) as session:
        session.get("x")

    assert seen == [f"{server.url}/y"]


# ---- a constructor that calls that of requests by name, as Authlib's does


class ByName(requests.Session):
    def __init__(self):
        requests.Session.__init__(self)
        self.headers["X-Own"] = "1"
        self.cookies.set("own", "1")


class Named(
    ByName, httpkit.Session, base_url="https://a.test", headers={"X-Class": "2"}, params={"c": "3"}
):
    pass


def pickled(session):
    return pickle.loads(pickle.dumps(session))


COPIES = {
    "itself": lambda session: session,
    "clone": lambda session: session.with_options(timeout=3),
    "pickle": pickled,
    "copy": copy.copy,
}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def named(request, sandbox):
    with request.param(Named()) as session:
        session.base_url = sandbox.url
        yield session


def test_a_session_is_set_up_though_its_constructor_called_that_of_requests(named, sandbox):
    response = named.get("flaky/c")

    assert (type(response), response.attempts) == (httpkit.Response, 3)
    seen = sandbox.requests[-1]
    assert (seen.headers["X-Own"], seen.headers["X-Class"]) == ("1", "2")
    assert seen.headers["Cookie"] == "own=1"
    assert seen.query == {"c": ["3"]}
    assert isinstance(named.get_adapter("https://a.test"), httpkit.Adapter)
    assert seen.headers["User-Agent"].startswith("httpkit/")


def test_it_keeps_what_was_assigned_before_its_first_request(sandbox):
    session = Named()
    session.auth, session.headers["X-Class"], session.verify = ("ada", "pw"), "mine", False

    session.get(f"{sandbox.url}/echo", headers={"X-Call": "4"})

    assert session.auth == ("ada", "pw")
    assert session.headers["X-Class"] == "mine"
    assert session.verify is False
