"""The bar: in a terminal, in a pipe, in a notebook; and what callables and other bars get."""

import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tqdm.std import tqdm

import httpkit
from tests.support.interop import require
from tests.support.platforms import ON_WINDOWS, PATIENCE, not_on_windows

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
        timeout=PATIENCE,
    )


def shown_in_a_terminal(sandbox, **environment):
    if ON_WINDOWS:
        pytest.skip("it has no pseudo-terminals")
    import pty

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
    nbformat = require("nbformat")
    cell = nbformat.v4.new_code_cell(
        "import httpkit\n"
        f"with httpkit.Session({sandbox.url!r}) as api:\n"
        f"    api.download('bytes/300000', {str(tmp_path)!r}, progress=True)"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])

    require("nbclient").NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    (output,) = [each for each in cell.outputs if each.output_type == "display_data"]
    html = output.data["text/html"]
    assert re.search(r'<progress value="300000" max="300000">', html)
    assert "100%" in html
    assert "application/vnd.jupyter.widget-view+json" not in output.data
    assert "<style" not in html


def test_a_callable_gets_the_first_and_the_last_state(sandbox, tmp_path):
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


# ---- without a stderr, or with one that is none


class Stream:
    """A stand-in for stderr with these attributes and no others."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def broken(*_):
    raise BrokenPipeError(32, "Broken pipe")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def detached():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.detach()
    return stream


STREAMS = {
    "none": lambda: None,
    "closed": closed,
    "detached": detached,
    "without anything": Stream,
    "that can only write": lambda: Stream(write=len),
    "that asks in vain": lambda: Stream(write=len, isatty=broken),
    "of a broken pipe": lambda: Stream(
        write=broken, flush=broken, isatty=lambda: True, encoding="utf-8"
    ),
    "of an unknown encoding": lambda: Stream(
        write=len, flush=int, isatty=lambda: True, encoding="klingon"
    ),
}


@pytest.mark.parametrize("switch", ["", "on"])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_stderr_that_cannot_be_written_to_is_no_matter(
    sandbox, tmp_path, monkeypatch, stream, switch
):
    monkeypatch.setenv("HTTPKIT_PROGRESS", switch)
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())

    with httpkit.Session(sandbox.url) as api:
        got = api.download("bytes/300000", tmp_path, progress=True)
        api.upload("echo", b"x" * 9, progress=True)
        results = list(api.map(str, range(3), progress=True))

    assert (got.size, results) == (300_000, ["0", "1", "2"])


def test_a_download_without_a_stderr_is_silent(sandbox):
    code = f"import sys; sys.stderr = None\n{CODE}"  # as pythonw and PyInstaller set it

    done = subprocess.run(
        [sys.executable, "-c", code, sandbox.url],
        stdout=subprocess.PIPE,
        check=True,
        timeout=PATIENCE,
    )

    assert done.stdout == b""


@not_on_windows("its shell closes no stream")
def test_a_process_without_a_stderr_downloads_in_silence(sandbox):
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", CODE, sandbox.url]

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)

    assert done.stdout == b""


def test_a_bar_escapes_what_the_stderr_cannot_encode(sandbox, tmp_path, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setenv("HTTPKIT_PROGRESS", "on")
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, "ascii", write_through=True))

    with httpkit.Session(sandbox.url) as api:
        api.download("bytes/300000", tmp_path / "caf\xe9", progress=True)

    assert rb"caf\xe9: 100%|##" in written.getvalue()


def test_a_line_that_tqdm_writes_does_not_run_into_the_bar(sandbox, tmp_path, monkeypatch):
    written = io.StringIO()
    monkeypatch.setenv("HTTPKIT_PROGRESS", "on")
    monkeypatch.setattr(sys, "stderr", written)
    server = sandbox.url

    def say(_):
        tqdm.write("a line", file=written)
        return True

    with httpkit.Session(server) as api:
        assert list(api.map(say, range(1), progress=True)) == [True]

    assert any(line == "a line" for line in re.split(r"[\r\n]", written.getvalue()))


@pytest.mark.parametrize("workers", [None, 2], ids=["threads of map", "an executor"])
def test_a_mapping_and_its_transfers_show_one_bar(sandbox, tmp_path, monkeypatch, workers):
    executor = workers and ThreadPoolExecutor(workers)
    written = io.StringIO()
    monkeypatch.setenv("HTTPKIT_PROGRESS", "on")
    monkeypatch.setattr(sys, "stderr", written)

    def copied(number):
        got = api.download("bytes/300000", tmp_path / f"file-{number}", progress=True)
        return api.upload("echo", got.path, progress=True).status_code

    with httpkit.Session(sandbox.url) as api:
        assert list(api.map(copied, range(3), progress=True, executor=executor)) == [200] * 3
        assert "file-" not in written.getvalue()
        assert "copied: 100%" in written.getvalue()

        copied(3)
        assert "file-3: 100%" in written.getvalue()
