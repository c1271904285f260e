"""Public classes belong to the module that users import them from.

Tracebacks then say `httpkit.NotFoundError`, and a pickle survives a move within the package.
"""

from contextlib import suppress
from typing import Any, ForwardRef, TypeVar

C = TypeVar("C")


def public(cls: C, *, module: str = "httpkit") -> C:
    """Return a class as one of a public module.

    `typing.get_type_hints` evaluates annotations that are text in the module of their class, so
    those keep the name of the module in which they were written.
    """
    target: Any = cls
    defined_in = target.__module__
    with suppress(NameError):  # from Python 3.14 on, of annotations that are no text
        if annotations := target.__annotations__:
            target.__annotations__ = {
                name: ForwardRef(annotation, module=defined_in, is_class=True)
                if isinstance(annotation, str)
                else annotation
                for name, annotation in annotations.items()
            }
    target.__module__ = module
    return cls
