"""Im2col: the windows of an image as the columns of a matrix. As BVLC Caffe 1.0."""

from __future__ import annotations

import math

from protonet.blob import Blob
from protonet.kernels.im2col import col2im, im2col, output_size
from protonet.layer import Layer, register
from protonet.layers._convolution import read_windows


@register("Im2col")
class Im2col(Layer):
    """convolution_param: kernel_size, stride, pad, dilation, axis (1).

    x: (N..., C, size...); y: (N..., C · product(kernel), output size...).
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param, shape = self.param.convolution_param, bottom[0].shape
        self._axis = self.canonical_axis(param.axis, shape)
        self._axes = len(shape)
        self._windows = read_windows(self, param, len(shape) - self._axis - 1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape, axis = bottom[0].shape, self._axis
        if len(shape) != self._axes:
            raise self.error(f"expected a bottom of {self._axes} axes, got shape {shape}")
        size = tuple(map(output_size, shape[axis + 1 :], *self._windows))
        if any(n < 1 for n in size):
            raise self.error(
                f"the kernel {self._windows.kernel} does not fit on a bottom of shape {shape}"
            )
        rows = shape[axis] * math.prod(self._windows.kernel)
        top[0].reshape(*shape[:axis], rows, *size)
        N = math.prod(shape[:axis])
        self._x_shape, self._y_shape = (N, *shape[axis:]), (N, rows, *size)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data.reshape(self._x_shape), top[0].data.reshape(self._y_shape)
        im2col(x, *self._windows, y)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            dx = bottom[0].diff.reshape(self._x_shape)
            col2im(top[0].diff.reshape(self._y_shape), *self._windows, dx)
