"""How much a host can bear: a budget for retries, and a pause that it asked for.

When a server is down, retries multiply its load by the number of attempts just when it can
bear it least. A budget lets a few requests retry freely and stops a flood of them. A server
that says when to come back says it to every thread.

Rule: nothing here waits; the delivery does.
"""

from __future__ import annotations

import math

from httpkit._core.forks import OfSession

# After botocore's standard mode: a lost connection costs more than an error status. A call that
# gets through gives back what its retries cost, so that the budget ends no long job.
STATUS_COST = 5
TRANSPORT_COST = 14
SUCCESS_GAIN = 1
# Hosts that are remembered at least; a crawler that meets a million of them must not grow.
MOST_HOSTS = 1024


class Budget(OfSession):
    """A token bucket for each host, shared by the threads of a session.

    Attributes:
        spent: Tokens that are missing, by host; most hosts miss none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spent: dict[str, int] = {}

    def spend(self, host: str, cost: int, capacity: int) -> bool:
        """Take tokens for one retry; say whether there were enough."""
        with self._lock:
            spent = self.spent.get(host, 0) + cost
            if spent > capacity:
                return False
            self.spent[host] = spent
            return True

    def refund(self, host: str, tokens: int) -> None:
        """Give back tokens after a success; a host never has more than the capacity."""
        if host not in self.spent:  # most hosts never fail: no lock for them
            return
        with self._lock:
            remaining = self.spent.get(host, 0) - tokens
            if remaining > 0:
                self.spent[host] = remaining
            else:
                self.spent.pop(host, None)

    def __reduce__(self) -> tuple[type[Budget], tuple[()]]:
        return Budget, ()


# Seconds. A retry waits for the same moment, but reads the clocks a little later than the throttle
# did: what is left then is no reason for another wait.
_SHORTEST_WAIT = 0.01
# Seconds. Waits that differ by no more are one wait to a reader of the log: servers round what they
# ask for to seconds.
SAME_WAIT = 1.0


class HostThrottle(OfSession):
    """Until when each host asked to be left alone, shared by the threads of a session.

    Attributes:
        ends: Seconds on the monotonic clock, by host; most hosts never ask.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, float] = {}
        self._logged: dict[str, tuple[float, float]] = {}

    def extend(self, host: str, now: float, seconds: float) -> None:
        """Leave a host alone for so long from now, or longer if it said so before."""
        with self._lock:
            if len(self.ends) >= MOST_HOSTS:
                self.ends = {name: end for name, end in self.ends.items() if end > now}
            self.ends[host] = max(now + seconds, self.ends.get(host, now))

    def remaining(self, host: str, now: float) -> float:
        """Return the seconds that a host is still to be left alone; 0 when it is not."""
        remaining = self.ends.get(host, now) - now
        return remaining if remaining > _SHORTEST_WAIT else 0.0

    def should_log(self, host: str, now: float, seconds: float, *, sent_at: float) -> bool:
        """Say whether a wait is to be logged: not if other threads are in one of that length.

        Args:
            host: Which one asked to wait.
            now: Seconds on the monotonic clock.
            seconds: How long the wait is.
            sent_at: When the request was sent that was told to wait: one that was on its way
                when another was told has no news.
        """
        with self._lock:
            end, longest = self._logged.get(host, (-math.inf, 0.0))
            is_new = sent_at >= end or seconds > longest + SAME_WAIT
            if len(self._logged) >= MOST_HOSTS:
                self._logged = {}
            longest = seconds if is_new else longest
            self._logged[host] = max(end, now + seconds), longest
            return is_new

    def __reduce__(self) -> tuple[type[HostThrottle], tuple[()]]:
        return HostThrottle, ()
