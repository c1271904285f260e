"""Run a project's own test suite plain and on httpkit's session, and compare test by test.

The suite comes from the project's sdist on PyPI, or from its repository where the sdist has no
tests, and runs against the project that pip installs, in a virtual environment of its own. A test
that fails plain (it needs the internet, say) is not counted. `suites` has the table of projects
and the command.

Rule: the standard library only, so that any Python can start it.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
PLUGINS = HERE / "plugins"

PYTEST_OPTIONS = (
    "-p no:randomly -p no:cacheprovider",  # both runs in the same order, nothing remembered
    "--timeout 60",  # the slowest test of requests took 20 s (2026-11, 2 cores)
    "-q -ra",
)
# Certificates and options of the machine would change what the suite tests.
UNWANTED_VARIABLES = ("CURL_CA_BUNDLE", "PYTEST_ADDOPTS", "PYTHONPATH", "REQUESTS_CA_BUNDLE")

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
        project: Its name on PyPI.
        version: Of the sdist and of what is installed.
        source: The directory of its sdist that holds its code, which is dropped; "" where its
            tests are inside.
        requirements: What its tests need.
        tests: What pytest is given, inside the sdist.
        options: Further options of pytest.
        healthy_share: Share of failing or passing tests that must pass plain.
        known: Patterns of tests that may fail on httpkit alone, each with the reason.
        note: What of the project's tests is not run, and why.
        repository: Where git has its tests, if the sdist has not; "" where it has.
        tag: The tag of the version there.
    """

    project: str
    version: str
    source: str
    requirements: Sequence[str]
    tests: Sequence[str] = ("tests",)
    options: Sequence[str] = ()
    healthy_share: float = 0.9
    known: Mapping[str, str] = field(default_factory=dict[str, str])
    note: str = ""
    repository: str = ""
    tag: str = ""


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
class Result:
    """What came of both runs of a suite.

    Attributes:
        suite: Whose tests.
        plain: The run on requests' session.
        swapped: The run on httpkit's.
        sessions: How many sessions of httpkit the suite made.
        failures: Tests that pass plain and not on httpkit, without those of a known reason.
        known: Those of a known reason.
    """

    suite: Suite
    plain: Run
    swapped: Run
    sessions: int
    failures: Mapping[str, Outcome]
    known: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Bench:
    """Directory that holds the environment, the unpacked suite, the logs and the reports."""

    directory: Path
    of: Suite

    @property
    def venv(self) -> Path:
        """Environment of both runs."""
        return self.directory / "venv"

    @property
    def python(self) -> Path:
        """Interpreter of both runs."""
        return self.venv / ("Scripts" if os.name == "nt" else "bin") / "python"

    @property
    def pip(self) -> tuple[str | Path, ...]:
        """Installer of the environment."""
        return self.python, "-m", "pip", "--disable-pip-version-check"

    @property
    def suite(self) -> Path:
        """Unpacked sdist, without the source of the project."""
        return self.directory / f"suite-{self.of.version}"

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


def compare(bench: Bench, *, wheel: Path, python: str, expression: str | None) -> Result:
    """Install a project and its suite, and run it twice.

    Args:
        bench: Where.
        wheel: Of httpkit, as its users get it.
        python: Interpreter that a new environment is made with.
        expression: What pytest -k selects, None for all.

    Raises:
        SuiteError: A step failed, or the runs prove nothing.
    """
    print(f"{bench.of.project} {bench.of.version}: installing", flush=True)
    install(bench, python=python, wheel=wheel)
    plain = run_suite(bench, "plain", expression=expression)
    check_health(plain, 0 if expression else bench.of.healthy_share)
    made = bench.directory / "sessions-made"
    made.unlink(missing_ok=True)
    swap = ("-p", "lenient_session", "--sessions-made", str(made))
    swapped = run_suite(bench, "httpkit", expression=expression, swap=swap)
    sessions = int(made.read_text(encoding="ascii"))
    if sessions == 0:
        raise SuiteError("no test made a session of httpkit, so the swap proved nothing")
    failures = find_new_failures(plain, swapped)
    known = {test: failures.pop(test) for test in list(failures) if is_known(test, bench.of)}
    return Result(bench.of, plain, swapped, sessions, failures, known)


def is_known(test: str, suite: Suite) -> bool:
    """Say whether a test may fail on httpkit alone."""
    return any(fnmatchcase(test, pattern) for pattern in suite.known)


def install(bench: Bench, *, python: str, wheel: Path) -> None:
    """Fill the bench: environment, suite, and httpkit as its users get it, from a wheel."""
    bench.directory.mkdir(parents=True, exist_ok=True)
    if not bench.venv.is_dir():
        bench.call("venv", [python, "-m", "venv", bench.venv])
    if not bench.suite.is_dir():
        unpack_suite(bench)
    installed = bench.directory / f"installed-{bench.of.version}"
    wanted = "\n".join(bench.of.requirements)
    if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
        project = f"{bench.of.project}=={bench.of.version}"
        bench.call("install", [*bench.pip, "install", wheel, project, *bench.of.requirements])
        installed.write_text(wanted, encoding="utf-8")
    # A rebuilt wheel has the version of the one before: only force replaces it.
    bench.call("wheel", [*bench.pip, "install", "--no-deps", "--force-reinstall", wheel])


def unpack_suite(bench: Bench) -> None:
    """Fetch the suite and drop the project's source, so that only the installed one is tested."""
    with tempfile.TemporaryDirectory(dir=bench.directory) as unpacked:
        tree = clone(bench, unpacked) if bench.of.repository else unpack_sdist(bench, unpacked)
        if bench.of.source:
            shutil.rmtree(tree / bench.of.source)
        tree.rename(bench.suite)


def unpack_sdist(bench: Bench, directory: str) -> Path:
    """Fetch the sdist of the version, and return where it is unpacked."""
    sdists = bench.directory / "sdists"
    shutil.rmtree(sdists, ignore_errors=True)
    chosen = ("--no-deps", "--no-binary", bench.of.project, "--dest", sdists)
    requirement = f"{bench.of.project}=={bench.of.version}"
    bench.call("download", [*bench.pip, "download", *chosen, requirement])
    (sdist,) = sdists.glob("*.tar.gz")
    shutil.unpack_archive(sdist, directory, filter="data")
    (tree,) = Path(directory).iterdir()
    return tree


def clone(bench: Bench, directory: str) -> Path:
    """Clone the repository at the tag of the version, and return where."""
    tree = Path(directory) / "tree"
    options = ("--quiet", "--depth", "1", "--branch", bench.of.tag)
    bench.call("clone", ["git", "clone", *options, bench.of.repository, tree])
    return tree


def run_suite(bench: Bench, name: str, *, expression: str | None, swap: Sequence[str] = ()) -> Run:
    """Run the suite once.

    Args:
        bench: Where.
        name: Name of its log and report.
        expression: What pytest -k selects, None for all.
        swap: Options of pytest that put httpkit's session in the place of requests'.

    Raises:
        SuiteError: The run broke off, or collected no test.
    """
    print(f"{bench.of.project} {bench.of.version}: running {name}", flush=True)
    report = bench.directory / f"{name}.xml"
    report.unlink(missing_ok=True)
    # The swap comes first: what other plugins import must find it done.
    options = [*swap, *" ".join(PYTEST_OPTIONS).split(), *bench.of.options]
    options.append(f"--junit-xml={report}")
    selection = [] if expression is None else ["-k", expression]
    start = time.monotonic()
    bench.call(
        name,
        [bench.python, "-m", "pytest", *options, *selection, *bench.of.tests],
        accepted=TESTS_RAN,
        environment=make_environment(),
    )
    outcomes = read_outcomes(report)
    if not outcomes:
        raise SuiteError(f"the {name} run collected no test")
    return Run(outcomes, time.monotonic() - start)


def make_environment() -> dict[str, str]:
    """Make the variables of a run: those of this process, and the way to the plugin."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED_VARIABLES}
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


def print_details(result: Result) -> None:
    """Print the tests that do not count, and those that do."""
    print_tests("fail plain, not counted", result.plain.select("failed"))
    print_tests("known", result.known)
    print_tests("new failures", result.failures)


def print_tests(title: str, tests: Mapping[str, Outcome]) -> None:
    """Print a titled list of tests with the reason of each."""
    print(f"\n{title}: {len(tests)}")
    for test, outcome in tests.items():
        print(f"  {test}\n    {outcome.verdict}: {outcome.reason}")
