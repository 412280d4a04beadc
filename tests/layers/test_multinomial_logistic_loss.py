"""MultinomialLogisticLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, labels, reference_cases, run_reference

from protonet.errors import DataError, ShapeError

CHANCES = np.random.default_rng(1).uniform(0.2, 1, (4, 3))


def test_forward_and_gradient():
    layer, bottom, top = build(
        'type: "MultinomialLogisticLoss"', [(4, 3), (4, 1)], values=[CHANCES, labels((4, 1), 3)]
    )
    forward(layer, bottom, top)
    own = CHANCES[np.arange(4), bottom[1].data.astype(int).ravel()]
    assert float(top[0].data) == pytest.approx(-np.log(own).mean(), rel=1e-5)
    check_gradient(layer, bottom, top)


def test_probability_zero_is_finite():
    layer, bottom, top = build(
        'type: "MultinomialLogisticLoss"', [(1, 2), (1,)], values=[[[0, 1]], [0]]
    )
    forward(layer, bottom, top)
    assert float(top[0].data) == pytest.approx(-np.log(1e-20))


def test_refused():
    with pytest.raises(ShapeError, match=r"expected 4 labels, .* got 8 in shape \(4, 2\)"):
        build('type: "MultinomialLogisticLoss"', [(4, 3), (4, 2)])
    layer, bottom, top = build(
        'type: "MultinomialLogisticLoss"', [(4, 3), (4,)], values=[CHANCES, [0, -1, 2, 0]]
    )
    with pytest.raises(DataError, match=r"label -1 of sample 1 is out of range: .* 3 classes"):
        forward(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("MultinomialLogisticLoss"))
def test_reference(case):
    run_reference(case)
