"""The strategies that sign a request with a user and password, a token or a key.

They are frozen, compare by value, and show no secret in their repr.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Literal, Self, TypeAlias
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

import requests
import requests.auth

from httpkit._core import header_fields, redaction
from httpkit._core.classes import Frozen, public
from httpkit._core.given import as_text
from httpkit._core.lazy import pattern
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._policy.auth import Signer, Strategy

Secret: TypeAlias = str | Callable[[], str]
"""A secret, or a callable that returns it; a callable is asked for every attempt."""

# A header field value: visible characters, no line break, no space (RFC 9110 section 5.5).
_TOKEN = pattern(r"[\x21-\x7e\x80-\xff]+")
_FIELD_VALUE = pattern(r"[\x20-\x7e\x80-\xff]+")
_CONTROL = pattern(r"[\x00-\x1f\x7f]")  # RFC 7617 section 2
_COOKIE_VALUE = pattern(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")  # RFC 6265 section 4.1.1


class EnvironmentSecret(Frozen):
    """A secret read from an environment variable each time; pickles as the variable's name."""

    _fields = ("variable",)

    variable: str

    def __init__(self, variable: str) -> None:
        self.__dict__.update(variable=variable)

    def __call__(self) -> str:
        """Return the variable's value now."""
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"the environment variable {self.variable} is not set or empty"
            )
        return value


def secret_from_env(variable: str) -> EnvironmentSecret:
    """Return the secret of an environment variable, which is read whenever it is needed.

    Raises:
        ConfigurationError: The variable is not set or empty.
    """
    secret = EnvironmentSecret(variable)
    secret()  # a missing variable is an error here, where its name is in sight
    return secret


def text_of(secret: object, what: str, *, is_secret: bool = True) -> str:
    """Return a secret as text without surrounding white space.

    Raises:
        ConfigurationError: It is no text or empty; the message does not show it.
    """
    value = secret() if callable(secret) else secret
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} must be a str, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{what} is empty")
    if not _is_encodable(value):
        raise ConfigurationError(f"{what} contains a character that cannot be sent")
    if is_secret:
        redaction.remember(value.strip())
    return value.strip()


def add_secret(value: str) -> None:
    """Mask a value in every message, log record, repr, card, curl command and pickled error.

    For a credential that no name reveals, such as the token in the path of a webhook's URL. It is
    masked in every session of the process, in its usual encodings, until the process ends; it is
    not part of a pickled session.

    Args:
        value: 4 characters or more.

    Raises:
        ConfigurationError: It is not a str, or is shorter.
    """
    if not isinstance(value, str) or len(value) < _SHORTEST_SECRET:  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"a secret must be a str of {_SHORTEST_SECRET} characters or more")
    redaction.add(value)


# A shorter one would be masked in the middle of words.
_SHORTEST_SECRET = 4


def _is_encodable(text: str, encoding: str = "utf-8") -> bool:
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    return True


def _matching(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise ConfigurationError(f"{what} contains a character that cannot be sent")
    return value


def describe_secret(secret: Secret) -> str:
    """Return a secret for a repr: where it comes from, never its value."""
    if isinstance(secret, EnvironmentSecret):
        return f"${secret.variable}"
    return "<callable>" if callable(secret) else redaction.MASK


def basic(user: object, password: object, *, is_ambient: bool = False) -> Signer:
    """Return requests' own signer for a pair; it would send None as "None".

    requests sends Latin-1, and fails for other letters. A URL or netrc cannot say how they are
    to be sent (`is_ambient`): in UTF-8, as by browsers (RFC 7617 section 2.1).
    """
    if not isinstance(user, (str, bytes)) or not isinstance(password, (str, bytes)):
        raise ConfigurationError("auth=(user, password) must be two texts")
    name, word = (as_text(part) for part in (user, password))
    if not _is_encodable(name + word, "latin-1"):
        if is_ambient:
            return BasicAuth(name, word)
        raise ConfigurationError("requests sends pairs in Latin-1: use BasicAuth for others")
    redaction.remember(word, _in_base64(name, word), _in_base64(name, word, encoding="latin-1"))
    return requests.auth.HTTPBasicAuth(name, word)


def _in_base64(user: str, password: str, encoding: str = "utf-8") -> str:
    return b64encode(f"{user}:{password}".encode(encoding)).decode("ascii")


class CombinedAuth(Frozen, Strategy):
    """Several strategies, applied in order; made by `a & b`."""

    _fields = ("parts",)

    parts: tuple[Signer, ...]

    def __init__(self, parts: tuple[Signer, ...]) -> None:
        self.__dict__.update(parts=parts)

    @property
    def can_change(self) -> bool:
        """Whether one of the parts may sign differently the next time."""
        return any(isinstance(part, Strategy) and part.can_change for part in self.parts)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it."""
        for part in self.parts:
            r = part(r)
        return r

    @property
    def _resigner(self) -> Signer:
        """What signs a later attempt."""
        return self._resign

    def _resign(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Apply httpkit's strategies alone: a foreign one is applied once, at prepare."""
        for part in self.parts:
            r = part(r) if isinstance(part, Strategy) else r
        return r

    def reject(self, request: requests.PreparedRequest) -> None:
        """Notify each of httpkit's strategies of a 401."""
        for part in self.parts:
            if isinstance(part, Strategy):
                part.reject(request)

    def accept(self, request: requests.PreparedRequest) -> None:
        """Notify each of httpkit's strategies that another signature was accepted."""
        for part in self.parts:
            if isinstance(part, Strategy):
                part.accept(request)

    def __repr__(self) -> str:
        reprs = (repr(p) if isinstance(p, Strategy) else type(p).__name__ for p in self.parts)
        return " & ".join(reprs)


@public
class BasicAuth(Frozen, Strategy):
    """User and password (RFC 7617), in UTF-8.

    Args:
        user: It cannot hold a colon. APIs that take a key as the user name want it here. A str, or
            a callable that is called before every attempt.
        password: A str, possibly empty, or a callable that is called before every attempt.

    Raises:
        ConfigurationError: Both are empty, or one holds what cannot be sent.
    """

    _fields = ("user", "password")

    user: Secret
    password: Secret

    def __init__(self, user: Secret, password: Secret = "") -> None:
        self.__dict__.update(user=user, password=password)
        if not callable(self.user):
            _check_basic_user(self.user)
        if not (callable(self.user) or callable(self.password)):
            self._credentials(self.user, self.password)

    @classmethod
    def from_env(cls, user: str, password: str | None = None) -> Self:
        """Read user and password from the environment variables of these names.

        Without a password the user name is the key, and is read for every attempt.

        Raises:
            ConfigurationError: One of them is not set or empty.
        """
        name = secret_from_env(user)
        return cls(name) if password is None else cls(name(), secret_from_env(password))

    @property
    def can_change(self) -> bool:
        """Whether user or password comes from a callable."""
        return callable(self.user) or callable(self.password)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it."""
        user = self.user() if callable(self.user) else self.user
        password = self.password() if callable(self.password) else self.password
        r.headers["Authorization"] = f"Basic {self._credentials(user, password)}"
        return r

    def _credentials(self, user: str, password: str) -> str:
        _check_basic_user(user)
        if not isinstance(password, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"the password must be a str, not {type(password).__name__}")
        if not user and not password:
            raise ConfigurationError("user and password are both empty")
        both = user + password
        if _CONTROL.search(both) or not _is_encodable(both):
            raise ConfigurationError("user or password contains a character that cannot be sent")
        encoded = _in_base64(user, password)
        redaction.remember(encoded, *([password] if password else [user]))
        return encoded

    def __repr__(self) -> str:
        # Where there is no password, the user name is the key.
        is_named = self.password and not callable(self.user)
        user = repr(self.user) if is_named else describe_secret(self.user)
        return f"BasicAuth({user}, {describe_secret(self.password)})"


def _check_basic_user(user: object) -> None:
    if not isinstance(user, str):
        raise ConfigurationError(f"the user must be a str, not {type(user).__name__}")
    if ":" in user:
        raise ConfigurationError("a user name cannot contain a colon (RFC 7617 section 2)")


@public
class BearerAuth(Frozen, Strategy):
    """A bearer token in the Authorization header (RFC 6750).

    Args:
        token: A str, or a callable that is called before every attempt (a vendor's SDK, a keyring).
            White space around it is dropped.

    Raises:
        ConfigurationError: It is empty or holds what cannot be sent.
    """

    _fields = ("token",)

    token: Secret

    def __init__(self, token: Secret) -> None:
        self.__dict__.update(token=token)
        if not callable(self.token):
            self._value()

    @classmethod
    def from_env(cls, variable: str) -> Self:
        """Read the token from an environment variable, now and before every attempt.

        Raises:
            ConfigurationError: The variable is not set or empty.
        """
        return cls(secret_from_env(variable))

    @property
    def can_change(self) -> bool:
        """Whether the token comes from a callable."""
        return callable(self.token)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it."""
        r.headers["Authorization"] = f"Bearer {self._value()}"
        return r

    def _value(self) -> str:
        token = text_of(self.token, "the token")
        if token[:7].lower() == "bearer ":
            raise ConfigurationError('the token must not begin with "Bearer": BearerAuth adds it')
        return _matching(_TOKEN, token, "the token")

    def __repr__(self) -> str:
        return f"BearerAuth({describe_secret(self.token)})"


Where: TypeAlias = Literal["header", "query", "cookie"]


@public
class APIKeyAuth(Frozen, Strategy):
    """An API key in a header, in the query or in a cookie.

    Args:
        key: A str, or a callable that is called before every attempt.
        name: The header's, parameter's or cookie's name.
        where: "header", "query" or "cookie".

    Raises:
        ConfigurationError: The key is empty, or name or key cannot be sent there.
    """

    _fields = ("key", "name", "where")

    key: Secret
    name: str
    where: Where

    def __init__(self, key: Secret, name: str = "X-API-Key", where: Where = "header") -> None:
        self.__dict__.update(key=key, name=name, where=where)
        if not isinstance(self.where, str) or self.where not in _SIGN_FUNCTIONS:  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(
                f"where={self.where!r} must be one of {', '.join(_SIGN_FUNCTIONS)}"
            )
        name = text_of(self.name, "the name", is_secret=False)
        if self.where != "query" and not header_fields.is_name(name):
            raise ConfigurationError(
                f"the name {redaction.shown(name)} contains a character that cannot be sent"
            )
        if not callable(self.key):
            self._value()

    @classmethod
    def from_env(cls, variable: str, *, name: str = "X-API-Key", where: Where = "header") -> Self:
        """Read the key from an environment variable, now and before every attempt.

        Raises:
            ConfigurationError: The variable is not set or empty.
        """
        return cls(secret_from_env(variable), name, where)

    @property
    def can_change(self) -> bool:
        """Whether the key comes from a callable."""
        return callable(self.key)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request in place and return it."""
        _SIGN_FUNCTIONS[self.where](r, self.name, self._value())
        return r

    def _value(self) -> str:
        value = text_of(self.key, "the API key")
        pattern = {"header": _FIELD_VALUE, "cookie": _COOKIE_VALUE}.get(self.where)
        return _matching(pattern, value, "the API key") if pattern else value

    def __repr__(self) -> str:
        return f"APIKeyAuth({describe_secret(self.key)}, {self.name!r}, {self.where!r})"


def _sign_header(request: requests.PreparedRequest, name: str, value: str) -> None:
    request.headers[name] = value


def _sign_query(request: requests.PreparedRequest, name: str, value: str) -> None:
    parts = urlsplit(request.url or "")
    pairs = [pair for pair in parts.query.split("&") if pair and _pair_name(pair) != name]
    pairs.append(f"{quote(name, safe='')}={quote(value, safe='')}")
    request.url = urlunsplit(parts._replace(query="&".join(pairs)))


def _pair_name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _sign_cookie(request: requests.PreparedRequest, name: str, value: str) -> None:
    present = str(request.headers.get("Cookie", ""))
    pairs = [pair for part in present.split(";") if (pair := part.strip())]
    others = [pair for pair in pairs if pair.partition("=")[0] != name]
    request.headers["Cookie"] = "; ".join([*others, f"{name}={value}"])


_SIGN_FUNCTIONS: dict[str, Callable[[requests.PreparedRequest, str, str], None]] = {
    "header": _sign_header,
    "query": _sign_query,
    "cookie": _sign_cookie,
}
