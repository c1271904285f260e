"""What a number may be that a caller sets.

Rule: a refusal names the parameter, what was given, and what it must be.
"""

import math

from httpkit._diagnostics.base_errors import ConfigurationError

# More than a century is a mistake, and more than a float or a timer can hold.
_LONGEST = 1e9


def is_count(number: object, *, least: int) -> bool:
    """Say whether something is a whole number, and not too small; True and False are none."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def check_count(name: str, number: object, *, least: int = 0, is_optional: bool = False) -> None:
    """Refuse what is not a whole number, or too small; None where it is not optional.

    Raises:
        ConfigurationError: It is.
    """
    if is_count(number, least=least) or (number is None and is_optional):
        return
    off = ", or None" if is_optional else ""
    raise ConfigurationError(f"{name}={number!r} must be a whole number, {least} or more{off}")


def check_seconds(name: str, seconds: object, *, above_zero: bool = False) -> None:
    """Refuse what is not a finite number of seconds.

    Raises:
        ConfigurationError: It is negative, NaN, infinite, no number, or 0 where that is out.
    """
    number = math.nan
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        number = seconds
    if (0 < number <= _LONGEST) or (number == 0 and not above_zero):
        return
    bound = "above 0" if above_zero else "0 or more"
    raise ConfigurationError(f"{name}={seconds!r} must be a number of seconds, {bound}")
