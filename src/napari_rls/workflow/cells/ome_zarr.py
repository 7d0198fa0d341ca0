"""What OME-Zarr folders hold, 0.4 and 0.5: by zarr and the models of yaozarrs (an extra)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_rls.errors import InputError, TiffError
from napari_rls.files.json_file import first_fault, shown
from napari_rls.text import for_terminal, name_of
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.wells import normal_well

ZARR_ENDING = ".zarr"
"""How names of folders of OME-Zarr end."""

_NODES = ("zarr.json", ".zgroup", ".zarray")
"""Files that make a folder a node of a Zarr hierarchy."""

_VERSIONS = ("0.4", "0.5")
_NEEDED = "needs the extra: pip install 'napari-rls[zarr]'."


def is_ome_zarr(path: Path) -> bool:
    """Whether a path is a folder of Zarr, by its name or by what lies in it."""
    return path.is_dir() and (
        path.suffix.lower() == ZARR_ENDING or any((path / node).is_file() for node in _NODES)
    )


def zarr_name(path: Path) -> str:
    """Return what an image is called: its folder, from the outermost folder of Zarr on.

    Examples
    --------
    >>> zarr_name(Path("data/plate.zarr/B/3/0")), zarr_name(Path("data/B03.ome.zarr"))
    ('plate.zarr/B/3/0', 'B03.ome.zarr')
    """
    above = [k for k, part in enumerate(path.parts) if part.lower().endswith(ZARR_ENDING)]
    return "/".join(name_of(Path(part)) for part in path.parts[above[0] if above else -1 :])


@dataclass(frozen=True)
class ZarrField:
    """A field of view of a plate: the folder of its image, and where it is on the plate."""

    path: Path
    row: str
    column: str
    name: str
    acquisition: int | None = None

    @property
    def well(self) -> str:
        """The well, as in B03."""
        return normal_well(f"{self.row}{self.column}")


@dataclass(frozen=True)
class ZarrPlate:
    """A plate.

    Attributes
    ----------
    rows, columns, acquisitions
        As its metadata say.
    fields
        Its fields of view, in their order.
    broken
        A sentence on each well that cannot be read.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    acquisitions: tuple[Mapping[str, Any], ...]
    fields: tuple[ZarrField, ...]
    broken: tuple[str, ...]


def read_plate(path: Path) -> ZarrPlate | None:
    """Read the metadata of a plate and its wells; None if it is no plate.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or the plate cannot be read.
    """
    with told(path):
        models, ome = metadata_of(path)
        if "plate" not in ome:
            return None
        plate = models.Plate.model_validate(ome).plate
    fields: list[ZarrField] = []
    broken: list[str] = []
    for well in plate.wells:
        row, column = plate.rows[well.rowIndex].name, plate.columns[well.columnIndex].name
        folder = path / well.path
        try:
            with told(folder):
                models, ome = metadata_of(folder)
                with any_names():
                    images = models.Well.model_validate(ome).well.images
                if any(image.path.startswith(".") for image in images):
                    raise TiffError("a field of it leads to another folder")
        except InputError as error:
            broken.append(str(error))
            continue
        fields += [ZarrField(folder / i.path, row, column, i.path, i.acquisition) for i in images]
    return ZarrPlate(
        tuple(row.name for row in plate.rows),
        tuple(column.name for column in plate.columns),
        tuple(a.model_dump(mode="json", exclude_none=True) for a in plate.acquisitions or ()),
        tuple(fields),
        tuple(broken),
    )


@contextmanager
def any_names() -> Iterator[None]:
    """Take fields of names with signs, as Pos_0, without yaozarrs' warning: they are usual."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The FieldOfView.path")
        yield


def read_zarr_record(path: Path) -> Mapping[str, Any]:
    """Read the provenance that napari-rls wrote into an image or plate; empty if it wrote none.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or it cannot be read.
    """
    with told(path):
        record = _attributes(path).get(PROVENANCE_KEY)
    return record if isinstance(record, dict) else {}


def series_of(path: Path) -> list[Path]:
    """Return the images of a folder that is no plate: itself, or the series that it holds.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with told(path):
        _, ome = metadata_of(path)
        if "multiscales" in ome or "bioformats2raw.layout" not in ome:
            return [path]
        inside = _attributes(path / "OME") if is_ome_zarr(path / "OME") else {}
        numbers = sorted((p.name for p in path.iterdir() if p.name.isdecimal()), key=int)
        named = inside.get("ome", inside).get("series") or numbers
        return [path / str(name) for name in named]


def _attributes(path: Path) -> dict[str, Any]:
    import zarr

    return dict(zarr.open_group(path, mode="r").attrs.asdict())


def metadata_of(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the models of yaozarrs for a group, and its OME metadata.

    Raises
    ------
    TiffError
        If it has none, or of a version that is not known.
    """
    from yaozarrs import v04, v05

    attributes = _attributes(path)
    ome = attributes.get("ome")
    if isinstance(ome, dict):
        version = ome.get("version", _VERSIONS[1])
    else:
        ome = attributes
        first = ome.get("plate") or ome.get("well") or (ome.get("multiscales") or [{}])[0]
        version = first.get("version", _VERSIONS[0]) if isinstance(first, dict) else ""
        if not set(ome) & {"plate", "well", "multiscales", "bioformats2raw.layout"}:
            raise TiffError("it has no OME metadata", "give an OME-Zarr image or plate")
    if version not in _VERSIONS:
        raise TiffError(
            f"it is OME-Zarr {shown(str(version))}", "0.4 and 0.5 are read; convert it to one"
        )
    return (v04 if version == _VERSIONS[0] else v05), ome


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Make one sentence of whatever is wrong with a node."""
    name = zarr_name(path)
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"zarr", "yaozarrs"}:
            raise
        raise InputError(f"{name} is an OME-Zarr; to read it {_NEEDED}") from None
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory; crop it.") from None
    except TiffError as error:
        remedy = error.remedy or "it is damaged or was not written to its end; export it again"
        raise InputError(f"{name} cannot be read ({for_terminal(str(error))}): {remedy}.") from None
    except ValidationError as error:
        raise InputError(
            f"{name} cannot be read: its OME metadata are not as they should be "
            f"({first_fault(error)}); export it again."
        ) from None
    except Exception:  # noqa: BLE001  a damaged store raises all sorts of errors
        raise InputError(
            f"{name} cannot be read as OME-Zarr: it is damaged or was not written to its end; "
            "export it again."
        ) from None
