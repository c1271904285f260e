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
from functools import cache

from httpkit._core import interrupts
from httpkit._core.filenames import MOST_BYTES, printable, windows_length, windows_problem
from httpkit._diagnostics.errors import ConfigurationError, TransferError
from httpkit._transfers import file_locks

# Bytes that a name may have where the system does not say it.
_USUAL_NAME_LENGTH = 255
# Bytes a name needs besides itself: " (12)" or ".part.new.json", and one to spare.
_BESIDE_NAME = 15
# The same for the segments of a part: the hash of a version, and two offsets.
_BESIDE_SEGMENT = len(".part.01234567.") + 2 * 18 + len("-")
# Bytes of a name that is derived from one that is too long: "." and 16 digits.
_DERIVED = 17
# Characters of a whole path on Windows, unless it was set up for longer ones.
_LONGEST_WINDOWS_PATH = 259


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
    path = pathlib.Path(text)
    with translated(path):
        is_folder = stat.S_ISDIR(_mode(path))
        folder = path if is_folder or text.endswith(("/", os.sep)) else path.parent
        if not stat.S_ISDIR(_mode(folder)):
            raise TransferError(f"the folder {printable(folder)} does not exist")
    length = _DERIVED if is_folder else windows_length(path.name)
    if os.name == "nt" and (length > max_name_length(folder) or max_stem_length(folder) < _DERIVED):
        raise ConfigurationError(
            f"dest={text!a} cannot be used: the path is too long for Windows, which takes"
            f" {_LONGEST_WINDOWS_PATH} characters, those that name an unfinished file among them"
        )
    return None if is_folder else path, folder


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
    if os.name == "nt" and (problem := windows_problem(text)):
        raise ConfigurationError(f"{name}={text!a} cannot be used: {problem}")
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


def check_replaceable(path: pathlib.Path) -> None:
    """Refuse a file that another program has open so that it cannot be replaced.

    Raises:
        TransferError: On Windows.
    """
    with translated(path):
        file_locks.check_replaceable(path)


def resolved(path: pathlib.Path) -> pathlib.Path:
    """Return where a path points to: a link is written through, not replaced.

    Raises:
        TransferError: The links lead in a circle.
    """
    with translated(path):
        return pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path


def longest_name(folder: pathlib.Path) -> int:
    """Return the most bytes that the name of a file may have, so that its part has room, too."""
    most = max_name_length(folder) - _BESIDE_NAME
    return most if 0 < most < MOST_BYTES else MOST_BYTES


def max_name_length(folder: pathlib.Path) -> int:
    """Return the most bytes, or characters on Windows, that a name in a folder may have."""
    most = _USUAL_NAME_LENGTH
    if sys.platform == "win32":
        path = str(folder.absolute())
        if not (path.startswith("\\\\?\\") or _takes_long_paths()):
            most = min(most, _LONGEST_WINDOWS_PATH - windows_length(path) - 1)
    else:
        with suppress(OSError, ValueError):
            most = os.pathconf(folder, "PC_NAME_MAX")
    return most


def max_stem_length(folder: pathlib.Path) -> int:
    """Return the most bytes with which the names of a part may begin."""
    limit = max_name_length(folder)
    # In a deep folder of Windows there may be no room for segments.
    beside = _BESIDE_SEGMENT if limit >= _BESIDE_SEGMENT + _DERIVED else _BESIDE_NAME - 1
    return limit - beside


def derived(name: str, unique: str, most_bytes: int) -> str:
    """Return the beginning of a name with digits that make it unique, in so many bytes."""
    start = name[:50]
    while start and len(os.fsencode(start)) + 1 + len(unique) > most_bytes:
        start = start[:-1]
    return f"{start}.{unique}"


@cache
def _takes_long_paths() -> bool:
    """Return whether Windows, and this program, were set up for paths of any length."""
    if sys.platform != "win32":
        return True
    import ctypes

    try:
        return bool(ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled())
    except AttributeError:  # Windows has had it since 2016; wine lacks it, and the limit too
        return True


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
    if file_locks.is_locked(error):
        hint = "; another program may have it open"
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
