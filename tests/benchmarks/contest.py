"""What the benchmarks share: contenders in processes of their own, which take turns.

Every transfer runs in a process of its own, which imports first and then times the transfer
alone, so that neither imports nor a neighbour's peak memory count. The contenders take turns,
in another order each round, because a machine's speed drifts; ratios are to a rival in the
same round. Rule: nothing here asserts on seconds; the goals are judged in the output only.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn, TypeAlias

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# tmpfs, so that no disk is measured; nginx's sendfile reads it without a copy.
MEMORY_DISK = Path("/dev/shm")  # noqa: S108  # a fresh, unpredictable folder is made in it
# Seconds for a server to listen, and for one transfer: toolbelt needs 10 for 1 GiB.
LONGEST_START, LONGEST_TRANSFER = 10, 600
MEMORY_SIZES = (64 * MIB, 4 * GIB)
LARGEST_GROWTH = 5 * MIB
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
{lines}{certificate}    }}
}}
"""
CERTIFICATE = "        ssl_certificate chain.pem; ssl_certificate_key key.pem;\n"


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


Samples: TypeAlias = dict[str, list[Sample]]


# In the child.


def measure(transfer: Callable[[], object]) -> Sample:
    """Time a transfer whose imports are done."""
    began, cpu = time.perf_counter(), time.process_time()
    transfer()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return Sample(seconds, cpu, peak_rss("self"))


def measure_curl(*arguments: str) -> Sample:
    """Run curl, timed by itself: its start must count as little as an interpreter's.

    Args:
        *arguments: Such that it prints nothing to its standard output.
    """
    command = ("curl", "-q", "-s", "-S", "-f", "-w", "%{time_total}", *arguments)
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


def report(sample: Sample) -> None:
    """Tell the parent, as JSON."""
    say(json.dumps(asdict(sample)))


def peak_rss(process: str) -> int:
    """Return a process's peak resident bytes, 0 when it has ended."""
    for line in Path("/proc", process, "status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    return 0


# In the parent.


def run_in_child(script: str, name: str, job: Iterable[str]) -> Sample:
    """Measure one transfer in a process of its own.

    Args:
        script: Is run with `--child`, the name and the job, and reports a sample.
        name: Of the contender.
        job: What to transfer; empty texts measure the imports alone.

    Raises:
        ChildError: The transfer failed, or an import did.
    """
    command = [sys.executable, script, "--child", name, *job]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LONGEST_TRANSFER
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChildError(lines[-1] if lines else f"exit status {done.returncode}")
    return Sample(**json.loads(done.stdout))


class ChildError(Exception):
    """A transfer failed; the message is the last line it said."""


def installed(
    names: Iterable[str], required: Sequence[str], probe: Callable[[str], Sample]
) -> tuple[list[str], int]:
    """Return the contenders that can be imported, and the peak RSS of the first required one.

    Args:
        names: Of the contenders.
        required: Without these the benchmark ends.
        probe: Measures the imports of one.
    """
    found: dict[str, Sample] = {}
    for name in names:
        try:
            found[name] = probe(name)
        except ChildError as error:
            if name in required:
                end(f"{name.split(',')[0]} cannot be imported: {error}")
            say(f"{name} is skipped: {error}")
    return list(found), found[required[0]].rss


def take_turns(names: Sequence[str], rounds: int, run: Callable[[str], Sample]) -> Samples:
    """Run each contender once a round."""
    samples: Samples = {name: [] for name in names}
    shuffle = random.Random(0)  # noqa: S311  # the same order in every run, and no secret
    for _ in range(rounds):
        # Shuffled, not rotated: a rotation gives each the same neighbour before it, every time.
        for name in shuffle.sample(names, len(names)):
            samples[name].append(run(name))
    return samples


@dataclass(frozen=True, slots=True)
class Table:
    """How the samples of some contenders are shown.

    Attributes:
        rivals: A contender to the one that its throughput is compared with.
        size: Bytes of a transfer.
        baseline: Resident bytes of an interpreter that imported requests.
        unit: Of the throughput.
        unit_size: Its bytes.
    """

    rivals: Mapping[str, str]
    size: int
    baseline: int
    unit: str = "MB/s"
    unit_size: int = 10**6

    def print(self, samples: Samples) -> None:
        """Print a row for each contender, in Markdown."""
        say(f"| | seconds | {self.unit} | x curl | CPU s | RSS MiB | above requests |")
        say("|---|---:|---:|---:|---:|---:|---:|")
        for name, row in samples.items():
            seconds, rss = median(s.seconds for s in row), median(s.rss for s in row)
            cpu = median(s.cpu for s in row)
            above = "" if name.startswith("curl") else f"{(rss - self.baseline) / MIB:.1f}"
            say(
                f"| {name} | {seconds:.2f} | {self.size / seconds / self.unit_size:.0f}"
                f" | {ratio(samples, name, self.rivals[name]):.2f} | {cpu:.2f}"
                f" | {rss / MIB:.1f} | {above} |"
            )


def ratio(samples: Samples, name: str, rival: str) -> float:
    """Return the throughput as a multiple of a rival's: the median of those in each round."""
    pairs = zip(samples[rival], samples[name], strict=True)
    return median(other.seconds / own.seconds for other, own in pairs)


def judge(samples: Samples, name: str, rival: str, least: float) -> None:
    """Print a goal, and whether it is met."""
    found = ratio(samples, name, rival)
    say(f"goal {'met' if found >= least else 'missed'}: {name} {found:.2f} >= {least} x {rival}")


def is_flat(peaks: Sequence[int]) -> bool:
    """Print how far peaks of memory are apart; return whether that is little."""
    growth = max(peaks) - min(peaks)
    conclusion = "flat" if growth <= LARGEST_GROWTH else "NOT FLAT"
    say(f"{conclusion}: {growth / MIB:.1f} MiB apart, {LARGEST_GROWTH / MIB:.0f} MiB allowed")
    return growth <= LARGEST_GROWTH


def write_sparse(path: Path, size: int) -> None:
    """Write a file of zeros that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)


@contextmanager
def serving(*, is_tls: bool) -> Iterator[tuple[str, Path]]:
    """Run nginx; give its URL and the folder that it serves."""
    with folder(is_tls=is_tls) as prefix, nginx(prefix, is_tls=is_tls) as origin:
        yield origin, prefix / "files"


@contextmanager
def folder(*, is_tls: bool) -> Iterator[Path]:
    """Make a folder for a server, with a folder `files`, and a certificate that is trusted."""
    prefix = Path(tempfile.mkdtemp(prefix="httpkit-benchmark-", dir=MEMORY_DISK))
    try:
        prefix.chmod(0o755)  # nginx' worker is another user when root starts it
        (prefix / "files").mkdir()
        if is_tls:
            trust(write_certificate(prefix))
        yield prefix
    finally:
        shutil.rmtree(prefix, ignore_errors=True)


@contextmanager
def nginx(prefix: Path, *, is_tls: bool, lines: str = "") -> Iterator[str]:
    """Start nginx in a folder of its own; give its origin; stop it.

    Args:
        prefix: The folder; it serves the `files` in it.
        is_tls: Whether it serves https, with the folder's certificate.
        lines: More of its configuration, for the server.
    """
    port = free_port()
    (prefix / "nginx.conf").write_text(
        NGINX.format(
            port=port,
            tls=" ssl" if is_tls else "",
            certificate=CERTIFICATE if is_tls else "",
            lines=lines,
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


def default_size() -> int:
    """Return 1 GiB where it fits thrice: the file, its copy, and room for others."""
    return GIB if shutil.disk_usage(MEMORY_DISK).free >= 3 * GIB else 256 * MIB


def check_machine(programs: Iterable[str], room: int, *, is_tls: bool) -> None:
    """End, saying what is missing, when this machine cannot run the benchmark.

    Args:
        programs: Debian's packages of their names have them.
        room: Bytes that are needed in memory.
        is_tls: Whether a certificate is needed.
    """
    if not MEMORY_DISK.is_dir():
        end(f"{MEMORY_DISK} is missing: the benchmark needs Linux and its tmpfs")
    for program in programs:
        if shutil.which(program) is None:
            end(f"{program} is missing: install the package {program}")
    if is_tls and importlib.util.find_spec("trustme") is None and not shutil.which("openssl"):
        end("no certificate can be made: install trustme or openssl")
    free = shutil.disk_usage(MEMORY_DISK).free
    if free < room:
        end(f"{MEMORY_DISK} has {free} bytes free, but the file and its copy need {room}")


def prepare() -> None:
    """Have no proxy, no bar, and servers that do not outlive a run that is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.environ |= {"NO_PROXY": "*", "no_proxy": "*", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


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


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description.partition("\n")[0])
    add = made.add_argument
    add("--size", type=whole_number, metavar="BYTES", help="of the file (1 GiB, or 256 MiB)")
    add("--rounds", type=whole_number, default=5, metavar="N", help="turns of each (5)")
    add("--tls", action="store_true", help="serve https with a certificate made for this run")
    add("--memory", action="store_true", help="compare httpkit's peak RSS at 64 MiB and 4 GiB")
    return made
