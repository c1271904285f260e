"""In a kernel of IPython: what cells show, Tab and `?`, a reloaded module, an interrupt."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

import httpkit
from httpkit._display import html
from tests.support.gallery import Seen
from tests.support.interop import require

nbformat = require("nbformat")
NotebookClient = require("nbclient").NotebookClient
start_new_kernel = require("jupyter_client.manager").start_new_kernel

ROOT = Path(__file__).parents[2]
# Seconds; what comes at once on an idle machine may take some on a busy one.
LONG = 30
SECRET = "n0tebook-s3cret-77"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel with a client, both in a folder of their own."""
    folder = tmp_path_factory.mktemp("kernel")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "NO_PROXY": "*",
        "NOTEBOOK_SECRET": SECRET,
    }
    manager, client = start_new_kernel(
        kernel_name="python3", cwd=str(folder), env=environment, startup_timeout=LONG
    )
    try:
        yield SimpleNamespace(manager=manager, client=client, folder=folder)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def run(kernel):
    """Return what runs a cell and returns its outputs."""
    return lambda code: outputs(kernel, kernel.client.execute(code))


def outputs(kernel, cell):
    """Return the outputs of a cell, once it is over."""
    found = []
    while True:
        message = kernel.client.get_iopub_msg(timeout=LONG)
        if message["parent_header"].get("msg_id") != cell:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
        if message["msg_type"] in {"execute_result", "display_data", "stream", "error"}:
            found.append({"kind": message["msg_type"], **message["content"]})
    return found


def printed(cell):
    return "".join(output.get("text", "") for output in cell)


def ask(kernel, question, *arguments, **options):
    """Return the kernel's answer to a question of its front end."""
    sent = getattr(kernel.client, question)(*arguments, **options)
    while True:
        reply = kernel.client.get_shell_msg(timeout=LONG)
        if reply["parent_header"].get("msg_id") == sent:
            return reply["content"]


SETUP = """
import os
from dataclasses import dataclass
import httpkit

@dataclass
class Post:
    title: str
    body: str = ""
    userId: int = 1
    id: int | None = None

class Blog(httpkit.Session):
    posts = httpkit.Resource("posts", Post)

    def newest(self) -> Post:
        "Return the newest post."
        return self.posts.get(3)

blog = Blog({url!r}, auth=httpkit.BearerAuth(os.environ.get("NOTEBOOK_SECRET", "s3cret-of-none")))
response = blog.get("posts")
pages = blog.posts.list()
"""

# A cell, and what its card says.
CELLS = {
    "blog": "BearerAuth(***)",
    "response": "First post",
    "blog.get('bytes/30000', stream=True)": "30.0 kB, not read yet",
    "blog.posts": "PATCH posts/{id}",
    "blog.posts.list()": "nothing yet",
    "blog.download('bytes/30000', 'a.bin', if_exists='replace')": "a second",
    "httpkit.RetryPolicy(attempts=4)": "0.25 to 0.5 s",
    "try:\n    blog.get('status/404')\nexcept httpkit.StatusError as e:\n    caught = e\n"
    "caught": "NotFoundError",
}


def test_a_saved_notebook_shows_a_card_for_each_thing(sandbox, tmp_path, monkeypatch):
    cells = [nbformat.v4.new_code_cell(code) for code in (SETUP.format(url=sandbox.url), *CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    NotebookClient(notebook, timeout=LONG, kernel_name="python3", resources=resources).execute()

    nbformat.validate(notebook)
    shown = [output for cell in cells[1:] for output in cell.outputs]
    assert cells[0].outputs == []
    assert [output.output_type for output in shown] == ["execute_result"] * len(CELLS)
    for output, reported in zip(shown, CELLS.values(), strict=True):
        assert set(output.data) == {"text/html", "text/plain"}  # facts first, no rival to HTML
        assert reported in " ".join(Seen(output.data["text/html"]).words.split())
        assert len(output.data["text/plain"].splitlines()) == 1


def test_a_caught_error_can_be_displayed(sandbox, run):
    run(SETUP.format(url=sandbox.url))

    (shown,) = run(
        "try:\n    blog.get('status/404')\nexcept httpkit.StatusError as error:\n    display(error)"
    )

    assert "404 Not Found" in shown["data"]["text/html"]
    assert "NotFoundError('404 Not Found for GET" in shown["data"]["text/plain"]


def test_an_uncaught_error_shows_no_credential(sandbox, run):
    run(SETUP.format(url=sandbox.url))

    card, error = run(
        "blog.get('status/500', retry=None, params={'api_key': os.environ['NOTEBOOK_SECRET']})"
    )

    assert error["ename"] == "InternalServerError"
    assert SECRET not in f"{card} {error}"


FAILURES = {
    "status": ("blog.posts.get(404404)", "NotFoundError", "404 Not Found"),
    "connection": (
        "httpkit.Session('http://127.0.0.1:1', retry=None).get('x')", "ConnectionError", "refused"
    ),
    "argument": ("blog.get('posts', timeout=0)", "ConfigurationError", "timeout"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_an_uncaught_error_shows_its_card_and_the_line_of_the_user(sandbox, run, failure):
    line, name, words = FAILURES[failure]
    run(SETUP.format(url=sandbox.url))

    card, error = run(f"def fetch():\n    return {line}\n\nfetch()")

    traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert error["ename"] == name
    assert words in card["data"]["text/html"]
    assert line in traceback
    assert "/httpkit/" not in traceback
    assert "site-packages" not in traceback
    assert "internal frames hidden" in traceback


def test_an_uncaught_error_of_a_callback_shows_the_callback(sandbox, run):
    run(SETUP.format(url=sandbox.url))

    _, error = run(
        "def check(response):\n    raise httpkit.ConfigurationError('too few posts')\n\n"
        "blog.get('posts', on_status={200: check})"
    )

    traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert "too few posts" in traceback
    assert "in check(response)" in traceback
    assert "/httpkit/" not in traceback


def test_a_connection_error_of_a_notebook_pickles(run):
    (shown,) = run(
        "import pickle, requests, httpkit\n"
        "try:\n    httpkit.Session('http://127.0.0.1:1', retry=None).get('x')\n"
        "except requests.ConnectionError as error:\n"
        "    again = pickle.loads(pickle.dumps(error))\n"
        "type(again).__name__, again.attempts"
    )

    assert shown["data"]["text/plain"] == "('ConnectionError', 1)"


def test_a_terminal_prints_the_line_of_the_user_and_no_card(sandbox, tmp_path):
    code = f"import httpkit\nhttpkit.Session({sandbox.url!r}).get('status/404')"

    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip

    assert "404 Not Found for GET" in ran.stdout
    assert "get('status/404')" in ran.stdout
    assert "/httpkit/" not in ran.stdout
    assert "<div" not in ran.stdout


def test_a_list_of_responses_is_shown_a_line_each(sandbox, run):
    run(SETUP.format(url=sandbox.url))

    (shown,) = run("[response, response]")

    line = rf"<Response \[200 OK\] GET {re.escape(sandbox.url)}/posts, took .*, body 210 bytes.*>"
    assert re.fullmatch(rf"\[{line},\n {line}\]", shown["data"]["text/plain"])


# ---- Tab and ?

COMPLETIONS = {
    "httpkit.Re": {"httpkit.Resource", "httpkit.Response", "httpkit.RetryPolicy"},
    "blog.": {"blog.get", "blog.post", "blog.download", "blog.posts", "blog.newest", "blog.map"},
    "blog.posts.": {f"blog.posts.{name}" for name in ("list", "get", "create", "exists", "model")},
    "pages.": {"pages.first", "pages.limit", "pages.to_pandas", "pages.resume"},
    "response.": {f"response.{name}" for name in ("attempts", "json", "json_lines", "problem")},
}


@pytest.mark.parametrize(("typed", "offered"), COMPLETIONS.items(), ids=COMPLETIONS)
def test_tab_offers_what_is_there(kernel, run, sandbox, typed, offered):
    run(SETUP.format(url=sandbox.url))
    sent = len(sandbox.requests)

    reply = ask(kernel, "complete", typed)

    start = typed[: reply["cursor_start"]]
    names = {start + match for match in reply["matches"]}
    assert offered - names == set()
    assert not [name for name in names if "__" not in name and "._" in name]
    assert len(sandbox.requests) == sent


DOCSTRINGS = {
    "blog.download": "Download a URL to a file",
    "blog.posts.create": "Add an item (POST)",
    "blog.newest": "Return the newest post.",
    "response.json_lines": "newline-delimited JSON",
    "httpkit.RetryPolicy": "The most times a request is sent",
    "blog.posts": "A collection",
}


@pytest.mark.parametrize(("name", "words"), DOCSTRINGS.items(), ids=DOCSTRINGS)
def test_a_question_mark_shows_the_docstring(kernel, run, sandbox, name, words):
    run(SETUP.format(url=sandbox.url))

    reply = ask(kernel, "inspect", name)

    text = re.sub(r"\x1b\[[0-9;]*m", "", reply["data"]["text/plain"])
    assert words in text
    assert SECRET not in text


# ---- a module that changes

MODULE = """
import httpkit

class {first}(httpkit.Session, headers={{"X-Version": "{version}"}}):
    timeout = 7
    posts = httpkit.Resource("posts")
    {more}

    def title(self):
        return "{version} " + self.posts.get(1)["title"]
"""


def test_a_session_of_a_reloaded_module_goes_on(sandbox, kernel, run):
    module = kernel.folder / "shop.py"
    module.write_text(MODULE.format(first="Shop", version="old", more=""))
    run("%load_ext autoreload\n%autoreload 2\nimport shop")
    run(f"made = shop.Shop({sandbox.url!r})")
    before = run("print(made.title(), made.timeout)")
    module.write_text(
        MODULE.format(first="Shop", version="new", more="users = httpkit.Resource('users')")
    )
    os.utime(module, (time.time() + 10, time.time() + 10))

    after = run("print(made.title(), made.timeout, made.users.get(1)['name'])")
    fresh = run(f"print(shop.Shop({sandbox.url!r}).title())")
    shown = run("made")

    assert printed(before) == "old First post 7\n"
    assert printed(after).startswith("new First post 7 ")
    assert printed(fresh) == "new First post\n"
    assert ".users" in shown[0]["data"]["text/html"]
    versions = [request.headers.get("x-version") for request in sandbox.requests]
    assert versions == ["old", "old", "old", "new"]  # an instance keeps what it was made with


# ---- an interrupt

SIZE, FIRST = 3_000_000, 1_500_000
BODY = bytes(range(256)) * (SIZE // 256 + 1)
FIELDS = f'ETag: "1"\r\nAccept-Ranges: bytes\r\nContent-Length: {SIZE}\r\n\r\n'


def test_a_download_that_was_interrupted_goes_on_when_its_cell_runs_again(
    raw_server, kernel, run, tmp_path
):
    def half(connection):
        connection.sendall(f"HTTP/1.1 200 OK\r\n{FIELDS}".encode() + BODY[:FIRST])
        with suppress(OSError):
            connection.recv(1)  # until the client hangs up

    def rest(connection):
        start = int(re.search(rb"Range: bytes=(\d+)-", server.requests[-1])[1])
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{SIZE - 1}/{SIZE}\r\n"
            + FIELDS.replace(str(SIZE), str(SIZE - start))
        )
        connection.sendall(head.encode() + BODY[start:SIZE])

    server = raw_server(half, rest)
    target = tmp_path / "film.mp4"
    run("import httpkit")
    cell = f"httpkit.Session({server.url!r}).download('film', {str(target)!r}, progress=True)"

    first = kernel.client.execute(cell)
    wait_until(lambda: size_of(tmp_path / "film.mp4.part") > FIRST // 2)
    kernel.manager.interrupt_kernel()
    interrupted = outputs(kernel, first)
    kept = size_of(tmp_path / "film.mp4.part")
    is_whole_too_early = target.exists()
    again = run(cell)

    assert interrupted[-1]["ename"] == "KeyboardInterrupt"
    assert not is_whole_too_early
    assert target.read_bytes() == BODY[:SIZE]
    (card,) = [each["data"]["text/html"] for each in again if each["kind"] == "execute_result"]
    assert f"resumed from {html.size_of(kept)}" in " ".join(Seen(card).words.split())
    assert len(server.requests) == 2
    assert (b"range:" in server.requests[0].lower(), kept >= FIRST // 2) == (False, True)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def wait_until(is_so):
    ends = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.01)


def test_the_kernel_runs_the_package_that_is_tested(run):
    shown = run("import httpkit; print(httpkit.__file__)")

    assert printed(shown).strip() == httpkit.__file__
