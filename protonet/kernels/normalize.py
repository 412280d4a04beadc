"""Normalization by channel and what follows it, in one pass each way: BatchNorm, Scale, ReLU.

Blobs are seen as flat arrays of N · C · D values: N images, C channels, planes of D values. With
x̂ = (x - mean) · factor, factor = 1 / sqrt(variance + eps), a pass forward writes

    z = x̂ · gain + shift;  y = z if z > 0 else slope · z

and one backward takes dz = dy if y > 0 else slope · dy, the sums of dz and of dz · x̂, which are
the gradients of shift and gain, and from their means over the batch

    dx = (dz - mean(dz) - x̂ · mean(dz · x̂)) · factor · gain

A channel is one thread's, so that bits do not depend on their number. Planes of one value, as
behind an InnerProduct, are read along the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.finish import Finish
from protonet.kernels.jit import Kernel, kernel

GRAIN = 16384  # values for which a thread of its own is worth while
# Small channels are done several at a time: what lies in a row in memory is read faster, and these
# values of each array are in the cache still when they are read again (measured: 2^14 to 2^17).
TOGETHER = 65536

Stats = np.ndarray[Any, np.dtype[np.float64]]
Sizes = tuple[int, int, int]  # N, C, D


@kernel("inline")
def _moments(x: Array, mean: Stats, var: Stats, N: int, C: int, D: int, lo: int, hi: int) -> None:
    """Write mean and variance of channels lo .. hi - 1: the mean first, then squares about it."""
    mean, var = mean[lo:hi], var[lo:hi]
    mean[:] = 0
    var[:] = 0
    for n in range(N):
        if D == 1:
            row = x[n * C + lo : n * C + hi]
            for c in range(row.size):
                mean[c] += row[c]
            continue
        for c in range(hi - lo):
            row = x[(n * C + lo + c) * D : (n * C + lo + c + 1) * D]
            total = np.float32(0)
            for d in range(D):
                total += row[d]
            mean[c] += total
    for c in range(hi - lo):
        mean[c] /= N * D
    for n in range(N):
        if D == 1:
            row = x[n * C + lo : n * C + hi]
            for c in range(row.size):
                away = row[c] - np.float32(mean[c])
                var[c] += away * away
            continue
        for c in range(hi - lo):
            row = x[(n * C + lo + c) * D : (n * C + lo + c + 1) * D]
            centre, total = np.float32(mean[c]), np.float32(0)
            for d in range(D):
                total += (row[d] - centre) * (row[d] - centre)
            var[c] += total
    for c in range(hi - lo):
        var[c] /= N * D


@kernel("inline")
def _normalize(
    x: Array,
    mean: Stats,
    factor: Stats,
    gain: Array,
    shift: Array,
    slope: float,
    y: Array,
    N: int,
    C: int,
    D: int,
    lo: int,
    hi: int,
) -> None:
    """Write y for channels lo .. hi - 1."""
    mean, factor, gain, shift = mean[lo:hi], factor[lo:hi], gain[lo:hi], shift[lo:hi]
    for n in range(N):
        if D == 1:
            xs, ys = x[n * C + lo : n * C + hi], y[n * C + lo : n * C + hi]
            for c in range(xs.size):
                z = (xs[c] - np.float32(mean[c])) * np.float32(factor[c] * gain[c]) + shift[c]
                ys[c] = z if z > 0 else slope * z
            continue
        for c in range(hi - lo):
            part = slice((n * C + lo + c) * D, (n * C + lo + c + 1) * D)
            xs, ys = x[part], y[part]
            centre, scale, offset = np.float32(mean[c]), np.float32(factor[c] * gain[c]), shift[c]
            for d in range(D):
                z = (xs[d] - centre) * scale + offset
                ys[d] = z if z > 0 else slope * z


@kernel(
    "void(float32[::1], float64, float64[::1], float64[::1], float64[::1], float32[::1],"
    " float32[::1], float32, float32[::1], int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def _batch_forward(
    x: Array,
    eps: float,
    mean: Stats,
    var: Stats,
    factor: Stats,
    gain: Array,
    shift: Array,
    slope: float,
    y: Array,
    N: int,
    C: int,
    D: int,
    block: int,
    lo: int,
    hi: int,
) -> None:
    """Write mean, var, factor and y for channels lo .. hi - 1, a block of them at a time."""
    for first in range(lo, hi, block):
        last = min(first + block, hi)
        _moments(x, mean, var, N, C, D, first, last)
        for c in range(first, last):
            factor[c] = 1 / np.sqrt(var[c] + eps)
        _normalize(x, mean, factor, gain, shift, slope, y, N, C, D, first, last)


@kernel(
    "void(float32[::1], float64[::1], float64[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int64, int64, int64, int64, int64)",
    shared=True,
)
def _running_forward(
    x: Array,
    mean: Stats,
    factor: Stats,
    gain: Array,
    shift: Array,
    slope: float,
    y: Array,
    N: int,
    C: int,
    D: int,
    lo: int,
    hi: int,
) -> None:
    """Write y for channels lo .. hi - 1, with statistics that are given."""
    _normalize(x, mean, factor, gain, shift, slope, y, N, C, D, lo, hi)


@kernel("inline")
def _gate(
    x: Array,
    y: Array,
    dy: Array,
    slope: float,
    mean: Stats,
    sums: Stats,
    products: Stats,
    N: int,
    C: int,
    D: int,
    lo: int,
    hi: int,
) -> None:
    """Write dz over dy; add the sums of dz and dz · (x - mean) of channels lo .. hi - 1."""
    mean, sums, products = mean[lo:hi], sums[lo:hi], products[lo:hi]
    for n in range(N):
        if D == 1:
            part = slice(n * C + lo, n * C + hi)
            xs, ys, gs = x[part], y[part], dy[part]
            for c in range(xs.size):
                g = gs[c] if slope == 1 or ys[c] > 0 else slope * gs[c]
                gs[c] = g
                sums[c] += g
                products[c] += g * (xs[c] - np.float32(mean[c]))
            continue
        for c in range(hi - lo):
            part = slice((n * C + lo + c) * D, (n * C + lo + c + 1) * D)
            xs, ys, gs = x[part], y[part], dy[part]
            centre, a, b = np.float32(mean[c]), np.float32(0), np.float32(0)
            if slope == 1:  # y need not be read, nor dy written
                for d in range(D):
                    a += gs[d]
                    b += gs[d] * (xs[d] - centre)
            else:
                for d in range(D):
                    g = gs[d] if ys[d] > 0 else slope * gs[d]
                    gs[d] = g
                    a += g
                    b += g * (xs[d] - centre)
            sums[c] += a
            products[c] += b


@kernel("inline")
def _spread(
    x: Array,
    dz: Array,
    mean: Stats,
    factor: Stats,
    gain: Array,
    sums: Stats,
    products: Stats,
    m: float,
    dx: Array,
    N: int,
    C: int,
    D: int,
    lo: int,
    hi: int,
) -> None:
    """Write dx for channels lo .. hi - 1; sums and products are those of m values."""
    mean, factor, gain = mean[lo:hi], factor[lo:hi], gain[lo:hi]
    sums, products = sums[lo:hi], products[lo:hi]
    for n in range(N):
        if D == 1:
            part = slice(n * C + lo, n * C + hi)
            xs, gs, zs = x[part], dz[part], dx[part]
            for c in range(xs.size):
                a, b = np.float32(sums[c] / m), np.float32(products[c] / m * factor[c])
                g = gs[c] - a - (xs[c] - np.float32(mean[c])) * b
                zs[c] = g * np.float32(factor[c] * gain[c])
            continue
        for c in range(hi - lo):
            part = slice((n * C + lo + c) * D, (n * C + lo + c + 1) * D)
            xs, gs, zs = x[part], dz[part], dx[part]
            a, b = np.float32(sums[c] / m), np.float32(products[c] / m * factor[c])
            centre, scale = np.float32(mean[c]), np.float32(factor[c] * gain[c])
            for d in range(D):
                zs[d] = (gs[d] - a - (xs[d] - centre) * b) * scale


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32, float64[::1], float64[::1],"
    " float32[::1], boolean, float64[::1], float64[::1], float32[::1],"
    " int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def _backward(
    x: Array,
    y: Array,
    dy: Array,
    slope: float,
    mean: Stats,
    factor: Stats,
    gain: Array,
    of_batch: bool,
    sums: Stats,
    products: Stats,
    dx: Array,
    N: int,
    C: int,
    D: int,
    block: int,
    lo: int,
    hi: int,
) -> None:
    """Write dx for channels lo .. hi - 1, dz over dy, and the sums of dz and dz · x̂."""
    for first in range(lo, hi, block):
        last = min(first + block, hi)
        _gate(x, y, dy, slope, mean, sums, products, N, C, D, first, last)
        for c in range(first, last):
            products[c] *= factor[c]
        # statistics of their own do not change with x: nothing comes back through them
        m = N * D if of_batch else np.inf
        _spread(x, dy, mean, factor, gain, sums, products, m, dx, N, C, D, first, last)


def forward(
    x: Array, eps: float, finish: Finish, y: Array, sizes: Sizes
) -> tuple[Stats, Stats, Stats]:
    """Write y, with the statistics of x.

    Args:
        x, y: (N · C · D,) float32.
        finish: gain, shift and slope, by its names.
        sizes: N, C, D.

    Returns:
        mean, variance and factor, (C,) float64 each.
    """
    mean, var, factor = (np.empty(sizes[1]) for _ in range(3))
    gain, shift = _by_channel(finish, sizes)
    args = (x, eps, mean, var, factor, gain, shift, finish.slope, y)
    _share(_batch_forward, sizes, *args, *sizes, _block(sizes))
    return mean, var, factor


def forward_running(
    x: Array, mean: Stats, factor: Stats, finish: Finish, y: Array, sizes: Sizes
) -> None:
    """Write y, with statistics that are given; as :func:`forward`."""
    gain, shift = _by_channel(finish, sizes)
    _share(_running_forward, sizes, x, mean, factor, gain, shift, finish.slope, y, *sizes)


def backward(
    x: Array,
    y: Array,
    dy: Array,
    mean: Stats,
    factor: Stats,
    of_batch: bool,
    finish: Finish,
    dx: Array,
    sizes: Sizes,
) -> tuple[Stats, Stats]:
    """Write dx, and dz over dy.

    Args:
        x, y, dy, dx: (N · C · D,) float32; y is read only where the slope is not 1.
        mean, factor: (C,) float64.
        of_batch: whether these are the statistics of x, and no numbers of their own.
        finish, sizes: as in :func:`forward`.

    Returns:
        the gradients of gain and shift, (C,) float64 each.
    """
    gain, _ = _by_channel(finish, sizes)
    sums, products = np.zeros(sizes[1]), np.zeros(sizes[1])
    args = (x, y, dy, finish.slope, mean, factor, gain, of_batch, sums, products, dx)
    _share(_backward, sizes, *args, *sizes, _block(sizes))
    return products, sums


def _by_channel(finish: Finish, sizes: Sizes) -> tuple[Array, Array]:
    """Return gain and shift, (C,) float32 each."""
    if finish.factor.size:
        return finish.factor, finish.shift
    return np.ones(sizes[1], np.float32), np.zeros(sizes[1], np.float32)


def _share(kernel: Kernel, sizes: Sizes, *args: Any) -> None:
    N, C, D = sizes
    threads.share(kernel, C, *args, grain=max(GRAIN // max(N * D, 1), 1))


def _block(sizes: Sizes) -> int:
    """Return how many channels are done at a time."""
    N, _, D = sizes
    return max(TOGETHER // max(N * D, 1), 1)
