"""PReLU."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

DRAWN = 'filler { type: "gaussian" }'
CASES = [
    Case(
        "channels",
        f'type: "PReLU" prelu_param {{ {DRAWN} }}',
        [(2, 3, 4, 5)],
        [(2, 3, 4, 5)],
        [(3,)],
    ),
    Case(
        "shared",
        f'type: "PReLU" prelu_param {{ {DRAWN} channel_shared: true }}',
        [(2, 3, 5)],
        [(2, 3, 5)],
        [()],
    ),
    Case("flat", 'type: "PReLU"', [(7, 3)], [(7, 3)], [(3,)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    x, slope = bottom[0].data, layer.blobs[0].data
    slope = slope.reshape(-1, *[1] * (x.ndim - 2)) if slope.ndim else slope
    np.testing.assert_allclose(top[0].data, np.where(x > 0, x, slope * x), rtol=1e-6)
    check_gradient(layer, bottom, top)


def test_slopes_start_at_a_quarter():
    layer, _, _ = CASES[2].build()
    assert (layer.blobs[0].data == 0.25).all()


def test_refused():
    with pytest.raises(ShapeError, match=r"\(PReLU\): .* axes \(N, C, ...\), got shape \(7,\)"):
        build('type: "PReLU"', [(7,)])
    layer, bottom, top = CASES[2].build()
    bottom[0].reshape(3, 7)
    with pytest.raises(ShapeError, match=r"of 3 channels, got shape \(3, 7\)"):
        layer.reshape(bottom, top)


@pytest.mark.parametrize("case", reference_cases("PReLU"))
def test_reference(case):
    run_reference(case)
