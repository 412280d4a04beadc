"""InfogainLoss."""

import numpy as np
import pytest
from harness import (
    REFERENCE,
    build,
    check_gradient,
    forward,
    labels,
    reference_cases,
    run_reference,
)

from protonet.errors import DataError, GraphError, ProtonetError, ShapeError


def make(text, scores, label_shape, classes, label=None, tops=1):
    values = [None, labels(label_shape, classes) if label is None else label]
    shapes = [scores, label_shape, (classes, classes)]
    return build(f'type: "InfogainLoss" {text}', shapes, values=values, tops=tops)


@pytest.mark.parametrize(
    ("text", "scores", "label", "classes"),
    [
        ("", (4, 5), (4,), 5),
        ("loss_param { ignore_label: 1 }", (2, 3, 4), (2, 4), 3),
        (
            "infogain_loss_param { axis: 2 } loss_param { normalization: NONE }",
            (2, 3, 4),
            (2, 3),
            4,
        ),
    ],
)
def test_forward_and_gradient(text, scores, label, classes):
    layer, bottom, top = make(text, scores, label, classes, tops=2)
    forward(layer, bottom, top)
    axis = 2 if "axis" in text else 1
    x = np.moveaxis(bottom[0].data.astype(np.float64), axis, -1)
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.moveaxis(top[1].data, axis, -1), p, rtol=1e-5)
    t = bottom[1].data.astype(int)
    losses = -(bottom[2].data[t] * np.log(p)).sum(axis=-1)
    losses = losses[t != 1] if "ignore" in text else losses
    want = losses.sum() / (1 if "NONE" in text else losses.size)
    assert float(top[0].data) == pytest.approx(want, rel=1e-5)
    check_gradient(layer, bottom, top)


def test_matrix_from_a_file():
    source = f'infogain_loss_param {{ source: "{REFERENCE}/layers/infogain_3.binaryproto" }}'
    layer, bottom, top = build(
        f'type: "InfogainLoss" {source}', [(4, 3), (4,)], values=[None, [0, 1, 2, 0]]
    )
    check_gradient(layer, bottom, top)
    with pytest.raises(ShapeError, match=r"H of 5 x 5 values, .* got 9 values in the source"):
        build(f'type: "InfogainLoss" {source}', [(4, 5), (4,)])


def test_matrix_that_cannot_be_read(tmp_path):
    (tmp_path / "broken").write_bytes(b"\xff\xff\xff\xff")
    for name, message in [
        ("missing", "cannot read source '.*missing': No such file"),
        ("broken", "source '.*broken' does not hold a BlobProto"),
    ]:
        text = f'type: "InfogainLoss" infogain_loss_param {{ source: "{tmp_path / name}" }}'
        with pytest.raises(DataError, match=message):
            build(text, [(4, 3), (4,)])


def test_refused():
    with pytest.raises(GraphError, match="expected a third bottom, or a source"):
        build('type: "InfogainLoss"', [(4, 3), (4,)])
    with pytest.raises(ShapeError, match="H of 3 x 3 values, one row for each class, got 16"):
        build('type: "InfogainLoss"', [(4, 3), (4,), (4, 4)])
    layer, bottom, top = make("", (4, 3), (4,), 3, label=[0, 1, 2, 3])
    with pytest.raises(DataError, match=r"\(InfogainLoss\): label 3 of sample 3 .* 3 classes"):
        forward(layer, bottom, top)
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 2"):
        layer.backward(top, [True, False, True], bottom)


@pytest.mark.parametrize("case", reference_cases("InfogainLoss"))
def test_reference(case):
    run_reference(case)
