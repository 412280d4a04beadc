"""Deconvolution: the transposed convolution, which is what Convolution's gradient does.

Each value of x adds its multiple of the weights to a window of y; with stride it enlarges. As
BVLC Caffe 1.0.
"""

from __future__ import annotations

import math

from protonet.blob import Blob, Shape
from protonet.kernels.affine import channel_sums
from protonet.layer import register
from protonet.layers._convolution import BaseConvolution, Correlation


@register("Deconvolution")
class Deconvolution(BaseConvolution):
    """convolution_param, as Convolution's.

    x: (N, C, size...); y: (N, num_output, stride · (size - 1) + extent of the kernel - 2 · pad);
    weights (C, num_output / group, kernel...).
    """

    def weight_shape(self) -> Shape:
        return (self.channels, self.num_output // self.group, *self.windows.kernel)

    def output_size(self, size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
        return stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad

    def prepare(self, x_shape: Shape, y_shape: Shape) -> None:
        # The convolution that goes from our top to our bottom.
        self._maths = Correlation(
            y_shape,
            x_shape[2:],
            self.channels,
            self.windows,
            self.group,
            self.param.convolution_param,
        )
        self._flat = (*y_shape[:2], math.prod(y_shape[2:]))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        m, weights, bias = self._maths, self.blobs[0], self.bias
        for x, y in zip(bottom, top, strict=True):
            m.maths.backward_data(
                x.data.reshape(m.y_shape),
                weights.data.reshape(m.w_shape),
                y.data.reshape(m.x_shape),
            )
            if bias is not None:
                out = y.data.reshape(self._flat)
                out += bias.data[:, None]

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        m, weights = self._maths, self.blobs[0]
        for x, y, wanted in zip(bottom, top, propagate_down, strict=True):
            dy = y.diff.reshape(m.x_shape)
            if self.bias_wanted:
                bias = self.blobs[1].diff
                bias += channel_sums(dy.reshape(-1), self.num_output, self._flat[2])
            if self.param_propagate_down[0]:
                m.maths.backward_weights(
                    dy, x.data.reshape(m.y_shape), weights.diff.reshape(m.w_shape)
                )
            if wanted:
                m.maths.forward(
                    dy, weights.data.reshape(m.w_shape), None, x.diff.reshape(m.y_shape)
                )

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        return sum(x.count for x in bottom) * math.prod(self.weight_shape()[1:])
