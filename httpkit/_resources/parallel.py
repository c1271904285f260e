"""One function over many items at once, in threads or on anybody's executor.

The caller's thread pulls the items and hands out the results; the workers only call. What is
in flight is bounded, so that neither an endless source nor a slow reader fills the memory.
"""

import operator
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from httpkit._core import redaction, waits
from httpkit._diagnostics.base_errors import check_count
from httpkit._diagnostics.errors import ConfigurationError, add_note
from httpkit._diagnostics.progress import ProgressLike, Reporter, WithoutBar, check_progress

I_ = TypeVar("I_")
R = TypeVar("R")
Errors: TypeAlias = Literal["raise", "return"]

# Calls in flight for each worker, those included whose result waits for its turn. Two keep a
# worker busy; four let the others go on while one call takes as long as four.
_IN_FLIGHT = 4
# Characters of an item in a note, and those that are looked at for it.
_LONGEST_ITEM, _LONGEST_EXAMINED = 200, 4096


class _Submitter(Protocol):
    """What running the calls needs of an executor."""

    def submit(self, fn: Callable[[I_], R], item: I_, /) -> futures.Future[R]:
        """Call a function with an item, somewhere, some time."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How a function is applied to many items; `Session.map` explains the fields.

    Raises:
        ConfigurationError: A field cannot work.
    """

    workers: int = 8
    executor: futures.Executor | None = None
    ordered: bool = True
    errors: Errors = "raise"
    progress: ProgressLike = None

    def __post_init__(self) -> None:
        check_count("workers", self.workers, least=1)
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            raise ConfigurationError(f"executor={self.executor!r} has no submit()")
        if self.errors not in {"raise", "return"}:
            raise ConfigurationError(f"errors={self.errors!r} must be 'raise' or 'return'")
        check_progress(self.progress)

    def run(
        self, fn: Callable[[I_], R], items: Iterable[I_]
    ) -> Generator[R | Exception, None, None]:
        """Return the results, lazily: nothing is pulled or called before the first is requested.

        Raises:
            ConfigurationError: There is nothing to call, or nothing to call it with.
        """
        if not callable(fn):
            raise ConfigurationError(f"fn={fn!r} cannot be called")
        if not isinstance(items, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"items={type(items).__name__} cannot be iterated over")
        return self._results(fn, items)

    def _results(
        self, fn: Callable[[I_], R], items: Iterable[I_]
    ) -> Generator[R | Exception, None, None]:
        reporter = Reporter(self.progress, _name(fn), unit="it")
        reporter.begin(0, operator.length_hint(items) or None)
        workers = _Workers(self.workers) if self.executor is None else None
        called = WithoutBar(fn) if reporter.shows_bar else fn
        fetch = _Fetch(workers or self.executor, called, items, self)
        try:
            while (finished := fetch.next()) is not None:
                reporter.advance(1)
                yield finished.pop()  # the reader's now, and not kept here while it works on it
        finally:
            # Not waited for: an interrupt, an error or a reader that has enough want no more.
            fetch.cancel()
            if workers is not None:
                workers.stop()
            reporter.finish()
        if workers is not None:  # all calls have ended, and so do the threads
            workers.join()


class _Fetch:
    """The calls that are under way, in the order of their items."""

    def __init__(self, submitter: Any, fn: Any, items: Iterable[Any], plan: Plan) -> None:
        self._submitter: _Submitter = submitter
        self._fn = fn
        self._items = enumerate(items)
        self._plan = plan
        self._most = _IN_FLIGHT * plan.workers
        self._under_way: dict[futures.Future[Any], tuple[int, object]] = {}
        self._finished: queue.SimpleQueue[futures.Future[Any]] = queue.SimpleQueue()
        self._error: Exception | None = None  # with the items, or with who runs the calls

    def next(self) -> list[Any] | None:
        """Start what there is room for, and wait for a result; None after the last.

        When the items or the executor fail, the results of what was begun come first.
        """
        self._start()
        if not self._under_way:
            self._fail()
            return None
        future = (
            next(iter(self._under_way)) if self._plan.ordered else waits.item(self._finished.get)
        )
        error = waits.result(future)
        number, item = self._under_way.pop(future)
        if error is None:
            return [future.result()]
        add_note(error, f"for item [{number}]: {_describe(item)}")
        if self._plan.errors == "return" and isinstance(error, Exception):
            return [error]
        try:
            raise error
        finally:
            del error, future  # or they would hold this frame, and this frame them

    def _start(self) -> None:
        if self._error is not None:
            return
        try:
            for number, item in islice(self._items, self._most - len(self._under_way)):
                future = self._submitter.submit(self._fn, item)
                self._under_way[future] = number, item
                if not self._plan.ordered:
                    future.add_done_callback(self._finished.put)
        except Exception as error:  # noqa: BLE001  # raised at the end; an interrupt is at once
            self._error = error

    def _fail(self) -> None:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # or it would hold this frame, and this frame it

    def cancel(self) -> None:
        """Take back what was not begun."""
        for future in self._under_way:
            future.cancel()


class _Workers:
    """Threads for one mapping.

    Not a ThreadPoolExecutor: the interpreter waits at its exit for whatever its threads are
    doing, which after Ctrl-C is a request of up to a minute. These are daemons.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads: list[threading.Thread] = []
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def submit(self, fn: Callable[[I_], R], item: I_, /) -> futures.Future[R]:
        """Call a function with an item, as soon as a thread is free."""
        future: futures.Future[R] = futures.Future()
        context = copy_context()  # a trace, for instance, that the call is a part of
        self._tasks.put(lambda: context.run(_call, future, fn, item))
        if len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name="httpkit-map", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # it holds the result, and this thread may now wait for long

    def stop(self) -> None:
        """Let each thread end after the call that it is in."""
        for _ in self._threads:
            self._tasks.put(None)

    def join(self) -> None:
        """Wait until the last thread has ended."""
        for thread in self._threads:
            waits.thread(thread)


def _call(future: futures.Future[R], fn: Callable[[I_], R], item: I_) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(fn(item))
    except BaseException as error:  # noqa: BLE001  # it is raised where the results are read
        future.set_exception(error)


def _name(fn: object) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _describe(item: object) -> str:
    """Return an item for a note: redacted, and cut short."""
    try:
        text = repr(item)
    except Exception:  # noqa: BLE001  # a repr of the caller's must not replace the error
        return f"<{type(item).__name__}>"
    text = redaction.redact_start(text, _LONGEST_EXAMINED)
    return text if len(text) <= _LONGEST_ITEM else f"{text[: _LONGEST_ITEM - 1]}…"
