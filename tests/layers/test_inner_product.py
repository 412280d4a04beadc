"""InnerProduct."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

FILL = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'


def ip(text):
    return f'type: "InnerProduct" inner_product_param {{ {FILL} {text} }}'


CASES = [
    Case("image", ip("num_output: 5"), [(2, 3, 4, 6)], [(2, 5)], [(5, 72), (5,)]),
    Case("axis", ip("num_output: 5 axis: 2"), [(2, 3, 4)], [(2, 3, 5)], [(5, 4), (5,)]),
    Case("last", ip("num_output: 5 axis: -1"), [(2, 3, 4)], [(2, 3, 5)], [(5, 4), (5,)]),
    Case("all", ip("num_output: 5 axis: 0"), [(2, 3)], [(5,)], [(5, 6), (5,)]),
    Case("transposed", ip("num_output: 5 transpose: true"), [(7, 3)], [(7, 5)], [(3, 5), (5,)]),
    Case("no_bias", ip("num_output: 5 bias_term: false"), [(7, 3)], [(7, 5)], [(5, 3)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    w = layer.blobs[0].data.astype(np.float64)
    w = w if layer.param.inner_product_param.transpose else w.T
    bias = layer.blobs[1].data if len(layer.blobs) > 1 else 0
    want = bottom[0].data.reshape(-1, len(w)) @ w + bias
    np.testing.assert_allclose(top[0].data.reshape(want.shape), want, rtol=1e-4, atol=1e-5)
    check_gradient(layer, bottom, top, step=0.1)
    assert layer.multiply_adds(bottom, top) == top[0].count * len(w)


def test_refused():
    name = r"layer 'under_test' \(InnerProduct\): "
    with pytest.raises(ProtonetError, match=name + "num_output must be at least 1, got 0"):
        build(ip(""), [(2, 3)])
    with pytest.raises(ProtonetError, match=name + "axis 2 is out of range"):
        build(ip("num_output: 1 axis: 2"), [(2, 3)])
    layer, bottom, top = CASES[5].build()
    bottom[0].reshape(7, 4)
    with pytest.raises(ProtonetError, match=name + r"expected 3 values .* got 4 in shape \(7, 4\)"):
        layer.reshape(bottom, top)


@pytest.mark.parametrize("case", reference_cases("InnerProduct"))
def test_reference(case):
    run_reference(case)
