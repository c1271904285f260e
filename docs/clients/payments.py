"""A client for a payments API like Stripe's: copy it, and add what you need.

api = Payments(auth=httpkit.BasicAuth.from_env("PAYMENTS_KEY"))
intent = {"amount": 1099, "currency": "eur", "metadata": {"order": "6735"}}
print(api.intents.create(intent, idempotency_key="order-6735").status)
"""

from dataclasses import dataclass
from typing import TypeVar

import httpkit

T = TypeVar("T")
PAGES = httpkit.CursorPages("data.-1.id", "starting_after", more="has_more")


class CardError(httpkit.ClientError):
    """402: the bank refused the card; `code` says why."""

    @property
    def code(self) -> str:
        return str(self.response.json()["error"]["code"])


@dataclass
class Customer:
    id: str
    email: str | None


@dataclass
class Intent:
    id: str
    amount: int  # in the smallest unit of the currency, such as cents
    status: str
    customer: str | Customer | None  # a Customer if params={"expand[]": "customer"}


class Collection(httpkit.Resource[T]):
    """Sends forms, updates by POST, and pages by the id of the last item."""

    def __init__(self, path: str, model: type[T]) -> None:
        super().__init__(path, model, items_at="data", pages=PAGES, form=True, update_method="POST")


class Intents(Collection[Intent]):
    def capture(self, id: str) -> Intent:
        response = self.request("POST", "{id}/capture", id=id, idempotency_key=True)
        return response.decode(Intent)


class Payments(httpkit.Session, on_status={402: httpkit.raising(CardError)}):
    base_url = "https://api.stripe.com/v1"
    # 409: the first request with this idempotency key is still running.
    retry = httpkit.RetryPolicy(statuses=[409, 429, 500, 502, 503, 504])

    customers = Collection("customers", Customer)
    intents = Intents("payment_intents", Intent)
