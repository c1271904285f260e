"""What may be shown of a request: names by one table, values under unknown names by their form."""

import pickle
import time

import pytest

import httpkit
from httpkit._core import disclosure, redaction

TOKEN = "x8Kq2vT0aZ9mL4pR"


@pytest.mark.parametrize(
    "name",
    [
        "appid", "auth", "access_key", "jwt", "pass", "key", "api_sig", "sig", "sign", "signature",
        "ticket", "assertion", "credential", "session", "sessionId", "session_id", "otp", "pin",
        "pwd", "code", "code_verifier", "hapikey", "AWSAccessKeyId", "X-Amz-Signature", "sid",
        "X-Amz-Security-Token", "user[password]", "oauth_token", "authToken", "PHPSESSID",
        "SAMLResponse", "hmac", "client-secret", "subscriptionKey", "access_code", "userpass",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [TOKEN, "abc", "1234", "blue shoes"])
def test_a_parameter_of_a_secret_name_is_masked_whatever_its_value(name, value):
    assert redaction.redact_query(f"a=1&{name}={value}&b=2") == f"a=1&{name}=***&b=2"


@pytest.mark.parametrize(
    "pair",
    [
        "userId=1", "q=blue shoes", "status=open", "max_tokens=50", "maxTokens=4096",
        "completion_tokens=12", "since=2026-11-30T10:00:00Z", "day=2026-11-30", "owner=octocat",
        "id=550e8400-e29b-41d4-a716-446655440000", "place=New York City", "price=1,234.50",
        "country_code=DE", "author=Ann", "monkey=chimp", "keyword=hash", "design=flat",
        "callback=https://example.com/done", "city=S\u00e3o Paulo",
        "columnList=createdAt,updatedAt",
        "token_type=bearer", "sort_key=name", "passenger=2", "email=joe.bloggs@example.com",
        "page=eyJpZCI6MTIzNDU2Nzg5MH0", "fields=id,title,author", "$skip=20",
        "options=verbose,no-cache,all", "user_agent_family=Mozilla",
    ],
)  # fmt: skip
def test_an_ordinary_parameter_is_readable(pair):
    url = f"https://api.example.com/x?{pair}"

    assert redaction.redact_url(url) == url
    assert redaction.redact_text(f"404 Not Found for GET {url.replace(' ', '+')}").endswith(
        pair.replace(" ", "+")
    )


@pytest.mark.parametrize(
    "value",
    [
        TOKEN, "sk_live_51H8xyzabc", "ghp_abcdefghijklmnopqrst", "hunter2hunter2",
        "0123456789abcdef0123456789abcdef", "QmFzZTY0c3RyaW5n", "c4n4ry+1/xyzzy~",
        "eyJhbGciOiJIUzI1NiJ9.e30.abc", "correcthorsebatterystaple", "A1B2-C3D4-E5F6-G7H8",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["who", "x", "custom_field", "u"])
def test_a_value_that_could_be_a_credential_is_masked_under_an_unknown_name(name, value):
    assert redaction.redact_url(f"https://h/x?{name}={value}") == f"https://h/x?{name}=***"


def test_a_query_without_names_is_masked_if_it_could_be_a_credential():
    assert redaction.redact_url(f"https://h/x?{TOKEN}") == "https://h/x?***"
    assert redaction.redact_url("https://h/x?wsdl") == "https://h/x?wsdl"


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"usage": {"total_tokens": 12}}, {"usage": {"total_tokens": 12}}),
        ({"max_tokens": 50, "token": 50}, {"max_tokens": 50, "token": "***"}),
        ({"access_tokens": 123456}, {"access_tokens": "***"}),
        ({"token_type": "bearer"}, {"token_type": "bearer"}),
        ({"ticket": {"id": 1}, "key": "PROJ-1"}, {"ticket": {"id": 1}, "key": "PROJ-1"}),
        ({"privateKey": "abc", "jwt": "abc"}, {"privateKey": "***", "jwt": "***"}),
    ],
)
def test_json_keeps_counts_of_tokens_and_words(document, shown):
    assert redaction.redact_document(document) == shown


@pytest.mark.parametrize("text", ["max_tokens=50", '"max_tokens": 4096', "total_tokens: 1234567"])
def test_a_text_keeps_counts_of_tokens(text):
    assert redaction.redact_text(text) == text


@pytest.fixture
def failure(sandbox):
    """Return the message, the curl command and the pickle of a call that ends in a 404."""

    def call(url, **options):
        with (
            httpkit.Session(sandbox.url, retry=None) as api,
            pytest.raises(httpkit.NotFoundError) as caught,
        ):
            api.get(url, **options)
        error = caught.value
        twin = pickle.loads(pickle.dumps(error))
        return f"{error} {error.to_curl()} {twin} {twin.response.url} {twin.request.url}"

    return call


@pytest.mark.parametrize("name", ["token", "bot_token", "apiKey", "secret", "auth"])
def test_a_path_segment_of_a_secret_name_is_masked(failure, name):
    shown = failure(f"bot{{{name}}}/getMe", path={name: f"123:{TOKEN}"})

    assert TOKEN not in shown
    assert "/bot***/getMe" in shown


@pytest.mark.parametrize(
    "path", [{"key": "PROJ-123"}, {"id": TOKEN}, {"sha": "a" * 40}, {"code": "EUR"}]
)
def test_a_path_segment_of_another_name_is_readable(failure, path):
    (name, value), *_ = path.items()

    assert f"/things/{value}" in failure(f"things/{{{name}}}", path=path)


@pytest.mark.parametrize("value", ["T0k3", "T024BE7LD/B024BE7LD/x8Kq2vT0", "password"])
def test_a_value_that_was_added_is_masked_everywhere(failure, value, caplog):
    caplog.set_level(1)
    httpkit.add_secret(value)

    shown = failure(f"services/{value}")

    assert value not in shown
    assert value not in caplog.text
    assert "/services/***" in shown


@pytest.mark.parametrize("value", ["", "abc", None, b"bytes-secret", 12345])
def test_a_value_that_cannot_be_a_secret_is_refused(value):
    with pytest.raises(httpkit.ConfigurationError, match="4 characters"):
        httpkit.add_secret(value)


def test_an_added_value_is_not_displaced_by_tokens_that_rotate():
    httpkit.add_secret("added-for-good")

    redaction.remember(*(f"rotating-token-{number}" for number in range(1100)))

    assert redaction.redact_text("added-for-good") == "***"


@pytest.mark.parametrize("text", ["a" * 100_000, "a_" * 50_000, "aA" * 50_000, "%41" * 30_000])
def test_a_hostile_query_is_judged_in_bounded_time(text):
    began = time.process_time()

    redaction.redact_url(f"https://h/x?{text}={text}&{text}")

    assert time.process_time() - began < 1


def test_the_names_of_a_session_count_before_the_table():
    disclosure.add_secret_names(["X-Tenant", "page"])
    disclosure.add_shown_names(["X-Region", "appid", "page"])

    assert redaction.redact_request_headers({"X-Tenant": "a", "X-Region": "b"}) == {
        "X-Tenant": "***", "X-Region": "b",
    }  # fmt: skip
    assert redaction.redact_query("appid=abc&page=2") == "appid=abc&page=***"
