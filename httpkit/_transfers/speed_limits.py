"""How fast a transfer may be, and how slow.

Rule: the clock is CLOCK, so that a test can move it.
"""

import math
import threading

from httpkit._core.clock import CLOCK
from httpkit._diagnostics.errors import ConfigurationError

# Seconds over which the speed is averaged.
WINDOW = 30.0
# Pauses per second, and the bytes between two of them.
_PAUSES = 10
_LEAST, _MOST = 1 << 10, 1 << 18


class TooSlowError(Exception):
    """It ends an attempt: the bytes of the last seconds were fewer than `min_speed` allows."""


def check_speeds(min_speed: object, max_rate: object) -> None:
    """Refuse invalid speeds.

    Raises:
        ConfigurationError: One is not a number of bytes a second, or they contradict each other.
    """
    slowest = _number("min_speed", min_speed, least=0)
    fastest = _number("max_rate", max_rate, least=1)
    if slowest is not None and fastest is not None and fastest < slowest:
        raise ConfigurationError(f"max_rate={max_rate!r} is below min_speed={min_speed!r}")


def _number(name: str, value: object, *, least: int) -> float | None:
    if value is None:
        return None
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    if not (math.isfinite(number) and number >= least):
        raise ConfigurationError(
            f"{name}={value!r} must be a number of bytes a second, {least} or more, or None"
        )
    return number


class RateLimiter:
    """Spreads bytes over time.

    Args:
        rate: The most bytes a second; None: no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._due = 0.0
        self._lock = threading.Lock()

    def wait(self, size: int) -> None:
        """Wait until so many bytes more may have been moved; threads share the rate."""
        if self.rate is None:
            return
        with self._lock:
            now = CLOCK.monotonic()
            self._due = max(self._due, now) + size / self.rate
            seconds = self._due - now
        if seconds > 0:
            CLOCK.sleep(seconds)


def block_size(rate: float) -> int:
    """Return how many bytes to move between two pauses."""
    return int(min(max(rate / _PAUSES, _LEAST), _MOST))


class SpeedCheck:
    """Notices a connection that is too slow.

    Args:
        min_speed: Bytes a second, averaged over the window; None or 0: no limit.
    """

    def __init__(self, min_speed: float | None) -> None:
        self._min_speed = min_speed or 0.0
        self._since = CLOCK.monotonic()
        self._size = 0

    def count(self, size: int) -> None:
        """Count bytes that arrived.

        Raises:
            TooSlowError: Too few arrived in the window.
        """
        if not self._min_speed:
            return
        self._size += size
        elapsed = CLOCK.monotonic() - self._since
        if elapsed < WINDOW:
            return
        if self._size / elapsed < self._min_speed:
            raise TooSlowError(
                f"{self._size} bytes arrived in {elapsed:.0f} seconds, fewer than"
                f" min_speed={self._min_speed:g} a second"
            )
        self._since, self._size = CLOCK.monotonic(), 0
