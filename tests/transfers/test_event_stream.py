"""Server-sent events go on after a lost connection, from the last event that was complete."""

import pytest
import requests

import httpkit
from httpkit import Event
from tests.support.file_responses import chunked, field, hanging, respond

STREAM = {"content_type": "text/event-stream"}
END = respond("204 No Content", b"", content_length=None)


def events(*blocks, end=b"", **fields):
    """Format a stream whose connection is lost after these events."""
    return chunked(*blocks, end=end, **{**STREAM, **fields})


def test_events_of_several_connections_are_one_stream(api, raw_server, waits):
    server = raw_server(
        events(b"retry: 1500\nid: 1\ndata: a\n\n", b"id: 2\ndata: b\n\ndata: lost"),
        events(b"id: 3\ndata: c\n\n", end=b"0\r\n\r\n"),
        END,
    )

    received = list(api.events(server.url))

    assert [(event.data, event.id) for event in received] == [("a", "1"), ("b", "2"), ("c", "3")]
    ids = [field(request, "last-event-id") for request in server.requests]
    assert ids == [None, "2", "3"]
    assert field(server.requests[0], "accept") == "text/event-stream"
    assert waits == [1.5, 1.5]


def test_an_id_without_data_counts(api, raw_server):
    server = raw_server(events(b"data: a\n\nid: 7\n\n"), END)

    list(api.events(server.url))

    assert field(server.requests[1], "last-event-id") == "7"


@pytest.mark.parametrize("bad", [b"\x00", b"2\x01", b"\x7f", b"2\x1b[0m"])
def test_an_id_that_no_header_can_hold_does_not_end_the_stream(api, raw_server, bad):
    server = raw_server(events(b"id: 1\ndata: a\n\nid: " + bad + b"\ndata: b\n\n"), END)

    received = list(api.events(server.url))

    assert [event.data for event in received] == ["a", "b"]
    assert field(server.requests[1], "last-event-id") == "1"


def test_an_id_of_an_incomplete_event_does_not_count(api, raw_server):
    server = raw_server(events(b"id: 1\ndata: a\n\nid: 2\ndata: b\n"), END)

    list(api.events(server.url))

    assert field(server.requests[1], "last-event-id") == "1"


def test_a_quiet_connection_is_replaced(raw_server):
    quiet = hanging(events(b"id: 1\ndata: a\n\n"))
    with httpkit.Session(timeout=(5, 0.1)) as api:
        server = raw_server(quiet, END)

        received = list(api.events(server.url))

    assert [event.data for event in received] == ["a"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "sent",
    [
        respond("200 OK", b"{}", content_type="application/json"),
        respond("200 OK", b"data: a\n\n", content_type="text/plain"),
        respond("404 Not Found", b"no"),
        respond("206 Partial Content", b"data: a\n\n", **STREAM),
    ],
    ids=["JSON", "text", "404", "206"],
)
def test_a_response_that_is_not_an_event_stream_raises(api, raw_server, sent):
    server = raw_server(sent)

    with pytest.raises(httpkit.HTTPKitError):
        list(api.events(server.url))

    assert len(server.requests) == 1


def test_a_503_is_retried_by_the_policy(api, raw_server):
    server = raw_server(respond("503 Busy", b""), events(b"data: a\n\n"), END)

    assert list(api.events(server.url)) == [Event("a")]


def test_a_server_that_loses_every_connection_is_given_up(api, raw_server):
    server = raw_server(events(b": hello\n"))

    with pytest.raises(requests.RequestException):
        list(api.events(server.url, max_stalls=3))

    assert len(server.requests) == 4


def test_an_event_resets_the_count_of_lost_connections(api, raw_server):
    server = raw_server(*[events(b": hi\n"), events(b"data: a\n\n")] * 4, END)

    assert len(list(api.events(server.url, max_stalls=2))) == 4


def test_a_stream_can_be_left_and_ends_then(api, raw_server):
    server = raw_server(hanging(events(b"data: a\n\n" * 3)))

    with api.events(server.url) as stream:
        first = next(stream)

    assert first == Event("a")
    assert list(stream) == []


def test_the_callers_header_fields_are_sent(api, raw_server):
    server = raw_server(END)

    assert list(api.events(server.url, headers={"Last-Event-ID": "40"}, params={"a": "b"})) == []

    assert field(server.requests[0], "last-event-id") == "40"
    assert server.requests[0].startswith(b"GET /?a=b ")


@pytest.mark.parametrize("max_stalls", [-1, None, "3"])
def test_an_invalid_count_is_refused(api, max_stalls):
    with pytest.raises(httpkit.ConfigurationError):
        api.events("http://127.0.0.1:1/", max_stalls=max_stalls)


def test_a_resource_of_a_session_may_be_called_events(raw_server):
    class Calendar(httpkit.Session):
        events = httpkit.Resource("events")

    item = respond("200 OK", b'{"id": 7}', content_type="application/json")
    server = raw_server(item, END)

    with Calendar(server.url) as calendar:
        found = calendar.events.get(7)
        stream = httpkit.Session.events(calendar, "stream")
        received = list(stream)

    assert (found, received) == ({"id": 7}, [])
    assert [request.split()[1] for request in server.requests] == [b"/events/7", b"/stream"]
