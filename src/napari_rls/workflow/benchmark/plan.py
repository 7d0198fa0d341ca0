"""The plan of a benchmark: every search that it needs, each with a key of all that matters."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from napari_rls.models.bundle import Bundle
from napari_rls.search.operators import DEFAULT_OPERATOR, OPERATORS
from napari_rls.search.presets import PRESETS
from napari_rls.search.settings import Settings
from napari_rls.workflow.benchmark.benchmark_settings import (
    DIRECT,
    RIVALS,
    RLS,
    SAMPLERS,
    BenchmarkSettings,
)
from napari_rls.workflow.cells.degrade import DegradeSettings
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.super_resolve.told_column import told_column, with_told

Part = Literal["main", "degraded", "lambda", "samples"]

PIX2PIX = "pix2pix"

WITHOUT_TOLD = "rls-without-told"
"""An ablation that is `rls` itself where LR images tell no ratio, and is left out there."""

SEARCHED = ("generator.", "flow.", "encoder.", "field_encoder.", "flow_matching.", "coarse_flow.")
"""Tensors of a bundle that searches take."""

CLEAN = "bicubic"
"""Name of the degradation that is downscaling alone."""

SHOWN = 6
"""Cells in a picture."""

_NOISE = 0.05
"""Deviation of the Gaussian noise, as a share of the bundle's intensity range."""

_SALT = 0.05
"""Share of salt and pepper pixels."""

_BLUR = 0.5
"""Deviation of the Gaussian blur in LR pixels; the paper gives no amounts."""

_STEPS = ("steps", "refine_steps", "sample_steps")
"""Settings that ``max_steps`` bounds."""

_NOT_IN_KEY = {"bundle", "threads"}
"""Settings that change no pixel beyond rounding: the bundle's content stands for its name."""


@dataclass(frozen=True)
class Job:
    """One search: a method on some cells, degraded in one way.

    Parameters
    ----------
    part
        What it is for.
    settings, degrade
        The search's settings, and how LR images are made of HR ones.
    degradation
        Name of the latter.
    cells
        Indices of the cells among the benchmark's.
    key
        Name of its files: readable, with a digest of all that determines the result.
    """

    part: Part
    settings: Settings
    degrade: DegradeSettings
    degradation: str
    cells: tuple[int, ...]
    key: str

    @property
    def label(self) -> str:
        """What is running, for people."""
        words = [self.settings.method, f"{self.settings.factor}x"]
        if self.degradation != CLEAN:
            words.append(self.degradation)
        if self.part == "lambda":
            words.append(f"lambda {self.settings.lambda_w:g}, {self.settings.lambda_c:g}")
        if self.part == "samples":
            words.append("samples")
        return " ".join(words)


def plan(hr: CellStack, bundle: Bundle, settings: BenchmarkSettings) -> list[Job]:
    """Return the searches of a benchmark, the main ones first.

    Degradations and values of lambda are tried at one factor
    (:attr:`BenchmarkSettings.detail_factor`) on the cells of :func:`subset_of`; their
    reference, the clean image and the default lambdas, is in the main searches. Samples are
    drawn of all cells at all factors.
    """
    return list(_Planner(hr, bundle, settings).jobs())


def subset_of(count: int, settings: BenchmarkSettings) -> tuple[int, ...]:
    """Return the indices of the cells, among ``count``, on which variants are tried; seeded."""
    rng = np.random.default_rng([settings.seed, 1])
    return tuple(int(k) for k in np.sort(rng.permutation(count)[: settings.subset]))


def shown_cells(hr: CellStack) -> tuple[int, ...]:
    """Return the cells of the pictures: from as many conditions as possible, in order."""
    first: dict[str, list[int]] = {}
    for k, crop in enumerate(hr.crops):
        first.setdefault(crop.condition, []).append(k)
    names = list(first)
    # Evenly over conditions, then round and round.
    kept = [names[k] for k in np.unique(np.linspace(0, len(names) - 1, SHOWN).round().astype(int))]
    picked: list[int] = []
    turn = 0
    while len(picked) < min(SHOWN, sum(len(first[name]) for name in kept)):
        picked += [first[name][turn] for name in kept if turn < len(first[name])]
        turn += 1
    return tuple(sorted(picked[:SHOWN]))


class _Planner:
    def __init__(self, hr: CellStack, bundle: Bundle, settings: BenchmarkSettings) -> None:
        self.hr = hr
        self.bundle = bundle
        self.settings = settings
        self._digests: dict[tuple[int, ...], str] = {}
        self._tensors: dict[tuple[str, ...], str] = {}

    def jobs(self) -> Iterator[Job]:
        settings = self.settings
        everything = tuple(range(len(self.hr)))
        for factor in settings.factors:
            for method in settings.methods:
                untold = method == WITHOUT_TOLD and not told_column(self.bundle.manifest, factor)
                if method != DIRECT and not untold:
                    yield self._job("main", method, factor, everything)
        detail = settings.detail_factor
        subset = subset_of(len(self.hr), settings)
        rivals = [method for method in settings.methods if method in RIVALS]
        noisy = [name for name in self._degradations(detail) if name != CLEAN]
        for name, method in itertools.product(noisy, rivals):
            yield self._job("degraded", method, detail, subset, degradation=name)
        if RLS in settings.methods:
            yield from self._variants(detail, subset)
        if settings.samples:
            sampled = [method for method in settings.methods if method in SAMPLERS]
            for factor, method in itertools.product(settings.factors, sampled):
                changes: dict[str, Any] = {"samples": settings.samples}
                if method == RLS:
                    # Not those of flow matching, which is a method of its own here.
                    changes["posterior"] = "bound"
                yield self._job("samples", method, factor, everything, changes=changes)

    def _variants(self, detail: int, subset: tuple[int, ...]) -> Iterator[Job]:
        """Yield the searches of RLS with other lambdas."""
        settings = self.settings
        usual = Settings.model_validate({"method": RLS})
        for name, values in (("lambda_w", settings.lambda_w), ("lambda_c", settings.lambda_c)):
            for value in values:
                if value != getattr(usual, name):
                    yield self._job("lambda", RLS, detail, subset, changes={name: value})

    def _degradations(self, factor: int) -> dict[str, DegradeSettings]:
        intensity = self.bundle.manifest.intensity
        seed = self.settings.seed
        named = {"factor": factor, "operator": self.settings.operator}
        return {
            CLEAN: DegradeSettings.model_validate(named),
            "Gaussian noise": DegradeSettings.model_validate(
                {**named, "gaussian": _NOISE * (intensity.high - intensity.low), "seed": seed}
            ),
            "salt and pepper": DegradeSettings.model_validate(
                {**named, "salt_and_pepper": _SALT, "seed": seed}
            ),
            "Gaussian blur": DegradeSettings.model_validate({**named, "blur": _BLUR * factor}),
        }

    def _job(
        self,
        part: Part,
        method: str,
        factor: int,
        cells: tuple[int, ...],
        *,
        degradation: str = CLEAN,
        changes: dict[str, Any] | None = None,
    ) -> Job:
        given = self.settings
        values: dict[str, Any] = {
            "method": method,
            "bundle": given.bundle,
            "factor": factor,
            "operator": given.operator,
            "samples": 0,
            "seed": given.seed,
            "batch_size": given.batch_size,
            "device": given.device,
            "threads": given.threads,
        }
        values |= changes or {}
        settings = Settings.parse(values)
        if given.max_steps:
            steps = {name: min(getattr(settings, name), given.max_steps) for name in _STEPS}
            settings = Settings.parse(values | steps)
        degrade = self._degradations(factor)[degradation]
        manifest = self.bundle.manifest
        # The usual operator is not named, so that searches of before there was a choice stay.
        usual = {"operator"} if given.operator == DEFAULT_OPERATOR else set()
        all_that_matters: dict[str, Any] = {
            "version": version("napari-rls"),
            "bundle": self._of_bundle(SEARCHED if method != PIX2PIX else (f"pix2pix.{factor}.",)),
            "intensity": manifest.intensity.model_dump(mode="json"),
            "camera": manifest.camera and manifest.camera.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json", exclude=_NOT_IN_KEY | usual),
            "degrade": degrade.model_dump(mode="json", exclude=usual),
            "input": self._digest(cells),
        }
        if manifest.direct and with_told(settings, manifest)[0].lambda_m:
            told = manifest.direct.model_dump(mode="json")
            all_that_matters["told"] = {**told, "network": self._of_bundle(("direct.",))}
        if others := PRESETS.origin(method) | OPERATORS.origin(given.operator):
            all_that_matters["packages"] = others
        text = json.dumps(all_that_matters, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        key = f"{method}-{factor}x-{digest}"
        return Job(part, settings, degrade, degradation, cells, key)

    def _of_bundle(self, parts: tuple[str, ...]) -> str:
        """Return a digest of what a method takes from the bundle.

        A Pix2Pix network that is added or trained again leaves all searches as they are, as does
        one that tells measurements those that are not held to it.
        """
        if parts not in self._tensors:
            self._tensors[parts] = self.bundle.digest(*parts)
        return self._tensors[parts]

    def _digest(self, cells: tuple[int, ...]) -> str:
        if cells not in self._digests:
            self._digests[cells] = content_digest(self.hr.data[list(cells)])
        return self._digests[cells]
