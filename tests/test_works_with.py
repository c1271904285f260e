"""What takes a requests.Session takes ours: each at work while a server fails twice."""

import io

import pytest
import requests
import requests_mock
import responses
from requests.adapters import BaseAdapter
from requests_cache import CacheMixin

import httpkit
from httpkit import BearerAuth, NotFoundError, ServiceUnavailableError, raising

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
        answer = api.get("posts")

    assert (answer.status_code, answer.attempts, answer.json()) == (200, 3, {"id": 1})
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
        answer = api.get("posts")

    assert (answer.url, [past.status_code for past in answer.history]) == (
        f"{BASE}/articles",
        [302],
    )


def test_a_url_unknown_to_responses_is_not_asked_for_again(mocked, waits):
    with httpkit.Session(BASE) as api, pytest.raises(requests.ConnectionError):
        api.get("posts")

    assert (len(mocked.calls), waits) == (1, [])


def test_an_exception_of_responses_is_retried_like_a_real_one(mocked):
    mocked.get(URL, body=requests.ReadTimeout("too slow"))
    mocked.get(URL, json=[])

    with httpkit.Session(BASE) as api:
        answer = api.get("posts")

    assert (answer.json(), answer.attempts) == ([], 2)


# ---- requests-mock


def test_requests_mock_sees_every_attempt():
    with httpkit.Session(BASE) as api, requests_mock.Mocker() as mock:
        mock.get(URL, [{"status_code": 503}, {"status_code": 503}, {"json": {"id": 1}}])
        answer = api.get("posts")

    assert (answer.status_code, answer.attempts, answer.json()) == (200, 3, {"id": 1})
    assert mock.call_count == 3


def test_requests_mock_takes_the_place_of_send_on_one_session():
    # There it calls requests' own send, past ours: joining, signing and dispatch stay.
    api = httpkit.Session(BASE, auth=BearerAuth("token-12345"))
    with api, requests_mock.Mocker(session=api) as mock:
        mock.get(URL, request_headers={"Authorization": "Bearer token-12345"}, status_code=404)
        answer = api.get("posts", raise_for_status=False)
        outcome = api.get("posts", on_status={404: lambda _: "absent"})

    assert isinstance(answer, httpkit.Response)
    assert (outcome, mock.call_count) == ("absent", 2)


def test_an_adapter_of_requests_mock_can_be_mounted():
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", "mock://api.test/posts", [{"status_code": 503}, {"text": "hi"}])

    with httpkit.Session("mock://api.test") as api:
        api.mount("mock://", adapter)
        answer = api.get("posts")

    assert (answer.text, answer.attempts) == ("hi", 2)


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
    assert len(sandbox.seen) == 1


def test_a_cache_hit_is_a_response_of_ours(cached):
    answers = [cached.get("posts/1"), cached.get("posts/1")]

    assert all(isinstance(answer, httpkit.Response) for answer in answers)
    assert [answer.decode(dict)["id"] for answer in answers] == [1, 1]
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
    assert [seen.headers["X-Team"] for seen in sandbox.seen] == ["a"]


def test_a_failure_is_got_through_and_its_success_is_stored(cached, sandbox):
    first = cached.get("flaky/a")

    second = cached.get("flaky/a")

    assert (first.attempts, first.from_cache, second.from_cache) == (3, False, True)
    assert len(sandbox.attempts("a")) == 3


def test_a_503_is_never_stored(cached, sandbox):
    with pytest.raises(ServiceUnavailableError):
        cached.get("flaky/a?fail=3")

    answer = cached.get("flaky/a?fail=3")

    assert (answer.status_code, answer.from_cache) == (200, False)
    assert len(sandbox.attempts("a")) == 4


@pytest.mark.parametrize("times", [1, 2])
def test_a_stored_404_is_an_error_each_time(times, sandbox):
    settings = {"backend": "memory", "allowable_codes": [200, 404], "base_url": sandbox.url}
    with CachedSession(**settings) as api:
        for _ in range(times):
            with pytest.raises(NotFoundError):
                api.get("posts/99")
        api.cache.close()

    assert len(sandbox.seen) == 1


def test_a_table_is_asked_of_a_cache_hit_too(cached):
    table = {200: lambda answer: answer.from_cache}

    outcomes = [cached.get("posts/1", on_status=table) for _ in range(2)]

    assert outcomes == [False, True]


def test_one_users_answer_is_not_given_to_another(sandbox):
    # Out of the box requests-cache ignores who asks.
    matching = {"match_headers": ["Authorization"], "ignored_parameters": ["nothing"]}
    with CachedSession(backend="memory", base_url=sandbox.url, **matching) as api:
        answers = [api.get("echo", auth=BearerAuth(f"token-of-user-{n}")) for n in (1, 2)]
        api.cache.close()

    sent = [answer.json()["headers"]["Authorization"] for answer in answers]
    assert sent == ["Bearer token-of-user-1", "Bearer token-of-user-2"]


def test_a_redirect_is_followed_under_the_mixin(cached, sandbox):
    first = cached.get("redirect/chain/1")

    second = cached.get("redirect/chain/1")

    assert first.json()["path"] == second.json()["path"] == "/echo"
    assert [seen.path for seen in sandbox.seen] == ["/redirect/chain/1", "/echo"]


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
        answer = requests.Response()
        answer.request, answer.url = request, request.url
        if self.failures:
            answer.status_code, answer.raw = self.failures.pop(0), io.BytesIO(b"busy")
            return answer
        found = self.files.get(request.url.rpartition("/")[2])
        answer.status_code = 404 if found is None else 200
        answer.raw = io.BytesIO(found or b"")
        return answer

    def close(self):
        self.files = {}


@pytest.fixture
def files():
    return Files({"a.txt": b"hello"}, [503, 503])


def test_a_custom_adapter_is_asked_for_every_attempt(files):
    with httpkit.Session("files://here") as api:
        api.mount("files://", files)
        answer = api.get("a.txt")

    assert (answer.content, answer.attempts, answer.ok) == (b"hello", 3, True)
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
