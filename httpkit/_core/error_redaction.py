"""Mask secrets in exceptions and in all that they came from.

Rule: the errors stay the same objects, of the same classes; only what they say is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3

from httpkit._core.given import is_list, is_mapping
from httpkit._core.lazy import pattern
from httpkit._core.redaction import (
    LARGEST_BODY,
    MASK,
    redact_document,
    redact_start,
    redact_text,
    redact_url,
    redact_values,
)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and every error that it holds or was raised from, each once.

    A yielded error may be changed: what it leads to is read before it is yielded.
    """
    pending: list[object] = [error]
    visited: set[int] = set()
    while pending:
        current = pending.pop()
        if not isinstance(current, BaseException) or id(current) in visited:
            continue
        visited.add(id(current))
        pending += [*current.args, current.__cause__, current.__context__]
        # urllib3's names for an inner error.
        pending += [getattr(current, "reason", None), getattr(current, "original_error", None)]
        yield current


def scrub(
    error: BaseException, urls: Mapping[str, str] | None = None, *, keeps_third_party: bool = False
) -> None:
    """Mask secrets in the messages of an exception and of all it came from, in place.

    Requests and urllib3 put the whole URL into their messages; rebuilding the chain would
    lose the classes and the `.reason` that callers look at.

    Args:
        error: The last of the chain.
        urls: URLs that may stand in a message, with what to write instead.
        keeps_third_party: Whether an error that neither requests nor urllib3 raised, but a mock or
            an adapter of somebody else, keeps its message but for the values known to be secret.
    """
    if keeps_third_party and _is_third_party(error):
        for cause in causes(error):
            if isinstance(cause, UnicodeError):
                _blank(cause)
            else:
                cause.args = tuple(map(_without_values, cause.args))
        return
    for cause in causes(error):
        _scrub_one(cause, urls or {})


def _is_third_party(error: BaseException) -> bool:
    """Say whether none of the packages that put URLs into their messages raised an error."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = "" if step is None else str(step.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in _KNOWN_PACKAGES


_KNOWN_PACKAGES = frozenset({"httpkit", "requests", "urllib3"})


def _without_values(argument: Any) -> Any:
    return redact_values(argument) if isinstance(argument, str) else argument


def _scrub_one(error: BaseException, urls: Mapping[str, str]) -> None:
    if isinstance(error, UnicodeError):
        _blank(error)
        return
    error.args = tuple(_scrub_argument(argument, urls) for argument in error.args)
    if type(error).__module__.partition(".")[0] in _QUOTING_PACKAGES:
        for name, value in vars(error).items():
            if isinstance(value, str) and name != "url":
                vars(error)[name] = _scrub_argument(redact_start(value, LARGEST_BODY), urls)
    if isinstance(url := error.__dict__.get("url"), str):
        error.__dict__["url"] = redact_url(url)
    if type(error).__module__.startswith("urllib3"):
        # Connections and responses hold locks and would keep the error from pickling.
        error.__dict__.update(dict.fromkeys(_LIVE & error.__dict__.keys()))


_LIVE = frozenset({"response", "conn", "pool"})
# Those whose errors keep a text as an attribute, too: MaxRetryError its message, a JSONDecodeError
# its document, BadStatusLine the line.
_QUOTING_PACKAGES = frozenset({"http", "json", "requests", "simplejson", "urllib3"})


def _blank(error: UnicodeError) -> None:
    """Take the text from an error about it, which may be a secret, but for a single character."""
    if not isinstance(error, (UnicodeEncodeError, UnicodeDecodeError)):
        return
    value: Any = error.object
    blank: Any = b"*" if isinstance(value, bytes) else "*"
    start, end = error.start, error.end
    kept = value[start:end] if end == start + 1 else blank * (end - start)
    error.object = blank * start + kept + blank * (len(value) - end)
    error.args = (error.encoding, error.object, start, end, error.reason)


# requests quotes the header value, or part of it, that cannot be sent. Of a value that is no text
# it gives the name as well, which stays: "({value!r}) from ({name!r}, {value!r})".
_QUOTED_FIELD = pattern(
    r"(?<=in header value: ).*"
    r"|(?<=^Header part )(?:\((?P<value>.*)\) from \((?P<name>.*), (?P=value)\)|\(.*\))"
    r"(?= must be of type )",
    re.DOTALL,
)
_HARMLESS = (BaseException, bytes, int, float, tuple)


def _without_field_value(found: re.Match[str]) -> str:
    return MASK if found["name"] is None else f"({MASK}) from ({found['name']}, {MASK})"


def _scrub_argument(argument: Any, urls: Mapping[str, str]) -> Any:
    if isinstance(argument, urllib3.exceptions.InvalidChunkLength):
        return redact_text(repr(argument))  # it does not survive a pickle
    if isinstance(argument, str):
        for url, replacement in urls.items():
            argument = argument.replace(url, replacement)
        return redact_text(_QUOTED_FIELD.sub(_without_field_value, argument))
    if argument is None or issubclass(type(argument), _HARMLESS):
        return argument
    if is_mapping(argument) or is_list(argument):
        return redact_document(argument)
    # A pool or a connection: it holds a lock and would keep the error from being pickled.
    return redact_text(repr(argument))
