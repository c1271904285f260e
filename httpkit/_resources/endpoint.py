"""What a collection and a singleton share: a path, a model, a session, and their requests."""

import copy
import datetime as dt
import inspect
import operator
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack, cast, overload

import requests

from httpkit._core import documents, models, redaction, upstream, urls, values
from httpkit._core.classes import public
from httpkit._core.given import NOT_GIVEN
from httpkit._core.types import Data, Params
from httpkit._diagnostics.errors import (
    ConfigurationError,
    OperationPendingError,
    add_note,
    describe,
)
from httpkit._messages.decode_errors import decoding
from httpkit._messages.response import Response, successful
from httpkit._policy import forwarding, retry, retry_loop
from httpkit._policy.keywords import ItemOptions, check_known
from httpkit._resources import forms
from httpkit._resources.list_query import PageClient
from httpkit._resources.operations import (
    check_model,
    google_operation,
    operation_url,
    resolved,
    result_of,
)
from httpkit._resources.pagination import Pager, check_path

T = TypeVar("T")
M = TypeVar("M")

# What `exists`, `get` and `delete` make of a status.
ABSENT = object()
UNKNOWN_METHOD = object()
ABSENCE: Mapping[int, Callable[[Any], object]] = {
    404: lambda _: ABSENT,
    410: lambda _: ABSENT,
}
EXISTENCE: Mapping[int, Callable[[Any], object]] = {
    **ABSENCE,
    405: lambda _: UNKNOWN_METHOD,
    501: lambda _: UNKNOWN_METHOD,
}
ACCEPTED = 202
# What every resource has, so that a nested one of this name could not be reached.
FIELDS = frozenset(
    {"path", "model", "items_at", "item_at", "item_path", "envelope", "form", "update_method"}
)


class ResourceOptions(TypedDict, total=False):
    """The keywords of a `Resource`."""

    items_at: str | None
    pages: Pager | None
    item_at: str | None
    item_path: str | None
    envelope: str | None
    form: bool
    update_method: str


class SingletonOptions(TypedDict, total=False):
    """The keywords of a `Singleton`."""

    item_at: str | None
    envelope: str | None
    form: bool
    update_method: str


class _SendOptions(ItemOptions, total=False):
    params: Params


class _CallOptions(_SendOptions, total=False):
    data: Data
    json: object


@public
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Fetched(Generic[T]):
    """An item with its response.

    Attributes:
        item: The item, decoded.
        response: The response: its status and header fields.
    """

    item: T
    response: Response

    @property
    def etag(self) -> str:
        """The version of the item (RFC 9110 section 8.8.3), for `if_match=`.

        Raises:
            AttributeError: The server sent none, so a conditional change is not possible.
        """
        tag = self.response.headers.get("etag")
        if not tag:
            what = describe(self.response.request, self.response.url)
            raise AttributeError(f"the response to {what} has no ETag")
        return tag

    def __repr__(self) -> str:
        return f"<Fetched {self.item!r}>"


class Endpoint(Generic[T]):
    """A path of an API with a model: a class attribute of a Session or of another one."""

    path: str
    model: Callable[..., T] | None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if isinstance(value, Endpoint) and (hasattr(cls.__base__, name) or name in FIELDS):
                parent = getattr(cls.__base__, name, None)
                if not isinstance(parent, Endpoint):
                    raise ConfigurationError(
                        f"{cls.__name__}.{name}: every resource has a {name!r}"
                    )

    def _configure(
        self, path: str, model: Callable[..., T] | None, options: SingletonOptions
    ) -> None:
        if not isinstance(path, str) or not path.strip("/"):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"a resource needs a path, not {path!r}")
        self._is_model_known = check_model(model, may_be_unresolved=True)
        self.path = path
        self.model = model
        self.item_at: str | None = options.get("item_at")
        self.envelope: str | None = options.get("envelope")
        self.form: bool = options.get("form", False)
        self.update_method: str = options.get("update_method", "PATCH")
        check_path("item_at", self.item_at)
        check_path("envelope", self.envelope)
        self._caller: PageClient | None = None
        self._around: Endpoint[Any] | None = None
        self._id: object = NOT_GIVEN

    def _check_model(self, model: object = None) -> None:
        """Check the models of a call, before anything is sent.

        Raises:
            ConfigurationError: Nothing can be decoded into one.
        """
        if not self._is_model_known:
            self._is_model_known = check_model(self.model)
        if model is not None:
            check_model(model)

    def bind(self, caller: PageClient) -> Self:
        """Return this resource of one session."""
        bound = copy.copy(self)
        bound._caller = caller  # noqa: SLF001  # a copy of ourselves
        return bound

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self, instance: "PageClient | Endpoint[Any]", owner: type | None = None
    ) -> Self: ...
    def __get__(
        self, instance: "PageClient | Endpoint[Any] | None", owner: type | None = None
    ) -> Self:
        if instance is None:
            return self
        if not isinstance(instance, Endpoint):
            return self.bind(instance)
        nested = copy.copy(self)
        nested._caller = instance._caller  # noqa: SLF001  # a copy of ourselves, and one of us
        nested._around = instance  # noqa: SLF001  # likewise
        return nested

    def __repr__(self) -> str:
        model = f" of {name_of(self.model)}" if self.model else ""
        state = "" if self._caller else " (not bound to a session)"
        chosen = "" if self._id is NOT_GIVEN else f", item {self._id!r}"
        return f"<{type(self).__name__} {self._display_path!r}{model}{chosen}{state}>"

    def _repr_html_(self) -> str:
        """Return a card for a notebook; nothing is sent for it."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        base = getattr(self._caller, "base_url", None)
        path = self._display_path
        yield self._noun, redaction.redact_url(urls.join(base, path) if base else path)
        fields = ", ".join(models.field_names(self.model))
        name = name_of(self.model) if self.model else "dict"
        yield "items", f"{name} ({fields})" if fields else name
        if self._caller is None:
            yield "session", "none: reach it through an instance, or session.resource()"
        yield from self._methods()
        for name, nested in declared(type(self)).items():
            yield f".{name}", repr(getattr(self, name, nested))

    _noun = "resource"

    def _methods(self) -> Iterator[tuple[str, object]]:
        yield from ()

    @property
    def _display_path(self) -> str:
        if self._around is None:
            return self.path
        return f"{self._around._display_item().rstrip('/')}/{self.path.lstrip('/')}"  # noqa: SLF001  # one of ourselves

    def _display_item(self) -> str:
        """Return the path of what is nested in, for people."""
        return self._display_path

    def _path(self) -> str:
        if self._around is None:
            return self.path
        return f"{self._around._nest(self).rstrip('/')}/{self.path.lstrip('/')}"  # noqa: SLF001  # one of ourselves

    def _nest(self, nested: "Endpoint[Any]") -> str:  # noqa: ARG002  # a collection names it
        """Return the path that a nested resource is below."""
        return self._path()

    def _owner(self) -> PageClient:
        if self._caller is None:
            raise ConfigurationError(
                f"{self!r}: reach it through an instance, or bind it with session.resource()"
            )
        return self._caller

    @property
    def _wanted(self) -> Callable[..., T]:
        return cast("Callable[..., T]", self.model or dict)

    def _send(
        self, method: str, url: str, body: object, *, id: object = NOT_GIVEN,
        **options: Unpack[_SendOptions],
    ) -> Response:  # fmt: skip
        """Send an item the way this API takes them."""
        sent = body if self.envelope is None else {self.envelope: body}
        if self.form:
            return self._call(method, url, id=id, data=forms.fields(sent), **options)
        return self._call(method, url, id=id, json=sent, **options)

    @overload
    def _call(
        self, method: str, url: str, on_status: None = None, /, *, id: object = NOT_GIVEN,
        **options: Unpack[_CallOptions],
    ) -> Response: ...  # fmt: skip
    @overload
    def _call(
        self, method: str, url: str, on_status: Mapping[int, Callable[[Any], object]], /, *,
        id: object = NOT_GIVEN, **options: Unpack[_CallOptions],
    ) -> object: ...  # fmt: skip
    def _call(
        self, method: str, url: str, on_status: Mapping[int, Callable[[Any], object]] | None = None,
        /, *, id: object = NOT_GIVEN, **options: Unpack[_CallOptions],
    ) -> object:  # fmt: skip
        check_known(cast("dict[str, Any]", options), _Known)
        if self.form and "params" in options:
            options["params"] = forms.filters(options["params"])
        path = None if id is NOT_GIVEN else {"id": checked_id(id)}
        response = self._owner().request(
            method, url, path=path, on_status=on_status or {}, raise_for_status=True, **options
        )
        return successful(response) if isinstance(response, upstream.RequestsResponse) else response

    def _delete(self, url: str, id: object, options: _SendOptions, *, missing_ok: bool) -> None:
        """Delete what may be absent: already, or because a lost response deleted it."""
        if missing_ok:
            response: object = self._call("DELETE", url, ABSENCE, id=id, **options)
            if isinstance(response, Response):
                self._check_done(response, needs_url=True)
            return
        lost = _LostResponses()
        policy = retry.as_policy(options.get("retry", self._owner().retry))
        options = {**options, "retry": lost.watched(policy)}
        try:
            response = self._call("DELETE", url, id=id, **options)
            self._check_done(response, needs_url=True)
        except requests.HTTPError as error:
            if not lost.any or getattr(error, "status_code", 0) not in ABSENCE:
                raise

    def _exists(self, url: str, id: object, options: _SendOptions) -> bool:
        found = self._call("HEAD", url, EXISTENCE, id=id, **options)
        if found is UNKNOWN_METHOD:
            found = self._call("GET", url, ABSENCE, id=id, **options)
        return found is not ABSENT

    def _accepted(self, response: Response, sent: object, options: ItemOptions) -> T:
        """Return the item that a response is about; what was sent, when it has no body.

        Raises:
            OperationPendingError: It is not made yet (202).
        """
        if self._check_done(response):
            return result_of(self._owner(), response, self._wanted)
        if response.content:
            return self._decode(response)
        if location := _location_of_new(response):
            return self._follow(response, location, options)
        return self._build(response, sent)

    def _check_done(self, response: Response, *, needs_url: bool = False) -> bool:
        """Return whether a response is an operation that is done already.

        Args:
            response: To a change.
            needs_url: Whether a 202 that names no operation counts as done.

        Raises:
            OperationPendingError: The change is only accepted.
        """
        operation = google_operation(response, self._owner().base_url)
        if operation is not None and operation.is_done:
            return True
        is_accepted = response.status_code == requests.codes.accepted
        url = operation_url(response) if is_accepted else None
        if url is None and operation is not None:
            url = operation.url
        is_pending = url is not None or (is_accepted and not response.content and not needs_url)
        if is_pending:
            what = describe(response.request, response.url)
            how = "poll(error.url) waits for it" if url else "the response names no URL to poll"
            status = response.status_code
            pending = OperationPendingError(
                f"{what} was accepted ({status}) and is not done yet: {how}", response=response
            )
            pending.url = url or ""
            raise pending
        return False

    def _follow(self, response: Response, location: str, options: ItemOptions) -> T:
        """Fetch the item that was created (RFC 9110 section 15.3.2)."""
        try:
            target = resolved(response, location, "Location")
            owner, sent = self._owner(), dict[str, Any](options)
            sent.pop("idempotency_key", None)  # of the creation
            allowed = forwarding.allowed_origins(owner, response.request.url or target)
            session, sent = forwarding.for_link(owner, sent, target, allowed)
            fetched = session.request("GET", target, on_status={}, raise_for_status=True, **sent)
            return self._decode(successful(fetched))
        except requests.RequestException as error:
            add_note(error, f"the item was created: it is at {redaction.redact_url(location)}")
            raise

    @overload
    def _decode(self, response: Response) -> T: ...
    @overload
    def _decode(self, response: Response, model: Callable[..., M] | None) -> M | T: ...
    def _decode(self, response: Response, model: Callable[..., Any] | None = None) -> Any:
        return response.decode(model or self._wanted, at=self.item_at or self.envelope)

    def _build(self, response: Response, sent: object) -> T:
        """Return what was sent as a model: the server took it and sent nothing back."""
        try:
            return cast("T", models.build(sent, self.model or dict))
        except models.MismatchError as error:
            raise response.decode_error(
                f"{describe(response.request, response.url)} was accepted"
                f" ({response.status_code}) and"
                f" nothing was sent back; what was sent is not a {name_of(self.model)}: {error}"
            ) from error


def _location_of_new(response: Response) -> str | None:
    """Return the URL of an item that was created, of a response without a body.

    It is in Location (RFC 9110 section 15.3.2), or in the field of a 204 of OData (Dynamics 365).
    """
    if response.status_code == requests.codes.created:
        return response.headers.get("location") or response.headers.get("odata-entityid")
    if response.request.method == "POST":
        return response.headers.get("odata-entityid")
    return None


class _Known(_CallOptions, total=False):
    """Every keyword of a resource's request."""


class _LostResponses:
    """Whether a response to a request that may have arrived was lost."""

    def __init__(self) -> None:
        self.any = False

    def watched(self, policy: retry.RetryPolicy | None) -> retry.RetryPolicy | None:
        """Return a policy that notes lost responses as well."""
        if policy is None:
            return None
        notify = policy.on_retry

        def on_retry(event: retry_loop.RetryEvent) -> None:
            error = event.error
            if error is not None and event.status is None:
                self.any = self.any or retry_loop.classify(error) != "never sent"
            self.any = self.any or event.status in _LOST
            if notify is not None:
                notify(event)

        return replace(policy, on_retry=on_retry)


# A gateway says so of a server whose response it did not get.
_LOST = frozenset({502, 504})


def checked_id(id: object) -> object:
    """Return an id as what a URL takes: text, or a whole number.

    Raises:
        ConfigurationError: It is not a str, an integer, a UUID, a date or an Enum of those.
    """
    plain = id.value if isinstance(id, Enum) else id
    with suppress(TypeError):
        if isinstance(plain, (str, bytes, uuid.UUID, dt.date)):
            return values.format_id(plain)
        if not isinstance(plain, bool):
            return operator.index(cast("Any", plain))
    raise ConfigurationError(
        f"id={redaction.shown(id)} must be a str, an integer, a UUID or a date,"
        f" not {type(id).__name__}"
    )


def on_condition(options: ItemOptions, etag: str | None) -> ItemOptions:
    """Return options with If-Match (RFC 9110 section 13.1.1).

    Raises:
        ConfigurationError: The ETag is empty, or not a str.
    """
    if etag is None:
        return options
    if not isinstance(etag, str) or not etag.strip():  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"if_match={etag!r} must be an ETag or '*'")
    return {**options, "headers": {**(options.get("headers") or {}), "If-Match": etag}}


def declared(cls: type) -> dict[str, Endpoint[Any]]:
    """Return the resources among the attributes of a class, by name."""
    names = dict.fromkeys(name for part in reversed(cls.__mro__) for name in vars(part))
    found = ((name, inspect.getattr_static(cls, name)) for name in names)
    return {name: value for name, value in found if isinstance(value, Endpoint)}


def name_of(model: object) -> str:
    """Return the name of a model for a message."""
    return getattr(model, "__name__", repr(model))


def within(response: Response, path: str | None, model: object) -> bytes:
    """Return the JSON text at a path of a response.

    Raises:
        DecodeError: There is nothing.
    """
    if path is None:
        return response.content
    with decoding(response, model):
        return documents.json_at(response.content, path)
