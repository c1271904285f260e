"""A list that is longer than one answer: its items, when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urldefrag

from httpkit._core import models, redaction, urls
from httpkit._core.types import ImportedLater, Params
from httpkit._diagnostics.checks import check_count
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._resources.page_iteration import (
    ListQuery,
    Page,
    PageClient,
    PageIterator,
    beginning,
    by_name,
)
from httpkit._resources.pagination import Pager, check_place

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import polars as pl  # type: ignore[import-not-found,unused-ignore]
else:
    pd, pl = ImportedLater("pandas"), ImportedLater("polars")

T = TypeVar("T")


class Pages(Generic[T]):
    """The items of a list, page by page, fetched when they are asked for.

    Every `for` loop begins anew: nothing is kept between two of them, and loops that run at
    the same time do not meet. There is no `len`, because it would have to fetch everything.
    """

    def __init__(
        self, listing: ListQuery[T], *, start: str | None = None, limit: int | None = None
    ) -> None:
        self._listing = listing
        self._start = start
        self._limit = limit

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Return the pages, each asked for when its turn comes.

        A page is given whole or not at all. When one fails, the error's note names it, and
        `resume(error)` goes on with it; when only the way on from a page is wrong, the page
        is given first.

        Raises:
            PaginationError: The pages lead in a circle, or to where they must not.
            StatusError: The server refuses.
            DecodeError: A page has no list at the items' place, or an item is not of the
                model; the message says which item.
        """
        left = self._limit
        if left == 0:
            return
        for page in PageIterator(self._listing).pages(self._start):
            if left is None:
                yield page
                continue
            if len(page.items) > left:
                yield replace(page, items=page.items[:left], next_url=None)
                return
            yield page
            left -= len(page.items)
            if left == 0:
                return

    def first(self, count: int) -> list[T]:
        """Return the first items, and ask for no page beyond them.

        Args:
            count: At most so many, 0 or more.

        Raises:
            ConfigurationError: The count is below 0.
        """
        return list(self.limit(count))

    def limit(self, count: int) -> "Pages[T]":
        """Return the same list, ending after so many items.

        Args:
            count: At most so many, 0 or more; the smaller of two limits counts.

        Raises:
            ConfigurationError: The count is below 0.
        """
        check_count("count", count)
        limit = count if self._limit is None else min(count, self._limit)
        return Pages(self._listing, start=self._start, limit=limit)

    def resume(self, at: str | BaseException) -> "Pages[T]":
        """Return the same list from a page on; a limit counts anew.

        Args:
            at: The error that ended a loop, for the page that failed; or what
                `Page.next_url` said, now or in an earlier run. Only a URL that this list
                gave: it gets the credentials of the call.

        Raises:
            ConfigurationError: It says nothing about a page, the list is at its end, or the
                error is about a page of another list.
        """
        if at is None:  # pyright: ignore[reportUnnecessaryComparison]  # the last page's next_url
            raise ConfigurationError("the list is at its end: its last page has no next_url")
        place: object = getattr(at, "next_url", None) if isinstance(at, BaseException) else at
        if not isinstance(place, str) or not place:
            raise ConfigurationError(f"{type(at).__name__} names no page to go on from")
        theirs, ours = getattr(at, "list_url", None), beginning(self._listing)
        if theirs is not None and theirs != ours:
            raise ConfigurationError(
                f"{type(at).__name__} is about a page of {theirs}, not of {ours}"
            )
        return Pages(self._listing, start=place, limit=self._limit)

    def to_pandas(self) -> "pd.DataFrame":
        """Return all items as a data frame, a column for each field of the model.

        Raises:
            ConfigurationError: pandas is not installed; nothing was sent.
        """
        try:
            import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise ConfigurationError("to_pandas() needs pandas: pip install pandas") from error
        rows, columns = self._table()
        return pd.DataFrame(rows, columns=columns)

    def to_polars(self) -> "pl.DataFrame":
        """Return all items as a data frame, a column for each field of the model.

        Raises:
            ConfigurationError: polars is not installed; nothing was sent.
        """
        try:
            import polars as pl  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigurationError("to_polars() needs polars: pip install polars") from error
        rows, columns = self._table()
        # All rows are looked at: a column that is null in the first hundred has a type, too.
        return pl.DataFrame(rows, schema=columns, infer_schema_length=None)

    def _table(self) -> tuple[list[Any], list[str] | None]:
        columns = list(models.field_names(self._listing.model))
        return [models.row(item) for item in self], columns or None

    def __repr__(self) -> str:
        listing = self._listing
        limit = "" if self._limit is None else f", at most {self._limit}"
        return f"<Pages of {redaction.redact_url(listing.url)}{limit}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is fetched for it."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        listing = self._listing
        yield "list", beginning(listing)
        model: object = listing.model
        yield "items", getattr(model, "__name__", repr(model))
        if listing.items_at:
            yield "found at", listing.items_at
        yield "next page", repr(listing.pager)
        if self._start:
            yield "begins at", redaction.redact_url(self._start)
        if self._limit is not None:
            yield "at most", f"{self._limit} items"
        yield "fetched", "nothing yet: each loop asks anew; .first(5) asks for the first items"


def check(pager: object, **places: object) -> None:
    """Refuse what is no way to page, and places of a document that name nothing.

    Raises:
        ConfigurationError: One of them.
    """
    if isinstance(pager, type) or not hasattr(pager, "following"):
        raise ConfigurationError(f"{pager!r} is no way to page: LinkPages() is one")
    for name, place in places.items():
        check_place(name, place)


def listing(
    session: PageClient,
    url: str,
    pager: Pager,
    *,
    items_at: str | None,
    model: Callable[..., T],
    params: Params,
    options: Mapping[str, Any],
) -> ListQuery[T]:
    """Return what is asked for, checked.

    Raises:
        ConfigurationError: The pager is none, or a place or the parameters cannot be.
        InvalidURL: A placeholder of the URL has no value.
    """
    check(pager, items_at=items_at)
    kept = dict(options)
    url = urldefrag(urls.fill(url, kept.pop("path", None))).url
    if isinstance(params, bytes):
        params = params.decode("utf-8", "replace")
    if isinstance(params, str):  # spelled by the caller: as it is
        url, params = urls.with_query(url, params), None
    return ListQuery(session, url, pager, items_at, model, by_name(params), kept)
