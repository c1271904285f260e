"""Read by type checkers and never run: many requests at once, limits, and GraphQL."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, assert_type

from pyrate_limiter import Limiter, Rate

import httpkit


@dataclass
class Post:
    """A model."""

    title: str


@dataclass
class Film:
    """The data of an operation."""

    film: Post | None


class Blog(httpkit.Session, rate_limit="10/s"):
    """An SDK."""

    posts = httpkit.Resource("posts", Post)


def size(path: str) -> int:
    """Return how long a path is."""
    return len(path)


def results_are_typed(api: Blog) -> None:
    assert_type(api.map(size, ["a", "b"]), Generator[int, None, None])
    assert_type(api.map(size, ["a"], errors="raise", ordered=False), Generator[int, None, None])
    assert_type(api.map(size, ["a"], errors="return"), Generator[int | Exception, None, None])
    posts: list[Post] = list(api.map(api.posts.get, range(1, 1000), workers=16, progress=True))
    pages: Iterator[httpkit.Response] = api.map(api.get, ["a", "b"])
    with ProcessPoolExecutor() as pool:
        numbers: list[int] = list(api.map(size, iter(["a"]), executor=pool))
    assert_type((posts, numbers), tuple[list[Post], list[int]])
    next(pages).json()


def data_is_typed(api: httpkit.Session) -> None:
    assert_type(api.graphql("{a}"), dict[str, Any])
    assert_type(api.graphql("{a}", {"id": 1}, operation_name="A", retry=None), dict[str, Any])
    assert_type(api.graphql("{a}", model=Film, url="graphql/v2"), Film)


def rates_are_taken() -> None:
    httpkit.Session(rate_limit="10/s")
    httpkit.Session(rate_limit=2.5)
    httpkit.Session(rate_limit=5)
    httpkit.Session(rate_limit=None).with_options(rate_limit="1/h")
    httpkit.Session(rate_limit=Limiter(Rate(10, 1000)))
