"""Leave out one saving of the fast path at a time, and count the CPU microseconds it was worth.

Both ways run in one process and take turns in short runs, because a machine's speed drifts; the
gain is the median over the turns. A saving that gains less than 2 % of a small GET is not worth
its lines. What is left out is put back by hand, in the way that requests or the standard library
does it; each of them is a name in `httpkit`, whose comment says the gain.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests_per_call import SENT, TOKEN, Bare, say

import httpkit
from httpkit._core import header_fields, models, upstream
from httpkit._messages import request, response
from httpkit._transport import adapter as adapter_module
from httpkit._transport import connections, fast_path, pools

Call = Callable[[], object]
CALLS_OF_A_TURN = 250


class Always:
    """An attribute of this value, whatever is assigned to it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __get__(self, *_: object) -> object:
        return self.value

    def __set__(self, *_: object) -> None:
        pass


send_whole = connections.HTTPConnection.send_whole


def with_a_reader_of_its_own(connection: Any, *arguments: Any) -> Any:
    connection.reader = connection.buffered = None
    return send_whole(connection, *arguments)


def pool_at(adapter: Any, _: str, sent: Any, verify: Any, cert: Any) -> Any:
    return HTTPAdapter.get_connection_with_tls_context(adapter, sent, verify, {}, cert)


def make_response(adapter: Any, sent: Any, head: Any, elapsed: Any = None, **held: Any) -> Any:
    raw = held["raw"] if "raw" in held else held["_make_raw"]()
    return response.adopt(HTTPAdapter.build_response(adapter, sent, raw))


Headers, RequestHeaders, Prepared = (
    header_fields.Headers,
    header_fields.RequestHeaders,
    request.PreparedRequest,
)
# Name, where it is, and what stands in its place.
SAVINGS: list[tuple[str, Any, str, Any]] = [
    ("the fast path", fast_path, "send", lambda *_: None),
    ("environment read when it changed", upstream, "reads_variables", lambda: False),
    ("netrc read when it changed", upstream, "reads_netrc", lambda: False),
    ("response made without its constructor", fast_path, "make_response", make_response),
    ("pool remembered", adapter_module.Adapter, "pool_at", pool_at),
    ("body taken with the head", fast_path, "whole_body", lambda *_: None),
    ("head parsed in one go", connections, "parse_plain_head", lambda _: None),
    ("reader for many responses", connections.HTTPConnection, "send_whole",
     with_a_reader_of_its_own),
    ("idle connections without a lock", pools.IdleQueue, "get",
     lambda idle, *_, **__: super(pools.IdleQueue, idle).get(block=False)),
    ("URL prepared at a glance", request, "_prepared_plainly", lambda *_: None),
    ("checked fields copied", RequestHeaders, "copy", lambda h: RequestHeaders(dict(h.items()))),
    ("field found by in", Headers, "__contains__", CaseInsensitiveDict.__contains__),
    ("JSON parsed by msgspec", models, "parsed", lambda _: models.UNPARSED),
    ("nothing", httpkit, "__doc__", httpkit.__doc__),
]  # fmt: skip


@contextmanager
def left_out(owner: Any, name: str, instead: Any) -> Iterator[None]:
    """Put something in the place of a saving."""
    original = vars(owner)[name]
    setattr(owner, name, instead)
    try:
        yield
    finally:
        setattr(owner, name, original)


def turn(call: Call) -> float:
    began = time.process_time()
    for _ in range(CALLS_OF_A_TURN):
        call()
    return (time.process_time() - began) / CALLS_OF_A_TURN * 1e6


def gain(call: Call, saving: tuple[str, Any, str, Any], turns: int) -> tuple[float, float]:
    """Return the microseconds of a call, and those that a saving saves it."""
    _, owner, name, instead = saving
    call()
    whole, gains = [], []
    for _ in range(turns):
        whole.append(turn(call))
        with left_out(owner, name, instead):
            gains.append(turn(call) - whole[-1])
    return median(whole), median(gains)


def serve(receiver: Any) -> None:
    """Serve on a free port of the loopback, until this process ends."""
    import asyncio

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0)
        receiver.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=40, metavar="N", help="of each (40)")
    options = parser.parse_args()
    import msgspec  # noqa: F401  # as in a program that has a model

    context = multiprocessing.get_context("spawn")
    receiver, ours = context.Pipe()
    server = context.Process(target=serve, args=(ours,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{receiver.recv()}"
    api, signed = httpkit.Session(url), httpkit.Session(url, auth=httpkit.BearerAuth(TOKEN))
    calls: dict[str, Call] = {
        "GET": lambda: api.get("small").json(),
        "POST": lambda: signed.post("small", json=SENT).json(),
    }
    say("| saving | GET us | % | POST us | % |\n|---|---:|---:|---:|---:|")
    for saving in SAVINGS:
        cells = [gain(call, saving, options.turns) for call in calls.values()]
        shown = " | ".join(f"{saved:.1f} | {100 * saved / whole:.1f}" for whole, saved in cells)
        say(f"| {saving[0]} | {shown} |")
    server.terminate()


if __name__ == "__main__":
    main()
