"""The pages as a site: every public name has a place, every link a target; the notebook runs."""

import inspect
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import httpkit
from httpkit import testing
from httpkit._policy import auth
from tests.support.interop import require

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
REFERENCE = {page.stem: page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md")}
MODULES = (httpkit, testing, auth)

# What a class has for the house, not for its users; Pager and Strategy show it once.
INNER = {
    *("own", "begin", "following", "from_within"),
    *("can_change", "reject", "accept", "resign"),
    *("mismatch", "decode_error"),  # errors about a body, made for Resource and Pages
    *("matches", "respond", "sent", "sleep"),  # of `Script`, `Reply` and `FakeClock`
    *("pool_at", "replacing", "proxy_headers"),  # of Adapter, for the fast path and the session
    *("apparent_encoding", "cookies", "is_redirect", "next", "close", "raw"),  # as in requests
}


DIRECTIVE = re.compile(r"\s*\.\. (auto\w+|py:data):: (?:httpkit(?:\.[a-z_]+)*\.(?=[A-Z]))?([\w.]+)")
MEMBERS = re.compile(r"\s*:members:(.*)")


def documented():
    """Return what the reference shows: "Session", "Session.request", "raising"."""
    found, owner = set(), ""
    for line in "\n".join(REFERENCE.values()).splitlines():
        if directive := DIRECTIVE.match(line):
            extension, name = directive.groups()
            if extension == "automethod" and "." not in name:  # indented below its class
                name = f"{owner}.{name}"
            elif extension != "automethod":
                owner = name
            found.add(name)
        elif members := MEMBERS.match(line):
            named = {name.strip() for name in members[1].split(",")} - {""}
            found |= {f"{owner}.{name}" for name in named or public(of(owner))}
    return found


def of(name):
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


def public(extension):
    """Return the names of the methods and properties that httpkit itself gives a class."""
    ours = [base for base in extension.__mro__ if base.__module__.startswith("httpkit")]
    return {
        name
        for base in ours
        for name, value in vars(base).items()
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, (property, classmethod)))
    }


def test_every_public_name_is_in_the_reference():
    missing = {*httpkit.__all__, *testing.__all__} - documented()

    assert missing == set()


def test_every_public_method_is_in_the_reference():
    extensions = [
        extension
        for name in httpkit.__all__
        if isinstance(extension := getattr(httpkit, name), type)
    ]
    errors = [extension for extension in extensions if issubclass(extension, Exception)]
    of_testing = [
        extension for n in testing.__all__ if isinstance(extension := getattr(testing, n), type)
    ]

    missing = {
        f"{extension.__name__}.{name}"
        for extension in [*extensions, *of_testing]
        if extension not in errors
        for name in public(extension) - INNER
    } - documented()

    assert missing == set()


def test_the_reference_shows_nothing_that_is_not_there():
    shown = [name.partition(".") for name in documented() - {"httpkit.testing.sandbox.server"}]

    gone = [name for name, _, member in shown if member and not hasattr(of(name), member)]

    assert gone == []
    assert len(shown) > 100


def test_the_tree_of_errors_is_that_of_the_source():
    tree = re.search(r"```text\n(.*?)```", REFERENCE["exceptions"], re.DOTALL)[1]

    assert textwrap.indent(tree, "    ") in httpkit._diagnostics.errors.__doc__


def rows(page, heading):
    """Return the first cells of the table below a heading of the reference."""
    section = REFERENCE[page].partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `?(\w+)`?", section, re.MULTILINE)[1:]


def test_the_settings_table_lists_every_setting_in_order():
    settings = list(inspect.signature(httpkit.Session).parameters)

    assert rows("session", "Settings") == settings


def test_the_settings_table_shows_the_defaults_of_the_class():
    shown = dict(
        re.findall(r"^\| `(\w+)` \| (.*?) \| attribute", REFERENCE["session"], re.MULTILINE)
    )

    wrong = {name: text for name, text in shown.items() if name != "max_body"
             and repr(getattr(httpkit.Session, name)) != text}  # fmt: skip

    assert wrong == {}
    assert len(shown) > 10


def test_the_exceptions_table_names_every_exception_but_the_bases_and_single_statuses():
    section = REFERENCE["exceptions"].partition("## Which exception")[2].partition("\n## ")[0]
    extensions = [
        extension
        for name in httpkit.__all__
        if isinstance(extension := getattr(httpkit, name), type)
    ]
    statuses = httpkit.StatusError

    missing = {
        extension.__name__
        for extension in extensions
        if issubclass(extension, httpkit.HTTPKitError) and not issubclass(extension, statuses)
        if extension is not httpkit.HTTPKitError and f"`{extension.__name__}`" not in section
    }

    assert missing == set()


@pytest.mark.parametrize("name", httpkit.__all__)
def test_every_public_name_says_what_it_is(name):
    value = getattr(httpkit, name)

    words = inspect.getdoc(value if callable(value) else type(value)) or ""

    assert re.match(r"\w.{10,}", words), name


def anchors(page):
    """Return the anchors of a page's headings, as forges and MyST spell them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_leads_to_one():
    broken = [
        f"{page.relative_to(ROOT)}: {target}#{anchor}"
        for page in [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]
        for target, anchor in re.findall(
            r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text("utf-8")
        )
        if anchor not in anchors(page.parent / target if target else page)
    ]

    assert broken == []


def test_every_page_can_be_found_from_the_index():
    index = (DOCS / "index.md").read_text("utf-8")

    lost = [
        page.relative_to(DOCS).as_posix()
        for page in PAGES
        if page.name != "index.md" and f"({page.relative_to(DOCS).as_posix()})" not in index
        if page.parent.name != "reference" and page.name != "changelog.md"
    ]

    assert lost == []


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads((DOCS / "quickstart-notebook.ipynb").read_text("utf-8"))["cells"]

    code = [cell for cell in cells if cell["cell_type"] == "code"]

    assert len(code) > 10
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


def test_the_notebook_runs_and_shows_no_secret():
    notebook = require("nbformat").read(DOCS / "quickstart-notebook.ipynb", as_version=4)

    require("nbclient").NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()

    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "Post(title='Hello', body='First!', userId=1, id=4)" in shown
    assert "no such post" in shown
    assert "title is required" in shown
    assert '<progress value=\\"3000000\\" max=\\"3000000\\">' in shown
    assert shown.count("text/html") > 4  # the cards
    assert '"stderr"' not in shown
    assert "sandbox-token" not in shown


@pytest.mark.parametrize("script", ["api", "layers"])
def test_a_generated_page_is_up_to_date(script):
    command = [sys.executable, str(DOCS / "_ext" / f"{script}.py"), "--check"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, f"run: python docs/_ext/{script}.py {ran.stderr}"
