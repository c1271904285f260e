"""A session in another process: pickled, copied or forked."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.cookiejar import Cookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import cloudpickle
import loky
import pytest
from requests.adapters import HTTPAdapter
from requests.cookies import create_cookie

import httpkit
from httpkit._client import pickling
from httpkit._core import redaction

ROOT = Path(httpkit.__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


class Counted(ThreadingHTTPServer):
    """Answers every GET, and knows by which connection each came."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        self.seen = []  # (port of the client, path)
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def connections(self):
        return len({port for port, _ in self.seen})

    def handle_error(self, *_):
        """A client that hangs up is no error here."""


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

    def do_GET(self):  # the standard library's name
        self.server.seen.append((self.client_address[1], self.path))
        body = b'{"id": 1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "seen=1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    counted = Counted()
    thread = threading.Thread(target=counted.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield counted
    counted.shutdown()
    counted.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _nothing_restored():
    """Each test is a fresh process, as far as pickles are concerned."""
    pickling._restored.clear()
    yield
    for session in pickling._restored.values():
        session.close()
    pickling._restored.clear()


def again(thing):
    return pickle.loads(pickle.dumps(thing))


# ---- what a pickle is


def test_one_process_makes_one_session_of_the_same_pickle(server):
    with httpkit.Session(server.url) as api:
        for _ in range(20):
            again(api).get("x")

    assert again(api) is again(api)
    assert server.connections == 1


def test_a_resource_and_its_methods_bring_the_same_session():
    api = httpkit.Session("https://api.example.com")
    posts = api.resource("posts")

    one, other = again(posts), again(posts.get).__self__

    assert one._caller is other._caller is again(api)


def test_a_pickle_is_never_the_session_itself():
    api = httpkit.Session()

    assert again(api) is not api


CHANGES = {
    "a header": lambda api: api.headers.update({"X-Team": "b"}),
    "the auth": lambda api: setattr(api, "auth", httpkit.BearerAuth("another-token-1")),
    "a cookie": lambda api: api.cookies.set("a", "b"),
    "a setting": lambda api: setattr(api, "timeout", 7),
    "an attribute of its own": lambda api: setattr(api, "tenant", "b"),
    "an adapter": lambda api: api.mount("https://x/", HTTPAdapter(pool_connections=3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_that_was_changed_is_another_one(change):
    api = httpkit.Session()
    before = again(api)

    CHANGES[change](api)
    after = again(api)

    assert after is not before
    assert after is again(api)


class Owner:
    """A part of an SDK that knows its session."""

    def __init__(self, session):
        self.session = session


class Whole(httpkit.Session):
    """A session whose parts know it, each in its way."""

    def __init__(self):
        super().__init__("https://api.example.com")
        self.itself = self
        self.posts, self.users = self.resource("posts"), self.resource("users")
        self.owners = [Owner(self), Owner(self)]
        self.hooks["response"].append(self.noted)
        self.other = httpkit.Session(auth=httpkit.BearerAuth(self.token))
        self.other.back = self

    def noted(self, response, **_):
        return response

    def token(self):
        return "a-token-of-mine"


WAYS = {
    "pickle": again,
    "the oldest protocol": lambda api: pickle.loads(pickle.dumps(api, 0)),
    "pickle in Python": lambda api: pickle.loads(pickle._dumps(api)),
    "cloudpickle": lambda api: pickle.loads(cloudpickle.dumps(api)),
    "a deep copy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_whose_parts_know_it_does_not_take_for_ever(way):
    twin = WAYS[way](api := Whole())

    assert twin is not api
    assert twin.itself is twin
    assert twin.posts._caller is twin.users._caller is twin
    assert [owner.session for owner in twin.owners] == [twin, twin]
    assert twin.hooks["response"][0].__self__ is twin
    assert twin.other.auth.token.__self__ is twin.other.back is twin


def test_a_part_of_a_session_brings_the_session():
    api = Whole()

    twin = again(api.owners[0]).session

    assert twin.owners[0].session is twin is again(api)


HELD = {
    "a header of it": lambda api: api.other.headers.update({"X-Team": "b"}),
    "another one alike": lambda api: setattr(api, "other", api.other.with_options()),
    "what it holds in turn": lambda api: setattr(api.other, "back", None),
}


@pytest.mark.parametrize("change", HELD)
def test_a_session_that_holds_one_that_was_changed_is_another_one(change):
    api = Whole()
    before = again(api)

    HELD[change](api)

    assert again(api) is not before
    assert again(api) is again(api)


def test_unpicklable_state_is_compared_by_identity():
    api = httpkit.Session()
    api.on_status = {404: lambda _: None}
    before = api.__reduce__()[1][1]

    same = api.__reduce__()[1][1]
    api.on_status = {404: lambda _: None}

    assert same == before
    assert api.__reduce__()[1][1] != before


def local(_):
    """A function that a module holds can travel; those that the tests below make cannot."""


STUCK = {
    "on_status": lambda api: setattr(api, "on_status", {404: lambda _: None}),
    "hooks": lambda api: api.hooks["response"].append(lambda response, **_: response),
    "auth": lambda api: setattr(api, "auth", httpkit.BearerAuth(lambda: "s3cr3t-of-a-lambda")),
    "tenant": lambda api: setattr(api, "tenant", lambda: "a"),
}


@pytest.mark.parametrize("name", STUCK)
def test_a_pickle_of_a_session_with_a_lambda_says_where_it_is(name):
    api = httpkit.Session(headers={"X-Key": "s3cr3t-of-a-header"})
    STUCK[name](api)

    with pytest.raises((pickle.PicklingError, AttributeError)) as caught:
        pickle.dumps(api)

    reported = f"{caught.value} {getattr(caught.value, '__notes__', '')}"
    assert f"Session.{name}, holding a lambda" in reported
    assert "cloudpickle" in reported
    assert "s3cr3t" not in reported


def test_all_that_hold_a_lambda_are_named():
    api = httpkit.Session()
    for hide in STUCK.values():
        hide(api)

    with pytest.raises((pickle.PicklingError, AttributeError)) as caught:
        pickle.dumps([api])

    assert "Session.auth and Session.hooks and Session.on_status and Session.tenant" in str(
        caught.value
    )


@pytest.mark.parametrize("name", STUCK)
def test_cloudpickle_sends_a_session_with_a_lambda(name):
    api = httpkit.Session()
    STUCK[name](api)
    pickled = cloudpickle.dumps(api)

    one, other = pickle.loads(pickled), pickle.loads(pickled)

    assert one is other is not api
    assert type(one) is httpkit.Session


def test_unpicklable_values_raise_their_own_error():
    api = httpkit.Session()
    api.lock = threading.Lock()

    with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
        pickle.dumps(api)


def test_a_function_of_a_module_is_pickled(server):
    api = httpkit.Session(server.url)
    api.on_status = {404: local}

    assert again(api).on_status == {404: local}


def test_two_sessions_alike_are_two():
    assert again(httpkit.Session()) is not again(httpkit.Session())


def test_a_clone_is_another_session():
    api = httpkit.Session()
    again(api)

    clone = api.with_options()

    assert again(clone) is not again(api)


def test_a_pickle_carries_the_whole_state():
    api = httpkit.Session(
        "https://api.example.com/v1", auth=httpkit.BearerAuth("a-token-of-mine"),
        headers={"X-A": "1"}, params={"v": "1"}, cookies={"c": "1"}, timeout=3, deadline=7,
        retry=httpkit.RetryPolicy(attempts=9), rate_limit="10/s", max_body=5,
    )  # fmt: skip
    api.tenant = "mine"

    twin = again(api)

    for name in ("base_url", "auth", "headers", "params", "timeout", "deadline", "retry", "tenant",
                 "rate_limit", "max_body"):  # fmt: skip
        assert getattr(twin, name) == getattr(api, name), name
    assert twin.cookies.get_dict() == {"c": "1"}


def test_a_subclass_is_made_without_its_constructor():
    twin = again(Tenanted("mine"))

    assert (type(twin), twin.tenant) == (Tenanted, "mine")


class Tenanted(httpkit.Session):
    """Needs an argument."""

    def __init__(self, tenant):
        super().__init__()
        self.tenant = tenant


def test_no_more_than_a_few_sessions_are_kept():
    for _ in range(100):
        again(httpkit.Session())

    assert len(pickling._restored) == 32


def test_threads_make_one_session_of_the_same_pickle():
    pickled = pickle.dumps(httpkit.Session())
    together = threading.Barrier(32)

    def load(_):
        together.wait(10)
        return id(pickle.loads(pickled))

    assert len(set(httpkit.Session().map(load, range(32), workers=32))) == 1


class Slow(Whole):
    """A session that takes its time to become whole."""

    filled = []  # noqa: RUF012  # how often, over all of them

    def __setstate__(self, state):
        self.filled.append(1)
        time.sleep(0.002)
        super().__setstate__(state)


def test_no_thread_gets_a_session_that_is_not_whole_yet():
    pickles = [pickle.dumps(Slow()) for _ in range(10)]
    together = threading.Barrier(8)

    def load(_):
        received = []
        for pickled in pickles:
            together.wait(10)
            twin = pickle.loads(pickled)
            received.append((id(twin), twin.base_url, twin.posts._caller is twin))
        return received

    Slow.filled.clear()
    first, *others = httpkit.Session().map(load, range(8), workers=8)

    assert others == [first] * 7
    assert len(Slow.filled) == len(pickles)
    assert {state[1:] for state in first} == {("https://api.example.com", True)}


class Unready(httpkit.Session):
    """A session that cannot be loaded at first."""

    is_ready = False

    def __setstate__(self, state):
        if not self.is_ready:
            raise OSError("not yet")
        super().__setstate__(state)


def test_a_pickle_that_could_not_be_loaded_is_loaded_whole_later(monkeypatch):
    pickled = pickle.dumps(Unready("https://api.example.com"))
    with pytest.raises(OSError, match="not yet"):
        pickle.loads(pickled)
    monkeypatch.setattr(Unready, "is_ready", True)

    assert pickle.loads(pickled).base_url == "https://api.example.com"


def test_a_session_is_pickled_while_other_threads_use_it(server):
    with httpkit.Session(server.url) as api:

        def work(number):
            api.cookies.set(f"c{number}", "1", domain=f"h{number}.example", path=f"/{number}")
            api.get("x")
            return len(pickle.dumps(api))

        assert all(api.map(work, range(200), workers=8))


class Meddling(Cookie):
    """A cookie during whose pickling another thread, so to speak, sets one."""

    jar = None

    def __reduce__(self):
        self.jar.set(f"new-{len(self.jar)}", "1", domain="a.example", path="/")
        return str, ("pickled",)


def test_a_cookie_that_is_set_meanwhile_does_not_break_a_pickle():
    api = httpkit.Session(cookies={"a": "1"})
    Meddling.jar = api.cookies
    for number in range(3):
        meddling = create_cookie(f"m{number}", "1", domain="a.example", path="/")
        meddling.__class__ = Meddling
        api.cookies.set_cookie(meddling)

    assert b"pickled" in pickle.dumps(api)


def test_a_class_that_was_defined_anew_gets_a_session_of_its_own():
    class Anew(httpkit.Session):
        pass

    _, (_, name), *_ = httpkit.Session().__reduce__()
    older = pickling.restore(httpkit.Session, name)

    newer = pickling.restore(Anew, name)

    pickling.fill(newer, httpkit.Session().__getstate__())
    assert (type(older), type(newer)) == (httpkit.Session, Anew)


def test_copies_are_sessions_of_their_own():
    api = httpkit.Session(headers={"X-A": "1"})

    shallow, deep = copy.copy(api), copy.deepcopy(api)
    deep.headers["X-A"] = "2"

    assert len({id(api), id(shallow), id(deep), id(copy.deepcopy(api))}) == 4
    assert api.headers["X-A"] == "1"


# ---- pools


def test_two_hundred_tasks_of_a_process_pool_make_few_connections(server):
    with httpkit.Session(server.url) as api, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        posts = api.resource("posts")
        found = list(api.map(posts.get, range(200), executor=pool, workers=2))

    assert found == [{"id": 1}] * 200
    assert sorted(path for _, path in server.seen) == sorted(f"/posts/{n}" for n in range(200))
    assert server.connections <= 2


def test_loky_takes_the_same_line(server):
    pool = loky.get_reusable_executor(max_workers=2)
    try:
        with httpkit.Session(server.url) as api:
            posts = api.resource("posts")
            found = list(api.map(posts.get, range(50), executor=pool, workers=2, ordered=False))
    finally:
        pool.shutdown(wait=True)

    assert found == [{"id": 1}] * 50
    assert server.connections <= 2


def test_an_error_of_another_process_says_for_which_item(sandbox):
    with httpkit.Session(sandbox.url) as api, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        one, missing = api.map(
            api.resource("posts").get, [1, 99], executor=pool, workers=1, errors="return"
        )

    assert one["id"] == 1
    assert type(missing) is httpkit.NotFoundError
    assert missing.__notes__[-1] == "for item [1]: 99"
    assert missing.response.status_code == 404


DASK = """
import sys
from distributed import Client, LocalCluster
import httpkit

if __name__ == "__main__":
    quiet = dict(dashboard_address=None, silence_logs="CRITICAL")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster,
        Client(cluster) as client,
        client.get_executor() as pool,
        httpkit.Session(sys.argv[1]) as api,
    ):
        found = list(api.map(api.resource("posts").get, range(100), executor=pool, workers=2))
        assert found == [{"id": 1}] * 100
"""


@pytest.mark.timeout(180)  # distributed alone takes seconds to import and to start
@pytest.mark.skipif(find_spec("distributed") is None, reason="distributed is not installed")
def test_a_dask_cluster_takes_the_same_line(server):
    # In a process of its own: importing distributed changes how every exception pickles.
    ran = subprocess.run(
        [sys.executable, "-c", DASK, server.url],
        cwd=ROOT, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert len(server.seen) == 100
    assert server.connections <= 2


# ---- forks


@contextmanager
def locked(*locks):
    """Hold locks in a thread that a forked child does not have."""
    held, done = threading.Event(), threading.Event()

    def hold():
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait(10)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


def in_a_child(work):
    """Run work in a forked child; return whether it succeeded, within 10 seconds."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    ends_at = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > ends_at:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return ended[1] == 0


forks = [
    needs_fork,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning"),
]


class TestForks:
    pytestmark = forks

    def test_a_child_shares_no_connection_with_its_parent(self, server):
        with httpkit.Session(server.url) as api:
            api.get("before")

            assert in_a_child(lambda: api.get("child"))
            api.get("after")

        ports = {path: port for port, path in server.seen}
        assert ports["/before"] == ports["/after"] != ports["/child"]

    def test_a_childs_copy_of_an_idle_socket_is_closed(self, server):
        with httpkit.Session(server.url) as api:
            api.get("x")
            (pool,) = api.get_adapter(server.url).poolmanager.pools._container.values()
            socket = next(one for one in pool.pool.queue if one).sock
            number = socket.fileno()

            def look():
                assert socket.fileno() == -1
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(number)

            assert in_a_child(look)
            assert socket.fileno() == number

    def test_a_clone_that_outlives_its_origin_lets_go_too(self, server):
        api = httpkit.Session(server.url)
        clone = api.with_options(timeout=9)
        clone.get("before")
        del api

        assert in_a_child(lambda: clone.get("child"))
        ports = {path: port for port, path in server.seen}
        assert ports["/before"] != ports["/child"]
        for adapter in clone.adapters.values():
            adapter.close()

    def test_a_mounted_adapter_keeps_its_settings(self, server):
        with httpkit.Session(server.url) as api:
            api.mount(server.url, HTTPAdapter(pool_maxsize=7, pool_block=True))
            api.get("x")

            def look():
                manager = api.get_adapter(server.url).poolmanager
                assert manager.connection_pool_kw["maxsize"] == 7
                assert manager.connection_pool_kw["block"] is True
                api.get("child")

            assert in_a_child(look)

    def test_locks_that_other_threads_held_do_not_stop_a_child(self, server, sandbox):
        policy = httpkit.RetryPolicy(budget=50)
        with httpkit.Session(server.url, retry=policy, rate_limit="100/s") as api:
            api.get("x")
            (pool,) = api.get_adapter(server.url).poolmanager.pools._container.values()
            locks = (
                api._budget._lock, api._host_throttle._lock, api._rate_limiter._lock,
                pickling._lock._lock, api.cookies._cookies_lock, redaction._lock._lock,
                pool.pool.mutex, api.get_adapter(server.url).poolmanager.pools.lock,
            )  # fmt: skip

            def work():
                api.get("child")
                api.get(f"{sandbox.url}/flaky/x", params={"status": 429, "retry_after": 0.1})
                again(api)

            del pool  # as garbage it would take its lock, to close its sockets

            with locked(*locks):
                assert in_a_child(work)

    def test_a_session_that_a_parents_thread_was_filling_does_not_stop_a_child(self):
        api = httpkit.Session("https://api.example.com")
        _, (_, name), *_ = api.__reduce__()
        hollow = pickling.restore(httpkit.Session, name)

        def work():
            assert again(api).base_url == "https://api.example.com"

        with locked(hollow.__dict__[pickling._UNFILLED]):
            assert in_a_child(work)
        pickling.fill(hollow, api.__getstate__())

    def test_children_of_a_busy_process_work(self, server):
        stop = threading.Event()

        def hammer(_):
            while not stop.is_set():
                api.get("parent")

        def work():
            for _ in range(3):
                assert api.get("child").json() == {"id": 1}

        with httpkit.Session(server.url) as api:
            threads = [threading.Thread(target=hammer, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            try:
                children = [in_a_child(work) for _ in range(10)]
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

        by_port = {}
        for port, path in server.seen:
            by_port.setdefault(port, set()).add(path)
        assert children == [True] * 10
        assert all(len(paths) == 1 for paths in by_port.values())
        assert sum(path == "/child" for _, path in server.seen) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_rate_that_another_thread_was_keeping_does_not_stop_a_child(sandbox):
    with httpkit.Session(sandbox.url, rate_limit="100/s") as api:
        api.get("posts/1")
        (bucket,) = api._rate_limiter._buckets.values()
        held, done = threading.Event(), threading.Event()

        def keep_the_rate():
            with api._rate_limiter._lock, bucket.bucket._lock:  # as `RateLimiter.wait` holds both
                held.set()
                done.wait(10)

        thread = threading.Thread(target=keep_the_rate)
        thread.start()
        assert held.wait(10)
        if not (child := os.fork()):
            api.get("posts/1")
            os._exit(0)
        ends_at, ended = time.monotonic() + 5, (0, 0)
        while ended == (0, 0) and time.monotonic() < ends_at:
            ended = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        done.set()
        thread.join()

    assert ended == (child, 0)
