"""Programs in processes that are fresh as far as the libraries under test are concerned.

A process is forked from one that has imported what the programs need besides: that is half of
their time. Windows has no such process, and starts each anew.
"""

import multiprocessing
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path

PRELOADED = (
    "asyncio", "certifi", "charset_normalizer", "concurrent.futures", "decimal", "email.parser",
    "hashlib", "html", "idna", "logging", "msgspec", "pickle", "ssl", "tempfile", "tenacity",
    "tests.support.fresh_processes", "tqdm", "uuid", "zipfile",
)  # fmt: skip
# Nothing of these may have been imported before the program begins.
FRESH = {"http", "httpkit", "requests", "urllib3"}


def run(program: Path, arguments: list[str], folders: list[Path], output: Path) -> str:
    """Run a program with folders first on its path; return what it wrote, a traceback included.

    Args:
        program: Run as a script.
        arguments: Its own.
        folders: They come first on its path.
        output: A file for what it writes, which does not exist yet.

    Raises:
        RuntimeError: The process was not fresh, crashed, or took too long.
    """
    has_forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_forks else "spawn")
    context.set_forkserver_preload(list(PRELOADED))
    process = context.Process(
        target=_run,
        args=(str(program), arguments, list(map(str, folders)), str(output)),
        daemon=True,
    )
    process.start()
    process.join(50)
    if process.is_alive():
        process.kill()
        process.join()
    text = output.read_text("utf-8") if output.exists() else ""
    if process.exitcode != 0:
        raise RuntimeError(f"exit status {process.exitcode}: {text}")
    return text


def _run(program: str, arguments: list[str], folders: list[str], output: str) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = sys.stderr = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if stale := FRESH & sys.modules.keys():
        raise RuntimeError(f"imported already: {', '.join(sorted(stale))}")
    try:
        warnings.simplefilter("error")
        sys.dont_write_bytecode = True
        sys.path[:0] = folders
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")
    except BaseException:  # noqa: BLE001  # as an interpreter ends: a SystemExit has a trace too
        traceback.print_exc()
    finally:
        sys.stdout.flush()
