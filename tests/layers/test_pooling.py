"""Pooling."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError
from protonet.kernels import threads
from protonet.layer import TRAIN
from protonet.random import set_random_seed

IMAGE = (2, 3, 5, 7)


def pool(text):
    return f'type: "Pooling" pooling_param {{ {text} }}'


def spaced(shape):
    """Values 0.1 apart and not negative: no step of the checker makes another one the largest."""
    order = np.random.default_rng(3).permutation(np.prod(shape))
    return order.reshape(shape).astype(np.float32) / 10


CASES = [
    Case("max", pool("kernel_size: 2 stride: 2"), [IMAGE], [(2, 3, 3, 4)]),
    Case("max_mask", pool("kernel_size: 3 stride: 2 pad: 1"), [IMAGE], [(2, 3, 3, 4)] * 2),
    Case("max_floor", pool("kernel_size: 2 stride: 2 round_mode: FLOOR"), [IMAGE], [(2, 3, 2, 3)]),
    Case("max_gaps", pool("kernel_size: 1 stride: 2"), [IMAGE], [(2, 3, 3, 4)]),
    Case(
        "ave",
        pool("pool: AVE kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0"),
        [IMAGE],
        [(2, 3, 6, 3)],
    ),
    Case("ave_global", pool("pool: AVE global_pooling: true"), [IMAGE], [(2, 3, 1, 1)]),
    Case("max_global", pool("global_pooling: true"), [IMAGE], [(2, 3, 1, 1)]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    layer, bottom, top = case.build([spaced(IMAGE)])
    check_gradient(layer, bottom, top[:1])


def test_mask_points_at_the_maxima():
    layer, bottom, top = CASES[1].build()
    forward(layer, bottom, top)
    flat, mask = bottom[0].data.reshape(6, -1), top[1].data.reshape(6, -1).astype(int)
    np.testing.assert_array_equal(np.take_along_axis(flat, mask, 1), top[0].data.reshape(6, -1))


def test_a_second_mask_pass_after_a_larger_image():
    layer, bottom, top = CASES[0].build()
    forward(layer, bottom, top)
    bottom[0].reshape(2, 3, 8, 6)
    layer.reshape(bottom, top)
    assert top[0].shape == (2, 3, 4, 3)
    bottom[0].data[...] = spaced((2, 3, 8, 6))
    check_gradient(layer, bottom, top, samples=20)


STOCHASTIC = pool("pool: STOCHASTIC kernel_size: 2 stride: 2")


def test_stochastic_draws_in_proportion():
    values = np.tile(np.float32([[1, 3], [0, 4]]), (1, 5, 40, 60))
    layer, bottom, top = build(STOCHASTIC, [values.shape], TRAIN, values=[values])
    forward(layer, bottom, top)
    for value in (1, 3, 4):
        assert (top[0].data == value).mean() == pytest.approx(value / 8, abs=0.02)
    top[0].diff[...] = 1
    layer.backward(top, [True], bottom)
    assert bottom[0].diff.sum() == top[0].count
    assert (bottom[0].diff[values == 0] == 0).all()


def test_stochastic_gradient():
    layer, bottom, top = build(STOCHASTIC, [IMAGE], TRAIN, values=[spaced(IMAGE)])
    check_gradient(layer, bottom, top)


def test_stochastic_expects_when_tested():
    layer, bottom, top = build(STOCHASTIC, [(1, 2, 2, 3)])
    bottom[0].data[0] = [[[1, 3, 0], [0, 4, 2]], [[0, 0, 5], [0, 0, 0]]]
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data[0], [[[26 / 8, 2]], [[0, 5]]], rtol=1e-6)
    with pytest.raises(ProtonetError, match="a gradient in the TRAIN phase only"):
        layer.backward(top, [True], bottom)


def test_stochastic_is_the_same_on_any_number_of_threads():
    before, results = threads.count(), []
    try:
        for n in (1, 3):
            threads.set_count(n)
            set_random_seed(5)
            layer, bottom, top = build(STOCHASTIC, [(3, 4, 50, 60)], TRAIN)
            forward(layer, bottom, top)
            results.append(top[0].data.copy())
    finally:
        threads.set_count(before)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("text", "shape", "tops", "message"),
    [
        ("stride: 2", IMAGE, 1, "no kernel_size is given"),
        ("kernel_size: 2 pad: 2", IMAGE, 1, r"pad must be smaller .* \(2, 2\) and kernel \(2, 2\)"),
        ("global_pooling: true kernel_size: 2", IMAGE, 1, "no kernel_size can be given"),
        ("global_pooling: true pad: 1", IMAGE, 1, "no pad, and a stride of 1"),
        (
            "kernel_size: 2 kernel_h: 2",
            IMAGE,
            1,
            "either kernel_size or both kernel_h and",
        ),
        ("kernel_h: 2", IMAGE, 1, "both kernel_h and kernel_w, got kernel_h"),
        ("kernel_size: 2 stride_w: 1", IMAGE, 1, "either stride or both stride_h and stride_w"),
        ("kernel_size: 0", IMAGE, 1, r"must be at least 1, got \(0, 0\)"),
        ("kernel_size: 2 stride: 0", IMAGE, 1, "must be at least 1"),
        ("kernel_size: 9", IMAGE, 1, r"kernel \(9, 9\) .* does not fit"),
        ("kernel_size: 2", (2, 3, 4), 1, r"axes \(N, C, H, W\), got shape \(2, 3, 4\)"),
        ("kernel_size: 2 pool: AVE", IMAGE, 2, "only MAX pooling has a second top"),
        ("kernel_size: 2 pool: STOCHASTIC pad: 1", IMAGE, 1, "only MAX and AVE .* pad"),
    ],
)
def test_refused(text, shape, tops, message):
    with pytest.raises(ProtonetError, match=rf"^layer 'under_test' \(Pooling\): .*{message}"):
        build(pool(text), [shape], tops=tops)


@pytest.mark.parametrize("case", reference_cases("Pooling"))
def test_reference(case):
    run_reference(case)
