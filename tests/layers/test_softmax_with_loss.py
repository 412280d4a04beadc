"""SoftmaxWithLoss."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, labels, reference_cases, run_reference

from protonet.errors import DataError, ProtonetError, ShapeError

# name, prototxt, scores, labels, whether one of the labels is 1 and ignored
CASES = [
    ("plain", "", (4, 5), (4,), False),
    ("spatial", "", (2, 3, 4, 5), (2, 4, 5), False),
    ("last_axis", "softmax_param { axis: -1 }", (2, 3, 4), (2, 3), False),
    ("ignore", "loss_param { ignore_label: 1 }", (2, 3, 4, 5), (2, 4, 5), True),
    (
        "ignore_full",
        "loss_param { ignore_label: 1 normalization: FULL }",
        (2, 3, 4),
        (2, 4),
        True,
    ),
    ("batch_size", "loss_param { normalization: BATCH_SIZE }", (2, 3, 4), (2, 4), False),
    ("none", "loss_param { normalization: NONE }", (2, 3, 4), (2, 4), False),
    ("old_batch_size", "loss_param { normalize: false }", (2, 3, 4), (2, 4), False),
]


def make(text, scores, label_shape, **more):
    classes = scores[-1] if "axis" in text else scores[1]
    values = [None, more.pop("label", labels(label_shape, classes))]
    return build(f'type: "SoftmaxWithLoss" {text}', [scores, label_shape], values=values, **more)


@pytest.mark.parametrize(("text", "scores", "label", "ignored"), [c[1:] for c in CASES])
def test_forward_and_gradient(text, scores, label, ignored):
    layer, bottom, top = make(text, scores, label)
    forward(layer, bottom, top)
    axis = -1 if "axis" in text else 1
    x = np.moveaxis(bottom[0].data.astype(np.float64), axis, -1).reshape((*label, -1))
    t = bottom[1].data.astype(int)[..., None]
    losses = -np.take_along_axis(x - np.log(np.exp(x).sum(-1, keepdims=True)), t, -1)
    losses = losses[t != 1] if ignored else losses
    divisor = {"FULL": t.size, "BATCH": len(t), "NONE": 1, "false": len(t)}
    by = next((n for word, n in divisor.items() if word in text), losses.size)
    assert top[0].shape == ()
    assert float(top[0].data) == pytest.approx(losses.sum() / by, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_second_top_is_the_softmax():
    layer, bottom, top = make("", (4, 5), (4,), tops=2)
    forward(layer, bottom, top)
    e = np.exp(bottom[0].data)
    np.testing.assert_allclose(top[1].data, e / e.sum(axis=1, keepdims=True), rtol=1e-5)
    check_gradient(layer, bottom, top)


def test_nothing_but_ignored_labels():
    layer, bottom, top = make("loss_param { ignore_label: 7 }", (4, 5), (4,), label=np.full(4, 7))
    forward(layer, bottom, top)
    assert float(top[0].data) == 0
    top[0].diff[...] = 1
    layer.backward(top, [True, False], bottom)
    assert (bottom[0].diff == 0).all()


def test_impossible_label_has_a_large_but_finite_loss():
    layer, bottom, top = build('type: "SoftmaxWithLoss"', [(1, 2), (1,)], values=[[[0, 1000]], [0]])
    forward(layer, bottom, top)
    assert float(top[0].data) == pytest.approx(-np.log(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("label", [5, -1, 255, np.nan, np.inf, 1e30])
def test_label_out_of_range(label):
    given = np.zeros((3, 4))
    given[2, 1] = label
    layer, bottom, top = make("", (3, 5, 4), (3, 4), label=given)
    message = r"'under_test' \(SoftmaxWithLoss\): label .* of sample 2 .* 5 classes, 0 to 4"
    with pytest.raises(DataError, match=message):
        forward(layer, bottom, top)


def test_labels_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"same first axis, got shapes \(4, 5\) and \(3,\)"):
        make("", (4, 5), (3,))
    with pytest.raises(ShapeError, match=r"expected 4 labels, .* got 8 in shape \(4, 2\)"):
        make("", (4, 5), (4, 2))
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        make("softmax_param { axis: 2 }", (4, 5), (4,))


def test_no_gradient_into_labels():
    layer, bottom, top = make("", (4, 5), (4,))
    forward(layer, bottom, top)
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 1, the labels"):
        layer.backward(top, [True, True], bottom)


@pytest.mark.parametrize("case", reference_cases("SoftmaxWithLoss"))
def test_reference(case):
    run_reference(case)
