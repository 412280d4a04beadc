"""Concat."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

CASES = [  # and the axis
    (Case("channels", "", [(2, 3, 4, 5), (2, 1, 4, 5)], [(2, 4, 4, 5)]), 1),
    (Case("items", "axis: 0", [(2, 3), (4, 3), (1, 3)], [(7, 3)]), 0),
    (Case("last", "axis: -1", [(2, 3, 4), (2, 3, 1)], [(2, 3, 5)]), 2),
    (Case("older_name", "concat_dim: 0", [(2, 3), (4, 3)], [(6, 3)]), 0),
    (Case("of_one", "", [(2, 3, 4)], [(2, 3, 4)]), 1),
    (Case("an_empty_one", "", [(2, 3), (2, 0)], [(2, 3)]), 1),
]


@pytest.mark.parametrize(("case", "axis"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, axis):
    case.prototxt = f'type: "Concat" concat_param {{ {case.prototxt} }}'
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    want = np.concatenate([blob.data for blob in bottom], axis)
    np.testing.assert_array_equal(top[0].data, want)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("items", [1, 9])
def test_more_values_than_one_thread_takes(items):
    layer, bottom, top = build('type: "Concat"', [(items, 50_000), (items, 40_000)])
    forward(layer, bottom, top)
    want = np.concatenate([blob.data for blob in bottom], 1)
    np.testing.assert_array_equal(top[0].data, want)


@pytest.mark.parametrize("case", reference_cases("Concat"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottoms", "message"),
    [
        ("", [(2, 3, 4), (2, 3, 5)], r"all axes but axis 1; bottom 0 has shape \(2, 3, 4\), bot"),
        ("", [(2, 3), (2, 3, 1)], r"bottom 1 \(2, 3, 1\)"),
        ("axis: 2", [(2, 3), (2, 3)], r"axis 2 is out of range for a bottom of 2 axes"),
        ("concat_dim: 2", [(2, 3), (2, 3)], r"concat_dim 2 is out of range"),
        ("axis: 1 concat_dim: 1", [(2, 3), (2, 3)], r"expected axis or concat_dim, got both"),
    ],
)
def test_refused(text, bottoms, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Concat\): .*{message}"):
        build(f'type: "Concat" concat_param {{ {text} }}', bottoms)
