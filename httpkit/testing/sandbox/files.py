"""Bodies and files of the Sandbox: whole, in ranges or truncated; resumable uploads.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import email.utils
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from httpkit.testing.sandbox.call import Call
from httpkit.testing.sandbox.messages import (
    LARGEST_BODY,
    LONGEST_STREAM,
    RejectedError,
    Response,
    as_json,
    number_parameter,
    pattern,
    read_number,
)
from httpkit.testing.sandbox.store import Upload

# Seconds since the epoch: 2020-01-01, when version 0 of every file was last modified. RFC 9110
# section 8.8.2.2: a date is a strong validator only when it is well in the past.
_MODIFIED = 1_577_836_800
# RFC 9110 section 14.1.2, one range; a list of them may be ignored, and so may absurd numbers.
_RANGE = re.compile(r"bytes=(?=\d|-\d)(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
_VALIDATORS = frozenset({"ETag", "Last-Modified"})
# The values of `etag=` in a query.
_ETAGS: Mapping[str, str] = {"strong": '"{}"', "weak": 'W/"{}"', "none": ""}


def sized(call: Call) -> Response:
    """Return a file of that size, or a range of it."""
    size = read_number(call.path[1:], "bytes", int, most=LARGEST_BODY)
    version = number_parameter(call.request, "version", 0, most=255)
    whole = pattern(size, first=version)
    fields = {
        "Accept-Ranges": "bytes",
        "ETag": call.chosen("etag", _ETAGS, "strong").format(f"{size}-{version}"),
        "Last-Modified": email.utils.formatdate(_MODIFIED + version * 86_400, usegmt=True),
        "Repr-Digest": _digest(whole.body) if call.parameter("digest", "0") == "1" else "",
        "Content-Disposition": _attachment(name) if (name := call.parameter("name", "")) else "",
    }
    headers = tuple((name, value) for name, value in fields.items() if value)
    return _ranged(call, replace(whole, headers=headers, drop=call.drop_parameter()))


def _ranged(call: Call, whole: Response) -> Response:
    """Return the requested range (RFC 9110 section 14), or the whole file without one."""
    headers, size = call.request.headers, len(whole.body)
    # RFC 9110 section 13.1.5: a weak ETag never matches, and a date only when it is the same.
    strong = {v for name, v in whole.headers if name in _VALIDATORS and not v.startswith("W/")}
    is_met = headers.get("if-range") in {None, *strong}
    is_ranged = call.request.method == "GET" and is_met
    part = _selected(headers.get("range", ""), size) if is_ranged else None
    if part is None:
        return whole
    if not part:
        unmet = (("Content-Range", f"bytes */{size}"),)
        raise RejectedError(416, f"there are {size} bytes", headers=unmet)
    body = whole.body[part.start : part.stop]
    content_range = ("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
    return replace(whole, status=206, body=body, headers=(*whole.headers, content_range))


def drip(call: Call) -> Response:
    """Return a body that takes the requested seconds."""
    whole = call.requested_body()
    return replace(whole, pause=call.seconds_parameter() / max(len(whole.body), 1))


def truncated(call: Call) -> Response:
    """Return half of the bytes that Content-Length announces."""
    whole = call.requested_body()
    size = len(whole.body)
    return replace(whole, body=whole.body * 2, drop=size, headers=(("Connection", "close"),))


def streamed(call: Call, *, content_type: str, opening: str = "", item: str) -> Response:
    """Return an item for each number from 1, in chunks."""
    count = number_parameter(call.request, "count", 3, most=LONGEST_STREAM)
    body = opening + "".join(item.replace("#", str(n)) for n in range(1, count + 1))
    whole = Response(200, body.encode(), content_type, is_chunked=True)
    return replace(whole, drop=call.drop_parameter())


def text(call: Call) -> Response:
    """Return text in the requested charset."""
    charset = call.parameter("charset", "utf-8")
    with suppress(LookupError, ValueError):
        body = "naïve café".encode(charset, "replace")
        return Response(200, body, f"text/plain; charset={charset}")
    raise RejectedError(400, f"charset must be one that Python knows, not {charset!r}")


def resumable(call: Call) -> Response:
    """Implement Google's resumable upload: Content-Range up, 308 and Range down."""
    method, headers = call.request.method, call.request.headers
    if method == "POST":
        total = headers.get("x-upload-content-length", "0")
        _begun(call, read_number(total, "X-Upload-Content-Length", int, most=LARGEST_BODY))
        return as_json({}, headers=(("Location", call.own_url()),))
    upload = _begun(call)
    if method != "PUT":
        return Response(200, bytes(upload.content), "application/octet-stream")
    first = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/\d+", headers.get("content-range", ""))
    if first is None:
        raise RejectedError(400, "Content-Range is missing or invalid")
    _take(call, upload, len(upload.content) if first[1] is None else int(first[1]))
    received = len(upload.content)
    if received == upload.total:
        return upload.status_document(status=201)
    last = (("Range", f"bytes=0-{received - 1}"),) if received else ()
    return Response(308, headers=last)


def tus(call: Call) -> Response:
    """Implement the core of tus 1.0, and its creation extension."""
    method, headers = call.request.method, call.request.headers
    version = ("Tus-Resumable", "1.0.0")
    if method != "GET" and headers.get("tus-resumable") != version[1]:
        raise RejectedError(412, "Tus-Resumable must be 1.0.0", headers=(version,))
    if method == "POST":
        total = headers.get("upload-length", "")
        _begun(call, read_number(total, "Upload-Length", int, most=LARGEST_BODY))
        return Response(201, headers=(version, ("Location", call.own_url())))
    upload = _begun(call)
    if method == "PATCH":
        _take(
            call,
            upload,
            read_number(headers.get("upload-offset", ""), "Upload-Offset", int, most=LARGEST_BODY),
        )
    fields = (version, ("Upload-Offset", str(len(upload.content))))
    if method == "GET":
        return Response(200, bytes(upload.content), "application/octet-stream")
    return Response(200 if method == "HEAD" else 204, headers=fields)


def _begun(call: Call, total: int | None = None) -> Upload:
    """Return the upload of the key in the path, a new one when its size is given."""
    with call.site.lock:
        if total is not None:
            call.site.uploads[call.path] = Upload(
                total,
                number_parameter(call.request, "times", 1) if "drop" in call.request.query else 0,
            )
        if call.path not in call.site.uploads:
            raise RejectedError(404, "no such upload")
        return call.site.uploads[call.path]


def _take(call: Call, upload: Upload, at: int) -> None:
    with call.site.lock:
        is_whole = upload.take(call.request.body, at=at, drop=call.drop_parameter())
    if not is_whole:
        raise ConnectionAbortedError("the client asked to be hung up on")


def _selected(field: str, size: int) -> range | None:
    """Return the offsets that a Range field selects; None when the field is to be ignored."""
    match = _RANGE.fullmatch(field)
    if match is None:
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:  # the last bytes, as many as are named
        return range(size - min(last or 0, size), size)
    if last is None:
        return range(first, size)
    return range(first, min(last + 1, size)) if first <= last else None


def _digest(body: bytes) -> str:
    """Return a Repr-Digest field (RFC 9530)."""
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


def _attachment(name: str) -> str:
    """Return a Content-Disposition field (RFC 6266, and RFC 8187 for names that are not ASCII)."""
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    parameter = (
        f'filename="{escaped}"' if name.isascii() else f"filename*=UTF-8''{quote(name, safe='')}"
    )
    return f"attachment; {parameter}"
