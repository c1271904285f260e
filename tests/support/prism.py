"""Prism, a mock server that nobody here wrote: it checks requests by an OpenAPI document."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.support import npm_packages

VERSION = "5.16.0"
_READY = "Prism is listening"


@contextmanager
def serve(document: Path) -> Iterator[str]:
    """Serve a document and give the URL; a request that it does not describe is an error."""
    command = npm_packages.installed("@stoplight/prism-cli", VERSION) / "prism"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [command, "mock", "--errors", "--host", "127.0.0.1", "--port", str(port), document]
    environment = os.environ | {"NO_COLOR": "1"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as server:
        try:
            _wait(server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(server: "subprocess.Popen[str]") -> None:
    assert server.stdout is not None
    output: list[str] = []
    for line in server.stdout:
        output.append(line)
        if _READY in line:
            Thread(target=server.stdout.read, daemon=True).start()  # a full pipe would stop it
            return
    raise AssertionError(f"Prism did not start: {''.join(output[-20:])}")
