"""One bar, in a terminal or a notebook. The only importer of tqdm.

`HTTPKIT_PROGRESS=off` in the environment silences every bar, `on` shows them where nobody
seems to look (a log file).
"""

import importlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from httpkit._core.classes import public
from httpkit._core.filenames import printable
from httpkit._diagnostics.errors import ConfigurationError

_within_bar: ContextVar[bool] = ContextVar("httpkit_within_bar", default=False)

# People cannot read faster, and drawing must not cost throughput.
_SHORTEST_INTERVAL = 0.1


@public
@dataclass(slots=True)
class Progress:
    """The progress of a transfer in bytes, or of `map` in items.

    Attributes:
        done: Bytes that are there, with those of earlier runs; or results.
        total: Bytes or items in total; None if unknown.
        elapsed: Seconds since this run began.
        resumed_from: Bytes that were there when this run began; 0 for items.
    """

    done: int = 0
    total: int | None = None
    elapsed: float = 0.0
    resumed_from: int = 0


@runtime_checkable
class Bar(Protocol):
    """What tqdm's bars, and bars like them, have."""

    total: Any

    def update(self, n: int = 1) -> object:
        """Move on by so many."""
        ...


Unit: TypeAlias = Literal["B", "it"]
ProgressLike: TypeAlias = bool | Callable[[Progress], object] | Bar | None


def check_progress(progress: object) -> None:
    """Refuse what can show no progress.

    Raises:
        ConfigurationError: It must be a bool, a callable or a bar.
    """
    if progress is not None and not isinstance(progress, (bool, Bar)) and not callable(progress):
        raise ConfigurationError(f"progress={progress!r} must be a bool, a callable or a bar")


class Reporter:
    """Tells a bar or a callable how far a transfer is, ten times a second at most.

    Args:
        progress: True for a bar, a callable given a Progress, a tqdm-like bar; None or False
            for nothing.
        label: What is transferred, for a bar of our own.
        unit: What is counted: "B" for bytes, which the bar scales by 1024, or "it" for items.
    """

    def __init__(self, progress: ProgressLike, label: str, *, unit: Unit = "B") -> None:
        self.state: Progress = Progress()
        self._label = label
        self._unit: Unit = unit
        self._started = self._reported = time.monotonic()
        self._progress = progress if not isinstance(progress, bool) else None
        self._wants_bar = progress is True and _is_watched() and not _within_bar.get()
        self._bar: Any = progress if isinstance(progress, Bar) else None
        self._displayed = 0
        self._is_begun = False

    @property
    def shows_bar(self) -> bool:
        """Whether a bar of our own is shown."""
        return self._wants_bar

    @property
    def is_due(self) -> bool:
        """Whether the last report is old enough for another one."""
        return time.monotonic() - self._reported >= _SHORTEST_INTERVAL

    def begin(self, done: int, total: int | None) -> None:
        """Say what is known now; a transfer that starts over says it again."""
        self.state.done, self.state.total = done, total
        if not self._is_begun:
            self._is_begun = True
            self.state.resumed_from = done
            if self._wants_bar:
                self._bar = _make_bar(printable(self._label, "utf-8"), done, total, self._unit)
                self._displayed = done
            self._report()
        if self._bar is not None and total is not None:
            self._bar.total = total

    def advance(self, size: int) -> None:
        """Say that so many bytes more are there."""
        self.reach(self.state.done + size)

    def reach(self, done: int) -> None:
        """Say how many bytes are there now."""
        self.state.done = done
        if self.is_due:
            self._report()

    def finish(self) -> None:
        """Report the last state and close a bar of our own."""
        if self._is_begun:
            self._report()
        if self._wants_bar and self._bar is not None:
            self._bar.close()

    def _report(self) -> None:
        self._reported = time.monotonic()
        self.state.elapsed = self._reported - self._started
        if self._bar is not None:
            self._bar.update(self.state.done - self._displayed)
            self._displayed = self.state.done
        elif callable(self._progress):
            self._progress(self.state)


@dataclass(frozen=True, slots=True)
class WithoutBar:
    """Calls a function that is counted by a bar already: what it transfers shows none.

    Attributes:
        fn: The function; this pickles if it does.
    """

    fn: Callable[[Any], Any]

    def __call__(self, item: Any) -> Any:
        """Call the function."""
        __tracebackhide__ = True
        token = _within_bar.set(True)
        try:
            return self.fn(item)
        finally:
            _within_bar.reset(token)


def _is_watched() -> bool:
    switch = os.environ.get("HTTPKIT_PROGRESS", "").strip().lower()
    if switch in {"off", "0", "no", "false"}:
        return False
    if _in_notebook():
        return True
    if not _is_open(sys.stderr):
        return False
    return switch in {"on", "1", "yes", "true"} or _is_terminal(sys.stderr)


def _is_open(stream: Any) -> bool:
    """Say whether there is a stderr: a daemon or a program without a console may have none."""
    try:
        return hasattr(stream, "write") and not getattr(stream, "closed", False)
    except ValueError:  # it is detached from its file
        return False


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


class _Stderr:
    """stderr for a bar: what it lacks or cannot take is left out, and never ends a transfer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "ascii"

    def write(self, text: str) -> None:
        """Write what the encoding can say; the rest is escaped."""
        with suppress(Exception):
            self._stream.write(printable(text, self.encoding))

    def flush(self) -> None:
        """Flush, if it can be."""
        with suppress(Exception):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:
        # So `tqdm.write` knows that the bar is where it prints to.
        return self._stream is getattr(other, "_stream", other)

    def __hash__(self) -> int:
        return hash(id(self._stream))


def _in_notebook() -> bool:
    # A kernel's stderr is no terminal, but somebody looks at it. IPython is not imported for
    # this: where it is not imported already, this is no notebook.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def _make_bar(label: str, done: int, total: int | None, unit: Unit) -> Any:
    from tqdm.std import tqdm

    size = shutil.get_terminal_size()
    settings: dict[str, Any] = {
        "desc": label, "initial": done, "total": total, "unit": unit, "unit_scale": unit == "B",
        "unit_divisor": 1024, "mininterval": 0, "leave": True,
        # A pseudo-terminal may say that it is 0 by 0, for which tqdm draws nothing.
        # A Windows console begins a new line after a character in the last column.
        "ncols": size.columns - (os.name == "nt"), "nrows": size.lines,
    }  # fmt: skip
    if not _in_notebook():
        with suppress(OSError, ValueError):  # it flushes stdout and stderr by itself
            return tqdm(**settings, file=_Stderr(sys.stderr))
        return None

    class NotebookBar(tqdm):  # type: ignore[type-arg]  # generic in its stubs only
        """A bar whose last state is saved in the cell, without ipywidgets."""

        def __init__(self, **options: Any) -> None:
            display_module: Any = importlib.import_module("IPython.display")
            self._html = display_module.HTML
            self._handle: Any = display_module.display(display_module.HTML(""), display_id=True)
            super().__init__(file=io.StringIO(), **options)  # pyright: ignore[reportUnknownMemberType]  # typed in part only

        def display(self, *_: Any, **__: Any) -> None:
            self._handle.update(self._html(_as_html(dict(self.format_dict), str(self))))

        def close(self) -> None:
            if not self.disable:
                self.display()
                super().close()

    return NotebookBar(**settings)


def _as_html(facts: dict[str, Any], text: str) -> str:
    total = facts.get("total")
    bar = f'<progress value="{facts["n"]}" max="{total}"></progress> ' if total else ""
    # JupyterLab strips <style> from reopened notebooks; inline colours stay.
    return f'<div style="font-family:monospace">{bar}{escape(text)}</div>'
