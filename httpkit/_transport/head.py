"""Parse the head of a response, strictly by RFC 9112, and tell where its body ends.

A client that repairs malformed responses may parse them differently than the proxy in front of
it, and take part of one response for the next (response splitting). Malformed input raises.
"""

import io
from http.client import HTTPException, RemoteDisconnected
from typing import Any, Final

from httpkit._core.lazy import pattern

# Limits: bytes of one line, as in http.client; fields of one head, and their bytes in all, as in
# curl (300 KiB). Real heads have 10 to 40 fields.
_LONGEST_LINE = 1 << 16
_MOST_FIELDS = 256
_LARGEST_HEAD = 300 << 10
# RFC 9110 section 15.2 allows "one or more" interim responses; more than this is an attack.
_MOST_INTERIM = 16

_STATUS_LINE = pattern(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n]*))?")
_NAME = pattern(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Most heads match these; others are parsed line by line.
_PLAIN_STATUS_LINE = pattern(r"HTTP/1\.1 ([2-5][0-9]{2})(?: ([^\0\r\n]*))?\r\n")
_PLAIN_FIELD = pattern(r"(?m)^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)\r\n")

_BLANKS = frozenset({b" ", b"\t"})
SWITCHING = 101
_MOST_DIGITS = 18  # of a length: an exabyte has 19
_BODILESS = frozenset({204, 304})
# Resumable uploads (draft-ietf-httpbis-resumable-upload) repeat it while a body arrives: one a
# second for as long as a day.
_UPLOAD_PROGRESS, _MOST_PROGRESS = 104, 86_400

Field = tuple[str, str]


class MalformedError(HTTPException):
    """A response that is not valid HTTP/1.1; the message never quotes received bytes."""


class Head:
    """The head of a response.

    Attributes:
        version: 10 or 11, as http.client has it.
        status: 101, or 200 and above.
        reason: The reason phrase, which may be empty.
        fields: Names and values as received, in order.
        by_name: The same by name in lower case; values of the same name are joined.
    """

    __slots__ = ("by_name", "fields", "reason", "status", "version")

    def __init__(
        self,
        version: int,
        status: int,
        reason: str,
        fields: list[Field],
        by_name: dict[str, Field],
    ) -> None:
        self.version: Final = version
        self.status: Final = status
        self.reason: Final = reason
        self.fields: Final = fields
        self.by_name: Final = by_name


def read_head(buffered: io.BufferedReader) -> Head:
    """Read the head of the final response.

    Args:
        buffered: Over a SocketReader.

    Raises:
        HTTPException: It is malformed, too large or missing.
    """
    waiting = buffered.peek(1)
    if (parsed := parse_plain_head(waiting)) is None:
        return _read_any_head(buffered)
    head, rest = parsed
    buffered.read(len(waiting) - len(rest))
    return head


def parse_plain_head(received: bytes) -> tuple[Head, bytes] | None:
    """Parse a head of the usual form that arrived whole; return it, and the bytes after it.

    None for any other head. Saves 10 us.
    """
    end = received.find(b"\r\n\r\n") + 2
    if end < 2:
        return None
    text = received[:end].decode("latin-1")
    found = _PLAIN_STATUS_LINE.match(text)
    if found is None or (fields := _plain_fields(text[found.end() :])) is None:
        return None
    status, reason = found.groups("")
    head = Head(11, int(status), reason.strip(), fields, _by_name(fields))
    return head, received[end + 2 :]


def _read_any_head(buffered: io.BufferedReader) -> Head:
    version, status, reason = read_status(buffered)
    fields = read_fields(buffered)
    return Head(10 if version == "HTTP/1.0" else 11, status, reason, fields, _by_name(fields))


# ---- The status line


def read_status(buffered: io.BufferedReader) -> tuple[str, int, str]:
    """Return version, status and reason of the final response; interim responses are skipped.

    RFC 9110 section 15.2: a client must be able to parse one or more 1xx responses before the
    final one, even if it does not expect them. Each restarts the timeout.
    """
    reader: Any = buffered.raw
    interim = progress = 0
    while interim <= _MOST_INTERIM and progress <= _MOST_PROGRESS:
        version, status, reason = _read_status_line(buffered)
        # RFC 9110 section 7.8: only to what the client requested.
        if status == SWITCHING and not reader.exchange.upgrades:
            raise MalformedError("unexpected status 101: no protocol upgrade was requested")
        if status >= 200 or status == SWITCHING:
            return version, status, reason
        read_fields(buffered)
        reader.expect(whole=True)
        interim += status != _UPLOAD_PROGRESS
        progress += status == _UPLOAD_PROGRESS
    raise MalformedError(f"more than {_MOST_INTERIM} interim responses")


def _read_status_line(buffered: io.BufferedReader) -> tuple[str, int, str]:
    line = buffered.readline(_LONGEST_LINE + 1)
    if not line:
        # http.client's message and class for a closed connection.
        raise RemoteDisconnected("Remote end closed connection without response")
    # RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]
    found = _STATUS_LINE.fullmatch(_without_end(line, "status line"))
    if found is None:
        raise MalformedError("invalid HTTP status line")
    minor, status, reason = found.groups(b"")
    return f"HTTP/1.{minor.decode()}", int(status), reason.strip().decode("latin-1")


def _without_end(line: bytes, what: str) -> bytes:
    """Return a line without its end (RFC 9112 section 2.2: LF alone may be accepted)."""
    if line[-1:] != b"\n":
        if len(line) > _LONGEST_LINE:
            raise MalformedError(f"a {what} is longer than {_LONGEST_LINE} bytes")
        raise MalformedError(f"the connection closed within a {what}")
    return line[:-2] if line[-2:-1] == b"\r" else line[:-1]


# ---- Fields


def read_fields(buffered: io.BufferedReader) -> list[Field]:
    """Read a header or trailer section, and the empty line after it.

    Raises:
        MalformedError: It is malformed or too large, or the connection closed within it.
    """
    waiting = buffered.peek(1)
    end = waiting.find(b"\r\n\r\n") + 2
    fields = _plain_fields(waiting[:end].decode("latin-1"))
    if fields is None:
        return _read_fields_singly(buffered)
    buffered.read(end + 2)
    return fields


def _plain_fields(section: str) -> list[Field] | None:
    """Return the fields of a section of the usual form; None for any other."""
    lines = section.count("\n")
    if lines > _MOST_FIELDS or " \r\n" in section or "\t\r\n" in section:  # to be stripped
        return None
    fields: list[Field] = _PLAIN_FIELD.findall(section)
    return fields if len(fields) == lines > 0 else None


def _read_fields_singly(buffered: io.BufferedReader) -> list[Field]:
    fields: list[Field] = []
    size = lines = 0  # each line of a folded field counts
    while line := _without_end(buffered.readline(_LONGEST_LINE + 1), "header field"):
        if fields and line[:1] in _BLANKS:
            fields[-1] = _unfold(fields[-1], line)
        else:
            fields.append(_parse_field(line))
        lines += 1
        size += len(line)
        if lines > _MOST_FIELDS or size > _LARGEST_HEAD:
            raise MalformedError(
                f"a head is larger than {_MOST_FIELDS} fields or {_LARGEST_HEAD} bytes"
            )
    return fields


def _parse_field(line: bytes) -> Field:
    """Return name and value of a field line (RFC 9112 section 5).

    A fold before any field, space before the colon (section 5.1), and bare CR and NUL (RFC 9110
    section 5.5) raise.
    """
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        if line[:1] in _BLANKS:
            raise MalformedError("invalid header field: the first one is folded")
        raise MalformedError("invalid header field name")
    return name.decode("ascii"), _parse_value(value)


def _parse_value(value: bytes) -> str:
    if b"\r" in value or b"\0" in value:
        raise MalformedError("invalid header field value: it contains NUL or a bare CR")
    return value.strip(b" \t").decode("latin-1")


def _unfold(field: Field, line: bytes) -> Field:
    """Return a field with a further line of its value.

    RFC 9112 section 5.2: a user agent must replace each obs-fold with one or more SP.
    """
    name, value = field
    return name, f"{value} {_parse_value(line)}".strip(" ")


def _by_name(fields: list[Field]) -> dict[str, Field]:
    """Return fields by name; values of the same name are joined (RFC 9110 section 5.3)."""
    by_name = {field[0].lower(): field for field in fields}
    if len(by_name) == len(fields):
        return by_name
    by_name.clear()
    for name, value in fields:
        key = name.lower()
        first = by_name.get(key)
        by_name[key] = (name, value) if first is None else (first[0], f"{first[1]}, {value}")
    return by_name


# ---- Where the body ends, and whether another response may follow it


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


def whole_body(head: Head, framing: Framing, rest: bytes, most: int | None) -> bytes | None:
    """Return a body that arrived with its head; None if it is encoded, or the rest is to come.

    Args:
        head: Of the response.
        framing: How the body follows.
        rest: What was received after the head.
        most: The largest body, in bytes; None is no limit.
    """
    size = framing.length
    if size is None or size > len(rest) or (most is not None and size > most):
        return None
    return None if "content-encoding" in head.by_name else rest[:size]


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
    if _is_length(value):
        return int(value)
    if len({length.strip(" \t") for length in value.split(",")}) > 1:
        raise MalformedError("Content-Length fields differ")
    length = value.partition(",")[0].strip(" \t")
    if not _is_length(length):
        raise MalformedError("invalid Content-Length")
    return int(length)


def _is_length(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS


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
