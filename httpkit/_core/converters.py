"""Types that hold attrs classes with converters, which msgspec does not call.

Such a class is built by its own constructor, wherever it is in a type; everything else in the
type is left to msgspec.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from httpkit._core.given import is_list, is_mapping
from httpkit._core.lazy import pattern

# What turns a value into a type that holds no converter; it raises a ValueError.
Convert = Callable[[Any, Any], Any]

_PATH_IN_MESSAGE = pattern(r" - (?:at|in) `\$", re.ASCII)
# What a converter raises that meets another value than it expects.
_CONVERSION_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_COLLECTIONS: tuple[Any, ...] = (tuple, set, frozenset)
_UNIONS = (typing.Union, types.UnionType)


def has_converters(model: object) -> bool:
    """Say whether a type is or holds an attrs class with converters."""
    try:
        return _has_converters_cached(model)
    except (TypeError, NameError):  # not hashable; or a name that is not defined, msgspec says
        return False


@lru_cache(maxsize=256)
def _has_converters_cached(model: object) -> bool:
    return _has_converters(model, set())


def _has_converters(model: object, visited: set[int]) -> bool:
    if id(model) in visited:
        return False
    visited.add(id(model))
    if isinstance(model, type) and any(
        field.converter is not None for field in getattr(model, "__attrs_attrs__", ())
    ):
        return True
    parts: list[Any] = list(typing.get_args(model))
    if isinstance(model, type) and _members(model) is not None:
        parts.extend(typing.get_type_hints(model).values())
    return any(_has_converters(part, visited) for part in parts)


def build(value: Any, model: Any, convert: Convert) -> Any:
    """Turn parsed JSON into a type that holds such classes.

    Args:
        value: Parsed JSON.
        model: The type.
        convert: Turns values into types without converters.

    Raises:
        ValueError: It is not of the type; the message has the path.
    """
    if not has_converters(model):
        return convert(value, model)
    origin, args = typing.get_origin(model), typing.get_args(model)
    if origin is typing.Annotated:
        return build(value, args[0], convert)
    if origin in _UNIONS:
        return _build_union(value, args, convert)
    if isinstance(model, type) and origin is None:
        return _build_class(value, model, convert)
    if _members(origin) is not None:  # a class with type parameters
        return convert(value, model)
    return _build_collection(value, origin, args, convert)


def _build_collection(value: Any, origin: Any, args: tuple[Any, ...], convert: Convert) -> Any:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        members = _required(value, is_mapping, "object")
        return {
            convert(name, args[0]): _part(member, args[1], convert, "[...]")
            for name, member in members.items()
        }
    entries = _required(value, is_list, "array")
    built = [_part(entry, args[0], convert, f"[{n}]") for n, entry in enumerate(entries)]
    return origin(built) if origin in _COLLECTIONS else built


def _build_union(value: Any, args: tuple[Any, ...], convert: Convert) -> Any:
    if value is None and type(None) in args:
        return None
    reasons: list[ValueError] = []
    for arg in args:
        if arg is not type(None):
            try:
                return build(value, arg, convert)
            except ValueError as error:
                reasons.append(error)
    raise reasons[-1]


def _build_class(value: Any, model: Any, convert: Convert) -> Any:
    members = _required(value, is_mapping, "object")
    annotations = typing.get_type_hints(model)
    given: dict[str, Any] = {}
    for name, alias, is_converted, is_required in _members(model) or ():
        if name in members:
            part = members[name]
            if not is_converted and (alias in annotations or name in annotations):
                annotation = annotations.get(alias, annotations.get(name))
                part = _part(part, annotation, convert, f".{name}")
            given[alias] = part
        elif is_required:
            raise ValueError(f"Object missing required field `{name}`")
    try:
        return model(**given)
    except _CONVERSION_ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _members(model: Any) -> Iterator[tuple[str, str, bool, bool]] | None:
    """Return name in JSON, parameter, whether it has a converter, whether it is required."""
    if hasattr(model, "__attrs_attrs__"):
        nothing = _nothing()
        return (
            (each.name, each.alias, each.converter is not None, each.default is nothing)
            for each in model.__attrs_attrs__
            if each.init
        )
    if hasattr(model, "__dataclass_fields__"):
        import dataclasses

        absent = dataclasses.MISSING
        return (
            (f.name, f.name, False, f.default is absent and f.default_factory is absent)
            for f in dataclasses.fields(model)
            if f.init
        )
    if hasattr(model, "__struct_fields__"):
        # What is required the constructor says.
        names = zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True)
        return ((encoded, name, False, False) for encoded, name in names)
    if hasattr(model, "__required_keys__"):  # a TypedDict
        required = model.__required_keys__
        return ((name, name, False, name in required) for name in typing.get_type_hints(model))
    return None


def _nothing() -> object:
    import attrs

    return attrs.NOTHING


def _part(value: Any, model: Any, convert: Convert, step: str) -> Any:
    try:
        return build(value, model, convert)
    except ValueError as error:
        raise ValueError(_with_step(str(error), step)) from error


def _with_step(message: str, step: str) -> str:
    """Return a message with one more step at the beginning of its path."""
    if (found := _PATH_IN_MESSAGE.search(message)) is not None:
        return f"{message[: found.end()]}{step}{message[found.end() :]}"
    return f"{message} - at `${step}`"


def _required(value: Any, is_of: Callable[[Any], bool], name: str) -> Any:
    if not is_of(value):
        found = _NAMES.get(type(value).__name__, "object")
        raise ValueError(f"Expected `{name}`, got `{found}`")
    return value


# How messages name what JSON has.
_NAMES = {
    "dict": "object", "list": "array", "str": "str", "int": "int", "float": "float",
    "bool": "bool", "NoneType": "null",
}  # fmt: skip
