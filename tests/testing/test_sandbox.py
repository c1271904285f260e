"""The sandbox judges other code, so it is judged here over real sockets, by plain requests."""

import doctest
import http.client
import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote

import pytest
import requests

import httpkit.testing.sandbox.server
from httpkit.testing.sandbox.server import Sandbox, SeenRequest

BOOKS = [{"id": n, "shelf": "ab"[n % 2], "title": f"Book {n}"} for n in range(1, 26)]
# Seconds. No test waits so long: it turns a hang into a failure.
LONG = 20


@pytest.fixture
def sandbox():
    with Sandbox() as started:
        yield started


@pytest.fixture
def client():
    with requests.Session() as session:
        # Proxies of the machine that runs the tests are none of their business.
        session.trust_env = False
        yield session


@pytest.fixture
def raw_connection(sandbox):
    """A raw connection to the sandbox."""
    with connected(sandbox) as connection:
        yield connection


def connected(sandbox):
    return socket.create_connection(("127.0.0.1", port_of(sandbox.url)), timeout=LONG)


def port_of(url):
    return int(url.rpartition(":")[2])


def read_to_end(connection):
    with connection.makefile("rb") as stream:
        return stream.read()


def chunked(*chunks, trailers=b""):
    framed = b"".join(b"%x;note=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n%s\r\n" % (
        framed,
        trailers,
    )


# Starting and stopping


def test_the_example_in_the_docstring_runs():
    outcome = doctest.testmod(httpkit.testing.sandbox.server)

    assert (outcome.attempted, outcome.failed) == (2, 0)


def test_it_stops_without_leaving_a_thread_or_an_open_port(client):
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        url, other_url = sandbox.url, sandbox.other_url
        client.get(url + "/posts")
        client.get(other_url + "/posts")

    left = set(threading.enumerate()) - before

    assert left == set()
    for origin in (url, other_url):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(origin)), timeout=LONG)


def test_a_forgotten_sandbox_does_not_keep_the_interpreter_alive():
    before = set(threading.enumerate())
    with Sandbox() as sandbox, connected(sandbox) as raw_connection:
        raw_connection.sendall(b"GET /empty HTTP/1.1\r\n\r\n")
        raw_connection.recv(1)

        started = set(threading.enumerate()) - before

    assert [thread.daemon for thread in started] == [True, True, True]


def test_it_binds_nothing_before_it_starts():
    before = set(threading.enumerate())

    sandbox = Sandbox()

    assert repr(sandbox) == "<Sandbox not started>"
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("name", ["url", "other_url"])
def test_an_origin_is_refused_before_the_start(name):
    sandbox = Sandbox()

    with pytest.raises(RuntimeError, match="not started; call start"):
        getattr(sandbox, name)


def test_starting_twice_keeps_the_ports():
    with Sandbox() as sandbox:
        url = sandbox.url

        again = sandbox.start()

        assert (again, again.url) == (sandbox, url)


def test_a_closed_sandbox_can_start_again_and_remembers(client):
    sandbox = Sandbox()
    with sandbox:
        client.get(sandbox.url + "/posts/1")

    with sandbox:
        client.get(sandbox.url + "/posts/2")

    assert [request.path for request in sandbox.requests] == ["/posts/1", "/posts/2"]


def test_closing_twice_is_harmless():
    sandbox = Sandbox().start()
    sandbox.close()

    sandbox.close()

    assert repr(sandbox) == "<Sandbox not started>"


@pytest.mark.parametrize(
    ("target", "sent"),
    [("/slow?seconds=3600", [b""]), ("/drip?seconds=3600&bytes=1", [b"", b"HTTP/1.1 200"])],
    ids=["slow", "drip"],
)
def test_closing_ends_a_pending_response_at_once(target, sent):
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    with Sandbox() as sandbox, connected(sandbox) as raw_connection:
        raw_connection.sendall(f"GET {target} HTTP/1.1\r\nExpect: 100-continue\r\n\r\n".encode())
        # Once the server has said so, the thread that will wait has the request.
        assert raw_connection.recv(len(go_on), socket.MSG_WAITALL) == go_on
        before = time.monotonic()

        sandbox.close()

        assert time.monotonic() - before < LONG / 4
        assert read_to_end(raw_connection)[:12] in sent


def test_closing_hangs_up_on_a_client_that_says_nothing():
    with Sandbox() as sandbox, connected(sandbox) as raw_connection:
        raw_connection.sendall(b"HEAD /empty HTTP/1.1\r\n\r\n")
        first = raw_connection.recv(1)

        sandbox.close()

        assert (first + read_to_end(raw_connection)).endswith(b"\r\n\r\n")


def test_a_client_that_hangs_up_within_its_body_is_not_reported(capfd):
    with Sandbox() as sandbox, connected(sandbox) as raw_connection:
        raw_connection.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        raw_connection.shutdown(socket.SHUT_WR)

        response = read_to_end(raw_connection)

    assert (response, sandbox.requests) == (b"", [])
    assert capfd.readouterr() == ("", "")


def test_a_client_that_hangs_up_within_the_response_is_not_reported(capfd):
    with Sandbox() as sandbox:
        with connected(sandbox) as raw_connection:
            raw_connection.sendall(b"GET /bytes/60000000 HTTP/1.1\r\n\r\n")
            raw_connection.recv(1)

        sandbox.close()

    assert capfd.readouterr() == ("", "")


def test_a_built_in_route_is_no_name_for_a_collection():
    with pytest.raises(ValueError, match="'echo' is a built-in route"):
        Sandbox({"books": [], "echo": []})


def test_an_object_that_is_not_json_is_refused_before_the_start():
    with pytest.raises(TypeError, match="not JSON serializable"):
        Sandbox({"books": [{"id": object()}]})


# What was seen


def test_requests_holds_each_request_as_it_arrived(sandbox, client):
    url = sandbox.other_url + "/echo/a%2Fb"

    client.post(url, params={"q": ["1", "é"], "e": ""}, data=b"\xff", headers={"X-One": "1"})

    (received,) = sandbox.requests
    assert (received.method, received.path, received.body) == ("POST", "/echo/a%2Fb", b"\xff")
    assert received.query == {"q": ["1", "é"], "e": [""]}
    assert received.port == port_of(sandbox.other_url)
    assert received.headers["x-ONE"] == "1"
    assert "X-One" in list(received.headers)
    assert len(received.headers) == len(dict(received.headers))


def test_leading_slashes_are_kept_as_sent(sandbox, raw_connection):
    raw_connection.sendall(b"GET //posts HTTP/1.1\r\nConnection: close\r\n\r\n")

    response = read_to_end(raw_connection)

    assert b"no such route: //posts" in response
    assert sandbox.requests[0].path == "//posts"


def test_a_repeated_header_is_joined(sandbox, raw_connection):
    raw_connection.sendall(b"GET /empty HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n")

    read_to_end(raw_connection)

    assert sandbox.requests[0].headers["X-A"] == "1, 2"


def test_a_request_body_decodes_as_json(sandbox, client):
    client.put(sandbox.url + "/echo", json={"a": [1]})

    assert sandbox.requests[0].json == {"a": [1]}


def test_an_empty_request_body_is_not_json(sandbox, client):
    client.get(sandbox.url + "/echo")

    with pytest.raises(ValueError, match="Expecting value"):
        _ = sandbox.requests[0].json


def test_the_list_of_requests_is_a_copy(sandbox, client):
    client.get(sandbox.url + "/empty")

    sandbox.requests.clear()

    assert len(sandbox.requests) == 1


def test_no_repr_shows_a_secret(sandbox, client):
    url = sandbox.url + "/key/posts"

    client.post(url, params={"api_key": "s3cret"}, headers={"X-Token": "s3cret"}, data="s3cret")

    (received,) = sandbox.requests
    assert repr(received) == "<SeenRequest POST /key/posts, 6 bytes>"
    assert repr(sandbox) == f"<Sandbox {sandbox.url}>"
    assert "s3cret" not in repr(received.headers)


def test_a_recorded_request_cannot_be_changed():
    received = SeenRequest("GET", "/", {}, {}, b"", 80)

    with pytest.raises(AttributeError):
        received.path = "/other"


def test_clear_drops_requests_counts_keys_and_changes(sandbox, client):
    keyed = {"Idempotency-Key": "k"}
    client.post(sandbox.url + "/posts", json={"title": "one"}, headers=keyed)
    client.delete(sandbox.url + "/posts/1")
    client.get(sandbox.url + "/flaky/k")

    sandbox.clear()

    assert (sandbox.requests, sandbox.attempts("k")) == ([], [])
    assert [post["id"] for post in client.get(sandbox.url + "/posts").json()] == [1, 2, 3]
    again = client.post(sandbox.url + "/posts", json={"title": "two"}, headers=keyed)
    assert again.json()["title"] == "two"


# Collections


def test_the_default_collections_hold_posts_and_users(sandbox, client):
    posts = client.get(sandbox.url + "/posts").json()
    users = client.get(sandbox.url + "/users").json()

    assert [sorted(post) for post in posts] == [["body", "id", "title", "userId"]] * 3
    assert [sorted(user) for user in users] == [["email", "id", "name"]] * 2


def test_given_objects_are_copied_and_numbered(client):
    fixed = MappingProxyType({"id": 2})
    given = {"books": [{"id": 7, "tags": ["old"]}, fixed, {"name": "unnumbered"}]}
    with Sandbox(given) as sandbox:
        given["books"][0]["tags"].append("new")

        books = client.get(sandbox.url + "/books").json()

    assert books == [{"id": 7, "tags": ["old"]}, {"id": 2}, {"id": 8, "name": "unnumbered"}]


def test_a_new_object_is_stored_at_its_location(sandbox, client):
    made = client.post(sandbox.url + "/posts", json={"id": 1, "title": "New"})

    assert made.status_code == 201
    assert made.json() == {"id": 4, "title": "New"}
    assert made.headers["Location"] == "/posts/4"
    assert client.get(sandbox.url + made.headers["Location"]).json() == made.json()


def test_an_id_is_not_given_again_after_a_delete(sandbox, client):
    client.post(sandbox.url + "/users", json={})
    client.delete(sandbox.url + "/users/3")

    made = client.post(sandbox.url + "/users", json={})

    assert made.json()["id"] == 4


@pytest.fixture
def restless_threads():
    """Switch threads a thousand times as often, so that a missing lock shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1000)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless_threads")
def test_32_threads_creating_posts_get_distinct_ids(sandbox):
    def create(number):
        with requests.Session() as session:
            session.trust_env = False
            made = session.post(sandbox.url + "/posts", json={"title": str(number)}, timeout=LONG)
            return made.json()["id"]

    with ThreadPoolExecutor(32) as pool:
        ids = list(pool.map(create, range(64)))

    assert sorted(ids) == list(range(4, 68))
    assert len(sandbox.requests) == 64


def test_a_put_replaces_all_but_the_id(sandbox, client):
    put = client.put(sandbox.url + "/posts/2", json={"id": 9, "title": "Whole"})

    assert (put.status_code, put.json()) == (200, {"id": 2, "title": "Whole"})
    assert client.get(sandbox.url + "/posts/2").json() == put.json()


def test_a_patch_keeps_what_it_does_not_name(sandbox, client):
    before = client.get(sandbox.url + "/posts/2").json()

    patched = client.patch(sandbox.url + "/posts/2", json={"id": 9, "title": "Part"})

    assert (patched.status_code, patched.json()) == (200, {**before, "title": "Part"})
    assert client.get(sandbox.url + "/posts/2").json() == patched.json()


def test_a_deleted_object_is_gone(sandbox, client):
    gone = client.delete(sandbox.url + "/posts/2")

    assert (gone.status_code, gone.content) == (204, b"")
    assert "Content-Length" not in gone.headers
    assert client.get(sandbox.url + "/posts/2").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_a_missing_id_is_404(sandbox, client, method):
    missing = client.request(method, sandbox.url + "/posts/9", json={})

    assert missing.status_code == 404
    if method != "HEAD":
        assert missing.headers["Content-Type"] == "application/problem+json"
        assert missing.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "no posts with id 9",
        }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        pytest.param("DELETE", "/posts", "GET, HEAD, POST", id="collection"),
        pytest.param("POST", "/posts/1", "GET, HEAD, PUT, PATCH, DELETE", id="item"),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(sandbox, client, method, path, allow):
    refused = client.request(method, sandbox.url + path)

    assert (refused.status_code, refused.headers["Allow"]) == (405, allow)


def test_names_and_ids_are_decoded_and_may_hold_a_slash(client):
    with Sandbox({"my files": [{"id": "a/b", "size": 1}]}) as sandbox:
        found = client.get(sandbox.url + "/my%20files/a%2Fb")

    assert found.json() == {"id": "a/b", "size": 1}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b"[" * 200_000],
    ids=["none", "list", "cut", "bytes", "deep"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/posts"), ("PUT", "/posts/1")])
def test_a_body_that_is_no_object_is_400(sandbox, client, method, path, body):
    refused = client.request(method, sandbox.url + path, data=body)

    assert refused.status_code == 400
    assert refused.json()["detail"] == "the body must be a JSON object"


@pytest.mark.parametrize("body", [{}, {"title": ""}], ids=["missing", "empty"])
def test_a_post_without_a_title_is_422(sandbox, client, body):
    refused = client.post(sandbox.url + "/posts", json=body)

    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["detail"] == "title is required"
    assert refused.json()["errors"] == [{"field": "title", "message": "is required"}]


def test_a_repeated_idempotency_key_stores_once(sandbox, client):
    keyed = {"Idempotency-Key": "k"}
    first = client.post(sandbox.url + "/posts", json={"title": "one"}, headers=keyed)

    again = client.post(sandbox.url + "/posts", json={"title": "two"}, headers=keyed)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert len(client.get(sandbox.url + "/posts").json()) == 4


def test_a_refused_post_does_not_use_up_its_idempotency_key(sandbox, client):
    keyed = {"Idempotency-Key": "k"}
    client.post(sandbox.url + "/posts", json={}, headers=keyed)

    again = client.post(sandbox.url + "/posts", json={"title": "one"}, headers=keyed)

    assert again.status_code == 201


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        pytest.param("userId=1", [1, 2], id="number"),
        pytest.param("userId=1&title=Second%20post", [2], id="both"),
        pytest.param("userId=2&userId=1", [1, 2, 3], id="either"),
        pytest.param("colour=None", [], id="no such member"),
    ],
)
def test_a_query_parameter_filters(sandbox, client, query, ids):
    found = client.get(f"{sandbox.url}/posts?{query}")

    assert [post["id"] for post in found.json()] == ids


@pytest.mark.parametrize(
    ("query", "ids", "links"),
    [
        pytest.param("", range(1, 26), {}, id="unpaged"),
        pytest.param("_page=1", range(1, 11), {"next": "_page=2&_limit=10"}, id="first"),
        pytest.param(
            "_page=2",
            range(11, 21),
            {"next": "_page=3&_limit=10", "prev": "_page=1&_limit=10"},
            id="middle",
        ),
        pytest.param("_page=3", range(21, 26), {"prev": "_page=2&_limit=10"}, id="last"),
        pytest.param("_limit=25", range(1, 26), {}, id="one page"),
        pytest.param(
            "shelf=a&_limit=2", [2, 4], {"next": "shelf=a&_page=2&_limit=2"}, id="filtered"
        ),
    ],
)
def test_pages_are_linked(client, query, ids, links):
    with Sandbox({"books": BOOKS}) as sandbox:
        page = client.get(f"{sandbox.url}/books?{query}")

        assert [book["id"] for book in page.json()] == list(ids)
        assert {rel: link["url"] for rel, link in page.links.items()} == {
            rel: f"{sandbox.url}/books?{following}" for rel, following in links.items()
        }


@pytest.mark.parametrize(
    ("query", "ids", "links"),
    [
        pytest.param("_offset=0", range(1, 11), {"next": "_offset=10&_limit=10"}, id="first"),
        pytest.param(
            "_offset=15&_limit=5",
            range(16, 21),
            {"next": "_offset=20&_limit=5", "prev": "_offset=10&_limit=5"},
            id="middle",
        ),
        pytest.param(
            "_offset=3&_limit=50", range(4, 26), {"prev": "_offset=0&_limit=50"}, id="last"
        ),
        pytest.param("_offset=99", [], {"prev": "_offset=89&_limit=10"}, id="beyond"),
    ],
)
def test_pages_may_begin_at_any_offset(client, query, ids, links):
    with Sandbox({"books": BOOKS}) as sandbox:
        page = client.get(f"{sandbox.url}/books?{query}")

        assert [book["id"] for book in page.json()] == list(ids)
        assert page.headers["X-Total-Count"] == "25"
        assert {rel: link["url"] for rel, link in page.links.items()} == {
            rel: f"{sandbox.url}/books?{following}" for rel, following in links.items()
        }


def test_a_wrapped_page_leads_on_by_cursor_and_by_url(client):
    with Sandbox({"books": BOOKS}) as sandbox:
        url = f"{sandbox.url}/wrapped/books"
        first = client.get(url, params={"_limit": 10, "shelf": "a"}).json()
        query = {"_limit": 10, "shelf": "a", "_cursor": first["next_cursor"]}
        by_cursor = client.get(url, params=query).json()
        by_url = client.get(first["next"]).json()

    assert [book["id"] for book in first["items"]] == list(range(2, 21, 2))
    assert (first["total"], first["has_more"]) == (12, True)
    assert [book["id"] for book in by_cursor["items"]] == [22, 24]
    assert by_cursor == by_url
    assert (by_url["has_more"], by_url["next_cursor"], by_url["next"]) == (False, None, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/wrapped/nothing", 404),
        ("/wrapped", 404),
        ("/wrapped/posts?_cursor=x", 400),
        ("/wrapped/posts?_cursor=YWZ0ZXIgeA==", 400),
        ("/users/9/posts", 404),
        ("/users/1/nothing", 404),
        ("/users/2/posts/1", 404),
        ("/users/1/posts/1/users", 404),
    ],
)
def test_what_is_not_there_is_refused(sandbox, client, path, status):
    assert client.get(sandbox.url + path).status_code == status


def test_what_belongs_to_a_row_is_below_it(sandbox, client):
    found = client.get(f"{sandbox.url}/users/1/posts?title=First+post").json()
    made = client.post(f"{sandbox.url}/users/1/posts", json={"title": "New", "userId": 7}).json()
    client.put(f"{sandbox.url}/users/1/posts/{made['id']}", json={"title": "Newer"})

    assert [post["id"] for post in found] == [1]
    assert client.get(f"{sandbox.url}/posts/4").json() == {"id": 4, "title": "Newer", "userId": 1}


def test_a_list_is_stored_as_a_whole_or_not_at_all(sandbox, client):
    made = client.post(f"{sandbox.url}/posts", json=[{"title": "a"}, {"title": "b"}])
    refused = client.post(f"{sandbox.url}/posts", json=[{"title": "c"}, {"body": "no title"}])
    strange = client.post(f"{sandbox.url}/posts", json=[3])

    assert (made.status_code, [post["id"] for post in made.json()]) == (201, [4, 5])
    assert (refused.status_code, strange.status_code) == (422, 400)
    assert len(client.get(f"{sandbox.url}/posts").json()) == 5


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_of_an_older_version_is_refused(sandbox, client, method):
    url = f"{sandbox.url}/posts/1"
    tag = client.get(url).headers["ETag"]
    newer = client.patch(url, json={"body": "x"}, headers={"If-Match": tag}).headers["ETag"]

    refused = client.request(method, url, json={}, headers={"If-Match": tag})
    done = client.request(method, url, json={}, headers={"If-Match": f'"x", {newer}'})

    assert (refused.status_code, done.ok) == (412, True)


def test_a_link_stays_behind_its_guard_without_the_key(sandbox, client):
    page = client.get(f"{sandbox.url}/key/posts?_limit=2&api_key={sandbox.api_key}")

    assert page.links["next"]["url"] == f"{sandbox.url}/key/posts?_page=2&_limit=2"


def test_head_is_get_without_the_body_and_keeps_the_connection(client, sandbox, raw_connection):
    length = client.get(sandbox.url + "/posts").headers["Content-Length"]
    raw_connection.sendall(b"HEAD /posts HTTP/1.1\r\n\r\n")
    raw_connection.sendall(b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n")

    head, following, rest = read_to_end(raw_connection).split(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"\r\nContent-Length: {length}".encode() in head
    assert following.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert rest == b""


# Secrets


@pytest.mark.parametrize(
    ("lock", "headers"),
    [
        pytest.param("bearer", {"Authorization": "Bearer sandbox-token"}, id="bearer"),
        pytest.param("bearer/", {"Authorization": "bearer  sandbox-token"}, id="any case"),
        pytest.param(
            "basic",
            {"Authorization": requests.auth._basic_auth_str("user", "sandbox-password")},
            id="basic",
        ),
        pytest.param("key", {"X-API-Key": "sandbox-key"}, id="header"),
        pytest.param("key", {"Cookie": "a=b; api_key=sandbox-key"}, id="cookie"),
        pytest.param("key?api_key=sandbox-key", {}, id="parameter"),
    ],
)
def test_the_right_secret_is_let_in(sandbox, client, lock, headers):
    response = client.get(f"{sandbox.url}/{lock}", headers=headers)

    assert (response.status_code, response.json()) == (200, {"authenticated": True})


@pytest.mark.parametrize(
    ("lock", "headers", "detail"),
    [
        pytest.param(
            "bearer", {"Authorization": "Bearer no"}, "the bearer token is not valid", id="bearer"
        ),
        pytest.param(
            "basic",
            {"Authorization": "Basic !"},
            "the user name with its password is not valid",
            id="basic",
        ),
        pytest.param("key", {"X-API-Key": ""}, "the API key is not valid", id="empty key"),
        pytest.param("key?api_key=%C3%A9", {}, "the API key is not valid", id="not ASCII"),
    ],
)
def test_a_wrong_secret_is_401(sandbox, client, lock, headers, detail):
    refused = client.get(f"{sandbox.url}/{lock}", headers=headers)

    assert (refused.status_code, refused.json()["detail"]) == (401, detail)
    assert "sandbox-" not in refused.text


@pytest.mark.parametrize(
    ("lock", "challenge", "detail"),
    [
        ("bearer", 'Bearer realm="sandbox"', "a bearer token is required"),
        (
            "basic",
            'Basic realm="sandbox", charset="UTF-8"',
            "a user name with its password is required",
        ),
        ("key", 'ApiKey realm="sandbox"', "an API key is required"),
    ],
    ids=["bearer", "basic", "key"],
)
def test_a_missing_secret_is_401_with_a_challenge(sandbox, client, lock, challenge, detail):
    refused = client.get(f"{sandbox.url}/{lock}/posts", headers={"Authorization": "Other x"})

    assert (refused.status_code, refused.json()["detail"]) == (401, detail)
    assert refused.headers["WWW-Authenticate"] == challenge


def test_the_secrets_can_be_chosen(client):
    with Sandbox(token="t", user="u", password="p:é", api_key="k") as sandbox:
        url = sandbox.url
        tries = (
            ("/bearer", {"Authorization": "Bearer t"}, None),
            ("/basic", {}, (b"u", "p:é".encode())),
            ("/key", {"X-API-Key": "k"}, None),
        )

        statuses = [
            client.get(url + path, headers=headers, auth=auth).status_code
            for path, headers, auth in tries
        ]

    assert statuses == [200, 200, 200]


def test_a_token_can_be_rotated_under_a_client(sandbox, client):
    sandbox.token = "rotated"

    old = client.get(sandbox.url + "/bearer", headers={"Authorization": "Bearer sandbox-token"})

    assert old.status_code == 401


class TestToken:
    IN_FORM: ClassVar = {"client_id": "sandbox-client", "client_secret": "sandbox-client-secret"}
    IN_HEADER = ("sandbox-client", "sandbox-client-secret")
    GRANT: ClassVar = {"grant_type": "client_credentials"}

    @pytest.mark.parametrize(
        ("auth", "form"), [(None, IN_FORM), (IN_HEADER, {})], ids=["form", "header"]
    )
    def test_a_known_client_gets_a_token_that_is_let_in(self, sandbox, client, auth, form):
        granted = client.post(sandbox.url + "/token", data={**self.GRANT, **form}, auth=auth)

        headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        let_in = client.get(sandbox.url + "/bearer", headers=headers)
        members = (granted.json()["token_type"], granted.json()["expires_in"])
        assert members == ("Bearer", 3600)
        assert granted.headers["Cache-Control"] == "no-store"
        assert let_in.status_code == 200

    @pytest.mark.parametrize("end", ["expires_in=0", "revoked", "cleared"])
    def test_a_token_that_is_over_is_401(self, sandbox, client, end):
        url = f"{sandbox.url}/token?{end if '=' in end else ''}"
        granted = client.post(url, data={**self.GRANT, **self.IN_FORM}).json()
        if end == "revoked":
            sandbox.revoke_tokens()
        if end == "cleared":
            sandbox.clear()

        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        refused = client.get(sandbox.url + "/bearer", headers=headers)

        assert refused.status_code == 401

    @pytest.mark.parametrize(
        ("form", "status", "error"),
        [
            ({}, 401, "invalid_client"),
            ({**IN_FORM, "client_secret": "no"}, 401, "invalid_client"),
            ({**IN_FORM, "grant_type": "password"}, 400, "unsupported_grant_type"),
            ({**IN_FORM, "grant_type": "refresh_token"}, 400, "invalid_grant"),
        ],
        ids=["nobody", "wrong secret", "wrong grant", "no refresh token"],
    )
    def test_a_wrong_token_request_is_refused_as_by_rfc_6749(
        self, sandbox, client, form, status, error
    ):
        refused = client.post(sandbox.url + "/token", data={**self.GRANT, **form})

        assert (refused.status_code, refused.json()["error"]) == (status, error)
        assert ("WWW-Authenticate" in refused.headers) == (status == 401)

    def test_a_refresh_token_serves_once(self, sandbox, client):
        form = {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token}
        first = client.post(sandbox.url + "/token", data=form, auth=self.IN_HEADER)
        second = client.post(sandbox.url + "/token", data=form, auth=self.IN_HEADER)
        form["refresh_token"] = first.json()["refresh_token"]
        third = client.post(sandbox.url + "/token", data=form, auth=self.IN_HEADER)

        statuses = [response.status_code for response in (first, second, third)]
        assert statuses == [200, 400, 200]
        assert sandbox.refresh_token == third.json()["refresh_token"]

    def test_a_token_is_requested_by_post(self, sandbox, client):
        refused = client.get(sandbox.url + "/token")

        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


def test_behind_the_guard_are_all_routes(sandbox, client):
    headers = {"Authorization": f"Bearer {sandbox.token}", "X-API-Key": sandbox.api_key}

    post = client.get(sandbox.url + "/bearer/key/posts/1", headers=headers)

    assert post.json()["id"] == 1


# Echo, status, flaky


@pytest.mark.parametrize("path", ["/echo", "/echo/any/thing"])
def test_echo_returns_the_request(sandbox, client, path):
    url = f"{sandbox.url}{path}?a=1&a=2"

    echo = client.patch(url, json={"é": 1}, headers={"X-A": "b"}).json()

    assert echo["headers"]["X-A"] == "b"
    assert (echo["method"], echo["path"], echo["query"]) == ("PATCH", path, {"a": ["1", "2"]})
    assert (json.loads(echo["body"]), echo["json"]) == ({"é": 1}, {"é": 1})
    assert echo["bytes"] == len(sandbox.requests[0].body)


def test_echo_replaces_what_is_not_text(sandbox, client):
    echo = client.post(sandbox.url + "/echo", data=b"\xff").json()

    assert (echo["body"], echo["json"], echo["bytes"]) == ("\ufffd", None, 1)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "OK"), (299, "Unassigned"), (404, "Not Found"), (599, "Unassigned")],
)
def test_a_status_can_be_requested(sandbox, client, status, reason):
    response = client.get(f"{sandbox.url}/status/{status}")

    problem = {"type": "about:blank", "title": reason, "status": status}
    failure = {**problem, "detail": f"asked for {status}"}
    assert (response.status_code, response.reason) == (status, reason)
    assert response.json() == (failure if status >= 400 else {})
    assert not {"Retry-After", "X-Request-Id"} & response.headers.keys()


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_sends_none(sandbox, raw_connection, status):
    raw_connection.sendall(b"GET /status/%d HTTP/1.1\r\nConnection: close\r\n\r\n" % status)

    response = read_to_end(raw_connection)

    assert response.endswith(b"\r\n\r\n")
    assert b"content-" not in response.lower()


@pytest.mark.parametrize("status", ["199", "600", "abc", "", "200/more"])
def test_a_status_out_of_range_is_400(sandbox, client, status):
    refused = client.get(f"{sandbox.url}/status/{status}")

    assert refused.status_code == 400
    assert refused.json()["detail"] == f"status must be a number from 200 to 599, not '{status}'"


@pytest.mark.parametrize(
    ("choice", "content_type", "body"),
    [
        ("json", "application/json", '{"error": {"message": "asked for 503"}}'),
        ("object", "application/json", "{}"),
        (
            "html",
            "text/html; charset=utf-8",
            (
                "<html><head><title>503 Service Unavailable</title></head>"
                "<body><h1>503 Service Unavailable</h1></body></html>"
            ),
        ),
        ("text", "text/plain; charset=utf-8", "asked for 503"),
        ("empty", "text/plain; charset=utf-8", ""),
    ],
    ids=["json", "object", "html", "text", "empty"],
)
def test_a_type_of_body_can_be_requested(sandbox, client, choice, content_type, body):
    response = client.get(f"{sandbox.url}/status/503?kind={choice}")

    assert (response.status_code, response.text) == (503, body)
    assert response.headers["Content-Type"] == content_type


def test_an_unknown_kind_is_400(sandbox, client):
    refused = client.get(sandbox.url + "/status/503?kind=xml")

    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("kind must be one of problem, object, json")


def test_headers_can_be_requested(sandbox, client):
    response = client.get(sandbox.url + "/status/429?retry_after=in%20a%20bit&request_id=r-1")

    assert response.headers["Retry-After"] == "in a bit"
    assert response.headers["X-Request-Id"] == "r-1"


def test_a_line_break_in_the_query_adds_no_header(sandbox, client):
    response = client.get(sandbox.url + "/status/429?retry_after=1%0D%0AX-Injected:%201")

    assert response.headers["Retry-After"] == "1  X-Injected: 1"
    assert "X-Injected" not in response.headers


def test_a_flaky_route_recovers_after_two_failures(sandbox, client):
    url = sandbox.url + "/flaky/k?retry_after=0"

    found = [client.post(url, data="12345") for _ in range(3)]

    assert [response.status_code for response in found] == [503, 503, 200]
    assert found[0].headers["Retry-After"] == "0"
    assert found[2].json() == {"key": "k", "attempts": 3, "received": 5}


def test_a_flaky_route_counts_each_key_alone(sandbox, client):
    url = sandbox.url + "/flaky/{}?fail=1&status=429&then=201"

    statuses = [client.get(url.format(key)).status_code for key in "abab"]

    assert statuses == [429, 429, 201, 201]


def test_the_attempts_of_a_flaky_key_are_logged(sandbox, client):
    for body in (b"one", b"two"):
        client.put(sandbox.url + "/flaky/a%2Fb", data=body)

    attempts = sandbox.attempts("a/b")

    assert [attempt.body for attempt in attempts] == [b"one", b"two"]
    assert sandbox.attempts("other") == []


def test_a_flaky_route_can_hang_up(sandbox, client):
    url = sandbox.url + "/flaky/k?fail=1&status=drop"

    with pytest.raises(requests.ConnectionError, match="closed connection without response"):
        client.get(url)

    assert client.get(url).json()["attempts"] == 2


@pytest.mark.parametrize(
    "target",
    [
        "/posts?_page=0",
        "/posts?_limit=none",
        "/flaky/k?fail=some",
        "/flaky/k?fail=-1",
        "/flaky/k?status=dropped",
        "/flaky/k?then=1000",
        "/slow?seconds=nan",
        "/slow?seconds=1e9",
        "/drip?bytes=1.5",
        "/truncated?bytes=",
        "/redirect?to=/&status=3O2",
        "/redirect/chain/0",
        "/bytes/lots",
        "/bytes/67108865",
    ],
)
def test_a_malformed_number_is_400_and_keeps_the_connection(sandbox, client, target):
    refused = client.get(sandbox.url + target, allow_redirects=False)

    assert refused.status_code == 400
    assert " must be a number from " in refused.json()["detail"]
    assert "Connection" not in refused.headers


# Slow and broken responses


def test_a_slow_response_is_complete(sandbox, client):
    slow = client.get(sandbox.url + "/slow?seconds=0.001")

    assert slow.json() == {"seconds": 0.001}


@pytest.mark.parametrize("seconds", ["0", "0.001"])
def test_a_drip_is_whole_in_the_end(sandbox, client, seconds):
    dripped = client.get(f"{sandbox.url}/drip?bytes=3&seconds={seconds}")

    assert dripped.content == b"\x00\x01\x02"
    assert dripped.headers["Content-Length"] == "3"


def test_a_drip_takes_its_time(sandbox, client):
    before = time.monotonic()

    client.get(sandbox.url + "/drip?bytes=5&seconds=0.05")

    assert time.monotonic() - before >= 0.05


def test_an_empty_drip_is_empty(sandbox, client):
    dripped = client.get(sandbox.url + "/drip?bytes=0")

    assert (dripped.status_code, dripped.content) == (200, b"")


def test_a_drip_sends_its_first_byte_before_its_last(sandbox, client):
    url = sandbox.url + "/drip?bytes=3600000&seconds=3600"

    with client.get(url, stream=True) as dripping:
        first = dripping.raw.read(1)

    assert first == b"\x00"


def test_a_truncated_body_ends_at_half_its_length(sandbox, client):
    with client.get(sandbox.url + "/truncated?bytes=4", stream=True) as cut:
        promised = cut.headers["Content-Length"]

        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="4 bytes read, 4 more"):
            cut.content  # noqa: B018 - reading is the act

    assert promised == "8"


# Redirects and cookies


@pytest.mark.parametrize("to", ["/posts/1", "http://example.test/?a=b%2Fc#d", "//x", "/é"])
def test_a_redirect_goes_to_the_requested_url(sandbox, client, to):
    url = f"{sandbox.url}/redirect?status=307&to={quote(to, safe='')}"

    response = client.get(url, allow_redirects=False)

    assert (response.status_code, response.json()) == (307, {"to": to})
    assert response.headers["Location"].encode("latin-1").decode() == to


def test_a_redirect_is_followed(sandbox, client):
    landed = client.get(sandbox.url + "/redirect?to=/posts/1")

    assert landed.json()["id"] == 1
    assert landed.history[0].status_code == 302


def test_a_redirect_to_nowhere_is_400(sandbox, client):
    refused = client.get(sandbox.url + "/redirect")

    assert (refused.status_code, refused.json()["detail"]) == (400, "the query needs to=URL")


@pytest.mark.parametrize(("start", "end"), [("url", "other_url"), ("other_url", "url")])
def test_a_redirect_crosses_to_the_other_origin(sandbox, client, start, end):
    url = getattr(sandbox, start) + "/redirect/other/echo/a%2Fb?status=308&q=1&q=%26"

    landed = client.get(url)

    assert landed.url == getattr(sandbox, end) + "/echo/a%2Fb?q=1&q=%26"
    assert landed.history[0].status_code == 308


def test_a_redirect_loop_leads_to_itself(sandbox, client):
    url = sandbox.url + "/redirect/loop?a=b"

    with pytest.raises(requests.TooManyRedirects):
        client.get(url)

    assert {(request.path, request.query["a"][0]) for request in sandbox.requests} == {
        ("/redirect/loop", "b")
    }


def test_a_redirect_chain_ends_at_echo(sandbox, client):
    landed = client.post(sandbox.url + "/redirect/chain/3?status=307", data="kept")

    assert [request.path for request in sandbox.requests] == [
        "/redirect/chain/3",
        "/redirect/chain/2",
        "/redirect/chain/1",
        "/echo",
    ]
    assert landed.json()["body"] == "kept"


def test_set_cookies_come_back(sandbox, client):
    response = client.get(sandbox.url + "/cookies/set?a=1&b=two")

    assert response.json() == {"a": "1", "b": "two"}
    assert [(cookie.name, cookie.path) for cookie in client.cookies] == [("a", "/"), ("b", "/")]
    assert client.get(sandbox.url + "/cookies").json() == {"a": "1", "b": "two"}


def test_what_is_no_cookie_is_left_out(sandbox, client):
    response = client.get(sandbox.url + "/cookies?c=3", headers={"Cookie": "a=1=1; junk;b="})

    assert response.json() == {"a": "1=1", "b": ""}


# Bodies


@pytest.mark.parametrize("size", [0, 1, 256, 1000])
def test_bytes_are_as_many_as_asked_and_always_the_same(sandbox, client, size):
    response = client.get(f"{sandbox.url}/bytes/{size}")

    assert response.content == bytes(location % 256 for location in range(size))
    assert response.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("charset", "body"),
    [("utf-8", "naïve café"), ("latin-1", "naïve café"), ("ascii", "na?ve caf?")],
)
def test_text_comes_in_the_charset_asked_for(sandbox, client, charset, body):
    response = client.get(f"{sandbox.url}/text?charset={charset}")

    assert response.headers["Content-Type"] == f"text/plain; charset={charset}"
    assert response.content.decode(charset) == body


@pytest.mark.parametrize("charset", ["", "klingon", "hex", "a%00b"])
def test_an_unknown_charset_is_400(sandbox, client, charset):
    refused = client.get(f"{sandbox.url}/text?charset={charset}")

    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("charset must be one that Python knows, not ")


@pytest.mark.parametrize(
    ("path", "content_type", "text"),
    [
        (
            "/html",
            "text/html; charset=utf-8",
            "<html><head><title>Sandbox</title></head><body><h1>Sandbox</h1></body></html>",
        ),
        ("/invalid-json", "application/json", '{"broken": '),
        ("/gzip", "application/json", '{"gzipped": true}'),
    ],
    ids=["html", "invalid-json", "gzip"],
)
def test_a_fixed_response_is_200(sandbox, client, path, content_type, text):
    response = client.get(sandbox.url + path)

    assert (response.status_code, response.text) == (200, text)
    assert response.headers["Content-Type"] == content_type


def test_gzip_is_compressed_on_the_socket(sandbox, client):
    with client.get(sandbox.url + "/gzip", stream=True) as packed:
        start = packed.raw.read(2, decode_content=False)

    assert (packed.headers["Content-Encoding"], start) == ("gzip", b"\x1f\x8b")


def test_empty_is_204(sandbox, client):
    assert client.get(sandbox.url + "/empty").status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/bearer-of-news",
        "/html/more",
        "/slow/more",
        "/posts/",
        "/posts/1/more",
        "/flaky",
        "/cookies/more",
        "/redirect/more",
    ],
)
def test_an_unknown_path_is_404(sandbox, client, path):
    lost = client.get(sandbox.url + path)

    assert (lost.status_code, lost.json()["detail"]) == (404, f"no such route: {path}")
    assert lost.headers["Content-Type"] == "application/problem+json"


# Files and ranges


@pytest.mark.parametrize(
    ("field", "locations"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-4", (2, 4)),
        ("bytes=2-", (2, 9)),
        ("bytes=9-99", (9, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("Bytes=0-1", (0, 1)),
    ],
)
def test_a_range_is_206_with_content_range(sandbox, client, field, locations):
    part = client.get(sandbox.url + "/bytes/10", headers={"Range": field})

    first, last = locations
    assert (part.status_code, part.content) == (206, bytes(range(first, last + 1)))
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/10"
    assert part.headers["Content-Length"] == str(last - first + 1)
    assert part.headers["ETag"] == '"10-0"'


@pytest.mark.parametrize(
    ("size", "field"),
    [(10, "bytes=10-"), (10, "bytes=10-12"), (10, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-1")],
)
def test_a_range_beyond_the_end_is_416_with_the_size(sandbox, client, size, field):
    refused = client.get(f"{sandbox.url}/bytes/{size}", headers={"Range": field})

    assert refused.status_code == 416
    assert refused.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    "field",
    [
        "bytes=-",
        "bytes=3-2",
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes=a-b",
        "bytes=1",
        "bytes=\u0661-",
        "bytes=0-" + "9" * 5000,
        "",
    ],
    ids=["empty", "backwards", "two", "unit", "letters", "bare", "arabic", "absurd", "blank"],
)
def test_a_range_that_is_none_is_ignored(sandbox, client, field):
    headers = {"Range": field.encode()}

    whole = client.get(sandbox.url + "/bytes/10", headers=headers)

    assert (whole.status_code, len(whole.content)) == (200, 10)
    assert "Content-Range" not in whole.headers


@pytest.mark.parametrize(
    ("query", "condition", "status"),
    [
        pytest.param("", '"10-0"', 206, id="etag"),
        pytest.param("", "Wed, 01 Jan 2020 00:00:00 GMT", 206, id="date"),
        pytest.param("version=1", '"10-0"', 200, id="other etag"),
        pytest.param("version=1", "Wed, 01 Jan 2020 00:00:00 GMT", 200, id="other date"),
        pytest.param("etag=weak", 'W/"10-0"', 200, id="weak etag"),
        pytest.param("etag=weak", '"10-0"', 200, id="not weak"),
        pytest.param("etag=weak", "Wed, 01 Jan 2020 00:00:00 GMT", 206, id="date beside weak"),
        pytest.param("etag=none", '"10-0"', 200, id="no etag"),
        pytest.param("", "Thu, 02 Jan 2020 00:00:00 GMT", 200, id="later date"),
        pytest.param("", "", 200, id="empty"),
    ],
)
def test_a_range_is_given_only_if_the_file_is_still_the_same(
    sandbox, client, query, condition, status
):
    headers = {"Range": "bytes=5-", "If-Range": condition}

    response = client.get(f"{sandbox.url}/bytes/10?{query}", headers=headers)

    assert (response.status_code, len(response.content)) == (status, 5 if status == 206 else 10)


def test_head_of_a_file_has_every_field_of_the_whole(sandbox, client):
    url = sandbox.url + "/bytes/10?digest=1&name=a.bin"

    head = client.head(url, headers={"Range": "bytes=2-"})

    whole = client.get(url)
    head.headers.pop("Date")
    whole.headers.pop("Date")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers
    assert head.headers["Accept-Ranges"] == "bytes"
    assert head.headers["Content-Length"] == "10"
    assert head.headers["Last-Modified"] == "Wed, 01 Jan 2020 00:00:00 GMT"


def test_another_version_has_other_bytes_and_another_etag_and_date(sandbox, client):
    old, new = (client.get(f"{sandbox.url}/bytes/300?version={n}") for n in (0, 255))

    assert new.content == bytes((location + 255) % 256 for location in range(300))
    for name in ("ETag", "Last-Modified"):
        assert old.headers[name] != new.headers[name]


@pytest.mark.parametrize(
    ("choice", "etag"), [("strong", '"10-0"'), ("weak", 'W/"10-0"'), ("none", None)]
)
def test_a_type_of_etag_can_be_requested(sandbox, client, choice, etag):
    response = client.get(f"{sandbox.url}/bytes/10?etag={choice}")

    assert response.headers.get("ETag") == etag


@pytest.mark.parametrize("field", ["", "bytes=1-1"], ids=["whole", "part"])
def test_a_digest_is_of_the_whole_file(sandbox, client, field):
    response = client.get(sandbox.url + "/bytes/3?digest=1", headers={"Range": field})

    # From: printf '\0\1\2' | openssl dgst -sha256 -binary | base64
    digest = "sha-256=:rksygOVuL6+D9BSm49q+nV++GJdlRMBf7RIazLhbU/w=:"
    assert response.headers["Repr-Digest"] == digest
    assert "Repr-Digest" not in client.get(sandbox.url + "/bytes/3").headers


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a b.bin", 'attachment; filename="a b.bin"'),
        ('a"\\b', 'attachment; filename="a\\"\\\\b"'),
        ("../é", "attachment; filename*=UTF-8''..%2F%C3%A9"),
    ],
    ids=["plain", "escaped", "not ASCII"],
)
def test_a_file_name_can_be_requested(sandbox, client, name, field):
    response = client.get(sandbox.url + "/bytes/1", params={"name": name})

    assert response.headers["Content-Disposition"] == field


@pytest.mark.parametrize(
    "target",
    [
        "/bytes/1?version=256",
        "/bytes/1?version=b",
        "/bytes/1?drop=-1",
        "/bytes/1?etag=strange",
        "/events?count=none",
        "/lines?drop=x",
        "/json-lines?count=100001",
    ],
)
def test_a_file_or_stream_that_cannot_be_is_400(sandbox, client, target):
    refused = client.get(sandbox.url + target)

    assert refused.status_code == 400
    assert " must be " in refused.json()["detail"]


def test_a_dropped_file_arrives_in_three_parts(sandbox):
    parts = []
    for start in (0, 4, 8):
        with connected(sandbox) as connection:
            connection.sendall(
                b"GET /bytes/10?drop=4 HTTP/1.1\r\nConnection: close\r\nRange: bytes=%d-\r\n\r\n"
                % start
            )
            parts.append(read_to_end(connection).partition(b"\r\n\r\n"))

    assert b"".join(body for _, _, body in parts) == bytes(range(10))
    assert [head.split()[1] for head, _, _ in parts] == [b"206"] * 3
    assert [head.rpartition(b" ")[2] for head, _, _ in parts] == [b"10", b"6", b"2"]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/bytes/10?drop=0", b""),
        ("/bytes/10?drop=9", bytes(range(9))),
        ("/lines?drop=9", b"7\r\nline 1\n\r\n2\r\nli\r\n"),
        ("/json-lines?drop=14", b"e\r\n" + b'{"number": 1}\n' + b"\r\n"),
    ],
)
def test_a_dropped_body_ends_with_its_connection(sandbox, raw_connection, target, body):
    raw_connection.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())

    response = read_to_end(raw_connection)

    assert response.partition(b"\r\n\r\n")[2] == body
    assert b"Connection" not in response


@pytest.mark.parametrize("target", ["/bytes/10?drop=10", "/lines?count=1&drop=7"])
def test_a_body_that_is_no_longer_than_its_drop_keeps_the_connection(
    sandbox, raw_connection, target
):
    raw_connection.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    raw_connection.sendall(b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n")

    response = read_to_end(raw_connection)

    assert response.count(b"HTTP/1.1 ") == 2


def test_head_is_not_dropped(sandbox, raw_connection):
    raw_connection.sendall(b"HEAD /bytes/10?drop=4 HTTP/1.1\r\n\r\n")
    raw_connection.sendall(b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n")

    response = read_to_end(raw_connection)

    assert response.count(b"HTTP/1.1 ") == 2


# Streams


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        (
            "/events?count=2",
            "text/event-stream",
            (
                ": the numbers from 1\nretry: 1000\n\n"
                'id: 1\nevent: number\ndata: {"number": 1}\n\n'
                'id: 2\nevent: number\ndata: {"number": 2}\n\n'
            ),
        ),
        ("/lines", "text/plain; charset=utf-8", "line 1\nline 2\nline 3\n"),
        ("/json-lines?count=2", "application/x-ndjson", '{"number": 1}\n{"number": 2}\n'),
        ("/lines?count=0", "text/plain; charset=utf-8", ""),
    ],
    ids=["events", "lines", "json-lines", "none"],
)
def test_a_stream_counts(sandbox, client, path, content_type, body):
    response = client.get(sandbox.url + path)

    assert (response.status_code, response.text) == (200, body)
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in response.headers


def test_each_line_of_a_stream_is_a_chunk(sandbox, raw_connection):
    raw_connection.sendall(b"GET /lines?count=2 HTTP/1.1\r\nConnection: close\r\n\r\n")

    response = read_to_end(raw_connection)

    assert response.endswith(b"\r\n\r\n7\r\nline 1\n\r\n7\r\nline 2\n\r\n0\r\n\r\n")


# The wire


def test_a_chunked_body_is_read_whole(sandbox, client):
    echo = client.post(sandbox.url + "/echo", data=iter([b"one", b"two" * 10_000])).json()

    assert echo["body"] == "one" + "two" * 10_000
    assert sandbox.requests[0].headers["Transfer-Encoding"] == "chunked"
    assert client.get(sandbox.url + "/empty").status_code == 204


def test_chunk_extensions_and_trailers_are_skipped(sandbox, raw_connection):
    raw_connection.sendall(chunked(b"a" * 20, b"b", trailers=b"X-Sum: 1\r\n"))
    raw_connection.sendall(b"GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n")

    read_to_end(raw_connection)

    assert [(request.path, request.body) for request in sandbox.requests] == [
        ("/echo", b"a" * 20 + b"b"),
        ("/empty", b""),
    ]


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        pytest.param(b"Content-Length: 67108865\r\n\r\n", b"413", id="long"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n4000001\r\n", b"413", id="long chunk"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n4000000\r\n", b"413", id="long sum"
        ),
        pytest.param(b"Content-Length: many\r\n\r\n", b"400", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"400", id="chunk"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_closes(sandbox, raw_connection, framing, status):
    raw_connection.sendall(b"POST /echo HTTP/1.1\r\n" + framing)

    response = read_to_end(raw_connection)

    assert response.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close\r\n" in response
    assert sandbox.requests == []


def test_a_client_that_is_still_sending_gets_to_read_its_413(sandbox, raw_connection):
    raw_connection.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n")

    raw_connection.sendall(bytes(4_000_000))

    assert read_to_end(raw_connection).startswith(b"HTTP/1.1 413")


def test_the_absolute_form_that_a_proxy_gets_is_routed(sandbox, raw_connection):
    raw_connection.sendall(b"GET http://example.test/posts/1 HTTP/1.1\r\nConnection: close\r\n\r\n")

    response = read_to_end(raw_connection)

    assert response.startswith(b"HTTP/1.1 200")
    assert sandbox.requests[0].path == "http://example.test/posts/1"


def test_one_connection_serves_many_requests(sandbox, client):
    for _ in range(3):
        client.get(sandbox.url + "/posts")

    pools = client.get_adapter(sandbox.url).poolmanager.pools

    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - not a dict


def test_a_response_is_not_delayed_by_delayed_acknowledgements(sandbox):
    connection = http.client.HTTPConnection("127.0.0.1", port_of(sandbox.url), timeout=LONG)
    seconds = []

    for _ in range(25):
        before = time.monotonic()
        connection.request("GET", "/html")
        connection.getresponse().read()
        seconds.append(time.monotonic() - before)

    # Measured: 0.4 ms, and 44 ms when Nagle's algorithm waits for each acknowledgement.
    assert min(seconds) < 0.03
    connection.close()


def test_graphql_echoes_the_operation(sandbox, client):
    sent = {"query": "{a}", "variables": {"n": 1}, "operationName": "A"}

    response = client.post(f"{sandbox.url}/graphql", json=sent)

    assert response.json() == {"data": sent}
    assert response.headers["content-type"] == "application/json"


def test_graphql_uses_its_own_media_type_where_accepted(sandbox, client):
    choice = "application/graphql-response+json"

    response = client.post(
        f"{sandbox.url}/graphql", json={"query": "{a}"}, headers={"Accept": choice}
    )

    assert response.headers["content-type"] == choice


def test_graphql_reports_as_many_errors_as_are_asked_for(sandbox, client):
    url = f"{sandbox.url}/graphql?errors=2&data=0&status=400"

    response = client.post(url, json={"query": "{a}"})

    assert response.status_code == 400
    assert response.json()["data"] is None
    assert [one["message"] for one in response.json()["errors"]] == ["error 1", "error 2"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"query": 1}'])
def test_graphql_refuses_what_is_no_operation(sandbox, client, body):
    response = client.post(f"{sandbox.url}/graphql", data=body)

    assert response.status_code == 400
    assert "query" in response.json()["errors"][0]["message"]


def test_graphql_is_a_post(sandbox, client):
    response = client.get(f"{sandbox.url}/graphql")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")
