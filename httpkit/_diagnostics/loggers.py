"""The loggers of the package, and the mask over those of urllib3.

Rule: for modules that are imported with the package; `log_records` writes the records.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from httpkit._core import redaction
else:
    redaction = ImportedLater("httpkit._core.redaction")

ROOT = logging.getLogger("httpkit")
REQUESTS = logging.getLogger("httpkit.requests")
RETRIES = logging.getLogger("httpkit.retries")
AUTH = logging.getLogger("httpkit.auth")
TRANSFERS = logging.getLogger("httpkit.transfers")
ROOT.addHandler(logging.NullHandler())

# The base of a class that is made later: a test may have put another in its place then.
Handler = logging.Handler


def _mask(record: logging.LogRecord) -> bool:
    """Mask the arguments of a record; every record is kept."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            redaction.redact_text(argument) if isinstance(argument, str) else argument
            for argument in record.args
        )
    return True


# urllib3's own records hold paths with their queries.
for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_mask)
