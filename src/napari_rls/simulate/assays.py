"""The assays that can be simulated, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_rls.simulate import golgi, translocation
from napari_rls.simulate.scene import SimulatedCell

AssayName = Literal["golgi", "translocation"]


@dataclass(frozen=True)
class SimulatedAssay:
    """One assay, as it is simulated.

    Parameters
    ----------
    title
        What it is called in a sentence.
    channels, colours
        Names and display colours (#rrggbb) of the channels.
    size
        Usual side of its images, in pixels.
    conditions
        The conditions that cells are in, in turn, if nothing else is asked for.
    settings
        Gives the settings of cells and microscope for a size.
    simulate
        Gives a cell of a condition and a size; raises ValueError where there is no such
        condition.
    """

    title: str
    channels: tuple[str, ...]
    colours: tuple[str, ...]
    size: int
    conditions: tuple[str, ...]
    settings: Callable[[int], golgi.GolgiSettings | translocation.TranslocationAssay]
    simulate: Callable[[str, np.random.Generator, int], SimulatedCell]


ASSAYS: dict[AssayName, SimulatedAssay] = {
    "golgi": SimulatedAssay(
        title="Golgi scattering",
        channels=golgi.CHANNELS,
        colours=("#0000ff", "#00ff00"),
        size=128,
        conditions=(golgi.CONTROL, golgi.NOCODAZOLE),
        settings=lambda size: golgi.GolgiSettings(size=size),
        simulate=lambda condition, rng, size: golgi.simulate_golgi(
            condition, rng, golgi.GolgiSettings(size=size)
        ),
    ),
    "translocation": SimulatedAssay(
        title="translocation",
        channels=translocation.CHANNELS,
        colours=("#0000ff", "#00ff00"),
        size=64,
        conditions=(translocation.CONTROL, translocation.TREATED),
        settings=lambda size: translocation.TranslocationAssay(size=size),
        simulate=lambda condition, rng, size: translocation.simulate_translocation(
            condition, rng, translocation.TranslocationAssay(size=size)
        ),
    ),
}
