"""An S3 server (moto) behind a gate that verifies signatures of version 4 with botocore.

What signs is another implementation, requests-aws4auth, or botocore in an AuthBase.
"""

import hashlib
import io
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from requests.auth import AuthBase

import httpkit
from tests.support.file_responses import files, noise
from tests.support.interop import require

require("moto")
boto3 = require("boto3")
botocore_auth = require("botocore.auth")
botocore_config = require("botocore.config")
botocore_requests = require("botocore.awsrequest")
aws4auth = require("requests_aws4auth")
serving = require("werkzeug.serving")
werkzeug_app = require("moto.moto_server.werkzeug_app")

KEY, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "us-east-1"
BODY = noise(11, 400_000)
REFUSED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId>"
    "</Error>"
)


class Gate:
    """A WSGI application that lets signed requests through to S3, and may cut their responses.

    Attributes:
        expired: Signatures of URLs that have expired.
        cut: Bytes after which the next response ends; None: whole.
        seen: The Range of every request that was let through.
    """

    def __init__(self, app):
        self.app = app
        self.expired = set()
        self.cut = None
        self.seen = []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if refusal := self.refusal(environ, body):
            content = REFUSED.format(code=refusal[0], message=refusal[1]).encode()
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [content]
        self.seen.append(environ.get("HTTP_RANGE"))
        cut, self.cut = self.cut, None
        response = self.app(environ, start_response)
        return response if cut is None else self.cut_off(response, cut)

    @staticmethod
    def cut_off(response, cut):
        content = b"".join(response)
        yield content[:cut]
        raise ConnectionAbortedError  # the server closes the connection

    def refusal(self, environ, body):
        """Return the code and the message of S3's error; None when the signature is right."""
        query = parse_qs(environ["QUERY_STRING"])
        given = environ.get("HTTP_AUTHORIZATION", "")
        fields = dict(part.strip().split("=", 1) for part in given[16:].split(",") if "=" in part)
        names = fields.get("SignedHeaders") or query.get("X-Amz-SignedHeaders", [""])[0]
        signature = fields.get("Signature") or query.get("X-Amz-Signature", [""])[0]
        if not signature:
            return "AccessDenied", "Access Denied"
        url = f"http://{environ['HTTP_HOST']}{environ['REQUEST_URI']}"
        headers = {n: environ.get(environ_name(n), "") for n in names.split(";")}
        if signature != signature_of(environ["REQUEST_METHOD"], url, headers, query):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match"
        if signature in self.expired:
            return "AccessDenied", "Request has expired"
        declared = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "UNSIGNED-PAYLOAD")
        if declared not in {"UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()}:
            return "XAmzContentSHA256Mismatch", "The provided header does not match the body"
        return None


def environ_name(name):
    special = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    return special.get(name, "HTTP_" + name.upper().replace("-", "_"))


def credentials():
    return boto3.session.Session(KEY, SECRET, region_name=REGION).get_credentials()


def signature_of(method, url, headers, query):
    """Calculate the signature of a request as botocore does."""
    is_url = "X-Amz-Signature" in query
    kind = botocore_auth.S3SigV4QueryAuth if is_url else botocore_auth.S3SigV4Auth
    signer = kind(credentials(), "s3", REGION)
    pairs = [pair for pair in urlsplit(url).query.split("&") if "X-Amz-Signature=" not in pair]
    bare = urlsplit(url)._replace(query="&".join(pairs)).geturl()
    request = botocore_requests.AWSRequest(method=method, url=bare, headers=headers)
    request.context["timestamp"] = query["X-Amz-Date"][0] if is_url else headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


class SignedByBotocore(AuthBase):
    """botocore's signer as an auth of requests."""

    def __call__(self, prepared):
        request = botocore_requests.AWSRequest(
            method=prepared.method, url=prepared.url, data=prepared.body
        )
        botocore_auth.S3SigV4Auth(credentials(), "s3", REGION).add_auth(request)
        prepared.headers.update(dict(request.headers.items()))
        return prepared


SIGNERS = {
    "requests-aws4auth": lambda: aws4auth.AWS4Auth(KEY, SECRET, REGION, "s3"),
    "botocore": SignedByBotocore,
}


@pytest.fixture(scope="module")
def gate():
    return Gate(werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app))


@pytest.fixture(scope="module")
def server(gate):
    started = serving.make_server("127.0.0.1", 0, gate, threaded=True)
    thread = threading.Thread(target=started.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{started.server_port}"
    started.shutdown()
    thread.join()
    started.server_close()


@pytest.fixture(scope="module")
def bucket(server):
    with httpkit.Session(server, auth=SIGNERS["botocore"](), allow_http_auth=True) as api:
        api.put("films")
        api.put("films/one.bin", data=BODY)
    return f"{server}/films"


@pytest.fixture(params=SIGNERS)
def api(bucket, gate, request):
    gate.seen.clear()
    with httpkit.Session(bucket, auth=SIGNERS[request.param]()) as session:
        yield session


def test_a_signed_download_resumes(api, gate, tmp_path):
    gate.cut = 150_000

    done = api.download("one.bin", tmp_path / "one.bin")

    assert (tmp_path / "one.bin").read_bytes() == BODY
    assert done.attempts == 2
    assert gate.seen == [None, f"bytes={150_000 - 4096}-"]
    assert files(tmp_path) == ["one.bin"]


def test_a_signed_download_in_segments_is_the_file(api, gate, tmp_path):
    api.download("one.bin", tmp_path / "one.bin", segments=3, min_segment=50_000)

    assert (tmp_path / "one.bin").read_bytes() == BODY
    assert len(gate.seen) >= 3


def test_a_signed_upload_is_signed_with_its_body(api, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(noise(12, 3_000_000))

    response = api.upload("film.mp4", film, checksum=f"sha256:{digest_of(film)}")

    assert response.request.headers["x-amz-content-sha256"] == digest_of(film)
    assert api.get("film.mp4").content == film.read_bytes()
    assert response.headers["etag"].strip('"') == hashlib.md5(film.read_bytes()).hexdigest()  # noqa: S324  # as S3 does


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def presigned(bucket, seconds):
    server, _, name = bucket.rpartition("/")
    client = boto3.client(
        "s3", REGION, endpoint_url=server, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        config=botocore_config.Config(signature_version="s3v4"),
    )  # fmt: skip
    try:
        return client.generate_presigned_url(
            "get_object", {"Bucket": name, "Key": "one.bin"}, ExpiresIn=seconds
        )
    finally:
        client.close()


def test_a_url_whose_signature_expires_is_requested_again(bucket, gate, tmp_path):
    urls = []

    def fresh_url():
        if urls:
            gate.expired.add(parse_qs(urlsplit(urls[-1]).query)["X-Amz-Signature"][0])
        urls.append(presigned(bucket, 60 + len(urls)))
        return urls[-1]

    gate.cut = 100_000
    with httpkit.Session() as api:
        done = api.download(fresh_url, tmp_path / "one.bin")

    assert (tmp_path / "one.bin").read_bytes() == BODY
    assert (len(urls), done.attempts) == (2, 2)


def test_a_url_that_has_expired_keeps_the_part_and_says_why(bucket, gate, tmp_path):
    url = presigned(bucket, 1000)
    signature = parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]

    def expire(_progress):
        gate.expired.add(signature)

    gate.cut = 100_000
    with httpkit.Session() as api, pytest.raises(httpkit.ForbiddenError) as caught:
        api.download(url, tmp_path / "one.bin", progress=expire)

    assert "Request has expired" in str(caught.value)
    assert signature not in str(caught.value)
    assert (tmp_path / "one.bin.part").read_bytes() == BODY[:100_000]


def test_error_messages_of_s3_are_read(api):
    with pytest.raises(httpkit.NotFoundError, match="The specified key does not exist"):
        api.get("nothing.bin")


def test_a_wrong_secret_is_named_in_the_message(bucket):
    auth = aws4auth.AWS4Auth(KEY, "wrong", REGION, "s3")

    with (
        httpkit.Session(bucket, auth=auth) as api,
        pytest.raises(httpkit.ForbiddenError, match="signature we calculated does not match"),
    ):
        api.get("one.bin")


def test_the_gate_refuses_what_is_not_signed(bucket):
    with httpkit.Session(bucket) as api, pytest.raises(httpkit.ForbiddenError, match="Access"):
        api.get("one.bin")
