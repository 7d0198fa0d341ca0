"""The bundles that come with the package, and how a name or path finds one."""

from __future__ import annotations

from pathlib import Path

from napari_rls.errors import BundleError
from napari_rls.models.bundle_file import SUFFIX

_FOLDER = Path(__file__).parent / "embedded"


def embedded_bundles() -> dict[str, Path]:
    """Return the embedded bundles: name to file."""
    files = sorted(_FOLDER.glob(f"*{SUFFIX}"))
    return {file.name.removesuffix(SUFFIX): file for file in files}


def find_bundle(name_or_file: str | Path) -> Path:
    """Return the file of an embedded bundle's name or of a path.

    Raises
    ------
    BundleError
        If it is neither.
    """
    embedded = embedded_bundles()
    if isinstance(name_or_file, str) and name_or_file in embedded:
        return embedded[name_or_file]
    path = Path(name_or_file).expanduser()
    if path.is_file():
        return path
    raise BundleError(
        f"There is no bundle {str(name_or_file)!r}: give the path of a {SUFFIX} file "
        f"or one of the embedded bundles ({', '.join(embedded)})."
    )
