"""The row in which a dock shows and chooses the file of HR cells."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import PushButton
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_rls.text import for_qt
from napari_rls.widgets.common.parts import TextLabel
from napari_rls.workflow.cells.read import FORMATS

NO_HR_CELLS, NOT_CORRECTED = "none", "Means of wells are not corrected by HR cells."


class HrCellsRow(QWidget):
    """The name of a file, and buttons to choose it and to do without.

    ``chosen`` carries the file that the user has chosen, None to do without.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.name = TextLabel()
        self.choose = PushButton(text="Choose...", tooltip=f"HR crops: {FORMATS}")
        self.remove = PushButton(text="Remove", tooltip=NOT_CORRECTED)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.name, stretch=1)
        row.addWidget(self.choose.native)
        row.addWidget(self.remove.native)
        self.choose.changed.connect(self._choose)
        self.remove.changed.connect(lambda: self.chosen.emit(None))

    def show_file(self, path: Path | None) -> None:
        """Show which file is chosen."""
        self.name.setText(NO_HR_CELLS if path is None else path.name)
        self.name.setToolTip(NOT_CORRECTED if path is None else for_qt(str(path)))
        self.remove.enabled = path is not None

    def _choose(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "HR images of a few of the cells")
        if name:
            self.chosen.emit(Path(name))
