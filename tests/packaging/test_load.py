"""Many threads on one session, against a server that mixes every fault; `load.py` says how."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_under_load_nothing_is_repeated_mixed_up_or_left_behind():
    command = [sys.executable, ROOT / "tests/load.py", "--seconds", "2"]

    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["commits"] > 10  # a busy machine has made 47
    assert min(report["faults"].values()) > 0  # each was met
