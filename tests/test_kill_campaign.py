"""A few kills of every long command; ``tests/kill_campaign.py`` makes as many as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_campaign.py")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 and no fork")
def test_kills_and_taken_folders_lose_nothing() -> None:
    line = [sys.executable, str(SCRIPT), "--kills", "3", "--others", "1", "--minutes", "4"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 faults"
    assert done.stdout.count("finished alike") == 4
