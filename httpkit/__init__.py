"""httpkit: a requests.Session that is finished.

>>> import httpkit
>>> api = httpkit.Session("https://api.example.com/v1", auth=httpkit.BearerAuth("s3cr3t-token"))
>>> api
<Session https://api.example.com/v1 auth=BearerAuth(***)>

PYTEST_DONT_REWRITE: else pytest warns where this was imported before it, because of the fixtures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from httpkit import _annotations as _annotations
from httpkit._version import __version__
from httpkit.auth import NO_AUTH, APIKeyAuth, BasicAuth, BearerAuth, Strategy
from httpkit.dispatch import StatusDispatch, raising
from httpkit.errors import (
    BadGatewayError,
    BadRequestError,
    BodyTooLargeError,
    ChecksumError,
    ClientError,
    ConfigurationError,
    ConflictError,
    ContentTooLargeError,
    DeadlineExceededError,
    DecodeError,
    ForbiddenError,
    GatewayTimeoutError,
    GoneError,
    GraphQLError,
    HTTPKitError,
    IncompleteError,
    InternalServerError,
    MethodNotAllowedError,
    NotFoundError,
    PaginationError,
    PreconditionFailedError,
    RedirectError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    StatusError,
    TokenError,
    TooManyRequestsError,
    TransferError,
    UnauthorizedError,
    UnprocessableContentError,
    UnsupportedMediaTypeError,
)
from httpkit.events import Event
from httpkit.logs import log_requests
from httpkit.response import Response
from httpkit.retry import RetryEvent, RetryPolicy
from httpkit.session import Session

if TYPE_CHECKING:
    from httpkit.download import Download
    from httpkit.oauth import ClientCredentialsAuth, RefreshTokenAuth
    from httpkit.pages import Pages
    from httpkit.pagination import (
        CursorPages,
        LinkPages,
        NextURLPages,
        NumberedPages,
        OffsetPages,
    )
    from httpkit.progress import Progress
    from httpkit.resource import Fetched, Resource
    from httpkit.tokens import TokenSet
    from httpkit.walk import Page

__all__ = [
    "NO_AUTH",
    "APIKeyAuth",
    "BadGatewayError",
    "BadRequestError",
    "BasicAuth",
    "BearerAuth",
    "BodyTooLargeError",
    "ChecksumError",
    "ClientCredentialsAuth",
    "ClientError",
    "ConfigurationError",
    "ConflictError",
    "ContentTooLargeError",
    "CursorPages",
    "DeadlineExceededError",
    "DecodeError",
    "Download",
    "Event",
    "Fetched",
    "ForbiddenError",
    "GatewayTimeoutError",
    "GoneError",
    "GraphQLError",
    "HTTPKitError",
    "IncompleteError",
    "InternalServerError",
    "LinkPages",
    "MethodNotAllowedError",
    "NextURLPages",
    "NotFoundError",
    "NumberedPages",
    "OffsetPages",
    "Page",
    "Pages",
    "PaginationError",
    "PreconditionFailedError",
    "Progress",
    "RedirectError",
    "RefreshTokenAuth",
    "RequestTimeoutError",
    "Resource",
    "Response",
    "RetryEvent",
    "RetryPolicy",
    "ServerError",
    "ServiceUnavailableError",
    "Session",
    "StatusDispatch",
    "StatusError",
    "Strategy",
    "TokenError",
    "TokenSet",
    "TooManyRequestsError",
    "TransferError",
    "UnauthorizedError",
    "UnprocessableContentError",
    "UnsupportedMediaTypeError",
    "__version__",
    "log_requests",
    "raising",
]

# Imported when one of their names is asked for: who needs no downloads never loads them. They take
# no name from a module that tests patch (requests, urllib3, socket, time, ...), nor do they derive
# a class from one of its: a mock that is open at the first use would stay in them for good. What
# does so is imported above.
_MODULES = {
    "download": ("Download",),
    "oauth": ("ClientCredentialsAuth", "RefreshTokenAuth"),
    "pages": ("Pages",),
    "pagination": ("CursorPages", "LinkPages", "NextURLPages", "NumberedPages", "OffsetPages"),
    "parallel": (),
    "progress": ("Progress",),
    "resource": ("Fetched", "Resource"),
    "testing": (),
    "tokens": ("TokenSet",),
    "upload": (),
    "walk": ("Page",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # or a checker would believe in every name

    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            value = getattr(import_module(f"httpkit.{_MODULE_OF[name]}"), name)
            globals()[name] = value
            return value
        if name in _MODULES:
            return import_module(f"httpkit.{name}")
        raise AttributeError(f"module 'httpkit' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
