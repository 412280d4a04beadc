"""Swish."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

SHAPE = (2, 3, 5)
CASES = [
    (Case("plain", 'type: "Swish"', [SHAPE], [SHAPE]), 1),
    (Case("beta", 'type: "Swish" swish_param { beta: 2.5 }', [SHAPE], [SHAPE]), 2.5),
    (Case("beta_zero", 'type: "Swish" swish_param { beta: 0 }', [SHAPE], [SHAPE]), 0),
]


@pytest.mark.parametrize(("case", "beta"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, beta):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    x = bottom[0].data
    np.testing.assert_allclose(top[0].data, x / (1 + np.exp(-beta * x)), rtol=2e-6, atol=1e-7)
    check_gradient(layer, bottom, top)


def test_large_values_do_not_overflow():
    layer, bottom, top = build('type: "Swish"', [(2,)], values=[[-1000, 1000]])
    forward(layer, bottom, top)
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(top[0].data, [0, 1000])
    np.testing.assert_array_equal(bottom[0].diff, [0, 1])


@pytest.mark.parametrize("case", reference_cases("Swish"))
def test_reference(case):
    run_reference(case)
