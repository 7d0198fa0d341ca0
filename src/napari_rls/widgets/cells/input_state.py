"""What a dock that searches shows: one evented state that its controller writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_rls.search.settings import FACTORS, Settings
from napari_rls.widgets.common.state import RunState

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_rls.models.manifest import Manifest

CELLS, FIELD = "Super-resolve cells", "Super-resolve a field"
"""Names that the manifest has for the docks of images of single cells and of whole fields."""


@dataclass(frozen=True)
class Inputs:
    """Which layers hold the LR cells and, if there is one, the ground truth (GT).

    Parameters
    ----------
    separate
        Whether every channel has a layer of its own.
    lr, gt
        The one layer, or one layer per channel of the bundle; None where none is chosen.
    channels
        With one layer: for every channel of the bundle, its index in the layer.
    """

    separate: bool = False
    lr: tuple[Image | None, ...] = (None,)
    gt: tuple[Image | None, ...] = (None,)
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lacking:
    """Why something cannot be done with the last result, in a sentence; "" if it can."""

    compare: str = "Super-resolve first: side by side shows the LR and SR of a run."
    samples: str = "There are no samples: set Samples to 2 or more and super-resolve."
    keep: str = "There is no result yet: super-resolve first."
    save: str = "There is no result yet: super-resolve first."


@dataclass
class InputState(RunState):
    """Everything that the view shows; each change is an event of ``events``.

    ``factors`` are the scale factors that fit the bundle and the chosen LR layer.
    ``estimate`` tells how long a run will take, ``lacking`` what cannot be done yet and why.
    ``reading`` tells how the LR layers are read and what is assumed of them, ``obstacle`` why
    no run can start ("" if one can), and ``comparing`` whether the layers lie side by side.
    """

    settings: Settings = field(default_factory=Settings)
    manifest: Manifest | None = None
    inputs: Inputs = field(default_factory=Inputs)
    factors: tuple[int, ...] = FACTORS
    device: str = "Device: chosen when a run starts"
    reading: str = ""
    obstacle: str = ""
    estimate: str = ""
    lacking: Lacking = field(default_factory=Lacking)
    comparing: bool = False
