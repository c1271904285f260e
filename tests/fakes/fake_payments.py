"""A payments API of Stripe's kind, as its documentation shows it: forms, cursors, keys."""

import itertools
import re
from base64 import b64encode
from urllib.parse import parse_qsl

from fake_server import FakeServer, Response

KEY = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
DECLINED = "pm_card_chargeDeclined"


class FakePayments(FakeServer):
    """The API. `intents` are the charges made; `drop` of them lose their response."""

    def __init__(self):
        super().__init__()
        self.drop = 0
        self.customers = {f"cus_{n}": customer(n) for n in range(1, 6)}
        self.intents = {}
        self._responses = {}
        self._request_ids = itertools.count(1)

    def respond(self, request):
        response = self._keyed(request)
        response.headers = {
            **response.headers,
            "Request-Id": f"req_{chr(96 + next(self._request_ids)) * 14}",
            "Stripe-Version": request.headers.get("stripe-version", "2025-03-31.basil"),
        }
        if self.drop and request.method == "POST":
            self.drop -= 1
            return None
        return response

    def _keyed(self, request):
        """Response a repetition of a request as the first time: that is what a key is for."""
        if (
            request.headers.get("authorization")
            != f"Basic {b64encode(f'{KEY}:'.encode()).decode()}"
        ):
            return error(401, "invalid_request_error", "Invalid API Key provided: sk_test_****zdp7")
        key = request.headers.get("idempotency-key")
        if key is None or request.method != "POST":
            return self._routed(request)
        sent = (request.path, request.body)
        before, response = self._responses.get(key, (sent, None))
        if before != sent:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they"
                " were first used with."
            )
            return error(400, "idempotency_error", message)
        if response is None:
            response = self._routed(request)
            self._responses[key] = (sent, response)
            return response
        return Response(response.status, response.body, {"Idempotent-Replayed": "true"})

    def _routed(self, request):
        for method, pattern, act in self._routes:
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                return act(self, request, *found.groups())
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        return error(404, "invalid_request_error", message)

    def _list(self, request):
        rows = list(self.customers.values())
        size = int(request.query.get("limit", ["10"])[0])
        after = request.query.get("starting_after", [None])[0]
        if after is not None:
            rows = rows[[row["id"] for row in rows].index(after) + 1 :]
        page = {"object": "list", "url": "/v1/customers", "has_more": len(rows) > size}
        return Response(200, {**page, "data": rows[:size]})

    def _create_customer(self, request):
        made = customer(len(self.customers) + 1) | nested(request)
        self.customers[made["id"]] = made
        return Response(200, made)

    def _customer(self, request, id):
        return (
            Response(200, self.customers[id]) if id in self.customers else missing("customer", id)
        )

    def _change_customer(self, request, id):
        response = self._customer(request, id)
        if response.status == 200:
            changes = nested(request)
            response.body["metadata"].update(changes.pop("metadata", {}))
            response.body.update(changes)
        return response

    def _delete_customer(self, request, id):
        if self.customers.pop(id, None) is None:
            return missing("customer", id)
        return Response(200, {"id": id, "object": "customer", "deleted": True})

    def _pay(self, request):
        order = nested(request)
        if "amount" not in order:
            return error(
                400, "invalid_request_error", "Missing required param: amount.",
                code="parameter_missing", param="amount",
            )  # fmt: skip
        if order.get("payment_method") == DECLINED:
            return error(
                402, "card_error", "Your card was declined.",
                code="card_declined", decline_code="generic_decline",
                doc_url="https://stripe.com/docs/error-codes/card-declined",
            )  # fmt: skip
        made = {
            "id": f"pi_{len(self.intents) + 1}", "object": "payment_intent",
            "status": "requires_capture", "customer": None, "livemode": False,
            **order, "amount": int(order["amount"]),
        }  # fmt: skip
        self.intents[made["id"]] = made
        return Response(200, made)

    def _intent(self, request, id):
        if id not in self.intents:
            return missing("payment_intent", id)
        found = dict(self.intents[id])
        if "customer" in request.query.get("expand[]", []):
            found["customer"] = self.customers[found["customer"]]
        return Response(200, found)

    def _capture(self, request, id):
        if id not in self.intents:
            return missing("payment_intent", id)
        self.intents[id]["status"] = "succeeded"
        return Response(200, self.intents[id])

    _routes = (
        ("GET", "/v1/customers", _list),
        ("POST", "/v1/customers", _create_customer),
        ("GET", "/v1/customers/(\\w+)", _customer),
        ("POST", "/v1/customers/(\\w+)", _change_customer),
        ("DELETE", "/v1/customers/(\\w+)", _delete_customer),
        ("POST", "/v1/payment_intents", _pay),
        ("GET", "/v1/payment_intents/(\\w+)", _intent),
        ("POST", "/v1/payment_intents/(\\w+)/capture", _capture),
    )


def customer(number):
    return {
        "id": f"cus_{number}", "object": "customer", "email": f"c{number}@example.com",
        "metadata": {}, "created": 1680893993, "livemode": False,
    }  # fmt: skip


def nested(request):
    """Read a form as such servers do: a[b]=c is {"a": {"b": "c"}}, and a[]=c {"a": ["c"]}."""
    if request.body and request.headers.get("content-type") != "application/x-www-form-urlencoded":
        return {}
    document = {}
    for name, value in parse_qsl(request.body.decode(), keep_blank_values=True):
        first, *keys = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        if keys == [""]:
            document.setdefault(first, []).append(value)
        elif keys:
            document.setdefault(first, {})[keys[0]] = value
        else:
            document[first] = value
    return document


def error(status, type, message, **more):
    return Response(status, {"error": {"type": type, "message": message, **more}})


def missing(what, id):
    message = f"No such {what}: '{id}'"
    return error(404, "invalid_request_error", message, code="resource_missing", param="id")


def busy():
    """Return what is said while the first request with a key is still at work."""
    message = "There is currently another in-progress request using this Idempotent Key."
    return error(409, "idempotency_error", message, code="idempotency_key_in_use")
