"""What a download promises, held against nginx: its validators, ranges, codings and closes.

Between the two stands, where a test wants it, a forwarder that ends connections early. What
nginx saw is read from its access log.
"""

import gzip
import hashlib
import io
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
import requests
import trustme

import httpkit
from httpkit._diagnostics.errors import ChecksumError
from httpkit._transfers.sinks import OVERLAP

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")  # not on Windows

KIB, MIB = 1 << 10, 1 << 20
# Seconds for nginx to listen, to log what it sent, and to say something.
LONGEST = 10
# Seconds since the file changed: enough for its date to be a strong validator.
OLD_ENOUGH = 60

CONFIGURATION = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    types {{ text/plain txt; application/x-ndjson ndjson; }}
    default_type application/octet-stream;
    log_format seen escape=json
        '{{"path":"$uri","status":$status,"range":"$http_range","if_range":"$http_if_range",'
        '"coding":"$sent_http_content_encoding","bytes":$body_bytes_sent,'
        '"connection":$connection}}';
    access_log seen.log seen;
    sendfile on;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate chain.pem;
        ssl_certificate_key key.pem;
        root files;
        location /untagged/ {{ alias files/; etag off; }}
        location /rangeless/ {{ alias files/; max_ranges 0; }}
        location /zipped/ {{ alias files/; gzip on; gzip_types *; gzip_min_length 0; }}
        location /insistent/ {{
            proxy_pass http://127.0.0.1:{http}/zipped/;
            proxy_http_version 1.1;
            proxy_set_header Accept-Encoding gzip;
        }}
        location /slowing/ {{
            alias files/; limit_rate_after 2m; limit_rate 3m; sendfile_max_chunk 128k;
        }}
        location /taken/ {{ dav_methods PUT; create_full_put_path on; client_max_body_size 100m; }}
        location /narrow/ {{ dav_methods PUT; client_max_body_size 1k; }}
        location /slow/ {{ alias files/; limit_rate 1m; sendfile_max_chunk 64k; }}
    }}
}}
"""


def noise(seed, size):
    """Return bytes that do not compress and are the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


@dataclass(frozen=True)
class Site:
    """An nginx that serves a folder by http and by https.

    Attributes:
        prefix: Its folder; `files` in it is served.
        ports: Scheme to port.
        authority: What a client must trust.
    """

    prefix: Path
    ports: dict[str, int]
    authority: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def publish(self, body, *, suffix=".bin"):
        """Serve bytes under a name of their own; return the name."""
        name = f"{next(self._numbers)}{suffix}"
        self.replace(name, body)
        return name

    def replace(self, name, body, *, modified=None):
        """Serve other bytes, whole at once, as a deployment does."""
        path, new = self.file(name), self.file(f"{name}.new")
        new.write_bytes(body)
        seconds = time.time() - OLD_ENOUGH if modified is None else modified
        os.utime(new, (seconds, seconds))
        new.replace(path)

    def file(self, name):
        return self.prefix / "files" / name

    def seen(self, path, number):
        """Return what nginx logged of the first requests for a path; it logs after it sent."""
        give_up = time.monotonic() + LONGEST
        while time.monotonic() < give_up:
            lines = (self.prefix / "seen.log").read_text("utf-8").splitlines(keepends=True)
            entries = [json.loads(line) for line in lines if line.endswith("\n")]
            found = [entry for entry in entries if entry["path"] == f"/{path}"]
            if len(found) >= number:
                return found
            time.sleep(0.005)
        raise AssertionError(f"nginx logged {len(found)} requests for {path}, not {number}")


@pytest.fixture(scope="session")
def nginx(tmp_path_factory) -> Iterator[Site]:
    """Run one nginx, in one process and as this user, for all tests here."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    prefix = tmp_path_factory.mktemp("nginx")
    (prefix / "files").mkdir()
    site = Site(prefix, free_ports("http", "https"), certify(prefix))
    (prefix / "nginx.conf").write_text(CONFIGURATION.format(**site.ports))
    command = (program, "-p", prefix, "-c", "nginx.conf", "-e", "error.log")
    # The shell ends nginx at the end of its standard input, so also when the tests are killed.
    script = '"$@" & read -r _; kill $!; wait $!'
    with subprocess.Popen(["sh", "-c", script, "sh", *command], stdin=subprocess.PIPE) as shell:
        wait_until_it_listens(site)
        yield site
        shell.communicate(timeout=LONGEST)


def free_ports(*names):
    """Return ports of the loopback that nobody listens on, held until all are known."""
    probes = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def certify(prefix):
    authority, path = trustme.CA(), prefix / "authority.pem"
    authority.cert_pem.write_to_path(path)
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(prefix / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(prefix / "chain.pem", append=True)
    return path


def wait_until_it_listens(site):
    give_up, log = time.monotonic() + LONGEST, site.prefix / "error.log"
    for port in site.ports.values():
        while time.monotonic() < give_up:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.005)
        else:
            said = log.read_text() if log.exists() else "it logged nothing"
            raise AssertionError(f"nginx does not listen: {said}")


class Cutter:
    """A forwarder that ends its n-th connection after the n-th number of the server's bytes.

    Attributes:
        later: After how many bytes it ends the connections after those.
        first_bytes: What each connection brought first.
    """

    def __init__(self, port, cuts, *, is_reset, later):
        self.later = later
        self.first_bytes: list[bytes] = []
        self._server, self._cuts, self._is_reset = ("127.0.0.1", port), list(cuts), is_reset
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._workers = [threading.Thread(target=self._accept)]
        self._workers[0].start()

    def stop(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._workers[0].join(LONGEST)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for worker in self._workers:
            worker.join(LONGEST)

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                cut = self._cuts.pop(0) if self._cuts else self.later
                worker = threading.Thread(target=self._serve, args=(client, cut))
                worker.start()
                self._workers.append(worker)

    def _serve(self, client, cut):
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            left = cut
            while left:
                ready = select.select([client, server], [], [], LONGEST)[0]
                source, sink = (server, client) if server in ready else (client, server)
                block = source.recv(min(left, 65536))
                if not block:
                    return
                sink.sendall(block)
                if source is server:
                    self.first_bytes += [block] if left == cut else []
                    left -= len(block)
            if self._is_reset:
                wait_until_received(client)
                linger = struct.pack("ii", 1, 0)  # for no second: closing resets
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def wait_until_received(connection):
    """Return when the other end's kernel has all that was sent: a reset drops the rest."""
    give_up = time.monotonic() + LONGEST
    while time.monotonic() < give_up:
        (waiting,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
        if not waiting:
            return
        time.sleep(0.001)


@dataclass(frozen=True)
class Cut:
    """Where a test reaches nginx through a Cutter."""

    origin: str
    cutter: Cutter

    def head_size(self, number):
        """Return the bytes before the body in the n-th plain connection."""
        return self.cutter.first_bytes[number].index(b"\r\n\r\n") + 4


@contextmanager
def cut_after(site, scheme, *cuts, is_reset=False, later=sys.maxsize):
    """Forward to nginx, ending the n-th connection after the n-th number of bytes."""
    cutter = Cutter(site.ports[scheme], cuts, is_reset=is_reset, later=later)
    try:
        yield Cut(f"{scheme}://127.0.0.1:{cutter.port}", cutter)
    finally:
        cutter.stop()


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def origin(nginx, scheme):
    return f"{scheme}://127.0.0.1:{nginx.ports[scheme]}"


@pytest.fixture
def api(nginx):
    with httpkit.Session(verify=str(nginx.authority), timeout=5) as session:
        yield session


@pytest.fixture
def interrupted(api, nginx, scheme, dest):
    """Leave the beginning of a file in a part; return the URL to go on with, and its size."""
    with ExitStack() as servers:

        def leave(path, cut):
            server = servers.enter_context(cut_after(nginx, scheme, cut, later=0))
            url = f"{server.origin}/{path}"
            with pytest.raises(requests.RequestException):
                api.download(url, dest, max_stalls=0)
            server.cutter.later = sys.maxsize
            return url, part_of(dest).stat().st_size

        yield leave


def part_of(dest):
    return dest.with_name(f"{dest.name}.part")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def first_byte(entry):
    """Return from where a logged request asked; None when it asked for all."""
    span = entry["range"].removeprefix("bytes=").removesuffix("-")
    return int(span) if span else None


def etag_of(path):
    """Return the ETag as nginx makes it: the seconds of the file's date, and its size."""
    stat = path.stat()
    return f'"{int(stat.st_mtime):x}-{stat.st_size:x}"'


# Whole files


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 3 * MIB + 1], ids="{} bytes".format)
def test_a_whole_file_arrives(api, nginx, origin, dest, size):
    body = noise(size, size)
    name = nginx.publish(body)

    done = api.download(f"{origin}/{name}", dest)

    assert dest.read_bytes() == body
    assert (done.size, done.fetched, done.attempts, done.verified) == (size, size, 1, True)
    assert done.etag == etag_of(nginx.file(name))
    assert files(dest.parent) == ["file.bin"]
    (entry,) = nginx.seen(name, 1)
    assert (entry["status"], entry["range"], entry["bytes"]) == (200, "", size)


def test_a_download_leaves_its_connection_for_the_next(api, nginx, origin, tmp_path):
    name = nginx.publish(noise(1, 3 * MIB))

    for number in range(3):
        api.download(f"{origin}/{name}", tmp_path / str(number))

    assert len({entry["connection"] for entry in nginx.seen(name, 3)}) == 1


def test_a_large_sparse_file_arrives_in_large_reads(api, nginx, origin, tmp_path):
    size, marks = 66 * MIB, {0: b"first", 37 * MIB + 5: b"middle", 66 * MIB - 4: b"last"}
    name = nginx.publish(b"")
    with nginx.file(name).open("r+b") as file:
        file.truncate(size)
        for position, mark in marks.items():
            file.seek(position)
            file.write(mark)
    digest = hashlib.sha256(nginx.file(name).read_bytes()).hexdigest()

    with Recording(tmp_path / "file.bin") as written:
        done = api.download(f"{origin}/{name}", written, checksum=f"sha256:{digest}")

    assert (done.size, done.digests, done.attempts) == (size, {"sha256": digest}, 1)
    assert max(written.blocks) == MIB


class Recording(io.FileIO):
    """A file that notes the sizes of what is written to it."""

    def __init__(self, path):
        super().__init__(path, "x")
        self.blocks: list[int] = []

    def write(self, data):
        self.blocks.append(len(data))
        return super().write(data)


def test_reads_are_small_again_when_nginx_slows_down(api, nginx, tmp_path):
    name = nginx.publish(noise(2, 4 * MIB))
    url = f"http://127.0.0.1:{nginx.ports['http']}/slowing/{name}"

    with Recording(tmp_path / "file.bin") as written:
        api.download(url, written)

    assert (tmp_path / "file.bin").read_bytes() == noise(2, 4 * MIB)
    large = [number for number, block in enumerate(written.blocks) if block == MIB]
    assert written.blocks[: large[0]]
    assert written.blocks[large[-1] + 1 :]
    assert max(written.blocks[large[-1] + 1 :]) <= 64 * KIB


# Broken connections


@pytest.mark.parametrize("is_reset", [False, True], ids=["ended", "reset"])
def test_a_connection_that_breaks_in_a_large_read_loses_nothing_but_time(
    api, nginx, scheme, dest, is_reset
):
    body = noise(3, 8 * MIB)
    name = nginx.publish(body)
    cut = 3 * MIB + 512 * KIB  # large reads begin after the first MiB: this is inside the third
    digest = hashlib.sha256(body).hexdigest()

    with cut_after(nginx, scheme, cut, is_reset=is_reset) as server:
        done = api.download(f"{server.origin}/{name}", dest, checksum=f"sha256:{digest}")

    assert dest.read_bytes() == body
    assert (done.attempts, done.digests) == (2, {"sha256": digest})
    assert done.fetched == len(body) + OVERLAP
    cut_one, rest = nginx.seen(name, 2)
    assert (cut_one["status"], rest["status"]) == (200, 206)
    assert rest["if_range"] == etag_of(nginx.file(name))
    kept = first_byte(rest) + OVERLAP
    if scheme == "http" and not is_reset:
        assert kept == cut - server.head_size(0)
    else:
        # A TLS record is 16 KiB and can only be used whole; the handshake and the framing of
        # the records are less than another one. A reset may cost a block on top.
        assert cut - 32 * KIB - (MIB if is_reset else 0) < kept < cut


@pytest.mark.parametrize("is_reset", [False, True], ids=["ended", "reset"])
def test_a_connection_that_breaks_again_and_again_only_costs_attempts(
    api, nginx, scheme, dest, is_reset
):
    body = noise(4, 6 * MIB)
    name = nginx.publish(body)
    cuts = (64 * KIB + 1, 1_500_000, 90_000, 2 * MIB - 7, 300_001, 1_048_577, 200_000)

    with cut_after(nginx, scheme, *cuts, is_reset=is_reset) as server:
        done = api.download(f"{server.origin}/{name}", dest)

    assert dest.read_bytes() == body
    assert done.fetched == len(body) + OVERLAP * (done.attempts - 1)
    entries = nginx.seen(name, done.attempts)
    assert [entry["status"] for entry in entries] == [200] + [206] * (done.attempts - 1)
    starts = [first_byte(entry) for entry in entries[1:]]
    assert starts == sorted(set(starts))
    assert len(starts) >= 3


@pytest.mark.parametrize(
    ("scheme", "cut"),
    [
        ("http", 0),
        ("http", 10),
        ("http", 100),
        ("https", 0),
        ("https", 700),
        ("https", 2000),
    ],
)
def test_a_connection_that_breaks_before_the_body_is_tried_again(api, nginx, scheme, dest, cut):
    name = nginx.publish(noise(6, 100))

    with cut_after(nginx, scheme, cut) as server:
        done = api.download(f"{server.origin}/{name}", dest)

    assert dest.read_bytes() == noise(6, 100)
    assert done.size == 100


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_gone_for_longer_than_an_attempt_takes_is_waited_for(
    api, nginx, scheme, dest
):
    body = noise(23, 2 * MIB)
    name = nginx.publish(body)

    with cut_after(nginx, scheme, MIB, *[0] * 3) as server:
        done = api.download(f"{server.origin}/{name}", dest)

    assert dest.read_bytes() == body
    assert done.attempts == 3


# The next call


def test_the_next_call_fetches_only_what_is_missing(api, nginx, dest, interrupted):
    body = noise(7, 4 * MIB)
    name = nginx.publish(body)
    url, kept = interrupted(name, 2 * MIB)

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert (done.resumed_from, done.attempts) == (kept, 1)
    entry = nginx.seen(name, 2)[-1]
    assert (entry["status"], first_byte(entry)) == (206, kept - OVERLAP)
    assert entry["bytes"] == len(body) - kept + OVERLAP
    assert files(dest.parent) == ["file.bin"]


def test_a_date_is_enough_to_go_on(api, nginx, dest, interrupted):
    body = noise(8, MIB)
    path = f"untagged/{nginx.publish(body)}"
    url, kept = interrupted(path, MIB // 2)

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert (done.resumed_from, done.etag) == (kept, None)
    entry = nginx.seen(path, 2)[-1]
    assert (entry["status"], entry["if_range"][-3:]) == (206, "GMT")


def test_a_date_of_this_very_moment_is_not_enough(api, nginx, dest, interrupted):
    body = noise(9, MIB)
    name = nginx.publish(b"")
    nginx.replace(name, body, modified=time.time() + 5)  # the clock may tick meanwhile
    url, _ = interrupted(f"untagged/{name}", MIB // 2)

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert (done.resumed_from, done.fetched) == (0, MIB)
    assert nginx.seen(f"untagged/{name}", 2)[-1]["range"] == ""


def test_a_file_that_was_replaced_is_fetched_anew(api, nginx, dest, interrupted):
    old, new = noise(10, 2 * MIB), noise(11, 2 * MIB + 1)
    name = nginx.publish(old)
    url, _ = interrupted(name, MIB)
    old_etag = etag_of(nginx.file(name))
    nginx.replace(name, new)

    done = api.download(url, dest)

    assert dest.read_bytes() == new
    assert (done.resumed_from, done.fetched) == (0, len(new))
    assert done.etag == etag_of(nginx.file(name)) != old_etag
    entry = nginx.seen(name, 2)[-1]
    assert (entry["status"], entry["if_range"]) == (200, old_etag)


def test_a_file_that_is_replaced_between_attempts_is_never_spliced(api, nginx, scheme, dest):
    old, new = noise(12, 2 * MIB), noise(13, 2 * MIB - 1)
    name = nginx.publish(old)
    size_seen = []

    def replace(progress):
        if not size_seen:
            size_seen.append(progress.done)
            nginx.replace(name, new)

    with cut_after(nginx, scheme, MIB + 77) as server:
        done = api.download(f"{server.origin}/{name}", dest, progress=replace)

    assert dest.read_bytes() == new
    assert (done.attempts, done.size) == (2, len(new))
    assert [entry["status"] for entry in nginx.seen(name, 2)] == [200, 200]


def test_a_file_of_the_same_second_and_size_is_distinguished_by_its_bytes(
    api, nginx, dest, interrupted
):
    old, new = noise(14, MIB), noise(15, MIB)
    name = nginx.publish(old)
    url, _ = interrupted(name, MIB // 2)
    etag = etag_of(nginx.file(name))
    nginx.replace(name, new, modified=nginx.file(name).stat().st_mtime)

    done = api.download(url, dest)

    assert etag_of(nginx.file(name)) == etag
    assert dest.read_bytes() == new
    assert done.resumed_from == 0
    assert [entry["status"] for entry in nginx.seen(name, 3)] == [200, 206, 200]


def test_a_file_that_shrinks_while_it_is_sent_is_fetched_anew(api, nginx, dest):
    name = nginx.publish(noise(16, 2 * MIB))
    new = noise(17, 100 * KIB)
    sizes = []

    def shrink(progress):
        if not sizes:
            sizes.append(progress.done)
            nginx.file(name).write_bytes(new)

    done = api.download(
        f"http://127.0.0.1:{nginx.ports['http']}/slow/{name}", dest, progress=shrink
    )

    assert dest.read_bytes() == new
    assert done.size == len(new)


def test_a_part_that_is_longer_than_the_file_is_dropped(api, nginx, dest, interrupted):
    body = noise(18, 300 * KIB)
    name = nginx.publish(body)
    url, _ = interrupted(name, 200 * KIB)
    with part_of(dest).open("ab") as part:
        part.write(bytes(200 * KIB))

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert done.resumed_from == 0
    assert [entry["status"] for entry in nginx.seen(name, 3)] == [200, 416, 200]


def test_a_part_that_is_the_whole_file_is_only_looked_at(api, nginx, dest, interrupted):
    body = noise(19, 300 * KIB)
    name = nginx.publish(body)
    url, _ = interrupted(name, 200 * KIB)
    part_of(dest).write_bytes(body)

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert (done.fetched, done.resumed_from) == (OVERLAP, len(body))


def test_a_part_with_a_tail_of_zeros_is_dropped(api, nginx, dest, interrupted):
    body = noise(20, 300 * KIB)
    name = nginx.publish(body)
    url, kept = interrupted(name, 200 * KIB)
    with part_of(dest).open("r+b") as part:  # as a crash leaves it, on some file systems
        part.seek(kept - 100)
        part.write(bytes(100))

    api.download(url, dest)

    assert dest.read_bytes() == body


def test_a_server_without_ranges_costs_a_whole_download(api, nginx, dest, interrupted):
    body = noise(21, MIB)
    path = f"rangeless/{nginx.publish(body)}"
    url, _ = interrupted(path, MIB // 2)

    done = api.download(url, dest)

    assert dest.read_bytes() == body
    assert (done.resumed_from, done.fetched) == (0, MIB)
    assert nginx.seen(path, 2)[-1]["status"] == 200


def test_a_range_that_is_not_there_is_a_client_error(api, nginx, origin):
    name = nginx.publish(b"ten bytes.")

    with pytest.raises(httpkit.ClientError) as caught:
        api.get(f"{origin}/{name}", headers={"Range": "bytes=10-"})

    assert caught.value.status_code == 416
    assert caught.value.response.headers["content-range"] == "bytes */10"


def test_a_wrong_checksum_is_fetched_twice_and_leaves_nothing(api, nginx, origin, dest):
    name = nginx.publish(noise(22, 2 * MIB))

    with pytest.raises(ChecksumError):
        api.download(f"{origin}/{name}", dest, checksum=f"sha256:{'0' * 64}")

    assert files(dest.parent) == []
    assert [entry["status"] for entry in nginx.seen(name, 2)] == [200, 200]


def test_a_file_with_the_servers_date_is_not_fetched_again(api, nginx, origin, dest):
    name = nginx.publish(b"unchanged")
    api.download(f"{origin}/{name}", dest, mtime=True)

    done = api.download(f"{origin}/{name}", dest, if_exists="update")

    assert done.skipped
    assert [entry["status"] for entry in nginx.seen(name, 2)] == [200, 304]


# Content codings

TEXT = "".join(f"{number} \u2013 line {'x' * (number % 90)}\n" for number in range(40_000))


@pytest.fixture(scope="module")
def text(nginx):
    return nginx.publish(TEXT.encode(), suffix=".txt")


def test_a_download_asks_for_no_coding_and_can_be_resumed(api, nginx, dest, text, interrupted):
    url, kept = interrupted(f"zipped/{text}", MIB)

    done = api.download(url, dest)

    assert dest.read_text("utf-8") == TEXT
    assert done.resumed_from == kept
    entry = nginx.seen(f"zipped/{text}", 2)[-1]
    assert (entry["status"], entry["coding"]) == (206, "")


@pytest.mark.parametrize("decode", ["auto", False], ids=["decoded", "as it came"])
def test_a_coding_in_spite_of_that_is_undone_unless_unwanted(
    api, nginx, origin, dest, text, decode
):
    done = api.download(f"{origin}/insistent/{text}", dest, decode=decode)

    saved = dest.read_bytes()
    assert (gzip.decompress(saved) if decode is False else saved) == TEXT.encode()
    assert done.etag.startswith("W/")
    assert nginx.seen(f"insistent/{text}", 1)[-1]["coding"] == "gzip"


def test_a_coded_body_that_is_cut_is_fetched_anew(api, nginx, scheme, dest, text):
    with cut_after(nginx, scheme, 20 * KIB) as server:
        done = api.download(f"{server.origin}/insistent/{text}", dest)

    assert dest.read_text("utf-8") == TEXT
    assert (done.attempts, done.resumed_from) == (2, 0)
    assert nginx.seen(f"insistent/{text}", 2)[-1]["range"] == ""


def test_lines_of_a_coded_stream_are_decoded_and_whole(api, origin, text):
    with api.get(f"{origin}/zipped/{text}", stream=True) as response:
        lines = list(response.lines())

    assert response.headers["content-encoding"] == "gzip"
    assert lines == TEXT.splitlines()


def test_documents_of_a_coded_stream_are_decoded_and_whole(api, nginx, origin):
    documents = [{"id": number, "name": "é" * (number % 50)} for number in range(5000)]
    body = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    name = nginx.publish(body.encode(), suffix=".ndjson")

    with api.get(f"{origin}/zipped/{name}", stream=True) as response:
        found = list(response.json_lines())

    assert response.headers["content-encoding"] == "gzip"
    assert found == documents


@pytest.mark.parametrize("is_reset", [False, True], ids=["ended", "reset"])
def test_a_coded_stream_that_breaks_gives_what_came_and_then_an_error(
    api, nginx, scheme, text, is_reset
):
    lines = []

    with (
        cut_after(nginx, scheme, 40 * KIB, is_reset=is_reset) as server,
        api.get(f"{server.origin}/zipped/{text}", stream=True) as response,
        pytest.raises(requests.RequestException),
    ):
        lines.extend(response.lines())  # a list keeps what it was given before the error

    assert 1000 < len(lines) < 40_000
    assert lines[:-1] == TEXT.splitlines()[: len(lines) - 1]


def test_a_body_in_memory_is_decoded(api, origin, text):
    response = api.get(f"{origin}/zipped/{text}")

    assert response.content.decode() == TEXT


# Uploads


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 3 * MIB + 1], ids="{} bytes".format)
def test_a_file_is_put(api, nginx, origin, tmp_path, size):
    (tmp_path / "up.bin").write_bytes(noise(size, size))

    response = api.upload(f"{origin}/taken/put-{size}", tmp_path / "up.bin")

    assert response.status_code in {201, 204}
    assert (nginx.prefix / f"files/taken/put-{size}").read_bytes() == noise(size, size)


def test_an_iterable_is_put_in_chunks(api, nginx, origin):
    blocks = [noise(number, 50_000) for number in range(20)]

    api.upload(f"{origin}/taken/chunks", blocks)

    assert (nginx.prefix / "files/taken/chunks").read_bytes() == b"".join(blocks)


def test_a_file_that_nginx_finds_too_large_is_reported(api, origin, tmp_path):
    path = tmp_path / "large.bin"
    path.touch()
    os.truncate(path, 16 * MIB)

    with pytest.raises(httpkit.ContentTooLargeError):
        api.upload(f"{origin}/narrow/large", path)
