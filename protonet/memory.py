"""Memory for values: float32 arrays on cache lines, large ones in large pages.

A processor's caches find a value by where it lies in memory, not by its address in the program, and
pages of 4 kB lie anywhere: of a matrix as large as a core's cache some pages take each other's
place, how many is up to chance, and stays so for as long as the program runs. Pages of 2 MB end
that. An operating system that has them may have to be asked.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

ALIGNMENT = 64  # bytes: one AVX-512 vector, one cache line
SLACK = 256  # bytes after the last value that a kernel may read (never write) past the end
LARGE_PAGE = 2**21  # bytes


def aligned_zeros(count: int) -> Array:
    """Return ``count`` float32 zeros that start on a cache line and have readable slack behind.

    Where at least a half of a large page is filled it is asked for; no memory is taken before it
    is touched.
    """
    pages = (count * 4 + LARGE_PAGE // 2) // LARGE_PAGE
    if pages and hasattr(mmap, "MADV_HUGEPAGE"):
        raw, alignment = _in_large_pages(count * 4 + SLACK, pages), LARGE_PAGE
    else:
        raw, alignment = np.zeros(count * 4 + ALIGNMENT + SLACK, np.uint8), ALIGNMENT
    start = -raw.ctypes.data % alignment
    return raw[start : start + count * 4].view(np.float32)


def _in_large_pages(size: int, pages: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return zeros: ``size`` after the first multiple of LARGE_PAGE, and these in large pages."""
    length = max(size, pages * LARGE_PAGE) + LARGE_PAGE
    region = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    raw = np.frombuffer(region, np.uint8)
    start = -raw.ctypes.data % LARGE_PAGE
    with contextlib.suppress(OSError):  # a system without them: small pages will do
        region.madvise(mmap.MADV_HUGEPAGE, start, pages * LARGE_PAGE)
    return raw
