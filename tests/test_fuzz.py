"""A few damaged and hostile files of every kind; ``tests/fuzz.py`` reads as many as one likes."""

from __future__ import annotations

import sys

import pytest
from fuzz import fuzz
from fuzz_kinds import KINDS

CASES = 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does it")
def test_only_sentences_come_of_damaged_and_hostile_files() -> None:
    for name, result in fuzz(list(KINDS), CASES, seed=1):
        assert not result.wrong, name
        assert sum(result.counts.values()) == CASES
        # The process that reads them reads each kind unchanged first.
        assert result.counts["refused"] > 0, name
