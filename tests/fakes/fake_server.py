"""What the fakes share: a server on loopback that records its requests, and stops by itself.

Rule: standard library only and nothing from httpkit, so that httpkit is tested from outside.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, parse_qsl, urlsplit


@dataclass
class SeenRequest:
    """A request as it was received."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Response:
    """A response; a body that is not bytes is sent as JSON."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class FakeServer:
    """A server; a subclass responds. Responses in `next` come first; None hangs up."""

    def __init__(self):
        self.requests: list[SeenRequest] = []
        self.next: list[Response | Callable[[SeenRequest], None] | None] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                fake.serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def serve(self, handler):
        target = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length", 0))
        request = SeenRequest(
            handler.command,
            target.path,
            parse_qs(target.query, keep_blank_values=True),
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(length),
        )
        self.requests.append(request)
        response = self._scripted(request) if self.next else self.respond(request)
        if response is None:
            handler.close_connection = True
            return
        payload = response.payload
        fields = {"Content-Length": str(len(payload)), **response.headers}
        if not isinstance(response.body, bytes):
            fields.setdefault("Content-Type", "application/json; charset=utf-8")
        handler.send_response(response.status)
        for name, value in fields.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"" if request.method == "HEAD" else payload)

    def _scripted(self, request):
        scripted = self.next.pop(0)
        return scripted(request) if callable(scripted) else scripted

    def respond(self, request: SeenRequest) -> Response | None:
        """Response a request; None hangs up."""
        raise NotImplementedError
