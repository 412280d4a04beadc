"""Convolution of images: forward and its three gradients.

x: (N, C, H, W), w: (O, C / group, kh, kw), bias: (O,), y: (N, O, OH, OW), all float32; as BVLC
Caffe 1.0, which correlates: ``y[n, o, i, j] = bias[o] + sum of w[o, c, k, l] *
x[n, c, i * stride - pad + k * dilation, ...]``.
"""

from __future__ import annotations

from protonet.kernels.convolution_nd import ConvolutionND


class Convolution2D(ConvolutionND):
    """A convolution of one shape. Cheap to make: nothing is compiled or allocated until used."""

    def __init__(
        self,
        N: int,
        C: int,
        H: int,
        W: int,
        num_output: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        pad: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        group: int = 1,
    ) -> None:
        super().__init__((N, C, H, W), num_output, kernel, stride, pad, dilation, group)
