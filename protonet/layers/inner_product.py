"""InnerProduct: y = w x + b, all that follows the axis taken as one vector. As BVLC Caffe 1.0."""

from __future__ import annotations

import math

from protonet.blob import Blob
from protonet.kernels import inner_product
from protonet.layer import Layer, register


@register("InnerProduct")
class InnerProduct(Layer):
    """inner_product_param: num_output, bias_term (true), axis (1), transpose (false), fillers.

    x: (N..., K...) with K from the axis on; y: (N..., num_output). Parameters: weights
    (num_output, K), with ``transpose`` (K, num_output), and bias (num_output,).
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.inner_product_param
        axis = self.canonical_axis(param.axis, bottom[0].shape)
        if param.num_output < 1:
            raise self.error(f"num_output must be at least 1, got {param.num_output}")
        self._num_output, self._transpose = int(param.num_output), bool(param.transpose)
        self._inputs = math.prod(bottom[0].shape[axis:])
        shape = (self._num_output, self._inputs)
        self.add_param(shape[::-1] if self._transpose else shape, param.weight_filler)
        if param.bias_term:
            self.add_param((self._num_output,), param.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        axis = self.canonical_axis(self.param.inner_product_param.axis, shape)
        inputs = math.prod(shape[axis:])
        if inputs != self._inputs:
            raise self.error(
                f"expected {self._inputs} values from axis {axis} on, as the weights have, "
                f"got {inputs} in shape {shape}"
            )
        rows = math.prod(shape[:axis])
        self._x_shape, self._y_shape = (rows, inputs), (rows, self._num_output)
        top[0].reshape(*shape[:axis], self._num_output)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        bias = self.blobs[1].data if len(self.blobs) > 1 else None
        inner_product.forward(
            bottom[0].data.reshape(self._x_shape),
            self.blobs[0].data,
            bias,
            top[0].data.reshape(self._y_shape),
            self._transpose,
        )

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        dy, weights = top[0].diff.reshape(self._y_shape), self.blobs[0]
        if self.param_propagate_down[0]:
            x = bottom[0].data.reshape(self._x_shape)
            dw, keep = weights.take_diff()
            inner_product.backward_weights(x, dy, dw, self._transpose, keep)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            inner_product.backward_bias(dy, self.blobs[1].diff)
        if propagate_down[0]:
            dx = bottom[0].diff.reshape(self._x_shape)
            inner_product.backward_data(dy, weights.data, dx, self._transpose)

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        return top[0].count * self._inputs
