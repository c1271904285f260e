"""One of each thing that has a card, and what is in a card."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpkit
from httpkit.testing import Sandbox


@dataclass
class Post:
    title: str
    body: str = ""
    userId: int = 1  # noqa: N815  # the server's name
    id: int | None = None


class Users(httpkit.Resource[dict[str, Any]]):
    posts = httpkit.Resource("posts", Post)


class Blog(httpkit.Session):
    posts = httpkit.Resource("posts", Post)
    users = Users("users")


def png(side: int = 16) -> bytes:
    """Return a picture, in grey."""

    def chunk(content_type: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body))
            + content_type
            + body
            + struct.pack(">I", zlib.crc32(content_type + body))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x90" * side for _ in range(side))
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


DOCUMENT = {
    "data": {"id": 7, "name": "Ada", "active": True, "email": None, "roles": ["admin", "ops"]},
    "orders": [{"id": 1, "items": [{"sku": "a"}]}, {"id": 2, "items": [], "note": "x" * 500}],
    "deep": [[[[[[[[[["bottom"]]]]]]]]]],
    "none": {},
}
BODIES: dict[str, tuple[bytes, str]] = {
    "a tree": (json.dumps(DOCUMENT).encode(), "application/json"),
    "a table": (json.dumps([{f"c{n}": n for n in range(20)}] * 50).encode(), "application/json"),
    "a text": ("Grüße\n".encode() * 1000, "text/plain; charset=utf-8"),
    "a page": (b"<!doctype html><script>alert(1)</script><img src=x>", "text/html"),
    "a picture": (png(), "image/png"),
    "an archive": (b"PK\x03\x04\0\0", "application/zip"),
    "nothing": (b"", "text/plain"),
}


def formatted(
    body: bytes, content_type: str = "application/json", status: str = "200 OK", **fields: str
):
    """Return the bytes of a response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def raised(call: Callable[[], object]) -> Exception:
    """Return the error that a call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error
    raise AssertionError("nothing was raised")


@contextmanager
def gallery(sandbox: Sandbox, raw_server: Any, folder: Path) -> Iterator[dict[str, Any]]:
    """Give one of each, by name; the session is open."""
    with Blog(sandbox.url, headers={"X-Who": "me"}, cookies={"sid": "1"}) as blog:
        things: dict[str, Any] = {"a session": blog, "a list": blog.get("posts")}
        for name, (body, content_type) in BODIES.items():
            things[name] = blog.get(f"{raw_server(formatted(body, content_type)).url}/x")
        things["a stream"] = blog.get("bytes/3000", stream=True)
        things["a redirect"] = blog.get("redirect/chain/2")
        calls: dict[str, Callable[[], object]] = {
            "a refusal": lambda: blog.post("posts", json={}),
            "an overload": lambda: blog.get("status/503", retry=2),
            "a page as an error": lambda: blog.get("status/502?kind=html", retry=None),
            "a mismatch": lambda: blog.get("posts").decode(dict[str, int]),
            "a GraphQL error": lambda: blog.graphql("query { a }", url="graphql?errors=2"),
            "a mistake": lambda: httpkit.RetryPolicy(attempts=0),
        }
        things |= {name: raised(call) for name, call in calls.items()}
        things |= {
            "a resource": blog.posts,
            "a nest": blog.users(1).posts,
            "an unbound resource": Blog.posts,
            "pages": blog.posts.list(params={"q": "x"}).limit(7),
            "a policy": httpkit.RetryPolicy(attempts=9, on_retry=print),
            "a download": blog.download("bytes/3000", folder / "a"),
            "a download that was there": blog.download(
                "bytes/3000", folder / "a", if_exists="skip"
            ),
        }
        try:
            yield things
        finally:
            things["a stream"].close()


class Seen(HTMLParser):
    """What a browser would make of a card: its tags with their attributes, and its words."""

    # They have no end tag.
    VOID = frozenset({"img"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.open: list[str] = []
        self.is_balanced = True
        self.feed(markup)
        self.close()
        self.is_balanced = self.is_balanced and not self.open

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.tags}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)
        self.words += "\n" if tag in {"div", "tr", "summary", "pre"} else " "

    def handle_endtag(self, tag: str) -> None:
        self.is_balanced = self.is_balanced and bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
