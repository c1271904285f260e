"""Packages of npm for tests: fetched once into the temporary folder, or the test is skipped.

Rule: what cannot be had skips a test with the reason, and never fails it.
"""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FOLDER = Path(tempfile.gettempdir()) / "httpkit-npm"
# Seconds for one command: Prism takes 30 with an empty cache (2026-11, 2 cores).
_LONGEST = 240
_QUIET = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0")


def unpacked(package: str, version: str) -> Path:
    """Return the folder of a package's files, or skip the test."""

    def fetch(folder: Path) -> None:
        _npm("pack", f"{package}@{version}", *_QUIET, cwd=folder)
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        archive.unlink()

    return _once(f"{package}-{version}", fetch) / "package"


def installed(package: str, version: str) -> Path:
    """Return the folder of a package's commands, with what they need, or skip the test."""

    def fetch(folder: Path) -> None:
        _npm("install", f"{package}@{version}", *_QUIET, "--prefix", ".", cwd=folder)

    return _once(f"{package}-{version}-installed", fetch) / "node_modules" / ".bin"


def _once(name: str, fetch: Callable[[Path], None]) -> Path:
    """Return a folder that was filled once, by this or by another process."""
    folder = _FOLDER / name.replace("/", "+")
    with _locked(folder):
        if not folder.is_dir():
            filling = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(filling, ignore_errors=True)
            filling.mkdir()
            fetch(filling)
            filling.rename(folder)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fcntl = pytest.importorskip("fcntl", reason="no file locks on this system")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _npm(*command: str, cwd: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm")
    try:
        subprocess.run(
            [npm, *command], cwd=cwd, timeout=_LONGEST, check=True, capture_output=True, text=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip()
        pytest.skip(f"npm {command[0]} {command[1]}: {output[-200:] or 'no network'}")
