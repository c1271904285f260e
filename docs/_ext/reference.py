"""What the reference adds to docstrings: the types and the defaults, as the source spells them.

autodoc shows types as they are at run time, where an alias such as `Timeout` is a line of
unions, and `NOT_GIVEN` where a class attribute is the default. A reader wants neither.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.util.docutils import SphinxDirective

# A line "    name: words" of a section of a Google docstring.
_ENTRY = re.compile(r"^( {4})(\w+): (.*)$")
_TYPED_SECTIONS = {"Args:", "Attributes:"}
_NOT_GIVEN = re.compile(r"( \| NotGiven\b|\bNotGiven \| )")
# The module before a type, which a reader does not need; not of requests, which has namesakes.
_QUALIFIER = re.compile(r"\b(?!requests\b)[a-z_]+\.(?=[A-Za-z])(?!\w+\()")
# Between the parts of a union, but not of one within brackets.
_BAR = re.compile(r" \| (?![^\[]*\])")
# A frozenset as Python shows it: in another order each time.
_SET = re.compile(r"frozenset\(\{(.*?)\}\)")
_ROW = re.compile(r"^\|(.*)\|$")


@cache
def _module(module: str) -> ast.Module:
    return ast.parse(Path(import_module(module).__file__ or "").read_text("utf-8"))


def _is_module(name: str) -> bool:
    with suppress(ModuleNotFoundError):  # its parent is a module, not a package
        return find_spec(name) is not None
    return False


@cache
def _aliases(module: str) -> dict[str, str]:
    """Return the type aliases that a module defines or imports from another of ours."""
    found: dict[str, str] = {}
    body = _module(module).body
    for_types = [inner for branch in body if isinstance(branch, ast.If) for inner in branch.body]
    for node in [*body, *for_types]:  # if TYPE_CHECKING: imports, too
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("httpkit."):
            for imported in node.names:
                local = imported.asname or imported.name
                if _is_module(f"{node.module}.{imported.name}"):
                    theirs = _aliases(f"{node.module}.{imported.name}")
                    found |= {f"{local}.{name}": theirs[name] for name in theirs}
                elif imported.name in (theirs := _aliases(node.module or "")):
                    found[local] = theirs[imported.name]
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            found[ast.unparse(node.target)] = _unquoted(node.value)
    return found


def _unquoted(node: ast.expr | None) -> str:
    """Return the source of a type, which may stand in quotes to refer to what comes later."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "" if node is None else ast.unparse(node)


@cache
def _definitions(module: str) -> dict[str, list[ast.AST]]:
    """Return what a module defines, by qualified name; overloads come before their function."""
    found: dict[str, list[ast.AST]] = {}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.setdefault(prefix + node.name, []).append(node)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")

    collect(_module(module).body, "")
    return found


def _nodes(obj: Any) -> tuple[str, list[ast.AST]]:
    """Return the module of a class or a function of ours, and its definitions there."""
    obj = inspect.unwrap(getattr(obj, "fget", obj))
    obj = getattr(obj, "__func__", obj)
    module = getattr(obj, "__module__", None) or ""
    if not module.startswith("httpkit"):
        return "", []
    return module, _definitions(module).get(getattr(obj, "__qualname__", ""), [])


def _spelled(annotation: ast.expr | None, module: str) -> str:
    """Return a type as the source spells it; a choice of words is spelled out."""
    text = _unquoted(annotation)
    choices = {name: value for name, value in _aliases(module).items() if "Literal[" in value}
    text = re.sub(r"[\w.]+", lambda found: choices.get(found[0], found[0]), text)
    return _QUALIFIER.sub("", _NOT_GIVEN.sub("", text))


def _arguments(obj: Any) -> dict[str, str]:
    """Return the types of arguments; where the function itself says Any, an overload knows."""
    typed: dict[str, str] = {}
    module, functions = _nodes(obj)
    for function in functions:
        arguments = function.args if isinstance(function, ast.FunctionDef) else ast.arguments()
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            text = _spelled(argument.annotation, module)
            if text != "Any" or argument.arg not in typed:
                typed[argument.arg] = text
    return typed


def _fields(kind: type) -> dict[str, str]:
    """Return the types of a class's annotated attributes, those of its bases too."""
    typed: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        module, definitions = _nodes(base)
        for item in (item for node in definitions for item in getattr(node, "body", [])):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                typed[item.target.id] = _spelled(item.annotation, module)
    return typed


def _types(obj: Any) -> dict[str, str]:
    """Return the written type of each argument or attribute."""
    return _fields(obj) | _arguments(obj.__init__) if inspect.isclass(obj) else _arguments(obj)


def _add_types(_app: Sphinx, _what: str, _name: str, obj: Any, _o: Any, lines: list[str]) -> None:
    """Write "name (type): words" where a docstring says "name: words"."""
    types = _types(obj)
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
            lambda found: f"{found[1]}={_class_default(obj, found[1])}",
            signature,
        )
    else:
        signature = signature.replace("NOT_GIVEN", "...")
        returned = _returned(obj) or returned
    return signature, returned


def _class_default(kind: type, name: str) -> str:
    for node in _nodes(kind)[1]:
        for item in getattr(node, "body", []):
            if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == name and item.value:
                return ast.unparse(item.value)
    return "..."


def _returned(obj: Any) -> str:
    """Return the types of all overloads, each part once; without them, the function's own."""
    module, definitions = _nodes(obj)
    found = [_spelled(node.returns, module) for node in definitions if hasattr(node, "returns")]
    parts = (part for text in found[:-1] or found for part in _BAR.split(text) if part)
    return " | ".join(dict.fromkeys(parts))


class WrittenType(SphinxDirective):
    """`.. written-type:: httpkit._core.types.Timeout`: an alias with what it stands for."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Read the alias from its module, so that the page cannot say anything else."""
        module, _, name = self.arguments[0].rpartition(".")
        value = " ".join(_aliases(module)[name].split())
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
