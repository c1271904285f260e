"""The types that appear in public signatures, and the Protocols that other layers ask for.

Modules that are imported with the package import it later, for annotations alone.
"""

from __future__ import annotations

import http.cookiejar
import os
import ssl
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, TypeVar

from httpkit._core.upstream import AuthBase, BaseAdapter, RequestsRequest, RequestsResponse
from httpkit._core.urls import Origin

if TYPE_CHECKING:
    from typing_extensions import Buffer
else:  # not imported for names that only a checker reads; it takes 3 ms
    Buffer = bytes | bytearray | memoryview


T = TypeVar("T")
_T_co = TypeVar("_T_co", covariant=True)
_K_co = TypeVar("_K_co", covariant=True)


class SupportsRead(Protocol[_T_co]):
    """A file-like object."""

    def read(self, length: int = ..., /) -> _T_co:
        """Return at most so many bytes."""
        ...


class SupportsItems(Protocol[_K_co, _T_co]):
    """A mapping, or what has items like one."""

    def items(self) -> Iterable[tuple[_K_co, _T_co]]:
        """Return the pairs."""
        ...


Scalar: TypeAlias = str | bytes | int | float
Params: TypeAlias = (
    SupportsItems[Scalar, Scalar | Iterable[Scalar] | None]
    | Iterable[tuple[Scalar, Scalar | Iterable[Scalar] | None]]
    | str
    | bytes
    | None
)
Data: TypeAlias = (
    SupportsItems[Any, Any]
    | Iterable[tuple[Any, Any]]
    | Iterable[bytes | str]
    | SupportsRead[str | bytes]
    | str
    | bytes
    | Buffer
    | None
)
Json: TypeAlias = object
HeadersLike: TypeAlias = (
    Mapping[str, str | bytes | None] | Mapping[str, str | bytes] | Mapping[str, str] | None
)
Cookies: TypeAlias = http.cookiejar.CookieJar | dict[str, str] | None
FileContent: TypeAlias = SupportsRead[str | bytes] | str | bytes
FileSpec: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str]
    | tuple[str | None, FileContent, str, Mapping[str, str]]
)
Files: TypeAlias = Mapping[str, FileSpec] | Iterable[tuple[str, FileSpec]] | None
Auth: TypeAlias = tuple[str, str] | AuthBase | Callable[[RequestsRequest], RequestsRequest] | None
Timeout: TypeAlias = float | tuple[float | None, float | None] | None
Hook: TypeAlias = Callable[[RequestsResponse], Any]
Hooks: TypeAlias = Mapping[str, Iterable[Hook] | Hook] | None
Path: TypeAlias = str | os.PathLike[str]
Verify: TypeAlias = bool | Path | ssl.SSLContext | None
Cert: TypeAlias = Path | tuple[Path, Path] | tuple[Path, Path, str] | None


class CallerOptions(TypedDict, total=False):
    """The keywords of a request that a resource passes on."""

    headers: HeadersLike
    auth: Auth
    timeout: Timeout
    deadline: float | None
    max_body: int | None
    idempotency_key: bool | str | None


class TokenTransport(Protocol):
    """What a strategy's own request, such as one for a token, needs of a session."""

    @property
    def adapters(self) -> MutableMapping[str, BaseAdapter]:
        """What sends, by the beginning of a URL."""
        ...

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return the proxies and certificates for a URL."""
        ...


class CredentialHolder(Protocol):
    """A session, whose credentials are bound to origins."""

    _bound_origins: frozenset[Origin] | None

    @property
    def base_url(self) -> str | None:
        """What relative URLs are appended to."""
        ...

    @property
    def trusted_origins(self) -> Sequence[str]:
        """Further origins that may see the session's credentials."""
        ...

    def with_options(self, *, strict: bool) -> Any:
        """Return a clone with other settings."""
        ...


class Refreshable(Protocol):
    """What a delivery tells the auth whose next signature may be another one."""

    def reject(self, request: RequestsRequest) -> None:
        """Note that the server responded 401 to a request, before it is signed again."""
        ...

    def accept(self, request: RequestsRequest) -> None:
        """Note that a request that was signed again did not get a 401."""
        ...


class Caller(Protocol):
    """What a resource or a transfer needs of a session."""

    def request(
        self,
        method: str,
        url: str,
        params: Params = ...,
        *,
        path: Mapping[str, object] | None = ...,
        data: Data = ...,
        json: Json = ...,
        on_status: Mapping[Any, Callable[[Any], T]],
        raise_for_status: bool = ...,
        headers: HeadersLike = ...,
        auth: Auth = ...,
        timeout: Timeout = ...,
        deadline: float | None = ...,
        max_body: int | None = ...,
        idempotency_key: bool | str | None = ...,
    ) -> RequestsResponse | T:
        """Send one request; raise for an error status that `on_status` does not know."""
        ...
