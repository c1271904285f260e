"""The fixtures, in a pytest of their own: what they give, and that others do not pay for them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from _pytest.assertion.rewrite import AssertionRewriter

import httpkit

ROOT = Path(__file__).parents[2]


def run(tests, folder, *options):
    """Run tests with the plugin and no other, every warning an error."""
    (folder / "test_sdk.py").write_text(tests, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_httpkit", "-W", "error", *options],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


FIXTURES = """
import httpkit
import pytest
import requests


def test_sandbox(httpkit_sandbox, httpkit_waits):
    with httpkit.Session(httpkit_sandbox.url) as api:
        assert api.get("flaky/key", params={"fail": 2}).attempts == 3

    assert httpkit_waits == [1.0, 2.0]
    assert len(httpkit_sandbox.attempts("key")) == 3


@pytest.mark.usefixtures("httpkit_no_waiting")
def test_script(httpkit_script):
    script = httpkit_script(requests.ConnectionError, 200, method="PUT")
    httpkit_script(204, url="https://other.example/")
    with httpkit.Session("https://api.example.com") as api:
        api.put("users/1", json={"name": "Ada"})
        api.delete("https://other.example/")

    script.assert_identical()


def test_clock(httpkit_clock, httpkit_script):
    httpkit_script(503, 200)
    with httpkit.Session("https://api.example.com", rate_limit="1/h", deadline=None) as api:
        api.get("x")

    assert httpkit_clock.waits[0] == 1.0
    assert httpkit_clock.waits[1] == pytest.approx(3599, abs=1)


def test_everything_is_as_before_after_the_last_test():
    from httpkit._core.clock import CLOCK, Clock

    assert CLOCK.sleep is Clock().sleep
    assert requests.adapters.HTTPAdapter.send.__module__ == "requests.adapters"
"""
LEFT = """
import httpkit

def test_left(httpkit_script):
    httpkit_script(200)
"""
BARE = """
import sys

def test_bare():
    assert not {"httpkit", "requests", "responses", "urllib3"} & sys.modules.keys()
"""


def test_each_fixture_gives_its_object(tmp_path):
    ran = run(FIXTURES, tmp_path)

    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "4 passed" in ran.stdout


def test_a_script_that_is_not_used_up_fails_the_test(tmp_path):
    ran = run(LEFT, tmp_path)

    assert ran.returncode == 1
    assert "the script has 1 responses, but got 0 requests" in ran.stdout


def test_whoever_uses_no_fixture_imports_nothing(tmp_path):
    ran = run(BARE, tmp_path)

    assert ran.returncode == 0, ran.stdout


def test_the_tests_of_the_page_pass(tmp_path):
    page = (ROOT / "docs/guides/testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    client = next(block for block in blocks if "class Directory" in block)
    tests = next(block for block in blocks if "def test_" in block)

    ran = run(f"{client}\nfrom httpkit.testing import Reply\n{tests}", tmp_path)

    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


def test_each_fixture_says_what_it_is(tmp_path):
    ran = run(BARE, tmp_path, "--fixtures")

    assert "no docstring" not in ran.stdout
    for name in ("sandbox", "clock", "waits", "no_waiting", "script"):
        assert f"httpkit_{name} -- " in ran.stdout


def test_pytest_finds_the_plugin_where_the_package_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    assert project["project"]["entry-points"]["pytest11"] == {"httpkit": "pytest_httpkit"}
    assert "pytest_httpkit" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_pytest_does_not_warn_where_the_package_was_imported_before_it():
    assert AssertionRewriter.is_rewrite_disabled(httpkit.__doc__)
