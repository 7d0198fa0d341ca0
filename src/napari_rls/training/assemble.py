"""From a trained generator to a bundle: fit the flow and the encoders, fill in the manifest."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from typing import TypeVar

from napari_rls.models.bundle import Bundle, empty_bundle
from napari_rls.models.encoder import build_encoders
from napari_rls.models.manifest import EncoderSpec, Manifest
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.fit_cost import fit_seconds
from napari_rls.training.fit_encoder import fit_encoders, render_lr, shares
from napari_rls.training.fit_flow import fit_flow

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


def assemble(
    generator: Generator,
    draft: Manifest,
    *,
    seed: int = 0,
    samples: int = FLOW_SAMPLES,
    epochs: int = 40,
) -> Iterating[Fitting, None, Bundle]:
    """Fit everything that a bundle needs beside its generator; yield how far that is.

    Parameters
    ----------
    generator
        The trained generator.
    draft
        The manifest; what the fits say of themselves is filled in here.
    seed
        Seed of all random numbers.
    samples, epochs
        Number of w that the flow is fitted to, and passes over them.

    Returns
    -------
    Bundle
        The bundle, not yet written.
    """
    flow, render, encode = fit_seconds(draft, samples, epochs)
    whole = flow + render + encode
    bundle = Bundle(draft, generator.requires_grad_(False).eval(), empty_bundle(draft).flow)
    w = bundle.draw_w(samples, seed)
    for progress in fit_flow(w, draft.flow, seed=seed, epochs=epochs):
        yield Fitting(
            flow / whole * progress.epoch / epochs,
            f"flow: epoch {progress.epoch} of {epochs}, held out {progress.fit.held_out_nats:.2f} "
            f"nats, KS distance {progress.fit.ks_distance:.3f}",
        )
    manifest = draft.model_copy(update={"flow_fit": progress.fit})
    bundle = Bundle(manifest, bundle.generator, progress.flow)
    if draft.encoder is None:
        return bundle
    spec = draft.encoder
    w = bundle.draw_w(spec.samples, seed + 1)
    rendering = shares(render_lr(bundle, w, spec.factors), flow, flow + render, whole)
    lr = yield from _told(rendering, f"encoders: drawing {spec.samples} generated images")
    encoders = build_encoders(manifest, bundle.flow.mean, bundle.flow.std)
    fits = shares(
        fit_encoders(encoders, lr, w, noise=spec.noise, seed=seed), flow + render, whole, whole
    )
    errors = yield from _told(fits, f"encoders: fitting those of {len(encoders)} factors")
    yield Fitting(1.0, f"encoders: held-out errors {', '.join(f'{e:.3f}' for e in errors)}")
    fitted = EncoderSpec.model_validate({**spec.model_dump(), "held_out_error": errors})
    return Bundle(
        manifest.model_copy(update={"encoder": fitted}), bundle.generator, bundle.flow, encoders
    )


def _told(work: Iterating[float, None, Result], text: str) -> Iterating[Fitting, None, Result]:
    """Put words to the shares of some work; return its result."""
    news = True
    while True:
        try:
            share = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield Fitting(share, text, news)
        news = False
