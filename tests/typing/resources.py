"""Read by type checkers and never run: a resource knows its model."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import msgspec

import httpkit
from httpkit import (
    CursorPages,
    Fetched,
    ItemResult,
    LinkPages,
    NextURLPages,
    NumberedPages,
    OffsetPages,
    Page,
    PageContext,
    PageLink,
    Pager,
    Pages,
    Resource,
    Response,
    Singleton,
)


@dataclass
class Post:
    """A model that is a dataclass."""

    title: str
    id: int | None = None


class User(TypedDict):
    """A model that is a TypedDict."""

    name: str


class Film(msgspec.Struct):
    """A model that is a Struct."""

    title: str


def first_word(document: dict[str, str]) -> str:
    """Be a model that is a callable."""
    return document["title"].split()[0]


class Replies(Resource[Film]):
    """A collection nested in a nested one."""


class Comments(Resource[User]):
    """A nested collection with a method of its own, and another in it."""

    replies = Replies("replies", Film)

    def hide(self, id: int) -> User:
        """Send an action."""
        response = self.request("POST", "{id}/hide", id=id, json={"why": "spam"})
        assert_type(response, Response)
        return response.decode(User)


class Posts(Resource[Post]):
    """A collection with others in it."""

    comments = Comments("comments", User)
    tags = Resource("tags", items_at="data", pages=NumberedPages(total="pages"))


class Blog(httpkit.Session, base_url="https://api.example.com"):
    """An SDK."""

    posts = Resource("posts", Post)
    shelf = Posts("posts", Post, pages=CursorPages("next"), item_at="data", item_path="post/{id}")
    users = Resource("users", User)
    films = Resource("films", Film, items_at="data.films")
    words = Resource("posts", first_word)
    dicts = Resource("posts")


def a_resource_on_a_class_knows_its_model(blog: Blog) -> None:
    assert_type(blog.posts, Resource[Post])
    assert_type(blog.users, Resource[User])
    assert_type(blog.films, Resource[Film])
    assert_type(blog.words, Resource[str])
    assert_type(blog.dicts, Resource[dict[str, Any]])
    assert_type(Blog.posts, Resource[Post])


def a_resource_made_by_hand_knows_its_model(api: httpkit.Session) -> None:
    assert_type(api.resource("posts", Post), Resource[Post])
    assert_type(api.resource("users", User), Resource[User])
    assert_type(api.resource("films", Film, items_at="data.films"), Resource[Film])
    assert_type(api.resource("posts", first_word), Resource[str])
    assert_type(api.resource("posts"), Resource[dict[str, Any]])
    assert_type(api.resource("posts", None), Resource[dict[str, Any]])


def items_are_typed(blog: Blog) -> None:
    assert_type(blog.posts.get(1), Post)
    assert_type(blog.posts.get("a/b"), Post)
    assert_type(blog.posts.create(Post("Hello")), Post)
    assert_type(blog.posts.create({"title": "Hello"}), Post)
    assert_type(blog.posts.replace(1, Post("Hello")), Post)
    assert_type(blog.posts.update(1, {"title": "Hello"}), Post)
    assert_type(blog.posts.exists(1), bool)
    assert_type(blog.users.get(1), User)
    assert_type(blog.films.get(1).title, str)
    assert_type(blog.words.get(1), str)
    assert_type(blog.dicts.get(1), dict[str, Any])


def a_default_widens_the_result(blog: Blog) -> None:
    assert_type(blog.posts.get(1, default=None), Post | None)
    assert_type(blog.posts.get(1, None), Post | None)
    assert_type(blog.posts.get(1, default="absent"), Post | str)
    assert_type(blog.dicts.get(1, default=None), dict[str, Any] | None)


def lists_are_typed(blog: Blog) -> None:
    assert_type(blog.posts.list(), Pages[Post])
    assert_type(blog.posts.list(params={"userId": 1}).first(3), list[Post])
    for post in blog.posts.list():
        assert_type(post, Post)
    assert_type([user["name"] for user in blog.users.list()], list[str])


def nested_resources_are_typed(blog: Blog) -> None:
    assert_type(blog.shelf, Posts)
    assert_type(blog.shelf(1), Posts)
    assert_type(blog.shelf(1).comments, Comments)
    assert_type(blog.shelf(1).comments.list(), Pages[User])
    assert_type(blog.shelf(1).comments.get(2), User)
    assert_type(blog.shelf(1).comments.hide(2), User)
    assert_type(blog.shelf(1).comments(2).replies.get(3), Film)
    assert_type(blog.shelf("a").tags.list(), Pages[dict[str, Any]])
    assert_type(Posts.comments, Comments)


def versions_and_batches_are_typed(blog: Blog) -> None:
    found = blog.posts.fetch(1)
    assert_type(found, Fetched[Post])
    assert_type(found.item, Post)
    assert_type(found.etag, str)
    assert_type(blog.posts.replace(1, found.item, if_match=found.etag), Post)
    assert_type(blog.posts.update(1, {}, if_match="*"), Post)
    blog.posts.delete(1, if_match=found.etag)
    assert_type(blog.posts.create_many([Post("a"), {"title": "b"}]), list[Post])


def pages_are_typed(api: httpkit.Session) -> None:
    assert_type(api.paginate("users"), Pages[dict[str, Any]])
    assert_type(api.paginate("users", model=User), Pages[User])
    assert_type(api.paginate("users", NextURLPages("next"), model=first_word), Pages[str])
    assert_type(api.paginate("ids", LinkPages(), model=int, params={"q": "a"}), Pages[int])
    found = api.paginate("users", OffsetPages(), items_at="data", model=Post, timeout=5)
    assert_type(found.limit(5), Pages[Post])
    assert_type(found.resume("users?offset=5"), Pages[Post])
    assert_type([post.title for post in found], list[str])
    for page in found.pages():
        assert_type(page, Page[Post])
        assert_type(page.items, list[Post])
        assert_type(page.response, Response)
        assert_type(page.next_url, str | None)


class Repos(Resource[Post]):
    """A collection with a singleton in it."""

    owner = Singleton("owner", User)
    notes = Resource("notes", Film, envelope="note", item_path="../notes/{id}")


class Hub(httpkit.Session):
    """An SDK with singletons."""

    user = Singleton("user", User, envelope="user")
    settings = Singleton("settings")
    repos = Repos("repos", Post)


class LetterPages:
    """A pager of one's own."""

    own = ("letter",)

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin with a."""
        return {"letter": "a", **given}

    def following(self, page: PageContext) -> Mapping[str, Any] | None:
        """Go on while there are items."""
        return {"letter": "b"} if page.count else None


class SearchPages:
    """A pager of one's own whose links hold a document."""

    own = ()

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin with what is given."""
        return given

    def following(self, page: PageContext) -> str | PageLink | Mapping[str, Any] | None:
        """Go on with the document of the page."""
        token = page.text("token")
        return PageLink("search", json={"token": token}, merge=True) if token else None


def singletons_are_typed(hub: Hub) -> None:
    assert_type(hub.user, Singleton[User])
    assert_type(hub.user.get(), User)
    assert_type(hub.user.get(model=Post), Post)
    assert_type(hub.user.update({"name": "Ada"}), User)
    assert_type(hub.user.fetch().item, User)
    assert_type(hub.settings.get(), dict[str, Any])
    assert_type(hub.repos(1).owner.get(), User)
    assert_type(hub.repos(1).notes.get(1), Film)


def a_model_of_a_call_is_typed(blog: Blog) -> None:
    assert_type(blog.posts.get(1, model=User), User)
    assert_type(blog.posts.get(1, None, model=User), User | None)
    assert_type(blog.posts.list(model=User), Pages[User])
    assert_type(blog.posts.fetch(1, model=User), Fetched[User])
    assert_type(blog.posts.bulk("PATCH", [{}]), list[ItemResult[Post]])
    blog.posts.delete(1, missing_ok=True)


def more_lists_are_typed(api: httpkit.Session) -> None:
    pager: Pager = LetterPages()
    search: Pager = SearchPages()
    assert_type(api.paginate("search", search, json={}, model=User), Pages[User])
    assert_type(api.paginate("users", pager, model=User), Pages[User])
    found = api.paginate("s", CursorPages("next", into="json"), method="POST", json={}, model=Post)
    assert_type(found, Pages[Post])
    assert_type(api.paginate("s", decode=Response.json), Pages[dict[str, Any]])
    assert_type(api.paginate_graphql("query", at="films", model=Film), Pages[Film])
    assert_type(api.paginate_graphql("query", {"n": 1}, at="films"), Pages[dict[str, Any]])
    for page in found.pages():
        assert_type(page.next_token, str | None)


def operations_are_typed(api: httpkit.Session) -> None:
    assert_type(api.poll(api.post("jobs"), model=Post), Post)
    assert_type(api.poll("jobs/1", done={"ready"}, deadline=None, model=User), User)


def options_of_a_call(blog: Blog) -> None:
    blog.posts.get(1, retry=httpkit.RetryPolicy(), cookies={"a": "b"}, verify=False, cert="c.pem")
    blog.posts.update(1, {}, allow_redirects=False, proxies={"https": "http://proxy"})
    blog.posts.get(1, params={"full": True}, headers={"A": "b"}, timeout=5, deadline=None)
    blog.posts.create(Post("Hello"), idempotency_key=True, auth=httpkit.NO_AUTH)
    blog.posts.list(timeout=(5, 60), max_body=None)


def a_clone_keeps_its_class(blog: Blog) -> None:
    assert_type(blog.with_options(raise_for_status=False), Blog)
    with blog as entered:
        assert_type(entered, Blog)


def bodies_decode_into_models(blog: Blog) -> None:
    response = blog.get("posts")
    assert_type(response.decode(Post), Post)
    assert_type(response.decode(Post, at="data"), Post)
    assert_type(response.decode(list[Post]), list[Post])
    assert_type(response.decode(User), User)
    assert_type(response.decode(first_word), str)
