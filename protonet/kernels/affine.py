"""y = x · s + b with one s and b for each of M channels: what Scale and Bias compute.

Blobs are seen as flat arrays of N · M · D values: N outer ones, M channels, D inner ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import scratch, threads
from protonet.kernels.jit import kernel

Sums = np.ndarray[Any, np.dtype[np.float64]]

GRAIN = 65536  # values for which a thread of its own is worth while


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1],"
    " int64, int64, boolean, int64, int64)",
    shared=True,
)
def _forward(
    x: Array,
    s: Array,
    b: Array,
    y: Array,
    M: int,
    D: int,
    by_outer: bool,
    lo: int,
    hi: int,
) -> None:
    """Write y for outer ones or channels lo <= i < hi. y may be x."""
    outer_lo, outer_hi = (lo, hi) if by_outer else (0, x.size // (M * D))
    first, last = (0, M) if by_outer else (lo, hi)
    s, b = s[first:last], b[first:last]
    for n in range(outer_lo, outer_hi):
        if D == 1:
            xs, ys = x[n * M + first : n * M + last], y[n * M + first : n * M + last]
            for m in range(s.size):
                ys[m] = xs[m] * s[m] + b[m]
            continue
        for m in range(s.size):
            start = (n * M + first + m) * D
            xs, ys = x[start : start + D], y[start : start + D]
            factor, offset = s[m], b[m]
            for i in range(D):
                ys[i] = xs[i] * factor + offset


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float64[::1], float64[::1],"
    " int64, int64, int64, int64, int64)",
    shared=True,
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


@kernel("void(float32[::1], float64[::1], int64, int64, int64, int64, int64)", shared=True)
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


@kernel("void(float32[::1], float64[::1], float32[::1], int64, int64, int64)", shared=True)
def _add_rows(dy: Array, sums: Sums, db: Array, N: int, lo: int, hi: int) -> None:
    """Add the sum of N rows of dy to db, in columns lo to hi - 1. sums: memory for them."""
    M = db.size
    totals, db = sums[lo:hi], db[lo:hi]
    totals[:] = 0
    for n in range(N):
        gs = dy[n * M + lo : n * M + hi]
        for m in range(gs.size):
            totals[m] += gs[m]
    for m in range(db.size):
        db[m] = np.float32(db[m] + totals[m])


@kernel("void(float32[::1], float64[:,::1], int64, int64, int64)", shared=True)
def _sum_images(dy: Array, sums: Sums, D: int, lo: int, hi: int) -> None:
    """Write the sums of each channel of images lo <= n < hi. sums: (N, M)."""
    M = sums.shape[1]
    for n in range(lo, hi):
        for m in range(M):
            gs = dy[(n * M + m) * D : (n * M + m + 1) * D]
            total = np.float32(0)
            for i in range(D):
                total += gs[i]
            sums[n, m] = total


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
    total = outer if outer > 1 else M
    grain = -(-GRAIN * total // x.size)
    threads.share(_forward, total, x, s, b, y, M, inner, outer > 1, grain=grain)


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
        threads.share(
            _backward, M, x, dy, s, dx, ds, db, outer, M, inner, grain=-(-GRAIN * M // x.size)
        )
    return ds, db


def channel_sums(dy: Array, channels: int, inner: int) -> Sums:
    """Return the sum of dy for each channel, the gradient of b. dy: (N · channels · inner,)."""
    if not dy.size:
        return np.zeros(channels)
    outer = dy.size // (channels * inner)
    if outer > 1 and inner > 1:
        # By images, as other layers share out work: each thread meets what it has seen before.
        sums = np.zeros((outer, channels))
        threads.share(_sum_images, outer, dy, sums, inner, grain=-(-GRAIN * outer // dy.size))
        return sums.sum(axis=0)
    db = np.zeros(channels)
    threads.share(
        _sum, channels, dy, db, outer, channels, inner, grain=-(-GRAIN * channels // dy.size)
    )
    return db


def add_rows(dy: Array, db: Array) -> None:
    """Add the sum of the rows of dy, (N, M), to db, (M,)."""
    N, M = dy.shape
    if M:
        sums = scratch.get("sums", 2 * M).view(np.float64)
        threads.share(
            _add_rows, M, dy.reshape(-1), sums, db, N, grain=-(-GRAIN * M // max(1, dy.size))
        )
