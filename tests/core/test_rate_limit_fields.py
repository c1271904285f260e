"""How servers say when to come back: the fields of real APIs, and what they mean."""

import pytest
from requests.structures import CaseInsensitiveDict

from httpkit._core import rate_limit_fields

NOW = 1_796_025_600.0  # 30 November 2026, 08:00 UTC
DATE = "Mon, 30 Nov 2026 08:00:00 GMT"

RETRY_AFTER = {
    "seconds": ({"Retry-After": "30"}, 30),
    "fraction": ({"Retry-After": "0.5"}, 0.5),
    "date": ({"Retry-After": "Mon, 30 Nov 2026 08:02:00 GMT"}, 120),
    "sent twice": ({"Retry-After": "3, 3"}, 3),
    "sent twice, the longer counts": ({"Retry-After": "3, 40"}, 40),
    "two dates": ({"Retry-After": f"{DATE}, Mon, 30 Nov 2026 08:01:00 GMT"}, 60),
    "number and date": ({"Retry-After": "7, Mon, 30 Nov 2026 08:01:00 GMT"}, 60),
    "ISO 8601": ({"Retry-After": "2026-11-30T08:00:45Z"}, 45),
    "ISO 8601 with an offset": ({"Retry-After": "2026-11-30T10:00:45+02:00"}, 45),
    "span": ({"Retry-After": "1m30s"}, 90),
    "span in words": ({"Retry-After": "20 seconds"}, 20),
    "an ISO 8601 duration": ({"Retry-After": "PT1M0.5S"}, 60.5),
    "a duration of nothing": ({"Retry-After": "PT"}, None),
    "quoted": ({"Retry-After": '"30"'}, 30),
    "with a parameter": ({"Retry-After": "30; comment=x"}, 30),
    "Ruby": ({"Retry-After": "2026-11-30 08:00:45 UTC"}, 45),
    "JavaScript": ({"Retry-After": "Mon Nov 30 2026 08:00:45 GMT+0000"}, 45),
    "moment": ({"Retry-After": str(int(NOW) + 15)}, 15),
    "ages": ({"Retry-After": "99999999999"}, 99_999_999_999),
    "milliseconds": ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
    "Azure": ({"x-ms-retry-after-ms": "1500"}, 1.5),
    "x-": ({"X-Retry-After": "12"}, 12),
    "Bucket4j": ({"X-Rate-Limit-Retry-After-Seconds": "9"}, 9),
    "past": ({"Retry-After": "Mon, 30 Nov 2026 07:00:00 GMT"}, 0),
    "nothing legible": ({"Retry-After": "soon"}, None),
    "empty": ({"Retry-After": ""}, None),
    "absent": ({}, None),
}


@pytest.mark.parametrize(("fields", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after_is_read_in_every_form(fields, seconds):
    assert rate_limit_fields.retry_after(CaseInsensitiveDict(fields), NOW) == seconds


def test_a_date_counts_from_the_date_of_the_response():
    fields = CaseInsensitiveDict({"Date": DATE, "Retry-After": "Mon, 30 Nov 2026 08:00:10 GMT"})

    assert rate_limit_fields.retry_after(fields, NOW + 86_400) == 10


LIMITS = {
    "GitHub": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 50)}, 50),
    "Reddit": ({"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "345"}, 345),
    "Twitter": ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(NOW) + 9)}, 9),
    "Okta": ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": str(int(NOW) + 8)}, 8),
    "HubSpot": (
        {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000", "X-HubSpot-RateLimit-Remaining": "0",
         "X-HubSpot-RateLimit-Max": "100"}, 10,
    ),
    "HubSpot, not spent": (
        {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
         "X-HubSpot-RateLimit-Remaining": "9"}, None,
    ),
    "a window without what is left": ({"X-RateLimit-Interval-Ms": "10000"}, None),
    "Trello": (
        {"x-rate-limit-api-token-interval-ms": "10000", "x-rate-limit-api-token-remaining": "0",
         "x-rate-limit-api-key-interval-ms": "60000", "x-rate-limit-api-key-remaining": "7"}, 10,
    ),
    "milliseconds since the epoch": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) * 1000 + 20_000)}, 20,
    ),
    "microseconds since the epoch": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) * 10**6 + 5 * 10**6)}, 5,
    ),
    "Linear": (
        {
            "X-RateLimit-Requests-Remaining": "0",
            "X-RateLimit-Requests-Reset": str(int(NOW) * 1000 + 3000),
        },
        3,
    ),
    "Atlassian": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-30T08:01Z"}, 60),
    "GitLab": ({"RateLimit-Remaining": "0", "RateLimit-Reset": str(int(NOW) + 7)}, 7),
    "GitLab's date": (
        {"RateLimit-Remaining": "0", "RateLimit-ResetTime": "Mon, 30 Nov 2026 08:00:06 GMT"}, 6,
    ),
    "Discord": (
        {
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": f"{NOW + 1.5}",
            "X-RateLimit-Reset-After": "1.5",
        },
        1.5,
    ),
    "in a field of milliseconds": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-Ms": "2500"}, 2.5,
    ),
    "OpenAI": (
        {
            "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s",
            "x-ratelimit-remaining-tokens": "99", "x-ratelimit-reset-tokens": "6m0s",
        },
        62,
    ),
    "OpenAI's milliseconds": (
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12,
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-11-30T08:00:11Z",
        },
        11,
    ),
    "IETF, draft 03": ({"RateLimit-Remaining": "0", "RateLimit-Reset": "4"}, 4),
    "IETF, draft 07": ({"RateLimit": "limit=10, remaining=0, reset=50"}, 50),
    "IETF, draft 08": ({"RateLimit": '"default";r=0;t=30'}, 30),
    "IETF, several policies": ({"RateLimit": '"hour";r=5;t=900, "minute";r=0;t=20'}, 20),
    "a comma in a name": ({"RateLimit": '"a,b";r=0;t=21'}, 21),
    "Zendesk": ({"Zendesk-RateLimit-Search": "total=100; remaining=0; resets=41"}, 41),
    "sent twice": ({"X-RateLimit-Remaining": "0, 0", "X-RateLimit-Reset": "30, 40"}, 40),
    "Rails": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-30 08:00:21 UTC"}, 21,
    ),
    "several are spent": (
        {
            "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5",
            "X-RateLimit-Day-Remaining": "0", "X-RateLimit-Day-Reset": "500",
        },
        500,
    ),
    "not spent": ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "50"}, None),
    "not spent, by the IETF": ({"RateLimit": '"default";r=2;t=30'}, None),
    "nothing legible": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "later"}, None),
    "Docker": ({"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}, None),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "seconds"), LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("status", [403, 429])
def test_a_spent_limit_says_when_it_is_full_again(fields, seconds, status):
    found = rate_limit_fields.requested_wait(status, CaseInsensitiveDict(fields), NOW)

    assert found == (seconds if seconds is None else pytest.approx(seconds, abs=0.01))


def test_a_429_needs_no_remaining_field():
    fields = CaseInsensitiveDict({"X-RateLimit-Reset": "17"})

    assert rate_limit_fields.requested_wait(429, fields, NOW) == 17
    assert rate_limit_fields.requested_wait(403, fields, NOW) is None


def test_a_limit_says_nothing_about_other_statuses():
    fields = CaseInsensitiveDict({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "17"})

    assert rate_limit_fields.requested_wait(503, fields, NOW) is None
