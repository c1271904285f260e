"""A server cannot poison a session: what it sends spoils one call at most, never the next one."""

import json
import warnings

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from requests.cookies import RequestsCookieJar

import httpkit
from httpkit._core import header_fields, set_cookies
from httpkit._core.clock import CLOCK


def response(status="200 OK", body=b"{}", *fields, content_type="application/json"):
    """Return a response whose header fields are spelled byte by byte."""
    lines = [
        f"HTTP/1.1 {status}".encode(),
        b"Content-Length: %d" % len(body),
        b"Content-Type: " + content_type.encode(),
        b"Connection: keep-alive",
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def cookie_sent(request):
    """Return the Cookie field of a request; None when it had none."""
    lines = request.split(b"\r\n")
    return next((line[8:] for line in lines if line.lower().startswith(b"cookie: ")), None)


def outcome_of(call):
    """Return what a call returns, or the requests.RequestException that it raises."""
    try:
        return call()
    except requests.RequestException as error:
        return error


CONTROLS = [bytes([code]) for code in (*range(1, 9), 11, 12, *range(14, 32), 127)]


# Cookies


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize(
    "cookie", [b"a%sb=c", b"a=b%sc", b"a=b; Path=/%sx", b"a=b; X%s", b"a=%s; Domain=127.0.0.1"]
)
def test_a_cookie_with_a_control_character_is_ignored(raw_server, control, cookie):
    bad = response("200 OK", b"{}", b"Set-Cookie: " + cookie % control, b"Set-Cookie: ok=1")
    server = raw_server(bad, response())
    with httpkit.Session(server.url) as api:
        first = api.get("first")
        api.get("later")

    assert cookie_sent(server.requests[1]) == b"ok=1"
    assert dict(first.cookies) == {"ok": "1"}


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("200 OK", []),
        ("302 Found", [b"Location: /there"]),
        ("307 Temporary Redirect", [b"Location: /there"]),
        ("401 Unauthorized", []),
        ("404 Not Found", []),
        ("503 Service Unavailable", []),
    ],
)
def test_such_a_cookie_is_ignored_whatever_the_status(raw_server, status, fields):
    bad = response(status, b"", *fields, b"Set-Cookie: a=\x02", b"Set-Cookie: ok=1; Path=/")
    server = raw_server(bad, response())
    with httpkit.Session(server.url, retry=None) as api:
        outcome_of(lambda: api.get("first"))
        api.get("later")

    assert [cookie_sent(request) for request in server.requests[1:]] == [b"ok=1"] * (
        len(server.requests) - 1
    )


def test_such_a_cookie_of_a_redirect_to_another_origin_is_ignored(raw_server):
    there = raw_server(
        response("302 Found", b"", b"Location: /on", b"Set-Cookie: a=\x02", b"Set-Cookie: ok=1"),
        response(),
    )
    location = b"Location: " + there.url.encode() + b"/x"
    here = raw_server(response("302 Found", b"", location), response())
    with httpkit.Session(here.url) as api:
        api.get("first")
        api.get("later")

    assert cookie_sent(there.requests[1]) == b"ok=1"


def test_such_a_cookie_that_a_proxy_passes_on_is_ignored(raw_server):
    proxy = raw_server(response("200 OK", b"", b"Set-Cookie: a=\x1f"), response())
    with httpkit.Session("http://api.invalid", proxies={"http": proxy.url}) as api:
        api.get("first")
        api.get("later")

    assert cookie_sent(proxy.requests[1]) is None


def test_such_a_cookie_beside_a_digest_challenge_is_ignored(raw_server):
    challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
    bad = response("401 Unauthorized", b"", challenge, b"Set-Cookie: a=\x02")
    server = raw_server(bad, response())
    with httpkit.Session(server.url, auth=HTTPDigestAuth("user", "word")) as api:
        assert api.get("first").status_code == 200
        api.get("later")

    assert [cookie_sent(request) for request in server.requests] == [None, None, None]


def test_such_a_cookie_does_not_get_into_a_jar_of_the_callers_own(raw_server):
    server = raw_server(response("200 OK", b"", b"Set-Cookie: a=\x02"), response())
    with httpkit.Session(server.url) as api:
        api.cookies = RequestsCookieJar()
        api.get("first")
        api.get("later")

    assert cookie_sent(server.requests[1]) is None


def test_such_a_cookie_is_ignored_when_another_adapter_received_it(raw_server):
    server = raw_server(response("200 OK", b"", b"Set-Cookie: a=\x02"), response())
    with httpkit.Session(server.url) as api:
        api.mount("http://", HTTPAdapter())
        api.get("first")
        api.get("later")

    assert cookie_sent(server.requests[1]) is None


def test_without_strict_a_cookie_goes_back_as_requests_sends_it(raw_server):
    server = raw_server(response("200 OK", b"", b"Set-Cookie: a=b\x01c"), response())
    with httpkit.Session(server.url, strict=False) as api:
        api.get("first")
        api.get("later")

    assert cookie_sent(server.requests[1]) == b"a=b\x01c"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda api: api.get("later", auth=httpkit.BearerAuth("granted-1")), id="auth"),
        pytest.param(lambda api: api.get("later", retry=2, deadline=9), id="options"),
        pytest.param(lambda api: api.with_options(strict=True).get("later"), id="a strict clone"),
        pytest.param(lambda api: list(api.paginate("later")), id="a list"),
    ],
)
@pytest.mark.parametrize("fields", [[], [b"Location: /there"]], ids=["answer", "redirect"])
def test_without_strict_no_later_call_is_refused_for_a_servers_cookie(raw_server, call, fields):
    bad = response("302 Found" if fields else "200 OK", b"", *fields, b"Set-Cookie: a=b\x01c")
    server = raw_server(bad, response("200 OK", b"[]"))
    with httpkit.Session(server.url, strict=False) as api:
        assert api.get("first").status_code == 200
        call(api)

    assert server.requests[-1].startswith(b"GET /later ")


def test_what_another_jar_took_of_a_server_is_not_sent_and_spoils_no_call(raw_server):
    server = raw_server(response())
    jar = RequestsCookieJar()
    jar.set("a", "b\x01", domain="127.0.0.1")
    jar.set("ok", "1", domain="127.0.0.1")
    with httpkit.Session(server.url) as api:
        api.cookies = jar
        api.get("first")

    assert cookie_sent(server.requests[0]) == b"ok=1"


@pytest.mark.parametrize(
    ("cookie", "sent"),
    [
        (b"a=" + b"x" * 4095, b"a=" + b"x" * 4095),
        (b"a=" + b"x" * 4096, None),
        (b"n" * 4097, None),
        (b"a=b; Path=/" + b"x" * 1024, b"a=b"),
        (b"a=b; Domain=" + b"x" * 1025, b"a=b"),
        (b"a=b; Max-Age=soon", b"a=b"),
        (b"a=b; Max-Age", b"a=b"),
        (b"a=b; Max-Age=", b"a=b"),
        (b"a=b; Max-Age=" + b"9" * 500, b"a=b"),
        (b"a=b; Max-Age=" + b"9" * 5000, b"a=b"),
        (b"a=b; Max-Age=-" + b"9" * 500, None),
        (b"a=b; Max-Age=0", None),
        (b"a=b; max-age=60", b"a=b"),
        (b"a=b; Expires=Fri, 31 Dec 99999999999 23:59:59 GMT", b"a=b"),
        (b"a=b; Expires=soon; Version=\xff", None),
        (b"a=b; Expires=Thu, 01 Jax 2030 00:00:00 GMT", b"a=b"),
        (b"a=b; expires=Mon, 99 Foo 9999 99:99:99 GMT; Path=/", b"a=b"),
        (b"a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        (b"a=b; Expires=Thursday, 01-jan-70 00:00:00 GMT", None),
        (b"a=b; Expires=Thu, 01 Jan 99 00:00:00 GMT", None),
        (b"a=b; Expires=Wed, 01-Jan-69 00:00:00 GMT", b"a=b"),
        (b"a=b\tc", b"a=b\tc"),
        (b"a=\xff\xe9", b"a=\xff\xe9"),
        (b'a="b c"', b'a="b c"'),
        (b"a=b; Domain=[::1", None),
        (b"a=b; Port=x", None),
        (b"=", None),
        (b"", None),
    ],
    ids=lambda value: f"{value[:16]!r}, {len(value)}" if value is not None else "none",
)
def test_a_cookie_is_read_as_rfc_6265bis_says_and_costs_no_other(raw_server, cookie, sent):
    bad = response("200 OK", b"", b"Set-Cookie: " + cookie, b"Set-Cookie: ok=1")
    server = raw_server(bad, response())
    with httpkit.Session(server.url) as api, warnings.catch_warnings():
        warnings.simplefilter("error")
        api.get("first")
        api.get("later")

    assert sorted(cookie_sent(server.requests[1]).split(b"; ")) == sorted(
        [b"ok=1"] if sent is None else [sent, b"ok=1"]
    )


def test_of_hundreds_of_cookies_the_last_ones_are_kept(raw_server):
    heads = [
        response(
            "200 OK", b"", *(b"Set-Cookie: n%d=%d" % (n, n) for n in range(start, start + 200))
        )
        for start in (0, 200)
    ]
    server = raw_server(*heads, response())
    with httpkit.Session(server.url) as api:
        api.cookies.set("mine", "1")
        for path in ("first", "second", "later"):
            api.get(path)

    sent = cookie_sent(server.requests[2]).split(b"; ")
    assert len(sent) == 181
    assert {b"mine=1", b"n220=220", b"n399=399"} <= set(sent)


def test_a_cookie_that_the_caller_sets_is_still_refused_aloud(raw_server):
    server = raw_server(response())
    with httpkit.Session(server.url, cookies={"a": "b\x01"}) as api:
        error = outcome_of(lambda: api.get("first"))

    assert (type(error), server.requests) == (requests.exceptions.InvalidHeader, [])


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("a=b; Path=/; Secure; HttpOnly", "a=b; Path=/; Secure; HttpOnly"),
        ("a=b; Max-Age=99999999999", "a=b; Max-Age=34560000"),
        ("a=b; Max-Age=-1", "a=b; Max-Age=0"),
        ("a=b\x7f", None),
    ],
)
def test_a_set_cookie_field_is_read_without_what_is_not_valid(field, read):
    assert set_cookies.read(field) == read


def test_a_copied_jar_reads_cookies_as_the_one_it_is_copied_from():
    assert [header_fields.Jar(is_strict=strict).copy().is_strict for strict in (True, False)] == [
        True,
        False,
    ]


def test_cookies_do_not_make_a_key_forgotten_that_is_hidden(raw_server):
    values = [b" ".join(b"value-%d-%d" % (n, k) for k in range(250)) for n in range(6)]
    cookies = [b"Set-Cookie: n%d=%s" % pair for pair in enumerate(values)]
    server = raw_server(
        response("200 OK", b"", *cookies),
        response("403 Forbidden", b"no such key: my-own-key-1, my-other-key-2"),
    )
    auth = httpkit.APIKeyAuth("my-own-key-1", "who", "query")
    with httpkit.Session(server.url, auth=auth) as api:
        api.get("first")
        error = outcome_of(lambda: api.get("second"))

        second = outcome_of(lambda: api.get("third", headers={"X-API-Key": "my-other-key-2"}))

    assert "my-own-key-1" not in f"{error} {error.detail}"
    assert "my-other-key-2" not in f"{second} {second.detail}"


# Challenges


@pytest.mark.parametrize(
    "challenge",
    [
        b'Digest realm="r", nonce="a\x01b", qop="auth"',
        b'Digest realm="r\x7f", nonce="n"',
        b'Digest nonce="n"',
        b'Digest realm="r"',
        b"Digest",
        b'Digest realm="r", nonce="n", opaque="\x1b"',
    ],
)
def test_an_invalid_digest_challenge_fails_this_call_only(raw_server, challenge):
    good = b'WWW-Authenticate: Digest realm="r", nonce="good", qop="auth"'
    server = raw_server(
        response("401 Unauthorized", b"", good),
        response(),
        response("401 Unauthorized", b"", b"WWW-Authenticate: " + challenge),
        response(),
    )
    with httpkit.Session(server.url, auth=HTTPDigestAuth("user", "word")) as api:
        api.get("first")
        error = outcome_of(lambda: api.get("second"))
        later = api.get("later")

    assert isinstance(error, requests.exceptions.InvalidHeader)
    assert "Digest challenge" in str(error)
    assert later.status_code == 200


# Versions


@pytest.mark.parametrize(
    "fields",
    [
        [b'ETag: "a\x01b"'],
        [b'ETag: "\xff"'],
        [b'ETag: "unclosed'],
        [
            b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\x02",
            b"Date: Tue, 02 Jan 2024 00:00:00 GMT",
        ],
        [b"Last-Modified: Fri, 31 Dec 9999 23:59:59 -2300"],
        [b"Retry-After: " + b"9" * 4000],
        [b"Content-Disposition: attachment; filename*=UTF-8''%ED%A0%80"],
    ],
)
def test_a_download_goes_on_whatever_version_the_server_names(raw_server, tmp_path, fields):
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: 10", *fields])
    server = raw_server(head + b"\r\n\r\nabcde", response("200 OK", b"abcdefghij", *fields))
    with httpkit.Session(server.url) as api:
        done = api.download("x", tmp_path / "x.bin")
        later = api.get("later")

    assert (done.path.read_bytes(), later.status_code) == (b"abcdefghij", 200)


def test_an_etag_that_cannot_be_sent_fails_the_change_alone(raw_server):
    server = raw_server(response("200 OK", b'{"id": 1}', b'ETag: "a\x01"'), response())
    with httpkit.Session(server.url) as api:
        things = api.resource("things")
        tag = things.fetch(1).etag
        error = outcome_of(lambda: things.replace(1, {"id": 1}, if_match=tag))
        later = api.get("later")

    assert isinstance(error, requests.exceptions.InvalidHeader)
    assert later.status_code == 200


# Addresses


BAD_ADDRESSES = [b"http://[x", b"//\x7f", b"http://h:99999999/", b"http://\xe9[/", b"mailto:x"]


@pytest.mark.parametrize(
    "location", [*BAD_ADDRESSES, b"http://u@h/", b"/\x01", b"/\xff", b"/%ED%A0"]
)
def test_a_location_fails_this_call_alone(raw_server, location):
    server = raw_server(response("302 Found", b"", b"Location: " + location), response())
    with httpkit.Session(server.url) as api:
        first = outcome_of(lambda: api.get("first"))
        later = api.get("later")

    is_followed = location.startswith(b"/") and location[:2] != b"//"
    assert isinstance(first, httpkit.Response if is_followed else httpkit.RedirectError)
    assert later.status_code == 200


@pytest.mark.parametrize("protocol", ["tus", "content-range"])
@pytest.mark.parametrize("location", BAD_ADDRESSES)
def test_an_address_for_an_upload_fails_this_call_alone(raw_server, tmp_path, protocol, location):
    source, state = tmp_path / "file", tmp_path / "state"
    source.write_bytes(b"x" * 10)
    server = raw_server(response("201 Created", b"", b"Location: " + location), response())
    with httpkit.Session(server.url) as api:
        error = outcome_of(lambda: api.upload("files", source, resumable=protocol, state=state))
        later = api.get("later")

    assert isinstance(error, httpkit.RedirectError)
    assert (later.status_code, state.exists()) == (200, False)


@pytest.mark.parametrize("url", ["/\ud800", "http://[", "http://h\udfff/"])
def test_an_address_in_json_that_cannot_be_sent_gets_into_no_state(raw_server, tmp_path, url):
    source, state = tmp_path / "file", tmp_path / "state"
    source.write_bytes(b"x" * 10)
    bad = response("200 OK", json.dumps({"uploadUrl": url}).encode())
    server = raw_server(bad, response("201 Created", b"", b"Location: /here"), response())
    with httpkit.Session(server.url) as api:

        def upload():
            return api.upload("files", source, resumable="content-range", state=state)

        error = outcome_of(upload)
        assert isinstance(error, httpkit.RedirectError)
        assert not state.exists()
        assert upload().status_code == 200


def test_an_address_in_a_state_file_that_cannot_be_sent_is_none(raw_server, tmp_path):
    source, state = tmp_path / "file", tmp_path / "state"
    source.write_bytes(b"x" * 10)
    begun = response("201 Created", b"", b"Location: /here")
    server = raw_server(begun, response("400 Bad Request", b""), begun, response())
    with httpkit.Session(server.url, retry=None) as api:

        def upload():
            return api.upload("files", source, resumable="content-range", state=state)

        outcome_of(upload)
        stored = json.loads(state.read_text())
        state.write_text(json.dumps({**stored, "upload_url": f"{server.url}/\ud800"}))
        done = upload()

    assert done.status_code == 200


def test_the_host_of_an_upload_is_no_secret(raw_server, tmp_path):
    source = tmp_path / "file"
    source.write_bytes(b"x" * 10)
    server = raw_server(
        response(
            "201 Created", b"", b"Location: http://storage-uploads.api.invalid/0123456789abcdef"
        )
    )
    with httpkit.Session(server.url, trusted_origins=["http://storage-uploads.api.invalid"]) as api:
        error = outcome_of(
            lambda: api.upload("files", source, resumable="tus", state=tmp_path / "state")
        )

    assert "storage-uploads.api.invalid" in str(error)
    assert "0123456789abcdef" not in str(error)


# Pages


VALUES = [
    b"a\x01b",
    b"\xff",
    b"\xed\xa0\x80",
    b"http://[",
    b"http://h:999999/",
    b"ftp://h/",
    b"//\x7f",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("pager", "field"),
    [
        (httpkit.CursorPages("header:X-Next"), b"X-Next: %s"),
        (httpkit.NextURLPages("header:X-Next"), b"X-Next: %s"),
        (httpkit.LinkPages(), b"Link: <%s>; rel=next"),
    ],
    ids=["cursor", "next URL", "link"],
)
def test_a_next_page_fails_this_list_alone(raw_server, value, pager, field):
    server = raw_server(response("200 OK", b"[{}]", field % value), response("200 OK", b"[]"))
    with httpkit.Session(server.url) as api:
        outcome = outcome_of(lambda: list(api.paginate("things", pager)))
        later = api.get("later")

    assert isinstance(outcome, (list, httpkit.PaginationError))
    assert later.status_code == 200


@pytest.mark.parametrize("value", ["\ud800", {"a": 1}, [1], 1.5, True, 10**30, "\r\nX: y", "\x00"])
@pytest.mark.parametrize("pager", [httpkit.CursorPages("next"), httpkit.NextURLPages("next")])
def test_a_member_that_names_a_next_page_fails_this_list_alone(raw_server, value, pager):
    page = response("200 OK", json.dumps({"items": [{}], "next": value}).encode())
    server = raw_server(page, response("200 OK", b'{"items": []}'))
    with httpkit.Session(server.url) as api:
        outcome = outcome_of(lambda: list(api.paginate("things", pager, items_at="items")))
        later = api.get("later")

    assert isinstance(outcome, (list, httpkit.PaginationError, httpkit.DecodeError))
    assert later.status_code == 200
    assert not any(b"\r\nX: y" in request for request in server.requests)


# Tokens


@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
@pytest.mark.parametrize(
    "token", ["a\nb", "a\rb", "\u00e9", "\u65e5", "a b", "\ud800", 5, True, ["x"], "", "x" * 70_000]
)
def test_a_token_that_cannot_be_sent_fails_this_call_and_names_the_endpoint(
    raw_server, member, token
):
    granted = {"token_type": "Bearer", "access_token": "granted-1"}
    issuer = raw_server(
        response("200 OK", json.dumps({**granted, member: token}).encode()),
        response("200 OK", json.dumps(granted).encode()),
    )
    server = raw_server(response())
    signer = httpkit.RefreshTokenAuth(f"{issuer.url}/token", "client", "refresh-1")
    with httpkit.Session(server.url, auth=signer) as api:
        error = outcome_of(lambda: api.get("first"))
        later = api.get("later")

    assert isinstance(error, httpkit.TokenError)
    assert f"{issuer.url}/token" in str(error)
    assert (later.status_code, len(server.requests)) == (200, 1)
    assert b"refresh_token=refresh-1" in issuer.requests[1]


# Waits


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    "field",
    [
        b"Retry-After: " + b"9" * 300,
        b"Retry-After: 1e300",
        b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
        b"Retry-After: \xff\x01",
        b"Retry-After-Ms: " + b"9" * 300,
        b"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 9e99",
    ],
)
def test_a_wait_without_end_holds_no_later_call_back(raw_server, status, field):
    server = raw_server(response(status, b"", field), response())
    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(attempts=1)) as api:
        error = outcome_of(lambda: api.get("first"))
        started = CLOCK.monotonic()
        later = api.get("later")

    assert isinstance(error, httpkit.StatusError)
    assert (later.status_code, CLOCK.monotonic() - started < 60) == (200, True)
