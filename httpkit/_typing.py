"""The types that appear in public signatures, and the Protocols that rooms ask for."""

import enum
from collections.abc import Callable, Iterable, Mapping
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypedDict

import requests
from requests.auth import AuthBase
from typing_extensions import Unpack

if TYPE_CHECKING:
    from _typeshed import SupportsItems, SupportsRead


class NotGiven(enum.Enum):
    """The type of "not given", where None already means off."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

Scalar: TypeAlias = str | bytes | int | float
Params: TypeAlias = (
    "SupportsItems[Scalar, Scalar | Iterable[Scalar] | None]"
    " | Iterable[tuple[Scalar, Scalar | Iterable[Scalar] | None]] | str | bytes | None"
)
Data: TypeAlias = (
    "SupportsItems[Any, Any] | Iterable[tuple[Any, Any]] | Iterable[bytes | str]"
    " | SupportsRead[str | bytes] | str | bytes | bytearray | memoryview | None"
)
Json: TypeAlias = object
HeadersLike: TypeAlias = Mapping[str, str | bytes] | None
Cookies: TypeAlias = CookieJar | dict[str, str] | None
FileContent: TypeAlias = "SupportsRead[str | bytes] | str | bytes"
FileSpec: TypeAlias = (
    "FileContent | tuple[str | None, FileContent] | tuple[str | None, FileContent, str]"
    " | tuple[str | None, FileContent, str, Mapping[str, str]]"
)
Files: TypeAlias = "Mapping[str, FileSpec] | Iterable[tuple[str, FileSpec]] | None"
Auth: TypeAlias = (
    tuple[str, str]
    | AuthBase
    | Callable[[requests.PreparedRequest], requests.PreparedRequest]
    | None
)
Timeout: TypeAlias = float | tuple[float | None, float | None] | None
Hook: TypeAlias = Callable[[requests.Response], Any]
Hooks: TypeAlias = Mapping[str, Iterable[Hook] | Hook] | None
Verify: TypeAlias = bool | str | None
Cert: TypeAlias = str | tuple[str, str] | None


class CallerOptions(TypedDict, total=False):
    """The keywords of a request that a resource passes on."""

    headers: HeadersLike
    auth: Auth
    timeout: Timeout
    deadline: float | None
    max_body: int | None
    idempotency_key: bool | str | None


class Caller(Protocol):
    """What a resource or a transfer needs of a session."""

    def request(
        self,
        method: str,
        url: str,
        params: Params = None,
        *,
        path: Mapping[str, object] | None = None,
        json: Json = None,
        on_status: None = None,
        raise_for_status: bool = True,
        **options: Unpack[CallerOptions],
    ) -> requests.Response:
        """Send one request; raise for a status that is an error."""
        ...
