"""Run a project's own test suite plain and on httpkit's session, and compare test by test.

The suite comes from the project's sdist on PyPI and runs against the project that pip installs,
in a virtual environment of its own. A test that fails plain (it needs the internet, say) is not
counted. The exit status is 0 when every test that passes plain passes on httpkit too, else 1.

Rule: the standard library only, so that any Python can start it.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PLUGINS = HERE / "plugins"

PYTEST_OPTIONS = (
    "-p no:randomly -p no:cacheprovider",  # both runs in the same order, nothing remembered
    "--timeout 60",  # the slowest test of requests took 20 s (2026-11, 2 cores)
    "-q -ra",
)
# Certificates and options of the machine would change what the suite tests.
FOREIGN_VARIABLES = ("CURL_CA_BUNDLE", "PYTEST_ADDOPTS", "PYTHONPATH", "REQUESTS_CA_BUNDLE")

STEP_LIMIT = 900.0
"""Seconds for one step: a run of requests' suite takes 80 (2026-11, 2 cores): a hang."""

TESTS_RAN = (0, 1)
"""Exit statuses of pytest that mean the tests ran, whether or not each passed."""

LONGEST_REASON = 160
"""Characters of an error that the summary shows."""


class SuiteError(Exception):
    """Nothing could be compared, and why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A project whose tests are run.

    Attributes:
        project: Its name on PyPI, as its sdist spells it.
        source: The directory of its sdist that holds its code, which is dropped.
        requirements: What its tests need.
        healthy_share: Share of failing or passing tests that must pass plain.
    """

    project: str
    source: str
    requirements: Sequence[str]
    healthy_share: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended: passed, failed or skipped, and the first line of the reason."""

    verdict: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite: outcomes by test id, and its seconds."""

    outcomes: Mapping[str, Outcome]
    seconds: float

    def count(self, verdict: str) -> int:
        """Count the tests that ended so."""
        return Counter(outcome.verdict for outcome in self.outcomes.values())[verdict]

    def select(self, verdict: str) -> dict[str, Outcome]:
        """Select the tests that ended so."""
        return {
            test: outcome for test, outcome in self.outcomes.items() if outcome.verdict == verdict
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """Directory that holds the environment, the unpacked suite, the logs and the reports."""

    directory: Path
    of: Suite
    version: str

    @property
    def venv(self) -> Path:
        """Environment of both runs."""
        return self.directory / "venv"

    @property
    def python(self) -> Path:
        """Interpreter of both runs."""
        return self.venv / ("Scripts" if os.name == "nt" else "bin") / "python"

    @property
    def suite(self) -> Path:
        """Unpacked sdist, without the source of the project."""
        return self.directory / f"{self.of.project}-{self.version}"

    def call(
        self,
        step: str,
        command: Sequence[str | Path],
        *,
        accepted: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command inside the suite's directory if there is one, its output to a log.

        Args:
            step: Name of the log and of the step in an error.
            command: Program and arguments.
            accepted: Exit statuses that are no error.
            environment: Variables for the command, None for those of this process.

        Raises:
            SuiteError: The command failed, or hung for STEP_LIMIT seconds.
        """
        log = self.directory / f"{step}.log"
        directory = self.suite if self.suite.is_dir() else self.directory
        try:
            with log.open("wb") as output:
                status = subprocess.run(
                    command,
                    cwd=directory,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=STEP_LIMIT,
                    check=False,
                ).returncode
        except subprocess.TimeoutExpired as error:
            raise SuiteError(
                f"step {step!r} hung for {STEP_LIMIT:.0f} s\n{read_end(log)}"
            ) from error
        if status not in accepted:
            raise SuiteError(f"step {step!r} ended with status {status}\n{read_end(log)}")


def read_end(log: Path) -> str:
    """Read the last lines of a log, enough for the cause of a failed step."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])


def main(suite: Suite, arguments: Sequence[str] | None = None) -> int:
    """Compare the two runs and print one summary.

    Args:
        suite: Whose tests.
        arguments: Command line, None for that of the process.

    Returns:
        The exit status.
    """
    options = parse_arguments(suite, arguments)
    try:
        with open_directory(options.keep, suite) as directory:
            version = options.version or find_installed(suite.project)
            bench = Bench(Path(directory).resolve(), suite, version)
            return compare(bench, options)
    except SuiteError as error:
        print(f"nothing to compare: {error}", file=sys.stderr)
        return 1


def compare(bench: Bench, options: argparse.Namespace) -> int:
    """Install, run twice, print the summary and decide the exit status."""
    print(f"installing {bench.of.project} {bench.version}, its suite and httpkit", flush=True)
    install(bench, python=options.python, httpkit=options.httpkit)
    plain = run_suite(bench, "plain", expression=options.k)
    check_health(plain, 0 if options.k else bench.of.healthy_share)
    made = bench.directory / "sessions-made"
    made.unlink(missing_ok=True)
    swap = ("-p", "lenient_session", "--sessions-made", str(made))
    lenient = run_suite(bench, "httpkit", expression=options.k, extra=swap)
    sessions = int(made.read_text(encoding="ascii"))
    failures = find_new_failures(plain, lenient)
    print_summary(plain, lenient, sessions=sessions, failures=failures)
    if sessions == 0:
        raise SuiteError("no test made a session of httpkit, so the swap proved nothing")
    return 1 if failures else 0


def parse_arguments(suite: Suite, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--version",
        help=f"version of {suite.project} (default: the one this Python has)",
    )
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="work here, reuse what is there and keep logs (default: a temporary directory)",
    )
    parser.add_argument("-k", metavar="EXPR", help="run only the tests that pytest -k selects")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="interpreter a new environment is made with (default: this one)",
    )
    parser.add_argument(
        "--httpkit",
        metavar="PATH",
        type=Path,
        default=CHECKOUT,
        help="checkout, sdist or wheel of httpkit (default: this checkout)",
    )
    return parser.parse_args(arguments)


def find_installed(project: str) -> str:
    """Ask for the version of a project beside this interpreter.

    Raises:
        SuiteError: It has none.
    """
    try:
        return importlib.metadata.version(project)
    except importlib.metadata.PackageNotFoundError as error:
        raise SuiteError(f"this Python has no {project}; give --version VERSION") from error


def open_directory(keep: Path | None, suite: Suite) -> AbstractContextManager[str | Path]:
    """Give the directory to keep, or a temporary one that is removed on leaving."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix=f"{suite.project}-suite-")
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)


def install(bench: Bench, *, python: str, httpkit: Path) -> None:
    """Fill the bench: environment, suite, and httpkit as its users get it, from a wheel."""
    if not bench.venv.is_dir():
        bench.call("venv", [python, "-m", "venv", bench.venv])
    pip: tuple[str | Path, ...] = (bench.python, "-m", "pip", "--disable-pip-version-check")
    if not bench.suite.is_dir():
        unpack_suite(bench, pip)
    wheels = bench.directory / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    source = httpkit.resolve()
    bench.call("wheel", [*pip, "wheel", "--no-deps", "--wheel-dir", wheels, source])
    (wheel,) = wheels.glob("*.whl")
    # A rebuilt wheel has the version of the one before: only force replaces it.
    bench.call("httpkit-wheel", [*pip, "install", "--no-deps", "--force-reinstall", wheel])
    project = f"{bench.of.project}=={bench.version}"
    bench.call("install", [*pip, "install", wheel, project, *bench.of.requirements])


def unpack_suite(bench: Bench, pip: Sequence[str | Path]) -> None:
    """Fetch the sdist and drop its source, so that only the installed requests can be tested."""
    sdists = bench.directory / "sdists"
    project = bench.of.project
    requirement = f"{project}=={bench.version}"
    chosen = ("--no-deps", "--no-binary", project, "--dest", sdists)
    bench.call("download", [*pip, "download", *chosen, requirement])
    with tempfile.TemporaryDirectory(dir=bench.directory) as unpacked:
        shutil.unpack_archive(sdists / f"{bench.suite.name}.tar.gz", unpacked, filter="data")
        tree = Path(unpacked) / bench.suite.name
        shutil.rmtree(tree / bench.of.source)
        tree.rename(bench.suite)


def run_suite(bench: Bench, name: str, *, expression: str | None, extra: Sequence[str] = ()) -> Run:
    """Run the suite once.

    Args:
        bench: Where.
        name: Name of its log and report.
        expression: What pytest -k selects, None for all.
        extra: Further options of pytest.

    Raises:
        SuiteError: The run broke off, or collected no test.
    """
    print(f"running the suite: {name}", flush=True)
    report = bench.directory / f"{name}.xml"
    report.unlink(missing_ok=True)
    options = [*" ".join(PYTEST_OPTIONS).split(), *extra, f"--junit-xml={report}"]
    selection = [] if expression is None else ["-k", expression]
    start = time.monotonic()
    bench.call(
        name,
        [bench.python, "-m", "pytest", *options, *selection, "tests"],
        accepted=TESTS_RAN,
        environment=make_environment(),
    )
    outcomes = read_outcomes(report)
    if not outcomes:
        raise SuiteError(f"the {name} run collected no test")
    return Run(outcomes, time.monotonic() - start)


def make_environment() -> dict[str, str]:
    """Make the variables of a run: those of this process, and the way to the plugin."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return kept | {"PYTHONPATH": str(PLUGINS)}


def read_outcomes(report: Path) -> dict[str, Outcome]:
    """Read a JUnit report into outcomes by test id.

    A test whose teardown fails is listed twice, so the failure must win.
    """
    outcomes: dict[str, Outcome] = {}
    root = ET.parse(report)  # noqa: S314 -- pytest wrote it a moment ago
    for case in root.iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        outcome = read_outcome(case)
        if test not in outcomes or outcome.verdict == "failed":
            outcomes[test] = outcome
    return outcomes


def read_outcome(case: ET.Element) -> Outcome:
    """Read one test: an error in a fixture is a failure, an expected failure a skip."""
    for tag, verdict in (("error", "failed"), ("failure", "failed"), ("skipped", "skipped")):
        if (element := case.find(tag)) is not None:
            lines = (element.get("message") or element.text or "").strip().splitlines()
            return Outcome(verdict, lines[0][:LONGEST_REASON] if lines else "no message")
    return Outcome("passed")


def check_health(plain: Run, healthy_share: float) -> None:
    """Refuse a plain run that fails so much that the comparison would be empty.

    Args:
        plain: The run.
        healthy_share: Share of failing or passing tests that must pass; one must in any case.

    Raises:
        SuiteError: Too few tests passed.
    """
    passed, failed = plain.count("passed"), plain.count("failed")
    if passed == 0 or passed < healthy_share * (passed + failed):
        reasons = sorted({outcome.reason for outcome in plain.select("failed").values()})
        reached = f"the plain run passed {passed} and failed {failed}"
        raise SuiteError("\n".join([f"{reached}, so the suite itself is broken here", *reasons]))


def find_new_failures(plain: Run, lenient: Run) -> dict[str, Outcome]:
    """Find the tests that pass plain and not on httpkit: failed, skipped or gone."""
    gone = Outcome("gone", "passed plain, did not run on httpkit")
    ended = {test: lenient.outcomes.get(test, gone) for test in plain.select("passed")}
    return {test: outcome for test, outcome in ended.items() if outcome.verdict != "passed"}


def print_summary(
    plain: Run, lenient: Run, *, sessions: int, failures: Mapping[str, Outcome]
) -> None:
    """Print the counts of both runs, then the tests that do not count and those that do."""
    print(f"\n{'':8}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for name, run in (("plain", plain), ("httpkit", lenient)):
        counts = "".join(f"{run.count(verdict):8}" for verdict in ("passed", "failed", "skipped"))
        print(f"{name:8}{counts}{run.seconds:9.0f}")
    print(f"\nsessions of httpkit made by the suite: {sessions}")
    print_tests("fail plain, not counted", plain.select("failed"))
    print_tests("new failures", failures)
    if failures:
        print("\nfor the tracebacks: --keep DIR, then DIR/httpkit.log")


def print_tests(title: str, tests: Mapping[str, Outcome]) -> None:
    """Print a titled list of tests with the reason of each."""
    print(f"\n{title}: {len(tests)}")
    for test, outcome in tests.items():
        print(f"  {test}\n    {outcome.verdict}: {outcome.reason}")
