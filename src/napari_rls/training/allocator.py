"""Let the C library keep freed memory for the next step instead of giving it back."""

from __future__ import annotations

import ctypes
import sys

# Names and numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 32 << 20


def keep_freed_memory() -> None:
    """Serve large feature maps from memory that is already there (glibc only; else nothing).

    By default glibc maps every block above some threshold afresh and unmaps it when
    freed, so that each step pays for the same page faults again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
