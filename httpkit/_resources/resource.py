"""A collection of a REST API: list, get, create, replace, update, delete, actions of its own."""

import builtins
import copy
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack, cast, overload

from httpkit._core import documents, models, redaction, types, urls
from httpkit._core.types import NOT_GIVEN, CallerOptions, Data, NotGiven, Params
from httpkit._diagnostics.errors import ConfigurationError, describe
from httpkit._messages.response import Response, decoding, settled
from httpkit._policy.options import PageOptions, check_known
from httpkit._resources import forms
from httpkit._resources.page_iteration import PageClient
from httpkit._resources.pages import Pages, list_query
from httpkit._resources.pagination import LinkPages, Pager, check_pager, check_path

T = TypeVar("T")
D = TypeVar("D")


# What `exists` makes of a status: the item is absent, or HEAD is not known here.
_ABSENT = object()
_UNKNOWN_METHOD = object()
_ABSENCE: Mapping[int, Callable[[Any], object]] = {
    404: lambda _: _ABSENT,
    410: lambda _: _ABSENT,
}
_EXISTENCE: Mapping[int, Callable[[Any], object]] = {
    **_ABSENCE,
    405: lambda _: _UNKNOWN_METHOD,
    501: lambda _: _UNKNOWN_METHOD,
}

# What a card says of the methods for one item; `update` sends what the resource was told.
_OF_ITEMS = (
    ("get(id", "GET"),
    ("replace(id, item", "PUT"),
    ("update(id, changes", None),
    ("delete(id", "DELETE"),
    ("exists(id", "HEAD"),
)

# What can be iterated over, and is one item or none.
_SINGLE = (Mapping, str, bytes, bytearray, memoryview)
_ID = "{id}"
_IDS = frozenset({_ID, "{+id}"})  # how an item's path spells it
# What an action of an item begins with: "{id}/publish", or "{id}:publish" as Google writes it.
_OF_ITEM = re.compile(r"\{id\}(?=[/:]|\Z)")
# What every resource holds, so that a nested one of this name could not be reached.
_FIELDS = frozenset({"path", "model", "items_at", "item_at", "item_path", "form", "update_method"})


class ResourceOptions(TypedDict, total=False):
    """The keywords of a Resource; see there."""

    items_at: str | None
    pages: Pager | None
    item_at: str | None
    item_path: str | None
    form: bool
    update_method: str


class _ItemOptions(CallerOptions, total=False):
    """What sending an item takes beside it."""

    params: Params


class _CallOptions(_ItemOptions, total=False):
    """What one request of a resource takes."""

    data: Data
    json: object


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Fetched(Generic[T]):
    """An item with the answer that it came in.

    Attributes:
        item: The item, decoded.
        response: The answer: its status and header fields.
    """

    item: T
    response: Response

    @property
    def etag(self) -> str:
        """The version of the item (RFC 9110 section 8.8.3), for `if_match=`.

        Raises:
            AttributeError: The server named none: a change on condition of it is not possible.
        """
        tag = self.response.headers.get("etag")
        if not tag:
            what = describe(self.response.request, self.response.url)
            raise AttributeError(f"the response to {what} has no ETag")
        return tag

    def __repr__(self) -> str:
        return f"<Fetched {self.item!r}>"


class Resource(Generic[T]):
    """A collection, as a class attribute of a Session or made by `session.resource()`.

    As an attribute of a Resource subclass it is nested: `blog.posts(1).comments` lives at
    "posts/1/comments".

    Args:
        path: Where the collection lives, relative to the session's base URL or to the item of
            the resource around it. A trailing slash is kept for the items too ("posts/" has
            "posts/1/").
        model: What an item is decoded into: a dataclass, TypedDict, attrs, msgspec or
            pydantic class, or any callable given the parsed JSON. None: dicts.
        items_at: Where the items of a list are in its document ("data.users"); None: the
            document is the list.
        pages: How the next page of a list is found. None: by Link header fields (RFC 8288),
            which a server that does not page does not send.
        item_at: Where an item is in the answers about one ("data"); None: the document is it.
        item_path: Where an item lives ("post/{id}"), if not below the collection. In
            "repos/{+id}" a slash in an id separates segments, as in "octocat/hello-world".
        form: Whether items are sent as forms, with brackets for what is nested
            ("metadata[order]"), and not as JSON.
        update_method: What `update` sends; some APIs want "POST".

    Raises:
        ConfigurationError: The path or a place is empty, the pages are no way to page, or an
            item's path has no place for its id; or a subclass nests a resource under a name
            that every resource has.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if isinstance(value, Resource) and (hasattr(Resource, name) or name in _FIELDS):
                raise ConfigurationError(f"{cls.__name__}.{name}: every resource has a {name!r}")

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
        if not isinstance(path, str) or not path.strip("/"):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"a resource needs a path, not {path!r}")
        self.path = path
        self.model = model
        self.items_at = options.get("items_at")
        self.item_at = options.get("item_at")
        self.item_path = options.get("item_path")
        self.form = options.get("form", False)
        self.update_method = options.get("update_method", "PATCH")
        self._pager = options.get("pages")
        check_pager(self._pager or LinkPages())
        check_path("items_at", self.items_at)
        check_path("item_at", self.item_at)
        if self.item_path is not None and sum(map(self.item_path.count, _IDS)) != 1:
            raise ConfigurationError(f"item_path={self.item_path!r} must hold {_ID!r} once")
        self._caller: PageClient | None = None
        self._around: Resource[Any] | None = None
        self._id: object = NOT_GIVEN

    def bind(self, caller: PageClient) -> Self:
        """Return this resource of one session."""
        bound = copy.copy(self)
        bound._caller = caller  # noqa: SLF001  # a copy of ourselves
        return bound

    def __call__(self, id: object) -> Self:
        """Return one item as the place of what is nested in it; nothing is sent.

        Args:
            id: Percent-encoded into the URLs.

        Raises:
            InvalidURL: The id is empty, None, "." or "..".
        """
        urls.fill(self.item_path or _ID, {"id": id})
        chosen = copy.copy(self)
        chosen._id = id  # noqa: SLF001  # a copy of ourselves
        return chosen

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self, instance: "PageClient | Resource[Any]", owner: type | None = None
    ) -> Self: ...
    def __get__(
        self, instance: "PageClient | Resource[Any] | None", owner: type | None = None
    ) -> Self:
        if instance is None:
            return self
        if not isinstance(instance, Resource):
            return self.bind(instance)
        nested = copy.copy(self)
        nested._caller = instance._caller  # noqa: SLF001  # a copy of ourselves, and one of us
        nested._around = instance  # noqa: SLF001  # likewise
        return nested

    def __repr__(self) -> str:
        model = f" of {_name(self.model)}" if self.model else ""
        state = "" if self._caller else " (not bound to a session)"
        chosen = "" if self._id is NOT_GIVEN else f", item {self._id!r}"
        return f"<{type(self).__name__} {self._shown_path!r}{model}{chosen}{state}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is sent for it."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        base = getattr(self._caller, "base_url", None)
        path, item = self._shown_path, self._below(self._shown_path)
        yield "collection", redaction.redact_url(urls.join(base, path) if base else path)
        fields = ", ".join(models.field_names(self.model))
        name = _name(self.model) if self.model else "dict"
        yield "items", f"{name} ({fields})" if fields else name
        if self._caller is None:
            yield "session", "none: reach it through an instance, or session.resource()"
        if self._id is not NOT_GIVEN:
            yield "item", self._id
        else:
            yield "list()", f"GET {path}"
            yield "create(item)", f"POST {path}"
            for name, method in _OF_ITEMS:
                yield f"{name})", f"{method or self.update_method} {item}"
        for name, nested in declared(type(self)).items():
            yield f".{name}", repr(getattr(self, name, nested))

    @property
    def _shown_path(self) -> str:
        if (around := self._around) is None:
            return self.path
        item = around._below(around._shown_path)  # noqa: SLF001  # one of ourselves
        if (chosen := around._id) is not NOT_GIVEN:  # noqa: SLF001  # likewise
            mark = next(mark for mark in _IDS if mark in item)
            head, _, tail = item.rpartition(mark)
            item = f"{head}{chosen}{tail}"
        return f"{item.rstrip('/')}/{self.path.lstrip('/')}"

    def list(self, *, params: Params = None, **options: Unpack[CallerOptions]) -> Pages[T]:
        """Return the items of all pages, lazily: the requests are sent by each loop over them.

        Args:
            params: Filters, as query parameters of every page.
            **options: The keywords of `Session.request`, for each page.

        Raises:
            TypeError: There is no such keyword, as with any function.
            StatusError: While looping: the server refuses.
            DecodeError: While looping: an item is not of the model.
            PaginationError: While looping: the pages do not lead to an end.
        """
        check_known(cast("dict[str, Any]", options), PageOptions)
        query = list_query(
            self._owner(),
            self._collection(),
            self._pager or LinkPages(),
            items_at=self.items_at,
            model=self.model,
            params=params,
            options=options,
        )
        return Pages(query)

    @overload
    def get(self, id: object, *, params: Params = None, **options: Unpack[CallerOptions]) -> T: ...
    @overload
    def get(
        self, id: object, default: D, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> T | D: ...
    def get(
        self,
        id: object,
        default: D | NotGiven = NOT_GIVEN,
        *,
        params: Params = None,
        **options: Unpack[CallerOptions],
    ) -> T | D:
        """Return one item.

        Args:
            id: Percent-encoded into the URL; "a/b" is one id.
            default: Returned when there is no such item (404); not given: that is an error.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Raises:
            NotFoundError: There is no such item, and no default.
            StatusError: The server refuses.
            DecodeError: The item is not of the model.
            InvalidURL: The id is empty, None, "." or "..".
        """
        table = None if default is NOT_GIVEN else _ABSENCE
        response: object = self._call(
            "GET", self._item(), table or {}, id=id, params=params, **options
        )
        return (
            cast("D", default) if response is _ABSENT else self._decode(cast("Response", response))
        )

    def fetch(
        self, id: object, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> Fetched[T]:
        """Return one item with the answer that it came in, which knows its version.

        `posts.replace(1, item, if_match=posts.fetch(1).etag)` changes what nobody else has
        changed meanwhile.

        Args:
            id: Percent-encoded into the URL.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Raises: as `get`.
        """
        response = self._call("GET", self._item(), id=id, params=params, **options)
        return Fetched(self._decode(response), response)

    def create(self, item: object, *, params: Params = None, **options: Unpack[CallerOptions]) -> T:
        """Add an item (POST) and return it as the server stored it.

        Args:
            item: A dict or a model object, of which fields that are None by default and
                still None are left out (an id that the server chooses).
            params: Query parameters.
            **options: The keywords of `Session.request`; `idempotency_key=True` makes it
                safe to repeat.

        Returns:
            The server's item; what was sent, when the server sends no body back.

        Raises:
            StatusError: The server refuses.
            DecodeError: The answer is not of the model.
        """
        body = models.encode(item, omit_unset=True)
        response = self._send("POST", self._collection(), body, params=params, **options)
        return self._decode(response) if response.content else self._build(response, body)

    def create_many(
        self, items: Iterable[object], *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> builtins.list[T]:
        """Add items in one request (POST with a list) and return them as the server stored them.

        It is for servers that take a list; whether they store all or none is theirs to say.

        Args:
            items: Dicts or model objects, as for `create`. Nothing is sent for none.
            params: Query parameters.
            **options: The keywords of `Session.request`; `idempotency_key=True` makes it
                safe to repeat.

        Returns:
            The server's list, found where the items of a list are; what was sent, when the
            server sends no body back.

        Raises:
            ConfigurationError: It is one item, or text; nothing was sent.
            StatusError: The server refuses.
            DecodeError: The answer is no list of the model.
        """
        _check_many(items)
        body = [models.encode(item, omit_unset=True) for item in items]
        if not body:
            return []
        response = self._send("POST", self._collection(), body, params=params, **options)
        if not response.content:
            return [self._build(response, item) for item in body]
        with decoding(response, self._kind):
            return models.decode_list(self._within(response, self.items_at), self._kind)

    def replace(
        self,
        id: object,
        item: object,
        *,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[CallerOptions],
    ) -> T:
        """Replace an item as a whole (PUT) and return it.

        Args:
            id: Percent-encoded into the URL.
            item: A dict or a model object, sent as it is.
            if_match: The version that this is a change of, an ETag (see `fetch`) or "*" for any
                that exists; None asks for none. A 412 of a repeated request may be about our
                own change, whose answer was lost: see the error's `attempts`.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Returns:
            The server's item; what was sent, when the server sends no body back.

        Raises:
            PreconditionFailedError: The item has another version than `if_match` says.
            StatusError: The server refuses.
            DecodeError: The answer is not of the model.
        """
        body = models.encode(item)
        asked = _on_condition(options, if_match)
        response = self._send("PUT", self._item(), body, id=id, params=params, **asked)
        return self._decode(response) if response.content else self._build(response, body)

    def update(
        self,
        id: object,
        changes: object,
        *,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[CallerOptions],
    ) -> T:
        """Change some fields of an item (PATCH, or `update_method`) and return it.

        Args:
            id: Percent-encoded into the URL.
            changes: A dict or a model object, sent as it is.
            if_match: As for `replace`.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Returns:
            The server's item; when the server sends no body back it is asked for (GET).

        Raises:
            PreconditionFailedError: The item has another version than `if_match` says.
            StatusError: The server refuses.
            DecodeError: The answer is not of the model.
        """
        body = models.encode(changes)
        asked = _on_condition(options, if_match)
        response = self._send(self.update_method, self._item(), body, id=id, params=params, **asked)
        if response.content:
            return self._decode(response)
        options.pop("idempotency_key", None)  # of the change
        return self.get(id, **options)

    def delete(
        self,
        id: object,
        *,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[CallerOptions],
    ) -> None:
        """Remove an item (DELETE).

        Args:
            id: Percent-encoded into the URL.
            if_match: As for `replace`.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Raises:
            NotFoundError: There is no such item.
            PreconditionFailedError: The item has another version than `if_match` says.
            StatusError: The server refuses.
        """
        asked = _on_condition(options, if_match)
        self._call("DELETE", self._item(), id=id, params=params, **asked)

    def exists(
        self, id: object, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> bool:
        """Say whether an item exists (HEAD, or GET where the server knows no HEAD).

        Raises:
            StatusError: The server answers neither with success nor with 404 or 410.
        """
        response = self._call("HEAD", self._item(), _EXISTENCE, id=id, params=params, **options)
        if response is _UNKNOWN_METHOD:
            response = self._call("GET", self._item(), _ABSENCE, id=id, params=params, **options)
        return response is not _ABSENT

    def request(
        self,
        method: str,
        url: str = "",
        *,
        id: object = NOT_GIVEN,
        params: Params = None,
        json: object = None,
        data: object = None,
        **options: Unpack[CallerOptions],
    ) -> Response:
        """Send a request of one's own below the collection: what an action is made of.

        `self.request("POST", "{id}/publish", id=1)` goes to the item, as does
        "{id}:publish", and `self.request("GET", "search", params=...)` to the collection.

        Args:
            method: Any method.
            url: Appended to the collection's path; "{id}" at its beginning is the item.
            id: For "{id}", percent-encoded.
            params: Query parameters.
            json: What JSON can say, or a model object; None sends no body.
            data: A mapping or a model object, sent as a form, with brackets for what is
                nested; None sends none.
            **options: The keywords of `Session.request`.

        Raises:
            StatusError: The server refuses.
            ConfigurationError: "{id}" has no id, or the id no "{id}"; or there are two bodies.
            InvalidURL: The id is none, or the URL climbs.
        """
        is_of_item = _OF_ITEM.match(url) is not None
        if is_of_item != (id is not NOT_GIVEN):
            raise ConfigurationError(
                f"{url!r} must begin with {_ID!r} if id= is given, and only so"
            )
        place = self._item() if is_of_item else self._collection()
        below = url.removeprefix(_ID) if is_of_item else f"/{url.lstrip('/')}"
        target = f"{place.rstrip('/')}{below}" if below.strip("/") else place
        if data is None:
            body = models.encode(json)
            return self._call(method, target, id=id, json=body, params=params, **options)
        if json is not None:
            raise ConfigurationError("json= and data= are two bodies: pass one")
        pairs = forms.fields(data)
        return self._call(method, target, id=id, data=pairs, params=params, **options)

    def _collection(self) -> str:
        """The path of the collection, below the item that it is nested in."""
        if self._id is not NOT_GIVEN:
            raise ConfigurationError(
                f"{self!r} is one item: call the collection's methods before choosing it"
            )
        return self._path()

    def _path(self) -> str:
        around = self._around
        if around is None:
            return self.path
        if around._id is NOT_GIVEN:  # noqa: SLF001  # one of ourselves
            raise ConfigurationError(f"{self!r} is nested: choose an item of {around!r} first")
        item = urls.fill(around._template(), {"id": around._id})  # noqa: SLF001  # likewise
        return f"{item.rstrip('/')}/{self.path.lstrip('/')}"

    def _item(self) -> str:
        """The path of an item, with a place for its id."""
        _ = self._collection()  # refused where the item is chosen already
        return self._template()

    def _template(self) -> str:
        return self._below(self._path())

    def _below(self, path: str) -> str:
        """Return the path of an item of the collection at a path, with a place for its id."""
        if self.item_path is None:
            return f"{path.rstrip('/')}/{_ID}{'/' if path.endswith('/') else ''}"
        if self._around is None:
            return self.item_path
        return f"{path.removesuffix(self.path.lstrip('/'))}{self.item_path.lstrip('/')}"

    def _owner(self) -> PageClient:
        if self._caller is None:
            raise ConfigurationError(
                f"{self!r}: reach it through an instance, or bind it with session.resource()"
            )
        return self._caller

    @property
    def _kind(self) -> Callable[..., T]:
        return cast("Callable[..., T]", self.model or dict)

    def _send(
        self,
        method: str,
        url: str,
        body: object,
        *,
        id: object = NOT_GIVEN,
        **options: Unpack[_ItemOptions],
    ) -> Response:
        """Send an item the way this API takes them."""
        if self.form:
            return self._call(method, url, id=id, data=forms.fields(body), **options)
        return self._call(method, url, id=id, json=body, **options)

    @overload
    def _call(
        self,
        method: str,
        url: str,
        on_status: None = None,
        *,
        id: object = NOT_GIVEN,
        **options: Unpack[_CallOptions],
    ) -> Response: ...
    @overload
    def _call(
        self,
        method: str,
        url: str,
        on_status: Mapping[int, Callable[[Any], object]],
        *,
        id: object = NOT_GIVEN,
        **options: Unpack[_CallOptions],
    ) -> object: ...
    def _call(
        self,
        method: str,
        url: str,
        on_status: Mapping[int, Callable[[Any], object]] | None = None,
        *,
        id: object = NOT_GIVEN,
        **options: Unpack[_CallOptions],
    ) -> object:
        path = None if id is NOT_GIVEN else {"id": id}
        response = self._owner().request(
            method, url, path=path, on_status=on_status or {}, raise_for_status=True, **options
        )
        return settled(response) if isinstance(response, types.RequestsResponse) else response

    def _decode(self, response: Response) -> T:
        if self.item_at is None:
            return response.decode(self._kind)
        with decoding(response, self._kind):
            return models.decode(self._within(response, self.item_at), self._kind)

    def _within(self, response: Response, place: str | None) -> bytes:
        return response.content if place is None else documents.json_at(response.content, place)

    def _build(self, response: Response, sent: object) -> T:
        """Return what was sent as a model: the server took it and sent nothing back."""
        try:
            return cast("T", models.build(sent, self.model or dict))
        except models.MismatchError as error:
            raise response.decode_error(
                f"{describe(response.request, response.url)} was accepted"
                f" ({response.status_code}) and"
                f" nothing was sent back; what was sent is not a {_name(self.model)}: {error}"
            ) from error


def declared(kind: type) -> dict[str, Resource[Any]]:
    """Return the resources among the attributes of a class, by name."""
    names = dict.fromkeys(name for part in reversed(kind.__mro__) for name in vars(part))
    found = ((name, inspect.getattr_static(kind, name)) for name in names)
    return {name: held for name, held in found if isinstance(held, Resource)}


def _check_many(items: object) -> None:
    """Refuse one item: its fields, or its characters, would be sent as items."""
    kind: type[object] = type(items)
    is_model = bool(models.field_names(kind))
    if is_model or issubclass(kind, _SINGLE) or not issubclass(kind, Iterable):
        raise ConfigurationError(
            f"{kind.__name__} is no list of items: create(item) adds a single one"
        )


def _on_condition(options: CallerOptions, etag: str | None) -> CallerOptions:
    """Return options with If-Match (RFC 9110 section 13.1.1)."""
    if etag is None:
        return options
    if not isinstance(etag, str) or not etag.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"if_match={etag!r} must be an ETag or '*'")
    return {**options, "headers": {**(options.get("headers") or {}), "If-Match": etag}}


def _name(model: object) -> str:
    return getattr(model, "__name__", repr(model))
