"""One request to a token endpoint.

It is a call of our own Session, with its retries, limits and errors. It shares the adapters,
proxies and certificates of the session whose request is signed, and nothing else.

Rule: no error of it holds the request or the response, which hold the secret.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

import requests

from httpkit._client.session import Session
from httpkit._core import redaction
from httpkit._core.error_redaction import causes
from httpkit._core.types import TokenTransport
from httpkit._diagnostics import log_records
from httpkit._diagnostics.errors import BodyTooLargeError, DeadlineExceededError, TokenError
from httpkit._oauth.token_cache import TokenSet
from httpkit._policy.auth import NO_AUTH, Strategy
from httpkit._policy.retry import RetryPolicy

Form: TypeAlias = list[tuple[str, str]]

# More is no token response, and must not fill the memory.
LARGEST_RESPONSE = 1 << 20
# A token that was granted and got lost on the way does no harm, and another is not requested in
# vain. That holds for a refresh token too: if the server has replaced it, the new one is lost,
# and a retry is the only chance that it repeats its response (RFC 9700 section 4.14.2).
_RETRY = RetryPolicy(methods={"POST"})


class _TokenSession(Session):
    """Sends by the adapters, proxies and certificates of another session; signs nothing."""

    token_transport: TokenTransport | None = None

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return the settings that the other session has for a URL."""
        other: Any = self.token_transport or super()
        settings: dict[str, Any] = other.merge_environment_settings(
            url, proxies, stream, verify, cert
        )
        return settings


@contextmanager
def session_for_tokens(
    token_transport: TokenTransport | None, **settings: Any
) -> Generator[Session]:
    """Give a session that sends by the adapters of another one, if there is one."""
    session = _TokenSession(auth=NO_AUTH, retry=_RETRY, **settings)
    if token_transport is None:
        with session:
            yield session
    else:  # the connections are those of the other session, and stay open
        session.token_transport = token_transport
        session.adapters = token_transport.adapters
        yield session


def request_token(
    session: Session, url: str, form: Form, signer: Strategy, within: float
) -> tuple[TokenSet, float]:
    """Send a token request; return what it grants, and the seconds since it was sent."""
    redacted = redaction.redact_url(url)
    if within <= 0:
        raise DeadlineExceededError(f"the deadline passed before POST {redacted}")
    try:
        response = session.post(
            url,
            data=form,
            auth=signer,
            headers={"Accept": "application/json"},
            allow_redirects=False,
            raise_for_status=False,
            deadline=within,
        )
    except BodyTooLargeError:
        what = f"the response to POST {redacted} has more than {LARGEST_RESPONSE} bytes"
    except requests.RequestException as error:
        _drop_requests(error)
        raise
    else:
        granted = TokenSet.from_response(response)
        log_records.token(response.request, expires_in=granted.expires_in)
        return granted, response.elapsed.total_seconds()
    raise TokenError(f"no token: {what}")  # outside the handler: its error holds the response


def _drop_requests(error: BaseException) -> None:
    """Take requests and responses off an error and what it came from: they hold the secret."""
    for cause in causes(error):
        if isinstance(cause, requests.RequestException):
            cause.request = cause.response = None
            cause.__dict__["attempts"] = 0  # of the caller's request
