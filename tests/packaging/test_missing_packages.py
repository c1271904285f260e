"""What is missing says with which line pip brings it, and is not needed by what does without."""

import json
import subprocess
import sys

import pytest
from fake_server import FakeServer, Response

# Imports no package that is absent, whoever asks, and tells what came of each statement.
PROGRAM = """
import json
import sys

ABSENT = (
    "pyrate_limiter pandas polars responses socks"
    " brotli brotlicffi zstandard backports compression.zstd"
)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if {name, name.partition(".")[0]} & {*ABSENT.split()}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import httpkit
import requests
from httpkit.testing import no_waiting

told = {}
with httpkit.Session(sys.argv[1]) as api, no_waiting():
    for statement in json.load(sys.stdin):
        try:
            told[statement] = repr(eval(statement))
        except (requests.RequestException, ValueError) as error:
            told[statement] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""

REFUSED = {
    "httpkit.Session(rate_limit='10/s')": (
        "ConfigurationError",
        "pip install 'requests-httpkit[rate-limit]'",
    ),
    "api.paginate('list').to_pandas()": ("ConfigurationError", "pip install pandas"),
    "api.paginate('list').to_polars()": ("ConfigurationError", "pip install polars"),
    "api.get('x', proxies={'http': 'socks5h://ada:s3cr3t@127.0.0.1:9'})": (
        "InvalidSchema",
        "pip install 'requests[socks]'",
    ),
    "httpkit.testing.Script(200).__enter__()": (
        "ConfigurationError",
        "pip install 'requests-httpkit[testing]'",
    ),
    "api.get('br')": ("ContentDecodingError", "pip install 'urllib3[brotli]'"),
    "api.get('zstd')": ("ContentDecodingError", "pip install 'urllib3[zstd]'"),
    "api.get('gzip,BR')": ("ContentDecodingError", "pip install 'urllib3[brotli]'"),
    "list(api.get('br', stream=True).iter_content(5))": (
        "ContentDecodingError",
        "pip install 'urllib3[brotli]'",
    ),
}
DONE = {
    "api.get('identity').content": "b'encoded'",
    "api.get('sdch').content": "b'encoded'",  # unknown to urllib3 with all its extras
    "api.get('br', stream=True).raw.read(decode_content=False)": "b'encoded'",
    "api.head('br').content": "b''",
}


class Encoded(FakeServer):
    """Sends what the path names as its coding, asked for or not."""

    def respond(self, received):
        return Response(200, b"encoded", {"Content-Encoding": received.path.removeprefix("/")})


@pytest.fixture(scope="module")
def outcomes():
    """What a process without any optional package said to each statement; what servers saw."""
    with Encoded() as server:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url],
            input=json.dumps([*REFUSED, *DONE]),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        return json.loads(ran.stdout), server.requests


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_missing_is_named_with_the_line_that_installs_it(outcomes, statement):
    error_name, line = REFUSED[statement]

    printed, _ = outcomes

    assert printed[statement].startswith(f"{error_name}: ")
    assert line in printed[statement]
    assert "s3cr3t" not in printed[statement]


@pytest.mark.parametrize("statement", DONE)
def test_what_needs_no_optional_package_does_without(outcomes, statement):
    printed, _ = outcomes

    assert printed[statement] == DONE[statement]


def test_a_coding_that_cannot_be_decoded_is_not_offered_and_not_retried(outcomes):
    _, received = outcomes

    assert [request.path for request in received].count("/zstd") == 1
    assert {request.headers["accept-encoding"] for request in received} == {"gzip, deflate"}
    assert "/list" not in {request.path for request in received}
