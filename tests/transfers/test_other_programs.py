"""Files that another program holds, names that a system does not have, and paths of any length.

Windows neither replaces nor removes a file that somebody opened without sharing it, as Python
does; other systems do both.
"""

import ctypes
import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

import httpkit
from httpkit._core import filenames
from httpkit._core.validators import FileVersion
from httpkit._transfers import destination
from httpkit._transfers.part_file import PartFile
from tests.support.file_responses import (
    HALF,
    NEW,
    OLD,
    STRONG,
    TODAY,
    files,
    honest,
    part_of,
    ranges,
    whole,
)
from tests.support.platforms import ON_WINDOWS, only_on_windows

REST = f"bytes={HALF - 4096}-"
HELD = "another program may have it open"
# A folder in which nobody can make a file, not even root; wine shows Linux's.
SEALED = Path("Z:/sys" if "HTTPKIT_WINE" in os.environ else "/sys")


@pytest.fixture
def server(raw_server):
    return honest(raw_server, OLD, last_modified=TODAY)


def interrupt(api, raw_server, dest):
    """Leave the first half of OLD beside a path; return the server of all of it."""
    server = honest(raw_server, OLD, cuts=[HALF, 0])
    with pytest.raises(httpkit.IncompleteError):
        api.download(server.url, dest, max_stalls=0)
    return server


# ---- files that are held


@pytest.mark.parametrize("if_exists", [None, "replace"])
def test_a_locked_file_is_replaced_or_refused_before_anything_is_sent(api, dest, server, if_exists):
    dest.write_bytes(NEW)

    with dest.open("rb"):
        if ON_WINDOWS:
            with pytest.raises(httpkit.TransferError, match=HELD):
                api.download(server.url, dest, if_exists=if_exists)
        else:
            api.download(server.url, dest, if_exists=if_exists)

    assert dest.read_bytes() == (NEW if ON_WINDOWS else OLD)
    assert len(server.requests) == (0 if ON_WINDOWS else 1)
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("to_folder", [False, True], ids=["path", "folder"])
@pytest.mark.parametrize("if_exists", ["update", "replace"])
def test_a_locked_file_is_refused_before_a_byte_is_written(api, dest, server, if_exists, to_folder):
    dest.write_bytes(NEW)
    os.utime(dest, (0, 0))
    place = dest.parent if to_folder else dest

    with dest.open("rb"):
        if ON_WINDOWS:
            with pytest.raises(httpkit.TransferError, match=HELD):
                api.download(f"{server.url}/file.bin", place, if_exists=if_exists)
        else:
            api.download(f"{server.url}/file.bin", place, if_exists=if_exists)

    assert dest.read_bytes() == (NEW if ON_WINDOWS else OLD)
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize(
    ("if_exists", "names"), [("skip", ["file.bin"]), ("rename", ["file (1).bin", "file.bin"])]
)
def test_a_locked_file_that_stays_is_no_obstacle(api, dest, server, if_exists, names):
    dest.write_bytes(NEW)

    with dest.open("rb"):
        api.download(server.url, dest, if_exists=if_exists)

    assert dest.read_bytes() == NEW
    assert files(dest.parent) == names


def test_a_locked_part_is_neither_lost_nor_fetched_again(api, dest, raw_server):
    server = interrupt(api, raw_server, dest)

    with part_of(dest).open("rb"):
        if ON_WINDOWS:
            with pytest.raises(httpkit.TransferError, match=HELD):
                api.download(server.url, dest)
            assert len(server.requests) == 2
    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert ranges(server) == [None, REST, REST]
    assert files(dest.parent) == ["file.bin"]


def test_a_file_that_is_opened_during_the_transfer_costs_no_byte(api, dest, server):
    dest.write_bytes(NEW)
    held = []

    def hold(progress):
        if not held:
            held.append(dest.open("rb"))

    if ON_WINDOWS:
        with pytest.raises(httpkit.TransferError, match=HELD):
            api.download(server.url, dest, progress=hold)
        assert part_of(dest).read_bytes() == OLD
    else:
        api.download(server.url, dest, progress=hold)
    held[0].close()
    done = api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert done.fetched <= (4096 if ON_WINDOWS else len(OLD))
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.parametrize("which", ["target", "part"])
def test_a_scanner_that_looks_for_a_moment_is_waited_for(api, dest, server, which):
    dest.write_bytes(NEW)
    path = dest if which == "target" else part_of(dest)
    timers = []

    def scan(progress):
        if not timers:
            file = path.open("rb")
            timers.append(threading.Timer(0.2, file.close))
            timers[0].start()

    api.download(server.url, dest, progress=scan)

    timers[0].join()
    assert dest.read_bytes() == OLD
    assert files(dest.parent) == ["file.bin"]


def test_a_part_that_is_being_written_can_be_read_by_others(dest):
    part = PartFile.open(dest)
    try:
        part.restart(FileVersion(validator='"v1"', total=len(OLD)))
        part.write(OLD)

        assert part_of(dest).read_bytes() == OLD
        assert dest.with_name("file.bin.part.json").read_bytes().startswith(b"{")
    finally:
        part.close()


def test_a_file_that_is_read_only_is_replaced_and_stays_read_only(api, dest, server):
    dest.write_bytes(NEW)
    dest.chmod(stat.S_IREAD)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD
    assert not dest.stat().st_mode & stat.S_IWRITE
    dest.chmod(stat.S_IREAD | stat.S_IWRITE)
    assert files(dest.parent) == ["file.bin"]


@pytest.mark.skipif(not SEALED.exists(), reason="this system has no such folder")
@pytest.mark.parametrize("if_exists", [None, "replace", "rename"])
def test_a_folder_that_takes_no_file_is_refused_before_anything_is_sent(api, server, if_exists):
    with pytest.raises(httpkit.TransferError, match="cannot be written"):
        api.download(server.url, SEALED / "file.bin", if_exists=if_exists)

    assert server.requests == []


def test_a_folder_is_not_sent_and_is_named_as_one(api, tmp_path, server):
    with pytest.raises(httpkit.TransferError, match="cannot be read: Is a directory"):
        api.upload(server.url, tmp_path)

    assert server.requests == []


@contextmanager
def kept_to_itself(path):
    """Open a file as a program of Windows that shares it with nobody."""
    kernel = ctypes.windll.kernel32
    kernel.CreateFileW.restype = ctypes.c_void_p
    read, exists = 0x80000000, 3
    handle = ctypes.c_void_p(kernel.CreateFileW(str(path), read, 0, None, exists, 0, None))
    try:
        yield
    finally:
        kernel.CloseHandle(handle)


@only_on_windows
def test_a_file_that_a_program_keeps_to_itself_is_neither_sent_nor_replaced(api, dest, server):
    dest.write_bytes(NEW)

    with kept_to_itself(dest):
        with pytest.raises(httpkit.TransferError, match=f"cannot be read: .*{HELD}"):
            api.upload(server.url, dest)
        with pytest.raises(httpkit.TransferError, match=f"cannot be written: .*{HELD}"):
            api.download(server.url, dest)

    assert server.requests == []
    assert dest.read_bytes() == NEW


@pytest.mark.parametrize("file_type", ["folder", "file"])
def test_something_else_in_the_place_of_a_part_is_an_error(api, dest, server, file_type):
    if file_type == "folder":
        part_of(dest).mkdir()
    else:
        dest.with_name("file.bin.part.json").mkdir()

    with pytest.raises(httpkit.TransferError, match=r"file\.bin\.part"):
        api.download(server.url, dest)

    assert server.requests == []


# ---- names


# What Windows cannot have; other systems take them as any other name.
BAD_NAMES = [
    "ab:c", "file.txt:stream", "what?.bin", "star*", 'quo"te', "less<", "more>", "pipe|",
    "tab\there", "bell\x07", "line\nbreak", "escape\x1b", "dot.", "dots...", "space ", "dot. ",
    "con", "CON", "Con.txt", "con .txt", "prn", "AUX.tar.gz", "nul", "NUL.", "nul.bin", "COM1",
    "com0.log", "com9", "LPT1.txt", "lpt\u00b9", "COM\u00b2.x", "conin$", "CONOUT$", "nul:",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("place", ["name", "folder"])
def test_a_name_that_the_system_does_not_have_is_refused(api, tmp_path, server, name, place):
    if place == "folder" and not ON_WINDOWS:
        (tmp_path / name).mkdir()
    dest = tmp_path / name if place == "name" else tmp_path / name / "file.bin"

    if ON_WINDOWS:
        with pytest.raises(httpkit.ConfigurationError, match="Windows"):
            api.download(server.url, dest)
        assert (server.requests, files(tmp_path)) == ([], [])
    else:
        api.download(server.url, dest)
        assert dest.read_bytes() == OLD


@pytest.mark.parametrize("length", [256, 300, 5000])
def test_a_name_that_is_too_long_is_refused_before_anything_is_sent(api, tmp_path, server, length):
    with pytest.raises((httpkit.ConfigurationError, httpkit.TransferError), match="too long"):
        api.download(server.url, tmp_path / ("x" * length))

    assert (server.requests, files(tmp_path)) == ([], [])


@only_on_windows
@pytest.mark.parametrize("path", [r"\\.\NUL", r"\\.\COM1", "//./pipe/x", r"\\.\C:\x"])
def test_a_device_is_refused_before_anything_is_sent(api, server, path):
    with pytest.raises(httpkit.HTTPKitError, match=r"device|regular|folder"):
        api.download(server.url, path)

    assert server.requests == []


@pytest.mark.parametrize(
    "name", [*BAD_NAMES, "x" * 300, "\u00e9" * 200, "\U0001f389" * 100, "../up", "c:\\x\\y.txt"],
    ids=lambda name: ascii(name)[:20],
)  # fmt: skip
def test_a_name_that_a_server_gives_is_made_safe_for_every_system(api, tmp_path, raw_server, name):
    given = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    server = raw_server(whole(OLD, content_disposition=given, **STRONG))

    got = api.download(server.url, tmp_path)

    (found,) = files(tmp_path)
    assert got.path == tmp_path / found
    assert filenames.windows_problem(found) is None
    assert got.path.read_bytes() == OLD


@pytest.mark.parametrize("size", [200, 214, 227, 241, 250, 255])
def test_a_long_name_has_room_for_its_part_and_its_segments(
    api, sandbox, tmp_path, raw_server, size
):
    room = 259 - 1 - len(str(tmp_path.absolute())) if ON_WINDOWS else 255
    dest = tmp_path / ("x" * min(size, room))
    server = interrupt(api, raw_server, dest)

    api.download(server.url, dest)
    whole = api.download(f"{sandbox.url}/bytes/100000", dest, segments=3, min_segment=1000)

    assert ranges(server) == [None, REST, REST]
    assert whole.size == dest.stat().st_size == 100_000
    assert len(sandbox.requests) == 3
    assert files(tmp_path) == [dest.name]


# ---- what only Windows does


@pytest.fixture
def short_paths(monkeypatch):
    """Let Windows be one that was not set up for long paths, which wine is not."""
    monkeypatch.setattr(destination, "_takes_long_paths", lambda: False)


def deep(folder, length):
    """Return a folder below another whose path has so many characters."""
    missing = length - len(str(folder)) - 1
    while missing > 0:
        step = min(missing, 100)
        if missing - step == 1:
            step -= 1
        folder = folder / ("d" * step)
        missing -= step + 1
    folder.mkdir(parents=True)
    return folder


@only_on_windows
@pytest.mark.usefixtures("short_paths")
@pytest.mark.parametrize("length", [190, 215, 225, 227])
@pytest.mark.parametrize("name", ["a.bin", "x" * 200])
def test_a_path_of_any_length_is_used_or_refused_before_anything_is_sent(
    api, tmp_path, server, length, name
):
    folder = deep(tmp_path, length)
    dest = folder / name

    if len(str(dest)) > 259:
        with pytest.raises(httpkit.ConfigurationError, match="too long for Windows"):
            api.download(server.url, dest)
        assert (server.requests, files(folder)) == ([], [])
    else:
        api.download(server.url, dest)
        assert (dest.read_bytes(), files(folder)) == (OLD, [name])


@only_on_windows
@pytest.mark.usefixtures("short_paths")
@pytest.mark.parametrize("length", [190, 215, 225])
def test_the_name_of_a_server_fits_into_a_deep_folder(api, tmp_path, raw_server, length):
    folder = deep(tmp_path, length)
    given = f"attachment; filename={'x' * 150}.bin"
    server = raw_server(whole(OLD, content_disposition=given, **STRONG))

    got = api.download(server.url, folder)

    assert len(str(got.path)) <= 259 - len(".part.new.json")
    assert got.path.suffix == ".bin"
    assert got.path.read_bytes() == OLD


@only_on_windows
@pytest.mark.usefixtures("short_paths")
def test_a_folder_that_leaves_no_room_is_refused_before_anything_is_sent(api, tmp_path, server):
    with pytest.raises(httpkit.ConfigurationError, match="too long for Windows"):
        api.download(server.url, deep(tmp_path, 245))

    assert server.requests == []


@only_on_windows
@pytest.mark.usefixtures("short_paths")
def test_a_prefix_for_long_paths_lifts_the_limit(api, tmp_path, server):
    dest = Path("\\\\?\\" + str(deep(tmp_path, 215).absolute())) / ("x" * 100)

    api.download(server.url, dest)

    assert dest.read_bytes() == OLD


@only_on_windows
@pytest.mark.parametrize(
    ("if_exists", "names"),
    [("skip", ["file.bin"]), ("replace", ["file.bin"]), ("rename", ["FILE (1).BIN", "file.bin"])],
)
def test_a_name_in_another_case_is_the_same_file(api, dest, server, if_exists, names):
    dest.write_bytes(NEW)

    api.download(server.url, dest.with_name("FILE.BIN"), if_exists=if_exists)

    assert [name.lower() for name in files(dest.parent)] == [name.lower() for name in names]
    assert dest.read_bytes() == (OLD if if_exists == "replace" else NEW)


@only_on_windows
def test_a_name_in_another_case_is_taken(api, dest, server):
    dest.write_bytes(NEW)

    with pytest.raises(httpkit.TransferError, match="exists"):
        api.download(server.url, dest.with_name("File.Bin"), if_exists="error")

    assert server.requests == []


@only_on_windows
@pytest.mark.parametrize("stem", ["file", "x" * 220])
def test_a_download_resumes_under_a_name_in_another_case(api, tmp_path, raw_server, stem):
    room = 259 - 1 - len(str(tmp_path))
    stem = stem[: room - 4]
    server = interrupt(api, raw_server, tmp_path / f"{stem}.bin")

    api.download(server.url, tmp_path / f"{stem.upper()}.BIN")

    assert ranges(server) == [None, REST, REST]
    assert len(files(tmp_path)) == 1
