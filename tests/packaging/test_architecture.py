"""The architecture: folders are layers, imports point down, and two modules are public."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import httpkit
import httpkit.testing
from httpkit._diagnostics import errors
from httpkit._transport import _upstream

ROOT = Path(httpkit.__file__).parent
# Low to high: a folder imports from itself and from the folders before it.
LAYERS = (
    "_core", "_display", "_diagnostics", "_messages", "_policy", "_transport", "_transfers",
    "_resources", "_client", "_oauth", "testing",
)  # fmt: skip
TREES = {path.relative_to(ROOT): ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
FOLDERS = sorted({str(path.parent) for path in TREES} - {"."})
# Dependencies that cost time to import, and their importers; the first of tenacity only names it.
IMPORTERS = {
    "tenacity": ("_policy/retry.py", "_policy/retry_loop.py"),
    "msgspec": ("_core/models.py",),
    "tqdm": ("_diagnostics/progress.py",),
    "requests_toolbelt": ("_messages/multipart.py",),
    "pyrate_limiter": ("_policy/rate_limits.py",),
    "responses": ("testing/script.py",),
}


def imported(tree):
    """Return the dotted names that a file imports, in functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{a.name}" for a in node.names)


@pytest.mark.parametrize("path", sorted(TREES), ids=str)
def test_imports_point_down(path):
    if path.parent == Path():
        return  # httpkit/__init__.py lists what users import, from every layer
    layer = LAYERS.index(path.parts[0])
    folders = {name.split(".")[1] for name in imported(TREES[path]) if name.startswith("httpkit.")}

    above = {folder for folder in folders & {*LAYERS} if LAYERS.index(folder) > layer}

    assert not above
    assert not any(name.startswith(".") for name in imported(TREES[path])), "imports are absolute"


def test_every_folder_is_a_layer_and_says_what_it_is_for():
    assert {folder.split("/")[0] for folder in FOLDERS} == {*LAYERS}
    for folder in FOLDERS:
        charter = ast.get_docstring(TREES[Path(folder, "__init__.py")])
        assert charter, folder


def test_two_modules_are_public():
    public = {p for p in TREES if not any(x.startswith("_") for x in p.with_suffix("").parts[:1])}

    assert {path.parts[0] for path in public} <= {"__init__.py", "testing"}


def test_the_sandbox_imports_nothing_of_the_package_it_judges():
    own = {path for path in TREES if path.is_relative_to("testing/sandbox")}

    names = {name for path in own for name in imported(TREES[path]) if "httpkit" in name}

    assert own
    assert all(name.startswith("httpkit.testing.sandbox.") for name in names)


def names_in(node):
    """Return the last part of every name in a piece of code."""
    found = (getattr(part, "attr", getattr(part, "id", "")) for part in ast.walk(node))
    return {name for name in found if name}


def test_one_module_decides_what_other_origins_may_see():
    deciding = {
        path.as_posix()
        for path, tree in TREES.items()
        if path.parts[0] != "testing"
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and ("FORWARDABLE" in names_in(node) or any("allowed" in name for name in names_in(node)))
        and not any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)
    }

    assert deciding == {"_policy/forwarding.py"}


def private_names(tree):
    """Return the private names that a file uses of others, in code or as strings."""
    own, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Attribute):
            (used if isinstance(node.ctx, ast.Load) else own).add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used.add(node.value)
        elif isinstance(node, ast.keyword):
            used.add(node.arg)
    return {name for name in used - own if name and name.startswith("_")}


def test_private_names_of_requests_and_urllib3_are_used_by_the_transport_and_one_module():
    private = {name for row in _upstream.TABLE for name in row.names if name.startswith("_")}
    trees = {
        path.as_posix(): tree
        for path, tree in TREES.items()
        if path.parts[0] not in {"_transport", "testing"} and path != Path("_core/upstream.py")
    }
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    methods = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}

    found = {path: private_names(tree) & private - methods for path, tree in trees.items()}
    users = {path: names for path, names in found.items() if names}

    assert users == {}


@pytest.mark.parametrize("dependency", IMPORTERS)
def test_a_costly_dependency_has_few_importers(dependency):
    importers = {
        path.as_posix()
        for path, tree in TREES.items()
        if any(name.strip(".").partition(".")[0] == dependency for name in imported(tree))
    }

    assert importers == {*IMPORTERS[dependency]}


PROGRAM = """
import sys
import httpkit
costly = ("tenacity", "msgspec", "httpkit.testing.sandbox")
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


PUBLIC_MODULES = pytest.mark.parametrize(
    "module", [httpkit, httpkit.testing], ids=lambda m: m.__name__
)


def as_ruff_sorts(name):
    """Order constants before classes before functions, as ruff does in `__all__`."""
    return (not name.isupper(), not name[0].isupper(), name)


@PUBLIC_MODULES
def test_all_is_sorted(module):
    assert module.__all__ == sorted(module.__all__, key=as_ruff_sorts)
    assert len(module.__all__) == len(set(module.__all__))


def test_every_public_name_is_found_where_a_checker_finds_it():
    sources = {
        name.rpartition(".")[2]: name.rpartition(".")[0]
        for name in imported(TREES[Path("__init__.py")])
        if name.startswith("httpkit.")
    }

    # The version is written where users ask for it.
    assert {*sources, "__version__"} == set(httpkit.__all__) == set(dir(httpkit))
    for name, module in sources.items():
        assert getattr(httpkit, name) is getattr(import_module(module), name)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'httpkit' has no attribute 'Sesion'"):
        _ = httpkit.Sesion


def test_every_error_can_be_imported_from_the_package():
    types = {
        name
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, errors.HTTPKitError)
    }

    assert types <= set(httpkit.__all__)


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
    text = vars(held).get("__doc__") if inspect.isclass(held) else held.__doc__
    # A dataclass without a docstring gets its signature as one.
    return bool(text) and not text.startswith(f"{part}(")


@PUBLIC_MODULES
def test_every_public_name_is_documented(module):
    constants = {name for tree in TREES.values() for name in explained_constants(tree)}

    unexplained = [
        part
        for name in set(module.__all__) - constants - {"__version__"}
        for part, held in parts(name, getattr(module, name))
        if not is_explained(part, held)
    ]

    assert unexplained == []
