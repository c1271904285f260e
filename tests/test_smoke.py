import httpkit


def test_a_flaky_server_is_got_through(sandbox, waits):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("flaky/a")

    assert (response.status_code, response.attempts, waits) == (200, 3, [1.0, 2.0])


def test_a_raw_server_is_heard(raw_server, answer):
    server = raw_server(answer(body=b"hi"))

    with httpkit.Session(server.url) as api:
        assert api.get("x").text == "hi"

    assert server.requests[0].startswith(b"GET /x HTTP/1.1\r\n")
