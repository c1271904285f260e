"""What a caller sees of an answer: its story, its text, its JSON, and its connection."""

import copy
import functools
import json
import pickle
import socket
from dataclasses import dataclass
from typing import Any

import pytest
import requests

import httpkit
from httpkit._messages.response import adopt
from tests.support.sockets import Listener


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def got(raw_server, make_response):
    """Return the response to one GET that is answered like this."""

    def call(body=b"", status="200 OK", *, content_type="application/json", **fields):
        server = raw_server(make_response(status, body, content_type=content_type, **fields))
        with httpkit.Session(server.url, retry=None, raise_for_status=False) as api:
            return api.get("x")

    return call


@dataclass
class Post:
    id: int
    title: str = ""


class Shelf:
    """Not JSON, and not a class that msgspec knows."""


class CachedResponse(requests.Response):
    """A response class of somebody else, with an attribute that it pickles."""

    __attrs__ = [*requests.Response.__attrs__, "from_cache"]  # noqa: RUF012  # as requests does

    def __init__(self):
        super().__init__()
        self.from_cache = True

    @property
    def age(self):
        return 7


# What it says about itself


def test_it_is_a_requests_response(api):
    response = api.get("posts/1")

    assert (type(response), isinstance(response, requests.Response)) == (httpkit.Response, True)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("200 OK", "<Response [200 OK]>"),
        ("404 Not Found", "<Response [404 Not Found]>"),
        ("299 ", "<Response [299]>"),
    ],
    ids=["success", "error", "no phrase"],
)
def test_its_repr_shows_the_status(got, status, shown):
    assert repr(got(status=status)) == shown


@pytest.mark.parametrize(
    ("status", "is_ok"),
    [(200, True), (204, True), (302, True), (304, True), (399, True), (400, False), (503, False)],
)
def test_it_is_ok_below_400(api, status, is_ok):
    response = api.get(f"status/{status}", raise_for_status=False)

    assert (response.ok, bool(response)) == (is_ok, is_ok)


def test_it_counts_its_attempts(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("flaky/a", params={"fail": 2})

    assert response.attempts == 3


def test_one_attempt_has_no_reason_to_stop(api):
    response = api.get("posts/1")

    assert (response.attempts, response.stop_reason, response.credentials_withheld) == (
        1,
        None,
        None,
    )


def test_an_error_that_is_returned_says_why_it_was_not_tried_again(sandbox):
    with httpkit.Session(sandbox.url, raise_for_status=False) as api:
        response = api.get("flaky/a", params={"fail": 9})

    assert (response.attempts, response.stop_reason) == (3, "all 3 attempts were made")


def test_its_elapsed_total_covers_every_hop_and_the_body(api):
    response = api.get("redirect", params={"to": "/drip?seconds=0.05"})

    iter_redirects = [past.elapsed.total_seconds() for past in response.history]
    assert response.elapsed_total >= sum(iter_redirects) + 0.05
    assert response.elapsed_total < 5


def test_send_returns_it_too(api):
    prepared = api.prepare_request(requests.Request("GET", "posts/1"))

    response = api.send(prepared)

    assert (type(response), response.attempts) == (httpkit.Response, 1)
    assert response.elapsed_total > 0


def test_its_history_is_of_its_own_class(api):
    response = api.get("redirect/chain/2")

    assert [type(past) for past in response.history] == [httpkit.Response] * 2


def test_a_problem_document_of_a_response_is_a_dict(api):
    response = api.get("posts/9", raise_for_status=False)

    assert response.problem == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no posts with id 9",
    }


def test_a_success_is_no_problem(api):
    assert api.get("posts/1").problem is None


# JSON, as leniently as requests reads it


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b" [1]\n", [1]),
        (b"null", None),
        (b'"\xc3\xbc"', "\u00fc"),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        (b"1e400", float("inf")),
    ],
    ids=["object", "space around", "null", "utf-8", "utf-16", "out of range"],
)
def test_json_reads_what_requests_reads(got, body, value):
    response = got(body, content_type="text/plain" if b"\x00" in body else "application/json")
    response.encoding = None

    assert response.json() == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [1, -0, 1e22, "\\u00fc"]}', b'"\xff"', b"[NaN]", b'"\\ud83d"',
        b"[" + b"1," * 150_000 + b"1]",
    ],
    ids=["plain", "no utf-8", "nan", "half a pair", "large"],
)  # fmt: skip
def test_json_is_the_same_by_either_parser(got, monkeypatch, body):
    response = got(body)
    found = response.json()

    monkeypatch.setattr("json.loads", functools.partial(json.loads))  # somebody else's
    standard = response.json()

    assert repr(found) == repr(standard)


@pytest.mark.parametrize("location", ["json.loads", "requests.models.complexjson.loads"])
def test_a_replaced_json_parser_is_called(got, monkeypatch, location):
    response = got(b'{"a": 1}')

    monkeypatch.setattr(location, lambda text, **_: f"theirs: {text}")

    assert response.json() == 'theirs: {"a": 1}'


def test_json_passes_its_keywords_on(got):
    assert got(b"[1.5]").json(parse_float=str) == ["1.5"]


@pytest.mark.parametrize(
    ("body", "status", "content_type", "words"),
    [
        (b"", "200 OK", "application/json", "is not JSON: the body is empty (200 OK)"),
        (b"", "204 No Content", "", "is not JSON: the body is empty (204 No Content)"),
        (b"<html><body>", "200 OK", "text/html", "of text/html, beginning '<html><body>'"),
        (b'{"a": ', "200 OK", "application/json", "at position 6 of application/json"),
        (b'{"a": 1} x', "200 OK", "application/json", "at position 9 of application/json"),
        (b"x" * 1000, "200 OK", "text/plain", f"beginning '{'x' * 40}'"),
        ("é".encode() * 120, "200 OK", "text/plain", f"beginning '{'é' * 40}'"),
        (b"x" + "é".encode() * 120, "200 OK", "text/plain", f"beginning 'x{'é' * 39}'"),
        (b"t`0_\xff/p^K\xfe", "200 OK", "image/png", "of image/png, binary data"),
        (b"\x7fELF\0", "200 OK", "application/elf", "of application/elf, binary data"),
        ("né x".encode("latin-1"), "200 OK", "text/plain; charset=latin-1", "beginning 'né x'"),
    ],
    ids=[
        "empty", "no content", "html", "cut", "garbage after", "long", "two bytes each",
        "cut in a character", "no UTF-8", "control characters", "another encoding",
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_decode_error_that_says_what_it_is(
    got, body, status, content_type, words
):
    response = got(body, status, content_type=content_type)

    with pytest.raises(httpkit.DecodeError) as caught:
        response.json()

    assert f"the response to GET {response.url} is not JSON: " in str(caught.value)
    assert words in str(caught.value)
    assert (caught.value.response, caught.value.request) == (response, response.request)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html></html>",
        b'{"a":',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"1" * 5000 + b"]",
        b"\xff\xfe\x00",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"{'a': 1}",
        b"undefined",
    ],
    ids=[
        "empty", "blank", "html", "cut", "deep lists", "deep objects", "long number", "odd utf-16",
        "NULs", "no utf", "python", "javascript",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "read", [lambda r: r.json(), lambda r: r.decode(dict[str, Any])], ids=["json", "decode"]
)
def test_no_body_makes_json_raise_anything_but_a_decode_error(got, read, body):
    response = got(body)

    with pytest.raises(httpkit.DecodeError):
        read(response)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-32", "idna", "hex", "no-such", "undefined", None]
)
def test_no_charset_makes_json_raise_anything_but_a_decode_error(got, encoding):
    response = got(b'{"a": "\xff\xfe\xc3"}')
    response.encoding = encoding

    try:
        value = response.json()
    except httpkit.DecodeError as error:
        value = error

    assert isinstance(value, dict | httpkit.DecodeError)


# JSON, strictly


@pytest.mark.parametrize(
    ("body", "model", "value"),
    [
        (b'{"id": 1}', Post, Post(1)),
        (b'\xef\xbb\xbf{"id": 1}', Post, Post(1)),
        (b' \r\n{"id": 1, "title": "\xc3\xbc"}\n', Post, Post(1, "\u00fc")),
        (b'{"id": 1, "unknown": [1, {}]}', Post, Post(1)),
        (b'[{"id": 1}, {"id": 2}]', list[Post], [Post(1), Post(2)]),
        (b"null", Post | None, None),
        (b'{"a": {"id": 1}}', dict[str, Post], {"a": Post(1)}),
        (b"18446744073709551616", int, 18446744073709551616),
        (b'"\\u00fc"', str, "\u00fc"),
        (b"[1, 2]", sum, 3),
        (b'{"a": 1}', Any, {"a": 1}),
    ],
    ids=[
        "object", "byte order mark", "space around", "unknown field", "list", "null", "dict",
        "large int", "escape", "a callable", "Any",
    ],
)  # fmt: skip
def test_decode_builds_the_model(got, body, model, value):
    assert got(body).decode(model) == value


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b'{"ok": false, "error": "invalid_auth"}', "application/json", "says: invalid_auth"),
        (b'{"success": false, "errors": [{"message": "no"}]}', "application/json", "says: no"),
        (b'{"Fault": {"Error": [{"Detail": "no such row"}]}}', "text/plain", "says: no such row"),
        (b'{"status": "ERROR", "message": "down"}', "application/json", "says: down"),
        (b'{"errcode": 40013, "errmsg": "no appid"}', "application/json", "says: no appid"),
        (b"<Error><Message>no key</Message></Error>", "application/xml", "says: no key"),
        (b"<html><title>Sign in</title></html>", "text/html", "server sent a page: Sign in"),
    ],
    ids=["ok", "success", "fault", "status", "code", "XML", "HTML"],
)
@pytest.mark.parametrize("at", [None, "post"])
def test_an_error_with_status_200_is_quoted_where_decoding_fails(
    got, body, content_type, words, at
):
    response = got(body, content_type=content_type)

    with pytest.raises(httpkit.DecodeError, match=words):
        response.decode(Post, at=at)


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "a", "message": "hello"}',
        b'{"ok": true, "error": "", "errors": [], "message": "hello"}',
        b'{"error": null, "detail": "hello"}',
        b'[{"error": "hello"}]',
        b'"hello"',
        b"hello",
        b"<Post><Message>hello</Message></Post>",
    ],
    ids=["words", "no error", "null", "list", "text", "not JSON", "XML"],
)
def test_words_of_what_is_no_error_are_not_quoted(got, body):
    response = got(body, content_type="text/plain")

    with pytest.raises(httpkit.DecodeError) as caught:
        response.decode(Post)

    assert "hello" not in str(caught.value)


def test_a_secret_in_an_error_with_status_200_is_masked(got):
    httpkit.add_secret("k3y-0f-th3-t3st")
    response = got(b'{"ok": false, "error": "k3y-0f-th3-t3st is revoked"}')

    with pytest.raises(httpkit.DecodeError) as caught:
        response.decode(Post)

    assert str(caught.value).endswith("the server says: *** is revoked")


def test_the_title_of_a_page_in_place_of_json_is_quoted(got):
    response = got(b"<!DOCTYPE html><html><title>Sign in</title></html>", content_type="text/html")

    with pytest.raises(httpkit.DecodeError, match=r"; the server sent a page: Sign in$"):
        response.json()


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b"[NaN]",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b'"\xff"',
        b'"\xc3"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"'a'",
        b"[1,]",
        b"[1] 2",
        b"// a\n1",
        b"01",
        b"+1",
        b'"a\nb"',
        "1".encode("utf-16"),
        "1".encode("utf-32"),
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf1",
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=[
        "NaN", "NaN in a list", "Infinity", "-Infinity", "1e400", "invalid utf-8", "cut utf-8",
        "lone surrogate", "swapped surrogates", "single quotes", "trailing comma", "two values",
        "comment", "leading zero", "plus", "raw line break", "utf-16", "utf-32", "mark alone",
        "two marks", "deep",
    ],
)  # fmt: skip
def test_decode_refuses_what_rfc_8259_does_not_know(got, body):
    response = got(body)

    with pytest.raises(httpkit.DecodeError):
        response.decode(Any)


@pytest.mark.parametrize(
    ("body", "model", "path"),
    [
        (b'{"id": "1"}', Post, "$.id"),
        (b'{"id": 1.5}', Post, "$.id"),
        (b'{"id": true}', Post, "$.id"),
        (b'{"id": null}', Post, "$.id"),
        (b'{"id": 1, "title": 5}', Post, "$.title"),
        (b"{}", Post, "`id`"),
        (b'[{"id": 1}, {"id": "x"}]', list[Post], "$[1].id"),
        (b'{"a": [{"id": "x"}]}', dict[str, list[Post]], "[0].id"),
    ],
    ids=["text", "fraction", "bool", "null", "number", "missing", "in a list", "deep"],
)
def test_a_mismatch_names_the_field(got, body, model, path):
    response = got(body)

    with pytest.raises(httpkit.DecodeError) as caught:
        response.decode(model)

    assert path in str(caught.value)
    assert str(caught.value).startswith(f"the response to GET {response.url} is not a ")
    assert caught.value.response is response


def test_a_mismatch_names_the_model(got):
    with pytest.raises(httpkit.DecodeError, match="is not a Post: "):
        got(b"[]").decode(Post)


def test_an_empty_body_is_no_model_and_says_so(got):
    with pytest.raises(httpkit.DecodeError, match=r"the body is empty \(204 No Content\)"):
        got(status="204 No Content").decode(Post)


# Text


@pytest.mark.parametrize(
    "charset",
    [
        "utf-8", "UTF-8", '"utf-8"', "no-such-charset", "hex", "base64", "zlib", "bz2", "rot13",
        "quopri", "uu", "idna", "punycode", "undefined", "mbcs", "utf-16", "utf-32", "utf-7",
        "ascii", "latin-1", "x" * 5000, "a\x01b", "../../etc/passwd", "", "\xfc",
    ],
)  # fmt: skip
def test_no_charset_makes_text_raise(got, charset):
    response = got(
        "na\u00efve \u20ac".encode() + b"\xff", content_type=f"text/plain; charset={charset}"
    )

    # Since Python 3.13 punycode reads what it cannot read as something else.
    assert "na" in response.text or charset.startswith(("utf-", "punycode"))


@pytest.mark.parametrize("charset", ["no-such-charset", "hex", "idna", "undefined", "a\x01b"])
def test_text_of_a_charset_that_is_none_is_read_as_utf_8(got, charset):
    response = got("na\u00efve \u20ac".encode(), content_type=f"text/plain; charset={charset}")

    assert response.text == "na\u00efve \u20ac"


def test_text_is_read_in_the_charset_that_the_server_names(api):
    assert api.get("text", params={"charset": "iso-8859-15"}).text == "na\u00efve caf\u00e9"


def test_bytes_that_a_charset_does_not_know_are_replaced_in_a_text(got):
    assert got(b"a\xffb", content_type="text/plain; charset=utf-8").text == "a\ufffdb"


# Bodies of errors that are too large


def test_the_huge_body_of_an_error_is_refused_but_its_status_is_kept(got):
    response = got(b"x" * ((1 << 20) + 1), "500 Oops", content_type="text/plain")

    with pytest.raises(httpkit.BodyTooLargeError):
        _ = response.content

    assert (response.status_code, response.ok) == (500, False)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda r: r.text, id="text"),
        pytest.param(lambda r: r.json(), id="json"),
        pytest.param(lambda r: r.decode(dict), id="decode"),
        pytest.param(lambda r: b"".join(r.iter_content(1 << 16)), id="iter_content"),
        pytest.param(lambda r: list(r.iter_lines()), id="iter_lines"),
    ],
)
def test_no_way_to_read_the_cut_body_of_an_error_passes_it_off_as_whole(got, read):
    response = got(b"x" * ((1 << 20) + 1), "500 Oops", content_type="text/plain")

    with pytest.raises(httpkit.BodyTooLargeError):
        read(response)


def test_the_cut_body_of_an_error_stays_cut_in_a_pickle(got):
    response = got(b"x" * ((1 << 20) + 1), "500 Oops", content_type="text/plain")

    twin = pickle.loads(pickle.dumps(response))

    with pytest.raises(httpkit.BodyTooLargeError):
        _ = twin.content


def test_the_huge_body_of_an_error_can_be_streamed(sandbox, raw_server, make_response):
    server = raw_server(make_response("500 Oops", b"x" * (2 << 20)))
    with (
        httpkit.Session(server.url, retry=None, raise_for_status=False) as api,
        api.get("", stream=True) as response,
    ):
        size = sum(map(len, response.iter_content(1 << 16)))

    assert size == 2 << 20


# Streams and their connections


ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000


def test_leaving_a_stream_unread_frees_its_connection(raw_server):
    listener = Listener(ENDLESS)
    server = raw_server(listener)

    with httpkit.Session(server.url) as api, api.get("", stream=True) as response:
        assert response.status_code == 200
        assert not listener.was_left.is_set()

    assert listener.was_left.wait(10)


def test_leaving_a_stream_half_read_frees_its_connection_at_once(raw_server):
    listener = Listener(ENDLESS)
    server = raw_server(listener)

    with httpkit.Session(server.url) as api:
        with api.get("", stream=True) as response:
            next(response.iter_content(10))
        assert listener.was_left.wait(10)


def test_an_error_inside_the_block_frees_the_connection(raw_server):
    listener = Listener(ENDLESS)
    server = raw_server(listener)

    with httpkit.Session(server.url) as api:
        with pytest.raises(KeyboardInterrupt), api.get("", stream=True):
            raise KeyboardInterrupt
        assert listener.was_left.wait(10)


def test_a_stream_that_was_read_leaves_its_connection_for_the_next(raw_server):
    connections = []

    def serve(connection):
        connections.append(connection)
        for _ in range(2):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789")
            connection.recv(65536)

    server = raw_server(serve)

    with httpkit.Session(server.url) as api:
        with api.get("", stream=True) as response:
            list(response.iter_content(7))
        api.get("")

    assert len(connections) == 1


def test_leaving_a_stream_twice_is_harmless(api):
    with api.get("bytes/100", stream=True) as response:
        response.close()

    response.close()

    assert response.status_code == 200


def test_a_response_that_was_read_is_a_context_manager_too(api):
    with api.get("posts/1") as response:
        pass

    assert response.json()["id"] == 1


CUT = {
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\nabc",
    "chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    "last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
}


def hang_up(sent):
    def serve(connection):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    return serve


every_cut = pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
every_reading = pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda r: r.content, id="content"),
        pytest.param(lambda r: r.text, id="text"),
        pytest.param(lambda r: r.json(), id="json"),
        pytest.param(lambda r: r.decode(dict), id="decode"),
        pytest.param(lambda r: list(r.iter_content(2)), id="iter_content"),
        pytest.param(lambda r: list(r.iter_lines()), id="iter_lines"),
        pytest.param(pickle.dumps, id="pickle"),
    ],
)


@every_cut
@every_reading
def test_reading_a_stream_that_breaks_off_fails(raw_server, read, sent):
    server = raw_server(hang_up(sent))

    with (
        httpkit.Session(server.url, retry=None) as api,
        api.get("", stream=True) as response,
        pytest.raises(requests.RequestException) as caught,
    ):
        read(response)

    assert not isinstance(caught.value, httpkit.DecodeError)


@every_cut
@every_reading
def test_a_stream_that_broke_off_is_not_empty_when_it_is_read_again(raw_server, read, sent):
    server = raw_server(hang_up(sent))

    with httpkit.Session(server.url, retry=None) as api, api.get("", stream=True) as response:
        with pytest.raises(requests.RequestException):
            read(response)
        with pytest.raises(requests.RequestException) as caught:
            read(response)

    assert not isinstance(caught.value, httpkit.DecodeError)


@every_cut
def test_a_body_that_breaks_off_never_succeeds(raw_server, sent):
    server = raw_server(hang_up(sent))

    with httpkit.Session(server.url, retry=None) as api, pytest.raises(requests.RequestException):
        api.get("")


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda r: r.content, id="content"),
        pytest.param(lambda r: r.json(), id="json"),
        pytest.param(lambda r: list(r.iter_content(100)), id="iter_content"),
        pytest.param(lambda r: list(r.iter_lines()), id="iter_lines"),
    ],
)
def test_a_stream_that_stalls_is_a_timeout(raw_server, read):
    listener = Listener(ENDLESS)
    server = raw_server(listener)

    with (
        httpkit.Session(server.url, retry=None, timeout=(1, 0.05)) as api,
        api.get("", stream=True) as response,
        pytest.raises(requests.Timeout),
    ):
        read(response)


def test_a_stream_that_breaks_off_frees_its_connection(raw_server, make_response):
    server = raw_server(hang_up(CUT["length"]), make_response(body=b"whole"))

    with httpkit.Session(server.url, retry=None) as api:
        with (
            api.get("", stream=True) as response,
            pytest.raises(requests.exceptions.ChunkedEncodingError),
        ):
            list(response.iter_content(2))
        text = api.get("").text

    assert text == "whole"


# Pickles


def test_a_pickle_keeps_its_story(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("flaky/a", params={"fail": 1})

    twin = pickle.loads(pickle.dumps(response))

    assert type(twin) is httpkit.Response
    assert (twin.attempts, twin.elapsed_total) == (2, response.elapsed_total)
    assert (twin.status_code, twin.reason, twin.url) == (200, "OK", response.url)
    assert (twin.json(), twin.elapsed) == (response.json(), response.elapsed)


def test_a_pickle_keeps_its_history_and_its_request(api):
    response = api.get("redirect/chain/2")

    twin = pickle.loads(pickle.dumps(response))

    assert [past.status_code for past in twin.history] == [302, 302]
    assert [type(past) for past in twin.history] == [httpkit.Response] * 2
    assert (twin.request.method, twin.request.url) == ("GET", response.request.url)


def test_a_pickle_still_raises_and_decodes(api):
    response = api.get("posts/9", raise_for_status=False)

    twin = pickle.loads(pickle.dumps(response))

    with pytest.raises(httpkit.NotFoundError, match="no posts with id 9"):
        twin.raise_for_status()
    assert twin.problem == response.problem


def test_a_pickle_of_a_stream_reads_it(api):
    with api.get("bytes/10", stream=True) as response:
        twin = pickle.loads(pickle.dumps(response))

    assert twin.content == bytes(range(10))


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_is_as_good(api, twin_of):
    response = api.get("posts/1")

    twin = twin_of(response)

    assert (type(twin), twin.json(), twin.attempts) == (httpkit.Response, response.json(), 1)


# Classes of others


def cached(body=b'{"id": 1}'):
    response = CachedResponse()
    response.status_code = 200
    response.url = "http://127.0.0.1/x"
    response._content = body
    return response


def test_a_response_class_of_somebody_else_keeps_its_own_attributes():
    response = adopt(cached())

    assert (response.from_cache, response.age) == (True, 7)
    assert isinstance(response, CachedResponse)
    assert isinstance(response, httpkit.Response)


def test_a_response_class_of_somebody_else_gains_ours():
    response = adopt(cached())

    assert (response.attempts, response.decode(Post), response.problem) == (1, Post(1), None)


def test_a_response_class_of_somebody_else_keeps_its_own_attributes_in_a_pickle():
    response = adopt(cached())
    response.from_cache = "from disk"

    twin = pickle.loads(pickle.dumps(response))

    assert (type(twin), twin.json()) == (type(response), {"id": 1})
    assert (twin.from_cache, twin.age) == ("from disk", 7)


def test_adopting_happens_in_place_and_once():
    response = cached()

    adopted = adopt(response)
    again = adopt(adopted)

    assert (adopted, again) == (response, response)
    assert type(again) is type(adopt(cached()))


def test_an_adapter_may_return_a_class_of_its_own():
    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request, **_):
            response = cached()
            response.request = request
            return response

        def close(self):
            pass

    with httpkit.Session("http://127.0.0.1") as api:
        api.mount("http://", Adapter())
        response = api.get("x")

    assert (response.from_cache, response.json()) == (True, {"id": 1})
    assert isinstance(response, httpkit.Response)


def test_json_of_a_callable_model_is_what_the_callable_returns(got):
    response = got(json.dumps({"a": [1, 2]}).encode())

    assert response.decode(lambda value: len(value["a"])) == 2


@pytest.mark.parametrize("charset", ["hex", "rot13", "undefined", "nonesuch"])
def test_a_stream_in_a_charset_that_is_none_of_text_is_read_as_utf_8(
    raw_server, make_response, charset
):
    body = "zz\u20ac".encode()
    server = raw_server(make_response(body=body, content_type=f"text/plain; charset={charset}"))

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        text = "".join(map(str, response.iter_content(2, decode_unicode=True)))

    assert text == "zz\u20ac"
