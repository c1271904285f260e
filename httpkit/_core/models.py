"""From bytes to the caller's types and back; the only importer of msgspec.

Rule: no I/O. A mismatch is a ValueError here; the layers above say for which response.
"""

from __future__ import annotations

import enum
import json
import operator
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import requests

from httpkit._core import converters, upstream
from httpkit._core.given import is_mapping, is_tuple
from httpkit._core.lazy import ImportedLater, pattern

if TYPE_CHECKING:
    from httpkit._core import disclosure, redaction
else:
    disclosure = ImportedLater("httpkit._core.disclosure")
    redaction = ImportedLater("httpkit._core.redaction")

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
# JSON already, or what JSON cannot say and json.dumps refuses.
_STANDARD_TYPES = (str, int, float, list, tuple, set, frozenset, bytes, bytearray, memoryview)
_MODEL_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__")
# Classes of these modules mean a JSON value to msgspec; other plain classes are called.
_VALUE_MODULES = frozenset({"builtins", "datetime", "decimal", "uuid", "typing", "types"})
# The end of msgspec's message, such as "- at `$[6].userId`".
_ITEM = pattern(r"- at `\$\[(\d+)\]")
# A message names the members of an unexpected document; a few are enough.
_MOST_NAMES, _LONGEST_NAME = 8, 40


class Unparsed(enum.Enum):
    """What `parsed` returns instead of a value, which may be None."""

    UNPARSED = "unparsed"


UNPARSED = Unparsed.UNPARSED


class MismatchError(ValueError):
    """The document is not JSON, or not of the model.

    Attributes:
        item: The index of the invalid item in its array, from 0; None for no item.
    """

    def __init__(self, message: str, *, item: int | None = None) -> None:
        super().__init__(message)
        self.item = item


class UnsupportedModelError(TypeError):
    """Nothing can be decoded into this model; the message says what to do."""


class UnresolvedModelError(UnsupportedModelError):
    """A name in this model is not defined, or not yet."""


def decode(body: bytes, model: Callable[..., T]) -> T:
    """Decode strict JSON (RFC 8259) into a model.

    Args:
        body: UTF-8, with or without a byte order mark.
        model: A dataclass, TypedDict, attrs or msgspec class, a generic such as `list[Post]`,
            what pydantic validates (a model, its dataclasses, a TypeAdapter, a generic or a
            union of them), or any callable given the parsed JSON.

    Raises:
        MismatchError: It is not JSON (NaN and invalid UTF-8 included) or not of the model; the
            message names the field.
    """
    if (validator := _pydantic_validator(model)) is not None:
        return typing.cast("T", _validate_json(validator, body))
    if _is_native(model) and not converters.has_converters(model):
        return typing.cast("T", _decode_native(body, model))
    return build(_decode_native(body, Any), model)


def check(model: object) -> None:
    """Check a model before anything is sent.

    Raises:
        UnresolvedModelError: A name in it is not defined yet.
        UnsupportedModelError: Nothing can be decoded into it.
    """
    if typing.get_origin(model) is None and not callable(model):
        if hasattr(model, "validate_json"):
            return
        raise UnsupportedModelError(
            f"model={model!r} must be a class, a generic type or a callable"
        )
    if _pydantic_validator(model) is None and _is_native(model):
        _check_native(model)


def _check_native(model: object) -> None:
    import msgspec

    try:
        msgspec.json.Decoder(typing.cast("Any", model))
        unknown = [*_custom_types(msgspec.inspect.type_info(model), set())]
    except NameError as error:
        raise UnresolvedModelError(f"{_name(model)} cannot be decoded: {error}") from error
    except (TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{_name(model)} cannot be decoded: {error}; for a union of classes use msgspec"
            " Structs with tag=, pydantic models, or a callable that chooses"
        ) from error
    for cls in unknown:
        if cls is not object and not hasattr(cls, "model_validate"):
            raise UnsupportedModelError(
                f"{_name(model)} cannot be decoded: it holds {_name(cls)}, which is not a"
                " dataclass, attrs, msgspec or pydantic class; a callable can be a model"
            )


def _custom_types(info: Any, visited: set[int]) -> Iterator[Any]:
    """Return the classes within a type that msgspec does not know."""
    if id(info) in visited:
        return
    visited.add(id(info))
    if type(info).__name__ == "CustomType":
        yield info.cls
    if type(info).__module__.startswith("msgspec"):
        for name in getattr(info, "__struct_fields__", ()):
            value: Any = getattr(info, name)
            parts: tuple[Any, ...] = value if is_tuple(value) else (value,)
            for part in parts:
                yield from _custom_types(part, visited)


def _name(model: object) -> str:
    return model.__name__ if isinstance(model, type) else repr(model)


def _pydantic_validator(model: object) -> Any:
    """Return what validates by pydantic; None where pydantic has no part in the model."""
    if hasattr(model, "validate_json"):  # a TypeAdapter
        return model
    if "pydantic" not in sys.modules or not _is_of_pydantic(model):
        return None
    if hasattr(model, "__pydantic_validator__"):
        return model
    return _adapter(model)


@lru_cache(maxsize=256)
def _adapter(model: Any) -> Any:
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(model)
    except PydanticUserError:  # such as a TypedDict of typing's before Python 3.12
        return None


def _is_of_pydantic(model: object) -> bool:
    try:
        return _holds_pydantic_cached(model)
    except TypeError:  # not hashable, such as an Annotated with a list
        return _holds_pydantic(model, set())
    except NameError as error:  # a class that is defined further down
        raise UnresolvedModelError(f"{_name(model)} cannot be decoded: {error}") from error


@lru_cache(maxsize=256)  # get_type_hints takes longer than a small document
def _holds_pydantic_cached(model: object) -> bool:
    return _holds_pydantic(model, set())


def _holds_pydantic(model: object, visited: set[int]) -> bool:
    """Say whether a type is pydantic's, or a generic, union or dataclass that holds one."""
    if id(model) in visited:
        return False
    visited.add(id(model))
    if isinstance(model, type) and "__pydantic_validator__" in dir(model):
        return True
    parts: list[Any] = list(typing.get_args(model))
    if isinstance(model, type) and (hasattr(model, "__dataclass_fields__") or _is_typeddict(model)):
        parts.extend(typing.get_type_hints(model, include_extras=True).values())
    return any(_holds_pydantic(part, visited) for part in parts)


def _validate_json(validator: Any, body: bytes) -> Any:
    validate = getattr(validator, "model_validate_json", None) or getattr(
        validator, "validate_json", None
    )
    if validate is None:  # a dataclass of pydantic's
        validate = validator.__pydantic_validator__.validate_json
    return _call(validate, body.removeprefix(_BOM))


def _validate_value(validator: Any, value: Any) -> Any:
    """Validate parsed JSON: as JSON, where strict models know more than of Python's types."""
    try:
        body = json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        validate = getattr(validator, "model_validate", None) or getattr(
            validator, "validate_python", None
        )
        return _call(validate or validator.__pydantic_validator__.validate_python, value)
    return _validate_json(validator, body)


def parsed(body: bytes) -> Any:
    """Return what `json.loads` makes of a body, in half the time; UNPARSED if it has to be asked.

    msgspec refuses what the standard library lets pass: NaN, infinity, half of a surrogate pair,
    text that is not UTF-8. It builds the same of everything else.
    """
    if json.loads is not upstream.STANDARD_LOADS:  # somebody replaced it
        return UNPARSED
    import msgspec

    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):  # explained better, or allowed, by the standard library
        return UNPARSED


def build(value: Any, model: Callable[..., T]) -> T:
    """Turn parsed JSON into a model; see `decode`."""
    if (validator := _pydantic_validator(model)) is not None:
        return typing.cast("T", _validate_value(validator, value))
    if validate := getattr(model, "model_validate", None):
        return _call(typing.cast("Callable[[Any], T]", validate), value)
    if not _is_native(model):
        return _call(model, value)
    if converters.has_converters(model):
        return typing.cast("T", _build_converted(value, model))
    return typing.cast("T", _convert(value, model))


def _convert(value: Any, model: Any) -> Any:
    import msgspec

    try:
        return msgspec.convert(value, model, dec_hook=_validate)
    except (ValueError, RecursionError, NotImplementedError) as error:
        raise MismatchError(str(error)) from error


def _build_converted(value: Any, model: Any) -> Any:
    """Build a type that holds attrs classes with converters."""
    try:
        return converters.build(value, model, _convert)
    except ValueError as error:
        raise MismatchError(str(error)) from error


# What a callable raises that meets another document than it expects.
_VALIDATION_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def _call(model: Callable[[Any], T], value: Any) -> T:
    if typing.cast("object", model) is object:
        return typing.cast("T", value)
    try:
        return model(value)
    except _VALIDATION_ERRORS as error:  # pydantic's ValidationError is a ValueError
        words = _words_of(error)
        if not _quotes_secret(error):
            raise MismatchError(words) from error
    raise MismatchError(words)  # not from that error: its text cannot be changed


def _words_of(error: Exception) -> str:
    """Return what is wrong: of pydantic's errors the fields, without what was given for them."""
    entries = _entries_of(error)
    if not entries:
        return f"{type(error).__name__}: {error}"
    shown = [f"{_path_of(entry)}{entry['msg']}" for entry in entries[:_MOST_NAMES]]
    more = len(entries) - len(shown)
    return "; ".join(shown) + (f" (and {more} more)" if more else "")


def _entries_of(error: Exception) -> Sequence[Mapping[str, Any]]:
    if type(error).__module__ != "pydantic_core._pydantic_core":
        return ()
    refused: Any = error
    entries: Sequence[Mapping[str, Any]] = refused.errors(
        include_url=False, include_input=False, include_context=False
    )
    return entries


def _path_of(entry: Mapping[str, Any]) -> str:
    path = ".".join(map(str, entry["loc"]))
    return f"{path}: " if path else ""


def _quotes_secret(error: Exception) -> bool:
    """Say whether pydantic's text of an error, which cannot be changed, quotes a credential."""
    entries = _entries_of(error)
    places = [str(name) for entry in entries for name in entry["loc"]]
    is_named = any(map(disclosure.is_secret, places))
    return is_named or (bool(entries) and redaction.redact_text(str(error)) != str(error))


def _validate(cls: Any, value: Any) -> Any:
    """Build, within a generic, a class that msgspec does not know: msgspec's dec_hook."""
    if cls is object:
        return value
    if validate := getattr(cls, "model_validate", None):
        return validate(value)
    raise NotImplementedError(f"{cls!r} is not a model")


def _decode_native(body: bytes, model: object) -> Any:
    import msgspec

    try:
        wanted = typing.cast("Any", model)
        return msgspec.json.decode(body.removeprefix(_BOM), type=wanted, dec_hook=_validate)
    except (ValueError, RecursionError, NotImplementedError) as error:
        raise MismatchError(str(error)) from error
    except (TypeError, NameError) as error:  # msgspec's, of the type: for a union, say
        raise UnsupportedModelError(f"{_name(model)} cannot be decoded: {error}") from error


def _is_typeddict(model: object) -> bool:
    import typing_extensions  # it knows its own, too

    return typing_extensions.is_typeddict(model)


def _is_native(model: object) -> bool:
    """Say whether msgspec knows how to build this."""
    if typing.get_origin(model) is not None:
        return True
    if model is object:  # anything; msgspec says Any
        return False
    if not isinstance(model, type):
        return False
    cls: Any = model
    return (
        any(hasattr(model, mark) for mark in _MODEL_MARKS)
        or _is_typeddict(model)
        or issubclass(model, enum.Enum)
        or hasattr(cls, "_fields")  # NamedTuple
        or model.__module__ in _VALUE_MODULES
    )


def encode(item: Any, *, omit_unset: bool = False) -> Any:
    """Turn a model into what `json=` takes; everything else is given back as it is.

    Args:
        item: A dataclass, attrs, msgspec or pydantic object, or JSON already.
        omit_unset: Leave out the fields that are None and have None as their default.
    """
    if item is None or issubclass(type(item), _STANDARD_TYPES) or is_mapping(item):
        return item
    try:
        encoded = _to_builtins(item)
    except (TypeError, ValueError, RecursionError) as error:
        raise requests.exceptions.InvalidJSONError(
            f"{type(item).__name__} cannot be sent as JSON: {error}"
        ) from error
    if omit_unset and is_mapping(encoded):
        unset = _unset_fields(item)
        return {name: value for name, value in encoded.items() if name not in unset}
    return encoded


def _to_builtins(item: Any) -> Any:
    if dump := getattr(item, "model_dump", None):
        if _hides_secret(item):
            raise TypeError("it holds a secret that hides itself: pass get_secret_value()")
        return dump(mode="json", by_alias=_has_aliases(type(item)))
    import msgspec

    # Bytes are left for JSON to refuse: base64 would be a guess.
    return msgspec.to_builtins(
        item, builtin_types=(bytes, bytearray, memoryview), enc_hook=_as_standard
    )


def _as_standard(value: Any) -> Any:
    """Return what the standard library calls a value of numpy, pandas or pendulum."""
    import numbers

    if isinstance(value, numbers.Integral):
        return operator.index(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    if isinstance(value, timedelta):
        return timedelta(value.days, value.seconds, value.microseconds)
    for cls in (datetime, date, time):
        if isinstance(value, cls):
            return cls.fromisoformat(value.isoformat())
    if type(value).__name__ in {"bool", "bool_"}:  # numpy's are no numbers
        return bool(value)
    raise TypeError(f"encoding objects of type {type(value).__name__} is unsupported")


def is_of_fields(cls: type) -> bool:
    """Say whether objects of a class are models: of dataclasses, attrs, msgspec or pydantic."""
    return hasattr(cls, "model_dump") or any(hasattr(cls, mark) for mark in _MODEL_MARKS)


def _hides_secret(item: object) -> bool:
    """Say whether a pydantic model would send asterisks for a SecretStr."""
    if getattr(item, "get_secret_value", None) is not None:
        return True
    parts: list[Any] = []
    if is_mapping(item):
        parts.extend(item.values())
    elif isinstance(item, (list, tuple, set)):
        parts.extend(cast("list[Any]", item))
    elif getattr(item, "model_dump", None) is not None:
        parts.extend(vars(item).values())
    return any(map(_hides_secret, parts))


def _has_aliases(cls: Any) -> bool:
    """Say whether a pydantic class is sent by its aliases: it is read by them."""
    return getattr(cls, "model_config", {}).get("serialize_by_alias") is not False


def _unset_fields(item: object) -> set[str]:
    """Return the encoded names of the fields that are None because nobody set them."""
    import dataclasses

    cls: Any = type(item)
    if dataclasses.is_dataclass(cls):
        nullable = [(f.name, f.name) for f in dataclasses.fields(cls) if f.default is None]
    elif hasattr(cls, "__struct_fields__"):
        nullable = _nullable_struct_fields(cls)
    elif hasattr(cls, "__attrs_attrs__"):
        nullable = [(a.name, a.name) for a in cls.__attrs_attrs__ if a.default is None]
    else:
        fields: Mapping[str, Any] = getattr(cls, "model_fields", {})
        by_alias = _has_aliases(cls)
        nullable = [
            (name, (field.serialization_alias if by_alias else None) or name)
            for name, field in fields.items()
            if field.default is None
        ]
    return {encoded for name, encoded in nullable if getattr(item, name) is None}


def _nullable_struct_fields(cls: Any) -> list[tuple[str, str]]:
    import msgspec

    fields = msgspec.structs.fields(cls)
    return [(field.name, field.encode_name) for field in fields if field.default is None]


def raw_members(body: bytes) -> Mapping[str, Any] | None:
    """Return the members of a JSON object, not decoded; None for any other JSON value.

    Raises:
        MismatchError: It is not JSON.
    """
    import msgspec

    if (first := body.removeprefix(_BOM).lstrip()[:1]) == b"{":
        members: dict[str, msgspec.Raw] = _decode_native(body, dict[str, msgspec.Raw])
        return members
    if first != b"[":
        _decode_native(body, Any)  # raises for what is not JSON
    return None


def raw_entries(body: bytes) -> Sequence[Any] | None:
    """Return the entries of a JSON array, not decoded; None for any other JSON value.

    Raises:
        MismatchError: It is not JSON.
    """
    import msgspec

    if body.removeprefix(_BOM).lstrip()[:1] != b"[":
        return None
    entries: list[msgspec.Raw] = _decode_native(body, list[msgspec.Raw])
    return entries


def list_names(members: Iterable[str]) -> str:
    """Return the names of a document's members for a message; a few are enough."""
    names = list(members)
    listed = [repr(name[:_LONGEST_NAME]) for name in names[:_MOST_NAMES]]
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return ", ".join(listed) + more if listed else "no member"


def scalar(body: bytes) -> str | None:
    """Return a JSON value as text, numbers as they are written; None for null.

    Raises:
        MismatchError: It is an object or an array.
    """
    raw = body.strip()
    if raw[:1] in {b"{", b"["}:
        raise MismatchError("there is no single value")
    if raw[:1] == b'"':
        return typing.cast("str", _decode_native(raw, str))
    return None if raw == b"null" else raw.decode()


def decode_list(body: bytes, model: Callable[..., T]) -> list[T]:
    """Decode a JSON array of models; see `decode`.

    Raises:
        MismatchError: It is not an array, or an item is not of the model: it has the item's index.
    """
    if (validator := _pydantic_validator(model)) is not None:
        entries = raw_entries(body)
        if entries is None:
            entries = _entries(body)  # raises
        return _each(entries, lambda entry: _validate_json(validator, bytes(entry)))
    if _is_native(model) and not converters.has_converters(model):
        cls: Any = model
        try:
            items: list[T] = _decode_native(body, list[cls])
        except MismatchError as error:
            raise _indexed(error, body) from error
        return items
    return build_list(_entries(body), model)


def build_list(entries: Iterable[Any], model: Callable[..., T]) -> list[T]:
    """Turn parsed values into models; see `decode_list`."""
    return _each(entries, lambda entry: build(entry, model))


def _each(entries: Iterable[Any], make: Callable[[Any], T]) -> list[T]:
    built: list[T] = []
    for number, item in enumerate(entries):
        try:
            built.append(make(item))
        except MismatchError as error:
            raise MismatchError(f"item [{number}]: {error}", item=number) from error
    return built


def _entries(body: bytes) -> list[Any]:
    try:
        entries: list[Any] = _decode_native(body, list[Any])
    except MismatchError as error:
        raise _indexed(error, body) from error
    return entries


def _indexed(error: MismatchError, body: bytes) -> MismatchError:
    """Return the error with the index of its item; of an object, with the names of its members."""
    import msgspec

    if found := _ITEM.search(str(error)):
        return MismatchError(str(error), item=int(found[1]))
    try:
        members: dict[str, msgspec.Raw] = _decode_native(body, dict[str, msgspec.Raw])
    except MismatchError:
        return error
    return MismatchError(f"{error} with {list_names(members)}")


def row(item: object) -> Any:
    """Return the fields of a model object as a dict, its values as they are; else the item."""
    if names := field_names(type(item)):
        return {name: getattr(item, name, None) for name in names}
    return dict(item) if is_mapping(item) else item


def field_names(cls: object) -> Sequence[str]:
    """Return the names of a model's fields; none for anything else."""
    if _is_typeddict(cls):
        return list(getattr(cls, "__annotations__", {}))
    import dataclasses

    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    for mark in ("__struct_fields__", "model_fields", "_fields"):
        if names := getattr(cls, mark, None):
            return list(names)
    attributes: Any = getattr(cls, "__attrs_attrs__", ())
    return [attribute.name for attribute in attributes]
