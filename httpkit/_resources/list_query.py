"""A list as it is requested: session, URL, pager, model and parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from httpkit._core import redaction, types, urls
from httpkit._core.documents import Document, RawJSON
from httpkit._core.given import is_mapping
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.response import Response
from httpkit._policy.retry import RetryPolicy, as_policy
from httpkit._resources import query_params
from httpkit._resources.pagination import Pager

T = TypeVar("T")


class PageClient(types.CredentialHolder, Protocol):
    """What resources and pages need of a session."""

    @property
    def retry(self) -> RetryPolicy | int | None:
        """Its retry policy."""
        ...

    @property
    def request(self) -> Callable[..., Any]:
        """Send one request; see `Session.request`."""
        ...


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


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class ListQuery(Generic[T]):
    """What is requested; it does not change while pages are iterated over.

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


def list_url(query: ListQuery[Any]) -> str:
    """Return what identifies a list: its URL and parameters, credentials masked."""
    own = query.query_names
    url = query_params.without(urls.join(query.session.base_url, query.url), own)
    params = {n: v for n, v in query.params.items() if n not in own}
    pairs = sorted([*urls.query_of(url), *query_params.pairs(params)])
    return redaction.redact_url(urls.with_query(url.partition("?")[0], urlencode(pairs)))


def with_value(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return a copy of a document with a value at a path."""
    if not is_mapping(document):
        raise ConfigurationError(
            f"json= has {type(document).__name__} where the pager puts {path[0]!r}"
        )
    first, *rest = path
    inner = value
    if rest:
        below = document.get(first)
        inner = with_value({} if below is None else below, rest, value)
    return {**document, first: inner}
