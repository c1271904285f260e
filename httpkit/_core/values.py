"""One text for a value, wherever a request carries it: query, form, path, as JSON has it.

Rule: what cannot be one text is refused; a guess would be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

_AS_THEY_ARE = frozenset({str, int, float, bytes, type(None)})
_LISTS = (list, tuple, set, frozenset)


def format_scalar(value: Any) -> Any:
    """Return a value as what is sent of it: text, a number, bytes, or None.

    True is "true", a time is ISO 8601, an enum is its value, a Decimal and a UUID their text.

    >>> format_scalar(True), format_scalar(Decimal("1.10"))
    ('true', '1.10')

    Raises:
        TypeError: It is a mapping, a list or a secret that hides itself; the message says so, as
            what follows a name.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Enum):
        return format_scalar(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date, time, timedelta)):
        return _format_time(value)
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    _check_scalar(value)
    return value


def _check_scalar(value: Any) -> None:
    if hasattr(value, "get_secret_value"):
        raise TypeError("hides its secret: pass get_secret_value()")
    if isinstance(value, Mapping):
        raise TypeError("is a nested mapping: name its members, or use form=True")
    if isinstance(value, _LISTS):
        raise TypeError("is a list within a list")


def format_values(value: Any) -> Any:
    """Return a value, or each of a list of them, as `format_scalar` does."""
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, _LISTS):
        return [format_scalar(item) for item in cast("Iterable[Any]", value)]
    return format_scalar(value)


def format_id(value: Any) -> Any:
    """Return what names a resource in a path, as `format_scalar` does, bytes among it.

    Raises:
        TypeError: It is an object that only happens to have a text.
    """
    formatted = format_scalar(value)
    if isinstance(formatted, (str, bytes, int, float)) or hasattr(formatted, "__index__"):
        return formatted
    raise TypeError(f"is a {type(value).__name__}, which names nothing in a URL")


def _format_time(value: date | time | timedelta) -> str:
    if isinstance(value, timedelta):
        from httpkit._core.models import encode

        return str(encode(value))
    text = value.isoformat()
    # As JSON has it; a plus sign is a space to many who read a query.
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
