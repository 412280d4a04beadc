"""Threshold."""

import numpy as np
import pytest
from harness import build, forward, reference_cases, run_reference

from protonet.errors import GraphError

TEXT = 'type: "Threshold" threshold_param { threshold: 0.5 }'


def test_forward():
    layer, bottom, top = build(TEXT, [(2, 3, 5)])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data > 0.5)


def test_in_place():
    layer, blob, _ = build(TEXT, [(3,)], values=[[0.4, 0.5, 0.6]])
    forward(layer, blob, blob)
    np.testing.assert_array_equal(blob[0].data, [0, 0, 1])


def test_no_gradient():
    layer, bottom, top = build(TEXT, [(3,)])
    forward(layer, bottom, top)
    layer.backward(top, [False], bottom)
    with pytest.raises(GraphError, match=r"'under_test' \(Threshold\): no gradient can flow"):
        layer.backward(top, [True], bottom)


@pytest.mark.parametrize("case", reference_cases("Threshold"))
def test_reference(case):
    run_reference(case)
