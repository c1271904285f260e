"""Lines, JSON documents and events of a body, as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from httpkit._core import models, server_sent_events
from httpkit._diagnostics import errors
from httpkit._messages import decode_errors
from httpkit._messages.call import call_of
from httpkit._messages.reading import known_encoding

if TYPE_CHECKING:
    from httpkit._messages.response import Response

# Bytes of a line that an error looks at.
_LONGEST_QUOTE = 1 << 16


def lines_of(response: Response) -> Iterator[str]:
    """Return the lines of a text, without their ends."""
    return server_sent_events.split_lines(
        response.blocks(), _charset(response), _size_check(response, "line")
    )


def json_lines_of(response: Response, model: Callable[..., Any] | None) -> Iterator[Any]:
    """Return the documents of a newline-delimited JSON stream."""
    wanted: Callable[..., Any] = model or cast("Callable[..., Any]", Any)
    lines = server_sent_events.split_blocks(response.blocks(), _size_check(response, "line"))
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield models.decode(line, wanted)
        except models.MismatchError as error:
            response.close()  # the error holds this generator, and the rest may never end
            decode_errors.mask(response, error)
            what = errors.describe(response.request, response.url)
            raise response.decode_error(
                f"line {number} of the response to {what} cannot be decoded: {error}",
                line[:_LONGEST_QUOTE].decode("utf-8", "replace"),
            ) from error


def _charset(response: Response) -> str:
    # requests says ISO-8859-1 for a text without a charset, RFC 2616; RFC 7231 withdrew it.
    is_named = "charset" in response.headers.get("content-type", "").lower()
    is_guess = response.encoding == "ISO-8859-1" and not is_named
    return "utf-8" if is_guess else known_encoding(response.encoding)


def _size_check(response: Response, what: str) -> server_sent_events.CheckSize:
    """Return what refuses a line or an event over the call's `max_body`."""
    limit: int | None = call_of(response.request).options.max_body

    def check(size: int) -> None:
        if limit is not None and size > limit:
            response.close()
            raise errors.BodyTooLargeError(
                f"a {what} of the stream is larger than max_body={limit} bytes", response=response
            )

    return check


def events_of(
    response: Response, state: server_sent_events.StreamState
) -> Iterator[server_sent_events.Event]:
    """Return the server-sent events of a stream that earlier responses began.

    Raises:
        DecodeError: The body is not an event stream.
    """
    state.has_fields = False
    is_empty = True

    def watched() -> Iterator[bytes]:
        nonlocal is_empty
        for block in response.blocks():
            is_empty = is_empty and not block
            yield block

    is_framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    yield from server_sent_events.parse(
        watched(),
        _size_check(response, "line or event"),
        state=state,
        is_framed=is_framed,
    )
    content_type = response.headers.get("content-type", "no content type")
    if not (is_empty or state.has_fields or content_type.lower().startswith("text/event-stream")):
        what = errors.describe(response.request, response.url)
        raise response.decode_error(
            f"the response to {what} is not an event stream: {content_type}"
        )
