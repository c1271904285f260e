"""When another attempt is worth it."""

from httpkit._diagnostics.errors import ChecksumError
from httpkit._transfers.admission import Restart
from httpkit._transfers.speed_limits import TooSlowError


class CappedError(Exception):
    """It ends an attempt: a 206 ended as it announced, but before the end of the file."""


class Tally:
    """Counts attempts, and those in a row that brought nothing new.

    Attributes:
        attempts: How many requests there were.
        stalls: How many in a row brought no new byte: getting as far as before brings none.
    """

    def __init__(self, max_stalls: int) -> None:
        self.attempts = 0
        self.stalls = 0
        self._max_stalls = max_stalls
        self._best = self._restarts = self._mismatches = 0

    def is_enough(self, cause: Exception, size: int) -> bool:
        """Count a failed attempt; return whether it was the last.

        Args:
            cause: Why it failed.
            size: Bytes that are there now.
        """
        if isinstance(cause, ChecksumError):
            self._mismatches += 1
            return self._mismatches > 1
        if isinstance(cause, Restart):
            self._restarts += 1
            self._best = 0
            self.stalls += 1
            return self._restarts > max(1, self._max_stalls)
        is_stall = size <= self._best or isinstance(cause, TooSlowError)
        self._best = max(self._best, size)
        self.stalls = self.stalls + 1 if is_stall else 0
        return self.stalls > self._max_stalls


def cause_of(cause: Exception) -> BaseException | None:
    """Return what an error is raised from; a ChecksumError is raised itself."""
    return cause.__cause__ if isinstance(cause, ChecksumError) else cause
