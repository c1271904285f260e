"""Read by type checkers and never run: what a call returns."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NoReturn, assert_type

import requests

import httpkit
from httpkit import NotFoundError, Response, StatusDispatch, raising


class OutOfOrderError(Exception):
    """An error of the caller's own."""


def name_of(response: Response) -> str:
    """Be a handler."""
    return response.text


def verbs_return_a_response(api: httpkit.Session) -> None:
    assert_type(api.get("users"), Response)
    assert_type(api.options("users"), Response)
    assert_type(api.head("users"), Response)
    assert_type(api.post("users"), Response)
    assert_type(api.put("users"), Response)
    assert_type(api.patch("users"), Response)
    assert_type(api.delete("users"), Response)
    assert_type(api.request("GET", "users"), Response)
    assert_type(api.get("users", on_status=None), Response)


def a_response_of_ours_is_one_of_requests(api: httpkit.Session) -> requests.Response:
    response = api.get("users")
    assert_type(response.attempts, int)
    assert_type(response.stop_reason, str | None)
    assert_type(response.elapsed_total, float)
    assert_type(response.status_code, int)
    assert_type(response.json(), Any)
    assert_type(response.decode(dict[str, int]), dict[str, int])
    return response


def a_table_widens_the_result(api: httpkit.Session) -> None:
    assert_type(api.get("users", on_status={200: name_of}), Response | str)
    assert_type(api.options("users", on_status={200: name_of}), Response | str)
    assert_type(api.head("users", on_status={200: name_of}), Response | str)
    assert_type(api.post("users", on_status={200: name_of}), Response | str)
    assert_type(api.put("users", on_status={200: name_of}), Response | str)
    assert_type(api.patch("users", on_status={200: name_of}), Response | str)
    assert_type(api.delete("users", on_status={200: name_of}), Response | str)
    assert_type(api.request("GET", "users", on_status={200: name_of}), Response | str)


def a_table_has_keys_of_many_kinds(api: httpkit.Session) -> None:
    table: dict[Any, Callable[[Response], int]] = {
        201: lambda r: r.status_code,
        HTTPStatus.CONFLICT: len_of,
        range(500, 505): len_of,
        "4xx": len_of,
        "default": len_of,
    }
    assert_type(api.post("users", on_status=table), Response | int)


def len_of(response: Response) -> int:
    """Be another handler."""
    return len(response.content)


def lambdas_are_understood(api: httpkit.Session) -> None:
    assert_type(api.get("users", on_status={404: lambda _: None}), Response | None)


def a_dispatch_widens_the_result(api: httpkit.Session) -> None:
    dispatch = StatusDispatch({404: name_of})
    assert_type(dispatch, StatusDispatch[str])
    assert_type(api.get("users", on_status=dispatch), Response | str)
    assert_type(dispatch(api.get("users")), Response | str)


def a_handler_that_raises_adds_nothing(api: httpkit.Session) -> None:
    assert_type(raising(OutOfOrderError), Callable[[Response], NoReturn])
    table: dict[int, Callable[[Response], NoReturn]] = {404: raising(OutOfOrderError)}
    assert_type(api.get("users", on_status=table), Response)
    found = api.get("users", on_status={200: name_of, 404: raising(OutOfOrderError)})
    assert_type(found, Response | str)


def raising_takes_classes_and_callables() -> None:
    raising(NotFoundError)
    raising(lambda response: OutOfOrderError(response.text))
    raising(KeyError)


def bodies_of_many_kinds(api: httpkit.Session) -> None:
    api.post("x", {"a": 1}, {"b": 2})
    api.post("x", data=b"bytes")
    api.post("x", data=[("a", "1"), ("a", "2")])
    api.post("x", data=(part for part in (b"a", b"b")))
    api.post("x", data=bytearray(b"a"))
    api.post("x", json=[1, None, {"a": True}])
    api.post("x", json=3)
    with open("film.mp4", "rb") as film:  # noqa: PTH123  # the common way
        api.put("x", film)
        api.post("x", files={"film": film})
        api.post("x", files={"note": ("n.txt", b"text", "text/plain", {"X-Part": "1"})})
        api.post("x", files=[("film", film), ("film", film)])


def arguments_of_a_call(api: httpkit.Session, headers: Mapping[str, str]) -> None:
    api.get("x", {"a": 1, "b": [True, 2.5], "c": None})
    api.get("x", params=[("a", 1), ("a", 2)])
    api.get("x", params="a=1")
    api.get(b"x")
    api.get("x", headers=headers)
    api.get("x", headers={"A": "text", "B": b"bytes"})
    api.get("x", cookies={"a": "b"}, auth=("user", "password"), verify="ca.pem", cert=("c", "k"))
    api.get("x", auth=httpkit.NO_AUTH, stream=True, allow_redirects=False)
    api.get("x", timeout=5)
    api.get("x", timeout=2.5)
    api.get("x", timeout=(5, 60))
    api.get("x", timeout=(None, 60))
    api.get("x", timeout=None, deadline=None, max_body=None, retry=None)
    api.get("x", retry=5, deadline=30, max_body=1 << 20, raise_for_status=False)
    api.get("x", retry=httpkit.RetryPolicy(attempts=2))
    api.get("posts/{id}", path={"id": 7})
    api.post("x", idempotency_key=True)
    api.post("x", idempotency_key="order-7", redirect_body=True, allow_http_auth=True)


def a_header_is_taken_away_with_none(api: httpkit.Session) -> None:
    api.get("x", headers={"Accept-Encoding": None})


def hooks_see_responses(api: httpkit.Session) -> None:
    def log(response: requests.Response, *_: object, **__: object) -> None:
        """Be a hook as requests documents them."""

    api.get("x", hooks={"response": log})
    api.get("x", hooks={"response": [log]})
