"""The errors that every module may raise before anything is sent; `errors` has the tree of all.

Rule: constructors store what they are given and never raise, so that every error pickles.
"""

from __future__ import annotations

import requests

from httpkit._core.public import public

# Bases of classes that are made when the first of them is needed: a test may have put others in
# their place then.
ChunkedEncodingError = requests.exceptions.ChunkedEncodingError
ConnectTimeout = requests.ConnectTimeout
HTTPError = requests.HTTPError
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


class ProxyURLError(ConfigurationError, requests.exceptions.InvalidProxyURL):
    """A proxy URL that cannot be used; code written for requests catches it as InvalidProxyURL."""
