"""The solver's step over an arena, its norm and its scaling."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.compare import assert_close, for_threads, random

from protonet.kernels import update

BOUNDS = np.array([0, 5, 4101, 4101, 30000], np.int64)  # one segment is empty
RATES = np.array([0.1, 0.02, 9, 0.3], np.float32)
DECAYS = np.array([0.5, 0, 9, 0.01], np.float32)
SIZE = 30011  # the last values belong to no segment


@pytest.mark.parametrize("regularization", ["L1", "L2"])
def test_sgd(regularization: str) -> None:
    data, diff, history = random(SIZE, seed=1), random(SIZE, seed=2), random(SIZE, seed=3)
    data[7] = 0  # its sign is 0

    def compute() -> list[np.ndarray]:
        arrays = [data.copy(), diff.copy(), history.copy()]
        update.sgd(*arrays, BOUNDS, RATES, DECAYS, 0.9, 0.25, regularization)
        return arrays

    got = for_threads(compute)
    counts = np.diff(BOUNDS)
    rate = np.repeat(RATES, counts).astype(np.float64)
    decay = np.repeat(DECAYS, counts).astype(np.float64)
    inside = slice(0, BOUNDS[-1])
    w = data[inside].astype(np.float64)
    pull = decay * (np.sign(w) if regularization == "L1" else w)
    step = 0.9 * history[inside] + rate * (0.25 * diff[inside] + pull)
    for value, before, expected in zip(
        got, (data, diff, history), (w - step, step, step), strict=True
    ):
        assert_close(value[inside], expected)
        np.testing.assert_array_equal(value[BOUNDS[-1] :], before[BOUNDS[-1] :])


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
