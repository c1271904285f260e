"""A server that only reads: `python sink.py [FOLDER]` answers with how many bytes a body had.

It prints its port, and ends with its standard input. With a folder it serves https, with the
chain.pem and key.pem in it. Rule: standard library only, and no byte of a body is looked at.
"""

import json
import socket
import ssl
import sys
import threading
from contextlib import suppress
from pathlib import Path

BLOCK = 1 << 20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"


class Reader:
    """A connection, read into one block of memory that is used again and again."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._view = memoryview(bytearray(BLOCK))
        self._start = self._end = 0

    def line(self) -> bytes:
        """Return a line without its end.

        Raises:
            EOFError: There is none.
        """
        line = b""
        while not line.endswith(b"\n"):
            self._fill()
            held = bytes(self._view[self._start : min(self._end, self._start + 8192)])
            took = held.find(b"\n") + 1 or len(held)
            line += held[:took]
            self._start += took
        return line.rstrip(b"\r\n")

    def skip(self, size: int) -> None:
        """Read so many bytes, and forget them.

        Raises:
            EOFError: There are not as many.
        """
        while size:
            self._fill()
            took = min(size, self._end - self._start)
            self._start += took
            size -= took

    def _fill(self) -> None:
        if self._start < self._end:
            return
        self._start, self._end = 0, self._connection.recv_into(self._view)
        if not self._end:
            raise EOFError


def read_head(reader: Reader) -> dict[bytes, bytes]:
    """Return the fields of a request, by their names in lower case."""
    while not reader.line():  # before a request line, RFC 9112 section 2.2
        pass
    fields: dict[bytes, bytes] = {}
    while line := reader.line():
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip().lower()
    return fields


def read_body(reader: Reader, fields: dict[bytes, bytes]) -> int:
    """Read a body, framed by its length or in chunks; return its bytes."""
    if fields.get(b"transfer-encoding") != b"chunked":
        size = int(fields.get(b"content-length", b"0"))
        reader.skip(size)
        return size
    total = 0
    while size := int(reader.line().partition(b";")[0], 16):
        reader.skip(size + 2)  # a chunk ends with a line's end
        total += size
    while reader.line():  # trailers
        pass
    return total


def respond_to_all(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answer the requests of one connection."""
    with suppress(OSError, EOFError), connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = context.wrap_socket(connection, server_side=True) if context else connection
        reader = Reader(secured)
        with secured:
            while True:
                fields = read_head(reader)
                if fields.get(b"expect") == b"100-continue":
                    secured.sendall(CONTINUE)
                output = json.dumps({"bytes": read_body(reader, fields)})
                secured.sendall(ANSWER.format(len(output), output).encode())


def serve(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answer each connection in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=respond_to_all, args=(connection, context), daemon=True).start()


def main() -> None:
    """Serve until the standard input ends."""
    context = None
    if sys.argv[1:]:
        folder = Path(sys.argv[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
