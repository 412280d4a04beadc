"""BNLL."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference


def test_forward_and_gradient():
    layer, bottom, top = build('type: "BNLL"', [(2, 3, 4, 5)])
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, np.log1p(np.exp(bottom[0].data)), rtol=1e-6)
    check_gradient(layer, bottom, top)


def test_large_values_do_not_overflow():
    layer, bottom, top = build('type: "BNLL"', [(4,)], values=[[-200, -1, 1, 200]])
    forward(layer, bottom, top)
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    np.testing.assert_allclose(top[0].data[[0, 3]], [0, 200])
    np.testing.assert_allclose(bottom[0].diff, [0, 0.2689414, 0.7310586, 1], rtol=1e-6)


def test_in_place_takes_y_for_x():
    layer, blob, _ = build('type: "BNLL"', [(5,)])
    forward(layer, blob, blob)
    y = blob[0].data.copy()
    blob[0].diff.fill(1)
    layer.backward(blob, [True], blob)
    np.testing.assert_allclose(blob[0].diff, 1 / (1 + np.exp(-y)), rtol=1e-6)


@pytest.mark.parametrize("case", reference_cases("BNLL"))
def test_reference(case):
    run_reference(case)
