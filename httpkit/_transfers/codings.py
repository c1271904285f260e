"""Whether a Content-Encoding is undone, or belongs to the file.

Rule: decided once for each response; all else asks `is_decoded`.
"""

from typing import Literal

import requests
import urllib3

# Already compressed: a Content-Encoding on top is the file's own, mislabelled.
_COMPRESSED_NAMES = (
    ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".br", ".zip", ".7z", ".whl", ".jar",
)  # fmt: skip
_COMPRESSED_TYPES = frozenset(
    {"application/gzip", "application/x-gzip", "application/zip", "application/zstd",
     "application/x-xz", "application/x-bzip2", "application/x-tar", "application/x-gtar"}
)  # fmt: skip


def is_decoded(
    response: requests.Response, name: str | None, decode: bool | Literal["auto"]
) -> bool:
    """Return whether the body is decoded on its way to the file.

    Codings that nobody knows ("none", "UTF-8", "aws-chunked") are as if there were none.

    Args:
        response: Its header fields are looked at.
        name: That of the file; None when it has none.
        decode: As given by the caller.
    """
    codings = response.headers.get("content-encoding", "").lower().split(",")
    named = {coding.strip() for coding in codings}
    if decode is False or named.isdisjoint(urllib3.BaseHTTPResponse.CONTENT_DECODERS):
        return False
    return decode is True or not _is_compressed(response, name)


def _is_compressed(response: requests.Response, name: str | None) -> bool:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_named = name is not None and name.lower().endswith(_COMPRESSED_NAMES)
    return is_named or media_type in _COMPRESSED_TYPES
