"""What a run gives to Python: images, samples, latents and record, and how to keep them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import record_path
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import (
    result_stack,
    samples_path,
    write_result,
    write_samples,
)


@dataclass(frozen=True, eq=False)
class Result:
    """What :meth:`~napari_rls.SuperResolver.run` returns.

    Parameters
    ----------
    collector
        The run, gone through.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls import Settings, SuperResolver
    >>> settings = Settings(factor=16, steps=2, samples=2, sample_steps=1)
    >>> lr = np.random.default_rng(0).uniform(0, 255, (1, 2, 4, 4))
    >>> result = SuperResolver("bbbc013-translocation-64", settings).run(lr)
    >>> result.samples.shape, result.latents.shape, result.record["generated"]
    ((2, 1, 2, 64, 64), (1, 10, 128), True)
    """

    collector: Collector

    @property
    def sr(self) -> NDArray[np.float32]:
        """SR images (N, C, H, W) in the unit of the LR image; NaN for cells without one."""
        return self.collector.sr

    @property
    def samples(self) -> NDArray[np.float32] | None:
        """Samples of the posterior (S, N, C, H, W) in the same unit, or None."""
        return self.collector.samples

    @property
    def latents(self) -> NDArray[np.float32]:
        """W+ latents (N, L, d) of the SR images; L = 0 for a method without any."""
        assert self.collector.latents is not None
        return self.collector.latents

    @cached_property
    def record(self) -> dict[str, Any]:
        """How they were made: plain numbers, strings, lists and dicts."""
        return self.collector.provenance()

    @property
    def cells(self) -> CellStack:
        """The SR images with channel names, pixel size and where each was cut from."""
        return result_stack(self.collector)

    def save(self, path: Path | str) -> list[Path]:
        """Write SR images, record and samples, each file whole or not at all.

        Files that exist are replaced.

        Parameters
        ----------
        path
            The SR file, ``NAME.tif`` or ``NAME.ome.tif``; the record is ``NAME.json``, the
            samples, if there are any, are ``NAME_samples.ome.tif``.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        InputError
            If the name has another ending.
        OSError
            If a file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise InputError(f"SR images are saved as .tif or .ome.tif, not as {path.name}.")
        write_result(path, self.collector)
        written = [path, record_path(path)]
        if self.samples is not None:
            write_samples(samples_path(path), self.collector)
            written.append(samples_path(path))
        return written
