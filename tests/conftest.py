"""Fixtures: the Sandbox, servers that send scripted bytes, and no waits."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest
import trustme

import httpkit
from httpkit._core import disclosure, redaction
from httpkit.testing import Sandbox, SeenRequest, recorded_waits
from tests.support.raw_server import RawServer, make_response
from tests.support.raw_server import Response as RawResponse

# An example may take long because the machine is busy: time proves nothing here.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids that differ between processes: pytest-xdist compares those of its workers."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"ids must not contain an address: {unstable}")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Sandbox of the test's own."""
    with Sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    """A Sandbox for all tests of a file, which keeps its state between them."""
    with Sandbox() as server:
        yield server


@pytest.fixture
def shared_sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A Sandbox for all tests of a file, cleared for each of them."""
    running_sandbox.clear()
    return running_sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpkit.Session]:
    """A session of the Sandbox, with the defaults of `Session`."""
    with httpkit.Session(sandbox.url) as session:
        yield session


@pytest.fixture
def sent(sandbox: Sandbox) -> Callable[..., SeenRequest]:
    """Return a function that sends a request and returns what the Sandbox received."""

    def send(method: str, url: str = "echo", **options: Any) -> SeenRequest:
        with httpkit.Session(sandbox.url) as api:
            api.request(method, url, raise_for_status=False, **options)
        return sandbox.requests[-1]

    return send


@pytest.fixture(autouse=True)
def waits() -> Iterator[list[float]]:
    """The waits between attempts, in seconds: recorded and skipped."""
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
    """Values that a test redacts are redacted for that test alone."""
    kept: tuple[Any, ...] = (
        redaction._values, redaction._passing, redaction._added, disclosure._secret_names,
        disclosure._shown_names,
    )  # fmt: skip
    before = [held.copy() for held in kept]
    yield
    for held, earlier in zip(kept, before, strict=True):
        held.clear()
        held.update(earlier)


@pytest.fixture
def nobody() -> Iterator[str]:
    """A URL that refuses connections: its port is bound, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def busy() -> Iterator[str]:
    """A URL whose backlog is full: connecting never ends."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that only tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def bundle(authority: trustme.CA, tmp_path_factory) -> str:
    """The path of the certificate of `authority`."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Start servers: `raw_server(b"HTTP/1.1 200 OK...", None, ...)`; they stop by themselves."""
    started: list[RawServer] = []

    def start(*responses: RawResponse, **options: Any) -> RawServer:
        started.append(RawServer(responses, **options))
        return started[-1]

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture(name="make_response")
def _make_response() -> Callable[..., bytes]:
    """Return the function that formats a response for `raw_server`."""
    return make_response
