"""Every example of README and docs runs, against a Sandbox in place of its made-up hosts."""

import os
import re
import runpy
import subprocess
import sys
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import requests
from fake_github import FakeGitHub
from fake_payments import FakePayments
from fake_proxy import FakeProxy
from fake_services import FakeJobs, FakeLogin, FakeReceiver, FakeShop

from httpkit.testing import Sandbox
from tests.support.interop import require
from tests.support.platforms import PATIENCE

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CLIENTS = [ROOT / "docs/clients" / name for name in ("github.py", "payments.py")]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README_BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# Made-up and real hosts of the pages, and what runs in their place.
FAKES = {
    "https://api.github.com": FakeGitHub,
    "https://api.stripe.com": FakePayments,
    "https://shop.example.com": FakeShop,
    "https://login.example.com": FakeLogin,
    "https://hooks.example.com": FakeReceiver,
    "https://jobs.example.com": FakeJobs,
    "@proxy.example.com:3128": FakeProxy,
}


def close_sessions(names: dict[str, object]) -> None:
    """Close the sessions that the examples of a page opened."""
    for value in names.values():
        if isinstance(value, requests.Session):
            value.close()


def run(blocks: list[str], sandbox: Sandbox) -> None:
    """Run the blocks of a page one after the other, as a reader would."""
    names: dict[str, object] = {"__name__": "example"}
    hosts = {"https://api.example.com/v1": f"{sandbox.url}/bearer"}
    hosts["https://auth.example.com"] = sandbox.url
    with ExitStack() as stack:
        stack.callback(close_sessions, names)
        for host, fake in FAKES.items():
            if any(host in block for block in blocks):
                location = stack.enter_context(fake()).url
                hosts[host] = location.replace("http://", "@") if host.startswith("@") else location
        for block in blocks:
            local = block
            for host, location in hosts.items():
                local = local.replace(host, location)
            try:
                exec(compile(local, "<example>", "exec"), names)  # noqa: S102  # our own pages
            except ModuleNotFoundError as error:
                require(error.name or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_every_example_of_a_page_runs(page, sandbox, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLOG_TOKEN", sandbox.token)
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # to this machine
    blocks = BLOCK.findall(page.read_text("utf-8"))

    run(blocks, sandbox)


def test_the_example_of_the_readme_prints_what_the_readme_shows(tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    (block,) = README_BLOCK.findall(readme)
    (output,) = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
        capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False,
    )  # fmt: skip

    assert ran.stderr == ""
    assert re.sub(r"(127\.0\.0\.1:)\d+", r"\1…", ran.stdout) == output


def test_the_tutorial_prints_what_it_says(tmp_path, monkeypatch, waits):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/tutorial.md").read_text("utf-8")
    steps = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?"
    shown = re.findall(steps, page, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}

    printed = []
    for block, _ in shown:
        with redirect_stdout(StringIO()) as out:
            exec(compile(block, "<tutorial>", "exec"), names)  # noqa: S102  # our own page
        printed.append(out.getvalue())

    assert printed == [text for _, text in shown]
    assert sum(bool(text) for text in printed) > 10
    assert waits[:2] == [1.0, 2.0]  # "about two seconds": chance takes up to half of it away


def settled(text):
    """Return a text without what differs from run to run: host, numbers, optional codings."""
    text = re.sub(r"http://127[^/]*/bearer|https://api.example.com/v1", "HOST", text)
    return re.sub(r"\d[\d.:]*", "N", re.sub(", (br|zstd)", "", text))


def test_the_page_of_logs_shows_what_is_printed(sandbox, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/guides/logging.md").read_text("utf-8")
    shown = "".join(re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    blocks = BLOCK.findall(page)

    run(blocks[:2], sandbox)
    logged = "".join(
        line for line in capsys.readouterr().err.splitlines(keepends=True) if "flaky/" in line
    )
    run([blocks[0].partition("with")[0], next(b for b in blocks if "to_curl" in b)], sandbox)
    printed = capsys.readouterr().out

    assert settled(logged + printed) == settled(shown)


def test_the_clients_are_as_short_as_the_readme_says():
    lengths = [len(path.read_text("utf-8").splitlines()) for path in CLIENTS]

    assert len(lengths) == 2
    assert max(lengths) < 70


def test_links_between_pages_lead_somewhere():
    pages = [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]

    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_every_test_that_a_page_names_is_there():
    named = {
        (file, name)
        for page in PAGES
        for file, name in re.findall(r"`(test_\w+)::(test_\w+)`", page.read_text("utf-8"))
    }

    missing = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if f"def {name}(" not in next((ROOT / "tests").rglob(f"{file}.py")).read_text("utf-8")
    ]

    assert missing == []
    assert len(named) > 50


def test_the_promises_are_numbered_and_each_names_its_tests():
    page = (ROOT / "docs/background/guarantees.md").read_text("utf-8")

    promises = re.findall(r"^### ([0-9]+)\. .*?\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL)

    assert [int(number) for number, _ in promises] == list(range(1, 27))
    assert all("::test_" in words for _, words in promises)


def test_each_library_of_the_page_of_what_works_names_its_tests():
    page = (ROOT / "docs/background/third-party-packages.md").read_text("utf-8")
    page = re.sub(r"<!-- suites:.*?<!-- suites: end -->", "", page, flags=re.DOTALL)

    rows = re.findall(r"^\| (?!package \||part \||behavior \||-)(.*?) \|", page, re.MULTILINE)
    held = re.findall(r"^\| (.*?) \|.*`test_\w+::test_\w+`.*\|$", page, re.MULTILINE)

    assert rows == held
    assert len(rows) > 25


def test_the_quickstart_runs_on_its_own_server(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["quickstart.py"])

    runpy.run_path(str(ROOT / "docs/quickstart.py"), run_name="__main__")

    printed = capsys.readouterr().out
    assert "create    Post(title='Hello', body='First!', userId=1, id=4)" in printed
    assert "deleted   True" in printed
    assert "3 attempts" in printed
    assert "3000000 bytes" in printed
    assert "title is required" in printed
    assert "sandbox-token" not in printed


def test_the_quickstart_runs_on_the_server_it_is_given(sandbox):
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "docs/quickstart.py", f"{sandbox.url}/bearer"],
        env={**os.environ, "BLOG_TOKEN": sandbox.token, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "deleted   True" in done.stdout
    assert [request.method for request in sandbox.requests][:2] == ["POST", "GET"]


def test_the_console_commands_of_the_readme_are_the_documented_two():
    commands = re.findall(r"^\$ (.*)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)

    first = "python3 -m venv .venv && .venv/bin/pip install -e ."
    assert commands == [
        f"{first} && .venv/bin/python docs/quickstart.py",
        ".venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest -n auto --dist worksteal",
    ]
