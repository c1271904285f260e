"""httpkit: a requests.Session that is finished.

>>> import httpkit
>>> api = httpkit.Session("https://api.example.com/v1", auth=httpkit.BearerAuth("s3cr3t-token"))
>>> api
<Session https://api.example.com/v1 auth=BearerAuth(***)>

PYTEST_DONT_REWRITE: else pytest warns where this was imported before it, because of the fixtures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from httpkit.auth import NO_AUTH, APIKeyAuth, BasicAuth, BearerAuth, Strategy
    from httpkit.dispatch import StatusDispatch, raising
    from httpkit.download import Download
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
    from httpkit.response import Response
    from httpkit.retry import RetryEvent, RetryPolicy
    from httpkit.session import Session
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
    "log_requests",
    "raising",
]

# Where the names live that are no errors. A room is opened when something in it is asked for:
# importing the package takes 1 ms, and who needs no downloads never loads them.
_ROOMS = {
    "auth": ("NO_AUTH", "APIKeyAuth", "BasicAuth", "BearerAuth", "Strategy"),
    "dispatch": ("StatusDispatch", "raising"),
    "download": ("Download",),
    "events": ("Event",),
    "logs": ("log_requests",),
    "oauth": ("ClientCredentialsAuth", "RefreshTokenAuth"),
    "pages": ("Pages",),
    "pagination": ("CursorPages", "LinkPages", "NextURLPages", "NumberedPages", "OffsetPages"),
    "progress": ("Progress",),
    "resource": ("Fetched", "Resource"),
    "response": ("Response",),
    "retry": ("RetryEvent", "RetryPolicy"),
    "session": ("Session",),
    "tokens": ("TokenSet",),
    "walk": ("Page",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

if not TYPE_CHECKING:  # or a checker would believe in every name

    def __getattr__(name: str) -> Any:
        if name in __all__:
            value = getattr(import_module(f"httpkit.{_HOME.get(name, 'errors')}"), name)
            globals()[name] = value
            return value
        if name in _ROOMS or name in {"errors", "testing"}:
            return import_module(f"httpkit.{name}")
        raise AttributeError(f"module 'httpkit' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
