"""Read by type checkers and never run: tokens of an authorization server."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import requests

import httpkit
from httpkit import ClientCredentialsAuth, RefreshTokenAuth, TokenError, TokenSet
from httpkit.testing import Sandbox

URL = "https://auth.example.com/token"


def every_keyword_of_a_client() -> ClientCredentialsAuth:
    return ClientCredentialsAuth(
        URL,
        "client",
        lambda: "secret",
        scope=["read", "write"],
        audience="https://api.example.com",
        resource=("https://api.example.com/a", "https://api.example.com/b"),
        leeway=2.5,
        client_auth="post",
    )


def every_keyword_of_a_refresh() -> RefreshTokenAuth:
    def store(tokens: TokenSet) -> None:
        assert_type(tokens.access_token, str)
        assert_type(tokens.refresh_token, str | None)
        assert_type(tokens.expires_in, float | None)
        assert_type(tokens.scope, str | None)

    return RefreshTokenAuth(
        URL,
        "client",
        "refresh-token",
        None,
        scope="read",
        audience=None,
        resource=None,
        leeway=30,
        client_auth="basic",
        on_refresh=store,
    )


def from_the_environment() -> None:
    client = ClientCredentialsAuth.from_env(URL, "ID", "SECRET", scope="read", leeway=5)
    assert_type(client, ClientCredentialsAuth)
    refresh = RefreshTokenAuth.from_env(URL, "ID", "TOKEN", "SECRET", on_refresh=print)
    assert_type(refresh, RefreshTokenAuth)


def they_sign_like_any_auth(api: httpkit.Session, client: ClientCredentialsAuth) -> None:
    api.get("x", auth=client)
    api.get("x", auth=client & httpkit.APIKeyAuth("key"))
    httpkit.Session(auth=client)
    requests.get("https://api.example.com", auth=client, timeout=5)


def an_error_says_why(api: httpkit.Session) -> None:
    try:
        api.get("x")
    except TokenError as refusal:
        assert_type(refusal.error, str | None)
        assert_type(refusal.error_description, str | None)
        assert_type(refusal.status_code, int)
        assert_type(refusal.retry_after, float | None)


def a_sandbox_grants_tokens(sandbox: Sandbox) -> None:
    assert_type(sandbox.client_id, str)
    sandbox.revoke_tokens()
