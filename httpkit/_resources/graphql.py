"""GraphQL over HTTP: what is sent for an operation, and what its answer means.

Rule: no I/O here. The rules are those of the GraphQL-over-HTTP draft, and section 7 (Response)
of the GraphQL specification.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from httpkit._core import models
from httpkit._core.types import is_list, is_mapping
from httpkit._diagnostics import errors
from httpkit._diagnostics.errors import BodyTooLargeError, ConfigurationError
from httpkit._messages.response import Response, decoding
from httpkit._policy.retry import RetryPolicy

T = TypeVar("T")

# The media type of the draft says that the body is a GraphQL response whatever the status;
# older servers know JSON only.
ACCEPT = "application/graphql-response+json, application/json;q=0.9"

# Who you are, how often you come, and whether anybody is there: there is more to do about these
# statuses than about the errors in their bodies, which are in the message too.
_TELLING = frozenset({401, 403, 407, 408, 429})

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
            kind = type(cast("object", variables)).__name__
            raise ConfigurationError(f"variables must map names to values, not be {kind}")
        sent["variables"] = {name: models.encode(value) for name, value in variables.items()}
    if operation_name is not None:
        sent["operationName"] = operation_name
    return sent


def policy_for(query: str, policy: RetryPolicy | None) -> RetryPolicy | None:
    """Return the policy under which to send: a query may be repeated like a GET.

    GraphQL section 2.3: a query is a read-only fetch. A mutation stays a POST, and a document
    that holds one beside queries counts as one.
    """
    if policy is None or "GET" not in policy.methods or not is_read_only(query):
        return policy
    return replace(policy, methods={*policy.methods, "POST"})


@lru_cache(maxsize=128)
def is_read_only(query: str) -> bool:
    """Say whether a document holds queries, and fragments, alone."""
    kinds: set[str] = set()
    depth, is_between = 0, True
    for part in _LEXEME.findall(query):
        if part[0] in '"#':
            continue
        if is_between:  # a definition begins with its kind, and a query may with its "{"
            kinds.add("query" if part == "{" else part)
        depth += (part in "{([") - (part in "})]")
        is_between = part == "}" and depth == 0
    return "query" in kinds and kinds <= {"query", "fragment"}


def read(response: Response, model: Callable[..., T] | None) -> Any:
    """Return the data of an answer, as a model if there is one.

    Raises:
        GraphQLError: The server reports errors, whatever the status.
        StatusError: The status is an error, and says more than the body.
        DecodeError: It is no GraphQL response, or its data is not of the model.
    """
    document, why = _document(response)
    reported = _reported(document)
    status = response.status_code
    if reported and status not in _TELLING and status < 500:
        raise errors.from_graphql(response, reported, document.get("data"))
    response.raise_for_status()
    data = document.get("data")
    if not is_mapping(data):
        why = why or f"it has {'no data' if data is None else 'data that is no object'}"
        what = errors.describe(response.request, response.url)
        raise response.decode_error(f"the answer to {what} is no GraphQL response: {why}")
    if model is None:
        return data
    with decoding(response, model, lambda error: f"in its data: {error}"):
        return models.decode(models.dig(response.content, "data"), model)


def _document(response: Response) -> tuple[Mapping[str, Any], str]:
    """Return the JSON object of an answer; an empty one and the reason when it has none."""
    try:
        document = cast("dict[str, Any]", models.decode(response.content, dict))
    except models.MismatchError as error:
        kind = response.headers.get("content-type", "no content type")
        return {}, f"{error} ({kind})"
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
    told = members.get("message")
    return {**members, "message": told if isinstance(told, str) else str(reported)}
