"""Requests that are made in another way than by requests equal those that requests makes."""

import copy

import pytest
import requests

import httpkit
from httpkit._messages.request import PreparedRequest

CASES = {
    "plain": {},
    "a body": {"method": "POST", "json": {"a": 1}},
    "cookies": {"cookies": {"sid": "1"}},
    "hooks": {"hooks": {"response": [print]}},
}
COPIES = {"method": PreparedRequest.copy, "shallow": copy.copy, "deep": copy.deepcopy}
# What ours know beside; the jar of a request without cookies is made when somebody looks for it.
OURS = {"call", "body_start", "is_attempt", "is_signed"}


def prepared(**parts):
    request = requests.Request(**{"method": "GET", "url": "http://a.test/x?b=1", **parts})
    with httpkit.Session(headers={"User-Agent": "x"}) as ours, requests.Session() as stock:
        stock.headers.update(
            {"User-Agent": "x", "Accept-Encoding": ours.headers["Accept-Encoding"]}
        )
        return ours.prepare_request(request), stock.prepare_request(request)


def shown(request):
    state = {**vars(request), "_cookies": dict(request._cookies or {})}
    return {name: value for name, value in state.items() if name not in OURS}


@pytest.mark.parametrize("parts", CASES.values(), ids=CASES)
def test_a_prepared_request_has_what_requests_prepares(parts):
    ours, stock = prepared(**parts)

    state = shown(ours)
    assert state.keys() == shown(stock).keys()
    for name in ("method", "url", "hooks", "_cookies", "_body_position"):
        assert state[name] == shown(stock)[name]
    assert dict(ours.headers) == dict(stock.headers)


@pytest.mark.parametrize("parts", CASES.values(), ids=CASES)
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_has_all_that_a_constructed_request_has(parts, copied):
    ours, stock = prepared(**parts)

    twin = copied(ours)

    assert type(twin) is PreparedRequest
    assert (
        shown(twin).keys() == shown(stock.copy()).keys() == vars(requests.PreparedRequest()).keys()
    )
    assert shown(twin) == shown(ours)
    assert twin.headers is not ours.headers
    assert vars(twin).keys() >= {"call"}
