"""Dataclasses that cost little to import: `dataclass` and `field` as in the standard library.

`dataclasses` takes 3 ms to import, most of it for `inspect`, and 0.6 ms for a frozen class, whose
methods it compiles one by one: with ours that is more than everything else in `import httpkit`
(2026-11). Here the initialiser alone is compiled, when it is first
needed. `dataclasses.fields`, `replace`, `asdict` and
derived dataclasses work as with any other.

Rule: for modules that are imported with the package; others take the standard library's.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field
else:

    def dataclass(**options: bool) -> Callable[[type], type]:
        """Do as `dataclasses.dataclass`, which says what frozen, slots, eq, repr and kw_only do."""
        return lambda cls: _completed(cls, **options)

    class field:  # noqa: N801  # as the standard library has it
        """What `dataclasses.field` does with default, default_factory and repr."""

        def __init__(self, **options: Any) -> None:
            self.options = options


class _Made:
    """Stands in a signature for a default that is made each time."""

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()


def _completed(
    cls: Any,
    *,
    frozen: bool = False,
    slots: bool = False,
    eq: bool = True,
    repr: bool = True,
    kw_only: bool = False,
) -> Any:
    hints: dict[str, Any] = cls.__annotations__
    names = tuple(hints)
    defaults = {name: _members(cls)[name] for name in names if name in _members(cls)}
    options = {"frozen": frozen, "eq": eq, "repr": repr, "kw_only": kw_only}
    description = _description(cls, hints, defaults, options)
    cls = _bare(cls, names, slots=slots)
    given = {name: _options(value) for name, value in defaults.items()}
    added: dict[str, Any] = {
        "__init__": _CompiledLater(
            lambda: _initialiser(cls, hints, given, is_frozen=frozen, is_kw_only=kw_only)
        ),
        "__match_args__": () if kw_only else names,
        **description,
    }
    if repr:
        added["__repr__"] = _shown([n for n in names if given.get(n, {}).get("repr", True)])
    if eq:
        added |= _compared(names, is_frozen=frozen)
    if frozen:
        added |= _frozen(cls, frozenset(names))
    if frozen and slots:
        added |= _pickled(names)
    for name, value in added.items():
        if name not in _members(cls) or name == "__hash__":
            setattr(cls, name, value)
    return cls


def _members(cls: Any) -> Mapping[str, Any]:
    """Return what the body of a class defined."""
    members: Mapping[str, Any] = cls.__dict__
    return members


def _options(value: Any) -> Mapping[str, Any]:
    """Return what `field` was told, or would have been told."""
    options: Mapping[str, Any] | None = getattr(value, "options", None)
    return {"default": value} if options is None else options


def _bare(cls: Any, names: tuple[str, ...], *, slots: bool) -> Any:
    """Return the class without what stands for a default; a new one, if it has slots."""
    if not slots:
        for name in names:
            if type(_members(cls).get(name)).__name__ == "field":
                delattr(cls, name)
        return cls
    members = {
        name: value
        for name, value in _members(cls).items()
        if name not in {*names, "__dict__", "__weakref__"}
    }
    made = type(cls)(cls.__name__, cls.__bases__, {**members, "__slots__": names})
    made.__qualname__ = cls.__qualname__
    return made


def _initialiser(
    cls: Any,
    hints: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any]],
    *,
    is_frozen: bool,
    is_kw_only: bool,
) -> Any:
    """Compile `__init__`, so that it costs as much as one written by hand."""
    scope = {"_MADE": _MADE, "_set": object.__setattr__}
    parameters = ["*"] if is_kw_only else []
    lines: list[str] = []
    for name in hints:
        options, value = given.get(name, {}), name
        if "default_factory" in options:
            scope[f"_{name}"] = options["default_factory"]
            parameters.append(f"{name}=_MADE")
            value = f"_{name}() if {name} is _MADE else {name}"
        elif "default" in options:
            scope[f"_{name}"] = options["default"]
            parameters.append(f"{name}=_{name}")
        else:
            parameters.append(name)
        lines.append(f"_set(self, {name!r}, {value})" if is_frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "".join(f"  {line}\n" for line in lines)
    source = (
        f"def make({', '.join(scope)}):\n"
        f" def __init__(self, {', '.join(parameters)}):\n{body} return __init__\n"
    )
    found: dict[str, Any] = {}
    exec(source, vars(sys.modules[cls.__module__]), found)  # noqa: S102  # as dataclasses does
    made = found["make"](**scope)
    made.__annotations__ = {**hints, "return": None}
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _shown(names: list[str]) -> Any:
    def __repr__(self: Any) -> str:  # noqa: N807  # it becomes a method
        pairs = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({pairs})"

    return __repr__


def _compared(names: tuple[str, ...], *, is_frozen: bool) -> dict[str, Any]:
    values = operator.attrgetter(*names, names[0])  # one more, so that it is always a tuple

    def __eq__(self: Any, other: object) -> bool:  # noqa: N807  # it becomes a method
        if type(self) is not type(other):
            return NotImplemented
        return bool(values(self) == values(other))

    def __hash__(self: Any) -> int:  # noqa: N807  # it becomes a method
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__ if is_frozen else None}


def _frozen(cls: Any, names: frozenset[str]) -> dict[str, Any]:
    def refuse(self: Any, name: str, words: str) -> None:
        if type(self) is cls or name in names:
            from dataclasses import FrozenInstanceError

            raise FrozenInstanceError(words)

    above: Any = super

    def __setattr__(self: Any, name: str, value: object) -> None:  # noqa: N807  # it becomes a method
        refuse(self, name, f"cannot assign to field {name!r}")
        above(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:  # noqa: N807  # it becomes a method
        refuse(self, name, f"cannot delete field {name!r}")
        above(cls, self).__delattr__(name)

    return {"__setattr__": __setattr__, "__delattr__": __delattr__}


def _pickled(names: tuple[str, ...]) -> dict[str, Any]:
    def __getstate__(self: Any) -> list[Any]:  # noqa: N807  # it becomes a method
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:  # noqa: N807  # it becomes a method
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": __getstate__, "__setstate__": __setstate__}


class _CompiledLater:
    """An initialiser that is compiled when it is first needed, and then stands here itself."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __get__(self, instance: object, owner: Any) -> Any:
        made = self._make()
        for cls in owner.__mro__:
            if _members(cls).get("__init__") is self:
                cls.__init__ = made
        return made.__get__(instance, owner)


class _Described:
    """What `dataclasses` keeps in a class: made of a real dataclass once somebody asks."""

    def __init__(self, describe: Callable[[], Any], name: str) -> None:
        self._describe, self._name = describe, name

    def __get__(self, instance: object, owner: Any) -> Any:
        return getattr(self._describe(), self._name)


def _description(
    cls: Any, hints: Mapping[str, Any], defaults: Mapping[str, Any], options: Mapping[str, bool]
) -> dict[str, _Described]:
    @cache
    def describe() -> Any:
        import dataclasses

        fields = {
            name: dataclasses.field(**value.options) if hasattr(value, "options") else value
            for name, value in defaults.items()
        }
        names = {"__module__": cls.__module__, "__annotations__": dict(hints), **fields}
        return dataclasses.dataclass(**options)(type(cls.__name__, (), names))

    names = ("__dataclass_fields__", "__dataclass_params__")
    return {name: _Described(describe, name) for name in names}
