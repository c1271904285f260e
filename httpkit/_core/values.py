"""One text for a value, wherever a request carries it: query, form, path, as JSON has it.

Rule: what cannot be one text is refused; a guess would be sent.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

_UNCHANGED = frozenset({str, int, float, bytes, type(None)})
_LISTS = (list, tuple, set, frozenset)
_SINGLE = (str, bytes, bytearray, memoryview, Mapping, Enum)
_SCALARS = (str, bytes, int, float, date, time, timedelta, Decimal)


def format_scalar(value: Any) -> Any:
    """Return a value as what is sent of it: text, a number, bytes, or None.

    True is "true", a time is ISO 8601, an enum is its value, a Decimal and a UUID their text.

    >>> format_scalar(True), format_scalar(Decimal("1.10"))
    ('true', '1.10')

    Raises:
        TypeError: It is a mapping, a list or a secret that hides itself; the message says so, as
            what follows a name.
    """
    if type(value) in _UNCHANGED:
        return value
    for types, form in _FORMS:
        if isinstance(value, types):
            return form(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    _check_scalar(value)
    text = str(value)
    return text.lower() if text in {"True", "False"} else text  # numpy's


def _check_scalar(value: Any) -> None:
    if hasattr(value, "get_secret_value"):
        raise TypeError("hides its secret: pass get_secret_value()")
    if isinstance(value, Mapping):
        raise TypeError("is a nested mapping: name its members, or use form=True")
    if isinstance(value, _LISTS) or _entries(value) is not None:
        raise TypeError("is a list within a list")
    cls: Any = type(value)  # pyright: ignore[reportUnknownVariableType]  # of a Mapping
    if _is_model(value):
        raise TypeError(f"is a {cls.__name__}: name its members, or use form=True")
    is_unnamed = cls.__str__ is object.__str__ and cls.__repr__ is object.__repr__
    if is_unnamed or callable(value):
        raise TypeError(f"is a {cls.__name__}, which has no text")


def format_values(value: Any) -> Any:
    """Return a value, or each of a list of them, as `format_scalar` does."""
    if type(value) in _UNCHANGED:
        return value
    entries = _entries(value)
    return format_scalar(value) if entries is None else [format_scalar(item) for item in entries]


def _entries(value: Any) -> Iterator[Any] | None:
    """Return what a list, a generator or an array holds; None for a single value."""
    if not hasattr(value, "__iter__") or _is_single(value):
        return None
    with suppress(TypeError):  # pydantic's URLs only claim to be iterable
        entries: Iterator[Any] = iter(value)
        return entries
    return None


def _is_single(value: Any) -> bool:
    return isinstance(value, _SINGLE) or _is_model(value)


def _is_model(value: Any) -> bool:
    from httpkit._core.models import is_of_fields

    return is_of_fields(value.__class__)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, *_LISTS))


def format_id(value: Any) -> Any:
    """Return what names a resource in a path, as `format_scalar` does, bytes among it.

    Raises:
        TypeError: It is an object that only happens to have a text.
    """
    plain: Any = value.value if isinstance(value, Enum) else value
    if isinstance(plain, (*_SCALARS, uuid.UUID)):
        return format_scalar(plain)
    if hasattr(plain, "get_secret_value") or _is_nested(plain):
        _check_scalar(plain)
    with suppress(TypeError):
        return operator.index(plain)
    raise TypeError(f"is a {type(value).__name__}, which names nothing in a URL")


def _format_time(value: date | time | timedelta) -> str:
    if value != value:  # noqa: PLR0124  # NaT of pandas
        raise TypeError("is not a time")
    if isinstance(value, timedelta):
        from httpkit._core.models import encode

        return str(encode(timedelta(value.days, value.seconds, value.microseconds)))
    text = value.isoformat()
    # As JSON has it; a plus sign is a space to many who read a query.
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _unchanged(value: Any) -> Any:
    return value


# The first that a value is an instance of counts.
_FORMS: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    (Enum, lambda value: format_scalar(value.value)),
    (bool, lambda value: "true" if value else "false"),
    ((date, time, timedelta), _format_time),
    (Decimal, str),
    ((bytearray, memoryview), bytes),
    ((str, int, float, bytes), _unchanged),
)
