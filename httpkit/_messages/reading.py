"""The blocks of a body that goes to the disk: small ones first, large ones once it comes fast."""

import time
from collections.abc import Iterator

import urllib3

# Bytes. A gathering read of 1 MiB took 0.9 s of CPU for 1 GiB over loopback where `read1` took
# 1.2 to 1.7 s: its blocks have one size, so that memory is used again, and over TLS `read1`
# gives 16 KiB at a time (medians of five rounds, 2026-11-21).
_LARGE = 1 << 20
# Bytes. So many are requested at a time while it is not known how fast the body comes,
_SMALL = 1 << 16
# and that is so for this many of them: at the beginning, and after a large block that was slow.
_CAREFUL_START = 1 << 20
# Seconds for a large block; where it takes longer, a stall would lose much.
_LONGEST_READ = 0.25


def adaptive_reads(raw: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
    """Give a body in small blocks first, and in large ones once it comes fast.

    A large read waits for its whole block. When the connection ends within it, what came is given
    first; when it stalls or is reset, less than a block is lost, and fetched again.

    Args:
        raw: The response, of which nothing was read.
        decode: Whether to undo a Content-Encoding.

    Raises:
        HTTPError: urllib3's, where the body breaks off.
    """
    careful = _CAREFUL_START
    while True:
        began, is_careful = time.monotonic(), careful > 0
        read = raw.read1 if is_careful else raw.read
        block = read(_SMALL if is_careful else _LARGE, decode_content=decode)
        if not block:
            return
        careful -= len(block)
        if not is_careful and time.monotonic() - began > _LONGEST_READ:
            careful = _CAREFUL_START
        yield block
