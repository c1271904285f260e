"""Immutable values whose classes cost little to import.

`dataclasses` imports `inspect`, which takes 4 ms, and compiles each method of a class, which takes
1 ms (2026-11); `import httpkit` should take 10. Here a class writes its own `__init__`, and the
rest is inherited. `dataclasses.fields`, `replace` and `asdict` work as with any other dataclass,
and a dataclass can be derived.

Rule: for modules that are imported with the package; others use `dataclasses`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


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
