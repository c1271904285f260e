"""Where a request goes: joining, filling, and never leaving the base."""

import re
from urllib.parse import unquote
from uuid import UUID

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.exceptions import InvalidURL, MissingSchema
from urllib3.util import parse_url

import httpkit
from httpkit._core import placeholders

BASE = "https://api.example.com/v1"
# A lone surrogate: text that no encoding can say.
SURROGATE = "\ud800"


def whole_url(base, url):
    with httpkit.Session(base) as api:
        return api.prepare_request(requests.Request("GET", url)).url


@pytest.fixture
def api(sandbox):
    with httpkit.Session(f"{sandbox.url}/echo/v1", retry=None) as session:
        yield session


# Joining


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        pytest.param("", "users", "/users", id="no base path"),
        pytest.param("/", "users", "/users", id="root base path"),
        pytest.param("/v1", "users", "/v1/users", id="plain"),
        pytest.param("/v1", "/users", "/v1/users", id="leading slash"),
        pytest.param("/v1/", "users", "/v1/users", id="base ends in a slash"),
        pytest.param("/v1/", "/users", "/v1/users", id="slashes meet"),
        pytest.param("/v1", "users/", "/v1/users/", id="trailing slash is kept"),
        pytest.param("/v1", "users//7", "/v1/users//7", id="inner slashes are kept"),
        pytest.param("/v1", "", "/v1", id="empty"),
        pytest.param("/v1/", "", "/v1/", id="empty after a slash"),
        pytest.param("/v1", "/", "/v1/", id="only a slash"),
        pytest.param("/v1", "?q=1", "/v1?q=1", id="only a query"),
        pytest.param("/v1", "#top", "/v1#top", id="only a fragment"),
        pytest.param("/v1", "users?at=a/../b", "/v1/users?at=a/../b", id="dots in a query"),
        pytest.param("/v1", "users#a/../b", "/v1/users#a/../b", id="dots in a fragment"),
        pytest.param("/v1", "./users", "/v1/users", id="one dot"),
        pytest.param("/v1", "a..b/...", "/v1/a..b/...", id="dots within names"),
        pytest.param("/v1", "users:search", "/v1/users:search", id="colon"),
        pytest.param("/v1", "users@home", "/v1/users@home", id="at sign"),
        pytest.param("/v1", "http:evil.example", "/v1/http:evil.example", id="scheme alone"),
        pytest.param("/v1", "https:/evil.example", "/v1/https:/evil.example", id="one slash"),
        pytest.param("/v1", "@evil.example", "/v1/@evil.example", id="userinfo look-alike"),
        pytest.param("", "@evil.example", "/@evil.example", id="userinfo look-alike at the root"),
        pytest.param("", ".evil.example", "/.evil.example", id="host look-alike"),
        pytest.param("", ":444/users", "/:444/users", id="port look-alike"),
        pytest.param("/v1", "naïve café", "/v1/na%C3%AFve%20caf%C3%A9", id="not ASCII"),
        pytest.param("/v1", b"users", "/v1/users", id="bytes"),
        pytest.param("/v1", "x\r\nHost: evil", "/v1/x%0D%0AHost:%20evil", id="line break"),
    ],
)
def test_a_relative_url_is_appended_to_the_base(base, url, expected):
    origin = "https://api.example.com"

    whole = whole_url(origin + base, url)

    assert whole == origin + expected


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("100%", "/a%20b/100%25", id="at the end"),
        pytest.param("100%/off", "/a%20b/100%25/off", id="before a slash"),
        pytest.param("%zz/x%20y", "/a%20b/%25zz/x%20y", id="beside a real one"),
    ],
)
def test_a_stray_percent_sign_leaves_the_rest_of_the_url_alone(url, path):
    whole = whole_url("https://api.example.com/a%20b", url)

    assert whole == f"https://api.example.com{path}"


@pytest.mark.parametrize(
    "url",
    [
        "..",
        "../admin",
        "users/../../admin",
        "users/..",
        "..?q=1",
        "..#top",
        "%2e%2e/admin",
        "%2E%2e/admin",
        "users/.%2e/admin",
        "users%2f..%2fadmin",
        "users%2F%2e%2E",
        "..\\admin",
        "users%5c..%5Cadmin",
        "//evil.example/x",
        "///evil.example/x",
        "\\\\evil.example/x",
        "/\\evil.example/x",
        " //evil.example/x",
        "\t//evil.example/x",
        "users/..\n/admin",
        ".\t./admin",
        "..\x00",
        b"../admin",
        b" //evil.example/x",
    ],
    ids=repr,
)
def test_a_url_that_climbs_out_of_the_base_is_refused_before_anything_is_sent(sandbox, api, url):
    with pytest.raises(InvalidURL):
        api.get(url)

    assert sandbox.requests == []


def test_an_error_for_a_climbing_url_is_a_value_error(api):
    with pytest.raises(ValueError, match=r"path traversal: the URL .* is outside base_url"):
        api.get("../admin")


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/users",
        "http://api.example.com/users",
        "https://api.example.com/v2/users",
        "https://[::1]:8443/users",
    ],
)
def test_an_absolute_url_is_left_alone(url):
    whole = whole_url(BASE, url)

    assert whole == url


@pytest.mark.parametrize("url", ["HTTPS://other.example/x", "  https://other.example/x"])
def test_an_absolute_url_is_known_in_any_case_and_after_white_space(url):
    whole = whole_url(BASE, url)

    assert parse_url(whole).host == "other.example"


@pytest.mark.parametrize(
    "url",
    ["https://[::1/x", "https://h.example:99999/x", "https:///x", "https://u@ex\uff0fample/x"],
    ids=ascii,
)
def test_an_absolute_url_that_cannot_be_parsed_is_an_invalid_url(url):
    with httpkit.Session() as api, pytest.raises(InvalidURL):
        api.get(url)


@pytest.mark.parametrize("url", ["users", "/users", "", "api.example.com/users", "?q=1"])
def test_a_relative_url_without_a_base_is_refused(url):
    with httpkit.Session() as api, pytest.raises(MissingSchema, match="no base_url"):
        api.get(url)


def test_a_url_that_is_none_is_refused():
    with httpkit.Session(BASE) as api, pytest.raises(httpkit.ConfigurationError, match="None"):
        api.get(None)


@pytest.mark.parametrize("url", [b"\xff", b"users/\xff"])
def test_bytes_that_are_no_text_are_an_invalid_url(api, url):
    with pytest.raises(requests.RequestException) as caught:
        api.get(url)

    assert isinstance(caught.value, ValueError)


# The base


@pytest.mark.parametrize(
    "base",
    [
        "",
        "/v1",
        "api.example.com/v1",
        "//api.example.com",
        "https:api.example.com",
        "https://",
        "https:///v1",
        "https://h.example/v1?key=1",
        "https://h.example/v1#top",
        "https://[::1",
        "https://h.example:99999",
        5,
        b"https://h.example",
        ["https://h.example"],
    ],
    ids=repr,
)
def test_a_base_url_that_nothing_can_be_appended_to_is_refused_at_once(base):
    with pytest.raises(ValueError) as caught:
        httpkit.Session(base)

    assert isinstance(caught.value, requests.RequestException)


def test_a_bad_base_url_in_the_class_statement_is_refused_there():
    with pytest.raises(InvalidURL):
        type("Blog", (httpkit.Session,), {}, base_url="nonsense")


def test_a_bad_base_url_as_a_class_attribute_is_refused_by_the_constructor():
    class Blog(httpkit.Session):
        base_url = "nonsense"

    with pytest.raises(InvalidURL):
        Blog()


def test_an_instance_can_take_the_base_of_its_class_away():
    class Blog(httpkit.Session):
        base_url = BASE

    with Blog(None) as api, pytest.raises(MissingSchema):
        api.get("users")


@pytest.mark.parametrize("form", ["user:hunter2pass@h.example/v1", "https://u:hunter2pass@"])
def test_a_refused_base_url_does_not_show_its_password(form):
    with pytest.raises(InvalidURL) as caught:
        httpkit.Session(form)

    assert "hunter2pass" not in str(caught.value)


# Placeholders


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("plain", "plain"),
        ("a/b", "a%2Fb"),
        ("a b?c/d", "a%20b%3Fc%2Fd"),
        ("a#b", "a%23b"),
        ("a\\b", "a%5Cb"),
        ("50%", "50%25"),
        ("%2e%2e", "%252e%252e"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("a;b=c&d+e,f", "a%3Bb%3Dc%26d%2Be%2Cf"),
        ("user@h:1", "user%40h%3A1"),
        ("{other}", "%7Bother%7D"),
        ("naïve", "na%C3%AFve"),
        ("\r\n", "%0D%0A"),
        ("~-._", "~-._"),
        (0, "0"),
        (7, "7"),
        (b"a/b", "a%2Fb"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
    ids=repr,
)
def test_a_value_becomes_exactly_one_segment(sandbox, api, value, segment):
    api.get("users/{id}/posts", path={"id": value})

    assert sandbox.requests[0].path == f"/echo/v1/users/{segment}/posts"


@pytest.mark.parametrize("value", [None, "", b"", ".", "..", b".."], ids=repr)
def test_a_value_that_is_no_segment_is_refused_before_anything_is_sent(sandbox, api, value):
    with pytest.raises(InvalidURL, match="id="):
        api.delete("users/{id}", path={"id": value})

    assert sandbox.requests == []


@pytest.mark.parametrize("value", [SURROGATE, b"\xff"], ids=ascii)
def test_a_value_that_no_url_can_express_is_an_invalid_url(api, value):
    with pytest.raises(InvalidURL):
        api.get("users/{id}", path={"id": value})


@pytest.mark.parametrize("value", ["a/../b", "../b", "a/.."])
def test_a_value_that_would_climb_where_slashes_are_decoded_is_refused(sandbox, api, value):
    with pytest.raises(InvalidURL):
        api.get("users/{id}", path={"id": value})

    assert sandbox.requests == []


def test_every_placeholder_is_filled_wherever_it_stands(sandbox, api):
    api.get("{kind}/{id}.{kind}", path={"kind": "a/b", "id": 7})

    assert sandbox.requests[0].path == "/echo/v1/a%2Fb/7.a%2Fb"


def test_a_stray_percent_sign_in_the_template_does_not_encode_the_value_twice(sandbox, api):
    api.get("100%/{id}", path={"id": "a/b"})

    assert sandbox.requests[0].path == "/echo/v1/100%25/a%2Fb"


def test_the_template_itself_is_sent_as_it_is_written(sandbox, api):
    api.get("a%20b/{id}/?tag={id}", path={"id": 7})

    assert (sandbox.requests[0].path, sandbox.requests[0].query) == (
        "/echo/v1/a%20b/7/",
        {"tag": ["{id}"]},
    )


@pytest.mark.parametrize(
    ("url", "path", "message"),
    [
        pytest.param("users/{id}", None, r"needs path=\{'id': \.\.\.\}", id="no path"),
        pytest.param("users/{id}", {}, r"needs path=\{'id'", id="empty path"),
        pytest.param("{kind}/{id}", {"id": 1}, r"needs path=\{'kind'", id="one missing"),
        pytest.param("users/{id}", {"id": 1, "of": 2}, "no placeholder for of", id="one too many"),
        pytest.param("users", {"id": 1}, "no placeholder for id", id="no placeholder"),
        pytest.param("users?id={id}", {"id": 1}, "no placeholder for id", id="in the query"),
    ],
)
def test_placeholders_and_values_must_match(sandbox, api, url, path, message):
    with pytest.raises(ValueError, match=message):
        api.get(url, path=path)

    assert sandbox.requests == []


@pytest.mark.parametrize("path", [5, "id", [("id", 1)], {1: 2}], ids=repr)
def test_a_path_that_is_no_mapping_of_names_is_refused_as_a_bad_argument(api, path):
    with pytest.raises(requests.RequestException) as caught:
        api.get("users/{id}", path=path)

    assert isinstance(caught.value, ValueError)


def test_an_absolute_url_is_filled_too(sandbox, api):
    api.get(f"{sandbox.url}/echo/{{id}}", path={"id": "a/b"})

    assert sandbox.requests[0].path == "/echo/a%2Fb"


def test_braces_of_an_absolute_url_need_no_path(sandbox, api):
    api.get(f"{sandbox.url}/echo/{{id}}")

    assert unquote(sandbox.requests[0].path) == "/echo/{id}"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("users/{id}?api_key=c4n4ry-key", None),
        ("users/{id}?api_key=c4n4ry-key", {"id": ""}),
        ("users?api_key=c4n4ry-key", {"id": 1}),
        ("../users?api_key=c4n4ry-key", None),
    ],
    ids=["missing", "empty", "unused", "climbing"],
)
def test_a_refused_url_does_not_show_its_secrets(api, url, path):
    with pytest.raises(InvalidURL) as caught:
        api.get(url, path=path)

    assert "c4n4ry-key" not in str(caught.value)


# Nothing escapes: what a hostile id or path can do, judged by the parser that decides

_PIECES = st.sampled_from(
    [
        *["..", ".", "/", "//", "\\", "?", "#", "@", ":", ";", "%", "&", "{id}", "{", "}"],
        *["%2e", "%2E", "%2f", "%2F", "%5c", "%25", "%00", "%252e", "%c0%ae"],
        *["\t", "\n", "\r", " ", "\x00", "\x1f", "\x7f", "\xa0", "\u200b", "\u3002", "\uff0e"],
        *["\uff0f", "\u2044", "\u2215", "http:", "https://", "evil.example", "[::1]", "users"],
    ]
)
# Noise made of what URLs are made of, mixed with any text.
_NOISE = st.one_of(
    st.lists(_PIECES, max_size=8).map("".join),
    st.text(alphabet="./\\%2eEfF5cC@:?#; \t", max_size=12),
    st.text(max_size=8),
)
_BASES = st.sampled_from(
    ["https://api.example.com", "http://api.example.com:8080/v1", "https://[::1]/a/b%20c/"]
)
_FULL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")


def segments(path):
    """Split a path as a server sees it that decodes first, and takes a backslash for a slash."""
    return unquote(path).replace("\\", "/").split("/")


def where_it_goes(base, url):
    """Return the parsed URL that a request would have, or None when it is refused."""
    try:
        return parse_url(whole_url(base, url()))
    except InvalidURL:
        return None


@settings(max_examples=300, deadline=None, database=None)
@given(base=_BASES, url=_NOISE.filter(lambda text: not _FULL.match(text)))
def test_no_relative_url_leaves_the_base(base, url):
    home = parse_url(base)
    root = (home.path or "").rstrip("/")

    gone_to = where_it_goes(base, lambda: url)

    if gone_to is not None:
        assert gone_to[:4] == (home.scheme, None, home.host, home.port)
        assert f"{gone_to.path or '/'}/".startswith(f"{root}/")
        assert ".." not in segments(gone_to.path or "")


@settings(max_examples=300, deadline=None, database=None)
@given(base=_BASES, id=_NOISE)
def test_an_id_is_one_segment_that_decodes_to_itself_or_is_refused(base, id):
    home = parse_url(base)

    gone_to = where_it_goes(base, lambda: placeholders.fill("users/{id}/posts", {"id": id}))

    if gone_to is not None:
        *before, segment, after = (gone_to.path or "").split("/")
        assert gone_to[:4] == (home.scheme, None, home.host, home.port)
        assert "/".join(before) == f"{(home.path or '').rstrip('/')}/users"
        assert (unquote(segment), after, gone_to.query) == (id, "posts", None)
