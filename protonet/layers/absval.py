"""AbsVal: y = |x|. The gradient is dy · sign(x), 0 at 0. As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ZERO = np.float32(0)


@kernel("void(float32[::1], float32[::1], int64, int64)", shared=True)
def absval_forward(x: Array, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = abs(x[i])


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def absval_backward(x: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        g = dy[i]
        positive = g if x[i] > 0 else ZERO
        dx[i] = -g if x[i] < 0 else positive


@register("AbsVal")
class AbsVal(Neuron):
    """Has no parameters. Backward needs the sign of x, so it has storage of its own."""

    in_place = False
    grain: ClassVar[int] = 32768

    def values(self, x: Array, y: Array) -> None:
        self.over(absval_forward, x, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(absval_backward, x, dy, dx)
