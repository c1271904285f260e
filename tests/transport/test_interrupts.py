"""Ctrl-C, in each phase of a call: at once, nothing repeated, no connection left half read.

The calls run in a process of their own, which gets the signal when the server has seen the
phase begin. What the session is worth after that is tried by one more request. Windows has no
signal for one process: there a thread of the process sets the signal off.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.platforms import ON_WINDOWS
from tests.support.sockets import hang_up

ROOT = Path(__file__).parents[2]
# Seconds. A person waits less than one, a busy machine may take a few; what is not at once takes
# ENDLESS.
AT_ONCE, ENDLESS = 5, 20

CHILD = """\
import _thread
import signal
import socket
import sys
import threading
from pathlib import Path

import httpkit

control = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


def interrupt():
    while control.recv(1):
        _thread.interrupt_main()


threading.Thread(target=interrupt, daemon=True).start()

# A shell starts what it runs in the background with the signal ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
LARGE = 64 << 20
WAITS = httpkit.RetryPolicy(attempts=5, backoff=60, max_backoff=60)


def streamed(api):
    with api.get("x", stream=True) as response:
        for _ in response.iter_content(10):
            pass


def twice(api):
    api.get("x")
    api.get("x")


def looked_up(api):
    lock = threading.Lock()
    lock.acquire()
    stock = socket.getaddrinfo
    socket.getaddrinfo = lambda *given, **named: print("looking up", flush=True) or lock.acquire()
    try:
        api.get("x")
    finally:
        socket.getaddrinfo = stock


CALLS = {
    "get": lambda api: api.get("x"),
    "twice": twice,
    "stream": streamed,
    "lines": lambda api: list(api.get("x", stream=True).lines()),
    "post": lambda api: api.post("x", data=bytes(LARGE), idempotency_key=True),
    "upload": lambda api: api.upload("x", Path("large"), method="PUT"),
    "form": lambda api: api.upload("x", Path("large"), field="file"),
    "download": lambda api: api.download("x", Path("got")),
    "map": lambda api: list(api.map(api.get, ["x"] * 20, workers=2)),
    "pages": lambda api: list(api.paginate("x")),
    "paced": twice,
    "token": lambda api: api.get("x"),
    "proxied": lambda api: api.get("https://other.test/", proxies={"https": api.base_url}),
    "poll": lambda api: api.poll("x", interval=60),
    "events": lambda api: list(api.events("x")),
    "lookup": looked_up,
}

for line in sys.stdin:
    name, url, token_url = line.split()
    auth = httpkit.ClientCredentialsAuth(token_url, "me", "secret") if name == "token" else None
    rate = "1/min" if name == "paced" else None
    with httpkit.Session(url, timeout=60, retry=WAITS, auth=auth, rate_limit=rate) as api:
        try:
            print("begun", flush=True)
            CALLS[name](api)
            print("ended", flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        with api.with_options(auth=None, rate_limit=None, retry=None) as plain:
            plain.get(f"{token_url}/after")
    print("after", flush=True)
"""


class Child:
    """A process that makes calls, one after the other."""

    def __init__(self, folder: Path) -> None:
        (folder / "child.py").write_text(CHILD)
        with (folder / "large").open("wb") as large:
            large.truncate(64 << 20)
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            self.process = subprocess.Popen(
                [sys.executable, "child.py", str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            listener.settimeout(ENDLESS)
            self.control, _ = listener.accept()
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.strip().decode())

    def begin(self, call: str, url: str, token_url: str) -> None:
        self.process.stdin.write(f"{call} {url} {token_url}\n".encode())
        self.process.stdin.flush()
        self.expect("begun")

    def interrupt(self) -> float:
        """Send the signal; return the seconds until the call was over."""
        said = "nothing"
        for _ in range(3):  # one that falls into a finalizer is lost: Python cannot raise there
            started = time.monotonic()
            if ON_WINDOWS:
                self.control.sendall(b"!")
            else:
                self.process.send_signal(signal.SIGINT)
            with suppress(queue.Empty):
                said = self.lines.get(timeout=AT_ONCE)
                break
        self.check(said, "interrupted")
        return time.monotonic() - started

    def expect(self, word: str) -> None:
        try:
            said = self.lines.get(timeout=ENDLESS)
        except queue.Empty:
            said = "nothing"
        self.check(said, word)

    def check(self, said: str, word: str) -> None:
        if said != word:  # the next test must not meet it where it is
            self.process.kill()
            self.process.wait()
        assert said == word

    def end(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.control.close()


@pytest.fixture
def child(children) -> Child:
    if children[-1].process.poll() is not None:
        children.append(Child(children[0].folder))
    return children[-1]


@pytest.fixture(scope="module")
def children(tmp_path_factory) -> Iterator[list[Child]]:
    made = [Child(tmp_path_factory.mktemp("child"))]
    yield made
    for one in made:
        one.end()


class Stage:
    """A server that plays a phase on its first connections, and replies on the others.

    Attributes:
        reached: Set when the phase has begun.
        heads: The first line of each request, by connection.
    """

    def __init__(self, play: Callable, *, plays: int = 1) -> None:
        self.reached, self.closing = threading.Event(), threading.Event()
        self.heads: list[list[bytes]] = []
        self._play, self._plays, self._seen = play, plays, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.origin = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        for one in (self._listener, *self._open):
            hang_up(one)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                heads: list[bytes] = []
                self.heads.append(heads)
                threading.Thread(target=self._serve, args=(connection, heads), daemon=True).start()

    def _serve(self, connection: socket.socket, heads: list[bytes]) -> None:
        with suppress(OSError):
            if len(self.heads) <= self._plays:
                self._play(self, connection, heads)
            while self.read_head(connection, heads):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    def read_head(self, connection: socket.socket, heads: list[bytes]) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            block = connection.recv(1000)
            if not block:
                return b""
            head += block
        heads.append(head.partition(b"\r\n")[0])
        return head

    def reach(self, connection: socket.socket) -> None:
        """Note that the phase has begun, and wait for the end of the connection."""
        self._seen += 1
        if self._seen == self._plays:
            self.reached.set()
        connection.settimeout(ENDLESS)
        while connection.recv(1 << 16):
            pass


def shake_hands(stage, connection, heads) -> None:
    connection.recv(1000)  # the beginning of the client's handshake
    stage.reach(connection)


def take_nothing(stage, connection, heads) -> None:
    stage.read_head(connection, heads)
    stage.reached.set()
    stage.closing.wait(ENDLESS)


def say_nothing(stage, connection, heads) -> None:
    stage.read_head(connection, heads)
    stage.reach(connection)


def send(reply: bytes) -> Callable:
    def play(stage, connection, heads) -> None:
        stage.read_head(connection, heads)
        connection.sendall(reply)
        stage.reach(connection)

    return play


def first_answer(play: Callable) -> Callable:
    """Answer a request, and play over the same connection."""

    def both(stage, connection, heads) -> None:
        stage.read_head(connection, heads)
        heads.clear()
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
        play(stage, connection, heads)

    return both


def answer(reply: bytes) -> Callable:
    def play(stage, connection, heads) -> None:
        stage.read_head(connection, heads)
        connection.sendall(reply)
        stage.reached.set()

    return play


AFTER = b"GET /after HTTP/1.1"
OK = b"HTTP/1.1 200 OK\r\n"
HALF_A_HEAD = send(OK + b"X: ")
HALF_A_BODY = send(OK + b"ETag: 'a'\r\nContent-Length: 1000000\r\n\r\n" + b"line\n" * 1000)
HALF_A_CHUNK = send(OK + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nline\n")
HALF_AN_ERROR = send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\nno")
BUSY = answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
LATER = answer(b"HTTP/1.1 429 Later\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n")
RUNNING = answer(OK + b'Content-Length: 20\r\n\r\n{"status":"running"}')
NO_EVENT = b"Content-Type: text/event-stream\r\nContent-Length: 14\r\n\r\nretry: 60000\n\n"
# What is called, by which scheme, and what the server does.
PHASES = {
    "handshake": ("get", "https", shake_hands),
    "sending": ("post", "http", take_nothing),
    "uploading": ("upload", "http", take_nothing),
    "uploading a form": ("form", "http", take_nothing),
    "waiting for the head": ("get", "http", say_nothing),
    "within the head": ("get", "http", HALF_A_HEAD),
    "reading the body": ("get", "http", HALF_A_BODY),
    "waiting for the head again": ("twice", "http", first_answer(say_nothing)),
    "within the head again": ("twice", "http", first_answer(HALF_A_HEAD)),
    "reading the body again": ("twice", "http", first_answer(HALF_A_BODY)),
    "reading a chunk": ("get", "http", HALF_A_CHUNK),
    "reading an error": ("get", "http", HALF_AN_ERROR),
    "streaming": ("stream", "http", HALF_A_BODY),
    "lines": ("lines", "http", HALF_A_CHUNK),
    "downloading": ("download", "http", HALF_A_BODY),
    "pages": ("pages", "http", HALF_A_BODY),
    "waiting between attempts": ("get", "http", BUSY),
    "waiting as it was told": ("get", "http", LATER),
    "waiting to download again": ("download", "http", BUSY),
    "waiting for its turn": ("paced", "http", answer(OK + b"Content-Length: 0\r\n\r\n")),
    "waiting for a token": ("token", "http", say_nothing),
    "waiting to ask again": ("poll", "http", RUNNING),
    "waiting to reconnect": ("events", "http", answer(OK + NO_EVENT)),
    "connecting through a proxy": ("proxied", "http", say_nothing),
    "within the response of a proxy": ("proxied", "http", HALF_A_HEAD),
}


@pytest.fixture
def stage() -> Iterator[Callable]:
    started = []

    def start(*args, **options) -> Stage:
        started.append(Stage(*args, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize(("call", "scheme", "play"), PHASES.values(), ids=PHASES)
def test_an_interrupt_ends_a_call_at_once_and_nothing_is_repeated(child, stage, call, scheme, play):
    server = stage(play)
    child.begin(call, f"{scheme}://{server.origin}", f"http://{server.origin}")
    assert server.reached.wait(ENDLESS)

    seconds = child.interrupt()
    child.expect("after")

    assert seconds < AT_ONCE
    heads = [head for one in server.heads for head in one]
    assert heads[-1] == AFTER
    assert len(heads) == (1 if scheme == "https" else 2)


@pytest.mark.parametrize(
    "name", [name for name in PHASES if not name.startswith("waiting ") or "head" in name]
)
def test_a_connection_that_an_interrupt_left_half_used_is_not_used_again(child, stage, name):
    call, scheme, play = PHASES[name]
    server = stage(play)
    child.begin(call, f"{scheme}://{server.origin}", f"http://{server.origin}")
    assert server.reached.wait(ENDLESS)

    child.interrupt()
    child.expect("after")

    assert server.heads[-1] == [AFTER]
    assert len(server.heads) == 2


def test_an_interrupt_ends_connecting_at_once(child, stage, busy):
    server = stage(say_nothing, plays=0)
    child.begin("get", busy, f"http://{server.origin}")
    threading.Event().wait(0.1)  # no one sees a client that is not let in

    seconds = child.interrupt()
    child.expect("after")

    assert seconds < AT_ONCE
    assert server.heads == [[AFTER]]


def test_an_interrupt_ends_the_lookup_of_a_name_at_once(child, stage):
    server = stage(say_nothing, plays=0)
    child.begin("lookup", "http://name.test", f"http://{server.origin}")
    child.expect("looking up")

    seconds = child.interrupt()
    child.expect("after")

    assert seconds < AT_ONCE
    assert server.heads == [[AFTER]]


def test_an_interrupt_ends_a_map_at_once_and_nothing_more_is_begun(child, stage):
    server = stage(say_nothing, plays=2)
    child.begin("map", f"http://{server.origin}", f"http://{server.origin}")
    assert server.reached.wait(ENDLESS)

    seconds = child.interrupt()
    child.expect("after")

    assert seconds < AT_ONCE
    assert server.heads == [[b"GET /x HTTP/1.1"], [b"GET /x HTTP/1.1"], [AFTER]]


def test_what_was_downloaded_before_an_interrupt_is_kept(child, stage):
    server, part = stage(HALF_A_BODY), child.folder / "got.part"
    part.unlink(missing_ok=True)
    child.begin("download", f"http://{server.origin}", f"http://{server.origin}")
    give_up = time.monotonic() + ENDLESS
    while not (part.exists() and part.stat().st_size) and time.monotonic() < give_up:
        time.sleep(0.005)

    child.interrupt()
    child.expect("after")

    assert part.read_bytes() == b"line\n" * 1000
    assert not (child.folder / "got").exists()


def test_a_process_that_is_interrupted_in_a_map_ends_at_once(children, stage):
    child = Child(children[0].folder)
    server = stage(say_nothing, plays=2)
    child.begin("map", f"http://{server.origin}", f"http://{server.origin}")
    assert server.reached.wait(ENDLESS)
    child.interrupt()
    child.expect("after")

    started = time.monotonic()
    child.end()

    assert time.monotonic() - started < AT_ONCE
    assert child.process.returncode == 0


HALF_IMPORTED = """
import sys
import httpkit
from httpkit.testing import no_waiting

class Interrupting:
    def find_spec(self, name, *_):
        if name in set(sys.argv[1].split()):
            sys.meta_path.remove(self)
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
for _ in range(2):
    try:
        with no_waiting(), httpkit.Session("http://127.0.0.1:1") as api:
            api.get("x")
    except BaseException as error:
        print(type(error).__name__, getattr(error, "attempts", None))
"""


@pytest.mark.parametrize(
    "names",
    [
        "tenacity.asyncio tenacity._asyncio",  # the second until 8.4
        "asyncio.streams",
        "concurrent.futures._base",
    ],
)
def test_an_interrupt_within_an_import_costs_no_later_retry(names):
    done = subprocess.run(
        [sys.executable, "-c", HALF_IMPORTED, names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == ["KeyboardInterrupt None", "ConnectionError 3"], done.stderr
