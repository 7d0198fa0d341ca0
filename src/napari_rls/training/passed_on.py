"""Work that is part of other work, whose updates are passed on in the words of the whole."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

Part = TypeVar("Part")
Whole = TypeVar("Whole")
Result = TypeVar("Result")


def passed_on(
    work: Generator[Part, None, Result], change: Callable[[Part], Whole]
) -> Generator[Whole, None, Result]:
    """Yield what some work yields, changed; return what it returns.

    Closing the iteration closes the work.

    Examples
    --------
    >>> def work():
    ...     yield 0.5
    ...     yield 1.0
    ...     return "done"
    >>> def whole():
    ...     print((yield from passed_on(work(), "{:.0%}".format)))
    >>> list(whole())
    done
    ['50%', '100%']
    """
    with closing(work):
        while True:
            try:
                part = next(work)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield change(part)
