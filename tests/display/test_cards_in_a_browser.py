"""Cards where people see them: through JupyterLab's own sanitiser, and in a browser.

The first needs node and npm, and the package index once; the second Chromium. The packages are
kept in a cache outside the repository.
"""

import getpass
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from httpkit._display import cards
from tests.support.gallery import Seen, gallery

# The sanitiser is one file of JupyterLab 4.7, which imports nothing but this sanitize-html.
LAB, SANITISER = "@jupyterlab/apputils@4.7.6", "sanitize-html@2.12.1"
# Seconds. The first run on a machine fetches some 15 small packages, in about 6 s.
LONG = 180

pytestmark = pytest.mark.timeout(LONG)

PROGRAM = """
import { readFileSync } from "node:fs";
import { Sanitizer } from "./sanitizer.mjs";
const sanitizer = new Sanitizer();
const cards = JSON.parse(readFileSync(0, "utf-8"));
const clean = Object.entries(cards).map(([name, card]) => [name, sanitizer.sanitize(card)]);
console.log(JSON.stringify(Object.fromEntries(clean)));
"""


def npm(*arguments, cwd):
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(
        ["npm", *arguments, *quiet], cwd=cwd, capture_output=True, text=True,
        timeout=LONG, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm cannot {' '.join(arguments)}: {done.stderr[-300:]}")


@pytest.fixture(scope="module")
def sanitiser():
    """Return a folder with JupyterLab's sanitiser; the first run fills it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    name = hashlib.sha256(f"{LAB} {SANITISER} {PROGRAM}".encode()).hexdigest()[:12]
    folder = cache / f"httpkit-tests-{getpass.getuser()}" / name
    if not folder.exists():
        fill(folder)
    return folder


def fill(folder):
    """Install beside the folder and rename: another run may do the same at this moment."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        whole = Path(draft, "whole")
        whole.mkdir()
        npm("install", "--prefix", str(whole), SANITISER, cwd=whole)
        npm("pack", LAB, cwd=draft)
        (packed,) = Path(draft).glob("*.tgz")
        shutil.unpack_archive(packed, draft, filter="data")
        Path(draft, "package/lib/sanitizer.js").rename(whole / "sanitizer.mjs")
        Path(whole, "clean.mjs").write_text(PROGRAM, "utf-8")
        with suppress(OSError):  # the other run was faster
            whole.rename(folder)


@pytest.fixture
def every_card(sandbox, raw_server, tmp_path):
    with gallery(sandbox, raw_server, tmp_path) as things:
        return {name: thing._repr_html_() for name, thing in things.items()}


def cleaned(folder, markup):
    done = subprocess.run(
        ["node", "clean.mjs"], cwd=folder, input=json.dumps(markup), text=True,
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_jupyterlab_leaves_every_card_as_it_is(sanitiser, every_card):
    left = cleaned(sanitiser, every_card)

    for name, card in every_card.items():
        before, after = Seen(card), Seen(left[name])
        assert (after.tags, after.words) == (before.tags, before.words), name
    assert len(left) > 20


def test_jupyterlab_takes_out_what_cards_do_without(sanitiser):
    """A sanitiser that lets everything through would prove nothing."""
    unfit = {
        "colour": '<div style="border:1px solid currentColor">x</div>',
        "variable": '<div style="color:var(--jp-ui-font-color1, #000)">x</div>',
        "wrap": '<div style="overflow-wrap:anywhere">x</div>',
        "sheet": "<style>x</style><div>x</div>",
        "script": "<div onclick='x'>x</div><script>x</script>",
    }

    left = cleaned(sanitiser, unfit)

    assert set(left.values()) == {"<div>x</div>"}


# ---- a browser

SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--window-size=1000,6000",
]  # fmt: skip
THEMES = {"light": ("#ffffff", "#111111"), "dark": ("#111111", "#dddddd")}
# Whatever is not in the page itself, and every script, is refused and told to the console.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(body, theme):
    ground, ink = THEMES[theme]
    return (
        '<!doctype html><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<body style="background:{ground};color:{ink};font:14px sans-serif">{body}</body>'
    )


@pytest.fixture
def browse(tmp_path):
    """Return what opens a page in Chromium: its output, and what it said to the console."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium")

    def call(body, theme, *switches):
        file = tmp_path / f"{theme}.html"
        file.write_text(page(body, theme), "utf-8")
        done = subprocess.run(
            [chromium, *SWITCHES, f"--user-data-dir={tmp_path / 'profile'}", *switches,
             file.as_uri()],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout, re.findall(r"CONSOLE.*", done.stderr)

    return call


def test_a_browser_renders_every_card_without_a_complaint(browse, every_card):
    body = "".join(every_card.values())

    dom, console = browse(body, "light", "--dump-dom")

    shown, written = Seen(dom[dom.index("<body") :]), Seen(body)
    assert console == []
    assert {"details", "summary", "table", "img", "pre"} <= shown.names
    assert "script" not in shown.names
    for name in ("details", "table", "img", "div"):
        count = sum(tag == name for tag, _ in written.tags)
        assert sum(tag == name for tag, _ in shown.tags) == count, name


def test_a_complaint_of_the_browser_is_heard(browse):
    """The test above would pass with a browser that says nothing."""
    _, console = browse("<script>1</script><img src='http://127.0.0.1:1/x'>", "light", "--dump-dom")

    assert len(console) == 2


@pytest.mark.parametrize("theme", THEMES)
def test_a_browser_paints_every_card_on_light_and_dark(browse, every_card, theme, tmp_path):
    body = "".join(f"<h4>{name}</h4>{card}" for name, card in every_card.items())
    painted = tmp_path / f"{theme}.png"

    _, console = browse(body, theme, f"--screenshot={painted}")

    assert console == []
    assert painted.read_bytes()[:4] == b"\x89PNG"
    assert painted.stat().st_size > 50_000


def luminance(colour):
    """Return the relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", [cards._GREEN, cards._RED, cards._GREY])
def test_white_can_be_read_on_a_badge(colour):
    assert contrast("#ffffff", colour) >= 4.5  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("theme", THEMES)
def test_muted_text_can_still_be_read(theme):
    ground, ink = THEMES[theme]
    channels = zip(bytes.fromhex(ground[1:]), bytes.fromhex(ink[1:]), strict=True)
    mixed = "#" + "".join(f"{round(g * 0.25 + i * 0.75):02x}" for g, i in channels)

    assert contrast(ground, mixed) >= 4.5
