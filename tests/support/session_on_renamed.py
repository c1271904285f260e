"""A session on copies of its dependencies in which one private name is another.

    session_on_renamed.py URL_OF_A_SANDBOX FOLDER [stock]

The copies come first on the path. Prints one line for each step that failed; "stock" takes the
same steps with requests alone, as far as it has them.
"""

import logging
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

url, folder = sys.argv[1:3]
is_stock = sys.argv[3:] == ["stock"]
once = {} if is_stock else {"retry": None}
records = []


class Recorder(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())


logging.getLogger("httpkit.transport").addHandler(Recorder())

if is_stock:
    import requests

    class Session(requests.Session):
        def request(self, method, path, **options):
            return super().request(method, url + "/" + path, **options)

    api = Session()
else:
    import requests

    import httpkit

    api = httpkit.Session(url, trusted_origins=(), retry=httpkit.RetryPolicy(backoff=0.01))


def get():
    for _ in range(2):  # the second over the same connection
        assert api.get("posts/1").json()["id"] == 1
    headers = api.get("posts/1", params={"a": "ü b"}).headers
    assert "json" in headers["CONTENT-TYPE"]


def post():
    for _ in range(2):
        assert api.post("posts", json={"title": "new"}).status_code == 201
    sent = api.post("echo", data={"a": "1"}, files={"f": ("n.txt", b"content")}).json()
    assert "n.txt" in sent["body"]
    assert api.post("echo", data=iter([b"a", b"b"])).status_code == 200


def stream():
    with api.get("bytes/100000", stream=True) as response:
        assert sum(map(len, response.iter_content(1000))) == 100000
    with api.get("bytes/100000", stream=True) as response:
        assert len(response.content) == 100000
    with api.get("bytes/300000", stream=True) as response:
        next(response.iter_content(10))
    with api.get("lines", params={"count": 3}, stream=True) as response:
        assert next(iter(response.iter_lines())) == b"line 1"


def empty():
    assert api.get("empty").content == b""
    assert api.head("bytes/100").headers["content-length"] == "100"


def compressed():
    for _ in range(2):
        assert api.get("gzip").json() == {"gzipped": True}
    with api.get("gzip", stream=True) as response:
        assert b"gzipped" in b"".join(response.iter_content(3))


def redirects():
    response = api.get("redirect", params={"to": "/posts/1"})
    assert response.json()["id"] == 1
    assert len(response.history) == 1
    assert api.get("redirect", params={"to": "/posts/1"}, allow_redirects=False).next.url


def cookies():
    api.get("cookies/set", params={"name": "value"})
    assert api.cookies.get("name") == "value", dict(api.cookies)
    assert "name=value" in str(api.get("echo").json()["headers"])
    assert "mine=1" in str(api.get("echo", cookies={"mine": "1"}).json()["headers"])


@contextmanager
def expecting(error):
    """Fail unless this error is raised."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def errors():
    response = api.get("status/404", **({} if is_stock else {"raise_for_status": False}))
    with expecting(requests.HTTPError):
        response.raise_for_status()
    with expecting(requests.RequestException):
        api.get("truncated")
    with expecting(requests.Timeout):
        api.get("slow", params={"seconds": 5}, timeout=0.05, **once)
    with expecting(requests.ConnectionError):
        api.post("echo", data=b"x", proxies={"http": "http://127.0.0.1:9"})


def signed():
    user = ("user", "sandbox-password")
    assert api.get("basic", auth=user).status_code == 200
    from requests.auth import HTTPDigestAuth

    api.get("posts/1", auth=HTTPDigestAuth(*user))


def environment():
    os.environ["http_proxy"] = "http://127.0.0.1:9"
    os.environ["no_proxy"] = "example.org"
    with expecting(requests.exceptions.ProxyError):
        api.get("posts/1", timeout=1, **once)
    os.environ["no_proxy"] = "127.0.0.1"
    assert api.get("posts/1").json()["id"] == 1
    del os.environ["http_proxy"], os.environ["no_proxy"]


def password():
    file = Path(folder, "netrc")
    file.write_text("machine 127.0.0.1 login user password sandbox-password\n")
    file.chmod(0o600)
    os.environ["NETRC"] = str(file)
    try:
        assert api.get("basic").status_code == 200
    finally:
        del os.environ["NETRC"]


def certificates():
    settings = api.merge_environment_settings("https://example.org/", {}, None, None, None)
    assert settings.keys() == {"proxies", "stream", "verify", "cert"}


def prepared():
    request = requests.Request("GET", url + "/posts/1", headers={"A": "b"})
    assert api.send(api.prepare_request(request)).json()["id"] == 1
    assert api.prepare_request(request).copy().headers["a"] == "b"


def pickled():
    import pickle

    with pickle.loads(pickle.dumps(api)) as twin:
        assert twin.get(f"{url}/posts/1" if not is_stock else "posts/1").json()["id"] == 1
    response = pickle.loads(pickle.dumps(api.get("posts/1")))
    assert response.json()["id"] == 1


def only_ours():
    assert api.get(f"flaky/{os.getpid()}-a", params={"fail": 2}).attempts == 3
    assert (
        api.post(f"flaky/{os.getpid()}-b", params={"fail": 1}, idempotency_key=True).attempts == 2
    )
    with api.get("bytes/300000", stream=True) as response:
        assert sum(map(len, response.blocks())) == 300000
    with api.get("events", params={"count": 2}, stream=True) as response:
        assert len(list(response.events())) == 2
    file = Path(folder, "file")
    api.download("bytes/100000", file)
    assert file.stat().st_size == 100000
    assert [post["id"] for post in api.paginate("posts").first(3)]
    with expecting(requests.RequestException):
        api.get("bytes/2000", max_body=1000)
    with expecting(httpkit.NotFoundError):
        api.get("status/404")
    assert repr(api.get("posts/1"))
    api.get("posts/1").to_curl()
    api.get("posts/1")._repr_html_()
    with httpkit.Session(url, strict=False) as lenient:
        assert lenient.get("posts/1").json()["id"] == 1
    with httpkit.Session(url, deadline=5) as timed:
        assert timed.get("posts/1").json()["id"] == 1
        assert timed.get("bytes/100000").content
    with httpkit.Session() as bound:
        bound.mount(url, requests.adapters.HTTPAdapter())
        assert bound.get(f"{url}/posts/1").json()["id"] == 1
        assert bound.get(f"{url}/gzip").json()


steps = [
    get, post, stream, empty, compressed, redirects, cookies, errors, signed, environment, password,
    certificates, prepared, pickled,
]  # fmt: skip
for step in steps if is_stock else [*steps, only_ours]:
    try:
        step()
    except Exception:  # noqa: BLE001  # every kind of failure counts
        sys.stdout.write(f"{step.__name__}: {traceback.format_exc(limit=-3)}\n")
sys.stdout.write(f"records: {records}\n")
