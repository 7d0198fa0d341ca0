"""Simulated cells of a Golgi scattering assay: compact ribbon or scattered mini-stacks.

Untreated, the mammalian Golgi is a ribbon beside the nucleus, made of stacks of
cisternae 0.7 to 1.1 um across that are linked side by side (Klumperman, "Architecture of
the mammalian Golgi", Cold Spring Harb. Perspect. Biol. 3, 2011). Without microtubules
(nocodazole) it is replaced by separate mini-stacks all over the cell, at ER exit sites
(Cole et al., "Golgi dispersal during microtubule disruption", Mol. Biol. Cell 7, 1996).
The numbers of stacks, their places and their light are chosen so that images look like
such cells at the resolution of a plate scanner; they were not fitted to images.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from scipy import ndimage

from napari_rls.models.part import Checked
from napari_rls.simulate.optics import FineGrid, Optics
from napari_rls.simulate.outline import Array, Outline
from napari_rls.simulate.scene import Body, Population, Scene, SimulatedCell

CHANNELS = ("DNA", "Golgi")
CONTROL, NOCODAZOLE = "control", "nocodazole"


class GolgiSettings(Checked):
    """The Golgi assay; lengths are micrometres."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=128, ge=32, le=1024, description="Side of the images, in pixels.")
    optics: Optics = Optics()
    population: Population = Population()
    stacks: tuple[int, int] = Field(
        default=(30, 50), description="Fewest and most stacks of a cell, in either condition."
    )
    stack_um: tuple[float, float] = Field(
        default=(1.0, 1.9), description="Smallest and largest diameter of a stack."
    )
    ribbon_width_um: float = Field(
        default=0.8, gt=0, le=20, description="Deviation of stacks across the ribbon."
    )
    ribbon_turn: tuple[float, float] = Field(
        default=(0.6, 1.5), description="Least and most angle of the nucleus that it spans, rad."
    )
    stray: float = Field(
        default=0.04, ge=0, le=1, description="Share of stacks off the ribbon in control cells."
    )
    photons: float = Field(
        default=600.0, gt=0, le=1e5, description="Light of a stack, photons a pixel."
    )
    diffuse: float = Field(
        default=0.07, ge=0, le=1, description="Light of the cytoplasm, relative to a stack's."
    )


def simulate_golgi(
    condition: str, rng: np.random.Generator, settings: GolgiSettings | None = None
) -> SimulatedCell:
    """Simulate one cell of the assay.

    Parameters
    ----------
    condition
        :data:`CONTROL` or :data:`NOCODAZOLE`; neighbours are in the same condition.
    rng
        Source of randomness.
    settings
        What cells and microscope are like.

    Returns
    -------
    SimulatedCell
        Channels :data:`CHANNELS`.

    Raises
    ------
    ValueError
        If there is no such condition.
    """
    if condition not in (CONTROL, NOCODAZOLE):
        raise ValueError(f"There is no condition {condition!r}; take {CONTROL} or {NOCODAZOLE}.")
    settings = settings or GolgiSettings()
    scene = Scene(rng, settings.population, settings.optics, settings.size)
    grid, golgi_light = scene.grid, scene.light[1]
    spots = grid.zeros(np.int32)
    areas: tuple[float, ...] = ()
    for cell in scene.draw():
        golgi, covered = _golgi(rng, cell.body, settings, condition, grid)
        diffuse = np.maximum(1 - cell.depth**2, 0) ** 0.5 * np.where(cell.inside, 0.5, 1)
        photons = settings.photons * cell.body.signal_gain
        golgi_light += photons * golgi
        golgi_light[cell.window] += photons * settings.diffuse * diffuse
        found, count = ndimage.label(covered & (spots == 0))
        spots[found > 0] = found[found > 0] + spots.max()
        if cell.label == 1:
            fine = np.bincount(found.ravel(), minlength=count + 1)[1:]
            areas = tuple((fine * grid.step**2).tolist())
    return scene.record(condition, spots=spots, areas_um2=areas)


def _golgi(
    rng: np.random.Generator, body: Body, settings: GolgiSettings, condition: str, grid: FineGrid
) -> tuple[Array, NDArray[np.bool_]]:
    """Return light and extent of one cell's Golgi; stacks that overlap add some light."""
    count = int(rng.integers(settings.stacks[0], settings.stacks[1] + 1))
    scattered = rng.uniform(size=count) < (settings.stray if condition == CONTROL else 1.0)
    places = _ribbon(rng, body.nucleus, settings, count)
    places[scattered] = _scattered(rng, body, int(scattered.sum()))
    light, covered = grid.zeros(), grid.zeros(np.bool_)
    for (cy, cx), diameter in zip(places, rng.uniform(*settings.stack_um, count), strict=True):
        radius = diameter / 2
        window, y, x = grid.window(cy, cx, radius)
        squared = ((y - cy) ** 2 + (x - cx) ** 2) / radius**2
        # A stack seen from above: thickest in the middle.
        dome = np.maximum(1 - squared, 0) ** 0.5 * rng.uniform(0.7, 1.3)
        covered[window] |= squared <= 1
        light[window] = np.hypot(light[window], dome)
    return light, covered


def _ribbon(
    rng: np.random.Generator, nucleus: Outline, settings: GolgiSettings, count: int
) -> Array:
    """Return places (count, 2) along an arc beside the nucleus, in micrometres."""
    middle = rng.uniform(0, 2 * math.pi)
    half = rng.uniform(*settings.ribbon_turn) / 2
    # Evenly along the arc but for jitter, so that the ribbon hangs together.
    along = middle + half * (np.linspace(-1, 1, count) + rng.normal(0, 0.08, count))
    width = settings.ribbon_width_um * rng.uniform(0.6, 1.5)
    gap = rng.uniform(0.3, 1.8)
    away = nucleus.radius(along) + gap + np.abs(rng.normal(0, 1.4 * width, count))
    return np.stack([nucleus.y + away * np.sin(along), nucleus.x + away * np.cos(along)], 1)


def _scattered(rng: np.random.Generator, body: Body, count: int) -> Array:
    """Return places (count, 2) all over the cell, seldom above or below the nucleus."""
    places: list[tuple[float, float]] = []
    while len(places) < count:
        direction = np.array(rng.uniform(0, 2 * math.pi))
        far = math.sqrt(rng.uniform()) * 0.92 * float(body.cell.radius(direction))
        y = body.cell.y + far * math.sin(float(direction))
        x = body.cell.x + far * math.cos(float(direction))
        over = float(body.nucleus.depth(np.array(y), np.array(x))) < 1
        if not over or rng.uniform() < 0.15:
            places.append((y, x))
    return np.array(places).reshape(count, 2)
