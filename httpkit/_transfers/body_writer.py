"""The write loop of a download: compare, append, hash, limit, report."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

import requests

from httpkit._core.validators import FileVersion
from httpkit._diagnostics.errors import BodyTooLargeError, TransferError
from httpkit._diagnostics.progress import Reporter
from httpkit._messages import checksums
from httpkit._messages.reading import (
    adaptive_reads,
    available_blocks,
    must_be_streamed,
    translated_all,
)
from httpkit._transfers.admission import Admission, Restart, check_begin, no_new_version
from httpkit._transfers.attempts import CappedError
from httpkit._transfers.download import DownloadOptions
from httpkit._transfers.part_file import PartFile
from httpkit._transfers.segments import Segments, remove_segments
from httpkit._transfers.sinks import OVERLAP, Sink
from httpkit._transfers.speed_limits import RateLimiter, SpeedCheck, block_size

# Bytes that tell a page from other files.
_BEGIN = 512


class WrongSizeError(Exception):
    """The file has another size than the caller wants; it carries the error that says so."""

    def __init__(self, error: BodyTooLargeError | TransferError) -> None:
        super().__init__(str(error))
        self.error = error


class BodyWriter:
    """Writes bodies into a sink.

    Args:
        sink: Where the bytes go.
        options: Those of the download.
        reporter: Is given the progress.
        send_get: Sends the GET with some fields added, from any thread.

    Attributes:
        fetched: Bytes that were received, overlaps included.
        resumed_from: Bytes of an earlier call that still belong to the file.
        overlap: How many bytes to ask for again when the download resumes.
    """

    def __init__(
        self,
        sink: Sink,
        options: DownloadOptions,
        reporter: Reporter,
        send_get: Callable[[dict[str, str]], requests.Response],
    ) -> None:
        self.fetched = 0
        self.resumed_from = 0
        self.overlap = OVERLAP
        self._sink = sink
        self._options = options
        self._reporter = reporter
        self._send_get = send_get
        self._limiter = RateLimiter(options.max_rate)
        self._lock = threading.Lock()
        self._given = [checksums.parse(options.checksum)] if options.checksum else []
        self._announced: list[checksums.Expected] = []
        self._hashers: checksums.Hashers | None = None
        self._segments: Segments | None = None
        self._may_have_segments = sink.version is not None  # of an earlier run

    def receive(self, response: requests.Response, admission: Admission) -> None:
        """Write the body of a response; return when the file is whole.

        Raises:
            Restart: It does not fit the bytes that are there, or those of a segment.
            CappedError: It is a part, and the next one is missing.
            TooSlowError: It arrives too slowly.
            ChecksumError: The file has another digest.
            TransferError: The file cannot be written, has another size than it should, or is not
                what was expected.
            BodyTooLargeError: It is larger than `max_size`.
            RequestException: The body broke off.
        """
        sink, version = self._sink, admission.version
        blocks = self._blocks(response, is_decoded=version.is_decoded)
        if admission.known_size or admission.replaced:
            first = next(blocks, b"")
            admission = check_begin(admission, first, sink.read_at(0, _BEGIN))
            blocks = chain((first,), blocks)
        self._begin(admission)
        before = sink.size
        segments = self._split(admission)
        until = segments.boundary(before) if segments else None
        self._reporter.begin(self._reached, version.total)
        try:
            try:
                self._write(blocks, admission.offset, until)
                if segments and sink.size == until:
                    self._move(segments.take(sink.size))
                    admission = replace(admission, end=sink.size)
            finally:
                self._reporter.state.done = self._reached
            self._check_size(before, admission)
        except WrongSizeError as error:
            if not self.resumed_from:  # all of it came in this call
                sink.discard()
            raise error.error from None  # the very same error
        self.digests()

    def _begin(self, admission: Admission) -> None:
        """Prepare the sink for a response.

        Raises:
            TransferError: No digest is known and one is required; the sink cannot begin again.
        """
        version = admission.version
        is_verified = self._options.verify != "off"
        self._announced = [checksums.Expected(*d) for d in version.digests] if is_verified else []
        if self._options.verify == "require" and not self._algorithms:
            raise TransferError("verify='require', but neither checksum= nor the server has one")
        if admission.is_whole:
            self.resumed_from, self.overlap = 0, OVERLAP
            self.reset()
            self._sink.restart(version)
        else:
            self._sink.learn(version)
        self._hash()

    def _blocks(self, response: requests.Response, *, is_decoded: bool) -> Iterator[bytes]:
        raw, options = response.raw, self._options
        if must_be_streamed(raw) or options.min_speed or options.max_rate:
            size = block_size(options.max_rate or 1e9)
            blocks = available_blocks(raw, decode=is_decoded, size=size)
        else:
            blocks = adaptive_reads(raw, decode=is_decoded)
        return translated_all(response, blocks)

    def learned(self, version: FileVersion | None) -> FileVersion | None:
        """Return a version with what the responses to segments said of it."""
        return version.merge(self._segments.version) if version and self._segments else version

    def boundary(self, offset: int) -> int | None:
        """Return up to where bytes are needed before a segment is taken; None without one."""
        return self._segments.boundary(offset) if self._segments else None

    def _split(self, admission: Admission) -> Segments | None:
        """Return the parallel ranges of the file; None when there are none.

        Raises:
            TransferError: The disk is too small.
        """
        sink, version, options = self._sink, admission.version, self._options
        if not isinstance(sink, PartFile) or version.total is None:
            self._drop_segments(is_removed=False)
            return None
        if admission.is_whole or not sink.is_usual:
            self._drop_segments(is_removed=sink.is_usual)
        is_wanted = options.segments > 1 or not admission.is_whole or self._may_have_segments
        is_new = self._segments is None and sink.is_usual and is_wanted and version.validator
        if is_new:
            self._segments = Segments(
                self._send_get, sink, version, version.total, self._count, self._report
            )
            self._segments.prepare(
                options.segments, options.min_segment, is_resumed=options.resume is not False
            )
            self._may_have_segments = True
        segments = self._segments
        sink.check_space(segments.needed if segments else version.total - sink.size)
        if is_new and segments:
            segments.start(
                options.segments - 1,
                self._limiter,
                min_speed=options.min_speed,
                max_stalls=options.max_stalls,
            )
        return segments

    def _drop_segments(self, *, is_removed: bool) -> None:
        if self._segments is not None:
            self._segments.close(is_removed=is_removed)
        self._segments = None

    def _write(self, blocks: Iterable[bytes], offset: int, until: int | None) -> None:
        """Write a body; bytes that are there already must be the same.

        Args:
            blocks: The body.
            offset: Where in the file it begins.
            until: The offset at which to stop reading; None: at its end.

        Raises:
            Restart: They are not.
            WrongSizeError: There are more than `max_size` or `expected_size`.
            TransferError: The disk refuses.
            TooSlowError: They arrive too slowly.
        """
        check = SpeedCheck(self._options.min_speed)
        for received in blocks:
            self._count(len(received))
            block = received if until is None else received[: until - offset]
            self._append(block, offset)
            offset += len(block)
            if until is not None and offset >= until:
                return
            check.count(len(block))
            self._limiter.wait(len(block))

    def _check_size(self, before: int, admission: Admission) -> None:
        """Compare the bytes that are there with what the server and the caller announced.

        Args:
            before: Bytes that were there before the body.
            admission: What the server announced of it.

        Raises:
            Restart: There are too many.
            ChunkedEncodingError: The body broke off.
            CappedError: It is whole, but not the end of the file, as far as is known.
            WrongSizeError: The caller wants another size.
            TransferError: It is a document that is no new version of the file.
        """
        size, end, total = self._sink.size, admission.end, admission.version.total
        if (total is not None and size > total) or (end is not None and size > max(end, before)):
            raise Restart("more bytes arrived than the server announced")
        message = f"{size} of {'unknown' if total is None else total} bytes arrived"
        if size < (total or 0) and (end is None or size < end):
            raise requests.exceptions.ChunkedEncodingError(message)
        if total is None and end is not None:
            # Where no byte follows the last one, the file ends.
            was_requested, self.overlap = self.overlap == 1, 1
            if not was_requested or size > before:
                raise CappedError(message)
        elif end is not None and size < (total or 0):
            self.overlap = min(OVERLAP, (end - admission.offset) // 2)
            raise CappedError(message)
        if size < admission.replaced:
            self._sink.discard()
            raise no_new_version(size, admission.replaced)
        expected = self._options.expected_size
        if expected is not None and size != expected:
            raise WrongSizeError(TransferError(f"the file has {size} bytes, not {expected}"))

    def _move(self, blocks: Iterable[bytes]) -> None:
        """Append bytes that were reported when they arrived."""
        for block in blocks:
            self._sink.write(block)
            if self._hashers:
                self._hashers.update(block)

    def _count(self, size: int) -> None:
        """Count bytes that any thread received."""
        with self._lock:
            self.fetched += size

    def _report(self) -> None:
        """Report what is there, when it is time: from one thread, whoever received it."""
        if self._reporter.is_due:
            self._reporter.reach(self._reached)

    @property
    def _reached(self) -> int:
        """How many bytes are there, those of segments included."""
        return self._sink.size + (self._segments.size if self._segments else 0)

    def _append(self, block: bytes, offset: int) -> None:
        sink = self._sink
        repeated = min(len(block), max(0, sink.size - offset))
        if repeated and block[:repeated] != sink.read_at(offset, repeated):
            raise Restart("the server sent other bytes than before")
        new = block[repeated:] if repeated else block
        if not new:
            return
        try:
            self._options.check_growth(sink.size + len(new))
        except (BodyTooLargeError, TransferError) as error:
            raise WrongSizeError(error) from None  # it is raised itself, later
        sink.write(new)
        if self._hashers:
            self._hashers.update(new)
        self._report()

    def digests(self) -> dict[str, str]:
        """Compare the digests that are known, and return them.

        Raises:
            ChecksumError: One differs.
            TransferError: The file cannot be read.
        """
        if self._hashers is None:
            return {}
        self._hashers.compare([*self._given, *self._announced])
        return self._hashers.hexdigests()

    def reset(self) -> None:
        """Drop the digests: other bytes are hashed from now on."""
        if self._hashers is not None:
            self._hashers.close()
        self._hashers = None

    def close(self, *, is_finished: bool) -> None:
        """End the threads, and remove what a finished download leaves."""
        self._drop_segments(is_removed=is_finished)
        self.reset()

    def remove_segments(self, part: PartFile) -> None:
        """Remove what was left beside a part that has its name now."""
        if self._may_have_segments:
            remove_segments(part.usual_path)

    @property
    def _algorithms(self) -> set[str]:
        return {expected.algorithm for expected in (*self._given, *self._announced)}

    def _hash(self) -> None:
        """Hash what is there, with every algorithm that is requested by now."""
        wanted = self._algorithms
        if self._hashers is not None and wanted <= self._hashers.algorithms:
            return
        if isinstance(self._sink, PartFile):
            self.reset()
            self._hashers = checksums.FileHashers(wanted, self._sink.read_at, self._sink.size)
        elif self._sink.size:
            self._announced = []  # what was written to a caller's file cannot be read again
        else:
            self._hashers = checksums.Hashers(wanted)
