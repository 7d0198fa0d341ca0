"""A few kills of every long command; ``tests/kill_campaign.py`` makes as many as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_campaign.py")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 and no fork")
@pytest.mark.parametrize(("jobs", "kills"), [("super-resolve,train", 3), ("benchmark", 1)])
def test_kills_lose_nothing(jobs: str, kills: int) -> None:
    line = [sys.executable, str(SCRIPT), "--jobs", jobs, "--kills", str(kills), "--others", "0"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 faults"
    assert done.stdout.count("finished alike") == len(jobs.split(","))
