"""Under which name a file may be saved, sent and shown.

Rule: text in, text out. A server chooses a name, never a folder (RFC 6266 section 4.3).
"""

import re
import sys
import unicodedata
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

# 255 bytes is the most that common file systems take; ".part.json" needs 10 of them.
MOST_BYTES = 240
_FALLBACK = "download"
# These open devices, with any extension, on Windows.
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_PARAMETER = re.compile(r""";\s*([\w!#$&+.^`|~-]+\*?)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)""", re.DOTALL)


def from_disposition(header: str | None) -> str | None:
    """Return the name in a Content-Disposition; None when it has none.

    `filename*` beats `filename` (RFC 6266 section 4.3); one that does not decode is ignored.
    """
    if not header:
        return None
    found = {name.lower(): value for name, value in reversed(_PARAMETER.findall(f";{header}"))}
    return _extended(found.get("filename*")) or _plain(found.get("filename"))


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
    text = (value or "").strip()
    if text.startswith('"'):
        # Browsers send backslashes in names as they are, so only quotes are unescaped.
        text = text[1:].removesuffix('"').replace('\\"', '"')
    with suppress(UnicodeError):
        # http.client reads header fields as Latin-1; most servers mean UTF-8.
        text = text.encode("latin-1").decode("utf-8")
    return text or None


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
    shown = "".join(c for c in unicodedata.normalize("NFC", base) if _is_visible(c))
    shown = _FORBIDDEN.sub("_", shown).strip().rstrip(". ").lstrip(".").strip()
    if shown.partition(".")[0].strip().lower() in _RESERVED:
        shown = f"_{shown}"
    return _shorten(_encodable(shown), most_bytes) or _FALLBACK


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
    room = most_bytes - len(ending.encode("utf-8"))
    kept = (stem if ending else name).encode("utf-8")[:room].decode("utf-8", "ignore")
    return kept.rstrip(". ") + ending
