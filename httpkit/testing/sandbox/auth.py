"""The authentication of the Sandbox: protected routes, and the token endpoint.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import hmac
import math
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import parse_qs, quote_plus

from httpkit.testing.sandbox.call import Call
from httpkit.testing.sandbox.messages import RejectedError, Response, as_json, number_parameter
from httpkit.testing.sandbox.store import Row

# Seconds. Longer than any token is granted for.
_LONGEST_LIFE = 10**9
# For each scheme: the challenge of a 401, and the credential that it asks for.
_CHALLENGES: Mapping[str, tuple[str, str]] = {
    "bearer": ('Bearer realm="sandbox"', "a bearer token"),
    "basic": ('Basic realm="sandbox", charset="UTF-8"', "a user name with its password"),
    "key": ('ApiKey realm="sandbox"', "an API key"),
}
# RFC 6749 section 5.1: responses with tokens must not be cached.
_NO_STORE = (("Cache-Control", "no-store"),)


def token(call: Call) -> Response:
    """Grant a token, RFC 6749 sections 4.4 and 6."""
    if call.request.method != "POST":
        raise RejectedError(405, "a token request must be a POST", headers=(("Allow", "POST"),))
    form = parse_qs(call.request.body.decode("utf-8", "replace"), keep_blank_values=True)
    known = call.site.secrets
    # Encoding what is expected spares decoding what may be malformed.
    pair = f"{quote_plus(known.client_id)}:{quote_plus(known.client_secret)}"
    is_basic = call.credentials("basic") == b64encode(pair.encode()).decode()
    in_form = (form.get("client_id"), form.get("client_secret"))
    if not is_basic and in_form != ([known.client_id], [known.client_secret]):
        return _no_token("invalid_client", "the client or its secret is unknown")
    grant_type = form.get("grant_type", [""])[0]
    if grant_type not in {"client_credentials", "refresh_token"}:
        return _no_token("unsupported_grant_type", f"{grant_type} is not supported")
    life = number_parameter(call.request, "expires_in", 3600.0, most=_LONGEST_LIFE)
    response: Row = {
        "access_token": secrets.token_hex(16),
        "token_type": "Bearer",
        "expires_in": life,
    }
    with call.site.lock:
        if grant_type == "refresh_token":
            if form.get("refresh_token") != [known.refresh_token]:
                return _no_token("invalid_grant", "the refresh token is used or unknown")
            response["refresh_token"] = known.refresh_token = secrets.token_hex(16)
        call.site.granted[str(response["access_token"])] = time.monotonic() + life
    return as_json(response, headers=_NO_STORE)


def bearer(call: Call) -> None:
    """Require the bearer token, or one that was granted."""
    given = call.credentials("bearer")
    with call.site.lock:
        is_granted = time.monotonic() < call.site.granted.get(given or "", -math.inf)
    expected = given if given and is_granted else call.site.secrets.token
    _check("bearer", given, expected)


def basic(call: Call) -> None:
    """Require the user name and the password."""
    pair = f"{call.site.secrets.user}:{call.site.secrets.password}"
    # Encoding what is expected spares decoding what may be malformed.
    _check("basic", call.credentials("basic"), b64encode(pair.encode()).decode())


def key(call: Call) -> None:
    """Require the key, in a header, the query or a cookie."""
    query = call.request.query.get("api_key", [None])[0]
    candidates = (call.request.headers.get("x-api-key"), query, call.cookies_sent().get("api_key"))
    given = next((key for key in candidates if key is not None), None)
    _check("key", given, call.site.secrets.api_key)


def _check(scheme: str, given: str | None, expected: str) -> None:
    """Raise a 401 unless the credential is right."""
    challenge, wanted = _CHALLENGES[scheme]
    if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
        wrong = f"the {wanted.partition(' ')[2]} is not valid"
        detail = f"{wanted} is required" if given is None else wrong
        raise RejectedError(401, detail, headers=(("WWW-Authenticate", challenge),))


def _no_token(error: str, description: str) -> Response:
    """Return the error response of RFC 6749 section 5.2."""
    is_unknown = error == "invalid_client"
    status = 401 if is_unknown else 400
    challenge = (("WWW-Authenticate", _CHALLENGES["basic"][0]),) if is_unknown else ()
    document = {"error": error, "error_description": description}
    return as_json(document, status=status, headers=(*_NO_STORE, *challenge))
