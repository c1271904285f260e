"""Why a connection or a request was refused, and what to do about it.

What TLS and proxies say is meant for those who wrote them. Each of the faults that people meet
has one usual cause; the table below says what that is.

Rule: an error is only looked at here, and a sentence never quotes it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import requests
import urllib3

from httpkit._core.error_redaction import causes

_CLOCK = "unless this machine's clock is wrong"
_AUTHORITY = (
    "the authority that signed the certificate is not trusted here: give its certificates as"
    " verify='ca.pem', unless the server forgot to send an intermediate one"
)
_NAME = "the certificate is for another name: call the server by a name that it holds"
# By the number of a failed verification (X509_V_ERR_* of OpenSSL).
_CERTIFICATE_HINTS: Mapping[int, str] = {
    9: f"the certificate is not valid yet: its operator must replace it, {_CLOCK}",
    10: f"the certificate has expired: its operator must renew it, {_CLOCK}",
    18: _AUTHORITY,
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: _NAME,
    64: _NAME,
}
_PLAIN = "no TLS on this port: is the URL http:// instead of https://?"
_OLD = "the server supports no TLS version from 1.2 on: its operator must enable one"
_UNWANTED = "the server refused the client certificate that cert= names"
# By OpenSSL's name of the failure; alerts, which the server sent, by the name of the alert.
_HANDSHAKE_HINTS: Mapping[str, str] = {
    "WRONG_VERSION_NUMBER": _PLAIN,
    "RECORD_LAYER_FAILURE": _PLAIN,
    "HTTP_REQUEST": _PLAIN,
    "UNSUPPORTED_PROTOCOL": _OLD,
    "PROTOCOL_VERSION": _OLD,
    "CERTIFICATE_REQUIRED": "the server wants a client certificate: give one as cert='client.pem'",
    "HANDSHAKE_FAILURE": "the server wants a client certificate (cert=), or unsafe ciphers",
    "UNKNOWN_CA": _UNWANTED,
    "BAD_CERTIFICATE": _UNWANTED,
    "CERTIFICATE_EXPIRED": _UNWANTED,
    "CERTIFICATE_REVOKED": _UNWANTED,
    "CERTIFICATE_UNKNOWN": _UNWANTED,
}
PROXY_CREDENTIALS = (
    "the proxy wants other credentials: its URL takes them, as http://user:password@host:port"
)
_REFUSED_BY_PROXY = (
    "the proxy refused to connect to the host: no_proxy, or proxies={…: None}, bypasses it"
)
_NO_PROXY_THERE = "no proxy responds at this address: see proxies= and the HTTP(S)_PROXY variables"

# What a status asks of whoever made the call, where that is not in its name.
_ON_STATUS: Mapping[int, str] = {
    401: "check auth=: the credentials may be missing, expired, or meant for another host",
    403: "these credentials may not do this: ask for the right to, or use others",
    404: "check the URL and the id; get(id, default=None) of a resource returns a value instead",
    405: "check the method and the URL: a path too short or too long is often the cause",
    409: "fetch what is there, and make the change on that",
    412: "somebody else changed it: fetch it again, and make the change on that",
    413: "send less, or in parts",
    422: "correct the values that the server names",
    429: "wait as long as the server asks; rate_limit= keeps a session below its limit",
    500: "the server failed: try again later, and tell its support the request id",
    502: "a gateway failed: try again later",
    503: "the server is overloaded or down: try again later",
    504: "the server was too slow for its gateway: try again later, or ask for less",
}


def on_status(status: int) -> str | None:
    """Return what to do about an error status; None where its name says it."""
    return _ON_STATUS.get(status)


def advise(error: requests.RequestException) -> str | None:
    """Return what to do about a connection that was refused; None when nobody can know."""
    if not isinstance(error, (requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return None
    found = list(causes(error))
    for cause in found:
        if isinstance(cause, ssl.SSLError) and (hint := _of_tls(cause)):
            return hint
    return _of_proxy(found) if isinstance(error, requests.exceptions.ProxyError) else None


def _of_tls(error: ssl.SSLError) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_HINTS.get(getattr(error, "verify_code", 0))
    return _HANDSHAKE_HINTS.get((error.reason or "").rpartition("ALERT_")[2])


def _of_proxy(found: list[BaseException]) -> str | None:
    message = next((text for text in map(str, found) if text.startswith(TUNNEL_FAILED)), None)
    if message is None:
        is_unmet = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in found)
        return _NO_PROXY_THERE if is_unmet else None
    status = message.removeprefix(TUNNEL_FAILED)[:3]
    if status in {"401", "407"}:  # tinyproxy says 401 for a password that is wrong
        return PROXY_CREDENTIALS
    return _REFUSED_BY_PROXY if status[0] == "4" else None


TUNNEL_FAILED = "Tunnel connection failed: "
"""How http.client begins to say that a proxy did not respond to CONNECT with 200."""
