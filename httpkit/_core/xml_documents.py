"""XML as JSON would have it: mappings of names to texts, mappings and lists.

Rule: nothing is expanded or fetched, and the work is bounded whatever the document holds.
"""

from __future__ import annotations

import codecs
from typing import Any

from httpkit._core.given import is_list

_MOST_ELEMENTS = 2000
_DEEPEST = 50
_ENCODED_IN_TWO = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"<\0", b"\0<")


def parse(body: bytes, *, is_cut: bool) -> Any:
    """Return an XML document as JSON would have it; None for all else.

    A document type declaration ends the reading.

    Args:
        body: The document.
        is_cut: Whether its end is missing; what was read before is returned then.
    """
    head = body.removeprefix(codecs.BOM_UTF8).lstrip()
    if not head.startswith((b"<", *_ENCODED_IN_TWO)):
        return None
    from xml.parsers import expat

    reader = _Elements()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(head if head is not body else body, True)  # noqa: FBT003  # expat's own signature
    except (expat.ExpatError, _ForbiddenError, ValueError, LookupError):
        return reader.root() if is_cut else None
    return reader.root()


class _ForbiddenError(Exception):
    """The document declares a type, or is too large for an error."""


class _Elements:
    """What expat reports, as mappings of names to texts, mappings and lists."""

    def __init__(self) -> None:
        self._open: list[tuple[str, dict[str, Any], list[str]]] = [("", {}, [])]
        self._count = 0

    def refuse(self, *_: object) -> None:
        raise _ForbiddenError

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS or len(self._open) > _DEEPEST:
            raise _ForbiddenError
        kept = {n: v for n, v in attributes.items() if not n.startswith(("xml", "xsi:"))}
        self._open.append((name.rpartition(":")[2], dict(kept), []))

    def text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def end(self, _: str) -> None:
        name, members, texts = self._open.pop()
        text = "".join(texts).strip()
        parent = self._open[-1][1]
        value: Any = {**members, **({"text": text} if text else {})} if members else text
        if name in parent:
            parent[name] = [*(p if is_list(p := parent[name]) else [p]), value]
        else:
            parent[name] = value

    def root(self) -> Any:
        while len(self._open) > 1:
            self.end("")
        found = self._open[0][1]
        return next(iter(found.values()), None)
