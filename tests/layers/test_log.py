"""Log."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

SHAPE = (2, 3, 5)
CASES = [
    (Case("natural", 'type: "Log"', [SHAPE], [SHAPE]), np.log),
    (
        Case("base", 'type: "Log" log_param { base: 10 scale: 2 shift: 0.5 }', [SHAPE], [SHAPE]),
        lambda x: np.log10(2 * x + 0.5),
    ),
]


@pytest.mark.parametrize(("case", "function"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, function):
    x = np.random.default_rng(7).uniform(0.5, 2, SHAPE)
    layer, bottom, top = case.build([x])
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, function(bottom[0].data), rtol=1e-5, atol=1e-7)
    check_gradient(layer, bottom, top)


def test_in_place_takes_y_for_x():
    layer, blob, _ = build('type: "Log" log_param { scale: 3 }', [(3,)], values=[[2, 3, 4]])
    forward(layer, blob, blob)
    y = blob[0].data.copy()
    blob[0].diff.fill(1)
    layer.backward(blob, [True], blob)
    np.testing.assert_allclose(blob[0].diff, 1 / y, rtol=1e-6)


@pytest.mark.parametrize("case", reference_cases("Log"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize("base", ["0", "1", "-2"])
def test_refused(base):
    with pytest.raises(
        ProtonetError, match=rf"\(Log\): base must be positive and not 1, .* got {base}"
    ):
        build(f'type: "Log" log_param {{ base: {base} }}', [SHAPE])
