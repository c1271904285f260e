"""Hooks of the caller's, which may raise; those of requests' Digest believe every challenge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import requests
from requests import auth, exceptions

from httpkit._core import header_fields, upstream

if TYPE_CHECKING:
    from httpkit._client.attempt import Options
    from httpkit._messages.request import PreparedRequest


def send_closing(
    send: Callable[..., requests.Response], attempt: PreparedRequest, options: Options
) -> requests.Response:
    """Send, and close the response when a hook raises: nobody else would."""
    options = {**options, "stream": True, "allow_redirects": False}
    hooks: Any = attempt.hooks.get("response")
    if not hooks:
        attempt.hooks = {**attempt.hooks, "response": []}
        return send(attempt, **options)
    hooks = [hooks] if callable(hooks) else list(hooks)
    guarded = [_DigestHook(hook) if _is_of_digest(hook) else hook for hook in hooks]
    received: list[requests.Response] = []
    attempt.hooks = {**attempt.hooks, "response": [_Recorder(received), *guarded]}
    try:
        return send(attempt, **options)
    except BaseException:
        for response in received:
            response.close()
        raise
    finally:
        attempt.hooks = {**attempt.hooks, "response": hooks}


class _Recorder:
    """A hook that notes the response before the caller's hooks get it."""

    def __init__(self, received: list[requests.Response]) -> None:
        self.received = received

    def __call__(self, response: requests.Response, **_: Any) -> None:
        self.received.append(response)


def _is_of_digest(hook: object) -> bool:
    return isinstance(getattr(hook, "__self__", None), auth.HTTPDigestAuth)


class _DigestHook:
    """The hook of requests' HTTPDigestAuth, which believes every challenge."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook

    def __call__(self, response: requests.Response, **options: Any) -> Any:
        challenge = response.headers.get("www-authenticate", "")
        if 400 <= response.status_code < 500 and not header_fields.is_value(challenge):
            raise self._invalid(response, "it holds a control character")
        try:
            return self.hook(response, **options)
        except (LookupError, TypeError, AttributeError) as error:
            self._reset()
            raise self._invalid(response, repr(error)) from error

    def _reset(self) -> None:
        """Drop the challenge, with which the next request of this thread would fail, too."""
        signer: auth.HTTPDigestAuth = self.hook.__self__  # type: ignore[attr-defined]
        upstream.forget_challenge(signer)

    @staticmethod
    def _invalid(response: requests.Response, why: str) -> exceptions.InvalidHeader:
        return exceptions.InvalidHeader(
            f"the Digest challenge in WWW-Authenticate cannot be met: {why}",
            request=response.request,
            response=response,
        )
