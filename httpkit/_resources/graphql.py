"""GraphQL over HTTP: what is sent for an operation, and what its response means.

Rule: no I/O here. The rules are those of the GraphQL-over-HTTP draft, and section 7 (Response)
of the GraphQL specification.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from httpkit._core import documents, models
from httpkit._core.documents import Document, RawJSON
from httpkit._core.given import is_list, is_mapping
from httpkit._diagnostics import error_reasons, errors
from httpkit._diagnostics.errors import BodyTooLargeError, ConfigurationError, PaginationError
from httpkit._messages.decode_errors import decoding
from httpkit._messages.response import Response
from httpkit._policy.retry import RetryPolicy
from httpkit._resources.list_query import ListQuery, PageClient, policy_for_reading
from httpkit._resources.page_context import PageContext
from httpkit._resources.pagination import check_path

T = TypeVar("T")

# The media type of the draft says that the body is a GraphQL response whatever the status;
# older servers know JSON only.
ACCEPT = "application/graphql-response+json, application/json;q=0.9"

# Credentials, rate limits and timeouts: there is more to do about these statuses than about the
# errors in their bodies, which are in the message too.
_STATUSES_FIRST = frozenset({401, 403, 407, 408, 429})

# Strings and comments first: nothing within them counts.
_LEXEME = re.compile(
    r'"""(?:\\"""|[\s\S])*?"""|"(?:\\.|[^"\\\n\r])*"|#[^\n\r]*|[{}()\[\]]|[_A-Za-z][_0-9A-Za-z]*'
)


def payload(
    query: str, variables: Mapping[str, object] | None, operation_name: str | None
) -> dict[str, Any]:
    """Return the document to be sent; a variable may be a model.

    Raises:
        ConfigurationError: The query is empty or no text, or the variables are no mapping.
    """
    if not isinstance(query, str) or not query.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError("query must be a GraphQL document, as text")
    sent: dict[str, Any] = {"query": query}
    if variables is not None:
        if not is_mapping(variables):
            name = type(cast("object", variables)).__name__
            raise ConfigurationError(f"variables must map names to values, not be {name}")
        sent["variables"] = {name: models.encode(value) for name, value in variables.items()}
    if operation_name is not None:
        sent["operationName"] = operation_name
    return sent


def policy_for(query: str, policy: RetryPolicy | None) -> RetryPolicy | None:
    """Return the policy under which to send: a query is retried like a GET.

    GraphQL section 2.3: a query is a read-only fetch. A mutation stays a POST, and a document
    that holds one beside queries counts as one.
    """
    return policy_for_reading(policy, "POST") if is_read_only(query) else policy


@lru_cache(maxsize=128)
def is_read_only(query: str) -> bool:
    """Say whether a document holds queries, and fragments, alone."""
    definitions: set[str] = set()
    depth, is_between = 0, True
    for part in _LEXEME.findall(query):
        if part[0] in '"#':
            continue
        if is_between:  # a definition begins with its type, a query perhaps with its "{"
            definitions.add("query" if part == "{" else part)
        depth += (part in "{([") - (part in "})]")
        is_between = part == "}" and depth == 0
    return "query" in definitions and definitions <= {"query", "fragment"}


def read(response: Response, model: Callable[..., T] | None) -> Any:
    """Return the data of a response, as a model if there is one.

    Raises:
        GraphQLError: The server reports errors, whatever the status.
        StatusError: The status is an error, and says more than the body.
        DecodeError: It is not a GraphQL response, or its data is not of the model.
    """
    document, why = _document(response)
    reported = _reported(document)
    status = response.status_code
    if reported and status not in _STATUSES_FIRST and status < 500:
        raise errors.from_graphql(response, reported, document.get("data"))
    response.raise_for_status()
    data = document.get("data")
    if not is_mapping(data):
        why = why or f"it has {'no data' if data is None else 'data that is not an object'}"
        what = errors.describe(response.request, response.url)
        why = error_reasons.with_words(response, why)
        raise response.decode_error(f"invalid GraphQL response to {what}: {why}")
    if model is None:
        return data
    with decoding(response, model, lambda error: f"in its data: {error}"):
        return models.decode(documents.json_at(response.content, "data"), model)


def _document(response: Response) -> tuple[Mapping[str, Any], str]:
    """Return the JSON object of a response; an empty one and the reason when it has none."""
    try:
        document = cast("dict[str, Any]", models.decode(response.content, dict))
    except models.MismatchError as error:
        media_type = response.headers.get("content-type", "no content type")
        return {}, f"{error} ({media_type})"
    except BodyTooLargeError:  # an error's body, which was cut
        return {}, "its body is too large"
    return document, ""


def _reported(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the errors of a GraphQL response, each with a message.

    Other APIs have errors too, in other forms: without "data" beside them only the form of
    the specification counts. With it, whatever stands there means that the data is not whole.
    """
    listed = document.get("errors")
    given: list[Any] = listed if is_list(listed) else [listed] if listed else []
    is_graphql = all(is_mapping(one) and isinstance(one.get("message"), str) for one in given)
    if is_graphql and is_list(listed):
        return given
    return [_with_message(one) for one in given] if "data" in document else ()


def _with_message(reported: Any) -> Mapping[str, Any]:
    members: dict[str, Any] = dict(reported) if is_mapping(reported) else {}
    message = members.get("message")
    return {**members, "message": message if isinstance(message, str) else str(reported)}


@dataclass(frozen=True, slots=True)
class ConnectionPages:
    """The pages of a connection (GraphQL Cursor Connections Specification).

    Args:
        at: The path of the connection in the data.
        cursor: The name of the variable that takes the cursor.
        is_backward: Whether the pages are requested from the last to the first.
    """

    at: str
    cursor: str = "after"
    is_backward: bool = False

    @property
    def into(self) -> str:
        """The variables are in the document."""
        return "json"

    @property
    def own(self) -> tuple[str, ...]:
        """The cursor's variable."""
        return (f"variables.{self.cursor}",)

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the cursor that is given, or null."""
        return {self.own[0]: None, **given}

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Return the cursor of the next page.

        Raises:
            PaginationError: `pageInfo` is missing, or has a next page and no cursor.
        """
        flag, name = _BACKWARD if self.is_backward else _FORWARD
        has_more = page.flag(f"pageInfo.{flag}")
        if has_more is False:
            return None
        cursor = page.text(f"pageInfo.{name}")
        if has_more and cursor:
            return {self.own[0]: cursor}
        raise PaginationError(
            f"the connection at {self.at!r} has no {flag if has_more is None else name}"
            f" in its pageInfo: select pageInfo {{ {flag} {name} }}",
            response=page.response,
        )


_FORWARD = ("hasNextPage", "endCursor")
_BACKWARD = ("hasPreviousPage", "startCursor")


@dataclass(frozen=True, slots=True)
class _Connection:
    """The document of a page: a connection's nodes and its pageInfo."""

    at: str

    def __call__(self, response: Response) -> Document:
        read(response, None)
        connection = documents.require(RawJSON(response.content), f"data.{self.at}")
        members = documents.members_of(connection) or {}
        if members.get("nodes") is not None:
            nodes = members["nodes"]
        elif (edges := documents.entries_of(members.get("edges"))) is not None:
            nodes = [documents.require(edge, "node") for edge in edges]
        else:
            raise models.MismatchError(f"at {self.at!r} there are neither nodes nor edges")
        return {"nodes": nodes, "pageInfo": members.get("pageInfo")}


def _has_argument(query: str, name: str, variable: str) -> bool:
    """Say whether an argument is given a variable, comments and strings aside."""
    code = _LEXEME.sub(lambda found: "" if found[0][0] in '"#' else found[0], query)
    return re.search(rf"\b{name}\s*:\s*\${re.escape(variable)}\b", code) is not None


def connection_query(
    session: PageClient,
    query: str,
    variables: Mapping[str, object] | None,
    *,
    at: str,
    cursor: str,
    model: Callable[..., T] | None,
    url: str,
    operation_name: str | None,
    options: Mapping[str, Any],
) -> ListQuery[T]:
    """Return the list of a connection's nodes.

    Raises:
        ConfigurationError: The query is not read-only or has no such variable, or a path or a
            name is empty.
    """
    document = payload(query, variables, operation_name)
    check_path("at", at, is_optional=False)
    check_path("cursor", cursor, is_optional=False)
    if not is_read_only(query):
        raise ConfigurationError("paginate_graphql() takes a query, not a mutation")
    if re.search(rf"\${re.escape(cursor)}\b", query) is None:
        raise ConfigurationError(
            f"the query has no variable ${cursor} for the cursor: cursor= is its name"
        )
    is_backward = _has_argument(query, "before", cursor) and not _has_argument(
        query, "after", cursor
    )
    headers: Mapping[str, Any] = options.get("headers") or {}
    return ListQuery(
        session=session,
        url=url,
        pager=ConnectionPages(at, cursor, is_backward=is_backward),
        items_at="nodes",
        model=model,
        params={},
        options={**options, "headers": {"Accept": ACCEPT, **headers}},
        method="POST",
        document=document,
        parse=_Connection(at),
        parses_errors=True,
    )
