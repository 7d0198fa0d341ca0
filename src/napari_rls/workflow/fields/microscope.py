"""How the microscope saw a field: what is given, what its file says, and what is guessed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.search.noise import NoiseModel, estimate_noise
from napari_rls.search.optics import USUAL_SIGMA, Psf
from napari_rls.search.psf import PsfEstimate
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields.field_bundle import nucleus_diameter
from napari_rls.workflow.fields.field_settings import FieldSettings

_MOST_PIXELS = 4_000_000
"""Pixels of all fields together by which noise is estimated, about."""

_SIDE = 512
"""Side of the squares, spread over a larger field, that they are of."""


@dataclass(frozen=True, eq=False)
class Microscope:
    """How a field was seen, all guesses made.

    ``sigma`` is the deviation of the PSF in LR pixels, ``diameter`` that of a usual nucleus in HR
    pixels, None where there are none to look for and the field is run in tiles;
    ``psf_known`` tells whether ``sigma`` was given or estimated;
    ``assumed`` says in sentences what was neither given nor read, and ``estimate`` is the estimate
    that the deviation is of, if it is of one.
    """

    ratio: float
    sigma: float
    psf: Psf
    noise: NoiseModel
    diameter: float | None
    assumed: tuple[str, ...]
    estimate: PsfEstimate | None = None
    psf_known: bool = True

    @classmethod
    def of(
        cls, field: CellStack, bundle: Bundle, settings: FieldSettings, search: Settings
    ) -> Microscope:
        """Return how a field was seen: as given, else as its file says or as it is guessed.

        Raises
        ------
        SettingsError
            If the ratio of pixel sizes is not known.
        """
        optics = settings.optics
        ratio = ratio_of(field, bundle, settings)
        diameter = settings.diameter or nucleus_diameter(bundle)
        assumed = [] if diameter else [_why_tiles(bundle)]
        sigma = optics.sigma_in_lr_pixels(field.pixel_size_um)
        psf_known = optics.psf != "gaussian" or sigma is not None
        if sigma is None and not psf_known:
            sigma = USUAL_SIGMA
            assumed.append(
                f"The PSF is not known: {sigma:g} LR pixels are assumed; give its width, or NA and "
                "wavelength of the lens."
            )
        noise = settings.noise
        if noise is None:
            noise, said = noise_of([field], settings, search)
            assumed += said
        sentences = tuple(assumed)
        return cls(ratio, sigma or 0.0, optics.psf, noise, diameter, sentences, psf_known=psf_known)

    @property
    def crops(self) -> str:
        """What the crops of the field are called: cells, or tiles."""
        return "cells" if self.diameter else "tiles"

    def record(self) -> dict[str, Any]:
        """Return it as plain numbers, strings and lists."""
        return {
            "ratio": self.ratio,
            "psf": self.psf,
            "psf_sigma": self.sigma if self.psf == "gaussian" else None,
            "psf_estimate": self.estimate and self.estimate.record(),
            "noise": self.noise.record(),
            "nucleus_diameter": self.diameter,
            "assumed": list(self.assumed),
        }


def _why_tiles(bundle: Bundle) -> str:
    size, name = bundle.manifest.hr_size, bundle.manifest.name
    return (
        f"Fields are run in overlapping tiles of {size} x {size} HR pixels, as the crops of the "
        f"bundle {name} have no nucleus in their centre; give the diameter of a nucleus to look "
        "for nuclei instead."
    )


def ratio_of(field: CellStack, bundle: Bundle, settings: FieldSettings) -> float:
    """Return HR pixels along an LR pixel of a field.

    Raises
    ------
    SettingsError
        If it is neither given nor known by the pixel sizes, of which the sentence says all.
    """
    try:
        return settings.optics.ratio_of(field.pixel_size_um, bundle.manifest.pixel_size_um)
    except SettingsError as error:
        words = [field.reading.unit_words, str(error)]
        raise SettingsError(" ".join(filter(None, words))) from None


def noise_of(
    fields: Sequence[CellStack], settings: FieldSettings, search: Settings
) -> tuple[NoiseModel, list[str]]:
    """Estimate the noise of fields of one camera; return it with sentences on it."""
    offset, names = search.camera_offset, fields[0].channels
    most = _MOST_PIXELS // len(fields)
    estimate = estimate_noise(
        [part for field in fields for image in field.data for part in _parts(image, most)],
        psf_sigma=settings.optics.psf_sigma,
        offset=None if offset is None else [offset] * len(names),
        names=names,
    )
    return estimate.model, [noise_words(estimate.model, names), *estimate.doubts]


def _parts(image: NDArray[np.generic], most: int) -> Iterator[NDArray[np.generic]]:
    """Return a field (C, h, w), or squares of a large one with about so many pixels."""
    height, width = image.shape[-2:]
    if height * width <= most or min(height, width) <= _SIDE:
        yield image
        return
    count = max(1, math.isqrt(most) // _SIDE)
    for top in _firsts(height, count):
        for left in _firsts(width, count):
            yield image[:, top : top + _SIDE, left : left + _SIDE]


def _firsts(size: int, count: int) -> list[int]:
    """Return where parts of an axis begin that are spread over it."""
    middles = (np.arange(count) + 0.5) / count * size
    return [int(first) for first in np.clip(middles - _SIDE / 2, 0, size - _SIDE)]


def noise_words(noise: NoiseModel, channels: Sequence[str]) -> str:
    """Return a sentence on the noise that a field tells of itself.

    Examples
    --------
    >>> noise_words(NoiseModel((2.0,), (100.0,), (3.0,)), ["DNA"])
    'Noise, estimated from the images: DNA offset 100, gain 2, read noise 3.'
    """
    return f"Noise, estimated from the images: {noise.numbers(channels)}."
