"""Forms with files (RFC 7578), streamed. The only importer of requests-toolbelt.

toolbelt writes the boundaries and the headers of the parts; their bytes are given by sources
that open again, where toolbelt's own encoder can be read once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

from httpkit._core.filenames import sendable
from httpkit._core.given import is_list, is_mapping, is_tuple
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.body import ProgressListener, ReplayableBody
from httpkit._messages.sources import BLOCK, FileSource, Source


@dataclass(frozen=True, slots=True)
class FormPart:
    """One field of a form.

    Attributes:
        name: The field's.
        content: A value, or where the bytes of a file come from.
        filename: None for a plain value.
        content_type: None leaves the field out.
        headers: More fields of the part.
    """

    name: str
    content: bytes | Source
    filename: str | None = None
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


def encode(parts: Sequence[FormPart], listener: ProgressListener | None = None) -> ReplayableBody:
    """Return the body of a form."""
    from requests_toolbelt.multipart import encoder  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has no types

    toolbelt: Any = encoder
    specs = [(p.name, (p.filename, b"", p.content_type, p.headers)) for p in parts]
    return _joined(toolbelt.MultipartEncoder(specs), [part.content for part in parts], listener)


def _joined(
    encoder: Any, contents: Iterable[bytes | Source], listener: ProgressListener | None
) -> ReplayableBody:
    """Write what toolbelt's encoder would, with these contents in place of its own."""
    line = f"--{encoder.boundary_value}\r\n".encode(encoder.encoding)
    pieces: list[bytes | Source] = []
    for part, content in zip(encoder.parts, contents, strict=True):
        pieces += [line, part.headers, content, b"\r\n"]
    pieces.append(line[:-2] + b"--\r\n")
    return ReplayableBody(
        list(_merged(pieces)), content_type=encoder.content_type, listener=listener
    )


def _merged(pieces: Iterable[bytes | Source]) -> Iterable[bytes | Source]:
    """Join neighbours in memory: each piece is a system call, and maybe a packet."""
    for is_bytes, run in groupby(pieces, key=lambda piece: isinstance(piece, bytes)):
        if is_bytes:
            yield b"".join(run)  # type: ignore[arg-type]  # all are bytes
        else:
            yield from run


def replayable(data: Any) -> Any:
    """Return toolbelt's encoder or monitor as a body that can be sent again; others as they are.

    Raises:
        ConfigurationError: It was read from already: its beginning is gone.
    """
    toolbelt: Any = sys.modules.get("requests_toolbelt.multipart.encoder")
    if toolbelt is None:  # not imported, so it is none of its encoders
        return data
    monitor = data if isinstance(data, toolbelt.MultipartEncoderMonitor) else None
    encoder = monitor.encoder if monitor else data
    if not isinstance(encoder, toolbelt.MultipartEncoder):
        return data
    if encoder.finished or encoder._current_part is not None:  # noqa: SLF001  # no public way to know
        raise ConfigurationError(f"the {type(data).__name__} was read from already: make a new one")
    contents = [_content(part) for part in encoder.parts]
    return _joined(encoder, contents, _Monitored(monitor) if monitor else None)


def _content(part: Any) -> bytes | Source:
    body = part.body
    if hasattr(body, "getvalue"):
        return bytes(body.getvalue()[body.tell() :])
    if hasattr(body, "fd"):
        return FileSource(body.fd)
    return FileSource(body, len(body) if hasattr(body, "__len__") else body.len)


class _Monitored:
    """Keeps toolbelt's monitor, and so its callback, up to date."""

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def begin(self, done: int, total: int | None) -> None:
        del total
        self._monitor.bytes_read = done

    def advance(self, size: int) -> None:
        self._monitor.bytes_read += size
        self._monitor.callback(self._monitor)


def with_sendable_names(files: Any) -> Any:
    """Return `files=` as given, or as pairs where a file's name cannot be encoded in UTF-8."""
    given = list(_pairs(files))
    pairs = [(name, _with_sendable_name(spec)) for name, spec in given]
    is_same = all(new is old for (_, new), (_, old) in zip(pairs, given, strict=True))
    return files if is_same else pairs


def _name_of(file: Any) -> str | None:
    """Return the name of an open file without its folder; None for a nameless one or a pipe."""
    name = getattr(file, "name", None)
    if not isinstance(name, (str, bytes)) or not name or name[:1] == "<" or name[-1:] == ">":
        return None
    return cast("str", os.path.basename(name))  # noqa: PTH119  # bytes, too


def _with_sendable_name(spec: Any) -> Any:
    is_sequence = is_tuple(spec) or is_list(spec)
    name: Any = next(iter(spec), None) if is_sequence else _name_of(spec)
    if not isinstance(name, str) or (sent := sendable(name)) == name:
        return spec
    return (sent, *spec[1:]) if is_sequence else (sent, spec)


def streamed(data: Any, files: Any) -> ReplayableBody | None:
    """Return the form that requests would build of `data=` and `files=`, as a stream.

    None for a small one, which requests builds in memory, where other libraries can look at it.
    """
    contents = [_unpacked(name, spec)[1] for name, spec in _pairs(files)]
    if sum(FileSource(content).size or 0 for content in contents if _is_open(content)) <= BLOCK:
        return None
    return encode([*values(data), *_files(files)])


def _is_open(content: Any) -> bool:
    """Return whether something is a binary file that can be read a second time."""
    is_binary = "b" in str(getattr(content, "mode", "b")) and not hasattr(content, "encoding")
    return (
        hasattr(content, "read") and is_binary and FileSource(content).not_replayable_reason is None
    )


def values(data: Any) -> Iterable[FormPart]:
    """Return the plain fields of a form as requests understands `data=`: lists give several."""
    given: Any = data or {}
    if isinstance(given, (str, bytes, bool, int)):
        raise ConfigurationError("the body cannot be sent: with files=, data= must hold pairs")
    for name, value in given.items() if is_mapping(given) else given:
        is_one = isinstance(value, (str, bytes)) or not hasattr(value, "__iter__")
        for each in [value] if is_one else value:
            if each is not None:
                yield FormPart(_text(name), each if isinstance(each, bytes) else str(each).encode())


def _files(files: Any) -> Iterable[FormPart]:
    for name, spec in _pairs(files):
        filename, content, content_type, headers = _unpacked(name, spec)
        if content is not None:
            yield FormPart(_text(name), _file_content(content), filename, content_type, headers)


def _pairs(files: Any) -> Iterable[tuple[Any, Any]]:
    return files.items() if is_mapping(files) else files or ()


def _unpacked(name: str, spec: Any) -> tuple[str | None, Any, str | None, dict[str, str]]:
    if not (is_tuple(spec) or is_list(spec)):
        return _name_of(spec) or name, spec, None, {}
    filename, content, content_type, headers = (*spec, None, None)[:4]
    return filename, content, content_type, dict(headers or {})


def _file_content(content: Any) -> bytes | Source:
    if isinstance(content, str):
        return content.encode()
    if not hasattr(content, "read"):
        return bytes(content)
    if _is_open(content):
        return FileSource(content)
    whole = content.read()
    return whole if isinstance(whole, bytes) else str(whole).encode()


def _text(name: object) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)


def field_of(name: str, source: Source, filename: str | None, content_type: str) -> FormPart:
    """Return the part of a file to upload; without a name of its own it is called as the field."""
    return FormPart(name, source, filename or source.name or os.path.basename(name), content_type)  # noqa: PTH119  # a str
