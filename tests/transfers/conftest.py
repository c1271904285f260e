"""Fixtures: a session without a base URL, and a path to download to."""

import pytest

import httpkit


@pytest.fixture
def api():
    with httpkit.Session(timeout=5) as session:
        yield session


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "file.bin"
