"""Run requests' own test suite plain and on httpkit's session; see `comparison`.

Rule: the standard library only, so that any Python can start it.
"""

import sys

from comparison import Suite, main

REQUESTS = Suite(
    project="requests",
    source="src",
    requirements=(
        "PySocks",  # the suite of requests[socks]
        "pytest<10",  # the bound in requests' requirements-dev.txt, as are the next three
        "pytest-httpbin==2.1.0",
        "httpbin~=0.10.0",
        "trustme",
        "pytest-mock",  # from requests' test dependency group
        "pytest-timeout",  # ours: a test that waits for the internet must end
    ),
    healthy_share=0.9,  # offline 613 of 617 pass (2026-11)
)

if __name__ == "__main__":
    sys.exit(main(REQUESTS))
