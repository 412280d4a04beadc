"""BNLL: y = log(1 + e^x), the binomial normal log likelihood (softplus).

The gradient is dy · e^x / (1 + e^x). As BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from protonet.blob import Array
from protonet.kernels.functions import exp
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ZERO, ONE = np.float32(0), np.float32(1)


@kernel("void(float32[::1], float32[::1], int64, int64)", shared=True)
def bnll_forward(x: Array, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]; e is raised to negative numbers only, so nothing overflows.

    The sum 1 + e^-|x| is a double: a small power of e must not be lost in it.
    """
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        v = x[i]
        y[i] = (v if v > 0 else ZERO) + math.log(1.0 + np.float64(exp(-abs(v))))


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def bnll_backward(x: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        e = exp(-abs(x[i]))
        dx[i] = dy[i] * (ONE if x[i] > 0 else e) / (ONE + e)


@register("BNLL")
class BNLL(Neuron):
    """Has no parameters. In place backward sees y where x was, as in Caffe."""

    grain: ClassVar[int] = 2048

    def values(self, x: Array, y: Array) -> None:
        self.over(bnll_forward, x, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(bnll_backward, x, dy, dx)
