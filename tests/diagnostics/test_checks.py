"""Numbers that a caller sets: each is refused in the same words, before anything is sent."""

import pytest

import httpkit

HOST = "https://api.example.com"

COUNTS = [
    ("attempts", 1, lambda n: httpkit.RetryPolicy(attempts=n)),
    ("budget", 1, lambda n: httpkit.RetryPolicy(budget=n)),
    ("max_body", 1, lambda n: httpkit.Session(HOST, max_body=n)),
    ("max_size", 0, lambda n: httpkit.Session(HOST).download("file", max_size=n)),
    ("expected_size", 0, lambda n: httpkit.Session(HOST).download("file", expected_size=n)),
    ("max_stalls", 0, lambda n: httpkit.Session(HOST).download("file", max_stalls=n)),
    ("size", 0, lambda n: httpkit.Session(HOST).upload("file", b"", size=n)),
    ("chunk_size", 1, lambda n: httpkit.Session(HOST).upload("file", b"", chunk_size=n)),
    ("max_stalls", 0, lambda n: httpkit.Session(HOST).upload("file", b"", max_stalls=n)),
    ("workers", 1, lambda n: httpkit.Session(HOST).map(str, [], workers=n)),
    ("count", 0, lambda n: httpkit.Session(HOST).paginate("posts").limit(n)),
    ("start", 0, lambda n: httpkit.NumberedPages(start=n)),
    ("limit", 1, lambda n: httpkit.OffsetPages(limit=n)),
]
OPTIONAL = {"budget", "max_body", "max_size", "expected_size", "size", "chunk_size"}
IDS = [f"{name}-{number}" for number, (name, _, _) in enumerate(COUNTS)]


@pytest.mark.parametrize("number", ["too small", True, 1.0, "1"], ids=repr)
@pytest.mark.parametrize(("name", "least", "use"), COUNTS, ids=IDS)
def test_an_invalid_count_is_refused_with_the_same_message(name, least, use, number):
    number = least - 1 if number == "too small" else number

    with pytest.raises(httpkit.ConfigurationError) as caught:
        use(number)

    text = str(caught.value).removesuffix(", or None")
    assert text == f"{name}={number!r} must be a whole number, {least} or more"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for name, case in zip(IDS, COUNTS, strict=True)
        if case[0] not in OPTIONAL
    ],
)
def test_none_is_refused_where_nothing_can_be_off(case):
    name, _, use = case

    with pytest.raises(httpkit.ConfigurationError, match=f"^{name}=None must be .* or more$"):
        use(None)
