"""Draw the layers of the package from its real imports.

    python docs/_ext/layers.py          write docs/_static/layers.svg and the table of the page
    python docs/_ext/layers.py --check  fail if one of them is out of date

Rule: the standard library only, and httpkit is read, not imported.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

DOCS = Path(__file__).parents[1]
PACKAGE = DOCS.parent / "httpkit"
PICTURE = DOCS / "_static" / "layers.svg"
PAGE = DOCS / "background" / "architecture.md"
TABLE = re.compile(r"(<!-- layers: begin -->\n\n).*?(\n\n<!-- layers: end -->)", re.DOTALL)

ROW, LABEL, WIDTH = 34, 200, 34
COLORS = {"text": "#3b4252", "box": "#e5ecf6", "edge": "#5e81ac", "grid": "#c9d3e0"}


def main() -> int:
    """Write both, or compare them; return the exit status."""
    page = PAGE.read_text("utf-8")
    drawn, written = draw(), TABLE.sub(rf"\1{table()}\2", page)
    if "--check" in sys.argv:
        return 0 if (PICTURE.read_text("utf-8"), page) == (drawn, written) else 1
    PICTURE.write_text(drawn, "utf-8")
    PAGE.write_text(written, "utf-8")
    return 0


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """Return for each folder the other folders that it imports from, in functions too."""
    folders = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    found: dict[str, set[str]] = {folder: set() for folder in folders}
    for folder in folders:
        for path in (PACKAGE / folder).rglob("*.py"):
            found[folder] |= set(imported_folders(ast.parse(path.read_text("utf-8"))))
    return {name: frozenset(used - {name}) & {*folders} for name, used in found.items()}


def imported_folders(tree: ast.Module) -> Iterator[str]:
    """Return the folders of httpkit that a file imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("httpkit."))


@cache
def height(folder: str) -> int:
    """Return the length of the longest chain of imports below a folder."""
    return max((height(used) + 1 for used in imports()[folder]), default=0)


def order() -> list[str]:
    """Return the folders from high to low."""
    return sorted(imports(), key=lambda folder: (-height(folder), folder))


def charter(folder: str) -> str:
    """Return the first sentence of a folder's docstring."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text("utf-8"))
    text = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:;]) ", text)[0].rstrip(".:;")


def table() -> str:
    """Return the layers as a Markdown table, from high to low."""
    rows = ["| Layer | Purpose | Imports from |", "|---|---|---|"]
    for folder in order():
        used = ", ".join(f"`{name}`" for name in order() if name in imports()[folder])
        rows.append(f"| `{folder}` | {charter(folder)} | {used or 'none'} |")
    return "\n".join(rows)


def draw() -> str:
    """Return the picture: a row for each layer, a dot for each layer that it imports from."""
    folders = order()
    side = len(folders) * WIDTH
    width, tall = LABEL + side + 10, side + 100
    box = f'width="{width}" height="{tall}" viewBox="0 0 {width} {tall}"'
    font = 'font-size="14" font-family="ui-monospace, monospace"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font} role="img">',
        "<title>Layers of httpkit and their imports</title>",
        '<rect width="100%" height="100%" fill="#ffffff" rx="6"/>',
    ]
    for row, folder in enumerate(folders):
        top = 90 + row * ROW
        parts += row_of(folder, row, top, folders)
    return "\n".join([*parts, "</svg>"]) + "\n"


def row_of(folder: str, row: int, top: int, folders: list[str]) -> Iterator[str]:
    """Draw one layer: its name, its cells, and its name again as the head of a column."""
    middle, left = top + ROW // 2, LABEL + row * WIDTH + WIDTH // 2
    yield (
        f'<rect x="8" y="{top + 3}" width="{LABEL - 20}" height="{ROW - 6}" rx="5"'
        f' fill="{COLORS["box"]}"/>'
    )
    yield f'<text x="18" y="{middle + 5}" fill="{COLORS["text"]}">{escape(folder)}</text>'
    yield (
        f'<text transform="translate({left + 4} 82) rotate(-50)" font-size="11"'
        f' fill="{COLORS["text"]}">{escape(folder)}</text>'
    )
    for column, other in enumerate(folders):
        x = LABEL + column * WIDTH + WIDTH // 2
        if other in imports()[folder]:
            yield f'<circle cx="{x}" cy="{middle}" r="8" fill="{COLORS["edge"]}"/>'
        elif other == folder:
            yield (
                f'<rect x="{x - 8}" y="{middle - 8}" width="16" height="16" rx="3"'
                f' fill="{COLORS["box"]}"/>'
            )
        else:
            yield f'<circle cx="{x}" cy="{middle}" r="1.5" fill="{COLORS["grid"]}"/>'


if __name__ == "__main__":
    sys.exit(main())
