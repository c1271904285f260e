"""From a response to a file: resumed, verified, and renamed once it is whole.

The promise: the file under its final name is whole and verified, or absent. What arrived
stays in a part file, and the next call, in this process or another, continues there.
"""

import fnmatch
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, cast

import requests
from requests.exceptions import ChunkedEncodingError, SSLError

from httpkit import _filenames, _secrets, checksums, errors, retry
from httpkit import response as response_room
from httpkit.errors import BodyTooLargeError, ChecksumError, IncompleteError, TransferError
from httpkit.part import OVERLAP, Identity, Part, Sink, Stream
from httpkit.progress import ProgressLike, Reporter

IfExists: TypeAlias = Literal["replace", "error", "skip", "rename", "update"]
Resume: TypeAlias = bool | Literal["force"]
Verify: TypeAlias = Literal["auto", "require", "off"]
Destination: TypeAlias = "str | os.PathLike[str] | Writable | None"

_IF_EXISTS = frozenset({"replace", "error", "skip", "rename", "update"})
_VERIFY = frozenset({"auto", "require", "off"})
# Over 20 MB/s large reads cost a third less CPU; a slow one goes back to small reads, which
# return with what there is (measured on loopback, see docs/explanation/performance.md).
_SMALL_READ, _LARGE_READ = 1 << 17, 1 << 20
_FAST_RATE = 20e6
_LONGEST_LARGE_READ = 0.25
# Already compressed: a Content-Encoding on top is the file's own, mislabelled.
_COMPRESSED_NAMES = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".br", ".zip", ".7z")
_COMPRESSED_TYPES = frozenset(
    {"application/gzip", "application/x-gzip", "application/zip", "application/zstd",
     "application/x-xz", "application/x-bzip2", "application/x-tar", "application/x-gtar"}
)  # fmt: skip
_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)", re.IGNORECASE)


class Writable(Protocol):
    """A file object to download into."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Download:
    """A finished download; it works wherever a path does.

    Attributes:
        path: The file; None when the caller gave a file object.
        size: Bytes of the whole.
        fetched: Bytes that came over the wire in this call, overlaps included.
        resumed_from: Bytes that were there when this call began.
        attempts: How many requests it took, 0 when it was skipped.
        elapsed: Seconds.
        digests: Algorithm to hexadecimal digest, of those that were checked.
        verified: Whether the end was seen: a length, chunked framing, or a digest.
        etag: The server's; None when it gave none.
        final_url: Where it came from in the end, redacted; None when it was skipped.
        content_type: The server's, without parameters; None when it gave none.
        skipped: Whether the file was there already and nothing was fetched.
    """

    path: Path | None
    size: int = 0
    fetched: int = 0
    resumed_from: int = 0
    attempts: int = 0
    elapsed: float = 0.0
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    verified: bool = False
    etag: str | None = None
    final_url: str | None = None
    content_type: str | None = None
    skipped: bool = False

    @property
    def rate(self) -> float:
        """Return the bytes a second of this call."""
        return self.fetched / self.elapsed if self.elapsed else 0.0

    def __fspath__(self) -> str:
        if self.path is None:
            raise TypeError("this download went into a file object and has no path")
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a caller wants of a download; `Session.download` explains each."""

    if_exists: IfExists | None = None
    resume: Resume = True
    checksum: str | None = None
    verify: Verify = "auto"
    expected_size: int | None = None
    max_size: int | None = None
    content_type: str | tuple[str, ...] | None = None
    decode: bool | Literal["auto"] = "auto"
    max_stalls: int = 5
    progress: ProgressLike = None
    mtime: bool = False
    fsync: bool = False

    def __post_init__(self) -> None:
        if self.if_exists is not None and self.if_exists not in _IF_EXISTS:
            raise errors.ConfigurationError(f"if_exists={self.if_exists!r} is no such choice")
        if self.verify not in _VERIFY:
            raise errors.ConfigurationError(f"verify={self.verify!r} is no such choice")
        if self.resume not in {True, False, "force"}:
            raise errors.ConfigurationError(f"resume={self.resume!r} is no such choice")
        for name in ("expected_size", "max_size", "max_stalls"):
            size = getattr(self, name)
            if size is not None and (
                isinstance(size, bool) or not isinstance(size, int) or size < 0
            ):
                raise errors.ConfigurationError(f"{name}={size!r} must be a whole number from 0")
        if self.checksum is not None:
            checksums.parse(self.checksum)


def _as_is(answer: requests.Response) -> requests.Response:
    return answer


# What a download itself makes something of: nothing new, and no such range.
HANDLED = {304: _as_is, 416: _as_is}

Ask: TypeAlias = Callable[[dict[str, str]], requests.Response]
"""Sends the GET with these fields added; 206, 304 and 416 are returned, other errors raised."""


_INTERRUPTIONS = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError)


class _StartOverError(Exception):
    """What is there does not belong to what the server has now."""


def download(ask: Ask, url: str, dest: Destination, wishes: Wishes) -> Download:
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
    """
    target, folder = _target(dest)
    if target is not None and target.exists():
        if wishes.if_exists == "error":
            raise _exists(target)
        if wishes.if_exists == "skip":
            return Download(target, size=target.stat().st_size, skipped=True)
        if wishes.if_exists == "rename":
            target = _free_name(target)
    file = dest if hasattr(dest, "write") else None
    transfer = _Transfer(ask, url, target, folder, wishes, file)
    try:
        return transfer.run()
    finally:
        transfer.close()


def _target(dest: Destination) -> tuple[Path | None, Path]:
    """Return the named file, if the caller named one, and the folder for a server's name."""
    if dest is None or hasattr(dest, "write"):
        return None, Path()
    text = os.fspath(cast("str | os.PathLike[str]", dest))
    path = Path(text)
    if path.is_dir() or text.endswith(("/", os.sep)):
        if not path.is_dir():
            raise TransferError(f"the folder {path} does not exist")
        return None, path
    if not path.parent.is_dir():
        raise TransferError(f"the folder {path.parent} does not exist")
    return path, path.parent


def _exists(path: Path) -> TransferError:
    return TransferError(f"{path} exists: pass if_exists= 'replace', 'skip', 'rename' or 'update'")


def _free_name(path: Path) -> Path:
    number = 1
    while (other := path.with_name(f"{path.stem} ({number}){path.suffix}")).exists():
        number += 1
    return other


class _Transfer:
    """One download on its way."""

    def __init__(
        self, ask: Ask, url: str, target: Path | None, folder: Path, wishes: Wishes, file: Any
    ) -> None:
        self._ask_server = ask
        self._url = url
        self._target = target
        self._folder = folder
        self._wishes = wishes
        self._expected = [checksums.parse(wishes.checksum)] if wishes.checksum else []
        self._sink: Sink | None = Stream(file) if file is not None else None
        self._is_named = target is not None
        self._reporter = Reporter(wishes.progress, target.name if target else "download")
        self._sums: checksums.Sums | None = None
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
        self._reporter.finish()
        if isinstance(self._sink, Part):
            self._sink.close()

    def run(self) -> Download:
        """Fetch until the file is whole, and give it its name."""
        if self._target is not None:
            self._sink = Part.open(self._target)
            self._resumed_from = self._known_size()
        stalls = mismatches = 0
        while (cause := self._attempt()) is not None:
            mismatches += isinstance(cause, ChecksumError)
            if mismatches > 1:
                raise cause
            stalls = self._count(stalls)
            if stalls > self._wishes.max_stalls and not isinstance(cause, ChecksumError):
                raise self._incomplete(cause) from cause
            self._pause(stalls)
        return self._skipped() if self._is_unchanged else self._finish()

    def _attempt(self) -> Exception | None:
        """Fetch what is missing; return why the file is not whole yet, None when it is."""
        self._is_answered = False
        try:
            self._fetch()
            if not self._is_unchanged:
                self._check_whole()
        except (ChecksumError, _StartOverError) as error:
            self._start_over()
            return error
        except (SSLError, errors.DeadlineExceededError):
            raise
        except _INTERRUPTIONS as error:
            if self._sink is None or not (self._is_answered or self._sink.size):
                raise  # the session's own retries are spent, and there is nothing to go on from
            return error
        except errors.StatusError as error:
            if isinstance(self._sink, Part) and self._sink.size:
                error.add_note(f"what arrived before is kept in {self._sink.path}")
            raise
        return None

    def _count(self, stalls: int) -> int:
        """Return the attempts in a row without a new byte: getting as far as before is none."""
        size = self._sink.size if self._sink else 0
        if size > self._best:
            self._best = size
            return 0
        return stalls + 1

    def _pause(self, stalls: int) -> None:
        seconds = retry.backoff(retry.RetryPolicy(), max(stalls, 1), None)
        retry.WAITING.sleep(seconds)

    def _known_size(self) -> int:
        """Return how many bytes there are to go on from; others are dropped."""
        sink = self._sink
        if sink is None or not sink.size or self._wishes.resume is False:
            return 0
        known = sink.identity is not None and sink.identity.validator is not None
        return sink.size if known or self._wishes.resume == "force" else 0

    def _fetch(self) -> None:
        """Ask for what is missing and write it."""
        start, fields = self._range()
        self._attempts += 1
        with self._ask_server(fields) as answer:
            self._is_answered = True
            self._is_unchanged = answer.status_code == 304
            if self._is_unchanged:
                if self._target is None or not self._target.exists():
                    raise TransferError("the server says 304 (not modified), but there is no file")
                return
            self._final_url = answer.url
            self._last_modified = answer.headers.get("last-modified")
            is_ready = self._sink is not None or self._open_named_by(answer)
            if is_ready:
                overlap = self._admit(answer, start)
                self._copy(answer, overlap)
        if not is_ready:
            self._fetch()  # now that the name is known, from where its part ends

    def _range(self) -> tuple[int, dict[str, str]]:
        """Return where to go on, and the fields that ask for it (RFC 9110 sections 13, 14)."""
        fields = {"Accept-Encoding": "identity"}
        size = self._known_size() if self._is_resumable else 0
        if not size or self._sink is None:
            if self._wishes.if_exists == "update" and self._target and self._target.exists():
                fields["If-Modified-Since"] = _http_date(self._target.stat().st_mtime)
            return 0, fields
        start = max(0, size - OVERLAP)
        fields["Range"] = f"bytes={start}-"
        validator = self._sink.identity.validator if self._sink.identity else None
        if validator:
            fields["If-Range"] = validator
        return start, fields

    def _open_named_by(self, answer: requests.Response) -> bool:
        """Open the file the server names; False when its part asks for another request."""
        name = _filenames.from_disposition(answer.headers.get("content-disposition"))
        target = self._folder / _filenames.safe(name or _filenames.from_url(self._url))
        if target.exists():
            choice = self._wishes.if_exists or "error"
            if choice == "error":
                raise _exists(target)
            if choice == "rename":
                target = _free_name(target)
        self._target = target
        self._sink = Part.open(target)
        self._resumed_from = self._known_size()
        return not self._resumed_from

    def _admit(self, answer: requests.Response, start: int) -> bytes:
        """Decide what an answer is good for; return the bytes it must begin with."""
        identity = _identity(answer)
        self._guard_type(identity.content_type)
        if answer.status_code == 206:
            return self._admit_part(answer, identity, start)
        if answer.status_code == 416:
            raise _StartOverError("the server has no such range")
        self._guard_size(identity.total)
        sink = self._open_sink()
        sink.restart(identity)
        if not self._fetched:  # nothing of an earlier run was of use
            self._resumed_from = 0
        self._announced = self._announcement(answer, is_whole=True)
        if self._wishes.verify == "require" and not self._algorithms():
            raise TransferError("verify='require', but neither checksum= nor the server has one")
        self._sums = checksums.Sums(self._algorithms())
        self._is_framed = identity.total is not None or _is_chunked(answer)
        self._begin(identity.total)
        return b""

    def _admit_part(self, answer: requests.Response, identity: Identity, start: int) -> bytes:
        sink = self._open_sink()
        known = sink.identity or Identity()
        span = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if span is None:
            raise _StartOverError("a 206 without a legible Content-Range")
        first, total = int(span[1]), None if span[3] == "*" else int(span[3])
        if objection := _objection(sink, identity, first, start, total):
            raise _StartOverError(objection)
        self._guard_size(total)
        self._announced = self._announced or self._announcement(answer, is_whole=False)
        self._is_framed = True
        if self._sums is None:
            self._sums = checksums.Sums(self._algorithms())
            if isinstance(sink, Part):
                for block in sink.read_all(_LARGE_READ):
                    self._sums.update(block)
        self._begin(total if total is not None else known.total)
        return sink.read_back(first)

    def _copy(self, answer: requests.Response, overlap: bytes) -> None:
        """Write the body; its beginning must be what is there already."""
        sink, sums = self._open_sink(), self._sums
        limit = self._wishes.max_size
        for block in self._blocks(answer):
            self._fetched += len(block)
            known = overlap[: len(block)]
            if block[: len(known)] != known:
                raise _StartOverError("the server sent other bytes than before")
            overlap = overlap[len(known) :]
            fresh = block[len(known) :]
            if not fresh:
                continue
            if limit is not None and sink.size + len(fresh) > limit:
                self._start_over()
                raise BodyTooLargeError(f"{errors.describe(answer.request)}: over max_size={limit}")
            sink.write(fresh)
            if sums:
                sums.update(fresh)
            self._reporter.advance(len(fresh))

    def _blocks(self, answer: requests.Response) -> Iterator[bytes]:
        decode = self._decodes()
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            # A range of an encoded file is not a range of the file.
            self._is_resumable = False
        raw = answer.raw
        if raw.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            yield from response_room.translated_all(
                answer, response_room.arriving(raw, decode=decode)
            )
            return
        read, size = raw.read1, _SMALL_READ
        while True:
            began = time.monotonic()
            block = response_room.translated(
                answer,
                lambda: read(size, decode_content=decode),  # noqa: B023  # called at once
            )
            if not block:
                return
            yield block
            seconds = time.monotonic() - began
            if size == _SMALL_READ and len(block) > seconds * _FAST_RATE:
                read, size = raw.read, _LARGE_READ
            elif seconds > _LONGEST_LARGE_READ:
                read, size = raw.read1, _SMALL_READ

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
        self, answer: requests.Response, *, is_whole: bool
    ) -> list[checksums.Expected]:
        if self._wishes.verify == "off" or self._decodes_encoding(answer):
            return []
        return checksums.announced(answer.headers, is_whole=is_whole)[:1]

    def _decodes_encoding(self, answer: requests.Response) -> bool:
        coding = answer.headers.get("content-encoding", "identity").lower()
        return coding != "identity" and self._decodes()

    def _guard_type(self, found: str | None) -> None:
        wanted = self._wishes.content_type
        patterns = (wanted,) if isinstance(wanted, str) else wanted
        if patterns and not any(fnmatch.fnmatch(found or "", p.lower()) for p in patterns):
            raise TransferError(f"the server sent {found or 'no content type'}, not {wanted}")
        if self._content_type and found and found != self._content_type:
            raise TransferError(f"the server sent {self._content_type} first, and {found} now")
        self._content_type = self._content_type or found

    def _guard_size(self, total: int | None) -> None:
        limit, expected = self._wishes.max_size, self._wishes.expected_size
        if total is not None and limit is not None and total > limit:
            raise BodyTooLargeError(f"the file has {total} bytes, over max_size={limit}")
        if total is not None and expected is not None and total != expected:
            raise TransferError(f"the file has {total} bytes, not {expected}")

    def _check_whole(self) -> None:
        sink = self._open_sink()
        total = self._total
        if total is not None and sink.size < total and not self._is_encoded():
            raise ChunkedEncodingError(f"{sink.size} of {total} bytes arrived")
        if total is not None and sink.size > total and not self._is_encoded():
            raise _StartOverError("more bytes arrived than the file has")
        expected = self._wishes.expected_size
        if expected is not None and sink.size != expected:
            self._start_over()
            raise TransferError(f"the file has {sink.size} bytes, not {expected}")
        if self._sums:
            self._sums.compare([*self._expected, *self._announced])

    def _is_encoded(self) -> bool:
        return not self._is_resumable

    def _start_over(self) -> None:
        if self._sink is not None:
            self._sink.restart(Identity())
        self._sums = None

    def _incomplete(self, cause: Exception) -> IncompleteError:
        sink = self._open_sink()
        total = self._total
        arrived = f"{sink.size} of {total if total is not None else 'unknown'} bytes"
        kept = (
            f"; they are kept in {sink.path}: call again to go on" if isinstance(sink, Part) else ""
        )
        name = _secrets.redact_url(self._url)
        why = _secrets.redact_text(str(cause))
        error = IncompleteError(
            f"{name}: {arrived} arrived in {self._attempts} attempts{kept} ({why})"
        )
        error.attempts = self._attempts
        error.stop_reason = f"{self._wishes.max_stalls} attempts in a row brought nothing new"
        return error

    def _skipped(self) -> Download:
        size = self._target.stat().st_size if self._target else 0
        return Download(self._target, size=size, attempts=self._attempts, skipped=True)

    def _finish(self) -> Download:
        sink = self._open_sink()
        size = sink.size
        etag = sink.identity.etag if sink.identity else None
        if isinstance(sink, Part) and self._target is not None:
            if self._wishes.if_exists == "error" and self._target.exists():
                raise _exists(self._target)
            sink.finish(self._target, sync=self._wishes.fsync)
            if self._wishes.mtime and (modified := _seconds(self._last_modified)) is not None:
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
            final_url=_secrets.redact_url(self._final_url or self._url),
            content_type=self._content_type,
        )


def _objection(
    sink: Sink, identity: Identity, first: int, start: int, total: int | None
) -> str | None:
    """Say why a 206 does not continue what is there; None when it may."""
    known = sink.identity or Identity()
    if first > min(sink.size, start):
        return "the server left out bytes"
    if known.total is not None and total is not None and known.total != total:
        return "the file has another size now"
    if known.etag and identity.etag and known.etag != identity.etag:
        return "the file has another ETag now"
    if isinstance(sink, Stream) and first < sink.size - OVERLAP:
        return "the server went back too far"
    return None


def _identity(answer: requests.Response) -> Identity:
    etag = answer.headers.get("etag")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = answer.headers.get("content-length", "")
    is_encoded = answer.headers.get("content-encoding", "identity").lower() != "identity"
    total = (
        int(length) if length.isdigit() and answer.status_code != 206 and not is_encoded else None
    )
    return Identity(None if is_encoded else _validator(answer), etag, total, media_type or None)


def _validator(answer: requests.Response) -> str | None:
    """Return what If-Range may hold: a strong validator (RFC 9110 section 8.8)."""
    etag = answer.headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    if etag:  # weak: two different versions may share it
        return None
    modified, sent = answer.headers.get("last-modified"), answer.headers.get("date")
    with suppress(ValueError, TypeError):
        age = parsedate_to_datetime(sent or "") - parsedate_to_datetime(modified or "")
        # Section 8.8.2.2: strong when the server could not have changed it in the same second.
        return modified if age.total_seconds() >= 1 else None
    return None


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _is_chunked(answer: requests.Response) -> bool:
    return "chunked" in answer.headers.get("transfer-encoding", "").lower()


def _http_date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))
