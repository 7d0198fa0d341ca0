"""Step sizes of the search over its steps."""

from __future__ import annotations

from typing import Literal

Schedule = Literal["one-cycle", "constant"]


def one_cycle(step: int, steps: int) -> float:
    """Return the factor on the learning rate at ``step``, 0 to ``steps - 1``.

    Up from 1/10 to 1 and back over the first nine tenths, then down to 1/1000:
    "linear1cycledrop" of PULSE (Menon et al. 2020), which the code of RLS uses.
    """
    cycle = 0.9 * steps
    if step < cycle:
        return (9 * (1 - abs(2 * step / cycle - 1)) + 1) / 10
    return 0.1 + (step - cycle) / (steps - cycle) * (0.001 - 0.1)


def step_factor(schedule: Schedule, step: int, steps: int) -> float:
    """Return the factor on the learning rate at ``step`` of ``steps``."""
    return one_cycle(step, steps) if schedule == "one-cycle" else 1.0
