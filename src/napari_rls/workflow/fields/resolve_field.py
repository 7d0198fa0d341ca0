"""Super-resolve an LR field: find its cells, look again in their SR images, search, blend."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.measure.lr_nuclei import find_lr_nuclei
from napari_rls.measure.lr_size import size_doubt
from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap, choose_map
from napari_rls.search.contained import own_process
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.noise import NoiseModel
from napari_rls.search.psf import PsfEstimate
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.bundle_nuclei import dna_channel, nucleus_settings
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.fields.field_bundle import nearest_factor, nucleus_diameter
from napari_rls.workflow.fields.field_result import FieldResult, FieldUpdate
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.look_again import look_again
from napari_rls.workflow.fields.microscope import Microscope, noise_of
from napari_rls.workflow.fields.placed_cells import PlacedCells
from napari_rls.workflow.fields.psf_of_cells import psf_of_cells
from napari_rls.workflow.fields.short_search import search_settings
from napari_rls.workflow.fields.sr_field import SrField, on_hr_grid
from napari_rls.workflow.fields.tiles import tile_places
from napari_rls.workflow.fields.units import check_unit
from napari_rls.workflow.super_resolve.intensities import levels_at
from napari_rls.workflow.super_resolve.resolver import SuperResolver, Update
from napari_rls.workflow.super_resolve.result import Collector


def check_field(field: CellStack) -> None:
    """Check that a stack is one field, of which every pixel is known.

    Raises
    ------
    InputError
        If it is not.
    """
    if len(field) != 1:
        raise InputError(f"{field.name} holds {len(field)} fields; give one at a time.")
    if not np.isfinite(field.data).all():
        raise InputError(
            f"{field.name} holds NaN or infinite values, which are no light; crop the field to "
            "pixels that were recorded."
        )


class FieldResolver:
    """Super-resolves fields of one microscope with one bundle.

    Parameters
    ----------
    resolver
        Bundle and settings of the search. The factor is that of the bundle's encoder which is
        nearest to the ratio of pixel sizes.
    settings
        How fields were seen, and how their cells are found.
    estimate
        The estimate that the PSF width of the settings is of, None if it is of none.

    Examples
    --------
    >>> from napari_rls import FieldResolver, FieldSettings, Settings, SuperResolver
    >>> settings = FieldSettings(optics={"ratio": 8})
    >>> resolver = SuperResolver("bbbc013-translocation-64", Settings(samples=0))
    >>> FieldResolver(resolver, settings).settings.optics.ratio
    8.0
    """

    def __init__(
        self,
        resolver: SuperResolver,
        settings: FieldSettings | None = None,
        estimate: PsfEstimate | None = None,
    ) -> None:
        self.resolver = resolver.with_settings(
            search_settings(resolver.bundle.manifest, resolver.settings)
        )
        self.settings = settings or FieldSettings()
        self.estimate = estimate

    @property
    def bundle(self) -> Bundle:
        """The bundle."""
        return self.resolver.bundle

    @property
    def tiled(self) -> bool:
        """Whether fields are run in tiles, as nothing is known of nuclei."""
        return not (self.settings.diameter or nucleus_diameter(self.bundle))

    @property
    def dna(self) -> int:
        """Channel in which nuclei are looked for."""
        return dna_channel(self.bundle.manifest)

    @property
    def scouts(self) -> bool:
        """Whether nuclei are looked for again in the images of a first, short search."""
        return bool(self.settings.scout_steps) and not self.tiled

    def microscope(self, field: CellStack) -> Microscope:
        """Return how a field was seen: as given, else as its file says or as it is guessed.

        Parameters
        ----------
        field
            One field, with the bundle's channels in order.

        Raises
        ------
        SettingsError
            If the ratio of pixel sizes is not known.
        """
        resolver = self
        if self.settings.estimate_psf:
            resolver = self.with_estimate(self.estimate_psf([field]))
        seen = Microscope.of(field, self.bundle, resolver.settings, self.resolver.settings)
        if (estimate := resolver.estimate) is None:
            return seen
        return replace(seen, estimate=estimate, assumed=(estimate.words(), *seen.assumed))

    def noise(self, fields: Sequence[CellStack]) -> tuple[NoiseModel, list[str]]:
        """Estimate the noise of fields of one camera; return it with sentences on it."""
        return noise_of(fields, self.settings, self.resolver.settings)

    def with_noise(self, noise: NoiseModel) -> FieldResolver:
        """Return a resolver of the same bundle and settings that knows the noise."""
        settings = self.settings.model_copy(update={"noise": noise})
        return FieldResolver(self.resolver, settings, self.estimate)

    def with_psf(self, sigma: float | None) -> FieldResolver:
        """Return one that is given a width in LR pixels, or none, and does not estimate it."""
        optics = self.settings.optics.model_copy(update={"psf_sigma": sigma})
        settings = self.settings.model_copy(update={"optics": optics, "estimate_psf": False})
        return FieldResolver(self.resolver, settings)

    def with_estimate(self, estimate: PsfEstimate) -> FieldResolver:
        """Return one that takes the width of an estimate, which records then tell."""
        return FieldResolver(self.resolver, self.with_psf(estimate.sigma).settings, estimate)

    def estimate_psf(self, fields: Sequence[CellStack]) -> PsfEstimate:
        """Estimate the width of the PSF of fields of one microscope by their cells.

        What of the width is given is not looked at. See
        :func:`~napari_rls.search.psf.estimate_psf`.

        Parameters
        ----------
        fields
            Fields (1, C, h, w) with the bundle's channels in order.

        Raises
        ------
        InputError
            If no nucleus is found, or LR pixels are too large.
        SettingsError
            If the ratio of pixel sizes is not known.
        """
        resolver, cells = self.with_psf(None), []
        for field in fields:
            check_field(field)
            microscope = resolver.microscope(field)
            found = resolver.find(field, microscope)
            if len(found):
                cells.append(resolver.cut(field, found, microscope))
        if not cells:
            raise InputError(
                "No nucleus was found to estimate the PSF width by; look at the DNA channel, the "
                "ratio of pixel sizes and the sensitivity."
            )
        with own_process(self.resolver.settings.threads):
            return psf_of_cells(self.bundle, cells, self.intensity(cells))

    def find(self, field: CellStack, microscope: Microscope) -> NDArray[np.float64]:
        """Return the centres (N, 2) of nuclei in an LR field, in LR pixels, the clearest first.

        Of bundles whose crops have none in their centre, those of tiles that cover the field.
        """
        if microscope.diameter is None:
            height, width = field.data.shape[-2:]
            return tile_places((height, width), self.bundle.manifest.hr_size, microscope.ratio)
        found = find_lr_nuclei(
            field.data[0, self.dna],
            ratio=microscope.ratio,
            psf_sigma=microscope.sigma,
            diameter=microscope.diameter,
            settings=self.settings.nuclei,
        )
        return found.centres[np.argsort(-found.scores, kind="stable")]

    def _size_doubt(
        self, field: CellStack, places: NDArray[np.float64], microscope: Microscope
    ) -> str:
        """Return a sentence if nuclei look as if the ratio of pixel sizes was wrong, else ""."""
        if microscope.diameter is None:
            return ""
        return size_doubt(
            field.data[0, self.dna],
            places,
            ratio=microscope.ratio,
            psf_sigma=microscope.sigma,
            diameter=microscope.diameter,
            psf_known=microscope.psf_known,
        )

    def cut(
        self, field: CellStack, places: NDArray[np.float64], microscope: Microscope
    ) -> PlacedCells:
        """Return the cells at places of a field, moved onto the grid of HR pixels."""
        size = self.bundle.manifest.hr_size
        return PlacedCells.cut(
            field.data[0],
            on_hr_grid(places, size, microscope.ratio),
            hr_size=size,
            ratio=microscope.ratio,
            sigma=microscope.sigma,
            psf=microscope.psf,
            noise=microscope.noise,
        )

    def intensity(self, cells: Sequence[PlacedCells]) -> IntensityMap:
        """Choose which intensities of fields are which of the bundle's, by all cells of them."""
        settings = self.resolver.settings
        optics = cells[0].optics
        size = self.bundle.manifest.hr_size
        middle, _ = PlacedOptics.at([[0.0, 0.0]], size, optics.ratio, optics.sigma, psf=optics.psf)
        return choose_map(
            np.concatenate([each.lr for each in cells]),
            self.bundle.manifest.intensity,
            lambda: levels_at(self.bundle, middle),
            settings.intensity,
            settings.camera_offset,
        )

    def updates(
        self,
        field: CellStack,
        *,
        intensity: IntensityMap | None = None,
        places: NDArray[np.float64] | None = None,
        near: NDArray[np.float64] | None = None,
    ) -> Generator[FieldUpdate, None, None]:
        """Super-resolve a field.

        Parameters
        ----------
        field
            One field (1, C, h, w) with the bundle's channels in order.
        intensity
            Which of its intensities are which of the bundle's; by default chosen by its cells.
            Fields of one plate should have one.
        places
            Centres (N, 2) of its cells in LR pixels, as chosen by hand: they are taken as they
            are. By default they are found.
        near
            A place (2,) in LR pixels: the cells nearest to it are searched first. By default the
            clearest are, or those that ``places`` names first.

        Raises
        ------
        InputError
            If it is not one field, or no cell is found.
        SettingsError
            If the ratio of pixel sizes is not known, or the method does not search.
        """
        check_field(field)
        microscope = self.microscope(field)
        chosen = places is not None
        spots = self.find(field, microscope) if places is None else np.asarray(places, np.float64)
        if not chosen and (doubt := self._size_doubt(field, spots, microscope)):
            microscope = replace(microscope, assumed=(doubt, *microscope.assumed))
        for sentence in microscope.assumed:
            yield FieldUpdate("found", np.empty((0, 2)), sentence)
        if not len(spots):
            raise InputError(
                f"No nucleus was found in {field.name}; look at its DNA channel, the ratio of "
                "pixel sizes and the sensitivity."
            )
        spots = _nearest_first(spots, near)
        what = "nuclei found in" if microscope.diameter else "tiles cover"
        words = "" if chosen else f"{len(spots)} {what} {field.name}."
        yield FieldUpdate("found", spots, words)
        cells = self.cut(field, spots, microscope)
        if intensity and not (chosen or self.tiled):
            check_unit(cells.lr, intensity, self.dna, field.name)
        intensity = intensity or self.intensity([cells])
        dropped = np.empty((0, 2))
        if self.scouts and not chosen:
            changes = {"steps": self.settings.scout_steps, "samples": 0}
            scout = self._collector(field, cells)
            for step in self._search(scout, cells, intensity, microscope, changes):
                scout.add(step)
                yield FieldUpdate("scouting", cells.places, step=step)
            spots, dropped, words = self._looked(field, cells, scout.sr, microscope)
            if not len(spots):
                raise InputError(
                    f"None of the {len(cells)} places found in {field.name} shows a nucleus once "
                    "it is super-resolved; look at the ratio of pixel sizes and the PSF."
                )
            cells = self.cut(field, _nearest_first(spots, near), microscope)
            yield FieldUpdate("looked", cells.places, words)
        collector = self._collector(field, cells)
        image = SrField(field.data[0], collector.sr, cells.places, microscope.ratio)
        result = FieldResult(collector, cells, image, microscope, dropped)
        for step in self._search(collector, cells, intensity, microscope, {}):
            collector.add(step)
            yield FieldUpdate("searching", cells.places, step=step, result=result)
        yield FieldUpdate("done", cells.places, result=result)

    def _collector(self, field: CellStack, cells: PlacedCells) -> Collector:
        source = field.crops[0] if field.crops else Crop(field.name)
        source = replace(source, pixel_size_um=field.pixel_size_um)
        crops = tuple(replace(source, y=float(y), x=float(x)) for y, x in cells.places)
        stack = replace(field, data=cells.lr, leading="N", crops=crops)
        return Collector(stack, self.bundle.manifest.hr_size)

    def _search(
        self,
        collector: Collector,
        cells: PlacedCells,
        intensity: IntensityMap,
        microscope: Microscope,
        changes: dict[str, Any],
    ) -> Generator[Update, None, None]:
        factor = nearest_factor(self.bundle, microscope.ratio)
        settings: Settings = self.resolver.settings.model_copy(
            update=changes | {"factor": factor, "operator": "optics"}
        )
        search = self.resolver.with_settings(settings).prepare_placed(
            collector.lr, cells.optics, intensity, lambda k: cells.seen(k, intensity)
        )
        collector.begin(search.run)
        return search.updates()

    def _looked(
        self,
        field: CellStack,
        cells: PlacedCells,
        sr: NDArray[np.float32],
        microscope: Microscope,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
        """Return where nuclei are by the SR images of a first search, where none is, and words."""
        manifest = self.bundle.manifest
        assert microscope.diameter is not None
        revised = look_again(
            sr[:, self.dna],
            cells.places,
            ratio=microscope.ratio,
            diameter=microscope.diameter,
            shape=field.data.shape[-2:],
            settings=nucleus_settings(manifest),
        )
        none = [*revised.empty, *revised.twice]
        words = (
            f"Looked again in their SR images: {revised.new} more nuclei, {len(revised.empty)} "
            f"places without one, {len(revised.twice)} found twice; {len(revised.places)} cells."
        )
        return revised.places, cells.places[none], words


def _nearest_first(
    places: NDArray[np.float64], near: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if near is None:
        return places
    return places[np.argsort(((places - near) ** 2).sum(1), kind="stable")]
