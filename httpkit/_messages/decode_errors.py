"""What is raised for a body that cannot be decoded; no message shows a credential."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from httpkit._core import credentials, error_redaction, models, redaction
from httpkit._diagnostics import error_reasons, errors
from httpkit._messages.reading import known_encoding

if TYPE_CHECKING:
    from httpkit._messages.response import Response

# What a DecodeError holds of a document, in characters.
_LONGEST_DOC = 200


@contextmanager
def decoding(
    response: Response,
    model: object,
    where: Callable[[models.MismatchError], str] = str,
) -> Generator[None, None, None]:
    """Raise what does not match the model as an error about the response.

    Args:
        response: What is decoded.
        model: What it is decoded into.
        where: Returns what the error says of the mismatch.

    Raises:
        DecodeError: It is not JSON, or not of the model.
    """
    try:
        yield
    except models.MismatchError as error:
        mask(response, error)  # validators quote what they refuse
        raise mismatch(response, model, where(error)) from error
    except models.UnsupportedModelError as error:
        raise errors.ConfigurationError(str(error), response=response) from error


def mismatch(response: Response, model: object, why: str) -> errors.DecodeError:
    """Return the error that says why a body is not of a model."""
    if not response.content:
        return not_json(response, "empty body")
    name: str = getattr(model, "__name__", repr(model))
    what = errors.describe(response.request, response.url)
    article = "an" if name[:1].lower() in "aeiou" else "a"
    wanted = "JSON" if model is object else f"{article} {name}"
    why = error_reasons.with_words(response, why)
    return decode_error(response, f"the response to {what} is not {wanted}: {why}")


def not_json(response: Response, why: str, doc: str = "", pos: int = 0) -> errors.DecodeError:
    """Return the error that says what a body is instead of JSON."""
    what = errors.describe(response.request, response.url)
    if not response.content:
        why = f"the body is empty ({response.status_code} {response.reason or ''}".rstrip() + ")"
    else:
        content_type = response.headers.get("content-type", "no content type")
        start = redaction.redact_start(_text_of(response.content[:200], response.encoding), 40)
        quoted = f"beginning {start!r}" if start else "binary data"
        why = error_reasons.with_words(
            response, f"{why} at position {pos} of {content_type}, {quoted}"
        )
    return decode_error(response, f"the response to {what} is not JSON: {why}", doc, pos)


def decode_error(
    response: Response, message: str, doc: str = "", pos: int = 0
) -> errors.DecodeError:
    """Return an error about a body, redacted."""
    error = errors.DecodeError(
        redaction.redact_text(message),
        redaction.redact_start(doc, _LONGEST_DOC),
        min(pos, _LONGEST_DOC, len(doc)),
        response=response,
    )
    error.attempts = response.attempts
    return error


def mask(response: Response, error: Exception) -> None:
    """Mask credentials in an error about a body, which may repeat those of the request."""
    credentials.remember(response)
    error_redaction.scrub(error)


def _text_of(start: bytes, encoding: str | None) -> str:
    """Return the beginning of a body as text, less a character that is cut; "" for no text."""
    # requests takes text without a charset for Latin-1.
    for name in ("utf-8", known_encoding(encoding)):
        text = start.decode(name, "replace").rstrip("\ufffd")
        if all(c != "\ufffd" and (c.isprintable() or c.isspace()) for c in text):
            return text
    return ""
