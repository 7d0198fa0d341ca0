"""What the fits of a bundle cost, so that progress and estimates can tell; needs no torch."""

from __future__ import annotations

from napari_rls.models.blueprint import Blueprint

EPOCHS = 20
"""Passes over the samples to fit an encoder."""

FLOW, ENCODER, RENDER = 1.5e-4, 2.3e-5, 3e-3
"""Seconds of one CPU core for a sample: of an epoch of the flow, of an epoch of an encoder, and
to generate its image at 64 x 64 pixels; measured, and the same for all networks, about."""


def fit_seconds(blueprint: Blueprint, samples: int, epochs: int) -> tuple[float, float, float]:
    """Return how long a CPU core fits the flow, generates images and fits encoders, about.

    Parameters
    ----------
    blueprint
        What the bundle will be.
    samples, epochs
        Samples that the flow is fitted to, and passes over them.
    """
    encoder = blueprint.encoder
    flow = samples * epochs * FLOW
    if encoder is None:
        return flow, 0.0, 0.0
    render = encoder.samples * RENDER * (blueprint.hr_size / 64) ** 2
    return flow, render, encoder.samples * len(encoder.factors) * EPOCHS * ENCODER
