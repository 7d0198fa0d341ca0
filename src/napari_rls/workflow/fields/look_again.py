"""Find nuclei again in SR crops of a field: cells that LR missed, saw twice, or that are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.nuclei import NucleusSettings, find_nuclei

NEAR = 0.6
"""Diameters of a nucleus within which two nuclei are the same one."""

_REACH = 0.75
"""Diameters within which the nucleus of a crop's own cell lies from its centre."""

_VOTES = 0.5
"""Share of the crops that cover a place of which more must show a further nucleus."""


@dataclass(frozen=True, eq=False)
class Revised:
    """What SR crops say of the cells of a field.

    Attributes
    ----------
    places
        Centres (M, 2) of the nuclei in LR pixels: of cells that stay, then of new ones.
    origin
        Which crop each is of (M,), -1 for a new one.
    empty
        Crops that show no nucleus of their own.
    twice
        Crops whose nucleus is that of another crop.
    """

    places: NDArray[np.float64]
    origin: NDArray[np.intp]
    empty: tuple[int, ...]
    twice: tuple[int, ...]

    @property
    def new(self) -> int:
        """How many nuclei are seen in crops of other cells alone."""
        return int((self.origin < 0).sum())


def look_again(
    dna: NDArray[np.floating],
    places: NDArray[np.float64],
    *,
    ratio: float,
    diameter: float,
    shape: tuple[int, int],
    settings: NucleusSettings | None = None,
) -> Revised:
    """Compare the nuclei that SR crops show with the places that they were made for.

    Parameters
    ----------
    dna
        DNA images (N, S, S) of the SR crops, best cells first.
    places
        Their centres (N, 2) in LR pixels.
    ratio
        HR pixels along an LR pixel.
    diameter
        Of a usual nucleus in HR pixels.
    shape
        Rows and columns of the LR field: a cell's nucleus lies inside.
    settings
        How nuclei are found in HR images.
    """
    size = dna.shape[-1]
    own: dict[int, NDArray[np.float64]] = {}
    others: list[NDArray[np.float64]] = []
    empty: list[int] = []
    for k, (image, place) in enumerate(zip(dna, places, strict=True)):
        away = find_nuclei(image, settings).centroids - (size - 1) / 2
        distance = np.hypot(*away.T)
        mine = int(distance.argmin()) if len(away) else -1
        if mine < 0 or distance[mine] > _REACH * diameter:
            empty.append(k)
            mine = -1
        else:
            own[k] = place + away[mine] / ratio
        others += [place + step / ratio for j, step in enumerate(away) if j != mine]
    near = NEAR * diameter / ratio
    kept: dict[int, NDArray[np.float64]] = {}
    twice: list[int] = []
    for k, seen in own.items():
        # Two that LR tells apart stay two, though both crops may show the clearer one alone.
        spot = places[k] if _any_near(seen, kept.values(), near) else seen
        if _any_near(spot, kept.values(), near):
            twice.append(k)
        elif _inside(spot, shape):
            kept[k] = spot
        else:
            empty.append(k)
    covered = (size - diameter) / 2 / ratio
    new = _voted(others, list(kept.values()), places, near, covered, shape)
    found = [*kept.values(), *new]
    return Revised(
        np.array(found, np.float64).reshape(-1, 2),
        np.array([*kept, *[-1] * len(new)], np.intp),
        tuple(sorted(empty)),
        tuple(twice),
    )


def _voted(
    seen: list[NDArray[np.float64]],
    known: list[NDArray[np.float64]],
    places: NDArray[np.float64],
    near: float,
    covered: float,
    shape: tuple[int, int],
) -> list[NDArray[np.float64]]:
    """Return nuclei that are none of the known ones and that enough of the crops show."""
    waiting = [spot for spot in seen if not _any_near(spot, known, near)]
    new: list[NDArray[np.float64]] = []
    while waiting:
        spots = np.array(waiting)
        apart = np.hypot(*(spots[:, None] - spots[None]).transpose(2, 0, 1))
        together = apart[(apart < near).sum(1).argmax()] < near
        spot = spots[together].mean(0)
        waiting = [s for s, gone in zip(waiting, together, strict=True) if not gone]
        crops = int((np.abs(places - spot) <= covered).all(1).sum())
        enough = together.sum() > _VOTES * crops
        if enough and _inside(spot, shape) and not _any_near(spot, [*known, *new], near):
            new.append(spot)
    return new


def _any_near(
    spot: NDArray[np.float64], others: Iterable[NDArray[np.float64]], near: float
) -> bool:
    spots = np.array([*others], np.float64).reshape(-1, 2)
    return bool((np.hypot(*(spots - spot).T) < near).any())


def _inside(spot: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    return bool(((spot >= -0.5) & (spot <= np.array(shape) - 0.5)).all())
