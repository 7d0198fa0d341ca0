"""From a trained generator to what else a bundle needs: fit the flow and the encoders."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TypeVar

from napari_rls.models.blueprint import Blueprint
from napari_rls.models.bundle import draw_w
from napari_rls.models.encoder import LatentEncoder, build_encoders
from napari_rls.models.flow import WFlow
from napari_rls.models.manifest import EncoderSpec, FlowFit
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.fit_cost import fit_seconds
from napari_rls.training.fit_encoder import fit_encoders, render_lr, shares
from napari_rls.training.fit_flow import fit_flow
from napari_rls.training.passed_on import passed_on

Result = TypeVar("Result")

FLOW_SAMPLES = 100_000


@dataclass(frozen=True)
class Fitting:
    """How far the fits are: the share of their work, 0 to 1, and the rest in words.

    ``news`` tells that the words are new.
    """

    share: float
    text: str
    news: bool = True


@dataclass(frozen=True, eq=False)
class Fits:
    """What was fitted to a generator, and how well it fits: all of a bundle but its words."""

    flow: WFlow
    flow_fit: FlowFit
    encoders: Mapping[int, LatentEncoder] = field(default_factory=dict)
    encoder: EncoderSpec | None = None


def assemble(
    generator: Generator,
    blueprint: Blueprint,
    *,
    seed: int = 0,
    samples: int = FLOW_SAMPLES,
    epochs: int = 40,
) -> Iterating[Fitting, None, Fits]:
    """Fit everything that a bundle needs beside its generator; yield how far that is.

    Parameters
    ----------
    generator
        The trained generator; it is put into evaluation mode.
    blueprint
        What the bundle is to be.
    seed
        Seed of all random numbers.
    samples, epochs
        Number of w that the flow is fitted to, and passes over them.

    Returns
    -------
    Fits
        The flow and the encoders.
    """
    flow, render, encode = fit_seconds(blueprint, samples, epochs)
    whole = flow + render + encode
    generator.requires_grad_(False).eval()
    w = draw_w(generator, samples, seed)
    for progress in fit_flow(w, blueprint.flow, seed=seed, epochs=epochs):
        yield Fitting(
            flow / whole * progress.epoch / epochs,
            f"flow: epoch {progress.epoch} of {epochs}, held out {progress.fit.held_out_nats:.2f} "
            f"nats, KS distance {progress.fit.ks_distance:.3f}",
        )
    fitted = progress.flow
    shape = blueprint.encoder
    if shape is None:
        return Fits(fitted, progress.fit)
    w = draw_w(generator, shape.samples, seed + 1)
    rendering = shares(render_lr(generator, w, shape.factors), flow, flow + render, whole)
    lr = yield from _told(rendering, f"encoders: drawing {shape.samples} generated images")
    encoders = build_encoders(blueprint.architecture, shape, fitted.mean, fitted.std)
    fits = shares(
        fit_encoders(encoders, lr, w, noise=shape.noise, seed=seed), flow + render, whole, whole
    )
    errors = yield from _told(fits, f"encoders: fitting those of {len(encoders)} factors")
    yield Fitting(1.0, f"encoders: held-out errors {', '.join(f'{e:.3f}' for e in errors)}")
    spec = EncoderSpec(**shape.model_dump(), held_out_error=errors)
    return Fits(fitted, progress.fit, encoders, spec)


def _told(work: Iterating[float, None, Result], text: str) -> Iterating[Fitting, None, Result]:
    """Put words to the shares of some work, which are news once; return its result."""
    news = chain((True,), repeat(False))
    return passed_on(work, lambda share: Fitting(share, text, next(news)))
