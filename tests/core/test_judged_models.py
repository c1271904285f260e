"""A model is judged before anything is sent; pydantic's validate by pydantic, from the bytes."""

import dataclasses
import sys
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
import typing_extensions
from pydantic.dataclasses import dataclass as pydantic_dataclass

import httpkit
from httpkit._core import models


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    at: datetime
    price: Decimal = Decimal(0)


class Cat(pydantic.BaseModel):
    meows: bool


class Dog(pydantic.BaseModel):
    barks: bool


@pydantic_dataclass
class Aliased:
    name: str = pydantic.Field(alias="full-name", min_length=2)


@dataclass
class Left:
    left: int


@dataclass
class Right:
    right: int


@dataclass
class Opaque:
    stream: object
    anything: Any = None


class Custom:
    def __init__(self, one, other):
        self.both = one, other


@dataclass
class Holder:
    custom: Custom


@dataclass
class Priced:
    price: Decimal


@dataclass
class Initial:
    number: int
    seed: dataclasses.InitVar[int] = 0


@attrs.define
class Converted:
    number: int = attrs.field(converter=int)
    names: list[str] = attrs.field(factory=list)


class Owner(typing_extensions.TypedDict):
    pet: Cat | Dog


def test_a_strict_model_reads_what_json_has():
    body = b'{"at": "2026-11-30T12:00:00Z", "price": "1.10"}'

    assert models.decode(body, Strict).at.hour == 12
    assert models.decode_list(b"[" + body + b"]", Strict)[0].price == Decimal("1.10")
    assert models.build({"at": "2026-11-30T12:00:00Z"}, Strict).at.day == 30


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (Cat | Dog, b'{"barks": true}', Dog(barks=True)),
        (list[Cat | Dog], b'[{"meows": true}]', [Cat(meows=True)]),
        (pydantic.TypeAdapter(list[Cat]), b'[{"meows": true}]', [Cat(meows=True)]),
        (Aliased, b'{"full-name": "Ada"}', Aliased(**{"full-name": "Ada"})),
        (list[Aliased], b'[{"full-name": "Ada"}]', [Aliased(**{"full-name": "Ada"})]),
        (Owner, b'{"pet": {"barks": false}}', {"pet": Dog(barks=False)}),
        (dict[str, Cat], b'{"a": {"meows": false}}', {"a": Cat(meows=False)}),
    ],
)
def test_pydantic_validates_what_holds_its_types(model, body, expected):
    models.check(model)
    assert models.decode(body, model) == expected


@pytest.mark.parametrize(
    ("model", "body"),
    [(Aliased, b'{"full-name": "A"}'), (list[Aliased], b'[{"name": "Ada"}]'), (Cat, b"<html>")],
)
def test_what_pydantic_refuses_is_a_mismatch(model, body):
    with pytest.raises(models.MismatchError):
        models.decode(body, model)


def test_the_item_of_a_list_that_pydantic_refuses_is_named():
    with pytest.raises(models.MismatchError) as caught:
        models.decode_list(b'[{"meows": true}, {"meows": 5}]', Cat)

    assert caught.value.item == 1


def test_anything_may_be_in_a_field():
    assert models.decode(b'{"stream": [1]}', Opaque) == Opaque([1])
    assert models.decode(b"[1, {}]", list[object]) == [1, {}]


def test_a_decimal_stays_exact():
    assert models.decode(b'{"price": 1.10}', Priced).price == Decimal("1.10")
    assert models.decode(b"0.1000000000000000055511151231257827", Decimal) == Decimal(
        "0.1000000000000000055511151231257827"
    )


def test_converters_of_attrs_are_called():
    assert models.decode(b'{"number": "7", "names": ["a"]}', Converted) == Converted(7, ["a"])
    assert models.decode_list(b'[{"number": 1.0}]', Converted) == [Converted(1)]


@pytest.mark.parametrize("body", [b'{"number": "x"}', b'{"number": 1, "names": 3}', b"[]", b"{}"])
def test_what_a_converter_refuses_is_a_mismatch(body):
    with pytest.raises(models.MismatchError):
        models.decode(body, Converted)


@attrs.define
class Tag:
    name: str = attrs.field(converter=str.upper)


@attrs.define
class Tagged:
    tags: list[Tag]
    main: Tag | None = None
    by_name: dict[str, Tag] = attrs.field(factory=dict)
    at: datetime | None = None


@dataclasses.dataclass
class Envelope:
    post: Tagged
    count: int = 0


class Row(msgspec.Struct, rename="camel"):
    first_tag: Tag
    pair: tuple[Tag, ...] = ()


class Entry(typing_extensions.TypedDict, total=False):
    tag: Tag


TAGS = b'{"tags": [{"name": "a"}], "main": {"name": "b"}, "by_name": {"x": {"name": "c"}}}'
TAGGED = Tagged([Tag("A")], Tag("B"), {"x": Tag("C")})


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (Tagged, TAGS, TAGGED),
        (list[Tagged], b"[" + TAGS + b"]", [TAGGED]),
        (Envelope, b'{"post": ' + TAGS + b', "count": 2}', Envelope(TAGGED, 2)),
        (dict[str, Tag], b'{"k": {"name": "q"}}', {"k": Tag("Q")}),
        (Tag | None, b"null", None),
        (
            Row,
            b'{"firstTag": {"name": "q"}, "pair": [{"name": "r"}]}',
            Row(Tag("Q"), (Tag("R"),)),
        ),
        (Entry, b'{"tag": {"name": "q"}}', {"tag": Tag("Q")}),
    ],
    ids=["attrs", "list", "dataclass", "dict", "null", "Struct", "TypedDict"],
)
def test_converters_are_called_wherever_their_class_is(model, body, expected):
    assert models.decode(body, model) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"tags": [{"name": "a"}, {"name": 5}]}', r"TypeError: .* - at `\$\.tags\[1\]`"),
        (b'{"tags": [{}]}', r"missing required field `name` - at `\$\.tags\[0\]`"),
        (b'{"tags": {}}', r"Expected `array`, got `object` - at `\$\.tags`"),
        (b'{"tags": [], "main": 3}', r"Expected `object`, got `int` - at `\$\.main`"),
        (b'{"tags": [], "at": "soon"}', r"Invalid RFC3339 .* - at `\$\.at`"),
        (b"{}", "missing required field `tags`"),
        (b"null", "Expected `object`, got `null`"),
    ],
)
def test_what_is_not_of_a_type_with_converters_is_named_by_its_path(body, words):
    with pytest.raises(models.MismatchError, match=words):
        models.decode(body, Tagged)


BAD = [Left | Right, list[Left | Right], Holder, list[Custom], Initial, 7, "Post"]


@pytest.mark.parametrize("model", BAD, ids=repr)
def test_a_model_that_nothing_can_be_decoded_into_is_refused_where_it_is_given(
    model, raw_server, make_response
):
    server = raw_server(make_response(body=b"{}"))

    with httpkit.Session(server.url, retry=None) as api:
        for make in (
            lambda: httpkit.Resource("things", model),
            lambda: httpkit.Singleton("thing", model),
            lambda: api.paginate("things", model=model),
            lambda: api.poll("things", model=model),
            lambda: api.resource("things").get(1, model=model),
        ):
            with pytest.raises(httpkit.ConfigurationError):
                make()

    assert server.requests == []


def test_a_union_says_what_to_do():
    with pytest.raises(httpkit.ConfigurationError, match="tag=, pydantic models, or a callable"):
        httpkit.Resource("pets", Left | Right)


@dataclass
class Early:
    other: "Later"  # noqa: F821  # defined by the test


def test_a_reference_that_is_unresolved_is_judged_before_the_first_request(
    raw_server, make_response, monkeypatch
):
    server = raw_server(make_response(body=b'{"other": {"left": 1}}'))
    module = sys.modules[__name__]

    with httpkit.Session(server.url, retry=None) as api:
        things = api.resource("things", Early)
        with pytest.raises(httpkit.ConfigurationError, match="Later"):
            things.create({})
        assert server.requests == []

        monkeypatch.setattr(module, "Later", Left, raising=False)
        assert things.get(1) == Early(Left(1))


def test_structs_with_tags_are_a_union():
    class One(msgspec.Struct, tag="one"):
        number: int

    class Two(msgspec.Struct, tag="two"):
        text: str

    models.check(One | Two)
    assert models.decode(b'{"type": "two", "text": "a"}', One | Two) == Two("a")


def test_a_callable_is_a_model():
    models.check(lambda document: document)

    assert models.decode(b"[1]", lambda document: document) == [1]


@dataclass
class Unresolved:
    other: "Nowhere"  # noqa: F821  # defined nowhere


@pytest.mark.parametrize("model", [Left | Right, Initial, Unresolved], ids=repr)
def test_decode_refuses_a_model_as_a_configuration_error(model, raw_server, make_response):
    server = raw_server(make_response(body=b'{"left": 1}'))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.ConfigurationError):
        api.get("x").decode(model)
