"""SigmoidCrossEntropyLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError, ShapeError

SHAPE = (2, 3, 5)
TARGETS = np.random.default_rng(2).choice([0, 0.25, 1, 7], SHAPE)  # 7 is ignored where asked


@pytest.mark.parametrize(
    ("text", "divisor"),
    [
        ("", 2),
        ("normalization: FULL", 30),
        ("normalization: NONE", 1),
        ("normalization: VALID ignore_label: 7", (TARGETS != 7).sum()),
        ("normalization: VALID", 30),
        ("ignore_label: 7", 2),
        ("normalize: true ignore_label: 7", (TARGETS != 7).sum()),
        ("normalize: false", 2),
    ],
)
def test_forward_and_gradient(text, divisor):
    targets = TARGETS if "ignore" in text else np.minimum(TARGETS, 1)
    layer, bottom, top = build(
        f'type: "SigmoidCrossEntropyLoss" loss_param {{ {text} }}',
        [SHAPE] * 2,
        values=[None, targets],
    )
    forward(layer, bottom, top)
    p = 1 / (1 + np.exp(-bottom[0].data.astype(np.float64)))
    losses = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))[targets <= 1]
    assert float(top[0].data) == pytest.approx(losses.sum() / divisor, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_large_scores_do_not_overflow():
    layer, bottom, top = build(
        'type: "SigmoidCrossEntropyLoss"', [(1, 3), (1, 3)], values=[[1000, -1000, 1000], [1, 0, 0]]
    )
    forward(layer, bottom, top)
    assert float(top[0].data) == 1000


def test_refused():
    with pytest.raises(ShapeError, match=r"as many targets .* \(2, 3\) and \(2, 4\)"):
        build('type: "SigmoidCrossEntropyLoss"', [(2, 3), (2, 4)])
    layer, bottom, top = build('type: "SigmoidCrossEntropyLoss"', [SHAPE] * 2)
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 1"):
        layer.backward(top, [True, True], bottom)


@pytest.mark.parametrize("case", reference_cases("SigmoidCrossEntropyLoss"))
def test_reference(case):
    run_reference(case)
