"""CPU threads and random numbers of the process: a run has its own, the user keeps his."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_bench import cells_of, measuring_bundle, settings_of
from tiny_job import SETTINGS, job, write_fields

from napari_rls import Settings, super_resolve
from napari_rls.errors import TrainingError
from napari_rls.measure.nuclear_ratio import Nuclear
from napari_rls.measure.translocation import TranslocationSettings
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.search.contained import contained
from napari_rls.training.dataset import Crops
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.fit_field_encoder import train as fit_field_encoder
from napari_rls.training.pix2pix import train as train_network
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.training.run import train
from napari_rls.workflow.benchmark.run_benchmark import benchmark
from napari_rls.workflow.train.train_bundle import train_bundle

Work = Generator[Any, None, None]
MINE, THEIRS = 3, 2


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(MINE)
    yield
    torch.set_num_threads(before)


def searching(_: Path, bundle: Bundle) -> Work:
    lr = np.random.default_rng(0).uniform(0, 250, (3, 2, 8, 8))
    settings = Settings(factor=4, steps=3, samples=1, sample_steps=2, batch_size=2, threads=THEIRS)
    return super_resolve(lr, bundle, settings)


def training(folder: Path, _: Bundle) -> Work:
    data = np.random.default_rng(0).integers(0, 256, (20, 2, 16, 16), dtype=np.uint8)
    settings = SETTINGS.model_copy(update={"threads": THEIRS})
    return train(data, settings, folder / "run")


def training_a_bundle(folder: Path, _: Bundle) -> Work:
    write_fields(folder / "fields")
    return train_bundle(job(folder, settings=SETTINGS.model_copy(update={"threads": THEIRS})))


def training_a_network(folder: Path, _: Bundle) -> Work:
    data = np.random.default_rng(0).integers(0, 256, (20, 2, 16, 16), dtype=np.uint8)
    settings = Pix2PixSettings(factor=4, width=4, width_max=8, steps=3, threads=THEIRS)
    held_out = torch.zeros(2, 2, 16, 16)
    return train_network(Crops(data, SETTINGS), held_out, settings, folder / "run")


def training_a_field_encoder(folder: Path, bundle: Bundle) -> Work:
    data = np.random.default_rng(0).integers(0, 256, (20, 2, 32, 32), dtype=np.uint8)
    settings = FieldEncoderSettings(width=4, hidden=8, steps=3, batch_size=4, threads=THEIRS)
    crops, nuclear = (
        Crops(data, SETTINGS.model_copy(update={"size": 32})),
        Nuclear(0, TranslocationSettings()),
    )
    return fit_field_encoder(
        crops, torch.zeros(2, 2, 32, 32), settings, folder / "run", bundle, nuclear
    )


def comparing(folder: Path, _: Bundle) -> Work:
    bundle = measuring_bundle(folder / "tiny.rls.safetensors")
    settings = settings_of(threads=THEIRS, methods=("unregularised",), samples=0)
    return benchmark(cells_of(folder, bundle, settings), bundle, settings, folder)


@pytest.mark.parametrize(
    "make",
    [
        searching,
        training,
        training_a_bundle,
        training_a_network,
        training_a_field_encoder,
        comparing,
    ],
)
def test_a_run_leaves_the_process_as_it_was(
    tmp_path: Path, tiny_bundle: Bundle, make: Callable[[Path, Bundle], Work]
) -> None:
    state = torch.get_rng_state()
    (tmp_path / "whole").mkdir()
    count = 0
    for _ in make(tmp_path / "whole", tiny_bundle):
        assert torch.get_num_threads() == MINE
        count += 1
    assert count > 1
    assert torch.get_num_threads() == MINE
    assert torch.equal(torch.get_rng_state(), state)
    for end in ("closed", "forgotten"):
        (tmp_path / end).mkdir()
        work = make(tmp_path / end, tiny_bundle)
        next(work)
        if end == "closed":
            work.close()
        del work
        gc.collect()
        assert torch.get_num_threads() == MINE


def test_loading_a_bundle_draws_no_random_numbers_of_the_user(tiny_bundle_file: Path) -> None:
    state = torch.get_rng_state()
    load_bundle(tiny_bundle_file)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_work_itself_has_the_threads_of_its_settings() -> None:
    def work(fails: bool = False) -> Generator[int, None, str]:
        try:
            for _ in range(2):
                yield torch.get_num_threads()
            if fails:
                raise TrainingError("no")
        finally:
            ends.append(torch.get_num_threads())
        return "result"

    ends: list[int] = []
    seen = contained(work(), THEIRS)
    assert [next(seen), next(seen)] == [THEIRS] * 2
    with pytest.raises(StopIteration) as end:
        next(seen)
    assert end.value.value == "result"
    assert list(contained(work(), 0)) == [MINE] * 2
    with pytest.raises(TrainingError, match="no"):
        list(contained(work(fails=True), THEIRS))
    half = contained(work(), THEIRS)
    next(half)
    half.close()
    assert ends == [THEIRS, MINE, THEIRS, THEIRS]
    assert torch.get_num_threads() == MINE
    # The user may choose another number on the way, and keeps it.
    other = contained(work(), THEIRS)
    next(other)
    torch.set_num_threads(1)
    next(other)
    assert torch.get_num_threads() == 1
