"""What a call returns, or raises, for its response: the handler of the status decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from httpkit._client.attempt import receive_error
from httpkit._core import urls
from httpkit._core.lazy import ImportedLater
from httpkit._core.upstream import RequestsResponse
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.response import Response

if TYPE_CHECKING:
    from httpkit._diagnostics import errors
    from httpkit._policy import dispatch
else:
    dispatch = ImportedLater("httpkit._policy.dispatch")
    errors = ImportedLater("httpkit._diagnostics.errors")

Tables: TypeAlias = "tuple[dispatch.StatusDispatch[Any] | None, ...]"
"""The status tables, the session's last."""


def outcome_of(
    response: Response, tables: Tables, *, raises: bool, limit: int | None, base_url: str | None
) -> Any:
    """Return what the first table that knows the status makes of a response.

    Args:
        response: Its body may be unread.
        tables: The status tables.
        raises: Whether an error status that no table knows is raised.
        limit: The most bytes of an error's body.
        base_url: The session's, for a note on a URL that repeats its path.

    Raises:
        StatusError: Nothing handles the status.
        ConfigurationError: The session's table returned something else than a response.
    """
    status = response.status_code
    table = handler = None
    for table in tables:
        if table and (handler := table.find(status)):
            break
    if status >= 400 and (handler or raises):
        receive_error(response, limit)
    if handler is None:
        if raises and status >= 400:
            _raise(response, base_url)
        return response
    try:
        result = handler(response)
    except BaseException:
        response.close()
        raise
    if table is tables[-1] and not isinstance(result, RequestsResponse):
        raise ConfigurationError(
            f"the session's on_status returned {type(result).__name__} for {status}: a"
            " session's table may only raise or return a Response",
            response=response,
        )
    return result


def _raise(response: Response, base_url: str | None) -> None:
    """Raise the error of a status; a URL that doubles the base path is worth a note."""
    try:
        response.raise_for_status()
    except errors.NotFoundError as error:
        sent = (response.history or [response])[0].request.url or ""
        if urls.repeats_base(base_url, sent):
            errors.add_note(
                error,
                "the URL repeats the path of base_url, to which relative URLs are appended:"
                " resolve what the server gave with response.urljoin()",
            )
        raise
