"""The write loop of a download: compare, append, hash, limit, report."""

import threading
from collections.abc import Iterable

from httpkit._diagnostics.errors import BodyTooLargeError, TransferError
from httpkit._diagnostics.progress import Reporter
from httpkit._messages import checksums
from httpkit._transfers.admission import Admission, Restart
from httpkit._transfers.download import DownloadOptions
from httpkit._transfers.part_file import PartFile
from httpkit._transfers.sinks import Sink
from httpkit._transfers.speed_limits import RateLimiter, SpeedCheck


class WrongSizeError(Exception):
    """The file has another size than the caller wants; it carries the error that says so."""

    def __init__(self, error: BodyTooLargeError | TransferError) -> None:
        super().__init__(str(error))
        self.error = error


class BodyWriter:
    """Writes bodies into a sink.

    Attributes:
        fetched: Bytes that were received, overlaps included.
    """

    def __init__(self, sink: Sink, options: DownloadOptions, reporter: Reporter) -> None:
        self.fetched = 0
        self._sink = sink
        self._options = options
        self._reporter = reporter
        self.limiter = RateLimiter(options.max_rate)
        self._guard = threading.Lock()
        self._unreported = 0
        self._given = [checksums.parse(options.checksum)] if options.checksum else []
        self._announced: list[checksums.Expected] = []
        self._hashers: checksums.Hashers | None = None

    def begin(self, admission: Admission) -> None:
        """Prepare the sink for a response.

        Raises:
            TransferError: No digest is known and one is required; the disk is too small; the
                sink cannot begin again.
        """
        version = admission.version
        is_verified = self._options.verify != "off"
        self._announced = [checksums.Expected(*d) for d in version.digests] if is_verified else []
        if self._options.verify == "require" and not self._algorithms:
            raise TransferError("verify='require', but neither checksum= nor the server has one")
        if admission.is_whole:
            self.reset()
            self._sink.restart(version)
        else:
            self._sink.learn(version)
        self._hash()
        if isinstance(self._sink, PartFile) and version.total is not None:
            self._sink.check_space(version.total - self._sink.size)

    def write(self, blocks: Iterable[bytes], offset: int, until: int | None = None) -> None:
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
            with self._guard:
                self.fetched += len(received)
            block = received if until is None else received[: until - offset]
            self._append(block, offset)
            offset += len(block)
            if until is not None and offset >= until:
                return
            check.count(len(block))
            self.limiter.wait(len(block))

    def move(self, blocks: Iterable[bytes]) -> None:
        """Append bytes that were reported when they arrived."""
        for block in blocks:
            self._sink.write(block)
            if self._hashers:
                self._hashers.update(block)

    def count(self, size: int) -> None:
        """Count bytes that another thread received; `report` reports them."""
        with self._guard:
            self.fetched += size
            self._unreported += size

    def report(self) -> None:
        """Report what other threads received: bars and callables are called from one thread."""
        self._advance(0)

    def _advance(self, size: int) -> None:
        with self._guard:
            size += self._unreported
            self._unreported = 0
        self._reporter.advance(size)

    def report_begin(self, total: int | None, *, beside: int) -> None:
        """Report where an attempt begins.

        Args:
            total: Bytes of the whole; None when that is not known.
            beside: Bytes that are there, but not yet in the sink.
        """
        with self._guard:
            self._unreported = 0
        self._reporter.begin(self._sink.size + beside, total)

    def _append(self, block: bytes, offset: int) -> None:
        sink = self._sink
        again = min(len(block), max(0, sink.size - offset))
        if again and block[:again] != sink.read_at(offset, again):
            raise Restart("the server sent other bytes than before")
        fresh = block[again:] if again else block
        if not fresh:
            return
        try:
            self._options.check_growth(sink.size + len(fresh))
        except (BodyTooLargeError, TransferError) as error:
            raise WrongSizeError(error) from None  # it is raised itself, later
        sink.write(fresh)
        if self._hashers:
            self._hashers.update(fresh)
        self._advance(len(fresh))

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
        """Forget the digests: other bytes are hashed from now on."""
        if self._hashers is not None:
            self._hashers.close()
        self._hashers = None

    @property
    def _algorithms(self) -> set[str]:
        return {expected.algorithm for expected in (*self._given, *self._announced)}

    def _hash(self) -> None:
        """Hash what is there, with every algorithm that is asked for by now."""
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
