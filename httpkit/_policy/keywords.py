"""The keywords that sessions and calls take, as types, and the refusal of misspelt ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar

from httpkit._core.types import (
    Auth,
    Cert,
    Cookies,
    Data,
    Files,
    HeadersLike,
    Hooks,
    Json,
    Params,
    Timeout,
    Verify,
)
from httpkit._messages.response import Response
from httpkit._policy.dispatch import StatusDispatch
from httpkit._policy.rate_limits import RateLimit
from httpkit._policy.retry import RetryPolicy

T = TypeVar("T")
Table: TypeAlias = Mapping[Any, Callable[[Response], T]] | StatusDispatch[T]
ErrorReason: TypeAlias = Callable[[Response], str | None]
"""Returns what an error response says, in words; None leaves it to httpkit."""
StatusTable: TypeAlias = Mapping[Any, Callable[..., Any]] | StatusDispatch[Any] | None


class SessionOptions(TypedDict, total=False):
    """The keywords of `Session`, of its class statement and of `with_options`."""

    base_url: str | None
    auth: Auth
    headers: HeadersLike
    params: Mapping[str, Any] | None
    cookies: Cookies
    proxies: Mapping[str, str] | None
    verify: Verify
    cert: Cert
    timeout: Timeout
    deadline: float | None
    retry: RetryPolicy | int | None
    on_status: StatusTable
    raise_for_status: bool
    max_body: int | None
    rate_limit: RateLimit
    trusted_origins: Sequence[str]
    allow_http_auth: bool
    redirect_body: bool
    secret_headers: Sequence[str]
    shown: Sequence[str]
    error_reason: ErrorReason | None
    strict: bool


class _TransportOptions(TypedDict, total=False):
    """What every call takes."""

    headers: HeadersLike
    cookies: Cookies
    auth: Auth
    timeout: Timeout
    proxies: dict[str, str] | None
    cert: Cert
    retry: RetryPolicy | int | None


class _ReadOptions(_TransportOptions, total=False):
    """What every call takes whose response is read into memory."""

    verify: Verify
    deadline: float | None
    max_body: int | None
    idempotency_key: bool | str | None


class ItemOptions(_ReadOptions, total=False):
    """What the methods of a resource pass on to `request`."""

    allow_redirects: bool
    hooks: Hooks
    allow_http_auth: bool


class PageOptions(ItemOptions, total=False):
    """What `paginate` passes on to `request`, for each page."""

    path: Mapping[str, object] | None


class ListOptions(PageOptions, total=False):
    """What `paginate` takes beside its parameters."""

    method: str
    json: Json
    decode: Callable[[Response], object]


class OperationOptions(_ReadOptions, total=False):
    """What `graphql` passes on to `request`."""

    params: Params


class FetchOptions(_TransportOptions, total=False):
    """What `download` passes on to `request`."""

    params: Params
    allow_redirects: bool
    path: Mapping[str, object] | None


class UploadOptions(FetchOptions, total=False):
    """What `upload` passes on to `request`."""

    verify: Verify
    raise_for_status: bool
    deadline: float | None
    max_body: int | None
    idempotency_key: bool | str | None
    redirect_body: bool
    allow_http_auth: bool


class _CallOptions(PageOptions, total=False):
    files: Files
    idempotent: bool | None
    stream: bool | None
    raise_for_status: bool
    redirect_body: bool


class RequestOptions(_CallOptions, total=False):
    """What every request takes beside method and URL; `Session.request` explains each."""

    params: Params
    data: Data
    json: Json


class JsonOptions(_CallOptions, total=False):
    """What `request` takes beside its parameters."""

    json: Json


class GetOptions(_CallOptions, total=False):
    """What `get` takes beside its parameters."""

    data: Data
    json: Json


class PostOptions(_CallOptions, total=False):
    """What `post` takes beside its parameters."""

    params: Params


class DataOptions(_CallOptions, total=False):
    """What `put` and `patch` take beside their parameters."""

    params: Params
    json: Json


# What a download or an event stream sets itself, or has no use for: it is a GET without a body.
# (`stream` changes nothing.)
_NOT_TO_FETCH = frozenset({"raise_for_status", "on_status", "method", "json", "data", "files"})


def check_fetch(options: Mapping[str, Any]) -> None:
    """Refuse a keyword of `request` that a download or an event stream would ignore.

    Raises:
        TypeError: There is one.
    """
    if unknown := options.keys() & _NOT_TO_FETCH:
        raise TypeError(f"unexpected keyword: {', '.join(sorted(unknown))}")


def check_known(options: Mapping[str, Any], known: type = SessionOptions) -> None:
    """Refuse a misspelt keyword.

    Args:
        options: What is given.
        known: A TypedDict of what can be.

    Raises:
        TypeError: There is no such setting, as with any function.
    """
    if unknown := options.keys() - known.__annotations__.keys():
        raise TypeError(f"unexpected keyword: {', '.join(sorted(unknown))}")
