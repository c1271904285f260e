"""Link fields (RFC 8288): targets with their parameters."""

from httpkit._core.lazy import pattern

# Each begins where the one before ended, so that a comma in a URL or a quoted text splits nothing.
_LINK_TARGET = pattern(r"<([^<>]*)>")
_LINK_PARAMETER = pattern(r"\s*;\s*([^\s=;,<]*)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^\s;,]*)))?")
_ESCAPED = pattern(r"\\(.)")


def links(field: str) -> list[tuple[str, dict[str, str]]]:
    r"""Return the targets and parameters of a Link field (RFC 8288 section 3 and appendix B).

    Names are in lower case; of a repeated parameter the first counts (section 3.3). What is
    no link is passed over.

    >>> links('<a?x=1,2>; rel="next last"; title="a, \\"b\\"", <b>; rel=prev')
    [('a?x=1,2', {'rel': 'next last', 'title': 'a, "b"'}), ('b', {'rel': 'prev'})]
    """
    found: list[tuple[str, dict[str, str]]] = []
    offset = 0
    while (target := _LINK_TARGET.search(field, offset)) is not None:
        offset = target.end()
        parameters: dict[str, str] = {}
        while (parameter := _LINK_PARAMETER.match(field, offset)) is not None:
            offset = parameter.end()
            name, quoted, plain = parameter.groups()
            value = plain or "" if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        found.append((target[1].strip(), parameters))
    return found
