"""Read by type checkers and never run: what they must refuse.

Each line with a comment is wrong; a checker that finds nothing wrong there reports the comment.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from dataclasses import dataclass

import requests

import httpkit
from httpkit import (
    APIKeyAuth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    CursorPages,
    LinkPages,
    NumberedPages,
    RefreshTokenAuth,
    Resource,
    RetryEvent,
    RetryPolicy,
    raising,
)


@dataclass
class Post:
    """A model."""

    title: str


class Blog(httpkit.Session):
    """An SDK."""

    posts = Resource("posts", Post)


def misspelt_keywords(api: httpkit.Session) -> None:
    api.get("x", retries=5)  # type: ignore[call-overload]
    api.post("x", timout=5)  # type: ignore[call-overload]
    api.request("GET", "x", raise_for_statuses=False)  # type: ignore[call-overload]
    api.with_options(retries=5)  # type: ignore[call-arg]
    httpkit.Session("https://api.example.com", retries=5)  # type: ignore[call-arg]
    RetryPolicy(attempt=5)  # type: ignore[call-arg]


def many(api: httpkit.Session) -> None:
    api.map(len, [1, 2])  # type: ignore[arg-type]
    api.map(len, ["a"], errors="ignore")  # type: ignore[call-overload]
    api.map(len, ["a"], worker=2)  # type: ignore[call-overload]
    api.graphql("{a}", ["id"])  # type: ignore[call-overload]
    api.graphql("{a}", files={})  # type: ignore[call-overload]
    httpkit.Session(rate_limit=[10])  # type: ignore[arg-type]


class Misspelt(httpkit.Session, retries=5):  # type: ignore[call-arg]
    """A class keyword that nobody knows."""


class OfTheWrongType(httpkit.Session, timeout="5"):  # type: ignore[arg-type]
    """A class keyword that cannot be."""


class AttributeOfTheWrongType(httpkit.Session):
    """A class attribute that cannot be."""

    timeout = "5"  # type: ignore[assignment]


def values_of_the_wrong_type(api: httpkit.Session) -> None:
    api.get("x", retry="5")  # type: ignore[call-overload]
    api.get("x", timeout="5")  # type: ignore[call-overload]
    api.get("x", timeout=(1, 2, 3))  # type: ignore[arg-type]
    api.get("x", deadline="30")  # type: ignore[call-overload]
    api.get("x", max_body="1 GiB")  # type: ignore[call-overload]
    api.get("x", raise_for_status="no")  # type: ignore[call-overload]
    api.get("x", on_status={404: "nothing"})  # type: ignore[arg-type]
    api.get("x", on_status=[404])  # type: ignore[call-overload]
    api.get("x", path=7)  # type: ignore[call-overload]
    api.get("x", idempotency_key=5)  # type: ignore[call-overload]
    api.get("x", auth="token")  # type: ignore[call-overload]
    api.get("x", headers=[("A", "b")])  # type: ignore[call-overload]
    httpkit.Session(base_url=5)  # type: ignore[arg-type]
    httpkit.Session(timeout="5")  # type: ignore[arg-type]
    httpkit.Session(auth="token")  # type: ignore[arg-type]
    httpkit.Session(on_status=[404])  # type: ignore[arg-type]
    api.with_options(timeout="5")  # type: ignore[arg-type]
    api.timeout = "5"  # type: ignore[assignment]
    api.retry = "5"  # type: ignore[assignment]


def arguments_in_the_wrong_place(api: httpkit.Session) -> None:
    api.get()  # type: ignore[call-overload]
    api.get(5)  # type: ignore[call-overload]
    api.get("x", {}, {})  # type: ignore[call-overload]
    api.request("x")  # type: ignore[call-overload]
    api.send(requests.Request("GET", "x"))  # type: ignore[arg-type]
    httpkit.Session("https://api.example.com", ("user", "password"))  # type: ignore[call-arg]
    RetryPolicy(5)  # type: ignore[call-arg]


def strategies_that_cannot_be() -> None:
    BearerAuth(5)  # type: ignore[arg-type]
    BasicAuth()  # type: ignore[call-arg]
    APIKeyAuth("key", where="body")  # type: ignore[arg-type]
    BearerAuth("token").token = "other"  # type: ignore[misc]
    ClientCredentialsAuth("https://auth.example.com/token", "id")  # type: ignore[call-arg]
    ClientCredentialsAuth("https://a.example.com/", "id", "secret", "scope")  # type: ignore[call-arg]
    ClientCredentialsAuth("https://a.example.com/", "id", b"secret")  # type: ignore[arg-type]
    ClientCredentialsAuth("https://a.example.com/", "id", "s", client_auth="jwt")  # type: ignore[arg-type]
    ClientCredentialsAuth.from_env("https://a.example.com/", "ID", "S", scopes="a")  # type: ignore[call-arg]
    RefreshTokenAuth("https://a.example.com/", "id")  # type: ignore[call-arg]
    RefreshTokenAuth("https://a.example.com/", "id", "r", on_refresh=5)  # type: ignore[arg-type]
    raising(5)  # type: ignore[arg-type]
    raising("NotFoundError")  # type: ignore[arg-type]


def resources_are_typed(blog: Blog) -> None:
    Resource("posts", "Post")  # type: ignore[call-overload]
    blog.posts.get(1, on_status={})  # type: ignore[call-overload]
    blog.posts.get(1, path={})  # type: ignore[call-overload]
    Resource("posts", items="data")  # type: ignore[call-overload]
    blog.posts.list(userId=1)  # type: ignore[call-overload]
    blog.posts.get()  # type: ignore[call-overload]
    _ = blog.posts.get(1).titel  # type: ignore[attr-defined]
    _ = blog.posts.get(1, default=None).title  # type: ignore[union-attr]
    blog.posts.get(1, retries=5)  # type: ignore[call-overload]
    len(blog.posts.list())  # type: ignore[arg-type]
    _ = blog.posts.list()[0]  # type: ignore[index]
    _ = blog.comments  # type: ignore[attr-defined]
    _ = blog.posts(1).comments  # type: ignore[attr-defined]
    blog.posts.replace(1, {}, if_match=5)  # type: ignore[arg-type]
    blog.posts.create_many(5)  # type: ignore[arg-type]
    blog.posts.request("POST", "publish", on_status={})  # type: ignore[call-arg]
    Resource("posts", Post, pages="next")  # type: ignore[call-overload]


def pages_are_typed(api: httpkit.Session) -> None:
    api.paginate("users", "next")  # type: ignore[call-overload]
    api.paginate("users", LinkPages)  # type: ignore[call-overload]
    api.paginate("users", userId=1)  # type: ignore[call-overload]
    api.paginate("users", stream=True)  # type: ignore[call-overload]
    api.paginate("users").first("3")  # type: ignore[arg-type]
    api.paginate("users").resume(3)  # type: ignore[arg-type]
    CursorPages()  # type: ignore[call-arg]
    NumberedPages(start="1")  # type: ignore[arg-type]
    LinkPages().rel = "other"  # type: ignore[misc]


def events_are_frozen(event: RetryEvent, policy: RetryPolicy) -> None:
    event.wait = 3.0  # type: ignore[misc]
    policy.attempts = 5  # type: ignore[misc]
