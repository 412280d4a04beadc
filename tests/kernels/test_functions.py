"""The functions of one float32, over all magnitudes, against NumPy in double precision."""

import numpy as np
import pytest

from protonet.kernels import functions
from protonet.kernels.jit import kernel

exp, sigmoid, tanh = functions.exp, functions.sigmoid, functions.tanh


@kernel("void(float32[::1], float32[::1])")
def all_exp(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


@kernel("void(float32[::1], float32[::1])")
def all_sigmoid(x, y):
    for i in range(x.size):
        y[i] = sigmoid(x[i])


@kernel("void(float32[::1], float32[::1])")
def all_tanh(x, y):
    for i in range(x.size):
        y[i] = tanh(x[i])


def logistic(x):
    return 1 / (1 + np.exp(-x))


GRID = np.concatenate(
    [
        np.linspace(-87, 88.3, 300_001),
        np.geomspace(1e-37, 1, 50_001),
        -np.geomspace(1e-37, 1, 50_001),
    ]
).astype(np.float32)
CASES = [
    (all_exp, np.exp, [np.nan, np.inf, 0, 1, np.inf, 0]),
    (all_sigmoid, logistic, [np.nan, 1, 0, 0.5, 1, 0]),
    (all_tanh, np.tanh, [np.nan, 1, -1, 0, 1, -1]),
]


@pytest.mark.parametrize(("compute", "want", "_"), CASES)
def test_two_units_in_the_last_place(compute, want, _):
    y = np.empty_like(GRID)
    compute(GRID, y)
    np.testing.assert_allclose(y, want(GRID.astype(np.float64)), rtol=2 * 2**-23)


@pytest.mark.parametrize(("compute", "_", "want"), CASES)
def test_limits(compute, _, want):
    x = np.float32([np.nan, np.inf, -np.inf, 0, 1e30, -1e30])
    y = np.empty_like(x)
    compute(x, y)
    np.testing.assert_array_equal(y, np.float32(want))
