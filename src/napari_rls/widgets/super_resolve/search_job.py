"""The job of a search."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_rls.search.settings import Settings

if TYPE_CHECKING:
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.super_resolve.updates import Update


@dataclass(frozen=True, eq=False)
class SearchJob:
    """What one run computes."""

    lr: CellStack
    settings: Settings

    def updates(self) -> Generator[Update]:
        """Run the search."""
        from napari_rls.workflow.super_resolve.kept_resolver import super_resolve

        yield from super_resolve(self.lr, self.settings.bundle, self.settings)
