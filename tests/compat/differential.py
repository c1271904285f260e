"""Play the table of faults to httpkit, requests and httpx, and print what came of it.

A bad outcome is a call that takes longer than it may (hang), an exception outside the client's
own hierarchy (raw), a broken answer that is taken for a whole one (wrong), a secret that another
origin sees (leak), a POST that is sent again (repeat), or over 64 MiB of memory (memory). A
client that refuses what httpkit gets through has no bad outcome. All get the same timeout; what
only httpkit has (typed decoding, paging, names of files) is played to httpkit alone.

    python tests/compat/differential.py            a Markdown table
    python tests/compat/differential.py --list     and each bad outcome
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import functools
import importlib
import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from httpkit.testing import no_waiting  # noqa: E402  # from this checkout
from tests.support import fault_servers  # noqa: E402
from tests.support.fault_table import HEAVY, TABLE, Fault, Gives  # noqa: E402
from tests.support.fault_trial import (  # noqa: E402
    COOKIE,
    KEY,
    TOKEN,
    Outcome,
    httpkit_client,
    peak,
    play,
)

KINDS = ("hang", "raw", "wrong", "leak", "repeat", "memory")
MOST_MEMORY = 64 << 20
AT_ONCE = 4
SECRETS = {"Authorization": f"Bearer {TOKEN}", "X-API-Key": KEY}


def requests_client(fault: Fault, origin: str, timeout: float, deadline: float) -> requests.Session:
    """Return a session as callers of requests make one, with a timeout on every call."""
    session = requests.Session()
    session.headers.update(SECRETS)
    session.cookies.set("sid", COOKIE)
    if fault.tls:
        session.verify = fault_servers.trusted()
    session.request = functools.partial(session.request, timeout=timeout)  # type: ignore[method-assign]
    return session


class HTTPX:
    """httpx with the words of requests."""

    def __init__(self, fault: Fault, origin: str, timeout: float, deadline: float) -> None:
        self.httpx: Any = importlib.import_module("httpx")
        self.make: Callable[..., Any] = functools.partial(
            self.httpx.Client,
            timeout=timeout,
            headers=SECRETS,
            cookies={"sid": COOKIE},
            follow_redirects=True,
            verify=fault_servers.trusting() if fault.tls else True,
        )
        self.client = self.make()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def request(self, method: str, url: str, **requested: Any) -> Any:
        """Send a request, through a proxy if one is given."""
        if "auth" in requested:
            auth = requested["auth"]
            requested["auth"] = self.httpx.DigestAuth(auth.username, auth.password)
        if "data" in requested:
            requested["content"] = requested.pop("data")
        if requested.pop("stream", False):
            return self.stream(method, url)
        if proxies := requested.pop("proxies", None):
            with self.make(proxy=next(iter(proxies.values()))) as client:
                return client.request(method, url, **requested)
        return self.client.request(method, url, **requested)

    @contextmanager
    def stream(self, method: str, url: str) -> Iterator[Any]:
        """Send a request, its body to be read in blocks."""
        with self.client.stream(method, url) as response:
            response.iter_content = response.iter_bytes
            yield response

    def __getattr__(self, verb: str) -> Any:
        if verb == "download":
            raise AttributeError(verb)
        return functools.partial(self.request, verb.upper())


def own_errors(client: str) -> tuple[type[BaseException], ...]:
    """Return the bases of what a client says it raises."""
    if client != "httpx":
        return (requests.RequestException,)
    httpx: Any = importlib.import_module("httpx")
    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)


CLIENTS: Mapping[str, Callable[..., Any]] = {
    "httpkit": httpkit_client,
    "requests": requests_client,
    "httpx": HTTPX,
}


def judge(client: str, fault: Fault, outcome: Outcome) -> Iterator[str]:
    """Give each way in which an outcome is bad."""
    if outcome.seconds > outcome.limit:
        yield "hang"
    elif isinstance(outcome.error, Exception):
        if not isinstance(outcome.error, own_errors(client)):
            yield "raw"
    elif not isinstance(fault.wanted, Gives) or outcome.value != fault.wanted.value:
        yield "wrong"
    if outcome.leaked:
        yield "leak"
    if outcome.posts > fault.posts:
        yield "repeat"


def retry_state(client: str, fault: Fault) -> list[str]:
    """Play one fault to one client; return the kinds of bad outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = play(fault, Path(folder), CLIENTS[client])
    return list(judge(client, fault, outcome))


def flood(client: str, fault: Fault) -> list[str]:
    """Play a flood to one client, in a process of its own."""
    command = [sys.executable, __file__, "--flood", fault.name, "--client", client]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return ["hang"]
    return done.stdout.split() if done.returncode == 0 else ["memory"]


def measure(client: str, name: str) -> None:
    """Play a flood here, and print the kinds of bad outcomes."""
    (fault,) = (row for row in HEAVY if row.name == name)
    with no_waiting():
        before = peak()
        types = retry_state(client, fault)
    print(*types, *(["memory"] if peak() - before > MOST_MEMORY else []))


def compare(clients: list[str], *, listing: bool) -> None:
    """Play all to all, and print the table."""
    bad: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    jobs = [(group, fault, retry_state) for group, faults in TABLE.items() for fault in faults]
    jobs += [("memory", fault, flood) for fault in HEAVY]
    with no_waiting(), ThreadPoolExecutor(AT_ONCE) as pool:
        for client in clients:
            requested = [job for job in jobs if client == "httpkit" or not job[1].is_ours]
            results = pool.map(lambda job, client=client: job[2](client, job[1]), requested)
            for (group, fault, _), types in zip(requested, results, strict=True):
                bad[client, group].update(types)
                bad[client, group]["rows"] += 1
                bad[client, group]["bad"] += bool(types)
                if types and listing:
                    print(f"{client}: {group}: {fault.name}: {', '.join(types)}", file=sys.stderr)
    print(f"| group | {' | '.join(clients)} |")
    print("|---|" + "---|" * len(clients))
    for group in [*TABLE, "memory"]:
        print(f"| {group} | " + " | ".join(cell(bad[client, group]) for client in clients) + " |")
    sums = [sum((bad[c, g] for g in [*TABLE, "memory"]), Counter()) for c in clients]
    print("| all | " + " | ".join(map(cell, sums)) + " |")


def cell(count: Counter[str]) -> str:
    """Write bad outcomes of rows, and of which kind they are."""
    if not count["rows"]:
        return "none"
    types = ", ".join(f"{count[cls]} {cls}" for cls in KINDS if count[cls])
    return f"{count['bad']} of {count['rows']}" + (f" ({types})" if types else "")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare clients under faults.")
    parser.add_argument("--list", action="store_true", help="also name each bad outcome")
    parser.add_argument("--client", choices=CLIENTS, help="only this one")
    parser.add_argument("--flood", help=argparse.SUPPRESS)
    given = parser.parse_args()
    # What the servers' threads cannot say to a client that left is no news.
    threading.excepthook = lambda _: None
    if given.flood:
        measure(given.client, given.flood)
        return
    installed = [name for name in CLIENTS if importlib.util.find_spec(name)]
    compare([given.client] if given.client else installed, listing=given.list)


if __name__ == "__main__":
    main()
