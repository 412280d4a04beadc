"""Exp."""

import numpy as np
import pytest
from harness import (
    Case,
    build,
    check_gradient,
    check_in_place,
    forward,
    reference_cases,
    run_reference,
)

from protonet.errors import ProtonetError

SHAPE = (2, 3, 5)
BASE = 'type: "Exp" exp_param { base: 3 scale: 0.5 shift: -0.25 }'
CASES = [
    (Case("natural", 'type: "Exp"', [SHAPE], [SHAPE]), np.exp),
    (Case("base", BASE, [SHAPE], [SHAPE]), lambda x: 3.0 ** (0.5 * x - 0.25)),
    (
        Case("shift", 'type: "Exp" exp_param { scale: -1 shift: 0.5 }', [SHAPE], [SHAPE]),
        lambda x: np.exp(0.5 - x),
    ),
]


@pytest.mark.parametrize(("case", "function"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, function):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, function(bottom[0].data), rtol=1e-6)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place(BASE, SHAPE)


def test_too_much_is_infinite():
    layer, bottom, top = build('type: "Exp" exp_param { shift: 1e6 }', [(3,)])
    forward(layer, bottom, top)
    assert np.isinf(top[0].data).all()


@pytest.mark.parametrize("case", reference_cases("Exp"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize("base", ["0", "-2"])
def test_refused(base):
    with pytest.raises(
        ProtonetError, match=rf"\(Exp\): base must be positive, or -1 for e; got {base}"
    ):
        build(f'type: "Exp" exp_param {{ base: {base} }}', [SHAPE])
