"""A server that sends scripted bytes, and the bytes of a response.

Rule: the standard library and `sockets`, so that any client can be tested with it.
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.support.sockets import Acceptor, read_request

Response = bytes | Callable[[socket.socket], object] | None


class RawServer(Acceptor):
    """A server that sends the n-th scripted response to the n-th request, then repeats the last.

    A response is bytes (the connection stays open if they contain "keep-alive"), None (the
    connection is closed without a response), or a callable that gets the socket.

    Args:
        responses: In the order of the requests.
        host: The address to listen at.
        tls: The context of a TLS server; None speaks plain HTTP.

    Attributes:
        url: Its origin.
        requests: What was received: head and body of each request.
        refusals: The errors of TLS handshakes that failed.
    """

    def __init__(
        self,
        responses: Sequence[Response],
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.responses = list(responses)
        self.requests: list[bytes] = []
        self.refusals: list[OSError] = []
        self._tls = tls
        super().__init__(self._converse, host=host)
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.track(secured)
        try:
            secured.do_handshake()
        except OSError as error:
            self.refusals.append(error)
            secured.settimeout(0.2)  # a client without TLS waits for a response
            with suppress(OSError):
                while socket.socket.recv(secured, 65536):  # or a reset would overtake the alert
                    pass
        return secured

    def _converse(self, connection: socket.socket) -> None:
        with self._secured(connection) as secured:
            while request := read_request(secured):
                response = self._next(request)
                if callable(response):
                    response(secured)
                    return
                if response is None:
                    return
                secured.sendall(response)
                if b"keep-alive" not in response:
                    return

    def _next(self, request: bytes) -> Response:
        with self.lock:
            self.requests.append(request)
            return self.responses[min(len(self.requests), len(self.responses)) - 1]


def make_response(status: str = "200 OK", body: bytes = b"", **fields: str) -> bytes:
    """Return a response that closes by default; `content_type="text/html"` becomes a field."""
    head = {"content-length": str(len(body)), "connection": "close"}
    head |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body
