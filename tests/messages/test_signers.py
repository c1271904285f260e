"""An auth of another library may read the body of an upload to sign it."""

import hashlib
import io

import pytest
from requests.auth import AuthBase

import httpkit

SMALL, LARGE = b"content" * 10, bytes(range(256)) * 10_000


class ReadsAll(AuthBase):
    """It takes the body for a file and puts its bytes in place, as requests-aws4auth does."""

    def __call__(self, request):
        if hasattr(request.body, "read"):
            request.body = request.body.read()
        request.headers["X-Digest"] = hashlib.sha256(request.body).hexdigest()
        return request


class ReadsAndRewinds(AuthBase):
    """It reads in blocks and goes back to where the body was, as botocore does."""

    def __call__(self, request):
        digest = hashlib.sha256()
        start = request.body.tell()
        while block := request.body.read(1000):
            digest.update(block)
        request.body.seek(start)
        request.headers["X-Digest"] = digest.hexdigest()
        return request


class WantsBytes(AuthBase):
    """It takes bytes alone."""

    def __call__(self, request):
        request.headers["X-Digest"] = hashlib.sha256(request.body).hexdigest()
        return request


@pytest.fixture
def api(sandbox):
    with httpkit.Session(sandbox.url) as session:
        yield session


def sources(tmp_path, content):
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    return [path, content, io.BytesIO(content), lambda: [content[:10], content[10:]]]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("auth", [ReadsAll(), ReadsAndRewinds()], ids=["reads", "rewinds"])
@pytest.mark.parametrize("index", range(4), ids=["path", "bytes", "file", "callable"])
def test_a_signer_reads_what_is_uploaded(api, sandbox, tmp_path, content, auth, index):
    source = sources(tmp_path, content)[index]

    api.upload("echo", source, auth=auth, size=len(content))

    (request,) = sandbox.requests
    assert request.body == content
    assert request.headers["X-Digest"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("auth", [ReadsAll(), ReadsAndRewinds()], ids=["reads", "rewinds"])
def test_a_signer_reads_a_large_form(api, sandbox, auth):
    api.post("echo", files={"f": io.BytesIO(LARGE)}, auth=auth)

    (request,) = sandbox.requests
    assert LARGE in request.body
    assert request.headers["X-Digest"] == hashlib.sha256(request.body).hexdigest()


def test_a_signer_of_the_session_reads_what_is_uploaded(sandbox, tmp_path):
    path, *_ = sources(tmp_path, LARGE)
    with httpkit.Session(sandbox.url, auth=ReadsAndRewinds()) as api:
        api.upload("echo", path)

    (request,) = sandbox.requests
    assert request.headers["X-Digest"] == hashlib.sha256(LARGE).hexdigest()


def test_a_signer_that_takes_bytes_alone_is_named(api, tmp_path):
    path, *_ = sources(tmp_path, LARGE)

    with pytest.raises(TypeError) as caught:
        api.upload("echo", path, auth=WantsBytes())

    assert "WantsBytes" in "".join(caught.value.__notes__)


def test_a_signer_may_seek_anywhere(api, tmp_path):
    found = []

    class Seeks(AuthBase):
        def __call__(self, request):
            body = request.body
            found.append(body.seek(0, io.SEEK_END))
            found.append(body.read())
            body.seek(1_500_000)
            found.append(body.read(5))
            body.seek(-2, io.SEEK_CUR)
            found.append((body.tell(), body.read(2)))
            return request

    path, *_ = sources(tmp_path, LARGE)
    api.upload("echo", path, auth=Seeks())

    assert found == [
        len(LARGE), b"", LARGE[1_500_000:1_500_005], (1_500_003, LARGE[1_500_003:1_500_005])
    ]  # fmt: skip
