"""The traceback of an uncaught error in IPython: the user's lines, and the card of the error.

IPython asks an error for `_render_traceback_`. Python's own tracebacks stay complete.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import requests

from httpkit._display import cards

# Packages whose frames do not help to find the mistake in a cell.
_INTERNAL = frozenset({
    "httpkit", "requests", "urllib3", "tenacity", "http", "ssl", "socket",
    "IPython", "ipykernel",
})  # fmt: skip
# The error and the cell of the last card: IPython renders a traceback again for its history.
_last_displayed: list[tuple[int, int]] = []


class Renderer:
    """`_render_traceback_` for an error of requests' own class, as an attribute of the error."""

    def __init__(self, error: requests.RequestException) -> None:
        self._error = error

    def __call__(self) -> list[str]:
        """Return the lines that IPython prints."""
        return render(self._error)


def attach(error: requests.RequestException) -> None:
    """Give an error of requests' own class the method that IPython looks for."""
    if not hasattr(error, "_render_traceback_"):
        vars(error)["_render_traceback_"] = Renderer(error)


def render(error: requests.RequestException) -> list[str]:
    """Return what IPython prints of an uncaught error, and display its card in a notebook."""
    shell: Any = sys.modules["IPython"].get_ipython()
    visible, hidden = _split(error.__traceback__)
    with suppress(Exception):  # whatever a card meets, there is a traceback
        _display_card(shell, error)
    if visible is None or not shell.InteractiveTB.skip_hidden:
        visible, hidden = error.__traceback__, 0
    cause, is_suppressed = error.__cause__, error.__suppress_context__
    error.__cause__ = None  # sets __suppress_context__: the causes have internal frames only
    try:
        lines = shell.InteractiveTB.structured_traceback(type(error), error, visible, tb_offset=0)
    finally:
        error.__cause__, error.__suppress_context__ = cause, is_suppressed
    return [*lines, *_hint(hidden)]


def _hint(hidden: int) -> Iterator[str]:
    if hidden:
        yield f"({hidden} internal frames hidden: traceback.print_exception(sys.last_value))"


def _split(traceback: TracebackType | None) -> tuple[TracebackType | None, int]:
    """Return a traceback without internal frames, and how many were left out."""
    frames: list[TracebackType] = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    kept = [each for each in frames if not _is_internal(each)]
    visible = None
    for each in reversed(kept):
        visible = TracebackType(visible, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return visible, len(frames) - len(kept)


def _is_internal(traceback: TracebackType) -> bool:
    module = str(traceback.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _INTERNAL


def _display_card(shell: Any, error: requests.RequestException) -> None:
    if "text/html" not in shell.display_formatter.active_types:
        return  # a terminal
    this = (id(error), shell.execution_count)
    if this in _last_displayed:
        return
    _last_displayed[:] = [this]
    card = cards.make_card(error, lambda: cards.of_error(error))
    shell.display_pub.publish({"text/html": card, "text/plain": repr(error)})
