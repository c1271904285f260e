"""Tokens of pages that no URL names: what `Page.next_token` is, and `Pages.resume` takes."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from httpkit._diagnostics.errors import ConfigurationError
from httpkit._resources.list_query import ListQuery, list_url, with_value
from httpkit._resources.page_context import PageLink

_NOT_OF_THIS_LIST = "not a page.next_token of this list"


def token(query: ListQuery[Any], following: Mapping[str, Any] | PageLink) -> str:
    """Return what names a page that no URL names: text to keep, with the list that it is of."""
    if isinstance(following, PageLink):
        link = [following.url, following.method, following.json]
        return dumped({"list": _fingerprint(query), "link": link})
    return dumped({"list": _fingerprint(query), "next": following})


def read_token(query: ListQuery[Any], at: str) -> dict[str, Any] | PageLink | None:
    """Return the parameters or the link of the page that a token names; None for a URL.

    Raises:
        ConfigurationError: It is a token of another list, or this list needs one.
    """
    if not at.startswith("{"):
        if query.into != "query" and query.pager.own:
            raise ConfigurationError(
                "the pages of this list have one URL: resume it with page.next_token"
            )
        return None
    try:
        read = json.loads(at)
        fingerprint = read["list"]
        following = PageLink(*read["link"]) if "link" in read else dict(read["next"])
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(_NOT_OF_THIS_LIST) from error
    if fingerprint != _fingerprint(query):
        raise ConfigurationError(_NOT_OF_THIS_LIST)
    return following


def _fingerprint(query: ListQuery[Any]) -> str:
    """Return what identifies a list among those with its URL: a hash of its document."""
    document = query.document
    for path in query.pager.own if query.into == "json" else ():
        with suppress(ConfigurationError):
            document = with_value({} if document is None else document, path.split("."), None)
    text = f"{query.method} {list_url(query)} {query.into} {dumped({'json': document})}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dumped(params: Mapping[str, Any]) -> str:
    """Return parameters as JSON text that their order does not change."""
    return json.dumps(params, sort_keys=True, default=str)
