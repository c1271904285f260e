"""Parallel ranges of one file.

Each segment is written to `<name>.part.<version>.<start>-<stop>` by a thread of its own, the
version being a hash. The part file grows from its beginning, as without segments; where it reaches
a segment, the bytes are moved over. So a killed process loses nothing, and what a thread cannot
fetch is left to the usual way, with all its checks and errors.

What is before a segment reaches OVERLAP bytes into it, and those are compared: a server may give
another file the ETag and the size that it had.
"""

import pathlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import pairwise

import requests

from httpkit._core.clock import CLOCK
from httpkit._core.validators import FileVersion, content_range
from httpkit._diagnostics.errors import HTTPKitError
from httpkit._messages import checksums
from httpkit._messages.reading import available_blocks, translated_all
from httpkit._policy import retry, retry_loop
from httpkit._transfers.admission import Restart
from httpkit._transfers.bytes_file import FLAGS, BytesFile
from httpkit._transfers.destination import translated
from httpkit._transfers.file_locks import remove
from httpkit._transfers.part_file import PartFile
from httpkit._transfers.sinks import OVERLAP
from httpkit._transfers.speed_limits import RateLimiter, SpeedCheck, TooSlowError, block_size

# Seconds between two reports of progress, and looks at Ctrl-C, which ends no wait on Windows.
_SLICE = 0.1
_BLOCK = 1 << 20


class _Abandoned(Exception):  # noqa: N818  # it never leaves its thread
    """A segment cannot be fetched on its own."""


class Segment:
    """A range of the file, in a file of its own.

    Attributes:
        start: The offset of its first byte.
        stop: The offset behind its last byte.
        is_done: Set when its thread has ended, whether it is whole or not.
    """

    def __init__(self, path: pathlib.Path, start: int, stop: int, mode: int | None) -> None:
        self.start, self.stop = start, stop
        self.is_done = threading.Event()
        self._file = BytesFile(path, FLAGS, mode, None)
        self._lock = threading.RLock()  # `append` asks for `end`
        self._is_closed = False

    @property
    def end(self) -> int:
        """The offset behind the bytes that are there."""
        with self._lock:  # the descriptor of a file that is being closed may be another's
            return min(self.stop, self.start + self._file.size)

    def append(self, block: bytes, offset: int) -> int:
        """Append what is new in a block; return how many bytes that was.

        Raises:
            _Abandoned: Other bytes are there, or nobody wants them any more.
        """
        with self._lock:
            if self._is_closed:
                raise _Abandoned
            repeated = min(len(block), self.end - offset)
            if repeated and block[:repeated] != self._file.read_at(offset - self.start, repeated):
                raise _Abandoned
            new = block[repeated : self.stop - offset]
            if new:
                self._file.write(new)
            return len(new)

    def is_equal(self, block: bytes, offset: int) -> bool:
        """Return whether the bytes from an offset are the same, as far as both are there."""
        size = max(0, min(len(block), self.end - offset))
        own = self._file.read_at(offset - self.start, size)
        return own == block[: len(own)]

    def blocks(self, offset: int) -> Iterator[bytes]:
        """Give the bytes from an offset of the whole file to the end of what is there."""
        while offset < self.end:
            block = self._file.read_at(offset - self.start, min(_BLOCK, self.end - offset))
            if not block:
                return
            yield block
            offset += len(block)

    def close(self, *, is_removed: bool) -> None:
        """Close the file; nothing is written to it afterwards."""
        with self._lock:
            self._is_closed = True
            if is_removed or not self._file.size:
                self._file.discard()
            else:
                with suppress(OSError):
                    self._file.close()


class Segments:
    """The segments of one download.

    Args:
        send_get: Sends the GET with some fields added, from any thread.
        part: The part file.
        version: What its bytes belong to; it has a validator.
        total: Bytes of the whole.
        count: Called with the number of bytes that arrived, from any thread.
        report: Called now and then, from the thread that takes segments.

    Attributes:
        version: What its bytes belong to, with what the responses to segments said of it.
    """

    def __init__(
        self,
        send_get: Callable[[dict[str, str]], requests.Response],
        part: PartFile,
        version: FileVersion,
        total: int,
        count: Callable[[int], None],
        report: Callable[[], None],
    ) -> None:
        self._send_get = send_get
        self._part = part
        self.version = version
        self._version_key = _key_of(version)
        self._total = total
        self._count = count
        self._report = report
        self._version_lock = threading.Lock()
        self._segments: list[Segment] = []
        self._waiting: list[Segment] = []
        self._limiter = RateLimiter(None)
        self._min_speed = 0.0
        self._block_size = _BLOCK
        self._max_stalls = 0

    @property
    def size(self) -> int:
        """How many bytes are in the segments, and not yet in the part file."""
        size, reached = 0, self._part.size
        for segment in self._segments:
            end = segment.end
            size += max(0, end - max(reached, segment.start))
            reached = max(reached, end)
        return size

    @property
    def needed(self) -> int:
        """How many bytes more the disk takes: a segment is there twice while it is moved."""
        longest = max((segment.stop - segment.start for segment in self._segments), default=0)
        return self._total - self._part.size - self.size + longest

    def prepare(self, count: int, least: int, *, is_resumed: bool) -> None:
        """Open the segments.

        Args:
            count: How many ranges at most.
            least: Bytes that each has at least.
            is_resumed: Whether those of an earlier run are used.
        """
        if is_resumed:
            self._load()
        else:
            remove_segments(self._part.path)
        self._split(count, least)

    def _load(self) -> None:
        """Open the segments that an earlier run left of this version."""
        end = 0
        for path, key, start, stop in segment_files(self._part.path):
            if key != self._version_key or not end - OVERLAP <= start < stop <= self._total:
                remove(path)
                continue
            segment = Segment(path, start, stop, self._part.mode)
            if start < self._part.size >= segment.end:  # its bytes were moved
                segment.close(is_removed=True)
                continue
            self._segments.append(segment)
            end = stop
        while self._segments and not self._part.has_space(self.needed):
            self._segments.pop().close(is_removed=True)

    def _split(self, count: int, least: int) -> None:
        """Divide what is missing into as many ranges; the first is the part file's own.

        Args:
            count: How many ranges at most.
            least: Bytes that each has at least.
        """
        start = self._part.size
        count = min(count, (self._total - start) // least)
        if self._segments or count < 2:
            return
        bounds = [start + (self._total - start) * number // count for number in range(count + 1)]
        ranges = [(a, min(b + OVERLAP, self._total)) for a, b in pairwise(bounds[1:])]
        if not self._part.has_space(self._total - start + max(b - a for a, b in ranges)):
            return  # not for a segment while it is moved
        for first, stop in ranges:
            name = f"{self._part.path.name}.{self._version_key}.{first}-{stop}"
            path = self._part.path.with_name(name)
            with translated(path):
                self._segments.append(Segment(path, first, stop, self._part.mode))

    def start(
        self, threads: int, limiter: RateLimiter, *, min_speed: float | None, max_stalls: int
    ) -> None:
        """Fetch the segments in so many threads; with none, only what is there counts."""
        self._limiter, self._max_stalls = limiter, max_stalls
        self._min_speed = (min_speed or 0) / (threads + 1)
        if limiter.rate is not None:
            self._block_size = block_size(limiter.rate / (threads + 1))
        self._waiting = [segment for segment in self._segments if segment.end < segment.stop]
        for segment in self._segments:
            if segment not in self._waiting or not threads:
                segment.is_done.set()
        for _ in range(min(threads, len(self._waiting))):
            threading.Thread(target=self._work, name="httpkit-segment", daemon=True).start()

    def boundary(self, offset: int) -> int | None:
        """Return up to where bytes are needed before a segment is taken; None without any.

        It is in the segment, for the comparison, and the offset itself where a process was killed
        while it moved one.
        """
        segments = self._segments
        starts = (s.start for s in segments if s.start + OVERLAP > offset or s.end > offset)
        return next((max(min(start + OVERLAP, self._total), offset) for start in starts), None)

    def take(self, offset: int) -> Iterator[bytes]:
        """Give the bytes of the segments from an offset, one after another, and remove them.

        Raises:
            Restart: They are not those of the file that is before them.
        """
        while self._segments and self._segments[0].start <= offset:
            segment = self._segments[0]
            while not segment.is_done.wait(_SLICE):
                self._report()
            self._report()
            first = max(segment.start, offset - OVERLAP)
            if not segment.is_equal(self._part.read_at(first, offset - first), first):
                self.close(is_removed=True)
                raise Restart("parallel ranges of the file do not fit together")
            for block in segment.blocks(offset):
                yield block
                offset += len(block)
            self._segments.remove(segment)
            segment.close(is_removed=True)

    def close(self, *, is_removed: bool) -> None:
        """Close the files; the threads end when they notice."""
        self._waiting.clear()
        for segment in self._segments:
            segment.close(is_removed=is_removed)
        self._segments.clear()

    def _work(self) -> None:
        while True:
            try:
                segment = self._waiting.pop(0)
            except IndexError:
                return
            try:
                self._fetch(segment)
            finally:
                segment.is_done.set()

    def _fetch(self, segment: Segment) -> None:
        """Fetch a segment; what is missing at the end is left to the caller's thread."""
        stalls, overlap = 0, OVERLAP
        while segment.end < segment.stop and stalls <= self._max_stalls:
            before = segment.end
            try:
                # A server may give less than a range: the next one repeats half of that at most.
                overlap = min(OVERLAP, self._attempt(segment, overlap) // 2)
                if segment.end == before:
                    return
            except (_Abandoned, HTTPKitError):
                return
            except TooSlowError:
                stalls += 1
            except requests.RequestException as error:
                if retry_loop.classify(error) == "final":
                    return
                stalls = stalls + 1 if segment.end == before else 0
                overlap = OVERLAP
                CLOCK.sleep(retry_loop.backoff(retry.RetryPolicy(), max(stalls, 1), None))

    def _attempt(self, segment: Segment, overlap: int) -> int:
        """Request what is missing, and bytes before it; return how many bytes arrived."""
        first = offset = max(segment.start, segment.end - overlap)
        fields = {
            "Range": f"bytes={offset}-{segment.stop - 1}",
            "If-Range": self.version.validator or "",
        }
        check = SpeedCheck(self._min_speed)
        with self._send_get(fields) as response:
            got = content_range(response)
            is_part = response.status_code == 206 and got is not None and got.first == offset
            if not is_part or not self._learn(response):
                raise _Abandoned
            blocks = available_blocks(response.raw, decode=False, size=self._block_size)
            for block in translated_all(response, blocks):
                self._count(segment.append(block, offset))
                offset += len(block)
                check.count(len(block))
                self._limiter.wait(len(block))
        return offset - first

    def _learn(self, response: requests.Response) -> bool:
        """Note what a response says of the file; return False where it is of another version."""
        digests = checksums.announced_digests(response.headers, is_whole=False)
        found = FileVersion.of(response, None, digests=digests)
        with self._version_lock:
            if self.version.mismatch(found):
                return False
            self.version = self.version.merge(found)
            return True


def remove_segments(part: pathlib.Path) -> None:
    """Remove the segments beside a part file."""
    for path, *_ in segment_files(part):
        remove(path)


def segment_files(part: pathlib.Path) -> list[tuple[pathlib.Path, str, int, int]]:
    """Return the segments beside a part file: path, version, start and stop, in order."""
    pattern = re.compile(
        rf"{re.escape(part.name)}\.([0-9a-f]{{8}})\.([0-9]{{1,18}})-([0-9]{{1,18}})"
    )
    with translated(part.parent):
        names = [path.name for path in part.parent.iterdir()]
    found = [(name, pattern.fullmatch(name)) for name in names]
    files = [(part.with_name(name), m[1], int(m[2]), int(m[3])) for name, m in found if m]
    return sorted(files, key=lambda each: each[2:])


def _key_of(version: FileVersion) -> str:
    """Return what tells the segments of a version from those of others."""
    text = f"{version.validator}\n{version.total}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
