"""From a response to a file: resumed, verified, and renamed once it is whole.

    plan -> request -> admission -> write -> (cut: plan again) -> verify -> rename

The promise: the file under its final name is whole and verified, or absent. What arrived
stays in a part file, and the next call, in this process or another, resumes there.
"""

import time
from collections.abc import Callable
from typing import TypeAlias

import requests

from httpkit._core import filenames, redaction
from httpkit._core.clock import CLOCK
from httpkit._core.validators import FileVersion, content_range, is_chunked, source_hash
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import ChecksumError, IncompleteError, TransferError
from httpkit._diagnostics.progress import Reporter
from httpkit._messages import checksums
from httpkit._policy import retry, retry_loop
from httpkit._transfers import codings, destination, plan
from httpkit._transfers.admission import Admission, Existing, Restart, admit_rest, admit_whole
from httpkit._transfers.attempts import CappedError, Tally, cause_of
from httpkit._transfers.body_writer import BodyWriter
from httpkit._transfers.download import Destination, Download, DownloadOptions
from httpkit._transfers.part_file import PartFile
from httpkit._transfers.sinks import OVERLAP, FileObject, Sink
from httpkit._transfers.speed_limits import TooSlowError
from httpkit._transfers.target import Target


def _as_is(response: requests.Response) -> requests.Response:
    return response


# What a download itself makes something of: not modified, and no such range.
HANDLED = {304: _as_is, 416: _as_is}
# The body is the file, or a part of it (RFC 9110 sections 15.3.1, 15.3.4, 15.3.7).
_WITH_A_FILE = frozenset({200, 203, 206})

SendGet: TypeAlias = Callable[[dict[str, str]], requests.Response]
"""Sends the GET with these fields added; 206, 304 and 416 are returned, other errors raised."""


def fetch(
    send_get: SendGet,
    url: str,
    dest: Destination,
    options: DownloadOptions,
    *,
    is_stable: bool = True,
) -> Download:
    """Fetch a URL into a file.

    Args:
        send_get: Sends the request.
        url: As the caller gave it; its path may give the name.
        dest: A path, a folder, a file object, or None for the current folder.
        options: All else.
        is_stable: Whether the URL without its query stands for the file.

    Raises:
        IncompleteError: The transfer stopped early; what arrived is kept for the next call.
        ChecksumError: The file does not match its checksum; it was discarded.
        TransferError: The file exists, cannot be written, or is not what was expected.
        BodyTooLargeError: It is larger than `max_size`.
        StatusError: The server responds with an error status.
        ConfigurationError: The destination is invalid.
    """
    target = Target(dest, url, options)
    if target.skipped:
        return target.skipped
    transfer = Fetch(send_get, url, target, options, is_stable=is_stable)
    try:
        if target.path is not None:
            transfer.open_file()
        elif hasattr(dest, "write"):
            transfer.open(FileObject(dest))
        return transfer.run()
    finally:
        transfer.close()


class Fetch:
    """One download: attempts, until the file is whole or nothing new arrives any more."""

    def __init__(
        self,
        send_get: SendGet,
        url: str,
        target: Target,
        options: DownloadOptions,
        *,
        is_stable: bool,
    ) -> None:
        self._send_get = send_get
        self._url = self._final_url = url
        self._source = source_hash(url) if is_stable else None
        self._target = target
        self._options = options
        self._sink: Sink | None = None
        self._writer: BodyWriter | None = None
        self._reporter = Reporter(options.progress, "download")
        self._known: FileVersion | None = None
        self._has_response = self._from_start = self._is_framed = self._is_finished = False
        self._tally = Tally(options.max_stalls)
        self._started = time.monotonic()

    def open_file(self) -> None:
        """Open the part of the file that the target names."""
        path = self._target.path
        assert path is not None  # noqa: S101  # it was named just now
        self._reporter = Reporter(self._options.progress, path.name)
        self.open(PartFile.open(destination.resolved(path)))

    def open(self, sink: Sink) -> None:
        """Write to a sink, from where it stands."""
        self._sink = sink
        self._writer = BodyWriter(sink, self._options, self._reporter, self._send_get)
        is_known = sink.version is not None and plan.is_from(sink.version, self._source)
        if sink.size and is_known and self._options.resume is not False:
            self._known = sink.version
        self._writer.resumed_from = self._resumable_size()
        if self._writer.resumed_from:
            self._log_resume(0, None)

    def close(self) -> None:
        """Close the part file and the bar."""
        try:
            self._reporter.finish()
        finally:  # a callable of the caller's may raise, and Control-C come anywhere
            if self._writer is not None:
                self._writer.close(is_finished=self._is_finished)
            if self._sink is not None:
                self._sink.close()

    def run(self) -> Download:
        """Fetch until the file is whole, and give it its name."""
        while (cause := self._attempt()) is not None:
            size = self._sink.size if self._sink else 0
            if self._tally.is_enough(cause, size):
                raise self._final_error(cause) from cause_of(cause)
            if not (isinstance(cause, CappedError) and not self._tally.stalls):
                self._pause(cause)
        return self._target.skipped or self._finish()

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
            if retry_loop.classify(error) == "final" or not has_begun:
                raise  # without a beginning: the session's own retries are spent
            return error
        return None

    def _request(self) -> None:
        """Ask for what is missing and write it."""
        step = self._plan()
        self._tally.attempts += 1
        with self._send_get(step.fields) as response:
            self._has_response = True
            if response.status_code == 304:
                self._target.keep(self._tally.attempts)
                return
            self._final_url = response.url
            self._check_status(response, step)
            is_ready = self._sink is not None or self._open_named_by(response)
            if is_ready:
                self._write(response, self._admit(response, step))
        if not is_ready and self._target.skipped is None:
            self._request()  # now that the name is known, from where its part ends

    def _plan(self) -> plan.Plan:
        sink, writer = self._sink, self._writer
        if sink is not None and writer is not None:
            before = sink.version
            sink.select()
            if sink.version is not before:
                writer.reset()
            size = 0 if self._from_start else self._resumable_size()
            self._from_start = False
            if size:
                until = writer.boundary(size)
                return plan.rest_of_file(sink.version, size, writer.overlap, until)
        return plan.whole_file(self._target.modified)

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
            Restart: There is no such range, and the whole file was not requested.
        """
        status = response.status_code
        if status == 416 and step.is_range:
            raise Restart("416: the server has no such range")
        if status not in _WITH_A_FILE:
            response.raise_for_status()
            what = errors.describe(response.request, response.url)
            raise TransferError(f"unexpected status {status} for {what}: it holds no file")

    def _open_named_by(self, response: requests.Response) -> bool:
        """Open the file the server names; return False when its part needs another request."""
        self._target.take_name(response, self._tally.attempts)
        if self._target.skipped:
            return False
        self.open_file()
        return not self._resumable_size()

    def _admit(self, response: requests.Response, step: plan.Plan) -> Admission:
        """Decide whether a response may be written, and where."""
        sink = self._opened()
        name = self._target.path.name if self._target.path else None
        is_part = response.status_code == 206
        found = FileVersion.of(
            response,
            self._source,
            digests=checksums.announced_digests(response.headers, is_whole=not is_part),
            is_decoded=codings.is_decoded(response, name, self._options.decode),
        )
        oldest = max(0, sink.size - OVERLAP) if isinstance(sink, FileObject) else 0
        start = step.start if step.is_range else None
        # What segments say is compared with other ranges: where they differ, the whole file counts.
        known = self._writer.learned(self._known) if self._writer and is_part else self._known
        before = Existing(known, sink.size, oldest, start)
        admit = admit_rest if is_part else admit_whole
        admission = admit(before, found, content_range(response))
        self._options.check_type(admission.version.content_type)
        self._options.check_total(admission.version.total)
        return admission

    def _write(self, response: requests.Response, admission: Admission) -> None:
        version, writer = admission.version, self._writer
        assert writer is not None  # noqa: S101  # it is made with the sink
        if not (self._known and self._known.is_certain_of(version)):
            self._known = version
        self._is_framed = version.total is not None or _has_end(response)
        self._target.check_update()
        writer.receive(response, admission)

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

    def _final_error(self, cause: Exception) -> Exception:
        if isinstance(cause, ChecksumError):
            self._opened().discard()
            return cause
        name = redaction.redact_url(self._url)
        why = redaction.redact_text(str(cause))
        total = self._known.total if self._known else None
        received = f"{self._opened().size} of {'unknown' if total is None else total} bytes"
        error = IncompleteError(
            f"{name}: {received} arrived in {self._tally.attempts} attempts"
            f"{self._resume_hint()} ({why})"
        )
        error.attempts = self._tally.attempts
        error.stop_reason = f"{self._options.max_stalls} attempts in a row brought nothing new"
        return error

    def _resume_hint(self) -> str:
        sink = self._opened()
        if not isinstance(sink, PartFile) or not sink.size or sink.is_private:
            return ""
        if sink.version and sink.version.is_decoded:
            return "; they are not kept, because they were decoded"
        which = "they are"
        if not sink.is_kept:
            sink.select()
            which = "they are not kept, but what arrived before is"
        is_certain = sink.version and sink.version.validator
        how = "call again" if is_certain else "call again with resume='force'"
        return f"; {which} kept in {filenames.printable(sink.path)}: {how} to resume"

    def _note_kept(self, error: errors.StatusError) -> None:
        sink = self._sink
        if isinstance(sink, PartFile) and sink.size and not sink.is_private:
            path = filenames.printable(sink.path)
            errors.add_note(error, f"what arrived before is kept in {path}")

    def _pause(self, cause: Exception) -> None:
        seconds = retry_loop.backoff(retry.RetryPolicy(), max(self._tally.stalls, 1), None)
        self._log_resume(seconds, cause)
        CLOCK.sleep(seconds)

    def _log_resume(self, wait: float, cause: Exception | None) -> None:
        done = self._sink.size if self._sink else 0
        log_records.resume("download", self._url, done=done, wait=wait, cause=cause)

    def _finish(self) -> Download:
        sink, writer, known = self._opened(), self._writer, self._known
        assert writer is not None  # noqa: S101  # it is made with the sink
        digests = writer.digests()
        size, etag = sink.size, sink.version.etag if sink.version else None
        self._is_finished = True
        if isinstance(sink, PartFile):
            self._target.finish(sink, known.modified if known else None)
            writer.remove_segments(sink)
        return Download(
            self._target.path,
            size=size,
            fetched=writer.fetched,
            resumed_from=writer.resumed_from,
            attempts=self._tally.attempts,
            elapsed=time.monotonic() - self._started,
            digests=digests,
            verified=bool(digests) or self._is_framed,
            etag=etag,
            final_url=redaction.redact_url(self._final_url),
            content_type=known.content_type if known else None,
        )


def _has_end(response: requests.Response) -> bool:
    """Return whether the end of the body can be seen."""
    return "content-length" in response.headers or is_chunked(response)
