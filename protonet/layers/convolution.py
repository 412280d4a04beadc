"""Convolution: y[o] = b[o] + Σ w[o, c, k] x[c, stride·i - pad + dilation·k]. As BVLC Caffe 1.0."""

from __future__ import annotations

import math
from typing import Any

from protonet.blob import Array, Blob, Shape
from protonet.kernels.convolution import Convolution2D
from protonet.kernels.finish import Finish
from protonet.kernels.im2col import output_size
from protonet.layer import register
from protonet.layers._convolution import BaseConvolution, Correlation


@register("Convolution")
class Convolution(BaseConvolution):
    """convolution_param: num_output, kernel_size, stride, pad, dilation, group, bias_term, fillers.

    x: (N, C, size...) with any number of spatial axes; y: (N, num_output, size...); weights
    (num_output, C / group, kernel...). Several bottoms go through the same weights.
    """

    def weight_shape(self) -> Shape:
        return (self.num_output, self.channels // self.group, *self.windows.kernel)

    def output_size(self, size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
        return output_size(size, kernel, stride, pad, dilation)

    def prepare(self, x_shape: Shape, y_shape: Shape) -> None:
        self._maths = Correlation(
            x_shape,
            y_shape[2:],
            self.num_output,
            self.windows,
            self.group,
            self.param.convolution_param,
        )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._forward(bottom, top)

    def can_finish(self, bottom: list[Blob], kind: str) -> bool:
        if kind == "backward" or len(bottom) > 1 or self._axis != 1:
            return False
        return isinstance(self._maths.maths, Convolution2D)

    def forward_finished(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        self._forward(bottom, top, finish)

    def can_write_apart(self, bottom: list[Blob]) -> bool:
        maths, axes = self._maths.maths, len(bottom[0].shape)
        if len(bottom) > 1 or axes != 4 or self._axis != 1:
            return False
        return isinstance(maths, Convolution2D) and maths.can_write_apart

    def can_pool(self) -> bool:
        maths = self._maths.maths
        return isinstance(maths, Convolution2D) and maths.can_pool

    def forward_pooled(
        self, bottom: list[Blob], top: list[Blob], finish: Finish, mask: Any
    ) -> None:
        weights, bias, maths = self.blobs[0], self.bias, self._maths.maths
        assert isinstance(maths, Convolution2D)
        maths.forward_pooled(
            bottom[0].values,
            weights.values.reshape(self._maths.w_shape),
            None if bias is None else bias.values,
            top[0].data,
            finish,
            mask,
            for_good=self.spare,
        )

    def complete(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        maths = self._maths.maths
        assert isinstance(maths, Convolution2D)
        maths.complete(bottom[0].values, top[0].data, finish)

    def can_spread(self) -> bool:
        maths = self._maths.maths
        return (
            isinstance(maths, Convolution2D) and maths.can_spread and self.param_propagate_down[0]
        )

    def _forward(self, bottom: list[Blob], top: list[Blob], *finish: Finish) -> None:
        m, weights, bias = self._maths, self.blobs[0], self.bias
        version = None if self.spare else weights.version()
        for x, y in zip(bottom, top, strict=True):
            m.maths.forward(
                x.data.reshape(m.x_shape),
                weights.values.reshape(m.w_shape),
                None if bias is None else bias.values,
                y.data.reshape(m.y_shape),
                version,
                *finish,
            )

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        m, weights = self._maths, self.blobs[0]
        for x, y, wanted in zip(bottom, top, propagate_down, strict=True):
            dy = y.diff.reshape(m.y_shape)
            self._backward_parameters(x, dy)
            if wanted:
                m.maths.backward_data(
                    dy, weights.values.reshape(m.w_shape), x.diff.reshape(m.x_shape)
                )

    def backward_pooled(self, top: list[Blob], bottom: list[Blob], mask: Any) -> None:
        self._backward_parameters(bottom[0], top[0].diff, mask)

    def _backward_parameters(self, x: Blob, dy: Array, *mask: Any) -> None:
        m, weights = self._maths, self.blobs[0]
        db = self.blobs[1].diff if self.bias_wanted else None
        if self.param_propagate_down[0]:
            m.maths.backward_weights(
                x.data.reshape(m.x_shape), dy, weights.diff.reshape(m.w_shape), db, *mask
            )
        elif db is not None:
            m.maths.backward_bias(dy, db)

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        return sum(y.count for y in top) * math.prod(self.weight_shape()[1:])
