"""The reason in the document of an error: where APIs put it, and how it is found.

Problem documents (RFC 9457), OAuth (RFC 6749), field maps, lists of errors, envelopes. XML is
read in the same way, by the names of its elements.

Rule: no I/O, and the work is bounded whatever the server sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from httpkit._core import disclosure
from httpkit._core.given import is_list, is_mapping
from httpkit._core.lazy import pattern

# What is examined of a text: masking a megabyte would take too long.
LONGEST_EXAMINED = 4096
_MOST_REASONS = 5
# {"error": {"details": [{"fieldViolations": [{"description": ...}]}]}}, in an envelope of SOAP.
_DEEPEST = 8
_MOST_MEMBERS = 20

# Names are compared without case, punctuation and namespace: "error_message", "ErrorMessage".
# Where APIs put the reason, the most telling first.
_REASONS = (
    "faultstring", "detail", "errordescription", "hydradescription", "longmessage",
    "exceptionmessage", "message", "errormessage", "defaultmessage", "errorsummary",
    "exceptiontext", "diagnostics", "msg", "errmsg", "err", "explanation", "reason", "description",
    "localizedmessage", "usermessage", "developermessage", "failuremessage", "failurereason",
    "statusmessage", "statusreason", "statemessage", "statereason", "statechangereason", "info",
    "error", "odataerror", "fault", "errors", "errormessages", "title", "text", "messages", "value",
)  # fmt: skip
# Texts that say more than the reason beside them.
_FURTHER = ("detail", "details", "description", "errorusermsg", "hint", "data", "developermessage")
# Names for machines, where there are no words.
_CODES = ("code", "errorcode", "errcode", "exceptioncode", "type")
_CODE = pattern(r"[A-Z][A-Z0-9_]+|\w+_\w+|\S*(?:[Ee]rror|[Ee]xception)")
# Where they put what is wrong in particular, beside a summary.
_DETAILS = (
    "errors", "details", "detail", "fieldviolations", "violations", "validation", "fielderrors",
    "validationerrors", "invalidparams", "invalidparameters", "errordetails", "oerrordetails",
    "errorcauses", "causes", "rootcause", "causedby", "errorchain", "issue", "issues", "elements",
    "fields", "embedded", "failures", "innererror", "modelstate", "messageextendedinfo",
    "additionaldetails", "constraints", "validationerror", "validationfailures",
    "validationresults", "errorwrappers",
)  # fmt: skip
# Where they name what an entry is about.
_PATHS = (
    "field", "loc", "path", "pointer", "propertypath", "param", "parameter", "expression",
    "target", "location", "locator", "property", "attribute", "attr", "header", "fieldname",
    "instancepath", "datapath", "oerrorpath", "violationpath",
)  # fmt: skip
# The entries of these are about what they call `name` (RFC 7807 section 3).
_PARAMETERS = frozenset({
    "invalidparams", "invalidparameters", "params", "parameters", "validationresults",
})  # fmt: skip
# Members that wrap an error: they are looked into where nothing else says anything.
_WRAPPERS = ("error", "fault", "response", "exception", "report")
_ENVELOPES = ("body", "envelope", "data", "result", "response", "meta", "status")
# The values of these are maps from the name of a field to what is wrong with it.
_FIELD_MAPS = frozenset({
    "errors", "fielderrors", "validationerrors", "fields", "messages", "invalidfields",
    "modelstate", "constraints",
})  # fmt: skip
# A map with one of these is an error itself, and no map of fields.
_OF_AN_ENTRY = frozenset({
    "detail", "errordescription", "message", "errormessage", "defaultmessage", "errorsummary",
    "msg", "faultstring", "code",
})  # fmt: skip
# Keys of a field map that name no field.
_UNNAMED = frozenset({
    "", "errors", "error", "detail", "details", "message", "messages", "nonfielderrors", "all",
    "base", "schema", "global", "general", "errormessages", "fields",
})  # fmt: skip
_PUNCTUATION = pattern(r"[^a-z0-9]+")


def reason_in(document: object, known: frozenset[str]) -> str:
    """Return the reason that a document gives: a summary, and the details that it adds.

    Args:
        document: As `json.loads` returns it; None has no reason.
        known: The normal forms of texts that the message has anyway.
    """
    try:
        return "" if document is None else _Reader(known).read(document)
    except RecursionError:
        return ""


def states_failure(document: object) -> bool:
    """Say whether a document calls itself an error, whatever the status of its response.

    That is a flag that is false (`ok`, `success`), a status in words, or an error that is there.
    The flag and the status of an item, which has an id, are its own: a build that failed.
    """
    entry = _entry(document)
    is_failed = _key(entry.get("status")) in _FAILED_STATUSES and not _is_item(entry)
    return is_failed or has_false_flag(document) or _has_error(entry)


def has_false_flag(document: object) -> bool:
    """Say whether a document, which is no item, says that it is no success: `"ok": false`."""
    entry = _entry(document)
    is_false = any(entry.get(name) is False for name in _SUCCESS_FLAGS)
    return is_false and (not _is_item(entry) or _has_error(entry))


def is_error(value: object) -> bool:
    """Say whether the value of a member such as `error` is one; "OK" and "0000" are none."""
    if is_mapping(value):
        return any(value.values())
    if isinstance(value, str):
        return _key(value).strip("0") not in _NO_ERRORS
    return value not in _NOTHING


def _entry(document: object) -> Mapping[str, Any]:
    if not is_mapping(document):
        return {}
    return {_key(name): value for name, value in list(document.items())[:_MOST_MEMBERS]}


def _is_item(entry: Mapping[str, Any]) -> bool:
    return entry.get("id") not in _NOTHING and "jsonrpc" not in entry


def _has_error(entry: Mapping[str, Any]) -> bool:
    return any(is_error(entry.get(name)) for name in _ERROR_MEMBERS)


_SUCCESS_FLAGS = ("ok", "success", "succeeded", "successful", "issuccess")
_FAILED_STATUSES = frozenset({"error", "fail", "failed", "failure"})
_ERROR_MEMBERS = (
    "error", "errors", "errormessage", "errormessages", "errorcode", "errcode", "fault",
    "faultstring", "exception",
)  # fmt: skip
_NOTHING: tuple[object, ...] = (None, False, 0, "", "0", [], {})
_NO_ERRORS = frozenset({
    "", "false", "no", "noerror", "noerrors", "none", "null", "ok", "success", "successful",
})  # fmt: skip


def normal(text: str) -> str:
    """Return what two texts that say the same have in common."""
    return "".join(filter(str.isalnum, text[:LONGEST_EXAMINED])).lower()


def _key(name: object) -> str:
    """Return a name without case, punctuation and namespace: "o:errorDetails" is one of them."""
    return _PUNCTUATION.sub("", str(name)[:100].lower())


class _Reader:
    """Reads the reason of one document; says nothing twice."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known

    def read(self, document: object, depth: int = 0) -> str:
        if isinstance(document, str):
            return document.strip()
        if depth > _DEEPEST:
            return ""
        if is_list(document):
            entries = [self.read(entry, depth + 1) for entry in document[:_MOST_REASONS]]
            return "; ".join(_distinct(entries))
        if not is_mapping(document):
            return ""
        if _is_field_map(document):
            return self._fields(document, depth)
        return self._entry(document, depth)

    def _entry(self, document: Mapping[Any, Any], depth: int) -> str:
        """Return the reason of an object: a summary, its details, and what they are about."""
        entry = {_key(name): value for name, value in document.items()}
        summary, source = self._summary(entry, depth)
        summary = _filled(summary, entry.get("parameters"))
        details = _distinct(
            self._member(name, entry[name], depth)
            for name in _DETAILS
            if name != source and (is_list(entry.get(name)) or is_mapping(entry.get(name)))
        )
        details += _distinct(_text(entry.get(name)) for name in _FURTHER if name != source)
        details += filter(None, (self._fields(found, depth + 1) for found in _field_maps(entry)))
        message = self._joined(summary, details)
        if not self._adds_detail(message):
            message = next(filter(self._adds_detail, self._envelopes(entry, depth)), message)
        message = message or _code(entry)
        return _at(_path_of(entry), message) if depth else message

    def _adds_detail(self, message: str) -> bool:
        """Say whether words are more than the status."""
        return bool(message) and normal(message) not in self._known

    def _summary(self, entry: Mapping[str, Any], depth: int) -> tuple[str, str]:
        """Return the most telling member, and its name: a text counts before what has parts."""
        found = "", ""
        if "type" in entry:  # then the value is not a text but encoded, as in gRPC's details
            entry = {name: value for name, value in entry.items() if name != "value"}
        for name in _REASONS:
            message = _text(entry.get(name)) or self._texts(entry.get(name))
            if self._adds_detail(message):
                return message, name
            found = found if found[0] else (message, name)
        for name in _REASONS:
            message = self._member(name, entry.get(name), depth)
            if self._adds_detail(message):
                return message, name
        return found

    def _texts(self, value: object) -> str:
        is_plain = is_list(value) and all(isinstance(item, str) for item in value[:_MOST_REASONS])
        return self.read(value) if is_plain else ""

    def _member(self, name: str, value: object, depth: int) -> str:
        if is_mapping(value) and name in _FIELD_MAPS and not _is_entry(value):
            return self._fields(value, depth + 1)
        if name in _PARAMETERS and is_list(value):
            value = [_with_name(entry) for entry in value[:_MOST_REASONS]]
        message = self.read(value, depth + 1)
        if not message and is_mapping(value) and _may_be_fields(name, value):
            message = self._fields(value, depth + 1)
        return message

    def _envelopes(self, entry: Mapping[str, Any], depth: int) -> Iterator[str]:
        wrapping = [*_ENVELOPES, *(n for n in entry if n.endswith(_WRAPPERS))]
        for name in wrapping:
            if is_mapping(entry.get(name)) or is_list(entry.get(name)):
                yield self.read(entry[name], depth + 1)
        for value in list(entry.values())[:_MOST_MEMBERS]:  # {"itemNotFound": {"message": ...}}
            if _is_entry(value) or (is_mapping(value) and "errors" in value):
                yield self.read(value, depth + 1)

    def _fields(self, field_errors: Mapping[Any, Any], depth: int) -> str:
        """Return what is wrong with each field of a map."""
        entries: list[str] = []
        for name, value in list(field_errors.items())[:_MOST_REASONS]:
            message = self._field_error(value, depth)
            entries.append(message if _key(name) in _UNNAMED else _at(str(name), message))
        return "; ".join(_distinct(entries))

    def _field_error(self, value: object, depth: int) -> str:
        if depth > _DEEPEST:
            return ""
        if is_mapping(value) and not _is_entry(value):
            return self._fields(value, depth + 1)
        if is_list(value) and _is_field_error(value) and any(map(is_mapping, value)):
            return self._fields({n: item for n, item in enumerate(value) if item}, depth + 1)
        return self.read(value, depth + 1)

    def _joined(self, summary: str, details: Sequence[str]) -> str:
        added = [text for text in details if normal(text) not in normal(summary)]
        if not added:
            return summary
        inside = "; ".join(added)
        is_empty = normal(summary) in self._known or normal(summary) in normal(inside)
        return inside if is_empty else f"{summary.rstrip('.: ')}: {inside}"


def _is_field_map(document: Mapping[Any, Any]) -> bool:
    """Say whether all members of an object are complaints: lists of texts, or nested ones."""
    return bool(document) and all(map(_is_field_error, document.values()))


def _is_field_error(value: object) -> bool:
    if is_list(value):
        return bool(value) and all(
            isinstance(item, str) or item == {} or (is_mapping(item) and _is_field_map(item))
            for item in value[:_MOST_REASONS]
        )
    return is_mapping(value) and _is_field_map(value)


def _may_be_fields(name: str, value: Mapping[Any, Any]) -> bool:
    """Say whether an object in which no reason was found may still be a map of fields."""
    has_texts = all(isinstance(member, str) for member in value.values())
    return (name == "error" and has_texts) or any(map(is_list, value.values()))


def _text(value: object) -> str:
    """Return a member that is words; nothing for an identifier such as a URL of documentation."""
    return value.strip() if isinstance(value, str) and "://" not in value[:10] else ""


def _code(entry: Mapping[str, Any]) -> str:
    """Return an error code; a type that is none, such as "repository", says nothing."""
    for name in _CODES:
        code = _text(entry.get(name))
        if code and (name != "type" or len(entry) == 1 or _CODE.fullmatch(code)):
            return code
    return ""


def _is_entry(value: object) -> bool:
    """Say whether an object describes one error, and is no map of fields."""
    return is_mapping(value) and any(
        _key(name) in _OF_AN_ENTRY and isinstance(member, (str, int, Mapping))
        for name, member in value.items()
    )


def _field_maps(entry: Mapping[str, Any]) -> Iterator[Mapping[Any, Any]]:
    """Yield the maps of fields in the `data` of an error: itself, or its `params` (WordPress)."""
    data = entry.get("data")
    if not is_mapping(data):
        return
    if _is_map_of_entries(data):
        yield data
    params = data.get("params")
    if is_mapping(params) and all(" " in _text(value) for value in params.values()):
        yield params


# "%fieldName is required", or "%1 is required": the values are beside the message (Magento).
_PLACEHOLDER = pattern(r"%(\w{1,40})", re.ASCII)


def _filled(message: str, values: object) -> str:
    """Return a message with the values of its placeholders; one without a value stays.

    So does one whose value is secret: by its name, or by that of the field it is about.
    """
    if is_list(values):
        values = {str(number): value for number, value in enumerate(values[:_MOST_MEMBERS], 1)}
    if not is_mapping(values):
        return message
    pairs = list(values.items())[:_MOST_MEMBERS]
    known = {str(name): str(value)[:100] for name, value in pairs if isinstance(value, (str, int))}
    fields = {value for value in known.values() if disclosure.is_secret(value)}
    known = {
        name: value
        for name, value in known.items()
        if not disclosure.is_secret(name) and (not fields or value in fields)
    }
    return _PLACEHOLDER.sub(
        lambda found: known.get(found[1], found[0]), message[: LONGEST_EXAMINED + 1]
    )


def _is_map_of_entries(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(map(_is_entry, value.values()))


def _with_name(entry: object) -> object:
    """Return an entry whose `name` is what it is about, with that as its path."""
    return {"path": entry.get("name"), **entry} if is_mapping(entry) else entry


def _path_of(entry: Mapping[str, Any]) -> str:
    source = entry.get("source")
    if is_mapping(source):
        entry = {**entry, **source}  # JSON:API: pointer, parameter or header
    for name in _PATHS:
        value = entry.get(name)
        if is_list(value):
            value = ".".join(str(part) for part in value[:20] if isinstance(part, (str, int)))
        if isinstance(value, str) and value:
            return value
    return ""


def _at(path: str, message: str) -> str:
    """Put what an entry is about before its words, unless they name it."""
    name = re.split(r"[./]", path)[-1] or path
    is_named = message.lower().startswith(path.lower()) or f"'{name}'" in message
    return message if not path or not message or is_named else f"{path}: {message}"


def _distinct(texts: Iterator[str] | Sequence[str]) -> list[str]:
    """Return texts without those that say what another says."""
    found: dict[str, str] = {}
    for text in texts:
        if text:
            found.setdefault(normal(text) or text, text)
    return list(found.values())
