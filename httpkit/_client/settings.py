"""The settings of sessions and calls: how they are copied, merged and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from requests.structures import CaseInsensitiveDict

from httpkit._core import header_fields, urls
from httpkit._core.given import is_list, is_mapping, is_tuple
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError, check_count, check_seconds
from httpkit._policy.auth import as_signer
from httpkit._policy.retry import as_policy

if TYPE_CHECKING:
    from httpkit._core import disclosure
    from httpkit._policy import dispatch, rate_limits, trust
else:
    disclosure = ImportedLater("httpkit._core.disclosure")
    trust = ImportedLater("httpkit._policy.trust")
    dispatch = ImportedLater("httpkit._policy.dispatch")
    rate_limits = ImportedLater("httpkit._policy.rate_limits")

# What requests assigns in its own constructor, so that a class attribute would be lost.
REQUESTS_SETTINGS = ("auth", "headers", "params", "cookies", "proxies", "verify", "cert")


def copied(name: str, value: Any) -> Any:
    """Return a copy of a container, so that its owner may change it; other values as they are."""
    if name == "on_status" and value is not None:
        return dispatch.as_dispatch(value)
    if name in _SEQUENCES and value is None:
        return ()
    if is_mapping(value):
        return dict(value)
    return tuple(value) if name in _SEQUENCES and is_list(value) else value


_SEQUENCES = frozenset({"trusted_origins", "secret_headers", "shown"})


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
    urls.check_base(base_url)


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
        rate_limits.check_rate_limit(rate_limit)


def _check_origins(_: str, origins: Any) -> None:
    if isinstance(origins, str) or not isinstance(origins, Sequence):
        raise ConfigurationError("trusted_origins must be a sequence of URLs")
    for origin in cast("Sequence[object]", origins):
        urls.check_base(str(origin))


def _check_names(name: str, names: Any) -> None:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ConfigurationError(f"{name}={names!r} must be a sequence of str")
    if not all(isinstance(each, str) for each in cast("Sequence[object]", names)):
        raise ConfigurationError(f"{name} must be a sequence of str")


def _check_shown(name: str, values: Any) -> None:
    _check_names(name, values)
    for value in values:
        if not disclosure.can_be_shown(value):
            raise ConfigurationError(f"{name} cannot name {value!r}: it holds credentials")


def _check_callable(name: str, value: object) -> None:
    if value is not None and not callable(value) and not isinstance(value, staticmethod):
        raise ConfigurationError(f"{name}={value!r} cannot be called")


def _check_proxies(name: str, proxies: Any) -> None:
    trust.check_proxies(name, proxies)


def _check_verify(_: str, verify: object) -> None:
    if verify is not None:
        trust.as_verify(verify)


def _check_cert(_: str, cert: object) -> None:
    trust.as_cert(cert)


def _check_auth(_: str, auth: object) -> None:
    if auth is not None:
        as_signer(auth)


def _check_retry(_: str, retry: Any) -> None:
    as_policy(retry)


def _check_on_status(_: str, table: Any) -> None:
    if table is not None:
        dispatch.as_dispatch(table)


def _check_flag(name: str, flag: object) -> None:
    if not isinstance(flag, bool):
        raise ConfigurationError(f"{name}={flag!r} must be True or False")


_CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "auth": _check_auth,
    "proxies": _check_proxies,
    "verify": _check_verify,
    "cert": _check_cert,
    "base_url": _check_base_url,
    "retry": _check_retry,
    "on_status": _check_on_status,
    "timeout": _check_timeout,
    "deadline": _check_deadline,
    "max_body": _check_max_body,
    "rate_limit": _check_rate_limit,
    "trusted_origins": _check_origins,
    "secret_headers": _check_names,
    "shown": _check_shown,
    "error_reason": _check_callable,
    "raise_for_status": _check_flag,
    "allow_http_auth": _check_flag,
    "redirect_body": _check_flag,
    "idempotent": _check_flag,
    "strict": _check_flag,
}


def fields_of(headers: Any) -> MutableMapping[str, Any]:
    """Return a session's header fields by case-insensitive name, whatever a caller assigned.

    Args:
        headers: A mapping or pairs; None is none.

    Raises:
        ConfigurationError: They are neither.
    """
    if type(headers) is header_fields.RequestHeaders:  # nearly always: an ABC is slow to say so
        return headers
    if isinstance(headers, CaseInsensitiveDict):
        return cast("MutableMapping[str, Any]", headers)
    fields = None
    with suppress(TypeError, ValueError, AttributeError):
        fields = header_fields.RequestHeaders(headers)
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
