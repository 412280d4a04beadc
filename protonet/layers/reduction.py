"""Reduction: coeff · the sum, mean, sum of absolute values or of squares, over the last axes.

Backward: coeff · dy times 1, 1 / count, sign(x) or 2 · x. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register
from protonet.schema import caffe_pb2 as pb

Sums = np.ndarray[Any, np.dtype[np.float64]]

PART = 16384  # values summed at a time: always the same ones, whatever the number of threads

SUM, ASUM, SUMSQ, MEAN = (
    getattr(pb.ReductionParameter, name) for name in ("SUM", "ASUM", "SUMSQ", "MEAN")
)


@kernel("void(float32[:, ::1], int64, float64[:, ::1], int64, int64)", shared=True)
def partial_sums(x: Array, operation: int, sums: Sums, lo: int, hi: int) -> None:
    """Write sums lo .. hi - 1 of all. x: (rows, D); sums: (rows, parts of D)."""
    parts = sums.shape[1]
    for i in range(lo, hi):
        r, k = i // parts, i % parts
        xs = x[r, k * PART : min((k + 1) * PART, x.shape[1])]
        total = np.float32(0)
        if operation == ASUM:
            for d in range(xs.size):
                total += abs(xs[d])
        elif operation == SUMSQ:
            for d in range(xs.size):
                total += xs[d] * xs[d]
        else:
            for d in range(xs.size):
                total += xs[d]
        sums[r, k] = total


@register("Reduction")
class Reduction(Layer):
    """reduction_param: operation (SUM), axis (0), coeff (1).

    The axes from ``axis`` on are reduced; by default all, to a scalar.
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.operation: int = self.param.reduction_param.operation

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, shape = self.param.reduction_param, bottom[0].shape
        axis = self.canonical_axis(p.axis, shape)
        self.rows = math.prod(shape[:axis]), math.prod(shape[axis:])
        self.coeff: float = p.coeff / self.rows[1] if self.operation == MEAN else p.coeff
        top[0].reshape(*shape[:axis])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x = bottom[0].data.reshape(self.rows)
        sums = np.zeros((self.rows[0], -(-self.rows[1] // PART)))
        threads.share(
            partial_sums,
            sums.size,
            x,
            self.operation,
            sums,
            grain=max(PART // max(self.rows[1], 1), 1),
        )
        top[0].data[...] = (sums.sum(axis=1) * self.coeff).reshape(top[0].shape)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        x, dx = bottom[0].data.reshape(self.rows), bottom[0].diff.reshape(self.rows)
        dy = top[0].diff.reshape(-1, 1) * np.float32(self.coeff)
        if self.operation == ASUM:
            np.multiply(np.sign(x), dy, out=dx)
        elif self.operation == SUMSQ:
            np.multiply(x, 2 * dy, out=dx)
        else:
            dx[...] = dy
