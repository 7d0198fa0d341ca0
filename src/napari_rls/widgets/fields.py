"""The settings as a form: titles, tooltips, bounds and choices come from the settings class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit, create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_rls.search.settings import Settings

if TYPE_CHECKING:
    from magicgui.widgets.bases import ValueWidget
    from pydantic.fields import FieldInfo

MAIN = ("factor", "lambda_w", "lambda_c", "steps", "seed")
"""Settings that are always in view; ``bundle`` has a place of its own, the rest is advanced."""

ADVANCED = tuple(name for name in Settings.model_fields if name not in (*MAIN, "bundle"))

_DEVICES = ("auto", "cpu", "cuda", "mps")


class SettingsForm(QWidget):
    """Some of the settings, one below the other.

    ``changed`` carries the name and the value of a setting that the user changed.
    """

    changed = Signal(str, object)

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.fields: dict[str, ValueWidget] = {}
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name in names:
            info = Settings.model_fields[name]
            field = self.fields[name] = _make_field(name, info)
            self._listen(name, field, info)
            label = QLabel(info.title)
            label.setToolTip(info.description)
            rows.addRow(label, field.native)
            if healthy := healthy_range(info):
                hint = QLabel(f"healthy: {healthy}")
                hint.setToolTip(info.description)
                hint.setEnabled(False)
                rows.addRow("", hint)

    def show_settings(self, settings: Settings) -> None:
        """Show these values."""
        for name, field in self.fields.items():
            value = getattr(settings, name)
            with field.changed.blocked():
                if isinstance(field, LineEdit):
                    field.value = f"{value:g}"
                    continue
                if isinstance(field, ComboBox) and value not in field.choices:
                    field.choices = (*field.choices, value)
                field.value = value

    def offer(self, name: str, choices: Sequence[int]) -> None:
        """Let the user choose among these values."""
        field = self.fields[name]
        with field.changed.blocked():
            field.choices = ()  # or those that stay would keep their place
            field.choices = tuple(choices)
        field.enabled = bool(choices)

    def _listen(self, name: str, field: ValueWidget, info: FieldInfo) -> None:
        if isinstance(field, LineEdit):
            # A number is read once it is whole, not at every key.
            field.native.editingFinished.connect(lambda: self.changed.emit(name, field.value))
            return
        if info.annotation is int and not isinstance(field, ComboBox):
            field.native.setKeyboardTracking(False)
        field.changed.connect(lambda value: self.changed.emit(name, value))


def healthy_range(info: FieldInfo) -> str:
    """Return the healthy range that a setting's description names, or nothing."""
    found = re.search(r"healthy: ([^)]+)", info.description or "")
    return found[1] if found else ""


def _make_field(name: str, info: FieldInfo) -> ValueWidget:
    options: dict[str, Any] = {"tooltip": info.description}
    if name == "factor":
        field = ComboBox(choices=(info.default,), **options)
    elif name == "device":
        field = ComboBox(choices=_DEVICES, **options)
    elif info.annotation is float:
        # A text field shows 5e-05 as such; a spin box would show 0.00.
        field = LineEdit(**options)
    else:
        if info.annotation is int:
            options |= _bounds(info)
        field = create_widget(info.default, annotation=info.annotation, options=options)
    field.native.setObjectName(name)
    return field


def _bounds(info: FieldInfo) -> dict[str, int]:
    limits = {"min": 0, "max": 2**31 - 1}
    for rule in info.metadata:
        limits["min"] = getattr(rule, "ge", limits["min"])
        limits["max"] = getattr(rule, "le", limits["max"])
    return limits
