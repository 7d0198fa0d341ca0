"""What the jobs have in common that train a network on HR crops and add it to a bundle."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.models.intensity import Levels, in_range
from napari_rls.models.manifest import Manifest
from napari_rls.training.loop_settings import LoopSettings
from napari_rls.training.passed_on import passed_on
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.cut_crops import TrainingCrops
from napari_rls.workflow.train.hr_images import HRImages, kept_or_cut
from napari_rls.workflow.train.run_files import check_free

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_rls.training.dataset import Crops
    from napari_rls.training.loop import Progress
    from napari_rls.training.loop_parts import LoopReport

_PERCENTILES = (0.1, 99.9)

SettingsT = TypeVar("SettingsT", bound=LoopSettings)
NetworkT = TypeVar("NetworkT", bound="nn.Module")
ReportT = TypeVar("ReportT", bound="LoopReport")


@dataclass(frozen=True)
class NetworkJob(Generic[SettingsT]):
    """All that a network is trained of.

    Parameters
    ----------
    hr
        Where the HR crops come from; channels are those of the bundle, in its order.
    bundle
        The bundle that the network is added to: an embedded one's name, or a file.
    settings
        How to train.
    out
        The bundle to write; one that is there is replaced.
    folder
        The training's folder. If it holds this very training, that goes on.
    data
        Name of the HR crops, for the bundle's manifest.
    """

    hr: HRImages
    bundle: str
    settings: SettingsT
    out: Path
    folder: Path
    data: str = "the user's own images"


@dataclass(frozen=True, eq=False)
class NetworkUpdate:
    """What a job has just done.

    Parameters
    ----------
    stage
        What it is at.
    message
        A sentence for people, or "".
    step
        Every step of training.
    bundle
        The bundle that was written, at the end.
    """

    stage: Literal["crops", "training", "done"]
    message: str = ""
    step: Progress[Any, Any] | None = None
    bundle: Path | None = None


@dataclass(frozen=True, eq=False)
class NetworkData:
    """The crops of a job: as cut, as a training takes them, and held out, in -1 to 1."""

    cut: TrainingCrops
    crops: Crops
    held_out: Tensor


Work: TypeAlias = Callable[[NetworkJob[SettingsT]], Generator[NetworkUpdate, None, None]]


def network_training(work: Work[SettingsT]) -> Work[SettingsT]:
    """Let the work of a job compute with the threads of its settings, apart from other work.

    All else in the bundle stays as it is, bit for bit. Closing the iteration or Ctrl-C keeps a
    checkpoint; the same job goes on with it.

    Raises
    ------
    InputError
        If an image cannot be used, or is not of the bundle's intensities; nothing is trained
        then.
    BundleError
        If the bundle cannot be loaded.
    SettingsError
        If the device that was asked for is not there.
    TrainingError
        If the folder holds another training, training diverged, or a file cannot be
        written.
    """

    @functools.wraps(work)
    def contained_work(job: NetworkJob[SettingsT]) -> Generator[NetworkUpdate, None, None]:
        from napari_rls.search.contained import contained

        yield from contained(work(job), job.settings.threads)

    return contained_work


def trained(
    steps: Generator[Progress[NetworkT, ReportT], None, None],
) -> Generator[NetworkUpdate, None, tuple[NetworkT, ReportT]]:
    """Go through the steps of a training; return the network, and the report of the last step."""
    with closing(steps):
        for step in steps:
            yield NetworkUpdate("training", step=step)
    assert step.report is not None
    return step.network, step.report


def crops_of(
    job: NetworkJob[Any], manifest: Manifest, batch_size: int, seed: int, margin: int = 0
) -> Generator[NetworkUpdate, None, NetworkData]:
    """Cut the crops of a job, or take those that its folder keeps; say what they are.

    Where they are cut of fields, ``margin`` pixels around each are cut too.

    Raises
    ------
    InputError
        If an image cannot be used, or is not of the bundle's intensities.
    TrainingError
        If the folder holds what is no training.
    """
    import torch

    from napari_rls.training.dataset import Crops

    check_free(job.folder)
    shape = TrainSettings(
        size=manifest.hr_size,
        channels=manifest.channel_names,
        intensity=manifest.intensity,
        batch_size=max(batch_size, 2),
        seed=seed,
    )
    cutting = kept_or_cut(job.hr, shape, job.folder, margin)
    found = yield from passed_on(cutting, lambda cut: NetworkUpdate("crops", cut.text))
    yield NetworkUpdate("crops", found.summary())
    _check_intensities(found.training.data, manifest)
    crops = Crops(found.training.data, shape, margin)
    return NetworkData(found, crops, torch.from_numpy(crops.map.encode(found.validation.data)))


def _check_intensities(hr: NDArray[np.generic], manifest: Manifest) -> None:
    """Check that crops (N, C, H, W) are in the unit that the bundle was trained in.

    Raises
    ------
    InputError
        If they lie outside its range, or fill almost none of it. Few pixels say nothing: the
        brightest of many crops are much brighter than those of a single one.
    """
    ends = np.percentile(hr.astype(np.float32), _PERCENTILES, axis=(0, 2, 3))
    if not in_range(Levels.of(ends.T[None, :, None]), manifest.intensity):
        unit = manifest.intensity
        raise InputError(
            f"The HR images hold intensities from {hr.min():g} to {hr.max():g}, but the bundle "
            f"{manifest.name} knows {unit.low:g} to {unit.high:g} {unit.unit}; give images in that "
            "unit."
        )
