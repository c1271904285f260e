"""Whether bytes begin as a page, or as a document that may describe an error.

Rule: no I/O: the first bytes go in. So many are compared that no other data begins so by chance.
"""

import re
from typing import Literal, TypeAlias

DocumentFormat: TypeAlias = Literal["html", "json", "xml"]

_BEGIN = rb"(?:\xef\xbb\xbf)?\s*"
_FORMATS: dict[DocumentFormat, re.Pattern[bytes]] = {
    "html": re.compile(
        _BEGIN + rb"<(?:!doctype\s+html|html|head|body|title|meta)\b", re.IGNORECASE
    ),
    "xml": re.compile(_BEGIN + rb"<(?:\?xml\s|error\s*>)", re.IGNORECASE),
    "json": re.compile(_BEGIN + rb'\{\s*"'),
}


def format_of(begin: bytes) -> DocumentFormat | None:
    """Return the format that bytes begin in; None where it is none of these."""
    return next((name for name, found in _FORMATS.items() if found.match(begin)), None)
