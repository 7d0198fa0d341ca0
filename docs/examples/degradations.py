"""What an LR image keeps of a cell, and what noise and blur do to it."""

import matplotlib.pyplot as plt

from napari_rls import degrade
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate

hr = simulate(SimulateSettings(assay="golgi", cells=2, seed=FRESH_SEED)).hr.data
images = {"HR (simulated)": hr} | {f"{factor}x": degrade(hr, factor) for factor in (4, 8, 16, 32)}
images |= {
    "8x, blurred": degrade(hr, 8, blur=6),
    "8x, photon noise": degrade(hr, 8, poisson=0.05),
}
figure, axes = plt.subplots(2, len(images), figsize=(14, 4.3), layout="constrained")
for column, (title, cells) in zip(axes.T, images.items(), strict=True):
    column[0].set_title(title)
    for axis, cell in zip(column, cells, strict=True):
        axis.imshow(cell[1], cmap="gray", vmin=hr[:, 1].min(), vmax=0.7 * hr[:, 1].max())
        axis.set(xticks=[], yticks=[])
figure.savefig("degradations.png")
