"""What a session can be told: the options, their bounds, and what each means by default."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypedDict, TypeVar, cast
from urllib.parse import urlencode

from requests.exceptions import InvalidHeader
from requests.structures import CaseInsensitiveDict

from httpkit import _headers, _urls
from httpkit._typing import (
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
    is_list,
    is_mapping,
    is_tuple,
)
from httpkit.auth import as_signer
from httpkit.bounds import check_count, check_seconds
from httpkit.dispatch import StatusDispatch, as_dispatch
from httpkit.errors import ConfigurationError
from httpkit.limits import RateLimit, check_rate_limit
from httpkit.request import check_headers
from httpkit.response import Response
from httpkit.retry import RetryPolicy, as_policy

T = TypeVar("T")
Table: TypeAlias = Mapping[Any, Callable[[Response], T]] | StatusDispatch[T]
StatusTable: TypeAlias = Mapping[Any, Callable[..., Any]] | StatusDispatch[Any] | None

# What strict=False means: requests' own defaults.
LENIENT: Mapping[str, object] = {
    "timeout": None,
    "deadline": None,
    "retry": None,
    "raise_for_status": False,
    "max_body": None,
    "allow_http_auth": True,
    "redirect_body": True,
}

# What requests assigns in its own constructor, so that a class attribute would be lost.
REQUESTS_SETTINGS = ("auth", "headers", "params", "cookies", "proxies", "verify", "cert")


class SessionOptions(TypedDict, total=False):
    """The keywords of `Session`, of its class statement and of `with_options`."""

    base_url: str | None
    auth: Auth
    headers: HeadersLike
    params: Mapping[str, Any] | None
    cookies: Cookies
    proxies: Mapping[str, str] | None
    verify: bool | str
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
    strict: bool


class _AskOptions(TypedDict, total=False):
    """What every call takes."""

    headers: HeadersLike
    cookies: Cookies
    auth: Auth
    timeout: Timeout
    proxies: dict[str, str] | None
    cert: Cert
    retry: RetryPolicy | int | None


class _ReadOptions(_AskOptions, total=False):
    """What every call takes whose answer is read into memory."""

    verify: Verify
    deadline: float | None
    max_body: int | None
    idempotency_key: bool | str | None


class PageOptions(_ReadOptions, total=False):
    """What `paginate` passes on to `request`, for each page."""

    allow_redirects: bool
    hooks: Hooks
    path: Mapping[str, object] | None
    allow_http_auth: bool


class OperationOptions(_ReadOptions, total=False):
    """What `graphql` passes on to `request`."""

    params: Params


class FetchOptions(_AskOptions, total=False):
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


def fields_of(headers: Any) -> MutableMapping[str, Any]:
    """Return a session's header fields by case-insensitive name, whatever a caller assigned.

    Args:
        headers: A mapping or pairs; None is none.

    Raises:
        ConfigurationError: They are neither.
    """
    if type(headers) is _headers.Outgoing:  # nearly always: an ABC is slow to say so
        return headers
    if isinstance(headers, CaseInsensitiveDict):
        return cast("MutableMapping[str, Any]", headers)
    fields = None
    with suppress(TypeError, ValueError, AttributeError):
        fields = _headers.Outgoing(headers)
    if fields is None:  # not raised from that error: it may hold a credential
        raise ConfigurationError("session.headers must map names to values, or be None")
    return fields


def proxies_of(session: Any, call: Any = None) -> dict[str, Any]:
    """Return the proxies of a session with the call's over them, by scheme; None is none.

    Raises:
        ConfigurationError: One of them does not map schemes to URLs.
    """
    try:
        return {**(session or {}), **(call or {})}
    except TypeError:
        pass
    raise ConfigurationError("proxies must map schemes to URLs")  # they may hold passwords


def own(name: str, value: Any) -> Any:
    """Return a copy of a container, so that its owner may change it; other values as they are."""
    if name == "on_status":
        return as_dispatch(value)
    if name in {"trusted_origins", "secret_headers"} and value is None:
        return ()
    if is_mapping(value):
        return dict(value)
    is_ours = name in {"trusted_origins", "secret_headers"}
    return tuple(value) if is_ours and is_list(value) else value


def merged(before: Mapping[str, Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Put keywords over those of a parent class; mappings are merged, the newer entry wins."""
    result = dict(before)
    for name, value in keywords.items():
        present = result.get(name)
        if is_mapping(value) and is_mapping(present):
            result[name] = {**present, **value}
        else:
            result[name] = value
    return result


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


def check(options: Mapping[str, Any]) -> None:
    """Refuse settings that cannot work, before anything is sent.

    Raises:
        ConfigurationError: A value is out of its bounds; the message names it.
        InvalidURL: base_url is no URL to append to.
    """
    for name, value in options.items():
        if checker := _CHECKS.get(name):
            checker(name, value)


def _check_base_url(_: str, base_url: object) -> None:
    if base_url is None:
        return
    if not isinstance(base_url, str):
        raise ConfigurationError(f"base_url must be a str or None, not {type(base_url).__name__}")
    _urls.check_base(base_url)


def _check_timeout(name: str, timeout: Any) -> None:
    if is_tuple(timeout):
        if len(timeout) != 2 or any(is_tuple(seconds) for seconds in timeout):
            raise ConfigurationError(f"timeout={timeout!r} must be seconds or (connect, read)")
        for seconds in timeout:
            _check_timeout(name, seconds)
    # urllib3's own Timeout object is checked by urllib3.
    elif timeout is not None and not hasattr(timeout, "connect_timeout"):
        check_seconds(name, timeout, above_zero=True)


def _check_deadline(name: str, deadline: object) -> None:
    if deadline is not None:
        check_seconds(name, deadline, above_zero=True)


def _check_max_body(name: str, size: object) -> None:
    check_count(name, size, least=1, is_optional=True)


def _check_rate_limit(_: str, rate_limit: object) -> None:
    if rate_limit is not None:
        check_rate_limit(rate_limit)


def _check_origins(_: str, origins: Any) -> None:
    if isinstance(origins, str) or not isinstance(origins, Sequence):
        raise ConfigurationError("trusted_origins must be a sequence of URLs")
    for place in cast("Sequence[object]", origins):
        _urls.check_base(str(place))


def _check_names(name: str, values: Any) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigurationError(f"{name}={values!r} must be a sequence of str")
    if not all(isinstance(value, str) for value in cast("Sequence[object]", values)):
        raise ConfigurationError(f"{name} must be a sequence of str")


def _check_proxies(name: str, proxies: Any) -> None:
    if proxies is None:
        return
    is_known = is_mapping(proxies) and all(isinstance(scheme, str) for scheme in proxies)
    if not is_known or not all(url is None or isinstance(url, str) for url in proxies.values()):
        raise ConfigurationError(f"{name} must map schemes to URLs")  # they may hold passwords


def _check_auth(_: str, auth: object) -> None:
    if auth is not None:
        as_signer(auth)


def _check_retry(_: str, retry: Any) -> None:
    as_policy(retry)


def _check_on_status(_: str, table: Any) -> None:
    as_dispatch(table)


def _check_flag(name: str, flag: object) -> None:
    if not isinstance(flag, bool):
        raise ConfigurationError(f"{name}={flag!r} must be True or False")


_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "auth": _check_auth,
    "proxies": _check_proxies,
    "base_url": _check_base_url,
    "retry": _check_retry,
    "on_status": _check_on_status,
    "timeout": _check_timeout,
    "deadline": _check_deadline,
    "max_body": _check_max_body,
    "rate_limit": _check_rate_limit,
    "trusted_origins": _check_origins,
    "secret_headers": _check_names,
    "raise_for_status": _check_flag,
    "allow_http_auth": _check_flag,
    "redirect_body": _check_flag,
    "strict": _check_flag,
}


def clip(timeout: Any, remaining: float) -> Any:
    """Shorten a timeout to what is left of the deadline.

    Args:
        timeout: Seconds, (connect, read), None for off, or urllib3's Timeout as it is.
        remaining: Seconds, above 0; infinity leaves the timeout alone.
    """
    if remaining == math.inf:
        return timeout
    if hasattr(timeout, "connect_timeout"):  # urllib3's own
        clipped = timeout.clone()
        clipped.total = remaining if clipped.total is None else min(clipped.total, remaining)
        return clipped
    pair: tuple[Any, ...] = timeout if is_tuple(timeout) else (timeout, timeout)
    connect, read = pair
    return (
        remaining if connect is None else min(connect, remaining),
        remaining if read is None else min(read, remaining),
    )


def spell_params(params: Any) -> Any:
    """Write booleans as "true" and "false", as JSON does; requests writes "True"."""
    if params is None or isinstance(params, (str, bytes)):
        return params
    try:
        if hasattr(params, "items"):
            return {name: _spell(value) for name, value in params.items()}
        return [(name, _spell(value)) for name, value in params]
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"params={type(params).__name__} must be pairs") from error


def _spell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set)):
        return [_spell(item) for item in cast("Iterable[Any]", value)]
    return value


def merge_params(session: Any, call: Any) -> Any:
    """Put the session's parameters before the call's; None in a call's mapping removes one.

    Args:
        session: A mapping, pairs or text; None is none.
        call: Likewise.
    """
    if not session and not call:
        return None
    call = spell_params(call)
    if not session:
        return call
    session = spell_params(session)
    if not call:
        return session
    if is_mapping(session) and is_mapping(call):
        merged = {**session, **call}
        return {name: value for name, value in merged.items() if value is not None}
    if isinstance(session, (str, bytes)) or isinstance(call, (str, bytes)):
        return f"{_as_query(session)}&{_as_query(call)}"
    return [*_as_pairs(session), *_as_pairs(call)]


def _as_pairs(params: Any) -> list[tuple[Any, Any]]:
    return list(params.items() if is_mapping(params) else params)


def _as_query(params: Any) -> str:
    if isinstance(params, bytes):
        return params.decode("utf-8")
    return params if isinstance(params, str) else urlencode(_as_pairs(params), doseq=True)


def merge_headers(session: Mapping[str, Any], call: Mapping[str, Any] | None) -> _headers.Outgoing:
    """Put the call's headers over the session's; None in the call removes one."""
    if isinstance(session, _headers.Outgoing):
        if session.unchecked:
            with suppress(InvalidHeader):  # the call may take it away; it is told of what is left
                session.check(check_headers)
        merged = session.copy()
    else:
        merged = _headers.Outgoing(session)
    if call:
        try:
            merged.update(call)
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError("headers= must map names to values") from error
    return merged.without_none() if merged.unchecked else merged
