"""Fast synthesis against the plain one, and seconds per cell of whole runs, in one process.

    python benchmarks/speed.py

Plain means as stylegan2-ada-pytorch publishes it: weights modulated per sample, one
grouped convolution, float32, NCHW. Forward and backward to the latents alone. Quote the
ratios; seconds depend on the machine and on what else it does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from napari_rls import Settings, load_bundle, super_resolve
from napari_rls.models.architecture import Architecture
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.stylegan2 import Generator
from napari_rls.workflow.cells.examples import draw_prior_sample

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from plain_stylegan2 import plain_synthesis

FULL_SIZE = Architecture(resolution=128, image_channels=3, channel_base=16384, channel_max=512)
EMBEDDED = "bbbc013-translocation-64"


def seconds(synthesis: Callable[[Tensor], Tensor], ws: Tensor, repeats: int) -> float:
    """Return the best time of a forward and backward pass to ``ws``."""

    def once() -> float:
        leaf = ws.clone().requires_grad_()
        start = time.perf_counter()
        synthesis(leaf).abs().mean().backward()
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(repeats))


def compare(name: str, generator: Generator, batch: int, repeats: int = 5) -> None:
    """Print the times of plain and fast synthesis and their ratios."""
    generator.requires_grad_(False)
    torch.manual_seed(0)
    ws = generator.broadcast(generator.mapping(torch.randn(batch, generator.arch.z_dim))).clone()
    state = generator.state_dict()
    forms = {
        "plain float32": lambda w: plain_synthesis(state, w),
        "fast float32": FrozenSynthesis(generator.synthesis),
        "fast bfloat16": FrozenSynthesis(generator.synthesis, torch.bfloat16),
    }
    times = {form: seconds(function, ws, repeats) for form, function in forms.items()}
    for form, value in times.items():
        ratio = times["plain float32"] / value
        print(f"{name}, batch {batch}, {form}: {value * 1e3:.0f} ms, {ratio:.2f} times plain")


def whole_run(batch: int) -> None:
    """Print the seconds per cell of a run with the default settings."""
    bundle = load_bundle(EMBEDDED)
    lr = draw_prior_sample(bundle, count=batch, factor=8, seed=1).lr
    *_, last = super_resolve(lr, bundle, Settings(factor=8, batch_size=batch))
    print(
        f"{EMBEDDED}, whole default run, batch {batch}, {last.run.precision}: "
        f"{last.seconds / batch:.3f} s a cell"
    )


def main() -> None:
    """Measure everything."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    compare("128 px full size", Generator(FULL_SIZE), batch=4)
    compare(EMBEDDED, load_bundle(EMBEDDED).generator, batch=32)
    for batch in (1, 32):
        whole_run(batch)


if __name__ == "__main__":
    main()
