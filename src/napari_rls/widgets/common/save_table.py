"""Save a table from a dock, and say how that went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError
from napari_rls.widgets.common.state import Level, Message
from napari_rls.workflow.measure.table_files import write_table

if TYPE_CHECKING:
    import pandas as pd


def save_table(path: Path, table: pd.DataFrame, record: Mapping[str, Any]) -> Message:
    """Write a table and its record; return what there is to say."""
    try:
        write_table(path, table, record)
    except InputError as error:
        return Message(str(error), Level.ERROR)
    except OSError as error:
        text = f"The table cannot be written to {path}: {error.strerror}."
        return Message(text, Level.ERROR)
    return Message(f"Table saved to {path}.")
