"""The nucleus/cytoplasm ratio in LR and SR against the truth, with intervals from the samples."""

from napari_rls import Settings, load_bundle, super_resolve
from napari_rls.evaluation.plots import agreement_plot
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.simulated import FRESH_SEED, SimulateSettings, simulate
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import result_stack

chosen = SimulateSettings(
    assay="translocation", cells=16, seed=FRESH_SEED + 2, conditions=("control", "treated")
)
hr = simulate(chosen).hr
lr = degrade_stack(hr, DegradeSettings(factor=8))
collector = Collector(lr, 64)
bundle = load_bundle("bbbc013-translocation-64")
for update in super_resolve(lr, bundle, Settings(factor=8)):
    collector.add(update)

sets = [
    ImageSet("LR", lr),
    ImageSet("SR", result_stack(collector), collector.samples, collector.provenance()),
    ImageSet("GT", hr),
]
*_, last = measure(sets, MeasureSettings(assay="translocation"))
table = last.result.table  # a row per cell and kind of image
plot = agreement_plot(table, "Math_Log2Ratio_NucleusCytoplasm_FKHRGFP")
plot.figure.savefig("measure_cells.png")
