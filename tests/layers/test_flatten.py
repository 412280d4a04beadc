"""Flatten."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

IMAGE = (2, 3, 4, 5)
CASES = [
    Case("plain", "", [IMAGE], [(2, 60)]),
    Case("middle", "axis: 1 end_axis: 2", [IMAGE], [(2, 12, 5)]),
    Case("all", "axis: 0", [IMAGE], [(120,)]),
    Case("one", "axis: -2 end_axis: -2", [IMAGE], [IMAGE]),
    Case("empty", "", [(0, 3, 4)], [(0, 12)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    case.prototxt = f'type: "Flatten" flatten_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data.reshape(bottom[0].shape), bottom[0].data)
    check_gradient(layer, bottom, top)


def test_nothing_is_copied():
    layer, bottom, top = build('type: "Flatten"', [IMAGE])
    forward(layer, bottom, top)
    top[0].diff.fill(3)
    layer.backward(top, [True], bottom)
    assert np.shares_memory(top[0].data, bottom[0].data)
    assert np.shares_memory(top[0].diff, bottom[0].diff)


@pytest.mark.parametrize("case", reference_cases("Flatten"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axis: 4", r"axis 4 is out of range for a bottom of 4 axes"),
        ("end_axis: 5", r"end_axis 5 is out of range for a bottom of 4 axes"),
        ("axis: 2 end_axis: 1", r"expected end_axis not before axis 2, got 1"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ShapeError, match=rf"layer 'under_test' \(Flatten\): {message}"):
        build(f'type: "Flatten" flatten_param {{ {text} }}', [IMAGE])
