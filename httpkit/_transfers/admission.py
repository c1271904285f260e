"""Whether a response may be written, and from which offset.

    response            what is known              decision
    ------------------  -------------------------  ------------------------------------------
    200                 nothing                    whole
    200                 another media type         refused: a login page or an error
    200                 another validator          whole: a new version; refused when it is a page
                                                   or an error document where the file was none,
                                                   or fewer bytes than arrived before
    200                 a weak validator, where    whole; refused when the size differs
                        the known one was strong
    200                 the same validator         whole; refused when the size differs
    200, no validator   a strong validator         whole; refused when the size differs
    200, empty          a size above 0             refused, unless it has another validator
    200 with a part     anything                   restart: the whole file is requested
    206                 nothing, starts at 0       whole, or its first bytes
    206                 starts within the bytes    rest: compared, then appended
    206                 a gap, another version,    restart: the whole file is requested
                        no valid Content-Range
    416                 a Range was sent           restart

Rule: no I/O: facts go in, an Admission comes out, or an error that says what came.
"""

from dataclasses import dataclass, replace

from httpkit._core.validators import ContentRange, FileVersion
from httpkit._diagnostics.errors import TransferError
from httpkit._transfers import documents


class Restart(Exception):  # noqa: N818  # it is caught where it is raised for: no error to users
    """What is there does not fit what the server has: the whole file is requested."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A response that may be written.

    Attributes:
        version: What its bytes belong to, with all that is known of it.
        offset: Where in the file its body begins.
        is_whole: Whether it begins a file, and is not appended to what is there.
        end: The offset behind its last byte, where a 206 has one; None for the end of the file.
        known_size: Bytes that the file has as far as is known: without a byte it is not the file.
        replaced: Bytes of another version that are there, which a page does not replace.
    """

    version: FileVersion
    offset: int = 0
    is_whole: bool = True
    end: int | None = None
    known_size: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Existing:
    """What is there before a response.

    Attributes:
        version: What is known of the file; None when nothing is.
        size: Bytes that are there.
        oldest: The offset of the first of them that can be compared.
        start: The offset that was requested; None when the whole file was.
    """

    version: FileVersion | None = None
    size: int = 0
    oldest: int = 0
    start: int | None = None


def admit_whole(
    existing: Existing, found: FileVersion, got: ContentRange | None = None
) -> Admission:
    """Decide on a 200.

    Raises:
        Restart: It says itself that it holds a part.
        TransferError: It is not the file.
    """
    if got and not got.is_whole:
        raise Restart("the server sent a part of the file as if it were the whole")
    known = existing.version
    if known is None:
        return Admission(found)
    check_type(known, found)
    relation = known.relation(found)
    is_silent = not (found.etag or found.modified)
    if relation == "other" or (relation == "unknown" and not is_silent):
        # Who has strong validators gives a new version one, too; frameworks give a weak one to
        # each response, errors included.
        is_weaker = known.validator is not None and not found.is_strong
        if is_weaker and _differs(known.total, found.total):
            raise not_the_file(found.total, known.total or 0)
        return Admission(found, replaced=existing.size)
    is_same = relation == "same" or known.validator is not None
    known_size = known.total or existing.size
    is_lost = found.total == 0 and known_size
    if is_lost or (is_same and _differs(known.total, found.total)):
        raise not_the_file(found.total, known_size)
    if not is_same:
        return Admission(found, known_size=known_size)
    # Its own validator counts, or none: what follows is resumed by it.
    version = replace(found, total=found.total if known.is_decoded else known.total or found.total)
    if not found.is_decoded:
        version = version.merge(replace(known, validator=None))
    return Admission(version, known_size=known_size)


def not_the_file(size: int | None, known_size: int) -> TransferError:
    """Return the error of a body of the wrong size, in bytes, that is no new version either."""
    return TransferError(
        f"the server sent {size} bytes without another validator, but the file has"
        f" {known_size}: what arrived before was kept; pass resume=False to replace it"
    )


def check_begin(admission: Admission, begin: bytes, kept_begin: bytes) -> Admission:
    """Decide on a 200 by the first bytes of its body; return what remains to be checked.

    Login pages have validators, too, and may claim the type of the file.

    Args:
        admission: The decision so far.
        begin: The first bytes of the body.
        kept_begin: The first bytes that are there; none where they cannot be read.

    Raises:
        TransferError: It is empty, or a page or a document in the place of another file.
    """
    if admission.known_size and not begin:
        raise not_the_file(0, admission.known_size)
    found, version = documents.format_of(begin), admission.version
    if not admission.replaced or found is None:
        return replace(admission, replaced=0)
    is_usual = found in (version.content_type or "") or not kept_begin
    is_other = not is_usual and documents.format_of(kept_begin) != found
    if is_other or (version.total is not None and version.total < admission.replaced):
        raise no_new_version(version.total, admission.replaced)
    return admission


def no_new_version(size: int | None, replaced: int) -> TransferError:
    """Return the error of a page or a document in the place of so many bytes of a file."""
    return TransferError(
        f"the server sent a page or an error document{'' if size is None else f' of {size} bytes'}:"
        f" the {replaced} bytes that arrived before were kept; pass resume=False to replace them"
    )


def admit_rest(existing: Existing, found: FileVersion, got: ContentRange | None) -> Admission:
    """Decide on a 206.

    Raises:
        Restart: It does not fit what is there.
        TransferError: It is not the file.
    """
    if got is None:
        raise Restart("a 206 without a valid Content-Range")
    start = min(existing.size, existing.start or 0)
    if got.first > start:
        raise Restart("the server left out bytes")
    if not existing.size or existing.start is None:
        return replace(admit_whole(existing, found), end=got.last + 1)
    if got.first < existing.oldest:
        raise Restart("the server went back too far")
    known = existing.version or FileVersion()
    check_type(known, found)
    if mismatch := known.mismatch(found):
        raise Restart(mismatch)
    return Admission(known.merge(found), got.first, is_whole=False, end=got.last + 1)


def check_type(known: FileVersion, found: FileVersion) -> None:
    """Refuse another media type than the file has.

    Raises:
        TransferError: It is another one; a login page or an error, most often.
    """
    if _differs(known.content_type, found.content_type):
        raise TransferError(
            f"the server sent {known.content_type} first, and {found.content_type} now: what"
            " arrived before was kept; pass resume=False to replace it"
        )


def _differs(known: object, found: object) -> bool:
    return known is not None and found is not None and known != found
