"""httpkit: a requests.Session that is finished.

>>> import httpkit
>>> api = httpkit.Session("https://api.example.com/v1", auth=httpkit.BearerAuth("s3cr3t-token"))
>>> api
<Session https://api.example.com/v1 auth=BearerAuth(***)>

PYTEST_DONT_REWRITE: else pytest warns where this was imported before it, because of the fixtures.
"""

__version__ = "0.2.0"  # the build reads it here, and so does what is imported below

from importlib import import_module
from typing import TYPE_CHECKING, Any

from httpkit._client.session import Session
from httpkit._diagnostics.base_errors import ConfigurationError, HTTPKitError
from httpkit._messages.response import Response
from httpkit._policy.auth import NO_AUTH, Strategy
from httpkit._policy.retry import RetryPolicy
from httpkit._transport.adapter import Adapter

if TYPE_CHECKING:
    from httpkit._client.functions import delete, get, head, options, patch, post, put, request
    from httpkit._core.server_sent_events import Event
    from httpkit._diagnostics.errors import (
        BadGatewayError,
        BadRequestError,
        BodyTooLargeError,
        ChecksumError,
        ClientError,
        ConflictError,
        ContentTooLargeError,
        DeadlineExceededError,
        DecodeError,
        ForbiddenError,
        GatewayTimeoutError,
        GoneError,
        GraphQLError,
        IncompleteError,
        InternalServerError,
        MethodNotAllowedError,
        NotFoundError,
        OperationFailedError,
        OperationPendingError,
        PaginationError,
        PartialFailureError,
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
    from httpkit._diagnostics.log_records import RequestLog, log_requests
    from httpkit._diagnostics.progress import Progress
    from httpkit._oauth.grants import ClientCredentialsAuth, RefreshTokenAuth, TokenAuth
    from httpkit._oauth.token_cache import TokenSet
    from httpkit._policy.dispatch import StatusDispatch, raising
    from httpkit._policy.rate_limits import Limiter
    from httpkit._policy.retry_loop import RetryEvent
    from httpkit._policy.strategies import APIKeyAuth, BasicAuth, BearerAuth, add_secret
    from httpkit._resources.bulk import ItemResult
    from httpkit._resources.endpoint import Fetched
    from httpkit._resources.linked_pages import LinkPages, NextURLPages
    from httpkit._resources.page_context import PageContext, PageLink
    from httpkit._resources.page_iteration import Page
    from httpkit._resources.pages import Pages
    from httpkit._resources.pagination import CursorPages, NumberedPages, OffsetPages, Pager
    from httpkit._resources.resource import Resource
    from httpkit._resources.singleton import Singleton
    from httpkit._transfers.download import Download
    from httpkit._transfers.event_stream import EventStream

__all__ = [
    "NO_AUTH",
    "APIKeyAuth",
    "Adapter",
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
    "EventStream",
    "Fetched",
    "ForbiddenError",
    "GatewayTimeoutError",
    "GoneError",
    "GraphQLError",
    "HTTPKitError",
    "IncompleteError",
    "InternalServerError",
    "ItemResult",
    "Limiter",
    "LinkPages",
    "MethodNotAllowedError",
    "NextURLPages",
    "NotFoundError",
    "NumberedPages",
    "OffsetPages",
    "OperationFailedError",
    "OperationPendingError",
    "Page",
    "PageContext",
    "PageLink",
    "Pager",
    "Pages",
    "PaginationError",
    "PartialFailureError",
    "PreconditionFailedError",
    "Progress",
    "RedirectError",
    "RefreshTokenAuth",
    "RequestLog",
    "RequestTimeoutError",
    "Resource",
    "Response",
    "RetryEvent",
    "RetryPolicy",
    "ServerError",
    "ServiceUnavailableError",
    "Session",
    "Singleton",
    "StatusDispatch",
    "StatusError",
    "Strategy",
    "TokenAuth",
    "TokenError",
    "TokenSet",
    "TooManyRequestsError",
    "TransferError",
    "UnauthorizedError",
    "UnprocessableContentError",
    "UnsupportedMediaTypeError",
    "__version__",
    "add_secret",
    "delete",
    "get",
    "head",
    "log_requests",
    "options",
    "patch",
    "post",
    "put",
    "raising",
    "request",
]

# Imported when one of their names is used: who needs no downloads never loads them. They take
# no name from a module that tests patch (requests, urllib3, socket, time, ...), nor do they derive
# a class from one of its: a mock that is open at the first use would stay in them for good. What
# does so is imported above.
_MODULES = {
    "_diagnostics.errors": (
        "BadGatewayError",
        "BadRequestError",
        "BodyTooLargeError",
        "ChecksumError",
        "ClientError",
        "ConflictError",
        "ContentTooLargeError",
        "DeadlineExceededError",
        "DecodeError",
        "ForbiddenError",
        "GatewayTimeoutError",
        "GoneError",
        "GraphQLError",
        "IncompleteError",
        "InternalServerError",
        "MethodNotAllowedError",
        "NotFoundError",
        "OperationFailedError",
        "OperationPendingError",
        "PaginationError",
        "PartialFailureError",
        "PreconditionFailedError",
        "RedirectError",
        "RequestTimeoutError",
        "ServerError",
        "ServiceUnavailableError",
        "StatusError",
        "TokenError",
        "TooManyRequestsError",
        "TransferError",
        "UnauthorizedError",
        "UnprocessableContentError",
        "UnsupportedMediaTypeError",
    ),
    "_client.functions": (
        "delete",
        "get",
        "head",
        "options",
        "patch",
        "post",
        "put",
        "request",
    ),
    "_core.server_sent_events": ("Event",),
    "_policy.dispatch": ("StatusDispatch", "raising"),
    "_policy.rate_limits": ("Limiter",),
    "_policy.retry_loop": ("RetryEvent",),
    "_policy.strategies": ("APIKeyAuth", "BasicAuth", "BearerAuth", "add_secret"),
    "_transfers.download": ("Download",),
    "_transfers.event_stream": ("EventStream",),
    "_oauth.grants": ("ClientCredentialsAuth", "RefreshTokenAuth", "TokenAuth"),
    "_resources.pages": ("Pages",),
    "_resources.linked_pages": ("LinkPages", "NextURLPages"),
    "_resources.page_context": ("PageContext", "PageLink"),
    "_resources.pagination": ("CursorPages", "NumberedPages", "OffsetPages", "Pager"),
    "_diagnostics.log_records": ("RequestLog", "log_requests"),
    "_diagnostics.progress": ("Progress",),
    "_resources.resource": ("Resource",),
    "_resources.endpoint": ("Fetched",),
    "_resources.bulk": ("ItemResult",),
    "_resources.singleton": ("Singleton",),
    "_oauth.token_cache": ("TokenSet",),
    "_resources.page_iteration": ("Page",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # or a checker would believe in every name

    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            value = getattr(import_module(f"httpkit.{_MODULE_OF[name]}"), name)
            globals()[name] = value
            return value
        if name == "testing":
            return import_module("httpkit.testing")
        raise AttributeError(f"module 'httpkit' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
