"""An error, and all that it came from or holds."""

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that it holds, or was raised from, each once.

    What is given may be changed before the next is asked for: the way on is known by then.
    """
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        pending += [*current.args, current.__cause__, current.__context__]
        # As urllib3 names them.
        pending += [getattr(current, "reason", None), getattr(current, "original_error", None)]
        yield current
