"""Many threads on one session, against a server that mixes every fault: who keeps the books?

    python tests/load.py --seconds 60

The server runs in a process of its own and writes down what it did: what it committed, under
which key, with which body, and for whom. After the run its books are compared with what the
threads were told. The answer is a report in JSON; the exit status is 0 when nothing is wrong.
"""

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

import httpkit

THREADS = 32
CLIENT, SECRET = "load", "load-secret-9f86d081"
# How often, of all requests, the server does what; the rest is answered.
FAULTS = {
    "drop": 0.03, "reset": 0.02, "commit and drop": 0.03, "commit and reset": 0.02,
    "truncate": 0.03, "truncate chunks": 0.02, "429": 0.02, "503": 0.02, "503 at once": 0.02,
    "500": 0.02, "slow": 0.03, "redirect": 0.05, "hang up after": 0.03,
}  # fmt: skip
# Seconds that a token is good for: many expire under requests that are on their way.
TOKEN_LIFE = 0.7
# Megabytes that the client may grow after it is warm: what the allocator keeps, not what leaks.
MOST_GROWTH = 24


# The server


class Books:
    """What the server did, for the comparison at the end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.commits: Counter[str] = Counter()  # by order
        self.keys: dict[str, set[str]] = {}  # of each order
        self.bodies: dict[str, set[str]] = {}  # of each key, as digests
        self.replies: dict[str, bytes] = {}  # to each key
        self.faults: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.connections = self.grants = self.rejections = 0
        self.good_until: dict[str, float] = {}  # by token
        self.dice = random.Random(7)  # noqa: S311  # spreads faults, guards nothing

    def summary(self) -> dict[str, object]:
        with self.lock:
            return {
                "commits": self.commits,
                "repeated commits": [o for o, times in self.commits.items() if times > 1],
                "orders with two keys": [o for o, keys in self.keys.items() if len(keys) > 1],
                "keys with two bodies": [k for k, found in self.bodies.items() if len(found) > 1],
                "faults": self.faults,
                "served": self.served,
                "connections": self.connections,
                "grants": self.grants,
                "rejections": self.rejections,
            }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    books: Books

    def setup(self) -> None:
        super().setup()
        with self.books.lock:
            self.books.connections += 1

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        with self.books.lock:
            self.books.connections -= 1

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.serve(b"")

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        room = parts.path.split("/")[1]
        if room == "books":
            self.reply(200, json.dumps(self.books.summary()).encode())
        elif room == "token":
            self.grant()
        elif not self.is_known():
            self.reply(401, b"{}")
        else:
            self.serve_with_faults(room, parts.path, parse_qs(parts.query), body)

    def grant(self) -> None:
        with self.books.lock:
            self.books.grants += 1
            token = f"token-{self.books.grants}-{self.books.dice.random()}"
            self.books.good_until[token] = time.monotonic() + TOKEN_LIFE
        # It says an hour, so that the client learns of the end by a 401 only.
        grant = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        self.reply(200, json.dumps(grant).encode())

    def is_known(self) -> bool:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        with self.books.lock:
            is_known = time.monotonic() < self.books.good_until.get(token, 0)
            self.books.rejections += not is_known
        return is_known

    def serve_with_faults(self, room: str, path: str, query: dict, body: bytes) -> None:
        with self.books.lock:
            names = [*FAULTS, "none"]
            (fault,) = self.books.dice.choices(names, [*FAULTS.values(), 1 - sum(FAULTS.values())])
            self.books.faults[fault] += 1
            self.books.served[room] += 1
        if fault in {"drop", "reset"}:
            self.hang_up(is_reset=fault == "reset")
        elif fault in {"429", "503"}:
            self.reply(int(fault), b"{}", ("Retry-After", "0.02"))
        elif fault == "503 at once":
            self.reply(503, b"{}")
        elif fault == "500" and room != "orders":
            self.reply(500, b"{}")
        elif fault == "redirect" and room == "echo":
            self.reply(302, b"", ("Location", f"/again{self.path}"))
        else:
            self.answer(fault, room, path, query, body)

    def answer(self, fault: str, room: str, path: str, query: dict, body: bytes) -> None:
        if room == "orders":
            payload = self.commit(body)
        else:
            payload = json.dumps(
                {
                    "path": path.rpartition("/")[2],
                    "query": query.get("id"),
                    "header": self.headers["X-Id"],
                    "body": body.decode(),
                    "pad": path.rpartition("/")[2] * 500,
                }
            ).encode()
        if fault == "slow":
            time.sleep(0.05)
        if fault in {"commit and drop", "commit and reset"}:
            self.hang_up(is_reset=fault == "commit and reset")
        elif fault == "truncate":
            self.reply(200, payload, cut=len(payload) // 2)
        elif fault == "truncate chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))
            self.hang_up(is_reset=False)
        else:
            status = 500 if fault == "500" else 200  # of an order that was committed
            self.reply(status, payload)
            # Without a word, so that the client finds out when it uses the connection again.
            self.close_connection = fault == "hang up after"

    def commit(self, body: bytes) -> bytes:
        """Note an order; one with a key that is known gets the answer of the first time."""
        order = json.loads(body)["id"]
        key = self.headers["Idempotency-Key"]
        with self.books.lock:
            if key:
                self.books.keys.setdefault(order, set()).add(key)
                digest = hashlib.sha256(body).hexdigest()
                self.books.bodies.setdefault(key, set()).add(digest)
                if key in self.books.replies:
                    return self.books.replies[key]
            self.books.commits[order] += 1
            payload = json.dumps({"id": order, "number": self.books.commits.total()}).encode()
            if key:
                self.books.replies[key] = payload
        return payload

    def reply(self, status: int, payload: bytes, *fields: tuple[str, str], cut: int = 0) -> None:
        self.send_response(status)
        for name, value in (*fields, ("Content-Length", str(len(payload)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload[:cut] if cut else payload)
        self.close_connection = self.close_connection or bool(cut)

    def hang_up(self, *, is_reset: bool) -> None:
        if is_reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request: socket.socket) -> None:
        request.close()  # without the shutdown: a reset is to be one

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients come and go."""


def serve() -> None:
    Handler.books = Books()
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)  # noqa: T201  # its parent reads it
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()  # until the client's end is closed, in whatever way


# The client


class Ledger:
    """What the threads were told, and what should not have been."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.confirmed: dict[str, int] = {}

    def note(self, outcome: str) -> None:
        with self.lock:
            self.outcomes[outcome] += 1

    def blame(self, what: str) -> None:
        with self.lock:
            self.wrong.append(what)


def make_session(url: str) -> httpkit.Session:
    return httpkit.Session(
        url,
        auth=httpkit.ClientCredentialsAuth(f"{url}/token", CLIENT, SECRET),
        retry=httpkit.RetryPolicy(attempts=6, backoff=0.005, max_backoff=0.05, budget=None),
        timeout=10,
        deadline=20,
    )


def work(api: httpkit.Session, ledger: Ledger, name: str, until: float) -> None:
    """Make calls until the time is over, and check each answer."""
    dice, number = random.Random(name), 0  # noqa: S311  # spreads load, guards nothing
    calls = (order, order_with_key, echo, echo_streamed, echo_posted)
    while time.monotonic() < until:
        number += 1
        call = dice.choice(calls)
        identity = f"{name}.{number}"
        try:
            call(api, ledger, identity)
            ledger.note(f"{call.__name__}: answered")
        except requests.RequestException as error:
            ledger.note(f"{call.__name__}: {type(error).__name__}")
            if SECRET in "".join(traceback.format_exception(error)):
                ledger.blame(f"an error shows the secret: {error}")
        except BaseException:
            ledger.blame(traceback.format_exc())
            raise


def order(api: httpkit.Session, ledger: Ledger, identity: str) -> None:
    confirm(ledger, identity, api.post("orders", json={"id": identity}))


def order_with_key(api: httpkit.Session, ledger: Ledger, identity: str) -> None:
    document = {"id": identity, "pad": identity * 2000}
    confirm(ledger, identity, api.post("orders", json=document, idempotency_key=True))


def confirm(ledger: Ledger, identity: str, response: httpkit.Response) -> None:
    answer = response.json()
    if answer["id"] != identity:
        ledger.blame(f"order {identity} was told of order {answer['id']}")
    with ledger.lock:
        ledger.confirmed[identity] = answer["number"]


def echo(api: httpkit.Session, ledger: Ledger, identity: str) -> None:
    response = api.get(f"echo/{identity}", params={"id": identity}, headers={"X-Id": identity})
    compare(ledger, identity, response.json(), body="")


def echo_streamed(api: httpkit.Session, ledger: Ledger, identity: str) -> None:
    options = {"params": {"id": identity}, "headers": {"X-Id": identity}, "stream": True}
    with api.get(f"echo/{identity}", **options) as response:
        if identity.endswith("7"):
            next(response.blocks(), None)  # and no more: the rest is in nobody's way
            return
        compare(ledger, identity, json.loads(b"".join(response.blocks())), body="")


def echo_posted(api: httpkit.Session, ledger: Ledger, identity: str) -> None:
    response = api.post(
        f"said/{identity}", params={"id": identity}, headers={"X-Id": identity}, data=identity
    )
    compare(ledger, identity, response.json(), body=identity)


def compare(ledger: Ledger, identity: str, answer: dict, *, body: str) -> None:
    expected = {
        "path": identity, "query": [identity], "header": identity, "body": body,
        "pad": identity * 500,
    }  # fmt: skip
    if answer != expected:
        ledger.blame(f"{identity} got the answer of {answer['path']}")


# Other processes, while all that goes on


def work_elsewhere(api: httpkit.Session, name: str, seconds: float) -> None:
    """Work on a session that came here by a pickle or a fork; the exit status is the verdict."""
    ledger = Ledger()
    try:
        work(api, ledger, name, time.monotonic() + seconds)
    finally:
        for line in ledger.wrong:
            print(line, file=sys.stderr, flush=True)  # noqa: T201  # a program's own words
        answered = any("answered" in outcome for outcome in ledger.outcomes)
        os._exit(0 if answered and not ledger.wrong else 1)


def fork(api: httpkit.Session, ledger: Ledger, seconds: float) -> None:
    if not hasattr(os, "fork"):
        return
    child = os.fork()
    if child == 0:
        work_elsewhere(api, "forked", seconds)
    give_up = time.monotonic() + seconds + 30
    while time.monotonic() < give_up:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                ledger.blame(f"the forked child ended with {status}")
            return
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    ledger.blame("the forked child did not end")


def spawn(api: httpkit.Session, ledger: Ledger, seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=work_elsewhere, args=(api, "spawned", seconds))
    child.start()
    child.join(seconds + 30)
    if child.exitcode != 0:
        ledger.blame(f"the spawned child ended with {child.exitcode}")
        child.kill()
        child.join()
    child.close()


# The run


def megabytes() -> float:
    """Return the memory in use; 0 where the system does not say."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0


def descriptors() -> int:
    with suppress(OSError):
        return len(list(Path("/proc/self/fd").iterdir()))
    return 0


def elsewhere(seconds: float) -> float:
    """Return how long the other processes work."""
    return min(seconds * 0.1, 2)


def run(url: str, seconds: float) -> dict[str, object]:
    """Load the server for so long; return the report."""
    ledger = Ledger()
    started = time.monotonic()
    api = make_session(url)
    with ThreadPoolExecutor(THREADS) as pool:
        warm_until = started + seconds * 0.4
        for name in range(THREADS):
            pool.submit(work, api, ledger, f"warm-{name}", warm_until)
    gc.collect()
    warm = megabytes()
    with ThreadPoolExecutor(THREADS + 2) as pool:
        for name in range(THREADS):
            pool.submit(work, api, ledger, f"hot-{name}", started + seconds)
        time.sleep(seconds * 0.1)
        pool.submit(spawn, api, ledger, elsewhere(seconds))
        pool.submit(fork, api, ledger, elsewhere(seconds))
    gc.collect()
    grown = megabytes() - warm
    api.close()
    return report(url, ledger, time.monotonic() - started, grown)


def report(url: str, ledger: Ledger, seconds: float, grown: float) -> dict[str, object]:
    books = settled_books(url)
    commits: dict[str, int] = books.pop("commits")
    for name in ("repeated commits", "orders with two keys", "keys with two bodies"):
        if found := books.pop(name):
            ledger.blame(f"{name}: {found[:5]}")
    if lost := [order for order in ledger.confirmed if order not in commits]:
        ledger.blame(f"confirmed, but not in the books: {lost[:5]}")
    # Each of three processes fetches one to begin with, and one when that has expired.
    most = 3 + (seconds + 2 * elsewhere(seconds)) / TOKEN_LIFE
    if books["grants"] > most:
        ledger.blame(f"{books['grants']} tokens in {seconds:.1f} s, each good for {TOKEN_LIFE} s")
    for prefix in ("echo", "order_with_key"):  # what may be repeated is, until it is answered
        counts = {
            name: times for name, times in ledger.outcomes.items() if name.startswith(f"{prefix}:")
        }
        if counts.get(f"{prefix}: answered", 0) < 0.95 * sum(counts.values()):
            ledger.blame(f"too few answers: {counts}")
    if grown > MOST_GROWTH:
        ledger.blame(f"the memory grew by {grown:.0f} MB")
    return {
        "seconds": round(seconds, 1),
        "calls": sum(ledger.outcomes.values()),
        "outcomes": dict(sorted(ledger.outcomes.items())),
        "commits": len(commits),
        "grown, MB": round(grown, 1),
        **books,
        "wrong": ledger.wrong,
    }


def settled_books(url: str) -> dict:
    """Return the server's books once its connections have ended."""
    give_up = time.monotonic() + 5
    while True:
        books = requests.get(f"{url}/books", headers={"Connection": "close"}, timeout=10).json()
        if books["connections"] <= 1 or time.monotonic() > give_up:
            return books
        time.sleep(0.02)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=60, help="how long; 60 unless given")
    options.add_argument("--serve", action="store_true", help="be the server")
    given = options.parse_args()
    if given.serve:
        serve()
        return 0
    command = [sys.executable, __file__, "--serve"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as server:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        before = descriptors(), threading.active_count()
        outcome = run(url, given.seconds)
        gc.collect()
        after = descriptors(), threading.active_count()
        if after[0] > before[0] + 2:  # multiprocessing keeps its own: the tracker of resources
            outcome["wrong"].append(f"descriptors: {before[0]} before, {after[0]} after")
        if after[1] != before[1]:
            outcome["wrong"].append(f"threads: {before[1]} before, {after[1]} after")
        if outcome["connections"] > 1:
            outcome["wrong"].append(f"{outcome['connections']} connections are still open")
        server.stdin.close()
    print(json.dumps(outcome, indent=2))  # noqa: T201  # the report
    return 1 if outcome["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
