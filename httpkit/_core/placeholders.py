"""Fill the placeholders of a URL's path (RFC 6570, a part of it).

Rule: text in, text out; no I/O here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote

from requests import exceptions

from httpkit._core import disclosure, redaction, urls, values
from httpkit._core.lazy import pattern

# RFC 6570 sections 3.2.2 and 3.2.3: a segment, or with "+" as many as there are.
_PLACEHOLDER = pattern(r"\{(\+?)(\w+)\}")
_DOT_SEGMENTS = frozenset({".", ".."})


def fill(template: str, path: Mapping[str, object] | None) -> str:
    """Put percent-encoded values into the `{name}` placeholders of a URL's path.

    Nothing is safe in a value: "a/b" becomes "a%2Fb", one segment. In one of a `{+name}`
    placeholder a slash is: "a/b" are two segments. RFC 6570 section 3.2.3 lets "?" and "#"
    pass there as well, and so a value change the query; here they are encoded.

    Args:
        template: The URL, relative or absolute.
        path: One value a placeholder. None: a relative URL must have no placeholder.

    Raises:
        InvalidURL: A value is missing, unused, None, empty, "." or "..", or has such a segment.
    """
    if path is None and "{" not in template:
        return template
    before, query_onwards = _split_path(template)
    names = {name for _, name in _PLACEHOLDER.findall(before)}
    if path is None:
        if names and not urls.is_absolute(template):
            raise exceptions.InvalidURL(
                f"the URL {urls.redacted(template)} needs {_path_hint(names)}"
            )
        return template
    if not isinstance(path, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise exceptions.InvalidURL(f"path={type(path).__name__} must map placeholders to values")
    if missing := names - set(path):
        raise exceptions.InvalidURL(
            f"the URL {urls.redacted(template)} needs {_path_hint(missing)}"
        )
    if unused := set(path) - names:
        listed = ", ".join(sorted(map(str, unused)))
        raise exceptions.InvalidURL(
            f"the URL {urls.redacted(template)} has no placeholder for {listed}"
        )

    def filled(found: re.Match[str]) -> str:
        is_several, name = found.groups()
        return (_segments if is_several else _segment)(name, path[name])

    return _PLACEHOLDER.sub(filled, before) + query_onwards


def _path_hint(names: Collection[str]) -> str:
    return f"path={{{', '.join(f'{name!r}: ...' for name in sorted(names))}}}"


def _split_path(url: str) -> tuple[str, str]:
    found = re.search(r"[?#]", url)
    return (url[: found.start()], url[found.start() :]) if found else (url, "")


def _segments(name: str, value: object) -> str:
    if not isinstance(value, (str, bytes)):
        return _segment(name, value)
    parts = value.split("/") if isinstance(value, str) else value.split(b"/")
    try:
        return "/".join(_segment(name, part) for part in parts)
    except exceptions.InvalidURL as error:
        shown = _shown_value(name, value)
        raise exceptions.InvalidURL(
            f"the path value {shown} cannot be segments of a URL"
        ) from error


def _segment(name: str, value: object) -> str:
    text, encoded = "", None
    try:
        if value is not None and type(value) not in {str, int}:
            value = values.format_id(value)
        text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
        encoded = quote(text, safe="")
    except UnicodeError:
        pass
    except TypeError as error:  # its repr may be a secret
        raise exceptions.InvalidURL(f"the path value {name} {error}") from error
    if encoded is None:  # not raised above: a UnicodeError holds the text, secrets included
        raise exceptions.InvalidURL(f"the path value {_shown_value(name, value)} is not text")
    # Encoding does not protect a dot segment: "%2E%2E" is ".." (RFC 3986 section 6.2.2.2).
    if value is None or not text or text in _DOT_SEGMENTS:
        shown = _shown_value(name, value)
        raise exceptions.InvalidURL(f"the path value {shown} cannot be a segment of a URL")
    if disclosure.is_secret_value(name, text):
        redaction.remember(text)  # no name stands beside it in the URL
    return encoded


def _shown_value(name: str, value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    is_secret = disclosure.is_secret_value(name, text) and text not in _DOT_SEGMENTS
    return f"{name}={redaction.MASK if text and is_secret else repr(value)}"
