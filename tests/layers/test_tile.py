"""Tile."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

CASES = [  # and the repetitions along each axis
    (Case("channels", "tiles: 4", [(2, 3, 5)], [(2, 12, 5)]), (1, 4, 1)),
    (Case("items", "axis: 0 tiles: 3", [(2, 5)], [(6, 5)]), (3, 1)),
    (Case("last", "axis: -1 tiles: 2", [(2, 3, 5)], [(2, 3, 10)]), (1, 1, 2)),
    (Case("once", "tiles: 1", [(2, 3)], [(2, 3)]), (1, 1)),
]


@pytest.mark.parametrize(("case", "repeat"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, repeat):
    case.prototxt = f'type: "Tile" tile_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, np.tile(bottom[0].data, repeat))
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("Tile"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected tiles, a positive number, got none"),
        ("tiles: 0", "expected tiles, a positive number, got 0"),
        ("tiles: 2 axis: 2", "axis 2 is out of range for a bottom of 2 axes"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Tile\): {message}"):
        build(f'type: "Tile" tile_param {{ {text} }}', [(2, 3)])
