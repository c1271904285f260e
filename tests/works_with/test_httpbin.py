"""The main job against httpbin, a server that nobody here wrote."""

import threading
from dataclasses import dataclass, field

import pytest
import requests

import httpkit
from httpkit import BasicAuth, BearerAuth, NotFoundError, raising
from tests.support.interop import require

httpbin, serving = require("httpbin"), require("werkzeug.serving")


class Quiet(serving.WSGIRequestHandler):
    """Keeps connections open between requests, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


@pytest.fixture(scope="module")
def url():
    server = serving.make_server("127.0.0.1", 0, httpbin.app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def api(url):
    with httpkit.Session(url) as session:
        yield session


@dataclass
class Post:
    title: str
    userId: int  # noqa: N815  # the server's spelling
    id: int | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class Envelope:
    """What httpbin's /anything answers: what it was sent."""

    method: str
    url: str
    json: Post | None
    args: dict[str, str]
    headers: dict[str, str]


def sent_post(envelope):
    return Post(**envelope["json"])


# ---- signing in


def test_a_bearer_token_signs_in(url):
    with httpkit.Session(url, auth=BearerAuth("tok-12345")) as api:
        response = api.get("bearer")

    assert response.json() == {"authenticated": True, "token": "tok-12345"}


def test_without_a_token_the_error_is_typed(api):
    with pytest.raises(httpkit.UnauthorizedError, match=r"401 UNAUTHORIZED for GET http"):
        api.get("bearer")


@pytest.mark.parametrize("auth", [BasicAuth("user", "passwd"), ("user", "passwd")], ids=repr)
def test_a_password_signs_in(auth, api):
    response = api.get(
        "basic-auth/{user}/{pass}", path={"user": "user", "pass": "passwd"}, auth=auth
    )

    assert response.json() == {"authenticated": True, "user": "user"}


def test_a_wrong_password_is_an_error_that_does_not_show_it(api):
    with pytest.raises(httpkit.UnauthorizedError) as caught:
        api.get("basic-auth/user/right", auth=BasicAuth("user", "wrong-passwd-1"))

    assert "wrong-passwd-1" not in str(caught.value)


def test_digest_of_requests_still_works(api):
    auth = requests.auth.HTTPDigestAuth("user", "passwd")

    response = api.get("digest-auth/auth/user/passwd", auth=auth)

    assert response.json() == {"authenticated": True, "user": "user"}


# ---- create, get, replace, update, delete


@pytest.fixture
def posts(api):
    return api.resource("anything/posts", Envelope)


def test_a_created_post_is_typed_in_and_out(posts):
    created = posts.create(Post("Hello", userId=1, tags=["a"]))

    assert created.method == "POST"
    assert created.url.endswith("/anything/posts")
    assert created.json == Post("Hello", userId=1, tags=["a"])


def test_a_post_that_is_got_is_typed(posts):
    found = posts.get("a/b ?", params={"full": True})

    assert (found.method, found.json, found.args) == ("GET", None, {"full": "true"})


def test_a_replaced_post_is_sent_whole(posts):
    replaced = posts.replace(1, {"title": "Bye", "userId": 1, "tags": []})

    assert (replaced.method, replaced.json) == ("PUT", Post("Bye", userId=1))
    assert replaced.url.endswith("/anything/posts/1")


def test_an_update_sends_the_changes_alone(api):
    posts = api.resource("anything/posts")

    updated = posts.update(1, {"title": "Hello again"})

    assert (updated["method"], updated["json"]) == ("PATCH", {"title": "Hello again"})


def test_a_deleted_post_is_nothing(posts):
    assert posts.delete(1) is None


def test_a_callable_makes_the_model(api):
    posts = api.resource("anything/posts", sent_post)

    created = posts.create(Post("Hello", userId=1))

    assert created == Post("Hello", userId=1)


def test_a_response_of_another_shape_names_the_field(api):
    posts = api.resource("anything/posts", Post)

    with pytest.raises(httpkit.DecodeError, match="title"):
        posts.get(1)


# ---- what a status means


@pytest.mark.parametrize(
    ("status", "outcome"), [(201, "created"), (400, "invalid"), (404, "missing"), (502, "theirs")]
)
def test_a_status_is_dispatched(status, outcome, api):
    table = {
        201: lambda _: "created",
        400: lambda _: "invalid",
        "4xx": lambda _: "missing",
        "default": lambda _: "theirs",
    }

    response = api.post("status/{status}", path={"status": status}, on_status=table)

    assert response == outcome


def test_a_status_is_raised_as_what_the_caller_says(api):
    with pytest.raises(FileNotFoundError, match="404 NOT FOUND"):
        api.get("status/404", on_status={404: raising(FileNotFoundError)})


def test_an_unhandled_status_is_a_typed_error(api):
    with pytest.raises(NotFoundError) as caught:
        api.get("status/404")

    assert caught.value.status_code == 404


def test_a_success_is_returned(api):
    assert api.get("status/204").content == b""


# ---- redirects and cookies


@pytest.mark.parametrize("route", ["redirect", "relative-redirect", "absolute-redirect"])
def test_redirects_are_followed(route, api, url):
    response = api.get(f"{route}/3")

    assert response.url == f"{url}/get"
    assert [past.status_code for past in response.history] == [302, 302, 302]


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_redirected_post_has_the_method_of_the_rfc(status, method, api, url):
    query = {"url": f"{url}/anything", "status_code": status}

    echoed = api.post("redirect-to", params=query, data={"a": "1"}).json()

    assert (echoed["method"], echoed["form"]) == (method, {"a": "1"} if method == "POST" else {})


def test_cookies_are_kept_for_the_next_call(api):
    api.get("cookies/set", params={"flavour": "oat", "size": "big"})
    api.get("cookies/delete", params={"size": ""})

    kept = api.get("cookies", cookies={"extra": "1"}).json()

    assert kept == {"cookies": {"extra": "1", "flavour": "oat"}}


# ---- bodies


@pytest.mark.parametrize(
    ("route", "flag"), [("gzip", "gzipped"), ("deflate", "deflated"), ("brotli", "brotli")]
)
def test_a_compressed_body_is_decoded(route, flag, api):
    assert api.get(route).json()[flag] is True


def test_a_stream_is_read_line_by_line(api):
    with api.get("stream/5", stream=True) as response:
        lines = list(response.iter_lines())

    assert len(lines) == 5
    assert lines[4].startswith(b'{"url"')


def test_a_stream_of_bytes_is_whole(api):
    with api.get("stream-bytes/5000", params={"seed": 1, "chunk_size": 7}, stream=True) as response:
        streamed = b"".join(response.iter_content(999))

    assert streamed == api.get("stream-bytes/5000", params={"seed": 1}).content
    assert len(streamed) == 5000


def test_a_form_and_a_file_arrive(api):
    files = {"f": ("n.txt", b"content", "text/plain")}

    echoed = api.post("post", data={"a": ["1", "2"]}, files=files).json()

    assert (echoed["form"], echoed["files"]) == ({"a": ["1", "2"]}, {"f": "content"})


def test_json_arrives(api):
    echoed = api.post("post", json={"word": "caf\u00e9", "none": None}).json()

    assert echoed["json"] == {"word": "caf\u00e9", "none": None}


def test_text_in_its_charset_is_read(api):
    assert "\u222e E\u22c5da = Q" in api.get("encoding/utf8").text


# ---- time


def test_a_slow_response_is_a_timeout(api, waits):
    with pytest.raises(requests.ReadTimeout):
        api.get("delay/1", timeout=0.05, retry=2)

    assert len(waits) == 1


def test_a_deadline_is_kept(api):
    with pytest.raises(httpkit.DeadlineExceededError):
        api.get("drip", params={"duration": 2, "numbytes": 20, "delay": 0}, deadline=0.2)


def test_a_response_in_time_is_no_timeout(api):
    assert api.get("delay/0", timeout=5, deadline=5).status_code == 200


# ---- failures


def test_a_failing_server_is_retried_until_it_succeeds(url, waits):
    seen = []
    policy = httpkit.RetryPolicy(attempts=50, on_retry=seen.append)

    with httpkit.Session(url, retry=policy) as api:
        response = api.get("status/503,200")
        while not seen:  # httpbin throws a coin
            response = api.get("status/503,200")

    assert response.status_code == 200
    assert response.attempts == 1 + len(seen)
    assert {event.status for event in seen} == {503}
    assert len(waits) == len(seen)


def test_a_post_to_a_failing_server_is_not_repeated(api, waits):
    with pytest.raises(httpkit.ServiceUnavailableError) as caught:
        api.post("status/503")

    assert (caught.value.attempts, waits) == (1, [])
