"""Query parameters of lists: by name, as pairs, without those of a pager, the secret ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from httpkit._core import disclosure, urls, values
from httpkit._core.given import is_list, is_mapping
from httpkit._diagnostics.errors import ConfigurationError


def pairs(params: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return parameters as the pairs that a query has of them."""
    given = {name: value for name, value in params.items() if value is not None}
    return urls.query_of(urls.with_query("", given))


def without(url: str, names: Sequence[str]) -> str:
    """Return a URL without the parameters of these names."""
    return urls.without_pairs(url, lambda name, _: name in names)


def by_name(params: Any) -> dict[str, Any]:
    """Return parameters by name, with their values as a list where there may be several.

    Raises:
        ConfigurationError: They are neither pairs nor a mapping, or a value cannot be in a query.
    """
    found: dict[str, Any] = {}
    try:
        for name, value in params.items() if hasattr(params, "items") else params or ():
            key = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            formatted = _formatted(key, value)
            if key in found:
                formatted = [*as_list(found[key]), *as_list(formatted)]
            found[key] = formatted
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"params={type(params).__name__} must be pairs") from error
    return found


def _formatted(name: str, value: Any) -> Any:
    is_iterable = hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
    try:
        return values.format_values([*value] if is_iterable and not is_mapping(value) else value)
    except TypeError as error:
        raise ConfigurationError(f"params: {name!r} {error}") from error


def as_list(value: Any) -> list[Any]:
    """Return a value, or several, as a list."""
    return value if is_list(value) else [value]


def secret_pairs(url: str) -> frozenset[tuple[str, str]]:
    """Return the parameters of a URL that have secret names."""
    return frozenset(pair for pair in urls.query_of(url) if disclosure.is_secret_parameter(pair[0]))


def as_text(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters with their values as text."""
    return {name: str(value) for name, value in params.items()}
