"""requests' functions of the module, each with a session of its own.

Rule: they have the defaults of `Session`: an error status raises, and what is safe is retried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from httpkit._client.session import Session
from httpkit._core.lazy import ImportedLater
from httpkit._messages.response import Response

if TYPE_CHECKING:
    from httpkit._core import types
    from httpkit._policy import keywords
else:
    types = ImportedLater("httpkit._core.types")
    keywords = ImportedLater("httpkit._policy.keywords")


def request(method: str, url: str | bytes, **options: Unpack[keywords.RequestOptions]) -> Response:
    """Send one request and return its response; several to a host are faster in a `Session`.

    Args:
        method: Any method.
        url: Absolute.
        **options: The keywords of `Session.request`, apart from `on_status`.

    Raises:
        StatusError: The status is an error, and `raise_for_status=False` is not given.
        RequestException: There is no response, or none that can be read.
        ValueError: An argument is invalid; nothing was sent.
    """
    with Session() as session:
        return session.request(method, url, **options)


def get(
    url: str | bytes, params: types.Params = None, **options: Unpack[keywords.GetOptions]
) -> Response:
    """Send a GET; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.get(url, params, **options)


def options(url: str | bytes, **options: Unpack[keywords.RequestOptions]) -> Response:
    """Send an OPTIONS; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.options(url, **options)


def head(url: str | bytes, **options: Unpack[keywords.RequestOptions]) -> Response:
    """Send a HEAD, and follow no redirects; the rest is as for `request`."""
    with Session() as session:
        return session.head(url, **options)


def post(
    url: str | bytes,
    data: types.Data = None,
    json: types.Json = None,
    **options: Unpack[keywords.PostOptions],
) -> Response:
    """Send a POST; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.post(url, data, json, **options)


def put(
    url: str | bytes, data: types.Data = None, **options: Unpack[keywords.DataOptions]
) -> Response:
    """Send a PUT; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.put(url, data, **options)


def patch(
    url: str | bytes, data: types.Data = None, **options: Unpack[keywords.DataOptions]
) -> Response:
    """Send a PATCH; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.patch(url, data, **options)


def delete(url: str | bytes, **options: Unpack[keywords.RequestOptions]) -> Response:
    """Send a DELETE; keywords, results and errors are those of `request`."""
    with Session() as session:
        return session.delete(url, **options)
