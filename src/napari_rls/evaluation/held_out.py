"""What a bundle's intervals held of the cells that it was calibrated on, from a table's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import wilson
from napari_rls.measure.columns import INTERVAL
from napari_rls.measure.cross_fit import RELIABILITY_KEY

CORRECTED, DRAWN = "corrected", "as drawn"

_FIGURES = {CORRECTED: ("held", "width"), DRAWN: ("held_drawn", "width_drawn")}


def held_out(
    table: pd.DataFrame, record: Mapping[str, Any], column: str
) -> dict[str, pd.DataFrame]:
    """Return what intervals of a measurement held of held-out cells, corrected and as drawn.

    Parameters
    ----------
    table, record
        A table of measurements and its record.
    column
        The measurement.

    Returns
    -------
    dict
        By :data:`CORRECTED` and :data:`DRAWN`, a row per level: ``nominal``; ``n`` cells;
        ``observed``, the share that the intervals held, with its Wilson interval
        ``observed_low`` and ``observed_high``, which takes cells for independent; ``width``,
        the median one.

    Raises
    ------
    TableError
        If that is not known, with the reason.
    """
    entries = [entry.get(RELIABILITY_KEY, {}) for entry in record.get("images", ())]
    known = next(filter(None, entries), None)
    if known is None:
        raise TableError(_why_not(table))
    if column not in known:
        raise TableError(
            f"The bundle does not tell how often intervals of {column} held; "
            f"it does of {', '.join(known)}."
        )
    told = known[column]
    n = told["cells"]
    return {
        kind: pd.DataFrame(
            [
                (level, n, share, *wilson(round(share * n), n), wide)
                for level, share, wide in zip(told["levels"], told[held], told[width], strict=True)
            ],
            columns=["nominal", "n", "observed", "observed_low", "observed_high", "width"],
        )
        for kind, (held, width) in _FIGURES.items()
    }


def told_levels(held: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """Return :func:`held_out` in words, a line per level."""
    corrected, drawn = held[CORRECTED], held[DRAWN]
    lines = [
        f"{100 * level:.0f} % intervals held {100 * share:.0f} % ({100 * raw:.0f} %), "
        f"width {wide:.3g} ({narrow:.3g})"
        for level, share, wide, raw, narrow in zip(
            *(corrected[name].tolist() for name in ("nominal", "observed", "width")),
            *(drawn[name].tolist() for name in ("observed", "width")),
            strict=True,
        )
    ]
    return (f"{corrected['n'].iloc[0]:,} held-out cells, median widths (as drawn):", *lines)


def _why_not(table: pd.DataFrame) -> str:
    how = list(dict.fromkeys(table[INTERVAL])) if INTERVAL in table else []
    made = next(filter(None, how), "")
    if not made:
        return "There are no intervals: they come from samples of SR images."
    if "uncorrected" in made:
        return f"How often these intervals hold is not known: {made}."
    return (
        "The bundle does not tell how often its intervals held on held-out cells: it was "
        "calibrated before that was stored, or with too few cells. Calibrate it anew (napari-rls "
        "bundles calibrate)."
    )
