"""Given a page of a list, which request comes next?

Rule: a pager is a value. What an iteration knows (which page, how many items so far) is in the
`Reading` that it is given, so that one pager serves any number of iterations at once.

A place in an answer is a dotted path into its body ("meta.next", "data.-1.id",
"@odata.nextLink"), or "header:" and the name of a header field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import requests

from httpkit._core import header_fields, models, urls
from httpkit._diagnostics.checks import check_count
from httpkit._diagnostics.errors import ConfigurationError, PaginationError
from httpkit._messages.response import Response

_HEADER = "header:"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Reading:
    """One page, as a pager sees it.

    Attributes:
        answer: The response, its body in memory.
        params: The pager's own parameters in the request of this page.
        count: Items on this page, 0 or more.
        received: Items of this iteration so far, those of this page included.
    """

    answer: Response
    params: Mapping[str, str]
    count: int
    received: int

    def text(self, place: str) -> str | None:
        """Return what stands at a place, numbers as they are written; None for nothing or null.

        Raises:
            PaginationError: There is an object or an array.
        """
        if place.startswith(_HEADER):
            field = self.answer.headers.get(place.removeprefix(_HEADER))
            return None if field is None else header_fields.as_utf8(field)
        found = models.find(self.answer.content, place)
        try:
            return None if found is None else models.scalar(found)
        except models.MismatchError as error:
            raise PaginationError(f"at {place!r} {error}", response=self.answer) from error

    def number(self, place: str | None) -> int | None:
        """Return the whole number at a place; None where the server does not know it.

        That is nothing, null, false, a number below 0, or no place. 3.0 is 3: JSON knows one
        kind of number.

        Raises:
            PaginationError: There is something else.
        """
        text = self.text(place) if place else None
        if not text or text == "false" or _BELOW_ZERO.fullmatch(text):
            return None
        if (found := _COUNT.fullmatch(text)) is None:
            raise PaginationError(f"at {place!r} there is no number", response=self.answer)
        return int(found[1])

    def flag(self, place: str | None) -> bool | None:
        """Return whether the page says yes at a place; None when it says nothing there."""
        text = self.text(place) if place else None
        return None if text is None else text.lower() not in _NO


# More is no count of anything, and int() would take long.
_MOST_DIGITS = 18
_COUNT = re.compile(rf"(\d{{1,{_MOST_DIGITS}}})(?:\.0{{1,{_MOST_DIGITS}}})?", re.ASCII)
_BELOW_ZERO = re.compile(r"-\d[\d.]*", re.ASCII)
# How JSON, header fields and forms spell no.
_NO = frozenset({"false", "0", "no", ""})


class Pager(Protocol):
    """What a way to page must answer; one of your own needs no base class.

    It may have more: `is_counting` (a page equal to the one before means that the server does
    not count along), `end_status` (an error status that means "no such page", and so the end),
    and `from_within()`, which returns the pager for a list that does not begin with what
    `begin({})` asks for.
    """

    @property
    def own(self) -> tuple[str, ...]:
        """The names of the query parameters that it sets."""
        ...

    def begin(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return its parameters for the first page.

        Args:
            given: Those that the caller gives; they beat its own.

        Raises:
            ConfigurationError: What is given cannot work.
        """
        ...

    def following(self, page: Reading) -> str | Mapping[str, str] | None:
        """Return where the next page is: a URL, its own parameters, or None after the last.

        Raises:
            PaginationError: The page contradicts itself.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linked:
    """A pager that follows the server's URLs.

    Attributes:
        keep_params: Whether the filters of the first request are added to a next URL that
            does not name them; False for a server that wants its URL as it is.
    """

    keep_params: bool = True

    @property
    def own(self) -> tuple[str, ...]:
        """None: the server's URL says it all."""
        return ()

    def begin(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return none."""
        return given


@dataclass(frozen=True, slots=True)
class LinkPages(_Linked):
    """The next page is in the Link header field (RFC 8288): GitHub, GitLab, Sentry, json-server.

    Args:
        rel: The relation that leads on.
        keep_params: Whether filters are added to a next URL that does not name them.
    """

    rel: str = "next"

    def following(self, page: Reading) -> str | None:
        """Return the target of the first link with the relation."""
        here = page.answer.url
        field = header_fields.as_utf8(page.answer.headers.get("link", ""))
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


@dataclass(frozen=True, slots=True)
class NextURLPages(_Linked):
    """The next page's URL is in the body: Django REST framework, JSON:API, HAL, OData.

    Args:
        next: The place of the URL; an object there gives its "href". Nothing, null, false or
            "" there ends the list.
        keep_params: Whether filters are added to a next URL that does not name them.

    Raises:
        ConfigurationError: The place is empty.
    """

    next: str = "next"

    def __post_init__(self) -> None:
        check_place("next", self.next, is_optional=False)

    def following(self, page: Reading) -> str | None:
        """Return the URL at the place."""
        if not self.next.startswith(_HEADER):
            found = models.find(page.answer.content, self.next)
            if found is not None and found.lstrip()[:1] == b"{":
                return page.text(f"{self.next}.href") or None
        url = page.text(self.next)
        return None if url == "false" else url or None


@dataclass(frozen=True, slots=True)
class CursorPages:
    """Each page holds a cursor that the request for the next one sends back.

    Args:
        cursor: The place of the cursor: "meta.next", "data.-1.id" (the last item's), or
            "header:X-Next-Cursor". Nothing, null, false, 0 or "" there ends the list.
        param: The query parameter that takes it.
        more: The place that says whether there are more pages; False there ends the list,
            whatever the cursor. None: the cursor alone says.

    Raises:
        ConfigurationError: A place or the name is empty.
    """

    cursor: str
    param: str = "cursor"
    more: str | None = None

    def __post_init__(self) -> None:
        check_place("cursor", self.cursor, is_optional=False)
        check_place("param", self.param, is_optional=False)
        check_place("more", self.more)

    @property
    def own(self) -> tuple[str, ...]:
        """The cursor's."""
        return (self.param,)

    def begin(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the cursor that is given: the first page needs none."""
        return given

    def following(self, page: Reading) -> Mapping[str, str] | None:
        """Return the cursor of the page.

        Raises:
            PaginationError: There are more pages, it says, and no cursor leads there.
        """
        has_more = page.flag(self.more)
        cursor = page.text(self.cursor)
        if has_more is False:
            return None
        if cursor and cursor not in {"0", "false"}:
            return {self.param: cursor}
        if has_more:
            raise PaginationError(
                f"it has more at {self.more!r} but no cursor at {self.cursor!r}",
                response=page.answer,
            )
        return None


# How servers that count items answer to a page beyond the last (Django REST framework).
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class NumberedPages:
    """Pages have numbers: WordPress, Spring, Laravel.

    Without `total`, `total_items` or `more`, or where the server leaves them out, an empty page
    ends the list: a page that is merely short may come from a server that gives fewer items
    than asked.

    Begun elsewhere than at its first page, by `params={"page": 5}` or `Pages.resume`, a list
    cannot be compared with `total_items`: what came before is not known. It ends at an empty
    page then, or at a 404 after a page.

    Args:
        param: The query parameter that takes the number.
        start: The number of the first page, 0 or more.
        total: The place that says how many pages there are: "meta.last_page" or
            "header:X-WP-TotalPages".
        total_items: The place that says how many items there are in all: "total" or
            "header:X-Total-Count".
        more: The place that says whether there are more pages: "has_more".
        end_status: An error status by which the server says that there is no such page; None:
            an error is an error.
        is_counting: Whether a page equal to the one before is a server that takes no notice
            of the number, an error; False for a list whose pages may well be equal.

    Raises:
        ConfigurationError: A place or the name is empty, or the start below 0.
    """

    param: str = "page"
    start: int = 1
    total: str | None = None
    total_items: str | None = None
    more: str | None = None
    end_status: int | None = None
    is_counting: bool = True

    def __post_init__(self) -> None:
        check_place("param", self.param, is_optional=False)
        check_count("start", self.start, least=0)
        for name in ("total", "total_items", "more"):
            check_place(name, getattr(self, name))

    @property
    def own(self) -> tuple[str, ...]:
        """The number's."""
        return (self.param,)

    def from_within(self) -> "NumberedPages":
        """Return the pager for a list that does not begin with its first page."""
        if self.total_items is None:
            return self
        is_told = self.total is not None or self.more is not None or self.end_status is not None
        ending = self.end_status if is_told else _NOT_FOUND
        return replace(self, total_items=None, end_status=ending)

    def begin(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the first number."""
        return _numbers({self.param: str(self.start), **given})

    def following(self, page: Reading) -> Mapping[str, str] | None:
        """Return the next number, unless this page is the last."""
        number = int(page.params[self.param]) + 1
        total = page.number(self.total)
        if total is not None:
            is_last = number >= self.start + total
        elif (has_more := page.flag(self.more)) is not None:
            is_last = not has_more
        else:
            items = page.number(self.total_items)
            is_last = page.count == 0 or (items is not None and page.received >= items)
        return None if is_last else {self.param: str(number)}


@dataclass(frozen=True, slots=True)
class OffsetPages:
    """Each request says how many items to pass over, and how many to give.

    The offset grows by what was received, so that a server that gives fewer items than asked
    loses none. Without `total` or `more`, or where the server leaves them out, an empty page
    ends the list.

    Args:
        param: The query parameter that takes the offset.
        limit_param: The query parameter that takes the limit; None sends none.
        limit: Items to ask for, 1 or more.
        total: The place that says how many items there are in all.
        more: The place that says whether there are more pages.
        end_status: An error status by which the server says that there is no such page; None:
            an error is an error.
        is_counting: Whether a page equal to the one before is a server that takes no notice
            of the offset, an error; False for a list whose pages may well be equal.

    Raises:
        ConfigurationError: A place or a name is empty, or the limit below 1.
    """

    param: str = "offset"
    limit_param: str | None = "limit"
    limit: int = 100
    total: str | None = None
    more: str | None = None
    end_status: int | None = None
    is_counting: bool = True

    def __post_init__(self) -> None:
        check_place("param", self.param, is_optional=False)
        for name in ("limit_param", "total", "more"):
            check_place(name, getattr(self, name))
        check_count("limit", self.limit, least=1)

    @property
    def own(self) -> tuple[str, ...]:
        """The offset's and the limit's."""
        return (self.param,) if self.limit_param is None else (self.param, self.limit_param)

    def begin(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return offset 0 and the limit."""
        usual = {self.param: "0", self.limit_param: str(self.limit)}
        return _numbers({**{name: usual[name] for name in self.own}, **given})

    def following(self, page: Reading) -> Mapping[str, str] | None:
        """Return the next offset, unless this page is the last."""
        # A page may be empty and not the last: of what it passed over, nothing is left.
        limit = int(page.params.get(self.limit_param or "", "0")) or self.limit
        offset = int(page.params[self.param]) + (page.count or limit)
        total = page.number(self.total)
        if total is not None:
            is_last = offset >= total
        elif (has_more := page.flag(self.more)) is not None:
            is_last = not has_more
        else:
            is_last = page.count == 0
        return None if is_last else {**page.params, self.param: str(offset)}


def _numbers(params: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in params.items():
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise ConfigurationError(f"{name}={text!r} must be a whole number, 0 or more")
    return params


def check_place(name: str, place: object, *, is_optional: bool = True) -> None:
    """Refuse the name of a parameter, or of a place in a document, that names nothing.

    Raises:
        ConfigurationError: It is empty, or no text.
    """
    is_off = place is None and is_optional
    if not is_off and (not isinstance(place, str) or not place.strip(".")):
        raise ConfigurationError(f"{name}={place!r} must name something")
