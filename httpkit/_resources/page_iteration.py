"""Iterating over the pages of a list: which request comes next, and what it may carry.

Rule: nothing here knows how a server counts; a pager does. Nothing here sends; a session does.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urldefrag, urlencode

import requests

from httpkit._core import (
    disclosure,
    documents,
    models,
    redaction,
    types,
    urls,
    values,
)
from httpkit._core.documents import MISSING, Document, RawJSON
from httpkit._core.public import public
from httpkit._core.types import is_list, is_mapping
from httpkit._diagnostics.errors import ConfigurationError, PaginationError, add_note
from httpkit._messages.response import Response, adopt, decoding, settled
from httpkit._policy import forwarding
from httpkit._policy.retry import RetryPolicy, as_policy
from httpkit._resources.page_context import PageContext
from httpkit._resources.pagination import Pager

T = TypeVar("T")

# A server that never ends and sends no item is broken; some have over a hundred pages that a
# filter has emptied (DynamoDB and search engines behind cursors).
_MOST_EMPTY_PAGES = 1000
_NOT_OF_THIS_LIST = "not a page.next_token of this list"


class PageClient(forwarding.CredentialHolder, Protocol):
    """What resources and pages need of a session."""

    @property
    def retry(self) -> RetryPolicy | int | None:
        """Its retry policy."""
        ...

    @property
    def request(self) -> Callable[..., Any]:
        """Send one request; see `Session.request`."""
        ...


def _no_page(_response: Response) -> None:
    """Return nothing for the status that ends a list."""


def raw_document(response: Response) -> Document:
    """Return the document of a page: its body, which is JSON."""
    return RawJSON(response.content)


def policy_for_reading(policy: RetryPolicy | int | None, method: str) -> RetryPolicy | None:
    """Return the policy for a request that only reads, whatever its method.

    It is retried like a GET (RFC 9110 section 9.2.2 lets a client know better than the method).
    """
    known = as_policy(policy)
    if known is None or "GET" not in known.methods:
        return known
    return replace(known, methods={*known.methods, method})


@public
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: What is on it, decoded.
        response: The response that held it.
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


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class ListQuery(Generic[T]):
    """What is asked for; it does not change while pages are iterated over.

    Attributes:
        session: Sends the requests.
        url: The collection's URL, relative or absolute, its placeholders filled.
        pager: Finds the next request.
        items_at: The path of the items in a page; None: the page is the list.
        model: What an item is decoded into; None: what JSON says.
        params: The query parameters of every request; None takes one of the session's away.
        options: Further keywords of every request.
        method: The method of every request.
        document: The JSON document of every request; None sends none.
        parse: Returns the document of a page.
        parses_errors: Whether `parse` is given responses with an error status as well.
    """

    session: PageClient
    url: str
    pager: Pager
    items_at: str | None
    model: Callable[..., T] | None
    params: Mapping[str, Any]
    options: Mapping[str, Any]
    method: str = "GET"
    document: Any = None
    parse: Callable[[Response], Document] = raw_document
    parses_errors: bool = False

    @property
    def into(self) -> str:
        """Where the pager's parameters go: "query", "json" or "header"."""
        usual = "query" if self.document is None else "json"
        return getattr(self.pager, "into", None) or usual

    @property
    def query_names(self) -> tuple[str, ...]:
        """The names of the query parameters that the pager sets."""
        return self.pager.own if self.into == "query" else ()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PageRequest:
    """The request for a page: a URL, with the pager's own parameters apart."""

    url: str
    params: Mapping[str, Any]


@dataclass(slots=True, repr=False, eq=False)
class PageIterator(Generic[T]):
    """One iteration over the pages of a list.

    Attributes:
        query: What is asked for.
        pager: The query's, or what that says for a list that does not begin at its first page.
        first_url: The URL that the caller gave, without the pager's own parameters.
        allowed_origins: The origins that may see the credentials; none once a page came from
            another one, as with redirects.
        is_resumed: Whether its first page is one that an earlier iteration named.
        number: The present page, from 1.
        received: Items so far.
        empty: Pages without items, in a row.
        seen: The requests so far, to detect a loop; by hash, for there may be millions.
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
    seen: set[int] = field(default_factory=set[int])
    last_page_hash: int | None = None
    secret_params: frozenset[tuple[str, str]] = frozenset()

    def __post_init__(self) -> None:
        self.pager = self.query.pager

    def pages(self, start: str | None) -> Iterator[Page[T]]:
        """Return the pages, from the first or from a URL or token of `Pages.resume`."""
        request: PageRequest | None = self._first(start)
        while request is not None:
            self.number += 1
            self.seen.add(self._signature(request))
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
        params = {**by_name(self._session_params()), **self._params(request)}
        given = {name: value for name, value in params.items() if value is not None}
        return urls.with_query(self._absolute(request.url), given)

    def _first(self, start: str | None) -> PageRequest:
        query = self.query
        given = self._absolute(query.url)
        self.allowed_origins = forwarding.allowed_origins(query.session, given)
        if not forwarding.is_allowed(given, self.allowed_origins):
            self.allowed_origins = frozenset({urls.origin(given)})  # pointed there by the caller
        self.first_url = _without(query.url, query.query_names)
        self.secret_params = _secret_pairs(self.first_url)
        request = first = self._request_for(query.url)
        if start is not None:
            request = self._resumed(start, first)
            self.is_resumed = self._signature(request) != self._signature(first)
        within: Callable[[], Pager] | None = getattr(query.pager, "from_within", None)
        if within is not None and dict(request.params) != dict(query.pager.begin({})):
            self.pager = within()
        return request

    def _resumed(self, start: str, first: PageRequest) -> PageRequest:
        params = read_token(self.query, start)
        if params is None:
            return self._request_for(start)
        return PageRequest(first.url, self.pager.begin({**first.params, **params}))

    def _request_for(self, url: str) -> PageRequest:
        """Return the request for a page that a caller or an earlier iteration named."""
        own = self.pager.own
        if self.query.into != "query":
            return PageRequest(url, self.pager.begin(self._given(own)))
        params = self.query.params
        listed = {name: _as_list(value) for name, value in params.items() if name in own}
        given = {name: str(several[-1]) for name, several in listed.items() if several}
        given |= {name: value for name, value in urls.query_of(url) if name in own}
        return PageRequest(_without(url, own), self.pager.begin(given))

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
        if query.method != "GET":
            policy = options.get("retry", query.session.retry)
            options["retry"] = policy_for_reading(policy, query.method)
        response = session.request(
            query.method,
            request.url,
            self._params(request),
            on_status={} if ending is None else {ending: _no_page},
            raise_for_status=not query.parses_errors,
            **options,
        )
        if not isinstance(response, types.RequestsResponse):
            return None
        ours = adopt(response) if query.parses_errors else settled(response)
        if self.number == 1:
            self._note_secrets((ours.history or [ours])[0].request.url or "", request)
        self._note_origin(ours.url)
        return ours

    def _note_origin(self, url: str) -> None:
        """Note where a page is: after one at another origin, none is asked for with credentials."""
        if not forwarding.is_allowed(url, self.allowed_origins):
            self.allowed_origins = frozenset()

    def _route(self, request: PageRequest) -> tuple[Any, dict[str, Any]]:
        """Return the session and the options of a request: another origin gets no credentials."""
        query, url = self.query, self._absolute(request.url)
        self._note_origin(url)
        if not self.allowed_origins:  # the document stays, too
            return forwarding.for_link(query.session, query.options, url, self.allowed_origins)
        options = {**query.options, **self._body(request)}
        if query.into == "header" and request.params:
            options["headers"] = {**(options.get("headers") or {}), **_as_text(request.params)}
        return query.session, options

    def _body(self, request: PageRequest) -> dict[str, Any]:
        document: Any = self.query.document
        if self.query.into == "json":
            document = dict[str, Any]() if document is None else document
            for path, value in request.params.items():
                document = placed(document, path.split("."), value)
        return {} if document is None else {"json": document}

    def _ending(self) -> int | None:
        """Return the status that ends the list here; on its first page it is an error."""
        if self.number > 1:
            return getattr(self.pager, "end_status", None)
        return getattr(self.query.pager, "end_status", None) if self.is_resumed else None

    def _note_secrets(self, sent: str, request: PageRequest) -> None:
        """Note what is secret in the query of the first request."""
        linked = frozenset({*urls.query_of(request.url), *self._query_params(request).items()})
        given = _pairs(self._params(request)) + _pairs(self._session_params())
        signature = frozenset(urls.query_of(sent)) - frozenset(given)
        self.secret_params |= (_secret_pairs(sent) | signature) - linked

    def _session_params(self) -> Mapping[str, Any]:
        params: object = getattr(self.query.session, "params", None)
        return params if is_mapping(params) else {}

    def _query_params(self, request: PageRequest) -> dict[str, str]:
        return _as_text(request.params) if self.query.into == "query" else {}

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
        first = {**by_name(urls.query_of(self.first_url)), **self.query.params}
        return {
            name: value
            for name, value in first.items()
            if name not in named and self._is_kept(name)
        }

    def _signature(self, request: PageRequest) -> int:
        """Return the request as a number that the order of its parameters does not change."""
        params = {n: v for n, v in self._params(request).items() if v is not None}
        url = urls.with_query(self._absolute(request.url), params)
        apart = () if self.query.into == "query" else (_dumped(request.params),)
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
        if request.url == self.first_url and self.query.into != "query":
            return None, token(self.query, request.params)
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
            items, page_hash = decode_items(found, apart, self.query.model)
        before, self.last_page_hash = self.last_page_hash, page_hash
        if items and page_hash == before and getattr(self.pager, "is_counting", False):
            own = ", ".join(map(repr, self.pager.own))
            raise self._wrong(
                response, f"it is the page before once more: the server takes no notice of {own}"
            )
        self.received += len(items)
        return items

    def _describe(self, error: models.MismatchError, document: Document) -> str:
        page, path = f"page {self.number}", self.query.items_at
        if error.item is not None:
            page = f"item {error.item + 1} of {page}"
        if path is not None:
            return f"{error} ({page}, looking at {path!r})"
        is_object = error.item is None and _is_object(document)
        return f"{error} ({page}{'; items_at= says where the list is' if is_object else ''})"

    def _following(
        self, request: PageRequest, response: Response, document: Document, count: int
    ) -> PageRequest | None:
        context = PageContext(
            response, request.params, count, self.received, document, self.query.into
        )
        try:
            step = self.pager.following(context)
        except PaginationError as error:
            raise self._wrong(response, str(error)) from error
        if step is None:
            return None
        if is_mapping(step):
            following = PageRequest(request.url, dict(step))
        else:
            following = PageRequest(self._target(response, step), {})
        if self._signature(following) in self.seen:
            raise self._wrong(
                response,
                "pagination loop: its next page was asked for before (they run in a circle)",
            )
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

    def _wrong(self, response: Response, why: str) -> PaginationError:
        wrong = PaginationError(f"{self._name()}: {why}", response=response)
        wrong.attempts = response.attempts
        return wrong


def decode_items(
    found: Document, apart: Sequence[Document] | None, model: Callable[..., T] | None
) -> tuple[list[T], int]:
    """Return the items of a page as models, and a hash of what they were made of.

    Args:
        found: The array of the items.
        apart: The items, where they are not one array.
        model: What an item is decoded into; None: what JSON says.

    Raises:
        MismatchError: It is not an array, or an item is not of the model.
    """
    wanted: Any = object if model is None else model
    if isinstance(found, RawJSON) and apart is None:
        return models.decode_list(found.body, wanted), hash(found.body)
    entries = documents.entries_of(found) if apart is None else apart
    if entries is not None and all(isinstance(entry, RawJSON) for entry in entries):
        body = b"[" + b",".join(entry.body for entry in entries) + b"]"
        return models.decode_list(body, wanted), hash(body)
    if entries is None:
        name = "object" if is_mapping(found) else type(found).__name__
        raise models.MismatchError(f"Expected `array`, got `{name}`")
    values = [documents.parsed(entry) for entry in entries]
    return models.build_list(values, wanted), hash(repr(values))


def _is_object(document: Document) -> bool:
    with suppress(models.MismatchError):
        return documents.members_of(document) is not None
    return False


def placed(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return a copy of a document with a value at a path."""
    if not is_mapping(document):
        raise ConfigurationError(
            f"json= has {type(document).__name__} where the pager puts {path[0]!r}"
        )
    first, *rest = path
    inner = value
    if rest:
        below = document.get(first)
        inner = placed({} if below is None else below, rest, value)
    return {**document, first: inner}


def _dumped(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)


def _as_text(params: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items()}


def token(query: ListQuery[Any], params: Mapping[str, Any]) -> str:
    """Return what names a page that no URL names: text to keep, with the list that it is of."""
    return _dumped({"list": _fingerprint(query), "next": params})


def read_token(query: ListQuery[Any], at: str) -> dict[str, Any] | None:
    """Return the parameters of the page that a token names; None for a URL.

    Raises:
        ConfigurationError: It is a token of another list, or this list needs one.
    """
    if not at.startswith("{"):
        if query.into != "query" and query.pager.own:
            raise ConfigurationError(
                "the pages of this list have one URL: resume it with page.next_token"
            )
        return None
    try:
        read = json.loads(at)
        fingerprint, params = read["list"], dict(read["next"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(_NOT_OF_THIS_LIST) from error
    if fingerprint != _fingerprint(query):
        raise ConfigurationError(_NOT_OF_THIS_LIST)
    return params


def _fingerprint(query: ListQuery[Any]) -> str:
    """Return what identifies a list among those with its URL: a hash of its document."""
    document = query.document
    for path in query.pager.own if query.into == "json" else ():
        with suppress(ConfigurationError):
            document = placed({} if document is None else document, path.split("."), None)
    text = f"{query.method} {list_url(query)} {query.into} {_dumped({'json': document})}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def first_url(query: ListQuery[Any]) -> str:
    """Return the URL that a list is first asked for at, credentials masked."""
    try:
        return redaction.redact_url(PageIterator(query).first_url_sent())
    except (requests.RequestException, ValueError):  # the first request says what is wrong
        return list_url(query)


def list_url(query: ListQuery[Any]) -> str:
    """Return what identifies a list: its URL and parameters, credentials masked."""
    own = query.query_names
    url = _without(urls.join(query.session.base_url, query.url), own)
    params = {n: v for n, v in query.params.items() if n not in own}
    pairs = sorted([*urls.query_of(url), *_pairs(params)])
    return redaction.redact_url(urls.with_query(url.partition("?")[0], urlencode(pairs)))


def _pairs(params: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return parameters as the pairs that a query has of them."""
    given = {name: value for name, value in params.items() if value is not None}
    return urls.query_of(urls.with_query("", given))


def _without(url: str, own: Sequence[str]) -> str:
    return urls.without_pairs(url, lambda name, _: name in own)


def by_name(params: Any) -> dict[str, Any]:
    """Return parameters by name, with their values as a list where there may be several.

    Raises:
        ConfigurationError: They are neither pairs nor a mapping, or a value cannot be in a query.
    """
    found: dict[str, Any] = {}
    try:
        for name, value in params.items() if hasattr(params, "items") else params or ():
            key = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            formatted = _formatted(key, value)
            if key in found:
                formatted = [*_as_list(found[key]), *_as_list(formatted)]
            found[key] = formatted
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"params={type(params).__name__} must be pairs") from error
    return found


def _formatted(name: str, value: Any) -> Any:
    is_iterable = hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
    try:
        return values.format_values([*value] if is_iterable and not is_mapping(value) else value)
    except TypeError as error:
        raise ConfigurationError(f"params: {name!r} {error}") from error


def _as_list(value: Any) -> list[Any]:
    return value if is_list(value) else [value]


def _secret_pairs(url: str) -> frozenset[tuple[str, str]]:
    pairs = urls.query_of(url)
    return frozenset(pair for pair in pairs if disclosure.is_secret_parameter(pair[0]))
