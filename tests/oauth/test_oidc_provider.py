"""Tokens from an authorization server that nobody here wrote: npm's oidc-provider."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

import httpkit
from httpkit import BasicAuth, ClientCredentialsAuth, RefreshTokenAuth, TokenError

SOURCE = Path(__file__).parent / "oidc_provider"
# Colon, space, quote, slash, plus, percent and ampersand: each is encoded in its own way.
SECRET = 'c4n4ry: "/+%&'
BASIC, POST = "service:basic", "service-post"
# Seconds. The first run downloads 40 packages.
LONG = 180

pytestmark = [
    pytest.mark.timeout(LONG),
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")), reason="oidc-provider needs node"
    ),
]


def installed():
    """Return a folder with the server and what it needs, kept from run to run."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    name = f"httpkit-oidc-provider-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder = Path(tempfile.gettempdir()) / name
    if not folder.exists():
        fresh = Path(tempfile.mkdtemp())
        shutil.copytree(SOURCE, fresh, dirs_exist_ok=True)
        ran = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=fresh, capture_output=True, text=True, timeout=LONG, check=False,
        )  # fmt: skip
        if ran.returncode:
            pytest.skip(f"npm cannot install oidc-provider: {ran.stderr[-200:]}")
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    shutil.copy(SOURCE / "server.mjs", folder)
    return folder


@pytest.fixture(scope="module")
def running():
    with subprocess.Popen(
        ["node", "server.mjs"],
        cwd=installed(), env={**os.environ, "CLIENT_SECRET": SECRET}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        output = process.stdout.readline()
        if not output:
            pytest.skip("this node does not run oidc-provider")
        yield json.loads(output)
        process.stdin.close()  # which ends it


@pytest.fixture
def issuer(running):
    return running["issuer"]


def strategy(issuer, client_id, **options):
    client_auth = "post" if client_id == POST else "basic"
    return ClientCredentialsAuth(
        f"{issuer}/token", client_id, SECRET, client_auth=client_auth, **options
    )


def introspected(issuer, token):
    """Ask the server what it knows of a token (RFC 7662)."""
    # It takes a post client's secret from the form only.
    with httpkit.Session(issuer) as api:
        form = {"token": token, "client_id": POST, "client_secret": SECRET}
        return api.post("token/introspection", data=form).json()


def token_for(auth, sandbox):
    """Send a request and return the token that arrived with it."""
    with httpkit.Session(sandbox.url, auth=auth) as api:
        api.get("echo")
    return sandbox.requests[-1].headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("client_id", [BASIC, POST])
def test_a_client_gets_an_opaque_token_for_the_requested_scope(issuer, sandbox, client_id):
    token = token_for(strategy(issuer, client_id, scope="read"), sandbox)

    known = introspected(issuer, token)
    assert known["active"] is True
    assert (known["client_id"], known["scope"]) == (client_id, "read")
    assert 0 < known["exp"] - known["iat"] <= 60


@pytest.mark.parametrize("client_id", [BASIC, POST])
def test_a_resource_gets_a_jwt_of_its_own(issuer, sandbox, client_id):
    auth = strategy(issuer, client_id, scope=["read", "write"], resource="https://api.test/jwt")

    token = token_for(auth, sandbox)

    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["iss"], claims["aud"]) == (issuer, "https://api.test/jwt")
    assert (claims["client_id"], claims["scope"]) == (client_id, "read write")


def test_a_wrong_secret_is_an_invalid_client(issuer, sandbox):
    auth = ClientCredentialsAuth(f"{issuer}/token", BASIC, "wrong-secret")
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(TokenError) as caught:
        api.get("echo")

    assert (caught.value.status_code, caught.value.error) == (401, "invalid_client")
    assert sandbox.requests == []


def test_an_unknown_resource_is_reported(issuer, sandbox):
    auth = strategy(issuer, BASIC, resource=["https://a.test/", "https://b.test/"])
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(TokenError) as caught:
        api.get("echo")

    assert caught.value.error == "invalid_target"
    assert "resource" in caught.value.error_description


def test_a_token_revoked_at_the_server_is_replaced(issuer, sandbox):
    auth = strategy(issuer, BASIC, scope="read")
    sandbox.token = first = token_for(auth, sandbox)
    with httpkit.Session(issuer) as api:
        signer = BasicAuth("service%3Abasic", "c4n4ry%3A+%22%2F%2B%25%26")
        api.post("token/revocation", data={"token": first}, auth=signer)
    revoked = introspected(issuer, first)
    sandbox.token = "not-the-first-any-more"
    with httpkit.Session(sandbox.url, auth=auth, raise_for_status=False) as api:
        api.get("bearer")

    second = sandbox.requests[-1].headers["authorization"].removeprefix("Bearer ")
    assert revoked == {"active": False}
    assert second != first
    assert introspected(issuer, second)["active"] is True


def test_refresh_tokens_that_the_server_replaces_are_gone_on_with(running, sandbox):
    reported = []
    first = running["refreshTokens"][0]
    auth = RefreshTokenAuth(
        f"{running['issuer']}/token", "app", first, SECRET, on_refresh=reported.append
    )
    with httpkit.Session(sandbox.url, auth=auth, raise_for_status=False) as api:
        # This guard accepts no token of that server: each call asks for another, until a
        # replacement is rejected, too.
        api.get("bearer")

    used = {first, *(tokens.refresh_token for tokens in reported)}
    assert (len(reported), len(used)) == (2, 3)
    assert reported[0].expires_in == 60


def test_a_public_client_refreshes_without_a_secret(running, sandbox):
    reported = []
    auth = RefreshTokenAuth(
        f"{running['issuer']}/token", "public-app", running["refreshTokens"][1],
        on_refresh=reported.append,
    )  # fmt: skip
    token = token_for(auth, sandbox)

    assert reported[0].access_token == token
    assert reported[0].refresh_token != running["refreshTokens"][1]
