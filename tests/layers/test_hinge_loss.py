"""HingeLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, labels, reference_cases, run_reference

from protonet.errors import DataError, ShapeError


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_forward_and_gradient(norm):
    layer, bottom, top = build(
        f'type: "HingeLoss" hinge_loss_param {{ norm: {norm} }}',
        [(4, 3, 2), (4,)],
        values=[None, labels((4,), 6)],
    )
    forward(layer, bottom, top)
    x, t = bottom[0].data.reshape(4, 6), bottom[1].data.astype(int)
    margins = np.maximum(0, 1 - np.where(np.arange(6) == t[:, None], 1, -1) * x)
    want = (margins if norm == "L1" else margins**2).sum() / 4
    assert float(top[0].data) == pytest.approx(want, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_refused():
    with pytest.raises(ShapeError, match=r"expected 4 labels, .* got 8 in shape \(4, 2\)"):
        build('type: "HingeLoss"', [(4, 3), (4, 2)])
    layer, bottom, top = build('type: "HingeLoss"', [(4, 3), (4,)], values=[None, [0, 1, 3, 0]])
    with pytest.raises(DataError, match=r"\(HingeLoss\): label 3 of sample 2 .* 3 classes, 0 to 2"):
        forward(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("HingeLoss"))
def test_reference(case):
    run_reference(case)
