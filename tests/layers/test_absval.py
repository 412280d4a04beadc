"""AbsVal."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference


def test_forward_and_gradient():
    layer, bottom, top = build('type: "AbsVal"', [(2, 3, 4, 5)])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, np.abs(bottom[0].data))
    check_gradient(layer, bottom, top)


def test_no_gradient_at_zero():
    layer, bottom, top = build('type: "AbsVal"', [(3,)], values=[[-2, 0, 3]])
    forward(layer, bottom, top)
    top[0].diff[...] = [5, 6, 7]
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [-5, 0, 7])


def test_needs_storage_of_its_own():
    assert not build('type: "AbsVal"', [(3,)])[0].in_place


@pytest.mark.parametrize("case", reference_cases("AbsVal"))
def test_reference(case):
    run_reference(case)
