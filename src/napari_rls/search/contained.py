"""What a run changes in the whole process, put back whenever others have their turn."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def own_process(threads: int) -> Iterator[None]:
    """Compute with ``threads`` CPU threads in the block, 0 for as many as there are.

    Their number and torch's global random numbers are after it as they were before. A run
    draws from generators of its own; that new networks draw first weights cannot be helped.
    """
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            if threads:
                torch.set_num_threads(threads)
            yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


def contained(work: Generator[Item, None, Result], threads: int) -> Generator[Item, None, Result]:
    """Run an iteration within :func:`own_process`; whoever iterates is outside of it.

    Between two items, after the end, and if the iteration is closed or never ended, all is
    as it was before.
    """
    try:
        while True:
            with own_process(threads):
                try:
                    item = next(work)
                except StopIteration as end:
                    result: Result = end.value
                    return result
            yield item
    finally:
        with own_process(threads):
            work.close()
