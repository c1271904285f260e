"""Values that pandas and numpy hold, as parameters, forms, JSON and ids."""

import json
from urllib.parse import parse_qs

import pytest

import httpkit
from tests.support.interop import require

np = require("numpy")
pd = require("pandas")

FRAME = pd.DataFrame(
    {
        "id": [7, 8],
        "share": [0.5, 0.25],
        "is_new": [True, False],
        "at": pd.to_datetime(["2026-11-30T12:00:00Z", "2026-12-01T12:00:00Z"]),
        "took": pd.to_timedelta(["90s", "1h"]),
    }
)
TEXTS = {"id": "7", "share": "0.5", "is_new": "true", "at": "2026-11-30T12:00:00Z", "took": "PT90S"}


@pytest.mark.parametrize(("column", "text"), TEXTS.items(), ids=TEXTS)
def test_a_cell_is_sent_as_the_value_that_it_is(sent, column, text):
    value = FRAME.loc[0, column]

    query = sent("GET", params={"v": value}).query
    form = parse_qs(sent("POST", data={"v": value}).body.decode())
    document = json.loads(sent("POST", json={"v": value}).body)

    assert query == form == {"v": [text]}
    assert document["v"] == (json.loads(text) if column in {"id", "share", "is_new"} else text)


@pytest.mark.parametrize(("column", "text"), TEXTS.items(), ids=TEXTS)
def test_a_column_is_sent_as_a_list(sent, column, text):
    values = sent("GET", params={"v": FRAME[column]}).query["v"]

    assert (values[0], len(values)) == (text, 2)


@pytest.mark.parametrize(
    "value", [np.array([1, 2]), pd.NaT, FRAME, np.float32(0.5), np.array([True])[0]]
)
def test_what_is_no_id_is_refused(sandbox, value):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(httpkit.ConfigurationError, match="id="),
    ):
        api.resource("users").get(value)

    assert sandbox.requests == []


@pytest.mark.parametrize("value", [pd.NaT, np.array([[1]])], ids=["no time", "an array of arrays"])
def test_what_has_no_text_is_refused(sandbox, value):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.ConfigurationError):
        api.get("echo", params={"v": value})

    assert sandbox.requests == []


def test_an_integer_of_numpy_is_an_id(shared_sandbox):
    with httpkit.Session(shared_sandbox.url) as api:
        api.resource("posts").exists(np.int64(7))

    assert shared_sandbox.requests[0].path.endswith("/posts/7")
