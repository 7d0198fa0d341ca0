"""Random outlines of nuclei and cells, and the places of neighbours."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed outline: an ellipse whose radius a few harmonics make uneven.

    Parameters
    ----------
    y, x
        Centre, in micrometres.
    long, short
        Semi-axes, in micrometres.
    angle
        Direction of the long axis, in radians.
    waves
        Amplitudes (K,) of the harmonics 2 to K + 1, relative to the radius.
    phases
        Their phases (K,), in radians.
    """

    y: float
    x: float
    long: float
    short: float
    angle: float
    waves: Array
    phases: Array

    def depth(self, y: Array, x: Array) -> Array:
        """Return how far out points are: 0 at the centre, 1 on the outline, more outside."""
        offset = (x - self.x) + 1j * (y - self.y)
        distance = np.abs(offset)
        towards = np.asarray(offset / np.maximum(distance, 1e-9), np.complex128)
        return np.asarray(distance / self._radius(towards))

    def radius(self, direction: Array) -> Array:
        """Return the distance from the centre to the outline, in micrometres."""
        return self._radius(np.exp(1j * direction))

    def _radius(self, towards: NDArray[np.complex128]) -> Array:
        """Return the same; directions are complex numbers x + iy of length 1."""
        # Powers of a unit number instead of cosines of multiples: much less to compute.
        turned = towards * cmath.exp(-1j * self.angle)
        across = np.hypot(self.short * turned.real, self.long * turned.imag)
        uneven, power = np.ones(turned.shape), turned
        for wave, phase in zip(self.waves, self.phases, strict=True):
            power = power * turned
            uneven += (power * (wave * cmath.exp(1j * phase))).real
        return np.asarray(self.long * self.short / across * uneven)

    @property
    def reach(self) -> float:
        """A radius that holds the whole outline, in micrometres."""
        return float(max(self.long, self.short) * (1 + np.abs(self.waves).sum()))


def random_outline(
    rng: np.random.Generator,
    centre: tuple[float, float],
    diameter: float,
    *,
    elongation: float,
    unevenness: float,
    angle: float | None = None,
) -> Outline:
    """Draw an outline of a mean diameter.

    Parameters
    ----------
    rng
        Source of randomness.
    centre
        y and x, in micrometres.
    diameter
        Diameter of the disc of the ellipse's area, in micrometres.
    elongation
        Long over short axis, on average over many outlines; 1 or more.
    unevenness
        Amplitude of the second harmonic, relative to the radius; higher ones are smaller.
    angle
        Direction of the long axis in radians; None draws one.
    """
    ratio = 1 + (elongation - 1) * rng.uniform(0.3, 1.7)
    radius = diameter / 2
    amplitudes = unevenness * rng.normal(size=4) / np.arange(1, 5)
    return Outline(
        *centre,
        long=radius * math.sqrt(ratio),
        short=radius / math.sqrt(ratio),
        angle=rng.uniform(0, math.pi) if angle is None else angle,
        waves=amplitudes.clip(-0.3, 0.3),
        phases=rng.uniform(0, 2 * math.pi, 4),
    )


def neighbours(
    rng: np.random.Generator, side: float, distance: float, density: float
) -> list[tuple[float, float]]:
    """Draw places of cells around one in the middle of a square image.

    Parameters
    ----------
    rng
        Source of randomness.
    side
        Side of the image, in micrometres; places lie up to half a ``distance`` outside.
    distance
        No two cells are nearer than this, centre to centre, in micrometres.
    density
        Cells per square micrometre that are tried; fewer fit.

    Returns
    -------
    list
        y and x of every neighbour, in micrometres; the middle cell is not among them.
    """
    margin = distance / 2
    count = rng.poisson(density * (side + 2 * margin) ** 2)
    places = [(side / 2, side / 2)]
    for y, x in rng.uniform(-margin, side + margin, (count, 2)):
        if all(math.hypot(y - py, x - px) >= distance for py, px in places):
            places.append((float(y), float(x)))
    return places[1:]
