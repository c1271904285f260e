"""What takes a requests.Session takes ours: each at work while a server fails twice."""

import gc
import io
import logging
import os
import ssl
import subprocess
import sys
from datetime import datetime
from email.utils import formatdate

import attrs
import pydantic
import pytest
import requests
import requests_mock
import responses
import trustme
import vcr
from cachecontrol import CacheControl
from cachecontrol.cache import DictCache
from requests.adapters import BaseAdapter
from requests_cache import CacheMixin

import httpkit
from httpkit import BearerAuth, NotFoundError, ServiceUnavailableError, raising
from tests.support.interop import require

BASE = "https://api.test/v1"
URL = f"{BASE}/posts"


# ---- responses


@pytest.fixture
def mocked():
    with responses.RequestsMock() as mock:
        yield mock


def test_responses_sees_every_attempt(mocked):
    for status in (503, 503, 200):
        mocked.get(URL, status=status, json={"id": 1})

    with httpkit.Session(BASE) as api:
        response = api.get("posts")

    assert (response.status_code, response.attempts, response.json()) == (200, 3, {"id": 1})
    assert len(mocked.calls) == 3


def test_responses_sees_what_a_resource_sends(mocked):
    sent = {"title": "Hello"}
    mocked.post(URL, json={"id": 1}, match=[responses.matchers.json_params_matcher(sent)])

    with httpkit.Session(BASE) as api:
        created = api.resource("posts").create(sent)

    assert created == {"id": 1}


def test_responses_follows_a_redirect(mocked):
    mocked.get(URL, status=302, headers={"Location": f"{BASE}/articles"})
    mocked.get(f"{BASE}/articles", json=[])

    with httpkit.Session(BASE) as api:
        response = api.get("posts")

    assert (response.url, [past.status_code for past in response.history]) == (
        f"{BASE}/articles",
        [302],
    )


def test_a_url_unknown_to_responses_is_not_retried(mocked, waits):
    with httpkit.Session(BASE) as api, pytest.raises(requests.ConnectionError):
        api.get("posts")

    assert (len(mocked.calls), waits) == (1, [])


def test_an_exception_of_responses_is_retried_like_a_real_one(mocked):
    mocked.get(URL, body=requests.ReadTimeout("too slow"))
    mocked.get(URL, json=[])

    with httpkit.Session(BASE) as api:
        response = api.get("posts")

    assert (response.json(), response.attempts) == ([], 2)


# ---- requests-mock


def test_requests_mock_sees_every_attempt():
    with httpkit.Session(BASE) as api, requests_mock.Mocker() as mock:
        mock.get(URL, [{"status_code": 503}, {"status_code": 503}, {"json": {"id": 1}}])
        response = api.get("posts")

    assert (response.status_code, response.attempts, response.json()) == (200, 3, {"id": 1})
    assert mock.call_count == 3


def test_requests_mock_replaces_send_on_one_session():
    # There it calls requests' own send, past ours: joining, signing and dispatch stay.
    api = httpkit.Session(BASE, auth=BearerAuth("token-12345"))
    with api, requests_mock.Mocker(session=api) as mock:
        mock.get(URL, request_headers={"Authorization": "Bearer token-12345"}, status_code=404)
        response = api.get("posts", raise_for_status=False)
        outcome = api.get("posts", on_status={404: lambda _: "absent"})

    assert isinstance(response, httpkit.Response)
    assert (outcome, mock.call_count) == ("absent", 2)


def test_an_adapter_of_requests_mock_can_be_mounted():
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", "mock://api.test/posts", [{"status_code": 503}, {"text": "hi"}])

    with httpkit.Session("mock://api.test") as api:
        api.mount("mock://", adapter)
        response = api.get("posts")

    assert (response.text, response.attempts) == ("hi", 2)


def test_an_exception_of_requests_mock_is_raised_as_it_is():
    with httpkit.Session(BASE) as api, requests_mock.Mocker() as mock:
        mock.get(URL, exc=requests.exceptions.InvalidSchema("no"))
        with pytest.raises(requests.exceptions.InvalidSchema, match="no"):
            api.get("posts")

    assert mock.call_count == 1


# ---- requests-cache


class CachedSession(CacheMixin, httpkit.Session):
    pass


class CachedBlog(CacheMixin, httpkit.Session, headers={"X-Team": "a"}):
    retry = 5
    posts = httpkit.Resource("posts")


@pytest.fixture
def cached(sandbox):
    with CachedSession(backend="memory", base_url=sandbox.url) as api:
        yield api
        api.cache.close()


def test_a_cache_hit_sends_nothing_and_says_so(cached, sandbox):
    miss = cached.get("posts/1")

    hit = cached.get("posts/1")

    assert (miss.from_cache, hit.from_cache) == (False, True)
    assert hit.json() == miss.json()
    assert len(sandbox.requests) == 1


def test_a_cache_hit_is_a_response_of_ours(cached):
    answers = [cached.get("posts/1"), cached.get("posts/1")]

    assert all(isinstance(response, httpkit.Response) for response in answers)
    assert [response.decode(dict)["id"] for response in answers] == [1, 1]
    assert answers[1].created_at is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 1},
        {"retry": 4},
        {"auth": BearerAuth("sandbox-token")},
        {"params": {"userId": 2}},
    ],
    ids=["timeout", "retry", "auth", "params"],
)
def test_settings_reach_our_session_through_the_mixin(settings, sandbox):
    with CachedSession(backend="memory", base_url=sandbox.url, **settings) as api:
        api.get("echo")
        name, value = settings.popitem()

        assert api.base_url == sandbox.url
        assert getattr(api, name) == value
        api.cache.close()


def test_class_settings_and_resources_work_under_the_mixin(sandbox):
    with CachedBlog(backend="memory", base_url=sandbox.url) as blog:
        found = [blog.posts.get(1), blog.posts.get(1)]
        blog.cache.close()

    assert found[0] == found[1]
    assert [request.headers["X-Team"] for request in sandbox.requests] == ["a"]


def test_a_failure_is_got_through_and_its_success_is_stored(cached, sandbox):
    first = cached.get("flaky/a")

    second = cached.get("flaky/a")

    assert (first.attempts, first.from_cache, second.from_cache) == (3, False, True)
    assert len(sandbox.attempts("a")) == 3


def test_a_503_is_never_stored(cached, sandbox):
    with pytest.raises(ServiceUnavailableError):
        cached.get("flaky/a?fail=3")

    response = cached.get("flaky/a?fail=3")

    assert (response.status_code, response.from_cache) == (200, False)
    assert len(sandbox.attempts("a")) == 4


@pytest.mark.parametrize("times", [1, 2])
def test_a_stored_404_is_an_error_each_time(times, sandbox):
    settings = {"backend": "memory", "allowable_codes": [200, 404], "base_url": sandbox.url}
    with CachedSession(**settings) as api:
        for _ in range(times):
            with pytest.raises(NotFoundError):
                api.get("posts/99")
        api.cache.close()

    assert len(sandbox.requests) == 1


def test_a_table_is_used_for_a_cache_hit_too(cached):
    table = {200: lambda response: response.from_cache}

    outcomes = [cached.get("posts/1", on_status=table) for _ in range(2)]

    assert outcomes == [False, True]


def test_one_users_response_is_not_given_to_another(sandbox):
    # Out of the box requests-cache ignores who asks.
    matching = {"match_headers": ["Authorization"], "ignored_parameters": ["nothing"]}
    with CachedSession(backend="memory", base_url=sandbox.url, **matching) as api:
        answers = [api.get("echo", auth=BearerAuth(f"token-of-user-{n}")) for n in (1, 2)]
        api.cache.close()

    sent = [response.json()["headers"]["Authorization"] for response in answers]
    assert sent == ["Bearer token-of-user-1", "Bearer token-of-user-2"]


def test_a_redirect_is_followed_under_the_mixin(cached, sandbox):
    first = cached.get("redirect/chain/1")

    second = cached.get("redirect/chain/1")

    assert first.json()["path"] == second.json()["path"] == "/echo"
    assert [request.path for request in sandbox.requests] == ["/redirect/chain/1", "/echo"]


# ---- CacheControl


def cacheable(response, body, control="max-age=60", **fields):
    fields |= {"cache-control": control, "date": formatdate(usegmt=True)}
    return response("200 OK", body, connection="keep-alive", **fields)


@pytest.fixture
def kept():
    """What CacheControl stores."""
    return DictCache()


def test_cache_control_stores_and_reuses_the_response_of_a_retry(raw_server, make_response, kept):
    server = raw_server(
        make_response("503 Busy"),
        make_response("503 Busy"),
        cacheable(make_response, b"fresh"),
        make_response("500 No"),
    )

    with httpkit.Session(server.url, auth=BearerAuth("t0ken-not-stored")) as api:
        CacheControl(api, cache=kept)
        answers = [api.get("x"), api.get("x")]

    assert [(a.text, a.attempts, a.from_cache) for a in answers] == [
        ("fresh", 3, False),
        ("fresh", 1, True),
    ]
    assert all(isinstance(a, httpkit.Response) for a in answers)
    assert len(server.requests) == 3
    assert b"fresh" in b"".join(kept.data.values())
    assert b"t0ken" not in b"".join(kept.data.values())


def test_cache_control_revalidates_a_stored_response(raw_server, make_response, kept):
    server = raw_server(
        cacheable(make_response, b"stored", "no-cache", etag='"1"'),
        make_response("503 Busy"),
        b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\n\r\n',
    )

    with httpkit.Session(server.url) as api:
        CacheControl(api, cache=kept)
        first, second = api.get("x"), api.get("x")

    assert (first.text, second.text, second.attempts) == ("stored", "stored", 2)
    assert [b'If-None-Match: "1"' in request for request in server.requests] == [False, True, True]


def test_cache_control_never_stores_a_truncated_response(raw_server, make_response, kept):
    half = cacheable(make_response, b"whole").removesuffix(b"le")
    server = raw_server(half.replace(b"keep-alive", b"close"), cacheable(make_response, b"whole"))

    with httpkit.Session(server.url) as api:
        CacheControl(api, cache=kept)
        answers = [api.get("x"), api.get("x")]

    assert [(a.text, a.attempts) for a in answers] == [("whole", 2), ("whole", 1)]
    assert len(server.requests) == 2


def test_cache_control_stores_a_download_whole(raw_server, make_response, kept, tmp_path):
    body = bytes(range(256)) * 1024
    server = raw_server(cacheable(make_response, body))

    with httpkit.Session(server.url) as api:
        CacheControl(api, cache=kept)
        there = api.download("x", tmp_path / "x.bin")
        again = api.get("x")

    assert there.path.read_bytes() == again.content == body
    assert (again.from_cache, len(server.requests)) == (True, 1)


# ---- VCR


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_cassette_is_heard_on_a_connection_that_is_open(sandbox, tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="vcr")
    tape = str(tmp_path / "tape.yaml")

    with httpkit.Session(sandbox.url) as api:
        api.get("echo")
        with vcr.use_cassette(tape):
            recorded = api.get("flaky/a")
        sent = len(sandbox.requests)
        with vcr.use_cassette(tape, record_mode="none") as cassette:
            replayed = api.get("flaky/a")
        api.get("echo")
    gc.collect()  # VCR drops a connection that is open without closing it

    assert (recorded.attempts, replayed.attempts, cassette.play_count) == (3, 3, 3)
    assert replayed.text == recorded.text
    assert (sent, len(sandbox.requests)) == (4, 5)


# ---- truststore

# In a process of its own: it replaces ssl.SSLContext for all.
TRUSTING = """
import sys
import truststore
truststore.inject_into_ssl()
import requests
import httpkit
from httpkit.testing import no_waiting

with httpkit.Session(sys.argv[1]) as api, no_waiting():
    try:
        answer = api.get("x")
    except requests.exceptions.SSLError as error:
        print("refused", error.attempts)
    else:
        print(answer.text, answer.attempts)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's store has no variable")
@pytest.mark.parametrize(
    ("is_trusted", "said"), [(True, "hi 2"), (False, "refused 1")], ids=["trusted", "unknown"]
)
def test_truststore_decides_whom_to_trust(raw_server, make_response, tmp_path, is_trusted, said):
    require("truststore")
    authority = trustme.CA()
    stored = authority if is_trusted else trustme.CA()
    stored.cert_pem.write_to_path(tmp_path / "system.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = raw_server(make_response("503 Busy"), make_response("200 OK", b"hi"), tls=context)

    ran = subprocess.run(
        [sys.executable, "-c", TRUSTING, server.url],
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "system.pem"), "SSL_CERT_DIR": ""},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert (ran.stdout.strip(), ran.stderr) == (said, "")
    assert len(server.requests) == (2 if is_trusted else 0)


# ---- pydantic and attrs


class Author(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1)


class Post(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)

    title: str
    user_id: int | None = pydantic.Field(default=None, alias="userId")
    seen_at: datetime | None = pydantic.Field(default=None, alias="seenAt")
    author: Author | None = None
    id: int | None = None


class PostByName(Post):
    model_config = pydantic.ConfigDict(serialize_by_alias=False)


@attrs.define
class Note:
    title: str
    id: int | None = None
    tags: list[str] = attrs.field(factory=list)


def test_pydantic_models_go_out_by_alias_and_come_back(sandbox):
    with httpkit.Session(sandbox.url) as api:
        posts = api.resource("posts", Post)
        created = posts.create(Post(title="Hello", user_id=7, author=Author(name="Ada")))
        found = posts.get(created.id)
        everyone = list(posts.list())

    assert sandbox.requests[0].json == {"title": "Hello", "userId": 7, "author": {"name": "Ada"}}
    assert found == created
    assert (type(found.author), found.user_id) == (Author, 7)
    assert {type(post) for post in everyone} == {Post}


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        (Post, {"title": "x", "userId": None, "seenAt": None, "author": None, "id": None}),
        (PostByName, {"title": "x", "user_id": None, "seen_at": None, "author": None, "id": None}),
    ],
)
def test_a_replaced_pydantic_model_is_sent_whole_by_the_names_of_its_choice(sandbox, model, sent):
    with httpkit.Session(sandbox.url) as api:
        posts = api.resource("echo", model=dict)
        posts.create(model(title="x"))
        posts.replace(1, model(title="x"))

    assert [request.json for request in sandbox.requests] == [{"title": "x"}, sent]


def test_what_pydantic_refuses_is_a_decode_error_that_names_the_field(sandbox):
    with httpkit.Session(sandbox.url) as api:
        made = api.post("posts", json={"title": "x", "author": {"name": ""}}).json()
        with pytest.raises(httpkit.DecodeError, match=r"author\.name"):
            api.resource("posts", Post).get(made["id"])
        with pytest.raises(httpkit.DecodeError, match="title"):
            api.get("echo").decode(Post)


def test_attrs_classes_go_out_and_come_back(sandbox):
    with httpkit.Session(sandbox.url) as api:
        posts = api.resource("posts", Note)
        created = posts.create(Note("Hello", tags=["a"]))
        found = posts.get(created.id)
        with pytest.raises(httpkit.DecodeError, match=r"\$\.title|title"):
            api.get("echo").decode(Note)

    assert sandbox.requests[0].json == {"title": "Hello", "tags": ["a"]}
    assert found == created == Note("Hello", created.id, ["a"])


# ---- adapters


class Files(BaseAdapter):
    """Answers `files://` from a dict, and fails as often as it is told first."""

    def __init__(self, files, failures):
        super().__init__()
        self.files = files
        self.failures = list(failures)
        self.timeouts = []

    def send(self, request, **options):
        self.timeouts.append(options["timeout"])
        response = requests.Response()
        response.request, response.url = request, request.url
        if self.failures:
            response.status_code, response.raw = self.failures.pop(0), io.BytesIO(b"busy")
            return response
        found = self.files.get(request.url.rpartition("/")[2])
        response.status_code = 404 if found is None else 200
        response.raw = io.BytesIO(found or b"")
        return response

    def close(self):
        self.files = {}


@pytest.fixture
def files():
    return Files({"a.txt": b"hello"}, [503, 503])


def test_a_custom_adapter_is_called_for_every_attempt(files):
    with httpkit.Session("files://here") as api:
        api.mount("files://", files)
        response = api.get("a.txt")

    assert (response.content, response.attempts, response.ok) == (b"hello", 3, True)
    assert files.timeouts == [(5, 60)] * 3


def test_the_status_of_a_custom_adapter_is_dispatched(files):
    with httpkit.Session("files://here", on_status={404: raising(FileNotFoundError)}) as api:
        api.mount("files://", files)
        with pytest.raises(FileNotFoundError):
            api.get("b.txt")


def test_a_custom_adapter_is_closed_with_its_session(files):
    with httpkit.Session("files://here") as api:
        api.mount("files://", files)

    assert files.files == {}
