"""Exp: y = base^(shift + scale · x), with base e by default.

Computed as outer · e^(inner · x), inner = scale · ln(base), outer = base^shift. The gradient is
dy · y · inner. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import ClassVar

from protonet.blob import Array, Blob
from protonet.kernels.functions import exp
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron


@kernel("void(float32[::1], float32, float32, float32[::1], int64, int64)", shared=True)
def exp_forward(x: Array, inner: float, outer: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = outer * exp(inner * x[i])


@kernel("void(float32[::1], float32[::1], float32, float32[::1], int64, int64)", shared=True)
def exp_backward(y: Array, dy: Array, inner: float, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(y.size):
        dx[i] = dy[i] * y[i] * inner


@register("Exp")
class Exp(Neuron):
    """exp_param: base (-1, which stands for e), scale (1), shift (0)."""

    grain: ClassVar[int] = 16384

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.exp_param
        if p.base != -1 and p.base <= 0:
            raise self.error(f"base must be positive, or -1 for e; got {p.base:g}")
        log_base = 1.0 if p.base == -1 else math.log(p.base)
        self.inner = p.scale * log_base
        try:
            self.outer = math.exp(p.shift * log_base)
        except OverflowError:
            self.outer = math.inf  # as a float of Caffe's would be

    def values(self, x: Array, y: Array) -> None:
        self.over(exp_forward, x, self.inner, self.outer, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(exp_backward, y, dy, self.inner, dx)
