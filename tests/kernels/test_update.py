"""An arena's norm and its scaling."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.compare import for_threads, random

from protonet.kernels import update


@pytest.mark.parametrize("count", [0, 1, 4096, 4097, 100003])
def test_sum_of_squares_and_scale(count: int) -> None:
    a = random(count)

    def compute() -> list[np.ndarray]:
        b = a.copy()
        total = update.sum_of_squares(b)
        update.scale(b, 0.3)
        return [np.array(total), b]

    total, scaled = for_threads(compute)
    assert total == pytest.approx((a.astype(np.float64) ** 2).sum(), rel=1e-12)
    np.testing.assert_array_equal(scaled, a * np.float32(0.3))


@pytest.mark.parametrize("count", [0, 1, 4097, 100003])
def test_finite_is_what_has_neither_nan_nor_infinity(count: int) -> None:
    a = np.full(count, np.finfo(np.float32).max, np.float32)
    assert update.all_finite(a)
    for value in (np.nan, np.inf, -np.inf):
        for place in {0, count // 2, count - 1} if count else ():
            b = a.copy()
            b[place] = value
            assert not update.all_finite(b)
