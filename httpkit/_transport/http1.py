"""One answer off a socket, by the letter of RFC 9112; what breaks the letter is an error.

A client that guesses what a broken answer means will sooner or later guess otherwise than the
proxy before it, and then take part of one answer for another. So nothing is guessed here.

Rule: this module knows sockets and the standard library's http.client, and neither urllib3
nor anything of httpkit but its deadline and what tells a caller's signals from a socket's errors.
"""

from __future__ import annotations

import copy
import io
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead, RemoteDisconnected
from socket import socket
from typing import Any, Protocol, TypeVar

from httpkit._core import interrupts, waits
from httpkit._core.deadline import NO_DEADLINE, Deadline
from httpkit._core.patterns import pattern

# Bounds of what is kept while framing is read: bytes of one line, as http.client has it; fields
# of one head, and bytes of them all, as curl has it (300 KiB). Real heads have 10 to 40 fields.
_LONGEST_LINE = 1 << 16
_MOST_FIELDS = 256
_LARGEST_HEAD = 300 << 10
# RFC 9110 section 15.2: "one or more" may come before the answer; more than this is a flood.
_MOST_INTERIM = 16
# RFC 9112 section 7.1.1: "A recipient [...] ought to limit the total length of chunk extensions".
_LONGEST_CHUNK_LINE = 4096
# A chunk may cost this much framing beyond twice its data before it counts as fishy, and a body
# this much in all (the bound that Go's net/http has).
_FREE_CHUNK_OVERHEAD = 16
_LARGEST_CHUNK_OVERHEAD = 16 << 10
# The standard library's 8 KiB takes four times the system calls for a body in small chunks.
_BUFFER = 1 << 15
# A length that lies must not reserve memory: more than this is asked for in pieces.
_LARGEST_READ = 1 << 20

_STATUS_LINE = pattern(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\0\r\n]*))?")
_PLAIN_STATUS_LINE = pattern(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: ([^\0\r\n]*))?\r\n")
_NAME = pattern(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What nearly every head looks like; any other is taken apart line by line.
_PLAIN_FIELDS = pattern(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r\n]*\r\n)+")
_PLAIN_FIELD = pattern(r"([^:]+):([^\r]*)\r\n")
_LENGTH = pattern(r"[0-9]{1,18}")  # an exabyte has 19 digits
_CHUNK_LINE = pattern(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\0\r\n]*)?\r\n")

_BLANKS = frozenset({b" ", b"\t"})
_SWITCHING = 101
_BODILESS = frozenset({204, 304})
E = TypeVar("E", bound=Exception)


class MalformedError(HTTPException):
    """An answer that is not HTTP/1.1; what went wrong, never the bytes that did."""


class Readable(Protocol):
    """What is asked of a socket: urllib3's TLS within TLS is none by inheritance."""

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


@dataclass(slots=True, eq=False)  # not frozen, which would take 1 us longer to make
class Exchange:
    """How long one request and its answer may take.

    Attributes:
        deadline: When it must be over.
        send_timeout: Seconds for the server to take a block; None is no limit.
        is_repeatable: Whether the request is retried when its connection is lost; otherwise it
            is not sent over a connection that was idle for long.
        closes: Whether the request said `Connection: close`.
        upgrades: Whether the request asked for another protocol: a 101 may be the response.
    """

    deadline: Deadline = NO_DEADLINE
    send_timeout: float | None = None
    is_repeatable: bool = True
    closes: bool = False
    upgrades: bool = False


UNLIMITED = Exchange()
# How a deadline gets past urllib3 and http.client, whose calls have no room for one.
EXCHANGE: ContextVar[Exchange] = ContextVar("exchange", default=UNLIMITED)


class SocketReader(io.RawIOBase):
    """The receiving end of a socket: each wait ends with the timeout or the deadline.

    Attributes:
        exchange: Whose deadline it is.
        timeout: Seconds for one wait; None is no limit.
        is_cut: Whether the TLS stream ended without close_notify: what came may not be all.
    """

    def __init__(self, sock: Readable, exchange: Exchange, *, is_persistent: bool = False) -> None:
        """Begin to listen.

        Args:
            sock: A socket that is connected.
            exchange: Whose deadline it is.
            is_persistent: Whether it serves one answer after the other while somebody else keeps
                the socket open; otherwise the socket stays open as long as this.
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
        tls: Any = getattr(sock, "sslobj", sock)  # urllib3's, of TLS within TLS
        self._pending = getattr(tls, "pending", None)  # what TLS holds, no system call shows

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the buffer that http.client reads from.

        Where a 101 may come, nothing after the head is buffered: whoever takes the socket over
        finds all of the other protocol in it.
        """
        return io.BufferedReader(self, 1 if self.exchange.upgrades else _BUFFER)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._sock.fileno()

    def renew(self, exchange: Exchange, timeout: float | None) -> None:
        """Begin to listen for the next answer, whose head is to come whole.

        Args:
            exchange: Whose deadline it is.
            timeout: Seconds for one wait; None is no limit.
        """
        self.exchange, self.timeout = exchange, timeout
        self._applied = self._sock.gettimeout()
        self._is_whole, self._whole_by = True, None

    def keep(self) -> None:
        """Take the socket over: nobody else keeps it open any more."""
        self._kept, self.is_persistent = self._sock, False

    def hand_over(self) -> None:
        """Leave the socket to another protocol: with the read timeout, and without a deadline."""
        self._is_handed_over = True
        self.exchange = UNLIMITED
        self._sock.settimeout(self.timeout)
        self._applied = self.timeout

    def expect(self, *, whole: bool) -> None:
        """Say whether what comes next must come as a whole within one timeout.

        A body may take its time as long as it moves. A head or a chunk's size has no size to
        speak of: one that drips is an attack or a fault, and the timeout is for all of it.
        The clock starts with the first wait.
        """
        self._is_whole, self._whole_by = whole, None

    def readinto(self, buffer: Any) -> int | None:
        """Receive what there is, waiting for the first byte.

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
            if not self._is_handed_over:  # else nobody is between the caller and the error
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
                raise TimeoutError("the head did not come whole within the timeout")
        return self.exchange.deadline.clip(limit)

    def has_more(self, buffered: io.BufferedReader) -> bool:
        """Say whether bytes were received that nobody asked for, without waiting for any."""
        return self.holds_more() or self.arrived(buffered) != b""

    def holds_more(self) -> bool:
        """Say whether TLS has deciphered bytes that were not received from it yet."""
        return self._pending is not None and self._pending() > 0

    def arrived(self, buffered: io.BufferedReader) -> bytes:
        """Return what was received and not read yet, without waiting for more."""
        self._is_frozen = True
        waiting = buffered.peek(1)
        self._is_frozen = False
        return waiting

    def close(self) -> None:
        """Let go of the socket."""
        if self._kept is not None:
            self._kept.close()
        super().close()


class Message(HTTPResponse):
    """http.client's response with a parser that believes nothing.

    Attributes:
        wire: Where it comes from.
        fields: Names and values as they came, in order.
        by_name: The same by name in lower case; values of the same name are joined.
        must_close: Whether the connection cannot be used again: it has ended, or more came than
            the message had, which would be taken for the next answer.
        failure: Why the body ended before its end; None while it can be read, and when it is
            complete. Every later read raises it.
    """

    fp: Any
    length: Any
    chunked: bool
    chunk_left: int | None
    will_close: bool
    version: Any
    wire: SocketReader
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
        self.wire = SocketReader(sock, EXCHANGE.get())
        held: dict[str, Any] = vars(self)
        held.update(_UNREAD, fields=[], by_name={})
        super().__init__(self.wire, debuglevel, method, url)  # type: ignore[arg-type]  # it asks for makefile only
        self.wire.expect(whole=True)

    @classmethod
    def following(cls, receiver: io.BufferedReader, method: str) -> Message:
        """Return the next answer over a wire that lasts, as the constructor would make it.

        Saves 10 us: neither a file nor a buffer is made.

        Args:
            receiver: Over a lasting wire, which was renewed.
            method: Of the request.
        """
        message: Any = cls.__new__(cls)
        message.__dict__.update(
            _UNREAD, fields=[], by_name={}, wire=receiver.raw, fp=receiver, _method=method
        )
        made: Message = message
        return made

    # The head

    def begin(self) -> None:
        """Read the head, and learn from it where the body ends.

        Raises:
            HTTPException: It is malformed, too large, or there is none.
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
        self.wire.expect(whole=False)
        if self.status == _SWITCHING:
            self.must_close = True
            self.wire.hand_over()

    def _read_plain_head(self) -> bool:
        """Read a head that is like nearly every one, and came whole; saves 4 us.

        Any other is left as it is, to be taken apart line by line.
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
        """The fields as the standard library has them; made when somebody looks, for 1 us each."""
        if self._headers is None and self._has_begun:
            self._headers = made = HTTPMessage()
            for name, value in self.fields:
                made.set_raw(name, value)
        return self._headers

    @headers.setter
    def headers(self, headers: HTTPMessage | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # http.client's own attribute, made late
        self._headers = headers

    msg: Any = headers  # pyright: ignore[reportAssignmentType]  # likewise

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the answer itself; those before it are passed over.

        RFC 9110 section 15.2: a client must be able to parse one or more 1xx responses before
        the final one, even if it does not expect them. Each starts the timeout anew.
        """
        for _ in range(_MOST_INTERIM + 1):
            version, status, reason = self._read_status_line()
            # RFC 9110 section 7.8: only to what the client asked for.
            if status == _SWITCHING and not self.wire.exchange.upgrades:
                raise MalformedError("101 switches to a protocol that was not asked for")
            if status >= 200 or status == _SWITCHING:
                return version, status, reason
            self._read_fields()
            self.wire.expect(whole=True)
        raise MalformedError(f"more than {_MOST_INTERIM} interim responses")

    def _read_status_line(self) -> tuple[str, int, str]:
        line = self.fp.readline(_LONGEST_LINE + 1)
        if not line:
            # In the words, and the class, by which others know a closed connection.
            raise RemoteDisconnected("Remote end closed connection without response")
        # RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]
        found = _STATUS_LINE.fullmatch(self._content(line, "status line"))
        if found is None:
            raise MalformedError("the status line is none of HTTP/1.1")
        minor, status, reason = found.groups(b"")
        return f"HTTP/1.{minor.decode()}", int(status), reason.strip().decode("latin-1")

    def _content(self, line: bytes, what: str) -> bytes:
        """Return a line without its end (RFC 9112 section 2.2: LF alone may be accepted)."""
        if line[-1:] != b"\n":
            if len(line) > _LONGEST_LINE:
                raise MalformedError(f"a {what} is longer than {_LONGEST_LINE} bytes")
            raise MalformedError(f"the connection ended within a {what}")
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
        while line := self._content(self.fp.readline(_LONGEST_LINE + 1), "header field"):
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
        """File the fields by name; values of the same name are joined (RFC 9110 section 5.3)."""
        by_name = self.by_name
        for name, value in self.fields:
            key = name.lower()
            first = by_name.get(key)
            by_name[key] = (name, value) if first is None else (first[0], f"{first[1]}, {value}")

    def _frame(self) -> None:
        """Find the length of the body, in the order of RFC 9112 section 6.3."""
        codings, lengths = map(self.by_name.get, ("transfer-encoding", "content-length"))
        self.chunked, self.chunk_left = False, None
        self.will_close = self._is_last()
        if codings and lengths:  # item 3: "ought to be handled as an error"
            raise MalformedError("there are both Content-Length and Transfer-Encoding")
        self.length = _parse_lengths(lengths[1]) if lengths else None
        is_chunked = codings is not None and _parse_codings(codings[1])
        if self.status == _SWITCHING:  # what follows is neither a body nor another response
            self.length, self.will_close = 0, False
        elif self._method == "HEAD" or self.status in _BODILESS:  # type: ignore[attr-defined]  # item 1
            self.length = 0
        elif is_chunked:
            self.chunked = True
            # Section 6.1: in an answer of HTTP/1.0 it is faulty; nothing after it is trusted.
            self.will_close = self.will_close or self.version == 10
        elif self.length is None:  # item 8: until the connection closes
            self.will_close = True

    def _is_last(self) -> bool:
        """Say whether the connection ends with this answer (RFC 9112 section 9.3)."""
        by_name = self.by_name
        if self.wire.exchange.closes:  # section 9.6: no more requests after it was said
            return True
        if "proxy-connection" in by_name:  # in no RFC: believed when it closes, and only then
            _, said = by_name["proxy-connection"]
            if "close" in parse_options(said):
                return True
        if (field := by_name.get("connection")) is None:
            return bool(self.version == 10)  # HTTP/1.0 closes where nothing is said
        options = parse_options(field[1])
        return "close" in options or (self.version == 10 and "keep-alive" not in options)

    # The body

    def take_arrived(self) -> bytes | None:
        """Return the body, if its length is known and all of it came with the head; else None.

        Saves 20 us: nothing can fail any more, and nobody has to wait.
        """
        if self.chunked or self.length is None:
            return None
        waiting = self.wire.arrived(self.fp)
        if len(waiting) < self.length:
            return None
        block: bytes = self.fp.read(self.length)
        self.must_close = len(waiting) > self.length or self.wire.holds_more()
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
            # What came is returned first; the next read raises.
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def read_chunk(self, most: int | None = None) -> bytes:
        """Return the rest of the current chunk, or of the body when it has none.

        Args:
            most: Bytes to return at most; None is a mebibyte.

        Raises: as `read`.
        """
        return self._take(_LARGEST_READ if most is None else most, at_once=False)

    def read1(self, n: int = -1) -> bytes:
        """Return what there is, after at most one wait for the body. Raises: as `read`."""
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
        """Raise again what ended the body early, if anything did."""
        if self.failure is not None:
            raise without_traceback(self.failure)

    def _fail(self, error: Exception) -> None:
        """Let go of the connection: where the next message begins, nobody knows."""
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
        """Judge the end of the connection: of a body without a length it may be the end."""
        is_cut = self.wire.is_cut
        self._close_conn()
        self.must_close = True  # nothing can follow on it
        if missing is not None:
            raise IncompleteRead(b"", missing)
        if is_cut:  # RFC 9112 section 9.8: an attacker can close a connection, not this
            raise MalformedError("the TLS stream ended without close_notify: it may be cut")

    def _next_chunk(self) -> int:
        """Return the bytes left of the current chunk; 0 after the last (RFC 9112 section 7.1)."""
        if self.chunk_left:
            return self.chunk_left
        self.wire.expect(whole=True)
        if self.chunk_left == 0 and self.fp.read(2) != b"\r\n":
            raise MalformedError("a chunk is longer than its size, or cut")
        self.chunk_left = self._read_chunk_size()
        if self.chunk_left == 0:
            self._read_fields()  # the trailer section; nobody reads it
        self.wire.expect(whole=False)
        return self.chunk_left

    def _read_chunk_size(self) -> int:
        line = self.fp.readline(_LONGEST_CHUNK_LINE + 1)
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            if not line.endswith(b"\n") and len(line) <= _LONGEST_CHUNK_LINE:
                raise IncompleteRead(b"", 1)
            raise MalformedError("a chunk's size is no number, or too long")
        size = int(found[1], 16)
        spent = len(line) - _FREE_CHUNK_OVERHEAD - 2 * size
        self._overhead = max(0, self._overhead + spent)
        if self._overhead > _LARGEST_CHUNK_OVERHEAD:
            raise MalformedError("the chunks have more extensions than data")
        return size

    def readinto(self, b: Any) -> int:
        """Fill a buffer, not wholly at the end. Raises: as `read`."""
        block = self.read(len(b))
        b[: len(block)] = block
        return len(block)

    def peek(self, n: int = -1) -> bytes:
        """Return bytes that the next read will return, without taking them. Raises: as `read`."""
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
        """Close as http.client does; a body that is not complete by now can no longer be read."""
        if self.fp is not None and self.length != 0:
            self._fail(HTTPException("the response was closed before its body was read"))
        super().close()

    def _close_conn(self) -> None:
        """Let go of the connection; http.client calls it so."""
        if (buffered := self.fp) is not None:
            # A wire that lasts ends with its connection, whoever still holds the message.
            self.must_close = (
                self.status == _SWITCHING or buffered.closed or self.wire.has_more(buffered)
            )
            self._detach(buffered)

    def flush(self) -> None:
        """Do nothing: nothing is written. http.client flushes what may be closed by now."""

    def _detach(self, buffered: io.BufferedReader) -> None:
        self.fp = None
        if not self.wire.is_persistent:
            buffered.close()
            super().read()  # gives nothing; a tracer in its place waits there for the end


# What is the same in every message of which nothing was read.
_UNREAD = {
    "debuglevel": 0, "version": None, "status": None, "reason": None, "chunked": False,
    "chunk_left": None, "length": None, "will_close": False, "must_close": False,
    "_headers": None, "_has_begun": False, "_overhead": 0, "failure": None,
}  # fmt: skip


def without_traceback(error: E) -> E:
    """Return an equal error to keep: a traceback holds everything that was being read."""
    kept = copy.copy(error)
    kept.args = error.args  # urllib3's errors lose the name of the pool
    return kept


def _plain_fields(section: str) -> list[tuple[str, str]] | None:
    """Return the fields of a section that is spelled like nearly every one; None for any other."""
    if not _PLAIN_FIELDS.fullmatch(section) or section.count("\n") > _MOST_FIELDS:
        return None
    return [(name, value.strip(" \t")) for name, value in _PLAIN_FIELD.findall(section)]


def _parse_field(line: bytes) -> tuple[str, str]:
    """Return name and value of a field line (RFC 9112 section 5).

    Refused are a fold before any field, space before the colon (section 5.1), and bare CR and
    NUL (RFC 9110 section 5.5).
    """
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        if line[:1] in _BLANKS:
            raise MalformedError("the first header field is folded: nothing is before it")
        raise MalformedError("a header field has no name, or one that is no token")
    return name.decode("ascii"), _parse_value(value)


def _parse_value(value: bytes) -> str:
    if b"\r" in value or b"\0" in value:
        raise MalformedError("a header field holds a NUL or a bare CR")
    return value.strip(b" \t").decode("latin-1")


def _unfold(field: tuple[str, str], line: bytes) -> tuple[str, str]:
    """Return a field with a further line of its value.

    RFC 9112 section 5.2: a user agent must replace each obs-fold with one or more SP.
    """
    name, value = field
    return name, f"{value} {_parse_value(line)}".strip(" ")


def parse_options(said: str) -> set[str]:
    """Return the options of a Connection field in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip(" \t") for option in said.lower().split(",")}


def _parse_lengths(said: str) -> int:
    """Return the one length that all say (RFC 9110 section 8.6).

    Args:
        said: The values of the fields, joined by commas.
    """
    if _LENGTH.fullmatch(said):
        return int(said)
    if len({length.strip(" \t") for length in said.split(",")}) > 1:
        raise MalformedError("the lengths in Content-Length differ")
    length = said.partition(",")[0].strip(" \t")
    if not _LENGTH.fullmatch(length):
        raise MalformedError("Content-Length is no number, or too large")
    return int(length)


def _parse_codings(said: str) -> bool:
    """Say whether the body is chunked (RFC 9112 section 6.1).

    No other coding was asked for by a TE field, so none may be used; "identity" meant "none"
    in RFC 2616.

    Args:
        said: The values of the fields, joined by commas.
    """
    codings = {coding.strip(" \t") for coding in said.lower().split(",")} - {"", "identity"}
    if codings - {"chunked"} or said.lower().count("chunked") > 1:
        raise MalformedError("there is a Transfer-Encoding other than chunked, once")
    return bool(codings)
