"""Which route of the Sandbox answers what; the table for people is in `sandbox`.

Rule: standard library only, and nothing from httpkit but the rooms of the Sandbox.
"""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import cast
from urllib.parse import unquote

from httpkit.testing.sandbox import auth as guards
from httpkit.testing.sandbox import files
from httpkit.testing.sandbox.call import Call
from httpkit.testing.sandbox.messages import (
    LONGEST_STREAM,
    Answer,
    RefusalError,
    SeenRequest,
    as_json,
    asked_number,
    decoded,
    html,
    problem,
    read_number,
    reason,
    with_query,
)
from httpkit.testing.sandbox.store import Row, Site


def answer_to(site: Site, request: SeenRequest) -> Answer:
    """Return what a request gets."""
    # RFC 9112 section 3.2.2: a server accepts the absolute form, which a proxy is sent.
    return _answer(Call(site, request, re.sub(r"^https?://[^/]*", "", request.path)))


def _answer(call: Call) -> Answer:
    """Take one segment off the path and let the route of that name answer."""
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
    except RefusalError as refusal:
        return refusal.answer


def _collection(call: Call, name: str, within: Row | None = None) -> Answer:
    if name not in call.site.collections:
        raise call.lost()
    if nested := re.fullmatch("/([^/]+)/([^/]+)((?:/[^/]+)?)", call.path):
        return _nested(call, name, *map(unquote, nested.groups()[:2]), rest=nested[3])
    if not re.fullmatch("(/[^/]+)?", call.path):
        raise call.lost()
    allowed = _ITEM_METHODS if call.path else _COLLECTION_METHODS
    if call.request.method not in allowed:
        allow = (("Allow", ", ".join(allowed)),)
        detail = f"{call.request.method} is not one of {allow[0][1]}"
        raise RefusalError(405, detail, headers=allow)
    with call.site.lock:
        collection = call.site.collections[name]
        if call.path:
            return collection.change(call.request, unquote(call.path[1:]), within or {})
        if call.request.method == "POST":
            return collection.create(call.request, within or {})
        return collection.select(call.request, within or {})


def _nested(call: Call, name: str, key: str, inner: str, *, rest: str) -> Answer:
    """Answer with what belongs to one row: `/users/1/posts` has the posts of userId 1."""
    if inner not in call.site.collections:
        raise call.lost()
    with call.site.lock:
        row = call.site.collections[name].rows.get(key)
    if row is None:
        raise RefusalError(404, f"no {name} with id {key}")
    within = {f"{name.removesuffix('s')}Id": row["id"]}
    return _collection(replace(call, path=rest), inner, within)


def _guarded(call: Call, *, by: Callable[[Call], None]) -> Answer:
    """Answer the rest of the path to whom a guard lets in."""
    by(call)
    return _answer(call) if call.path.strip("/") else as_json({"authenticated": True})


def _wrapped(call: Call) -> Answer:
    name = unquote(call.path[1:])
    if name not in call.site.collections:
        raise call.lost()
    with call.site.lock:
        return call.site.collections[name].wrap(call.request)


def _echo(call: Call) -> Answer:
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


def _status(call: Call) -> Answer:
    return _asked_for(call, read_number(call.path[1:], "status", int, least=200, most=599))


def _asked_for(call: Call, status: int) -> Answer:
    """Answer with a status, and with the headers and the kind of body in the query."""
    detail = f"asked for {status}"
    kinds = {
        "problem": problem(status, detail),
        "object": as_json({}, status=status),
        "json": as_json({"error": {"message": detail}}, status=status),
        "html": html(f"{status} {reason(status)}", status=status),
        "text": Answer(status, detail.encode()),
        "empty": Answer(status),
    }
    response = call.chosen("kind", kinds, "problem" if status >= 400 else "object")
    query = call.request.query
    asked = [(field, query[name][0]) for name, field in _ASKED_HEADERS.items() if name in query]
    return replace(response, headers=tuple(asked))


def _graphql(call: Call) -> Answer:
    """Answer a GraphQL operation with what was received: GraphQL over HTTP, by POST."""
    if call.request.method != "POST":
        raise RefusalError(405, "GraphQL is a POST here", headers=(("Allow", "POST"),))
    body = decoded(call.request.body)
    received = cast("Row", body) if isinstance(body, dict) else {}
    is_operation = isinstance(received.get("query"), str)
    failures = asked_number(call.request, "errors", 0, most=LONGEST_STREAM)
    document: Row = {"data": None}
    if is_operation and call.asked("data", "1") != "0":
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
    kind = "application/graphql-response+json" if knows else "application/json"
    status = call.asked_status("status", 200 if is_operation else 400)
    return replace(as_json(document, status=status), content_type=kind)


def _flaky(call: Call) -> Answer:
    key = unquote(call.path[1:])
    if not key:
        raise call.lost()
    failures = asked_number(call.request, "fail", 2)
    then = call.asked_status("then", 200)
    with call.site.lock:
        attempts = call.site.attempts.setdefault(key, [])
        attempts.append(call.request)
        count = len(attempts)
    if count > failures:
        received = len(call.request.body)
        return as_json({"key": key, "attempts": count, "received": received}, status=then)
    if call.asked("status", "503") == "drop":
        raise ConnectionAbortedError("the client asked to be hung up on")
    return _asked_for(call, call.asked_status("status", 503))


def _slow(call: Call) -> Answer:
    seconds = call.asked_seconds()
    call.site.wait(seconds)
    return as_json({"seconds": seconds})


def _cookies(call: Call) -> Answer:
    if call.path not in {"", "/set"}:
        raise call.lost()
    new = {name: v[0] for name, v in call.request.query.items()} if call.path else {}
    headers = tuple(("Set-Cookie", f"{name}={value}; Path=/") for name, value in new.items())
    return as_json({**call.cookies_sent(), **new}, headers=headers)


def _redirect(call: Call) -> Answer:
    name, _, rest = call.path.removeprefix("/").partition("/")
    if name not in _REDIRECTS:
        raise call.lost()
    to = _REDIRECTS[name](replace(call, path=rest))
    status = call.asked_status("status", 302)
    return as_json({"to": to}, status=status, headers=(("Location", to),))


def _to_url(call: Call) -> str:
    if "to" not in call.request.query:
        raise RefusalError(400, "the query needs to=URL")
    return call.asked("to", "")


def _to_other(call: Call) -> str:
    other = 1 - call.site.ports.index(call.request.port)
    query = {name: v for name, v in call.request.query.items() if name != "status"}
    return with_query(f"{call.site.origin(other)}/{call.path}", query)


def _to_loop(call: Call) -> str:
    return with_query(call.request.path, call.request.query)


def _to_chain(call: Call) -> str:
    iter_redirects = read_number(call.path, "hops", int, least=1, most=1000)
    start = call.request.path.removesuffix(f"/redirect/chain/{call.path}")
    following = f"/redirect/chain/{iter_redirects - 1}" if iter_redirects > 1 else "/echo"
    return with_query(start + following, call.request.query)


_Route = Callable[[Call], Answer]

# The routes that always answer the same.
_FIXED: Mapping[str, Answer] = {
    "empty": Answer(204),
    "gzip": Answer(
        200,
        gzip.compress(b'{"gzipped": true}', mtime=0),
        "application/json",
        (("Content-Encoding", "gzip"),),
    ),
    "html": html("Sandbox"),
    "invalid-json": Answer(200, b'{"broken": ', "application/json"),
}
# The routes that end at their name.
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
    "token": guards.token,
    "truncated": files.truncated,
}
# The routes to which the rest of the path means something.
_BRANCHES: Mapping[str, _Route] = {
    "basic": partial(_guarded, by=guards.basic),
    "bearer": partial(_guarded, by=guards.bearer),
    "bytes": files.sized,
    "cookies": _cookies,
    "echo": _echo,
    "flaky": _flaky,
    "key": partial(_guarded, by=guards.key),
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
# The headers that a query can ask for.
_ASKED_HEADERS: Mapping[str, str] = {"retry_after": "Retry-After", "request_id": "X-Request-Id"}

BUILT_IN = frozenset({*_FIXED, *_LEAVES, *_BRANCHES})
"""The names that no collection can have."""
