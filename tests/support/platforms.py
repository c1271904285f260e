"""Marks for tests of what Windows lacks, or does in another way."""

import sys

import pytest

ON_WINDOWS = sys.platform == "win32"
# Seconds. A limit of SHORT is long enough for a call to begin: under wine, whose processes share
# one server, that takes a tenth of a second where others run. It is seen by LATE on a busy machine,
# and what is not takes ENDLESS.
SHORT = 0.5 if ON_WINDOWS else 0.1
LATE, ENDLESS = 8.0, 20.0
# Seconds until a process that does not do what a test waits for is given up: under wine one takes
# two to start, and twenty on a busy machine.
PATIENCE = 50.0


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """Skip a test on Windows.

    Args:
        reason: What Windows lacks, or what it does instead.
    """
    return pytest.mark.skipif(ON_WINDOWS, reason=reason)


only_on_windows = pytest.mark.skipif(not ON_WINDOWS, reason="only Windows does this")
