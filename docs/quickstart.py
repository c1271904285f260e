"""httpkit in one minute: sign in, create, read, replace, update, delete, fail, recover.

Without an argument it runs on a server of its own, on this machine. With a URL it runs on
that server, which needs a `posts` collection in JSON; its bearer token goes into BLOG_TOKEN.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpkit
from httpkit.testing import Sandbox


@dataclass
class Post:
    """One post; the server chooses the id."""

    title: str
    body: str
    userId: int  # noqa: N815  # as the API spells it
    id: int | None = None


class Blog(httpkit.Session):
    """A whole API, described: what it has, and how to treat it."""

    posts = httpkit.Resource("posts", Post)
    retry = httpkit.RetryPolicy(attempts=3, backoff=0.1, on_retry=lambda event: print("  ", event))


def tour(blog: Blog) -> None:
    """Do the main job of an SDK, and print what comes back."""
    print("sign in  ", blog)

    post = blog.posts.create(Post("Hello", "First!", userId=1))
    print("create   ", post)
    print("read     ", blog.posts.get(post.id))
    print("list     ", [item.title for item in blog.posts.list(params={"userId": 1})])
    print("replace  ", blog.posts.replace(post.id, Post("Bye", "Replaced", userId=1)))
    print("update   ", blog.posts.update(post.id, {"title": "Hello again"}))
    blog.posts.delete(post.id)
    print("deleted  ", not blog.posts.exists(post.id))
    print("missing  ", blog.posts.get(404404, default=None))

    # A status can be a value, ...
    response = blog.get("flaky/tour", on_status={404: lambda _: "no flaky route here"})
    print("flaky    ", response, getattr(response, "attempts", "-"), "attempts")

    # ... or a typed error, with the server's own words.
    try:
        blog.posts.create({"title": ""})
    except httpkit.UnprocessableContentError as error:
        print("refused  ", error)
    except httpkit.StatusError as error:
        print("refused  ", error.status_code, error.detail)

    # A file is under its name only when it is whole.
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = blog.download("bytes/3000000", folder, progress=True)
            print("download ", Path(file).name, file.size, "bytes")
            sent = blog.upload("echo/upload", file, field="file", progress=True)
            print("upload   ", sent.json()["bytes"], "bytes, the form around it included")
        except httpkit.NotFoundError:
            print("files     none here")


def main() -> None:
    """Run the tour on the server of the command line, or on one of our own."""
    if len(sys.argv) > 1:
        token = os.environ.get("BLOG_TOKEN")
        with Blog(sys.argv[1], auth=httpkit.BearerAuth(token) if token else None) as blog:
            tour(blog)
        return
    with Sandbox() as sandbox:
        auth = httpkit.BearerAuth(sandbox.token)
        with Blog(f"{sandbox.url}/bearer", auth=auth) as blog:
            tour(blog)


if __name__ == "__main__":
    main()
