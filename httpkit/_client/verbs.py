"""GET, POST and their like, typed: each is one line around `request`.

Rule: requests' signatures, and no frame more than requests has, for the warnings whose
stacklevel counts on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from httpkit._client.configuration import ConfiguredSession
from httpkit._core.lazy import ImportedLater
from httpkit._messages.response import Response

if TYPE_CHECKING:
    from httpkit._core import types
    from httpkit._policy import keywords
else:
    types = ImportedLater("httpkit._core.types")
    keywords = ImportedLater("httpkit._policy.keywords")

T = TypeVar("T")


class Verbs(ConfiguredSession):
    """The verbs of a session: with `on_status` they may return what a handler returns."""

    if TYPE_CHECKING:
        request: Any  # Session defines it, with a wider result

    @overload
    def get(
        self,
        url: str | bytes,
        params: types.Params = None,
        *,
        on_status: None = None,
        **options: Unpack[keywords.GetOptions],
    ) -> Response: ...
    @overload
    def get(
        self,
        url: str | bytes,
        params: types.Params = None,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.GetOptions],
    ) -> Response | T: ...
    def get(self, url: str | bytes, params: types.Params = None, **options: Any) -> Any:
        """Send a GET (RFC 9110 section 9.3.1).

        The keywords, results and errors are those of `request`.
        """
        return self.request("GET", url, params=params, **options)

    @overload
    def options(
        self,
        url: str | bytes,
        *,
        on_status: None = None,
        **options: Unpack[keywords.RequestOptions],
    ) -> Response: ...
    @overload
    def options(
        self,
        url: str | bytes,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.RequestOptions],
    ) -> Response | T: ...
    def options(self, url: str | bytes, **options: Any) -> Any:
        """Send an OPTIONS (RFC 9110 section 9.3.7).

        The keywords, results and errors are those of `request`.
        """
        return self.request("OPTIONS", url, **options)

    @overload
    def head(
        self,
        url: str | bytes,
        *,
        on_status: None = None,
        **options: Unpack[keywords.RequestOptions],
    ) -> Response: ...
    @overload
    def head(
        self,
        url: str | bytes,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.RequestOptions],
    ) -> Response | T: ...
    def head(self, url: str | bytes, **options: Any) -> Any:
        """Send a HEAD (RFC 9110 section 9.3.2), and follow no redirects.

        The keywords, results and errors are those of `request`.
        """
        options.setdefault("allow_redirects", False)
        return self.request("HEAD", url, **options)

    @overload
    def post(
        self,
        url: str | bytes,
        data: types.Data = None,
        json: types.Json = None,
        *,
        on_status: None = None,
        **options: Unpack[keywords.PostOptions],
    ) -> Response: ...
    @overload
    def post(
        self,
        url: str | bytes,
        data: types.Data = None,
        json: types.Json = None,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.PostOptions],
    ) -> Response | T: ...
    def post(
        self, url: str | bytes, data: types.Data = None, json: types.Json = None, **options: Any
    ) -> Any:
        """Send a POST (RFC 9110 section 9.3.3).

        The keywords, results and errors are those of `request`.
        """
        return self.request("POST", url, data=data, json=json, **options)

    @overload
    def put(
        self,
        url: str | bytes,
        data: types.Data = None,
        *,
        on_status: None = None,
        **options: Unpack[keywords.DataOptions],
    ) -> Response: ...
    @overload
    def put(
        self,
        url: str | bytes,
        data: types.Data = None,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.DataOptions],
    ) -> Response | T: ...
    def put(self, url: str | bytes, data: types.Data = None, **options: Any) -> Any:
        """Send a PUT (RFC 9110 section 9.3.4).

        The keywords, results and errors are those of `request`.
        """
        return self.request("PUT", url, data=data, **options)

    @overload
    def patch(
        self,
        url: str | bytes,
        data: types.Data = None,
        *,
        on_status: None = None,
        **options: Unpack[keywords.DataOptions],
    ) -> Response: ...
    @overload
    def patch(
        self,
        url: str | bytes,
        data: types.Data = None,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.DataOptions],
    ) -> Response | T: ...
    def patch(self, url: str | bytes, data: types.Data = None, **options: Any) -> Any:
        """Send a PATCH (RFC 5789).

        The keywords, results and errors are those of `request`.
        """
        return self.request("PATCH", url, data=data, **options)

    @overload
    def delete(
        self,
        url: str | bytes,
        *,
        on_status: None = None,
        **options: Unpack[keywords.RequestOptions],
    ) -> Response: ...
    @overload
    def delete(
        self,
        url: str | bytes,
        *,
        on_status: keywords.Table[T],
        **options: Unpack[keywords.RequestOptions],
    ) -> Response | T: ...
    def delete(self, url: str | bytes, **options: Any) -> Any:
        """Send a DELETE (RFC 9110 section 9.3.5).

        The keywords, results and errors are those of `request`.
        """
        return self.request("DELETE", url, **options)
