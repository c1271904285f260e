"""What does this status mean here?"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, NoReturn, TypeVar, cast

import requests

from httpkit import errors
from httpkit.errors import ConfigurationError
from httpkit.response import Response

T = TypeVar("T")

# 1xx never is the answer (RFC 9110 section 15.2); others are no statuses (section 15).
_LOWEST, _HIGHEST = 200, 599
_CLASS = re.compile(r"[2-5]xx", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Rule:
    statuses: range
    handler: Callable[[Response], Any]


class StatusDispatch(Generic[T]):
    """A table from status to what is done with the response.

    Keys are a status (404, `HTTPStatus.NOT_FOUND`), a range (`range(500, 505)`), a class
    ("4xx"), or "default" for any error status that nothing else matches; a success needs a
    key of its own. The most specific wins: a status before a range, a narrow range before a
    wide one, a class, "default". Values are called with the response; an exception class is
    raised.

    Args:
        table: At least nothing: an empty table matches no status.

    Raises:
        ConfigurationError: A key can never match, or a value cannot be called.
    """

    def __init__(self, table: Mapping[Any, Callable[[Response], T]]) -> None:
        rules: list[_Rule] = []
        self._default: Callable[[Response], Any] | None = None
        for key, value in table.items():
            handler = _handler(key, value)
            if key == "default":
                self._default = handler
            else:
                rules.append(_Rule(_statuses(key), handler))
        # Stable: of two ranges equally wide the first given wins.
        self._rules = sorted(rules, key=lambda rule: len(rule.statuses))
        self._table = dict(table)

    def find(self, status: int) -> Callable[[Response], T] | None:
        """Return the handler for a status; None when the table does not know it."""
        for rule in self._rules:
            if status in rule.statuses:
                return rule.handler
        return self._default if status >= 400 else None

    def __call__(self, response: Response) -> Response | T:
        """Return what the handler for the response's status returns, or the response."""
        handler = self.find(response.status_code)
        return response if handler is None else handler(response)

    def __iter__(self) -> Iterator[object]:
        return iter(self._table)

    def __repr__(self) -> str:
        return f"StatusDispatch({list(self._table)})"


def _statuses(key: Any) -> range:
    if isinstance(key, str) and _CLASS.fullmatch(key):
        lowest = int(key[0]) * 100
        return range(lowest, lowest + 100)
    if isinstance(key, (int, HTTPStatus)) and not isinstance(key, bool):
        statuses = range(int(key), int(key) + 1)
    elif isinstance(key, range):
        statuses = key
    else:
        hint = f": use {key}" if isinstance(key, str) and key.isdigit() else ""
        raise ConfigurationError(
            f"{key!r} is no status, range, '4xx'-style class or 'default'{hint}"
        )
    if not any(_LOWEST <= status <= _HIGHEST for status in statuses):
        raise ConfigurationError(f"{key!r} can never match: final statuses are 200 to 599")
    return statuses


def _handler(key: object, value: object) -> Callable[[Response], Any]:
    if not callable(value):
        raise ConfigurationError(f"the value for {key!r} cannot be called: {value!r}")
    handler = cast("Callable[[Response], Any]", value)
    is_error = isinstance(value, type) and issubclass(value, BaseException)
    return raising(handler) if is_error else handler


@dataclass(frozen=True, slots=True)
class _Raising:
    """A handler that raises; a class, so that a session that holds it pickles."""

    error: Callable[..., BaseException]

    def __call__(self, response: Response) -> NoReturn:
        kind = self.error
        if isinstance(kind, type) and issubclass(kind, errors.StatusError):
            raise errors.from_response(response, kind)
        cause = errors.from_response(response, errors.class_for(response.status_code))
        if not isinstance(kind, type):
            raise kind(response) from cause
        raise _build(kind, cause, response) from cause


def _build(
    kind: type[BaseException], cause: errors.StatusError, response: Response
) -> BaseException:
    if issubclass(kind, requests.RequestException):
        return kind(str(cause), response=response)
    try:
        return kind(str(cause))
    except TypeError:  # a class whose constructor wants nothing, or more
        return kind()


def raising(
    error: type[BaseException] | Callable[[Response], BaseException],
) -> Callable[[Response], NoReturn]:
    """Return a handler that raises.

    Args:
        error: An exception class, which gets the message of the StatusError as its one
            argument and the StatusError itself as its cause; or a callable that makes an
            exception from the response.

    Raises:
        ConfigurationError: It cannot be called.
    """
    if not callable(error):
        raise ConfigurationError(f"raising() needs an exception class, not {error!r}")
    return _Raising(error)


def as_dispatch(
    table: Mapping[Any, Callable[[Response], T]] | StatusDispatch[T] | None,
) -> StatusDispatch[T] | None:
    """Return the dispatch for `on_status=`; None is off.

    Raises:
        ConfigurationError: It is neither a table nor a dispatch.
    """
    if table is None or isinstance(table, StatusDispatch):
        return table
    if not isinstance(table, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"on_status={table!r} must map statuses to callables")
    return StatusDispatch(table)
