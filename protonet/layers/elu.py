"""ELU: y = x for x > 0, otherwise alpha · (e^x - 1). As BVLC Caffe 1.0; Clevert et al. (2015)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.functions import exp
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ONE = np.float32(1)


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def elu_forward(x: Array, alpha: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        v = x[i]
        y[i] = v if v > 0 else alpha * (exp(v) - ONE)


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32, float32[::1], int64, int64)",
    shared=True,
)
def elu_backward(x: Array, y: Array, dy: Array, alpha: float, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]. x may be y as well: their signs agree."""
    x, y, dy, dx = x[lo:hi], y[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        g = dy[i]
        dx[i] = g if x[i] > 0 else g * (alpha + y[i])


@register("ELU")
class ELU(Neuron):
    """elu_param: alpha (1)."""

    grain: ClassVar[int] = 16384

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.alpha: float = self.param.elu_param.alpha

    def values(self, x: Array, y: Array) -> None:
        self.over(elu_forward, x, self.alpha, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        self.over(elu_backward, x, y, dy, self.alpha, dx)
