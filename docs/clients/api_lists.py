"""The lists of well-known APIs: copy the function of the API that is like yours."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import httpkit
from httpkit import (
    CursorPages,
    LinkPages,
    NextURLPages,
    NumberedPages,
    OffsetPages,
    PageContext,
    PageLink,
    Pages,
)

Rows = Pages[dict[str, Any]]

# Links in the Link header: the default.


def github_issues(api: httpkit.Session) -> Rows:
    return api.paginate("repos/{+repo}/issues", path={"repo": "octocat/hello-world"})


def shopify_products(api: httpkit.Session) -> Rows:
    return api.paginate("products.json", LinkPages(), items_at="products", params={"limit": 2})


def canvas_courses(api: httpkit.Session) -> Rows:
    return api.paginate("courses", params={"per_page": 2})


# A URL in the body, followed as it is.


def odata_people(api: httpkit.Session) -> Rows:
    pages = NextURLPages("@odata.nextLink")
    return api.paginate("People", pages, items_at="value", params={"$filter": "Age gt 1"})


def salesforce_accounts(api: httpkit.Session) -> Rows:
    pages = NextURLPages("nextRecordsUrl", last="done")
    return api.paginate("query", pages, items_at="records", params={"q": "SELECT Id FROM Account"})


def asana_tasks(api: httpkit.Session) -> Rows:
    return api.paginate("tasks", NextURLPages("next_page.uri"), items_at="data")


def hal_orders(api: httpkit.Session) -> Rows:
    return api.paginate("orders", NextURLPages("_links.next"), items_at="_embedded.orders?")


def fhir_patients(api: httpkit.Session) -> Rows:
    pages = NextURLPages("link", rel="next")
    return api.paginate("Patient", pages, items_at="entry.*.resource?")


def paypal_invoices(api: httpkit.Session) -> Rows:
    return api.paginate("invoices", NextURLPages("links", rel="next"), items_at="items")


def confluence_pages(api: httpkit.Session) -> Rows:
    pages = NextURLPages("_links.next", base="_links.base")
    return api.paginate("rest/api/content", pages, items_at="results")


def stac_items(api: httpkit.Session) -> Rows:
    pages = NextURLPages("links", rel="next")  # the link may contain the next JSON document
    return api.paginate("search", pages, json={"limit": 2}, items_at="features")


def zendesk_tickets(api: httpkit.Session) -> Rows:
    pages = NextURLPages("links.next", more="meta.has_more")
    return api.paginate("tickets", pages, items_at="tickets", params={"page[size]": 2})


def twilio_messages(api: httpkit.Session) -> Rows:
    pages = NextURLPages("next_page_uri")  # relative to the host, not to the base URL
    return api.paginate("Accounts/AC1/Messages.json", pages, items_at="messages")


def graph_user_changes(api: httpkit.Session) -> Rows:
    # page.response.json()["@odata.deltaLink"] of the last page is the URL of the next changes.
    return api.paginate("users/delta", NextURLPages("@odata.nextLink"), items_at="value")


# A cursor that the next request sends back.


def slack_channels(api: httpkit.Session) -> Rows:
    pages = CursorPages("response_metadata.next_cursor", "cursor")
    return api.paginate("conversations.list", pages, items_at="channels")


def stripe_charges(api: httpkit.Session) -> Rows:
    pages = CursorPages("data.-1.id", "starting_after", more="has_more")
    return api.paginate("charges", pages, items_at="data")


def airtable_records(api: httpkit.Session) -> Rows:
    return api.paginate("app1/tbl1", CursorPages("offset", "offset"), items_at="records")


def google_files(api: httpkit.Session) -> Rows:
    pages = CursorPages("nextPageToken", "pageToken")
    return api.paginate("files", pages, items_at="files?", params={"q": "trashed = false"})


def kubernetes_pods(api: httpkit.Session) -> Rows:
    pages = CursorPages("metadata.continue", "continue")  # an expired one raises GoneError
    return api.paginate("pods", pages, items_at="items", params={"limit": 2})


def jira_issues(api: httpkit.Session) -> Rows:
    pages = CursorPages("nextPageToken", "nextPageToken", last="isLast")
    return api.paginate("search/jql", pages, items_at="issues", params={"jql": "project = X"})


def discord_members(api: httpkit.Session) -> Rows:
    return api.paginate("members", CursorPages("-1.id", "after"), params={"limit": 2})


# A cursor on every page, also on the last: an empty page is the end.


def crossref_works(api: httpkit.Session) -> Rows:
    pages = CursorPages("message.next-cursor", "cursor", until_empty=True)
    return api.paginate("works", pages, items_at="message.items", params={"cursor": "*"})


def solr_documents(api: httpkit.Session) -> Rows:
    pages = CursorPages("nextCursorMark", "cursorMark", until_empty=True)
    params = {"q": "*:*", "sort": "id asc", "cursorMark": "*"}
    return api.paginate("select", pages, items_at="response.docs", params=params)


# Numbers and offsets.


def scim_users(api: httpkit.Session) -> Rows:
    pages = OffsetPages("startIndex", "count", start=1, limit=2, total="totalResults")
    return api.paginate("Users", pages, items_at="Resources?")


def jira_boards(api: httpkit.Session) -> Rows:
    pages = OffsetPages("startAt", "maxResults", limit=2, last="isLast")
    return api.paginate("board", pages, items_at="values")


def spring_users(api: httpkit.Session) -> Rows:
    return api.paginate("users", NumberedPages("page", start=0, last="last"), items_at="content")


def wikipedia_pages(api: httpkit.Session) -> Rows:
    pages = CursorPages(
        "continue.gapcontinue", "gapcontinue", extra={"continue": "continue.continue"}
    )
    return api.paginate("api.php", pages, items_at="query.pages.*", params={"format": "json"})


def woocommerce_orders(api: httpkit.Session) -> Rows:
    return api.paginate("orders", NumberedPages("page", total="header:X-WP-TotalPages"))


# A query in JSON (POST): the pager sets its parameter there. It is retried, since it only reads.


def notion_rows(api: httpkit.Session) -> Rows:
    pages = CursorPages("next_cursor", "start_cursor", more="has_more")
    query = {"filter": {"property": "Done", "checkbox": {"equals": True}}}
    return api.paginate("databases/db1/query", pages, json=query, items_at="results")


def hubspot_contacts(api: httpkit.Session) -> Rows:
    pages = CursorPages("paging.next.after", "after")
    return api.paginate("objects/contacts/search", pages, json={"limit": 2}, items_at="results")


def elasticsearch_hits(api: httpkit.Session) -> Rows:
    pages = CursorPages("hits.hits.-1.sort", "search_after")  # an array stays an array
    search = {"size": 2, "sort": [{"at": "asc"}, {"id": "asc"}]}
    return api.paginate("logs/_search", pages, json=search, items_at="hits.hits.*._source")


def dynamodb_items(api: httpkit.Session) -> Rows:
    pages = CursorPages("LastEvaluatedKey", "ExclusiveStartKey")
    return api.paginate("", pages, json={"TableName": "t"}, items_at="Items")


def algolia_hits(api: httpkit.Session) -> Rows:
    pages = NumberedPages("page", start=0, total="nbPages")
    return api.paginate("indexes/films/query", pages, json={"query": "moon"}, items_at="hits")


# Another URL for the next pages, with nothing but the cursor: a pager of a few lines.


def dropbox_files(api: httpkit.Session) -> Rows:
    class Continue:
        own = ()

        def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
            return given

        def following(self, page: PageContext) -> PageLink | None:
            if not page.flag("has_more"):
                return None
            return PageLink("list_folder/continue", "POST", json={"cursor": page.text("cursor")})

    return api.paginate("list_folder", Continue(), json={"path": ""}, items_at="entries")


def elasticsearch_scroll(api: httpkit.Session) -> Rows:
    class Scroll:
        own = ()
        until_empty = True  # the server keeps the position, so that the requests are equal

        def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
            return given

        def following(self, page: PageContext) -> PageLink:
            document = {"scroll": "1m", "scroll_id": page.text("_scroll_id")}
            return PageLink("/_search/scroll", "POST", json=document)

    return api.paginate(
        "logs/_search", Scroll(), json={"size": 2}, params={"scroll": "1m"}, items_at="hits.hits"
    )


# Header fields.


def heroku_apps(api: httpkit.Session) -> Rows:
    pages = CursorPages("header:Next-Range", "Range", into="header")
    return api.paginate("apps", pages, headers={"Range": "id ..; max=2"})


def postgrest_rows(api: httpkit.Session) -> Rows:
    return api.paginate("rows", OffsetPages("Range", limit=2, into="header"))


def azure_blobs(api: httpkit.Session) -> Rows:
    pages = CursorPages("header:x-ms-continuation", "x-ms-continuation", into="header")
    return api.paginate("blobs", pages)


# GraphQL connections.


def github_graphql_issues(api: httpkit.Session) -> Rows:
    query = """
        query($after: String) {
          repository(owner: "octocat", name: "hello-world") {
            issues(first: 2, after: $after) {
              nodes { id }
              pageInfo { hasNextPage endCursor }
            }
          }
        }"""
    return api.paginate_graphql(query, at="repository.issues")


def shopify_graphql_products(api: httpkit.Session) -> Rows:
    query = """
        query($cursor: String) {
          products(first: 2, after: $cursor) {
            edges { node { id } }
            pageInfo { hasNextPage endCursor }
          }
        }"""
    return api.paginate_graphql(query, at="products", cursor="cursor", path="graphql.json")


# Formats other than JSON: decode= returns the document of a page.


def s3_keys(api: httpkit.Session) -> Rows:
    def decode(response: httpkit.Response) -> object:
        root = ET.fromstring(response.content)  # noqa: S314  # of a server that is trusted
        find = root.findtext
        keys = [{"id": key.text} for key in root.findall(".//{*}Key")]
        return {"keys": keys, "next": find("{*}NextContinuationToken")}

    return api.paginate(
        "", CursorPages("next", "continuation-token"), items_at="keys", decode=decode
    )


def csv_rows(api: httpkit.Session) -> Rows:
    def decode(response: httpkit.Response) -> object:
        first, *rows = response.text.splitlines()
        return [dict(zip(first.split(","), row.split(","), strict=True)) for row in rows]

    return api.paginate("report.csv", NumberedPages(end_status=404), decode=decode)


def ndjson_rows(api: httpkit.Session) -> Rows:
    pages = CursorPages("header:X-Next", "after")
    return api.paginate("events", pages, decode=lambda response: list(response.json_lines()))
