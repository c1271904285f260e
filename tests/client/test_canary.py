"""A secret in every place where one can be, and every way out of the house searched for all.

test_secrets.py asks for one place at a time; here each place has a secret of its own, so that a
leak says where it comes from. A secret in Base64 or percent-encoded is a leak, too.
"""

import base64
import copy
import itertools
import json
import logging
import pickle
import pprint
import re
import socket
import stat
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import quote, quote_plus

import msgspec
import pydantic
import pytest
import requests
import vcr
from requests_cache import CacheMixin

import httpkit
from httpkit._policy import auth as auth_module
from httpkit.testing import Sandbox
from tests.support.platforms import ON_WINDOWS

_NUMBERS = itertools.count(1)
HOUSE = str(Path(httpkit.__file__).parent)


class Canaries:
    """Secrets by the name of their place, each made when it is first asked for."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def __getitem__(self, where: str) -> str:
        return self._held.setdefault(where, f"c4n4ry+{next(_NUMBERS)}/xyzzy~")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(list(self._held.items()))

    def leaks(self, *shown: str | bytes) -> list[str]:
        """Return the places whose secrets are in texts or bytes, in whatever spelling."""
        text = "\n".join(
            part.decode("latin-1") if isinstance(part, bytes) else part for part in shown
        )
        return [where for where, secret in self if any(s in text for s in forms(secret))]


def forms(secret: str) -> set[str]:
    """The secret plain, percent-encoded, escaped for JSON, and in Base64 within whatever text."""
    plain = {secret, quote_plus(secret), *(quote(secret, safe=s) for s in ("", "/", "+", "+/"))}
    plain |= {json.dumps(secret).strip('"'), secret.replace("/", "\\/"), secret.encode().hex()}
    plain |= {quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f")}
    for before in range(3):  # Base64 has three beginnings, and its ends depend on what follows
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        core = encoded[(before * 8 + 5) // 6 : -1]
        plain |= {core, core.replace("+", "-").replace("/", "_")}
    return plain


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All that is logged, by whomever, at the lowest level."""
    caplog.set_level(1)
    for name in ("httpkit", "urllib3", "requests", "tenacity"):
        caplog.set_level(1, logger=name)
    return lambda: "\n".join(
        f"{record.getMessage()} {record.args} {record.__dict__}" for record in caplog.records
    )


def loaded(url: str, canaries: Canaries, **options: Any) -> httpkit.Session:
    """Return a session with a secret wherever a session can have one."""
    auth = (
        httpkit.BearerAuth(canaries["token"])
        & httpkit.APIKeyAuth(canaries["key in a header"], "X-Who")
        & httpkit.APIKeyAuth(canaries["key in the query"], "who", "query")
        & httpkit.APIKeyAuth(canaries["key in a cookie"], "who", "cookie")
    )
    settings = {
        "auth": auth,
        "headers": {
            "X-Vendor-Token": canaries["session header"],
            "X-Pin": canaries["secret_headers"],
        },
        "params": {"access_token": canaries["session parameter"]},
        "cookies": {"sid": canaries["session cookie"]},
        "secret_headers": ["X-Pin"],
    }
    return httpkit.Session(url, **{**settings, **options})


def call_options(canaries: Canaries) -> dict[str, Any]:
    """Return a call's keywords with a secret wherever a call can have one."""
    return {
        "params": {"sig": canaries["parameter"], "user[password]": canaries["nested parameter"]},
        "headers": {
            "Private-Token": canaries["header"],
            "X-Signature": canaries["bytes header"].encode(),
        },
        "cookies": {"session": canaries["cookie"]},
    }


BODIES: dict[str, Callable[[Canaries], dict[str, Any]]] = {
    "form": lambda c: {"data": {"password": c["form"], "a": "b"}},
    "JSON": lambda c: {"json": {"user": {"password": c["JSON"]}, "tokens": [c["JSON list"]]}},
    "text": lambda c: {"data": f"grant=x&client_secret={c['text']}"},
    "multipart": lambda c: {"data": {"password": c["part"]}, "files": {"file": b"x"}},
}
with_every_body = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)


def printed(error: BaseException) -> str:
    """Return all that a person, or an error tracker without variables, sees of an error."""
    strategies_ = {name: value for name, value in vars(error).items() if name != "next_url"}
    chain = "".join(traceback.format_exception(error))
    slim = "".join(traceback.TracebackException.from_exception(error).format())
    return f"{chain}{slim}{error!s}{error!r}{error.args!r}{strategies_!r}{error.__reduce__()[1]!r}"


def shown_of(response: requests.Response) -> str:
    """Return the reprs of a response and of all that it is made of."""
    parts: list[Any] = [response, response.headers, response.cookies, response.history]
    request = response.request
    parts += [request, request.headers, getattr(request, "call", None)]
    curl = getattr(response, "to_curl", str)()  # a class of somebody else's may have none
    return curl + "".join(f"{part!r}{part!s}{part}{pprint.pformat(part)}" for part in parts)


def raised_by(call: Callable[[], object]) -> requests.RequestException:
    with pytest.raises(requests.RequestException) as caught:
        call()
    return caught.value


# ---- Calls


@with_every_body
def test_the_canaries_really_fly(sandbox, canaries, body):
    with loaded(sandbox.url, canaries) as api:
        api.post("status/200", **call_options(canaries), **body(canaries))

    received = sandbox.requests[0]
    sent = f"{received.path}?{received.query}{dict(received.headers)}{received.body!r}"
    assert sorted(canaries.leaks(sent.replace("\\\\", "\\"))) == sorted(
        where for where, _ in canaries
    )


@with_every_body
def test_a_response_shows_no_secret(sandbox, canaries, logs, body):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with loaded(sandbox.url, canaries) as api:
            response = api.post("status/200", **call_options(canaries), **body(canaries))
            shown = shown_of(response) + repr(api) + repr(api.auth) + repr(api.headers)
            shown += repr(api.cookies) + repr(api.get_adapter(sandbox.url))

    assert canaries.leaks(shown, logs(), repr([str(w.message) for w in warned])) == []
    assert canaries.leaks(pickle.dumps(response), pickle.dumps(response.request)) == []


@with_every_body
def test_a_curl_command_shows_the_secrets_that_are_asked_for_and_no_others(sandbox, canaries, body):
    with loaded(sandbox.url, canaries) as api:
        response = api.post("status/200", **call_options(canaries), **body(canaries))
        failed = raised_by(lambda: api.get("status/404", **call_options(canaries)))

    shown = response.to_curl(secrets=True).replace("'\"'\"'", "'").replace("\\\\", "\\")
    assert sorted(canaries.leaks(shown)) == sorted(where for where, _ in canaries)
    assert canaries.leaks(response.to_curl(), failed.to_curl(), failed.response.to_curl()) == []


@with_every_body
def test_a_log_of_everything_shows_no_secret(sandbox, canaries, capsys, caplog, logs, body):
    where = quote(canaries["redirect"], safe="")
    with loaded(sandbox.url, canaries) as api, httpkit.log_requests("DEBUG"):
        api.put("flaky/key", **{**call_options(canaries), **body(canaries)})
        api.get("redirect", params={"to": f"{sandbox.other_url}/echo?token={where}"})
        raised_by(lambda: api.get("truncated", **call_options(canaries)))
        with api.with_options(strict=False, retry=None, deadline=None, max_body=None) as plain:
            plain.get("echo", **call_options(canaries))

    reported = {getattr(record, "httpkit_event", None) for record in caplog.records}
    assert {"call", "retry", "redirect"} <= reported
    printed = capsys.readouterr().err
    assert printed.count("\n") >= 7
    assert canaries.leaks(printed, logs()) == []


@with_every_body
def test_an_error_status_shows_no_secret(sandbox, canaries, logs, body):
    with loaded(sandbox.url, canaries) as api:
        error = raised_by(
            lambda: api.post("status/403", **call_options(canaries), **body(canaries))
        )

    assert canaries.leaks(printed(error), shown_of(error.response), logs()) == []
    assert canaries.leaks(pickle.dumps(error)) == []


@with_every_body
def test_a_connection_that_fails_shows_no_secret(nobody, canaries, logs, body):
    events: list[httpkit.RetryEvent] = []
    with loaded(nobody, canaries, retry=httpkit.RetryPolicy(on_retry=events.append)) as api:
        error = raised_by(lambda: api.post("x", **call_options(canaries), **body(canaries)))

    assert len(events) == 2
    assert canaries.leaks(printed(error), *map(repr, events), logs()) == []
    assert canaries.leaks(pickle.dumps(error), pickle.dumps(events)) == []


@with_every_body
@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_what_a_server_repeats_of_a_request_is_not_shown(raw_server, canaries, body, logs, status):
    """Whole, as JSON: a form's field is known by its name, a strategy's by its value."""

    def echo(connection: socket.socket) -> None:
        head = b""
        connection.settimeout(1)
        while not re.search(rb"\r\n\r\n.*(pass|secret).*", head, re.DOTALL):
            head += connection.recv(65536)
        text = head.decode("latin-1").replace("\r\n", " ")
        output = json.dumps({"message": text[-280:], "detail": text}).encode()
        connection.sendall(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(output) - 1}\r\nConnection: close\r\n\r\n".encode()
        )
        connection.sendall(output)

    server = raw_server(echo)
    with loaded(server.url, canaries, retry=None) as api:
        error = raised_by(lambda: api.post("x", **call_options(canaries), **body(canaries)).json())

    shown = printed(error)
    if isinstance(error, httpkit.StatusError):
        shown += f"{error.detail}{error.problem}"
    is_form = "part" in dict(canaries)  # a part's name is in another line than its value
    assert set(canaries.leaks(shown)) <= ({"part"} if is_form else set())


@pytest.mark.parametrize("status", [200, 403])
def test_a_token_in_a_reason_or_a_name_of_the_server_is_not_shown(
    raw_server, make_response, canaries, status
):
    token = canaries["token"]
    server = raw_server(make_response(f"{status} {token}", x_request_id=f"r-{token}"))
    with httpkit.Session(server.url, auth=httpkit.BearerAuth(token)) as api:
        response = api.get("x", raise_for_status=False)

    error = httpkit._diagnostics.errors.from_response(response, httpkit.StatusError)
    assert error.request_id == "r-***"
    assert canaries.leaks(shown_of(response), printed(error), pickle.dumps([response, error])) == []


def test_a_proxys_password_is_not_shown(raw_server, make_response, canaries, logs):
    proxy = raw_server(make_response("403 No", b"no"))
    password = quote(canaries["proxy password"], safe="")
    address = proxy.url.replace("//", f"//user:{password}@")
    with httpkit.Session("http://api.invalid", proxies={"http": address}, retry=None) as api:
        error = raised_by(lambda: api.get("x"))

    basic = base64.b64encode(f"user:{canaries['proxy password']}".encode())
    assert basic in proxy.requests[0]
    assert canaries.leaks(printed(error), shown_of(error.response), repr(api), logs()) == []
    assert canaries.leaks(pickle.dumps(error)) == []


def test_a_proxys_password_is_not_shown_when_the_proxy_is_not_there(nobody, canaries, logs):
    password = quote(canaries["proxy password"], safe="")
    address = nobody.replace("//", f"//user:{password}@")
    for scheme in ("http", "https"):
        with httpkit.Session(f"{scheme}://api.invalid", proxies={scheme: address}) as api:
            error = raised_by(lambda api=api: api.get("x"))

        assert canaries.leaks(printed(error), logs(), pickle.dumps(error)) == []


@pytest.mark.parametrize("path", ["status/200", "status/403"])
def test_userinfo_is_not_shown(sandbox, canaries, logs, path):
    password = quote(canaries["userinfo"], safe="")
    address = sandbox.url.replace("//", f"//user:{password}@")
    with httpkit.Session(address, raise_for_status=False) as api:
        response = api.get(path)
        shown = repr(api) + shown_of(response)

    error = httpkit._diagnostics.errors.from_response(response, httpkit.StatusError)
    assert "Basic" in sandbox.requests[0].headers["authorization"]
    assert canaries.leaks(shown, printed(error), logs(), pickle.dumps([response, error])) == []


def test_a_redirect_passes_no_secret_on_to_people(raw_server, make_response, canaries, logs):
    where = "/next?token=" + quote(canaries["redirect"], safe="")
    server = raw_server(make_response("302 Found", location=where), make_response("500 No"))
    with loaded(server.url, canaries, retry=None) as api:
        error = raised_by(lambda: api.get("x", **call_options(canaries)))
        shown = shown_of(error.response)

    assert canaries.leaks(printed(error), shown, logs(), pickle.dumps(error)) == []


# ---- Tokens


def granting(sandbox: Sandbox, canaries: Canaries, response: Any, raw_server: Any) -> Any:
    grant = {
        "access_token": canaries["access token"],
        "refresh_token": canaries["refresh token"],
        "token_type": "Bearer",
        "expires_in": 3600,
    }
    return raw_server(response(body=json.dumps(grant).encode(), content_type="application/json"))


@pytest.mark.parametrize("client_auth", ["basic", "post"])
@pytest.mark.parametrize("path", ["status/200", "status/401"])
def test_tokens_and_token_requests_are_not_shown(
    sandbox, raw_server, make_response, canaries, logs, client_auth, path
):
    server = granting(sandbox, canaries, make_response, raw_server)
    granted: list[httpkit.TokenSet] = []
    auths = [
        httpkit.ClientCredentialsAuth(
            server.url, "me", canaries["client secret"], client_auth=client_auth
        ),
        httpkit.RefreshTokenAuth(
            server.url, "me", canaries["old refresh token"], on_refresh=granted.append
        ),
    ]
    shown = []
    for auth in auths:
        with httpkit.Session(sandbox.url, auth=auth, raise_for_status=False) as api:
            response = api.get(path)
            error = httpkit._diagnostics.errors.from_response(response, httpkit.StatusError)
            shown += [repr(auth), str(auth), repr(api), shown_of(response), printed(error)]
            shown += [
                pickle.dumps(response).decode("latin-1"),
                pickle.dumps(error).decode("latin-1"),
            ]

    assert canaries.leaks(sandbox.requests[0].headers["authorization"]) == ["access token"]
    assert canaries.leaks(*shown, repr(granted), logs()) == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            lambda c: ("400 No", {"error": "invalid_client", "error_description": c}), id="refused"
        ),
        pytest.param(lambda c: ("200 OK", {"access_token": c, "token_type": "mac"}), id="odd type"),
        pytest.param(lambda c: ("500 No", {"message": f"client_secret={c}"}), id="failed"),
    ],
)
def test_a_token_server_that_says_too_much_is_not_quoted(
    sandbox, raw_server, make_response, canaries, logs, reply
):
    status, document = reply(canaries["client secret"])
    server = raw_server(
        make_response(status, json.dumps(document).encode(), content_type="application/json")
    )
    auth = httpkit.ClientCredentialsAuth(
        server.url, "me", canaries["client secret"], client_auth="post"
    )
    with httpkit.Session(sandbox.url, auth=auth) as api:
        error = raised_by(lambda: api.get("status/200"))

    assert canaries.leaks(printed(error), logs(), pickle.dumps(error)) == []


@pytest.mark.parametrize("client_auth", ["basic", "post"])
def test_a_missing_token_server_is_reported_without_the_request(
    sandbox, nobody, canaries, logs, client_auth
):
    auth = httpkit.ClientCredentialsAuth(
        nobody, "me", canaries["client secret"], client_auth=client_auth
    )
    with httpkit.Session(sandbox.url, auth=auth) as api:
        error = raised_by(lambda: api.get("status/200"))

    assert getattr(error.request, "body", None) is None  # an error tracker may send it
    assert canaries.leaks(printed(error), logs(), pickle.dumps(error)) == []


# ---- Transfers, lists and many at once


def test_a_download_writes_and_shows_no_secret(sandbox, canaries, logs, tmp_path):
    received: list[str] = []
    with loaded(sandbox.url, canaries) as api:
        done = api.download(
            "bytes/50000?drop=20000&key=d",
            tmp_path,
            progress=lambda p: received.append(repr(p)),
            **call_options(canaries),
        )

    assert received
    assert canaries.leaks(repr(done), *received, logs(), pickle.dumps(done)) == []


def test_what_a_broken_download_leaves_behind_holds_no_secret(sandbox, canaries, logs, tmp_path):
    target = tmp_path / "file"
    with loaded(sandbox.url, canaries, retry=None) as api:
        error = raised_by(
            lambda: api.download("truncated", target, max_stalls=0, **call_options(canaries))
        )

    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left.keys() == {"file.part", "file.part.json"}
    assert canaries.leaks(*left.values(), printed(error), logs(), pickle.dumps(error)) == []


def test_the_address_of_an_upload_is_in_its_state_alone(
    raw_server, make_response, canaries, logs, tmp_path
):
    where = "/files/" + quote(canaries["upload address"], safe="~+")
    server = raw_server(make_response("201 Made", location=where), make_response("500 No"))
    state = tmp_path / "state"
    with loaded(server.url, canaries, retry=None) as api:
        error = raised_by(
            lambda: api.upload("up", b"abc", resumable="tus", state=state, max_stalls=1)
        )

    assert canaries.leaks(printed(error), logs(), pickle.dumps(error)) == []
    # What it must hold to go on is for its owner alone, and nothing else is in it.
    assert canaries.leaks(state.read_bytes()) == ["upload address"]
    assert ON_WINDOWS or stat.S_IMODE(state.stat().st_mode) == 0o600


def test_resources_and_pages_show_no_secret(sandbox, canaries, logs):
    with loaded(sandbox.url, canaries) as api:
        resource = api.resource("posts")
        pages = api.paginate("posts", params={"api_key": canaries["parameter"]})
        page = next(pages.pages())
        bound = resource.list(params={"token": canaries["parameter"]})
        shown = [repr(part) for part in (resource, pages, page, bound, resource.get)]
        error = raised_by(lambda: resource.get(99))

    assert canaries.leaks(*shown, printed(error), logs(), pickle.dumps(error)) == []


def test_graphql_shows_no_secret(sandbox, canaries, logs):
    with loaded(sandbox.url, canaries) as api:
        error = raised_by(
            lambda: api.graphql("{ error }", {"password": canaries["variable"]}, url="status/400")
        )

    assert canaries.leaks(printed(error), logs(), pickle.dumps(error)) == []


def test_an_error_of_one_of_many_calls_shows_no_secret(sandbox, canaries, logs):
    with loaded(sandbox.url, canaries) as api:
        found = list(api.map(lambda n: api.get(f"status/{n}"), [200, 404], errors="return"))

    shown = "".join(printed(e) if isinstance(e, BaseException) else shown_of(e) for e in found)
    assert canaries.leaks(shown, logs(), pickle.dumps(found)) == []


# ---- Objects


def strategies(canaries: Canaries) -> list[Any]:
    url = "https://auth.example.com/token"
    return [
        httpkit.BearerAuth(canaries["token"]),
        httpkit.BasicAuth("user", canaries["password"]),
        httpkit.BasicAuth(canaries["key as user"]),
        *(httpkit.APIKeyAuth(canaries["key"], "k", w) for w in ("header", "query", "cookie")),
        httpkit.ClientCredentialsAuth(url, "me", canaries["client secret"]),
        httpkit.RefreshTokenAuth(url, "me", canaries["refresh token"]),
        httpkit.BearerAuth(canaries["token"]) & httpkit.BasicAuth("user", canaries["password"]),
        httpkit.TokenSet(canaries["access token"], canaries["refresh token"]),
        auth_module.as_signer(("user", canaries["pair"])),
    ]


def test_no_object_shows_what_it_holds_however_it_is_printed(canaries):
    strategies_ = strategies(canaries)

    shown = [f"{part!r}{part!s}{part}{pprint.pformat(part)}" for part in strategies_]

    assert canaries.leaks(*shown, repr(strategies_), f"{SimpleNamespace(auth=strategies_)}") == []


# What a setting or an argument may be by mistake: the secret is at the wrong place, or odd.
MISTAKES: dict[str, Callable[[str], object]] = {
    "token": httpkit.BearerAuth,
    "key": httpkit.APIKeyAuth,
    "cookie": lambda bad: httpkit.APIKeyAuth(bad, "k", "cookie"),
    "password": lambda bad: httpkit.BasicAuth("u", bad),
    "user": lambda bad: httpkit.BasicAuth(f"u:{bad}", "p"),
    "pair": lambda bad: httpkit.Session("https://a.example", auth=("u", [bad])),
    "base_url": lambda bad: httpkit.Session(f"https://u:{quote(bad)}@/x?y"),
    "headers of a session": lambda bad: httpkit.Session("https://a.example", headers=[bad]),
    "proxies": lambda bad: httpkit.Session("https://a.example", proxies=[bad]),
    "cookies of a session": lambda bad: httpkit.Session("https://a.example", cookies=[bad]),
    "header": lambda bad: httpkit.Session("https://a.example").get("x", headers={"X-Token": bad}),
    "cookies": lambda bad: httpkit.Session("https://a.example").get("x", cookies={"a": bad}),
    "url": lambda bad: httpkit.Session("https://a.example").get(f"//h/?token={quote(bad)}"),
    "params": lambda bad: httpkit.Session("https://a.example").get(
        "x", params={"token": f"{bad}\ud800"}
    ),
    "data": lambda bad: httpkit.Session("https://a.example").post(
        "x", data={"password": f"{bad}\ud800"}
    ),
    "text": lambda bad: httpkit.Session("https://a.example").post("x", data=f"{bad}\ud800"),
    "json": lambda bad: httpkit.Session("https://a.example").post(
        "x", json={"password": {bad: bad, object(): 1}}
    ),
    "files": lambda bad: httpkit.Session("https://a.example").post(
        "x", files={"f": ("n", b"", bad)}
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_without_its_secret(canaries, mistake):
    with pytest.raises((requests.RequestException, ValueError)) as caught:
        mistake(canaries["secret"] + "\n\x00x")

    error = caught.value
    assert not isinstance(error, UnicodeError)
    assert canaries.leaks(printed(error), pickle.dumps(error)) == []


# ---- Variables


def test_the_variables_of_our_own_frames_show_no_secret_that_a_session_holds(nobody, canaries):
    """Of other frames nothing can be promised: http.client's hold the request as it is sent."""
    with loaded(nobody, canaries, retry=httpkit.RetryPolicy(attempts=2)) as api:
        error = raised_by(lambda: api.get("x"))

    ours = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(HOUSE)
    ]
    assert len(ours) > 5
    assert canaries.leaks(*(repr(strategies_) for strategies_ in ours)) == []


# ---- What others write


@pytest.fixture(autouse=True)
def _quiet_recorder(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="vcr")  # it logs whole URLs, as the page says


def recorder(folder: Path) -> vcr.VCR:
    """Return the recorder of docs/guides/testing.md."""
    page = (Path(__file__).parents[2] / "docs/guides/testing.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "VCR(" in b)
    names: dict[str, Any] = {}
    exec(block.partition("with ")[0], names)  # noqa: S102  # our own page
    names["recorder"].cassette_library_dir = str(folder)
    recorder: vcr.VCR = names["recorder"]
    return recorder


def test_a_cassette_by_the_recipe_holds_no_secret_and_replays_the_retries(
    sandbox, canaries, logs, tmp_path
):
    tape = recorder(tmp_path)
    auth = httpkit.BearerAuth(canaries["token"]) & httpkit.APIKeyAuth(
        canaries["key in the query"], "api_key", "query"
    )
    settings: dict[str, Any] = {
        "auth": auth,
        "cookies": {"sid": canaries["cookie"]},
        "headers": {"X-API-Key": canaries["header"]},
    }
    form = {"username": "u", "password": canaries["form"], "client_secret": canaries["secret"]}

    def talk() -> list[Any]:
        with httpkit.Session(sandbox.url, **settings) as api:
            got = api.get("flaky/key", params={"fail": 2})
            posted = api.post("echo", data=form)
            wanted = api.post("echo", json={"password": canaries["JSON"], "a": 1})
            return [got.attempts, got.status_code, posted.status_code, wanted.status_code]

    with tape.use_cassette("tape.yaml"):
        recorded = talk()
    sent = len(sandbox.requests)
    with tape.use_cassette("tape.yaml", record_mode="none"):
        replayed = talk()

    assert recorded == replayed == [3, 200, 200, 200]
    assert len(sandbox.requests) == sent == 5
    written = (tmp_path / "tape.yaml").read_bytes()
    assert b"flaky" in written
    assert canaries.leaks(written, logs()) == []


class Cached(CacheMixin, httpkit.Session):
    pass


def test_a_cache_on_disk_holds_what_its_own_list_of_names_leaves_in(sandbox, canaries, tmp_path):
    """Names that the cache does not know must be told to it; docs/guides/testing.md says so."""
    options = {"params": {"api_key": canaries["parameter"], "sig": canaries["told"]}}
    with Cached(
        str(tmp_path / "cache"),
        backend="sqlite",
        ignored_parameters=["Authorization", "X-Vendor-Token", "Cookie", "api_key", "sig"],
        base_url=sandbox.url,
        auth=httpkit.BearerAuth(canaries["token"]),
        headers={"X-Vendor-Token": canaries["header"]},
        cookies={"sid": canaries["cookie"]},
    ) as api:
        first, second = api.get("status/200", **options), api.get("status/200", **options)
        keys = list(api.cache.responses.keys())
        api.cache.close()

    assert (first.from_cache, second.from_cache) == (False, True)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(written) > 1000
    # The jar of a request is stored, and shown by requests-cache's own objects, as the page says.
    assert canaries.leaks(repr(keys), repr(second), repr(second.headers)) == []
    assert canaries.leaks(written) == ["cookie"]


# A response that repeats a credential so long that an excerpt cuts it

TOKEN_OF_64_KIB = "".join(f"{n:x}." for n in range(20_000))[:60_000]
REPEATS = {
    "JSON": ("application/json", '{"error": "bad %s"}'),
    "text": ("text/plain", "bad %s"),
    "page": ("text/html", "<title>bad %s</title>"),
    "far into a text": ("text/plain", "x y " * 1000 + "%s"),
    "broken JSON": ("application/json", "{bad %s"),
    "XML": ("application/xml", "<Error><Message>bad %s</Message></Error>"),
}


@pytest.mark.parametrize(("media_type", "template"), REPEATS.values(), ids=REPEATS)
@pytest.mark.parametrize("length", [40, 300, 4090, 60_000])
def test_a_long_credential_is_not_shown_by_its_beginning(
    raw_server, make_response, media_type, template, length
):
    token = TOKEN_OF_64_KIB[:length]
    body = (template % token).encode()
    server = raw_server(make_response("401 Unauthorized", body, content_type=media_type))
    with httpkit.Session(server.url, auth=httpkit.BearerAuth(token), retry=None) as api:
        with pytest.raises(httpkit.UnauthorizedError) as refused:
            api.get("x")
        response = api.get("x", raise_for_status=False)
        with pytest.raises(httpkit.DecodeError) as undecoded:
            response.decode(list)

    shown = [*map(str, [refused.value, undecoded.value]), undecoded.value.doc]
    shown += [refused.value.detail or "", response._repr_html_(), repr(refused.value)]
    assert not [text for text in shown if token[:12] in text]


# What a server repeats of a request in its own words, where no name stands beside it


CARRIED: dict[str, Callable[[httpkit.Session, str], object]] = {
    "query": lambda api, secret: api.get("x", params={"apikey": secret}),
    "signed URL": lambda api, secret: api.get(f"x?X-Amz-Signature={quote(secret, safe='')}"),
    "unknown header": lambda api, secret: api.get("x", headers={"CB-ACCESS-SIGN": secret}),
    "form": lambda api, secret: api.post("x", data={"a": "b", "password": secret}),
    "JSON": lambda api, secret: api.post("x", json={"user": [{"password": secret}]}),
    "JSON list": lambda api, secret: api.post("x", json={"tokens": [secret]}),
    "XML": lambda api, secret: api.post("x", data=f"<a><s:Password>{secret}</s:Password></a>"),
    "variable": lambda api, secret: api.graphql("{ x }", {"password": secret}, url="x"),
    "cookie of the server": lambda api, _: api.get("x"),
    "one of many calls": lambda api, secret: list(
        api.map(lambda key: api.get("x", params={"key": key}), [secret])
    ),
    "streamed": lambda api, secret: api.get("x", params={"sig": secret}, stream=True),
    "operation": lambda api, secret: api.poll(f"{api.base_url}/x?sig={quote(secret, safe='')}"),
}


@pytest.mark.parametrize("call", CARRIED.values(), ids=CARRIED)
@pytest.mark.parametrize("status", ["400 Bad", "200 OK"])
def test_what_a_request_carried_is_hidden_in_the_words_of_the_server(
    raw_server, make_response, canaries, logs, call, status
):
    secret = canaries["secret"]
    said = {"status": "failed", "errors": [{"message": f"'{secret}' is not a good one"}]}
    cookie = f"sid={quote(secret, safe='')}; Path=/"
    body = json.dumps(said).encode()
    server = raw_server(
        make_response(status, body, content_type="application/json", set_cookie=cookie)
    )
    with httpkit.Session(server.url, retry=None) as api:
        try:
            result: Any = call(api, secret)
            result.decode(list)
        except (requests.RequestException, AttributeError) as error:
            result = error
            if isinstance(error, AttributeError):
                return  # a list: there is no error to look at

    response = result.response
    assert "good one" in response.text
    assert canaries.leaks(printed(result), shown_of(response), logs()) == []
    assert canaries.leaks(result._repr_html_(), response._repr_html_()) == []


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error, and all that it came from or holds."""
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            pending += [one.__cause__, one.__context__, *one.args, *vars(one).values()]
    return found


def below(error: BaseException) -> str:
    """Return all that the errors of a chain hold."""
    chain = chain_of(error)
    held = "".join(f"{vars(one)!r}{one.__reduce__()[1]!r}" for one in chain)
    texts = "".join(repr(one.object) for one in chain if isinstance(one, UnicodeError))
    return held + texts + "".join(map(printed, chain))


def a_password(secret: str, place: str) -> str:
    return f"http://user:{secret}@{place.partition('//')[2]}"


# Of requests' own ways: what cannot be encoded is quoted, or held, by the error.
UNSENDABLE: dict[str, Callable[[str, str], object]] = {
    "header": lambda bad, url: lenient().get(url, headers={"X-Key": f"{bad}€"}),
    "header with a line": lambda bad, url: lenient().get(url, headers={"X-Key": f"{bad}\r\nA: b"}),
    "header of a list": lambda bad, url: lenient().get(url, headers={"X-Key": [bad]}),
    "pair": lambda bad, url: lenient().get(url, auth=("u", f"{bad}€")),
    "userinfo": lambda bad, url: lenient().get(a_password(f"{quote(bad)}€€", url)),
    "proxy": lambda bad, url: lenient().get(
        "http://a.invalid", proxies={"http": a_password(f"{quote(bad)}€€", url)}
    ),
    "tunnel": lambda bad, url: lenient().get(
        "https://a.invalid", proxies={"https": a_password(f"{quote(bad)}€€", url)}
    ),
    "parameter": lambda bad, url: lenient().get(url, params={"token": f"{bad}\ud800"}),
    "form": lambda bad, url: lenient().post(url, data={"password": f"{bad}\ud800"}),
    "path": lambda bad, url: httpkit.Session(url).get("{token}", path={"token": f"{bad}\ud800"}),
    "id": lambda bad, url: httpkit.Session(url).resource("x").get({"token": bad}),
}


def lenient() -> httpkit.Session:
    return httpkit.Session(strict=False)


@pytest.mark.parametrize("send", UNSENDABLE.values(), ids=UNSENDABLE)
def test_an_error_about_what_cannot_be_encoded_does_not_hold_it(nobody, canaries, logs, send):
    with pytest.raises((requests.RequestException, UnicodeError)) as caught:
        send(canaries["secret"], nobody)

    assert canaries.leaks(below(caught.value), logs(), pickle.dumps(caught.value)) == []


@pytest.mark.parametrize(
    "value_of",
    [
        lambda secret: [secret],
        lambda secret: {secret: 1},
        lambda secret: [f") from ('{secret}', x) must be of type "],
    ],
    ids=["list", "dict", "like the message"],
)
def test_a_header_of_another_type_is_named_without_its_value(nobody, canaries, value_of):
    value = value_of(canaries["secret"])

    with pytest.raises(requests.exceptions.InvalidHeader, match=r"from \('X-Tenant', ") as caught:
        lenient().get(nobody, headers={"X-Tenant": value})

    assert canaries.leaks(below(caught.value)) == []


def test_the_containers_of_a_session_show_no_secret(canaries):
    secret = canaries["secret"]
    proxy = f"http://me:{quote(secret, safe='')}@p"
    session = httpkit.Session(
        params={"api_key": secret, "blob": secret, "page": 2}, proxies={"http": f"{proxy}:3128"}
    )
    session.params.update(token=secret)
    session.proxies["https"] = f"{proxy}:3129"

    clones = [session, session.with_options(), copy.copy(session), copy.deepcopy(session)]
    printed = [repr((each.params, each.proxies)) for each in clones]

    assert canaries.leaks(*printed) == []
    assert "'page': 2" in printed[0]
    assert "p:3129" in printed[0]
    assert session.params == {"api_key": secret, "blob": secret, "page": 2, "token": secret}


def test_the_errors_below_an_error_hold_no_secret(raw_server, nobody, canaries):
    secret = canaries["secret"]
    httpkit.add_secret(canaries["added"])
    server = raw_server(f"{secret} is no status line\r\n\r\n".encode())
    auth = httpkit.BearerAuth(secret)
    errors = [
        raised_by(lambda: httpkit.Session(strict=False, auth=auth).get(server.url)),
        raised_by(lambda: httpkit.Session(nobody, retry=None).get("x", params={"sig": secret})),
        raised_by(lambda: httpkit.Session(nobody, retry=None).get(quote(canaries["added"]))),
    ]

    assert len(errors) == 3
    assert canaries.leaks(*map(below, errors), *map(pickle.dumps, errors)) == []


class Grant(pydantic.BaseModel):
    access_token: int


class Kind(msgspec.Struct):
    access_token: Literal["a"]


@pytest.mark.parametrize("model", [Grant, Kind, list[Grant], dict[str, int]])
@pytest.mark.parametrize("end", ["", "x", "\udcff"], ids=["whole", "text after it", "no UTF-8"])
def test_a_document_that_is_not_of_a_model_is_not_quoted_with_its_secrets(
    raw_server, make_response, canaries, model, end
):
    body = f'{{"access_token": "{canaries["granted"]}"}}{end}'.encode(errors="surrogateescape")
    server = raw_server(make_response(body=body, content_type="application/json"))
    with httpkit.Session(server.url) as api:
        response = api.get("x")
    errors = [raised_by(lambda: response.decode(model))]
    errors += [raised_by(response.json)] if end else []

    assert canaries.leaks(*map(below, errors), *(e._repr_html_() for e in errors)) == []


def test_a_body_of_xml_is_shown_without_its_secrets(raw_server, make_response, canaries):
    body = "<a><Password>{}</Password><s:apiKey a='1'>{}</s:apiKey><keyId>shown</keyId></a>"
    filled = body.format(canaries["element"], canaries["with a namespace"]).encode()
    server = raw_server(make_response("400 Bad", filled, content_type="text/xml"))
    with httpkit.Session(server.url) as api:
        error = raised_by(lambda: api.post("x", data=filled, headers={"Content-Type": "text/xml"}))

    assert "shown" in error.to_curl()
    assert canaries.leaks(error.to_curl(), error._repr_html_(), error.response._repr_html_()) == []


def test_the_password_of_a_clients_key_is_not_shown(canaries):
    with httpkit.Session("https://a.example", cert=("c", "k", canaries["key password"])) as api:
        shown = [repr(api.cert), repr(vars(api)), pprint.pformat(vars(api))]

    assert api.cert[2] == canaries["key password"]
    assert canaries.leaks(*shown) == []
