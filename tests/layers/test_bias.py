"""Bias."""

import numpy as np
import pytest
from harness import (
    Case,
    build,
    check_gradient,
    check_in_place,
    forward,
    reference_cases,
    run_reference,
)

from protonet.errors import ShapeError

IMAGE = (2, 3, 4, 5)
DRAWN = 'filler { type: "gaussian" }'
CASES = [  # and the shape by which the operand repeats along the bottom
    (Case("channel", f"{DRAWN}", [IMAGE], [IMAGE], [(3,)]), (3, 1, 1)),
    (Case("axes", f"num_axes: 2 {DRAWN}", [IMAGE], [IMAGE], [(3, 4)]), (3, 4, 1)),
    (Case("last", f"axis: -1 {DRAWN}", [IMAGE], [IMAGE], [(5,)]), (5,)),
    (Case("rest", f"axis: 2 num_axes: -1 {DRAWN}", [IMAGE], [IMAGE], [(4, 5)]), (4, 5)),
    (Case("first", f"axis: 0 {DRAWN}", [IMAGE], [IMAGE], [(2,)]), (2, 1, 1, 1)),
    (Case("scalar", f"num_axes: 0 {DRAWN}", [IMAGE], [IMAGE], [()]), ()),
    (Case("bottom", "", [IMAGE, (3, 4)], [IMAGE]), (3, 4, 1)),
    (Case("scalar_bottom", "axis: 9", [IMAGE, ()], [IMAGE]), ()),
    (Case("empty", "", [(0, 3)], [(0, 3)], [(3,)]), (3,)),
]


@pytest.mark.parametrize(("case", "repeated"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, repeated):
    case.prototxt = f'type: "Bias" bias_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    operand = (bottom[1:] or layer.blobs)[0].data.reshape(repeated)
    np.testing.assert_array_equal(top[0].data, bottom[0].data + operand)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place(f'type: "Bias" bias_param {{ {DRAWN} }}', IMAGE)


def test_a_second_bottom_alone_has_a_gradient():
    layer, bottom, top = build('type: "Bias"', [(2, 3), (3,)])
    forward(layer, bottom, top)
    top[0].diff[...] = [[1, 2, 3], [4, 5, 6]]
    layer.backward(top, [False, True], bottom)
    np.testing.assert_array_equal(bottom[1].diff, [5, 7, 9])


@pytest.mark.parametrize("case", reference_cases("Bias"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottoms", "message"),
    [
        ("axis: 4", [IMAGE], r"axis 4 is out of range for a bottom of 4 axes"),
        ("axis: 2 num_axes: 3", [IMAGE], r"axis 2 and num_axes 3 go beyond the 4 axes"),
        ("num_axes: -2", [IMAGE], r"num_axes must be at least -1, got -2"),
        ("", [IMAGE, (4,)], r"expected from axis 1 of the bottom, .* the axes \(4,\); got \(3,\)"),
        ("", [(2, 3), (3, 4)], r"the axes \(3, 4\); got \(3,\)"),
    ],
)
def test_refused(text, bottoms, message):
    with pytest.raises(ShapeError, match=rf"layer 'under_test' \(Bias\): .*{message}"):
        build(f'type: "Bias" bias_param {{ {text} }}', bottoms)
