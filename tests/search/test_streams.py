"""Random numbers of cells: from the seed, the cell and the purpose alone."""

from __future__ import annotations

import itertools

import torch

from napari_rls.search.streams import Purpose, cell_stream, normal


def test_every_seed_cell_purpose_and_draw_has_numbers_of_its_own() -> None:
    seeds, cells, draws = (0, 1, 32, 2**31 - 1), (0, 1, 32, 33), (0, 1, 2)
    every = list(itertools.product(seeds, cells, Purpose, draws))
    first = {tuple(torch.randn(4, generator=cell_stream(*which)).tolist()) for which in every}
    assert len(first) == len(every)


def test_rows_are_those_of_the_streams() -> None:
    def streams() -> list[torch.Generator]:
        return [cell_stream(3, cell, Purpose.NOISE) for cell in range(3)]

    together, again = normal(streams(), 2, 5), streams()
    assert together.shape == (3, 2, 5)
    assert torch.equal(together[1], torch.randn(2, 5, generator=again[1]))
    assert torch.equal(normal(streams()[::-1], 2, 5).flip(0), together)
