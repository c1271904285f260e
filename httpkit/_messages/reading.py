"""How the body of a response is read: into memory, in blocks as they arrive, or away.

Rule: errors of urllib3 become requests' classes here.
"""

from __future__ import annotations

import codecs
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import requests
import urllib3
from requests import exceptions
from urllib3 import exceptions as urllib3_errors

from httpkit._core import upstream
from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from httpkit._core import interrupts
    from httpkit._diagnostics import errors
else:
    interrupts = ImportedLater("httpkit._core.interrupts")
    errors = ImportedLater("httpkit._diagnostics.errors")

T = TypeVar("T")

# One system call reads at most this much; `read1` returns sooner, so a deadline is seen.
BLOCK = 1 << 16
# Enough for every error document; a hostile server must not fill the memory with one.
LARGEST_ERROR_BODY = 1 << 20
# Reading this much is cheaper than a new connection; more is not worth waiting for.
_LARGEST_DRAIN = 1 << 16
_MOST_DRAIN_BLOCKS = 16


def receive(
    response: requests.Response,
    *,
    limit: int | None,
    check: Callable[[], None] | None,
) -> None:
    """Read the whole body into `response.content`.

    Args:
        response: Its body may have been read already, by a hook.
        limit: The most bytes of decoded body; None for no limit. An error's body is cut at
            1 MiB instead of refused, because its status is worth more than its body; for the
            same reason one that cannot be decoded fails only when it is requested.
        check: Called between blocks; raises when the time is up.

    Raises:
        BodyTooLargeError: The body is larger than the limit.
        ReadTimeout: The server stopped sending.
        ChunkedEncodingError: The body was cut short or its framing is broken.
        ContentDecodingError: Its compression is broken.
        SSLError: The TLS stream is broken.
    """
    if upstream.content_of(response) is not False:
        return
    raw = response.raw
    if not isinstance(raw, urllib3.BaseHTTPResponse):
        _ = response.content
        return
    is_error = response.status_code >= 400
    most = min(limit or LARGEST_ERROR_BODY, LARGEST_ERROR_BODY) if is_error else limit
    try:
        body, is_whole = translated(response, lambda: _read(raw, most, check))
    except exceptions.ContentDecodingError as broken:
        if not is_error:
            raise
        raw.close()
        upstream.keep_content(response, b"")
        response.__dict__["_failure"] = broken
        return
    if not is_whole:
        raw.close()
        if not is_error:
            error = errors.BodyTooLargeError(
                f"the body is larger than max_body={most} bytes: stream it, or raise the limit",
                response=response,
            )
            response.__dict__["_failure"] = error
            upstream.mark_consumed(response)
            raise error
        response.__dict__["_is_cut"] = True
    upstream.keep_content(response, body)


def must_be_streamed(raw: urllib3.BaseHTTPResponse) -> bool:
    """Say whether `read1` would go around what urllib3's own `stream` heeds.

    http.client knows chunks only where the field says "chunked" and nothing else, and not
    "identity, chunked". What a cache puts in its place (CacheControl) hears of `read` alone,
    and would store the body without what other methods read. What VCR records has a `read1` that
    takes no `decode_content`.
    """
    if not isinstance(raw, urllib3.BaseHTTPResponse):  # pyright: ignore[reportUnnecessaryIsInstance]  # a mock's
        return True
    message = upstream.message_of(raw)
    is_wrapped = message is not None and not hasattr(message.__class__, "read1")
    return is_wrapped or raw.headers.get("transfer-encoding", "chunked").lower() != "chunked"


def available_blocks(
    raw: urllib3.BaseHTTPResponse, *, decode: bool, size: int = BLOCK
) -> Iterator[bytes]:
    """Give a body in blocks as they come in: `read1` returns with what there is."""
    if must_be_streamed(raw):
        yield from raw.stream(size, decode_content=decode)
        return
    while block := raw.read1(size, decode_content=decode):
        yield block


def _read(
    raw: urllib3.BaseHTTPResponse, most: int | None, check: Callable[[], None] | None
) -> tuple[bytes, bool]:
    """Return the body, or its first bytes when it is larger, and whether it is whole."""
    if _is_read_whole(raw, most):  # saves 10 us, and half the time of a mebibyte
        return cast("Any", raw).read_rest(), True
    blocks: list[bytes] = []
    size = 0
    for block in available_blocks(raw, decode=True):
        blocks.append(block)
        size += len(block)
        if most is not None and size > most:
            return b"".join(blocks)[:most], False
        if check:
            check()
    raw.release_conn()
    return b"".join(blocks), True


def _is_read_whole(raw: urllib3.BaseHTTPResponse, most: int | None) -> bool:
    """Say whether a body can be read in one go: its size is known, and its reads keep the time."""
    size = upstream.remaining_length(raw)
    return (
        size is not None
        and (most is None or size <= most)
        and getattr(raw, "keeps_deadline", False)
        and "content-encoding" not in raw.headers
    )


def translated(response: requests.Response, read: Callable[[], T]) -> T:
    """Read, with urllib3's errors as requests' classes; a timeout is a Timeout."""
    request = response.request
    try:
        return revealing(read)
    except requests.RequestException:  # some of requests' own are urllib3's, too
        raise
    except urllib3_errors.ReadTimeoutError as error:
        raise exceptions.ReadTimeout(error, request=request) from error
    except (urllib3_errors.DecodeError, zlib.error) as error:  # zlib's own from a decoder's flush
        raise exceptions.ContentDecodingError(error, request=request) from error
    except urllib3_errors.SSLError as error:
        raise exceptions.SSLError(error, request=request) from error
    # A negative chunk size is a ValueError.
    except (urllib3_errors.ProtocolError, ValueError) as error:
        raise exceptions.ChunkedEncodingError(error, request=request) from error
    except urllib3_errors.HTTPError as error:
        raise requests.ConnectionError(error, request=request) from error


def revealing(read: Callable[[], T]) -> T:
    """Call a function that reads from a socket; raise what a signal handler raised meanwhile."""
    try:
        return read()
    except Exception as error:
        interrupts.reveal(error)
        raise


def translated_all(response: requests.Response, chunks: Iterator[T]) -> Iterator[T]:
    """Give what an iterator of requests gives, with its errors as `translated` has them."""
    while True:
        try:
            chunk = translated(response, lambda: next(chunks, None))
        except requests.ConnectionError as error:
            cause = error.args[0] if error.args else None
            # requests calls it a ConnectionError.
            if isinstance(cause, urllib3_errors.ReadTimeoutError):
                raise exceptions.ReadTimeout(cause, request=response.request) from error
            raise
        if chunk is None:
            return
        yield chunk


def drain(response: requests.Response, check: Callable[[], None] | None) -> None:
    """Free the connection of a response nobody will read, for reuse where that is cheap.

    The body is not decoded; what fits into 64 KiB is kept as `.content`. A server that
    drips is left alone after a few blocks.

    Args:
        response: It is closed in any case.
        check: Called between blocks; raises when the time is up.
    """
    if upstream.content_of(response) is not False:
        return
    raw, body = response.raw, b""
    if isinstance(raw, urllib3.BaseHTTPResponse):
        try:
            body = _read_raw(raw, check)
        except (urllib3_errors.HTTPError, OSError, RuntimeError) as error:
            interrupts.reveal(error)
            body = b""
        finally:
            response.close()
    upstream.keep_content(response, body)


def _read_raw(raw: urllib3.BaseHTTPResponse, check: Callable[[], None] | None) -> bytes:
    declared = raw.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > _LARGEST_DRAIN:
        return b""
    blocks: list[bytes] = []
    for block in available_blocks(raw, decode=False):
        blocks.append(block)
        if len(blocks) >= _MOST_DRAIN_BLOCKS or sum(map(len, blocks)) > _LARGEST_DRAIN:
            return b""
        if check:
            check()
    raw.release_conn()
    return b"" if raw.headers.get("content-encoding") else b"".join(blocks)


# ---- Blocks of a body that goes to the disk

# Bytes. A gathering read of 1 MiB took 0.9 s of CPU for 1 GiB over loopback where `read1` took
# 1.2 to 1.7 s: its blocks have one size, so that memory is used again, and over TLS `read1`
# gives 16 KiB at a time (medians of five rounds, 2026-11-21).
_LARGE = 1 << 20
# Bytes. So many are requested at a time while it is not known how fast the body comes,
_SMALL = 1 << 16
# and that is so for this many of them: at the beginning, and after a large block that was slow.
_CAREFUL_START = 1 << 20
# Seconds for a large block; where it takes longer, a stall would lose much.
_LONGEST_READ = 0.25


def adaptive_reads(raw: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
    """Give a body in small blocks first, and in large ones once it comes fast.

    A large read waits for its whole block. When the connection ends within it, what came is given
    first; when it stalls or is reset, less than a block is lost, and fetched again.

    Args:
        raw: The response, of which nothing was read.
        decode: Whether to undo a Content-Encoding.

    Raises:
        HTTPError: urllib3's, where the body breaks off.
    """
    careful = _CAREFUL_START
    while True:
        began, is_careful = time.monotonic(), careful > 0
        read = raw.read1 if is_careful else raw.read
        block = read(_SMALL if is_careful else _LARGE, decode_content=decode)
        if not block:
            return
        careful -= len(block)
        if not is_careful and time.monotonic() - began > _LONGEST_READ:
            careful = _CAREFUL_START
        yield block


# ---- The encoding of text

# Python's own, which no server means; they warn of escapes that are none.
_ESCAPES = frozenset({"unicode-escape", "raw-unicode-escape"})


def known_encoding(encoding: str | None) -> str:
    """Return the name of a text encoding; UTF-8 for None and for what is none."""
    name = encoding or "utf-8"
    try:
        if codecs.lookup(name).name.replace("_", "-") in _ESCAPES:
            return "utf-8"
        b"\xff".decode(name, "replace")  # also refuses what is no text encoding, such as hex
    except (LookupError, ValueError):
        return "utf-8"
    return name
