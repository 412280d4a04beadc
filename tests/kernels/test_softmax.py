"""Softmax along a middle axis, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.compare import assert_close, for_threads, random

from protonet.kernels import softmax

SHAPES = [(1, 1, 1), (3, 10, 1), (64, 10, 1), (2, 5, 7), (1, 1000, 3), (700, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape: tuple[int, int, int]) -> None:
    x, dy = random(*shape) * 5, random(*shape, seed=1)

    def compute() -> list[np.ndarray]:
        y, dx = np.full_like(x, np.nan), dy.copy()
        softmax.forward(x, y)
        softmax.backward(y, dx, dx)  # over its own input
        return [y, dx]

    y, dx = for_threads(compute)
    exact = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    assert_close(y, exact)
    assert_close(dx, exact * (dy - (exact * dy).sum(axis=1, keepdims=True)), 1e-5)


def test_large_values_do_not_overflow() -> None:
    x = np.array([[[1e38], [-1e38], [1e38]]], np.float32)
    y = np.empty_like(x)
    softmax.forward(x, y)
    np.testing.assert_array_equal(y.ravel(), np.float32([0.5, 0, 0.5]))
