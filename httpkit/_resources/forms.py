"""A document as the fields of a form, for servers that take no JSON.

Rule: names and values only; requests encodes them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from httpkit._core import models
from httpkit._core.given import is_list, is_mapping, is_tuple
from httpkit._diagnostics.errors import ConfigurationError


def fields(document: object) -> list[tuple[str, str]]:
    """Return the fields of a form, with brackets for what is nested.

    The scalars of a list share one name ("expand[]"), as PHP, Rack and qs read them; objects
    in a list are counted ("items[0][price]"), because their members would be mixed up
    otherwise. None is an empty value, which is how such servers take one away.

    >>> fields({"amount": 5, "metadata": {"order": "7"}, "expand": ["customer"]})
    [('amount', '5'), ('metadata[order]', '7'), ('expand[]', 'customer')]

    Args:
        document: A mapping or a model object.

    Raises:
        ConfigurationError: It is neither, or holds what a form cannot say.
    """
    plain = models.encode(document)
    if not is_mapping(plain):
        raise ConfigurationError(
            f"{type(document).__name__} cannot be sent as a form: pass a dict or a model object"
        )
    try:
        return [pair for name, value in plain.items() for pair in _pairs(str(name), value)]
    except RecursionError as error:
        raise ConfigurationError("a form cannot be nested this deep") from error


def filters(params: Any) -> Any:
    """Return query parameters with brackets for those that are mappings ("created[gte]")."""
    if not is_mapping(params) or not any(map(is_mapping, params.values())):
        return params
    pairs: list[tuple[str, Any]] = []
    for name, value in params.items():
        pairs.extend(fields({name: value}) if is_mapping(value) else [(name, value)])
    return pairs


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    value = models.encode(value)
    if is_mapping(value):
        yield from _members(name, value)
    elif is_list(value) or is_tuple(value):
        for number, entry in enumerate(value):
            plain = models.encode(entry)
            is_nested = is_mapping(plain) or is_list(plain) or is_tuple(plain)
            yield from _pairs(f"{name}[{number if is_nested else ''}]", plain)
    else:
        yield name, _text(name, value)


def _members(name: str, members: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for key, value in members.items():
        yield from _pairs(f"{name}[{key}]", value)


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigurationError(f"{name}: {type(value).__name__} cannot be sent in a form")
