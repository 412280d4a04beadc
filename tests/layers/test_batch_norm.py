"""BatchNorm."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError
from protonet.kernels import threads
from protonet.layer import TEST, TRAIN

SHAPES = [(2, 3, 4, 5), (7, 3), (3, 70), (5, 2, 3), (6,)]
EPS = 'type: "BatchNorm" batch_norm_param { eps: 0.01 }'


def channels(shape):
    return shape[1] if len(shape) > 1 else 1


def case(shape, phase):
    c = channels(shape)
    return Case("", EPS, [shape], [shape], [(c,), (c,), (1,)], phase)


def axes_and_place(shape):
    """The axes of a mean over a channel, and the shape by which it repeats along the bottom."""
    axes = tuple(i for i in range(len(shape)) if i != 1)
    return axes, (channels(shape), *[1] * (len(shape) - 2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_statistics(shape):
    layer, bottom, top = case(shape, TRAIN).build()
    bottom[0].data[...] = bottom[0].data * 2 + 30
    forward(layer, bottom, top)
    axes, place = axes_and_place(shape)
    x = bottom[0].data.astype(float)
    mean, var = x.mean(axes), x.var(axes)
    want = (x - mean.reshape(place)) / np.sqrt(var.reshape(place) + 0.01)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-4, atol=1e-5)
    m = x.size // channels(shape)
    means, variances, weight = (blob.data for blob in layer.blobs)
    np.testing.assert_allclose(means, mean.reshape(-1), rtol=1e-5)
    np.testing.assert_allclose(variances, var.reshape(-1) * m / (m - 1), rtol=1e-5)
    assert weight == 1
    check_gradient(layer, bottom, top, params=False)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_running_statistics(shape):
    layer, bottom, top = case(shape, TEST).build()
    rng = np.random.default_rng(3)
    mean, var = rng.normal(size=channels(shape)), rng.uniform(0.5, 2, channels(shape))
    for blob, value in zip(layer.blobs, (4 * mean, 4 * var, 4), strict=True):
        blob.data[...] = value
    forward(layer, bottom, top)
    _, place = axes_and_place(shape)
    want = (bottom[0].data - mean.reshape(place)) / np.sqrt(var.reshape(place) + 0.01)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top, params=False)
    assert layer.blobs[2].data == 4


def test_running_sums_decay():
    text = 'type: "BatchNorm" batch_norm_param { moving_average_fraction: 0.5 }'
    layer, bottom, top = build(text, [(2, 1)], TRAIN, values=[[[1], [3]]])
    for _ in range(2):
        forward(layer, bottom, top)
    means, variances, weight = (float(blob.data[0]) for blob in layer.blobs)
    assert (means, variances, weight) == (0.5 * 2 + 2, 0.5 * 2 + 2, 1.5)


def test_one_value_a_channel():
    layer, bottom, top = build('type: "BatchNorm"', [(1, 3)], TRAIN)
    forward(layer, bottom, top)
    assert not top[0].data.any() and not layer.blobs[1].data.any()


def test_bits_do_not_depend_on_the_number_of_threads():
    before, results = threads.count(), []
    try:
        for count in (1, 2, 3):
            threads.set_count(count)
            layer, bottom, top = build('type: "BatchNorm"', [(3, 7, 50, 60)], TRAIN)
            forward(layer, bottom, top)
            top[0].diff[...] = np.random.default_rng(5).normal(size=top[0].shape)
            layer.backward(top, [True], bottom)
            results.append((top[0].data.copy(), bottom[0].diff.copy()))
    finally:
        threads.set_count(before)
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


@pytest.mark.parametrize("case", reference_cases("BatchNorm"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("text", "bottom", "message"),
    [
        ("param { lr_mult: 0 } param { lr_mult: 2 }", (2, 3), r"param 1 has 2"),
        ("", (), r"expected a bottom of 1 channels, got shape \(\)"),
    ],
)
def test_refused(text, bottom, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(BatchNorm\): .*{message}"):
        build(f'type: "BatchNorm" {text}', [bottom])


def test_another_number_of_channels_is_refused_later():
    layer, bottom, top = build('type: "BatchNorm"', [(2, 3)])
    bottom[0].reshape(2, 4)
    with pytest.raises(ProtonetError, match=r"expected a bottom of 3 channels, got shape \(2, 4\)"):
        layer.reshape(bottom, top)
