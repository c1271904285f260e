"""httpkit in one minute: create, read, replace, update and delete; errors, retries and files.

Without an argument, it starts a test server on this machine. With a URL, it uses that server,
which needs a collection of `posts` in JSON. Set BLOG_TOKEN to the bearer token of that server.
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
    """A client for the API, with its resources and settings."""

    posts = httpkit.Resource("posts", Post)
    retry = httpkit.RetryPolicy(
        attempts=3,
        on_retry=lambda event: print(f"   {event.status}: retrying in {event.wait:.1f} s"),
    )


def tour(blog: Blog) -> None:
    """Send the requests of a typical client, and print the results."""
    print("session  ", blog)

    post = blog.posts.create(Post("Hello", "First!", userId=1))
    print("create   ", post)
    print("read     ", blog.posts.get(post.id))
    print("list     ", [item.title for item in blog.posts.list(params={"userId": 1})])
    print("replace  ", blog.posts.replace(post.id, Post("Bye", "Replaced", userId=1)))
    print("update   ", blog.posts.update(post.id, {"title": "Hello again"}))
    blog.posts.delete(post.id)
    print("deleted  ", not blog.posts.exists(post.id))
    print("missing  ", blog.posts.get(404404, default=None))

    # This route fails twice before it succeeds. A handler returns a value for a status.
    response = blog.get("flaky/tour", on_status={404: lambda _: "no flaky route here"})
    print("retries  ", response, getattr(response, "attempts", "-"), "attempts")

    # An error status raises an exception, with the server's error message.
    try:
        blog.posts.create({"title": ""})
    except httpkit.UnprocessableContentError as error:
        print("error    ", error)
    except httpkit.StatusError as error:
        print("error    ", error.status_code, error.detail)

    # A download is renamed to its final name when complete.
    with tempfile.TemporaryDirectory() as folder:
        try:
            params = {"name": "film.mp4"}  # this server sends it as the name of the file
            file = blog.download("bytes/3000000", folder, params=params, progress=True)
            print("download ", Path(file).name, file.size, "bytes")
            sent = blog.upload("echo/upload", file, field="file", progress=True)
            print("upload   ", sent.json()["bytes"], "bytes, including the form")
        except httpkit.NotFoundError:
            print("files     not supported by this server")


def main() -> None:
    """Run on the server given on the command line, or on a test server."""
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
