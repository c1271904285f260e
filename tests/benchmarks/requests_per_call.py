"""Count the CPU microseconds of one call: small, typed, large, signed, refused, with threads.

Each contender lives in a process of its own and takes turns with the others, in another order
each round, because a machine's speed drifts; its CPU time is compared with that of requests in
the same round. The server is a bare asyncio protocol in a process of its own, which parses
nothing but the end of a request: the first row, a bare socket, shows what it leaves to a client.
Rule: nothing here asserts on seconds; the goals are judged in the output only.
"""

import argparse
import asyncio
import importlib.util
import itertools
import json
import multiprocessing
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

ITEM = {"id": 1, "title": "Hello", "body": "x" * 100}
TOKEN = "token-0123456789"


@dataclass
class Item:
    id: int
    title: str
    body: str


def items(size: int) -> bytes:
    """Return a list of items as JSON of about so many bytes."""
    return json.dumps([ITEM] * (size // len(json.dumps(ITEM)))).encode()


def answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    head += f"Date: Mon, 02 Nov 2026 10:00:00 GMT\r\nServer: bare\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


ANSWERS = {
    b"/small": answer("200 OK", json.dumps(ITEM).encode()),
    b"/large": answer("200 OK", items(10_000)),
    b"/huge": answer("200 OK", items(1_000_000)),
    b"/none": answer("404 Not Found", b'{"detail": "no such item"}'),
}


class Bare(asyncio.Protocol):
    """Answers by path, and looks for the end of a head and of a body with a length."""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if end and len(body) >= int(length.partition(b"\r\n")[0] or 0):
            self.received = b""
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            self.transport.write(ANSWERS[path])


def serve(told) -> None:
    """Serve on a free port of the loopback, until the parent ends this process."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Bare, "127.0.0.1", 0, backlog=1024)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# ---- the contenders; each is given the server's URL and returns one call for each row


Calls = dict[str, Callable[[], object]]
NUMBERS = itertools.count()
SENT = {"title": "Hello", "body": "x" * 100}
SIGNED = {"Authorization": f"Bearer {TOKEN}"}


def bare_socket(url: str) -> Calls:
    place = urlsplit(url)
    request = f"GET /small HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    connection = socket.create_connection((place.hostname, place.port))

    def small() -> Any:
        connection.sendall(request)
        return json.loads(connection.recv(65536).partition(b"\r\n\r\n")[2])

    return {"small GET": small}


def urllib3(url: str) -> Calls:
    from urllib3 import PoolManager

    pool = PoolManager(maxsize=64)

    def get(path: str) -> Any:
        return json.loads(pool.request("GET", f"{url}/{path}").data)

    def refused() -> Any:
        return None if pool.request("GET", f"{url}/none").status == 404 else 1

    return {
        "small GET": lambda: get("small"),
        "new URL each": lambda: get(f"small?n={next(NUMBERS)}"),
        "typed GET": lambda: Item(**get("small")),
        "10 KB": lambda: get("large"),
        "1 MB": lambda: get("huge"),
        "1 MB, typed": lambda: [Item(**item) for item in get("huge")],
        "POST, signed": lambda: json.loads(
            pool.request("POST", f"{url}/small", json=SENT, headers=SIGNED).data
        ),
        "404 to a value": refused,
    }


def over_requests(api: Any, url: str) -> Calls:
    """Return the calls of requests and of what is spelled like it."""

    def refused() -> Any:
        return None if api.get(f"{url}/none").status_code == 404 else 1

    return {
        "small GET": lambda: api.get(f"{url}/small").json(),
        "new URL each": lambda: api.get(f"{url}/small?n={next(NUMBERS)}").json(),
        "typed GET": lambda: Item(**api.get(f"{url}/small").json()),
        "10 KB": lambda: api.get(f"{url}/large").json(),
        "1 MB": lambda: api.get(f"{url}/huge").json(),
        "1 MB, typed": lambda: [Item(**item) for item in api.get(f"{url}/huge").json()],
        "POST, signed": lambda: api.post(f"{url}/small", json=SENT, headers=SIGNED).json(),
        "404 to a value": refused,
    }


def requests(url: str) -> Calls:
    import requests as library

    session = library.Session()
    session.mount("http://", library.adapters.HTTPAdapter(pool_maxsize=64))
    return over_requests(session, url)


def httpx(url: str) -> Calls:
    import httpx as library

    limits = library.Limits(max_connections=64, max_keepalive_connections=64)
    return over_requests(library.Client(limits=limits), url)


def httpkit(url: str) -> Calls:
    import httpkit as library

    api, signed = library.Session(url), library.Session(url, auth=library.BearerAuth(TOKEN))
    return {
        "small GET": lambda: api.get("small").json(),
        "new URL each": lambda: api.get(f"small?n={next(NUMBERS)}").json(),
        "typed GET": lambda: api.get("small").decode(Item),
        "10 KB": lambda: api.get("large").json(),
        "1 MB": lambda: api.get("huge").json(),
        "1 MB, typed": lambda: api.get("huge").decode(list[Item]),
        "POST, signed": lambda: signed.post("small", json=SENT).json(),
        "404 to a value": lambda: api.get("none", on_status={404: lambda _: None}),
    }


CONTENDERS = {
    "bare socket": bare_socket,
    "urllib3": urllib3,
    "requests": requests,
    "httpx": httpx,
    "httpkit": httpkit,
}
# Row, the call, how often in a round, and by how many threads.
ROWS = [
    ("small GET", "small GET", 1000, 1),
    ("new URL each", "new URL each", 1000, 1),
    ("typed GET", "typed GET", 1000, 1),
    ("10 KB", "10 KB", 500, 1),
    ("1 MB", "1 MB", 10, 1),
    ("1 MB, typed", "1 MB, typed", 10, 1),
    ("POST, signed", "POST, signed", 1000, 1),
    ("404 to a value", "404 to a value", 1000, 1),
    ("small GET, 8 threads", "small GET", 1000, 8),
    ("small GET, 32 threads", "small GET", 1000, 32),
]


def contend(name: str, url: str, link) -> None:
    """Run what the parent asks for; answer with CPU seconds and seconds."""
    calls = CONTENDERS[name](url)
    while job := link.recv():
        call, count, threads = job
        if call not in calls or (threads > 1 and name == "bare socket"):
            link.send(None)
            continue
        calls[call]()
        began, cpu = time.perf_counter(), time.process_time()
        if threads == 1:
            for _ in range(count):
                calls[call]()
        else:
            with ThreadPoolExecutor(threads) as pool:
                for future in [pool.submit(calls[call]) for _ in range(count)]:
                    future.result()
        link.send((time.process_time() - cpu, time.perf_counter() - began))


@contextmanager
def running(names: list[str]) -> Iterator[dict[str, Any]]:
    """Start the server and a process for each contender; all end with this."""
    context = multiprocessing.get_context("spawn")
    told, ours = context.Pipe()
    processes = [context.Process(target=serve, args=(ours,), daemon=True)]
    processes[0].start()
    url = f"http://127.0.0.1:{told.recv()}"
    links = {}
    try:
        for name in names:
            links[name], theirs = context.Pipe()
            processes.append(context.Process(target=contend, args=(name, url, theirs), daemon=True))
            processes[-1].start()
        yield links
    finally:
        for process in processes:
            process.terminate()
            process.join()


def measure(links: dict[str, Any], row: tuple[str, str, int, int], rounds: int) -> dict[str, Any]:
    """Return the samples of a row, a list for each contender that has it."""
    _, call, count, threads = row
    samples: dict[str, Any] = {}
    shuffle = random.Random(0)  # noqa: S311  # the same order in every run, and no secret
    for _ in range(rounds):
        for name in shuffle.sample(list(links), len(links)):
            links[name].send((call, count, threads))
            if (taken := links[name].recv()) is not None:
                cpu, seconds = taken
                samples.setdefault(name, []).append((cpu / count, seconds / count))
    return samples


def show(row: str, samples: dict[str, Any]) -> None:
    base = samples["requests"]
    for name, taken in samples.items():
        cpu = median(cpu for cpu, _ in taken)
        ratio = median(mine / theirs for (mine, _), (theirs, _) in zip(taken, base, strict=True))
        rate = 1 / median(seconds for _, seconds in taken)
        say(f"| {row} | {name} | {cpu * 1e6:.0f} | {ratio:.2f} | {rate:.0f} |")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the output is what this is for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="7 by default")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds it")
    options = parser.parse_args()
    names = [
        name
        for name in CONTENDERS
        if name == "bare socket" or importlib.util.find_spec(name) is not None
    ]
    say("| call | client | CPU us | x requests | calls/s |\n|---|---|---:|---:|---:|")
    with running(names) as links:
        for row in ROWS:
            if options.only in row[0]:
                samples = measure(links, row, options.rounds)
                show(row[0], {name: samples[name] for name in names if name in samples})


if __name__ == "__main__":
    main()
