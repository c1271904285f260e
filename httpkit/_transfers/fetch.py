"""From a response to a file: resumed, verified, and renamed once it is whole.

    plan -> request -> admission -> write -> (cut: plan again) -> verify -> rename

The promise: the file under its final name is whole and verified, or absent. What arrived
stays in a part file, and the next call, in this process or another, resumes there.
"""

import os
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TypeAlias

import requests

from httpkit._core import filenames, redaction
from httpkit._core.clock import CLOCK
from httpkit._core.validators import (
    FileVersion,
    content_range,
    is_chunked,
    source_hash,
    timestamp,
)
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import ChecksumError, IncompleteError, TransferError
from httpkit._diagnostics.progress import Reporter
from httpkit._messages import checksums
from httpkit._messages.reading import adaptive_reads
from httpkit._messages.response import arriving, must_be_streamed, translated_all
from httpkit._policy import retry
from httpkit._transfers import codings, destination, existing, plan
from httpkit._transfers.admission import (
    Admission,
    Existing,
    Restart,
    admit_rest,
    admit_whole,
    not_the_file,
)
from httpkit._transfers.attempts import CappedError, Tally, cause_of
from httpkit._transfers.body_writer import BodyWriter, WrongSizeError
from httpkit._transfers.download import Destination, Download, DownloadOptions
from httpkit._transfers.part_file import PartFile
from httpkit._transfers.segments import Segments, remove_segments
from httpkit._transfers.sinks import OVERLAP, FileObject, Sink
from httpkit._transfers.speed_limits import TooSlowError, block_size


def _as_is(response: requests.Response) -> requests.Response:
    return response


# What a download itself makes something of: not modified, and no such range.
HANDLED = {304: _as_is, 416: _as_is}
# The body is the file, or a part of it (RFC 9110 sections 15.3.1, 15.3.4, 15.3.7).
_WITH_A_FILE = frozenset({200, 203, 206})

Ask: TypeAlias = Callable[[dict[str, str]], requests.Response]
"""Sends the GET with these fields added; 206, 304 and 416 are returned, other errors raised."""


def fetch(
    ask: Ask, url: str, dest: Destination, options: DownloadOptions, *, is_stable: bool = True
) -> Download:
    """Fetch a URL into a file.

    Args:
        ask: Sends the request.
        url: As the caller gave it; its path may give the name.
        dest: A path, a folder, a file object, or None for the current folder.
        options: All else.
        is_stable: Whether the URL without its query stands for the file.

    Raises:
        IncompleteError: The transfer stopped early; what arrived is kept for the next call.
        ChecksumError: What arrived is not what was promised; it was discarded.
        TransferError: The file exists, cannot be written, or is not what was expected.
        BodyTooLargeError: It is larger than `max_size`.
        StatusError: The server refuses.
        ConfigurationError: The destination is invalid.
    """
    target, folder = destination.named_by(dest)
    if target is not None and destination.is_there(target):
        if options.if_exists == "error":
            raise destination.taken(target)
        if options.if_exists == "skip":
            return existing.check(target, options)
        if options.if_exists == "rename":
            target = destination.free_name(target)
        elif options.if_exists != "update":  # which may find that it need not be replaced
            destination.check_replaceable(target)
    transfer = Fetch(ask, url, folder, options, is_stable=is_stable)
    try:
        if target is not None:
            transfer.open_file(target)
        elif hasattr(dest, "write"):
            transfer.open(FileObject(dest))
        return transfer.run()
    finally:
        transfer.close()


class Fetch:
    """One download: attempts, until the file is whole or nothing new arrives any more."""

    def __init__(
        self,
        ask: Ask,
        url: str,
        folder: pathlib.Path,
        options: DownloadOptions,
        *,
        is_stable: bool,
    ) -> None:
        self._ask = ask
        self._url = url
        self._source = source_hash(url) if is_stable else None
        self._folder = folder
        self._options = options
        self._target: pathlib.Path | None = None
        self._must_be_new = options.if_exists == "error"
        self._sink: Sink | None = None
        self._writer: BodyWriter | None = None
        self._reporter = Reporter(options.progress, "download")
        self._known: FileVersion | None = None
        self._skipped: Download | None = None
        self._final_url = url
        self._is_framed = self._has_response = self._from_start = False
        self._segments: Segments | None = None
        self._is_finished = self._may_have_segments = False
        self._overlap = OVERLAP
        self._resumed_from = 0
        self._tally = Tally(options.max_stalls)
        self._started = time.monotonic()

    def open_file(self, target: pathlib.Path) -> None:
        """Open the part of a file."""
        self._target = target
        self._reporter = Reporter(self._options.progress, target.name)
        self.open(PartFile.open(destination.resolved(target)))

    def open(self, sink: Sink) -> None:
        """Write to a sink, from where it stands."""
        self._sink = sink
        self._writer = BodyWriter(sink, self._options, self._reporter)
        is_known = sink.version is not None and plan.is_from(sink.version, self._source)
        if sink.size and is_known and self._options.resume is not False:
            self._known = sink.version
        self._may_have_segments = bool(sink.size)
        self._resumed_from = self._resumable_size()
        if self._resumed_from:
            self._log_resume(0, None)

    def close(self) -> None:
        """Close the part file and the bar."""
        try:
            self._reporter.finish()
        finally:  # a callable of the caller's may raise, and Control-C come anywhere
            if self._segments is not None:
                self._segments.close(is_removed=self._is_finished)
            if self._writer is not None:
                self._writer.reset()
            if self._sink is not None:
                self._sink.close()

    def run(self) -> Download:
        """Fetch until the file is whole, and give it its name."""
        while (cause := self._attempt()) is not None:
            size = self._sink.size if self._sink else 0
            if self._tally.is_enough(cause, size):
                raise self._given_up(cause) from cause_of(cause)
            if not (isinstance(cause, CappedError) and not self._tally.stalls):
                self._pause(cause)
        return self._skipped or self._finish()

    def _attempt(self) -> Exception | None:
        """Fetch what is missing; return why the file is not whole yet, None when it is."""
        self._has_response = False
        try:
            self._request()
        except (ChecksumError, Restart) as error:
            return self._reject(error)
        except (CappedError, TooSlowError) as error:
            return error
        except errors.StatusError as error:
            self._note_kept(error)
            raise
        except requests.RequestException as error:
            has_begun = self._sink is not None and (self._has_response or self._sink.size)
            if retry.classify(error) == "final" or not has_begun:
                raise  # without a beginning: the session's own retries are spent
            return error
        return None

    def _request(self) -> None:
        """Ask for what is missing and write it."""
        step = self._plan()
        self._tally.attempts += 1
        with self._ask(step.fields) as response:
            self._has_response = True
            if response.status_code == 304:
                self._skipped = self._unchanged()
                return
            self._final_url = response.url
            self._check_status(response, step)
            is_ready = self._sink is not None or self._open_named_by(response)
            if is_ready:
                self._write(response, self._admit(response, step))
        if not is_ready and self._skipped is None:
            self._request()  # now that the name is known, from where its part ends

    def _plan(self) -> plan.Plan:
        if self._sink is not None:
            before = self._sink.version
            self._sink.select()
            if self._sink.version is not before and self._writer is not None:
                self._writer.reset()
        size = 0 if self._from_start else self._resumable_size()
        self._from_start = False
        if size and self._sink is not None:
            until = self._segments.boundary(size) if self._segments else None
            return plan.rest_of_file(self._sink.version, size, self._overlap, until)
        target = self._target
        is_update = self._options.if_exists == "update" and target and destination.is_there(target)
        return plan.whole_file(existing.stat_of(target).st_mtime if target and is_update else None)

    def _resumable_size(self) -> int:
        sink = self._sink
        if sink is None or not sink.size or self._options.resume is False:
            return 0
        is_forced = self._options.resume == "force"
        return plan.resumable_size(
            sink.version, sink.size, source=self._source, is_forced=is_forced
        )

    def _check_status(self, response: requests.Response, step: plan.Plan) -> None:
        """Refuse a response without a file.

        Raises:
            Restart: There is no such range, and the whole file was not asked for.
        """
        status = response.status_code
        if status == 416 and step.is_range:
            raise Restart("416: the server has no such range")
        if status not in _WITH_A_FILE:
            response.raise_for_status()
            what = errors.describe(response.request, response.url)
            raise TransferError(f"unexpected status {status} for {what}: it holds no file")

    def _unchanged(self) -> Download:
        if self._target is None or not destination.is_there(self._target):
            raise TransferError("the server says 304 (not modified), but there is no file")
        return existing.check(self._target, self._options, self._tally.attempts)

    def _open_named_by(self, response: requests.Response) -> bool:
        """Open the file the server names; return False when its part needs another request."""
        name = filenames.from_disposition(response.headers.get("content-disposition"))
        name = name or filenames.from_url(self._url)
        target = self._folder / filenames.safe(name, destination.longest_name(self._folder))
        self._must_be_new = (self._options.if_exists or "error") == "error"
        if destination.is_there(target):
            if self._options.if_exists == "rename":
                target = destination.free_name(target)
            elif self._keeps(target, response):
                self._skipped = existing.check(target, self._options, self._tally.attempts)
                return False
            elif self._options.if_exists == "replace":
                destination.check_replaceable(target)
        self.open_file(target)
        return not self._resumed_from

    def _keeps(self, target: pathlib.Path, response: requests.Response) -> bool:
        """Return whether a file that is there stays, instead of what the server has.

        Raises:
            TransferError: It must be neither kept nor replaced.
        """
        choice = self._options.if_exists
        if choice == "skip":
            return True
        if choice == "update":
            modified = timestamp(response.headers.get("last-modified"))
            return modified is not None and existing.stat_of(target).st_mtime >= modified
        if choice == "error":
            raise destination.taken(target)
        if (
            choice is None
            and FileVersion.of(response, None).total != existing.stat_of(target).st_size
        ):
            raise destination.taken(target)
        return False  # one of the same size may be the same file: they are compared at the end

    def _admit(self, response: requests.Response, step: plan.Plan) -> Admission:
        """Decide whether a response may be written, and where."""
        sink = self._opened()
        name = self._target.name if self._target else None
        is_part = response.status_code == 206
        found = FileVersion.of(
            response,
            self._source,
            digests=checksums.announced_digests(response.headers, is_whole=not is_part),
            is_decoded=codings.is_decoded(response, name, self._options.decode),
        )
        oldest = max(0, sink.size - OVERLAP) if isinstance(sink, FileObject) else 0
        start = step.start if step.is_range else None
        before = Existing(self._known, sink.size, oldest, start)
        admit = admit_rest if is_part else admit_whole
        admission = admit(before, found, content_range(response))
        self._options.check_type(admission.version.content_type)
        self._options.check_total(admission.version.total)
        return admission

    def _write(self, response: requests.Response, admission: Admission) -> None:
        sink, writer = self._opened(), self._writer
        assert writer is not None  # noqa: S101  # it is made with the sink
        version = admission.version
        blocks = self._blocks(response, is_decoded=version.is_decoded)
        if admission.known_size:
            blocks = _nonempty(blocks, admission.known_size)
        if self._options.if_exists == "update" and self._target is not None:
            destination.check_replaceable(self._target)
        writer.begin(admission)
        if admission.is_whole:
            self._resumed_from = 0
            self._overlap = OVERLAP
        before = sink.size
        if not (self._known and self._known.is_certain_of(version)):
            self._known = version
        self._is_framed = version.total is not None or _has_end(response)
        segments = self._segmented(admission)
        until = segments.boundary(sink.size) if segments else None
        writer.report_begin(version.total, beside=segments.size if segments else 0)
        try:
            writer.write(blocks, admission.offset, until)
            if segments and sink.size == until:
                writer.move(segments.take(sink.size))
                admission = replace(admission, end=sink.size)
            self._check_size(sink.size, before, admission)
        except WrongSizeError as error:
            if not self._resumed_from:  # all of it came in this call
                sink.discard()
            raise error.error from None  # the very same error
        writer.digests()

    def _segmented(self, admission: Admission) -> Segments | None:
        """Return the parallel ranges of the file; None when there are none."""
        sink, version, options = self._sink, admission.version, self._options
        can_split = isinstance(sink, PartFile) and sink.is_usual and version.total is not None
        if self._segments and (admission.is_whole or not can_split):
            self._segments.close(is_removed=can_split)
            self._segments = None
        is_wanted = options.segments > 1 or not admission.is_whole
        if self._segments or not (can_split and is_wanted and version.validator):
            return self._segments
        assert isinstance(sink, PartFile)  # noqa: S101  # as was just seen
        assert self._writer is not None  # noqa: S101  # it is made with the sink
        found = Segments(
            self._ask, sink, version, version.total or 0, self._writer.count, self._writer.report
        )
        if admission.is_whole:
            remove_segments(sink.path)
        else:
            found.load()
        found.split(options.segments, options.min_segment)
        found.start(
            options.segments - 1,
            self._writer.limiter,
            min_speed=options.min_speed,
            max_stalls=options.max_stalls,
        )
        self._segments = found
        self._may_have_segments = True
        return found

    def _check_size(self, size: int, before: int, admission: Admission) -> None:
        total, end, expected = admission.version.total, admission.end, self._options.expected_size
        if (total is not None and size > total) or (end is not None and size > max(end, before)):
            raise Restart("more bytes arrived than the server announced")
        message = f"{size} of {'unknown' if total is None else total} bytes arrived"
        if size < (total or 0) and (end is None or size < end):
            raise requests.exceptions.ChunkedEncodingError(message)
        if total is None and end is not None:
            # Where no byte follows the last one, the file ends.
            is_asked, self._overlap = self._overlap == 1, 1
            if not is_asked or size > before:
                raise CappedError(message)
        elif end is not None and size < (total or 0):
            self._overlap = min(OVERLAP, (end - admission.offset) // 2)
            raise CappedError(message)
        if expected is not None and size != expected:
            raise WrongSizeError(TransferError(f"the file has {size} bytes, not {expected}"))

    def _blocks(self, response: requests.Response, *, is_decoded: bool) -> Iterator[bytes]:
        raw, options = response.raw, self._options
        if must_be_streamed(raw) or options.min_speed or options.max_rate:
            size = block_size(options.max_rate or 1e9)
            blocks = arriving(raw, decode=is_decoded, size=size)
        else:
            blocks = adaptive_reads(raw, decode=is_decoded)
        return translated_all(response, blocks)

    def _opened(self) -> Sink:
        assert self._sink is not None  # noqa: S101  # opened before the first body
        return self._sink

    def _reject(self, reason: Exception) -> Exception:
        """Have the next request ask for the whole file, and return the reason.

        Raises:
            TransferError: A caller's file cannot be rewound.
        """
        sink = self._sink
        if sink is None:
            return reason
        if not sink.can_restart:
            if isinstance(reason, errors.HTTPKitError):
                raise reason
            raise TransferError(
                f"{reason}, and the file it is written to cannot be rewound"
            ) from reason
        sink.reject(is_wrong=isinstance(reason, ChecksumError))
        self._from_start = True
        return reason

    def _given_up(self, cause: Exception) -> Exception:
        if isinstance(cause, ChecksumError):
            self._opened().discard()
            return cause
        name = redaction.redact_url(self._url)
        why = redaction.redact_text(str(cause))
        total = self._known.total if self._known else None
        arrived = f"{self._opened().size} of {'unknown' if total is None else total} bytes"
        error = IncompleteError(
            f"{name}: {arrived} arrived in {self._tally.attempts} attempts{self._advice()} ({why})"
        )
        error.attempts = self._tally.attempts
        error.stop_reason = f"{self._options.max_stalls} attempts in a row brought nothing new"
        return error

    def _advice(self) -> str:
        sink = self._opened()
        version = sink.version or FileVersion()
        if not isinstance(sink, PartFile) or not sink.size or sink.is_private:
            return ""
        if version.is_decoded:
            return "; they are not kept, because they were decoded"
        how = "call again" if version.validator else "call again with resume='force'"
        return f"; they are kept in {filenames.printable(sink.path)}: {how} to resume"

    def _note_kept(self, error: errors.StatusError) -> None:
        sink = self._sink
        if isinstance(sink, PartFile) and sink.size and not sink.is_private:
            path = filenames.printable(sink.path)
            errors.add_note(error, f"what arrived before is kept in {path}")

    def _pause(self, cause: Exception) -> None:
        seconds = retry.backoff(retry.RetryPolicy(), max(self._tally.stalls, 1), None)
        self._log_resume(seconds, cause)
        CLOCK.sleep(seconds)

    def _log_resume(self, wait: float, cause: Exception | None) -> None:
        done = self._sink.size if self._sink else 0
        log_records.resume("download", self._url, done=done, wait=wait, cause=cause)

    def _finish(self) -> Download:
        sink, writer = self._opened(), self._writer
        digests = writer.digests() if writer else {}
        size, etag = sink.size, sink.version.etag if sink.version else None
        self._is_finished = True
        if isinstance(sink, PartFile) and self._target is not None:
            self._name(sink, self._target)
        return Download(
            self._target if isinstance(sink, PartFile) else None,
            size=size,
            fetched=writer.fetched if writer else 0,
            resumed_from=self._resumed_from,
            attempts=self._tally.attempts,
            elapsed=time.monotonic() - self._started,
            digests=digests,
            verified=bool(digests) or self._is_framed,
            etag=etag,
            final_url=redaction.redact_url(self._final_url),
            content_type=self._known.content_type if self._known else None,
        )

    def _name(self, part: PartFile, target: pathlib.Path) -> None:
        """Give a whole file its name.

        Raises:
            TransferError: Another file has it, or the system refuses.
        """
        is_default = self._options.if_exists is None and self._must_be_new
        if is_default and destination.is_there(target) and part.is_equal(target):
            part.discard()
        elif not part.finish(sync=self._options.fsync, is_new=self._must_be_new):
            raise destination.taken(target)
        if self._may_have_segments:
            remove_segments(part.usual_path)
        modified = timestamp(self._known.modified if self._known else None)
        if self._options.mtime and modified is not None:
            with destination.translated(target):
                os.utime(target, (modified, modified))


def _nonempty(blocks: Iterator[bytes], known_size: int) -> Iterator[bytes]:
    """Return the blocks of a body.

    Raises:
        TransferError: There are none: it is not a file that is known to have bytes.
    """
    first = next(blocks, None)
    if first is None:
        raise not_the_file(0, known_size)
    return chain((first,), blocks)


def _has_end(response: requests.Response) -> bool:
    """Return whether the end of the body can be seen."""
    return "content-length" in response.headers or is_chunked(response)
