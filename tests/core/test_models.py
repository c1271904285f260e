"""From JSON to the caller's types and back: what they promise, whatever made them."""

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import attrs
import msgspec
import pytest
import requests
import typing_extensions

import httpkit
from httpkit._core import models

NOON = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Author:
    name: str
    born: date | None = None


@dataclass
class Post:
    title: str
    author: Author | None = None
    tags: list[str] = field(default_factory=list)
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    colour: Colour
    level: Level
    price: Decimal
    key: UUID
    kind: Literal["a", "b"] = "a"


@dataclass
class Checked:
    low: int
    high: int

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("low is above high")


class Row(TypedDict):
    id: int
    name: str


class Point(NamedTuple):
    x: int
    y: int = 0


@attrs.define
class Leaf:
    id: int
    note: str | None = None


class Node(msgspec.Struct):
    id: int
    parent_id: int | None = msgspec.field(default=None, name="parentId")


class User:
    """What a pydantic model looks like from outside; pydantic itself is not needed here."""

    model_fields: Mapping[str, Any] = {}

    def __init__(self, **values):
        self.__dict__.update(values)

    @classmethod
    def model_validate(cls, value):
        if not isinstance(value, dict) or not isinstance(value.get("id"), int):
            raise ValueError("1 validation error for User\nid\n  Input should be an integer")  # noqa: TRY004  # as pydantic does
        return cls(**value)

    def model_dump(self, mode="python", by_alias=None):
        dumped = dict(self.__dict__)
        return {**dumped, "mode": mode} if dumped.get("wants_mode") else dumped

    def __eq__(self, other):
        return type(other) is User and self.__dict__ == other.__dict__

    __hash__ = None


class FieldInfo:
    serialization_alias = None

    def __init__(self, default):
        self.default = default


class Member(User):
    model_fields: Mapping[str, Any] = {"id": FieldInfo(None), "name": FieldInfo(...)}


UserId = NewType("UserId", int)
EVENT = {
    "at": "2024-02-29T12:30:00Z",
    "colour": "red",
    "level": 1,
    "price": "1.10",
    "key": "00000000-0000-0000-0000-000000000007",
}


def response_of(document):
    """A response with this body: bytes, or what is to be written as JSON."""
    response = httpkit.Response()
    response.status_code = 200
    response.url = "http://127.0.0.1/x"
    response._content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return response


@pytest.fixture
def sandbox(shared_sandbox):
    return shared_sandbox


@pytest.fixture
def sent(sandbox):
    """Return the JSON that the server received when this was sent."""

    def send(item):
        with httpkit.Session(sandbox.url) as api:
            api.post("echo", json=item)
        return sandbox.requests[-1].json

    return send


@pytest.fixture
def created(sandbox):
    """Return the JSON that the server received when this was created."""

    def create(item):
        with httpkit.Session(sandbox.url) as api:
            api.resource("echo").create(item)
        return sandbox.requests[-1].json

    return create


# From JSON


@pytest.mark.parametrize(
    ("model", "document", "value"),
    [
        (Author, {"name": "Ada", "born": "1815-12-10"}, Author("Ada", date(1815, 12, 10))),
        (Post, {"title": "t"}, Post("t")),
        (
            Post,
            {"title": "t", "author": {"name": "Ada"}, "tags": ["x"], "id": 7},
            Post("t", Author("Ada"), ["x"], 7),
        ),
        (Post, {"title": "t", "unknown": {"a": [1]}}, Post("t")),
        (
            Event,
            EVENT,
            Event(NOON, Colour.RED, Level.LOW, Decimal("1.10"), UUID(int=7)),
        ),
        (Checked, {"low": 1, "high": 2}, Checked(1, 2)),
        (Row, {"id": 1, "name": "n"}, {"id": 1, "name": "n"}),
        (Point, [1, 2], Point(1, 2)),
        (Point, [1], Point(1, 0)),
        (Leaf, {"id": 1}, Leaf(1)),
        (Node, {"id": 1, "parentId": 2}, Node(1, 2)),
        (User, {"id": 1, "name": "n"}, User(id=1, name="n")),
        (dict, {"a": None}, {"a": None}),
        (list, [1, "x"], [1, "x"]),
        (str, "x", "x"),
        (int, 2**70, 2**70),
        (float, 1, 1.0),
        (bool, True, True),
        (object, {"a": 1}, {"a": 1}),
        (Any, [None], [None]),
        (datetime, "2024-02-29T12:30:00Z", NOON),
        (Colour, "blue", Colour.BLUE),
        (UUID, "00000000-0000-0000-0000-000000000007", UUID(int=7)),
        (list[Post], [{"title": "a"}, {"title": "b"}], [Post("a"), Post("b")]),
        (dict[str, Leaf], {"a": {"id": 1}}, {"a": Leaf(1)}),
        (list[Row], [{"id": 1, "name": "n"}], [{"id": 1, "name": "n"}]),
        (tuple[int, str], [1, "x"], (1, "x")),
        (set[int], [1, 1, 2], {1, 2}),
        (Sequence[Leaf], [{"id": 1}], [Leaf(1)]),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Post | None, None, None),
        (Post | None, {"title": "t"}, Post("t")),
        (Annotated[int, msgspec.Meta(gt=0)], 5, 5),
        (UserId, 5, 5),
        (len, [1, 2, 3], 3),
        (lambda value: value["a"], {"a": 5}, 5),
        (partial(dict, extra=1), {"a": 5}, {"a": 5, "extra": 1}),
        (date.fromisoformat, "2024-02-29", date(2024, 2, 29)),
    ],
    ids=[
        "dataclass", "defaults", "nested", "unknown field", "field types", "checked", "TypedDict",
        "NamedTuple", "NamedTuple with default", "attrs", "msgspec", "pydantic", "dict", "list",
        "str", "large int", "float", "bool", "object", "Any", "datetime", "Enum", "UUID",
        "list of models", "dict of models", "list of dicts", "tuple", "set", "Sequence", "Mapping",
        "optional, none", "optional, some", "Annotated", "NewType", "builtin", "lambda", "partial",
        "bound method",
    ],
)  # fmt: skip
def test_a_document_becomes_the_model(model, document, value):
    decoded = response_of(document).decode(model)

    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("model", "document", "value"),
    [
        (list[User], [{"id": 1}, {"id": 2}], [User(id=1), User(id=2)]),
        (dict[str, User], {"a": {"id": 1}}, {"a": User(id=1)}),
        (User | None, None, None),
        (User | None, {"id": 1}, User(id=1)),
    ],
    ids=["list", "dict", "none", "some"],
)
def test_a_model_that_validates_itself_does_so_inside_a_generic_too(model, document, value):
    assert response_of(document).decode(model) == value


@pytest.mark.parametrize(
    ("model", "document", "where"),
    [
        (Author, {"name": 5}, "$.name"),
        (Author, {"name": "Ada", "born": "yesterday"}, "$.born"),
        (Author, {"born": None}, "`name`"),
        (Author, [], "`array`"),
        (Author, None, "`null`"),
        (Post, {"title": "t", "author": {"name": None}}, "$.author.name"),
        (Post, {"title": "t", "tags": ["x", 5]}, "$.tags[1]"),
        (Event, {**EVENT, "colour": "pink"}, "$.colour"),
        (Event, {**EVENT, "level": 2}, "$.level"),
        (Event, {**EVENT, "at": "2024-02-30T00:00:00Z"}, "$.at"),
        (Event, {**EVENT, "price": "much"}, "$.price"),
        (Event, {**EVENT, "key": "7"}, "$.key"),
        (Event, {**EVENT, "kind": "c"}, "$.kind"),
        (Checked, {"low": 2, "high": 1}, "low is above high"),
        (Row, {"id": "1", "name": "n"}, "$.id"),
        (Row, {"id": 1}, "`name`"),
        (Point, {"x": 1, "y": 2}, "`object`"),
        (Point, [1, "x"], "$[1]"),
        (Leaf, {"id": 1, "note": 5}, "$.note"),
        (Node, {"id": 1, "parentId": "x"}, "$.parentId"),
        (User, {"id": "x"}, "Input should be an integer"),
        (list[Post], [{"title": "a"}, {"title": 5}], "$[1].title"),
        (list[Post], {"title": "a"}, "`object`"),
        (dict[str, Leaf], {"a": {}}, "`id`"),
        (int, "5", "`str`"),
        (int, True, "`bool`"),
        (str, 5, "`int`"),
        (Annotated[int, msgspec.Meta(gt=0)], 0, ">= 1"),
    ],
    ids=[
        "type", "date", "missing", "list", "null", "nested", "item", "Enum", "IntEnum", "datetime",
        "Decimal", "UUID", "Literal", "own check", "TypedDict", "TypedDict missing", "NamedTuple",
        "NamedTuple item", "attrs", "msgspec", "pydantic", "list of models", "no list",
        "dict of models", "text for int", "bool for int", "int for text", "constraint",
    ],
)  # fmt: skip
def test_a_mismatch_is_a_decode_error_that_says_where(model, document, where):
    response = response_of(document)

    with pytest.raises(httpkit.DecodeError) as caught:
        response.decode(model)

    assert where in str(caught.value)
    assert caught.value.response is response


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (date.fromisoformat, "yesterday"),
        (lambda value: value["name"], {}),
        (lambda value: value["name"], []),
        (lambda value: value.name, {}),
        (lambda value: value[0], []),
    ],
    ids=["ValueError", "KeyError", "TypeError", "AttributeError", "IndexError"],
)
def test_a_callable_that_refuses_the_document_makes_a_decode_error(model, document):
    response = response_of(document)

    with pytest.raises(httpkit.DecodeError) as caught:
        response.decode(model)

    assert caught.value.__cause__ is not None


def test_a_decode_error_names_the_model():
    with pytest.raises(httpkit.DecodeError, match="is not an Author: "):
        response_of([]).decode(Author)


def test_a_document_is_decoded_without_changing_numbers():
    @dataclass
    class Price:
        amount: Decimal

    price = response_of(b'{"amount": 0.12345678901234567890123}').decode(Price)

    assert price.amount == Decimal("0.12345678901234567890123")


def test_get_and_list_decode_an_item_alike(raw_server, make_response):
    @dataclass
    class Price:
        amount: Decimal

    item = b'{"amount": 0.12345678901234567890123}'
    server = raw_server(make_response(body=item), make_response(body=b"[" + item + b"]"))
    with httpkit.Session(server.url) as api:
        prices = api.resource("prices", Price)

        one, many = prices.get(1), list(prices.list())

    assert many == [one]


def test_a_class_with_both_is_validated_by_its_own_validator_everywhere(raw_server, make_response):
    @dataclass
    class Strict:
        id: int

        @classmethod
        def model_validate(cls, value):
            return cls(value["id"] + 100)

    server = raw_server(make_response(body=b'{"id": 1}'), make_response(body=b'[{"id": 1}]'))
    with httpkit.Session(server.url) as api:
        items = api.resource("items", Strict)

        one, many = items.get(1), list(items.list())

    assert [one] == many


# To JSON


@pytest.mark.parametrize(
    ("item", "document"),
    [
        (Post("t", Author("Ada", date(1815, 12, 10)), ["x"], 7),
         {"title": "t", "author": {"name": "Ada", "born": "1815-12-10"}, "tags": ["x"], "id": 7}),
        (Post("t"), {"title": "t", "author": None, "tags": [], "id": None}),
        (Event(NOON, Colour.RED, Level.LOW, Decimal("1.10"), UUID(int=7)), {**EVENT, "kind": "a"}),
        (Leaf(1), {"id": 1, "note": None}),
        (Node(1, 2), {"id": 1, "parentId": 2}),
        (Node(1), {"id": 1, "parentId": None}),
        (User(id=1, name="n"), {"id": 1, "name": "n"}),
        (User(wants_mode=True), {"wants_mode": True, "mode": "json"}),
        (Row(id=1, name="n"), {"id": 1, "name": "n"}),
        (Point(1, 2), [1, 2]),
        ({"a": None, "b": [1, {"c": True}]}, {"a": None, "b": [1, {"c": True}]}),
        ([1, None], [1, None]),
        ((1, 2), [1, 2]),
        ({}, {}),
        ([], []),
        ("text", "text"),
        (5, 5),
        (1.5, 1.5),
        (0, 0),
        (False, False),
    ],
    ids=[
        "dataclass", "defaults", "field types", "attrs", "msgspec", "msgspec defaults", "pydantic",
        "pydantic in JSON mode", "TypedDict", "NamedTuple", "dict", "list", "tuple", "empty dict",
        "empty list", "text", "int", "float", "zero", "False",
    ],
)  # fmt: skip
def test_an_item_is_sent_as_json(sent, item, document):
    assert sent(item) == document


@pytest.mark.parametrize(
    "item",
    [
        pytest.param([Author("Ada")], id="list"),
        pytest.param((Author("Ada"),), id="tuple"),
        pytest.param({"author": Author("Ada")}, id="dict"),
    ],
)
def test_models_inside_json_are_sent_or_refused_before_anything_is_sent(sandbox, item):
    with httpkit.Session(sandbox.url) as api:
        try:
            api.post("echo", json=item)
        except requests.exceptions.InvalidJSONError:
            assert sandbox.requests == []

    assert all('"Ada"' in request.body.decode() for request in sandbox.requests)


def knotted():
    post = Post("t")
    post.author = post
    return post


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(object(), id="object"),
        pytest.param(Post, id="class"),
        pytest.param(knotted(), id="knot"),
        pytest.param({"a": object()}, id="object in a dict"),
        pytest.param({"a": float("nan")}, id="NaN"),
        pytest.param([float("inf")], id="infinity"),
        pytest.param(Post(object()), id="object in a field"),
        pytest.param(iter([1]), id="iterator"),
        pytest.param({("a", 1): 1}, id="odd key"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda api, item: api.post("echo", json=item), id="json"),
        pytest.param(lambda api, item: api.resource("echo").create(item), id="create"),
        pytest.param(lambda api, item: api.resource("echo").replace(1, item), id="replace"),
        pytest.param(lambda api, item: api.resource("echo").update(1, item), id="update"),
    ],
)
def test_values_that_json_cannot_express_are_refused_before_sending(sandbox, call, item):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises((requests.RequestException, ValueError)),
    ):
        call(api, item)

    assert sandbox.requests == []


def test_an_item_is_not_changed_by_being_sent(sent):
    item = {"a": [1, {"b": None}]}

    sent(item)

    assert item == {"a": [1, {"b": None}]}


# What create leaves out


@dataclass
class Draft:
    required: int | None
    unset: int | None = None
    filled: int | None = 5
    made: list[int] | None = field(default_factory=list)


@attrs.define
class AttrsDraft:
    required: int | None
    unset: int | None = None
    filled: int | None = 5


class StructDraft(msgspec.Struct, rename="camel"):
    was_required: int | None
    was_unset: int | None = None
    was_filled: int | None = 5


@pytest.mark.parametrize(
    ("item", "document"),
    [
        (Draft(1), {"required": 1, "filled": 5, "made": []}),
        (Draft(None, None, None, None), {"required": None, "filled": None, "made": None}),
        (AttrsDraft(1), {"required": 1, "filled": 5}),
        (AttrsDraft(None, None, None), {"required": None, "filled": None}),
        (AttrsDraft(1, 2), {"required": 1, "unset": 2, "filled": 5}),
        (StructDraft(1), {"wasRequired": 1, "wasFilled": 5}),
        (StructDraft(None, None, None), {"wasRequired": None, "wasFilled": None}),
        (Member(id=None, name="n"), {"name": "n"}),
        (Member(id=None, name=None), {"name": None}),
        (Member(id=1, name="n"), {"id": 1, "name": "n"}),
        (User(id=None), {"id": None}),
        ({"id": None, "a": 1}, {"id": None, "a": 1}),
        ([{"id": None}], [{"id": None}]),
        (Row(id=1, name="n"), {"id": 1, "name": "n"}),
    ],
    ids=[
        "dataclass", "dataclass of None", "attrs", "attrs of None", "attrs, set", "msgspec",
        "msgspec of None", "pydantic", "pydantic of None", "pydantic, set", "pydantic, no fields",
        "dict", "list", "TypedDict",
    ],
)  # fmt: skip
def test_create_leaves_out_what_is_none_by_default(created, item, document):
    assert created(item) == document


@pytest.mark.parametrize("method", ["replace", "update"])
@pytest.mark.parametrize(
    ("item", "document"),
    [
        (AttrsDraft(1), {"required": 1, "unset": None, "filled": 5}),
        (Author("Ada"), {"name": "Ada", "born": None}),
        ({"a": None}, {"a": None}),
    ],
    ids=["attrs", "dataclass", "dict"],
)
def test_replace_and_update_send_what_they_are_given(sandbox, method, item, document):
    with httpkit.Session(sandbox.url) as api:
        getattr(api.resource("echo"), method)(1, item)

    assert sandbox.requests[-1].json == document


def test_a_dataclass_goes_there_and_back(sandbox):
    with httpkit.Session(sandbox.url) as api:
        posts = api.resource("posts", Post)

        post = posts.create(Post("t", Author("Ada", date(1815, 12, 10)), ["x"]))

    assert post == Post("t", Author("Ada", date(1815, 12, 10)), ["x"], 4)


def test_the_fields_of_a_subclass_are_left_out_too(created):
    @dataclass
    class Longer(Author):
        died: date | None = None

    assert created(Longer("Ada")) == {"name": "Ada"}
    assert [f.name for f in dataclasses.fields(Longer)] == ["name", "born", "died"]


class Checkable(typing_extensions.TypedDict):
    """On Python 3.11 not what typing calls a TypedDict."""

    title: str


def test_a_typed_dict_of_typing_extensions_is_checked_too():
    assert models.decode(b'{"title": "a"}', Checkable) == {"title": "a"}
    with pytest.raises(models.MismatchError, match=r"\$\.title"):
        models.decode(b'{"title": 5}', Checkable)
