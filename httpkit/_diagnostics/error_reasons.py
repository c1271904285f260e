"""The server's own words in an error response: where APIs put them, and how they are found.

    JSON      problem documents (RFC 9457), OAuth (RFC 6749), field maps, lists of errors, ...
    XML       S3, Azure, SOAP, problem+xml: read as JSON would be, by the names of its elements
    a form    token endpoints that send `error=...&error_description=...`
    HTML      the title of the page, else its first heading
    text      its beginning
    a header  `WWW-Authenticate` (RFC 6750 section 3) and the fields of a response without a body

Rule: nothing is sent or raised here, and the work is bounded whatever the server sent.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import requests

from httpkit._core import redaction, upstream
from httpkit._core.given import as_text, is_list, is_mapping
from httpkit._core.patterns import pattern

# An excerpt is for a line in a log; the whole body is on `.response`.
_LONGEST_DETAIL = 300
# What is examined for that excerpt: masking a megabyte would take too long.
_LONGEST_EXAMINED = 4096
# Parsing more than this for a message would let a server use up the client's time.
_LONGEST_PARSED = 1 << 20
_MOST_REASONS = 5
# {"error": {"details": [{"fieldViolations": [{"description": ...}]}]}}, in an envelope of SOAP.
_DEEPEST = 8
_MOST_ELEMENTS = 2000
_MOST_MEMBERS = 20

Problem = dict[str, Any]
"""The members of a problem document (RFC 9457): type, title, status, detail, instance, others."""

# Names are compared without case, punctuation and namespace: "error_message", "ErrorMessage".
# Where APIs put the reason, the most telling first.
_REASONS = (
    "faultstring", "detail", "errordescription", "hydradescription", "longmessage",
    "exceptionmessage", "message", "errormessage", "defaultmessage", "errorsummary",
    "exceptiontext", "diagnostics", "msg", "errmsg", "explanation", "reason", "description",
    "error", "odataerror", "fault", "errors", "errormessages", "title", "text", "messages", "value",
)  # fmt: skip
# Texts that say more than the reason beside them.
_FURTHER = ("detail", "details", "description", "errorusermsg", "hint", "data")
# Names for machines, where there are no words.
_CODES = ("code", "errorcode", "errcode", "exceptioncode", "type")
_CODE = pattern(r"[A-Z][A-Z0-9_]+|\w+_\w+|\S*(?:[Ee]rror|[Ee]xception)")
# Where they put what is wrong in particular, beside a summary.
_DETAILS = (
    "errors", "details", "detail", "fieldviolations", "violations", "validation", "fielderrors",
    "validationerrors", "invalidparams", "invalidparameters", "errordetails", "oerrordetails",
    "errorcauses", "causes", "rootcause", "errorchain", "issue", "issues", "elements", "fields",
    "embedded", "failures", "innererror", "modelstate", "messageextendedinfo",
    "additionaldetails", "constraints",
)  # fmt: skip
# Where they name what an entry is about.
_PATHS = (
    "field", "loc", "path", "pointer", "propertypath", "param", "parameter", "expression",
    "target", "location", "locator", "property", "attribute", "attr", "header", "fieldname",
    "instancepath", "datapath", "oerrorpath",
)  # fmt: skip
# The entries of these are about what they call `name` (RFC 7807 section 3).
_PARAMETERS = frozenset({"invalidparams", "invalidparameters", "params", "parameters"})
# Members that wrap an error: they are looked into where nothing else says anything.
_WRAPPERS = ("error", "fault", "response", "exception", "report")
_ENVELOPES = ("body", "envelope", "data", "result", "response", "meta", "status")
# The values of these are maps from the name of a field to what is wrong with it.
_FIELD_MAPS = frozenset({
    "errors", "fielderrors", "validationerrors", "fields", "messages", "invalidfields",
    "modelstate", "constraints",
})  # fmt: skip
# A map with one of these is an error itself, and no map of fields.
_OF_AN_ENTRY = frozenset({
    "detail", "errordescription", "message", "errormessage", "defaultmessage", "errorsummary",
    "msg", "faultstring", "code",
})  # fmt: skip
# Keys of a field map that name no field.
_UNNAMED = frozenset({
    "", "errors", "error", "detail", "details", "message", "messages", "nonfielderrors", "all",
    "base", "schema", "global", "general", "errormessages", "fields",
})  # fmt: skip
_PUNCTUATION = pattern(r"[^a-z0-9]+")
_WWW_AUTHENTICATE = pattern(
    r"\berror(?P<kind>_description|)\s*=\s*(?:\"(?P<text>(?:[^\"\\]|\\.)*)\"|(?P<word>[^\s,;\"]+))",
    re.IGNORECASE,
)
# Fields with the reason of a response that may have no body, as after HEAD.
_FIELDS = ("x-error-message", "grpc-message", "x-ms-error-code", "x-amzn-errortype")


def read_problem(response: requests.Response) -> Problem | None:
    """Return the members of a problem document (RFC 9457 section 3); None for other bodies."""
    if _media_type(response) != "application/problem+json":
        return None
    document = _json(_head(response))
    return dict(document) if is_mapping(document) else None


def read(response: requests.Response) -> tuple[str | None, Problem | None]:
    """Return what the server says about an error, on one line, and its problem document."""
    problem = read_problem(response)
    body = _head(response)
    document = problem if problem is not None else _document(response, body)
    message = _message(document, response) or _excerpt(response, body)
    if not message or _normal(message) in _status_texts(response):
        message = _of_header(response.headers) or message
    message = _without_markup(message[: _LONGEST_EXAMINED + 1], _status_texts(response))
    return one_line(message, _LONGEST_DETAIL) or None, problem


def read_document(response: requests.Response) -> str:
    """Return what a document says on one line; "" where none is JSON, XML or a form."""
    message = _message(_document(response, _head(response)), response)
    return one_line(message, _LONGEST_DETAIL)


def call_error_reason(response: requests.Response) -> tuple[str | None, str | None]:
    """Return what the session's `error_reason` says of a response, and why it says nothing."""
    function = response.__dict__.pop("_error_reason", None)  # it may ask for the error itself
    if function is None:
        return None, None
    try:
        reason = function(response)
    except Exception as error:  # noqa: BLE001  # an error while an error is made would hide it
        what = f"{type(error).__name__}: {error}"
        return None, f"error_reason raised {one_line(what, _LONGEST_DETAIL)}"
    finally:
        response.__dict__["_error_reason"] = function
    if reason is not None and not isinstance(reason, str):
        return None, f"error_reason returned {type(reason).__name__}: a str or None is wanted"
    return one_line(reason or "", _LONGEST_DETAIL) or None, None


def repeats_status(detail: str, response: requests.Response) -> bool:
    """Say whether words repeat the status and its reason phrase, and nothing more."""
    return _normal(detail) in _status_texts(response)


def one_line(text: str, longest: int) -> str:
    """Return a text for a message: redacted, on one line, at most so many characters."""
    text = redaction.redact_start(text, _LONGEST_EXAMINED)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _media_type(response: requests.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _head(response: requests.Response) -> bytes:
    # Not `.content`: it would raise for a body that was cut at the limit for errors.
    content = upstream.content_of(response)
    return content[:_LONGEST_PARSED] if isinstance(content, bytes) else b""


def _document(response: requests.Response, body: bytes) -> Any:
    """Return a body as nested mappings and lists, whatever its type; None for a text or page."""
    if "form-urlencoded" in _media_type(response):
        return dict(parse_qsl(_decoded(body, None), max_num_fields=100, errors="replace"))
    document = _json(body)
    is_page = _media_type(response) == "text/html"
    return _xml(body) if document is None and not is_page else document


# Some servers put this before JSON, so that no browser runs it as a script.
_GUARD = b")]}'"


def _json(body: bytes) -> Any:
    body = body.removeprefix(codecs.BOM_UTF8).lstrip().removeprefix(_GUARD).lstrip()
    if body[:1] not in {b"{", b"[", b'"'} and body[:2] not in _UTF16:
        return None
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


# ---- JSON, and XML read as if it were


def _message(document: object, response: requests.Response) -> str:
    """Return the reason that a document gives: a summary, and the details that it adds."""
    try:
        return "" if document is None else _Reader(_status_texts(response)).read(document)
    except RecursionError:
        return ""


def _status_texts(response: requests.Response) -> frozenset[str]:
    """Return the normal forms of what the message says of the status anyway."""
    status, phrase = str(response.status_code), as_text(response.reason or "")[:_LONGEST_EXAMINED]
    return frozenset(map(_normal, (status, phrase, f"{status} {phrase}", f"{phrase} {status}")))


def _normal(text: str) -> str:
    """Return what two texts that say the same have in common."""
    return "".join(filter(str.isalnum, text[:_LONGEST_EXAMINED])).lower()


def _key(name: object) -> str:
    """Return a name without case, punctuation and namespace: "o:errorDetails" is one of them."""
    return _PUNCTUATION.sub("", str(name)[:100].lower())


class _Reader:
    """Reads the reason of one document; says nothing twice."""

    def __init__(self, status_texts: frozenset[str]) -> None:
        self._status_texts = status_texts

    def read(self, document: object, depth: int = 0) -> str:
        if isinstance(document, str):
            return document.strip()
        if depth > _DEEPEST:
            return ""
        if is_list(document):
            entries = [self.read(entry, depth + 1) for entry in document[:_MOST_REASONS]]
            return "; ".join(_distinct(entries))
        if not is_mapping(document):
            return ""
        if _is_field_map(document):
            return self._fields(document, depth)
        return self._entry(document, depth)

    def _entry(self, document: Mapping[Any, Any], depth: int) -> str:
        """Return the reason of an object: a summary, its details, and what they are about."""
        entry = {_key(name): value for name, value in document.items()}
        summary, source = self._summary(entry, depth)
        details = _distinct(
            self._member(name, entry[name], depth)
            for name in _DETAILS
            if name != source and (is_list(entry.get(name)) or is_mapping(entry.get(name)))
        )
        details += _distinct(_text(entry.get(name)) for name in _FURTHER if name != source)
        if is_mapping(entry.get("data")) and _is_map_of_entries(entry["data"]):
            details.append(self._fields(entry["data"], depth + 1))
        message = self._joined(summary, details)
        if not self._adds_detail(message):
            message = next(filter(self._adds_detail, self._envelopes(entry, depth)), message)
        message = message or _code(entry)
        return _at(_path_of(entry), message) if depth else message

    def _adds_detail(self, message: str) -> bool:
        """Say whether words are more than the status."""
        return bool(message) and _normal(message) not in self._status_texts

    def _summary(self, entry: Mapping[str, Any], depth: int) -> tuple[str, str]:
        """Return the most telling member, and its name: a text counts before what has parts."""
        found = "", ""
        for name in _REASONS:
            message = _text(entry.get(name)) or self._texts(entry.get(name))
            if self._adds_detail(message):
                return message, name
            found = found if found[0] else (message, name)
        for name in _REASONS:
            message = self._member(name, entry.get(name), depth)
            if self._adds_detail(message):
                return message, name
        return found

    def _texts(self, value: object) -> str:
        is_plain = is_list(value) and all(isinstance(item, str) for item in value[:_MOST_REASONS])
        return self.read(value) if is_plain else ""

    def _member(self, name: str, value: object, depth: int) -> str:
        if is_mapping(value) and name in _FIELD_MAPS and not _is_entry(value):
            return self._fields(value, depth + 1)
        if name in _PARAMETERS and is_list(value):
            value = [_with_name(entry) for entry in value[:_MOST_REASONS]]
        message = self.read(value, depth + 1)
        if not message and is_mapping(value) and _may_be_fields(name, value):
            message = self._fields(value, depth + 1)
        return message

    def _envelopes(self, entry: Mapping[str, Any], depth: int) -> Iterator[str]:
        wrapping = [*_ENVELOPES, *(n for n in entry if n.endswith(_WRAPPERS))]
        for name in wrapping:
            if is_mapping(entry.get(name)) or is_list(entry.get(name)):
                yield self.read(entry[name], depth + 1)
        for value in list(entry.values())[:_MOST_MEMBERS]:  # {"itemNotFound": {"message": ...}}
            if _is_entry(value) or (is_mapping(value) and "errors" in value):
                yield self.read(value, depth + 1)

    def _fields(self, field_errors: Mapping[Any, Any], depth: int) -> str:
        """Return what is wrong with each field of a map."""
        entries: list[str] = []
        for name, value in list(field_errors.items())[:_MOST_REASONS]:
            message = self._field_error(value, depth)
            entries.append(message if _key(name) in _UNNAMED else _at(str(name), message))
        return "; ".join(_distinct(entries))

    def _field_error(self, value: object, depth: int) -> str:
        if depth > _DEEPEST:
            return ""
        if is_mapping(value) and not _is_entry(value):
            return self._fields(value, depth + 1)
        if is_list(value) and _is_field_error(value) and any(map(is_mapping, value)):
            return self._fields({n: item for n, item in enumerate(value) if item}, depth + 1)
        return self.read(value, depth + 1)

    def _joined(self, summary: str, details: Sequence[str]) -> str:
        added = [text for text in details if _normal(text) not in _normal(summary)]
        if not added:
            return summary
        inside = "; ".join(added)
        is_empty = _normal(summary) in self._status_texts or _normal(summary) in _normal(inside)
        return inside if is_empty else f"{summary.rstrip('.: ')}: {inside}"


def _is_field_map(document: Mapping[Any, Any]) -> bool:
    """Say whether all members of an object are complaints: lists of texts, or nested ones."""
    return bool(document) and all(map(_is_field_error, document.values()))


def _is_field_error(value: object) -> bool:
    if is_list(value):
        return bool(value) and all(
            isinstance(item, str) or item == {} or (is_mapping(item) and _is_field_map(item))
            for item in value[:_MOST_REASONS]
        )
    return is_mapping(value) and _is_field_map(value)


def _may_be_fields(name: str, value: Mapping[Any, Any]) -> bool:
    """Say whether an object in which no reason was found may still be a map of fields."""
    has_texts = all(isinstance(member, str) for member in value.values())
    return (name == "error" and has_texts) or any(map(is_list, value.values()))


def _text(value: object) -> str:
    """Return a member that is words; nothing for an identifier such as a URL of documentation."""
    return value.strip() if isinstance(value, str) and "://" not in value[:10] else ""


def _code(entry: Mapping[str, Any]) -> str:
    """Return an error code; a type that is none, such as "repository", says nothing."""
    for name in _CODES:
        code = _text(entry.get(name))
        if code and (name != "type" or len(entry) == 1 or _CODE.fullmatch(code)):
            return code
    return ""


def _is_entry(value: object) -> bool:
    """Say whether an object describes one error, and is no map of fields."""
    return is_mapping(value) and any(
        _key(name) in _OF_AN_ENTRY and isinstance(member, (str, int, Mapping))
        for name, member in value.items()
    )


def _is_map_of_entries(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(map(_is_entry, value.values()))


def _with_name(entry: object) -> object:
    """Return an entry whose `name` is what it is about, with that as its path."""
    return {"path": entry.get("name"), **entry} if is_mapping(entry) else entry


def _path_of(entry: Mapping[str, Any]) -> str:
    source = entry.get("source")
    if is_mapping(source):
        entry = {**entry, **source}  # JSON:API: pointer, parameter or header
    for name in _PATHS:
        value = entry.get(name)
        if is_list(value):
            value = ".".join(str(part) for part in value[:20] if isinstance(part, (str, int)))
        if isinstance(value, str) and value:
            return value
    return ""


def _at(path: str, message: str) -> str:
    """Put what an entry is about before its words, unless they name it."""
    name = re.split(r"[./]", path)[-1] or path
    is_named = message.lower().startswith(path.lower()) or f"'{name}'" in message
    return message if not path or not message or is_named else f"{path}: {message}"


def _distinct(texts: Iterator[str] | Sequence[str]) -> list[str]:
    """Return texts without those that say what another says."""
    found: dict[str, str] = {}
    for text in texts:
        if text:
            found.setdefault(_normal(text) or text, text)
    return list(found.values())


# ---- XML

_ENCODED_IN_TWO = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"<\0", b"\0<")


def _xml(body: bytes) -> Any:
    """Return an XML document as JSON would have it; None for HTML and for all else.

    A document type declaration ends the reading: nothing is expanded or fetched.
    """
    head = body.removeprefix(codecs.BOM_UTF8).lstrip()
    if not head.startswith((b"<", *_ENCODED_IN_TWO)) or _HTML.search(head[:1024]):
        return None  # HTML is for `_title`
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
        return reader.root() if len(body) == _LONGEST_PARSED else None
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
        if self._count > _MOST_ELEMENTS or len(self._open) > 50:
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


# ---- HTML and text

_PAGE = pattern(r"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
_HTML = re.compile(rb"<!doctype\s+html|<html|<head>|<h[1-6]\b", re.IGNORECASE)
_MARKUP = pattern(r"\s*<[!a-z?/]", re.IGNORECASE)
_TITLE = pattern(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HEADING = pattern(r"<h([1-3])\b[^>]*>(.*?)</h\1>", re.IGNORECASE | re.DOTALL)
_PARAGRAPH = pattern(r"<(p|pre)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_EMPTY_TITLES = frozenset({"error", "errors", "errorpage", "servererror", "httperror", "oops"})
_INVISIBLE = pattern(r"<(script|style)\b.*?</\1>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = pattern(r"<[^>]*>")


def _unescaped(text: str) -> str:
    import html

    return html.unescape(text)


def _without_markup(message: str, status_texts: frozenset[str]) -> str:
    """Return what a page says; other texts as they are."""
    return _title(message, status_texts) if _PAGE.match(message) else message


def _title(page: str, status_texts: frozenset[str]) -> str:
    """Return what a page says: its title, heading or first paragraph, or its text if short.

    The first of them that says more than "Error" or the status counts.
    """
    visible = _INVISIBLE.sub(" ", page)
    parts = [part.search(visible) for part in (_TITLE, _HEADING, _PARAGRAPH)]
    texts = [_unescaped(_TAG.sub(" ", part[part.lastindex or 0])).strip() for part in parts if part]
    texts = list(filter(None, texts))
    if not texts:
        text = _unescaped(_TAG.sub(" ", visible)).strip()
        return text if len(text) < _LONGEST_DETAIL else ""
    adds_detail = (text for text in texts if _normal(text) not in status_texts | _EMPTY_TITLES)
    return next(adds_detail, texts[0])


_EMPTY_DOCUMENTS = frozenset({"{}", "[]", '""', "null", "true", "false"})


def _excerpt(response: requests.Response, body: bytes) -> str:
    """Return the beginning of a text, the title of a page, nothing of anything else."""
    media_type = response.headers.get("content-type", "").lower()
    start = body.removeprefix(codecs.BOM_UTF8)[: 4 * _LONGEST_EXAMINED + 4]
    text = _decoded(start, response.encoding).strip()
    if text in _EMPTY_DOCUMENTS:
        return ""
    if _PAGE.match(text) or ("html" in media_type and _MARKUP.match(text)):
        return _title(text, _status_texts(response))
    is_octets = media_type.startswith("application/octet-stream")
    is_textual = media_type.startswith("text/") or "json" in media_type or "xml" in media_type
    is_textual = is_textual or "yaml" in media_type
    readable = not media_type or is_textual or (is_octets and body[:1] in {b"{", b"["})
    return text if readable and "\x00" not in text else ""


def _decoded(body: bytes, encoding: str | None) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(body) > _LONGEST_EXAMINED and error.start >= len(body) - 3:  # cut in a character
            return body.decode("utf-8", "replace")
    try:
        return body.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # no encoding, or one that is none of text
        return body.decode("utf-8", "replace")


# ---- header fields


def _of_header(headers: Mapping[str, str]) -> str:
    """Return the reason that a field gives: of a rejected token, or of a body that is missing."""
    field = as_text(headers.get("www-authenticate", ""))[: 4 * _LONGEST_EXAMINED]
    found = {m["kind"].lower(): m["text"] or m["word"] or "" for m in _found_in(field)}
    message = re.sub(r"\\(.)", r"\1", found.get("_description") or found.get("", ""))
    return message or next((as_text(headers[name]) for name in _FIELDS if headers.get(name)), "")


def _found_in(field: str) -> Iterator[re.Match[str]]:
    yield from _WWW_AUTHENTICATE.finditer(field)
