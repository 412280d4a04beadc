"""LRN: y = x / (k + alpha/n · Σ x²)^beta over neighbouring channels or places.

ACROSS_CHANNELS sums over local_size channels, n = local_size. WITHIN_CHANNEL sums over a square
of local_size × local_size places, n its area; there is no k there, it is 1. Places outside count
as zeros. As BVLC Caffe 1.0; Krizhevsky et al. (2012), section 3.3.

With s the divisor before its power: dx = dy·s^-beta - 2·alpha·beta/n · x · Σ dy·y/s.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from protonet.blob import Array, Blob, aligned_zeros
from protonet.kernels import scratch, threads
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register

ACROSS_CHANNELS = 0  # LRNParameter.NormRegion
ONE = np.float32(1)


@kernel("inline")
def decay(s: Any, beta: Any) -> Any:
    """Return s^-beta; square roots are much faster than a power, and 0.75 is what nets have."""
    if beta == np.float32(0.75):
        root = math.sqrt(s)
        return ONE / (root * math.sqrt(root))
    return s**-beta


@kernel("void(float32[:, :, ::1], boolean, int64, float32[:, :, ::1], int64, int64)", shared=True)
def sum_across(x: Array, square: bool, half: int, out: Array, lo: int, hi: int) -> None:
    """Write to rows lo to hi of out the sums of x, or x², over the channels within ``half``.

    x, out: (N, C, D); a row is a channel of an image.
    """
    C, D = x.shape[1], x.shape[2]
    for r in range(lo, hi):
        n, c = r // C, r % C
        out[n, c] = 0
        for j in range(max(c - half, 0), min(c + half + 1, C)):
            for d in range(D):
                v = x[n, j, d]
                out[n, c, d] += v * v if square else v


@kernel("void(float32[:, :, ::1], boolean, int64, float32[:, :, ::1], int64, int64)", shared=True)
def sum_within(x: Array, square: bool, half: int, out: Array, lo: int, hi: int) -> None:
    """Write to planes lo to hi of out the sums of x, or x², over the places within ``half``.

    x, out: (N·C, H, W).
    """
    H, W = x.shape[1], x.shape[2]
    for p in range(lo, hi):
        out[p] = 0
        for h in range(H):
            for i in range(max(h - half, 0), min(h + half + 1, H)):
                for w in range(W):
                    total = np.float32(0)
                    for j in range(max(w - half, 0), min(w + half + 1, W)):
                        v = x[p, i, j]
                        total += v * v if square else v
                    out[p, h, w] += total


@kernel(
    "void(float32[::1], float32[::1], float32, float32, float32, float32[::1], int64, int64)",
    shared=True,
)
def lrn_forward(
    x: Array, s: Array, alpha: float, beta: float, k: float, y: Array, lo: int, hi: int
) -> None:
    """Turn the sums in s[lo:hi] into divisors and write y[lo:hi], which may be s itself."""
    x, s, y = x[lo:hi], s[lo:hi], y[lo:hi]
    for i in range(x.size):
        divisor = k + alpha * s[i]
        s[i] = divisor
        y[i] = x[i] * decay(divisor, beta)


@kernel("void(float32[::1], float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def lrn_ratio(dy: Array, y: Array, s: Array, out: Array, lo: int, hi: int) -> None:
    """Write dy · y / s to out[lo:hi]."""
    dy, y, s, out = dy[lo:hi], y[lo:hi], s[lo:hi], out[lo:hi]
    for i in range(out.size):
        out[i] = dy[i] * y[i] / s[i]


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32, float32, float32[::1], int64, int64)",
    shared=True,
)
def lrn_backward(
    x: Array, dy: Array, s: Array, factor: float, beta: float, dx: Array, lo: int, hi: int
) -> None:
    """Turn the sums of ratios in dx[lo:hi] into the gradient."""
    x, dy, s, dx = x[lo:hi], dy[lo:hi], s[lo:hi], dx[lo:hi]
    for i in range(dx.size):
        dx[i] = dy[i] * decay(s[i], beta) - factor * x[i] * dx[i]


@register("LRN")
class LRN(Layer):
    """lrn_param: local_size (5), alpha (1), beta (0.75), norm_region (ACROSS_CHANNELS), k (1)."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.lrn_param
        if param.local_size % 2 != 1:
            raise self.error(f"local_size must be odd, got {param.local_size}")
        self._across = param.norm_region == ACROSS_CHANNELS
        area = param.local_size if self._across else param.local_size**2
        self._half = param.local_size // 2
        self._alpha, self._beta = param.alpha / area, param.beta
        self._k = param.k if self._across else 1.0

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise self.error(f"expected a bottom with axes (N, C, H, W), got shape {shape}")
        N, C, H, W = shape
        self._view = (N, C, H * W) if self._across else (N * C, H, W)
        self._divisor: Any = None
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        if self._divisor is None and not self.spare:
            self._divisor = aligned_zeros(x.size)
        s = y if self.spare else self._divisor
        alpha, beta, k = self._alpha, self._beta, self._k
        self._sums(x, True, s)
        threads.share(lrn_forward, x.size, x, s, alpha, beta, k, y, grain=8192)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        dy, dx = top[0].diff.reshape(-1), bottom[0].diff.reshape(-1)
        if self._divisor is None:  # nothing went forward yet
            dx.fill(0)
            return
        s, ratio, beta = self._divisor, scratch.get("ratio", x.size)[: x.size], self._beta
        factor = 2 * self._alpha * beta
        threads.share(lrn_ratio, x.size, dy, y, s, ratio, grain=8192)
        self._sums(ratio, False, dx)
        threads.share(lrn_backward, x.size, x, dy, s, factor, beta, dx, grain=8192)

    def _sums(self, x: Array, square: bool, out: Array) -> None:
        """Write the sums over each value's neighbours. x, out: (count,)."""
        xs, outs, half = x.reshape(self._view), out.reshape(self._view), self._half
        kernel = sum_across if self._across else sum_within
        rows = math.prod(self._view[:2]) if self._across else self._view[0]
        grain = max(1, 8192 * rows // max(1, x.size))
        threads.share(kernel, rows, xs, square, half, outs, grain=grain)
