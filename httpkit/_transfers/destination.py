"""Which file a download is for, and whether there can be one.

Rule: what the system says of a path becomes an error of ours that names the path.
"""

import errno
import io
import os
import pathlib
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

from httpkit._core import interrupts
from httpkit._core.filenames import MOST_BYTES, printable, windows_problem
from httpkit._diagnostics.errors import ConfigurationError, TransferError

# Bytes a name needs besides itself: " (12)" or ".part.new.json", and one to spare.
_BESIDE_NAME = 15


def named_by(dest: object) -> tuple[pathlib.Path | None, pathlib.Path]:
    """Return the file that a caller named, if any, and the folder for one that a server names.

    Args:
        dest: A path, a folder, a file object, or None for the current folder.

    Raises:
        ConfigurationError: It is something else, an invalid path, or a file opened as text.
        TransferError: The folder does not exist, or the path cannot be used.
    """
    if isinstance(dest, io.TextIOBase):
        raise ConfigurationError("the file is opened as text: open it in binary mode ('wb')")
    if dest is None or hasattr(dest, "write"):
        return None, pathlib.Path()
    text = text_of("dest", dest)
    if os.name == "nt" and (problem := windows_problem(text)):
        raise ConfigurationError(f"dest={text!a} cannot be used: {problem}")
    path = pathlib.Path(text)
    with translated(path):
        if stat.S_ISDIR(_mode(path)):
            return None, path
        folder = path if text.endswith(("/", os.sep)) else path.parent
        if not stat.S_ISDIR(_mode(folder)):
            raise TransferError(f"the folder {printable(folder)} does not exist")
    return path, folder


def text_of(name: str, path: object) -> str:
    """Return a path as text.

    Args:
        name: That of the parameter.
        path: What the caller gave.

    Raises:
        ConfigurationError: It is not a valid path.
    """
    text: object = path
    with suppress(TypeError):
        text = os.fspath(path)  # type: ignore[call-overload]  # untyped callers
    if not isinstance(text, str):
        raise ConfigurationError(f"{name}={path!r} must be a path, as text")
    try:
        is_valid = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        encoding = sys.getfilesystemencoding()
        raise ConfigurationError(
            f"{name}={text!a} holds a character that a path cannot contain (in {encoding}, the file"
            " system's encoding)"
        )
    return text


def is_there(path: pathlib.Path) -> bool:
    """Return whether there is a file to be replaced, kept or renamed.

    Raises:
        TransferError: The path leads to something else, or cannot be used.
    """
    with translated(path):
        mode = _mode(path)
        if mode and not stat.S_ISREG(mode):
            # Renaming would put a file into the place of a folder, or of /dev/null.
            raise TransferError(
                f"{printable(path)} is not a regular file: pass another path, or a file object"
            )
    return bool(mode)


def resolved(path: pathlib.Path) -> pathlib.Path:
    """Return where a path leads: a link is written through, not replaced.

    Raises:
        TransferError: The links lead in a circle.
    """
    with translated(path):
        return pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path


def longest_name(folder: pathlib.Path) -> int:
    """Return the most bytes that the name of a file may have, so that its part has room, too."""
    most = MOST_BYTES
    with suppress(AttributeError, OSError, ValueError):  # Windows cannot be asked
        most = os.pathconf(folder, "PC_NAME_MAX") - _BESIDE_NAME
    return most if _BESIDE_NAME < most < MOST_BYTES else MOST_BYTES


def free_name(path: pathlib.Path) -> pathlib.Path:
    """Return the path with the first number that makes it another: "name (1).txt".

    Raises:
        TransferError: The path cannot be used.
    """
    number = 1
    with translated(path):
        while _mode(other := path.with_name(f"{path.stem} ({number}){path.suffix}")):
            number += 1
    return other


def taken(path: pathlib.Path) -> TransferError:
    """Return the error of a file that must not be replaced."""
    return TransferError(
        f"{printable(path)} exists: pass if_exists= 'replace', 'skip', 'rename' or 'update'"
    )


@contextmanager
def translated(path: pathlib.Path) -> Generator[None]:
    """Translate what the system says of a path.

    Raises:
        TransferError: It refused.
    """
    try:
        yield
    except TransferError:  # which is an OSError, too, as all of requests' errors
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: pathlib.Path, error: OSError) -> TransferError:
    """Return the error of a path that the system refuses; what a signal handler raised is none."""
    interrupts.reveal(error)
    hint = "; free some space and call again" if error.errno == errno.ENOSPC else ""
    return TransferError(f"{printable(path)} cannot be written: {error.strerror or error}{hint}")


def _mode(path: pathlib.Path) -> int:
    """Return the type and rights of what is at a path; 0 when nothing is.

    Path.exists() and its like raise for some refusals, in versions of Python before 3.14, and
    are silent about others.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
