"""What a status means: the call's table, then the session's, then the built-in one."""

import pickle
import threading
import time
from collections import ChainMap
from http import HTTPStatus
from types import MappingProxyType

import pytest
import requests

import httpkit
from httpkit import StatusDispatch, raising


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


def response_of(status):
    response = httpkit.Response()
    response.status_code = status
    return response


def named(name):
    """A handler that returns its name."""
    return lambda _: name


def given_back(response):
    return response


class OutOfOrder(httpkit.ServerError):
    """A caller's own class in httpkit's tree."""


class ShopError(Exception):
    """A caller's own class outside it."""


class BareError(Exception):
    def __init__(self):
        super().__init__("nothing is wanted")


class OldSDKError(requests.RequestException):
    """As SDKs on plain requests write it: the constructor knows no `response`."""

    def __init__(self, message):
        super().__init__(message)


# Which rule wins


@pytest.mark.parametrize(
    ("table", "status", "winner"),
    [
        pytest.param({404: "status"}, 404, "status", id="a status"),
        pytest.param({HTTPStatus.NOT_FOUND: "status"}, 404, "status", id="an HTTPStatus"),
        pytest.param({range(400, 500): "range"}, 499, "range", id="a range"),
        pytest.param({range(499, 399, -1): "range"}, 404, "range", id="a range that counts down"),
        pytest.param({"4xx": "class"}, 418, "class", id="a class"),
        pytest.param({"5XX": "class"}, 599, "class", id="a class in capitals"),
        pytest.param({"2xx": "class"}, 200, "class", id="the class of success"),
        pytest.param({"3xx": "class"}, 304, "class", id="the class of redirects"),
        pytest.param({"default": "default"}, 404, "default", id="default"),
        pytest.param(
            {"default": "d", "4xx": "c", range(400, 405): "r", 404: "s"},
            404,
            "s",
            id="status first",
        ),
        pytest.param({range(404, 405): "r", 404: "s"}, 404, "s", id="status before a range of one"),
        pytest.param({404: "s", range(404, 405): "r"}, 404, "s", id="status, given first"),
        pytest.param({"4xx": "c", range(400, 405): "r"}, 404, "r", id="range before class"),
        pytest.param({"4xx": "c", range(400, 500): "r"}, 404, "r", id="range as wide as the class"),
        pytest.param({"4xx": "c", range(400, 600): "r"}, 404, "r", id="range wider than the class"),
        pytest.param(
            {range(400, 600): "wide", range(400, 410): "narrow"}, 404, "narrow", id="narrow range"
        ),
        pytest.param({"default": "d", "4xx": "c"}, 404, "c", id="class before default"),
        pytest.param({"default": "d", "4xx": "c"}, 500, "d", id="default after class"),
    ],
)
def test_the_most_specific_key_wins(table, status, winner):
    dispatch = StatusDispatch({key: named(name) for key, name in table.items()})

    result = dispatch(response_of(status))

    assert result == winner


@pytest.mark.parametrize(
    ("table", "status"),
    [
        pytest.param({}, 404, id="empty table"),
        pytest.param({404: "x"}, 405, id="another status"),
        pytest.param({range(400, 404): "x"}, 404, id="the end of a range is not in it"),
        pytest.param({range(400, 500, 2): "x"}, 401, id="between the steps of a range"),
        pytest.param({"4xx": "x"}, 500, id="another class"),
        pytest.param({"4xx": "x"}, 399, id="below the class"),
        pytest.param({"default": "x"}, 200, id="default and success"),
        pytest.param({"default": "x"}, 204, id="default and no content"),
        pytest.param({"default": "x"}, 302, id="default and redirect"),
        pytest.param({"default": "x"}, 399, id="default and the last that is no error"),
    ],
)
def test_a_response_that_no_key_matches_is_given_back(table, status):
    dispatch = StatusDispatch({key: named(name) for key, name in table.items()})
    response = response_of(status)

    result = dispatch(response)

    assert result is response


@pytest.mark.parametrize("status", [400, 404, 418, 500, 599, 600, 999])
def test_default_is_for_every_error(status):
    dispatch = StatusDispatch({"default": named("default")})

    result = dispatch(response_of(status))

    assert result == "default"


def test_a_range_without_a_sensible_end_means_from_there_on():
    dispatch = StatusDispatch({range(400, 10**20): named("error")})

    result = dispatch(response_of(503))

    assert result == "error"


def test_a_dispatch_keeps_the_table_it_was_made_of():
    table = {404: named("before")}
    dispatch = StatusDispatch(table)

    table[404] = named("after")
    table[500] = named("added")

    assert [dispatch(response_of(404)), dispatch.find(500)] == ["before", None]


def test_a_dispatch_shows_and_yields_its_keys():
    dispatch = StatusDispatch({404: given_back, "default": given_back})

    shown = repr(dispatch)

    assert (shown, list(dispatch)) == ("StatusDispatch([404, 'default'])", [404, "default"])


# What is refused

IMPOSSIBLE_KEYS = [
    pytest.param(key, id=repr(key))
    for key in (
        0, -404, 99, 100, 199, 600, 10**30, True, False, 404.0, float("nan"), None, (), (404,),
        frozenset({404}), "", "404", "4x", "4xxx", "0xx", "1xx", "6xx", "xxx", " 4xx", "4xx\n",
        "٤xx", b"4xx", b"default", "Default", "DEFAULT", "*", "success", range(0), range(404, 400),
        range(100, 200), range(600, 1000), ValueError,
    )
]  # fmt: skip
UNCALLABLE_VALUES = [
    pytest.param(value, id=type(value).__name__)
    for value in (None, 404, "handler", {}, [], httpkit.NotFoundError("an instance"))
]


@pytest.mark.parametrize("key", IMPOSSIBLE_KEYS)
def test_a_key_that_can_never_match_is_refused(key):
    with pytest.raises(httpkit.ConfigurationError):
        StatusDispatch({key: given_back})


@pytest.mark.parametrize("value", UNCALLABLE_VALUES)
def test_a_value_that_cannot_be_called_is_refused(value):
    with pytest.raises(httpkit.ConfigurationError, match="404"):
        StatusDispatch({404: value})


def test_the_error_for_a_status_written_as_text_says_how_to_write_it():
    with pytest.raises(ValueError, match=r"'404'.*use 404"):
        StatusDispatch({"404": given_back})


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({600: given_back}, id="a key that never matches"),
        pytest.param({404: None}, id="a value that is None"),
        pytest.param([(404, given_back)], id="a list"),
        pytest.param(given_back, id="a function"),
        pytest.param(404, id="a number"),
        pytest.param("4xx", id="a text"),
        pytest.param(True, id="True"),
    ],
)
@pytest.mark.parametrize(
    "location",
    [
        pytest.param(lambda api, table: api.get("echo", on_status=table), id="call"),
        pytest.param(lambda api, table: httpkit.Session(api.base_url, on_status=table), id="new"),
        pytest.param(lambda api, table: api.with_options(on_status=table), id="with_options"),
        pytest.param(
            lambda api, table: type("Odd", (httpkit.Session,), {"on_status": table})(api.base_url),
            id="class attribute",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused_before_anything_is_sent(sandbox, api, location, table):
    with pytest.raises(httpkit.ConfigurationError):
        location(api, table)

    assert sandbox.requests == []


def test_a_table_that_cannot_work_is_refused_in_the_class_statement():
    with pytest.raises(httpkit.ConfigurationError):
        type("Odd", (httpkit.Session,), {}, on_status={"6xx": given_back})


def test_a_bad_table_assigned_later_is_refused_before_anything_is_sent(sandbox, api):
    api.on_status = {"6xx": given_back}

    with pytest.raises(httpkit.ConfigurationError):
        api.get("echo")

    assert sandbox.requests == []


# Raising


def test_an_exception_class_as_a_value_is_raised_with_the_status_error_as_its_cause(api):
    with pytest.raises(
        ShopError, match=r"^404 Not Found for GET .*: no posts with id 9$"
    ) as caught:
        api.get("posts/9", on_status={404: ShopError})

    assert type(caught.value.__cause__) is httpkit.NotFoundError


@pytest.mark.parametrize("value", [OutOfOrder, raising(OutOfOrder)], ids=["class", "raising"])
def test_an_own_status_error_knows_what_a_built_in_one_knows(api, value):
    with pytest.raises(OutOfOrder) as caught:
        api.get("status/503", params={"request_id": "r1"}, on_status={"5xx": value})

    error = caught.value
    assert (error.status_code, error.detail, error.request_id) == (503, "asked for 503", "r1")
    assert (error.response.status_code, error.request.method) == (503, "GET")


@pytest.mark.parametrize(
    "cls",
    [
        pytest.param(httpkit.DecodeError, id="one of httpkit's own"),
        pytest.param(requests.ConnectionError, id="one of requests'"),
    ],
)
def test_a_request_exception_that_is_raised_carries_the_response(api, cls):
    with pytest.raises(cls) as caught:
        api.get("status/404", on_status={404: cls})

    assert caught.value.response.status_code == 404


@pytest.mark.parametrize(
    "cls",
    [
        pytest.param(BareError, id="wants no argument"),
        pytest.param(OldSDKError, id="a RequestException that wants a message only"),
        pytest.param(KeyError, id="a builtin"),
        pytest.param(KeyboardInterrupt, id="no Exception at all"),
    ],
)
def test_an_exception_class_is_raised_whatever_its_constructor_wants(api, cls):
    with pytest.raises(cls) as caught:
        api.get("status/404", on_status={404: cls})

    assert type(caught.value.__cause__) is httpkit.NotFoundError


def test_an_own_status_error_with_a_constructor_of_its_own_is_raised(api):
    class QuotaError(httpkit.ClientError):
        def __init__(self, message):
            super().__init__(message)

    with pytest.raises(QuotaError) as caught:
        api.get("status/429", on_status={429: QuotaError})

    assert caught.value.response.status_code == 429


def test_raising_takes_a_callable_that_makes_the_exception(api):
    handler = raising(lambda response: ShopError(f"shop says {response.status_code}"))

    with pytest.raises(ShopError, match=r"^shop says 404$") as caught:
        api.get("status/404", on_status={404: handler})

    assert type(caught.value.__cause__) is httpkit.NotFoundError


def test_an_exception_class_for_a_success_is_raised_too(api):
    with pytest.raises(ShopError, match=r"^204 No Content for GET "):
        api.get("empty", on_status={204: ShopError})


@pytest.mark.parametrize("error", [None, "ShopError", ShopError("an instance"), 404])
def test_raising_refuses_what_it_cannot_call(error):
    with pytest.raises(httpkit.ConfigurationError):
        raising(error)


def test_a_session_with_a_raising_table_pickles(sandbox):
    with httpkit.Session(sandbox.url, on_status={404: raising(ShopError)}) as api:
        twin = pickle.loads(pickle.dumps(api))

    with twin, pytest.raises(ShopError):
        twin.get("posts/9")


# What a handler gets and gives


@pytest.mark.parametrize("result", [None, 0, False, "", [], (), "id-7", {"a": 1}], ids=repr)
def test_a_call_returns_what_its_handler_returns(api, result):
    returned = api.get("status/404", on_status={404: lambda _: result})

    assert returned is result


@pytest.mark.parametrize("result", [None, 0, False, "", []], ids=repr)
def test_a_dispatch_called_by_hand_returns_what_its_handler_returns(result):
    dispatch = StatusDispatch({404: lambda _: result})

    assert dispatch(response_of(404)) is result


def test_a_handler_gets_the_response_once(api):
    got = []

    api.get("posts/9", on_status={404: got.append})

    assert [(type(r), r.status_code, r.problem["detail"]) for r in got] == [
        (httpkit.Response, 404, "no posts with id 9")
    ]


def test_a_call_without_a_matching_key_returns_the_response(api):
    returned = api.get("echo", on_status={404: named("x"), "default": named("y")})

    assert type(returned) is httpkit.Response


def test_an_error_of_a_handler_comes_through_as_it_is(api):
    error = ShopError("mine")

    def handler(_):
        raise error

    with pytest.raises(ShopError) as caught:
        api.get("status/404", on_status={404: handler})

    assert (caught.value, caught.value.__cause__) == (error, None)


@pytest.mark.parametrize("wrap", [StatusDispatch, MappingProxyType, ChainMap, dict])
def test_a_plain_mapping_and_a_dispatch_mean_the_same(api, wrap):
    returned = api.get("status/404", on_status=wrap({404: named("found")}))

    assert returned == "found"


@pytest.mark.parametrize("verb", ["get", "options", "head", "post", "put", "patch", "delete"])
def test_every_verb_takes_a_table(api, verb):
    returned = getattr(api, verb)("status/409", on_status={409: named("clash")})

    assert returned == "clash"


def test_a_handler_is_called_once_after_all_attempts(sandbox, waits):
    got = []
    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/a", params={"fail": 9}, on_status={503: got.append})

    assert ([r.attempts for r in got], len(waits)) == ([3], 2)


def test_a_handler_for_a_redirect_is_not_called_when_it_is_followed(api):
    returned = api.get("redirect/chain/1", on_status={302: named("redirect")})

    assert returned.status_code == 200


def test_a_handler_for_a_redirect_is_called_when_it_is_not_followed(api):
    table = {302: named("redirect")}

    returned = api.get("redirect/chain/1", allow_redirects=False, on_status=table)

    assert returned == "redirect"


def test_send_uses_no_status_table(sandbox):
    with httpkit.Session(sandbox.url, on_status={404: raising(ShopError)}) as api:
        prepared = api.prepare_request(requests.Request("GET", "posts/9"))

        response = api.send(prepared)

    assert response.status_code == 404


def test_one_dispatch_serves_many_threads(api):
    dispatch = StatusDispatch({n: lambda r: r.status_code for n in range(400, 432)})
    results = {}

    def call(status):
        results[status] = api.get(f"status/{status}", on_status=dispatch)

    threads = [threading.Thread(target=call, args=(status,)) for status in range(400, 432)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {n: n for n in range(400, 432)}


# Which table is asked first


@pytest.mark.parametrize(
    ("own", "session", "winner"),
    [
        pytest.param({404: "call"}, {404: "session"}, "call", id="both know it"),
        pytest.param({"default": "call"}, {404: "session"}, "call", id="a default beats a status"),
        pytest.param({"4xx": "call"}, {404: "session"}, "call", id="a class beats a status"),
        pytest.param({500: "call"}, {404: "session"}, "session", id="the call's does not know it"),
        pytest.param({}, {404: "session"}, "session", id="the call's is empty"),
        pytest.param({500: "call"}, {500: "session"}, "built in", id="neither knows it"),
        pytest.param(None, {404: "session"}, "built in", id="None asks no table"),
    ],
)
def test_the_whole_table_of_a_call_precedes_the_sessions(sandbox, own, session, winner):
    def raisers(table):
        return table and {
            key: raising(lambda _, n=name: ShopError(n)) for key, name in table.items()
        }

    with (
        httpkit.Session(sandbox.url, on_status=raisers(session)) as api,
        pytest.raises((ShopError, httpkit.NotFoundError)) as caught,
    ):
        api.get("posts/9", on_status=raisers(own))

    requested = str(caught.value) if type(caught.value) is ShopError else "built in"
    assert requested == winner


def test_a_class_keyword_sets_the_table_of_every_session(sandbox):
    class Shop(httpkit.Session, on_status={404: ShopError}):
        pass

    with Shop(sandbox.url) as shop, pytest.raises(ShopError):
        shop.get("posts/9")


def test_a_class_attribute_sets_the_table_of_every_session(sandbox):
    class Shop(httpkit.Session):
        on_status = {404: ShopError}  # noqa: RUF012  # as an SDK author writes it

    with Shop(sandbox.url) as shop, pytest.raises(ShopError):
        shop.get("posts/9")


def test_an_instances_table_replaces_that_of_its_class(sandbox):
    class Shop(httpkit.Session, on_status={404: ShopError}):
        pass

    with (
        Shop(sandbox.url, on_status={500: ShopError}) as shop,
        pytest.raises(httpkit.NotFoundError),
    ):
        shop.get("posts/9")


def test_none_takes_the_table_of_the_class_away(sandbox):
    class Shop(httpkit.Session, on_status={404: ShopError}):
        pass

    with Shop(sandbox.url, on_status=None) as shop, pytest.raises(httpkit.NotFoundError):
        shop.get("posts/9")


@pytest.mark.parametrize("result", [None, 7, "text", {}], ids=repr)
def test_a_sessions_table_may_not_return_a_value(sandbox, result):
    with (
        httpkit.Session(sandbox.url, on_status={404: lambda _: result}) as api,
        pytest.raises(httpkit.ConfigurationError, match="may only raise or return a Response"),
    ):
        api.get("posts/9")


def test_a_classs_table_may_not_return_a_value(sandbox):
    class Shop(httpkit.Session, on_status={200: lambda r: r.json()}):
        pass

    with Shop(sandbox.url) as shop, pytest.raises(httpkit.ConfigurationError):
        shop.get("echo")


def test_a_sessions_table_may_return_the_response(sandbox):
    with httpkit.Session(sandbox.url, on_status={404: given_back}) as api:
        response = api.get("posts/9")

    assert response.status_code == 404


def test_a_sessions_table_may_return_another_response(sandbox):
    other = response_of(200)
    with httpkit.Session(sandbox.url, on_status={404: lambda _: other}) as api:
        response = api.get("posts/9")

    assert response is other


# Together with raise_for_status


def test_a_session_that_does_not_raise_still_asks_its_tables(sandbox):
    with (
        httpkit.Session(sandbox.url, raise_for_status=False, on_status={404: ShopError}) as api,
        pytest.raises(ShopError),
    ):
        api.get("posts/9")


def test_a_status_that_nothing_handles_comes_back_when_nothing_raises(api):
    response = api.get("posts/9", raise_for_status=False, on_status={500: named("x")})

    assert response.status_code == 404


# Streams


def test_a_handler_of_a_streamed_error_can_read_its_body(api):
    text = api.get("posts/9", stream=True, on_status={404: lambda r: r.json()["detail"]})

    assert text == "no posts with id 9"


def test_an_unhandled_streamed_error_has_the_servers_message(api):
    with pytest.raises(httpkit.NotFoundError, match="no posts with id 9"):
        api.get("posts/9", stream=True)


def test_a_handler_of_a_streamed_success_gets_it_unread(raw_server, make_response):
    server = raw_server(make_response(body=b"one two"))

    with httpkit.Session(server.url) as api:
        blocks = api.get("", stream=True, on_status={200: lambda r: list(r.iter_content(4))})

    assert blocks == [b"one ", b"two"]


def test_a_streamed_error_leaves_its_connection_for_the_next_call(raw_server):
    connections = []

    def serve(connection):
        connections.append(connection)
        for status in (b"404 Not Found", b"200 OK"):
            head = b"HTTP/1.1 %s\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}" % status
            connection.sendall(head)
            connection.recv(65536)

    server = raw_server(serve)

    with httpkit.Session(server.url) as api:
        api.get("", stream=True, on_status={404: named("handled")})
        api.get("")

    assert len(connections) == 1


def test_the_deadline_bounds_the_body_of_a_streamed_error(raw_server):
    going = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 500 Oops\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(100):
            going.wait(0.1)
            connection.sendall(b"x")

    server = raw_server(drip)
    started = time.monotonic()

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises((httpkit.DeadlineExceededError, httpkit.InternalServerError)),
    ):
        api.get("", stream=True, deadline=0.2)

    assert time.monotonic() - started < 5
