"""What a session is told, by whom, and what it makes of it."""

import inspect
import io
import math
import pickle
import subprocess
import sys
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from unittest import mock
from urllib.parse import urljoin

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import httpkit
from httpkit import (
    BasicAuth,
    BearerAuth,
    ConfigurationError,
    NotFoundError,
    RetryPolicy,
    Session,
    StatusDispatch,
    raising,
)

BASE = "https://api.test/v1"
VERBS = ("get", "options", "head", "post", "put", "patch", "delete")
NAN = float("nan")


class Recording(HTTPAdapter):
    """An adapter that notes what it is given and answers with one status."""

    def __init__(self, status=200):
        super().__init__()
        self.status = status
        self.sent = []
        self.options = []

    def send(self, request, **options):
        self.sent.append(request)
        self.options.append(options)
        response = requests.Response()
        response.status_code, response.request, response.url = self.status, request, request.url
        response.raw = io.BytesIO()
        return response


@pytest.fixture
def recorder():
    """An adapter to mount, so that a session's requests end here."""
    return Recording()


def on(recorder, base_url=BASE, *, cls=Session, **settings):
    api = cls(base_url, **settings)
    api.mount("http://", recorder)
    api.mount("https://", recorder)
    return api


# ---- who says what: the class, its subclasses, the instance, the call

# Each setting with three values: one for a class, its subclass and an instance.
SETTINGS = {
    "base_url": ("https://one.test", "https://two.test", "https://three.test"),
    "auth": (BasicAuth("one", "pass"), BasicAuth("two", "pass"), BasicAuth("three", "pass")),
    "headers": ({"X-Shade": "one"}, {"x-shade": "two"}, {"X-SHADE": "three"}),
    "params": ({"shade": "one"}, {"shade": "two"}, {"shade": "three"}),
    "cookies": ({"shade": "one"}, {"shade": "two"}, {"shade": "three"}),
    "proxies": ({"ftp": "http://one.test"}, {"ftp": "http://two.test"}, {"ftp": "http://x.test"}),
    "verify": ("one.pem", "two.pem", False),
    "cert": ("one.pem", ("two.pem", "two.key"), "three.pem"),
    "timeout": (1, (2, 3), None),
    "deadline": (1, None, 3),
    "retry": (2, RetryPolicy(attempts=3), None),
    "on_status": ({404: raising(KeyError)}, StatusDispatch({409: print}), {"4xx": print}),
    "raise_for_status": (False, True, False),
    "max_body": (1, None, 3),
    "trusted_origins": (("https://one.test",), ("https://two.test",), ("https://three.test",)),
    "allow_http_auth": (True, False, True),
    "redirect_body": (True, False, True),
    "secret_headers": (("X-Shade-One",), ("X-Shade-Two",), ("X-Shade-Three",)),
    "shown": (("X-Show-One",), ("X-Show-Two",), ("X-Show-Three",)),
    "error_reason": (repr, str, ascii),
    "strict": (False, True, False),
}
REQUESTS_OWN = ("auth", "headers", "params", "cookies", "proxies", "verify", "cert")
MAPPINGS = ("headers", "params", "cookies", "proxies")
HTTPKITS_OWN = tuple(name for name in SETTINGS if name not in REQUESTS_OWN)

each_setting = pytest.mark.parametrize("name", SETTINGS)
each_own_setting = pytest.mark.parametrize("name", HTTPKITS_OWN)


def subclass_of(parent, attributes=(), **keywords):
    return type("Made", (parent,), dict(attributes), **keywords)


def says(session, name, value):
    """Say whether a session has a setting; mappings may hold more, containers may be copies."""
    present = getattr(session, name)
    if name in MAPPINGS:
        return all(present.get(key) == item for key, item in value.items())
    if name in {"on_status", "trusted_origins", "secret_headers", "shown"}:
        return list(present or ()) == list(value or ())
    return present == value


@each_setting
def test_a_class_keyword_reaches_subclasses_of_subclasses(name):
    value = SETTINGS[name][0]
    grandchild = subclass_of(subclass_of(subclass_of(Session, **{name: value})))

    with grandchild() as session:
        assert says(session, name, value)


@each_setting
def test_a_subclass_beats_its_parent(name):
    first, second, _ = SETTINGS[name]
    child = subclass_of(subclass_of(Session, **{name: first}), **{name: second})

    with child() as session:
        assert says(session, name, second)


@each_setting
def test_a_parent_is_not_changed_by_its_subclass(name):
    first, second, _ = SETTINGS[name]
    parent = subclass_of(Session, **{name: first})
    subclass_of(parent, **{name: second})

    with parent() as session:
        assert says(session, name, first)


@each_setting
def test_an_instance_beats_its_class(name):
    first, second, third = SETTINGS[name]
    child = subclass_of(subclass_of(Session, **{name: first}), **{name: second})

    with child(**{name: third}) as session:
        assert says(session, name, third)


@each_setting
def test_an_instance_does_not_change_its_class(name):
    first, _, third = SETTINGS[name]
    cls = subclass_of(Session, **{name: first})
    cls(**{name: third}).close()

    with cls() as session:
        assert says(session, name, first)


@each_own_setting
def test_a_class_attribute_is_a_setting(name):
    first, second, _ = SETTINGS[name]
    child = subclass_of(subclass_of(Session, {name: first}), {name: second})

    with child() as session:
        assert says(session, name, second)


@each_own_setting
def test_an_attribute_beats_the_keyword_of_a_parent(name):
    first, second, _ = SETTINGS[name]
    child = subclass_of(subclass_of(Session, **{name: first}), {name: second})

    with child() as session:
        assert says(session, name, second)


@each_own_setting
def test_an_attribute_set_on_the_instance_is_a_setting(name, recorder):
    third = SETTINGS[name][2]
    with on(recorder) as session:
        setattr(session, name, third)

        session.get("https://three.test/x")

        assert says(session, name, third)


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings_of_class_and_instance_are_merged(name):
    parent = subclass_of(Session, **{name: {"A": "http://a.test"}})
    child = subclass_of(parent, **{name: {"B": "http://b.test"}})

    with child(**{name: {"C": "http://c.test"}}) as session:
        merged = dict(getattr(session, name))

    wanted = {"A": "http://a.test", "B": "http://b.test", "C": "http://c.test"}
    assert merged.items() >= wanted.items()


def test_a_subclass_takes_its_parents_auth_away_with_none(recorder):
    parent = subclass_of(Session, auth=BearerAuth("parents-token"))

    with on(recorder, cls=subclass_of(parent, auth=None)) as session:
        session.get("x")

    assert "Authorization" not in recorder.sent[0].headers


def test_class_keywords_of_both_parents_are_kept():
    first = subclass_of(Session, auth=BasicAuth("user", "pass"), headers={"X-A": "1"})
    second = subclass_of(Session, params={"b": "2"}, headers={"X-A": "2", "X-B": "2"})

    with type("Both", (first, second), {})() as session:
        assert session.auth == BasicAuth("user", "pass")
        assert session.params == {"b": "2"}
        assert (session.headers["X-A"], session.headers["X-B"]) == ("1", "2")


# What a session says, what the call says, and how it shows in what is sent.
PER_CALL = {
    "headers": ({"X-Shade": "session"}, {"x-shade": "call"}),
    "params": ({"shade": "session"}, {"shade": "call"}),
    "cookies": ({"shade": "session"}, {"shade": "call"}),
    "auth": (BasicAuth("session", "pass"), BasicAuth("call", "pass")),
    "verify": ("session.pem", "call.pem"),
    "cert": ("session.pem", "call.pem"),
    "proxies": ({"https": "http://session.test"}, {"https": "http://call.test"}),
    "timeout": (7, (8, 9)),
}
SHOWS = {
    "headers": lambda recorder: recorder.sent[0].headers["X-Shade"] == "call",
    "params": lambda recorder: recorder.sent[0].url == f"{BASE}/x?shade=call",
    "cookies": lambda recorder: recorder.sent[0].headers["Cookie"] == "shade=call",
    "auth": lambda recorder: recorder.sent[0].headers["Authorization"] == "Basic Y2FsbDpwYXNz",
    "verify": lambda recorder: recorder.options[0]["verify"] == "call.pem",
    "cert": lambda recorder: recorder.options[0]["cert"] == "call.pem",
    "proxies": lambda recorder: recorder.options[0]["proxies"]["https"] == "http://call.test",
    "timeout": lambda recorder: recorder.options[0]["timeout"] == (8, 9),
}


@pytest.mark.parametrize("name", PER_CALL)
def test_a_call_beats_its_session(name, recorder):
    of_session, of_call = PER_CALL[name]

    with on(recorder, **{name: of_session}) as api:
        api.get("x", **{name: of_call})

    assert SHOWS[name](recorder)


@pytest.mark.parametrize("name", PER_CALL)
def test_arguments_of_a_call_apply_to_it_only(name, recorder):
    of_session, of_call = PER_CALL[name]

    with on(recorder, **{name: of_session}) as api:
        api.get("x", **{name: of_call})
        recorder.sent.clear()
        recorder.options.clear()
        api.get("x")

    assert not SHOWS[name](recorder)


def test_a_calls_retry_beats_the_sessions(recorder):
    recorder.status = 503

    with on(recorder, retry=4, raise_for_status=False) as api:
        api.get("x", retry=2)

    assert len(recorder.sent) == 2


def test_a_calls_deadline_beats_the_sessions(recorder):
    with on(recorder, deadline=50, timeout=None) as api:
        api.get("x", deadline=2)

    assert max(recorder.options[0]["timeout"]) <= 2


@pytest.mark.parametrize("of_call", [True, False])
def test_a_calls_raise_for_status_beats_the_sessions(of_call, recorder):
    recorder.status = 404

    with on(recorder, raise_for_status=not of_call) as api:
        outcome = outcome_of(api.get, "x", raise_for_status=of_call)

    assert outcome == (NotFoundError if of_call else 404)


def test_a_calls_table_precedes_the_sessions(recorder):
    recorder.status = 404

    with on(recorder, on_status={404: raising(KeyError)}) as api:
        response = api.get("x", on_status={"4xx": lambda _: "the call's"})

    assert response == "the call's"


def test_a_calls_max_body_beats_the_sessions(sandbox):
    with Session(sandbox.url, max_body=1000) as api, pytest.raises(httpkit.BodyTooLargeError):
        api.get("bytes/100", max_body=99)


@pytest.mark.parametrize("of_call", [True, False])
def test_a_calls_redirect_body_beats_the_sessions(of_call, sandbox):
    with Session(sandbox.url, redirect_body=not of_call) as api:
        outcome_of(api.post, "redirect/other/echo?status=307", data="x", redirect_body=of_call)

    bodies_elsewhere = [request.body for request in sandbox.requests if request.path == "/echo"]
    assert bodies_elsewhere == ([b"x"] if of_call else [])


@pytest.mark.parametrize("of_call", [True, False])
def test_a_calls_allow_http_auth_beats_the_sessions(of_call, recorder):
    settings = {"auth": BearerAuth("some-token-1"), "allow_http_auth": not of_call}

    with on(recorder, "http://api.test", **settings) as api:
        outcome_of(api.get, "x", allow_http_auth=of_call)

    assert len(recorder.sent) == of_call


def outcome_of(call, *args, **kwargs):
    """Return the status, or the class of what was raised."""
    try:
        return call(*args, **kwargs).status_code
    except requests.RequestException as error:
        return type(error)


# ---- containers


def test_constructing_does_not_change_the_callers_containers(recorder):
    given = {
        "headers": {"X-A": "1"},
        "params": {"a": "1"},
        "cookies": {"a": "1"},
        "proxies": {"ftp": "http://a.test"},
        "trusted_origins": ["https://a.test"],
        "secret_headers": ["X-A-1"],
        "shown": ["X-A-2"],
        "on_status": {404: raising(KeyError)},
    }
    before = {name: type(value)(value) for name, value in given.items()}
    with on(recorder, **given) as api:
        api.headers["X-B"] = "2"
        api.params["b"] = "2"
        api.proxies["sftp"] = "http://b.test"
        api.cookies.set("b", "2")

        api.get("x", headers={"X-C": "3"}, params={"c": "3"}, cookies={"c": "3"})

    assert given == before


# A container to give, and what its owner adds to it afterwards.
CHANGES = {
    "headers": ({"X-A": "1"}, {"X-B": "2"}),
    "params": ({"a": "1"}, {"b": "2"}),
    "cookies": ({"a": "1"}, {"b": "2"}),
    "proxies": ({"ftp": "http://a.test"}, {"sftp": "http://b.test"}),
    "trusted_origins": (["https://a.test"], ["https://b.test"]),
    "secret_headers": (["X-A-1"], ["X-B-1"]),
    "shown": (["X-A-2"], ["X-B-2"]),
    "on_status": ({404: raising(KeyError)}, {500: raising(KeyError)}),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("level", ["class", "instance", "clone"])
def test_a_container_that_its_owner_changes_later_does_not_change_the_session(level, name):
    value, change = CHANGES[name]
    given = type(value)(value)
    cls = subclass_of(Session, **({name: given} if level == "class" else {}))
    session = cls(**({name: given} if level == "instance" else {}))
    if level == "clone":
        session = session.with_options(**{name: given})

    given.extend(change) if isinstance(given, list) else given.update(change)

    present = getattr(cls() if level == "class" else session, name)
    assert not set(change) & set(dict(present) if name in MAPPINGS else present)


def test_two_sessions_share_no_container(recorder):
    cls = subclass_of(Session, headers={"X-A": "1"}, params={"a": "1"}, cookies={"a": "1"})
    with on(recorder, cls=cls) as first, on(recorder, cls=cls) as second:
        first.headers["X-B"] = "2"
        first.params["b"] = "2"
        first.cookies.set("b", "2")
        first.hooks["response"].append(print)

        second.get("x")

    assert "X-B" not in recorder.sent[0].headers
    assert (recorder.sent[0].url, recorder.sent[0].headers["Cookie"]) == (f"{BASE}/x?a=1", "a=1")


def test_a_call_does_not_change_the_callers_containers(recorder):
    headers, params, cookies = {"X-A": "1"}, {"a": True}, {"a": "1"}
    path, json, data, table = {"id": 7}, {"a": [1]}, {"b": "2"}, {404: print}
    settings = {"headers": {"X-S": "1"}, "params": {"s": "1"}, "auth": BearerAuth("token-12345")}

    with on(recorder, **settings) as api:
        api.get(
            "posts/{id}", headers=headers, params=params, cookies=cookies, path=path,
            on_status=table, idempotency_key=True,
        )  # fmt: skip
        api.post("posts", json=json)
        api.post("posts", data=data)

    assert (headers, params, cookies) == ({"X-A": "1"}, {"a": True}, {"a": "1"})
    assert (path, json, data, table) == ({"id": 7}, {"a": [1]}, {"b": "2"}, {404: print})


def test_read_only_containers_are_taken(recorder):
    frozen = MappingProxyType({"x-a": "1"})

    with on(recorder, headers=frozen, params=frozen) as api:
        api.get("x", headers=MappingProxyType({"x-b": "2"}), params=MappingProxyType({"b": 2}))

    assert recorder.sent[0].url == f"{BASE}/x?x-a=1&b=2"
    assert (recorder.sent[0].headers["x-a"], recorder.sent[0].headers["x-b"]) == ("1", "2")


# ---- None


@pytest.mark.parametrize("name", REQUESTS_OWN)
def test_none_for_a_parameter_of_requests_means_not_given(name):
    value = SETTINGS[name][0]
    cls = subclass_of(Session, **{name: value})

    with cls(**{name: None}) as session:
        assert says(session, name, value)


def test_none_for_a_calls_parameter_of_requests_means_not_given(recorder):
    settings = {
        "headers": {"X-A": "1"},
        "params": {"a": "1"},
        "cookies": {"a": "1"},
        "auth": BasicAuth("user", "pass"),
        "verify": "a.pem",
        "cert": "b.pem",
    }
    nothing = dict.fromkeys((*settings, "proxies", "hooks", "stream", "files", "data", "json"))

    with on(recorder, **settings) as api:
        api.get("x")
        api.get("x", **nothing)

    assert recorder.sent[0].headers == recorder.sent[1].headers
    assert recorder.sent[0].url == recorder.sent[1].url
    assert recorder.options[0] == recorder.options[1]


@pytest.mark.parametrize("level", ["class", "instance", "attribute", "call", "clone"])
def test_timeout_none_is_off(level, recorder):
    cls = subclass_of(Session, timeout=None) if level == "class" else Session
    settings = {"timeout": None} if level == "instance" else {}
    with on(recorder, cls=cls, deadline=None, **settings) as api:
        if level == "attribute":
            api.timeout = None
        user = api.with_options(timeout=None) if level == "clone" else api

        user.get("x", **({"timeout": None} if level == "call" else {}))

    assert recorder.options[0]["timeout"] is None


@pytest.mark.parametrize("name", ["base_url", "deadline", "retry", "on_status", "max_body"])
def test_none_for_a_setting_of_httpkit_means_off(name):
    cls = subclass_of(Session, **{name: SETTINGS[name][0]})

    with cls(**{name: None}) as session:
        assert getattr(session, name) is None


@pytest.mark.parametrize("name", ["trusted_origins", "secret_headers", "shown"])
def test_none_for_a_collection_of_httpkit_is_an_empty_one(name, recorder):
    with on(recorder, cls=subclass_of(Session, **{name: SETTINGS[name][0]}), **{name: None}) as api:
        api.get("x")

        assert not getattr(api, name)


def test_a_call_turns_retries_off_with_none(recorder):
    recorder.status = 503

    with on(recorder, raise_for_status=False) as api:
        api.get("x", retry=None)

    assert len(recorder.sent) == 1


def test_a_call_turns_the_deadline_off_with_none(recorder):
    with on(recorder, deadline=2, timeout=(50, 60)) as api:
        api.get("x", deadline=None)

    assert recorder.options[0]["timeout"] == (50, 60)


def test_a_call_turns_the_body_limit_off_with_none(sandbox):
    with Session(sandbox.url, max_body=99) as api:
        response = api.get("bytes/100", max_body=None)

    assert len(response.content) == 100


def test_a_call_turns_the_tables_off_with_none(recorder):
    recorder.status = 404

    with on(recorder, on_status={404: raising(KeyError)}) as api, pytest.raises(NotFoundError):
        api.get("x", on_status=None)


# ---- what cannot work is refused before anything is sent

CANNOT_WORK = {
    "a base URL without a scheme": {"base_url": "api.test/v1"},
    "a base URL without a host": {"base_url": "https:///v1"},
    "a base URL with a query": {"base_url": "https://api.test/?v=1"},
    "a base URL with a fragment": {"base_url": "https://api.test/#v1"},
    "a base URL in bytes": {"base_url": b"https://api.test"},
    "an empty base URL": {"base_url": ""},
    "no time": {"timeout": 0},
    "negative time": {"timeout": -1},
    "a timeout that is no number": {"timeout": "5"},
    "a timeout of NaN": {"timeout": NAN},
    "a timeout that is a bool": {"timeout": True},
    "no time to connect": {"timeout": (0, 5)},
    "no time to read": {"timeout": (5, 0)},
    "a timeout of one": {"timeout": (5,)},
    "a timeout of three": {"timeout": (1, 2, 3)},
    "a timeout within a timeout": {"timeout": ((1, 2), 3)},
    "a deadline of nothing": {"deadline": 0},
    "a negative deadline": {"deadline": -1},
    "a deadline of NaN": {"deadline": NAN},
    "a deadline that is no number": {"deadline": "5"},
    "no attempts": {"retry": 0},
    "negative attempts": {"retry": -3},
    "attempts as a bool": {"retry": True},
    "attempts as text": {"retry": "3"},
    "a limit of no bytes": {"max_body": 0},
    "a limit of half a byte": {"max_body": 0.5},
    "a limit as text": {"max_body": "1 GiB"},
    "a limit that is a bool": {"max_body": True},
    "a status in quotes": {"on_status": {"404": print}},
    "an informational status": {"on_status": {100: print}},
    "an impossible status": {"on_status": {999: print}},
    "a status that is a bool": {"on_status": {True: print}},
    "a handler that cannot be called": {"on_status": {404: "nothing"}},
    "a list of statuses": {"on_status": [404]},
    "a flag in words": {"raise_for_status": "no"},
    "a redirect flag in words": {"redirect_body": "no"},
    "an http flag in words": {"allow_http_auth": "no"},
    "a token without a strategy": {"auth": "some-token"},
    "an auth that is no auth": {"auth": 5},
}
OF_SESSIONS = {
    "one origin as text": {"trusted_origins": "https://a.test"},
    "an origin without a scheme": {"trusted_origins": ["a.test"]},
    "an origin that is none": {"trusted_origins": [None]},
    "one secret header as text": {"secret_headers": "X-A"},
    "one shown header as text": {"shown": "X-A"},
    "a credential that is shown": {"shown": ["Authorization"]},
    "a secret header that is no text": {"secret_headers": [5]},
    "secret headers that are none": {"secret_headers": 5},
}


def cases(table):
    return pytest.mark.parametrize("settings", [*table.values()], ids=[*table])


@cases(CANNOT_WORK | OF_SESSIONS | {"a strictness in words": {"strict": "no"}})
def test_a_setting_that_cannot_work_is_refused_by_the_constructor(settings):
    with pytest.raises((ConfigurationError, requests.exceptions.InvalidURL)):
        Session(**settings)


@cases(CANNOT_WORK | OF_SESSIONS | {"a strictness in words": {"strict": "no"}})
def test_a_setting_that_cannot_work_is_refused_from_the_class_statement(settings):
    with pytest.raises((ConfigurationError, requests.exceptions.InvalidURL)):
        subclass_of(Session, **settings)()


@cases({n: s for n, s in (CANNOT_WORK | OF_SESSIONS).items() if "auth" not in s})
def test_a_class_attribute_that_cannot_work_is_refused_by_the_constructor(settings):
    cls = subclass_of(Session, settings)

    with pytest.raises((ConfigurationError, requests.exceptions.InvalidURL)):
        cls()


@cases(CANNOT_WORK | OF_SESSIONS)
def test_a_setting_that_cannot_work_is_refused_by_with_options(settings):
    with Session() as api, pytest.raises((ConfigurationError, requests.exceptions.InvalidURL)):
        api.with_options(**settings)


@cases(
    {n: s for n, s in CANNOT_WORK.items() if "base_url" not in s}
    | {
        "an empty idempotency key": {"idempotency_key": ""},
        "a path value without a place": {"path": {"id": 1}},
    }
)
def test_an_argument_that_cannot_work_is_refused_before_anything_is_sent(settings, recorder):
    with on(recorder) as api, pytest.raises((ConfigurationError, requests.exceptions.InvalidURL)):
        api.get("x", **settings)

    assert recorder.sent == []


@cases(
    {
        name: settings
        for name, settings in CANNOT_WORK.items()
        if not settings.keys() & {"base_url", "raise_for_status"}
    }
)
def test_an_attribute_that_cannot_work_is_refused_before_anything_is_sent(settings, recorder):
    with on(recorder) as api:
        for name, value in settings.items():
            setattr(api, name, value)

        with pytest.raises(ConfigurationError):
            api.get("x")

    assert recorder.sent == []


@pytest.mark.parametrize("location", ["constructor", "class", "with_options", "call"])
def test_a_misspelt_setting_is_refused(location, recorder):
    misspelt = {"raise_for_statuses": False}
    with on(recorder) as api:
        locations = {
            "constructor": lambda: Session(**misspelt),
            "class": lambda: subclass_of(Session, **misspelt),
            "with_options": lambda: api.with_options(**misspelt),
            "call": lambda: api.get("x", **misspelt),
        }

        with pytest.raises(TypeError, match="raise_for_statuses"):
            locations[location]()

    assert recorder.sent == []


@pytest.mark.parametrize("name", ["verify", "cert"])
def test_a_certificate_file_that_is_missing_is_a_requests_error(name):
    expected = (requests.RequestException, ValueError)

    with Session("https://127.0.0.1:9", retry=None) as api, pytest.raises(expected):
        api.get("x", **{name: "/no/such/file.pem"})


# ---- settings as attributes


def test_a_timeout_assigned_to_the_session_is_used(recorder):
    with on(recorder) as api:
        api.timeout = 5

        api.get("x")

    assert recorder.options[0]["timeout"] == (5, 5)


def test_send_uses_the_sessions_timeout(recorder):
    with on(recorder, timeout=7) as api:
        api.send(api.prepare_request(requests.Request("GET", "x")))
        api.send(requests.Request("GET", f"{BASE}/x").prepare())

    assert [options["timeout"] for options in recorder.options] == [(7, 7), (7, 7)]


def test_there_is_a_timeout_by_default(recorder):
    with on(recorder) as api:
        api.get("x")

    assert recorder.options[0]["timeout"] == (5, 60)


def test_a_base_url_replaced_on_the_class_is_used(monkeypatch, sandbox):
    cls = subclass_of(Session, {"base_url": "https://production.test/v1"})
    with cls() as api:
        monkeypatch.setattr(cls, "base_url", sandbox.url)

        response = api.get("echo")

    assert response.url == f"{sandbox.url}/echo"


def test_credentials_go_to_a_base_url_replaced_on_the_class(monkeypatch, sandbox):
    cls = subclass_of(Session, {"base_url": "https://production.test/v1"})
    with cls(auth=BearerAuth(sandbox.token)) as api:
        monkeypatch.setattr(cls, "base_url", sandbox.url)

        response = api.get("bearer")

    assert response.json() == {"authenticated": True}


# ---- subclasses that know nothing of httpkit


class GitHubSession(Session):
    """The shape of github3's session: a read-only `timeout`, known only after __init__."""

    def __init__(self):
        super().__init__()
        self.connect_timeout = 4
        self.base_url = "https://api.test"

    @property
    def timeout(self):
        return (self.connect_timeout, 10)

    def request(self, *args, **kwargs):
        kwargs.setdefault("timeout", self.timeout)
        return super().request(*args, **kwargs)


def test_a_subclass_may_have_a_timeout_property_of_its_own(recorder):
    with GitHubSession() as session:
        session.mount("https://", recorder)

        session.get("https://api.test/x")

    assert recorder.options[0]["timeout"] == (4, 10)


def test_a_timeout_property_serves_calls_that_give_no_timeout(recorder):
    with GitHubSession() as session:
        session.mount("https://", recorder)

        session.send(session.prepare_request(requests.Request("GET", "https://api.test/x")))

    assert recorder.options[0]["timeout"] == (4, 10)


class RecordingMounts(Session):
    mounted = ()

    def mount(self, prefix, adapter):
        self.mounted = (*self.mounted, adapter)
        super().mount(prefix, adapter)


def test_a_mount_of_a_subclass_gets_our_adapters_too():
    with RecordingMounts() as session:
        assert [type(one) for one in session.adapters.values()] == [httpkit.Adapter] * 2
        assert set(session.adapters.values()) <= set(session.mounted)


class SharedJarMixin(requests.Session):
    jar = requests.cookies.RequestsCookieJar()

    def __init__(self):
        super().__init__()
        self.cookies = self.jar


class SharedJarSession(Session, SharedJarMixin):
    pass


def test_the_jar_of_a_mixin_stays_as_it_is():
    session = SharedJarSession("https://api.example")

    assert type(SharedJarMixin.jar) is requests.cookies.RequestsCookieJar
    assert session.cookies is not SharedJarMixin.jar


class BaseUrlMixin(requests.Session):
    """The shape of toolbelt's BaseUrlSession: base_url is set before super().__init__()."""

    base_url = None

    def __init__(self, base_url=None):
        if base_url:
            self.base_url = base_url
        super().__init__()

    def request(self, method, url, *args, **kwargs):
        return super().request(method, urljoin(self.base_url, url), *args, **kwargs)

    def prepare_request(self, request, *args, **kwargs):
        request.url = urljoin(self.base_url, request.url)
        return super().prepare_request(request, *args, **kwargs)


class BaseUrlSession(BaseUrlMixin, Session):
    pass


def test_a_base_url_set_before_our_constructor_is_kept(recorder):
    with BaseUrlSession("https://api.test/v1/") as session:
        session.mount("https://", recorder)

        session.get("users")

    assert recorder.sent[0].url == "https://api.test/v1/users"


def test_a_subclass_that_joins_urls_itself_keeps_its_rules(recorder):
    with BaseUrlSession("https://api.test/v1/") as session:
        session.mount("https://", recorder)

        session.get("/users")

    assert recorder.sent[0].url == "https://api.test/users"


class Counting(Session):
    """A session that overrides what requests' users override, and counts."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.requested, self.prepared, self.sent = [], [], []

    def request(self, method, url, *args, **kwargs):
        self.requested.append(url)
        return super().request(method, url, *args, **kwargs)

    def prepare_request(self, request):
        self.prepared.append(request.url)
        return super().prepare_request(request)

    def send(self, request, **kwargs):
        self.sent.append(request.path_url)
        return super().send(request, **kwargs)


def test_overridden_methods_are_called_and_send_for_every_redirect(sandbox):
    with Counting(sandbox.url) as api:
        api.get("redirect/chain/2")

    assert api.requested == ["redirect/chain/2"]
    assert len(api.prepared) == 1
    assert api.sent == ["/redirect/chain/2", "/redirect/chain/1", "/echo"]


def test_an_overridden_send_is_called_once_for_all_attempts(sandbox):
    with Counting(sandbox.url) as api:
        response = api.get("flaky/a")

    assert (len(api.sent), response.attempts) == (1, 3)


def test_the_response_of_an_overridden_send_is_a_response_of_ours(sandbox):
    with Counting(sandbox.url) as api:
        response = api.get("redirect/chain/1")

    assert isinstance(response, httpkit.Response)
    assert isinstance(response.history[0], httpkit.Response)


def test_a_resource_goes_through_an_overridden_request(sandbox):
    with Counting(sandbox.url) as api:
        api.resource("posts").get(1)

    assert api.requested == ["posts/{id}"]


def test_a_send_replaced_on_the_instance_is_called(monkeypatch):
    with Session(BASE) as api:
        monkeypatch.setattr(api, "send", lambda request, **_: request.url)

        response = api.get("x")

    assert response == f"{BASE}/x"


class Preparing(Session):
    """A session whose prepare_request returns requests' own class."""

    def prepare_request(self, request):
        request.url = f"{BASE}/{request.url}"
        return request.prepare()


def test_arguments_of_a_call_apply_when_a_subclass_prepares_by_itself(recorder):
    recorder.status = 503

    with on(recorder, cls=Preparing) as api:
        api.get("x", retry=2, raise_for_status=False)

    assert len(recorder.sent) == 2


def test_strict_false_leaves_a_subclasses_explicit_settings_alone(recorder):
    recorder.status = 404
    cls = subclass_of(Session, {"strict": False, "raise_for_status": True})

    with on(recorder, cls=cls) as api, pytest.raises(NotFoundError):
        api.get("x")


@pytest.mark.parametrize("name", ["redirect_body", "allow_http_auth"])
def test_strict_false_does_not_open_what_a_subclass_closes(name):
    cls = subclass_of(Session, {"strict": False, name: False})

    with cls() as api:
        assert getattr(api, name) is False


# ---- with_options


def test_a_clone_has_its_own_settings(recorder):
    recorder.status = 404
    with on(recorder) as api:
        clone = api.with_options(raise_for_status=False, headers={"X-B": "2"})

        response = clone.get("x")

    assert response.status_code == 404
    assert recorder.sent[0].headers["X-B"] == "2"


def test_a_clone_leaves_its_origin_as_it_was(recorder):
    with on(recorder, headers={"X-A": "1"}, params={"a": "1"}) as api:
        clone = api.with_options(
            headers={"X-A": "2"}, params={"a": "2"}, timeout=1, auth=BearerAuth("token-12345"),
            proxies={"ftp": "http://a.test"},
        )  # fmt: skip
        clone.headers["X-B"] = "2"
        clone.hooks["response"].append(print)

        api.get("x")

    assert recorder.sent[0].headers["X-A"] == "1"
    assert not {"X-B", "Authorization"} & set(recorder.sent[0].headers)
    assert recorder.sent[0].url == f"{BASE}/x?a=1"
    assert recorder.options[0]["timeout"] == (5, 60)
    assert api.proxies == {}


def test_a_clone_is_of_the_same_class_and_keeps_what_the_subclass_set(sandbox):
    with Counting(sandbox.url) as api:
        clone = api.with_options(timeout=1)

        clone.get("echo")

    assert type(clone) is Counting
    assert clone.sent == ["/echo"]


def test_a_clone_shares_the_connections(raw_server, make_response):
    server = raw_server(make_response(connection="keep-alive"))
    with Session(server.url) as api:
        api.get("a")
        api.with_options(timeout=1).get("b")
        api.with_options(timeout=2).with_options(timeout=3).get("c")

    assert len(server.requests) == 3
    assert len(server._open) == 1


def test_closing_a_clone_leaves_the_connections_of_its_origin_open(raw_server, make_response):
    server = raw_server(make_response(connection="keep-alive"))
    with Session(server.url) as api:
        api.get("a")
        with api.with_options(timeout=1) as clone:
            clone.get("b")

        api.get("c")

    assert len(server.requests) == 3
    assert len(server._open) == 1


def test_a_clone_shares_the_cookies(sandbox):
    with Session(sandbox.url) as api:
        clone = api.with_options(timeout=1)
        clone.get("cookies/set", params={"flavour": "oat"})

        response = api.get("cookies")

    assert response.json() == {"flavour": "oat"}


def test_a_clone_shares_the_retry_budget(recorder):
    recorder.status = 503
    settings = {"retry": RetryPolicy(attempts=2, budget=5), "raise_for_status": False}

    with on(recorder, **settings) as api:
        attempts = [api.with_options(timeout=1).get("x").attempts, api.get("x").attempts]

    assert attempts == [2, 1]


def test_a_clone_may_go_without_the_sessions_auth(recorder):
    with on(recorder, auth=BearerAuth("token-12345")) as api:
        api.with_options(auth=None).get("x")

    assert "Authorization" not in recorder.sent[0].headers


def test_an_adapter_mounted_on_a_clone_is_not_mounted_on_its_origin(recorder):
    with Session(BASE) as api:
        clone = api.with_options(timeout=1)
        clone.mount("https://", recorder)

        assert api.get_adapter(BASE) is not recorder


# ---- pickles


class Carrying(Session, headers={"X-A": "1"}):
    """A session with an attribute of its own; public, because pickles know it by name."""

    retry = RetryPolicy(attempts=2)
    cursor = None


def pickled(session):
    return pickle.loads(pickle.dumps(session))


def test_a_pickled_session_carries_its_settings_and_a_subclasses_attributes(recorder):
    with Carrying(BASE, timeout=7, auth=BearerAuth("token-12345"), params={"a": "1"}) as api:
        api.cursor, api.retry, api.headers["X-B"] = {"page": 3}, 5, "2"
        api.cookies.set("a", "1")

        twin = pickled(api)

    assert type(twin) is Carrying
    assert (twin.cursor, twin.retry, twin.timeout) == ({"page": 3}, 5, 7)
    twin.mount("https://", recorder)
    twin.get("x")
    assert recorder.sent[0].url == f"{BASE}/x?a=1"
    assert recorder.sent[0].headers.items() >= {
        ("X-A", "1"), ("X-B", "2"), ("Authorization", "Bearer token-12345"), ("Cookie", "a=1")
    }  # fmt: skip


def test_a_pickled_session_works(sandbox):
    with Session(sandbox.url, on_status={404: raising(KeyError)}) as api:
        api.get("echo")
        with pickled(api) as twin, pytest.raises(KeyError):
            twin.get("status/404")


def test_a_pickled_session_names_the_variable_and_not_its_value(monkeypatch):
    monkeypatch.setenv("BLOG_TOKEN", "first-token-1")
    with Session(BASE, auth=BearerAuth.from_env("BLOG_TOKEN")) as api:
        stored = pickle.dumps(api)

    assert b"first-token-1" not in stored
    assert b"BLOG_TOKEN" in stored


def test_a_pickled_clone_closes_its_own_connections(raw_server, make_response):
    server = raw_server(make_response(connection="keep-alive"))
    with Session(server.url) as api:
        twin = pickled(api.with_options(timeout=1))
        twin.get("a")

        twin.close()

        assert twin.get_adapter(server.url).poolmanager.pools.keys() == set()


def test_secret_headers_are_hidden_in_the_process_that_unpickles_the_session():
    with Session(BASE, headers={"X-Hush": "hush-hush"}, secret_headers=["X-Hush"]) as api:
        stored = pickle.dumps(api)
    program = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).headers)"
    command = [sys.executable, "-c", program]

    shown = subprocess.run(command, input=stored, capture_output=True, check=False)

    assert shown.returncode == 0, shown.stderr
    assert b"X-Hush" in shown.stdout
    assert b"hush-hush" not in shown.stdout


# ---- adapters


class Meanwhile(str):
    """A prefix: while a thread compares it with a URL, something else happens."""

    __slots__ = ("happens",)

    def lower(self):
        self.happens()
        return super().lower()


def test_an_adapter_mounted_while_a_thread_looks_for_one_does_not_disturb_it(recorder):
    prefix = Meanwhile("https://the-longest-prefix.test/")
    prefix.happens = lambda: api.mount("https://api.test/", recorder)
    with on(recorder) as api:
        api.mount(prefix, recorder)

        response = api.get("x")

    assert response.status_code == 200


def test_the_longest_prefix_wins_whatever_the_order(recorder):
    with Session() as api:
        near, far = Recording(), Recording()
        api.mount("https://api.test/near/", near)
        api.mount("https://api.test/", far)
        api.mount("https://", recorder)

        chosen = [api.get_adapter(f"https://{at}") for at in ("api.test/near/x", "api.test/", "b")]

    assert chosen == [near, far, recorder]


@pytest.mark.parametrize(
    "retries", [3, Retry(3), Retry(total=None, connect=3), Retry(total=None, status=3)], ids=str
)
def test_a_mounted_adapter_that_retries_as_well_is_warned_of(retries):
    with Session() as api, pytest.warns(UserWarning, match="retr") as caught:
        api.mount("https://", HTTPAdapter(max_retries=retries))

    assert caught[0].filename == __file__


def test_a_mounted_adapter_may_retry_where_we_do_not():
    with Session(retry=None) as api, Session(strict=False) as lenient:
        api.mount("https://", HTTPAdapter(max_retries=3))
        lenient.mount("https://", HTTPAdapter(max_retries=3))

    assert api.get_adapter(BASE).max_retries.total == 3


@pytest.mark.parametrize("cls", [mock.Mock, mock.MagicMock])
def test_a_mock_can_be_mounted(cls):
    adapter = cls()
    with Session() as api:
        api.mount("https://", adapter)

        assert api.get_adapter(BASE) is adapter


# ---- send


def test_send_never_raises_for_a_status(sandbox):
    statuses = [400, 401, 403, 404, 409, 429, 500, 503, 599]
    with Session(sandbox.url, on_status={"4xx": raising(KeyError)}, retry=None) as api:
        prepared = [api.prepare_request(requests.Request("GET", f"status/{s}")) for s in statuses]

        replies = [api.send(request) for request in prepared]

    assert [response.status_code for response in replies] == statuses


def test_an_own_prepared_request_is_retried_and_signed(sandbox):
    with Session(sandbox.url, auth=BearerAuth(sandbox.token)) as api:
        prepared = api.prepare_request(requests.Request("GET", "flaky/a"))

        response = api.send(prepared)

    assert (response.status_code, response.attempts) == (200, 3)
    sent = {received.headers["Authorization"] for received in sandbox.attempts("a")}
    assert sent == {f"Bearer {sandbox.token}"}


def test_a_prepared_request_of_requests_is_retried_and_sent_as_it_is(sandbox):
    settings = {"auth": BearerAuth("session-token"), "headers": {"X-A": "1"}, "params": {"a": "1"}}
    foreign = requests.Request("GET", f"{sandbox.url}/flaky/a", headers={"X-Own": "1"}).prepare()

    with Session(sandbox.url, **settings) as api:
        response = api.send(foreign)

    assert (response.status_code, response.attempts) == (200, 3)
    received = sandbox.attempts("a")[0]
    assert received.headers["X-Own"] == "1"
    assert not {"Authorization", "X-A"} & set(received.headers)
    assert received.query == {}


def test_credentials_of_a_prepared_request_of_requests_stay_at_their_origin(sandbox):
    url = f"{sandbox.url}/redirect/other/echo"
    secrets = {"Authorization": "Bearer foreign-token-1", "X-API-Key": "foreign-key-1"}
    foreign = requests.Request("GET", url, headers=secrets, cookies={"sid": "foreign-1"}).prepare()

    with Session() as api:
        response = api.send(foreign)

    assert response.status_code == 200
    assert "foreign" not in str(dict(sandbox.requests[-1].headers))


def test_credentials_of_a_prepared_request_of_requests_are_its_own(sandbox):
    url = f"{sandbox.other_url}/redirect/chain/1"
    foreign = requests.Request("GET", url, headers={"X-API-Key": "foreign-key-1"}).prepare()

    with Session(sandbox.url) as api:
        api.send(foreign)

    assert [request.headers.get("X-API-Key") for request in sandbox.requests] == [
        "foreign-key-1"
    ] * 2


def test_an_absolute_url_elsewhere_goes_without_the_sessions_credentials(sandbox):
    settings = {
        "auth": BearerAuth("s3cr3t-canary-1"),
        "headers": {"X-Team": "s3cr3t-canary-2"},
        "params": {"key": "s3cr3t-canary-3"},
        "cookies": {"sid": "s3cr3t-canary-4"},
    }

    with Session(sandbox.url, **settings) as api:
        echoed = api.get(f"{sandbox.other_url}/echo").text

    assert "s3cr3t-canary" not in echoed


def test_a_prepared_request_can_be_sent_twice(sandbox):
    with Session(sandbox.url) as api:
        prepared = api.prepare_request(requests.Request("POST", "echo", json={"a": 1}))

        replies = [api.send(prepared), api.send(prepared)]

    assert [response.json()["json"] for response in replies] == [{"a": 1}, {"a": 1}]


def test_a_prepared_request_sent_later_is_signed_with_the_token_of_that_time(sandbox):
    tokens = iter(["first-token", "second-token", "third-token"])
    with Session(sandbox.url, auth=BearerAuth(lambda: next(tokens))) as api:
        prepared = api.prepare_request(requests.Request("GET", "echo"))
        api.send(prepared)

        api.send(prepared)

    first, second = [request.headers["Authorization"] for request in sandbox.requests]
    assert (first, second) == ("Bearer first-token", "Bearer second-token")


def test_a_generator_is_not_sent_twice_as_an_empty_body(sandbox):
    with Session(sandbox.url) as api:
        prepared = api.prepare_request(requests.Request("POST", "echo", data=iter([b"once"])))
        api.send(prepared)

        with pytest.raises(requests.exceptions.UnrewindableBodyError):
            api.send(prepared)

    assert [request.body for request in sandbox.requests] == [b"once"]


def test_sending_does_not_change_a_prepared_request(sandbox):
    with Session(sandbox.url) as api:
        prepared = api.prepare_request(requests.Request("GET", "redirect/chain/1"))
        before = (prepared.url, dict(prepared.headers), prepared.body)

        api.send(prepared)

    assert (prepared.url, dict(prepared.headers), prepared.body) == before


def test_an_unprepared_request_is_refused_with_the_message_of_requests():
    with Session() as api, pytest.raises(ValueError, match="PreparedRequests"):
        api.send(requests.Request("GET", BASE))


# ---- parameters


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": True, "b": False}, "a=true&b=false"),
        ([("a", True), ("a", False)], "a=true&a=false"),
        ((("a", True), ("b", 1)), "a=true&b=1"),
        ({"a": [True, 0, False]}, "a=true&a=0&a=false"),
        ({"a": (True, "True")}, "a=true&a=True"),
        ({"a": 1, "b": 1.0, "c": None}, "a=1&b=1.0"),
        ("a=True", "a=True"),
        (b"a=True", "a=True"),
    ],
    ids=["dict", "pairs", "tuples", "list value", "tuple value", "not booleans", "str", "bytes"],
)
def test_booleans_are_written_as_json_writes_them(params, query, recorder):
    with on(recorder) as api:
        api.get("x", params=params)

    assert recorder.sent[0].url == f"{BASE}/x?{query}"


def test_booleans_of_the_session_are_written_as_json_writes_them(recorder):
    with on(recorder, params={"verbose": True}) as api:
        api.get("x")

    assert recorder.sent[0].url == f"{BASE}/x?verbose=true"


@pytest.mark.parametrize(
    "params",
    [{"a": 1}, [("a", 1)], (("a", 1),), "a=1", b"a=1", iter([("a", 1)])],
    ids=["dict", "pairs", "tuples", "str", "bytes", "iterator"],
)
def test_the_sessions_parameters_come_before_the_calls(params, recorder):
    with on(recorder, params={"key": "k"}) as api:
        api.get("x", params=params)

    assert recorder.sent[0].url == f"{BASE}/x?key=k&a=1"


def test_none_leaves_a_parameter_of_the_session_out(recorder):
    with on(recorder, params={"a": "1", "b": "2"}) as api:
        api.get("x", params={"a": None})

    assert recorder.sent[0].url == f"{BASE}/x?b=2"


def test_parameters_join_a_query_that_the_url_has(recorder):
    with on(recorder, params={"b": "2"}) as api:
        api.get("x?a=1", params={"c": "3"})

    assert recorder.sent[0].url == f"{BASE}/x?a=1&b=2&c=3"


# ---- headers


@pytest.mark.parametrize("form", ["X-Team", "x-team", "X-TEAM"])
def test_none_takes_a_header_of_the_session_away(form, recorder):
    with on(recorder, headers={"X-Team": "a"}) as api:
        api.get("x", headers={form: None})

    assert "X-Team" not in recorder.sent[0].headers


def test_none_takes_a_default_header_of_requests_away(recorder):
    with on(recorder, headers={"accept-encoding": None}) as api:
        api.get("x")

    assert "Accept-Encoding" not in recorder.sent[0].headers


INJECTIONS = {
    "line feed": "s3cr3t-canary\nX-Evil: 1",
    "carriage return": "s3cr3t-canary\rX-Evil: 1",
    "both": "s3cr3t-canary\r\nX-Evil: 1",
    "a fold": "s3cr3t-canary\r\n X-Evil: 1",
    "bytes": b"s3cr3t-canary\nX-Evil: 1",
    "leading space": " s3cr3t-canary",
    "no Latin-1": "s3cr3t-canary-\u20ac",
    "a list": ["s3cr3t-canary"],
}


@pytest.mark.parametrize("value", [*INJECTIONS.values()], ids=[*INJECTIONS])
@pytest.mark.parametrize("whose", ["call", "session"])
def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(whose, value, sandbox):
    headers = {"Authorization": value}
    of_session, of_call = (headers, None) if whose == "session" else (None, headers)
    refused = pytest.raises(requests.exceptions.InvalidHeader, match="Authorization")

    with Session(sandbox.url, headers=of_session) as api, refused as caught:
        api.get("echo", headers=of_call)

    assert sandbox.requests == []
    assert "s3cr3t-canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["X-A\nX-Evil: 1", "X-A\r\n", "X A:", ""], ids=repr)
def test_a_header_name_that_cannot_be_sent_is_refused(name, sandbox):
    with Session(sandbox.url) as api, pytest.raises(requests.RequestException):
        api.get("echo", headers={name: "1"})

    assert sandbox.requests == []


@pytest.mark.parametrize("whose", ["call", "session"])
def test_a_cookie_that_cannot_be_sent_is_refused_without_being_shown(whose, sandbox):
    cookies = {"sid": "s3cr3t-canary\r\nX-Evil: 1"}
    of_session, of_call = (cookies, None) if whose == "session" else (None, cookies)
    refused = pytest.raises((requests.RequestException, ValueError))

    with Session(sandbox.url, cookies=of_session) as api, refused as caught:
        api.get("echo", cookies=of_call)

    assert sandbox.requests == []
    assert "s3cr3t-canary" not in "".join(traceback.format_exception(caught.value))


SMUGGLED = "x\r\nX-Evil: 1"


@pytest.mark.parametrize(
    "files",
    [
        {"f": ("n.txt", b"x", SMUGGLED)},
        {"f": ("n.txt", b"x", "text/plain", {"X-Part": SMUGGLED})},
        {"f": ("n.txt", b"x", "text/plain", {SMUGGLED: "1"})},
        {"f": (SMUGGLED, b"x")},
        {SMUGGLED: b"x"},
    ],
    ids=["content type", "header", "header name", "file name", "field name"],
)
def test_a_part_of_a_form_cannot_smuggle_a_header_line(files, sandbox):
    with Session(sandbox.url) as api:
        outcome_of(api.post, "echo", files=files)

    assert not any(b"\r\nX-Evil" in request.body for request in sandbox.requests)


@pytest.mark.parametrize(
    "arguments",
    [{"params": {"a": "\ud800"}}, {"data": {"a": "\ud800"}}, {"data": "\ud800"}],
    ids=["params", "form", "text"],
)
def test_text_that_is_not_unicode_is_refused_as_an_error_of_requests(arguments, recorder):
    with on(recorder) as api, pytest.raises(requests.RequestException):
        api.post("x", **arguments)

    assert recorder.sent == []


# ---- json


def endless():
    circle = []
    circle.append(circle)
    return circle


def nested(depth):
    whole = []
    for _ in range(depth):
        whole = [whole]
    return whole


@pytest.mark.parametrize(
    "document",
    [
        {"a": NAN},
        math.inf,
        {"a": {1, 2}},
        {1, 2},
        {"a": b"bytes"},
        b"bytes",
        {"a": object()},
        object(),
        {("a", "b"): 1},
        endless(),
        nested(100_000),
        iter([1]),
        int,
        {"a": print},
    ],
    ids=[
        "NaN", "infinity", "set within", "set", "bytes within", "bytes", "object within", "object",
        "tuple as a key", "a circle", "too deep", "iterator", "class",
        "function within",
    ],
)  # fmt: skip
def test_json_with_values_that_json_cannot_express_is_refused(document, recorder):
    with on(recorder) as api, pytest.raises(requests.exceptions.InvalidJSONError):
        api.post("x", json=document)

    assert recorder.sent == []


@pytest.mark.parametrize(
    ("document", "body"),
    [({}, b"{}"), ([], b"[]"), (0, b"0"), (False, b"false"), ("", b'""'), ({"a": None}, None)],
    ids=repr,
)
def test_json_that_is_falsy_is_sent_all_the_same(document, body, recorder):
    with on(recorder) as api:
        api.post("x", json=document)

    assert recorder.sent[0].body == (body or b'{"a": null}')
    assert recorder.sent[0].headers["Content-Type"] == "application/json"


# ---- being a requests.Session


def parameters(method):
    return [
        (p.name, p.kind, p.default)
        for p in inspect.signature(method).parameters.values()
        if p.kind not in {p.VAR_KEYWORD, p.KEYWORD_ONLY}
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_the_signature_that_requests_has(verb):
    ours, theirs = getattr(Session, verb), getattr(requests.Session, verb)

    assert parameters(ours) == parameters(theirs)
    assert inspect.getfullargspec(ours).varkw is not None


@pytest.mark.parametrize("name", ["send", "prepare_request", "mount", "merge_environment_settings"])
def test_a_method_has_the_signature_that_requests_has(name):
    assert parameters(getattr(Session, name)) == parameters(getattr(requests.Session, name))


def test_request_takes_its_arguments_in_the_positions_of_requests():
    ours, theirs = parameters(Session.request), parameters(requests.Session.request)

    # Requests has no word for "not given": there, a timeout of None is it.
    assert [p for p in ours if p[0] != "timeout"] == [p for p in theirs if p[0] != "timeout"]
    assert [name for name, *_ in ours] == [name for name, *_ in theirs]


def test_request_takes_all_its_arguments_by_position(recorder):
    follow, stream = False, True
    arguments = (
        "post", "x", {"a": 1}, {"b": 2}, {"X-A": "1"}, {"c": "3"}, None, ("user", "pass"), (3, 4),
        follow, {"https": "http://proxy.test"}, {"response": []}, stream, "ca.pem", "cert.pem",
    )  # fmt: skip

    with on(recorder) as api:
        api.request(*arguments)

    sent, options = recorder.sent[0], recorder.options[0]
    assert (sent.method, sent.url, sent.body) == ("POST", f"{BASE}/x?a=1", "b=2")
    assert (sent.headers["X-A"], sent.headers["Cookie"]) == ("1", "c=3")
    assert sent.headers["Authorization"] == "Basic dXNlcjpwYXNz"
    assert (options["verify"], options["cert"]) == ("ca.pem", "cert.pem")
    assert (options["timeout"], options["stream"]) == ((3, 4), True)
    assert options["proxies"]["https"] == "http://proxy.test"


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_pickled_by_its_name(verb):
    assert pickle.loads(pickle.dumps(getattr(Session, verb))) is getattr(Session, verb)


def test_an_autospecced_mock_takes_what_a_session_takes():
    api = mock.create_autospec(Session, instance=True)
    api.get.return_value.json.return_value = {"id": 1}

    found = api.get("users/1", params={"a": 1}, timeout=5, retry=2, on_status={404: print}).json()

    assert found == {"id": 1}
    api.get.assert_called_once_with(
        "users/1", params={"a": 1}, timeout=5, retry=2, on_status={404: print}
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.get(),
        lambda api: api.get("x", {}, {}),
        lambda api: api.post("x", {}, {}, {}),
        lambda api: api.nonsense("x"),
        lambda api: api.send(),
    ],
    ids=["no URL", "too many for get", "too many for post", "no such verb", "nothing to send"],
)
def test_an_autospecced_mock_refuses_what_a_session_refuses(call):
    api = mock.create_autospec(Session, instance=True)

    with pytest.raises((TypeError, AttributeError)):
        call(api)


def test_an_autospecced_class_is_called_like_the_class():
    cls = mock.create_autospec(Session)

    with pytest.raises(TypeError):
        cls("https://a.test", "https://b.test")


def frames_above(function, session_class, call):
    """Return how many frames lie between this test and a method that a subclass overrides."""
    depths = []

    def overriding(self, *args, **kwargs):
        depths.append(len(inspect.stack()))
        return getattr(session_class, function)(self, *args, **kwargs)

    cls = subclass_of(session_class, {function: overriding})
    with cls() as session:
        session.mount("https://", Recording())
        call(session)
    return depths[0]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("function", ["request", "send"])
def test_a_warnings_stacklevel_counts_the_frames_that_requests_has(function, verb):
    def call(session):
        getattr(session, verb)(f"{BASE}/x")

    ours = frames_above(function, Session, call)

    assert ours == frames_above(function, requests.Session, call)


class Deprecating(Session):
    def request(self, method, url, *args, **kwargs):
        warnings.warn("use the other session", DeprecationWarning, stacklevel=3)
        return super().request(method, url, *args, **kwargs)


def test_a_subclasses_warning_names_the_line_of_the_caller(recorder):
    warned = pytest.warns(DeprecationWarning, match="the other session")

    with on(recorder, cls=Deprecating) as api, warned as caught:
        api.get("x")

    assert caught[0].filename == __file__


# ---- strict=False

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"


def redirect(status, to="/next", extra=""):
    head = f"HTTP/1.1 {status} Moved\r\nlocation: {to}\r\n{extra}content-length: 0\r\n"
    return f"{head}connection: close\r\n\r\n".encode()


def failing(status):
    return f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


# What is called with a session and a URL, and what the server answers.
CALLS = {
    "get": (lambda s, url: s.get(url), [OK]),
    "a method in lower case": (lambda s, url: s.request("get", url), [OK]),
    "a method of one's own": (lambda s, url: s.request("purge", url), [OK]),
    "head": (lambda s, url: s.head(url), [OK]),
    "options": (lambda s, url: s.options(url), [OK]),
    "delete": (lambda s, url: s.delete(url), [OK]),
    "a URL in bytes": (lambda s, url: s.get(url.encode()), [OK]),
    "a URL with spaces": (lambda s, url: s.get(f"  {url}/a b"), [OK]),
    "a URL with braces": (lambda s, url: s.get(f"{url}/{{id}}"), [OK]),
    "a URL with dots": (lambda s, url: s.get(f"{url}/a/../b"), [OK]),
    "a URL with a fragment": (lambda s, url: s.get(f"{url}/a#b"), [OK]),
    "an IRI": (lambda s, url: s.get(f"{url}/caf\u00e9?q=\u00e9"), [OK]),
    "a password in the URL": (
        lambda s, url: s.get(url.replace("://", "://user:pa%20ss@")),
        [OK],
    ),
    "params": (lambda s, url: s.get(url, params={"a": True, "b": [1, 2], "c": None}), [OK]),
    "params as pairs": (lambda s, url: s.get(url, params=[("a", True), ("a", 2)]), [OK]),
    "params as text": (lambda s, url: s.get(url, params="a=1&b"), [OK]),
    "params in bytes": (lambda s, url: s.get(f"{url}?z=1", params=b"a=1"), [OK]),
    "headers": (lambda s, url: s.get(url, headers={"x-b": "1", "Accept": None}), [OK]),
    "cookies": (lambda s, url: s.get(url, cookies={"a": "1", "b": "2"}), [OK]),
    "basic auth": (lambda s, url: s.get(url, auth=("user", "pass")), [OK]),
    "a form": (lambda s, url: s.post(url, data={"a": [1, 2], "b": "\u00e9"}), [OK]),
    "a form of pairs": (lambda s, url: s.post(url, data=[("a", 1), ("a", 2)]), [OK]),
    "text": (lambda s, url: s.post(url, data="caf\u00e9"), [OK]),
    "bytes": (lambda s, url: s.put(url, data=b"\x00\xff"), [OK]),
    "a file": (lambda s, url: s.put(url, data=io.BytesIO(b"whole")), [OK]),
    "a generator": (lambda s, url: s.post(url, data=iter([b"a", b"bc"])), [OK]),
    "nothing": (lambda s, url: s.post(url), [OK]),
    "an empty form": (lambda s, url: s.post(url, data={}), [OK]),
    "json": (lambda s, url: s.post(url, json={"a": [None, True, "\u00e9"]}), [OK]),
    "falsy json": (lambda s, url: s.patch(url, json=[]), [OK]),
    "data before json": (lambda s, url: s.post(url, data="a", json={"b": 1}), [OK]),
    "a multipart form": (
        lambda s, url: s.post(
            url, files={"f": ("n.txt", b"x", "text/plain", {"X-P": "1"})}, data={"a": "1"}
        ),
        [OK],
    ),
    "a stream": (lambda s, url: s.get(url, stream=True).close(), [OK]),
    "a redirected get": (lambda s, url: s.get(url), [redirect(302), OK]),
    "a redirect to nowhere": (lambda s, url: s.get(url), [redirect(302, "http:///x"), OK]),
    "a redirect not followed": (
        lambda s, url: s.get(url, allow_redirects=False),
        [redirect(302)],
    ),
    "a redirected head": (lambda s, url: s.head(url), [redirect(302)]),
    "a 301 of a post": (lambda s, url: s.post(url, data="a"), [redirect(301), OK]),
    "a 302 of a put": (lambda s, url: s.put(url, data="a"), [redirect(302), OK]),
    "a 302 of a delete": (lambda s, url: s.delete(url), [redirect(302), OK]),
    "a 303 of a put": (lambda s, url: s.put(url, data="a"), [redirect(303), OK]),
    "a 307 of a post": (lambda s, url: s.post(url, json={"a": 1}), [redirect(307), OK]),
    "a 308 of a file": (lambda s, url: s.put(url, data=io.BytesIO(b"ab")), [redirect(308), OK]),
    "a redirect that sets a cookie": (
        lambda s, url: s.get(url),
        [redirect(302, extra="set-cookie: a=1; Path=/\r\n"), OK],
    ),
    "credentials redirected": (
        lambda s, url: s.get(url, auth=("user", "pass"), headers={"X-API-Key": "k"}),
        [redirect(302), OK],
    ),
    "a loop": (lambda s, url: s.get(url), [redirect(302)] * 31),
    "401": (lambda s, url: s.get(url, auth=("user", "pass")), [failing(401)]),
    "404": (lambda s, url: s.get(url), [failing(404)]),
    "503": (lambda s, url: s.get(url), [failing(503)]),
    "a connection closed": (lambda s, url: s.get(url), [None]),
    "a body cut short": (
        lambda s, url: s.get(url),
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhi"],
    ),
    "broken gzip": (
        lambda s, url: s.get(url),
        [OK.replace(b"connection", b"content-encoding: gzip\r\nconnection")],
    ),
    "a URL without a scheme": (lambda s, url: s.get("example/{id}"), []),
    "a scheme nobody knows": (lambda s, url: s.get("nonsense://x"), []),
    "a header with a newline": (lambda s, url: s.get(url, headers={"A": "b\nc"}), []),
    "a header of a number": (lambda s, url: s.get(url, headers={"A": 1}), []),
    "json of a set": (lambda s, url: s.post(url, json={1}), []),
    "json of NaN": (lambda s, url: s.post(url, json=NAN), []),
    "a timeout of nothing": (lambda s, url: s.get(url, timeout=0), []),
}


def configured(session):
    """Tell a session what sessions of requests are told, as attributes."""
    session.headers["X-Session"] = "1"
    session.headers["X-API-Key"] = "session-key"
    session.params = {"s": True}
    session.cookies.set("jar", "1")
    session.auth = ("session", "pass")
    return session


def played(session, url, call):
    """Return what a caller sees of a call."""
    with session:
        try:
            response = call(session, url)
        except (requests.RequestException, ValueError, TypeError) as error:
            return next(cls for cls in type(error).__mro__ if "httpkit" not in cls.__module__)
        if response is None:
            return None
        iter_redirects = [(past.status_code, past.url) for past in response.history]
        return (
            response.status_code,
            response.url,
            response.content,
            iter_redirects,
            dict(session.cookies),
        )


@pytest.mark.parametrize("is_told", [False, True], ids=["bare", "told"])
@pytest.mark.parametrize(("call", "replies"), [*CALLS.values()], ids=[*CALLS])
def test_strict_false_is_requests_to_the_byte(call, replies, is_told, raw_server, monkeypatch):
    monkeypatch.setattr("urllib3.filepost.choose_boundary", lambda: "boundary")
    server = raw_server(*(replies * 2 or [OK]))
    plain, ours = requests.Session(), Session(strict=False)
    if is_told:
        configured(plain)
        configured(ours)

    expected = played(plain, server.url, call)
    count = len(server.requests)
    received = played(ours, server.url, call)

    assert server.requests[count:] == server.requests[:count]
    assert received == expected


def test_strict_false_reads_netrc_as_requests_does(raw_server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password pass\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = raw_server(OK)

    for session in (requests.Session(), Session(strict=False)):
        with session:
            session.get(server.url, headers={"Authorization": "Bearer mine"})

    assert server.requests[0] == server.requests[1]
    assert b"Authorization: Basic" in server.requests[0]


def test_strict_false_sends_prepared_requests_as_requests_does(raw_server):
    server = raw_server(redirect(307), OK, redirect(307), OK)

    for session in (requests.Session(), Session(strict=False)):
        with configured(session):
            prepared = session.prepare_request(requests.Request("POST", server.url, data="a"))
            session.send(prepared)

    assert server.requests[:2] == server.requests[2:]


def test_strict_false_sets_no_limits(recorder):
    with on(recorder, strict=False) as api:
        api.get("x")

        assert recorder.options[0]["timeout"] is None
        assert (api.deadline, api.retry, api.max_body, api.raise_for_status) == (
            None, None, None, False
        )  # fmt: skip


@pytest.mark.parametrize("verify", [True, False, "session.pem"])
def test_strict_false_reads_the_environment_as_requests_does(verify, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "environment.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.test")
    merged = []

    for session in (requests.Session(), Session(strict=False)):
        with session:
            session.verify, session.proxies = verify, {"https": "http://session.test"}
            merged.append(session.merge_environment_settings(BASE, {}, None, None, None))

    assert merged[0] == merged[1]
    assert merged[0]["proxies"]["https"] == "http://environment.test"


@pytest.mark.parametrize("whose", ["call", "session"])
def test_strict_false_keeps_an_explicit_limit(whose, sandbox):
    of_session, of_call = ({}, {"max_body": 99}) if whose == "call" else ({"max_body": 99}, {})

    api = Session(sandbox.url, strict=False, **of_session)
    with api, pytest.raises(httpkit.BodyTooLargeError):
        api.get("bytes/100", **of_call)


@pytest.mark.parametrize("settings", [{}, {"retry": 2}, {"strict": True}], ids=str)
def test_next_is_the_request_that_a_redirect_asks_for(settings, sandbox):
    with Session(sandbox.url, **{"strict": False, **settings}) as api:
        response = api.get("redirect/chain/1", allow_redirects=False)

        assert api.send(response.next).url == f"{sandbox.url}/echo"


def test_strict_false_keeps_what_is_given_explicitly(sandbox):
    with Session(sandbox.url, strict=False, retry=3, raise_for_status=True) as api:
        response = api.get("flaky/a")
        with pytest.raises(NotFoundError):
            api.get("status/404")

    assert response.attempts == 3


@pytest.mark.parametrize("name", ["auth", "verify", "request", "get", "options", "map", "close"])
def test_a_resource_cannot_hide_what_every_session_has(name):
    with pytest.raises(ConfigurationError, match=name):
        type("Api", (httpkit.Session,), {name: httpkit.Resource(name)})


@pytest.mark.parametrize("name", ["headers", "params", "cookies", "proxies"])
@pytest.mark.parametrize("value", [["text"], 7, object()], ids=["list", "number", "object"])
def test_a_mapping_that_is_none_is_refused_by_the_session_and_by_the_call(sandbox, name, value):
    with pytest.raises(ConfigurationError, match=name):
        Session(sandbox.url, **{name: value})
    if name in {"cookies", "proxies"}:  # requests takes the others in more forms
        with Session(sandbox.url) as api, pytest.raises(ConfigurationError, match=name):
            api.get("status/200", **{name: value})

    assert sandbox.requests == []


def test_a_cookie_that_is_a_number_is_refused(sandbox):
    with Session(sandbox.url) as api, pytest.raises(ConfigurationError, match="cookies"):
        api.get("status/200", cookies={"a": 7})

    assert sandbox.requests == []


class ConstructedByRequests(httpkit.Session):
    """As a class of another library does, whose constructor knows that of requests alone."""

    def __init__(self):
        requests.Session.__init__(self)


def test_threads_that_meet_a_session_first_wait_until_it_is_set_up():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            for _ in range(50):
                session = ConstructedByRequests()
                parts = threads.map(
                    lambda _, s=session: [s._mode, s._budget, s.headers, s.adapters], range(4)
                )
                found = {tuple(map(id, held)) for held in parts}

                assert len(found) == 1
    finally:
        sys.setswitchinterval(interval)
