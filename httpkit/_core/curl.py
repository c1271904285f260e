"""A request as a curl command that sends the same bytes again.

Rule: what is printed can be pasted into any POSIX shell: no byte of it is a control character,
and nothing in it is expanded.
"""

from __future__ import annotations

import re
import shlex
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from urllib3.util import SKIP_HEADER

from httpkit._core import redaction
from httpkit._core.given import as_text
from httpkit._core.lazy import pattern

# Bytes. A shell takes 128 KiB in one argument (Linux: MAX_ARG_STRLEN); of a body in octal digits
# nobody wants to see a screen full.
_LONGEST_TEXT = 1 << 16
_LONGEST_OCTAL = 1 << 12
_FILE = "body.bin"
# In a terminal these are keys, and may do anything; a line break within quotes does nothing.
_CONTROL = pattern(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_GLOBBED = frozenset("[]{}")
# What curl would add where it is missing; and what urllib3 adds instead.
_ADDED_BY_CURL = ("Accept", "User-Agent")
_ADDED_BY_URLLIB3 = {
    "Accept-Encoding": "identity",
    "User-Agent": f"python-urllib3/{getattr(urllib3, '__version__', '')}",
}


def command(request: requests.PreparedRequest, *, secrets: bool = False) -> str:
    """Return the curl command for a request as it went out.

    A body that is streamed, large, or hidden because it may hold secrets is to be put into a
    file, which a comment above the command names.

    Args:
        request: Prepared and signed.
        secrets: Whether credentials are shown; otherwise they are masked.

    Raises:
        ValueError: The request is not prepared.
    """
    if request.url is None or request.method is None:
        raise ValueError("the request is not prepared: it has no method or URL")
    before, body = _body(request, secrets=secrets)
    url = _url(request.url, secrets=secrets)
    parts = [f"curl {shlex.quote(url)}", *_method(request.method, has_body=bool(body))]
    if _GLOBBED.intersection(url):
        parts.append("--globoff")
    if "/." in url:
        parts.append("--path-as-is")
    parts += _headers(request, has_body=bool(body), is_file=_FILE in body, secrets=secrets)
    return before + " \\\n  ".join([*parts, *([body] if body else [])])


def _url(url: str, *, secrets: bool) -> str:
    """Return the URL without what does not go over the wire."""
    parts = urlsplit(url if secrets else redaction.redact_url(url))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return urlunsplit(bare)


def _method(method: str, *, has_body: bool) -> list[str]:
    if method == "GET" and not has_body:
        return []
    # With -X HEAD curl would wait for a body.
    return ["--head"] if method == "HEAD" and not has_body else [f"-X {shlex.quote(method)}"]


def _headers(
    request: requests.PreparedRequest, *, has_body: bool, is_file: bool, secrets: bool
) -> list[str]:
    """Return the options for the header fields, and those that keep curl from adding its own."""
    sent: dict[str, str] = {}
    headers = request.headers if secrets else redaction.redact_request_headers(request.headers)
    for name, value in headers.items():
        is_skipped = request.headers.get(name) == SKIP_HEADER
        sent[name] = SKIP_HEADER if is_skipped else as_text(value)
    known = {name.lower(): value for name, value in sent.items()}
    sent.update((n, v) for n, v in _ADDED_BY_URLLIB3.items() if n.lower() not in known)
    options = [
        f"-H {_quoted(_field(name, value))}"
        for name, value in sent.items()
        if name.lower() != "content-length"  # curl counts by itself
    ]
    unwanted = [name for name in _ADDED_BY_CURL if name.lower() not in known and name not in sent]
    if has_body and "content-type" not in known:
        unwanted.append("Content-Type")
    if is_file and "expect" not in known:
        unwanted.append("Expect")
    options += [f"-H '{name}:'" for name in unwanted]
    codings = known.get("accept-encoding", "identity")
    return [*options, *(["--compressed"] if codings not in {"identity", SKIP_HEADER} else [])]


def _field(name: str, value: str) -> str:
    if value == SKIP_HEADER:
        return f"{name}:"  # curl leaves it out, too
    return f"{name}: {value}" if value else f"{name};"


def _body(request: requests.PreparedRequest, *, secrets: bool) -> tuple[str, str]:
    """Return what stands before the command, and the option for the body."""
    body: Any = request.body
    is_declared = "content-length" in request.headers or "transfer-encoding" in request.headers
    if not isinstance(body, (str, bytes, type(None))):
        return _in_a_file(request.headers.get("Content-Length"))
    if not body:
        return "", "--data-raw ''" if is_declared else ""
    size = len(body.encode("utf-8") if isinstance(body, str) else body)
    redacted: str | bytes | None = body
    if not secrets:
        media_type = request.headers.get("Content-Type", "")
        redacted = redaction.redact_body(body, as_text(media_type))
    text = _text(redacted)
    if text is not None and len(text) <= _LONGEST_TEXT:
        return "", f"--data-raw {shlex.quote(text)}"
    if redacted is not None and size <= _LONGEST_OCTAL:
        octets = redacted.encode("utf-8") if isinstance(redacted, str) else redacted
        return f"printf {_printed(octets)} | ", "--data-binary @-"
    return _in_a_file(size)


def _in_a_file(size: object) -> tuple[str, str]:
    what = "all that was sent" if size is None else f"the {size} bytes that were sent"
    return f"# {_FILE}: {what}\n", f"--data-binary @{_FILE}"


def _text(body: str | bytes | None) -> str | None:
    """Return a body that can be shown as it is; None for any other."""
    if body is None:
        return None
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _quoted(field: str) -> str:
    """Quote a header field; what is not ASCII is sent in Latin-1, which no terminal writes."""
    if field.isascii() and not _CONTROL.search(field):
        return shlex.quote(field)
    return f'"$(printf {_printed(field.encode("latin-1", "replace"))})"'


def _printed(octets: bytes) -> str:
    r"""Return bytes as a format of printf, quoted (POSIX: \ddd is a byte in octal)."""
    text = octets.decode("latin-1").replace("\\", "\\\\").replace("%", "%%")
    # A hyphen at the beginning would be an option.
    return shlex.quote(re.sub(r"^-|[^ -~]", lambda found: f"\\{ord(found[0]):03o}", text))
