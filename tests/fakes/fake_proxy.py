"""A proxy that wants to know who is asking: it forwards http, and tunnels the rest."""

import http.client
import select
import socket
from base64 import b64encode
from contextlib import suppress
from urllib.parse import urlsplit

from fake_server import FakeServer, SeenRequest

USER, PASSWORD = "ada", "pr0xy:pass/word"
# Fields of one connection, which do not travel on (RFC 9110 section 7.6.1).
_HOP_BY_HOP = {"proxy-authorization", "proxy-connection", "connection", "keep-alive", "te"}


class FakeProxy(FakeServer):
    """A proxy; `seen` is what it was asked, `passed` how often it let a request through."""

    def __init__(self):
        super().__init__()
        self.passed = 0

    def serve(self, handler):
        fields = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(fields.get("content-length", 0)))
        self.requests.append(SeenRequest(handler.command, handler.path, {}, fields, body))
        handler.close_connection = True
        given = fields.get("proxy-authorization")
        if given != f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            handler.send_response(407)
            handler.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self.passed += 1
        if handler.command == "CONNECT":
            self._tunnel(handler)
        else:
            self._forward(handler, fields, body)

    def _forward(self, handler, fields, body):
        target = urlsplit(handler.path)
        onward = http.client.HTTPConnection(target.hostname, target.port, timeout=5)
        path = f"{target.path}?{target.query}" if target.query else target.path
        kept = {name: value for name, value in fields.items() if name not in _HOP_BY_HOP}
        onward.request(handler.command, path, body or None, kept)
        response = onward.getresponse()
        content = response.read()
        handler.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
        onward.close()

    def _tunnel(self, handler):
        host, _, port = handler.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as onward:
            handler.send_response(200)
            handler.end_headers()
            ends = {handler.connection: onward, onward: handler.connection}
            with suppress(OSError):
                while ready := select.select(list(ends), [], [], 5)[0]:
                    for end in ready:
                        block = end.recv(65536)
                        if not block:
                            return
                        ends[end].sendall(block)
