"""What resources of real APIs need: envelopes, singletons, 201, 202, 207, ids, models per call."""

import enum
import json
import operator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

import httpkit


@dataclass
class Product:
    title: str
    id: int | None = None


@dataclass
class Title:
    title: str


class Number:
    """An integer of another library, such as numpy's."""

    def __index__(self):
        return 7


class Colour(enum.Enum):
    RED = "red"
    SEVEN = 7
    PAIR = (1, 2)


def lines(server):
    return [request.split(b" HTTP", 1)[0].decode() for request in server.requests]


def sent(request):
    return json.loads(request.partition(b"\r\n\r\n")[2])


# Envelopes


WRAPPED = {"product": {"title": "Hat", "id": 1}}


@pytest.mark.parametrize(
    "call",
    [
        lambda products: products.create({"title": "Hat"}),
        lambda products: products.replace(1, {"title": "Hat"}),
        lambda products: products.update(1, {"title": "Hat"}),
    ],
    ids=["create", "replace", "update"],
)
def test_an_envelope_wraps_what_is_sent_and_unwraps_what_comes_back(serve, reply, call):
    api, server = serve(reply(WRAPPED))

    product = call(api.resource("products", Product, envelope="product"))

    assert product == Product("Hat", 1)
    assert sent(server.requests[0]) == {"product": {"title": "Hat"}}


def test_an_envelope_that_is_missing_in_a_response_is_a_decode_error(serve, reply):
    api, _ = serve(reply({"title": "Hat"}))

    with pytest.raises(httpkit.DecodeError, match="nothing at 'product'"):
        api.resource("products", Product, envelope="product").get(1)


def test_lists_go_by_items_at_and_forms_have_brackets(serve, reply):
    api, server = serve(reply({"products": [{"title": "Hat"}]}), reply(WRAPPED))
    products = api.resource("products", Product, envelope="product", items_at="products", form=True)

    assert list(products.list()) == [Product("Hat")]
    products.create({"title": "Hat"})

    assert server.requests[1].endswith(b"product%5Btitle%5D=Hat")


def test_what_was_sent_comes_back_without_its_envelope(serve, reply):
    api, _ = serve(reply(status="204 No Content"))

    created = api.resource("products", Product, envelope="product").create({"title": "Hat"})

    assert created == Product("Hat")


def test_nested_filters_of_a_form_have_brackets(serve, reply):
    api, server = serve(reply([]))
    charges = api.resource("charges", form=True)

    list(charges.list(params={"created": {"gte": 5, "lt": 9}, "limit": 2}))

    assert lines(server) == ["GET /charges?created%5Bgte%5D=5&created%5Blt%5D=9&limit=2"]


def test_a_nested_filter_is_refused_where_nothing_says_how_it_is_written(serve, reply):
    api, server = serve(reply([]))

    with pytest.raises(httpkit.ConfigurationError, match="filter"):
        api.paginate("things", params={"filter": {"a": 1}})

    assert server.requests == []


# Singletons


class Repos(httpkit.Resource[dict]):
    settings = httpkit.Singleton("settings", Title)


class User(httpkit.Singleton[Title]):
    keys = httpkit.Resource("keys")


class Hub(httpkit.Session):
    user = User("user", Title)
    repos = Repos("repos")


def test_a_singleton_has_no_id(raw_server, reply):
    server = raw_server(reply({"title": "Ada"}))

    with Hub(server.url, retry=None) as hub:
        results = [
            hub.user.get(),
            hub.user.replace({"title": "Ada"}),
            hub.user.update({"title": "Ada"}),
            hub.repos("a/b").settings.get(),
            hub.user.delete(),
        ]
        hub.user.keys.create({"key": "ssh"})

    assert results == [Title("Ada")] * 4 + [None]
    assert lines(server) == [
        "GET /user", "PUT /user", "PATCH /user", "GET /repos/a%2Fb/settings", "DELETE /user",
        "POST /user/keys",
    ]  # fmt: skip


def test_a_singleton_shows_where_it_is():
    hub = Hub("https://api.example.com")

    assert repr(hub.user) == "<User 'user' of Title>"
    assert "PATCH user" in hub.user._repr_html_()
    assert "repos/7/settings" in repr(hub.repos(7).settings)


def test_a_singleton_cannot_hide_what_every_one_has():
    with pytest.raises(httpkit.ConfigurationError, match="'update'"):
        type("Mine", (httpkit.Singleton,), {"update": httpkit.Resource("x")})


# A model for one call


def test_a_call_may_have_a_model_of_its_own(serve, reply):
    api, _ = serve(reply({"title": "Hat"}), reply({"title": "Hat"}), reply([{"title": "Hat"}]))
    products = api.resource("products", Product)

    assert products.get(1, model=Title) == Title("Hat")
    assert products.fetch(1, model=Title).item == Title("Hat")
    assert list(products.list(model=Title)) == [Title("Hat")]


def test_a_part_of_a_response_is_decoded(serve, reply):
    api, _ = serve(reply({"data": {"user": {"title": "Ada"}}}))
    response = api.get("x")

    assert response.decode(Title, at="data.user") == Title("Ada")
    with pytest.raises(httpkit.DecodeError, match=r"nothing at 'data\.users'"):
        response.decode(Title, at="data.users")


# Created and accepted


def test_a_201_with_a_location_and_no_body_gives_the_new_item(serve, reply):
    api, server = serve(
        reply(status="201 Created", location="/products/9"), reply({"title": "Hat", "id": 9})
    )

    created = api.resource("products", Product).create(
        {"title": "Hat"}, headers={"X-Tenant": "a"}, idempotency_key="k"
    )

    assert created == Product("Hat", 9)
    assert lines(server) == ["POST /products", "GET /products/9"]
    assert b"X-Tenant: a" in server.requests[1]
    assert b"dempotency" not in server.requests[1]


@pytest.mark.parametrize("status", ["204 No Content", "201 Created"])
def test_an_entity_id_of_odata_gives_the_new_item(serve, reply, status):
    api, server = serve(
        reply(status=status, odata_entityid="/products(7)"), reply({"title": "Hat", "id": 7})
    )

    assert api.resource("products", Product).create({"title": "Hat"}) == Product("Hat", 7)
    assert lines(server) == ["POST /products", "GET /products(7)"]


def test_an_entity_id_of_what_was_replaced_is_not_requested(serve, reply):
    api, server = serve(reply(status="204 No Content", odata_entityid="/products(7)"))

    assert api.resource("products", Product).replace(7, {"title": "Hat"}) == Product("Hat")
    assert lines(server) == ["PUT /products/7"]


def test_a_location_at_another_origin_gets_no_credentials(raw_server, serve, reply):
    away = raw_server(reply({"title": "Hat"}))
    origin = raw_server(reply(status="201 Created", location=f"{away.url}/products/9"))

    with httpkit.Session(retry=None, auth=httpkit.BearerAuth("session-token-1")) as api:
        products = api.resource(f"{origin.url}/products", Product)
        products.create({"title": "Hat"}, headers={"X-Key": "call-key-1"})

    assert b"session-token-1" in origin.requests[0]
    assert b"token-1" not in away.requests[0]
    assert b"call-key-1" not in away.requests[0]


def test_a_new_item_that_cannot_be_fetched_is_still_said_to_be_there(serve, reply):
    api, _ = serve(reply(status="201 Created", location="/products/9"), reply({}, "403 Forbidden"))

    with pytest.raises(httpkit.ForbiddenError) as caught:
        api.resource("products", Product).create({"title": "Hat"})

    assert any("was created: it is at /products/9" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("field", ["location", "operation-location", "azure-asyncoperation"])
@pytest.mark.parametrize("document", [None, {"title": "half an item", "status": "Running"}])
def test_a_202_names_the_url_to_poll(serve, reply, field, document):
    api, server = serve(reply(document, "202 Accepted", **{field: "/jobs/7"}))

    with pytest.raises(httpkit.OperationPendingError) as caught:
        api.resource("products", Product).create({"title": "Hat"})

    assert caught.value.url == f"{server.url}/jobs/7"


def test_a_202_with_the_item_and_no_url_is_the_item(serve, reply):
    api, _ = serve(reply({"title": "Hat"}, "202 Accepted"))

    assert api.resource("products", Product).create({"title": "Hat"}) == Product("Hat")


GOOGLE = {"name": "projects/p/operations/7", "metadata": {"progress": 10}}
COMPUTE = {"kind": "compute#operation", "name": "operation-7", "status": "RUNNING"}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (GOOGLE, "/projects/p/operations/7"),
        ({**GOOGLE, "done": False}, "/projects/p/operations/7"),
        ({"name": "operations/7"}, "/operations/7"),
        ({**COMPUTE, "selfLink": "/compute/v1/operations/7"}, "/compute/v1/operations/7"),
    ],
    ids=["without done", "not done", "short name", "compute"],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda products: products.create({"title": "Hat"}),
        lambda products: products.update(1, {"title": "Hat"}),
        lambda products: products.delete(1),
        lambda products: products.delete(1, missing_ok=True),
    ],
    ids=["create", "update", "delete", "delete what may be missing"],
)
def test_an_operation_in_place_of_the_item_names_its_url(serve, reply, change, document, path):
    api, server = serve(reply(document))

    with pytest.raises(httpkit.OperationPendingError, match="not done yet") as caught:
        change(api.resource("products", Product))

    assert caught.value.url == f"{server.url}{path}"


def test_an_operation_that_is_done_at_once_gives_its_item(serve, reply):
    api, _ = serve(reply({**GOOGLE, "done": True, "response": {"title": "Hat"}}))

    assert api.resource("products", Product).create({"title": "Hat"}) == Product("Hat")


def test_an_operation_that_failed_at_once_raises_the_words_of_the_server(serve, reply):
    api, _ = serve(reply({**GOOGLE, "done": True, "error": {"code": 8, "message": "quota"}}))

    with pytest.raises(httpkit.OperationFailedError, match="quota"):
        api.resource("products", Product).create({"title": "Hat"})


def test_an_item_that_is_named_and_not_done_is_an_item(serve, reply):
    api, _ = serve(reply({"name": "Buy operations manual", "done": False}))

    assert api.resource("tasks").create({})["done"] is False


@pytest.mark.parametrize("field", ["location", "operation-location", "azure-asyncoperation"])
def test_a_delete_that_is_only_accepted_names_the_url_to_poll(serve, reply, field):
    api, server = serve(reply(None, "202 Accepted", **{field: "/jobs/7"}))

    with pytest.raises(httpkit.OperationPendingError) as caught:
        api.resource("products").delete(1)

    assert caught.value.url == f"{server.url}/jobs/7"


def test_a_delete_that_is_accepted_without_a_url_is_done(serve, reply):
    api, _ = serve(reply(None, "202 Accepted"))

    assert api.resource("products").delete(1) is None


def test_update_reads_the_item_again_with_the_same_parameters(serve, reply):
    api, server = serve(reply(status="204 No Content"), reply({"title": "Hat"}))

    api.resource("products", Product).update(1, {}, params={"fields": "title"})

    assert lines(server) == ["PATCH /products/1?fields=title", "GET /products/1?fields=title"]


# Deleting


def test_what_is_missing_may_be_deleted(serve, reply):
    api, _ = serve(reply({}, "404 Not Found"))
    products = api.resource("products")

    assert products.delete(1, missing_ok=True) is None
    with pytest.raises(httpkit.NotFoundError):
        products.delete(1)


@pytest.mark.parametrize("lost", [None, "502 Bad Gateway", "504 Gateway Timeout"])
def test_a_delete_whose_response_was_lost_was_done(serve, reply, lost):
    received = []
    api, server = serve(
        None if lost is None else reply({}, lost),
        reply({}, "404 Not Found"),
        retry=httpkit.RetryPolicy(on_retry=received.append),
    )

    assert api.resource("products").delete(1) is None
    assert (len(server.requests), len(received)) == (2, 1)


def test_a_404_after_a_rejection_is_a_404(serve, reply):
    api, _ = serve(reply({}, "503 Service Unavailable"), reply({}, "404 Not Found"), retry=3)

    with pytest.raises(httpkit.NotFoundError):
        api.resource("products").delete(1)


# Many at once


ROWS = [
    {"status": 201, "body": {"title": "Hat", "id": 1}},
    {"status": 422, "error": {"message": "no title"}},
    {"status": "200 OK", "item": {"title": "Cap"}},
]


@pytest.mark.parametrize(
    "document",
    [
        ROWS,
        {"results": ROWS},
        {"errors": True, "items": [{"index": row} for row in ROWS]},
        {"responses": [{"id": n, **row} for n, row in enumerate(ROWS)]},
    ],
    ids=["list", "results", "Elasticsearch", "Graph"],
)
def test_a_207_gives_a_result_for_each_item(serve, reply, document):
    api, server = serve(reply(document, "207 Multi-Status"))

    results = api.resource("products", Product).bulk("PATCH", [{}, {}, {}], url="bulk")

    assert [(r.status, r.ok, r.item) for r in results] == [
        (201, True, Product("Hat", 1)),
        (422, False, None),
        (200, True, Product("Cap")),
    ]
    assert results[1].error == "no title"
    assert lines(server) == ["PATCH /products/bulk"]


def test_create_many_gives_no_failed_row_as_an_item(serve, reply):
    api, _ = serve(reply(ROWS, "207 Multi-Status"))

    with pytest.raises(httpkit.PartialFailureError, match="1 of 3 items failed") as caught:
        api.resource("products", Product).create_many([{}, {}, {}])

    assert [result.ok for result in caught.value.results] == [True, False, True]


def test_create_many_with_207_without_a_failure_gives_the_items(serve, reply):
    api, _ = serve(reply([ROWS[0], ROWS[2]], "207 Multi-Status"))

    made = api.resource("products", Product).create_many([{}, {}])

    assert made == [Product("Hat", 1), Product("Cap")]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"status": "OK", "body": {"title": "Hat"}}, {"status": "FAILED", "reason": "a duplicate"}),
        ({"ok": True, "value": {"title": "Hat"}}, {"ok": False, "reason": "a duplicate"}),
        ({"code": 201, "data": {"title": "Hat"}}, {"code": 409, "message": "a duplicate"}),
        (
            {"success": True, "result": {"title": "Hat"}, "errors": []},
            {"success": False, "errors": [{"message": "a duplicate"}]},
        ),
    ],
    ids=["word", "ok", "code", "success"],
)
@pytest.mark.parametrize("name", ["results", "multiStatus", None], ids=repr)
def test_what_failed_of_a_207_is_known_in_many_dialects(serve, reply, good, bad, name):
    rows = [good, bad]
    api, _ = serve(reply(rows if name is None else {name: rows}, "207 Multi-Status"))

    text = "1 of 2 items failed .*: item 2: a duplicate"
    with pytest.raises(httpkit.PartialFailureError, match=text) as caught:
        api.resource("products", Product).create_many([{}, {}])

    assert [result.item for result in caught.value.results] == [Product("Hat"), None]


def test_a_row_of_flags_alone_has_no_item(serve, reply):
    rows = [{"success": True, "id": "001", "errors": []}, {"success": False, "errors": []}]
    api, _ = serve(reply(rows))

    results = api.resource("products", Product).bulk("PATCH", [{}, {}])

    assert [(r.ok, r.item, r.error) for r in results] == [
        (True, None, None),
        (False, None, "no reason given"),
    ]


def test_a_status_that_is_a_field_of_an_item_is_not_its_result(serve, reply):
    api, _ = serve(reply([{"id": 1, "status": "failed"}]))

    (result,) = api.resource("payments").bulk("PATCH", [{}])

    assert (result.ok, result.item) == (True, {"id": 1, "status": "failed"})


@pytest.mark.parametrize("document", [None, [], [ROWS[0]]], ids=["empty", "no rows", "one row"])
def test_a_207_without_a_result_for_each_item_is_a_decode_error(serve, reply, document):
    api, _ = serve(reply(document, "207 Multi-Status"))

    with pytest.raises(httpkit.DecodeError, match=r"is empty|has \d results for 2 items"):
        api.resource("products", Product).create_many([{}, {}])


@pytest.mark.parametrize(
    ("document", "good"),
    [
        (
            {
                "status": "COMPLETE",
                "results": [{"title": "Hat", "id": 1}],
                "numErrors": 1,
                "errors": [{"status": "error", "message": "a duplicate", "context": {"id": ["2"]}}],
            },
            [Product("Hat", 1)],
        ),
        ({"created": [{"title": "Hat"}], "failed": [{"error": "a duplicate"}]}, [Product("Hat")]),
        ({"errors": ["a duplicate"]}, []),
        ({"errors": [{"message": "a duplicate"}], "results": []}, []),
    ],
    ids=["HubSpot", "created and failed", "texts alone", "none stored"],
)
def test_a_207_with_a_list_of_failures_gives_them_last(serve, reply, document, good):
    api, _ = serve(reply(document, "207 Multi-Status"))

    results = api.resource("products", Product).bulk("POST", [{}] * (len(good) + 1))

    assert [result.item for result in results if result.ok] == good
    assert (results[-1].ok, results[-1].error) == (False, "a duplicate")


@pytest.mark.parametrize(
    "bad",
    [
        {"statusCode": 400, "result": [{"errorCode": "DUPLICATE", "message": "a duplicate"}]},
        {"code": 409, "body": {"title": "a duplicate"}},
        {"status": 409, "Code": "Duplicate", "Message": "a duplicate"},
    ],
    ids=["in a list", "in the body", "capital letters"],
)
def test_the_reason_of_a_failed_row_is_found(serve, reply, bad):
    api, _ = serve(reply([bad], "207 Multi-Status"))

    (result,) = api.resource("products").bulk("POST", [{}])

    assert result.error == "a duplicate"


FAILED_ROWS = [
    {"code": "DUPLICATE_DATA", "details": {}, "message": "a duplicate", "status": "error"},
    {"success": False, "errors": [{"statusCode": "DUPLICATE", "message": "a duplicate"}]},
    {"ok": False, "message": "a duplicate"},
    {"id": 7, "status": 409, "error": "a duplicate"},
    {"ErrorCode": "Conflict", "ErrorMessage": "a duplicate", "success": False},
]


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
@pytest.mark.parametrize("row", FAILED_ROWS, ids=["Zoho", "Salesforce", "flag", "number", "Amazon"])
def test_a_row_that_reports_a_failure_is_no_item_without_a_207(serve, reply, row, status):
    api, _ = serve(*[reply({"data": [row, {"title": "Hat"}]}, status)] * 2)
    products = api.resource("products", items_at="data")

    results = products.bulk("POST", [{}, {}])
    with pytest.raises(httpkit.PartialFailureError, match=r"1 of 2 .*: item 1: a duplicate"):
        products.create_many([{}, {}])

    assert [(r.ok, r.item) for r in results] == [(False, None), (True, {"title": "Hat"})]
    assert results[0].error == "a duplicate"
    assert results[0].document == row
    assert repr(results[0]).endswith("error='a duplicate')")


def test_failures_beside_what_was_created_are_not_lost(serve, reply):
    document = {"results": [{"title": "Hat"}], "errors": [{"message": "a duplicate"}]}
    api, _ = serve(reply(document, "201 Created"))
    products = api.resource("products", Product, items_at="results")

    with pytest.raises(httpkit.PartialFailureError, match="item 2: a duplicate") as caught:
        products.create_many([{}, {}])

    assert [result.item for result in caught.value.results] == [Product("Hat"), None]


@pytest.mark.parametrize(
    "item",
    [
        {"id": 1, "message": "hello", "status": "failed"},
        {"id": 1, "title": "Hat", "code": "H7", "status": "error"},
        {"status": "success", "code": "H7", "message": "made"},
    ],
    ids=["message", "other fields", "success"],
)
def test_a_row_that_may_be_an_item_is_one(serve, reply, item):
    api, _ = serve(*[reply([item])] * 2)
    products = api.resource("products")

    assert products.create_many([{}]) == [item]
    assert [(r.ok, r.item) for r in products.bulk("POST", [{}])] == [(True, item)]


@dataclass
class Check:
    id: int
    ok: bool | None = None
    code: str | None = None
    status: str | None = None
    error_message: str | None = None


@pytest.mark.parametrize(
    "item",
    [
        {"id": 1, "ok": False},
        {"id": 1, "code": "H404", "status": "failed", "message": "declined"},
        {"id": 1, "code": "415", "message": "area"},
        {"id": 1, "status": "failed", "error": None},
    ],
    ids=["flag", "payment", "number", "null"],
)
def test_fields_of_the_model_report_no_failure(serve, reply, item):
    api, _ = serve(*[reply([item])] * 2)
    checks = api.resource("checks", Check)
    made = Check(1, item.get("ok"), item.get("code"), item.get("status"))

    assert checks.create_many([{}]) == [made]
    assert [(r.ok, r.item) for r in checks.bulk("POST", [{}])] == [(True, made)]


def test_create_many_gives_an_item_whose_model_has_its_error(serve, reply):
    api, _ = serve(reply([{"id": 1, "status": "failed", "errorMessage": "boom"}]))

    assert api.resource("checks", Check).create_many([{}]) == [Check(1, status="failed")]


def test_an_error_fails_a_row_of_a_bulk_request_whose_model_has_such_a_field(serve, reply):
    api, _ = serve(reply([{"id": 1, "status": "error", "errorMessage": "boom"}]))

    assert [r.error for r in api.resource("checks", Check).bulk("PATCH", [{}])] == ["boom"]


def test_what_is_no_item_of_the_model_is_a_failure(serve, reply):
    api, _ = serve(reply([{"id": None, "ok": False, "message": "a duplicate"}]))

    with pytest.raises(httpkit.PartialFailureError, match="item 1: a duplicate"):
        api.resource("checks", Check).create_many([{}])


def test_fields_that_were_sent_report_no_failure(serve, reply):
    sent = {"code": "H404", "ok": False, "message": "hello"}
    api, _ = serve(reply([{"id": 1, **sent}]))

    assert api.resource("checks").create_many([sent]) == [{"id": 1, **sent}]


@pytest.mark.parametrize(
    "row",
    [{"code": "H404", "ok": False, "message": "a duplicate"}, {"code": "H404", "ok": False}],
    ids=["other", "part"],
)
def test_a_row_that_repeats_a_part_of_what_was_sent_is_a_failure(serve, reply, row):
    api, _ = serve(reply([row]))
    sent = {"code": "H404", "ok": True, "message": "hello"}

    with pytest.raises(httpkit.PartialFailureError):
        api.resource("checks").create_many([sent])


@pytest.mark.parametrize(
    "item", [{"id": 1, "code": 404}, {"id": 1, "error": None, "status": "failed"}], ids=str
)
def test_a_number_or_an_empty_error_alone_report_no_failure(serve, reply, item):
    api, _ = serve(reply([item]))

    assert api.resource("checks").create_many([{}]) == [item]


def test_a_word_for_what_was_done_is_not_the_item(serve, reply):
    rows = [{"index": {"_id": "1", "status": 201, "result": "created"}}]
    api, _ = serve(reply({"errors": False, "items": rows}))

    (result,) = api.resource("products").bulk("POST", [{}])

    assert (result.status, result.item) == (201, rows[0]["index"])


def test_a_text_may_be_an_item(serve, reply):
    api, _ = serve(reply([{"status": 201, "value": "Hat"}, {"status": 201, "value": "Cap"}]))

    results = api.resource("names", str).bulk("POST", ["hat", "cap"])

    assert [result.item for result in results] == ["Hat", "Cap"]


def test_a_document_that_contains_the_items_is_sent_as_it_is(serve, reply):
    responses = [
        {"id": "1", "status": 200, "body": {"title": "Hat"}},
        {"id": "2", "status": 404, "body": {"error": {"message": "no such product"}}},
    ]
    api, server = serve(reply({"responses": responses}))
    document = {"requests": [{"id": "1", "at": date(2026, 1, 2)}, {"id": "2"}]}

    results = api.resource("products", Product).bulk("POST", document, url="$batch")

    assert [(r.item, r.error) for r in results] == [
        (Product("Hat"), None),
        (None, "no such product"),
    ]
    assert sent(server.requests[0])["requests"][0] == {"id": "1", "at": "2026-01-02"}
    assert lines(server) == ["POST /products/$batch"]


@pytest.mark.parametrize("items", [{"records": []}, [{}]], ids=["document", "list"])
def test_many_items_are_not_sent_as_a_form(serve, items):
    api, server = serve()

    with pytest.raises(httpkit.ConfigurationError, match="one by one"):
        api.resource("products", form=True).bulk("POST", items)

    assert server.requests == []


@pytest.mark.parametrize("status", ["200 OK", "207 Multi-Status"])
def test_failures_beside_an_unknown_list_lose_no_item(serve, reply, status):
    document = {"new_members": [{"title": "Hat"}], "errors": [{"error": "a duplicate"}]}
    api, _ = serve(reply(document, status))

    with pytest.raises(httpkit.DecodeError, match="'new_members'"):
        api.resource("products", Product).bulk("POST", [{}, {}])


def test_an_envelope_names_many_as_lists_do(serve, reply):
    api, server = serve(reply({"tickets": [{"title": "a"}]}))
    tickets = api.resource("tickets", Title, envelope="ticket", items_at="tickets")

    assert tickets.create_many([{"title": "a"}]) == [Title("a")]
    assert sent(server.requests[0]) == {"tickets": [{"title": "a"}]}


# Ids


@pytest.mark.parametrize(
    ("id", "segment"),
    [
        ("a b", "a%20b"),
        (7, "7"),
        (Number(), "7"),
        (UUID(int=7), str(UUID(int=7))),
        (date(2026, 11, 30), "2026-11-30"),
        (datetime(2026, 11, 30, 12, tzinfo=UTC), "2026-11-30T12%3A00%3A00Z"),
        (Colour.RED, "red"),
        (Colour.SEVEN, "7"),
    ],
)
def test_an_id_is_text_a_number_or_a_date(serve, reply, id, segment):
    api, server = serve(reply({}))

    api.resource("things").get(id)

    assert lines(server) == [f"GET /things/{segment}"]


@pytest.mark.parametrize(
    "id", [None, True, False, 1.5, [1], {"id": 1}, (1,), object(), Colour.PAIR, operator.index]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda things, key: things.get(key),
        lambda things, key: things.delete(key),
        lambda things, key: things(key),
        lambda things, key: things.request("POST", "{id}/act", id=key),
    ],
    ids=["get", "delete", "call", "request"],
)
def test_anything_else_is_not_an_id(serve, reply, call, id):
    api, server = serve(reply({}))

    with pytest.raises(httpkit.ConfigurationError, match="id="):
        call(api.resource("things"), id)

    assert server.requests == []


# Items beside their list


class Issues(httpkit.Resource[dict]):
    comments = httpkit.Resource("comments", item_path="../comments/{id}")


class ManyRepos(httpkit.Resource[dict]):
    issues = Issues("issues")


class GitHub(httpkit.Session):
    repos = ManyRepos("user/repos", item_path="repos/{+id}")


def test_an_item_may_be_beside_its_list(raw_server, reply):
    server = raw_server(reply({}), reply([]))

    with GitHub(server.url, retry=None) as hub:
        comments = hub.repos("a/b").issues(7).comments
        comments.update(1, {"body": "x"})
        list(comments.list())

    assert lines(server) == [
        "PATCH /repos/a/b/issues/comments/1",
        "GET /repos/a/b/issues/7/comments",
    ]


# Options


@pytest.mark.parametrize("name", ["on_status", "path", "stream", "raise_for_status"])
def test_a_keyword_that_a_resource_does_not_know_is_a_type_error(serve, reply, name):
    api, server = serve(reply({}))
    things = api.resource("things")

    for call in (things.get, things.fetch, things.delete, things.exists):
        with pytest.raises(TypeError, match=name):
            call(1, **{name: {}})

    assert server.requests == []


def test_options_of_a_request_reach_it(serve, reply):
    api, server = serve(None, reply({}), retry=None)

    api.resource("things").get(1, retry=2, cookies={"a": "b"}, verify=True)

    assert len(server.requests) == 2
    assert b"Cookie: a=b" in server.requests[1]
