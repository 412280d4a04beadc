"""Im2col."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ProtonetError

CASES = [
    Case(
        "image",
        'type: "Im2col" convolution_param { kernel_size: 2 stride: 2 pad: 1 }',
        [(2, 3, 4, 5)],
        [(2, 12, 3, 3)],
    ),
    Case(
        "another_axis",
        'type: "Im2col" convolution_param { kernel_size: 2 dilation: 2 axis: 2 }',
        [(2, 1, 3, 7)],
        [(2, 1, 6, 5)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    check_gradient(*case.build(), step=0.1)


def test_rows_are_channel_then_kernel_element():
    text = 'type: "Im2col" convolution_param { kernel_h: 1 kernel_w: 2 }'
    layer, bottom, top = build(text, [(1, 2, 3, 4)])
    forward(layer, bottom, top)
    x = bottom[0].data[0]
    want = np.stack([x[0, :, :3], x[0, :, 1:], x[1, :, :3], x[1, :, 1:]])
    np.testing.assert_array_equal(top[0].data[0], want)


def test_kernel_too_large():
    with pytest.raises(ProtonetError, match=r"kernel \(5, 5\) does not fit .* \(2, 3, 4, 6\)"):
        build('type: "Im2col" convolution_param { kernel_size: 5 }', [(2, 3, 4, 6)])


def test_another_number_of_axes():
    layer, bottom, top = CASES[0].build()
    bottom[0].reshape(2, 3, 20)
    with pytest.raises(ProtonetError, match=r"expected a bottom of 4 axes, got shape \(2, 3, 20\)"):
        layer.reshape(bottom, top)


@pytest.mark.parametrize("case", reference_cases("Im2col"))
def test_reference(case):
    run_reference(case)
