"""Dropout."""

import numpy as np
import pytest
from harness import build, check_gradient, check_in_place, forward, reference_cases, run_reference

from protonet.errors import ProtonetError
from protonet.kernels import threads
from protonet.layer import TEST, TRAIN

DROPOUT = 'type: "Dropout" dropout_param { dropout_ratio: 0.2 }'


def test_nothing_is_dropped_when_tested():
    layer, bottom, top = build(DROPOUT, [(2, 3, 5)], TEST)
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data)
    check_gradient(layer, bottom, top)


def test_a_share_is_dropped_and_the_rest_scaled():
    layer, bottom, top = build(DROPOUT, [(30, 4000)], TRAIN)
    forward(layer, bottom, top)
    kept = top[0].data != 0
    assert kept.mean() == pytest.approx(0.8, abs=0.005)
    np.testing.assert_allclose(top[0].data[kept], bottom[0].data[kept] / 0.8, rtol=1e-6)
    first = kept.copy()
    layer.forward(bottom, top)
    assert ((top[0].data != 0) != first).any()


def test_gradient():
    layer, bottom, top = build(DROPOUT, [(2, 3, 5)], TRAIN)
    check_gradient(layer, bottom, top)


def test_in_place():
    check_in_place(DROPOUT, (2, 3, 5), TRAIN)


def test_draws_are_the_same_on_any_number_of_threads():
    before, results = threads.count(), []
    try:
        for n in (1, 3):
            threads.set_count(n)
            layer, bottom, top = build(DROPOUT, [(3, 50_000)], TRAIN)
            forward(layer, bottom, top)
            results.append(top[0].data.copy())
    finally:
        threads.set_count(before)
    np.testing.assert_array_equal(*results)


def test_nothing_dropped_at_ratio_zero():
    text = 'type: "Dropout" dropout_param { dropout_ratio: 0 }'
    layer, bottom, top = build(text, [(3, 7)], TRAIN)
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data)


@pytest.mark.parametrize("ratio", [1, -0.5])
def test_refused(ratio):
    with pytest.raises(ProtonetError, match=rf"at least 0 and less than 1, got {ratio}"):
        build(f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}', [(3, 7)])


@pytest.mark.parametrize("case", reference_cases("Dropout"))
def test_reference(case):
    run_reference(case)
