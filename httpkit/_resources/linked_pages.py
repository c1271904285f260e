"""Pagers that follow the server's URLs: in the Link header field, or in the body."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from httpkit._core import header_fields, link_fields, redaction, urls
from httpkit._core.classes import public
from httpkit._core.given import is_list, is_mapping
from httpkit._diagnostics.errors import PaginationError
from httpkit._resources.page_context import HEADER, PageContext, PageLink
from httpkit._resources.pagination import check_path, check_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinkedPages:
    """A pager that follows the server's URLs.

    Attributes:
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them. By default it is followed as it is.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
        until_empty: Whether an empty page ends the list, although it has a next URL.
    """

    keep_params: bool = False
    more: str | None = None
    last: str | None = None
    until_empty: bool = False

    def __post_init__(self) -> None:
        check_paths(self, "more", "last")

    @property
    def own(self) -> tuple[str, ...]:
        """None: the server's URL has everything."""
        return ()

    def begin(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return none."""
        return given

    def following(self, page: PageContext) -> str | PageLink | None:
        """Return the URL of the next page.

        Raises:
            PaginationError: There are more pages, it says, and no URL; or what is there is
                not a URL.
        """
        has_more = page.has_more(self.more, self.last)
        if has_more is False:
            return None
        link = self._link(page)
        if link is None and has_more:
            raise PaginationError(
                f"it has more at {self.more or self.last!r} but no link to the next page",
                response=page.response,
            )
        return link

    def _link(self, page: PageContext) -> str | PageLink | None:
        raise NotImplementedError


@public
@dataclass(frozen=True, slots=True)
class LinkPages(_LinkedPages):
    """The next page is in the Link header field (RFC 8288): GitHub, GitLab, Sentry, json-server.

    Args:
        rel: The relation of the link to the next page.
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
        until_empty: Whether an empty page ends the list, although it has a next URL.
    """

    rel: str = "next"

    def _link(self, page: PageContext) -> str | None:
        here = page.response.url
        field = header_fields.as_utf8(page.response.headers.get("link", ""))
        links = link_fields.links(field)
        if not links and self.rel.lower() in field.lower():
            start = redaction.redact_start(field, _LONGEST_FIELD)
            raise PaginationError(
                f"its Link field has no link in angle brackets: {start}", response=page.response
            )
        for target, parameters in links:
            # Section 3.2: a link with another anchor is not about this page.
            is_ours = "anchor" not in parameters or _is_same(here, parameters["anchor"])
            relations = parameters.get("rel", "").lower().split()
            if is_ours and self.rel.lower() in relations:
                # Sentry links to a next page that is empty, and says so.
                return None if parameters.get("results", "").lower() == "false" else target
        return None


_LONGEST_FIELD = 80  # characters of it in a message


def _is_same(here: str, anchor: str) -> bool:
    try:
        return urls.resolve(here, anchor) == here
    except requests.exceptions.InvalidURL:
        return False


# A URI template's expression (RFC 6570): with no values it expands to nothing.
_EXPRESSION = re.compile(r"\{[^{}]*\}")


@public
@dataclass(frozen=True, slots=True)
class NextURLPages(_LinkedPages):
    """The next page's URL is in the body: Django REST framework, JSON:API, HAL, OData, FHIR.

    Args:
        next: The path of the URL, or of an object with "href" or "url". Nothing, null, false
            or "" there ends the list; anything else is an error. With `rel`, the path of an
            array of links.
        rel: The relation of the link in an array of `{"rel": ..., "href": ...}`; "relation" and
            "url" are known as well, and case does not matter. None: the path names the URL.
        base: The path of the URL that a relative next URL is appended to (Confluence has
            "_links.base"). None: it is resolved against the page's own URL.
        keep_params: Whether the parameters of the first request are added to a next URL that
            does not name them.
        more: The path of a flag that is true before the last page.
        last: The path of a flag that is true on the last page.
        until_empty: Whether an empty page ends the list, although it has a next URL, and a next
            link may be the same as the one before.

    Raises:
        ConfigurationError: A path is empty.
    """

    next: str = "next"
    rel: str | None = None
    base: str | None = None

    def __post_init__(self) -> None:
        check_path("next", self.next, is_optional=False)
        check_paths(self, "rel", "base", "more", "last")

    def _link(self, page: PageContext) -> str | PageLink | None:
        if self.next.startswith(HEADER):
            return page.text(self.next) or None
        found = page.value(self.next)
        if self.rel is not None:
            found = self._related(page, found)
        link = self._target(page, found)
        if link and "{" in link and self._is_templated(page):
            link = _EXPRESSION.sub("", link)
        if not link:
            return None
        url = self._based(page, link)
        return self._with_document(page, url, found) if is_mapping(found) else url

    def _with_document(self, page: PageContext, url: str, link: Mapping[str, Any]) -> PageLink:
        """Return a link with its method and its document (STAC API, Paging)."""
        method, document = str(link.get("method") or "").upper() or None, link.get("body")
        fields: Any = link.get("headers") or {}
        if not is_mapping(fields) or {str(name).lower() for name in fields} - _USUAL_FIELDS:
            why = "needs header fields, which are not sent"
        elif method not in (None, "GET", "POST"):
            why = f"has the method {method!r}, not GET or POST"
        elif document is not None and not is_mapping(document):
            why = "has a body that is not an object"
        else:
            merges = link.get("merge") is True
            return PageLink(url, method, None if document is None else dict(document), merges)
        raise PaginationError(f"its next link {why}", response=page.response)

    def _target(self, page: PageContext, found: Any) -> str | None:
        """Return the URL of a link; None at the end of the list."""
        if found is None or found is False:
            return None
        if isinstance(found, str):
            return found or None
        if is_mapping(found) and not _HREFS.isdisjoint(found):
            target = next(found[name] for name in ("href", "url") if name in found)
            if isinstance(target, str) and found.get("templated") is True:
                return _EXPRESSION.sub("", target)
            return self._target(page, target)
        raise PaginationError(
            f"at {self.next!r} there is {_describe(found)}, not the URL of the next page",
            response=page.response,
        )

    def _related(self, page: PageContext, links: Any) -> Any:
        """Return the link with the relation in an array of links; None without one."""
        if links is None:
            return None
        if not is_list(links) or not all(map(is_mapping, links)):
            found = "an array of something else" if is_list(links) else _describe(links)
            raise PaginationError(
                f"at {self.next!r} there is {found}, not an array of links",
                response=page.response,
            )
        for link in links:
            relations = link.get("rel", link.get("relation"))
            names = relations if is_list(relations) else str(relations).split()
            if str(self.rel).lower() in {str(name).lower() for name in names}:
                return link
        return None

    def _is_templated(self, page: PageContext) -> bool:
        """Say whether the URL is a member of a templated link (HAL)."""
        parent = self.next.rpartition(".")[0]
        link = page.value(parent) if parent and self.rel is None else None
        return is_mapping(link) and link.get("templated") is True

    def _based(self, page: PageContext, link: str) -> str:
        if self.base is None or urls.is_absolute(link) or link.startswith("//"):
            return link
        base = page.text(self.base)
        if not base:
            raise PaginationError(
                f"its next URL is relative, and there is no base at {self.base!r}",
                response=page.response,
            )
        return base + link if link[0] in "?#" else f"{base.rstrip('/')}/{link.lstrip('/')}"


_HREFS = frozenset({"href", "url"})
_USUAL_FIELDS = frozenset({"accept", "content-type"})  # of JSON, as they are sent anyway


def _describe(found: Any) -> str:
    if is_mapping(found):
        return "an object without href"
    if is_list(found):
        return "an array (rel= finds a link in one)"
    if isinstance(found, bool):
        return "true" if found else "false"
    return "text" if isinstance(found, str) else "a number (CursorPages sends it)"
