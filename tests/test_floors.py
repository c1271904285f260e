"""The house: which module may import which, and what is on its door."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import httpkit
import httpkit.testing
from httpkit import errors

# From the ground up. A module imports from floors below its own, and from no other.
FLOORS = (
    ("_causes", "_filenames", "_patterns", "_typing", "_values", "_version", "forks", "pickler"),
    ("_annotations", "_models", "_secrets", "clock", "interrupts"),
    ("_headers", "_urls", "advice", "curl", "environment", "events", "identity", "markup"),
    ("cards",),
    ("errors",),
    (
        "blocks",
        "bounds",
        "checksums",
        "destination",
        "forms",
        "logs",
        "response",
        "script",
        "travel",
        "wire",
    ),
    ("incoming", "part", "sandbox_answers", "sources"),
    ("bodies", "connections", "sandbox_store"),
    ("multipart", "sandbox_calls"),
    ("request", "sandbox_files", "sandbox_guards"),
    (
        "auth",
        "dispatch",
        "limits",
        "pagination",
        "progress",
        "redirects",
        "retry",
        "sandbox_routes",
        "tokens",
        "transport",
    ),
    ("download", "express", "graphql", "parallel", "sandbox", "settings", "upload", "walk"),
    ("delivery", "fetching", "pages", "preparation", "upload_protocols", "verbs"),
    ("resource", "resumable"),
    ("operations", "transfers"),
    ("lists",),
    ("session", "testing"),
    ("oauth",),
    ("__init__",),
)
# Their annotations name what is imported later, through the package.
ANNOTATED_THROUGH_THE_PACKAGE = {"lists", "operations", "transfers"}
# Dependencies that cost time to import, and their only importer.
IMPORTERS = {
    "tenacity": "retry",
    "msgspec": "_models",
    "tqdm": "progress",
    "requests_toolbelt": "multipart",
    "pyrate_limiter": "limits",
    "responses": "script",
}

HOUSE = Path(httpkit.__file__).parent
MODULES = {path.stem: ast.parse(path.read_text("utf-8")) for path in HOUSE.glob("*.py")}
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}


def imported(tree):
    """Return the dotted names that a module imports, in functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names)


def rooms(tree):
    """Return the modules of ours that a module imports; a name of the package is its `__init__`."""
    for package, _, rest in (name.partition(".") for name in imported(tree)):
        if package in {"httpkit", ""}:  # "" is a relative import, which no table can place
            room = rest.partition(".")[0]
            yield room if room in MODULES else "__init__"


def test_every_module_has_a_floor():
    assert sorted(FLOOR_OF) == sorted(MODULES)
    assert sum(map(len, FLOORS)) == len(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_lower_floors_only(module):
    floor = FLOOR_OF[module]

    not_below = {room for room in rooms(MODULES[module]) if FLOOR_OF[room] >= floor}
    if module in ANNOTATED_THROUGH_THE_PACKAGE:
        not_below -= {"__init__"}

    assert not not_below, f"{module} is on floor {floor}"


def test_the_page_of_the_house_shows_every_floor():
    page = (Path(__file__).parents[1] / "docs/explanation/house.md").read_text("utf-8")

    rooms_shown = re.findall(r"^\| ([0-9 ]+) \| `(\w+)` \|", page, re.MULTILINE)

    expected = [
        (str(number) if place == 0 else " ", name)
        for number, names in reversed([*enumerate(FLOORS)])
        for place, name in enumerate(names)
    ]
    assert rooms_shown == expected


def test_the_sandbox_imports_nothing_of_the_house_it_judges():
    own = {name for name in MODULES if name.startswith("sandbox")}

    assert {room for name in own for room in rooms(MODULES[name])} < own


@pytest.mark.parametrize("dependency", IMPORTERS)
def test_a_costly_dependency_has_one_importer(dependency):
    importers = {
        module
        for module, tree in MODULES.items()
        if any(name.strip(".").partition(".")[0] == dependency for name in imported(tree))
    }

    assert importers == {IMPORTERS[dependency]}


PROGRAM = """
import sys
import httpkit
costly = ("tenacity", "msgspec", "httpkit.sandbox")
print([name for name in sys.modules if name.startswith(costly)])
from httpkit.testing import Sandbox
with Sandbox() as sandbox, httpkit.Session(sandbox.url) as api:
    api.post("posts", json={"title": "Hello"}).json()
print(sorted({"tenacity", "msgspec"} & set(sys.modules)))
"""


def test_costly_dependencies_are_imported_neither_at_import_nor_for_a_plain_success():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert (ran.stdout.splitlines(), ran.stderr) == (["[]", "[]"], "")


# ---- what is on the door

DOORS = pytest.mark.parametrize("module", [httpkit, httpkit.testing], ids=lambda m: m.__name__)


def as_ruff_sorts(name):
    """Order constants before classes before functions, as ruff does in `__all__`."""
    return (not name.isupper(), not name[0].isupper(), name)


@DOORS
def test_all_is_sorted(module):
    assert module.__all__ == sorted(module.__all__, key=as_ruff_sorts)
    assert len(module.__all__) == len(set(module.__all__))


def test_every_public_name_is_found_where_a_checker_is_told():
    told = {
        name.rpartition(".")[2]: name.split(".")[1]
        for name in imported(MODULES["__init__"])
        if name.startswith("httpkit.")
    }

    told.pop("_annotations")  # it has no public name
    assert set(told) == set(httpkit.__all__) == set(dir(httpkit))
    for name, room in told.items():
        assert getattr(httpkit, name) is getattr(import_module(f"httpkit.{room}"), name)


def test_a_room_is_an_attribute_of_the_package_and_a_typo_is_none():
    assert httpkit.errors is errors
    with pytest.raises(AttributeError, match="module 'httpkit' has no attribute 'Sesion'"):
        _ = httpkit.Sesion


def test_every_error_can_be_imported_from_the_package():
    kinds = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.HTTPKitError)
    }

    assert kinds <= set(httpkit.__all__)


def parts(name, value):
    """Return a public name with, for a class, the public names that its own body defines."""
    yield name, value
    if inspect.isclass(value):
        for part, held in vars(value).items():
            held = getattr(held, "__func__", held)  # noqa: PLW2901  # a classmethod's function
            if not part.startswith("_") and (callable(held) or isinstance(held, property)):
                yield f"{name}.{part}", held


def explained_constants(tree):
    """Return the names of a module that are assigned and explained right below."""
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr):
            yield statement.target.id


def is_explained(part, held):
    if not (callable(held) or isinstance(held, property)) or isinstance(held, httpkit.Strategy):
        return False  # a constant; its class would answer in its place
    words = vars(held).get("__doc__") if inspect.isclass(held) else held.__doc__
    # A dataclass without a docstring gets its signature as one.
    return bool(words) and not words.startswith(f"{part}(")


@DOORS
def test_every_public_name_is_documented(module):
    constants = {name for tree in MODULES.values() for name in explained_constants(tree)}

    unexplained = [
        part
        for name in set(module.__all__) - constants - {"__version__"}
        for part, held in parts(name, getattr(module, name))
        if not is_explained(part, held)
    ]

    assert unexplained == []
