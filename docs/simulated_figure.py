"""Make docs/images/simulated.png: simulated cells of both assays, by condition.

python docs/simulated_figure.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from napari_rls.simulate.assays import ASSAYS
from napari_rls.workflow.cells.contact_sheet import contact_sheet, write_png
from napari_rls.workflow.cells.simulated import (
    FRESH_SEED,
    SIMULATED_LABEL,
    SimulateSettings,
    simulate,
)

FIGURE = Path(__file__).parent / "images" / "simulated.png"
CELLS = 7
DOSE = "dose=0.5"


def main() -> None:
    """Draw a sheet of each assay and put them under each other."""
    sheets = []
    for name, assay in ASSAYS.items():
        conditions = [*assay.conditions]
        if name == "translocation":
            conditions.insert(1, DOSE)
        rows = {}
        for condition in conditions:
            settings = SimulateSettings(
                assay=name, cells=CELLS, seed=FRESH_SEED, conditions=(condition,)
            )
            rows[condition] = simulate(settings).hr.data
        title = f"{assay.title.capitalize()}: {SIMULATED_LABEL} ({', '.join(assay.channels)})"
        sheets.append(contact_sheet(rows, assay.colours, title))
    figure = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)))
    top = 0
    for sheet in sheets:
        figure.paste(sheet, (0, top))
        top += sheet.height
    write_png(FIGURE, figure)


if __name__ == "__main__":
    main()
