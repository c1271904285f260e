"""One text for a value in query, form, path and JSON, and what is refused before it is sent."""

import datetime as dt
import enum
import json
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qs
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
import requests

import httpkit


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    ONE = "one"


@dataclass
class Point:
    x: int
    at: dt.datetime


class Moment(dt.datetime):
    """As pandas, pendulum and freezegun have."""


class Duration(dt.timedelta):
    """As pandas and pendulum have."""


class NotATime(dt.datetime):
    """As pandas has: it equals nothing."""

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    __hash__ = dt.datetime.__hash__


NOON = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
TEXTS = {
    "true": (True, "true"),
    "false": (False, "false"),
    "enum": (Color.RED, "red"),
    "int enum": (Level.HIGH, "3"),
    "str enum": (Word.ONE, "one"),
    "moment": (NOON, "2026-11-30T12:00:00Z"),
    "local time": (dt.datetime(2026, 11, 30, 12, 0), "2026-11-30T12:00:00"),  # noqa: DTZ001  # without a zone
    "offset": (NOON.astimezone(dt.timezone(dt.timedelta(hours=2))), "2026-11-30T14:00:00+02:00"),
    "date": (dt.date(2026, 11, 30), "2026-11-30"),
    "time": (dt.time(8, 30), "08:30:00"),
    "decimal": (Decimal("1.10"), "1.10"),
    "uuid": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "integer": (7, "7"),
    "float": (0.5, "0.5"),
    "text": ("a b", "a b"),
    "moment of another class": (Moment(2026, 11, 30, 12, tzinfo=dt.UTC), "2026-11-30T12:00:00Z"),
    "duration of another class": (Duration(seconds=90), "PT90S"),
}
SPELLED = pytest.mark.parametrize(("value", "text"), TEXTS.values(), ids=TEXTS)


@SPELLED
def test_a_parameter_has_the_text_of_a_value(sent, value, text):
    assert sent("GET", params={"v": value}).query == {"v": [text]}


@SPELLED
def test_parameters_as_pairs_have_the_text_of_a_value(sent, value, text):
    assert sent("GET", params=[("v", [value, value])]).query == {"v": [text, text]}


@SPELLED
def test_a_field_of_a_form_has_the_text_of_a_value(sent, value, text):
    bodies = [sent("POST", data=data).body.decode() for data in ({"v": value}, [("v", value)])]

    assert [requests.compat.unquote_plus(body) for body in bodies] == [f"v={text}"] * 2


@SPELLED
def test_a_path_has_the_text_of_a_value(sent, value, text):
    path = sent("GET", "echo/{v}", path={"v": value}).path

    assert requests.compat.unquote(path.rpartition("/")[2]) == text


@SPELLED
def test_json_has_the_same_text_at_any_depth(sent, value, text):
    body = json.loads(sent("POST", json={"a": [{"v": value}]}).body)

    found = body["a"][0]["v"]
    assert found == (value if type(value) in {bool, int, float} else found)
    assert (json.dumps(found) if not isinstance(found, str) else found) == text


def test_a_model_within_a_document_is_encoded(sent):
    class Named(pydantic.BaseModel):
        name: str
        price: Decimal

    document = {"points": [Point(1, NOON)], "one": {"of": Named(name="a", price="1.10")}}

    body = json.loads(sent("POST", json=document).body)

    assert body == {
        "points": [{"x": 1, "at": "2026-11-30T12:00:00Z"}],
        "one": {"of": {"name": "a", "price": "1.10"}},
    }


def test_variables_of_graphql_are_encoded_at_any_depth(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.graphql("query($f: F) { echo }", {"f": {"since": NOON, "point": Point(1, NOON)}})

    variables = json.loads(sandbox.requests[-1].body)["variables"]
    assert variables["f"]["since"] == "2026-11-30T12:00:00Z"
    assert variables["f"]["point"]["x"] == 1


URL = pydantic.TypeAdapter(pydantic.AnyUrl).validate_python("https://a.test/")
OTHERS = {
    "generator": (lambda: (value for value in (True, Color.RED)), ["true", "red"]),
    "deque": (lambda: deque([True]), ["true"]),
    "range": (lambda: range(2), ["0", "1"]),
    "bytearray": (lambda: bytearray(b"ab"), ["ab"]),
    "memory": (lambda: memoryview(b"ab"), ["ab"]),
    "URL": (lambda: URL, ["https://a.test/"]),
}


@pytest.mark.parametrize("where", ["params", "data"])
@pytest.mark.parametrize(("make", "texts"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_plain_value_or_list_has_a_text_too(sent, where, make, texts):
    received = sent("POST", **{where: {"v": make()}})

    given = received.query if where == "params" else parse_qs(received.body.decode())
    assert given == {"v": texts}


@attrs.define
class Pair:
    left: int = 1


class Row(msgspec.Struct):
    a: int = 1


class User(pydantic.BaseModel):
    name: str = "ada"
    password: pydantic.SecretStr = pydantic.SecretStr("hunter2-word")


class Nameless(enum.Enum):
    OF_NOTHING = ({"a": 1},)
    OF_A_MAPPING = {"a": 1}  # noqa: RUF012  # what an Enum may be


REFUSED = {
    "dataclass": (Point(1, NOON), "is a Point"),
    "attrs": ([Pair()], "is a Pair"),
    "msgspec": (Row(), "is a Row"),
    "pydantic": (User(), "is a User"),
    "object": (object(), "has no text"),
    "function": (len, "has no text"),
    "class": ([int], "has no text"),
    "no time": (NotATime(2026, 1, 1), "is not a time"),
    "enum of a mapping": (Nameless.OF_A_MAPPING, "nested mapping"),
    "enum of a list": (Nameless.OF_NOTHING, "list within a list"),
    "generators in a list": ([range(2)], "is a list within a list"),
    "nested mapping": ({"a": 1}, "nested mapping"),
    "nested list": ([["a"]], "list within a list"),
    "secret": (pydantic.SecretStr("hunter2-word"), "get_secret_value"),
}
REFUSALS = pytest.mark.parametrize(("value", "why"), REFUSED.values(), ids=REFUSED)


@REFUSALS
@pytest.mark.parametrize("where", ["params", "data"])
def test_what_has_no_text_is_refused_before_anything_is_sent(sandbox, value, why, where):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(httpkit.ConfigurationError, match=f"{where}: 'filter' .*{why}") as caught,
    ):
        api.post("echo", **{where: {"filter": value}})

    assert sandbox.requests == []
    assert "hunter2" not in str(caught.value)


NO_NAME = pytest.mark.parametrize(
    "value",
    [
        {"a": 1}, ["a"], object(), pydantic.SecretStr("hunter2-word"), ("a",), int,
        NotATime(2026, 1, 1), User(), len,
    ],
    ids=[
        "mapping", "list", "object", "secret", "tuple", "class", "no time", "model",
        "function",
    ],
)  # fmt: skip


@NO_NAME
def test_what_names_nothing_is_refused_as_an_id(sandbox, value):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(httpkit.ConfigurationError, match="id="),
    ):
        api.resource("users").get(value)

    assert sandbox.requests == []


@NO_NAME
def test_what_names_nothing_is_refused_in_a_path(sandbox, value):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(ValueError, match="the path value id") as caught,
    ):
        api.get("posts/{id}", path={"id": value})

    assert sandbox.requests == []
    assert "hunter2" not in str(caught.value)


class Account(pydantic.BaseModel):
    keys: list[pydantic.SecretStr]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        b"x",
        {"a": object()},
        pydantic.SecretStr("hunter2-word"),
        Account(keys=["hunter2"]),
    ],
    ids=["object", "bytes", "deep", "secret", "secret in a model"],
)
def test_values_that_json_cannot_express_are_refused(sandbox, value):
    with httpkit.Session(sandbox.url) as api, pytest.raises(requests.exceptions.InvalidJSONError):
        api.post("echo", json={"v": value})

    assert sandbox.requests == []


def test_the_format_of_requests_stays_with_strict_false(sandbox):
    with httpkit.Session(sandbox.url, strict=False) as api:
        api.get("echo", params={"v": True})

    assert sandbox.requests[-1].query == {"v": ["True"]}
