"""Read by type checkers and never run: what users of the documented clients are told."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import requests
from github import Asset, Comment, GitHub, Issue, Release, Repo
from payments import CardError, Customer, Intent, Payments

import httpkit
from httpkit import Pages, Response


def github_is_typed(github: GitHub) -> None:
    """Nested resources know their models."""
    assert_type(github.repos("octocat/hello-world").issues.list(), Pages[Issue])
    assert_type(github.repos("octocat/hello-world").issues.get(1), Issue)
    assert_type(github.repos("octocat/hello-world").issues.get(1, default=None), Issue | None)
    assert_type(github.repos("octocat/hello-world").releases.get("latest"), Release)
    assert_type(github.repos("a/b").issues(1).comments.create({"body": "b"}), Comment)
    assert_type(github.repos.get("a/b"), Repo)
    assert_type(github.repos_of("octo"), Pages[Repo])
    assert_type(github.download_asset(Asset("a", "b"), "."), httpkit.Download)


def payments_are_typed(api: Payments) -> None:
    """A generic class of collections does, too."""
    assert_type(api.customers.create({"email": "a"}, idempotency_key=True), Customer)
    assert_type(api.customers.list(), Pages[Customer])
    assert_type(api.intents.update("pi_1", {"amount": 1}), Intent)
    assert_type(api.intents.capture("pi_1"), Intent)
    assert_type(api.intents.request("POST", "{id}/cancel", id="a", data={"a": "b"}), Response)


def an_error_has_a_response(error: httpkit.StatusError, mine: CardError) -> None:
    """So that nobody must ask whether there is one."""
    assert_type(error.response, requests.Response)
    assert_type(error.response.status_code, int)
    assert_type(mine.code, str)


def forms_and_methods(api: httpkit.Session) -> None:
    """By hand, too."""
    orders = api.resource("orders", Customer, form=True, update_method="POST")
    assert_type(orders.update("1", {"email": None}), Customer)
    httpkit.BasicAuth.from_env("KEY")
    httpkit.BasicAuth(lambda: "key")
    api.resource("orders", form="yes")  # type: ignore[call-overload]  # a claim
