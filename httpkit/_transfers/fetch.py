"""From a response to a file: resumed, verified, and renamed once it is whole.

The promise: the file under its final name is whole and verified, or absent. What arrived
stays in a part file, and the next call, in this process or another, continues there.
"""

import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import requests

from httpkit._core import filenames, redaction
from httpkit._core.clock import CLOCK
from httpkit._core.validators import (
    FileVersion,
    http_date,
    is_chunked,
    is_encoded,
    span,
    stand_for,
    timestamp,
)
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import (
    BodyTooLargeError,
    ChecksumError,
    IncompleteError,
    TransferError,
)
from httpkit._diagnostics.progress import Reporter
from httpkit._messages import checksums
from httpkit._messages.reading import adaptive_reads
from httpkit._messages.response import arriving, must_be_streamed, translated_all
from httpkit._policy import retry
from httpkit._transfers import destination
from httpkit._transfers.download import Destination, Download, DownloadOptions
from httpkit._transfers.part_file import OVERLAP, Part, Sink, Stream

# Already compressed: a Content-Encoding on top is the file's own, mislabelled.
_COMPRESSED_NAMES = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".br", ".zip", ".7z")
_COMPRESSED_TYPES = frozenset(
    {"application/gzip", "application/x-gzip", "application/zip", "application/zstd",
     "application/x-xz", "application/x-bzip2", "application/x-tar", "application/x-gtar"}
)  # fmt: skip


def _as_is(response: requests.Response) -> requests.Response:
    return response


# What a download itself makes something of: nothing new, and no such range.
HANDLED = {304: _as_is, 416: _as_is}
# The body is the file, or a part of it (RFC 9110 sections 15.3.1, 15.3.4, 15.3.7).
_WITH_A_FILE = frozenset({200, 203, 206})

Ask: TypeAlias = Callable[[dict[str, str]], requests.Response]
"""Sends the GET with these fields added; 206, 304 and 416 are returned, other errors raised."""


class _StartOverError(Exception):
    """What is there does not belong to what the server has now."""


def fetch(ask: Ask, url: str, dest: Destination, wishes: DownloadOptions) -> Download:
    """Fetch a URL into a file.

    Args:
        ask: Sends the request.
        url: As the caller gave it; its path may give the name.
        dest: A path, a folder, a file object, or None for the current folder.
        wishes: All else.

    Raises:
        IncompleteError: The transfer stopped early; what arrived is kept for the next call.
        ChecksumError: What arrived is not what was promised; it was discarded.
        TransferError: The file exists, cannot be written, or is not what was expected.
        BodyTooLargeError: It is larger than `max_size`.
        StatusError: The server refuses.
        ConfigurationError: No file can be named so.
    """
    target, folder = destination.named_by(dest)
    if target is not None and destination.is_there(target):
        if wishes.if_exists == "error":
            raise destination.taken(target)
        if wishes.if_exists == "skip":
            return Download(target, size=_stat(target).st_size, skipped=True)
        if wishes.if_exists == "rename":
            target = destination.free_name(target)
    file = dest if hasattr(dest, "write") else None
    transfer = _Transfer(ask, url, target, folder, wishes, file)
    try:
        return transfer.run()
    finally:
        transfer.close()


def _stat(path: pathlib.Path) -> os.stat_result:
    with destination.translated(path):
        return path.stat()


class _Transfer:
    """One download on its way."""

    def __init__(
        self,
        ask: Ask,
        url: str,
        target: pathlib.Path | None,
        folder: pathlib.Path,
        wishes: DownloadOptions,
        file: Any,
    ) -> None:
        self._ask_server = ask
        self._url = url
        self._source = stand_for(url)
        self._target = target
        self._folder = folder
        self._wishes = wishes
        self._expected = [checksums.parse(wishes.checksum)] if wishes.checksum else []
        self._sink: Sink | None = Stream(file) if file is not None else None
        self._must_be_new = wishes.if_exists == "error"
        self._reporter = Reporter(wishes.progress, target.name if target else "download")
        self._sums: checksums.Hashers | None = None
        self._announced: list[checksums.Expected] = []
        self._started = time.monotonic()
        self._best = self._fetched = self._attempts = self._resumed_from = 0
        self._total: int | None = None
        self._content_type: str | None = None
        self._final_url: str | None = None
        self._is_framed = self._is_answered = self._is_unchanged = False
        self._is_resumable = True
        self._last_modified: str | None = None

    def close(self) -> None:
        """Let go of the part file and the bar."""
        try:
            self._reporter.finish()
        finally:  # a callable of the caller's may raise, and Control-C come anywhere
            self._add_up_with(None)
            if isinstance(self._sink, Part):
                self._sink.close()

    def run(self) -> Download:
        """Fetch until the file is whole, and give it its name."""
        if self._target is not None:
            self._sink = Part.open(self._target)
            self._resumed_from = self._known_size()
            if self._resumed_from:
                self._log_resume(0, None)
        stalls = mismatches = 0
        while (cause := self._attempt()) is not None:
            mismatches += isinstance(cause, ChecksumError)
            if mismatches > 1:
                raise cause
            stalls = self._count_stalls(stalls)
            if stalls > self._wishes.max_stalls and not isinstance(cause, ChecksumError):
                raise self._incomplete(cause) from cause
            self._pause(stalls, cause)
        return self._skipped() if self._is_unchanged else self._finish()

    def _attempt(self) -> Exception | None:
        """Fetch what is missing; return why the file is not whole yet, None when it is."""
        self._is_answered = False
        try:
            self._fetch()
            if not self._is_unchanged:
                self._check_whole()
        except (ChecksumError, _StartOverError) as error:
            return self._start_over(error)
        except errors.StatusError as error:
            if isinstance(self._sink, Part) and self._sink.size:
                errors.add_note(
                    error, f"what arrived before is kept in {filenames.printable(self._sink.path)}"
                )
            raise
        except requests.RequestException as error:
            has_begun = self._sink is not None and (self._is_answered or self._sink.size)
            if retry.delivery(error) == "final" or not has_begun:
                raise  # without a beginning: the session's own retries are spent
            return error
        return None

    def _count_stalls(self, stalls: int) -> int:
        """Return the attempts in a row without a new byte: getting as far as before is none."""
        size = self._sink.size if self._sink else 0
        if size > self._best:
            self._best = size
            return 0
        return stalls + 1

    def _pause(self, stalls: int, cause: Exception) -> None:
        seconds = retry.backoff(retry.RetryPolicy(), max(stalls, 1), None)
        self._log_resume(seconds, cause)
        CLOCK.sleep(seconds)

    def _log_resume(self, wait: float, cause: Exception | None) -> None:
        done = self._sink.size if self._sink else 0
        log_records.resume("download", self._url, done=done, wait=wait, cause=cause)

    def _known_size(self) -> int:
        """Return how many bytes there are to go on from; others are dropped."""
        sink = self._sink
        if sink is None or not sink.size or self._wishes.resume is False:
            return 0
        known = sink.identity or FileVersion()
        is_known = known.validator is not None and known.source in {None, self._source}
        return sink.size if is_known or self._wishes.resume == "force" else 0

    def _fetch(self) -> None:
        """Ask for what is missing and write it."""
        start, fields = self._range()
        self._attempts += 1
        with self._ask_server(fields) as response:
            self._is_answered = True
            self._is_unchanged = response.status_code == 304
            if self._is_unchanged:
                if self._target is None or not destination.is_there(self._target):
                    raise TransferError("the server says 304 (not modified), but there is no file")
                return
            self._final_url = response.url
            self._last_modified = response.headers.get("last-modified")
            self._check_status(response, fields)
            is_ready = self._sink is not None or self._open_named_by(response)
            if is_ready:
                self._copy(response, self._admit(response, start))
        if not is_ready and not self._is_unchanged:
            self._fetch()  # now that the name is known, from where its part ends

    def _check_status(self, response: requests.Response, fields: dict[str, str]) -> None:
        """Refuse what holds no file; a 416 to a range that was asked for means starting over."""
        status = response.status_code
        if status == 416 and "Range" in fields:
            raise _StartOverError("the server has no such range")
        if status not in _WITH_A_FILE:
            response.raise_for_status()
            what = errors.describe(response.request, response.url)
            raise TransferError(f"{what} was answered {status}, which holds no file")

    def _range(self) -> tuple[int, dict[str, str]]:
        """Return where to go on, and the fields that ask for it (RFC 9110 sections 13, 14)."""
        fields = {"Accept-Encoding": "identity"}
        size = self._known_size() if self._is_resumable else 0
        if not size or self._sink is None:
            target = self._target
            if self._wishes.if_exists == "update" and target and destination.is_there(target):
                fields["If-Modified-Since"] = http_date(_stat(target).st_mtime)
            return 0, fields
        start = max(0, size - OVERLAP)
        fields["Range"] = f"bytes={start}-"
        validator = self._sink.identity.validator if self._sink.identity else None
        if validator:
            fields["If-Range"] = validator
        return start, fields

    def _open_named_by(self, response: requests.Response) -> bool:
        """Open the file the server names; False when its part asks for another request."""
        name = filenames.from_disposition(response.headers.get("content-disposition"))
        name = name or filenames.from_url(self._url)
        target = self._folder / filenames.safe(name, destination.longest_name(self._folder))
        self._must_be_new = (self._wishes.if_exists or "error") == "error"
        if destination.is_there(target):
            if self._must_be_new:
                raise destination.taken(target)
            if self._wishes.if_exists == "rename":
                target = destination.free_name(target)
            if self._wishes.if_exists == "skip" or self._is_up_to_date(target):
                self._target, self._is_unchanged = target, True
                return False
        self._target = target
        self._sink = Part.open(target)
        self._resumed_from = self._known_size()
        if self._resumed_from:
            self._log_resume(0, None)
        return not self._resumed_from

    def _is_up_to_date(self, target: pathlib.Path) -> bool:
        modified = timestamp(self._last_modified)
        if self._wishes.if_exists != "update" or modified is None:
            return False
        return _stat(target).st_mtime >= modified

    def _admit(self, response: requests.Response, start: int) -> int:
        """Decide what an answer is good for; return where in the file its body begins."""
        identity = FileVersion.of(response, self._source)
        self._guard_type(identity.content_type)
        if response.status_code == 206:
            return self._admit_part(response, identity, start)
        self._wishes.check_total(identity.total)
        sink = self._open_sink()
        self._add_up_with(None)
        sink.restart(identity)
        self._resumed_from = 0
        self._announced = self._announcement(response, is_whole=True)
        self._require_digest()
        self._add_up(sink)
        self._is_framed = identity.total is not None or is_chunked(response)
        self._begin(identity.total)
        return 0

    def _admit_part(self, response: requests.Response, identity: FileVersion, start: int) -> int:
        sink = self._open_sink()
        known = sink.identity or FileVersion()
        first, total = span(response) or (None, None)
        if first is None:
            raise _StartOverError("a 206 without a legible Content-Range")
        if first > min(sink.size, start):
            raise _StartOverError("the server left out bytes")
        if isinstance(sink, Stream) and first < sink.size - OVERLAP:
            raise _StartOverError("the server went back too far")
        if mismatch := known.mismatch(identity, total):
            raise _StartOverError(mismatch)
        self._wishes.check_total(total)
        self._announced = self._announced or self._announcement(response, is_whole=False)
        self._require_digest()
        self._is_framed = True
        self._add_up(sink)
        self._begin(total if total is not None else known.total)
        return first

    def _require_digest(self) -> None:
        if self._wishes.verify == "require" and not self._algorithms():
            raise TransferError("verify='require', but neither checksum= nor the server has one")

    def _add_up(self, sink: Sink) -> None:
        """Have the sums of what is there, of every algorithm that is asked for by now."""
        wanted = self._algorithms()
        if self._sums is not None and wanted <= self._sums.algorithms:
            return
        if isinstance(sink, Part):
            self._add_up_with(checksums.FileHashers(wanted, sink.read_at, sink.size))
        elif sink.size:
            self._announced = []  # what was written to a caller's file cannot be read again
        else:
            self._add_up_with(checksums.Hashers(wanted))

    def _add_up_with(self, sums: checksums.Hashers | None) -> None:
        if self._sums is not None:
            self._sums.close()
        self._sums = sums

    def _copy(self, response: requests.Response, position: int) -> None:
        """Write the body; what is there already must be the same bytes."""
        sink, sums = self._open_sink(), self._sums
        for block in self._blocks(response):
            self._fetched += len(block)
            again = min(len(block), max(0, sink.size - position))
            if again and block[:again] != sink.read_at(position, again):
                raise _StartOverError("the server sent other bytes than before")
            position += len(block)
            fresh = block[again:] if again else block
            if not fresh:
                continue
            try:
                self._wishes.check_growth(sink.size + len(fresh))
            except (BodyTooLargeError, TransferError) as error:
                raise self._start_over(error) from None  # the very same error
            sink.write(fresh)
            if sums:
                sums.update(fresh)
            self._reporter.advance(len(fresh))

    def _blocks(self, response: requests.Response) -> Iterator[bytes]:
        decode = self._decodes()
        if is_encoded(response):
            # A range of an encoded file is not a range of the file.
            self._is_resumable = False
        if must_be_streamed(response.raw):
            blocks = arriving(response.raw, decode=decode)
        else:
            blocks = adaptive_reads(response.raw, decode=decode)
        yield from translated_all(response, blocks)

    def _decodes(self) -> bool:
        if self._wishes.decode != "auto":
            return self._wishes.decode
        name = self._target.name.lower() if self._target else ""
        is_compressed = name.endswith(_COMPRESSED_NAMES)
        return not is_compressed and self._content_type not in _COMPRESSED_TYPES

    def _open_sink(self) -> Sink:
        assert self._sink is not None  # noqa: S101  # opened before the first body
        return self._sink

    def _begin(self, total: int | None) -> None:
        sink = self._open_sink()
        self._total = total
        if isinstance(sink, Part) and total is not None:
            sink.check_space(total - sink.size)
        self._reporter.begin(sink.size, total)

    def _algorithms(self) -> set[str]:
        return {expected.algorithm for expected in (*self._expected, *self._announced)}

    def _announcement(
        self, response: requests.Response, *, is_whole: bool
    ) -> list[checksums.Expected]:
        if self._wishes.verify == "off" or self._decodes_encoding(response):
            return []
        return checksums.announced(response.headers, is_whole=is_whole)[:1]

    def _decodes_encoding(self, response: requests.Response) -> bool:
        return is_encoded(response) and self._decodes()

    def _guard_type(self, found: str | None) -> None:
        self._wishes.check_type(found)
        if self._content_type and found and found != self._content_type:
            raise TransferError(f"the server sent {self._content_type} first, and {found} now")
        self._content_type = self._content_type or found

    def _check_whole(self) -> None:
        sink = self._open_sink()
        total = self._total
        if total is not None and sink.size < total and self._is_resumable:
            raise requests.exceptions.ChunkedEncodingError(f"{sink.size} of {total} bytes arrived")
        if total is not None and sink.size > total and self._is_resumable:
            raise _StartOverError("more bytes arrived than the file has")
        expected = self._wishes.expected_size
        if expected is not None and sink.size != expected:
            raise self._start_over(TransferError(f"the file has {sink.size} bytes, not {expected}"))
        if self._sums:
            self._sums.compare([*self._expected, *self._announced])

    def _start_over(self, reason: Exception) -> Exception:
        """Drop what is there, and return the reason.

        Raises:
            ChecksumError: That was the reason, and a caller's file cannot be rewound.
            TransferError: It cannot, for another reason.
        """
        self._add_up_with(None)
        self._resumed_from = 0
        if self._sink is None:
            return reason
        try:
            self._sink.restart(FileVersion())
        except TransferError as error:
            if isinstance(reason, errors.HTTPKitError):
                raise reason from error
            raise TransferError(f"{reason}, and {error}") from reason
        return reason

    def _incomplete(self, cause: Exception) -> IncompleteError:
        sink = self._open_sink()
        total = self._total
        arrived = f"{sink.size} of {total if total is not None else 'unknown'} bytes"
        kept = ""
        if isinstance(sink, Part) and sink.size:
            has_validator = sink.identity is not None and sink.identity.validator
            how = "call again" if has_validator else "call again with resume='force'"
            place = filenames.printable(sink.path)
            kept = f"; they are kept in {place}: {how} to go on"
        name = redaction.redact_url(self._url)
        why = redaction.redact_text(str(cause))
        error = IncompleteError(
            f"{name}: {arrived} arrived in {self._attempts} attempts{kept} ({why})"
        )
        error.attempts = self._attempts
        error.stop_reason = f"{self._wishes.max_stalls} attempts in a row brought nothing new"
        return error

    def _skipped(self) -> Download:
        size = _stat(self._target).st_size if self._target else 0
        return Download(self._target, size=size, attempts=self._attempts, skipped=True)

    def _finish(self) -> Download:
        sink = self._open_sink()
        size = sink.size
        etag = sink.identity.etag if sink.identity else None
        if isinstance(sink, Part) and self._target is not None:
            if not sink.finish(self._target, sync=self._wishes.fsync, is_new=self._must_be_new):
                raise destination.taken(self._target)
            if self._wishes.mtime and (modified := timestamp(self._last_modified)) is not None:
                with destination.translated(self._target):
                    os.utime(self._target, (modified, modified))
        digests = self._sums.hexdigests() if self._sums else {}
        return Download(
            self._target if isinstance(sink, Part) else None,
            size=size,
            fetched=self._fetched,
            resumed_from=self._resumed_from,
            attempts=self._attempts,
            elapsed=time.monotonic() - self._started,
            digests=digests,
            verified=bool(digests) or self._is_framed,
            etag=etag,
            final_url=redaction.redact_url(self._final_url or self._url),
            content_type=self._content_type,
        )
