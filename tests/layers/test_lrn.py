"""LRN."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError


def lrn(text):
    return f'type: "LRN" lrn_param {{ {text} }}'


SHAPE = (2, 7, 4, 5)
CASES = [
    Case("across", lrn("alpha: 0.6"), [SHAPE], [SHAPE]),
    Case("across_power", lrn("local_size: 3 alpha: 0.6 beta: 0.5 k: 2"), [SHAPE], [SHAPE]),
    Case("across_all", lrn("local_size: 21 alpha: 0.6"), [SHAPE], [SHAPE]),
    Case("one", lrn("local_size: 1 alpha: 0.6"), [SHAPE], [SHAPE]),
    Case(
        "within",
        lrn("local_size: 3 alpha: 0.9 beta: 0.5 k: 5 norm_region: WITHIN_CHANNEL"),
        [SHAPE],
        [SHAPE],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    param, x = layer.param.lrn_param, bottom[0].data.astype(np.float64)
    half, within = param.local_size // 2, param.norm_region == 1
    squares = np.pad(x**2, [(0, 0)] + [(half * (within == (a > 1)),) * 2 for a in (1, 2, 3)])
    total = np.zeros_like(x)
    for n, c, h, w in np.ndindex(*SHAPE):
        window = (
            (c, slice(h, h + param.local_size), slice(w, w + param.local_size))
            if within
            else (slice(c, c + param.local_size), h, w)
        )
        total[n, c, h, w] = squares[(n, *window)].sum()
    area = param.local_size ** (2 if within else 1)
    divisor = (1 if within else param.k) + param.alpha / area * total
    np.testing.assert_allclose(top[0].data, x / divisor**param.beta, rtol=1e-5)
    check_gradient(layer, bottom, top)


def test_another_image_size():
    layer, bottom, top = CASES[0].build()
    forward(layer, bottom, top)
    bottom[0].reshape(1, 7, 3, 9)
    layer.reshape(bottom, top)
    check_gradient(layer, bottom, top, samples=20)


def test_refused():
    with pytest.raises(ShapeError, match=r"\(LRN\): local_size must be odd, got 4"):
        build(lrn("local_size: 4"), [SHAPE])
    with pytest.raises(ShapeError, match=r"axes \(N, C, H, W\), got shape \(2, 7, 4\)"):
        build(lrn(""), [(2, 7, 4)])


@pytest.mark.parametrize("case", reference_cases("LRN"))
def test_reference(case):
    run_reference(case)
