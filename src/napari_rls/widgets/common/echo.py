"""Tell what a change of one's own brings about from what the user does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Echo:
    """Is ``heard`` while a change of one's own is made: what follows is an answer, not a wish.

    Examples
    --------
    >>> echo = Echo()
    >>> with echo.of_own_change():
    ...     echo.heard
    True
    >>> echo.heard
    False
    """

    def __init__(self) -> None:
        self.heard = False

    @contextmanager
    def of_own_change(self) -> Iterator[None]:
        """Take what changes in the meantime for an answer."""
        self.heard = True
        try:
            yield
        finally:
            self.heard = False
