"""MVN: mean-variance normalization, y = (x - mean) / (sqrt(variance) + eps).

Over H and W of each channel of each image, or over C, H and W of each image; without
normalize_variance y = x - mean. Backward, with means over the same values: dx = (dy - mean(dy) -
y · mean(dy · y)) / (sqrt(variance) + eps), or dx = dy - mean(dy). As BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import Kernel, kernel
from protonet.layer import Layer, register

GRAIN = 16384


@kernel("inline")
def row_mean(row: Array) -> np.float32:
    """Return the mean of a row."""
    total = np.float32(0)
    for d in range(row.size):
        total += row[d]
    return total / np.float32(row.size)


@kernel(
    "void(float32[:, ::1], boolean, float32, float32[::1], float32[::1], float32[:, ::1],"
    " int64, int64)",
    shared=True,
)
def mvn_forward(
    x: Array, scaled: bool, eps: float, mean: Array, factor: Array, y: Array, lo: int, hi: int
) -> None:
    """Write rows lo .. hi - 1 of y = (x - mean) · factor, of mean and factor. x, y: (rows, D)."""
    one = np.float32(1)
    for r in range(lo, hi):
        xs, ys = x[r], y[r]
        centre, scale, total = row_mean(xs), one, np.float32(0)
        if scaled:
            for d in range(xs.size):
                total += (xs[d] - centre) * (xs[d] - centre)
            scale = one / (np.sqrt(total / np.float32(xs.size)) + eps)
        for d in range(xs.size):
            ys[d] = (xs[d] - centre) * scale
        mean[r], factor[r] = centre, scale


@kernel(
    "void(float32[:, ::1], boolean, float32[:, ::1], float32[::1], float32[::1],"
    " float32[:, ::1], int64, int64)",
    shared=True,
)
def mvn_backward(
    x: Array, scaled: bool, dy: Array, mean: Array, factor: Array, dx: Array, lo: int, hi: int
) -> None:
    """Write rows lo .. hi - 1 of dx. x, dy, dx: (rows, D)."""
    for r in range(lo, hi):
        xs, gs, zs = x[r], dy[r], dx[r]
        centre, scale = mean[r], factor[r]
        level, products = row_mean(gs), np.float32(0)
        if scaled:
            for d in range(gs.size):
                products += gs[d] * (xs[d] - centre)
        products *= scale * scale / np.float32(gs.size)
        for d in range(gs.size):
            zs[d] = (gs[d] - level - (xs[d] - centre) * products) * scale


@register("MVN")
class MVN(Layer):
    """mvn_param: normalize_variance (true), across_channels (false), eps (1e-9).

    x: (N, C, H, W) or fewer axes, y the same. Backward needs x, so it has storage
    of its own.
    """

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) > 4:
            raise self.error(f"expected a bottom of at most 4 axes, got shape {shape}")
        kept = shape[: 1 if self.param.mvn_param.across_channels else 2]
        self.rows = math.prod(kept), math.prod(shape[len(kept) :])
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.mvn_param
        x, y = bottom[0].data.reshape(self.rows), top[0].data.reshape(self.rows)
        self.mean, self.factor = np.empty((2, self.rows[0]), np.float32)
        self._by_row(mvn_forward, x, p.normalize_variance, p.eps, self.mean, self.factor, y)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        scaled: bool = self.param.mvn_param.normalize_variance
        x, dy = bottom[0].data.reshape(self.rows), top[0].diff.reshape(self.rows)
        dx = bottom[0].diff.reshape(self.rows)
        self._by_row(mvn_backward, x, scaled, dy, self.mean, self.factor, dx)

    def _by_row(self, kernel: Kernel, *args: Any) -> None:
        rows, values = self.rows
        threads.share(kernel, rows, *args, grain=max(GRAIN // max(values, 1), 1))
