"""Training data: intensities, order, symmetries, split by file."""

import numpy as np
import pytest
import torch

from napari_rls.errors import TrainingError
from napari_rls.models.manifest import Intensity
from napari_rls.training.dataset import Crops, mirrored, split_by_file
from napari_rls.training.training_settings import TrainSettings

SETTINGS = TrainSettings(size=8, channels=("DNA", "GFP"), batch_size=4, seed=5)


def numbered(count: int) -> np.ndarray:
    """Crops that carry their number in every pixel."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 8, 8))


def test_intensities_become_minus_one_to_one() -> None:
    data = np.full((4, 2, 8, 8), 51, np.uint8)
    batch = Crops(data, SETTINGS).batch(0, 4)
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch, torch.full((4, 2, 8, 8), 51 / 127.5 - 1))
    wide = SETTINGS.model_copy(update={"intensity": Intensity(low=100, high=4100)})
    batch = Crops(np.full((4, 2, 8, 8), 1100, np.uint16), wide).batch(0, 4)
    torch.testing.assert_close(batch, torch.full((4, 2, 8, 8), -0.5))


def test_every_epoch_shows_every_crop_once_in_another_order() -> None:
    crops = Crops(numbered(10), SETTINGS)
    shown = crops.indices(0, 20)
    assert sorted(shown[:10]) == sorted(shown[10:]) == list(range(10))
    assert shown[:10] != shown[10:]
    assert shown[:10] != list(range(10))


def test_the_order_depends_on_the_position_alone() -> None:
    in_one_go = Crops(numbered(10), SETTINGS).indices(0, 40)
    resumed = Crops(numbered(10), SETTINGS)
    assert resumed.indices(27, 13) == in_one_go[27:]
    assert resumed.indices(3, 9) == in_one_go[3:12]
    other = Crops(numbered(10), SETTINGS.model_copy(update={"seed": 6}))
    assert other.indices(0, 40) != in_one_go


def test_mirroring_gives_exactly_the_eight_symmetries() -> None:
    image = torch.arange(9.0).reshape(1, 3, 3)
    symmetries = {
        tuple(torch.rot90(side, k, (1, 2)).flatten().tolist())
        for side in (image, image.flip(2))
        for k in range(4)
    }
    assert len(symmetries) == 8
    rng = torch.Generator().manual_seed(0)
    seen = {tuple(x.flatten().tolist()) for x in mirrored(image.expand(200, 1, 3, 3), rng)}
    assert seen == symmetries


def test_the_digest_tells_data_apart() -> None:
    data = numbered(10).copy()
    digest = Crops(data, SETTINGS).digest()
    assert digest == Crops(data.copy(), SETTINGS).digest()
    data[3, 0, 0, 0] ^= 1
    assert Crops(data, SETTINGS).digest() != digest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((9, 2, 16, 16)), r"shape \(9, 2, 16, 16\).*need \(N, 2, 8, 8\)"),
        (np.zeros((9, 3, 8, 8)), "cut them at this size"),
        (np.zeros((3, 2, 8, 8)), "3 crops are too few for a batch of 4"),
        (np.full((9, 2, 8, 8), np.nan), "NaN or infinite"),
        (np.zeros((9, 2, 8, 8), complex), "complex128"),
    ],
)
def test_unusable_crops_are_refused(data: np.ndarray, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Crops(data, SETTINGS)


def test_a_file_is_never_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    files = [f"well{k:02d}.tif" for k in rng.integers(0, 20, size=400)]
    for seed in range(5):
        training, validation = split_by_file(files, share=0.2, seed=seed)
        assert sorted([*training, *validation]) == list(range(400))
        assert not {files[k] for k in training} & {files[k] for k in validation}
        assert 0.2 * 400 <= len(validation) < 0.35 * 400
    assert not np.array_equal(validation, split_by_file(files, share=0.2, seed=0)[1])


def test_a_split_leaves_files_on_both_sides_or_says_why_not() -> None:
    training, validation = split_by_file(["a", "a", "b"], share=0.9)
    assert len(training)
    assert len(validation)
    with pytest.raises(TrainingError, match="at least two files"):
        split_by_file(["a", "a"])
