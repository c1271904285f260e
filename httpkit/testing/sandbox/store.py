"""The state of a Sandbox: stored objects, uploads, and the requests of both ports.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import hashlib
import json
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, cast

from httpkit.testing.sandbox.messages import (
    RejectedError,
    Response,
    SeenRequest,
    as_json,
    decoded,
    number_parameter,
    read_number,
    with_query,
)
from httpkit.testing.sandbox.streams import Closing

Row = dict[str, object]

# The parameters of a collection that page or authenticate; every other one filters.
_PAGING = frozenset({"_page", "_offset", "_limit", "_cursor"})
_NOT_FILTERS = _PAGING | {"api_key"}
# The members a new object cannot go without, by collection.
_REQUIRED: Mapping[str, tuple[str, ...]] = {"posts": ("title",)}


class NotStartedError(RuntimeError, AttributeError):
    """The sandbox has no URL yet; an AttributeError, as tools that list attributes expect."""


class Collection:
    """The stored objects of one route, by str(id); the caller holds the lock."""

    def __init__(self, name: str, rows: Iterable[Row]) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.newest: int = 0
        self.first_responses: dict[str, Response] = {}
        for row in rows:
            self.keep({"id": self.newest + 1, **row})

    def keep(self, row: Row) -> None:
        """Store a row under its id, which later ones continue."""
        key = str(row["id"])
        self.rows[key] = row
        if key.isdecimal():
            self.newest = max(self.newest, int(key))

    def select(self, request: SeenRequest, within: Row) -> Response:
        """Return the rows that pass every filter: all of them, or one page."""
        filters, found = self._found(request, within)
        if not _PAGING & request.query.keys():
            return as_json(found)
        limit = number_parameter(request, "_limit", 10, least=1)
        is_offset = "_offset" in request.query
        by, first, step = ("_offset", 0, limit) if is_offset else ("_page", 1, 1)
        here = number_parameter(request, by, first, least=first)
        start = here if is_offset else (here - 1) * limit
        neighbours = {
            "next": (here + step, start + limit < len(found)),
            "prev": (max(here - step, first), here > first),
        }
        path = f"{_origin(request)}{request.path}"
        links = ", ".join(
            f'<{with_query(path, {**filters, by: [number], "_limit": [limit]})}>; rel="{rel}"'
            for rel, (number, exists) in neighbours.items()
            if exists
        )
        headers = (("X-Total-Count", str(len(found))), *((("Link", links),) if links else ()))
        return as_json(found[start : start + limit], headers=headers)

    def wrap(self, request: SeenRequest) -> Response:
        """Return one page of the rows in an object, with a cursor and a URL of the next page."""
        filters, found = self._found(request, {})
        limit = number_parameter(request, "_limit", 10, least=1)
        start = number_parameter(request, "_offset", 0)
        if cursor := request.query.get("_cursor", [""])[0]:
            start = read_number(_read_cursor(cursor), "_cursor", int, most=sys.maxsize)
        end = start + limit
        following = b64encode(f"after {end}".encode()).decode() if end < len(found) else None
        query: dict[str, list[Any]] = {**filters, "_limit": [limit], "_cursor": [following]}
        page = {
            "items": found[start:end],
            "total": len(found),
            "has_more": following is not None,
            "next_cursor": following,
            "next": with_query(f"{_origin(request)}{request.path}", query) if following else None,
        }
        return as_json(page)

    def _found(self, request: SeenRequest, within: Row) -> tuple[dict[str, list[str]], list[Row]]:
        """Return the filters of a query, and the rows that pass them."""
        filters = {name: v for name, v in request.query.items() if name not in _NOT_FILTERS}
        conditions = {**filters, **{name: [str(value)] for name, value in within.items()}}
        found = [
            row
            for row in self.rows.values()
            if all(name in row and str(row[name]) in v for name, v in conditions.items())
        ]
        return filters, found

    def create(self, request: SeenRequest, within: Row) -> Response:
        """Store a new row, or several, once for each idempotency key."""
        key = request.headers.get("idempotency-key")
        if key in self.first_responses:
            return self.first_responses[key]
        many = decoded(request.body)
        given = cast("list[object]", many if isinstance(many, list) else []) or [_object(request)]
        stored: list[Row] = []
        for row in [self._checked(row) for row in given]:
            self.keep({**row, **within, "id": self.newest + 1})
            stored.append(self.rows[str(self.newest)])
        location = (("Location", f"{request.path}/{self.newest}"),)
        response = as_json(stored, status=201)
        if not isinstance(many, list):
            response = as_json(stored[0], status=201, headers=location)
        if key is not None:
            self.first_responses[key] = response
        return response

    def _checked(self, row: object) -> Row:
        if not isinstance(row, dict):
            raise RejectedError(400, "the body must be a JSON object, or a list of them")
        given = cast("Row", row)
        if missing := [name for name in _REQUIRED.get(self.name, ()) if not given.get(name)]:
            errors = [{"field": name, "message": "is required"} for name in missing]
            raise RejectedError(422, f"{missing[0]} is required", errors=errors)
        return given

    def change(self, request: SeenRequest, key: str, within: Row) -> Response:
        """Read, replace, merge or delete one row, if it is as If-Match says."""
        row = self.rows.get(key)
        if row is None or not within.items() <= row.items():
            raise RejectedError(404, f"no {self.name} with id {key}")
        wanted = request.headers.get("if-match", "*")
        # RFC 9110 section 13.1.1: any one of the list, compared strongly.
        if wanted != "*" and _etag(row) not in {tag.strip() for tag in wanted.split(",")}:
            raise RejectedError(412, f"{self.name} {key} has changed")
        if request.method == "DELETE":
            del self.rows[key]
            return Response(204)
        if request.method in {"PUT", "PATCH"}:
            kept = row if request.method == "PATCH" else within
            row = self.rows[key] = {**kept, **_object(request), "id": row["id"]}
        return as_json(row, headers=(("ETag", _etag(row)),))


def _origin(request: SeenRequest) -> str:
    return f"http://{request.headers.get('host', f'127.0.0.1:{request.port}')}"


def _etag(row: Row) -> str:
    return f'"{hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]}"'


def _read_cursor(cursor: str) -> str:
    with suppress(ValueError):
        return b64decode(cursor, validate=True).decode().removeprefix("after ")
    raise RejectedError(400, "_cursor must be one that a page returned")


def _object(request: SeenRequest) -> Row:
    value = decoded(request.body)
    if not isinstance(value, dict):
        raise RejectedError(400, "the body must be a JSON object")
    return cast("Row", value)


class Upload:
    """A file that arrives in pieces."""

    def __init__(self, total: int, cuts: int) -> None:
        self.total = total
        self.content: bytearray = bytearray()
        self.cuts: int = cuts

    def take(self, body: bytes, *, at: int, drop: int) -> bool:
        """Append a piece, or its beginning; return whether all of it was stored."""
        if at != len(self.content) or at + len(body) > self.total:
            raise RejectedError(409, f"{len(self.content)} of {self.total} bytes arrived")
        is_cut = bool(body) and self.cuts > 0
        self.cuts -= is_cut
        self.content += body[:drop] if is_cut else body
        return not is_cut

    def status_document(self, *, status: int = 200) -> Response:
        """Return the size and the digest of what arrived."""
        digest = hashlib.sha256(self.content).hexdigest()
        return as_json({"bytes": len(self.content), "sha256": digest}, status=status)


class Secrets(Protocol):
    """The credentials of the protected routes; `Sandbox` explains each."""

    token: str
    user: str
    password: str
    api_key: str
    client_id: str
    client_secret: str
    refresh_token: str


class Site:
    """The state that both ports and all threads share."""

    def __init__(
        self, secrets: Secrets, collections: Mapping[str, Iterable[Mapping[str, object]]]
    ) -> None:
        # Read at each request, so that a test can rotate them.
        self.secrets = secrets
        # As text: copied, checked to be JSON, and untouched by what requests do to the rows.
        stored = {name: [*map(dict, rows)] for name, rows in collections.items()}
        self.seed: str = json.dumps(stored)
        self.ports: tuple[int, ...] = ()
        self.closing: Closing = Closing()
        self.lock: threading.Lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Drop requests, uploads and granted tokens; restore the stored objects."""
        collections: dict[str, list[Row]] = json.loads(self.seed)
        with self.lock:
            self.requests: list[SeenRequest] = []
            self.attempts: dict[str, list[SeenRequest]] = {}
            self.uploads: dict[str, Upload] = {}
            # Access tokens, and when each ends on the monotonic clock.
            self.granted: dict[str, float] = {}
            self.collections: dict[str, Collection] = {
                name: Collection(name, rows) for name, rows in collections.items()
            }

    def origin(self, index: int) -> str:
        """Return the URL of the first port, or of the second.

        Raises:
            NotStartedError: The sandbox is not started.
        """
        if not self.ports:
            raise NotStartedError(
                "the sandbox is not started; call start() or use it in a with block"
            )
        return f"http://127.0.0.1:{self.ports[index]}"
