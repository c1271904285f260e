"""Pages that are not as expected are errors with a path; nothing is lost and nothing repeated."""

import json
import traceback

import pytest
import requests

import httpkit
from httpkit import CursorPages, LinkPages, NextURLPages, NumberedPages, OffsetPages


@pytest.fixture
def serve(raw_server, make_response):
    """Start a server of these documents, and return a session and the server."""
    sessions = []

    def start(*pages, **settings):
        bodies = [page if isinstance(page, bytes) else json.dumps(page).encode() for page in pages]
        server = raw_server(*[make_response(body=body) for body in bodies])
        sessions.append(httpkit.Session(server.url, **{"retry": None, **settings}))
        return sessions[-1], server

    yield start
    for session in sessions:
        session.close()


def sent(server):
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def collect(pages):
    """Return the items of a list and the error that ended it."""
    found = []
    with pytest.raises(requests.RequestException) as caught:
        found.extend(pages)
    return found, caught.value


@pytest.mark.parametrize(
    "link",
    [{}, {"rel": "next"}, ["?page=2"], [], 2, 0, True, 1.5, {"href": 3}, {"href": {}}],
    ids=[
        "empty object",
        "object without href",
        "list",
        "empty list",
        "number",
        "zero",
        "true",
        "fraction",
        "href number",
        "href object",
    ],
)
def test_a_next_link_of_another_type_is_an_error_after_the_items(serve, link):
    api, server = serve({"items": [1], "next": link})

    found, error = collect(api.paginate("list", NextURLPages(), items_at="items"))

    assert found == [1]
    assert isinstance(error, httpkit.PaginationError)
    assert "page 1 of list: at 'next' there is" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pages", "document"),
    [
        (NextURLPages("links.next"), {"links": [{"rel": "next", "href": "?page=2"}]}),
        (NextURLPages("meta.next"), {"meta": "text"}),
        (CursorPages("paging.next"), {"paging": [{"next": "c"}]}),
        (CursorPages("paging.next"), {"paging": 5}),
        (NumberedPages(total="meta.pages"), {"meta": [{"pages": 2}]}),
    ],
    ids=["links in an array", "text", "cursor in an array", "number", "total in an array"],
)
def test_a_path_into_another_type_raises(serve, pages, document):
    api, _ = serve({"items": [1], **document})

    found, error = collect(api.paginate("list", pages, items_at="items"))

    assert found == [1]
    assert isinstance(error, httpkit.PaginationError)
    assert "invalid path" in str(error)


@pytest.mark.parametrize(
    "document",
    [{}, {"links": None}, {"links": {}}, {"links": []}, {"links": {"next": None}}],
    ids=["no links", "null", "empty", "PHP's empty object", "null within"],
)
def test_an_absent_or_null_link_is_the_end(serve, document):
    api, server = serve({"items": [1], **document})

    assert list(api.paginate("list", NextURLPages("links.next"), items_at="items")) == [1]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("items_at", "document", "expected"),
    [
        ("edges.*.node", {"edges": [{"node": 1}, {"node": 2}]}, [1, 2]),
        ("pages.*", {"pages": {"a": 1, "b": 2}}, [1, 2]),
        ("*", {"a": 1, "b": 2}, [1, 2]),
        ("*.*", [[1], [2, 3]], [1, 2, 3]),
        ("groups.*.items.*", {"groups": [{"items": [1]}, {"items": []}, {"items": [2]}]}, [1, 2]),
        ("data.items?", {}, []),
        ("data.items?", {"data": None}, []),
        ("data.items?", {"data": {"items": None}}, []),
        ("data.items?", {"data": {"items": [1]}}, [1]),
        ("edges.*.node?", {}, []),
        ("edges.*.node?", {"edges": [{"node": 1}]}, [1]),
    ],
)
@pytest.mark.parametrize("decode", [None, requests.Response.json], ids=["JSON", "decode="])
def test_items_are_found_by_every_member_and_may_be_missing(
    serve, items_at, document, expected, decode
):
    api, _ = serve(document)
    options = {} if decode is None else {"decode": decode}

    assert list(api.paginate("list", items_at=items_at, **options)) == expected


@pytest.mark.parametrize(
    ("items_at", "document"),
    [
        ("data.items", {}),
        ("data.items", {"data": None}),
        ("edges.*.node", {"edges": [{"node": 1}, {"cursor": "x"}]}),
        ("edges.*.node?", {"edges": [{"node": 1}, {"cursor": "x"}]}),
        ("edges.*.node?", {"edges": "text"}),
        ("data?", {"data": "text"}),
        ("data?", {"data": {"a": 1}}),
    ],
)
def test_items_that_are_not_there_are_a_decode_error(serve, items_at, document):
    api, _ = serve(document)

    with pytest.raises(httpkit.DecodeError, match="page 1, looking at"):
        list(api.paginate("list", items_at=items_at))


def test_a_cursor_goes_to_a_path_in_the_document_and_leaves_the_rest(serve):
    api, server = serve({"items": [1], "next": {"k": [1.5]}}, {"items": [2]})
    requested = {"page": {"size": 1}, "q": "a"}
    pages = CursorPages("next", "page.after")

    found = list(api.paginate("search", pages, json=requested, items_at="items"))

    assert found == [1, 2]
    assert sent(server) == [requested, {"page": {"size": 1, "after": {"k": [1.5]}}, "q": "a"}]
    assert requested == {"page": {"size": 1}, "q": "a"}


def test_an_offset_in_a_document_is_a_number_and_begins_where_the_document_says(serve):
    api, server = serve({"items": [1], "total": 5}, {"items": [2], "total": 5})
    pages = OffsetPages("from", "size", limit=1, total="total")

    found = api.paginate("search", pages, json={"from": 3}, items_at="items")

    assert list(found) == [1, 2]
    assert sent(server) == [{"from": 3, "size": 1}, {"from": 4, "size": 1}]


def test_a_cursor_may_go_into_the_query_beside_a_document(serve):
    api, server = serve({"items": [1], "next": "c"}, {"items": [2]})
    pages = CursorPages("next", "after", into="query")

    assert list(api.paginate("search", pages, json={"q": 1}, items_at="items")) == [1, 2]
    assert server.requests[1].startswith(b"POST /search?after=c ")
    assert sent(server) == [{"q": 1}] * 2


def test_a_method_may_be_given(serve):
    api, server = serve([1])

    assert list(api.paginate("search", json={}, method="GET")) == [1]
    assert server.requests[0].startswith(b"GET /search ")


def test_a_cursor_in_a_document_that_repeats_is_a_loop(serve):
    api, server = serve({"items": [1], "next": "c"})

    found, error = collect(api.paginate("s", CursorPages("next"), json={}, items_at="items"))

    assert "pagination loop" in str(error)
    assert (found, len(server.requests)) == ([1, 1], 2)


def test_a_failed_page_of_a_document_list_is_resumed_by_its_error(serve):
    api, server = serve({"items": [1], "next": "c"}, b"<html>", {"items": [2]})
    found = api.paginate("s", CursorPages("next"), json={}, items_at="items")

    _, error = collect(found)

    assert list(found.resume(error)) == [2]
    assert sent(server)[1:] == [{"cursor": "c"}] * 2


@pytest.mark.parametrize("at", ["s", "s?cursor=c", '{"list": "other", "next": {}}', "{", "{}"])
def test_a_document_list_is_resumed_by_its_own_token_only(serve, at):
    api, server = serve({"items": []})

    with pytest.raises(httpkit.ConfigurationError):
        api.paginate("s", CursorPages("next"), json={}, items_at="items").resume(at)

    assert server.requests == []


def test_a_token_of_another_document_is_refused(serve):
    api, _ = serve({"items": [1], "next": "c"})
    pages = CursorPages("next")
    token = next(api.paginate("s", pages, json={"q": 1}, items_at="items").pages()).next_token

    with pytest.raises(httpkit.ConfigurationError, match=r"not a page\.next_token of this list"):
        api.paginate("s", pages, json={"q": 2}, items_at="items").resume(token)


def test_document_and_credentials_do_not_follow_a_link_to_another_origin(raw_server, make_response):
    away = raw_server(make_response(body=b'{"items": [2]}'))
    body = json.dumps({"items": [1], "next": f"{away.url}/more"}).encode()
    origin = raw_server(make_response(body=body))

    with httpkit.Session(origin.url, retry=None, auth=httpkit.BearerAuth("session-token-1")) as api:
        query = {"password": "document-secret-1"}
        found = list(api.paginate("s", NextURLPages(), json=query, items_at="items"))

    assert found == [1, 2]
    assert b"document-secret-1" in origin.requests[0]
    assert b"secret-1" not in away.requests[0]
    assert b"session-token-1" not in away.requests[0]


# Links with a document (STAC)


def stac(items, **link):
    links = [{"rel": "self", "href": "/search"}, {"rel": "next", "href": "/search", **link}]
    return {"items": items, "links": links if link else []}


BY_LINK = NextURLPages("links", rel="next")


def methods(server):
    return [request.partition(b" ")[0].decode() for request in server.requests]


@pytest.mark.parametrize(
    ("link", "requested"),
    [
        ({"body": {"token": "t"}, "merge": True}, {"q": "a", "n": 1, "token": "t"}),
        ({"body": {"n": 2}, "merge": True}, {"q": "a", "n": 2}),
        ({"body": {"token": "t"}}, {"token": "t"}),
        ({"body": {"token": "t"}, "merge": False}, {"token": "t"}),
    ],
    ids=["merged", "replaced", "alone", "not merged"],
)
def test_a_next_link_may_hold_the_document_to_ask_with(serve, link, requested):
    api, server = serve(stac([1], method="POST", **link), stac([2]))

    found = list(api.paginate("search", BY_LINK, json={"q": "a", "n": 1}, items_at="items"))

    assert found == [1, 2]
    assert sent(server) == [{"q": "a", "n": 1}, requested]


def test_merged_documents_add_up_and_differ_from_a_loop(serve):
    api, server = serve(
        stac([1], method="POST", body={"token": "t1"}, merge=True),
        stac([2], method="POST", body={"token": "t2"}, merge=True),
        stac([3], method="POST", body={"token": "t2"}, merge=True),
    )

    found, error = collect(api.paginate("search", BY_LINK, json={"q": "a"}, items_at="items"))

    assert found == [1, 2, 3]
    assert "pagination loop" in str(error)
    assert sent(server)[2] == {"q": "a", "token": "t2"}


def test_a_link_with_a_document_turns_a_get_list_into_posts_that_are_retried(serve):
    api, server = serve(stac([1], body={"token": "t"}), stac([2]), retry=2)
    server.responses = (server.responses[0], None, server.responses[1])

    assert list(api.paginate("search", BY_LINK, items_at="items")) == [1, 2]
    assert methods(server) == ["GET", "POST", "POST"]


def test_a_link_that_says_get_ends_the_documents(serve):
    api, server = serve(stac([1], method="get"), stac([2]))

    assert list(api.paginate("search", BY_LINK, json={"q": 1}, items_at="items")) == [1, 2]
    assert methods(server) == ["POST", "GET"]
    assert server.requests[1].endswith(b"\r\n\r\n")


def test_a_list_of_linked_documents_is_resumed_by_its_token(serve):
    api, server = serve(
        stac([1], method="POST", body={"token": "t"}, merge=True), b"<html>", stac([2]), stac([2])
    )
    found = api.paginate("search", BY_LINK, json={"q": "a"}, items_at="items")

    pages = found.pages()
    first = next(pages)
    with pytest.raises(httpkit.DecodeError) as caught:
        next(pages)

    assert (first.next_url, list(found.resume(first.next_token))) == (None, [2])
    assert list(found.resume(caught.value)) == [2]
    assert sent(server)[1:] == [{"q": "a", "token": "t"}] * 3


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ({"method": "DELETE"}, "has the method 'DELETE'"),
        ({"method": "POST", "body": ["t"]}, "has a body that is not an object"),
        ({"method": "POST", "body": "t"}, "has a body that is not an object"),
        ({"headers": {"Search-After": "k"}}, "needs header fields"),
    ],
    ids=["method", "array", "text", "header fields"],
)
def test_a_link_that_asks_for_more_than_is_sent_is_an_error(serve, link, text):
    api, server = serve(stac([1], **link))

    found, error = collect(api.paginate("search", BY_LINK, json={}, items_at="items"))

    assert found == [1]
    assert isinstance(error, httpkit.PaginationError)
    assert f"page 1 of search: its next link {text}" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("merge", [True, False])
def test_a_document_is_not_merged_for_another_origin(raw_server, make_response, merge):
    away = raw_server(make_response(body=b'{"items": [2]}'))
    link = {"href": f"{away.url}/search", "body": {"token": "t"}, "merge": merge}
    origin = raw_server(make_response(body=json.dumps(stac([1], **link)).encode()))

    with httpkit.Session(origin.url, retry=None, auth=httpkit.BearerAuth("session-token-1")) as api:
        pages = api.paginate("s", BY_LINK, json={"password": "secret-1"}, items_at="items")
        if merge:
            found, error = collect(pages)
            assert "another origin" in str(error)
            assert (found, away.requests) == ([1], [])
        else:
            assert list(pages) == [1, 2]
            assert sent(away) == [{"token": "t"}]
            assert b"secret-1" not in away.requests[0]
            assert b"session-token-1" not in away.requests[0]


@pytest.mark.parametrize(
    "settings", [{"method": "PUT"}, {"json": ["t"]}, {"json": "t"}], ids=["method", "list", "text"]
)
def test_an_invalid_page_link_is_refused(settings):
    with pytest.raises(httpkit.ConfigurationError):
        httpkit.PageLink("?page=2", **settings)


# Several cursors


def test_a_page_may_have_several_cursors(serve):
    pages = CursorPages("key", "key-marker", extra={"version-id-marker": "version"})
    api, server = serve(
        {"items": [1], "key": "a&b", "version": 10.50},
        {"items": [2], "key": "c", "version": None},
        {"items": [3]},
    )

    found = api.paginate("versions", pages, items_at="items", params={"prefix": "p"})

    assert list(found) == [1, 2, 3]
    assert [request.split(b" ", 2)[1].decode() for request in server.requests] == [
        "/versions?prefix=p",
        "/versions?prefix=p&key-marker=a%26b&version-id-marker=10.5",
        "/versions?prefix=p&key-marker=c",
    ]


def test_several_cursors_in_a_document_keep_their_types(serve):
    pages = CursorPages("next", "page.after", extra={"page.seen": "seen"})
    api, server = serve({"items": [1], "next": "n", "seen": [7]}, {"items": [2]})

    assert list(api.paginate("s", pages, json={"q": 1}, items_at="items")) == [1, 2]
    assert sent(server)[1] == {"q": 1, "page": {"after": "n", "seen": [7]}}


@pytest.mark.parametrize("extra", ["marker", {"": "a"}, {"marker": ""}, {"marker": 3}], ids=repr)
def test_further_cursors_are_names_and_paths(extra):
    with pytest.raises(httpkit.ConfigurationError):
        CursorPages("next", extra=extra)


@pytest.mark.parametrize(
    ("field", "total"),
    [("0-1/2", 2), ("items 0-1/2", 2), ("0-1/*", None), ("*/2", 2), ("bytes 0-1/2", 2)],
)
def test_a_total_is_read_from_content_range(raw_server, make_response, field, total):
    server = raw_server(
        make_response(body=b"[1, 2]", content_range=field), make_response(body=b"[]")
    )
    pages = OffsetPages(limit=2, total="header:Content-Range")

    with httpkit.Session(server.url, retry=None) as api:
        assert list(api.paginate("list", pages)) == [1, 2]

    assert len(server.requests) == (1 if total else 2)


@pytest.mark.parametrize(
    "pages",
    [
        LinkPages(last="last"),
        NextURLPages(last="last"),
        CursorPages("next", last="last"),
        NumberedPages(last="last"),
        OffsetPages(last="last"),
    ],
    ids=lambda pages: type(pages).__name__,
)
def test_every_pager_ends_where_last_is_true(serve, pages):
    api, server = serve({"items": [1], "last": True, "next": "?page=2"})

    assert list(api.paginate("list", pages, items_at="items")) == [1]
    assert len(server.requests) == 1


@pytest.mark.parametrize("last", ["N", "f", "no", " false ", 0], ids=repr)
def test_a_flag_may_say_no_in_many_ways(serve, last):
    api, server = serve({"items": [1], "last": last}, {"items": [2], "last": "Y"})

    assert list(api.paginate("list", NumberedPages(last="last"), items_at="items")) == [1, 2]
    assert len(server.requests) == 2


@pytest.mark.parametrize("last", ["page 3 of 9", "none", "2026-11-30", {"page": 9}], ids=repr)
def test_a_last_flag_that_is_not_a_flag_is_an_error_and_not_the_end(serve, last):
    api, _ = serve({"items": [1], "last": last})

    found, error = collect(api.paginate("list", NumberedPages(last="last"), items_at="items"))

    assert found == [1]
    assert isinstance(error, httpkit.PaginationError)
    assert "page 1 of list: at 'last' there is" in str(error)


@pytest.mark.parametrize("pages", [LinkPages(more="more"), NextURLPages(more="more")], ids=repr)
def test_more_without_a_link_is_an_error(serve, pages):
    api, _ = serve({"items": [1], "more": True})

    found, error = collect(api.paginate("list", pages, items_at="items"))

    assert found == [1]
    assert "no link to the next page" in str(error)


QUERY = "query($after: String) { films(after: $after) { nodes { id } pageInfo { endCursor } } }"


@pytest.mark.parametrize(
    ("connection", "error"),
    [
        ({"nodes": [1]}, "no hasNextPage"),
        ({"nodes": [1], "pageInfo": None}, "no hasNextPage"),
        ({"nodes": [1], "pageInfo": {"endCursor": "c"}}, "no hasNextPage"),
        ({"nodes": [1], "pageInfo": {"hasNextPage": True, "endCursor": None}}, "no endCursor"),
    ],
)
def test_a_connection_without_page_info_is_an_error_after_its_nodes(serve, connection, error):
    api, _ = serve({"data": {"films": connection}})

    found, raised = collect(api.paginate_graphql(QUERY, at="films"))

    assert found == [1]
    assert isinstance(raised, httpkit.PaginationError)
    assert error in str(raised)


BACKWARD = """
    query($at: String) {
      films(last: 1, before : $at) { nodes { id } pageInfo { %s } }
    }"""
BOTH = "hasNextPage endCursor hasPreviousPage startCursor"


def test_a_connection_with_before_is_followed_backwards(serve):
    pages = [
        {"hasPreviousPage": True, "startCursor": "c2", "hasNextPage": False, "endCursor": "c3"},
        {"hasPreviousPage": False, "startCursor": "c1", "hasNextPage": True, "endCursor": "c2"},
    ]
    bodies = [
        {"data": {"films": {"nodes": [number], "pageInfo": info}}}
        for number, info in zip((2, 1), pages, strict=True)
    ]
    api, server = serve(*bodies)

    found = list(api.paginate_graphql(BACKWARD % BOTH, at="films", cursor="at"))

    assert found == [2, 1]
    assert [request["variables"]["at"] for request in sent(server)] == [None, "c2"]


def test_a_connection_with_before_needs_the_cursor_of_its_start(serve):
    info = {"hasNextPage": False, "endCursor": "c"}
    api, _ = serve({"data": {"films": {"nodes": [1], "pageInfo": info}}})

    found, error = collect(api.paginate_graphql(BACKWARD % BOTH, at="films", cursor="at"))

    assert found == [1]
    assert "no hasPreviousPage in its pageInfo: select pageInfo { hasPreviousPage" in str(error)


@pytest.mark.parametrize(
    "query",
    [
        "query($at: String) { films(after: $at) { id } }  # or before: $at",
        'query($at: String) { films(after: $at, title: "before: $at") { id } }',
        "query($at: String) { films(after: $at, was: {before: $at}) { id } }",
    ],
    ids=["comment", "text", "filter"],
)
def test_a_connection_with_after_is_followed_forwards(serve, query):
    info = {"hasNextPage": False, "endCursor": "c", "hasPreviousPage": True, "startCursor": "a"}
    api, server = serve({"data": {"films": {"nodes": [1], "pageInfo": info}}})

    assert list(api.paginate_graphql(query, at="films", cursor="at")) == [1]
    assert len(server.requests) == 1


def test_errors_of_a_connection_are_errors(serve):
    api, _ = serve({"data": {"films": None}, "errors": [{"message": "no films"}]})

    with pytest.raises(httpkit.GraphQLError, match="no films"):
        list(api.paginate_graphql(QUERY, at="films"))


def test_a_connection_without_nodes_and_edges_is_a_decode_error(serve):
    api, _ = serve({"data": {"films": {"totalCount": 3}}})

    with pytest.raises(httpkit.DecodeError, match="neither nodes nor edges"):
        list(api.paginate_graphql(QUERY, at="films"))


def test_a_connection_is_retried_like_a_get(raw_server, make_response):
    page = {"data": {"films": {"nodes": [1], "pageInfo": {"hasNextPage": False}}}}
    server = raw_server(None, make_response(body=json.dumps(page).encode()))

    with httpkit.Session(server.url) as api:
        assert list(api.paginate_graphql(QUERY, at="films")) == [1]


def test_what_decode_cannot_read_is_a_decode_error_of_its_page(serve):
    api, _ = serve(b"<html>")

    with pytest.raises(httpkit.DecodeError, match="page 1"):
        list(api.paginate("list", decode=lambda response: int(response.text)))


def test_decoded_items_become_models(serve):
    api, _ = serve(b"id\n1\n2")

    def decode(response):
        return [{"id": int(line)} for line in response.text.split()[1:]]

    assert list(api.paginate("list", decode=decode, model=lambda row: row["id"] * 2)) == [2, 4]


def test_the_card_shows_the_url_that_is_sent(serve):
    api, server = serve([], params={"tenant": "acme", "on": True})
    found = api.paginate("list", NumberedPages(), params={"done": False})

    list(found)
    target = server.requests[0].split(b" ", 2)[1].decode()

    assert target == "/list?tenant=acme&on=true&done=false&page=1"
    assert f"{server.url}{target}".replace("&", "&amp;") in found._repr_html_()


@pytest.mark.parametrize("name", ["to_pandas", "to_polars"])
def test_nested_fields_may_be_columns(serve, name):
    api, _ = serve([{"id": 1, "owner": {"name": "Ada", "at": {"x": 1}}}, {"id": 2, "tags": []}])

    frame = getattr(api.paginate("list"), name)(flatten=True)

    assert list(frame.columns) == ["id", "owner.name", "owner.at.x", "tags"]


@pytest.mark.parametrize(
    ("pages", "last"),
    [
        (CursorPages("next", until_empty=True), {"next": "b"}),
        (CursorPages("next", until_empty=True), {"next": "c"}),
        (NextURLPages(until_empty=True), {"next": "?cursor=b"}),
        (NextURLPages(until_empty=True), {"next": "?cursor=c"}),
    ],
    ids=["same cursor", "another cursor", "same link", "another link"],
)
def test_an_empty_page_ends_a_list_that_always_names_a_next_page(serve, pages, last):
    first = {key: value[:-1] + "a" for key, value in last.items()}
    middle = {key: value[:-1] + "b" for key, value in last.items()}
    api, server = serve(
        {"items": [1], **first}, {"items": [2], **middle}, {"items": [], **last}, {"items": [3]}
    )

    found = list(api.paginate("list", pages, items_at="items"))

    assert found == [1, 2]
    assert len(server.requests) == 3


@pytest.mark.parametrize("last", [[], [3]], ids=["empty", "with an item"])
def test_without_until_empty_a_cursor_that_repeats_is_a_loop(serve, last):
    api, server = serve({"items": [1], "next": "a"}, {"items": last, "next": "a"})

    found, error = collect(api.paginate("list", CursorPages("next"), items_at="items"))

    assert found == [1, *last]
    assert "pagination loop" in str(error)
    notes = "".join(getattr(error, "__notes__", []))
    assert ("pass until_empty=True" in notes) is (last == [])
    assert len(server.requests) == 2


def test_a_server_that_keeps_the_position_is_asked_again_with_the_same_cursor(serve):
    pages = CursorPages("next", until_empty=True)
    bodies = [{"items": [number], "next": "same"} for number in (1, 2, 3)]
    api, server = serve(*bodies, {"items": [], "next": "same"})

    found = list(api.paginate("list", pages, items_at="items"))

    assert found == [1, 2, 3]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("bodies", "why"),
    [
        ([{"items": [1], "next": "a"}] * 3, "it is the page before once more"),
        (
            [{"items": [number], "next": "ab"[number % 2]} for number in range(1, 5)],
            "pagination loop",
        ),
    ],
    ids=["same page", "two cursors in turn"],
)
def test_a_loop_ends_also_where_an_empty_page_is_the_end(serve, bodies, why):
    api, server = serve(*bodies)

    found, error = collect(
        api.paginate("list", CursorPages("next", until_empty=True), items_at="items")
    )

    assert why in str(error)
    assert len(found) == len(set(found))
    assert len(server.requests) <= 3


@pytest.mark.parametrize("total", [4, 5, 6], ids=["whole pages", "short page", "three pages"])
def test_offsets_from_one_neither_lose_nor_repeat_an_item(serve, total):
    items = list(range(1, total + 1))
    bodies = [{"Resources": items[at : at + 2], "total": total} for at in range(0, total, 2)]
    api, server = serve(*bodies)
    pages = OffsetPages("startIndex", "count", start=1, limit=2, total="total")

    found = list(api.paginate("Users", pages, items_at="Resources"))

    assert found == items
    targets = [request.split(b" ", 2)[1] for request in server.requests]
    assert targets == [b"/Users?startIndex=%d&count=2" % at for at in range(1, total + 1, 2)]


def test_offsets_from_one_are_resumed_where_they_were_left(serve):
    bodies = [{"Resources": [1, 2], "total": 3}, {"Resources": [3], "total": 3}]
    api, server = serve(*bodies)
    pages = OffsetPages("startIndex", "count", start=1, limit=2, total="total")
    users = api.paginate("Users", pages, items_at="Resources")
    first = next(users.pages())

    found = list(users.resume(first.next_token))

    assert found == [3]
    assert len(server.requests) == 2


@pytest.mark.parametrize("start", [-1, 0.5, "1", True], ids=repr)
def test_an_offset_to_begin_with_is_a_whole_number(start):
    with pytest.raises(httpkit.ConfigurationError, match="start="):
        OffsetPages(start=start)


@pytest.mark.parametrize(
    "document",
    [
        {"ok": False, "error": "invalid_auth"},
        {"success": False, "message": "invalid_auth"},
        {"errors": [{"message": "invalid_auth"}], "items": None},
        {"status": "error", "message": "invalid_auth"},
        {"jsonrpc": "2.0", "id": 7, "success": False, "message": "invalid_auth"},
        {"id": 7, "ok": False, "error": "invalid_auth"},
    ],
    ids=["ok", "success", "errors", "status", "JSON-RPC", "item"],
)
def test_an_error_in_place_of_an_optional_list_is_not_an_empty_page(serve, document):
    api, _ = serve({"items": [1], "next": "c"}, document)

    found, error = collect(api.paginate("list", CursorPages("next"), items_at="items?"))

    assert found == [1]
    assert isinstance(error, httpkit.DecodeError)
    assert "page 2" in str(error)
    assert str(error).endswith("the server says: invalid_auth")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"ok": True, "error": ""},
        {"errors": [], "status": "success"},
        {"error_code": 0},
        {"errorCode": "0000", "errorMessage": "Success"},
        {"error": "None", "errors": {"count": 0}},
        {"id": 7, "status": "failed"},
        {"id": 7, "ok": False, "error": None},
    ],
    ids=repr,
)
def test_a_page_without_its_optional_list_is_empty(serve, document):
    api, _ = serve(document)

    assert list(api.paginate("list", CursorPages("next"), items_at="items?")) == []


def test_an_optional_list_beside_errors_is_read(serve):
    api, _ = serve({"items": [1], "errors": [{"message": "one shard failed"}]})

    assert list(api.paginate("list", CursorPages("next"), items_at="items?")) == [1]


def test_a_page_without_its_list_whose_rest_cannot_be_parsed_is_empty(serve):
    api, _ = serve(b'{"ok": false, "took": 1e999}')

    assert list(api.paginate("list", CursorPages("next"), items_at="items?")) == []


def test_no_variable_of_our_frames_shows_what_a_page_repeats_of_a_key(serve):
    key = "c4n4ry-k3y-0f-th3-s3ssion"
    auth = httpkit.APIKeyAuth(key, name="access_token", where="query")
    api, _ = serve({"items": [1], "next": f"?access_token={key}&page=2"}, b"<html>", auth=auth)

    _, error = collect(api.paginate("feed", NextURLPages(), items_at="items"))

    shown = [
        repr(value)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].startswith("httpkit.")
        for value in frame.f_locals.values()
    ]
    assert any(text.startswith("<RawJSON of ") for text in shown)
    assert [text for text in shown if key in text] == []
