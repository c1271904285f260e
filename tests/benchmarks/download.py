"""Download a file from nginx on the loopback, with curl, httpkit and its rivals.

How a transfer is measured is said in `contest`.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from contest import (
    KIB,
    MEMORY_DISK,
    MEMORY_SIZES,
    MIB,
    ChildError,
    Sample,
    Samples,
    Table,
    check_machine,
    default_size,
    installed,
    is_flat,
    judge,
    measure,
    measure_curl,
    parser,
    prepare,
    report,
    run_in_child,
    say,
    serving,
    take_turns,
    write_file,
    write_sparse,
)

LARGEST_ABOVE_REQUESTS = 40 * MIB
LEAST_RATIOS = {"httpkit": 1.0, "httpkit, sha256": 0.75}


@dataclass(frozen=True, slots=True)
class Job:
    """What to download, and to where.

    Attributes:
        url: On the loopback.
        dest: A path that does not exist yet.
        checksum: Of the file, as httpkit takes it; empty where nobody checks one.
    """

    url: str
    dest: str
    checksum: str = ""


Transfer: TypeAlias = Callable[[Job], object]


# The contenders: each imports what it needs, and returns the transfer to be timed. They are
# imported by name because any of them may be missing, for the type checker, too.


def requests_in_blocks(block: int) -> Transfer:
    """Return the recipe of requests' documentation, in blocks of so many bytes."""
    requests: Any = importlib.import_module("requests")

    def transfer(job: Job) -> None:
        with requests.get(job.url, stream=True) as response, Path(job.dest).open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_content(block):  # noqa: FURB122  # the recipe as written
                file.write(chunk)

    return transfer


def toolbelt() -> Transfer:
    """Return requests-toolbelt's, with its default of 512 bytes a read."""
    requests: Any = importlib.import_module("requests")
    stream: Any = importlib.import_module("requests_toolbelt.downloadutils.stream")

    def transfer(job: Job) -> None:
        with requests.get(job.url, stream=True) as response:
            response.raise_for_status()
            stream.stream_response_to_file(response, path=job.dest)

    return transfer


def httpx() -> Transfer:
    """Return the recipe of httpx' documentation."""
    library: Any = importlib.import_module("httpx")

    def transfer(job: Job) -> None:
        with library.stream("GET", job.url) as response, Path(job.dest).open("wb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes():  # noqa: FURB122  # the recipe as written
                file.write(chunk)

    return transfer


def huggingface_hub() -> Transfer:
    """Return the function under hf_hub_download, for a server that is no Hub."""
    http_get: Any = importlib.import_module("huggingface_hub.file_download").http_get

    def transfer(job: Job) -> None:
        with Path(job.dest).open("wb") as file:
            http_get(job.url, file)

    return transfer


def httpkit(*, is_checked: bool) -> Transfer:
    """Return Session.download, with or without the checksum."""
    library: Any = importlib.import_module("httpkit")

    def transfer(job: Job) -> None:
        with library.Session() as session:
            session.download(job.url, job.dest, checksum=job.checksum if is_checked else None)

    return transfer


CONTENDERS: dict[str, Callable[[], Transfer]] = {
    "requests, 8 KiB": lambda: requests_in_blocks(8 * KIB),
    "requests, 1 MiB": lambda: requests_in_blocks(MIB),
    "requests-toolbelt": toolbelt,
    "httpx": httpx,
    "huggingface_hub": huggingface_hub,
    "httpkit": lambda: httpkit(is_checked=False),
    "httpkit, sha256": lambda: httpkit(is_checked=True),
}
REQUIRED = ("requests, 1 MiB", "httpkit")


def run_child(name: str, job: Job) -> None:
    """Measure one transfer, or only the imports where there is no URL, and report it."""
    if name == "curl":
        report(measure_curl("-o", job.dest, job.url))
        return
    transfer = CONTENDERS[name]()
    report(measure(lambda: transfer(job) if job.url else None))


def run(name: str, job: Job) -> Sample:
    """Measure one transfer, or only the imports, in a process of its own."""
    return run_in_child(__file__, name, asdict(job).values())


def imports_of(name: str) -> Sample:
    """Measure the imports of a contender."""
    return run(name, Job("", ""))


def run_and_remove(name: str, job: Job, size: int) -> Sample:
    """Measure one transfer, and see that all of the file arrived."""
    dest = Path(job.dest)
    try:
        sample = run(name, job)
        received = dest.stat().st_size
    except ChildError as error:
        sys.exit(f"{name} failed: {error}")
    finally:
        dest.unlink(missing_ok=True)
    if received != size:
        sys.exit(f"{name} failed: {received} of {size} bytes arrived")
    return sample


def compare(size: int, rounds: int, *, is_tls: bool) -> None:
    """Print the table, and how httpkit does by its goals."""
    found, baseline = installed(CONTENDERS, REQUIRED, imports_of)
    names = ["curl", *found]
    with serving(is_tls=is_tls) as (origin, files):
        checksum = write_file(files / "file", size)
        job = Job(f"{origin}/file", str(files.parent / "arrived"), checksum)
        samples = take_turns(names, rounds, lambda name: run_and_remove(name, job, size))
    scheme = "https" if is_tls else "http"
    say(f"{size / MIB:.0f} MiB over {scheme}, nginx on the loopback, medians of {rounds} rounds")
    Table(dict.fromkeys(names, "curl"), size, baseline).print(samples)
    say(f"an interpreter that imported requests: {baseline / MIB:.1f} MiB")
    for name, least in LEAST_RATIOS.items():
        judge(samples, name, "curl", least)
        judge_memory(samples, name, baseline)


def judge_memory(samples: Samples, name: str, baseline: int) -> None:
    """Print the goal for the peak, and whether it is met."""
    above = max(s.rss for s in samples[name]) - baseline
    conclusion = "met" if above < LARGEST_ABOVE_REQUESTS else "missed"
    limit = LARGEST_ABOVE_REQUESTS / MIB
    say(f"goal {conclusion}: {name} {above / MIB:.1f} < {limit:.0f} MiB above requests")


def compare_memory(*, is_tls: bool) -> bool:
    """Print httpkit's peak RSS for a small and a large file; return whether they agree."""
    baseline = installed(CONTENDERS, REQUIRED, imports_of)[1]
    peaks: list[int] = []
    with serving(is_tls=is_tls) as (origin, files), tempfile.TemporaryDirectory() as disk:
        for size in MEMORY_SIZES:
            write_sparse(files / "sparse", size)
            is_roomy = shutil.disk_usage(MEMORY_DISK).free > 2 * size
            folder = files.parent if is_roomy else Path(disk)
            job = Job(f"{origin}/sparse", str(folder / "arrived"))
            rss = run_and_remove("httpkit", job, size).rss
            above = (rss - baseline) / MIB
            say(f"{size / MIB:.0f} MiB: RSS {rss / MIB:.1f} MiB, {above:.1f} above requests")
            peaks.append(rss)
    return is_flat(peaks)


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    made = parser(__doc__ or "")
    made.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.child:
        name, *job = options.child
        run_child(name, Job(*job))
        return 0
    prepare()
    size = options.size or (MIB if options.memory else default_size())
    check_machine(("nginx", "curl"), 2 * size, is_tls=options.tls)
    if options.memory:
        return 0 if compare_memory(is_tls=options.tls) else 1
    compare(size, options.rounds, is_tls=options.tls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
