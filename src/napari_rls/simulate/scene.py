"""Cells in an image: the one in the middle and its neighbours, with room for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.models.part import Checked
from napari_rls.simulate.nucleus import dna, texture
from napari_rls.simulate.optics import FineGrid, Optics, Window, to_labels, to_pixels
from napari_rls.simulate.outline import Array, Outline, neighbours, random_outline


class Population(Checked):
    """What cells of a culture look like; lengths are micrometres.

    The defaults suit spread human cancer cells in a monolayer, such as U2OS or HeLa:
    nuclei of about 200 square micrometres, cells of about 1,000.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nucleus_um: float = Field(default=16.0, gt=1, le=100, description="Mean nuclear diameter.")
    cell_um: float = Field(default=34.0, gt=2, le=300, description="Mean cell diameter.")
    variation: float = Field(
        default=0.10, ge=0, le=0.4, description="Relative deviation of both from cell to cell."
    )
    elongation: float = Field(
        default=1.25, ge=1, le=3, description="Mean ratio of a nucleus's long and short axis."
    )
    unevenness: float = Field(
        default=0.10, ge=0, le=0.3, description="How far a cell is from an ellipse; 0 is one."
    )
    density: float = Field(
        default=0.0012, ge=0, le=0.01, description="Neighbours per square micrometre."
    )
    distance_um: float = Field(
        default=20.0, gt=1, le=300, description="Least distance of two nuclei's centres."
    )
    chromatin: float = Field(
        default=0.22, ge=0, le=1, description="Relative deviation of the DNA stain in a nucleus."
    )
    dna_photons: float = Field(
        default=450.0, gt=0, le=1e5, description="Mean DNA light in a nucleus, photons a pixel."
    )
    brightness: float = Field(
        default=0.18, ge=0, le=1, description="Deviation of the log of a cell's brightness."
    )


@dataclass(frozen=True, eq=False)
class Body:
    """One cell: its two outlines and how bright it is."""

    nucleus: Outline
    cell: Outline
    dna_gain: float
    signal_gain: float

    @property
    def y(self) -> float:
        """Centre of the nucleus, in micrometres."""
        return self.nucleus.y

    @property
    def x(self) -> float:
        """Centre of the nucleus, in micrometres."""
        return self.nucleus.x

    @property
    def reach(self) -> float:
        """A radius around the nucleus that holds the whole cell, in micrometres."""
        shift = math.hypot(self.cell.y - self.nucleus.y, self.cell.x - self.nucleus.x)
        return max(self.nucleus.reach, self.cell.reach + shift)


@dataclass(frozen=True, eq=False)
class SimulatedCell:
    """A simulated image of one cell in the middle, and the truth behind it.

    Parameters
    ----------
    image
        What the camera records (2, H, W), uint16 grey levels: DNA and signal.
    expected
        The same without noise (2, H, W), in photons.
    nuclei, cells
        Labels (H, W), int32: 1 is the cell in the middle, others its neighbours. A pixel
        belongs to what covers most of it.
    spots
        Labels (H, W), int32, of the bright objects of all cells; all 0 where the assay
        has none. Labels 1 to ``len(areas_um2)`` are those of the cell in the middle.
    areas_um2
        Areas of the spots of the cell in the middle, drawn at a finer step than pixels and
        before blur; parts that touch are one spot.
    ratio
        Mean signal in the nucleus over that in the cytoplasm of the cell in the middle,
        before blur, background and noise; NaN where the assay has none.
    condition
        What was done to the cell.
    pixel_size_um
        Side of a pixel in micrometres.
    """

    image: NDArray[np.uint16]
    expected: Array
    nuclei: NDArray[np.int32]
    cells: NDArray[np.int32]
    spots: NDArray[np.int32]
    areas_um2: tuple[float, ...]
    ratio: float
    condition: str
    pixel_size_um: float


def bodies(
    rng: np.random.Generator, population: Population, optics: Optics, size: int
) -> list[Body]:
    """Draw the cell in the middle of an image of ``size`` pixels, and its neighbours."""
    side = size * optics.pixel_size_um
    # A crop is centred on the nucleus as it was found, to a fraction of a pixel.
    centre = side / 2 + rng.uniform(-0.5, 0.5, 2) * optics.pixel_size_um
    places = [
        (float(centre[0]), float(centre[1])),
        *neighbours(rng, side, population.distance_um, population.density),
    ]
    return [_body(rng, population, place) for place in places]


def _body(rng: np.random.Generator, population: Population, place: tuple[float, float]) -> Body:
    scale = float(np.exp(population.variation * rng.normal()))
    nucleus = random_outline(
        rng,
        place,
        population.nucleus_um * scale,
        elongation=population.elongation,
        unevenness=0.03,
    )
    shift = rng.normal(0, 0.06 * population.cell_um, 2)
    cell = random_outline(
        rng,
        (place[0] + shift[0], place[1] + shift[1]),
        population.cell_um * scale * float(np.exp(population.variation * rng.normal())),
        elongation=1.15 * population.elongation,
        unevenness=population.unevenness,
        angle=nucleus.angle + rng.normal(0, 0.3),
    )
    gains = np.exp(population.brightness * rng.normal(size=2))
    return Body(nucleus, cell, float(gains[0]), float(gains[1]))


@dataclass(frozen=True, eq=False)
class Drawn:
    """One cell of a drawing.

    Parameters
    ----------
    label
        Its label: 1 for the cell in the middle.
    body
        Its outlines and brightness.
    window
        The part of the drawing that holds it.
    inside
        Points of the window in its nucleus.
    depth
        How far out in the cell the window's points are; see :meth:`Outline.depth`.
    stain
        Its DNA stain in the window, about 1 in the middle of the nucleus.
    """

    label: int
    body: Body
    window: Window
    inside: NDArray[np.bool_]
    depth: Array
    stain: Array


class Scene:
    """Light and labels of an image while its cells are drawn, on the fine grid.

    Parameters
    ----------
    rng
        Source of randomness.
    population, optics
        What cells and microscope are like.
    size
        Side of the image, in pixels.

    Attributes
    ----------
    grid
        The points on which is drawn.
    light
        DNA and signal (2, points, points), in photons a pixel.
    nuclei, cells
        Labels (points, points), int32.
    """

    def __init__(
        self, rng: np.random.Generator, population: Population, optics: Optics, size: int
    ) -> None:
        self._rng, self._population, self._optics, self._size = rng, population, optics, size
        self.grid = FineGrid(size, optics.pixel_size_um)
        self._chromatin = self.texture(population.chromatin)
        self.light = np.stack([self.grid.zeros(), self.grid.zeros()])
        self.nuclei, self.cells = self.grid.zeros(np.int32), self.grid.zeros(np.int32)

    def texture(self, strength: float) -> Array:
        """Return a random texture of the whole drawing with mean about 1."""
        pixels = texture(self._rng, self._size, self._optics.pixel_size_um, strength)
        return self.grid.spread(pixels)

    def draw(self) -> Iterator[Drawn]:
        """Draw nuclei and outlines, cell by cell, the one in the middle first.

        What two cells cover belongs to the one drawn first.
        """
        people = bodies(self._rng, self._population, self._optics, self._size)
        for label, body in enumerate(people, start=1):
            window, y, x = self.grid.window(body.y, body.x, body.reach)
            stain, inside = dna(self._rng, body.nucleus, y, x, self._chromatin[window])
            depth = body.cell.depth(y, x)
            self.light[0][window] += self._population.dna_photons * body.dna_gain * stain
            _paint(self.nuclei[window], inside, label)
            _paint(self.cells[window], inside | (depth <= 1), label)
            yield Drawn(label, body, window, inside, depth, stain)

    def divide(self, drawn: Iterable[Drawn]) -> None:
        """Give every point to the cell in which it lies deepest, nuclei before all else."""
        deepest = np.full(self.cells.shape, np.inf)
        for cell in drawn:
            depth = np.where(cell.inside, cell.depth - 10, cell.depth)
            own = (cell.inside | (cell.depth <= 1)) & (depth < deepest[cell.window])
            deepest[cell.window][own] = depth[own]
            self.cells[cell.window][own] = cell.label
            self.nuclei[cell.window][own] = np.where(cell.inside[own], cell.label, 0)

    def record(
        self,
        condition: str,
        *,
        spots: NDArray[np.int32] | None = None,
        areas_um2: tuple[float, ...] = (),
        ratio: float = math.nan,
    ) -> SimulatedCell:
        """Return what the camera records of the drawing, with the truth.

        ``spots`` are labels on the fine grid; for the rest see :class:`SimulatedCell`.
        """
        expected = self._optics.expected(np.stack([to_pixels(plane) for plane in self.light]))
        return SimulatedCell(
            image=self._optics.recorded(expected, self._rng),
            expected=expected,
            nuclei=to_labels(self.nuclei),
            cells=to_labels(self.cells),
            spots=to_labels(self.grid.zeros(np.int32) if spots is None else spots),
            areas_um2=areas_um2,
            ratio=ratio,
            condition=condition,
            pixel_size_um=self._optics.pixel_size_um,
        )


def _paint(labels: NDArray[np.int32], where: NDArray[np.bool_], label: int) -> None:
    """Set ``label`` where nothing is labelled yet, in place."""
    labels[where & (labels == 0)] = label
