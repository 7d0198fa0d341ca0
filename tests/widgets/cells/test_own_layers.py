"""Runs after each other on one input: they replace their layers unless these are kept."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from widget_bench import Bench, lr_cells

from napari_rls.errors import SettingsError
from napari_rls.widgets.cells import sr_layers


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path: Path) -> Bench:
    """A bench with a layer per channel and samples, as most users have them."""
    bench = Bench(
        tiny_bundle_file, tmp_path / "settings.json", samples=2, sample_steps=2, batch_size=2
    )
    for k, channel in enumerate(("nucleus", "protein")):
        bench.viewer.add_image(lr_cells()[:, k], name=f"LR {channel}")
    bench.controller.guess_inputs()
    return bench


def run(bench: Bench, **settings: object) -> None:
    for name, value in settings.items():
        bench.controller.change(name, value)
    bench.controller.start()
    bench.thread.finish()
    assert bench.said.startswith("Done: 3 of 3 cells"), bench.said


def names(bench: Bench) -> list[str]:
    return [layer.name for layer in bench.viewer.layers]


def pixels(bench: Bench) -> list[np.ndarray]:
    return [layer.data.copy() for layer in bench.viewer.layers]


def test_runs_of_the_same_input_show_their_result_in_the_same_layers(bench: Bench) -> None:
    run(bench)
    bench.controller.show_sample_statistics()
    layers, first = list(bench.viewer.layers), pixels(bench)
    assert len(layers) == 10
    arrays = [weakref.ref(layer.data) for layer in layers[2:]]
    for seed in range(1, 4):
        run(bench, seed=seed)
        assert list(bench.viewer.layers) == layers
    gc.collect()
    assert all(array() is None for array in arrays)  # nothing of earlier runs is held
    samples, mean, sd = (layers[k] for k in (4, 6, 7))
    assert samples.metadata["napari-rls"]["settings"]["seed"] == 3
    assert not np.array_equal(samples.data, first[4])
    # The statistics are those of the new samples.
    np.testing.assert_allclose(mean.data, samples.data.mean(0), rtol=1e-5)
    np.testing.assert_allclose(sd.data, samples.data.std(0, ddof=1), rtol=1e-4, atol=1e-4)
    assert mean.metadata["napari-rls"]["settings"]["seed"] == 3
    assert [layer.visible for layer in layers[6:]] == [False, False, False, True]


def test_layers_that_were_renamed_or_kept_stay(bench: Bench) -> None:
    run(bench)
    bench.viewer.layers[2].name = "mine"
    bench.controller.keep()
    kept = {layer: layer.data.copy() for layer in bench.viewer.layers[2:]}
    assert names(bench)[3] == "SR 8x (generated) of LR protein (kept)"
    assert names(bench)[2] == "mine (kept)"
    for seed in (1, 2):
        run(bench, seed=seed)
        assert len(bench.viewer.layers) == 10
        for layer, data in kept.items():
            np.testing.assert_array_equal(layer.data, data)


def test_renaming_alone_keeps_a_layer(bench: Bench) -> None:
    run(bench, samples=0)
    mine = bench.viewer.layers[2]
    mine.name, before = "my best", mine.data.copy()
    run(bench, steps=1)
    np.testing.assert_array_equal(mine.data, before)
    assert sorted(names(bench)[2:]) == [
        "SR 8x (generated) of LR nucleus", "SR 8x (generated) of LR protein", "my best"
    ]  # fmt: skip


def test_another_input_method_or_place_gets_layers_of_its_own(bench: Bench) -> None:
    run(bench, samples=0)
    first = list(bench.viewer.layers[2:])
    run(bench, method="pulse", samples=0, steps=2)
    assert len(bench.viewer.layers) == 6
    bench.viewer.layers[0].data = bench.viewer.layers[0].data[::-1].copy()
    run(bench, method="rls", samples=0, steps=2)
    assert len(bench.viewer.layers) == 8
    assert names(bench)[-1] == f"{first[1].name} [1]"
    run(bench, seed=4)  # in the layers of these very cells
    assert len(bench.viewer.layers) == 8
    seeds = [x.metadata["napari-rls"]["settings"]["seed"] for x in bench.viewer.layers[2:]]
    assert seeds == [0, 0, 0, 0, 4, 4]


def test_samples_of_an_earlier_run_do_not_stay_beside_a_new_result(bench: Bench) -> None:
    run(bench)
    bench.controller.show_sample_statistics()
    run(bench, samples=0)
    assert names(bench) == [
        "LR nucleus", "LR protein",
        "SR 8x (generated) of LR nucleus", "SR 8x (generated) of LR protein",
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [0, 2, 9])
def test_a_cancelled_run_does_not_cost_a_finished_result(bench: Bench, steps: int) -> None:
    run(bench)
    before, said = pixels(bench), names(bench)
    records = [dict(layer.metadata) for layer in bench.viewer.layers]
    bench.controller.change("seed", 9)
    bench.controller.start()
    bench.thread.step(steps)
    bench.controller.cancel()
    assert "The earlier result, with 3 cells finished, is shown again." in bench.said
    assert names(bench) == said
    assert [layer.metadata for layer in bench.viewer.layers] == records
    for layer, data in zip(bench.viewer.layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, data)


def test_an_error_gives_the_earlier_result_back(bench: Bench) -> None:
    run(bench)
    before = pixels(bench)
    bench.controller.start()
    bench.thread.deliver(SettingsError("cuda is not available."))
    bench.thread.ended()
    assert bench.said.startswith("cuda is not available. The earlier result")
    for layer, data in zip(bench.viewer.layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, data)


def test_a_cancelled_run_gives_way_to_the_next(bench: Bench) -> None:
    bench.controller.start()
    bench.thread.step(6)  # a batch, samples included, and a step of the next
    bench.controller.cancel()
    bench.thread.ended()
    assert names(bench)[2] == "SR 8x (generated, cancelled) of LR nucleus"
    assert names(bench)[4] == "SR samples 8x (generated, cancelled) of LR nucleus"
    layers = list(bench.viewer.layers)
    run(bench)
    assert list(bench.viewer.layers) == layers
    assert not any("cancelled" in name for name in names(bench))


def test_layers_that_cannot_be_made_leave_all_as_it_was(bench: Bench, monkeypatch) -> None:
    run(bench)
    before, said = pixels(bench), names(bench)
    made = []

    def fail(*_, **__):
        made.append(1)
        if len(made) == 2:
            raise MemoryError
        return "SR 8x (generated) of LR nucleus"

    monkeypatch.setattr(sr_layers, "sr_name", fail)
    bench.controller.start()
    assert bench.thread.started == 1
    assert names(bench) == said
    for layer, data in zip(bench.viewer.layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, data)
    assert bench.said == "There is not enough memory; choose a smaller batch size."


def test_layers_that_the_user_removes_are_let_go_of(bench: Bench) -> None:
    run(bench)
    bench.controller.compare()
    bench.controller.compare()
    layers = [weakref.ref(layer) for layer in bench.viewer.layers]
    arrays = [weakref.ref(layer.data) for layer in bench.viewer.layers[2:]]
    bench.viewer.layers.clear()
    bench.viewer.add_image(np.zeros((4, 4)), name="other")  # napari holds its current layer
    bench.controller.follow_layers()
    gc.collect()
    assert all(ref() is None for ref in arrays)
    assert all(ref() is None for ref in layers)
    bench.controller.keep()  # there is nothing to keep, and no error
