"""A collection of a REST API, against the Sandbox and against servers whose responses are odd."""

import pickle
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import pytest
import requests

import httpkit


@dataclass
class Post:
    title: str
    body: str = ""
    userId: int | None = None  # noqa: N815  # the API's name
    id: int | None = None


class Posts(httpkit.Resource[Post]):
    """A resource with a method of its own."""

    def titles(self):
        return [post.title for post in self.list()]

    def rename(self, id, title):
        return self.update(id, {"title": title})


class Echo(httpkit.Resource[dict]):
    """What the server received: nested once, and once more."""

    leaves = httpkit.Resource("leaves")

    def publish(self, id, **options):
        return self.request("POST", "{id}/publish", id=id, **options)


class Tree(httpkit.Resource[dict]):
    """A resource with others in it."""

    branches = Echo("branches")
    twigs = Echo("/twigs/", item_path="twig/{id}")


class Users(httpkit.Resource[dict]):
    """A resource of the Sandbox with another in it."""

    posts = Posts("posts", Post)


class Blog(httpkit.Session):
    posts = httpkit.Resource("posts", Post)
    users = Users("users")
    echo = httpkit.Resource("echo")
    shelf = Posts("posts", Post)
    echoes = Echo("echo")
    tree = Tree("echo")


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def blog(sandbox):
    with Blog(sandbox.url, retry=None) as session:
        yield session


@pytest.fixture
def resource(raw_server):
    """Return a resource of a server that sends these responses, and the server."""
    sessions = []

    def make(*responses, model=Post, items_at=None, pages=None, item_at=None, **settings):
        server = raw_server(*responses)
        session = httpkit.Session(server.url, retry=None, **settings)
        sessions.append(session)
        locations = {"items_at": items_at, "item_at": item_at}
        return session.resource("posts", model, pages=pages, **locations), server

    yield make
    for session in sessions:
        session.close()


def line(request):
    """The request line that a raw server received."""
    return request.split(b"\r\n", 1)[0].decode("latin-1")


def newest(sandbox):
    """Method, path and query of the last request."""
    received = sandbox.requests[-1]
    return received.method, received.path, received.query


# The operations


def test_get_returns_one_item_as_the_model(sandbox, blog):
    post = blog.posts.get(1)

    assert post == Post("First post", "Hello, world", 1, 1)
    assert newest(sandbox) == ("GET", "/posts/1", {})


def test_without_a_model_items_are_dicts(blog):
    assert blog.users.get(2) == {"id": 2, "name": "Alan Turing", "email": "alan@example.com"}


def test_list_returns_every_item(sandbox, blog):
    posts = list(blog.posts.list())

    assert [post.id for post in posts] == [1, 2, 3]
    assert newest(sandbox) == ("GET", "/posts", {})


def test_list_filters_by_params(sandbox, blog):
    posts = list(blog.posts.list(params={"userId": 2}))

    assert ([post.id for post in posts], newest(sandbox)[2]) == ([3], {"userId": ["2"]})


def test_create_returns_what_the_server_stored(sandbox, blog):
    post = blog.posts.create(Post("New", userId=1))

    assert post == Post("New", "", 1, 4)
    assert newest(sandbox) == ("POST", "/posts", {})
    assert sandbox.requests[-1].json == {"title": "New", "body": "", "userId": 1}


def test_replace_replaces_the_item_as_a_whole(sandbox, blog):
    post = blog.posts.replace(1, {"title": "Bye"})

    assert post == Post("Bye", "", None, 1)
    assert (newest(sandbox)[:2], sandbox.requests[-1].json) == (
        ("PUT", "/posts/1"),
        {"title": "Bye"},
    )


def test_update_changes_some_fields(sandbox, blog):
    post = blog.posts.update(1, {"title": "Hello again"})

    assert post == Post("Hello again", "Hello, world", 1, 1)
    assert newest(sandbox)[:2] == ("PATCH", "/posts/1")


def test_delete_removes_the_item_and_returns_none(sandbox, blog):
    returned = blog.posts.delete(1)

    assert (returned, newest(sandbox)[:2]) == (None, ("DELETE", "/posts/1"))
    assert blog.posts.exists(1) is False


@pytest.mark.parametrize(("id", "exists"), [(1, True), (9, False)])
def test_exists_sends_head(sandbox, blog, id, exists):
    assert blog.posts.exists(id) is exists
    assert [request.method for request in sandbox.requests] == ["HEAD"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(9), id="get"),
        pytest.param(lambda posts: posts.replace(9, {"title": "x"}), id="replace"),
        pytest.param(lambda posts: posts.update(9, {"title": "x"}), id="update"),
        pytest.param(lambda posts: posts.delete(9), id="delete"),
    ],
)
def test_an_item_that_is_not_there_is_a_not_found_error(blog, call):
    with pytest.raises(httpkit.NotFoundError, match="no posts with id 9"):
        call(blog.posts)


def test_an_item_that_the_server_refuses_raises_with_its_message(blog):
    with pytest.raises(httpkit.UnprocessableContentError, match="title is required"):
        blog.posts.create({"body": "no title"})


@pytest.mark.parametrize("default", [None, 0, "", [], False, Post("default")], ids=repr)
def test_get_returns_the_default_for_what_is_not_there(blog, default):
    assert blog.posts.get(9, default=default) is default


def test_get_takes_its_default_like_a_dict(blog):
    assert blog.posts.get(9, "nothing") == "nothing"


def test_get_does_not_return_the_default_for_what_is_there(blog):
    assert blog.posts.get(1, default=None).id == 1


@pytest.mark.parametrize("status", [400, 401, 403, 405, 429, 500, 503])
def test_get_returns_the_default_for_no_other_error(resource, make_response, status):
    posts, _ = resource(make_response(f"{status} No"))

    with pytest.raises(httpkit.StatusError) as caught:
        posts.get(1, default=None)

    assert caught.value.status_code == status


def test_get_returns_a_response_that_is_its_default_as_it_is(blog):
    default = blog.get("echo")

    assert blog.posts.get(9, default=default) is default


# Existence


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_what_is_not_there_or_gone_does_not_exist(resource, make_response, status):
    posts, _ = resource(make_response(status))

    assert posts.exists(1) is False


@pytest.mark.parametrize("status", [400, 401, 403, 409, 418, 429, 500, 503])
def test_another_error_status_does_not_mean_that_it_does_not_exist(resource, make_response, status):
    posts, _ = resource(make_response(f"{status} No"))

    with pytest.raises(httpkit.StatusError) as caught:
        posts.exists(1)

    assert caught.value.status_code == status


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented"])
@pytest.mark.parametrize(
    ("found", "exists"),
    [("200 OK", True), ("404 Not Found", False), ("410 Gone", False)],
    ids=["there", "not there", "gone"],
)
def test_a_server_without_head_is_requested_with_get(
    resource, make_response, status, found, exists
):
    posts, server = resource(make_response(status), make_response(found))

    assert posts.exists(1, params={"q": 1}, headers={"X-Tenant": "a"}) is exists
    assert [line(r) for r in server.requests] == [
        "HEAD /posts/1?q=1 HTTP/1.1",
        "GET /posts/1?q=1 HTTP/1.1",
    ]
    assert all(b"X-Tenant: a\r\n" in request for request in server.requests)


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented"])
def test_a_server_that_knows_neither_head_nor_get_has_said_nothing(resource, make_response, status):
    posts, _ = resource(make_response(status))

    with pytest.raises(httpkit.StatusError):
        posts.exists(1)


def test_exists_follows_a_redirect(resource, make_response):
    posts, server = resource(make_response("301 Moved", location="/other/1"), make_response())

    assert posts.exists(1) is True
    assert line(server.requests[1]) == "HEAD /other/1 HTTP/1.1"


# Answers without a body


NOTHING = [
    pytest.param("204 No Content", id="204"),
    pytest.param("200 OK", id="empty 200"),
]


@pytest.mark.parametrize("status", NOTHING)
def test_create_returns_the_sent_item_when_the_response_is_empty(resource, make_response, status):
    posts, server = resource(make_response(status))

    assert posts.create(Post("New")) == Post("New")
    assert len(server.requests) == 1


def test_what_was_sent_and_does_not_match_the_model_is_an_error_that_says_accepted(
    resource, make_response
):
    posts, _ = resource(make_response("204 No Content"))

    with pytest.raises(httpkit.DecodeError, match=r"POST .* was accepted \(204\) .*not a Post"):
        posts.create({"name": "no title"})


@pytest.mark.parametrize("status", NOTHING)
def test_replace_returns_the_sent_item_when_the_response_is_empty(resource, make_response, status):
    posts, server = resource(make_response(status))

    assert posts.replace(1, {"title": "New"}) == Post("New")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", NOTHING)
def test_update_fetches_the_item_when_the_response_is_empty(resource, make_response, status):
    posts, server = resource(
        make_response(status), make_response(body=b'{"title": "New", "id": 1}')
    )

    assert posts.update(1, {"title": "New"}) == Post("New", id=1)
    assert [line(r) for r in server.requests] == [
        "PATCH /posts/1 HTTP/1.1",
        "GET /posts/1 HTTP/1.1",
    ]


def test_update_fetches_the_item_with_the_same_credentials_and_headers(resource, make_response):
    posts, server = resource(
        make_response("204 No Content"), make_response(body=b'{"title": "New", "id": 1}')
    )

    posts.update(1, {}, auth=httpkit.BearerAuth("tenant-token-1"), headers={"X-Tenant": "a"})

    assert b"Authorization: Bearer tenant-token-1\r\n" in server.requests[1]
    assert b"X-Tenant: a\r\n" in server.requests[1]


@pytest.mark.parametrize("status", NOTHING)
def test_delete_and_exists_need_no_body(resource, make_response, status):
    posts, _ = resource(make_response(status))

    assert (posts.delete(1), posts.exists(1)) == (None, True)


@pytest.mark.parametrize("status", NOTHING)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(1), id="get"),
        pytest.param(lambda posts: posts.get(1, default=None), id="get with a default"),
    ],
)
def test_an_item_without_a_body_is_a_decode_error_that_says_so(
    resource, make_response, status, call
):
    posts, _ = resource(make_response(status))

    with pytest.raises(httpkit.DecodeError, match="body is empty"):
        call(posts)


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(1), id="get"),
        pytest.param(lambda posts: posts.delete(1), id="delete"),
        pytest.param(lambda posts: list(posts.list()), id="list"),
    ],
)
def test_a_redirect_without_a_target_is_an_error(resource, make_response, status, call):
    posts, _ = resource(make_response(status, b'{"title": "looks like a post"}'))

    with pytest.raises(httpkit.RedirectError, match="was not followed"):
        call(posts)


# Ids and paths


@pytest.mark.parametrize(
    ("id", "segment"),
    [
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        ("a/b", "a%2Fb"),
        ("\u00fc", "%C3%BC"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("%2e%2e", "%252e%252e"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("a\\b", "a%5Cb"),
        ("a;b", "a%3Bb"),
        ("{id}", "%7Bid%7D"),
        ("//evil.example", "%2F%2Fevil.example"),
        ("https://evil.example/", "https%3A%2F%2Fevil.example%2F"),
        ("user@host", "user%40host"),
        ("\r\nX-Evil: 1", "%0D%0AX-Evil%3A%201"),
        ("...", "..."),
        ("a.b-c_d~e", "a.b-c_d~e"),
        (b"a/b", "a%2Fb"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_an_id_is_one_segment_of_the_path(sandbox, blog, id, segment):
    blog.echo.get(id)

    assert (sandbox.requests[0].path, sandbox.requests[0].query) == (f"/echo/{segment}", {})


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda echo: echo.replace("a/b", {}), id="replace"),
        pytest.param(lambda echo: echo.update("a/b", {}), id="update"),
        pytest.param(lambda echo: echo.delete("a/b"), id="delete"),
        pytest.param(lambda echo: echo.exists("a/b"), id="exists"),
    ],
)
def test_every_operation_quotes_its_id(sandbox, blog, call):
    call(blog.echo)

    assert sandbox.requests[0].path == "/echo/a%2Fb"


@pytest.mark.parametrize(
    "id", [None, "", b"", ".", "..", "../..", "a/../b", "\udc00", b"\xff"], ids=ascii
)
def test_an_id_that_would_name_something_else_is_refused(sandbox, blog, id):
    with pytest.raises(ValueError, match=r"."):
        blog.posts.get(id)

    assert sandbox.requests == []


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts, key: posts.get(key, default=None), id="get with a default"),
        pytest.param(lambda posts, key: posts.replace(key, {}), id="replace"),
        pytest.param(lambda posts, key: posts.update(key, {}), id="update"),
        pytest.param(lambda posts, key: posts.delete(key), id="delete"),
        pytest.param(lambda posts, key: posts.exists(key), id="exists"),
    ],
)
def test_every_operation_refuses_such_an_id(sandbox, blog, call):
    with pytest.raises(ValueError, match=r"\.\."):
        call(blog.posts, "..")

    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("path", "collection", "item"),
    [
        ("echo", "/echo", "/echo/1"),
        ("/echo", "/echo", "/echo/1"),
        ("echo/", "/echo/", "/echo/1/"),
        ("/echo/", "/echo/", "/echo/1/"),
        ("echo/a/b", "/echo/a/b", "/echo/a/b/1"),
        ("echo/a%2Fb", "/echo/a%2Fb", "/echo/a%2Fb/1"),
    ],
)
def test_the_path_of_an_item_follows_that_of_its_collection(sandbox, blog, path, collection, item):
    echo = blog.resource(path)

    echo.create({})
    echo.get(1)

    assert [request.path for request in sandbox.requests] == [collection, item]


def test_a_resource_lives_below_the_path_of_the_base_url(sandbox):
    with Blog(f"{sandbox.url}/echo/v1/") as blog:
        blog.posts.delete(1)

    assert sandbox.requests[0].path == "/echo/v1/posts/1"


@pytest.mark.parametrize("path", ["", "/", "//", None, b"posts", 3])
def test_a_resource_without_a_path_is_refused(path):
    with pytest.raises(httpkit.ConfigurationError):
        httpkit.Resource(path)


@pytest.mark.parametrize(
    "settings",
    [{"pages": httpkit.LinkPages}, {"pages": "next"}, {"items_at": ""}, {"item_at": "."}],
    ids=repr,
)
def test_a_resource_that_could_find_nothing_is_refused_where_it_is_made(settings):
    with pytest.raises(httpkit.ConfigurationError):
        httpkit.Resource("posts", **settings)


@pytest.mark.parametrize("path", ["../posts", "//host/posts", "%2e%2e/posts"])
def test_a_resource_outside_the_base_url_sends_nothing(sandbox, blog, path):
    with pytest.raises(ValueError, match="the URL"):
        blog.resource(path).delete(1)

    assert sandbox.requests == []


# Lists


def test_a_list_sends_nothing_until_it_is_looped_over(sandbox, blog):
    posts = blog.posts.list()

    assert sandbox.requests == []
    assert repr(posts) == "<Pages of posts>"


def test_every_loop_over_a_list_asks_anew(sandbox, blog):
    posts = blog.posts.list()

    before = [post.id for post in posts]
    blog.posts.create(Post("New"))
    after = [post.id for post in posts]

    assert (before, after) == ([1, 2, 3], [1, 2, 3, 4])


def test_two_loops_over_one_list_do_not_disturb_each_other(blog):
    posts = blog.posts.list()

    pairs = [(one.id, other.id) for one in posts for other in posts]

    assert len(pairs) == 9


def test_params_given_as_pairs_filter_every_loop(blog):
    posts = blog.posts.list(params=iter([("userId", "2")]))

    assert [[post.id for post in posts] for _ in range(2)] == [[3], [3]]


def test_a_list_keeps_the_params_it_was_made_with(blog):
    params = {"userId": 2}
    posts = blog.posts.list(params=params)

    params["userId"] = 1

    assert [post.id for post in posts] == [3]


def test_first_takes_the_first_items(blog):
    posts = blog.posts.list()

    assert [[post.id for post in posts.first(n)] for n in (0, 2, 9)] == [[], [1, 2], [1, 2, 3]]


def test_a_list_has_no_length(blog):
    with pytest.raises(TypeError):
        len(blog.posts.list())


def test_an_error_of_a_list_is_raised_by_the_loop(blog):
    posts = blog.resource("nothing-here").list()

    with pytest.raises(httpkit.NotFoundError):
        list(posts)


@pytest.mark.parametrize(
    ("items_at", "body"),
    [
        (None, b'[{"title": "a"}]'),
        ("data", b'{"data": [{"title": "a"}], "total": 1}'),
        ("data.posts", b'{"data": {"posts": [{"title": "a"}], "tags": [1, 2, 3]}}'),
        ("data", b'\xef\xbb\xbf{"data": [{"title": "a"}]}'),
    ],
    ids=["the document", "a key", "a path", "byte order mark"],
)
def test_the_items_of_a_list_are_found(resource, make_response, items_at, body):
    posts, _ = resource(make_response(body=body), items_at=items_at)

    assert list(posts.list()) == [Post("a")]


@pytest.mark.parametrize(("items_at", "body"), [(None, b"[]"), ("data", b'{"data": []}')])
def test_an_empty_list_is_empty(resource, make_response, items_at, body):
    posts, _ = resource(make_response(body=body), items_at=items_at)

    assert list(posts.list()) == []


@pytest.mark.parametrize(
    ("items_at", "body", "words"),
    [
        (None, b'{"data": []}', "`array`"),
        (None, b"null", "`array`"),
        (None, b'"text"', "`array`"),
        ("data", b"[]", "`object`"),
        ("data", b"{}", "data"),
        ("data.posts", b'{"data": {}}', r"data\.posts"),
        ("data.posts", b'{"data": []}', "data"),
        ("data.posts", b'{"data": null}', "data"),
        ("data", b'{"data": {"a": 1}}', "data"),
        ("data", b'{"data": null}', "data"),
        ("data", b'{"data": "text"}', "data"),
        (None, b"<html></html>", "malformed"),
    ],
    ids=[
        "object", "null", "text", "no object", "no key", "no inner key", "list on the way",
        "null on the way", "items are an object", "items are null", "items are a text", "html",
    ],
)  # fmt: skip
def test_a_document_without_the_list_is_a_decode_error_that_says_where(
    resource, make_response, items_at, body, words
):
    posts, _ = resource(make_response(body=body), items_at=items_at)

    with pytest.raises(httpkit.DecodeError, match=words):
        list(posts.list())


# Models


def test_an_item_of_another_shape_is_a_decode_error_that_names_the_field(resource, make_response):
    posts, _ = resource(make_response(body=b'{"title": "a", "userId": "me"}'))

    with pytest.raises(httpkit.DecodeError, match=r"is not a Post: .*\$\.userId") as caught:
        posts.get(1)

    assert caught.value.response.status_code == 200


@pytest.mark.parametrize(
    ("items_at", "body"),
    [
        (None, b'[{"title": "a"}, {"title": 5}]'),
        ("data", b'{"data": [{"title": "a"}, {"title": 5}]}'),
    ],
    ids=["list", "items_at"],
)
def test_an_item_of_a_list_of_another_shape_is_named_by_its_index(
    resource, make_response, items_at, body
):
    posts, _ = resource(make_response(body=body), items_at=items_at)

    with pytest.raises(httpkit.DecodeError, match=r"\[1\].*title"):
        list(posts.list())


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(1), id="get"),
        pytest.param(lambda posts: posts.create(Post("a")), id="create"),
        pytest.param(lambda posts: posts.replace(1, Post("a")), id="replace"),
        pytest.param(lambda posts: posts.update(1, {}), id="update"),
        pytest.param(lambda posts: list(posts.list()), id="list"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"{}", b"null", b"[1]", b"<html>", b'{"title": NaN}', b'{"title": "\xff"}', b"[" * 100_000],
    ids=["empty", "null", "list", "html", "NaN", "invalid utf-8", "deep"],
)
def test_a_response_of_another_shape_is_a_decode_error(resource, make_response, call, body):
    posts, _ = resource(make_response(body=body))

    with pytest.raises(httpkit.DecodeError):
        call(posts)


def test_without_a_model_an_item_that_is_not_an_object_is_a_decode_error(resource, make_response):
    posts, _ = resource(make_response(body=b"[1]"), model=None)

    with pytest.raises(httpkit.DecodeError):
        posts.get(1)


@pytest.mark.parametrize(
    ("model", "item"),
    [
        pytest.param(lambda value: value["title"], "a", id="callable"),
        pytest.param(dict[str, str], {"title": "a"}, id="generic"),
    ],
)
def test_a_model_is_whatever_decode_takes(resource, make_response, model, item):
    posts, _ = resource(make_response(body=b'{"title": "a"}'), model=model)

    assert posts.get(1) == item


# Statuses and the session's own table


class OutOfOrder(Exception):  # noqa: N818  # as the documentation names it
    pass


def test_the_sessions_table_handles_what_a_resource_does_not(resource, make_response):
    posts, _ = resource(make_response("500 Oops"), on_status={"5xx": OutOfOrder})

    with pytest.raises(OutOfOrder):
        posts.get(1, default=None)


def test_a_default_beats_the_sessions_table(resource, make_response):
    posts, _ = resource(make_response("404 Not Found"), on_status={"4xx": OutOfOrder})

    assert posts.get(1, default=None) is None


def test_exists_beats_the_sessions_table(resource, make_response):
    posts, _ = resource(make_response("404 Not Found"), on_status={"default": OutOfOrder})

    assert posts.exists(1) is False


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(9), id="get"),
        pytest.param(lambda posts: list(posts.list()), id="list"),
        pytest.param(lambda posts: posts.create({}), id="create"),
        pytest.param(lambda posts: posts.replace(9, {}), id="replace"),
        pytest.param(lambda posts: posts.update(9, {}), id="update"),
        pytest.param(lambda posts: posts.delete(9), id="delete"),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"raise_for_status": False}, id="not raising"),
        pytest.param({"on_status": {404: lambda response: response}}, id="giving back"),
    ],
)
def test_an_error_is_never_taken_for_an_item(resource, make_response, call, settings):
    refusal = make_response("404 Not Found", b'{"title": "looks like a post", "id": 9}')
    posts, _ = resource(refusal, **settings)

    with pytest.raises(httpkit.NotFoundError):
        call(posts)


# Options


def list_anything(resource, **options):
    """Loop over a list, whatever the server makes of it."""
    with suppress(httpkit.DecodeError):
        list(resource.list(**options))


OPERATIONS = [
    pytest.param(lambda echo, **o: echo.get(1, **o), id="get"),
    pytest.param(lambda echo, **o: echo.create({}, **o), id="create"),
    pytest.param(lambda echo, **o: echo.replace(1, {}, **o), id="replace"),
    pytest.param(lambda echo, **o: echo.update(1, {}, **o), id="update"),
    pytest.param(lambda echo, **o: echo.delete(1, **o), id="delete"),
    pytest.param(lambda echo, **o: echo.exists(1, **o), id="exists"),
    pytest.param(list_anything, id="list"),
]


@pytest.mark.parametrize("call", OPERATIONS)
def test_options_reach_the_request(sandbox, blog, call):
    call(
        blog.echo,
        params={"q": "x y"},
        headers={"X-Tenant": "acme"},
        auth=("user", "tenant-password-1"),
        idempotency_key="k-1",
    )

    received = sandbox.requests[0]
    assert (received.query, received.headers["x-tenant"]) == ({"q": ["x y"]}, "acme")
    assert received.headers["authorization"].startswith("Basic ")
    assert received.headers["idempotency-key"] == "k-1"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0.05}, requests.Timeout),
        ({"deadline": 0.05}, httpkit.DeadlineExceededError),
    ],
    ids=["timeout", "deadline"],
)
def test_the_times_of_a_call_are_kept(resource, options, error):
    posts, _ = resource(lambda connection: connection.recv(1))

    with pytest.raises(error):
        posts.create({}, **options)


def test_the_limit_of_a_call_is_kept(blog):
    with pytest.raises(httpkit.BodyTooLargeError):
        blog.posts.get(1, max_body=10)


def test_options_that_cannot_work_are_refused_before_anything_is_sent(sandbox, blog):
    with pytest.raises(httpkit.ConfigurationError):
        blog.posts.get(1, timeout=0)

    assert sandbox.requests == []


def test_a_create_is_sent_once_when_the_server_may_have_acted(sandbox):
    with Blog(sandbox.url) as blog, pytest.raises(httpkit.InternalServerError):
        blog.resource("flaky/k?status=500&fail=9").create({})

    assert len(sandbox.attempts("k")) == 1


def test_a_create_with_an_idempotency_key_is_repeated_with_the_same_key(sandbox):
    with Blog(sandbox.url) as blog:
        blog.resource("flaky/k?status=500&fail=2").create({}, idempotency_key=True)

    assert len({received.headers["idempotency-key"] for received in sandbox.attempts("k")}) == 1
    assert len(sandbox.attempts("k")) == 3


# Descriptors and classes


def test_a_resource_of_the_class_says_that_it_belongs_to_no_session():
    assert Blog.posts is vars(Blog)["posts"]
    assert repr(Blog.posts) == "<Resource 'posts' of Post (not bound to a session)>"


@pytest.mark.parametrize("call", OPERATIONS)
def test_a_resource_without_a_session_says_how_to_reach_it(call):
    with pytest.raises(httpkit.ConfigurationError, match=r"'posts' of Post.*instance"):
        call(Blog.posts)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("posts", "<Resource 'posts' of Post>"),
        ("users", "<Users 'users'>"),
        ("shelf", "<Posts 'posts' of Post>"),
    ],
)
def test_a_resource_shows_its_path_and_model(blog, name, text):
    assert repr(getattr(blog, name)) == text


def test_a_resource_made_by_hand_works_like_a_declared_one(blog):
    posts = blog.resource("posts", Post)

    assert (posts.get(1), repr(posts)) == (blog.posts.get(1), repr(blog.posts))


def test_a_resource_can_be_bound_by_hand(blog):
    unbound = httpkit.Resource("posts", Post)

    bound = unbound.bind(blog)

    assert bound.get(1).id == 1
    assert repr(unbound) == "<Resource 'posts' of Post (not bound to a session)>"


def test_a_subclass_brings_its_own_methods(blog):
    blog.shelf.rename(1, "Renamed")

    assert blog.shelf.titles() == ["Renamed", "Second post", "Third post"]


def test_a_subclass_of_a_session_inherits_its_resources(sandbox):
    class Magazine(Blog):
        echo = httpkit.Resource("echo/magazine")

    with Magazine(sandbox.url) as magazine:
        magazine.echo.delete(1)
        post = magazine.posts.get(1)

    assert (sandbox.requests[0].path, post.id) == ("/echo/magazine/1", 1)


def test_two_sessions_of_one_class_do_not_share_state(sandbox):
    with (
        Blog(sandbox.url, auth=httpkit.BearerAuth("token-of-a")) as a,
        Blog(sandbox.other_url, auth=httpkit.BearerAuth("token-of-b")) as b,
    ):
        posts_of_a, posts_of_b = a.posts, b.posts
        posts_of_a.get(1)
        posts_of_b.get(1)
        posts_of_a.get(1)

    ports = [int(url.rpartition(":")[2]) for url in (a.base_url, b.base_url)]
    assert [(request.headers["authorization"], request.port) for request in sandbox.requests] == [
        ("Bearer token-of-a", ports[0]),
        ("Bearer token-of-b", ports[1]),
        ("Bearer token-of-a", ports[0]),
    ]


def test_a_session_can_replace_a_resource_of_its_class_for_itself(sandbox):
    with Blog(sandbox.url) as one, Blog(sandbox.url) as other:
        one.posts = one.resource("users")

        assert one.posts.get(1)["name"] == "Ada Lovelace"
        assert other.posts.get(1).title == "First post"


def test_a_resource_follows_the_settings_of_its_session(sandbox, blog):
    posts = blog.posts

    blog.headers["X-Tenant"] = "acme"
    posts.get(1)

    assert sandbox.requests[0].headers["x-tenant"] == "acme"


def test_a_resource_of_a_pickled_session_works(blog):
    twin = pickle.loads(pickle.dumps(blog))

    with twin:
        assert twin.posts.get(1).id == 1


def test_a_bound_method_can_be_sent_to_another_process(blog):
    get = pickle.loads(pickle.dumps(blog.posts.get))

    assert get(1).id == 1


# Many at once


def test_32_threads_share_a_resource_without_mixing_anything_up(sandbox, blog):
    posts = blog.posts
    gate = threading.Barrier(32)

    def work(number):
        gate.wait(10)
        title = f"post of thread {number}"
        made = posts.create(Post(title, userId=number))
        read = posts.get(made.id)
        posts.update(made.id, {"body": str(number)})
        found = list(posts.list(params={"userId": number + 1000}))
        return made.title, read.id == made.id, posts.get(made.id).body, found, title, str(number)

    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(work, range(100, 132)))

    assert all(
        (made, is_same, body, found) == (title, True, number, [])
        for made, is_same, body, found, title, number in results
    )
    assert len({post.id for post in posts.list()}) == 3 + 32


def test_threads_that_bind_resources_at_once_get_their_own_session(sandbox):
    sessions = [Blog(sandbox.url, headers={"X-Session": str(n)}) for n in range(8)]

    def work(number):
        for _ in range(4):
            sessions[number].echo.get(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for session in sessions:
        session.close()

    assert {(request.path, request.headers["x-session"]) for request in sandbox.requests} == {
        (f"/echo/{n}", str(n)) for n in range(8)
    }


# Pages


def test_a_list_follows_link_fields_by_itself(sandbox, blog):
    posts = blog.posts.list(params={"_limit": 2})

    assert [post.id for post in posts] == [1, 2, 3]
    assert [request.query.get("_page") for request in sandbox.requests] == [None, ["2"]]


def test_a_resource_has_its_own_pager(sandbox, blog):
    pages = httpkit.CursorPages("next_cursor", "_cursor", more="has_more")
    posts = blog.resource("wrapped/posts", Post, items_at="items", pages=pages)

    assert [post.id for post in posts.list(params={"_limit": 1})] == [1, 2, 3]
    assert len(sandbox.requests) == 3


def test_a_list_of_a_resource_is_resumed_after_an_error(resource, make_response):
    posts, server = resource(
        make_response(body=b'[{"title": "a"}]', link="<?page=2>; rel=next"),
        make_response("500 Oops"),
        make_response(body=b'[{"title": "b"}]'),
    )
    listed = posts.list()

    with pytest.raises(httpkit.InternalServerError) as caught:
        list(listed)

    assert list(listed.resume(caught.value)) == [Post("b")]
    assert line(server.requests[2]) == "GET /posts?page=2 HTTP/1.1"


def test_a_keyword_that_a_list_does_not_know_is_refused_at_once(blog):
    with pytest.raises(TypeError, match="userId"):
        blog.posts.list(userId=1)


# Nested resources


def test_a_nested_resource_lives_below_its_parents_item(sandbox, blog):
    posts = list(blog.users(1).posts.list())
    made = blog.users(2).posts.create(Post("Nested"))

    assert [(post.id, post.userId) for post in posts] == [(1, 1), (2, 1)]
    assert made.userId == 2
    assert blog.users(2).posts.get(made.id).title == "Nested"
    assert {request.path for request in sandbox.requests} == {
        "/users/1/posts", "/users/2/posts", f"/users/2/posts/{made.id}"
    }  # fmt: skip


def test_a_nested_resource_keeps_the_methods_of_its_class(blog):
    assert blog.users(1).posts.titles() == ["First post", "Second post"]
    assert isinstance(blog.users(1).posts, Posts)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda tree: tree(1).branches.delete(2), "/echo/1/branches/2"),
        (lambda tree: tree("a/b").branches.delete("c/d"), "/echo/a%2Fb/branches/c%2Fd"),
        (lambda tree: tree("{id}").branches.delete("%2F"), "/echo/%7Bid%7D/branches/%252F"),
        (lambda tree: tree(1).branches(2).leaves.delete(3), "/echo/1/branches/2/leaves/3"),
        (lambda tree: tree(1).branches.create({}), "/echo/1/branches"),
        (lambda tree: tree(1).twigs.create({}), "/echo/1/twigs/"),
        (lambda tree: tree(1).twigs.delete(2), "/echo/1/twig/2"),
        (lambda tree: tree(1).twigs(2).leaves.delete(3), "/echo/1/twig/2/leaves/3"),
        (lambda tree: tree(1).branches.publish(2), "/echo/1/branches/2/publish"),
    ],
    ids=[
        "item", "odd ids", "braces", "twice", "collection", "slashes", "item path",
        "below an item path", "action",
    ],
)  # fmt: skip
def test_the_path_of_what_is_nested_follows_that_of_its_parents(sandbox, blog, call, path):
    call(blog.tree)

    assert [request.path for request in sandbox.requests] == [path]


@pytest.mark.parametrize("id", [None, "", ".", "..", "\udc00"], ids=ascii)
def test_a_parents_id_that_would_name_something_else_is_refused(sandbox, blog, id):
    with pytest.raises(ValueError, match=r"."):
        blog.tree(id)

    assert sandbox.requests == []


def test_what_is_nested_needs_an_item_of_its_parent(sandbox, blog):
    with pytest.raises(httpkit.ConfigurationError, match="choose an item of <Tree 'echo'> first"):
        blog.tree.branches.get(1)

    assert sandbox.requests == []


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda item: item.get(2), id="get"),
        pytest.param(lambda item: item.list(), id="list"),
        pytest.param(lambda item: item.create({}), id="create"),
        pytest.param(lambda item: item.request("GET"), id="request"),
    ],
)
def test_one_item_is_not_the_collection(sandbox, blog, call):
    with pytest.raises(httpkit.ConfigurationError, match="'echo', item 1> is one item"):
        call(blog.tree(1))

    assert sandbox.requests == []


def test_a_nested_resource_shows_where_it_is(blog):
    assert repr(blog.tree(1).branches(2).leaves) == "<Resource 'echo/1/branches/2/leaves'>"
    assert repr(blog.tree.branches(2).leaves) == "<Resource 'echo/{id}/branches/2/leaves'>"
    assert repr(blog.tree.branches) == "<Echo 'echo/{id}/branches'>"
    assert repr(Tree.branches) == "<Echo 'branches' (not bound to a session)>"


@pytest.mark.parametrize("name", ["path", "model", "list", "get", "request", "_item"])
def test_a_nested_resource_cannot_hide_what_every_resource_has(name):
    with pytest.raises(httpkit.ConfigurationError, match=f"Shelf.{name}"):
        type("Shelf", (httpkit.Resource,), {name: httpkit.Resource("things")})


def test_a_nested_resource_may_be_called_pages(sandbox, blog):
    books = type("Books", (httpkit.Resource,), {"pages": httpkit.Resource("pages")})

    books("echo", pages=httpkit.NumberedPages()).bind(blog)(1).pages.delete(2)

    assert sandbox.requests[0].path == "/echo/1/pages/2"


def test_choosing_an_item_changes_nothing_for_others(sandbox, blog):
    tree = blog.tree

    one, other = tree(1), tree(2)
    other.branches.delete(9)
    one.branches.delete(9)
    tree.delete(9)

    assert [request.path for request in sandbox.requests] == [
        "/echo/2/branches/9", "/echo/1/branches/9", "/echo/9"
    ]  # fmt: skip


# Actions


@pytest.mark.parametrize(
    ("url", "options", "path"),
    [
        ("", {}, "/echo"),
        ("search", {"params": {"q": "a"}}, "/echo/search?q=a"),
        ("/search", {}, "/echo/search"),
        ("search/", {}, "/echo/search/"),
        ("{id}", {"id": 1}, "/echo/1"),
        ("{id}/publish", {"id": "a/b"}, "/echo/a%2Fb/publish"),
        ("{id}/publish/", {"id": 1}, "/echo/1/publish/"),
        ("{id}/a/b", {"id": "{x}"}, "/echo/%7Bx%7D/a/b"),
        ("{id}:publish", {"id": "a/b"}, "/echo/a%2Fb:publish"),
        ("{id}:publish/", {"id": 1}, "/echo/1:publish/"),
    ],
)
def test_an_action_goes_below_the_collection_or_an_item(sandbox, blog, url, options, path):
    response = blog.echoes.request("post", url, json=Post("a"), **options)

    query = "&".join(f"{name}={v[0]}" for name, v in sandbox.requests[0].query.items())
    assert sandbox.requests[0].path + (f"?{query}" if query else "") == path
    assert sandbox.requests[0].method == "POST"
    assert response.json()["json"] == {"title": "a", "body": "", "userId": None, "id": None}


def test_an_action_without_a_body_sends_none(sandbox, blog):
    blog.echoes.publish(1, headers={"X-Tenant": "a"})

    assert (sandbox.requests[0].body, sandbox.requests[0].headers["x-tenant"]) == (b"", "a")
    assert "content-type" not in sandbox.requests[0].headers


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("{id}/publish", {}),
        ("publish", {"id": 1}),
        ("publish/{id}", {"id": 1}),
        ("{id}x", {"id": 1}),
        ("{id}:publish", {}),
        (":publish/{id}", {"id": 1}),
        ("{other}", {}),
        ("{id}", {"id": ".."}),
        ("{id}", {"id": None}),
        ("../users", {}),
        ("{id}/../../users", {"id": 1}),
    ],
)
def test_an_action_that_would_go_elsewhere_is_refused(sandbox, blog, url, options):
    with pytest.raises(ValueError, match=r"."):
        blog.echoes.request("POST", url, **options)

    assert sandbox.requests == []


def test_an_action_that_the_server_refuses_is_an_error(resource, make_response):
    posts, _ = resource(make_response("409 Conflict", b'{"detail": "published already"}'))

    with pytest.raises(httpkit.ConflictError, match="published already"):
        posts.request("POST", "{id}/publish", id=1)


# Where items are


ENVELOPE = b'{"data": {"title": "a", "id": 1}}'


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.get(1), id="get"),
        pytest.param(lambda posts: posts.get(1, default=None), id="get with a default"),
        pytest.param(lambda posts: posts.fetch(1).item, id="fetch"),
        pytest.param(lambda posts: posts.create(Post("a")), id="create"),
        pytest.param(lambda posts: posts.replace(1, Post("a")), id="replace"),
        pytest.param(lambda posts: posts.update(1, {}), id="update"),
    ],
)
def test_an_item_may_be_within_its_document(resource, make_response, call):
    posts, _ = resource(make_response(body=ENVELOPE), item_at="data")

    assert call(posts) == Post("a", id=1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"post": {}}', "nothing at 'data': there is 'post'"),
        (b'{"data": {"title": 5}}', r"is not a Post: .*\$\.title"),
        (b"", "body is empty"),
        (b"[]", "nothing at 'data'"),
    ],
    ids=["elsewhere", "another shape", "empty", "a list"],
)
def test_a_document_without_the_item_says_what_there_is(resource, make_response, body, words):
    posts, _ = resource(make_response(body=body), item_at="data")

    with pytest.raises(httpkit.DecodeError, match=words):
        posts.get(1)


def test_an_item_may_live_elsewhere_than_its_collection(sandbox, blog):
    echo = blog.resource("echo/posts", item_path="echo/post/{id}/")

    echo.create({})
    echo.delete("a/b")
    echo.request("POST", "{id}/publish", id=1)

    assert [request.path for request in sandbox.requests] == [
        "/echo/posts", "/echo/post/a%2Fb/", "/echo/post/1/publish"
    ]  # fmt: skip


def test_an_id_may_be_several_segments(sandbox, blog):
    class Repos(httpkit.Resource[dict]):
        issues = Echo("issues")

    repos = Repos("echo/mine", item_path="echo/repos/{+id}").bind(blog)
    repos.create({})
    repos.get("octo cat/hello")
    repos("octo/cat?#").issues.get("a/b")
    repos("octo/cat").issues.publish(1)

    assert [request.path for request in sandbox.requests] == [
        "/echo/mine", "/echo/repos/octo%20cat/hello", "/echo/repos/octo/cat%3F%23/issues/a%2Fb",
        "/echo/repos/octo/cat/issues/1/publish",
    ]  # fmt: skip
    assert repr(repos("octo/cat").issues) == "<Echo 'echo/repos/octo/cat/issues'>"


@pytest.mark.parametrize(
    "id", ["", "/", "a/", "/a", "a//b", "a/..", "../a", "./a", None, b"a/.."], ids=repr
)
def test_an_id_of_several_segments_cannot_climb(sandbox, blog, id):
    repos = blog.resource("echo/mine", item_path="echo/repos/{+id}")

    for act in (repos, repos.get):
        with pytest.raises(ValueError, match="id="):
            act(id)

    assert sandbox.requests == []


@pytest.mark.parametrize("item_path", ["", "post", "post/{key}", "{id}/{id}", "{id}/{+id}"])
def test_an_item_path_without_one_place_for_the_id_is_refused(item_path):
    with pytest.raises(httpkit.ConfigurationError, match="item_path"):
        httpkit.Resource("posts", item_path=item_path)


# Many in one request


def test_create_many_sends_one_list_and_returns_what_was_stored(sandbox, blog):
    posts = blog.posts.create_many(iter([Post("a"), {"title": "b", "userId": 1}]))

    assert posts == [Post("a", id=4), Post("b", userId=1, id=5)]
    assert len(sandbox.requests) == 1
    assert sandbox.requests[0].json == [{"title": "a", "body": ""}, {"title": "b", "userId": 1}]


def test_create_many_of_none_sends_nothing(sandbox, blog):
    assert blog.posts.create_many([]) == []
    assert sandbox.requests == []


class Pair(NamedTuple):
    title: str
    body: str


@pytest.mark.parametrize(
    "items",
    [{"title": "One"}, "One", b"One", bytearray(b"One"), Post("One"), Pair("One", ""), 1, None],
    ids=lambda items: type(items).__name__,
)
def test_one_item_is_not_taken_for_many(sandbox, blog, items):
    with pytest.raises(httpkit.ConfigurationError, match="not a list of items"):
        blog.posts.create_many(items)

    assert sandbox.requests == []


def test_create_many_takes_whatever_gives_items(blog):
    made = blog.posts.create_many(Post(title) for title in ("One", "Two"))

    assert [post.title for post in made] == ["One", "Two"]


@pytest.mark.parametrize("status", NOTHING)
def test_create_many_returns_the_sent_items_when_the_response_is_empty(
    resource, make_response, status
):
    posts, _ = resource(make_response(status))

    assert posts.create_many([Post("a"), {"title": "b"}]) == [Post("a"), Post("b")]


def test_the_list_that_comes_back_may_be_within_its_document(resource, make_response):
    posts, _ = resource(
        make_response("201 Created", b'{"data": [{"title": "a"}]}'), items_at="data"
    )

    assert posts.create_many([Post("a")]) == [Post("a")]


@pytest.mark.parametrize("body", [b'{"created": 1}', b"[1]", b"<html>"], ids=ascii)
def test_a_response_that_is_not_a_list_of_the_model_is_a_decode_error(
    resource, make_response, body
):
    posts, _ = resource(make_response("207 Multi-Status", body))

    with pytest.raises(httpkit.DecodeError):
        posts.create_many([Post("a")])


def test_create_many_is_sent_once_unless_it_has_a_key(sandbox):
    with Blog(sandbox.url) as blog:
        flaky = blog.resource("flaky/k?status=500&fail=1&then=204")
        with pytest.raises(httpkit.InternalServerError):
            flaky.create_many([{}])
        other = blog.resource("flaky/l?status=500&fail=1&then=204")
        other.create_many([{}], idempotency_key=True)

    assert (len(sandbox.attempts("k")), len(sandbox.attempts("l"))) == (1, 2)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda posts: posts.create_many([{}]), id="create_many"),
        pytest.param(lambda posts: posts.get(1), id="get"),
    ],
)
def test_a_validator_that_quotes_a_secret_shows_none(resource, make_response, call):
    posts, _ = resource(
        make_response(body=b'[{"data": "tenant-token-1"}]'),
        model=lambda item: int(item["data"]),
        item_at="0",
        auth=httpkit.BearerAuth("tenant-token-1"),
    )

    with pytest.raises(httpkit.DecodeError) as caught:
        call(posts)

    assert "tenant-token-1" not in "".join(traceback.format_exception(caught.value))


# Versions


CHANGES = [
    pytest.param(lambda posts, **o: posts.replace(1, {"title": "x"}, **o), id="replace"),
    pytest.param(lambda posts, **o: posts.update(1, {"title": "x"}, **o), id="update"),
    pytest.param(lambda posts, **o: posts.delete(1, **o), id="delete"),
]


def test_fetch_returns_the_item_with_its_response(blog):
    found = blog.posts.fetch(1)

    assert found.item == blog.posts.get(1)
    assert found.etag == found.response.headers["ETag"]
    assert repr(found).startswith("<Fetched Post(title='First post'")


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_of_the_version_that_was_fetched_is_made(sandbox, blog, call):
    etag = blog.posts.fetch(1).etag

    call(blog.posts, if_match=etag, headers={"X-Tenant": "a"})

    assert sandbox.requests[-1].headers["if-match"] == etag
    assert sandbox.requests[-1].headers["x-tenant"] == "a"


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_of_an_older_version_is_refused(blog, call):
    etag = blog.posts.fetch(1).etag
    blog.posts.update(1, {"title": "Somebody else was faster"})

    with pytest.raises(httpkit.PreconditionFailedError):
        call(blog.posts, if_match=etag)

    assert blog.posts.get(1).title == "Somebody else was faster"


@pytest.mark.parametrize("call", CHANGES)
def test_any_version_will_do(sandbox, blog, call):
    call(blog.posts, if_match="*")

    assert sandbox.requests[0].headers["if-match"] == "*"


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_asks_for_no_version_by_itself(sandbox, blog, call):
    call(blog.posts)

    assert "if-match" not in sandbox.requests[0].headers


@pytest.mark.parametrize("etag", ["", " ", 5, b'"a"'], ids=repr)
@pytest.mark.parametrize("call", CHANGES)
def test_an_invalid_version_is_refused(sandbox, blog, call, etag):
    with pytest.raises(httpkit.ConfigurationError, match="if_match"):
        call(blog.posts, if_match=etag)

    assert sandbox.requests == []


def test_update_fetches_the_item_without_if_match(resource, make_response):
    posts, server = resource(
        make_response("204 No Content"), make_response(body=b'{"title": "New"}')
    )

    posts.update(1, {}, if_match='"v1"')

    assert b'If-Match: "v1"' in server.requests[0]
    assert b"If-Match" not in server.requests[1]


def test_a_server_without_versions_is_an_error_and_not_a_change_of_any(resource, make_response):
    posts, _ = resource(make_response(body=b'{"title": "a"}'))
    found = posts.fetch(1)

    with pytest.raises(AttributeError, match=r"GET http.*/posts/1 has no ETag"):
        posts.replace(1, {}, if_match=found.etag)
