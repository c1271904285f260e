"""Text, trees, tables and pictures in HTML, of whatever a server may send.

Rule: no I/O here. Words of others enter by `plain` and `Writer.text` alone, which mask, cut and
escape them, in this order: what is cut first could not be known for a credential any more.

What a saved notebook may hold when JupyterLab opens it again decides which tags and styles are
written: no scripts, ids, links or `<style>`, and inline styles whose values are literal. It drops
`currentColor` and `var(…)`, so colours are inherited, greys that show on white and on black, or
come in pairs with their background.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any, NewType

from httpkit._core import disclosure, redaction
from httpkit._core.given import is_list, is_mapping

Html = NewType("Html", str)
"""Markup that is fit to be shown: every word of others in it is masked, cut and escaped."""

# People read one screen, and a notebook is saved with all that its cells show.
LONGEST_TEXT = 4000
LONGEST_VALUE = 300
LONGEST_CELL = 120
LONGEST_NAME = 100
MOST_ROWS = 20
MOST_COLUMNS = 10
MOST_ENTRIES = 50
DEEPEST = 8
LARGEST_PICTURE = 1 << 20
# What is unfolded at once: the first levels, of parts that fit on a screen together.
_DEEPEST_OPEN = 3
_MOST_OPEN = 12
# Characters; longer ones are broken into lines of some width, for the table may be scrolled.
_LONGEST_IN_SHORT = 24
# Characters of markup for one part of a card, pictures apart; what comes after is left out.
_LARGEST = 200_000
# Characters looked at for it: masking takes 3 MB/s (2026-11-21).
_MOST_EXAMINED = 300_000
# What the tags and styles around a text take, about.
_FRAME = 200
# A credential that is spelled in another way is not recognised when it is cut in two. Those in use
# are shorter than this.
_LONGEST_SECRET = 4096

_MONOSPACE = "font-family:monospace"
_LINE = "rgba(128,128,128,0.4)"
_TABLE = f"border-collapse:collapse;table-layout:auto;margin:4px 0;{_MONOSPACE}"
_CELL = f"text-align:left;vertical-align:top;padding:2px 8px;border:1px solid {_LINE};white-space:"
_LONG_CELL = f"{_CELL}pre-wrap;min-width:16em;max-width:32em;overflow-wrap:break-word"
_FACTS = "border-collapse:collapse;table-layout:auto;margin:4px 0;border:none"
_LABEL = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;border:none;opacity:0.75"
_FACT = "text-align:left;vertical-align:top;padding:1px 0;border:none;overflow-wrap:break-word"
_PRE = (
    f"white-space:pre-wrap;overflow-wrap:break-word;max-height:24em;overflow:auto;margin:4px 0;"
    f"padding:0;{_MONOSPACE}"
)

# What begins like a picture is shown as one; the type that a server names is not believed.
_SIGNATURES: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
# Steer the screen instead of standing on it: controls, turns of direction, halves of a pair.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def plain(text: str, longest: int = LONGEST_VALUE, *, has_lines: bool = False) -> str:
    """Return words of others as text for a screen: masked, cut, and without what steers it."""
    plain_text = redaction.redact_start(text, longest + _LONGEST_SECRET)
    if len(text) > longest + _LONGEST_SECRET:  # what may hold the first part of a credential goes
        plain_text = f"{plain_text[:-_LONGEST_SECRET]}…"
    plain_text = plain_text.replace("\r\n", "\n") if has_lines else " ".join(plain_text.split())
    plain_text = _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", plain_text)
    return plain_text if len(plain_text) <= longest else f"{plain_text[: longest - 1]}…"


class Writer:
    """Writes the markup of one part of a card, until that is full."""

    def __init__(self) -> None:
        self._remaining = _LARGEST
        self._examined = 0

    @property
    def is_full(self) -> bool:
        """Say whether what comes now is left out."""
        return self._remaining <= 0 or self._examined >= _MOST_EXAMINED

    def text(self, text: str, longest: int = LONGEST_VALUE, *, has_lines: bool = True) -> Html:
        """Return words of others: masked, cut to so many characters, escaped.

        Args:
            text: Whatever they are.
            longest: Characters.
            has_lines: Whether they keep their lines; else they become one.
        """
        if self.is_full:
            return Html("…")
        self._examined += min(len(text), longest + _LONGEST_SECRET)
        markup = Html(escape(plain(text, longest, has_lines=has_lines)))
        self._remaining -= len(markup) + _FRAME
        return markup

    def line(self, text: str, longest: int = LONGEST_VALUE) -> Html:
        """Return words of others on one line."""
        return self.text(text, longest, has_lines=False)

    def block(self, text: str, *, is_whole: bool) -> Html:
        """Return a text as it stands, with its lines, and say when it is not whole."""
        markup = self.text(text, LONGEST_TEXT)
        is_cut = not is_whole or len(text) > LONGEST_TEXT
        more = note("… the rest is left out") if is_cut else ""
        return Html(f'<pre style="{_PRE}">{markup}</pre>{more}')

    def facts(self, pairs: Iterable[tuple[str, object]]) -> Html:
        """Return labels with values of others, one a line; nothing for none."""
        rows = [
            f'<tr style="background:none"><th style="{_LABEL};font-weight:normal">'
            f'{self.line(label, LONGEST_NAME)}</th><td style="{_FACT}">'
            f"{self.line(str(value))}</td></tr>"
            for label, value in pairs
        ]
        if not rows:
            return Html("")
        return Html(f'<table style="{_FACTS}"><tbody>{"".join(rows)}</tbody></table>')

    def value(self, value: object, label: str | None = None, depth: int = 0) -> Html:
        """Return parsed JSON: lists of objects as tables, what has parts as a tree that folds.

        Args:
            value: Its keys are judged: what stands below the name of a credential is masked.
            label: The key or the place that it stands at; None for the whole document.
            depth: How many parts it is within; what is deep within is folded.
        """
        heading = "" if label is None else f"{self.line(label, LONGEST_NAME)}: "
        if label is not None and disclosure.is_secret(label):
            return self._leaf(heading, Html(redaction.MASK))
        if not (is_mapping(value) or is_list(value)) or not value:
            return self._leaf(heading, self.scalar(value))
        size = f"{{{len(value)}}}" if is_mapping(value) else f"[{len(value)}]"
        if depth >= DEEPEST:
            return self._leaf(heading, Html(f"{size} …"))
        is_open = not depth or (depth < _DEEPEST_OPEN and len(value) <= _MOST_OPEN)
        parts = self._parts(value, depth)
        return Html(
            f'<details{" open" if is_open else ""} style="margin:0 0 0 1em;{_MONOSPACE}">'
            f'<summary style="cursor:pointer">{heading}{note(size)}</summary>{parts}</details>'
        )

    def scalar(self, value: object) -> Html:
        """Return a value without parts much as JSON spells it."""
        if isinstance(value, str):
            # Not spelled by json: what it escapes is no longer known for a credential.
            return Html(f"&quot;{self.text(value)}&quot;")
        try:
            return self.text(json.dumps(value))
        except (TypeError, ValueError):  # no JSON, or an integer of too many digits
            return self.text(f"({type(value).__name__})")

    def _leaf(self, label: str, markup: Html) -> Html:
        style = f"margin:0 0 0 2em;overflow-wrap:break-word;white-space:pre-wrap;{_MONOSPACE}"
        return Html(f'<div style="{style}">{label}{markup}</div>')

    def _parts(self, value: Mapping[Any, Any] | Sequence[Any], depth: int) -> str:
        if is_list(value) and all(map(is_mapping, value[:MOST_ROWS])):
            return self.table(value, depth + 1)
        pairs = value.items() if is_mapping(value) else enumerate(value)
        entries: list[Html] = []
        for key, entry in islice(pairs, MOST_ENTRIES):
            if self.is_full:
                break
            entries.append(self.value(entry, str(key), depth + 1))
        return "".join([*entries, _more(entries=len(value) - len(entries))])

    def table(self, rows: Sequence[Any], depth: int = 1) -> Html:
        """Return objects as the rows of a table, their keys as its columns."""
        sample = [row for row in rows[:MOST_ROWS] if is_mapping(row)]
        names = list(dict.fromkeys(name for row in sample for name in row))
        columns = names[:MOST_COLUMNS]
        heads = (self.line(str(name), LONGEST_NAME) for name in columns)
        head = "".join(f'<th style="{_CELL}pre">{name}</th>' for name in heads)
        body: list[str] = []
        for row in sample:
            if self.is_full:
                break
            cells = (self._cell(row, name, depth) for name in columns)
            body.append(Html(f"<tr>{''.join(cells)}</tr>"))
        more = _more(rows=len(rows) - len(body), columns=len(names) - len(columns))
        return Html(
            f'<div style="overflow:auto;max-height:30em"><table style="{_TABLE}">'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{more}"
        )

    def _cell(self, row: Mapping[Any, Any], name: Any, depth: int) -> str:
        value = row.get(name, "")
        style = f"{_CELL}pre"
        if disclosure.is_secret(str(name)):
            markup = Html(redaction.MASK)
        elif (is_mapping(value) or is_list(value)) and value:
            markup = self.value(value, depth=max(depth, _DEEPEST_OPEN))
        elif isinstance(value, str):
            markup = self.text(value, LONGEST_CELL)
            style = _LONG_CELL if len(markup) > _LONGEST_IN_SHORT else style
        else:
            markup = self.scalar(value)
        return f'<td style="{style}">{markup}</td>'

    def folded(self, summary: str, inside: Html) -> Html:
        """Return what unfolds when people ask for it, below words of ours."""
        return Html(
            f'<details style="margin:4px 0"><summary style="cursor:pointer">'
            f"{note(summary)}</summary>{inside}</details>"
        )


def _more(**left_out: int) -> Html:
    """Say how many of what are left out; nothing for none."""
    counts = [f"{count:,} {what}" for what, count in left_out.items() if count > 0]
    return note(f"… and {' and '.join(counts)} more") if counts else Html("")


def note(text: str) -> Html:
    """Return words of ours that step back."""
    return Html(f'<span style="opacity:0.75">{escape(text)}</span>')


def picture_type(body: bytes) -> str | None:
    """Return the media type of a picture by how it begins; None for anything else."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((name for mark, name in _SIGNATURES.items() if body.startswith(mark)), None)


def picture(body: bytes, media_type: str) -> Html:
    """Return a picture whole, within the page: nothing is loaded for it."""
    style = "max-width:100%;max-height:30em;background:#fff"  # charts are drawn for white
    source = f"data:{media_type};base64,{b64encode(body).decode('ascii')}"
    return Html(f'<img alt="{media_type}, {size_of(len(body))}" style="{style}" src="{source}">')


def size_of(size: int) -> str:
    """Spell a number of bytes for people: "512 bytes", "1.2 MB"."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    number, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB", "PB"):
        if number < 999.95:
            break
        number, unit = number / 1000, larger
    return f"{number:,.1f} {unit}"


def seconds_of(seconds: float) -> str:
    """Spell a time for people: "0.012 s", "75.3 s"."""
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:,.1f} s"
