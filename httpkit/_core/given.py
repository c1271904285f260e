"""What was given, and of which type: "not given" apart from None, and checks that narrow types."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # it takes 3 ms to import
    from typing_extensions import TypeIs


class NotGiven(enum.Enum):
    """The type of "not given", where None already means off."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


def as_text(value: object) -> str:
    """Return a header value, method or reason phrase as text; bytes are Latin-1 (RFC 9110 5.5)."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def is_list(value: object) -> TypeIs[list[Any]]:
    """Say whether a value is a list; its items stay unknown, but are not a type error."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeIs[tuple[Any, ...]]:
    """Say whether a value is a tuple."""
    return isinstance(value, tuple)


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """Say whether a value is a mapping."""
    return isinstance(value, Mapping)
