"""MVN."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

IMAGE = (2, 3, 4, 5)
CASES = [  # and the axes of the mean
    (Case("plain", "eps: 0.01", [IMAGE], [IMAGE]), (2, 3)),
    (Case("across", "across_channels: true eps: 0.01", [IMAGE], [IMAGE]), (1, 2, 3)),
    (Case("mean_only", "normalize_variance: false", [IMAGE], [IMAGE]), (2, 3)),
    (Case("three_axes", "", [(2, 3, 7)], [(2, 3, 7)]), (2,)),
    (Case("two_axes", "across_channels: true", [(3, 7)], [(3, 7)]), (1,)),
]


@pytest.mark.parametrize(("case", "axes"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, axes):
    case.prototxt = f'type: "MVN" mvn_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    x, p = bottom[0].data.astype(float), layer.param.mvn_param
    y = x - x.mean(axes, keepdims=True)
    if p.normalize_variance:
        y /= x.std(axes, keepdims=True) + p.eps
    np.testing.assert_allclose(top[0].data, y, rtol=1e-5, atol=1e-6)
    # as in Caffe the gradient neglects eps beside the deviation
    check_gradient(layer, bottom, top, threshold=0.03 if p.eps > 1e-3 else 2e-3)


def test_all_values_alike():
    layer, bottom, top = build('type: "MVN"', [(2, 3, 5)], values=[np.ones((2, 3, 5))])
    forward(layer, bottom, top)
    assert not top[0].data.any()


@pytest.mark.parametrize("case", reference_cases("MVN"))
def test_reference(case):
    run_reference(case)


def test_refused():
    with pytest.raises(ShapeError, match=r"\(MVN\): expected a bottom of at most 4 axes, got"):
        build('type: "MVN"', [(2, 3, 4, 5, 6)])
