"""Masks credentials in all text that people read: URLs, headers, bodies and messages.

Rule: text in, text out. Names are checked first (see `disclosure`) and known values are masked
last, both in the original text: a masked value never hides the name by which another secret is
recognised. Every output goes through `_mask`.

The only state is the values to mask: a bounded list of those that auth strategies hold, so that a
token is masked wherever a server or a library repeats it, and those given to `add`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

from httpkit._core import forks
from httpkit._core.disclosure import (
    could_be_credential,
    is_about_tokens,
    is_count_of_tokens,
    is_secret,
    shows_field,
    shows_parameter,
)
from httpkit._core.given import is_list, is_mapping
from httpkit._core.lazy import pattern

MASK = "***"
Slice: TypeAlias = tuple[int, int, str]
"""Where a part of a text begins and ends, and what is shown in its place."""

_DEEPEST = 50
# Bytes, or characters. Masking more would take longer than sending it.
LARGEST_BODY = 1 << 16

# Shorter values are too likely to be a word or a number of the message itself.
_SHORTEST_VALUE = 6
# Of a value that the end of a text cuts: fewer characters tell little, and may be a word.
_SHORTEST_CUT = 8
# Characters of one: "%25E2%2582%25AC", percent-encoded twice.
_LONGEST_ENCODING = 20
# A process that rotates tokens for months must not grow.
_MOST_VALUES = 1024
# Each with its forms, and what to look for to find one.
_values: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
# The last of them, which other values have not displaced.
_newest: str | None = None
# Those of single requests and responses, which would displace the others: each call of a long job
# may have another signature. To look for one takes a microsecond of each error (2026-12).
_MOST_PASSING_VALUES = 128
_passing: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
# Those that `add` was given, which are never dropped.
_added: dict[str, tuple[tuple[str, str], ...]] = {}
# The vocabulary of HTTP and of our own messages. A value that is one of these is not masked: it
# would make messages unreadable, and whoever reads the word learns nothing of the value.
_VOCABULARY = pattern(
    r"""[^a-z0-9]* (?:
    accept | access[-_]?token | account | answer | apikey | (?:x[-_])?api[-_]?key | application
    | (?:application|audio|image|multipart|text|video)/[a-z.+-]+ | attempts?
    | auth | authentication | authorization | bad[ ]request | basic | bearer | body | bytes
    | chunked | client[-_]?(?:assertion|id|secret) | code[-_]?verifier | connection
    | content[-_](?:encoding|length|type) | cookie | credentials? | deadline | default | delete
    | detail | device[-_]?code | digest | encoding | error | expired
    | forbidden | headers? | https?(?:/[0-9.]+)? | id[-_]?token | identity | invalid | json
    | keep-alive | length | limit | localhost | location | message | method | missing | negotiate
    | not[ ]found | null | number | oauth2? | offset | options | origin | page | params? | passwd
    | passwords? | patch | private | proxy | public | query | redirect | refresh[-_]?token
    | request | required | response | retry | secrets? | server | session | set-cookie
    | signature | status | string | timeout | tokens? | unauthorized | unknown | user | username
    | user-agent | utf-?8 | value
    ) [^a-z0-9]*""",
    re.IGNORECASE | re.VERBOSE,
)
_UNCHANGED = pattern(r"[0-9A-Za-z._-]+")
_URL_CHARACTERS = str.maketrans("+/", "-_")  # RFC 4648 section 5
_lock = forks.SafeLock()


class Hidden(str):
    """A secret on its way: a variable that holds it shows nothing in a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


def add(value: str) -> None:
    """Hide a value wherever it appears, for as long as the process lives.

    Unlike what `remember` is given it may be short, or a word of HTTP.
    """
    with _lock:
        is_short = len(value) < _SHORTEST_VALUE
        forms = [value] if is_short else _forms(value)
        _added[value] = tuple((_needle(form), form) for form in forms)


def remember(*values: str) -> None:
    """Hide these values from now on wherever they appear, in any of their usual spellings.

    Those are percent-encoded, as in JSON, in HTML, and in Base64, alone or among other bytes; of a
    percent-encoded value, what it stands for, too. A value shorter than 6 characters, or one of
    the words of HTTP such as "password" or "application/json", is hidden only where a name says
    what it is.
    """
    global _newest  # noqa: PLW0603  # set with the lock held
    if len(values) == 1 and values[0] == _newest and _newest in _values:
        return  # nearly always: the token of a session is remembered for each request
    with _lock:
        for value in _worth_hiding(values):
            _newest = value
            if value not in _values:
                _values[value] = tuple((_needle(form), form) for form in _forms(value))
            _values.move_to_end(value)
        while len(_values) > _MOST_VALUES:
            _values.popitem(last=False)


def remember_passing(values: Iterable[str]) -> None:
    """Hide what one request carried, until many others were sent; not in Base64."""
    with _lock:
        for value in _worth_hiding(values):
            if value not in _values:
                _passing[value] = ((_needle(value), value),)
                _passing.move_to_end(value)
        while len(_passing) > _MOST_PASSING_VALUES:
            _passing.popitem(last=False)


def _worth_hiding(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for spelled in [value, unquote_plus(value)] if "%" in value else [value]:
            if len(spelled) >= _SHORTEST_VALUE and not _VOCABULARY.fullmatch(spelled):
                yield spelled


def _forms(value: str) -> list[str]:
    """Return a value, and what it is in Base64, wherever it begins there."""
    octets = value.encode("utf-8", "surrogatepass")
    forms = [value]
    for before in range(3):
        # A character has six bits: the first that belongs to the value alone, and the last.
        first, last = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        form = b64encode(bytes(before) + octets).decode()[first:last]
        forms += dict.fromkeys([form, form.translate(_URL_CHARACTERS)])
    return forms


def _needle(form: str) -> str:
    """Return the longest part that no encoding changes; to look for it is fast."""
    return max(_UNCHANGED.findall(form), key=len, default="")


def _encodings(form: str) -> str:
    """Return a regular expression for all encodings of a text, which may be mixed."""
    return "".join(map(_encodings_of, form))


@lru_cache(1024)
def _encodings_of(character: str) -> str:
    if _UNCHANGED.fullmatch(character):
        return re.escape(character)
    octets = character.encode("utf-8", "surrogatepass")
    import html

    literal = {character, html.escape(character), json.dumps(character)[1:-1]}
    literal |= {"\\/"} if character == "/" else {"+"} if character == " " else set()
    # A URL within a URL, and so on, is percent-encoded again. Longer ways come first: "%" is a part
    # of "%25".
    ways = ["".join(f"%(?:25)*(?i:{octet:02x})" for octet in octets)]
    ways.append(rf"\\u(?i:{ord(character):04x})")
    ways += sorted(map(re.escape, literal), key=len, reverse=True)
    return f"(?:{'|'.join(ways)})"


def redact_values(text: str) -> str:
    """Mask every remembered value in a text without looking at its names."""
    return _mask(text, ())


def redact_bytes(body: bytes) -> bytes:
    """Mask every remembered value in a body, and what belongs to a name that is masked so."""
    with _lock:
        known_values = [*_values.items(), *_passing.items(), *_added.items()]
    found = [known for known, forms in known_values if _is_in(body, forms)]
    if not found:
        return body
    text = body.decode("utf-8", "surrogateescape")
    redacted = _mask(text, _secrets_in_text(text) if any(map(is_secret, found)) else ())
    if _is_json(text) and not _is_json(redacted):  # a value was a number, or a part of one
        redacted = json.dumps(redact_document(json.loads(text)))
    return redacted.encode("utf-8", "surrogateescape")


def _is_in(body: bytes, forms: Iterable[tuple[str, str]]) -> bool:
    return any(needle.encode() in body for needle, _ in forms)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _mask(text: str, spans: Iterable[Slice]) -> str:
    """Mask what names say is secret, and the remembered values, both in the original text.

    Args:
        text: To be shown.
        spans: The parts of it that names say are secret.
    """
    pieces: list[str] = []
    done = 0
    for start, end, replacement in _merged([*spans, *_values_in(text)]):
        pieces += (text[done:start], replacement)
        done = end
    return "".join(pieces) + text[done:]


def _merged(spans: list[Slice]) -> list[Slice]:
    """Return spans of which none overlaps another; what the first of some shows counts."""
    merged: list[Slice] = []
    for start, end, replacement in sorted(spans, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            begin, until, before = merged[-1]
            if end > until:
                merged[-1] = begin, end, before or replacement
        else:
            merged.append((start, end, replacement))
    return merged


def _values_in(text: str) -> Iterator[Slice]:
    """Give the remembered values in a text, also those that overlap."""
    with _lock:
        known_values = [*_values.values(), *_passing.values(), *_added.values()]
    forms = {form for known in known_values for needle, form in known if needle in text}
    if not forms:
        return
    origins = list(_ORIGIN.finditer(text))
    for form in forms:
        pattern = re.compile(_encodings(form))
        found = pattern.search(text)
        while found is not None:
            if not any(_is_part_of(origin, found) for origin in origins):
                yield *found.span(), MASK
            found = pattern.search(text, found.start() + 1)


# Of a URL, or as urllib3's messages name a host.
_ORIGIN = pattern(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,20})://(?:[^/\s'\"?#]*@)?(?P<netloc>[^\s/?#'\"<>\\]+)"
    r"|\bhost='(?P<host>[^']+)'",
    re.IGNORECASE,
)


def _is_part_of(origin: re.Match[str], value: re.Match[str]) -> bool:
    """Say whether a value is the scheme or the host of a URL, which are no secrets."""
    if value.start() < origin.start() or value.end() > origin.end():
        return False
    scheme, netloc = origin["scheme"] or "", origin["netloc"] or origin["host"]
    host = re.sub(r":[0-9]*$", "", netloc)
    texts = {scheme, f"{scheme}:", f"{scheme}://", host, netloc}
    texts |= {f"{scheme}://{host}", f"{scheme}://{netloc}"}
    return value[0] in texts or ("." in value[0] and host.endswith(f".{value[0]}"))


# RFC 3986 appendix B.
_URL = pattern(
    r"(?:[^:/?#]+:)?(?://(?P<netloc>[^/?#]*))?[^?#]*(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
_UNSAFE_IN_URL = pattern(r"^[\x00-\x20]+|[\t\r\n]")  # as urlsplit has it


def redact_url(url: str) -> str:
    """Drop the userinfo of a URL and mask the secret values of its query and fragment."""
    url = _UNSAFE_IN_URL.sub("", url)
    return _mask(url, _secrets_in_url(url))


def _secrets_in_url(url: str) -> Iterator[Slice]:
    found = _URL.fullmatch(url)
    if found is None:
        return
    if userinfo := (found["netloc"] or "").rpartition("@")[0]:
        yield found.start("netloc"), found.start("netloc") + len(userinfo) + 1, ""
    for part in ("query", "fragment"):
        if found[part]:
            yield from _secrets_in_query(found[part], found.start(part))


def redact_query(query: str) -> str:
    """Mask the secret values of a query, or of a form."""
    return _mask(query, _secrets_in_query(query))


def redact_parameters(parameters: Mapping[str, Any]) -> str:
    """Return the repr of parameters as they are shown in a query, and of URLs without passwords."""
    shown = {name: _redacted_parameter(str(name), value) for name, value in parameters.items()}
    return redact_values(repr(shown))


def _redacted_parameter(name: str, value: Any) -> Any:
    text = str(value)
    if "://" in text:
        return redact_url(text)
    return value if shows_parameter(name, text) else MASK


def _secrets_in_query(query: str, start: int = 0) -> Iterator[Slice]:
    """Yield the values of a query that are not shown; it begins at this offset of a text."""
    for pair in query.split("&"):
        at = _hidden_in(pair)
        if at is not None:
            yield start + at, start + len(pair), MASK
        start += len(pair) + 1


def _hidden_in(pair: str) -> int | None:
    """Return where the hidden value of a pair begins; a ";" may separate, or belong to it."""
    start = 0
    for part in pair.split(";"):
        name, equals, value = map(unquote_plus, part.partition("="))
        if equals and (value or ";" in pair) and not shows_parameter(name, value):
            return start + part.index("=") + 1
        start += len(part) + 1
    bare = unquote_plus(pair)
    return 0 if "=" not in pair and not shows_parameter("", bare) else None


def redact_json(text: str) -> str:
    """Mask the values under secret keys of a JSON document; other text by its looks."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return redact_text(text)
    redacted = redact_document(document)
    if redacted == document:  # unchanged; of a repeated key, JSON keeps the last
        return redact_text(text)
    return json.dumps(redacted)


def redact_body(body: object, media_type: str) -> str | bytes | None:
    """Mask the secrets of a body; None for one that is not text, too large, or a multipart form.

    The fields of such a form are named in one line and valued in another.
    """
    if not isinstance(body, (str, bytes)) or len(body) > LARGEST_BODY:
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
            if is_secret(str(name)) and not is_count_of_tokens(str(name), value)
            else redact_document(value, depth + 1)
            for name, value in document.items()
        }
    if is_list(document):
        return [redact_document(value, depth + 1) for value in document]
    if isinstance(document, str):
        return redact_text(document)
    is_number = isinstance(document, (int, float)) and not isinstance(document, bool)
    return MASK if is_number and redact_values(str(document)) != str(document) else document


def redact_request_headers(headers: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Copy the headers of a request with all values masked but those of harmless names."""
    return {
        redact_values(name): _redact_value(value) if shows_field(name) or not value else MASK
        for name, value in headers.items()
    }


def redact_headers(headers: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Copy the headers of a response with the values of secret names masked."""
    return {
        redact_values(name): MASK if is_secret(name) else _redact_value(value)
        for name, value in headers.items()
    }


def _redact_value(value: str | bytes) -> str | bytes:
    if isinstance(value, str):
        return redact_text(value)
    return redact_text(value.decode("latin-1")).encode("latin-1")


_USERINFO = pattern(r"(?<=://)(?P<value>[^/\s'\"?#]+@)")
# A password whose "#", "/" or "?" is not percent-encoded; "h:8080/@me" is none.
_RAW_USERINFO = pattern(
    r"(?<=://)(?P<value>[^\s/?#'\"@:]{1,200}:(?![0-9]{1,5}[/?#])[^\s'\"@]{1,500}@)"
)
_SCHEME_CREDENTIALS = pattern(
    r"\b(?:bearer|basic|digest|token|negotiate)\s+(?=[^\s,;]*[\d=])(?P<value>[\w.~+/=-]{8,})",
    re.IGNORECASE,
)
_HEADER_LINE = pattern(
    r"\b(?:(?:proxy-)?authorization|(?:set-)?cookie)['\"]?\s*[:=]\s*['\"]?(?P<value>[^'\"\r\n]+)",
    re.IGNORECASE,
)
# From the telling part of a name onwards; bounded, so that a hostile text of one long word
# does not take quadratic time.
_NAME = (
    r"(?P<name>(?:token|secret|passw(?:or)?d|api[-_]?key|credential|signature)[\w.%\[\]-]{0,80})"
)
_STRING = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
_ASSIGNED = pattern(
    rf"{_NAME}=(?!\*\*\*)(?P<value>{_STRING}|[^\s&\"'<>]+)",
    re.IGNORECASE,
)
_QUOTED = pattern(rf"{_NAME}['\"]\s*:\s*(?P<value>{_STRING}|\[[^\]]*\]?|[-\d.]+)", re.IGNORECASE)
# In prose ("password: must be longer") only what looks like a value is masked.
_PROSE = pattern(rf"{_NAME}\s*:\s*(?=\S*\d)(?P<value>[^\s,;'\"<>]{{6,}})", re.IGNORECASE)
_ELEMENT = pattern(
    r"<(?:[\w.-]{1,80}:)?(?P<name>[\w.-]{1,80})(?:\s[^<>]{0,1000})?(?<!/)>(?P<value>[^<>]+)</"
)
_INPUT = pattern(
    r"\bname=['\"](?P<name>[\w.-]{1,80})['\"][^<>]{0,200}?\bvalue=['\"](?P<value>[^'\"<>]+)",
    re.IGNORECASE,
)
# Tokens that are known by their shape: JSON web tokens (RFC 7519), and those of vendors that
# publish theirs so that scanners find them.
_SHAPED = pattern(
    r"(?<![\w-])(?P<value>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|gh[opsur]_\w{30,}|github_pat_\w{30,}"
    r"|glpat-[\w-]{20,}|xox[a-z]-[\w-]{20,}|[rs]k_(?:live|test)_\w{16,}|AIza[\w-]{35})"
)
# As msgspec quotes what it refuses.
_REFUSED = pattern(r"(?P<value>'[^']*') - at `\$(?:[^`]*\.)?(?P<name>[\w-]+)(?:\[[^`\]]*\])*`")
_PARAMETER = pattern(r"(?<=[?&;])(?P<name>[^=&;\s?]{1,80})=(?P<value>[^&\s\"<>]+)")


def redact_text(text: str) -> str:
    """Mask what looks like a credential in free text: URLs, headers, JSON, known values."""
    return _mask(text, _secrets_in_text(text))


def shown(value: object) -> str:
    """Return the repr of a wrong argument; masked where it could be a credential, misplaced."""
    is_hidden = isinstance(value, str) and could_be_credential(value)
    return MASK if is_hidden else redact_text(repr(value))


def redact_start(text: str, longest: int) -> str:
    """Return the first characters of a text, redacted, also of a value that is cut there."""
    start = text[:longest]
    return redact_text(_without_cut_value(start) if len(text) > longest else start)


def _without_cut_value(start: str) -> str:
    with _lock:
        known_values = [*_values.values(), *_passing.values(), *_added.values()]
    cuts: list[int] = []
    for form in {form for known in known_values for _, form in known}:
        beginning = form[:_SHORTEST_CUT]
        # The end of it that can hold the value in its longest spelling.
        searched = max(0, len(start) - _LONGEST_ENCODING * len(form))
        if start.find(_needle(beginning), searched) < 0:
            continue
        found_at = re.compile(_encodings(beginning)).finditer(start, searched)
        cuts += [found.start() for found in found_at if _is_cut(start, found.end(), form)]
    return start[: min(cuts)] + MASK if cuts else start


def _is_cut(text: str, index: int, form: str) -> bool:
    """Say whether the rest of a text goes on as a form does, until the text ends."""
    for character in form[_SHORTEST_CUT:]:
        found = re.compile(_encodings_of(character)).match(text, index)
        if index == len(text):
            return True
        if found is None:  # the end may be a part of a spelling, such as "%2" of "%2F"
            rest = text[index - 3 :]
            return len(rest) < _LONGEST_ENCODING and not {"%", "\\", "&"}.isdisjoint(rest)
        index = found.end()
    return index == len(text)


def named_values(text: str) -> Iterator[str]:
    """Yield what names in free text say is a credential, without its quotes."""
    for start, end, shown in _secrets_in_text(text):
        if shown:  # else it is dropped, not masked: the user of a URL is no secret
            yield text[start:end].strip("'\"")


def _secrets_in_text(text: str) -> Iterator[Slice]:
    """Yield what names, or words such as Bearer, say is a credential."""
    for expression, shown_as, is_credential in _EXPRESSIONS:
        for found in expression.finditer(text):
            if is_credential(text, found):
                yield *found.span("value"), shown_as


def _is_always(_: str, __: re.Match[str]) -> bool:
    return True


def _is_of_parameter(_: str, found: re.Match[str]) -> bool:
    return not shows_parameter(unquote_plus(found["name"]), unquote_plus(found["value"]))


def _is_of_secret_name(_: str, found: re.Match[str]) -> bool:
    return is_secret(found["name"]) and not is_about_tokens(found["name"], found["value"])


def _is_no_count(text: str, found: re.Match[str]) -> bool:
    """Say whether what was found is a credential, unlike "max_tokens: 50"."""
    before = _NAME_BEFORE.search(text, max(0, found.start() - 80), found.start())
    name = f"{before[0] if before else ''}{found['name']}"
    return not is_about_tokens(name, found["value"])


_EXPRESSIONS = (
    (_USERINFO, "", _is_always),
    (_RAW_USERINFO, "", _is_always),
    (_PARAMETER, MASK, _is_of_parameter),
    (_ELEMENT, MASK, _is_of_secret_name),
    (_INPUT, MASK, _is_of_secret_name),
    (_REFUSED, MASK, _is_of_secret_name),
    (_HEADER_LINE, MASK, _is_always),
    (_SCHEME_CREDENTIALS, MASK, _is_always),
    (_SHAPED, MASK, _is_always),
    (_ASSIGNED, MASK, _is_no_count),
    (_PROSE, MASK, _is_no_count),
    (_QUOTED, f'"{MASK}"', _is_no_count),
)
_NAME_BEFORE = pattern(r"[\w-]*$")
