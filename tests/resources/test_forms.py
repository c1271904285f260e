"""A document as a form, and resources of servers that take no JSON: what the server saw."""

import datetime as dt
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest

import httpkit
from httpkit._resources.forms import fields


@dataclass
class Line:
    price: str
    quantity: int = 1


@dataclass
class Order:
    customer: str
    lines: list[Line] = field(default_factory=list)
    paid: bool = False
    coupon: str | None = None


class Orders(httpkit.Resource[dict]):
    """Orders, with an action that takes a form."""

    def cancel(self, id, **options):
        return self.request("POST", "{id}/cancel", id=id, **options)


class Shop(httpkit.Session):
    orders = Orders("echo/orders", form=True, update_method="POST")


@pytest.fixture
def shop(sandbox):
    with Shop(sandbox.url) as session:
        yield session


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": "x", "b": 2, "c": 1.5}, [("a", "x"), ("b", "2"), ("c", "1.5")]),
        ({"on": True, "off": False}, [("on", "true"), ("off", "false")]),
        ({"gone": None}, [("gone", "")]),
        ({"a": {"b": {"c": "x"}, "d": "y"}}, [("a[b][c]", "x"), ("a[d]", "y")]),
        ({"a": ["x", "y"]}, [("a[]", "x"), ("a[]", "y")]),
        ({"a": ("x",), "b": []}, [("a[]", "x")]),
        ({"a": [{"b": 1}, {"b": 2}]}, [("a[0][b]", "1"), ("a[1][b]", "2")]),
        ({"a": [["x"], ["y"]]}, [("a[0][]", "x"), ("a[1][]", "y")]),
        ({1: {2: "x"}}, [("1[2]", "x")]),
        ({"at": dt.date(2026, 1, 2)}, [("at", "2026-01-02")]),
        ({"lines": [Line("p")]}, [("lines[0][price]", "p"), ("lines[0][quantity]", "1")]),
        (Line("p", 2), [("price", "p"), ("quantity", "2")]),
        ({}, []),
    ],
    ids=lambda value: repr(value)[:40] if not isinstance(value, list) else "",
)
def test_nested_values_of_a_form_have_brackets(document, expected):
    assert fields(document) == expected


def circle():
    document = {}
    document["self"] = document
    return document


@pytest.mark.parametrize(
    "item",
    [["a"], "a=1", b"a=1", 5, None, {"file": b"bytes"}, {"deep": [{"x": b""}]}, circle()],
    ids=["list", "text", "bytes", "number", "None", "bytes in it", "deep in it", "circle"],
)
def test_values_that_no_form_can_express_are_refused_before_sending(sandbox, shop, item):
    with pytest.raises(httpkit.ConfigurationError, match="form"):
        shop.orders.create(item)

    assert sandbox.requests == []


def test_a_resource_of_forms_creates_with_a_form(sandbox, shop):
    shop.orders.create(Order("c&1", [Line("p=1")]))

    received = sandbox.requests[0]
    assert (received.method, received.headers["content-type"]) == (
        "POST", "application/x-www-form-urlencoded"
    )  # fmt: skip
    assert parse_qsl(received.body.decode(), keep_blank_values=True) == [
        ("customer", "c&1"),
        ("lines[0][price]", "p=1"),
        ("lines[0][quantity]", "1"),
        ("paid", "false"),
    ]


@pytest.mark.parametrize(
    ("change", "method", "body"),
    [
        (lambda orders: orders.replace(7, {"meta": {"a": "b"}}), "PUT", b"meta%5Ba%5D=b"),
        (
            lambda orders: orders.update(7, {"paid": True, "coupon": None}),
            "POST",  # `update_method=` of the resource
            b"paid=true&coupon=",
        ),
    ],
    ids=["replace", "update"],
)
def test_a_resource_of_forms_changes_an_item_with_a_form(sandbox, shop, change, method, body):
    change(shop.orders)

    received = sandbox.requests[0]
    assert (received.method, received.path, received.body) == (method, "/echo/orders/7", body)


def test_a_resource_by_hand_takes_the_same_keywords(sandbox, shop):
    shop.resource("echo/bills", form=True, update_method="POST").update(7, {"paid": True})

    assert (sandbox.requests[0].method, sandbox.requests[0].body) == ("POST", b"paid=true")


def test_other_resources_go_on_sending_json_and_patch(sandbox, shop):
    shop.resource("echo/bills").update(7, {"paid": True})

    assert (sandbox.requests[0].method, sandbox.requests[0].json) == ("PATCH", {"paid": True})


def test_an_action_may_send_a_form(sandbox, shop):
    shop.orders.cancel(7, data={"reason": {"code": "late"}})

    received = sandbox.requests[0]
    assert (received.path, received.body) == ("/echo/orders/7/cancel", b"reason%5Bcode%5D=late")


def test_an_action_sends_one_body(sandbox, shop):
    with pytest.raises(httpkit.ConfigurationError, match="two bodies"):
        shop.orders.cancel(7, data={"a": 1}, json={"a": 1})

    assert sandbox.requests == []


def test_a_form_is_the_same_in_every_attempt(sandbox):
    with Shop(sandbox.url) as shop:
        shop.resource("flaky/orders", form=True, item_path="flaky/{id}").update(
            "a", {"meta": {"a": "b"}}, idempotency_key=True
        )

    assert len(sandbox.requests) == 3
    assert {request.body for request in sandbox.requests} == {b"meta%5Ba%5D=b"}
