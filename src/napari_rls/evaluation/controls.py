"""Which conditions of a plate are its negative and its positive control."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from napari_rls.evaluation.tables import CONDITION, parts_of, told

CONTROL_NAMES = (
    ("control=negative", "control=positive"),
    ("negative control", "positive control"),
    ("negative", "positive"),
)
"""What negative and positive controls are called: conditions, or parts of them."""


def control_pair(conditions: Sequence[str]) -> tuple[str, str] | None:
    """Return the negative and the positive control among conditions; None if none are known.

    They are those of :data:`CONTROL_NAMES`, else the only two.

    Examples
    --------
    >>> control_pair(["drug=a; control=negative", "drug=a; dose=3", "drug=a; control=positive"])
    ('control=negative', 'control=positive')
    >>> control_pair(["untreated", "treated", "untreated"])
    ('untreated', 'treated')
    """
    names = [name for name in dict.fromkeys(conditions) if name]
    for pair in CONTROL_NAMES:
        if all(members(names, name) for name in pair):
            return pair
    return (names[0], names[1]) if len(names) == 2 else None


def members(conditions: Sequence[str], wanted: str) -> list[str]:
    """Return which conditions have all parts of one."""
    parts = parts_of(wanted).items()
    return [name for name in conditions if name and parts <= parts_of(name).items()]


def with_control(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose conditions name the control that a column of the plate map tells.

    Those of a map with the columns ``condition`` and ``control`` do not.
    """

    def named(condition: str, control: str) -> str:
        known = not control or "control" in parts_of(condition)
        return condition if known else "; ".join(filter(None, (condition, f"control={control}")))

    pairs = zip(table[CONDITION].fillna("").astype(str), told(table, "control"), strict=True)
    return table.assign(**{CONDITION: [named(*pair) for pair in pairs]})
