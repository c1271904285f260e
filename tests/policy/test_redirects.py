"""Where a Location may lead, and what may travel there."""

import gzip
import io
import json
from urllib.parse import quote

import pytest
import requests
from requests.auth import HTTPDigestAuth
from requests.exceptions import TooManyRedirects

import httpkit
from httpkit import APIKeyAuth, BearerAuth

BODY = b"knock \x00\xff knock"
STATUSES = [301, 302, 303, 307, 308]


def leading_to(url, status=302):
    return f"/redirect?status={status}&to={quote(url, safe='')}"


def sent(location, status="302 Found", **fields):
    """Spell a redirect with any bytes in its Location."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{lines}".encode()
        + b"Location: "
        + (location.encode() if isinstance(location, str) else location)
        + b"\r\n\r\n"
    )


def targets(server):
    """Return the methods and targets that a raw server was asked for."""
    return [received.partition(b" HTTP")[0].decode() for received in server.requests]


# Methods and bodies, RFC 9110 section 15.4


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_becomes_get_unless_the_server_says_see_other(sandbox, api, method, status):
    body = None if method in {"GET", "HEAD", "OPTIONS"} else BODY
    becomes_get = (status == 303 and method != "HEAD") or (
        status in {301, 302} and method == "POST"
    )

    api.request(method, leading_to("/echo", status), data=body)

    first, second = sandbox.requests
    assert (first.method, first.body) == (method, body or b"")
    assert (second.method, second.body) == (("GET", b"") if becomes_get else (method, body or b""))


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_get_in_place_of_a_post_has_no_fields_of_the_body(sandbox, api, status):
    described = {
        "Content-Type": "text/csv",
        "Content-Encoding": "identity",
        "Content-Language": "de",
        "Content-Location": "/x",
        "Digest": "sha-256=x",
        "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    }

    api.post(leading_to("/echo", status), data=BODY, headers=described)

    assert {*map(str.lower, described), "content-length", "transfer-encoding"}.isdisjoint(
        name.lower() for name in sandbox.requests[1].headers
    )


def test_a_get_with_a_body_loses_it_on_a_303(sandbox, api):
    api.get(leading_to("/echo", 303), json={"q": 1})

    assert (sandbox.requests[1].method, sandbox.requests[1].body) == ("GET", b"")
    assert "content-type" not in sandbox.requests[1].headers


def test_head_follows_no_redirect_unless_asked_to(sandbox, api):
    response = api.head(leading_to("/echo"))

    assert (response.status_code, len(sandbox.requests)) == (302, 1)


class Chunks:
    """A body that can be iterated afresh."""

    def __iter__(self):
        return iter([BODY[:3], BODY[3:]])


BODIES = {
    "bytes": lambda _: {"data": BODY},
    "text": lambda _: {"data": "naïve".encode()},
    "form": lambda _: {"data": {"a": "b c", "d": ["e", "f"]}},
    "json": lambda _: {"json": {"a": [1, None]}},
    "multipart": lambda _: {"files": {"f": ("name.bin", BODY)}, "data": {"a": "b"}},
    "file in memory": lambda _: {"data": io.BytesIO(BODY)},
    "file": lambda path: {"data": path.open("rb")},
    "chunks": lambda _: {"data": Chunks()},
    "empty": lambda _: {"data": b""},
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(("method", "status"), [("POST", 307), ("PATCH", 308)])
def test_a_body_is_sent_again_byte_for_byte(sandbox, api, tmp_path, make, status, method):
    path = tmp_path / "body"
    path.write_bytes(BODY)
    options = make(path)

    api.request(method, leading_to("/echo", status), **options)

    first, second = sandbox.requests
    assert (second.method, second.body) == (method, first.body)
    assert second.headers.get("content-type") == first.headers.get("content-type")
    assert bool(first.body) == (options != {"data": b""})
    if hasattr(options.get("data"), "close"):
        options["data"].close()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("status", [301, 302])
def test_a_file_is_sent_again_whole_by_a_method_that_is_kept(sandbox, api, method, status):
    api.request(method, leading_to("/echo", status), data=io.BytesIO(BODY))

    assert [request.body for request in sandbox.requests] == [BODY, BODY]


def test_a_file_is_sent_again_from_where_it_stood(sandbox, api):
    file = io.BytesIO(b"header" + BODY)
    file.seek(6)

    api.put(leading_to("/echo", 307), data=file)

    assert [request.body for request in sandbox.requests] == [BODY, BODY]


class Pipe(io.RawIOBase):
    """A file that cannot be rewound."""

    def __init__(self):
        self.blocks = [BODY, b""]

    def readable(self):
        return True

    def read(self, size=-1):
        return self.blocks.pop(0) if self.blocks else b""

    def tell(self):
        raise OSError("not seekable")


ONE_SHOTS = {
    "generator": lambda: (block for block in [BODY]),
    "iterator": lambda: iter([BODY]),
    "pipe": Pipe,
}
one_shots = pytest.mark.parametrize("make", ONE_SHOTS.values(), ids=ONE_SHOTS)


@one_shots
@pytest.mark.parametrize("status", [307, 308])
def test_a_body_that_can_be_read_only_once_is_never_sent_as_nothing(sandbox, api, make, status):
    with pytest.raises(httpkit.RedirectError, match=r"cannot be rewound|read only once"):
        api.put(leading_to("/echo", status), data=make())

    assert [request.body for request in sandbox.requests] == [BODY]


@one_shots
def test_a_body_that_can_be_read_only_once_is_left_behind_by_see_other(sandbox, api, make):
    response = api.post(leading_to("/echo", 303), data=make())

    assert response.status_code == 200
    assert [request.body for request in sandbox.requests] == [BODY, b""]


def test_a_file_that_was_closed_meanwhile_is_not_sent_as_nothing(sandbox, api):
    file = io.BytesIO(BODY)

    with pytest.raises(requests.RequestException):
        api.put(
            leading_to("/echo", 307), data=file, hooks={"response": lambda *_, **__: file.close()}
        )

    assert [request.body for request in sandbox.requests] == [BODY]


# A body for another origin


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    "options",
    [{"data": BODY}, {"json": {}}, {"files": {"f": BODY}}, {"data": io.BytesIO(BODY)}],
    ids=["bytes", "json", "multipart", "file"],
)
def test_a_body_is_not_sent_to_another_origin(sandbox, api, status, options):
    with pytest.raises(httpkit.RedirectError, match="redirect_body") as caught:
        api.post(leading_to(f"{sandbox.other_url}/echo", status), **options)

    assert len(sandbox.requests) == 1
    assert caught.value.response.status_code == status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302])
def test_a_body_that_is_kept_is_not_sent_to_another_origin(sandbox, api, method, status):
    with pytest.raises(httpkit.RedirectError, match=f"body of {method} to another origin"):
        api.request(method, leading_to(f"{sandbox.other_url}/echo", status), data=BODY)

    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("of_session", "of_call"),
    [
        ({"redirect_body": True}, {}),
        ({}, {"redirect_body": True}),
        ({"redirect_body": False}, {"redirect_body": True}),
    ],
    ids=["session", "call", "call over session"],
)
@pytest.mark.parametrize("status", [307, 308])
def test_a_body_is_sent_to_another_origin_where_that_is_allowed(
    sandbox, of_session, of_call, status
):
    with httpkit.Session(sandbox.url, **of_session) as api:
        api.post(
            leading_to(f"{sandbox.other_url}/echo", status),
            data=io.BytesIO(BODY),
            headers={"Content-Type": "text/x", "X-Key": "c4n4ry"},
            **of_call,
        )

    second = sandbox.requests[1]
    assert (second.method, second.body, second.headers["content-type"]) == ("POST", BODY, "text/x")
    assert "x-key" not in second.headers


def test_a_call_can_keep_its_body_from_where_the_session_allows_it(sandbox):
    with (
        httpkit.Session(sandbox.url, redirect_body=True) as api,
        pytest.raises(httpkit.RedirectError),
    ):
        api.post(leading_to(f"{sandbox.other_url}/echo", 307), data=BODY, redirect_body=False)

    assert len(sandbox.requests) == 1


def test_a_body_may_follow_to_a_trusted_origin(sandbox):
    with httpkit.Session(sandbox.url, trusted_origins=[sandbox.other_url]) as api:
        api.post(leading_to(f"{sandbox.other_url}/echo", 307), data=BODY)

    assert [request.body for request in sandbox.requests] == [BODY, BODY]


@pytest.mark.parametrize("status", STATUSES)
def test_a_post_without_a_body_may_go_anywhere(sandbox, api, status):
    response = api.post(leading_to(f"{sandbox.other_url}/echo", status))

    assert response.status_code == 200
    assert sandbox.requests[1].method == ("POST" if status in {307, 308} else "GET")


def test_a_dropped_body_does_not_come_back_when_a_chain_returns(sandbox, api):
    api.post(leading_to(sandbox.other_url + leading_to(f"{sandbox.url}/echo", 307)), data=BODY)

    assert [(request.method, request.body) for request in sandbox.requests] == [
        ("POST", BODY),
        ("GET", b""),
        ("GET", b""),
    ]


# Header fields for another origin


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Accept", "text/csv"),
        ("Accept-Language", "de"),
        ("Cache-Control", "no-cache"),
        ("If-None-Match", '"a"'),
        ("Range", "bytes=0-9"),
        ("User-Agent", "blog/1"),
        ("traceparent", "00-1-1-00"),
        ("X-Request-Id", "r-1"),
    ],
)
def test_a_harmless_field_is_forwarded(sandbox, api, name, value):
    api.get(leading_to(f"{sandbox.other_url}/echo"), headers={name: value})

    assert sandbox.requests[1].headers[name] == value


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-API-Key",
        "x-amz-security-token",
        "X-Anything-At-All",
        "Private-Token",
        "Origin",
        "Referer",
        "Forwarded",
        "Idempotency-Key",
        "X-HTTP-Method-Override",
    ],
)
def test_every_other_field_stays_with_its_origin(sandbox, api, name):
    api.get(leading_to(f"{sandbox.other_url}/echo"), headers={name: "c4n4ry"})

    assert "c4n4ry" in str(dict(sandbox.requests[0].headers))
    assert "c4n4ry" not in str(dict(sandbox.requests[1].headers))


def test_a_host_field_stays_with_its_origin(sandbox, api):
    api.get(leading_to(f"{sandbox.other_url}/echo"), headers={"Host": "virtual.example"})

    assert [request.headers["host"] for request in sandbox.requests] == [
        "virtual.example",
        sandbox.other_url.removeprefix("http://"),
    ]


@pytest.mark.parametrize("name", ["X-API-Key", "X-Anything-At-All", "Idempotency-Key"])
def test_every_field_stays_on_a_redirect_within_the_origin(sandbox, api, name):
    api.get(leading_to("/echo"), headers={name: "kept"})

    assert sandbox.requests[1].headers[name] == "kept"


# Where a Location may lead


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/c/d", "/c/d"),
        ("d", "/a/d"),
        ("../d", "/d"),
        ("../../../d", "/d"),
        ("?q=1", "/a/b?q=1"),
        ("./", "/a/"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/caf\u00e9", "/caf%C3%A9"),
        (b"/caf\xc3\xa9", "/caf%C3%A9"),
        (b"/caf\xe9", "/caf%C3%A9"),
        ("  /c ", "/c"),
        ("/c@d", "/c@d"),
        ("/c:d", "/c:d"),
        ("/c?next=http://h.example/", "/c?next=http://h.example/"),
    ],
    ids=ascii,
)
def test_a_relative_location_is_resolved(raw_server, make_response, location, path):
    server = raw_server(sent(location), make_response(body=b"there"))
    with httpkit.Session(server.url) as api:
        response = api.get("a/b")

    assert response.text == "there"
    assert targets(server)[1] == f"GET {path}"


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "leads to a 'file' URL"),
        ("FILE:///etc/passwd", "leads to a 'file' URL"),
        ("ftp://127.0.0.1/x", "leads to a 'ftp' URL"),
        ("data:text/plain,x", "leads to a 'data' URL"),
        ("javascript:alert(1)", "leads to a 'javascript' URL"),
        ("unix:///run/docker.sock", "leads to a 'unix' URL"),
        ("http+unix://%2Frun%2Fdocker.sock/x", "leads to a 'http.unix' URL"),
        ("http://ada@127.0.0.1:1/x", "user name or password"),
        ("http://ada:pw@127.0.0.1:1/x", "user name or password"),
        ("//ada:pw@127.0.0.1:1/x", "user name or password"),
        ("http://@127.0.0.1:1/x", "user name or password"),
        ("http://127.0.0.1\\@127.0.0.1:1/x", ""),
        ("http:///x", ""),
        ("https:///x", "no host"),
        ("https:/x", "no host"),
        ("https:", "no host"),
        ("http://:80/x", ""),
        ("http://[::1", "cannot be parsed"),
        ("http://[::1]x/", "cannot be parsed"),
        ("http://127.0.0.1:99999/", "cannot be parsed"),
        ("http://127.0.0.1:-1/", "cannot be parsed"),
        ("http://127.0.0.1:x/", "cannot be parsed"),
        ("http://\x7f/", "cannot be parsed"),
        (b"http://127.0.0.1:\xb2/", ""),
    ],
    ids=ascii,
)
class TestRefusedLocations:
    def test_it_is_refused_with_the_redirect_at_hand(
        self, raw_server, make_response, location, why
    ):
        server = raw_server(sent(location), make_response(body=b"there"))
        with httpkit.Session(server.url) as api, pytest.raises(httpkit.RedirectError) as caught:
            api.get("a")

        assert why.replace(".", "+") in str(caught.value)
        assert caught.value.response.status_code == 302
        assert caught.value.request.url == f"{server.url}/a"
        assert len(server.requests) == 1

    def test_it_is_an_ordinary_response_when_redirects_are_not_followed(
        self, raw_server, make_response, location, why
    ):
        server = raw_server(sent(location), make_response())
        with httpkit.Session(server.url) as api:
            response = api.get("a", allow_redirects=False)

        assert (response.status_code, response.next) == (302, None)
        assert len(server.requests) == 1


def test_a_refused_location_does_not_show_its_password(raw_server):
    server = raw_server(sent("http://ada:hunter2pw@127.0.0.1:1/x"))
    with httpkit.Session(server.url) as api, pytest.raises(httpkit.RedirectError) as caught:
        api.get("a?token=hunter2pw")

    assert "hunter2pw" not in str(caught.value)


def test_userinfo_of_the_base_url_does_not_forbid_a_same_origin_redirect(sandbox):
    base = sandbox.url.replace("://", f"://{sandbox.user}:{sandbox.password}@")
    with httpkit.Session(base) as api:
        response = api.get(leading_to("/basic"))

    assert response.status_code == 200


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306])
def test_only_five_statuses_redirect(raw_server, make_response, status):
    server = raw_server(make_response(f"{status} Whatever", location="/b"))
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert (response.status_code, response.history, len(server.requests)) == (status, [], 1)


@pytest.mark.parametrize("fields", [{}, {"location": ""}], ids=["no Location", "empty Location"])
@pytest.mark.parametrize("size", [20, 200_000])
def test_a_redirect_without_a_location_is_a_response_with_its_body(
    raw_server, make_response, fields, size
):
    body = gzip.compress(bytes(size)) if size < 100 else b"x" * size
    fields = fields | ({"content_encoding": "gzip"} if size < 100 else {})
    server = raw_server(make_response("302 Found", body, **fields))
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert (response.status_code, len(response.content)) == (302, size)


# Fragments, RFC 9110 section 10.2.2


@pytest.mark.parametrize(
    ("url", "location", "fragment"),
    [
        ("a#top", "/b", "top"),
        ("a#top", "/b#own", "own"),
        ("a", "/b#own", "own"),
        ("a", "/b", ""),
        ("a#top", "/b?q=1", "top"),
    ],
)
def test_a_fragment_is_inherited_unless_the_location_has_its_own(
    raw_server, make_response, url, location, fragment
):
    server = raw_server(sent(location), make_response())
    with httpkit.Session(server.url) as api:
        response = api.get(url)

    assert response.url.partition("#")[2] == fragment
    assert "#" not in targets(server)[1]


def test_a_fragment_is_inherited_over_many_hops(raw_server, make_response):
    server = raw_server(sent("/b"), sent("/c"), make_response())
    with httpkit.Session(server.url) as api:
        response = api.get("a#top")

    assert response.url == f"{server.url}/c#top"


# Ends


def test_a_loop_is_found_before_it_is_run(sandbox, api):
    with pytest.raises(httpkit.RedirectError, match="redirect loop"):
        api.get("redirect/loop")

    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "auth",
    [
        BearerAuth("tok"),
        APIKeyAuth("key"),
        APIKeyAuth("key", "api_key", "query"),
        APIKeyAuth("key", "api_key", "cookie"),
        ("ada", "pw"),
    ],
    ids=["bearer", "header key", "query key", "cookie key", "tuple"],
)
def test_a_circle_is_found_after_one_round_whoever_signs(raw_server, auth):
    server = raw_server(sent("/b"), sent("/c"), sent("/a"), sent("/b"), sent("/c"), sent("/a"))
    with (
        httpkit.Session(server.url, auth=auth) as api,
        pytest.raises(httpkit.RedirectError, match="redirect loop"),
    ):
        api.get("a")

    assert len(server.requests) <= 4


@pytest.mark.parametrize("auth", [None, BearerAuth("tok")], ids=["nobody", "bearer"])
def test_a_circle_over_two_origins_is_found(raw_server, auth):
    servers = []
    servers.extend(
        raw_server(lambda adapter, n=n: adapter.sendall(sent(f"{servers[n].url}/x")))
        for n in (1, 0)
    )
    with (
        httpkit.Session(servers[0].url, auth=auth) as api,
        pytest.raises(httpkit.RedirectError, match="redirect loop"),
    ):
        api.get("x")

    assert sum(len(server.requests) for server in servers) <= 4


def test_a_page_that_sets_a_cookie_and_asks_again_is_no_loop(raw_server, make_response):
    server = raw_server(sent("/a", set_cookie="seen=1; Path=/"), make_response(body=b"welcome"))
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert response.text == "welcome"
    assert b"Cookie: seen=1\r\n" in server.requests[1]


def test_a_page_that_changes_a_cookie_and_asks_again_is_no_loop(raw_server, make_response):
    server = raw_server(
        sent("/a", set_cookie="step=1; Path=/"),
        sent("/a", set_cookie="step=2; Path=/"),
        make_response(body=b"welcome"),
    )
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert response.text == "welcome"
    assert b"Cookie: step=2\r\n" in server.requests[2]


def test_a_form_that_redirects_to_its_own_page_is_no_loop(raw_server, make_response):
    server = raw_server(sent("/a", "303 See Other"), make_response(body=b"saved"))
    with httpkit.Session(server.url) as api:
        response = api.post("a", data={"a": "b"})

    assert response.text == "saved"
    assert targets(server) == ["POST /a", "GET /a"]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_more_redirects_than_allowed_are_not_followed(sandbox, api, most):
    api.max_redirects = most

    with pytest.raises(TooManyRedirects) as caught:
        api.get(f"redirect/chain/{most + 1}")

    assert len(sandbox.requests) == most + 1
    assert caught.value.response.status_code == 302
    assert caught.value.request.url == caught.value.response.url


def test_too_many_redirects_carry_their_attempts(sandbox, api):
    api.max_redirects = 1

    with pytest.raises(TooManyRedirects) as caught:
        api.get("redirect/chain/5")

    assert caught.value.attempts == 1


def test_a_refused_redirect_carries_its_attempts(sandbox, api):
    with pytest.raises(httpkit.RedirectError) as caught:
        api.get("redirect/loop")

    assert caught.value.attempts == 1


@pytest.mark.timeout(5)  # a chain whose cost doubled with every hop would take minutes
@pytest.mark.parametrize("most", [1, 3, 30])
def test_as_many_redirects_as_allowed_are_followed(sandbox, api, most):
    api.max_redirects = most

    response = api.get(f"redirect/chain/{most}")

    assert (response.status_code, len(response.history)) == (200, most)


# History


def test_the_history_holds_every_redirect_with_its_own_history(sandbox, api):
    response = api.get("redirect/chain/3")

    assert [past.url.rpartition("/")[2] for past in response.history] == ["3", "2", "1"]
    assert [past.status_code for past in response.history] == [302] * 3
    assert [past.history for past in response.history] == [
        response.history[:0],
        response.history[:1],
        response.history[:2],
    ]


def test_the_history_is_made_of_our_responses(sandbox, api):
    response = api.get("redirect/chain/2")

    assert [type(past) for past in response.history] == [httpkit.Response] * 2
    assert [past.attempts for past in response.history] == [1, 1]


def test_a_response_without_a_redirect_has_no_history(sandbox, api):
    response = api.get("echo")

    assert (response.history, response.next) == ([], None)


def test_a_history_that_digest_made_follows_the_redirects(raw_server, make_response):
    challenge = make_response("401 No", www_authenticate='Digest realm="r", nonce="n", qop="auth"')
    server = raw_server(sent("/b"), challenge, make_response())
    with httpkit.Session(server.url, auth=HTTPDigestAuth("ada", "pw")) as api:
        response = api.get("a")

    assert [past.status_code for past in response.history] == [302, 401]


def test_the_errors_of_the_last_hop_name_its_url(sandbox, api):
    with pytest.raises(httpkit.NotFoundError) as caught:
        api.get(leading_to("/status/404"))

    assert f"for GET {sandbox.url}/status/404" in str(caught.value)
    assert [past.status_code for past in caught.value.response.history] == [302]


# Not followed


@pytest.mark.parametrize("status", STATUSES)
def test_next_is_the_request_that_would_have_been_sent(sandbox, api, status):
    response = api.post(leading_to("/echo", status), data=BODY, allow_redirects=False)

    assert (response.status_code, response.history, len(sandbox.requests)) == (status, [], 1)
    method, body = ("POST", BODY) if status in {307, 308} else ("GET", None)
    following = response.next
    assert (following.method, following.url, following.body) == (
        method,
        f"{sandbox.url}/echo",
        body,
    )


def test_next_can_be_sent(sandbox, api):
    first = api.put(leading_to("/echo", 307), data=io.BytesIO(BODY), allow_redirects=False)

    second = api.send(first.next)

    assert second.status_code == 200
    assert [request.body for request in sandbox.requests] == [BODY, BODY]


def test_next_is_signed_afresh(sandbox):
    tokens = iter(["t-1", "t-2"])
    with httpkit.Session(sandbox.url, auth=BearerAuth(lambda: next(tokens))) as api:
        api.send(api.get(leading_to("/echo"), allow_redirects=False).next)

    assert [request.headers["authorization"] for request in sandbox.requests] == [
        "Bearer t-1",
        "Bearer t-2",
    ]


def test_next_follows_further_redirects(sandbox, api):
    first = api.get("redirect/chain/3", allow_redirects=False)

    last = api.send(first.next)

    assert (last.status_code, len(last.history)) == (200, 2)


def test_next_has_a_deadline_of_its_own(sandbox):
    with httpkit.Session(sandbox.url, deadline=0.2) as api:
        first = api.get(leading_to("/echo"), allow_redirects=False)
        api.get("slow?seconds=0.25", deadline=None)
        second = api.send(first.next)

    assert second.status_code == 200


def test_next_is_none_where_the_redirect_would_be_refused(sandbox, api):
    response = api.post(
        leading_to(f"{sandbox.other_url}/echo", 307), data=BODY, allow_redirects=False
    )

    assert response.next is None


def test_redirects_can_be_resolved_by_hand(sandbox, api):
    first = api.get("redirect/chain/3", allow_redirects=False)

    replies = list(api.resolve_redirects(first, first.request))

    assert [response.status_code for response in replies] == [302, 302, 200]


def test_redirects_that_are_resolved_by_hand_free_the_first_connection(sandbox, api):
    with api.get(leading_to("/echo"), allow_redirects=False, stream=True) as first:
        replies = list(api.resolve_redirects(first, first.request))

        freed = first.raw.connection is None

    assert freed
    assert [response.status_code for response in replies] == [200]


def test_a_redirect_that_is_not_followed_is_read_like_any_response(raw_server, make_response):
    server = raw_server(make_response("302 Found", b"moved", location="/b"))
    with httpkit.Session(server.url) as api:
        response = api.get("a", allow_redirects=False)

    assert response.text == "moved"


# Hooks


def test_a_hook_of_the_caller_sees_every_response(sandbox, api):
    observed = []

    api.get(
        leading_to(f"{sandbox.other_url}/echo"),
        hooks={"response": lambda response, **_: observed.append(response.status_code)},
    )

    assert observed == [302, 200]


def test_a_hook_that_auth_registered_stays_with_its_origin(sandbox):
    observed = []

    def sign(request):
        request.register_hook(
            "response", lambda response, **_: observed.append(response.status_code)
        )
        return request

    with httpkit.Session(sandbox.url, auth=sign) as api:
        api.get(leading_to(leading_to(f"{sandbox.other_url}/echo")))

    assert observed == [302, 302]


def test_a_hook_that_raises_ends_the_chain(sandbox, api):
    class StopError(Exception):
        pass

    def refuse(response, **_):
        raise StopError

    with pytest.raises(StopError):
        api.get(leading_to("/echo"), hooks={"response": refuse})

    assert len(sandbox.requests) == 1


# With retries


@pytest.mark.parametrize("status", ["302 Found", "303 See Other"])
def test_a_post_runs_once_though_its_redirect_leads_to_a_dead_port(raw_server, nobody, status):
    server = raw_server(sent(f"{nobody}/x", status))
    with (
        httpkit.Session(server.url, retry=3) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.post("orders", json={"item": 1})

    assert targets(server) == ["POST /orders"]
    assert (caught.value.attempts, caught.value.request.url) == (3, f"{nobody}/x")


@pytest.mark.parametrize("location", ["file:///x", "http://[::1"])
def test_a_post_runs_once_though_its_redirect_is_refused(raw_server, location):
    server = raw_server(sent(location, "307 Temporary Redirect"))
    with httpkit.Session(server.url, retry=3) as api, pytest.raises(httpkit.RedirectError):
        api.post("orders", json={"item": 1})

    assert targets(server) == ["POST /orders"]


def test_attempts_are_counted_for_each_hop_and_never_multiply(raw_server, make_response):
    server = raw_server(sent("/b", "307 Temporary Redirect"), make_response("503 Busy"))
    with (
        httpkit.Session(server.url, retry=3) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("a")

    assert targets(server) == ["GET /a", "GET /b", "GET /b", "GET /b"]
    assert caught.value.attempts == 3


def test_a_flaky_first_hop_leaves_the_second_its_own_attempts(raw_server, make_response, waits):
    busy = make_response("503 Busy")
    server = raw_server(busy, busy, sent("/b"), busy, busy, make_response(body=b"there"))
    with httpkit.Session(server.url, retry=3) as api:
        response = api.get("a")

    assert response.text == "there"
    assert targets(server) == ["GET /a"] * 3 + ["GET /b"] * 3
    assert [past.attempts for past in [*response.history, response]] == [3, 3]
    assert len(waits) == 4


def test_a_put_sends_its_body_whole_in_every_attempt_of_every_hop(raw_server, make_response):
    busy = make_response("503 Busy")
    server = raw_server(busy, sent("/b", "308 Permanent Redirect"), busy, make_response())
    with httpkit.Session(server.url, retry=3) as api:
        api.put("a", data=io.BytesIO(BODY))

    assert targets(server) == ["PUT /a", "PUT /a", "PUT /b", "PUT /b"]
    assert all(received.endswith(b"\r\n\r\n" + BODY) for received in server.requests)


def test_the_get_in_place_of_a_post_is_retried(raw_server, make_response):
    server = raw_server(
        sent("/b", "303 See Other"), make_response("503 Busy"), make_response(body=b"saved")
    )
    with httpkit.Session(server.url, retry=3) as api:
        response = api.post("a", data=BODY)

    assert response.text == "saved"
    assert targets(server) == ["POST /a", "GET /b", "GET /b"]


# The body of a redirect


BOMB = gzip.compress(bytes(32 << 20), compresslevel=9)


@pytest.mark.parametrize("stream", [False, True])
def test_a_bomb_in_a_redirect_is_not_decoded(raw_server, make_response, stream):
    bomb = make_response("302 Found", BOMB, location="/b", content_encoding="gzip")
    server = raw_server(bomb, make_response(body=b"there"))
    with httpkit.Session(server.url) as api, api.get("a", stream=stream) as response:
        whole = response.content

    assert whole == b"there"
    assert len(response.history[0].content) < 1 << 20


def test_a_compressed_body_of_a_redirect_is_no_content(raw_server, make_response):
    packed = gzip.compress(b"moved")
    server = raw_server(
        make_response("302 Found", packed, location="/b", content_encoding="gzip"), make_response()
    )
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert response.history[0].content in {b"", b"moved"}


def test_a_bomb_in_a_redirect_that_is_not_followed_is_limited(raw_server, make_response):
    server = raw_server(make_response("302 Found", BOMB, location="/b", content_encoding="gzip"))
    with (
        httpkit.Session(server.url, max_body=1 << 20) as api,
        pytest.raises(httpkit.BodyTooLargeError),
    ):
        api.get("a", allow_redirects=False)


def test_a_bomb_in_a_stream_that_is_not_followed_is_left_unread(raw_server, make_response):
    server = raw_server(make_response("302 Found", BOMB, location="/b", content_encoding="gzip"))
    with (
        httpkit.Session(server.url) as api,
        api.get("a", stream=True, allow_redirects=False) as response,
    ):
        unread = response._content

    assert unread is False


def test_an_endless_body_of_a_redirect_is_not_waited_for(raw_server, make_response):
    def pour(connection):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 16))

    server = raw_server(pour, make_response(body=b"there"))
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert response.text == "there"


def test_a_redirect_whose_body_is_broken_is_followed(raw_server, make_response):
    cut = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 100\r\n\r\ncut"
    server = raw_server(cut, make_response(body=b"there"))
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert (response.text, response.attempts, len(server.requests)) == ("there", 1, 2)


def test_a_streamed_response_after_a_redirect_is_left_unread(sandbox, api):
    with api.get(leading_to("/bytes/100000"), stream=True) as response:
        unread = response._content
        whole = b"".join(response.iter_content(1000))

    assert (unread, len(whole)) == (False, 100_000)


# Cookies


def test_a_cookie_of_a_redirect_is_sent_on_and_kept(sandbox, api):
    response = api.get(leading_to("/cookies/set?a=b"))
    later = api.get("cookies")

    assert response.json() == later.json() == {"a": "b"}


def test_a_cookie_set_by_a_redirect_goes_with_the_next_hop(raw_server, make_response):
    server = raw_server(sent("/b", set_cookie="sid=1; Path=/"), make_response())
    with httpkit.Session(server.url) as api:
        api.get("a")
        kept = api.cookies.get_dict()

    assert b"Cookie: sid=1\r\n" in server.requests[1]
    assert kept == {"sid": "1"}


@pytest.mark.parametrize("sender", ["session", "redirect"])
def test_a_cookie_removed_by_a_redirect_is_not_sent_on(raw_server, make_response, sender):
    gone = "sid=; Path=/; Max-Age=0"
    server = raw_server(
        sent("/b", set_cookie="sid=1; Path=/"), sent("/c", set_cookie=gone), make_response()
    )
    with httpkit.Session(server.url) as api:
        api.get("a", allow_redirects=sender == "redirect")
        if sender == "session":
            api.get("b")

    assert b"Cookie: sid=1\r\n" in server.requests[1]
    assert b"Cookie" not in server.requests[2]


def test_a_cookie_for_a_path_is_sent_there_only(raw_server, make_response):
    server = raw_server(sent("/b", set_cookie="sid=1; Path=/c"), sent("/c"), make_response())
    with httpkit.Session(server.url) as api:
        api.get("a")

    assert [b"Cookie: sid=1" in received for received in server.requests] == [False, False, True]


def test_a_cookie_that_a_redirect_set_does_not_follow_to_another_origin(
    raw_server, make_response, sandbox
):
    server = raw_server(sent(f"{sandbox.url}/echo", set_cookie="sid=1; Path=/"))
    with httpkit.Session(server.url) as api:
        api.get("a")

    assert "cookie" not in sandbox.requests[0].headers


def test_another_origin_may_set_cookies_for_its_own_redirects(sandbox, raw_server, make_response):
    other = raw_server(sent("/b", set_cookie="theirs=1; Path=/"), make_response(body=b"there"))
    with httpkit.Session(sandbox.url, cookies={"ours": "1"}) as api:
        response = api.get(leading_to(f"{other.url}/a"))

    assert response.text == "there"
    assert [b"theirs=1" in received for received in other.requests] == [False, True]
    assert not any(b"ours" in received for received in other.requests)


def test_a_cookie_of_the_call_is_sent_on_within_the_origin(sandbox, api):
    response = api.get(leading_to("/cookies"), cookies={"a": "b"})

    assert response.json() == {"a": "b"}
    assert api.cookies.get_dict() == {}


def test_the_history_shows_which_redirect_set_a_cookie(raw_server, make_response):
    server = raw_server(sent("/b", set_cookie="sid=1; Path=/"), make_response())
    with httpkit.Session(server.url) as api:
        response = api.get("a")

    assert response.history[0].cookies.get_dict() == {"sid": "1"}


def test_json_of_the_last_hop_is_the_result(sandbox, api):
    response = api.post(leading_to("/echo", 308), json={"a": 1})

    assert json.loads(response.json()["body"]) == {"a": 1}
