"""Read by type checkers and never run: what the author of an SDK writes in tests."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import re
from collections.abc import Sequence
from typing import assert_type

import requests

import httpkit
from httpkit.testing import Attempt, FakeClock, Reply, Sandbox, Script, recorded_waits
from pytest_httpkit import StartScript


def decide(attempt: Attempt) -> int | Reply:
    assert_type(attempt.body, bytes)
    return Reply(status=429, headers={"Retry-After": "1"}) if attempt.method == "GET" else 200


def test_scripts(api: httpkit.Session) -> None:
    with (
        Script(503, requests.ConnectionError, OSError("x"), Reply(json=[1]), decide) as script,
        Script(200, method="GET", url=re.compile("users")),
        FakeClock() as clock,
        recorded_waits() as waits,
    ):
        clock.advance(3600)
        assert_type(clock.waits, list[float])
        assert_type(clock.time(), float)
        assert_type(waits, list[float])
    assert_type(script.attempts, Sequence[Attempt])
    script.assert_identical(headers=["X-Key"])
    Script("503")  # type: ignore[arg-type]
    Reply(404)  # type: ignore[call-arg]


def test_fixtures(
    httpkit_sandbox: Sandbox, httpkit_clock: FakeClock, httpkit_script: StartScript
) -> None:
    assert_type(httpkit_sandbox.url, str)
    assert_type(httpkit_clock.monotonic(), float)
    assert_type(httpkit_script(503, 200, url="https://api.example.com/"), Script)
