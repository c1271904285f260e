"""Write `docs/reference/api.md`: every public name, readable without building the site.

    python docs/_ext/api.py          write it
    python docs/_ext/api.py --check  fail if it is out of date

Rule: the standard library and httpkit only.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parents[1]
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

from source import class_default, returned_type, types_of, written_signature  # noqa: E402

import httpkit  # noqa: E402  # of this checkout
import httpkit.testing  # noqa: E402

PAGE = DOCS / "reference" / "api.md"
HEADER = """# API summary

<!-- Written by docs/_ext/api.py from the docstrings: do not edit. -->

Every public name with its signature and description, for reading in a checkout.
The [API reference](index.md) sorts them by topic.
"""
LONGEST_LINE = 90
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$")
_ENTRY = re.compile(r"^    (\*{0,2}[\w.]+): (.*)$")


def main() -> int:
    """Write the page, or compare it; return the exit status."""
    text = make_page()
    if "--check" in sys.argv:
        return 0 if PAGE.read_text("utf-8") == text else 1
    PAGE.write_text(text, "utf-8")
    return 0


def make_page() -> str:
    """Return the text of the page."""
    lines = [HEADER, *describe_module(httpkit), *describe_module(httpkit.testing)]
    return "\n".join(lines).rstrip() + "\n"


def describe_module(module: ModuleType) -> Iterator[str]:
    """Describe the public names of a module, exceptions last."""
    values = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    errors = {n: v for n, v in values.items() if inspect.isclass(v) and issubclass(v, Exception)}
    yield f"## {module.__name__}\n"
    for name, value in values.items():
        if name not in errors:
            yield from describe(name, f"{module.__name__}.{name}", value)
    if errors:
        yield f"## Exceptions of {module.__name__}\n"
    for name, value in errors.items():
        yield from describe(name, f"{module.__name__}.{name}", value)


def describe(name: str, qualified: str, value: Any) -> Iterator[str]:
    """Describe a class with its methods, a function or a constant."""
    yield f"### {qualified}\n"
    if inspect.isclass(value):
        yield from describe_class(name, value)
    elif inspect.isroutine(value):
        yield from signatures(name, value)
        yield from prose(value)
    else:
        yield f"A constant, an instance of `{type(value).__name__}`.\n"


def describe_class(name: str, cls: type) -> Iterator[str]:
    """Describe a class, what it defines, and what it inherits from classes that are private."""
    if issubclass(cls, Exception):
        bases = ", ".join(f"`{base.__name__}`" for base in cls.__bases__)
        yield f"Bases: {bases}.\n"
    elif "Args:" in (cls.__doc__ or ""):
        yield code(f"{name}({constructor(cls)})")
    yield from prose(cls)
    for member, value in members(cls):
        yield f"#### {name}.{member}\n"
        if isinstance(value, property):
            typed = returned_type(value)
            yield code(f"{member}: {typed}" if typed else member)
            yield from prose(value.fget)
        else:
            function = getattr(value, "__func__", value)
            yield from signatures(member, function)
            yield from prose(function)


def constructor(cls: type) -> str:
    """Return the arguments of a class, with the defaults that its body gives."""
    typed = types_of(cls)
    parts: list[str] = []
    for argument in inspect.signature(cls).parameters.values():
        if argument.kind is argument.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        known = typed.get(argument.name)
        text = f"{argument.name}: {known}" if known else argument.name
        parts.append(text + default_of(cls, argument))
    return ", ".join(parts)


def default_of(cls: type, argument: inspect.Parameter) -> str:
    """Return " = default", empty for an argument without one."""
    if argument.default is argument.empty:
        return ""
    default = repr(argument.default)
    if "NOT_GIVEN" in default:
        default = class_default(cls, argument.name)
    if "frozenset" in default:  # in another order each time
        default = "{" + ", ".join(sorted(re.findall(r"'\w+'|\d+", default))) + "}"
    if re.search(" at 0x|lambda|object>", default):
        default = "..."
    return f" = {default}"


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Return the documented methods and properties of a class of ours, in their order."""
    found = set()
    for base in cls.__mro__:
        is_ours = base.__module__.startswith("httpkit")
        if not is_ours or (base is not cls and is_public(base)):
            continue
        for name, value in vars(base).items():
            is_member = inspect.isroutine(value) or isinstance(value, property)
            if is_member and not name.startswith("_") and name not in found and is_explained(value):
                found.add(name)
                yield name, value


def is_public(cls: type) -> bool:
    """Say whether a class is described itself."""
    return cls.__name__ in {*httpkit.__all__, *httpkit.testing.__all__}


def is_explained(value: Any) -> bool:
    """Say whether a member has a docstring of its own."""
    return bool(getattr(getattr(value, "fget", value), "__doc__", None))


def signatures(name: str, function: Any) -> Iterator[str]:
    """Return the code block with a function's signatures."""
    found = written_signature(function)
    yield code("\n".join(name + signature for signature in found) or f"{name}(...)")


def code(text: str) -> str:
    """Return a code block; a long signature has one argument a line."""
    lines = [part for line in text.split("\n") for part in fold(line)]
    return "```py\n" + "\n".join(lines) + "\n```\n"


def fold(line: str) -> list[str]:
    """Break a signature between its arguments if it is long."""
    if len(line) <= LONGEST_LINE or "(" not in line:
        return [line]
    start = line.index("(")
    depth, part, parts = 0, "", []
    for end in range(start + 1, len(line)):
        character = line[end]
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    parts.append(part.strip())
    return [line[: start + 1], *(f"    {each}," for each in parts), line[end:]]


def prose(value: Any) -> Iterator[str]:
    """Return a docstring as Markdown: the sections of Google style become lists."""
    section = ""
    result = []
    for line in textwrap.dedent(inspect.getdoc(value) or "").split("\n"):
        entry = _ENTRY.match(line)
        if found := _SECTION.match(line):
            section = found[1]
            result.append(f"**{section}**\n")
        elif section and entry:
            result.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            result.append("  " + line.strip())
        else:
            section = section if not line else ""
            result.append(line)
    yield "\n".join(result).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
