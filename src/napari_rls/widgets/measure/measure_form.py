"""The parts of the widget "Measure cells" in which the user says what is measured, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

from magicgui.widgets import ComboBox
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_rls.models.field_notes import unit_of
from napari_rls.text import for_qt
from napari_rls.widgets.cells.sources import Source
from napari_rls.widgets.common.fields import SettingsForm
from napari_rls.widgets.common.parts import shorten
from napari_rls.widgets.measure.guess_images import channel_choices
from napari_rls.widgets.measure.image_pairs import KINDS, ROLES, Images, Pair

if TYPE_CHECKING:
    from napari.layers import Image

NONE = ("(none)", None)

MEANING = {
    "LR": "Low-resolution images; measured as upsampled bicubically.",
    "SR": "Generated images. Samples of theirs that are open give the intervals.",
    "GT": "True high-resolution images of the same cells.",
    "HR": "High-resolution images.",
}


class ImagePicker(QWidget):
    """A table: a row per kind of image, a column for the DNA and one for the signal channel.

    ``changed`` carries the new images after a choice of the user.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.boxes: dict[tuple[str, str], ComboBox] = {}
        self._shown: tuple[list[tuple[str, Source | None]], Images] | None = None
        for column, role in enumerate(ROLES, start=1):
            heading = QLabel(role)
            heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
            heading.setEnabled(False)
            grid.addWidget(heading, 0, column)
            grid.setColumnStretch(column, 1)
        for row, kind in enumerate(KINDS, start=1):
            label = QLabel(kind)
            label.setToolTip(MEANING[kind])
            grid.addWidget(label, row, 0)
            for column, role in enumerate(ROLES, start=1):
                box = ComboBox(choices=[NONE])
                shorten(box.native, 6)
                box.changed.connect(self._choose)
                grid.addWidget(box.native, row, column)
                self.boxes[kind, role] = box

    def show_images(self, images: Images, layers: Sequence[Image]) -> None:
        """Show a choice among these layers."""
        choices = [NONE, *channel_choices(layers)]
        if (choices, images) == self._shown:
            return
        self._shown = (choices, dict(images))
        names = {source: name for name, source in choices}
        for kind in KINDS:
            chosen = images.get(kind, Pair()).sources
            for role, source in zip(ROLES, chosen, strict=True):
                box = self.boxes[kind, role]
                with box.changed.blocked():
                    box.choices = ()  # or a layer that was renamed would keep its old name
                    box.choices = choices
                    box.value = source if source in names else None
                box.tooltip = MEANING[kind] if source is None else for_qt(names.get(source, ""))

    def _choose(self) -> None:
        self._shown = None  # the boxes say something else now

        def chosen(kind: str, role: str) -> Source | None:
            source: Source | None = self.boxes[kind, role].value
            return source

        self.changed.emit({kind: Pair(*(chosen(kind, role) for role in ROLES)) for kind in KINDS})


class MeasureForm(SettingsForm):
    """Settings of a measurement, among them numbers that may be left empty.

    Parameters
    ----------
    model
        The settings class; settings inside settings have forms of their own.
    names
        The fields, in order; all of them if not given.
    """

    def __init__(self, model: type[BaseModel], names: Sequence[str] = ()) -> None:
        own = {n: f for n, f in model.model_fields.items() if not _is_inside(f.annotation)}
        # What may be empty is a text.
        texts: dict[str, Any] = {
            name: (
                _text_of(field),
                Field(default="", title=field.title, description=field.description),
            )
            if field.annotation == float | None
            else (field.annotation, field)
            for name, field in own.items()
        }
        super().__init__(names or tuple(own), create_model(model.__name__, **texts), {})
        self._own = tuple(own)

    def show_settings(self, settings: object) -> None:
        """Show these values."""
        values = {name: getattr(settings, name) for name in self._own}
        texts = {name: "" if value is None else value for name, value in values.items()}
        texts = {n: f"{v:g}" if isinstance(v, float) else v for n, v in texts.items()}
        super().show_settings(SimpleNamespace(**texts))


def _text_of(field: FieldInfo) -> Any:
    unit = unit_of(field)
    return Annotated[str, unit] if unit else str


def _is_inside(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
