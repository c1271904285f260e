"""Read one HTTP/1.1 response from a socket, strictly by RFC 9112.

A client that repairs malformed responses may parse them differently than the proxy in front of
it, and take part of one response for the next (response splitting). Malformed input raises.

Rule: this module knows sockets and the standard library's http.client, and neither urllib3
nor anything of httpkit but its deadline and what tells a caller's signals from a socket's errors.
"""

from __future__ import annotations

import copy
import io
import ssl
import time
from contextvars import ContextVar
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, RemoteDisconnected
from socket import socket
from typing import Any, Protocol, TypeVar

from httpkit._core import interrupts, waits
from httpkit._core.deadline import NO_DEADLINE, Deadline
from httpkit._core.patterns import pattern

# Limits of framing: bytes of one line, as in http.client; fields of one head, and their bytes in
# all, as in curl (300 KiB). Real heads have 10 to 40 fields.
_LONGEST_LINE = 1 << 16
_MOST_FIELDS = 256
_LARGEST_HEAD = 300 << 10
# RFC 9110 section 15.2 allows "one or more" interim responses; more than this is an attack.
_MOST_INTERIM = 16
# RFC 9112 section 7.1.1: "A recipient [...] ought to limit the total length of chunk extensions".
_LONGEST_CHUNK_LINE = 4096
# Bytes of framing beyond twice its data that a chunk may have, and that a body may have in all
# (the limit of Go's net/http).
_FREE_CHUNK_OVERHEAD = 16
_LARGEST_CHUNK_OVERHEAD = 16 << 10
# The standard library's 8 KiB needs four times the system calls for a body in small chunks.
_BUFFER = 1 << 15
# A false length must not allocate memory: larger reads are done in pieces of this size.
_LARGEST_READ = 1 << 20

_STATUS_LINE = pattern(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n]*))?")
_PLAIN_STATUS_LINE = pattern(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: ([^\0\r\n]*))?\r\n")
_NAME = pattern(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Most heads match these; others are parsed line by line.
_PLAIN_FIELDS = pattern(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r\n]*\r\n)+")
_PLAIN_FIELD = pattern(r"([^:]+):[ \t]*([^\r]*)\r\n")
_LENGTH = pattern(r"[0-9]{1,18}")  # an exabyte has 19 digits
_CHUNK_LINE = pattern(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\0\r\n]*)?\r\n")

_BLANKS = frozenset({b" ", b"\t"})
_SWITCHING = 101
_BODILESS = frozenset({204, 304})
E = TypeVar("E", bound=Exception)


class MalformedError(HTTPException):
    """A response that is not valid HTTP/1.1; the message never quotes received bytes."""


class Readable(Protocol):
    """What is needed of a socket; urllib3's TLS within TLS is not a subclass of one."""

    def makefile(self, mode: Any, buffering: Any = ...) -> Any:
        """Return a file that keeps the socket open."""
        ...

    def fileno(self) -> int:
        """Return the descriptor."""
        ...

    def recv_into(self, buffer: Any, nbytes: int = ..., flags: int = ...) -> int:
        """Receive bytes."""
        ...

    def gettimeout(self) -> float | None:
        """Return the seconds that an operation may take."""
        ...

    def settimeout(self, value: float | None, /) -> None:
        """Set the seconds that an operation may take."""
        ...


class Exchange:
    """The limits of one request and its response.

    Attributes:
        deadline: When it must be over.
        send_timeout: Seconds for the server to take a block; None is no limit.
        is_repeatable: Whether the request is retried when its connection is lost; otherwise it
            is not sent over a connection that was idle for long.
        closes: Whether the request value `Connection: close`.
        upgrades: Whether the request asked for another protocol: a 101 may be the response.
    """

    __slots__ = ("closes", "deadline", "is_repeatable", "send_timeout", "upgrades")

    def __init__(
        self,
        deadline: Deadline = NO_DEADLINE,
        send_timeout: float | None = None,
        *,
        is_repeatable: bool = True,
        closes: bool = False,
        upgrades: bool = False,
    ) -> None:
        self.deadline = deadline
        self.send_timeout = send_timeout
        self.is_repeatable = is_repeatable
        self.closes = closes
        self.upgrades = upgrades


UNLIMITED = Exchange()
# Carries the deadline through urllib3 and http.client, whose calls take no such argument.
EXCHANGE: ContextVar[Exchange] = ContextVar("exchange", default=UNLIMITED)


class SocketReader(io.RawIOBase):
    """Reads from a socket; each wait ends with the timeout or the deadline.

    Attributes:
        exchange: The limits of the current request.
        timeout: Seconds for one wait; None is no limit.
        is_cut: Whether the TLS stream ended without close_notify: what came may not be all.
    """

    def __init__(self, sock: Readable, exchange: Exchange, *, is_persistent: bool = False) -> None:
        """Read from a socket.

        Args:
            sock: A connected socket.
            exchange: The limits of the current request.
            is_persistent: Whether it reads one response after the other while the connection
                keeps the socket open; otherwise it keeps the socket open itself.
        """
        self._sock = sock
        self._kept: Any = None if is_persistent else sock.makefile("rb", buffering=0)
        self.is_persistent: bool = is_persistent
        self.exchange: Exchange = exchange
        self.timeout: float | None = sock.gettimeout()
        self._applied = self.timeout
        self.is_cut: bool = False
        self._is_whole = self._is_frozen = self._is_handed_over = False
        self._whole_by: float | None = None
        tls: Any = getattr(sock, "sslobj", sock)  # urllib3's TLS within TLS
        self._pending = getattr(tls, "pending", None)  # bytes that TLS has decrypted already

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the buffer that http.client reads from.

        Where a 101 may come, nothing after the head is buffered: the caller finds all bytes of the
        other protocol on the socket.
        """
        return io.BufferedReader(self, 1 if self.exchange.upgrades else _BUFFER)

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._sock.fileno()

    def start_message(
        self, exchange: Exchange, timeout: float | None, applied: float | None
    ) -> None:
        """Begin to read the next response.

        Args:
            exchange: Its limits.
            timeout: Seconds for one wait; None is no limit.
            applied: The timeout that the socket has now.
        """
        self.exchange, self.timeout, self._applied = exchange, timeout, applied
        self._is_whole, self._whole_by = True, None

    def keep_open(self) -> None:
        """Keep the socket open: the connection no longer does."""
        self._kept, self.is_persistent = self._sock, False

    def hand_over(self) -> None:
        """Leave the socket to another protocol, with the read timeout and without a deadline."""
        self._is_handed_over = True
        self.exchange = UNLIMITED
        self._sock.settimeout(self.timeout)
        self._applied = self.timeout

    def expect(self, *, whole: bool) -> None:
        """Set whether the next part must arrive whole within one timeout.

        A body may take any time as long as bytes arrive. A head or a chunk size is short: the
        timeout is for all of it, so that one byte at a time is no way around it. The clock
        starts with the first wait.
        """
        self._is_whole, self._whole_by = whole, None

    def readinto(self, buffer: Any) -> int | None:
        """Receive the available bytes, waiting for the first.

        Raises:
            TimeoutError: Nothing came within the timeout, or the deadline passed.
        """
        if self._is_frozen:
            return None
        limit = self._limit()
        if limit != self._applied:
            self._sock.settimeout(limit)
            self._applied = limit
        try:
            if waits.IS_SLICED:
                return waits.socket_call(self._sock, self._sock.recv_into, buffer)
            return self._sock.recv_into(buffer)
        except Exception as error:
            if not self._is_handed_over:  # else the caller reads the socket itself
                interrupts.hide(error)
            if not isinstance(error, ssl.SSLEOFError):
                raise
            self.is_cut = True
            return 0

    def _limit(self) -> float | None:
        limit = self.timeout
        if limit is not None and self._is_whole:
            now = time.monotonic()
            if self._whole_by is None:
                self._whole_by = now + limit
            limit = self._whole_by - now
            if limit <= 0:
                raise TimeoutError("the response head did not arrive within the timeout")
        return self.exchange.deadline.clip(limit)

    def has_buffered(self, buffered: io.BufferedReader) -> bool:
        """Return whether unread bytes were received; it does not wait."""
        return self.has_decrypted() or self.peek_buffered(buffered) != b""

    def has_decrypted(self) -> bool:
        """Return whether TLS holds decrypted bytes that were not read yet."""
        return self._pending is not None and self._pending() > 0

    def peek_buffered(self, buffered: io.BufferedReader) -> bytes:
        """Return the bytes that were received and not read yet; it does not wait."""
        self._is_frozen = True
        waiting = buffered.peek(1)
        self._is_frozen = False
        return waiting

    def close(self) -> None:
        """Release the socket."""
        if self._kept is not None:
            self._kept.close()
        super().close()


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
    fields: list[tuple[str, str]]
    by_name: dict[str, tuple[str, str]]
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
        held: dict[str, Any] = vars(self)
        held.update(UNREAD, fields=[], by_name={})
        super().__init__(self.reader, debuglevel, method, url)  # type: ignore[arg-type]  # only makefile is used
        self.reader.expect(whole=True)

    # ---- Head

    def begin(self) -> None:
        """Read the head, and find out where the body ends.

        Raises:
            HTTPException: It is malformed, too large or missing.
        """
        if self._has_begun:
            return
        if not self._read_plain_head():
            version, self.status, self.reason = self._read_status()
            self.version = 10 if version == "HTTP/1.0" else 11
            self.fields = self._read_fields()
        self.code = self.status
        self._has_begun = True
        self._sort()
        self._frame()
        self.reader.expect(whole=False)
        if self.status == _SWITCHING:
            self.must_close = True
            self.reader.hand_over()

    def _read_plain_head(self) -> bool:
        """Read a head of the usual form that arrived whole; saves 4 us.

        Return False, with nothing read, for any other.
        """
        waiting: bytes = self.fp.peek(1)
        end = waiting.find(b"\r\n\r\n") + 2
        if end < 2 or (found := _PLAIN_STATUS_LINE.match(waiting)) is None:
            return False
        fields = _plain_fields(waiting[found.end() : end].decode("latin-1"))
        if fields is None:
            return False
        self.fp.read(end + 2)
        self.version, self.status = 11, int(found[1])
        self.reason, self.fields = (found[2] or b"").strip().decode("latin-1"), fields
        return True

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

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the final response; interim responses are skipped.

        RFC 9110 section 15.2: a client must be able to parse one or more 1xx responses before
        the final one, even if it does not expect them. Each restarts the timeout.
        """
        for _ in range(_MOST_INTERIM + 1):
            version, status, reason = self._read_status_line()
            # RFC 9110 section 7.8: only to what the client asked for.
            if status == _SWITCHING and not self.reader.exchange.upgrades:
                raise MalformedError("unexpected status 101: no protocol upgrade was requested")
            if status >= 200 or status == _SWITCHING:
                return version, status, reason
            self._read_fields()
            self.reader.expect(whole=True)
        raise MalformedError(f"more than {_MOST_INTERIM} interim responses")

    def _read_status_line(self) -> tuple[str, int, str]:
        line = self.fp.readline(_LONGEST_LINE + 1)
        if not line:
            # http.client's message and class for a closed connection.
            raise RemoteDisconnected("Remote end closed connection without response")
        # RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]
        found = _STATUS_LINE.fullmatch(self._without_end(line, "status line"))
        if found is None:
            raise MalformedError("invalid HTTP status line")
        minor, status, reason = found.groups(b"")
        return f"HTTP/1.{minor.decode()}", int(status), reason.strip().decode("latin-1")

    def _without_end(self, line: bytes, what: str) -> bytes:
        """Return a line without its end (RFC 9112 section 2.2: LF alone may be accepted)."""
        if line[-1:] != b"\n":
            if len(line) > _LONGEST_LINE:
                raise MalformedError(f"a {what} is longer than {_LONGEST_LINE} bytes")
            raise MalformedError(f"the connection closed within a {what}")
        return line[:-2] if line[-2:-1] == b"\r" else line[:-1]

    def _read_fields(self) -> list[tuple[str, str]]:
        """Read a header or trailer section, and the empty line after it."""
        waiting: bytes = self.fp.peek(1)
        end = waiting.find(b"\r\n\r\n") + 2
        fields = _plain_fields(waiting[:end].decode("latin-1"))
        if fields is None:
            return self._read_fields_singly()
        self.fp.read(end + 2)
        return fields

    def _read_fields_singly(self) -> list[tuple[str, str]]:
        fields: list[tuple[str, str]] = []
        size = lines = 0  # each line of a folded field counts
        while line := self._without_end(self.fp.readline(_LONGEST_LINE + 1), "header field"):
            if fields and line[:1] in _BLANKS:
                fields[-1] = _unfold(fields[-1], line)
            else:
                fields.append(_parse_field(line))
            lines += 1
            size += len(line)
            if lines > _MOST_FIELDS or size > _LARGEST_HEAD:
                raise MalformedError(
                    f"a head is larger than {_MOST_FIELDS} fields or {_LARGEST_HEAD} bytes"
                )
        return fields

    def _sort(self) -> None:
        """Index the fields by name; values of the same name are joined (RFC 9110 section 5.3)."""
        by_name = self.by_name = {field[0].lower(): field for field in self.fields}
        if len(by_name) == len(self.fields):
            return
        by_name.clear()
        for name, value in self.fields:
            key = name.lower()
            first = by_name.get(key)
            by_name[key] = (name, value) if first is None else (first[0], f"{first[1]}, {value}")

    def _frame(self) -> None:
        """Determine the length of the body (RFC 9112 section 6.3)."""
        codings, lengths = map(self.by_name.get, ("transfer-encoding", "content-length"))
        self.chunked, self.chunk_left = False, None
        self.will_close = self._is_last()
        if codings and lengths:  # item 3: "ought to be handled as an error"
            raise MalformedError("both Content-Length and Transfer-Encoding are present")
        self.length = _parse_lengths(lengths[1]) if lengths else None
        is_chunked = codings is not None and _parse_codings(codings[1])
        if self.status == _SWITCHING:  # what follows is neither a body nor another response
            self.length, self.will_close = 0, False
        elif self._method == "HEAD" or self.status in _BODILESS:  # type: ignore[attr-defined]  # item 1
            self.length = 0
        elif is_chunked:
            self.chunked = True
            # Section 6.1: in a response of HTTP/1.0 it is faulty; nothing after it is trusted.
            self.will_close = self.will_close or self.version == 10
        elif self.length is None:  # item 8: until the connection closes
            self.will_close = True

    def _is_last(self) -> bool:
        """Return whether the connection closes after this response (RFC 9112 section 9.3)."""
        by_name = self.by_name
        if self.reader.exchange.closes:  # section 9.6: the request asked for it
            return True
        # In no RFC: only its "close" counts.
        if "proxy-connection" in by_name and "close" in parse_options(
            by_name["proxy-connection"][1]
        ):
            return True
        if (field := by_name.get("connection")) is None:
            return bool(self.version == 10)  # HTTP/1.0 closes by default
        options = parse_options(field[1])
        return "close" in options or (self.version == 10 and "keep-alive" not in options)

    # ---- Body

    def take_buffered(self) -> bytes | None:
        """Return the body if its length is known and all of it is buffered; else None.

        Saves 20 us: nothing can fail, and there is no wait.
        """
        if self.chunked or self.length is None:
            return None
        waiting = self.reader.peek_buffered(self.fp)
        if len(waiting) < self.length:
            return None
        block: bytes = self.fp.read(self.length)
        self.must_close = len(waiting) > self.length or self.reader.has_decrypted()
        self.length = 0
        self._detach(self.fp)
        return block

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
        if self.fp is None or most == 0 or self.status == _SWITCHING:
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
            self._read_fields()  # the trailer section is ignored
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
                self.status == _SWITCHING or buffered.closed or self.reader.has_buffered(buffered)
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


def _plain_fields(section: str) -> list[tuple[str, str]] | None:
    """Return the fields of a section of the usual form; None for any other."""
    if not _PLAIN_FIELDS.fullmatch(section) or section.count("\n") > _MOST_FIELDS:
        return None
    if " \r\n" in section or "\t\r\n" in section:  # to be stripped off a value
        return None
    return _PLAIN_FIELD.findall(section)


def _parse_field(line: bytes) -> tuple[str, str]:
    """Return name and value of a field line (RFC 9112 section 5).

    A fold before any field, space before the colon (section 5.1), and bare CR and NUL (RFC 9110
    section 5.5) raise.
    """
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        if line[:1] in _BLANKS:
            raise MalformedError("invalid header field: the first one is folded")
        raise MalformedError("invalid header field name")
    return name.decode("ascii"), _parse_value(value)


def _parse_value(value: bytes) -> str:
    if b"\r" in value or b"\0" in value:
        raise MalformedError("invalid header field value: it contains NUL or a bare CR")
    return value.strip(b" \t").decode("latin-1")


def _unfold(field: tuple[str, str], line: bytes) -> tuple[str, str]:
    """Return a field with a further line of its value.

    RFC 9112 section 5.2: a user agent must replace each obs-fold with one or more SP.
    """
    name, value = field
    return name, f"{value} {_parse_value(line)}".strip(" ")


def parse_options(value: str) -> set[str]:
    """Return the options of a Connection field in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip(" \t") for option in value.lower().split(",")}


def _parse_lengths(value: str) -> int:
    """Return the length that all fields agree on (RFC 9110 section 8.6).

    Args:
        value: The values of the fields, joined by commas.
    """
    if _LENGTH.fullmatch(value):
        return int(value)
    if len({length.strip(" \t") for length in value.split(",")}) > 1:
        raise MalformedError("Content-Length fields differ")
    length = value.partition(",")[0].strip(" \t")
    if not _LENGTH.fullmatch(length):
        raise MalformedError("invalid Content-Length")
    return int(length)


def _parse_codings(value: str) -> bool:
    """Return whether the body is chunked (RFC 9112 section 6.1).

    A server may use another coding only if a TE field asked for it. "identity" meant "none" in
    RFC 2616.

    Args:
        value: The values of the fields, joined by commas.
    """
    codings = {coding.strip(" \t") for coding in value.lower().split(",")} - {"", "identity"}
    if codings - {"chunked"} or value.lower().count("chunked") > 1:
        raise MalformedError("unsupported Transfer-Encoding: only a single chunked is supported")
    return bool(codings)
