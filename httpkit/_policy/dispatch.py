"""What does this status mean here?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from httpkit._core.classes import Frozen, public
from httpkit._core.lazy import ImportedLater, pattern
from httpkit._diagnostics import errors
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.response import Response

if TYPE_CHECKING:
    from httpkit._core import redaction
else:
    redaction = ImportedLater("httpkit._core.redaction")

T = TypeVar("T")

# 1xx is never the final response (RFC 9110 section 15.2); others are no statuses (section 15).
_FINAL = range(200, 600)
_CLASS = pattern(r"[2-5]xx", re.IGNORECASE | re.ASCII)


class _Rule(NamedTuple):
    """Which statuses a handler is for; `rank` puts the most specific first."""

    rank: tuple[int, int]
    statuses: frozenset[int]
    handler: Callable[[Response], Any]


@public
class StatusDispatch(Generic[T]):
    """A mapping of statuses to handlers of the response.

    Keys are a status (404, `HTTPStatus.NOT_FOUND`), a range (`range(500, 505)`), a class
    ("4xx"), or "default" for any error status that nothing else matches; a success needs a
    key of its own. The most specific wins: a status before a range, a narrow range before a
    wide one, a class, "default". Values are called with the response; an exception class is
    raised.

    Args:
        table: Keys to callables; an empty table matches no status.

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
                statuses = _statuses(key)
                rules.append(_Rule(_rank(key, statuses), statuses, handler))
        # Stable: of two ranges equally wide the first given wins.
        self._rules = sorted(rules, key=lambda rule: rule.rank)
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


def _statuses(key: Any) -> frozenset[int]:
    """Return the final statuses that a key matches.

    Raises:
        ConfigurationError: It is no key, or matches none.
    """
    if type(key) is int and key in _FINAL:  # nearly always: saves 15 us of looking at 400 others
        return frozenset((key,))
    if isinstance(key, str) and _CLASS.fullmatch(key):
        statuses = range(int(key[0]) * 100, int(key[0]) * 100 + 100)
    elif isinstance(key, int) and not isinstance(key, bool):
        statuses = range(key, key + 1)
    elif isinstance(key, range):
        statuses = key
    else:
        hint = f": use {key}" if isinstance(key, str) and key.isdigit() else ""
        raise ConfigurationError(
            f"{key!r} is not a status, range, '4xx'-style class or 'default'{hint}"
        )
    found = frozenset(status for status in _FINAL if status in statuses)
    if not found:
        raise ConfigurationError(f"{key!r} can never match: final statuses are 200 to 599")
    return found


def _rank(key: object, statuses: frozenset[int]) -> tuple[int, int]:
    specificity = 2 if isinstance(key, str) else 1 if isinstance(key, range) else 0
    return specificity, len(statuses)


def _handler(key: object, value: object) -> Callable[[Response], Any]:
    if not callable(value):
        raise ConfigurationError(
            f"the value for {key!r} cannot be called: {redaction.shown(value)}"
        )
    handler = cast("Callable[[Response], Any]", value)
    is_error = isinstance(value, type) and issubclass(value, BaseException)
    return raising(handler) if is_error else handler


class _Raising(Frozen):
    """A handler that raises; a class, so that a session that holds it pickles."""

    _fields = ("error",)

    error: Callable[..., BaseException]

    def __init__(self, error: Callable[..., BaseException]) -> None:
        self.__dict__.update(error=error)

    def __call__(self, response: Response) -> NoReturn:
        error = self.error
        if isinstance(error, type) and issubclass(error, errors.StatusError):
            raise errors.from_response(response, error)
        cause = errors.from_response(response, errors.class_for(response.status_code))
        if not isinstance(error, type):
            raise error(response) from cause
        wanted: type[BaseException] = error
        built = errors.build(wanted, str(cause), response)
        if built is None:
            why = f"{error.__name__} could not be made: it takes more than a message"
            errors.add_note(cause, why)
            raise cause
        raise built from cause


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
