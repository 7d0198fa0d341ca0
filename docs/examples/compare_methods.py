"""The same LR cells through several methods."""

import matplotlib.pyplot as plt

from napari_rls import Settings, degrade
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate
from napari_rls.workflow.cells.stack import stack_from_array
from napari_rls.workflow.compare.compare_methods import compare
from napari_rls.workflow.compare.method_results import settings_of

hr = simulate(SimulateSettings(assay="translocation", cells=4, seed=FRESH_SEED + 3)).hr.data
lr = stack_from_array(degrade(hr, 16), name="simulated")
settings = settings_of(Settings(factor=16), ("rls", "unregularised", "pulse", "brgm", "pix2pix"))
results = [
    update.result
    for update in compare(lr, "bbbc013-translocation-64", settings, hr)
    if update.result is not None
]
columns = {"LR 16x": lr.data} | {result.method: result.sr for result in results} | {"HR": hr}

figure, axes = plt.subplots(len(hr), len(columns), figsize=(12, 6.4), layout="constrained")
for column, (title, images) in zip(axes.T, columns.items(), strict=True):
    column[0].set_title(title)
    for axis, cell in zip(column, images, strict=True):
        axis.imshow(cell[1], cmap="gray", vmin=hr[:, 1].min(), vmax=hr[:, 1].max())
        axis.set(xticks=[], yticks=[])
figure.suptitle("Between LR (given) and HR (simulated): upsampled (bicubic) or generated")
figure.savefig("compare_methods.png")
