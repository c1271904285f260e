"""Count the CPU microseconds of one call: small, typed, large, signed, refused, with threads.

Each contender lives in a process of its own and takes turns with the others, in another order
each round, because a machine's speed drifts; its CPU time is compared with that of requests in
the same round. The server is a bare asyncio protocol in a process of its own, which parses
nothing but the end of a request: the first row, a bare socket, shows what it leaves to a client.
A second table says what importing costs. Rivals that need other versions than ours, or bring
many, live in environments of their own: `--venvs FOLDER` has one named as each of them.
Rule: nothing here asserts on seconds; the goals are judged in the output only.
"""

import argparse
import asyncio
import importlib.util
import io
import itertools
import json
import multiprocessing
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
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


def response(status: str, body: bytes, fields: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}"
    head += f"Date: Mon, 02 Nov 2026 10:00:00 GMT\r\nServer: bare\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


ANSWERS = {
    b"/small": response("200 OK", json.dumps(ITEM).encode()),
    b"/large": response("200 OK", items(10_000)),
    b"/huge": response("200 OK", items(1_000_000)),
    b"/none": response("404 Not Found", b'{"detail": "no such item"}'),
    b"/last": response("200 OK", json.dumps(ITEM).encode(), "Connection: close\r\n"),
}
BUSY = response("503 Service Unavailable", b'{"detail": "busy"}')


class Bare(asyncio.Protocol):
    """Answers by path, and looks for the end of a head and of a body with a length.

    Every other request for /busy is refused on each connection; after /last it is closed.
    """

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.received = b""
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if end and len(body) >= int(length.partition(b"\r\n")[0] or 0):
            self.received = b""
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            if path == b"/busy":
                self.is_busy = not self.is_busy
                path = b"/small"
            self.transport.write(BUSY if self.is_busy else ANSWERS[path])
            if path == b"/last":
                self.transport.close()


def serve(receiver, folder: str, *, is_spinning: bool = False) -> None:
    """Serve on two free ports of the loopback, the second with TLS, until this process ends.

    The kernel counts the time to wake a sleeping server for the client that sends to it; one that
    spins never sleeps, and takes a core of its own.
    """

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def spin() -> None:
            loop.call_soon(spin)

        if is_spinning:
            spin()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(f"{folder}/chain.pem", f"{folder}/key.pem")
        servers = [
            await loop.create_server(Bare, "127.0.0.1", 0, backlog=1024, ssl=context)
            for context in (None, tls)
        ]
        receiver.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(run())


# ---- the contenders; each is given the server's URLs and returns one call for each row


Calls = dict[str, Callable[[], object]]
NUMBERS = itertools.count()
SENT = {"title": "Hello", "body": "x" * 100}
SIGNED = {"Authorization": f"Bearer {TOKEN}"}


def bare_socket(url: str, _: str) -> Calls:
    location = urlsplit(url)
    request = f"GET /small HTTP/1.1\r\nHost: {location.netloc}\r\n\r\n".encode()
    connection = socket.create_connection((location.hostname, location.port))

    def small() -> Any:
        connection.sendall(request)
        return json.loads(connection.recv(65536).partition(b"\r\n\r\n")[2])

    return {"small GET": small}


def calls(url: str, secure: str, get: Callable[[str], Any], post: Any, refused: Any) -> Calls:
    """Return the calls of a client that knows JSON but no models.

    Args:
        url: Of the plain server.
        secure: Of the one with TLS.
        get: Returns the JSON at a URL.
        post: Returns the JSON of the answer to a signed POST.
        refused: Returns None where there is nothing.
    """
    return {
        "small GET": lambda: get(f"{url}/small"),
        "new URL each": lambda: get(f"{url}/small?n={next(NUMBERS)}"),
        "TLS": lambda: get(f"{secure}/small"),
        "typed GET": lambda: Item(**get(f"{url}/small")),
        "10 KB": lambda: get(f"{url}/large"),
        "1 MB": lambda: get(f"{url}/huge"),
        "1 MB, typed": lambda: [Item(**item) for item in get(f"{url}/huge")],
        "POST, signed": lambda: post(f"{url}/small"),
        "404 to a value": lambda: refused(f"{url}/none"),
        "new connection each": lambda: get(f"{url}/last"),
    }


def urllib3(url: str, secure: str) -> Calls:
    from urllib3 import PoolManager, Retry

    pool = PoolManager(maxsize=64)
    retries = Retry(3, status_forcelist={503})

    def retried() -> Any:
        return json.loads(pool.request("GET", f"{url}/busy", retries=retries).data)

    return {
        **calls(
            url,
            secure,
            lambda location: json.loads(pool.request("GET", location).data),
            lambda location: json.loads(
                pool.request("POST", location, json=SENT, headers=SIGNED).data
            ),
            lambda location: None if pool.request("GET", location).status == 404 else 1,
        ),
        "retry that succeeds": retried,
    }


def over_requests(api: Any, url: str, secure: str) -> Calls:
    """Return the calls of requests and of what is spelled like it."""
    return calls(
        url,
        secure,
        lambda location: api.get(location).json(),
        lambda location: api.post(location, json=SENT, headers=SIGNED).json(),
        lambda location: None if api.get(location).status_code == 404 else 1,
    )


def requests(url: str, secure: str) -> Calls:
    import requests as library
    from urllib3 import Retry

    session = library.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, library.adapters.HTTPAdapter(pool_maxsize=64))
    retries = Retry(3, status_forcelist={503})
    busy = f"{url}/busy"
    session.mount(busy, library.adapters.HTTPAdapter(pool_maxsize=64, max_retries=retries))
    retried = {"retry that succeeds": lambda: session.get(busy).json()}
    return {**over_requests(session, url, secure), **retried}


def niquests(url: str, secure: str) -> Calls:
    import niquests as library

    return over_requests(library.Session(pool_maxsize=64), url, secure)


def httpx(url: str, secure: str) -> Calls:
    import httpx as library

    limits = library.Limits(max_connections=64, max_keepalive_connections=64)
    return over_requests(library.Client(limits=limits), url, secure)


def aiohttp(url: str, secure: str) -> Calls:
    """Run each call to its end: from a script, and in a thread, that is how it is used."""
    import aiohttp as library

    loop = asyncio.new_event_loop()
    session: Any = None

    async def opened() -> Any:
        nonlocal session
        if session is None:
            session = library.ClientSession(connector=library.TCPConnector(limit=64))
        return session

    async def send(method: str, location: str, **options: Any) -> Any:
        async with (await opened()).request(method, location, **options) as response:
            return await response.json() if response.status != 404 else None

    def run(*arguments: str, **options: Any) -> Any:
        return loop.run_until_complete(send(*arguments, **options))

    return calls(
        url,
        secure,
        lambda location: run("GET", location),
        lambda location: run("POST", location, json=SENT, headers=SIGNED),
        lambda location: run("GET", location),
    )


def pycurl(url: str, secure: str) -> Calls:
    import pycurl as library

    mine = threading.local()

    def send(location: str, sent: bytes | None = None) -> tuple[int, bytes]:
        if (curl := getattr(mine, "curl", None)) is None:
            curl = mine.curl = library.Curl()
        received = io.BytesIO()
        curl.reset()  # it keeps the connections
        curl.setopt(curl.URL, location)
        curl.setopt(curl.CAINFO, os.environ["CURL_CA_BUNDLE"])
        curl.setopt(curl.WRITEDATA, received)
        if sent is not None:
            curl.setopt(curl.POSTFIELDS, sent)
            fields = {"Content-Type": "application/json", **SIGNED}
            curl.setopt(curl.HTTPHEADER, [f"{n}: {v}" for n, v in fields.items()])
        curl.perform()
        return curl.getinfo(curl.RESPONSE_CODE), received.getvalue()

    return calls(
        url,
        secure,
        lambda location: json.loads(send(location)[1]),
        lambda location: json.loads(send(location, json.dumps(SENT).encode())[1]),
        lambda location: None if send(location)[0] == 404 else 1,
    )


def curl_cffi(url: str, secure: str) -> Calls:
    from curl_cffi import requests as library

    return over_requests(library.Session(verify=os.environ["CURL_CA_BUNDLE"]), url, secure)


def geventhttpclient(url: str, secure: str) -> Calls:
    from geventhttpclient import HTTPClient

    bundle = {"ca_certs": os.environ["CURL_CA_BUNDLE"]}
    clients = {
        url: HTTPClient.from_url(url, concurrency=64),
        secure: HTTPClient.from_url(secure, concurrency=64, ssl_options=bundle),
    }
    sent = {"Content-Type": "application/json", **SIGNED}

    def send(location: str, method: str = "GET", body: bytes = b"", fields: Any = None) -> Any:
        origin = url if location.startswith(url) else secure
        response = clients[origin].request(
            method, location.removeprefix(origin), body, fields or {}
        )
        return response.status_code, response.read()

    return calls(
        url,
        secure,
        lambda location: json.loads(send(location)[1]),
        lambda location: json.loads(send(location, "POST", json.dumps(SENT).encode(), sent)[1]),
        lambda location: None if send(location)[0] == 404 else 1,
    )


def primp(url: str, secure: str) -> Calls:
    import primp as library

    client = library.Client()
    return calls(
        url,
        secure,
        lambda location: client.get(location).json(),
        lambda location: client.post(location, json=SENT, headers=SIGNED).json(),
        lambda location: None if client.get(location).status_code == 404 else 1,
    )


def pyreqwest(url: str, secure: str) -> Calls:
    from pyreqwest.client import SyncClientBuilder

    bundle = Path(os.environ["CURL_CA_BUNDLE"]).read_bytes()
    client = SyncClientBuilder().add_root_certificate_pem(bundle).build()

    def get(location: str) -> Any:
        return client.get(location).build().send()

    return calls(
        url,
        secure,
        lambda location: get(location).json(),
        lambda location: (
            client.post(location).headers(SIGNED).body_json(SENT).build().send().json()
        ),
        lambda location: None if get(location).status == 404 else 1,
    )


def api_client(url: str, secure: str) -> Calls:
    from apiclient import APIClient, JsonRequestFormatter, JsonResponseHandler
    from apiclient.exceptions import ClientError

    settled = {"response_handler": JsonResponseHandler, "request_formatter": JsonRequestFormatter}
    plain, signed = APIClient(**settled), APIClient(**settled)
    signed.get_default_headers = lambda: SIGNED  # as its own strategies do

    def refused(location: str) -> Any:
        try:
            return plain.get(location)
        except ClientError:
            return None

    return calls(url, secure, plain.get, lambda location: signed.post(location, data=SENT), refused)


def dlt(url: str, secure: str) -> Calls:
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth

    plain = RESTClient(base_url=url)
    signed = RESTClient(base_url=url, auth=BearerTokenAuth(TOKEN))

    def refused(location: str) -> Any:
        ignored = {"response": [lambda response, *_, **__: response]}
        return None if plain.get(location, hooks=ignored).status_code == 404 else 1

    return calls(
        url,
        secure,
        lambda location: plain.get(location).json(),
        lambda location: signed.post(location, json=SENT).json(),
        refused,
    )


def httpkit(url: str, secure: str) -> Calls:
    import httpkit as library

    api, signed = library.Session(url), library.Session(url, auth=library.BearerAuth(TOKEN))
    return over_httpkit(api, signed, library.Session(secure))


def httpkit_falling_back(url: str, secure: str) -> Calls:
    """As where urllib3 is another, is patched, or a mock's adapter is mounted."""
    from requests.adapters import HTTPAdapter

    import httpkit as library

    api, signed = library.Session(url), library.Session(url, auth=library.BearerAuth(TOKEN))
    over_tls = library.Session(secure)
    for session in (api, signed, over_tls):
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=64))
    return over_httpkit(api, signed, over_tls)


def over_httpkit(api: Any, signed: Any, over_tls: Any) -> Calls:
    """Return the calls of sessions: base URL, auth, retry policy, dispatch, JSON."""
    hasty = api.with_options(retry=type(api.retry)(backoff=0))
    return {
        "small GET": lambda: api.get("small").json(),
        "new URL each": lambda: api.get(f"small?n={next(NUMBERS)}").json(),
        "TLS": lambda: over_tls.get("small").json(),
        "typed GET": lambda: api.get("small").decode(Item),
        "10 KB": lambda: api.get("large").json(),
        "1 MB": lambda: api.get("huge").json(),
        "1 MB, typed": lambda: api.get("huge").decode(list[Item]),
        "POST, signed": lambda: signed.post("small", json=SENT).json(),
        "404 to a value": lambda: api.get("none", on_status={404: lambda _: None}),
        "new connection each": lambda: api.get("last").json(),
        "retry that succeeds": lambda: hasty.get("busy").json(),
    }


@dataclass(frozen=True)
class Contender:
    """Who takes part.

    Attributes:
        start: Given the URLs, it returns the calls.
        module: What must be importable; empty for nothing.
        has_threads: Whether many threads can share it.
    """

    start: Callable[[str, str], Calls]
    module: str = ""
    has_threads: bool = True


CONTENDERS = {
    "bare socket": Contender(bare_socket, has_threads=False),
    "pycurl": Contender(pycurl, "pycurl"),
    "curl_cffi": Contender(curl_cffi, "curl_cffi"),
    "geventhttpclient": Contender(geventhttpclient, "geventhttpclient", has_threads=False),
    "primp": Contender(primp, "primp"),
    "pyreqwest": Contender(pyreqwest, "pyreqwest"),
    "aiohttp": Contender(aiohttp, "aiohttp", has_threads=False),
    "urllib3": Contender(urllib3, "urllib3"),
    "requests": Contender(requests, "requests"),
    "httpx": Contender(httpx, "httpx"),
    "niquests": Contender(niquests, "niquests"),
    "api-client": Contender(api_client, "apiclient"),
    "dlt": Contender(dlt, "dlt"),
    "httpkit": Contender(httpkit, "httpkit"),
    "httpkit, fallback": Contender(httpkit_falling_back, "httpkit"),
}
# Row, the call, how often in a round, and by how many threads.
ROWS = [
    ("small GET", "small GET", 1000, 1),
    ("new URL each", "new URL each", 1000, 1),
    ("TLS", "TLS", 1000, 1),
    ("typed GET", "typed GET", 1000, 1),
    ("10 KB", "10 KB", 500, 1),
    ("1 MB", "1 MB", 10, 1),
    ("1 MB, typed", "1 MB, typed", 10, 1),
    ("POST, signed", "POST, signed", 1000, 1),
    ("404 to a value", "404 to a value", 1000, 1),
    ("new connection each", "new connection each", 300, 1),
    ("retry that succeeds", "retry that succeeds", 500, 1),
    ("small GET, 8 threads", "small GET", 1000, 8),
    ("small GET, 32 threads", "small GET", 1000, 32),
]
# Row, what httpkit's share is of (a contender in the same row, or another row of httpkit's), and
# the largest share that was aimed at, of CPU time.
GOALS = [
    ("small GET", "requests", 0.20),
    ("small GET", "urllib3", 0.70),
    ("POST, signed", "requests", 0.24),
    ("TLS", "requests", 0.25),
    ("1 MB, typed", "requests", 0.40),
    ("new connection each", "urllib3", 1.0),
    ("retry that succeeds", "small GET", 2.2),
]
# The least throughput with 32 threads, of urllib3's; and the most CPU of a fallback, of requests'.
LEAST_OF_URLLIB3, MOST_OF_REQUESTS = 1.2, 0.60
IMPORTS = {
    "urllib3": "import urllib3",
    "requests": "import requests",
    "httpx": "import httpx",
    "aiohttp": "import aiohttp",
    "niquests": "import niquests",
    "api-client": "import apiclient",
    "dlt": "from dlt.sources.helpers.rest_client import RESTClient",
    "httpkit": "import httpkit",
    "httpkit, a session": "import httpkit; httpkit.Session('http://127.0.0.1')",
}
CONTEND = "--contend"
IMPORTING = """
import sys, time
began = time.process_time()
{statement}
cpu = time.process_time() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(cpu, peak.split()[1])
"""


def contend(name: str, location: str, *urls: str) -> None:
    """Run what the parent asks for; answer with CPU seconds and seconds."""
    link = Client(location)
    contender = CONTENDERS[name]
    calls = contender.start(*urls)
    while job := link.recv():
        call, count, threads = job
        if call not in calls or (threads > 1 and not contender.has_threads):
            link.send(None)
            continue
        try:
            calls[call]()
        except Exception as error:  # noqa: BLE001  # of any of them: its cell is empty
            say(f"{name}: {call} failed: {error}")
            link.send(None)
            continue
        began, cpu = time.perf_counter(), time.process_time()
        if threads == 1:
            for _ in range(count):
                calls[call]()
        else:
            with ThreadPoolExecutor(threads) as pool:
                for future in [pool.submit(calls[call]) for _ in range(count)]:
                    future.result()
        link.send((time.process_time() - cpu, time.perf_counter() - began))


def pythons(venvs: Path | None) -> dict[str, str]:
    """Return the interpreter for each contender that is installed, ours or one of its own."""
    found: dict[str, str] = {}
    for name, contender in CONTENDERS.items():
        own = venvs / name / "bin" / "python" if venvs else None
        if not contender.module or importlib.util.find_spec(contender.module):
            found[name] = sys.executable
        elif own and own.exists():
            found[name] = str(own)
        else:
            say(f"{name} is skipped: it is not installed")
    return found


@contextmanager
def running(found: dict[str, str], *, is_spinning: bool) -> Iterator[dict[str, Any]]:
    """Start the server and a process for each contender; all end with this."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="httpkit-benchmark-")
        stack.callback(shutil.rmtree, folder)
        certify(folder)

        receiver, ours = context.Pipe()
        spinning = {"is_spinning": is_spinning}
        server = context.Process(target=serve, args=(ours, folder), kwargs=spinning, daemon=True)
        server.start()
        stack.callback(server.join)
        stack.callback(server.terminate)
        plain, secure = receiver.recv()
        urls = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"
        listener = stack.enter_context(Listener())
        links = {}
        for name, python in found.items():
            command = [python, __file__, CONTEND, name, listener.address, *urls]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
            links[name] = listener.accept()
        yield links


def certify(folder: str) -> None:
    """Write chain.pem and key.pem, and have every client trust them."""
    chain = f"{folder}/chain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", f"{folder}/key.pem", "-out", chain],
        check=True,
        capture_output=True,
    )  # fmt: skip
    os.environ |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), chain)


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


def ratios(samples: dict[str, Any]) -> dict[str, str]:
    """Return each contender's CPU time as a multiple of that of requests in the same round."""
    base = samples["requests"]
    return {
        name: f"{median(own / other for (own, _), (other, _) in zip(taken, base, strict=True)):.2f}"
        for name, taken in samples.items()
    }


def show_goals(measured: dict[str, dict[str, Any]]) -> None:
    """Print what was reached of the goals whose rows were measured."""
    rows: dict[str, list[str]] = {}
    for row, other, goal in GOALS:
        base = measured.get(other, {}).get("httpkit") or measured.get(row, {}).get(other)
        if base and (own := measured.get(row, {}).get("httpkit")):
            pairs = zip(own, base, strict=True)
            reached = median(mine / theirs for (mine, _), (theirs, _) in pairs)
            rows[f"{row}, x {other}"] = [f"{reached:.2f}", f"{goal:.2f} at most"]
    if samples := measured.get("small GET, 32 threads"):
        pairs = zip(samples["httpkit"], samples["urllib3"], strict=True)
        reached = median(theirs / mine for (_, mine), (_, theirs) in pairs)
        cells = [f"{reached:.2f}", f"{LEAST_OF_URLLIB3:.2f} at least"]
        rows["32 threads, calls a second, x urllib3"] = cells
    if samples := measured.get("small GET"):
        reached_text = ratios(samples)["httpkit, fallback"]
        rows["fallback, x requests"] = [reached_text, f"{MOST_OF_REQUESTS:.2f} at most"]
    show(["httpkit", "reached", "goal"], rows)


def show(head: list[str], rows: dict[str, list[str]]) -> None:
    """Print a table."""
    say(f"\n| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for name, cells in rows.items():
        say(f"| {name} | {' | '.join(cells)} |")


def show_imports(found: dict[str, str], rounds: int) -> None:
    """Print what it costs to import each contender, beyond an interpreter that did not."""
    samples: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            if (python := found.get(name.partition(",")[0])) is not None:
                samples.setdefault(name, []).append(cost(python, statement))
    base = median(cpu for cpu, _ in samples["requests"])
    rows: dict[str, list[str]] = {}
    for name, taken in samples.items():
        cpu, peak = (median(column) for column in zip(*taken, strict=True))
        rows[name] = [f"{cpu * 1e3:.1f}", f"{(cpu - base) * 1e3:.1f}", f"{peak / 1024:.1f}"]
    show(["import", "CPU ms", "above requests", "peak MiB"], rows)


def cost(python: str, statement: str) -> tuple[float, float]:
    """Return the CPU seconds and the peak KiB of a statement in a process of its own."""
    program = IMPORTING.format(statement=statement)
    ran = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True)
    cpu, peak = map(float, ran.stdout.split())
    return cpu, peak


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # the output is what this is for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="7 by default")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds it")
    parser.add_argument("--venvs", type=Path, metavar="FOLDER", help="with rivals of their own")
    parser.add_argument("--spin", action="store_true", help="with a server that never sleeps")
    options = parser.parse_args()
    found = pythons(options.venvs)
    cpu: dict[str, list[str]] = {}
    rates: dict[str, list[str]] = {}
    measured: dict[str, dict[str, Any]] = {}
    with running(found, is_spinning=options.spin) as links:
        for row in ROWS:
            if options.only not in row[0]:
                continue
            samples = measured[row[0]] = measure(links, row, options.rounds)
            of_requests = median(cpu for cpu, _ in samples["requests"]) * 1e6
            cells = ratios(samples)
            cpu[row[0]] = [f"{of_requests:.0f}", *(cells.get(name, "") for name in found)]
            rates[row[0]] = [
                f"{1 / median(s for _, s in samples[name]):.0f}" if name in samples else ""
                for name in found
            ]
            say(f"{row[0]}: {cells}")
    show(["CPU, x requests", "requests, us", *found], cpu)
    show(["calls a second", *found], rates)
    show_goals(measured)
    if options.only in "import":
        show_imports(found, options.rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == [CONTEND]:
        contend(*sys.argv[2:])
    else:
        main()
