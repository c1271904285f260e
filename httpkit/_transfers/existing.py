"""A file that exists before the download."""

import os
import pathlib

from httpkit._core.filenames import printable
from httpkit._diagnostics.errors import TransferError
from httpkit._messages import checksums
from httpkit._transfers import destination
from httpkit._transfers.download import Download, DownloadOptions


def check(path: pathlib.Path, options: DownloadOptions, attempts: int = 0) -> Download:
    """Return a file that is there already, after the checks that the caller requested.

    Raises:
        ChecksumError: It has another checksum.
        TransferError: It has another size, cannot be read, or a checksum is required and there is
            none.
        BodyTooLargeError: It is larger than `max_size`.
    """
    size = stat_of(path).st_size
    options.check_total(size)
    if options.verify == "require" and not options.checksum:
        raise TransferError(
            f"verify='require', but {printable(path)} is there already and checksum= is"
            " not given: if_exists='replace' downloads it again"
        )
    digests: dict[str, str] = {}
    if options.checksum:
        expected = checksums.parse(options.checksum)
        with destination.translated(path), path.open("rb") as file:
            digests = checksums.of_file(file, [expected])
    return Download(
        path, size=size, attempts=attempts, digests=digests, verified=bool(digests), skipped=True
    )


def stat_of(path: pathlib.Path) -> os.stat_result:
    with destination.translated(path):
        return path.stat()
