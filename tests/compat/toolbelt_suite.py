"""Run requests-toolbelt's own test suite plain and on httpkit's session; see `comparison`.

Rule: the standard library only, so that any Python can start it.
"""

import sys

from comparison import Suite, main

TOOLBELT = Suite(
    project="requests-toolbelt",
    source="requests_toolbelt",
    requirements=(
        "pytest<10",
        "betamax==0.9.0",  # plays the cassettes of the sdist
        "pyopenssl",  # toolbelt's tox.ini, as the next
        "trustme",
        "pytest-timeout",  # ours: a test that waits for the internet must end
    ),
    healthy_share=0.9,
)

if __name__ == "__main__":
    sys.exit(main(TOOLBELT))
