"""One request without a session, and what else a call may say or be told."""

import pytest
import requests

import httpkit

SENDERS = {
    "get": httpkit.get,
    "post": httpkit.post,
    "put": httpkit.put,
    "patch": httpkit.patch,
    "delete": httpkit.delete,
    "head": httpkit.head,
    "options": httpkit.options,
}


@pytest.mark.parametrize("method", SENDERS)
def test_a_function_sends_its_method(sandbox, method):
    response = SENDERS[method](f"{sandbox.url}/echo", headers={"X-One": "1"})

    assert isinstance(response, httpkit.Response)
    assert sandbox.requests[-1].method == method.upper()
    assert sandbox.requests[-1].headers["X-One"] == "1"


def test_a_function_raises_for_an_error_status(sandbox):
    with pytest.raises(httpkit.NotFoundError):
        httpkit.get(f"{sandbox.url}/status/404")


def test_a_function_takes_the_options_of_a_call(sandbox):
    response = httpkit.request("GET", f"{sandbox.url}/status/404", raise_for_status=False)

    assert response.status_code == 404


def test_a_function_sends_parameters_and_bodies(sandbox):
    httpkit.get(f"{sandbox.url}/echo", {"a": True})
    received = httpkit.post(f"{sandbox.url}/echo", json={"b": 1}).json()

    assert sandbox.requests[0].query == {"a": ["true"]}
    assert received["json"] == {"b": 1}


def test_a_stream_outlives_the_session_of_a_function(raw_server, make_response):
    server = raw_server(make_response(body=b"x" * 200_000))

    with httpkit.get(f"{server.url}/x", stream=True) as response:
        body = b"".join(response.blocks())

    assert len(body) == 200_000


# ---- idempotent=


def test_a_post_that_is_idempotent_is_retried(raw_server, make_response, waits):
    server = raw_server(make_response("500 Down"), make_response())

    with httpkit.Session(server.url) as api:
        response = api.post("search", json={}, idempotent=True)

    assert response.attempts == 2


@pytest.mark.parametrize("status", ["500 Down", "503 Down", "429 Slow"])
def test_a_get_that_is_not_idempotent_is_sent_once(raw_server, make_response, waits, status):
    server = raw_server(make_response(status, retry_after="1"))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get("spend", idempotent=False)

    assert (caught.value.attempts, waits) == (1, [])
    assert caught.value.stop_reason == "the call says idempotent=False"


def test_idempotent_is_checked(sandbox, api):
    with pytest.raises(httpkit.ConfigurationError, match="idempotent=1 must be True or False"):
        api.get("echo", idempotent=1)

    assert sandbox.requests == []


# ---- What the server gave


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/v1/jobs/7", "/v1/jobs/7"),
        ("jobs/7", "/v1/jobs/7"),
        ("../jobs/7?a=b", "/jobs/7?a=b"),
        ("?page=2", "/v1/list?page=2"),
    ],
)
def test_a_reference_is_resolved_against_its_response(raw_server, make_response, reference, path):
    server = raw_server(make_response())

    with httpkit.Session(f"{server.url}/v1") as api:
        found = api.get("list").urljoin(reference)

    assert found == f"{server.url}{path}"


@pytest.mark.parametrize("reference", [None, 5, b"/x"])
def test_a_reference_that_is_no_text_is_refused(raw_server, make_response, reference):
    server = raw_server(make_response())

    with httpkit.Session(server.url) as api:
        response = api.get("list")
        with pytest.raises(requests.exceptions.InvalidURL, match="must be a str"):
            response.urljoin(reference)


@pytest.mark.parametrize(
    "reference", ["ftp://a.test/x", "https://u:secret-word@a.test/", "http://"]
)
def test_a_reference_that_cannot_be_resolved_is_refused(raw_server, make_response, reference):
    server = raw_server(make_response())

    with httpkit.Session(server.url) as api:
        response = api.get("list")
        with pytest.raises(requests.exceptions.InvalidURL, match="cannot be resolved") as caught:
            response.urljoin(reference)

    assert "secret-word" not in str(caught.value)


def notes_of(server, url, base="/v1"):
    with httpkit.Session(f"{server.url}{base}") as api, pytest.raises(httpkit.NotFoundError) as e:
        api.get(url)
    return "\n".join(getattr(e.value, "__notes__", []))


def test_a_404_of_a_doubled_base_says_so(raw_server, make_response):
    server = raw_server(make_response("404 Not Found"))

    assert "repeats the path of base_url" in notes_of(server, "/v1/jobs/7")


@pytest.mark.parametrize(("base", "url"), [("/v1", "jobs/7"), ("", "/v1/v1"), ("/v1", "v10/x")])
def test_another_404_says_nothing_about_the_base(raw_server, make_response, base, url):
    server = raw_server(make_response("404 Not Found"))

    assert "base_url" not in notes_of(server, url, base)
