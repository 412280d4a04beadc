"""Layer types of forks that are one of Caffe's with its options fixed.

DepthwiseConvolution, ConvolutionDepthwise: Convolution with as many groups as channels, in two
spellings. ReLU6: y = min(max(x, 0), 6).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron
from protonet.layers.clip import clip_forward
from protonet.layers.convolution import Convolution

ZERO, SIX = np.float32(0), np.float32(6)


@register("DepthwiseConvolution")
@register("ConvolutionDepthwise")
class DepthwiseConvolution(Convolution):
    """convolution_param as for Convolution; ``group`` is the number of channels, given or not.

    x: (N, C, H, W); y: (N, num_output, OH, OW), num_output a multiple of C; weights
    (num_output, 1, kernel...).
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        axis = self.canonical_axis(self.param.convolution_param.axis, shape)
        grouped = type(self.param)()
        grouped.CopyFrom(self.param)
        grouped.convolution_param.group = shape[axis]
        self.param = grouped
        super().setup(bottom, top)


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def relu6_backward(y: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(y.size):
        g = dy[i]
        g = g if y[i] > ZERO else ZERO
        dx[i] = g if y[i] < SIX else ZERO


@register("ReLU6")
class ReLU6(Neuron):
    """No options. The gradient passes where 0 < x < 6, in place too."""

    grain: ClassVar[int] = 32768

    def values(self, x: Array, y: Array) -> None:
        self.over(clip_forward, x, ZERO, SIX, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(relu6_backward, y, dy, dx)
