"""Tools that look at classes and objects find them in order: autospec, getmembers, help, hints."""

import inspect
import json
import pydoc
import subprocess
import sys
import tomllib
import typing
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import github
import payments
import pytest
import requests

import httpkit
import httpkit.testing

ROOT = Path(__file__).parents[2]


class Replies(httpkit.Resource):
    def hide(self, id):
        return self.request("POST", "{id}/hide", id=id)


class Comments(httpkit.Resource):
    replies = Replies("replies")


class Posts(httpkit.Resource):
    comments = Comments("comments")

    def publish(self, id):
        return self.request("POST", "{id}/publish", id=id)


class API(httpkit.Session, base_url="https://api.example.com"):
    posts = Posts("posts")
    users = httpkit.Resource("users")


def public(module):
    return {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}


PUBLIC = {**public(httpkit), **public(httpkit.testing)}
CLIENTS = {
    f"{module.__name__}.{name}": held
    for module in (github, payments)
    for name, held in vars(module).items()
    if inspect.isclass(held) and held.__module__ == module.__name__
}
CLASSES = {name: held for name, held in PUBLIC.items() if inspect.isclass(held)}


def objects():
    """Return objects in the states that somebody may look at."""
    api = API()
    return {
        "a session": api,
        "a resource of a class": API.posts,
        "a bound resource": api.posts,
        "an item": api.posts(1),
        "a nested resource without an item": api.posts.comments,
        "a nested resource": api.posts(1).comments(2).replies,
        "a nested resource of a class": Posts.comments,
        "a resource of the plain class": API.users,
        "an empty response": httpkit.Response(),
        "an item fetched without an ETag": httpkit.Fetched({}, httpkit.Response()),
        "pages": api.posts.list(),
        "an error": httpkit.StatusError("404 Not Found"),
        "a policy": httpkit.RetryPolicy(),
        "an auth": httpkit.BasicAuth("me", "looked-at-password"),
        "a sandbox that is not started": httpkit.testing.Sandbox(),
        "a script that is not entered": httpkit.testing.Script(),
        "a clock": httpkit.testing.FakeClock(),
        "a token": httpkit.TokenSet("looked-at-token"),
        "a table": httpkit.StatusDispatch({404: str}),
        "an event": httpkit.Event("data"),
    }


LOOKED_AT = {**PUBLIC, **CLIENTS, "API": API, **objects()}
EACH = pytest.mark.parametrize("held", LOOKED_AT.values(), ids=LOOKED_AT)


@EACH
def test_members_can_be_listed(held):
    assert inspect.getmembers(held)
    assert dir(held)


@EACH
def test_help_can_be_shown(held):
    if not isinstance(held, str):
        assert pydoc.render_doc(held)


@EACH
def test_an_autospec_can_be_made(held):
    double = mock.create_autospec(held)

    for name in dir(held):
        if not name.startswith("__"):
            getattr(double, name, None)  # each is made when it is asked for


@pytest.mark.parametrize("cls", [*CLASSES.values(), *CLIENTS.values(), API])
def test_an_autospec_of_instances_can_be_made(cls):
    assert isinstance(mock.create_autospec(cls, instance=True), cls)


def test_an_autospecced_client_has_resources_and_actions():
    with mock.patch(f"{__name__}.API", autospec=True) as double:
        client = double("https://elsewhere.example.com")
        client.users.get.return_value = {"id": 1}
        client.posts.comments.replies.hide.return_value = None

        assert client.users.get(1) == {"id": 1}
        client.posts.publish(7)
        assert client.posts.comments.replies.hide(3) is None
    client.posts.publish.assert_called_once_with(7)
    with pytest.raises(AttributeError):
        _ = client.posts.publsh


@pytest.mark.parametrize("verb", ["get", "options", "head", "post", "put", "patch", "delete"])
def test_an_autospecced_verb_takes_what_that_of_requests_takes(verb):
    theirs = mock.create_autospec(requests.Session, instance=True)
    ours = mock.create_autospec(API, instance=True)
    names = [*inspect.signature(getattr(requests.Session, verb)).parameters][1:-1]
    keywords = {"headers": {}, "timeout": 5, "verify": False, "stream": True, "proxies": {}}

    for double in (theirs, ours):
        for given in range(1, len(names) + 1):
            call = getattr(double, verb)
            call(*names[:given], **dict.fromkeys(names[given:]), **keywords)
        assert call.call_count == len(names)


def test_an_autospecced_request_takes_the_arguments_of_requests_in_their_order():
    theirs = inspect.signature(requests.Session.request).parameters
    ours = inspect.signature(API.request).parameters

    assert [*ours][: len(theirs)] == [*theirs]


@pytest.mark.parametrize(
    "cls", [held for held in public(httpkit).values() if inspect.isclass(held)]
)
def test_a_public_class_belongs_to_the_public_module(cls):
    assert cls.__module__ == "httpkit"
    assert getattr(httpkit, cls.__name__) is cls


def test_a_class_that_says_it_is_public_is_found_there():
    named = {
        held.__name__
        for name, module in list(sys.modules.items())
        if name.startswith("httpkit.")
        for held in vars(module).values()
        if inspect.isclass(held) and held.__module__ == "httpkit"
    }

    assert named
    assert named <= set(httpkit.__all__)


# ---- annotations

HINTS = """
import inspect, json, sys, typing
import httpkit
import httpkit.testing

failures, looked_at = {}, set()

def hints(path, held):
    looked_at.add(path)
    try:
        typing.get_type_hints(held)
    except Exception as error:
        failures[path] = repr(error)

def walk(path, held):
    held = getattr(held, "__func__", held)  # of a class method
    if isinstance(held, property):
        for function in filter(None, (held.fget, held.fset, held.fdel)):
            hints(path, function)
    elif inspect.isclass(held):
        hints(path, held)
        for name in dir(held):
            if not name.startswith("_") or name in SPECIAL:
                walk(f"{path}.{name}", inspect.getattr_static(held, name))
    elif inspect.isfunction(held):
        hints(path, held)
        for overload in typing.get_overloads(held):
            hints(f"{path} (overload)", overload)

SPECIAL = {"__init__", "__call__", "__enter__", "__exit__", "__get__", "__iter__", "__and__"}
for module in (httpkit, httpkit.testing):
    for name in module.__all__:
        walk(f"{module.__name__}.{name}", getattr(module, name))
print(json.dumps([failures, sorted(looked_at)]))
"""


def test_every_annotation_resolves_in_a_fresh_process():
    ran = subprocess.run([sys.executable, "-c", HINTS], capture_output=True, text=True, check=True)

    failures, looked_at = json.loads(ran.stdout)

    assert failures == {}
    assert {"httpkit.Session.download", "httpkit.NotFoundError", "httpkit.Pages.to_pandas"} <= set(
        looked_at
    )


def test_hints_say_what_the_annotations_say():
    assert typing.get_type_hints(httpkit.Session.download)["return"] is httpkit.Download
    assert typing.get_type_hints(httpkit.Session)["deadline"] == float | None
    assert typing.get_type_hints(httpkit.StatusError)["response"] is requests.Response
    assert typing.get_type_hints(httpkit.Session)["headers"].__origin__ is (
        requests.structures.CaseInsensitiveDict
    )


WITHOUT_PANDAS = """
import sys, typing
sys.modules["pandas"] = sys.modules["polars"] = None
import httpkit
print(typing.get_type_hints(httpkit.Pages.to_pandas)["return"])
"""


def test_the_annotation_of_what_is_not_installed_is_any():
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PANDAS], capture_output=True, text=True, check=False
    )

    assert (ran.stdout.strip(), ran.stderr) == ("typing.Any", "")


# ---- what cannot be given is an AttributeError


def test_a_url_of_a_sandbox_that_is_not_started_is_absent():
    sandbox = httpkit.testing.Sandbox()

    assert not hasattr(sandbox, "url")
    with pytest.raises(RuntimeError, match="the sandbox is not started"):
        _ = sandbox.other_url


def test_an_etag_that_the_server_did_not_send_is_absent():
    fetched = httpkit.Fetched({}, httpkit.Response())

    assert not hasattr(fetched, "etag")


# ---- the version


def test_the_version_is_that_of_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]

    assert httpkit.__version__ == version("requests-httpkit")
    assert project["version"]["path"] == "httpkit/__init__.py"
    assert API().headers["User-Agent"].startswith(f"httpkit/{httpkit.__version__} ")


WITHOUT_METADATA = """
import importlib.metadata
importlib.metadata.version = importlib.metadata.distribution = None
import httpkit
print(httpkit.Session().headers["User-Agent"].partition(" ")[0])
"""


def test_the_version_is_known_without_the_metadata_of_the_distribution():
    run = [sys.executable, "-c", WITHOUT_METADATA]
    ran = subprocess.run(run, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == f"httpkit/{httpkit.__version__}"
