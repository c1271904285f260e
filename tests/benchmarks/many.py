"""Ask a server that takes 20 ms for 10,000 documents, with 32 workers, and count the seconds.

The ideal is what 32 workers would need if a client took no time: requests / workers * 0.02 s.
The server is a bare asyncio protocol in a process of its own, which parses no more than the
end of a request, so that the client is what is measured. Each contender runs in a process of
its own too; rounds are interleaved, because a machine's speed drifts. Rule: nothing here
asserts on seconds; the goals are judged in the output only.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

# The goals: wall time against the ideal, and growth of memory from a tenth to all requests.
LARGEST_RATIO, LARGEST_GROWTH = 1.15, 8 << 20
BODY = json.dumps({"id": 1, "title": "Hello", "body": "x" * 100}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
# Seconds until a run that hangs is ended.
LONGEST_RUN = 300


class Slow(asyncio.Protocol):
    """Answers each request after a pause."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.received = b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            self.received = self.received.partition(b"\r\n\r\n")[2]
            asyncio.get_running_loop().call_later(self.pause, self.transport.write, ANSWER)


def serve(pause: float, receiver) -> None:
    """Serve on a free port of the loopback, until the parent ends this process."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Slow(pause), "127.0.0.1", 0, backlog=1024)
        receiver.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def serving(pause: float) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    receiver, ours = context.Pipe()
    server = context.Process(target=serve, args=(pause, ours), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        server.terminate()
        server.join()


# ---- the contenders; each gets the URL, the number of requests, and the number of workers


def httpkit_map(url: str, count: int, workers: int) -> int:
    import httpkit

    with httpkit.Session(url) as api:
        posts = api.resource("posts")
        return sum(1 for _ in api.map(posts.get, range(count), workers=workers))


def requests_pool(url: str, count: int, workers: int) -> int:
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session, ThreadPoolExecutor(workers) as pool:
        session.mount("http://", HTTPAdapter(pool_maxsize=workers))
        pages = pool.map(lambda n: session.get(f"{url}/posts/{n}").json(), range(count))
        return sum(1 for _ in pages)


def requests_as_it_comes(url: str, count: int, workers: int) -> int:
    import requests

    with requests.Session() as session, ThreadPoolExecutor(workers) as pool:
        pages = pool.map(lambda n: session.get(f"{url}/posts/{n}").json(), range(count))
        return sum(1 for _ in pages)


def urllib3_pool(url: str, count: int, workers: int) -> int:
    import urllib3

    with urllib3.PoolManager(maxsize=workers) as manager, ThreadPoolExecutor(workers) as pool:
        pages = pool.map(lambda n: manager.request("GET", f"{url}/posts/{n}").json(), range(count))
        return sum(1 for _ in pages)


async def fetch_all(url: str, count: int, workers: int) -> int:
    """Ask over bare sockets: how much of the ideal the server and the machine allow."""
    host, port = url.removeprefix("http://").split(":")
    numbers = iter(range(count))

    async def work() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        done = 0
        for number in numbers:
            writer.write(b"GET /posts/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            await reader.readexactly(len(ANSWER))
            done += 1
        writer.close()
        return done

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


def bare_sockets(url: str, count: int, workers: int) -> int:
    return asyncio.run(fetch_all(url, count, workers))


CONTENDERS: dict[str, Callable[[str, int, int], int]] = {
    "bare sockets": bare_sockets,
    "urllib3, 32 connections": urllib3_pool,
    "requests, 32 connections": requests_pool,
    "requests, as it comes": requests_as_it_comes,
    "httpkit": httpkit_map,
}


def run_here(name: str, url: str, count: int, workers: int) -> None:
    """Run one contender in this process, and print what it took."""
    CONTENDERS[name](url, 2 * workers, workers)  # imports, and a server that is awake
    started, used = time.perf_counter(), time.process_time()
    done = CONTENDERS[name](url, count, workers)
    say(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "cpu": time.process_time() - used,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
                "done": done,
            }
        )
    )


def run(name: str, url: str, count: int, workers: int) -> dict[str, float]:
    """Run one contender in a process of its own."""
    ran = subprocess.run(
        [sys.executable, __file__, "--only", name, "--url", url,
         "--requests", str(count), "--workers", str(workers)],
        env=os.environ | {"NO_PROXY": "*"}, stdout=subprocess.PIPE, check=True, timeout=LONGEST_RUN,
    )  # fmt: skip
    took = json.loads(ran.stdout)
    assert took["done"] == count
    return took


def compare(arguments: argparse.Namespace) -> None:
    count, workers = arguments.requests, arguments.workers
    ideal = count / workers * arguments.pause
    took: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with serving(arguments.pause) as url:
        for _ in range(arguments.rounds):
            for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
                took[name].append(run(name, url, count, workers))
        small = run("httpkit", url, max(workers, count // 10), workers)
    say(
        f"{count} requests, {workers} workers, {arguments.pause * 1000:g} ms each: ideal"
        f" {ideal:.2f} s; medians of {arguments.rounds} rounds\n"
    )
    say("| | seconds | x ideal | CPU s | RSS MiB |\n|---|---:|---:|---:|---:|")
    for name, runs in took.items():
        seconds, cpu, peak = (
            median(one[key] for one in runs) for key in ("seconds", "cpu", "peak")
        )
        say(f"| {name} | {seconds:.2f} | {seconds / ideal:.2f} | {cpu:.2f} | {peak / 2**20:.1f} |")
    ratio = median(one["seconds"] for one in took["httpkit"]) / ideal
    growth = median(one["peak"] for one in took["httpkit"]) - small["peak"]
    say(f"\nwall time: {ratio:.2f} x ideal, goal {LARGEST_RATIO}: {judged(ratio, LARGEST_RATIO)}")
    say(
        f"memory: {growth / 2**20:+.1f} MiB from {count // 10} to {count} requests, goal"
        f" {LARGEST_GROWTH / 2**20:g}: {judged(growth, LARGEST_GROWTH)}"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def judged(value: float, goal: float) -> str:
    return "met" if value <= goal else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds a request takes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run_here(arguments.only, arguments.url, arguments.requests, arguments.workers)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
