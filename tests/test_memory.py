"""Memory for values: where it starts, that it is zero and ends with its last user."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from protonet import memory
from protonet.memory import ALIGNMENT, LARGE_PAGE, SLACK, aligned_zeros

HALF = LARGE_PAGE // 8  # values of half a large page
COUNTS = [1, 17, HALF - 1, HALF, 2 * HALF, 2 * HALF + 1, 3 * HALF - 1, 3 * HALF, 7 * HALF + 5]


@pytest.mark.parametrize("count", COUNTS)
def test_zeros_that_can_be_written(count: int) -> None:
    values = aligned_zeros(count)
    assert (values.size, values.dtype) == (count, np.float32)
    assert values.ctypes.data % ALIGNMENT == 0
    assert not values.any()
    values[:] = np.arange(count)
    assert values.flags.c_contiguous
    whole = values.base
    assert isinstance(whole, np.ndarray)
    behind = whole.ctypes.data + whole.nbytes - values.ctypes.data - values.nbytes
    assert behind >= SLACK


def test_none_at_all() -> None:
    assert aligned_zeros(0).shape == (0,)


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system is not asked")
def test_what_fills_half_a_large_page_starts_with_one() -> None:
    for count in COUNTS:
        assert (count < HALF) or aligned_zeros(count).ctypes.data % LARGE_PAGE == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_taken_when_touched_and_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident()
    values = aligned_zeros(64 * 2 * HALF)  # 128 MB
    part = values[5:].reshape(-1)
    assert resident() - before < 32 * LARGE_PAGE
    values[:] = 1
    assert resident() - before > 60 * LARGE_PAGE
    del values
    assert part[-1] == 1
    del part
    assert resident() - before < 32 * LARGE_PAGE


def test_a_system_without_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(mmap.mmap):
        def madvise(self, *args: int) -> None:
            raise OSError(22, "no large pages")

    monkeypatch.setattr(memory.mmap, "mmap", Refuses)
    assert not aligned_zeros(4 * HALF).any()
    monkeypatch.delattr(memory.mmap, "MADV_HUGEPAGE", raising=False)
    values = aligned_zeros(4 * HALF)
    assert values.size == 4 * HALF
    assert values.ctypes.data % ALIGNMENT == 0
