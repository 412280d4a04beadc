"""Accuracy."""

import numpy as np
import pytest
from harness import build, forward, reference_cases, run_reference

from protonet.errors import DataError, ProtonetError, ShapeError

SCORES = [[5, 1, 3], [1, 2, 3], [4, 4, 0], [0, 9, 1]]  # the best: 0, 2, 0 or 1, 1


def score(text, label, scores=SCORES, tops=1):
    shapes = [np.shape(scores), np.shape(label)]
    layer, bottom, top = build(
        f'type: "Accuracy" accuracy_param {{ {text} }}', shapes, values=[scores, label], tops=tops
    )
    forward(layer, bottom, top)
    return [b.data.tolist() for b in top]


@pytest.mark.parametrize(
    ("text", "label", "accuracy"),
    [
        ("", [0, 2, 2, 1], 0.75),
        ("", [0, 2, 0, 1], 0.75),  # class 1 has the same score
        ("top_k: 2", [0, 1, 0, 2], 1),
        ("top_k: 2", [1, 0, 2, 0], 0),
        ("ignore_label: 2", [0, 2, 2, 0], 0.5),
        ("ignore_label: -1", [0, -1, -1, -1], 1),
        ("ignore_label: 1", [1, 1, 1, 1], 0),
    ],
)
def test_accuracy(text, label, accuracy):
    assert score(text, label) == [accuracy]


def test_axis():
    scores = np.moveaxis(np.reshape(SCORES, (2, 2, 3)), 2, 0)
    assert score("axis: 0", [[0, 2], [2, 1]], scores) == [0.75]


def test_classes():
    assert score("", [0, 2, 2, 0], tops=2) == [0.5, [0.5, 0, 0.5]]


def test_refused():
    with pytest.raises(ShapeError, match=r"expected 4 labels, .* got 8 in shape \(4, 2\)"):
        score("", np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="top_k 9 is more than the 3 classes"):
        score("top_k: 9", np.zeros(4))
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        score("axis: 2", np.zeros(4))
    with pytest.raises(DataError, match=r"\(Accuracy\): label 3 of sample 1 .* 3 classes, 0 to 2"):
        score("", [0, 3, 0, 0])
    layer, bottom, top = build('type: "Accuracy"', [(4, 3), (4,)])
    with pytest.raises(ProtonetError, match="has no gradient"):
        layer.backward(top, [True, False], bottom)
    layer.backward(top, [False, False], bottom)


@pytest.mark.parametrize("case", reference_cases("Accuracy"))
def test_reference(case):
    run_reference(case)
