"""Count the CPU microseconds of making and closing a session, beside those of requests.

The contenders take turns within one process, in another order each round, because a machine's
speed drifts; each is compared with requests in the same round.
Rule: nothing here asserts on seconds; the goal is judged in the output only.
"""

import argparse
import random
import time
from collections.abc import Callable, Mapping
from statistics import median

import requests

import httpkit

GOAL = 3.0  # times requests


class Client(httpkit.Session, base_url="https://api.example.com/v1", headers={"Accept": "a/b"}):
    pass


ORIGIN = Client()
CONTENDERS: Mapping[str, Callable[[], requests.Session]] = {
    "requests": requests.Session,
    "httpkit": httpkit.Session,
    "base_url": lambda: httpkit.Session("https://api.example.com/v1"),
    "subclass": Client,
    "strict=False": lambda: httpkit.Session(strict=False),
    "with_options": lambda: ORIGIN.with_options(timeout=1),
}


def cost(make: Callable[[], requests.Session], turns: int) -> float:
    """Return the CPU microseconds of one session."""
    begun = time.process_time()
    for _ in range(turns):
        make().close()
    return (time.process_time() - begun) / turns * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--turns", type=int, default=200, help="sessions in each round")
    options = parser.parse_args()
    costs: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds + 1):
        for name in random.sample(sorted(CONTENDERS), len(CONTENDERS)):
            costs[name].append(cost(CONTENDERS[name], options.turns))
    for name, each in costs.items():
        pairs = list(zip(each, costs["requests"], strict=True))[1:]  # the first round warms up
        ratio = median(ours / theirs for ours, theirs in pairs)
        conclusion = "" if ratio <= GOAL else f"  over the goal of {GOAL:g}"
        microseconds = median(ours for ours, _ in pairs)
        line = f"{name:14}{microseconds:8.1f} us{ratio:8.2f} x{conclusion}"
        print(line, flush=True)  # noqa: T201  # the output is what this is for


if __name__ == "__main__":
    main()
