"""One HTTP/1.1 response, read from a socket: its head, and its body as it is framed.

    read_head (head) -> frame (framing) -> Message

Rule: this module knows the standard library's http.client, and not urllib3.
"""

from __future__ import annotations

import copy
import io
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from socket import socket
from typing import Any, TypeVar

from httpkit._core.lazy import pattern
from httpkit._transport.head import (
    SWITCHING,
    Field,
    Framing,
    Head,
    MalformedError,
    frame,
    read_fields,
    read_head,
    read_status,
)
from httpkit._transport.socket_reader import EXCHANGE, SocketReader

# RFC 9112 section 7.1.1: "A recipient [...] ought to limit the total length of chunk extensions".
_LONGEST_CHUNK_LINE = 4096
# Bytes of framing beyond twice its data that a chunk may have, and that a body may have in all
# (the limit of Go's net/http).
_FREE_CHUNK_OVERHEAD = 16
_LARGEST_CHUNK_OVERHEAD = 16 << 10
# A false length must not allocate memory: larger reads are done in pieces of this size.
_LARGEST_READ = 1 << 20

_CHUNK_LINE = pattern(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\0\r\n]*)?\r\n")

E = TypeVar("E", bound=Exception)


class Message(HTTPResponse):
    """http.client's response with a strict parser.

    Attributes:
        reader: What it is read from.
        fields: Names and values as received, in order.
        by_name: The same by name in lower case; values of the same name are joined.
        must_close: Whether the connection cannot be reused: it has ended, or unexpected bytes
            followed the response, which would be taken for the next one.
        failure: Why the body is incomplete; None while it can be read, and when it is
            complete. Every later read raises it.
    """

    fp: Any
    length: Any
    chunked: bool
    chunk_left: int | None
    will_close: bool
    version: Any
    reader: SocketReader
    fields: list[Field]
    by_name: dict[str, Field]
    must_close: bool
    _has_begun: bool
    _headers: HTTPMessage | None
    _overhead: int
    failure: Exception | None
    status: int
    code: int
    reason: str

    def __init__(
        self, sock: socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        self.reader = SocketReader(sock, EXCHANGE.get())
        state: dict[str, Any] = vars(self)
        state.update(UNREAD, fields=[], by_name={})
        super().__init__(self.reader, debuglevel, method, url)  # type: ignore[arg-type]  # only makefile is used
        self.reader.expect(whole=True)

    # ---- Head

    def begin(self) -> None:
        """Read the head, and find out where the body ends.

        Raises:
            HTTPException: It is malformed, too large or missing.
        """
        if not self._has_begun:
            head = read_head(self.fp)
            closes = self.reader.exchange.closes
            self.start(head, frame(head, self._method, closes=closes))  # type: ignore[attr-defined]  # http.client's own

    def start(self, head: Head, framing: Framing) -> None:
        """Take a head that was read; what follows is the body."""
        self.version, self.status, self.reason = head.version, head.status, head.reason
        self.fields, self.by_name, self.code = head.fields, head.by_name, head.status
        self.length, self.chunked, self.chunk_left = framing.length, framing.chunked, None
        self.will_close = framing.will_close
        self._has_begun = True
        self.reader.expect(whole=False)
        if head.status == SWITCHING:
            self.must_close = True
            self.reader.hand_over()

    def _read_status(self) -> tuple[str, int, str]:
        """Return version, status and reason of the response to CONNECT, for http.client."""
        return read_status(self.fp)

    @property
    def headers(self) -> Any:
        """The fields as http.client has them, made on first use: 1 us each."""
        if self._headers is None and self._has_begun:
            self._headers = made = HTTPMessage()
            for name, value in self.fields:
                made.set_raw(name, value)
        return self._headers

    @headers.setter
    def headers(self, headers: HTTPMessage | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # http.client has an attribute
        self._headers = headers

    msg: Any = headers  # pyright: ignore[reportAssignmentType]  # likewise

    # ---- Body

    def read(self, amt: int | None = None) -> bytes:
        """Return so many bytes, fewer at the end; None is all.

        Raises:
            IncompleteRead: The connection ended early; what came before was returned.
            MalformedError: The framing is broken.
            HTTPException: The message was closed early.
            OSError: The connection failed.
        """
        is_all = amt is None or amt < 0
        blocks: list[bytes] = []
        left = _LARGEST_READ if amt is None or is_all else amt
        try:
            while left and (block := self.read_chunk(left)):
                blocks.append(block)
                left -= 0 if is_all else len(block)
        except (HTTPException, OSError):
            if is_all or not blocks:
                blocks.clear()  # the traceback holds them
                raise
            # What arrived is returned first; the next read raises.
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def read_chunk(self, most: int | None = None) -> bytes:
        """Return the rest of the current chunk, or of the body when it has none.

        Args:
            most: Bytes to return at most; None is a mebibyte.

        Raises: as `read`.
        """
        return self._take(_LARGEST_READ if most is None else most, at_once=False)

    def read1(self, n: int = -1) -> bytes:
        """Return the available bytes after at most one wait. Raises: as `read`."""
        return self._take(_LARGEST_READ if n < 0 else n, at_once=True)

    def _take(self, most: int, *, at_once: bool) -> bytes:
        self.check()
        if self.fp is None or most == 0 or self.status == SWITCHING:
            return b""
        try:
            return self._receive(most, at_once=at_once)
        except (HTTPException, OSError) as error:
            self._fail(error)
            raise

    def check(self) -> None:
        """Raise the error that ended the body early, if there was one."""
        if self.failure is not None:
            raise without_traceback(self.failure)

    def _fail(self, error: Exception) -> None:
        """Close the connection: where the next response begins is unknown."""
        self.failure = self.failure or without_traceback(error)
        self._close_conn()
        self.must_close = True

    def _receive(self, most: int, *, at_once: bool) -> bytes:
        left = self._left()
        if left == 0:
            return b""
        size = min(most, _LARGEST_READ) if left is None else min(most, left, _LARGEST_READ)
        block: bytes = self.fp.read1(size) if at_once else self.fp.read(size)
        if not block:
            self._end(left)
        elif left is not None:
            self._advance(left - len(block))
        return block

    def _left(self) -> int | None:
        """Return the bytes left of the current chunk or the body; 0 ends the message."""
        left: int | None = self._next_chunk() if self.chunked else self.length
        if left == 0:
            self._close_conn()
        return left

    def _advance(self, left: int) -> None:
        if self.chunked:
            self.chunk_left = left
            return
        self.length = left
        if not left:
            self._close_conn()

    def _end(self, missing: int | None) -> None:
        """Handle the end of the connection, which ends a body without a length."""
        is_cut = self.reader.is_cut
        self._close_conn()
        self.must_close = True
        if missing is not None:
            raise IncompleteRead(b"", missing)
        if is_cut:  # RFC 9112 section 9.8: an attacker can close a connection, but not send this
            raise MalformedError("TLS ended without close_notify: the body may be truncated")

    def _next_chunk(self) -> int:
        """Return the bytes left of the current chunk; 0 after the last (RFC 9112 section 7.1)."""
        if self.chunk_left:
            return self.chunk_left
        self.reader.expect(whole=True)
        if self.chunk_left == 0 and self.fp.read(2) != b"\r\n":
            raise MalformedError("invalid chunk: its data does not end with CRLF")
        self.chunk_left = self._read_chunk_size()
        if self.chunk_left == 0:
            read_fields(self.fp)  # the trailer section is ignored
        self.reader.expect(whole=False)
        return self.chunk_left

    def _read_chunk_size(self) -> int:
        line = self.fp.readline(_LONGEST_CHUNK_LINE + 1)
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            if not line.endswith(b"\n") and len(line) <= _LONGEST_CHUNK_LINE:
                raise IncompleteRead(b"", 1)
            raise MalformedError("invalid chunk size")
        size = int(found[1], 16)
        spent = len(line) - _FREE_CHUNK_OVERHEAD - 2 * size
        self._overhead = max(0, self._overhead + spent)
        if self._overhead > _LARGEST_CHUNK_OVERHEAD:
            raise MalformedError("chunk extensions are larger than the data")
        return size

    def readinto(self, b: Any) -> int:
        """Fill a buffer, at the end only in part. Raises: as `read`."""
        block = self.read(len(b))
        b[: len(block)] = block
        return len(block)

    def peek(self, n: int = -1) -> bytes:
        """Return bytes that the next read will return. Raises: as `read`."""
        self.check()
        if self.fp is None:
            return b""
        try:
            return self._peek(n)
        except (HTTPException, OSError) as error:
            self._fail(error)
            raise

    def _peek(self, n: int) -> bytes:
        left = self._left()
        if left == 0:
            return b""
        waiting: bytes = self.fp.peek(n)
        if not waiting:
            self._end(left)
        return waiting[:left]

    def readline(self, limit: int | None = -1) -> bytes:
        """Return a line of the body. Raises: as `read`."""
        return io.BufferedIOBase.readline(self, limit)

    def close(self) -> None:
        """Close as http.client does; a body that is incomplete can no longer be read."""
        if self.fp is not None and self.length != 0:
            self._fail(HTTPException("the response was closed before its body was read"))
        super().close()

    def _close_conn(self) -> None:
        """Release the connection; http.client calls this at the end of the body."""
        if (buffered := self.fp) is not None:
            # A persistent reader is closed with its connection, while the message may live on.
            self.must_close = (
                self.status == SWITCHING or buffered.closed or self.reader.has_buffered(buffered)
            )
            self._detach(buffered)

    def flush(self) -> None:
        """Do nothing; http.client flushes a file that may be closed."""

    def _detach(self, buffered: io.BufferedReader) -> None:
        self.fp = None
        if not self.reader.is_persistent:
            buffered.close()
            super().read()  # returns nothing; tracers patch it and wait for the end


# The initial state of every message.
UNREAD = {
    "debuglevel": 0, "version": None, "status": None, "reason": None, "chunked": False,
    "chunk_left": None, "length": None, "will_close": False, "must_close": False,
    "_headers": None, "_has_begun": False, "_overhead": 0, "failure": None,
}  # fmt: skip


def without_traceback(error: E) -> E:
    """Return an equal error to keep: a traceback would keep alive what was being read."""
    kept = copy.copy(error)
    kept.args = error.args  # urllib3's errors lose the name of the pool
    return kept
