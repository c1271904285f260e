"""Marks for tests of what Windows lacks, or does in another way."""

import sys

import pytest

ON_WINDOWS = sys.platform == "win32"


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """Skip a test on Windows.

    Args:
        reason: What Windows lacks, or what it does instead.
    """
    return pytest.mark.skipif(ON_WINDOWS, reason=reason)


only_on_windows = pytest.mark.skipif(not ON_WINDOWS, reason="only Windows does this")
