"""What the embedded bundle of simulated cells draws at 32x, where a coarse image comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.search.degradation import Bicubic
from napari_rls.search.noise import NoiseModel
from napari_rls.search.settings import Settings
from napari_rls.simulate.golgi import CONTROL, NOCODAZOLE, simulate_golgi
from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.measure.trust_levels import measured
from napari_rls.workflow.super_resolve.resolver import SuperResolver

CELLS, SAMPLES, FACTOR = 40, 5, 32
NOISE = NoiseModel(offset=(0.0, 0.0), gain=(0.5, 0.5), read_noise=(1.0, 1.0))
COUNT = "Cells_Children_Spots_Count"
AREA = "Spots_AreaShape_Area_Mean"


def test_samples_of_compact_and_scattered_cells_are_so_too_at_32x() -> None:
    """Of 4 x 4 LR pixels: networks that draw all pixels at once draw what is between both."""
    bundle = load_bundle("golgi-simulated-128")
    conditions = [(CONTROL, NOCODAZOLE)[k % 2] for k in range(CELLS)]
    cells = [simulate_golgi(c, np.random.default_rng([77, k])) for k, c in enumerate(conditions)]
    hr = CellStack(np.stack([c.image for c in cells]).astype(np.float32), ("DNA", "Golgi"))
    lr = Bicubic(FACTOR)(torch.from_numpy(hr.data)).numpy()
    settings = Settings(factor=FACTOR, method="flow", samples=SAMPLES, threads=1)
    drawn = SuperResolver(bundle, settings).run(CellStack(lr, hr.channels)).samples
    assert drawn is not None
    how = MeasureSettings(assay="spots")
    truth = measured(hr.data, hr, how)
    samples = [measured(images, hr, how) for images in drawn]
    control = np.array(conditions) == CONTROL
    for column, between in ((COUNT, (5, 20)), (AREA, (35, 60))):
        middle = np.nanmedian([one[column] for one in samples], 0)
        low, high = sorted((np.nanmedian(middle[control]), np.nanmedian(middle[~control])))
        assert low < between[0]
        assert high > between[1]
        assert np.corrcoef(middle, truth[column])[0, 1] > 0.5
    # Of exact samples, least and largest of five hold two thirds of the true values.
    counts = np.array([one[COUNT] for one in samples])
    held = (counts.min(0) <= truth[COUNT]) & (truth[COUNT] <= counts.max(0))
    assert held.mean() > 0.5


@pytest.mark.parametrize("ratio", [12.0, 24.0])
def test_cells_of_fields_are_drawn_so_too(ratio: float) -> None:
    bundle = load_bundle("golgi-simulated-128")
    images = [simulate_golgi(CONTROL, np.random.default_rng([5, k])).image for k in range(4)]
    rows = [np.concatenate(images[k : k + 2], 2) for k in (0, 2)]
    lr = degrade_field(
        np.concatenate(rows, 1).astype(np.float32), ratio, 0.45, gain=0.5, read_noise=1.0, seed=1
    )
    field = CellStack(
        lr.round().clip(0, 65535).astype(np.uint16)[None],
        bundle.manifest.channel_names,
        leading=None,
        name="B03_field.tif",
    )
    manifest = bundle.manifest.model_copy(update={"coarse_flow": None})
    without = replace(bundle, manifest=manifest, coarse_flow=None)
    one, other = (_samples_of_field(field, ratio, made) for made in (bundle, without))
    assert np.isfinite(one).all()
    assert (np.abs(one - other).max() > 1) == (ratio > 16)


def _samples_of_field(field: CellStack, ratio: float, bundle: Bundle) -> NDArray[np.float32]:
    optics = {"ratio": ratio, "psf_sigma": 0.45}
    settings = FieldSettings(optics=optics, noise=NOISE, scout_steps=0)
    search = Settings(method="flow", samples=2, threads=1)
    *_, last = FieldResolver(SuperResolver(bundle, search), settings).updates(field)
    samples: NDArray[np.float32] = last.result.collector.samples
    return samples
