"""Retries that a caller describes: failures that HTTP does not show, waits and ends of tenacity."""

import pytest
import tenacity
from requests.structures import CaseInsensitiveDict

import httpkit
from httpkit.testing import FakeClock

REFUSED, SERVED = b'{"ok": false, "error": "ratelimited"}', b'{"ok": true}'


def is_refused(response: httpkit.Response) -> bool:
    return response.json()["ok"] is False


@pytest.fixture
def refusing(raw_server, make_response):
    """A server that refuses with 200 so many times, and then serves."""

    def start(times):
        return raw_server(*[make_response(body=REFUSED)] * times, make_response(body=SERVED))

    return start


@pytest.mark.parametrize("status", [520, 521, 522, 523, 524, 529])
def test_a_gateways_own_status_is_retried_as_502_is(raw_server, make_response, waits, status):
    server = raw_server(make_response(f"{status} Down"), make_response())

    with httpkit.Session(server.url) as api:
        response = api.get("x")

    assert (response.status_code, len(waits)) == (200, 1)


@pytest.mark.parametrize("status", [520, 522, 529])
def test_a_post_is_not_repeated_after_a_gateways_own_status(
    raw_server, make_response, waits, status
):
    server = raw_server(make_response(f"{status} Down"))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.ServerError):
        api.post("x", json={})

    assert waits == []


def test_a_failure_that_http_does_not_show_is_retried(refusing, waits):
    server, events = refusing(2), []
    policy = httpkit.RetryPolicy(retry_if=is_refused, on_retry=events.append)

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x")

    assert (response.json(), response.attempts, len(waits)) == ({"ok": True}, 3, 2)
    assert [(event.status, event.error) for event in events] == [(200, None)] * 2


def test_the_last_response_is_dispatched_when_attempts_run_out(refusing, waits):
    server, policy = refusing(9), httpkit.RetryPolicy(attempts=2, retry_if=is_refused)

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x")
        found = api.get("x", on_status={200: lambda r: r.json()["error"]})

    assert (response.attempts, response.json()["ok"]) == (2, False)
    assert response.stop_reason == "all 2 attempts were made"
    assert found == "ratelimited"


@pytest.mark.parametrize(("key", "attempts"), [(None, 1), (True, 2)])
def test_a_post_needs_a_key_to_be_retried_by_its_body(refusing, waits, key, attempts):
    server, policy = refusing(1), httpkit.RetryPolicy(retry_if=is_refused)

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.post("x", json={}, idempotency_key=key)

    assert response.attempts == attempts


def test_retry_if_is_called_once_for_each_response(refusing, waits):
    requested = []

    def note(response):
        requested.append(response.content)
        return is_refused(response)

    with httpkit.Session(refusing(1).url, retry=httpkit.RetryPolicy(retry_if=note)) as api:
        api.get("x")

    assert requested == [REFUSED, SERVED]


def test_retry_if_is_not_called_for_a_stream(refusing, waits):
    policy = httpkit.RetryPolicy(retry_if=is_refused)

    with (
        httpkit.Session(refusing(1).url, retry=policy) as api,
        api.get("x", stream=True) as response,
    ):
        body = b"".join(response.blocks())

    assert (body, response.attempts, waits) == (REFUSED, 1, [])


def test_retry_if_is_not_called_for_a_redirect(raw_server, make_response, waits):
    requested = []
    server = raw_server(make_response("302 Found", location="/there"), make_response(body=SERVED))
    policy = httpkit.RetryPolicy(retry_if=lambda r: requested.append(r.status_code))

    with httpkit.Session(server.url, retry=policy) as api:
        api.get("x")

    assert requested == [200]


def test_what_retry_if_raises_ends_the_call(refusing, waits):
    policy = httpkit.RetryPolicy(retry_if=lambda r: r.json()["no such member"])

    with httpkit.Session(refusing(1).url, retry=policy) as api, pytest.raises(KeyError):
        api.get("x")

    assert waits == []


def test_a_forbidden_that_names_a_spent_quota_is_retried(raw_server, make_response, waits):
    spent = b'{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}'
    server = raw_server(make_response("403 Forbidden", spent), make_response(body=SERVED))
    policy = httpkit.RetryPolicy(
        retry_if=lambda r: r.status_code == 403 and b"rateLimitExceeded" in r.content
    )

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x")

    assert (response.status_code, response.attempts) == (200, 2)


# ---- Waits and ends of tenacity


def failing(raw_server, make_response, times, **fields):
    down = make_response("503 Service Unavailable", **fields)
    return raw_server(*[down] * times, make_response())


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        (tenacity.wait_fixed(7), [7, 7]),
        (tenacity.wait_incrementing(start=1, increment=20), [1, 21]),
        (tenacity.wait_exponential(multiplier=3), [3, 6]),
        (tenacity.wait_chain(tenacity.wait_fixed(2), tenacity.wait_fixed(40)), [2, 40]),
        (tenacity.wait_fixed(1) + tenacity.wait_fixed(2), [3, 3]),
        (lambda call: call.attempt_number / 2, [0.5, 1]),
        (tenacity.wait_none(), [0, 0]),
    ],
    ids=["fixed", "incrementing", "exponential", "chain", "sum", "callable", "none"],
)
def test_a_wait_of_tenacity_is_exact(raw_server, make_response, waits, wait, seconds):
    server = failing(raw_server, make_response, 2)

    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(wait=wait)) as api:
        api.get("x")

    assert waits == seconds


def test_retry_after_is_the_floor_of_a_wait(raw_server, make_response, waits):
    server = failing(raw_server, make_response, 1, retry_after="9")
    policy = httpkit.RetryPolicy(wait=tenacity.wait_fixed(2))

    with httpkit.Session(server.url, retry=policy) as api:
        api.get("x")

    assert waits == [9]


@pytest.mark.parametrize("value", [-1, float("nan"), None, "1"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(raw_server, make_response, waits, value):
    server = failing(raw_server, make_response, 1)
    policy = httpkit.RetryPolicy(wait=lambda _: value)

    with (
        httpkit.Session(server.url, retry=policy) as api,
        pytest.raises(httpkit.ConfigurationError, match="wait= returned no number of seconds"),
    ):
        api.get("x")

    assert waits == []


def test_a_stop_of_tenacity_replaces_the_attempts(raw_server, make_response, waits):
    server = failing(raw_server, make_response, 5)
    policy = httpkit.RetryPolicy(attempts=1, stop=tenacity.stop_after_attempt(6))

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x")

    assert response.attempts == 6


def test_a_stop_after_a_delay_counts_from_the_first_attempt(raw_server, make_response):
    server = failing(raw_server, make_response, 9)
    policy = httpkit.RetryPolicy(
        wait=tenacity.wait_fixed(10), stop=tenacity.stop_after_delay(25), budget=None
    )

    with (
        FakeClock(),
        httpkit.Session(server.url, retry=policy) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("x")

    assert caught.value.attempts == 4  # after 0, 10, 20 and 30 seconds
    assert caught.value.stop_reason == "stop= ended it after 4 attempts"


def test_a_stop_before_a_delay_knows_the_coming_wait(raw_server, make_response):
    server = failing(raw_server, make_response, 9)
    policy = httpkit.RetryPolicy(
        wait=tenacity.wait_fixed(10), stop=tenacity.stop_before_delay(25), budget=None
    )

    with (
        FakeClock(),
        httpkit.Session(server.url, retry=policy) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("x")

    assert caught.value.attempts == 3


def test_the_rules_of_methods_hold_above_the_strategies(raw_server, make_response, waits):
    server = failing(raw_server, make_response, 1)
    policy = httpkit.RetryPolicy(stop=tenacity.stop_never, wait=tenacity.wait_none())

    with httpkit.Session(server.url, retry=policy) as api, pytest.raises(httpkit.ServerError):
        api.post("x", json={})

    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["retry_if", "wait", "stop"])
def test_a_strategy_that_cannot_be_called_is_refused(name):
    with pytest.raises(httpkit.ConfigurationError, match=f"{name}=3 cannot be called"):
        httpkit.RetryPolicy(**{name: 3})


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "31"}, 31),
        ({"RateLimit": '"default";r=0;t=12'}, 12),
        ({"Retry-After": "2, 5"}, 5),
    ],
    ids=["Twitter", "IETF", "twice"],
)
def test_a_rate_limit_is_waited_for_in_any_format(
    raw_server, make_response, waits, fields, seconds
):
    fields = CaseInsensitiveDict(fields)
    server = raw_server(make_response("429 Too Many Requests", **fields), make_response())

    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(backoff=0)) as api:
        api.get("x")

    assert waits == [seconds]
