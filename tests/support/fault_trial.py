"""One fault played to one client: what came of it, and what the servers saw.

As a command it plays a flood in a process of its own:
`python -m tests.support.fault_trial "a bomb"`.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

import httpkit
from httpkit._transport.connections import HTTPConnection
from httpkit.testing import no_waiting
from tests.support import fault_servers
from tests.support.fault_table import HEAVY, Fault, Gives, Places

# What the client holds; no other server may ever see one, and no reader either.
TOKEN, KEY, COOKIE = "canary-1-token", "canary-2-key", "canary-3-cookie"
CANARY = "canary-"
# Seconds: (connect and read timeout, deadline). What takes no time must not fail on a busy
# machine; what takes time must not take long.
PATIENT, HURRIED = (5.0, 10.0), (0.2, 0.5)
# Seconds that a call may take beyond its deadline, on a machine that is busy.
GRACE = 1.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault.

    Attributes:
        value: What the call gave; None when it raised.
        error: What it raised.
        seconds: How long it took.
        limit: How long it might have taken.
        received: The requests that the first server saw.
        leaked: What of the client's secrets the other server saw.
        files: Files that are there, part files aside.
        warmed: For each request that it saw, whether its connection had been warmed up.
        ways: How the client sent each request, "short" or "ordinary".
    """

    value: object
    error: BaseException | None
    seconds: float
    limit: float
    received: list[bytes]
    leaked: bytes
    files: list[str]
    warmed: list[bool]
    ways: list[str]

    @property
    def posts(self) -> int:
        """Return how many of the requests a server may not see twice."""
        return sum(request.startswith((b"POST", b"PATCH")) for request in self.received)


Client = Callable[..., Any]


# What each way of sending calls: `express`, and what stands below every adapter.
WAYS = {HTTPConnection.send_whole.__code__: "short", HTTPAdapter.send.__code__: "ordinary"}


@contextmanager
def observed() -> Iterator[list[str]]:
    """Note which ways this thread goes."""
    ways: list[str] = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call" and (way := WAYS.get(frame.f_code)):
            ways.append(way)

    sys.setprofile(note)
    try:
        yield ways
    finally:
        sys.setprofile(None)


def httpkit_client(fault: Fault, server: str, timeout: float, deadline: float) -> httpkit.Session:
    """Return a session with secrets, as a caller has one."""
    return httpkit.Session(
        server,
        auth=httpkit.BearerAuth(TOKEN),
        headers={"X-API-Key": KEY},
        cookies={"sid": COOKIE},
        verify=fault_servers.trusted() if fault.tls else None,
        timeout=timeout,
        deadline=deadline,
        **fault.options,
    )


def play(
    fault: Fault, folder: Path, make: Client = httpkit_client, *, is_warm: bool = False
) -> Outcome:
    """Serve a fault to a client, and close all; one that is warm has a connection open before."""
    timeout, deadline = HURRIED if fault.hurries else PATIENT
    value, error = None, None
    with fault_servers.pair(
        fault.server, fault.other_server, tls=fault.tls, greeting=fault.greeting
    ) as (
        server,
        other_server,
    ):
        at = Places(server.url, other_server.url, folder)
        with make(fault, server.url, timeout, deadline) as api:
            if is_warm:
                api.get(f"{server.url}/warm-up")
            started = time.monotonic()
            with observed() as ways:
                try:
                    value = fault.act(api, at)
                except Exception as caught:  # noqa: BLE001  # that is what is judged
                    error = caught
            seconds = time.monotonic() - started
    return Outcome(
        value=value,
        error=error,
        seconds=seconds,
        limit=deadline + GRACE,
        received=server.requests,
        leaked=b"".join(r for r in other_server.requests if CANARY.encode() in r),
        files=[path.name for path in folder.iterdir() if ".part" not in path.name],
        warmed=server.warmed,
        ways=ways,
    )


def measure(name: str) -> None:
    """Play a flood, and print whether its contract was kept, and the bytes that memory grew.

    It is played twice, the second time over a connection that is open. The server runs in the
    same process: what it sends is small, and the same again and again.
    """
    (fault,) = (row for row in HEAVY if row.name == name)
    with no_waiting(), tempfile.TemporaryDirectory() as folder:
        with httpkit.Session() as api, suppress(requests.ConnectionError):
            api.get("http://127.0.0.1:1")  # what the first failure imports is not of the flood
        before = peak()
        cold, warm = (play(fault, Path(folder), is_warm=is_warm) for is_warm in (False, True))
    for outcome in (cold, warm):
        if not _is_kept(fault, outcome):
            print(f"broken:{outcome}".replace(" ", "_")[:900], 0)
            return
    print("kept" if warm.ways[0] == fault.way else "roundabout", peak() - before)


def _is_kept(fault: Fault, outcome: Outcome) -> bool:
    wanted = fault.wanted
    if isinstance(wanted, Gives):
        return outcome.value == wanted.value
    return isinstance(outcome.error, wanted.cls) and wanted.message in str(outcome.error)


def peak() -> int:
    """Return the most bytes of memory that this process ever had."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    measure(sys.argv[1])
