"""Download from nginx and upload to a sink, in one process that has done it before.

What the first use of a process costs (imports, a session) is left out, and so is curl's start.
A bare socket shows what the kernel allows. `--segments` fetches in four ranges from a server
that limits each connection.
"""

import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import download
import upload
from contest import (
    MIB,
    Sample,
    Samples,
    check_machine,
    folder,
    measure,
    measure_curl,
    nginx,
    parser,
    peak_rss,
    prepare,
    ratio,
    say,
    take_turns,
    write_file,
)

SIZE = 512 * MIB
BARE = "bare socket"
# Of a connection, for `--segments`: 128 MiB take 6.4 s over one.
LIMIT = "        limit_rate 20m;\n"
LIMITED_SIZE = 128 * MIB
# A contender, its rival, and the least throughput or CPU time saved, as a multiple.
SECONDS = (("httpkit", "requests, 1 MiB", 0.98), ("httpkit", "curl", 1.0),
           ("httpkit, sha256", "curl", 0.75))  # fmt: skip
CPU = (("httpkit", "curl -T", 1.2), ("httpkit, form", "curl -F", 1.0))

Job = download.Job


def bare_download(job: Job) -> None:
    """Fetch with a socket, a buffer, and nothing that is checked."""
    parts = urlsplit(job.url)
    buffer = memoryview(bytearray(MIB))
    with (
        socket.create_connection((parts.hostname or "", parts.port or 80)) as connection,
        Path(job.dest).open("wb", buffering=0) as file,
    ):
        connection.sendall(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
        head = connection.recv_into(buffer)
        body = bytes(buffer[:head]).index(b"\r\n\r\n") + 4
        file.write(buffer[body:head])
        while size := connection.recv_into(buffer):
            file.write(buffer[:size])


def bare_upload(job: upload.Job) -> None:
    """Send with a socket and blocks of a MiB."""
    parts = urlsplit(job.url)
    size = Path(job.path).stat().st_size
    with (
        socket.create_connection((parts.hostname or "", parts.port or 80)) as connection,
        Path(job.path).open("rb", buffering=0) as file,
    ):
        connection.sendall(f"PUT / HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode())
        while block := file.read(MIB):
            connection.sendall(block)
        connection.recv(4096)


def curl(*arguments: str) -> Sample:
    """Run curl; its CPU time is that of this run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    sample = measure_curl(*arguments)
    return Sample(sample.seconds, sample.cpu - before.ru_utime - before.ru_stime, sample.rss)


def turns(runs: dict[str, Callable[[], Sample]], rounds: int) -> Samples:
    """Run each once for nothing, then in turns."""
    for run in runs.values():
        run()
    return take_turns(list(runs), rounds, lambda name: runs[name]())


def show(title: str, samples: Samples, rivals: dict[str, str], size: int) -> None:
    """Print a table: seconds, CPU seconds, and both as multiples of a rival's."""
    rounds = len(next(iter(samples.values())))
    say(f"{title}, {size // MIB} MiB, warm, medians of {rounds} rounds")
    say("| | seconds | MiB/s | CPU s | x the rival | x its CPU |")
    say("|---|---:|---:|---:|---:|---:|")
    for name, row in samples.items():
        seconds, cpu = median(s.seconds for s in row), median(s.cpu for s in row)
        rival = rivals.get(name, name)
        say(
            f"| {name} | {seconds:.3f} | {size / seconds / MIB:.0f} | {cpu:.3f}"
            f" | {ratio(samples, name, rival):.2f} | {cpu_ratio(samples, name, rival):.2f} |"
        )


def cpu_ratio(samples: Samples, name: str, rival: str) -> float:
    """Return a rival's CPU time as a multiple of the own: the median of those in each round."""
    pairs = zip(samples[rival], samples[name], strict=True)
    return median(other.cpu / own.cpu for other, own in pairs)


def judge(samples: Samples, goals: Any, compare: Callable[..., float], unit: str) -> None:
    """Print each goal, and whether it is met."""
    for name, rival, least in goals:
        found = compare(samples, name, rival)
        conclusion = "met" if found >= least else "missed"
        say(f"goal {conclusion}: {name} {found:.2f} >= {least} x {rival}, {unit}")


def downloads(size: int, rounds: int) -> None:
    """Compare downloads."""
    ways = {
        BARE: bare_download,
        "requests, 1 MiB": download.requests_in_blocks(MIB),
        "httpkit": download.httpkit(is_checked=False),
        "httpkit, sha256": download.httpkit(is_checked=True),
    }
    with folder(is_tls=False) as prefix, nginx(prefix, is_tls=False) as origin:
        digest = write_file(prefix / "files" / "file", size)
        job = Job(f"{origin}/file", str(prefix / "arrived"), digest)

        def fresh(run: Callable[[], Sample]) -> Sample:
            sample = run()
            received = Path(job.dest)
            if received.stat().st_size < size:
                sys.exit(f"{received.stat().st_size} of {size} bytes arrived")
            received.unlink()
            return sample

        runs: dict[str, Callable[[], Sample]] = {
            name: lambda way=way: fresh(lambda: measure(lambda: way(job)))
            for name, way in ways.items()
        }
        runs["curl"] = lambda: fresh(lambda: curl("-o", job.dest, job.url))
        samples = turns(runs, rounds)
    show("Downloads", samples, dict.fromkeys(runs, "curl"), size)
    judge(samples, SECONDS, ratio, "throughput")
    judge(samples, SECONDS, cpu_ratio, "CPU time")


def uploads(size: int, rounds: int) -> None:
    """Compare uploads."""
    ways: dict[str, Callable[[upload.Job], object]] = {
        BARE: bare_upload,
        "requests, data=file": upload.requests_raw(),
        "httpkit": upload.httpkit(),
        "httpkit, form": upload.httpkit(field="file", data=upload.TITLE),
    }
    with folder(is_tls=False) as prefix, upload.sink(prefix, is_tls=False) as origin:
        write_file(prefix / "file", size)
        job = upload.Job(f"{origin}/file", str(prefix / "file"))
        runs: dict[str, Callable[[], Sample]] = {
            name: lambda way=way: measure(lambda: way(job)) for name, way in ways.items()
        }
        for name, arguments in upload.CURL.items():
            runs[name] = lambda arguments=arguments: curl(
                "-o", str(prefix / "said"), *arguments(job), job.url
            )
        samples = turns(runs, rounds)
    rivals = {name: upload.FORM if "form" in name else upload.RAW for name in ways}
    show("Uploads", samples, rivals, size)
    judge(samples, CPU, ratio, "throughput")
    judge(samples, CPU, cpu_ratio, "CPU time")


def segments(rounds: int) -> None:
    """Compare one connection with four, at a server that limits each."""
    import httpkit

    with folder(is_tls=False) as prefix, nginx(prefix, is_tls=False, lines=LIMIT) as origin:
        digest = write_file(prefix / "files" / "file", LIMITED_SIZE)

        def run(count: int) -> Sample:
            dest = prefix / "arrived"
            began, cpu = time.perf_counter(), time.process_time()
            with httpkit.Session() as session:
                session.download(f"{origin}/file", dest, segments=count, checksum=digest)
            cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
            dest.unlink()
            return Sample(seconds, cpu, peak_rss("self"))

        samples = turns({"one": lambda: run(1), "four": lambda: run(4)}, rounds)
    show("20 MiB/s a connection", samples, {"four": "one"}, LIMITED_SIZE)
    judge(samples, [("four", "one", 3)], ratio, "throughput")


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    made = parser(__doc__ or "")
    made.add_argument("--segments", action="store_true", help="one connection against four")
    options = made.parse_args()
    prepare()
    size = options.size or SIZE
    check_machine(("nginx", "curl"), 2 * size, is_tls=False)
    if options.segments:
        segments(min(options.rounds, 3))
        return 0
    downloads(size, options.rounds)
    uploads(size, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
