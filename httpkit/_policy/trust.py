"""Whom a session trusts and by which proxies it sends, checked where they are given.

Rule: no file is opened here, and no message shows a password.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

import urllib3
import urllib3.exceptions
import urllib3.util

from httpkit._core.given import is_mapping, is_tuple
from httpkit._core.lazy import ImportedLater, pattern
from httpkit._diagnostics.base_errors import ConfigurationError, InvalidProxyURL

if TYPE_CHECKING:
    from httpkit._core import redaction
else:
    redaction = ImportedLater("httpkit._core.redaction")

Trust: TypeAlias = bool | str | ssl.SSLContext
Certificate: TypeAlias = str | tuple[str, str] | tuple[str, str, str] | None


class ProxyURLError(ConfigurationError, InvalidProxyURL):
    """A proxy URL that cannot be used; code written for requests catches it as InvalidProxyURL."""


def as_verify(verify: Any) -> Trust:
    """Return whom to trust, a path as a str: pools of two paths are never mixed.

    Raises:
        ConfigurationError: It is no bool, path or context. "" and 0 do not switch it off.
    """
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    if (path := _as_path(verify)) is not None:
        return path
    raise ConfigurationError(
        f"verify={verify!r} must be True, False, the path of a CA bundle or an ssl.SSLContext"
    )


def as_cert(cert: Any) -> Certificate:
    """Return a client certificate, paths as str.

    Raises:
        ConfigurationError: It is no path and no tuple of two or three.
    """
    if cert is None:
        return None
    if (path := _as_path(cert)) is not None:
        return path
    if is_tuple(cert) and len(cert) in {2, 3}:
        certificate, key = map(_as_path, cert[:2])
        password = cert[2] if len(cert) == 3 else ""
        if certificate is not None and key is not None and isinstance(password, str):
            redaction.remember(password)
            secret = redaction.Hidden(password)
            return (certificate, key, secret) if len(cert) == 3 else (certificate, key)
    raise ConfigurationError(
        "cert must be a path, (certificate, key) or (certificate, key, password)"
    )


def check_together(verify: Trust, cert: Certificate) -> None:
    """Refuse a client certificate beside a context, which holds its own.

    Raises:
        ConfigurationError: Both are given.
    """
    if cert is not None and isinstance(verify, ssl.SSLContext):
        raise ConfigurationError(
            "cert cannot be used with an ssl.SSLContext: call load_cert_chain() on the context"
        )


def is_path(verify: object) -> bool:
    """Say whether a `verify` is a path as `as_verify` writes it."""
    return type(verify) is str and bool(verify.strip())


def _as_path(value: Any) -> str | None:
    """Return a path as a str; None for anything else, also for an empty one."""
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)  # pyright: ignore[reportUnknownArgumentType]
    return value if isinstance(value, str) and value.strip() else None


# ---- proxies


def check_proxies(name: str, proxies: Any) -> None:
    """Refuse proxies that are no mapping from schemes to URLs, or a URL that cannot be parsed.

    Raises:
        ConfigurationError: One of them cannot be used; the message shows no password.
    """
    if not proxies:  # as in requests, also [] and "" are none
        return
    is_known = is_mapping(proxies) and all(isinstance(scheme, str) for scheme in proxies)
    if not is_known or not all(url is None or isinstance(url, str) for url in proxies.values()):
        raise ConfigurationError(f"{name} must map schemes to URLs")  # they may hold passwords
    for scheme, url in proxies.items():
        if url and scheme not in _NO_URLS:
            check_proxy(scheme, url)


# Beside proxies requests takes the hosts that need none.
_NO_URLS = frozenset({"no", "no_proxy"})


def check_chosen(proxies: Mapping[str, Any]) -> None:
    """Refuse what the environment, or an attribute that was assigned, says of proxies."""
    for scheme, url in proxies.items():
        if isinstance(url, str) and url and scheme not in _NO_URLS:
            check_proxy(scheme, url)


@lru_cache(maxsize=256)
def check_proxy(scheme: str, url: str) -> None:
    """Refuse a proxy URL that cannot be parsed, or whose password is not percent-encoded.

    Raises:
        ProxyURLError: It cannot be used.
    """
    rest = url.partition("://")[2] or url
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    is_cut = "@" in rest[len(authority) :]  # "#", "/" or "?" in the password ended it there
    userinfo, _, host = rest.rpartition("@")
    if not is_cut and _is_usable(url if "://" in url else f"http://{url}"):
        redaction.remember(*_passwords(userinfo))
        return
    redaction.remember(*_passwords(userinfo))
    shown = f" {host.rstrip('/')}" if _HOST.fullmatch(host) else ""
    raise ProxyURLError(
        f"the proxy{shown} for {scheme!r} has a URL that cannot be parsed: percent-encode the"
        " special characters of its user name and password, as %23 for #"
    )


_HOST = pattern(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?/?")


def _is_usable(url: str) -> bool:
    if any(character.isspace() or not character.isprintable() for character in url.strip()):
        return False
    try:
        return bool(urllib3.util.parse_url(url).host) and urlsplit(url).port != 0
    except (urllib3.exceptions.LocationParseError, ValueError):
        return False


def _passwords(userinfo: str) -> tuple[str, ...]:
    password = userinfo.partition(":")[2]
    return (password, unquote(password)) if password else ()


def is_excepted(url: str, no_proxy: str | None) -> bool:
    """Say whether `no_proxy` names a URL's host in a way that requests does not read.

    Those are a host with its port, "*.example.com", an address of IPv6, a network of IPv4 or IPv6
    (CIDR), a name that ends in a dot or is not ASCII, and names that a space separates.
    """
    if not no_proxy:
        return False
    parts = urlsplit(url)
    host = _as_ascii((parts.hostname or "").lower())
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    entries = map(_as_ascii, re.split(r"[,\s]+", no_proxy.lower()))
    return any(_names(entry, host, port) for entry in entries if entry)


def _as_ascii(host: str) -> str:
    """Return a name as DNS has it: "b\u00fccher.example." is "xn--bcher-kva.example"."""
    host = host.removesuffix(".")
    if host.isascii():
        return host
    with suppress(UnicodeError):
        return ".".join(label and label.encode("idna").decode() for label in host.split("."))
    return host


def _names(entry: str, host: str, port: int) -> bool:
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    found = _ENTRY.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != port):
        return False
    name = found["host"].strip("[]").removeprefix("*").lstrip(".")
    return host == name or _same_address(host, name) or host.endswith(f".{name}")


_ENTRY = pattern(r"(?P<host>\[[0-9a-f:.]+\]|[^:\[\]/]+)(?::(?P<port>\d{1,5}))?")


def _same_address(one: str, other: str) -> bool:
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return False
