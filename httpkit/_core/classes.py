"""How classes are made that cost little to import: immutable values, and public classes.

`dataclasses` imports `inspect`, which takes 4 ms, and compiles each method of a class, which takes
1 ms (2026-11); `import httpkit` should take 10. Here a class writes its own `__init__`, and the
rest is inherited. `dataclasses.fields`, `replace` and `asdict` work as with any other dataclass,
and a dataclass can be derived.

Public classes belong to the module that users import them from: tracebacks then say
`httpkit.NotFoundError`, and a pickle survives a move within the package.

Rule: `Frozen` is for modules that are imported with the package; others use `dataclasses`.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar, ForwardRef, NoReturn, Self, TypeVar, dataclass_transform

C = TypeVar("C")


class _Annotations(dict[str, Any]):
    """Annotations whose text is evaluated in the module that it was written in.

    References are made when somebody asks: each is compiled, which takes 10 us before Python 3.14.
    """

    def __init__(self, written: dict[str, Any], module: str) -> None:
        super().__init__(written)
        self._module = module

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if not isinstance(value, str):
            return value
        return ForwardRef(value, module=self._module, is_class=True)

    def __iter__(self) -> Iterator[str]:  # or `dict()` would copy the text
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return names and references."""
        return dict(self).items()


def public(cls: C, *, module: str = "httpkit") -> C:
    """Return a class as one of a public module.

    `typing.get_type_hints` evaluates annotations that are text in the module of their class, so
    those keep the name of the module in which they were written.
    """
    held: Any = cls
    with suppress(NameError):  # from Python 3.14 on, of annotations that are no text
        if annotations := held.__annotations__:
            held.__annotations__ = _Annotations(annotations, held.__module__)
    held.__module__ = module
    return cls


class _Description:
    """What `dataclasses` keeps in a class: taken from a real dataclass when somebody asks."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(_described(_declaring(owner)), self._name)


@dataclass_transform(frozen_default=True)
class Frozen:
    """A value that is compared, hashed and shown by its fields, which cannot be assigned.

    A class names its fields in `_fields`, annotates them, and stores them in `__dict__`.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    __dataclass_fields__: ClassVar[Mapping[str, Any]] = _Description()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # a descriptor
    __dataclass_params__: ClassVar[Any] = _Description()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        pairs = zip(self._fields, self._values(), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{n}={v!r}' for n, v in pairs)})"

    def __setattr__(self, name: str, value: object) -> None:
        if self._is_fixed(name):
            _reject(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_fixed(name):
            _reject(f"cannot delete field {name!r}")
        super().__delattr__(name)

    def __replace__(self, **changes: Any) -> Self:
        """Return a copy with other values, for `copy.replace`."""
        return type(self)(**{**dict(zip(self._fields, self._values(), strict=True)), **changes})

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])

    def _is_fixed(self, name: str) -> bool:
        """Say whether an attribute is a field, or of a class that has nothing else."""
        return name in self._fields or type(self) is _declaring(type(self))


def _reject(message: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(message)


def _declaring(cls: type) -> type:
    return next(each for each in cls.__mro__ if "_fields" in vars(each))


@cache
def _described(cls: type) -> type:
    """Return a dataclass with the fields of a class, their types and their defaults."""
    import dataclasses
    import inspect

    parameters = inspect.signature(cls).parameters
    members = [
        (
            name,
            each.annotation,
            dataclasses.field(
                default=dataclasses.MISSING if each.default is each.empty else each.default,
                kw_only=each.kind is each.KEYWORD_ONLY,
            ),
        )
        for name, each in parameters.items()
    ]
    return dataclasses.make_dataclass(cls.__name__, members, frozen=True)
