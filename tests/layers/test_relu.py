"""ReLU."""

import numpy as np
import pytest
from harness import (
    Case,
    build,
    check_gradient,
    check_in_place,
    forward,
    reference_cases,
    run_reference,
)

CASES = [
    Case("plain", 'type: "ReLU"', [(2, 3, 4, 5)], [(2, 3, 4, 5)]),
    Case("leaky", 'type: "ReLU" relu_param { negative_slope: 0.1 }', [(7, 3)], [(7, 3)]),
    Case("scalar", 'type: "ReLU"', [()], [()]),
    Case("empty", 'type: "ReLU"', [(0, 3)], [(0, 3)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    x, slope = bottom[0].data, layer.param.relu_param.negative_slope
    np.testing.assert_allclose(top[0].data, np.where(x > 0, x, np.float32(slope) * x), rtol=1e-6)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place('type: "ReLU" relu_param { negative_slope: 0.3 }', (2, 3, 5))


def test_more_values_than_one_thread_takes():
    layer, bottom, top = build('type: "ReLU"', [(3, 33_333)])
    layer.forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, np.maximum(bottom[0].data, 0))
    top[0].diff[...] = bottom[0].data
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, top[0].data)


def test_not_a_number_stays_one():
    layer, bottom, top = build('type: "ReLU"', [(3,)], values=[[np.nan, -1, np.inf]])
    layer.forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, [np.nan, 0, np.inf])


@pytest.mark.parametrize("case", reference_cases("ReLU"))
def test_reference(case):
    run_reference(case)
