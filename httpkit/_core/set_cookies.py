"""Set-Cookie fields as RFC 6265bis reads them: what of them a jar may see.

Rule: no I/O and no clock here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpkit._core.header_fields import CONTROL
from httpkit._core.lazy import pattern

if TYPE_CHECKING:
    from http.client import HTTPMessage

# RFC 6265 section 5.1.1: no date is without one.
_MONTH = pattern(r"(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec")
_SHORT_YEAR = pattern(r"([0-9][ -][A-Za-z]{3}[ -])([0-9]{2})(?= )")
_MAX_AGE = pattern(r"(-?)([0-9]+)")
# RFC 6265bis section 5.6: octets of a cookie's name and value, and of one attribute's value.
_LARGEST_COOKIE, _LARGEST_ATTRIBUTE = 4096, 1024
# RFC 6265bis section 5.5: 400 days, in seconds.
_LONGEST_MAX_AGE = 400 * 86_400


def read(field: str) -> str | None:
    """Return a Set-Cookie field as a jar may read it; None for a cookie that is ignored.

    RFC 6265bis sections 5.5 and 5.6: a control character, or more than 4096 octets of name and
    value, and the cookie is ignored; an attribute that is too long or not valid is left out.

    >>> read("sid=1; Max-Age=soon; Path=/")
    'sid=1; Path=/'
    """
    pair, *attributes = field.split(";")
    name, _, value = pair.partition("=")
    if CONTROL.search(field) or len(name.strip()) + len(value.strip()) > _LARGEST_COOKIE:
        return None
    return ";".join([pair, *(kept for text in attributes if (kept := _attribute(text)))])


def _attribute(text: str) -> str | None:
    name, _, value = text.partition("=")
    if len(value.strip()) > _LARGEST_ATTRIBUTE:
        return None
    name = name.strip().lower()
    if name == "expires":
        return _expires(text, value)
    if name != "max-age":
        return text
    if (found := _MAX_AGE.fullmatch(value.strip())) is None:
        return None
    sign, digits = found.groups()
    is_long = len(digits.lstrip("0")) > len(str(_LONGEST_MAX_AGE))
    return f" Max-Age={0 if sign else _LONGEST_MAX_AGE if is_long else int(digits)}"


def _expires(text: str, value: str) -> str | None:
    """Return an Expires attribute that the standard library reads as the RFC does."""
    if not _MONTH.search(value):
        return None  # it fails on some of these, and loses the other cookies as well
    short = _SHORT_YEAR.search(value)
    if short is None:
        return text
    century = "19" if short[2] >= "70" else "20"  # RFC 6265 section 5.1.1
    return f" Expires={value[: short.start(2)]}{century}{value[short.start(2) :]}"


def drop_ignored(fields: HTTPMessage) -> None:
    """Take the cookies that are ignored out of a response's fields, in place."""
    given = [str(field) for field in fields.get_all("Set-Cookie", [])]
    kept = [field for field in map(read, given) if field is not None]
    if kept != given:
        del fields["Set-Cookie"]
        for field in kept:
            fields["Set-Cookie"] = field
