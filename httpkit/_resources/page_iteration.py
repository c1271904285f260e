"""Iterating over the pages of a list: which request comes next, and what it may carry.

Rule: nothing here knows how a server counts; a pager does. Nothing here sends; a session does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urldefrag

import requests

from httpkit._core import disclosure, documents, models, redaction, upstream, urls
from httpkit._core.classes import public
from httpkit._core.documents import MISSING, Document, RawJSON
from httpkit._core.given import NOT_GIVEN, is_mapping
from httpkit._diagnostics import error_documents
from httpkit._diagnostics.errors import PaginationError, add_note
from httpkit._messages.decode_errors import decoding
from httpkit._messages.response import Response, adopt, successful
from httpkit._policy import forwarding
from httpkit._resources import page_items, page_tokens, query_params
from httpkit._resources.list_query import ListQuery, list_url, policy_for_reading, with_value
from httpkit._resources.page_context import PageContext, PageLink
from httpkit._resources.pagination import Pager

T = TypeVar("T")

# A server that never ends and sends no item is broken; some have over a hundred pages that a
# filter has emptied (DynamoDB and search engines behind cursors).
_MOST_EMPTY_PAGES = 1000


def _no_page(_response: Response) -> None:
    """Return nothing for the status that ends a list."""


@public
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: What is on it, decoded.
        response: The response that it was in.
        number: Its number in this iteration, from 1.
        next_url: The URL of the page after it: what `Pages.resume` takes, in this run or in a
            later one. None: it is the last, cut by a limit, or has the URL of the others.
        next_token: What `Pages.resume` takes, for any list: the next URL, or, where the pages
            have one URL, what the document or the header field takes. None: it is the last, or
            cut by a limit.
    """

    items: list[T]
    response: Response
    number: int
    next_url: str | None
    next_token: str | None = None

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} items>"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PageRequest:
    """The request for a page: a URL, with the pager's own parameters apart.

    Attributes:
        url: Relative or absolute.
        params: The pager's parameters.
        method: None: the list's.
        document: The document that a next link sends; NOT_GIVEN: the list's document.
    """

    url: str
    params: Mapping[str, Any]
    method: str | None = None
    document: Any = NOT_GIVEN


@dataclass(slots=True, repr=False, eq=False)
class PageIterator(Generic[T]):
    """One iteration over the pages of a list.

    Attributes:
        query: What is requested.
        pager: The query's, or what that says for a list that does not begin at its first page.
        first_url: The URL that the caller gave, without the pager's own parameters.
        allowed_origins: The origins that may see the credentials; none once a page came from
            another one, as with redirects.
        is_resumed: Whether its first page is one that an earlier iteration named.
        number: The present page, from 1.
        received: Items so far.
        empty: Pages without items, in a row.
        signatures: The requests so far, to detect a loop; by hash, for there may be millions.
        last_page_hash: The present page's items as sent, by hash; a page that has the same is
            the same.
        secret_params: What the caller or the session put into the query under a secret name,
            and what the signature added, whatever its name: it is added to each request anyway,
            so it is removed from links that repeat it, and from errors.
    """

    query: ListQuery[T]
    pager: Pager = field(init=False)
    first_url: str = ""
    allowed_origins: frozenset[urls.Origin] = frozenset()
    is_resumed: bool = False
    number: int = 0
    received: int = 0
    empty: int = 0
    signatures: set[int] = field(default_factory=set[int])
    last_page_hash: int | None = None
    secret_params: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        self.pager = self.query.pager

    def pages(self, start: str | None) -> Iterator[Page[T]]:
        """Return the pages, from the first or from a URL or token of `Pages.resume`."""
        request: PageRequest | None = self._first(start)
        while request is not None:
            self.number += 1
            self.signatures.add(self._signature(request))
            try:
                response = self._send(request)
                if response is None:
                    return
                document = self._parse(response)
                items = self._read(response, document)
            except Exception as error:
                self._annotate(error, request)
                raise
            following, wrong = None, None
            try:
                following = self._following(request, response, document, len(items))
            except PaginationError as error:
                wrong = error
            yield Page(items, response, self.number, *self._resume_points(following))
            if wrong is not None:
                raise wrong
            request = following

    def first_url_sent(self) -> str:
        """Return the URL of the first request, with the session's parameters."""
        request = self._first(None)
        params = {**query_params.by_name(self._session_params()), **self._params(request)}
        given = {name: value for name, value in params.items() if value is not None}
        return urls.with_query(self._absolute(request.url), given)

    def _first(self, start: str | None) -> PageRequest:
        query = self.query
        given = self._absolute(query.url)
        self.allowed_origins = forwarding.allowed_origins(query.session, given)
        if not forwarding.is_allowed(given, self.allowed_origins):
            self.allowed_origins = frozenset({urls.origin(given)})  # pointed there by the caller
        self.first_url = query_params.without(query.url, query.query_names)
        self.secret_params = query_params.secret_pairs(self.first_url)
        request = first = self._request_for(query.url)
        if start is not None:
            request = self._resumed(start, first)
            self.is_resumed = self._signature(request) != self._signature(first)
        within: Callable[[], Pager] | None = getattr(query.pager, "from_within", None)
        if within is not None and dict(request.params) != dict(query.pager.begin({})):
            self.pager = within()
        return request

    def _resumed(self, start: str, first: PageRequest) -> PageRequest:
        params = page_tokens.read_token(self.query, start)
        if params is None:
            return self._request_for(start)
        if isinstance(params, PageLink):
            return PageRequest(params.url, {}, params.method, params.json)
        return PageRequest(first.url, self.pager.begin({**first.params, **params}))

    def _request_for(self, url: str) -> PageRequest:
        """Return the request for a page that a caller or an earlier iteration named."""
        own = self.pager.own
        if self.query.into != "query":
            return PageRequest(url, self.pager.begin(self._given(own)))
        params = self.query.params
        listed = {n: query_params.as_list(value) for n, value in params.items() if n in own}
        given = {name: str(several[-1]) for name, several in listed.items() if several}
        given |= {name: value for name, value in urls.query_of(url) if name in own}
        return PageRequest(query_params.without(url, own), self.pager.begin(given))

    def _given(self, own: Sequence[str]) -> dict[str, Any]:
        """Return the pager's parameters that the caller's document or headers have."""
        if self.query.into == "json":
            found = {name: documents.find(self.query.document, name) for name in own}
            return {name: value for name, value in found.items() if value is not MISSING}
        given: Mapping[str, Any] = self.query.options.get("headers") or {}
        headers = {name.lower(): value for name, value in given.items() if value is not None}
        return {name: headers[name.lower()] for name in own if name.lower() in headers}

    def _absolute(self, url: str) -> str:
        return urls.join(self.query.session.base_url, url)

    def _send(self, request: PageRequest) -> Response | None:
        """Send the request; None: the server says that there is no such page."""
        query, ending = self.query, self._ending()
        session, options = self._route(request)
        method = request.method or query.method
        if method != "GET":
            policy = options.get("retry", query.session.retry)
            options["retry"] = policy_for_reading(policy, method)
        response = session.request(
            method,
            request.url,
            self._params(request),
            on_status={} if ending is None else {ending: _no_page},
            raise_for_status=not query.parses_errors,
            **options,
        )
        if not isinstance(response, upstream.RequestsResponse):
            return None
        ours = adopt(response) if query.parses_errors else successful(response)
        if self.number == 1:
            self._note_secrets((ours.history or [ours])[0].request.url or "", request)
        self._note_origin(ours.url)
        return ours

    def _note_origin(self, url: str) -> None:
        """Note where a page is: after one at another origin, none is requested with credentials."""
        if not forwarding.is_allowed(url, self.allowed_origins):
            self.allowed_origins = frozenset()

    def _route(self, request: PageRequest) -> tuple[Any, dict[str, Any]]:
        """Return the session and the options of a request: another origin gets no credentials."""
        query, url = self.query, self._absolute(request.url)
        self._note_origin(url)
        if not self.allowed_origins:  # the caller's document stays, too
            options = {**query.options, **_json(request.document)}
            return forwarding.for_link(query.session, options, url, self.allowed_origins)
        options = {**query.options, **self._body(request)}
        if query.into == "header" and request.params:
            fields = query_params.as_text(request.params)
            options["headers"] = {**(options.get("headers") or {}), **fields}
        return query.session, options

    def _body(self, request: PageRequest) -> dict[str, Any]:
        if request.document is not NOT_GIVEN:
            return _json(request.document)
        document: Any = self.query.document
        if self.query.into == "json":
            document = dict[str, Any]() if document is None else document
            for path, value in request.params.items():
                document = with_value(document, path.split("."), value)
        return _json(document)

    def _ending(self) -> int | None:
        """Return the status that ends the list here; on its first page it is an error."""
        if self.number > 1:
            return getattr(self.pager, "end_status", None)
        return getattr(self.query.pager, "end_status", None) if self.is_resumed else None

    def _note_secrets(self, sent: str, request: PageRequest) -> None:
        """Note what is secret in the query of the first request."""
        linked = frozenset({*urls.query_of(request.url), *self._query_params(request).items()})
        pairs = query_params.pairs
        given = pairs(self._params(request)) + pairs(self._session_params())
        signature = frozenset(urls.query_of(sent)) - frozenset(given)
        self.secret_params |= (query_params.secret_pairs(sent) | signature) - linked

    def _session_params(self) -> Mapping[str, Any]:
        params: object = getattr(self.query.session, "params", None)
        return params if is_mapping(params) else {}

    def _query_params(self, request: PageRequest) -> dict[str, str]:
        return query_params.as_text(request.params) if self.query.into == "query" else {}

    def _params(self, request: PageRequest) -> dict[str, Any]:
        """Return the parameters beside the URL: what it names already is not repeated."""
        named = {name for name, _ in urls.query_of(request.url)}
        params: Mapping[str, Any] = {}
        if request.url == self.first_url:
            params = self.query.params
        elif self.allowed_origins:
            named |= {name for name in self._session_params() if not self._is_kept(name)}
            params = self._kept(named)
        # None keeps the session's parameter of the same name away.
        return {**dict.fromkeys(named), **params, **self._query_params(request)}

    def _is_kept(self, name: str) -> bool:
        """Say whether a parameter is added to a next link, which is opaque (RFC 8288)."""
        keeps = getattr(self.pager, "keep_params", False)
        return keeps or disclosure.is_secret_parameter(name)

    def _kept(self, named: set[str]) -> dict[str, Any]:
        """Return the parameters that are added to a link that does not name them."""
        first = {**query_params.by_name(urls.query_of(self.first_url)), **self.query.params}
        return {
            name: value
            for name, value in first.items()
            if name not in named and self._is_kept(name)
        }

    def _signature(self, request: PageRequest) -> int:
        """Return the request as a number that the order of its parameters does not change."""
        params = {n: v for n, v in self._params(request).items() if v is not None}
        url = urls.with_query(self._absolute(request.url), params)
        apart: tuple[object, ...] = ()
        if request.document is not NOT_GIVEN:
            apart = (request.method, page_tokens.dumped({"json": request.document}))
        elif self.query.into != "query":
            apart = (page_tokens.dumped(request.params),)
        return hash((url.partition("?")[0], *sorted(urls.query_of(url)), *apart))

    def _address(self, request: PageRequest) -> str:
        """Return the request as one URL, without the secrets that are added again anyway."""
        url = urls.without_pairs(
            request.url, lambda name, value: (name, value) in self.secret_params
        )
        return urls.with_query(url, self._query_params(request))

    def _resume_points(self, request: PageRequest | None) -> tuple[str | None, str | None]:
        """Return the URL and the token of a page."""
        if request is None:
            return None, None
        if request.document is not NOT_GIVEN:
            link = PageLink(self._address(request), request.method, request.document)
            return None, page_tokens.token(self.query, link)
        if request.url == self.first_url and self.query.into != "query":
            return None, page_tokens.token(self.query, request.params)
        url = self._address(request)
        return url, url

    def _parse(self, response: Response) -> Document:
        if response.status_code == requests.codes.no_content:
            return RawJSON(b"")
        with decoding(response, self._model, lambda error: f"{error} (page {self.number})"):
            return self.query.parse(response)

    @property
    def _model(self) -> object:
        return dict if self.query.model is None else self.query.model

    def _read(self, response: Response, document: Document) -> list[T]:
        if response.status_code == requests.codes.no_content:
            return []
        with decoding(response, self._model, lambda error: self._describe(error, document)):
            found, apart = documents.select(document, self.query.items_at)
            if found is None and apart is not None:
                self._check_absence(document)
            items, page_hash = page_items.decode_items(found, apart, self.query.model)
        before, self.last_page_hash = self.last_page_hash, page_hash
        is_repeated = items and page_hash == before
        if is_repeated and (getattr(self.pager, "is_counting", False) or self._is_until_empty):
            own = ", ".join(map(repr, self.pager.own)) or "its own link"
            raise self._wrong(
                response, f"it is the page before once more: the server takes no notice of {own}"
            )
        self.received += len(items)
        return items

    def _check_absence(self, document: Document) -> None:
        """Refuse a page without its optional list that calls itself an error.

        Raises:
            MismatchError: It does.
        """
        is_error = False
        with suppress(models.MismatchError):
            is_error = error_documents.states_failure(documents.parsed(document))
        if is_error:
            raise models.MismatchError("there are no items, but an error")

    @property
    def _is_until_empty(self) -> bool:
        """Say whether an empty page is the last, and a request may equal the one before."""
        return getattr(self.pager, "until_empty", False)

    def _describe(self, error: models.MismatchError, document: Document) -> str:
        page, path = f"page {self.number}", self.query.items_at
        if error.item is not None:
            page = f"item {error.item + 1} of {page}"
        if path is not None:
            return f"{error} ({page}, looking at {path!r})"
        is_object = error.item is None and page_items.is_object(document)
        return f"{error} ({page}{'; items_at= says where the list is' if is_object else ''})"

    def _following(
        self, request: PageRequest, response: Response, document: Document, count: int
    ) -> PageRequest | None:
        context = PageContext(
            response, request.params, count, self.received, document, self.query.into
        )
        if self._is_until_empty and not count:
            return None
        try:
            step = self.pager.following(context)
        except PaginationError as error:
            raise self._wrong(response, str(error)) from error
        if step is None:
            return None
        if is_mapping(step):
            following = PageRequest(request.url, dict(step))
        elif isinstance(step, PageLink):
            following = self._linked(request, response, step)
        else:
            following = PageRequest(self._target(response, step), {})
        signature = self._signature(following)
        is_same = self._is_until_empty and signature == self._signature(request)
        if signature in self.signatures and not is_same:
            raise self._loop(response, is_empty=not count)
        self.empty = 0 if count else self.empty + 1
        if self.empty >= _MOST_EMPTY_PAGES:
            raise self._wrong(response, f"it is empty, as are {self.empty - 1} before it")
        return following

    def _linked(self, request: PageRequest, response: Response, link: PageLink) -> PageRequest:
        """Return the request that a link with a method or a document of its own asks for."""
        target = self._target(response, link.url)
        if link.method in (None, self.query.method) and link.json is None:
            return PageRequest(target, {})
        method = link.method or "POST"
        document = link.json
        if link.merge and document is not None:
            before: dict[str, Any] = self._body(request).get("json") or {}
            if before and not (self.allowed_origins and self._is_allowed(target)):
                why = "its next link is of another origin, and merges with the list's document"
                raise self._wrong(response, f"{why}, which is not sent there")
            document = {**before, **document}
        elif document is None and method != "GET":
            document = self._body(request).get("json")
        return PageRequest(target, {}, method, document)

    def _is_allowed(self, url: str) -> bool:
        return forwarding.is_allowed(url, self.allowed_origins)

    def _target(self, response: Response, link: str) -> str:
        try:
            target = urldefrag(urls.resolve(response.url, link)).url
        except requests.exceptions.InvalidURL as error:
            why = f"the link to its next page is not followed: it {error}"
            raise self._wrong(response, why) from error
        target = urls.without_pairs(target, lambda name, value: (name, value) in self.secret_params)
        if response.url[:6].lower() == "https:" and target[:5].lower() == "http:":
            wrong = self._wrong(
                response, "the link to its next page is not followed: it leads from https to http"
            )
            wrong.next_url, wrong.list_url = target, list_url(self.query)
            raise wrong
        return target

    def _name(self) -> str:
        return f"page {self.number} of {redaction.redact_url(self.query.url)}"

    def _annotate(self, error: Exception, request: PageRequest) -> None:
        """Say which page it was, and leave what `Pages.resume` needs."""
        add_note(error, f"{self._name()}: Pages.resume(error) goes on with it")
        url, following = self._resume_points(request)
        left = {"next_url": url, "next_token": following, "list_url": list_url(self.query)}
        with suppress(Exception):  # a caller's own class may have no room
            for name, value in left.items():
                setattr(error, name, value)

    def _loop(self, response: Response, *, is_empty: bool) -> PaginationError:
        error = self._wrong(response, "pagination loop: the next page was requested before")
        if is_empty and hasattr(self.pager, "until_empty"):
            add_note(error, "if an empty page is the end of this list, pass until_empty=True")
        return error

    def _wrong(self, response: Response, why: str) -> PaginationError:
        wrong = PaginationError(f"{self._name()}: {why}", response=response)
        wrong.attempts = response.attempts
        return wrong


def first_url(query: ListQuery[Any]) -> str:
    """Return the URL that a list is first requested at, credentials masked."""
    try:
        return redaction.redact_url(PageIterator(query).first_url_sent())
    except (requests.RequestException, ValueError):  # the first request says what is wrong
        return list_url(query)


def _json(document: object) -> dict[str, Any]:
    return {} if document is None or document is NOT_GIVEN else {"json": document}
