"""Eltwise."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

SHAPE = (2, 3, 5)


def case(name, text, bottoms):
    return Case(name, f'type: "Eltwise" eltwise_param {{ {text} }}', [SHAPE] * bottoms, [SHAPE])


CASES = [
    (case("sum", "", 2), lambda a, b: a + b),
    (case("sum_of_four", "", 4), lambda a, b, c, d: a + b + c + d),
    (
        case("coeff", "coeff: 1 coeff: -0.5 coeff: 2", 3),
        lambda a, b, c: a - 0.5 * b + 2 * c,
    ),
    (case("prod", "operation: PROD", 2), lambda a, b: a * b),
    (case("prod_of_three", "operation: PROD", 3), lambda a, b, c: a * b * c),
    (
        case("prod_unstable", "operation: PROD stable_prod_grad: false", 3),
        lambda a, b, c: a * b * c,
    ),
    (case("max", "operation: MAX", 2), np.maximum),
    (case("max_of_four", "operation: MAX", 4), lambda *x: np.max(x, axis=0)),
]


@pytest.mark.parametrize(("case", "function"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, function):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    want = function(*[blob.data for blob in bottom])
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top)


def test_which_of_equal_maxima_takes_the_gradient():
    values = [[1, 1, 1, 2], [1, 1, 0, 2], [1, 0, 1, 2], [1, 1, 0, 3]]
    layer, bottom, top = build(
        'type: "Eltwise" eltwise_param { operation: MAX }', [(4,)] * 4, values=values
    )
    forward(layer, bottom, top)
    top[0].diff[...] = [5, 6, 7, 8]
    layer.backward(top, [True] * 4, bottom)
    got = [blob.diff.tolist() for blob in bottom]
    assert got == [[0, 0, 7, 0], [5, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 8]]


def test_one_gradient_alone():
    layer, bottom, top = build('type: "Eltwise" eltwise_param { operation: PROD }', [(3,)] * 2)
    forward(layer, bottom, top)
    top[0].diff.fill(2)
    layer.backward(top, [False, True], bottom)
    assert not bottom[0].diff.any()
    np.testing.assert_array_equal(bottom[1].diff, 2 * bottom[0].data)


def test_more_values_than_one_thread_takes():
    layer, bottom, top = build('type: "Eltwise"', [(7, 33_333)] * 3)
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, sum(b.data for b in bottom), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", reference_cases("Eltwise"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottoms", "message"),
    [
        ("", [(2, 3), (2, 4)], r"bottoms of one shape; bottom 0 has \(2, 3\), bottom 1 \(2, 4\)"),
        ("", [(2, 3), (6,)], r"bottoms of one shape; bottom 0 has \(2, 3\), bottom 1 \(6,\)"),
        ("coeff: 1", [(3,), (3,)], r"expected a coeff for each of 2 bottoms, got \[1.0\]"),
        ("operation: PROD coeff: 1 coeff: 2", [(3,), (3,)], r"coeff only with the operation SUM"),
    ],
)
def test_refused(text, bottoms, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Eltwise\): .*{message}"):
        build(f'type: "Eltwise" eltwise_param {{ {text} }}', bottoms)
