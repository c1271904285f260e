"""Uploads to a tus server that others wrote: what is in its store is the file, byte for byte.

The server comes from npm, once, into a folder for temporary files; without node or npm, or
without a registry that answers, these tests are skipped.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import httpkit
from httpkit._diagnostics.errors import IncompleteError

fcntl = pytest.importorskip("fcntl")  # not on Windows

PACKAGES = ("@tus/server@2.4.5", "@tus/file-store@2.1.1")
# Under a name of its own for each choice of packages and each user: nobody else may fill it.
CACHE = Path(tempfile.gettempdir()) / (
    f"httpkit-tus-{os.getuid()}-{hashlib.sha256(repr(PACKAGES).encode()).hexdigest()[:12]}"
)
# It prints its address and ends with its standard input.
PROGRAM = """
import { createServer } from "node:http";
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const directory = process.argv[2];
const tus = new Server({
  path: "/files", datastore: new FileStore({ directory }), relativeLocation: true,
});
const server = createServer((request, response) => tus.handle(request, response));
server.listen(0, "127.0.0.1", () =>
  process.stdout.write(`http://127.0.0.1:${server.address().port}/files\\n`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
"""


def noise(seed, size):
    """Return bytes that look random and are the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


BODY = noise(1, (3 << 20) + 12_345)


@contextmanager
def locked(path):
    """Let one process at a time in, also among parallel runs."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def installed():
    """Return the folder with the server, or skip."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    CACHE.mkdir(mode=0o700, exist_ok=True)
    if CACHE.stat().st_uid != os.getuid():
        pytest.skip(f"{CACHE} belongs to somebody else")
    with locked(CACHE / "lock"):
        done = CACHE / "installed"
        if not done.exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
            (CACHE / "package.json").write_text('{"private": true, "type": "module"}')
            try:
                steps = subprocess.run(
                    command, cwd=CACHE, capture_output=True, text=True, timeout=50, check=False
                )
            except subprocess.TimeoutExpired:
                pytest.skip("npm took too long to install the tus server")
            if steps.returncode:
                pytest.skip(f"npm could not install the tus server: {steps.stderr[-300:]}")
            done.touch()
        (CACHE / "server.mjs").write_text(PROGRAM)
    return CACHE


class Store:
    """A running server, and the folder in which it keeps what arrived."""

    def __init__(self, url, folder):
        self.url, self.folder = url, folder

    def file(self, response):
        """Return what is stored under the address that an answer came from."""
        return (self.folder / response.url.rpartition("/")[2]).read_bytes()

    def files(self):
        return [path for path in self.folder.iterdir() if not path.name.endswith(".json")]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server for all tests."""
    folder = tmp_path_factory.mktemp("tus")
    process = subprocess.Popen(
        ["node", "server.mjs", folder],
        cwd=installed(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        url = process.stdout.readline().strip()
        if not url:
            pytest.skip("the tus server does not start")
        yield Store(url, folder)
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def store(server):
    """The server, with an empty folder."""
    for path in server.folder.iterdir():
        path.unlink()
    return server


class Line:
    """A line to a server that breaks: the n-th connection after so many bytes to the server.

    Attributes:
        cuts: Bytes, one for each connection; those that come after them are not cut.
        heads: The first bytes of each connection.
        broken: Set when a connection was cut.
    """

    def __init__(self, url, cuts=()):
        host, port = re.fullmatch(r"http://([^:/]+):(\d+)/files", url).groups()
        self._address = (host, int(port))
        self.cuts, self.heads, self.broken = list(cuts), [], threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/files"
        self._threads = []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target, *arguments):
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._start(self._carry, near, self.cuts.pop(0) if self.cuts else None)

    def _carry(self, near, left):
        with near, socket.create_connection(self._address) as far:
            self._start(self._pump_back, far, near)
            with suppress(OSError):
                is_first = True
                while block := near.recv(65536 if left is None else min(65536, left)):
                    if is_first:
                        self.heads.append(block)
                        is_first = False
                    far.sendall(block)
                    if left is not None:
                        left -= len(block)
                        if left == 0:
                            self.broken.set()
                            break
            for end in (near, far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _pump_back(self, far, near):
        with suppress(OSError):
            while block := far.recv(65536):
                near.sendall(block)


@pytest.fixture
def api():
    with httpkit.Session(timeout=10, headers={"Connection": "close"}) as session:
        yield session


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(BODY)
    return file


@pytest.mark.parametrize("chunk_size", [None, 1 << 20], ids=["whole", "in chunks"])
def test_a_file_arrives(api, store, path, chunk_size):
    response = api.upload(store.url, path, resumable="tus", chunk_size=chunk_size)

    assert store.file(response) == BODY
    (described,) = store.folder.glob("*.json")
    assert json.loads(described.read_text())["metadata"] == {
        "filename": "film.mp4", "filetype": "video/mp4",
    }  # fmt: skip


def test_a_file_of_zero_bytes_arrives(api, store):
    api.upload(store.url, b"", resumable="tus")

    assert [path.read_bytes() for path in store.files()] == [b""]


def test_a_file_whose_line_breaks_twice_arrives(api, store, path):
    # The first connection creates the upload; the others carry the body, and HEAD between.
    with Line(store.url, [1 << 30, 1 << 20, 1 << 30, 1 << 20]) as line:
        response = api.upload(line.url, path, resumable="tus")

    assert store.file(response) == BODY
    assert len(store.files()) == 1
    methods = [head.split()[0] for head in line.heads]
    assert methods.count(b"POST") == 1
    assert methods.count(b"PATCH") == 3


def test_the_next_call_goes_on(api, store, path, tmp_path):
    state = tmp_path / "state"
    with Line(store.url, [1 << 30, 1 << 20]) as line:
        with pytest.raises(IncompleteError):
            api.upload(line.url, path, resumable="tus", state=state, max_stalls=0)

        response = api.upload(line.url, path, resumable="tus", state=state)

    assert store.file(response) == BODY
    assert len(store.files()) == 1
    assert not state.exists()


def test_an_upload_that_the_server_lost_is_begun_again(api, store, path, tmp_path):
    state = tmp_path / "state"
    with Line(store.url, [1 << 30, 1 << 20]) as line:
        with pytest.raises(IncompleteError):
            api.upload(line.url, path, resumable="tus", state=state, max_stalls=0)
        for file in store.folder.iterdir():
            file.unlink()

        response = api.upload(line.url, path, resumable="tus", state=state)

    assert store.file(response) == BODY
    assert len(store.files()) == 1


CHILD = """
import sys, httpkit
url, path, state = sys.argv[1:]
with httpkit.Session(timeout=20, headers={"Connection": "close"}) as api:
    api.upload(url, path, resumable="tus", state=state, chunk_size=1 << 20)
    print("done")
"""


def test_another_process_goes_on_after_a_kill(api, store, path, tmp_path):
    state = tmp_path / "state"
    is_killed = threading.Event()

    class Waiting(Line):
        """A line on which the third connection waits until the child is dead."""

        def _carry(self, near, left):
            if len(self.heads) == 2 and not is_killed.is_set():
                self.broken.set()
                is_killed.wait(20)
                near.close()
                return
            super()._carry(near, left)

    with Waiting(store.url) as line:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, line.url, path, state],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(httpkit.__file__).parents[1])},
        )
        was_waiting = line.broken.wait(20)
        process.send_signal(signal.SIGKILL)
        steps, _ = process.communicate(timeout=20)
        is_killed.set()
        (partial,) = store.files()
        kept = partial.read_bytes()

        response = api.upload(line.url, path, resumable="tus", state=state, chunk_size=1 << 20)

    assert (was_waiting, steps) == (True, b"")
    assert BODY.startswith(kept)
    assert 0 < len(kept) < len(BODY)
    assert store.file(response) == BODY
    assert len(store.files()) == 1
