"""Paths into a document: dotted names, entries of arrays, every member.

A document is JSON text that is decoded only as far as a path leads (`RawJSON`), so that numbers
stay as they are written, or a value that was parsed already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from httpkit._core import models
from httpkit._core.given import is_list, is_mapping, is_tuple
from httpkit._core.lazy import pattern
from httpkit._core.models import MismatchError


@dataclass(frozen=True, slots=True, repr=False)
class RawJSON:
    """A JSON document that is not decoded yet.

    Its repr does not show it: a server may repeat a credential, and tools print the variables of
    the frames of a traceback.
    """

    body: bytes

    def __repr__(self) -> str:
        return f"<RawJSON of {len(self.body)} bytes>"


Document: TypeAlias = RawJSON | Any

# Every entry of an array, or every member of an object.
_EVERY = "*"
_OPTIONAL = "?"
_INDEX = pattern(r"-?\d{1,9}", re.ASCII)


class MissingError(MismatchError):
    """The path leads to nothing: a member is absent, or null on the way."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def find(document: Document, path: str) -> Document:
    """Return what is at a path; MISSING where a member is absent, or null on the way.

    A number is the index of an array ("data.-1.id"). A member whose name holds dots
    ("@odata.nextLink") is found as well.

    Raises:
        MismatchError: The path leads into an array by name, or into a single value.
    """
    try:
        return require(document, path)
    except MissingError:
        return MISSING


def require(document: Document, path: str) -> Document:
    """Return what is at a path; see `find`.

    Raises:
        MismatchError: There is nothing; the message names what there is.
    """
    current, rest = document, path
    while rest:
        try:
            current, rest = _descend(current, rest)
        except MismatchError as error:
            raise type(error)(f"nothing at {path!r}: {error}") from error
    return current


def json_at(body: bytes, path: str) -> bytes:
    """Return the JSON text at a path in a JSON text; see `require`."""
    found = require(RawJSON(body), path)
    assert isinstance(found, RawJSON)  # noqa: S101  # what is in JSON text is JSON text
    return found.body


def select(document: Document, path: str | None) -> tuple[Document, Sequence[Document] | None]:
    """Return what a path for the items of a list names.

    "*" in the path means every entry of an array, or every member of an object. A "?" at its
    end makes the whole path optional: where it is missing or null there are no items.

    Args:
        document: A page.
        path: None: the page is the list.

    Returns:
        The document with the items, and the items apart where the path has a "*"; else None.

    Raises:
        MismatchError: There is nothing at the path, and it is not optional.
    """
    if path is None:
        return document, None
    is_optional = path.endswith(_OPTIONAL)
    steps = path.removesuffix(_OPTIONAL).rstrip(".")
    try:
        found = _select(document, steps)
    except MissingError:
        if not is_optional:
            raise
        return None, ()
    if is_optional and found[1] is None and is_null(found[0]):
        return None, ()
    return found


def _select(document: Document, path: str) -> tuple[Document, Sequence[Document] | None]:
    if _EVERY not in path.split("."):
        return require(document, path), None
    return document, list(_every(document, path.split("."), ""))


def _every(document: Document, steps: Sequence[str], before: str) -> Iterator[Document]:
    """Return what every path leads to that a pattern with "*" stands for."""
    if _EVERY not in steps:
        yield _found(document, ".".join(steps), before)
        return
    index = steps.index(_EVERY)
    parent = _found(document, ".".join(steps[:index]), before)
    here = ".".join(filter(None, (before, *steps[:index])))
    for name, member in _children(parent, here):
        yield from _every(member, steps[index + 1 :], f"{here}.{name}".lstrip("."))


def _found(document: Document, path: str, before: str) -> Document:
    try:
        return require(document, path)
    except MismatchError as error:
        if not before:
            raise
        # Only the path before the first "*" may be optional: an item without it is broken.
        raise MismatchError(f"in {before!r} {error}") from error


def _children(parent: Document, path: str) -> Iterator[tuple[str, Document]]:
    if is_null(parent):
        raise MissingError(f"nothing at {path!r}: it is null")
    if (entries := entries_of(parent)) is not None:
        yield from ((str(index), entry) for index, entry in enumerate(entries))
    elif (members := members_of(parent)) is not None:
        yield from members.items()
    else:
        raise MismatchError(f"at {path!r} there is neither an array nor an object")


def _descend(document: Document, path: str) -> tuple[Document, str]:
    """Return what the beginning of a path names, and the rest of the path."""
    first, _, rest = path.partition(".")
    entries = entries_of(document)
    if entries is not None and _INDEX.fullmatch(first):
        index = int(first)
        if not -len(entries) <= index < len(entries):
            raise MissingError(f"there are {len(entries)} entries")
        return entries[index], rest
    if entries is not None and not entries:  # how PHP writes an object without members
        raise MissingError(f"there is an empty array, not an `object` with {first!r}")
    members = members_of(document)
    if members is None:
        if is_null(document):
            raise MissingError("there is null")
        name = "an array" if entries is not None else "a single value"
        raise MismatchError(f"there is {name}, which has no member {first!r}")
    key = path
    while key and key not in members:  # "a.b.c", then "a.b", then "a"
        key = key.rpartition(".")[0]
    if not key:
        raise MissingError(f"there is {models.list_names(members)}")
    return members[key], path[len(key) + 1 :]


class _Members(Mapping[str, Document]):
    """The members of an object in JSON text."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> RawJSON:
        return RawJSON(bytes(self._raw[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def members_of(document: Document) -> Mapping[str, Document] | None:
    """Return the members of an object; None for anything else.

    Raises:
        MismatchError: It is not JSON.
    """
    if isinstance(document, RawJSON):
        raw = models.raw_members(document.body)
        return None if raw is None else _Members(raw)
    return document if is_mapping(document) else None


def entries_of(document: Document) -> Sequence[Document] | None:
    """Return the entries of an array; None for anything else.

    Raises:
        MismatchError: It is not JSON.
    """
    if isinstance(document, RawJSON):
        raw = models.raw_entries(document.body)
        return None if raw is None else [RawJSON(bytes(entry)) for entry in raw]
    if is_tuple(document):
        return list(document)
    return document if is_list(document) else None


def is_null(document: Document) -> bool:
    """Say whether a document is null."""
    if isinstance(document, RawJSON):
        return document.body.strip() == b"null"
    return document is None


def parsed(document: Document) -> Any:
    """Return the value of a document, as `json.loads` gives it.

    Raises:
        MismatchError: It is not JSON.
    """
    return models.decode(document.body, object) if isinstance(document, RawJSON) else document


def text(document: Document) -> str | None:
    """Return a single value as text, numbers as they are written; None for null.

    Raises:
        MismatchError: It is an object or an array.
    """
    if isinstance(document, RawJSON):
        return models.scalar(document.body)
    if members_of(document) is not None or entries_of(document) is not None:
        raise MismatchError("there is no single value")
    if isinstance(document, bool):
        return "true" if document else "false"
    return None if document is None else str(document)
