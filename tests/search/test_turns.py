"""The 8 ways to lay a square image on itself."""

from __future__ import annotations

import torch

from napari_rls.search.turns import TURNS

IMAGE = torch.arange(18.0).reshape(1, 2, 3, 3)


def test_there_are_eight_that_differ_and_the_first_leaves_the_image() -> None:
    assert torch.equal(TURNS[0](IMAGE), IMAGE)
    assert len({tuple(turn(IMAGE).flatten().tolist()) for turn in TURNS}) == 8


def test_each_is_undone_by_going_back_and_keeps_neighbours() -> None:
    middle = (..., 1, 1)
    edges = ([0, 1, 1, 2], [1, 0, 2, 1])
    for turn in TURNS:
        turned = turn(IMAGE)
        assert torch.equal(turn.back(turned), IMAGE)
        assert torch.equal(turned[middle], IMAGE[middle])
        before, after = (x[0, 0][edges].sort().values for x in (IMAGE, turned))
        assert torch.equal(before, after)
