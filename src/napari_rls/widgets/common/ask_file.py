"""Ask where a file is to be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget


def ask_where(parent: QWidget, title: str, name: str, kinds: Mapping[str, str]) -> Path | None:
    """Return a file that the user names, None for none.

    Parameters
    ----------
    parent
        The dock that asks.
    title
        What is written.
    name
        The name that is offered.
    kinds
        Kinds of file, as the dialog shows them, and the endings that names without one get.
    """
    chosen, kind = QFileDialog.getSaveFileName(parent, title, name, ";;".join(kinds))
    if not chosen:
        return None
    path = Path(chosen)
    return path if path.suffix else path.with_suffix(kinds[kind])
