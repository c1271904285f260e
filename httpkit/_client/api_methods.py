"""More than one request, or more than a request: GraphQL operations, many calls at once."""

from __future__ import annotations  # names of modules that are imported when they are needed

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from httpkit._client.verbs import Verbs
from httpkit._core.types import ImportedLater
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._messages.response import adopt
from httpkit._policy.options import OperationOptions, check_known
from httpkit._policy.retry import RetryPolicy, as_policy

if TYPE_CHECKING:
    from concurrent import futures

    from httpkit._diagnostics import progress
    from httpkit._resources import parallel
else:
    futures = ImportedLater("concurrent.futures")
    progress = ImportedLater("httpkit._diagnostics.progress")
    parallel = ImportedLater("httpkit._resources.parallel")

T = TypeVar("T")
I_ = TypeVar("I_")


class Operations(Verbs):
    """The operations of a session that are not one plain request."""

    if TYPE_CHECKING:
        retry: RetryPolicy | int | None  # Session defines it

    @overload
    def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        operation_name: str | None = None,
        url: str = "graphql",
        model: None = None,
        **options: Unpack[OperationOptions],
    ) -> dict[str, Any]: ...
    @overload
    def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        operation_name: str | None = None,
        url: str = "graphql",
        model: Callable[..., T],
        **options: Unpack[OperationOptions],
    ) -> T: ...
    def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        operation_name: str | None = None,
        url: str = "graphql",
        model: Callable[..., Any] | None = None,
        **options: Unpack[OperationOptions],
    ) -> Any:
        """Run a GraphQL operation and return its data.

        It is a POST. A document of queries alone is repeated like a GET; a mutation only
        when it was certainly not processed, or with `idempotency_key=`.

        Args:
            query: The document.
            variables: Values for its variables; a model is encoded. None sends none.
            operation_name: Which operation of the document to run; None: its only one.
            url: Where the endpoint is, relative to the base URL, or absolute.
            model: What the data is decoded into, as for `Response.decode`; None: a dict.
            **options: Keywords of `request`: headers, auth, timeout, retry, ...

        Raises:
            GraphQLError: The server reports errors; `.data` is what it gave all the same.
            StatusError: The status is an error, and the body reports none; or it is 401, 403,
                407, 408, 429 or from 500, whatever the body reports.
            DecodeError: The answer is no GraphQL response, or its data is not of the model.
        """
        from httpkit._resources.graphql import ACCEPT, payload, policy_for, read

        check_known(options, OperationOptions)
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"url={url!r} must be the endpoint, as text")
        sent = payload(query, variables, operation_name)
        asked: dict[str, Any] = {**options}
        policy = as_policy(asked.pop("retry", self.retry))
        headers: Mapping[str, Any] = asked.pop("headers", None) or {}
        response = self.request(
            "POST",
            url,
            json=sent,
            headers={"Accept": ACCEPT, **headers},
            retry=policy_for(query, policy),
            raise_for_status=False,
            **asked,
        )
        return read(adopt(response), model)

    @overload
    def map(
        self,
        fn: Callable[[I_], T],
        items: Iterable[I_],
        *,
        workers: int = 8,
        executor: futures.Executor | None = None,
        ordered: bool = True,
        errors: Literal["raise"] = "raise",
        progress: progress.ProgressLike = None,
    ) -> Generator[T, None, None]: ...
    @overload
    def map(
        self,
        fn: Callable[[I_], T],
        items: Iterable[I_],
        *,
        workers: int = 8,
        executor: futures.Executor | None = None,
        ordered: bool = True,
        errors: Literal["return"],
        progress: progress.ProgressLike = None,
    ) -> Generator[T | Exception, None, None]: ...
    def map(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        workers: int = 8,
        executor: futures.Executor | None = None,
        ordered: bool = True,
        errors: parallel.Errors = "raise",
        progress: progress.ProgressLike = None,
    ) -> Generator[Any, None, None]:
        """Apply a function to many items at once, and give the results as they come.

        Nothing is pulled from the items, and nothing is called, before the first result is
        asked for. Then items are pulled, in the reader's own thread, at most `4 * workers`
        ahead of the results that were taken: both may go on for ever. Leaving early, by an
        error, `close()` or Ctrl-C, cancels the calls that have not begun and does not wait
        for those that have.

        Args:
            fn: Called with one item; a method of this session or of its resources mostly.
            items: Any iterable.
            workers: How many calls at once, 1 or more. With an executor, which has workers
                of its own, it only bounds how many are submitted ahead. Connections beyond
                100 to one host are not kept open.
            executor: Any `futures.Executor`: a process pool, loky's, or a dask
                cluster's `client.get_executor()`; it is not shut down. None: threads of our
                own, which end with the mapping.
            ordered: Whether results come in the order of the items, or as they are done.
            errors: "raise" the first error, or "return" errors in the place of results.
                Either way it has a note that names the item.
            progress: True shows a bar of items, a callable is given a Progress at most ten
                times a second, a tqdm-like bar is updated; None shows nothing.

        Returns:
            A generator of the results.

        Raises:
            Exception: While looping: whatever `fn` raises, or the items.
            ConfigurationError: At once: an argument cannot work.
        """
        from httpkit._resources import parallel

        plan = parallel.Plan(workers, executor, ordered, errors, progress)
        return plan.run(fn, items)
