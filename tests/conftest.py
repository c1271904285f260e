"""Fixtures: the Sandbox, servers that say exactly what a test wants, and no waits."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Self

import pytest
import trustme

from httpkit._core import redaction
from httpkit.testing import Sandbox, recorded_waits
from tests.support.sockets import read_request

Answer = bytes | Callable[[socket.socket], None] | None


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Sandbox of the test's own."""
    with Sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    """A Sandbox for all tests of a file, with what they leave there."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def shared_sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A Sandbox for all tests of a file, as good as new for each of them."""
    running_sandbox.clear()
    return running_sandbox


@pytest.fixture(autouse=True)
def waits() -> Iterator[list[float]]:
    """The waits between attempts, in seconds: they are recorded, and nothing sleeps."""
    with recorded_waits() as recorded:
        yield recorded


@pytest.fixture(autouse=True)
def _no_ambient_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.getbasetemp() / "no-netrc"))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """What a test hides is hidden for it alone: a thousand values are looked for in every error."""
    values, names = redaction._values.copy(), redaction._added_names.copy()
    yield
    for held, before in ((redaction._values, values), (redaction._added_names, names)):
        held.clear()
        held.update(before)


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL whose port is taken but not listened to: connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def busy() -> Iterator[str]:
    """A URL whose backlog is full: connecting takes for ever."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that only tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def bundle(authority: trustme.CA, tmp_path_factory) -> str:
    """The path of its certificate."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


class RawServer:
    """A server that answers the n-th request with the n-th scripted bytes, then the last again.

    An answer is bytes (sent; the connection stays open if they hold "keep-alive"), None (the
    connection is closed without an answer), or a callable given the socket. With `tls` it speaks
    TLS; the handshakes that failed are in `refusals`.
    """

    def __init__(
        self,
        answers: Sequence[Answer],
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.refusals: list[OSError] = []
        self._answers = list(answers)
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.port = self._listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        workers = []
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self._open.append(connection)
                worker = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                worker.start()
                workers.append(worker)
        for worker in workers:
            worker.join(5)

    @property
    def connections(self) -> int:
        return len(self._open)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open[self._open.index(connection)] = secured
        try:
            secured.do_handshake()
        except OSError as error:
            self.refusals.append(error)
            secured.settimeout(0.2)  # a client without TLS waits for an answer
            with suppress(OSError):
                while socket.socket.recv(secured, 65536):  # or a reset would overtake the alert
                    pass
        return secured

    def _serve(self, connection: socket.socket) -> None:
        with self._secured(connection) as secured, suppress(OSError):
            while received := read_request(secured):
                with self._lock:
                    self.requests.append(received)
                    number = min(len(self.requests), len(self._answers))
                answer = self._answers[number - 1]
                if callable(answer):
                    answer(secured)
                    return
                if answer is None:
                    return
                secured.sendall(answer)
                if b"keep-alive" not in answer:
                    return


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Start servers: `raw_server(b"HTTP/1.1 200 OK...", None, ...)`; they stop by themselves."""
    started: list[RawServer] = []

    def start(*answers: Answer, **options: Any) -> RawServer:
        server = RawServer(answers, **options).__enter__()
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__()


def make_response(status: str = "200 OK", body: bytes = b"", **fields: str) -> bytes:
    """Spell a response; `content_type="text/html"` becomes a field. It closes by default."""
    head = {"content-length": str(len(body)), "connection": "close"}
    head |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


@pytest.fixture(name="make_response")
def _make_response() -> Callable[..., bytes]:
    """Return the function that formats a response for `raw_server`."""
    return make_response
