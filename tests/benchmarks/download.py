"""Download a file from nginx on the loopback, with curl, httpkit and its rivals.

Every transfer runs in a process of its own, which imports first and then times the transfer
alone, so that neither imports nor a neighbour's peak memory count. The contenders take turns,
in another order each round, because a machine's speed drifts; ratios are to curl in the same
round. Rule: nothing here asserts on seconds; the goals are judged in the output only.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn, TypeAlias

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# tmpfs, so that no disk is measured; nginx's sendfile reads it without a copy.
MEMORY_DISK = Path("/dev/shm")  # noqa: S108  # a fresh, unpredictable folder is made in it
# Seconds for nginx to listen, and for one transfer: toolbelt needs 10 for 1 GiB.
LONGEST_START, LONGEST_TRANSFER = 10, 600
MEMORY_SIZES = (64 * MIB, 4 * GIB)
LARGEST_GROWTH = 5 * MIB
LARGEST_ABOVE_REQUESTS = 40 * MIB
LEAST_RATIOS = {"httpkit": 1.2, "httpkit, sha256": 0.75}
MISSING = 2  # exit status: a program, a library or room is missing

NGINX = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        root files;
{certificate}    }}
}}
"""
CERTIFICATE = "        ssl_certificate chain.pem; ssl_certificate_key key.pem;\n"


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


@dataclass(frozen=True, slots=True)
class Sample:
    """What one transfer took.

    Attributes:
        seconds: From the call to its return.
        cpu: User and system seconds of the process.
        rss: The process's peak resident bytes, imports included.
    """

    seconds: float
    cpu: float
    rss: int


Transfer: TypeAlias = Callable[[Job], object]


# The contenders: each imports what it needs, and returns the transfer to be timed. They are
# imported by name because any of them may be missing, for the type checker, too.


def requests_in_blocks(block: int) -> Transfer:
    """Return the recipe of requests' documentation, in blocks of so many bytes."""
    requests: Any = importlib.import_module("requests")

    def transfer(job: Job) -> None:
        with requests.get(job.url, stream=True) as answer, Path(job.dest).open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(block):  # noqa: FURB122  # the recipe as written
                file.write(chunk)

    return transfer


def toolbelt() -> Transfer:
    """Return requests-toolbelt's, with its default of 512 bytes a read."""
    requests: Any = importlib.import_module("requests")
    stream: Any = importlib.import_module("requests_toolbelt.downloadutils.stream")

    def transfer(job: Job) -> None:
        with requests.get(job.url, stream=True) as answer:
            answer.raise_for_status()
            stream.stream_response_to_file(answer, path=job.dest)

    return transfer


def httpx() -> Transfer:
    """Return the recipe of httpx' documentation."""
    library: Any = importlib.import_module("httpx")

    def transfer(job: Job) -> None:
        with library.stream("GET", job.url) as answer, Path(job.dest).open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():  # noqa: FURB122  # the recipe as written
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


# In the child.


def run_child(name: str, job: Job) -> None:
    """Measure one transfer, or only the imports where there is no URL, and print it as JSON."""
    sample = measure_curl(job) if name == "curl" else measure(CONTENDERS[name], job)
    say(json.dumps(asdict(sample)))


def measure(contender: Callable[[], Transfer], job: Job) -> Sample:
    """Import, then time the transfer."""
    transfer = contender()
    began, cpu = time.perf_counter(), time.process_time()
    if job.url:
        transfer(job)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return Sample(seconds, cpu, peak_rss("self"))


def measure_curl(job: Job) -> Sample:
    """Run curl, timed by itself: its start must count as little as an interpreter's."""
    command = ("curl", "-q", "-s", "-S", "-f", "-o", job.dest, "-w", "%{time_total}", job.url)
    rss = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        while curl.poll() is None:
            # The kernel carries the peak of the process that forked into ru_maxrss; VmHWM is
            # curl's own, but is gone once it ended.
            rss = max(rss, peak_rss(str(curl.pid)))
            time.sleep(0.02)
        seconds = float(curl.stdout.read()) if curl.stdout else 0.0
    if curl.returncode:
        sys.exit(curl.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Sample(seconds, used.ru_utime + used.ru_stime, rss)


def peak_rss(process: str) -> int:
    """Return a process's peak resident bytes, 0 when it has ended."""
    for line in Path("/proc", process, "status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    return 0


# In the parent.


def run_in_child(name: str, job: Job) -> Sample:
    """Measure one transfer in a process of its own, and remove the file.

    Raises:
        ChildError: It failed, or an import did.
    """
    command = [sys.executable, "-P", __file__, "--child", name, *asdict(job).values()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LONGEST_TRANSFER
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChildError(lines[-1] if lines else f"exit status {done.returncode}")
    return Sample(**json.loads(done.stdout))


class ChildError(Exception):
    """A transfer failed; the message is the last line it said."""


def run_and_remove(name: str, job: Job, size: int) -> Sample:
    """Measure one transfer, and see that all of the file arrived."""
    dest = Path(job.dest)
    try:
        sample = run_in_child(name, job)
        arrived = dest.stat().st_size
    except ChildError as error:
        sys.exit(f"{name} failed: {error}")
    finally:
        dest.unlink(missing_ok=True)
    if arrived != size:
        sys.exit(f"{name} failed: {arrived} of {size} bytes arrived")
    return sample


@contextmanager
def serving(*, is_tls: bool) -> Iterator[tuple[str, Path]]:
    """Run nginx; give its URL and the folder that it serves."""
    prefix = Path(tempfile.mkdtemp(prefix="httpkit-benchmark-", dir=MEMORY_DISK))
    try:
        prefix.chmod(0o755)  # nginx' worker is another user when root starts it
        files = prefix / "files"
        files.mkdir()
        if is_tls:
            trust(write_certificate(prefix))
        with nginx(prefix, is_tls=is_tls) as origin:
            yield origin, files
    finally:
        shutil.rmtree(prefix, ignore_errors=True)


@contextmanager
def nginx(prefix: Path, *, is_tls: bool) -> Iterator[str]:
    """Start nginx in a folder of its own; give its origin; stop it."""
    port = free_port()
    (prefix / "nginx.conf").write_text(
        NGINX.format(
            port=port, tls=" ssl" if is_tls else "", certificate=CERTIFICATE if is_tls else ""
        )
    )
    log = prefix / "error.log"
    process = subprocess.Popen(["nginx", "-p", prefix, "-c", "nginx.conf", "-e", log])
    try:
        wait_for_port(port, process, log)
        yield f"{'https' if is_tls else 'http'}://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(LONGEST_START)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when nginx listens; end with its own words when it does not."""
    give_up = time.monotonic() + LONGEST_START
    while process.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"nginx does not listen: {log.read_text() if log.exists() else 'it logged nothing'}")


def write_certificate(prefix: Path) -> Path:
    """Write chain.pem and key.pem; return what a client must trust."""
    chain, key, authority = prefix / "chain.pem", prefix / "key.pem", prefix / "authority.pem"
    try:
        trustme: Any = importlib.import_module("trustme")
    except ImportError:
        subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
        files = ("-keyout", key, "-out", chain)
        command = ("openssl", "req", "-x509", *made, *subject, *files)
        subprocess.run(command, check=True, capture_output=True)
        return chain
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority))
    server = issuer.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(str(key))
    for pem in server.cert_chain_pems:
        pem.write_to_path(str(chain), append=True)
    return authority


def trust(authority: Path) -> None:
    """Have each child trust it, and load nothing else: a bundle takes 20 ms to load."""
    for name in (ssl.get_default_verify_paths().openssl_cafile_env, "REQUESTS_CA_BUNDLE"):
        os.environ[name] = str(authority)
    os.environ["CURL_CA_BUNDLE"] = str(authority)


def write_file(path: Path, size: int) -> str:
    """Write bytes that do not compress; return their checksum as httpkit takes it."""
    block, digest = os.urandom(MIB), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            part = block[: min(MIB, size - start)]
            file.write(part)
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def installed() -> tuple[list[str], int]:
    """Return the contenders that can be imported, and the peak RSS of requests' import."""
    found: dict[str, Sample] = {}
    for name in CONTENDERS:
        try:
            found[name] = run_in_child(name, Job("", ""))
        except ChildError as error:
            if name in REQUIRED:
                end(f"{name.split(',')[0]} cannot be imported: {error}")
            say(f"{name} is skipped: {error}")
    return list(found), found[REQUIRED[0]].rss


def compare(size: int, rounds: int, *, is_tls: bool) -> None:
    """Print the table, and how httpkit does by its goals."""
    rivals, baseline = installed()
    names = ["curl", *rivals]
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    shuffle = random.Random(0)  # noqa: S311  # the same order in every run, and no secret
    with serving(is_tls=is_tls) as (origin, files):
        checksum = write_file(files / "file", size)
        job = Job(f"{origin}/file", str(files.parent / "arrived"), checksum)
        for _ in range(rounds):
            # Shuffled, not rotated: a rotation gives each the same neighbour before it, every time.
            for name in shuffle.sample(names, len(names)):
                samples[name].append(run_and_remove(name, job, size))
    scheme = "https" if is_tls else "http"
    say(f"{size / MIB:.0f} MiB over {scheme}, nginx on the loopback, medians of {rounds} rounds")
    print_table(samples, size, baseline)
    say(f"an interpreter that imported requests: {baseline / MIB:.1f} MiB")
    judge(samples, baseline)


def print_table(samples: dict[str, list[Sample]], size: int, baseline: int) -> None:
    """Print a row for each contender, in Markdown."""
    say("| | seconds | MB/s | x curl | CPU s | RSS MiB | above requests |")
    say("|---|---:|---:|---:|---:|---:|---:|")
    for name, row in samples.items():
        seconds, rss = median(s.seconds for s in row), median(s.rss for s in row)
        cpu = median(s.cpu for s in row)
        above = "" if name == "curl" else f"{(rss - baseline) / MIB:.1f}"
        say(
            f"| {name} | {seconds:.2f} | {size / seconds / 1e6:.0f} | {ratio(samples, name):.2f}"
            f" | {cpu:.2f} | {rss / MIB:.1f} | {above} |"
        )


def ratio(samples: dict[str, list[Sample]], name: str) -> float:
    """Return the throughput as a multiple of curl's: the median of those in each round."""
    pairs = zip(samples["curl"], samples[name], strict=True)
    return median(curl.seconds / own.seconds for curl, own in pairs)


def judge(samples: dict[str, list[Sample]], baseline: int) -> None:
    """Print each goal, and whether it is met."""
    for name, least in LEAST_RATIOS.items():
        found = ratio(samples, name)
        say(f"goal {'met' if found >= least else 'missed'}: {name} {found:.2f} >= {least} x curl")
        above = max(s.rss for s in samples[name]) - baseline
        verdict = "met" if above < LARGEST_ABOVE_REQUESTS else "missed"
        limit = LARGEST_ABOVE_REQUESTS / MIB
        say(f"goal {verdict}: {name} {above / MIB:.1f} < {limit:.0f} MiB above requests")


def compare_memory(*, is_tls: bool) -> bool:
    """Print httpkit's peak RSS for a small and a large file; return whether they agree."""
    baseline = installed()[1]
    peaks: list[int] = []
    with serving(is_tls=is_tls) as (origin, files), tempfile.TemporaryDirectory() as disk:
        for size in MEMORY_SIZES:
            with (files / "sparse").open("wb") as file:
                file.truncate(size)
            is_roomy = shutil.disk_usage(MEMORY_DISK).free > 2 * size
            folder = files.parent if is_roomy else Path(disk)
            job = Job(f"{origin}/sparse", str(folder / "arrived"))
            rss = run_and_remove("httpkit", job, size).rss
            above = (rss - baseline) / MIB
            say(f"{size / MIB:.0f} MiB: RSS {rss / MIB:.1f} MiB, {above:.1f} above requests")
            peaks.append(rss)
    growth = max(peaks) - min(peaks)
    is_flat = growth <= LARGEST_GROWTH
    limit = f"{LARGEST_GROWTH / MIB:.0f} MiB"
    say(f"{'flat' if is_flat else 'NOT FLAT'}: {growth / MIB:.1f} MiB apart, {limit} allowed")
    return is_flat


def default_size() -> int:
    """Return 1 GiB where it fits thrice: the file, its copy, and room for others."""
    return GIB if shutil.disk_usage(MEMORY_DISK).free >= 3 * GIB else 256 * MIB


def check_machine(size: int, *, is_tls: bool) -> None:
    """End, saying what is missing, when this machine cannot run the benchmark."""
    if not MEMORY_DISK.is_dir():
        end(f"{MEMORY_DISK} is missing: the benchmark needs Linux and its tmpfs")
    for program in ("nginx", "curl"):
        if shutil.which(program) is None:
            end(f"{program} is missing: install the package {program}")
    if is_tls and importlib.util.find_spec("trustme") is None and not shutil.which("openssl"):
        end("no certificate can be made: install trustme or openssl")
    free = shutil.disk_usage(MEMORY_DISK).free
    if free < 2 * size:
        end(f"{MEMORY_DISK} has {free} bytes free, but the file and its copy need {2 * size}")


def say(line: str) -> None:
    """Print a line now: a run takes minutes, and may be watched through a pipe."""
    print(line, flush=True)  # noqa: T201  # the output is what this is for


def end(message: str) -> NoReturn:
    """Say what is missing, and stop."""
    sys.stderr.write(f"{message}\n")
    sys.exit(MISSING)


def whole_number(text: str) -> int:
    """Return a number from 1, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--size", type=whole_number, metavar="BYTES", help="of the file (1 GiB, or 256 MiB)")
    add("--rounds", type=whole_number, default=5, metavar="N", help="turns of each (5)")
    add("--tls", action="store_true", help="serve https with a certificate made for this run")
    add("--memory", action="store_true", help="compare httpkit's peak RSS at 64 MiB and 4 GiB")
    add("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    options = parse()
    if options.child:
        name, *job = options.child
        run_child(name, Job(*job))
        return 0
    # nginx and a file in memory must not outlive a run that is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.environ |= {"NO_PROXY": "*", "no_proxy": "*", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    size = options.size or (MIB if options.memory else default_size())
    check_machine(size, is_tls=options.tls)
    if options.memory:
        return 0 if compare_memory(is_tls=options.tls) else 1
    compare(size, options.rounds, is_tls=options.tls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
