"""Where the body of a response ends, and whether another response may follow it."""

from typing import Final

from httpkit._core.patterns import pattern
from httpkit._transport.head import SWITCHING, Head, MalformedError

_LENGTH = pattern(r"[0-9]{1,18}")  # an exabyte has 19 digits
_BODILESS = frozenset({204, 304})


class Framing:
    """How a body is framed.

    Attributes:
        length: Its bytes; None where chunks or the end of the connection tell.
        chunked: Whether it comes in chunks.
        will_close: Whether the connection ends after it.
    """

    __slots__ = ("chunked", "length", "will_close")

    def __init__(self, length: int | None, *, chunked: bool, will_close: bool) -> None:
        self.length: Final = length
        self.chunked: Final = chunked
        self.will_close: Final = will_close


def frame(head: Head, method: str, *, closes: bool) -> Framing:
    """Determine the length of a body (RFC 9112 section 6.3).

    Args:
        head: Of the response.
        method: Of the request.
        closes: Whether the request asked to close the connection.

    Raises:
        MalformedError: The head contradicts itself.
    """
    by_name = head.by_name
    codings, lengths = by_name.get("transfer-encoding"), by_name.get("content-length")
    will_close = closes or _is_last(head)
    if codings and lengths:  # item 3: "ought to be handled as an error"
        raise MalformedError("both Content-Length and Transfer-Encoding are present")
    length = _parse_lengths(lengths[1]) if lengths else None
    is_chunked = codings is not None and _parse_codings(codings[1])
    if head.status == SWITCHING:  # what follows is neither a body nor another response
        return Framing(0, chunked=False, will_close=False)
    if method == "HEAD" or head.status in _BODILESS:  # item 1
        return Framing(0, chunked=False, will_close=will_close)
    if is_chunked:
        # Section 6.1: in a response of HTTP/1.0 it is faulty; nothing after it is trusted.
        return Framing(None, chunked=True, will_close=will_close or head.version == 10)
    # Item 8: without a length until the connection closes.
    return Framing(length, chunked=False, will_close=will_close or length is None)


def _is_last(head: Head) -> bool:
    """Return whether the connection closes after this response (RFC 9112 section 9.3)."""
    by_name = head.by_name
    # In no RFC: only its "close" counts.
    if "proxy-connection" in by_name and "close" in parse_options(by_name["proxy-connection"][1]):
        return True
    if (field := by_name.get("connection")) is None:
        return head.version == 10  # HTTP/1.0 closes by default
    options = parse_options(field[1])
    return "close" in options or (head.version == 10 and "keep-alive" not in options)


def parse_options(value: str) -> set[str]:
    """Return the options of a Connection field in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip(" \t") for option in value.lower().split(",")}


def _parse_lengths(value: str) -> int:
    """Return the length that all fields agree on (RFC 9110 section 8.6).

    Args:
        value: The values of the fields, joined by commas.
    """
    if _LENGTH.fullmatch(value):
        return int(value)
    if len({length.strip(" \t") for length in value.split(",")}) > 1:
        raise MalformedError("Content-Length fields differ")
    length = value.partition(",")[0].strip(" \t")
    if not _LENGTH.fullmatch(length):
        raise MalformedError("invalid Content-Length")
    return int(length)


def _parse_codings(value: str) -> bool:
    """Return whether the body is chunked (RFC 9112 section 6.1).

    A server may use another coding only if a TE field asked for it. "identity" meant "none" in
    RFC 2616.

    Args:
        value: The values of the fields, joined by commas.
    """
    codings = {coding.strip(" \t") for coding in value.lower().split(",")} - {"", "identity"}
    if codings - {"chunked"} or value.lower().count("chunked") > 1:
        raise MalformedError("unsupported Transfer-Encoding: only a single chunked is supported")
    return bool(codings)
