"""Split."""

import numpy as np
import pytest
from harness import build, check_gradient, reference_cases, run_reference


@pytest.mark.parametrize("tops", [1, 2, 3, 4])
def test_forward_and_gradient(tops):
    layer, bottom, top = build('type: "Split"', [(2, 3, 5)], tops=tops)
    layer.forward(bottom, top)
    for blob in top:
        assert np.shares_memory(blob.data, bottom[0].data)
        np.testing.assert_array_equal(blob.data, bottom[0].data)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("Split"))
def test_reference(case):
    run_reference(case)
