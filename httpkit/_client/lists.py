"""Lists and collections: what a caller may say of them."""

from __future__ import annotations  # names of modules that are imported when they are needed

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

import httpkit
from httpkit._client import preparation
from httpkit._client.verbs import Verbs
from httpkit._core.types import ImportedLater, Params
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._policy.options import PageOptions, check_known

if TYPE_CHECKING:
    from httpkit._resources import page_iteration, pagination
else:
    page_iteration = ImportedLater("httpkit._resources.page_iteration")
    pagination = ImportedLater("httpkit._resources.pagination")

T = TypeVar("T")


class Lists(Verbs):
    """The lists and collections of a session."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "httpkit._resources.resource" not in sys.modules:
            return  # without that room nobody has a resource
        from httpkit._resources.resource import Resource

        ours = [kind for kind in cls.__mro__ if kind.__module__.startswith("httpkit.")]
        taken = {*Verbs.__attrs__, *(dir(ours[0]) if ours else ())}
        for name, value in vars(cls).items():
            if isinstance(value, Resource) and name in taken:
                raise ConfigurationError(
                    f"{cls.__name__}.{name} would hide what every session has: give it another"
                    f" name; its path stays {value.path!r}"
                )

    @overload
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: None = None,
        params: Params = None,
        **options: Unpack[PageOptions],
    ) -> httpkit.Pages[dict[str, Any]]: ...
    @overload
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: Callable[..., T],
        params: Params = None,
        **options: Unpack[PageOptions],
    ) -> httpkit.Pages[T]: ...
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: Any = None,
        params: Params = None,
        **options: Unpack[PageOptions],
    ) -> httpkit.Pages[Any]:
        """Return the items of a list that comes in pages, lazily: each loop asks anew.

        A next page at another origin is asked for without the session's and the call's
        credentials; one that leads from https to http, or to no http(s) URL, is an error.

        Args:
            url: As for `request`.
            pages: How the next page is found: LinkPages, NextURLPages, CursorPages,
                NumberedPages or OffsetPages. None: LinkPages.
            items_at: Where the items are in a page ("data.users"); None: the page is the list.
            model: As for `Resource`; None: dicts.
            params: Query parameters of every page; what a next URL names already is not said
                twice. A pager's own parameter here is where it begins.
            **options: Keywords of `request`, for each page: headers, path, auth, timeout, ...

        Raises:
            ConfigurationError: An argument cannot work.
            RequestException: While looping; see `Pages.pages`.
        """
        from httpkit._resources.pages import Pages, listing
        from httpkit._resources.pagination import LinkPages

        given: dict[str, Any] = dict(options)
        check_known(given, PageOptions)
        kind: Callable[..., Any] = model or dict
        asked = listing(
            cast("page_iteration.PageClient", self),
            preparation.as_text(url),
            LinkPages() if pages is None else pages,
            items_at=items_at,
            model=kind,
            params=params,
            options=given,
        )
        return Pages(asked)

    @overload
    def resource(
        self,
        path: str,
        model: None = None,
        *,
        items_at: str | None = None,
        pages: pagination.Pager | None = None,
        item_at: str | None = None,
        item_path: str | None = None,
        form: bool = False,
        update_method: str = "PATCH",
    ) -> httpkit.Resource[dict[str, Any]]: ...
    @overload
    def resource(
        self,
        path: str,
        model: Callable[..., T],
        *,
        items_at: str | None = None,
        pages: pagination.Pager | None = None,
        item_at: str | None = None,
        item_path: str | None = None,
        form: bool = False,
        update_method: str = "PATCH",
    ) -> httpkit.Resource[T]: ...
    def resource(
        self,
        path: str,
        model: Any = None,
        *,
        items_at: str | None = None,
        pages: pagination.Pager | None = None,
        item_at: str | None = None,
        item_path: str | None = None,
        form: bool = False,
        update_method: str = "PATCH",
    ) -> httpkit.Resource[Any]:
        """Return a resource of this session; `Resource` explains the arguments."""
        from httpkit._resources.resource import Resource

        resource = Resource[Any](
            path,
            model,
            items_at=items_at,
            pages=pages,
            item_at=item_at,
            item_path=item_path,
            form=form,
            update_method=update_method,
        )
        return resource.bind(cast("page_iteration.PageClient", self))
