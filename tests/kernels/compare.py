"""What the tests of kernels have in common: data, tolerance, numbers of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from protonet.kernels import threads

Array = Any
COUNTS = (1, 2, 3, 5)  # of threads


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def assert_close(value: Array, expected: Array, tolerance: float = 1e-5) -> None:
    """Compare, relative to the largest value expected."""
    assert value.shape == expected.shape
    if value.size:
        error = np.abs(value - expected).max() / max(float(np.abs(expected).max()), 1e-30)
        assert error <= tolerance, f"differs by {error:.1e} of the largest value"


def for_threads(compute: Callable[[], list[Array]]) -> list[Array]:
    """Return what ``compute`` gives; the same bits for each number of threads."""
    before = threads.count()
    try:
        results = []
        for count in COUNTS:
            threads.set_count(count)
            results.append(compute())
    finally:
        threads.set_count(before)
    for other, count in zip(results[1:], COUNTS[1:], strict=True):
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=f"with {count} threads")
    return results[0]
