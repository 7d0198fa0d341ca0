"""Whether LR cells fit a bundle, and which of them can be searched; needs no torch."""

from __future__ import annotations

import numpy as np

from napari_rls.errors import InputError
from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import FACTORS
from napari_rls.workflow.cells.stack import CellStack, check_channel_axis, fitting_factor

_TOLERANCE = 0.1
"""Share by which the size of pixels may differ from the bundle's."""


def check_fit(stack: CellStack, manifest: Manifest, factor: int) -> None:
    """Check that the stack's channels and size fit the bundle and the factor.

    Raises
    ------
    InputError
        If they do not; the message says what would fit.
    """
    check_channels(stack, manifest)
    height, width = stack.data.shape[-2:]
    fitting = check_size(stack, manifest)
    if fitting != factor:
        raise InputError(
            f"{stack.name} has cells of {height} x {width} pixels: with the bundle {manifest.name} "
            f"the scale factor must be {fitting}, not {factor}."
        )


def check_channels(stack: CellStack, manifest: Manifest) -> None:
    """Check that the stack has as many channels as the bundle.

    Raises
    ------
    InputError
        If it has not.
    """
    check_channel_axis(stack.data.shape, stack.name)
    count, needed = len(stack.channels), len(manifest.channels)
    if count != needed:
        advice = (
            "choose which channel is which"
            if count > needed
            else "give all of them together, in one file or as a layer each"
        )
        raise InputError(
            f"{stack.name} has {count} channel{'s' if count > 1 else ''}, and the bundle "
            f"{manifest.name} needs {needed} ({', '.join(manifest.channel_names)}); {advice}."
        )


def check_size(stack: CellStack, manifest: Manifest) -> int:
    """Return the factor that brings the stack's images to the bundle's HR size.

    Raises
    ------
    InputError
        If there is none.
    """
    height, width = stack.data.shape[-2:]
    fitting = fitting_factor(height, width, manifest.hr_size)
    if fitting is None:
        sizes = [manifest.hr_size // f for f in FACTORS if manifest.hr_size % f == 0]
        if height == width == manifest.hr_size:
            raise InputError(
                f"{stack.name} has cells of {height} x {width} pixels, as large as the SR images "
                f"of the bundle {manifest.name}: these seem to be HR or SR images already; give LR "
                f"crops of {', '.join(f'{s} x {s}' for s in sizes)} pixels."
            )
        raise InputError(
            f"{stack.name} has cells of {height} x {width} pixels, which no scale factor brings to "
            f"the {manifest.hr_size} x {manifest.hr_size} of the bundle {manifest.name}; give "
            f"nucleus-centred crops of {', '.join(f'{s} x {s}' for s in sizes)} pixels. A whole LR "
            "field is for 'napari-rls fields', or 'Super-resolve a field' in napari."
        )
    return fitting


def scale_doubt(pixel_size_um: float | None, manifest: Manifest, factor: int) -> str:
    """Return the sentence that LR pixels are not as large as the bundle's at a factor, or "".

    Nothing is said where one of the sizes is not known.
    """
    own = manifest.pixel_size_um
    if own is None or pixel_size_um is None:
        return ""
    wanted = own * factor
    if abs(pixel_size_um - wanted) <= _TOLERANCE * wanted:
        return ""
    if abs(pixel_size_um - own) <= _TOLERANCE * own:
        return (
            f"The image's pixels are {pixel_size_um:.3g} µm wide, as those of HR images of the "
            f"bundle {manifest.name}, and not {wanted:.3g} µm as of LR images at {factor}x: it "
            "seems to be an HR image; give an LR one, or correct the pixel size."
        )
    return (
        f"The image's pixels are {pixel_size_um:.3g} µm wide, and those of the bundle "
        f"{manifest.name} at {factor}x {wanted:.3g} µm: its cells are not as large in "
        "pixels as those that the bundle knows; resample them, or correct the pixel size."
    )


def unusable_cells(stack: CellStack) -> dict[int, str]:
    """Return the cells that cannot be searched, with the reason; every channel must show some."""
    flat = stack.data.reshape(*stack.data.shape[:2], -1)
    finite = np.isfinite(flat).all(axis=2)
    constant = flat.max(axis=2) == flat.min(axis=2)
    reasons: dict[int, str] = {}
    for k in np.flatnonzero(constant.any(axis=1) | ~finite.all(axis=1)).tolist():
        if not finite[k].all():
            reasons[k] = "it holds NaN or infinite values"
        elif constant[k].all():
            reasons[k] = "every pixel has the same value"
        else:
            names = " and ".join(stack.channels[c] for c in np.flatnonzero(constant[k]))
            reasons[k] = f"every pixel of {names} has the same value"
    return reasons
