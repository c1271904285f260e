"""Names of files that the system, a form or a terminal cannot spell as they are."""

import io
import logging
import os
import subprocess
import sys

import pytest

import httpkit
from httpkit._core import filenames
from httpkit._transfers import destination
from tests.support.platforms import ON_WINDOWS, not_on_windows


def in_ascii(code, *arguments):
    """Run code where the file system and all streams know ASCII only; return what it printed."""
    environment = {
        **os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict", "HTTPKIT_PROGRESS": "on",
    }  # fmt: skip
    if ON_WINDOWS:
        pytest.skip("its names are never ASCII")
    command = [sys.executable, "-W", "error", "-c", PREAMBLE + code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Logging error" not in done.stderr
    return done.stdout.decode("ascii")


PREAMBLE = r"""
import io, os, sys
import httpkit
assert sys.getfilesystemencoding() == "ascii"
httpkit.log_requests()
api = httpkit.Session(sys.argv[1])
folder = sys.argv[2]
def refused(act, *arguments, **options):
    try:
        act(*arguments, **options)
    except httpkit.HTTPKitError as error:
        print(error)
    else:
        raise AssertionError("it was not refused")
def sent(files):
    body = api.post("echo", files=files).json()["body"]
    print(ascii(body.partition('filename="')[2].partition('"')[0]))
"""


@pytest.fixture
def api(sandbox):
    with httpkit.Session(sandbox.url) as session:
        yield session


# ---- names that a server gives


@pytest.mark.parametrize(
    ("given", "saved"),
    [
        ("café.txt", "caf%C3%A9.txt"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("🎉.tar.gz", "%F0%9F%8E%89.tar.gz"),
        ("plain 100%.txt", "plain 100%.txt"),
    ],
)
def test_what_the_file_system_cannot_encode_is_percent_encoded(sandbox, tmp_path, given, saved):
    code = f"""
for attempt in range(2):
    query = {{"name": {given!a}}}
    got = api.download("bytes/300", folder, params=query, progress=True, if_exists="replace")
    print(got, got.path, got._repr_html_())
refused(api.download, "bytes/301", folder, params=query)
"""

    shown = in_ascii(code, sandbox.url, tmp_path)

    assert [found.name for found in tmp_path.iterdir()] == [saved]
    assert f"{saved} exists: pass if_exists=" in shown


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("caf%C3%A9", None),
        ("x", "attachment; filename=café"),
        ("x", "inline; filename*=''caf%C3%A9"),
    ],
)
def test_wherever_a_server_names_the_file(raw_server, make_response, tmp_path, path, field):
    fields = {"content_disposition": field.encode().decode("latin-1")} if field else {}
    server = raw_server(make_response("200 OK", b"x", **fields))

    in_ascii(f"api.download({path!r}, folder)", server.url, tmp_path)

    assert [found.name for found in tmp_path.iterdir()] == ["caf%C3%A9"]


def test_a_long_name_is_cut_to_the_bytes_that_it_has_when_encoded(sandbox, tmp_path):
    code = """
got = api.download("bytes/300", folder, params={"name": "\\u65e5" * 80 + ".txt"})
print(len(got.path.name), got.path.suffix)
"""

    assert in_ascii(code, sandbox.url, tmp_path).split() == ["240", ".txt"]


@pytest.mark.parametrize("name", ["café 100%.txt", "日本.txt"])
def test_a_name_that_the_system_can_encode_is_kept(sandbox, tmp_path, name):
    with httpkit.Session(sandbox.url) as api:
        got = api.download("bytes/300", tmp_path, params={"name": name})

    assert got.path == tmp_path / name


@pytest.mark.parametrize(("allowed", "used"), [(143, 128), (255, 240), (4096, 240), (0, 240)])
@not_on_windows("it has no pathconf")
def test_a_name_is_no_longer_than_the_file_system_allows(monkeypatch, tmp_path, allowed, used):
    monkeypatch.setattr(os, "pathconf", lambda *_: allowed)

    name = filenames.safe("é" * 300 + ".txt", destination.longest_name(tmp_path))

    assert used - 2 < len(name.encode()) <= used
    assert name.endswith("é.txt")


@not_on_windows("it follows from the path")
def test_a_system_without_a_known_name_limit_gets_the_usual_one(tmp_path):
    assert destination.longest_name(tmp_path / "missing") == 240


# ---- names that the caller gives


def test_a_path_that_the_system_cannot_encode_is_refused_with_a_printable_message(
    sandbox, tmp_path
):
    code = """
place = folder + "/caf\\xe9.txt"
refused(api.download, "bytes/300", place)
refused(api.upload, "echo", place)
refused(api.upload, "tus", b"x", resumable="tus", state=place)
"""

    lines = in_ascii(code, sandbox.url, tmp_path).splitlines()

    assert len(lines) == 3
    assert all("caf\\xe9.txt" in line for line in lines)
    assert "(in ascii, the file system's encoding)" in lines[0]


@not_on_windows("its names are UTF-16")
def test_a_path_that_was_not_decoded_is_used_and_shown(sandbox, tmp_path):
    code = """
os.mkdir(folder + "/d\\udcff")
print(api.download("bytes/300", folder + "/d\\udcff/x", progress=True))
refused(api.download, "bytes/300", folder + "/d\\udcff/x", if_exists="error")
refused(api.download, "bytes/300", folder + "/e\\udcff/x")
refused(api.download, "bytes/300", folder + "/d\\udcff/x/y")
refused(api.download, "bytes/300?name=z&truncate=1", folder + "/d\\udcff", content_type="a/b")
refused(api.upload, "echo", folder + "/\\udcff")
"""

    shown = in_ascii(code, sandbox.url, tmp_path)

    assert (tmp_path / "d\udcff" / "x").stat().st_size == 300
    assert shown.count("\\udcff") == 5


@not_on_windows("its names are UTF-16")
def test_errors_about_a_path_that_was_not_decoded_can_be_encoded(sandbox, tmp_path):
    place = tmp_path / "e\udcff"

    with httpkit.Session(sandbox.url) as api:
        for act in (
            lambda: api.download("bytes/1", place / "x"),
            lambda: api.upload("echo", place),
            lambda: api.upload("tus", b"x", resumable="tus", state=place / "x"),
        ):
            with pytest.raises(httpkit.TransferError, match=r"e\\\\?udcff") as caught:
                act()
            assert str(caught.value).encode("utf-8")


def test_a_name_that_is_too_long_is_refused_with_a_message(sandbox, tmp_path):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.HTTPKitError, match="long"):
        api.download("bytes/1", tmp_path / ("é" * 200))


# ---- names that are sent


@not_on_windows("its names are never ASCII")
def test_the_name_of_a_file_is_sent_in_utf_8_where_the_system_knows_ascii(sandbox, tmp_path):
    (tmp_path / "café").write_bytes(b"x")
    (tmp_path / os.fsdecode(b"lat\xe9")).write_bytes(b"x")
    code = """
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), "rb") as file:
        sent({"f": file})
    body = api.upload("echo", os.path.join(folder, name), field="f").json()["body"]
    print(ascii(body.partition('filename="')[2].partition('"')[0]))
named = io.BytesIO(b"x")
named.name = "/caf\\xe9"
sent({"f": named})
print(api.upload("echo", named, field="f").ok)
"""

    shown = in_ascii(code, sandbox.url, tmp_path).split()

    assert shown == [ascii(name) for name in ("café", "café", "lat�", "lat�", "café")] + ["True"]


@pytest.mark.parametrize(
    ("given", "sent"), [("café", "café"), ("d\udcff", "d�"), ("\udcc3\udca9", "é"), ("\ud800", "?")]
)
@pytest.mark.parametrize("size", [1, 300_000])
def test_a_name_in_files_that_cannot_be_encoded_is_replaced(sandbox, given, sent, size):
    content = io.BytesIO(b"x" * size)
    content.name = given

    with httpkit.Session(sandbox.url) as api:
        bodies = [
            api.post("echo", files=files).request.body
            for files in (
                {"f": (given, b"x" * size)},
                [("f", (given, io.BytesIO(b"x" * size), "text/plain"))],
                {"f": content},
            )
        ]
        seen = [request.body for request in sandbox.requests]

    assert len(bodies) == 3
    assert all(f'filename="{sent}"'.encode() in body for body in seen)


def test_files_whose_names_can_be_sent_are_left_as_they_are():
    from httpkit._messages import multipart

    files = {"f": ("café", b"x"), "g": b"y"}

    assert multipart.with_sendable_names(files) is files


@pytest.mark.parametrize("resumable", [None, "tus"])
def test_a_given_filename_that_cannot_be_encoded_is_replaced(sandbox, resumable):
    options = {"field": "f"} if resumable is None else {"resumable": resumable}

    with httpkit.Session(sandbox.url) as api:
        path = "tus" if resumable else "echo"
        assert api.upload(path, b"x", filename="d\udcff", **options).ok


# ---- text for a stream


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("café", "utf-8", "café"),
        ("café 日", "latin-1", "café \\u65e5"),
        ("café", "ascii", "caf\\xe9"),
        ("café\udcff", "utf-8", "café\\udcff"),
        ("café", "klingon", "caf\\xe9"),
        ("café", 7, "caf\\xe9"),
    ],
)
def test_what_an_encoding_lacks_is_escaped(text, encoding, shown):
    assert filenames.printable(text, encoding) == shown


def test_a_log_can_be_printed_to_any_stream(sandbox, monkeypatch):
    # The report of a test that logs a lone surrogate cannot be sent between pytest's processes.
    monkeypatch.setattr(logging.getLogger("httpkit"), "propagate", False)
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, "ascii", write_through=True)

    with httpkit.Session(sandbox.url) as api, httpkit.log_requests(stream=stream):
        logging.getLogger("httpkit.requests").debug("caf\xe9 \udcff")
        api.get("echo")

    assert written.getvalue().splitlines()[0].endswith(rb"caf\xe9 \udcff")


def test_a_log_to_a_closed_stderr_is_no_matter(sandbox, monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)

    with httpkit.Session(sandbox.url) as api, httpkit.log_requests():
        assert api.get("echo").ok


@not_on_windows("its shell closes no stream")
def test_a_log_without_a_stderr_goes_nowhere(sandbox):
    code = (
        "import sys, httpkit; assert sys.stderr is None; httpkit.log_requests();"
        " print(httpkit.Session(sys.argv[1]).get('echo').status_code)"
    )
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code, sandbox.url]

    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30)

    assert done.stdout == b"200\n"


def test_only_the_characters_that_an_encoding_lacks_are_percent_encoded(monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "latin-1")

    assert filenames.safe("café 日.txt") == "café %E6%97%A5.txt"


# ---- names in the forms of mail


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('attachment; filename="=?UTF-8?B?Y2Fmw6kudHh0?="', "café.txt"),
        ('attachment; filename="=?iso-8859-1?Q?caf=E9.txt?="', "café.txt"),
        ("attachment; filename==?UTF-8?Q?a_b?=", "a b"),
        ('attachment; filename="=?UTF-8?B?Y2Fm?= =?UTF-8?B?w6k=?="', "café"),
        ('attachment; filename="=?x-none?B?Y2Fm?="', "=_x-none_B_Y2Fm_="),
        ("attachment; filename*0*=UTF-8''caf; filename*1*=%C3%A9; filename*2=.txt", "café.txt"),
        ('attachment; filename*0="long "; filename*1="name.txt"', "long name.txt"),
        ("attachment; filename*0*=UTF-8''..%2F..%2Fx; filename*1=y", "xy"),
        ("attachment; filename*1=b; filename=a", "a"),
        ("attachment; filename*0*=none''%E9; filename=a", "a"),
    ],
)
def test_names_in_the_forms_of_mail_are_decoded(field, name):
    from httpkit._core import filenames

    assert filenames.safe(filenames.from_disposition(field)) == name


@pytest.mark.parametrize(
    ("path", "is_valid"),
    [
        ("file.bin", True), (r"C:\Users\me\file.bin", True), (r"..\a\.hidden", True), ("C:a", True),
        ("ab:c.txt", False), (r"C:\x\what?.txt", False), ("nul", False), (r"C:\aux.txt\a", False),
        ("COM1.log", False), ("name.", False), ("name ", False), ("tab\t", False),
        (r"\\server\share\a.txt", True), (r"\\?\C:\x\a.txt", True), (r"\\.\NUL", False),
        ("x" * 255, True), ("x" * 256, False), ("\U0001f389" * 127, True),
        ("\U0001f389" * 128, False), (r"a\com10", True), ("conin$.x", False),
    ],
)  # fmt: skip
def test_a_path_that_windows_cannot_have_is_known(path, is_valid):
    from httpkit._core import filenames

    assert (filenames.windows_problem(path) is None) is is_valid
