"""The methods: what each is made of, for a batch of cells.

A method is one or more stages, which :data:`~napari_rls.search.presets.OWN_METHODS` names. A
stage makes a :class:`~napari_rls.search.engine.Plan`: data term, priors, latent parametrisation,
projection and schedule. Each follows its authors' published algorithm; ``docs/methods.md``
tells what could not carry over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from napari_rls.search.data_terms import (
    AbsoluteError,
    FlooredSquares,
    Likelihood,
    SquaresAndLooks,
    enlarged,
    grey_squares,
)
from napari_rls.search.engine import Plan, State
from napari_rls.search.kit import Batch, Kit
from napari_rls.search.latents import Normalised, WPlus
from napari_rls.search.objective import Objective, rls_objective
from napari_rls.search.own_generator import OwnGenerators
from napari_rls.search.priors import DensityAndShell, cosine_gaps, geocross
from napari_rls.search.projection import KeepNear, KeepNorms

SHELL = 2.0
"""Weight of the distance from the sphere relative to that of -log p_F, in the code of RLS's
authors: 0.004 and 0.002."""

CODE_RADIUS = 4.0
"""Radius of the l1 ball of that code, in units of sqrt(d); ``docs/methods.md`` tells why."""

REFINE_RATE = 1e-4
"""Step size of RLS+ on latents and noise."""

WEIGHTS_RATE = 1e-4
"""Step size of RLS+ on the weights of the synthesis."""

REFINED_MAPS = 9
"""Noise maps that RLS+ searches."""

PULSE_MAPS = 5
"""Noise maps that PULSE searches."""

PULSE_ERROR = FlooredSquares(weight=100.0, floor=2e-3)

BRGM_SQUARES = 1e-3
"""Weight of BRGM's squared error of images in 0 to 255."""

BRGM_LOOKS = 0.37
"""BRGM's perceptual term at the start, as a share of the squared error: as with VGG16."""

BRGM_SMALLEST = 32
"""Least side in pixels at which BRGM compares looks; a quarter of the HR side where that is
more, as its authors' 256 of 1024 pixels."""

BRGM_FAR = 16
"""Factor above which BRGM weighs pairs of latent vectors ten times as much."""


def rls(kit: Kit, batch: Batch, before: State | None) -> Plan:  # noqa: ARG001
    """Plan Regularized Latent Search, with any lambdas (Gheisari & Genovesio 2024)."""
    settings, first = kit.settings, kit.first_ws(batch)
    return Plan(
        objective=rls_objective(
            batch.lr,
            kit.degrade,
            kit.log_density,
            lambda_w=settings.lambda_w,
            lambda_c=settings.lambda_c,
            reading=settings.reading,
            likelihood=_likelihood(kit, batch),
            estimate=kit.estimate(batch, first),
            told=kit.tell(batch.lr),
        ),
        latents=WPlus(first, kit.fast),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        patience=settings.patience,
        exact=kit.exact,
    )


def _likelihood(kit: Kit, batch: Batch) -> Likelihood | None:
    """Return the data term that knows the noise, if the search goes by it."""
    if kit.settings.reading != "likelihood" or batch.seen is None:
        return None
    return batch.seen.likelihood


def rls_with_own_noise(kit: Kit, batch: Batch, before: State | None) -> Plan:
    """Plan Regularized Latent Search with noise maps that are drawn for each cell."""
    latents = WPlus(kit.first_ws(batch), kit.fast, kit.noise(batch))
    return replace(rls(kit, batch, before), latents=latents)


def rls_authors_code(kit: Kit, batch: Batch, before: State | None) -> Plan:
    """Plan Regularized Latent Search as its authors' code has it."""
    plan = rls_with_own_noise(kit, batch, before)
    (ws,) = plan.latents.variables
    single = DensityAndShell(kit.log_density.standardised, SHELL)
    return replace(
        plan,
        objective=replace(plan.objective, single=single),
        project=KeepNear(
            ws, CODE_RADIUS * math.sqrt(ws.shape[2]), centre=kit.draws.mean_w.to(kit.device)
        ),
    )


def refine(kit: Kit, batch: Batch, before: State | None) -> Plan:
    """Plan the refinement of RLS+ around what RLS found (Gheisari & Genovesio 2023)."""
    assert before is not None
    network = kit.bundle.generator.synthesis
    own = OwnGenerators(network, before.ws, before.noise, REFINED_MAPS)
    return Plan(
        objective=Objective(batch.lr, kit.degrade, kit.log_density, AbsoluteError()),
        latents=own,
        project=KeepNear(own.ws, math.sqrt(own.ws.shape[2]), own.noise),
        steps=kit.settings.refine_steps,
        learning_rate=REFINE_RATE,
        schedule="one-cycle",
        steady=own.weights,
        steady_rate=WEIGHTS_RATE,
    )


def pulse(kit: Kit, batch: Batch, before: State | None) -> Plan:  # noqa: ARG001
    """Plan PULSE (Menon et al. 2020)."""
    settings = kit.settings
    arch = kit.bundle.manifest.architecture
    shapes = ((arch.num_ws, arch.w_dim), *kit.fast.noise_shapes)
    u, *noise = (x.to(kit.device) for x in batch.normal(settings.seed, *shapes))
    noise[-1].zero_()
    latents = Normalised(u, kit.draws.pulse_normal, kit.fast, noise, PULSE_MAPS)
    return Plan(
        objective=Objective(
            batch.lr,
            kit.degrade,
            kit.log_density,
            PULSE_ERROR,
            lambda_c=settings.lambda_c,
            cross=geocross,
        ),
        latents=latents,
        project=KeepNorms([latents.u, *(noise.flatten(1) for noise in latents.searched)]),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        patience=settings.patience,
        keep="last",
        goal=PULSE_ERROR.least,
        exact=kit.exact,
    )


def brgm(kit: Kit, batch: Batch, before: State | None) -> Plan:  # noqa: ARG001
    """Plan BRGM's search for the maximum a posteriori (Marinescu et al. 2020)."""
    settings = kit.settings
    latents = WPlus(kit.first_ws(batch), kit.fast, kit.noise(batch))
    return Plan(
        objective=Objective(
            batch.lr,
            kit.degrade,
            kit.log_density,
            _brgm_error(kit, batch, latents),
            lambda_w=settings.lambda_w,
            lambda_c=settings.lambda_c * (10 if settings.factor > BRGM_FAR else 1),
            single=kit.draws.normal_prior,
            cross=cosine_gaps,
        ),
        latents=latents,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        patience=settings.patience,
        keep="after",
        exact=kit.exact,
    )


@torch.no_grad()
def _brgm_error(kit: Kit, batch: Batch, latents: WPlus) -> SquaresAndLooks:
    """Return BRGM's data term, its perceptual part weighed as at the start of each cell."""
    size = max(BRGM_SMALLEST, kit.bundle.manifest.hr_size // 4)
    first = kit.degrade(latents(torch.arange(len(batch.lr), device=kit.device)).image)
    squares = BRGM_SQUARES * grey_squares(first, batch.lr)
    looks = kit.looks(enlarged(first, size), enlarged(batch.lr, size))
    return SquaresAndLooks(
        BRGM_SQUARES, kit.looks, BRGM_LOOKS * squares / looks.clamp(min=1e-6), size
    )


Stage = Callable[[Kit, Batch, State | None], Plan]
"""Plans a search; the last argument is what the stage before it found."""
