"""Windows as columns, and back, against one place at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernels.compare import assert_close, for_threads, random

from protonet.kernels.im2col import col2im, im2col, output_size

CASES = {  # shape of x; kernel, stride, pad, dilation
    "one_axis": ((3, 2, 11), (3,), (2,), (1,), (2,)),
    "image": ((2, 3, 7, 9), (3, 2), (1, 2), (1, 0), (1, 1)),
    "dilated": ((1, 2, 9, 8), (2, 3), (2, 1), (2, 3), (3, 2)),
    "volume": ((2, 3, 4, 5, 6), (2, 1, 3), (1, 2, 2), (1, 0, 2), (2, 1, 1)),
    "all_padding": ((1, 2, 2, 3), (1, 1), (4, 5), (3, 4), (1, 1)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_both_ways(case: tuple) -> None:
    shape, *windows = case
    kernel, stride, pad, dilation = windows
    output = tuple(map(output_size, shape[2:], *windows))
    taps = list(itertools.product(*map(range, kernel)))
    x = random(*shape)
    col = random(shape[0], shape[1] * len(taps), *output, seed=1)
    expected, sums = np.zeros(col.shape), np.zeros(shape)
    for n, c in np.ndindex(*shape[:2]):
        for t, tap in enumerate(taps):
            for place in np.ndindex(*output):
                at = tuple(
                    i * s - p + k * d
                    for i, s, p, k, d in zip(place, stride, pad, tap, dilation, strict=True)
                )
                if all(0 <= i < size for i, size in zip(at, shape[2:], strict=True)):
                    row = (n, c * len(taps) + t, *place)
                    expected[row] = x[(n, c, *at)]
                    sums[(n, c, *at)] += col[row]

    def compute() -> list[np.ndarray]:
        got, back = np.full_like(col, np.nan), np.full_like(x, np.nan)
        im2col(x, *windows, got)
        col2im(col, *windows, back)
        return [got, back]

    got, back = for_threads(compute)
    np.testing.assert_array_equal(got, expected)
    assert_close(back, sums)


def test_output_size() -> None:
    assert output_size(28, 5, 1, 0, 1) == 24
    assert output_size(7, 3, 2, 1, 1) == 4
    assert output_size(9, 3, 2, 0, 4) == 1
    assert output_size(2, 3, 1, 0, 1) == 0
