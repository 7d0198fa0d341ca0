"""Samples in the viewer: one layer with a sample axis, in place, streamed, and its statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from widget_bench import Bench

from napari_rls.errors import InputError
from napari_rls.models.trust import Domain, PixelTrust, Trust
from napari_rls.widgets.contributions.reader import get_reader
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.measure import trust_pixels
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.measure.trust_levels import SAMPLING, SEARCH
from napari_rls.workflow.measure.trust_pixels import TrustMask
from napari_rls.workflow.super_resolve.sr_files import write_samples


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path: Path) -> Bench:
    return Bench(
        tiny_bundle_file,
        tmp_path / "settings.json",
        samples=4,
        sample_steps=12,
        batch_size=2,
        factor=8,
    )


def layers(bench: Bench, word: str) -> list:
    return [layer for layer in bench.viewer.layers if layer.name.startswith(f"SR {word}")]


def test_samples_stream_into_one_layer_per_channel(bench: Bench) -> None:
    lr = bench.add_lr(scale=(1, 1, 2, 2), rotate=20, translate=(0, 0, 5, 7))
    bench.controller.start()
    bench.thread.step(12)  # 3 of the search, 9 of the sampling
    assert layers(bench, "samples") == []
    bench.thread.step(1)
    shown = layers(bench, "samples")
    assert len(shown) == 2
    sr = [layer for layer in bench.sr if layer not in shown]
    for own, like in zip(shown, sr, strict=True):
        assert own.visible
        assert own.data.shape == (4, 3, 1, 32, 32)
        assert own.axis_labels[0] == "sample"
        assert np.ptp(own.data[:, 0], axis=0).max() > 0
        np.testing.assert_array_equal(own.data[:, 2], np.repeat(like.data[None, 2], 4, 0))
        for corner in ([0, 0, 0, 0], [2, 0, 31, 31]):
            np.testing.assert_allclose(
                own.data_to_world([3, *corner])[1:], like.data_to_world(corner), atol=1e-9
            )
    bench.thread.finish()
    assert not any(layer.visible for layer in shown)
    assert "The samples are in the hidden layer 'SR samples 8x" in bench.said
    record = shown[0].metadata[PROVENANCE_KEY]
    assert record["generated"] is True
    assert record["settings"]["samples"] == 4
    assert lr in bench.viewer.layers


def test_mean_and_deviation_on_request(bench: Bench) -> None:
    bench.add_lr()
    bench.controller.show_sample_statistics()
    assert bench.said.startswith("There are no samples: set Samples to 2 or more")
    bench.controller.start()
    bench.thread.finish()
    for _ in range(2):  # asked twice, they are there once
        bench.controller.show_sample_statistics()
        (samples, _), (mean, _), (sd, _) = (
            layers(bench, name) for name in ("samples", "mean", "sd")
        )
    np.testing.assert_allclose(mean.data, samples.data.mean(0), rtol=1e-5)
    np.testing.assert_allclose(sd.data, samples.data.std(0, ddof=1), rtol=1e-4, atol=1e-4)
    assert sd.metadata[PROVENANCE_KEY]["generated"] is True
    assert [layer.visible for layer in layers(bench, "sd")] == [False, True]


def test_samples_and_their_statistics_do_not_cover_each_other(bench: Bench) -> None:
    bench.add_lr()
    bench.controller.start()
    bench.thread.finish()

    def in_view() -> list[bool]:
        return [any(layer.visible for layer in layers(bench, x)) for x in ("samples", "mean", "sd")]

    bench.controller.show_sample_statistics()
    assert in_view() == [False, False, True]
    bench.controller.toggle_samples()
    assert in_view() == [True, False, False]
    bench.controller.show_sample_statistics()
    assert in_view() == [False, False, True]
    bench.viewer.dims.set_current_step(0, 2)  # as its slider does
    assert in_view() == [True, False, False]


def calibrated(bench: Bench, limit: float) -> None:
    """Let the record of the last run say that the bundle was calibrated with such a run."""
    for layer in bench.sr:
        record = layer.metadata[PROVENANCE_KEY]
        domain = Domain(
            cells=50,
            lr_residual=(0.0, 1e9),
            log_density=(-1e9, 1e9),
            distance=(0.0, 1e9),
            centre=(0.0,) * 9,
            precision=((0.0,) * 9,) * 9,
            threshold=0,
            false_alarms=0.05,
        )
        trust = Trust(
            factor=8,
            data="cells",
            settings={
                name: {**record["settings"], "start": record["start"]}[name]
                for name in (*SEARCH, *SAMPLING)
            },
            domain=domain,
            pixels=PixelTrust(
                cells=50, alpha=0.2, smoothing=0, blur=1, limits=(limit, 0), shares=(0.5, 0)
            ),
        )
        known = {**record["bundle"], "trust": trust.model_dump(mode="json")}
        layer.metadata = {
            **layer.metadata,
            PROVENANCE_KEY: {**record, "bundle": known},
        }


def test_a_trust_mask_on_request_and_never_of_an_earlier_run(bench: Bench, tmp_path: Path) -> None:
    bench.add_lr()
    bench.controller.show_trust_mask()
    assert bench.said.startswith("There are no samples: set Samples to 2 or more")
    bench.controller.start()
    bench.thread.finish()
    bench.controller.show_trust_mask()
    assert bench.said == "There is no trust mask: the bundle has none for this scale factor."
    assert layers(bench, "trust") == []
    told, (samples, _) = bench.sr[0].metadata[PROVENANCE_KEY], layers(bench, "samples")
    low, high = (told["intensity"][end][0] for end in ("low", "high"))
    spread = samples.data.std(0, ddof=1, dtype=np.float64) / (high - low)
    limit = float(np.median(spread))
    calibrated(bench, limit)
    for _ in range(2):  # asked twice, it is there once
        bench.controller.show_trust_mask()
        first, last = layers(bench, "trust")
    assert bench.said.startswith("Trust mask: the largest error inside it is at most 20 %")
    np.testing.assert_array_equal(first.data, spread <= limit)
    assert first.data.mean() == pytest.approx(0.5, abs=0.01)
    assert not last.data.any()
    assert (first.visible, last.visible) == (False, True)
    record = first.metadata[PROVENANCE_KEY]
    assert record["generated"] is True
    assert record["statistic"].startswith("trust mask")
    assert "(generated)" in first.name
    # Saved, it is no image of a cell.
    bench.controller.save_sr(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(read_stack(tmp_path / "a_trust.ome.tif").data[:, 1], 0)
    with pytest.raises(InputError, match=r"a_trust\.ome\.tif holds the trust mask"):
        read_images([tmp_path / "a_trust.ome.tif"])
    bench.controller.change("seed", 5)
    bench.controller.start()
    bench.thread.finish()
    assert layers(bench, "trust") == []


def test_a_trust_mask_follows_a_new_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    known = PixelTrust(cells=50, alpha=0.2, smoothing=0, blur=1, limits=(0, 0), shares=(0, 0))

    def by_half(_sr: np.ndarray, samples: np.ndarray, _record: object) -> TrustMask:
        return TrustMask(samples.std(0) <= np.median(samples.std(0)), known)

    monkeypatch.setattr(trust_pixels, "trust_mask", by_half)
    bench.add_lr()
    bench.controller.start()
    bench.thread.finish()
    bench.controller.show_sample_statistics()
    bench.controller.show_trust_mask()
    # It is of the SR image, not of the deviation, which would cover it.
    assert [any(x.visible for x in layers(bench, word)) for word in ("sd", "trust")] == [0, 1]
    before = [layer.data.copy() for layer in layers(bench, "trust")]
    bench.controller.change("seed", 5)
    bench.controller.start()
    assert not any(layer.visible for layer in layers(bench, "trust"))
    bench.thread.finish()
    shown, samples = layers(bench, "trust"), layers(bench, "samples")
    stacked = np.stack([layer.data.std(0) for layer in samples])
    np.testing.assert_array_equal(
        np.stack([layer.data for layer in shown]), stacked <= np.median(stacked)
    )
    assert any((a.data != b).any() for a, b in zip(shown, before, strict=True))
    assert [layer.visible for layer in shown] == [False, True]


def test_a_run_without_samples_has_no_such_layer(bench: Bench) -> None:
    bench.controller.change("samples", 0)
    bench.add_lr()
    bench.controller.start()
    bench.thread.finish()
    assert layers(bench, "samples") == []


def test_a_samples_file_opens_with_its_sample_axis(bench: Bench, tmp_path: Path) -> None:
    bench.add_lr()
    bench.controller.start()
    run = bench.controller._run
    bench.thread.finish()
    path = tmp_path / "x_samples.ome.tif"
    write_samples(path, run.collector)
    reader = get_reader(str(path))
    assert reader is not None
    opened = reader(str(path))
    assert len(opened) == 2
    data, options, kind = opened[0]
    assert kind == "image"
    np.testing.assert_array_equal(data, run.collector.samples[:, :, 0])
    assert options["axis_labels"][0] == "sample"
    assert len(options["scale"]) == len(options["translate"]) == len(options["units"]) == 4
    layer = bench.viewer.add_image(data, **options)
    assert layer.ndim == 4
