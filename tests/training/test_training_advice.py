"""Warnings drawn from constructed histories of reports and scores."""

import dataclasses
import math
from pathlib import Path

import pytest
from run_bench import settings

from napari_rls.training import advice
from napari_rls.training.record import Recorder
from napari_rls.training.run_folder import Report, RunFolder, Score

GOOD = Report(
    images=0,
    images_per_second=40,
    discriminator_loss=1.1,
    generator_loss=1.2,
    r1=0.1,
    path_length=0.5,
    ada_p=0.2,
    real_sign=0.5,
)


def reports(count: int, **values: list[float]) -> list[Report]:
    """Good reports, one a kimg; ``values`` replaces a field of the last ones."""
    history = [dataclasses.replace(GOOD, images=1000 * (k + 1)) for k in range(count)]
    for name, tail in values.items():
        for k, value in enumerate(tail, start=count - len(tail)):
            history[k] = dataclasses.replace(history[k], **{name: value})
    return history


def scores(*kids: float, features: str = "napari-rls features v1") -> list[Score]:
    return [Score(1000 * (k + 1), kid, 0.002, 50, features) for k, kid in enumerate(kids)]


def test_a_good_history_needs_no_advice() -> None:
    history = reports(40, path_length=[0.4, 0.8, 1.2, math.nan, 2.0])
    assert advice.of_reports(history) == {}
    assert advice.of_reports([]) == advice.of_scores([], []) == {}
    assert advice.of_scores(scores(0.5, 0.3, 0.1, 0.12, 0.09, 0.11), history) == {}


@pytest.mark.parametrize(
    ("p", "sign", "warned"), [(0.8, 0.9, True), (0.79, 0.9, False), (0.8, 0.7, False)]
)
def test_overfitting_by_ada(p: float, sign: float, warned: bool) -> None:
    found = advice.of_reports(reports(3, ada_p=[p], real_sign=[sign]))
    assert ("by heart" in found) == warned
    assert not warned or "more images are needed; stop here" in found["by heart"]


def test_an_exploding_path_length() -> None:
    found = advice.of_reports(reports(20, path_length=[6.0, 7.0, 9.0]))
    assert "The path length has grown to 9" in found["path length"]
    assert "lower learning_rate" in found["path length"]
    for quiet in ([6.0, 7.0, 0.5], [6.0, 7.0], [4.0, 4.5, 4.9]):
        assert advice.of_reports(reports(20, path_length=quiet)) == {}
    assert advice.of_reports(reports(8, path_length=[6.0, 7.0, 9.0])) == {}


def test_a_discriminator_that_tells_nothing() -> None:
    chance = [1.3870, 1.3882, 1.3869, 1.3872, 1.3879, 1.3873, 1.3874, 1.3863, 1.3868, 1.3871]
    found = advice.of_reports(reports(30, discriminator_loss=chance))
    assert "cannot tell real from generated images any more" in found["no signal"]
    assert advice.of_reports(reports(30, discriminator_loss=chance[1:])) == {}
    warming = [math.nan] * 10
    assert advice.of_reports(reports(30, discriminator_loss=chance, generator_loss=warming)) == {}


def test_divergence_by_kid() -> None:
    found = advice.of_scores(scores(0.2, 0.05, 0.16, 0.17, 0.155), reports(5))
    assert list(found) == ["diverges"]
    assert "KID (napari-rls features v1) is 0.1550 and was 0.0500 at 2000" in found["diverges"]
    assert "use best.safetensors" in found["diverges"]
    assert advice.of_scores(scores(0.2, 0.05, 0.16, 0.14, 0.16), reports(5)) == {}
    assert advice.of_scores(scores(0.2, 0.05, 0.16, 0.17), reports(5)) == {}
    # Around 0 three times as much is noise.
    assert advice.of_scores(scores(0.2, 0.0001, 0.003, 0.004, 0.002), reports(5)) == {}
    # Other features have another scale.
    mixed = scores(0.05, features="others") + scores(0.2, 0.2, 0.2, 0.2)
    assert advice.of_scores(mixed, reports(5)) == {}
    assert advice.of_scores(scores(0.05, math.nan, math.nan, math.nan), reports(5)) == {}


def test_overfitting_by_kid() -> None:
    rising = scores(0.2, 0.1, 0.11, 0.12, 0.13)
    surer = reports(5, real_sign=[0.5, 0.5, 0.55, 0.6, 0.65])
    found = advice.of_scores(rising, surer)
    assert list(found) == ["overfits"]
    assert "has risen over the last 4 scores, to 0.1300" in found["overfits"]
    assert "give more images" in found["overfits"]
    assert advice.of_scores(rising, reports(5)) == {}
    assert advice.of_scores(rising, []) == {}
    assert advice.of_scores(scores(0.2, 0.1, 0.11, 0.105, 0.13), surer) == {}
    assert advice.of_scores(scores(0.2, 0.1, 0.1002, 0.1003, 0.1004), surer) == {}


def test_the_same_advice_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    recorder = Recorder(RunFolder(tmp_path / "run"), 0, None, settings().channels)
    heard = []
    for sign in (0.5, 0.9, 0.9, 0.5, 0.9):
        recorder.clear()
        recorder.report(dataclasses.replace(GOOD, ada_p=0.8, real_sign=sign))
        heard.append(len(recorder.warnings))
    assert heard == [0, 1, 0, 0, 1]
