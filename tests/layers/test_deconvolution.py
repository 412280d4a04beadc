"""Deconvolution."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

FILL = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'


def deconv(text):
    return f'type: "Deconvolution" convolution_param {{ {FILL} {text} }}'


CASES = [
    Case(
        "stride",
        deconv("num_output: 4 kernel_size: 3 stride: 2 pad: 1"),
        [(2, 3, 4, 5)],
        [(2, 4, 7, 9)],
        [(3, 4, 3, 3), (4,)],
    ),
    Case(
        "group_no_bias_two_bottoms",
        deconv("num_output: 6 kernel_size: 2 dilation: 2 group: 3 bias_term: false"),
        [(2, 3, 4, 5)] * 2,
        [(2, 6, 6, 7)] * 2,
        [(3, 2, 2, 2)],
    ),
    Case(
        "one_axis",
        deconv("num_output: 4 kernel_size: 3 stride: 2"),
        [(2, 3, 5)],
        [(2, 4, 11)],
        [(3, 4, 3), (4,)],
    ),
    Case(
        "three_axes",
        deconv("num_output: 4 kernel_size: 2"),
        [(1, 3, 2, 4, 5)],
        [(1, 4, 3, 5, 6)],
        [(3, 4, 2, 2, 2), (4,)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    layer, bottom, top = case.build()
    check_gradient(layer, bottom, top, samples=30, step=0.1)


def test_each_value_adds_its_multiple_of_the_kernel():
    text = deconv("num_output: 1 kernel_size: 2 stride: 3 bias_term: false")
    layer, bottom, top = build(text, [(1, 1, 2, 3)])
    forward(layer, bottom, top)
    want = np.zeros((2, 3, 3, 3), np.float32)  # row, row within, column, column within
    values, kernel = bottom[0].data[0, 0], layer.blobs[0].data[0, 0]
    want = np.zeros((5, 8), np.float32)
    for i, j in np.ndindex(2, 3):
        want[3 * i : 3 * i + 2, 3 * j : 3 * j + 2] = values[i, j] * kernel
    np.testing.assert_allclose(top[0].data[0, 0], want, rtol=1e-6)


def test_bilinear_enlarges():
    text = (
        'type: "Deconvolution" convolution_param { num_output: 2 group: 2 kernel_size: 4 stride: 2'
        ' pad: 1 bias_term: false weight_filler { type: "bilinear" } }'
    )
    ramp = np.broadcast_to(np.arange(5, dtype=np.float32), (1, 2, 4, 5))
    layer, bottom, top = build(text, [ramp.shape], values=[ramp])
    forward(layer, bottom, top)
    assert top[0].shape == (1, 2, 8, 10)
    np.testing.assert_allclose(np.diff(top[0].data[:, :, 1:-1, 1:-1], axis=3), 0.5, atol=1e-6)


def test_multiply_adds():
    layer, bottom, top = CASES[0].build()
    assert layer.multiply_adds(bottom, top) == 2 * 3 * 4 * 5 * 4 * 3 * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_output: 4 kernel_size: 1 group: 2", "multiples of group 2"),
        ("num_output: 4 kernel_size: 1 pad: 2", "top would have size 0x1"),
        ("num_output: 4", "no kernel_size is given"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Deconvolution\): .*{message}"):
        build(deconv(text), [(2, 3, 4, 5)])


@pytest.mark.parametrize("case", reference_cases("Deconvolution"))
def test_reference(case):
    run_reference(case)
