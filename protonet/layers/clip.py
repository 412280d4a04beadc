"""Clip: y = min(max(x, low), high). The gradient passes where low <= x <= high.

As BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ZERO = np.float32(0)


@kernel("void(float32[::1], float32, float32, float32[::1], int64, int64)", shared=True)
def clip_forward(x: Array, low: float, high: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        v = x[i]
        v = low if v < low else v
        y[i] = high if v > high else v


@kernel(
    "void(float32[::1], float32[::1], float32, float32, float32[::1], int64, int64)", shared=True
)
def clip_backward(
    x: Array, dy: Array, low: float, high: float, dx: Array, lo: int, hi: int
) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        g = dy[i]
        g = g if x[i] >= low else ZERO
        dx[i] = g if x[i] <= high else ZERO


@register("Clip")
class Clip(Neuron):
    """clip_param: min, max.

    In place backward sees y where x was, as in Caffe: the gradient passes everywhere.
    """

    grain: ClassVar[int] = 32768

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.clip_param
        for field in ("min", "max"):
            if not p.HasField(field):
                raise self.error(f"expected clip_param with min and max, {field} is missing")
        self.low: float = p.min
        self.high: float = p.max

    def values(self, x: Array, y: Array) -> None:
        self.over(clip_forward, x, self.low, self.high, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(clip_backward, x, dy, self.low, self.high, dx)
