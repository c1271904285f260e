"""httpkit: a requests.Session that is finished.

>>> import httpkit
>>> api = httpkit.Session("https://api.example.com/v1", auth=httpkit.BearerAuth("s3cr3t-token"))
>>> api
<Session https://api.example.com/v1 auth=BearerAuth(***)>
"""

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
    "raising",
]
