"""Whatever a text says, a caller's or a server's: a meaning or a ValueError, and never an escape.

As in test_fuzz.py a run takes the same cases each time; HTTPKIT_FUZZ_CASES=20000 takes about so
many, and other ones.
"""

import dataclasses
import json
import os
import pickle
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

import attrs
import msgspec
import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import httpkit
from httpkit._core import documents as paths
from httpkit._core import (
    filenames,
    header_fields,
    link_fields,
    models,
    placeholders,
    rate_limit_fields,
    redaction,
    server_sent_events,
    urls,
    validators,
)
from httpkit._diagnostics import errors
from httpkit._messages import checksums
from httpkit._oauth.token_cache import TokenSet
from httpkit._policy import dispatch, rate_limits
from httpkit._transfers.part_file import PartFile

ASKED = int(os.environ.get("HTTPKIT_FUZZ_CASES", "0"))
SECRET = "canary-4712-xyzzy"
BASE = "https://api.example.com/v1"

pytestmark = pytest.mark.timeout(60 + ASKED // 10)


def fuzzed(cases: int = 60):
    return settings(
        max_examples=ASKED // 25 or cases // 3,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )


# Texts of pieces that mean something somewhere, and of anything in between.
PIECES = [
    "/", "//", "\\", "..", ".", "%2e", "%2F", "%5c", "%00", "%", "?", "#", "@", ":", ";", ",", "&",
    "=", '"', "'", '\\"', "<", ">", "{id}", "{", "}", "[", "]", "[::1]", "*", "\r", "\n", "\0",
    "\t", " ", "\x85", "\u2028", "\u202e", "\ud800", "\uff0f", "\u2024", "é", "https://", "http:",
    "file:", "user:pw@", "api.example.com", ":443", ":99999", "token", "token=", "password",
    "filename", "filename*", "utf-8''", "rel", "next", "sha256", "md5:", "bytes", "0-1/2", "1e999",
    "-1", "nan", "9" * 30, "0x", "Mon, 01 Jan 2024 00:00:00 GMT", "Mon", "GMT", "+9999",
    "99999999999", "/s", "per", "10", "con", ".txt", "Bearer ", "Basic ", "data:", "id:", "retry:",
    "\ufeff", '{"a": 1}', "null", "1", SECRET,
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)
# What a field of an answer can hold: http.client reads Latin-1.
field_values = texts.map(lambda text: text.encode("utf-8", "replace").decode("latin-1"))
blobs = texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
TELLING = ["detail", "message", "error", "errors", "title", "loc", "field", "path", "code", "msg"]
problems = st.dictionaries(st.sampled_from(TELLING) | texts, documents, max_size=4)
bodies = blobs | problems.map(lambda problem: msgspec.json.encode(plain(problem)))


def plain(value: Any) -> Any:
    """Return a document as JSON in UTF-8 can say it."""
    if isinstance(value, dict):
        return {plain(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**60), min(value, 2**60))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# What else a caller may pass by mistake.
junk = (
    documents
    | st.binary(max_size=4)
    | st.tuples(documents, documents)
    | st.sampled_from([object(), b"", b"\xff", (), {1}, 1j, Path("x"), range(3)])
)


def attempt(call: Any) -> Any:
    """Return what a call returns; None when it refuses, without showing the secret."""
    try:
        return call()
    except (requests.RequestException, ValueError) as error:
        check(error)
        return None


def check(error: Exception) -> None:
    """A refusal is no codec's error, which would hold the text, and it pickles."""
    assert not isinstance(error, UnicodeError)
    assert type(pickle.loads(pickle.dumps(error))) is type(error)


# ---- URLs


@fuzzed(300)
@given(texts)
@example("..%2f..")
@example("..\r")
@example(".\t./users")
@example("/\\evil.example")
def test_a_relative_url_stays_below_the_base(url):
    joined = attempt(lambda: urls.join(BASE, url))

    if joined is not None and not urls.is_absolute(url):
        assert joined.startswith(BASE)
        assert urls.origin(joined) == ("https", "api.example.com", 443)
        path = unquote(urlsplit(joined).path).replace("\\", "/")
        assert ".." not in path.split("/")


@fuzzed(200)
@given(texts, st.sampled_from([BASE, None]))
def test_what_is_sent_stays_below_the_base(url, base):
    with httpkit.Session(base, auth=httpkit.BearerAuth(SECRET)) as api:
        prepared = attempt(lambda: api.prepare_request(requests.Request("GET", url)))

    if prepared is None:
        return
    is_same_origin = urls.origin(prepared.url)[1:] == ("api.example.com", 443)
    assert ("Authorization" in prepared.headers) <= (is_same_origin or base is None)
    if base and not urls.is_absolute(url):
        assert prepared.url.startswith(BASE)
        assert is_same_origin


@fuzzed(200)
@given(texts)
def test_a_path_value_is_one_segment(value):
    filled = attempt(lambda: placeholders.fill("users/{id}/posts", {"id": value}))

    if filled is not None:
        first, middle, last = filled.split("/")
        assert (first, last) == ("users", "posts")
        assert unquote(middle, errors="strict") == value
        with httpkit.Session(BASE) as api:
            sent = attempt(lambda: api.prepare_request(requests.Request("GET", f"{BASE}/{filled}")))
        assert sent is not None
        assert urlsplit(sent.url).path.count("/") == 4


@fuzzed(200)
@given(texts, texts)
def test_a_link_is_http_without_userinfo_or_refused(here, link):
    target = attempt(lambda: urls.resolve(f"{BASE}/{here}", link))

    if target is not None:
        scheme, host, _ = urls.origin(target)
        assert scheme in {"http", "https"}
        assert host
        assert "@" not in urlsplit(target).netloc


@fuzzed(200)
@given(texts)
def test_reading_a_url_never_fails_in_another_way(url):
    for read in (
        urls.origin, urls.check_base, urls.encode_stray_percent, urls.query_of,
        validators.source_hash, filenames.from_url, urls.redacted, redaction.redact_url,
    ):  # fmt: skip
        attempt(lambda read=read: read(url))


@fuzzed(300)
@given(texts, texts, st.sampled_from(["token", "api_key", "sig", "user[password]", "%74oken"]))
def test_no_url_shows_the_value_of_a_secret_name(before, after, name):
    url = f"{BASE}/x?a=1&{name}=hidden-8-value&{after}"

    for shown in (
        redaction.redact_url(url),
        redaction.redact_text(f"{before} for {url}"),
        urls.redacted(url),
    ):
        assert "hidden-8-value" not in shown


@fuzzed(200)
@given(texts)
def test_masking_is_settled_at_once(text):
    for mask in (redaction.redact_text, redaction.redact_json):
        once = mask(text)
        assert mask(once) == once


# ---- Header fields of requests


@fuzzed(200)
@given(texts, texts | blobs)
def test_no_header_adds_a_line(name, value):
    with httpkit.Session(BASE) as api:
        requested = requests.Request("GET", "x", headers={name: value})
        prepared = attempt(lambda: api.prepare_request(requested))

    if prepared is not None:
        assert_lines(prepared)


@fuzzed(200)
@given(texts, texts)
def test_no_cookie_adds_a_line(name, value):
    with httpkit.Session(BASE) as api:
        requested = requests.Request("GET", "x", cookies={name: value})
        prepared = attempt(lambda: api.prepare_request(requested))

    if prepared is not None:
        assert_lines(prepared)


def assert_lines(prepared: requests.PreparedRequest) -> None:
    for name, value in prepared.headers.items():
        for part in (name, value):
            text = part.decode("latin-1") if isinstance(part, bytes) else part
            assert not {"\r", "\n", "\0"} & set(text)
            text.encode("latin-1")


@fuzzed(200)
@given(texts, texts, texts)
def test_no_part_of_a_form_adds_a_header(name, filename, media_type):
    spec = (filename, b"content", media_type)
    with httpkit.Session(BASE) as api:
        requested = requests.Request("POST", "x", files={name: spec}, data={"a": "1"})
        prepared = attempt(lambda: api.prepare_request(requested))

    if prepared is not None:
        body = prepared.body if isinstance(prepared.body, bytes) else b"".join(prepared.body)
        heads = [part.partition(b"\r\n\r\n")[0] for part in body.split(b"--")[1:]]
        for head in heads:
            assert head.count(b"\n") <= 3


@fuzzed()
@given(texts, st.sampled_from(["header", "query", "cookie"]))
def test_a_strategy_signs_one_place_or_refuses(key, where):
    def sign() -> requests.PreparedRequest:
        auth = httpkit.APIKeyAuth(key, "X-Key", where)
        assert key not in repr(auth) or len(key) < 6
        with httpkit.Session(BASE, auth=auth) as api:
            return api.prepare_request(requests.Request("GET", "x"))

    prepared = attempt(sign)

    if prepared is not None:
        assert_lines(prepared)
        prepared.url.encode("ascii")


# ---- Fields of answers


@fuzzed(300)
@given(field_values | texts)
@example("attachment; filename*=utf-8''%2e%2e%2f%2e%2e%2fx")
@example('attachment; filename="\\\\..\\\\x"')
def test_a_file_name_stays_in_its_folder(text):
    for suggested in (text, filenames.from_disposition(text), filenames.from_url(text)):
        name = filenames.safe(suggested)

        assert name not in {"", ".", ".."}
        assert not set(name) & set('/\\:<>"|?*')
        assert not name.startswith(".")
        assert not any(unicodedata.category(character)[0] == "C" for character in name)
        assert len(f"{name}.part.json".encode()) <= 255
        assert Path("folder", name).parent == Path("folder")
        assert filenames.safe(name) == name


@fuzzed(200)
@given(field_values)
def test_a_link_field_is_read_or_passed_over(value):
    for target, parameters in link_fields.links(value):
        assert isinstance(target, str)
        assert all(name == name.lower() for name in parameters)


@fuzzed(200)
@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), field_values))
def test_a_retry_after_is_a_time_or_nothing(fields):
    wait = rate_limit_fields.retry_after(fields, 0.0)

    assert wait is None or wait >= 0


FILE_FIELDS = [
    "content-range", "content-length", "content-encoding", "content-type", "etag", "last-modified",
    "date", "repr-digest", "content-digest", "content-md5", "transfer-encoding",
]  # fmt: skip


@fuzzed(300)
@given(st.dictionaries(st.sampled_from(FILE_FIELDS), field_values), st.sampled_from([200, 206]))
def test_file_headers_of_a_response_are_read_or_ignored(fields, status):
    response = answer_of(status, fields, b"")

    known = validators.FileVersion.of(response, "source")
    validators.content_range(response)
    assert known.total is None or known.total >= 0
    for name in ("last-modified", "date"):
        moment = validators.timestamp(response.headers.get(name))
        assert moment is None or isinstance(moment, float)
    for expected in checksums.announced(response.headers, is_whole=status == 200):
        assert bytes.fromhex(expected.hexdigest)
    dispatch.StatusDispatch({}).find(response.status_code)


def answer_of(status: int, fields: dict[str, str], body: bytes) -> httpkit.Response:
    response = httpkit.Response()
    response.status_code, response.url, response.reason = status, f"{BASE}/x", "Reason"
    response.headers = header_fields.Headers(fields)
    response.__dict__.update(_content=body, _content_consumed=True)
    response.request = ASKED_FOR.copy()
    return response


ASKED_FOR = httpkit.Session(BASE).prepare_request(requests.Request("GET", "x"))


# ---- Bodies


@fuzzed(200)
@given(st.lists(blobs, max_size=5))
def test_a_stream_means_the_same_however_it_is_cut(blocks):
    whole = [b"".join(blocks)]
    single = [whole[0][at : at + 1] for at in range(len(whole[0]))]

    for read in (
        server_sent_events.parse,
        server_sent_events.split_lines,
        server_sent_events.split_blocks,
    ):
        assert list(read(blocks)) == list(read(whole)) == list(read(single))
    for event in server_sent_events.parse(whole):
        attempt(event.json)


@fuzzed(300)
@given(
    bodies,
    st.sampled_from(
        ["application/json", "application/problem+json", "text/html", "text/plain; charset=x"]
    ),
    st.integers(400, 599),
)
def test_any_error_body_is_described_in_a_line(body, media_type, status):
    redaction.remember(SECRET)
    response = answer_of(status, {"content-type": media_type}, body)

    error = errors.from_response(response, errors.class_for(status))

    shown = f"{error!r} {error.detail} {error.problem} {error.args}"
    assert SECRET not in shown
    assert error.detail is None or (len(error.detail) <= 300 and error.detail.isprintable())
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@dataclasses.dataclass
class Entry:
    id: int
    tags: list[str] = dataclasses.field(default_factory=list)


class Struct(msgspec.Struct):
    a: dict[str, float] | None = None


@attrs.define
class Attrs:
    a: int | str


class Typed(TypedDict):
    id: int


MODELS = [
    Entry,
    list[Entry],
    Struct,
    Attrs,
    Typed,
    dict,
    int,
    str,
    bytes,
    float,
    Any,
    Entry.__init__,
]


@fuzzed(300)
@given(bodies, st.sampled_from(MODELS))
def test_any_body_is_of_a_model_or_a_decode_error(body, model):
    response = answer_of(200, {}, body)

    attempt(lambda: response.decode(model))
    attempt(response.json)
    attempt(lambda: models.decode_list(body, model))
    assert isinstance(response.text, str)


@fuzzed(200)
@given(bodies, texts)
def test_a_path_in_a_body_is_found_or_not(body, location):
    attempt(lambda: paths.find(paths.RawJSON(body), location))
    attempt(lambda: paths.select(paths.RawJSON(body), location))


@fuzzed(200)
@given(bodies, st.integers(200, 599))
def test_any_response_of_a_token_endpoint_is_a_grant_or_a_token_error(body, status):
    response = answer_of(status, {"content-type": "application/json"}, body)

    try:
        granted = TokenSet.from_response(response)
    except httpkit.TokenError as error:
        pickle.loads(pickle.dumps(error))
    else:
        assert granted.access_token not in repr(granted) or len(granted.access_token) < 10


# ---- What is left of an earlier run


@fuzzed(60)
@given(body=bodies)
def test_a_sidecar_that_somebody_changed_is_no_part_of_anything(body, tmp_path_factory):
    target = tmp_path_factory.mktemp("part") / "x"
    target.with_name("x.part").write_bytes(b"abc")
    target.with_name("x.part.json").write_bytes(body)

    part = PartFile.open(target)
    try:
        known = part.version
    finally:
        part.close()

    assert known is None or known.total is None or known.total >= 0


# ---- What a caller says


@fuzzed(200)
@given(texts | junk)
def test_a_checksum_is_read_or_refused(checksum):
    expected = attempt(lambda: checksums.parse(checksum))

    if expected is not None:
        assert bytes.fromhex(expected.hexdigest)


@fuzzed(300)
@given(texts | junk)
@example("10/s")
def test_a_rate_is_read_or_refused(rate):
    read = attempt(lambda: rate_limits.read_rate(rate))

    if read is not None:
        assert read.requests > 0
        assert read.seconds > 0


SETTINGS = [
    "base_url", "auth", "timeout", "deadline", "retry", "on_status", "raise_for_status", "max_body",
    "rate_limit", "trusted_origins", "allow_http_auth", "redirect_body", "secret_headers", "strict",
]  # fmt: skip


@fuzzed(400)
@given(st.sampled_from(SETTINGS), junk)
def test_a_setting_is_taken_or_refused_at_once(name, value):
    api = attempt(lambda: httpkit.Session(**{name: value}))

    if api is not None:
        repr(api)
        attempt(lambda: api.prepare_request(requests.Request("GET", f"{BASE}/x")))
        api.close()


ARGUMENTS = [
    "params", "data", "headers", "cookies", "files", "auth", "timeout", "hooks", "json",
    "on_status", "path", "raise_for_status", "retry", "deadline", "max_body", "idempotency_key",
    "proxies", "redirect_body", "allow_http_auth",
]  # fmt: skip


class Nowhere(requests.adapters.BaseAdapter):
    """An adapter that sends nothing."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        with suppress(TypeError):  # an iterable's blocks are the caller's own affair
            b"".join(request.body or ()) if not isinstance(request.body, (str, bytes)) else b""
        raise requests.ConnectionError("nowhere", request=request)

    def close(self) -> None:
        pass


@fuzzed(400)
@given(st.sampled_from(ARGUMENTS), junk)
def test_an_argument_is_taken_or_refused_with_a_typed_error(name, value):
    with httpkit.Session(BASE, retry=None) as api:
        api.mount("https://", Nowhere())
        attempt(lambda: api.request("POST", "x", **{name: value}))


# What JSON is made of, and what looks like it.
SCRAPS = [
    *'{}[],:"\\-0123456789.eE+ aé', "\\u", "\\ud83d", "\\ude00", "\\n", "\\/", "\\x", "-0",
    "1e400", "5e-324", "123456789012345678901234567890", "18446744073709551616",
    "1.7976931348623159e308", "NaN", "Infinity", "null", "true", "false", "\n", "\x0b", "\x00",
    "\u2028", "\ufeff", "\U0001f600",
    '""', "[]", "{}", '"a":1', "4.35", "1e23", "9007199254740993", "-1.5E-7",
]  # fmt: skip
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
).map(json.dumps)


@fuzzed(400)
@given(st.lists(st.sampled_from(SCRAPS), max_size=14).map("".join) | documents)
def test_json_is_what_the_standard_library_makes_of_it(text):
    body = text.encode("utf-8", "surrogatepass")

    value = models.parsed(body)

    if value is not models.UNPARSED:
        assert repr(value) == repr(json.loads(body.decode("utf-8", "replace")))


@fuzzed(200)
@given(texts | junk, texts | junk)
def test_a_method_and_a_url_are_taken_or_refused_with_a_typed_error(method, url):
    with httpkit.Session(BASE, retry=None) as api:
        api.mount("https://", Nowhere())
        api.mount("http://", Nowhere())
        attempt(lambda: api.request(method, url))
