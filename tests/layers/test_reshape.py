"""Reshape."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference
from hypothesis import given, settings
from hypothesis import strategies as st

from protonet.errors import ProtonetError


def text(dims, fields=""):
    shape = " ".join(f"dim: {dim}" for dim in dims)
    return f'type: "Reshape" reshape_param {{ shape {{ {shape} }} {fields} }}'


CASES = [
    Case("given", text([6, 4]), [(2, 3, 4)], [(6, 4)]),
    Case("copied_and_left", text([0, -1]), [(2, 3, 4)], [(2, 12)]),
    Case("left_first", text([-1, 0, 0]), [(2, 3, 4)], [(2, 3, 4)]),
    Case("new_last_axes", text([0, 0, 0, 1, 1]), [(2, 3, 4)], [(2, 3, 4, 1, 1)]),
    Case("middle", text([5, -1], "axis: 1 num_axes: 2"), [(3, 4, 5, 2)], [(3, 5, 4, 2)]),
    Case("from_axis", text([0, -1], "axis: 1"), [(2, 3, 4, 5)], [(2, 3, 20)]),
    Case("inserted", text([1], "axis: 1 num_axes: 0"), [(2, 3)], [(2, 1, 3)]),
    Case("inserted_last", text([1, 1], "axis: -1 num_axes: 0"), [(2, 3)], [(2, 3, 1, 1)]),
    Case("axis_from_behind", text([-1], "axis: -3 num_axes: 2"), [(2, 3, 4)], [(2, 12)]),
    Case("to_a_scalar", text([]), [(1, 1)], [()]),
    Case("from_a_scalar", text([1, 1]), [()], [(1, 1)]),
    Case("empty", text([0, 6]), [(0, 2, 3)], [(0, 6)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data.reshape(-1), bottom[0].data.reshape(-1))
    check_gradient(layer, bottom, top)


def test_nothing_is_copied():
    layer, bottom, top = build(text([-1]), [(2, 3)])
    forward(layer, bottom, top)
    top[0].diff.fill(3)
    layer.backward(top, [True], bottom)
    assert np.shares_memory(top[0].data, bottom[0].data)
    assert np.shares_memory(top[0].diff, bottom[0].diff)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 5), max_size=4), st.data())
def test_any_axes_join_and_come_back(shape, data):
    start = data.draw(st.integers(0, len(shape)))
    end = data.draw(st.integers(start, len(shape)))
    joined = text([-1], f"axis: {start} num_axes: {end - start}")
    _, _, top = build(joined, [tuple(shape)])
    assert top[0].shape == (*shape[:start], int(np.prod(shape[start:end])), *shape[end:])
    _, _, back = build(text(shape[start:end], f"axis: {start} num_axes: 1"), [top[0].shape])
    assert back[0].shape == tuple(shape)


@pytest.mark.parametrize("case", reference_cases("Reshape"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (text([5]), (2, 3), r"as in the bottom, shape \(2, 3\) \(6\); got shape \(5,\) \(5\)"),
        (text([-1, -1]), (2, 3), r"expected at most one dim of -1, got \[-1, -1\]"),
        (text([-2]), (2, 3), r"expected each dim to be at least -1, got \[-2\]"),
        (text([4, -1]), (2, 3), r"the 6 values of the bottom do not fill whole rows of 4"),
        (text([0, -1]), (0, 3), r"the 0 values of the bottom do not fill whole rows of 0"),
        (text([2, 3, 0]), (2, 3), r"dim 0 copies axis 2, which the bottom of shape \(2, 3\) does"),
        (text([6], "axis: 3"), (2, 3), r"axis 3 is out of range for a bottom of 2 axes"),
        (text([6], "axis: -4"), (2, 3), r"axis -4 is out of range"),
        (text([6], "axis: 1 num_axes: 2"), (2, 3), r"axis 1 and num_axes 2 go beyond the 2 axes"),
        (text([6], "num_axes: -2"), (2, 3), r"num_axes must be at least -1, got -2"),
    ],
)
def test_refused(layer, shape, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Reshape\): .*{message}"):
        build(layer, [shape])
