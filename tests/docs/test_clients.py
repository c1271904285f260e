"""The two clients of docs/clients at work, on fakes that answer as the real APIs do.

What counts is what the fake saw.
"""

import pickle
import time

import pytest
import requests
from fake_github import ASSET, FakeGitHub, invalid, secondary_limit
from fake_payments import DECLINED, KEY, FakePayments, busy
from fake_server import Response
from github import Asset, Comment, GitHub, Issue, Repo
from payments import CardError, Customer, Intent, Payments

import httpkit

NAME = "octocat/hello-world"


@pytest.fixture
def hub():
    with FakeGitHub() as fake:
        yield fake


@pytest.fixture
def github(hub, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_valid0token")
    with GitHub(hub.url, auth=httpkit.BearerAuth.from_env("GITHUB_TOKEN")) as client:
        yield client


@pytest.fixture
def bank():
    with FakePayments() as fake:
        yield fake


@pytest.fixture
def payments(bank, monkeypatch):
    monkeypatch.setenv("PAYMENTS_KEY", KEY)
    with Payments(f"{bank.url}/v1", auth=httpkit.BasicAuth.from_env("PAYMENTS_KEY")) as client:
        yield client


def requested(fake):
    return [f"{request.method} {request.path}" for request in fake.requests]


# ---- GitHub


def test_open_issues_come_from_all_pages_with_the_headers_of_the_api(hub, github):
    params = {"state": "open", "per_page": 3}

    issues = list(github.repos(NAME).issues.list(params=params))

    assert [issue.number for issue in issues] == [1, 2, 3, 4, 5, 6, 7]
    assert issues[0] == Issue(1, "Issue 1", "open", None)
    assert requested(hub) == [
        "GET /repos/octocat/hello-world/issues",
        "GET /repositories/1296269/issues",
        "GET /repositories/1296269/issues",
    ]
    for request in hub.requests:
        assert (request.query["state"], request.query["per_page"]) == (["open"], ["3"])
        assert request.headers["accept"].startswith("application/vnd.github+json")
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["authorization"] == "Bearer ghp_valid0token"


def test_a_repository_is_found_by_its_full_name(hub, github):
    found = github.repos.get(NAME)

    assert (found, requested(hub)) == (Repo(NAME, private=False), [f"GET /repos/{NAME}"])


def test_own_repositories_are_listed(hub, github):
    names = [repo.full_name for repo in github.repos.list()]

    assert (names, requested(hub)) == ([NAME, "octocat/spoon-knife"], ["GET /user/repos"])


def test_repositories_of_an_organisation_are_listed(hub, github):
    names = [repo.full_name for repo in github.repos_of("octo")]

    assert (names, requested(hub)) == (
        ["octo/one", "octo/two", "octo/three"],
        ["GET /orgs/octo/repos"],
    )


def test_an_issue_is_created_commented_and_closed(hub, github):
    issues = github.repos(NAME).issues

    made = issues.create({"title": "Found a bug", "body": "It crashes.", "labels": ["bug"]})
    comment = issues(made.number).comments.create({"body": "Me too."})
    closed = issues.update(made.number, {"state": "closed", "state_reason": "completed"})

    assert (made.number, made.state, closed.state) == (8, "open", "closed")
    assert comment == Comment(1, "Me too.")
    assert requested(hub) == [
        f"POST /repos/{NAME}/issues",
        f"POST /repos/{NAME}/issues/8/comments",
        f"PATCH /repos/{NAME}/issues/8",
    ]
    assert [request.json for request in hub.requests] == [
        {"title": "Found a bug", "body": "It crashes.", "labels": ["bug"]},
        {"body": "Me too."},
        {"state": "closed", "state_reason": "completed"},
    ]


def test_a_comment_is_beside_the_issues_and_in_two_lists(hub, github):
    comments = github.repos(NAME).issues(7).comments

    made = comments.create({"body": "First."})
    edited = comments.update(made.id, {"body": "Edited."})
    lists = [list(comments.list()), list(github.repos(NAME).comments.list())]
    comments.delete(made.id)

    assert (edited, lists) == (Comment(1, "Edited."), [[edited], [edited]])
    assert github.repos(NAME).comments.get(made.id, None) is None
    assert requested(hub) == [
        f"POST /repos/{NAME}/issues/7/comments",
        f"PATCH /repos/{NAME}/issues/comments/1",
        f"GET /repos/{NAME}/issues/7/comments",
        f"GET /repos/{NAME}/issues/comments",
        f"DELETE /repos/{NAME}/issues/comments/1",
        f"GET /repos/{NAME}/issues/comments/1",
    ]


def test_an_asset_is_downloaded_from_the_storage_without_the_token(hub, github, tmp_path):
    release = github.repos(NAME).releases.get("latest")

    file = github.download_asset(release.assets[0], tmp_path)

    assert (file.path.name, file.path.read_bytes()) == ("hello-world.zip", ASSET)
    assert hub.requests[-1].headers["accept"] == "application/octet-stream"
    assert "authorization" in hub.requests[-1].headers
    assert "authorization" not in hub.storage.requests[-1].headers
    assert hub.storage.requests[-1].query["sig"] == ["s1gn4ture"]


def test_an_asset_at_another_origin_is_requested_without_the_token(hub, github, tmp_path):
    stray = Asset("x.zip", f"{hub.storage.url}/asset")

    github.download_asset(stray, tmp_path / "x.zip")

    assert "authorization" not in hub.storage.requests[0].headers


def test_an_issue_that_does_not_exist_is_a_404(github):
    with pytest.raises(httpkit.NotFoundError) as caught:
        github.repos(NAME).issues.get(404)

    assert caught.value.detail == "Not Found"
    assert caught.value.request_id == "C0FF:EE42:1:2:68"
    assert caught.value.response.json()["documentation_url"].startswith("https://docs.github.com")
    assert github.repos(NAME).issues.get(404, default=None) is None
    assert not github.repos("octocat/no-such").issues.exists(1)


def test_a_422_says_which_field_is_wrong(hub, github):
    with pytest.raises(httpkit.UnprocessableContentError) as caught:
        github.repos(NAME).issues.create({"title": ""})

    assert caught.value.detail == "Validation Failed: title: missing_field"
    assert caught.value.response.json()["errors"][0]["resource"] == "Issue"
    assert len(hub.requests) == 1


def test_a_422_with_a_message_of_its_own_shows_it(hub, github):
    hub.next = [
        invalid({"resource": "Issue", "code": "custom", "message": "spam", "field": "body"})
    ]

    with pytest.raises(httpkit.UnprocessableContentError, match="Validation Failed: body: spam"):
        github.repos(NAME).issues.create({"title": "t"})


def test_a_wrong_token_is_a_401_that_does_not_show_it(hub, monkeypatch):
    with (
        GitHub(hub.url, auth=httpkit.BearerAuth("ghp_wrong0token1")) as github,
        pytest.raises(httpkit.UnauthorizedError, match="Bad credentials") as caught,
    ):
        github.repos.get(NAME)

    assert "ghp_wrong0token1" not in repr(caught.value)


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_is_waited_for_and_the_issue_created_once(hub, github, waits, status):
    hub.next = [secondary_limit(status, retry_after="60")]

    made = github.repos(NAME).issues.create({"title": "Once"})

    assert (made.number, len(hub.issues), waits) == (8, 8, [60])


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_that_is_full_again_soon_is_waited_for(hub, github, waits, status):
    reset = str(int(time.time()) + 30)
    hub.next = [secondary_limit(status, x_ratelimit_remaining="0", x_ratelimit_reset=reset)]

    issue = github.repos(NAME).issues.get(1)

    assert (issue.number, waits) == (1, [pytest.approx(30, abs=2)])


@pytest.mark.parametrize("status", [403, 429])
def test_a_limit_that_is_full_again_in_twenty_minutes_is_an_error_that_says_so(
    hub, github, waits, status
):
    reset = str(hub.reset)
    hub.next = [secondary_limit(status, x_ratelimit_remaining="0", x_ratelimit_reset=reset)]

    with pytest.raises(httpkit.ClientError) as caught:
        github.repos(NAME).issues.get(1)

    assert caught.value.retry_after == pytest.approx(1200, abs=5)
    assert (caught.value.status_code, caught.value.attempts, waits) == (status, 1, [])


def test_a_403_for_want_of_rights_is_not_repeated(hub, github, waits):
    hub.next = [Response(403, {"message": "Resource not accessible by personal access token"})]

    with pytest.raises(httpkit.ForbiddenError, match="not accessible"):
        github.repos(NAME).issues.create({"title": "t"})

    assert (len(hub.requests), waits) == (1, [])


def test_an_issue_whose_response_was_lost_is_not_created_twice(hub, github):
    def create_and_hang_up(received):
        hub.respond(received)

    hub.next = [create_and_hang_up]

    with pytest.raises(requests.ConnectionError) as caught:
        github.repos(NAME).issues.create({"title": "Once"})

    assert (len(hub.issues), len(hub.requests)) == (8, 1)
    assert "may have arrived" in caught.value.stop_reason


# ---- Payments


def test_a_payment_is_sent_as_a_form_with_the_key_as_user(bank, payments):
    order = {
        "amount": 1099, "currency": "eur", "customer": "cus_1", "confirm": True,
        "metadata": {"order": "6735", "shop": "a&b"}, "payment_method_types": ["card", "sepa"],
    }  # fmt: skip

    intent = payments.intents.create(order, idempotency_key="order-6735")

    assert intent == Intent("pi_1", 1099, "requires_capture", "cus_1")
    received = bank.requests[0]
    assert (received.method, received.path) == ("POST", "/v1/payment_intents")
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["idempotency-key"] == "order-6735"
    assert received.body.decode() == (
        "amount=1099&currency=eur&customer=cus_1&confirm=true&metadata%5Border%5D=6735"
        "&metadata%5Bshop%5D=a%26b&payment_method_types%5B%5D=card&payment_method_types%5B%5D=sepa"
    )


def test_a_customer_can_be_expanded(bank, payments):
    made = payments.intents.create({"amount": 5, "currency": "eur", "customer": "cus_2"})

    found = payments.intents.get(made.id, params={"expand[]": "customer"})

    assert found.customer == Customer("cus_2", "c2@example.com")
    assert bank.requests[-1].query == {"expand[]": ["customer"]}


def test_customers_come_from_all_pages_by_the_last_id(bank, payments):
    found = [customer.id for customer in payments.customers.list(params={"limit": 2})]

    assert found == ["cus_1", "cus_2", "cus_3", "cus_4", "cus_5"]
    assert [request.query.get("starting_after") for request in bank.requests] == [
        None,
        ["cus_2"],
        ["cus_4"],
    ]
    assert {request.query["limit"][0] for request in bank.requests} == {"2"}


def test_nested_filters_are_sent_in_brackets_with_every_page(bank, payments):
    filters = {"created": {"gte": 5, "lt": 9}, "metadata": {"tier": "1"}, "limit": 3}

    found = [customer.id for customer in payments.customers.list(params=filters)]

    assert found == ["cus_1", "cus_2", "cus_3", "cus_4", "cus_5"]
    for request in bank.requests:
        assert request.query["created[gte]"] == ["5"]
        assert request.query["created[lt]"] == ["9"]
        assert request.query["metadata[tier]"] == ["1"]


def test_a_customer_is_created_changed_and_deleted(bank, payments):
    made = payments.customers.create({"email": "ada@example.com", "metadata": {"tier": "1"}})
    changed = payments.customers.update(made.id, {"email": "ada@example.org", "metadata": {}})
    payments.customers.delete(made.id)

    assert (made.email, changed.email) == ("ada@example.com", "ada@example.org")
    assert requested(bank) == [
        "POST /v1/customers", "POST /v1/customers/cus_6", "DELETE /v1/customers/cus_6"
    ]  # fmt: skip
    assert bank.requests[0].form == {"email": "ada@example.com", "metadata[tier]": "1"}
    assert payments.customers.get("cus_6", default=None) is None


def test_a_capture_is_an_action_with_a_key_of_its_own(bank, payments):
    made = payments.intents.create({"amount": 5, "currency": "eur"})

    captured = payments.intents.capture(made.id)

    assert captured.status == "succeeded"
    assert requested(bank)[-1] == "POST /v1/payment_intents/pi_1/capture"
    assert len(bank.requests[-1].headers["idempotency-key"]) == 36


def test_a_payment_whose_response_is_lost_is_made_once(bank, payments, waits):
    bank.drop = 2

    intent = payments.intents.create({"amount": 5, "currency": "eur"}, idempotency_key=True)

    assert (intent.id, len(bank.intents), len(bank.requests)) == ("pi_1", 1, 3)
    assert len({request.headers["idempotency-key"] for request in bank.requests}) == 1
    assert len({request.body for request in bank.requests}) == 1
    assert len(waits) == 2


def test_a_payment_without_a_key_whose_response_is_lost_is_an_error(bank, payments):
    bank.drop = 1

    with pytest.raises(requests.ConnectionError):
        payments.intents.create({"amount": 5, "currency": "eur"})

    assert (len(bank.intents), len(bank.requests)) == (1, 1)


def test_the_key_of_an_order_gives_the_same_payment_again(bank, payments):
    order = {"amount": 5, "currency": "eur"}

    first = payments.intents.create(order, idempotency_key="order-1")
    second = payments.intents.create(order, idempotency_key="order-1")

    assert (first, len(bank.intents)) == (second, 1)


def test_the_key_of_another_order_is_refused(payments):
    payments.intents.create({"amount": 5, "currency": "eur"}, idempotency_key="order-1")

    with pytest.raises(httpkit.BadRequestError, match="the same parameters"):
        payments.intents.create({"amount": 6, "currency": "eur"}, idempotency_key="order-1")


@pytest.mark.parametrize(
    "again", [busy(), Response(429, {}), Response(500, {})], ids=["409", "429", "500"]
)
def test_an_unfinished_operation_is_polled_again(bank, payments, waits, again):
    bank.next = [again]

    payments.intents.create({"amount": 5, "currency": "eur"}, idempotency_key=True)

    assert (len(bank.intents), len(bank.requests), len(waits)) == (1, 2, 1)


def test_a_refused_card_is_an_error_of_ones_own(bank, payments):
    with pytest.raises(CardError, match=r"402 .*: Your card was declined") as caught:
        payments.intents.create({"amount": 5, "currency": "eur", "payment_method": DECLINED})

    assert (caught.value.code, len(bank.requests)) == ("card_declined", 1)
    assert caught.value.request_id == "req_aaaaaaaaaaaaaa"


def test_a_refused_card_is_still_one_after_a_pickle(payments):
    with pytest.raises(CardError) as caught:
        payments.intents.create({"amount": 5, "currency": "eur", "payment_method": DECLINED})

    twin = pickle.loads(pickle.dumps(caught.value))

    assert (twin.code, str(twin)) == ("card_declined", str(caught.value))


def test_a_missing_field_is_named(payments):
    with pytest.raises(httpkit.BadRequestError) as caught:
        payments.intents.create({"currency": "eur"})

    assert caught.value.detail.endswith("Missing required param: amount.")
    assert caught.value.response.json()["error"]["param"] == "amount"


def test_a_wrong_key_is_a_401_that_does_not_show_it(bank):
    with (
        Payments(f"{bank.url}/v1", auth=httpkit.BasicAuth("sk_test_wrong1234")) as payments,
        pytest.raises(httpkit.UnauthorizedError) as caught,
    ):
        payments.customers.get("cus_1")

    assert "sk_test_wrong1234" not in f"{caught.value!r} {payments!r}"


def test_a_client_that_pickles_carries_the_name_of_its_key(bank, payments, monkeypatch):
    pickled = pickle.dumps(payments)

    assert KEY.encode() not in pickled
    assert pickle.loads(pickled).customers.get("cus_1").id == "cus_1"
