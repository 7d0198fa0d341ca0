"""What the embedded bundle of simulated cells draws at 32x, where a coarse image comes first."""

from __future__ import annotations

import numpy as np
import torch

from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import load_bundle
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.simulate.golgi import CONTROL, NOCODAZOLE, simulate_golgi
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.trust_levels import measured
from napari_rls.workflow.super_resolve.resolver import SuperResolver

CELLS, SAMPLES, FACTOR = 40, 5, 32
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
