"""Pixels of others as arrays: masked, lazy and of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError


def as_pixels(data: Any, name: str) -> NDArray[np.generic]:
    """Return pixels as an array in memory: what is lazy is computed, what is masked is NaN.

    Parameters
    ----------
    data
        What numpy makes an array of, a nested list among it; a masked array; a dask or zarr
        array; a torch tensor, on any device.
    name
        Name of the source, for the message.

    Returns
    -------
    ndarray
        The pixels, not a copy where ``data`` is an array already. Of a masked array with
        masked pixels: floats.

    Raises
    ------
    InputError
        If they cannot be read, or are no array.
    """
    try:
        # dask's own way to an array forgets the mask, torch's refuses gradients and GPUs.
        if hasattr(data, "compute"):
            data = data.compute()
        if hasattr(data, "detach"):
            data = data.detach().cpu().numpy()
        if isinstance(data, np.ma.MaskedArray):
            return _unmasked(data)
        return np.asarray(data)
    except MemoryError:
        raise InputError(
            f"{name} does not fit into memory; crop it, or take fewer cells."
        ) from None
    except Exception as error:  # reading lazy pixels can fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"The pixels of {name} cannot be read: {reason.rstrip('.')}.") from error


def _unmasked(data: np.ma.MaskedArray[Any, Any]) -> NDArray[np.generic]:
    if not np.ma.is_masked(data) or data.dtype.kind not in "biuf":
        return np.asarray(data.data)
    floats = data.astype(np.result_type(data.dtype, np.float32))
    return np.asarray(np.ma.filled(floats, np.nan))
