"""What the thread of a measurement does: measures, draws the labels, writes the table."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import UserError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.widgets.common.state import Level, Message
from napari_rls.widgets.measure.choose_sets import ChosenSet
from napari_rls.widgets.measure.image_pairs import Images
from napari_rls.widgets.measure.measure_layers import DrawnLabels, draw_labels

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.workflow.measure.measurements import Measurements

# pandas and scikit-image take a second to import: jobs do so in their thread.


@dataclass(frozen=True, eq=False)
class CorrectedTable:
    """Means that HR cells correct, with their record; without a table, why there is none."""

    table: pd.DataFrame | None
    record: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True, eq=False)
class MeasureNews:
    """A message of the thread: images done of all, and in the last one the result."""

    done: int
    total: int
    result: Measurements | None = None
    labels: DrawnLabels | None = None
    means: CorrectedTable | None = None

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return self.result is not None


@dataclass(frozen=True, eq=False)
class MeasureJob:
    """What one run measures."""

    sets: Sequence[ChosenSet]
    images: Images
    settings: MeasureSettings
    plate_map: Path | None
    factor: int | None
    hr_cells: Path | None = None

    def updates(self) -> Generator[MeasureNews]:
        """Copy the images and measure."""
        from napari_rls.workflow.cells.plate_map import PlateMap
        from napari_rls.workflow.measure.measurements import measure

        plate_map = PlateMap(self.plate_map) if self.plate_map else None
        sets = [chosen.read() for chosen in self.sets]
        for update in measure(sets, self.settings, plate_map=plate_map, factor=self.factor):
            labels = draw_labels(update.result, self.images) if update.result else None
            means = self._means(update.result) if update.result else None
            yield MeasureNews(update.done, update.total, update.result, labels, means)

    def _means(self, result: Measurements) -> CorrectedTable | None:
        """Return the means that the HR cells correct, if there are any."""
        from napari_rls.workflow.measure.hr_cells import measure_hr_cells, read_hr_cells
        from napari_rls.workflow.measure.means_table import means_table

        if self.hr_cells is None:
            return None
        try:
            settings = MeasureSettings.model_validate(result.record["settings"])
            hr = measure_hr_cells(read_hr_cells([self.hr_cells]), settings)
            return CorrectedTable(*means_table(result.table, result.record, hr))
        except UserError as error:
            # What was measured is there all the same.
            return CorrectedTable(None, {}, f"Means are not corrected: {error}")


@dataclass(frozen=True, eq=False)
class Saved:
    """What there is to say of a file that was to be written."""

    message: Message
    must_show: bool = True


@dataclass(frozen=True, eq=False)
class SaveJob:
    """A table that is written."""

    path: Path
    table: pd.DataFrame
    record: Mapping[str, Any]
    means: CorrectedTable | None = None

    def updates(self) -> Generator[Saved]:
        """Write the table and its record, and the means beside it."""
        from napari_rls.widgets.common.save_table import save_table
        from napari_rls.workflow.measure.means_table import means_path

        said = save_table(self.path, self.table, self.record)
        if said.level is Level.INFO and self.means is not None and self.means.table is not None:
            means = save_table(means_path(self.path), self.means.table, self.means.record)
            said = Message(f"{said.text} Means: {means.text}", means.level)
        yield Saved(said)
