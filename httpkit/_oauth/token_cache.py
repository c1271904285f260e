"""An access token, from the response that brings it to the response that rejects it.

Rule: nothing is sent here. What fetches a token comes as an argument; here is what a token
response means (RFC 6749 section 5), how long a token is used, and that one thread fetches it
while others wait.
"""

import copy
import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qsl

import requests

from httpkit._core import disclosure, forks, rate_limit_fields, redaction, waits
from httpkit._core.classes import public
from httpkit._core.clock import CLOCK, Deadline
from httpkit._core.given import is_mapping
from httpkit._diagnostics import error_reasons, errors
from httpkit._diagnostics.errors import ConfigurationError, DeadlineExceededError, TokenError
from httpkit._messages.response import Response

LONGEST_FETCH = 60.0
"""Seconds for a token with all attempts, where the deadline of the call leaves more."""

# Seconds. Where a new token is rejected like the one before, the token is not the trouble:
# each further 401 would only cost the authorization server a request.
_REJECTION_DELAY = 5.0

# RFC 6749 section A.12: visible characters and space; a space would end it in the header.
# Bounded, because a header field of more than 64 KiB is refused wherever the token would be sent.
_TOKEN = re.compile(r"[\x21-\x7e]{1,65000}")
# RFC 6749 section A.7: an error code has neither quotes nor backslashes.
_ERROR_CODE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
_SECONDS = re.compile(r"[+-]?\d{1,400}(\.\d{0,400})?")


@public
@dataclass(frozen=True, slots=True, repr=False)
class TokenSet:
    """What an authorization server granted (RFC 6749 section 5.1).

    Attributes:
        access_token: Signs requests.
        refresh_token: Requests the next access token; None where there is none.
        expires_in: Seconds the access token is valid, from when it was requested; None when the
            server does not say, or says 0 or less: it is used until it is rejected.
        scope: What it permits, separated by spaces; None when that is what was requested.
    """

    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None
    scope: str | None = None

    @classmethod
    def from_response(cls, response: Response) -> Self:
        """Read the response of a token endpoint, in JSON or as a form.

        Raises:
            TokenError: It holds an error, or no token that can be used.
        """
        found = _members(response)
        if isinstance(found, TokenError):
            raise found  # here, where no variable of a frame holds a token
        return cls(**found)

    def __repr__(self) -> str:
        lifetime = "" if self.expires_in is None else f", expires_in={self.expires_in:g}"
        return f"TokenSet({redaction.MASK}{lifetime})"


def check(tokens: object) -> TokenSet:
    """Return the tokens that a caller's own function fetched; a str is an access token.

    Raises:
        ConfigurationError: It is neither, or cannot be sent; the message does not show it.
    """
    found = TokenSet(tokens) if isinstance(tokens, str) else tokens
    if not isinstance(found, TokenSet):
        raise ConfigurationError(f"fetch must return a TokenSet or a str, not {type(tokens)!r}")
    for token in (found.access_token, found.refresh_token):
        if token is not None and not _is_token(token):
            raise ConfigurationError("fetch returned a token that cannot be sent in a header")
    return found


def _is_token(token: object) -> bool:
    """Say whether a token can be sent, and mask it from now on."""
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return False
    redaction.remember(token)
    return True


def _members(response: Response) -> dict[str, Any] | TokenError:
    """Return what a token response grants, or the error that it is."""
    document = _document(response)
    if response.status_code >= 300 or document is None or document.get("error"):
        return _token_error(response, document)
    if str(document.get("token_type")).lower() in _OTHER_TYPES:
        return _useless(response, "a token whose token_type is not Bearer")
    access = document.get("access_token")
    refresh = document.get("refresh_token")
    if "access_token" not in document:
        return _useless(response, f"no legible access_token{_words_without_tokens(response)}")
    for name, token in (("access_token", access), ("refresh_token", refresh)):
        if not _is_token(token) and (token is not None or name == "access_token"):
            return _useless(response, f"no legible {name}")
    scope = document.get("scope")
    return {
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": seconds(document.get("expires_in")),
        "scope": scope if isinstance(scope, str) else None,
    }


def _words_without_tokens(response: Response) -> str:
    """Return what a response without a token says instead, unless a token may be part of it."""
    words = error_reasons.read_document(response)
    is_safe = words and not any(map(disclosure.could_be_credential, words.split()))
    return f": {words}" if is_safe else ""


# Types that are sent or signed in another way. RFC 6749 section 7.1 forbids the use of an unknown
# type; servers send none, "bot", "User Access Token" or "BearerToken", and mean Bearer.
_OTHER_TYPES = frozenset({"dpop", "hok", "mac", "n_a", "pop"})


def _document(response: Response) -> Mapping[str, Any] | None:
    try:
        content = response.content
    except requests.RequestException:  # cut short
        return None
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return _form(content, response.headers.get("content-type", "").lower())
    return document if is_mapping(document) else None


def _form(content: bytes, media_type: str) -> Mapping[str, str] | None:
    """Return the members of a form, as GitHub and older servers send them; None for other text."""
    if media_type.startswith("text/html") or not _FORM.match(content):
        return None
    return dict(parse_qsl(content.decode("utf-8", "replace"), max_num_fields=100))


_FORM = re.compile(rb"\s*(?:[\w.-]+=[^&\s]*&)*(?:access_token|error)=[^&\s]", re.ASCII)


def seconds(value: object) -> float | None:
    """Return a lifetime in seconds, above 0; None for what is no number, or no lifetime.

    The RFC wants a number; some servers send it as text. By 0 or -1 they mean a token that does
    not expire.
    """
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:  # noqa: PLR0124  # NaN
        return None
    if value <= 0:
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of 400 digits
        return math.inf


def _token_error(response: Response, document: Mapping[str, Any] | None) -> TokenError:
    """Describe a response that is an error, or no token response at all."""
    status = response.status_code
    if status < 300 and document is None:
        content_type = response.headers.get("content-type", "no content type").partition(";")[0]
        # Not quoted: what the server took for a success may hold the token.
        return _useless(response, f"{content_type}, no JSON object")
    if 300 <= status < 400:
        return _useless(response, "a redirect, and a client's secret does not follow one")
    words, _ = error_reasons.read(response)
    code = (document or {}).get("error")
    error = _error(response, f": {words}" if words else "")
    if isinstance(code, str) and _ERROR_CODE.fullmatch(code):
        error.error = redaction.redact_text(code)
        detail = f": {words}" if words and words != code else ""
        error.args = _error(response, f" {error.error}{detail}").args
    if document is not None and document.get("error_description"):
        error.error_description = words
    return error


def _useless(response: Response, what: str) -> TokenError:
    return _error(response, f" with {redaction.redact_text(what)}")


def _error(response: Response, rest: str) -> TokenError:
    where = errors.describe(response.request, response.url)
    error = TokenError(f"no token: {where} responded {response.status_code}{rest}")
    error.status_code = response.status_code
    error.retry_after = rate_limit_fields.retry_after(response.headers, CLOCK.wall())
    error.stop_reason = response.stop_reason
    return error


Fetch: TypeAlias = Callable[[float], tuple[TokenSet, float]]
"""Asks for tokens within so many seconds; returns them and the seconds since it asked."""


@dataclass(frozen=True, slots=True, repr=False)
class _CachedToken:
    """A token in use.

    Attributes:
        value: The access token.
        refresh_at: From when on it is replaced, on the monotonic clock, if that succeeds.
        ends_at: When it expires; infinity when the server did not say.
        rejectable_at: Until when a rejection does not count, unless it was accepted before.
    """

    value: str
    refresh_at: float
    ends_at: float
    rejectable_at: float


@dataclass(slots=True, repr=False)
class _Fetch:
    """A fetch on its way, which several threads may wait for.

    Attributes:
        time_left: Seconds that the call of the thread that fetches can spare.
        leader: The thread that fetches.
        done: Set when it is over.
        token: What it brought; None when it failed.
        error: Why it failed, if the others would meet the same; else None.
    """

    time_left: float
    leader: int = field(default_factory=lambda: threading.get_ident())  # noqa: PLW0108  # looked up each time
    done: threading.Event = field(default_factory=lambda: threading.Event())  # noqa: PLW0108  # likewise
    token: str | None = None
    error: requests.RequestException | None = None


class TokenCache:
    """Keeps one access token for all threads, which never wait while it is valid.

    Attributes:
        latest: What was granted last; None before the first token.
    """

    def __init__(self) -> None:
        self._kept: _CachedToken | None = None
        self.latest: TokenSet | None = None
        self._was_rejected = False
        self.reset_after_fork()
        forks.watch(self)

    def reset_after_fork(self) -> None:
        """Forget what other threads hold; in a forked child they do not exist."""
        self._lock = threading.Lock()
        self._running: _Fetch | None = None

    def token(
        self,
        fetch: Fetch,
        notify: Callable[[TokenSet], object] | None = None,
        *,
        leeway: float,
        deadline: Deadline,
    ) -> str:
        """Return the token; fetch one if there is none that is valid.

        Args:
            fetch: Called by one thread at a time, without a lock held.
            notify: Called with new tokens before any thread uses them; None calls nothing.
            leeway: Seconds before its end at which a token is replaced; at most half its life.
            deadline: Of the call that needs the token.

        Raises:
            DeadlineExceededError: Another thread's fetch takes longer than that.
            RequestException: What `fetch` raised, in this thread or in the one that fetched.
        """
        while True:
            kept = self._kept
            if kept is not None and CLOCK.monotonic() < kept.refresh_at:
                return kept.value
            is_valid = kept is not None and CLOCK.monotonic() < kept.ends_at
            # A token that is replaced early must not cost the call its whole deadline.
            own = _Fetch(deadline.remaining() / (2 if is_valid else 1))
            try:
                running = self._join(own)
                if running is own:
                    return self._run(own, fetch, notify, leeway)
            finally:
                self._finish(own)
            if running is None:
                continue
            if kept is not None and is_valid:
                return kept.value  # another thread is about to replace it
            if (token := _awaited(running, deadline)) is not None:
                return token

    def reject(self, value: str) -> None:
        """Forget a token that a server rejected; one that has come in its place stays."""
        with self._lock:
            kept = self._kept
            if kept is not None and kept.value == value and CLOCK.monotonic() >= kept.rejectable_at:
                self._kept, self._was_rejected = None, True

    def accept(self, value: str) -> None:
        """Note that a server took a token: its next rejection counts."""
        with self._lock:
            kept = self._kept
            if kept is not None and kept.value == value:
                self._kept = replace(kept, rejectable_at=-math.inf)

    def _join(self, own: _Fetch) -> _Fetch | None:
        """Return the fetch to wait for; None when a token has arrived in between."""
        with self._lock:
            if self._kept is not None and CLOCK.monotonic() < self._kept.refresh_at:
                return None
            if self._running is None:
                self._running = own
            return self._running

    def _finish(self, running: _Fetch) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
        running.done.set()

    def _run(
        self,
        running: _Fetch,
        fetch: Fetch,
        notify: Callable[[TokenSet], object] | None,
        leeway: float,
    ) -> str:
        try:
            tokens, age = fetch(min(running.time_left, LONGEST_FETCH))
        except Exception as error:
            if (kept := self._postponed()) is not None:
                return kept.value
            if not isinstance(error, requests.RequestException):
                raise
            # Others may have more time than a short deadline of this call.
            is_short = running.time_left < LONGEST_FETCH
            is_own = is_short and isinstance(error, DeadlineExceededError)
            running.error = None if is_own else _again(error)  # before others write on it
            raise
        try:
            if notify is not None:
                notify(tokens)
        finally:  # the server has replaced the old ones in any case
            running.token = self._keep(tokens, age, leeway)
        return running.token

    def _postponed(self) -> _CachedToken | None:
        """Keep a token that could not be replaced early for half of what is left of it."""
        with self._lock:
            kept, now = self._kept, CLOCK.monotonic()
            if kept is None or now >= kept.ends_at:
                return None
            self._kept = replace(kept, refresh_at=now + (kept.ends_at - now) / 2)
            return kept

    def _keep(self, tokens: TokenSet, age: float, leeway: float) -> str:
        lifetime = seconds(tokens.expires_in) or math.inf
        now = CLOCK.monotonic()
        ends_at = now - age + lifetime
        with self._lock:
            self.latest = tokens
            self._kept = _CachedToken(
                value=tokens.access_token,
                refresh_at=ends_at - min(leeway, lifetime / 2),
                ends_at=ends_at,
                rejectable_at=now + _REJECTION_DELAY if self._was_rejected else -math.inf,
            )
            self._was_rejected = False
        return tokens.access_token


def _awaited(running: _Fetch, deadline: Deadline) -> str | None:
    """Return what another thread fetched; None when this one must see for itself."""
    if running.leader == threading.get_ident() and not running.done.is_set():
        raise ConfigurationError(
            "on_refresh made a request that needs the token it is being told of"
        )
    remaining = max(0.0, deadline.remaining())
    if not waits.event(running.done, min(remaining, threading.TIMEOUT_MAX)):
        raise DeadlineExceededError("the deadline passed while another thread asked for a token")
    if running.error is not None:
        raise _again(running.error)
    return running.token


def _again(error: requests.RequestException) -> requests.RequestException:
    """Return an error as another thread's own: notes and tracebacks are not for sharing."""
    clone = copy.copy(error)
    clone.__dict__["__notes__"] = list(error.__dict__.get("__notes__", ()))
    return clone
