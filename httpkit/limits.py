"""How much retrying a host can bear.

When a server is down, retries multiply its load by the number of attempts just when it can
bear it least. A budget lets a few requests retry freely and stops a flood of them.
"""

from threading import Lock

# After botocore's standard mode: a lost connection costs more than an error status.
STATUS_COST = 5
TRANSPORT_COST = 14
_SUCCESS_GAIN = 1


class Budget:
    """A token bucket for each host, shared by the threads of a session."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._lock = Lock()

    def spend(self, host: str, cost: int, capacity: int) -> bool:
        """Take tokens for one retry; say whether there were enough."""
        with self._lock:
            spent = self._spent.get(host, 0) + cost
            if spent > capacity:
                return False
            self._spent[host] = spent
            return True

    def earn(self, host: str) -> None:
        """Give back a token after a success."""
        if host not in self._spent:  # most hosts never fail: no lock for them
            return
        with self._lock:
            left = self._spent.get(host, 0) - _SUCCESS_GAIN
            if left > 0:
                self._spent[host] = left
            else:
                self._spent.pop(host, None)

    def __reduce__(self) -> tuple[type["Budget"], tuple[()]]:
        return Budget, ()
