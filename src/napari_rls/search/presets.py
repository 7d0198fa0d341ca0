"""The methods by name: what they are called in records, and their authors' defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

MethodName = Literal[
    "rls",
    "rls-paper",
    "rls-authors-code",
    "rls-plus",
    "pulse",
    "brgm",
    "unregularised",
    "rls-without-pw",
    "rls-without-pcross",
    "pix2pix",
]


@dataclass(frozen=True)
class Preset:
    """How a method is called in records, and its settings where they are not those of ``rls``.

    ``fixed`` names those of them that cannot be chosen, as the method would be another one
    or does without what they say; ``largest_lambda_w`` is what is sane for its prior.
    """

    title: str
    values: Mapping[str, Any]
    fixed: tuple[str, ...] = ()
    largest_lambda_w: float = 1.0


_RLS = "Gheisari & Genovesio 2024"

PRESETS: Mapping[MethodName, Preset] = {
    "rls": Preset(f"Regularized Latent Search ({_RLS})", {}),
    "rls-paper": Preset(
        f"Regularized Latent Search with the published settings ({_RLS})",
        {
            "learning_rate": 0.5,
            "start": "mean",
            "posterior": "paper",
        },
    ),
    "rls-authors-code": Preset(
        f"Regularized Latent Search as in the code of its authors ({_RLS})",
        {
            "lambda_w": 0.002,
            "lambda_c": 0.5,
            "reading": "code",
            "steps": 500,
            "learning_rate": 0.5,
            "schedule": "one-cycle",
            "start": "mean",
            "samples": 0,
        },
        ("samples",),
    ),
    "rls-plus": Preset(
        "RLS+ (Gheisari & Genovesio 2023, arXiv 2311.16923)", {"samples": 0}, ("samples",)
    ),
    "pulse": Preset(
        "PULSE (Menon et al. 2020)",
        {
            "lambda_w": 0.0,
            "lambda_c": 0.05,
            "steps": 100,
            "learning_rate": 0.4,
            "schedule": "one-cycle",
            "start": "random",
            "samples": 0,
        },
        ("lambda_w", "start", "samples"),
    ),
    "brgm": Preset(
        "BRGM (Marinescu et al. 2020)",
        {
            "lambda_w": 100.0,
            "lambda_c": 0.1,
            "steps": 501,
            "learning_rate": 0.1,
            "schedule": "constant",
            "start": "mean",
            "samples": 0,
        },
        ("samples",),
        largest_lambda_w=1000,
    ),
    "unregularised": Preset(
        f"Latent search without regularization (ablation of {_RLS})",
        {"lambda_w": 0.0, "lambda_c": 0.0, "samples": 0},
        ("lambda_w", "lambda_c", "samples"),
    ),
    "rls-without-pw": Preset(
        f"Regularized Latent Search without P_w (ablation of {_RLS})",
        {"lambda_w": 0.0, "samples": 0},
        ("lambda_w", "samples"),
    ),
    "rls-without-pcross": Preset(
        f"Regularized Latent Search without P_cross (ablation of {_RLS})",
        {"lambda_c": 0.0},
        ("lambda_c",),
    ),
    "pix2pix": Preset(
        "Pix2Pix (Isola et al. 2017)",
        {"lambda_w": 0.0, "lambda_c": 0.0, "steps": 1, "samples": 0},
        ("lambda_w", "lambda_c", "steps", "samples"),
    ),
}

LARGEST_LAMBDA_W = max(preset.largest_lambda_w for preset in PRESETS.values())
"""The largest of any method."""

PRESET_FIELDS = frozenset(name for preset in PRESETS.values() for name in preset.values)
"""Settings that depend on the method."""
