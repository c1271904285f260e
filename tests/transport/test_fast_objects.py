"""Objects that are made without their constructors equal those that are constructed."""

import socket
from contextlib import contextmanager
from datetime import timedelta

import pytest
import requests
import urllib3

import httpkit
from httpkit._transport.connections import HTTPConnection
from httpkit._transport.fast_objects import make_message, make_raw, make_read_raw, make_response
from httpkit._transport.head import Head, frame, read_head
from httpkit._transport.http1 import Message
from httpkit._transport.socket_reader import UNLIMITED, SocketReader

HEADS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "cookie": b"HTTP/1.1 404 Not Found\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n",
}
RETRIES = urllib3.Retry(0, read=False)


@contextmanager
def received(data):
    """Give a socket on which these bytes have arrived."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(data)
        yield here


@pytest.fixture(params=HEADS, ids=str)
def head(request):
    return HEADS[request.param]


@contextmanager
def constructed_raw(head):
    """Give urllib3's response as `HTTPConnection.getresponse` constructs it."""
    connection = HTTPConnection("example.com")
    with received(head) as connection.sock:
        connection.sock.sendall(b"")
        connection.request("GET", "/a", preload_content=False, decode_content=False)
        raw = connection.getresponse()
        raw.retries = RETRIES
        yield raw


def parts(sock):
    """Return what a message is made of: reader, method, head and framing."""
    reader = SocketReader(sock, UNLIMITED, is_persistent=True).makefile("rb")
    head = read_head(reader)
    return reader, "GET", head, frame(head, "GET", closes=False)


@contextmanager
def made_raw(head):
    with received(head) as sock:
        yield make_raw(make_message(*parts(sock)), "/a", None, sock.shutdown, RETRIES)


def plain(held, *others):
    """Return the attributes of an object, without those that are objects of this exchange."""
    return {name: value for name, value in vars(held).items() if name not in others}


def test_a_message_equals_a_constructed_one(head):
    with received(head) as one, received(head) as other:
        made, constructed = make_message(*parts(one)), Message(other, method="GET")

        constructed.begin()
        assert vars(made).keys() == vars(constructed).keys()
        assert plain(made, "reader", "fp") == plain(constructed, "reader", "fp")
        constructed.close()


def test_a_response_of_urllib3_equals_a_constructed_one(head):
    objects = "_fp", "_original_response", "_sock_shutdown", "_decoded_buffer", "headers"
    with made_raw(head) as made, constructed_raw(head) as constructed:
        assert vars(made).keys() == vars(constructed).keys()
        assert plain(made, *objects) == plain(constructed, *objects)
        assert made.headers == constructed.headers
        assert type(vars(made)["_decoded_buffer"]) is type(vars(constructed)["_decoded_buffer"])
        constructed.close()


@pytest.mark.parametrize("head", ["length", "cookie"], indirect=True)
def test_a_response_of_urllib3_that_was_read_equals_a_constructed_one(head):
    objects = "_fp", "_original_response", "_sock_shutdown", "_decoded_buffer", "headers"
    with received(head) as sock, constructed_raw(head) as constructed:
        reader, *message = parts(sock)
        body = reader.read(message[2].length)
        constructed.read_rest()

        made = make_read_raw(reader, *message, len(body), "/a", None, sock.shutdown, RETRIES)

        assert vars(made).keys() == vars(constructed).keys()
        assert plain(made, *objects) == plain(constructed, *objects)
        inner = made._original_response, constructed._original_response
        assert plain(inner[0], "reader") == plain(inner[1], "reader")
        assert (made.closed, made.read(), made.read1()) == (True, b"", b"")


def test_a_response_equals_one_of_requests(head):
    adapter = requests.adapters.HTTPAdapter()
    request = requests.Request("GET", "http://example.com/a").prepare()
    with made_raw(head) as raw, constructed_raw(head) as other:
        constructed = adapter.build_response(request, other)
        by_name = {name.lower(): (name, value) for name, value in raw.headers.items()}
        fields = Head(11, raw.status, raw.reason, [], by_name)

        made = make_response(adapter, request, fields, timedelta(0), raw=raw)

        lazy = made.cookies  # made on first use
        assert vars(made).keys() == vars(constructed).keys()
        assert plain(made, "raw", "cookies") == plain(constructed, "raw", "cookies")
        assert dict(lazy) == dict(constructed.cookies)
        assert isinstance(made, httpkit.Response)
        other.close()
