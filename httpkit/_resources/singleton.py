"""One thing of a REST API without an id: the user, the settings."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, cast, overload

from httpkit._core import models
from httpkit._core.classes import public
from httpkit._core.given import NOT_GIVEN
from httpkit._core.types import Params
from httpkit._messages.response import Response
from httpkit._policy.keywords import ItemOptions, check_known
from httpkit._resources.endpoint import (
    ACCEPTED,
    Endpoint,
    Fetched,
    SingletonOptions,
    on_condition,
)

T = TypeVar("T")
M = TypeVar("M")


@public
class Singleton(Endpoint[T]):
    """A resource with one item and no ids: a class attribute of a Session, or nested.

    `github.user.get()` is `GET user`; as an attribute of a Resource subclass it belongs to an
    item: `repos("octocat/hello-world").settings.update({...})`.

    Args:
        path: Its path, relative to the session's base URL or to the item around it.
        model: What it is decoded into, as for `Resource`. None: a dict.
        item_at: The path of it in responses ("data"); None: `envelope`, or the document.
        envelope: The name of the member that it is sent and received in.
        form: Whether it is sent as a form.
        update_method: What `update` sends.

    Raises:
        ConfigurationError: The path is empty, or nothing can be decoded into the model.
    """

    _noun = "singleton"

    @overload
    def __init__(
        self: "Singleton[dict[str, Any]]",
        path: str,
        model: None = None,
        **options: Unpack[SingletonOptions],
    ) -> None: ...
    @overload
    def __init__(
        self, path: str, model: Callable[..., T], **options: Unpack[SingletonOptions]
    ) -> None: ...
    def __init__(
        self,
        path: str,
        model: Callable[..., Any] | None = None,
        **options: Unpack[SingletonOptions],
    ) -> None:
        check_known(cast("dict[str, Any]", options), SingletonOptions)
        self._configure(path, model, options)

    def _methods(self) -> Iterator[tuple[str, object]]:
        path = self._display_path
        yield "get()", f"GET {path}"
        yield "replace(item)", f"PUT {path}"
        yield "update(changes)", f"{self.update_method} {path}"
        yield "delete()", f"DELETE {path}"

    @overload
    def get(
        self, *, params: Params = None, model: None = None, **options: Unpack[ItemOptions]
    ) -> T: ...
    @overload
    def get(
        self, *, params: Params = None, model: Callable[..., M], **options: Unpack[ItemOptions]
    ) -> M: ...
    def get(
        self,
        *,
        params: Params = None,
        model: Callable[..., Any] | None = None,
        **options: Unpack[ItemOptions],
    ) -> Any:
        """Return it.

        Args:
            params: Query parameters.
            model: What it is decoded into, where it is not the singleton's (sparse fields).
            **options: Keywords of `Session.request`.

        Raises:
            StatusError: The server responds with an error status.
            DecodeError: It is not of the model.
        """
        self._check_model(model)
        return self._decode(self._call("GET", self._path(), params=params, **options), model)

    def fetch(self, *, params: Params = None, **options: Unpack[ItemOptions]) -> Fetched[T]:
        """Return it with its response, which contains its version; see `Resource.fetch`."""
        self._check_model()
        response: Response = self._call("GET", self._path(), params=params, **options)
        return Fetched(self._decode(response), response)

    def replace(
        self,
        item: object,
        *,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> T:
        """Replace it as a whole (PUT) and return it; see `Resource.replace`."""
        self._check_model()
        body = models.encode(item)
        sent = on_condition(options, if_match)
        response = self._send("PUT", self._path(), body, params=params, **sent)
        return self._accepted(response, body, options)

    def update(
        self,
        changes: object,
        *,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> T:
        """Change some of its fields (PATCH, or `update_method`); see `Resource.update`."""
        self._check_model()
        body = models.encode(changes)
        sent = on_condition(options, if_match)
        response = self._send(self.update_method, self._path(), body, params=params, **sent)
        if response.content or response.status_code == ACCEPTED:
            return self._accepted(response, body, options)
        options.pop("idempotency_key", None)  # of the change
        return self.get(params=params, **options)

    def delete(
        self,
        *,
        missing_ok: bool = False,
        if_match: str | None = None,
        params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> None:
        """Remove it (DELETE); see `Resource.delete`."""
        sent = on_condition(options, if_match)
        self._delete(self._path(), NOT_GIVEN, {**sent, "params": params}, missing_ok=missing_ok)

    def exists(self, *, params: Params = None, **options: Unpack[ItemOptions]) -> bool:
        """Say whether it exists (HEAD, or GET if the server does not support HEAD)."""
        return self._exists(self._path(), NOT_GIVEN, {**options, "params": params})
