"""The settings of a Pix2Pix training: one class for command line, API and checkpoint."""

from __future__ import annotations

from pydantic import Field

from napari_rls.training.loop_settings import LoopSettings


class Pix2PixSettings(LoopSettings):
    """All that determines a Pix2Pix training, beside the HR crops.

    Weights, step size and Adam's moments are those of Isola et al. 2017, sections 3.3 and
    6.2; widths and length are chosen for small crops and a CPU.
    """

    factor: int = Field(default=8, ge=2, le=256, description="HR size divided by LR size.")
    width: int = Field(
        default=16, ge=1, le=512, description="Feature maps at full size; they double on halving."
    )
    width_max: int = Field(
        default=64, ge=1, le=1024, description="Feature maps of a level at most."
    )
    batch_size: int = Field(default=16, ge=1, le=512, description="Pairs in a step.")
    learning_rate: float = Field(
        default=2e-4,
        gt=0,
        le=0.1,
        description="Step size of Adam; it falls to 0 in the second half of the steps.",
    )
    l1_weight: float = Field(
        default=100.0, ge=0, le=1e6, description="Weight of L1 beside the adversarial loss."
    )

    def rate(self, steps: int) -> float:
        """Return the step size after so many steps."""
        return self.learning_rate * min(1.0, 2 * (1 - steps / self.steps))
