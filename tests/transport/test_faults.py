"""Every fault of the table meets its contract, and what holds for all holds for each."""

import gc
import pickle
import subprocess
import sys
import threading
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit import RetryPolicy
from tests.support.fault_servers import Server, kept, ok, reset
from tests.support.fault_table import HEAVY, TABLE, Gives
from tests.support.fault_trial import CANARY, play

# Bytes of memory that a fault may cost, whatever the server sends.
MOST_MEMORY = 64 << 20
DESCRIPTORS = Path("/proc/self/fd")
ROOT = Path(__file__).parents[2]

ROWS = [
    pytest.param(fault, id=f"{group}: {fault.name}")
    for group, faults in TABLE.items()
    for fault in faults
]


# The same over a connection that served one request well, in plain and over TLS. What takes time
# does so over TLS alone.
WARM = [
    pytest.param(replace(fault, tls=tls), id=f"{row.id}, over {'TLS' if tls else 'TCP'}")
    for row in ROWS
    for fault in row.values
    for tls in dict.fromkeys([fault.tls, "good"])
    if fault.can_be_warm and not (fault.is_plain if tls else fault.hurries)
]


def open_files() -> set[str]:
    """Return what is open, by the kernel's names; nothing where there is no /proc."""
    found = set()
    for number in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        with suppress(OSError):  # that of the listing itself
            found.add(str(number.readlink()))
    return found


def formatted(error):
    return "".join(traceback.format_exception(error))


def check_contract(fault, outcome):
    wanted, error = fault.wanted, outcome.error
    if isinstance(wanted, Gives):
        assert error is None, formatted(error)
        assert outcome.value == wanted.value
        return
    assert error is not None, f"{outcome.value!r} was taken for an answer"
    assert isinstance(error, wanted.cls), formatted(error)
    assert wanted.message.lower() in str(error).lower()


def check_error(error):
    """An error is typed, shows no secret, and survives a pickle."""
    assert isinstance(error, (requests.RequestException, ValueError)), repr(error)
    kept = pickle.dumps(error)
    assert type(pickle.loads(kept)) is type(error)
    assert CANARY not in formatted(error) + repr(error)
    assert CANARY.encode() not in kept


def check(fault, tmp_path, *, is_warm=False):
    """Play a fault, and hold what came of it against its contract and what holds for all."""
    threads, files = threading.active_count(), open_files()

    outcome = play(fault, tmp_path, is_warm=is_warm)

    check_contract(fault, outcome)
    if outcome.error is not None:
        check_error(outcome.error)
        assert outcome.files == []
    assert outcome.seconds < outcome.limit
    assert len(outcome.received) <= fault.most
    assert outcome.posts <= fault.posts
    assert outcome.leaked == b""
    assert threading.active_count() <= threads
    if open_files() - files:
        gc.collect()  # TLS of the standard library makes cycles; what an error holds stays
    assert open_files() - files == set()
    return outcome


@pytest.mark.parametrize("fault", ROWS)
def test_a_fault_meets_its_contract(fault, tmp_path):
    check(fault, tmp_path)


@pytest.mark.parametrize("fault", WARM)
def test_a_fault_on_a_connection_that_is_open_meets_the_same_contract(fault, tmp_path):
    outcome = check(fault, tmp_path, is_warm=True)

    assert outcome.warmed[0]
    assert outcome.ways[0] == fault.way


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory's peak from /proc")
@pytest.mark.parametrize("fault", HEAVY, ids=lambda fault: fault.name)
def test_a_flood_costs_little_memory(fault):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.fault_trial", fault.name],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    label, grown = done.stdout.split()
    assert label == "kept"
    assert int(grown) < MOST_MEMORY


class Moody(Server):
    """Commits every order, and then does to the response what the order's number says."""

    def answer_to(self, request, turn):
        place = request.split(b" ", 2)[1]
        number = int(place.rpartition(b"/")[2])
        whole = kept(place, f"Set-Cookie: last={number}")
        cut = whole[:-1].replace(b"keep-alive", b"close")
        moods = [whole, whole, None, reset, cut, ok(b"", status="500 No"), whole + ok(b"x")]
        is_repeated = sum(r.startswith(request.partition(b"\r\n")[0]) for r in self.requests) > 1
        return whole if is_repeated else moods[number % len(moods)]


def test_thirty_two_threads_among_faults_each_get_their_response_and_repeat_no_post():
    threads, files = threading.active_count(), open_files()

    def call(number):
        if number % 2:
            return api.get(f"{number}").content
        try:
            return api.post(f"{number}").content
        except requests.RequestException:
            return b"failed"

    with Moody([]) as server, httpkit.Session(server.url, retry=RetryPolicy(budget=None)) as api:
        answers = list(api.map(call, range(320), workers=32))

    gets, posts = answers[1::2], answers[::2]
    assert gets == [b"/%d" % number for number in range(1, 320, 2)]
    assert all(got in {b"/%d" % (2 * n), b"failed"} for n, got in enumerate(posts))
    assert posts.count(b"failed") == sum(number % 7 in {2, 3, 4, 5} for number in range(0, 320, 2))
    seen = Counter(r.split(b" HTTP")[0] for r in server.requests if r.startswith(b"POST"))
    assert set(seen.values()) == {1}
    assert len(seen) == 160
    assert threading.active_count() <= threads
    gc.collect()
    assert open_files() - files == set()


def test_the_table_is_as_large_as_the_page_says():
    names = [row.id for row in ROWS] + [fault.name for fault in HEAVY]

    assert len(names) == len(set(names))
    assert len(names) >= 150
