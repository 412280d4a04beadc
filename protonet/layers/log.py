"""Log: y = log_base(shift + scale · x), with base e by default.

The gradient is dy · scale / (ln(base) · (shift + scale · x)). As BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import ClassVar

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron


@kernel("void(float32[::1], float32, float32, float32, float32[::1], int64, int64)", shared=True)
def log_forward(
    x: Array, scale: float, shift: float, factor: float, y: Array, lo: int, hi: int
) -> None:
    """Write y[lo:hi]; factor is 1 / ln(base)."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = factor * math.log(scale * x[i] + shift)


@kernel(
    "void(float32[::1], float32[::1], float32, float32, float32, float32[::1], int64, int64)",
    shared=True,
)
def log_backward(
    x: Array, dy: Array, scale: float, shift: float, factor: float, dx: Array, lo: int, hi: int
) -> None:
    """Write dx[lo:hi]; factor is 1 / ln(base)."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    slope = scale * factor
    for i in range(x.size):
        dx[i] = dy[i] * slope / (scale * x[i] + shift)


@register("Log")
class Log(Neuron):
    """log_param: base (-1, which stands for e), scale (1), shift (0).

    In place backward sees y where x was, as in Caffe.
    """

    grain: ClassVar[int] = 4096

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.log_param
        if p.base != -1 and (p.base <= 0 or p.base == 1):
            raise self.error(f"base must be positive and not 1, or -1 for e; got {p.base:g}")
        self.factor = 1.0 if p.base == -1 else 1 / math.log(p.base)
        self.scale: float = p.scale
        self.shift: float = p.shift

    def values(self, x: Array, y: Array) -> None:
        self.over(log_forward, x, self.scale, self.shift, self.factor, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(log_backward, x, dy, self.scale, self.shift, self.factor, dx)
