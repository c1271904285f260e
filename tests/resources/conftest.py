"""Fixtures: a server of scripted responses, with a session of it."""

import json

import pytest

import httpkit


@pytest.fixture
def serve(raw_server):
    """Start a server of these responses, and return a session and the server."""
    sessions = []

    def start(*replies, **settings):
        server = raw_server(*replies)
        sessions.append(httpkit.Session(server.url, **{"retry": None, **settings}))
        return sessions[-1], server

    yield start
    for session in sessions:
        session.close()


@pytest.fixture
def reply(make_response):
    def make(document=None, status="200 OK", **fields):
        body = b"" if document is None else json.dumps(document).encode()
        return make_response(status, body, **fields)

    return make
