"""Servers that people really start on their machines: json-server, and an Express application.

They need node and npm, and the package index once: the packages are kept in a cache outside
the repository.
"""

import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import httpkit
from httpkit import LinkPages, NumberedPages, OffsetPages

# Exact: a newer json-server (1.0) speaks of pages in other words.
PACKAGES = ("json-server@0.17.4", "express@5.1.0")
# Seconds. The first run on a machine fetches some 160 small packages, in about 6 s.
LONG = 180

pytestmark = pytest.mark.timeout(LONG)

# Both listen on a free port of loopback, print it, and end with whoever started them.
LISTEN = """
const listener = app.listen(0, "127.0.0.1", () => console.log(listener.address().port));
process.stdin.on("end", () => process.exit()).resume();
"""
JSON_SERVER = (
    """
const jsonServer = require("json-server");
const app = jsonServer.create();
app.use(jsonServer.defaults({ logger: false }));
app.use(jsonServer.router({
  posts: Array.from({ length: 25 }, (_, n) => (
    { id: n + 1, title: `Post ${n + 1}`, userId: n % 2 + 1 }
  )),
  comments: [{ id: 1, text: "Well said", postId: 1 }, { id: 2, text: "No", postId: 2 }],
}));
"""
    + LISTEN
)
CONTACT = (
    """
const express = require("express");
const app = express();
app.use(express.json());
app.post("/api/contact", (request, response) => {
  const missing = ["name", "email", "message"].filter((name) => !request.body[name]);
  if (missing.length) {
    response.status(400).json({ error: `${missing.join(", ")} missing` });
  } else {
    response.status(201).json({ id: 1, ...request.body });
  }
});
"""
    + LISTEN
)


@dataclass
class Comment:
    text: str
    postId: int | str | None = None  # noqa: N815  # the server's name, and a text if from a URL
    id: int | None = None


@dataclass
class Post:
    title: str
    userId: int | None = None  # noqa: N815  # the server's name
    id: int | None = None


class Posts(httpkit.Resource[Post]):
    comments = httpkit.Resource("comments", Comment)


class Blog(httpkit.Session):
    posts = Posts("posts", Post)


@pytest.fixture(scope="module")
def packages():
    """Return a folder with the packages; the first run fills it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    name = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    folder = cache / f"httpkit-tests-{getpass.getuser()}" / name
    if not folder.exists():
        fill(folder)
    return folder


def fill(folder):
    """Install beside the folder and rename: another run may do the same at this moment."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(
            ["npm", "install", *quiet, "--prefix", draft, *PACKAGES],
            capture_output=True, text=True, timeout=LONG, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm cannot install {', '.join(PACKAGES)}: {done.stderr[-300:]}")
        whole = Path(draft, "whole")
        whole.mkdir()
        for part in ("node_modules", "package.json"):
            Path(draft, part).rename(whole / part)
        with suppress(OSError):  # the other run was faster
            whole.rename(folder)


@contextmanager
def running(program, folder):
    """Run a program of node until the end of the block; give its URL."""
    with subprocess.Popen(
        ["node", "-e", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        try:
            port = server.stdout.readline().decode().strip()
            assert port.isdecimal(), "the server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture
def blog(packages):
    with running(JSON_SERVER, packages) as url, Blog(url) as session:
        yield session


@pytest.fixture(scope="module")
def contact(packages):
    with running(CONTACT, packages) as url, httpkit.Session(f"{url}/api") as session:
        yield session


def test_json_server_stores_what_is_sent(blog):
    made = blog.posts.create(Post("New", userId=1))
    replaced = blog.posts.replace(made.id, Post("Replaced", userId=2, id=made.id))
    updated = blog.posts.update(made.id, {"title": "Updated"})
    was_there = blog.posts.exists(made.id)
    blog.posts.delete(made.id)

    assert made == Post("New", userId=1, id=26)
    assert replaced == Post("Replaced", userId=2, id=26)
    assert updated == Post("Updated", userId=2, id=26)
    assert (was_there, blog.posts.exists(made.id)) == (True, False)
    assert blog.posts.get(made.id, default=None) is None


@pytest.mark.parametrize(
    ("pages", "count"),
    [
        (LinkPages(), 3),
        (NumberedPages("_page", total_items="header:X-Total-Count"), 3),
        (NumberedPages("_page"), 4),
        (OffsetPages("_start", "_limit", limit=10, total="header:X-Total-Count"), 3),
    ],
    ids=["link", "numbered, total items", "numbered", "offset"],
)
def test_json_server_gives_every_page(blog, pages, count):
    begin = {"_page": 1} if isinstance(pages, LinkPages) else {}
    posts = blog.paginate("posts", pages, model=Post, params={"_limit": 10, **begin})

    got = list(posts.pages())

    assert [post.id for page in got for post in page.items] == list(range(1, 26))
    assert len(got) == count


def test_json_server_keeps_filters_in_its_links(blog):
    posts = blog.posts.list(params={"_page": 1, "_limit": 5, "userId": 2})

    assert [post.id for post in posts] == list(range(2, 25, 2))


def test_json_server_nests_what_belongs_to_an_item(blog):
    made = blog.posts(1).comments.create(Comment("Indeed"))

    assert [comment.text for comment in blog.posts(2).comments.list()] == ["No"]
    assert made == Comment("Indeed", postId="1", id=3)


FORM = {"name": "Ada", "email": "ada@example.com", "message": "Hello"}


def test_a_whole_form_is_taken(contact):
    response = contact.post("contact", json=FORM, on_status={201: lambda r: r.json()["id"]})

    assert response == 1


@pytest.mark.parametrize("name", sorted(FORM))
def test_a_form_that_lacks_a_field_is_refused_with_the_servers_message(contact, name):
    with pytest.raises(httpkit.BadRequestError, match=f"{name} missing"):
        contact.post("contact", json={**FORM, name: ""})


def test_a_rejection_may_be_handled_as_a_value(contact):
    table = {201: lambda _: "sent", 400: lambda r: r.json()["error"]}

    response = contact.post("contact", json={"name": "Ada"}, on_status=table)

    assert response == "email, message missing"
