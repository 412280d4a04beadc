"""SPP."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError


def spp(text):
    return f'type: "SPP" spp_param {{ {text} }}'


CASES = [
    Case("three", spp("pyramid_height: 3"), [(2, 3, 4, 8)], [(2, 63)]),
    Case("ave", spp("pyramid_height: 2 pool: AVE"), [(2, 3, 5, 6)], [(2, 15)]),
    Case("one", spp("pyramid_height: 1"), [(2, 3, 4, 5)], [(2, 3, 1, 1)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    order = np.random.default_rng(3).permutation(np.prod(case.bottoms[0]))
    check_gradient(*case.build([order.reshape(case.bottoms[0]) / 10]))


def test_levels_lie_side_by_side():
    layer, bottom, top = build(spp("pyramid_height: 2"), [(2, 3, 4, 6)])
    forward(layer, bottom, top)
    x = bottom[0].data
    bins = x.reshape(2, 3, 2, 2, 2, 3).max(axis=(3, 5)).reshape(2, 12)
    want = np.concatenate([x.max(axis=(2, 3)), bins], axis=1)
    np.testing.assert_array_equal(top[0].data, want)


def test_as_many_values_for_another_image():
    layer, bottom, top = CASES[0].build()
    bottom[0].reshape(2, 3, 16, 12)
    layer.reshape(bottom, top)
    assert top[0].shape == (2, 63)


def test_refused():
    with pytest.raises(ProtonetError, match="pyramid_height must be at least 1, got 0"):
        build(spp(""), [(2, 3, 4, 5)])
    with pytest.raises(ProtonetError, match=r"4 bins a side, more than .* \(2, 3, 3, 9\)"):
        build(spp("pyramid_height: 3"), [(2, 3, 3, 9)])
    with pytest.raises(ProtonetError, match=r"axes \(N, C, H, W\), got shape \(2, 3, 4\)"):
        build(spp("pyramid_height: 1"), [(2, 3, 4)])


@pytest.mark.parametrize("case", reference_cases("SPP"))
def test_reference(case):
    run_reference(case)
