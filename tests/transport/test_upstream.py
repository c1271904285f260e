"""The private names of our dependencies: what is used of them is listed, and may be missing.

Each case has copies of the libraries in which one name is another, in a process of its own.
"""

import ast
import compileall
import os
import re
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from http import client
from pathlib import Path

import pytest
import requests
import urllib3

import httpkit
from httpkit._transport import _upstream
from httpkit.testing import Sandbox
from tests.support import fresh_processes

PROGRAM = Path(__file__).parents[1] / "support" / "session_on_renamed.py"
PACKAGES = {
    "requests": Path(requests.__file__).parent,
    "urllib3": Path(urllib3.__file__).parent,
    "http": Path(client.__file__).parent,
}
# Names that were used once, and those of the layers below the transport that have a substitute.
UNUSED = {
    "requests": (
        "_store", "guess_json_utf", "merge_hooks", "guess_filename", "to_key_val_list",
        "REDIRECT_STATI", "MockResponse", "select_proxy", "get_auth_from_url",
    ),
    "urllib3": ("_version",),
}  # fmt: skip
ROWS = [(row.owner, row.names) for row in _upstream.TABLE]
ROWS += [(f"{package} (unused)", names) for package, names in UNUSED.items()]
# A few names in each test, so that a busy machine does not take it beyond its timeout.
CASES = [(owner, names[i : i + 3]) for owner, names in ROWS for i in range(0, len(names), 3)]


def link(source, target):
    """Link a file, or copy it: from another disk, and where a link may outlast `unlink`."""
    if sys.platform == "win32":
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_without(name, package, folder):
    """Make a copy of a package in which a name is another; return the folder to import from."""
    target = folder / f"{package}-{name}"
    shutil.copytree(PACKAGES[package], target / package, copy_function=link)
    word = re.compile(rf"(?<![A-Za-z0-9_]){name}\b")
    sources = [path for path in target.rglob("*.py") if word.search(path.read_text("utf-8"))]
    for path in sources:
        text = word.sub(f"{name}_renamed", path.read_text("utf-8"))
        path.unlink()  # it is a link to the original
        path.write_text(text, "utf-8")
    for path in target.rglob(f"{name}.py"):
        path.rename(path.with_name(f"{name}_renamed.py"))
        sources.append(path)
    assert sources, f"{package} has no {name}"
    return target


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that runs the program with a copy of a library, or without one.

    httpkit is a copy too, compiled once: its source may be where no bytecode is written, and to
    compile it takes longer than all else.
    """
    compiled = tmp_path_factory.mktemp("compiled")
    shutil.copytree(Path(httpkit.__file__).parent, compiled / "httpkit", copy_function=link)
    compileall.compile_dir(compiled, quiet=1)

    def call(url, copies, folder, *arguments):
        output = folder.with_name("-".join([folder.name, "output", *arguments]))
        folders = [*copies, compiled]
        return fresh_processes.run(PROGRAM, [url, str(folder), *arguments], folders, output)

    return call


def failures_without(name, package, folder, url, run):
    """Return what a session cannot do on such a copy, unless requests alone cannot either."""
    name = re.sub("^_[A-Z][A-Za-z]+__", "__", name)  # as it is written in its class
    first = copy_without(name, package, folder)
    scratch = folder / f"{package}-{name}-files"
    scratch.mkdir()
    output = run(url, [first], scratch)
    if output.startswith("records: "):
        return "", output
    stock = run(url, [first], scratch, "stock")
    return ("" if not stock.startswith("records: ") else output), ""


@pytest.fixture(scope="module")
def server():
    with Sandbox() as sandbox:
        yield sandbox.url.rstrip("/")


@pytest.mark.parametrize(("owner", "names"), CASES, ids=[f"{o} {n[0]}" for o, n in CASES])
def test_a_session_works_without_any_one_private_name(server, run, tmp_path, owner, names):
    package = re.match(r"\w+", owner)[0]

    with ThreadPoolExecutor(2) as pool:
        results = list(
            pool.map(lambda name: failures_without(name, package, tmp_path, server, run), names)
        )

    assert {n: failed for n, (failed, _) in zip(names, results, strict=True) if failed} == {}


def test_a_session_says_once_which_names_are_missing(server, run, tmp_path):
    _, output = failures_without("_put_conn", "urllib3", tmp_path, server, run)

    assert output.count("sessions use urllib3's own connections") == 1
    assert "urllib3.connectionpool.HTTPConnectionPool._put_conn" in output


def test_nothing_is_missing_in_the_installed_versions(server, run, tmp_path):
    assert _upstream.MISSING == []
    assert [row.missing() for row in _upstream.TABLE] == [[] for _ in _upstream.TABLE]
    assert run(server, [], tmp_path) == "records: []\n"


def defined(node):
    """Return the name that a node defines, or None."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
        return node.attr if isinstance(node, ast.Attribute) else node.id
    return None


def used(node):
    """Return the name that a node uses of something, in code or as a string."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return node.arg if isinstance(node, ast.keyword) else None


def nodes(paths):
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]


def test_every_private_name_that_is_used_is_in_the_table():
    upstream = {
        name
        for package in ("requests", "urllib3")
        for name in map(defined, nodes(PACKAGES[package].rglob("*.py")))
        if name and name.startswith("_") and not name.startswith("__") and name != "_"
    }
    folder = Path(httpkit.__file__).parent
    where = defaultdict(set)
    for path in folder.rglob("*.py"):
        tree = nodes([path])
        own = set(map(defined, tree))
        for name in set(map(used, tree)) & upstream - own:
            where[name].add(path.relative_to(folder).as_posix())
    ours = set(map(defined, nodes(folder.rglob("*.py"))))

    listed = {name for row in _upstream.TABLE for name in row.names}
    unlisted = {name: paths for name, paths in where.items() if name not in listed | ours}

    assert unlisted == {}
