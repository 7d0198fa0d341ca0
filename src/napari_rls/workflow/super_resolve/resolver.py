"""Super-resolve a stack of cells: the one job behind the widget, the CLI and the API."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import InputError, SettingsError
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.intensity import IntensityMap, unusual_cells
from napari_rls.models.manifest import Manifest
from napari_rls.search.contained import own_process
from napari_rls.search.degradation import Degradation
from napari_rls.search.device import choose_device, choose_dtype
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.kit import Seen
from napari_rls.search.networks import Networks
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.plate_map import guessed_wells_of
from napari_rls.workflow.cells.stack import CellStack, fitting_factor
from napari_rls.workflow.cells.usable import check_fit, scale_doubt, unusable_cells
from napari_rls.workflow.super_resolve.intensities import (
    check_operator,
    count_strange,
    intensity_map,
    operator_for,
)
from napari_rls.workflow.super_resolve.lr_cells import Pixels, cells_for
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.search_run import Search, by_pix2pix, searches
from napari_rls.workflow.super_resolve.seen_crops import seen_crops, settled, with_posterior
from napari_rls.workflow.super_resolve.sr_result import Result
from napari_rls.workflow.super_resolve.told_column import with_told
from napari_rls.workflow.super_resolve.updates import Run, Update

__all__ = ["Run", "SuperResolver", "Update"]


class SuperResolver:
    """Super-resolves cells with one bundle and one set of settings, as often as you like.

    What does not depend on the cells (networks, frozen weights, what random latent vectors
    tell of W, whether bfloat16 is exact enough) is made once.

    Parameters
    ----------
    bundle
        A loaded bundle, or what :func:`~napari_rls.load_bundle` takes. It is this one that is
        used and recorded, whatever bundle the settings name.
    settings
        The settings. The factor, if it is not given, is the one that the cells ask for.
    operator
        D, instead of the one that the settings name.

    Raises
    ------
    InputError
        If the bundle is none.
    BundleError
        If the bundle cannot be loaded.
    SettingsError
        If the settings are none, the device that was asked for is not there, or the operator
        cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls import Settings, SuperResolver
    >>> settings = Settings(factor=16, steps=2, samples=0)
    >>> resolver = SuperResolver("bbbc013-translocation-64", settings)
    >>> lr = np.random.default_rng(0).uniform(0, 255, (3, 2, 4, 4))
    >>> resolver.run(lr).sr.shape
    (3, 2, 64, 64)
    >>> [update.step for update in resolver.stream(lr)]
    [1, 2]
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        settings: Settings | None = None,
        *,
        operator: Degradation | None = None,
    ) -> None:
        if isinstance(bundle, str | Path):
            bundle = load_bundle(bundle)
        if not isinstance(bundle, Bundle):
            raise InputError(
                f"The bundle is {_kind(bundle)}; give a loaded one, or the name or the file of one."
            )
        check_settings(settings)
        self.bundle = bundle
        self._networks: dict[tuple[torch.device, torch.dtype], Networks] = {}
        self._dtypes: dict[tuple[torch.device, str], torch.dtype] = {}
        self._use(settings or Settings(), operator)

    def with_settings(
        self, settings: Settings, *, operator: Degradation | None = None
    ) -> SuperResolver:
        """Return a resolver of the same bundle with other settings, which shares what it can.

        Raises
        ------
        SettingsError
            If the device that was asked for is not there, or the operator cannot be used.
        """
        other = copy.copy(self)
        other._use(settings, operator)
        return other

    def _use(self, settings: Settings, operator: Degradation | None) -> None:
        changes: dict[str, Any] = {"bundle": self.bundle.reference}
        if operator is not None:
            if "factor" in settings.model_fields_set and settings.factor != operator.factor:
                raise SettingsError(
                    f"The operator is of factor {operator.factor} but the settings ask for "
                    f"{settings.factor}; give one factor."
                )
            check_operator(operator, self.bundle.manifest)
            name = str(operator.record().get("name", type(operator).__name__))
            changes |= {"factor": operator.factor, "operator": name}
        given = settings.model_fields_set
        self.settings = settings.model_copy(update=changes)
        self._fits = "factor" not in given and operator is None
        self._operator = operator
        self._choice = choose_device(settings.device)

    def run(
        self, lr: CellStack | Pixels, on_update: Callable[[Update], None] | None = None
    ) -> Result:
        """Super-resolve cells and return their SR images with all that belongs to them.

        Parameters
        ----------
        lr
            LR cells, see :meth:`stream`.
        on_update
            Is told of every step.

        Raises
        ------
        InputError, SettingsError
            See :meth:`stream`.
        """
        search = self.prepare(lr)
        collector = Collector(search.lr, self.bundle.manifest.hr_size)
        collector.begin(search.run)
        for update in search.updates():
            collector.add(update)
            if on_update is not None:
                on_update(update)
        return Result(collector)

    def stream(self, lr: CellStack | Pixels) -> Generator[Update, None, None]:
        """Super-resolve cells and yield an update after every step of every batch.

        Whatever is wrong with the cells is raised at the call, before the first update.

        Parameters
        ----------
        lr
            LR cells: a stack, or pixels (N, C, y, x), any real dtype, with the bundle's
            channels in the bundle's order: an array (masked pixels are NaN), a nested list, a
            dask or zarr array, a torch tensor. Three axes are one cell, (C, y, x), or with a
            bundle of one channel cells, (N, y, x); ``update.run.reading`` says so. Channels of
            a stack are found by their names.

        Raises
        ------
        InputError
            If the image does not fit the bundle and the factor, no cell can be searched, or
            the bundle lacks the network of the method.
        SettingsError
            If the operator cannot be used on these images.
        """
        return self.prepare(lr).updates()

    def prepare(self, lr: CellStack | Pixels) -> Search:
        """Return a run that is ready to begin; see :meth:`stream`."""
        bundle, manifest = self.bundle, self.bundle.manifest
        stack = cells_for(lr, manifest)
        settings = self._settings_for(stack)
        check_fit(stack, manifest, settings.factor)
        spec = manifest.field_encoder
        knows = spec is not None and spec.knows_crops(settings.factor)
        settings = with_posterior(settings, manifest, knows=knows)
        if by_pix2pix(settings) and settings.factor not in bundle.pix2pix:
            raise InputError(_no_network(manifest, settings.factor))
        if not stack.reading.wells:
            wells = guessed_wells_of(stack.crops, stack.name)
            found = {file: guess for file, guess in wells.items() if guess.well}
            stack = replace(stack, reading=replace(stack.reading, wells=found))
        skipped = unusable_cells(stack)
        if len(skipped) == len(stack):
            why = next(iter(skipped.values()))
            raise InputError(f"{stack.name}: no cell can be searched ({why}).")
        usable = [k for k in range(len(stack)) if k not in skipped]
        with own_process(settings.threads):
            degrade = self._operator or operator_for(settings, manifest, stack.pixel_size_um)
            intensity = intensity_map(stack.data[usable], bundle, settings, degrade)
            seen = seen_crops(stack.data, usable, bundle, settings, intensity, degrade)
        settings, held = with_told(settled(settings, seen), manifest)
        run = self._run(stack, settings, intensity, skipped, degrade.record())
        run = replace(
            run,
            held=held,
            strange=count_strange(stack.data[usable], intensity, manifest, settings.factor),
            scale=scale_doubt(stack.pixel_size_um, manifest, settings.factor),
        )
        if seen is None:
            return self._search(stack, run, degrade)
        return self._search(stack, replace(run, noise=seen.noise), degrade, seen.seen)

    def prepare_placed(
        self,
        windows: CellStack,
        optics: PlacedOptics,
        intensity: IntensityMap,
        seen: Callable[[NDArray[np.intp]], Seen],
    ) -> Search:
        """Return a run over cells that lie anywhere in an LR field, ready to begin.

        Parameters
        ----------
        windows
            Their LR windows, with the bundle's channels in order; NaN where a pixel is not to be
            compared.
        optics
            D of each.
        intensity
            Which of their intensities are which of the bundle's.
        seen
            Tells of cells (n,) how the microscope saw them.

        Raises
        ------
        SettingsError
            If the method does not search.
        """
        if by_pix2pix(self.settings):
            raise SettingsError(
                f"The method {self.settings.method} makes images of crops alone; choose another "
                "one for fields."
            )
        settings = self.settings.model_copy(update={"reading": "likelihood", "lambda_m": 0.0})
        spec = self.bundle.manifest.field_encoder
        knows = spec is not None and spec.knows(optics.ratio)
        settings = with_posterior(settings, self.bundle.manifest, knows=knows)
        run = self._run(windows, settings, intensity, {}, optics.record())
        return self._search(windows, self._from_estimate(run), optics, seen)

    def _from_estimate(self, run: Run) -> Run:
        """Return a run that starts at the estimate of the bundle's field encoder, if it is to."""
        unable = self.bundle.starting_encoder is None or not searches(run.settings)
        if run.settings.start != "encoder" or unable:
            return run
        return replace(run, start="field encoder")

    def _run(
        self,
        stack: CellStack,
        settings: Settings,
        intensity: IntensityMap,
        skipped: Mapping[int, str],
        operator: Mapping[str, Any],
    ) -> Run:
        usable = [k for k in range(len(stack)) if k not in skipped]
        unusual = unusual_cells(stack.data[usable], intensity)
        with own_process(settings.threads):
            dtype = torch.float32 if by_pix2pix(settings) else self._dtype(settings)
        return Run(
            manifest=self.bundle.manifest,
            settings=settings,
            intensity=intensity,
            device=str(self._choice.device),
            device_reason=self._choice.reason,
            precision=str(dtype).removeprefix("torch."),
            start=_start(settings, self.bundle),
            cells=len(stack),
            skipped=skipped,
            unusual={usable[k]: why for k, why in unusual.items()},
            operator=operator,
            reading=stack.reading,
        )

    def _search(
        self,
        stack: CellStack,
        run: Run,
        degrade: Degradation | PlacedOptics,
        seen: Callable[[NDArray[np.intp]], Seen] | None = None,
    ) -> Search:
        device = self._choice.device
        networks = partial(self._ready, device, getattr(torch, run.precision))
        return Search(stack, self.bundle, run, device, degrade, networks, seen)

    def _settings_for(self, stack: CellStack) -> Settings:
        """Return the settings with the factor that the cells ask for, if none was given."""
        if not self._fits:
            return self.settings
        height, width = stack.data.shape[-2:]
        fitting = fitting_factor(height, width, self.bundle.manifest.hr_size)
        return self.settings.model_copy(update={"factor": fitting or self.settings.factor})

    def _dtype(self, settings: Settings) -> torch.dtype:
        key = (self._choice.device, settings.precision)
        if key not in self._dtypes:
            self._dtypes[key] = choose_dtype(settings.precision, self.bundle.generator, key[0])
        return self._dtypes[key]

    def _ready(self, device: torch.device, dtype: torch.dtype) -> Networks:
        if (device, dtype) not in self._networks:
            self._networks[device, dtype] = Networks(self.bundle, device, dtype)
        return self._networks[device, dtype]


def check_settings(settings: object) -> None:
    """Check that they are settings or None.

    Raises
    ------
    SettingsError
        If they are not.
    """
    if not isinstance(settings, Settings | None):
        raise SettingsError(
            f"The settings are {_kind(settings)}; give napari_rls.Settings(steps=..., ...), or "
            "None for the defaults."
        )


def _kind(value: object) -> str:
    """Return what a value is, in a word."""
    return "None" if value is None else f"of the kind {type(value).__name__}"


def _start(settings: Settings, bundle: Bundle) -> str:
    """Return where the search really starts."""
    if not searches(settings):
        return "none"
    missing = settings.start == "encoder" and settings.factor not in bundle.encoders
    return "mean" if missing else settings.start


def _no_network(manifest: Manifest, factor: int) -> str:
    there = ", ".join(f"{f}x" for f in manifest.pix2pix.factors) if manifest.pix2pix else ""
    others = f", only for {there}" if there else ""
    return (
        f"The bundle {manifest.name} has no Pix2Pix network for {factor}x{others}; train one with "
        "'napari-rls train-pix2pix', or choose another method."
    )
