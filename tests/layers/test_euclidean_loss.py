"""EuclideanLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError


def test_forward_and_gradient():
    layer, bottom, top = build('type: "EuclideanLoss"', [(2, 3, 4), (2, 12)])
    forward(layer, bottom, top)
    difference = bottom[0].data.ravel() - bottom[1].data.ravel()
    assert top[0].shape == ()
    assert float(top[0].data) == pytest.approx(np.square(difference).sum() / 4, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_gradient_into_the_second_bottom_only():
    layer, bottom, top = build('type: "EuclideanLoss"', [(2, 3), (2, 3)])
    check_gradient(layer, bottom, top, bottoms=[1])


def test_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"values a sample, got shapes \(4, 3\) and \(4, 2\)"):
        build('type: "EuclideanLoss"', [(4, 3), (4, 2)])
    with pytest.raises(ShapeError, match=r"same first axis, got shapes \(4, 3\) and \(3, 4\)"):
        build('type: "EuclideanLoss"', [(4, 3), (3, 4)])
    with pytest.raises(ShapeError, match=r"same first axis, got shapes \(\) and \(\)"):
        build('type: "EuclideanLoss"', [(), ()])


@pytest.mark.parametrize("case", reference_cases("EuclideanLoss"))
def test_reference(case):
    run_reference(case)
