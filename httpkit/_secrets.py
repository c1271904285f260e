"""What must not be read by people: names and values of credentials, and how to hide them.

Rule: text in, text out. The one piece of state is what must be hidden: the bounded list of
values that auth strategies hold, so that a token is masked wherever a server or a library
repeats it, and the names that `secret_headers` adds.
"""

import html
import json
import logging
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from urllib3.exceptions import InvalidChunkLength

from httpkit import forks
from httpkit._causes import causes
from httpkit._typing import is_list, is_mapping

MASK = "***"
_DEEPEST = 50
# Bytes, or characters. Masking more would take longer than sending it.
_LARGEST_BODY = 1 << 16

_NAMES = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})
_PARTS = re.compile(r"token|secret|passw(?:or)?d|api[-_]?key|credential|signature", re.IGNORECASE)
# Alone in a query these are keys, signatures and authorization codes; elsewhere they are words.
_QUERY_NAMES = frozenset({"key", "sig", "code"})

# Shorter values are too likely to be a word or a number of the message itself.
_SHORTEST_VALUE = 6
# A process that rotates tokens for months must not grow.
_MOST_VALUES = 1024
# Each with its forms, and what to look for to find one.
_values: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
_UNCHANGED = re.compile(r"[0-9A-Za-z._-]+")
_OF_URLS = str.maketrans("+/", "-_")  # RFC 4648 section 5
_added_names: set[str] = set()
_lock = Lock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  # a thread that is not in the forked child may hold the old one
    _lock = Lock()


forks.call_in_child(_renew_lock)


def is_secret(name: str) -> bool:
    """Say whether a header, form field or JSON key of this name holds a credential."""
    lowered = name.lower()
    return lowered in _NAMES or lowered in _added_names or bool(_PARTS.search(lowered))


def is_secret_parameter(name: str) -> bool:
    """Say whether a query parameter of this name holds a credential."""
    return name.lower() in _QUERY_NAMES or is_secret(name)


def remember_names(names: Iterable[str]) -> None:
    """Treat fields of these names as credentials from now on."""
    _added_names.update(name.lower() for name in names)


class Hidden(str):
    """A secret on its way: a variable that holds it shows nothing in a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def remember(*values: str) -> None:
    """Hide these values from now on wherever they appear, in any of their usual spellings.

    Those are percent-encoded, as in JSON, in HTML, and in Base64, alone or among other bytes.
    """
    with _lock:
        for value in values:
            if len(value) < _SHORTEST_VALUE:
                continue
            if value not in _values:
                _values[value] = tuple((_needle(form), form) for form in _forms(value))
            _values.move_to_end(value)
        while len(_values) > _MOST_VALUES:
            _values.popitem(last=False)


def _forms(value: str) -> list[str]:
    """Return a value, and what it is in Base64, wherever it begins there."""
    octets = value.encode("utf-8", "surrogatepass")
    forms = [value]
    for before in range(3):
        # A character has six bits: the first that belongs to the value alone, and the last.
        first, last = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        form = b64encode(bytes(before) + octets).decode()[first:last]
        forms += dict.fromkeys([form, form.translate(_OF_URLS)])
    return forms


def _needle(form: str) -> str:
    """Return the longest part that no spelling changes; to look for it is fast."""
    return max(_UNCHANGED.findall(form), key=len, default="")


def _spellings(form: str) -> str:
    """Return a regular expression for all ways to spell a text, which may be mixed."""
    return "".join(map(_spellings_of, form))


@lru_cache(1024)
def _spellings_of(character: str) -> str:
    if _UNCHANGED.fullmatch(character):
        return re.escape(character)
    octets = character.encode("utf-8", "surrogatepass")
    literal = {character, html.escape(character), json.dumps(character)[1:-1]}
    literal |= {"\\/"} if character == "/" else {"+"} if character == " " else set()
    ways = sorted(map(re.escape, literal))
    ways.append("".join(f"%(?i:{octet:02x})" for octet in octets))
    ways.append(rf"\\u(?i:{ord(character):04x})")
    return f"(?:{'|'.join(ways)})"


def redact_values(text: str) -> str:
    """Mask every remembered value in a text."""
    shown = text
    for form in _found(lambda needle: needle in text):
        shown = re.sub(_spellings(form), MASK, shown)
    return shown


def redact_bytes(body: bytes) -> bytes:
    """Mask every remembered value in a body."""
    shown = body
    for form in _found(lambda needle: needle.encode() in body):
        pattern = _spellings(form).encode("utf-8", "surrogatepass")
        shown = re.sub(pattern, MASK.encode(), shown)
    return shown


def _found(is_there: Callable[[str], bool]) -> list[str]:
    """Return the forms that may be in a text, the longest first."""
    with _lock:
        forms = {form for known in _values.values() for needle, form in known if is_there(needle)}
    return sorted(forms, key=len, reverse=True)


def redact_url(url: str) -> str:
    """Drop the userinfo of a URL and mask the secret values of its query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return redact_text(url)
    shown = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        query=redact_query(parts.query),
        fragment=redact_query(parts.fragment),
    )
    return redact_values(urlunsplit(shown))


def redact_query(query: str) -> str:
    """Mask the secret values of a query, or of a form."""
    return redact_values("&".join(map(_redact_pair, query.split("&"))))


def _redact_pair(pair: str) -> str:
    """Mask what follows a secret name; a ";" may be a separator, or of the value."""
    shown: list[str] = []
    for part in pair.split(";"):
        name, equals, value = part.partition("=")
        if (value or ";" in pair) and equals and is_secret_parameter(unquote_plus(name)):
            return ";".join([*shown, f"{name}={MASK}"])
        shown.append(part)
    return pair


def redact_json(text: str) -> str:
    """Mask the values under secret keys of a JSON document; other text by its looks."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return redact_text(text)
    shown = redact_document(document)
    if shown == document:  # as it was spelled; a key that is there twice hides what came first
        return redact_text(text)
    return redact_values(json.dumps(shown))


def redact_body(body: object, media_type: str) -> str | bytes | None:
    """Mask the secrets of a body; None for one that is not text, too large, or a multipart form.

    The fields of such a form are named in one line and valued in another.
    """
    if not isinstance(body, (str, bytes)) or len(body) > _LARGEST_BODY:
        return None
    if "multipart" in media_type:
        return None
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "form-urlencoded" in media_type:
        text = redact_query(text)
    elif "json" in media_type:
        text = redact_json(text)
    else:
        text = redact_text(text)
    return text if isinstance(body, str) else text.encode("utf-8")


def redact_document(document: Any, depth: int = 0) -> Any:
    """Copy parsed JSON with the values under secret keys, and known values, masked."""
    if depth > _DEEPEST:
        return MASK
    if is_mapping(document):
        return {
            redact_values(name) if isinstance(name, str) else name: MASK
            if is_secret(str(name))
            else redact_document(value, depth + 1)
            for name, value in document.items()
        }
    if is_list(document):
        return [redact_document(value, depth + 1) for value in document]
    return redact_values(document) if isinstance(document, str) else document


def redact_headers(headers: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Copy headers with the values of the secret ones masked."""
    return {
        redact_values(name): MASK if is_secret(name) else _redact_value(value)
        for name, value in headers.items()
    }


def _redact_value(value: str | bytes) -> str | bytes:
    return redact_text(value) if isinstance(value, str) else value


_USERINFO = re.compile(r"(?<=://)[^/\s'\"?#]+@")
_SCHEME_CREDENTIALS = re.compile(
    r"\b(bearer|basic|digest|token|negotiate)(\s+)(?=[^\s,;]*[\d=])[\w.~+/=-]{8,}", re.IGNORECASE
)
_HEADER_LINE = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+",
    re.IGNORECASE,
)
# From the telling part of a name onwards; bounded, so that a hostile text of one long word
# does not take quadratic time.
_NAME = r"(?:token|secret|passw(?:or)?d|api[-_]?key|credential|signature)[\w.%\[\]-]{0,80}"
_STRING = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
_ASSIGNED = re.compile(
    rf"((?:{_NAME}|(?<=[?&;])(?:key|sig|code))=)(?!\*\*\*)(?:{_STRING}|[^\s&\"'<>]+)",
    re.IGNORECASE,
)
_QUOTED = re.compile(rf"({_NAME}['\"]\s*:\s*)(?:{_STRING}|\[[^\]]*\]?|[-\d.]+)", re.IGNORECASE)
# In prose ("password: must be longer") only what looks like a value is masked.
_PROSE = re.compile(rf"({_NAME}\s*:\s*)(?=\S*\d)[^\s,;'\"<>]{{8,}}", re.IGNORECASE)


_PARAMETER = re.compile(r"(?<=[?&;])([^=&;\s?]{1,80})=([^&\s\"<>]+)")


def _mask_parameter(found: re.Match[str]) -> str:
    name = found[1]
    return f"{name}={MASK}" if is_secret_parameter(unquote_plus(name)) else found[0]


def redact_text(text: str) -> str:
    """Mask what looks like a credential in free text: URLs, headers, JSON, known values."""
    text = _USERINFO.sub("", redact_values(text))
    text = _PARAMETER.sub(_mask_parameter, text)
    text = _HEADER_LINE.sub(rf"\1\2{MASK}", text)
    text = _SCHEME_CREDENTIALS.sub(rf"\1\2{MASK}", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    text = _QUOTED.sub(rf'\1"{MASK}"', text)
    return _PROSE.sub(rf"\1{MASK}", text)


def scrub(
    error: BaseException, urls: Mapping[str, str] | None = None, *, keeps_foreign: bool = False
) -> None:
    """Mask secrets in the messages of an exception and of all it came from, in place.

    Requests and urllib3 put the whole URL into their messages; rebuilding the chain would
    lose the classes and the `.reason` that callers look at.

    Args:
        error: The last of the chain.
        urls: URLs that may stand in a message, with what to write instead.
        keeps_foreign: Whether an error that neither requests nor urllib3 raised, but a mock or
            an adapter of somebody else, keeps its words but for the values known to be secret.
    """
    if keeps_foreign and _is_foreign(error):
        for cause in causes(error):
            cause.args = tuple(map(_without_values, cause.args))
        return
    for cause in causes(error):
        _scrub_one(cause, urls or {})


def _is_foreign(error: BaseException) -> bool:
    """Say whether none of the packages that put URLs into their messages raised an error."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in _KNOWN_PACKAGES


_KNOWN_PACKAGES = frozenset({"httpkit", "requests", "urllib3"})


def _without_values(argument: Any) -> Any:
    return redact_values(argument) if isinstance(argument, str) else argument


def _scrub_one(error: BaseException, urls: Mapping[str, str]) -> None:
    error.args = tuple(_scrub_argument(argument, urls) for argument in error.args)
    if isinstance(url := error.__dict__.get("url"), str):
        error.__dict__["url"] = redact_url(url)
    if type(error).__module__.startswith("urllib3"):
        # Connections and answers: they hold locks and would keep the error from pickling.
        error.__dict__.update(dict.fromkeys(_LIVE & error.__dict__.keys()))


_LIVE = frozenset({"response", "conn", "pool"})
_HARMLESS = (BaseException, bytes, int, float, tuple)


def _scrub_argument(argument: Any, urls: Mapping[str, str]) -> Any:
    if isinstance(argument, InvalidChunkLength):
        return redact_text(repr(argument))  # it does not survive a pickle
    if isinstance(argument, str):
        for url, shown in urls.items():
            argument = argument.replace(url, shown)
        return redact_text(argument)
    if argument is None or issubclass(type(argument), _HARMLESS):
        return argument
    if is_mapping(argument) or is_list(argument):
        return redact_document(argument)
    # A pool or a connection: it holds a lock and would keep the error from being pickled.
    return redact_text(repr(argument))


class LogFilter(logging.Filter):
    """Masks secrets in the records of a library that logs URLs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the arguments of a record; every record is kept."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                redact_text(argument) if isinstance(argument, str) else argument
                for argument in record.args
            )
        return True


def guard_logs() -> None:
    """Mask secrets in urllib3's own records: they hold paths with their queries."""
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if not any(isinstance(present, LogFilter) for present in logger.filters):
            logger.addFilter(LogFilter())
