"""Answers in the order a test wants them: what comes back, what was sent, and what is refused."""

import io
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

import httpkit
from httpkit.testing import Attempt, Reply, Script

URL = "https://api.example.com"
SEND = HTTPAdapter.send


@pytest.fixture
def api():
    with httpkit.Session(URL) as session:
        yield session


@pytest.fixture(autouse=True)
def _left_as_found():
    yield
    assert HTTPAdapter.send is SEND


# ---- what comes back


def test_responses_come_in_their_order(api, waits):
    with Script(503, Reply(status=429, headers={"Retry-After": "7"}), Reply(json={"id": 1})):
        response = api.get("users/1")

    assert (response.json(), response.attempts, waits) == ({"id": 1}, 3, [1.0, 7.0])


@pytest.mark.parametrize(
    ("failure", "method", "attempts"),
    [
        (requests.ConnectionError, "GET", 2),
        (requests.ConnectionError("reset"), "GET", 2),
        (requests.ReadTimeout, "GET", 2),
        (requests.ReadTimeout, "POST", 1),
        (requests.ConnectTimeout, "POST", 2),
        (requests.exceptions.SSLError, "GET", 1),
    ],
    ids=["class", "instance", "read GET", "read POST", "connect POST", "TLS"],
)
def test_a_failure_is_judged_as_from_a_socket(api, failure, method, attempts):
    with Script(*[failure, 200][:attempts]) as script:
        if attempts == 2:
            assert api.request(method, "x").attempts == 2
        else:
            with pytest.raises(requests.RequestException) as caught:
                api.request(method, "x")
            assert caught.value.request.method == method

    assert len(script.attempts) == attempts


def test_a_failure_knows_its_request_without_httpkit_too():
    with Script(requests.ConnectTimeout), pytest.raises(requests.ConnectTimeout) as caught:
        requests.get(f"{URL}/x", timeout=5)

    assert caught.value.request.url == f"{URL}/x"


def test_any_exception_can_be_raised(api):
    with Script(KeyError("no"), ZeroDivisionError):
        with pytest.raises(KeyError, match="no"):
            api.get("x")
        with pytest.raises(ZeroDivisionError, match="scripted for GET"):
            api.get("x")


@pytest.mark.parametrize("cut_at", [0, 4])
def test_a_body_that_is_cut_is_fetched_again(api, cut_at):
    with Script(Reply(body="whole body", cut_at=cut_at), Reply(body="whole body")):
        response = api.get("x")

    assert (response.text, response.attempts) == ("whole body", 2)


def test_a_body_that_stays_cut_is_an_error(api):
    with (
        Script(*[Reply(json=[1, 2, 3], cut_at=2)] * 3),
        pytest.raises(requests.exceptions.ChunkedEncodingError) as caught,
    ):
        api.get("x")

    assert caught.value.attempts == 3


def test_a_callable_sees_the_attempt_and_decides(api):
    def refuse_the_first(attempt):
        return 200 if attempt.json["n"] > 1 else Reply(status=409, json={"detail": "taken"})

    with Script(refuse_the_first, refuse_the_first, lambda _: requests.exceptions.InvalidURL("x")):
        with pytest.raises(httpkit.ConflictError, match="taken"):
            api.post("x", json={"n": 1})
        assert api.post("x", json={"n": 2}).status_code == 200
        with pytest.raises(requests.exceptions.InvalidURL):
            api.post("x", json={"n": 3})


def test_a_reply_has_the_fields_it_is_given_and_its_own(api):
    reply = Reply(json={"a": "ö"}, headers={"X-One": "1", "Set-Cookie": "a=b"})
    with Script(reply):
        response = api.get("x")

    assert response.headers["x-one"] == "1"
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert (response.reason, response.cookies["a"], api.cookies["a"]) == ("OK", "b", "b")


def test_a_stream_comes_from_a_script_too(api):
    with Script(Reply(body="a\nb\n")), api.get("x", stream=True) as response:
        assert list(response.lines()) == ["a", "b"]


# ---- what was sent


def test_each_attempt_records_what_it_sent(api):
    with Script(503, 200) as script:
        api.put("x", params={"q": "1"}, json={"a": 1}, headers={"X-Bytes": b"1"})

    first, second = script.attempts
    assert (first.method, first.url) == ("PUT", f"{URL}/x?q=1")
    assert (first.body, second.json) == (b'{"a": 1}', {"a": 1})
    assert first.headers["x-bytes"] == "1"
    assert first.headers["Content-Type"] == "application/json"


class Blocks:
    """A body that can be iterated again, and has no length."""

    def __iter__(self):
        return iter([b"a", b"b"])


BODIES = {
    "none": ({}, b""),
    "text": ({"data": "ö"}, "ö".encode()),
    "bytes": ({"data": b"\xff"}, b"\xff"),
    "file": ({"data": io.BytesIO(b"file")}, b"file"),
    "blocks": ({"data": Blocks()}, b"ab"),
    "form": ({"data": {"a": "b c"}}, b"a=b+c"),
}


@pytest.mark.parametrize(("options", "sent"), BODIES.values(), ids=BODIES)
def test_a_body_is_read_on_each_attempt(api, options, sent):
    with Script(500, 200) as script:
        api.put("x", **options)

    assert [attempt.body for attempt in script.attempts] == [sent, sent]


def test_a_large_form_is_the_same_on_each_attempt(api):
    with Script(500, requests.ConnectionError, 200) as script:
        api.post("x", files={"f": io.BytesIO(b"x" * 2_000_000)}, idempotency_key=True)

    script.assert_identical()
    assert len(script.attempts) == 3
    assert len(script.attempts[0].body) > 2_000_000
    assert script.attempts[0].headers["Idempotency-Key"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"method": "PUT"}, "method"),
        ({"url": "y"}, "url"),
        ({"data": b"2"}, "body"),
        ({"idempotency_key": "other"}, "Idempotency-Key"),
        ({"idempotency_key": None}, "Idempotency-Key"),
    ],
    ids=["method", "url", "body", "key", "no key"],
)
def test_what_differs_between_attempts_is_named(api, change, what):
    options = {"method": "POST", "url": "x", "data": b"1", "idempotency_key": "one"}
    with Script(200, 200) as script:
        api.request(**options)
        api.request(**{**options, **change})

    with pytest.raises(AssertionError, match=f"attempt 2 differs in {what}$"):
        script.assert_identical()


def test_only_the_headers_that_are_named_must_be_the_same(api):
    with Script(200, 200) as script:
        api.get("x", headers={"X-One": "1"})
        api.get("x", headers={"X-One": "2"})

    script.assert_identical()
    with pytest.raises(AssertionError, match="differs in X-One"):
        script.assert_identical(headers=["X-One"])


def test_nothing_sent_is_not_the_same_each_time():
    with Script() as script, pytest.raises(AssertionError, match="nothing was sent"):
        script.assert_identical()


def test_an_attempt_shows_no_secret():
    attempt = Attempt("GET", f"{URL}/x?token=s3cr3t", {"Authorization": "s3cr3t"}, b"s3cr3t")

    assert repr(attempt) == f"<Attempt GET {URL}/x?token=***, 6 bytes>"


# ---- too many, too few, for somebody else


def test_a_request_after_the_last_response_fails_the_test_at_once(api):
    with (
        pytest.raises(AssertionError, match="has 1 responses, but got 2 requests") as caught,
        Script(503) as script,
    ):
        api.get("x")

    assert "<Attempt GET https://api.example.com/x, 0 bytes>" in str(caught.value)
    assert repr(script) == "<Script 2 of 1 responses used>"


def test_one_that_is_swallowed_fails_the_test_at_the_end(api):
    def careless():
        try:
            api.get("x")
        except AssertionError:
            return

    with pytest.raises(AssertionError, match="got 2 requests"), Script(503):
        careless()


def test_an_unused_response_fails_the_test(api):
    with (
        pytest.raises(AssertionError, match="has 2 responses, but got 1 requests"),
        Script(200, 200),
    ):
        api.get("x")


def test_the_tests_own_failure_is_not_hidden_by_what_is_left(api):
    with pytest.raises(ZeroDivisionError), Script(200):
        raise ZeroDivisionError


def test_a_script_is_for_a_method_and_a_url(api):
    with (
        Script(201, method="post", url=f"{URL}/x"),
        Script(202, url=f"{URL}/x?a=1"),
        Script(200, 203, url=re.compile(r"/[xy]$"), method="GET"),
    ):
        assert api.get("x").status_code == 200
        assert api.post("x", params={"q": 1}).status_code == 201
        assert api.get("x", params={"a": 1}).status_code == 202
        assert api.get("y").status_code == 203


def test_what_no_script_is_for_is_refused_and_not_repeated(api, waits):
    with Script(200, url=f"{URL}/x"):
        with pytest.raises(requests.ConnectionError, match="refused by Responses") as caught:
            api.get("y")
        api.get("x")

    assert (caught.value.attempts, waits) == (1, [])


def test_the_innermost_script_responds_first(api):
    with Script(201):
        with Script(202):
            assert api.get("x").status_code == 202
        assert api.get("x").status_code == 201


def test_scripts_and_the_mocks_of_responses_stand_within_each_other(api):
    with Script(201, url=f"{URL}/a"), responses.RequestsMock() as mock:
        mock.get(f"{URL}/b", status=202)
        mock.add_passthru("https://other.example")
        with Script(203, url=f"{URL}/c"):
            assert api.get("b").status_code == 202
            assert api.get("c").status_code == 203
        with pytest.raises(requests.ConnectionError):
            api.get("a")  # the mock between hides it
        mock.stop()
        assert api.get("a").status_code == 201
    with responses.RequestsMock() as mock:
        mock.get(f"{URL}/b", status=202)
        with Script(203, url=f"{URL}/c"):
            assert [api.get(path).status_code for path in ("b", "c")] == [202, 203]


def test_an_empty_script_allows_no_request(api):
    with pytest.raises(AssertionError, match="0 responses, but got 1 requests"), Script():
        api.get("x")


def test_threads_share_the_responses_of_a_script(api):
    with Script(*[200] * 40) as script, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: api.put("x", data=str(n)).status_code, range(40)))

    assert statuses == [200] * 40
    assert sorted(int(attempt.body) for attempt in script.attempts) == list(range(40))


def test_threads_leave_their_scripts_in_any_order(api):
    first_left = threading.Event()
    second_entered = threading.Event()

    def first():
        with Script(201, url=f"{URL}/1"):
            second_entered.wait(5)
            status = api.get("1").status_code
        first_left.set()
        return status

    def second():
        with Script(202, url=f"{URL}/2"):
            second_entered.set()
            first_left.wait(5)
            return api.get("2").status_code

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(work) for work in (first, second)]
        assert [future.result() for future in found] == [201, 202]


def test_a_script_that_is_left_meanwhile_refuses():
    class Leaving(Script):
        """One that another thread leaves after it was found."""

        is_here = True

        def matches(self, request):
            is_here, self.is_here = self.is_here, False
            return is_here

    with (
        Leaving(),
        httpkit.Session(URL) as api,
        pytest.raises(requests.ConnectionError, match="a script was left"),
    ):
        api.get("x")


def test_a_script_can_be_entered_again_but_not_within_itself(api):
    script = Script()
    with script:
        pass
    with script, pytest.raises(httpkit.ConfigurationError, match="already entered"):
        script.__enter__()


MISTAKES = {
    "a small status": lambda: Script(99),
    "a large status": lambda: Script(600),
    "a bool": lambda: Script(True),  # noqa: FBT003  # that is the mistake
    "text": lambda: Script("200"),
    "a class": lambda: Script(int),
    "no mere exception": lambda: Script(KeyboardInterrupt),
    "a relative URL": lambda: Script(url="/users"),
    "a status as text": lambda: Reply(status="200"),
    "two bodies": lambda: Reply(json=1, body="x"),
    "a cut in nothing": lambda: Reply(cut_at=0),
    "a cut at the end": lambda: Reply(body="abc", cut_at=3),
    "a cut before": lambda: Reply(body="abc", cut_at=-1),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_before_anything_is_sent(mistake):
    with pytest.raises(httpkit.ConfigurationError):
        mistake()


def test_a_missing_responses_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "responses", None)

    with pytest.raises(httpkit.ConfigurationError) as caught, Script(200):
        pass

    assert str(caught.value) == "Script needs responses: pip install 'requests-httpkit[testing]'"
