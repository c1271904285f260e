"""Redirects by way of a login host: its cookies, netrc, Digest, and hosts beyond ASCII."""

from base64 import b64encode

import pytest
import requests
import responses
from requests.auth import HTTPDigestAuth

import httpkit

DATA, LOGIN = "https://data.earth.test", "https://login.earth.test"


@pytest.fixture
def portal():
    """A portal: the data host sends to the login host, which sets a cookie and sends back."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add(
            responses.GET, f"{DATA}/file", status=302, headers={"Location": f"{LOGIN}/authorize"}
        )
        mock.add(
            responses.GET,
            f"{LOGIN}/authorize",
            status=302,
            headers={
                "Location": f"{DATA}/file?signed=1",
                "Set-Cookie": "token=shared-1; Domain=.earth.test; Path=/",
            },
        )
        mock.add(responses.GET, f"{DATA}/file", body="the file")
        yield mock


def sent(mock, name):
    return [call.request.headers.get(name) for call in mock.calls]


@pytest.mark.parametrize("base", [None, DATA], ids=["no base", "base"])
def test_a_cookie_for_the_whole_domain_goes_back_to_the_data_host(portal, base):
    with httpkit.Session(base) as api:
        response = api.get(f"{DATA}/file")

    assert response.text == "the file"
    assert sent(portal, "Cookie") == [None, None, "token=shared-1"]


def test_a_cookie_of_the_login_host_alone_stays_there(portal):
    portal.replace(
        responses.GET,
        f"{LOGIN}/authorize",
        status=302,
        headers={"Location": f"{DATA}/file?signed=1", "Set-Cookie": "sid=own-1; Path=/"},
    )

    with httpkit.Session(DATA) as api:
        api.get("file")

    assert sent(portal, "Cookie") == [None, None, None]


def test_a_cookie_for_a_domain_goes_to_no_other_domain(portal):
    portal.replace(
        responses.GET,
        f"{LOGIN}/authorize",
        status=302,
        headers={
            "Location": "https://elsewhere.test/x",
            "Set-Cookie": "token=shared-1; Domain=.earth.test; Path=/",
        },
    )
    portal.add(responses.GET, "https://elsewhere.test/x")

    with httpkit.Session(DATA) as api:
        api.get("file")

    assert sent(portal, "Cookie") == [None, None, None]


def test_a_login_host_gets_its_own_cookie_back_with_its_form(portal):
    portal.add(responses.GET, f"{LOGIN}/form", headers={"Set-Cookie": "csrf=own-1; Path=/"})
    portal.add(responses.POST, f"{LOGIN}/form")

    with httpkit.Session(DATA, cookies={"mine": "c4n4ry"}) as api:
        api.get(f"{LOGIN}/form")
        api.post(f"{LOGIN}/form", data={"user": "ada"})

    assert sent(portal, "Cookie") == [None, "csrf=own-1"]


@pytest.fixture
def netrc(monkeypatch, tmp_path):
    file = tmp_path / "netrc"
    file.write_text("machine login.earth.test login ada password hunter2-word\n")
    monkeypatch.setenv("NETRC", str(file))
    return "Basic " + b64encode(b"ada:hunter2-word").decode()


@pytest.mark.parametrize("base", [None, DATA], ids=["no base", "base"])
def test_netrc_is_used_for_the_login_host(portal, netrc, base):
    with httpkit.Session(base) as api:
        api.get(f"{DATA}/file")

    assert sent(portal, "Authorization") == [None, netrc, None]


@pytest.mark.parametrize(
    "own",
    [{"auth": httpkit.NO_AUTH}, {"auth": httpkit.BearerAuth("token-12345")}],
    ids=["none", "bearer"],
)
def test_netrc_is_not_used_where_an_auth_was_given(portal, netrc, own):
    with httpkit.Session(DATA, **own) as api:
        api.get("file")

    assert sent(portal, "Authorization")[1:] == [None, None]


def test_netrc_is_not_used_for_a_login_host_over_plain_http(portal, netrc):
    portal.replace(
        responses.GET,
        f"{DATA}/file",
        status=302,
        headers={"Location": "http://login.earth.test/authorize"},
    )
    portal.add(responses.GET, "http://login.earth.test/authorize")

    with httpkit.Session(DATA) as api:
        api.get("file")

    assert sent(portal, "Authorization") == [None, None]


# ---- Digest


def test_a_digest_signs_the_url_of_each_redirect(raw_server, make_response):
    challenge = make_response("401 No", www_authenticate='Digest realm="r", nonce="n", qop="auth"')
    server = raw_server(
        challenge,
        make_response(),
        make_response("302 Found", location="/b?c=d"),
        make_response(body=b"there"),
    )

    with httpkit.Session(server.url, auth=HTTPDigestAuth("ada", "pw")) as api:
        api.get("warm")
        response = api.get("a")

    assert response.text == "there"
    assert b'uri="/a"' in server.requests[2]
    assert b'uri="/b?c=d"' in server.requests[3]
    assert b'uri="/a"' not in server.requests[3]


# ---- Hosts beyond ASCII


@pytest.mark.parametrize(
    "location",
    ["https://bücher.test/x?a=ö", "https://b%C3%BCcher.test/x?a=%C3%B6", "//bücher.test/x?a=ö"],
    ids=["raw", "encoded", "without a scheme"],
)
def test_a_host_beyond_ascii_is_looked_up_by_its_idna_name(portal, location):
    portal.replace(responses.GET, f"{DATA}/file", status=302, headers={"Location": location})
    portal.add(responses.GET, "https://xn--bcher-kva.test/x", body="books")

    with httpkit.Session(DATA) as api:
        response = api.get("file")

    assert response.text == "books"
    assert response.url == "https://xn--bcher-kva.test/x?a=%C3%B6"


def test_a_host_that_no_name_can_be_is_an_error(portal):
    portal.replace(
        responses.GET, f"{DATA}/file", status=302, headers={"Location": "https://\u2060.test/"}
    )

    with httpkit.Session(DATA) as api, pytest.raises(requests.RequestException):
        api.get("file")
