"""What the environment says: proxies, certificates, and passwords in netrc.

requests reads all of it for every request, which takes longer the more variables there are.
Rule: what was read is kept only while its source has not changed.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from httpkit._client import settings
from httpkit._core import upstream
from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from httpkit._core import netrc_bytes
    from httpkit._policy import trust
else:
    trust = ImportedLater("httpkit._policy.trust")
    netrc_bytes = ImportedLater("httpkit._core.netrc_bytes")

# Origins and hosts that are remembered; more of them come from a crawler, which gains nothing.
_MOST_KEPT = 256


class _Read:
    """What was read from one state of the environment."""

    def __init__(self, variables: dict[Any, Any], registry: int) -> None:
        self.variables = variables
        self.registry = registry
        self.proxies: dict[tuple[str, str | None], dict[str, str]] = {}


_read = _Read({}, 0)


if TYPE_CHECKING:

    class SettingsHolder(Protocol):
        """What is asked of a session."""

        proxies: Any
        verify: Any
        cert: Any
        stream: bool
        trust_env: bool


def complete(
    session: SettingsHolder,
    url: Any,
    proxies: Any,
    stream: bool | None,
    verify: Any,
    cert: Any,
) -> dict[str, Any]:
    """Complete a call's settings from the session and the environment."""
    explicit = settings.proxies_of(session.proxies, proxies) if session.proxies or proxies else {}
    return {
        "verify": trusted(session, verify),
        "stream": session.stream if stream is None else stream,
        "cert": session.cert if cert is None else cert,
        "proxies": proxies_for(url, explicit, trust_env=session.trust_env),
    }


def proxies_for(url: str, explicit: Mapping[str, Any], *, trust_env: bool) -> dict[str, Any]:
    """Return the proxies to use, by scheme: what was given, else what the environment says.

    Args:
        url: Where the request goes.
        explicit: The session's proxies with the call's over them; None switches one off.
        trust_env: Whether the environment is read.
    """
    proxies = _ambient_proxies(url, explicit.get("no_proxy")) if trust_env else {}
    if explicit:
        chosen = {name: proxy for name, proxy in explicit.items() if proxy is not None}
        if upstream.select_proxy(url, chosen):
            proxies = chosen
        else:
            left = {name: proxy for name, proxy in proxies.items() if name not in explicit}
            proxies = {**left, **chosen}
    if proxies:
        trust.check_chosen(proxies)
    return proxies


def _ambient_proxies(url: str, no_proxy: str | None) -> dict[str, str]:
    """Return the proxies of the environment for a URL, as requests does, by scheme.

    Args:
        url: Where the request goes.
        no_proxy: Hosts that need none, over the environment's; None for the environment's own.
    """
    global _read  # noqa: PLW0603  # replaced whole, so that no thread sees half of another one
    variables = _variables()
    if variables is None or not upstream.reads_variables():
        return _environment_proxies(url, no_proxy)
    kept, registry = _read, 0 if _registry_stamp is None else _registry_stamp()
    if kept.variables != variables or kept.registry != registry:
        # Compared in 4 us where there are 280 variables, and read in 550.
        kept = _read = _Read(dict(variables), registry)
    slash = url.find("/", 8)
    key = url if slash < 0 else url[:slash], no_proxy
    known = kept.proxies.get(key)
    if known is None:
        known = _environment_proxies(url, no_proxy)
        if len(kept.proxies) >= _MOST_KEPT:
            kept.proxies.clear()
        kept.proxies[key] = known
    return dict(known)


def _environment_proxies(url: str, no_proxy: str | None) -> dict[str, str]:
    found = upstream.environment_proxies(url, no_proxy)
    if not found:
        return found
    excepted = no_proxy or os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return {} if trust.is_excepted(url, excepted) else found


if sys.platform == "win32":
    import winreg

    _SETTINGS = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"

    @lru_cache(maxsize=1)
    def _settings_key() -> winreg.HKEYType:
        return winreg.OpenKey(winreg.HKEY_CURRENT_USER, _SETTINGS)

    def _registry_stamp() -> int:
        """Return when the proxies in the registry changed last; 0 where there are none."""
        try:
            return winreg.QueryInfoKey(_settings_key())[2]
        except OSError:
            return 0

else:
    _registry_stamp = None


def _variables() -> Any:
    """Return what the environment holds, undecoded; None where it is no ordinary one.

    A variable that is not set is seen there without an exception, in 0.1 us, not 1.2.
    """
    variables: Any = getattr(os.environ, "_data", None)
    return variables if type(variables) is dict else None  # pyright: ignore[reportUnknownVariableType]


# Names as `os.environ` holds them: bytes, or text in upper case on Windows.
_encoded: Callable[[str], Any] = getattr(os.environ, "encodekey", os.fsencode)
_REQUESTS_CA_BUNDLE = _encoded("REQUESTS_CA_BUNDLE")
_CURL_CA_BUNDLE = _encoded("CURL_CA_BUNDLE")
_NETRC = _encoded("NETRC")
_HOME = tuple(map(_encoded, ("HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH")))


def trusted(session: SettingsHolder, verify: Any) -> Any:
    """Return whom to trust: what the call or the session says, else the environment's bundle.

    Args:
        session: Its own `verify` counts where the call has none.
        verify: The call's; None and True say nothing, as in requests.
    """
    if verify is None:
        verify = session.verify
    if verify is None or verify is True:
        return (ca_bundle() if session.trust_env else None) or True
    return verify


def ca_bundle() -> str | None:
    """Return the path of the certificates to trust; None leaves it to requests."""
    variables = _variables()
    if variables is None:
        return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
    found = variables.get(_REQUESTS_CA_BUNDLE) or variables.get(_CURL_CA_BUNDLE)
    return _decoded(found) if found else None


_decoded = lru_cache(maxsize=8)(os.fsdecode)


def password(url: str) -> tuple[str, str] | None:
    """Return the user and password that netrc has for a URL's host; None when it has none."""
    if (variables := _variables()) is None or not upstream.reads_netrc():
        return _netrc_auth(url)
    home: tuple[Any, ...] = tuple(map(variables.get, _HOME))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # undocumented
    paths = _netrc_paths(variables.get(_NETRC), home, upstream.netrc_files())
    for path in paths:  # not any(), which takes longer
        if os.access(path, os.F_OK):
            break
    else:
        return None
    stamps = tuple(map(_stamp, paths))
    key = urlsplit(url).hostname or ""
    kept = _netrc.get(key)
    if kept is None or kept[0] != stamps:
        if len(_netrc) >= _MOST_KEPT:
            _netrc.clear()
        kept = _netrc[key] = stamps, _netrc_auth(url)
    return kept[1]


def _netrc_auth(url: str) -> tuple[str, str] | None:
    """Return the login of netrc for a URL's host, also of a file that is not plain UTF-8."""
    found, is_readable = None, True
    try:
        found = upstream.netrc_auth(url)
    except UnicodeDecodeError:
        is_readable = False  # its traceback would hold the whole file
    if found is not None:
        return found
    configured = os.environ.get("NETRC")
    candidates = [configured] if configured else [f"~/{name}" for name in upstream.netrc_files()]
    path = next((p for p in map(os.path.expanduser, candidates) if os.path.exists(p)), None)  # noqa: PTH110  # as requests looks for it
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError:  # as requests does
        return None
    if is_readable and not content.startswith(codecs.BOM_UTF8):  # the standard library has read it
        return None
    return netrc_bytes.login_for((urlsplit(url).hostname or "").lower(), content)


_netrc: dict[str, tuple[tuple[object, ...], tuple[str, str] | None]] = {}


@lru_cache(maxsize=8)
def _netrc_paths(
    configured: bytes | str | None, _home: tuple[bytes | str | None, ...], usual: tuple[str, ...]
) -> list[str]:
    """Return where netrc may be: a variable says it, else it is in the home directory."""
    candidates = (
        [f"~/{name}" for name in usual] if configured is None else [os.fsdecode(configured)]
    )
    return list(map(os.path.expanduser, candidates))


def _stamp(path: str) -> tuple[object, ...] | None:
    """Return what changes when a file does; None when there is none."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # three times as fast as a Path
    except (OSError, ValueError):
        return None
    return path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
