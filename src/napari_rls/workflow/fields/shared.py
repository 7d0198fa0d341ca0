"""What all fields of a run share: the camera's noise, and which intensities are the bundle's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_rls.errors import InputError, JsonError
from napari_rls.files.changes import changes, told_changes
from napari_rls.files.json_file import read_model
from napari_rls.models.intensity import IntensityMap
from napari_rls.search.noise import NoiseModel
from napari_rls.search.psf import PsfEstimate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_json
from napari_rls.workflow.fields.microscope import ratio_of
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.units import in_another_unit

MOST_FIELDS = 24
"""Fields, spread over all, that it is chosen by."""

MOST_PIXELS = 24_000_000
"""LR pixels of these fields, after which no more is read."""

_MOST_CELLS = 5000
"""Cells of these fields, about."""


class Shared(BaseModel):
    """What all fields of a run share.

    Attributes
    ----------
    settings
        The settings of the run.
    noise
        Noise of the LR pixels.
    mode, low, high
        Intensities: see :class:`~napari_rls.models.intensity.IntensityMap`.
    words
        How it was chosen, in sentences.
    psf
        The width of the PSF, if it was estimated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any]
    noise: NoiseModel
    mode: Literal["bundle", "match"]
    low: tuple[float, ...]
    high: tuple[float, ...]
    words: tuple[str, ...]
    psf: PsfEstimate | None = None

    @property
    def intensity(self) -> IntensityMap:
        """Which intensities of the fields are which of the bundle's."""
        return IntensityMap(self.mode, self.low, self.high)

    @classmethod
    def choose(
        cls, resolver: FieldResolver, fields: Sequence[CellStack], settings: dict[str, Any]
    ) -> Shared:
        """Choose it by some fields of a run of these settings.

        Raises
        ------
        InputError
            If no nucleus is found in any of them.
        SettingsError
            If the ratio of pixel sizes is not known.
        """
        # Without a ratio nothing can be done, whatever the noise.
        ratio_of(fields[0], resolver.bundle, resolver.settings)
        words: list[str] = []
        what, given = "tiles" if resolver.tiled else "cells", resolver
        if resolver.settings.noise is None:
            noise, said = resolver.noise(fields)
            words += said
            resolver = resolver.with_noise(noise)
        psf = None
        if resolver.settings.estimate_psf:
            psf = resolver.estimate_psf(fields)
            resolver = resolver.with_estimate(psf)
        words = [*resolver.microscope(fields[0]).assumed, *words]
        cells, whose = [], []
        for field in fields:
            microscope = resolver.microscope(field)
            found = resolver.find(field, microscope)
            if len(found):
                some = spread(len(found), max(1, _MOST_CELLS // len(fields)))
                cells.append(resolver.cut(field, found[some], microscope))
                whose.append(field)
        if not cells:
            raise InputError(
                "No nucleus was found in any of the fields; look at their DNA channel and the "
                "ratio of pixel sizes."
            )
        chosen = resolver.intensity(cells)
        alike = [
            field
            for field, each in zip(whose, cells, strict=True)
            if resolver.tiled or not in_another_unit(each.lr, chosen, resolver.dna)
        ]
        if 0 < len(alike) < len(whose):
            # Fields of another unit are left out when their turn comes.
            return cls.choose(given, alike, settings)
        names = resolver.bundle.manifest.channel_names
        how = chosen.words(names) or "Intensities are taken as they are, as the bundle's."
        of = f"{len(cells)} field" + ("s" if len(cells) > 1 else "")
        words.append(f"{how} (By {sum(map(len, cells))} {what} of {of}.)")
        assert resolver.settings.noise is not None
        return cls(
            settings=settings,
            noise=resolver.settings.noise,
            mode=chosen.mode,
            low=chosen.low,
            high=chosen.high,
            words=tuple(words),
            psf=psf,
        )

    def tell(self, resolver: FieldResolver) -> FieldResolver:
        """Return a resolver of the same bundle and settings that knows noise and PSF."""
        known = resolver.with_noise(self.noise)
        return known.with_estimate(self.psf) if self.psf else known

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path, settings: Mapping[str, Any]) -> Shared | None:
        """Return what an earlier start of a run of these settings has chosen, if there was one.

        Raises
        ------
        InputError
            If there are results of another run beside it; the message says in what it differs.
        """
        try:
            kept = read_model(path, cls)
        except OSError:
            return None
        except JsonError:
            found = [f"{path.name} cannot be read"]
        else:
            found = changes(kept.settings, settings)
            if not found:
                return kept
        if any(path.parent.glob("*_SR*x.*")):
            raise InputError(
                f"{path.parent.parent} holds results that were made otherwise "
                f"({told_changes(found)}); give another folder, or --overwrite to make them again."
            )
        return None


def some_fields(count: int, read: Callable[[int], CellStack]) -> list[CellStack]:
    """Read fields, spread over all, by which to choose what all share.

    Parameters
    ----------
    count
        How many there are.
    read
        Reads one.

    Raises
    ------
    InputError
        If none of them can be used.
    """
    found: dict[int, CellStack] = {}
    problem = ""
    for index in scattered(spread(count)):
        try:
            found[index] = read(index)
        except InputError as error:
            problem = str(error)
        if sum(field.data[0, 0].size for field in found.values()) >= MOST_PIXELS:
            break
    if not found:
        raise InputError(problem)
    return [found[index] for index in sorted(found)]


def spread(count: int, most: int = MOST_FIELDS) -> list[int]:
    """Return at most so many numbers spread over 0 to ``count``.

    Examples
    --------
    >>> spread(3), len(spread(384))
    ([0, 1, 2], 24)
    """
    places = np.linspace(0, count - 1, min(count, most)).round()
    return [int(place) for place in np.unique(places)]


def scattered(numbers: Sequence[int]) -> list[int]:
    """Return numbers in an order of which every beginning is spread over all of them.

    Examples
    --------
    >>> scattered(range(5))
    [0, 2, 4, 1, 3]
    """
    golden = (math.sqrt(5) - 1) / 2
    return [numbers[k] for k in np.argsort(np.arange(len(numbers)) * golden % 1)]
