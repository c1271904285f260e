"""Server-sent events over as many connections as it takes (WHATWG HTML, section 9.2).

Rule: the id of the last complete event goes into Last-Event-ID; 204 ends the stream.
"""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import requests

from httpkit._core.classes import public
from httpkit._core.clock import CLOCK
from httpkit._core.server_sent_events import Event, StreamState
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import TransferError
from httpkit._messages.response import Response
from httpkit._messages.streams import events_of
from httpkit._policy import retry_loop

# Seconds between two connections, unless the server says otherwise: the standard leaves it to us.
_RETRY = 3.0
_NO_CONTENT = 204


@public
class EventStream(Iterator[Event]):
    """The events of a URL; it reconnects, and can be left at any time.

    Args:
        send_get: Sends the GET with these fields added; error statuses are raised.
        url: For messages.
        max_stalls: Connections in a row that are lost without an event before giving up.
        last_id: The id of the last event of an earlier stream; empty for none.
    """

    def __init__(
        self,
        send_get: Callable[[dict[str, str]], Response],
        url: str,
        max_stalls: int,
        last_id: str,
    ) -> None:
        self._send_get = send_get
        self._url = url
        self._max_stalls = max_stalls
        self._state = StreamState(last_id)
        self._response: Response | None = None
        self._events: Iterator[Event] | None = None
        self._is_closed = False
        self._stalls = 0

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<{type(self).__name__} {state}>"

    @property
    def last_event_id(self) -> str:
        """The id of the last complete event; empty when there was none."""
        return self._state.last_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._is_closed:
            try:
                if self._events is None and not self._connect():
                    break
                event = next(self._opened(), None)
            except requests.RequestException as error:
                self._record_loss(error)
                continue
            if event is not None:
                self._stalls = 0
                return event
            self._disconnect()
            self._wait(None)
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End the stream, and free its connection."""
        self._is_closed = True
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self) -> Iterator[Event]:
        assert self._events is not None  # noqa: S101  # it was connected just now
        return self._events

    def _connect(self) -> bool:
        """Open the next connection; return False when the server ends the stream.

        Raises:
            TransferError: The response is not an event stream.
        """
        fields = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._state.last_id:
            # RFC 9110 knows Latin-1 at most; the standard sends UTF-8, which is the same bytes.
            fields["Last-Event-ID"] = self._state.last_id.encode().decode("latin-1")
        try:
            response = self._send_get(fields)
        except BaseException:
            self._is_closed = True  # the session's own retries are spent
            raise
        self._response = response
        if response.status_code == _NO_CONTENT:
            return False
        content_type = response.headers.get("content-type", "no content type")
        media_type = content_type.partition(";")[0].strip().lower()
        if response.status_code != 200 or media_type != "text/event-stream":
            self.close()
            what = errors.describe(response.request, response.url)
            raise TransferError(
                f"the response to {what} is not an event stream: "
                f"{response.status_code}, {content_type}"
            )
        self._events = events_of(response, self._state)
        return True

    def _disconnect(self) -> None:
        response, self._response, self._events = self._response, None, None
        if response is not None:
            response.close()

    def _record_loss(self, error: requests.RequestException) -> None:
        """Note that a connection was lost; raise what reconnecting does not mend."""
        is_over = self._is_closed or retry_loop.classify(error) == "final"
        self._stalls += 1
        if is_over or self._stalls > self._max_stalls:
            self.close()
            raise error
        self._disconnect()
        self._wait(error)

    def _wait(self, cause: Exception | None) -> None:
        seconds = _RETRY if self._state.retry is None else self._state.retry
        seconds *= 2 ** max(0, self._stalls - 1)
        log_records.resume("event stream", self._url, done=0, wait=seconds, cause=cause)
        CLOCK.sleep(seconds)
