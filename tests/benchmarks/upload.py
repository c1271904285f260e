"""Upload a file on the loopback to a server that only reads, or to nginx.

The contenders are curl, httpkit and its rivals, with the file as the body (PUT) or in a form
(POST, multipart). How a transfer is measured is said in `contest`.
"""

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from contest import (
    KIB,
    LONGEST_START,
    MEMORY_SIZES,
    MIB,
    ChildError,
    Sample,
    Samples,
    Table,
    check_machine,
    default_size,
    end,
    folder,
    installed,
    is_flat,
    judge,
    measure,
    measure_curl,
    nginx,
    parser,
    prepare,
    report,
    run_in_child,
    say,
    take_turns,
    write_file,
    write_sparse,
)

RAW, FORM = "curl -T", "curl -F"
ENCODER = "MultipartEncoder"
# requests' files= joins the whole form in memory, several times.
LARGEST_IN_MEMORY = 256 * MIB
LARGEST_FRAMING = 4 * KIB  # of a form, around the file
LEAST_RATIOS = (
    ("httpkit", RAW, 1.2),
    ("httpkit, form", FORM, 1.0),
    ("httpkit, form", ENCODER, 4.0),
)
TITLE = {"title": "x"}
WEBDAV = "        dav_methods PUT; client_max_body_size 0;\n"


@dataclass(frozen=True, slots=True)
class Job:
    """What to upload, and to where.

    Attributes:
        url: On the loopback.
        path: Of the file.
    """

    url: str
    path: str


Transfer: TypeAlias = Callable[[Job], bytes]
"""Uploads, and returns the body of the answer."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to upload.

    Attributes:
        load: Imports what it needs, and returns the transfer to be timed.
        rival: The row its throughput is compared with.
        largest: Bytes it is asked to upload at most; None is no limit.
    """

    load: Callable[[], Transfer]
    rival: str = RAW
    largest: int | None = None


# The contenders are imported by name because any of them may be missing, for the type checker,
# too.


def requests_raw() -> Transfer:
    """Return the recipe of requests' documentation for streaming uploads."""
    requests: Any = importlib.import_module("requests")

    def transfer(job: Job) -> bytes:
        with Path(job.path).open("rb") as file:
            return content_of(requests.put(job.url, data=file))

    return transfer


def requests_files() -> Transfer:
    """Return the recipe of requests' documentation for forms."""
    requests: Any = importlib.import_module("requests")

    def transfer(job: Job) -> bytes:
        with Path(job.path).open("rb") as file:
            return content_of(requests.post(job.url, data=TITLE, files={"file": file}))

    return transfer


def toolbelt() -> Transfer:
    """Return requests-toolbelt's recipe for forms."""
    requests: Any = importlib.import_module("requests")
    encoder: Any = importlib.import_module("requests_toolbelt.multipart.encoder")

    def transfer(job: Job) -> bytes:
        with Path(job.path).open("rb") as file:
            body = encoder.MultipartEncoder({**TITLE, "file": ("file", file)})
            headers = {"Content-Type": body.content_type}
            return content_of(requests.post(job.url, data=body, headers=headers))

    return transfer


def httpx_raw() -> Transfer:
    """Return httpx' upload of a file as the body."""
    library: Any = importlib.import_module("httpx")

    def transfer(job: Job) -> bytes:
        with Path(job.path).open("rb") as file:
            return content_of(library.put(job.url, content=file, timeout=None))

    return transfer


def httpx_files() -> Transfer:
    """Return httpx' upload of a form."""
    library: Any = importlib.import_module("httpx")

    def transfer(job: Job) -> bytes:
        with Path(job.path).open("rb") as file:
            form = {"data": TITLE, "files": {"file": file}}
            return content_of(library.post(job.url, timeout=None, **form))

    return transfer


def httpkit(**form: Any) -> Transfer:
    """Return Session.upload, of the file alone or in a form."""
    library: Any = importlib.import_module("httpkit")
    upload: Any = library.Session.upload

    def transfer(job: Job) -> bytes:
        with library.Session() as session:
            return content_of(upload(session, job.url, job.path, **form))

    return transfer


def content_of(response: Any) -> bytes:
    """Return the body of an answer that is no error."""
    response.raise_for_status()
    body: bytes = response.content
    return body


CONTENDERS: dict[str, Contender] = {
    "requests, data=file": Contender(requests_raw),
    "httpx, content=file": Contender(httpx_raw),
    "httpkit": Contender(httpkit),
    "requests, files=": Contender(requests_files, FORM, LARGEST_IN_MEMORY),
    ENCODER: Contender(toolbelt, FORM),
    "httpx, files=": Contender(httpx_files, FORM),
    "httpkit, form": Contender(lambda: httpkit(field="file", data=TITLE), FORM),
}
REQUIRED = ("requests, data=file",)
CURL: dict[str, Callable[[Job], Sequence[str]]] = {
    RAW: lambda job: ("-T", job.path),
    FORM: lambda job: ("-F", f"file=@{job.path}", "-F", "title=x"),
}
RIVALS = {name: contender.rival for name, contender in CONTENDERS.items()} | {
    name: name for name in CURL
}


def run_child(name: str, job: Job) -> None:
    """Measure one transfer, or only the imports where there is no URL, and report it."""
    if name in CURL:
        output = Path(f"{job.path}.said")
        report(measure_curl("-o", str(output), *CURL[name](job), job.url))
        received = output.read_bytes() if output.exists() else b""  # curl writes no empty file
        output.unlink(missing_ok=True)
        check(name, job, received)
        return
    transfer = CONTENDERS[name].load()
    replies: list[bytes] = []
    report(measure(lambda: replies.append(transfer(job)) if job.url else None))
    for response in replies:
        check(name, job, response)


def check(name: str, job: Job, response: bytes) -> None:
    """See that all of the file arrived, by what the sink counted; nginx says nothing."""
    if not response:
        return
    size, received = Path(job.path).stat().st_size, json.loads(response)["bytes"]
    framing = received - size
    is_form = RIVALS[name] == FORM
    if not (0 < framing < LARGEST_FRAMING if is_form else framing == 0):
        sys.exit(f"{received} bytes arrived of a file of {size}")


def run(name: str, job: Job) -> Sample:
    """Measure one transfer, or only the imports, in a process of its own."""
    return run_in_child(__file__, name, asdict(job).values())


def run_or_end(name: str, job: Job) -> Sample:
    """Measure one transfer; a failure ends the benchmark."""
    try:
        return run(name, job)
    except ChildError as error:
        sys.exit(f"{name} failed: {error}")


def run_and_remove(name: str, job: Job, stored: Path) -> Sample:
    """Measure one transfer, and see that nginx stored all of the file."""
    sample = run_or_end(name, job)
    size, received = Path(job.path).stat().st_size, stored.stat().st_size
    stored.unlink()
    if received != size:
        sys.exit(f"{name} failed: nginx stored {received} of {size} bytes")
    return sample


@contextmanager
def sink(prefix: Path, *, is_tls: bool) -> Iterator[str]:
    """Run the server that only reads, in a process of its own; give its origin; stop it."""
    command = [sys.executable, Path(__file__).with_name("sink.py"), *([prefix] if is_tls else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        if not port:
            sys.exit("the sink does not listen")
        yield f"{'https' if is_tls else 'http'}://127.0.0.1:{port}"
        process.communicate(timeout=LONGEST_START)


def imports_of(name: str) -> Sample:
    """Measure the imports of a contender."""
    return run(name, Job("", ""))


def compare(size: int, rounds: int, *, is_tls: bool) -> None:
    """Print the table of uploads to the sink, and how httpkit does by its goals."""
    found, baseline = installed(CONTENDERS, REQUIRED, imports_of)
    names = [*CURL, *(name for name in found if is_able(name, size))]
    with folder(is_tls=is_tls) as prefix, sink(prefix, is_tls=is_tls) as origin:
        write_file(prefix / "file", size)
        job = Job(f"{origin}/file", str(prefix / "file"))
        samples = take_turns(names, rounds, lambda name: run_or_end(name, job))
    show(samples, "a sink", size, rounds, baseline, is_tls=is_tls)


def compare_nginx(size: int, rounds: int, *, is_tls: bool) -> None:
    """Print the table of uploads to nginx, which stores what is put."""
    found, baseline = installed(CONTENDERS, REQUIRED, imports_of)
    names = [RAW, *(name for name in found if RIVALS[name] == RAW)]
    with (
        folder(is_tls=is_tls) as prefix,
        nginx(prefix, is_tls=is_tls, lines=WEBDAV) as origin,
    ):
        (prefix / "files").chmod(0o777)  # nginx' worker is another user when root starts it
        write_file(prefix / "file", size)
        stored = prefix / "files" / "stored"
        job = Job(f"{origin}/stored", str(prefix / "file"))
        samples = take_turns(names, rounds, lambda name: run_and_remove(name, job, stored))
    show(samples, "nginx", size, rounds, baseline, is_tls=is_tls)


def is_able(name: str, size: int) -> bool:
    """Say whether a contender is asked to upload so much."""
    largest = CONTENDERS[name].largest
    if largest is None or size <= largest:
        return True
    say(f"{name} is skipped: it loads the file into memory, {largest / MIB:.0f} MiB at most here")
    return False


def show(
    samples: Samples, server: str, size: int, rounds: int, baseline: int, *, is_tls: bool
) -> None:
    """Print the table, and each goal that was measured."""
    where = f"{'https' if is_tls else 'http'}, {server} on the loopback"
    say(f"{size / MIB:.0f} MiB over {where}, medians of {rounds} rounds")
    Table(RIVALS, size, baseline, "MiB/s", MIB).print(samples)
    say(f"x curl: of {FORM} for forms, of {RAW} for the others")
    say(f"an interpreter that imported requests: {baseline / MIB:.1f} MiB")
    for name, rival, least in LEAST_RATIOS:
        if name in samples and rival in samples:
            judge(samples, name, rival, least)


def compare_memory(*, is_tls: bool) -> bool:
    """Print httpkit's peak RSS for a small and a large file; return whether they agree."""
    found, baseline = installed(CONTENDERS, REQUIRED, imports_of)
    names = [name for name in found if name.startswith("httpkit")]
    if not names:
        end("httpkit cannot upload: there is no peak to compare")
    are_flat = []
    with folder(is_tls=is_tls) as prefix, sink(prefix, is_tls=is_tls) as origin:
        job = Job(f"{origin}/file", str(prefix / "sparse"))
        for name in names:
            peaks = []
            for size in MEMORY_SIZES:
                write_sparse(prefix / "sparse", size)
                peaks.append(run_or_end(name, job).rss)
                rss, above = peaks[-1] / MIB, (peaks[-1] - baseline) / MIB
                say(f"{name}, {size / MIB:.0f} MiB: RSS {rss:.1f} MiB, {above:.1f} above requests")
            are_flat.append(is_flat(peaks))
    return all(are_flat)


def check_webdav() -> None:
    """End when nginx was built without its WebDAV module."""
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    if "http_dav_module" not in built:
        end("nginx has no WebDAV module: install Debian's package nginx")


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    made = parser(__doc__ or "")
    add = made.add_argument
    add("--nginx", action="store_true", help="put to nginx, which stores what it is sent")
    add("--child", nargs=3, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.child:
        name, *job = options.child
        run_child(name, Job(*job))
        return 0
    prepare()
    size = options.size or (MIB if options.memory else default_size())
    programs = ("curl", "nginx") if options.nginx else ("curl",)
    # nginx stores a file, and had it as a temporary one.
    check_machine(programs, 2 * size if options.nginx else size, is_tls=options.tls)
    if options.nginx:
        check_webdav()
    if options.memory:
        return 0 if compare_memory(is_tls=options.tls) else 1
    table = compare_nginx if options.nginx else compare
    table(size, options.rounds, is_tls=options.tls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
