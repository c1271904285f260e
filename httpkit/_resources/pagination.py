"""Pagers: given a page of a list, which request comes next?

Rule: a pager is a value. What an iteration knows (which page, how many items so far) is in the
`PageContext` that it is given, so that one pager serves any number of iterations at once.

A path in a response is a dotted path into its body ("meta.next", "data.-1.id",
"@odata.nextLink"), or "header:" and the name of a header field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import requests

from httpkit._core import documents, header_fields, urls
from httpkit._core.documents import MISSING, Document, RawJSON
from httpkit._core.models import MismatchError
from httpkit._core.public import public
from httpkit._core.types import is_list, is_mapping
from httpkit._diagnostics.checks import check_count
from httpkit._diagnostics.errors import ConfigurationError, PaginationError
from httpkit._messages.response import Response

_HEADER = "header:"
Into: TypeAlias = Literal["query", "json", "header"]
_INTO = ("query", "json", "header")


@public
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PageContext:
    """One page, as a pager sees it.

    Attributes:
        response: The response, its body in memory.
        params: The pager's own parameters in the request of this page.
        count: Items on this page, 0 or more.
        received: Items of this iteration so far, those of this page included.
        document: The page's document: JSON that is not decoded, or what `decode=` returned.
        into: Where the pager's parameters go: "query", "json" or "header".
    """

    response: Response
    params: Mapping[str, Any]
    count: int
    received: int
    document: Document
    into: str = "query"

    def find(self, path: str) -> Document:
        """Return what is at a path of the document; MISSING where that is absent.

        Raises:
            PaginationError: The path leads into an array by name, or into a single value.
        """
        if isinstance(self.document, RawJSON) and not self.document.body.strip():
            return MISSING  # such as a 204
        try:
            return documents.find(self.document, path)
        except MismatchError as error:
            if documents.entries_of(self.document) is not None:
                return MISSING  # the page is the list: it has no members
            raise self._wrong(f"invalid path {path!r}: {error}") from error

    def text(self, path: str) -> str | None:
        """Return the text at a path, numbers as they are written; None for nothing or null.

        Raises:
            PaginationError: There is an object or an array.
        """
        if path.startswith(_HEADER):
            field = self.response.headers.get(path.removeprefix(_HEADER))
            return None if field is None else header_fields.as_utf8(field)
        found = self.find(path)
        try:
            return None if found is MISSING else documents.text(found)
        except MismatchError as error:
            raise self._wrong(f"at {path!r} {error}") from error

    def value(self, path: str) -> Any:
        """Return the JSON value at a path, of any type; None for nothing or null."""
        if path.startswith(_HEADER):
            return self.text(path)
        found = self.find(path)
        return None if found is MISSING else documents.parsed(found)

    def number(self, path: str | None) -> int | None:
        """Return the whole number at a path; None where the server does not know it.

        That is nothing, null, false, a number below 0, or no path. 3.0 is 3: JSON has one
        type of number. Of a Content-Range ("items 0-1/5", RFC 9110 section 14.4) it is the
        complete length.

        Raises:
            PaginationError: There is something else.
        """
        text = self.text(path) if path else None
        if text and (found := _RANGE.fullmatch(text.strip())):
            text = found[1]
        if not text or text in {"false", "*"} or _BELOW_ZERO.fullmatch(text):
            return None
        if (found := _COUNT.fullmatch(text)) is None:
            raise self._wrong(f"at {path!r} there is no number")
        return int(found[1])

    def flag(self, path: str | None) -> bool | None:
        """Return whether the page says yes at a path; None when it says nothing there."""
        text = self.text(path) if path else None
        return None if text is None else text.lower() not in _NO

    def has_more(self, more: str | None, last: str | None) -> bool | None:
        """Return whether there are more pages; None when the page does not say.

        Args:
            more: The path of a flag that is true before the last page; None: there is none.
            last: The path of a flag that is true on the last page; None: there is none.
        """
        has_more = self.flag(more)
        if has_more is None and (is_last := self.flag(last)) is not None:
            return not is_last
        return has_more

    def _wrong(self, why: str) -> PaginationError:
        return PaginationError(why, response=self.response)


# A longer number is not a count, and int() would take long.
_MOST_DIGITS = 18
_COUNT = re.compile(rf"(\d{{1,{_MOST_DIGITS}}})(?:\.0{{1,{_MOST_DIGITS}}})?", re.ASCII)
_BELOW_ZERO = re.compile(r"-\d[\d.]*", re.ASCII)
_RANGE = re.compile(r"(?:[\w-]+[ =])?(?:\d+-\d+|\*)/(\d+|\*)", re.ASCII)
# How JSON, header fields and forms write no.
_NO = frozenset({"false", "0", "no", ""})


@public
@runtime_checkable
class Pager(Protocol):
    """What a pager has; one of your own needs no base class.

    It may have more: `into` ("query", "json" or "header": where its parameters go),
    `keep_params` (whether filters are added to a URL that it returns), `is_counting` (a page
    equal to the one before means that the server ignores the parameters), `end_status` (an
    error status that means "no such page", and so the end), and `from_within()`, which returns
    the pager for a list that does not begin with what `begin({})` returns.
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

    def following(self, page: PageContext) -> str | Mapping[str, Any] | None:
        """Return where the next page is: a URL, its own parameters, or None after the last.

        Raises:
            PaginationError: The page contradicts itself.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinkedPages:
    """A pager that follows the server's URLs.

    Attributes:
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them. By default it is followed as it is.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
    """

    keep_params: bool = False
    more: str | None = None
    last: str | None = None

    def __post_init__(self) -> None:
        _check_paths(self, "more", "last")

    @property
    def own(self) -> tuple[str, ...]:
        """None: the server's URL has everything."""
        return ()

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return none."""
        return given

    def following(self, page: PageContext) -> str | None:
        """Return the URL of the next page.

        Raises:
            PaginationError: There are more pages, it says, and no URL; or what is there is
                not a URL.
        """
        has_more = page.has_more(self.more, self.last)
        if has_more is False:
            return None
        link = self._link(page)
        if link is None and has_more:
            raise PaginationError(
                f"it has more at {self.more or self.last!r} but no link to the next page",
                response=page.response,
            )
        return link

    def _link(self, page: PageContext) -> str | None:
        raise NotImplementedError


@public
@dataclass(frozen=True, slots=True)
class LinkPages(_LinkedPages):
    """The next page is in the Link header field (RFC 8288): GitHub, GitLab, Sentry, json-server.

    Args:
        rel: The relation of the link to the next page.
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
    """

    rel: str = "next"

    def _link(self, page: PageContext) -> str | None:
        here = page.response.url
        field = header_fields.as_utf8(page.response.headers.get("link", ""))
        for target, parameters in header_fields.links(field):
            # Section 3.2: a link with another anchor is not about this page.
            is_ours = "anchor" not in parameters or _is_same(here, parameters["anchor"])
            relations = parameters.get("rel", "").lower().split()
            if is_ours and self.rel.lower() in relations:
                # Sentry links to a next page that is empty, and says so.
                return None if parameters.get("results", "").lower() == "false" else target
        return None


def _is_same(here: str, anchor: str) -> bool:
    try:
        return urls.resolve(here, anchor) == here
    except requests.exceptions.InvalidURL:
        return False


# A URI template's expression (RFC 6570): with no values it expands to nothing.
_EXPRESSION = re.compile(r"\{[^{}]*\}")


@public
@dataclass(frozen=True, slots=True)
class NextURLPages(_LinkedPages):
    """The next page's URL is in the body: Django REST framework, JSON:API, HAL, OData, FHIR.

    Args:
        next: The path of the URL, or of an object with "href" or "url". Nothing, null, false
            or "" there ends the list. With `rel`, the path of an array of links.
        rel: The relation of the link in an array of `{"rel": ..., "href": ...}`; "relation" and
            "url" are known as well, and case does not matter. None: the path names the URL.
        base: The path of the URL that a relative next URL is appended to (Confluence has
            "_links.base"). None: it is resolved against the page's own URL.
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.

    Raises:
        ConfigurationError: A path is empty.
    """

    next: str = "next"
    rel: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        check_path("next", self.next, is_optional=False)
        _check_paths(self, "rel", "base", "more", "last")

    def _link(self, page: PageContext) -> str | None:
        if self.next.startswith(_HEADER):
            return page.text(self.next) or None
        found = page.value(self.next)
        link = self._target(page, found if self.rel is None else self._related(page, found))
        if link and "{" in link and self._is_templated(page):
            link = _EXPRESSION.sub("", link)
        return self._based(page, link) if link else None

    def _target(self, page: PageContext, found: Any) -> str | None:
        """Return the URL of a link; None at the end of the list."""
        if found is None or found is False or found == {}:
            return None
        if isinstance(found, str):
            return found or None
        if is_mapping(found) and not _HREFS.isdisjoint(found):
            target = next(found[name] for name in ("href", "url") if name in found)
            if target is not None and found.get("templated") is True:
                return _EXPRESSION.sub("", str(target))
            return self._target(page, None if is_mapping(target) and not target else target)
        raise PaginationError(
            f"at {self.next!r} there is {_describe(found)}, not the URL of the next page",
            response=page.response,
        )

    def _related(self, page: PageContext, links: Any) -> Any:
        """Return the link with the relation in an array of links; None without one."""
        if links is None:
            return None
        if not is_list(links) or not all(map(is_mapping, links)):
            raise PaginationError(
                f"at {self.next!r} there is {_describe(links)}, not an array of links",
                response=page.response,
            )
        for link in links:
            relations = link.get("rel", link.get("relation"))
            names = relations if is_list(relations) else str(relations).split()
            if str(self.rel).lower() in {str(name).lower() for name in names}:
                return link
        return None

    def _is_templated(self, page: PageContext) -> bool:
        """Say whether the URL is a member of a templated link (HAL)."""
        parent = self.next.rpartition(".")[0]
        link = page.value(parent) if parent and self.rel is None else None
        return is_mapping(link) and link.get("templated") is True

    def _based(self, page: PageContext, link: str) -> str:
        if self.base is None or urls.is_absolute(link) or link.startswith("//"):
            return link
        base = page.text(self.base)
        if not base:
            raise PaginationError(
                f"its next URL is relative, and there is no base at {self.base!r}",
                response=page.response,
            )
        return base + link if link[0] in "?#" else f"{base.rstrip('/')}/{link.lstrip('/')}"


_HREFS = frozenset({"href", "url"})


def _describe(found: Any) -> str:
    if is_mapping(found):
        return "an object without href"
    if is_list(found):
        return "an array (rel= finds a link in one)"
    return "true" if found is True else f"a {type(found).__name__}"


@public
@dataclass(frozen=True, slots=True)
class CursorPages:
    """Each page holds a cursor that the request for the next one sends back.

    Args:
        cursor: The path of the cursor: "meta.next", "data.-1.id" (the last item's), or
            "header:X-Next-Cursor". Nothing, null, false, 0 or "" there ends the list.
        param: The parameter that takes it: of the query, a header field, or a path in the
            document ("page.cursor"), where it keeps its JSON type.
        more: The path of a flag that is true before the last page; False there ends the list,
            whatever the cursor. None: the cursor alone says.
        last: The path of a flag that is true on the last page.
        into: "query", "json" (the document of a list that is asked for by POST) or "header".
            None: the document if there is one, else the query.

    Raises:
        ConfigurationError: A path or the name is empty.
    """

    cursor: str
    param: str = "cursor"
    more: str | None = None
    last: str | None = None
    into: Into | None = None

    def __post_init__(self) -> None:
        check_path("cursor", self.cursor, is_optional=False)
        check_path("param", self.param, is_optional=False)
        _check_paths(self, "more", "last")
        _check_into(self.into)

    @property
    def own(self) -> tuple[str, ...]:
        """The cursor's."""
        return (self.param,)

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the cursor that is given: the first page needs none."""
        return given

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Return the cursor of the page.

        Raises:
            PaginationError: There are more pages, it says, and no cursor.
        """
        has_more = page.has_more(self.more, self.last)
        if has_more is False:
            return None
        is_json = page.into == "json"
        cursor = page.value(self.cursor) if is_json else page.text(self.cursor)
        if cursor and cursor not in ("0", "false"):
            return {self.param: cursor}
        if has_more:
            raise PaginationError(
                f"it has more at {self.more or self.last!r} but no cursor at {self.cursor!r}",
                response=page.response,
            )
        return None


# The status of a page beyond the last where servers count items (Django REST framework).
_NOT_FOUND = 404


@public
@dataclass(frozen=True, slots=True)
class NumberedPages:
    """Pages have numbers: WordPress, Spring, Laravel, Algolia.

    Without `total`, `total_items`, `more` or `last`, or where the server leaves them out, an
    empty page ends the list: a page that is merely short may come from a server that gives
    fewer items than asked.

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
        _check_paths(self, "total", "total_items", "more", "last")
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

    The offset grows by what was received, so that a server that gives fewer items than asked
    loses none. Without `total`, `more` or `last`, or where the server leaves them out, an empty
    page ends the list.

    With `param="Range", into="header"` a page is asked for as a range ("0-99"), and the total
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

    Raises:
        ConfigurationError: A path or a name is empty, or the limit below 1.
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

    def __post_init__(self) -> None:
        check_path("param", self.param, is_optional=False)
        _check_paths(self, "limit_param", "total", "more", "last", "unit")
        check_count("limit", self.limit, least=1)
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
        """Return offset 0 and the limit."""
        if self._is_range:
            return {self.param: self._range(0), **given}
        usual = {self.param: 0, self.limit_param: self.limit}
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
            is_last = offset >= total
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
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise ConfigurationError(f"{name}={number!r} must be a whole number, 0 or more")
    return {name: int(number) for name, number in params.items()}


def check_pager(pager: object) -> None:
    """Refuse what is not a pager.

    Raises:
        ConfigurationError: It is not one, or it puts its parameters nowhere.
    """
    if isinstance(pager, type) or not hasattr(pager, "following"):
        raise ConfigurationError(f"{pager!r} is no way to page: LinkPages() is one")
    _check_into(getattr(pager, "into", None))


def check_path(name: str, path: object, *, is_optional: bool = True) -> None:
    """Refuse the name of a parameter, or a path in a document, that names nothing.

    Raises:
        ConfigurationError: It is empty, or not a str.
    """
    is_off = path is None and is_optional
    if not is_off and (not isinstance(path, str) or not path.strip(".?")):
        raise ConfigurationError(f"{name}={path!r} must name something")


def _check_paths(pager: object, *names: str) -> None:
    for name in names:
        check_path(name, getattr(pager, name))


def _check_into(into: object) -> None:
    if into is not None and into not in _INTO:
        raise ConfigurationError(f"into={into!r} must be one of {', '.join(map(repr, _INTO))}")
