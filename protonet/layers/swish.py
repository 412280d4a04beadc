"""Swish: y = x · sigmoid(beta · x). As BVLC Caffe 1.0; Ramachandran et al. (2017).

With s = sigmoid(beta · x) the gradient is dy · s · (1 + beta · x · (1 - s)).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.functions import sigmoid
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ONE = np.float32(1)


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def swish_forward(x: Array, beta: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = x[i] * sigmoid(beta * x[i])


@kernel("void(float32[::1], float32[::1], float32, float32[::1], int64, int64)", shared=True)
def swish_backward(x: Array, dy: Array, beta: float, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        v = beta * x[i]
        s = sigmoid(v)
        dx[i] = dy[i] * s * (ONE + v * (ONE - s))


@register("Swish")
class Swish(Neuron):
    """swish_param: beta (1). Backward needs x, so it has storage of its own."""

    in_place = False
    grain: ClassVar[int] = 16384

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.beta: float = self.param.swish_param.beta

    def values(self, x: Array, y: Array) -> None:
        self.over(swish_forward, x, self.beta, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(swish_backward, x, dy, self.beta, dx)
