"""Scale."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

IMAGE = (2, 3, 4, 5)
DRAWN = 'filler { type: "gaussian" }'
BIAS = f"bias_term: true bias_{DRAWN}"
CASES = [  # and the shape by which the operands repeat along the bottom
    (Case("channel", DRAWN, [IMAGE], [IMAGE], [(3,)]), (3, 1, 1)),
    (Case("bias", f"{DRAWN} {BIAS}", [IMAGE], [IMAGE], [(3,), (3,)]), (3, 1, 1)),
    (Case("matrix", f"{DRAWN} {BIAS}", [(7, 3)], [(7, 3)], [(3,), (3,)]), (3,)),
    (Case("axes", f"num_axes: 2 {DRAWN} {BIAS}", [IMAGE], [IMAGE], [(3, 4)] * 2), (3, 4, 1)),
    (Case("all", f"axis: 0 num_axes: -1 {DRAWN}", [IMAGE], [IMAGE], [IMAGE]), IMAGE),
    (Case("scalar", f"num_axes: 0 {DRAWN} {BIAS}", [IMAGE], [IMAGE], [(), ()]), ()),
    (Case("bottom", "axis: 2", [IMAGE, (4,)], [IMAGE]), (4, 1)),
    (Case("bottom_and_bias", BIAS, [IMAGE, (3, 4)], [IMAGE], [(3, 4)]), (3, 4, 1)),
]


@pytest.mark.parametrize(("case", "repeated"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, repeated):
    case.prototxt = f'type: "Scale" scale_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    s, *bias = [blob.data.reshape(repeated) for blob in [*bottom[1:], *layer.blobs]]
    want = bottom[0].data * s + (bias[0] if bias else 0)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top)


def test_starts_as_the_identity():
    layer, bottom, top = build('type: "Scale" scale_param { bias_term: true }', [IMAGE])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data)


def test_frozen_parameters_keep_their_gradient():
    layer, bottom, top = build(f'type: "Scale" scale_param {{ {DRAWN} {BIAS} }}', [(2, 3)])
    forward(layer, bottom, top)
    top[0].diff.fill(1)
    layer.param_propagate_down = [False, False]
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [layer.blobs[0].data] * 2)
    assert not layer.blobs[0].diff.any() and not layer.blobs[1].diff.any()


@pytest.mark.parametrize("case", reference_cases("Scale"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottoms", "message"),
    [
        ("axis: 4", [IMAGE], r"axis 4 is out of range for a bottom of 4 axes"),
        ("axis: 3 num_axes: 2", [IMAGE], r"axis 3 and num_axes 2 go beyond the 4 axes"),
        ("", [IMAGE, (4,)], r"expected from axis 1 of the bottom, .* the axes \(4,\); got \(3,\)"),
    ],
)
def test_refused(text, bottoms, message):
    with pytest.raises(ShapeError, match=rf"layer 'under_test' \(Scale\): .*{message}"):
        build(f'type: "Scale" scale_param {{ {text} }}', bottoms)


def test_another_number_of_channels_is_refused_later():
    layer, bottom, top = build('type: "Scale"', [(2, 3)])
    bottom[0].reshape(2, 4)
    with pytest.raises(ShapeError, match=r"the axes \(3,\); got \(4,\)"):
        layer.reshape(bottom, top)
