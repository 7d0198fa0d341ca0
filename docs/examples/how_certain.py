"""Samples: further cells that fit the same LR image, and where they differ."""

import matplotlib.pyplot as plt

from napari_rls import Settings, degrade, super_resolve
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate

cells = simulate(SimulateSettings(assay="translocation", cells=1, seed=FRESH_SEED + 1))
lr = degrade(cells.hr.data, 16)
settings = Settings(factor=16, samples=16)
*_, last = super_resolve(lr, "bbbc013-translocation-64", settings)
samples = last.samples[:, 0, 1]  # (S, y, x) of the cell's second channel

images = {
    "LR 16x (given)": lr[0, 1],
    "sample 1 (generated)": samples[0],
    "sample 2 (generated)": samples[1],
    "mean of samples": samples.mean(0),
    "SD of samples": samples.std(0),
    "HR (simulated)": cells.hr.data[0, 1],
}
figure, axes = plt.subplots(2, 3, figsize=(8, 5.6), layout="constrained")
for axis, (title, image) in zip(axes.flat, images.items(), strict=True):
    uncertain = title.startswith("SD")
    shown = axis.imshow(image, "magma" if uncertain else "gray", vmin=0)
    axis.set(title=title, xticks=[], yticks=[])
    if uncertain:
        figure.colorbar(shown, ax=axis, label="grey levels")
figure.savefig("how_certain.png")
