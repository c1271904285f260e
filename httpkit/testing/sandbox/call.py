"""One request on its way through the Sandbox, and what its query asks for.

Rule: standard library only, and nothing from httpkit but the rooms of the Sandbox.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from httpkit.testing.sandbox.messages import (
    LARGEST_BODY,
    Answer,
    RefusalError,
    SeenRequest,
    asked_number,
    pattern,
    with_query,
)
from httpkit.testing.sandbox.store import Site

_Choice = TypeVar("_Choice")

# Seconds. Longer than any test waits, and far below what Event.wait() accepts on any platform.
_LONGEST_WAIT = 3600


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through the routes.

    Attributes:
        site: What the sandbox keeps.
        request: As it was received.
        path: What is left of its path: each route takes its own part off.
    """

    site: Site
    request: SeenRequest
    path: str

    def lost(self) -> RefusalError:
        """Return the refusal of a path that leads nowhere."""
        return RefusalError(404, f"no such route: {self.request.path}")

    def asked(self, name: str, default: str) -> str:
        """Return a query parameter, the first of its name."""
        return self.request.query.get(name, [default])[0]

    def asked_status(self, name: str, default: int) -> int:
        """Return a parameter that is a final status, 200 to 599."""
        return asked_number(self.request, name, default, least=200, most=599)

    def asked_body(self) -> Answer:
        """Return a body of as many bytes as are asked for."""
        return pattern(asked_number(self.request, "bytes", 10, most=LARGEST_BODY))

    def asked_drop(self) -> int:
        """Return the bytes after which to hang up; a number beyond any body when not asked for."""
        return asked_number(self.request, "drop", sys.maxsize)

    def chosen(self, name: str, choices: Mapping[str, _Choice], default: str) -> _Choice:
        """Return what a parameter chooses.

        Raises:
            RefusalError: There is no such choice.
        """
        choice = self.asked(name, default)
        if choice not in choices:
            raise RefusalError(400, f"{name} must be one of {', '.join(choices)}")
        return choices[choice]

    def asked_seconds(self) -> float:
        """Return the seconds that an answer is to take."""
        return asked_number(self.request, "seconds", 1.0, most=_LONGEST_WAIT)

    def credentials(self, scheme: str) -> str | None:
        """Return what Authorization holds of a scheme; None when it holds another, or is absent."""
        named, _, value = self.request.headers.get("authorization", "").partition(" ")
        return value.strip() if named.lower() == scheme else None

    def same(self) -> str:
        """Return the address of this very request."""
        return with_query(self.request.path, self.request.query)

    def cookies_sent(self) -> dict[str, str]:
        """Return the cookies of the request by name."""
        pairs = self.request.headers.get("cookie", "").split(";")
        return {name.strip(): v for name, equals, v in (p.partition("=") for p in pairs) if equals}
