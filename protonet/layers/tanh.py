"""TanH: y = tanh x. As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array
from protonet.kernels.functions import tanh
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ONE = np.float32(1)


@kernel("void(float32[::1], float32[::1], int64, int64)", shared=True)
def tanh_forward(x: Array, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = tanh(x[i])


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def tanh_backward(y: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(y.size):
        dx[i] = dy[i] * (ONE - y[i] * y[i])


@register("TanH")
class TanH(Neuron):
    """tanh_param has no fields that matter on a CPU."""

    grain: ClassVar[int] = 16384

    def values(self, x: Array, y: Array) -> None:
        self.over(tanh_forward, x, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(tanh_backward, y, dy, dx)
