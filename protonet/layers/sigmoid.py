"""Sigmoid: y = 1 / (1 + e^-x). As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array
from protonet.kernels.functions import sigmoid
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ONE = np.float32(1)


@kernel("void(float32[::1], float32[::1], int64, int64)", shared=True)
def sigmoid_forward(x: Array, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = sigmoid(x[i])


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def sigmoid_backward(y: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(y.size):
        dx[i] = dy[i] * y[i] * (ONE - y[i])


@register("Sigmoid")
class Sigmoid(Neuron):
    """sigmoid_param has no fields that matter on a CPU."""

    grain: ClassVar[int] = 16384

    def values(self, x: Array, y: Array) -> None:
        self.over(sigmoid_forward, x, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(sigmoid_backward, y, dy, dx)
