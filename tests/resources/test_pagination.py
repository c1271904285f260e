"""A list is given whole, once, in order, or with an error that says where to go on."""

import copy
import itertools
import json
import pickle
import re
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec
import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from responses.matchers import query_param_matcher as queried
from typing_extensions import TypedDict

import httpkit
from httpkit import CursorPages, LinkPages, NextURLPages, NumberedPages, OffsetPages
from httpkit._core import documents, link_fields, models, urls
from httpkit._resources.page_context import PageContext
from httpkit.testing import Sandbox
from tests.support.interop import require

THINGS = [{"id": n, "kind": "ab"[n % 2]} for n in range(1, 26)]
ALL = list(range(1, 26))


@dataclass
class Thing:
    id: int
    kind: str = ""


class Film(msgspec.Struct):
    title: str
    year: int | None = None


@pytest.fixture(scope="module")
def running_sandbox():
    with Sandbox({"things": THINGS, "none": []}) as server:
        yield server


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def listed(raw_server):
    """Return the pages of a server that sends these responses, and the server."""
    sessions = []

    def make(*responses, pages=None, url="list", settings=None, **options):
        server = raw_server(*responses)
        session = httpkit.Session(server.url, **{"retry": None, **(settings or {})})
        sessions.append(session)
        given = (url,) if pages is None else (url, pages)
        return session.paginate(*given, **options), server

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def page(make_response):
    """Spell a page: a list of ids, or what else JSON can say."""

    def make(body, status="200 OK", **fields):
        if isinstance(body, list):
            body = [{"id": n} if isinstance(n, int) else n for n in body]
        return make_response(status, json.dumps(body).encode(), **fields)

    return make


def ids(items):
    return [item["id"] if isinstance(item, dict) else item.id for item in items]


def targets(server):
    """The request targets that a raw server received."""
    return [request.split(b" ", 2)[1].decode() for request in server.requests]


def queries(sandbox):
    return [
        {name: ",".join(v) for name, v in request.query.items()} for request in sandbox.requests
    ]


# Five ways to page, on one server


WAYS = [
    pytest.param("things", LinkPages(), None, 3, id="link"),
    pytest.param("things", NumberedPages("_page"), None, 4, id="numbered"),
    pytest.param(
        "things",
        NumberedPages("_page", total_items="header:X-Total-Count"),
        None,
        3,
        id="numbered, total items",
    ),
    pytest.param("things", OffsetPages("_offset", "_limit", limit=10), None, 4, id="offset"),
    pytest.param(
        "things",
        OffsetPages("_offset", "_limit", limit=10, total="header:X-Total-Count"),
        None,
        3,
        id="offset, total",
    ),
    pytest.param(
        "wrapped/things",
        OffsetPages("_offset", "_limit", limit=10, more="has_more"),
        "items",
        3,
        id="offset, more",
    ),
    pytest.param("wrapped/things", CursorPages("next_cursor", "_cursor"), "items", 3, id="cursor"),
    pytest.param("wrapped/things", NextURLPages("next"), "items", 3, id="next URL"),
]


@pytest.mark.parametrize(("url", "pages", "items_at", "count"), WAYS)
def test_every_item_is_given_once_and_in_order(sandbox, api, url, pages, items_at, count):
    found = api.paginate(url, pages, items_at=items_at, model=Thing, params={"_limit": 10})

    assert ids(found) == ALL
    assert len(sandbox.requests) == count


@pytest.mark.parametrize(("url", "pages", "items_at", "count"), WAYS)
def test_filters_hold_for_every_page(sandbox, api, url, pages, items_at, count):
    params = {"_limit": 10, "kind": "a"}

    found = api.paginate(url, pages, items_at=items_at, params=params)

    assert ids(found) == [n for n in ALL if n % 2 == 0]
    assert {query["kind"] for query in queries(sandbox)} == {"a"}
    assert {query["_limit"] for query in queries(sandbox)} == {"10"}


@pytest.mark.parametrize(("url", "pages", "items_at", "count"), WAYS)
def test_a_list_without_items_is_empty(api, url, pages, items_at, count):
    found = api.paginate(url.replace("things", "none"), pages, items_at=items_at)

    assert list(found) == []


@pytest.mark.parametrize(("url", "pages", "items_at", "count"), WAYS)
def test_every_page_says_where_the_next_one_is(sandbox, api, url, pages, items_at, count):
    found = api.paginate(url, pages, items_at=items_at, params={"_limit": 10, "kind": "a"})

    first = next(found.pages())
    rest = api.paginate(url, pages, items_at=items_at, params={"_limit": 10, "kind": "a"})

    assert ids(first.items) + ids(rest.resume(first.next_url)) == ids(found)


@pytest.mark.parametrize(("url", "pages", "items_at", "count"), WAYS)
def test_many_threads_may_loop_over_one_list(api, url, pages, items_at, count):
    found = api.paginate(url, pages, items_at=items_at, params={"_limit": 10})

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: ids(found), range(4)))

    assert results == [ALL] * 4


# Link fields


@pytest.mark.parametrize(
    "field",
    [
        "<?page=2>; rel=next",
        '<?page=2>; rel="next"',
        "<?page=2>;rel=next",
        "<?page=2> ; rel = next",
        '<?page=2>; REL="NEXT"',
        '<?page=2>; rel="prev next"',
        '<?page=1>; rel="first", <?page=2>; rel="next", <?page=9>; rel="last"',
        '<?page=1>; rel=prev; title="a, <b>; rel=next", <?page=2>; rel=next',
        r'<?page=2>; title="a \" b, c"; rel=next',
        "<?page=2>; title*=UTF-8''%e4; rel=next; type=\"text/html\"",
        "<?page=2>; rel=next; rel=prev",
        '<?page=2>; rel="next',
        ", ,<?page=2>; rel=next,",
        "<?page=2>; crossorigin; rel=next",
        '<?page=2>; rel="next"; anchor="/list"',
        '<?page=2>; rel="next"; results="true"; cursor="0:100:0"',
        "<list?page=2>; rel=next",
        "</list?page=2#items>; rel=next",
        "< ?page=2 >; rel=next",
    ],
)
def test_a_link_to_the_next_page_is_followed(listed, page, field):
    found, server = listed(page([1], link=field), page([2]))

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list", "/list?page=2"]


@pytest.mark.parametrize(
    "field",
    [
        "",
        "<?page=2>",
        "<?page=2>; rel=prev",
        "<?page=2>; rel=nextish",
        "<?page=2>; rel=prev; rel=next",
        '<?page=2>; title="rel=next"',
        "page=2",
        '<?page=2>; rel=next; anchor="#other"',
        '<?page=2>; rel=next; anchor="/elsewhere"',
        '<?page=2>; rel=next; anchor="http://[/"',
        '<?page=2>; rel="next"; results="false"',
    ],
)
def test_a_field_without_a_next_link_ends_the_list(listed, page, field):
    found, server = listed(page([1], link=field), page([2]))

    assert ids(found) == [1]
    assert targets(server) == ["/list"]


@pytest.mark.parametrize("field", ["?page=2; rel=next", "<?page=2; rel=next", "rel=next"])
def test_a_next_link_that_cannot_be_read_does_not_end_the_list(listed, page, field):
    found, _ = listed(page([1], link=field), page([2]))

    with pytest.raises(httpkit.PaginationError, match="no link in angle brackets") as caught:
        list(found)

    assert "page 1" in str(caught.value)


@pytest.mark.parametrize(
    "field", ["</é?page=2>; rel=next", "</é?page=2>; rel=next".encode().decode("latin-1")],
    ids=["Latin-1", "UTF-8"],
)  # fmt: skip
def test_a_link_in_any_alphabet_is_read_as_a_redirect_is(listed, page, field):
    found, server = listed(page([1], link=field), page([2]))

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/%C3%A9?page=2"


def test_a_cursor_in_a_header_field_may_be_in_any_alphabet(listed, page):
    fields = {"next": "é".encode().decode("latin-1")}
    pages = CursorPages("header:Next")
    found, server = listed(page([1], **fields), page([2]), pages=pages)

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?cursor=%C3%A9"


def test_the_next_link_may_be_in_the_second_field(listed, page):
    first = page([1], link="<?page=1>; rel=first")
    first = first.replace(b"\r\n\r\n", b"\r\nlink: <?page=2>; rel=next\r\n\r\n", 1)
    found, _ = listed(first, page([2]))

    assert ids(found) == [1, 2]


def test_another_relation_may_lead_on(listed, page):
    older = page([1], link="<?page=0>; rel=next, <?page=2>; rel=older")
    found, server = listed(older, page([2]), pages=LinkPages("older"))

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?page=2"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece", ["<", "<;", '<a>;="', "<a>; a=", '<a>; a="\\\\', ";", " ", "<a> "]
)
def test_a_hostile_link_field_costs_no_time(piece):
    assert all(
        target in {"a", ""} for target, _ in link_fields.links(piece * (200_000 // len(piece)))
    )


def test_a_link_is_relative_to_where_a_redirect_led(listed, page):
    found, server = listed(
        page([], "302 Found", location="/moved/list"),
        page([1], link="<more>; rel=next"),
        page([2]),
    )

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list", "/moved/list", "/moved/more"]


# Next URLs in the body


@pytest.mark.parametrize(
    ("pages", "body"),
    [
        (NextURLPages(), {"next": "?page=2"}),
        (NextURLPages("next"), {"next": "/list?page=2"}),
        (NextURLPages("links.next"), {"links": {"next": "?page=2"}}),
        (NextURLPages("links.next"), {"links": {"next": {"href": "?page=2", "meta": {}}}}),
        (NextURLPages("_links.next.href"), {"_links": {"next": {"href": "?page=2"}}}),
        (NextURLPages("@odata.nextLink"), {"@odata.nextLink": "?page=2"}),
        (NextURLPages("paging.next.url"), {"paging": {"next.url": "?page=2"}}),
        (NextURLPages("links.0.next"), {"links": [{"next": "?page=2"}]}),
    ],
    ids=["default", "path", "nested", "href in it", "HAL", "OData", "dots within", "in an array"],
)
def test_a_next_url_is_followed(listed, page, pages, body):
    found, server = listed(
        page({"data": [{"id": 1}], **body}), page({"data": []}), pages=pages, items_at="data"
    )

    assert ids(found) == [1]
    assert targets(server) == ["/list", "/list?page=2"]


def test_a_next_url_may_be_in_a_header_field(listed, page):
    found, _ = listed(page([1], x_next="?page=2"), page([2]), pages=NextURLPages("header:X-Next"))

    assert ids(found) == [1, 2]


@pytest.mark.parametrize(
    "body",
    [{}, {"next": None}, {"next": ""}, {"next": False}, {"next": {"href": None}}],
    ids=["missing", "null", "empty", "false", "no href"],
)
def test_no_next_url_ends_the_list(listed, page, body):
    found, server = listed(
        page({"data": [{"id": 1}], **body}), pages=NextURLPages("next"), items_at="data"
    )

    assert ids(found) == [1]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "pages",
    [NextURLPages("next"), CursorPages("meta.next"), NumberedPages(total="pages")],
    ids=["URL", "cursor", "total"],
)
def test_an_array_that_has_no_place_for_the_next_page_is_an_error_after_its_items(
    listed, page, pages
):
    found, server = listed(page([1]), pages=pages)
    got = []

    with pytest.raises(httpkit.PaginationError, match=r"page 1 of list: .*an array"):
        got.extend(ids([item]) for item in found)

    assert got == [[1]]
    assert len(server.requests) == 1


def test_an_empty_array_is_the_end_of_a_list_with_next_urls(listed, page):
    found, _ = listed(page([]), pages=NextURLPages("next"))

    assert ids(found) == []


# Cursors


def cursor_page(page, cursor, ids=(1,), **members):
    return page({"data": [{"id": n} for n in ids], "meta": {"next": cursor}, **members})


@pytest.mark.parametrize(
    ("cursor", "sent"),
    [
        ("abc", "abc"),
        ("a b&c=d/é+==", "a+b%26c%3Dd%2F%C3%A9%2B%3D%3D"),
        (12345678901234567890123, "12345678901234567890123"),
        (-1, "-1"),
    ],
    ids=["text", "odd text", "long number", "negative"],
)
def test_a_cursor_is_sent_as_it_came(listed, page, cursor, sent):
    found, server = listed(
        cursor_page(page, cursor),
        cursor_page(page, None, [2]),
        pages=CursorPages(cursor="meta.next", param="after"),
        items_at="data",
    )

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list", f"/list?after={sent}"]


def test_a_fraction_is_sent_with_the_digits_it_came_with(listed, make_response):
    first = make_response(body=b'{"data": [], "next": 1700000000.10}')
    found, server = listed(
        first, make_response(body=b'{"data": []}'), pages=CursorPages("next"), items_at="data"
    )

    assert list(found) == []
    assert targets(server)[1] == "/list?cursor=1700000000.10"


@pytest.mark.parametrize("cursor", [None, "", 0, "0", False, "false"], ids=repr)
def test_no_cursor_ends_the_list(listed, page, cursor):
    found, server = listed(
        cursor_page(page, cursor), pages=CursorPages("meta.next"), items_at="data"
    )

    assert ids(found) == [1]
    assert len(server.requests) == 1


def test_a_missing_cursor_ends_the_list(listed, page):
    found, _ = listed(page({"data": [{"id": 1}]}), pages=CursorPages("meta.next"), items_at="data")

    assert ids(found) == [1]


def test_the_last_items_id_may_be_the_cursor(listed, page):
    found, server = listed(
        page({"data": [{"id": 1}, {"id": 7}], "has_more": True}),
        page({"data": [{"id": 9}], "has_more": False}),
        pages=CursorPages("data.-1.id", "starting_after", more="has_more"),
        items_at="data",
    )

    assert ids(found) == [1, 7, 9]
    assert targets(server)[1] == "/list?starting_after=7"


def test_without_a_last_item_there_is_no_cursor(listed, page):
    found, server = listed(
        page({"data": [{"id": 7}]}),
        page({"data": []}),
        pages=CursorPages("data.-1.id"),
        items_at="data",
    )

    assert ids(found) == [7]
    assert len(server.requests) == 2


def test_a_cursor_may_be_in_a_header_field(listed, page):
    found, server = listed(
        page([1], x_next_cursor="abc"),
        page([2], x_next_cursor=""),
        pages=CursorPages("header:X-Next-Cursor"),
    )

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?cursor=abc"


@pytest.mark.parametrize("more", [False, "false", 0, "no"], ids=repr)
def test_no_more_ends_the_list_whatever_the_cursor(listed, page, more):
    found, server = listed(
        cursor_page(page, "abc", more=more),
        pages=CursorPages("meta.next", more="more"),
        items_at="data",
    )

    assert ids(found) == [1]
    assert len(server.requests) == 1


def test_more_without_a_cursor_is_an_error_and_not_the_end(listed, page):
    found, _ = listed(
        cursor_page(page, None, more=True),
        pages=CursorPages("meta.next", more="more"),
        items_at="data",
    )
    got = []

    with pytest.raises(
        httpkit.PaginationError, match=r"page 1 of list: .*'more' but no .*'meta\.next'"
    ):
        got.extend(ids([item]) for item in found)

    assert got == [[1]]


@pytest.mark.parametrize("cursor", [{"a": 1}, {}, ["c"], [], True], ids=repr)
def test_what_is_not_a_cursor_is_an_error(listed, page, cursor):
    found, _ = listed(cursor_page(page, cursor), pages=CursorPages("meta.next"), items_at="data")

    with pytest.raises(httpkit.PaginationError, match=r"page 1 of list: at 'meta\.next'"):
        list(found)


@pytest.mark.parametrize("cursor", [{}, [], True], ids=repr)
def test_what_is_not_a_cursor_for_a_document_is_an_error(listed, page, cursor):
    found, _ = listed(
        cursor_page(page, cursor), pages=CursorPages("meta.next"), items_at="data", json={}
    )

    with pytest.raises(httpkit.PaginationError, match=r"page 1 of list: at 'meta\.next'"):
        list(found)


def test_a_cursor_replaces_the_one_before(sandbox, api):
    pages = CursorPages("next_cursor", "_cursor")

    list(api.paginate("wrapped/things", pages, items_at="items", params={"_limit": 10}))

    assert [len(request.query.get("_cursor", [])) for request in sandbox.requests] == [0, 1, 1]


# Numbers


def test_pages_are_counted_from_the_start(listed, page):
    found, server = listed(page([1]), page([2]), page([]), pages=NumberedPages(start=0))

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list?page=0", "/list?page=1", "/list?page=2"]


@pytest.mark.parametrize("start", [0, 1, 5])
@pytest.mark.parametrize("total", [2, "2"], ids=["number", "text"])
def test_the_number_of_pages_ends_the_list(listed, page, start, total):
    found, server = listed(
        *(page({"data": [{"id": n}], "meta": {"pages": total}}) for n in (1, 2)),
        pages=NumberedPages(start=start, total="meta.pages"),
        items_at="data",
    )

    assert ids(found) == [1, 2]
    assert targets(server) == [f"/list?page={start}", f"/list?page={start + 1}"]


def test_an_empty_page_is_not_the_last_when_there_are_more(listed, page):
    found, _ = listed(
        *(page(items, x_pages="3") for items in ([1], [], [3])),
        pages=NumberedPages(total="header:X-Pages"),
    )

    assert ids(found) == [1, 3]


@pytest.mark.parametrize("pages", [NumberedPages(more="more"), OffsetPages(more="more")], ids=repr)
def test_an_empty_page_is_not_the_last_when_it_says_so(listed, page, pages):
    found, _ = listed(
        page({"data": [{"id": 1}], "more": True}),
        page({"data": [], "more": True}),
        page({"data": [], "more": True}),
        page({"data": [{"id": 3}], "more": False}),
        pages=pages,
        items_at="data",
    )

    assert ids(found) == [1, 3]


@pytest.mark.parametrize(
    "pages",
    [
        NumberedPages(total="n"),
        NumberedPages(total_items="n"),
        NumberedPages(more="n"),
        OffsetPages(total="n"),
        OffsetPages(more="n"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("body", [{}, {"n": None}], ids=["missing", "null"])
def test_where_the_server_does_not_say_an_empty_page_ends_the_list(listed, page, pages, body):
    found, server = listed(
        *(page({"data": [{"id": n} for n in some], **body}) for some in ([1], [2], [])),
        pages=pages,
        items_at="data",
    )

    assert ids(found) == [1, 2]
    assert len(server.requests) == 3


def test_a_short_page_is_not_taken_for_the_last(listed, page):
    found, _ = listed(page([1, 2, 3]), page([4]), page([5, 6]), page([]), pages=NumberedPages())

    assert ids(found) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "total",
    [1.5, "many", [3], {"value": 3}, True, "9" * 5000],
    ids=["fraction", "word", "list", "object", "true", "endless"],
)
@pytest.mark.parametrize(
    "pages", [NumberedPages(total="n"), NumberedPages(total_items="n"), OffsetPages(total="n")]
)
def test_a_total_that_is_not_a_number_is_an_error(listed, page, pages, total):
    found, _ = listed(page({"data": [{"id": 1}], "n": total}), pages=pages, items_at="data")

    with pytest.raises(httpkit.PaginationError, match="page 1 of list: at 'n'"):
        list(found)


@pytest.mark.parametrize("total", [-1, -1.0, False, "-1", "", None], ids=repr)
@pytest.mark.parametrize(
    "pages", [NumberedPages(total="n"), NumberedPages(total_items="n"), OffsetPages(total="n")]
)
def test_a_total_that_the_server_does_not_know_ends_nothing(listed, page, pages, total):
    bodies = [{"data": data, "n": total} for data in ([{"id": 1}], [{"id": 2}], [])]
    found, _ = listed(*map(page, bodies), pages=pages, items_at="data")

    assert ids(found) == [1, 2]


@pytest.mark.parametrize("total", [2.0, "2", "2.000"], ids=repr)
def test_a_whole_number_counts_however_it_is_written(listed, page, total):
    bodies = [{"data": [{"id": n}], "n": total} for n in (1, 2)]
    pages = NumberedPages(total="n")
    found, server = listed(*map(page, bodies), pages=pages, items_at="data")

    assert ids(found) == [1, 2]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "pages", [NumberedPages(is_counting=False), OffsetPages(is_counting=False)], ids=repr
)
def test_pages_may_be_equal_where_that_is_said(listed, page, pages):
    found, _ = listed(page([1]), page([1]), page([]), pages=pages)

    assert ids(found) == [1, 1]


@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages()], ids=repr)
def test_a_server_that_does_not_count_along_is_an_error_and_gives_no_item_twice(
    listed, page, pages
):
    found, _ = listed(page([1, 2]), pages=pages)
    got = []

    with pytest.raises(httpkit.PaginationError, match=r"page 2 of list: .*takes no notice of"):
        got.extend(item["id"] for item in found)

    assert got == [1, 2]


def test_a_page_that_only_counts_along_is_noticed_too(listed, page):
    responses = [page({"page": n, "data": [{"id": 1}]}) for n in (1, 2)]
    found, _ = listed(*responses, pages=NumberedPages(), items_at="data")

    with pytest.raises(httpkit.PaginationError, match="once more"):
        list(found)


@pytest.mark.parametrize(
    "pages", [NumberedPages(end_status=404), OffsetPages(end_status=404)], ids=repr
)
def test_a_status_may_be_the_end(listed, page, pages):
    found, _ = listed(page([1]), page({}, "404 Not Found"), pages=pages)

    assert ids(found) == [1]


def test_the_status_of_the_end_is_an_error_on_the_first_page(listed, page):
    found, _ = listed(page({}, "404 Not Found"), pages=NumberedPages(end_status=404))

    with pytest.raises(httpkit.NotFoundError):
        list(found)


@pytest.mark.parametrize(
    "pages", [NumberedPages(end_status=404), OffsetPages(limit=1, end_status=404)], ids=repr
)
def test_the_end_status_ends_a_resumed_list(listed, page, pages):
    found, _ = listed(page([1]), page({}, "404 Not Found"), pages=pages)
    (last,) = found.pages()

    assert list(found.resume(last.next_url)) == []


def test_resuming_at_the_first_page_raises_its_error_again(listed, page):
    found, _ = listed(
        page({}, "404 Not Found"), pages=NumberedPages(end_status=404), params={"q": "a"}
    )
    with pytest.raises(httpkit.NotFoundError) as caught:
        list(found)

    with pytest.raises(httpkit.NotFoundError):
        list(found.resume(caught.value))


def counted(page):
    """Ten items, three a page, and 404 beyond them, as Django REST framework has it."""
    data = [list(range(10))[start : start + 3] for start in range(0, 10, 3)]
    pages = [page({"count": 10, "results": [{"id": n} for n in part]}) for part in data]
    return [*pages, page({}, "404 Not Found")]


def test_a_total_of_items_ends_a_list_without_asking_further(listed, page):
    pages = NumberedPages(total_items="count")
    found, server = listed(*counted(page), pages=pages, items_at="results")

    assert ids(found) == list(range(10))
    assert len(server.requests) == 4


@pytest.mark.parametrize("first", [2, 3, 4])
def test_a_list_with_a_total_of_items_may_begin_anywhere(listed, page, first):
    pages = NumberedPages(total_items="count")
    responses = counted(page)[first - 1 :]

    begun, _ = listed(*responses, pages=pages, items_at="results", params={"page": first})
    resumed, _ = listed(*responses, pages=pages, items_at="results")

    beyond = list(range(10))[3 * (first - 1) :]
    assert ids(begun) == ids(resumed.resume(f"list?page={first}")) == beyond


@pytest.mark.parametrize("first", [1, 3], ids=["from the start", "from within"])
def test_a_page_that_is_missing_is_not_the_end_at_once(listed, page, first):
    pages = NumberedPages(total_items="count")
    found, _ = listed(page({}, "404 Not Found"), pages=pages, items_at="results")

    with pytest.raises(httpkit.NotFoundError):
        list(found.resume(f"list?page={first}"))


@pytest.mark.parametrize(
    "pages", [NumberedPages(total="n"), NumberedPages(total="n", total_items="count")], ids=repr
)
def test_a_404_is_an_error_where_the_number_of_pages_is_known(listed, page, pages):
    responses = [page({"n": 9, "data": [{"id": 1}]}), page({}, "404 Not Found")]
    found, _ = listed(*responses, pages=pages, items_at="data")

    with pytest.raises(httpkit.NotFoundError):
        list(found.resume("list?page=3"))


def test_an_error_is_an_error_unless_said_otherwise(listed, page):
    found, _ = listed(page([1]), page({}, "404 Not Found"), pages=NumberedPages())

    with pytest.raises(httpkit.NotFoundError):
        list(found)


# Offsets


def test_a_server_that_gives_fewer_items_than_the_limit_loses_none(listed, page):
    found, server = listed(
        page([1, 2]), page([3, 4]), page([5]), page([]), pages=OffsetPages(limit=100)
    )

    assert ids(found) == [1, 2, 3, 4, 5]
    assert targets(server) == [f"/list?offset={n}&limit=100" for n in (0, 2, 4, 5)]


def test_an_empty_page_within_the_total_is_passed_over(listed, page):
    found, server = listed(
        *(page(items, x_total="5") for items in ([1, 2], [], [5])),
        pages=OffsetPages(limit=2, total="header:X-Total"),
    )

    assert ids(found) == [1, 2, 5]
    assert targets(server) == [f"/list?offset={n}&limit=2" for n in (0, 2, 4)]


def test_no_limit_is_sent_without_a_name_for_it(listed, page):
    found, server = listed(page([1]), page([]), pages=OffsetPages("skip", None))

    assert ids(found) == [1]
    assert targets(server) == ["/list?skip=0", "/list?skip=1"]


# Where it begins


@pytest.mark.parametrize(
    ("url", "params", "pages", "first"),
    [
        ("list", {"page": 5}, NumberedPages(), "page=5"),
        ("list", {"page": "5"}, NumberedPages(), "page=5"),
        ("list", [("page", 5)], NumberedPages(), "page=5"),
        ("list", "page=5", NumberedPages(), "page=5"),
        ("list?page=5", None, NumberedPages(), "page=5"),
        ("list?page=5#top", {"q": "a"}, NumberedPages(), "q=a&page=5"),
        ("list?q=a#top", "r=1", NumberedPages(), "q=a&r=1&page=1"),
        ("list", {"offset": 20, "limit": 5}, OffsetPages(), "offset=20&limit=5"),
        ("list", {"cursor": "abc"}, CursorPages("next"), "cursor=abc"),
        ("list?q=a%2Cb", {"r": 1}, NumberedPages(), "q=a%2Cb&r=1&page=1"),
        ("list", "q=a,b", NumberedPages(), "q=a,b&page=1"),
        ("list", b"q=a,b", NumberedPages(), "q=a,b&page=1"),
        ("list", {"q": ["a", "b"]}, NumberedPages(), "q=a&q=b&page=1"),
        ("list", [("q", "a"), ("q", "b")], NumberedPages(), "q=a&q=b&page=1"),
        ("list", {"q": True, "r": None}, NumberedPages(), "q=true&page=1"),
        ("list", iter([(b"q", iter("ab"))]), NumberedPages(), "q=a&q=b&page=1"),
    ],
)
def test_the_call_says_where_to_begin(listed, page, url, params, pages, first):
    found, server = listed(page([]), pages=pages, url=url, params=params)

    assert list(found) == []
    assert list(found) == []
    assert targets(server) == [f"/list?{first}"] * 2


@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages("page", "size")], ids=repr)
def test_the_sessions_own_page_does_not_hold_the_list_back(listed, page, pages):
    found, server = listed(
        page([1]),
        page([2]),
        page([]),
        pages=pages,
        settings={"params": {"page": 7, "size": 3, "tenant": "x"}},
    )

    assert ids(found) == [1, 2]
    queries = [parse_qsl(urlsplit(target).query) for target in targets(server)]
    assert [len([v for name, v in query if name == "page"]) for query in queries] == [1, 1, 1]
    assert len({dict(query)["page"] for query in queries}) == 3
    assert {dict(query)["tenant"] for query in queries} == {"x"}


@pytest.mark.parametrize("page_number", ["x", -1, 1.5, "", "1" * 40], ids=repr)
@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages("page")], ids=repr)
def test_a_first_page_that_is_not_a_number_is_refused_before_anything_is_sent(
    sandbox, api, pages, page_number
):
    with pytest.raises(httpkit.ConfigurationError, match="page="):
        list(api.paginate("things", pages, params={"page": page_number}))

    assert sandbox.requests == []


# Filters and next URLs


def test_a_next_link_is_followed_as_it_is(listed, page):
    found, server = listed(
        page([1], link="<?$skip=2>; rel=next"),
        page([2]),
        params={"$skip": 0, "$filter": "a eq 1", "q": ["a", "b"]},
        settings={"params": {"tenant": "x", "api_key": "secret-key-1"}},
    )

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?$skip=2&api_key=secret-key-1"


KEEP = LinkPages(keep_params=True)


def test_a_filter_that_a_next_link_forgets_can_be_kept(listed, page):
    found, server = listed(
        page([1], link="<?page=2>; rel=next"),
        page([2]),
        pages=KEEP,
        params={"q": ["a", "b"], "r": 1},
    )

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list?q=a&q=b&r=1", "/list?page=2&q=a&q=b&r=1"]


def test_a_filter_that_a_next_link_names_is_not_said_twice(listed, page):
    found, server = listed(
        page([1], link="<?q=other&page=2>; rel=next"),
        page([2]),
        pages=KEEP,
        params={"q": "a"},
        settings={"params": {"page": 1, "tenant": "x"}},
    )

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list?page=1&tenant=x&q=a", "/list?q=other&page=2&tenant=x"]


def test_a_filter_that_a_next_link_empties_stays_empty(listed, page):
    found, server = listed(
        page([1], link="<?page=2&q=>; rel=next"), page([2]), pages=KEEP, params={"q": "a"}
    )

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?page=2&q="


def test_a_filter_in_the_url_is_kept_too(listed, page):
    found, server = listed(
        page([1], link="<?page=2>; rel=next"),
        page([2]),
        pages=KEEP,
        url="list?q=a%20b",
        params="r=1",
    )

    assert ids(found) == [1, 2]
    assert targets(server)[1] == "/list?page=2&q=a+b&r=1"


@pytest.mark.parametrize(
    "pages", [LinkPages(keep_params=False), NextURLPages("header:X", keep_params=False)], ids=repr
)
def test_a_next_url_can_be_left_as_it_is(listed, page, pages):
    first = page([1], link="<?page_info=2>; rel=next", x="?page_info=2")
    found, server = listed(first, page([2]), pages=pages, params={"status": "open"})

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list?status=open", "/list?page_info=2"]


def test_placeholders_are_filled_on_every_page(listed, page):
    found, server = listed(
        page([1]), page([]), pages=NumberedPages(), url="of/{id}", path={"id": "a/b{c}"}
    )

    assert ids(found) == [1]
    assert targets(server) == [f"/of/a%2Fb%7Bc%7D?page={n}" for n in (1, 2)]


def test_options_hold_for_every_page(listed, page):
    found, server = listed(
        page([1], link="<?page=2>; rel=next"),
        page([2]),
        headers={"X-Tenant": "acme"},
        auth=("user", "tenant-password-1"),
        cookies={"sid": "cookie-1"},
    )

    assert ids(found) == [1, 2]
    for request in server.requests:
        assert b"X-Tenant: acme\r\n" in request
        assert b"Authorization: Basic" in request
        assert b"Cookie: sid=cookie-1\r\n" in request


# Circles and endless lists


@pytest.mark.parametrize(
    ("links", "count"),
    [
        (["<?page=2>; rel=next"], 2),
        (["<?page=2>; rel=next", "<?page=3>; rel=next", "<?page=2>; rel=next"], 3),
        (["<>; rel=next"], 1),
        (["<list>; rel=next"], 1),
        (["<?a=1&b=2>; rel=next", "<?b=2&a=1>; rel=next"], 2),
    ],
    ids=["itself", "two before", "nothing but rel", "the first", "in another order"],
)
def test_a_pagination_loop_is_an_error_after_the_items(listed, page, links, count):
    responses = [page([n], link=link) for n, link in enumerate(links, 1)]
    found, server = listed(*responses)
    got = []

    with pytest.raises(httpkit.PaginationError, match=f"page {count} of list: .*pagination loop"):
        got.extend(item["id"] for item in found)

    assert len(got) == len(server.requests) == count


def test_a_link_back_to_the_filtered_first_page_is_a_loop(listed, page):
    found, server = listed(page([1], link="<?q=a>; rel=next"), params={"q": "a"})

    with pytest.raises(httpkit.PaginationError, match="pagination loop"):
        list(found)

    assert len(server.requests) == 1


def test_a_cursor_that_comes_again_is_an_error(listed, page):
    found, server = listed(cursor_page(page, "a"), pages=CursorPages("meta.next"), items_at="data")

    with pytest.raises(httpkit.PaginationError, match=r"page 2 of list: .*pagination loop"):
        list(found)

    assert len(server.requests) == 2


def test_empty_pages_are_passed_over(listed, page, make_response):
    found, _ = listed(
        page([], link="<?page=2>; rel=next"),
        make_response("204 No Content", link="<?page=3>; rel=next"),
        page([3]),
    )

    assert ids(found) == [3]


@responses.activate
def test_endless_empty_pages_are_an_error():
    count = itertools.count(2)
    bodies = itertools.chain(['[{"id": 1}]'] * 5, itertools.repeat("[]"))
    responses.add_callback(
        responses.GET,
        re.compile("https://h/list"),
        lambda _: (200, {"Link": f"<?page={next(count)}>; rel=next"}, next(bodies)),
    )

    with (
        httpkit.Session("https://h") as api,
        pytest.raises(
            httpkit.PaginationError, match="page 1005 of list: it is empty, as are 999 before it"
        ),
    ):
        list(api.paginate("list"))


# Where a link may lead


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("file:///etc/passwd", "'file' URL"),
        ("javascript:alert(1)", "'javascript' URL"),
        ("data:application/json,[]", "'data' URL"),
        ("ftp://127.0.0.1/list", "'ftp' URL"),
        ("http://user:pass-word-1@127.0.0.1/", "user name"),
        ("http:///list", "host"),
        ("http://127.0.0.1:x/", "parsed"),
        ("http://[::1/", "parsed"),
    ],
)
@pytest.mark.parametrize(
    "pages", [LinkPages(), NextURLPages("header:X-Next")], ids=["link", "next URL"]
)
def test_a_link_that_must_not_be_followed_is_an_error_after_the_items(
    listed, page, pages, target, why
):
    found, server = listed(page([1], link=f"<{target}>; rel=next", x_next=target), pages=pages)
    got = []

    with pytest.raises(httpkit.PaginationError, match=why) as caught:
        got.extend(item["id"] for item in found)

    assert got == [1]
    assert len(server.requests) == 1
    assert "pass-word-1" not in str(caught.value)
    assert caught.value.response.status_code == 200


@responses.activate
@pytest.mark.parametrize("host", ["h", "other"])
def test_a_link_from_https_to_http_is_an_error_that_leaves_a_way_on(host):
    fields = {"Link": f"<http://{host}/list?page=2>; rel=next"}
    responses.get("https://h/list", json=[{"id": 1}], headers=fields, match=[queried({})])
    responses.get("https://h/list", json=[{"id": 2}], match=[queried({"page": "2"})])

    with httpkit.Session("https://h") as api:
        found = api.paginate("list")
        with pytest.raises(httpkit.PaginationError, match="from https to http") as caught:
            list(found)
        there = caught.value.next_url.replace(f"http://{host}", "https://h")
        rest = ids(found.resume(there))

    assert caught.value.next_url == f"http://{host}/list?page=2"
    assert caught.value.list_url == "https://h/list"
    assert rest == [2]


SECRETS = {
    "auth": httpkit.BearerAuth("session-token-1"),
    "headers": {"X-Team-Key": "session-key-1"},
    "params": {"tenant": "session-tenant-1"},
    "cookies": {"sid": "session-cookie-1"},
}
CALLS = {
    "headers": {"X-Call": "call-header-1", "Accept": "application/x"},
    "cookies": {"call": "call-cookie-1"},
    "params": {"q": "call-filter-1"},
}


def secrets_in(request):
    return re.findall(rb"(?:session|call)-(?:token|key|tenant|cookie|header|filter)-1", request)


@pytest.mark.parametrize(
    "settings",
    [{}, {"strict": False}, {"base_url": None}, {"base_url": None, "strict": False}],
    ids=["base URL", "not strict", "no base URL", "neither"],
)
def test_a_link_to_another_origin_is_followed_without_credentials(raw_server, page, settings):
    away = raw_server(page([2], link="</list?page=3>; rel=next"), page([3]))
    origin = raw_server(page([1], link=f"<{away.url}/list?page=2>; rel=next"))
    given = {"base_url": origin.url, "retry": None, **SECRETS, **settings}

    with httpkit.Session(**given) as api:
        found = ids(api.paginate(f"{origin.url}/list", **CALLS))

    assert found == [1, 2, 3]
    assert len(secrets_in(origin.requests[0])) == 7
    assert targets(away) == ["/list?page=2", "/list?page=3"]
    assert [secrets_in(request) for request in away.requests] == [[], []]
    assert all(b"Accept: application/x\r\n" in request for request in away.requests)


def test_the_credentials_of_a_call_stay_at_the_origin_it_is_pointed_to(raw_server, page):
    third = raw_server(page([3]))
    other = raw_server(
        page([1], link="</list?page=2>; rel=next"), page([2], link=f"<{third.url}/>; rel=next")
    )

    with httpkit.Session("http://127.0.0.1:9", retry=None, **SECRETS) as api:
        found = ids(api.paginate(f"{other.url}/list", auth=("u", "call-key-1"), **CALLS))

    assert found == [1, 2, 3]
    for request in other.requests:
        assert b"Basic" in request
        assert b"call-header-1" in request
        assert b"session" not in request
    assert secrets_in(third.requests[0]) == []
    assert b"Authorization" not in third.requests[0]


def test_credentials_are_not_sent_again_when_a_list_returns(raw_server, page):
    away = raw_server(lambda c: c.sendall(page([2], link=f"<{origin.url}/back>; rel=next")))
    origin = raw_server(page([1], link=f"<{away.url}/list>; rel=next"), page([3]))

    with httpkit.Session(origin.url, retry=None, **SECRETS) as api:
        found = ids(api.paginate("list"))

    assert found == [1, 2, 3]
    assert secrets_in(origin.requests[0])
    assert secrets_in(origin.requests[1]) == []


def test_a_page_of_another_origin_by_redirect_ends_credentials(raw_server, page):
    away = raw_server(lambda c: c.sendall(page([1], link=f"<{origin.url}/back>; rel=next")))
    origin = raw_server(page([], "302 Found", location=f"{away.url}/list"), page([2]))

    with httpkit.Session(origin.url, retry=None, **SECRETS) as api:
        found = ids(api.paginate("list"))

    assert found == [1, 2]
    assert secrets_in(origin.requests[1]) == []


def test_a_trusted_origin_gets_the_credentials(raw_server, page):
    away = raw_server(page([2]))
    origin = raw_server(page([1], link=f"<{away.url}/list>; rel=next"))

    with httpkit.Session(origin.url, trusted_origins=[away.url], **SECRETS) as api:
        found = ids(api.paginate("list", KEEP, **CALLS))

    assert found == [1, 2]
    assert len(secrets_in(away.requests[0])) == 7


def test_a_trusted_origin_gets_none_from_a_list_that_comes_from_elsewhere(raw_server, page):
    trusted = raw_server(page([3]))
    away = raw_server(page([2], link=f"<{trusted.url}/list>; rel=next"))
    origin = raw_server(page([1], link=f"<{away.url}/list>; rel=next"))

    with httpkit.Session(origin.url, trusted_origins=[trusted.url], **SECRETS) as api:
        found = ids(api.paginate("list", **CALLS))

    assert found == [1, 2, 3]
    assert secrets_in(trusted.requests[0]) == []


def test_a_401_elsewhere_says_that_the_credentials_were_withheld(raw_server, page, make_response):
    away = raw_server(make_response("401 Unauthorized"))
    origin = raw_server(page([1], link=f"<{away.url}/list>; rel=next"))

    with (
        httpkit.Session(origin.url, retry=None, **SECRETS) as api,
        pytest.raises(httpkit.UnauthorizedError, match="withheld"),
    ):
        list(api.paginate("list"))


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"auth": httpkit.APIKeyAuth("secret-key-1", "api_key", where="query")}, {}),
        ({"params": {"api_key": "secret-key-1"}}, {}),
        ({}, {"params": {"api_key": "secret-key-1"}}),
    ],
    ids=["auth", "session's params", "call's params"],
)
def test_a_key_that_a_server_repeats_in_its_links_goes_no_further(
    raw_server, page, settings, options
):
    away = raw_server(page([3]))
    repeated = "?api_key=secret-key-1&pageToken=p2"
    origin = raw_server(
        page([1], link=f"<{repeated}>; rel=next"),
        page([2], link=f"<{away.url}/{repeated}>; rel=next"),
    )

    with httpkit.Session(origin.url, retry=None, **settings) as api:
        pages = list(api.paginate("list", **options).pages())

    assert [ids(page.items) for page in pages] == [[1], [2], [3]]
    assert origin.requests[1].count(b"secret-key-1") == 1
    assert targets(away) == ["/?pageToken=p2"]
    assert not any("secret-key-1" in (page.next_url or "") for page in pages)


@pytest.mark.parametrize("name", ["appid", "subscription-key", "k"])
@pytest.mark.parametrize("key", ["c4n4ry-k3y", "k3y"], ids=["long", "short"])
def test_a_signature_of_any_name_that_a_server_repeats_goes_no_further(raw_server, page, name, key):
    away = raw_server(page([2]))
    query = f"?{name}={key}&v=1&q=a&page=2"
    origin = raw_server(page([1], link=f"<{away.url}/more{query}>; rel=next"))
    auth = httpkit.APIKeyAuth(key, name, "query")

    with httpkit.Session(origin.url, retry=None, auth=auth, params={"v": 1}) as api:
        pages = list(api.paginate("list", params={"q": ["a"]}).pages())

    assert f"{name}={key}".encode() in origin.requests[0]
    assert targets(away) == ["/more?v=1&q=a&page=2"]
    assert pages[0].next_url == f"{away.url}/more?v=1&q=a&page=2"


@pytest.mark.parametrize(
    ("url", "options"),
    [("list?api_key=secret-key-1", {}), ("list", {"params": {"api_key": "secret-key-1"}})],
    ids=["URL", "params"],
)
@pytest.mark.parametrize("keep_params", [True, False])
@pytest.mark.parametrize("query", ["?page=2&api_key=secret-key-1", "?page=2"])
def test_a_key_of_the_call_goes_with_pages_of_its_origin_only(
    raw_server, page, url, options, keep_params, query
):
    away = raw_server(page([3]))
    there = f"{away.url}/{query}"
    origin = raw_server(
        page([1], link=f"<{query}>; rel=next"), page([2], link=f"<{there}>; rel=next")
    )

    with httpkit.Session(origin.url, retry=None) as api:
        found = api.paginate(url, LinkPages(keep_params=keep_params), **options)
        pages = list(found.pages())

    assert [ids(page.items) for page in pages] == [[1], [2], [3]]
    assert targets(origin)[1] == "/list?page=2&api_key=secret-key-1"
    assert targets(away) == ["/?page=2"]
    assert pages[0].next_url == f"{origin.url}/list?page=2"


def test_a_key_that_the_server_put_into_its_links_stays_there(listed, page):
    found, server = listed(
        page([1], link="<?page=2&sig=abc>; rel=next"),
        page([2], link="<?page=3&sig=abc>; rel=next"),
        page([3]),
    )

    second = next(found.pages()).next_url
    rest = ids(found.resume(second))

    assert rest == [2, 3]
    assert targets(server)[1:] == ["/list?page=2&sig=abc", "/list?page=3&sig=abc"]


def test_an_error_holds_no_key_and_resumes_the_list(listed, page):
    found, server = listed(
        page([1]), None, page([2]), page([]), pages=NumberedPages(), url="list?api_key=secret-key-1"
    )

    with pytest.raises(requests.ConnectionError) as caught:
        list(found)
    pickled = pickle.dumps(caught.value)

    assert b"secret-key-1" not in pickled
    assert ids(found.resume(pickle.loads(pickled))) == [2]
    assert targets(server)[2:] == [f"/list?api_key=secret-key-1&page={n}" for n in (2, 3)]


# When a page fails


def test_a_failing_page_is_named_and_resumed(listed, page):
    found, server = listed(
        page([1], link="<?page=2>; rel=next"),
        page({}, "500 Oops"),
        page([2], link="<?page=3>; rel=next"),
        page([3]),
        params={"q": "a"},
    )
    got = []

    with pytest.raises(httpkit.InternalServerError) as caught:
        got.extend(item["id"] for item in found)
    rest = ids(found.resume(caught.value))

    assert (got, rest) == ([1], [2, 3])
    assert caught.value.__notes__ == ["page 2 of list: Pages.resume(error) goes on with it"]
    assert targets(server)[1:] == ["/list?page=2"] * 2 + ["/list?page=3"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (None, requests.ConnectionError),
        (
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 99\r\n\r\n[",
            requests.ConnectionError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>",
            httpkit.DecodeError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\n{1}",
            httpkit.DecodeError,
        ),
        (
            b"HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: file:///x\r\n\r\n",
            httpkit.RedirectError,
        ),
        (b"HTTP/1.1 302 Found\r\nconnection: close\r\n\r\n", httpkit.RedirectError),
        (b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n", httpkit.DecodeError),
    ],
    ids=["hung up", "cut", "html", "not JSON", "bad redirect", "no Location", "304"],
)
def test_a_list_is_resumed_after_any_error(listed, page, bad, error):
    found, _ = listed(
        page([1]), bad, page([2]), page([]), pages=NumberedPages(), settings={"retry": None}
    )

    with pytest.raises(requests.RequestException) as caught:
        list(found)
    rest = ids(found.resume(pickle.loads(pickle.dumps(caught.value))))

    assert isinstance(caught.value, (error, requests.exceptions.ChunkedEncodingError))
    assert any("page 2 of list" in note for note in caught.value.__notes__)
    assert rest == [2]


def test_the_callers_own_error_is_marked_too(listed, page):
    class OutOfOrder(Exception):  # noqa: N818  # as the documentation names it
        pass

    found, _ = listed(
        page([1]),
        page({}, "500 Oops"),
        page([2]),
        page([]),
        pages=NumberedPages(),
        settings={"on_status": {"5xx": OutOfOrder}},
    )

    with pytest.raises(OutOfOrder) as caught:
        list(found)

    assert ids(found.resume(caught.value)) == [2]


def test_an_error_of_the_callers_own_loop_says_nothing_of_pages(sandbox, api):
    found = api.paginate("things")

    with pytest.raises(ZeroDivisionError) as caught:
        [1 / 0 for _ in found]

    with pytest.raises(httpkit.ConfigurationError, match="ZeroDivisionError names no page"):
        found.resume(caught.value)


def test_a_list_does_not_go_on_with_the_page_of_another_list(listed, page):
    users, _ = listed(page([1], link="<?page=2>; rel=next"), page([2]), url="users")
    posts, _ = listed(page({}, "500 Oops"), url="users/1/posts", params={"api_key": "s3cret-k3y"})
    with pytest.raises(httpkit.InternalServerError) as caught:
        [list(posts) for _ in users]

    with pytest.raises(httpkit.ConfigurationError, match="is about a page of") as refused:
        users.resume(caught.value)

    assert "s3cret-k3y" not in f"{refused.value} {caught.value.list_url}"


@pytest.mark.parametrize(
    ("pages", "own"), [(LinkPages(), {}), (NumberedPages(), {"page": 1})], ids=["links", "numbers"]
)
def test_a_list_is_known_by_its_url_and_its_filters(api, pages, own):
    error = requests.ConnectionError()
    error.next_url, error.list_url = "things?page=2", f"{api.base_url}/things?kind=a&q=b"

    same = api.paginate("things?q=b", pages, params={"kind": "a", **own})
    other = api.paginate("things?q=b", pages, params={"kind": "b", **own})

    assert same.resume(error)
    with pytest.raises(httpkit.ConfigurationError, match="kind=a"):
        other.resume(error)


def test_the_last_page_says_that_the_list_is_at_its_end(api):
    *_, last = api.paginate("things").pages()

    with pytest.raises(httpkit.ConfigurationError, match="at its end"):
        api.paginate("things").resume(last.next_url)


def test_an_error_that_takes_no_notes_is_raised_all_the_same(listed, page):
    class Closed(Exception):  # noqa: N818  # as a caller may name it
        __notes__ = "none"

        def __setattr__(self, name, value):
            raise TypeError(name)

    found, _ = listed(page({}, "500 Oops"), settings={"on_status": {"5xx": Closed}})

    with pytest.raises(Closed):
        list(found)


@pytest.mark.parametrize("at", ["", 3, requests.ConnectionError(), httpkit.DecodeError()])
def test_a_list_cannot_be_resumed_from_nothing(api, at):
    with pytest.raises(httpkit.ConfigurationError, match="names no page"):
        api.paginate("things").resume(at)


def test_resuming_at_another_origin_sends_no_credentials(raw_server, page):
    away = raw_server(page([2]))

    with httpkit.Session("http://127.0.0.1:9", retry=None, **SECRETS) as api:
        found = ids(api.paginate("list", **CALLS).resume(f"{away.url}/list?page=2"))

    assert found == [2]
    assert secrets_in(away.requests[0]) == []


def test_a_page_is_retried_before_it_fails(listed, page):
    found, server = listed(
        page([1], link="<?page=2>; rel=next"),
        page({}, "503 Service Unavailable"),
        page([2]),
        settings={"retry": 3},
    )

    assert ids(found) == [1, 2]
    assert targets(server) == ["/list", "/list?page=2", "/list?page=2"]


@pytest.mark.parametrize(
    "model", [Thing, lambda item: Thing(int(item["id"]))], ids=["native", "callable"]
)
def test_an_item_of_another_shape_is_named_by_item_and_page(listed, page, model):
    bad = [1, 2, 3, 4, 5, 6, {"id": "seven"}, 8]
    found, _ = listed(page([1]), page([2]), page(bad), pages=NumberedPages(), model=model)
    got = []

    with pytest.raises(httpkit.DecodeError, match=r"item 7 of page 3") as caught:
        got.extend(item.id for item in found)

    assert got == [1, 2]
    assert caught.value.next_url == "list?page=3"


@pytest.mark.parametrize(
    ("items_at", "body", "text"),
    [
        ("data.users", {"data": {"items": [], "total": 0}}, "'data.users'.*'items', 'total'"),
        ("data", {"users": [], "next": 1}, "nothing at 'data': there is 'users', 'next'"),
        ("data", {}, "there is no member"),
        ("data", {f"key{n}": n for n in range(20)}, r"'key0', .*'key7', \.\.\. \(page 1"),
        (None, {"users": []}, r"with 'users' \(page 1; items_at= says where the list is\)"),
        ("data", {"data": {"users": []}}, r"`object` with 'users' \(page 1, looking at 'data'\)"),
        ("data.0.list", {"data": []}, "there are 0 entries"),
    ],
)
def test_a_page_without_the_items_says_what_there_is(listed, page, items_at, body, text):
    found, _ = listed(page(body), items_at=items_at)

    with pytest.raises(httpkit.DecodeError, match=text):
        list(found)


def test_a_validator_that_quotes_a_secret_shows_none(listed, page):
    found, _ = listed(
        page([{"id": "session-token-1"}]),
        model=lambda item: int(item["id"]),
        settings={"auth": httpkit.BearerAuth("session-token-1")},
    )

    with pytest.raises(httpkit.DecodeError, match=r"item 1 of page 1") as caught:
        list(found)

    assert "session-token-1" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("body", [{"users": []}, "text"], ids=["object", "text"])
def test_a_page_that_is_not_a_list_is_an_error_for_a_callable_too(listed, page, body):
    found, _ = listed(page(body), model=lambda item: item)

    with pytest.raises(httpkit.DecodeError, match=r"Expected `array`.*\(page 1"):
        list(found)


def test_an_error_about_pages_pickles(listed, page):
    found, _ = listed(page([1], link="<?page=2>; rel=next"))
    with pytest.raises(httpkit.PaginationError) as caught:
        list(found)

    twin = pickle.loads(pickle.dumps(caught.value))

    assert str(twin) == str(caught.value)
    assert twin.attempts == 1


# The object


def test_nothing_is_sent_before_the_first_item_is_read(sandbox, api):
    found = api.paginate("things")

    copy.copy(found).limit(3).resume("things?_page=2")
    iter(found)

    assert sandbox.requests == []


def test_every_loop_begins_anew(sandbox, api):
    found = api.paginate("things", params={"_limit": 10})

    assert [ids(found), ids(found)] == [ALL, ALL]
    assert len(sandbox.requests) == 6


def test_two_loops_at_once_do_not_meet(api):
    found = api.paginate("things", NumberedPages("_page"), params={"_limit": 10})

    pairs = zip(found, found.limit(20), strict=False)

    assert [(one["id"], other["id"]) for one, other in pairs] == [(n, n) for n in ALL[:20]]


@pytest.mark.parametrize(
    ("count", "requests_"), [(0, 0), (1, 1), (10, 1), (11, 2), (25, 3), (99, 3)]
)
@pytest.mark.parametrize(
    "take",
    [
        pytest.param(lambda found, n: found.first(n), id="first"),
        pytest.param(lambda found, n: list(found.limit(n)), id="limit"),
        pytest.param(lambda found, n: list(found.limit(99).limit(n).limit(98)), id="limits"),
        pytest.param(
            lambda found, n: [i for page in found.limit(n).pages() for i in page.items], id="pages"
        ),
    ],
)
def test_no_page_is_requested_beyond_the_items_that_are_wanted(
    sandbox, api, take, count, requests_
):
    found = api.paginate("things", params={"_limit": 10})

    assert ids(take(found, count)) == ALL[:count]
    assert len(sandbox.requests) == requests_


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True], ids=repr)
@pytest.mark.parametrize("name", ["first", "limit"])
def test_an_invalid_count_is_refused(sandbox, api, name, count):
    with pytest.raises(httpkit.ConfigurationError, match="whole number"):
        getattr(api.paginate("things"), name)(count)

    assert sandbox.requests == []


def test_a_page_has_its_items_and_its_response(api):
    found = api.paginate("things", model=Thing, params={"_limit": 10})

    pages = list(found.pages())

    assert [repr(page) for page in pages] == [
        "<Page 1: 10 items>", "<Page 2: 10 items>", "<Page 3: 5 items>"
    ]  # fmt: skip
    assert pages[0].items[0] == Thing(1, "b")
    assert pages[0].response.headers["x-total-count"] == "25"
    assert isinstance(pages[0].response, httpkit.Response)
    assert [page.next_url is None for page in pages] == [False, False, True]


def test_a_page_cut_by_a_limit_has_no_next_page(api):
    found = api.paginate("things", params={"_limit": 10})

    cut, whole = (list(found.limit(n).pages())[-1] for n in (15, 20))

    assert (len(cut.items), cut.next_url) == (5, None)
    assert (len(whole.items), ids(found.resume(whole.next_url))) == (10, ALL[20:])


def test_a_list_with_a_limit_is_resumed(api):
    found = api.paginate("things", params={"_limit": 10})
    second = next(found.pages()).next_url

    assert ids(found.resume(second).limit(3)) == [11, 12, 13]
    assert ids(found.limit(3).resume(second)) == [11, 12, 13]


def test_a_list_shows_where_it_is_and_no_secret(api):
    reprs = [
        repr(api.paginate("things?api_key=secret-key-1", params={"token": "secret-key-2"})),
        repr(api.paginate("things").limit(3)),
    ]

    assert reprs == ["<Pages of things?api_key=***>", "<Pages of things, at most 3>"]


def test_a_note_shows_no_secret(listed, page):
    found, _ = listed(page({}, "500 Oops"), url="list?api_key=secret-key-1")

    with pytest.raises(httpkit.InternalServerError) as caught:
        list(found)

    assert caught.value.__notes__ == [
        "page 1 of list?api_key=***: Pages.resume(error) goes on with it"
    ]


def test_a_list_pickles(api):
    found = pickle.loads(pickle.dumps(api.paginate("things", model=Thing).limit(3)))

    assert ids(found) == [1, 2, 3]


def test_a_list_has_no_length(api):
    with pytest.raises(TypeError):
        len(api.paginate("things"))


# Data frames


@pytest.fixture
def frames():
    """Skip a test where what makes data frames is not installed."""
    require("pandas")
    require("polars")


needs_frames = pytest.mark.usefixtures("frames")


@needs_frames
@pytest.mark.parametrize("model", [None, Thing], ids=["dicts", "dataclass"])
def test_a_list_becomes_a_pandas_frame(api, model):
    frame = api.paginate("things", model=model).to_pandas()

    assert list(frame.columns) == ["id", "kind"]
    assert frame["id"].tolist() == ALL


@needs_frames
@pytest.mark.parametrize("model", [None, Thing], ids=["dicts", "dataclass"])
def test_a_list_becomes_a_polars_frame(api, model):
    frame = api.paginate("things", model=model).to_polars()

    assert frame.columns == ["id", "kind"]
    assert frame["id"].to_list() == ALL


@needs_frames
def test_a_column_that_is_null_for_long_still_has_its_type(listed, page):
    rows = [{"title": "a"}] * 200 + [{"title": "b", "year": 1999}]
    found, _ = listed(page(rows), model=Film)

    assert found.to_polars()["year"].to_list()[-1] == 1999
    assert found.to_pandas()["year"].tolist()[-1] == 1999


@attrs.define
class Play:
    title: str
    year: int | None = None


class Novel(TypedDict):
    title: str
    year: int | None


class Poem(NamedTuple):
    title: str
    year: int | None = None


@needs_frames
@pytest.mark.parametrize("model", [Film, Play, Novel, Poem])
def test_an_empty_list_of_a_model_keeps_its_columns(listed, page, model):
    found, _ = listed(page([]), model=model)

    assert list(found.to_pandas().columns) == ["title", "year"]
    assert found.to_polars().columns == ["title", "year"]


@needs_frames
@pytest.mark.parametrize("model", [Film, Play, Novel])
def test_every_model_has_a_column_for_each_field(listed, page, model):
    found, _ = listed(page([{"title": "a", "year": 1999}]), model=model)

    assert found.to_pandas().to_dict("records") == [{"title": "a", "year": 1999}]
    assert found.to_polars().to_dicts() == [{"title": "a", "year": 1999}]


@needs_frames
def test_values_without_fields_are_a_column(listed, page):
    found, _ = listed(page(["a", "b"]), model=str)

    assert found.to_pandas()[0].tolist() == ["a", "b"]
    assert found.to_polars()["column_0"].to_list() == ["a", "b"]


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_frame_without_its_library_says_what_to_install(sandbox, api, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(httpkit.ConfigurationError, match=f"pip install {name}"):
        getattr(api.paginate("things"), f"to_{name}")()

    assert sandbox.requests == []


# Arguments


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["things", LinkPages], {}),
        (["things", "next"], {}),
        (["things"], {"items_at": ""}),
        (["things"], {"items_at": "."}),
        (["things"], {"items_at": 3}),
        (["things"], {"params": 3}),
        (["things"], {"params": [3]}),
        (["things/{id}"], {}),
        (["things/{id}"], {"path": {"id": ""}}),
        ([None], {}),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(sandbox, api, arguments, options):
    with pytest.raises(ValueError, match=r"."):
        api.paginate(*arguments, **options)

    assert sandbox.requests == []


@pytest.mark.parametrize("name", ["stream", "on_status", "data", "userId"])
def test_a_keyword_that_a_list_does_not_know_is_refused_at_once(api, name):
    with pytest.raises(TypeError, match=name):
        api.paginate("things", **{name: 1})


@pytest.mark.parametrize(
    ("pager", "settings"),
    [
        (NextURLPages, {"next": ""}),
        (NextURLPages, {"next": None}),
        (CursorPages, {"cursor": ""}),
        (CursorPages, {"cursor": None}),
        (CursorPages, {"cursor": "next", "param": ""}),
        (CursorPages, {"cursor": "next", "more": ""}),
        (NumberedPages, {"param": ""}),
        (NumberedPages, {"start": -1}),
        (NumberedPages, {"start": "1"}),
        (NumberedPages, {"start": True}),
        (NumberedPages, {"total": 3}),
        (NumberedPages, {"total_items": ""}),
        (NumberedPages, {"more": True}),
        (OffsetPages, {"param": None}),
        (OffsetPages, {"limit": 0}),
        (OffsetPages, {"limit": None}),
        (OffsetPages, {"limit_param": ""}),
        (OffsetPages, {"total": "..."}),
        (OffsetPages, {"more": 1}),
    ],
    ids=repr,
)
def test_a_pager_that_cannot_work_is_refused(pager, settings):
    with pytest.raises(httpkit.ConfigurationError, match="must"):
        pager(**settings)


PAGERS = [
    LinkPages(),
    NextURLPages("next"),
    CursorPages(cursor="meta.next", param="cursor"),
    NumberedPages(param="page", start=1, total=None),
    OffsetPages(param="offset", limit_param="limit", limit=100),
]


@pytest.mark.parametrize("pager", PAGERS, ids=repr)
def test_a_pager_is_a_value(pager):
    twin = pickle.loads(pickle.dumps(pager))

    assert (twin, hash(twin)) == (pager, hash(pager))
    with pytest.raises((FrozenInstanceError, TypeError)):
        pager.param = "other"


@dataclass(frozen=True)
class LetterPages:
    """Pages named by letters: a pager of one's own, without a base class."""

    own = ("letter",)

    def begin(self, given):
        return {"letter": "a", **given}

    def following(self, page: PageContext):
        letter = chr(ord(page.params["letter"]) + 1)
        return {"letter": letter} if page.count else None


def test_a_pager_of_ones_own_needs_no_base_class(listed, page):
    found, server = listed(page([1]), page([1]), page([]), pages=LetterPages())

    assert ids(found) == [1, 1]
    assert targets(server) == ["/list?letter=a", "/list?letter=b", "/list?letter=c"]


# Whatever a server says


@given(st.text(alphabet='<>;,="\\\\ relnxt?a/', max_size=60) | st.text(max_size=40))
def test_any_link_field_is_read(field):
    for target, parameters in link_fields.links(field):
        assert target in field
        assert all(name == name.lower() for name in parameters)


@given(st.lists(st.tuples(st.text("ab/?=&,;%", max_size=8), st.text(max_size=8)), max_size=4))
def test_links_are_read_as_they_were_written(links):
    escaped = [(target, re.sub(r'(["\\\\])', r"\\\1", title)) for target, title in links]
    field = ", ".join(f'<{target}>; rel=next; title="{title}"' for target, title in escaped)

    found = [(target, parameters["title"]) for target, parameters in link_fields.links(field)]

    assert found == links


@given(st.text(alphabet="http:s/.@[]%x?#\\\\ é0", max_size=30) | st.text(max_size=30))
def test_any_reference_resolves_to_an_http_url_or_is_refused(reference):
    try:
        target = urls.resolve("https://h/list?page=1", reference)
    except requests.exceptions.InvalidURL:
        return
    assert urls.origin(target)[0] in {"http", "https"}
    assert "@" not in urlsplit(target).netloc


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc.0"), inner, max_size=3)
    ),
    max_leaves=8,
)


def found_in(document, path):
    """Return what is at a path of a JSON text; None for nothing, or an array used by name."""
    try:
        found = documents.find(documents.RawJSON(json.dumps(document).encode()), path)
    except models.MismatchError:
        return None
    return None if found is documents.MISSING else found.body


@given(JSON, st.text(alphabet="abc.-01", max_size=8))
def test_a_path_is_found_or_not(document, path):
    found = found_in(document, path)

    assert found is None or json.loads(found) is not NotImplemented


@given(JSON, st.lists(st.sampled_from(["a", "b", 0, 1, -1]), min_size=1, max_size=3))
def test_a_path_is_what_the_keys_lead_to(document, keys):
    expected = document
    for key in keys:
        try:
            expected = expected[int(key) if isinstance(expected, list) else str(key)]
        except (LookupError, TypeError, ValueError):
            expected = NotImplemented
            break
    if any("." in key for key in re.findall(r'"([^"]*)": ', json.dumps(document))):
        return  # a name with dots may be found sooner

    found = found_in(document, ".".join(map(str, keys)))

    assert (NotImplemented if found is None else json.loads(found)) == expected
