"""What the history of a run says that a person should act on."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from napari_rls.training.augment import P_MAX
from napari_rls.training.run_folder import Report, Score

OVERFIT_SIGN = 0.8
"""Mean sign of D on real images above which, with p at its limit, D knows them by heart."""

RISING = 4
"""Scores that rise in a row, beside a D that grows surer, before this is called overfitting."""

WORSE = 3.0
"""KID this many times the best one, three times in a row, is called divergence."""

LONGER = 10.0
"""Path lengths this many times their median, three times in a row, are called an explosion."""

_IN_A_ROW = 3
_HISTORY = 10
_CHANCE = 2 * math.log(2)
_NEAR_CHANCE = 0.005
"""The loss of a D that tells nothing is 2 ln 2; that of one that learns is farther off."""


def of_reports(reports: Sequence[Report]) -> dict[str, str]:
    """Return a sentence for everything that the reports of a run say is going wrong.

    The keys name what is wrong, so that it need not be said again with every report.
    """
    found: dict[str, str] = {}
    if not reports:
        return found
    last = reports[-1]
    if last.ada_p >= P_MAX and last.real_sign >= OVERFIT_SIGN:
        found["by heart"] = (
            "The discriminator knows the training images by heart in spite of all augmentation: "
            "more images are needed; stop here and keep a snapshot from before."
        )
    if _path_explodes(reports):
        found["path length"] = (
            f"The path length has grown to {last.path_length:.3g}, over {LONGER:.0f} times its "
            "usual value: the generator is about to diverge; start a new run with a lower "
            "learning_rate, from a snapshot from before."
        )
    if _tells_nothing(reports[-_HISTORY:]):
        found["no signal"] = (
            "The discriminator cannot tell real from generated images any more (its loss stays "
            "at 2 ln 2), so the generator learns nothing: start a new run with a lower "
            "learning_rate or another seed."
        )
    return found


def of_scores(scores: Sequence[Score], reports: Sequence[Report]) -> dict[str, str]:
    """Return a sentence for everything that the scores of a run say is going wrong.

    Parameters
    ----------
    scores, reports
        Both from the start of the run, in order.
    """
    known = [s for s in scores if math.isfinite(s.kid) and s.features == scores[-1].features]
    found: dict[str, str] = {}
    if len(known) < 2:
        return found
    best = min(known, key=lambda s: s.kid)
    label = f"KID ({best.features})"
    # A best KID near 0 would make multiples of it meaningless: its own spread is the least.
    limit = WORSE * max(best.kid, best.kid_std)
    tail = known[-_IN_A_ROW:]
    if len(tail) == _IN_A_ROW and all(s.kid > limit and s.images > best.images for s in tail):
        found["diverges"] = (
            f"{label} is {tail[-1].kid:.4f} and was {best.kid:.4f} at {best.images} images: "
            "training diverges; stop, use best.safetensors, or start a new run with a lower "
            "learning_rate or a higher r1_gamma."
        )
    rising = known[-RISING:]
    if len(rising) == RISING and _rises(rising) and _surer(reports, rising):
        found["overfits"] = (
            f"{label} has risen over the last {RISING} scores, to {rising[-1].kid:.4f}, while the "
            "discriminator grows surer of the real images: it overfits; stop, use "
            "best.safetensors, and give more images next time."
        )
    return found


def _path_explodes(reports: Sequence[Report]) -> bool:
    lengths = [r.path_length for r in reports[-100:] if math.isfinite(r.path_length)]
    before, tail = lengths[:-_IN_A_ROW], lengths[-_IN_A_ROW:]
    if len(before) < _HISTORY:
        return False
    return min(tail) > LONGER * statistics.median(before)


def _tells_nothing(tail: Sequence[Report]) -> bool:
    # While D alone learns, in the warm-up, it has only begun: G has no loss there.
    return len(tail) == _HISTORY and all(
        abs(r.discriminator_loss - _CHANCE) < _NEAR_CHANCE and math.isfinite(r.generator_loss)
        for r in tail
    )


def _rises(scores: Sequence[Score]) -> bool:
    steps = [later.kid - earlier.kid for earlier, later in itertools.pairwise(scores)]
    return min(steps) > 0 and scores[-1].kid - scores[0].kid > scores[0].kid_std


def _surer(reports: Sequence[Report], scores: Sequence[Score]) -> bool:
    """Tell whether D's sign on real images grew between the first and the last of the scores."""
    middle = (scores[0].images + scores[-1].images) / 2
    signs = [(r.images, r.real_sign) for r in reports if r.images >= scores[0].images]
    early = [sign for images, sign in signs if images < middle]
    late = [sign for images, sign in signs if images >= middle]
    return bool(early and late) and statistics.mean(late) > statistics.mean(early) + 0.02
