"""What header fields mean: which can be sent, how they are read and shown.

Rule: no I/O and no clock here; the time comes as an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from copy import copy
from http.client import HTTPMessage
from http.cookiejar import Cookie, CookiePolicy
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from httpkit._core import upstream
from httpkit._core.lazy import ImportedLater, pattern

if TYPE_CHECKING:
    from httpkit._core import redaction, set_cookies
else:
    set_cookies = ImportedLater("httpkit._core.set_cookies")
    redaction = ImportedLater("httpkit._core.redaction")

# Describe a body that a redirected GET no longer has (RFC 9110 section 15.4).
CONTENT_FIELDS = (
    "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Location",
    "Transfer-Encoding", "Digest", "Content-Digest", "Repr-Digest", "Last-Modified",
)  # fmt: skip

REQUEST_ID_FIELDS = (
    "X-Request-Id", "Request-Id", "X-Correlation-Id", "X-Amzn-RequestId", "X-GitHub-Request-Id",
    "X-Ms-Request-Id", "CF-Ray",
)  # fmt: skip

_NAME = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = pattern(r"(?![ \t])[\t\x20-\x7e\x80-\xff]*")
CONTROL = pattern(r"[\x00-\x08\x0a-\x1f\x7f]")
# Cookies of one domain, as Chrome has it; RFC 6265bis section 6.1 asks for 50 at least.
_MOST_COOKIES = 180


class Headers(CaseInsensitiveDict[Any]):
    """Header fields whose repr shows no credential; otherwise requests' own class.

    Attributes:
        by_name: Name and value by the name in lower case; where requests stores them is
            undocumented.
    """

    by_name: dict[str, tuple[Any, Any]]

    def __init__(self, fields: Any = None, **named: Any) -> None:
        self.by_name = {}
        self.update({} if fields is None else fields, **named)

    def __setitem__(self, name: Any, value: Any) -> None:
        self.by_name[name.lower()] = name, value

    def __getitem__(self, name: Any) -> Any:
        return self.by_name[name.lower()][1]

    def __delitem__(self, name: Any) -> None:
        del self.by_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def lower_items(self) -> Iterator[tuple[str, Any]]:
        """Return the fields with names in lower case."""
        return ((key, value) for key, (_, value) in self.by_name.items())

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a field; the standard library's way to a default is an exception."""
        field = self.by_name.get(key.lower())
        return default if field is None else field[1]

    def __contains__(self, name: Any) -> bool:
        # The standard library's way to say no is an exception: saves 1 to 3 us a call.
        return name.lower() in self.by_name

    def __repr__(self) -> str:
        return str(redaction.redact_headers(self))

    def copy(self) -> Headers:
        """Return a shallow copy of the same class."""
        return Headers(self.items())


class RequestHeaders(Headers):
    """Header fields that are to be sent; they know which of them nobody has checked yet.

    Attributes:
        unchecked: Names in lower case that were set since all were found fit to be sent.
    """

    def __init__(self, fields: Any = None) -> None:
        self.unchecked: dict[str, None] = {}
        if type(fields) is not CaseInsensitiveDict:
            super().__init__(fields)
            return
        self.by_name = {}
        # Saves 3 us for each session: requests has written the names in lower case already.
        given = cast("CaseInsensitiveDict[Any]", fields)
        for name, (key, value) in zip(given, given.lower_items(), strict=True):
            if type(name) is str:
                self.unchecked[key], self.by_name[key] = None, (name, value)
            else:
                self[name] = value

    def __setitem__(self, name: Any, value: Any) -> None:
        if type(name) is bytes:  # as requests does, but only when it prepares a request
            name = name.decode("latin-1")
        key = name.lower()
        self.unchecked[key] = None  # first, so that no thread copies the one without the other
        self.by_name[key] = name, value

    def __repr__(self) -> str:
        return str(redaction.redact_request_headers(self))

    def copy(self) -> RequestHeaders:
        """Return a shallow copy of the same class, checked as far as this."""
        # Saves 8 to 13 us a call: a session's fields are checked once, and copied as they are.
        clone = RequestHeaders.__new__(RequestHeaders)
        state = clone.__dict__
        state["by_name"] = self.by_name.copy()
        state["unchecked"] = self.unchecked.copy() if self.unchecked else {}
        return clone

    def set_checked(self, name: str, value: str) -> None:
        """Set a field that is known to be fit to be sent."""
        self.by_name[name.lower()] = name, value

    def names(self) -> KeysView[str]:
        """Return the names in lower case."""
        return self.by_name.keys()

    def serialize(self) -> str | None:
        """Return the lines of a head; None when they are unchecked, or a value is no text."""
        if self.unchecked:
            return None
        lines = [f"{n}: {v}\r\n" for n, v in self.by_name.values() if type(v) is str]
        text = "".join(lines)
        # Whatever went wrong before: a line break that nobody meant is not sent.
        return text if text.count("\n") == text.count("\r") == len(self.by_name) else None

    def without_none(self) -> RequestHeaders:
        """Take fields out whose value is None, which means that they are not sent."""
        for key in [key for key in self.unchecked if self.by_name.get(key, ("", ""))[1] is None]:
            self.by_name.pop(key, None)
        return self

    def check(self, validate: Callable[[list[tuple[Any, Any]]], None]) -> None:
        """Have the fields judged that were set since the last time; it raises for a bad one."""
        if not self.unchecked:
            return
        found, self.unchecked = self.unchecked, {}
        try:
            validate([self.by_name[key] for key in found if key in self.by_name])
        except BaseException:
            self.unchecked.update(found)
            raise


class Parameters(dict[str, Any]):
    """A session's parameters, or proxies, whose repr shows no credential; otherwise a dict."""

    def __repr__(self) -> str:
        return redaction.redact_parameters(self)


# The attribute of a cookie that holds the URL whose response set it.
_SET_BY = "httpkit-set-by"


def set_by(cookie: Cookie) -> str | None:
    """Return the URL whose response set a cookie; None for one of a caller's."""
    return cookie.get_nonstandard_attr(_SET_BY)


class Jar(RequestsCookieJar):
    """Cookies whose repr shows names, not values; otherwise requests' own class.

    Attributes:
        is_strict: Whether the cookies of a response are validated by RFC 6265bis; requests takes
            what it can read.
    """

    is_strict: bool = True  # of those in older pickles, too
    _cookies: dict[str, dict[str, dict[str, Cookie]]]  # of http.cookiejar

    def __init__(self, policy: CookiePolicy | None = None, *, is_strict: bool = True) -> None:
        super().__init__(policy)
        self.is_strict = is_strict

    @classmethod
    def of(cls, jar: object, *, is_strict: bool) -> Jar:
        """Return a new jar of requests as one of ours, in place: saves 3 us for each session.

        Args:
            jar: What else it may be, a mixin's say, is replaced.
            is_strict: Whether the cookies of a response are validated.
        """
        if type(jar) is not RequestsCookieJar:
            return cls(is_strict=is_strict)
        jar.__class__ = cls
        ours = cast("Jar", jar)
        if not is_strict:
            ours.is_strict = False
        return ours

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take the cookies of a response, without those that are ignored."""
        if not self.is_strict:
            super().extract_cookies(response, request)
            return
        fields = HTTPMessage()
        for field in response.info().get_all("Set-Cookie", []):
            fields["Set-Cookie"] = field
        if not fields:
            return
        set_cookies.drop_ignored(fields)
        super().extract_cookies(upstream.CookieFields(fields), request)  # type: ignore[arg-type]  # it reads `info` alone
        self._evict()

    def make_cookies(self, response: Any, request: Any) -> Any:
        """Return the cookies of a response, which know from which URL they came."""
        cookies = super().make_cookies(response, request)
        if self.is_strict:
            for cookie in cookies:
                cookie.set_nonstandard_attr(_SET_BY, request.get_full_url().partition("?")[0])
        return cookies

    def _evict(self) -> None:
        """Drop the first cookies of a domain that has too many."""
        with self._cookies_lock:
            cookies = [*iter(self)]
            counts = Counter(cookie.domain for cookie in cookies)
            for cookie in cookies:
                if counts[cookie.domain] > _MOST_COOKIES:
                    counts[cookie.domain] -= 1
                    self.clear(cookie.domain, cookie.path, cookie.name)

    def __bool__(self) -> bool:
        # The standard library counts them all; `_cookies` is empty for most sessions.
        return bool(self._cookies) and next(iter(self), None) is not None

    def __repr__(self) -> str:
        return f"<cookies {sorted({cookie.name for cookie in self})}>"

    __str__ = __repr__  # the standard library's own shows the values

    def __getstate__(self) -> dict[str, Any]:
        """Return a state that no other thread changes while it is being pickled."""
        state = super().__getstate__()
        by_domain: dict[str, dict[str, dict[str, Any]]] = state["_cookies"]
        with self._cookies_lock:
            state["_cookies"] = {
                domain: {path: dict(cookies) for path, cookies in paths.items()}
                for domain, paths in by_domain.items()
            }
        return state

    def reset_lock(self) -> None:
        """Replace the lock: after a fork nobody may be left to release it."""
        self._cookies_lock = RLock()

    def copy(self) -> Jar:
        """Return a copy of the same class."""
        clone = Jar(is_strict=self.is_strict)
        clone.set_policy(self.get_policy())
        clone.update(self)
        return clone


def without_invalid(cookies: Iterable[Cookie]) -> RequestsCookieJar:
    """Return a jar of cookies without those of a server that no header field can hold.

    A cookie without a domain is the caller's own, and stays.
    """
    jar = RequestsCookieJar()
    for cookie in cookies:
        if not cookie.domain or not CONTROL.search(f"{cookie.name}={cookie.value}"):
            jar.set_cookie(copy(cookie))
    return jar


def first(headers: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return the first of these fields that is present and not empty."""
    return next((value for name in names if (value := headers.get(name))), None)


def as_utf8(value: str) -> str:
    """Return a field as its server meant it: http.client reads UTF-8 as if it were Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def is_name(name: str) -> bool:
    """Say whether a header field can have this name (RFC 9110 section 5.1)."""
    # Most are letters and hyphens, for which the pattern need not be compiled.
    usual = name.isascii() and name.replace("-", "x").isalnum()
    return usual or _NAME.fullmatch(name) is not None


def is_value(value: str | bytes) -> bool:
    """Say whether a header field can have this value (RFC 9110 section 5.5)."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    # Most are of visible characters and spaces, for which the pattern need not be compiled.
    usual = value.isascii() and value.isprintable() and value[:1] != " "
    return usual or _VALUE.fullmatch(value) is not None
