"""The settings as a form: titles, tooltips, bounds and choices come from the settings class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit, SpinBox, create_widget
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QWidget

from napari_rls.models.field_notes import healthy_range, unit_of
from napari_rls.search.settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

MAIN = ("method", "factor", "lambda_w", "lambda_c", "steps", "samples", "seed")
"""Settings that are always in view; ``bundle`` has a place of its own, the rest is advanced."""

ADVANCED = tuple(name for name in Settings.model_fields if name not in (*MAIN, "bundle"))

FACTOR = {"factor": (Settings.model_fields["factor"].default,)}
"""The choice of the scale factor, until it is known what fits."""

SPIN_WIDTH = 115
"""Pixels that six digits need between the buttons."""

ACRONYMS = frozenset({"ada", "ema", "r1"})

_DEVICES = ("auto", "cpu", "cuda", "mps")


class SettingsForm(QWidget):
    """Some of the fields of a settings class, one below the other.

    ``changed`` carries the name and the value of a setting that the user changed.

    Parameters
    ----------
    names
        The fields, in order.
    model
        The settings class.
    offered
        Fields of which the user chooses among a few values, and these values.
    """

    changed = Signal(str, object)

    def __init__(
        self,
        names: Sequence[str],
        model: type[BaseModel] = Settings,
        offered: Mapping[str, Sequence[int]] = FACTOR,
    ) -> None:
        super().__init__()
        self.fields: dict[str, ValueWidget[Any]] = {}
        self.zeros: dict[str, QLabel] = {}
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name in names:
            info = model.model_fields[name]
            field = self.fields[name] = _make_field(name, info, offered)
            self._listen(name, field, info)
            label = QLabel(info.title or _readable(name))
            label.setToolTip(info.description)
            rows.addRow(label, _with_unit(field, info))
            if zero := meaning_of_zero(info):
                self.zeros[name] = _hint(f"0 {zero}", info)
                rows.addRow("", self.zeros[name])
            if healthy := healthy_range(info):
                rows.addRow("", _hint(f"healthy: {healthy}", info))

    def show_settings(self, settings: object) -> None:
        """Show these values."""
        for name, field in self.fields.items():
            value = getattr(settings, name)
            if name in self.zeros:
                self.zeros[name].setVisible(value == 0)
            with field.changed.blocked():
                if isinstance(field, LineEdit):
                    field.value = _as_text(value)
                    continue
                if isinstance(field, ComboBox) and value not in field.choices:
                    field.choices = (*field.choices, value)
                field.value = value

    def offer(self, name: str, choices: Sequence[int]) -> None:
        """Let the user choose among these values."""
        field = self.fields[name]
        assert isinstance(field, ComboBox)
        with field.changed.blocked():
            field.choices = ()  # or those that stay would keep their place
            field.choices = tuple(choices)
        field.enabled = bool(choices)

    def _listen(self, name: str, field: ValueWidget[Any], info: FieldInfo) -> None:
        if isinstance(field, LineEdit):
            # A number is read once it is whole, not at every key.
            field.native.editingFinished.connect(lambda: self.changed.emit(name, field.value))
            return
        if info.annotation is int and not isinstance(field, ComboBox):
            field.native.setKeyboardTracking(False)
        field.changed.connect(lambda value: self.changed.emit(name, value))


def _as_text(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:g}"


def meaning_of_zero(info: FieldInfo) -> str:
    """Return what a setting's description says that 0 means, or nothing."""
    found = re.search(r"(?:^|[;,.] )0(:| (?!to |or ))([^.;,]+)", info.description or "")
    return f"{found[1].strip()} {found[2].strip()}".strip() if found else ""


def _with_unit(field: ValueWidget[Any], info: FieldInfo) -> QWidget:
    native: QWidget = field.native
    if not (unit := unit_of(info)):
        return native
    row = QWidget()
    parts = QHBoxLayout(row)
    parts.setContentsMargins(0, 0, 0, 0)
    parts.addWidget(native, stretch=1)
    parts.addWidget(_hint(unit.sign, info))
    return row


def _hint(text: str, info: FieldInfo) -> QLabel:
    hint = QLabel(text)
    hint.setToolTip(info.description)
    hint.setEnabled(False)
    return hint


def _make_field(
    name: str, info: FieldInfo, offered: Mapping[str, Sequence[int]]
) -> ValueWidget[Any]:
    options: dict[str, Any] = {"tooltip": info.description}
    field: ValueWidget[Any]
    if name in offered:
        field = ComboBox(choices=tuple(offered[name]), **options)
    elif name == "device":
        field = ComboBox(choices=_DEVICES, **options)
    elif info.annotation in {float, str, float | None}:
        # A text field shows 5e-05 as such; a spin box would show 0.00.
        field = LineEdit(**options)
    else:
        if info.annotation is int:
            options |= _bounds(info)
        elif info.annotation is bool:
            options["text"] = ""
        made = create_widget(info.default, annotation=info.annotation, options=options)
        assert isinstance(made, ValueWidget)
        field = made
    if isinstance(field, SpinBox):
        field.native.setMinimumWidth(SPIN_WIDTH)
    field.native.setObjectName(name)
    return field


def _readable(name: str) -> str:
    """Return a label for a field that has no title: 'ada_kimg' becomes 'ADA kimg'."""
    words = [word.upper() if word in ACRONYMS else word for word in name.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _bounds(info: FieldInfo) -> dict[str, int]:
    limits = {"min": 0, "max": 2**31 - 1}
    for rule in info.metadata:
        limits["min"] = getattr(rule, "ge", limits["min"])
        limits["max"] = getattr(rule, "le", limits["max"])
    return limits
