"""Convolution."""

import itertools

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

FILL = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'


def conv(text):
    return f'type: "Convolution" convolution_param {{ {FILL} {text} }}'


IMAGE = (2, 3, 6, 5)
CASES = [
    Case(
        "square",
        conv("num_output: 4 kernel_size: 3"),
        [IMAGE],
        [(2, 4, 4, 3)],
        [(4, 3, 3, 3), (4,)],
    ),
    Case(
        "rectangular",
        conv(
            "num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1"
            " dilation: 2 dilation: 1 bias_term: false"
        ),
        [IMAGE],
        [(2, 4, 2, 5)],
        [(4, 3, 2, 3)],
    ),
    Case(
        "group_two_bottoms",
        conv("num_output: 6 kernel_size: 2 stride: 2 pad: 1 group: 3"),
        [IMAGE, IMAGE],
        [(2, 6, 4, 3), (2, 6, 4, 3)],
        [(6, 1, 2, 2), (6,)],
    ),
    Case(
        "one_axis",
        conv("num_output: 4 kernel_size: 3 stride: 2 pad: 1 dilation: 2"),
        [(2, 3, 9)],
        [(2, 4, 4)],
        [(4, 3, 3), (4,)],
    ),
    Case(
        "three_axes",
        conv("num_output: 4 kernel_size: 2 kernel_size: 1 kernel_size: 3 stride: 2 pad: 1"),
        [(1, 2, 4, 3, 5)],
        [(1, 4, 3, 3, 3)],
        [(4, 2, 2, 1, 3), (4,)],
    ),
    Case(
        "no_spatial_axis",
        conv("num_output: 4 axis: -1"),
        [(2, 5, 3)],
        [(2, 5, 4)],
        [(4, 3), (4,)],
    ),
    Case(
        "another_axis",
        conv("num_output: 4 kernel_size: 2 axis: 2"),
        [(2, 1, 3, 5, 4)],
        [(2, 1, 4, 4, 3)],
        [(4, 3, 2, 2), (4,)],
    ),
    Case(
        "general",
        conv("num_output: 4 kernel_size: 3 stride: 2 pad: 1 force_nd_im2col: true"),
        [IMAGE],
        [(2, 4, 3, 3)],
        [(4, 3, 3, 3), (4,)],
    ),
]


def naive(x, w, b, stride, pad, dilation, group):
    """The definition, position by position. x: (N, C, size...), w: (O, C / group, kernel...)."""
    axes = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in pad)])
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    size = [(n - e) // s + 1 for n, e, s in zip(x.shape[2:], extent, stride, strict=True)]
    y = np.zeros((len(x), len(w), *size))
    per_group = len(w) // group
    for o, at in itertools.product(range(len(w)), itertools.product(*map(range, size))):
        channels = slice(o // per_group * w.shape[1], (o // per_group + 1) * w.shape[1])
        window = tuple(
            slice(i * s, i * s + e, d)
            for i, s, e, d in zip(at, stride, extent, dilation, strict=True)
        )
        part = x[(slice(None), channels, *window)] * w[o]
        y[(slice(None), o, *at)] = part.sum(axis=tuple(range(1, axes + 2)))
    return y + (0 if b is None else b.reshape(-1, *[1] * axes))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    layer, bottom, top = case.build()
    forward(layer, bottom, top)
    windows, axis = layer.windows, len(bottom[0].shape) - len(layer.windows.kernel) - 1
    for x, y in zip(bottom, top, strict=True):
        want = naive(
            x.data.reshape(-1, *x.shape[axis:]),
            layer.blobs[0].data,
            layer.blobs[1].data if len(layer.blobs) > 1 else None,
            *windows[1:],
            layer.group,
        )
        np.testing.assert_allclose(y.data.reshape(want.shape), want, rtol=1e-4, atol=1e-5)
    check_gradient(layer, bottom, top, samples=30, step=0.1)


def test_multiply_adds():
    layer, bottom, top = CASES[0].build()
    assert layer.multiply_adds(bottom, top) == 2 * 4 * 4 * 3 * 3 * 3 * 3


def test_another_image_size():
    layer, bottom, top = CASES[0].build()
    bottom[0].reshape(1, 3, 4, 8)
    layer.reshape(bottom, top)
    assert top[0].shape == (1, 4, 2, 6)
    check_gradient(layer, bottom, top, samples=20, step=0.1)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("num_output: 2", IMAGE, "no kernel_size is given"),
        ("kernel_size: 3", IMAGE, "num_output must be at least 1, got 0"),
        ("num_output: 2 kernel_size: 0", IMAGE, "kernel_size must be at least 1, got 0x0"),
        ("num_output: 2 kernel_size: 1 stride: 0", IMAGE, "stride must be at least 1, got 0x0"),
        ("num_output: 2 kernel_size: 1 dilation: 0", IMAGE, "dilation must be at least 1"),
        ("num_output: 2 kernel_h: 1", IMAGE, "kernel_size must be at least 1, got 1x0"),
        ("num_output: 2 kernel_size: 3 kernel_h: 3", IMAGE, "kernel_size and kernel_h, kernel_w"),
        ("num_output: 2 kernel_size: 1 kernel_size: 1 kernel_size: 1", IMAGE, "given 3 times"),
        ("num_output: 2 kernel_h: 1 kernel_w: 1", (2, 3, 7), "need 2 spatial axes, .* has 1"),
        ("num_output: 4 kernel_size: 1 group: 2", IMAGE, "3 channels .* multiples of group 2"),
        ("num_output: 3 kernel_size: 1 group: 0", IMAGE, "multiples of group 0"),
        ("num_output: 2 kernel_size: 7", IMAGE, "kernel 7x7 does not fit .* size 0x-1"),
        ("num_output: 2 kernel_size: 1 axis: 4", IMAGE, "axis 4 is out of range"),
    ],
)
def test_refused(text, shape, message):
    with pytest.raises(ProtonetError, match=rf"^layer 'under_test' \(Convolution\): .*{message}"):
        build(conv(text), [shape])


def test_bottoms_that_do_not_fit():
    with pytest.raises(ProtonetError, match=r"bottoms of one shape, got shapes .* and "):
        build(conv("num_output: 2 kernel_size: 1"), [IMAGE, (2, 3, 6, 4)], tops=2)
    layer, bottom, top = CASES[0].build()
    bottom[0].reshape(2, 4, 6, 5)
    with pytest.raises(ProtonetError, match=r"3 channels in axis 1, .* got shape \(2, 4, 6, 5\)"):
        layer.reshape(bottom, top)


@pytest.mark.parametrize("case", reference_cases("Convolution"))
def test_reference(case):
    run_reference(case)
