"""Crop."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

IMAGE = (2, 3, 7, 8)
CASES = [  # and the window
    (Case("corner", "", [IMAGE, (9, 9, 4, 5)], [(2, 3, 4, 5)]), np.s_[:, :, :4, :5]),
    (Case("offset", "offset: 2", [IMAGE, (1, 1, 4, 5)], [(2, 3, 4, 5)]), np.s_[:, :, 2:6, 2:7]),
    (
        Case("offsets", "offset: 1 offset: 3", [IMAGE, (1, 1, 4, 5)], [(2, 3, 4, 5)]),
        np.s_[:, :, 1:5, 3:],
    ),
    (
        Case("channels", "axis: 1 offset: 1", [IMAGE, (9, 2, 6, 5)], [(2, 2, 6, 5)]),
        np.s_[:, 1:, 1:, 1:6],
    ),
    (Case("last", "axis: -1", [(2, 7), (1, 3)], [(2, 3)]), np.s_[:, :3]),
]


@pytest.mark.parametrize(("case", "window"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, window):
    case.prototxt = f'type: "Crop" crop_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data[window])
    check_gradient(layer, bottom, top)
    layer.backward(top, [False, True], bottom)
    assert not bottom[1].diff.any()


@pytest.mark.parametrize("case", reference_cases("Crop"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottoms", "message"),
    [
        (
            "offset: 3",
            [(2, 3, 6, 5), (2, 3, 4, 1)],
            r"a window of 4 at offset 3 goes beyond axis 2 of the bottom, shape \(2, 3, 6, 5\)",
        ),
        ("", [IMAGE, (4, 5)], r"expected two bottoms with as many axes, got shapes .* \(4, 5\)"),
        ("offset: 0 offset: 0 offset: 0", [IMAGE, IMAGE], r"each of the 2 axes from axis 2 on"),
        ("axis: 4", [IMAGE, IMAGE], r"axis 4 is out of range for a bottom of 4 axes"),
    ],
)
def test_refused(text, bottoms, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Crop\): .*{message}"):
        build(f'type: "Crop" crop_param {{ {text} }}', bottoms)
