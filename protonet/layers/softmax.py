"""Softmax: y = e^x / Σ e^x along an axis. As BVLC Caffe 1.0."""

from __future__ import annotations

import math

from protonet.blob import Blob
from protonet.kernels import softmax
from protonet.layer import Layer, register


@register("Softmax")
class Softmax(Layer):
    """softmax_param: axis (1)."""

    in_place = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        axis = self.canonical_axis(self.param.softmax_param.axis, shape)
        self._shape = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        softmax.forward(bottom[0].data.reshape(self._shape), top[0].data.reshape(self._shape))

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            softmax.backward(
                top[0].data.reshape(self._shape),
                top[0].diff.reshape(self._shape),
                bottom[0].diff.reshape(self._shape),
            )
