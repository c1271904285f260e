"""How long a server asks to wait, in all the ways in which servers say so.

Rule: no I/O and no clock here; the time comes as an argument.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from httpkit._core.lazy import pattern

# Sent by Azure, OpenAI and Bucket4j beside a rounded field, or instead of one.
_MILLISECONDS = (
    "retry-after-ms", "x-ms-retry-after-ms", "x-retry-after-ms",
    "x-rate-limit-retry-after-milliseconds",
)  # fmt: skip
_SECONDS = (
    "retry-after", "x-retry-after", "x-ratelimit-retry-after", "x-rate-limit-retry-after",
    "x-rate-limit-retry-after-seconds",
)  # fmt: skip
_SPANS = frozenset({*_MILLISECONDS, *_SECONDS})
# Statuses whose rate limit says when to come back; with others the one has nothing to do with
# the other.
_RATE_LIMITED = frozenset({403, 429})

_NUMBER = pattern(r"[+-]?(\d{1,400}(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
# "1h2m3.5s", "350ms": how Go and OpenAI write a span; "30s" and "30 seconds".
_SPAN = pattern(
    r"(?:\d{1,9}(?:\.\d{1,9})?\s*"
    r"(?:milliseconds?|ms|hours?|h|minutes?|min|m|seconds?|secs?|s)\s*)+"
)
_SPAN_PART = pattern(r"(\d+(?:\.\d+)?)\s*(m(?:illi)?s|[hms])")
# ISO 8601, as Java and .NET write a span: "PT1M30S".
_DURATION = pattern(r"PT(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "millis": 1e-3}
# What says in a name how the value is meant; without it the name is that of the field beside it.
_RESET = pattern(
    r"reset(?:-?(?:after|in|at|on|time|date|epoch|timestamp|ms|milliseconds|seconds))?(?=-|$)"
)
# Fields that were sent twice are joined by commas, which a date has one of itself.
_MEMBER = pattern(r"[A-Za-z]{3,9},[^,]+|[^,]+")
# `remaining=0; reset=30`, or r and t, as the drafts of the IETF and Zendesk have it.
_PARAMETER = pattern(r"(?:^|[;,\s])(remaining|resets?|r|t)\s*=\s*\"?(-?[0-9.]{1,20})")
_POLICY = pattern(r"(?:[^,\"]|\"[^\"]*\")+")

# A moment or a span? No span is as long as the thirty years that this is, and no moment as long
# ago.
_LONGEST_SPAN = 1e9
# Retry-After is a span by its RFC: a large number there is a moment only within so many seconds.
_NEAR = 31 * 86_400.0
# Moments in seconds are smaller than this until the year 5138; others are a thousandth of one,
# or a millionth.
_LARGEST_MOMENT = 1e11


def requested_wait(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a response asks to wait; None when it does not.

    Of 403 and 429 that is Retry-After, or else when a spent rate limit is full again.

    Args:
        status: Of the response.
        headers: Its fields, looked up without regard to case.
        now: Seconds since the epoch, for a moment in a response without Date.
    """
    requested = retry_after(headers, now)
    if requested is None and status in _RATE_LIMITED:
        return rate_limit_reset(headers, now, is_exceeded=status == 429)
    return requested


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a server asks to wait, 0 or more; None when it says nothing legible.

    Accepts milliseconds (`Retry-After-Ms`), seconds, fractions, spans such as "30s", dates (RFC
    9110 section 10.2.3, and ISO 8601) and moments in seconds since the epoch. Of a field that
    was sent twice the longest counts. A date is read against the response's own Date, so that
    clocks need not agree.

    Args:
        headers: The response's fields, looked up without regard to case.
        now: Seconds since the epoch, for a date in a response without Date.
    """
    if _SPANS.isdisjoint(str(name).lower() for name in headers):  # nearly always
        return None
    sent = _sent(headers, now)
    for name in _MILLISECONDS:
        if (wait := _number(headers.get(name))) is not None:
            return wait / 1000
    for name in _SECONDS:
        wait = _longest(headers.get(name) or "", sent, nearness=_NEAR)
        if wait is not None:
            return wait
    return None


def rate_limit_reset(
    headers: Mapping[str, str], now: float, *, is_exceeded: bool = False
) -> float | None:
    """Return the seconds until a spent rate limit is full again; None when none is spent.

    It is read in `X-RateLimit-Reset`, `X-Rate-Limit-Reset`, `RateLimit-Reset` and their like, in
    seconds, milliseconds, spans, dates and moments, in the `RateLimit` field of the IETF's
    drafts (draft-ietf-httpapi-ratelimit-headers 03 to 10), and in the window of a limit that names
    no moment (`…-interval-ms`). Of several limits the last counts.

    Args:
        headers: The response's fields, looked up without regard to case.
        now: Seconds since the epoch, for a moment in a response without Date.
        is_exceeded: Whether the status says that a limit is spent, so that a field which only
            names the moment is believed.
    """
    sent = _sent(headers, now)
    fields = {str(name).lower(): str(value) for name, value in headers.items()}
    limits = [*_pairs(fields, sent), *_policies(fields, sent), *_windows(fields)]
    waits = [wait for wait, left in limits if left == 0 or (left is None and is_exceeded)]
    return max(waits, default=None)


def _pairs(fields: Mapping[str, str], sent: float) -> Iterator[tuple[float, float | None]]:
    """Give the waits of fields named `…-reset`, and what is left by those named `…-remaining`."""
    for name, value in fields.items():
        plain = name.replace("rate-limit", "ratelimit")
        if "ratelimit" not in plain or "reset" not in plain:
            continue
        wait = _longest(value, sent)
        if wait is None:
            continue
        is_short = plain.endswith(("-ms", "milliseconds")) and wait < _LONGEST_SPAN
        left = fields.get(_RESET.sub("remaining", name), "")
        yield wait / 1000 if is_short else wait, _number(re.split("[;,]", left)[0])


def _policies(fields: Mapping[str, str], sent: float) -> Iterator[tuple[float, float | None]]:
    """Give the waits, and what is left, of fields that hold both."""
    for name, value in fields.items():
        if "ratelimit" not in name.replace("rate-limit", "ratelimit"):
            continue
        whole = dict(_PARAMETER.findall(value))
        # Either one policy in all (drafts 03 to 07), or one a member (from 08 on).
        is_whole = {"remaining", "reset"} <= whole.keys()
        for member in [value] if is_whole else _POLICY.findall(value):
            found = dict(_PARAMETER.findall(member))
            reset = found.get("t") or found.get("reset") or found.get("resets")
            wait = None if reset is None else _wait(reset, sent)
            if wait is not None:
                yield wait, _number(found.get("r") or found.get("remaining"))


def _windows(fields: Mapping[str, str]) -> Iterator[tuple[float, float]]:
    """Give the length of the window of a limit, which is the longest wait, and what is left."""
    for name, value in fields.items():
        limit = _INTERVAL.fullmatch(name)
        left = _number(fields.get(f"{limit[1]}-remaining")) if limit else None
        window = _number(value)
        if left is not None and window is not None:
            yield window / 1000, left


# HubSpot and Trello name no moment, but how long the window of a limit is.
_INTERVAL = pattern(r"(.*rate-?limit.*)-interval-(?:ms|milliseconds)")


def _longest(value: str, sent: float, *, nearness: float = math.inf) -> float | None:
    """Return the longest wait of a field that may have been sent twice; see `_wait`."""
    waits = (_wait(member, sent, nearness=nearness) for member in _MEMBER.findall(value))
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(value: str, sent: float, *, nearness: float = math.inf) -> float | None:
    """Return the seconds from a number, a span or a moment, 0 or more; None for anything else.

    Args:
        value: As it was sent.
        sent: When that was, in seconds since the epoch.
        nearness: Seconds from then beyond which a large number is no moment, but a long span.
    """
    text = value.partition(";")[0].strip().strip('"')
    if (number := _number(text)) is not None:
        wait = _moment(number) - sent
        return number if number < _LONGEST_SPAN or abs(wait) > nearness else max(0.0, wait)
    if _SPAN.fullmatch(text):
        return sum(float(n) * _UNITS[unit] for n, unit in _SPAN_PART.findall(text))
    if (parts := _DURATION.fullmatch(text)) and any(parts.groups()):
        return sum(
            float(n or 0) * unit for n, unit in zip(parts.groups(), (3600, 60, 1), strict=True)
        )
    due = _date(text)
    return None if due is None else max(0.0, due - sent)


def _moment(number: float) -> float:
    """Return a moment in seconds since the epoch, given in those, in milliseconds, or finer."""
    while _LARGEST_MOMENT <= number < 1e21:
        number /= 1000
    return number


def _sent(headers: Mapping[str, str], now: float) -> float:
    sent = _date(headers.get("date"))
    return now if sent is None else sent


def _number(value: str | None) -> float | None:
    # More digits than a float holds become infinity: longer than any limit, but a number.
    return max(0.0, float(value)) if value and _NUMBER.fullmatch(value.strip()) else None


def _date(value: str | None) -> float | None:
    date = None
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = email.utils.parsedate_to_datetime(value or "")
    if date is None:
        with suppress(ValueError, OverflowError):
            # Ruby writes "2026-11-30 12:00:00 UTC".
            date = datetime.fromisoformat(re.sub(r"\s*(?:UTC|GMT)$", "Z", (value or "").strip()))
    if date is None:
        return None
    # The asctime form has no zone; RFC 9110 section 5.6.7: all are in UTC.
    with suppress(ValueError, OverflowError):
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return None
