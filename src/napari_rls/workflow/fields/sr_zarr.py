"""SR fields as OME-Zarr 0.5: images with their labels, and plates that grow as fields come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.models.intensity import IntensityMap
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.ome_zarr import any_names, is_ome_zarr, read_plate
from napari_rls.workflow.cells.write import GENERATED
from napari_rls.workflow.fields.field_result import FieldResult

_CHUNK = 1024
"""Rows and columns that are stored together."""

_SMALLEST = 256
"""Rows or columns of the smallest level of a pyramid, about."""


@dataclass(frozen=True)
class Place:
    """Where a field is on the plate that is written."""

    plate: str
    row: str
    column: str
    field: str
    acquisition: int | None = None


@dataclass(frozen=True)
class PlateLayout:
    """What a plate that is written has, whether or not there are fields of it yet."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    acquisitions: tuple[Mapping[str, Any], ...] = ()


def write_sr_zarr(
    path: Path,
    result: FieldResult,
    labels: Mapping[str, NDArray[np.int32]],
    record: Mapping[str, Any],
    intensity: IntensityMap,
) -> None:
    """Write the SR image of a field; :func:`~napari_rls.files.whole_file.whole_folder` its draft.

    Parameters
    ----------
    path
        The folder to make.
    result
        What became of the field.
    labels
        Label images (N, S, S) of its cells by name; cell k has the value k + 1.
    record
        How it was made, as it is to be kept in the image's attributes.
    intensity
        What of the intensities is shown, the same for all fields of a run.
    """
    from yaozarrs import v05
    from yaozarrs.write.v05 import LabelsBuilder, write_image

    image, generated = result.image.whole()
    size = result.stack.pixel_size_um
    ratio = result.microscope.ratio
    # Without a pixel size, an LR pixel is the unit, so that LR and SR still lie on each other.
    side, known = (1 / ratio, False) if size is None else (size, True)
    manifest = result.collector.run.manifest if result.collector.run else None
    names = result.stack.channels
    colours = [c.colour for c in manifest.channels] if manifest else ["#ffffff"] * len(names)
    # Viewers call a plate as the first of its images, which so has no name of its own.
    own = "" if "/" in result.collector.lr.name else f"{result.collector.lr.name} "
    title = f"{own}SR{ratio:g}x ({GENERATED})"
    levels = list(_means(image))
    channels = [
        v05.OmeroChannel(
            label=name,
            color=colour,
            active=True,
            window=v05.OmeroWindow(
                start=low,
                end=high,
                min=min(low, float(pixels.min())),
                max=max(high, float(pixels.max())),
            ),
        )
        for name, colour, pixels, low, high in zip(
            names, colours, image, intensity.low, intensity.high, strict=True
        )
    ]
    write_image(
        path,
        v05.Image(
            multiscales=[_multiscale(title, len(levels), side, ratio, "c", known=known)],
            omero=v05.Omero(channels=channels, rdefs=v05.OmeroRenderingDefs(model="color")),
        ),
        levels,
        extra_attributes={PROVENANCE_KEY: dict(record)},
        writer="zarr",
        chunks=(1, _CHUNK, _CHUNK),
    )
    parts: dict[str, NDArray[np.integer]] = {"generated": generated.astype(np.uint8)}
    parts |= {name: result.image.labels(each) for name, each in labels.items()}
    builder = LabelsBuilder(path / "labels", writer="zarr", chunks=(_CHUNK, _CHUNK))
    for name, pixels in parts.items():
        pyramid = [pixels[2**k // 2 :: 2**k, 2**k // 2 :: 2**k] for k in range(len(levels))]
        pyramid = [
            part[: level.shape[-2], : level.shape[-1]]
            for part, level in zip(pyramid, levels, strict=True)
        ]
        builder.write_label(
            name,
            v05.LabelImage.model_validate(
                {
                    "multiscales": [_multiscale(name, len(levels), side, ratio, "", known=known)],
                    "image-label": {"source": {"image": "../../"}},
                }
            ),
            pyramid,
        )


def _means(image: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Go through the levels of a pyramid (C, y, x), each of the means of 2 x 2 pixels."""
    yield image
    while min(image.shape[-2:]) >= 2 * _SMALLEST:
        channels, height, width = image.shape
        even = image[:, : height // 2 * 2, : width // 2 * 2]
        image = even.reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4))
        yield image


def _multiscale(
    name: str, levels: int, side: float, ratio: float, channels: str, *, known: bool
) -> Any:
    """Return what a pyramid is: its axes, and where the centres of its first pixels are.

    That of the first LR pixel is 0.
    """
    from yaozarrs import v05

    unit = "micrometer" if known else None
    first = (1 - ratio) / 2 * side
    datasets = []
    for k in range(levels):
        step = side * 2**k
        start = first + (step - side) / 2
        datasets.append(
            v05.Dataset(
                path=str(k),
                coordinateTransformations=[
                    v05.ScaleTransformation(scale=[*([1.0] if channels else []), step, step]),
                    v05.TranslationTransformation(
                        translation=[*([0.0] if channels else []), start, start]
                    ),
                ],
            )
        )
    axes = [v05.SpaceAxis(name=axis, unit=unit) for axis in "yx"]
    return v05.Multiscale(
        name=name,
        axes=[*([v05.ChannelAxis(name=channels)] if channels else []), *axes],
        datasets=datasets,
    )


@dataclass
class SrPlates:
    """The plates that a run writes into, of which each names the fields that are whole.

    Fields are written by any process; one process alone tells the plates of them, so that a
    plate opens at every moment.

    Parameters
    ----------
    layouts
        What the plates have, by their names.
    """

    layouts: Mapping[str, PlateLayout]
    _wells: dict[Path, dict[tuple[str, str], dict[str, int | None]]] = field(default_factory=dict)

    def add(self, place: Place, image: Path) -> None:
        """Tell a plate of a field that is whole.

        Parameters
        ----------
        place
            Where it is.
        image
            The folder of its image.

        Raises
        ------
        OSError
            If the plate's metadata cannot be written.
        """
        from yaozarrs import v05

        root, layout = image.parents[2], self.layouts[place.plate]
        if root not in self._wells:
            self._wells[root] = _known(root)
        wells = self._wells[root]
        fields = wells.setdefault((place.row, place.column), {})
        if fields.get(place.field, ...) == place.acquisition:
            return
        fields[place.field] = place.acquisition
        rows = _joined(layout.rows, [row for row, _ in wells])
        columns = _joined(layout.columns, [column for _, column in wells])
        with any_names():
            listed = [
                v05.FieldOfView(path=name, acquisition=fields[name])
                for name in sorted(fields, key=lambda name: (len(name), name))
            ]
            well = v05.Well(well=v05.WellDef(images=listed))
        _write_group(root / place.row, {})
        _write_group(image.parent, _ome(well))
        plate = v05.PlateDef(
            name=place.plate,
            rows=[v05.Row(name=row) for row in rows],
            columns=[v05.Column(name=column) for column in columns],
            wells=[
                v05.PlateWell(
                    path=f"{row}/{column}",
                    rowIndex=rows.index(row),
                    columnIndex=columns.index(column),
                )
                for row, column in sorted(
                    wells, key=lambda at: (rows.index(at[0]), columns.index(at[1]))
                )
            ],
            acquisitions=[v05.Acquisition(**each) for each in layout.acquisitions] or None,
            field_count=max(map(len, wells.values())),
        )
        marked = {PROVENANCE_KEY: {"generated": True, "warning": f"SR plate: {GENERATED}."}}
        _write_group(root, _ome(v05.Plate(plate=plate)) | marked)


def _known(root: Path) -> dict[tuple[str, str], dict[str, int | None]]:
    """Return the fields that a plate names already and that are there, by their wells."""
    wells: dict[tuple[str, str], dict[str, int | None]] = {}
    try:
        plate = read_plate(root) if is_ome_zarr(root) else None
    except InputError:
        plate = None
    for each in plate.fields if plate else ():
        if each.path.is_dir():
            wells.setdefault((each.row, each.column), {})[each.name] = each.acquisition
    return wells


def _joined(names: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*names, *more]))


def _ome(model: Any) -> dict[str, Any]:
    return {"ome": model.model_dump(mode="json", exclude_none=True)}


def _write_group(path: Path, attributes: dict[str, Any]) -> None:
    """Make a group, or give one new attributes; its one file is written whole or not at all."""
    import zarr

    if (path / "zarr.json").is_file():
        group = zarr.open_group(path, mode="r+", zarr_format=3)
        if group.attrs.asdict() != attributes:
            group.attrs.put(attributes)
    else:
        zarr.create_group(path, zarr_format=3, attributes=attributes)
