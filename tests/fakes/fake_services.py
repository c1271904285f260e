"""What the pages talk to: a site with a login, an authorization server, a webhook's receiver,
and an API whose work takes longer than a call.
"""

import base64
import hashlib
import hmac
import json
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from fake_server import FakeServer, Response

FORBIDDEN = Response(403, b"<title>403 Forbidden</title>", {"Content-Type": "text/html"})
FEED = """<?xml version="1.0" encoding="iso-8859-1"?>
<feed><entry id="1">caf\xe9</entry><entry id="2">tea</entry></feed>""".encode("latin-1")
SECRET = b"whsec-of-the-test"


class FakeShop(FakeServer):
    """A site with cookies, and a token against forgery that must be echoed, as Django has it."""

    def __init__(self):
        super().__init__()
        self.logins = 0

    def respond(self, request):
        cookies = SimpleCookie(request.headers.get("cookie", ""))
        routes = {
            ("GET", "/login"): self._form,
            ("POST", "/login"): self._login,
            ("POST", "/orders"): self._order,
            ("GET", "/feed.xml"): self._feed,
            ("POST", "/rpc"): self._rpc,
        }
        act = routes.get((request.method, request.path))
        return Response(404, {}) if act is None else act(request, cookies)

    def _form(self, request, cookies):
        field = {"Set-Cookie": "csrftoken=first-0001; Path=/; SameSite=Lax"}
        return Response(200, b"<form method=post>", {"Content-Type": "text/html", **field})

    def _login(self, request, cookies):
        if not self._is_echoed(request, cookies):
            return FORBIDDEN
        if (request.form.get("username"), request.form.get("password")) != (
            "ada",
            "sandbox-password",
        ):
            return Response(401, {"detail": "Wrong name or password."})
        self.logins += 1
        cookie = "sessionid=s3ss10n; Path=/; HttpOnly; SameSite=Lax"
        return Response(200, {"user": "ada"}, {"Set-Cookie": cookie})

    def _order(self, request, cookies):
        if not self._is_echoed(request, cookies):
            return FORBIDDEN
        if "sessionid" not in cookies:
            return Response(401, {"detail": "Authentication credentials were not provided."})
        return Response(201, {"id": 1, **request.json})

    def _is_echoed(self, request, cookies):
        return "csrftoken" in cookies and (
            request.headers.get("x-csrftoken") == cookies["csrftoken"].value
        )

    def _feed(self, request, cookies):
        return Response(200, FEED, {"Content-Type": "application/xml"})

    def _rpc(self, request, cookies):
        wanted = request.json
        if isinstance(wanted, list):
            responses = [self._called(call) for call in reversed(wanted)]  # any order will do
            return Response(200, [response for response in responses if response])
        response = self._called(wanted)
        return Response(200, response) if response else Response(204)

    def _called(self, call):
        reply = {"jsonrpc": "2.0", "id": call.get("id")}
        if call["method"] != "subtract":
            reply |= {"error": {"code": -32601, "message": "Method not found"}}
        else:
            reply |= {"result": call["params"][0] - call["params"][1]}
        return reply if "id" in call else None


DEVICE = {
    "device_code": "device-code-1",
    "user_code": "WDJB-MJHT",
    "interval": 0,
    "verification_uri": "https://login.example.com/device",
}


class FakeLogin(FakeServer):
    """An authorization server (RFC 6749, RFC 7636) whose user always agrees."""

    def __init__(self):
        super().__init__()
        self._challenges = {}
        self._refresh = iter(f"refresh-token-{n}" for n in range(1, 99))
        self._valid = None

    def respond(self, request):
        if request.path == "/device":
            return Response(200, DEVICE)
        if request.path == "/authorize":
            return self._authorize(request)
        is_other = (
            request.form.get("grant_type", "").startswith("urn:")
            or "client_assertion" in request.form
            or "oauth.v2" in request.path
        )
        return Response(200, self._token_set()) if is_other else self._token(request)

    def _authorize(self, request):
        wanted = {name: values[0] for name, values in request.query.items()}
        code = f"code-{len(self._challenges)}"
        self._challenges[code] = wanted["code_challenge"]
        there = urlencode({"code": code, "state": wanted["state"]})
        return Response(302, b"", {"Location": f"{wanted['redirect_uri']}?{there}"})

    def _token(self, request):
        who = f"Basic {base64.b64encode(b'my-app:app-secret').decode()}"
        if request.headers.get("authorization") != who:
            return Response(401, {"error": "invalid_client"})
        if not self._is_granted(request.form):
            return Response(400, {"error": "invalid_grant"})
        return Response(200, self._token_set())

    def _token_set(self):
        self._valid = next(self._refresh)
        token = {"access_token": "sandbox-token", "token_type": "Bearer", "expires_in": 3600}
        return {**token, "refresh_token": self._valid}

    def _is_granted(self, form):
        if form["grant_type"] == "refresh_token":
            return form["refresh_token"] == self._valid
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return self._challenges.pop(form["code"], None) == challenge


class FakeReceiver(FakeServer):
    """Who gets a webhook, signed as standardwebhooks.com says; the first one finds it busy."""

    def __init__(self):
        super().__init__()
        self.received = {}
        self.is_busy = True

    def respond(self, request):
        name, sent_at = (request.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp"))
        signed = f"{name}.{sent_at}.".encode() + request.body
        right = base64.b64encode(hmac.digest(SECRET, signed, "sha256")).decode()
        if request.headers.get("webhook-signature") != f"v1,{right}":
            return Response(400, {"detail": "the signature is wrong"})
        if self.is_busy:
            self.is_busy = False
            return Response(500, {})
        self.received.setdefault(name, json.loads(request.body))
        return Response(204)


RUNNING = {
    "/v1/jobs/7": Response(202, {}, {"Retry-After": "0"}),
    "/v1/jobs/8": Response(200, {"status": "running"}),
    "/v1/builds/7": Response(200, {"build": {"phase": "testing"}}, {"Retry-After": "0"}),
    "/v1/builds/7/steps": Response(200, [{"ok": True}, {"ok": None}], {"Retry-After": "0"}),
}
DONE = {
    "/v1/jobs/7": Response(200, {"rows": 3}),
    "/v1/builds/7": Response(200, {"build": {"phase": "SHIPPED"}}),
    "/v1/builds/7/steps": Response(200, [{"ok": True}, {"ok": True}]),
}


class FakeJobs(FakeServer):
    """An API with long-running operations: each is running at first, and done when asked again."""

    def respond(self, request):
        if (request.method, request.path) == ("POST", "/v1/exports"):
            return Response(202, {}, {"Location": "/v1/jobs/7"})
        times = sum(seen.path == request.path for seen in self.requests)
        found = RUNNING if times == 1 else DONE
        return found.get(request.path, Response(404, {}))
