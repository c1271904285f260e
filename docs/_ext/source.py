"""Signatures and types as the source writes them, read from the syntax tree.

At run time an alias such as `Timeout` is a line of unions, and a default that a class attribute
gives is `NOT_GIVEN`. A reader wants neither.
"""

import ast
import inspect
import re
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_NOT_GIVEN = re.compile(r"( \| NotGiven\b|\bNotGiven \| )")
# The module before a type, which a reader does not need; not of requests, which has namesakes.
_QUALIFIER = re.compile(r"\b(?!requests\b)[a-z_]+\.(?=[A-Za-z])(?!\w+\()")
# Between the parts of a union, but not of one within brackets.
_BAR = re.compile(r" \| (?![^\[]*\])")


@cache
def module_of(module: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(Path(import_module(module).__file__ or "").read_text("utf-8"))


@cache
def is_module(name: str) -> bool:
    """Say whether a dotted name is a module."""
    with suppress(ModuleNotFoundError):  # its parent is a module, not a package
        return find_spec(name) is not None
    return False


@cache
def own_aliases(module: str) -> dict[str, str]:
    """Return the type aliases that a module defines."""
    return {
        ast.unparse(node.target): unquoted(node.value)
        for node in module_of(module).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias"
    }


@cache
def imported(module: str) -> dict[str, tuple[str, str]]:
    """Return the local names that a module imports from ours: each a module and a name there."""
    body = module_of(module).body
    for_types = [inner for branch in body if isinstance(branch, ast.If) for inner in branch.body]
    return {
        name.asname or name.name: (node.module or "", name.name)
        for node in [*body, *for_types]  # if TYPE_CHECKING: imports, too
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("httpkit.")
        for name in node.names
    }


def find_alias(module: str, name: str, depth: int = 5) -> str | None:
    """Return what a type alias stands for, which a module defines or imports; None without."""
    if name in own_aliases(module):
        return own_aliases(module)[name]
    if depth and name in imported(module):
        source, original = imported(module)[name]
        return (
            None if is_module(f"{source}.{original}") else find_alias(source, original, depth - 1)
        )
    return None


@cache
def aliases(module: str) -> dict[str, str]:
    """Return the type aliases that a module can name, as `Timeout` or `types.Timeout`."""
    found = dict(own_aliases(module))
    for local, (source, original) in imported(module).items():
        inner = f"{source}.{original}"
        if is_module(inner):
            names = [*own_aliases(inner), *imported(inner)]
            values = {f"{local}.{name}": find_alias(inner, name) for name in names}
        else:
            values = {local: find_alias(source, original)}
        found |= {name: value for name, value in values.items() if value is not None}
    return found


def unquoted(node: ast.expr | None) -> str:
    """Return the source of a type, which may stand in quotes to refer to what comes later."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "" if node is None else ast.unparse(node)


@cache
def definitions(module: str) -> dict[str, list[ast.AST]]:
    """Return what a module defines, by qualified name; overloads come before their function."""
    found: dict[str, list[ast.AST]] = {}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.setdefault(prefix + node.name, []).append(node)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")

    collect(module_of(module).body, "")
    return found


@cache
def exports(module: str) -> dict[str, str]:
    """Return the names that a public module imports from others of ours, and those modules."""
    return {
        imported.name: node.module or ""
        for node in ast.walk(module_of(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("httpkit.")
        for imported in node.names
    }


def find_nodes(obj: Any) -> tuple[str, list[ast.AST]]:
    """Return the module that defines a class or a function of ours, and its definitions there."""
    obj = inspect.unwrap(getattr(obj, "fget", obj))
    obj = getattr(obj, "__func__", obj)
    module = getattr(obj, "__module__", None) or ""
    if not module.startswith("httpkit"):
        return "", []
    name = getattr(obj, "__qualname__", "")
    # A public class may say that it is of `httpkit`, wherever it is defined.
    module = exports(module).get(name.partition(".")[0], module)
    return module, definitions(module).get(name, [])


def written_type(annotation: ast.expr | None, module: str) -> str:
    """Return a type as the source spells it; a choice of words is spelled out."""
    text = unquoted(annotation)
    choices = {name: value for name, value in aliases(module).items() if "Literal[" in value}
    text = re.sub(r"[\w.]+", lambda found: choices.get(found[0], found[0]), text)
    return _QUALIFIER.sub("", _NOT_GIVEN.sub("", text))


def argument_types(obj: Any) -> dict[str, str]:
    """Return the types of arguments; where the function itself says Any, an overload knows."""
    typed: dict[str, str] = {}
    module, functions = find_nodes(obj)
    for function in functions:
        arguments = function.args if isinstance(function, ast.FunctionDef) else ast.arguments()
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            text = written_type(argument.annotation, module)
            if text != "Any" or argument.arg not in typed:
                typed[argument.arg] = text
    return typed


def field_types(cls: type) -> dict[str, str]:
    """Return the types of a class's annotated attributes, those of its bases too."""
    typed: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        module, definitions = find_nodes(base)
        for item in (item for node in definitions for item in getattr(node, "body", [])):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                typed[item.target.id] = written_type(item.annotation, module)
    return typed


def types_of(obj: Any) -> dict[str, str]:
    """Return the written type of each argument or attribute."""
    return (
        field_types(obj) | argument_types(obj.__init__)
        if inspect.isclass(obj)
        else argument_types(obj)
    )


def _class_nodes(cls: type) -> list[ast.ClassDef]:
    return [node for node in find_nodes(cls)[1] if isinstance(node, ast.ClassDef)]


def class_default(cls: type, name: str) -> str:
    """Return the value that a class body gives an attribute; "..." without one."""
    bodies = (node.body for base in cls.__mro__ for node in _class_nodes(base))
    for item in (item for body in bodies for item in body):
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == name and item.value:
            return ast.unparse(item.value)
    return "..."


def returned_type(obj: Any) -> str:
    """Return the types of all overloads, each part once; without them, the function's own."""
    module, definitions = find_nodes(obj)
    found = [written_type(node.returns, module) for node in definitions if hasattr(node, "returns")]
    parts = (part for text in found[:-1] or found for part in _BAR.split(text) if part)
    return " | ".join(dict.fromkeys(parts))


def written_signature(obj: Any) -> list[str]:
    """Return the signatures of a function as the source writes them, one for each overload."""
    module, found = find_nodes(obj)
    functions = [node for node in found if isinstance(node, ast.FunctionDef)]
    return [_signature(node, module) for node in functions[:-1] or functions]


def _signature(function: ast.FunctionDef, module: str) -> str:
    given = function.args
    first = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(first) - len(given.defaults)) + [*given.defaults]
    parts = [_argument(a, d, module) for a, d in zip(first, defaults, strict=True)]
    if first and first[0].arg in {"self", "cls"}:
        parts = parts[1:]
    if given.vararg:
        parts.append("*" + _argument(given.vararg, None, module))
    elif given.kwonlyargs:
        parts.append("*")
    parts += [
        _argument(a, d, module) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    if given.kwarg:
        parts.append("**" + _argument(given.kwarg, None, module))
    returned = written_type(function.returns, module)
    return f"({', '.join(parts)})" + (f" -> {returned}" if returned else "")


def _argument(argument: ast.arg, default: ast.expr | None, module: str) -> str:
    written = written_type(argument.annotation, module)
    text = f"{argument.arg}: {written}" if written else argument.arg
    if default is None:
        return text
    value = ast.unparse(default)
    return f"{text} = {'...' if value == 'NOT_GIVEN' else value}"
