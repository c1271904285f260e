"""A collection of a REST API: list, get, create, replace, update, delete."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, cast, overload

import requests
from typing_extensions import Unpack

from httpkit import _models
from httpkit._typing import NOT_GIVEN, Caller, CallerOptions, NotGiven, Params
from httpkit.errors import ConfigurationError, RedirectError, describe
from httpkit.pagination import Pages
from httpkit.response import Response, adopt

T = TypeVar("T")
D = TypeVar("D")


_LEADING_NOWHERE = frozenset({301, 302, 303, 307, 308})

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


class _CallOptions(CallerOptions, total=False):
    """What one request of a resource takes."""

    params: Params
    json: object


class Resource(Generic[T]):
    """A collection, as a class attribute of a Session or made by `session.resource()`.

    Args:
        path: Where the collection lives, relative to the session's base URL. A trailing slash
            is kept for the items too ("posts/" has "posts/1/").
        model: What an item is decoded into: a dataclass, TypedDict, attrs, msgspec or
            pydantic class, or any callable given the parsed JSON. None: dicts.
        items_at: Where the items of a list are in its document ("data.users"); None: the
            document is the list.

    Raises:
        ConfigurationError: The path is empty.
    """

    @overload
    def __init__(
        self: "Resource[dict[str, Any]]",
        path: str,
        model: None = None,
        *,
        items_at: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, path: str, model: Callable[..., T], *, items_at: str | None = None
    ) -> None: ...
    def __init__(
        self,
        path: str,
        model: Callable[..., Any] | None = None,
        *,
        items_at: str | None = None,
    ) -> None:
        if not path.strip("/"):
            raise ConfigurationError("a resource needs a path")
        self.path = path
        self.model = model
        self.items_at = items_at
        self._caller: Caller | None = None

    def bind(self, caller: Caller) -> Self:
        """Return this resource of one session."""
        bound = copy.copy(self)
        bound._caller = caller  # noqa: SLF001  # a copy of ourselves
        return bound

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: Caller, owner: type | None = None) -> Self: ...
    def __get__(self, instance: Caller | None, owner: type | None = None) -> Self:
        return self if instance is None else self.bind(instance)

    def __repr__(self) -> str:
        model = f" of {_name(self.model)}" if self.model else ""
        state = "" if self._caller else " (not bound to a session)"
        return f"<{type(self).__name__} {self.path!r}{model}{state}>"

    def list(self, *, params: Params = None, **options: Unpack[CallerOptions]) -> Pages[T]:
        """Return the items, lazily: the request is sent by each loop over them.

        Args:
            params: Filters, as query parameters.
            **options: The keywords of `Session.request`.

        Raises:
            StatusError: While looping: the server refuses.
            DecodeError: While looping: an item is not of the model.
        """
        kept = _kept(params)  # an iterator would serve the first loop only

        def fetch() -> Sequence[T]:
            answer = self._call("GET", self.path, params=kept, **options)
            return self._decode_list(answer)

        return Pages(fetch, self.path)

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
        answer = self._call(
            "GET",
            self._item,
            id,
            {} if default is NOT_GIVEN else _ABSENCE,
            params=params,
            **options,
        )
        return cast("D", default) if answer is _ABSENT else self._decode(cast("Response", answer))

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
        body = _models.encode(item, omit_unset=True)
        answer = self._call("POST", self.path, json=body, params=params, **options)
        return self._decode(answer) if answer.content else self._build(answer, body)

    def replace(
        self, id: object, item: object, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> T:
        """Replace an item as a whole (PUT) and return it.

        Args:
            id: Percent-encoded into the URL.
            item: A dict or a model object, sent as it is.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Returns:
            The server's item; what was sent, when the server sends no body back.

        Raises:
            StatusError: The server refuses.
            DecodeError: The answer is not of the model.
        """
        body = _models.encode(item)
        answer = self._call("PUT", self._item, id, json=body, params=params, **options)
        return self._decode(answer) if answer.content else self._build(answer, body)

    def update(
        self,
        id: object,
        changes: object,
        *,
        params: Params = None,
        **options: Unpack[CallerOptions],
    ) -> T:
        """Change some fields of an item (PATCH) and return it.

        Args:
            id: Percent-encoded into the URL.
            changes: A dict or a model object, sent as it is.
            params: Query parameters.
            **options: The keywords of `Session.request`.

        Returns:
            The server's item; when the server sends no body back it is asked for (GET).

        Raises:
            StatusError: The server refuses.
            DecodeError: The answer is not of the model.
        """
        body = _models.encode(changes)
        answer = self._call("PATCH", self._item, id, json=body, params=params, **options)
        if answer.content:
            return self._decode(answer)
        options.pop("idempotency_key", None)  # of the change
        return self.get(id, **options)

    def delete(
        self, id: object, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> None:
        """Remove an item (DELETE).

        Raises:
            NotFoundError: There is no such item.
            StatusError: The server refuses.
        """
        self._call("DELETE", self._item, id, params=params, **options)

    def exists(
        self, id: object, *, params: Params = None, **options: Unpack[CallerOptions]
    ) -> bool:
        """Say whether an item exists (HEAD, or GET where the server knows no HEAD).

        Raises:
            StatusError: The server answers neither with success nor with 404 or 410.
        """
        answer = self._call("HEAD", self._item, id, _EXISTENCE, params=params, **options)
        if answer is _UNKNOWN_METHOD:
            answer = self._call("GET", self._item, id, _ABSENCE, params=params, **options)
        return answer is not _ABSENT

    @property
    def _item(self) -> str:
        slash = "/" if self.path.endswith("/") else ""
        return f"{self.path.rstrip('/')}/{{id}}{slash}"

    @overload
    def _call(
        self,
        method: str,
        url: str,
        id: object = None,
        on_status: None = None,
        **options: Unpack[_CallOptions],
    ) -> Response: ...
    @overload
    def _call(
        self,
        method: str,
        url: str,
        id: object,
        on_status: Mapping[int, Callable[[Any], object]],
        **options: Unpack[_CallOptions],
    ) -> object: ...
    def _call(
        self,
        method: str,
        url: str,
        id: object = None,
        on_status: Mapping[int, Callable[[Any], object]] | None = None,
        **options: Unpack[_CallOptions],
    ) -> object:
        if self._caller is None:
            raise ConfigurationError(
                f"{self!r}: reach it through an instance, or bind it with session.resource()"
            )
        path = {"id": id} if url == self._item else None
        answer = self._caller.request(
            method, url, path=path, on_status=on_status or {}, raise_for_status=True, **options
        )
        if not isinstance(answer, requests.Response):
            return answer
        ours = adopt(answer)
        ours.raise_for_status()  # a session's table may have returned an error's response
        if ours.is_redirect or ours.status_code in _LEADING_NOWHERE:
            raise RedirectError(
                f"{describe(ours.request, ours.url)}: {ours.status_code} leads nowhere",
                response=ours,
            )
        return ours

    def _decode(self, answer: Response) -> T:
        return cast("T", answer.decode(self.model or dict))

    def _decode_list(self, answer: Response) -> Sequence[T]:
        model: Callable[..., T] = self.model or cast("Callable[..., T]", dict)
        body = answer.content
        try:
            if self.items_at is not None:
                body = _models.dig(body, self.items_at)
            return _models.decode_list(body, model)
        except _models.MismatchError as error:
            place = f" (looking at {self.items_at!r})" if self.items_at else ""
            raise answer.mismatch(model, f"{error}{place}") from error

    def _build(self, answer: Response, sent: object) -> T:
        """Return what was sent as a model: the server took it and sent nothing back."""
        try:
            return cast("T", _models.build(sent, self.model or dict))
        except _models.MismatchError as error:
            raise answer.decode_error(
                f"{describe(answer.request, answer.url)} was accepted ({answer.status_code}) and"
                f" nothing was sent back; what was sent is not a {_name(self.model)}: {error}"
            ) from error


def _kept(params: Params) -> Params:
    if params is None or isinstance(params, (str, bytes)):
        return params
    pairs: Any = params
    return dict(pairs.items()) if hasattr(pairs, "items") else list(pairs)


def _name(model: object) -> str:
    return getattr(model, "__name__", repr(model))
