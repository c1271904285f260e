"""What a notebook shows of a thing: a small card in HTML.

Rule: no I/O here. A card shows what is there already: it sends nothing, reads no body and
fetches no page, and whatever goes wrong while it is made, there is one.
"""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import requests

from httpkit._core import header_fields, hints, redaction, upstream
from httpkit._core.given import as_text, is_list, is_mapping, is_tuple
from httpkit._display import html
from httpkit._display.html import Html, Writer, note, seconds_of, size_of

Facts: TypeAlias = Iterable[tuple[str, object]]
"""Labels with values, in the order in which people ask for them."""

# Parsing takes 0.1 s for 10 MB of it (2026-11-21); of more the beginning is shown, as text.
_LARGEST_PARSED = 1 << 24
# Enough for the text that is shown in whatever encoding, and for what masking must see of it.
_LARGEST_HEAD = 4 * (html.LONGEST_TEXT + 4096)
_MOST_FIELDS = 60
_MOST_REDIRECTS = 5
_LONGEST_MESSAGE = 1000

_GREEN, _RED, _GREY = "#1a7f37", "#cf222e", "#6e7781"  # white stands out on each
_CARD = (
    "border:1px solid rgba(128,128,128,0.4);border-left:4px solid {tone};border-radius:4px;"
    "padding:6px 12px;margin:4px 0;max-width:80em;overflow:auto;text-align:left;line-height:1.5"
)
_BADGE = "background:{tone};color:#fff;border-radius:4px;padding:1px 8px;margin:0 4px 0 0"


def make_card(subject: object, make: Callable[[], str]) -> str:
    """Return a card; its class's name alone, should the card fail.

    A value that cannot be described must still be a value: IPython would print a traceback.
    """
    try:
        return make()
    except Exception:  # noqa: BLE001  # a caller's own repr, say, may raise anything
        return _framed(_GREY, Html(f"<b>{Writer().line(type(subject).__name__)}</b>"))


def _framed(tone: str, title: Html, *parts: Html) -> str:
    inside = "".join(part for part in parts if part)
    return f'<div style="{_CARD.format(tone=tone)}"><div>{title}</div>{inside}</div>'


def _badge(tone: str, label: Html) -> Html:
    return Html(f'<span style="{_BADGE.format(tone=tone)}">{label}</span> ')


def of_facts(subject: object, facts: Callable[[], Facts]) -> str:
    """Return a card of labels and values, below the name of the class."""

    def make() -> str:
        writer = Writer()
        title = Html(f"<b>{writer.line(type(subject).__name__)}</b>")
        return _framed(_GREY, title, writer.facts(facts()))

    return make_card(subject, make)


# ---- responses


def of_response(response: requests.Response) -> str:
    """Return the card of a response; a body that nobody has read yet is not read for it."""
    writer = Writer()
    status = f"{response.status_code} {_reason(response)}"
    tone = _GREEN if 200 <= response.status_code < 300 else _GREY
    tone = _RED if response.status_code >= 400 else tone
    title = Html(f"{_badge(tone, writer.line(status))}{_target(writer, response)}")
    facts = writer.facts(_facts_of_response(response))
    return _framed(tone, title, facts, _body_of(response), _fields_of(response))


def _reason(response: requests.Response) -> str:
    return as_text(response.reason or "")


def _target(writer: Writer, response: requests.Response) -> Html:
    method = getattr(response.request, "method", None) or ""
    url = writer.line(redaction.redact_url(response.url or ""), _LONGEST_MESSAGE)
    style = "font-family:monospace;overflow-wrap:break-word"
    return Html(f'<b>{writer.line(str(method))}</b> <span style="{style}">{url}</span>')


def line(response: requests.Response) -> str:
    """Return a response on one line of plain text."""
    try:
        return _line(response)
    except Exception:  # noqa: BLE001  # as above
        return f"<{type(response).__name__}>"


def _line(response: requests.Response) -> str:
    status = html.plain(f"{response.status_code} {_reason(response)}")
    method = getattr(response.request, "method", None) or ""
    url = html.plain(redaction.redact_url(response.url or ""))
    facts = (f", {label} {html.plain(str(value))}" for label, value in _facts_of_response(response))
    return f"<Response [{status}] {method} {url}{''.join(facts)}>"


def _facts_of_response(response: requests.Response) -> Iterator[tuple[str, object]]:
    seconds = getattr(response, "elapsed_total", 0.0)
    attempts = getattr(response, "attempts", 1)
    times = f" in {attempts} attempts" if attempts > 1 else ""
    if seconds or times:
        yield "took", f"{seconds_of(seconds)}{times}"
    yield "body", _state_of_body(response)
    redirects = [
        f"{hop.status_code} {redaction.redact_url(hop.url or '')}" for hop in response.history
    ]
    if redirects:
        more = (
            f" and {len(redirects) - _MOST_REDIRECTS} more"
            if len(redirects) > _MOST_REDIRECTS
            else ""
        )
        yield "redirected by", ", ".join(redirects[:_MOST_REDIRECTS]) + more
    if reason := getattr(response, "stop_reason", None):
        yield "not sent again", reason
    if credentials_withheld := getattr(response, "credentials_withheld", None):
        yield "credentials", credentials_withheld
    if request_id := header_fields.first(response.headers, header_fields.REQUEST_ID_FIELDS):
        yield "request id", request_id


def _state_of_body(response: requests.Response) -> str:
    media_type = _media_type(response) or "no stated type"
    content = _content(response)
    if content is None:
        if upstream.is_consumed(response) or getattr(response.raw, "closed", True):
            return f"{media_type}, streamed or left, and not kept"
        announced = response.headers.get("content-length", "")
        size = f", {size_of(int(announced))}" if announced.isdecimal() else ""
        return f"{media_type}{size}, not read yet"
    if response.__dict__.get("_failure") is not None:
        return f"{media_type}, which cannot be read: see .content"
    if response.__dict__.get("_is_cut"):
        return f"{media_type}, cut after {size_of(len(content))}"
    return f"{size_of(len(content))} of {media_type}" if content else "empty"


def _media_type(response: requests.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content(response: requests.Response) -> bytes | None:
    """Return the body that is in memory; `.content` itself would read it."""
    content = upstream.content_of(response)
    return content if isinstance(content, bytes) else None


def _fields_of(response: requests.Response) -> Html:
    fields = redaction.redact_headers(response.headers)
    pairs = list(fields.items())[:_MOST_FIELDS]
    writer = Writer()
    return writer.folded(f"{len(fields)} header fields", writer.facts(pairs)) if pairs else Html("")


def _body_of(response: requests.Response) -> Html:
    """Show a body: JSON as a tree, a picture as one, text as text, of others nothing."""
    content = _content(response)
    if not content:
        return Html("")
    media_type = _media_type(response)
    picture_type = html.picture_type(content) if media_type.startswith("image/") else None
    if picture_type and len(content) <= html.LARGEST_PICTURE:
        return html.picture(content, picture_type)
    document = _parsed(content, media_type)
    if is_list(document) or is_mapping(document):
        return Writer().value(document)
    text = _text(response, content, media_type)
    if text is None:
        return note("no view of this type: .content has its bytes")
    return Writer().block(text, is_whole=len(content) <= _LARGEST_HEAD)


def _parsed(content: bytes, media_type: str) -> Any:
    is_stated = media_type.endswith("json")
    is_guessed = not media_type and content.lstrip()[:1] in {b"{", b"["}
    if not (is_stated or is_guessed) or len(content) > _LARGEST_PARSED:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


# How the types of texts end that do not begin with "text/".
_FORM = "form-urlencoded"
_TEXTUAL = ("json", "xml", "javascript", "yaml", "toml", "graphql", "csv", "sql", _FORM)


def _text(response: requests.Response, content: bytes, media_type: str) -> str | None:
    """Return the beginning of a text; None for what is none."""
    is_textual = not media_type or media_type.startswith("text/") or media_type.endswith(_TEXTUAL)
    head = content[:_LARGEST_HEAD]
    names_charset = "charset" in response.headers.get("content-type", "").lower()
    if not is_textual or (b"\0" in head and not names_charset):
        return None
    encoding = response.encoding if names_charset else None
    if media_type.endswith(_FORM):
        return redaction.redact_query(_decoded(head, encoding))
    return redaction.redact_start(_decoded(content[: 2 * _LARGEST_HEAD], encoding), _LARGEST_HEAD)


def _decoded(head: bytes, encoding: str | None) -> str:
    try:
        if encoding:
            return head.decode(encoding, "replace")
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # may end in a character
    except (LookupError, ValueError):  # no encoding of text, or not UTF-8
        return head.decode("latin-1")


# ---- errors

# What an error knows, in words; an attribute that says nothing is left out.
_ERROR_FACTS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("request_id", "request id", str),
    ("retry_after", "asks to wait", seconds_of),
    ("attempts", "attempts", str),
    ("stop_reason", "not sent again", str),
    ("error", "code", str),
    ("list_url", "in the list", redaction.redact_url),
)


def of_error(error: requests.RequestException) -> str:
    """Return the card of an error: what happened, what to do, what the server said."""
    writer = Writer()
    name = writer.line(type(error).__name__)
    title = Html(f"{_badge(_RED, name)}{writer.line(str(error), _LONGEST_MESSAGE)}")
    facts = writer.facts(_facts_of_error(error))
    return _framed(_RED, title, facts, *_documents_of(error), _response_of(error))


def _facts_of_error(error: requests.RequestException) -> Iterator[tuple[str, object]]:
    if hint := hints.on_status(getattr(error, "status_code", 0)):
        yield "what to do", hint
    for note_ in getattr(error, "__notes__", ()):
        yield "note", note_
    for attribute, label, render in _ERROR_FACTS:
        value = getattr(error, attribute, None)
        if value:
            yield label, render(value)
    if (cause := error.__cause__) is not None:
        yield "caused by", f"{type(cause).__name__}: {cause}"


def _documents_of(error: requests.RequestException) -> Iterator[Html]:
    """Give what the server said in its own structure: a problem, or the errors of GraphQL."""
    for attribute in ("problem", "errors"):
        value = getattr(error, attribute, None)
        if value and (is_mapping(value) or is_list(value)):
            yield Writer().value(value)


def _response_of(error: requests.RequestException) -> Html:
    response = error.response
    if response is None or not _content(response) or getattr(error, "problem", None):
        return Html("")
    return Writer().folded(f"the response: {_state_of_body(response)}", _body_of(response))


# ---- sessions


def facts_of_session(
    session: requests.Session, signer: str, resources: Mapping[str, object]
) -> Iterator[tuple[str, object]]:
    """Give what a session is set to; of headers, parameters and cookies the names alone.

    Args:
        session: One of ours; each attribute may be a subclass's own, which may fail.
        signer: Its auth, without what it holds.
        resources: Those of its class, by name.
    """

    def setting(name: str) -> Any:
        return getattr(session, name, None)

    base, retry, most = setting("base_url"), setting("retry"), setting("max_body")
    yield "base URL", redaction.redact_url(base) if base else "none: every URL is absolute"
    yield "auth", signer
    yield "timeout", _format_timeout(setting("timeout"))
    yield "deadline", _format_seconds(setting("deadline"), "a call")
    yield "retry", f"{getattr(retry, 'attempts', retry)} attempts" if retry else "off"
    yield "max_body", size_of(most) if most else "off"
    if setting("strict") is False:
        yield "strict", "off: requests' own defaults"
    verify = setting("verify")
    if verify is not True and verify is not None:
        yield "verify", verify or "off: certificates are not checked"
    for label, value in (("rate limit", setting("rate_limit")), *_settings_of(session)):
        if value:
            yield label, value
    for name, resource in resources.items():
        yield f".{name}", repr(resource)


def _settings_of(session: requests.Session) -> Iterator[tuple[str, str]]:
    trusted = getattr(session, "trusted_origins", ())
    yield "trusted origins", _listed(map(redaction.redact_url, trusted))
    # Their names alone, which only a mapping tells from values.
    yield "headers", _listed(session.headers if is_mapping(session.headers) else ())
    yield "parameters", _listed(session.params if is_mapping(session.params) else ())
    yield "cookies", _listed(getattr(each, "name", each) for each in session.cookies or ())
    proxies = session.proxies.items() if is_mapping(session.proxies) else ()
    yield "proxies", _listed(f"{key}: {redaction.redact_url(str(url))}" for key, url in proxies)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(set(map(str, names))))


def _format_timeout(timeout: object) -> str:
    if is_tuple(timeout) and len(timeout) == 2:
        connect, read = timeout
        limits = (_format_seconds(connect, "to connect"), _format_seconds(read, "between bytes"))
        return ", ".join(limits)
    return _format_seconds(timeout, "to connect, and between bytes")


def _format_seconds(seconds: object, what: str) -> str:
    if seconds is None:
        return "off"
    return f"{seconds:g} s {what}" if isinstance(seconds, (int, float)) else str(seconds)
