"""Choose a model bundle: embedded, used before, or opened from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magicgui.widgets import ComboBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QWidget

from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import Settings
from napari_rls.text import for_qt

OPEN_FILE = "Open file..."


class BundleBox(QWidget):
    """A row of a form; ``chosen`` carries the name or file that the user picked, "" for none."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.box = ComboBox(tooltip=Settings.model_fields["bundle"].description)
        self.box.changed.connect(self._choose)
        row = QFormLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        row.addRow("Bundle", self.box.native)

    def show_bundles(self, bundles: Sequence[str], chosen: str) -> None:
        """Show names and files of bundles, and which one is used."""
        with self.box.changed.blocked():
            self.box.choices = [
                *((Path(name).name, name) for name in bundles),
                (OPEN_FILE, OPEN_FILE),
            ]
            self.box.value = chosen

    def describe(self, manifest: Manifest) -> None:
        """Tell of the bundle that is used."""
        self.box.native.setToolTip(for_qt(f"{manifest.title}\n{manifest.limits}"))

    def _choose(self, name: str) -> None:
        if name == OPEN_FILE:
            name, _ = QFileDialog.getOpenFileName(self, "Open a bundle", "", f"Bundles (*{SUFFIX})")
        self.chosen.emit(name)
