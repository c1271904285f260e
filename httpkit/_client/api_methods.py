"""What a session does beyond one request: resources, pages, GraphQL, many calls at once."""

from __future__ import annotations  # names of modules that are imported when they are needed

import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

import requests

import httpkit
from httpkit._client import preparation
from httpkit._client.verbs import Verbs
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._messages.response import adopt
from httpkit._policy.retry import as_policy

if TYPE_CHECKING:
    from concurrent import futures

    from httpkit._core import types
    from httpkit._diagnostics import progress
    from httpkit._policy import keywords
    from httpkit._resources import endpoint as resources
    from httpkit._resources import list_query, pagination, parallel
else:
    types = ImportedLater("httpkit._core.types")
    keywords = ImportedLater("httpkit._policy.keywords")
    futures = ImportedLater("concurrent.futures")
    progress = ImportedLater("httpkit._diagnostics.progress")
    parallel = ImportedLater("httpkit._resources.parallel")
    list_query = ImportedLater("httpkit._resources.list_query")
    pagination = ImportedLater("httpkit._resources.pagination")
    resources = ImportedLater("httpkit._resources.endpoint")

# Methods that a resource may hide: nothing in httpkit calls them, and APIs have such collections.
_MAY_BE_HIDDEN = frozenset({"events"})

T = TypeVar("T")
I_ = TypeVar("I_")


class ApiMethods(Verbs):
    """The methods of a session that are more than one plain request."""

    def __init_subclass__(cls, **options: Unpack[keywords.SessionOptions]) -> None:
        super().__init_subclass__(**options)
        if "httpkit._resources.endpoint" not in sys.modules:
            return  # nobody has a resource then
        from httpkit._resources.endpoint import Endpoint

        ours = [base for base in cls.__mro__ if base.__module__.partition(".")[0] == "httpkit"]
        reserved = {*Verbs.__attrs__, *(dir(ours[0]) if ours else ())} - _MAY_BE_HIDDEN
        for name, value in vars(cls).items():
            if isinstance(value, Endpoint) and name in reserved:
                raise ConfigurationError(
                    f"{cls.__name__}.{name} would hide what every session has: give it another"
                    f" name; its path stays {value.path!r}"
                )

    @overload
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: None = None,
        params: types.Params = None,
        **options: Unpack[keywords.ListOptions],
    ) -> httpkit.Pages[dict[str, Any]]: ...
    @overload
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: Callable[..., T],
        params: types.Params = None,
        **options: Unpack[keywords.ListOptions],
    ) -> httpkit.Pages[T]: ...
    def paginate(
        self,
        url: str | bytes,
        pages: pagination.Pager | None = None,
        *,
        items_at: str | None = None,
        model: Any = None,
        params: types.Params = None,
        **options: Unpack[keywords.ListOptions],
    ) -> httpkit.Pages[Any]:
        """Return the items of a paginated list, lazily; each loop fetches the pages again.

        A next page at another origin is requested without the credentials of the session and the
        call. A next URL that leads from https to http, or is not http(s), raises.

        Args:
            url: As for `request`.
            pages: How the next page is found: LinkPages, NextURLPages, CursorPages,
                NumberedPages or OffsetPages. None: LinkPages.
            items_at: The path of the items in a page: "data.users"; "edges.*.node" has a "*" for
                every entry or member, and "data.users?" may be missing or null. None: the page
                is the list.
            model: As for `Resource`; None: what JSON says, mostly dicts.
            params: Query parameters of every page; a next URL is followed as it is, without
                them. A pager's own parameter here is where it begins.
            **options: `method` and `json`, for a list that is requested with a document (POST,
                if `json` is given; retried, since it only reads); `decode`, a callable on the
                response that returns the page's document, for other formats than JSON; and
                keywords of `request`, for each page: headers, path, auth, timeout, ...

        Raises:
            ConfigurationError: An argument is invalid.
            RequestException: While looping; see `Pages.pages`.
        """
        from httpkit._resources.linked_pages import LinkPages
        from httpkit._resources.pages import Pages, build_query

        given: dict[str, Any] = dict(options)
        keywords.check_known(given, keywords.ListOptions)
        query = build_query(
            cast("list_query.PageClient", self),
            preparation.as_text(url),
            LinkPages() if pages is None else pages,
            items_at=items_at,
            model=model,
            params=params,
            options=given,
        )
        return Pages(query)

    @overload
    def resource(
        self, path: str, model: None = None, **options: Unpack[resources.ResourceOptions]
    ) -> httpkit.Resource[dict[str, Any]]: ...
    @overload
    def resource(
        self, path: str, model: Callable[..., T], **options: Unpack[resources.ResourceOptions]
    ) -> httpkit.Resource[T]: ...
    def resource(
        self, path: str, model: Any = None, **options: Unpack[resources.ResourceOptions]
    ) -> httpkit.Resource[Any]:
        """Return a resource of this session; `Resource` explains the arguments."""
        from httpkit._resources.resource import Resource

        made = Resource[Any](path, model, **options)
        return made.bind(cast("list_query.PageClient", self))

    @overload
    def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        operation_name: str | None = None,
        url: str = "graphql",
        model: None = None,
        **options: Unpack[keywords.OperationOptions],
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
        **options: Unpack[keywords.OperationOptions],
    ) -> T: ...
    def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        operation_name: str | None = None,
        url: str = "graphql",
        model: Callable[..., Any] | None = None,
        **options: Unpack[keywords.OperationOptions],
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
            DecodeError: It is not a GraphQL response, or its data is not of the model.
        """
        from httpkit._resources.graphql import ACCEPT, payload, policy_for, read

        keywords.check_known(options, keywords.OperationOptions)
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"url={url!r} must be the endpoint, as text")
        sent = payload(query, variables, operation_name)
        rest: dict[str, Any] = {**options}
        policy = as_policy(rest.pop("retry", self.retry))
        headers: Mapping[str, Any] = rest.pop("headers", None) or {}
        response = self.request(
            "POST",
            url,
            json=sent,
            headers={"Accept": ACCEPT, **headers},
            retry=policy_for(query, policy),
            raise_for_status=False,
            **rest,
        )
        return read(adopt(response), model)

    @overload
    def paginate_graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        at: str,
        cursor: str = "after",
        model: None = None,
        path: str = "graphql",
        operation_name: str | None = None,
        **options: Unpack[keywords.OperationOptions],
    ) -> httpkit.Pages[dict[str, Any]]: ...
    @overload
    def paginate_graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        at: str,
        cursor: str = "after",
        model: Callable[..., T],
        path: str = "graphql",
        operation_name: str | None = None,
        **options: Unpack[keywords.OperationOptions],
    ) -> httpkit.Pages[T]: ...
    def paginate_graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        at: str,
        cursor: str = "after",
        model: Callable[..., Any] | None = None,
        path: str = "graphql",
        operation_name: str | None = None,
        **options: Unpack[keywords.OperationOptions],
    ) -> httpkit.Pages[Any]:
        """Return the items of a GraphQL connection, page by page, lazily.

        The query selects `pageInfo { hasNextPage endCursor }` of the connection, and its
        `nodes` or `edges { node }`. It takes the cursor as a variable, which may be null. With
        `before: $cursor` the pages are followed from the last to the first, by
        `pageInfo { hasPreviousPage startCursor }`.

        Args:
            query: The document; it only reads, and is retried like a GET.
            variables: Values for its variables; the cursor's is where the list begins.
            at: The path of the connection in the data: "repository.issues".
            cursor: The name of the variable that takes the cursor.
            model: What a node is decoded into; None: dicts.
            path: Where the endpoint is, relative to the base URL, or absolute.
            operation_name: Which operation of the document to run; None: its only one.
            **options: Keywords of `request`: headers, auth, timeout, retry, ...

        Raises:
            ConfigurationError: The query is a mutation, or has no such variable.
            GraphQLError: While looping: the server reports errors.
            PaginationError: While looping: the connection has no `pageInfo`, or no cursor.
            RequestException: While looping; see `Pages.pages`.
        """
        from httpkit._resources.graphql import connection_query
        from httpkit._resources.pages import Pages

        keywords.check_known(options, keywords.OperationOptions)
        query_of_list = connection_query(
            cast("list_query.PageClient", self),
            query,
            variables,
            at=at,
            cursor=cursor,
            model=model,
            url=path,
            operation_name=operation_name,
            options=dict(options),
        )
        return Pages(query_of_list)

    @overload
    def poll(
        self,
        operation: requests.Response | str,
        *,
        status_at: str | Callable[[httpkit.Response], object] | None = None,
        done: Collection[str] | None = None,
        failed: Collection[str] | None = None,
        model: None = None,
        interval: float = 1.0,
        deadline: float | None = 600.0,
        progress: progress.ProgressLike = None,
    ) -> Any: ...
    @overload
    def poll(
        self,
        operation: requests.Response | str,
        *,
        status_at: str | Callable[[httpkit.Response], object] | None = None,
        done: Collection[str] | None = None,
        failed: Collection[str] | None = None,
        model: Callable[..., T],
        interval: float = 1.0,
        deadline: float | None = 600.0,
        progress: progress.ProgressLike = None,
    ) -> T: ...
    def poll(
        self,
        operation: requests.Response | str,
        *,
        status_at: str | Callable[[httpkit.Response], object] | None = None,
        done: Collection[str] | None = None,
        failed: Collection[str] | None = None,
        model: Callable[..., Any] | None = None,
        interval: float = 1.0,
        deadline: float | None = 600.0,
        progress: progress.ProgressLike = None,
    ) -> Any:
        """Wait for a long-running operation and return its result.

        The state is found by Azure-AsyncOperation or Operation-Location, by the Location of a
        202, in an operation of Google's (`done`), or in the resource itself (`status`,
        `provisioningState`). A server that is busy, or does not know a new operation yet, is
        asked again.

        Args:
            operation: The response that started it; or its URL, also in another process.
            status_at: The path of its status ("job.state"), or a callable on the response that
                returns it; None: the usual paths.
            done: The statuses that mean success, compared without case, spaces and signs; None:
                the usual ones.
            failed: The statuses that mean failure; None: the usual ones.
            model: What the result is decoded into; None: what JSON says.
            interval: Seconds between two requests, where the server sends no Retry-After.
            deadline: Seconds for all of it; None: no limit.
            progress: As for `map`; it counts requests.

        Returns:
            The result, which is Google's `response`; the final body at a Location; the resource
            that was made or changed; else the operation's document. None for what was deleted.

        Raises:
            OperationFailedError: It failed; the message is the server's.
            DeadlineExceededError: It was not done in time; pass `.url` to continue.
            StatusError: The server responds with an error status.
            DecodeError: The result is not of the model.
        """
        from httpkit._resources import operations

        options = operations.PollOptions(
            status_at=status_at,
            done=operations.DONE if done is None else done,
            failed=operations.FAILED if failed is None else failed,
            interval=interval,
            deadline=deadline,
            progress=progress,
        )
        operations.check_model(model)
        polling = operations.Operation(cast("list_query.PageClient", self), options)
        return operations.decode_result(polling.wait(operation), model)

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
        """Call a function with each item in parallel, and yield the results.

        Nothing is read from the items, and nothing is called, before you iterate. Then items are
        read in the thread that iterates, at most `4 * workers` ahead of the results, so both may be
        infinite. Leaving early, by an error, `close()` or Ctrl-C, cancels the calls that have not
        begun and does not wait for those that have.

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
            ConfigurationError: At once: an argument is invalid.
        """
        from httpkit._resources import parallel

        plan = parallel.Plan(workers, executor, ordered, errors, progress)
        return plan.run(fn, items)
