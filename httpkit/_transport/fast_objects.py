"""Objects of http.client, urllib3 and requests, made attribute by attribute.

Their constructors take 55 us of a call. A test compares each object with a constructed one.
Rule: only here are objects of theirs made without their constructors.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from httpkit._core import header_fields, upstream
from httpkit._messages.response import Response
from httpkit._transport import _upstream
from httpkit._transport.http1 import UNREAD, Message
from httpkit._transport.raw_response import HTTPResponse

# What is the same in every response of urllib3's with an unread body.
_BLANK: Mapping[str, Any] = vars(
    urllib3.HTTPResponse(b"", preload_content=False, decode_content=False)
) | {"_body": None, "headers": None, "version_string": "HTTP/1.1"}
_new_buffer: Any = cast("Any", type(_BLANK.get("_decoded_buffer")))
_NO_TIME = timedelta(0)
# Media types in the cache.
_MOST_KEPT = 256


def make_message(reader: io.BufferedReader, method: str) -> Message:
    """Return the next response on a persistent connection, unread.

    Args:
        reader: Over the connection's persistent SocketReader.
        method: The request's.
    """
    message: Any = Message.__new__(Message)
    message.__dict__.update(
        UNREAD, fields=[], by_name={}, reader=reader.raw, fp=reader, _method=method
    )
    made: Message = message
    return made


def make_raw(message: Message, target: str, shutdown: Any, retries: Any) -> HTTPResponse:
    """Return urllib3's response for a message whose head was read.

    Args:
        message: It has not begun to read its body.
        target: Of the request.
        shutdown: The socket's.
        retries: urllib3's policy.
    """
    raw: Any = HTTPResponse.__new__(HTTPResponse)
    raw.__dict__.update(
        _BLANK,
        status=message.status,
        version=message.version,
        reason=message.reason,
        chunked=message.chunked,
        length_remaining=message.length,
        _request_url=target,
        _fp=message,
        _original_response=message,
        _sock_shutdown=shutdown,
        _decoded_buffer=_new_buffer(),
        _retries=retries,
    )
    made: HTTPResponse = raw
    return made


def make_response(
    adapter: Any,
    request: requests.PreparedRequest,
    raw: Any,
    by_name: dict[str, tuple[str, str]],
    elapsed: timedelta = _NO_TIME,
) -> Response:
    """Return our response for urllib3's.

    Args:
        adapter: What sent the request.
        request: What was sent.
        raw: urllib3's response.
        by_name: Its fields, name and value, by name in lower case.
        elapsed: From the request to the head.
    """
    response = Response.__new__(Response)
    response.__dict__.update(
        _content=False,
        _content_consumed=False,
        _next=None,
        status_code=raw.status,
        headers=header_fields.Headers.over(by_name),
        raw=raw,
        url=request.url,
        encoding=_encoding(by_name.get("content-type")),
        history=[],
        reason=raw.reason,
        elapsed=elapsed,
        request=request,
        connection=adapter,
    )
    if "set-cookie" in by_name:  # else the jar is made on first use
        # Before any jar sees them: this one, the session's, a caller's.
        header_fields.drop_ignored_cookies(raw._original_response.msg)  # noqa: SLF001
        upstream.extract_cookies(response.cookies, request, raw)
    return response


@lru_cache(maxsize=_MOST_KEPT)
def _encoding(field: tuple[str, str] | None) -> str | None:
    return _upstream.get_encoding_from_headers(CaseInsensitiveDict([field] if field else []))
