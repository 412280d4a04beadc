"""Pooling against plain loops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from kernels import naive
from kernels.compare import assert_close, for_threads, random

from protonet.kernels import pooling
from protonet.kernels.pooling import LOWEST, Window


class Case(NamedTuple):
    shape: tuple[int, int, int, int]
    output: tuple[int, int]
    window: Window


CASES = {
    "two_by_two": Case((3, 5, 24, 26), (12, 13), Window((2, 2), (2, 2))),
    "two_by_two_narrow": Case((5, 7, 8, 8), (4, 4), Window((2, 2), (2, 2))),
    "two_by_two_wide": Case((2, 3, 6, 70), (3, 35), Window((2, 2), (2, 2))),
    "two_by_two_cut": Case((2, 3, 7, 71), (4, 36), Window((2, 2), (2, 2))),
    "two_by_two_thin": Case((2, 3, 5, 1), (3, 1), Window((2, 2), (2, 2))),
    "three_by_two": Case((2, 3, 13, 15), (6, 7), Window((3, 3), (2, 2))),
    "rounded_up": Case((2, 3, 12, 15), (6, 7), Window((3, 3), (2, 2))),
    "every_place": Case((2, 3, 9, 40), (9, 40), Window((3, 3), (1, 1), (1, 1))),
    "rectangle": Case((1, 4, 11, 37), (6, 19), Window((5, 2), (2, 2), (2, 1))),
    "stride_3": Case((2, 3, 10, 11), (4, 4), Window((2, 3), (3, 3), (1, 0))),
    "beyond_the_image": Case((1, 2, 5, 6), (3, 3), Window((1, 1), (3, 3))),
    "whole_image": Case((3, 4, 5, 7), (1, 1), Window((5, 7), (1, 1))),
    "one_pixel": Case((2, 3, 1, 1), (1, 1), Window((3, 3), (2, 2), (1, 1))),
    "overlapping": Case((2, 3, 8, 7), (7, 4), Window((4, 4), (1, 2), (2, 2))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_max(case: Case) -> None:
    window = case.window
    x = np.round(random(*case.shape) * 2)  # with many equal values
    dy = random(*case.shape[:2], *case.output, seed=1)

    def compute() -> list[np.ndarray]:
        y, mask = np.full_like(dy, np.nan), np.full(dy.shape, -7, np.int32)
        dx = np.full_like(x, np.nan)
        pooling.max_forward(x, window, y, mask)
        pooling.max_backward(dy, mask, window, dx)
        return [y, mask, dx]

    y, mask, dx = for_threads(compute)
    expected_y, expected_mask = naive.max_pooling(x, case.output, *window)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(mask, expected_mask)
    assert_close(dx, naive.max_pooling_dx(dy, expected_mask, case.shape[2:]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nothing_else_is_written(case: Case) -> None:
    x, inside = random(*case.shape), (*case.shape[:2], *case.output)
    y, dx = np.full((3, *inside), 7, np.float32), np.full((3, *case.shape), 7, np.float32)
    mask = np.full((3, *inside), 7, np.int32)
    pooling.max_forward(x, case.window, y[1], mask[1])
    pooling.max_backward(y[1], mask[1], case.window, dx[1])
    for array in (y, mask, dx):
        assert (array[[0, 2]] == 7).all()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_average(case: Case) -> None:
    window, x = case.window, random(*case.shape)
    dy = random(*case.shape[:2], *case.output, seed=1)

    def compute() -> list[np.ndarray]:
        y, dx = np.empty_like(dy), np.full_like(x, np.nan)
        pooling.average_forward(x, window, y)
        pooling.average_backward(dy, window, dx)
        return [y, dx]

    y, dx = for_threads(compute)
    inside = np.isfinite(y)
    expected = naive.average_pooling(x, case.output, *window)
    np.testing.assert_array_equal(inside, np.isfinite(expected))
    assert_close(y[inside], expected[inside])
    assert_close(dx, naive.average_pooling_dx(dy, case.shape[2:], *window))


def test_windows_of_lowest_values_have_no_place() -> None:
    """As Caffe, which begins with the lowest float32 and looks for larger ones."""
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    x[0, 0, :2, :2] = LOWEST
    x[0, 0, 2:, 2:] = np.nan
    y, mask = np.empty((1, 1, 2, 2), np.float32), np.empty((1, 1, 2, 2), np.int32)
    window = Window((2, 2), (2, 2))
    pooling.max_forward(x, window, y, mask)
    assert (y == LOWEST).all() and (mask == -1).all()
    dx = np.ones_like(x)
    pooling.max_backward(np.ones_like(y), mask, window, dx)
    assert (dx == 0).all()
