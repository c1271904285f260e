"""The routes of the Sandbox; the table for users is in `server`.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import cast
from urllib.parse import unquote

from httpkit.testing.sandbox import auth, files
from httpkit.testing.sandbox.call import Call
from httpkit.testing.sandbox.messages import (
    LONGEST_STREAM,
    RejectedError,
    Response,
    SeenRequest,
    as_json,
    decoded,
    html,
    number_parameter,
    problem,
    read_number,
    reason,
    with_query,
)
from httpkit.testing.sandbox.store import Row, Site


def respond(site: Site, request: SeenRequest) -> Response:
    """Return the response to a request."""
    # RFC 9112 section 3.2.2: a server accepts the absolute form, which a proxy is sent.
    return _dispatch(Call(site, request, re.sub(r"^https?://[^/]*", "", request.path)))


def _dispatch(call: Call) -> Response:
    """Take one segment off the path and call the route of that name."""
    name, slash, rest = call.path.removeprefix("/").partition("/")
    name = unquote(name)
    inner = replace(call, path=slash + rest)
    try:
        if name in _BRANCHES:
            return _BRANCHES[name](inner)
        if name in _LEAVES and not inner.path:
            return _LEAVES[name](inner)
        if name in _FIXED and not inner.path:
            return _FIXED[name]
        return _collection(inner, name)
    except RejectedError as error:
        return error.response


def _collection(call: Call, name: str, within: Row | None = None) -> Response:
    if name not in call.site.collections:
        raise call.not_found()
    if nested := re.fullmatch("/([^/]+)/([^/]+)((?:/[^/]+)?)", call.path):
        return _nested(call, name, *map(unquote, nested.groups()[:2]), rest=nested[3])
    if not re.fullmatch("(/[^/]+)?", call.path):
        raise call.not_found()
    allowed = _ITEM_METHODS if call.path else _COLLECTION_METHODS
    if call.request.method not in allowed:
        allow = (("Allow", ", ".join(allowed)),)
        detail = f"{call.request.method} is not one of {allow[0][1]}"
        raise RejectedError(405, detail, headers=allow)
    with call.site.lock:
        collection = call.site.collections[name]
        if call.path:
            return collection.change(call.request, unquote(call.path[1:]), within or {})
        if call.request.method == "POST":
            return collection.create(call.request, within or {})
        return collection.select(call.request, within or {})


def _nested(call: Call, name: str, key: str, inner: str, *, rest: str) -> Response:
    """Return the rows that belong to one: `/users/1/posts` has the posts of userId 1."""
    if inner not in call.site.collections:
        raise call.not_found()
    with call.site.lock:
        row = call.site.collections[name].rows.get(key)
    if row is None:
        raise RejectedError(404, f"no {name} with id {key}")
    within = {f"{name.removesuffix('s')}Id": row["id"]}
    return _collection(replace(call, path=rest), inner, within)


def _protected(call: Call, *, check: Callable[[Call], None]) -> Response:
    """Check the credentials, and serve the rest of the path."""
    check(call)
    return _dispatch(call) if call.path.strip("/") else as_json({"authenticated": True})


def _wrapped(call: Call) -> Response:
    name = unquote(call.path[1:])
    if name not in call.site.collections:
        raise call.not_found()
    with call.site.lock:
        return call.site.collections[name].wrap(call.request)


def _echo(call: Call) -> Response:
    request = call.request
    return as_json(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": dict(request.headers),
            "body": request.body.decode("utf-8", "replace"),
            "json": decoded(request.body),
            "bytes": len(request.body),
        }
    )


def _status(call: Call) -> Response:
    return _requested(call, read_number(call.path[1:], "status", int, least=200, most=599))


def _requested(call: Call, status: int) -> Response:
    """Return a status, with the headers and the kind of body that the query names."""
    detail = f"asked for {status}"
    bodies = {
        "problem": problem(status, detail),
        "object": as_json({}, status=status),
        "json": as_json({"error": {"message": detail}}, status=status),
        "html": html(f"{status} {reason(status)}", status=status),
        "text": Response(status, detail.encode()),
        "empty": Response(status),
    }
    response = call.chosen("kind", bodies, "problem" if status >= 400 else "object")
    query = call.request.query
    headers = [
        (field, query[name][0]) for name, field in _REQUESTED_HEADERS.items() if name in query
    ]
    return replace(response, headers=tuple(headers))


def _graphql(call: Call) -> Response:
    """Return the GraphQL operation that was received: GraphQL over HTTP, by POST."""
    if call.request.method != "POST":
        raise RejectedError(405, "a GraphQL operation must be a POST", headers=(("Allow", "POST"),))
    body = decoded(call.request.body)
    received = cast("Row", body) if isinstance(body, dict) else {}
    is_operation = isinstance(received.get("query"), str)
    failures = number_parameter(call.request, "errors", 0, most=LONGEST_STREAM)
    document: Row = {"data": None}
    if is_operation and call.parameter("data", "1") != "0":
        document["data"] = {
            name: received.get(name) for name in ("query", "variables", "operationName")
        }
    if not is_operation:
        document = {"errors": [{"message": "the body must be an object with a query"}]}
    elif failures:
        document["errors"] = [
            {"message": f"error {number}", "path": ["query"]} for number in range(1, failures + 1)
        ]
    knows = "application/graphql-response+json" in call.request.headers.get("accept", "")
    content_type = "application/graphql-response+json" if knows else "application/json"
    status = call.status_parameter("status", 200 if is_operation else 400)
    return replace(as_json(document, status=status), content_type=content_type)


def _flaky(call: Call) -> Response:
    key = unquote(call.path[1:])
    if not key:
        raise call.not_found()
    failures = number_parameter(call.request, "fail", 2)
    then = call.status_parameter("then", 200)
    with call.site.lock:
        attempts = call.site.attempts.setdefault(key, [])
        attempts.append(call.request)
        count = len(attempts)
    if count > failures:
        received = len(call.request.body)
        return as_json({"key": key, "attempts": count, "received": received}, status=then)
    if call.parameter("status", "503") == "drop":
        raise ConnectionAbortedError("the client asked to be hung up on")
    return _requested(call, call.status_parameter("status", 503))


def _slow(call: Call) -> Response:
    seconds = call.seconds_parameter()
    call.site.closing.wait(seconds)
    return as_json({"seconds": seconds})


def _cookies(call: Call) -> Response:
    if call.path not in {"", "/set"}:
        raise call.not_found()
    new = {name: v[0] for name, v in call.request.query.items()} if call.path else {}
    headers = tuple(("Set-Cookie", f"{name}={value}; Path=/") for name, value in new.items())
    return as_json({**call.cookies_sent(), **new}, headers=headers)


def _redirect(call: Call) -> Response:
    name, _, rest = call.path.removeprefix("/").partition("/")
    if name not in _REDIRECTS:
        raise call.not_found()
    to = _REDIRECTS[name](replace(call, path=rest))
    status = call.status_parameter("status", 302)
    return as_json({"to": to}, status=status, headers=(("Location", to),))


def _to_url(call: Call) -> str:
    if "to" not in call.request.query:
        raise RejectedError(400, "the query needs to=URL")
    return call.parameter("to", "")


def _to_other(call: Call) -> str:
    other = 1 - call.site.ports.index(call.request.port)
    query = {name: v for name, v in call.request.query.items() if name != "status"}
    return with_query(f"{call.site.origin(other)}/{call.path}", query)


def _to_loop(call: Call) -> str:
    return with_query(call.request.path, call.request.query)


def _to_chain(call: Call) -> str:
    hops = read_number(call.path, "hops", int, least=1, most=1000)
    start = call.request.path.removesuffix(f"/redirect/chain/{call.path}")
    following = f"/redirect/chain/{hops - 1}" if hops > 1 else "/echo"
    return with_query(start + following, call.request.query)


_Route = Callable[[Call], Response]

# The routes whose response is always the same.
_FIXED: Mapping[str, Response] = {
    "empty": Response(204),
    "gzip": Response(
        200,
        gzip.compress(b'{"gzipped": true}', mtime=0),
        "application/json",
        (("Content-Encoding", "gzip"),),
    ),
    "html": html("Sandbox"),
    "invalid-json": Response(200, b'{"broken": ', "application/json"),
}
# The routes that have no further path.
_LEAVES: Mapping[str, _Route] = {
    "drip": files.drip,
    "events": partial(
        files.streamed,
        content_type="text/event-stream",
        opening=": the numbers from 1\nretry: 1000\n\n",
        item='id: #\nevent: number\ndata: {"number": #}\n\n',
    ),
    "graphql": _graphql,
    "json-lines": partial(
        files.streamed, content_type="application/x-ndjson", item='{"number": #}\n'
    ),
    "lines": partial(files.streamed, content_type="text/plain; charset=utf-8", item="line #\n"),
    "slow": _slow,
    "text": files.text,
    "token": auth.token,
    "truncated": files.truncated,
}
# The routes that read the rest of the path.
_BRANCHES: Mapping[str, _Route] = {
    "basic": partial(_protected, check=auth.basic),
    "bearer": partial(_protected, check=auth.bearer),
    "bytes": files.sized,
    "cookies": _cookies,
    "echo": _echo,
    "flaky": _flaky,
    "key": partial(_protected, check=auth.key),
    "redirect": _redirect,
    "resumable": files.resumable,
    "status": _status,
    "tus": files.tus,
    "wrapped": _wrapped,
}
# Every other name is a collection, if there is one of that name.
_COLLECTION_METHODS = ("GET", "HEAD", "POST")
_ITEM_METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
_REDIRECTS: Mapping[str, Callable[[Call], str]] = {
    "": _to_url,
    "other": _to_other,
    "loop": _to_loop,
    "chain": _to_chain,
}
# The headers that a query can name.
_REQUESTED_HEADERS: Mapping[str, str] = {"retry_after": "Retry-After", "request_id": "X-Request-Id"}

BUILT_IN = frozenset({*_FIXED, *_LEAVES, *_BRANCHES})
"""The names that no collection can have."""
