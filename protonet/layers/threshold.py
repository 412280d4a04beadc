"""Threshold: y = 1 where x > threshold, otherwise 0. As BVLC Caffe 1.0, it has no gradient."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import GraphError
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ZERO, ONE = np.float32(0), np.float32(1)


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def threshold_forward(x: Array, threshold: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = ONE if x[i] > threshold else ZERO


@register("Threshold")
class Threshold(Neuron):
    """threshold_param: threshold (0)."""

    grain: ClassVar[int] = 32768

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.threshold: float = self.param.threshold_param.threshold

    def values(self, x: Array, y: Array) -> None:
        self.over(threshold_forward, x, self.threshold, y)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            raise self.error(
                "no gradient can flow through a Threshold; set propagate_down: false on it, "
                "or move the layers that learn above it",
                GraphError,
            )
