"""Every error: what it is, what it says, what it carries, and that it survives a pickle."""

import copy
import gzip
import json
import pickle
import socket
import time
import traceback

import pytest
import requests

import httpkit
from httpkit._diagnostics import errors


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def refused(raw_server, make_response):
    """Ask for /users/9 of a server that answers with this; return the StatusError."""

    def call(status="404 Not Found", body=b"", *, auth=None, **fields):
        server = raw_server(make_response(status, body, **fields))
        with (
            httpkit.Session(server.url, retry=None, auth=auth) as api,
            pytest.raises(httpkit.StatusError) as caught,
        ):
            api.get("users/9")
        return caught.value

    return call


@pytest.fixture
def detail_of(refused):
    """Return what an error says in the server's words when its body is this JSON."""

    def call(document, content_type="application/json", **fields):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return refused(body=body, content_type=content_type, **fields).detail

    return call


def all_errors(root=httpkit.HTTPKitError):
    return [root] + [error for child in root.__subclasses__() for error in all_errors(child)]


OWN_ERRORS = [
    pytest.param(error, id=error.__name__)
    for error in dict.fromkeys(all_errors())
    if error.__module__ == "httpkit"
]


# The tree


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (httpkit.HTTPKitError, [requests.RequestException, OSError]),
        (httpkit.StatusError, [httpkit.HTTPKitError, requests.HTTPError]),
        (httpkit.ClientError, [httpkit.StatusError]),
        (httpkit.BadRequestError, [httpkit.ClientError]),
        (httpkit.UnauthorizedError, [httpkit.ClientError]),
        (httpkit.ForbiddenError, [httpkit.ClientError]),
        (httpkit.NotFoundError, [httpkit.ClientError]),
        (httpkit.MethodNotAllowedError, [httpkit.ClientError]),
        (httpkit.RequestTimeoutError, [httpkit.ClientError]),
        (httpkit.ConflictError, [httpkit.ClientError]),
        (httpkit.GoneError, [httpkit.ClientError]),
        (httpkit.PreconditionFailedError, [httpkit.ClientError]),
        (httpkit.ContentTooLargeError, [httpkit.ClientError]),
        (httpkit.UnsupportedMediaTypeError, [httpkit.ClientError]),
        (httpkit.UnprocessableContentError, [httpkit.ClientError]),
        (httpkit.TooManyRequestsError, [httpkit.ClientError]),
        (httpkit.ServerError, [httpkit.StatusError]),
        (httpkit.InternalServerError, [httpkit.ServerError]),
        (httpkit.BadGatewayError, [httpkit.ServerError]),
        (httpkit.ServiceUnavailableError, [httpkit.ServerError]),
        (httpkit.GatewayTimeoutError, [httpkit.ServerError]),
        (
            httpkit.DecodeError,
            [
                httpkit.HTTPKitError,
                requests.JSONDecodeError,
                requests.exceptions.InvalidJSONError,
                json.JSONDecodeError,
                ValueError,
            ],
        ),
        (httpkit.DeadlineExceededError, [httpkit.HTTPKitError, requests.Timeout]),
        (httpkit.BodyTooLargeError, [httpkit.HTTPKitError]),
        (httpkit.RedirectError, [httpkit.HTTPKitError]),
        (httpkit.TransferError, [httpkit.HTTPKitError]),
        (httpkit.IncompleteError, [httpkit.TransferError]),
        (httpkit.ChecksumError, [httpkit.TransferError]),
        (httpkit.PaginationError, [httpkit.HTTPKitError]),
        (httpkit.GraphQLError, [httpkit.HTTPKitError]),
        (httpkit.ConfigurationError, [httpkit.HTTPKitError, ValueError]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_is_what_existing_code_already_catches(error, parents):
    assert [parent for parent in parents if not issubclass(error, parent)] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (httpkit.ClientError, httpkit.ServerError),
        (httpkit.RequestTimeoutError, requests.Timeout),
        (httpkit.GatewayTimeoutError, requests.Timeout),
        (httpkit.StatusError, ValueError),
        (httpkit.DeadlineExceededError, requests.HTTPError),
        (httpkit.TransferError, httpkit.StatusError),
    ],
    ids=lambda value: value.__name__,
)
def test_errors_that_need_different_handling_are_not_mixed_up(one, other):
    assert not issubclass(one, other)


@pytest.mark.parametrize("error", OWN_ERRORS)
def test_every_error_is_public_under_its_own_name(error):
    assert getattr(httpkit, error.__name__) is error
    assert error.__name__ in httpkit.__all__


@pytest.mark.parametrize("error", OWN_ERRORS)
def test_every_error_can_be_made_of_a_message_alone(error):
    made = error("what happened")

    assert (str(made), made.response, made.request) == ("what happened", None, None)
    assert (made.attempts, made.stop_reason) == (0, None)


# From a status to a class


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, httpkit.BadRequestError),
        (401, httpkit.UnauthorizedError),
        (402, httpkit.ClientError),
        (403, httpkit.ForbiddenError),
        (404, httpkit.NotFoundError),
        (405, httpkit.MethodNotAllowedError),
        (406, httpkit.ClientError),
        (408, httpkit.RequestTimeoutError),
        (409, httpkit.ConflictError),
        (410, httpkit.GoneError),
        (412, httpkit.PreconditionFailedError),
        (413, httpkit.ContentTooLargeError),
        (415, httpkit.UnsupportedMediaTypeError),
        (418, httpkit.ClientError),
        (422, httpkit.UnprocessableContentError),
        (429, httpkit.TooManyRequestsError),
        (451, httpkit.ClientError),
        (499, httpkit.ClientError),
        (500, httpkit.InternalServerError),
        (501, httpkit.ServerError),
        (502, httpkit.BadGatewayError),
        (503, httpkit.ServiceUnavailableError),
        (504, httpkit.GatewayTimeoutError),
        (505, httpkit.ServerError),
        (599, httpkit.ServerError),
    ],
)
def test_an_error_status_raises_its_most_specific_class(api, status, error):
    with pytest.raises(httpkit.StatusError) as caught:
        api.get(f"status/{status}")

    assert (type(caught.value), caught.value.status_code) == (error, status)


@pytest.mark.parametrize("status", [600, 799, 999])
def test_a_status_beyond_599_is_a_server_error(refused, status):
    error = refused(f"{status} Odd")

    assert (type(error), error.status_code) == (httpkit.ServerError, status)


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 399])
def test_a_status_below_400_raises_nothing(api, status):
    response = api.get(f"status/{status}")

    assert response.status_code == status


def test_a_session_that_does_not_raise_returns_the_response(sandbox):
    with httpkit.Session(sandbox.url, raise_for_status=False) as api:
        response = api.get("posts/9")

    assert response.status_code == 404


def test_a_call_that_does_not_raise_returns_the_response(api):
    response = api.get("posts/9", raise_for_status=False)

    assert response.status_code == 404


def test_a_call_that_raises_does_so_in_a_session_that_does_not(sandbox):
    with (
        httpkit.Session(sandbox.url, raise_for_status=False) as api,
        pytest.raises(httpkit.NotFoundError),
    ):
        api.get("posts/9", raise_for_status=True)


def test_raise_for_status_raises_the_same_error(api):
    response = api.get("posts/9", raise_for_status=False)

    with pytest.raises(httpkit.NotFoundError, match="no posts with id 9") as caught:
        response.raise_for_status()

    assert caught.value.response is response


@pytest.mark.parametrize("status", [200, 302])
def test_raise_for_status_of_a_success_returns_none(api, status):
    response = api.get(f"status/{status}")

    assert response.raise_for_status() is None


def test_raise_for_status_of_a_streamed_error_has_the_servers_message(api):
    with (
        api.get("posts/9", stream=True, raise_for_status=False) as response,
        pytest.raises(httpkit.NotFoundError, match="no posts with id 9"),
    ):
        response.raise_for_status()


@pytest.mark.parametrize(
    "cls",
    [requests.HTTPError, requests.RequestException, OSError],
    ids=lambda cls: cls.__name__,
)
def test_code_written_for_requests_catches_it_and_reads_its_response(api, cls):
    try:
        api.get("posts/9")
    except cls as error:
        caught = error

    assert (caught.response.status_code, caught.response.json()["status"]) == (404, 404)
    assert (caught.request.method, caught.request.url) == ("GET", f"{api.base_url}/posts/9")


def test_code_written_for_requests_catches_json_errors(api):
    with pytest.raises(requests.JSONDecodeError):
        api.get("html").json()


def test_a_bad_argument_is_a_value_error_and_a_request_exception(api):
    with pytest.raises(ValueError, match="timeout") as caught:
        api.get("echo", timeout=0)

    assert isinstance(caught.value, requests.RequestException)


# The message


def test_the_message_says_what_happened_to_what_and_why(refused):
    error = refused(
        body=b'{"message": "no such user"}', content_type="application/json", x_request_id="r-7"
    )

    assert str(error) == f"404 Not Found for GET {error.request.url}: no such user (request-id r-7)"


@pytest.mark.parametrize(
    ("status", "fields", "body", "message"),
    [
        ("404 Not Found", {}, b"", "404 Not Found for GET URL"),
        ("404 Gone Fishing", {}, b"", "404 Gone Fishing for GET URL"),
        ("404 ", {}, b"", "404 Not Found for GET URL"),
        ("404", {}, b"", "404 Not Found for GET URL"),
        ("503 ", {}, b"", "503 Service Unavailable for GET URL"),
        ("471 ", {}, b"", "471 for GET URL"),
        ("404 Not Found", {}, b"gone", "404 Not Found for GET URL: gone"),
        ("404 Not Found", {"x_request_id": "r"}, b"", "404 Not Found for GET URL (request-id r)"),
    ],
    ids=[
        "no words", "own phrase", "empty phrase", "no phrase", "empty 503", "unknown status",
        "words", "request id",
    ],
)  # fmt: skip
def test_a_message_leaves_out_what_the_server_left_out(refused, status, fields, body, message):
    error = refused(status, body, **fields)

    assert str(error) == message.replace("URL", error.request.url)


def test_the_message_names_the_method_and_the_last_url_of_a_chain(sandbox, api):
    with pytest.raises(httpkit.NotFoundError) as caught:
        api.post("redirect", params={"to": "/posts/9"})

    assert str(caught.value).startswith(f"404 Not Found for GET {sandbox.url}/posts/9: ")


def test_a_head_request_that_fails_has_no_server_message(api):
    with pytest.raises(httpkit.NotFoundError) as caught:
        api.head("posts/9")

    assert str(caught.value) == f"404 Not Found for HEAD {api.base_url}/posts/9"


@pytest.mark.parametrize(
    "name",
    [
        "X-Request-Id", "x-request-id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId",
        "X-GitHub-Request-Id", "X-Ms-Request-Id", "CF-Ray",
    ],
)  # fmt: skip
def test_the_servers_name_for_the_request_is_found(refused, name):
    error = refused(**{name: "abc-1"})

    assert (error.request_id, str(error)[-18:]) == ("abc-1", "(request-id abc-1)")


def test_the_first_request_id_that_is_not_empty_counts(refused):
    error = refused(cf_ray="ray", x_request_id="", request_id="mine")

    assert error.request_id == "mine"


# The server's own words


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"detail": "d"}, "d"),
        ({"message": "m"}, "m"),
        ({"error": "e"}, "e"),
        ({"error": "invalid_grant", "error_description": "the code expired"}, "the code expired"),
        ({"error": {"code": 404, "message": "nested"}}, "nested"),
        ({"error": {"message": "nested", "status": "NOT_FOUND"}}, "nested"),
        ({"error": {"errors": [{"message": "deep"}]}}, "deep"),
        ({"error_message": "m"}, "m"),
        ({"errorMessage": "m"}, "m"),
        ({"msg": "m"}, "m"),
        ({"reason": "r"}, "r"),
        ({"description": "d"}, "d"),
        ({"title": "t"}, "t"),
        ({"code": "E42"}, "E42"),
        ({"errors": ["one", "two"]}, "one; two"),
        ({"errors": [{"detail": "one"}, {"detail": "two"}]}, "one; two"),
        ({"errors": [{"message": "is required", "field": "title"}]}, "title: is required"),
        ({"errors": [{"message": "bad", "path": ["a", 0]}]}, "a.0: bad"),
        (
            {"detail": [{"loc": ["body", "title"], "msg": "field required", "type": "missing"}]},
            "body.title: field required",
        ),
        (
            {"detail": [{"loc": ["query", "q"], "msg": "one"}, {"loc": ["path", 0], "msg": "two"}]},
            "query.q: one; path.0: two",
        ),
        (
            {"message": "Invalid.", "errors": [{"field": "title", "code": "missing_field"}]},
            "Invalid: title: missing_field",
        ),
        (
            {"detail": "Bad", "errors": [{"detail": "too young", "pointer": "#/age"}, "late"]},
            "Bad: #/age: too young; late",
        ),
        ({"error": {"message": "Bad", "errors": [{"message": "Bad"}]}}, "Bad"),
        ({"message": "m", "errors": []}, "m"),
        ({"message": "m", "errors": 5}, "m"),
        ({"message": "m", "errors": [{}]}, "m"),
        (["one", "two"], "one; two"),
        ({"error": True, "message": "m"}, "m"),
        ({"error": 404, "message": "m"}, "m"),
        ({"message": None, "error": "e"}, "e"),
        ({"message": "", "error": "e"}, "e"),
        ({"message": {}, "error": "e"}, "e"),
        ({"title": "t", "message": "m", "detail": "d"}, "d"),
        ({"error": "e", "message": "m"}, "m"),
        ({"message": "  two\n lines\t "}, "two lines"),
        ({"message": "na\u00efve caf\u00e9 \u65e5\u672c"}, "na\u00efve caf\u00e9 \u65e5\u672c"),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else "",
)
def test_the_reason_is_found_under_the_usual_keys(detail_of, document, words):
    assert detail_of(document) == words


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"email": ["This field is required."]}, "This field is required."),
        ({"errors": {"email": ["is not an address"]}}, "is not an address"),
        ({"fault": {"faultstring": "no such stub"}}, "no such stub"),
        ({"Message": "the key does not exist"}, "the key does not exist"),
        ({"status": "fail", "data": {"title": "is required"}}, "is required"),
    ],
    ids=["field errors", "errors by field", "fault", "capital letters", "jsend"],
)
def test_json_without_a_usual_key_is_excerpted_rather_than_kept_back(detail_of, document, words):
    assert words in (detail_of(document) or "")


@pytest.mark.parametrize("document", [{}, [], {"message": ""}, {"message": None}], ids=json.dumps)
def test_json_that_says_nothing_adds_nothing(refused, document):
    error = refused(body=json.dumps(document).encode(), content_type="application/json")

    assert not error.detail or error.detail == json.dumps(document)
    assert "\n" not in str(error)


def test_the_detail_of_a_problem_document_beats_other_keys(detail_of):
    document = {"title": "Not Found", "message": "m", "error": "e", "detail": "no such user"}

    assert detail_of(document, "application/problem+json") == "no such user"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/problem+json",
        "Application/Problem+JSON",
        "application/problem+json; charset=utf-8",
    ],
)
def test_a_problem_document_is_kept_whole(refused, content_type):
    problem = {"type": "about:blank", "title": "Out", "status": 403, "detail": "d", "balance": 30}

    error = refused("403 No", json.dumps(problem).encode(), content_type=content_type)

    assert (error.problem, error.response.problem) == (problem, problem)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"detail": "d"}', "application/json"),
        (b'["d"]', "application/problem+json"),
        (b'{"detail": ', "application/problem+json"),
        (b"", "application/problem+json"),
        (b'"d"', "application/problem+json"),
    ],
    ids=["other type", "a list", "cut off", "empty", "a text"],
)
def test_what_is_no_problem_document_is_none(refused, body, content_type):
    error = refused(body=body, content_type=content_type)

    assert error.problem is None


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"no such user", "text/plain", "no such user"),
        (b"no such user\r\n", "text/plain; charset=utf-8", "no such user"),
        (b"two\n\n  lines\n", "text/plain", "two lines"),
        (b'{"message": "m"}', "text/plain", "m"),
        (b' \n{"message": "m"}', "application/json", "m"),
        (b'{"message": "m"}', "application/vnd.api+json", "m"),
        (b'\xef\xbb\xbf{"message": "m"}', "application/json", "m"),
        ("na\u00efve".encode("latin-1"), "text/plain; charset=iso-8859-1", "na\u00efve"),
        ("na\u00efve".encode(), "text/plain; charset=no-such-charset", "na\u00efve"),
    ],
    ids=[
        "text", "trailing newline", "lines", "JSON said to be text", "space before JSON",
        "JSON dialect", "byte order mark", "latin-1", "unknown charset",
    ],
)  # fmt: skip
def test_a_text_is_quoted_on_one_line(detail_of, body, content_type, words):
    assert detail_of(body, content_type) == words


def test_a_text_without_a_content_type_is_quoted(refused):
    error = refused(body=b"no such user")

    assert error.detail == "no such user"


PAGE = b"<html><head><title>%s</title></head><body><h1>A page</h1></body></html>"


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (PAGE % b"Bad Gateway", "text/html", "Bad Gateway"),
        (PAGE % b"  Bad\n Gateway ", "text/html; charset=utf-8", "Bad Gateway"),
        (PAGE % b"Bad Gateway", "text/plain", "Bad Gateway"),
        (PAGE % b"Bad Gateway", "application/json", "Bad Gateway"),
        (PAGE % b"Bad Gateway", "application/xhtml+xml", "Bad Gateway"),
        (b"\n\n  <!DOCTYPE html>" + PAGE % b"Bad Gateway", "", "Bad Gateway"),
        (b"\xef\xbb\xbf<!DOCTYPE html>" + PAGE % b"Bad Gateway", "text/plain", "Bad Gateway"),
        (PAGE.replace(b"title", b"TITLE") % b"Bad", "text/html", "Bad"),
        (b'<title lang="en">Bad</title>', "text/html", "Bad"),
        (PAGE % b"Rock &amp; Roll", "text/html", "Rock & Roll"),
        (b"<html><body><h1>A page</h1></body></html>", "text/html", "A page"),
        (b"<title></title>", "text/html", None),
        (b"<title>never closed", "text/html", "never closed"),
        (b"plain words", "text/html", "plain words"),
    ],
    ids=[
        "title", "spread title", "as text", "as JSON", "XHTML", "space before", "byte order mark",
        "capitals", "attribute", "entity", "no title", "empty title", "open title", "no markup",
    ],
)  # fmt: skip
def test_a_page_of_html_is_its_title_or_first_heading(detail_of, body, content_type, words):
    assert detail_of(body, content_type) == words


@pytest.mark.parametrize("key", ["message", "detail", "error"])
def test_a_page_of_html_inside_json_is_not_quoted(refused, key):
    document = {key: (PAGE % b"Bad Gateway").decode()}

    error = refused(
        "502 Bad Gateway", json.dumps(document).encode(), content_type="application/json"
    )

    assert "<html>" not in str(error)
    assert "<h1>" not in str(error)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image/png"),
        (bytes(range(256)), "application/octet-stream"),
        (b"text\x00text", "text/plain"),
        (b"%PDF-1.7", "application/pdf"),
        (gzip.compress(b"words"), "application/gzip"),
        (b"", "text/plain"),
        (b" \r\n\t ", "text/plain"),
    ],
    ids=["image", "octets", "text with NUL", "PDF", "gzip", "empty", "white space"],
)
def test_a_body_that_nobody_can_read_adds_nothing(refused, body, content_type):
    error = refused(body=body, content_type=content_type)

    assert (error.detail, str(error)) == (None, f"404 Not Found for GET {error.request.url}")


def test_a_compressed_error_is_read(refused):
    body = gzip.compress(b'{"message": "no such user"}')

    error = refused(body=body, content_type="application/json", content_encoding="gzip")

    assert error.detail == "no such user"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"x" * 100_000, "text/plain"),
        (json.dumps({"message": "x" * 100_000}).encode(), "application/json"),
        (json.dumps({"errors": ["x" * 100] * 1000}).encode(), "application/json"),
        (b"<title>" + b"x" * 1000 + b"</title>", "text/html"),
        (json.dumps({"message": "m", "pad": "x" * (2 << 20)}).encode(), "application/json"),
        (b"x" * (3 << 20), "text/plain"),
    ],
    ids=["text", "JSON", "many errors", "title", "2 MiB of JSON", "3 MiB of text"],
)
def test_a_huge_body_makes_a_short_message(refused, body, content_type):
    error = refused(body=body, content_type=content_type)

    assert len(error.detail or "") <= 300
    assert len(str(error)) < 400


def test_many_errors_are_cut_after_a_few(detail_of):
    words = detail_of({"errors": [f"e{n}" for n in range(40)]})

    assert words.startswith("e0; e1; ")
    assert "e39" not in words


def test_a_cut_text_says_that_it_is_cut(detail_of):
    words = detail_of(b"x" * 301, "text/plain")

    assert words == "x" * 299 + "\u2026"


def test_a_text_of_300_characters_is_whole(detail_of):
    assert detail_of(b"x" * 300, "text/plain") == "x" * 300


HOSTILE = "a\r\nb\x00c\x1b[31md\x7fe\u0085f\u2028g\u202eh\ufeffi\u200bj"


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda text: ({"message": text}, "application/json"), id="JSON"),
        pytest.param(lambda text: ({"detail": text}, "application/problem+json"), id="problem"),
        pytest.param(
            lambda text: ({"errors": [{"field": text, "msg": text}]}, "x/json"), id="field"
        ),
        pytest.param(
            lambda text: (text.replace("\x00", "").encode(), "text/plain; charset=utf-8"), id="text"
        ),
        pytest.param(lambda text: (PAGE % text.encode(), "text/html"), id="title"),
    ],
)
def test_control_characters_do_not_reach_a_terminal(detail_of, spell):
    words = detail_of(*spell(HOSTILE))

    assert words.isprintable()
    assert words.startswith("a b")


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("404 Not\x1b[31mFound", {}),
        ("404 Not\x85Found", {}),
        ("404 Not Found", {"x_request_id": "r\x1b[31m"}),
        ("404 Not Found", {"x_request_id": "r\x85\x9b1"}),
    ],
    ids=["escape in the phrase", "C1 in the phrase", "escape in the id", "C1 in the id"],
)
def test_control_characters_in_the_head_do_not_reach_a_terminal(refused, status, fields):
    error = refused(status, **fields)

    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("status", "fields"),
    [("404 " + "x" * 50_000, {}), ("404 Not Found", {"x_request_id": "x" * 50_000})],
    ids=["phrase", "request id"],
)
def test_a_huge_head_makes_a_short_message(refused, status, fields):
    error = refused(status, **fields)

    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b"[" + b"1" * 5000 + b"]",
        b'{"message": "\\ud800"}',
        b'{"message": NaN}',
        b'{"message": "cut',
        b'{"\xff": "\xff"}',
        b'{"detail": [[[[[[["deep"]]]]]]]}',
        b'{"errors": {"errors": {"errors": {"errors": {"errors": 1}}}}}',
        b'{"loc": {"a": 1}, "msg": 5, "field": []}',
    ],
    ids=["deep objects", "deep lists", "long number", "surrogate", "NaN", "cut", "invalid UTF-8",
         "lists in lists", "errors in errors", "odd types"],
)  # fmt: skip
def test_a_hostile_document_still_gives_a_status_error(refused, body):
    error = refused(body=body, content_type="application/json")

    assert type(error) is httpkit.NotFoundError
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("unit", "times"),
    [("a.", 3000), ("a-", 3000), ("token", 7000), ("token: ", 7000), ("://a", 7000), ('"a', 7000)],
    ids=["dots", "hyphens", "names", "assignments", "URLs", "quotes"],
)
def test_a_hostile_text_does_not_burn_the_clients_time(refused, unit, times):
    body = json.dumps({"message": unit * times}).encode()
    started = time.process_time()

    refused(body=body, content_type="application/json")

    assert time.process_time() - started < 1


# What an error carries


def test_a_status_error_carries_what_its_response_says(refused):
    error = refused(
        "429 Slow Down",
        b'{"detail": "too fast"}',
        content_type="application/problem+json",
        x_request_id="r-1",
        retry_after="7",
    )

    assert (error.status_code, error.detail, error.problem) == (
        429,
        "too fast",
        {"detail": "too fast"},
    )
    assert (error.request_id, error.retry_after, error.attempts) == ("r-1", 7.0, 1)
    assert (error.response.status_code, error.request.url) == (429, error.response.url)


def test_a_status_error_has_none_for_what_the_server_did_not_say(refused):
    error = refused()

    detail_of = (
        error.detail,
        error.problem,
        error.request_id,
        error.retry_after,
        error.stop_reason,
    )
    assert detail_of == (None, None, None, None, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("1.5", 1.5), ("-5", 0.0), ("soon", None), ("nan", None), ("", None)],
    ids=["zero", "fraction", "negative", "a word", "NaN", "empty"],
)
def test_any_retry_after_leaves_the_429_in_place(refused, value, seconds):
    error = refused("429 Slow Down", retry_after=value)

    assert (type(error), error.retry_after) == (httpkit.TooManyRequestsError, seconds)


def test_a_status_error_says_how_often_it_was_tried_and_why_no_more(sandbox):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("flaky/a", params={"fail": 9})

    assert (caught.value.attempts, caught.value.stop_reason) == (3, "all 3 attempts were made")


def test_a_401_after_withheld_credentials_says_so(sandbox):
    auth = httpkit.BearerAuth("sandbox-token")
    with (
        httpkit.Session(sandbox.url, auth=auth) as api,
        pytest.raises(httpkit.UnauthorizedError) as e,
    ):
        api.get(f"{sandbox.other_url}/bearer")

    assert f"withheld from {sandbox.other_url}" in str(e.value)


@pytest.mark.parametrize("status", [403, 404])
def test_a_rejection_after_withheld_credentials_says_so(sandbox, status):
    auth = httpkit.BearerAuth("sandbox-token")
    with httpkit.Session(sandbox.url, auth=auth) as api, pytest.raises(httpkit.ClientError) as e:
        api.get(f"{sandbox.other_url}/status/{status}")

    assert f"withheld from {sandbox.other_url}" in str(e.value)


def test_an_error_of_the_transport_carries_the_request_and_the_attempts(waits):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"

    with httpkit.Session() as api, pytest.raises(requests.ConnectionError) as caught:
        api.get(url)

    error = caught.value
    assert (error.attempts, error.stop_reason) == (3, "all 3 attempts were made")
    assert (error.request.url, error.response, len(waits)) == (url, None, 2)
    assert error.__notes__[0].startswith(f"GET {url}: 3 attempts in ")


def test_an_error_in_a_streamed_error_body_says_how_often_it_was_tried(raw_server, make_response):
    cut = make_response("500 Oops", b"abc").replace(b"content-length: 3", b"content-length: 30")
    server = raw_server(cut)

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.get("", stream=True)

    assert (caught.value.attempts, caught.value.request.method) == (1, "GET")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("redirect?to=ftp://h/", {}),
        ("redirect/loop", {}),
        ("redirect/chain/40", {}),
        ("bytes/1000", {"max_body": 10}),
        ("truncated", {}),
        ("slow", {"timeout": 0.05}),
    ],
    ids=["bad target", "loop", "long chain", "large body", "truncated", "timeout"],
)
def test_an_error_after_a_request_was_sent_does_not_say_that_it_was_not(api, path, options):
    with pytest.raises(requests.RequestException) as caught:
        api.get(path, **options)

    assert getattr(caught.value, "attempts", 0) >= 1
    assert caught.value.request.method == "GET"


def test_a_decode_error_keeps_the_attributes_of_a_json_error(raw_server, make_response):
    server = raw_server(make_response(body=b'{"a": 1,\n "b": }', content_type="application/json"))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.DecodeError) as caught:
        api.get("").json()

    error = caught.value
    assert (error.doc, error.pos, error.lineno, error.colno) == ('{"a": 1,\n "b": }', 15, 2, 7)
    assert error.response.status_code == 200


# Pickles and copies


@pytest.mark.parametrize("error", OWN_ERRORS)
def test_every_error_pickles_without_a_response(error):
    made = error("what happened")

    twin = pickle.loads(pickle.dumps(made))

    assert (type(twin), str(twin), twin.args) == (error, "what happened", made.args)


@pytest.mark.parametrize(
    ("error", "twin_of"),
    [
        *(
            pytest.param(*own.values, lambda made: pickle.loads(pickle.dumps(made)), id=own.id)
            for own in OWN_ERRORS
        ),
        pytest.param(httpkit.NotFoundError, copy.copy, id="copy of a StatusError"),
        pytest.param(httpkit.DecodeError, copy.copy, id="copy of a DecodeError"),
        pytest.param(httpkit.NotFoundError, copy.deepcopy, id="deep copy of a StatusError"),
        pytest.param(httpkit.DecodeError, copy.deepcopy, id="deep copy of a DecodeError"),
    ],
)
def test_every_error_keeps_what_it_carries(api, error, twin_of):
    made = error("what happened", response=api.get("posts/1"))
    made.attempts, made.stop_reason = 3, "enough"
    made.add_note("a note")

    twin = twin_of(made)

    assert (type(twin), str(twin), twin.__notes__) == (error, "what happened", ["a note"])
    assert (twin.attempts, twin.stop_reason) == (3, "enough")
    assert (twin.response.json(), twin.request.method) == (made.response.json(), "GET")


def test_a_status_error_keeps_its_attributes_in_a_pickle(refused):
    error = refused(
        "429 Slow Down",
        b'{"detail": "too fast"}',
        content_type="application/problem+json",
        x_request_id="r-1",
        retry_after="7",
    )

    twin = pickle.loads(pickle.dumps(error))

    names = ("status_code", "detail", "problem", "request_id", "retry_after", "attempts")
    assert {name: getattr(twin, name) for name in names} == {
        name: getattr(error, name) for name in names
    }
    assert (type(twin), str(twin)) == (httpkit.TooManyRequestsError, str(error))


def test_a_graphql_error_keeps_its_errors_and_data_in_a_pickle():
    error = httpkit.GraphQLError("1 error: no such film")
    error.errors, error.data = [{"message": "no such film"}], {"film": None}

    twin = pickle.loads(pickle.dumps(error))

    assert (twin.errors, twin.data) == ([{"message": "no such film"}], {"film": None})


def test_a_decode_error_keeps_its_position_in_a_pickle(api):
    with pytest.raises(httpkit.DecodeError) as caught:
        api.get("invalid-json").json()
    error = caught.value

    twin = pickle.loads(pickle.dumps(error))

    locations = [(e.msg, e.doc, e.pos, e.lineno, e.colno, str(e)) for e in (error, twin)]
    assert locations[0] == locations[1]


@pytest.mark.parametrize(
    ("path", "options", "cls"),
    [
        ("slow", {"timeout": 0.05}, requests.ReadTimeout),
        ("truncated", {}, requests.exceptions.ChunkedEncodingError),
        ("drip", {"deadline": 0.2}, httpkit.DeadlineExceededError),
        ("bytes/1000", {"max_body": 10}, httpkit.BodyTooLargeError),
        ("redirect?to=ftp://h/", {}, httpkit.RedirectError),
        ("redirect/loop", {}, requests.RequestException),
        ("flaky/k?fail=9&status=drop", {}, requests.ConnectionError),
    ],
    ids=["timeout", "truncated", "deadline", "too large", "redirect", "loop", "hung up"],
)
def test_every_error_of_a_call_pickles(api, path, options, cls):
    with pytest.raises(cls) as caught:
        api.get(path, **options)
    error = caught.value

    twin = pickle.loads(pickle.dumps(error))

    # Not the text: urllib3 leaves the name of its pool out of a pickle.
    assert (type(twin), twin.request.method) == (type(error), "GET")
    assert getattr(twin, "__notes__", None) == getattr(error, "__notes__", None)


def test_a_traceback_of_a_pickled_error_can_be_printed(refused):
    twin = pickle.loads(pickle.dumps(refused()))

    printed = "".join(traceback.format_exception(twin))

    assert printed.startswith("httpkit.NotFoundError: 404 Not Found for GET ")


def test_the_table_of_statuses_names_no_status_that_is_no_error():
    assert all(
        issubclass(cls, httpkit.ClientError if status < 500 else httpkit.ServerError)
        for status, cls in errors.STATUS_ERRORS.items()
    )
