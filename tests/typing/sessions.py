"""Read by type checkers and never run: what a session is told, and who takes one."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import logging
import sys
from typing import assert_type

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth

import httpkit
from httpkit import (
    APIKeyAuth,
    BasicAuth,
    BearerAuth,
    Response,
    RetryEvent,
    RetryPolicy,
    StatusDispatch,
    StatusError,
    raising,
)
from httpkit.testing import Sandbox, no_waiting, recorded_waits


class Blog(
    httpkit.Session,
    base_url="https://api.example.com/v1",
    auth=BearerAuth("token"),
    headers={"X-Team": "a"},
    params={"v": 1},
    cookies={"a": "b"},
    proxies={"https": "http://proxy.example.com"},
    verify="ca.pem",
    cert=("cert.pem", "key.pem"),
    timeout=(5, None),
    deadline=None,
    retry=RetryPolicy(attempts=5),
    on_status={404: raising(KeyError)},
    raise_for_status=False,
    max_body=None,
    trusted_origins=("https://cdn.example.com",),
    allow_http_auth=True,
    redirect_body=True,
    secret_headers=["X-Hush"],
    shown=["X-Region"],
    error_reason=lambda response: response.json()["why"],
    strict=False,
):
    """All class keywords."""


class Wiki(httpkit.Session):
    """All class attributes."""

    base_url = "https://api.example.com/v1"
    timeout = 5
    deadline = None
    retry = 5
    on_status = StatusDispatch({404: raising(KeyError)})
    raise_for_status = False
    max_body = None
    trusted_origins = ("https://cdn.example.com",)
    allow_http_auth = True
    redirect_body = True
    secret_headers = ("X-Hush",)
    strict = False


class OwnWiki(Wiki):
    """Attributes of a subclass of a subclass."""

    base_url = "https://wiki.example.com"
    timeout = 10


def every_keyword_of_the_constructor() -> httpkit.Session:
    return httpkit.Session(
        "https://api.example.com/v1",
        auth=("user", "password"),
        headers={"X-Team": "a"},
        params={"v": 1},
        cookies={"a": "b"},
        proxies={"https": "http://proxy.example.com"},
        verify=False,
        cert="cert.pem",
        timeout=2.5,
        deadline=30,
        retry=5,
        on_status={"4xx": raising(KeyError), "default": raising(StatusError)},
        raise_for_status=True,
        max_body=1 << 20,
        trusted_origins=["https://cdn.example.com"],
        allow_http_auth=False,
        redirect_body=False,
        secret_headers=["X-Hush"],
        strict=True,
    )


def off_is_none() -> httpkit.Session:
    return httpkit.Session(
        None, timeout=None, deadline=None, retry=None, on_status=None, max_body=None
    )


def settings_are_attributes(api: httpkit.Session) -> None:
    api.timeout = 5
    api.timeout = (5, 60)
    api.retry = 3
    api.retry = None
    api.auth = BearerAuth("token")
    api.headers["X-Team"] = "a"
    api.params = {"v": 1}
    api.verify = False
    api.base_url = "https://api.example.com/v2"


def a_clone_takes_the_same_keywords(api: httpkit.Session) -> None:
    clone = api.with_options(
        base_url=None, timeout=5, retry=None, auth=None, headers={"A": "b"}, on_status=None
    )
    assert_type(clone, httpkit.Session)


def takes_a_session_of_requests(session: requests.Session) -> requests.Response:
    """Be a library that knows nothing of httpkit."""
    session.mount("https://", HTTPAdapter())
    return session.get("https://api.example.com", params={"a": 1}, timeout=5)


def our_session_is_one_of_requests(api: httpkit.Session, wiki: Wiki) -> None:
    takes_a_session_of_requests(api)
    takes_a_session_of_requests(wiki)
    kind: type[requests.Session] = httpkit.Session
    kind()


def requests_are_prepared_and_sent(api: httpkit.Session) -> None:
    prepared: requests.PreparedRequest = api.prepare_request(requests.Request("GET", "users"))
    response: requests.Response = api.send(prepared, timeout=5, stream=True)
    response.close()


def auth_of_many_kinds(api: httpkit.Session) -> None:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request

    api.get("x", auth=sign)
    api.get("x", auth=BasicAuth("user", "password"))
    api.get("x", auth=HTTPDigestAuth("user", "password"))
    api.get("x", auth=BearerAuth(lambda: "token"))
    api.get("x", auth=BearerAuth.from_env("TOKEN") & APIKeyAuth("key", where="query"))
    assert_type(BearerAuth.from_env("TOKEN"), BearerAuth)


def retries_are_reported() -> RetryPolicy:
    def tell(event: RetryEvent) -> None:
        assert_type(event.attempt, int)
        assert_type(event.wait, float)
        assert_type(event.status, int | None)
        assert_type(event.error, Exception | None)

    return RetryPolicy(attempts=5, statuses={503}, methods=["GET"], budget=None, on_retry=tell)


def errors_say_what_happened(api: httpkit.Session) -> None:
    try:
        api.get("x")
    except httpkit.TooManyRequestsError as error:
        assert_type(error.retry_after, float | None)
    except httpkit.StatusError as error:
        assert_type(error.status_code, int)
        assert_type(error.detail, str | None)
        assert_type(error.attempts, int)
        assert_type(error.stop_reason, str | None)


def what_is_sent_can_be_seen(api: httpkit.Session, error: StatusError) -> None:
    assert_type(api.get("users").to_curl(), str)
    assert_type(error.to_curl(secrets=True), str)
    assert_type(api.prepare_request(requests.Request("GET", "users")).to_curl(), str)
    httpkit.log_requests()
    with httpkit.log_requests(logging.INFO, stream=sys.stdout), httpkit.log_requests(None):
        pass


class Counting(httpkit.Session):
    """A session that overrides `send`, as requests' users do."""

    sent = 0

    def send(self, request: requests.PreparedRequest, **kwargs: object) -> Response:
        """Count."""
        self.sent += 1
        return super().send(request, **kwargs)


def tests_of_an_sdk() -> None:
    with Sandbox() as sandbox, recorded_waits() as waits, no_waiting():
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.url, str)
        assert_type(waits, list[float])
        assert_type(sandbox.requests[0].body, bytes)


def adapters(api: httpkit.Session, request: requests.PreparedRequest) -> None:
    """Ours takes what requests' own takes."""
    adapter = httpkit.Adapter(pool_maxsize=20, max_retries=0)
    api.mount("https://", adapter)
    assert_type(adapter.send(request, timeout=(5, 60)), requests.Response)
    old: HTTPAdapter = adapter
    api.mount("http://", old)
