"""A collection of a REST API: list, get, create, replace, update, delete, actions of its own."""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar, Unpack, cast, overload

from httpkit._core import models, placeholders
from httpkit._core.classes import public
from httpkit._core.given import NOT_GIVEN
from httpkit._core.types import Params
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.response import Response
from httpkit._policy.keywords import ItemOptions, check_known
from httpkit._resources import forms
from httpkit._resources.bulk import BulkMethods
from httpkit._resources.endpoint import (
    ABSENCE,
    ABSENT,
    ACCEPTED,
    Endpoint,
    Fetched,
    ResourceOptions,
    SingletonOptions,
    checked_id,
    on_condition,
)
from httpkit._resources.linked_pages import LinkPages
from httpkit._resources.pages import Pages, build_query
from httpkit._resources.pagination import check_pager, check_path

T = TypeVar("T")
D = TypeVar("D")
M = TypeVar("M")

# What a card says of the methods for one item; `update` sends `update_method`.
_COLLECTION_METHODS = (
    ("get(id", "GET"),
    ("replace(id, item", "PUT"),
    ("update(id, changes", None),
    ("delete(id", "DELETE"),
    ("exists(id", "HEAD"),
)

_ID = "{id}"
_IDS = frozenset({_ID, "{+id}"})  # how an item's path writes it
# What an action of an item begins with: "{id}/publish", or "{id}:publish" as Google writes it.
_ITEM_METHODS = re.compile(r"\{id\}(?=[/:]|\Z)")
_PARENT = "../"


@public
class Resource(BulkMethods[T]):
    """A collection, as a class attribute of a Session or made by `session.resource()`.

    As an attribute of a Resource subclass it is nested: the path of `blog.posts(1).comments` is
    "posts/1/comments".

    Args:
        path: The path of the collection, relative to the session's base URL or to the item of
            the resource around it. A trailing slash is kept for the items too ("posts/" has
            "posts/1/").
        model: What an item is decoded into: a dataclass, TypedDict, attrs, msgspec or
            pydantic class, or any callable given the parsed JSON. None: dicts.
        items_at: The path of the items in a list's document ("data.users"); None: the
            document is the list. See `Session.paginate`.
        pages: How the next page of a list is found. None: by Link header fields (RFC 8288),
            which a server that does not page does not send.
        item_at: The path of the item in responses about one ("data"); None: `envelope`, or the
            document.
        item_path: The path of an item ("post/{id}"), if it is not below the collection. In
            "repos/{+id}" a slash in an id separates segments, as in "octocat/hello-world". Of
            a nested resource "../comments/{id}" begins one segment further up.
        envelope: The name of the member that an item is sent and received in ("product"). None:
            items are the documents.
        form: Whether items are sent as forms, with brackets for what is nested
            ("metadata[order]"), and not as JSON; nested filters in `params=` likewise.
        update_method: What `update` sends; some APIs want "POST".

    Raises:
        ConfigurationError: The path is empty, the model is not one, `pages` is not a pager, or an
            item's path has no placeholder for its id; or a subclass nests a resource under a name
            that every resource has.
    """

    _noun = "collection"

    @overload
    def __init__(
        self: "Resource[dict[str, Any]]",
        path: str,
        model: None = None,
        **options: Unpack[ResourceOptions],
    ) -> None: ...
    @overload
    def __init__(
        self, path: str, model: Callable[..., T], **options: Unpack[ResourceOptions]
    ) -> None: ...
    def __init__(
        self,
        path: str,
        model: Callable[..., Any] | None = None,
        **options: Unpack[ResourceOptions],
    ) -> None:
        check_known(cast("dict[str, Any]", options), ResourceOptions)
        self.items_at: str | None = options.pop("items_at", None)
        self.item_path: str | None = options.pop("item_path", None)
        self._pager = options.pop("pages", None)
        check_pager(self._pager or LinkPages())
        check_path("items_at", self.items_at)
        if self.item_path is not None and sum(map(self.item_path.count, _IDS)) != 1:
            raise ConfigurationError(f"item_path={self.item_path!r} must hold {_ID!r} once")
        self._configure(path, model, cast("SingletonOptions", options))

    def __call__(self, id: object) -> Self:
        """Return one item, for what is nested in it; nothing is sent.

        Args:
            id: Percent-encoded into the URLs.

        Raises:
            ConfigurationError: The id is not a str, an integer, a UUID or a date.
            InvalidURL: The id is empty, "." or "..".
        """
        placeholders.fill((self.item_path or _ID).replace(_PARENT, ""), {"id": checked_id(id)})
        chosen = copy.copy(self)
        chosen._id = id  # noqa: SLF001  # a copy of ourselves
        return chosen

    def _methods(self) -> Iterator[tuple[str, object]]:
        if self._id is not NOT_GIVEN:
            yield "item", self._id
            return
        path, item = self._display_path, self._below(self._display_path)
        yield "list()", f"GET {path}"
        yield "create(item)", f"POST {path}"
        for name, method in _COLLECTION_METHODS:
            yield f"{name})", f"{method or self.update_method} {item}"

    def _display_item(self) -> str:
        item = self._below(self._display_path)
        if self._id is NOT_GIVEN:
            return item
        mark = next(mark for mark in _IDS if mark in item)
        head, _, tail = item.rpartition(mark)
        return f"{head}{self._id}{tail}"

    @overload
    def list(
        self, *, params: Params = None, model: None = None, **options: Unpack[ItemOptions]
    ) -> Pages[T]: ...
    @overload
    def list(
        self, *, params: Params = None, model: Callable[..., M], **options: Unpack[ItemOptions]
    ) -> Pages[M]: ...
    def list(
        self,
        *,
        params: Params = None,
        model: Callable[..., Any] | None = None,
        **options: Unpack[ItemOptions],
    ) -> Pages[Any]:
        """Return the items of all pages, lazily: the requests are sent by each loop over them.

        Args:
            params: Filters, as query parameters.
            model: What an item is decoded into, where it is not the resource's (sparse fields).
            **options: Keywords of `Session.request`, for each page.

        Raises:
            TypeError: There is no such keyword, as with any function.
            StatusError: While looping: the server responds with an error status.
            DecodeError: While looping: an item is not of the model.
            PaginationError: While looping: the pages do not lead to an end.
        """
        check_known(cast("dict[str, Any]", options), ItemOptions)
        self._check_model(model)
        query = build_query(
            self._owner(),
            self._collection(),
            self._pager or LinkPages(),
            items_at=self.items_at,
            model=model or self.model,
            params=forms.filters(params) if self.form else params,
            options=options,
        )
        return Pages(query)

    @overload
    def get(
        self, id: object, *, params: Params = None, model: None = None,
        **options: Unpack[ItemOptions],
    ) -> T: ...  # fmt: skip
    @overload
    def get(
        self, id: object, *, params: Params = None, model: Callable[..., M],
        **options: Unpack[ItemOptions],
    ) -> M: ...  # fmt: skip
    @overload
    def get(
        self, id: object, default: D, *, params: Params = None, model: None = None,
        **options: Unpack[ItemOptions],
    ) -> T | D: ...  # fmt: skip
    @overload
    def get(
        self, id: object, default: D, *, params: Params = None, model: Callable[..., M],
        **options: Unpack[ItemOptions],
    ) -> M | D: ...  # fmt: skip
    def get(
        self, id: object, default: object = NOT_GIVEN, *, params: Params = None,
        model: Callable[..., Any] | None = None, **options: Unpack[ItemOptions],
    ) -> Any:  # fmt: skip
        """Return one item.

        Args:
            id: A str, an integer, a UUID or a date, percent-encoded into the URL; "a/b" is one
                id.
            default: Returned when there is no such item (404); not given: that is an error.
            params: Query parameters.
            model: What the item is decoded into, where it is not the resource's (sparse fields).
            **options: Keywords of `Session.request`.

        Raises:
            NotFoundError: There is no such item, and no default.
            StatusError: The server responds with an error status.
            DecodeError: The item is not of the model.
            ConfigurationError: The id is of another type.
            InvalidURL: The id is empty, "." or "..".
        """
        self._check_model(model)
        table = None if default is NOT_GIVEN else ABSENCE
        response: object = self._call(
            "GET", self._item(), table or {}, id=id, params=params, **options
        )
        return default if response is ABSENT else self._decode(cast("Response", response), model)

    @overload
    def fetch(
        self, id: object, *, params: Params = None, model: None = None,
        **options: Unpack[ItemOptions],
    ) -> Fetched[T]: ...  # fmt: skip
    @overload
    def fetch(
        self, id: object, *, params: Params = None, model: Callable[..., M],
        **options: Unpack[ItemOptions],
    ) -> Fetched[M]: ...  # fmt: skip
    def fetch(
        self, id: object, *, params: Params = None, model: Callable[..., Any] | None = None,
        **options: Unpack[ItemOptions],
    ) -> Fetched[Any]:  # fmt: skip
        """Return one item with its response, which contains its version.

        `posts.replace(1, item, if_match=posts.fetch(1).etag)` changes only that version.

        Args and errors are those of `get`.
        """
        self._check_model(model)
        response = self._call("GET", self._item(), id=id, params=params, **options)
        return Fetched(self._decode(response, model), response)

    def create(self, item: object, *, params: Params = None, **options: Unpack[ItemOptions]) -> T:
        """Add an item (POST) and return it as the server stored it.

        Args:
            item: A dict or a model object, of which fields that are None by default and
                still None are left out (an id that the server chooses).
            params: Query parameters.
            **options: Keywords of `Session.request`; with `idempotency_key=True` it can be
                retried safely.

        Returns:
            The server's item, from its body or from the Location of a 201 without one; what was
            sent, when the server sends neither.

        Raises:
            OperationPendingError: It was accepted (202); `poll(error.url)` waits for it.
            StatusError: The server responds with an error status.
            DecodeError: The response is not of the model.
        """
        self._check_model()
        body = models.encode(item, omit_unset=True)
        response = self._send("POST", self._collection(), body, params=params, **options)
        return self._accepted(response, body, options)

    def replace(
        self, id: object, item: object, *, if_match: str | None = None, params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> T:  # fmt: skip
        """Replace an item as a whole (PUT) and return it.

        Args:
            id: As for `get`.
            item: A dict or a model object, sent as it is.
            if_match: The version that this is a change of, an ETag (see `fetch`) or "*" for any
                that exists; None asks for none. A 412 of a retried request may be about our
                own change, whose response was lost: see the error's `attempts`.
            params: Query parameters.
            **options: Keywords of `Session.request`.

        Returns:
            The server's item; what was sent, when the server sends no body back.

        Raises:
            PreconditionFailedError: The item has another version than `if_match` says.
            OperationPendingError: It was accepted (202); `poll(error.url)` waits for it.
            StatusError: The server responds with an error status.
            DecodeError: The response is not of the model.
        """
        self._check_model()
        body = models.encode(item)
        sent = on_condition(options, if_match)
        response = self._send("PUT", self._item(), body, id=id, params=params, **sent)
        return self._accepted(response, body, options)

    def update(
        self, id: object, changes: object, *, if_match: str | None = None, params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> T:  # fmt: skip
        """Change some fields of an item (PATCH, or `update_method`) and return it.

        Args:
            id: As for `get`.
            changes: A dict or a model object, sent as it is.
            if_match: As for `replace`.
            params: Query parameters.
            **options: Keywords of `Session.request`.

        Returns:
            The server's item; when the server sends no body back it is requested (GET, with the
            same parameters).

        Raises: as `replace`.
        """
        self._check_model()
        body = models.encode(changes)
        sent = on_condition(options, if_match)
        response = self._send(self.update_method, self._item(), body, id=id, params=params, **sent)
        if response.content or response.status_code == ACCEPTED:
            return self._accepted(response, body, options)
        options.pop("idempotency_key", None)  # of the change
        return self.get(id, params=params, **options)

    def delete(
        self, id: object, *, missing_ok: bool = False, if_match: str | None = None,
        params: Params = None, **options: Unpack[ItemOptions],
    ) -> None:  # fmt: skip
        """Remove an item (DELETE).

        A 404 after a retry of a request that may have arrived is success: it was deleted.

        Args:
            id: As for `get`.
            missing_ok: Whether it may be absent already (404, 410).
            if_match: As for `replace`.
            params: Query parameters.
            **options: Keywords of `Session.request`.

        Raises:
            NotFoundError: There is no such item.
            PreconditionFailedError: The item has another version than `if_match` says.
            OperationPendingError: It is being deleted (202); `poll(error.url)` waits for it.
            StatusError: The server responds with an error status.
        """
        sent = on_condition(options, if_match)
        self._delete(self._item(), id, {**sent, "params": params}, missing_ok=missing_ok)

    def exists(self, id: object, *, params: Params = None, **options: Unpack[ItemOptions]) -> bool:
        """Say whether an item exists (HEAD, or GET if the server does not support HEAD).

        Raises:
            StatusError: The status is neither success nor 404 or 410.
        """
        return self._exists(self._item(), id, {**options, "params": params})

    def request(
        self,
        method: str,
        url: str = "",
        *,
        id: object = NOT_GIVEN,
        params: Params = None,
        json: object = None,
        data: object = None,
        **options: Unpack[ItemOptions],
    ) -> Response:
        """Send any request below the collection, for actions.

        `self.request("POST", "{id}/publish", id=1)` goes to the item, as does
        "{id}:publish", and `self.request("GET", "search", params=...)` to the collection.

        Args:
            method: Any method.
            url: Appended to the collection's path; "{id}" at its beginning is the item.
            id: For "{id}", percent-encoded.
            params: Query parameters.
            json: A JSON value or a model object; None sends no body.
            data: A mapping or a model object, sent as a form, with brackets for what is
                nested; None sends none.
            **options: Keywords of `Session.request`.

        Raises:
            StatusError: The server responds with an error status.
            ConfigurationError: "{id}" has no id, or the id no "{id}"; or there are two bodies.
            InvalidURL: The id is empty, or the URL leads outside base_url.
        """
        is_of_item = _ITEM_METHODS.match(url) is not None
        if is_of_item != (id is not NOT_GIVEN):
            raise ConfigurationError(
                f"{url!r} must begin with {_ID!r} if id= is given, and only so"
            )
        path = self._item() if is_of_item else self._collection()
        below = url.removeprefix(_ID) if is_of_item else f"/{url.lstrip('/')}"
        target = f"{path.rstrip('/')}{below}" if below.strip("/") else path
        if data is None:
            body = models.encode(json)
            return self._call(method, target, id=id, json=body, params=params, **options)
        if json is not None:
            raise ConfigurationError("json= and data= are two bodies: pass one")
        pairs = forms.fields(data)
        return self._call(method, target, id=id, data=pairs, params=params, **options)

    def _collection(self) -> str:
        """Return the path of the collection, below the item that it is nested in."""
        if self._id is not NOT_GIVEN:
            raise ConfigurationError(
                f"{self!r} is one item: call the collection's methods before choosing it"
            )
        return self._path()

    def _nest(self, nested: Endpoint[Any]) -> str:
        if self._id is NOT_GIVEN:
            raise ConfigurationError(f"{nested!r} is nested: choose an item of {self!r} first")
        return placeholders.fill(self._below(self._path()), {"id": checked_id(self._id)})

    def _item(self) -> str:
        """Return the path of an item, with a placeholder for its id."""
        return self._below(self._collection())

    def _below(self, path: str) -> str:
        """Return the path of an item of the collection at a path, with a placeholder for its id."""
        if self.item_path is None:
            return f"{path.rstrip('/')}/{_ID}{'/' if path.endswith('/') else ''}"
        if self._around is None:
            return self.item_path
        above = path.removesuffix(self.path.lstrip("/")).rstrip("/")
        item = self.item_path.lstrip("/")
        while item.startswith(_PARENT):
            above, item = above.rpartition("/")[0], item.removeprefix(_PARENT)
        return f"{above}/{item}"
