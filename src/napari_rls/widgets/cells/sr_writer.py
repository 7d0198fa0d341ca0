"""Save generated layers as the command line does: OME-TIFF with record, names, pixel size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_rls.errors import InputError
from napari_rls.search.settings import Settings
from napari_rls.widgets.cells.layer_facts import channel_names, layer_crops, pixel_size_um
from napari_rls.widgets.cells.own_layers import input_digest
from napari_rls.widgets.cells.sample_layers import SAMPLE_AXIS
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.stack import CHANNEL_AXES, CellStack
from napari_rls.workflow.cells.write import STATISTIC_KEY, TRUST_MASK, record_path, stem
from napari_rls.workflow.compare.method_results import BICUBIC
from napari_rls.workflow.super_resolve.sr_files import (
    kind_of,
    write_generated,
    write_generated_frames,
)

if TYPE_CHECKING:
    from napari.layers import Image

SUFFIXES = (".tif", ".tiff")
_OTHER_FORMAT = re.compile(r"\.[A-Za-z]{2,5}")
_STATISTICS = {
    "mean of the samples": "mean",
    "standard deviation of the samples": "sd",
    TRUST_MASK: "trust",
}


def write_sr_layers(path: Path, layers: Sequence[Image]) -> list[Path]:
    """Write generated layers of one input, one per channel, into one file of each kind.

    Samples, their mean, standard deviation and trust mask, and the results of several methods, get
    files of their own beside the first one, named after it.

    Raises
    ------
    InputError
        If they are of several runs of the same kind, the name is of another format, or a file
        that was not asked for would be replaced.
    OSError
        If a file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"The output {path} must be a file that ends in .ome.tif.")
    groups = file_groups(layers)
    one_run = len({group.run for group in groups}) == 1
    ends = [group.kind if one_run else "_".join(filter(None, group.words)) for group in groups]
    if len({group.run[0] for group in groups}) > 1 or len(set(ends)) < len(ends):
        raise InputError("These layers are of several runs; save those of one.")
    alone = len(groups) == 1
    files = [
        path if alone or not end else path.with_name(f"{stem(path)}_{end}.ome.tif") for end in ends
    ]
    for file in files:
        if file != path and file.exists() and not path.exists():
            raise InputError(f"{file} exists already; choose another name.")
    return [
        written for group, file in zip(groups, files, strict=True) for written in group.write(file)
    ]


def with_ending(name: str) -> Path:
    """Return the path of a file that a user has named, with .ome.tif if it has no ending."""
    path = Path(name)
    if path.suffix.lower() in SUFFIXES or _OTHER_FORMAT.fullmatch(path.suffix):
        return path
    return path.with_name(f"{path.name}.ome.tif")


@dataclass(frozen=True, eq=False)
class FileGroup:
    """Layers that go into one file: of one run and kind, one per channel.

    ``run`` is the input, the time and the method; ``kind`` is "", samples, mean, sd or trust.
    """

    run: tuple[str, str, str]
    kind: str
    layers: tuple[Image, ...]

    @property
    def record(self) -> dict[str, Any]:
        """The record of the run, as it is for all channels."""
        known = dict(self.layers[0].metadata[PROVENANCE_KEY])
        known.pop("channels", None)
        return known

    @property
    def words(self) -> tuple[str, str]:
        """What files of this method, and of this kind, are called."""
        if not self.record.get("generated"):
            return BICUBIC, self.kind
        microscope = self.record.get("microscope")
        if isinstance(microscope, dict) and isinstance(microscope.get("ratio"), int | float):
            # Of a field; the settings have the nearest factor that the bundle knows.
            return f"SR{microscope['ratio']:g}x", self.kind
        try:
            return kind_of(Settings.model_validate(self.record["settings"])), self.kind
        except (KeyError, ValueError):
            return "SR", self.kind

    @property
    def name(self) -> str:
        """Name of a file without its ending."""
        told = self.record.get("input", {}).get("name", "") or "cells"
        return "_".join((stem(Path(told)), *filter(None, self.words)))

    def write(self, path: Path) -> list[Path]:
        """Write the layers; return the files."""
        first, record = self.layers[0], self.record
        names = [(channel_names(layer) or (layer.name,))[0] for layer in self.layers]
        leading = first.axis_labels[1 if self.kind == "samples" else 0 : -2]
        called = (x for x in leading if x.isalpha() and x.strip().lower() not in CHANNEL_AXES)
        axis = next(called, "N") if leading else None
        frames = len(first.data) if self.kind == "samples" else 1
        images = first.data.shape[-2:]
        data = np.stack(
            [np.asarray(layer.data).reshape(frames, -1, *images) for layer in self.layers], axis=2
        )
        crops = layer_crops(first)
        told = record.get("input", {}).get("name") or first.name
        stack = CellStack(
            data[0],
            tuple(names),
            leading=axis,
            pixel_size_um=pixel_size_um(first),
            crops=crops if len(crops) == data.shape[1] else (),
            name=" ".join((str(told), *filter(None, self.words))),
        )
        colours = [_colour(layer) for layer in self.layers]
        if self.kind == "samples":
            write_generated_frames(path, stack, data, "sample", record, colours)
            return [path]
        write_generated(path, stack, record, colours)
        return [path, record_path(path)]


def file_groups(layers: Sequence[Image]) -> list[FileGroup]:
    """Return generated layers by what goes into one file, SR images first."""
    found: dict[tuple[Any, ...], list[Image]] = {}
    for layer in layers:
        record = layer.metadata[PROVENANCE_KEY]
        kind = _STATISTICS.get(record.get(STATISTIC_KEY, ""), "")
        if SAMPLE_AXIS in layer.axis_labels:
            kind = "samples"
        run = (input_digest(layer), str(record.get("started")), str(record.get("method")))
        found.setdefault((run, kind, layer.data.shape), []).append(layer)
    groups = [FileGroup(run, kind, tuple(same)) for (run, kind, _), same in found.items()]
    return sorted(groups, key=lambda group: bool(group.kind))


def _colour(layer: Image) -> str:
    """Return the brightest colour of a layer, #rrggbb."""
    red, green, blue = (round(255 * float(part)) for part in layer.colormap.colors[-1][:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
