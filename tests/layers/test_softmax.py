"""Softmax."""

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

from protonet.errors import ProtonetError

CASES = [
    Case("image", 'type: "Softmax"', [(2, 3, 4, 5)], [(2, 3, 4, 5)]),
    Case("last", 'type: "Softmax" softmax_param { axis: -1 }', [(2, 3, 4)], [(2, 3, 4)]),
    Case("first", 'type: "Softmax" softmax_param { axis: 0 }', [(4, 3)], [(4, 3)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    e = np.exp(bottom[0].data)
    want = e / e.sum(axis=layer.param.softmax_param.axis, keepdims=True)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place('type: "Softmax"', (2, 3, 5))


def test_large_scores_do_not_overflow():
    layer, bottom, top = build('type: "Softmax"', [(1, 3)], values=[[[1e30, 0, -1e30]]])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, [[1, 0, 0]])


def test_axis_out_of_range():
    with pytest.raises(ProtonetError, match="axis 3 is out of range for a bottom of 2 axes"):
        build('type: "Softmax" softmax_param { axis: 3 }', [(2, 3)])


@pytest.mark.parametrize("case", reference_cases("Softmax"))
def test_reference(case):
    run_reference(case)
