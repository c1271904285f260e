"""From a prepared request to its final response: redirects, retries, signatures, limits.

    send -> follow -> send_with_retries -> _attempt -> attempt.transmit

Each step has one concern and calls only the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.exceptions import TooManyRedirects

from httpkit._client.attempt import Options, check_deadline
from httpkit._core import upstream
from httpkit._core.clock import CLOCK, NO_DEADLINE, Deadline
from httpkit._core.lazy import ImportedLater
from httpkit._core.upstream import RequestsResponse
from httpkit._messages.call import Call, call_of
from httpkit._messages.request import PreparedRequest
from httpkit._messages.response import is_handed_over
from httpkit._policy import limits, retry
from httpkit._transport import raw_response

if TYPE_CHECKING:
    from httpkit._client.attempt import AdapterHolder
    from httpkit._diagnostics import errors, log_records
    from httpkit._messages import reading
    from httpkit._policy import rate_limits, redirects, retry_loop
else:
    reading = ImportedLater("httpkit._messages.reading")
    log_records = ImportedLater("httpkit._diagnostics.log_records")
    rate_limits = ImportedLater("httpkit._policy.rate_limits")
    errors = ImportedLater("httpkit._diagnostics.errors")
    redirects = ImportedLater("httpkit._policy.redirects")
    retry_loop = ImportedLater("httpkit._policy.retry_loop")

# Statuses after which there may be more to do than the policy says: another signature, or a
# pause for all threads.
_NOTEWORTHY = frozenset({401, 403, 429, 503})


if TYPE_CHECKING:

    class Sender(AdapterHolder, redirects.Rebuilder, Protocol):
        """What a delivery needs of a session."""

        cookies: Any
        max_redirects: int

        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            """Send a request; each hop of a redirect goes through it, so that overrides see it."""
            ...

        def get_redirect_target(self, resp: requests.Response) -> str | None:
            """Return the Location of a redirect."""
            ...

        def resolve_redirects(
            self, resp: requests.Response, req: requests.PreparedRequest, **kwargs: Any
        ) -> Generator[Any, None, None]:
            """Follow redirects by hand."""
            ...

        def rebuild_proxies(
            self, prepared_request: requests.PreparedRequest, proxies: dict[str, str] | None
        ) -> dict[str, str]:
            """Return the proxies for another URL."""
            ...


class Delivery:
    """One request that is being sent, with requests' keywords for `send`.

    Attributes:
        session: Whose request it is.
        read: Reads a body into memory, within its bounds.
        keeps_third_party: Whether errors of mocks and third-party adapters keep their messages.
        transmit: Sends once and reads the response; it leaves the request as it is.
        request: What is sent.
        call: Of the request; its deadline has started.
        options: timeout, stream, verify, cert and proxies.
        follows_redirects: Whether a redirect will be followed, here or by whom this is a hop of.
        budget: The session's tokens for retries.
        host_throttle: Hosts that asked to wait, and until when.
        rate_limiter: The session's own rate; None is off.
    """

    def __init__(
        self,
        *,
        session: Sender,
        read: Callable[[requests.Response, int | None, Callable[[], None]], None],
        keeps_third_party: bool,
        transmit: Callable[
            [PreparedRequest, Options, Callable[[requests.Response], None]], requests.Response
        ],
        request: PreparedRequest,
        call: Call,
        options: Options,
        follows_redirects: bool,
        budget: limits.Budget,
        host_throttle: limits.HostThrottle,
        rate_limiter: rate_limits.RateLimiter | None,
    ) -> None:
        self.session = session
        self.read = read
        self.keeps_third_party = keeps_third_party
        self.transmit = transmit
        self.request = request
        self.call = call
        self.options = options
        self.follows_redirects = follows_redirects
        self.budget = budget
        self.host_throttle = host_throttle
        self.rate_limiter = rate_limiter

    def send(self, _: requests.PreparedRequest, /, *, follows: bool) -> requests.Response:
        """Send the request, and its redirects. Raises: as `follow`."""
        if follows:
            return self.follow()
        response = self.send_with_retries()
        if not self.follows_redirects:
            upstream.set_next(response, self.next_request(response))
        return response

    # ---- Redirects

    def follow(self) -> requests.Response:
        """Send the request and follow where its responses lead.

        Raises:
            RedirectError: A redirect leads where this request must not go.
            TooManyRedirects: There were more than `max_redirects`.
        """
        first = self.send_with_retries()
        if self.session.get_redirect_target(first) is None:
            return first
        return [first, *self.iter_redirects(first)][-1]

    def iter_redirects(self, response: requests.Response) -> Generator[requests.Response]:
        """Send the redirects, one after the other; give each response.

        Raises: as `follow`.
        """
        history: list[requests.Response] = []
        request, proxies = self.request, self.options["proxies"]
        while location := self.session.get_redirect_target(response):
            if len(history) >= self.session.max_redirects:
                raise _too_many(response, self.session.max_redirects)
            reading.drain(response, self._check_deadline)
            request = redirects.follow(response, request, call_of(request), location, self.session)
            redirects.check_progress(response, request)
            withheld_reason = call_of(request).credentials.withheld_reason
            log_records.redirect(response, request, credentials_withheld=withheld_reason)
            proxies = self.session.rebuild_proxies(request, proxies)
            history.append(response)
            options = {**self.options, "proxies": proxies, "allow_redirects": False}
            response = self.session.send(request, **options)
            response.history = [*history, *response.history]
            yield response

    def next_request(self, response: requests.Response) -> PreparedRequest | None:
        """Return the request that follows a redirect, unsent; None for any other response."""
        location = self.session.get_redirect_target(response)
        if not location:
            return None
        try:
            following = redirects.follow(response, self.request, self.call, location, self.session)
        except errors.RedirectError:
            return None
        # It is sent whenever the caller likes: its deadline starts then.
        following.call = call_of(following).replace(deadline=None, is_hop=False)
        return following

    # ---- Retries

    def send_with_retries(self) -> requests.Response:
        """Send the request until it needs no further attempt.

        Raises:
            RequestException: The last attempt failed; the attempts and the reason to stop
                are on the error.
        """
        started = CLOCK.monotonic()
        state = retry.RetryState(
            policy=self.call.options.retry,
            request=self.request,
            not_replayable_reason=self.request.body_start.not_replayable_reason,
            deadline=self.call.deadline or NO_DEADLINE,
            spend=self._spend,
            keeps_third_party=self.keeps_third_party,
            started=started,
            checks_retry_if=not self.options["stream"],
            should_log=self._should_log,
        )
        try:
            response = self._send(state)
        except requests.RequestException as error:
            errors.annotate(
                error,
                self.request,
                attempts=state.attempts,
                seconds=CLOCK.monotonic() - started,
                stop_reason=state.stop_reason,
                keeps_third_party=self.keeps_third_party,
            )
            raise
        if self.budget.spent:
            gain = limits.SUCCESS_GAIN if response.status_code < 400 else 0
            self.budget.refund(self._host, gain + state.refund(response))
        response.__dict__.update(
            attempts=state.attempts,
            stop_reason=state.stop_reason or state.not_refreshed_reason,
            credentials_withheld=self.call.credentials.withheld_reason,
        )
        return response

    def _send(self, state: retry.RetryState) -> requests.Response:
        policy = state.policy
        first: requests.Response | requests.RequestException
        try:
            first = self._attempt(state)
        except requests.RequestException as error:
            if policy is None:
                raise
            first = error
        else:
            is_response = isinstance(first, RequestsResponse)  # pyright: ignore[reportUnnecessaryIsInstance]  # or a mock
            if policy is None or (is_response and state.is_final(first)):
                return first
        loop = retry_loop.RetryLoop(state, policy)
        return retry_loop.retry_from(first, self._attempt, loop, self._release)

    def _attempt(self, state: retry.RetryState) -> requests.Response:
        """Make one attempt, signed; replace a rejected signature once."""
        if self.host_throttle.ends or self.rate_limiter is not None:
            self._wait_for_rate_limit()
        request, credentials = self.request, self.call.credentials
        if credentials.sign and not (request.is_signed and state.attempts == 0):
            request = self._sign(state)
        state.attempts += 1
        response = self.transmit(request, self.options, self._read)
        if response.status_code not in _NOTEWORTHY:
            return response
        can_refresh = credentials.sign and credentials.refreshable and not state.was_refreshed
        if response.status_code == 401 and can_refresh:
            return self._sign_again(response, request, state)
        self._record_retry_after(response)
        return response

    def _sign(self, state: retry.RetryState) -> PreparedRequest:
        """Return a signed copy; failing to sign has retries of its own, and is not retried here."""
        sign: Any = self.call.credentials.sign
        try:
            signed: PreparedRequest = sign(self.request.copy())
        except BaseException:
            state.is_unsigned = True
            raise
        return signed

    def _sign_again(
        self, response: requests.Response, rejected: PreparedRequest, state: retry.RetryState
    ) -> requests.Response:
        """Sign again after a 401, if the signature is another one; return the final response."""
        refreshable: Any = self.call.credentials.refreshable
        refreshable.reject(rejected)  # whether or not this body can be sent again
        if state.not_replayable_reason:
            state.not_refreshed_reason = f"not signed again: {state.not_replayable_reason}"
            return response
        try:
            signed = self._sign(state)
        except BaseException:
            response.close()
            raise
        if (signed.url, signed.headers) == (rejected.url, rejected.headers):
            return response
        state.was_refreshed = True
        self._release(response)
        self._wait_for_rate_limit()
        log_records.signed_again(signed)
        response = self.transmit(signed, self.options, self._read)
        if response.status_code != 401:
            refreshable.accept(signed)
        self._record_retry_after(response)
        return response

    def _read(self, response: requests.Response) -> None:
        """Read the body into memory, unless the caller wants to."""
        if is_handed_over(response.raw):
            raw_response.lift_deadline(response.raw, self.options["timeout"])
            upstream.keep_content(response, b"")
            return  # nobody but the caller reads from the connection now
        try:
            if self.follows_redirects and response.is_redirect and response.headers["location"]:
                reading.drain(response, self._check_deadline)
            elif self.options["stream"]:
                raw_response.lift_deadline(response.raw, self.options["timeout"])
            else:
                self.read(response, self.call.options.max_body, self._check_deadline)
        except BaseException:
            response.close()
            raise

    def _release(self, response: requests.Response) -> None:
        """Free the connection of a response that is not the final one."""
        reading.drain(response, self._check_deadline)
        self._check_deadline()

    @property
    def _deadline(self) -> Deadline:
        return self.call.deadline or NO_DEADLINE

    def _check_deadline(self) -> None:
        check_deadline(self.request)

    # ---- Limits

    @property
    def _host(self) -> str:
        return urlsplit(self.request.url or "").netloc.rpartition("@")[2]

    def _spend(self, outcome: requests.Response | BaseException, capacity: int) -> int | None:
        if retry_loop.requested_wait(outcome):  # the server paces its clients by itself
            return 0
        is_status = isinstance(outcome, RequestsResponse)
        cost = limits.STATUS_COST if is_status else limits.TRANSPORT_COST
        return cost if self.budget.spend(self._host, cost, capacity) else None

    def _record_retry_after(self, response: requests.Response) -> None:
        """Note that a host wants to be left alone, for all threads of the session."""
        policy = self.call.options.retry
        if policy is not None and (pause := retry_loop.pause_for_all(policy, response)):
            self.host_throttle.extend(self._host, CLOCK.monotonic(), pause)

    def _wait_for_rate_limit(self) -> None:
        """Wait while the host wants to be left alone, and for the session's own rate.

        Raises:
            DeadlineExceededError: The deadline leaves no time for it.
        """
        self._wait_for_host()
        if self.rate_limiter is None:
            return
        deadline, rate = self._deadline, f"rate_limit={self.rate_limiter.rate_limit!r}"
        seconds = self.rate_limiter.wait(self._host, CLOCK.monotonic(), deadline.remaining())
        if seconds is None and deadline.seconds is None:
            raise errors.DeadlineExceededError(
                f"{rate} rejected the request:"
                f" nothing was sent for {errors.describe(self.request)}",
                request=self.request,
            )
        if seconds is None:
            raise self._out_of_time(f"its turn at {rate}")
        if seconds:
            if self.rate_limiter.should_log(self._host, CLOCK.monotonic(), seconds):
                log_records.pause(self.request, wait=seconds, why=rate, level=logging.DEBUG)
            CLOCK.sleep(seconds)
        self._wait_for_host()  # another thread may have been told to wait meanwhile

    def _wait_for_host(self) -> None:
        policy = self.call.options.retry
        if not self.host_throttle.ends or policy is None:
            return
        # Again after the wait: another thread may have been told to wait longer.
        while seconds := self.host_throttle.remaining(self._host, CLOCK.monotonic()):
            if seconds >= self._deadline.remaining():
                raise self._out_of_time(f"the {seconds:.2f} s for which {self._host} asked to wait")
            level = logging.WARNING if seconds > policy.max_backoff else logging.INFO
            if self._should_log(seconds, 0.0):
                why = "the server asked to wait"
                log_records.pause(self.request, wait=seconds, why=why, level=level)
            CLOCK.sleep(seconds)

    def _should_log(self, wait: float, age: float) -> bool:
        now = CLOCK.monotonic()
        return self.host_throttle.should_log(self._host, now, wait, sent_at=now - age)

    def _out_of_time(self, what: str) -> errors.DeadlineExceededError:
        return errors.DeadlineExceededError(
            f"the deadline of {self._deadline.seconds or 0:g} s leaves no time for"
            f" {what}: nothing was sent for {errors.describe(self.request)}",
            request=self.request,
        )


def _too_many(response: requests.Response, most: int) -> TooManyRedirects:
    error = TooManyRedirects(f"exceeded {most} redirects", response=response)
    error.attempts = response.__dict__.get("attempts", 1)  # type: ignore[attr-defined]  # as on all errors
    return error
