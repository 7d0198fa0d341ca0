"""Cells to try the search on: simulated, drawn from a bundle's own prior, or fetched."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_rls.errors import DownloadError, InputError
from napari_rls.files.whole_file import whole_file
from napari_rls.simulate.assays import AssayName
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.simulated import (
    FRESH_SEED,
    SIMULATED_LABEL,
    SimulateSettings,
    simulate,
)
from napari_rls.workflow.cells.stack import CellStack, Crop

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

PRIOR_LABEL = "generated sample, not real cells"
"""How cells that a bundle has drawn are called wherever they appear."""

SIMULATED_FOR: dict[str, AssayName] = {
    "bbbc013-translocation-64": "translocation",
    "golgi-simulated-128": "golgi",
}
"""The assay whose simulated cells a bundle, by its name, can super-resolve."""

BBBC013_URL = "https://data.broadinstitute.org/bbbc/BBBC013/BBBC013_v1_images_bmp.zip"
BBBC013_LICENCE = (
    "BBBC013v1, provided by Ilya Ravkin, Broad Bioimage Benchmark Collection "
    "(Ljosa et al., Nature Methods, 2012), CC BY 3.0"
)
_BBBC013_CHANNELS = {"DNA": 2, "FKHR-GFP": 1}
_BBBC013_IMAGE = re.compile(r"Channel([12])-\d+-([A-H])-(\d\d)\.bmp$", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """Cells that are not real: their LR images, the truth behind them, and what they are."""

    lr: CellStack
    truth: CellStack
    label: str


def draw_sample(bundle: Bundle, count: int = 12, factor: int = 8, seed: int = 0) -> Sample:
    """Make cells that a bundle can super-resolve, and degrade them.

    Simulated cells where the bundle is of an assay that can be simulated
    (:data:`SIMULATED_FOR`), which no bundle has seen; else the bundle's own, see
    :func:`draw_prior_sample`.

    Raises
    ------
    InputError
        If the factor does not divide the bundle's HR size.
    """
    assay = SIMULATED_FOR.get(bundle.manifest.name)
    if assay is None:
        return draw_prior_sample(bundle, count, factor, seed)
    seed = (FRESH_SEED + seed) % 2**31
    size = bundle.manifest.hr_size
    truth = simulate(SimulateSettings(assay=assay, cells=count, seed=seed, size=size)).hr
    return Sample(degrade_stack(truth, DegradeSettings(factor=factor)), truth, SIMULATED_LABEL)


def draw_prior_sample(bundle: Bundle, count: int = 12, factor: int = 8, seed: int = 0) -> Sample:
    """Draw cells from a bundle's own prior and degrade them.

    z ~ N(0, I) through the generator, in the bundle's intensity unit, then antialiased
    bicubic downscaling by ``factor``. These are generated, not real cells: a search
    with the same bundle has it easier with them than with real ones.

    Raises
    ------
    InputError
        If the factor does not divide the bundle's HR size.
    """
    from napari_rls.models.intensity import IntensityMap

    manifest = bundle.manifest
    channels, name = manifest.channel_names, f"{manifest.name} ({PRIOR_LABEL})"
    unit = IntensityMap(
        "bundle",
        (manifest.intensity.low,) * len(channels),
        (manifest.intensity.high,) * len(channels),
    )
    truth = CellStack(
        unit.decode(bundle.generator(bundle.draw_z(count, seed)).numpy()),
        channels,
        pixel_size_um=manifest.pixel_size_um,
        crops=(Crop(file=name, condition=PRIOR_LABEL),) * count,
        name=name,
    )
    return Sample(degrade_stack(truth, DegradeSettings(factor=factor)), truth, PRIOR_LABEL)


class Progress(Protocol):
    """What pooch asks of a progress bar; counts are bytes."""

    total: int

    def update(self, count: int, /) -> object:
        """Add to the count."""

    def reset(self) -> object:
        """Set the count to 0."""

    def close(self) -> object:
        """Take the bar away."""


def fetch_bbbc013(
    progress: Progress | None = None, url: str = BBBC013_URL, cache: Path | None = None
) -> Path:
    """Download the images of BBBC013v1, once, and return the zip file.

    The download is kept in the user's cache folder. Broad publishes no checksum:
    the archive's own (CRC-32 of every image) are checked instead.

    Parameters
    ----------
    progress
        Progress bar, or None.
    url
        Where the zip file is.
    cache
        Folder to keep it in; None takes the user's.

    Raises
    ------
    DownloadError
        If the file cannot be fetched or is damaged.
    """
    import pooch
    import requests

    folder = cache or Path(pooch.os_cache("napari-rls"))
    path = folder / "BBBC013_v1_images_bmp.zip"
    if path.is_file():
        return path
    try:
        downloader = pooch.HTTPDownloader(progressbar=progress, timeout=60)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            downloader(url, str(draft), None)
            _check_archive(draft)
    except requests.RequestException as error:
        raise DownloadError(
            f"BBBC013 cannot be downloaded from {url} ({_reason(error)}): check the internet "
            f"connection, or put the file at {path} yourself."
        ) from None
    except OSError as error:
        raise DownloadError(
            f"BBBC013 cannot be kept in {folder} ({error.strerror or error}); make room or rights "
            "there and try again."
        ) from None
    except zipfile.BadZipFile:
        raise DownloadError(
            f"What {url} sent is not the complete BBBC013 archive; try again later."
        ) from None
    return path


def bbbc013_wells(archive: Path) -> tuple[str, ...]:
    """Return the wells of a BBBC013 archive in plate order, A01 to H12."""
    with zipfile.ZipFile(archive) as images:
        return tuple(sorted({well for well, _ in _members(images)}))


def read_bbbc013(archive: Path, well: str) -> CellStack:
    """Return the field of one well, (1, 2, 640, 640), uint8, channels DNA and FKHR-GFP.

    Raises
    ------
    InputError
        If the archive has no such well.
    """
    from PIL import Image

    planes = []
    with zipfile.ZipFile(archive) as images:
        members = _members(images)
        for number in _BBBC013_CHANNELS.values():
            if (well, number) not in members:
                raise InputError(f"BBBC013 has no well {well}; its wells are A01 to H12.")
            content = images.read(members[well, number])
            planes.append(np.asarray(Image.open(BytesIO(content)).convert("L")))
    return CellStack(
        np.stack(planes)[None],
        tuple(_BBBC013_CHANNELS),
        leading=None,
        crops=(Crop(file=f"{well}.bmp", well=well),),
        name=f"BBBC013 {well}",
    )


def _members(images: zipfile.ZipFile) -> dict[tuple[str, int], str]:
    """Return the archive's image of every well and channel number."""
    found = ((_BBBC013_IMAGE.search(name), name) for name in images.namelist())
    return {(f"{m[2].upper()}{m[3]}", int(m[1])): name for m, name in found if m}


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as images:
        if not _members(images) or images.testzip() is not None:
            raise zipfile.BadZipFile


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "there is no connection to the server"
