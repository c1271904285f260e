"""GraphQL: operations, their data and errors, against our echo and somebody else's server."""

import json
import pickle
import threading
from dataclasses import dataclass
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
import requests

import httpkit
from httpkit._resources import graphql
from tests.support.interop import require

FILM = "query Film($id: ID!) { film(id: $id) { title } }"


@dataclass
class New:
    title: str
    year: int


# ---- what is sent


def test_an_operation_is_a_post_of_json(sandbox, api):
    data = api.graphql(FILM, {"id": 1}, operation_name="Film")

    (received,) = sandbox.requests
    assert (received.method, received.path) == ("POST", "/graphql")
    assert received.json == {"query": FILM, "variables": {"id": 1}, "operationName": "Film"}
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept"].startswith(
        "application/graphql-response+json, application/json"
    )
    assert data["variables"] == {"id": 1}


def test_what_is_not_given_is_not_sent(sandbox, api):
    api.graphql("{ films }")

    assert sandbox.requests[0].json == {"query": "{ films }"}


def test_a_variable_may_be_a_model(sandbox, api):
    api.graphql("mutation($new: New!) { add(new: $new) }", {"new": New("Alien", 1979)})

    assert sandbox.requests[0].json["variables"] == {"new": {"title": "Alien", "year": 1979}}


def test_the_options_of_a_request_pass_through(sandbox, api):
    api.graphql("{a}", url="/graphql", headers={"X-A": "1"}, params={"v": 2}, idempotency_key="k")

    (received,) = sandbox.requests
    assert (received.headers["x-a"], received.query["v"], received.headers["idempotency-key"]) == (
        "1",
        ["2"],
        "k",
    )


@pytest.mark.parametrize(
    "arguments",
    [("",), ("  ",), (None,), (b"{a}",), ("{a}", [1]), ("{a}", "x")],
    ids=["empty", "blank", "None", "bytes", "a list of variables", "text for variables"],
)
def test_an_invalid_operation_is_refused_before_it_is_sent(sandbox, api, arguments):
    with pytest.raises(httpkit.ConfigurationError):
        api.graphql(*arguments)

    assert sandbox.requests == []


# ---- what comes back


@dataclass
class Echo:
    query: str
    variables: dict[str, int]


def test_the_data_may_be_decoded_into_a_model(api):
    assert api.graphql("{a}", {"n": 1}, model=Echo) == Echo("{a}", {"n": 1})


def test_data_that_is_not_of_the_model_is_a_decode_error(api):
    with pytest.raises(httpkit.DecodeError, match=r"in its data: .*variables"):
        api.graphql("{a}", model=Echo)


def test_errors_are_raised_with_the_partial_data(api):
    with pytest.raises(httpkit.GraphQLError) as caught:
        api.graphql("{a}", url="graphql?errors=2")

    error = caught.value
    assert str(error).endswith("/graphql?errors=2: error 1 (at query) (and 1 more)")
    assert [one["message"] for one in error.errors] == ["error 1", "error 2"]
    assert error.data["query"] == "{a}"
    assert (error.response.status_code, error.attempts) == (200, 1)


def test_errors_without_data_have_none(api):
    with pytest.raises(httpkit.GraphQLError) as caught:
        api.graphql("{a}", url="graphql?errors=1&data=0")

    assert caught.value.data is None


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_an_error_status_with_graphql_errors_is_a_graphql_error(api, status):
    with pytest.raises(httpkit.GraphQLError, match="error 1") as caught:
        api.graphql("{a}", url=f"graphql?errors=1&data=0&status={status}")

    assert caught.value.response.status_code == status


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, httpkit.UnauthorizedError),
        (403, httpkit.ForbiddenError),
        (429, httpkit.TooManyRequestsError),
        (500, httpkit.InternalServerError),
        (503, httpkit.ServiceUnavailableError),
    ],
)
def test_a_status_that_says_more_than_the_errors_is_raised(api, status, error):
    with pytest.raises(error, match="error 1"):
        api.graphql("{a}", url=f"graphql?errors=1&data=0&status={status}")


@pytest.mark.parametrize("raises", [True, False])
def test_an_error_status_without_graphql_errors_is_raised_whatever_the_session_says(api, raises):
    with pytest.raises(httpkit.BadRequestError):
        api.with_options(raise_for_status=raises).graphql("{a}", url="status/400")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("html", r"invalid GraphQL response .*\(text/html"),
        ("invalid-json", r"invalid GraphQL response .*\(application/json\)"),
        ("empty", "invalid GraphQL response"),
        ("lines", "invalid GraphQL response"),
        ("graphql?data=0", r"invalid GraphQL response to .*: it has no data"),
    ],
)
def test_a_response_that_is_not_graphql_is_a_decode_error(api, path, text):
    with pytest.raises(httpkit.DecodeError, match=text) as caught:
        api.graphql("{a}", url=path)

    assert caught.value.response is not None


BODIES = {
    "an array": b"[1]",
    "data that is a list": b'{"data": [1]}',
    "errors that are none": b'{"errors": []}',
    "errors of another API": b'{"errors": ["no"]}',
    "errors without messages": b'{"errors": [{"code": 1}]}',
    "a bare null": b"null",
    "NaN": b'{"data": {"a": NaN}}',
    "not UTF-8": b'{"data": {"a": "\xff"}}',
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_only_looks_like_a_response_is_a_decode_error(raw_server, make_response, body):
    server = raw_server(make_response(body=BODIES[body]))

    refusal = pytest.raises(httpkit.DecodeError, match="invalid GraphQL response")
    with httpkit.Session(server.url) as api, refusal:
        api.graphql("{a}")


def test_an_error_that_is_too_large_to_read_is_raised_as_its_status(raw_server, make_response):
    server = raw_server(make_response("400 No", body=b'{"errors": [' + b" " * (2 << 20)))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.BadRequestError):
        api.graphql("{a}")


def test_an_empty_list_of_errors_is_none(raw_server, make_response):
    server = raw_server(make_response(body=b'{"data": {"a": 1}, "errors": []}'))

    with httpkit.Session(server.url) as api:
        assert api.graphql("{a}") == {"a": 1}


def test_an_error_shows_no_secret_and_pickles(raw_server, make_response):
    text = {
        "message": "canary-token-77 is not allowed",
        "extensions": {"password": "hunter2hunter2", "code": "NO"},
    }
    server = raw_server(make_response(body=json.dumps({"errors": [text], "data": None}).encode()))

    auth = httpkit.BearerAuth("canary-token-77")
    session = httpkit.Session(server.url, auth=auth)
    with session as api, pytest.raises(httpkit.GraphQLError) as caught:
        api.graphql("{a}")
    twin = pickle.loads(pickle.dumps(caught.value))

    for error in (caught.value, twin):
        assert "canary" not in f"{error} {error.errors}"
        assert error.errors[0]["extensions"] == {"password": "***", "code": "NO"}
    assert str(twin) == str(caught.value)
    assert b"canary" not in pickle.dumps(caught.value)


def test_a_long_message_is_cut_to_one_line(raw_server, make_response):
    long = {"errors": [{"message": "a\nb " + "x" * 10_000, "path": ["p" * 1000]}]}
    server = raw_server(make_response(body=json.dumps(long).encode()))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.GraphQLError) as caught:
        api.graphql("{a}")

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# ---- what is repeated


def test_a_query_is_repeated_like_a_get(raw_server, make_response):
    server = raw_server(None, make_response("500 No"), make_response(body=b'{"data": {"a": 1}}'))

    with httpkit.Session(server.url) as api:
        assert api.graphql("query { a }") == {"a": 1}

    assert len(server.requests) == 3


def test_a_mutation_is_never_repeated_by_default(raw_server, make_response):
    server = raw_server(None, make_response(body=b'{"data": {"a": 1}}'))

    with httpkit.Session(server.url) as api, pytest.raises(requests.ConnectionError):
        api.graphql("mutation { a }")

    assert len(server.requests) == 1


def test_a_mutation_with_a_key_is_repeated(raw_server, make_response):
    server = raw_server(None, make_response(body=b'{"data": {"a": 1}}'))

    with httpkit.Session(server.url) as api:
        api.graphql("mutation { a }", idempotency_key=True)

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "retry", [None, httpkit.RetryPolicy(methods=())], ids=["off", "nothing that may have arrived"]
)
def test_a_policy_that_repeats_no_get_repeats_no_query(raw_server, make_response, retry):
    server = raw_server(None, make_response(body=b'{"data": {"a": 1}}'))

    with httpkit.Session(server.url) as api, pytest.raises(requests.ConnectionError):
        api.graphql("{a}", retry=retry)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("document", "is_read_only"),
    [
        ("{a}", True),
        ("query A($a: In = {b: {c: 1}}) @d(x: [{y: 2}]) { a } fragment F on X { b }", True),
        ('# mutation { x }\nquery { a(s: "} mutation {", t: """ \\""" } mutation { """) }', True),
        ("fragment mutation on Q { a } query query { mutation }", True),
        ("mutation { a }", False),
        ("query A { a } mutation B { b }", False),
        ("mutation B { b } query A { a }", False),
        ("query A { a }mutation{b}", False),
        ("subscription { a }", False),
        ("fragment F on X { b }", False),
        ("type Query { a: Int }", False),
        ("\ufeff", False),
    ],
)
def test_only_documents_of_queries_alone_are_read_only(document, is_read_only):
    assert graphql.is_read_only(document) is is_read_only


# ---- somebody else's server


@pytest.fixture(scope="module")
def films():
    """A strawberry schema behind the standard library's server."""
    strawberry = require("strawberry")
    flask = require("flask")
    from strawberry.flask.views import GraphQLView

    @strawberry.type
    class Film:
        title: str
        year: int

    @strawberry.type
    class Query:
        @strawberry.field
        def film(self, id: int) -> Film | None:
            if id == 13:
                raise ValueError("unlucky")
            return Film(title="Alien", year=1979) if id == 1 else None

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        def add(self, title: str, year: int) -> Film:
            return Film(title=title, year=year)

    schema = strawberry.Schema(Query, Mutation)
    app = flask.Flask("films")
    app.add_url_rule("/graphql", view_func=GraphQLView.as_view("graphql", schema=schema))

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    server = WSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with httpkit.Session(f"http://127.0.0.1:{server.server_port}") as api:
        yield api
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class FilmData:
    title: str
    year: int


@dataclass
class FilmAnswer:
    film: FilmData | None


class TestStrawberry:
    def test_a_query_with_variables(self, films):
        film = films.graphql("query($id: Int!) { film(id: $id) { title year } }", {"id": 1})["film"]

        assert film == {"title": "Alien", "year": 1979}

    def test_a_model(self, films):
        query = "query($id: Int!) { film(id: $id) { title year } }"

        found = films.graphql(query, {"id": 1}, model=FilmAnswer)

        assert found == FilmAnswer(FilmData("Alien", 1979))
        assert films.graphql(query, {"id": 2}, model=FilmAnswer) == FilmAnswer(None)

    def test_a_mutation(self, films):
        data = films.graphql('mutation { add(title: "Brazil", year: 1985) { title } }')

        assert data == {"add": {"title": "Brazil"}}

    def test_which_operation(self, films):
        two = "query A { a: film(id: 1) { title } } query B { b: film(id: 1) { title } }"

        assert films.graphql(two, operation_name="B") == {"b": {"title": "Alien"}}

    def test_an_error_beside_partial_data(self, films, caplog):
        with pytest.raises(httpkit.GraphQLError, match=r"unlucky \(at bad\)") as caught:
            films.graphql("{ good: film(id: 1) { title } bad: film(id: 13) { title } }")

        assert caught.value.data == {"good": {"title": "Alien"}, "bad": None}
        assert caught.value.errors[0]["path"] == ["bad"]

    @pytest.mark.parametrize("query", ["{ nothing }", "{ film("], ids=["unknown", "unparseable"])
    def test_a_document_that_is_wrong(self, films, query):
        with pytest.raises(httpkit.GraphQLError):
            films.graphql(query)

    def test_a_variable_that_is_missing(self, films):
        with pytest.raises(httpkit.GraphQLError, match=r"\$id"):
            films.graphql("query($id: Int!) { film(id: $id) { title } }")


@pytest.mark.parametrize(
    "errors",
    [[{"message": "denied"}, None], [{"errorType": "denied"}], ["denied"], "denied"],
    ids=["one of them malformed", "no message", "texts", "no list"],
)
def test_data_beside_errors_of_any_form_is_never_taken_for_whole(raw_server, make_response, errors):
    body = json.dumps({"data": {"film": None}, "errors": errors}).encode()
    server = raw_server(make_response(body=body, content_type="application/json"))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.GraphQLError) as caught:
        api.graphql("{ film }")

    assert "denied" in str(caught.value)
    assert caught.value.data == {"film": None}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on_status": {200: lambda _: 1}}, TypeError),
        ({"url": {"id": 1}}, ValueError),
        ({"path": {"id": 1}}, TypeError),
    ],
    ids=["a table", "a URL that is no text", "a path"],
)
def test_what_cannot_work_is_refused_before_a_mutation_is_sent(sandbox, api, options, error):
    with pytest.raises(error):
        api.graphql("mutation { add }", **options)

    assert sandbox.requests == []


def test_an_error_in_place_of_a_graphql_response_is_quoted(raw_server, make_response):
    server = raw_server(make_response(body=b'{"ok": false, "error": "not_authed"}'))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.DecodeError) as caught:
        api.graphql("{ films { id } }")

    assert str(caught.value).endswith("it has no data; the server says: not_authed")
