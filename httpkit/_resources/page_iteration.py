"""Turning the pages of a list: which request comes next, and what may travel with it.

Rule: nothing here knows how a server counts; a pager does. Nothing here sends; a session does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urldefrag, urlencode

import requests

from httpkit._core import header_fields, models, redaction, types, urls
from httpkit._core.types import Caller, is_list, is_mapping
from httpkit._diagnostics.errors import ConfigurationError, PaginationError, add_note
from httpkit._messages.response import Response, decoding, settled
from httpkit._resources.pagination import Pager, Reading

T = TypeVar("T")

# A server that goes on and on without an item is broken; some pass over a hundred pages that a
# filter has emptied (DynamoDB and search engines behind cursors).
_MOST_EMPTY_PAGES = 1000
# What a call says of itself that must not follow a link to another origin.
_OF_ONE_ORIGIN = frozenset({"auth", "cookies", "cert", "idempotency_key"})
# No origin at all (RFC 6761 section 6.4): for a session with this base URL all are foreign.
_NOWHERE = "https://nowhere.invalid"


class PageClient(Caller, Protocol):
    """What turning pages needs of a session."""

    @property
    def base_url(self) -> str | None:
        """What relative URLs are appended to."""
        ...

    @property
    def trusted_origins(self) -> Sequence[str]:
        """Further origins that may see the session's credentials."""
        ...

    def with_options(
        self, *, base_url: str, trusted_origins: Sequence[str], strict: bool
    ) -> Caller:
        """Return a clone that takes every origin for a foreign one."""
        ...


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: What is on it, decoded.
        response: The answer that held it.
        number: Its place in this iteration, from 1.
        next_url: Where the page after it is: what `Pages.resume` takes, in this run or in a
            later one. None: it is the last, or cut by a limit.
    """

    items: list[T]
    response: Response
    number: int
    next_url: str | None

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} items>"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ListQuery(Generic[T]):
    """What is asked of whom; it does not change while pages are turned.

    Attributes:
        session: Who sends.
        url: The collection's URL, relative or absolute, its placeholders filled.
        pager: Which request comes next.
        items_at: The place of the items in a page; None: the page is the list.
        model: What an item is decoded into.
        filters: The query parameters of every request; None takes one of the session's away.
        options: Further keywords of every request.
    """

    session: PageClient
    url: str
    pager: Pager
    items_at: str | None
    model: Callable[..., T]
    filters: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PageRequest:
    """The request for a page: a URL, with the pager's own parameters apart."""

    url: str
    own: tuple[tuple[str, str], ...]


@dataclass(slots=True, repr=False, eq=False)
class PageIterator(Generic[T]):
    """One iteration: which page, what was seen, and whether it has left home.

    Attributes:
        listing: What is asked for.
        pager: The listing's, or what that says for a list that is begun elsewhere.
        begun: The URL that the caller gave, without the pager's own parameters.
        home: The origins that may see the credentials.
        is_same_origin: Whether no page came from elsewhere; once one did, no credential is sent, as
            with redirects.
        is_gone_on_with: Whether its first page is one that an earlier iteration said.
        number: The present page, from 1.
        received: Items so far.
        empty: Pages without items, in a row.
        seen: The requests so far, to notice a circle; by hash, for there may be millions.
        echo: The present page's items as sent, by length and hash; a page that has the same
            is none.
        held: What the caller or the session put into the query, of what is secret, and what
            the signature added, whatever its name: it is sent again anyway, so a link that
            repeats it carries it nowhere, nor does an error.
    """

    listing: ListQuery[T]
    pager: Pager = field(init=False)
    begun: str = ""
    home: frozenset[urls.Origin] = frozenset()
    is_same_origin: bool = True
    is_gone_on_with: bool = False
    number: int = 0
    received: int = 0
    empty: int = 0
    seen: set[int] = field(default_factory=set[int])
    echo: tuple[int, int] | None = None
    held: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        self.pager = self.listing.pager

    def pages(self, start: str | None) -> Iterator[Page[T]]:
        """Return the pages, from the beginning or from where a page or an error said."""
        turn: PageRequest | None = self._first(start)
        while turn is not None:
            self.number += 1
            self.seen.add(self._signature(turn))
            try:
                response = self._ask(turn)
                if response is None:
                    return
                items = self._read(response)
            except Exception as error:
                self._annotate(error, turn)
                raise
            following, wrong = None, None
            try:
                following = self._following(turn, response, len(items))
            except PaginationError as error:
                wrong = error
            next_url = self._address(following) if following else None
            yield Page(items, response, self.number, next_url)
            if wrong is not None:
                raise wrong
            turn = following

    def _first(self, start: str | None) -> PageRequest:
        listing, own = self.listing, self.listing.pager.own
        typed = self._absolute(listing.url)
        self.home = urls.allowed_origins(
            listing.session.base_url, typed, listing.session.trusted_origins
        )
        if urls.origin(typed) not in self.home:
            self.home = frozenset({urls.origin(typed)})  # pointed there by the caller
        self.begun = _without(listing.url, own)
        self.held = _secret_pairs(self.begun)
        turn = first = self._turn(listing.url)
        if start is not None:
            turn = self._turn(start)
            self.is_gone_on_with = self._signature(turn) != self._signature(first)
        within: Callable[[], Pager] | None = getattr(listing.pager, "from_within", None)
        if within is not None and dict(turn.own) != listing.pager.begin({}):
            self.pager = within()
        return turn

    def _turn(self, url: str) -> PageRequest:
        """Return the request for a page that a caller or an earlier iteration named."""
        own, filters = self.pager.own, self.listing.filters
        values = {name: _as_list(value) for name, value in filters.items() if name in own}
        given = {name: str(several[-1]) for name, several in values.items() if several}
        given |= {name: value for name, value in urls.query_of(url) if name in own}
        return PageRequest(_without(url, own), tuple(self.pager.begin(given).items()))

    def _absolute(self, url: str) -> str:
        return urls.join(self.listing.session.base_url, url)

    def _ask(self, turn: PageRequest) -> Response | None:
        """Send the request; None: the server says that there is no such page."""
        session: Caller = self.listing.session
        options = dict(self.listing.options)
        if not self.is_same_origin or urls.origin(self._absolute(turn.url)) not in self.home:
            self.is_same_origin = False
            session = self.listing.session.with_options(
                base_url=_NOWHERE, trusted_origins=(), strict=True
            )
            options = {n: value for n, value in options.items() if n not in _OF_ONE_ORIGIN}
            options["headers"] = header_fields.forwardable(options.get("headers") or {})
        ending = self._ending()
        response = session.request(
            "GET",
            turn.url,
            self._params(turn),
            on_status={} if ending is None else {ending: lambda _: None},
            raise_for_status=True,
            **options,
        )
        if not isinstance(response, types.RequestsResponse):
            return None
        ours = settled(response)
        if self.number == 1:
            self._hold((ours.history or [ours])[0].request.url or "", turn)
        self.is_same_origin = self.is_same_origin and urls.origin(ours.url) in self.home
        return ours

    def _ending(self) -> int | None:
        """Return the status that ends the list here; on its first page it is an error."""
        if self.number > 1:
            return getattr(self.pager, "end_status", None)
        return getattr(self.listing.pager, "end_status", None) if self.is_gone_on_with else None

    def _hold(self, sent: str, turn: PageRequest) -> None:
        """Note what is secret in the query of the first request."""
        linked = frozenset({*urls.query_of(turn.url), *turn.own})  # by the server, once
        of_session: object = getattr(self.listing.session, "params", None)
        given = _spelled(self._params(turn))
        if is_mapping(of_session):
            given += _spelled(of_session)
        signature = frozenset(urls.query_of(sent)) - frozenset(given)
        self.held |= (_secret_pairs(sent) | signature) - linked

    def _params(self, turn: PageRequest) -> dict[str, Any]:
        """Return the parameters beside the URL: what it names already is not said twice."""
        named = {name for name, _ in urls.query_of(turn.url)}
        filters: Mapping[str, Any] = {}
        if turn.url == self.begun:
            filters = self.listing.filters
        elif self.is_same_origin:
            filters = self._kept(named)
        # None keeps the session's parameter of the same name away.
        return {**dict.fromkeys(named), **filters, **dict(turn.own)}

    def _kept(self, named: set[str]) -> dict[str, Any]:
        """Return what a link has forgotten; a key is no filter, and is always kept."""
        keeps = getattr(self.pager, "keep_params", True)
        asked = {**by_name(urls.query_of(self.begun)), **self.listing.filters}
        return {
            name: value
            for name, value in asked.items()
            if name not in named and (keeps or redaction.is_secret_parameter(name))
        }

    def _signature(self, turn: PageRequest) -> int:
        """Return the request as a number that the order of its parameters does not change."""
        params = {n: v for n, v in self._params(turn).items() if v is not None}
        url = urls.with_query(self._absolute(turn.url), params)
        return hash((url.partition("?")[0], *sorted(urls.query_of(url))))

    def _address(self, turn: PageRequest) -> str:
        """Return the request as one URL, without what is sent again anyway and secret."""
        url = urls.without_pairs(turn.url, lambda name, value: (name, value) in self.held)
        return urls.with_query(url, dict(turn.own))

    def _read(self, response: Response) -> list[T]:
        if response.status_code == requests.codes.no_content:
            return []
        place, model = self.listing.items_at, self.listing.model
        body = response.content
        with decoding(response, model, lambda error: f"{error} ({self._place(error, body)})"):
            body = body if place is None else models.dig(body, place)
            items = models.decode_list(body, model)
        before, self.echo = self.echo, (len(body), hash(body))
        if items and self.echo == before and getattr(self.pager, "is_counting", False):
            own = ", ".join(map(repr, self.pager.own))
            raise self._wrong(
                response, f"it is the page before once more: the server takes no notice of {own}"
            )
        self.received += len(items)
        return items

    def _place(self, error: models.MismatchError, body: bytes) -> str:
        page, place = f"page {self.number}", self.listing.items_at
        if error.item is not None:
            page = f"item {error.item + 1} of {page}"
        if place is not None:
            return f"{page}, looking at {place!r}"
        is_object = error.item is None and body.lstrip()[:1] == b"{"
        return f"{page}; items_at= says where the list is" if is_object else page

    def _following(self, turn: PageRequest, response: Response, count: int) -> PageRequest | None:
        reading = Reading(response, dict(turn.own), count, self.received)
        try:
            step = self.pager.following(reading)
        except PaginationError as error:
            raise self._wrong(response, str(error)) from error
        if step is None:
            return None
        if is_mapping(step):
            following = PageRequest(turn.url, tuple(step.items()))
        else:
            following = PageRequest(self._target(response, step), ())
        if self._signature(following) in self.seen:
            raise self._wrong(response, "its next page was asked for before: they run in a circle")
        self.empty = 0 if count else self.empty + 1
        if self.empty >= _MOST_EMPTY_PAGES:
            raise self._wrong(response, f"it is empty, as are {self.empty - 1} before it")
        return following

    def _target(self, response: Response, link: str) -> str:
        try:
            target = urldefrag(urls.resolve(response.url, link)).url
        except requests.exceptions.InvalidURL as error:
            why = f"the link to its next page is not followed: it {error}"
            raise self._wrong(response, why) from error
        target = urls.without_pairs(target, lambda name, value: (name, value) in self.held)
        if response.url[:6].lower() == "https:" and target[:5].lower() == "http:":
            wrong = self._wrong(
                response, "the link to its next page is not followed: it leads from https to http"
            )
            wrong.next_url, wrong.list_url = target, beginning(self.listing)
            raise wrong
        return target

    def _name(self) -> str:
        return f"page {self.number} of {redaction.redact_url(self.listing.url)}"

    def _annotate(self, error: Exception, turn: PageRequest) -> None:
        """Say which page it was, and leave what `Pages.resume` needs."""
        add_note(error, f"{self._name()}: Pages.resume(error) goes on with it")
        with suppress(Exception):  # a caller's own class may have no room
            error.next_url = self._address(turn)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # HTTPKitError declares it
            error.list_url = beginning(self.listing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # likewise

    def _wrong(self, response: Response, why: str) -> PaginationError:
        wrong = PaginationError(f"{self._name()}: {why}", response=response)
        wrong.attempts = response.attempts
        return wrong


def beginning(listing: ListQuery[Any]) -> str:
    """Return what tells a list from others: its URL and filters, credentials masked."""
    url = _without(urls.join(listing.session.base_url, listing.url), listing.pager.own)
    filters = {n: v for n, v in listing.filters.items() if n not in listing.pager.own}
    pairs = sorted([*urls.query_of(url), *_spelled(filters)])
    return redaction.redact_url(urls.with_query(url.partition("?")[0], urlencode(pairs)))


def _spelled(params: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return parameters as the pairs that a query has of them."""
    given = {name: value for name, value in params.items() if value is not None}
    return urls.query_of(urls.with_query("", given))


def _without(url: str, own: Sequence[str]) -> str:
    return urls.without_pairs(url, lambda name, _: name in own)


def by_name(params: Any) -> dict[str, Any]:
    """Return parameters by name, with their values as a list where there may be several.

    Raises:
        ConfigurationError: They are neither pairs nor a mapping.
    """
    try:
        pairs = params.items() if hasattr(params, "items") else params or ()
        found: dict[str, Any] = {}
        for name, value in pairs:
            key = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            is_many = hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
            values = list(value) if is_many else value
            if key in found:
                values = [*_as_list(found[key]), *_as_list(values)]
            found[key] = values
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"params={type(params).__name__} must be pairs") from error
    return found


def _as_list(value: Any) -> list[Any]:
    return value if is_list(value) else [value]


def _secret_pairs(url: str) -> frozenset[tuple[str, str]]:
    pairs = urls.query_of(url)
    return frozenset(pair for pair in pairs if redaction.is_secret_parameter(pair[0]))
