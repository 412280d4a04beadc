"""y = x · s + b with one s and b for each of M channels: what Scale and Bias compute.

Blobs are seen as flat arrays of N · M · D values: N outer ones, M channels, D inner ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel

Sums = np.ndarray[Any, np.dtype[np.float64]]

GRAIN = 65536  # values for which a thread of its own is worth while


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1],"
    " int64, int64, int64, int64, int64, int64)"
)
def _forward(
    x: Array,
    s: Array,
    b: Array,
    y: Array,
    M: int,
    D: int,
    outer_lo: int,
    outer_hi: int,
    lo: int,
    hi: int,
) -> None:
    """Write y for outer_lo <= n < outer_hi and channels lo <= m < hi. y may be x."""
    s, b = s[lo:hi], b[lo:hi]
    for n in range(outer_lo, outer_hi):
        if D == 1:
            xs, ys = x[n * M + lo : n * M + hi], y[n * M + lo : n * M + hi]
            for m in range(hi - lo):
                ys[m] = xs[m] * s[m] + b[m]
            continue
        for m in range(hi - lo):
            start = (n * M + lo + m) * D
            xs, ys = x[start : start + D], y[start : start + D]
            factor, offset = s[m], b[m]
            for i in range(D):
                ys[i] = xs[i] * factor + offset


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float64[::1], float64[::1],"
    " int64, int64, int64, int64, int64)"
)
def _backward(
    x: Array,
    dy: Array,
    s: Array,
    dx: Array,
    ds: Sums,
    db: Sums,
    N: int,
    M: int,
    D: int,
    lo: int,
    hi: int,
) -> None:
    """Write dx, add dy · x into ds and dy into db, for channels lo <= m < hi."""
    s, ds, db = s[lo:hi], ds[lo:hi], db[lo:hi]
    for n in range(N):
        if D == 1:
            part = slice(n * M + lo, n * M + hi)
            xs, gs, zs = x[part], dy[part], dx[part]
            for m in range(hi - lo):
                g = gs[m]
                ds[m] += g * xs[m]
                db[m] += g
                zs[m] = g * s[m]
            continue
        for m in range(hi - lo):
            part = slice((n * M + lo + m) * D, (n * M + lo + m + 1) * D)
            xs, gs, zs = x[part], dy[part], dx[part]
            factor, products, total = s[m], np.float32(0), np.float32(0)
            for i in range(D):
                g = gs[i]
                products += g * xs[i]
                total += g
                zs[i] = g * factor
            ds[m] += products
            db[m] += total


@kernel("void(float32[::1], float64[::1], int64, int64, int64, int64, int64)")
def _sum(dy: Array, db: Sums, N: int, M: int, D: int, lo: int, hi: int) -> None:
    """Add dy into db, for channels lo <= m < hi."""
    db = db[lo:hi]
    for n in range(N):
        if D == 1:
            gs = dy[n * M + lo : n * M + hi]
            for m in range(hi - lo):
                db[m] += gs[m]
            continue
        for m in range(hi - lo):
            gs = dy[(n * M + lo + m) * D : (n * M + lo + m + 1) * D]
            total = np.float32(0)
            for i in range(D):
                total += gs[i]
            db[m] += total


def affine(x: Array, s: Array, b: Array, y: Array, inner: int) -> None:
    """Write y = x · s + b, where ``inner`` values in a row share s and b. y may be x.

    Args:
        x, y: (N · M · inner,) float32.
        s, b: (M,) float32.
    """
    M = s.size
    if x.size == 0:
        return
    outer = x.size // (M * inner)
    grain = -(-GRAIN * outer // x.size) if outer > 1 else -(-GRAIN * M // x.size)
    if outer > 1:
        threads.run(
            outer, lambda lo, hi, worker: _forward(x, s, b, y, M, inner, lo, hi, 0, M), grain
        )
    else:
        threads.run(M, lambda lo, hi, worker: _forward(x, s, b, y, M, inner, 0, 1, lo, hi), grain)


def affine_backward(x: Array, dy: Array, s: Array, dx: Array, inner: int) -> tuple[Sums, Sums]:
    """Write dx = dy · s, and return the gradients of s and b: sums of dy · x and of dy.

    Args:
        x, dy, dx: (N · M · inner,) float32.
        s: (M,) float32.

    Returns:
        two arrays, (M,) float64.
    """
    M = s.size
    ds, db = np.zeros(M), np.zeros(M)
    if x.size:
        outer = x.size // (M * inner)
        threads.run(
            M,
            lambda lo, hi, worker: _backward(x, dy, s, dx, ds, db, outer, M, inner, lo, hi),
            -(-GRAIN * M // x.size),
        )
    return ds, db


def channel_sums(dy: Array, channels: int, inner: int) -> Sums:
    """Return the sum of dy for each channel, the gradient of b. dy: (N · channels · inner,)."""
    db = np.zeros(channels)
    if dy.size:
        outer = dy.size // (channels * inner)
        threads.run(
            channels,
            lambda lo, hi, worker: _sum(dy, db, outer, channels, inner, lo, hi),
            -(-GRAIN * channels // dy.size),
        )
    return db
