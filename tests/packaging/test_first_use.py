"""Nothing of the moment is captured: a patch that is open at the first use leaves nothing."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from httpkit.testing import Sandbox

PROGRAM = Path(__file__).parents[1] / "support/first_uses.py"
pytestmark = pytest.mark.timeout(240)  # the first test waits for a process for each patch


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What came of a first use in each patch, and of a use after it."""
    with Sandbox() as sandbox:
        ran = subprocess.run(
            [sys.executable, PROGRAM, sandbox.url, tmp_path_factory.mktemp("uses")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_patch_open_at_the_first_use_changes_nothing_afterwards(found):
    usual = found["nothing"]["after"]
    changed = {
        patch: {use: came for use, came in each["after"].items() if came != usual[use]}
        if each
        else "no end came"
        for patch, each in found.items()
    }

    assert {patch: uses for patch, uses in changed.items() if uses} == {}
    assert [use for use, came in usual.items() if "Error" in came] == []


# What requests does not look up when it is used makes no difference to it either.
WITHOUT_EFFECT = (
    "requests.Session", "requests.sessions.Session", "requests.Response", "requests.Request",
    "requests.models.Response", "requests.models.PreparedRequest", "requests.ConnectionError",
    "requests.adapters.HTTPAdapter", "requests.auth.AuthBase", "urllib3.PoolManager",
    "http.client.HTTPConnection", "http.client.HTTPResponse", "urllib3.response.HTTPResponse",
    "a VCR cassette", "frozen clocks", "a monotonic clock", "autospecced",
    "a class of one's own", "time.sleep", "threading.Lock", "os.environ",
)  # fmt: skip


@pytest.mark.parametrize("patch", WITHOUT_EFFECT)
def test_a_patch_that_requests_does_not_notice_is_without_effect(found, patch):
    assert found[patch]["within"] == found["nothing"]["within"]


@pytest.mark.parametrize("patch", ["responses", "requests_mock"])
def test_a_mock_of_the_transport_counts_at_the_first_use(found, patch):
    text = {"responses": "refused by Responses", "requests_mock": "No mock address"}[patch]

    assert [use for use, came in found[patch]["within"].items() if text not in came] == []


MOCKED = """
from unittest import mock
import httpkit, requests
reply = requests.Response()
reply.status_code, reply._content = 203, b"mocked"
for name in ("requests.adapters.HTTPAdapter.send", "requests.Session.send"):
    with mock.patch(name, return_value=reply):
        print(httpkit.Session("http://127.0.0.1:9").get("x").status_code)
with mock.patch("requests.Session.request", return_value=reply):
    print(requests.Session().get("http://127.0.0.1:9").status_code)
"""


def test_a_mocked_send_is_used_at_the_first_use():
    ran = subprocess.run(
        [sys.executable, "-c", MOCKED], capture_output=True, text=True, check=False
    )

    assert (ran.stdout.split(), ran.stderr) == (["203", "203", "203"], "")


# ---- what is imported after `import httpkit`

# Modules whose classes and functions tests patch.
PATCHED = frozenset({
    "requests", "urllib3", "http.client", "http.cookiejar", "socket", "_socket", "ssl", "_ssl",
    "select", "time", "random", "_random", "threading", "_thread", "queue", "_queue", "os",
    "posix", "pathlib", "shutil", "uuid", "hashlib", "_hashlib", "secrets", "email.utils",
    "concurrent.futures", "json", "logging", "mimetypes", "subprocess", "tempfile",
})  # fmt: skip


def is_patched(value):
    """Say whether a value, or the class it is an instance of, is of a module that tests patch."""
    owner = getattr(value, "__self__", None)
    names = (
        getattr(value, "__module__", None),
        getattr(owner, "__name__", None) if inspect.ismodule(owner) else None,
        type(value).__module__,
    )
    parts = [name.split(".") for name in names if isinstance(name, str)]
    return any(".".join(part[:n]) in PATCHED for part in parts for n in (1, 2, 3))


def functions_of(value):
    """Return the functions of a class, with those in its properties; or the function itself."""
    held = vars(value).values() if inspect.isclass(value) else [value]
    for each in held:
        each = getattr(each, "fget", None) or getattr(each, "__func__", each)  # noqa: PLW2901
        if inspect.isfunction(each):
            yield each


def taken_at_import(module):
    """Give the names that a module takes of modules that are imported with the package."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module in EARLY:
            yield from (alias.name for alias in node.names)


# Modules that are imported with the package, and take what later ones derive from.
EARLY = (
    "httpkit._core.upstream", "httpkit._diagnostics.base_errors", "httpkit._diagnostics.loggers",
)  # fmt: skip


def captured(module):
    """Give what a module took when it was imported from a module that tests patch."""
    ours = {*taken_at_import(module)}
    early = {id(vars(module)[name]) for name in ours}
    for name, value in vars(module).items():
        if name.startswith("__") or inspect.ismodule(value) or name in ours:
            continue
        if is_patched(value):
            yield name
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            bases = [base for base in value.__bases__ if id(base) not in early]
            yield from (f"{name}({base.__name__})" for base in bases if is_patched(base))
            yield from (
                f"{name}.{part}"
                for part, held in vars(value).items()
                if not part.startswith("__") and not inspect.isfunction(held) and is_patched(held)
            )
            fields = getattr(value, "__dataclass_fields__", {})
            yield from (f"{name}.{n}" for n, f in fields.items() if is_patched(f.default_factory))
        for function in functions_of(value):
            defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
            yield from (f"{function.__qualname__}={d!r}" for d in defaults if is_patched(d))


STRUCTURE = """
import importlib, json, pkgutil, sys
import httpkit
before = set(sys.modules)
sys.path.insert(0, {tests!r})
from test_first_use import captured
names = [info.name for info in pkgutil.walk_packages(httpkit.__path__, "httpkit.")]
later = [importlib.import_module(name) for name in names if name not in before]
print(json.dumps({{module.__name__: [*captured(module)] for module in later}}))
"""


def test_no_module_that_is_imported_later_takes_a_name_that_tests_patch():
    program = STRUCTURE.format(tests=str(Path(__file__).parent))
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    found = json.loads(ran.stdout)

    assert not {*EARLY} & {*found}
    assert {"httpkit._display.cards", "httpkit._transfers.fetch", "httpkit._oauth.grants"} <= set(
        found
    )
    assert {module: names for module, names in found.items() if names} == {}
