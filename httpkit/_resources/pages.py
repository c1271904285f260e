"""A list that comes in pages: its items, fetched when they are requested."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import urldefrag

from httpkit._core import models, placeholders, redaction, urls
from httpkit._core.classes import public
from httpkit._core.documents import Document
from httpkit._core.given import is_mapping
from httpkit._core.lazy import ImportedLater
from httpkit._core.types import Params
from httpkit._diagnostics.base_errors import check_count
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.response import Response
from httpkit._resources.list_query import (
    ListQuery,
    PageClient,
    list_url,
    raw_document,
    with_value,
)
from httpkit._resources.operations import check_model
from httpkit._resources.page_iteration import Page, PageIterator, first_url
from httpkit._resources.page_tokens import read_token
from httpkit._resources.pagination import Pager, check_pager, check_path
from httpkit._resources.query_params import by_name

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import polars as pl  # type: ignore[import-not-found,unused-ignore]
else:
    pd, pl = ImportedLater("pandas"), ImportedLater("polars")

T = TypeVar("T")

_AT_ITS_END = "the list is at its end: its last page has no next_url"


@public
class Pages(Generic[T]):
    """The items of a list, fetched lazily, page by page.

    Every `for` loop fetches the pages again, and loops that run at the same time are independent.
    `len` is not supported, because it would have to fetch all pages.
    """

    def __init__(
        self, query: ListQuery[T], *, start: str | None = None, limit: int | None = None
    ) -> None:
        self._query = query
        self._start = start
        self._limit = limit

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Return the pages; each is fetched when the loop reaches it.

        A page is yielded completely or not at all. If it fails, a note of the error names it, and
        `resume(error)` continues with it; if only the URL of the next page is invalid, the page is
        yielded first.

        Raises:
            PaginationError: There is a pagination loop, or the next page must not be followed.
            StatusError: The server responds with an error status.
            DecodeError: A page has no list at `items_at`, or an item is not of the model; the
                message says which item.
        """
        left = self._limit
        if left == 0:
            return
        for page in PageIterator(self._query).pages(self._start):
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
        """Return the first items, and fetch no page beyond them.

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
        return Pages(self._query, start=self._start, limit=limit)

    def resume(self, at: str | BaseException) -> "Pages[T]":
        """Return the same list, starting at a page; a limit counts from there.

        Args:
            at: The error that ended a loop, for the page that failed; or what
                `Page.next_token` or `Page.next_url` were, now or in an earlier run. Only
                pass what this list gave: it gets the credentials of the call.

        Raises:
            ConfigurationError: It says nothing about a page, the list is at its end, or it is
                about a page of another list.
        """
        if at is None:  # pyright: ignore[reportUnnecessaryComparison]  # the last page's next_url
            raise ConfigurationError(_AT_ITS_END)
        start: object = at
        if isinstance(at, BaseException):
            start = getattr(at, "next_token", None) or getattr(at, "next_url", None)
        if not isinstance(start, str) or not start:
            raise ConfigurationError(f"{type(at).__name__} names no page to go on from")
        theirs, ours = getattr(at, "list_url", None), list_url(self._query)
        if theirs is not None and theirs != ours:
            raise ConfigurationError(
                f"{type(at).__name__} is about a page of {theirs}, not of {ours}"
            )
        read_token(self._query, start)
        return Pages(self._query, start=start, limit=self._limit)

    def to_pandas(self, *, flatten: bool = False) -> "pd.DataFrame":
        """Return all items as a data frame, a column for each field of the model.

        Args:
            flatten: Whether the fields of nested objects are columns of their own
                ("owner.name").

        Raises:
            ConfigurationError: pandas is not installed; nothing was sent.
        """
        try:
            import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise ConfigurationError("to_pandas() needs pandas: pip install pandas") from error
        rows, columns = self._table(flatten=flatten)
        return pd.DataFrame(rows, columns=columns)

    def to_polars(self, *, flatten: bool = False) -> "pl.DataFrame":
        """Return all items as a data frame, a column for each field of the model.

        Args:
            flatten: As for `to_pandas`.

        Raises:
            ConfigurationError: polars is not installed; nothing was sent.
        """
        try:
            import polars as pl  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigurationError("to_polars() needs polars: pip install polars") from error
        rows, columns = self._table(flatten=flatten)
        # All rows are looked at: a column that is null in the first hundred has a type, too.
        return pl.DataFrame(rows, schema=columns, infer_schema_length=None)

    def _table(self, *, flatten: bool) -> tuple[list[Any], list[str] | None]:
        columns = list(models.field_names(self._query.model))
        rows = [models.row(item) for item in self]
        if flatten and rows:
            rows = [_flat(row) if is_mapping(row) else row for row in rows]
            names = dict.fromkeys(name for row in rows if is_mapping(row) for name in row)
            columns = list(names)
            rows = [{**dict.fromkeys(names), **row} if is_mapping(row) else row for row in rows]
        return rows, columns or None

    def __repr__(self) -> str:
        query = self._query
        limit = "" if self._limit is None else f", at most {self._limit}"
        return f"<Pages of {redaction.redact_url(query.url)}{limit}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is fetched for it."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        query = self._query
        yield "list", first_url(query)
        model: object = query.model
        yield "items", "dict" if model is None else getattr(model, "__name__", repr(model))
        if query.items_at:
            yield "found at", query.items_at
        yield "next page", repr(query.pager)
        if self._start:
            yield "begins at", redaction.redact_url(self._start)
        if self._limit is not None:
            yield "at most", f"{self._limit} items"
        yield "fetched", "nothing yet: each loop requests the pages; .first(5) returns a list"


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return the fields of a row with those of nested objects, by their paths."""
    fields: dict[str, Any] = {}
    for name, value in row.items():
        inner = models.row(value)
        if is_mapping(inner) and inner:
            fields |= _flat(inner, f"{before}{name}.")
        else:
            fields[f"{before}{name}"] = value
    return fields


def build_query(
    session: PageClient,
    url: str,
    pager: Pager,
    *,
    items_at: str | None,
    model: Callable[..., T] | None,
    params: Params,
    options: Mapping[str, Any],
) -> ListQuery[T]:
    """Return what is requested, checked.

    Args:
        session: Sends the requests.
        url: The collection's URL.
        pager: Finds the next request.
        items_at: The path of the items in a page; None: the page is the list.
        model: What an item is decoded into; None: what JSON says.
        params: Query parameters of every page.
        options: Keywords of each request, and `method`, `json` and `decode`.

    Raises:
        ConfigurationError: The pager is not one, or a path or the parameters are invalid.
        InvalidURL: A placeholder of the URL has no value.
    """
    check_pager(pager)
    check_path("items_at", items_at)
    check_model(model)
    kept = dict(options)
    url = urldefrag(placeholders.fill(url, kept.pop("path", None))).url
    if isinstance(params, bytes):
        params = params.decode("utf-8", "replace")
    if isinstance(params, str):  # encoded by the caller: as it is
        url, params = urls.with_query(url, params), None
    document = models.encode(kept.pop("json", None))
    decode = kept.pop("decode", None)
    method = kept.pop("method", None) or ("GET" if document is None else "POST")
    query = ListQuery(
        session=session,
        url=url,
        pager=pager,
        items_at=items_at,
        model=model,
        params=by_name(params),
        options=kept,
        method=method,
        document=document,
        parse=raw_document if decode is None else _Decode(decode),
    )
    _check_document(query)
    return query


def _check_document(query: ListQuery[Any]) -> None:
    """Refuse a document that has no room for what the pager puts into it."""
    if query.into == "json":
        for path in query.pager.own:
            with_value({} if query.document is None else query.document, path.split("."), None)


class _Decode:
    """The document of a page, by a callable of the user's."""

    def __init__(self, decode: Callable[[Response], object]) -> None:
        if not callable(decode):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"decode={decode!r} must be a callable")
        self._decode = decode

    def __call__(self, response: Response) -> Document:
        try:
            document = self._decode(response)
        except (ValueError, LookupError, TypeError, AttributeError, SyntaxError) as error:
            raise models.MismatchError(f"{type(error).__name__}: {error}") from error
        if isinstance(document, (str, bytes)) or is_mapping(document):
            return document
        return list(cast("Iterable[Any]", document)) if isinstance(document, Iterable) else document
