"""Scores of a run: in its progress, in its folder, and after it was stopped or killed."""

from pathlib import Path

import pytest
import torch
from run_bench import assert_same_state, crops, run, settings
from safetensors.torch import load_file
from score_bench import Distances, kid_of, scored
from tiny_job import full_disk

from napari_rls.models.stylegan2 import Generator
from napari_rls.training import tensor_file
from napari_rls.training.run import train
from napari_rls.training.run_folder import RunFolder, Score


def listed(*kids: float):
    """Score with these KIDs in turn."""
    values = iter(kids)
    return lambda _: Distances(next(values))


def assert_same_file(one: Path, two: Path) -> None:
    """The same tensors and notes; the order of the notes is not determined."""
    assert tensor_file.read_note(one) == tensor_file.read_note(two)
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_snapshot_is_scored_and_the_best_is_kept(tmp_path: Path) -> None:
    averages = []

    def keep(generator: Generator) -> Distances:
        averages.append({k: v.clone() for k, v in generator.state_dict().items()})
        return Distances([0.3, 0.1, 0.2, float("nan")][len(averages) - 1])

    updates = scored(tmp_path / "run", keep, kimg=0.14)
    place = RunFolder(tmp_path / "run")
    with_score = [p for p in updates if p.score]
    assert [p.score.images for p in with_score] == [40, 80, 120, 140]
    assert [p.best for p in with_score] == [True, True, False, False]
    assert not any(p.best for p in updates if not p.score)
    assert list(map(repr, place.scores())) == [repr(p.score) for p in with_score]
    assert place.best_score() == Score(80, 0.1, 0.001, 10.0, "test features")
    best = load_file(place.best)
    assert all(torch.equal(best[name], averages[1][name]) for name in averages[1])
    assert tensor_file.read_note(place.best)["channels"] == "DNA, GFP"


def test_scoring_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    run(tmp_path / "without")
    scored(tmp_path / "with", kid_of)
    assert_same_state(tmp_path / "without", tmp_path / "with")
    place = RunFolder(tmp_path / "without")
    assert (place.scores(), place.best_score(), place.best.exists()) == ([], None, False)


def test_a_stopped_and_resumed_run_has_the_same_scores(tmp_path: Path) -> None:
    scored(tmp_path / "through", kid_of)
    for images in (28, 84, None):
        scored(tmp_path / "stopped", kid_of, stop_at=images)
    through, stopped = (RunFolder(tmp_path / name) for name in ("through", "stopped"))
    assert [s.images for s in stopped.scores()] == [40, 80, 120]
    assert stopped.scores() == through.scores()
    assert stopped.best_score() == through.best_score()
    assert_same_file(stopped.best, through.best)


# Snapshots every 1000 images, so that each has a file of its own.
LONG = {"kimg": 4, "snapshot_kimg": 1, "sample_kimg": 10, "batch_size": 500, "report_kimg": 1}


@pytest.mark.parametrize(
    ("snapshot", "best"),
    [("kept", Score(1000, 0.2, 0.001, 10.0, "test features")), ("lost", None)],
)
def test_a_best_generator_that_is_undone_makes_room(
    tmp_path: Path, snapshot: str, best: Score | None
) -> None:
    place = RunFolder(tmp_path / "run")
    data = crops(600)
    list(train(data, settings(**LONG | {"kimg": 2}), place.path, scorer=listed(0.2, 0.3)))
    kept = place.checkpoint.read_bytes()
    first = tmp_path / "first.safetensors"
    first.write_bytes(place.best.read_bytes())
    list(train(data, settings(**LONG), place.path, scorer=listed(0.1, 0.4)))
    assert place.best_score().images == 3000
    # As a kill leaves it: scores and a best generator that the checkpoint does not know of.
    place.checkpoint.write_bytes(kept)
    if snapshot == "lost":
        for file in place.path.glob("snapshots/*"):
            file.unlink()
    iteration = train(data, settings(**LONG), place.path, scorer=listed(0.25, 0.05))
    next(iteration)
    assert [s.images for s in place.scores()] == [1000, 2000]
    assert place.best_score() == best
    assert place.best.exists() == (best is not None)
    if best is not None:
        assert_same_file(place.best, first)
    assert [p.best for p in iteration if p.score] == [best is None, True]
    assert [s.kid for s in place.scores()] == [0.2, 0.3, 0.25, 0.05]


def test_a_scorer_that_fails_is_a_warning(tmp_path: Path) -> None:
    def fails(_: Generator) -> Distances:
        raise MemoryError("no room for features")

    updates = scored(tmp_path / "run", fails)
    assert updates[-1].finished
    assert [p.images for p in updates if "could not be scored" in p.warning] == [40, 80, 120]
    assert "at 40 images could not be scored (no room for features)" in updates[9].warning
    assert RunFolder(tmp_path / "run").best_score() is None


def test_a_full_disk_leaves_the_best_generator_whole(tmp_path: Path) -> None:
    place = RunFolder(tmp_path / "run")
    iteration = train(crops(), settings(), place.path, scorer=listed(0.3, 0.2, 0.1))
    updates = [next(iteration) for _ in range(10)]
    kept = place.best.read_bytes()
    with full_disk(10):
        updates += [next(iteration) for _ in range(10)]
    assert "best.safetensors" in updates[-1].warning
    assert place.best.read_bytes() == kept
    assert list(iteration)[-1].best
    assert place.best_score().kid == 0.1
    assert not list(place.path.glob(".*"))


def test_scores_of_other_features_are_not_compared(tmp_path: Path) -> None:
    scored(tmp_path / "run", listed(0.1), stop_at=40)
    updates = scored(tmp_path / "run", lambda _: Distances(0.2, features="others"))
    assert [p.best for p in updates if p.score] == [True, False]
    assert RunFolder(tmp_path / "run").best_score().features == "others"
