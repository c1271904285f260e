"""A pickle in which something stands in the place of some objects."""

import io
import pickle
from collections.abc import Callable
from typing import Any


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, stand_for: Callable[[object], Any]) -> None:
        super().__init__(file)
        self._stand_for = stand_for

    def reducer_override(self, obj: Any) -> Any:
        """Return what stands for an object; `pickle` asks for all that are no plain values."""
        return self._stand_for(obj)


def dumps(value: object, stand_for: Callable[[object], Any]) -> bytes:
    """Return a pickle of a value.

    Args:
        value: What is pickled.
        stand_for: Returns what `__reduce__` would of an object; NotImplemented leaves it.
    """
    file = io.BytesIO()
    _Pickler(file, stand_for).dump(value)
    return file.getvalue()
