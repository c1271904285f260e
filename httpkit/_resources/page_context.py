"""What a pager sees of a page: its response, its document, and what stands at a path of it.

A path in a response is a dotted path into its body ("meta.next", "data.-1.id",
"@odata.nextLink"), or "header:" and the name of a header field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from httpkit._core import documents, header_fields
from httpkit._core.classes import public
from httpkit._core.documents import MISSING, Document, RawJSON
from httpkit._core.given import is_mapping
from httpkit._core.models import MismatchError
from httpkit._diagnostics.errors import ConfigurationError, PaginationError
from httpkit._messages.response import Response

HEADER: Final = "header:"


@public
@dataclass(frozen=True, slots=True)
class PageLink:
    """A link to the next page with a method and a JSON body (STAC), as a pager may return it.

    Attributes:
        url: Relative to the page's own URL, or absolute.
        method: "GET" or "POST"; None: the list's method, or POST for a link with a document.
        json: The document to send; None: for a POST the document of this page's request.
        merge: Whether the members of `json` are added to the document of this page's request,
            in place of those of the same names.

    Raises:
        ConfigurationError: Another method, or a document that is not a mapping.
    """

    url: str
    method: str | None = None
    json: Mapping[str, Any] | None = None
    merge: bool = False

    def __post_init__(self) -> None:
        if self.method not in (None, "GET", "POST"):
            raise ConfigurationError(f"method={self.method!r} must be 'GET' or 'POST'")
        if self.json is not None and not is_mapping(self.json):
            raise ConfigurationError(f"json={type(self.json).__name__} must be a mapping")


@public
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PageContext:
    """One page, as a pager sees it.

    Attributes:
        response: The response, its body in memory.
        params: The pager's own parameters in the request of this page.
        count: Items on this page, 0 or more.
        received: Items of this iteration so far, those of this page included.
        document: The page's document: JSON that is not decoded, or what `decode=` returned.
        into: Where the pager's parameters go: "query", "json" or "header".
    """

    response: Response
    params: Mapping[str, Any]
    count: int
    received: int
    document: Document
    into: str = "query"

    def find(self, path: str) -> Document:
        """Return what is at a path of the document; MISSING where that is absent.

        Raises:
            PaginationError: The path leads into an array by name, or into a single value.
        """
        if isinstance(self.document, RawJSON) and not self.document.body.strip():
            return MISSING  # such as a 204
        try:
            return documents.find(self.document, path)
        except MismatchError as error:
            raise self._wrong(f"invalid path {path!r}: {error}") from error

    def text(self, path: str) -> str | None:
        """Return the text at a path, numbers as they are written; None for nothing or null.

        Raises:
            PaginationError: There is an object or an array.
        """
        if path.startswith(HEADER):
            field = self.response.headers.get(path.removeprefix(HEADER))
            return None if field is None else header_fields.as_utf8(field)
        found = self.find(path)
        try:
            return None if found is MISSING else documents.text(found)
        except MismatchError as error:
            raise self._wrong(f"at {path!r} {error}") from error

    def value(self, path: str) -> Any:
        """Return the JSON value at a path, of any type; None for nothing or null."""
        if path.startswith(HEADER):
            return self.text(path)
        found = self.find(path)
        return None if found is MISSING else documents.parsed(found)

    def number(self, path: str | None) -> int | None:
        """Return the whole number at a path; None where the server does not know it.

        That is nothing, null, false, a number below 0, or no path. 3.0 is 3: JSON has one
        type of number. Of a Content-Range ("items 0-1/5", RFC 9110 section 14.4) it is the
        complete length.

        Raises:
            PaginationError: There is something else.
        """
        text = self.text(path) if path else None
        if text and (found := _RANGE.fullmatch(text.strip())):
            text = found[1]
        if not text or text in {"false", "*"} or _BELOW_ZERO.fullmatch(text):
            return None
        if (found := _COUNT.fullmatch(text)) is None:
            raise self._wrong(f"at {path!r} there is no number")
        return int(found[1])

    def flag(self, path: str | None) -> bool | None:
        """Return whether the page says yes at a path; None when it says nothing there.

        Raises:
            PaginationError: There is an object or an array.
        """
        text = self.text(path) if path else None
        return None if text is None else text.strip().lower() not in _NO

    def has_more(self, more: str | None, last: str | None) -> bool | None:
        """Return whether there are more pages; None when the page does not say.

        Args:
            more: The path of a flag that is true before the last page; None: there is none.
            last: The path of a flag that is true on the last page; None: there is none.

        Raises:
            PaginationError: `last` names something else than a flag, which would end the list
                too soon.
        """
        has_more = self.flag(more)
        if has_more is None and (is_last := self.flag(last)) is not None:
            text = (self.text(last or "") or "").strip()
            if is_last and text.lower() not in _YES and _COUNT.fullmatch(text) is None:
                raise self._wrong(f"at {last!r} there is neither true nor false")
            return not is_last
        return has_more

    def _wrong(self, why: str) -> PaginationError:
        return PaginationError(why, response=self.response)


# A longer number is not a count, and int() would take long.
MOST_DIGITS = 18
_COUNT = re.compile(rf"(\d{{1,{MOST_DIGITS}}})(?:\.0{{1,{MOST_DIGITS}}})?", re.ASCII)
_BELOW_ZERO = re.compile(r"-\d[\d.]*", re.ASCII)
_RANGE = re.compile(r"(?:[\w-]+[ =])?(?:\d+-\d+|\*)/(\d+|\*)", re.ASCII)
# How JSON, XML, header fields and forms write no, and yes.
_NO = frozenset({"false", "0", "no", "n", "f", ""})
_YES = frozenset({"true", "yes", "y", "t"})
