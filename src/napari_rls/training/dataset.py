"""HR crops as training data: checks, intensities, order, split by file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.errors import TrainingError
from napari_rls.models.intensity import IntensityMap
from napari_rls.training.training_settings import TrainSettings


class Crops:
    """HR crops in the order in which a run shows them.

    Every epoch is a new permutation that depends on the seed and the epoch alone, so
    that the number of images shown tells where a run stands.

    Parameters
    ----------
    data
        HR crops (N, C, H, W) of any real type, in the intensities of ``settings``.
    settings
        The run's settings: size, channels, intensities, seed.
    margin
        Pixels around each crop that the data may hold too.

    Raises
    ------
    TrainingError
        If the crops do not fit the settings, are too few, or are not finite.
    """

    def __init__(self, data: NDArray[np.generic], settings: TrainSettings, margin: int = 0) -> None:
        _check(data, settings, margin)
        self.data = data
        self.seed = settings.seed
        low, high = settings.intensity.low, settings.intensity.high
        count = len(settings.channels)
        self.map = IntensityMap("bundle", (low,) * count, (high,) * count)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.long)

    def __len__(self) -> int:
        return len(self.data)

    def indices(self, first: int, count: int) -> list[int]:
        """Return which crops a run shows as its images ``first`` to ``first + count``."""
        return [self._index(position) for position in range(first, first + count)]

    def batch(self, first: int, count: int) -> Tensor:
        """Return these images (count, C, H, W) as float32, -1 to 1."""
        return torch.from_numpy(self.map.encode(self.data[self.indices(first, count)]))

    def digest(self) -> str:
        """Return the SHA-256 of the crops, by which a run knows its data again."""
        digest = hashlib.sha256(f"{self.data.shape} {self.data.dtype}".encode())
        digest.update(np.ascontiguousarray(self.data).tobytes())
        return digest.hexdigest()

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.data))
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed((self.seed << 20) + epoch)
            self._order = torch.randperm(len(self.data), generator=rng)
            self._epoch = epoch
        return int(self._order[place])


def _check(data: NDArray[np.generic], settings: TrainSettings, margin: int) -> None:
    expected = (len(settings.channels), settings.size, settings.size)
    wide = (expected[0], *(side + 2 * margin for side in expected[1:]))
    if data.ndim != 4 or data.shape[1:] not in (expected, wide):
        raise TrainingError(
            f"The crops have the shape {data.shape}; these settings need "
            f"(N, {', '.join(map(str, expected))}): cut them at this size or change the settings."
        )
    if data.dtype.kind not in "biuf":
        raise TrainingError(f"The crops hold {data.dtype} values; they must be real numbers.")
    if len(data) < settings.batch_size:
        raise TrainingError(
            f"{len(data)} crops are too few for a batch of {settings.batch_size}; give more "
            "images (a few thousand crops make a useful bundle)."
        )
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise TrainingError("The crops hold NaN or infinite values; remove those cells.")


def mirrored(images: Tensor, rng: torch.Generator) -> Tensor:
    """Turn each image (N, C, H, W) by one of the 8 flips and right-angle rotations."""
    ways = torch.randint(8, (len(images),), generator=rng).tolist()
    turned = [
        torch.rot90(image.flip(2) if way >= 4 else image, way % 4, (1, 2))
        for image, way in zip(images, ways, strict=True)
    ]
    return torch.stack(turned)


def split_by_file(
    files: Sequence[str], share: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split crops into a training and a validation part, every file on one side.

    Crops of one file share cells, staining and focus: a split by crop would let the
    training part know the validation part.

    Parameters
    ----------
    files
        The file of each crop.
    share
        Share of the crops to validate on, at least; files are added until it is reached.
    seed
        Seed of the choice of files.

    Returns
    -------
    training, validation
        Indices of the crops.

    Raises
    ------
    TrainingError
        If there are fewer than two files.
    """
    counts = Counter(files)
    if len(counts) < 2:
        raise TrainingError(
            f"All crops come from {len(counts)} file(s); a validation part needs crops of at "
            "least two files."
        )
    names = sorted(counts)
    rng = torch.Generator().manual_seed(seed)
    order = [names[k] for k in torch.randperm(len(names), generator=rng).tolist()]
    held_out: set[str] = set()
    while len(held_out) < len(order) - 1 and (
        not held_out or sum(counts[name] for name in held_out) < share * len(files)
    ):
        held_out.add(order[len(held_out)])
    validation = np.array([name in held_out for name in files])
    return np.flatnonzero(~validation), np.flatnonzero(validation)
