"""Power."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

SHAPE = (2, 3, 5)
CASES = [  # power, scale, shift
    (1, 1, 0),
    (1, -0.5, 2),
    (2, 0.7, -0.3),
    (3, 0.5, 0),
    (0.5, 0.5, 3),
    (-0.75, 0.25, 2),
    (0, 2, 1),
    (2, 0, 3),
]


def text(power, scale, shift):
    return f'type: "Power" power_param {{ power: {power} scale: {scale} shift: {shift} }}'


@pytest.mark.parametrize(("power", "scale", "shift"), CASES)
def test_forward_and_gradient(power, scale, shift):
    case = Case("", text(power, scale, shift), [SHAPE], [SHAPE])
    x = np.random.default_rng(7).uniform(-2, 2, SHAPE)
    layer, bottom, top = case.build([x])
    forward(layer, bottom, top)
    want = (scale * bottom[0].data.astype(float) + shift) ** power
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top)


def test_the_gradient_at_zero_is_a_number():
    layer, bottom, top = build(text(3, 2, 0), [(2,)], values=[[0, 1]])
    forward(layer, bottom, top)
    top[0].diff.fill(1)
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [0, 24])


@pytest.mark.parametrize(
    ("power", "scale", "shift", "gradient"),
    [
        (1, 3, 1, lambda y: np.full_like(y, 9)),
        (2, 0.5, 1, lambda y: (0.5 * y + 1) ** 2),
        (3, 0.5, 0, lambda y: np.full_like(y, 9)),
        (3, 2, 1, lambda y: (6 * y / (2 * y + 1)) ** 2),
        (0, 2, 1, np.zeros_like),
    ],
)
def test_in_place_the_gradient_is_the_square_that_caffe_computes(power, scale, shift, gradient):
    layer, blob, _ = build(text(power, scale, shift), [(4,)])
    forward(layer, blob, blob)
    y = blob[0].data.copy()
    blob[0].diff[...] = [5, 6, 7, 8]
    layer.backward(blob, [True], blob)
    np.testing.assert_allclose(blob[0].diff, gradient(y), rtol=1e-5)


@pytest.mark.parametrize("case", reference_cases("Power"))
def test_reference(case):
    run_reference(case)
