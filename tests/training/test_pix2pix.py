"""The Pix2Pix network and its training: shapes, dropout, losses, resumption, what is learnt."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pix2pix_bench import SHAPE, crops, held_out, run, settings
from safetensors.torch import load_file
from torch.nn import functional as F

from napari_rls.errors import TrainingError
from napari_rls.models.pix2pix import BatchNorm, UNet
from napari_rls.search.degradation import Bicubic
from napari_rls.training.checkpoint import read_numbers
from napari_rls.training.dataset import Crops
from napari_rls.training.patch_discriminator import PatchDiscriminator
from napari_rls.training.pix2pix import train
from napari_rls.training.pix2pix_step import Pix2PixTrainer, bicubic_l1


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint.safetensors")


def lr_images(count: int, channels: int, side: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, side, side, generator=rng) * 2 - 1


@pytest.mark.parametrize("size", [8, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_every_size(size: int, channels: int) -> None:
    for factor in (2, size // 4, size):
        network = UNet(channels, size, factor, 4, 8).eval()
        lr = lr_images(2, channels, size // factor)
        with torch.no_grad():
            sr = network(lr, None)
            dropped = network(lr, torch.Generator().manual_seed(1))
        assert sr.shape == dropped.shape == (2, channels, size, size)
        assert sr.abs().max() <= 1


def test_widths_double_up_to_the_largest() -> None:
    network = UNet(2, 256, 16, 16, 100)
    assert [conv.out_channels for conv in network.down] == [16, 32, 64, 100, 100, 100, 100, 100]
    assert network.down[-1](torch.zeros(1, 100, 2, 2)).shape == (1, 100, 1, 1)
    # The decoder's levels take the encoder's features of their size beside their own.
    assert [conv.in_channels for conv in network.up] == [100, 200, 200, 200, 200, 128, 64, 32]


def test_wrong_sizes_are_told() -> None:
    with pytest.raises(ValueError, match=r"LR images \(N, 2, 4, 4\), not \(1, 2, 8, 8\)"):
        UNet(2, 32, 8, 4, 8)(torch.zeros(1, 2, 8, 8))
    for size, factor in ((48, 8), (64, 6), (4, 2)):
        with pytest.raises(ValueError, match=f"no U-Net for {size} pixels and the factor {factor}"):
            UNet(2, size, factor, 4, 8)


def test_the_network_sees_each_pixel_of_the_lr_image_in_its_place() -> None:
    lr = lr_images(1, 2, 4)
    large = UNet(2, 32, 8, 4, 8).enlarged(lr)
    torch.testing.assert_close(large, lr.repeat_interleave(8, 2).repeat_interleave(8, 3))


def test_only_the_seed_decides_the_dropout() -> None:
    torch.manual_seed(0)
    network, lr = UNet(2, 32, 8, 8, 16).eval(), lr_images(3, 2, 4)

    def draw(seed: int | None) -> torch.Tensor:
        rng = None if seed is None else torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return network(lr, rng)

    assert torch.equal(draw(None), draw(None))
    assert torch.equal(draw(5), draw(5))
    assert not torch.allclose(draw(5), draw(6))
    assert not torch.allclose(draw(5), draw(None))


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    network, lr = UNet(2, 32, 8, 8, 16), lr_images(6, 2, 4)
    with torch.no_grad():
        network(lr)  # running statistics
        alone, together = network.eval()(lr[:1]), network(lr)
    torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-5)


def test_batch_norm_is_that_of_torch() -> None:
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm2d(3)
    x = 5 + 3 * lr_images(4, 3, 8)
    for _ in range(2):
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("size", "patch"), [(32, 16), (64, 34), (128, 70), (256, 70)])
def test_a_logit_sees_a_patch_of_the_documented_size(size: int, patch: int) -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(1, size, 4).eval()
    image = lr_images(1, 1, size).requires_grad_()
    logits = judge(torch.zeros(1, 1, size, size), image)
    _, _, height, width = logits.shape
    logits[0, 0, height // 2, width // 2].backward()
    seen = image.grad[0, 0].abs().sum(0).nonzero()
    assert int(seen.max() - seen.min()) + 1 == patch


def test_the_losses_are_those_of_the_paper() -> None:
    # Crops that turning leaves as they are.
    flat = np.arange(0, 250, 5, dtype=np.uint8)[:, None, None, None].repeat(2, 1)
    data = Crops(np.broadcast_to(flat, (50, 2, 16, 16)), SHAPE)
    trainer = Pix2PixTrainer(settings(), 2, 16, torch.device("cpu"))
    network, judge = copy.deepcopy(trainer.network), copy.deepcopy(trainer.discriminator)
    dropout = torch.Generator()
    dropout.set_state(trainer.streams["dropout"].get_state())
    seen = trainer.step(data)

    real = data.batch(0, 4)
    large = network.enlarged(Bicubic(4)(real))
    bce = F.binary_cross_entropy_with_logits
    with torch.no_grad():
        fake = network(Bicubic(4)(real), dropout)
        yes, no = judge(large, real), judge(large, fake)
        taught = trainer.discriminator(large, fake)
    loss = bce(yes, torch.ones_like(yes)) + bce(no, torch.zeros_like(no))
    torch.testing.assert_close(seen.discriminator, loss)
    torch.testing.assert_close(seen.generator, bce(taught, torch.ones_like(taught)))
    torch.testing.assert_close(seen.l1, (fake - real).abs().mean())


def test_the_step_size_falls_to_nothing_in_the_second_half() -> None:
    plan = settings(steps=100, learning_rate=1e-3)
    assert plan.rate(0) == plan.rate(50) == 1e-3
    assert plan.rate(75) == pytest.approx(5e-4)
    assert 0 < plan.rate(99) < 3e-5


def test_stop_and_resume_equals_going_through(tmp_path: Path) -> None:
    *_, through = run(tmp_path / "through")
    run(tmp_path / "stopped", stop_at=7)
    run(tmp_path / "stopped", stop_at=21)
    assert not torch.equal(
        state(tmp_path / "stopped")["network.down.0.weight"],
        state(tmp_path / "through")["network.down.0.weight"],
    )
    *_, last = run(tmp_path / "stopped")
    assert last.finished
    one, two = state(tmp_path / "through"), state(tmp_path / "stopped")
    assert one.keys() == two.keys()
    assert not [name for name in one if not torch.equal(one[name], two[name])]
    assert last.report.held_out_l1 == through.report.held_out_l1
    log = (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["steps"] for line in log] == [10, 20, 30]
    (again,) = run(tmp_path / "stopped")
    assert (again.steps, again.report) == (30, last.report)


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    run(tmp_path, stop_at=3)
    with pytest.raises(TrainingError, match=r"other settings \(seed: 0, now 1\); resume"):
        run(tmp_path, seed=1)
    with pytest.raises(TrainingError, match=r"other settings \(other crops\)"):
        next(train(crops(7), held_out(), settings(), tmp_path))
    assert run(tmp_path, checkpoint_minutes=1)[-1].finished
    with pytest.raises(TrainingError, match="not a checkpoint that this version"):
        read_numbers(tmp_path / "checkpoint.safetensors")


def test_training_lowers_the_held_out_error_below_that_of_upsampling(tmp_path: Path) -> None:
    last = run(tmp_path, steps=500, learning_rate=2e-3, report_steps=50)[-1]
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    errors = [json.loads(line)["held_out_l1"] for line in log]
    assert errors[-1] == last.report.held_out_l1 < 0.7 * errors[0]
    assert errors[-1] < bicubic_l1(held_out(), 4)


def test_bicubic_upsampling_is_that_of_pillow() -> None:
    from PIL import Image

    hr = held_out()[:3]
    lr = Bicubic(4)(hr).numpy()
    large = [
        [np.asarray(Image.fromarray(c).resize((16, 16), Image.Resampling.BICUBIC)) for c in image]
        for image in lr
    ]
    assert bicubic_l1(hr, 4) == pytest.approx(np.abs(np.array(large) - hr.numpy()).mean(), rel=1e-4)


def test_divergence_is_told_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, stop_at=5)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    iteration = train(crops(), held_out(), settings(), tmp_path)
    step = next(iteration)
    with torch.no_grad():
        next(step.network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"diverged at step 10 \(a number is not finite\)"):
        list(iteration)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
