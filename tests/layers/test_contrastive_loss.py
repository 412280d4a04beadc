"""ContrastiveLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError, ShapeError

ALIKE = [1, 0, 0, 1, 0]


@pytest.mark.parametrize("legacy", ["false", "true"])
def test_forward_and_gradient(legacy):
    layer, bottom, top = build(
        f'type: "ContrastiveLoss" contrastive_loss_param {{ margin: 3 legacy_version: {legacy} }}',
        [(5, 2), (5, 2), (5,)],
        values=[None, None, ALIKE],
    )
    forward(layer, bottom, top)
    square = np.square(bottom[0].data - bottom[1].data).sum(axis=1)
    apart = 3 - square if legacy == "true" else np.maximum(3 - np.sqrt(square), 0) ** 2
    want = np.where(ALIKE, square, np.maximum(apart, 0)).sum() / 10
    assert float(top[0].data) == pytest.approx(want, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_pair_at_one_point_has_a_finite_gradient():
    layer, bottom, top = build(
        'type: "ContrastiveLoss"', [(1, 2), (1, 2), (1,)], values=[[1, 2], [1, 2], 0]
    )
    forward(layer, bottom, top)
    top[0].diff[...] = 1
    layer.backward(top, [True, True, False], bottom)
    assert (bottom[0].diff == 0).all()


def test_refused():
    message = r"one shape \(N, C\), got shapes \(5, 2\) and \(5, 3\)"
    with pytest.raises(ShapeError, match=message):
        build('type: "ContrastiveLoss"', [(5, 2), (5, 3), (5,)])
    with pytest.raises(ShapeError, match=r"got shapes \(5, 2, 3, 1\) and \(5, 2, 3, 1\)"):
        build('type: "ContrastiveLoss"', [(5, 2, 3, 1), (5, 2, 3, 1), (5,)])
    with pytest.raises(ShapeError, match=r"expected 5 labels, .* got shape \(5, 2\)"):
        build('type: "ContrastiveLoss"', [(5, 2), (5, 2), (5, 2)])
    layer, bottom, top = build('type: "ContrastiveLoss"', [(5, 2), (5, 2), (5,)])
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 2, the labels"):
        layer.backward(top, [True, True, True], bottom)


@pytest.mark.parametrize("case", reference_cases("ContrastiveLoss"))
def test_reference(case):
    run_reference(case)
