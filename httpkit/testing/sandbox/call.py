"""One request that the Sandbox handles, and the parameters of its query.

Rule: standard library only, and nothing from httpkit but the Sandbox's own modules.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from httpkit.testing.sandbox.messages import (
    LARGEST_BODY,
    RejectedError,
    Response,
    SeenRequest,
    number_parameter,
    pattern,
    with_query,
)
from httpkit.testing.sandbox.store import Site

_Choice = TypeVar("_Choice")

# Seconds. Longer than any test waits, and far below what Event.wait() accepts on any platform.
_LONGEST_WAIT = 3600


@dataclass(frozen=True, slots=True)
class Call:
    """One request, while the routes handle it.

    Attributes:
        site: The state of the sandbox.
        request: As it was received.
        path: What is left of its path: each route takes its own part off.
    """

    site: Site
    request: SeenRequest
    path: str

    def not_found(self) -> RejectedError:
        """Return the 404 of a path without a route."""
        return RejectedError(404, f"no such route: {self.request.path}")

    def parameter(self, name: str, default: str) -> str:
        """Return a query parameter, the first of its name."""
        return self.request.query.get(name, [default])[0]

    def status_parameter(self, name: str, default: int) -> int:
        """Return a parameter that is a final status, 200 to 599."""
        return number_parameter(self.request, name, default, least=200, most=599)

    def requested_body(self) -> Response:
        """Return a body of as many bytes as the query says."""
        return pattern(number_parameter(self.request, "bytes", 10, most=LARGEST_BODY))

    def drop_parameter(self) -> int:
        """Return the bytes after which to hang up; by default more than any body has."""
        return number_parameter(self.request, "drop", sys.maxsize)

    def chosen(self, name: str, choices: Mapping[str, _Choice], default: str) -> _Choice:
        """Return the choice that a parameter names.

        Raises:
            RejectedError: There is no such choice.
        """
        choice = self.parameter(name, default)
        if choice not in choices:
            raise RejectedError(400, f"{name} must be one of {', '.join(choices)}")
        return choices[choice]

    def seconds_parameter(self) -> float:
        """Return the seconds that the response is delayed by."""
        return number_parameter(self.request, "seconds", 1.0, most=_LONGEST_WAIT)

    def credentials(self, scheme: str) -> str | None:
        """Return the credentials of a scheme in Authorization, or None."""
        named, _, value = self.request.headers.get("authorization", "").partition(" ")
        return value.strip() if named.lower() == scheme else None

    def own_url(self) -> str:
        """Return the path and query of this request."""
        return with_query(self.request.path, self.request.query)

    def cookies_sent(self) -> dict[str, str]:
        """Return the cookies of the request by name."""
        pairs = self.request.headers.get("cookie", "").split(";")
        return {name.strip(): v for name, equals, v in (p.partition("=") for p in pairs) if equals}
