"""Changes of many items in one request: a result for each of them (207 Multi-Status)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, Unpack

from httpkit._core import documents, models, redaction
from httpkit._core.classes import public
from httpkit._core.documents import MISSING, Document, RawJSON
from httpkit._core.given import is_list, is_mapping
from httpkit._core.types import Params
from httpkit._diagnostics.errors import ConfigurationError, PartialFailureError, describe
from httpkit._messages.decode_errors import decoding
from httpkit._messages.response import Response
from httpkit._policy.keywords import ItemOptions
from httpkit._resources.endpoint import Endpoint, within

T = TypeVar("T")

MULTI_STATUS = 207
_STATUS = re.compile(r"(?<!\d)([1-5]\d\d)(?!\d)")
_STATUS_NAMES = ("status", "statusCode", "status_code", "httpStatusCode", "code")
_ERROR_NAMES = (
    "error", "errors", "problem", "fault", "errormessage", "error_message", "errorcode",
    "error_code",
)  # fmt: skip
_WORD_NAMES = ("message", "detail", "title", "description", "reason", "type")
_FLAG_NAMES = ("success", "ok", "succeeded", "successful")
# What a row has beside an item.
_NO_ITEM_NAMES = frozenset({
    *_STATUS_NAMES, *_FLAG_NAMES, *_ERROR_NAMES, "id", "index", "headers", "created",
})  # fmt: skip
_ITEM_NAMES = ("body", "item", "resource", "result", "data", "response", "value", "entity")
_LIST_NAMES = (
    "results", "responses", "items", "data", "value", "multistatus", "response", "successful",
    "succeeded", "successes", "success", "created", "updated", "processed",
)  # fmt: skip
# A second list beside the first, of those that failed (HubSpot).
_FAILED_NAMES = (
    "errors",
    "failed",
    "failures",
    "unsuccessful",
    "rejected",
    "unprocessed",
    "invalid",
    "inserterrors",
)
# The words for a status in a 207; elsewhere they may be a field of the item.
_SUCCESS_WORDS = {
    **dict.fromkeys(("ok", "success", "succeeded", "successful", "created", "updated"), True),
    **dict.fromkeys(("deleted", "accepted", "done", "completed"), True),
    **dict.fromkeys(("failed", "failure", "error", "rejected", "invalid", "conflict"), False),
}
# What a row consists of that reports a failure: one with more may be an item with such a field.
_REPORT_NAMES = frozenset({
    *map(str.lower, _NO_ITEM_NAMES), "message", "detail", "reason", "details", "fields",
})  # fmt: skip
_REASON_NAMES = frozenset({"message", "detail", "reason", "details"})
# What says whether a row failed, unless an item has fields of these names.
_RESULT_NAMES = frozenset(map(str.lower, (*_STATUS_NAMES, *_FLAG_NAMES, *_ERROR_NAMES)))
_LONGEST_REASON = 300
# What can be iterated over, and is one item or none.
_SINGLE = (Mapping, str, bytes, bytearray, memoryview)


@public
@dataclass(frozen=True, slots=True)
class ItemResult(Generic[T]):
    """The result of one item of a bulk request.

    Attributes:
        status: Its status; 0 where the server gives none.
        item: The item, decoded; None where it failed, or the server sends none back.
        error: The server's error message; None if it did not fail.
        document: Its row of the response, parsed; the repr leaves it out.
    """

    status: int
    item: T | None
    error: str | None
    document: Any = field(repr=False)

    @property
    def ok(self) -> bool:
        """Say whether it was processed."""
        return self.error is None


def read(
    response: Response,
    items_at: str | None,
    item_at: str | None,
    model: Callable[..., T],
    sent: Sequence[Any] = (),
) -> list[ItemResult[T]]:
    """Return the results in a response, in its order.

    Args:
        response: A list of rows, or an object that holds one.
        items_at: The path of the rows; None: the document, or its usual members. A list of
            failures beside them ("errors", "failed", ...) is read as well, after them.
        item_at: The path of the item in a row; None: its usual members, or the row.
        model: What an item is decoded into.
        sent: The items of the request, encoded.

    Raises:
        DecodeError: There are no rows, or an item is not of the model.
    """
    if not response.content and response.status_code != MULTI_STATUS:
        return []
    is_multi_status = response.status_code == MULTI_STATUS
    results: list[ItemResult[T]] = []
    with decoding(response, model):
        document = RawJSON(response.content)
        failures = _failures(document)
        rows = _rows(document, items_at, may_be_absent=bool(failures))
    with decoding(response, model, lambda error: f"{error} (result {len(results) + 1})"):
        for row in rows:
            result = _result(row, item_at, model, sent, is_multi_status=is_multi_status)
            results.append(result)  # its length is in the error
        results.extend(map(_failure, failures))
    return results


def require_all(response: Response, results: Sequence[ItemResult[T]]) -> list[T]:
    """Return the items, if none failed.

    Raises:
        PartialFailureError: Some did.
    """
    failed = [(number, result) for number, result in enumerate(results, 1) if not result.ok]
    if failed:
        (number, first), *_ = failed
        error = PartialFailureError(
            f"{len(failed)} of {len(results)} items failed for"
            f" {describe(response.request, response.url)}: item {number}: {first.error}",
            response=response,
        )
        error.results = list(results)
        raise error
    return [result.item for result in results if result.item is not None]


def has_failures(
    response: Response, items_at: str | None, model: Callable[..., Any], sent: Sequence[Any]
) -> bool:
    """Say whether some of the items failed that a response has in place of what was created."""
    with suppress(models.MismatchError):
        document = RawJSON(response.content)
        failures = _failures(document)
        rows = _rows(document, items_at, may_be_absent=bool(failures))
        reports = filter(_is_failure_report, rows)
        return bool(failures) or not all(_is_item(row, model, sent) for row in reports)
    return False


def _is_failure_report(row: Document) -> bool:
    """Say whether a row has an error in place of an item."""
    if not _is_report(row):
        return False
    is_success = _success_flag(row, knows_words=True)
    return is_success is False or (is_success is None and _status(row) >= 400)


def _is_report(row: Document) -> bool:
    """Say whether a row reports a result, and is no item: {"code": ..., "status": "error"}."""
    members = _by_lower_name(row)
    if not {*members} <= _REPORT_NAMES:
        return False
    # A code alone may be that of a country or a room.
    has_code = "code" in members and not members.keys().isdisjoint(_REASON_NAMES)
    return _has_error(row) or has_code or not members.keys().isdisjoint(_FLAG_NAMES)


def _has_error(row: Document) -> bool:
    members = _by_lower_name(row)
    return any(documents.parsed(members.get(name)) for name in _ERROR_NAMES)


def _is_item(row: Document, model: Callable[..., Any], sent: Iterable[Any]) -> bool:
    """Say whether a row is an item whose own fields look like a result: a payment that failed.

    The model declares all of these fields, or the caller sent the item with them.
    """
    members = documents.members_of(row) or {}
    telling = {name for name in members if name.lower() in _RESULT_NAMES}
    declared = set(map(_letters, models.field_names(model)))
    if telling and {*map(_letters, telling)} <= declared:
        with suppress(models.MismatchError):
            _decoded(row, model)
            return True
    return any(
        {*members} >= {*one} >= telling
        and all(documents.parsed(members[name]) == one[name] for name in telling)
        for one in sent
        if is_mapping(one)
    )


def _letters(name: str) -> str:
    """Return a name as it is compared: a model may call `errorCode` `error_code`."""
    return name.replace("_", "").lower()


def _failures(document: Document) -> Sequence[Document]:
    """Return the rows of a list of failures beside the list of results."""
    for rows in filter(None, _lists_in(document, _FAILED_NAMES)):
        return rows
    return []


def _lists_in(document: Document, names: Iterable[str]) -> Iterator[Sequence[Document]]:
    """Yield the lists that an object has under these names, in their order and in any case."""
    members = _by_lower_name(document)
    for name in names:
        rows = documents.entries_of(members[name]) if name in members else None
        if rows is not None:
            yield rows


def _by_lower_name(document: Document) -> Mapping[str, Document]:
    members = documents.members_of(document) or {}
    return {name.lower(): value for name, value in members.items()}


def _rows(document: Document, items_at: str | None, *, may_be_absent: bool) -> Sequence[Document]:
    if items_at is not None:
        found, apart = documents.select(document, items_at)
        if apart is not None:
            return apart
        if (rows := documents.entries_of(found)) is not None:
            return rows
    if (rows := documents.entries_of(document)) is not None:
        return rows
    for rows in _lists_in(document, _LIST_NAMES):
        return rows
    members = documents.members_of(document) or {}
    others = [value for name, value in members.items() if name.lower() not in _FAILED_NAMES]
    if may_be_absent and not any(map(documents.entries_of, others)):
        return []
    raise models.MismatchError(
        f"there are no results, but {models.list_names(members)}; items_at= says where they are"
    )


def _result(
    row: Document,
    item_at: str | None,
    model: Callable[..., T],
    sent: Sequence[Any],
    *,
    is_multi_status: bool,
) -> ItemResult[T]:
    inner = _unwrapped(row)
    status, reason = _status(inner), _error(inner)
    is_success = _success_flag(inner, knows_words=is_multi_status or _is_report(inner))
    is_error = reason is not None and not 200 <= status < 300 and is_success is not True
    if status >= 400 or is_success is False or is_error:
        is_certain = is_multi_status or item_at is not None or _has_error(inner)
        if is_certain or not _is_item(row, model, sent):
            return _failure(row)
        return ItemResult(0, _decoded(row, model), None, documents.parsed(row))
    has_status = status > 0 or is_success is not None
    is_object = model is dict or bool(models.field_names(model))
    item = _item(inner, item_at, has_status=has_status, is_object=is_object)
    value = None if item is MISSING else _decoded(item, model)
    return ItemResult(status, value, None, documents.parsed(row))


def _failure(row: Document) -> ItemResult[Any]:
    inner = _unwrapped(row)
    status = _status(inner)
    value = documents.parsed(inner)
    text = value if isinstance(value, str) else None
    reason = (
        _error(inner)
        or _reason(inner)
        or text
        or (f"status {status}" if status else "no reason given")
    )
    reason = redaction.redact_text(reason)[:_LONGEST_REASON]
    return ItemResult(status, None, reason, documents.parsed(row))


def _decoded(item: Document, model: Callable[..., T]) -> T:
    if isinstance(item, RawJSON):
        return models.decode(item.body, model)
    return models.build(item, model)


def _unwrapped(row: Document) -> Document:
    """Return the row of an action ({"index": {"status": 201}}, Elasticsearch), else itself."""
    members = documents.members_of(row)
    if members is not None and len(members) == 1 and not {*members} & {*_STATUS_NAMES}:
        (inner,) = members.values()
        if _status(inner):
            return inner
    return row


def _status(row: Document) -> int:
    members = documents.members_of(row) or {}
    for name in _STATUS_NAMES:
        value = documents.parsed(members[name]) if name in members else None
        if isinstance(value, (int, str)) and (found := _STATUS.search(str(value))):
            return int(found[1])
    return 0


def _success_flag(row: Document, *, knows_words: bool) -> bool | None:
    """Return what a row says of its success in a flag or a word; None where it says nothing.

    Args:
        row: The row.
        knows_words: Whether a status in words is that of the row, not a field of an item.
    """
    members = documents.members_of(row) or {}
    for name in _FLAG_NAMES:
        flag = documents.parsed(members[name]) if name in members else None
        if isinstance(flag, bool):
            return flag
    for name in _STATUS_NAMES:
        word = documents.parsed(members[name]) if name in members else None
        if knows_words and isinstance(word, str) and word.strip().lower() in _SUCCESS_WORDS:
            return _SUCCESS_WORDS[word.strip().lower()]
    return None


def _reason(row: Document) -> str | None:
    """Return the message of a row that failed: its own, or that of what it has for the item."""
    members = _by_lower_name(row)
    texts = [documents.parsed(members[name]) for name in _WORD_NAMES if name in members]
    for name in _ITEM_NAMES:
        item = documents.parsed(members[name]) if name in members else None
        first = item[0] if is_list(item) and item else item
        if is_mapping(first):
            texts += [first.get(name) for name in _WORD_NAMES]
    return next((text for text in texts if isinstance(text, str) and text), None)


def _error(row: Document) -> str | None:
    members = documents.members_of(row) or {}
    by_name = _by_lower_name(row)
    for name in _ERROR_NAMES:
        value = documents.parsed(by_name[name]) if name in by_name else None
        if value:
            return _error_text(value)
    for name in _ITEM_NAMES:  # Graph's batches have it in the body
        inner = documents.members_of(members[name]) if name in members else None
        value = documents.parsed(inner["error"]) if inner and "error" in inner else None
        if value:
            return _error_text(value)
    for name in _WORD_NAMES[:2]:
        if name in members and _status(row) >= 400:
            return _error_text(documents.parsed(members[name]))
    return None


def _error_text(error: Any) -> str:
    if is_mapping(error):
        found = [str(error[name]) for name in _WORD_NAMES if error.get(name)]
        return ": ".join(found[:1]) or str(dict(error))
    if is_list(error) and error:
        return _error_text(error[0])
    return str(error)


def _item(row: Document, item_at: str | None, *, has_status: bool, is_object: bool) -> Document:
    if item_at is not None:
        return documents.find(row, item_at)
    members = documents.members_of(row)
    if not has_status or members is None:
        return row
    for name in _ITEM_NAMES:
        item = members.get(name, MISSING)
        is_word = is_object and item is not MISSING and isinstance(documents.parsed(item), str)
        if item is not MISSING and not is_word:  # not "created"
            return MISSING if documents.is_null(item) else item
    return row if {*members} - _NO_ITEM_NAMES else MISSING


class BulkMethods(Endpoint[T]):
    """The methods of a collection that send many items in one request."""

    items_at: str | None

    def _collection(self) -> str:
        return self._path()

    def create_many(
        self, items: Iterable[object], *, params: Params = None, **options: Unpack[ItemOptions]
    ) -> list[T]:
        """Add items in one request (POST with a list) and return them as the server stored them.

        It is for servers that take a list; whether they store all or none is up to them.

        Args:
            items: Dicts or model objects, as for `create`. Nothing is sent for none.
            params: Query parameters.
            **options: Keywords of `Session.request`; with `idempotency_key=True` it can be
                retried safely.

        Returns:
            The server's list, found where the items of a list are; what was sent, when the
            server sends no body back.

        Raises:
            ConfigurationError: It is one item, or text; nothing was sent.
            PartialFailureError: Some items failed (207, or rows that are errors); its `results`
                has each of them.
            StatusError: The server responds with an error status.
            DecodeError: The response is not a list of the model.
        """
        body, response = self._send_many("POST", "", items, params, options)
        if response is None:
            return []
        is_partial = response.content and has_failures(response, self.items_at, self._wanted, body)
        if response.status_code == MULTI_STATUS or is_partial:
            return require_all(response, self._results(response, body))
        if not response.content:
            return [self._build(response, item) for item in body]
        with decoding(response, self._wanted):
            return models.decode_list(within(response, self.items_at, self._wanted), self._wanted)

    def bulk(
        self, method: str, items: Iterable[object], *, url: str = "", params: Params = None,
        **options: Unpack[ItemOptions],
    ) -> list[ItemResult[T]]:  # fmt: skip
        """Change items in one request and return a result for each of them.

        Args:
            method: Such as "POST", "PUT", "PATCH" or "DELETE".
            items: What is sent, as one list: dicts or model objects, or ids. Nothing is sent
                for none. Or a dict that contains them beside something else, sent as it is.
            url: Appended to the collection's path ("bulk").
            params: Query parameters.
            **options: Keywords of `Session.request`.

        Returns:
            The results in the order of the response (207 Multi-Status, or a list); a row that
            failed has no item, and says why.

        Raises:
            ConfigurationError: It is one model object, or text; nothing was sent.
            StatusError: The server rejects the whole request.
            DecodeError: The response has no results, or an item is not of the model.
        """
        if is_mapping(items):
            document = models.encode(items)
            return self._results(self._send_document(method, url, document, params, options), ())
        body, response = self._send_many(method, url, items, params, options)
        return [] if response is None else self._results(response, body)

    def _send_many(
        self, method: str, url: str, items: Iterable[object], params: Params, options: ItemOptions
    ) -> tuple[list[Any], Response | None]:
        _check_many(items)
        self._check_model()
        body = [models.encode(item, omit_unset=True) for item in items]
        if not body:
            return body, None
        sent: object = body
        if self.envelope is not None:  # a list has the name that lists have
            sent = {(self.items_at or self.envelope).rstrip("?"): body}
        return body, self._send_document(method, url, sent, params, options)

    def _send_document(
        self, method: str, url: str, document: object, params: Params, options: ItemOptions
    ) -> Response:
        if self.form:
            raise ConfigurationError("many items cannot be sent as a form: send them one by one")
        path = self._collection()
        target = f"{path.rstrip('/')}/{url.lstrip('/')}" if url else path
        return self._call(method, target, json=document, params=params, **options)

    def _results(self, response: Response, sent: Sequence[Any]) -> list[ItemResult[T]]:
        item_at = self.item_at or self.envelope
        results = read(response, self.items_at, item_at, self._wanted, sent)
        if response.status_code == MULTI_STATUS and len(results) < len(sent):
            what = describe(response.request, response.url)
            raise response.decode_error(
                f"the response to {what} has {len(results)} results for {len(sent)} items"
            )
        return results


def _check_many(items: object) -> None:
    """Refuse one item: its fields, or its characters, would be sent as items."""
    cls: type[object] = type(items)
    is_model = bool(models.field_names(cls))
    if is_model or issubclass(cls, _SINGLE) or not issubclass(cls, Iterable):
        raise ConfigurationError(
            f"{cls.__name__} is not a list of items: create(item) adds a single one"
        )
