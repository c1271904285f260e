"""Say which layer takes how much of the time of one GET with JSON.

    python tests/benchmarks/layers.py [--calls N]

Each step of a call is wrapped in a clock; what a step within it takes is subtracted. The rows are
medians over many calls, and the clocks themselves take a tenth of the sum. "Socket" is the sending,
and the wait for the server and its response: it depends on the machine, and no client is without
it. Rule: nothing here asserts on seconds.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter
from typing import Any

from requests_per_call import say
from savings import serve

import httpkit
from httpkit._client import environment, preparation
from httpkit._client.sending import SendingSession
from httpkit._core import header_fields
from httpkit._transport import connections, fast_path, socket_reader

# The layer that a step counts for, the class or module that has it, and its name there.
STEPS: list[tuple[str, Any, str]] = [
    ("call assembly", httpkit.Session, "request"),
    ("prepare", httpkit.Session, "prepare_request"),
    ("headers", preparation, "merge_headers"),
    ("headers", header_fields.RequestHeaders, "check"),
    ("headers", header_fields.RequestHeaders, "serialize"),
    ("proxies and environment", httpkit.Session, "merge_environment_settings"),
    ("proxies and environment", environment, "password"),
    ("delivery: retries, limits, redirects", SendingSession, "send"),
    ("fast path: is it plain, which connection", fast_path, "send"),
    ("socket", connections.HTTPConnection, "send_whole"),
    ("socket", socket_reader.SocketReader, "receive"),
    ("parse", connections, "parse_plain_head"),
    ("parse", connections, "frame"),
    ("response", fast_path, "make_response"),
    ("json", httpkit.Response, "json"),
]


class Clocks:
    """How long each layer takes, without what is within it.

    Attributes:
        own: The seconds of the present call, by layer.
    """

    def __init__(self) -> None:
        self.own: dict[str, float] = {}
        self._within = [0.0]

    def timed(self, layer: str, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a step that notes its time."""

        def run(*args: Any, **named: Any) -> Any:
            self._within.append(0.0)
            began = perf_counter()
            try:
                return step(*args, **named)
            finally:
                took = perf_counter() - began
                self.own[layer] = self.own.get(layer, 0.0) + took - self._within.pop()
                self._within[-1] += took

        return run


@contextmanager
def in_place(owner: Any, name: str, step: Any) -> Iterator[None]:
    """Put a step in the place of the one of that name."""
    genuine = vars(owner)[name]
    setattr(owner, name, step)
    try:
        yield
    finally:
        setattr(owner, name, genuine)


def measure(call: Callable[[], object], calls: int) -> dict[str, float]:
    """Return the median microseconds of each layer."""
    clocks = Clocks()
    taken: dict[str, list[float]] = {layer: [] for layer, _, _ in STEPS}
    with ExitStack() as stack:
        for layer, owner, name in STEPS:
            step = clocks.timed(layer, vars(owner)[name])
            stack.enter_context(in_place(owner, name, step))
        for _ in range(calls):
            clocks.own.clear()
            call()
            for layer, seconds in clocks.own.items():
                taken[layer].append(seconds)
    return {layer: median(each) * 1e6 for layer, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000, metavar="N", help="20000 by default")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    receiver, ours = context.Pipe()
    server = context.Process(target=serve, args=(ours,), daemon=True)
    server.start()
    with httpkit.Session(f"http://127.0.0.1:{receiver.recv()}") as api:
        for _ in range(100):
            api.get("small").json()
        taken = measure(lambda: api.get("small").json(), options.calls)
    server.terminate()
    whole = sum(taken.values()) - taken["socket"]
    say("| layer | us | % without the socket |\n|---|---:|---:|")
    for layer, cost in taken.items():
        share = "" if layer == "socket" else f"{100 * cost / whole:.0f}"
        say(f"| {layer} | {cost:.1f} | {share} |")


if __name__ == "__main__":
    main()
