"""Which parts of a request may be shown to people: one table of names, and a test of values.

                      harmless name   secret name   any other name
    request header    shown           masked        masked
    query, form       shown           masked        shown if the value cannot be a credential
    response header,  shown           masked        shown
    JSON

`shown=` of a session adds harmless names, `secret_headers=` secret ones, which count first.

Rule: names and values in, booleans out; nothing is masked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from httpkit._core.lazy import pattern

# What may follow a request to an origin that the caller did not point it at. An allow-list,
# because nobody can list the names under which APIs take their keys.
FORWARDABLE = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control",
        "connection", "content-encoding", "content-language", "content-length", "content-type",
        "dnt", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
        "pragma", "prefer", "range", "sec-gpc", "te", "traceparent", "tracestate",
        "transfer-encoding", "user-agent", "x-correlation-id", "x-request-id",
    }
)  # fmt: skip

# Request headers whose values are shown beside these.
_SHOWN_FIELDS = FORWARDABLE | {
    "accept-datetime", "accept-version", "access-control-request-headers",
    "access-control-request-method", "allow", "api-version", "baggage", "content-digest",
    "content-disposition", "content-id", "content-location", "content-md5", "content-range",
    "content-transfer-encoding", "date", "depth", "destination", "digest", "early-data", "etag",
    "expect", "expires", "forwarded", "host", "idempotency-key", "keep-alive", "last-event-id",
    "last-modified", "link", "max-forwards", "mime-version", "origin", "overwrite", "priority",
    "proxy-connection", "repr-digest", "retry-after", "slug", "timeout", "trailer", "tus-resumable",
    "upgrade", "upgrade-insecure-requests", "upload-complete", "upload-draft-interop-version",
    "upload-length", "upload-offset", "via", "want-content-digest", "want-repr-digest", "warning",
    "x-amz-content-sha256", "x-amz-date", "x-amz-target", "x-amzn-trace-id", "x-api-version",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid", "x-client-request-id",
    "x-client-version", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    "x-github-api-version", "x-goog-request-params", "x-http-method-override",
    "x-idempotency-key", "x-ms-client-request-id", "x-ms-date", "x-ms-version",
    "x-requested-with", "x-restli-protocol-version", "x-trace-id", "x-upload-content-length",
    "x-upload-content-type",
}  # fmt: skip

# Parameters of a query or a form whose values are shown whatever they are.
_SHOWN_PARAMETERS = frozenset({
    "after", "before", "category", "columns", "count", "country", "cursor", "date", "dir",
    "direction", "embed", "end", "expand", "fields", "filter", "format", "from", "grant_type",
    "group_by", "include", "keyword", "keywords", "lang", "language", "limit", "locale", "max",
    "min", "name", "offset", "order", "order_by", "orderby", "page", "page_no", "page_number",
    "page_size", "pagesize", "per_page", "perpage", "q", "query", "range", "response_type",
    "scope", "search", "select", "since", "size", "skip", "sort", "sort_by", "sort_dir",
    "sort_key", "sort_order", "start", "status", "tag", "tags", "term", "text", "timezone",
    "title", "to", "top", "type", "tz", "units", "until", "version", "view",
})  # fmt: skip

# A name with one of these words is a secret's, wherever it stands.
_SECRET_WORDS = frozenset({
    "apikey", "assertion", "authkey", "authorization", "bearer", "credential", "credentials",
    "cvc", "cvv", "hmac", "jwt", "otp", "passcode", "passphrase", "passwd", "password", "pwd",
    "secret", "secrets", "signature", "token", "tokens", "totp",
})  # fmt: skip
# A name with one of these words is a secret's in a query or a form; in JSON it is a word
# ("ticket" of a helpdesk, "key" of a map).
_SECRET_PARAMETER_WORDS = _SECRET_WORDS | {
    "auth", "authentication", "cookie", "key", "pass", "passkey", "pin", "pw", "saml",
    "session", "sessionid", "sid", "sig", "sign", "ticket", "verifier",
}  # fmt: skip
# Whole names: the word within another name is a word ("country_code", "app_id").
_SECRET_PARAMETERS = frozenset({"appid", "auth_code", "authcode", "code", "code_verifier", "pat"})
# "api key", "private-key": the first words of a key that is none of a map.
_OF_SECRET_KEYS = frozenset({
    "access", "account", "api", "app", "application", "auth", "client", "encryption", "license",
    "master", "private", "secret", "shared", "signing", "ssh", "storage", "subscription",
})  # fmt: skip
# "verification code": a code that lets somebody in.
_OF_SECRET_CODES = frozenset({
    "access", "activation", "auth", "authorization", "device", "invite", "login", "security",
    "user", "verification",
})  # fmt: skip
# Written as one word: "authtoken", "userpassword", "hapikey".
_RUN_TOGETHER = pattern(
    r"token(?!i[sz])|secret|passw(?:or)?d|passphrase|api[-_]?key|credential|signature"
    r"|(?:access|auth|private|session|secret|subscription|app)[-_]?key",
    re.IGNORECASE,
)
_ENDS_SECRET = pattern(r".+(?:key|auth|pwd|pass|sig)|.*sess(?:ion)?id", re.IGNORECASE)
# English words that end so.
_ENDS_HARMLESS = pattern(
    r".*(?:monkey|turkey|hockey|whiskey|donkey|jockey|compass|bypass|surpass|keypass)",
    re.IGNORECASE,
)
# About tokens, and no token; a number of tokens is decided by its value.
_HARMLESS = frozenset({
    "token_count", "token_endpoint", "token_limit", "token_type", "token_type_hint", "token_uri",
    "token_url", "tokentype", "secret_name", "password_policy", "key_type", "signature_version",
    "x-amz-signedheaders", "signature_method", "oauth_signature_method", "sign_type", "auth_type",
})  # fmt: skip
_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})
"""Header fields that no session can have shown."""

_WORD = pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Words beside "tokens" that make them tokens to sign with, and no units of a language model.
_CREDENTIAL_WORDS = frozenset({
    "access", "api", "auth", "bearer", "csrf", "device", "id", "oauth", "refresh", "secret",
    "session", "user",
})  # fmt: skip
_NUMBER = pattern(r"[+-]?\d[\d.,_:]*%?")

_secret_names: set[str] = set()
_shown_names: set[str] = set()


def add_secret_names(names: Iterable[str]) -> None:
    """Treat fields of these names as credentials from now on."""
    _secret_names.update(name.lower() for name in names)


def add_shown_names(names: Iterable[str]) -> None:
    """Show the values of fields of these names from now on."""
    _shown_names.update(name.lower() for name in names)


def can_be_shown(name: str) -> bool:
    """Say whether `shown=` may name a header: no session shows what authenticates by RFC."""
    return name.lower() not in _HEADERS


def is_secret(name: str) -> bool:
    """Say whether a response header or JSON key of this name holds a credential."""
    decision = _decided(name)
    return _is_secret(name) if decision is None else decision


def is_secret_parameter(name: str) -> bool:
    """Say whether a parameter of a query or a form holds a credential by its name."""
    decision = _decided(name)
    return _is_secret_parameter(name) if decision is None else decision


def shows_field(name: str) -> bool:
    """Say whether the value of a request header is shown."""
    decision = _decided(name)
    return name.lower() in _SHOWN_FIELDS if decision is None else not decision


def shows_parameter(name: str, value: str) -> bool:
    """Say whether a pair of a query or a form is shown.

    Args:
        name: Decoded; empty for a value without a name.
        value: Decoded.
    """
    decision = _decided(name)
    if decision is not None:
        return not decision
    if name.lower() in _SHOWN_PARAMETERS:
        return True
    if _is_secret_parameter(name):
        return is_count_of_tokens(name, value)
    return not could_be_credential(value)


def is_secret_value(name: str, value: str) -> bool:
    """Say whether the value of a placeholder in a path is a credential.

    An issue's `key` or a file's `code` is a short word, and stays readable.
    """
    return is_secret(name) or (is_secret_parameter(name) and could_be_credential(value))


def is_about_tokens(name: str, value: object) -> bool:
    """Say whether a pair found in a text, such as `token_type=bearer`, is no credential."""
    return name.lower() in _HARMLESS or is_count_of_tokens(name, value)


def is_count_of_tokens(name: str, value: object) -> bool:
    """Say whether a pair such as `max_tokens=50` counts tokens, and is none."""
    text, words = str(value), _words(name)
    is_number = not isinstance(value, bool) and len(text) <= 12 and _NUMBER.fullmatch(text)
    is_count = words[-1:] == ["tokens"] or words[-2:] == ["token", "count"]
    return bool(is_number and is_count and _CREDENTIAL_WORDS.isdisjoint(words))


def _decided(name: str) -> bool | None:
    """Return what sessions were told about a name; None where they were told nothing."""
    lowered = name.lower()
    if lowered in _secret_names or lowered in _HEADERS:
        return True
    return False if lowered in _shown_names else None


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    lowered = name.lower()
    if lowered in _HARMLESS:
        return False
    words = _words(name)
    return bool(
        not _SECRET_WORDS.isdisjoint(words)
        or _RUN_TOGETHER.search(lowered)
        or any(a in _OF_SECRET_KEYS and b == "key" for a, b in pairwise(words))
    )


@lru_cache(maxsize=1024)
def _is_secret_parameter(name: str) -> bool:
    lowered = name.lower()
    if lowered in _HARMLESS or lowered in _SHOWN_PARAMETERS:
        return False
    words = _words(name)
    if lowered in _SECRET_PARAMETERS or not _SECRET_PARAMETER_WORDS.isdisjoint(words):
        return True
    if any(a in _OF_SECRET_CODES and b == "code" for a, b in pairwise(words)):
        return True
    ends_so = _ENDS_SECRET.fullmatch(lowered) and not _ENDS_HARMLESS.fullmatch(lowered)
    return bool(ends_so) or _is_secret(name)


def _words(name: str) -> list[str]:
    """Split a name into words: "X-Auth-Key", "userPassword", "user[password]"."""
    return [word.lower() for word in _WORD.findall(name[:200])]


# ---- values

# A shorter value is shown under any name that is not a secret's.
_LONGEST_SHORT = 12
_LONGEST_WORD = 20
_LONGEST_NUMBER = 40
_LONGEST_WORDS = 500
_UUID = pattern(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)
_DATE = pattern(
    r"\d{4}-?\d{2}-?\d{2}(?:[T ]\d{2}:?\d{2}(?::?\d{2}(?:[.,]\d{1,9})?)?)?"
    r"\s?(?:Z|[+ -]?\d{2}:?\d{2})?"
)
_SEPARATORS = pattern(r"[\s,.;:!?()\[\]{}'\"@/|<>=&*$-]+|_+|\+")
# Letters of which only the first may be a capital, a name in camel case, or such as "v2".
_PLAIN_WORD = pattern(
    r"[A-Z]{1,12}|[A-Z]?[a-z]{1,20}|[A-Za-z]\d{1,2}"
    r"|[a-z]{2,12}(?:[A-Z][a-z]{1,12}){1,3}|(?:[A-Z][a-z]{2,12}){2,4}"
)
# No long word has so many consonants in a row.
_UNPRONOUNCEABLE = pattern(r"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)


def could_be_credential(value: str) -> bool:
    """Say whether a value could be a credential: not a number, a date, a UUID, words or short.

    >>> [could_be_credential(v) for v in ("blue shoes", "2026-11-30", "x8Kq2vT0aZ9mL4")]
    [False, False, True]
    """
    if len(value) <= _LONGEST_SHORT:
        return False
    if len(value) > _LONGEST_WORDS:
        return True
    if len(value) <= _LONGEST_NUMBER and any(
        form.fullmatch(value) for form in (_NUMBER, _DATE, _UUID)
    ):
        return False
    return not all(map(_is_word, filter(None, _SEPARATORS.split(value))))


def _is_word(part: str) -> bool:
    if part.isdigit():
        return len(part) <= 10
    if not part.isascii():
        return part.isalpha() and len(part) <= _LONGEST_WORD
    is_pronounceable = len(part) <= _LONGEST_SHORT or not _UNPRONOUNCEABLE.search(part)
    return is_pronounceable and _PLAIN_WORD.fullmatch(part) is not None
