"""The file that names the version of the bytes beside it.

Rule: one line of JSON, written in place: a killed process leaves the old line or the new one.
"""

import json
import os
from typing import Any

from httpkit._core.header_fields import is_value
from httpkit._core.validators import FileVersion

# What stands for a version where nobody resumes: it is none, so that nobody can.
TEMPORARY = b'{"is_temporary": true}\n'


def overwrite(descriptor: int, text: bytes) -> None:
    """Write a short file so that a killed process leaves the old text or the new one."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text)  # one line: what follows it is not read
    os.ftruncate(descriptor, len(text))


def read(descriptor: int) -> FileVersion | None:
    return parse(read_text(descriptor))


def read_text(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1 << 16)


def parse(text: bytes) -> FileVersion | None:
    """Return the version in a sidecar; None when it is damaged."""
    try:
        values: Any = json.loads(text.partition(b"\n")[0])
        values["digests"] = tuple(tuple(digest) for digest in values.get("digests", ()))
        version = FileVersion(**values)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return version if _is_valid(version) else None


def _is_valid(version: FileVersion) -> bool:
    texts: tuple[Any, ...] = (
        version.validator, version.etag, version.modified, version.content_type, version.source,
        *(text for digest in version.digests for text in digest),
    )  # fmt: skip
    total: Any = version.total
    return (
        all(text is None or (isinstance(text, str) and is_value(text)) for text in texts)
        and all(len(digest) == 3 for digest in version.digests)
        and (total is None or (type(total) is int and total >= 0))
        and isinstance(version.is_decoded, bool)  # pyright: ignore[reportUnnecessaryIsInstance]  # it was read from a file
    )
