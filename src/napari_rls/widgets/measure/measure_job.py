"""What the thread of a measurement does: measures, draws the labels, writes the table."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.measure.cells import MeasureSettings
from napari_rls.widgets.cells.hr_means import CorrectedTable, correct_means, save_with_means
from napari_rls.widgets.common.state import Message
from napari_rls.widgets.measure.choose_sets import ChosenSet
from napari_rls.widgets.measure.image_pairs import Images
from napari_rls.widgets.measure.measure_layers import DrawnLabels, draw_labels

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.workflow.measure.measurements import Measurements

# pandas and scikit-image take a second to import: jobs do so in their thread.


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
            result = update.result
            means = correct_means(result.table, result.record, self.hr_cells) if result else None
            yield MeasureNews(update.done, update.total, result, labels, means)


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
        yield Saved(save_with_means(self.path, self.table, self.record, self.means))
