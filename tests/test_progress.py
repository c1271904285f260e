"""The bar: in a terminal, in a pipe, in a notebook; and what callables and other bars get."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tqdm.std import tqdm

import httpkit

CODE = """
import sys, tempfile
import httpkit
with tempfile.TemporaryDirectory() as folder, httpkit.Session(sys.argv[1]) as api:
    api.download("bytes/300000", folder, progress=True)
"""


def run(sandbox, stderr, **environment):
    subprocess.run(
        [sys.executable, "-c", CODE, sandbox.url],
        stderr=stderr,
        env={**os.environ, **environment},
        check=True,
        timeout=30,
    )


def shown_in_a_terminal(sandbox, **environment):
    ours, theirs = pty.openpty()
    try:
        run(sandbox, theirs, **environment)
        os.set_blocking(ours, False)  # the standard library's signature
        try:
            return os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            return ""
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_sees_the_finished_bar(sandbox):
    shown = shown_in_a_terminal(sandbox, HTTPKIT_PROGRESS="")

    assert "100%" in shown
    assert "293k/293k" in shown


def test_a_switch_silences_the_bar_in_a_terminal(sandbox):
    shown = shown_in_a_terminal(sandbox, HTTPKIT_PROGRESS="off")

    assert shown == ""


@pytest.mark.parametrize(("switch", "is_shown"), [("", False), ("on", True)])
def test_a_pipe_sees_a_bar_only_when_the_switch_says_so(sandbox, tmp_path, switch, is_shown):
    log = tmp_path / "log"

    with log.open("wb") as stderr:
        run(sandbox, stderr, HTTPKIT_PROGRESS=switch)

    assert ("100%" in log.read_text("utf-8")) is is_shown


def test_a_saved_notebook_shows_the_finished_bar(sandbox, tmp_path):
    cell = nbformat.v4.new_code_cell(
        "import httpkit\n"
        f"with httpkit.Session({sandbox.url!r}) as api:\n"
        f"    api.download('bytes/300000', {str(tmp_path)!r}, progress=True)"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])

    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    (output,) = [each for each in cell.outputs if each.output_type == "display_data"]
    html = output.data["text/html"]
    assert re.search(r'<progress value="300000" max="300000">', html)
    assert "100%" in html
    assert "application/vnd.jupyter.widget-view+json" not in output.data
    assert "<style" not in html


def test_a_callable_is_told_the_first_and_the_last_state(sandbox, tmp_path):
    states = []
    with httpkit.Session(sandbox.url) as api:
        api.download("bytes/300000", tmp_path, progress=lambda p: states.append((p.done, p.total)))

    assert states[0] == (0, 300000)
    assert states[-1] == (300000, 300000)


def test_a_bar_of_the_callers_is_updated_and_left_open(sandbox, tmp_path):
    with Path(os.devnull).open("w") as nowhere, tqdm(file=nowhere) as bar:
        with httpkit.Session(sandbox.url) as api:
            api.download("bytes/300000", tmp_path, progress=bar)

        assert (bar.n, bar.total, bar.disable) == (300000, 300000, False)
