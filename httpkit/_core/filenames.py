"""Names under which files are saved, sent and printed.

Rule: text in, text out. A server chooses a name, never a folder (RFC 6266 section 4.3).
"""

import pathlib
import re
import sys
import unicodedata
from contextlib import suppress
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

# 255 bytes is the most that common file systems take; ".part.json" needs 10 of them.
MOST_BYTES = 240
_FALLBACK = "download"
# What NTFS takes, in UTF-16.
_LONGEST_ON_WINDOWS = 255
# These open devices, with any extension, on Windows.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_PARAMETER = re.compile(r""";\s*([\w!#$&+.^`|~*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)""", re.DOTALL)


def from_disposition(header: str | None) -> str | None:
    """Return the name in a Content-Disposition; None when it has none.

    `filename*` beats `filename` (RFC 6266 section 4.3); one that does not decode is ignored.
    Continuations (RFC 2231 section 3) and encoded words (RFC 2047) belong to mail, and are sent
    by servers all the same.
    """
    if not header:
        return None
    found = {name.lower(): value for name, value in reversed(_PARAMETER.findall(f";{header}"))}
    return _extended(found.get("filename*")) or _continued(found) or _plain(found.get("filename"))


def _continued(found: dict[str, str]) -> str | None:
    """Join `filename*0*=UTF-8''a; filename*1=b` (RFC 2231 sections 3 and 4.1)."""
    charset, octets = "utf-8", b""
    for number in range(len(found)):
        encoded = found.get(f"filename*{number}*")
        plain = found.get(f"filename*{number}")
        if encoded is None and plain is None:
            break
        if encoded is None:
            octets += (_unquoted(plain or "")).encode("latin-1", "replace")
            continue
        text = encoded.strip().strip('"')
        if number == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text)
    try:
        return octets.decode(charset or "utf-8") or None
    except (LookupError, UnicodeError):
        return None


def _extended(value: str | None) -> str | None:
    """Decode `charset'language'percent-encoded` (RFC 8187 section 3.2)."""
    charset, first, rest = (value or "").strip().strip('"').partition("'")
    _, second, encoded = rest.partition("'")
    if not (first and second):
        return None
    try:
        return unquote(encoded, encoding=charset or "utf-8", errors="strict") or None
    except (LookupError, UnicodeError):
        return None


def _plain(value: str | None) -> str | None:
    text = _unquoted(value or "")
    with suppress(UnicodeError):
        # http.client reads header fields as Latin-1; most servers mean UTF-8.
        text = text.encode("latin-1").decode("utf-8")
    return (_decoded_words(text) if "=?" in text else text) or None


def _unquoted(value: str) -> str:
    text = value.strip()
    if text.startswith('"'):
        # Browsers send backslashes in names as they are, so only quotes are unescaped.
        text = text[1:].removesuffix('"').replace('\\"', '"')
    return text


def _decoded_words(text: str) -> str:
    """Decode encoded words such as `=?UTF-8?Q?caf=C3=A9?=`; what is invalid stays as it is."""
    from email.errors import HeaderParseError  # seldom needed
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError, HeaderParseError):
        return text


def from_url(url: str) -> str | None:
    """Return the last segment of a URL's path; None when there is none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return unquote(path.rstrip("/").rpartition("/")[2]) or None


def safe(name: str | None, most_bytes: int = MOST_BYTES) -> str:
    """Return a name that stays in its folder and is legal on every system.

    A character that the file system's encoding lacks is percent-encoded in UTF-8: where that is
    ASCII, "café" becomes "caf%C3%A9".

    Args:
        name: What a server suggests, a path perhaps; None or nothing usable: "download".
        most_bytes: The longest name, in bytes; it keeps its extension.
    """
    base = re.split(r"[/\\]", name or "")[-1]
    clean = "".join(c for c in unicodedata.normalize("NFC", base) if _is_visible(c))
    clean = _FORBIDDEN.sub("_", clean).strip().rstrip(". ").lstrip(".").strip()
    if clean.partition(".")[0].strip().lower() in _RESERVED:
        clean = f"_{clean}"
    return _shorten(_encodable(clean), most_bytes) or _FALLBACK


def windows_problem(path: str) -> str | None:
    """Return why Windows cannot have a path; None when it can."""
    parsed = pathlib.PureWindowsPath(path)
    if parsed.drive.startswith("\\\\.\\"):
        return f"{parsed.drive!a} is a device on Windows"
    for part in parsed.parts[bool(parsed.anchor) :]:
        if part in {".", ".."}:
            continue
        if _FORBIDDEN.search(part) or any(ord(character) < 32 for character in part):
            return f"{part!a} holds a character that Windows does not allow in names"
        if part.partition(".")[0].strip().lower() in _RESERVED:
            return f"{part!a} is the name of a device on Windows"
        if part.endswith((".", " ")):
            return f"{part!a} ends with a dot or a space, which Windows removes"
        if (length := windows_length(part)) > _LONGEST_ON_WINDOWS:
            return f"a name of {length} characters is too long: Windows takes {_LONGEST_ON_WINDOWS}"
    return None


def windows_length(text: str) -> int:
    """Return how long a name or a path is for Windows: an emoji counts twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def sendable(name: str) -> str:
    """Return the name of a file as text that UTF-8 can encode.

    Bytes of a path that Python could not decode are read as UTF-8; others become U+FFFD.
    """
    try:
        octets = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        octets = name.encode("utf-8", "replace")
    return octets.decode("utf-8", "replace")


def printable(text: object, encoding: str | None = None) -> str:
    r"""Return text that can be printed: what an encoding lacks is escaped, as in "caf\xe9".

    Args:
        text: A path perhaps, with bytes that Python could not decode.
        encoding: What it is printed in; None is the file system's.
    """
    try:
        name = encoding or sys.getfilesystemencoding()
        return str(text).encode(name, "backslashreplace").decode(name)
    except (LookupError, TypeError, UnicodeError):  # no encoding of that name
        return str(text).encode("ascii", "backslashreplace").decode("ascii")


def _encodable(name: str) -> str:
    """Return a name that the system can encode: it may know ASCII only (`LC_ALL=C`)."""
    return "".join(c if _is_encodable(c) else quote(c, safe="") for c in name)


def _is_encodable(character: str) -> bool:
    try:
        return bool(character.encode(sys.getfilesystemencoding()))
    except UnicodeEncodeError:
        return False


def _is_visible(character: str) -> bool:
    # Cc: control; Cf: format, with the marks that turn the reading direction round; Co, Cs, Cn:
    # private, surrogate, unassigned; Zl, Zp: line and paragraph separators.
    return unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def _shorten(name: str, most_bytes: int) -> str:
    if len(name.encode("utf-8")) <= most_bytes:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = f".{extension}" if dot and stem and len(extension.encode("utf-8")) <= 20 else ""
    available = most_bytes - len(ending.encode("utf-8"))
    kept = (stem if ending else name).encode("utf-8")[:available].decode("utf-8", "ignore")
    return kept.rstrip(". ") + ending
