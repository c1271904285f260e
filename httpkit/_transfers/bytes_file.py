"""One file of bytes that is only appended to."""

import os
import pathlib
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from httpkit._core.filenames import printable
from httpkit._core.validators import FileVersion
from httpkit._diagnostics.errors import TransferError
from httpkit._transfers.destination import cannot_write, translated
from httpkit._transfers.file_locks import is_same_file, open_descriptor, remove

# No link is followed: in a shared folder it could lead to somebody else's file.
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
DEFAULT_MODE = 0o666


class BytesFile:
    """One file of bytes, opened for appending.

    Attributes:
        path: Beside the final name, so that renaming it is atomic.
        version: What its bytes belong to; None when that is not known.
        descriptor: Of the open file; -1 when it is closed.
    """

    def __init__(
        self, path: pathlib.Path, flags: int, mode: int | None, version: FileVersion | None
    ) -> None:
        self.path = path
        self.version = version
        wanted = DEFAULT_MODE if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR
        self.descriptor = open_descriptor(path, flags | os.O_APPEND, wanted)
        self._final_size = 0
        # Where there is no pread, one reads while the other does not write.
        self._lock = threading.Lock()
        if mode is not None:
            self.set_mode(wanted & os.fstat(self.descriptor).st_mode)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self.descriptor).st_size if self.descriptor >= 0 else self._final_size

    def write(self, block: bytes) -> None:
        """Append bytes."""
        view = memoryview(block)
        try:
            with self._lock:
                while view:
                    view = view[os.write(self.descriptor, view) :]
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset."""
        with translated(self.path):
            pread: Callable[[int, int, int], bytes] | None = getattr(os, "pread", None)
            if pread is not None:
                return pread(self.descriptor, size, offset)
            with self._lock:
                os.lseek(self.descriptor, offset, os.SEEK_SET)
                return os.read(self.descriptor, size)

    def truncate(self) -> None:
        """Drop all bytes."""
        with translated(self.path):
            os.ftruncate(self.descriptor, 0)

    def set_mode(self, mode: int | None) -> None:
        """Give the file the permissions of the one it replaces; Windows has none of this kind."""
        if mode is not None and sys.platform != "win32":
            os.fchmod(self.descriptor, mode & 0o777)

    def check_unchanged(self) -> None:
        """Refuse a file that another program put in the place of this one.

        Raises:
            TransferError: There is another one, or none.
        """
        if not is_same_file(self.descriptor, self.path):
            raise TransferError(
                f"{printable(self.path)} was replaced by another program: call again"
            )

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            self._final_size = self.size
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the file, unless its path leads to another one by now."""
        is_own = self.descriptor >= 0 and is_same_file(self.descriptor, self.path)
        with suppress(OSError):
            self.close()
        self._final_size = 0
        if is_own:
            remove(self.path)

    def remove(self) -> None:
        """Remove the closed file."""
        self._final_size = 0
        remove(self.path)
