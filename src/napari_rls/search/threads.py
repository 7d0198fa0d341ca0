"""CPU threads of a run, without those of the program around it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` threads in the block, and with as many as before after it.

    0 leaves the number as it is.
    """
    before = torch.get_num_threads()
    if count in (0, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def with_threads(work: Generator[Item, None, Result], count: int) -> Generator[Item, None, Result]:
    """Run an iteration with ``count`` threads; whoever iterates keeps the number of his own.

    Between two items, after the end, and if the iteration is closed or never ended, the
    number is that of before.
    """
    try:
        while True:
            with cpu_threads(count):
                try:
                    item = next(work)
                except StopIteration as end:
                    result: Result = end.value
                    return result
            yield item
    finally:
        with cpu_threads(count):
            work.close()
