"""Finds the credentials that a request carried, and that its response brought, by their names.

A server repeats them in its own words, where no name stands beside them.

Rule: what is found is remembered by `redaction`; nothing is masked, sent or raised here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from httpkit._core import disclosure, redaction
from httpkit._core.given import as_text, is_list, is_mapping
from httpkit._core.lazy import pattern

# Bytes, or characters, of a body that is looked into.
_LARGEST_BODY = 1 << 16
_DEEPEST = 20
# Of one message, so that it cannot displace those of others.
_MOST_CREDENTIALS = 100
# The tokens of a field such as "Bearer abc123…" or "sid=abc123…": words have no digits.
_TOKEN = pattern(r"(?=[^\s;,=\"]*\d)[^\s;,=\"]{8,}")
# A code of a few digits would mask parts of other numbers.
_SHORT_NUMBER = pattern(r"[0-9]{1,7}")


def remember(response: requests.Response) -> None:
    """Hide what a response brought and what its request carried, should the server repeat it."""
    cookies = (cookie.value or "" for cookie in response.cookies or ())
    brought = [*filter(disclosure.could_be_credential, cookies)]
    fields = {n: v for n, v in (response.headers or {}).items() if n.lower() != "set-cookie"}
    brought += _in_fields(fields, disclosure.is_secret)
    redaction.remember_passing(brought[:_MOST_CREDENTIALS])
    remember_sent(response.request)


def remember_sent(request: requests.PreparedRequest | None) -> None:
    """Hide what a request carried under secret names."""
    headers: Mapping[str, object] = getattr(request, "headers", None) or {}
    redaction.remember(*islice(_in_fields(headers, disclosure.is_secret), _MOST_CREDENTIALS))
    media_type = as_text(headers.get("Content-Type") or "").lower()
    found = chain(
        _in_hidden_fields(headers),
        _in_query(_query_of(getattr(request, "url", None) or "")),
        _in_body(getattr(request, "body", None), media_type),
    )
    redaction.remember_passing(islice(found, _MOST_CREDENTIALS))


def _in_fields(headers: Mapping[str, object], is_secret: Any) -> Iterator[str]:
    # Cookies last: the server may have set so many that they displace other values.
    names = sorted(filter(is_secret, headers), key=lambda name: name.lower() == "cookie")
    held = [as_text(headers[name]) for name in names]
    for value in held:
        yield from _TOKEN.findall(value)
    for value in held:
        yield value.partition(" ")[2]  # after the scheme, words too
        if value[:6].lower() == "basic ":
            yield _password(value)


def _password(field: str) -> str:
    try:
        return base64.b64decode(field[6:]).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""


def _in_hidden_fields(headers: Mapping[str, object]) -> Iterator[str]:
    """Yield the values of fields that are masked because nobody knows their names."""
    for name, held in headers.items():
        value = as_text(held)
        if not disclosure.shows_field(name) and disclosure.could_be_credential(value):
            yield value


def _query_of(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _in_query(query: str) -> Iterator[str]:
    try:
        pairs = parse_qsl(query, max_num_fields=_MOST_CREDENTIALS, errors="replace")
    except ValueError:
        return
    for name, value in pairs:
        is_secret = disclosure.is_secret_value(name, value)
        if is_secret and not disclosure.is_about_tokens(name, value):
            yield from _unless_number(value)


def _in_body(body: object, media_type: str) -> Iterator[str]:
    if not isinstance(body, (str, bytes)) or len(body) > _LARGEST_BODY:
        return
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    if "form-urlencoded" in media_type:
        yield from _in_query(text)
    elif "json" in media_type:
        try:
            yield from _in_document(json.loads(text))
        except (ValueError, RecursionError):
            return
    else:
        yield from redaction.named_values(text)


def _in_document(document: Any, depth: int = 0) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if is_list(document):
        for entry in document:
            yield from _in_document(entry, depth + 1)
    elif is_mapping(document):
        for name, value in document.items():
            held = value if is_list(value) else [value]
            if disclosure.is_secret(str(name)):
                texts = (one for one in held if isinstance(one, str))
                yield from (found for text in texts for found in _unless_number(text))
            else:
                yield from _in_document(value, depth + 1)


def _unless_number(value: str) -> Iterator[str]:
    if not _SHORT_NUMBER.fullmatch(value):
        yield value
