"""Read by type checkers and never run: an auth strategy of a caller's own."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import requests

import httpkit


class Signed(httpkit.Strategy):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Signature"] = "s"
        return request


def is_taken_by_a_session_and_a_call() -> None:
    api = httpkit.Session("https://api.example.com", auth=Signed())
    assert_type(api.get("x", auth=Signed() & httpkit.BearerAuth("t")), httpkit.Response)
    assert_type(Signed().can_change, bool)
