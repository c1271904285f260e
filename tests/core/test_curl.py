"""A request as a curl command: curl itself is asked whether the server sees the same."""

import io
import pickle
import shutil
import subprocess

import pytest
import requests

import httpkit
from httpkit._messages.request import PreparedRequest
from httpkit.testing import Reply, Script

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
SHELLS = [shell for shell in ("sh", "bash", "dash") if shutil.which(shell)]


def run(command, folder, shell="sh"):
    """Paste a command into a shell; quietly, and without the settings of whoever runs the tests."""
    quiet = command.replace("curl ", "curl -q --silent --show-error --noproxy '*' ", 1)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"}
    ran = subprocess.run(
        [shell, "-c", quiet], cwd=folder, env=environment, capture_output=True, timeout=20,
        check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")
    return ran.stdout


def facts(received):
    """Return all that a server sees of a request; the order of the fields is curl's own."""
    fields = {name.lower(): value for name, value in received.headers.items()}
    return received.method, received.path, received.query, fields, received.body


CASES = {
    "get": lambda api: api.get("echo"),
    "query": lambda api: api.get("echo", params={"a": "1 ö&'\"$x`", "b": ["[1]", "{2,3}"]}),
    "brackets": lambda api: api.get("echo/[1-3]?a[]=1&b={x,y}"),
    "dots": lambda api: api.get("echo/.hidden/..more"),
    "quotes": lambda api: api.get("echo", headers={"X-One": 'it\'s "$HOME" `date` \\n !!'}),
    "latin-1": lambda api: api.get("echo", headers={"X-One": "sch\xf6n 100%", "X-Two": b"\xe9"}),
    "a tab": lambda api: api.get("echo", headers={"X-One": "a\tb"}),
    "empty field": lambda api: api.get("echo", headers={"X-One": ""}),
    "no fields": lambda api: api.get(
        "echo", headers={"Accept": None, "User-Agent": None, "Accept-Encoding": None}
    ),
    "host": lambda api: api.get("echo", headers={"Host": "other.test"}),
    "cookies": lambda api: api.get("echo", cookies={"a": "b;c", "d": "e"}),
    "bearer": lambda api: api.get("echo", auth=httpkit.BearerAuth("s3cr3t/t0ken==")),
    "basic": lambda api: api.get("echo", auth=("user", "pass:wörd")),
    "key": lambda api: api.get("echo", auth=httpkit.APIKeyAuth("s3cr3t key", where="query")),
    "json": lambda api: api.post("echo", json={"it's": ["ö", None, "\n\t", "$x"]}),
    "form": lambda api: api.post("echo", data={"a": "b c", "d": ["1", "@2"]}),
    "an at sign": lambda api: api.put("echo", data="@/etc/passwd"),
    "lines": lambda api: api.put("echo", data="one\ntwo\n\n"),
    "lines of Windows": lambda api: api.put("echo", data="one\r\ntwo\r\n"),
    "text": lambda api: api.put("echo", data="schön\u2028 'x'"),
    "escapes": lambda api: api.put("echo", data="\x1b[31m\x07 $x"),
    "bytes": lambda api: api.put("echo", data=bytes(range(256)) + b"%s\\n0"),
    "a hyphen": lambda api: api.put("echo", data=b"--\xff"),
    "multipart": lambda api: api.post("echo", data={"a": "b"}, files={"f": ("n.bin", b"\0\r\n")}),
    "empty post": lambda api: api.post("echo"),
    "post without a type": lambda api: api.post("echo", data=b"x", headers={"Content-Type": None}),
    "patch": lambda api: api.patch("echo", json=[1]),
    "delete": lambda api: api.delete("echo"),
    "delete with a body": lambda api: api.delete("echo", json=[1]),
    "get with a body": lambda api: api.request("GET", "echo", data="x"),
    "head": lambda api: api.head("echo"),
    "options": lambda api: api.options("echo"),
    "after a redirect": lambda api: api.post(
        "redirect", params={"to": f"{api.base_url}/echo", "status": 307}, data="x"
    ),
    "after an attempt": lambda api: api.get("flaky/key", params={"fail": 1}),
    "an error": lambda api: api.get("status/404", raise_for_status=False),
    "idempotency": lambda api: api.post("echo", json={}, idempotency_key="it's-1"),
}


@needs_curl
@pytest.mark.parametrize("send", CASES.values(), ids=CASES)
def test_curl_sends_what_was_sent(sandbox, tmp_path, send):
    with httpkit.Session(sandbox.url, trusted_origins=[sandbox.other_url]) as api:
        response = send(api)
    ours = facts(sandbox.requests[-1])

    run(response.to_curl(secrets=True), tmp_path)

    assert facts(sandbox.requests[-1]) == ours
    assert sandbox.requests[-1] is not sandbox.requests[-2]


@needs_curl
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("case", ["quotes", "latin-1", "bytes", "multipart", "json"])
def test_every_shell_reads_it_alike(sandbox, tmp_path, case, shell):
    with httpkit.Session(sandbox.url) as api:
        response = CASES[case](api)

    run(response.to_curl(secrets=True), tmp_path, shell)

    assert facts(sandbox.requests[1]) == facts(sandbox.requests[0])


@needs_curl
def test_a_compressed_response_is_shown_as_text(sandbox, tmp_path):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("gzip")

    assert run(response.to_curl(), tmp_path).decode() == response.text


@needs_curl
def test_a_path_with_dots_stays_as_it_was_sent(raw_server, make_response, tmp_path):
    server = raw_server(make_response())
    prepared = requests.Request("GET", f"{server.url}/a/%2e%2e/b").prepare()
    with httpkit.Session() as api:
        response = api.send(prepared)

    run(response.to_curl(), tmp_path)

    ours, curls = (request.split(b" ")[1] for request in server.requests)
    assert ours == curls == b"/a/../b"


def parts(size):
    while size:
        yield b"x" * min(size, 1000)
        size -= min(size, 1000)


STREAMS = {
    "file": (lambda: {"data": io.BytesIO(b"x" * 5000)}, "5000", 5000),
    "generator": (lambda: {"data": parts(5000)}, None, 5000),
    "large text": (lambda: {"data": "x" * 70_000}, "70000", 70_000),
    "large bytes": (lambda: {"data": b"\xff" * 5000}, "5000", 5000),
    "beyond what curl asks leave for": (lambda: {"data": b"x" * 1_100_000}, "1100000", 1_100_000),
}


@needs_curl
@pytest.mark.parametrize(("body", "stated", "size"), STREAMS.values(), ids=STREAMS)
def test_a_body_that_is_not_shown_is_taken_from_a_file(sandbox, tmp_path, body, stated, size):
    with httpkit.Session(sandbox.url) as api:
        response = api.put("echo", **body())
    sent = sandbox.requests[0].body
    (tmp_path / "body.bin").write_bytes(sent)

    command = response.to_curl()
    run(command, tmp_path)

    how_much = f"the {stated} bytes that were sent" if stated else "all that was sent"
    assert command.startswith(f"# body.bin: {how_much}\ncurl ")
    assert facts(sandbox.requests[1]) == facts(sandbox.requests[0])
    assert len(sent) == size


# ---- what is shown


def test_a_command_reads_well():
    with Script(Reply()), httpkit.Session("https://api.example.com/v1") as api:
        response = api.put("users/1", json={"name": "Ada"}, auth=httpkit.BearerAuth("s3cr3t-token"))

    lines = response.to_curl().split(" \\\n  ")
    assert lines[:2] == ["curl https://api.example.com/v1/users/1", "-X PUT"]
    assert "-H 'Authorization: ***'" in lines
    assert lines[-2:] == ["--compressed", """--data-raw '{"name": "Ada"}'"""]


@pytest.mark.parametrize("secrets", [False, True])
def test_secrets_are_shown_when_they_are_asked_for(secrets):
    with Script(Reply()), httpkit.Session("https://u:s3cr3t-1@api.example.com") as api:
        response = api.post(
            "x",
            params={"token": "s3cr3t-2"},
            headers={"X-API-Key": "s3cr3t-3"},
            cookies={"sid": "s3cr3t-4"},
            json={"password": "s3cr3t-5", "a": 1},
        )

    command = response.to_curl(secrets=secrets)

    assert [f"s3cr3t-{n}" in command for n in (2, 3, 4, 5)] == [secrets] * 4
    assert "Content-Length" not in command  # of a masked body it would be wrong
    assert "s3cr3t-1" not in command  # it went out as a field, in Base64
    assert "Authorization: Basic" in command or not secrets


def test_a_body_without_secrets_is_shown_unchanged():
    body = '{"b":1,  "a":[true,2.50]}'
    with Script(Reply()), httpkit.Session("https://api.example.com") as api:
        response = api.post("x", data=body, headers={"Content-Type": "application/json"})

    assert f"--data-raw '{body}'" in response.to_curl()


def test_a_key_that_is_there_twice_hides_no_secret():
    body = '{"user":{"password":"s3cr3t-word-1"},"user":1}'
    with Script(Reply()), httpkit.Session("https://api.example.com") as api:
        response = api.post("x", data=body, headers={"Content-Type": "application/json"})

    assert "s3cr3t" not in response.to_curl()


def test_a_form_with_files_is_kept_out_of_sight_unless_secrets_are_shown():
    with Script(Reply()), httpkit.Session("https://api.example.com") as api:
        response = api.post("x", data={"password": "s3cr3t-word-1"}, files={"f": b"x"})

    assert "s3cr3t" not in response.to_curl()
    assert "--data-binary @body.bin" in response.to_curl()
    assert "s3cr3t" in response.to_curl(secrets=True)


def test_errors_and_requests_say_it_too():
    with Script(404), httpkit.Session("https://api.example.com") as api:
        with pytest.raises(httpkit.NotFoundError) as caught:
            api.get("x")
        prepared = api.prepare_request(requests.Request("GET", "x"))

    assert caught.value.to_curl() == caught.value.response.to_curl() == prepared.to_curl()


def test_an_error_of_another_process_says_it_without_secrets():
    with (
        Script(404),
        httpkit.Session("https://api.example.com") as api,
        pytest.raises(httpkit.NotFoundError) as caught,
    ):
        api.get("x?token=s3cr3t-word-1", auth=httpkit.BearerAuth("s3cr3t-word-2"))

    restored = pickle.loads(pickle.dumps(caught.value))

    assert restored.to_curl(secrets=True) == caught.value.to_curl()


def test_brackets_are_no_pattern():
    prepared = requests.Request("GET", "http://[::1]/x").prepare()

    assert "--globoff" in PreparedRequest.adopt(prepared).to_curl()


def test_a_request_that_is_not_prepared_is_refused():
    with pytest.raises(ValueError, match="not prepared"):
        PreparedRequest().to_curl()


def test_a_field_that_was_kept_from_the_request_is_kept_from_curl():
    skipped = requests.Request("GET", "https://api.example.com", headers={"A": "@@@SKIP_HEADER@@@"})

    assert "-H A:" in PreparedRequest.adopt(skipped.prepare()).to_curl()
