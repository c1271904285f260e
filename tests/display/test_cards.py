"""Cards: what they show, what they hide, what they leave out, and that nothing is done for them."""

import base64
import itertools
import json
import pickle
import re
import subprocess
import sys
import time

import pytest
import requests

import httpkit
from httpkit._display import html
from tests.support.gallery import BODIES, Blog, Post, Seen, formatted, gallery, png, raised

# Never given to a session: a value that one test has hidden is hidden in the next. In a table of
# cases it stands for a secret of the case's own.
CANARY = "c4n4ry-xyzzy"
_NUMBERS = itertools.count(100_000)

# What JupyterLab 4.7 leaves of the HTML in a saved notebook when it opens that again, as far as
# cards use it: the tags, their attributes, the properties of `style` with their values.
# https://github.com/jupyterlab/jupyterlab/blob/main/packages/apputils/src/sanitizer.ts
# test_cards_in_a_browser.py plays the cards to the sanitiser itself.
TAGS = {
    "div": {"style"}, "span": {"style"}, "b": set(), "pre": {"style"},
    "table": {"style"}, "thead": set(), "tbody": set(), "tr": {"style"}, "th": {"style"},
    "td": {"style"}, "details": {"style", "open"}, "summary": {"style"},
    "img": {"style", "src", "alt"},
}  # fmt: skip
_LENGTH = r"(?:0|\d+(?:\.\d+)?(?:px|em|%))"
_COLOUR = r"(?:#[0-9a-f]{3,6}|rgba\(\d{1,3},\d{1,3},\d{1,3},0\.\d+\))"  # no currentColor, no var()
STYLES = {
    "background": rf"{_COLOUR}|none",
    "border": rf"none|1px solid {_COLOUR}",
    "border-collapse": "collapse",
    "border-left": rf"{_LENGTH} solid {_COLOUR}",
    "border-radius": _LENGTH,
    "color": _COLOUR,
    "cursor": "pointer",
    "font-family": "monospace",
    "font-weight": "normal",
    "line-height": r"\d\.\d",
    "margin": rf"{_LENGTH}(?: {_LENGTH}){{0,3}}",
    "max-height": _LENGTH,
    "max-width": _LENGTH,
    "min-width": _LENGTH,
    "opacity": r"0\.\d+",
    "overflow": "auto",
    "overflow-wrap": "break-word",  # not "anywhere"
    "padding": rf"{_LENGTH}(?: {_LENGTH}){{0,3}}",
    "table-layout": "auto",
    "text-align": "left",
    "vertical-align": "top",
    "white-space": "pre|pre-wrap",
}


def stripped(card):
    """Return what JupyterLab would take out of a card, by the tables above."""
    for tag, attributes in Seen(card).tags:
        if tag not in TAGS:
            yield tag
            continue
        yield from (f"{tag} {name}" for name in attributes.keys() - TAGS[tag])
        for declaration in filter(None, attributes.get("style", "").split(";")):
            name, _, value = declaration.partition(":")
            if not re.fullmatch(STYLES.get(name, "(?!)"), value):
                yield declaration


@pytest.fixture
def shown(raw_server):
    """Return the card of a response to one GET."""

    def call(body=b"", content_type="application/json", status="200 OK", path="x", **fields):
        server = raw_server(formatted(body, content_type, status, **fields))
        with httpkit.Session(server.url, retry=None, raise_for_status=False) as api:
            return api.get(path)._repr_html_()

    return call


@pytest.fixture
def canary():
    return f"{CANARY}-{next(_NUMBERS)}"


def text_of(card):
    return " ".join(Seen(card).words.split())


# ---- every card


def test_every_card_survives_in_a_saved_notebook(sandbox, raw_server, tmp_path):
    with gallery(sandbox, raw_server, tmp_path) as things:
        cards = {name: thing._repr_html_() for name, thing in things.items()}

    assert {name: [*stripped(card)] for name, card in cards.items() if [*stripped(card)]} == {}
    assert [name for name, card in cards.items() if not Seen(card).is_balanced] == []
    assert len(cards) > 20


def test_a_card_of_each_type_shows_its_facts(sandbox, raw_server, tmp_path):
    with gallery(sandbox, raw_server, tmp_path) as things:
        cards = {name: text_of(thing._repr_html_()) for name, thing in things.items()}

    reported = {
        "a session": ["Blog", sandbox.url, "300 s a call", "3 attempts", "X-Who", "sid", ".posts"],
        "a list": ["200 OK GET", "/posts", "application/json", "First post", "header fields"],
        "a tree": ["{4}", 'name: "Ada"', "active: true", "email: null", "[2]", "none: {}"],
        "a table": ["[50]", "c9", "30 rows and 10 columns more"],
        "a text": ["Grüße", "the rest is left out"],
        "a page": ["<!doctype html><script>alert(1)</script><img src=x>"],
        "an archive": ["6 bytes of application/zip", "no view of this type"],
        "nothing": ["empty"],
        "a stream": ["3.0 kB, not read yet"],
        "a redirect": ["redirected by 302", "/redirect/chain/2"],
        "a refusal": [
            "UnprocessableContentError",
            "title is required",
            "what to do",
            "is required",
        ],
        "an overload": ["503", "try again later", "attempts 2", "not sent again"],
        "a mismatch": ["DecodeError", "caused by MismatchError", "the response: 210 bytes"],
        "a GraphQL error": ["GraphQLError", "error 1 (at query) (and 1 more)", "error 2"],
        "a mistake": ["ConfigurationError", "attempts=0"],
        "a resource": [
            f"{sandbox.url}/posts",
            "Post (title, body, userId, id)",
            "PATCH posts/{id}",
        ],
        "a nest": [f"{sandbox.url}/users/1/posts", "GET users/1/posts/{id}"],
        "an unbound resource": ["none: reach it through an instance"],
        "pages": [f"{sandbox.url}/posts?q=x", "LinkPages", "7 items", "items Post", "nothing yet"],
        "a policy": ["0.25 to 0.5 s, 0.5 to 1 s", "…", "408, 425, 429", "on_retry print"],
        "a download": ["3.0 kB", "a second", "verified yes", str(tmp_path / "a")],
        "a download that was there": ["nothing: it existed already"],
    }
    missing = {
        name: [fact for fact in facts if fact not in cards[name]]
        for name, facts in reported.items()
    }
    assert {name: facts for name, facts in missing.items() if facts} == {}


def test_pages_without_a_model_have_dicts_as_items(sandbox):
    with httpkit.Session(sandbox.url) as api:
        card = text_of(api.paginate("posts")._repr_html_())

    assert "items dict" in card


def test_nothing_is_sent_for_a_card(sandbox, raw_server, tmp_path):
    with gallery(sandbox, raw_server, tmp_path) as things:
        sent = len(sandbox.requests)
        for thing in things.values():
            thing._repr_html_()

    assert len(sandbox.requests) == sent


def test_a_streamed_body_is_still_there_after_its_card(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("bytes/3000", stream=True) as response:
        before, line = response._repr_html_(), pretty(response)
        body = b"".join(response.blocks())
        after = response._repr_html_()

    assert "not read yet" in before
    assert "not read yet" in line
    assert len(body) == 3000
    assert "streamed or left, and not kept" in after


IMPORTS = """
import sys
import httpkit
from httpkit.testing import Sandbox
with Sandbox() as sandbox, httpkit.Session(sandbox.url) as api:
    response = api.get("posts")
    repr(response)
    cards = ("httpkit._display.cards", "httpkit._display.html")
    print([name for name in cards if name in sys.modules])
    print(response._repr_html_()[:4])
"""


def test_cards_cost_nothing_until_one_is_made():
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False
    )

    assert (ran.stdout.splitlines(), ran.stderr) == (["[]", "<div"], "")


# ---- nothing goes wrong


class Unprintable(requests.auth.AuthBase):
    def __repr__(self):
        raise RuntimeError(CANARY)


class Odd(Blog):
    @property
    def deadline(self):
        raise RuntimeError(CANARY)

    @deadline.setter
    def deadline(self, value):
        raise RuntimeError(CANARY)


def policy_of(value):
    policy = httpkit.RetryPolicy()
    object.__setattr__(policy, "statuses", value)
    return policy


def unreadable_error():
    error = httpkit.HTTPKitError(Unprintable())
    error.attempts = Unprintable()
    return error


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


BROKEN = {
    "a response that was never sent": httpkit.Response,
    "a session whose attribute raises": lambda: object.__new__(Odd),
    "a session that was not initialised": lambda: object.__new__(httpkit.Session),
    "a policy of odd values": lambda: policy_of(3),
    "an error with an odd argument": unreadable_error,
    "an error that was never raised": httpkit.StatusError,
    "an unpickled error": lambda: pickled(httpkit.NotFoundError("x")),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_described_still_has_a_card(make):
    thing = make()

    card = thing._repr_html_()

    assert type(thing).__name__.split("Error")[0] in text_of(card) or "Response" in repr(thing)
    assert CANARY not in card
    assert Seen(card).is_balanced


def test_a_card_that_fails_names_the_class():
    card = object.__new__(Odd)._repr_html_()

    assert text_of(card) == "Odd"


def test_a_broken_body_has_a_card(raw_server):
    server = raw_server(formatted(b"no gzip", status="500 Oops", Content_Encoding="gzip"))

    with httpkit.Session(server.url, retry=None) as api:
        error = raised(lambda: api.get("x"))

    assert "which cannot be read: see .content" in text_of(error.response._repr_html_())
    assert "500 Oops" in text_of(error._repr_html_())


def test_a_large_error_body_says_where_it_was_cut(raw_server):
    server = raw_server(formatted(b"x" * (3 << 20), "text/plain", "500 Oops"))

    with httpkit.Session(server.url, retry=None, raise_for_status=False) as api:
        card = api.get("x")._repr_html_()

    assert "text/plain, cut after 1.0 MB" in text_of(card)


def test_a_pickled_response_shows_the_same_body(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("posts")

    card = pickled(response)._repr_html_()

    assert "First post" in card
    assert "GET" in text_of(card)


# ---- hostile servers

HOSTILE = "</td></div><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
PLACES = {
    "the body": {"body": HOSTILE.encode(), "content_type": "text/html"},
    "a text without a type": {"body": HOSTILE.encode(), "content_type": ""},
    "a key": {"body": json.dumps({HOSTILE: 1}).encode()},
    "a value": {"body": json.dumps({"a": HOSTILE}).encode()},
    "a column": {"body": json.dumps([{HOSTILE: HOSTILE}]).encode()},
    "deep within": {"body": json.dumps([{"a": [{"b": {HOSTILE: [HOSTILE]}}]}]).encode()},
    "the reason": {"status": f"200 {HOSTILE}"},
    "the type": {"body": b"x", "content_type": HOSTILE},
    "a field": {"X-Field": HOSTILE},
    "the request id": {"X-Request-Id": HOSTILE},
    "the picture": {"body": HOSTILE.encode(), "content_type": "image/png"},
    "the length": {"body": b"x", "content_type": "text/plain", "X-Content-Length": HOSTILE},
    "a drawing": {
        "body": b"<svg onload=alert(1)><script>1</script></svg>",
        "content_type": "image/svg+xml",
    },
}


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES)
def test_hostile_text_is_escaped(shown, case):
    card = shown(**case)

    assert [*stripped(card)] == []
    assert Seen(card).is_balanced
    assert "img" not in Seen(card).names
    assert "alert(1)" in text_of(card) or "image/png" in text_of(card)


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES)
def test_hostile_text_of_an_error_is_escaped(raw_server, case):
    case = {"body": b"{}", "content_type": "application/json", **case}
    case["status"] = case.get("status", "500 x").replace("200", "500")
    server = raw_server(formatted(**case))
    with httpkit.Session(server.url, retry=None) as api:
        error = raised(lambda: api.get("x"))

    card = error._repr_html_()

    assert [*stripped(card)] == []
    assert Seen(card).is_balanced


def test_control_characters_are_replaced(shown):
    card = shown(json.dumps({"a": "\x1b[31m\u202edrowssap\u2066\ud800\x00"}).encode())

    assert "\ufffd[31m\ufffddrowssap\ufffd\ufffd\ufffd" in text_of(card)
    card.encode("utf-8")


def test_a_text_keeps_its_lines(shown):
    card = shown(b"one\r\n\ttwo\n", "text/plain")

    assert "one\n\ttwo\n" in Seen(card).words


# ---- credentials


def test_a_response_of_another_origin_says_why_credentials_were_withheld(sandbox, canary):
    with httpkit.Session(sandbox.url, auth=httpkit.BearerAuth(canary)) as api:
        response = api.get(f"{sandbox.other_url}/posts")

    assert "credentials" in text_of(response._repr_html_())
    assert "credentials" in pretty(response)


@pytest.mark.parametrize(
    "case",
    [
        {"body": json.dumps({"a": {"client_secret": CANARY}}).encode()},
        {"body": json.dumps({"tokens": [{"x": [CANARY]}]}).encode()},
        {"body": json.dumps([{"id": 1, "api_key": CANARY}]).encode()},
        {"body": json.dumps({"next": f"https://h/?access_token={CANARY}"}).encode()},
        {"body": json.dumps({"said": json.dumps({"password": CANARY})}).encode()},
        {
            "body": f"grant=x&code={CANARY}".encode(),
            "content_type": "application/x-www-form-urlencoded",
        },
        {"body": f"code={CANARY}".encode(), "content_type": "application/x-www-form-urlencoded"},
        {"body": f"password={CANARY}".encode(), "content_type": "text/plain"},
        {"body": f'{{"password": "{CANARY}", '.encode()},
        {"Set-Cookie": f"sid={CANARY}"},
        {"X-Api-Key": CANARY},
        {"Link": f"<https://h/?sig={CANARY}>; rel=next"},
        {"Location": f"https://u:{CANARY}@h/"},
        {"path": f"x?api_key={CANARY}"},
        {"path": f"x#access_token={CANARY}"},
        {"path": f"x#code={CANARY}"},
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_credential_is_masked_where_its_name_says_so(shown, case, canary):
    own = {
        name: held.replace(CANARY.encode(), canary.encode())
        if isinstance(held, bytes)
        else held.replace(CANARY, canary)
        for name, held in case.items()
    }

    card = shown(**own)

    assert CANARY not in card
    assert "***" in text_of(card) or "Location https://h/" in text_of(card)


def test_what_a_call_sent_in_secret_is_masked_wherever_a_server_repeats_it(sandbox, canary):
    with httpkit.Session(sandbox.url) as api:
        response = api.post(
            "echo", headers={"X-Api-Key": canary}, json={"note": f"I said {canary}"}
        )

    card, line = response._repr_html_(), pretty(response)

    assert canary.encode() in response.content
    assert "I said ***" in text_of(card)
    assert canary not in card + line


def test_a_session_shows_the_names_of_what_it_holds_alone(sandbox, canary):
    session = httpkit.Session(
        f"{sandbox.url}",
        auth=("me", f"{canary}-1"),
        headers={"X-Odd-Name": f"{canary}-2"},
        params={"odd": f"{canary}-3"},
        cookies={"sid": f"{canary}-4"},
        proxies={"https": f"http://me:{canary}-5@proxy:3128"},
    )

    with session:
        card = session._repr_html_()

    assert canary not in card
    for name in ("auth tuple", "X-Odd-Name", "odd", "sid", "https: http://proxy:3128"):
        assert name in text_of(card)


@pytest.mark.parametrize(
    ("auth", "reported"),
    [
        (None, "auth none"),
        (httpkit.BearerAuth("another-s3cret"), "auth BearerAuth(***)"),
        (lambda request: request, "auth function"),
        (Unprintable(), "auth Unprintable"),
    ],
    ids=["none", "ours", "a function", "another's"],
)
def test_a_session_says_who_signs(auth, reported):
    with httpkit.Session("https://api.example.com", auth=auth) as session:
        card = session._repr_html_()

    assert reported in text_of(card)
    assert "s3cret" not in card


def test_pages_mask_the_filters_that_are_credentials(sandbox, canary):
    with Blog(sandbox.url) as blog:
        pages = blog.posts.list(params={"api_key": canary})
        resumed = pages.resume(f"{sandbox.url}/posts?api_key={canary}&page=2")

        cards = pages._repr_html_() + resumed._repr_html_()

    assert canary not in cards
    assert "begins at" in text_of(cards)


def test_an_error_shows_no_credential_of_its_cause_or_notes(raw_server, canary):
    server = raw_server(formatted(b'{"detail": "no"}', status="404 Not Found"))
    with httpkit.Session(server.url, retry=None) as api:
        error = raised(lambda: api.get("x", params={"api_key": canary}))
    error.add_note(f"password={canary}")
    error.__cause__ = ValueError(f"https://h/?token={canary}")

    card = error._repr_html_()

    assert canary not in card
    assert text_of(card).count("***") >= 3


@pytest.mark.parametrize("before", range(3980, 4001))
def test_a_credential_on_the_edge_of_what_is_shown_is_not_shown_in_part(shown, before):
    text = ("word " * 1000)[:before] + f" password={'s3cr3t' * 300}"

    card = shown(text.encode(), "text/plain")

    assert "s3cr3t" not in card


@pytest.mark.parametrize("seen_of_it", range(6, 36, 5))
def test_a_credential_on_the_edge_of_what_is_looked_at_is_not_shown_in_part(
    shown, seen_of_it, canary
):
    """What comes before it shrinks when it is masked, so that the edge comes into sight."""
    edge = html.LONGEST_TEXT + 4096
    secret = f"{canary}-and-on-and-on-and-on"
    httpkit.BearerAuth(secret)
    before = f"password={'x' * (edge - 10 - seen_of_it)} "

    card = shown(f"{before}{secret}{' more' * 5000}".encode(), "text/plain")

    assert "the rest is left out" in text_of(card)
    assert secret[:6] not in card


# ---- large and deep


def nested(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


LARGE = {
    "many rows": json.dumps([{"id": n, "name": f"n{n}"} for n in range(150_000)]).encode(),
    "many keys": json.dumps({f"key {n}": "v" * 50 for n in range(150_000)}).encode(),
    "many columns": json.dumps([{f"c{n}": n for n in range(5000)}] * 100).encode(),
    "wide and deep": json.dumps({str(a): {str(b): ["x" * 99] * 60 for b in range(60)} for a in range(60)}).encode(),  # noqa: E501
    "long values": json.dumps({str(n): "&" * 100_000 for n in range(100)}).encode(),
    "one value": json.dumps("&" * 10_000_000).encode(),
    "too deep to parse": nested(100_000),
    "as deep as can be": nested(900),
    "numbers": json.dumps([10**4000] * 2000).encode(),
    "more than is parsed": b"[" + b"1," * (9 << 20) + b"1]",
    "tables within tables": json.dumps([{f"c{n}": [{"d": "x" * 99}] * 20 for n in range(10)}] * 20).encode(),  # noqa: E501
    "small values": json.dumps([[[1] * 60] * 60] * 60).encode(),
    "markup": b'"' + b"<" * 10_000_000,
}  # fmt: skip


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_large_document_makes_a_small_card_in_no_time(raw_server, body):
    server = raw_server(formatted(body))
    with httpkit.Session(server.url) as api:
        response = api.get("x")

    started = time.process_time()
    card = response._repr_html_()
    took = time.process_time() - started

    assert len(card) < 400_000
    assert took < 3  # seconds; a fifth of one alone on a machine
    assert Seen(card).is_balanced


def test_no_more_is_looked_at_than_masking_has_time_for(shown):
    value = f"password={'x' * 4000}"

    card = shown(json.dumps([[value] * 50] * 10).encode())

    assert 10 < text_of(card).count("***") < 100


def test_what_is_deep_within_is_left_out(shown):
    card = text_of(shown(nested(20)))

    assert card.count("a:") == html.DEEPEST
    assert "a: {1} …" in card


def test_the_first_entries_of_a_wide_object_are_shown(shown):
    card = text_of(shown(json.dumps(dict.fromkeys(map(str, range(80)), 1)).encode()))

    assert "49: 1 … and 30 entries more" in card


def test_a_long_value_is_cut(shown):
    card = text_of(shown(json.dumps({"a": "x" * 1000}).encode()))

    assert f'a: "{"x" * 299}…"' in card


def test_an_object_without_a_column_leaves_its_cell_empty(shown):
    card = shown(b'[{"a": 1}, {"b": "two"}, {"a": null, "b": true}]')

    rows = re.findall(r"<tr>(.*?)</tr>", card)
    cells = [[text_of(cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", row)] for row in rows]
    assert cells == [["a", "b"], ["1", ""], ["", "two"], ["null", "true"]]


def test_what_is_deep_within_a_cell_is_folded(shown):
    card = shown(b'[{"a": {"b": [1, {"c": 2}]}}]')

    details = [attributes for tag, attributes in Seen(card).tags if tag == "details"]
    assert ["open" in each for each in details[:3]] == [True, False, False]


# ---- bodies


def test_a_picture_is_shown_within_the_page(shown):
    card = shown(png(), "image/png")

    (attributes,) = [attributes for tag, attributes in Seen(card).tags if tag == "img"]
    content_type, _, data = attributes["src"].partition(",")
    assert content_type == "data:image/png;base64"
    assert base64.b64decode(data) == png()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (png() + bytes(html.LARGEST_PICTURE), "image/png"),
        (png(), "application/octet-stream"),
        (b"GIF", "image/gif"),
        (b"<svg/>", "image/svg+xml"),
    ],
    ids=["too large", "of another type", "cut", "a drawing"],
)
def test_what_may_be_no_picture_is_not_shown_as_one(shown, body, content_type):
    card = shown(body, content_type)

    assert "img" not in Seen(card).names


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (png(), "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_how_it_begins(shown, body, content_type):
    card = shown(body, "image/x-whatever")

    (attributes,) = [attributes for tag, attributes in Seen(card).tags if tag == "img"]
    assert attributes["src"].startswith(f"data:{content_type};base64,")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("Grüße".encode(), "text/plain"),
        ("Grüße".encode("latin-1"), "text/plain"),
        ("Grüße".encode("utf-16"), "text/plain; charset=utf-16"),
        ("Grüße".encode("latin-1"), "text/plain; charset=latin-1"),
        ("Grüße".encode("utf-8-sig"), "text/csv"),
        (json.dumps(["Grüße"]).encode("utf-16"), "application/json"),
        ("Grüße".encode("latin-1"), "text/plain; charset=hex"),
        (("ü" * 99 + "Grüße" + "x" + "ü" * 99_999).encode(), "application/xml"),
    ],
    ids=["utf-8", "latin-1", "utf-16", "as stated", "bom", "json", "no charset", "cut"],
)
def test_a_text_is_read_in_its_charset(shown, body, content_type):
    assert "Grüße" in text_of(shown(body, content_type))


def test_a_document_without_a_type_is_known_by_how_it_begins(shown):
    assert "a: 1" in text_of(shown(b' {"a": 1}', ""))


def test_what_is_binary_is_not_shown_as_text(shown):
    assert "no view of this type" in text_of(shown(b"a\0b", "text/plain"))


def test_json_that_is_none_is_shown_as_text(shown):
    assert "{'a': 1}" in text_of(shown(b"{'a': 1}"))


# ---- plain text


class Printer:
    """What of IPython's printer is used."""

    output = ""

    def text(self, text_of):
        self.output += text_of


def pretty(thing):
    printer = Printer()
    thing._repr_pretty_(printer, None)
    return printer.output


def test_a_response_says_on_one_line_what_it_is(shown, raw_server, canary):
    body = formatted(b"{}", X_Request_Id="r\t1", status=f"299 {HOSTILE}")
    with httpkit.Session(raw_server(None, body).url) as api:
        response = api.get("x", params={"token": canary})

    line = pretty(response)

    expected = r"<Response \[299 .*\] GET http://\S+/x\?token=\*\*\*, took \d\.\d+ s in 2 attempts, body 2 bytes of application/json, request id r 1>"  # noqa: E501
    assert re.fullmatch(expected, line)


def test_a_line_that_fails_names_the_class():
    response = httpkit.Response()
    response.history = [Unprintable()]

    assert pretty(response) == "<Response>"


def test_a_value_that_is_no_json_is_named_by_its_class():
    error = httpkit.HTTPKitError("x")
    error.problem = {"a": Unprintable(), "b": 10**5000}

    assert "a: (Unprintable) b: (int)" in text_of(error._repr_html_())


def test_a_response_that_was_never_sent_says_so_much():
    assert pretty(httpkit.Response()).startswith("<Response")


def test_every_repr_is_one_line_without_a_credential(sandbox, raw_server, tmp_path):
    with gallery(sandbox, raw_server, tmp_path) as things:
        lines = [repr(thing) for thing in things.values()]

    assert all(len(line.splitlines()) == 1 and len(line) < 500 for line in lines)


@pytest.mark.parametrize(
    ("policy", "reported"),
    [
        (httpkit.RetryPolicy(), "RetryPolicy()"),
        (httpkit.RetryPolicy(attempts=5, budget=None), "RetryPolicy(attempts=5, budget=None)"),
        (httpkit.RetryPolicy(statuses={503, 429}), "RetryPolicy(statuses={429, 503})"),
        (httpkit.RetryPolicy(methods=["get"]), "RetryPolicy(methods={'GET'})"),
    ],
    ids=["default", "numbers", "a set", "methods"],
)
def test_a_policy_shows_what_is_not_by_default(policy, reported):
    assert repr(policy) == reported


@pytest.mark.parametrize(
    ("size", "reported"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"),
     (999_950, "1.0 MB"), (3_200_000, "3.2 MB"), (10**9, "1.0 GB"), (10**18, "1,000.0 PB")],
)  # fmt: skip
def test_sizes_are_formatted_for_people(size, reported):
    assert html.size_of(size) == reported


def test_a_download_into_a_file_object_has_a_card(sandbox, tmp_path):
    with httpkit.Session(sandbox.url) as api, (tmp_path / "a").open("w+b") as file:
        card = api.download("bytes/3000?digest=1", file)._repr_html_()

    assert "a file object" in text_of(card)
    assert "sha256" in text_of(card)


def test_a_resumed_download_says_from_where(tmp_path):
    resumed = httpkit.Download(
        tmp_path / "a", size=300_000, fetched=100_000, resumed_from=200_000, attempts=2, elapsed=0.5
    )

    card = text_of(resumed._repr_html_())

    assert "fetched 100.0 kB in 0.500 s speed 200.0 kB a second resumed from 200.0 kB" in card
    assert "verified no: its length is unknown" in card


def test_the_resources_of_a_parent_class_are_shown_too(sandbox):
    class Forum(Blog):
        threads = httpkit.Resource("threads", Post)

    with Forum(sandbox.url) as forum:
        card = text_of(forum._repr_html_())

    assert ".posts <Resource 'posts' of Post> .users <Users 'users'> .threads" in card


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"timeout": 9}, "9 s to connect, and between bytes"),
        ({"timeout": None}, "timeout off"),
        ({"timeout": (3, None)}, "3 s to connect, off"),
        ({"deadline": None}, "deadline off"),
        ({"retry": None}, "retry off"),
        ({"retry": 7}, "retry 7 attempts"),
        ({"max_body": None}, "max_body off"),
        ({"rate_limit": "10/s"}, "rate limit 10/s"),
        ({"trusted_origins": ["https://u:p@b.com"]}, "trusted origins https://b.com"),
        ({"strict": False}, "requests' own defaults"),
        ({"verify": False}, "verify off"),
        ({"verify": "ca.pem"}, "verify ca.pem"),
        ({"base_url": None}, "none: every URL is absolute"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_session_says_how_it_is_set(options, reported):
    with httpkit.Session(**{"base_url": "https://api.example.com", **options}) as session:
        assert reported in text_of(session._repr_html_())


def test_the_bodies_of_the_gallery_are_of_every_type():
    assert len(BODIES) == 7
