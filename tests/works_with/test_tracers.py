"""What watches requests from outside sees every attempt of ours, and no credential in a header."""
# ruff: noqa: E402 -- the file is skipped where these packages are missing

import json
import subprocess
import sys

import pytest
import requests

import httpkit
from tests.support.interop import require

require("sentry_sdk")
require("opentelemetry.sdk")
require("opentelemetry.instrumentation.requests")

from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

# ---- OpenTelemetry


@pytest.fixture
def spans():
    """The finished spans, while requests is instrumented."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = requests.Session.send
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter.get_finished_spans
    instrumentor.uninstrument()
    provider.shutdown()
    assert requests.Session.send is before


def test_every_attempt_is_a_span(sandbox, spans):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("flaky/a")

    assert response.attempts == 3
    assert [span.attributes["http.status_code"] for span in spans()] == [503, 503, 200]
    assert [span.status.status_code for span in spans()] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]


def test_every_attempt_tells_the_server_its_own_span(sandbox, spans):
    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/a")

    told = [seen.headers["traceparent"].split("-")[2] for seen in sandbox.attempts("a")]
    assert told == [f"{span.context.span_id:016x}" for span in spans()]


def test_every_redirect_is_a_span(sandbox, spans):
    with httpkit.Session(sandbox.url) as api:
        api.get("redirect/chain/1")

    paths = [span.attributes["http.url"].removeprefix(sandbox.url) for span in spans()]
    assert paths == ["/redirect/chain/1", "/echo"]


def test_a_session_made_before_the_instrumentation_is_traced(sandbox, request):
    with httpkit.Session(sandbox.url) as api:
        api.get("echo")
        spans = request.getfixturevalue("spans")
        api.get("echo")

    assert len(spans()) == 1


def test_a_span_holds_no_credential_of_a_header(sandbox, spans):
    auth = httpkit.BearerAuth("t0ken-of-a-span") & httpkit.APIKeyAuth("k3y-of-a-span")
    with httpkit.Session(sandbox.url, auth=auth, cookies={"sid": "c00kie-of-a-span"}) as api:
        api.get("flaky/a")
        with pytest.raises(httpkit.NotFoundError):
            api.get("posts/99")

    told = "".join(span.to_json() for span in spans())
    assert len(spans()) == 4
    assert "t0ken-of-a-span" in sandbox.requests[0].headers["Authorization"]
    assert [word for word in ("t0ken", "k3y", "c00kie") if word in told] == []


# ---- Sentry

# In a process of its own: what Sentry patches it never gives back.
SENTRY = """
import json
import sys
import httpkit
import sentry_sdk
from httpkit.testing import no_waiting
from sentry_sdk.transport import Transport

class Kept(Transport):
    def __init__(self):
        super().__init__()
        self.items = []

    def capture_envelope(self, envelope):
        self.items += [item.payload.json for item in envelope.items if item.payload.json]

url, token = sys.argv[1], sys.stdin.read()
kept = Kept()
with httpkit.Session(url, auth=httpkit.BearerAuth(token)) as api, no_waiting():
    del token
    api.get("echo")  # the connection is open before anybody watches
    sentry_sdk.init(
        "http://key@127.0.0.1:9/1", transport=kept, traces_sample_rate=1.0,
        auto_enabling_integrations=False,  # for whatever else is installed here
    )
    with sentry_sdk.start_transaction(name="test"):
        assert api.get("flaky/a").attempts == 3
        try:
            api.get("posts/99")
        except httpkit.NotFoundError as error:
            sentry_sdk.capture_exception(error)
    sentry_sdk.get_client().close()
print(json.dumps(kept.items, default=str))
"""


@pytest.fixture(scope="module")
def reported():
    """What Sentry was told by a session that it did not know of, and what the server saw."""
    with httpkit.testing.Sandbox() as sandbox:
        ran = subprocess.run(
            [sys.executable, "-c", SENTRY, sandbox.url],
            input="t0ken-for-sentry", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout), sandbox.requests


def test_every_attempt_is_a_breadcrumb(reported):
    (event, *_), _ = reported

    crumbs = [crumb["data"] for crumb in event["breadcrumbs"]["values"]]

    assert [crumb["http.response.status_code"] for crumb in crumbs] == [503, 503, 200, 404]
    assert event["exception"]["values"][-1]["type"] == "NotFoundError"


def test_every_attempt_is_a_span_of_sentry_and_tells_the_server(reported):
    (_, transaction, *_), seen = reported

    spans = [span["span_id"] for span in transaction["spans"]]

    assert len(spans) == 4
    assert [request.headers["sentry-trace"].split("-")[1] for request in seen[1:]] == spans
    assert "sentry-trace" not in seen[0].headers


def test_sentry_gets_no_credential_of_a_header_not_even_in_variables(reported):
    items, seen = reported

    assert {request.headers["Authorization"] for request in seen} == {"Bearer t0ken-for-sentry"}
    assert any("vars" in frame for frame in frames(items[0]))
    assert "t0ken" not in json.dumps(items)


def frames(event):
    return [f for value in event["exception"]["values"] for f in value["stacktrace"]["frames"]]
