"""The methods by name: what they are called in records, and their authors' defaults."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from napari_rls.registry import Registry

if TYPE_CHECKING:
    from napari_rls.search.method import Stage

GROUP = "napari_rls.methods"
"""Entry points of the methods of other packages."""


@dataclass(frozen=True)
class Method:
    """How a method is called in records, what it does, and its settings where not those of ``rls``.

    Parameters
    ----------
    title
        Its name for people, with whom to cite.
    values
        Its defaults, where they are not those of ``rls``.
    fixed
        Those of them that cannot be chosen, as the method would be another one or does without
        what they say.
    largest_lambda_w
        What is sane for its prior.
    stages
        What plans its searches, one after the other: functions, or where they are, as in
        ``package.module:function``, which is imported when a search begins. The first one
        makes ``steps`` steps, any further one ``refine_steps``.
    own_generators
        Whether each cell gets a copy of the generator, so that few are searched at once.
    fault
        Why it cannot be used, as the end of a sentence, or "".

    Examples
    --------
    >>> PRESETS["pulse"].title
    'PULSE (Menon et al. 2020)'
    """

    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    largest_lambda_w: float = 1.0
    stages: tuple[Stage | str, ...] = ("napari_rls.search.method:rls",)
    own_generators: bool = False
    fault: str = ""

    def load_stages(self) -> tuple[Stage, ...]:
        """Import the stages; none for a method that searches nothing."""
        return tuple(
            cast("Stage", pkgutil.resolve_name(stage)) if isinstance(stage, str) else stage
            for stage in self.stages
        )


_RLS = "Gheisari & Genovesio 2024"

OWN_METHODS: Mapping[str, Method] = {
    "rls": Method(f"Regularized Latent Search ({_RLS})", {}),
    "rls-paper": Method(
        f"Regularized Latent Search with the published settings ({_RLS})",
        {
            "lambda_m": 0.0,
            "reading": "scaled",
            "steps": 200,
            "learning_rate": 0.5,
            "start": "mean",
            "posterior": "paper",
        },
    ),
    "rls-authors-code": Method(
        f"Regularized Latent Search as in the code of its authors ({_RLS})",
        {
            "lambda_w": 0.002,
            "lambda_c": 0.5,
            "lambda_m": 0.0,
            "reading": "code",
            "steps": 500,
            "learning_rate": 0.5,
            "schedule": "one-cycle",
            "start": "mean",
            "samples": 0,
        },
        ("samples",),
        stages=("napari_rls.search.method:rls_authors_code",),
    ),
    "rls-plus": Method(
        "RLS+ (Gheisari & Genovesio 2023, arXiv 2311.16923)",
        {
            "lambda_m": 0.0,
            "reading": "scaled",
            "steps": 200,
            "learning_rate": 0.2,
            "samples": 0,
        },
        ("samples",),
        stages=("napari_rls.search.method:rls_with_own_noise", "napari_rls.search.method:refine"),
        own_generators=True,
    ),
    "pulse": Method(
        "PULSE (Menon et al. 2020)",
        {
            "lambda_w": 0.0,
            "lambda_c": 0.05,
            "lambda_m": 0.0,
            "reading": "scaled",
            "steps": 100,
            "learning_rate": 0.4,
            "schedule": "one-cycle",
            "start": "random",
            "samples": 0,
        },
        ("lambda_w", "lambda_m", "start", "samples"),
        stages=("napari_rls.search.method:pulse",),
    ),
    "brgm": Method(
        "BRGM (Marinescu et al. 2020)",
        {
            "lambda_w": 100.0,
            "lambda_c": 0.1,
            "lambda_m": 0.0,
            "reading": "scaled",
            "steps": 501,
            "learning_rate": 0.1,
            "schedule": "constant",
            "start": "mean",
            "samples": 0,
        },
        ("lambda_m", "samples"),
        largest_lambda_w=1000,
        stages=("napari_rls.search.method:brgm",),
    ),
    "unregularised": Method(
        f"Latent search without regularization (ablation of {_RLS})",
        {"lambda_w": 0.0, "lambda_c": 0.0, "lambda_m": 0.0, "samples": 0},
        ("lambda_w", "lambda_c", "lambda_m", "samples"),
    ),
    "rls-without-pw": Method(
        f"Regularized Latent Search without P_w (ablation of {_RLS})",
        {"lambda_w": 0.0, "samples": 0},
        ("lambda_w", "samples"),
    ),
    "rls-without-pcross": Method(
        f"Regularized Latent Search without P_cross (ablation of {_RLS})",
        {"lambda_c": 0.0},
        ("lambda_c",),
    ),
    "rls-without-told": Method(
        f"Regularized Latent Search, not held to the ratio that LR images tell ({_RLS})",
        {"lambda_m": 0.0},
        ("lambda_m",),
    ),
    "flow": Method(
        "Conditional flow matching (Lipman et al. 2023)",
        {"lambda_w": 0.0, "lambda_c": 0.0, "lambda_m": 0.0, "steps": 1, "posterior": "flow"},
        ("lambda_w", "lambda_c", "lambda_m", "steps", "posterior"),
        stages=(),
    ),
    "pix2pix": Method(
        "Pix2Pix (Isola et al. 2017)",
        {"lambda_w": 0.0, "lambda_c": 0.0, "lambda_m": 0.0, "steps": 1, "samples": 0},
        ("lambda_w", "lambda_c", "lambda_m", "steps", "samples"),
        stages=(),
    ),
}
"""Those of this package."""


LARGEST_LAMBDA_W = max(method.largest_lambda_w for method in OWN_METHODS.values())
"""The largest of any method of this package."""


def _unusable(reason: str) -> Method:
    return Method(reason, fault=reason)


PRESETS: Registry[Method] = Registry(
    GROUP,
    "method",
    OWN_METHODS,
    Method,
    _unusable,
    lambda method: "" if method.stages else "it has no stages",
)
"""All methods by name, those of other packages last."""

if TYPE_CHECKING:
    MethodName: TypeAlias = str
else:
    MethodName = Literal[tuple(PRESETS)]

PRESET_FIELDS = frozenset(name for method in OWN_METHODS.values() for name in method.values)
"""Settings that depend on the method, among those of this package."""
