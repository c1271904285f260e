"""The file from which another process learns where a resumable upload is.

Rule: of the endpoint it holds a hash. The URL of the upload itself must be written: whoever has
it may write to the upload, so only the owner may read the file (on POSIX systems).
"""

import json
import os
import pathlib
from contextlib import suppress
from typing import Any

from httpkit._core.validators import source_hash
from httpkit._diagnostics.errors import RedirectError, TransferError
from httpkit._transfers import destination
from httpkit._transfers.file_locks import retry_while_locked
from httpkit._transfers.upload_protocols import UploadContext, is_upload_url


class UploadState:
    """Where an upload is, for another process; without `state=` nothing is kept.

    Raises:
        ConfigurationError: The path is invalid.
        TransferError: Its folder does not exist, or it is not a regular file.
    """

    def __init__(self, context: UploadContext) -> None:
        self._context = context
        self.path: pathlib.Path | None = None
        if context.settings.state is None:
            return
        self.path = pathlib.Path(destination.text_of("state", context.settings.state))
        destination.is_there(self.path)
        self._facts = {
            "protocol": context.settings.resumable,
            "endpoint": source_hash(context.url),
            "content": [context.size, context.settings.checksum, *context.content.fingerprint],
        }
        with destination.translated(self.path):
            has_folder = self.path.parent.is_dir()
        if not has_folder:
            raise TransferError(f"the folder of state={str(self.path)!a} does not exist")

    def load(self) -> str | None:
        """Return the URL of this very upload; None when there is none."""
        if self.path is None:
            return None
        try:
            stored: Any = json.loads(self.path.read_text("utf-8"))
            url = stored.pop("upload_url")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if stored != self._facts or not isinstance(url, str) or not is_upload_url(url):
            return None
        try:
            self._context.check_url(url)
        except RedirectError:  # somebody changed the file
            return None
        return url

    def save(self, url: str) -> None:
        """Write the URL atomically, for the owner alone.

        Raises:
            TransferError: The file cannot be written.
        """
        if self.path is None:
            return
        path = self.path
        temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with suppress(FileNotFoundError):
                temporary.unlink()
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({**self._facts, "upload_url": url}, file)
            retry_while_locked(lambda: temporary.replace(path))
        except OSError as error:
            raise destination.cannot_write(path, error) from error

    def remove(self) -> None:
        """Remove the file: there is nothing to resume."""
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
