"""Objects of http.client, urllib3 and requests, made attribute by attribute.

Their constructors take 55 us of a call. A test compares each object with a constructed one.
Rule: only here are objects of theirs made without their constructors.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from httpkit._core import header_fields, upstream
from httpkit._core.lazy import ImportedLater
from httpkit._messages.response import Response
from httpkit._transport import _upstream
from httpkit._transport.head import Field, Framing, Head
from httpkit._transport.http1 import UNREAD, Message
from httpkit._transport.raw_response import HTTPResponse

if TYPE_CHECKING:
    from httpkit._core import set_cookies
else:
    set_cookies = ImportedLater("httpkit._core.set_cookies")

# What is the same in every response of urllib3's with an unread body.
_BLANK: Mapping[str, Any] = vars(
    urllib3.HTTPResponse(b"", preload_content=False, decode_content=False)
) | {"_body": None, "headers": None, "version_string": "HTTP/1.1"}
_new_buffer: Any = cast("Any", type(_BLANK.get("_decoded_buffer")))
_NO_TIME = timedelta(0)
# Media types in the cache.
_MOST_KEPT = 256


def make_message(buffered: io.BufferedReader, method: str, head: Head, framing: Framing) -> Message:
    """Return a response on a persistent connection whose head was read.

    Args:
        buffered: Over the connection's persistent SocketReader.
        method: The request's.
        head: What was read.
        framing: How the body follows.
    """
    message: Any = Message.__new__(Message)
    message.__dict__.update(UNREAD, reader=buffered.raw, fp=buffered, _method=method)
    made: Message = message
    made.start(head, framing)
    return made


def make_raw(message: Message, target: str, pool: Any, shutdown: Any, retries: Any) -> HTTPResponse:
    """Return urllib3's response for a message whose head was read.

    Args:
        message: It has not begun to read its body.
        target: Of the request.
        pool: Where its connection is from.
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
        _pool=pool,
    )
    made: HTTPResponse = raw
    return made


def make_read_raw(
    buffered: io.BufferedReader, method: str, head: Head, framing: Framing, size: int, *others: Any
) -> HTTPResponse:
    """Return urllib3's response for a message of which all was read.

    Args:
        buffered: What it was read from.
        method: The request's.
        head: What was read.
        framing: How the body followed.
        size: Bytes of the body.
        *others: Further arguments of `make_raw`.
    """
    message = make_message(buffered, method, head, framing)
    raw = make_raw(message, *others)
    message.fp, message.length = None, 0
    vars(raw).update(_fp_bytes_read=size, length_remaining=0, _uncached_read_occurred=True)
    return raw


def make_response(
    adapter: Any,
    request: requests.PreparedRequest,
    head: Head,
    elapsed: timedelta = _NO_TIME,
    **body: Any,
) -> Response:
    """Return our response for urllib3's.

    Args:
        adapter: What sent the request.
        request: What was sent.
        head: Status, reason and fields.
        elapsed: From the request to the head.
        **body: `raw`, urllib3's response; or `_make_raw` and the body that was read.
    """
    by_name = head.by_name
    headers = header_fields.Headers.__new__(header_fields.Headers)
    headers.by_name = by_name
    response = Response.__new__(Response)
    response.__dict__ = {
        "_content": False,
        "_content_consumed": False,
        "_next": None,
        "status_code": head.status,
        "headers": headers,
        "url": request.url,
        "encoding": _encoding(by_name.get("content-type")),
        "history": [],
        "reason": head.reason,
        "elapsed": elapsed,
        "request": request,
        "connection": adapter,
        **body,
    }
    if "set-cookie" in by_name:  # else the jar is made on first use
        raw: Any = response.raw
        # Before any jar sees them: this one, the session's, a caller's.
        set_cookies.drop_ignored(raw._original_response.msg)  # noqa: SLF001
        upstream.extract_cookies(response.cookies, request, raw)
    return response


@lru_cache(maxsize=_MOST_KEPT)
def _encoding(field: Field | None) -> str | None:
    return _upstream.get_encoding_from_headers(CaseInsensitiveDict([field] if field else []))
