"""Reduction."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

SHAPE = (2, 3, 5)
FUNCTIONS = {
    "SUM": np.sum,
    "MEAN": np.mean,
    "ASUM": lambda x, axis: np.abs(x).sum(axis),
    "SUMSQ": lambda x, axis: (x**2).sum(axis),
}
AXES = [(0, ()), (1, (2,)), (-1, (2, 3))]


def text(operation, axis, coeff=1.0):
    fields = f"operation: {operation} axis: {axis} coeff: {coeff}"
    return f'type: "Reduction" reduction_param {{ {fields} }}'


@pytest.mark.parametrize(("axis", "shape"), AXES)
@pytest.mark.parametrize("operation", FUNCTIONS)
def test_forward_and_gradient(operation, axis, shape):
    case = Case("", text(operation, axis, -1.5), [SHAPE], [shape])
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    x = bottom[0].data.astype(float).reshape(*shape, -1)
    want = -1.5 * FUNCTIONS[operation](x, axis=-1)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top)


def test_more_values_than_are_summed_at_a_time():
    x = np.random.default_rng(2).uniform(0.5, 1, (2, 50_001))
    layer, bottom, top = build(text("SUM", 1), [x.shape], values=[x])
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, x.sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("case", reference_cases("Reduction"))
def test_reference(case):
    run_reference(case)


def test_refused():
    with pytest.raises(ShapeError, match=r"\(Reduction\): axis 3 is out of range for a bottom of"):
        build(text("SUM", 3), [SHAPE])
