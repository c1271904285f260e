"""The errors that every module may raise before anything is sent, and checks that raise them.

`errors` has the tree of all.

Rules: constructors store what they are given and never raise, so that every error pickles. A
refusal names the parameter, what was given, and what it must be.
"""

from __future__ import annotations

import math

import requests

from httpkit._core.classes import public

# Bases of classes that are made when the first of them is needed: a test may have put others in
# their place then.
ChunkedEncodingError = requests.exceptions.ChunkedEncodingError
ConnectTimeout = requests.ConnectTimeout
HTTPError = requests.HTTPError
InvalidProxyURL = requests.exceptions.InvalidProxyURL
JSONDecodeError = requests.exceptions.JSONDecodeError
ProxyError = requests.exceptions.ProxyError
ReadTimeout = requests.ReadTimeout
SSLError = requests.exceptions.SSLError
Timeout = requests.Timeout


@public
class HTTPKitError(requests.RequestException):
    """The base of httpkit's own errors.

    Attributes:
        attempts: Number of times the request was sent; 0 if it was not sent.
        stop_reason: Why it was not retried, in words; None where it does not apply.
        next_url: The page of a list to go on with, for `Pages.resume`; None when it was not
            about a page.
        next_token: What names that page in any list, for `Pages.resume`.
        list_url: The beginning of that list, its credentials masked: another list is not gone
            on with.
    """

    attempts: int = 0
    stop_reason: str | None = None
    next_url: str | None = None
    next_token: str | None = None
    list_url: str | None = None

    def _repr_html_(self) -> str:
        """Return a card for a notebook."""
        from httpkit._display import cards

        return cards.make_card(self, lambda: cards.of_error(self))

    def _render_traceback_(self) -> list[str]:
        """Return the traceback that IPython prints: the lines of the user."""
        from httpkit._display import tracebacks

        return tracebacks.render(self)


@public
class ConfigurationError(HTTPKitError, ValueError):
    """A setting or an argument is invalid; nothing was sent."""


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
