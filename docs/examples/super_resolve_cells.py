"""LR cells, what the search makes of them, and the truth."""

import matplotlib.pyplot as plt
import numpy as np

from napari_rls import Settings, degrade, super_resolve
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate

cells = simulate(SimulateSettings(assay="translocation", cells=5, seed=FRESH_SEED))
hr = cells.hr.data  # (N, C, y, x); simulated, so that the truth is known
lr = degrade(hr, 8)

sr = np.full(hr.shape, np.nan, np.float32)
for update in super_resolve(lr, "bbbc013-translocation-64", Settings(factor=8)):
    sr[update.cells] = update.sr

figure, axes = plt.subplots(3, len(hr), figsize=(2 * len(hr), 6.3), layout="constrained")
titles = ("LR (given)", "SR 8x (generated)", "HR (simulated)")
for row, title, images in zip(axes, titles, (lr, sr, hr), strict=True):
    row[0].set_ylabel(title)
    for axis, cell in zip(row, images, strict=True):
        axis.imshow(cell[1], cmap="gray", vmin=hr[:, 1].min(), vmax=hr[:, 1].max())
        axis.set(xticks=[], yticks=[])
for axis, crop in zip(axes[0], cells.hr.crops, strict=True):
    axis.set_title(crop.condition)
figure.savefig("super_resolve_cells.png")
