"""The package is built and installed as users get it; `tests/package.py` runs all tests on it."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import httpkit
from tests.package import check_contents
from tests.packaging.test_typing import has_node
from tests.support.interop import require

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

BUILD = """
import sys
from hatchling import build
print(build.build_sdist(sys.argv[1]), build.build_wheel(sys.argv[1]), sep="\\n")
"""
USE = """
import json
import sys
from importlib.metadata import version

import httpkit
from httpkit.testing import Sandbox

with Sandbox() as sandbox, httpkit.Session(sandbox.url) as api:
    found = api.get("posts/1").json()["id"]
print(json.dumps([httpkit.__file__, version("requests-httpkit"), found]))
"""

pytestmark = pytest.mark.skipif(
    not (ROOT / "httpkit").is_dir(), reason="these tests run on the installed package already"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel."""
    require("hatchling")
    location = tmp_path_factory.mktemp("dist")
    ran = subprocess.run(
        [sys.executable, "-c", BUILD, location],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [location / name for name in ran.stdout.splitlines()[-2:]]


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The variables of a process that finds the wheel's package, and no source."""
    location = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built[1]) as wheel:  # pure Python: unpacked is installed
        wheel.extractall(location)
    return {**os.environ, "PYTHONPATH": str(location), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


def test_the_wheel_and_the_sdist_hold_what_belongs_there(built):
    check_contents(*built)


def test_the_installed_package_works_without_its_source(installed, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE],
        cwd=tmp_path, env=installed, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    location, version, found = json.loads(ran.stdout)
    assert (Path(location).parents[1], found) == (Path(installed["PYTHONPATH"]), 1)
    assert version == httpkit.__version__


@pytest.mark.timeout(120)  # pyright starts without its cache
@pytest.mark.skipif(not has_node(), reason="pyright or its node is not installed")
def test_every_public_name_of_the_installed_package_has_a_type(installed, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "httpkit", "--ignoreexternal"],
        cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False,
        env={**installed, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip

    assert "Type completeness score: 100%" in ran.stdout, ran.stdout[-3000:]
    assert installed["PYTHONPATH"] in ran.stdout


def test_the_metadata_says_what_pyproject_does(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(wheel.read(name).decode("utf-8"))

    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata.get_all("Provides-Extra") == sorted(PROJECT["optional-dependencies"])
    assert metadata.get_payload().startswith("# httpkit")


def test_every_bound_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()

    bounds = [line for line in lines if re.match(r'^  "[\w-]+(?:\[\w+\])?[>=]=.*",', line)]

    listed = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert len(bounds) == sum(map(len, listed))
    assert [line for line in bounds if not re.search(r'", +# \w', line)] == []
