"""Sigmoid."""

import numpy as np
import pytest
from harness import build, check_gradient, check_in_place, forward, reference_cases, run_reference


def test_forward_and_gradient():
    layer, bottom, top = build('type: "Sigmoid"', [(2, 3, 4, 5)])
    forward(layer, bottom, top)
    assert top[0].shape == (2, 3, 4, 5)
    x = bottom[0].data
    np.testing.assert_allclose(top[0].data, 1 / (1 + np.exp(-x)), rtol=1e-5, atol=1e-7)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place('type: "Sigmoid"', (2, 3, 5))


@pytest.mark.parametrize("case", reference_cases("Sigmoid"))
def test_reference(case):
    run_reference(case)
