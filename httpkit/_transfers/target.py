"""Which file a download is for, and whether it may be replaced.

Rule: `if_exists` is decided here and nowhere else.
"""

import os
import pathlib

import requests

from httpkit._core import filenames
from httpkit._core.validators import FileVersion, timestamp
from httpkit._diagnostics.errors import TransferError
from httpkit._transfers import destination, existing
from httpkit._transfers.download import Destination, Download, DownloadOptions
from httpkit._transfers.part_file import PartFile


class Target:
    """The file that a download ends in.

    Args:
        dest: A path, a folder, a file object, or None for the current folder.
        url: Its path may give the name.
        options: Those of the download.

    Attributes:
        path: The file; None until the server named it, or where the caller gave a file object.
        skipped: The result where the file that is there stays; None where it is fetched.

    Raises:
        TransferError: The file exists, or the path cannot be used.
        ChecksumError: The file that is there stays, and has another checksum.
        BodyTooLargeError: It stays, and is larger than `max_size`.
        ConfigurationError: The destination is invalid.
    """

    def __init__(self, dest: Destination, url: str, options: DownloadOptions) -> None:
        self._url = url
        self._options = options
        self._must_be_new = options.if_exists == "error"
        self.skipped: Download | None = None
        self.path, self._folder = destination.named_by(dest)
        if self.path is None or not destination.is_there(self.path):
            return
        if options.if_exists == "error":
            raise destination.taken(self.path)
        if options.if_exists == "skip":
            self.skipped = existing.check(self.path, options)
        if options.if_exists == "rename":
            self.path = destination.free_name(self.path)
        elif options.if_exists not in {"skip", "update"}:  # these may leave it as it is
            destination.check_replaceable(self.path)

    @property
    def modified(self) -> float | None:
        """The time of the file whose update is requested; None when there is no such file."""
        path = self.path
        is_update = self._options.if_exists == "update"
        if not is_update or path is None or not destination.is_there(path):
            return None
        return existing.stat_of(path).st_mtime

    def keep(self, attempts: int) -> None:
        """Keep the file that is there: the server says that it has not changed.

        Raises:
            TransferError: There is none, or it is not what was wanted.
        """
        if self.path is None or not destination.is_there(self.path):
            raise TransferError("the server says 304 (not modified), but there is no file")
        self.skipped = existing.check(self.path, self._options, attempts)

    def take_name(self, response: requests.Response, attempts: int) -> None:
        """Take the name that the server gives, or the URL.

        Raises:
            TransferError: There is such a file, and it must be neither kept nor replaced.
        """
        name = filenames.from_disposition(response.headers.get("content-disposition"))
        name = name or filenames.from_url(self._url)
        path = self._folder / filenames.safe(name, destination.longest_name(self._folder))
        self._must_be_new = (self._options.if_exists or "error") == "error"
        if destination.is_there(path):
            if self._options.if_exists == "rename":
                path = destination.free_name(path)
            elif self._keeps(path, response):
                self.skipped = existing.check(path, self._options, attempts)
            elif self._options.if_exists == "replace":
                destination.check_replaceable(path)
        self.path = path

    def check_update(self) -> None:
        """Refuse to fetch the update of a file that cannot be replaced.

        Raises:
            TransferError: Another program has it open, on Windows.
        """
        if self._options.if_exists == "update" and self.path is not None:
            destination.check_replaceable(self.path)

    def _keeps(self, path: pathlib.Path, response: requests.Response) -> bool:
        """Return whether a file that is there stays, instead of what the server has.

        Raises:
            TransferError: It must be neither kept nor replaced.
        """
        choice = self._options.if_exists
        if choice == "skip":
            return True
        if choice == "update":
            modified = timestamp(response.headers.get("last-modified"))
            return modified is not None and existing.stat_of(path).st_mtime >= modified
        is_other = FileVersion.of(response, None).total != existing.stat_of(path).st_size
        if choice == "error" or (choice is None and is_other):
            raise destination.taken(path)
        return False  # one of the same size may be the same file: they are compared at the end

    def finish(self, part: PartFile, modified: str | None) -> None:
        """Give a whole file its name.

        Args:
            part: The file.
            modified: Last-Modified as the server sent it; None when it did not.

        Raises:
            TransferError: Another file has the name, or the system refuses.
        """
        path = self.path
        assert path is not None  # noqa: S101  # its part was opened by that name
        is_default = self._options.if_exists is None and self._must_be_new
        if is_default and destination.is_there(path) and part.is_equal(path):
            part.discard()
        elif not part.finish(sync=self._options.fsync, is_new=self._must_be_new):
            raise destination.taken(path)
        seconds = timestamp(modified)
        if self._options.mtime and seconds is not None:
            with destination.translated(path):
                os.utime(path, (seconds, seconds))
