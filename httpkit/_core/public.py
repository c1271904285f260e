"""Public classes belong to the module that users import them from.

Tracebacks then say `httpkit.NotFoundError`, and a pickle survives a move within the package.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from contextlib import suppress
from typing import Any, ForwardRef, TypeVar

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
