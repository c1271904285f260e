"""Downloads, uploads and event streams of a session."""

from __future__ import annotations  # names of modules that are imported when they are needed

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

import requests

from httpkit._client import preparation
from httpkit._client.verbs import Verbs
from httpkit._core import urls
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.response import Response

if TYPE_CHECKING:
    from httpkit._diagnostics import progress
    from httpkit._policy import keywords
    from httpkit._transfers import download as downloads
    from httpkit._transfers import event_stream as event_streams
    from httpkit._transfers import upload as uploads
    from httpkit._transfers.upload_protocols import UploadClient
else:
    keywords = ImportedLater("httpkit._policy.keywords")
    progress = ImportedLater("httpkit._diagnostics.progress")
    downloads = ImportedLater("httpkit._transfers.download")
    event_streams = ImportedLater("httpkit._transfers.event_stream")
    uploads = ImportedLater("httpkit._transfers.upload")


class TransferMethods(Verbs):
    """The downloads and uploads of a session."""

    def download(
        self,
        url: str | bytes | Callable[[], str | bytes],
        dest: downloads.Destination = None,
        *,
        if_exists: downloads.IfExists | None = None,
        resume: downloads.Resume = True,
        checksum: str | None = None,
        verify: downloads.Verify = "auto",
        expected_size: int | None = None,
        max_size: int | None = None,
        content_type: str | tuple[str, ...] | None = None,
        decode: bool | Literal["auto"] = "auto",
        segments: int = 1,
        min_segment: int = 16 << 20,
        max_stalls: int = 5,
        min_speed: float | None = None,
        max_rate: float | None = None,
        progress: progress.ProgressLike = None,
        mtime: bool = False,
        fsync: bool = False,
        **options: Unpack[keywords.FetchOptions],
    ) -> downloads.Download:
        """Download a URL to a file: resumed, verified, and renamed when complete.

        The bytes go into `<name>.part` beside the file. If the call is interrupted, by the network
        or the end of the process, they stay there, and the next call with the same destination
        resumes, if the server still has the same version.

        Args:
            url: As for `request`, or a callable that returns it, called before every attempt, for
                signatures that expire.
            dest: A path, an existing folder (the server names the file), a file object, or
                None for the current folder.
            if_exists: "replace", "error", "skip" (without a request), "rename" ("name (1).txt") or
                "update" (only what changed since the file's time, which `mtime` makes the
                server's). None: replace a file that the caller named, raise for one that the server
                named.
            resume: Whether to resume from a part file of the same version. "force" resumes
                also without a validator, trusting the size and the bytes that overlap.
            checksum: "sha256:<hex>", or another algorithm of hashlib; None checks none.
            verify: What to do with the server's Repr-Digest, Content-Digest (RFC 9530) and
                Content-MD5: "auto" checks what is there, "require" demands a digest, the
                server's or `checksum`, "off" looks at none.
            expected_size: Bytes the file must have; None takes any.
            max_size: The most bytes to accept; None is no limit.
            content_type: A pattern such as `"image/*"`, or several, that the type must match;
                None takes any. It keeps an HTML error page from being saved as data.
            decode: Whether to undo a Content-Encoding; "auto" does, unless the file's name or
                type says that it is compressed itself.
            segments: How many ranges of the file to fetch in parallel, where the server has a
                strong validator and a length. It helps against a limit per connection.
            min_segment: Bytes that each range has at least.
            max_stalls: Attempts in a row without a new byte before giving up, 0 or more.
            min_speed: Bytes a second, averaged over 30 seconds: a slower attempt is ended and
                counts as one without a new byte. None or 0: no limit.
            max_rate: The most bytes a second; None: no limit.
            progress: True shows a bar, a callable is given a Progress at most ten times a
                second, a tqdm-like bar is updated; None shows nothing.
            mtime: Whether the file gets the time of Last-Modified.
            fsync: Whether to wait until the disk has the file.
            **options: Keywords of `request`: headers, params, path, auth, timeout, ...

        Returns:
            The result, which works as a path.

        Raises:
            IncompleteError: It stopped early; the received bytes are kept, and the message says how
                to resume.
            ChecksumError: The file did not match its checksum, twice; it was discarded.
            TransferError: The file exists, cannot be written, or is not what was expected.
            BodyTooLargeError: It is larger than `max_size`.
            StatusError: The server responds with an error status.
            ValueError: An argument is invalid; nothing was sent.
        """
        from httpkit._transfers import fetch
        from httpkit._transfers.download import DownloadOptions

        keywords.check_fetch(options)
        settings = DownloadOptions(
            if_exists=if_exists,
            resume=resume,
            checksum=checksum,
            verify=verify,
            expected_size=expected_size,
            max_size=max_size,
            content_type=content_type,
            decode=decode,
            segments=segments,
            min_segment=min_segment,
            max_stalls=max_stalls,
            min_speed=min_speed,
            max_rate=max_rate,
            progress=progress,
            mtime=mtime,
            fsync=fsync,
        )
        call_options: dict[str, Any] = {
            **options, "stream": True, "raise_for_status": True, "on_status": fetch.HANDLED
        }  # fmt: skip
        given: Mapping[str, str | bytes | None] = call_options.pop("headers", None) or {}
        headers = _download_headers(given)
        # A signed URL that is kept for a retry has expired by then: a callable makes a fresh one.
        next_url: Callable[[], str | bytes] = url if callable(url) else lambda: url
        first = next_url()
        known = [first]

        def send_get(fields: dict[str, str]) -> requests.Response:
            current = known.pop() if known else next_url()
            response: Response = self.request(
                "GET", current, headers={**headers, **fields}, **call_options
            )
            return response

        whole = self._whole_url(first, options.get("path"))
        return fetch.fetch(send_get, whole, dest, settings, is_stable=not callable(url))

    def events(
        self, url: str | bytes, *, max_stalls: int = 5, **options: Unpack[keywords.FetchOptions]
    ) -> event_streams.EventStream:
        """Receive server-sent events, and reconnect when a connection is lost.

        After a lost or silent connection it waits as long as the server asked (by default 3
        seconds) and reconnects with Last-Event-ID; a 204 ends the stream (WHATWG HTML, section
        9.2).

        Args:
            url: As for `request`.
            max_stalls: The most consecutive connections that are lost without an event, 0 or more.
            **options: Keywords of `request`: headers (a Last-Event-ID resumes an earlier
                stream), params, path, auth, timeout, ...; a connection is quiet after the read
                timeout.

        Returns:
            An iterator over events. `close()`, or the end of its `with` block, ends it.

        Raises:
            StatusError: While iterating: the server responds with an error status.
            TransferError: While iterating: the response is not an event stream.
            RequestException: While iterating: the server cannot be reached, or goes on losing
                connections.
            ValueError: An argument is invalid; nothing was sent.
        """
        from httpkit._diagnostics.base_errors import check_count
        from httpkit._transfers.event_stream import EventStream

        check_count("max_stalls", max_stalls)
        keywords.check_fetch(options)
        call_options: dict[str, Any] = {**options, "stream": True, "raise_for_status": True}
        given = dict(call_options.pop("headers", None) or {})
        ids = [given.pop(name) for name in list(given) if name.lower() == "last-event-id"]
        last_id = "".join(one.decode("latin-1") if isinstance(one, bytes) else one for one in ids)

        def send_get(fields: dict[str, str]) -> Response:
            response: Response = self.request(
                "GET", url, headers={**fields, **given}, **call_options
            )
            return response

        whole = self._whole_url(url, options.get("path"))
        return EventStream(send_get, whole, max_stalls, last_id)

    def upload(
        self,
        url: str | bytes,
        source: uploads.UploadSource,
        *,
        method: str | None = None,
        field: str | None = None,
        data: uploads.Fields = None,
        filename: str | None = None,
        content_type: str | None = None,
        size: int | None = None,
        checksum: str | None = None,
        progress: progress.ProgressLike = None,
        resumable: uploads.ResumableProtocol | None = None,
        state: str | os.PathLike[str] | None = None,
        chunk_size: int | None = None,
        max_stalls: int = 5,
        max_rate: float | None = None,
        **options: Unpack[keywords.UploadOptions],
    ) -> Response:
        """Send a file of any size, in constant memory; every attempt sends the same bytes.

        It is sent as the body (PUT), or with `field` as a file in a form (POST). A one-shot body is
        not sent again, and the error says so. A file that changes while it is sent raises, and the
        server does not receive its end.

        Args:
            url: As for `request`.
            source: A path, bytes, a file object (sent from its current position), an iterable of
                bytes, or a callable that returns one of them for every attempt.
            method: None: PUT, and POST for a form. With `resumable`, of the first request.
            field: The name of the file's field, for a multipart form (RFC 7578); None: no form.
            data: The form's other fields. With `resumable`, what is known of the file: JSON
                for "content-range", Upload-Metadata for "tus".
            filename: In the form; None: the name of the source.
            content_type: The file's; None guesses by the name.
            size: Bytes of the source, where it cannot say; of a file, how many of it to send.
                None: all. An iterable without a size is sent in chunks.
            checksum: "sha256:<hex>" of the source, or another algorithm of hashlib: the last bytes
                are sent only if it matches, and the server receives it (Content-Digest, RFC 9530).
                None checks none.
            progress: As for `download`.
            resumable: Send so that the upload resumes where it was interrupted: "content-range"
                (Google, YouTube, OneDrive), "tus" (1.0) or "ietf" (the draft of Resumable
                Uploads for HTTP, interop version 8). None: in one request.
            state: A small file that lets another process resume, with `resumable`; it contains the
                URL of the upload, which is a credential. It is removed at the end. None: within
                this call only.
            chunk_size: Bytes per request of a resumable upload; for "content-range" a multiple
                of 256 KiB. None: all that is left in one.
            max_stalls: Requests of a resumable upload in a row that bring nothing new before
                giving up, 0 or more.
            max_rate: The most bytes a second; None: no limit.
            **options: Keywords of `request`: headers, params, path, auth, timeout, ...;
                `deadline` is off unless it is given.

        Returns:
            The response to the last request.

        Raises:
            TransferError: The source cannot be read, or has changed; or the server violates the
                protocol.
            ChecksumError: The source does not match `checksum`.
            IncompleteError: A resumable upload stopped early; the message says how to resume.
            StatusError: The server responds with an error status.
            RequestException: There is no response.
            ValueError: An argument is invalid; nothing was sent.
        """
        from httpkit._transfers import upload
        from httpkit._transfers.resumable import upload_in_steps

        settings = upload.UploadSettings(
            method=method,
            field=field,
            data=data,
            filename=filename,
            content_type=content_type,
            size=size,
            checksum=checksum,
            progress=progress,
            resumable=resumable,
            state=state,
            chunk_size=chunk_size,
            max_stalls=max_stalls,
            max_rate=max_rate,
        )
        call_options: dict[str, Any] = {"deadline": None, **options}

        if resumable is None:
            return upload.upload(
                functools.partial(self.request, url=url), source, settings, call_options
            )
        return upload_in_steps(
            cast("UploadClient", self),
            url,
            self._whole_url(url, options.get("path")),
            source,
            settings,
            call_options,
            redirect_body=options.get("redirect_body", self.redirect_body),
        )

    def _whole_url(self, url: str | bytes, path: Mapping[str, object] | None) -> str:
        return urls.join(self.base_url, self._mode.fill(preparation.as_text(url), path))


def _download_headers(given: Mapping[str, str | bytes | None]) -> dict[str, str | bytes | None]:
    """Return the header fields of every request of a download.

    Raises:
        ConfigurationError: The caller asks for a range, which a download does itself.
    """
    names = {name.lower() for name in given}
    if names & {"range", "if-range"}:
        raise ConfigurationError(
            "a Range in headers= of download(): it asks for ranges itself; use get() for a part"
        )
    ours = {} if "accept-encoding" in names else {"Accept-Encoding": "identity"}
    return {**ours, **given}
