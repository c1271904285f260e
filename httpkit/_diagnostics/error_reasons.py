"""The server's own message in the body or header of an error response.

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
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import requests

from httpkit._core import credentials, redaction, upstream, xml_documents
from httpkit._core.given import as_text, is_mapping
from httpkit._core.lazy import pattern
from httpkit._diagnostics.error_documents import LONGEST_EXAMINED, normal, reason_in, states_failure

# An excerpt is for a line in a log; the whole body is on `.response`.
_LONGEST_DETAIL = 300
# Parsing more than this for a message would let a server use up the client's time.
_LONGEST_PARSED = 1 << 20

Problem = dict[str, Any]
"""The members of a problem document (RFC 9457): type, title, status, detail, instance, others."""

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
    credentials.remember(response)
    problem = read_problem(response)
    body = _head(response)
    document = problem if problem is not None else _document(response, body)
    message = reason_in(document, _status_texts(response)) or _excerpt(response, body)
    if not message or normal(message) in _status_texts(response):
        message = _of_header(response.headers) or message
    message = _without_markup(message[: LONGEST_EXAMINED + 1], _status_texts(response))
    return one_line(message, _LONGEST_DETAIL) or None, problem


def read_document(response: requests.Response) -> str:
    """Return what a document says on one line; "" where none is JSON, XML or a form."""
    credentials.remember(response)
    message = reason_in(_document(response, _head(response)), _status_texts(response))
    return one_line(message, _LONGEST_DETAIL)


def with_words(response: requests.Response, why: str) -> str:
    """Return why a response is not what it should be, with what the server says in place of it.

    Some servers send an error, or a page such as a login form, with status 200.
    """
    said = _said(response)
    return f"{why}; {said}" if said else why


def _said(response: requests.Response) -> str:
    body = _head(response)
    document = _document(response, body)
    if document is not None:
        is_error = states_failure(document) or _XML_ERROR.search(body[:LONGEST_EXAMINED])
        said = read_part(response, document) if is_error else ""
        return f"the server says: {said}" if said else ""
    text = _decoded(body[: 4 * LONGEST_EXAMINED], response.encoding)
    title = _title(text, frozenset()) if _PAGE.match(text) else ""
    return f"the server sent a page: {one_line(title, _LONGEST_DETAIL)}" if title else ""


# The name of an element, which the document of an XML text does not have for its root.
_XML_ERROR = re.compile(rb"^[^{\[]*<(?:[\w.-]+:)?\w*(?:error|fault|exception)", re.IGNORECASE)


def read_part(response: requests.Response, document: object) -> str:
    """Return what a part of the document of a response says on one line; "" for nothing."""
    credentials.remember(response)
    return one_line(reason_in(document, _status_texts(response)), _LONGEST_DETAIL)


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
    return normal(detail) in _status_texts(response)


def _status_texts(response: requests.Response) -> frozenset[str]:
    """Return the normal forms of what the message says of the status anyway."""
    status, phrase = str(response.status_code), as_text(response.reason or "")[:LONGEST_EXAMINED]
    return frozenset(map(normal, (status, phrase, f"{status} {phrase}", f"{phrase} {status}")))


def one_line(text: str, longest: int) -> str:
    """Return a text for a message: redacted, on one line, at most so many characters."""
    text = redaction.redact_start(text, LONGEST_EXAMINED)
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
    if document is None and not body.isascii():  # perhaps in another encoding than JSON has
        document = _json(_decoded(body, response.encoding).encode("utf-8", "replace"))
    is_page = _media_type(response) == "text/html"
    if document is not None or is_page or _HTML.search(body[:1024]):
        return document  # HTML is for `_title`
    return xml_documents.parse(body, is_cut=len(body) == _LONGEST_PARSED)


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
    adds_detail = (text for text in texts if normal(text) not in status_texts | _EMPTY_TITLES)
    return next(adds_detail, texts[0])


_EMPTY_DOCUMENTS = frozenset({"{}", "[]", '""', "null", "true", "false"})


def _excerpt(response: requests.Response, body: bytes) -> str:
    """Return the beginning of a text, the title of a page, nothing of anything else."""
    media_type = response.headers.get("content-type", "").lower()
    start = body.removeprefix(codecs.BOM_UTF8)[: 4 * LONGEST_EXAMINED + 4]
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
        if len(body) > LONGEST_EXAMINED and error.start >= len(body) - 3:  # cut in a character
            return body.decode("utf-8", "replace")
    try:
        return body.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # no encoding, or one that is none of text
        return body.decode("utf-8", "replace")


# ---- header fields


def _of_header(headers: Mapping[str, str]) -> str:
    """Return the reason that a field gives: of a rejected token, or of a body that is missing."""
    field = as_text(headers.get("www-authenticate", ""))[: 4 * LONGEST_EXAMINED]
    found = {m["kind"].lower(): m["text"] or m["word"] or "" for m in _found_in(field)}
    message = re.sub(r"\\(.)", r"\1", found.get("_description") or found.get("", ""))
    return message or next((as_text(headers[name]) for name in _FIELDS if headers.get(name)), "")


def _found_in(field: str) -> Iterator[re.Match[str]]:
    yield from _WWW_AUTHENTICATE.finditer(field)
