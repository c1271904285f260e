"""What a script pays before its first request, counted in work rather than in seconds.

`python tests/benchmarks/first_import.py` has the seconds. A bound may be lowered at any time; it is
raised only for something that every program needs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from httpkit.testing import Sandbox

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys, json
{before}
before, calls = set(sys.modules), []

def count(frame, event, function):
    if event == "call":
        calls.append(frame.f_code.co_filename)
    elif event == "c_call" and function.__name__ in ("compile", "eval", "exec"):
        # The import system compiles a module whose bytecode is not cached yet: once for each user.
        if not frame.f_code.co_filename.startswith("<frozen importlib"):
            calls.append(function.__name__)

sys.setprofile(count)
{program}
sys.setprofile(None)
print(json.dumps({{"calls": calls, "modules": sorted(set(sys.modules) - before)}}))
"""


def work(program, before="import requests"):
    """Return what a program calls and imports in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, program=program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def imported():
    return work("import httpkit")


def test_the_import_loads_few_modules(imported):
    ours = [name for name in imported["modules"] if name.partition(".")[0] == "httpkit"]

    assert "httpkit._client.session" in ours
    assert len(ours) <= 47


def test_the_import_loads_no_other_package(imported):
    others = {name.partition(".")[0] for name in imported["modules"]} - {"httpkit"}

    # Python's own, and small; `dataclasses` and `inspect` are not.
    assert others <= {"contextvars", "_contextvars"}


def test_the_import_compiles_nothing(imported):
    calls = imported["calls"]

    # A NamedTuple or a dataclass compiles its methods, and an annotation for each of its fields.
    assert not {"compile", "eval"} & {*calls}
    assert not any(file.endswith(("/re/_compiler.py", "/sre_compile.py")) for file in calls)


def test_the_import_makes_few_calls(imported):
    ours = [file for file in imported["calls"] if "httpkit" in file]

    assert 0 < len(ours) <= 440


def test_a_session_makes_few_calls():
    made = work("httpkit.Session()", before="import httpkit; httpkit.Session()")

    assert made["modules"] == []
    assert 0 < len(made["calls"]) <= 106


def test_a_first_request_loads_and_compiles_little():
    with Sandbox() as sandbox:
        made = work(f"httpkit.get({sandbox.url + '/echo'!r}).json()", before="import httpkit")

    ours = {name for name in made["modules"] if name.startswith("httpkit.")}
    # A pattern is compiled in Python, by hundreds of calls: a half of what a first request costs.
    compiling = [file for file in made["calls"] if Path(file).parent.name == "re"]
    # The Sandbox sends the body after the head; one that comes with it is read without this.
    assert ours <= {"httpkit._client.functions", "httpkit._messages.reading"}
    assert 0 < len(compiling) <= 1800
