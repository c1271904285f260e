"""Given a page of a list, which request comes next?"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Pages(Generic[T]):
    """The items of a list, fetched when they are asked for.

    Every `for` loop begins anew: nothing is kept between two of them. There is no `len`,
    because it would have to fetch everything.
    """

    def __init__(self, fetch: Callable[[], Sequence[T]], description: str) -> None:
        self._fetch = fetch
        self._description = description

    def __iter__(self) -> Iterator[T]:
        yield from self._fetch()

    def first(self, count: int) -> list[T]:
        """Return the first items, at most this many."""
        return list(islice(self, count))

    def __repr__(self) -> str:
        return f"<Pages of {self._description}>"
