"""Tables of the cells of plates, with known effects."""

from __future__ import annotations

import numpy as np
import pandas as pd

RATIO = "Math_Ratio_NucleusCytoplasm_GFP"


DOSES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def cells(wells: dict[str, list[float]], condition: str, kind: str = "SR") -> pd.DataFrame:
    """Return a tidy table of one condition: the values of the cells of each well."""
    rows = [
        (kind, f"{w}-{i}", w, condition, v) for w, vs in wells.items() for i, v in enumerate(vs)
    ]
    names = ["Metadata_Image", "Metadata_Cell", "Metadata_Well", "Metadata_Condition", RATIO]
    return pd.DataFrame(rows, columns=names)


def plate(
    ec50: float = 3.0,
    slope: float = 1.5,
    noise: float = 0.02,
    seed: int = 0,
    doses: tuple[float, ...] = DOSES,
    wells: int = 3,
    top: float = 2.0,
) -> pd.DataFrame:
    """Return wells of four cells along a known curve from 1 to ``top``; noise is per well."""
    rng = np.random.default_rng(seed)
    parts = []
    for dose in doses:
        effect = dose**slope / (dose**slope + ec50**slope)
        for well in range(wells):
            mean = 1 + (top - 1) * effect + noise * rng.normal()
            offsets = np.array([-0.1, -0.05, 0.05, 0.1])
            name = f"{dose}-{well}"
            parts.append(cells({name: list(mean + offsets)}, f"drug=wortmannin; dose={dose:g}"))
    return pd.concat(parts, ignore_index=True)
