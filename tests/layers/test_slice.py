"""Slice."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

CASES = [  # and the axis and where the parts after the first begin
    (Case("even", "", [(2, 6, 5)], [(2, 2, 5)] * 3), 1, [2, 4]),
    (
        Case("points", "slice_point: 1 slice_point: 3", [(2, 6)], [(2, 1), (2, 2), (2, 3)]),
        1,
        [1, 3],
    ),
    (Case("items", "axis: 0 slice_point: 3", [(7, 2)], [(3, 2), (4, 2)]), 0, [3]),
    (Case("last", "axis: -1", [(2, 3, 4)], [(2, 3, 2)] * 2), 2, [2]),
    (Case("older_name", "slice_dim: 2", [(2, 3, 4)], [(2, 3, 2)] * 2), 2, [2]),
    (Case("of_one", "", [(2, 3, 4)], [(2, 3, 4)]), 1, []),
]


@pytest.mark.parametrize(("case", "axis", "points"), CASES, ids=[str(case) for case, *_ in CASES])
def test_forward_and_gradient(case, axis, points):
    case.prototxt = f'type: "Slice" slice_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    for blob, want in zip(top, np.split(bottom[0].data, points, axis), strict=True):
        np.testing.assert_array_equal(blob.data, want)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("Slice"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "shape", "tops", "message"),
    [
        ("", (2, 5), 2, r"axis 1 of the bottom, shape \(2, 5\), does not divide into 2 tops"),
        ("slice_point: 3 slice_point: 2", (2, 5), 3, r"rise from 1 to 4, .* got \[3, 2\]"),
        ("slice_point: 0", (2, 5), 2, r"rise from 1 to 4, .* got \[0\]"),
        ("slice_point: 5", (2, 5), 2, r"rise from 1 to 4, .* got \[5\]"),
        ("slice_point: 2", (2, 5), 3, r"expected 2 slice_point for 3 tops, got \[2\]"),
        ("axis: -3", (2, 5), 2, r"axis -3 is out of range for a bottom of 2 axes"),
        ("axis: 1 slice_dim: 1", (2, 4), 2, r"expected axis or slice_dim, got both"),
    ],
)
def test_refused(text, shape, tops, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Slice\): .*{message}"):
        build(f'type: "Slice" slice_param {{ {text} }}', [shape], tops=tops)
