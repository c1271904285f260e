"""python-gitlab on our session, with a GitLab behind a certificate authority of one's own."""

import json
import ssl

import pytest
import requests

import httpkit
from tests.support.interop import require

gitlab = require("gitlab")

TOKEN = "glpat-c4n4ry-0123456789"
USER = {"id": 1, "username": "ada", "name": "Ada"}


@pytest.fixture
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def serve(raw_server, make_response, tls):
    """Start a GitLab that gives responses of (status, document) or (status, document, fields)."""

    def start(*responses):
        return raw_server(
            *(
                make_response(
                    status,
                    json.dumps(document).encode(),
                    content_type="application/json",
                    **dict(*fields),
                )
                for status, document, *fields in responses
            ),
            tls=tls,
        )

    return start


def client(server, session, **options):
    return gitlab.Gitlab(server.url, private_token=TOKEN, session=session, **options)


def trusted_by_environment(monkeypatch, bundle):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    return {}, {}


WAYS = {
    "the environment": trusted_by_environment,
    "the client": lambda _, bundle: ({}, {"ssl_verify": bundle}),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_private_authority_is_trusted(serve, bundle, monkeypatch, way):
    server = serve(("200 OK", USER))
    session_options, options = way(monkeypatch, bundle)

    with httpkit.Session(raise_for_status=False, **session_options) as session:
        user = client(server, session, **options).users.get(1)

    assert user.username == "ada"
    assert f"PRIVATE-TOKEN: {TOKEN}".encode() in server.requests[0]


def test_an_authority_that_nobody_trusts_is_refused(serve):
    server = serve(("200 OK", USER))

    with (
        httpkit.Session(raise_for_status=False) as session,
        pytest.raises(requests.exceptions.SSLError),
    ):
        client(server, session).users.get(1)

    assert (server.requests, len(server.refusals)) == ([], 1)


def test_every_page_of_a_list_is_read(serve, bundle, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    server = serve(("200 OK", [USER]), ("200 OK", [{**USER, "id": 2}]))
    first = server.responses[0]
    link = f'Link: <{server.url}/api/v4/users?page=2>; rel="next"\r\n'.encode()
    server.responses[0] = first.replace(b"\r\n\r\n", b"\r\n" + link + b"\r\n", 1)

    with httpkit.Session(raise_for_status=False) as session:
        users = list(client(server, session).users.list(iterator=True))

    assert [user.id for user in users] == [1, 2]
    assert all(TOKEN.encode() in request for request in server.requests)


def test_a_failure_that_passes_is_retried_and_others_are_errors_of_gitlab(
    serve, bundle, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    server = serve(
        ("503 Service Unavailable", {}),
        ("200 OK", USER),
        ("404 Not Found", {"message": "404 User Not Found"}),
    )

    with httpkit.Session(raise_for_status=False) as session:
        lab = client(server, session)
        user = lab.users.get(1)
        with pytest.raises(gitlab.GitlabGetError, match="404 User Not Found"):
            lab.users.get(2)

    assert (user.name, len(server.requests)) == ("Ada", 3)


def test_an_issue_is_created_once(serve, bundle, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    server = serve(("502 Bad Gateway", {}))

    with httpkit.Session(raise_for_status=False) as session:
        project = client(server, session).projects.get(5, lazy=True)
        with pytest.raises(gitlab.GitlabCreateError):
            project.issues.create({"title": "It fails"})

    assert len(server.requests) == 1
    assert b'{"title": "It fails"}' in server.requests[0]


def test_the_token_stays_with_the_host(serve, sandbox, bundle, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    server = serve(("302 Found", {}, {"location": f"{sandbox.url}/echo"}))

    with httpkit.Session(raise_for_status=False) as session:
        lab = client(server, session)
        lab.http_get("/projects/5/jobs/7/artifacts")

    assert len(server.requests) == 1
    (seen,) = sandbox.requests
    assert TOKEN not in str(seen)


def test_an_error_shows_no_token(serve):
    server = serve(("200 OK", USER))

    with httpkit.Session(raise_for_status=False, retry=None) as session:
        lab = client(server, session)
        with pytest.raises(requests.exceptions.SSLError) as caught:
            lab.users.get(1)

    assert TOKEN not in f"{caught.value}{caught.value.__notes__}"
