"""Simulated cells of a translocation assay: a protein that moves from cytoplasm to nucleus.

As FKHR-GFP does when PI3 kinase is inhibited (wortmannin), which BBBC013 shows: untreated,
the protein is in the cytoplasm; treated, in the nucleus. BBBC013 does not state its pixel
size; with 1 um a pixel, nuclei are about 15 pixels across, as there. Ratios, brightness and
shapes are chosen so that cells look like those of BBBC013; they were not fitted to it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.models.part import Checked
from napari_rls.simulate.optics import Optics
from napari_rls.simulate.outline import Array
from napari_rls.simulate.scene import Drawn, Population, Scene, SimulatedCell

CHANNELS = ("DNA", "FKHR-GFP")
CONTROL, TREATED = "control", "treated"
DOSE = "dose="


class TranslocationAssay(Checked):
    """The translocation assay; lengths are micrometres.

    The default microscope's images have the range of 8 bit, as BBBC013's do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=64, ge=32, le=1024, description="Side of the images, in pixels.")
    optics: Optics = Optics(
        pixel_size_um=1.0,
        haze=0.1,
        background=20.0,
        read_noise=4.0,
        offset=0.0,
        gain=0.1,
        white=255,
    )
    population: Population = Population(
        nucleus_um=16.0,
        cell_um=40.0,
        variation=0.12,
        elongation=1.45,
        unevenness=0.18,
        density=0.0014,
        distance_um=15.0,
        chromatin=0.12,
        dna_photons=900.0,
        brightness=0.25,
    )
    untreated: float = Field(
        default=0.8, gt=0, le=100, description="Median ratio of untreated cells."
    )
    saturated: float = Field(
        default=6.0, gt=0, le=100, description="Median ratio at doses far above the EC50."
    )
    hill: float = Field(
        default=1.5, gt=0, le=10, description="Slope of the dose response (Hill coefficient)."
    )
    ratio_variation: float = Field(
        default=0.3, ge=0, le=2, description="Deviation of the log of the ratio in one condition."
    )
    photons: float = Field(
        default=330.0,
        gt=0,
        le=1e5,
        description="Light of the protein, photons a pixel, averaged over the cell.",
    )
    expression: float = Field(
        default=0.5, ge=0, le=3, description="Deviation of the log of a cell's protein."
    )
    mottle: float = Field(
        default=0.12, ge=0, le=1, description="Relative deviation of the light in the cytoplasm."
    )

    def ratio_at(self, dose: float) -> float:
        """Return the median ratio at a dose, in units of the EC50: the Hill equation."""
        effect = 1 / (1 + dose**-self.hill) if dose > 0 else 0.0
        return self.untreated + (self.saturated - self.untreated) * effect


def dose_of(condition: str) -> float:
    """Return the dose of a condition in units of the EC50.

    0 for :data:`CONTROL`, infinity for :data:`TREATED`, 0.5 for ``"dose=0.5"``.

    Raises
    ------
    ValueError
        If there is no such condition.
    """
    if condition in (CONTROL, TREATED):
        return 0.0 if condition == CONTROL else math.inf
    try:
        dose = float(condition.removeprefix(DOSE)) if condition.startswith(DOSE) else math.nan
    except ValueError:
        dose = math.nan
    if not dose >= 0:
        raise ValueError(
            f"There is no condition {condition!r}; take {CONTROL}, {TREATED}, or a dose in units "
            f"of the EC50, such as {DOSE}0.5."
        )
    return dose


def simulate_translocation(
    condition: str, rng: np.random.Generator, settings: TranslocationAssay | None = None
) -> SimulatedCell:
    """Simulate one cell of the assay.

    Parameters
    ----------
    condition
        See :func:`dose_of`; neighbours are in the same condition.
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
    scene, ratio = draw_translocation(condition, rng, settings or TranslocationAssay())
    return scene.record(condition, ratio=ratio)


def draw_translocation(
    condition: str, rng: np.random.Generator, settings: TranslocationAssay
) -> tuple[Scene, float]:
    """Draw a cell and its neighbours; return the drawing and the ratio of the cell.

    The ratio is that of the drawn light in nucleus and cytoplasm, as far as they are in
    the image, to the precision of floating-point numbers.
    """
    median = settings.ratio_at(dose_of(condition))
    scene = Scene(rng, settings.population, settings.optics, settings.size)
    drawn = list(scene.draw())
    scene.divide(drawn)
    mottle = scene.texture(settings.mottle)
    ratios = median * np.exp(settings.ratio_variation * rng.normal(size=len(drawn)))
    amounts = settings.photons * np.exp(settings.expression * rng.normal(size=len(drawn)))
    for cell, ratio, amount in zip(drawn, ratios, amounts, strict=True):
        own = scene.cells[cell.window] == cell.label
        light = _protein(cell, own, float(ratio), mottle[cell.window])
        scene.light[1][cell.window] += amount * cell.body.signal_gain * light
    return scene, float(ratios[0])


def _protein(cell: Drawn, own: NDArray[np.bool_], ratio: float, mottle: Array) -> Array:
    """Return one cell's light with a mean of 1 over the cell: protein moves, none is made."""
    nucleus, cytoplasm = own & cell.inside, own & ~cell.inside
    # The cell is thicker near its nucleus. In the nucleus the protein is where the DNA is:
    # not in nucleoli, less at the thinner rim.
    thickness = np.maximum(1 - cell.depth**2, 0) ** 0.4 * mottle
    light = ratio * _even(cell.stain, nucleus) + _even(thickness, cytoplasm)
    return light / max(float(light.sum()), 1e-9) * max(int(own.sum()), 1)


def _even(pattern: Array, where: NDArray[np.bool_]) -> Array:
    """Return a pattern scaled to a mean of 1 where it is wanted, 0 elsewhere."""
    kept = np.where(where, pattern, 0)
    return np.asarray(kept / max(float(kept.sum()), 1e-9) * int(where.sum()))
