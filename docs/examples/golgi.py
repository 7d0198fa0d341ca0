"""Golgi at 16x and 32x: what each still tells of control and nocodazole."""

import matplotlib.pyplot as plt
import numpy as np

from napari_rls import Settings, degrade, load_bundle, super_resolve
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate

cells = simulate(SimulateSettings(assay="golgi", cells=4, seed=FRESH_SEED))
hr = cells.hr.data
bundle = load_bundle("golgi-simulated-128")
columns = {"HR (simulated)": hr}
for factor in (16, 32):
    lr = degrade(hr, factor)
    sr = np.full(hr.shape, np.nan, np.float32)
    for update in super_resolve(lr, bundle, Settings(factor=factor, samples=0)):
        sr[update.cells] = update.sr
    columns |= {f"LR {factor}x (given)": lr, f"SR {factor}x (generated)": sr}

figure, axes = plt.subplots(len(hr), 5, figsize=(10, 8.3), layout="constrained")
for column, (title, images) in zip(axes.T, columns.items(), strict=True):
    column[0].set_title(title)
    for axis, cell in zip(column, images, strict=True):
        axis.imshow(cell[1], cmap="gray", vmin=hr[:, 1].min(), vmax=np.percentile(hr[:, 1], 99.8))
        axis.set(xticks=[], yticks=[])
for axis, crop in zip(axes[:, 0], cells.hr.crops, strict=True):
    axis.set_ylabel(crop.condition)
figure.savefig("golgi.png")
