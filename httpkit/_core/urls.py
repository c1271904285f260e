"""Where a request goes: joining and comparing URLs.

Rule: text in, text out; no I/O here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import (
    parse_qsl,
    unquote,
    unquote_plus,
    urlencode,
    urljoin,
    urlsplit,
    urlunsplit,
)

from requests.exceptions import InvalidURL, MissingSchema
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from httpkit._core.lazy import ImportedLater, pattern

if TYPE_CHECKING:
    from httpkit._core import redaction
else:
    redaction = ImportedLater("httpkit._core.redaction")

Origin = tuple[str, str, int]
"""Scheme, host and port: what a credential is bound to (RFC 6454 section 4)."""

DEFAULT_PORTS = {"http": 80, "https": 443}
# The scheme and authority of an absolute URL; they end at the same bytes for urllib3.
AUTHORITY = pattern(r"[A-Za-z][A-Za-z0-9+.-]*://[^\\/?#]*")
# A lower-case origin without userinfo, for patterns of URLs that need no parsing.
PLAIN_ORIGIN = (
    r"https?://[a-z0-9][a-z0-9.-]*(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?(?=/)"
)
# Such an origin, and a target that neither requests nor urllib3 would re-encode.
PLAIN_URL = pattern(
    rf"({PLAIN_ORIGIN})"
    r"(/(?!/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*(?<!\?))"  # no empty query
)
_STRAY_PERCENT = pattern(r"%(?![0-9A-Fa-f]{2})")
# Whoever parses the URL next may drop these, as urllib.parse drops tabs and line breaks.
_INVISIBLE = pattern(r"[\x00-\x20\x7f]")
# Origins that are remembered; more of them come from a crawler, which gains nothing.
_MOST_KEPT = 256


def is_absolute(url: str) -> bool:
    """Say whether a URL names its scheme and host ("users:search" does not)."""
    return AUTHORITY.match(url) is not None


def origin(url: str) -> Origin:
    """Return the origin of an absolute URL, the default port filled in.

    It is parsed by urllib3, because that parser decides where the bytes go.

    Raises:
        InvalidURL: The URL cannot be parsed.
    """
    found = AUTHORITY.match(url)
    return _origin(url.lstrip() if found is None else found[0])


# Saves 40 us a call, which asks five times; only what stands before the path is remembered.
@lru_cache(maxsize=_MOST_KEPT)
def _origin(url: str) -> Origin:
    try:
        parsed = parse_url(url)
    except (LocationParseError, UnicodeError) as error:
        raise InvalidURL("the URL cannot be parsed") from error
    scheme = (parsed.scheme or "").lower()
    return scheme, (parsed.host or "").lower(), parsed.port or DEFAULT_PORTS.get(scheme, 0)


def format_origin(value: Origin) -> str:
    """Write an origin as people read it, without a default port."""
    scheme, host, port = value
    return (
        f"{scheme}://{host}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"
    )


@lru_cache(maxsize=_MOST_KEPT)
def is_loopback(host: str) -> bool:
    """Say whether a host is this machine (RFC 6761 section 6.3 for the name)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def check_base(base: str) -> str:
    """Return a base URL that paths can be appended to.

    Raises:
        InvalidURL: It is relative, has no host, or carries a query or fragment.
    """
    if not is_absolute(base):
        raise InvalidURL(f"base_url {redacted(base)} needs a scheme and a host: https://host/path")
    if not origin(base)[1]:
        raise InvalidURL("base_url has no host")
    if "?" in base or "#" in base:
        raise InvalidURL("base_url cannot carry a query or a fragment: use params=")
    return base


def redacted(url: str) -> str:
    """Return a URL for a message: quoted, without userinfo and secret parameters."""
    return repr(redaction.redact_url(url.rpartition("@")[2]))


def encode_stray_percent(url: str) -> str:
    """Encode a percent sign that encodes nothing.

    requests, where it finds one, encodes every other percent sign again: "a%2Fb" would
    become "a%252Fb", another resource.
    """
    return _STRAY_PERCENT.sub("%25", url) if "%" in url else url


def join(base: str | None, url: str) -> str:
    """Append a relative URL to the base; leave an absolute one alone.

    "users" and "/users" mean the same, and a trailing slash is kept.

    Raises:
        MissingSchema: The URL is relative and there is no base.
        InvalidURL: The URL climbs out of the base ("..", "%2e%2e", "//host").
    """
    if "://" in url and is_absolute(url):
        return url
    if base is None:
        raise MissingSchema(f"the URL {redacted(url)} is relative and the session has no base_url")
    base_path = _base_path(base)
    # Nearly always there is nothing to look into, which takes 4 us.
    if url.startswith(_HOSTLIKE) or "%" in url or url.count(".") > 1:
        _refuse_climbing(url)
    if not url or url[0] in "?#":
        return base + url
    return f"{base_path}/{url.lstrip('/')}"


def repeats_base(base: str | None, url: str) -> bool:
    """Say whether the path of a URL begins with that of the base, twice."""
    path = urlsplit(base or "").path.rstrip("/")
    if not path or origin(base or "") != origin(url):
        return False
    return f"{urlsplit(url).path}/".startswith(f"{path}{path}/")


_HOSTLIKE = ("//", "\\", "/\\")


@lru_cache(maxsize=_MOST_KEPT)
def _base_path(base: str) -> str:
    """Return a base URL without a slash at its end; it may be assigned unchecked."""
    return check_base(base).rstrip("/")


def _refuse_climbing(url: str) -> None:
    if url.startswith(_HOSTLIKE):
        raise InvalidURL(
            f"the URL {redacted(url)} names another host: write it out with its scheme"
        )
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    segments = re.split(r"[/\\]|%2[fF]|%5[cC]", path)
    if any(_INVISIBLE.sub("", unquote(segment)) == ".." for segment in segments):
        raise InvalidURL(f"path traversal: the URL {redacted(url)} is outside base_url")


def resolve(here: str, reference: str) -> str:
    """Return where a reference on a page or in a redirect leads (RFC 3986 section 5).

    Args:
        here: The absolute URL that gave the reference.
        reference: As it is spelled there.

    Raises:
        InvalidURL: It leads to no http(s) URL, holds userinfo, or cannot be parsed; the
            message says so without showing it, as what follows "its link".
    """
    page = urlsplit(here)
    base = urlunsplit(page._replace(netloc=page.netloc.rpartition("@")[2]))
    try:
        given = urlsplit(reference.strip())
        target = _with_ascii_host(urljoin(base, reference.strip()))
        parts = urlsplit(target)
        _ = parts.port  # raises for what is no port
        scheme, host, _ = origin(target)
    except ValueError as error:  # InvalidURL is one, too
        raise InvalidURL("cannot be parsed") from error
    if scheme not in DEFAULT_PORTS:
        raise InvalidURL(f"leads to a {scheme or 'relative'!r} URL")
    if not host or (given.scheme in DEFAULT_PORTS and not given.netloc):
        raise InvalidURL("has no host")
    if "@" in parts.netloc:
        raise InvalidURL("holds a user name or password")
    return target


def _with_ascii_host(url: str) -> str:
    """Return a URL with its host as DNS has it (RFC 5891), which requests would percent-encode."""
    parts = urlsplit(url)
    userinfo, at, address = parts.netloc.rpartition("@")
    host, colon, port = address.partition(":")
    if unquote(host).isascii():  # as nearly always
        return url
    encoded = origin(f"https://{unquote(host)}/")[1]
    return urlunsplit(parts._replace(netloc=f"{userinfo}{at}{encoded}{colon}{port}"))


def query_of(url: str) -> list[tuple[str, str]]:
    """Return the decoded pairs of a URL's query, empty values included."""
    return parse_qsl(_query_text(url), keep_blank_values=True)


def without_pairs(url: str, is_unwanted: Callable[[str, str], bool]) -> str:
    """Return a URL without some pairs of its query; the others stay as they are spelled.

    Args:
        url: Relative or absolute, without a fragment.
        is_unwanted: Asked with the decoded name and value of each pair.
    """
    path, mark, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if not is_unwanted(*_decoded_pair(pair))]
    return f"{path}{mark}{'&'.join(pairs)}" if pairs else path


def with_query(url: str, query: str | Mapping[str, object]) -> str:
    """Return a URL with more at the end of its query: text as it is, or names and values."""
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    separator = ("&" if _query_text(url) else "") if "?" in url else "?"
    return f"{url}{separator}{text}" if text else url


def _query_text(url: str) -> str:
    return url.partition("?")[2].partition("#")[0]


def _decoded_pair(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return unquote_plus(name), unquote_plus(value)
