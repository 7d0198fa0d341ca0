"""Super-resolve a stack of cells: the one job behind the widget, the CLI and the API."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import InputError, SettingsError
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.intensity import unusual_cells
from napari_rls.models.manifest import Manifest
from napari_rls.search.contained import contained, own_process
from napari_rls.search.device import choose_device, choose_dtype
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.stack import (
    CellStack,
    check_channel_axis,
    fitting_factor,
    stack_from_array,
)
from napari_rls.workflow.cells.usable import check_fit, unusable_cells
from napari_rls.workflow.super_resolve.draw_batches import drawn_batches
from napari_rls.workflow.super_resolve.intensities import count_strange, intensity_map
from napari_rls.workflow.super_resolve.search_batches import SearchBatches
from napari_rls.workflow.super_resolve.updates import Run, Update

Pixels: TypeAlias = Any
"""An array, or what :func:`~napari_rls.workflow.cells.pixels.as_pixels` makes one of."""

__all__ = ["Run", "Search", "Update", "prepare", "super_resolve"]


@dataclass(frozen=True, eq=False)
class Search:
    """A run whose image, bundle and settings go together, not yet begun.

    Parameters
    ----------
    lr
        The LR cells.
    bundle
        The bundle.
    run
        What every update will say of the run.
    device, dtype
        Where and in which arithmetic it computes.
    """

    lr: CellStack
    bundle: Bundle
    run: Run
    device: torch.device
    dtype: torch.dtype

    def updates(self, kept: Collection[int] = ()) -> Generator[Update, None, None]:
        """Search, and yield an update after every step of every batch.

        Parameters
        ----------
        kept
            Cells that another call has finished; batches of nothing else are left out.
        """
        return contained(self._updates(kept), self.run.settings.threads)

    def _updates(self, kept: Collection[int]) -> Generator[Update, None, None]:
        run, data = self.run, self.lr.data
        usable = [k for k in range(len(data)) if k not in run.skipped]
        if run.settings.method == "pix2pix":
            network = self.bundle.pix2pix[run.settings.factor]
            yield from drawn_batches(run, data, usable, network, self.device, kept)
        else:
            batches = SearchBatches(run, data, self.bundle, self.device, self.dtype)
            yield from batches.updates(usable, kept)


def super_resolve(
    lr: CellStack | Pixels,
    bundle: Bundle | str | Path,
    settings: Settings | None = None,
) -> Generator[Update, None, None]:
    """Super-resolve cells and yield an update after every step of every batch.

    Whatever is wrong with the arguments is raised at the call, before the first update.

    Parameters
    ----------
    lr
        LR cells: a stack, or pixels (N, C, y, x), any real dtype, with the bundle's channels
        in the bundle's order: an array (masked pixels are NaN), a nested list, a dask or zarr
        array, a torch tensor. Three axes are one cell, (C, y, x), or with a bundle of one
        channel cells, (N, y, x); ``update.run.reading`` says so. Channels of a stack are found
        by their names.
    bundle
        A loaded bundle, or what :func:`load_bundle` takes. It is this one that is used and
        recorded, whatever bundle the settings name.
    settings
        The settings; None takes the defaults with the factor that the LR size asks for.

    Raises
    ------
    InputError
        If the image does not fit the bundle and the factor, no cell can be searched, the
        bundle is none, or it lacks the network of the method.
    BundleError
        If the bundle cannot be loaded.
    SettingsError
        If the settings are none, or the device that was asked for is not there.
    """
    return prepare(lr, bundle, settings).updates()


def prepare(
    lr: CellStack | Pixels,
    bundle: Bundle | str | Path,
    settings: Settings | None = None,
) -> Search:
    """Return a run that is ready to begin; see :func:`super_resolve`."""
    if isinstance(bundle, str | Path):
        bundle = load_bundle(bundle)
    if not isinstance(bundle, Bundle):
        raise InputError(
            f"The bundle is {_kind(bundle)}; give a loaded one, or the name or the file of one."
        )
    if not isinstance(settings, Settings | None):
        raise SettingsError(
            f"The settings are {_kind(settings)}; give napari_rls.Settings(steps=..., ...), or "
            "None for the defaults."
        )
    manifest = bundle.manifest
    stack = _cells(lr, manifest)
    if settings is None:
        height, width = stack.data.shape[-2:]
        fitting = fitting_factor(height, width, manifest.hr_size)
        settings = Settings(factor=fitting or Settings().factor)
    settings = settings.model_copy(update={"bundle": bundle.reference})
    check_fit(stack, manifest, settings.factor)
    if settings.method == "pix2pix" and settings.factor not in bundle.pix2pix:
        raise InputError(_no_network(manifest, settings.factor))
    skipped = unusable_cells(stack)
    if len(skipped) == len(stack):
        raise InputError(f"{stack.name}: no cell can be searched ({next(iter(skipped.values()))}).")
    choice = choose_device(settings.device)
    dtype = torch.float32
    if settings.method != "pix2pix":
        with own_process(settings.threads):
            dtype = choose_dtype(settings.precision, bundle.generator, choice.device)
    usable = [k for k in range(len(stack)) if k not in skipped]
    with own_process(settings.threads):
        intensity = intensity_map(stack.data[usable], bundle, settings)
    unusual = unusual_cells(stack.data[usable], intensity)
    run = Run(
        manifest=manifest,
        settings=settings,
        intensity=intensity,
        device=str(choice.device),
        device_reason=choice.reason,
        precision=str(dtype).removeprefix("torch."),
        start=_start(settings, bundle),
        cells=len(stack),
        skipped=skipped,
        unusual={usable[k]: why for k, why in unusual.items()},
        reading=stack.reading,
        strange=count_strange(stack.data[usable], intensity, manifest, settings.factor),
    )
    return Search(stack, bundle, run, choice.device, dtype)


def _kind(value: object) -> str:
    """Return what a value is, in a word."""
    return "None" if value is None else f"of the kind {type(value).__name__}"


def _cells(lr: CellStack | Pixels, manifest: Manifest) -> CellStack:
    """Return the cells with the bundle's channels in order, and what they are taken for."""
    if isinstance(lr, CellStack):
        stack = replace(lr, data=as_pixels(lr.data, lr.name))
    else:
        pixels = _with_channels(as_pixels(lr, "image"), manifest)
        stack = stack_from_array(pixels, name="image")
    # What was chosen by hand, or in a layer, stays as it is.
    chosen = bool(stack.reading.channels)
    return stack if chosen else choose_channels(stack, (), manifest.channel_names)


def _with_channels(pixels: NDArray[np.generic], manifest: Manifest) -> NDArray[np.generic]:
    """Return pixels whose axes can be read in one way alone, by the bundle's number of channels.

    Raises
    ------
    InputError
        If there is none; the message says what the axes seem to be and what to give.
    """
    shape, count = pixels.shape, len(manifest.channels)
    check_channel_axis(shape, "image")
    wanted = f"({count}, y, x) for one cell or (N, {count}, y, x) for N cells"
    needs = (
        f"image has the shape ({', '.join(map(str, shape))}) and the bundle {manifest.name} needs "
        f"{count} channel{'s' if count > 1 else ''} ({', '.join(manifest.channel_names)}): its "
    )
    if len(shape) == 3 and shape[0] != count:
        if count == 1:
            return pixels[:, None]
        raise InputError(
            f"{needs}first axis of {shape[0]} is not that of the channels, and seems to run over "
            f"cells, time points or planes of one channel; give {wanted}."
        )
    if len(shape) == 4 and shape[1] != count == shape[0]:
        raise InputError(
            f"{needs}first axis seems to be that of the channels and its second that of "
            f"{shape[1]} cells; swap them (numpy.swapaxes(image, 0, 1)) to give {wanted}."
        )
    return pixels


def _start(settings: Settings, bundle: Bundle) -> str:
    """Return where the search really starts."""
    if settings.method == "pix2pix":
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
