"""Server-sent events, by the rules of the WHATWG HTML standard, section 9.2.6.

Rule: bytes in, events out; blocks may be split at any byte. What waits for the end of its line
or event is held in memory, and so the caller may bound it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from httpkit._core import models
from httpkit._core.classes import public
from httpkit._core.lazy import pattern

P = TypeVar("P", bound=Sized)
CheckSize: TypeAlias = Callable[[int], None]
"""Is told how much waits for the end of a line or an event; raises when that is too much."""

_CONTROL = pattern(r"[\x00-\x08\x0a-\x1f\x7f]")
_FIELDS = frozenset({"", "data", "event", "id", "retry"})  # "" is a comment's
# Digits only, as the rules say; so many that they are no time are ignored too.
_RETRY = pattern("[0-9]{1,15}")


@public
@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event.

    Attributes:
        data: Its data lines, joined by newlines.
        event: Its type; "message" when the server names none.
        id: The last id that the server gave, in this event or before it; may be empty.
        retry: Seconds after which to reconnect, as far as the server has said; None when not.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: float | None = None

    def json(self) -> Any:
        """Decode the data as strict JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return models.decode(self.data.encode("utf-8"), Any)


def _unbounded(_: int) -> None:
    pass


def split_lines(
    blocks: Iterable[bytes], encoding: str = "utf-8", check_size: CheckSize = _unbounded
) -> Iterator[str]:
    r"""Decode blocks into lines, without their ends: \n, \r\n or \r.

    Unlike `str.splitlines` it does not split at characters such as U+2028, which JSON and
    text hold unescaped. A last line without an end is given too.
    """
    return _joined(_split_text(_decoded(blocks, encoding)), "".join, check_size)


def _split_text(texts: Iterable[str]) -> Iterator[list[str]]:
    was_cr = False
    for text in texts:
        # A \r ends its line at once; a \n that follows it belongs to that end.
        rest = text.removeprefix("\n") if was_cr else text
        was_cr = text.endswith("\r")
        yield rest.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _decoded(blocks: Iterable[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield from filter(None, map(decoder.decode, blocks))
    if text := decoder.decode(b"", final=True):
        yield text


def split_blocks(blocks: Iterable[bytes], check_size: CheckSize = _unbounded) -> Iterator[bytes]:
    r"""Split blocks into lines at \n alone, as newline-delimited JSON is; undecoded."""
    return _joined((block.split(b"\n") for block in blocks), b"".join, check_size)


def _joined(
    splits: Iterable[list[P]], join: Callable[[list[P]], P], check_size: CheckSize
) -> Iterator[P]:
    """Give whole lines of blocks that were split; the last of each goes on in the next block."""
    pending: list[P] = []
    waiting = 0
    for *lines, rest in splits:
        for line in lines:
            pending.append(line)
            yield join(pending)
            pending.clear()
            waiting = 0
        if rest:
            pending.append(rest)
            waiting += len(rest)
            check_size(waiting)
    if pending:
        yield join(pending)


@dataclass(slots=True)
class StreamState:
    """What outlives an event, and a connection.

    Attributes:
        last_id: The last id of a complete event that a header field can hold, for
            Last-Event-ID; may be empty.
        retry: Seconds after which to reconnect, as far as the server has said; None when not.
        has_fields: Whether there was a line of an event stream at all.
    """

    last_id: str = ""
    retry: float | None = None
    has_fields: bool = False


class _Builder:
    """The event that is being received."""

    def __init__(self, check_size: CheckSize, state: StreamState) -> None:
        self._check_size = check_size
        self._state = state
        self._data: list[str] = []
        self._size = 0
        self._event_type = ""
        self._id = state.last_id

    def add(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name in _FIELDS:
            self._state.has_fields = True
        if name == "data":
            self._data.append(value)
            self._size += len(value) + 1
            self._check_size(self._size)
        elif name == "event":
            self._event_type = value
        elif name == "id" and "\x00" not in value:
            self._id = value
        elif name == "retry" and _RETRY.fullmatch(value):
            self._state.retry = int(value) / 1000

    def finish(self) -> Event | None:
        """Return the event that an empty line ends; None when it has no data."""
        if not _CONTROL.search(self._id):  # or no request could be sent that names it
            self._state.last_id = self._id
        data, event_type = self._data, self._event_type
        self._data, self._event_type, self._size = [], "", 0
        if not data:
            return None
        return Event("\n".join(data), event_type or "message", self._id, self._state.retry)


def parse(
    blocks: Iterable[bytes],
    check_size: CheckSize = _unbounded,
    *,
    state: StreamState | None = None,
    is_framed: bool = False,
) -> Iterator[Event]:
    """Return the events of a stream.

    Args:
        blocks: The stream.
        check_size: Raises when an event or a line of one is too large.
        state: What earlier connections left, and what this one leaves.
        is_framed: Whether a stream that ends without an error is whole: its last event is given
            without the blank line, which several gateways cut. Else it is dropped, as the rules
            say.
    """
    builder = _Builder(check_size, StreamState() if state is None else state)
    is_first = True
    for line in split_lines(blocks, check_size=check_size):
        text = line.removeprefix("\ufeff") if is_first else line
        is_first = False
        if text:
            builder.add(text)
        elif event := builder.finish():
            yield event
    if is_framed and (event := builder.finish()):
        yield event
