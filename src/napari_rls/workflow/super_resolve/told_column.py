"""Which nucleus to cytoplasm ratio LR images tell, by a network of the bundle, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.translocation import ASSAY, TranslocationSettings
from napari_rls.models.direct_spec import Shrinkage
from napari_rls.models.manifest import Manifest
from napari_rls.search.operators import DEFAULT_OPERATOR
from napari_rls.search.presets import OWN_METHODS, PRESETS
from napari_rls.search.settings import Settings

if TYPE_CHECKING:
    from napari_rls.measure.nuclear_ratio import Nuclear

LEAST_SLOPE: Final = 0.5
"""Slope of what is told over the truth, of held-out crops, below which nothing is told: what was
drawn together is drawn apart again, and errors of single cells with it."""

_KEY: Final = "log2_ratio"
"""Under which the assay has it."""


@dataclass(frozen=True)
class ToldColumn:
    """A log2 ratio that a bundle's network tells at a factor.

    Parameters
    ----------
    name
        The column of tables.
    place
        Its number among those that the network tells.
    shrinkage
        How what is told follows the truth.
    signal
        The channel that is measured.
    dna, settings
        The channel that shows nuclei, and how they are found.
    offset
        See :class:`~napari_rls.measure.nuclear_ratio.Nuclear`.
    """

    name: str
    place: int
    shrinkage: Shrinkage
    signal: int
    dna: int
    settings: TranslocationSettings
    offset: float

    @property
    def nuclear(self) -> Nuclear:
        """What measures it of images."""
        from napari_rls.measure.nuclear_ratio import Nuclear

        return Nuclear(self.dna, self.settings, self.offset)


def told_column(manifest: Manifest, factor: int) -> ToldColumn | None:
    """Return the ratio that a bundle's network tells of LR crops, None if it knows none.

    Examples
    --------
    >>> from napari_rls import load_bundle
    >>> manifest = load_bundle("bbbc013-translocation-64").manifest
    >>> told_column(manifest, 16).name, told_column(manifest, 32)
    ('Math_Log2Ratio_NucleusCytoplasm_FKHRGFP', None)
    """
    spec = manifest.direct
    if spec is None or factor not in spec.factors:
        return None
    measured = MeasureSettings.model_validate(dict(spec.measurement))
    own, names = measured.own, manifest.channel_names
    if measured.assay != ASSAY.name or not {measured.dna, measured.signal} <= set(names):
        return None
    assert isinstance(own, TranslocationSettings)
    if own.background_percentile is not None or measured.camera_offset:
        return None
    wanted = next(n for n, m in column_names(measured, micrometres=False).items() if m.key == _KEY)
    place = next((k for k, column in enumerate(spec.columns) if column.column == wanted), None)
    if place is None or not spec.columns[place].shrinkage:
        return None
    shrinkage = spec.columns[place].shrinkage[spec.factors.index(factor)]
    if shrinkage is None or shrinkage.slope < LEAST_SLOPE:
        return None
    intensity = manifest.intensity
    offset = intensity.low / (intensity.high - intensity.low)
    dna, signal = (names.index(name) for name in (measured.dna, measured.signal))
    return ToldColumn(wanted, place, shrinkage, signal, dna, own, offset)


def with_told(settings: Settings, manifest: Manifest) -> tuple[Settings, str]:
    """Return the settings, with a ``lambda_m`` of 0 where LR images tell no ratio, and a sentence.

    ``settings`` are of crops, and have the reading that 'auto' came to. The sentence says what the
    search is held to, or why not, if that was asked for; else it is empty.
    """
    if settings.lambda_m == 0:
        return settings, ""
    asked = settings.lambda_m != settings.preset("lambda_m")
    # Methods of other packages are held only if they say so.
    of_others = settings.method not in OWN_METHODS
    silent = of_others and "lambda_m" not in PRESETS[settings.method].values and not asked
    why = "" if silent else _why_not(settings, manifest)
    if silent or why:
        sentence = f"lambda_m counts as 0: {why}." if asked else ""
        return settings.model_copy(update={"lambda_m": 0.0}), sentence
    told = told_column(manifest, settings.factor)
    assert told is not None
    return settings, (
        f"The search is held to {told.name} as the LR images tell it without an image "
        f"(lambda_m {settings.lambda_m:g})."
    )


def _why_not(settings: Settings, manifest: Manifest) -> str:
    if settings.operator != DEFAULT_OPERATOR:
        return (
            "what LR images tell of a ratio is known of the operator "
            f"{DEFAULT_OPERATOR} alone, not of {settings.operator}"
        )
    if settings.reading == "likelihood":
        return "what LR images tell of a ratio is known of images without noise alone"
    if told_column(manifest, settings.factor) is None:
        spec = manifest.direct
        older = spec is not None and not any(column.shrinkage for column in spec.columns)
        return (
            f"what LR images tell of a ratio at {settings.factor}x is nothing that the bundle "
            f"{manifest.name} knows well enough ("
            + (
                "its 'direct' is of an older version: run train-direct)"
                if older
                else "train-direct)"
            )
        )
    return ""
