"""What a download asks for next: from which byte, and under which condition.

Rule: no I/O: what is there goes in, header fields come out (RFC 9110 sections 13 and 14).
"""

from dataclasses import dataclass, field

from httpkit._core.validators import FileVersion, http_date


@dataclass(frozen=True, slots=True)
class Plan:
    """The next request of a download.

    Attributes:
        start: The offset of the first byte that is requested.
        fields: The header fields that ask for it.
    """

    start: int = 0
    fields: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_range(self) -> bool:
        """Whether a part of the file is requested."""
        return "Range" in self.fields


def whole_file(modified: float | None = None) -> Plan:
    """Ask for the whole file.

    Args:
        modified: Seconds since the epoch: only if it changed since then. None: in any case.
    """
    return Plan(0, {} if modified is None else {"If-Modified-Since": http_date(modified)})


def rest_of_file(
    version: FileVersion | None, size: int, overlap: int, until: int | None = None
) -> Plan:
    """Ask for what is missing, and for some bytes before it, which are compared.

    The overlap finds servers that ignore the condition and files whose end is zeros after a
    crash, and it avoids a 416 where nothing is missing.

    Args:
        version: What the bytes belong to; None: the condition is left out.
        size: How many bytes there are.
        overlap: How many of them to ask for again.
        until: The offset before which to end; None is the end of the file.
    """
    start = max(0, size - overlap)
    fields = {"Range": f"bytes={start}-{'' if until is None else until - 1}"}
    if version and version.validator:
        fields["If-Range"] = version.validator
    return Plan(start, fields)


def resumable_size(
    version: FileVersion | None, size: int, *, source: str | None, is_forced: bool
) -> int:
    """Return how many of the bytes a request may resume from, all or none.

    Args:
        version: What they belong to; None when that is not known.
        size: How many there are.
        source: A hash of the URL; None when any URL is the file's.
        is_forced: Whether a version without a validator will do.
    """
    known = version or FileVersion()
    if known.is_decoded:
        return 0
    is_certain = known.validator is not None and is_from(known, source)
    return size if is_certain or is_forced else 0


def is_from(version: FileVersion, source: str | None) -> bool:
    """Return whether bytes came from a URL, as far as that is known."""
    return source is None or version.source in {None, source}
