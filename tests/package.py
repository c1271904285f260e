"""Build the package, install its wheel, and test what a user gets, with no source beside it.

    python tests/package.py                     with this Python and the newest dependencies
    python tests/package.py --lowest            with the lowest that pyproject.toml admits
    python tests/package.py --all               with both, one after the other
    python tests/package.py --python python3.13 with another Python; can be given several times

The sdist is built from the checkout, the wheel from the sdist, and the tests are those of the
sdist, with the source removed: what they import is what pip installed. Metadata and contents
are checked, and that every public name has a type. At the end there is a table of the results.

Rule: the standard library only, so that any Python can start it.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
TOOLS = ("build", "twine", "uv")
EXTRAS = "rate-limit,testing,test,interop"
# Left out of the lowest, because they want later versions than httpkit does: a generator of
# models, which one guide runs as a command, wants typing-extensions 4.16.
NOT_AMONG_THE_LOWEST = ("datamodel-code-generator",)

WANTED_IN_SDIST = (
    "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "docs/index.md", "docs/quickstart.py",
    "tests/conftest.py", "tests/fakes/fake_server.py", "tests/oauth/oidc_provider/server.mjs",
    "tests/typing/sessions.py",
)  # fmt: skip
# What would change which package is tested, or what the tests see.
UNWANTED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS", "VIRTUAL_ENV")

STEP_LIMIT = 1800.0
"""Seconds for one step: the suite takes 400 (2026-11, 2 cores), so this is a hang."""


class PackageError(Exception):
    """The package is not fit to be published, and why."""


# The columns of the table that the environment knows itself.
VERSIONS = """
import sys, sysconfig
from importlib.metadata import version
threads = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
names = ", ".join(f"{name} {version(name)}" for name in ("requests", "urllib3", "tenacity"))
print(f"{sys.version.split()[0]}{threads} | {names}")
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What the wheel is tested with: an interpreter, and which versions of the dependencies."""

    python: str
    is_lowest: bool
    k: str | None

    @property
    def name(self) -> str:
        """For the terminal, the environment and the logs."""
        return f"{Path(self.python).name}-{'lowest' if self.is_lowest else 'newest'}"


@dataclass(frozen=True, slots=True)
class Bench:
    """Directory that holds what is built, the environments, the unpacked sdist and the logs."""

    directory: Path

    def call(
        self,
        step: str,
        *command: str | Path,
        within: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command, its output to a log, and return that output.

        Args:
            step: What it does, for the terminal, the name of the log and an error.
            command: Program and arguments.
            within: Directory to run it in, None for that of the bench.
            environment: Variables beside those of this process, None for no others.

        Raises:
            PackageError: The command failed, or hung for STEP_LIMIT seconds.
        """
        print(f"- {step}", flush=True)
        log = self.directory / f"{step.replace(' ', '-')}.log"
        try:
            with log.open("wb") as output:
                status = subprocess.run(
                    command, cwd=within or self.directory,
                    env=make_environment() | dict(environment or {}),
                    stdout=output, stderr=subprocess.STDOUT, timeout=STEP_LIMIT, check=False,
                ).returncode  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise PackageError(f"{step!r} hung for {STEP_LIMIT:.0f} s") from error
        said = log.read_text(encoding="utf-8", errors="replace")
        if status:
            end = "\n".join(said.splitlines()[-60:])
            raise PackageError(f"{step!r} ended with status {status}\n{end}")
        return said

    def make_venv(self, name: str, python: str) -> Path:
        """Make an environment if it is not there yet, and return its interpreter."""
        venv = self.directory / name
        interpreter = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
        if not interpreter.exists():
            self.call(f"make the environment {name}", python, "-m", "venv", venv)
        return interpreter


def make_environment() -> dict[str, str]:
    """Return the variables of this process without those that would change the result."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED_VARIABLES}
    # Otherwise pyright looks on the web for a newer version of itself.
    return kept | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, check, install and test.

    Args:
        arguments: Command line, None for that of the process.

    Returns:
        The exit status.
    """
    options = parse_arguments(arguments)
    try:
        with open_directory(options.keep) as directory:
            rows = test_package(Bench(Path(directory).resolve()), options)
    except PackageError as error:
        print(f"\nnot fit: {error}", file=sys.stderr)
        return 1
    print("", "| Python | Dependencies | Tests |", "|---|---|---|", *rows, sep="\n")
    print("\nfit to be published")
    return 0


def test_package(bench: Bench, options: argparse.Namespace) -> list[str]:
    """Build the package, and test its wheel with each Python and set of dependencies.

    Returns:
        A row of the table for each.
    """
    tools = bench.make_venv("tools", sys.executable)
    bench.call("install the tools", tools, "-m", "pip", "install", *TOOLS)
    sdist, wheel = build(bench, tools)
    bench.call("check the metadata", tools, "-m", "twine", "check", "--strict", sdist, wheel)
    check_contents(sdist, wheel)
    suite = unpack_suite(bench, sdist)
    dependencies = [False, True] if options.all else [bool(options.lowest)]
    return [
        test_wheel(bench, tools, wheel, suite, Target(python, is_lowest, options.k))
        for python in options.python or [sys.executable]
        for is_lowest in dependencies
    ]


def test_wheel(bench: Bench, tools: Path, wheel: Path, suite: Path, target: Target) -> str:
    """Install the wheel into an environment of its own and run the tests there.

    Returns:
        The row of the table.
    """
    print(f"\n{target.name}", flush=True)
    python = install(bench, tools, wheel, suite, target)
    check_place(bench, python, suite, target)
    check_types(bench, python, target)
    selection = [] if target.k is None else ["-k", target.k]
    said = bench.call(
        f"run the tests with {target.name}",
        *(python, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", *selection),
        within=suite,
    )
    print(said.splitlines()[-1])
    versions = bench.call(f"read the versions of {target.name}", python, "-c", VERSIONS)
    return f"| {versions.strip()} | {said.splitlines()[-1].strip('= ')} |"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--python",
        action="append",
        help="interpreter to test with (default: this one); can be given several times",
    )
    parser.add_argument(
        "--all", action="store_true", help="test with the newest and the lowest dependencies"
    )
    parser.add_argument(
        "--lowest",
        action="store_true",
        help="install the lowest versions that pyproject.toml admits, not the newest",
    )
    parser.add_argument("-k", metavar="EXPR", help="run only the tests that pytest -k selects")
    parser.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="work here and keep environments and logs (default: a temporary directory)",
    )
    return parser.parse_args(arguments)


def open_directory(keep: Path | None) -> AbstractContextManager[str | Path]:
    """Give the directory to keep, or a temporary one that is removed on leaving."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="package-")
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)


def build(bench: Bench, tools: Path) -> tuple[Path, Path]:
    """Build the sdist from the checkout and the wheel from the sdist; return both."""
    location = bench.directory / "dist"
    shutil.rmtree(location, ignore_errors=True)
    bench.call("build", tools, "-m", "build", "--outdir", location, CHECKOUT)
    (sdist,), (wheel,) = location.glob("*.tar.gz"), location.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Compare what is in both with what belongs there.

    Raises:
        PackageError: Something is missing, or too much.
    """
    wanted = {
        path.relative_to(CHECKOUT).as_posix()
        for name in read_sources()
        for path in [CHECKOUT / name, *(CHECKOUT / name).rglob("*")]
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
    missing = (wanted | {f"{name}/py.typed" for name in read_sources()}) - set(held)
    strange = [name for name in held if name not in wanted and ".dist-info/" not in name]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in held):
        missing.add("LICENSE")
    refuse("the wheel lacks", missing)
    refuse("the wheel should not have", strange)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    refuse("the sdist lacks", set(WANTED_IN_SDIST) - names)
    refuse("the sdist should not have", [n for n in names if "__pycache__" in n or ".venv" in n])


def read_sources() -> list[str]:
    """Read from pyproject.toml which packages and modules make the wheel."""
    hatch = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]
    names: list[str] = hatch["build"]["targets"]["wheel"]["packages"]
    return names


def refuse(what: str, names: Iterable[str]) -> None:
    """Raise if there are any.

    Raises:
        PackageError: There are.
    """
    if found := sorted(names):
        raise PackageError(f"{what}: {', '.join(found)}")


def unpack_suite(bench: Bench, sdist: Path) -> Path:
    """Unpack the sdist and drop its source: only the installed package can be tested."""
    location = bench.directory / "suite"
    shutil.rmtree(location, ignore_errors=True)
    shutil.unpack_archive(sdist, location, filter="data")
    (suite,) = location.iterdir()
    for name in read_sources():
        source = suite / name
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    return suite


def install(bench: Bench, tools: Path, wheel: Path, suite: Path, target: Target) -> Path:
    """Install the wheel and what its tests need; return the interpreter that has them."""
    python = bench.make_venv(target.name, target.python)
    bounds = find_lowest(bench, tools, python, suite) if target.is_lowest else []
    bench.call(
        f"install the wheel for {target.name}",
        tools, "-m", "uv", "pip", "install", "--python", python, *find_links(), *bounds,
        "--reinstall-package", "requests-httpkit",
        f"requests-httpkit[{EXTRAS}] @ {wheel.as_uri()}",
    )  # fmt: skip
    bench.call(
        f"check the environment {target.name}", tools, "-m", "uv", "pip", "check",
        "--python", python,
    )  # fmt: skip
    if target.is_lowest:
        check_floors(bench, tools, python)
    return python


def find_lowest(bench: Bench, tools: Path, python: Path, suite: Path) -> list[str]:
    """Return options that hold pip to the lowest versions that pyproject.toml admits."""
    file, excludes = bench.directory / "lowest.txt", bench.directory / "excludes.txt"
    excludes.write_text("\n".join(NOT_AMONG_THE_LOWEST), encoding="utf-8")
    extras = [f"--extra={extra}" for extra in EXTRAS.split(",")]
    bench.call(
        "find the lowest", tools, "-m", "uv", "pip", "compile", "--python", python,
        "--resolution", "lowest-direct", "--upgrade", *extras, *find_links(), "--output-file", file,
        f"--excludes={excludes}", suite / "pyproject.toml",
    )  # fmt: skip
    return [f"--constraint={file}", f"--excludes={excludes}"]


def find_links() -> list[str]:
    """Return pip's own extra places, which uv does not read from pip's variables."""
    return [f"--find-links={location}" for location in os.environ.get("PIP_FIND_LINKS", "").split()]


def check_floors(bench: Bench, tools: Path, python: Path) -> None:
    """See that what was installed are the bounds themselves, so that they are what is tested.

    Raises:
        PackageError: There is no such version, or the tests need a later one.
    """
    said = bench.call(
        "list the lowest", tools, "-m", "uv", "pip", "list", "--format", "json", "--python", python
    )
    start = said.index("[")
    installed = {package["name"]: package["version"] for package in json.loads(said[start:])}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds: Mapping[str, str] = dict(b.split(">=") for b in project["dependencies"])
    above = [
        f"{name} {installed[name]} for >={bound}"
        for name, bound in bounds.items()
        if not f"{installed[name]}.".startswith(f"{bound}.")
    ]
    refuse("not tested, so the bound says nothing", above)


def check_place(bench: Bench, python: Path, suite: Path, target: Target) -> None:
    """See that the tests would import the installed package.

    Raises:
        PackageError: They would not.
    """
    said = bench.call(
        f"find the package in {target.name}",
        *(python, "-c", "import httpkit; print(httpkit.__file__)"),
        within=suite,
    )
    if "site-packages" not in said:
        raise PackageError(f"the tests would import {said.strip()}")


def check_types(bench: Bench, python: Path, target: Target) -> None:
    """See that every public name of the installed package has a type.

    Raises:
        PackageError: One has none, or pyright finds no py.typed.
    """
    # It looks for packages beside the first python of the path, whatever --pythonpath says.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    command = (python, "-m", "pyright", "--verifytypes", "httpkit", "--ignoreexternal")
    said = bench.call(f"verify the types in {target.name}", *command, environment={"PATH": path})
    if "Type completeness score: 100%" not in said:
        raise PackageError(said)


if __name__ == "__main__":
    sys.exit(main())
