"""What the reference adds to docstrings: the types and the defaults, as the source writes them.

autodoc shows types as they are at run time, where an alias such as `Timeout` is a line of
unions, and `NOT_GIVEN` where a class attribute is the default. A reader wants neither.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from source import aliases, class_default, returned_type, types_of
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.util.docutils import SphinxDirective

# A line "    name: words" of a section of a Google docstring.
_ENTRY = re.compile(r"^( {4})(\w+): (.*)$")
_TYPED_SECTIONS = {"Args:", "Attributes:"}
# A frozenset as Python shows it: in another order each time.
_SET = re.compile(r"frozenset\(\{(.*?)\}\)")
_ROW = re.compile(r"^\|(.*)\|$")


def _add_types(_app: Sphinx, _what: str, _name: str, obj: Any, _o: Any, lines: list[str]) -> None:
    """Write "name (type): words" where a docstring says "name: words"."""
    types = types_of(obj)
    section = ""
    for number, line in enumerate(lines):
        if line and not line.startswith(" "):
            section = line
        entry = _ENTRY.match(line)
        if section in _TYPED_SECTIONS and entry and types.get(entry[2]):
            lines[number] = f"{entry[1]}{entry[2]} ({types[entry[2]]}): {entry[3]}"


def _convert_tables(_a: Sphinx, _w: str, _n: str, _obj: Any, _o: Any, lines: list[str]) -> None:
    """Turn Markdown tables into what reStructuredText knows."""
    converted = list(_with_tables(lines))
    lines[:] = converted


def _with_tables(lines: list[str]) -> Iterator[str]:
    is_inside = False
    for line in lines:
        row = _ROW.match(line)
        if row is None:
            is_inside = False
            yield line
            continue
        cells = [cell.strip() for cell in row[1].split(" | ")]
        if set(row[1]) <= set("-| :"):
            continue
        if not is_inside:
            is_inside = True
            yield from (".. list-table::", "   :header-rows: 1", "   :class: routes", "")
        for number, cell in enumerate(cells):
            yield f"   {'* -' if number == 0 else '  -'} {cell}"


def _meant(
    _app: Sphinx, what: str, _name: str, obj: Any, _o: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Show defaults as they are meant, and what a function returns."""
    if signature is None:
        return None
    if what == "class" and "Args:" not in (obj.__doc__ or ""):
        return "", ""  # nobody is to make one
    if what == "class":
        signature = _SET.sub(
            lambda found: f"{{{', '.join(sorted(found[1].split(', ')))}}}", signature
        )
        signature = re.sub(
            r"(\w+)=NOT_GIVEN",
            lambda found: f"{found[1]}={class_default(obj, found[1])}",
            signature,
        )
    else:
        signature = signature.replace("NOT_GIVEN", "...")
        returned = returned_type(obj) or returned
    return signature, returned


# `_core.upstream` names the classes of requests so, to keep them from patches.
_NAMES_OF_REQUESTS = {
    "RequestsRequest": "requests.PreparedRequest",
    "RequestsResponse": "requests.Response",
    "http.cookiejar.CookieJar": "CookieJar",
}


class WrittenType(SphinxDirective):
    """`.. written-type:: httpkit._core.types.Timeout`: an alias with what it stands for."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Read the alias from its module, so that the page cannot say anything else."""
        module, _, name = self.arguments[0].rpartition(".")
        value = " ".join(aliases(module)[name].split())
        for ours, theirs in _NAMES_OF_REQUESTS.items():
            value = value.replace(ours, theirs)
        lines = [f".. py:type:: {name}", f"   :canonical: {value}", ""]
        lines += [f"   {line}" for line in self.content]
        return self.parse_text_to_nodes(StringList(lines, self.get_source_info()[0]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add all of it to a build."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":  # Sphinx says "Variables"
            field.label = "Attributes"
    app.connect("autodoc-process-docstring", _convert_tables, priority=300)
    app.connect("autodoc-process-docstring", _add_types, priority=400)  # napoleon is at 500
    app.connect("autodoc-process-signature", _meant)
    app.add_directive("written-type", WrittenType)
    return {"parallel_read_safe": True}
