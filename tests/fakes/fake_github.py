"""GitHub's REST API, as its documentation shows it: two repositories, and what is in them."""

import re
import time
from urllib.parse import urlencode

from fake_server import FakeServer, Response

DOCS = "https://docs.github.com/rest"
FULL_NAME = "octocat/hello-world"
REPO = r"/repos/octocat/hello-world"
ASSET = b"a release, zipped" * 100


class FakeStorage(FakeServer):
    """Where GitHub redirects for the bytes of an asset: another origin, with signed URLs."""

    def respond(self, request):
        if "authorization" in request.headers:  # so does Azure's storage respond
            return Response(
                400, b"<?xml version='1.0'?><Error><Code>InvalidArgument</Code></Error>"
            )
        name = "attachment; filename=hello-world.zip"
        return Response(200, ASSET, {"Content-Disposition": name, "ETag": '"0x8DB"'})


class FakeGitHub(FakeServer):
    """The API. `remaining` requests are left; `issues` are those of octocat/hello-world."""

    def __init__(self):
        super().__init__()
        self.remaining = 4999
        self.reset = int(time.time()) + 1200
        self.storage = FakeStorage()
        self.issues = [self._issue(number, f"Issue {number}") for number in range(1, 8)]
        self.comments = []
        self.releases = {"latest": self._release()}

    def __enter__(self):
        self.storage.__enter__()
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.storage.__exit__()

    def respond(self, request):
        response = self._routed(request)
        self.remaining = max(0, self.remaining - 1)
        response.headers |= {
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": request.headers.get("x-github-api-version", ""),
            "X-GitHub-Request-Id": "C0FF:EE42:1:2:68",
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Used": str(5000 - self.remaining),
            "X-RateLimit-Resource": "core",
        }
        return response

    def _routed(self, request):
        if request.headers.get("authorization") != "Bearer ghp_valid0token":
            return problem(401, "Bad credentials")
        for method, pattern, act in self._routes:
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                return act(self, request, *found.groups())
        return problem(404, "Not Found")

    def _own(self, request):
        return Response(200, [repo("octocat/hello-world"), repo("octocat/spoon-knife")])

    def _repo(self, request):
        return Response(200, repo(FULL_NAME))

    def _repos_of(self, request, org):
        return self._page(request, [repo(f"{org}/{name}") for name in ("one", "two", "three")])

    def _list(self, request):
        state = request.query.get("state", ["open"])[0]
        return self._page(request, [i for i in self.issues if state in {"all", i["state"]}])

    def _page(self, request, items):
        size = int(request.query.get("per_page", ["30"])[0])
        number = int(request.query.get("page", ["1"])[0])
        # GitHub's links lead by the repository's id, and not by its name.
        address = f"{self.url}{request.path.replace(REPO, '/repositories/1296269')}"
        query = {name: values[0] for name, values in request.query.items()}
        last = -(-len(items) // size)
        links = []
        if number < last:
            links += [(number + 1, "next"), (last, "last")]
        if number > 1:
            links += [(1, "first"), (number - 1, "prev")]
        link = ", ".join(
            f'<{address}?{urlencode({**query, "page": page})}>; rel="{rel}"' for page, rel in links
        )
        return Response(
            200, items[(number - 1) * size : number * size], {"Link": link} if link else {}
        )

    def _create(self, request):
        if not request.json.get("title"):
            return invalid({"resource": "Issue", "field": "title", "code": "missing_field"})
        issue = self._issue(len(self.issues) + 1, request.json["title"], request.json.get("body"))
        self.issues.append(issue)
        return Response(201, issue, {"Location": issue["url"]})

    def _one(self, request, number):
        found = next((i for i in self.issues if i["number"] == int(number)), None)
        return problem(404, "Not Found") if found is None else Response(200, found)

    def _change(self, request, number):
        response = self._one(request, number)
        if request.json.get("state", "open") not in {"open", "closed"}:
            return invalid({"resource": "Issue", "field": "state", "code": "invalid"})
        if response.status == 200:
            response.body.update(request.json)
        return response

    def _comment(self, request, number):
        comment = {"id": len(self.comments) + 1, "node_id": "MDEy", "user": USER, **request.json}
        self.comments.append((int(number), comment))
        return Response(201, comment)

    def _comments_of(self, request, number):
        return self._page(request, [comment for of, comment in self.comments if of == int(number)])

    def _all_comments(self, request):
        return self._page(request, [comment for _, comment in self.comments])

    def _one_comment(self, request, id):
        found = next((comment for _, comment in self.comments if comment["id"] == int(id)), None)
        if found is None:
            return problem(404, "Not Found")
        if request.method == "DELETE":
            self.comments = [pair for pair in self.comments if pair[1] is not found]
            return Response(204)
        if request.method == "PATCH":
            found.update(request.json)
        return Response(200, found)

    def _release_by(self, request, id):
        found = self.releases.get(id)
        return Response(200, found) if found else problem(404, "Not Found")

    def _asset(self, request):
        if request.headers.get("accept") != "application/octet-stream":
            return Response(200, self._release()["assets"][0])
        return Response(302, b"", {"Location": f"{self.storage.url}/asset?sp=r&sig=s1gn4ture"})

    def _issue(self, number, title, body=None):
        return {
            "id": 1000 + number, "node_id": "MDU6SXNzdWUx", "number": number, "title": title,
            "url": f"{self.url}{REPO}/issues/{number}", "state": "open", "locked": False,
            "body": body, "user": USER, "labels": [], "assignee": None, "comments": 0,
            "created_at": "2011-04-22T13:33:48Z", "closed_at": None, "state_reason": None,
        }  # fmt: skip

    def _release(self):
        asset = {
            "id": 7, "name": "hello-world.zip", "size": len(ASSET), "state": "uploaded",
            "url": f"{self.url}{REPO}/releases/assets/7", "download_count": 42,
            "browser_download_url": "https://github.com/octocat/hello-world/releases/download/v1",
        }  # fmt: skip
        return {"id": 1, "tag_name": "v1.0.0", "draft": False, "assets": [asset]}

    _routes = (
        ("GET", "/user/repos", _own),
        ("GET", REPO, _repo),
        ("GET", "/orgs/(\\w+)/repos", _repos_of),
        ("GET", f"(?:{REPO}|/repositories/1296269)/issues", _list),
        ("POST", f"{REPO}/issues", _create),
        ("GET", f"{REPO}/issues/(\\d+)", _one),
        ("PATCH", f"{REPO}/issues/(\\d+)", _change),
        ("POST", f"{REPO}/issues/(\\d+)/comments", _comment),
        ("GET", f"{REPO}/issues/(\\d+)/comments", _comments_of),
        ("GET", f"{REPO}/issues/comments", _all_comments),
        ("GET", f"{REPO}/issues/comments/(\\d+)", _one_comment),
        ("PATCH", f"{REPO}/issues/comments/(\\d+)", _one_comment),
        ("DELETE", f"{REPO}/issues/comments/(\\d+)", _one_comment),
        ("GET", f"{REPO}/releases/(\\w+)", _release_by),
        ("GET", f"{REPO}/releases/assets/7", _asset),
    )


USER = {"login": "octocat", "id": 1, "type": "User", "site_admin": False}


def repo(full_name):
    owner, name = full_name.split("/")
    return {
        "id": 1296269, "name": name, "full_name": full_name, "private": False, "fork": False,
        "owner": {**USER, "login": owner}, "description": None, "default_branch": "main",
    }  # fmt: skip


def problem(status, message, **more):
    body = {"message": message, **more, "documentation_url": DOCS, "status": str(status)}
    return Response(status, body)


def invalid(*errors):
    return problem(422, "Validation Failed", errors=list(errors))


def secondary_limit(status, **headers):
    """Return what GitHub says to whoever asks too much at once."""
    response = problem(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    )
    response.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    return response
