"""The lists of docs/clients/api_lists.py, on servers that page as the real APIs document it.

Each case has the pages that a server sends, and what it must have been asked for.
"""

import json

import api_lists
import pytest
import requests

import httpkit


def rows(*ids):
    return [{"id": n} for n in ids]


def edges(*ids):
    return [{"node": {"id": n}} for n in ids]


def search(*ids):
    return {"hits": {"hits": [{"_source": {"id": n}, "sort": [n * 10, f"k{n}"]} for n in ids]}}


def connection(name, items, cursor, *, wrap=None):
    page = {"pageInfo": {"hasNextPage": cursor is not None, "endCursor": cursor}, **items}
    return {"data": {wrap: {name: page}} if wrap else {name: page}}


S3 = "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{}</ListBucketResult>"
S3_NEXT = "<NextContinuationToken>t/2=</NextContinuationToken>"

# Name: the pages (a document, or bytes; with fields), and the targets asked for.
LISTS = {
    "github_issues": (
        [(rows(1, 2), {"link": '<{url}/repositories/1/issues?page=2>; rel="next"'}), rows(3)],
        ["/repos/octocat/hello-world/issues", "/repositories/1/issues?page=2"],
    ),
    "shopify_products": (
        [
            ({"products": rows(1, 2)}, {"link": '<{url}/products.json?page_info=p2>; rel="next"'}),
            {"products": rows(3)},
        ],
        ["/products.json?limit=2", "/products.json?page_info=p2"],
    ),
    "canvas_courses": (
        [
            (rows(1, 2), {"link": '<{url}/courses?page=2&per_page=2>; rel="next"'}),
            (rows(3), {"link": '<{url}/courses?page=1&per_page=2>; rel="prev"'}),
        ],
        ["/courses?per_page=2", "/courses?page=2&per_page=2"],
    ),
    "odata_people": (
        [{"value": rows(1, 2), "@odata.nextLink": "People?$skiptoken=2"}, {"value": rows(3)}],
        ["/People?%24filter=Age+gt+1", "/People?$skiptoken=2"],
    ),
    "salesforce_accounts": (
        [
            {"records": rows(1, 2), "done": False, "nextRecordsUrl": "/query/01g-2"},
            {"records": rows(3), "done": True},
        ],
        ["/query?q=SELECT+Id+FROM+Account", "/query/01g-2"],
    ),
    "asana_tasks": (
        [
            {"data": rows(1, 2), "next_page": {"offset": "o", "uri": "{url}/tasks?offset=o"}},
            {"data": rows(3), "next_page": None},
        ],
        ["/tasks", "/tasks?offset=o"],
    ),
    "hal_orders": (
        [
            {
                "_embedded": {"orders": rows(1, 2)},
                "_links": {"next": {"href": "/orders?page=2{&sort}", "templated": True}},
            },
            {"_embedded": {"orders": rows(3)}, "_links": {"next": {"href": "/orders?page=3"}}},
            {"_links": {"self": {"href": "/orders?page=3"}}},
        ],
        ["/orders", "/orders?page=2", "/orders?page=3"],
    ),
    "fhir_patients": (
        [
            {
                "entry": [{"resource": {"id": 1}}, {"resource": {"id": 2}}],
                "link": [
                    {"relation": "self", "url": "{url}/Patient"},
                    {"relation": "NEXT", "url": "{url}/Patient?page=2"},
                ],
            },
            {"entry": [{"resource": {"id": 3}}], "link": [{"relation": "next", "url": "?page=3"}]},
            {"link": [{"relation": "self", "url": "?page=3"}]},
        ],
        ["/Patient", "/Patient?page=2", "/Patient?page=3"],
    ),
    "paypal_invoices": (
        [
            {"items": rows(1, 2), "links": [{"rel": "next", "href": "{url}/invoices?page=2"}]},
            {"items": rows(3), "links": [{"rel": "prev", "href": "{url}/invoices"}]},
        ],
        ["/invoices", "/invoices?page=2"],
    ),
    "confluence_pages": (
        [
            {
                "results": rows(1, 2),
                "_links": {"base": "{url}/wiki", "next": "/rest/api/content?start=2"},
            },
            {"results": rows(3), "_links": {"base": "{url}/wiki"}},
        ],
        ["/rest/api/content", "/wiki/rest/api/content?start=2"],
    ),
    "stac_items": (
        [
            {
                "features": rows(1, 2),
                "links": [
                    {"rel": "self", "href": "{url}/search", "method": "POST"},
                    {
                        "rel": "next",
                        "href": "{url}/search",
                        "method": "POST",
                        "body": {"token": "next:2"},
                        "merge": True,
                    },
                ],
            },
            {"features": rows(3), "links": [{"rel": "previous", "href": "{url}/search"}]},
        ],
        ["/search", "/search"],
    ),
    "zendesk_tickets": (
        [
            {
                "tickets": rows(1, 2),
                "meta": {"has_more": True},
                "links": {"next": "{url}/tickets?page[after]=c&page[size]=2"},
            },
            {
                "tickets": rows(3),
                "meta": {"has_more": False},
                "links": {"next": "{url}/tickets?page[after]=d&page[size]=2"},
            },
        ],
        ["/tickets?page%5Bsize%5D=2", "/tickets?page%5Bafter%5D=c&page%5Bsize%5D=2"],
    ),
    "twilio_messages": (
        [
            {
                "messages": rows(1, 2),
                "next_page_uri": "/Accounts/AC1/Messages.json?PageSize=2&Page=1&PageToken=PASM2",
            },
            {"messages": rows(3), "next_page_uri": None},
        ],
        [
            "/Accounts/AC1/Messages.json",
            "/Accounts/AC1/Messages.json?PageSize=2&Page=1&PageToken=PASM2",
        ],
    ),
    "graph_user_changes": (
        [
            {"value": rows(1, 2), "@odata.nextLink": "{url}/users/delta?$skiptoken=2"},
            {"value": rows(3), "@odata.deltaLink": "{url}/users/delta?$deltatoken=3"},
        ],
        ["/users/delta", "/users/delta?$skiptoken=2"],
    ),
    "kubernetes_pods": (
        [
            {"metadata": {"continue": "t1", "remainingItemCount": 1}, "items": rows(1, 2)},
            {"metadata": {"continue": "", "resourceVersion": "5"}, "items": rows(3)},
        ],
        ["/pods?limit=2", "/pods?limit=2&continue=t1"],
    ),
    "jira_issues": (
        [
            {"issues": rows(1, 2), "nextPageToken": "abc"},
            {"issues": rows(3), "isLast": True},
        ],
        ["/search/jql?jql=project+%3D+X", "/search/jql?jql=project+%3D+X&nextPageToken=abc"],
    ),
    "discord_members": (
        [rows(1, 2), rows(3), []],
        ["/members?limit=2", "/members?limit=2&after=2", "/members?limit=2&after=3"],
    ),
    "crossref_works": (
        [
            {"message": {"items": rows(1, 2), "next-cursor": "c"}},
            {"message": {"items": rows(3), "next-cursor": "c"}},
            {"message": {"items": [], "next-cursor": "c"}},
        ],
        ["/works?cursor=%2A", "/works?cursor=c", "/works?cursor=c"],
    ),
    "solr_documents": (
        [
            {"response": {"numFound": 3, "docs": rows(1, 2)}, "nextCursorMark": "m2"},
            {"response": {"numFound": 3, "docs": rows(3)}, "nextCursorMark": "m3"},
            {"response": {"numFound": 3, "docs": []}, "nextCursorMark": "m3"},
        ],
        [f"/select?q=%2A%3A%2A&sort=id+asc&cursorMark={mark}" for mark in ("%2A", "m2", "m3")],
    ),
    "scim_users": (
        [
            {"totalResults": 3, "startIndex": 1, "itemsPerPage": 2, "Resources": rows(1, 2)},
            {"totalResults": 3, "startIndex": 3, "itemsPerPage": 1, "Resources": rows(3)},
        ],
        ["/Users?startIndex=1&count=2", "/Users?startIndex=3&count=2"],
    ),
    "dropbox_files": (
        [
            {"entries": rows(1, 2), "cursor": "c1", "has_more": True},
            {"entries": rows(3), "cursor": "c2", "has_more": False},
        ],
        ["/list_folder", "/list_folder/continue"],
    ),
    "elasticsearch_scroll": (
        [
            {"_scroll_id": "s", "hits": {"hits": rows(1, 2)}},
            {"_scroll_id": "s", "hits": {"hits": rows(3)}},
            {"_scroll_id": "s", "hits": {"hits": []}},
        ],
        ["/logs/_search?scroll=1m", "/_search/scroll", "/_search/scroll"],
    ),
    "slack_channels": (
        [
            {"channels": rows(1, 2), "response_metadata": {"next_cursor": "dGVhbQ=="}},
            {"channels": rows(3), "response_metadata": {"next_cursor": ""}},
        ],
        ["/conversations.list", "/conversations.list?cursor=dGVhbQ%3D%3D"],
    ),
    "stripe_charges": (
        [{"data": rows(1, 2), "has_more": True}, {"data": rows(3), "has_more": False}],
        ["/charges", "/charges?starting_after=2"],
    ),
    "airtable_records": (
        [{"records": rows(1, 2), "offset": "itr/rec2"}, {"records": rows(3)}],
        ["/app1/tbl1", "/app1/tbl1?offset=itr%2Frec2"],
    ),
    "google_files": (
        [{"files": rows(1, 2), "nextPageToken": "t"}, {"nextPageToken": "u"}, {"files": rows(3)}],
        [
            "/files?q=trashed+%3D+false",
            "/files?q=trashed+%3D+false&pageToken=t",
            "/files?q=trashed+%3D+false&pageToken=u",
        ],
    ),
    "jira_boards": (
        [{"values": rows(1, 2), "isLast": False}, {"values": rows(3), "isLast": True}],
        ["/board?startAt=0&maxResults=2", "/board?startAt=2&maxResults=2"],
    ),
    "spring_users": (
        [{"content": rows(1, 2), "last": False}, {"content": rows(3), "last": True}],
        ["/users?page=0", "/users?page=1"],
    ),
    "wikipedia_pages": (
        [
            {
                "continue": {"gapcontinue": "B", "continue": "gapcontinue||"},
                "query": {"pages": {"1": {"id": 1}, "2": {"id": 2}}},
            },
            {"query": {"pages": {"3": {"id": 3}}}},
        ],
        [
            "/api.php?format=json",
            "/api.php?format=json&gapcontinue=B&continue=gapcontinue%7C%7C",
        ],
    ),
    "woocommerce_orders": (
        [(rows(1, 2), {"x-wp-totalpages": "2"}), (rows(3), {"x-wp-totalpages": "2"})],
        ["/orders?page=1", "/orders?page=2"],
    ),
    "azure_blobs": (
        [(rows(1, 2), {"x-ms-continuation": "c2"}), rows(3)],
        ["/blobs", "/blobs"],
    ),
    "heroku_apps": (
        [(rows(1, 2), {"next-range": "]2..; max=2"}), rows(3)],
        ["/apps", "/apps"],
    ),
    "postgrest_rows": (
        [(rows(1, 2), {"content-range": "0-1/3"}), (rows(3), {"content-range": "2-2/3"})],
        ["/rows", "/rows"],
    ),
    "notion_rows": (
        [
            {"results": rows(1, 2), "has_more": True, "next_cursor": "c2"},
            {"results": rows(3), "has_more": False, "next_cursor": None},
        ],
        ["/databases/db1/query"] * 2,
    ),
    "hubspot_contacts": (
        [{"results": rows(1, 2), "paging": {"next": {"after": "2"}}}, {"results": rows(3)}],
        ["/objects/contacts/search"] * 2,
    ),
    "elasticsearch_hits": ([search(1, 2), search(3), search()], ["/logs/_search"] * 3),
    "dynamodb_items": (
        [{"Items": rows(1, 2), "LastEvaluatedKey": {"id": {"N": "2"}}}, {"Items": rows(3)}],
        [""] * 2,
    ),
    "algolia_hits": (
        [{"hits": rows(1, 2), "nbPages": 2}, {"hits": rows(3), "nbPages": 2}],
        ["/indexes/films/query"] * 2,
    ),
    "github_graphql_issues": (
        [
            connection("issues", {"nodes": rows(1, 2)}, "Y3Vy", wrap="repository"),
            connection("issues", {"nodes": rows(3)}, None, wrap="repository"),
        ],
        ["/graphql"] * 2,
    ),
    "shopify_graphql_products": (
        [
            connection("products", {"edges": edges(1, 2)}, "c2"),
            connection("products", {"edges": edges(3)}, None),
        ],
        ["/graphql.json"] * 2,
    ),
    "s3_keys": (
        [
            S3.format(
                "<Contents><Key>1</Key></Contents><Contents><Key>2</Key></Contents>" + S3_NEXT
            ),
            S3.format("<Contents><Key>3</Key></Contents>"),
        ],
        ["", "?continuation-token=t%2F2%3D"],
    ),
    "csv_rows": (
        ["id,name\n1,a\n2,b\n", "id,name\n3,c\n", None],
        ["/report.csv?page=1", "/report.csv?page=2", "/report.csv?page=3"],
    ),
    "ndjson_rows": (
        [('{"id": 1}\n{"id": 2}\n', {"x-next": "e2"}), '{"id": 3}\n'],
        ["/events", "/events?after=e2"],
    ),
}
# What the documents of the requests have, beside what does not change.
DOCUMENTS = {
    "stac_items": ({"limit": 2, "token": None}, {"limit": 2, "token": "next:2"}),
    "notion_rows": [{}, {"start_cursor": "c2"}],
    "hubspot_contacts": [{}, {"after": "2"}],
    "elasticsearch_hits": [{}, {"search_after": [20, "k2"]}, {"search_after": [30, "k3"]}],
    "dynamodb_items": [{}, {"ExclusiveStartKey": {"id": {"N": "2"}}}],
    "algolia_hits": [{"page": 0}, {"page": 1}],
    "dropbox_files": [{"path": "", "cursor": None}, {"path": None, "cursor": "c1"}],
    "elasticsearch_scroll": [{"size": 2}, *[{"size": None, "scroll_id": "s"}] * 2],
    "github_graphql_issues": [{"variables": {"after": n}} for n in (None, "Y3Vy")],
    "shopify_graphql_products": [{"variables": {"cursor": n}} for n in (None, "c2")],
}
FIELDS = {
    "azure_blobs": ["x-ms-continuation: c2"],
    "heroku_apps": ["Range: id ..; max=2", "Range: ]2..; max=2"],
    "postgrest_rows": ["Range: 0-1", "Range: 2-3"],
}


@pytest.fixture
def serve(raw_server, make_response):
    """Start a server that sends these pages, and return it."""

    def start(pages):
        server = raw_server()

        def make(page):
            body, fields = page if isinstance(page, tuple) else (page, {})
            if body is None:
                return make_response("404 Not Found")
            text = body if isinstance(body, str) else json.dumps(body)
            fields = {name: value.replace("{url}", server.url) for name, value in fields.items()}
            return make_response(body=text.replace("{url}", server.url).encode(), **fields)

        server.responses = tuple(map(make, pages))
        return server

    return start


def requested(server):
    return [request.split(b" ", 2)[1].decode() for request in server.requests]


def document(request):
    return json.loads(request.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("name", LISTS)
def test_the_list_of_an_api_is_whole(serve, name):
    pages, targets = LISTS[name]
    server = serve(pages)

    with httpkit.Session(server.url, retry=None) as api:
        found = [int(item["id"]) for item in getattr(api_lists, name)(api)]

    assert found == [1, 2, 3]
    assert [target.removeprefix("/") for target in requested(server)] == [
        target.removeprefix("/") for target in targets
    ]
    for request, values in zip(server.requests, DOCUMENTS.get(name, ()), strict=False):
        sent = document(request)
        assert request.startswith(b"POST ")
        assert {key: sent.get(key) for key in values} == values
    text = b"".join(server.requests).decode()
    assert [field for field in FIELDS.get(name, ()) if field not in text] == []


@pytest.mark.parametrize("name", LISTS)
def test_the_list_of_an_api_is_resumed_where_it_was_left(serve, name):
    pages, targets = LISTS[name]
    server = serve([pages[0], *pages[1:]])

    with httpkit.Session(server.url, retry=None) as api:
        first = next(getattr(api_lists, name)(api).pages())
        rest = getattr(api_lists, name)(api).resume(first.next_token)
        found = [int(item["id"]) for item in [*first.items, *rest]]

    assert found == [1, 2, 3]
    assert len(requested(server)) == len(targets)
    for request, values in zip(server.requests, DOCUMENTS.get(name, ()), strict=False):
        assert {key: document(request).get(key) for key in values} == values


def test_every_list_of_the_page_is_tried():
    names = {
        name
        for name, value in vars(api_lists).items()
        if callable(value) and getattr(value, "__module__", "") == "api_lists"
    }

    assert names == {*LISTS}


def test_a_list_that_is_requested_by_post_is_retried(serve):
    server = serve([])
    server.responses = (None, *serve(LISTS["notion_rows"][0]).responses)

    with httpkit.Session(server.url) as api:
        found = [row["id"] for row in api_lists.notion_rows(api)]

    assert found == [1, 2, 3]
    assert len(server.requests) == 3
    assert document(server.requests[0]) == document(server.requests[1])


def test_a_post_that_is_no_list_is_still_not_retried(serve):
    server = serve([])
    server.responses = (None, *serve([rows(1)]).responses)

    with httpkit.Session(server.url) as api, pytest.raises(requests.ConnectionError):
        api.post("databases/db1/query", json={})

    assert len(server.requests) == 1
