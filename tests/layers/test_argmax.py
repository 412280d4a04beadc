"""ArgMax."""

import numpy as np
import pytest
from harness import Case, build, forward, reference_cases, run_reference

from protonet.errors import ProtonetError


def argmax(text):
    return f'type: "ArgMax" argmax_param {{ {text} }}'


CASES = [
    Case("all", argmax("top_k: 4"), [(2, 3, 5)], [(2, 1, 4)]),
    Case("all_flat", argmax("top_k: 2"), [(2, 3)], [(2, 1, 2)]),
    Case("all_image", argmax("top_k: 2 out_max_val: true"), [(2, 3, 4, 5)], [(2, 2, 2, 1)]),
    Case("axis", argmax("top_k: 2 axis: 1"), [(2, 3, 5)], [(2, 2, 5)]),
    Case("axis_values", argmax("axis: -1 out_max_val: true"), [(2, 3, 5)], [(2, 3, 1)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    param, x = layer.param.argmax_param, bottom[0].data
    axis = param.axis if param.HasField("axis") else 1
    x = x if param.HasField("axis") else x.reshape(len(x), -1)
    index = np.flip(np.argsort(x, axis=axis), axis=axis).take(range(param.top_k), axis=axis)
    value = np.take_along_axis(x, index, axis=axis)
    if param.HasField("axis"):
        want = value if param.out_max_val else index
    else:
        want = np.concatenate([index, value], axis=1) if param.out_max_val else index
    np.testing.assert_array_equal(top[0].data.reshape(want.shape), want)


def test_the_larger_of_equal_indices_comes_first():
    layer, bottom, top = build(argmax("top_k: 3"), [(1, 5)], values=[[[2, 9, 9, 1, 9]]])
    forward(layer, bottom, top)
    assert top[0].data.ravel().tolist() == [4, 2, 1]


def test_refused():
    with pytest.raises(ProtonetError, match=r"top_k must be 1 to 6, .* got 7"):
        build(argmax("top_k: 7"), [(2, 3, 2)])
    with pytest.raises(ProtonetError, match=r"top_k must be 1 to 3, .* got 0"):
        build(argmax("top_k: 0 axis: 1"), [(2, 3, 2)])
    with pytest.raises(ProtonetError, match="axis 3 is out of range"):
        build(argmax("axis: 3"), [(2, 3, 2)])
    with pytest.raises(ProtonetError, match="at least one axis, got a scalar"):
        build(argmax(""), [()])
    layer, bottom, top = CASES[0].build()
    with pytest.raises(ProtonetError, match="an index has no gradient"):
        layer.backward(top, [True], bottom)
    layer.backward(top, [False], bottom)


@pytest.mark.parametrize("case", reference_cases("ArgMax"))
def test_reference(case):
    run_reference(case)
