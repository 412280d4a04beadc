"""Input."""

import pytest
from harness import Case, build, reference_cases, run_reference

from protonet.errors import ProtonetError

CASES = [
    Case("one_for_all", 'type: "Input" input_param { shape { dim: 2 dim: 3 } }', [], [(2, 3)] * 3),
    Case(
        "one_each",
        'type: "Input" input_param { shape { dim: 2 dim: 3 } shape { dim: 5 } }',
        [],
        [(2, 3), (5,)],
    ),
    Case("a_scalar", 'type: "Input" input_param { shape { } }', [], [()]),
    Case("no_shape", 'type: "Input"', [], [()]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_shapes(case):
    case.build()


def test_values_and_a_later_shape_stay():
    layer, bottom, top = CASES[0].build()
    top[0].reshape(4, 3)
    top[0].data[...] = 7
    layer.reshape(bottom, top)
    layer.forward(bottom, top)
    layer.backward(top, [], bottom)
    assert top[0].shape == (4, 3)
    assert (top[0].data == 7).all()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ("shape { dim: 2 } shape { dim: 3 }", r"one for each of 3, got 2"),
        ("shape { dim: 2 dim: -3 }", r"cannot have the shape \(2, -3\)"),
        ("shape { dim: 65536 dim: 65536 }", r"cannot have the shape"),
    ],
)
def test_refused(shapes, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Input\): .*{message}"):
        build(f'type: "Input" input_param {{ {shapes} }}', [], tops=3)


@pytest.mark.parametrize("case", [c for c in reference_cases("Power") if c.id.startswith("input")])
def test_reference(case):
    run_reference(case)
