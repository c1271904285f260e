"""Run other projects' test suites plain and on httpkit's session, and print what is new.

    python tests/compat/suites.py                     all of them
    python tests/compat/suites.py hvac responses      some
    python tests/compat/suites.py --write             and put what came out into the docs

The exit status is 0 when every test that passes plain passes on httpkit too, or has a reason here.

Rule: the standard library only, so that any Python can start it.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from comparison import Bench, Result, Suite, SuiteError, compare, print_details

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "background" / "third-party-packages.md"
BEGIN, END = "<!-- suites: written by the command -->", "<!-- suites: end -->"

PYTEST = ("pytest<10", "pytest-timeout")  # a test that waits for the internet must end
HTTPBIN = ("pytest-httpbin==2.1.0", "httpbin~=0.10.0")

# Versions are those whose numbers the docs show (2026-11): a newer one may test something else.
SUITES = (
    Suite(
        project="requests",
        version="2.34.2",
        source="src",
        # From requests' own requirements-dev.txt and dependency group; PySocks for requests[socks].
        requirements=(*PYTEST, *HTTPBIN, "PySocks", "trustme", "pytest-mock"),
    ),
    Suite(
        project="requests-toolbelt",
        version="1.0.0",
        source="requests_toolbelt",
        requirements=(*PYTEST, "betamax==0.9.0", "pyopenssl", "trustme"),
    ),
    Suite(
        project="hvac",
        version="2.4.0",
        source="hvac",
        tests=("tests/unit_tests",),
        requirements=(
            *PYTEST,
            *("requests-mock", "parameterized", "pytest-mock", "Authlib", "jwcrypto"),
            *("semantic-version", "packaging<24", "pyhcl", "Werkzeug", "Flask"),
        ),
        options=("-o", "addopts="),
        note="unit tests; the others need a Vault",
    ),
    Suite(
        project="requests-oauthlib",
        version="2.0.0",
        source="requests_oauthlib",
        requirements=(*PYTEST, "requests-mock", "oauthlib[signedtoken]"),
        options=("--ignore=tests/examples",),
        known={
            "*ComplianceFixTest::test_fetch_access_token": "it compares a time in whole seconds",
        },
        note="without the examples, which need a browser",
    ),
    Suite(
        project="requests-futures",
        version="1.1.0",
        source="requests_futures",
        requirements=(*PYTEST, *HTTPBIN),
        options=("-o", "addopts="),
    ),
    Suite(
        project="responses",
        version="0.26.3",
        source="",
        tests=("responses/tests",),
        requirements=(*PYTEST, "pytest-asyncio", "pytest-httpserver", "tomli-w", "PyYAML"),
        options=("--asyncio-mode=auto",),
    ),
    Suite(
        project="requests-mock",
        version="1.12.1",
        source="requests_mock",
        requirements=(*PYTEST, "fixtures", "purl", "testtools", "requests-futures"),
    ),
    Suite(
        project="requests-cache",
        version="1.3.3",
        source="requests_cache",
        tests=("tests/unit",),
        requirements=(
            *PYTEST,
            *("psutil", "requests-mock", "responses", "tenacity", "time-machine", "rich"),
            *("itsdangerous", "orjson", "PyYAML", "ujson", "pytest-rerunfailures"),
        ),
        options=("-o", "addopts="),
        note="unit tests; the others need databases and httpbin",
    ),
    Suite(
        project="vcrpy",
        version="9.4.2",
        source="vcr",
        requirements=(*PYTEST, *HTTPBIN, "pysocks", "pytest-asyncio", "pytest-aiohttp"),
        options=("-m", "not online", "-o", "addopts="),
        note="without the clients that are not requests",
    ),
    Suite(
        project="betamax",
        version="0.9.0",
        source="src",
        requirements=PYTEST,
        healthy_share=0.7,  # what is no cassette needs the internet
    ),
    Suite(
        project="CacheControl",
        version="0.14.3",
        source="cachecontrol",
        requirements=(*PYTEST, "cherrypy", "filelock", "redis"),
        note="the sdist of 0.14.4 has no tests",
    ),
    Suite(
        project="opentelemetry-instrumentation-requests",
        version="0.66b2",
        source="src",
        requirements=(*PYTEST, "mocket", "httpretty", "opentelemetry-test-utils==0.66b2"),
    ),
    Suite(
        project="github3.py",
        version="4.0.1",
        source="src",
        requirements=(*PYTEST, "betamax", "betamax_matchers"),
        options=("-o", "addopts="),
    ),
    Suite(
        project="python-gitlab",
        version="8.6.0",
        source="gitlab",
        tests=("tests/unit",),
        requirements=(*PYTEST, "responses", "PyYAML", "anyio", "respx", "gql[httpx]"),
        note="unit tests; the others need a GitLab",
    ),
    Suite(
        project="zeep",
        version="4.3.3",
        source="src",
        requirements=(
            *PYTEST,
            *("freezegun", "pretend", "requests_mock", "pytest-httpx", "pytest-asyncio"),
            *("httpx", "packaging"),
        ),
        options=("-m", "not network"),
    ),
    Suite(
        project="google-auth",
        version="2.63.0",
        source="google",
        requirements=(
            *PYTEST,
            *("flask", "freezegun", "mock", "pyopenssl", "pytest-localserver", "responses"),
            *("pyu2f", "oauth2client", "urllib3", "packaging", "pyjwt", "cryptography"),
            *("aiohttp", "aioresponses", "pytest-asyncio", "grpcio"),
        ),
    ),
    # Clients of vendors, who make their session in one line. Their sdists have no tests, or some.
    Suite(
        project="canvasapi",
        version="3.4.0",
        source="canvasapi",
        requirements=(*PYTEST, "requests-mock"),
        repository="https://github.com/ucfopen/canvasapi",
        tag="v3.4.0",
    ),
    Suite(
        project="pyairtable",
        version="3.4.2",
        source="pyairtable",
        requirements=(*PYTEST, "requests-mock", "mock", "click"),
        options=("-m", "not integration"),
        repository="https://github.com/gtalarico/pyairtable",
        tag="3.4.2",
        note="without those that need an account",
    ),
    Suite(
        project="python-digitalocean",
        version="1.17.0",
        source="",
        tests=("digitalocean/tests",),
        requirements=(*PYTEST, "responses"),
        repository="https://github.com/koalalorenzo/python-digitalocean",
        tag="v1.17.0",
    ),
    Suite(
        project="pushover_complete",
        version="2.0.0",
        source="src",
        requirements=(*PYTEST, "responses", "requests-toolbelt"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites that were asked for, one after the other.

    Args:
        arguments: Command line, None for that of the process.

    Returns:
        The exit status.
    """
    options = parse_arguments(arguments)
    results: list[Result] = []
    broken: list[str] = []
    with open_directory(options.keep) as location:
        directory = Path(location).resolve()
        wheel = build_wheel(directory, options.httpkit)
        for suite in choose(options.names):
            bench = Bench(directory / suite.project, suite)
            try:
                result = compare(bench, wheel=wheel, python=options.python, expression=options.k)
            except SuiteError as error:
                print(f"{suite.project}: nothing to compare: {error}", file=sys.stderr, flush=True)
                broken.append(suite.project)
                continue
            print_details(result)
            results.append(result)
    rows = {result.suite.project: make_row(result) for result in results}
    print(f"\n{make_table(rows.values())}")
    if options.write:
        write_rows(rows)
    if options.keep is None and any(result.failures for result in results):
        print("\nfor the tracebacks: --keep DIR, then DIR/PROJECT/httpkit.log")
    return 1 if broken or any(result.failures for result in results) else 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="projects (default: all)")
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="work here, reuse what is there and keep logs (default: a temporary directory)",
    )
    parser.add_argument("-k", metavar="EXPR", help="run only the tests that pytest -k selects")
    parser.add_argument(
        "--write", action="store_true", help=f"put the rows into {PAGE.relative_to(CHECKOUT)}"
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="interpreter that new environments are made with (default: this one)",
    )
    parser.add_argument(
        "--httpkit",
        metavar="PATH",
        type=Path,
        default=CHECKOUT,
        help="checkout, sdist or wheel of httpkit (default: this checkout)",
    )
    options = parser.parse_args(arguments)
    known = {suite.project.lower() for suite in SUITES}
    if unknown := [name for name in options.names if name.lower() not in known]:
        parser.error(f"invalid project {unknown[0]!r}: must be one of {', '.join(sorted(known))}")
    return options


def choose(names: Iterable[str]) -> list[Suite]:
    """Return the suites of these projects, all where none is named."""
    wanted = {name.lower() for name in names}
    return [suite for suite in SUITES if not wanted or suite.project.lower() in wanted]


def open_directory(keep: Path | None) -> AbstractContextManager[str | Path]:
    """Give the directory to keep, or a temporary one that is removed on leaving."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="suites-")
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)


def build_wheel(directory: Path, source: Path) -> Path:
    """Build httpkit as its users get it."""
    wheels = directory / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", wheels, source.resolve()], check=True
    )
    (wheel,) = wheels.glob("*.whl")
    return wheel


def make_row(result: Result) -> str:
    """Return a result as a row of a table in Markdown."""
    suite, passed = result.suite, result.plain.count("passed")
    new = len(result.failures) + len(result.known)
    reasons = [suite.note] if suite.note else []
    reasons += suite.known.values() if result.known else []
    cells = (f"{suite.project} {suite.version}", passed, passed - new, new, "; ".join(reasons))
    return f"| {' | '.join(map(str, cells))} |"


def make_table(rows: Iterable[str]) -> str:
    """Return rows with their head."""
    head = "| suite | pass plain | pass on httpkit | new failures | what is run |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def write_rows(rows: Mapping[str, str]) -> None:
    """Put rows into the page of the docs that shows them; those of other projects stay.

    Args:
        rows: By project.
    """
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}(.*){re.escape(END)}", re.DOTALL)
    (block,) = pattern.findall(text)
    shown = {line.split()[1]: line for line in block.splitlines() if line.startswith("| ")} | rows
    table = make_table(shown[suite.project] for suite in SUITES if suite.project in shown)
    page = pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{END}", text)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
