"""The items of a page: decoded from its document."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from httpkit._core import documents, models
from httpkit._core.documents import Document, RawJSON
from httpkit._core.given import is_mapping

T = TypeVar("T")


def decode_items(
    found: Document, apart: Sequence[Document] | None, model: Callable[..., T] | None
) -> tuple[list[T], int]:
    """Return the items of a page as models, and a hash of what they were made of.

    Args:
        found: The array of the items.
        apart: The items, where they are not one array.
        model: What an item is decoded into; None: what JSON says.

    Raises:
        MismatchError: It is not an array, or an item is not of the model.
    """
    wanted: Any = object if model is None else model
    if isinstance(found, RawJSON) and apart is None:
        return models.decode_list(found.body, wanted), hash(found.body)
    entries = documents.entries_of(found) if apart is None else apart
    if entries is not None and all(isinstance(entry, RawJSON) for entry in entries):
        body = b"[" + b",".join(entry.body for entry in entries) + b"]"
        return models.decode_list(body, wanted), hash(body)
    if entries is None:
        name = "object" if is_mapping(found) else type(found).__name__
        raise models.MismatchError(f"Expected `array`, got `{name}`")
    values = [documents.parsed(entry) for entry in entries]
    return models.build_list(values, wanted), hash(repr(values))


def is_object(document: Document) -> bool:
    """Say whether a page is an object."""
    with suppress(models.MismatchError):
        return documents.members_of(document) is not None
    return False
