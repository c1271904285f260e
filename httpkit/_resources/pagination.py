"""Pagers: given a page of a list, which request comes next?

Rule: a pager is a value. What an iteration knows (which page, how many items so far) is in the
`PageContext` that it is given, so that one pager serves any number of iterations at once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from httpkit._core.classes import public
from httpkit._core.given import is_mapping
from httpkit._diagnostics.base_errors import check_count
from httpkit._diagnostics.errors import ConfigurationError, PaginationError
from httpkit._resources.page_context import MOST_DIGITS, PageContext, PageLink

Into: TypeAlias = Literal["query", "json", "header"]
_INTO = ("query", "json", "header")


@public
@runtime_checkable
class Pager(Protocol):
    """The interface of a pager; a custom pager needs no base class.

    Optional attributes: `into` ("query", "json" or "header": where its parameters go),
    `keep_params` (whether filters are added to a URL that it returns), `is_counting` (a page equal
    to the one before means that the server ignores the parameters), `until_empty` (an empty page
    ends the list, and a request may equal the one before it), `end_status` (an error status that
    means "no such page", and so the end), and `from_within()`, which returns the pager for a list
    that does not begin with what `begin({})` returns.
    """

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the parameters that it sets; dotted paths in a JSON document."""
        ...

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return its parameters for the first page.

        Args:
            given: Those that the caller gives; they take precedence.

        Raises:
            ConfigurationError: What is given is invalid.
        """
        ...

    def following(self, page: PageContext) -> str | PageLink | Mapping[str, Any] | None:
        """Return where the next page is: a URL, its own parameters, or None after the last.

        A `PageLink` is a URL that is asked with a method or a document of its own.

        Raises:
            PaginationError: The page contradicts itself.
        """
        ...


@public
@dataclass(frozen=True, slots=True)
class CursorPages:
    """Each page contains a cursor, which the request for the next page sends back.

    Args:
        cursor: The path of the cursor: "meta.next", "data.-1.id" (the last item's), or
            "header:X-Next-Cursor". Nothing, null, false, 0 or "" there ends the list; true, and
            an object or an array that cannot be sent, is an error.
        param: The parameter that takes it: of the query, a header field, or a path in the
            document ("page.cursor"), where it keeps its JSON type.
        more: The path of a flag that is true before the last page; False there ends the list,
            whatever the cursor. None: the cursor alone says.
        last: The path of a flag that is true on the last page.
        into: "query", "json" (the document of a list that is requested by POST) or "header".
            None: the document if there is one, else the query.
        extra: Further parameters that the next request takes, by name, with the paths of their
            values: `{"version-id-marker": "NextVersionIdMarker"}`. One whose value is missing
            or null is not sent.
        until_empty: Whether an empty page ends the list, whatever its cursor, and a cursor may
            be the same as the one before, because the server keeps the position (Crossref) or
            repeats the last cursor at the end (Solr).

    Raises:
        ConfigurationError: A path or a name is empty.
    """

    cursor: str
    param: str = "cursor"
    more: str | None = None
    last: str | None = None
    into: Into | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    until_empty: bool = False

    def __post_init__(self) -> None:
        check_path("cursor", self.cursor, is_optional=False)
        check_path("param", self.param, is_optional=False)
        check_paths(self, "more", "last")
        if not is_mapping(self.extra):
            raise ConfigurationError(f"extra={self.extra!r} must map parameters to paths")
        for name, path in self.extra.items():
            check_path("extra", name, is_optional=False)
            check_path(f"extra[{name!r}]", path, is_optional=False)
        _check_into(self.into)

    @property
    def own(self) -> tuple[str, ...]:
        """The cursor's, and the further ones."""
        return (self.param, *self.extra)

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the cursor that is given: the first page needs none."""
        return given

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Return the cursor of the page.

        Raises:
            PaginationError: There are more pages, it says, and no cursor; or what is there is
                not a cursor.
        """
        has_more = page.has_more(self.more, self.last)
        if has_more is False:
            return None
        cursor = self._cursor(page, self.cursor)
        if cursor and cursor not in ("0", "false"):
            further = {name: self._cursor(page, path) for name, path in self.extra.items()}
            given = {name: value for name, value in further.items() if value is not None}
            return {self.param: cursor, **given}
        if has_more:
            raise PaginationError(
                f"it has more at {self.more or self.last!r} but no cursor at {self.cursor!r}",
                response=page.response,
            )
        return None

    @staticmethod
    def _cursor(page: PageContext, path: str) -> Any:
        """Return a cursor as it is sent: in a document with its type, else as text."""
        cursor = page.value(path)
        if cursor is True or cursor in ({}, []):
            raise PaginationError(
                f"at {path!r} there is {cursor!r}, not a cursor", response=page.response
            )
        return cursor if page.into == "json" else page.text(path)  # a number with its digits


# The status of a page beyond the last where servers count items (Django REST framework).
_NOT_FOUND = 404


@public
@dataclass(frozen=True, slots=True)
class NumberedPages:
    """Pages have numbers: WordPress, Spring, Laravel, Algolia.

    Without `total`, `total_items`, `more` or `last`, or where the server leaves them out, an
    empty page ends the list: a page that is merely short may come from a server that gives
    fewer items than requested.

    Begun elsewhere than at its first page, by `params={"page": 5}` or `Pages.resume`, a list
    cannot be compared with `total_items`: what came before is not known. It ends at an empty
    page then, or at a 404 after a page.

    Args:
        param: The parameter that takes the number; see `CursorPages`.
        start: The number of the first page, 0 or more.
        total: The path of the number of pages: "meta.last_page" or "header:X-WP-TotalPages".
        total_items: The path of the number of items in all: "total" or "header:X-Total-Count".
        more: The path of a flag that is true before the last page: "has_more".
        last: The path of a flag that is true on the last page: "isLast".
        end_status: An error status by which the server says that there is no such page; None:
            an error is an error.
        is_counting: Whether a page equal to the one before is an error: the server ignores the
            number. False for a list whose pages may well be equal.
        into: "query", "json" or "header"; None: the document if there is one, else the query.

    Raises:
        ConfigurationError: A path or the name is empty, or the start below 0.
    """

    param: str = "page"
    start: int = 1
    total: str | None = None
    total_items: str | None = None
    more: str | None = None
    end_status: int | None = None
    is_counting: bool = True
    last: str | None = None
    into: Into | None = None

    def __post_init__(self) -> None:
        check_path("param", self.param, is_optional=False)
        check_count("start", self.start, least=0)
        check_paths(self, "total", "total_items", "more", "last")
        _check_into(self.into)

    @property
    def own(self) -> tuple[str, ...]:
        """The number's."""
        return (self.param,)

    def from_within(self) -> "NumberedPages":
        """Return the pager for a list that does not begin with its first page."""
        if self.total_items is None:
            return self
        endings = (self.total, self.more, self.last, self.end_status)
        has_ending = any(ending is not None for ending in endings)
        ending = self.end_status if has_ending else _NOT_FOUND
        return replace(self, total_items=None, end_status=ending)

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the first number."""
        return _numbers({self.param: self.start, **given})

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Return the next number, unless this page is the last."""
        number = int(page.params[self.param]) + 1
        total = page.number(self.total)
        if total is not None:
            is_last = number >= self.start + total
        elif (has_more := page.has_more(self.more, self.last)) is not None:
            is_last = not has_more
        else:
            items = page.number(self.total_items)
            is_last = page.count == 0 or (items is not None and page.received >= items)
        return None if is_last else {self.param: number}


_FIRST_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


@public
@dataclass(frozen=True, slots=True)
class OffsetPages:
    """Each request says how many items to skip, and how many to return.

    The offset grows by what was received, so that a server that gives fewer items than requested
    loses none. Without `total`, `more` or `last`, or where the server leaves them out, an empty
    page ends the list.

    Servers that count from 1 take `start=1` (SCIM): from 0 they repeat or lose an item, since the
    total ends the list one item too late or too soon.

    With `param="Range", into="header"` a page is requested as a range ("0-99"), and the total
    is read from Content-Range.

    Args:
        param: The parameter that takes the offset; see `CursorPages`.
        limit_param: The parameter that takes the limit; None sends none.
        limit: Items to ask for, 1 or more.
        total: The path of the number of items in all; "header:Content-Range" works as well.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
        end_status: An error status by which the server says that there is no such page; None:
            an error is an error.
        is_counting: Whether a page equal to the one before is an error: the server ignores the
            offset. False for a list whose pages may well be equal.
        into: "query", "json" or "header"; None: the document if there is one, else the query.
        unit: The unit of a Range ("items" gives "items=0-99"); None: none.
        start: The offset of the first item, 0 or more: 1 for SCIM.

    Raises:
        ConfigurationError: A path or a name is empty, the limit below 1, or the start below 0.
    """

    param: str = "offset"
    limit_param: str | None = "limit"
    limit: int = 100
    total: str | None = None
    more: str | None = None
    end_status: int | None = None
    is_counting: bool = True
    last: str | None = None
    into: Into | None = None
    unit: str | None = None
    start: int = 0

    def __post_init__(self) -> None:
        check_path("param", self.param, is_optional=False)
        check_paths(self, "limit_param", "total", "more", "last", "unit")
        check_count("limit", self.limit, least=1)
        check_count("start", self.start, least=0)
        _check_into(self.into)

    @property
    def own(self) -> tuple[str, ...]:
        """The offset's and the limit's."""
        if self.limit_param is None or self._is_range:
            return (self.param,)
        return (self.param, self.limit_param)

    @property
    def _is_range(self) -> bool:
        return self.into == "header" and self.param.lower() == "range"

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the first offset and the limit."""
        if self._is_range:
            return {self.param: self._range(self.start), **given}
        usual = {self.param: self.start, self.limit_param: self.limit}
        return _numbers({**{name: usual[name] for name in self.own}, **given})

    def _range(self, offset: int) -> str:
        unit = "" if self.unit is None else f"{self.unit}="
        return f"{unit}{offset}-{offset + self.limit - 1}"

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Return the next offset, unless this page is the last."""
        # A page may be empty and not the last: of what it skipped, nothing is left.
        limit = int(page.params.get(self.limit_param or "", "0")) or self.limit
        offset = self._offset(page) + (page.count or limit)
        total = page.number(self.total or ("header:Content-Range" if self._is_range else None))
        if total is not None:
            is_last = offset - self.start >= total
        elif (has_more := page.has_more(self.more, self.last)) is not None:
            is_last = not has_more
        else:
            is_last = page.count == 0
        if is_last:
            return None
        return {**page.params, self.param: self._range(offset) if self._is_range else offset}

    def _offset(self, page: PageContext) -> int:
        found = _FIRST_NUMBER.search(str(page.params[self.param]))
        return int(found[0]) if found else 0


def _numbers(params: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, number in params.items():
        text = str(number)
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            raise ConfigurationError(f"{name}={number!r} must be a whole number, 0 or more")
    return {name: int(number) for name, number in params.items()}


def check_pager(pager: object) -> None:
    """Refuse what is not a pager.

    Raises:
        ConfigurationError: It is not one, or it puts its parameters nowhere.
    """
    if isinstance(pager, type) or not hasattr(pager, "following"):
        raise ConfigurationError(f"invalid pager {pager!r}: pass an instance such as LinkPages()")
    _check_into(getattr(pager, "into", None))


def check_path(name: str, path: object, *, is_optional: bool = True) -> None:
    """Refuse the name of a parameter, or a path in a document, that names nothing.

    Raises:
        ConfigurationError: It is empty, or not a str.
    """
    is_off = path is None and is_optional
    if not is_off and (not isinstance(path, str) or not path.strip(".?")):
        raise ConfigurationError(f"{name}={path!r} must name something")


def check_paths(pager: object, *names: str) -> None:
    for name in names:
        check_path(name, getattr(pager, name))


def _check_into(into: object) -> None:
    if into is not None and into not in _INTO:
        raise ConfigurationError(f"into={into!r} must be one of {', '.join(map(repr, _INTO))}")
