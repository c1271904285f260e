"""The first use of httpkit in a process, while somebody's patch is open; then a use without it.

    python first_uses.py URL_OF_A_SANDBOX FOLDER

Each patch has a child of its own, forked right after `import httpkit`: for httpkit that is a fresh
process. Prints what came of each, as JSON.
"""

import itertools
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import requests_mock
import responses
import vcr

import httpkit

numbers = itertools.count()
SECONDS = 60  # for one child
AT_ONCE = 6


@dataclass
class Post:
    title: str


class Users(httpkit.Resource):
    posts = httpkit.Resource("posts")


def fresh():
    """Return a word that no process used before."""
    return f"{os.getpid()}-{next(numbers)}"


def uses(api, folder):
    """Return a use of each feature, by name."""
    file = Path(folder) / "sent.txt"
    file.write_bytes(b"content")
    return {
        "get": lambda: api.get("posts/1").json(),
        "post": lambda: api.post("posts", json={"title": "new"}).status_code,
        "stream": lambda: sum(map(len, api.get("bytes/5000", stream=True).iter_content(100))),
        "model": lambda: api.resource("posts", Post).get(1).title,
        "nested": lambda: Users("users").bind(api)(1).posts.get(1)["title"],
        "pages": lambda: [post["id"] for post in api.paginate("posts").first(3)],
        "retry": lambda: api.get(f"flaky/{fresh()}", params={"fail": 1}).attempts,
        "events": lambda: list(api.get("events", stream=True).events()),
        "download": lambda: (
            Path(api.download("bytes/5000", Path(folder) / "got", if_exists="replace"))
            .stat()
            .st_size
        ),
        "upload": lambda: api.upload("echo", file).status_code,
        "form": lambda: api.post("echo", files={"f": ("f.txt", b"x")}).status_code,
        "map": lambda: list(api.map(lambda n: api.get(f"posts/{n}").status_code, [1, 2])),
        "graphql": lambda: api.graphql("{ posts { title } }"),
        "oauth": lambda: (
            api.get(
                "posts/1",
                auth=httpkit.ClientCredentialsAuth(
                    f"{api.base_url}/token", "sandbox-client", "sandbox-client-secret"
                ),
            ).status_code
        ),
        "pickle": lambda: pickle.loads(pickle.dumps(api)).get("posts/1").status_code,
        "card": lambda: "posts" in api.get("posts/1")._repr_html_(),
        "clone": lambda: api.with_options(timeout=3).get("posts/1").status_code,
        "subclass": lambda: type("API", (httpkit.Session,), {"users": Users("users")})(
            api.base_url
        ).users.get(1)["id"],
        "deadline": lambda: _refused(lambda: api.get("slow?seconds=5", deadline=0.05)),
    }


def _refused(call):
    started = time.perf_counter()
    try:
        call()
    except httpkit.DeadlineExceededError:
        return time.perf_counter() - started < 3
    return "no deadline came"


def use(url, folder):
    """Use every feature once; return what came of each."""
    found = {}
    api = httpkit.Session(url, retry=httpkit.RetryPolicy(backoff=0))
    for name, call in uses(api, folder).items():
        try:
            found[name] = repr(call())
        except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
            found[name] = f"{type(error).__name__}: {error}"
    return found


def each(*dotted):
    return {name: lambda name=name: mock.patch(name) for name in dotted}


@contextmanager
def together(*dotted):
    with ExitStack() as stack:
        yield [stack.enter_context(mock.patch(name)) for name in dotted]


def cassette():
    return vcr.VCR(record_mode="all").use_cassette(tempfile.mkdtemp() + "/cassette.yaml")


@contextmanager
def locks():
    """Make real locks by a mock, which refuses to make more after the patch.

    Without a lock `threading.Event` loses a wake-up that comes between its check and its wait, and
    then `Thread.start` of the standard library never returns.
    """
    with mock.patch("threading.Lock", side_effect=threading.Lock) as made:
        yield
    made.side_effect = AssertionError("a lock of a patch that is closed")


PATCHES = {
    "nothing": nullcontext,
    "a VCR cassette": cassette,
    "responses": lambda: responses.RequestsMock(assert_all_requests_are_fired=False),
    "requests_mock": requests_mock.Mocker,
    **each(
        "requests.Session", "requests.sessions.Session", "requests.Response", "requests.Request",
        "requests.models.Response", "requests.models.PreparedRequest", "requests.ConnectionError",
        "requests.adapters.HTTPAdapter", "requests.adapters.HTTPAdapter.send",
        "requests.sessions.HTTPAdapter", "requests.sessions.Session.send",
        "requests.auth.AuthBase", "requests.structures.CaseInsensitiveDict",
        "requests.cookies.RequestsCookieJar", "urllib3.PoolManager",
        "urllib3.poolmanager.PoolManager", "urllib3.connection.HTTPConnection",
        "urllib3.connectionpool.HTTPConnectionPool", "urllib3.response.HTTPResponse",
        "urllib3.connectionpool.HTTPConnectionPool.urlopen", "urllib3.connection.HTTPSConnection",
        "urllib3.connectionpool.HTTPConnectionPool.ConnectionCls", "http.client.HTTPConnection",
        "urllib3.util.connection.create_connection", "http.client.HTTPResponse", "socket.socket",
        "socket.create_connection", "ssl.SSLContext", "time.monotonic", "time.time",
        "time.perf_counter", "time.sleep", "threading.Event",
        "os.environ", "pathlib.Path", "queue.LifoQueue", "json.loads", "json.dumps",
    ),
    "small ones": lambda: together(
        "random.random", "random.uniform", "hashlib.sha256", "uuid.uuid4", "shutil.move",
        "email.utils.formatdate", "email.utils.parsedate_to_datetime", "secrets.token_hex",
        "mimetypes.guess_type", "logging.getLogger", "select.poll", "threading.local",
        "requests.exceptions.ChunkedEncodingError", "requests.exceptions.InvalidURL",
        "concurrent.futures.Executor", "os.replace",
    ),
    "threading.Lock": locks,
    "a monotonic clock": lambda: mock.patch("time.monotonic", return_value=1e9),
    "an opened file": lambda: mock.patch("builtins.open", mock.mock_open(read_data="x")),
    "frozen clocks": lambda: mock.patch.multiple(
        "time", time=lambda: 1.7e9, monotonic=lambda: 5.0, perf_counter=lambda: 5.0
    ),
    "autospecced": lambda: mock.patch("requests.Session", autospec=True),
    "a class of one's own": lambda: mock.patch("requests.Session", type("Session", (), {})),
}  # fmt: skip


def child(patch, url, folder):
    """Return what came of a use in the patch, and what of one after it."""
    signal.alarm(SECONDS)
    warnings.simplefilter("ignore")  # mocks leave sockets behind
    try:
        with patch():
            within = use(url, folder)
    except Exception as error:  # noqa: BLE001  # a patch that cannot even be opened is of no use here
        within = {"get": f"{type(error).__name__}: {error}"}
    return {"within": within, "after": use(url, folder)}


def started(patch, url, folder):
    """Fork a child; return its number, and where it says what it found."""
    read, write = os.pipe()
    if pid := os.fork():
        os.close(write)
        return pid, os.fdopen(read)
    found = None
    with suppress(BaseException):
        found = child(patch, url, folder)
    os.write(write, json.dumps(found).encode())
    os._exit(0)


def ended(pid, pipe):
    """Return what a child found; None when it died, or hung."""
    with pipe:
        output = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(output) if output else None


def all_of(url, folder):
    """Return what came of each patch, a few of them at a time: most of it is waiting."""
    found = {}
    names = [*PATCHES]
    for start in range(0, len(names), AT_ONCE):
        children = {
            name: started(PATCHES[name], url, tempfile.mkdtemp(dir=folder))
            for name in names[start : start + AT_ONCE]
        }
        found |= {name: ended(*child) for name, child in children.items()}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(all_of(*sys.argv[1:])))
